"""The command `ihproto`, also as `python -m ihproto`."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command line, or say what is missing for it."""
    for name in ("click", "rich"):
        if find_spec(name) is None:
            sys.stderr.write(f"ihproto: the command line needs {name}; install it with: pip install 'ihproto[cli]'\n")
            sys.exit(2)
    try:
        from ihproto.cli import cli
    except KeyboardInterrupt:
        sys.exit(130)
    cli()


if __name__ == "__main__":
    main()
