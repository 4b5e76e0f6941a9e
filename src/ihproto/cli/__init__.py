"""The command line: `ihproto mock`, `ihproto stream`, `ihproto upload`, `ihproto inspect` and `ihproto conformance`.

Exit codes are the same everywhere, but for the judges of `ihproto conformance`, which have their own: 0 all went well,
1 the peer refused something or did not keep the protocol, 2 the command was given wrongly or cannot write what it has
to, 3 the server could not be reached, 130 interrupted by Ctrl-C, 141 by a closed pipe, 143 by SIGTERM.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from ihproto import __version__
from ihproto.cli.output import INTERRUPTED, PIPE_CLOSED, USAGE, OutputClosed

_COMMANDS = ("conformance", "inspect", "mock", "stream", "upload")


class _Commands(click.Group):
    """The commands, each in a module of its name, which is imported when the command is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what can end any of them at any moment is seen to here."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except OutputClosed as closed:
            if not str(closed):
                ctx.exit(PIPE_CLOSED)
            click.echo(f"ihproto: {closed}", err=True)
            ctx.exit(USAGE)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ihproto")
def cli() -> None:
    """The Interhuman streaming protocol: a mock server, clients, a look into segments, and a judge.

    \b
    Try it with two terminals:
      ihproto mock --port 8765
      ihproto stream ws://127.0.0.1:8765 chunk-*.webm --key ih_live_mock

    Exit codes: 0 all went well, 1 the peer refused something or broke the protocol, 2 wrong usage,
    3 the server could not be reached, 130 interrupted.
    """  # noqa: D301
