"""Our own recordings, as ffmpeg and our scanners see them."""

from __future__ import annotations

from io import BytesIO

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_oracle import look

from ihproto import ExpectedMedia, MediaScanner, SegmentFault
from ihproto.media import Track
from ihproto.testing.strategies import recordings, segment_pieces
from ihproto.testing.webm import webm_chunks

BOTH = ("video", "audio")
TRACKS = {"video": Track("video", "vp8"), "audio": Track("audio", "opus")}


@pytest.mark.parametrize("tracks", [("video",), ("audio",), BOTH])
def test_ffmpeg_finds_the_tracks_and_the_length(tracks: tuple[str, ...]) -> None:
    found = look(b"".join(webm_chunks([3, 3.6, 9, 0.12], tracks=tracks)))
    assert found.tracks == tuple(TRACKS[name] for name in tracks)
    assert found.start == 0
    assert found.end == pytest.approx(15.72, abs=0.0005)
    for name in tracks:
        starts = [packet.start for packet in found.packets if packet.kind == name]
        assert starts == pytest.approx([index * 0.12 for index in range(131)], abs=0.0005)


def test_ffmpeg_decodes_every_picture_and_all_of_the_sound() -> None:
    file = b"".join(webm_chunks([3, 3.6]))
    with av.open(BytesIO(file), "r") as source:
        pictures = [(picture.width, picture.height) for picture in source.decode(video=0)]
    with av.open(BytesIO(file), "r") as source:
        samples = sum(frame.samples for frame in source.decode(audio=0))
    assert pictures == [(16, 16)] * 55
    assert samples == pytest.approx(6.6 * 48000, abs=960)


@pytest.mark.parametrize("tracks", [("video",), ("audio",), BOTH])
def test_each_chunk_is_a_segment_of_its_length(tracks: tuple[str, ...]) -> None:
    scanner = MediaScanner()
    scanner.expect(ExpectedMedia(tracks))
    lengths = [3, 3.6, 9, 30.36, 0.12]
    for number, (chunk, seconds) in enumerate(zip(webm_chunks(lengths, tracks=tracks), lengths, strict=True), start=1):
        scanner.begin(number)
        assert scanner.feed(chunk) is None
        media = scanner.finish()
        assert not isinstance(media, SegmentFault)
        assert media.seconds == pytest.approx(seconds, abs=1e-6)
        assert media.has_header is (number == 1)


@pytest.mark.parametrize("size", [0, 1000, 10_000, 10_001])
def test_chunks_are_filled_up_and_can_be_read_all_the_same(size: int) -> None:
    chunks = webm_chunks([3, 3], min_size=size)
    assert all(size <= len(chunk) < max(size, 1600) + 10 for chunk in chunks)
    assert look(b"".join(chunks)).end == pytest.approx(6, abs=0.0005)


@pytest.mark.parametrize("size", range(1140, 1165))
def test_no_chunk_is_smaller_than_wanted_however_little_is_missing(size: int) -> None:
    chunk = webm_chunks([3], tracks=("video",), min_size=size)[0]
    assert size <= len(chunk) <= max(size, 1150) + 9
    assert look(chunk).end == pytest.approx(3, abs=0.0005)


def test_what_cannot_be_recorded_is_refused() -> None:
    with pytest.raises(ValueError, match="video, audio, or both, not smell"):
        webm_chunks([3], tracks=("smell",))
    with pytest.raises(ValueError, match="not none"):
        webm_chunks([3], tracks=())
    with pytest.raises(ValueError, match=r"0\.01 s would be empty"):
        webm_chunks([3, 0.01])


@given(recordings(min_chunks=0, min_size=2000), st.data())
def test_drawn_recordings_are_accepted_in_any_pieces(chunks: tuple[bytes, ...], data: st.DataObject) -> None:
    scanner = MediaScanner()
    scanner.expect(ExpectedMedia(BOTH))
    for number, chunk in enumerate(chunks, start=1):
        assert len(chunk) >= 2000
        pieces = data.draw(segment_pieces(chunk))
        assert b"".join(pieces) == chunk
        assert all(pieces)
        scanner.begin(number)
        assert [fault for piece in pieces if (fault := scanner.feed(piece))] == []
        assert not isinstance(scanner.finish(), SegmentFault)


@pytest.mark.parametrize("data", [b"", b"x"])
def test_what_cannot_be_cut_is_one_piece(data: bytes) -> None:
    @given(segment_pieces(data))
    def check(pieces: tuple[bytes, ...]) -> None:
        assert pieces == (data,)

    check()
