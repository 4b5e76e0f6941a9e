"""`ihproto conformance`: judge servers, clients, and what passes between them."""

from __future__ import annotations

import click

from ihproto.cli.conformance.client import client
from ihproto.cli.conformance.listing import list_checks
from ihproto.cli.conformance.server import server


@click.group()
def conformance() -> None:
    """Judge servers and clients by the clauses of the protocol.

    \b
    Try it with two terminals:
      ihproto mock --port 8765
      ihproto conformance server ws://127.0.0.1:8765 --key ih_live_mock
    and then with a server that breaks one rule:
      ihproto mock --port 8765 --fault SIG-1.repeated

    Exit codes: 0 conforms, 1 violations, 2 could not judge (or wrong usage), 130 interrupted.
    """  # noqa: D301


conformance.add_command(client)
conformance.add_command(list_checks)
conformance.add_command(server)
