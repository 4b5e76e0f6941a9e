"""The command line: `ihproto mock`, `ihproto stream`, `ihproto upload`, `ihproto inspect` and `ihproto conformance`.

Exit codes are the same everywhere, but for the judges of `ihproto conformance`, which have their own: 0 all went well,
1 the peer refused something or did not keep the protocol, 2 the command was given wrongly, 3 the server could not be
reached, 130 interrupted by Ctrl-C, 141 by a closed pipe, 143 by SIGTERM.
"""

from __future__ import annotations

import click

from ihproto import __version__
from ihproto.cli.conformance import conformance
from ihproto.cli.inspect import inspect
from ihproto.cli.mock import mock
from ihproto.cli.stream import stream
from ihproto.cli.upload import upload


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
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


cli.add_command(conformance)
cli.add_command(inspect)
cli.add_command(mock)
cli.add_command(stream)
cli.add_command(upload)
