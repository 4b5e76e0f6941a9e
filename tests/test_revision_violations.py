"""Legal streams of v0, v0.2, v1-window and v2 in which one clause is broken, and nonsense."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from builders import CORRELATION_ID as OTHER_ID
from hypothesis import given
from hypothesis import strategies as st
from model import OVERALL, TIMELINE, Json
from network import CORRELATION_ID

import ihproto as ih

#: One byte more than v0 takes (SEG-3).
TOO_LARGE = bytes(20_971_521)
SCORES = {"quality_index": 72, "clarity": 67, "authority": 68, "energy": 80, "rapport": 75, "learning": 70}


@dataclass(frozen=True)
class Send:
    """The client sends a segment of so many bytes."""

    size: int


@dataclass(frozen=True)
class Configure:
    """The client sends a config."""

    include: tuple[str, ...] = ()
    model: str | None = None


@dataclass
class Hear:
    """The client receives a message: an object, which is written as JSON, or a text as it is."""

    message: Any

    @property
    def text(self) -> str:
        return self.message if isinstance(self.message, str) else json.dumps(self.message)


@dataclass(frozen=True)
class HearBinary:
    """The client receives a binary message."""


Step = Send | Configure | Hear | HearBinary


def status(name: str, revision: str, segment: int, **members: Any) -> Hear:
    common: Json = {"status": name, "segment": segment}
    if revision == "v0.2":
        common["correlation_id"] = CORRELATION_ID
    return Hear(common | members)


def status_stream(revision: str, include: tuple[str, ...]) -> list[Step]:
    """A legal stream: segments that overtake each other, are refused at once, and fail after a while."""
    span: Json = {"type": "agreement", "start": 1, "end": 2.5}
    quality: Json = {}
    if OVERALL in include:
        quality["overall"] = dict(SCORES)
    if TIMELINE in include:
        quality["timeline"] = [{"start": 0, "end": 5, "values": dict(SCORES)}]

    def result(segment: int) -> Hear:
        if revision == "v0":
            return status("result", revision, segment, signals=[dict(span), {**span, "type": "engagement"}])
        members: Json = {
            "signals": [{**span, "probability": "high", "rationale": "nods"}],
            "engagement_state": [{"start": 0, "end": 5, "state": "engaged"}],
        }
        if quality:
            members["conversation_quality"] = copy.deepcopy(quality)
        return status("result", revision, segment, **members)

    def failed(segment: int, code: str, sentence: str) -> Hear:
        if revision == "v0":
            return status("error", revision, segment, error=sentence)
        return status("error", revision, segment, error_id=code, link=None, message=sentence)

    return [
        Send(10_000),
        status("processing", revision, 1, bytes=10_000),
        Send(10_500),
        status("processing", revision, 2, bytes=10_500),
        result(2),
        result(1),
        status("completed", revision, 1),
        status("completed", revision, 2),
        Send(len(TOO_LARGE)),
        failed(3, "ih6002", "Video chunk too large: 20971521 bytes (maximum: 20971520 bytes)"),
        Send(12_000),
        status("processing", revision, 4, bytes=12_000),
        failed(4, "ih1001", "something broke"),
        status("hello", revision, 4, x=[None]),
    ]


def envelope(type_: str, data: Any) -> Hear:
    return Hear(
        {"type": type_, "timestamp": "2025-01-01T00:00:00.000000Z", "correlation_id": CORRELATION_ID, "data": data}
    )


def window_stream(include: tuple[str, ...]) -> list[Step]:
    """A legal stream of windows, in both flavours."""
    span = {"start": 3.0, "end": 11.0}
    details = {"probability": "high", "rationale": "nods"}
    quality: Json = {}
    if OVERALL in include:
        quality["overall"] = dict(SCORES)
    if TIMELINE in include:
        quality["timeline"] = [{**span, "values": dict(SCORES)}]
    return [
        Configure(include),
        Send(5_000),
        envelope("signal.detected", {"signals": [{"type": "agreement", **span, **details}]}),
        envelope("signal.detected", {"signal_type": "stress", **span, **details}),
        envelope("engagement.updated", {"state": "engaged", **span}),
        *([envelope("conversation_quality.updated", quality)] if quality else []),
        envelope("error", {"code": "ih5004", "message": "no", "link": None, "segment": 1}),
        envelope("error", {"code": "ih3001", "message": "slower"}),
        envelope("hello.world", {"x": [None]}),
    ]


def lifecycle_stream() -> list[Step]:
    """A legal stream of v2, in which a model is selected by a config."""
    options = {"include": [OVERALL, TIMELINE], "model": ["inter-2", "inter-2-audio"]}
    contract = {
        "session_idle_timeout_seconds": 300,
        "session_max_duration_seconds": 3600,
        "min_segment_size_bytes": 1,
        "max_segment_size_bytes": 33554432,
        "supported_session_config_options": options,
    }
    return [
        envelope("session.ready", contract),
        Configure(model="inter-2-audio"),
        envelope("session.updated", {"include": [], "model": "inter-2-audio"}),
        Configure((OVERALL,)),
        envelope("session.updated", {"include": [OVERALL], "model": "inter-2-audio"}),
        Send(5_000),
        envelope("signal.detected", {"signal_type": "interest", "start": 1, "probability": "low"}),
        envelope("signal.updated", {"signal_type": "interest", "start": 4, "probability": "high"}),
        envelope("signal.ended", {"signal_type": "interest", "end": 9}),
    ]


def stream_of(revision: str, include: tuple[str, ...] = (OVERALL, TIMELINE)) -> list[Step]:
    if revision == "v1-window":
        return window_stream(include)
    return lifecycle_stream() if revision == "v2" else status_stream(revision, include)


class Script:
    """A stream to be broken."""

    def __init__(self, revision: str, include: tuple[str, ...]) -> None:
        self.revision = revision
        self.steps = stream_of(revision, include)

    def find(self, name: str, segment: int | None = None) -> int:
        """The place of the first message of this type or status, about this segment."""
        for index, step in enumerate(self.steps):
            if not isinstance(step, Hear) or name not in (step.message.get("type"), step.message.get("status")):
                continue
            if segment in (None, step.message.get("segment")):
                return index
        raise AssertionError(f"no {name} in the stream")

    def message(self, name: str, segment: int | None = None) -> Json:
        step = self.steps[self.find(name, segment)]
        assert isinstance(step, Hear)
        message: Json = step.message
        return message

    def data(self, name: str) -> Json:
        data: Json = self.message(name)["data"]
        return data

    def say(self, message: Hear, *, at: int | None = None) -> None:
        self.steps.insert(len(self.steps) if at is None else at, message)

    def status(self, name: str, segment: int) -> Hear:
        """A message of a shape that the revision has."""
        known: Json = {}
        if name == "processing":
            known = {"bytes": 10_000}
        elif name == "result":
            known = dict(self.message("result"))
            known = {key: value for key, value in known.items() if key not in ("status", "segment", "correlation_id")}
        elif name == "error":
            known = {"error": "no"} if self.revision == "v0" else {"error_id": "ih5002", "message": "no"}
        return status(name, self.revision, segment, **known)

    def swap(self, left: int, right: int) -> None:
        self.steps[left], self.steps[right] = self.steps[right], self.steps[left]


@dataclass(frozen=True)
class Mutator:
    """A way to break one clause in a stream of a revision.

    Attributes:
        also: Clauses that may be reported because of it.
    """

    revision: str
    clause: str
    name: str
    apply: Callable[[Script], object]
    include: tuple[str, ...] = (OVERALL, TIMELINE)
    also: frozenset[str] = frozenset()
    announced: str = CORRELATION_ID


def _set(name: str, path: Sequence[str | int], value: Any, segment: int | None = None) -> Callable[[Script], object]:
    """Change one member of a message; `...` takes it away."""

    def apply(it: Script) -> None:
        target: Any = it.message(name, segment)
        for key in path[:-1]:
            target = target[key]
        if value is ...:
            del target[path[-1]]
        else:
            target[path[-1]] = value

    return apply


def _say(name: str, segment: int) -> Callable[[Script], object]:
    """Say one more thing about a segment."""
    return lambda it: it.say(it.status(name, segment))


def _status_mutators(revision: str) -> list[Mutator]:
    def breaks(clause: str, name: str, apply: Callable[[Script], object], **more: Any) -> Mutator:
        return Mutator(revision, clause, name, apply, **more)

    found = [
        breaks("STS-1", "processing twice", lambda it: it.say(it.status("processing", 1), at=it.find("processing", 2))),
        breaks("STS-1", "result first", lambda it: it.swap(it.find("processing", 1), it.find("result", 1))),
        breaks("STS-1", "completed before result", lambda it: it.swap(it.find("result", 1), it.find("completed", 1))),
        breaks("STS-1", "no result", lambda it: it.steps.pop(it.find("result", 2))),
        breaks("STS-1", "result twice", lambda it: it.say(it.status("result", 1), at=it.find("completed", 1))),
        breaks("STS-1", "completed at once", lambda it: it.say(it.status("completed", 1), at=1)),
        breaks("STS-1", "wrong bytes", _set("processing", ["bytes"], 9_999)),
        breaks("STS-1", "negative bytes", _set("processing", ["bytes"], -1)),
        breaks("STS-1", "bytes as a text", _set("processing", ["bytes"], "10000")),
        breaks("STS-1", "processing without segment", _set("processing", ["segment"], ...)),
        breaks("STS-1", "result without signals", _set("result", ["signals"], ...)),
        breaks("STS-1", "signal without start", _set("result", ["signals", 0, "start"], ...)),
        breaks("STS-1", "message without status", _set("hello", ["status"], ...)),
        breaks("STS-1", "no object", lambda it: it.say(Hear("[]"))),
        breaks("STS-1", "no JSON", lambda it: it.say(Hear('{"status":"processing"'))),
        breaks("STS-1", "an envelope", lambda it: it.say(envelope("signal.ended", {}))),
        breaks("STS-1", "binary", lambda it: it.steps.insert(1, HearBinary())),
        breaks("STS-2", "signal backwards", _set("result", ["signals", 0, "end"], 0.5)),
        breaks("STS-2", "signal before the segment", _set("result", ["signals", 0, "start"], -0.5)),
        breaks("SIG-6", "unknown signal", _set("result", ["signals", 0, "type"], "ennui")),
    ]
    for name in ("processing", "result", "completed", "error"):
        for segment, after in ((1, "completed"), (4, "an error")):
            found.append(breaks("STS-1", f"{name} after {after}", _say(name, segment)))
        for segment, place in ((0, "zero"), (-1, "below zero"), (5, "to come"), (2**53 - 1, "far away")):
            found.append(breaks("SEG-1", f"{name} of a segment {place}", _say(name, segment)))
    return found


_SENTENCES = {
    "of another size": "Video chunk too large: 20971522 bytes (maximum: 20971520 bytes)",
    "of another limit": "Video chunk too large: 20971521 bytes (maximum: 33554432 bytes)",
    "without a limit": "Video chunk too large: 20971521 bytes",
    "without a size": "Video chunk too large: (maximum: 20971520 bytes)",
    "with a full stop": "Video chunk too large: 20971521 bytes (maximum: 20971520 bytes).",
    "with separators": "Video chunk too large: 20,971,521 bytes (maximum: 20971520 bytes)",
}
_V0 = [
    *_status_mutators("v0"),
    *(
        Mutator("v0", "STS-4", f"sentence {name}", _set("error", ["error"], sentence, 3))
        for name, sentence in _SENTENCES.items()
    ),
    Mutator("v0", "STS-1", "error without words", _set("error", ["error"], ..., 4)),
    Mutator("v0", "STS-1", "error as an object", _set("error", ["error"], {"error_id": "ih1001"}, 4)),
]

_RESULT_QUALITY = "conversation_quality"
_V0_2 = [
    *_status_mutators("v0.2"),
    Mutator("v0.2", "STS-3", "no overall", _set("result", [_RESULT_QUALITY, "overall"], ...)),
    Mutator("v0.2", "STS-3", "no timeline", _set("result", [_RESULT_QUALITY, "timeline"], ...)),
    Mutator("v0.2", "STS-3", "no quality", _set("result", [_RESULT_QUALITY], ...)),
    Mutator(
        "v0.2",
        "STS-3",
        "overall not asked for",
        _set("result", [_RESULT_QUALITY, "overall"], SCORES),
        include=(TIMELINE,),
    ),
    Mutator(
        "v0.2", "STS-3", "timeline not asked for", _set("result", [_RESULT_QUALITY, "timeline"], []), include=(OVERALL,)
    ),
    Mutator(
        "v0.2", "STS-3", "quality not asked for", _set("result", [_RESULT_QUALITY], {"overall": SCORES}), include=()
    ),
    Mutator("v0.2", "STS-3", "unknown level", _set("result", ["engagement_state", 0, "state"], "bored")),
    Mutator("v0.2", "STS-3", "level backwards", _set("result", ["engagement_state", 0, "end"], -1)),
    Mutator("v0.2", "STS-3", "timeline backwards", _set("result", [_RESULT_QUALITY, "timeline", 0, "end"], -1)),
    Mutator(
        "v0.2",
        "CQI-5",
        "score out of range",
        _set("result", [_RESULT_QUALITY, "overall", "clarity"], 101),
        also=frozenset({"CQI-6"}),
    ),
    Mutator(
        "v0.2",
        "CQI-5",
        "score of a stretch out of range",
        _set("result", [_RESULT_QUALITY, "timeline", 0, "values", "energy"], -1),
        also=frozenset({"CQI-6"}),
    ),
    Mutator("v0.2", "CQI-6", "no mean", _set("result", [_RESULT_QUALITY, "overall", "quality_index"], 76)),
    Mutator("v0.2", "SIG-6", "unknown probability", _set("result", ["signals", 0, "probability"], "certain")),
    Mutator("v0.2", "STS-1", "error with an empty id", _set("error", ["error_id"], "", 4)),
    Mutator("v0.2", "STS-1", "error without an id", _set("error", ["error_id"], ..., 4)),
    Mutator("v0.2", "STS-1", "error without words", _set("error", ["message"], ..., 4)),
    Mutator("v0.2", "HS-9", "another correlation id", _set("completed", ["correlation_id"], OTHER_ID)),
    Mutator("v0.2", "HS-9", "not the id of the upgrade", lambda it: None, announced=OTHER_ID),
    Mutator("v0.2", "STS-1", "no correlation id", _set("hello", ["correlation_id"], ...)),
    Mutator("v0.2", "STS-1", "a correlation id that is no text", _set("hello", ["correlation_id"], None)),
]

_WINDOW_SIGNAL: list[str | int] = ["data", "signals", 0]


def _transitional(**changes: Any) -> Callable[[Script], object]:
    def apply(it: Script) -> None:
        data = {"signal_type": "stress", "start": 3, "end": 11, **changes}
        it.say(envelope("signal.detected", {key: value for key, value in data.items() if value is not ...}))

    return apply


_V1_WINDOW = [
    Mutator("v1-window", "WIN-3", "neither flavour", _set("signal.detected", ["data", "signals"], ...)),
    Mutator("v1-window", "WIN-3", "signal without start", _set("signal.detected", [*_WINDOW_SIGNAL, "start"], ...)),
    Mutator("v1-window", "WIN-3", "signal without end", _set("signal.detected", [*_WINDOW_SIGNAL, "end"], ...)),
    Mutator("v1-window", "WIN-3", "signal backwards", _set("signal.detected", [*_WINDOW_SIGNAL, "end"], 2)),
    Mutator("v1-window", "WIN-3", "signal before the session", _set("signal.detected", [*_WINDOW_SIGNAL, "start"], -1)),
    Mutator("v1-window", "SIG-6", "unknown signal", _set("signal.detected", [*_WINDOW_SIGNAL, "type"], "ennui")),
    Mutator("v1-window", "SIG-6", "probability", _set("signal.detected", [*_WINDOW_SIGNAL, "probability"], "HIGH")),
    Mutator("v1-window", "WIN-3", "later flavour without end", _transitional(end=...)),
    Mutator("v1-window", "WIN-3", "later flavour backwards", _transitional(end=1)),
    Mutator("v1-window", "SIG-6", "unknown signal in the later flavour", _transitional(signal_type="ennui")),
    Mutator("v1-window", "SIG-6", "unknown probability in the later flavour", _transitional(probability="")),
    Mutator("v1-window", "WIN-3", "unknown level", _set("engagement.updated", ["data", "state"], "bored")),
    Mutator("v1-window", "WIN-3", "level without end", _set("engagement.updated", ["data", "end"], ...)),
    Mutator("v1-window", "WIN-3", "level backwards", _set("engagement.updated", ["data", "end"], 2)),
    Mutator(
        "v1-window",
        "CQI-5",
        "score out of range",
        _set("conversation_quality.updated", ["data", "overall", "clarity"], 101),
        also=frozenset({"CQI-6"}),
    ),
    Mutator(
        "v1-window",
        "CQI-6",
        "no mean",
        _set("conversation_quality.updated", ["data", "timeline", 0, "values", "quality_index"], 60),
    ),
    Mutator("v1-window", "ERR-1", "error without code", _set("error", ["data", "code"], ...)),
    Mutator("v1-window", "ERR-1", "error with an empty code", _set("error", ["data", "code"], "")),
    Mutator("v1-window", "SEG-8", "segment left out", _set("error", ["data", "segment"], ...)),
    Mutator("v1-window", "SEG-8", "a segment too many", _set("error", ["data", "code"], "ih6003")),
    Mutator("v1-window", "SEG-1", "segment zero", _set("error", ["data", "segment"], 0)),
    Mutator("v1-window", "SEG-1", "a segment to come", _set("error", ["data", "segment"], 2)),
    Mutator("v1-window", "ENV-1", "a local time", _set("hello.world", ["timestamp"], "2025-01-01T00:00:00")),
    Mutator("v1-window", "ENV-1", "no timestamp", _set("hello.world", ["timestamp"], ...)),
    Mutator("v1-window", "ENV-1", "no data", _set("hello.world", ["data"], ...)),
    Mutator("v1-window", "ENV-1", "a status message", lambda it: it.say(status("completed", "v0.2", 1))),
    Mutator("v1-window", "ENV-2", "another correlation id", _set("hello.world", ["correlation_id"], OTHER_ID)),
    Mutator("v1-window", "HS-9", "not the id of the upgrade", lambda it: None, announced=OTHER_ID),
    Mutator("v1-window", "ENV-5", "binary", lambda it: it.steps.insert(1, HearBinary())),
]

_V2 = [
    Mutator("v2", "SIG-8", "modality", _set("signal.detected", ["data", "modality"], ["video"])),
    Mutator("v2", "SIG-8", "no modality at all", _set("signal.updated", ["data", "modality"], [])),
    Mutator("v2", "CFG-7", "another model", _set("session.updated", ["data", "model"], "inter-2"), also=frozenset()),
    Mutator("v2", "CFG-7", "no model", _set("session.updated", ["data", "model"], ...)),
    Mutator(
        "v2",
        "SIG-6",
        "a signal of v1",
        lambda it: it.say(envelope("signal.detected", {"signal_type": "engagement", "start": 9})),
    ),
    Mutator("v2", "ENV-5", "binary", lambda it: it.steps.insert(1, HearBinary())),
]

MUTATORS = [*_V0, *_V0_2, *_V1_WINDOW, *_V2]


@dataclass
class Played:
    """What a client made of a stream."""

    clauses: list[str]
    raised: str | None
    heard: list[str]
    texts: list[str]


def play(
    steps: Sequence[Step],
    revision: str,
    include: tuple[str, ...],
    *,
    strict: bool,
    announced: str = CORRELATION_ID,
) -> Played:
    """Let a client live through a stream; a strict one until it raises."""
    client = ih.ClientSession(
        0.0,
        revision=ih.REVISIONS[revision],
        strict=strict,
        correlation_id=announced,
        asked=ih.SessionConfig(include) if revision == "v0.2" else None,
        scanner=ih.NominalScanner(),
        check_segments=False,
    )
    texts: list[str] = []
    raised = None
    try:
        for step in steps:
            match step:
                case Send(size):
                    client.send_segment(TOO_LARGE[:size])
                case Configure(wanted, name):
                    client.send_config(wanted, model=name)
                case Hear():
                    texts.append(step.text)
                    client.receive_text(step.text, 0.0)
                case HearBinary():
                    client.receive_bytes(b"\x00", 0.0)
    except ih.RemoteProtocolError as error:
        raised = error.violation.clause.id
    clauses: list[str] = []
    heard: list[str] = []
    for item in client.events():
        raw = item.raw if isinstance(item, ih.Envelope | ih.Violated) else None
        if isinstance(item, ih.Violated):
            clauses.append(item.violation.clause.id)
            assert item.violation.side is ih.Side.SERVER
            assert revision in item.violation.clause.revisions, f"{item.violation} is no rule of {revision}"
        if raw is not None and (isinstance(item, ih.Envelope) or heard[-1:] != [raw]):
            heard.append(raw)
    return Played(clauses, raised, heard, texts)


@pytest.mark.parametrize("include", [(), (OVERALL,), (TIMELINE,), (OVERALL, TIMELINE)])
@pytest.mark.parametrize("revision", ["v0", "v0.2", "v1-window", "v2"])
def test_a_legal_stream_is_not_blamed(revision: str, include: tuple[str, ...]) -> None:
    played = play(stream_of(revision, include), revision, include, strict=True)
    assert (played.clauses, played.raised) == ([], None)
    assert played.heard == played.texts


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda it: f"{it.revision} {it.name}")
def test_a_broken_clause_is_named(mutator: Mutator) -> None:
    script = Script(mutator.revision, mutator.include)
    mutator.apply(script)
    include = mutator.include
    lenient = play(script.steps, mutator.revision, include, strict=False, announced=mutator.announced)
    assert mutator.clause in lenient.clauses
    assert set(lenient.clauses) <= {mutator.clause} | mutator.also
    assert lenient.raised is None
    assert lenient.heard == lenient.texts
    strict = play(script.steps, mutator.revision, include, strict=True, announced=mutator.announced)
    must = ih.clause(mutator.clause).level is ih.Level.MUST
    assert strict.raised == (mutator.clause if must else None)


def test_there_is_a_mutator_for_every_clause_that_only_these_revisions_have() -> None:
    broken = {(mutator.revision, mutator.clause) for mutator in MUTATORS}
    for revision, clauses in {
        "v0": {"STS-1", "STS-2", "STS-4", "SEG-1", "SIG-6"},
        "v0.2": {"STS-1", "STS-2", "STS-3", "SEG-1", "SIG-6", "HS-9", "CQI-5", "CQI-6"},
        "v1-window": {"WIN-3", "ENV-1", "ENV-2", "ENV-5", "HS-9", "SIG-6", "ERR-1", "SEG-1", "SEG-8", "CQI-5", "CQI-6"},
        "v2": {"SIG-6", "SIG-8", "CFG-7", "ENV-5"},
    }.items():
        assert {clause for name, clause in broken if name == revision} == clauses


@pytest.mark.parametrize("score", [..., "67", None])
def test_scores_that_cannot_be_read_are_named_by_a_clause_of_the_revision(score: object) -> None:
    script = Script("v1-window", (OVERALL,))
    _set("conversation_quality.updated", ["data", "overall", "clarity"], score)(script)
    assert play(script.steps, "v1-window", (OVERALL,), strict=False).clauses == ["CQI-5"]


OPS = st.lists(
    st.sampled_from(["segment", "piece", "end", "time", "close", "lost", "binary"])
    | st.sampled_from(["processing", "result", "completed", "error", "hello"]).flatmap(
        lambda name: st.tuples(st.just(name), st.integers(-1, 4))
    )
    | st.text(max_size=10),
    max_size=30,
)


@given(st.sampled_from(["v0", "v0.2", "v1-window"]), st.booleans(), OPS)
def test_nonsense_does_not_break_a_client(revision: str, strict: bool, ops: list[Any]) -> None:
    client = ih.ClientSession(
        0.0, revision=ih.REVISIONS[revision], strict=strict, scanner=ih.NominalScanner(), check_segments=False
    )
    calls: dict[str, Callable[[], object]] = {
        "segment": lambda: client.send_segment(b"x"),
        "piece": lambda: client.send_segment(b"x", final=False),
        "end": lambda: client.end(0.0),
        "time": lambda: client.handle_timeout(1e9),
        "close": lambda: client.receive_close(1000),
        "lost": client.receive_lost,
        "binary": lambda: client.receive_bytes(b"", 0.0),
    }
    script = Script("v0" if revision == "v0" else "v0.2", ())
    closed = False
    for op in ops:
        over = client.state is ih.ClientState.CLOSED
        text = script.status(*op).text if isinstance(op, tuple) else op
        call = calls.get(op) if isinstance(op, str) else None
        ours = op in ("segment", "piece", "end")
        try:
            call() if call is not None else client.receive_text(text, 0.0)
        except ih.RemoteProtocolError:
            assert strict
            assert not ours
        except ih.LocalProtocolError:
            assert ours
        for sent in client.to_send():
            assert not closed, f"{sent} after the close"
            closed = isinstance(sent, ih.CloseToSend)
        events = client.events()
        assert not (over and events)
        if call is None and not over:
            assert any(getattr(item, "raw", None) == text for item in events)
