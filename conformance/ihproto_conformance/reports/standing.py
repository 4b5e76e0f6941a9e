"""How a result stands in a report that people read: its place in the order, its sign, and the sums of it all."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable

from ihproto_conformance.verdict import Report, Result, Status, Verdict


class Standing(enum.Enum):
    """What a reader wants to know of a result, the most urgent first."""

    FAILURE = "failure"
    WARNING = "warning"
    INFORMATION = "information"
    EXPECTED = "expected failure"
    PASSED = "passed"
    UNSEEN = "unseen"
    NOT_APPLICABLE = "not applicable"
    NOT_ASKED = "not asked"

    @classmethod
    def of(cls, result: Result) -> Standing:
        """How a result stands."""
        if result.counts:
            return cls(result.check.severity.value)
        return cls.EXPECTED if result.status.broken else cls(result.status.value)

    @property
    def symbol(self) -> str:
        """One sign, for those who do not see the colour."""
        return _SYMBOLS[self]


_SYMBOLS = {
    Standing.FAILURE: "✗",
    Standing.WARNING: "▲",
    Standing.INFORMATION: "◆",
    Standing.EXPECTED: "≈",
    Standing.PASSED: "✓",
    Standing.UNSEEN: "○",
    Standing.NOT_APPLICABLE: "-",
    Standing.NOT_ASKED: "·",
}
VERDICT_SYMBOLS = {Verdict.CONFORMS: "✓", Verdict.VIOLATIONS: "✗", Verdict.UNJUDGED: "?"}


def urgent_first(results: Iterable[Result]) -> list[Result]:
    """The results in the order of their standing, and within that in the order they came in."""
    order = list(Standing)
    return sorted(results, key=lambda result: order.index(Standing.of(result)))


def tally(results: Iterable[Result]) -> Counter[Standing]:
    """How many results stand how."""
    return Counter(map(Standing.of, results))


def outcome(report: Report) -> str:
    """What a report comes to, in a line: the numbers that the verdict rests on, or why there are none."""
    if report.unjudged is not None:
        return report.unjudged
    counts = tally(report.results)
    parts = [
        plural(counts[Standing.FAILURE], "failure"),
        plural(counts[Standing.WARNING], "warning"),
        f"{counts[Standing.INFORMATION]} for information",
    ]
    if counts[Standing.EXPECTED]:
        parts.append(plural(counts[Standing.EXPECTED], "expected failure"))
    if report.stale:
        parts.append(f"{len(report.stale)} expected in vain")
    parts.append(f"{counts[Standing.PASSED]} of {plural(len(report.results), 'check')} passed")
    return ", ".join(parts)


def label(result: Result) -> str:
    """What became of a check, in a word or two."""
    standing = Standing.of(result).value
    return f"{standing}, blocked" if result.status is Status.BLOCKED else standing


def plural(number: int, noun: str) -> str:
    """A number and what it counts."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
