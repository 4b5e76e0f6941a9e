"""The client's side of a session in the revisions other than v1."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from builders import (
    CORRELATION_ID,
    OVERALL,
    TIMELINE,
    clause_ids,
    detected,
    envelope,
    error,
    ready,
    texts,
    updated,
    violations,
)

from ihproto import (
    REVISIONS,
    V0,
    V0_2,
    V1,
    V1_WINDOW,
    V2,
    AudioFormat,
    BytesToSend,
    ClientSession,
    ClientState,
    CloseToSend,
    Envelope,
    ExpectedMedia,
    LocalProtocolError,
    NominalScanner,
    RemoteProtocolError,
    Revision,
    SegmentCompleted,
    SegmentFailed,
    SegmentFailedText,
    SegmentFault,
    SegmentMedia,
    SegmentProcessing,
    SegmentResult,
    SegmentSignals,
    SessionClosed,
    SessionConfig,
    Side,
    Unknown,
    Violated,
    WindowEngagement,
    WindowSignal,
    WindowSignals,
)

STATUS = (V0, V0_2)
WITHOUT_READY = (V0, V0_2, V1_WINDOW)
every_status = pytest.mark.parametrize("revision", STATUS, ids=lambda revision: revision.id)
every_silent = pytest.mark.parametrize("revision", WITHOUT_READY, ids=lambda revision: revision.id)
MODELS = {"supported_session_config_options": {"include": [OVERALL, TIMELINE], "model": ["inter-2", "inter-2-audio"]}}


class ExpectingScanner:
    """Keeps what it was told to expect when each segment began, and what it was fed."""

    def __init__(self, fault: SegmentFault | None = None) -> None:
        self.expected = ExpectedMedia()
        self.segments: list[ExpectedMedia] = []
        self.fed: list[bytes] = []
        self._fault = fault

    def expect(self, expected: ExpectedMedia) -> None:
        self.expected = expected

    def begin(self, number: int) -> None:
        self.segments.append(self.expected)

    def feed(self, data: bytes) -> SegmentFault | None:
        self.fed.append(data)
        return self._fault

    def finish(self) -> SegmentMedia | SegmentFault:
        assert self._fault is None, "finished after a fault"
        return SegmentMedia(3.0)


def begun(revision: Revision, **options: Any) -> ClientSession:
    return ClientSession(0.0, revision=revision, **{"scanner": NominalScanner(), **options})


def opened_v2(**options: Any) -> ClientSession:
    session = begun(V2, **options)
    session.receive_text(ready(**MODELS), 0.0)
    session.events()
    return session


def with_segments(revision: Revision, count: int, **options: Any) -> ClientSession:
    """A session that has sent so many segments, with nothing in its queues."""
    session = begun(revision, **options)
    for _ in range(count):
        session.send_segment(bytes(10_000))
    session.to_send()
    return session


def state_of(session: ClientSession) -> ClientState:
    """The state, by a call: a type checker would take a property for unchanged by what happens in between."""
    return session.state


def status(revision: Revision, name: str, segment: int, **members: object) -> str:
    """A status message, with all that it needs."""
    needed: dict[str, dict[str, object]] = {
        "processing": {"bytes": 10_000},
        "result": {"signals": []},
        "error": {"error": "no"} if revision is V0 else {"error_id": "ih5002", "message": "no"},
    }
    common: dict[str, object] = {"status": name, "segment": segment}
    if revision is V0_2:
        common["correlation_id"] = CORRELATION_ID
    return json.dumps(common | needed.get(name, {}) | members)


def answer(session: ClientSession, revision: Revision, segment: int, now: float = 0.0) -> None:
    for name in ("processing", "result", "completed"):
        session.receive_text(status(revision, name, segment), now)


def refusal(session: ClientSession, call: Callable[[], object]) -> str:
    """The clause by which a call is refused; nothing is sent."""
    session.to_send()
    with pytest.raises(LocalProtocolError) as caught:
        call()
    assert caught.value.violation.side is Side.CLIENT
    assert session.to_send() == []
    return caught.value.violation.clause.id


# -- beginning ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "smallest", "largest", "seconds"),
    [(V0, 10_000, 20_971_520, None), (V0_2, 1, 33_554_432, 3), (V1_WINDOW, 1, 33_554_432, 3)],
    ids=lambda value: getattr(value, "id", None),
)
def test_without_session_ready_the_documents_are_the_contract(
    revision: Revision, smallest: int, largest: int, seconds: int | None
) -> None:
    session = begun(revision, strict=True)
    assert state_of(session) is ClientState.OPEN
    assert session.next_timeout() is None
    contract = session.contract
    assert contract is not None
    assert (contract.min_segment_size_bytes, contract.max_segment_size_bytes) == (smallest, largest)
    assert contract.min_segment_duration_seconds == seconds
    session.send_segment(bytes(10_000))
    assert session.to_send() == [BytesToSend(bytes(10_000))]


def test_v2_waits_for_session_ready() -> None:
    session = begun(V2)
    assert state_of(session) is ClientState.AWAITING_READY
    assert session.contract is None
    assert refusal(session, lambda: session.send_segment(b"x")) == "RDY-4"


def test_what_was_asked_for_in_the_query_is_in_force_from_the_beginning() -> None:
    session = begun(V0_2, asked=SessionConfig([OVERALL, "speech_rate", OVERALL]))
    assert session.config == SessionConfig([OVERALL])
    assert opened_v2(asked=SessionConfig(model="inter-2-audio")).config.model == "inter-2-audio"


# -- CFG: configs ---------------------------------------------------------------------------------------


@every_status
def test_there_is_no_config_in_status_revisions(revision: Revision) -> None:
    session = begun(revision)
    assert refusal(session, session.send_config) == "CFG-1"
    assert refusal(session, lambda: session.send_config([OVERALL])) == "CFG-1"
    assert session.config == SessionConfig()


@pytest.mark.parametrize(
    ("revision", "config", "clause_id"),
    [
        (V1_WINDOW, {"goal_dimensions": ["clarity"]}, "CFG-5"),
        (V1_WINDOW, {"model": "inter-2"}, "CFG-7"),
        (V1_WINDOW, {"audio_format": AudioFormat()}, "CFG-5"),
        (V1, {"model": "inter-2"}, "CFG-7"),
        (V1, {"audio_format": AudioFormat()}, "CFG-5"),
    ],
    ids=lambda value: getattr(value, "id", None),
)
def test_a_config_holds_only_what_the_revision_has_words_for(
    revision: Revision, config: dict[str, Any], clause_id: str
) -> None:
    session = begun(revision)
    assert refusal(session, lambda: session.send_config(**config)) == clause_id


def test_v1_window_has_a_config_in_force_when_it_is_sent() -> None:
    session = begun(V1_WINDOW)
    session.send_config([OVERALL])
    assert texts(session.to_send()) == [{"include": [OVERALL]}]
    assert session.config == SessionConfig([OVERALL])
    session.send_config([TIMELINE, "speech_rate"])
    assert session.config == SessionConfig([TIMELINE])


def test_v1_window_has_the_config_before_in_force_when_one_is_refused() -> None:
    session = begun(V1_WINDOW)
    session.send_config([OVERALL])
    session.send_config([TIMELINE])
    session.receive_text(error("ih6001"), 0.0)
    assert session.config == SessionConfig([OVERALL])
    session.receive_text(error("ih6001", segment=None), 0.0)
    assert session.config == SessionConfig([OVERALL])
    assert clause_ids(session.events()) == []


def test_v2_selects_a_model_and_an_audio_format() -> None:
    session = opened_v2()
    session.send_config([OVERALL], model="inter-2-audio", audio_format=AudioFormat(sample_rate=24000))
    audio = {"encoding": "pcm_s16le", "sample_rate": 24000, "channels": 1}
    assert texts(session.to_send()) == [{"include": [OVERALL], "model": "inter-2-audio", "audio_format": audio}]
    session.receive_text(updated([OVERALL], model="inter-2-audio"), 0.0)
    assert session.config == SessionConfig([OVERALL], None, "inter-2-audio", AudioFormat(sample_rate=24000))
    session.send_config()
    session.receive_text(updated(model="inter-2-audio"), 0.0)
    assert session.config == SessionConfig((), None, "inter-2-audio", AudioFormat(sample_rate=24000))
    assert clause_ids(session.events()) == []


@pytest.mark.parametrize("final", [True, False])
def test_v2_fixes_model_and_audio_format_with_the_first_segment(final: bool) -> None:
    session = opened_v2()
    session.send_segment(b"x", final=final)
    assert refusal(session, lambda: session.send_config(model="inter-2-audio")) == "CFG-7"
    assert refusal(session, lambda: session.send_config(audio_format=AudioFormat())) == "CFG-8"
    session.send_config([OVERALL])


def test_v2_takes_a_model_that_this_library_does_not_know() -> None:
    scanner = ExpectingScanner()
    session = opened_v2(scanner=scanner, asked=SessionConfig(model="inter-3"))
    session.send_segment(b"x")
    assert scanner.segments == [ExpectedMedia(())]


def test_a_segment_is_measured_as_the_configs_before_it_want_it() -> None:
    scanner = ExpectingScanner()
    session = opened_v2(scanner=scanner)
    session.send_config(model="inter-2-audio", audio_format=AudioFormat())
    # What was not answered yet counts as well.
    session.send_config([OVERALL])
    session.send_segment(b"x")
    assert scanner.segments == [ExpectedMedia(("audio",), AudioFormat())]


def test_a_segment_is_not_measured_as_a_refused_config_wanted_it() -> None:
    scanner = ExpectingScanner()
    session = opened_v2(scanner=scanner)
    session.send_config(audio_format=AudioFormat())
    session.receive_text(error("ih6001"), 0.0)
    session.send_segment(b"x")
    assert scanner.segments == [ExpectedMedia(("video", "audio"))]


@every_silent
def test_a_segment_in_which_a_fault_was_found_is_sent_and_measured_no_more(revision: Revision) -> None:
    scanner = ExpectingScanner(SegmentFault("ih5004", "SEG-6", "is broken"))
    session = begun(revision, scanner=scanner)
    session.send_segment(bytes(10_000), final=False)
    assert session.segment_under_way
    session.send_segment(b"more")
    assert not session.segment_under_way
    assert scanner.fed == [bytes(10_000)]
    assert session.to_send() == [BytesToSend(bytes(10_000), False), BytesToSend(b"more")]
    assert session.media_seconds_sent == 0


# -- SEG: sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 9_999, 20_971_521])
def test_v0_refuses_a_segment_outside_10_kb_to_20_mb(size: int) -> None:
    session = begun(V0)
    assert refusal(session, lambda: session.send_segment(bytes(size))) == "SEG-3"
    assert session.segments_sent == 0


@pytest.mark.parametrize("size", [10_000, 20_971_520])
def test_v0_sends_a_segment_of_10_kb_and_one_of_20_mb(size: int) -> None:
    session = begun(V0)
    session.send_segment(bytes(size))
    assert session.segments_sent == 1


def test_v0_judges_the_size_of_all_pieces_together() -> None:
    session = begun(V0)
    session.send_segment(bytes(5_000), final=False)
    assert refusal(session, lambda: session.send_segment(bytes(4_999))) == "SEG-3"
    assert refusal(session, lambda: session.send_segment(bytes(20_966_521))) == "SEG-3"
    session.send_segment(bytes(5_000))


@pytest.mark.parametrize("revision", REVISIONS.values(), ids=list(REVISIONS))
def test_an_empty_segment_is_refused_in_every_revision(revision: Revision) -> None:
    session = opened_v2() if revision is V2 else begun(revision)
    if revision is V1:
        session.receive_text(ready(), 0.0)
    assert refusal(session, lambda: session.send_segment(b"")) == "SEG-10"


@pytest.mark.parametrize("revision", [V0_2, V1_WINDOW], ids=lambda revision: revision.id)
def test_the_others_without_session_ready_refuse_more_than_32_mb(revision: Revision) -> None:
    session = begun(revision)
    session.check_segment(33_554_432)
    with pytest.raises(LocalProtocolError, match=r"^SEG-2: "):
        session.check_segment(33_554_433)


def test_sizes_are_left_to_the_server_on_demand() -> None:
    session = begun(V0, check_segments=False)
    session.send_segment(b"")
    session.send_segment(bytes(20_971_521))
    sentence = "Video chunk too large: 20971521 bytes (maximum: 20971520 bytes)"
    session.receive_text(status(V0, "error", 1), 0.0)
    session.receive_text(status(V0, "error", 2, error=sentence), 0.0)
    assert clause_ids(session.events()) == []


# -- what a server says -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "name", "type_"),
    [
        (V0, "processing", SegmentProcessing),
        (V0, "result", SegmentSignals),
        (V0, "completed", SegmentCompleted),
        (V0, "error", SegmentFailedText),
        (V0_2, "processing", SegmentProcessing),
        (V0_2, "result", SegmentResult),
        (V0_2, "completed", SegmentCompleted),
        (V0_2, "error", SegmentFailed),
    ],
    ids=lambda value: getattr(value, "id", None),
)
def test_status_messages_are_typed_and_keep_their_text(revision: Revision, name: str, type_: type) -> None:
    session = with_segments(revision, 1)
    text = status(revision, name, 1, x="é")
    session.receive_text(text, 0.0)
    event = session.events()[0]
    assert isinstance(event, Envelope)
    assert isinstance(event.message, type_)
    assert (event.type, event.raw, event.timestamp) == (name, text, None)
    assert session.correlation_id == (None if revision is V0 else CORRELATION_ID)


@every_status
def test_an_unknown_status_passes_untouched(revision: Revision) -> None:
    session = with_segments(revision, 1, strict=True)
    text = status(revision, "queued", 7, place={"x": [None]})
    session.receive_text(text, 0.0)
    (event,) = session.events()
    assert isinstance(event, Envelope)
    assert event.message == Unknown(text)
    assert event.raw == text


def test_unknown_types_pass_in_v1_window_session_ready_included() -> None:
    session = begun(V1_WINDOW, strict=True)
    for text in (ready(), updated(), envelope("signal.ended", {"signal_type": "stress", "end": 1}), envelope("x", 1)):
        session.receive_text(text, 0.0)
    events = session.events()
    assert [isinstance(event, Envelope) and isinstance(event.message, Unknown) for event in events] == [True] * 4
    assert state_of(session) is ClientState.OPEN


def test_v1_window_has_two_flavours_of_signals() -> None:
    session = begun(V1_WINDOW, strict=True)
    span = {"start": 3, "end": 11}
    session.receive_text(envelope("signal.detected", {"signals": [{"type": "stress", **span}] * 2}), 0.0)
    session.receive_text(envelope("signal.detected", {"signal_type": "stress", **span}), 0.0)
    session.receive_text(envelope("engagement.updated", {"state": "engaged", **span}), 0.0)
    session.receive_text(envelope("engagement.updated", {"state": "engaged", **span}), 0.0)
    messages = [event.message for event in session.events() if isinstance(event, Envelope)]
    assert [type(message) for message in messages] == [
        WindowSignals,
        WindowSignal,
        WindowEngagement,
        WindowEngagement,
    ]
    assert session.signals == {}


@every_status
def test_segments_may_overtake_each_other(revision: Revision) -> None:
    session = with_segments(revision, 3, strict=True)
    for name, segment in [
        ("processing", 2),
        ("processing", 1),
        ("error", 3),
        ("result", 1),
        ("result", 2),
        ("completed", 2),
        ("completed", 1),
    ]:
        session.receive_text(status(revision, name, segment), 0.0)
    assert clause_ids(session.events()) == []


@every_status
def test_a_segment_may_be_refused_while_it_is_sent(revision: Revision) -> None:
    session = begun(revision, strict=True)
    session.send_segment(bytes(10_000), final=False)
    session.receive_text(status(revision, "error", 1), 0.0)
    session.send_segment(bytes(10_000))
    session.end(0.0)
    assert state_of(session) is ClientState.CLOSING
    assert clause_ids(session.events()) == []


@every_status
def test_a_binary_message_of_the_server_is_no_status_message(revision: Revision) -> None:
    session = begun(revision)
    session.receive_bytes(b"x", 0.0, final=False)
    session.receive_bytes(b"x", 0.0)
    assert clause_ids(session.events()) == ["STS-1"]
    strict = begun(revision, strict=True)
    with pytest.raises(RemoteProtocolError, match=r"^STS-1: "):
        strict.receive_bytes(b"x", 0.0)


def test_v2_blames_a_modality_but_only_a_little() -> None:
    session = opened_v2(strict=True)
    session.receive_text(detected(modality=["video"]), 0.0)
    assert clause_ids(session.events()) == ["SIG-8"]


# -- ending -----------------------------------------------------------------------------------------------


@every_silent
def test_a_session_is_not_ended_in_the_middle_of_a_segment(revision: Revision) -> None:
    session = begun(revision)
    session.send_segment(b"x", final=False)
    with pytest.raises(LocalProtocolError, match="segment 1 is not finished"):
        session.end(0.0)
    assert state_of(session) is ClientState.OPEN


@every_status
def test_a_session_without_segments_ends_at_once(revision: Revision) -> None:
    session = begun(revision)
    session.end(0.0)
    assert session.to_send() == [CloseToSend(1000)]
    assert state_of(session) is ClientState.CLOSING
    assert session.next_timeout() is None


@every_status
def test_a_session_of_which_all_is_said_ends_at_once(revision: Revision) -> None:
    session = with_segments(revision, 2)
    answer(session, revision, 1)
    session.receive_text(status(revision, "error", 2), 0.0)
    session.end(0.0, or_close=True)
    assert session.to_send() == [CloseToSend(1000)]


@every_status
@pytest.mark.parametrize("last", ["completed", "error"])
def test_a_session_ends_when_all_is_said_and_not_before(revision: Revision, last: str) -> None:
    session = with_segments(revision, 2, drain_grace=10.0)
    session.end(1.0)
    assert state_of(session) is ClientState.FINISHING
    for now, name, segment in [(2.0, "processing", 1), (3.0, "processing", 2), (4.0, "result", 2), (5.0, "error", 1)]:
        assert session.next_timeout() == now - 1 + 10
        session.receive_text(status(revision, name, segment), now)
        assert session.to_send() == []
        session.handle_timeout(now)
    session.receive_text(status(revision, last, 2), 14.9)
    assert session.to_send() == [CloseToSend(1000)]
    assert clause_ids(session.events()) == []
    session.receive_close(1000)
    assert session.events() == [SessionClosed(1000)]


def test_v1_window_ends_when_the_server_has_been_silent_for_long() -> None:
    session = with_segments(V1_WINDOW, 1, strict=True, drain_grace=5.0)
    session.end(1.0)
    assert session.to_send() == []
    assert session.next_timeout() == 6.0
    session.receive_text(envelope("engagement.updated", {"state": "engaged", "start": 0, "end": 8}), 5.5)
    assert session.next_timeout() == 10.5
    session.handle_timeout(10.4)
    assert session.to_send() == []
    session.handle_timeout(10.5)
    assert session.to_send() == [CloseToSend(1000)]
    assert state_of(session) is ClientState.CLOSING
    assert clause_ids(session.events()) == []


@every_status
def test_segments_that_stay_without_an_answer_are_named(revision: Revision) -> None:
    session = with_segments(revision, 4, drain_grace=5.0)
    answer(session, revision, 2)
    session.receive_text(status(revision, "processing", 3), 0.0)
    session.end(1.0)
    session.events()
    session.handle_timeout(6.0)
    (violation,) = violations(session.events())
    assert violation.clause.id == "STS-5"
    assert violation.state == "FINISHING"
    assert "segment 1, 3, 4" in violation.what
    assert session.to_send() == [CloseToSend(1000, "timed out")]
    session.handle_timeout(100.0)
    assert session.to_send() == []


@every_status
def test_a_strict_session_does_not_accuse_a_server_that_is_slow(revision: Revision) -> None:
    session = with_segments(revision, 1, strict=True)
    session.end(1.0)
    assert session.next_timeout() == 61.0
    session.handle_timeout(61.0)
    assert session.unanswered == (1,)
    assert session.to_send() == [CloseToSend(1000, "timed out")]


@every_silent
def test_a_session_that_finishes_sends_no_media_and_is_not_ended_again(revision: Revision) -> None:
    session = with_segments(revision, 1)
    session.end(0.0)
    assert refusal(session, lambda: session.send_segment(bytes(10_000))) == "CLS-3"
    assert refusal(session, lambda: session.end(0.0)) == "CLS-3"
    assert state_of(session) is ClientState.FINISHING


def test_v1_window_may_still_be_configured_while_it_finishes() -> None:
    session = with_segments(V1_WINDOW, 1)
    session.end(0.0)
    session.send_config([OVERALL])
    assert texts(session.to_send()) == [{"include": [OVERALL]}]


@every_silent
def test_a_session_that_finishes_can_be_closed(revision: Revision) -> None:
    session = with_segments(revision, 1)
    session.end(0.0)
    session.close(1001, "enough")
    assert session.to_send() == [CloseToSend(1001, "enough")]
    assert session.next_timeout() is None
    session.receive_text(status(revision, "processing", 1), 0.0)
    assert state_of(session) is ClientState.CLOSING


@every_silent
@pytest.mark.parametrize("finishing", [True, False])
def test_the_server_may_close_in_the_middle(revision: Revision, finishing: bool) -> None:
    session = with_segments(revision, 2, strict=True)
    if finishing:
        session.end(0.0)
    session.receive_close(1011, "ih1001")
    assert session.events() == [SessionClosed(1011, "ih1001")]
    assert state_of(session) is ClientState.CLOSED
    assert session.next_timeout() is None
    session.receive_text(status(revision, "completed", 1), 0.0)
    session.receive_bytes(b"x", 0.0)
    session.receive_lost()
    assert session.events() == []


@every_silent
def test_the_connection_may_be_lost_in_the_middle(revision: Revision) -> None:
    session = with_segments(revision, 1, strict=True)
    session.end(0.0)
    session.receive_lost("reset")
    assert session.events() == [SessionClosed(1006, "reset")]


def test_an_error_that_announces_a_close_explains_it_in_v1_window() -> None:
    session = with_segments(V1_WINDOW, 1, strict=True)
    session.receive_text(error("ih1001"), 0.0)
    assert state_of(session) is ClientState.FAILED
    session.end(0.0)
    session.receive_text(error("ih6003"), 0.0)
    assert state_of(session) is ClientState.FINISHING
    session.receive_close(1001)
    closed = session.events()[-1]
    assert isinstance(closed, SessionClosed)
    assert closed.error is not None
    assert closed.error.code == "ih6003"


@every_status
def test_a_broken_message_does_not_keep_a_session_from_finishing(revision: Revision) -> None:
    session = with_segments(revision, 1, drain_grace=5.0)
    session.end(0.0)
    session.receive_text('{"status": "completed"}', 1.0)
    assert clause_ids(session.events()) == ["STS-1"]
    answer(session, revision, 1, 2.0)
    assert session.to_send() == [CloseToSend(1000)]


@every_status
def test_an_error_without_a_segment_is_handed_out_and_blamed(revision: Revision) -> None:
    session = with_segments(revision, 1)
    told = {"error": "broken"} if revision is V0 else {"error_id": "ih1001", "message": "broken", "link": None}
    outside = {} if revision is V0 else {"correlation_id": "c-1"}
    session.receive_text(json.dumps({"status": "error", "segment": None, **told, **outside}), 0.0)
    envelope, violated = session.events()
    assert isinstance(envelope, Envelope)
    assert "broken" in str(envelope.message)
    assert isinstance(violated, Violated)
    assert (violated.violation.clause.id, violated.violation.path) == ("STS-1", "$.segment")
    assert session.unanswered == (1,)
