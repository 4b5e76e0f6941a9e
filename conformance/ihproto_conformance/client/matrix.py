"""The broken clients against all scenarios, in memory and on a clock that jumps: minutes of theirs are moments of ours.

Needs trio, which has such a clock.
"""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import trio.testing

from ihproto_conformance.client.broken import BROKEN, Variant
from ihproto_conformance.client.judge import Choice, ScenarioRun, judge_client
from ihproto_conformance.client.visits import Exit, Invitation
from ihproto_conformance.memory import MemoryListener
from ihproto_conformance.verdict import Report, Result


def judge_variant(variant: Variant, choice: Choice | None = None) -> tuple[Report, tuple[ScenarioRun, ...]]:
    """Judge one client, in all scenarios of its revision or in those that are chosen."""

    async def judge() -> tuple[Report, tuple[ScenarioRun, ...]]:
        listeners: list[MemoryListener] = []

        def listen() -> MemoryListener:
            listeners.append(MemoryListener())
            return listeners[-1]

        async def client(invitation: Invitation) -> Exit:
            with anyio.move_on_after(invitation.timeout) as scope:
                await variant.make(invitation, listeners[-1].dial).run()
            return Exit(hung=scope.cancelled_caught)

        # One after the other: the client that is called is that of the newest listener.
        chosen = choice if choice is not None else Choice.all_of(variant.revision)
        return await judge_client(chosen, client, target=variant.name, make_listener=listen)

    clock = trio.testing.MockClock(autojump_threshold=0)
    return anyio.run(judge, backend="trio", backend_options={"clock": clock})


def client_matrix(variants: Iterable[Variant] | None = None) -> list[tuple[Variant, list[Result]]]:
    """What becomes of every check with every broken client.

    Args:
        variants: The clients; None for all.
    """
    chosen = BROKEN if variants is None else variants
    return [(variant, list(judge_variant(variant)[0].results)) for variant in chosen]
