"""The command `ihproto`, also as `python -m ihproto`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, or say what is missing for it."""
    try:
        from ihproto.cli import cli
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.stderr.write(f"ihproto: the command line needs {error.name}; install it with: pip install 'ihproto[cli]'\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    cli()


if __name__ == "__main__":
    main()
