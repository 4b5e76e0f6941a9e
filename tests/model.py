"""What the protocol demands of the two ends of a session, written a second time.

Nothing of the package is used here: the model reads the JSON text on the wire with `json`, keeps its own books, and
says which clause is broken. `ServerModel` is told everything that a server is given, together with what it said to it,
and demands exactly the right answer; `ClientModel` is told everything that reaches a client and predicts what the
client then knows.

Times on the session's clock and media times are seconds, sizes are bytes.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

OVERALL = "conversation_quality_overall"
TIMELINE = "conversation_quality_timeline"
DIMENSIONS = ("clarity", "authority", "energy", "rapport", "learning")
#: The close that follows an error in a stream, for the errors that have one.
CLOSE_AFTER: Mapping[str, int] = {
    "ih1001": 1011,
    "ih1003": 1013,
    "ih2003": 4003,
    "ih4005": 1008,
    "ih6003": 1001,
    "ih6004": 1001,
}
#: The documented types of signal (SIG-6).
SIGNAL_TYPES = frozenset(
    [
        "agreement",
        "confidence",
        "confusion",
        "disagreement",
        "disengagement",
        "engagement",
        "frustration",
        "hesitation",
        "interest",
        "skepticism",
        "stress",
        "tension",
        "uncertainty",
    ]
)

#: The model that hears audio alone, and so takes raw audio (CFG-8).
AUDIBLE = "inter-2-audio"

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_LIFECYCLE = re.compile(r"(du*e)*")
_LIFECYCLE_OPEN = re.compile(r"(du*e)*(du*)?")


class Broken(AssertionError):
    """The model saw a clause broken."""

    def __init__(self, clause_id: str, what: str) -> None:
        super().__init__(f"{clause_id}: {what}")
        self.clause_id = clause_id


def demand(clause_id: str, holds: bool, what: object) -> None:
    if not holds:
        raise Broken(clause_id, str(what))


@dataclass(frozen=True)
class Close:
    """A close frame."""

    code: int


Output: TypeAlias = str | Close


@dataclass(frozen=True)
class Terms:
    """What a server promises, and how it analyses; where it offers models, it is one of v2."""

    idle: float = 300
    longest: float = 3600
    smallest: int = 1
    largest: int = 100
    include: tuple[str, ...] = (OVERALL, TIMELINE)
    goals: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    text_limit: int = 65536
    drain: float = 30
    window: float = 8
    advance: float = 3
    period: float = 10
    engagement: Mapping[str, float] = field(
        default_factory=lambda: {"engaged": 70.0, "neutral": 50.0, "disengaged": 30.0}
    )


@dataclass(frozen=True)
class Wanted:
    """What a config asks for."""

    include: tuple[str, ...] = ()
    goals: tuple[str, ...] | None = None
    model: str | None = None
    audio: tuple[str, int, int] | None = None


@dataclass(frozen=True)
class Media:
    """What a scanner will say of one segment.

    A fault with an offset is found as soon as that many bytes were fed, one without at the end of the segment.
    """

    seconds: float
    fault: str | None = None
    offset: int | None = None


@dataclass(frozen=True)
class Seen:
    """A signal in a window."""

    signal_type: str
    start: float
    end: float | None = None
    since: float | None = None
    probability: str | None = None
    rationale: str | None = None


@dataclass(frozen=True)
class Report:
    """What an analyser says of a window."""

    signals: tuple[Seen, ...] = ()
    engagement: tuple[str, float] | None = None
    quality: tuple[float, ...] | None = None


# -- reading --------------------------------------------------------------------------------------


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _no_doubles(pairs: list[tuple[str, Any]]) -> Json:
    demand("ENV-1", len({key for key, _ in pairs}) == len(pairs), "a key is doubled")
    return dict(pairs)


def read_json(text: str) -> Any:
    """Read JSON as the standard has it, without Python's extensions.

    Raises:
        ValueError: If it is none.
    """
    value = json.loads(text, parse_constant=_no_constant)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _audio(value: Any) -> tuple[str, int, int] | None:
    return (value["encoding"], value["sample_rate"], value["channels"]) if value is not None else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_scores(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"quality_index", *DIMENSIONS}
        and all(_is_number(score) and 0 <= score <= 100 for score in value.values())
    )


def _is_range(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"start", "end"} and all(map(_is_number, value.values()))


def _is_ranges(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_range, value))


def _is_timeline(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 1
        and isinstance(value[0], dict)
        and value[0].keys() == {"start", "end", "values"}
        and _is_number(value[0]["start"])
        and _is_number(value[0]["end"])
        and _is_scores(value[0]["values"])
    )


def _is_link(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.startswith("https://"))


def _is_segment(value: Any) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1)


def _is_options(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_texts, value.values())) and "include" in value


_REPORTED = {"signal_type": _is_text, "start": _is_number}
_MAYBE_REPORTED = {"probability": _is_text, "rationale": _is_text, "modality": _is_texts}

#: For every type: the clause of its shape, its fields, and the fields that may be absent.
_SHAPES: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "session.ready": (
        "RDY-2",
        {
            "session_idle_timeout_seconds": _is_number,
            "session_max_duration_seconds": _is_number,
            "min_segment_size_bytes": _is_number,
            "max_segment_size_bytes": _is_number,
            "supported_session_config_options": _is_options,
        },
        {"min_segment_duration_seconds": _is_number, "max_segment_duration_seconds": _is_number},
    ),
    "session.updated": ("CFG-2", {"include": _is_texts}, {"goal_dimensions": _is_texts, "model": _is_text}),
    "session.closing": ("CLS-1", {"max_drain_seconds": _is_number}, {}),
    "session.ended": ("CLS-1", {"reason": _is_text}, {}),
    "signal.detected": ("SIG-1", _REPORTED, _MAYBE_REPORTED),
    "signal.updated": ("SIG-2", _REPORTED, _MAYBE_REPORTED),
    "signal.ended": ("SIG-3", {"signal_type": _is_text, "end": _is_number}, {}),
    "engagement.updated": ("ENG-1", {"state": _is_text, "start": _is_number}, {}),
    "conversation_quality.updated": ("CQI-5", {}, {"overall": _is_scores, "timeline": _is_timeline}),
    "feedback.generated": ("CFG-6", {"feedback": _is_text}, {}),
    "coverage.dropped": ("COV-1", {"ranges": _is_ranges}, {}),
    "error": ("ERR-1", {"code": _is_text, "message": _is_text, "link": _is_link, "segment": _is_segment}, {}),
}


@dataclass(frozen=True)
class Said:
    """A server message, read and found to have the shape of its type."""

    type: str
    data: Json


def read_envelope(text: str, correlation_id: str, moment: datetime) -> Said:
    """Read what a server said at `moment` (ENV-1, ENV-2, and the shape of the type)."""
    try:
        envelope = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_doubles)
    except ValueError as error:
        raise Broken("ENV-1", f"no JSON: {error}") from None
    demand("ENV-1", isinstance(envelope, dict), text)
    demand("ENV-1", envelope.keys() == {"type", "timestamp", "correlation_id", "data"}, text)
    demand("ENV-1", _is_text(envelope["timestamp"]), text)
    demand("ENV-1", _TIMESTAMP.fullmatch(envelope["timestamp"]) is not None, text)
    apart = datetime.fromisoformat(envelope["timestamp"]) - moment
    demand("ENV-1", abs(apart) <= timedelta(microseconds=1), f"{envelope['timestamp']} at {moment}")
    demand("ENV-2", envelope["correlation_id"] == correlation_id, text)
    type_, data = envelope["type"], envelope["data"]
    demand("ENV-1", type_ in _SHAPES, f"{type_} is not a type of this revision")
    clause_id, fields, more = _SHAPES[type_]
    demand(clause_id, isinstance(data, dict), text)
    demand(clause_id, fields.keys() <= data.keys() <= fields.keys() | more.keys(), text)
    for key, value in data.items():
        demand(clause_id, (fields.get(key) or more[key])(value), f"{key} in {text}")
    return Said(type_, data)


# -- the server -----------------------------------------------------------------------------------


class ServerModel:
    """Everything that a server has to do, clause by clause.

    Every method takes what the server was given and what it sent in return, and raises `Broken` if that is not what
    the protocol demands.
    """

    def __init__(
        self, terms: Terms, correlation_id: str, started_at: datetime, now: float, model: str | None = None
    ) -> None:
        self.terms = terms
        self.model = model if model is not None or terms.models is None else terms.models[0]
        self.audio: tuple[str, int, int] | None = None
        self.phase = "opening"
        self.include: tuple[str, ...] = ()
        self.goals: tuple[str, ...] | None = None
        self.segments = 0
        self.media_seconds = 0.0
        self._lengths: list[float] = []
        self.outstanding: list[tuple[float, float]] = []
        self.media_times: list[tuple[int, float, float]] = []
        self.refused: list[tuple[int, str]] = []
        self.in_segment = False
        self._correlation_id = correlation_id
        self._started_at = started_at
        self._upgraded = now
        self._active_at = now
        self._drain_until = 0.0
        self._size = 0
        self._fed = 0
        self._discarding = False
        self._windows = 0
        self._planned_until = 0.0
        self._covered_until = 0.0
        self._signals: dict[str, str | None] = {}
        self._started: dict[str, float] = {}
        self._latest: dict[str, float] = {}
        self._history: dict[str, str] = {}
        self._engagement: tuple[str, float] | None = None
        self._stretches: list[tuple[float, float, tuple[float, ...] | None]] = []
        self._stretch_ends: list[float] = []
        self._integrals: list[list[Fraction]] = [[Fraction(0)] * (1 + len(DIMENSIONS))]
        self._periods = 0

    @property
    def deadline(self) -> float | None:
        """When the server must act next (TMO-1, TMO-2, CLS-1)."""
        expires = self._upgraded + self.terms.longest
        if self.phase == "draining":
            return self._drain_until
        if self.phase == "open":
            return min(self._active_at + self.terms.idle, expires)
        return None

    # -- what the owner does ------------------------------------------------------------------------

    def opened(self, outputs: Sequence[Output], now: float) -> None:
        said, close = self._read(outputs, now)
        demand("RDY-1", [item.type for item in said] == ["session.ready"] and close is None, outputs)
        data, terms = said[0].data, self.terms
        options = data["supported_session_config_options"]
        told = (
            data["session_idle_timeout_seconds"],
            data["session_max_duration_seconds"],
            data["min_segment_size_bytes"],
            data["max_segment_size_bytes"],
            tuple(options["include"]),
            tuple(options["goal_dimensions"]) if "goal_dimensions" in options else None,
            tuple(options["model"]) if "model" in options else None,
        )
        wanted = (
            terms.idle,
            terms.longest,
            terms.smallest,
            terms.largest,
            terms.include,
            terms.goals,
            terms.models,
        )
        demand("RDY-2", told == wanted, f"{told} is not {wanted}")
        self.phase = "open"

    def refused_session(self, code: str, outputs: Sequence[Output], now: float) -> None:
        said, close = self._read(outputs, now)
        demand("RDY-3", len(said) == 1, outputs)
        self._is_error(said[0], "RDY-3", code, None)
        demand("ERR-2", close == Close(CLOSE_AFTER[code]), outputs)
        self._finish()

    def erred(self, code: str, segment: int | None, outputs: Sequence[Output], now: float) -> None:
        said, close = self._read(outputs, now)
        demand("ERR-1", len(said) == 1, outputs)
        self._is_error(said[0], "ERR-1", code, segment)
        demand("ERR-2", close == (Close(CLOSE_AFTER[code]) if code in CLOSE_AFTER else None), outputs)
        if close is not None:
            self._finish()

    def advised(self, outputs: Sequence[Output], now: float) -> None:
        said, close = self._read(outputs, now)
        demand("CFG-6", [item.type for item in said] == ["feedback.generated"] and close is None, outputs)
        demand("CFG-6", bool(self.goals), "no goal dimensions are in force")

    def closed(self, code: int, outputs: Sequence[Output], now: float) -> None:
        said, close = self._read(outputs, now)
        demand("CLS-3", not said and close == Close(code), outputs)
        self._finish()

    # -- what the client does -----------------------------------------------------------------------

    def over(self, outputs: Sequence[Output], now: float) -> None:
        """The peer closed, or the connection is gone."""
        demand("CLS-3", not outputs, outputs)
        self._finish()

    def text(self, raw: str, outputs: Sequence[Output], now: float) -> None:
        said, close = self._read(outputs, now)
        if self.phase == "closed":
            return
        self._active_at = now
        asked = self._read_text(raw)
        if asked == "close" and self.phase == "open":
            drain = max(0, min(self.terms.drain, self._upgraded + self.terms.longest - now))
            self._drain_until = now + drain
            self.phase = "draining"
            if self.media_seconds > self._planned_until:
                self._plan(self.media_seconds)
            demand("CLS-1", bool(said) and said[0].type == "session.closing", outputs)
            demand("TMO-2", said[0].data["max_drain_seconds"] == drain, f"{outputs} instead of {drain}")
            self._expect_end_when_drained(said[1:], close, outputs)
            return
        demand("CFG-2", len(said) == 1 and close is None, outputs)
        if not isinstance(asked, Wanted):
            self._is_error(said[0], "CFG-5", "ih6001", None)
            return
        demand("CFG-2", said[0].type == "session.updated", said)
        include, goals = asked.include, asked.goals
        data = said[0].data
        demand("CFG-4", sorted(data["include"]) == sorted(include), f"{data['include']} is not {include}")
        told = tuple(data["goal_dimensions"]) if "goal_dimensions" in data else None
        demand("CFG-6", told == goals, f"{told} is not {goals}")
        self.include, self.goals = include, goals
        self.model = asked.model if asked.model is not None else self.model
        self.audio = asked.audio if asked.audio is not None else self.audio
        demand("CFG-7", data.get("model") == self.model, f"{data} instead of {self.model}")

    def binary(self, size: int, final: bool, media: Media, outputs: Sequence[Output], now: float) -> None:
        said, close = self._read(outputs, now)
        if self.phase == "closed":
            return
        self._active_at = now
        code: str | None = None
        if not self.in_segment:
            self.segments += 1
            self._size = self._fed = 0
            self.in_segment = True
            self._discarding = self.phase == "draining"
            code = "ih6001" if self._discarding else None
        self._size += size
        if not self._discarding:
            if self._size > self.terms.largest:
                code = "ih6002"
            else:
                self._fed += size
                if size and media.offset is not None and self._fed >= media.offset:
                    code = media.fault
                elif final and self._size < max(1, self.terms.smallest):
                    code = "ih5004"
                elif final and media.offset is None:
                    code = media.fault
        if final:
            self.in_segment = False
        if code is not None:
            self._discarding = True
            self.refused.append((self.segments, code))
            demand("SEG-1", len(said) == 1 and close is None, f"segment {self.segments}, {code}: {outputs}")
            clause_id = {"ih6001": "CLS-2", "ih6002": "SEG-2", "ih5004": "SEG-10"}.get(code, "SEG-8")
            self._is_error(said[0], clause_id, code, self.segments)
            return
        demand("SEG-1", not outputs, outputs)
        if final and not self._discarding:
            start = self.media_seconds
            self._lengths.append(media.seconds)
            self.media_seconds = math.fsum(self._lengths)
            self.media_times.append((self.segments, start, self.media_seconds))
            while (end := self._windows * self.terms.advance + self.terms.window) <= self.media_seconds:
                self._plan(end)

    # -- analysis -----------------------------------------------------------------------------------

    def analysed(self, report: Report, outputs: Sequence[Output], now: float) -> None:
        _, end = self.outstanding.pop(0)
        said, close = self._read(outputs, now)
        tail: list[Said] = []
        if said and said[-1].type == "session.ended":
            present = {item.signal_type for item in report.signals}
            tail = [item for item in said if item.type == "signal.ended" and item.data["signal_type"] in present]
            said = [item for item in said[:-1] if item not in tail]
            tail.append(Said("session.ended", {"reason": "client_shutdown"}))
            demand("CLS-1", self._read(outputs, now)[0][-1] == tail[-1], outputs)
        self._check_signals(report, end, [item for item in said if item.type.startswith("signal.")])
        self._check_engagement(report, [item for item in said if item.type == "engagement.updated"])
        contribution = report.quality
        if contribution is None and report.engagement is not None:
            contribution = (self.terms.engagement[report.engagement[0]],) * len(DIMENSIONS)
        self._check_quality(end, contribution, said)
        self._covered_until = end
        known = ("signal.", "engagement.updated", "conversation_quality.updated")
        demand("ENV-1", all(item.type.startswith(known) for item in said), said)
        self._expect_end_when_drained(tail, close, outputs)

    def dropped(self, outputs: Sequence[Output], now: float) -> None:
        start, end = self.outstanding.pop(0)
        said, close = self._read(outputs, now)
        # What the window after it covers as well is not lost yet; after the last window of a drain there is none.
        if self.outstanding or self.phase != "draining":
            said = self._take_dropped(said, min(start + self.terms.advance, end))
        self._expect_end_when_drained(self._take_quality(said, end), close, outputs)

    def passed(self, outputs: Sequence[Output], now: float) -> None:
        """The server was given the time."""
        deadline = self.deadline
        if deadline is None or now < deadline:
            demand("TMO-1", not outputs, f"{outputs} at {now}, before {deadline}")
            return
        said, close = self._read(outputs, now)
        expires = self._upgraded + self.terms.longest
        if self.phase == "draining":
            while self.outstanding:
                said = self._take_quality(said, self.outstanding.pop(0)[1])
            self._expect_end_when_drained(said, close, outputs)
            return
        idle = self._active_at + self.terms.idle
        codes = [code for code, moment in (("ih6003", idle), ("ih6004", expires)) if moment == deadline]
        clause_id = "TMO-1" if codes == ["ih6003"] else "TMO-2"
        demand(clause_id, len(said) == 1 and said[0].data.get("code") in codes, outputs)
        self._is_error(said[0], clause_id, said[0].data["code"], None)
        demand(clause_id, close == Close(1001), outputs)
        self._finish()

    # -- inside -------------------------------------------------------------------------------------

    def _read(self, outputs: Sequence[Output], now: float) -> tuple[list[Said], Close | None]:
        if self.phase == "closed":
            demand("CLS-3", not outputs, f"sent after the close: {outputs}")
        moment = self._started_at + timedelta(seconds=now - self._upgraded)
        said: list[Said] = []
        close: Close | None = None
        for output in outputs:
            demand("CLS-3", close is None, f"sent after the close: {output}")
            if isinstance(output, Close):
                close = output
            else:
                said.append(read_envelope(output, self._correlation_id, moment))
        if self.phase != "opening":
            demand("RDY-1", all(item.type != "session.ready" for item in said), "session.ready came twice")
        return said, close

    def _finish(self) -> None:
        self.phase = "closed"
        self.outstanding.clear()

    def _read_text(self, raw: str) -> Wanted | str:
        """What a text asks for: a config, "close", or "nothing" that is understood."""
        if len(raw.encode(errors="surrogatepass")) > self.terms.text_limit:
            return "nothing"
        try:
            value = read_json(raw)
        except (ValueError, RecursionError):
            return "nothing"
        if not isinstance(value, dict):
            return "nothing"
        if value.get("type") == "session.close":
            return "close"
        include, goals = value.get("include", []), value.get("goal_dimensions")
        known = {"include", "goal_dimensions"} | ({"model", "audio_format"} if self.terms.models is not None else set())
        if not value.keys() <= known or not _is_texts(include) or not self._takes_model(value):
            return "nothing"
        audio = _audio(value.get("audio_format"))
        kept = tuple(name for name in dict.fromkeys(include) if name in self.terms.include)
        if goals is None:
            return Wanted(kept, None, value.get("model"), audio)
        if not _is_texts(goals) or self.terms.goals is None or not set(goals) <= set(self.terms.goals):
            return "nothing"
        return Wanted(kept, tuple(goals), value.get("model"), audio)

    def _takes_model(self, value: Json) -> bool:
        """Whether model and audio format may be so: they are fixed when media has begun (CFG-7, CFG-8)."""
        model = value.get("model")
        if model is not None and model != self.model and (self.segments or model not in (self.terms.models or ())):
            return False
        audio = _audio(value.get("audio_format"))
        if audio is not None and audio != self.audio and self.segments:
            return False
        return (audio or self.audio) is None or (model or self.model) == AUDIBLE

    def _is_error(self, said: Said, clause_id: str, code: str, segment: int | None) -> None:
        demand(clause_id, said.type == "error" and said.data["code"] == code, f"{said} instead of {code}")
        demand("SEG-8", said.data["segment"] == segment, f"{said} instead of segment {segment}")
        demand("ERR-1", bool(said.data["message"]), said)

    def _take_dropped(self, said: list[Said], until: float) -> list[Said]:
        """Demand that what no analysis covers until a time is reported first; the rest of what was said (COV-1)."""
        if until <= self._covered_until:
            return said
        demand("COV-1", bool(said) and said[0].type == "coverage.dropped", said)
        wanted = [{"start": self._covered_until, "end": until}]
        demand("COV-1", said[0].data["ranges"] == wanted, f"{said} instead of {wanted}")
        demand("COV-1", 0 <= self._covered_until < until <= self.media_seconds, said)
        self._covered_until = until
        return said[1:]

    def _take_quality(self, said: list[Said], until: float) -> list[Said]:
        """Check the quality updates of a window without analysis; the rest of what was said."""
        count = 0
        while count < len(said) and said[count].type == "conversation_quality.updated":
            count += 1
        due = sum(1 for _ in self._boundaries(until)) if self.include else 0
        demand("CQI-1", count >= due, f"{said}, {due} are due")
        self._check_quality(until, None, said[:due])
        return said[due:]

    def _boundaries(self, until: float) -> Iterator[float]:
        index = self._periods + 1
        while (boundary := index * self.terms.period) <= until:
            yield boundary
            index += 1

    def _plan(self, end: float) -> None:
        self.outstanding.append((self._windows * self.terms.advance, end))
        self._windows += 1
        self._planned_until = end

    def _expect_end_when_drained(self, said: list[Said], close: Close | None, outputs: Sequence[Output]) -> None:
        if self.outstanding or self.phase != "draining":
            demand("CLS-1", not said and close is None, outputs)
            return
        said = self._take_dropped(said, self._planned_until)
        demand("CLS-1", bool(said) and said[-1] == Said("session.ended", {"reason": "client_shutdown"}), outputs)
        demand("CLS-1", close == Close(1000), outputs)
        for item in said[:-1]:
            demand("SIG-7", item.type == "signal.ended", item)
            self._check_ended(item, math.inf)
        demand("SIG-7", not self._signals, f"still active: {list(self._signals)}")
        for name, history in self._history.items():
            demand("SIG-5", _LIFECYCLE.fullmatch(history) is not None, f"{name}: {history}")
        self._finish()

    def _check_signals(self, report: Report, until: float, said: list[Said]) -> None:
        seen = {item.signal_type: item for item in report.signals}
        absent = [name for name in self._signals if name not in seen]
        ends = [item for item in said if item.type == "signal.ended"]
        demand("SIG-3", sorted(item.data["signal_type"] for item in ends) == sorted(absent), f"{ends}, not {absent}")
        for item in ends:
            self._check_ended(item, until)
        new = [name for name in seen if name not in self._signals]
        changed = [name for name, old in self._signals.items() if seen[name].probability != old]
        for clause_id, type_, letter, wanted in (
            ("SIG-1", "signal.detected", "d", new),
            ("SIG-2", "signal.updated", "u", changed),
        ):
            found = [item for item in said if item.type == type_]
            names = [item.data["signal_type"] for item in found]
            demand(clause_id, sorted(names) == sorted(wanted), f"{names} instead of {wanted}")
            for item in found:
                self._check_reported(item, seen[item.data["signal_type"]], clause_id, letter)

    def _check_reported(self, item: Said, seen: Seen, clause_id: str, letter: str) -> None:
        name, time = item.data["signal_type"], item.data["start"]
        latest = self._latest.get(name, 0.0)
        wanted = seen.start if letter == "d" or seen.since is None else seen.since
        demand("SIG-4", time == max(wanted, latest), f"{item}, seen since {wanted}, reported last at {latest}")
        demand(clause_id, item.data.get("probability") == seen.probability, f"{item} for {seen}")
        demand(clause_id, item.data.get("rationale") == seen.rationale, f"{item} for {seen}")
        self._latest[name] = time
        self._signals[name] = seen.probability
        if letter == "d":
            self._started[name] = time
        self._note(name, letter)

    def _check_ended(self, item: Said, until: float) -> None:
        name, time = item.data["signal_type"], item.data["end"]
        demand("SIG-5", name in self._signals, f"{item} is not active")
        latest = self._latest[name]
        demand("SIG-4", time >= self._started[name], f"{item} ends before {self._started[name]}")
        demand("SIG-4", latest <= time <= max(latest, until, self.media_seconds), f"{item}, last at {latest}")
        self._latest[name] = time
        del self._signals[name]
        self._note(name, "e")

    def _note(self, name: str, letter: str) -> None:
        self._history[name] = self._history.get(name, "") + letter
        demand("SIG-5", _LIFECYCLE_OPEN.fullmatch(self._history[name]) is not None, f"{name}: {self._history[name]}")

    def _check_engagement(self, report: Report, said: list[Said]) -> None:
        if report.engagement is None or (self._engagement and self._engagement[0] == report.engagement[0]):
            demand("ENG-2", not said, said)
            return
        demand("ENG-1" if self._engagement is None else "ENG-2", len(said) == 1, said)
        state, start = said[0].data["state"], said[0].data["start"]
        demand("ENG-3", state in ("engaged", "neutral", "disengaged"), said)
        demand("ENG-2", state == report.engagement[0], said)
        earliest = self._engagement[1] if self._engagement else 0.0
        demand("ENG-3", start == max(report.engagement[1], earliest), said)
        self._engagement = (state, start)

    def _check_quality(self, until: float, scores: tuple[float, ...] | None, said: Sequence[Said]) -> None:
        self._stretches.append((self._stretch_ends[-1] if self._stretch_ends else 0.0, until, scores))
        whole = self._integral(until)
        self._stretch_ends.append(until)
        self._integrals.append(whole)
        found = [item for item in said if item.type == "conversation_quality.updated"]
        closed = []
        for boundary in list(self._boundaries(until)):
            closed.append((self._periods * self.terms.period, boundary))
            self._periods += 1
        demand("CQI-1", len(found) == (len(closed) if self.include else 0), f"{found} for {closed}, {self.include}")
        for item, (start, end) in zip(found, closed, strict=False):
            demand("CQI-2", ("overall" in item.data) == (OVERALL in self.include), item)
            demand("CQI-3", ("timeline" in item.data) == (TIMELINE in self.include), item)
            if "overall" in item.data:
                self._check_scores("CQI-2", item.data["overall"], 0.0, end)
            if "timeline" in item.data:
                entry = item.data["timeline"][0]
                demand("CQI-3", (entry["start"], entry["end"]) == (start, end), f"{entry} is not {start} to {end}")
                self._check_scores("CQI-3", entry["values"], start, end)

    def _check_scores(self, clause_id: str, told: Mapping[str, float], start: float, end: float) -> None:
        weight, *sums = [b - a for a, b in zip(self._integral(start), self._integral(end), strict=True)]
        means = [total / weight if weight else Fraction(50) for total in sums]
        for name, mean in zip(DIMENSIONS, means, strict=True):
            demand(clause_id, abs(Fraction(told[name]) - mean) <= Fraction(51, 1000), f"{name}: {told} not {mean}")
        index = sum(means, Fraction(0)) / len(means)
        demand("CQI-6", abs(Fraction(told["quality_index"]) - index) <= Fraction(51, 1000), f"{told} not {index}")

    def _integral(self, time: float) -> list[Fraction]:
        """The seconds that contributed before `time`, and the scores summed over them."""
        index = bisect.bisect_left(self._stretch_ends, time)
        total = list(self._integrals[index])
        if index < len(self._stretches):
            start, _, scores = self._stretches[index]
            if scores is not None and time > start:
                seconds = Fraction(time) - Fraction(start)
                total = [a + seconds * Fraction(b) for a, b in zip(total, (1.0, *scores), strict=True)]
        return total


def check_lifecycles(texts: Sequence[str]) -> None:
    """Check a whole stream of texts, in the order of the wire (RDY-1, SIG-4, SIG-5, ENG-2, CLS-1)."""
    histories: dict[str, str] = {}
    times: dict[str, float] = {}
    level = None
    types = [json.loads(text)["type"] for text in texts]
    demand("RDY-1", "session.ready" not in types[1:], types)
    demand("RDY-1", not types or types[0] in ("session.ready", "error"), types)
    demand("CLS-1", "session.ended" not in types[:-1], types)
    for text in texts:
        type_, data = (envelope := json.loads(text))["type"], envelope["data"]
        if type_ in ("signal.detected", "signal.updated", "signal.ended"):
            name = data["signal_type"]
            histories[name] = histories.get(name, "") + type_.removeprefix("signal.")[0]
            time = data.get("start", data.get("end"))
            demand("SIG-4", time >= times.get(name, 0.0), f"{text} after {times.get(name)}")
            times[name] = time
        if type_ == "engagement.updated":
            demand("ENG-2", data["state"] != level, text)
            level = data["state"]
    pattern = _LIFECYCLE if "session.ended" in types else _LIFECYCLE_OPEN
    for name, history in histories.items():
        demand("SIG-5", pattern.fullmatch(history) is not None, f"{name}: {history}")


# -- the client -----------------------------------------------------------------------------------


class ClientModel:
    """What a client knows, from what has reached it and what it did itself."""

    def __init__(
        self,
        now: float,
        ready_timeout: float,
        grace: float,
        models: tuple[str, ...] | None = None,
        model: str | None = None,
    ) -> None:
        self.model = model
        self._models = models
        self.state = "AWAITING_READY"
        self.deadline: float | None = now + ready_timeout
        self.contract: Json | None = None
        self.include: tuple[str, ...] = ()
        self.goals: tuple[str, ...] | None = None
        self.signals: dict[str, tuple[float, float, str | None]] = {}
        self.engagement: tuple[str, float] | None = None
        self.quality: Json | None = None
        self.correlation_id: str | None = None
        self.ended: str | None = None
        self.error: str | None = None
        self.violations: list[str] = []
        self.in_segment = False
        self.size = 0
        self.segments = 0
        self._grace = grace

    def may_send_config(self, fixed: bool = False) -> bool:
        """Whether a config may go; `fixed` if it tells what is fixed by the first segment (CFG-7, CFG-8)."""
        if fixed and (self._models is None or self.segments):
            return False
        return self.state in ("AWAITING_READY", "OPEN", "FAILED", "FAILED_CLOSING", "CLOSE_REQUESTED", "DRAINING")

    def may_send_segment(self, size: int, final: bool, checked: bool) -> bool:
        total = self.size + size if self.in_segment else size
        if checked and self.contract is not None and size and total > self.contract["max_segment_size_bytes"]:
            return False
        smallest = 1 if self.contract is None else max(1, self.contract["min_segment_size_bytes"])
        if checked and final and total < smallest:
            return False
        return self.state in ("OPEN", "FAILED")

    def sent_segment(self, size: int, final: bool) -> None:
        if not self.in_segment:
            self.segments += 1
            self.size = 0
        self.size += size
        self.in_segment = not final

    def may_end(self) -> bool:
        return self.state in ("OPEN", "FAILED") and not self.in_segment

    def asked_to_end(self, now: float) -> None:
        self.state = "FAILED_CLOSING" if self.state == "FAILED" else "CLOSE_REQUESTED"
        self.deadline = now + self._grace

    def may_close(self) -> bool:
        return self.state not in ("CLOSING", "CLOSED")

    def closes(self) -> None:
        self.state, self.deadline = "CLOSING", None

    def over(self, lost: bool) -> None:
        # A close in place of an answer to session.close may have crossed it on the way, and is nobody's fault.
        if not lost and self.state == "DRAINING":
            self.violations.append("CLS-1")
        self.state, self.deadline = "CLOSED", None

    def passed(self, now: float) -> str | None:
        """The clause that is overdue, if the time has come for it."""
        if self.deadline is None or now < self.deadline:
            return None
        overdue = {"AWAITING_READY": "RDY-1", "REFUSED": "RDY-3", "FAILED_CLOSING": "ERR-2"}.get(self.state, "CLS-1")
        self.violations.append(overdue)
        self.closes()
        return overdue

    def text(self, raw: str, now: float) -> None:
        envelope = json.loads(raw)
        type_, data = envelope["type"], envelope["data"]
        self.correlation_id = envelope["correlation_id"]
        name = data.get("signal_type", "")
        if type_ in ("signal.detected", "signal.updated") and name not in SIGNAL_TYPES:
            self.violations.append("SIG-6")
        match type_:
            case "session.ready":
                self.contract = data
                self._move("OPEN", None)
            case "session.updated":
                self.include = tuple(data["include"])
                self.goals = tuple(data["goal_dimensions"]) if "goal_dimensions" in data else None
                self.model = data.get("model")
            case "session.closing":
                self._move("DRAINING", now + data["max_drain_seconds"] + self._grace)
            case "session.ended":
                self.ended = data["reason"]
                self._move("ENDED", now + self._grace)
            case "signal.detected":
                self.signals[name] = (data["start"], data["start"], data.get("probability"))
            case "signal.updated":
                self.signals[name] = (self.signals[name][0], data["start"], data.get("probability"))
            case "signal.ended":
                del self.signals[name]
            case "engagement.updated":
                self.engagement = (data["state"], data["start"])
            case "conversation_quality.updated":
                self.quality = data
            case "error":
                self._take_error(data["code"])

    def _take_error(self, code: str) -> None:
        if self.state == "AWAITING_READY":
            self.state, self.error = "REFUSED", code
        elif code in CLOSE_AFTER:
            self.error = code
            self._move("FAILED_CLOSING" if self.state in ("CLOSE_REQUESTED", "DRAINING") else "FAILED", self.deadline)

    def _move(self, state: str, deadline: float | None) -> None:
        if self.state != "CLOSING":
            self.state, self.deadline = state, deadline
