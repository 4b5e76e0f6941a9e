"""The commands that judge: `ihproto conformance …`.

Exit codes are the same for all of them: 0 nothing was found, 1 rules were broken, 2 nothing could be judged, or the
command was given wrongly.
"""

from __future__ import annotations

import click

from ihproto.cli.conformance.relay import relay
from ihproto.cli.conformance.trace import trace


@click.group()
def conformance() -> None:
    """Judge servers and clients by the clauses of the protocol.

    Exit codes: 0 nothing was found, 1 rules were broken, 2 nothing could be judged.
    """


conformance.add_command(relay)
conformance.add_command(trace)
