"""COV: stretches of media that were not, or not fully, analysed."""

from __future__ import annotations

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import CoverageDegraded, CoverageDropped


def judge_coverage(message: CoverageDropped | CoverageDegraded, found: list[Finding]) -> None:
    """Judge `coverage.dropped` and `coverage.degraded` (COV-1)."""
    if not message.ranges:
        found.append(Finding(clause("COV-1"), "the message names no range", "$.data.ranges"))
    for index, stretch in enumerate(message.ranges):
        if not 0 <= stretch.start < stretch.end:
            what = f"a range cannot reach from {stretch.start} s to {stretch.end} s"
            found.append(Finding(clause("COV-1"), what, f"$.data.ranges[{index}]"))
