"""Strategies for sessions in which the server breaks one clause: an eventful one, and a table of ways to spoil it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

import attrs
from hypothesis import strategies as st

from ihproto.analysis import EngagementReport, QualityReport, SignalReport, WindowAnalysis
from ihproto.codec import Codec
from ihproto.messages import SessionClose, SessionConfig
from ihproto.revisions import INCLUDE_OVERALL, INCLUDE_PARAMETER, INCLUDE_TIMELINE, V1, Emission, Revision
from ihproto.server import ServerSettings
from ihproto.testing.messages import LEVELS, STATES, correlation_ids, of_unknown_type
from ihproto.testing.sessions import Recorder
from ihproto.testing.transcripts import (
    BrokenTranscript,
    ClientClosed,
    ClientSaid,
    ClientSent,
    ServerClosed,
    ServerSaid,
    ServerSent,
    Step,
    Transcript,
)
from ihproto.testing.webm import webm_chunks

Fields: TypeAlias = dict[str, Any]

_BOTH = (INCLUDE_OVERALL, INCLUDE_TIMELINE)
_STATUS = ("v0", "v0.2")
_ENVELOPE = ("v1-window", "v1", "v2")
_LIFECYCLE = ("v1", "v2")
#: Every window closes where a segment does, so that a fault can be put before and after each.
_PACE = ServerSettings(window_seconds=3, window_advance_seconds=3, period_seconds=4)
_OTHER_ID = "another session"
_FEEDBACK = {"feedback": "Pause before you answer."}


def broken_server_sessions(
    revision: Revision = V1, *, clause_ids: Collection[str] | None = None
) -> st.SearchStrategy[BrokenTranscript]:
    """Sessions in which the server breaks one clause, and the id of that clause.

    Everything before the fault is legal; what comes after may follow from it. Of all clauses that are not kept, a
    client or a monitor names this one first. Must clauses and others come alike; `BrokenTranscript.level` tells.

    Args:
        revision: The revision to speak.
        clause_ids: The clauses to break; None for every one that there is a fault for.

    Raises:
        ValueError: If there is no fault for one of the clauses in this revision.
    """
    faults = [fault for fault in SERVER_FAULTS if revision.id in fault.revisions]
    if clause_ids is not None:
        missing = set(clause_ids).difference(fault.clause_id for fault in faults)
        if missing or not clause_ids:
            what = ", ".join(sorted(missing)) or "no clause"
            raise ValueError(f"there is no way in {revision.id} to break {what}")
        faults = [fault for fault in faults if fault.clause_id in clause_ids]

    @st.composite
    def broken(draw: st.DrawFn) -> BrokenTranscript:
        fault = draw(st.sampled_from(faults))
        editor = Editor(draw(_eventful_sessions(revision, fault.sections)), draw)
        fault.spoil(editor)
        return BrokenTranscript(editor.transcript, fault.clause_id, fault.name)

    return broken()


# -- a session in which everything happens --------------------------------------------------------


@st.composite
def _eventful_sessions(draw: st.DrawFn, revision: Revision, sections: tuple[str, ...]) -> Transcript:
    """A session that has a message of every kind which a fault can be made of.

    One signal is detected, changes, ends and is detected again, another is active at the end; engagement changes; a
    segment is refused; periods close; a window is left out; it ends gracefully, where that exists.
    """
    by_url = INCLUDE_PARAMETER in revision.query_keys
    asked = SessionConfig(sections if by_url else ())
    settings = _PACE if revision.emission is not Emission.SEGMENTS else None
    recorder = Recorder(revision, draw(correlation_ids()), asked, settings)
    types = draw(
        st.lists(st.sampled_from(sorted(revision.models[0].signal_types)), min_size=2, max_size=2, unique=True)
    )
    levels, states = draw(st.permutations(LEVELS)), draw(st.permutations(STATES))
    scores = draw(st.tuples(*[st.integers(20, 80)] * 5))
    one, other = types
    seen = [
        {one: levels[0]},
        *[{one: levels[0]}] * draw(st.integers(0, 2)),
        {one: levels[1]},
        {other: levels[0]},
        {one: levels[2], other: levels[0]},
    ]
    smallest = revision.contract.min_segment_size_bytes
    tracks = revision.models[0].tracks
    chunks = iter(webm_chunks([3] * (len(seen) + 1), tracks=tracks, min_size=smallest))

    def configure(include: tuple[str, ...]) -> None:
        if revision.config_keys:
            recorder.act(ClientSaid(Codec(revision).encode_client(SessionConfig(include))))

    recorder.open()
    configure(())
    configure(sections)
    for index, signals in enumerate(seen):
        recorder.now += 3
        recorder.act(ClientSent((next(chunks),)))
        if index == 0:
            recorder.act(ClientSent((b"GIF89a" + bytes(smallest),)))
        window = recorder.server.outstanding[0]
        recorder.analyse(
            WindowAnalysis(
                window,
                [SignalReport(name, window.start + 1, probability=level) for name, level in signals.items()],
                EngagementReport(states[index % 2], window.start),
                QualityReport(*scores),
            )
        )
    recorder.act(ClientSent((next(chunks),)))
    recorder.drop()
    configure(sections)
    if revision.drains:
        recorder.act(ClientSaid(Codec(revision).encode_client(SessionClose())))
    else:
        recorder.act(ClientClosed(1000))
    return recorder.transcript


# -- how to spoil it ------------------------------------------------------------------------------


@attrs.define
class _Message:
    """A message of the server that can be changed."""

    fields: Fields


class Editor:
    """A session to be spoiled, and the choices that Hypothesis makes.

    Args:
        transcript: The session.
        draw: Makes a choice.

    Attributes:
        announced: The id that the upgrade response carries.
    """

    def __init__(self, transcript: Transcript, draw: st.DrawFn) -> None:
        self._transcript = transcript
        self._draw = draw
        self._steps: list[Step | _Message] = [
            _Message(json.loads(step.text)) if isinstance(step, ServerSaid) else step for step in transcript.steps
        ]
        self._framing = transcript.revision.framing
        self.announced = transcript.correlation_id

    @property
    def transcript(self) -> Transcript:
        """The session as it is now."""
        steps = [ServerSaid(json.dumps(step.fields)) if isinstance(step, _Message) else step for step in self._steps]
        return attrs.evolve(self._transcript, correlation_id=self.announced, steps=tuple(steps))

    def one_of(self, *values: Any) -> Any:
        """One of some values."""
        return self._draw(st.sampled_from(values))

    def places(self, *types: str, where: Callable[[Fields], bool] = lambda content: True) -> list[int]:
        """Where messages of these types are, or all messages."""
        return [
            place
            for place, step in enumerate(self._steps)
            if isinstance(step, _Message)
            and (not types or step.fields[self._framing.discriminator] in types)
            and where(self.content(place))
        ]

    def pick(self, *types: str, where: Callable[[Fields], bool] = lambda content: True) -> int:
        """Where one message of these types is."""
        place: int = self.one_of(*self.places(*types, where=where))
        return place

    def fields(self, place: int) -> Fields:
        """All members of a message."""
        step = self._steps[place]
        assert isinstance(step, _Message)
        return step.fields

    def content(self, place: int) -> Fields:
        """The members that make up what a message says."""
        fields = self.fields(place)
        content: Fields = fields if self._framing.payload is None else fields[self._framing.payload]
        return content

    def remove(self, place: int) -> None:
        """Take a message out."""
        del self._steps[place]

    def double(self, place: int) -> None:
        """Say a message once more."""
        self._steps.insert(place, copy.deepcopy(self._steps[place]))

    def move(self, place: int, to: int) -> None:
        """Say a copy of a message at another place."""
        self._steps.insert(to, copy.deepcopy(self._steps[place]))

    def say(self, to: int, type_: str, content: Fields) -> None:
        """Say something more before a place."""
        like = json.dumps(self.fields(self.places()[0]))
        text = of_unknown_type(like, self._transcript.revision, type_, content)
        self._steps.insert(to, _Message(json.loads(text)))

    def say_binary(self) -> None:
        """Send a binary message, anywhere before the close."""
        end = next(place for place, step in enumerate(self._steps) if isinstance(step, ServerClosed | ClientClosed))
        self._steps.insert(self._draw(st.integers(0, end)), ServerSent(b"\x00"))

    def garble(self, place: int) -> None:
        """Make a message something else than a JSON object."""
        text = json.dumps(self.fields(place))
        self._steps[place] = ServerSaid(
            self.one_of(text[:-1], text[: len(text) // 2], f"[{text}]", "null", "hello", "")
        )


Spoil: TypeAlias = Callable[[Editor], object]


@attrs.frozen
class ServerFault:
    """A way to break a clause.

    Attributes:
        clause_id: The clause.
        name: What is done, in a few words.
        spoil: Does it.
        revisions: The revisions in which it breaks this clause.
        sections: What the client has to ask for.
    """

    clause_id: str
    name: str
    spoil: Spoil
    revisions: tuple[str, ...] = _LIFECYCLE
    sections: tuple[str, ...] = _BOTH


def _without(type_: str, *members: str) -> Spoil:
    """Leave out one of these members."""

    def spoil(it: Editor) -> None:
        del it.content(it.pick(type_))[it.one_of(*members)]

    return spoil


def _with(type_: str, member: str, *values: Any, where: Callable[[Fields], bool] = lambda content: True) -> Spoil:
    """Put one of these values into a member."""

    def spoil(it: Editor) -> None:
        it.content(it.pick(type_, where=where))[member] = it.one_of(*values)

    return spoil


def _outside(member: str, *values: Any) -> Spoil:
    """Put one of these values into a member beside the type; `...` leaves it out."""

    def spoil(it: Editor) -> None:
        fields, value = it.fields(it.pick()), it.one_of(*values)
        fields[member] = value
        if value is ...:
            del fields[member]

    return spoil


def _doubled(*types: str) -> Spoil:
    return lambda it: it.double(it.pick(*types))


def _removed(type_: str) -> Spoil:
    return lambda it: it.remove(it.pick(type_))


def _last(it: Editor, name: str, place: int) -> float:
    """The last time that was reported for a type of signal before a place."""
    times = [
        it.content(other).get("start", it.content(other).get("end"))
        for other in it.places("signal.detected", "signal.updated", "signal.ended")
        if other < place and it.content(other)["signal_type"] == name
    ]
    return max((time for time in times if time is not None), default=0)


def _back_in_time(type_: str, member: str) -> Spoil:
    def spoil(it: Editor) -> None:
        place = it.pick(type_)
        content = it.content(place)
        content[member] = _last(it, content["signal_type"], place) - it.one_of(0.5, 1, 100)

    return spoil


def _first_signal(it: Editor) -> str:
    name: str = it.content(it.places("signal.detected")[0])["signal_type"]
    return name


def _never_detected(it: Editor) -> None:
    it.remove(it.places("signal.detected")[0])


def _updated_without_change(it: Editor) -> None:
    place = it.pick("signal.detected", "signal.updated")
    it.say(place + 1, "signal.updated", copy.deepcopy(it.content(place)))


def _updated_after_end(it: Editor) -> None:
    place = it.places("signal.ended")[0]
    ended = it.content(place)
    report = {"signal_type": ended["signal_type"], "start": ended["end"], "probability": "low"}
    it.say(place + 1, "signal.updated", report)


def _ended_before_detection(it: Editor) -> None:
    it.say(it.places("signal.detected")[0], "signal.ended", {"signal_type": _first_signal(it), "end": 1})


def _second_ready(it: Editor) -> None:
    ready, end = it.places("session.ready")[0], it.places("session.ended")[0]
    it.move(ready, it.one_of(*[place for place in it.places() if ready < place <= end]))


def _refused_and_ready(it: Editor) -> None:
    it.say(0, "error", {"code": it.one_of("ih2003", "ih1003"), "message": "no", "link": None, "segment": None})


def _impossible_contract(it: Editor) -> None:
    contract = it.content(it.pick("session.ready"))
    contract.update(
        it.one_of(
            {"session_idle_timeout_seconds": 0},
            {"session_max_duration_seconds": -1},
            {"min_segment_size_bytes": 10, "max_segment_size_bytes": 9},
        )
    )


def _other_correlation_id(it: Editor) -> None:
    it.fields(it.one_of(*it.places()[1:]))["correlation_id"] = it.one_of(_OTHER_ID, "")


def _other_announcement(it: Editor) -> None:
    it.announced = _OTHER_ID


def _other_config(place: int, *values: list[str]) -> Spoil:
    def spoil(it: Editor) -> None:
        it.content(it.places("session.updated")[place])["include"] = it.one_of(*values)

    return spoil


def _other_model(it: Editor) -> None:
    # The first one tells which model it is.
    it.content(it.one_of(*it.places("session.updated")[1:]))["model"] = it.one_of("inter-2-audio", None)


def _unanswered_config(it: Editor) -> None:
    it.remove(it.places("session.updated")[-1])


def _unwanted_quality(it: Editor) -> None:
    it.move(it.pick("conversation_quality.updated"), it.places("session.ready")[0] + 1)


def _unwanted_section(section: str) -> Spoil:
    def spoil(it: Editor) -> None:
        content = it.content(it.pick("conversation_quality.updated"))
        if section == "overall":
            content["overall"] = content["timeline"][0]["values"]
        else:
            content["timeline"] = [{"start": 0, "end": 4, "values": content["overall"]}]

    return spoil


def _two_periods(it: Editor) -> None:
    timeline = it.content(it.pick("conversation_quality.updated"))["timeline"]
    timeline.append({**timeline[0], "start": timeline[0]["end"], "end": timeline[0]["end"] + 4})


def _period_without_length(it: Editor) -> None:
    entry = it.content(it.pick("conversation_quality.updated"))["timeline"][0]
    entry["end"] = entry["start"] - it.one_of(0, 4)


def _scores(it: Editor) -> Fields:
    """A set of scores, wherever the revision has them."""
    if it.places("result"):
        content = it.content(it.pick("result"))["conversation_quality"]
    else:
        content = it.content(it.pick("conversation_quality.updated"))
    scores: Fields = it.one_of(content["overall"], content["timeline"][0]["values"])
    return scores


def _score_out_of_range(it: Editor) -> None:
    _scores(it)[it.one_of("clarity", "quality_index")] = it.one_of(101, -1, 1e300)


def _index_off(it: Editor) -> None:
    scores = _scores(it)
    scores["quality_index"] += it.one_of(4, -4, 15)


def _early_closing(it: Editor) -> None:
    it.move(it.places("session.closing")[0], it.one_of(*it.places("session.updated")[:2]) + 1)


def _after_ended(it: Editor) -> None:
    end = it.places("session.ended")[0] + 1
    if it.one_of(True, False):
        it.say(end, "x.unheard_of", {})
    else:
        it.move(it.pick(), end)


def _spans_backwards(type_: str, list_: str) -> Spoil:
    def spoil(it: Editor) -> None:
        span = it.content(it.pick(type_, where=lambda content: bool(content.get(list_))))[list_][0]
        span["end"] = span["start"] - it.one_of(0.5, 100)

    return spoil


def _unknown_word(type_: str, list_: str, member: str) -> Spoil:
    def spoil(it: Editor) -> None:
        content = it.content(it.pick(type_, where=lambda content: bool(content.get(list_))))
        content[list_][0][member] = it.one_of("", "ennui", "HIGH")

    return spoil


def _without_section(it: Editor) -> None:
    del it.content(it.pick("result"))["conversation_quality"][it.one_of("overall", "timeline")]


def _without_processing(it: Editor) -> None:
    analysed = {it.content(place)["segment"] for place in it.places("result")}
    it.remove(it.pick("processing", where=lambda content: content["segment"] in analysed))


def _about_the_refused(it: Editor) -> None:
    """Go on about a segment that was refused."""
    place = it.pick("error")
    like = it.places(it.one_of("processing", "result", "completed"))[0]
    it.move(like, place + 1)
    it.content(place + 1)["segment"] = it.content(place)["segment"]


#: Every way there is; a fault is drawn with the same chance as any other.
SERVER_FAULTS = (
    # What every message has in common.
    ServerFault("ENV-1", "no JSON object", lambda it: it.garble(it.pick()), _ENVELOPE),
    ServerFault("ENV-1", "no type", _outside("type", ..., None, 1), _ENVELOPE),
    ServerFault("ENV-1", "no timestamp", _outside("timestamp", ..., None, 1735689600), _ENVELOPE),
    ServerFault("ENV-1", "a timestamp that is not UTC", _outside("timestamp", "", "2025-01-01T00:00:00"), _ENVELOPE),
    ServerFault("ENV-1", "no correlation id", _outside("correlation_id", ..., None, 7), _ENVELOPE),
    ServerFault("ENV-1", "no data", _outside("data", ...), _ENVELOPE),
    ServerFault("ENV-2", "another correlation id", _other_correlation_id, _ENVELOPE),
    ServerFault("ENV-5", "a binary message", lambda it: it.say_binary(), _ENVELOPE),
    ServerFault("HS-9", "not the correlation id of the upgrade", _other_announcement, ("v0.2", *_ENVELOPE)),
    ServerFault("HS-9", "another correlation id", _other_correlation_id, ("v0.2",)),
    # The session.
    ServerFault("RDY-1", "no session.ready", _removed("session.ready")),
    ServerFault("RDY-1", "a second session.ready", _second_ready),
    ServerFault(
        "RDY-2",
        "a contract with a member missing",
        _without("session.ready", "session_idle_timeout_seconds", "max_segment_size_bytes"),
    ),
    ServerFault("RDY-2", "a contract of wrong types", _with("session.ready", "min_segment_size_bytes", "1", None, 0.5)),
    ServerFault("RDY-2", "a contract that nobody can keep", _impossible_contract),
    ServerFault("RDY-3", "session.ready after a refusal", _refused_and_ready),
    ServerFault("CFG-2", "a config confirmed twice", _doubled("session.updated")),
    ServerFault("CFG-2", "a config without an answer", _unanswered_config),
    ServerFault("CFG-2", "another config than was asked for", _other_config(1, [], ["more"], [INCLUDE_OVERALL])),
    ServerFault("CFG-2", "a config of wrong types", _with("session.updated", "include", "all", None, [1])),
    ServerFault("CFG-4", "a config that was not replaced", _other_config(0, [INCLUDE_OVERALL], [*_BOTH])),
    ServerFault(
        "CFG-6", "feedback without goals", lambda it: it.say(it.pick("signal.ended"), "feedback.generated", _FEEDBACK)
    ),
    ServerFault("CFG-7", "another model", _other_model, ("v2",)),
    ServerFault("CLS-1", "no session.closing", _removed("session.closing")),
    ServerFault("CLS-1", "session.closing twice", _doubled("session.closing")),
    ServerFault("CLS-1", "session.closing unasked", _early_closing),
    ServerFault("CLS-1", "a drain of less than no time", _with("session.closing", "max_drain_seconds", -1)),
    ServerFault("CLS-1", "a close without session.ended", _removed("session.ended")),
    ServerFault("CLS-1", "something after session.ended", _after_ended),
    # Signals.
    ServerFault("SIG-1", "detected twice", _doubled("signal.detected")),
    ServerFault("SIG-1", "detected with a member missing", _without("signal.detected", "signal_type", "start")),
    ServerFault("SIG-1", "detected with wrong types", _with("signal.detected", "start", "1", None, [])),
    ServerFault("SIG-2", "updated without detection", _never_detected),
    ServerFault("SIG-2", "updated without a change", _updated_without_change),
    ServerFault("SIG-2", "updated after its end", _updated_after_end),
    ServerFault("SIG-2", "updated with a member missing", _without("signal.updated", "signal_type", "start")),
    ServerFault("SIG-3", "ended with a member missing", _without("signal.ended", "signal_type", "end")),
    ServerFault("SIG-4", "detected back in time", _back_in_time("signal.detected", "start")),
    ServerFault("SIG-4", "updated back in time", _back_in_time("signal.updated", "start")),
    ServerFault("SIG-4", "ended back in time", _back_in_time("signal.ended", "end")),
    ServerFault("SIG-5", "ended twice", _doubled("signal.ended")),
    ServerFault("SIG-5", "ended without detection", _ended_before_detection),
    ServerFault("SIG-6", "an unknown probability", _with("signal.detected", "probability", "", "certain", "HIGH")),
    ServerFault("SIG-6", "an unknown signal", _with("signal.detected", "signal_type", "", "ennui")),
    ServerFault("SIG-7", "active after the end", lambda it: it.remove(it.places("signal.ended")[-1])),
    ServerFault("SIG-8", "a modality", _with("signal.detected", "modality", [], ["video"]), ("v2",)),
    ServerFault("ENG-1", "engagement with a member missing", _without("engagement.updated", "state", "start")),
    ServerFault("ENG-2", "engagement as before", _doubled("engagement.updated")),
    ServerFault("ENG-3", "an unknown engagement", _with("engagement.updated", "state", "", "bored", "Engaged")),
    ServerFault("ENG-3", "engagement before the session", _with("engagement.updated", "start", -0.5, -100)),
    # Scores.
    ServerFault("CQI-1", "scores that nobody asked for", _unwanted_quality),
    ServerFault("CQI-1", "scores twice in a period", _doubled("conversation_quality.updated")),
    ServerFault("CQI-1", "scores of wrong types", _with("conversation_quality.updated", "overall", [], 50)),
    ServerFault("CQI-2", "no overall", _without("conversation_quality.updated", "overall")),
    ServerFault("CQI-2", "an unwanted overall", _unwanted_section("overall"), sections=(INCLUDE_TIMELINE,)),
    ServerFault("CQI-3", "no timeline", _without("conversation_quality.updated", "timeline")),
    ServerFault("CQI-3", "an unwanted timeline", _unwanted_section("timeline"), sections=(INCLUDE_OVERALL,)),
    ServerFault("CQI-3", "a timeline of no period", _with("conversation_quality.updated", "timeline", [])),
    ServerFault("CQI-3", "a timeline of two periods", _two_periods),
    ServerFault("CQI-3", "a period without length", _period_without_length),
    ServerFault("CQI-5", "a score out of range", _score_out_of_range, ("v0.2", *_ENVELOPE)),
    ServerFault("CQI-6", "an index that is no mean", _index_off, ("v0.2", *_ENVELOPE)),
    ServerFault("COV-1", "coverage without a range", _with("coverage.dropped", "ranges", [], [{"start": 3, "end": 3}])),
    # Errors.
    ServerFault("ERR-1", "an error with a member missing", _without("error", "code", "message"), _ENVELOPE),
    ServerFault("ERR-1", "an error without a code", _with("error", "code", ""), _ENVELOPE),
    ServerFault("SEG-1", "an error about no segment of the session", _with("error", "segment", 0, -1, 99), _ENVELOPE),
    ServerFault("SEG-8", "an error that does not say which segment", _with("error", "segment", None), _ENVELOPE),
    ServerFault("SEG-8", "an error of the session about a segment", _with("error", "code", "ih1003"), _ENVELOPE),
    # Windows.
    ServerFault("WIN-3", "signals missing", _without("signal.detected", "signals"), ("v1-window",)),
    ServerFault("WIN-3", "signals backwards", _spans_backwards("signal.detected", "signals"), ("v1-window",)),
    ServerFault(
        "WIN-3",
        "engagement with a member missing",
        _without("engagement.updated", "state", "start", "end"),
        ("v1-window",),
    ),
    ServerFault("WIN-3", "engagement backwards", _with("engagement.updated", "end", -1), ("v1-window",)),
    ServerFault("WIN-3", "an unknown engagement", _with("engagement.updated", "state", "bored"), ("v1-window",)),
    ServerFault("SIG-6", "an unknown signal", _unknown_word("signal.detected", "signals", "type"), ("v1-window",)),
    # Statuses.
    ServerFault("STS-1", "no JSON object", lambda it: it.garble(it.pick()), _STATUS),
    ServerFault("STS-1", "no status", _outside("status", ..., None, 1), _STATUS),
    ServerFault("STS-1", "a binary message", lambda it: it.say_binary(), _STATUS),
    ServerFault("STS-1", "no processing", _without_processing, _STATUS),
    ServerFault("STS-1", "no result", _removed("result"), _STATUS),
    ServerFault("STS-1", "a status twice", _doubled("processing", "result", "completed", "error"), _STATUS),
    ServerFault("STS-1", "more about a refused segment", _about_the_refused, _STATUS),
    ServerFault("STS-1", "a wrong size", _with("processing", "bytes", 1, -1, "10000"), _STATUS),
    ServerFault("STS-1", "processing with a member missing", _without("processing", "segment", "bytes"), _STATUS),
    ServerFault("STS-1", "a result with a member missing", _without("result", "segment", "signals"), _STATUS),
    ServerFault("STS-1", "completed with a member missing", _without("completed", "segment"), _STATUS),
    ServerFault("STS-1", "an error about no segment", _with("error", "segment", None), _STATUS),
    ServerFault("SEG-1", "a status of no segment of the session", _with("processing", "segment", 0, -1, 99), _STATUS),
    ServerFault("STS-2", "signals backwards", _spans_backwards("result", "signals"), _STATUS),
    ServerFault("SIG-6", "an unknown signal", _unknown_word("result", "signals", "type"), _STATUS),
    ServerFault("STS-3", "a section missing", _without_section, ("v0.2",)),
    ServerFault(
        "STS-3",
        "sections that nobody asked for",
        _with("result", "conversation_quality", {"timeline": []}),
        ("v0.2",),
        (),
    ),
    ServerFault("STS-3", "engagement backwards", _spans_backwards("result", "engagement_state"), ("v0.2",)),
    ServerFault("STS-3", "an unknown engagement", _unknown_word("result", "engagement_state", "state"), ("v0.2",)),
    ServerFault(
        "STS-4",
        "other words for a segment that is too large",
        _with(
            "error",
            "error",
            "Video chunk too large: more than is allowed",
            "Video chunk too large: 7 bytes (maximum: 20971520 bytes)",
        ),
        ("v0",),
    ),
)
