"""How the commands that talk to a server come to an end."""

from __future__ import annotations

from collections.abc import Callable

import click

from ihproto import LocalProtocolError, RemoteProtocolError
from ihproto.anyio import ConnectError, StreamError
from ihproto.cli.output import FAILED, UNREACHABLE, USAGE, printable


def say(command: str, text: str, code: int) -> int:
    """Say on stderr why a command ends, and return its exit code."""
    click.echo(f"ihproto {command}: {printable(text)}", err=True)
    return code


def guarded(command: str, run: Callable[[], int]) -> int:
    """Run a command to its exit code; what goes wrong is said in a sentence."""
    try:
        return run()
    except LocalProtocolError as error:
        return say(command, f"{error.violation.what} ({error.violation.clause.id})", USAGE)
    except ConnectError as error:
        return say(command, str(error), UNREACHABLE)
    except RemoteProtocolError as error:
        return say(command, f"the server broke {error.violation}", FAILED)
    except StreamError as error:
        return say(command, str(error), FAILED)
