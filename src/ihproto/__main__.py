"""The command `ihproto`, also as `python -m ihproto`."""


def main() -> None:
    """Run the command line."""
