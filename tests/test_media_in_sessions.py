"""Sessions of both sides with the scanner that they have when nobody gives them another one."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
from builders import CORRELATION_ID, ready, said

from ihproto import (
    ERROR_CODES,
    V1,
    ClientSession,
    SegmentAccepted,
    SegmentRefused,
    SegmentStarted,
    ServerSession,
    ServerSettings,
    ServerState,
    WindowReady,
)

REPOSITORY = Path(__file__).parents[1]
STARTED_AT = datetime(2025, 1, 1, tzinfo=UTC)
RECORDING = [path.read_bytes() for path in sorted((REPOSITORY / "examples/recording").glob("*.bin"))]
MP4 = [path.read_bytes() for path in sorted((REPOSITORY / "tests/recordings/mp4-vp9-opus").glob("*.bin"))]
HEADER = RECORDING[0][: RECORDING[0].index(b"\x1f\x43\xb6\x75")]


def opened(**changes: Any) -> ServerSession:
    """A server session that has said `session.ready`."""
    settings = ServerSettings(attrs.evolve(V1.contract, **changes)) if changes else None
    session = ServerSession(0.0, correlation_id=CORRELATION_ID, started_at=STARTED_AT, settings=settings)
    session.open(0.0)
    session.to_send()
    return session


def seconds_of(*pieces: bytes) -> float:
    """How long a recording is, by ffmpeg's packets."""
    with av.open(BytesIO(b"".join(pieces)), "r") as source:
        times = [
            (packet.pts * packet.time_base, (packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in source.demux()
            if packet.pts is not None and packet.time_base is not None
        ]
    return float(max(end for _, end in times) - min(start for start, _ in times))


def outcome(session: ServerSession, data: bytes) -> SegmentAccepted | SegmentRefused:
    """What becomes of a segment."""
    session.receive_bytes(data, 1.0)
    (event,) = (event for event in session.events() if isinstance(event, SegmentAccepted | SegmentRefused))
    return event


def refusal(session: ServerSession, data: bytes) -> dict[str, Any]:
    """What a client is told of a segment that is refused: the data of the one envelope that is sent."""
    event = outcome(session, data)
    assert isinstance(event, SegmentRefused)
    ((kind, told),) = said(session.to_send())
    assert kind == "error"
    assert isinstance(told, dict)
    assert told["segment"] == event.number
    assert (told["code"], told["message"], told["link"]) == (event.error.code, event.error.message, event.error.link)
    assert told["link"] == ERROR_CODES[told["code"]].link
    assert told["message"].startswith(f"segment {event.number} ")
    assert told["message"].endswith(f" ({event.clause_id})")
    assert session.state is ServerState.OPEN
    return told


def audio_only() -> bytes:
    """Four seconds of silence in Matroska, as ffmpeg writes them."""
    file = BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("libopus", rate=48000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "stereo"
        for number in range(200):
            frame = av.AudioFrame(stream.format.name, "stereo", 960)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts = 48000, number * 960
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


# --- the server -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_recording_is_accepted_however_its_segments_arrive(seed: int) -> None:
    cuts = random.Random(seed)
    session = opened()
    for segment in RECORDING:
        places = sorted({0, len(segment), *(cuts.randrange(len(segment)) for _ in range(6))})
        for start, end in pairwise(places):
            session.receive_bytes(segment[start:end], 1.0, final=end == len(segment))
    events = session.events()
    assert session.to_send() == []
    taken = [event for event in events if isinstance(event, SegmentAccepted)]
    assert [(event.number, event.size) for event in taken] == list(enumerate(map(len, RECORDING), 1))
    assert taken[-1].end == pytest.approx(seconds_of(*RECORDING), abs=0.05)


def test_media_time_is_cumulative_without_gaps() -> None:
    session = opened()
    events = [outcome(session, segment) for segment in RECORDING]
    end = 0.0
    for event in events:
        assert isinstance(event, SegmentAccepted)
        assert event.start == end
        assert event.end >= event.start
        end = event.end
    assert session.media_seconds == end == pytest.approx(33.4, abs=0.1)
    # The first piece holds 2.948 s of packets, not 3 (REC).
    assert isinstance(events[0], SegmentAccepted)
    assert events[0].end == pytest.approx(seconds_of(RECORDING[0]), abs=0.05)


def test_windows_become_ready_by_the_media_that_was_seen() -> None:
    session = opened()
    for segment in RECORDING[:3]:
        session.receive_bytes(segment, 1.0)
    # 9.008 s of media: the window from 0 to 8 s is whole, the one from 3 to 11 s is not.
    windows = [event.window for event in session.events() if isinstance(event, WindowReady)]
    assert [(window.start, window.end) for window in windows] == [(0, 8)]


def test_a_header_without_media_is_an_accepted_segment_of_0_seconds() -> None:
    session = opened()
    assert outcome(session, MP4[0]) == SegmentAccepted(1, 1200, 0.0, 0.0)
    event = outcome(session, MP4[1])
    assert isinstance(event, SegmentAccepted)
    assert event.start == 0.0
    assert event.end == pytest.approx(seconds_of(*MP4), abs=0.05)


def test_a_session_that_starts_in_the_middle_of_a_recording_is_told_to_send_the_first_chunk_first() -> None:
    session = opened()
    told = refusal(session, RECORDING[3])
    assert (told["code"], told["segment"]) == ("ih5004", 1)
    assert "begins inside a Matroska Cluster and this session has seen no header" in told["message"]
    assert "send the recorder's first chunk first" in told["message"]
    assert told["link"].endswith("#ih5004-malformed-segment")
    # It goes on: the numbers count the refused segment, the media does not (SEG-1, SEG-9).
    event = outcome(session, RECORDING[0])
    assert isinstance(event, SegmentAccepted)
    assert (event.number, event.start) == (2, 0.0)


def test_a_missing_piece_is_told_and_can_be_sent_after_all() -> None:
    session = opened()
    outcome(session, RECORDING[0])
    before = session.media_seconds
    told = refusal(session, RECORDING[2])
    assert (told["code"], told["segment"]) == ("ih5004", 2)
    assert "does not continue segment 1" in told["message"]
    assert session.media_seconds == before
    for number, piece in ((3, RECORDING[1]), (4, RECORDING[2])):
        event = outcome(session, piece)
        assert isinstance(event, SegmentAccepted)
        assert event.number == number
    assert session.media_seconds == pytest.approx(seconds_of(*RECORDING[:3]), abs=0.05)


def test_a_later_piece_names_the_last_segment_that_was_accepted() -> None:
    session = opened()
    outcome(session, RECORDING[0])
    refusal(session, RECORDING[2])
    told = refusal(session, RECORDING[4])
    assert told["segment"] == 3
    assert "does not continue segment 1" in told["message"]


def test_a_file_that_is_no_container_is_named() -> None:
    session = opened()
    told = refusal(session, b"OggS" + bytes(2000))
    assert (told["code"], told["segment"]) == ("ih4002", 1)
    assert told["message"].startswith(
        "segment 1 is an Ogg file; send one of mp4, avi, mov, mkv, mpeg-ts, mpeg-2-ts, webm"
    )
    assert told["message"].endswith("(SEG-5)")


def test_media_without_video_is_refused() -> None:
    session = opened()
    told = refusal(session, audio_only())
    assert (told["code"], told["segment"]) == ("ih5001", 1)
    assert "has no video track, only audio (opus)" in told["message"]
    assert told["message"].endswith("(SEG-7)")


def test_a_file_that_is_too_short_is_told_by_how_much() -> None:
    session = opened(min_segment_duration_seconds=5)
    told = refusal(session, RECORDING[0])
    assert (told["code"], told["segment"]) == ("ih4007", 1)
    assert told["message"] == "segment 1 is 2.95 s long; the session's minimum is 5 s (SEG-4)"


def test_what_a_header_in_the_wrong_place_cost_is_told() -> None:
    session = opened()
    told = refusal(session, HEADER + RECORDING[5])
    assert told["code"] == "ih4007"
    mark = len(HEADER) + RECORDING[5].index(b"\x1f\x43\xb6\x75")
    assert f"bytes {len(HEADER)} to {mark} cannot be decoded" in told["message"]
    assert "without adding a header" in told["message"]


def test_an_empty_segment_is_refused_before_anything_looks_at_it() -> None:
    session = opened()
    outcome(session, RECORDING[0])
    told = refusal(session, b"")
    assert (told["code"], told["segment"]) == ("ih5004", 2)
    assert told["message"].endswith("(SEG-10)")
    assert isinstance(outcome(session, RECORDING[1]), SegmentAccepted)


def test_a_segment_over_the_size_limit_leaves_no_trace() -> None:
    session = opened(max_segment_size_bytes=60_000)
    outcome(session, RECORDING[0])
    told = refusal(session, RECORDING[1] + RECORDING[2])
    assert (told["code"], told["segment"]) == ("ih6002", 2)
    assert isinstance(outcome(session, RECORDING[1]), SegmentAccepted)
    assert isinstance(outcome(session, RECORDING[2]), SegmentAccepted)


def test_a_segment_is_refused_once_and_as_soon_as_it_is_known_to_be_wrong() -> None:
    session = opened()
    session.receive_bytes(b"OggS" + bytes(2000), 1.0, final=False)
    assert [kind for kind, _ in said(session.to_send())] == ["error"]
    assert [type(event) for event in session.events()] == [SegmentStarted, SegmentRefused]
    for _ in range(20):
        session.receive_bytes(bytes(5000), 1.0, final=False)
    session.receive_bytes(b"", 1.0)
    assert session.to_send() == []
    assert session.events() == []
    assert isinstance(outcome(session, RECORDING[0]), SegmentAccepted)


def test_a_second_recording_goes_on_where_the_first_one_ended() -> None:
    session = opened()
    for segment in (*RECORDING, *MP4[:2]):
        assert isinstance(outcome(session, segment), SegmentAccepted)
    assert session.media_seconds == pytest.approx(seconds_of(*RECORDING) + seconds_of(*MP4), abs=0.05)


# --- the client -------------------------------------------------------------------------------------------------------


def client() -> ClientSession:
    session = ClientSession(0.0)
    session.receive_text(ready(), 0.0)
    return session


def test_a_client_knows_how_much_media_it_has_sent() -> None:
    session = client()
    for number, segment in enumerate(RECORDING, 1):
        session.send_segment(segment)
        assert session.media_seconds_sent == pytest.approx(seconds_of(*RECORDING[:number]), abs=0.05)
    assert session.media_seconds_sent == pytest.approx(33.4, abs=0.1)


def test_a_client_knows_it_for_segments_in_pieces_too() -> None:
    session = client()
    for segment in RECORDING:
        for at in range(0, len(segment), 10_000):
            session.send_segment(segment[at : at + 10_000], final=at + 10_000 >= len(segment))
    assert session.media_seconds_sent == pytest.approx(seconds_of(*RECORDING), abs=0.05)


def test_what_a_server_would_refuse_does_not_count_as_media_sent() -> None:
    session, server = client(), opened()
    for segment in (RECORDING[1], RECORDING[0], b"OggS" + bytes(2000), RECORDING[2], RECORDING[1], audio_only()):
        session.send_segment(segment)
        server.receive_bytes(segment, 1.0)
        assert session.media_seconds_sent == server.media_seconds
    assert session.media_seconds_sent == pytest.approx(seconds_of(*RECORDING[:2]), abs=0.05)
