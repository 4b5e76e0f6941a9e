from __future__ import annotations

import struct
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihproto import V1
from ihproto.media import (
    SNIFF_SIZE,
    ExpectedMedia,
    MediaScanner,
    NominalScanner,
    SegmentFault,
    SegmentMedia,
    SegmentPolicy,
    StreamSoFar,
    Track,
)
from ihproto.media.stream import make_scanner
from ihproto.messages import AudioFormat

REPOSITORY = Path(__file__).parents[2]
CLUSTER = b"\x1f\x43\xb6\x75"
WHOLE = 1 << 30


def pieces_of(folder: str) -> list[bytes]:
    """The pieces of a recording; the empty ones are never sent (SEG-10)."""
    return [data for path in sorted((REPOSITORY / folder).glob("*.bin")) if (data := path.read_bytes())]


LONG = pieces_of("examples/recording")
VP8 = pieces_of("conformance/ihproto_conformance/samples/recording")
VP9 = pieces_of("tests/recordings/webm-vp9-opus")
MP4 = pieces_of("tests/recordings/mp4-vp9-opus")
RECORDINGS = {"webm, 33 s": LONG, "webm, VP8": VP8, "webm, VP9": VP9, "mp4": MP4}
#: What a client that puts the header in front of every piece keeps of the first one.
HEADER = LONG[0][: LONG[0].index(CLUSTER)]


@cache
def make(
    form: str, video: str | None = "mpeg4", audio: str | None = "aac", *, seconds: int = 8, **options: str
) -> bytes:
    """A file that ffmpeg has written: 25 frames a second, a key frame every 5."""
    file = BytesIO()
    with av.open(file, "w", format=form, options=options) as output:
        pictures: av.VideoStream | None = None
        sound: av.AudioStream | None = None
        frames: list[tuple[Fraction, int]] = []
        if video:
            added = output.add_stream(video, rate=25, options={"g": "5", "threads": "1"})
            assert isinstance(added, av.VideoStream)
            pictures = added
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
            frames += [(Fraction(number, 25), 0) for number in range(25 * seconds)]
        if audio:
            heard = output.add_stream(audio, rate=48000)
            assert isinstance(heard, av.AudioStream)
            sound = heard
            sound.layout = "stereo"
            frames += [(Fraction(number, 50), 1) for number in range(50 * seconds)]
        for time, kind in sorted(frames):
            if kind == 0:
                assert pictures is not None
                picture = av.VideoFrame(64, 64, "yuv420p")
                for place, plane in enumerate(picture.planes):
                    plane.update(bytes([int(time * 225 + place * 60) % 256]) * plane.buffer_size)
                picture.pts, picture.time_base = int(time * 25), Fraction(1, 25)
                output.mux(pictures.encode(picture))
            else:
                assert sound is not None
                tone = av.AudioFrame(sound.format.name, "stereo", 960)
                for level in tone.planes:
                    level.update(bytes(level.buffer_size))
                tone.sample_rate, tone.pts, tone.time_base = 48000, int(time * 48000), Fraction(1, 48000)
                output.mux(sound.encode(tone))
        for stream in (pictures, sound):
            if stream is not None:
                output.mux(stream.encode(None))
    return file.getvalue()


def fragmented(**more: str) -> bytes:
    return make("mp4", movflags="frag_keyframe+empty_moov+default_base_moof", **more)


def transport_stream(size: int = 188, *, video: str | None = "mpeg2video") -> bytes:
    return make("mpegts", video, "mp2", **({"mpegts_m2ts_mode": "1"} if size == 192 else {}))


def fragments(file: bytes) -> list[int]:
    """Where the fragments (`moof`) of a live MP4 begin (ISO/IEC 14496-12, 4.2)."""
    at, found = 0, []
    while at < len(file):
        size, kind = struct.unpack_from(">I4s", file, at)
        if kind == b"moof":
            found.append(at)
        at += size
    return found


def span(file: bytes) -> tuple[float, float]:
    """From when to when there is media, by ffmpeg's packets."""
    with av.open(BytesIO(file), "r") as source:
        times = [
            (packet.pts * packet.time_base, (packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in source.demux()
            if packet.pts is not None and packet.time_base is not None
        ]
    return float(min(start for start, _ in times)), float(max(end for _, end in times))


def cut(data: bytes, piece: int) -> Iterator[bytes]:
    for at in range(0, len(data), piece):
        yield data[at : at + piece]


def send(scanner: MediaScanner, number: int, data: bytes, piece: int = WHOLE) -> SegmentMedia | SegmentFault:
    """Send a segment as a session does: a fault ends it."""
    scanner.begin(number)
    for part in cut(data, piece):
        fault = scanner.feed(part)
        if fault is not None:
            return fault
    return scanner.finish()


def accepted(scanner: MediaScanner, number: int, data: bytes, piece: int = WHOLE) -> SegmentMedia:
    media = send(scanner, number, data, piece)
    assert isinstance(media, SegmentMedia), media
    return media


def refused(
    scanner: MediaScanner, number: int, data: bytes, piece: int = WHOLE, *, code: str = "ih5004", clause: str = "SEG-6"
) -> str:
    """The sentence that a segment is refused with."""
    fault = send(scanner, number, data, piece)
    assert isinstance(fault, SegmentFault), fault
    assert (fault.code, fault.clause_id) == (code, clause)
    return fault.sentence(number)


def begun(*segments: bytes, policy: SegmentPolicy | None = None) -> MediaScanner:
    """A scanner that has accepted these segments."""
    scanner = MediaScanner(policy=policy)
    for number, data in enumerate(segments, 1):
        accepted(scanner, number, data)
    return scanner


# --- recordings in order ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", RECORDINGS.values(), ids=RECORDINGS)
@pytest.mark.parametrize("piece", [997, WHOLE], ids=["in small pieces", "at once"])
def test_a_recording_is_accepted_in_order_and_as_long_as_ffmpeg_says(pieces: list[bytes], piece: int) -> None:
    scanner = MediaScanner()
    seconds = [accepted(scanner, number, data, piece).seconds for number, data in enumerate(pieces, 1)]
    start, end = span(b"".join(pieces))
    assert sum(seconds) == pytest.approx(end - start, abs=0.05)
    assert scanner.so_far.end == pytest.approx(end, abs=0.05)
    assert scanner.so_far.last_number == len(pieces)


def test_each_piece_holds_the_stretch_that_was_measured_when_it_was_recorded() -> None:
    # The times of the first and the last packet by ffprobe; an Opus packet lasts for 0.06 s.
    measured = [(0.0, 2.89), (2.94, 5.99), (6.0, 8.99), (9.0, 12.0), (12.06, 15.09), (15.12, 15.42)]
    scanner = MediaScanner()
    for number, (data, (first, last)) in enumerate(zip(VP8, measured, strict=True), 1):
        media = accepted(scanner, number, data)
        assert media.start == pytest.approx(first, abs=0.05)
        assert media.end is not None
        assert last <= media.end <= last + 0.06 + 0.005
        assert media.has_header is (number == 1)
        assert media.container == "webm"
        assert set(media.tracks) == {Track("video", "vp8"), Track("audio", "opus")}
        assert media.size == len(data)
        assert (media.lost, media.gap, media.broken, media.foreign) == (None, None, None, None)


def test_a_header_without_media_is_accepted_and_0_seconds_long() -> None:
    scanner = MediaScanner()
    media = accepted(scanner, 1, MP4[0])
    assert (media.seconds, media.duration, media.start, media.end) == (0.0, 0.0, None, None)
    assert media.has_header
    assert set(media.tracks) == {Track("video", "vp9"), Track("audio", "opus")}
    media = accepted(scanner, 2, MP4[1])
    assert not media.has_header
    assert media.seconds == pytest.approx(12.4, abs=0.1)


def test_a_header_that_is_cut_off_from_its_media_is_continued_by_it() -> None:
    scanner = MediaScanner()
    assert accepted(scanner, 1, HEADER).seconds == 0.0
    media = accepted(scanner, 2, LONG[0][len(HEADER) :])
    assert not media.has_header
    assert media.seconds == pytest.approx(2.95, abs=0.05)
    accepted(scanner, 3, LONG[1])


def test_a_header_may_be_cut_off_before_anything_is_known() -> None:
    scanner = MediaScanner()
    media = accepted(scanner, 1, HEADER[:20])
    assert (media.has_header, media.tracks, media.seconds) == (True, (), 0.0)
    accepted(scanner, 2, LONG[0][20:])


def test_nothing_is_known_before_the_first_segment() -> None:
    scanner = MediaScanner()
    assert scanner.media is None
    assert scanner.so_far == StreamSoFar()


def test_what_was_seen_is_told_of_accepted_and_of_refused_segments() -> None:
    scanner = MediaScanner()
    media = accepted(scanner, 1, LONG[0])
    assert scanner.media == media
    assert {track.kind for track in media.tracks} == {"video", "audio"}
    assert scanner.so_far == StreamSoFar("webm", media.tracks, media.end, 1)
    refused(scanner, 2, b"OggS" + bytes(2000))
    assert scanner.media is not None
    assert scanner.media.foreign == "an Ogg file"
    assert scanner.media.broken is not None


def test_a_segment_that_cannot_be_scanned_is_told_with_its_size_and_without_a_length() -> None:
    scanner = MediaScanner()
    refused(scanner, 1, b"OggS" + bytes(2000), code="ih4002", clause="SEG-5")
    assert scanner.media is not None
    assert (scanner.media.size, scanner.media.seconds) == (2004, 0)


@settings(max_examples=20)
@given(st.data())
def test_the_sizes_of_the_pieces_do_not_matter(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["webm", "mp4"]))
    segments = LONG[:2] if name == "webm" else MP4
    scanner, other = MediaScanner(), MediaScanner()
    for number, segment in enumerate(segments, 1):
        cuts = data.draw(st.lists(st.integers(0, len(segment)), max_size=8))
        near = data.draw(st.lists(st.integers(0, 900), max_size=4))
        places = sorted({0, len(segment), *cuts, *near})
        scanner.begin(number)
        for start, end in pairwise(places):
            assert scanner.feed(segment[start:end]) is None
        assert scanner.finish() == send(other, number, segment)
    assert scanner.so_far == other.so_far


@pytest.mark.parametrize(
    "segments",
    [
        pytest.param((LONG[0], LONG[2]), id="missing piece"),
        pytest.param((LONG[1],), id="from the middle"),
        pytest.param((HEADER + LONG[5],), id="header in front"),
        pytest.param((b"OggS" + bytes(3000),), id="Ogg"),
        pytest.param((LONG[0], b"OggS" + bytes(3000)), id="Ogg later"),
        pytest.param((LONG[0], b"RIFF\x10\x00\x00\x00AVI " + bytes(3000)), id="broken AVI later"),
    ],
)
@pytest.mark.parametrize("piece", [1, 191, 4096])
def test_the_sizes_of_the_pieces_do_not_matter_for_a_refusal(segments: Sequence[bytes], piece: int) -> None:
    *before, last = segments
    number = len(segments)
    assert send(begun(*before), number, last, piece) == send(begun(*before), number, last)


def test_a_foreign_file_is_named_whatever_stands_behind_its_first_bytes_and_in_whatever_pieces() -> None:
    for mark in (b"moof", CLUSTER):
        file = b"OggS" + bytes(SNIFF_SIZE) + mark + bytes(3000)
        for piece in (SNIFF_SIZE, WHOLE):
            assert "is an Ogg file" in refused(MediaScanner(), 1, file, piece, code="ih4002", clause="SEG-5")


def test_of_two_marks_the_first_is_named_in_whatever_pieces() -> None:
    data = bytes(1000) + CLUSTER + bytes(100) + b"moof" + bytes(100)
    for piece in (50, WHOLE):
        assert "inside a Matroska Cluster" in refused(MediaScanner(), 1, data, piece)


def test_where_a_transport_stream_breaks_does_not_depend_on_the_pieces() -> None:
    file = transport_stream()[: 188 * 100] + bytes(1000)
    sentences = {refused(MediaScanner(), 1, file, piece) for piece in (188 * 10, WHOLE)}
    assert len(sentences) == 1
    assert "at byte 18800" in sentences.pop()


def test_segments_are_judged_by_the_contract_of_the_session() -> None:
    contract = attrs.evolve(V1.contract, min_segment_duration_seconds=5)
    sentence = refused(MediaScanner(contract), 1, LONG[0], code="ih4007", clause="SEG-4")
    assert sentence == "segment 1 is 2.95 s long; the session's minimum is 5 s"


def test_the_strict_option_holds_the_last_piece_to_the_minimum() -> None:
    scanner = begun(*VP8[:-1], policy=SegmentPolicy(strict_duration=True))
    sentence = refused(scanner, 6, VP8[-1], code="ih4007", clause="SEG-4")
    assert sentence == "segment 6 is 0.36 s long; the session's minimum is 3 s"


# --- what no session can begin with ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 5))
@pytest.mark.parametrize("pieces", [LONG, VP8], ids=["33 s", "VP8"])
def test_a_session_that_starts_in_the_middle_of_a_recording_is_told_so(pieces: list[bytes], number: int) -> None:
    sentence = refused(MediaScanner(), 1, pieces[number])
    assert sentence.startswith("segment 1 begins inside a Matroska Cluster and this session has seen no header")
    assert "send the recorder's first chunk first" in sentence


def test_a_session_that_starts_with_a_cluster_is_told_so() -> None:
    sentence = refused(MediaScanner(), 1, LONG[1][LONG[1].index(CLUSTER) :])
    assert sentence.startswith("segment 1 begins inside a Matroska Cluster")


def test_the_name_of_a_box_without_its_size_begins_no_fragment() -> None:
    assert "inside a fragment" not in refused(MediaScanner(), 1, b"moof" + bytes(4000))


def test_a_session_that_starts_in_the_middle_of_an_mp4_recording_is_told_so() -> None:
    for data in (MP4[1], MP4[1][5:], fragmented()[fragments(fragmented())[7] :]):
        sentence = refused(MediaScanner(), 1, data)
        assert sentence.startswith("segment 1 begins inside a fragment of a live MP4")
        assert "send the recorder's first chunk first" in sentence


def test_a_piece_in_which_nothing_begins_is_not_recognised_but_the_cure_is_the_same() -> None:
    assert CLUSTER not in LONG[11]
    sentence = refused(MediaScanner(), 1, LONG[11])
    assert "does not begin with the header of a container" in sentence
    assert "send the recorder's first chunk first" in sentence


@pytest.mark.parametrize("size", [4, 100, SNIFF_SIZE - 1, SNIFF_SIZE, 5000])
def test_bytes_that_are_nothing_are_refused_whatever_their_number(size: int) -> None:
    sentence = refused(MediaScanner(), 1, b"\x80" * size)
    assert "does not begin with the header of a container" in sentence


@pytest.mark.parametrize("size", [1, 3])
def test_the_first_byte_of_a_recording_is_not_to_be_sent_by_itself(size: int) -> None:
    """Chromium's recorder hands on one byte first when no picture has come for as long as a piece lasts."""
    sentence = refused(MediaScanner(), 1, LONG[0][:size])
    assert f"has {size} bytes, too few for the header of a container" in sentence
    assert sentence.endswith("send it together with the next piece")


def test_a_segment_of_which_nothing_came_is_refused() -> None:
    assert "does not begin with the header of a container" in refused(MediaScanner(), 1, b"")


def test_the_same_session_goes_on_with_the_right_piece() -> None:
    scanner = MediaScanner()
    refused(scanner, 1, LONG[1])
    refused(scanner, 2, b"{}", code="ih4002", clause="SEG-5")
    accepted(scanner, 3, LONG[0])
    accepted(scanner, 4, LONG[1])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"OggS" + bytes(2000), "segment 1 is an Ogg file"),
        (b"GIF89a", "segment 1 is a GIF image"),
        (b'{"type": "session.close"}', "segment 1 is JSON text"),
    ],
)
def test_a_foreign_file_is_refused_by_its_name(data: bytes, words: str) -> None:
    sentence = refused(MediaScanner(), 1, data, code="ih4002", clause="SEG-5")
    assert sentence.startswith(words)
    assert "mp4, avi, mov, mkv, mpeg-ts, mpeg-2-ts, webm" in sentence


# --- wrong order, missing pieces -------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [LONG, VP8, VP9], ids=["33 s", "VP8", "VP9"])
def test_a_missing_piece_is_noticed_wherever_it_is_missing(pieces: list[bytes]) -> None:
    # Whether what follows the last whole piece was cut off from it cannot be told: it is shorter than the slack.
    for missing in range(1, len(pieces) - 2):
        sentence = refused(begun(*pieces[:missing]), missing + 1, pieces[missing + 1])
        assert f"segment {missing}" in sentence or "gap" in sentence
        assert "missing" in sentence or "lost" in sentence


@pytest.mark.parametrize("pieces", [LONG, VP8, VP9], ids=["33 s", "VP8", "VP9"])
def test_a_piece_that_comes_twice_or_late_is_noticed(pieces: list[bytes]) -> None:
    last = len(pieces) - 1
    for again in range(1, last):
        sentence = refused(begun(*pieces[:last]), last + 1, pieces[again])
        assert f"does not continue segment {last}" in sentence
        assert "repeated or out of order" in sentence


def test_a_refused_segment_leaves_no_trace() -> None:
    scanner = begun(LONG[0])
    before = scanner.so_far
    for piece in (1000, WHOLE):
        refused(scanner, 2, LONG[2], piece)
        assert scanner.so_far == before
    # The first piece again would begin a new stream; cut off in its Cluster it is no file.
    refused(scanner, 3, LONG[0][:5000], code="ih4007", clause="SEG-4")
    refused(scanner, 4, b"GIF89a" + bytes(1000))
    assert scanner.so_far == before
    seconds = [accepted(scanner, number, LONG[number - 4]).seconds for number in (5, 6)]
    assert sum(seconds) == pytest.approx(9.008 - 2.948, abs=0.05)
    assert scanner.so_far.last_number == 6


def test_a_segment_that_was_abandoned_leaves_no_trace() -> None:
    scanner = begun(LONG[0])
    before = scanner.so_far
    for size in (10, 5000, len(LONG[1])):
        scanner.begin(2)
        assert scanner.feed(LONG[1][:size]) is None
        assert scanner.so_far == before
    media = accepted(scanner, 3, LONG[1])
    assert media.size == len(LONG[1])
    assert media.start == pytest.approx(2.948, abs=0.05)


def test_a_first_segment_that_was_abandoned_was_no_first_segment() -> None:
    scanner = MediaScanner()
    scanner.begin(1)
    scanner.feed(LONG[0])
    assert "no header" in refused(scanner, 2, LONG[1])


# --- as early as possible --------------------------------------------------------------------------------------------


def bytes_until_refused(scanner: MediaScanner, number: int, data: bytes) -> int:
    """How many bytes were fed, one by one, when the segment was refused."""
    scanner.begin(number)
    for at in range(len(data)):
        if scanner.feed(data[at : at + 1]) is not None:
            return at + 1
    raise AssertionError("not refused while it was fed")


def test_a_foreign_file_is_refused_as_soon_as_its_first_bytes_are_there() -> None:
    assert bytes_until_refused(MediaScanner(), 1, b"OggS" + bytes(5000)) == SNIFF_SIZE


def test_a_piece_from_the_middle_is_refused_as_soon_as_it_is_known_for_one() -> None:
    mark = LONG[3].index(CLUSTER)
    assert mark > SNIFF_SIZE
    assert bytes_until_refused(MediaScanner(), 1, LONG[3]) == mark + len(CLUSTER)


def test_a_piece_that_does_not_fit_is_refused_before_the_rest_of_it_has_come() -> None:
    assert bytes_until_refused(begun(LONG[0]), 2, LONG[2]) <= SNIFF_SIZE
    assert bytes_until_refused(begun(LONG[0]), 2, b"OggS" + bytes(5000)) <= SNIFF_SIZE


def test_a_file_that_breaks_is_refused_where_it_breaks() -> None:
    file = transport_stream()[: 188 * 20] + b"\x00" + bytes(5000)
    assert bytes_until_refused(MediaScanner(), 1, file) <= 188 * 21


@pytest.mark.parametrize("wrong", [LONG[2], b"OggS" + bytes(1000), b"\xff" * 1000], ids=["piece 2", "Ogg", "nothing"])
def test_nothing_that_is_fed_after_a_fault_matters(wrong: bytes) -> None:
    scanner = begun(LONG[0])
    before = scanner.so_far
    scanner.begin(2)
    fault = scanner.feed(wrong)
    assert fault is not None
    assert scanner.feed(LONG[1]) == fault
    assert scanner.finish() == fault
    assert scanner.so_far == before
    accepted(scanner, 3, LONG[1])


def test_a_file_that_was_refused_while_it_was_fed_is_not_accepted_when_it_is_finished() -> None:
    scanner = MediaScanner()
    scanner.begin(1)
    fault = scanner.feed(b"OggS" + bytes(5000))
    assert fault is not None
    assert scanner.finish() == fault
    assert scanner.so_far == StreamSoFar()


def test_a_piece_that_breaks_at_its_first_byte_breaks_at_byte_0() -> None:
    assert "(at byte 0, " in refused(begun(LONG[0]), 2, b"\xde\xad" * 1000)


def test_of_media_that_are_not_looked_at_nothing_is_counted() -> None:
    assert (SegmentMedia(1.0).size, SegmentMedia(1.0).key_frames) == (0, 0)


# --- a second file ---------------------------------------------------------------------------------------------------

FORMS = {
    "mp4": ("mp4", "mpeg4", "aac", {}),
    "fragmented mp4": ("mp4", "mpeg4", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "mov": ("mov", "mpeg4", "aac", {}),
    "avi": ("avi", "mpeg4", "mp3", {}),
    "mkv": ("matroska", "mpeg4", "aac", {}),
    "webm": ("webm", "libvpx", "libopus", {"deadline": "realtime"}),
    "mpeg-ts": ("mpegts", "mpeg2video", "mp2", {}),
    "mpeg-2-ts": ("mpegts", "mpeg2video", "mp2", {"mpegts_m2ts_mode": "1"}),
}


def file_of(name: str, *, video: bool = True) -> bytes:
    form, codec, audio, options = FORMS[name]
    return make(form, codec if video else None, audio, **options)


@pytest.mark.parametrize("name", FORMS)
def test_a_whole_file_of_every_container_is_accepted_as_long_as_ffmpeg_says(name: str) -> None:
    file = file_of(name)
    media = accepted(MediaScanner(), 1, file)
    start, end = span(file)
    assert media.container == name.rpartition(" ")[2]
    assert media.has_header
    assert media.seconds == pytest.approx(end - start, abs=0.05)
    assert media.start == pytest.approx(start, abs=0.05)
    assert [track.kind for track in media.tracks] == ["video", "audio"]
    assert media.key_frames >= 1


@pytest.mark.parametrize("name", FORMS)
def test_a_second_file_begins_a_new_stream(name: str) -> None:
    file = file_of(name)
    for first in (file, LONG[0], file_of("mpeg-ts"), file_of("mpeg-2-ts"), file_of("fragmented mp4")):
        scanner = begun(first)
        media = accepted(scanner, 2, file, 5000)
        assert media.has_header
        assert media.seconds == pytest.approx(8.0, abs=0.1)
        assert media.container == name.rpartition(" ")[2]


def test_a_file_of_the_time_before_brands_begins_a_new_stream_behind_a_recording() -> None:
    file = file_of("mov")
    assert file[4:8] == b"ftyp"
    media = accepted(begun(LONG[0]), 2, file[:4] + b"free" + file[8:])
    assert (media.has_header, media.container) == (True, "mov")


@pytest.mark.parametrize("name", [name for name in FORMS if name != "webm"])
def test_a_recording_can_go_on_after_another_file_only_from_its_own_beginning(name: str) -> None:
    scanner = begun(LONG[0], file_of(name))
    refused(scanner, 3, LONG[1])
    accepted(scanner, 4, LONG[0])
    accepted(scanner, 5, LONG[1])


@pytest.mark.parametrize("name", FORMS)
def test_media_without_video_are_refused_in_every_container(name: str) -> None:
    sentence = refused(MediaScanner(), 1, file_of(name, video=False), code="ih5001", clause="SEG-7")
    assert sentence.startswith("segment 1 has no video track, only audio (")


def test_a_second_file_that_is_too_short_is_refused_though_a_continuation_would_not_be() -> None:
    scanner = begun(*VP8)
    short = make("matroska", seconds=1)
    sentence = refused(scanner, 7, short, code="ih4007", clause="SEG-4")
    assert "the session's minimum is 3 s" in sentence


def test_a_cut_in_the_middle_of_any_file_is_continued() -> None:
    for name in FORMS:
        file = file_of(name)
        scanner = MediaScanner()
        middle = len(file) * 5 // 8 + 1
        seconds = [
            accepted(scanner, number, data).seconds for number, data in enumerate((file[:middle], file[middle:]))
        ]
        start, end = span(file)
        assert sum(seconds) == pytest.approx(end - start, abs=0.05), name


# --- MP4 -------------------------------------------------------------------------------------------------------------


def test_a_live_mp4_goes_on_at_a_fragment_and_in_the_middle_of_one() -> None:
    file = fragmented()
    at = fragments(file)[len(fragments(file)) // 2]
    start, end = span(file)
    for offset in (0, 1, 4, 7, 8, 50, 500):
        scanner = MediaScanner()
        first = accepted(scanner, 1, file[: at + offset])
        second = accepted(scanner, 2, file[at + offset :], 777)
        assert first.has_header
        assert not second.has_header
        assert first.seconds + second.seconds == pytest.approx(end - start, abs=0.05)


@pytest.mark.parametrize("kind", [b"free", b"skip", b"wide", b"uuid", b"mdat"])
def test_boxes_that_a_quicktime_file_could_begin_with_do_not_begin_a_new_file(kind: bytes) -> None:
    file = fragmented()
    at = fragments(file)[len(fragments(file)) // 2]
    scanner = MediaScanner()
    first = accepted(scanner, 1, file[:at])
    second = accepted(scanner, 2, struct.pack(">I4s16x", 24, kind) + file[at:])
    assert not second.has_header
    assert second.container == "mp4"
    start, end = span(file)
    assert first.seconds + second.seconds == pytest.approx(end - start, abs=0.05)


def test_a_live_mp4_of_which_a_fragment_is_missing_is_refused() -> None:
    file = fragmented()
    places = fragments(file)
    middle = len(places) // 2
    sentence = refused(begun(file[: places[middle]]), 2, file[places[middle + 1] :])
    assert "does not continue segment 1" in sentence
    assert "a piece of the recording is missing" in sentence


def test_a_live_mp4_whose_fragments_come_twice_is_refused() -> None:
    file = fragmented()
    places = fragments(file)
    middle = len(places) // 2
    sentence = refused(begun(file[: places[middle]]), 2, file[places[middle - 1] :])
    assert "does not continue segment 1" in sentence
    assert "out of order" in sentence


# --- MPEG-TS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [188, 192])
@pytest.mark.parametrize("offset", [0, 1, 3, 4, 77, 187])
def test_a_transport_stream_goes_on_at_a_packet_and_in_the_middle_of_one(size: int, offset: int) -> None:
    file = transport_stream(size)
    at = len(file) // size // 2 * size
    assert file[at + size - 188] == 0x47
    scanner = MediaScanner()
    first = accepted(scanner, 1, file[: at + offset])
    second = accepted(scanner, 2, file[at + offset :], 4096)
    assert first.has_header
    assert not second.has_header
    start, end = span(file)
    assert first.seconds + second.seconds == pytest.approx(end - start, abs=0.05)


@pytest.mark.parametrize("size", [188, 192])
@pytest.mark.parametrize("dropped", [0, 1])
def test_a_transport_stream_that_begins_with_its_tables_begins_anew(size: int, dropped: int) -> None:
    # ffmpeg writes the SDT first, then the PAT (ISO/IEC 13818-1, table 2-3; ETSI EN 300 468, table 1).
    file = transport_stream(size)
    pids = [struct.unpack_from(">H", file, at + size - 187)[0] & 0x1FFF for at in (0, size)]
    assert pids == [0x11, 0x00]
    scanner = begun(file[: len(file) // size // 2 * size])
    again = accepted(scanner, 2, file[dropped * size :])
    assert again.has_header
    start, end = span(file)
    assert again.seconds == pytest.approx(end - start, abs=0.05)


def test_a_transport_stream_goes_on_at_a_packet_of_the_first_pid_that_may_hold_media() -> None:
    # ISO/IEC 13818-1, table 2-3, and ETSI EN 300 468, table 1: tables have the PIDs below.
    file = make("mpegts", "mpeg2video", "mp2", mpegts_start_pid="32")
    at = next(
        at for at in range(len(file) // 376 * 188, len(file), 188) if file[at + 1] & 0x1F == 0 and file[at + 2] == 32
    )
    assert not accepted(begun(file[:at]), 2, file[at:]).has_header


def test_a_transport_stream_of_which_packets_are_missing_is_refused() -> None:
    file = transport_stream()
    at = len(file) // 188 // 2 * 188
    sentence = refused(begun(file[:at]), 2, file[at + 188 * 40 :])
    assert "does not continue segment 1" in sentence
    assert "something is missing" in sentence


def test_a_transport_stream_can_be_entered_anywhere() -> None:
    file = transport_stream()
    at = len(file) // 188 // 4 * 188
    media = accepted(MediaScanner(), 1, file[at:])
    assert media.end == pytest.approx(span(file)[1], abs=0.05)


def test_a_transport_stream_cut_in_the_stuffing_of_a_packet_is_not_called_an_mp3_file() -> None:
    file = transport_stream()
    at = file.index(b"\xff" * 100)
    assert "MP3" not in refused(begun(file), 2, file[at : at + 5000])


def test_a_transport_stream_that_breaks_in_the_packet_that_it_ends_in_is_refused() -> None:
    # A packet in which a PES packet begins, which must begin with 00 00 01 (ISO/IEC 13818-1, 2.4.3.6); cut off.
    file = transport_stream()
    pid = next(
        high_low & 0x1FFF
        for at in range(0, len(file), 188)
        if (high_low := struct.unpack_from(">H", file, at + 1)[0]) & 0x4000
        and b"\x00\x00\x01\xe0" in file[at : at + 188]
    )
    wrong = struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10) + b"\xde\xad\xbe\xef" * 10
    sentence = refused(MediaScanner(), 1, file + wrong)
    assert "is not the mpeg-ts file that it claims to be: at byte" in sentence
    assert "de ad be" in sentence


# --- a header in front of a later piece ------------------------------------------------------------------------------


@pytest.mark.parametrize("piece", [1, 100, 5000, WHOLE])
def test_a_later_piece_behind_a_header_counts_from_its_next_cluster_on(piece: int) -> None:
    later = LONG[5] + LONG[6]
    mark = later.index(CLUSTER)
    scanner = MediaScanner()
    media = accepted(scanner, 1, HEADER + later, piece)
    start, end = span(HEADER + later[mark:])
    assert media.has_header
    assert media.lost == (len(HEADER), len(HEADER) + mark)
    assert media.start == pytest.approx(start, abs=0.05)
    assert media.end == pytest.approx(end, abs=0.05)
    assert media.seconds == pytest.approx(end - start, abs=0.05)
    assert media.size == len(HEADER) + len(later)
    assert media.broken is None
    following = accepted(scanner, 2, LONG[7])
    assert following.lost is None
    assert following.seconds == pytest.approx(3.06, abs=0.05)


@pytest.mark.parametrize("piece", [1, 1000, WHOLE])
def test_a_later_piece_behind_a_header_that_is_too_short_without_what_is_lost_says_what_is_lost(piece: int) -> None:
    mark = LONG[5].index(CLUSTER)
    sentence = refused(MediaScanner(), 1, HEADER + LONG[5], piece, code="ih4007", clause="SEG-4")
    assert "the session's minimum is 3 s" in sentence
    assert f"bytes {len(HEADER)} to {len(HEADER) + mark} cannot be decoded" in sentence
    assert "has the header of a webm file in front of a piece from the middle of one" in sentence
    assert "send the recorder's chunks as they come, without adding a header" in sentence


@pytest.mark.parametrize("piece", [1, 1000, WHOLE])
def test_a_later_piece_behind_a_header_that_breaks_further_on_is_refused_where_it_breaks(piece: int) -> None:
    data = HEADER + LONG[5] + LONG[6]
    places = [at for at in range(len(data)) if data.startswith(CLUSTER, at)]
    assert len(places) > 1
    at = places[-1]
    sentence = refused(MediaScanner(), 1, data[:at] + b"\xde\xad\xbe\xef" + data[at + 4 :], piece)
    assert f"at byte {at}, " in sentence
    assert "found bytes de" in sentence


@pytest.mark.parametrize("piece", [1, 1000, WHOLE])
def test_a_later_piece_behind_a_header_in_which_no_cluster_begins_is_refused(piece: int) -> None:
    sentence = refused(MediaScanner(), 1, HEADER + LONG[11], piece)
    assert "has the header of a webm file in front of a piece from the middle of one" in sentence
    assert f"at byte {len(HEADER)}" in sentence
    assert "send the recorder's chunks as they come, without adding a header" in sentence


def test_a_later_piece_of_matroska_behind_a_header_counts_from_its_next_cluster_on() -> None:
    file = file_of("mkv")
    places = [at for at in range(len(file)) if file.startswith(CLUSTER, at)]
    header, middle = file[: places[0]], file[places[0] + 100 :]
    media = accepted(MediaScanner(), 1, header + middle)
    assert media.container == "mkv"
    assert media.lost == (len(header), len(header) + middle.index(CLUSTER))


def test_after_such_a_refusal_the_recording_can_begin_as_it_should() -> None:
    scanner = MediaScanner()
    refused(scanner, 1, HEADER + LONG[11])
    refused(scanner, 2, HEADER + LONG[5], code="ih4007", clause="SEG-4")
    accepted(scanner, 3, LONG[0])
    accepted(scanner, 4, LONG[1])


def test_a_header_in_front_of_every_piece_is_refused_from_the_second_on() -> None:
    scanner = begun(LONG[0])
    for number in range(1, 5):
        fault = send(scanner, number + 1, HEADER + LONG[number])
        if isinstance(fault, SegmentFault):
            assert "without adding a header" in fault.what
        else:
            assert fault.lost is not None


@pytest.mark.parametrize("piece", [100, WHOLE])
def test_a_later_piece_of_a_live_mp4_behind_a_header_counts_from_its_next_fragment_on(piece: int) -> None:
    file = fragmented()
    places = fragments(file)
    header = file[: places[0]]
    middle = len(places) // 4
    for offset in (1, 5, 9, 60, places[middle + 1] - places[middle] - 1):
        later = file[places[middle] + offset :]
        lost = places[middle + 1] - places[middle] - offset
        media = accepted(MediaScanner(), 1, header + later, piece)
        assert media.has_header
        assert media.lost == (len(header), len(header) + lost)
        start, end = span(header + later[lost:])
        assert media.start == pytest.approx(start, abs=0.05)
        assert media.end == pytest.approx(end, abs=0.05)


def test_a_header_in_front_of_a_whole_fragment_costs_nothing() -> None:
    file = fragmented()
    places = fragments(file)
    media = accepted(MediaScanner(), 1, file[: places[0]] + file[places[len(places) // 4] :])
    assert media.lost is None


def test_a_later_piece_of_a_live_mp4_behind_a_header_in_which_no_fragment_begins_is_refused() -> None:
    file = fragmented()
    places = fragments(file)
    sentence = refused(MediaScanner(), 1, file[: places[0]] + file[places[3] + 5 : places[4]])
    assert "file in front of a piece from the middle of one" in sentence
    assert "send the recorder's chunks as they come, without adding a header" in sentence


def test_where_nothing_can_be_stepped_over_the_file_is_said_to_be_broken() -> None:
    file = file_of("avi")
    header = file[: file.index(b"movi") + 4]
    sentence = refused(MediaScanner(), 1, header + file[len(file) // 2 + 1 :])
    assert "is not the avi file that it claims to be: at byte" in sentence


def test_a_file_that_breaks_after_its_first_samples_is_not_searched_for_more() -> None:
    sentence = refused(MediaScanner(), 1, LONG[0] + LONG[2])
    assert "is not the webm file that it claims to be: at byte" in sentence


def test_a_file_that_breaks_in_its_header_is_not_searched_for_more() -> None:
    sentence = refused(MediaScanner(), 1, HEADER[:60] + LONG[2])
    assert "is not the webm file that it claims to be: at byte" in sentence


def test_a_header_that_is_too_long_to_be_kept_is_not_put_in_front_of_anything() -> None:
    # 40,000 bytes of Void (RFC 8794, 11.3.2) between the header and what does not follow it.
    long = HEADER + b"\xec\x10\x00\x9c\x40" + bytes(40_000) + LONG[5]
    sentence = refused(MediaScanner(), 1, long, 1000)
    assert f"at byte {len(HEADER) + 40_005}" in sentence


@pytest.mark.parametrize("form", ["webm", "mp4"])
def test_what_only_looks_like_media_behind_a_header_is_refused_and_never_raises(form: str) -> None:
    if form == "webm":
        data = HEADER + bytes(10) + CLUSTER + b"\xff" * 1000
    else:
        file = fragmented()
        data = file[: fragments(file)[0]] + bytes(10) + b"\x00\x00\x00\x20moof" + b"\xff" * 5000
    scanner = MediaScanner()
    scanner.begin(1)
    try:
        result = scanner.feed(data) or scanner.finish()
    except Exception as error:
        raise AssertionError(f"{error!r} came out of the scanner") from error
    assert isinstance(result, SegmentFault)
    assert "without adding a header" in result.what


def test_a_later_piece_behind_a_header_is_not_taken_for_an_element_that_nobody_knows() -> None:
    # 12345678 could be the ID of an element, followed by a size of 256 MB.
    later = b"\x12\x34\x56\x78\x01\x00\x00\x00\x10\x00\x00\x00" + LONG[5] + LONG[6]
    result = send(MediaScanner(), 1, HEADER + later)
    assert isinstance(result, SegmentFault) or result.lost is not None


@pytest.mark.parametrize("end", [4, 8, 15])
def test_a_later_piece_behind_a_header_that_ends_with_the_beginning_of_a_cluster_is_refused(end: int) -> None:
    later = LONG[5][: LONG[5].index(CLUSTER) + end]
    fault = send(MediaScanner(), 1, HEADER + later)
    assert isinstance(fault, SegmentFault)
    assert "without adding a header" in fault.what


# --- what is measured ------------------------------------------------------------------------------------------------


def element(ident: int, *contents: bytes) -> bytes:
    """An EBML element (RFC 8794, section 4) with a size of four bytes."""
    content = b"".join(contents)
    return ident.to_bytes((ident.bit_length() + 7) // 8, "big") + (1 << 28 | len(content)).to_bytes(4, "big") + content


def track(number: int, kind: int, codec: bytes, *more: bytes) -> bytes:
    return element(0xAE, element(0xD7, bytes([number])), element(0x83, bytes([kind])), element(0x86, codec), *more)


def matroska(*tracks: bytes) -> bytes:
    """What a live recording begins with, up to the first block (RFC 9559)."""
    doc_type = element(0x1A45DFA3, element(0x4282, b"matroska"))
    unknown = b"\x01" + b"\xff" * 7
    beginning = doc_type + b"\x18\x53\x80\x67" + unknown + element(0x1654AE6B, *tracks)
    return beginning + CLUSTER + unknown + element(0xE7, b"\x00")


def block(number: int, time: int, payload: bytes = bytes(8)) -> bytes:
    return element(0xA3, struct.pack(">BhB", 0x80 | number, time, 0x80), payload)


#: A frame of 40 ms (DefaultDuration, in nanoseconds), an Opus packet of 20 ms (RFC 6716, table 2: configuration 31).
PICTURES = track(1, 1, b"V_VP8", element(0x23E383, (40_000_000).to_bytes(4, "big")))
SOUND = track(2, 2, b"A_OPUS")
TONE = b"\xf8" + bytes(20)


def test_a_piece_that_ends_before_the_one_before_it_does_not_lengthen_the_session() -> None:
    segments = (
        matroska(PICTURES, SOUND) + b"".join(block(1, time) for time in range(0, 3000, 40)),
        block(2, 2900, TONE),
        block(1, 3000) + block(1, 3040),
    )
    scanner = MediaScanner()
    seconds = [accepted(scanner, number, data).seconds for number, data in enumerate(segments, 1)]
    start, end = span(b"".join(segments))
    assert end - start == pytest.approx(3.08)
    assert sum(seconds) == pytest.approx(end - start, abs=0.001)


def test_a_file_with_neither_video_nor_audio_has_no_video() -> None:
    file = matroska(track(1, 17, b"S_TEXT/UTF8")) + block(1, 0, b"hello") + block(1, 4000, b"goodbye")
    refused(MediaScanner(), 1, file, code="ih5001", clause="SEG-7")


def test_a_piece_without_a_sample_keeps_the_place_of_the_next_one() -> None:
    pictures = b"".join(block(1, time) for time in range(0, 3000, 40))
    scanner = begun(matroska(PICTURES) + pictures)
    # A Void: something, but no media.
    media = accepted(scanner, 2, element(0xEC, bytes(50)))
    assert (media.seconds, media.start) == (0.0, None)
    assert scanner.so_far.end == pytest.approx(3.0)
    assert accepted(scanner, 3, block(1, 3000)).seconds == pytest.approx(0.04)


def test_a_second_file_counts_from_its_own_beginning() -> None:
    later = LONG[3]
    at = later.index(CLUSTER)
    file = HEADER + later[at:] + LONG[4] + LONG[5]
    scanner = begun(LONG[0])
    start, end = span(file)
    assert start > 8
    assert accepted(scanner, 2, file).seconds == pytest.approx(end - start, abs=0.05)


@pytest.mark.parametrize("name", ["webm", "mov"])
def test_nothing_of_a_segment_is_kept_when_it_is_finished(name: str) -> None:
    file = bytearray(file_of(name))
    data = bytes(file)
    before = sys.getrefcount(data)
    scanner = MediaScanner()
    accepted(scanner, 1, data)
    assert sys.getrefcount(data) == before


@pytest.mark.parametrize(
    ("container", "told"),
    [
        ("webm", {"webm", "mkv"}),
        ("mkv", {"mkv"}),
        ("mp4", {"mp4"}),
        ("mov", {"mp4", "mov"}),
        ("avi", {"avi"}),
        ("mpeg-ts", {"mpeg-ts"}),
        ("mpeg-2-ts", {"mpeg-2-ts"}),
    ],
)
def test_there_is_a_scanner_for_each_container(container: str, told: set[str]) -> None:
    assert make_scanner(container).container in told


def test_there_is_no_scanner_for_anything_else() -> None:
    with pytest.raises(KeyError):
        make_scanner("ogg")


def test_a_fault_that_shows_later_than_it_begins_is_refused_and_never_raises() -> None:
    def box(kind: bytes, *contents: bytes) -> bytes:
        content = b"".join(contents)
        return struct.pack(">I4s", 8 + len(content), kind) + content

    run = box(b"trun", struct.pack(">II", 0x100, 1000))
    track = box(b"traf", box(b"tfhd", struct.pack(">II", 0, 1)), run)
    header = (Path(__file__).parents[1] / "recordings" / "mp4-vp9-opus" / "000.bin").read_bytes()
    refused(MediaScanner(), 1, header + box(b"moof", box(b"mfhd", bytes(8)), track))


# --- what is expected (SEG-7, CFG-8) ----------------------------------------------------------------------------------

SEES_AND_HEARS = ExpectedMedia(("video", "audio"))
HEARS = ExpectedMedia(("audio",))


def expecting(expected: ExpectedMedia) -> MediaScanner:
    scanner = MediaScanner()
    scanner.expect(expected)
    return scanner


@pytest.mark.parametrize("name", FORMS)
def test_media_without_sound_are_refused_in_every_container_where_sound_is_needed(name: str) -> None:
    form, codec, _, options = FORMS[name]
    silent = make(form, codec, None, **options)
    accepted(MediaScanner(), 1, silent)
    for expected in (SEES_AND_HEARS, HEARS):
        sentence = refused(expecting(expected), 1, silent, code="ih5008", clause="SEG-7")
        assert sentence.startswith("segment 1 has no audio track, only video (")


@pytest.mark.parametrize("name", FORMS)
def test_media_without_a_picture_are_accepted_where_only_sound_is_needed(name: str) -> None:
    accepted(expecting(HEARS), 1, file_of(name, video=False))
    refused(expecting(SEES_AND_HEARS), 1, file_of(name, video=False), code="ih5001", clause="SEG-7")


@pytest.mark.parametrize("expected", [SEES_AND_HEARS, HEARS])
@pytest.mark.parametrize("pieces", [VP8, MP4], ids=["webm", "mp4"])
def test_a_recording_with_both_is_accepted_whatever_is_needed(pieces: list[bytes], expected: ExpectedMedia) -> None:
    scanner, usual = expecting(expected), MediaScanner()
    for number, data in enumerate(pieces, 1):
        assert accepted(scanner, number, data) == accepted(usual, number, data)


def test_what_is_expected_may_change_between_segments() -> None:
    scanner = MediaScanner()
    silent = make("matroska", "mpeg4", None)
    accepted(scanner, 1, silent)
    scanner.expect(SEES_AND_HEARS)
    refused(scanner, 2, silent, code="ih5008", clause="SEG-7")
    scanner.expect(ExpectedMedia())
    accepted(scanner, 3, silent)


@pytest.mark.parametrize("rate", [16000, 24000])
@pytest.mark.parametrize("sizes", [[48_000, 48_000], [1, 2, 95_997], [31_999, 64_001]])
def test_cfg_8_raw_audio_may_be_of_any_size_and_cut_at_any_byte(rate: Any, sizes: list[int]) -> None:
    scanner = expecting(ExpectedMedia(("audio",), AudioFormat(sample_rate=rate)))
    seconds = 0.0
    for number, size in enumerate(sizes, 1):
        # Bytes that begin like a container are samples all the same.
        media = accepted(scanner, number, (CLUSTER * size)[:size], piece=1000)
        assert media.seconds == pytest.approx(size / (2 * rate))
        assert (media.size, media.container, media.has_header) == (size, None, False)
        assert media.start == pytest.approx(seconds)
        assert media.end == pytest.approx(seconds + media.seconds)
        assert (media.tracks, media.tracks_known) == ((Track("audio", "pcm_s16le"),), True)
        assert scanner.media is media
        seconds += media.seconds
    # 96,000 bytes are 3 s at 16 kHz and 2 s at 24 kHz.
    assert seconds == pytest.approx({16000: 3.0, 24000: 2.0}[rate])
    assert scanner.so_far.last_number == len(sizes)
    assert scanner.so_far.end == pytest.approx(seconds)


def test_raw_audio_of_no_bytes_takes_no_time() -> None:
    scanner = expecting(ExpectedMedia(("audio",), AudioFormat()))
    scanner.begin(1)
    media = scanner.finish()
    assert isinstance(media, SegmentMedia)
    assert (media.seconds, media.size) == (0.0, 0)


def test_a_segment_of_raw_audio_that_was_abandoned_leaves_no_trace() -> None:
    scanner = expecting(ExpectedMedia(("audio",), AudioFormat()))
    accepted(scanner, 1, bytes(32_000))
    scanner.begin(2)
    assert scanner.feed(bytes(64_000)) is None
    assert scanner.media is None
    assert accepted(scanner, 3, bytes(32_000)).start == 1.0


def test_a_scanner_that_does_not_look_expects_nothing() -> None:
    scanner = NominalScanner(4.5)
    scanner.expect(SEES_AND_HEARS)
    scanner.begin(1)
    assert scanner.feed(b"anything") is None
    assert scanner.finish() == SegmentMedia(4.5)


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_a_segment_has_a_length(seconds: float) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        SegmentMedia(seconds)
