"""From accepted segments to windows, and from analysed windows to what is said: one reporter for each `Emission`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping

import attrs

from ihproto.analysis.engagement import EngagementTracker
from ihproto.analysis.lifecycle import SignalLifecycle
from ihproto.analysis.quality import ENGAGEMENT_SCORES, QualityCadence, QualityMean, contribution
from ihproto.analysis.reports import EngagementReport, SignalReport, WindowAnalysis
from ihproto.analysis.windows import WindowPlanner
from ihproto.events import Window
from ihproto.messages import (
    ConversationQuality,
    ConversationQualityUpdated,
    CoverageDropped,
    EngagementSpan,
    MediaRange,
    QualityScores,
    SegmentCompleted,
    SegmentProcessing,
    SegmentResult,
    SegmentSignals,
    ServerMessage,
    SignalSpan,
    TimelineEntry,
    WindowEngagement,
    WindowSignals,
)
from ihproto.revisions import INCLUDE_OVERALL, INCLUDE_TIMELINE, Emission, Revision


@attrs.frozen
class Pacing:
    """How media is cut for analysis, and what counts where an analysis gives no scores.

    Attributes:
        window_seconds: The length of a window, in seconds of media (WIN-1).
        window_advance_seconds: How far each window begins after the one before, in seconds of media (WIN-1).
        period_seconds: The length of a cadence period, in seconds of media (CQI-7).
        engagement_scores: What each level of engagement contributes to the scores (CQI-4).
    """

    window_seconds: float = 8.0
    window_advance_seconds: float = 3.0
    period_seconds: float = 10.0
    engagement_scores: Mapping[str, float] = ENGAGEMENT_SCORES


class Reporter(ABC):
    """Plans the windows of one session, and says what their analyses mean.

    Args:
        revision: The revision to speak.
        pacing: How to cut the media.
    """

    def __init__(self, revision: Revision, pacing: Pacing) -> None:
        self._revision = revision
        self._pacing = pacing

    @abstractmethod
    def accepted(self, number: int, size: int, start: float, end: float) -> tuple[list[ServerMessage], list[Window]]:
        """Take note of an accepted segment: what is said to it at once, and the windows that are complete with it.

        Args:
            number: The number of the segment.
            size: Its size, in bytes.
            start: Where it begins, in media seconds.
            end: Where it ends, in media seconds.
        """

    @abstractmethod
    def analysed(self, analysis: WindowAnalysis, include: Collection[str]) -> list[ServerMessage]:
        """Say what the analysis of the next window means, with the conversation-quality sections asked for."""

    @abstractmethod
    def dropped(self, window: Window, include: Collection[str], *, last: bool) -> list[ServerMessage]:
        """Say that the next window stays without analysis; `last` when the session drains and no other follows."""

    def remainder(self, media_seconds: float) -> Window | None:
        """The last, shorter window of a session that drains, if there is any."""
        return None

    def conclude(self) -> list[ServerMessage]:
        """Say what remains to be said when the session has drained."""
        return []

    def _reports(self, analysis: WindowAnalysis) -> list[SignalReport]:
        """The signals, with no more detail than the revision tells."""
        told = self._revision.signal_details
        return [
            attrs.evolve(
                report,
                probability=report.probability if "probability" in told else None,
                rationale=report.rationale if "rationale" in told else None,
                modality=report.modality if "modality" in told else None,
            )
            for report in analysis.signals
        ]


class ChangeReporter(Reporter):
    """Says when something begins, changes and ends (SIG, ENG, CQI, COV)."""

    def __init__(self, revision: Revision, pacing: Pacing) -> None:
        super().__init__(revision, pacing)
        self._planner = WindowPlanner(pacing.window_seconds, pacing.window_advance_seconds)
        self._lifecycle = SignalLifecycle()
        self._engagement = EngagementTracker()
        self._quality = QualityCadence(pacing.period_seconds, pacing.engagement_scores)
        self._covered_until = 0.0

    def accepted(self, number: int, size: int, start: float, end: float) -> tuple[list[ServerMessage], list[Window]]:
        """Plan the windows that are complete now (WIN-1)."""
        return [], self._planner.extend(end)

    def analysed(self, analysis: WindowAnalysis, include: Collection[str]) -> list[ServerMessage]:
        """Say what changed with this window."""
        said = self._lifecycle.apply(analysis.window, tuple(self._reports(analysis)))
        engagement = self._engagement.apply(analysis.engagement)
        if engagement is not None:
            said.append(engagement)
        said += self._close_periods(analysis, include)
        self._covered_until = analysis.window.end
        return said

    def dropped(self, window: Window, include: Collection[str], *, last: bool) -> list[ServerMessage]:
        """Say which stretch no analysis covers (COV-1); what the windows after it cover as well is not lost yet."""
        advance = self._pacing.window_advance_seconds
        said = [] if last else self._drop(min(window.start + advance, window.end))
        return said + self._close_periods(WindowAnalysis(window), include)

    def remainder(self, media_seconds: float) -> Window | None:
        """The stretch that no window covers yet."""
        return self._planner.remainder(media_seconds)

    def conclude(self) -> list[ServerMessage]:
        """Say what stayed without analysis, and end every active signal (SIG-7)."""
        return self._drop(self._planner.planned_until) + self._lifecycle.end_all()

    def _close_periods(self, analysis: WindowAnalysis, include: Collection[str]) -> list[ServerMessage]:
        closed = self._quality.apply(analysis.window.end, analysis.quality, analysis.engagement)
        if not include:
            return []
        return [_quality_updated(period.overall, period.entry, include) for period in closed]

    def _drop(self, until: float) -> list[ServerMessage]:
        if until <= self._covered_until:
            return []
        dropped = CoverageDropped((MediaRange(self._covered_until, until),))
        self._covered_until = until
        return [dropped]


class _StretchReporter(Reporter):
    """Says all about one stretch of media at a time."""

    def __init__(self, revision: Revision, pacing: Pacing) -> None:
        super().__init__(revision, pacing)
        self._overall = QualityMean()
        self._covered_until = 0.0

    def _score(self, analysis: WindowAnalysis) -> tuple[QualityScores, TimelineEntry]:
        """The scores of the session up to the end of this stretch, and those of the stretch itself."""
        window = analysis.window
        scores = contribution(analysis.quality, analysis.engagement, self._pacing.engagement_scores)
        alone = QualityMean()
        alone.add(scores, window.end - window.start)
        # Only what no stretch before it covered counts, and of that only what this one covers: not what was dropped.
        self._overall.add(scores, window.end - max(self._covered_until, window.start))
        self._covered_until = window.end
        entry = TimelineEntry(self._told(window.start, window), self._told(window.end, window), alone.scores())
        return self._overall.scores(), entry

    def _told(self, time: float, window: Window) -> float:
        """How a time in media seconds is told: from the start of the session, or of the segment (STS-2)."""
        return round(time - window.start, 9) if self._revision.relative_times else time


class WindowReporter(_StretchReporter):
    """Says all about each window (WIN-3)."""

    def __init__(self, revision: Revision, pacing: Pacing) -> None:
        super().__init__(revision, pacing)
        self._planner = WindowPlanner(pacing.window_seconds, pacing.window_advance_seconds)

    def accepted(self, number: int, size: int, start: float, end: float) -> tuple[list[ServerMessage], list[Window]]:
        """Plan the windows that are complete now (WIN-1)."""
        return [], self._planner.extend(end)

    def analysed(self, analysis: WindowAnalysis, include: Collection[str]) -> list[ServerMessage]:
        """Say what is in this window; every signal has its span."""
        window = analysis.window
        said: list[ServerMessage] = []
        signals = [
            SignalSpan(report.signal_type, window.start, window.end, report.probability, report.rationale)
            for report in self._reports(analysis)
        ]
        if signals:
            said.append(WindowSignals(tuple(signals)))
        if analysis.engagement is not None:
            said.append(WindowEngagement(analysis.engagement.state, window.start, window.end))
        overall, entry = self._score(analysis)
        if include:
            said.append(_quality_updated(overall, entry, include))
        return said

    def dropped(self, window: Window, include: Collection[str], *, last: bool) -> list[ServerMessage]:
        """Say nothing: this emission has no word for it."""
        return []


class SegmentReporter(_StretchReporter):
    """Says all about each segment (STS-1); every segment is a window."""

    def __init__(self, revision: Revision, pacing: Pacing) -> None:
        super().__init__(revision, pacing)
        self._index = 0
        self._state: str | None = None

    def accepted(self, number: int, size: int, start: float, end: float) -> tuple[list[ServerMessage], list[Window]]:
        """Say that the segment is being processed."""
        window = Window(self._index, start, end, segment=number)
        self._index += 1
        return [SegmentProcessing(number, size)], [window]

    def analysed(self, analysis: WindowAnalysis, include: Collection[str]) -> list[ServerMessage]:
        """Say what is in this segment, and that there is nothing more to say."""
        window = analysis.window
        assert window.segment is not None
        signals = tuple(self._span(report, window) for report in self._reports(analysis))
        overall, entry = self._score(analysis)
        engagement = self._engagement(analysis.engagement, window)
        result: ServerMessage = SegmentSignals(window.segment, signals)
        if SegmentResult in self._revision.messages:
            quality = ConversationQuality(*_sections(overall, entry, include)) if include else None
            result = SegmentResult(window.segment, signals, engagement, quality)
        return [result, SegmentCompleted(window.segment)]

    def dropped(self, window: Window, include: Collection[str], *, last: bool) -> list[ServerMessage]:
        """Say nothing: the session says by an error what became of the segment."""
        return []

    def _span(self, report: SignalReport, window: Window) -> SignalSpan:
        start = min(max(report.start, window.start), window.end)
        end = window.end if report.end is None else max(start, min(report.end, window.end))
        told = (self._told(start, window), self._told(end, window))
        return SignalSpan(report.signal_type, *told, report.probability, report.rationale)

    def _engagement(self, report: EngagementReport | None, window: Window) -> tuple[EngagementSpan, ...] | None:
        """The levels within the segment: the one before goes on until the report's begins (STS-3)."""
        if report is None:
            return None
        before, self._state = self._state, report.state
        start, end = self._told(window.start, window), self._told(window.end, window)
        change = min(max(self._told(report.start, window), start), end)
        if before in (None, report.state) or change in (start, end):
            return (EngagementSpan(start, end, report.state),)
        return (EngagementSpan(start, change, str(before)), EngagementSpan(change, end, report.state))


def _sections(
    overall: QualityScores, entry: TimelineEntry, include: Collection[str]
) -> tuple[QualityScores | None, tuple[TimelineEntry, ...] | None]:
    """The sections asked for, None for the others (CQI-2, CQI-3)."""
    return (
        overall if INCLUDE_OVERALL in include else None,
        (entry,) if INCLUDE_TIMELINE in include else None,
    )


def _quality_updated(
    overall: QualityScores, entry: TimelineEntry, include: Collection[str]
) -> ConversationQualityUpdated:
    return ConversationQualityUpdated(*_sections(overall, entry, include))


_REPORTERS: Mapping[Emission, type[Reporter]] = {
    Emission.CHANGES: ChangeReporter,
    Emission.WINDOWS: WindowReporter,
    Emission.SEGMENTS: SegmentReporter,
}


def make_reporter(revision: Revision, pacing: Pacing | None = None) -> Reporter:
    """Make the reporter for a session of this revision."""
    return _REPORTERS[revision.emission](revision, pacing if pacing is not None else Pacing())
