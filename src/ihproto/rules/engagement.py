"""ENG: engagement is reported once when it is established, and when its level changes."""

from __future__ import annotations

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import EngagementUpdated
from ihproto.revisions import ENGAGEMENT_STATES


def judge_state(state: str, clause_id: str, path: str, found: list[Finding]) -> None:
    """Judge a level of engagement (ENG-3, WIN-3, STS-3)."""
    if state not in ENGAGEMENT_STATES:
        what = f"{state[:40]!r} is not a level of engagement; engaged, neutral and disengaged are"
        found.append(Finding(clause(clause_id), what, path))


class EngagementRules:
    """Judges the engagement of one session.

    Attributes:
        latest: The last report, None before the first.
    """

    def __init__(self) -> None:
        self.latest: EngagementUpdated | None = None

    def judge(self, message: EngagementUpdated, found: list[Finding]) -> None:
        """Judge `engagement.updated` (ENG-2, ENG-3)."""
        if self.latest is not None and message.state == self.latest.state:
            what = f"the level is {message.state[:40]} as before; a report is due when it differs"
            found.append(Finding(clause("ENG-2"), what, "$.data.state"))
        judge_state(message.state, "ENG-3", "$.data.state", found)
        if message.start < 0:
            what = f"{message.start} s is before the session; start counts from its beginning"
            found.append(Finding(clause("ENG-3"), what, "$.data.start"))
        self.latest = message
