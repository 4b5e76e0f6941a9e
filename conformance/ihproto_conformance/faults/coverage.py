"""Faults in what is said of stretches that were not, or not fully, analysed."""

from __future__ import annotations

from ihproto_conformance.faults.blocks import add
from ihproto_conformance.faults.fault import Fault

FAULTS = (
    Fault(
        "COV-1.nowhere",
        "Says that something was dropped, and not what",
        add("engagement.updated", "coverage.dropped", {"ranges": []}),
    ),
    Fault(
        "COV-1.no-ranges",
        "Says that something was dropped, without ranges",
        add("engagement.updated", "coverage.dropped", {}),
    ),
    Fault(
        "COV-1.backwards",
        "Drops a stretch that ends before it starts",
        add("engagement.updated", "coverage.dropped", {"ranges": [{"start": 4, "end": 2}]}),
    ),
    Fault(
        "COV-1.degraded",
        "Says that something was degraded, and not what",
        add("engagement.updated", "coverage.degraded", {"ranges": [], "reason": "video_gap"}),
    ),
)
