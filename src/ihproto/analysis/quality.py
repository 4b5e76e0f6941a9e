"""CQI: conversation quality, one update for each period of media that has closed.

Every window adds the stretch of media that no window before it covered. Within a period each stretch weighs as many
seconds as it lasts; stretches that contribute nothing weigh nothing. Where nothing contributes, all scores are 50
(CQI-4).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from ihproto.analysis.reports import EngagementReport, QualityReport
from ihproto.messages import QualityScores, TimelineEntry
from ihproto.revisions import QUALITY_DIMENSIONS

#: Scores with no evidence either way (CQI-4).
DEFAULT_SCORE = 50.0

#: What engagement alone contributes to every dimension (assumed; CQI-4 says only that it contributes).
ENGAGEMENT_SCORES: Mapping[str, float] = MappingProxyType({"engaged": 70.0, "neutral": 50.0, "disengaged": 30.0})


def contribution(
    quality: QualityReport | None, engagement: EngagementReport | None, engagement_scores: Mapping[str, float]
) -> tuple[float, ...] | None:
    """What one analysis contributes: its scores, or else those of its engagement, or else nothing (CQI-4)."""
    if quality is not None:
        return quality.scores()
    if engagement is not None:
        return (engagement_scores[engagement.state],) * len(QUALITY_DIMENSIONS)
    return None


class QualityMean:
    """A mean of score vectors, weighted by seconds."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._sums = [0.0] * len(QUALITY_DIMENSIONS)

    def add(self, scores: tuple[float, ...] | None, seconds: float) -> None:
        """Add what so many seconds contribute."""
        if scores is None:
            return
        self._weight += seconds
        for index, score in enumerate(scores):
            self._sums[index] += score * seconds

    def scores(self) -> QualityScores:
        """The mean so far; 50 where nothing contributed."""
        means = [total / self._weight if self._weight else DEFAULT_SCORE for total in self._sums]
        return QualityScores(round(sum(means) / len(means), 1), *(round(mean, 1) for mean in means))


@attrs.frozen
class ClosedPeriod:
    """A cadence period that is over.

    Attributes:
        entry: Its own scores, as the one entry of a timeline (CQI-3).
        overall: The scores of the whole session up to its end (CQI-2).
    """

    entry: TimelineEntry
    overall: QualityScores


class QualityCadence:
    """Gathers contributions and closes periods (CQI-1, CQI-7).

    Args:
        period: The length of a period, in seconds of media.
        engagement_scores: What each level of engagement contributes where a window has no scores of its own.
    """

    def __init__(self, period: float = 10.0, engagement_scores: Mapping[str, float] = ENGAGEMENT_SCORES) -> None:
        if period <= 0:
            raise ValueError(f"a cadence period must be longer than {period} s")
        self._period = period
        self._engagement_scores = engagement_scores
        self._index = 0
        self._until = 0.0
        self._current = QualityMean()
        self._overall = QualityMean()

    def apply(
        self, until: float, quality: QualityReport | None, engagement: EngagementReport | None
    ) -> list[ClosedPeriod]:
        """Add what was seen between the end of the last window and `until`, in media seconds.

        Returns:
            The periods that are over with it, in order.

        Raises:
            ValueError: If `until` is before the end of the last window.
        """
        if until < self._until:
            raise ValueError(f"{until} s is before {self._until} s, the end of what was added last")
        scores = contribution(quality, engagement, self._engagement_scores)
        closed = []
        while (boundary := (self._index + 1) * self._period) <= until:
            self._add(scores, boundary)
            entry = TimelineEntry(self._index * self._period, boundary, self._current.scores())
            closed.append(ClosedPeriod(entry, self._overall.scores()))
            self._index += 1
            self._current = QualityMean()
        self._add(scores, until)
        return closed

    def _add(self, scores: tuple[float, ...] | None, until: float) -> None:
        self._current.add(scores, until - self._until)
        self._overall.add(scores, until - self._until)
        self._until = until
