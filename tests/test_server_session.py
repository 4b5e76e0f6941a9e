import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any

import attrs
import pytest
from builders import CONTRACT, CORRELATION_ID, FIFTY, OVERALL, TIMELINE, clause_ids, said, texts, violations

from ihproto import (
    ERROR_CODES,
    V1,
    CloseRequested,
    CloseToSend,
    ConfigApplied,
    ConfigOptions,
    EngagementReport,
    Error,
    ExpectedMedia,
    Level,
    LocalProtocolError,
    NominalScanner,
    QualityReport,
    SegmentAccepted,
    SegmentData,
    SegmentFault,
    SegmentMedia,
    SegmentRefused,
    SegmentScanner,
    SegmentStarted,
    ServerSession,
    ServerSettings,
    ServerState,
    SessionClosed,
    SessionConfig,
    SessionEnded,
    SessionExpired,
    SessionReady,
    Side,
    SignalReport,
    TextToSend,
    Violated,
    Window,
    WindowAnalysis,
    WindowReady,
)

STARTED_AT = datetime(2025, 1, 1, 12, 0, 0, tzinfo=UTC)
SESSION_CLOSE = '{"type": "session.close"}'

FIRST = Window(0, 0, 8)
SECOND = Window(1, 3, 11)
THIRD = Window(2, 6, 14)


class ScriptedScanner:
    """Gives the verdicts it was told, and keeps what it was given.

    Args:
        results: What each `finish` answers, in order.
        feeds: What the pieces with these bytes are answered by.
    """

    def __init__(self, *results: SegmentMedia | SegmentFault, feeds: dict[bytes, SegmentFault] | None = None) -> None:
        self._results = list(results)
        self._feeds = feeds or {}
        self.calls: list[object] = []

    def expect(self, expected: ExpectedMedia) -> None:
        pass

    def begin(self, number: int) -> None:
        self.calls.append(number)

    def feed(self, data: bytes) -> SegmentFault | None:
        self.calls.append(data)
        return self._feeds.get(data)

    def finish(self) -> SegmentMedia | SegmentFault:
        self.calls.append("finish")
        return self._results.pop(0)


def contract(**changes: Any) -> SessionReady:
    return attrs.evolve(V1.contract, **changes)


def with_goals(*dimensions: str) -> ServerSettings:
    options = ConfigOptions(include=(OVERALL, TIMELINE), goal_dimensions=dimensions)
    return ServerSettings(contract(supported_session_config_options=options))


def connected(
    now: float = 0.0,
    *,
    settings: ServerSettings | None = None,
    scanner: SegmentScanner | None = None,
    started_at: datetime = STARTED_AT,
) -> ServerSession:
    """A session whose WebSocket has just opened."""
    scanner = scanner if scanner is not None else NominalScanner()
    return ServerSession(now, correlation_id=CORRELATION_ID, started_at=started_at, settings=settings, scanner=scanner)


def opened(
    now: float = 0.0, *, settings: ServerSettings | None = None, scanner: SegmentScanner | None = None
) -> ServerSession:
    """A session that has said `session.ready`, with nothing in its queues."""
    session = connected(now, settings=settings, scanner=scanner)
    session.open(now)
    session.to_send()
    assert session.events() == []
    return session


def with_media(seconds: float, *, settings: ServerSettings | None = None) -> ServerSession:
    """An open session with one segment of so many seconds, with nothing in its queues."""
    session = opened(settings=settings, scanner=NominalScanner(seconds))
    session.receive_bytes(b"video", 0.0)
    session.events()
    assert session.to_send() == []
    return session


def draining(seconds: float = 9.0, *, settings: ServerSettings | None = None) -> ServerSession:
    session = with_media(seconds, settings=settings)
    session.receive_text(SESSION_CLOSE, 0.0)
    session.events()
    session.to_send()
    return session


def own_close() -> ServerSession:
    session = opened()
    session.close(0.0)
    session.to_send()
    return session


def peer_close() -> ServerSession:
    session = opened()
    session.receive_close(1000)
    session.events()
    return session


IN_STATE: dict[ServerState, Callable[[], ServerSession]] = {
    ServerState.OPENING: connected,
    ServerState.OPEN: opened,
    ServerState.DRAINING: draining,
    ServerState.CLOSING: own_close,
    ServerState.CLOSED: peer_close,
}


def in_state(state: ServerState) -> ServerSession:
    session = IN_STATE[state]()
    assert session.state is state
    return session


def state_of(session: ServerSession) -> ServerState:
    """The state, by a call: a type checker would take a property for unchanged by what happens in between."""
    return session.state


def seen(window: Window, *signals: SignalReport, engagement: EngagementReport | None = None) -> WindowAnalysis:
    """The analysis of a window in which these signals were seen."""
    reports: Any = signals
    return WindowAnalysis(window, reports, engagement)


def snapshot(session: ServerSession) -> tuple[object, ...]:
    return (
        session.state,
        session.config,
        dict(session.signals),
        session.segments_received,
        session.media_seconds,
        session.outstanding,
        session.next_timeout(),
    )


def misuse(call: Callable[[], object], session: ServerSession) -> str:
    """The clause by which a call is refused; checks that the refusal changed nothing that can be seen."""
    before = snapshot(session)
    with pytest.raises(LocalProtocolError) as caught:
        call()
    violation = caught.value.violation
    assert violation.side is Side.SERVER
    assert violation.state == session.state.value
    assert str(caught.value).startswith(f"{violation.clause.id}: ")
    assert snapshot(session) == before
    assert session.to_send() == []
    assert session.events() == []
    return violation.clause.id


def only_error(session: ServerSession) -> dict[str, Any]:
    """The data of the one error that was said, and nothing else."""
    ((type_, data),) = said(session.to_send())
    assert type_ == "error"
    assert isinstance(data, dict)
    assert set(data) == {"code", "message", "link", "segment"}
    return data


# -- RDY and HS: opening and refusing -------------------------------------------------------------


def test_a_new_session_says_nothing_by_itself() -> None:
    session = connected()
    assert state_of(session) is ServerState.OPENING
    assert session.to_send() == []
    assert session.next_timeout() is None


def test_open_says_session_ready_with_the_contract() -> None:
    session = connected()
    session.open(0.0)
    assert said(session.to_send()) == [("session.ready", CONTRACT)]
    assert state_of(session) is ServerState.OPEN
    assert session.events() == []


def test_open_says_the_contract_of_the_settings() -> None:
    session = connected(settings=with_goals("clarity"))
    session.open(0.0)
    options = {"include": [OVERALL, TIMELINE], "goal_dimensions": ["clarity"]}
    assert said(session.to_send()) == [("session.ready", CONTRACT | {"supported_session_config_options": options})]


@pytest.mark.parametrize("state", [ServerState.OPEN, ServerState.DRAINING])
def test_ready_is_said_only_once(state: ServerState) -> None:
    session = in_state(state)
    assert misuse(lambda: session.open(0.0), session) == "RDY-1"


def test_a_contract_that_nobody_can_keep_is_refused() -> None:
    with pytest.raises(ValueError, match="RDY-2"):
        ServerSettings(contract(max_segment_size_bytes=0))


@pytest.mark.parametrize(("code", "close_code"), [("ih2003", 4003), ("ih4005", 1008), ("ih1003", 1013)])
def test_a_refusal_is_an_error_and_a_close_without_ready(code: str, close_code: int) -> None:
    session = connected()
    session.refuse(code, 0.0)
    (type_, data), close = said(session.to_send())
    assert type_ == "error"
    assert (data["code"], data["segment"]) == (code, None)
    assert data["link"].startswith(f"https://docs.interhuman.ai/api-reference/error-handling#{code}-")
    assert close == ("close", close_code)
    assert state_of(session) is ServerState.CLOSING
    session.receive_close(close_code)
    (closed,) = session.events()
    assert isinstance(closed, SessionClosed)
    assert closed.error is not None
    assert closed.error.code == code


def test_a_refusal_without_a_close_code_of_its_own_closes_with_1008() -> None:
    session = connected()
    session.refuse("ih3002", 0.0, message="one session at a time")
    error, close = said(session.to_send())
    assert error[1]["message"] == "one session at a time"
    assert close == ("close", 1008)


def test_a_refusal_explains_the_close_whatever_its_code() -> None:
    session = connected()
    session.refuse("ih3002", 0.0)
    session.receive_close(1008)
    (closed,) = session.events()
    assert isinstance(closed, SessionClosed)
    assert closed.error is not None
    assert closed.error.code == "ih3002"


@pytest.mark.parametrize("state", [state for state in IN_STATE if state is not ServerState.OPENING])
def test_only_a_session_that_was_not_opened_can_be_refused(state: ServerState) -> None:
    session = in_state(state)
    assert misuse(lambda: session.refuse("ih2003", 0.0), session) == "RDY-3"


def test_a_refusal_about_a_segment_makes_no_sense_and_is_not_sent() -> None:
    session = connected()
    assert misuse(lambda: session.refuse("ih6002", 0.0), session) == "SEG-8"


def test_nothing_of_the_client_is_taken_before_the_session_is_open() -> None:
    session = connected()
    assert misuse(lambda: session.receive_text("{}", 0.0), session) == "RDY-1"
    assert misuse(lambda: session.refuse_text(0.0), session) == "RDY-1"
    assert misuse(lambda: session.receive_bytes(b"video", 0.0), session) == "RDY-1"


def test_nothing_but_ready_or_an_error_is_said_first() -> None:
    session = connected()
    assert misuse(lambda: session.send_feedback("slow down", 0.0), session) == "RDY-1"


@pytest.mark.parametrize("what", ["config", "nonsense", "segment"])
def test_a_session_that_was_refused_takes_nothing_any_more(what: str) -> None:
    session = connected()
    session.send_error("ih2001", 0.0)
    session.to_send()
    if what == "segment":
        session.receive_bytes(b"video", 0.0)
    else:
        session.receive_text("{}" if what == "config" else "nonsense", 0.0)
    assert session.events() == []
    assert texts(session.to_send()) == []


def test_session_close_to_a_refused_session_is_ignored() -> None:
    session = connected()
    session.send_error("ih2001", 0.0)
    session.to_send()
    session.receive_text(SESSION_CLOSE, 0.0)
    assert session.events() == []
    assert session.to_send() == []


# -- ENV: envelopes -------------------------------------------------------------------------------


def test_every_envelope_has_the_four_fields_and_the_id_of_the_session() -> None:
    session = connected()
    session.open(0.0)
    session.receive_text("{}", 0.0)
    session.send_error("ih3001", 0.0)
    for fields in texts(session.to_send()):
        assert set(fields) == {"type", "timestamp", "correlation_id", "data"}
        assert fields["correlation_id"] == CORRELATION_ID


def test_timestamps_count_from_the_start_by_the_clock_of_the_session() -> None:
    session = connected(1000.0)
    session.open(1000.0)
    session.receive_text("{}", 1002.5)
    session.receive_text("{}", 1000.0 + 3600 * 12 - 400 + 0.000001)
    assert [fields["timestamp"] for fields in texts(session.to_send())] == [
        "2025-01-01T12:00:00.000000Z",
        "2025-01-01T12:00:02.500000Z",
        "2025-01-01T23:53:20.000001Z",
    ]


@pytest.mark.parametrize(
    "started_at",
    [datetime(2025, 1, 1), datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=2)))],
    ids=["naive", "UTC+2"],
)
def test_a_start_that_is_not_utc_is_refused(started_at: datetime) -> None:
    with pytest.raises(ValueError, match="UTC"):
        connected(started_at=started_at)


# -- CFG: session config ----------------------------------------------------------------------------


def test_an_accepted_config_is_answered_with_the_consolidated_one() -> None:
    session = opened()
    assert session.config == SessionConfig()
    session.receive_text(json.dumps({"include": [OVERALL]}), 0.0)
    assert said(session.to_send()) == [("session.updated", {"include": [OVERALL]})]
    assert session.events() == [ConfigApplied(SessionConfig([OVERALL]))]
    assert session.config == SessionConfig([OVERALL])


def test_a_config_may_come_as_often_as_wanted_and_replaces_the_one_before() -> None:
    session = opened()
    session.receive_text(json.dumps({"include": [OVERALL]}), 0.0)
    session.receive_text(json.dumps({"include": [TIMELINE]}), 0.0)
    assert session.config == SessionConfig([TIMELINE])
    session.receive_text("{}", 0.0)
    assert session.config == SessionConfig()
    includes = [data["include"] for _, data in said(session.to_send())]
    assert includes == [[OVERALL], [TIMELINE], []]


def test_unknown_include_values_are_ignored() -> None:
    session = opened()
    session.receive_text(json.dumps({"include": ["subtitles", TIMELINE, OVERALL, TIMELINE]}), 0.0)
    assert said(session.to_send()) == [("session.updated", {"include": [TIMELINE, OVERALL]})]
    assert clause_ids(session.events()) == []


REFUSED_TEXTS = {
    "an unknown key": ('{"include": [], "colour": "blue"}', "$.colour"),
    "model, which v1 rejects": ('{"model": "inter-2"}', "$.model"),
    "another type": ('{"type": "session.pause"}', "$.type"),
    "a type that is no string": ('{"type": 5}', "$.type"),
    "include is no list": ('{"include": "conversation_quality_overall"}', "$.include"),
    "include holds a number": ('{"include": [5]}', "$.include[0]"),
    "include is null": ('{"include": null}', "$.include"),
    "goal_dimensions is a number": ('{"goal_dimensions": 5}', "$.goal_dimensions"),
    "invalid JSON": ('{"include": [', "$"),
    "no JSON at all": ("hello", "$"),
    "an empty text": ("", "$"),
    "a list": ("[]", "$"),
    "a string": ('"include"', "$"),
    "null": ("null", "$"),
}


def test_a_config_that_is_not_offered_is_told_with_its_text() -> None:
    session = opened()
    text = '{"goal_dimensions": ["clarity"]}'
    session.receive_text(text, 0.0)
    (event,) = session.events()
    assert isinstance(event, Violated)
    assert (event.violation.clause.id, event.raw) == ("CFG-6", text)


@pytest.mark.parametrize(("text", "path"), REFUSED_TEXTS.values(), ids=REFUSED_TEXTS)
def test_a_broken_config_is_ih6001_and_the_session_goes_on(text: str, path: str) -> None:
    session = opened()
    session.receive_text(json.dumps({"include": [OVERALL]}), 0.0)
    session.to_send()
    session.events()
    session.receive_text(text, 0.0)
    error = only_error(session)
    assert (error["code"], error["segment"]) == ("ih6001", None)
    (event,) = session.events()
    assert isinstance(event, Violated)
    assert event.raw == text
    violation = event.violation
    assert violation.clause.id in {"CFG-1", "CFG-5"}
    assert violation.clause.id in error["message"]
    assert (violation.side, violation.state, violation.path) == (Side.CLIENT, "OPEN", path)
    assert state_of(session) is ServerState.OPEN
    assert session.config == SessionConfig([OVERALL])
    session.receive_text(json.dumps({"include": [TIMELINE]}), 0.0)
    assert session.config == SessionConfig([TIMELINE])


def test_the_error_about_a_config_names_the_place() -> None:
    session = opened()
    session.receive_text('{"include": [5]}', 0.0)
    assert "$.include[0]" in only_error(session)["message"]


def test_goal_dimensions_are_accepted_where_the_contract_offers_them() -> None:
    session = opened(settings=with_goals("clarity", "energy"))
    session.receive_text(json.dumps({"goal_dimensions": ["clarity"]}), 0.0)
    assert said(session.to_send()) == [("session.updated", {"include": [], "goal_dimensions": ["clarity"]})]
    assert session.config == SessionConfig((), ["clarity"])
    session.send_feedback("slow down", 0.0)
    assert said(session.to_send()) == [("feedback.generated", {"feedback": "slow down"})]


@pytest.mark.parametrize("offered", [None, ("clarity", "energy")], ids=["offers none", "offers others"])
def test_goal_dimensions_that_the_contract_does_not_offer_are_ih6001(offered: tuple[str, ...] | None) -> None:
    session = opened(settings=with_goals(*offered) if offered else None)
    session.receive_text(json.dumps({"include": [OVERALL], "goal_dimensions": ["clarity", "charm"]}), 0.0)
    assert only_error(session)["code"] == "ih6001"
    assert clause_ids(session.events()) == ["CFG-6"]
    assert session.config == SessionConfig()


def test_feedback_without_goal_dimensions_is_a_misuse() -> None:
    session = opened(settings=with_goals("clarity"))
    assert misuse(lambda: session.send_feedback("slow down", 0.0), session) == "CFG-6"


def test_a_text_of_exactly_the_limit_is_read_and_a_longer_one_is_ih6001() -> None:
    text = json.dumps({"include": ["é" * 20]}, ensure_ascii=False)
    size = len(text.encode())
    assert size > len(text)
    fits, too_long = (opened(settings=ServerSettings(max_text_bytes=size - less)) for less in (0, 1))
    fits.receive_text(text, 0.0)
    assert said(fits.to_send()) == [("session.updated", {"include": []})]
    too_long.receive_text(text, 0.0)
    error = only_error(too_long)
    assert (error["code"], error["segment"]) == ("ih6001", None)
    (event,) = too_long.events()
    assert isinstance(event, Violated)
    assert (event.violation.clause.id, event.raw) == ("CFG-5", None)
    assert state_of(too_long) is ServerState.OPEN


def test_a_text_that_was_not_kept_is_ih6001() -> None:
    session = opened()
    session.refuse_text(0.0)
    assert only_error(session)["code"] == "ih6001"
    assert clause_ids(session.events()) == ["CFG-5"]


def test_a_text_in_the_middle_of_a_segment_is_a_misuse() -> None:
    session = opened()
    session.receive_bytes(b"one", 0.0, final=False)
    session.events()
    assert misuse(lambda: session.receive_text("{}", 5.0), session) == "SEG-1"
    assert misuse(lambda: session.refuse_text(5.0), session) == "SEG-1"


def test_a_lone_surrogate_is_refused_like_any_other_broken_text() -> None:
    session = opened()
    session.receive_text('{"\ud800": 1}', 0.0)
    assert only_error(session)["code"] == "ih6001"


# -- SEG: segments ----------------------------------------------------------------------------------


def test_one_binary_message_is_one_segment() -> None:
    session = opened()
    session.receive_bytes(b"video", 0.0)
    session.receive_bytes(b"more", 0.0)
    assert session.events() == [
        SegmentStarted(1),
        SegmentAccepted(1, 5, 0.0, 3.0),
        SegmentStarted(2),
        SegmentAccepted(2, 4, 3.0, 6.0),
    ]
    assert session.to_send() == []
    assert (session.segments_received, session.media_seconds) == (2, 6.0)


def test_pieces_are_one_segment() -> None:
    scanner = ScriptedScanner(SegmentMedia(2.5))
    session = opened(scanner=scanner)
    session.receive_bytes(b"one", 0.0, final=False)
    assert session.events() == [SegmentStarted(1)]
    session.receive_bytes(b"two", 0.0, final=False)
    assert session.events() == []
    session.receive_bytes(b"", 0.0)
    assert session.events() == [SegmentAccepted(1, 6, 0.0, 2.5)]
    assert scanner.calls == [1, b"one", b"two", "finish"]


def test_the_bytes_are_handed_out_only_to_an_owner_who_asked() -> None:
    session = opened(settings=ServerSettings(segment_data=True))
    session.receive_bytes(b"one", 0.0, final=False)
    session.receive_bytes(b"", 0.0, final=False)
    session.receive_bytes(b"two", 0.0)
    assert session.events() == [
        SegmentStarted(1),
        SegmentData(1, b"one"),
        SegmentData(1, b"two"),
        SegmentAccepted(1, 6, 0.0, 3.0),
    ]


LIMIT = 10
SMALL = ServerSettings(contract(max_segment_size_bytes=LIMIT), segment_data=True)


@pytest.mark.parametrize("sizes", [[10], [4, 6], [4, 6, 0], [10, 0]], ids=str)
def test_a_segment_of_exactly_the_limit_is_accepted(sizes: list[int]) -> None:
    session = opened(settings=SMALL)
    for index, size in enumerate(sizes):
        session.receive_bytes(bytes(size), 0.0, final=index == len(sizes) - 1)
    assert session.to_send() == []
    assert session.events()[-1] == SegmentAccepted(1, LIMIT, 0.0, 3.0)


@pytest.mark.parametrize(
    ("sizes", "culprit"), [([11], 0), ([10, 1], 1), ([4, 7, 5], 1), ([11, 0], 0), ([5, 5, 1, 20, 0], 2)], ids=str
)
def test_a_segment_over_the_limit_is_ih6002_once_at_the_piece_that_passes_it(sizes: list[int], culprit: int) -> None:
    scanner = ScriptedScanner(SegmentMedia(3.0))
    session = opened(settings=SMALL, scanner=scanner)
    for index, size in enumerate(sizes):
        session.receive_bytes(bytes(size), 0.0, final=index == len(sizes) - 1)
        told = said(session.to_send())
        assert [data["code"] for _, data in told] == (["ih6002"] if index == culprit else [])
        assert [data["segment"] for _, data in told] == ([1] if index == culprit else [])
    refusals = [event for event in session.events() if isinstance(event, SegmentRefused)]
    assert [(event.number, event.error.code, event.clause_id) for event in refusals] == [(1, "ih6002", "SEG-2")]
    assert scanner.calls == [1, *(bytes(size) for size in sizes[:culprit])]
    session.receive_bytes(bytes(LIMIT), 0.0)
    assert session.to_send() == []
    assert session.events()[-1] == SegmentAccepted(2, LIMIT, 0.0, 3.0)
    assert state_of(session) is ServerState.OPEN


def test_the_limit_is_32_mb_unless_told_otherwise() -> None:
    piece = bytes(1024 * 1024)
    session = opened()
    for _ in range(32):
        session.receive_bytes(piece, 0.0, final=False)
    session.receive_bytes(b"", 0.0)
    assert session.events()[-1] == SegmentAccepted(1, 33_554_432, 0.0, 3.0)
    for _ in range(32):
        session.receive_bytes(piece, 0.0, final=False)
    assert session.to_send() == []
    session.receive_bytes(b"x", 0.0, final=False)
    assert only_error(session)["code"] == "ih6002"


def test_of_a_refused_segment_no_more_bytes_are_handed_out() -> None:
    session = opened(settings=SMALL)
    session.receive_bytes(bytes(6), 0.0, final=False)
    session.receive_bytes(bytes(6), 0.0, final=False)
    session.receive_bytes(bytes(1), 0.0)
    data = [event for event in session.events() if isinstance(event, SegmentData)]
    assert data == [SegmentData(1, bytes(6))]


@pytest.mark.parametrize("pieces", [1, 3])
def test_an_empty_segment_is_ih5004(pieces: int) -> None:
    scanner = ScriptedScanner(SegmentMedia(3.0))
    session = opened(scanner=scanner)
    for index in range(pieces):
        session.receive_bytes(b"", 0.0, final=index == pieces - 1)
    error = only_error(session)
    assert (error["code"], error["segment"]) == ("ih5004", 1)
    started, refused = session.events()
    assert started == SegmentStarted(1)
    assert isinstance(refused, SegmentRefused)
    assert (refused.number, refused.clause_id) == (1, "SEG-10")
    session.receive_bytes(b"video", 0.0)
    assert session.events()[-1] == SegmentAccepted(2, 5, 0.0, 3.0)


def test_a_segment_below_the_minimum_of_the_contract_is_ih5004() -> None:
    session = opened(settings=ServerSettings(contract(min_segment_size_bytes=5)))
    session.receive_bytes(bytes(4), 0.0)
    assert only_error(session)["code"] == "ih5004"
    session.receive_bytes(bytes(5), 0.0)
    assert session.to_send() == []


def test_a_fault_of_the_scanner_refuses_the_segment_at_once() -> None:
    fault = SegmentFault("ih4002", "SEG-5", "this is a text file")
    scanner = ScriptedScanner(SegmentMedia(2.0), feeds={b"bad": fault})
    session = opened(scanner=scanner, settings=ServerSettings(segment_data=True))
    session.receive_bytes(b"fine", 0.0, final=False)
    session.receive_bytes(b"bad", 0.0, final=False)
    error = only_error(session)
    assert (error["code"], error["segment"]) == ("ih4002", 1)
    assert error["link"] == ERROR_CODES["ih4002"].link
    for word in ("segment 1", "this is a text file", "SEG-5"):
        assert word in error["message"]
    session.receive_bytes(b"bad", 0.0, final=False)
    session.receive_bytes(b"bad", 0.0)
    assert session.to_send() == []
    assert scanner.calls == [1, b"fine", b"bad"]
    refused = session.events()[-1]
    assert refused == SegmentRefused(1, Error("ih4002", error["message"], error["link"], 1), "SEG-5")
    session.receive_bytes(b"next", 0.0)
    assert session.events()[-1] == SegmentAccepted(2, 4, 0.0, 2.0)


def test_a_fault_in_the_last_piece_is_said_once() -> None:
    fault = SegmentFault("ih5004", "SEG-6", "no header")
    session = opened(scanner=ScriptedScanner(feeds={b"bad": fault}))
    session.receive_bytes(b"bad", 0.0)
    assert only_error(session)["code"] == "ih5004"


def test_a_fault_at_the_end_of_a_segment_refuses_it_and_adds_no_media() -> None:
    fault = SegmentFault("ih4007", "SEG-4", "only 1 s")
    session = opened(scanner=ScriptedScanner(SegmentMedia(3.0), fault, SegmentMedia(4.0)))
    session.receive_bytes(b"one", 0.0)
    session.receive_bytes(b"two", 0.0, final=False)
    assert session.to_send() == []
    session.receive_bytes(b"!", 0.0)
    error = only_error(session)
    assert (error["code"], error["segment"]) == ("ih4007", 2)
    assert session.media_seconds == 3.0
    session.receive_bytes(b"three", 0.0)
    assert session.events()[-1] == SegmentAccepted(3, 5, 3.0, 7.0)
    assert session.segments_received == 3


def test_segments_are_counted_on_when_some_are_refused() -> None:
    session = opened(settings=SMALL)
    numbers = []
    for size in (11, 5, 0, 11, 5):
        session.receive_bytes(bytes(size), 0.0)
        numbers += [data["segment"] for _, data in said(session.to_send())]
    assert numbers == [1, 3, 4]
    accepted = [event for event in session.events() if isinstance(event, SegmentAccepted)]
    assert [(event.number, event.start, event.end) for event in accepted] == [(2, 0.0, 3.0), (5, 3.0, 6.0)]


def test_the_owner_may_refuse_a_segment_by_number() -> None:
    session = opened()
    session.receive_bytes(b"video", 0.0)
    error = session.send_error("ih3003", 0.0, segment=1)
    assert error.segment == 1
    assert only_error(session)["segment"] == 1


# -- WIN and COV: windows -----------------------------------------------------------------------------


def windows(session: ServerSession) -> list[Window]:
    return [event.window for event in session.events() if isinstance(event, WindowReady)]


def test_windows_of_8_seconds_advance_by_3() -> None:
    session = opened()
    found = []
    for _ in range(5):
        session.receive_bytes(b"video", 0.0)
        found.append(windows(session))
    assert found == [[], [], [FIRST], [SECOND], [THIRD]]
    assert session.outstanding == (FIRST, SECOND, THIRD)


def test_one_long_segment_completes_several_windows() -> None:
    session = opened(scanner=NominalScanner(14.0))
    session.receive_bytes(b"video", 0.0)
    first, second, *found = session.events()
    assert (type(first), type(second)) == (SegmentStarted, SegmentAccepted)
    assert found == [WindowReady(FIRST), WindowReady(SECOND), WindowReady(THIRD)]


def test_the_shape_of_the_windows_is_a_setting() -> None:
    session = opened(
        settings=ServerSettings(window_seconds=2.0, window_advance_seconds=1.0), scanner=NominalScanner(3.0)
    )
    session.receive_bytes(b"video", 0.0)
    assert windows(session) == [Window(0, 0, 2), Window(1, 1, 3)]


def test_an_analysis_becomes_messages_signals_before_engagement() -> None:
    session = with_media(11)
    signal = SignalReport("stress", 2.0, probability="high", rationale="frowns")
    session.send_analysis(seen(FIRST, signal, engagement=EngagementReport("engaged", 1.0)), 0.0)
    assert said(session.to_send()) == [
        (
            "signal.detected",
            {"signal_type": "stress", "start": 2.0, "probability": "high", "rationale": "frowns"},
        ),
        ("engagement.updated", {"state": "engaged", "start": 1.0}),
    ]
    assert list(session.signals) == ["stress"]
    assert session.outstanding == (SECOND,)


def test_signals_follow_their_lifecycle_from_window_to_window() -> None:
    session = with_media(14)
    session.send_analysis(seen(FIRST, SignalReport("stress", 2.0, probability="low")), 0.0)
    session.send_analysis(seen(SECOND, SignalReport("stress", 2.0, probability="high")), 0.0)
    session.send_analysis(WindowAnalysis(THIRD), 0.0)
    told = said(session.to_send())
    assert [type_ for type_, _ in told] == ["signal.detected", "signal.updated", "signal.ended"]
    assert told[1][1]["probability"] == "high"
    assert told[2][1]["end"] >= told[0][1]["start"]
    assert dict(session.signals) == {}


def test_engagement_is_said_once_and_when_it_changes() -> None:
    session = with_media(14)
    for window, level in ((FIRST, "neutral"), (SECOND, "neutral"), (THIRD, "engaged")):
        session.send_analysis(WindowAnalysis(window, (), EngagementReport(level, window.start)), 0.0)
    assert said(session.to_send()) == [
        ("engagement.updated", {"state": "neutral", "start": 0}),
        ("engagement.updated", {"state": "engaged", "start": 6}),
    ]


@pytest.mark.parametrize("window", [SECOND, THIRD, Window(0, 0, 9)], ids=["second", "third", "another"])
def test_an_analysis_out_of_turn_is_a_misuse(window: Window) -> None:
    session = with_media(14)
    analysis = seen(window, SignalReport("stress", 2.0))
    assert misuse(lambda: session.send_analysis(analysis, 0.0), session) == "SIG-4"
    assert misuse(lambda: session.drop_window(window, 0.0), session) == "SIG-4"


def test_an_analysis_that_cannot_be_said_does_not_lose_its_window() -> None:
    session = with_media(8)
    with pytest.raises(ValueError, match="nan"):
        session.send_analysis(seen(FIRST, SignalReport("stress", float("nan"))), 0.0)
    assert session.outstanding == (FIRST,)
    assert dict(session.signals) == {}


def test_an_analysis_out_of_turn_is_told_whose_turn_it_is() -> None:
    session = with_media(14)
    with pytest.raises(LocalProtocolError, match="window 2 was given, but window 0 is outstanding"):
        session.drop_window(THIRD, 0.0)
    for window in (FIRST, SECOND, THIRD):
        session.drop_window(window, 0.0)
    with pytest.raises(LocalProtocolError, match="window 2 was given, but no window is outstanding"):
        session.drop_window(THIRD, 0.0)


def test_an_analysis_can_be_given_only_once() -> None:
    session = with_media(8)
    session.send_analysis(WindowAnalysis(FIRST), 0.0)
    assert misuse(lambda: session.send_analysis(WindowAnalysis(FIRST), 0.0), session) == "SIG-4"
    assert misuse(lambda: session.drop_window(FIRST, 0.0), session) == "SIG-4"


def test_a_dropped_window_is_said_as_the_stretch_that_no_other_window_covers() -> None:
    session = with_media(14)
    session.drop_window(FIRST, 0.0)
    assert said(session.to_send()) == [("coverage.dropped", {"ranges": [{"start": 0, "end": 3}]})]
    session.send_analysis(WindowAnalysis(SECOND), 0.0)
    session.drop_window(THIRD, 0.0)
    assert said(session.to_send()) == []
    assert session.outstanding == ()


def test_a_window_dropped_at_the_end_leaves_the_rest_uncovered() -> None:
    session = with_media(14)
    session.drop_window(FIRST, 0.0)
    session.send_analysis(WindowAnalysis(SECOND), 0.0)
    session.drop_window(THIRD, 0.0)
    session.receive_text('{"type": "session.close"}', 0.0)
    assert ("coverage.dropped", {"ranges": [{"start": 11, "end": 14}]}) in said(session.to_send())


def test_a_remainder_that_is_dropped_is_said() -> None:
    session = with_media(16)
    for window in session.outstanding:
        session.send_analysis(WindowAnalysis(window), 0.0)
    session.receive_text('{"type": "session.close"}', 0.0)
    session.to_send()
    (rest,) = session.outstanding
    session.drop_window(rest, 0.0)
    assert said(session.to_send())[0] == ("coverage.dropped", {"ranges": [{"start": 14, "end": 16}]})


def test_windows_dropped_in_a_row_are_said_without_overlap() -> None:
    session = with_media(14)
    for window in (FIRST, SECOND, THIRD):
        session.drop_window(window, 0.0)
    ranges = [data["ranges"] for _, data in said(session.to_send())]
    assert ranges == [[{"start": 0, "end": 3}], [{"start": 3, "end": 6}], [{"start": 6, "end": 9}]]


def test_a_dropped_window_ends_no_signal() -> None:
    session = with_media(14)
    session.send_analysis(seen(FIRST, SignalReport("stress", 2.0)), 0.0)
    session.drop_window(SECOND, 0.0)
    assert list(session.signals) == ["stress"]


# -- CQI: conversation quality ------------------------------------------------------------------------

SCORES = QualityReport(clarity=60, authority=70, energy=80, rapport=90, learning=50)
SCORED = {"quality_index": 70, "clarity": 60, "authority": 70, "energy": 80, "rapport": 90, "learning": 50}


def analysed(session: ServerSession, *windows: Window, **report: Any) -> list[tuple[str, Any]]:
    session.to_send()
    for window in windows:
        session.send_analysis(WindowAnalysis(window, **report), 0.0)
    return said(session.to_send())


def included(session: ServerSession, *include: str) -> None:
    session.receive_text(json.dumps({"include": include}), 0.0)


def test_no_quality_is_said_when_nothing_asks_for_it() -> None:
    assert analysed(with_media(14), FIRST, SECOND, THIRD, quality=SCORES) == []


def test_quality_is_said_after_the_period_of_10_seconds_closed_and_not_before() -> None:
    session = with_media(14)
    included(session, OVERALL)
    assert analysed(session, FIRST, quality=SCORES) == []
    assert analysed(session, SECOND, quality=SCORES) == [("conversation_quality.updated", {"overall": SCORED})]
    assert analysed(session, THIRD, quality=SCORES) == []


def test_the_timeline_has_one_entry_covering_the_period() -> None:
    session = with_media(11)
    included(session, TIMELINE)
    assert analysed(session, FIRST, SECOND, quality=SCORES) == [
        ("conversation_quality.updated", {"timeline": [{"start": 0, "end": 10, "values": SCORED}]})
    ]


def test_both_sections_are_there_when_both_are_asked_for_and_are_50_without_evidence() -> None:
    session = with_media(11)
    included(session, OVERALL, TIMELINE)
    assert analysed(session, FIRST, SECOND) == [
        (
            "conversation_quality.updated",
            {"overall": FIFTY, "timeline": [{"start": 0, "end": 10, "values": FIFTY}]},
        )
    ]


def test_overall_is_cumulative_and_the_timeline_is_not() -> None:
    session = with_media(20, settings=ServerSettings(window_seconds=10, window_advance_seconds=10))
    included(session, OVERALL, TIMELINE)
    low, high = (QualityReport(*[score] * 5) for score in (20, 60))
    ten, twenty = Window(0, 0, 10), Window(1, 10, 20)
    analysed(session, ten, quality=low)
    ((_, data),) = analysed(session, twenty, quality=high)
    assert set(data["overall"].values()) == {40}
    (entry,) = data["timeline"]
    assert (entry["start"], entry["end"], set(entry["values"].values())) == (10, 20, {60})


def test_engagement_contributes_to_the_scores_by_the_settings() -> None:
    scores = {"engaged": 80.0, "neutral": 50.0, "disengaged": 20.0}
    session = with_media(11, settings=ServerSettings(engagement_scores=scores))
    included(session, OVERALL)
    told = analysed(session, FIRST, SECOND, engagement=EngagementReport("engaged", 0))
    assert [type_ for type_, _ in told] == ["engagement.updated", "conversation_quality.updated"]
    assert set(told[1][1]["overall"].values()) == {80}


def test_a_config_in_mid_session_decides_about_the_periods_that_close_after_it() -> None:
    settings = ServerSettings(period_seconds=3.0)
    session = with_media(14, settings=settings)
    assert analysed(session, FIRST) == []
    included(session, TIMELINE)
    ((_, data),) = analysed(session, SECOND)
    assert [(entry["start"], entry["end"]) for entry in data["timeline"]] == [(6, 9)]
    included(session, OVERALL)
    ((_, data),) = analysed(session, THIRD)
    assert set(data) == {"overall"}
    included(session)
    session.receive_bytes(b"video", 0.0)
    assert analysed(session, Window(3, 9, 17)) == []


def test_each_of_several_periods_that_close_at_once_is_said() -> None:
    session = with_media(8, settings=ServerSettings(period_seconds=3.0))
    included(session, TIMELINE)
    told = analysed(session, FIRST)
    assert [[(entry["start"], entry["end"]) for entry in data["timeline"]] for _, data in told] == [[(0, 3)], [(3, 6)]]


def test_a_dropped_window_closes_its_period_all_the_same() -> None:
    session = with_media(11)
    included(session, TIMELINE)
    session.to_send()
    session.drop_window(FIRST, 0.0)
    session.drop_window(SECOND, 0.0)
    assert [type_ for type_, _ in said(session.to_send())] == [
        "coverage.dropped",
        "coverage.dropped",
        "conversation_quality.updated",
    ]


# -- TMO: timers --------------------------------------------------------------------------------------

BRIEF = ServerSettings(contract(session_idle_timeout_seconds=10, session_max_duration_seconds=25))


def test_the_timers_of_the_default_contract_are_5_minutes_and_an_hour() -> None:
    session = opened(1000.0)
    assert session.next_timeout() == 1300.0
    for minute in range(1, 60):
        session.receive_text("{}", 1000.0 + 60 * minute)
    assert session.next_timeout() == 4600.0


def test_silence_ends_a_session_with_ih6003_and_1001() -> None:
    session = opened(100.0, settings=BRIEF)
    assert session.next_timeout() == 110.0
    session.handle_timeout(109.999)
    assert session.to_send() == []
    assert state_of(session) is ServerState.OPEN
    session.handle_timeout(110.0)
    (type_, data), close = said(session.to_send())
    assert (type_, data["code"], data["segment"]) == ("error", "ih6003", None)
    assert close == ("close", 1001)
    (expired,) = session.events()
    assert isinstance(expired, SessionExpired)
    assert expired.error == Error("ih6003", data["message"], data["link"], None)
    assert session.next_timeout() is None
    session.receive_close(1001)
    assert session.events() == [SessionClosed(1001, "", None, expired.error)]


def test_of_a_connection_that_is_lost_nothing_may_be_known() -> None:
    session = opened()
    session.receive_lost()
    assert session.events() == [SessionClosed(1006, "")]


def test_models_that_are_not_available_may_be_given_in_any_collection() -> None:
    settings = ServerSettings(unavailable_models=["inter-2"])
    assert settings.unavailable_models == frozenset({"inter-2"})
    assert hash(settings.unavailable_models)


def test_the_end_by_a_timer_is_told_behind_what_happened_before() -> None:
    session = opened(settings=BRIEF)
    session.receive_text("{}", 1.0)
    session.handle_timeout(11.0)
    assert [type(event) for event in session.events()] == [ConfigApplied, SessionExpired]


def test_a_session_that_lasts_too_long_ends_with_ih6004_and_1001() -> None:
    session = opened(100.0, settings=BRIEF)
    for moment in (108.0, 116.0, 124.0):
        session.receive_text("{}", moment)
    session.to_send()
    session.events()
    assert session.next_timeout() == 125.0
    session.handle_timeout(124.999)
    assert session.to_send() == []
    session.handle_timeout(125.0)
    (_, data), close = said(session.to_send())
    assert (data["code"], close) == ("ih6004", ("close", 1001))
    (expired,) = session.events()
    assert isinstance(expired, SessionExpired)
    assert expired.error.code == "ih6004"


@pytest.mark.parametrize(("idle", "longest", "code"), [(10, 11, "ih6003"), (11, 10, "ih6004")])
def test_the_timer_that_ran_out_first_is_the_one_that_is_named(idle: int, longest: int, code: str) -> None:
    limits = contract(session_idle_timeout_seconds=idle, session_max_duration_seconds=longest)
    session = opened(settings=ServerSettings(limits))
    assert session.next_timeout() == 10.0
    session.handle_timeout(1000.0)
    (_, data), _ = said(session.to_send())
    assert data["code"] == code


INPUTS: dict[str, Callable[[ServerSession, float], object]] = {
    "config": lambda session, now: session.receive_text("{}", now),
    "broken text": lambda session, now: session.receive_text("hello", now),
    "text not kept": lambda session, now: session.refuse_text(now),
    "segment": lambda session, now: session.receive_bytes(b"video", now),
    "piece": lambda session, now: session.receive_bytes(b"video", now, final=False),
    "empty segment": lambda session, now: session.receive_bytes(b"", now),
}


@pytest.mark.parametrize("name", INPUTS)
def test_every_message_of_the_client_resets_the_idle_timer(name: str) -> None:
    session = opened(settings=BRIEF)
    INPUTS[name](session, 7.0)
    assert session.next_timeout() == 17.0


def test_every_piece_of_a_segment_resets_the_idle_timer() -> None:
    session = opened(settings=BRIEF)
    for moment in (5.0, 12.0, 14.0):
        session.receive_bytes(b"piece", moment, final=False)
        assert session.next_timeout() == moment + 10
    session.handle_timeout(15.0)
    assert state_of(session) is ServerState.OPEN


def test_the_server_does_not_keep_a_session_alive_by_talking() -> None:
    session = opened(settings=BRIEF)
    session.send_error("ih3001", 7.0)
    assert session.next_timeout() == 10.0


def test_both_timers_count_from_the_upgrade() -> None:
    session = connected(0.0, settings=BRIEF)
    session.open(4.0)
    assert session.next_timeout() == 10.0


def test_a_timeout_in_the_middle_of_a_segment_drops_what_still_comes_of_it() -> None:
    session = opened(settings=BRIEF)
    session.receive_bytes(b"one", 0.0, final=False)
    session.events()
    session.handle_timeout(10.0)
    session.to_send()
    session.events()
    session.receive_bytes(b"two", 10.1, final=False)
    session.receive_bytes(b"three", 10.2)
    assert session.events() == []
    assert session.to_send() == []


@pytest.mark.parametrize("state", [ServerState.OPENING, ServerState.CLOSING, ServerState.CLOSED])
def test_only_a_living_session_has_a_timer(state: ServerState) -> None:
    session = in_state(state)
    assert session.next_timeout() is None
    session.handle_timeout(1e9)
    assert session.state is state
    assert session.to_send() == []
    assert session.events() == []


# -- CLS: the graceful close ----------------------------------------------------------------------------


def test_a_graceful_close_with_nothing_to_analyse_ends_at_once() -> None:
    session = opened()
    session.receive_text(SESSION_CLOSE, 0.0)
    assert said(session.to_send()) == [
        ("session.closing", {"max_drain_seconds": 30}),
        ("session.ended", {"reason": "client_shutdown"}),
        ("close", 1000),
    ]
    assert session.events() == [CloseRequested()]
    assert state_of(session) is ServerState.CLOSING
    session.receive_close(1000, "bye")
    assert session.events() == [SessionClosed(1000, "bye", SessionEnded("client_shutdown"), None)]
    assert state_of(session) is ServerState.CLOSED


def test_a_graceful_close_waits_for_the_accepted_analysis_and_for_the_remainder() -> None:
    session = with_media(9)
    session.receive_text(SESSION_CLOSE, 0.0)
    assert said(session.to_send()) == [("session.closing", {"max_drain_seconds": 30})]
    remainder = Window(1, 3, 9, True)
    assert session.events() == [CloseRequested(), WindowReady(remainder)]
    assert session.outstanding == (FIRST, remainder)
    assert state_of(session) is ServerState.DRAINING
    session.send_analysis(seen(FIRST, SignalReport("stress", 2.0)), 1.0)
    assert [type_ for type_, _ in said(session.to_send())] == ["signal.detected"]
    session.send_analysis(WindowAnalysis(remainder), 2.0)
    assert [type_ for type_, _ in said(session.to_send())] == ["signal.ended", "session.ended", "close"]
    assert state_of(session) is ServerState.CLOSING


def test_media_shorter_than_a_window_is_a_remainder_too() -> None:
    session = with_media(3)
    session.receive_text(SESSION_CLOSE, 0.0)
    assert session.outstanding == (Window(0, 0, 3, True),)


def test_media_that_the_windows_cover_leaves_no_remainder() -> None:
    session = with_media(11)
    session.receive_text(SESSION_CLOSE, 0.0)
    assert session.outstanding == (FIRST, SECOND)


def test_signals_that_are_still_active_end_before_the_session_does() -> None:
    session = draining(8)
    signals = (SignalReport("stress", 2.0), SignalReport("interest", 3.0, end=5.0))
    session.send_analysis(seen(FIRST, *signals), 0.0)
    told = said(session.to_send())
    assert [type_ for type_, _ in told] == [
        "signal.detected",
        "signal.detected",
        "signal.ended",
        "signal.ended",
        "session.ended",
        "close",
    ]
    assert {data["signal_type"]: data["end"] for type_, data in told if type_ == "signal.ended"} == {
        "stress": 8,
        "interest": 5,
    }
    assert dict(session.signals) == {}


def test_dropping_the_last_window_ends_a_drain() -> None:
    session = draining(8)
    session.drop_window(FIRST, 0.0)
    assert [type_ for type_, _ in said(session.to_send())] == ["coverage.dropped", "session.ended", "close"]


def test_a_drain_that_takes_too_long_drops_the_rest_and_ends() -> None:
    session = with_media(11, settings=ServerSettings(max_drain_seconds=20))
    session.send_analysis(seen(FIRST, SignalReport("stress", 2.0)), 0.0)
    session.to_send()
    session.receive_bytes(b"video", 90.0)
    session.receive_text(SESSION_CLOSE, 100.0)
    assert said(session.to_send()) == [("session.closing", {"max_drain_seconds": 20})]
    assert session.next_timeout() == 120.0
    session.handle_timeout(119.999)
    assert session.to_send() == []
    session.handle_timeout(120.0)
    assert said(session.to_send()) == [
        ("coverage.dropped", {"ranges": [{"start": 8, "end": 22}]}),
        ("signal.ended", {"signal_type": "stress", "end": 8}),
        ("session.ended", {"reason": "client_shutdown"}),
        ("close", 1000),
    ]
    assert session.outstanding == ()
    assert session.next_timeout() is None
    assert state_of(session) is ServerState.CLOSING


def test_a_drain_is_not_idle() -> None:
    session = draining(8, settings=ServerSettings(contract(session_idle_timeout_seconds=10), max_drain_seconds=20))
    session.handle_timeout(15.0)
    assert session.to_send() == []
    assert session.next_timeout() == 20.0


def test_a_drain_does_not_outlive_the_maximum_duration() -> None:
    session = with_media(8, settings=ServerSettings(contract(session_max_duration_seconds=25), max_drain_seconds=20))
    session.receive_text(SESSION_CLOSE, 15.0)
    deadline = session.next_timeout()
    assert deadline is not None
    assert deadline <= 25.0


def test_media_after_session_close_is_ih6001_with_its_number() -> None:
    session = draining(8)
    session.receive_bytes(b"one", 0.0, final=False)
    error = only_error(session)
    assert (error["code"], error["segment"]) == ("ih6001", 2)
    assert "CLS-2" in error["message"]
    session.receive_bytes(b"two", 0.0)
    assert session.to_send() == []
    blamed, refused = session.events()
    assert clause_ids([blamed]) == ["CLS-2"]
    (violation,) = violations([blamed])
    assert (violation.side, violation.state) == (Side.CLIENT, "DRAINING")
    assert isinstance(refused, SegmentRefused)
    assert (refused.number, refused.clause_id) == (2, "CLS-2")
    session.receive_bytes(b"again", 0.0)
    assert only_error(session)["segment"] == 3
    assert session.media_seconds == 8
    assert state_of(session) is ServerState.DRAINING


def test_a_second_session_close_is_ih6001() -> None:
    session = draining(8)
    session.receive_text(SESSION_CLOSE, 50.0)
    error = only_error(session)
    assert (error["code"], error["segment"]) == ("ih6001", None)
    (violation,) = violations(session.events())
    assert (violation.clause.id, violation.state) == ("CLS-1", "DRAINING")
    assert session.next_timeout() == 30.0


def test_a_config_is_still_answered_while_the_session_drains() -> None:
    session = draining(8)
    included(session, OVERALL)
    assert said(session.to_send()) == [("session.updated", {"include": [OVERALL]})]
    session.receive_text("hello", 0.0)
    assert only_error(session)["code"] == "ih6001"


def test_a_session_close_may_have_spaces_and_other_fields() -> None:
    session = opened()
    session.receive_text('\n{ "type" : "session.close" }', 0.0)
    assert CloseRequested() in session.events()


# -- CLS-3: closing at once, and being closed --------------------------------------------------------------


@pytest.mark.parametrize("state", [ServerState.OPENING, ServerState.OPEN, ServerState.DRAINING])
def test_this_side_may_close_in_every_state_before_it_has(state: ServerState) -> None:
    session = in_state(state)
    session.close(0.0, 1011, "oh no")
    assert session.to_send() == [CloseToSend(1011, "oh no")]
    assert state_of(session) is ServerState.CLOSING
    assert session.outstanding == ()
    session.receive_close(1011)
    assert session.events() == [SessionClosed(1011)]
    assert state_of(session) is ServerState.CLOSED


def test_a_close_is_1000_without_reason_unless_told_otherwise() -> None:
    session = opened()
    session.close(0.0)
    assert session.to_send() == [CloseToSend(1000, "")]


@pytest.mark.parametrize("state", [ServerState.CLOSING, ServerState.CLOSED])
def test_nothing_is_said_in_a_session_that_is_closed(state: ServerState) -> None:
    session = in_state(state)
    assert misuse(lambda: session.open(0.0), session) == "CLS-3"
    assert misuse(lambda: session.send_error("ih3001", 0.0), session) == "CLS-3"
    assert misuse(lambda: session.send_error("ih6002", 0.0), session) == "CLS-3"
    assert misuse(lambda: session.send_feedback("slow down", 0.0), session) == "CLS-3"
    assert misuse(lambda: session.close(0.0), session) == "CLS-3"


@pytest.mark.parametrize("state", [ServerState.CLOSING, ServerState.CLOSED])
@pytest.mark.parametrize("text", ["{}", "hello", SESSION_CLOSE])
def test_a_text_after_the_close_is_ignored(state: ServerState, text: str) -> None:
    session = in_state(state)
    session.receive_text(text, 0.0)
    session.refuse_text(0.0)
    assert session.events() == []
    assert session.to_send() == []
    assert session.state is state


@pytest.mark.parametrize(
    "state",
    [
        ServerState.CLOSING,
        pytest.param(
            ServerState.CLOSED,
        ),
    ],
)
def test_a_segment_after_the_close_is_ignored(state: ServerState) -> None:
    session = in_state(state)
    session.receive_bytes(b"one", 0.0, final=False)
    session.receive_bytes(b"two", 0.0)
    session.receive_bytes(b"", 0.0)
    assert session.events() == []
    assert session.to_send() == []
    assert session.media_seconds == 0


def test_windows_are_not_wanted_any_more_when_the_session_closed() -> None:
    ours, theirs, lost = (with_media(14) for _ in range(3))
    ours.close(0.0)
    theirs.receive_close(1000)
    lost.receive_lost()
    for session in (ours, theirs, lost):
        assert session.outstanding == ()
        session.to_send()
        session.events()
        assert misuse(partial(session.send_analysis, WindowAnalysis(FIRST), 0.0), session) == "SIG-4"


@pytest.mark.parametrize("state", [state for state in IN_STATE if state is not ServerState.CLOSED])
def test_a_lost_connection_closes_with_1006(state: ServerState) -> None:
    session = in_state(state)
    session.receive_lost("reset by peer")
    assert session.events() == [SessionClosed(1006, "reset by peer")]
    assert state_of(session) is ServerState.CLOSED
    assert session.next_timeout() is None


def test_a_session_is_over_only_once() -> None:
    session = opened()
    session.receive_close(1000, "first")
    session.receive_close(1001, "second")
    session.receive_lost()
    assert session.events() == [SessionClosed(1000, "first")]


# -- ERR: errors --------------------------------------------------------------------------------------------


def test_an_error_says_code_message_link_and_segment() -> None:
    session = opened()
    told = session.send_error("ih3001", 0.0)
    error = only_error(session)
    assert error == {
        "code": "ih3001",
        "message": ERROR_CODES["ih3001"].meaning,
        "link": ERROR_CODES["ih3001"].link,
        "segment": None,
    }
    assert told == Error("ih3001", error["message"], error["link"], None)
    assert state_of(session) is ServerState.OPEN


def test_an_error_may_have_a_message_of_its_own() -> None:
    session = opened()
    session.send_error("ih3001", 0.0, message="slow down")
    assert only_error(session)["message"] == "slow down"


def test_an_error_that_nobody_documented_can_be_said() -> None:
    session = opened()
    session.send_error("ih9999", 0.0)
    error = only_error(session)
    assert (error["code"], error["link"]) == ("ih9999", None)
    assert error["message"]
    assert state_of(session) is ServerState.OPEN


def test_an_error_that_announces_a_close_is_followed_by_it() -> None:
    session = with_media(8)
    told = session.send_error("ih1001", 0.0)
    assert [what for what, _ in said(session.to_send())] == ["error", "close"]
    assert state_of(session) is ServerState.CLOSING
    assert session.outstanding == ()
    session.receive_close(1011)
    assert session.events() == [SessionClosed(1011, "", None, told)]


@pytest.mark.parametrize(
    ("code", "segment", "clause_id"),
    [("ih6002", None, "SEG-8"), ("ih6004", 1, "SEG-8"), ("ih5004", 2, "SEG-1"), ("ih5004", 0, "SEG-1")],
)
def test_an_error_that_would_break_a_must_is_not_said(code: str, segment: int | None, clause_id: str) -> None:
    session = opened()
    session.receive_bytes(b"video", 0.0)
    session.events()
    assert misuse(lambda: session.send_error(code, 0.0, segment=segment), session) == clause_id


def test_a_message_that_only_breaks_a_should_is_said() -> None:
    session = with_media(8)
    session.send_analysis(seen(FIRST, SignalReport("joy", 2.0)), 0.0)
    assert [type_ for type_, _ in said(session.to_send())] == ["signal.detected"]
    assert session.events() == []


def test_a_misuse_names_a_must_the_server_and_the_state() -> None:
    session = opened()
    with pytest.raises(LocalProtocolError) as caught:
        session.send_error("ih6002", 0.0)
    violation = caught.value.violation
    assert (violation.clause.id, violation.level, violation.side) == ("SEG-8", Level.MUST, Side.SERVER)
    assert (violation.state, violation.path) == ("OPEN", "$.data.segment")
    assert str(caught.value).endswith(" at $.data.segment (server, state OPEN)")


# -- settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["window_seconds", "window_advance_seconds", "period_seconds", "max_drain_seconds", "max_text_bytes"]
)
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_setting_must_be_more_than_0(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=name):
        ServerSettings(**settings)


def test_windows_that_leave_gaps_are_refused() -> None:
    with pytest.raises(ValueError, match="gaps"):
        opened(settings=ServerSettings(window_seconds=3.0, window_advance_seconds=8.0))


def test_a_drain_must_end_some_day() -> None:
    with pytest.raises(ValueError, match="max_drain_seconds"):
        ServerSettings(max_drain_seconds=float("inf"))


@pytest.mark.parametrize("scores", [{"engaged": 170.0}, {"neutral": 50.0}], ids=["over 100", "a level is missing"])
def test_engagement_scores_that_cannot_be_said_do_not_lose_a_window(scores: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="engagement_scores"):
        ServerSettings(engagement_scores=scores)


def test_the_defaults_are_those_of_the_protocol() -> None:
    settings = ServerSettings()
    assert (settings.window_seconds, settings.window_advance_seconds, settings.period_seconds) == (8, 3, 10)
    assert settings.max_drain_seconds == 30
    assert settings.max_text_bytes == 65_536
    assert settings.contract is None
    assert settings.segment_data is False


# -- queues ---------------------------------------------------------------------------------------------------


def test_events_and_what_is_to_be_sent_are_drained_once_and_in_order() -> None:
    session = opened()
    session.receive_text("{}", 0.0)
    session.receive_bytes(b"video", 0.0)
    session.close(0.0)
    assert [type(item) for item in session.to_send()] == [TextToSend, CloseToSend]
    assert session.to_send() == []
    assert [type(event) for event in session.events()] == [ConfigApplied, SegmentStarted, SegmentAccepted]
    assert session.events() == []


def test_the_signals_cannot_be_changed_from_outside() -> None:
    session = opened()
    with pytest.raises(TypeError):
        session.signals["stress"] = None  # type: ignore[index]


@pytest.mark.parametrize(
    ("code", "reason"), [(1005, ""), (1006, ""), (999, ""), (5000, ""), (1000, "x" * 124), (1000, "\ud800")]
)
def test_a_close_that_no_frame_can_carry_is_a_misuse(code: int, reason: str) -> None:
    session = opened()
    assert misuse(lambda: session.close(0.0, code, reason), session) == "CLS-3"


def test_events_that_were_not_taken_yet_stay_in_order() -> None:
    session = opened()
    session.receive_bytes(b"video", 0.0)
    session.receive_text("{}", 0.0)
    session.receive_text(SESSION_CLOSE, 0.0)
    kinds = [type(event) for event in session.events()]
    assert kinds == [SegmentStarted, SegmentAccepted, ConfigApplied, CloseRequested, WindowReady]


# -- edges of a drain -----------------------------------------------------------------------------------------


def test_a_drain_that_begins_at_the_maximum_duration_has_no_time() -> None:
    session = with_media(8, settings=ServerSettings(contract(session_max_duration_seconds=25)))
    session.receive_text(SESSION_CLOSE, 26.0)
    assert said(session.to_send()) == [("session.closing", {"max_drain_seconds": 0})]
    assert session.next_timeout() == 26.0


def test_a_drain_that_takes_too_long_says_the_scores_of_the_periods_that_it_closes() -> None:
    session = with_media(11)
    included(session, TIMELINE)
    session.receive_text(SESSION_CLOSE, 0.0)
    session.to_send()
    session.handle_timeout(30.0)
    told = said(session.to_send())
    assert [type_ for type_, _ in told] == [
        "conversation_quality.updated",
        "coverage.dropped",
        "session.ended",
        "close",
    ]
    (entry,) = told[0][1]["timeline"]
    assert entry == {"start": 0, "end": 10, "values": FIFTY}


def test_a_session_close_that_is_refused_is_reported_with_its_text() -> None:
    session = draining()
    session.receive_text(SESSION_CLOSE, 0.0)
    (event,) = session.events()
    assert isinstance(event, Violated)
    assert event.raw == SESSION_CLOSE


def test_a_window_that_is_dropped_in_a_drain_is_said_at_once_unless_it_is_the_last() -> None:
    session = draining(11)
    session.drop_window(FIRST, 0.0)
    assert said(session.to_send()) == [("coverage.dropped", {"ranges": [{"start": 0, "end": 3}]})]
    session.drop_window(SECOND, 0.0)
    assert said(session.to_send())[0] == ("coverage.dropped", {"ranges": [{"start": 3, "end": 11}]})
