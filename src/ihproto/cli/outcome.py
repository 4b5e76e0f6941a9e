"""How the commands that talk to a server come to an end."""

from __future__ import annotations

from collections.abc import Callable, Collection

import click

from ihproto import LocalProtocolError, RemoteProtocolError
from ihproto.anyio import ConnectError, StreamError
from ihproto.cli.output import FAILED, UNREACHABLE, USAGE, printable
from ihproto.wire import Redactor


def say(command: str, text: str, code: int) -> int:
    """Say on stderr why a command ends, and return its exit code."""
    click.echo(f"ihproto {command}: {printable(text)}", err=True)
    return code


def guarded(command: str, run: Callable[[], int], secrets: Collection[str] = ()) -> int:
    """Run a command to its exit code; what goes wrong is said in a sentence.

    Args:
        command: The name of the command.
        run: What to run.
        secrets: What must not be said, even if the server did.
    """
    try:
        return run()
    except LocalProtocolError as error:
        what, code = f"{error.violation.what} ({error.violation.clause.id})", USAGE
    except ConnectError as error:
        what, code = str(error), UNREACHABLE
    except RemoteProtocolError as error:
        what, code = f"the server broke {error.violation}", FAILED
    except StreamError as error:
        what, code = str(error), FAILED
    return say(command, Redactor(secrets).text(what), code)
