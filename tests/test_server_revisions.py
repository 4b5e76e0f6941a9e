"""The server's side of a session in the revisions other than v1."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import Any

import attrs
import pytest
from builders import CORRELATION_ID, FIFTY, OVERALL, TIMELINE, clause_ids, said, texts
from hypothesis import given
from hypothesis import strategies as st
from media_corpus import Recipe, make

from ihproto import (
    ERROR_CODES,
    REVISIONS,
    V0,
    V0_2,
    V1,
    V1_WINDOW,
    V2,
    AudioFormat,
    CloseToSend,
    ConfigApplied,
    ConfigOptions,
    EngagementReport,
    ExpectedMedia,
    LocalProtocolError,
    MediaRange,
    NominalScanner,
    QualityReport,
    Revision,
    SegmentAccepted,
    SegmentData,
    SegmentFault,
    SegmentMedia,
    SegmentRefused,
    SegmentScanner,
    ServerSession,
    ServerSettings,
    ServerState,
    SessionClosed,
    SessionConfig,
    Side,
    SignalReport,
    Violated,
    Window,
    WindowAnalysis,
)

STARTED_AT = datetime(2025, 1, 1, 12, 0, 0, tzinfo=UTC)
PCM = {"encoding": "pcm_s16le", "sample_rate": 16000, "channels": 1}
STATUS = (V0, V0_2)
WITHOUT_READY = (V0, V0_2, V1_WINDOW)
every_status = pytest.mark.parametrize("revision", STATUS, ids=lambda revision: revision.id)
every_silent = pytest.mark.parametrize("revision", WITHOUT_READY, ids=lambda revision: revision.id)
AGREEMENT = SignalReport("agreement", 1, probability="high", rationale="nods", modality=("video",))
NINETY = QualityReport(90, 90, 90, 90, 90)
ZERO = QualityReport(0, 0, 0, 0, 0)


class CountingScanner:
    """Counts what it is fed; every segment is equally long."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.fed = 0
        self.expected: list[ExpectedMedia] = []
        self._seconds = seconds

    def expect(self, expected: ExpectedMedia) -> None:
        self.expected.append(expected)

    def begin(self, number: int) -> None:
        pass

    def feed(self, data: bytes) -> SegmentFault | None:
        self.fed += len(data)
        return None

    def finish(self) -> SegmentMedia | SegmentFault:
        return SegmentMedia(self._seconds)


def connected(
    revision: Revision,
    *,
    query: Sequence[tuple[str, str]] = (),
    settings: ServerSettings | None = None,
    scanner: SegmentScanner | None = None,
) -> ServerSession:
    return ServerSession(
        0.0,
        correlation_id=CORRELATION_ID,
        started_at=STARTED_AT,
        revision=revision,
        query=query,
        settings=settings,
        scanner=scanner if scanner is not None else NominalScanner(5.0),
    )


def opened(revision: Revision, **options: Any) -> ServerSession:
    """A session that was opened, with nothing in its queues."""
    session = connected(revision, **options)
    session.open(0.0)
    session.to_send()
    assert session.events() == []
    return session


def hearing(**options: Any) -> ServerSession:
    """A session of v2 that looks at its media, with nothing in its queues."""
    session = ServerSession(0.0, correlation_id=CORRELATION_ID, started_at=STARTED_AT, revision=V2, **options)
    session.open(0.0)
    session.to_send()
    return session


def state_of(session: ServerSession) -> ServerState:
    """The state, by a call: a type checker would take a property for unchanged by what happens in between."""
    return session.state


def misuse(session: ServerSession, clause_id: str) -> Any:
    return pytest.raises(LocalProtocolError, match=rf"^{clause_id}: .* \(server, state {session.state.value}\)$")


def configure(session: ServerSession, **config: Any) -> Any:
    """What one config is answered with."""
    session.receive_text(json.dumps(config), 1.0)
    ((type_, data),) = said(session.to_send())
    return type_, data


def segments(session: ServerSession, count: int) -> None:
    for _ in range(count):
        session.receive_bytes(bytes(10_000), 0.0)
    session.to_send()
    session.events()


# -- beginning --------------------------------------------------------------------------------------


@every_silent
def test_a_session_without_session_ready_begins_without_a_word(revision: Revision) -> None:
    session = connected(revision)
    assert state_of(session) is ServerState.OPENING
    session.open(0.0)
    assert state_of(session) is ServerState.OPEN
    assert session.established
    assert session.to_send() == []
    assert session.next_timeout() is None


@every_silent
def test_such_a_session_begins_only_once_and_takes_nothing_before(revision: Revision) -> None:
    session = connected(revision)
    with misuse(session, "RDY-1"):
        session.receive_bytes(b"x", 0.0)
    session.open(0.0)
    with misuse(session, "RDY-1"):
        session.open(0.0)
    with misuse(session, "RDY-3"):
        session.refuse("ih2003", 0.0)


@every_status
@pytest.mark.parametrize(("code", "close"), [("ih2003", 4003), ("ih1003", 1013), ("ih3001", 1008)])
def test_a_refusal_where_errors_are_about_segments_is_a_close_alone(revision: Revision, code: str, close: int) -> None:
    session = connected(revision)
    session.refuse(code, 0.0)
    assert session.to_send() == [CloseToSend(close, code)]
    session.receive_close(close)
    (closed,) = session.events()
    assert isinstance(closed, SessionClosed)
    assert closed.error is not None
    assert closed.error.code == code


def test_a_refusal_in_v1_window_is_an_error_and_a_close() -> None:
    session = connected(V1_WINDOW)
    session.refuse("ih2003", 0.0)
    ((type_, data), close) = said(session.to_send())
    assert (type_, data["code"], data["segment"]) == ("error", "ih2003", None)
    assert close == ("close", 4003)


# -- STS: status messages -----------------------------------------------------------------------------


def test_v0_says_exactly_what_its_source_shows() -> None:
    session = opened(V0)
    segments(session, 1)
    session.receive_bytes(bytes(1_200_000), 0.0)
    assert texts(session.to_send()) == [{"status": "processing", "segment": 2, "bytes": 1_200_000}]
    first, second = session.outstanding
    assert (first, second) == (Window(0, 0, 5, segment=1), Window(1, 5, 10, segment=2))
    session.send_analysis(WindowAnalysis(first), 0.0)
    session.to_send()
    reports = (attrs.evolve(AGREEMENT, start=5.0), SignalReport("engagement", 7.25, 9.75))
    session.send_analysis(WindowAnalysis(second, reports, EngagementReport("engaged", 0), NINETY), 0.0)
    assert texts(session.to_send()) == [
        {
            "status": "result",
            "segment": 2,
            "signals": [
                {"type": "agreement", "start": 0.0, "end": 5.0},
                {"type": "engagement", "start": 2.25, "end": 4.75},
            ],
        },
        {"status": "completed", "segment": 2},
    ]


def test_v0_2_says_exactly_what_its_source_shows() -> None:
    session = opened(V0_2, query=[("include[]", OVERALL), ("include[]", TIMELINE)])
    segments(session, 1)
    session.send_analysis(WindowAnalysis(session.outstanding[0], quality=ZERO), 0.0)
    session.to_send()
    session.receive_bytes(bytes(1_200_000), 0.0)
    common = {"segment": 2, "correlation_id": CORRELATION_ID}
    assert texts(session.to_send()) == [{"status": "processing", **common, "bytes": 1_200_000}]
    reports = (attrs.evolve(AGREEMENT, start=5),)
    (window,) = session.outstanding
    session.send_analysis(WindowAnalysis(window, reports, EngagementReport("engaged", 5), NINETY), 0.0)
    ninety, half = dict.fromkeys(FIFTY, 90.0), dict.fromkeys(FIFTY, 45.0)
    assert texts(session.to_send()) == [
        {
            "status": "result",
            **common,
            "signals": [{"type": "agreement", "start": 5, "end": 10, "probability": "high", "rationale": "nods"}],
            "engagement_state": [{"start": 5, "end": 10, "state": "engaged"}],
            "conversation_quality": {
                "overall": half,
                "timeline": [{"start": 5, "end": 10, "values": ninety}],
            },
        },
        {"status": "completed", **common},
    ]


def test_v0_2_tells_when_engagement_changed_within_a_segment() -> None:
    session = opened(V0_2)
    segments(session, 4)
    levels = []
    for state, since in (("neutral", 0), ("engaged", 7), ("engaged", 7), ("disengaged", 15)):
        report = EngagementReport(state, since)
        session.send_analysis(WindowAnalysis(session.outstanding[0], engagement=report), 0.0)
        levels.append(texts(session.to_send())[0]["engagement_state"])
    assert levels == [
        [{"start": 0, "end": 5, "state": "neutral"}],
        [{"start": 5, "end": 7, "state": "neutral"}, {"start": 7, "end": 10, "state": "engaged"}],
        [{"start": 10, "end": 15, "state": "engaged"}],
        [{"start": 15, "end": 20, "state": "disengaged"}],
    ]


def test_v0_2_weighs_only_segments_that_were_analysed() -> None:
    session = opened(V0_2, query=[("include[]", OVERALL)])
    segments(session, 3)
    first, second, third = session.outstanding
    session.send_analysis(WindowAnalysis(first, quality=ZERO), 0.0)
    session.drop_window(second, 0.0)
    session.send_analysis(WindowAnalysis(third, quality=NINETY), 0.0)
    result = texts(session.to_send())[-2]
    assert result["conversation_quality"] == {"overall": dict.fromkeys(FIFTY, 45.0)}


def test_v1_window_counts_every_second_once_also_after_dropped_windows() -> None:
    session = opened(V1_WINDOW, scanner=NominalScanner(17.0))
    session.receive_text(json.dumps({"include": [OVERALL]}), 0.0)
    session.receive_bytes(b"x", 0.0)
    first, second, third, fourth = session.outstanding
    session.send_analysis(WindowAnalysis(first, quality=ZERO), 0.0)
    session.drop_window(second, 0.0)
    session.drop_window(third, 0.0)
    session.send_analysis(WindowAnalysis(fourth, quality=NINETY), 0.0)
    ((_, data),) = said(session.to_send())[1:]
    # 8 of 16 seconds were scored with 0 and as many with 90; nobody looked at the ninth.
    assert data["overall"] == dict.fromkeys(FIFTY, 45.0)


@every_status
def test_a_window_that_is_dropped_is_an_error_of_its_segment(revision: Revision) -> None:
    session = opened(revision)
    segments(session, 2)
    session.drop_window(session.outstanding[0], 0.0)
    (error,) = texts(session.to_send())
    assert (error["status"], error["segment"]) == ("error", 1)
    assert error.get("error_id", "ih1003") == "ih1003"
    assert state_of(session) is ServerState.OPEN
    assert [window.segment for window in session.outstanding] == [2]
    with misuse(session, "STS-1"):
        session.send_error("ih5002", 0.0, segment=1)


def test_v1_window_has_no_word_for_a_dropped_window() -> None:
    session = opened(V1_WINDOW, scanner=NominalScanner(9.0))
    session.receive_bytes(b"x", 0.0)
    session.drop_window(session.outstanding[0], 0.0)
    assert session.to_send() == []
    assert session.outstanding == ()


@every_status
def test_an_error_about_a_segment_takes_the_place_of_its_result(revision: Revision) -> None:
    session = opened(revision)
    segments(session, 3)
    session.send_error("ih5002", 0.0, segment=2, message="it is broken")
    (error,) = texts(session.to_send())
    assert error["segment"] == 2
    assert error.get("error", error.get("message")) == "it is broken"
    assert [window.segment for window in session.outstanding] == [1, 3]


@every_status
def test_a_fatal_error_about_a_segment_does_not_end_the_session(revision: Revision) -> None:
    session = opened(revision)
    segments(session, 1)
    session.send_error("ih1001", 0.0, segment=1)
    assert [text["status"] for text in texts(session.to_send())] == ["error"]
    assert state_of(session) is ServerState.OPEN


@every_status
def test_a_segment_that_its_owner_refuses_while_it_arrives_is_dropped(revision: Revision) -> None:
    scanner = CountingScanner()
    session = opened(revision, scanner=scanner, settings=ServerSettings(segment_data=True))
    session.receive_bytes(bytes(10_000), 0.0, final=False)
    session.send_error("ih3003", 0.0, segment=1)
    session.events()
    session.to_send()
    session.receive_bytes(bytes(10_000), 0.0)
    assert session.to_send() == []
    assert session.events() == []
    assert scanner.fed == 10_000
    assert session.media_seconds == 0
    session.receive_bytes(bytes(10_000), 0.0)
    assert texts(session.to_send())[0]["segment"] == 2


@every_status
def test_an_error_about_one_segment_leaves_the_one_that_arrives_alone(revision: Revision) -> None:
    session = opened(revision)
    segments(session, 1)
    session.receive_bytes(bytes(10_000), 0.0, final=False)
    session.send_error("ih3003", 0.0, segment=1)
    session.to_send()
    session.receive_bytes(bytes(10_000), 0.0)
    assert [(text["segment"], text["status"]) for text in texts(session.to_send())] == [(2, "processing")]


@every_status
@pytest.mark.parametrize("code", ["ih3003", "ih5002", "ih9999"])
def test_an_error_about_no_segment_cannot_be_told(revision: Revision, code: str) -> None:
    session = opened(revision)
    with misuse(session, "STS-1"):
        session.send_error(code, 0.0)
    assert session.to_send() == []
    assert state_of(session) is ServerState.OPEN


@every_status
@pytest.mark.parametrize("code", ["ih1001", "ih1003", "ih6003"])
def test_a_fatal_error_about_no_segment_is_told_by_the_close(revision: Revision, code: str) -> None:
    session = opened(revision)
    error = session.send_error(code, 0.0)
    assert session.to_send() == [CloseToSend(ERROR_CODES[code].close_code or 0, code)]
    session.receive_close(1000)
    assert session.events() == [SessionClosed(1000, error=error)]


@every_status
def test_an_error_after_the_close_explains_nothing(revision: Revision) -> None:
    session = opened(revision)
    session.close(0.0)
    with misuse(session, "CLS-3"):
        session.send_error("ih1001", 0.0)
    session.receive_close(1000)
    assert session.events() == [SessionClosed(1000)]


@every_status
@pytest.mark.parametrize(("segment", "clause_id"), [(0, "SEG-1"), (2, "SEG-1")])
def test_an_error_about_a_segment_that_did_not_come_is_a_misuse(
    revision: Revision, segment: int, clause_id: str
) -> None:
    session = opened(revision)
    segments(session, 1)
    with misuse(session, clause_id):
        session.send_error("ih5002", 0.0, segment=segment)


@every_status
def test_an_analysis_out_of_turn_is_a_misuse(revision: Revision) -> None:
    session = opened(revision)
    segments(session, 2)
    with misuse(session, "SIG-4"):
        session.send_analysis(WindowAnalysis(session.outstanding[1]), 0.0)


@every_status
def test_a_report_that_reaches_beyond_its_segment_is_cut(revision: Revision) -> None:
    session = opened(revision)
    segments(session, 2)
    session.send_analysis(WindowAnalysis(session.outstanding[0]), 0.0)
    session.to_send()
    reports = (SignalReport("stress", 2, 30), SignalReport("interest", 8, 6), SignalReport("tension", 1, 4))
    session.send_analysis(WindowAnalysis(session.outstanding[0], reports), 0.0)
    offset = 5 if revision is V0 else 0
    spans = [(item["start"] + offset, item["end"] + offset) for item in texts(session.to_send())[0]["signals"]]
    assert spans == [(5, 10), (8, 8), (5, 5)]


# -- texts of a client that may not send any ---------------------------------------------------------


@every_status
@pytest.mark.parametrize("text", ["{}", '{"include": []}', '{"type": "session.close"}', "no JSON", "", "\ud800"])
def test_a_text_is_reported_and_ignored(revision: Revision, text: str) -> None:
    session = opened(revision)
    session.receive_text(text, 0.0)
    assert session.to_send() == []
    (event,) = session.events()
    assert isinstance(event, Violated)
    assert event.raw == text
    assert event.violation.side is Side.CLIENT
    assert revision.id in event.violation.clause.revisions
    assert session.config == SessionConfig()
    assert state_of(session) is ServerState.OPEN


@every_status
def test_a_text_of_any_length_is_ignored(revision: Revision) -> None:
    session = opened(revision, settings=ServerSettings(max_text_bytes=10))
    session.receive_text("x" * 11, 0.0)
    session.refuse_text(0.0)
    assert session.to_send() == []
    first, second = session.events()
    assert clause_ids([first, second]) == ["SEG-1", "SEG-1"]
    assert isinstance(second, Violated)
    assert second.raw is None


@every_status
def test_a_text_that_was_under_way_when_the_session_closed_is_no_fault(revision: Revision) -> None:
    session = opened(revision)
    session.close(0.0)
    session.receive_text("{}", 0.0)
    session.refuse_text(0.0)
    assert session.events() == []


# -- SEG-3, STS-4: sizes in v0 ------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[10_000], [9_999, 1], [1, 0, 9_999], [20_971_520], [20_971_519, 1], [20_971_520, 0]])
def test_v0_takes_10_kb_to_20_mb(sizes: list[int]) -> None:
    session = opened(V0)
    for index, size in enumerate(sizes):
        session.receive_bytes(bytes(size), 0.0, final=index == len(sizes) - 1)
    assert texts(session.to_send()) == [{"status": "processing", "segment": 1, "bytes": sum(sizes)}]


@pytest.mark.parametrize(("sizes", "clause_id"), [([9_999], "SEG-3"), ([5_000, 4_999], "SEG-3"), ([0], "SEG-10")])
def test_v0_refuses_a_segment_that_is_too_small(sizes: list[int], clause_id: str) -> None:
    session = opened(V0)
    for index, size in enumerate(sizes):
        session.receive_bytes(bytes(size), 0.0, final=index == len(sizes) - 1)
    (error,) = texts(session.to_send())
    assert error.keys() == {"status", "segment", "error"}
    assert (error["status"], error["segment"]) == ("error", 1)
    refused = session.events()[-1]
    assert isinstance(refused, SegmentRefused)
    assert (refused.error.code, refused.clause_id) == ("ih5004", clause_id)
    segments(session, 1)
    assert [window.segment for window in session.outstanding] == [2]


@pytest.mark.parametrize(
    "sizes",
    [
        [20_971_521],
        [20_971_520, 1],
        [20_971_521, 0],
        [1, 20_971_520],
        [10_000_000, 10_971_521, 5],
        [31_000_000],
        [1_000_000] * 31,
    ],
)
def test_v0_tells_the_whole_size_of_a_segment_that_is_too_large(sizes: list[int]) -> None:
    session = opened(V0)
    for size in sizes[:-1]:
        session.receive_bytes(bytes(size), 0.0, final=False)
        assert session.to_send() == []
    session.receive_bytes(bytes(sizes[-1]), 0.0)
    sentence = f"Video chunk too large: {sum(sizes)} bytes (maximum: 20971520 bytes)"
    assert texts(session.to_send()) == [{"status": "error", "segment": 1, "error": sentence}]
    refused = session.events()[-1]
    assert isinstance(refused, SegmentRefused)
    assert (refused.error.code, refused.clause_id) == ("ih6002", "SEG-3")
    assert session.media_seconds == 0
    segments(session, 1)
    assert [window.segment for window in session.outstanding] == [2]


def test_v0_drops_the_excess_of_a_segment() -> None:
    scanner = CountingScanner()
    session = opened(V0, scanner=scanner, settings=ServerSettings(segment_data=True))
    handed_out = 0
    tracemalloc.start()
    try:
        for number in range(100):
            session.receive_bytes(bytes(1_048_576), 0.0, final=number == 99)
            handed_out += sum(len(event.data) for event in session.events() if isinstance(event, SegmentData))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert scanner.fed == handed_out == 20_971_520
    assert peak < 5 * 1_048_576
    (error,) = texts(session.to_send())
    assert "104857600 bytes" in error["error"]


def test_v0_with_a_limit_of_its_own_still_answers() -> None:
    contract = attrs.evolve(V0.contract, max_segment_size_bytes=20_000)
    session = opened(V0, settings=ServerSettings(contract))
    session.receive_bytes(bytes(20_001), 0.0)
    assert [text["status"] for text in texts(session.to_send())] == ["error"]


@pytest.mark.parametrize("revision", [V0_2, V1_WINDOW, V2], ids=lambda revision: revision.id)
def test_the_other_revisions_take_1_byte_to_32_mb(revision: Revision) -> None:
    session = opened(revision)
    session.receive_bytes(b"x", 0.0)
    session.receive_bytes(bytes(33_554_432), 0.0)
    session.receive_bytes(bytes(33_554_432), 0.0, final=False)
    session.events()
    session.to_send()
    session.receive_bytes(b"x", 0.0, final=False)
    (error,) = texts(session.to_send())
    told = error.get("data", error)
    assert (told.get("code", told.get("error_id")), told["segment"]) == ("ih6002", 3)
    (refused,) = session.events()
    assert isinstance(refused, SegmentRefused)
    assert refused.clause_id == "SEG-2"


# -- HS-15: the query of v0.2 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "include"),
    [
        ([], ()),
        ([("include[]", OVERALL)], (OVERALL,)),
        ([("include[]", TIMELINE), ("include[]", OVERALL)], (TIMELINE, OVERALL)),
        ([("include[]", OVERALL), ("include[]", OVERALL)], (OVERALL,)),
        ([("include[]", "speech_rate"), ("include[]", ""), ("include[]", TIMELINE)], (TIMELINE,)),
        ([("include", OVERALL), ("INCLUDE[]", OVERALL), ("model", "inter-2"), ("sdk", "1")], ()),
        # Decoding is the part of who reads the URL.
        ([("include%5B%5D", OVERALL)], ()),
    ],
)
def test_v0_2_takes_the_sections_from_the_query(query: list[tuple[str, str]], include: tuple[str, ...]) -> None:
    session = opened(V0_2, query=query)
    assert session.config == SessionConfig(include)
    segments(session, 1)
    session.send_analysis(WindowAnalysis(session.outstanding[0]), 0.0)
    quality = texts(session.to_send())[0].get("conversation_quality", {})
    wanted = {"overall"} if OVERALL in include else set()
    assert quality.keys() == wanted | ({"timeline"} if TIMELINE in include else set())


@pytest.mark.parametrize("revision", [V0, V1_WINDOW, V1, V2], ids=lambda revision: revision.id)
def test_no_other_revision_takes_sections_from_the_query(revision: Revision) -> None:
    session = opened(revision, query=[("include[]", OVERALL)])
    assert session.config.include == ()


@pytest.mark.parametrize("revision", [V0, V0_2, V1_WINDOW, V1], ids=lambda revision: revision.id)
def test_only_v2_takes_a_model_from_the_query(revision: Revision) -> None:
    session = opened(revision, query=[("model", "nonsense")])
    assert state_of(session) is ServerState.OPEN
    assert session.config.model is None
    assert session.model.name is None


# -- v1-window ------------------------------------------------------------------------------------------


def test_v1_window_says_all_about_one_window() -> None:
    session = opened(V1_WINDOW, scanner=NominalScanner(11.0))
    session.receive_text(json.dumps({"include": [OVERALL, TIMELINE]}), 0.0)
    session.receive_bytes(b"x", 0.0)
    first, second = session.outstanding
    assert (first, second) == (Window(0, 0, 8), Window(1, 3, 11))
    session.send_analysis(WindowAnalysis(first), 0.0)
    session.to_send()
    reports = (AGREEMENT, SignalReport("stress", 5, 6))
    session.send_analysis(WindowAnalysis(second, reports, EngagementReport("engaged", 0), NINETY), 2.5)
    sent = texts(session.to_send())
    assert {text["correlation_id"] for text in sent} == {CORRELATION_ID}
    assert {text["timestamp"] for text in sent} == {"2025-01-01T12:00:02.500000Z"}
    ninety = dict.fromkeys(FIFTY, 90.0)
    assert [(text["type"], text["data"]) for text in sent] == [
        (
            "signal.detected",
            {
                "signals": [
                    {"type": "agreement", "start": 3, "end": 11, "probability": "high", "rationale": "nods"},
                    {"type": "stress", "start": 3, "end": 11},
                ]
            },
        ),
        ("engagement.updated", {"state": "engaged", "start": 3, "end": 11}),
        (
            "conversation_quality.updated",
            {"overall": ninety, "timeline": [{"start": 3, "end": 11, "values": ninety}]},
        ),
    ]


def test_v1_window_says_engagement_of_every_window_again() -> None:
    session = opened(V1_WINDOW, scanner=NominalScanner(14.0))
    session.receive_bytes(b"x", 0.0)
    while session.outstanding:
        report = EngagementReport("engaged", 0)
        session.send_analysis(WindowAnalysis(session.outstanding[0], (AGREEMENT,), report), 0.0)
    assert [type_ for type_, _ in said(session.to_send())] == ["signal.detected", "engagement.updated"] * 3


def test_v1_window_says_nothing_of_a_window_in_which_there_is_nothing() -> None:
    session = opened(V1_WINDOW, scanner=NominalScanner(9.0))
    session.receive_bytes(b"x", 0.0)
    session.send_analysis(WindowAnalysis(session.outstanding[0]), 0.0)
    assert session.to_send() == []


def test_v1_window_takes_a_config_without_an_answer() -> None:
    session = opened(V1_WINDOW)
    session.receive_text(json.dumps({"include": [TIMELINE, "speech_rate", TIMELINE]}), 0.0)
    assert session.to_send() == []
    assert session.config == SessionConfig([TIMELINE])
    assert session.events() == [ConfigApplied(SessionConfig([TIMELINE]))]
    session.receive_text("{}", 0.0)
    assert session.config == SessionConfig()


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "session.close"}',
        '{"goal_dimensions": ["clarity"]}',
        '{"model": "inter-2"}',
        '{"audio_format": null}',
        '{"include": null}',
        "[]",
        "no JSON",
        '{"include": []}' + " " * 65_536,
    ],
    ids=lambda text: text[:30],
)
def test_v1_window_answers_a_broken_config_by_ih6001_and_keeps_the_one_before(text: str) -> None:
    session = opened(V1_WINDOW)
    for include in ([TIMELINE], [OVERALL]):
        session.receive_text(json.dumps({"include": include}), 0.0)
    session.events()
    for _ in range(2):
        session.receive_text(text, 0.0)
        ((type_, data),) = said(session.to_send())
        assert (type_, data["code"], data["segment"]) == ("error", "ih6001", None)
        (event,) = session.events()
        assert isinstance(event, Violated)
        assert session.config == SessionConfig([OVERALL])
    assert state_of(session) is ServerState.OPEN


def test_v1_window_keeps_its_config_when_the_owner_says_ih6001() -> None:
    session = opened(V1_WINDOW)
    session.receive_text(json.dumps({"include": [OVERALL]}), 0.0)
    session.send_error("ih6001", 0.0)
    assert session.config == SessionConfig([OVERALL])


# -- HS-13, CFG-7: models of v2 -------------------------------------------------------------------------


def test_v2_offers_its_models_and_begins_with_the_first() -> None:
    session = connected(V2)
    session.open(0.0)
    ((type_, data),) = said(session.to_send())
    assert type_ == "session.ready"
    options = data["supported_session_config_options"]
    assert options["model"] == ["inter-2", "inter-2-audio"]
    assert options["goal_dimensions"] == ["clarity", "authority", "energy", "rapport", "learning"]
    assert session.config.model == "inter-2"
    assert configure(session, include=[]) == ("session.updated", {"include": [], "model": "inter-2"})


def test_v2_takes_a_model_from_the_query() -> None:
    session = opened(V2, query=[("model", "inter-2-audio")])
    assert session.model.name == "inter-2-audio"
    assert configure(session)[1]["model"] == "inter-2-audio"


@pytest.mark.parametrize("name", ["inter-3", "", "INTER-2", "inter-2 "])
def test_v2_refuses_a_model_that_there_is_not(name: str) -> None:
    session = connected(V2, query=[("model", name)])
    session.open(0.0)
    (type_, data), close = said(session.to_send())
    assert (type_, data["code"], data["segment"]) == ("error", "ih4005", None)
    assert close == ("close", 1008)
    assert state_of(session) is ServerState.CLOSING


@pytest.mark.parametrize(
    ("query", "unavailable"),
    [([("model", "inter-2-audio")], "inter-2-audio"), ([], "inter-2")],
    ids=["asked", "default"],
)
def test_v2_refuses_a_model_that_nothing_can_serve(query: list[tuple[str, str]], unavailable: str) -> None:
    session = connected(V2, query=query, settings=ServerSettings(unavailable_models={unavailable}))
    session.open(0.0)
    (type_, data), close = said(session.to_send())
    assert (type_, data["code"]) == ("error", "ih1003")
    assert close == ("close", 1013)


def test_v2_serves_the_other_model_all_the_same() -> None:
    session = opened(V2, query=[("model", "inter-2-audio")], settings=ServerSettings(unavailable_models={"inter-2"}))
    assert state_of(session) is ServerState.OPEN


def test_v2_takes_a_model_by_config_before_the_first_segment_and_keeps_it() -> None:
    scanner = CountingScanner()
    session = opened(V2, scanner=scanner)
    assert scanner.expected[-1] == ExpectedMedia(("video", "audio"))
    answer = configure(session, model="inter-2-audio", include=[OVERALL], goal_dimensions=["energy"])
    assert answer[1] == {"include": [OVERALL], "goal_dimensions": ["energy"], "model": "inter-2-audio"}
    assert scanner.expected[-1] == ExpectedMedia(("audio",))
    assert configure(session) == ("session.updated", {"include": [], "model": "inter-2-audio"})
    assert session.config.goal_dimensions is None
    assert configure(session, model="inter-2")[1]["model"] == "inter-2"


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("size", [10_000, 0])
def test_v2_fixes_the_model_with_the_first_segment(final: bool, size: int) -> None:
    session = opened(V2)
    session.receive_bytes(bytes(size), 0.0, final=final)
    if not final:
        session.receive_bytes(b"", 0.0)
    session.to_send()
    type_, data = configure(session, model="inter-2-audio")
    assert (type_, data["code"], data["segment"]) == ("error", "ih6001", None)
    assert session.config.model == "inter-2"
    assert configure(session, model="inter-2") == ("session.updated", {"include": [], "model": "inter-2"})


@pytest.mark.parametrize("value", ["inter-3", 2, ["inter-2"], True])
def test_v2_answers_a_model_that_there_is_not_by_ih6001(value: object) -> None:
    session = opened(V2)
    type_, data = configure(session, model=value, include=[OVERALL])
    assert (type_, data["code"]) == ("error", "ih6001")
    assert session.config == SessionConfig(model="inter-2")


def test_v1_answers_any_model_by_ih6001() -> None:
    session = opened(V1)
    assert configure(session, model="inter-2")[1]["code"] == "ih6001"
    assert configure(session, audio_format=PCM)[1]["code"] == "ih6001"
    assert "model" not in configure(session)[1]


@pytest.mark.parametrize("revision", [V1, V2], ids=lambda revision: revision.id)
def test_a_contract_with_a_model_that_nobody_knows_is_refused_at_once(revision: Revision) -> None:
    contract = attrs.evolve(revision.contract, supported_session_config_options=ConfigOptions(model=("inter-3",)))
    with pytest.raises(ValueError, match="inter-3"):
        connected(revision, settings=ServerSettings(contract)).open(0.0)


def test_v2_tells_no_modality() -> None:
    for revision, told in ((V1, True), (V2, False)):
        session = opened(revision, scanner=NominalScanner(8.0))
        session.receive_bytes(b"x", 0.0)
        session.send_analysis(WindowAnalysis(session.outstanding[0], (AGREEMENT,)), 0.0)
        ((_, data),) = said(session.to_send())
        assert ("modality" in data) is told


def test_v2_ends_gracefully() -> None:
    session = opened(V2, scanner=NominalScanner(9.0))
    session.receive_bytes(b"x", 0.0)
    session.send_analysis(WindowAnalysis(session.outstanding[0], (AGREEMENT,)), 0.0)
    session.receive_text('{"type": "session.close"}', 0.0)
    session.drop_window(session.outstanding[0], 0.0)
    types = [type_ for type_, _ in said(session.to_send())]
    wanted = ["signal.detected", "session.closing", "coverage.dropped", "signal.ended", "session.ended", "close"]
    assert types == wanted


# -- CFG-8: raw audio -----------------------------------------------------------------------------------


def test_raw_audio_needs_the_model_that_hears_alone() -> None:
    session = hearing()
    type_, data = configure(session, audio_format=PCM)
    assert (type_, data["code"]) == ("error", "ih6001")
    assert session.config.audio_format is None
    assert configure(session, audio_format=PCM, model="inter-2-audio")[0] == "session.updated"
    assert session.config.audio_format == AudioFormat()
    # It would hear alone no more.
    assert configure(session, model="inter-2")[0] == "error"
    assert configure(session)[1] == {"include": [], "model": "inter-2-audio"}
    assert session.config.audio_format == AudioFormat()


@pytest.mark.parametrize(
    "changes", [{"sample_rate": 44100}, {"channels": 2}, {"encoding": "opus"}, {"sample_rate": "16000"}]
)
def test_an_audio_format_that_there_is_not_is_ih6001(changes: dict[str, object]) -> None:
    session = hearing(query=[("model", "inter-2-audio")])
    assert configure(session, audio_format=PCM | changes)[1]["code"] == "ih6001"
    assert configure(session, audio_format="pcm")[1]["code"] == "ih6001"
    assert session.config.audio_format is None


def test_the_audio_format_is_fixed_by_the_first_segment() -> None:
    session = hearing(query=[("model", "inter-2-audio")])
    assert configure(session, audio_format=PCM)[0] == "session.updated"
    assert configure(session, audio_format=PCM | {"sample_rate": 24000})[0] == "session.updated"
    session.receive_bytes(bytes(48_000), 0.0)
    assert session.media_seconds == 1
    assert configure(session, audio_format=PCM)[1]["code"] == "ih6001"
    assert configure(session, audio_format=PCM | {"sample_rate": 24000})[0] == "session.updated"
    session.receive_bytes(bytes(48_000), 0.0)
    assert session.media_seconds == 2


def test_an_audio_format_after_media_in_a_container_is_ih6001() -> None:
    session = hearing(query=[("model", "inter-2-audio")])
    session.receive_bytes(recorded("mkv", None, "opus"), 0.0)
    session.to_send()
    assert configure(session, audio_format=PCM)[1]["code"] == "ih6001"


@given(
    st.sampled_from([16000, 24000]),
    st.integers(1, 1_000_000),
    st.lists(st.integers(0, 1_000_000), max_size=8),
    st.data(),
)
def test_raw_audio_may_be_cut_at_any_byte(rate: int, size: int, cuts: list[int], data: st.DataObject) -> None:
    session = hearing(query=[("model", "inter-2-audio")])
    configure(session, audio_format=PCM | {"sample_rate": rate})
    places = sorted({0, size, *(place for place in cuts if place < size)})
    for start, end in pairwise(places):
        pieces = sorted({0, end - start, *data.draw(st.lists(st.integers(0, end - start), max_size=2))})
        for left, right in pairwise(pieces):
            session.receive_bytes(bytes(right - left), 0.0, final=right == end - start)
    assert session.to_send() == []
    accepted = [event for event in session.events() if isinstance(event, SegmentAccepted)]
    assert [event.size for event in accepted] == [end - start for start, end in pairwise(places)]
    for event, place in zip(accepted, places[1:], strict=True):
        # Samples that are cut in two are no less long for it.
        assert event.end == pytest.approx(place / (rate * 2))
    seconds = session.media_seconds
    assert seconds == pytest.approx(size / (rate * 2))
    count = max(0, math.floor((seconds - 8) / 3) + 1)
    assert [(window.start, window.end) for window in session.outstanding] == [(3 * n, 3 * n + 8) for n in range(count)]


def test_a_window_of_raw_audio_is_complete_on_time() -> None:
    session = hearing(query=[("model", "inter-2-audio")])
    configure(session, audio_format=PCM)
    for _ in range(80):
        session.receive_bytes(bytes(3_200), 0.0)
    assert session.media_seconds == 8
    assert session.outstanding == (Window(0, 0, 8),)


# -- SEG-7: tracks --------------------------------------------------------------------------------------


@cache
def recorded(container: str, video: str | None, audio: str | None) -> bytes:
    return make(Recipe(container, video, audio))


@pytest.mark.parametrize(
    ("revision", "query", "video", "audio", "code"),
    [
        (V2, [], "vp8", "opus", None),
        (V2, [], "vp8", None, "ih5008"),
        (V2, [], None, "opus", "ih5001"),
        (V2, [("model", "inter-2-audio")], "vp8", "opus", None),
        (V2, [("model", "inter-2-audio")], None, "opus", None),
        (V2, [("model", "inter-2-audio")], "vp8", None, "ih5008"),
        *((revision, [], "vp8", None, None) for revision in (V0_2, V1_WINDOW, V1)),
        *((revision, [], None, "opus", "ih5001") for revision in (V0_2, V1_WINDOW, V1)),
    ],
)
def test_media_has_the_tracks_that_its_model_needs(
    revision: Revision, query: list[tuple[str, str]], video: str | None, audio: str | None, code: str | None
) -> None:
    session = ServerSession(0.0, correlation_id=CORRELATION_ID, started_at=STARTED_AT, revision=revision, query=query)
    session.open(0.0)
    session.receive_bytes(recorded("mkv", video, audio), 0.0)
    event = next(event for event in session.events() if isinstance(event, SegmentAccepted | SegmentRefused))
    if code is None:
        assert isinstance(event, SegmentAccepted)
    else:
        assert isinstance(event, SegmentRefused)
        assert (event.error.code, event.clause_id) == (code, "SEG-7")


# -- in all of them -------------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", REVISIONS.values(), ids=list(REVISIONS))
def test_a_session_over_takes_nothing_and_says_nothing(revision: Revision) -> None:
    session = opened(revision)
    session.receive_bytes(bytes(10_000), 0.0, final=False)
    session.receive_lost("reset")
    assert session.events()[-1] == SessionClosed(1006, "reset")
    session.receive_bytes(bytes(10_000), 0.0)
    session.receive_text("{}", 0.0)
    session.refuse_text(0.0)
    session.handle_timeout(1e9)
    session.receive_close(1000)
    assert session.events() == []
    assert session.to_send() == []
    assert session.outstanding == ()


@every_silent
def test_a_contract_with_timers_is_kept_all_the_same(revision: Revision) -> None:
    contract = attrs.evolve(revision.contract, session_idle_timeout_seconds=10)
    session = opened(revision, settings=ServerSettings(contract))
    assert session.next_timeout() == 10
    session.handle_timeout(10)
    *told, close = said(session.to_send())
    assert close == ("close", 1001)
    assert len(told) == (1 if revision is V1_WINDOW else 0)


@pytest.mark.parametrize(
    ("revision", "clause_id"), [(V0, "STS-1"), (V0_2, "STS-1"), (V1_WINDOW, "ENV-1")], ids=["v0", "v0.2", "v1-window"]
)
def test_what_a_revision_has_no_message_for_cannot_be_said(revision: Revision, clause_id: str) -> None:
    session = opened(revision)
    with pytest.raises(LocalProtocolError, match=f"^{clause_id}: revision {revision.id} has no coverage.degraded"):
        session.send_degraded([MediaRange(0, 8)], 0.0)
    assert session.to_send() == []


@pytest.mark.parametrize("revision", [V1, V2], ids=["v1", "v2"])
def test_media_without_all_of_the_picture_is_told(revision: Revision) -> None:
    session = opened(revision)
    session.send_degraded([MediaRange(0, 8)], 0.0)
    expected = {"ranges": [{"start": 0, "end": 8}], "reason": "video_gap"}
    assert said(session.to_send()) == [("coverage.degraded", expected)]


def test_a_model_in_the_query_is_refused_where_the_contract_offers_none() -> None:
    contract = attrs.evolve(V2.contract, supported_session_config_options=ConfigOptions())
    session = connected(V2, query=[("model", "inter-2")], settings=ServerSettings(contract))
    session.open(0.0)
    (type_, data), close = said(session.to_send())
    assert (type_, data["code"], close) == ("error", "ih4005", ("close", 1008))
