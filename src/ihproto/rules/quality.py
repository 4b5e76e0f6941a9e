"""CQI: what conversation-quality updates contain, and how often they come."""

from __future__ import annotations

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import ConversationQualityUpdated, QualityScores, SessionConfig, TimelineEntry
from ihproto.revisions import INCLUDE_OVERALL, INCLUDE_TIMELINE, QUALITY_DIMENSIONS

#: How far `quality_index` may be from the mean of the five dimensions; published examples miss it by 2.6 (CQI-6).
INDEX_TOLERANCE = 3.0

_SCORES = ("quality_index", *QUALITY_DIMENSIONS)


class QualityRules:
    """Judges the conversation quality of one session.

    Attributes:
        latest: The last update, None before the first.
    """

    def __init__(self) -> None:
        self.latest: ConversationQualityUpdated | None = None
        self._last_period: TimelineEntry | None = None

    def judge(self, message: ConversationQualityUpdated, config: SessionConfig, found: list[Finding]) -> None:
        """Judge `conversation_quality.updated` under the config in force (CQI-1, CQI-2, CQI-3, CQI-5, CQI-6)."""
        self.latest = message
        if not config.include:
            found.append(Finding(clause("CQI-1"), "conversation quality came although no include flag is in force"))
        else:
            judge_presence("CQI-2", "overall", message.overall, INCLUDE_OVERALL in config.include, "$.data", found)
            judge_presence("CQI-3", "timeline", message.timeline, INCLUDE_TIMELINE in config.include, "$.data", found)
        if message.overall is not None:
            judge_scores(message.overall, "$.data.overall", found)
        if message.timeline is not None:
            self._judge_timeline(message.timeline, found)

    def _judge_timeline(self, timeline: tuple[TimelineEntry, ...], found: list[Finding]) -> None:
        if len(timeline) != 1:
            what = f"the timeline has {len(timeline)} entries; it has exactly one, for the closed period"
            found.append(Finding(clause("CQI-3"), what, "$.data.timeline"))
        for index, entry in enumerate(timeline):
            place = f"$.data.timeline[{index}]"
            if not 0 <= entry.start < entry.end:
                what = f"a period cannot reach from {entry.start} s to {entry.end} s"
                found.append(Finding(clause("CQI-3"), what, place))
            last = self._last_period
            if last is not None and entry.start < last.end:
                what = f"the period begins at {entry.start} s, before the end of the last one, {last.end} s"
                found.append(Finding(clause("CQI-1"), what, f"{place}.start"))
            self._last_period = entry
            judge_scores(entry.values, f"{place}.values", found)


def judge_presence(clause_id: str, section: str, value: object, asked: bool, path: str, found: list[Finding]) -> None:
    """Judge that a section is there exactly when it was asked for (CQI-2, CQI-3, STS-3)."""
    if asked and value is None:
        found.append(Finding(clause(clause_id), f"{section} was asked for and is missing", path))
    elif value is not None and not asked:
        found.append(Finding(clause(clause_id), f"{section} was not asked for", f"{path}.{section}"))


def judge_scores(scores: QualityScores, path: str, found: list[Finding]) -> None:
    """Judge one set of scores (CQI-5, CQI-6)."""
    for name in _SCORES:
        value = getattr(scores, name)
        if not 0 <= value <= 100:
            found.append(Finding(clause("CQI-5"), f"{value} is not within 0 and 100", f"{path}.{name}"))
    mean = (scores.clarity + scores.authority + scores.energy + scores.rapport + scores.learning) / 5
    if abs(scores.quality_index - mean) > INDEX_TOLERANCE:
        what = f"the index is {scores.quality_index} while the mean of the five dimensions is {mean:.1f}"
        found.append(Finding(clause("CQI-6"), what, f"{path}.quality_index"))
