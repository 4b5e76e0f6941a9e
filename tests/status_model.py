"""What a server of v0, v0.2 or v1-window has to say, written a second time.

Nothing of the package is used here. `ReportModel` is told everything that a server is given, and predicts what it
says to it, as JSON. Numbers are compared with a tolerance, sentences that nobody documents only for being there.

Times are media seconds, sizes are bytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from model import CLOSE_AFTER, DIMENSIONS, OVERALL, TIMELINE, Close, Json, Media, Output, Report, demand

ENGAGEMENT = {"engaged": 70.0, "neutral": 50.0, "disengaged": 30.0}
#: Scores are rounded to a tenth.
_SCORE_TOLERANCE = 0.051
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LINK = "https://docs.interhuman.ai/api-reference/error-handling#"


class Words:
    """Any sentence for a person."""

    def __repr__(self) -> str:
        return "<words>"


class Link:
    """The address of the description of one error (ERR-3); where the error is not documented, none."""

    def __init__(self, code: str) -> None:
        self.begins = f"{_LINK}{code}-"

    def __repr__(self) -> str:
        return f"<{self.begins}...>"


@dataclass(frozen=True)
class Score:
    """A score, before it was rounded."""

    value: Fraction


@dataclass(frozen=True)
class Dialect:
    """What the sources say of one revision.

    Attributes:
        smallest: The smallest segment, in bytes (SEG-3; SEG-10 for all others).
        largest: The largest segment, in bytes (SEG-2, SEG-3).
    """

    id: str
    smallest: int
    largest: int

    @property
    def by_segment(self) -> bool:
        return self.id in ("v0", "v0.2")


def alike(expected: Any, actual: Any) -> bool:
    """Whether what was said is what was expected; a dict that expects None for a key wants the key left out."""
    match expected:
        case Words():
            return isinstance(actual, str) and actual != ""
        case Link():
            return isinstance(actual, str) and actual.startswith(expected.begins)
        case Score(value):
            return isinstance(actual, int | float) and abs(Fraction(actual) - value) <= _SCORE_TOLERANCE
        case dict():
            wanted = {key: value for key, value in expected.items() if value is not None}
            return (
                isinstance(actual, dict)
                and wanted.keys() == actual.keys()
                and all(alike(value, actual[key]) for key, value in wanted.items())
            )
        case list():
            return (
                isinstance(actual, list)
                and len(actual) == len(expected)
                and all(alike(left, right) for left, right in zip(expected, actual, strict=True))
            )
        case float() | int():
            return (
                isinstance(actual, int | float)
                and not isinstance(actual, bool)
                and abs(actual - expected) <= 1e-9 * max(1.0, abs(expected))
            )
    return bool(expected == actual)


@dataclass
class Stretch:
    """A stretch of media that wants its analysis: a segment, or a window."""

    start: float
    end: float
    segment: int | None = None


@dataclass
class ReportModel:
    """Predicts what the server says, clause by clause."""

    dialect: Dialect
    correlation_id: str
    started_at: datetime
    upgraded: float
    include: tuple[str, ...] = ()
    window: float = 8
    advance: float = 3
    closed: bool = False
    segments: int = 0
    media_seconds: float = 0.0
    _lengths: list[float] = field(default_factory=list)
    outstanding: list[Stretch] = field(default_factory=list)
    #: The segments of which nothing more may be said, and how that came.
    answered: dict[int, str] = field(default_factory=dict)
    in_segment: bool = False
    _size: int = 0
    _fed: int = 0
    _discarding: bool = False
    _oversize: bool = False
    _windows: int = 0
    _level: str | None = None
    _covered: float = 0.0
    _weight: Fraction = Fraction(0)
    _sums: list[Fraction] = field(default_factory=lambda: [Fraction(0)] * len(DIMENSIONS))

    # -- what reaches the server --------------------------------------------------------------------

    def binary(self, size: int, final: bool, media: Media) -> list[Json]:
        if self.closed:
            return []
        if not self.in_segment:
            self.segments += 1
            self.in_segment = True
            self._size = self._fed = 0
            self._discarding = self._oversize = False
        self.in_segment = not final
        if self._discarding:
            return []
        self._size += size
        fault = self._judge_piece(size, final, media)
        if fault is not None:
            return self._refuse(*fault)
        if not final or self._oversize:
            return []
        self._lengths.append(media.seconds)
        start, self.media_seconds = self.media_seconds, math.fsum(self._lengths)
        if self.dialect.by_segment:
            self.outstanding.append(Stretch(start, self.media_seconds, self.segments))
            return [self._status("processing", segment=self.segments, bytes=self._size)]
        while (end := self._windows * self.advance + self.window) <= self.media_seconds:
            self.outstanding.append(Stretch(self._windows * self.advance, end))
            self._windows += 1
        return []

    def _judge_piece(self, size: int, final: bool, media: Media) -> tuple[str, Any] | None:
        """The error that a piece leads to, and its words."""
        self._oversize = self._size > self.dialect.largest
        if self._oversize:
            if self.dialect.id != "v0":
                return "ih6002", Words()
            # The whole size is in the sentence, so it can only be said at the end (STS-4).
            sentence = f"Video chunk too large: {self._size} bytes (maximum: 20971520 bytes)"
            return ("ih6002", sentence) if final else None
        self._fed += size
        if size and media.offset is not None and self._fed >= media.offset:
            return str(media.fault), Words()
        if final and self._size < max(1, self.dialect.smallest):
            return "ih5004", Words()
        if final and media.offset is None and media.fault is not None:
            return media.fault, Words()
        return None

    def _refuse(self, code: str, words: Any) -> list[Json]:
        self._discarding = True
        return [self._error(code, self.segments, words)]

    def text(self, raw: str) -> list[Json]:
        """A text: a config, where there is such a thing (CFG-1); it has no answer unless it is wrong (CFG-5)."""
        if self.closed or self.dialect.id != "v1-window":
            return []
        try:
            value = json.loads(raw, parse_constant=_refuse_constant)
            json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return [self._error("ih6001", None)]
        include = value.get("include", []) if isinstance(value, dict) else None
        names = isinstance(include, list) and all(isinstance(name, str) for name in include)
        if not isinstance(value, dict) or not value.keys() <= {"include"} or not names:
            return [self._error("ih6001", None)]
        assert isinstance(include, list)
        self.include = tuple(name for name in dict.fromkeys(include) if name in (OVERALL, TIMELINE))
        return []

    # -- what the server's owner does ---------------------------------------------------------------

    def analysed(self, report: Report) -> list[Json]:
        stretch = self.outstanding.pop(0)
        quality = self._score(report, stretch)
        if not self.dialect.by_segment:
            return self._window_reports(report, stretch, quality)
        assert stretch.segment is not None
        self.answered[stretch.segment] = "completed"
        offset = stretch.start if self.dialect.id == "v0" else 0.0
        signals = []
        for seen in report.signals:
            start = min(max(seen.start, stretch.start), stretch.end)
            end = stretch.end if seen.end is None else max(start, min(seen.end, stretch.end))
            signal: Json = {"type": seen.signal_type, "start": start - offset, "end": end - offset}
            if self.dialect.id != "v0":
                signal |= {"probability": seen.probability, "rationale": seen.rationale}
            signals.append(signal)
        result = self._status("result", segment=stretch.segment, signals=signals)
        if self.dialect.id != "v0":
            result |= {"engagement_state": self._levels(report, stretch), "conversation_quality": quality}
        return [result, self._status("completed", segment=stretch.segment)]

    def dropped(self) -> list[Json]:
        """Nobody analyses the next stretch: its segment gets an error instead (STS-1); of windows nothing is said."""
        stretch = self.outstanding.pop(0)
        return [] if stretch.segment is None else [self._error("ih1003", stretch.segment)]

    def erred(self, code: str, segment: int | None) -> tuple[list[Json], Close | None]:
        """The owner says an error that fits; what is said, and whether the session is closed after it."""
        if self.dialect.by_segment and segment is None:
            self.finish()
            return [], Close(CLOSE_AFTER[code])
        self.outstanding = [item for item in self.outstanding if segment is None or item.segment != segment]
        if self.in_segment and segment == self.segments and self.dialect.by_segment:
            self._discarding = True
        said = [self._error(code, segment)]
        if code in CLOSE_AFTER and not self.dialect.by_segment:
            self.finish()
            return said, Close(CLOSE_AFTER[code])
        return said, None

    def refusal(self, code: str) -> Json:
        """The error that takes the place of a session (RDY-3)."""
        return self._error(code, None)

    def finish(self) -> None:
        self.closed = True
        self.outstanding.clear()

    # -- the words ------------------------------------------------------------------------------------

    def _window_reports(self, report: Report, stretch: Stretch, quality: Json | None) -> list[Json]:
        """Signals, engagement and scores of one window, as far as there are any (WIN-3)."""
        span = {"start": stretch.start, "end": stretch.end}
        said = []
        if report.signals:
            signals = [
                {"type": seen.signal_type, **span, "probability": seen.probability, "rationale": seen.rationale}
                for seen in report.signals
            ]
            said.append(self._envelope("signal.detected", {"signals": signals}))
        if report.engagement is not None:
            said.append(self._envelope("engagement.updated", {"state": report.engagement[0], **span}))
        if quality is not None:
            said.append(self._envelope("conversation_quality.updated", quality))
        return said

    def _levels(self, report: Report, stretch: Stretch) -> list[Json] | None:
        """The level before lasts until the new one begins; a level of which no beginning is seen is there all along."""
        if report.engagement is None:
            return None
        before, self._level = self._level, report.engagement[0]
        change = min(max(report.engagement[1], stretch.start), stretch.end)
        if before in (None, self._level) or change in (stretch.start, stretch.end):
            return [{"start": stretch.start, "end": stretch.end, "state": self._level}]
        return [
            {"start": stretch.start, "end": change, "state": before},
            {"start": change, "end": stretch.end, "state": self._level},
        ]

    def _score(self, report: Report, stretch: Stretch) -> Json | None:
        """The sections asked for: all media analysed so far, each second once, and this stretch alone (STS-3)."""
        scores: tuple[float, ...] | None = report.quality
        if scores is None and report.engagement is not None:
            scores = (ENGAGEMENT[report.engagement[0]],) * len(DIMENSIONS)
        fresh = Fraction(stretch.end) - Fraction(max(stretch.start, self._covered))
        self._covered = stretch.end
        if scores is not None:
            self._weight += fresh
            self._sums = [total + fresh * Fraction(score) for total, score in zip(self._sums, scores, strict=True)]
        if not self.include:
            return None
        nothing = (50.0,) * len(DIMENSIONS)
        alone = _scores([Fraction(score) for score in scores or nothing])
        if stretch.start == stretch.end:
            alone = _scores([Fraction(score) for score in nothing])
        offset = stretch.start if self.dialect.id == "v0" else 0.0
        entry = {"start": stretch.start - offset, "end": stretch.end - offset, "values": alone}
        overall = [total / self._weight if self._weight else Fraction(50) for total in self._sums]
        return {
            "overall": _scores(overall) if OVERALL in self.include else None,
            "timeline": [entry] if TIMELINE in self.include else None,
        }

    def _error(self, code: str, segment: int | None, words: Any = None) -> Json:
        words = words if words is not None else Words()
        if segment is not None:
            self.answered[segment] = code
        if self.dialect.id == "v0":
            return self._status("error", segment=segment, error=words)
        if self.dialect.id == "v0.2":
            return self._status("error", segment=segment, error_id=code, message=words, link=Link(code))
        return self._envelope("error", {"code": code, "message": words, "link": Link(code), "segment": segment})

    def _status(self, status: str, **members: Any) -> Json:
        common = {"status": status} if self.dialect.id == "v0" else {"status": status, "correlation_id": ...}
        return {**common, **members}

    def _envelope(self, type_: str, data: Json) -> Json:
        return {"type": type_, "timestamp": ..., "correlation_id": ..., "data": data}

    # -- the comparison -------------------------------------------------------------------------------

    def check(
        self, expected: Sequence[Json], outputs: Sequence[Output], now: float, close: Close | None = None
    ) -> None:
        """Demand that a server said exactly this at `now` (STS-1, WIN-3, ENV-1, HS-9)."""
        said = [json.loads(output, parse_constant=_refuse_constant) for output in outputs if isinstance(output, str)]
        closes = [output for output in outputs if isinstance(output, Close)]
        demand("CLS-3", closes == ([close] if close is not None else []), f"{outputs}, expected {close}")
        demand("CLS-3", not closes or outputs[-1] == closes[0], f"something follows the close: {outputs}")
        clause_id = "STS-1" if self.dialect.by_segment else "WIN-3"
        demand(clause_id, len(said) == len(expected), f"{outputs}, expected {expected}")
        for wanted, actual in zip(expected, said, strict=True):
            whole = dict(wanted)
            if "correlation_id" in whole:
                whole["correlation_id"] = self.correlation_id
            if "timestamp" in whole:
                whole["timestamp"] = Words()
                self._check_timestamp(actual.get("timestamp"), now)
            if wanted.get("type") == "error" and actual.get("data", {}).get("segment", ...) is None:
                # ERR-1: null where it is about no single segment.
                whole["data"] = {**wanted["data"]}
                actual = {**actual, "data": {key: value for key, value in actual["data"].items() if key != "segment"}}
            demand(clause_id, alike(whole, actual), f"{actual}, expected {whole}")

    def _check_timestamp(self, timestamp: Any, now: float) -> None:
        demand("ENV-1", isinstance(timestamp, str) and _TIMESTAMP.fullmatch(timestamp) is not None, timestamp)
        moment = self.started_at + timedelta(seconds=now - self.upgraded)
        demand("ENV-1", abs(datetime.fromisoformat(timestamp) - moment) <= timedelta(microseconds=1), timestamp)


class ReportClientModel:
    """What a client of v0, v0.2 or v1-window knows, from what has reached it and what it did itself."""

    def __init__(self, dialect: Dialect, grace: float, include: tuple[str, ...] = ()) -> None:
        self.dialect = dialect
        self.state = "OPEN"
        self.deadline: float | None = None
        self.include = include
        self.pending: list[int] = []
        self.segments = 0
        self.size = 0
        self.in_segment = False
        self.error: str | None = None
        self.violations: list[str] = []
        self._before: tuple[str, ...] = ()
        self._grace = grace

    def may_send_config(self) -> bool:
        return self.dialect.id == "v1-window" and self.state in ("OPEN", "FAILED", "FINISHING")

    def sent_config(self, include: Sequence[str]) -> None:
        kept = tuple(name for name in dict.fromkeys(include) if name in (OVERALL, TIMELINE))
        self._before, self.include = self.include, kept

    def may_send_segment(self, size: int, final: bool, checked: bool) -> bool:
        total = self.size + size if self.in_segment else size
        if checked and (total > self.dialect.largest or (final and total < max(1, self.dialect.smallest))):
            return False
        return self.state in ("OPEN", "FAILED")

    def sent_segment(self, size: int, final: bool) -> None:
        if not self.in_segment:
            self.segments += 1
            self.size = 0
            if self.dialect.by_segment:
                self.pending.append(self.segments)
        self.size += size
        self.in_segment = not final

    def may_end(self) -> bool:
        return self.state in ("OPEN", "FAILED") and not self.in_segment

    def asked_to_end(self, now: float) -> None:
        self.state = "FINISHING"
        self._go_on(now)

    def may_close(self) -> bool:
        return self.state not in ("CLOSING", "CLOSED")

    def closes(self) -> None:
        self.state, self.deadline = "CLOSING", None

    def over(self) -> None:
        self.state, self.deadline = "CLOSED", None

    def passed(self, now: float) -> str | None:
        """The clause that is overdue, if the time has come for it."""
        if self.deadline is None or now < self.deadline:
            return None
        overdue = "STS-5" if self.pending else None
        if overdue is not None:
            self.violations.append(overdue)
        self.closes()
        return overdue

    def text(self, raw: str, now: float) -> None:
        message = json.loads(raw)
        if message.get("status") in ("completed", "error"):
            self.pending.remove(message["segment"])
        if message.get("type") == "error":
            self._take_error(message["data"])
        if self.state == "FINISHING":
            self._go_on(now)

    def _take_error(self, data: Json) -> None:
        if data["code"] in CLOSE_AFTER:
            self.error = data["code"]
            self.state = "FAILED" if self.state == "OPEN" else self.state
        if data["code"] == "ih6001":
            self.include = self._before

    def _go_on(self, now: float) -> None:
        """Close when all is said; where nobody tells when that is, when there was silence for long (STS-1)."""
        if self.dialect.by_segment and not self.pending:
            self.closes()
        else:
            self.deadline = now + self._grace


def check_statuses(texts: Sequence[str], segments: int) -> None:
    """Check a whole stream of status messages: (processing (result completed | error) | error)? for each (STS-1)."""
    said: dict[int, list[str]] = {}
    for text in texts:
        message = json.loads(text)
        number = message["segment"]
        demand("SEG-1", 1 <= number <= segments, text)
        said.setdefault(number, []).append(message["status"])
    for number, statuses in said.items():
        full = ["processing", "result", "completed"]
        fine = statuses == full[: len(statuses)] or (
            statuses[-1] == "error" and statuses[:-1] in ([], ["processing"], ["processing", "result"])
        )
        demand("STS-1", fine, f"segment {number}: {statuses}")


def _scores(means: Sequence[Fraction]) -> Mapping[str, Score]:
    scores = {name: Score(mean) for name, mean in zip(DIMENSIONS, means, strict=True)}
    return {"quality_index": Score(sum(means, Fraction(0)) / len(means)), **scores}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
