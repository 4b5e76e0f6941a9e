"""Scenarios: what is tried with a server, what it costs, and which checks come out of it.

A scenario is a function of an `Exam`. `scenario` puts it on the list; each family of scenarios has a module of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

import attrs

from ihproto import Revision
from ihproto_conformance.server.exam import Exam, ServerUnderTest
from ihproto_conformance.verdict import Check

Run: TypeAlias = Callable[[Exam], Awaitable[None]]


@attrs.frozen
class Cost:
    """What a scenario uses of the server under test, at most.

    Attributes:
        connections: How many connections it opens.
        media_seconds: How many seconds of video it sends.
        size: How much it sends, in bytes, where that is worth telling.
    """

    connections: int = 0
    media_seconds: float = 0.0
    size: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.connections + other.connections, self.media_seconds + other.media_seconds, self.size + other.size
        )


@attrs.frozen
class Scenario:
    """One thing to try.

    Attributes:
        name: Its name.
        title: What it tries, as a sentence without a full stop.
        run: Does it.
        checks: What comes out of it, but for the checks that all sessions make.
        quick: Whether it belongs to the quick suite.
        applies: Whether it makes sense in a revision.
        cost: What it uses.
        needs_session: Whether it needs sessions that are established.
    """

    name: str
    title: str
    run: Run
    checks: tuple[Check, ...]
    quick: bool
    applies: Callable[[Revision], bool]
    cost: Callable[[ServerUnderTest], Cost]
    needs_session: bool = True

    def checks_in(self, revision: Revision) -> tuple[Check, ...]:
        """Those of its checks whose clause holds in a revision."""
        return tuple(check for check in self.checks if revision.id in check.clause.revisions)


SCENARIOS: list[Scenario] = []


def scenario(
    name: str,
    title: str,
    checks: Sequence[Check],
    *,
    quick: bool = False,
    applies: Callable[[Revision], bool] = lambda revision: True,
    connections: int = 1,
    media: Callable[[ServerUnderTest], float] = lambda target: 0.0,
    size: Callable[[ServerUnderTest], int] = lambda target: 0,
    needs_session: bool = True,
) -> Callable[[Run], Run]:
    """Put a function on the list of scenarios; see `Scenario`, and `Cost` for `connections`, `media` and `size`."""

    def register(run: Run) -> Run:
        def cost(target: ServerUnderTest) -> Cost:
            return Cost(connections, media(target), size(target))

        SCENARIOS.append(Scenario(name, title, run, tuple(checks), quick, applies, cost, needs_session))
        return run

    return register


@attrs.frozen
class Selection:
    """Which checks are wanted.

    Attributes:
        full: Whether the full suite is wanted, instead of the quick one.
        include: Patterns (`CFG-*`, `*.late*`, `config`) of ids of checks or names of scenarios; empty for all.
        exclude: The same for what is not wanted.
    """

    full: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def wants(self, check: Check, scenario: str | None = None) -> bool:
        """Whether a check is wanted; for passive ones without a scenario."""
        names = [check.id, check.clause.id, *([scenario] if scenario is not None else [])]
        included = not self.include or _any(names, self.include)
        return included and not _any(names, self.exclude)

    def scenarios(self, revision: Revision) -> list[Scenario]:
        """The scenarios to run, in order."""
        return [
            scenario
            for scenario in SCENARIOS
            if (self.full or scenario.quick)
            and scenario.applies(revision)
            and any(self.wants(check, scenario.name) for check in scenario.checks_in(revision))
        ]


def _any(names: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
