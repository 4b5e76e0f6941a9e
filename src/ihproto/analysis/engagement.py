"""ENG: engagement is said once, and when it changes."""

from __future__ import annotations

from ihproto.analysis.reports import EngagementReport
from ihproto.messages import EngagementUpdated


class EngagementTracker:
    """Turns the engagement of consecutive windows into messages."""

    def __init__(self) -> None:
        self._said: EngagementUpdated | None = None

    def apply(self, report: EngagementReport | None) -> EngagementUpdated | None:
        """Say what the report of the next window means: a message when the level is new (ENG-1, ENG-2), or None."""
        if report is None or (self._said is not None and report.state == self._said.state):
            return None
        earliest = self._said.start if self._said is not None else 0.0
        self._said = EngagementUpdated(report.state, max(report.start, earliest))
        return self._said
