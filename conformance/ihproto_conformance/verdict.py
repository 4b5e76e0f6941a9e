"""What a judgement says: checks, their results, the evidence, and the report that holds them all.

Every check has one id, whether it passes or fails, and cites one clause, whose level decides how much a failure weighs:
`must` is a failure, `should` a warning, `assumed` information.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from ihproto import Clause, Level, Side, Violation, clause
from ihproto_conformance.trace import Record


class Severity(enum.Enum):
    """How much it weighs that a check was not passed."""

    FAILURE = "failure"
    WARNING = "warning"
    INFORMATION = "information"

    @classmethod
    def of(cls, level: Level) -> Severity:
        """The severity for a clause of this level."""
        return _SEVERITIES[level]


_SEVERITIES = {
    Level.MUST: Severity.FAILURE,
    Level.SHOULD: Severity.WARNING,
    Level.ASSUMED: Severity.INFORMATION,
}


class Status(enum.Enum):
    """What became of a check.

    * ``PASSED``: what the rule is about happened, and the rule was kept.
    * ``FAILED``: the rule was not kept.
    * ``BLOCKED``: it could not be judged, because something that comes before it did not happen; weighs like a failure.
    * ``UNSEEN``: nothing came that the rule is about, and nothing had to come.
    * ``NOT_APPLICABLE``: the peer does not offer what it is about.
    * ``NOT_ASKED``: it takes something that was not asked for: more time, or another credential.
    """

    PASSED = "passed"
    FAILED = "failed"
    BLOCKED = "blocked"
    UNSEEN = "unseen"
    NOT_APPLICABLE = "not applicable"
    NOT_ASKED = "not asked"

    @property
    def broken(self) -> bool:
        """Whether the check was not passed."""
        return self in (Status.FAILED, Status.BLOCKED)


class Subject(enum.Enum):
    """Who is judged."""

    SERVER = "server"
    CLIENT = "client"

    @property
    def side(self) -> Side:
        """The side of a session on which it stands."""
        return Side(self.value)


@attrs.frozen
class Check:
    """One thing that is looked at.

    Attributes:
        id: Its name: the id of its clause, a dot, and a few words; the same from release to release.
        title: What is expected, as a sentence without a full stop.
    """

    id: str
    title: str

    @property
    def clause(self) -> Clause:
        """The clause that demands it."""
        return clause(self.id.partition(".")[0])

    @property
    def severity(self) -> Severity:
        """How much it weighs that it was not passed."""
        return Severity.of(self.clause.level)


@attrs.frozen
class Evidence:
    """Something that was found, and where it can be seen.

    Attributes:
        what: What was found, as a sentence without a full stop.
        session: The number of the session in the report, from 1; None when it is about no single one.
        record: The index of the record in that session; None when it is about something that did not come.
        time: When, in seconds since the connection of the session was begun; None when that means nothing.
    """

    what: str
    session: int | None = None
    record: int | None = None
    time: float | None = None


@attrs.frozen
class Result:
    """What became of a check.

    Attributes:
        check: The check.
        status: What became of it.
        scenarios: The names of the scenarios that looked.
        evidence: What was found; not empty where the check was not passed.
        reason: Why there is nothing to judge, for the statuses that mean that; the reason of an expected failure.
        expected: Whether it is on the list of expected failures.
        seen: How often there was something to look at.
    """

    check: Check
    status: Status
    scenarios: tuple[str, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""
    expected: bool = False
    seen: int = 0

    @property
    def counts(self) -> bool:
        """Whether it weighs: it is broken, and nobody expected that."""
        return self.status.broken and not self.expected


@attrs.frozen
class Entry:
    """A record of a session, and what was found in it.

    Attributes:
        record: What passed.
        violations: What the monitor found wrong with it, of either side.
    """

    record: Record
    violations: tuple[Violation, ...] = ()


@attrs.frozen
class SessionLog:
    """All that passed in one session.

    Attributes:
        number: Its number in the report, from 1.
        scenario: The name of the scenario that it belongs to.
        purpose: What it was for, in a few words.
        entries: What passed, in order.
        media_seconds: Seconds of media in the segments that were sent.
    """

    number: int
    scenario: str
    purpose: str
    entries: tuple[Entry, ...] = attrs.field(repr=False)
    media_seconds: float = 0.0


class Verdict(enum.Enum):
    """What a report comes to."""

    CONFORMS = "conforms"
    VIOLATIONS = "violations"
    UNJUDGED = "could not judge"

    @property
    def exit_code(self) -> int:
        """The exit code of the command that says it."""
        return _EXIT_CODES[self]


_EXIT_CODES = {Verdict.CONFORMS: 0, Verdict.VIOLATIONS: 1, Verdict.UNJUDGED: 2}


@attrs.frozen
class Report:
    """A judgement, whole.

    Attributes:
        subject: Who was judged; where both sides were, the server.
        kind: How: `server`, `client`, `relay` or `trace`.
        target: What was judged: a URL without its secrets, a command, the name of a file.
        revision: The id of the revision.
        suite: What was run, for people: `quick`, `full`, or the names of scenarios.
        started_at: When it began, with a time zone.
        seconds: How long it took.
        version: The version of this package.
        results: One for each check, in the order of the catalogue.
        sessions: What passed.
        stale: Ids on the list of expected failures that did not fail.
        unjudged: Why nothing could be judged, None when it could.
        fail_on: The least severity that makes the verdict `violations`.
    """

    subject: Subject
    kind: str
    target: str
    revision: str
    suite: str
    started_at: datetime
    seconds: float
    version: str
    results: tuple[Result, ...] = attrs.field(repr=False)
    sessions: tuple[SessionLog, ...] = attrs.field(default=(), repr=False)
    stale: tuple[str, ...] = ()
    unjudged: str | None = None
    fail_on: Severity = Severity.FAILURE

    @property
    def verdict(self) -> Verdict:
        """What it comes to."""
        if self.unjudged is not None:
            return Verdict.UNJUDGED
        broken = any(map(self.weighs, self.results))
        return Verdict.VIOLATIONS if broken or self.stale else Verdict.CONFORMS

    @property
    def media_seconds(self) -> float:
        """Seconds of media that were sent."""
        return sum(session.media_seconds for session in self.sessions)

    def weighs(self, result: Result) -> bool:
        """Whether a result makes the verdict `violations`: it counts, and is at least as severe as `fail_on`."""
        order = list(Severity)
        return result.counts and order.index(result.check.severity) <= order.index(self.fail_on)

    def counted(self) -> Counter[Status]:
        """How many checks there are of each status."""
        return Counter(result.status for result in self.results)

    def broken(self, severity: Severity) -> list[Result]:
        """What was not passed, of one severity, without what was expected."""
        return [result for result in self.results if result.counts and result.check.severity is severity]

    def by_family(self) -> dict[str, list[Result]]:
        """The results by the family of their clause, in the order of the catalogue."""
        families: dict[str, list[Result]] = {}
        for result in self.results:
            families.setdefault(result.check.clause.family, []).append(result)
        return families


def merge(results: Iterable[Result]) -> Result:
    """One result for a check of several that were found in different places: the gravest, with all the evidence.

    Raises:
        ValueError: If they are not of one check, or there are none.
    """
    found: Sequence[Result] = list(results)
    if len({result.check.id for result in found}) != 1:
        raise ValueError("these are not results of one check")
    gravest = min(found, key=lambda result: _GRAVITY.index(result.status))
    return attrs.evolve(
        gravest,
        scenarios=tuple(dict.fromkeys(name for result in found for name in result.scenarios)),
        evidence=tuple(item for result in found if result.status is gravest.status for item in result.evidence),
        seen=sum(result.seen for result in found),
    )


_GRAVITY = [Status.FAILED, Status.BLOCKED, Status.PASSED, Status.UNSEEN, Status.NOT_APPLICABLE, Status.NOT_ASKED]
