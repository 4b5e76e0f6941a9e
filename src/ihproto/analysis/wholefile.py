"""UPL: the analysis of a whole file, from the analyses of its windows.

Two views of the same thing. `analysis_result` says of a file what a stream would have said while it came in: the same
overlapping windows go through the same signal lifecycle, and each detection becomes one span (UPL-1). `job_result`
cuts the file into windows that do not overlap and reports each by itself (UPL-2). Times are seconds of the file's
media.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise

import attrs

from ihproto.analysis.engagement import EngagementTracker
from ihproto.analysis.lifecycle import SignalLifecycle
from ihproto.analysis.quality import ENGAGEMENT_SCORES, QualityCadence
from ihproto.analysis.reports import WindowAnalysis
from ihproto.analysis.windows import WindowPlanner
from ihproto.events import Window
from ihproto.messages import (
    ConversationQuality,
    EngagementSpan,
    QualityScores,
    ServerMessage,
    SignalDetected,
    SignalEnded,
    SignalSpan,
    SignalUpdated,
    TimelineEntry,
)
from ihproto.revisions import INCLUDE_OVERALL, INCLUDE_TIMELINE
from ihproto.uploads import INCLUDE_SIGNALS, AnalysisResult, UploadJobResult, UploadJobWindow

#: The engagement of media of which no window has said anything.
UNKNOWN_ENGAGEMENT = "neutral"

_RANKS = {None: -1, "low": 0, "medium": 1, "high": 2}


def file_windows(duration: float, length: float = 8.0, advance: float = 3.0) -> list[Window]:
    """Cut a file into windows, the last one shorter where it has to be (WIN-1, UPL-2).

    Args:
        duration: How long its media is, in seconds.
        length: The length of a window, in seconds.
        advance: How far one window begins after the one before, in seconds; the length, if they shall not overlap.

    Raises:
        ValueError: If such windows would leave gaps or never end.
    """
    planner = WindowPlanner(length, advance)
    windows = planner.extend(duration)
    remainder = planner.remainder(duration)
    return [*windows, remainder] if remainder is not None else windows


def analysis_result(
    analyses: Sequence[WindowAnalysis],
    duration: float,
    *,
    include: Collection[str] = (),
    period: float = 10.0,
    engagement_scores: Mapping[str, float] = ENGAGEMENT_SCORES,
) -> AnalysisResult:
    """Say what `POST /v1/upload/analyze` answers (UPL-1).

    Args:
        analyses: The analyses of the windows of `file_windows`, in order.
        duration: How long the file's media is, in seconds.
        include: The sections of conversation quality wanted.
        period: The length of an entry of the timeline, in seconds; the last one may be shorter.
        engagement_scores: What each level of engagement contributes where a window has no scores of its own.

    Raises:
        ValueError: If the file has no duration, or a window reaches beyond it.
    """
    return AnalysisResult(
        signal_spans(analyses),
        engagement_spans(analyses, duration),
        conversation_quality(analyses, duration, include, period, engagement_scores),
    )


def job_result(
    analyses: Sequence[WindowAnalysis],
    duration: float,
    window_seconds: float,
    *,
    include: Collection[str] = (),
    period: float = 10.0,
    engagement_scores: Mapping[str, float] = ENGAGEMENT_SCORES,
) -> UploadJobResult:
    """Say what a completed job holds (UPL-2).

    Args:
        analyses: The analyses of windows that do not overlap, in order.
        duration: How long the file's media is, in seconds.
        window_seconds: The length of the windows, in seconds.
        include: The sections wanted: those of conversation quality, and `signals`.
        period: The length of an entry of the timeline, in seconds; the last one may be shorter.
        engagement_scores: What each level of engagement contributes where a window has no scores of its own.

    Raises:
        ValueError: If the file has no duration, or a window reaches beyond it.
    """
    windows = job_windows(analyses)
    return UploadJobResult(
        duration,
        window_seconds,
        windows,
        merged_signals(windows) if INCLUDE_SIGNALS in include else None,
        conversation_quality(analyses, duration, include, period, engagement_scores),
    )


def signal_spans(analyses: Iterable[WindowAnalysis]) -> tuple[SignalSpan, ...]:
    """Make one span of each round of detected, updated and ended that a stream would say (SIG-5, SIG-7).

    A span has the highest probability of its round and the rationale that came with it, and every modality of the
    round. Spans come in the order in which they begin.
    """
    lifecycle = SignalLifecycle()
    said: list[ServerMessage] = []
    for analysis in analyses:
        said += lifecycle.apply(analysis.window, analysis.signals)
    said += lifecycle.end_all()
    rounds: dict[str, SignalSpan] = {}
    spans = []
    for message in said:
        match message:
            case SignalDetected(name, start, probability, rationale, modality):
                rounds[name] = SignalSpan(name, start, start, probability, rationale, modality)
            case SignalUpdated(name, _, probability, rationale, modality):
                rounds[name] = _stronger(rounds[name], probability, rationale, modality)
            case _:
                assert isinstance(message, SignalEnded)
                spans.append(attrs.evolve(rounds.pop(message.signal_type), end=message.end))
    return _in_order(spans)


def engagement_spans(analyses: Iterable[WindowAnalysis], duration: float) -> tuple[EngagementSpan, ...]:
    """Cover the file with levels of engagement, without gaps; it is neutral before anything is known (ENG-1, ENG-2).

    Raises:
        ValueError: If the file has no duration.
    """
    _require_duration(duration)
    tracker = EngagementTracker()
    changes: list[tuple[float, str]] = [(0.0, UNKNOWN_ENGAGEMENT)]
    for analysis in analyses:
        said = tracker.apply(analysis.engagement)
        if said is not None:
            changes.append((min(said.start, duration), said.state))
    spans: list[EngagementSpan] = []
    for (start, state), (end, _) in pairwise([*changes, (duration, "")]):
        if start == end:
            continue
        if spans and spans[-1].state == state:
            spans[-1] = attrs.evolve(spans[-1], end=end)
        else:
            spans.append(EngagementSpan(start, end, state))
    return tuple(spans)


def conversation_quality(
    analyses: Sequence[WindowAnalysis],
    duration: float,
    include: Collection[str],
    period: float = 10.0,
    engagement_scores: Mapping[str, float] = ENGAGEMENT_SCORES,
) -> ConversationQuality | None:
    """Score a file in the sections asked for (CQI-2, CQI-3, CQI-4); None when none is.

    The timeline covers all of the file: periods as in a stream, and what is left at the end as a shorter one.

    Raises:
        ValueError: If the file has no duration, or a window reaches beyond it.
    """
    _require_duration(duration)
    if analyses and analyses[-1].window.end > duration:
        raise ValueError(f"a window ends at {analyses[-1].window.end} s, and the file at {duration} s")
    if not {INCLUDE_OVERALL, INCLUDE_TIMELINE}.intersection(include):
        return None
    overall = timeline = None
    if INCLUDE_OVERALL in include:
        overall = _scores(analyses, 0.0, duration, engagement_scores)
    if INCLUDE_TIMELINE in include:
        timeline = _timeline(analyses, duration, period, engagement_scores)
    return ConversationQuality(overall, timeline)


def job_windows(analyses: Iterable[WindowAnalysis]) -> tuple[UploadJobWindow, ...]:
    """Report windows one by one; each signal has the span of its window (UPL-2).

    A window of which the analysis says nothing about engagement has the level of the one before.
    """
    windows = []
    state = UNKNOWN_ENGAGEMENT
    for analysis in analyses:
        index, start, end = analysis.window.index, analysis.window.start, analysis.window.end
        state = analysis.engagement.state if analysis.engagement is not None else state
        signals = tuple(
            SignalSpan(report.signal_type, start, end, report.probability, report.rationale)
            for report in analysis.signals
        )
        windows.append(UploadJobWindow(index, start, end, state, signals))
    return tuple(windows)


def merged_signals(windows: Iterable[UploadJobWindow]) -> tuple[SignalSpan, ...]:
    """Merge the signals of one type in windows that follow each other (UPL-2).

    A span has the highest probability in its windows and the rationale that came with it. Spans come in the order in
    which they begin.
    """
    open_spans: dict[str, SignalSpan] = {}
    spans = []
    for window in windows:
        present = {signal.type for signal in window.signals}
        spans += [open_spans.pop(name) for name in list(open_spans) if name not in present]
        for signal in window.signals:
            before = open_spans.get(signal.type)
            if before is not None:
                signal = attrs.evolve(_stronger(before, signal.probability, signal.rationale), end=signal.end)
            open_spans[signal.type] = signal
    return _in_order([*spans, *open_spans.values()])


def _stronger(
    span: SignalSpan, probability: str | None, rationale: str | None, modality: tuple[str, ...] | None = None
) -> SignalSpan:
    """The span with what is said next about it: a higher probability counts, with its rationale."""
    if modality is not None:
        span = attrs.evolve(span, modality=tuple(dict.fromkeys([*(span.modality or ()), *modality])))
    if _RANKS[probability] <= _RANKS[span.probability]:
        return span
    return attrs.evolve(span, probability=probability, rationale=rationale)


def _in_order(spans: Iterable[SignalSpan]) -> tuple[SignalSpan, ...]:
    return tuple(sorted(spans, key=lambda span: (span.start, span.end)))


def _timeline(
    analyses: Sequence[WindowAnalysis], duration: float, period: float, engagement_scores: Mapping[str, float]
) -> tuple[TimelineEntry, ...]:
    cadence = QualityCadence(period, engagement_scores=engagement_scores)
    entries = [
        closed.entry
        for analysis in analyses
        for closed in cadence.apply(analysis.window.end, analysis.quality, analysis.engagement)
    ]
    entries += [closed.entry for closed in cadence.apply(duration, None, None)]
    end = entries[-1].end if entries else 0.0
    if end < duration:
        entries.append(TimelineEntry(end, duration, _scores(analyses, end, duration, engagement_scores)))
    return tuple(entries)


def _scores(
    analyses: Sequence[WindowAnalysis], start: float, end: float, engagement_scores: Mapping[str, float]
) -> QualityScores:
    """The scores from `start` to the end of the file: those of a cadence that has just this one period."""
    cadence = QualityCadence(end - start, engagement_scores=engagement_scores)
    closed = []
    for analysis in analyses:
        if analysis.window.end > start:
            closed += cadence.apply(analysis.window.end - start, analysis.quality, analysis.engagement)
    return (closed or cadence.apply(end - start, None, None))[0].entry.values


def _require_duration(duration: float) -> None:
    if not duration > 0:
        raise ValueError(f"a file with {duration} s of media has nothing to analyse")
