"""What a `SessionMonitor` says of either side, clause by clause, and what it holds against nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import (
    CORRELATION_ID,
    OVERALL,
    TIMELINE,
    closing,
    detected,
    ended,
    envelope,
    error,
    ready,
    ready_with_goals,
    signal_ended,
    updated,
)
from test_media_in_sessions import audio_only

from ihproto import (
    REVISIONS,
    V0,
    V0_2,
    V1,
    V1_WINDOW,
    V2,
    ClientState,
    Envelope,
    MediaScanner,
    Observation,
    Revision,
    SegmentFault,
    SegmentMedia,
    SessionClose,
    SessionConfig,
    SessionMonitor,
    SessionReady,
    Side,
)

CLIENT, SERVER = Side.CLIENT, Side.SERVER
CLOSE = '{"type":"session.close"}'
RECORDINGS = Path(__file__).parent / "recordings"
WEBM = [path.read_bytes() for path in sorted((RECORDINGS / "webm-vp9-opus").glob("*.bin"))]
AUDIO_MODEL = '{"model":"inter-2-audio"}'
RAW_AUDIO = '{"model":"inter-2-audio","audio_format":{"encoding":"pcm_s16le","sample_rate":16000,"channels":1}}'


def config(**members: object) -> str:
    return json.dumps(members)


def ready_with_models(*models: str) -> str:
    return ready(supported_session_config_options={"include": [OVERALL, TIMELINE], "model": list(models)})


def blamed(*seen: Observation) -> list[tuple[str, str]]:
    """Who was blamed for which clauses, in order."""
    return [(found.side.value, found.clause.id) for one in seen for found in one.violations]


class Session:
    """A monitor, and what passes it; `client` and `server` give what was found."""

    def __init__(self, revision: Revision = V1, *, scans: bool = False, first: str | None = "ready") -> None:
        self.monitor = SessionMonitor(revision=revision, scanner=MediaScanner(revision.contract) if scans else None)
        if first is not None and revision.announces:
            says = ready_with_models("inter-2", "inter-2-audio") if revision is V2 else ready()
            assert self.server(says if first == "ready" else first) == []

    def client(self, *texts: str) -> list[tuple[str, str]]:
        return blamed(*[self.monitor.observe_text(CLIENT, text) for text in texts])

    def server(self, *texts: str) -> list[tuple[str, str]]:
        return blamed(*[self.monitor.observe_text(SERVER, text) for text in texts])

    def segment(self, data: bytes = b"x", *, final: bool = True) -> list[tuple[str, str]]:
        return blamed(self.monitor.observe_bytes(CLIENT, data, final=final))

    def sized(self, size: int, *, final: bool = True) -> list[tuple[str, str]]:
        return blamed(self.monitor.observe_size(CLIENT, size, final=final))

    def state(self) -> ClientState:
        return self.monitor.state

    def include(self) -> tuple[str, ...]:
        return self.monitor.config.include

    def unanswered(self) -> tuple[int, ...]:
        return self.monitor.unanswered

    def closes(self, side: Side) -> list[tuple[str, str]]:
        return blamed(self.monitor.observe_close(side))

    def lost(self, side: Side, *, answer_due: bool = False) -> list[tuple[str, str]]:
        return blamed(self.monitor.observe_lost(side, answer_due=answer_due))


LIFECYCLE = [V1, V2]
lifecycle = pytest.mark.parametrize("revision", LIFECYCLE, ids=lambda it: it.id)
every = pytest.mark.parametrize("revision", REVISIONS.values(), ids=lambda it: it.id)


# -- a session without fault ----------------------------------------------------------------------


@lifecycle
def test_it_follows_a_whole_session(revision: Revision) -> None:
    it = Session(revision, first=None)
    monitor = it.monitor
    assert (it.state(), monitor.contract) == (ClientState.AWAITING_READY, None)
    assert it.client(config(include=[OVERALL])) == []
    assert it.server(ready()) == []
    assert isinstance(monitor.contract, SessionReady)
    assert it.include() == ()
    assert it.server(updated([OVERALL])) == []
    assert it.include() == (OVERALL,)
    assert it.segment(b"xx", final=False) == []
    assert it.server(detected()) == []
    assert it.segment(b"x") == []
    assert monitor.segments == 1
    assert it.client(CLOSE) == []
    assert it.state() is ClientState.CLOSE_REQUESTED
    assert it.server(closing(), signal_ended(), ended()) == []
    assert it.state() is ClientState.ENDED
    assert not monitor.has_closed(SERVER)
    assert it.closes(SERVER) + it.closes(CLIENT) + it.lost(SERVER) + it.lost(CLIENT) == []
    assert monitor.has_closed(SERVER)
    assert monitor.has_closed(CLIENT)


def test_it_tells_what_was_said() -> None:
    it = Session(V1)
    heard = it.monitor.observe_text(SERVER, updated()).message
    assert isinstance(heard, Envelope)
    assert heard.type == "session.updated"
    assert it.monitor.observe_text(CLIENT, config(include=[TIMELINE])).message == SessionConfig([TIMELINE])
    assert it.monitor.observe_text(CLIENT, CLOSE).message == SessionClose()
    assert it.monitor.observe_text(CLIENT, "no JSON").message is None
    assert it.monitor.observe_text(SERVER, "no JSON").message is None


def test_a_violation_tells_in_which_state_it_happened() -> None:
    it = Session(V1)
    it.client(CLOSE)
    (found,) = it.monitor.observe_text(SERVER, ended()).violations
    assert (found.state, found.path) == ("CLOSE_REQUESTED", None)
    assert it.state() is ClientState.ENDED


def test_statuses_of_segments_are_followed() -> None:
    it = Session(V0)
    assert it.sized(10_000) == it.sized(10_000) == []
    assert it.unanswered() == (1, 2)
    status = {"status": "processing", "segment": 1, "bytes": 10_000}
    assert it.server(json.dumps(status)) == []
    assert it.server(json.dumps({**status, "segment": 2, "bytes": 9_999})) == [("server", "STS-1")]
    assert it.server('{"status":"error","segment":1,"error":"no"}') == []
    assert it.unanswered() == (2,)


def test_what_the_url_asks_for_is_in_force_from_the_beginning() -> None:
    result = {"status": "result", "segment": 1, "signals": [], "engagement_state": [], "correlation_id": "1"}
    processing = {"status": "processing", "segment": 1, "bytes": 1, "correlation_id": "1"}
    for asked, expected in ((None, []), (SessionConfig([OVERALL]), [("server", "STS-3")])):
        monitor = SessionMonitor(revision=V0_2, asked=asked)
        monitor.observe_size(CLIENT, 1)
        assert blamed(monitor.observe_text(SERVER, json.dumps(processing))) == []
        assert blamed(monitor.observe_text(SERVER, json.dumps(result))) == expected


def test_the_correlation_id_of_the_upgrade_is_compared() -> None:
    assert blamed(SessionMonitor(correlation_id=CORRELATION_ID).observe_text(SERVER, ready())) == []
    assert blamed(SessionMonitor(correlation_id="another").observe_text(SERVER, ready())) == [("server", "HS-9")]


# -- the client's faults --------------------------------------------------------------------------


@lifecycle
def test_media_before_ready(revision: Revision) -> None:
    it = Session(revision, first=None)
    assert it.segment() == [("client", "RDY-4")]
    assert it.segment(b"x", final=False) == [("client", "RDY-4")]
    assert it.segment(b"x") == []
    assert it.server(ready()) == []
    assert it.segment() == []


@lifecycle
def test_media_after_the_session_was_refused_is_media_before_ready(revision: Revision) -> None:
    it = Session(revision, first=None)
    assert it.server(error("ih2003")) == []
    assert it.segment() == [("client", "RDY-4")]
    assert it.client(CLOSE) == [("client", "RDY-4")]


@lifecycle
def test_an_early_session_close_is_a_fault_and_is_answered(revision: Revision) -> None:
    it = Session(revision, first=None)
    assert it.client(CLOSE) == [("client", "RDY-4")]
    assert it.server(ready(), closing(), ended()) == []
    assert it.closes(SERVER) == []


@lifecycle
def test_media_after_session_close(revision: Revision) -> None:
    it = Session(revision)
    it.client(CLOSE)
    assert it.segment() == [("client", "CLS-2")]
    assert it.server(error("ih6001", 1)) == []
    assert it.server(closing()) == []
    assert it.segment() == [("client", "CLS-2")]
    assert it.server(ended()) == []
    assert it.segment() == [("client", "CLS-2")]


@lifecycle
def test_session_close_twice(revision: Revision) -> None:
    it = Session(revision)
    it.client(CLOSE)
    assert it.client(CLOSE) == [("client", "CLS-1")]
    assert it.server(closing(), error("ih6001")) == []
    assert it.server(ended()) == []
    assert it.client(CLOSE) == [("client", "CLS-1")]


@lifecycle
def test_the_second_session_close_may_be_the_one_that_counts(revision: Revision) -> None:
    """A server may refuse a text unread, for its length, and then take the same request in fewer words."""
    it = Session(revision)
    assert it.client(config(type="session.close", x="x" * 1000)) == []
    assert it.client(CLOSE) == [("client", "CLS-1")]
    assert it.server(error("ih6001")) == []
    assert it.state() is ClientState.CLOSE_REQUESTED
    assert it.segment() == [("client", "CLS-2")]
    assert it.server(closing(), ended()) == it.closes(SERVER) == []


@lifecycle
def test_a_refused_session_close_allows_everything_again(revision: Revision) -> None:
    it = Session(revision)
    it.client(CLOSE)
    assert it.server(error("ih6001")) == []
    assert it.state() is ClientState.OPEN
    assert it.segment() == it.client(CLOSE) == []
    assert it.server(closing()) == []


@every
def test_nothing_follows_the_close_frame_of_a_side(revision: Revision) -> None:
    it = Session(revision)
    assert it.closes(CLIENT) == []
    assert it.client("{}") == it.segment(b"x") == it.closes(CLIENT) == [("client", "CLS-3")]
    assert it.segment(b"x", final=False) == []
    assert blamed(it.monitor.observe_surplus(CLIENT)) == [("client", "CLS-3")]
    assert it.closes(SERVER) == []
    assert it.server("{}") == it.closes(SERVER) == [("server", "CLS-3")]
    assert blamed(it.monitor.observe_bytes(SERVER, b"x")) == [("server", "CLS-3")]
    assert blamed(it.monitor.observe_bytes(SERVER, b"x", final=False)) == []
    assert blamed(it.monitor.observe_surplus(SERVER)) == [("server", "CLS-3")]


@pytest.mark.parametrize("text", ["no JSON", "[]", "null", "", "\ud800"])
@pytest.mark.parametrize("revision", [V1_WINDOW, V1, V2], ids=lambda it: it.id)
def test_texts_that_are_no_object(revision: Revision, text: str) -> None:
    it = Session(revision)
    assert it.client(text) == [("client", "CFG-1")]
    assert it.server(error("ih6001")) == []


@pytest.mark.parametrize(
    ("revision", "text"),
    [
        (V1, '{"include":1}'),
        (V1, '{"x":1}'),
        (V1, '{"model":"inter-2"}'),
        (V1_WINDOW, '{"goal_dimensions":[]}'),
        (V1_WINDOW, CLOSE),
        (V2, '{"model":1}'),
        (V2, '{"audio_format":{"encoding":"mp3","sample_rate":16000,"channels":1}}'),
    ],
    ids=lambda it: it.id if isinstance(it, Revision) else it,
)
def test_members_that_are_unknown_or_of_another_type(revision: Revision, text: str) -> None:
    it = Session(revision)
    assert it.client(text) == [("client", "CFG-5")]
    assert it.server(error("ih6001")) == []


@pytest.mark.parametrize("text", ['{"goal_dimensions":["clarity"]}', '{"goal_dimensions":[]}'])
def test_goals_that_are_not_offered(text: str) -> None:
    assert Session(V1).client(text) == [("client", "CFG-6")]
    assert Session(V1, first=ready_with_goals("energy")).client('{"goal_dimensions":["clarity"]}') == [
        ("client", "CFG-6")
    ]
    assert Session(V1, first=ready_with_goals("clarity")).client('{"goal_dimensions":["clarity"]}') == []


def test_models_that_are_not_offered_or_come_late() -> None:
    it = Session(V2)
    assert it.client(config(model="inter-9")) == [("client", "CFG-7")]
    assert it.server(error("ih6001")) == []
    assert it.client(config(model="inter-2-audio")) == []
    assert it.segment() == []
    assert it.client(config(model="inter-2-audio")) == []
    assert it.client(config(model="inter-2")) == [("client", "CFG-7")]
    assert it.server(updated(model="inter-2-audio"), updated(model="inter-2-audio"), error("ih6001")) == []


def test_the_model_that_counts_by_itself_may_be_named_late() -> None:
    it = Session(V2)
    assert it.segment() == []
    assert it.client(config(model="inter-2")) == []
    assert it.server(updated(model="inter-2")) == []
    assert it.client(config(model="inter-2-audio")) == [("client", "CFG-7")]


def test_raw_audio_wants_its_model_and_comes_before_the_first_segment() -> None:
    audio = json.loads(RAW_AUDIO)["audio_format"]
    assert Session(V2).client(config(audio_format=audio)) == [("client", "CFG-8")]
    it = Session(V2)
    assert it.client(AUDIO_MODEL) == it.segment() == []
    assert it.client(RAW_AUDIO) == [("client", "CFG-8")]
    only = Session(V2, first=ready_with_models("inter-2-audio"))
    assert only.client(config(audio_format=audio)) == []
    assert only.server(updated(model="inter-2-audio")) == []


@pytest.mark.parametrize("revision", [V0, V0_2], ids=lambda it: it.id)
@pytest.mark.parametrize("text", ["{}", CLOSE, "no JSON"])
def test_texts_where_clients_send_segments_only(revision: Revision, text: str) -> None:
    assert Session(revision).client(text) == [("client", "SEG-1")]


@pytest.mark.parametrize(
    ("revision", "size", "clause_id"),
    [
        (V0, 9_999, "SEG-3"),
        (V0, 0, "SEG-10"),
        (V0, 20_971_521, "SEG-3"),
        (V0_2, 0, "SEG-10"),
        (V0_2, 33_554_433, "SEG-2"),
        (V1_WINDOW, 0, "SEG-10"),
        (V1_WINDOW, 33_554_433, "SEG-2"),
        (V1, 0, "SEG-10"),
        (V1, 33_554_433, "SEG-2"),
        (V2, 0, "SEG-10"),
        (V2, 33_554_433, "SEG-2"),
    ],
    ids=lambda it: it.id if isinstance(it, Revision) else str(it),
)
def test_sizes(revision: Revision, size: int, clause_id: str) -> None:
    expected = [("client", clause_id)]
    assert Session(revision).sized(size) == expected
    it = Session(revision)
    found = it.sized(size // 2, final=False) + it.sized(size - size // 2, final=False) + it.sized(0)
    assert found == expected, "a segment is judged once, however it comes"
    assert it.sized(revision.contract.max_segment_size_bytes) == []
    assert it.sized(max(1, revision.contract.min_segment_size_bytes)) == []


def test_a_contract_without_room_holds_nobody() -> None:
    it = Session(V1, first=None)
    assert it.server(ready(min_segment_size_bytes=10, max_segment_size_bytes=9)) == [("server", "RDY-2")]
    assert it.sized(9) == it.sized(10) == []
    small = Session(V1, first=ready(max_segment_size_bytes=9))
    assert small.sized(9) == []
    assert small.sized(10) == [("client", "SEG-2")]


# -- the media of segments ------------------------------------------------------------------------


def test_media_are_scanned_piece_by_piece() -> None:
    it = Session(V1, scans=True)
    seconds = 0.0
    for number, data in enumerate(WEBM, 1):
        first = it.monitor.observe_bytes(CLIENT, data[:1000], final=False)
        assert it.monitor.observe_bytes(CLIENT, b"", final=False).media is None
        last = it.monitor.observe_bytes(CLIENT, data[1000:])
        assert blamed(first, last) == []
        assert first.media is None
        assert isinstance(last.media, SegmentMedia)
        seconds += last.media.seconds
        assert it.monitor.segments == number
    assert it.monitor.media_seconds == pytest.approx(seconds)
    assert seconds > 3


@pytest.mark.parametrize(
    ("revision", "segments", "clause_id"),
    [
        (V1, [b"GIF89a" + bytes(2000)], "SEG-5"),
        (V0, [bytes(20_000)], "SEG-6"),
        (V1, [WEBM[1]], "SEG-6"),
        (V2, [AUDIO_MODEL, b"GIF89a" + bytes(2000)], "SEG-5"),
    ],
)
def test_media_that_cannot_be_decoded(revision: Revision, segments: list[bytes | str], clause_id: str) -> None:
    it = Session(revision, scans=True)
    for item in segments[:-1]:
        assert isinstance(item, str)
        assert it.client(item) == []
    data = segments[-1]
    assert isinstance(data, bytes)
    seen = it.monitor.observe_bytes(CLIENT, data)
    assert blamed(seen) == [("client", clause_id)]
    assert isinstance(seen.media, SegmentFault)
    assert seen.violations[0].what.startswith("segment 1 ")


def test_media_found_faulty_half_way_are_judged_once() -> None:
    it = Session(V1, scans=True)
    found = it.segment(b"GIF89a" + bytes(2000), final=False) + it.segment(bytes(2000), final=False) + it.segment(b"")
    assert found == [("client", "SEG-5")]


def test_the_model_says_which_tracks_there_must_be() -> None:
    sound = audio_only()
    assert Session(V1, scans=True).segment(sound) == [("client", "SEG-7")]
    assert Session(V2, scans=True).segment(sound) == [("client", "SEG-7")]
    it = Session(V2, scans=True)
    assert it.client(AUDIO_MODEL) == it.segment(sound) == []
    assert it.server(updated(model="inter-2-audio")) == []
    only = Session(V2, scans=True, first=ready_with_models("inter-2-audio"))
    assert only.segment(sound) == []


def test_raw_audio_is_any_bytes() -> None:
    samples = bytes(range(250)) * 40
    assert Session(V2, scans=True).segment(samples) == [("client", "SEG-6")]
    it = Session(V2, scans=True)
    assert it.client(RAW_AUDIO) == it.segment(samples) == []
    assert it.monitor.media_seconds == len(samples) / 2 / 16000


def test_media_are_not_judged_when_the_server_took_back_what_they_should_be() -> None:
    it = Session(V2, scans=True)
    assert it.client(AUDIO_MODEL) == []
    assert it.server(error("ih6001")) == []
    assert it.segment(audio_only()) == [], "it may have been sent before the refusal came"
    other = Session(V2, scans=True)
    assert other.client(config(include=[OVERALL])) == []
    assert other.server(error("ih6001")) == []
    assert other.segment(audio_only()) == [("client", "SEG-7")]


def test_a_segment_of_which_only_the_size_is_known_is_not_judged_nor_what_follows_it() -> None:
    it = Session(V1, scans=True)
    assert it.segment(WEBM[0][:500], final=False) == it.sized(len(WEBM[0]) - 500) == []
    assert it.segment(WEBM[1]) == []
    assert it.monitor.media_seconds == 0


def test_too_large_a_segment_is_not_scanned_to_its_end() -> None:
    it = Session(V1, scans=True, first=ready(max_segment_size_bytes=1000))
    assert it.segment(WEBM[0][:1001], final=False) == [("client", "SEG-2")]
    assert it.segment(WEBM[0][1001:]) == []


# -- the server's faults --------------------------------------------------------------------------


@lifecycle
def test_reports_before_ready_and_ready_twice(revision: Revision) -> None:
    it = Session(revision, first=None)
    assert it.server(updated()) == [("server", "RDY-1"), ("server", "CFG-2")]
    assert it.server(ready()) == []
    assert it.server(ready()) == [("server", "RDY-1")]


@lifecycle
def test_ready_after_a_refusal(revision: Revision) -> None:
    it = Session(revision, first=None)
    assert it.server(error("ih2003")) == []
    assert it.server(ready()) == [("server", "RDY-3")]
    assert it.segment() == []


@lifecycle
def test_a_broken_text_that_is_confirmed(revision: Revision) -> None:
    it = Session(revision)
    assert it.client("no JSON", config(include=[TIMELINE])) == [("client", "CFG-1")]
    assert it.server(updated([OVERALL])) == [("server", "CFG-5")]
    assert it.include() == (OVERALL,), "what the server says is in force"
    assert it.server(updated([TIMELINE])) == []


@lifecycle
def test_an_answer_that_cannot_be_read_answers_all_the_same(revision: Revision) -> None:
    it = Session(revision)
    it.client(config(include=[OVERALL]), config())
    assert it.server(envelope("session.updated", {"include": 1})) == [("server", "CFG-2")]
    assert it.server(updated()) == []


@pytest.mark.parametrize(
    ("revision", "clause_id"),
    [(V0, "STS-1"), (V0_2, "STS-1"), (V1_WINDOW, "ENV-5"), (V1, "ENV-5"), (V2, "ENV-5")],
    ids=lambda it: it.id if isinstance(it, Revision) else it,
)
def test_a_binary_message(revision: Revision, clause_id: str) -> None:
    it = Session(revision)
    assert blamed(it.monitor.observe_bytes(SERVER, b"x", final=False)) == []
    assert blamed(it.monitor.observe_bytes(SERVER, b"x")) == [("server", clause_id)]
    assert blamed(it.monitor.observe_size(SERVER, 1)) == [("server", clause_id)]


def test_a_close_in_the_middle_of_a_drain() -> None:
    it = Session(V1)
    it.client(CLOSE)
    it.server(closing())
    assert it.closes(SERVER) == [("server", "CLS-1")]


def test_a_close_that_is_not_answered_when_the_answer_is_due() -> None:
    for first, second in ((CLIENT, SERVER), (SERVER, CLIENT)):
        it = Session(V1)
        it.closes(first)
        assert it.lost(second, answer_due=True) == [(second.value, "CLS-3")]
        assert it.lost(second, answer_due=True) == [], "it is gone once"
        answered = Session(V1)
        assert answered.closes(first) + answered.closes(second) + answered.lost(second, answer_due=True) == []


def test_a_lost_connection_is_judged_in_the_state_before_it() -> None:
    monitor = Session(V1).monitor
    monitor.observe_close(CLIENT)
    (violation,) = monitor.observe_lost(SERVER, answer_due=True).violations
    assert violation.state == ClientState.CLOSING.value


# -- what may have crossed on the way -------------------------------------------------------------


def test_a_plain_close_may_cross_session_close() -> None:
    it = Session(V1)
    it.client(CLOSE)
    assert it.server(detected()) == []
    assert it.closes(SERVER) == []


def test_a_close_crosses_nothing_when_its_server_has_answered_something_later() -> None:
    config_behind = Session(V1)
    config_behind.client(CLOSE, config())
    assert config_behind.server(updated()) == []
    assert config_behind.closes(SERVER) == [("server", "CLS-1")]
    segment_behind = Session(V1)
    segment_behind.segment()
    segment_behind.client(CLOSE)
    segment_behind.segment()
    assert segment_behind.server(error("ih6001", 2)) == []
    assert segment_behind.closes(SERVER) == [("server", "CLS-1")]


@pytest.mark.parametrize("text", [error("ih5004", 1), error("ih3001"), updated()])
def test_what_was_sent_before_session_close_proves_nothing(text: str) -> None:
    it = Session(V1)
    it.segment()
    it.client(config(), CLOSE, config())
    it.segment()
    assert it.server(text) == []
    assert it.closes(SERVER) == []


def test_a_number_of_no_segment_proves_nothing() -> None:
    it = Session(V1)
    it.client(CLOSE)
    assert it.server(error("ih3003", 7)) == [("server", "SEG-1")]
    assert it.closes(SERVER) == []


def test_a_second_session_close_is_unanswered_again() -> None:
    it = Session(V1)
    it.client(CLOSE, config())
    it.server(updated(), error("ih6001"))
    it.client(CLOSE)
    assert it.closes(SERVER) == []


def test_an_early_config_may_cross_the_refusal_of_the_session() -> None:
    it = Session(V1, first=None)
    assert it.server(error("ih2003")) == []
    assert it.client(config(include=[OVERALL])) == []
    assert it.closes(SERVER) == it.client(config()) == it.closes(CLIENT) == []


def test_a_config_may_cross_the_end() -> None:
    it = Session(V1)
    it.client(CLOSE)
    it.server(closing(), ended())
    assert it.client(config()) == []


def test_an_end_that_nobody_asked_for_is_not_known_to_the_client() -> None:
    it = Session(V1)
    assert it.server(closing()) == [("server", "CLS-1")]
    assert it.segment() == []
    assert it.server(ended()) == []
    assert it.segment() == it.client(config()) == it.client(CLOSE) == []


@every
def test_what_a_client_says_until_it_has_seen_the_close(revision: Revision) -> None:
    it = Session(revision)
    assert it.segment(bytes(10_000), final=False) == []
    assert it.closes(SERVER) == []
    assert it.segment(bytes(10_000)) == it.segment(b"") == it.client("no JSON") == it.client(CLOSE) == []
    assert it.closes(CLIENT) == []


@lifecycle
def test_reports_after_the_close_of_the_client(revision: Revision) -> None:
    it = Session(revision)
    it.client(config(), CLOSE)
    assert it.closes(CLIENT) == []
    assert it.server(updated(), detected(), closing(), signal_ended(), ended()) == it.closes(SERVER) == []


@lifecycle
@pytest.mark.parametrize("answer_due", [False, True])
def test_what_is_on_its_way_when_the_other_side_is_lost(revision: Revision, answer_due: bool) -> None:
    it = Session(revision)
    assert it.lost(CLIENT, answer_due=answer_due) == []
    assert it.server(detected(), error("ih6003")) == it.closes(SERVER) == []
    other = Session(revision)
    assert other.lost(SERVER, answer_due=answer_due) == []
    assert other.client("no JSON") == other.segment(b"") == other.closes(CLIENT) == []


def test_an_end_of_the_connection_may_cross_a_close() -> None:
    for first, second in ((CLIENT, SERVER), (SERVER, CLIENT)):
        it = Session(V1)
        assert it.closes(first) + it.lost(second) + it.lost(first) == []


def test_nothing_is_made_of_what_a_lost_side_says() -> None:
    it = Session(V1)
    it.lost(CLIENT)
    it.lost(SERVER)
    seen = [
        it.monitor.observe_text(CLIENT, "no JSON"),
        it.monitor.observe_text(SERVER, "no JSON"),
        it.monitor.observe_bytes(CLIENT, b""),
        it.monitor.observe_bytes(SERVER, b""),
        it.monitor.observe_close(CLIENT),
        it.monitor.observe_close(SERVER),
    ]
    assert seen == [Observation()] * 6


def test_an_announced_close_may_come_whatever_the_client_says_meanwhile() -> None:
    it = Session(V1)
    assert it.server(error("ih6003")) == []
    assert it.segment() == it.client(CLOSE) == []
    assert it.closes(SERVER) == []
    drained = Session(V1)
    drained.client(CLOSE)
    assert drained.server(closing(), error("ih6004")) == drained.closes(SERVER) == []


def test_a_config_before_ready_is_judged_by_the_contract_to_come() -> None:
    goals = '{"goal_dimensions":["clarity"]}'
    it = Session(V1, first=None)
    assert it.client(goals, config(include=[OVERALL])) == []
    assert it.server(ready_with_goals("clarity")) == []
    assert it.server(updated(goal_dimensions=["clarity"]), updated([OVERALL])) == []
    refused = Session(V1, first=None)
    assert refused.client(config(), goals, config(include=[OVERALL])) == []
    assert refused.server(ready()) == [("client", "CFG-6")]
    assert refused.server(updated(), error("ih6001"), updated([OVERALL])) == []


def test_an_early_session_close_between_configs_is_not_taken_for_one() -> None:
    it = Session(V1, first=None)
    it.client(config(), CLOSE, config())
    assert it.server(ready(), updated(), closing(), updated(), ended()) == []


def test_an_early_session_close_may_be_refused_with_the_session() -> None:
    it = Session(V1, first=None)
    it.client(CLOSE)
    assert it.server(error("ih6001")) == []
    assert it.closes(SERVER) == []


def test_a_client_that_closed_or_is_gone_leaves_the_session_closing() -> None:
    closed, gone = Session(), Session()
    closed.monitor.observe_close(CLIENT)
    gone.monitor.observe_lost(CLIENT)
    assert (closed.monitor.state, gone.monitor.state) == (ClientState.CLOSING, ClientState.CLOSING)


def test_the_end_of_a_segment_of_a_client_that_is_gone_is_nothing() -> None:
    session = Session()
    session.monitor.observe_lost(CLIENT)
    assert session.monitor.observe_bytes(CLIENT, b"video") == Observation()


def test_a_session_without_session_ready_is_open_from_the_start() -> None:
    assert SessionMonitor(revision=V0).state is ClientState.OPEN


def test_a_close_is_judged_in_the_state_before_it() -> None:
    session = Session()
    session.client(CLOSE)
    session.server(closing())
    (violation,) = session.monitor.observe_close(SERVER).violations
    assert violation.state == ClientState.DRAINING.value


def test_a_contract_for_segments_of_one_size_holds() -> None:
    session = Session(first=ready(min_segment_size_bytes=5, max_segment_size_bytes=5))
    assert blamed(session.monitor.observe_bytes(CLIENT, b"12345")) == []
    assert blamed(session.monitor.observe_bytes(CLIENT, b"123456")) == [("client", "SEG-2")]


def test_a_contract_for_segments_of_one_byte_holds() -> None:
    session = Session(first=ready(min_segment_size_bytes=0, max_segment_size_bytes=1))
    assert blamed(session.monitor.observe_bytes(CLIENT, b"12")) == [("client", "SEG-2")]


def test_a_piece_of_a_client_that_has_closed_is_seen_all_the_same() -> None:
    session = Session()
    session.monitor.observe_close(CLIENT)
    session.monitor.observe_close(SERVER)
    seen = [session.monitor.observe_bytes(CLIENT, b"1", final=final) for final in (False, True)]
    assert [(each.message, each.media) for each in seen] == [(None, None)] * 2


def test_a_session_close_may_be_refused_behind_an_error_that_ends_the_session() -> None:
    it = Session()
    assert it.client(CLOSE) == []
    assert it.server(error("ih6004"), error("ih6001")) == []
    assert it.state() is ClientState.FAILED
    # The session ends, but until it does the client may do what it might before.
    assert it.segment() == it.client(CLOSE) == []
    assert it.segment() == [("client", "CLS-2")]


def test_a_refused_session_close_is_judged_in_the_state_before_it() -> None:
    monitor = SessionMonitor()
    (violation,) = monitor.observe_text(CLIENT, CLOSE).violations
    assert (violation.clause.id, violation.state) == ("RDY-4", ClientState.AWAITING_READY.value)


def test_what_is_not_said_of_something_is_none() -> None:
    assert (Observation().message, Observation().media) == (None, None)


def test_raw_audio_that_was_asked_for_too_early_is_judged_by_the_models_of_the_revision() -> None:
    session = Session(V2, first=None)
    session.client(RAW_AUDIO)
    assert session.server(ready_with_models("inter-2", "inter-2-audio")) == []


def test_a_model_that_was_chosen_too_early_and_behind_a_segment_is_to_be_refused() -> None:
    session = Session(V2, first=None)
    assert session.segment() == [("client", "RDY-4")]
    assert session.client(config(model="inter-2-audio")) == []
    assert session.server(ready_with_models("inter-2", "inter-2-audio")) == [("client", "CFG-7")]
    assert session.server(updated(model="inter-2-audio")) == [("server", "CFG-7")]


def test_a_server_that_refuses_a_config_for_reasons_of_its_own_is_not_blamed_for_accepting_the_next() -> None:
    """As one that is longer than the texts that it reads."""
    session = Session(V2, first=None)
    audio = config(audio_format=json.loads(RAW_AUDIO)["audio_format"])
    assert session.client(config(model="inter-2-audio"), config(model="inter-2"), audio) == []
    # Behind the second config, the third would be wrong.
    assert session.server(ready_with_models("inter-2", "inter-2-audio")) == [("client", "CFG-8")]
    assert session.server(updated(model="inter-2-audio"), error("ih6001"), updated(model="inter-2-audio")) == []


def test_the_same_goes_for_configs_behind_session_ready() -> None:
    session = Session(V2)
    assert session.client(config(model="inter-2-audio")) == session.server(updated(model="inter-2-audio")) == []
    audio = config(audio_format=json.loads(RAW_AUDIO)["audio_format"])
    assert session.client(config(model="inter-2"), audio) == [("client", "CFG-8")]
    assert session.server(error("ih6001"), updated(model="inter-2-audio")) == []


def test_the_media_of_an_empty_segment_is_not_judged() -> None:
    session = Session(scans=True)
    seen = session.monitor.observe_bytes(CLIENT, b"")
    assert seen.media is None
    assert blamed(seen) == [("client", "SEG-10")]


def test_a_violation_of_an_early_config_tells_the_state_in_which_it_was_sent() -> None:
    monitor = SessionMonitor()
    monitor.observe_text(CLIENT, config(goal_dimensions=["clarity"]))
    (violation,) = monitor.observe_text(SERVER, ready()).violations
    assert (violation.clause.id, violation.path) == ("CFG-6", "$.goal_dimensions")
    assert violation.state == ClientState.AWAITING_READY.value


def test_a_config_that_is_to_be_refused_must_not_be_confirmed() -> None:
    session = Session()
    assert session.client(config(goal_dimensions=["clarity"])) == [("client", "CFG-6")]
    assert session.server(updated()) == [("server", "CFG-6")]


def test_a_close_that_was_not_answered_is_nobodys_fault_unless_an_answer_was_due() -> None:
    it = Session()
    assert it.closes(CLIENT) == []
    assert blamed(it.monitor.observe_lost(SERVER)) == []
