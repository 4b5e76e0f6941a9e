"""STS: what is said of each segment, in the revisions that report segment by segment."""

from __future__ import annotations

import re

import attrs

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import (
    Integer,
    SegmentCompleted,
    SegmentFailed,
    SegmentFailedText,
    SegmentProcessing,
    SegmentResult,
    SegmentSignals,
    SessionConfig,
)
from ihproto.revisions import INCLUDE_OVERALL, INCLUDE_TIMELINE, Revision
from ihproto.rules.engagement import judge_state
from ihproto.rules.quality import judge_presence, judge_scores
from ihproto.rules.windows import judge_signal_spans, judge_span


@attrs.define
class _Segment:
    """A segment about which something is still to be said."""

    size: int | None = None
    said: str | None = None


class StatusRules:
    """Judges what is said of the segments of one session: processing, result, completed, or an error (STS-1).

    Args:
        revision: The revision whose signal types, and whose words for an error, count.
    """

    def __init__(self, revision: Revision) -> None:
        self._types = revision.signal_types
        self._oversize = _pattern(revision.oversize_text, revision.contract.max_segment_size_bytes)
        self._sent = 0
        self._open: dict[int, _Segment] = {}

    @property
    def pending(self) -> tuple[int, ...]:
        """The numbers of the segments about which something is still to be said."""
        return tuple(self._open)

    def begin(self, number: int) -> None:
        """Take note that the client has begun to send a segment."""
        self._sent = number
        self._open[number] = _Segment()

    def finish(self, size: int) -> None:
        """Take note that the segment that was begun last is whole, and of its size in bytes."""
        segment = self._open.get(self._sent)
        if segment is not None:
            segment.size = size

    def judge_processing(self, message: SegmentProcessing, found: list[Finding]) -> None:
        """Judge `processing` (STS-1)."""
        segment = self._follow(message.segment, "processing", (None,), found)
        if segment is not None and segment.size is not None and segment.size != message.bytes:
            what = f"segment {message.segment} has {segment.size} bytes, not {message.bytes}"
            found.append(Finding(clause("STS-1"), what, "$.bytes"))

    def judge_signals(self, message: SegmentSignals, found: list[Finding]) -> None:
        """Judge `result` (STS-1, STS-2)."""
        self._follow(message.segment, "result", ("processing",), found)
        judge_signal_spans(message.signals, self._types, "STS-2", "$.signals", found)

    def judge_result(self, message: SegmentResult, config: SessionConfig, found: list[Finding]) -> None:
        """Judge `result` with all its sections (STS-1, STS-2, STS-3, CQI-5, CQI-6)."""
        self._follow(message.segment, "result", ("processing",), found)
        judge_signal_spans(message.signals, self._types, "STS-2", "$.signals", found)
        for index, span in enumerate(message.engagement_state or ()):
            path = f"$.engagement_state[{index}]"
            judge_state(span.state, "STS-3", f"{path}.state", found)
            judge_span(span.start, span.end, "STS-3", path, found)
        quality = message.conversation_quality
        overall, timeline = (quality.overall, quality.timeline) if quality is not None else (None, None)
        path = "$.conversation_quality"
        judge_presence("STS-3", "overall", overall, INCLUDE_OVERALL in config.include, path, found)
        judge_presence("STS-3", "timeline", timeline, INCLUDE_TIMELINE in config.include, path, found)
        if overall is not None:
            judge_scores(overall, f"{path}.overall", found)
        for index, entry in enumerate(timeline or ()):
            judge_span(entry.start, entry.end, "STS-3", f"{path}.timeline[{index}]", found)
            judge_scores(entry.values, f"{path}.timeline[{index}].values", found)

    def judge_completed(self, message: SegmentCompleted, found: list[Finding]) -> None:
        """Judge `completed` (STS-1)."""
        self._follow(message.segment, "completed", ("result",), found)
        self._open.pop(message.segment, None)

    def judge_failed(self, message: SegmentFailed, found: list[Finding]) -> None:
        """Judge `error` (STS-1)."""
        self._fail(message.segment, found)
        if not message.error_id:
            found.append(Finding(clause("STS-1"), "the error has no id", "$.error_id"))

    def judge_failed_text(self, message: SegmentFailedText, found: list[Finding]) -> None:
        """Judge `error` where it is one sentence (STS-1, STS-4)."""
        segment = self._fail(message.segment, found)
        if self._oversize is None or not message.error.startswith(self._oversize.prefix):
            return
        told = self._oversize.pattern.fullmatch(message.error)
        if told is None:
            what = f"the error for a segment that is too large reads {self._oversize.words!r}"
            found.append(Finding(clause("STS-4"), what, "$.error"))
        elif segment is not None and segment.size is not None and int(told[1]) != segment.size:
            what = f"segment {message.segment} has {segment.size} bytes, not {told[1]}"
            found.append(Finding(clause("STS-4"), what, "$.error"))

    def _fail(self, number: Integer | None, found: list[Finding]) -> _Segment | None:
        """Judge that a segment may fail now, and take note that there is nothing more to say about it."""
        if number is None:
            what = "the error names no segment; in this revision every error is about one"
            found.append(Finding(clause("STS-1"), what, "$.segment"))
            return None
        segment = self._follow(number, "error", (None, "processing", "result"), found)
        self._open.pop(number, None)
        return segment

    def _follow(
        self, number: Integer, what: str, after: tuple[str | None, ...], found: list[Finding]
    ) -> _Segment | None:
        """Judge that this may be said of the segment now, and take note of it."""
        if number < 1:
            found.append(Finding(clause("SEG-1"), f"segments are counted from 1, not {number}", "$.segment"))
            return None
        if number > self._sent:
            sentence = f"the message names segment {number}, but only {self._sent} were sent"
            found.append(Finding(clause("SEG-1"), sentence, "$.segment"))
            return None
        segment = self._open.get(number)
        if segment is None:
            sentence = f"{what} came for segment {number}, about which nothing more may be said"
            found.append(Finding(clause("STS-1"), sentence, "$.segment"))
            return None
        if segment.said not in after:
            sentence = f"{what} came for segment {number} after {segment.said or 'nothing'}"
            found.append(Finding(clause("STS-1"), sentence, "$.segment"))
        segment.said = what
        return segment


@attrs.frozen
class _Words:
    """The words of an error in which only numbers vary."""

    words: str
    prefix: str
    pattern: re.Pattern[str]


def _pattern(text: str | None, limit: int) -> _Words | None:
    if text is None:
        return None
    words = text.format(size="<n>", limit=limit)
    prefix, suffix = words.split("<n>")
    return _Words(words, prefix, re.compile(f"{re.escape(prefix)}([0-9]{{1,16}}){re.escape(suffix)}"))
