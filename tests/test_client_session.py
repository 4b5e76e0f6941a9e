import json
from collections.abc import Callable
from typing import Any

import pytest
from builders import (
    CONTRACT,
    CORRELATION_ID,
    FIFTY,
    OVERALL,
    TIMELINE,
    clause_ids,
    closing,
    detected,
    ended,
    engagement,
    envelope,
    error,
    ready,
    ready_with_goals,
    signal_ended,
    signal_updated,
    texts,
    updated,
    violations,
)

from ihproto import (
    V1_WINDOW,
    BytesToSend,
    ClientSession,
    ClientState,
    CloseToSend,
    Envelope,
    Error,
    ExpectedMedia,
    Level,
    LocalProtocolError,
    NominalScanner,
    RemoteProtocolError,
    SegmentFault,
    SegmentMedia,
    SessionClosed,
    SessionConfig,
    SessionEnded,
    SessionReady,
    SessionUpdated,
    Side,
    SignalDetected,
    TextToSend,
    Unknown,
    Violated,
)

FEEDBACK = envelope("feedback.generated", {"feedback": "slow down"})


class ScriptedScanner:
    """Answers each `finish` with the next of `results`, and keeps what it was given."""

    def __init__(self, *results: SegmentMedia | SegmentFault) -> None:
        self._results = list(results)
        self.calls: list[object] = []

    def expect(self, expected: ExpectedMedia) -> None:
        pass

    def begin(self, number: int) -> None:
        self.calls.append(number)

    def feed(self, data: bytes) -> SegmentFault | None:
        self.calls.append(data)
        return None

    def finish(self) -> SegmentMedia | SegmentFault:
        return self._results.pop(0)


def state_of(session: ClientSession) -> ClientState:
    """The state, by a call: a type checker would take a property for unchanged by what happens in between."""
    return session.state


def opened(now: float = 0.0, *, contract: str | None = None, **options: Any) -> ClientSession:
    """A session that has its `session.ready`, with nothing in its queues."""
    session = ClientSession(now, **options)
    session.receive_text(ready() if contract is None else contract, now)
    assert state_of(session) is ClientState.OPEN
    assert [type(event) for event in session.events()] == [Envelope]
    return session


def close_requested(now: float = 0.0, **options: Any) -> ClientSession:
    session = opened(now, **options)
    session.end(now)
    session.to_send()
    return session


def draining(now: float = 0.0, *, seconds: float = 30, **options: Any) -> ClientSession:
    session = close_requested(now, **options)
    session.receive_text(closing(seconds), now)
    session.events()
    return session


def session_ended(now: float = 0.0, **options: Any) -> ClientSession:
    session = draining(now, **options)
    session.receive_text(ended(), now)
    session.events()
    return session


def refused(now: float = 0.0, **options: Any) -> ClientSession:
    session = ClientSession(now, **options)
    session.receive_text(error("ih2003"), now)
    session.events()
    return session


def failed(now: float = 0.0, **options: Any) -> ClientSession:
    session = opened(now, **options)
    session.receive_text(error("ih1001"), now)
    session.events()
    return session


def failed_closing(now: float = 0.0, **options: Any) -> ClientSession:
    session = close_requested(now, **options)
    session.receive_text(error("ih1001"), now)
    session.events()
    return session


def own_close(now: float = 0.0, **options: Any) -> ClientSession:
    session = opened(now, **options)
    session.close()
    session.to_send()
    return session


def peer_close(now: float = 0.0, **options: Any) -> ClientSession:
    session = opened(now, **options)
    session.receive_close(1000)
    session.events()
    return session


def finishing(now: float, **options: Any) -> ClientSession:
    session = ClientSession(now, **{"revision": V1_WINDOW, **options})
    session.end(now)
    return session


IN_STATE: dict[ClientState, Callable[..., ClientSession]] = {
    ClientState.AWAITING_READY: ClientSession,
    ClientState.REFUSED: refused,
    ClientState.OPEN: opened,
    ClientState.FAILED: failed,
    ClientState.FAILED_CLOSING: failed_closing,
    ClientState.CLOSE_REQUESTED: close_requested,
    ClientState.DRAINING: draining,
    ClientState.FINISHING: finishing,
    ClientState.ENDED: session_ended,
    ClientState.CLOSING: own_close,
    ClientState.CLOSED: peer_close,
}


def in_state(state: ClientState, **options: Any) -> ClientSession:
    session = IN_STATE[state](0.0, **options)
    assert state_of(session) is state
    return session


def refusal(call: Callable[[], object], session: ClientSession) -> str:
    """The clause by which a call is refused; checks that the refusal changed nothing that can be seen."""
    before = snapshot(session)
    with pytest.raises(LocalProtocolError) as caught:
        call()
    violation = caught.value.violation
    assert violation.side is Side.CLIENT
    assert violation.state == session.state.value
    assert snapshot(session) == before
    assert session.to_send() == []
    assert session.events() == []
    return violation.clause.id


def snapshot(session: ClientSession) -> tuple[object, ...]:
    return (
        session.state,
        session.config,
        session.segments_sent,
        session.media_seconds_sent,
        session.next_timeout(),
    )


# -- RDY: waiting for session.ready -------------------------------------------------------------


def test_a_new_session_waits_for_ready_and_says_nothing() -> None:
    session = ClientSession(5.0)
    assert state_of(session) is ClientState.AWAITING_READY
    assert session.contract is None
    assert session.correlation_id is None
    assert session.events() == []
    assert session.to_send() == []


def test_ready_opens_the_session_and_gives_the_contract() -> None:
    session = ClientSession(0.0)
    text = ready(max_segment_duration_seconds=60)
    session.receive_text(text, 1.0)
    assert state_of(session) is ClientState.OPEN
    contract = session.contract
    assert contract is not None
    assert contract.session_idle_timeout_seconds == 300
    assert contract.session_max_duration_seconds == 3600
    assert contract.min_segment_duration_seconds == 3
    assert contract.max_segment_duration_seconds == 60
    assert contract.min_segment_size_bytes == 1
    assert contract.max_segment_size_bytes == 33554432
    assert contract.supported_session_config_options.include == (OVERALL, TIMELINE)
    (event,) = session.events()
    assert isinstance(event, Envelope)
    assert event.message == contract
    assert event.raw == text


def test_no_segment_goes_before_ready() -> None:
    session = ClientSession(0.0)
    assert refusal(lambda: session.send_segment(b"video"), session) == "RDY-4"
    assert session.segments_sent == 0


def test_no_graceful_close_goes_before_ready() -> None:
    session = ClientSession(0.0)
    assert refusal(lambda: session.end(1.0), session) == "RDY-4"


def test_a_config_may_go_before_ready() -> None:
    session = ClientSession(0.0)
    session.send_config([OVERALL])
    assert texts(session.to_send()) == [{"include": [OVERALL]}]
    assert state_of(session) is ClientState.AWAITING_READY
    session.receive_text(ready(), 0.1)
    session.receive_text(updated([OVERALL]), 0.2)
    assert clause_ids(session.events()) == []
    assert session.config == SessionConfig([OVERALL])


def test_a_close_before_ready_is_how_a_session_is_not_established() -> None:
    session = ClientSession(0.0)
    session.receive_close(1013, "busy")
    assert session.events() == [SessionClosed(1013, "busy")]


@pytest.mark.parametrize(
    "text", [detected(), updated(), closing(), ended(), envelope("brand.new", {})], ids=lambda text: text[:30]
)
def test_an_envelope_before_ready_breaks_rdy_1(text: str) -> None:
    session = ClientSession(0.0)
    session.receive_text(text, 0.0)
    events = session.events()
    assert isinstance(events[0], Envelope)
    assert violations(events)[0].clause.id == "RDY-1"
    assert violations(events)[0].state == "AWAITING_READY"
    assert state_of(session) is ClientState.AWAITING_READY
    session.receive_text(ready(), 0.0)
    assert state_of(session) is ClientState.OPEN


@pytest.mark.parametrize(
    "state", [ClientState.OPEN, ClientState.FAILED, ClientState.CLOSE_REQUESTED, ClientState.DRAINING]
)
def test_a_second_ready_breaks_rdy_1_and_the_state_stays(state: ClientState) -> None:
    session = in_state(state)
    session.receive_text(ready(), 1.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("RDY-1", state.value)
    assert state_of(session) is state


@pytest.mark.parametrize("code", ["ih2003", "ih3002", "ih9999"])
def test_an_error_before_ready_refuses_the_session(code: str) -> None:
    session = ClientSession(0.0)
    session.receive_text(error(code), 0.0)
    assert state_of(session) is ClientState.REFUSED
    assert clause_ids(session.events()) == []
    assert refusal(lambda: session.send_config([OVERALL]), session) == "RDY-3"
    assert refusal(lambda: session.send_segment(b"video"), session) == "RDY-3"
    assert refusal(lambda: session.end(0.0), session) == "RDY-3"
    session.receive_close(4003)
    (closed,) = session.events()
    assert closed == SessionClosed(4003, "", None, Error(code, "something went wrong"))


@pytest.mark.parametrize("text", [detected(), closing(), ended()], ids=lambda text: text[:30])
def test_after_the_error_that_refused_a_session_only_a_close_may_follow(text: str) -> None:
    session = refused()
    session.receive_text(text, 0.0)
    (violation, *_) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("RDY-3", "REFUSED")
    assert state_of(session) is ClientState.REFUSED


def test_further_errors_explain_a_refusal_too() -> None:
    session = refused()
    session.receive_text(error("ih1003"), 0.0)
    assert clause_ids(session.events()) == []
    session.receive_close(1013)
    (closed,) = session.events()
    assert isinstance(closed, SessionClosed)
    assert closed.error == Error("ih1003", "something went wrong")


def test_a_ready_after_the_refusal_breaks_rdy_3_and_opens_the_session() -> None:
    session = refused()
    session.receive_text(ready(), 0.0)
    assert clause_ids(session.events()) == ["RDY-3"]
    assert state_of(session) is ClientState.OPEN
    assert session.next_timeout() is None


def test_a_contract_that_nobody_can_keep_breaks_rdy_2() -> None:
    session = ClientSession(0.0)
    session.receive_text(ready(max_segment_size_bytes=0), 0.0)
    assert clause_ids(session.events()) == ["RDY-2"]
    assert state_of(session) is ClientState.OPEN


# -- time ---------------------------------------------------------------------------------------


def test_a_session_that_does_not_become_ready_in_time_is_closed() -> None:
    session = ClientSession(100.0, ready_timeout=5.0)
    assert session.next_timeout() == 105.0
    session.handle_timeout(104.999)
    assert state_of(session) is ClientState.AWAITING_READY
    assert session.to_send() == []
    session.handle_timeout(105.0)
    assert state_of(session) is ClientState.CLOSING
    assert session.to_send() == [CloseToSend(1000, "timed out")]
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.side, violation.state) == ("RDY-1", Side.SERVER, "AWAITING_READY")
    assert session.next_timeout() is None


def test_the_default_wait_for_ready_is_30_seconds() -> None:
    assert ClientSession(100.0).next_timeout() == 130.0


def test_a_strict_session_raises_when_ready_is_overdue_and_closes_all_the_same() -> None:
    session = ClientSession(0.0, strict=True, ready_timeout=5.0)
    with pytest.raises(RemoteProtocolError, match=r"^RDY-1: "):
        session.handle_timeout(5.0)
    assert session.to_send() == [CloseToSend(1000, "timed out")]
    assert clause_ids(session.events()) == ["RDY-1"]


def test_an_open_session_waits_for_nothing() -> None:
    session = opened()
    assert session.next_timeout() is None
    session.handle_timeout(1e9)
    assert state_of(session) is ClientState.OPEN
    assert session.to_send() == []


def test_a_refused_session_that_is_not_closed_is_closed_by_rdy_3() -> None:
    session = ClientSession(0.0, ready_timeout=5.0)
    session.receive_text(error("ih2003"), 1.0)
    session.events()
    assert session.next_timeout() == 5.0
    session.handle_timeout(5.0)
    assert clause_ids(session.events()) == ["RDY-3"]
    assert state_of(session) is ClientState.CLOSING


def test_an_unanswered_session_close_is_closed_by_cls_1() -> None:
    session = opened(0.0, drain_grace=7.0)
    session.end(100.0)
    session.to_send()
    assert session.next_timeout() == 107.0
    session.handle_timeout(107.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("CLS-1", "CLOSE_REQUESTED")
    assert session.to_send() == [CloseToSend(1000, "timed out")]


def test_a_close_in_place_of_an_answer_to_session_close_ends_the_session() -> None:
    session = close_requested()
    session.receive_close(1000)
    assert state_of(session) is ClientState.CLOSED


def test_the_default_grace_of_a_drain_is_10_seconds() -> None:
    session = opened()
    session.end(100.0)
    assert session.next_timeout() == 110.0


def test_a_drain_that_takes_longer_than_announced_is_closed_by_cls_1() -> None:
    session = close_requested(0.0, drain_grace=7.0)
    session.receive_text(closing(20), 2.0)
    session.events()
    assert session.next_timeout() == 29.0
    session.handle_timeout(28.9)
    assert state_of(session) is ClientState.DRAINING
    session.handle_timeout(29.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("CLS-1", "DRAINING")
    assert state_of(session) is ClientState.CLOSING


def test_a_close_that_does_not_come_after_session_ended_is_made_by_cls_1() -> None:
    session = draining(0.0, drain_grace=7.0)
    session.receive_text(ended(), 3.0)
    session.events()
    assert session.next_timeout() == 10.0
    session.handle_timeout(10.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("CLS-1", "ENDED")
    assert state_of(session) is ClientState.CLOSING


def test_a_fatal_error_in_the_drain_without_its_close_is_closed_by_err_2() -> None:
    session = draining(0.0, seconds=20, drain_grace=7.0)
    session.receive_text(error("ih1001"), 5.0)
    assert state_of(session) is ClientState.FAILED_CLOSING
    session.events()
    assert session.next_timeout() == 27.0
    session.handle_timeout(27.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("ERR-2", "FAILED_CLOSING")
    assert state_of(session) is ClientState.CLOSING


def test_an_overdue_drain_does_not_raise_in_a_strict_session() -> None:
    session = draining(0.0, strict=True)
    session.handle_timeout(1000.0)
    assert clause_ids(session.events()) == ["CLS-1"]
    assert state_of(session) is ClientState.CLOSING


@pytest.mark.parametrize("state", [ClientState.AWAITING_READY, ClientState.CLOSE_REQUESTED, ClientState.DRAINING])
def test_a_close_of_either_side_stops_the_clock(state: ClientState) -> None:
    ours, theirs, lost = in_state(state), in_state(state), in_state(state)
    assert ours.next_timeout() is not None
    ours.close()
    theirs.receive_close(1000)
    lost.receive_lost()
    for session in (ours, theirs, lost):
        assert session.next_timeout() is None
        session.events()
        session.handle_timeout(1e9)
        assert session.events() == []


LATE = "a session.closing or session.ended that was in flight sets a deadline in a state that has none: KeyError"


@pytest.mark.parametrize("text", [closing(), ended()], ids=["closing", "ended"])
@pytest.mark.parametrize("state", [ClientState.CLOSING, ClientState.CLOSED])
def test_what_was_in_flight_when_a_session_closed_starts_no_clock(state: ClientState, text: str) -> None:
    session = close_requested()
    session.close()
    if state is ClientState.CLOSED:
        session.receive_close(1000)
    session.receive_text(text, 1.0)
    assert session.next_timeout() is None


@pytest.mark.parametrize("state", [ClientState.CLOSE_REQUESTED, ClientState.DRAINING, ClientState.ENDED])
def test_a_second_ready_does_not_stop_the_clock_of_a_graceful_close(state: ClientState) -> None:
    session = in_state(state)
    deadline = session.next_timeout()
    assert deadline is not None
    session.receive_text(ready(), 1.0)
    assert session.next_timeout() == deadline


def test_a_second_closing_does_not_prolong_the_drain() -> None:
    session = draining(0.0, seconds=20)
    deadline = session.next_timeout()
    session.receive_text(closing(1000), 1.0)
    assert clause_ids(session.events()) == ["CLS-1"]
    assert session.next_timeout() == deadline


# -- CFG: session config ------------------------------------------------------------------------


def test_a_config_is_one_json_object_in_a_text() -> None:
    session = opened()
    session.send_config([OVERALL, TIMELINE], goal_dimensions=["clarity"])
    (item,) = session.to_send()
    assert isinstance(item, TextToSend)
    assert json.loads(item.text) == {"include": [OVERALL, TIMELINE], "goal_dimensions": ["clarity"]}


def test_a_config_without_arguments_resets_everything() -> None:
    session = opened()
    session.send_config()
    assert texts(session.to_send()) == [{"include": []}]


def test_a_config_is_in_force_only_when_the_server_confirmed_it() -> None:
    session = opened()
    assert session.config == SessionConfig()
    session.send_config([OVERALL])
    assert session.config == SessionConfig()
    session.receive_text(updated([OVERALL]), 0.0)
    assert session.config == SessionConfig([OVERALL])
    assert clause_ids(session.events()) == []


def test_the_answer_need_not_repeat_what_the_contract_does_not_offer() -> None:
    session = opened()
    session.send_config([OVERALL, "subtitles", OVERALL])
    session.receive_text(updated([OVERALL]), 0.0)
    assert clause_ids(session.events()) == []


def test_an_answer_that_lacks_what_was_asked_breaks_cfg_2() -> None:
    session = opened()
    session.send_config([OVERALL, TIMELINE])
    session.receive_text(updated([OVERALL]), 0.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.path) == ("CFG-2", "$.data.include")


def test_an_absent_include_that_does_not_reset_breaks_cfg_4() -> None:
    session = opened()
    session.send_config([OVERALL])
    session.receive_text(updated([OVERALL]), 0.0)
    session.send_config()
    session.receive_text(updated([OVERALL]), 0.0)
    assert clause_ids(session.events()) == ["CFG-4"]
    assert session.config == SessionConfig([OVERALL])


def test_an_answer_to_nothing_breaks_cfg_2() -> None:
    session = opened()
    session.receive_text(updated(), 0.0)
    assert clause_ids(session.events()) == ["CFG-2"]


def test_several_configs_in_flight_are_answered_in_order() -> None:
    session = opened()
    session.send_config([OVERALL])
    session.send_config([TIMELINE])
    session.send_config()
    session.receive_text(updated([OVERALL]), 0.0)
    session.receive_text(updated([TIMELINE]), 0.0)
    session.receive_text(updated(), 0.0)
    assert clause_ids(session.events()) == []
    session.receive_text(updated(), 0.0)
    assert clause_ids(session.events()) == ["CFG-2"]


def test_answers_out_of_order_break_cfg_2() -> None:
    session = opened()
    session.send_config([OVERALL])
    session.send_config([TIMELINE])
    session.receive_text(updated([TIMELINE]), 0.0)
    session.receive_text(updated([OVERALL]), 0.0)
    assert clause_ids(session.events()) == ["CFG-2", "CFG-2"]


def test_ih6001_answers_the_oldest_config_and_leaves_the_one_in_force() -> None:
    session = opened()
    session.send_config([OVERALL])
    session.receive_text(updated([OVERALL]), 0.0)
    session.send_config([], goal_dimensions=["charm"])
    session.send_config([TIMELINE])
    session.receive_text(error("ih6001"), 0.0)
    assert session.config == SessionConfig([OVERALL])
    session.receive_text(updated([TIMELINE]), 0.0)
    assert clause_ids(session.events()) == []
    assert session.config == SessionConfig([TIMELINE])
    assert state_of(session) is ClientState.OPEN


def test_an_answer_that_cannot_be_read_is_not_blamed_on_the_next_one() -> None:
    session = opened()
    session.send_config([OVERALL])
    session.send_config([TIMELINE])
    session.receive_text(envelope("session.updated", {"include": 5}), 0.0)
    session.receive_text(updated([TIMELINE]), 0.0)
    assert clause_ids(session.events()) == ["CFG-2"]


def test_a_config_that_was_never_answered_breaks_cfg_2_at_session_closing() -> None:
    session = opened()
    session.send_config([OVERALL])
    session.end(0.0)
    session.receive_text(closing(), 0.0)
    assert clause_ids(session.events()) == ["CFG-2"]


@pytest.mark.parametrize("state", [ClientState.CLOSE_REQUESTED, ClientState.DRAINING])
def test_a_config_may_still_go_while_the_session_is_ending(state: ClientState) -> None:
    session = in_state(state)
    session.send_config([OVERALL])
    assert texts(session.to_send()) == [{"include": [OVERALL]}]
    if state is ClientState.CLOSE_REQUESTED:
        session.receive_text(closing(), 0.0)
    session.receive_text(updated([OVERALL]), 0.0)
    assert clause_ids(session.events()) == []


def test_goal_dimensions_that_are_not_confirmed_break_cfg_6() -> None:
    session = opened(contract=ready_with_goals("clarity", "energy"))
    session.send_config(goal_dimensions=["clarity"])
    session.receive_text(updated(goal_dimensions=["energy"]), 0.0)
    assert clause_ids(session.events()) == ["CFG-6"]


def test_feedback_is_due_only_with_goal_dimensions_in_force() -> None:
    session = opened(contract=ready_with_goals("clarity"))
    session.receive_text(FEEDBACK, 0.0)
    assert clause_ids(session.events()) == ["CFG-6"]
    session.send_config(goal_dimensions=["clarity"])
    session.receive_text(updated(goal_dimensions=["clarity"]), 0.0)
    session.receive_text(FEEDBACK, 0.0)
    assert clause_ids(session.events()) == []
    assert session.config == SessionConfig((), ["clarity"])


def test_one_string_instead_of_a_list_is_a_type_error_and_sends_nothing() -> None:
    session = opened()
    with pytest.raises(TypeError, match="list of names"):
        session.send_config(OVERALL)
    assert session.to_send() == []


def test_a_config_in_the_middle_of_a_segment_waits_for_its_end() -> None:
    session = opened()
    session.send_segment(b"one", final=False)
    session.send_config([OVERALL])
    session.send_config([TIMELINE])
    session.send_segment(b"two", final=False)
    assert session.to_send() == [BytesToSend(b"one", False), BytesToSend(b"two", False)]
    session.send_segment(b"three")
    last, *held = session.to_send()
    assert last == BytesToSend(b"three", True)
    assert texts(held) == [{"include": [OVERALL]}, {"include": [TIMELINE]}]
    session.send_segment(b"four")
    assert session.to_send() == [BytesToSend(b"four", True)]


# -- SEG: segments ------------------------------------------------------------------------------


def test_a_whole_segment_is_one_binary_message() -> None:
    session = opened()
    session.send_segment(b"video")
    assert session.to_send() == [BytesToSend(b"video", True)]
    assert session.segments_sent == 1


def test_pieces_of_a_segment_are_one_binary_message_and_one_segment() -> None:
    session = opened()
    session.send_segment(b"one", final=False)
    session.send_segment(b"two", final=False)
    assert session.segments_sent == 1
    session.send_segment(b"three")
    assert session.to_send() == [BytesToSend(b"one", False), BytesToSend(b"two", False), BytesToSend(b"three", True)]
    session.send_segment(b"next")
    assert session.segments_sent == 2


def test_media_is_counted_when_a_segment_is_whole() -> None:
    session = opened(scanner=NominalScanner(4.0))
    session.send_segment(b"one", final=False)
    assert session.media_seconds_sent == 0.0
    session.send_segment(b"two")
    assert session.media_seconds_sent == 4.0
    session.send_segment(b"three")
    assert session.media_seconds_sent == 8.0


def test_bytes_that_are_no_media_count_nothing() -> None:
    session = opened()
    session.send_segment(b"video")
    assert session.media_seconds_sent == 0.0


def test_the_scanner_sees_every_piece_and_its_faults_count_no_media() -> None:
    scanner = ScriptedScanner(SegmentMedia(2.5), SegmentFault("ih5004", "SEG-6", "no header"), SegmentMedia(1.0))
    session = opened(scanner=scanner)
    session.send_segment(b"one", final=False)
    session.send_segment(b"two")
    session.send_segment(b"broken")
    session.send_segment(b"three")
    assert scanner.calls == [1, b"one", b"two", 2, b"broken", 3, b"three"]
    assert session.media_seconds_sent == 3.5
    assert session.segments_sent == 3


def test_a_segment_over_the_limit_of_the_contract_is_refused_locally() -> None:
    session = opened(contract=ready(max_segment_size_bytes=10))
    assert refusal(lambda: session.send_segment(bytes(11)), session) == "SEG-2"
    assert session.segments_sent == 0
    session.send_segment(bytes(10))
    assert session.segments_sent == 1


def test_the_piece_that_passes_the_limit_is_refused_and_the_segment_can_be_ended() -> None:
    session = opened(contract=ready(max_segment_size_bytes=10))
    session.send_segment(bytes(6), final=False)
    session.send_segment(bytes(4), final=False)
    session.to_send()
    assert refusal(lambda: session.send_segment(bytes(1), final=False), session) == "SEG-2"
    session.send_segment(b"")
    assert session.to_send() == [BytesToSend(b"", True)]
    session.send_segment(bytes(10))
    assert session.segments_sent == 2


def test_the_size_of_one_segment_does_not_count_for_the_next() -> None:
    session = opened(contract=ready(max_segment_size_bytes=10))
    for _ in range(3):
        session.send_segment(bytes(10))
    assert len(session.to_send()) == 3


def test_an_empty_segment_is_refused_locally() -> None:
    session = opened()
    assert refusal(lambda: session.send_segment(b""), session) == "SEG-10"
    assert session.segments_sent == 0


def test_a_segment_below_the_minimum_of_the_contract_is_refused_locally() -> None:
    session = opened(contract=ready(min_segment_size_bytes=5))
    assert refusal(lambda: session.send_segment(bytes(4)), session) == "SEG-10"
    session.send_segment(bytes(4), final=False)
    session.to_send()
    assert refusal(lambda: session.send_segment(b""), session) == "SEG-10"
    session.send_segment(bytes(1))
    assert session.to_send() == [BytesToSend(bytes(1), True)]


def test_sizes_are_not_checked_when_the_owner_says_so() -> None:
    session = opened(contract=ready(max_segment_size_bytes=10), check_segments=False)
    session.send_segment(bytes(11))
    session.send_segment(b"")
    assert session.to_send() == [BytesToSend(bytes(11), True), BytesToSend(b"", True)]
    unready = ClientSession(0.0, check_segments=False)
    assert refusal(lambda: unready.send_segment(b"video"), unready) == "RDY-4"


def test_a_segment_can_be_checked_without_being_sent() -> None:
    session = opened(contract=ready(min_segment_size_bytes=5, max_segment_size_bytes=10))
    for size in (5, 10):
        session.check_segment(size)
    assert refusal(lambda: session.check_segment(11), session) == "SEG-2"
    assert refusal(lambda: session.check_segment(4), session) == "SEG-10"
    session.check_segment(4, final=False)
    assert refusal(lambda: session.check_segment(11, final=False), session) == "SEG-2"
    assert session.to_send() == []
    assert session.segments_sent == 0


@pytest.mark.parametrize("check_segments", [True, False])
def test_no_segment_passes_the_check_in_a_session_that_takes_none(check_segments: bool) -> None:
    unready = ClientSession(0.0, check_segments=check_segments)
    assert refusal(lambda: unready.check_segment(0), unready) == "RDY-4"
    late = close_requested(check_segments=check_segments)
    assert refusal(lambda: late.check_segment(0), late) == "CLS-2"
    opened(check_segments=False).check_segment(0)


@pytest.mark.parametrize("state", [ClientState.CLOSE_REQUESTED, ClientState.DRAINING, ClientState.FAILED_CLOSING])
def test_no_segment_goes_after_session_close(state: ClientState) -> None:
    session = in_state(state)
    assert refusal(lambda: session.send_segment(b"video"), session) == "CLS-2"


@pytest.mark.parametrize("state", [ClientState.CLOSE_REQUESTED, ClientState.DRAINING])
def test_no_segment_goes_after_session_close_even_when_an_error_came(state: ClientState) -> None:
    session = in_state(state)
    session.receive_text(error("ih1001"), 0.0)
    session.events()
    assert refusal(lambda: session.send_segment(b"video"), session) == "CLS-2"


@pytest.mark.parametrize("state", [ClientState.CLOSE_REQUESTED, ClientState.DRAINING])
def test_session_close_is_not_sent_again_when_an_error_came(state: ClientState) -> None:
    session = in_state(state)
    session.receive_text(error("ih1001"), 0.0)
    session.events()
    assert refusal(lambda: session.end(0.0), session) == "CLS-1"


def test_an_error_about_a_segment_that_was_never_sent_breaks_seg_1() -> None:
    session = opened()
    session.send_segment(b"one", final=False)
    session.receive_text(error("ih5004", 1), 0.0)
    assert clause_ids(session.events()) == []
    session.receive_text(error("ih5004", 2), 0.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.path) == ("SEG-1", "$.data.segment")


def test_any_segment_number_is_too_high_before_the_first_segment() -> None:
    session = opened()
    session.receive_text(error("ih5004", 1), 0.0)
    assert clause_ids(session.events()) == ["SEG-1"]


def test_an_error_about_one_segment_must_say_which() -> None:
    session = opened()
    session.send_segment(b"video")
    session.receive_text(error("ih6002"), 0.0)
    assert clause_ids(session.events()) == ["SEG-8"]


# -- CLS: the graceful close --------------------------------------------------------------------


def test_a_graceful_close_takes_the_whole_path_without_a_violation() -> None:
    session = opened()
    session.receive_text(detected(), 0.0)
    session.end(0.0)
    assert texts(session.to_send()) == [{"type": "session.close"}]
    assert state_of(session) is ClientState.CLOSE_REQUESTED
    session.receive_text(closing(20), 1.0)
    assert state_of(session) is ClientState.DRAINING
    session.receive_text(signal_ended(), 2.0)
    session.receive_text(ended("client_shutdown"), 3.0)
    assert state_of(session) is ClientState.ENDED
    session.receive_close(1000, "bye")
    assert state_of(session) is ClientState.CLOSED
    events = session.events()
    assert clause_ids(events) == []
    assert events[-1] == SessionClosed(1000, "bye", SessionEnded("client_shutdown"), None)
    assert session.to_send() == []


def test_results_still_arrive_between_session_close_and_its_answer() -> None:
    session = close_requested()
    session.receive_text(detected(), 0.0)
    session.receive_text(error("ih3001"), 0.0)
    assert clause_ids(session.events()) == []
    assert state_of(session) is ClientState.CLOSE_REQUESTED


def test_a_server_that_refuses_session_close_with_ih6001_leaves_the_session_open() -> None:
    session = close_requested(strict=True)
    session.receive_text(error("ih6001"), 1.0)
    assert state_of(session) is ClientState.OPEN
    assert session.next_timeout() is None
    assert clause_ids(session.events()) == []
    session.send_segment(b"video")
    session.end(50.0)
    assert state_of(session) is ClientState.CLOSE_REQUESTED
    assert session.next_timeout() == 60.0


def test_ih6001_answers_a_config_before_it_answers_session_close() -> None:
    session = opened()
    session.send_config(goal_dimensions=["charm"])
    session.end(0.0)
    session.receive_text(error("ih6001"), 0.0)
    assert state_of(session) is ClientState.CLOSE_REQUESTED
    assert session.next_timeout() == 10.0
    session.receive_text(error("ih6001"), 0.0)
    assert state_of(session) is ClientState.OPEN


def test_ih6001_about_a_segment_does_not_answer_session_close() -> None:
    session = opened()
    session.send_segment(b"video")
    session.end(0.0)
    session.receive_text(error("ih6001", 1), 0.0)
    assert state_of(session) is ClientState.CLOSE_REQUESTED
    assert session.next_timeout() == 10.0


def test_a_segment_must_be_finished_before_the_graceful_close() -> None:
    session = opened()
    session.send_segment(b"one", final=False)
    session.to_send()
    assert refusal(lambda: session.end(0.0), session) == "CLS-1"
    session.send_segment(b"two")
    session.end(0.0)
    assert state_of(session) is ClientState.CLOSE_REQUESTED


@pytest.mark.parametrize(
    ("state", "clause_id"),
    [
        (ClientState.CLOSE_REQUESTED, "CLS-1"),
        (ClientState.DRAINING, "CLS-1"),
        (ClientState.ENDED, "CLS-1"),
        (ClientState.CLOSING, "CLS-3"),
        (ClientState.CLOSED, "CLS-3"),
    ],
)
def test_a_graceful_close_is_asked_for_once(state: ClientState, clause_id: str) -> None:
    session = in_state(state)
    assert refusal(lambda: session.end(0.0), session) == clause_id


@pytest.mark.parametrize(
    ("state", "clause_id"),
    [(ClientState.ENDED, "CLS-1"), (ClientState.CLOSING, "CLS-3"), (ClientState.CLOSED, "CLS-3")],
)
def test_nothing_goes_out_of_a_session_that_is_over(state: ClientState, clause_id: str) -> None:
    session = in_state(state)
    assert refusal(session.send_config, session) == clause_id
    assert refusal(lambda: session.send_segment(b"video"), session) == clause_id


def test_session_closing_that_nobody_asked_for_breaks_cls_1_and_drains() -> None:
    session = opened()
    session.receive_text(closing(20), 5.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("CLS-1", "OPEN")
    assert state_of(session) is ClientState.DRAINING
    assert session.next_timeout() == 35.0


@pytest.mark.parametrize("state", [ClientState.OPEN, ClientState.CLOSE_REQUESTED])
def test_session_ended_without_session_closing_breaks_cls_1_and_ends(state: ClientState) -> None:
    session = in_state(state)
    session.receive_text(ended(), 0.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("CLS-1", state.value)
    assert state_of(session) is ClientState.ENDED


@pytest.mark.parametrize("text", [detected(), error("ih1001"), closing(), ended()], ids=lambda text: text[:30])
def test_session_ended_is_the_last_message(text: str) -> None:
    session = session_ended()
    session.receive_text(text, 0.0)
    (violation, *_) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("CLS-1", "ENDED")
    assert state_of(session) is ClientState.ENDED


def test_a_signal_left_active_at_session_ended_breaks_sig_7() -> None:
    session = draining()
    session.receive_text(detected(), 0.0)
    session.receive_text(ended(), 0.0)
    assert clause_ids(session.events()) == ["SIG-7"]


# -- CLS-3: closing at once, and losing the connection --------------------------------------------


@pytest.mark.parametrize("state", [state for state in ClientState if state.name not in ("CLOSING", "CLOSED")])
def test_this_side_may_close_in_every_state_before_it_has(state: ClientState) -> None:
    session = in_state(state)
    session.close(1001, "going away")
    assert session.to_send() == [CloseToSend(1001, "going away")]
    assert state_of(session) is ClientState.CLOSING
    session.receive_close(1001)
    assert state_of(session) is ClientState.CLOSED
    assert [event for event in session.events() if isinstance(event, Violated)] == []


def test_a_close_is_1000_without_reason_unless_told_otherwise() -> None:
    session = opened()
    session.close()
    assert session.to_send() == [CloseToSend(1000, "")]


@pytest.mark.parametrize("state", [ClientState.CLOSING, ClientState.CLOSED])
def test_a_session_is_closed_only_once(state: ClientState) -> None:
    session = in_state(state)
    assert refusal(session.close, session) == "CLS-3"


def test_a_segment_under_way_can_be_cut_off_with_close() -> None:
    session = opened()
    session.send_segment(b"one", final=False)
    session.close()
    assert session.to_send() == [BytesToSend(b"one", False), CloseToSend(1000, "")]


def test_what_was_in_flight_when_this_side_closed_is_still_handed_out() -> None:
    session = own_close(strict=True)
    session.receive_text(detected(), 0.0)
    session.receive_text(error("ih6003"), 0.0)
    session.receive_close(1001)
    first, second, closed = session.events()
    assert isinstance(first, Envelope)
    assert isinstance(second, Envelope)
    assert closed == SessionClosed(1001, "", None, Error("ih6003", "something went wrong"))


def test_a_close_in_the_middle_of_a_drain_breaks_cls_1() -> None:
    session = in_state(ClientState.DRAINING, strict=True)
    session.receive_close(1000)
    blamed, closed = session.events()
    (violation,) = violations([blamed])
    assert (violation.clause.id, violation.state) == ("CLS-1", "DRAINING")
    assert closed == SessionClosed(1000)
    assert state_of(session) is ClientState.CLOSED


def test_a_close_that_may_have_crossed_session_close_is_nobodys_fault() -> None:
    session = in_state(ClientState.CLOSE_REQUESTED, strict=True)
    session.receive_close(1001)
    assert session.events() == [SessionClosed(1001)]


def test_a_close_of_a_server_that_has_answered_something_later_breaks_cls_1() -> None:
    session = in_state(ClientState.CLOSE_REQUESTED)
    session.send_config([])
    session.receive_text(updated(), 1.0)
    session.events()
    session.receive_close(1000)
    blamed, _ = session.events()
    (violation,) = violations([blamed])
    assert (violation.clause.id, violation.state) == ("CLS-1", "CLOSE_REQUESTED")


@pytest.mark.parametrize("state", [state for state in ClientState if state is not ClientState.CLOSED])
def test_a_lost_connection_closes_with_1006_and_blames_nobody(state: ClientState) -> None:
    session = in_state(state, strict=True)
    session.receive_lost("reset by peer")
    assert state_of(session) is ClientState.CLOSED
    (closed,) = session.events()
    assert isinstance(closed, SessionClosed)
    assert (closed.code, closed.reason) == (1006, "reset by peer")


def test_a_session_is_over_only_once() -> None:
    session = opened()
    session.receive_close(1000, "first")
    session.receive_close(1001, "second")
    session.receive_lost()
    assert session.events() == [SessionClosed(1000, "first")]


def test_a_session_updated_that_cannot_be_read_and_answers_nothing_is_a_violation_like_any_other() -> None:
    session = opened()
    session.receive_text(envelope("session.updated", {"include": 3}), 0.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.path) == ("CFG-2", "$.data.include")


@pytest.mark.parametrize(
    ("code", "reason"), [(1005, ""), (1006, ""), (999, ""), (5000, ""), (1000, "x" * 124), (1000, "\ud800")]
)
def test_a_close_that_no_frame_can_carry_is_a_misuse(code: int, reason: str) -> None:
    session = opened()
    with pytest.raises(LocalProtocolError, match="CLS-3"):
        session.close(code, reason)
    assert session.state is ClientState.OPEN
    assert session.to_send() == []


def test_a_refused_session_close_closes_at_once_if_that_was_wanted() -> None:
    session = opened()
    session.end(0.0, or_close=True)
    session.to_send()
    session.receive_text(error("ih6001"), 1.0)
    assert session.state is ClientState.CLOSING
    assert session.to_send() == [CloseToSend(1000)]
    assert session.next_timeout() is None


def test_a_negative_drain_breaks_cls_1() -> None:
    session = opened()
    session.end(0.0)
    session.receive_text(closing(-1), 0.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.path) == ("CLS-1", "$.data.max_drain_seconds")


def test_a_second_contract_does_not_replace_the_first() -> None:
    session = opened()
    first = session.contract
    session.receive_text(ready(max_segment_size_bytes=5), 0.0)
    assert session.contract == first


def test_nothing_comes_after_the_close() -> None:
    session = peer_close()
    session.receive_text(detected(), 0.0)
    session.receive_bytes(b"x", 0.0)
    assert session.events() == []
    assert state_of(session) is ClientState.CLOSED


# -- ERR: errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["ih1001", "ih1003", "ih2003", "ih4005", "ih6003", "ih6004"])
def test_an_error_that_announces_a_close_explains_it(code: str) -> None:
    session = opened()
    text = error(code, message="because")
    session.receive_text(text, 0.0)
    assert state_of(session) is ClientState.FAILED
    session.receive_close(1001, "over")
    envelope_, closed = session.events()
    assert isinstance(envelope_, Envelope)
    assert envelope_.raw == text
    assert closed == SessionClosed(1001, "over", None, Error(code, "because"))


@pytest.mark.parametrize("code", ["ih3001", "ih3003", "ih6001", "ih9999"])
def test_another_error_leaves_the_session_open_and_explains_no_close(code: str) -> None:
    session = opened()
    session.receive_text(error(code), 0.0)
    assert state_of(session) is ClientState.OPEN
    session.receive_close(1000)
    assert session.events()[-1] == SessionClosed(1000, "", None, None)


def test_a_session_goes_on_when_the_announced_close_does_not_come() -> None:
    session = failed(strict=True)
    session.send_config([OVERALL])
    session.send_segment(b"video")
    assert len(session.to_send()) == 2
    session.receive_text(updated([OVERALL]), 0.0)
    session.receive_text(detected(), 0.0)
    assert clause_ids(session.events()) == []
    assert state_of(session) is ClientState.FAILED
    session.end(0.0)
    session.receive_text(closing(), 0.0)
    session.receive_text(signal_ended(), 0.0)
    session.receive_text(ended(), 0.0)
    session.receive_close(1000)
    assert clause_ids(session.events()) == []


def test_a_close_that_an_error_announced_is_no_violation_in_a_graceful_close() -> None:
    session = in_state(ClientState.FAILED_CLOSING, strict=True)
    session.receive_close(1011)
    assert session.events() == [SessionClosed(1011, "", None, Error("ih1001", "something went wrong"))]


def test_a_session_close_that_is_refused_after_a_fatal_error_can_be_asked_for_again() -> None:
    session = in_state(ClientState.FAILED_CLOSING, strict=True)
    session.receive_text(error("ih6001"), 0.0)
    assert state_of(session) is ClientState.FAILED
    assert session.next_timeout() is None
    session.end(5.0)
    assert session.next_timeout() == 15.0


def test_a_drain_may_go_on_after_a_fatal_error() -> None:
    session = draining(strict=True)
    session.receive_text(error("ih1001"), 0.0)
    session.receive_text(ended(), 0.0)
    assert state_of(session) is ClientState.ENDED
    session.receive_close(1000)
    assert session.events()[-1] == SessionClosed(
        1000, "", SessionEnded("client_shutdown"), Error("ih1001", "something went wrong")
    )


# -- ENV: envelopes -------------------------------------------------------------------------------


def test_the_raw_text_of_every_envelope_is_kept_verbatim() -> None:
    session = opened()
    text = " " + detected().replace(", ", " ,\n") + "\n"
    session.receive_text(text, 0.0)
    (event,) = session.events()
    assert isinstance(event, Envelope)
    assert event.raw == text
    assert event.message == SignalDetected("agreement", 1, "high")
    assert (event.type, event.correlation_id) == ("signal.detected", CORRELATION_ID)


def test_an_unknown_type_passes_untouched() -> None:
    session = opened(strict=True)
    session.receive_text(envelope("mood.changed", {"mood": [1, 2.50]}, version=3), 0.0)
    (event,) = session.events()
    assert isinstance(event, Envelope)
    assert event.type == "mood.changed"
    assert isinstance(event.message, Unknown)
    assert json.loads(event.message.data) == {"mood": [1, 2.5]}


def test_unknown_fields_pass_untouched() -> None:
    session = opened(strict=True)
    text = detected(colour="blue")
    session.receive_text(text, 0.0)
    (event,) = session.events()
    assert isinstance(event, Envelope)
    assert event.raw == text


@pytest.mark.parametrize("timestamp", ["2025-01-01T00:00:00", "2025-01-01T02:00:00+02:00", "yesterday"])
def test_a_timestamp_that_is_not_utc_breaks_env_1(timestamp: str) -> None:
    session = opened()
    session.receive_text(envelope("mood.changed", {}, timestamp=timestamp), 0.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.path) == ("ENV-1", "$.timestamp")


def test_a_correlation_id_that_changes_breaks_env_2() -> None:
    session = opened()
    assert session.correlation_id == CORRELATION_ID
    session.receive_text(envelope("mood.changed", {}, correlation_id="other"), 0.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.path) == ("ENV-2", "$.correlation_id")
    assert session.correlation_id == CORRELATION_ID


def test_a_correlation_id_other_than_that_of_the_upgrade_breaks_hs_9_once() -> None:
    session = ClientSession(0.0, correlation_id="from the upgrade")
    session.receive_text(ready(), 0.0)
    session.receive_text(detected(), 0.0)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.path) == ("HS-9", "$.correlation_id")


def test_the_correlation_id_of_the_upgrade_is_accepted() -> None:
    opened(correlation_id=CORRELATION_ID, strict=True)


MALFORMED = {
    "no JSON": ("{nonsense", "ENV-1", "$"),
    "no object": ("[1, 2]", "ENV-1", "$"),
    "no correlation id": ('{"type": "x", "timestamp": "2025-01-01T00:00:00Z", "data": {}}', "ENV-1", "$"),
    "a field is missing": (envelope("signal.ended", {"signal_type": "stress"}), "SIG-3", "$.data"),
    "a field has a wrong type": (
        envelope("signal.detected", {"signal_type": "stress", "start": "early"}),
        "SIG-1",
        "$.data.start",
    ),
    "an error without code": (envelope("error", {"message": "oh"}), "ERR-1", "$.data"),
    "a contract without limits": (envelope("session.ready", {}), "RDY-2", "$.data"),
}


@pytest.mark.parametrize(("text", "clause_id", "path"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_text_keeps_its_raw_text_and_the_session_goes_on(text: str, clause_id: str, path: str) -> None:
    session = opened()
    session.receive_text(text, 0.0)
    (event,) = session.events()
    assert isinstance(event, Violated)
    assert event.raw == text
    violation = event.violation
    assert (violation.clause.id, violation.path) == (clause_id, path)
    assert (violation.side, violation.state) == (Side.SERVER, "OPEN")
    session.receive_text(detected(), 0.0)
    assert clause_ids(session.events()) == []


@pytest.mark.parametrize(("text", "clause_id", "path"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_text_raises_in_a_strict_session(text: str, clause_id: str, path: str) -> None:
    session = opened(strict=True)
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive_text(text, 0.0)
    assert (caught.value.violation.clause.id, caught.value.violation.path) == (clause_id, path)
    assert session.events() == [Violated(caught.value.violation, text)]


def test_a_binary_message_of_the_server_breaks_env_5() -> None:
    session = opened()
    session.receive_bytes(b"\x00", 0.0)
    (event,) = session.events()
    assert isinstance(event, Violated)
    assert event.raw is None
    assert (event.violation.clause.id, event.violation.side, event.violation.state) == ("ENV-5", Side.SERVER, "OPEN")
    assert state_of(session) is ClientState.OPEN


def test_a_binary_message_in_pieces_is_one_violation() -> None:
    session = ClientSession(0.0)
    session.receive_bytes(b"\x00", 0.0, final=False)
    session.receive_bytes(b"\x00", 0.0, final=False)
    session.receive_bytes(b"\x00", 0.0, final=True)
    assert clause_ids(session.events()) == ["ENV-5"]


def test_a_binary_message_raises_in_a_strict_session() -> None:
    session = opened(strict=True)
    with pytest.raises(RemoteProtocolError, match=r"^ENV-5: "):
        session.receive_bytes(b"\x00", 0.0)
    assert clause_ids(session.events()) == ["ENV-5"]


# -- strict and lenient ---------------------------------------------------------------------------


def test_a_strict_session_raises_on_a_must_and_hands_the_envelope_out_all_the_same() -> None:
    session = opened(strict=True)
    text = signal_ended()
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive_text(text, 0.0)
    violation = caught.value.violation
    assert (violation.clause.id, violation.level) == ("SIG-5", Level.MUST)
    envelope_, violated = session.events()
    assert isinstance(envelope_, Envelope)
    assert envelope_.raw == text
    assert violated == Violated(violation, text)


def test_a_strict_session_only_reports_a_should() -> None:
    session = opened(strict=True)
    session.receive_text(detected("joy"), 0.0)
    envelope_, violated = session.events()
    assert isinstance(envelope_, Envelope)
    assert isinstance(violated, Violated)
    assert (violated.violation.clause.id, violated.violation.level) == ("SIG-6", Level.SHOULD)


def test_a_strict_session_reports_everything_and_raises_the_first_must() -> None:
    session = opened(strict=True)
    with pytest.raises(RemoteProtocolError, match=r"^SIG-4: "):
        session.receive_text(detected("joy", start=-1), 0.0)
    assert clause_ids(session.events()) == ["SIG-6", "SIG-4"]


def test_a_strict_session_goes_on_when_its_owner_caught_the_error() -> None:
    session = opened(strict=True)
    with pytest.raises(RemoteProtocolError):
        session.receive_text(ready(), 0.0)
    session.events()
    session.receive_text(detected(), 0.0)
    assert clause_ids(session.events()) == []
    assert list(session.signals) == ["agreement"]


def test_a_lenient_session_reports_everything_and_raises_nothing() -> None:
    session = opened()
    text = detected("joy", start=-1)
    session.receive_text(text, 0.0)
    envelope_, *blamed = session.events()
    assert isinstance(envelope_, Envelope)
    assert clause_ids(blamed) == ["SIG-6", "SIG-4"]
    assert all(isinstance(event, Violated) and event.raw == text for event in blamed)


def test_a_violation_names_the_side_the_state_before_and_the_path() -> None:
    session = opened()
    session.receive_text(ended("because"), 0.0)
    session.receive_text(signal_ended(end=-2), 0.0)
    early, late, *_ = violations(session.events())
    assert (early.side, early.state, early.path) == (Side.SERVER, "OPEN", None)
    assert (late.side, late.state, late.path) == (Side.SERVER, "ENDED", None)


def test_an_exception_says_clause_cure_side_and_state() -> None:
    session = ClientSession(0.0)
    with pytest.raises(LocalProtocolError) as caught:
        session.send_segment(b"video")
    text = str(caught.value)
    assert text.startswith("RDY-4: ")
    assert "wait until session.ready" in text
    assert text.endswith("(client, state AWAITING_READY)")


def test_an_exception_about_a_place_in_a_message_names_it() -> None:
    session = opened(strict=True)
    with pytest.raises(RemoteProtocolError) as caught:
        session.receive_text(engagement("thrilled"), 0.0)
    text = str(caught.value)
    assert text.startswith("ENG-3: ")
    assert text.endswith(" at $.data.state (server, state OPEN)")


# -- what can be asked ----------------------------------------------------------------------------


def test_active_signals_are_known_by_type_in_the_order_of_detection() -> None:
    session = opened()
    session.receive_text(detected("stress", 2, "low"), 0.0)
    session.receive_text(detected("agreement", 3, "high"), 0.0)
    session.receive_text(signal_updated("stress", 5, "medium"), 0.0)
    assert list(session.signals) == ["stress", "agreement"]
    stress = session.signals["stress"]
    assert (stress.start, stress.since, stress.probability) == (2, 5, "medium")
    session.receive_text(signal_ended("stress", 9), 0.0)
    assert list(session.signals) == ["agreement"]
    assert clause_ids(session.events()) == []


def test_the_signals_cannot_be_changed_from_outside() -> None:
    session = opened()
    with pytest.raises(TypeError):
        session.signals["stress"] = None  # type: ignore[index]


def test_the_last_engagement_is_known() -> None:
    session = opened()
    assert session.engagement is None
    session.receive_text(engagement("neutral", 0), 0.0)
    session.receive_text(engagement("engaged", 6), 0.0)
    assert session.engagement is not None
    assert (session.engagement.state, session.engagement.start) == ("engaged", 6)
    assert clause_ids(session.events()) == []


def test_the_last_conversation_quality_is_known() -> None:
    session = opened()
    assert session.quality is None
    session.send_config([OVERALL, TIMELINE])
    session.receive_text(updated([OVERALL, TIMELINE]), 0.0)
    entry = {"start": 0, "end": 10, "values": FIFTY}
    session.receive_text(envelope("conversation_quality.updated", {"overall": FIFTY, "timeline": [entry]}), 0.0)
    assert clause_ids(session.events()) == []
    assert session.quality is not None
    assert session.quality.overall is not None
    assert session.quality.overall.quality_index == 50
    assert session.quality.timeline is not None
    assert (session.quality.timeline[0].start, session.quality.timeline[0].end) == (0, 10)


def test_the_contract_tells_what_a_config_may_contain() -> None:
    session = opened(contract=ready_with_goals("clarity", "energy"))
    assert session.contract is not None
    assert session.contract == SessionReady(
        **{name: value for name, value in CONTRACT.items() if name != "supported_session_config_options"},
        supported_session_config_options=session.contract.supported_session_config_options,
    )
    assert session.contract.supported_session_config_options.goal_dimensions == ("clarity", "energy")


def test_events_and_what_is_to_be_sent_are_drained_once_and_in_order() -> None:
    session = opened()
    session.send_config([OVERALL])
    session.send_segment(b"video")
    assert [type(item) for item in session.to_send()] == [TextToSend, BytesToSend]
    assert session.to_send() == []
    session.receive_text(updated([OVERALL]), 0.0)
    session.receive_text(detected(), 0.0)
    kinds = [type(event.message) for event in session.events() if isinstance(event, Envelope)]
    assert kinds == [SessionUpdated, SignalDetected]
    assert session.events() == []


def test_what_was_not_sent_yet_stays_in_order() -> None:
    session = opened()
    session.send_segment(b"video")
    session.send_config([OVERALL])
    session.end(0.0)
    first, second, third = session.to_send()
    assert first == BytesToSend(b"video", True)
    assert texts([second, third]) == [{"include": [OVERALL]}, {"type": "session.close"}]


def test_a_misuse_says_which_key_of_a_config_is_wrong() -> None:
    session = opened()
    with pytest.raises(LocalProtocolError) as caught:
        session.send_config(model="inter-2")
    assert (caught.value.violation.clause.id, caught.value.violation.path) == ("CFG-7", "$.model")


def test_a_report_does_not_show_that_session_close_arrived() -> None:
    session = close_requested()
    session.receive_text(detected(), 0.0)
    session.receive_close(1000)
    assert clause_ids(session.events()) == []


def test_what_showed_that_one_session_close_arrived_shows_nothing_about_the_next() -> None:
    session = close_requested()
    session.send_config([OVERALL])
    session.receive_text(updated([OVERALL]), 0.0)
    session.receive_text(error("ih6001"), 0.0)
    assert state_of(session) is ClientState.OPEN
    session.end(1.0)
    session.receive_close(1000)
    assert clause_ids(session.events()) == []


def test_a_session_that_failed_is_not_closed_because_session_close_was_refused() -> None:
    session = opened()
    session.end(0.0, or_close=True)
    session.to_send()
    session.receive_text(error("ih2003"), 0.0)
    session.receive_text(error("ih6001"), 0.0)
    assert session.state is ClientState.FAILED
    assert session.to_send() == []


def test_a_drain_may_take_no_time() -> None:
    session = close_requested()
    session.receive_text(closing(0), 0.0)
    assert clause_ids(session.events()) == []


def test_of_a_connection_that_is_lost_nothing_may_be_known() -> None:
    session = ClientSession(0.0)
    session.receive_lost()
    (closed,) = session.events()
    assert isinstance(closed, SessionClosed)
    assert (closed.code, closed.reason) == (1006, "")
