"""The commands that judge: `ihproto conformance …`.

Exit codes are the same for all of them: 0 nothing was found, 1 rules were broken, 2 nothing could be judged, or the
command was given wrongly.
"""

from __future__ import annotations

import click

from ihproto.cli.conformance.client import client
from ihproto.cli.conformance.listing import list_checks
from ihproto.cli.conformance.relay import relay
from ihproto.cli.conformance.server import server
from ihproto.cli.conformance.trace import trace


@click.group()
def conformance() -> None:
    """Judge servers and clients by the clauses of the protocol.

    \b
    Try it with two terminals:
      ihproto mock --port 8765
      ihproto conformance server ws://127.0.0.1:8765 --key ih_live_mock
    and then with a server that breaks one rule:
      ihproto mock --port 8765 --fault SIG-1.repeated

    Exit codes: 0 nothing was found, 1 rules were broken, 2 nothing could be judged.
    """  # noqa: D301


conformance.add_command(client)
conformance.add_command(list_checks)
conformance.add_command(relay)
conformance.add_command(server)
conformance.add_command(trace)
