"""MP4 and QuickTime, judged by ffmpeg (through PyAV) and by boxes written after the specification."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import pytest
from work import lines

from ihproto.media.isobmff import IsoScanner
from ihproto.media.scanner import Extent, MediaError, Track

FRAGMENTED = "frag_keyframe+empty_moov"
VIDEO = Track("video", "vp9")
AUDIO = Track("audio", "opus")


@cache
def make(
    container: str = "mp4",
    video: str | None = "mpeg4",
    audio: str | None = "aac",
    *,
    seconds: float = 1.0,
    rate: int = 25,
    movflags: str = "",
    options: tuple[tuple[str, str], ...] = (),
    first: int = 0,
) -> bytes:
    """A file that ffmpeg has written."""
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / f"file.{container}")
        with av.open(path, "w", format=container, options={"movflags": movflags} if movflags else {}) as output:
            pictures: av.VideoStream | None = None
            sound: av.AudioStream | None = None
            frames: list[tuple[Fraction, str, int]] = []
            if video:
                added = output.add_stream(video, rate=rate, options={"threads": "1", **dict(options)})
                assert isinstance(added, av.VideoStream)
                pictures = added
                pictures.width = pictures.height = 64
                pictures.pix_fmt = "yuvj420p" if video == "mjpeg" else "yuv420p"
                frames += [(Fraction(i, rate), "video", i) for i in range(int(seconds * rate))]
            if audio:
                heard = output.add_stream(audio, rate=48000)
                assert isinstance(heard, av.AudioStream)
                sound = heard
                sound.layout = "stereo"
                frames += [(Fraction(i, 48000), "audio", i) for i in range(0, int(seconds * 48000), 960)]
            for _, kind, i in sorted(frames):
                if kind == "video":
                    assert pictures is not None
                    picture = av.VideoFrame(64, 64, "yuvj420p" if video == "mjpeg" else "yuv420p")
                    for number, plane in enumerate(picture.planes):
                        plane.update(bytes([(i * 9 + number * 60) % 256]) * plane.buffer_size)
                    picture.pts, picture.time_base = i + first, Fraction(1, rate)
                    output.mux(pictures.encode(picture))
                else:
                    assert sound is not None
                    tone = av.AudioFrame(sound.format.name, "stereo", 960)
                    for level in tone.planes:
                        level.update(bytes(level.buffer_size))
                    tone.sample_rate, tone.pts, tone.time_base = 48000, i, Fraction(1, 48000)
                    output.mux(sound.encode(tone))
            for stream in (pictures, sound):
                if stream is not None:
                    output.mux(stream.encode(None))
        return Path(path).read_bytes()


def judge(file: bytes) -> tuple[float, float, int, tuple[Track, ...]]:
    """What ffmpeg says: from when, to when, how many key frames, which tracks."""
    starts, ends, key_frames = [], [], 0
    with av.open(io.BytesIO(file), "r") as source:
        tracks = tuple(
            Track(stream.type, stream.codec_context.codec.canonical_name)
            for stream in source.streams
            if isinstance(stream, (av.VideoStream, av.AudioStream))
        )
        for packet in source.demux():
            if packet.pts is None:
                continue
            key_frames += packet.is_keyframe and packet.stream.type == "video"
            if not packet.is_discard:
                assert packet.time_base is not None
                starts.append(float(packet.pts * packet.time_base))
                ends.append(float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return min(starts), max(ends), key_frames, tracks


def scan(file: bytes, piece: int = 1 << 20) -> IsoScanner:
    scanner = IsoScanner()
    scanner.begin_segment()
    for i in range(0, len(file), piece):
        scanner.feed(file[i : i + piece])
    scanner.finish_segment()
    return scanner


def scan_segments(file: bytes, *cuts: int) -> tuple[IsoScanner, list[Extent]]:
    scanner = IsoScanner()
    extents = []
    for start, end in zip((0, *cuts), (*cuts, len(file)), strict=True):
        scanner = scanner.copy()
        scanner.begin_segment()
        scanner.feed(file[start:end])
        scanner.finish_segment()
        extents.append(scanner.extent)
    return scanner, extents


def near(extent: Extent, start: float, end: float, tolerance: float = 0.001) -> bool:
    assert extent.start is not None
    assert extent.end is not None
    return abs(extent.start - start) < tolerance and abs(extent.end - end) < tolerance


def fault(file: bytes, piece: int = 1 << 20) -> MediaError:
    with pytest.raises(MediaError) as caught:
        scan(file, piece)
    return caught.value


# Boxes after ISO/IEC 14496-12.


def box(kind: bytes, *contents: bytes, wide: bool = False, size: int | None = None) -> bytes:
    body = b"".join(contents)
    if wide:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16 if size is None else size) + body
    return struct.pack(">I4s", len(body) + 8 if size is None else size, kind) + body


def words(*numbers: int) -> bytes:
    return b"".join((number & 0xFFFFFFFF).to_bytes(4, "big") for number in numbers)


def longs(*numbers: int) -> bytes:
    return b"".join((number & (1 << 64) - 1).to_bytes(8, "big") for number in numbers)


def runs(kind: bytes, *entries: tuple[int, int]) -> bytes:
    return box(kind, words(0, len(entries), *(number for entry in entries for number in entry)))


FTYP = box(b"ftyp", b"isom", words(0), b"isom")
MVHD = box(b"mvhd", words(0, 0, 0, 1000, 0))


def sample_entry(form: bytes, body: bytes = bytes(70)) -> bytes:
    return box(b"stsd", words(0, 1), box(form, bytes(8), body))


def trak(
    *tables: bytes,
    number: int = 1,
    kind: bytes = b"vide",
    entry: bytes | None = None,
    edits: bytes = b"",
    timescale: int = 1000,
) -> bytes:
    form = sample_entry(b"vp09" if kind == b"vide" else b"Opus") if entry is None else entry
    return box(
        b"trak",
        box(b"tkhd", words(0, 0, 0, number, 0)),
        box(b"edts", edits) if edits else b"",
        box(
            b"mdia",
            box(b"mdhd", words(0, 0, 0, timescale, 0)),
            box(b"hdlr", words(0, 0), kind, bytes(13)),
            box(b"minf", box(b"stbl", form, *tables)),
        ),
    )


def movie(*traks: bytes) -> bytes:
    return FTYP + box(b"moov", MVHD, *traks)


def progressive(*tables: bytes, kind: bytes = b"vide", edits: bytes = b"", timescale: int = 1000) -> bytes:
    return movie(trak(*tables, kind=kind, edits=edits, timescale=timescale))


def stsz(count: int) -> bytes:
    return box(b"stsz", words(0, 1, count))


def elst(*edits: tuple[int, int]) -> bytes:
    return box(b"elst", words(0, len(edits)), *(words(length, at, 0x10000) for length, at in edits))


def header(*traks: bytes, trex: tuple[int, int] = (40, 0)) -> bytes:
    """The header of a recording with a video track 1 and a sound track 2."""
    tracks = traks or (trak(number=1), trak(number=2, kind=b"soun"))
    extends = (box(b"trex", words(0, number, 1, trex[0], 0, trex[1])) for number in (1, 2, 3))
    return movie(*tracks, box(b"mvex", *extends))


def moof(sequence: int, *trafs: bytes) -> bytes:
    return box(b"moof", box(b"mfhd", words(0, sequence)), *trafs)


def traf(*contents: bytes, number: int = 1, at: int | None = 0) -> bytes:
    tfdt = b"" if at is None else box(b"tfdt", words(0, at))
    return box(b"traf", box(b"tfhd", words(0, number)), tfdt, *contents)


def trun(count: int, *numbers: int, flags: int = 0) -> bytes:
    return box(b"trun", words(flags, count, *numbers))


def fragment(sequence: int, at: int, count: int = 5) -> bytes:
    return moof(sequence, traf(trun(count), at=at)) + box(b"mdat", bytes(count))


RECORDING = header() + b"".join(fragment(i + 1, i * 200) for i in range(4))

FILES = [
    ("mp4", "mpeg4", "aac", "", (("bf", "2"), ("g", "12"))),
    ("mp4", "mpeg4", "aac", "faststart", (("bf", "2"), ("g", "12"))),
    ("mp4", "mpeg4", "aac", FRAGMENTED, (("bf", "2"), ("g", "12"))),
    ("mp4", "libx264", "libopus", "", (("bf", "3"), ("g", "10"))),
    ("mp4", "libx264", "libopus", "frag_keyframe+delay_moov", (("bf", "3"), ("g", "10"))),
    ("mp4", "libx264", "aac", "cmaf+delay_moov", (("bf", "3"), ("g", "10"))),
    ("mp4", "libx264", "flac", FRAGMENTED + "+negative_cts_offsets", (("bf", "3"), ("g", "10"))),
    ("mp4", "libx264", "aac", "hybrid_fragmented", (("bf", "3"), ("g", "10"))),
    ("mp4", "libvpx-vp9", "libopus", "frag_every_frame+empty_moov+default_base_moof", (("deadline", "realtime"),)),
    ("mp4", "mpeg2video", "ac3", "frag_keyframe+delay_moov", (("bf", "2"), ("g", "12"))),
    ("mp4", "mjpeg", "eac3", "", ()),
    ("mp4", "mjpeg", "libmp3lame", "", ()),
    ("mp4", None, "libopus", "", ()),
    ("mp4", None, "alac", FRAGMENTED, ()),
    ("mov", "libx264", "pcm_s16le", "", (("bf", "3"), ("g", "10"))),
    ("mov", "mpeg2video", "pcm_s24be", "", (("bf", "2"), ("g", "12"))),
    ("mov", "mjpeg", "pcm_s24le", FRAGMENTED, ()),
    ("mov", "mpeg4", "aac", "negative_cts_offsets", (("bf", "2"), ("g", "12"))),
    ("mov", "mjpeg", "pcm_f32le", "", ()),
    ("mov", "mjpeg", "pcm_f64be", "", ()),
    ("mov", "mjpeg", "pcm_mulaw", "", ()),
    ("mov", "mjpeg", "pcm_u8", "", ()),
    ("mov", "mjpeg", "pcm_s8", "", ()),
    ("mov", "mjpeg", "adpcm_ima_qt", "", ()),
    ("mp4", "mjpeg", "pcm_s16le", "", ()),
    ("mp4", "mjpeg", "pcm_f32be", "", ()),
]


@pytest.mark.parametrize(("container", "video", "audio", "movflags", "options"), FILES)
@pytest.mark.parametrize("first", [0, 9])
def test_span_key_frames_and_tracks_are_those_of_ffmpeg(
    container: str,
    video: str | None,
    audio: str | None,
    movflags: str,
    options: tuple[tuple[str, str], ...],
    first: int,
) -> None:
    file = make(container, video, audio, movflags=movflags, options=options, first=first)
    start, end, key_frames, tracks = judge(file)
    scanner = scan(file)
    assert scanner.extent.start == pytest.approx(start, abs=0.02)
    assert scanner.extent.end == pytest.approx(end, abs=0.02)
    assert scanner.extent.key_frames == key_frames
    assert scanner.tracks == tracks
    assert scanner.container == container
    assert scanner.whole_file == (
        not movflags or movflags in ("faststart", "hybrid_fragmented", "negative_cts_offsets")
    )


@pytest.mark.parametrize(
    ("length", "at"), [(1000, 0), (400, 1024), (300, 7000), (1000, 6000), (520, 5120), (40, 12000)]
)
@pytest.mark.parametrize("video", ["mpeg4", "mjpeg"])
def test_edit_that_trims_is_applied_as_ffmpeg_applies_it(length: int, at: int, video: str) -> None:
    options = (("bf", "2"), ("g", "12")) if video == "mpeg4" else ()
    file = bytearray(make("mp4", video, None, options=options))
    place = file.index(b"elst") + 12
    file[place : place + 8] = words(length, at)
    start, end, _, _ = judge(bytes(file))
    extent = scan(bytes(file)).extent
    assert near(extent, start, end, 0.001)


@pytest.mark.parametrize(("length", "at"), [(900, 0), (500, 100), (500, 9600), (300, 30000), (980, 960)])
def test_edit_of_sound_takes_in_the_packet_that_it_begins_in(length: int, at: int) -> None:
    file = bytearray(make("mp4", None, "libopus"))
    place = file.index(b"elst") + 12
    file[place : place + 8] = words(length, at)
    start, end, _, _ = judge(bytes(file))
    extent = scan(bytes(file)).extent
    assert near(extent, start, end, 0.001)


def test_edit_in_the_middle_of_a_long_file_begins_where_ffmpeg_says() -> None:
    file = bytearray(make("mp4", "mpeg4", None, seconds=20, options=(("bf", "2"), ("g", "12"))))
    place = file.index(b"elst") + 12
    file[place : place + 8] = words(7010, 8 * 12800 + 100)
    start, end, _, _ = judge(bytes(file))
    extent = scan(bytes(file)).extent
    assert near(extent, start, end, 0.041)


def test_continuations_of_a_recording_are_right_wherever_it_is_cut() -> None:
    file = make("mp4", "mpeg4", "libopus", seconds=0.4, movflags=FRAGMENTED, options=(("bf", "2"), ("g", "3")))
    whole = scan(file)
    for cut in range(len(file) + 1):
        scanner, (first, second) = scan_segments(file, cut)
        assert scanner.tracks == whole.tracks
        assert first.samples + second.samples == whole.extent.samples
        assert first.key_frames + second.key_frames == whole.extent.key_frames
        assert min(e.start for e in (first, second) if e.start is not None) == whole.extent.start
        assert max(e.end for e in (first, second) if e.end is not None) == whole.extent.end


def test_each_fragment_counts_for_the_segment_that_its_header_is_in() -> None:
    second = len(header()) + 2 * len(fragment(1, 0))
    for inside in (0, 1, 7, 8, 20):
        # Nothing of the third fragment's samples has come before the cut.
        _, extents = scan_segments(RECORDING, len(header()), second + inside)
        assert extents == [Extent(), Extent(0.0, 0.4, 10, 10), Extent(0.4, 0.8, 10, 10)]
    _, extents = scan_segments(RECORDING, len(RECORDING) - 3)
    assert extents == [Extent(0.0, 0.8, 20, 20), Extent()]


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 17, 1000])
@pytest.mark.parametrize("movflags", ["", "faststart", FRAGMENTED])
def test_pieces_of_any_size_give_the_same(piece: int, movflags: str) -> None:
    file = make("mp4", "mpeg4", "aac", movflags=movflags, options=(("bf", "2"),))
    whole, pieces = scan(file), scan(file, piece)
    assert (pieces.extent, pieces.tracks, pieces.whole_file) == (whole.extent, whole.tracks, whole.whole_file)


def test_every_cut_into_two_pieces_gives_the_same() -> None:
    file = make("mov", "mpeg4", None, seconds=0.3, options=(("bf", "2"),))
    whole = scan(file)
    for cut in range(len(file) + 1):
        scanner = IsoScanner()
        scanner.begin_segment()
        scanner.feed(file[:cut])
        scanner.feed(file[cut:])
        assert (scanner.extent, scanner.tracks) == (whole.extent, whole.tracks)


def test_whole_file_counts_for_the_segment_that_completes_its_header() -> None:
    in_front = make("mp4", "mpeg4", "aac", movflags="faststart", options=(("bf", "2"),))
    scanner, extents = scan_segments(in_front, in_front.index(b"mdat") + 20)
    assert scanner.whole_file
    assert (extents[0], extents[1]) == (scan(in_front).extent, Extent())
    behind = make("mp4", "mpeg4", "aac", options=(("bf", "2"),))
    scanner, extents = scan_segments(behind, behind.index(b"mdat") + 20, len(behind) - 300)
    assert scanner.whole_file
    assert extents[:1] == [Extent()]
    assert sum(extent.samples for extent in extents) == scan(behind).extent.samples
    assert [extent for extent in extents if extent.samples] == [scan(behind).extent]


def test_header_alone_is_complete_and_holds_nothing() -> None:
    scanner = scan(header())
    assert scanner.header_complete
    assert scanner.tracks == (VIDEO, AUDIO)
    assert scanner.extent == Extent()
    assert not scanner.whole_file
    assert not scan(FTYP).header_complete


def test_header_without_video_or_sound_is_complete_all_the_same() -> None:
    scanner = scan(movie(trak(runs(b"stts", (3, 10)), stsz(3), kind=b"text")))
    assert scanner.header_complete
    assert scanner.tracks == ()
    assert scanner.extent == Extent()


def test_copy_is_independent() -> None:
    cut = len(header()) + 40
    scanner = IsoScanner()
    scanner.begin_segment()
    scanner.feed(RECORDING[:cut])
    other = scanner.copy()
    other.feed(RECORDING[cut:])
    assert (scanner.extent, other.extent) == (Extent(), Extent(0.0, 0.8, 20, 20))
    scanner.feed(RECORDING[cut:])
    assert scanner.extent == other.extent
    inside = header() + moof(1, traf(trun(3, 40, 40, 40, flags=0x100)))
    for cut in range(len(inside)):
        scanner = IsoScanner()
        scanner.begin_segment()
        scanner.feed(inside[:cut])
        other = scanner.copy()
        scanner.feed(inside[cut:])
        other.feed(inside[cut:])
        assert other.extent == scanner.extent == Extent(0.0, 0.12, 3, 3)


@pytest.mark.parametrize(
    "flags", [sum(bits) for bits in product((0, 1), (0, 4), (0, 0x100), (0, 0x200), (0, 0x400), (0, 0x800))]
)
def test_all_combinations_of_the_fields_of_a_run(flags: int) -> None:
    durations = [30, 40, 50] if flags & 0x100 else [7, 7, 7]
    offsets = [20, 60, 0] if flags & 0x800 else [0, 0, 0]
    sample_flags = [0, 0x10000, 0x1000000] if flags & 0x400 else [0 if flags & 4 else 0x10000, 0x10000, 0x10000]
    numbers = ([0] if flags & 1 else []) + ([0] if flags & 4 else [])
    for i in range(3):
        for flag, values in ((0x100, durations), (0x200, [9, 9, 9]), (0x400, sample_flags), (0x800, offsets)):
            if flags & flag:
                numbers.append(values[i])
    file = header(trex=(7, 0x10000)) + moof(1, traf(trun(3, *numbers, flags=flags), at=100))
    shown = [100 + sum(durations[:i]) + offsets[i] for i in range(3)]
    end = max(time + length for time, length in zip(shown, durations, strict=True))
    key_frames = sum(flag == 0 for flag in sample_flags)
    for piece in (1, 1000):
        assert scan(file, piece).extent == Extent(min(shown) / 1000, end / 1000, 3, key_frames)


def test_defaults_of_a_track_fragment_stand_before_those_of_the_header() -> None:
    flags = 0x01 | 0x02 | 0x08 | 0x10 | 0x20
    tfhd = box(b"tfhd", words(flags, 1), longs(0), words(1, 25, 9, 0x10000))
    file = header() + moof(1, box(b"traf", tfhd, box(b"tfdt", words(0x1000000), longs(1 << 33)), trun(4), trun(2)))
    start = (1 << 33) / 1000
    assert scan(file).extent == Extent(start, start + 0.15, 6, 0)


def test_runs_follow_one_another_and_fragments_without_a_time_too() -> None:
    file = header() + moof(1, traf(trun(2), trun(3), at=None), traf(trun(0, flags=0x100), trun(10), number=2, at=None))
    file += moof(2, traf(trun(1), at=None))
    assert scan(file).extent == Extent(0.0, 0.4, 16, 6)


def test_negative_offsets_delay_a_fragmented_track_as_in_ffmpeg() -> None:
    numbers = [0, 40, -40]
    file = header() + moof(1, traf(trun(3, *numbers, flags=0x01000800)))
    assert scan(file).extent == Extent(0.04, 0.16, 3, 3)


def test_delay_of_a_run_does_not_depend_on_the_pieces_that_it_comes_in() -> None:
    entries = [number for i in range(1200) for number in (40, -80 if i == 1100 else 0)]
    file = header() + moof(1, traf(trun(1200, *entries, flags=0x01000900)))
    for piece in (1, 100, 100000):
        assert scan(file, piece).extent == Extent(0.08, 48.08, 1200, 1200)


def test_a_fragment_counts_for_the_segment_in_which_its_moof_is_complete() -> None:
    file = header() + moof(1, traf(trun(10, *range(10, 20), flags=0x100)))
    assert scan_segments(file, len(file) - 26)[1] == [Extent(), Extent(0.0, 0.145, 10, 10)]


def test_edit_only_shifts_a_fragmented_track() -> None:
    shifted = header(trak(edits=elst((500, -1), (0, 40))))
    extent = scan(shifted + moof(1, traf(trun(2)))).extent
    assert near(extent, 0.46, 0.54)
    trimmed = header(trak(edits=elst((0, 40))))
    extent = scan(trimmed + moof(1, traf(trun(2)))).extent
    assert near(extent, -0.04, 0.04)
    nothing = header(trak(edits=elst((500, -1), (500, -1))))
    assert scan(nothing + moof(1, traf(trun(2)))).extent.start == 0.5


def test_samples_of_text_in_fragments_are_not_counted() -> None:
    file = header(trak(), trak(number=2, kind=b"text")) + moof(1, traf(trun(2)), traf(trun(9), number=2))
    assert scan(file).extent == Extent(0.0, 0.08, 2, 2)


def test_samples_in_the_header_and_in_fragments_follow_one_another() -> None:
    file = header(trak(runs(b"stts", (10, 40)), stsz(10))) + moof(1, traf(trun(5), at=None))
    scanner = scan(file)
    assert scanner.extent == Extent(0.0, 0.6, 15, 15)
    assert not scanner.whole_file


def test_boxes_around_the_media_are_stepped_over() -> None:
    extras = box(b"styp", b"msdh") + box(b"sidx", bytes(40)) + box(b"emsg", bytes(30)) + box(b"free", bytes(9))
    extras += box(b"uuid", bytes(16)) + box(b"prft", bytes(24)) + box(b"meta", bytes(11)) + box(b"mfra", bytes(5))
    file = header() + extras + fragment(1, 0) + extras + fragment(2, 200) + extras
    assert scan(file).extent == Extent(0.0, 0.4, 10, 10)
    inside = movie(
        trak(runs(b"stts", (5, 40)), stsz(5), box(b"sgpd", bytes(7))), box(b"udta", b"\xa9nam"), box(b"\xa9xyz")
    )
    assert scan(inside).extent == Extent(0.0, 0.2, 5, 5)


def test_header_that_is_repeated_in_a_recording_is_stepped_over() -> None:
    file = header() + fragment(1, 0) + header(trak(kind=b"soun")) + fragment(2, 200)
    assert scan(file).extent == Extent(0.0, 0.4, 10, 10)
    assert scan(file).tracks == (VIDEO, AUDIO)


def test_sizes_of_64_bits_and_no_size_are_understood() -> None:
    tables = (runs(b"stts", (5, 40)), stsz(5))
    moov = box(b"moov", MVHD, trak(*tables), wide=True)
    for file in (
        FTYP + box(b"mdat", bytes(7), wide=True) + moov,
        FTYP + moov + box(b"mdat", bytes(99), size=0),
        FTYP + moov + box(b"mdat", bytes(99), wide=True, size=(1 << 64) - 1),
        FTYP + box(b"moov", MVHD, trak(*tables), size=0),
    ):
        for piece in (1, 1000):
            scanner = scan(file, piece)
            assert scanner.extent == Extent(0.0, 0.2, 5, 5)
            assert scanner.whole_file


def test_header_to_the_end_of_the_file_is_not_ended_inside_a_track() -> None:
    file = FTYP + box(b"moov", MVHD, trak(runs(b"stts", (5, 40)), stsz(5)), size=0)
    for cut in range(len(FTYP) + 1, len(file) - 1):
        scanner, extents = scan_segments(file, cut)
        assert scanner.extent == Extent(0.0, 0.2, 5, 5)
        assert extents[0] == Extent()


def test_boxes_of_version_1_have_times_of_64_bits() -> None:
    edits = box(b"elst", words(0x1000000, 2), longs(1000, -1), words(0x10000), longs(900, 1 << 34), words(0x10000))
    track = box(
        b"trak",
        box(b"tkhd", words(0x1000000), longs(0, 0), words(7, 0), longs(0)),
        box(b"edts", edits),
        box(
            b"mdia",
            box(b"mdhd", words(0x1000000), longs(0, 0), words(1000), longs(0)),
            box(b"hdlr", words(0, 0), b"vide"),
            box(
                b"minf",
                box(b"stbl", sample_entry(b"av01"), runs(b"stts", (1, 1 << 31), (8, 1 << 31), (5, 100)), stsz(14)),
            ),
        ),
    )
    file = FTYP + box(b"moov", box(b"mvhd", words(0x1000000), longs(0, 0), words(2000), longs(0)), track)
    scanner = scan(file)
    assert scanner.tracks == (Track("video", "av1"),)
    # The first edit is empty for 1000 / 2000 s; the second shows the one sample that begins in the 450 ms from 2**34.
    assert scanner.extent == Extent(0.5, 0.5 + (1 << 31) / 1000, 14, 14)


def test_long_runs_are_not_expanded() -> None:
    file = progressive(runs(b"stts", (0xFFFFFFF0, 1)), runs(b"ctts", (0xFFFFFFF0, 2)), stsz(0xFFFFFFF0))
    assert lines(lambda: scan(file)) < 5000
    extent = scan(file).extent
    assert (extent.start, extent.end, extent.samples) == (0.002, (0xFFFFFFF0 + 2) / 1000, 0xFFFFFFF0)
    fragment = header() + moof(1, traf(trun(0xFFFFFFFF)))
    assert lines(lambda: scan(fragment)) < 5000
    assert scan(fragment).extent == Extent(0.0, 0xFFFFFFFF * 40 / 1000, 0xFFFFFFFF, 0xFFFFFFFF)


def test_long_tables_are_not_held() -> None:
    entries = [(1, 40)] * 20000
    offsets = [(1, 80 if i % 3 == 1 else 0) for i in range(20000)]
    # The edit begins and ends where nothing is kept of the tables.
    file = progressive(runs(b"stts", *entries), runs(b"ctts", *offsets), stsz(20000), edits=elst((300_000, 200_000)))
    scanner = IsoScanner()
    scanner.begin_segment()
    held = 0
    for i in range(0, len(file), 50):
        scanner.feed(file[i : i + 50])
        held = max(
            held,
            len(scanner._pending) + sum(len(r.head + r.tail) for r in (scanner._trak.durations, scanner._trak.offsets)),
        )
    assert held < 16 * 1024
    assert scanner.extent.samples == 20000
    assert near(scanner.extent, 0.0, 300.0, 0.05)


def test_held_bytes_stay_few_in_all_files() -> None:
    for container, video, audio, movflags, options in FILES[:9]:
        file = make(container, video, audio, movflags=movflags, options=options)
        scanner = IsoScanner()
        for i in range(0, len(file), 10):
            scanner.feed(file[i : i + 10])
            assert len(scanner._pending) < 5000


def test_tables_that_disagree_about_the_number_of_samples_are_read_as_ffmpeg_reads_them() -> None:
    # More samples than durations: the last duration goes on. Fewer: the rest of the table is not used.
    assert scan(progressive(runs(b"stts", (2, 10), (3, 40)), stsz(10))).extent == Extent(0.0, 0.34, 10, 10)
    assert scan(progressive(runs(b"stts", (2, 10), (3, 40)), stsz(4))).extent == Extent(0.0, 0.1, 4, 4)
    assert scan(progressive(runs(b"stts", (2, 10), (3, 40)), stsz(1))).extent == Extent(0.0, 0.01, 1, 1)
    offsets = runs(b"ctts", (0, 900), (1, 5), (1, 15))
    assert scan(progressive(runs(b"stts", (10, 10)), offsets, stsz(10))).extent == Extent(0.005, 0.1, 10, 10)
    assert scan(progressive(runs(b"stts", (0, 10)), stsz(10))).extent == Extent(None, None, 10, 10)
    assert scan(progressive(runs(b"stts", (10, 10)), stsz(0))).extent == Extent()
    assert scan(progressive(stsz(3))).extent == Extent(None, None, 3, 3)
    many = runs(b"stts", *[(1, 10 + i % 2) for i in range(400)])
    extent = scan(progressive(many, stsz(2))).extent
    assert extent.samples == 2


def test_last_frame_that_lasts_for_minutes_gets_the_usual_duration() -> None:
    extent = scan(progressive(runs(b"stts", (150, 40), (1, 90_000)), stsz(151))).extent
    assert extent == Extent(0.0, 151 * 0.04, 151, 151)


def test_key_frames_are_those_of_the_table() -> None:
    tables = (runs(b"stts", (9, 40)), stsz(9))
    assert scan(progressive(*tables, box(b"stss", words(0, 2, 1, 5)))).extent.key_frames == 2
    assert scan(progressive(*tables, box(b"stss", words(0, 1, 1)), box(b"stps", words(0, 1, 4)))).extent.key_frames == 2
    assert scan(progressive(*tables, box(b"stss", words(0, 0)))).extent.key_frames == 1
    assert scan(progressive(*tables, kind=b"soun")).extent.key_frames == 0


def test_samples_of_few_bits_are_counted() -> None:
    table = box(b"stz2", words(0, 4, 5), bytes(3))
    assert scan(progressive(runs(b"stts", (5, 40)), table)).extent == Extent(0.0, 0.2, 5, 5)
    assert scan(progressive(runs(b"stts", (5, 40)), box(b"stsz", words(0, 0, 5, 1, 1, 1, 1, 1)))).extent.samples == 5


def test_edits_place_samples() -> None:
    tables = (runs(b"stts", (100, 40)), stsz(100))

    def span(*edits: tuple[int, int], kind: bytes = b"vide", more: tuple[bytes, ...] = tables) -> object:
        extent = scan(progressive(*more, kind=kind, edits=elst(*edits))).extent
        return None if extent.start is None or extent.end is None else (extent.start, extent.end)

    assert span((2000, -1), (4000, 0)) == (2.0, 6.0)
    assert span((0, 0)) == (0.0, 4.0)
    assert span((1000, 1000), (1000, 0)) == (0.0, 2.0)
    assert span((1000, 1001), kind=b"soun") == (-0.001, 1.039)
    assert span((1000, 99_000)) is None
    assert span((1000, 0), more=(runs(b"stts", (100, 40)), runs(b"ctts", (100, 5000)), stsz(100))) is None
    assert span((1000, 30), kind=b"soun", more=(runs(b"stts", (3, 0)), stsz(3))) is None
    long = (runs(b"stts", (1000, 40)), stsz(1000))
    assert span((1000, 20_001), more=long) == (0.0, pytest.approx(1.0))
    assert span((1000, 20_001), more=long, kind=b"soun") == (-0.001, 1.039)
    assert span((1000, 39_001), more=long) == (0.0, pytest.approx(0.96))
    assert span((9000, 39_001), more=long, kind=b"soun") == (-0.001, 0.999)
    assert span((9000, 40_001), more=long) is None


def test_tracks_without_a_timescale_use_that_of_the_movie() -> None:
    tables = (runs(b"stts", (5, 40)), stsz(5))
    assert scan(progressive(*tables, timescale=0)).extent.end == 0.2
    assert scan(FTYP + box(b"moov", trak(*tables, timescale=0, edits=elst((9, -1), (5, 0))))).extent.end == 200


@pytest.mark.parametrize(
    ("beginning", "container"),
    [
        (b"", "mov"),
        (box(b"ftyp", b"qt  ", words(0)), "mov"),
        (box(b"ftyp", b"mp42", words(0)), "mp4"),
        (box(b"ftyp"), "mp4"),
        (box(b"wide"), "mov"),
        (box(b"mdat", b"123"), "mov"),
        (box(b"skip", b"1"), "mov"),
        (box(b"free", b"1") + FTYP, "mp4"),
        (box(b"wide") + FTYP, "mov"),
    ],
)
def test_container_is_told_by_the_first_box(beginning: bytes, container: str) -> None:
    scanner = scan(beginning + box(b"moov", MVHD, trak(runs(b"stts", (5, 40)), stsz(5))))
    assert scanner.container == container
    assert scanner.extent.samples == 5


def esds(object_type: int, *, flags: int = 0, outer: bool = True) -> bytes:
    config = b"\x04\x80\x80\x80\x0d" + bytes((object_type,)) + bytes(12)
    if not outer:
        return box(b"esds", words(0), config)
    extra = (
        (b"\0\0" if flags & 0x80 else b"") + (b"\x03abc" if flags & 0x40 else b"") + (b"\0\0" if flags & 0x20 else b"")
    )
    return box(b"esds", words(0), b"\x03\x20\0\0", bytes((flags,)), extra, config)


def sound(version: int = 0, bits: int = 16, *extra: bytes, flags: int = 0) -> bytes:
    first = struct.pack(">HHIHHHHI", version, 0, 0, 2, 16 if version == 2 else bits, 0, 0, 48000 << 16)
    if version == 2:
        first += struct.pack(">IdIIIIII", 72, 48000.0, 2, 0x7F000000, bits, flags, 4, 1)
    return first + (bytes(16) if version == 1 else b"") + b"".join(extra)


VIDEO_ENTRIES = {
    "avc1": "h264", "avc3": "h264", "hvc1": "hevc", "hev1": "hevc", "vp08": "vp8", "vp09": "vp9", "av01": "av1",
    "mp4v": "mpeg4", "jpeg": "mjpeg", "mjpa": "mjpeg", "mjpb": "mjpegb", "apcn": "prores", "rle ": "qtrle",
    "xd5b": "mpeg2video", "????": "unknown",
}  # fmt: skip


@pytest.mark.parametrize(("form", "codec"), VIDEO_ENTRIES.items())
def test_video_codec_is_told_by_the_sample_entry(form: str, codec: str) -> None:
    file = movie(trak(entry=sample_entry(form.encode())))
    assert scan(file).tracks == (Track("video", codec),)


SOUND_ENTRIES = [
    (b"mp4a", sound(), "aac"),
    (b"mp4a", sound(0, 16, esds(0x40)), "aac"),
    (b"mp4a", sound(0, 16, esds(0x69)), "mp3"),
    (b"mp4a", sound(0, 16, esds(0x6B)), "mp3"),
    (b"mp4a", sound(0, 16, esds(0xA5, flags=0xE0)), "ac3"),
    (b"mp4a", sound(0, 16, esds(0xDD, flags=0x40)), "vorbis"),
    (b"mp4a", sound(0, 16, esds(0x77)), "aac"),
    # A size of four bytes that announces a fifth: there are no more than four (ISO/IEC 14496-1, 8.3.3).
    (b"mp4a", sound(0, 16, box(b"esds", words(0), b"\x03\x80\x80\x80\xa0\0\0\0\x04\x80\x80\x80\x92\x69")), "mp3"),
    (b"mp4a", sound(0, 16, box(b"esds", words(0), b"\x06\x00")), "aac"),
    (b"mp4a", sound(0, 16, box(b"esds", words(0), b"\x03\x80")), "aac"),
    (b"mp4a", sound(1, 16, box(b"wave", box(b"frma", b"mp4a"), esds(0x40, outer=False))), "aac"),
    (b"enca", sound(0, 16, box(b"sinf", box(b"frma", b"Opus"))), "opus"),
    (b"enca", sound(), "unknown"),
    (b"Opus", sound(), "opus"),
    (b"ac-3", sound(), "ac3"),
    (b"ec-3", sound(), "eac3"),
    (b"fLaC", sound(), "flac"),
    (b".mp3", sound(), "mp3"),
    (b"ms\0\x55", sound(1), "mp3"),
    (b"alac", sound(), "alac"),
    (b"ulaw", sound(1), "pcm_mulaw"),
    (b"sowt", sound(), "pcm_s16le"),
    (b"sowt", sound(0, 8), "pcm_s8"),
    (b"twos", sound(), "pcm_s16be"),
    (b"twos", sound(0, 24), "pcm_s24be"),
    (b"twos", sound(0, 17), "unknown"),
    (b"raw ", sound(0, 8), "pcm_u8"),
    (b"raw ", sound(), "pcm_s16be"),
    (b"NONE", sound(0, 8), "pcm_u8"),
    (b"in24", sound(1), "pcm_s24be"),
    (b"in24", sound(1, 16, box(b"wave", box(b"enda", b"\0\1"))), "pcm_s24le"),
    (b"in32", sound(1, 16, box(b"wave", box(b"enda", b"\0\0"))), "pcm_s32be"),
    (b"fl64", sound(1), "pcm_f64be"),
    (b"lpcm", sound(2, 24, flags=4 | 8), "pcm_s24le"),
    (b"lpcm", sound(2, 16, flags=4 | 2), "pcm_s16be"),
    (b"lpcm", sound(2, 32, flags=1), "pcm_f32le"),
    (b"lpcm", sound(2, 8, flags=0), "pcm_u8"),
    (b"ipcm", sound(0, 24, box(b"pcmC", words(0), b"\1\x18")), "pcm_s24le"),
    (b"fpcm", sound(0, 24, box(b"pcmC", words(0), b"\0\x20")), "pcm_f32be"),
    (b"ipcm", sound(), "unknown"),
    (b"????", sound(), "unknown"),
]


@pytest.mark.parametrize(("form", "body", "codec"), SOUND_ENTRIES)
def test_sound_codec_is_told_by_the_sample_entry(form: bytes, body: bytes, codec: str) -> None:
    file = movie(trak(kind=b"soun", entry=sample_entry(form, body)))
    assert scan(file).tracks == (Track("audio", codec),)


def test_video_codec_is_told_by_the_object_type() -> None:
    for object_type, codec in ((0x20, "mpeg4"), (0x61, "mpeg2video"), (0x6A, "mpeg1video"), (0x6C, "mjpeg")):
        file = movie(trak(entry=sample_entry(b"mp4v", bytes(70) + esds(object_type))))
        assert scan(file).tracks == (Track("video", codec),)


def test_track_without_a_sample_entry_is_of_an_unknown_codec() -> None:
    assert scan(movie(trak(entry=box(b"stsd", words(0, 0))))).tracks == (Track("video", "unknown"),)


def test_lists_may_end_with_zeros() -> None:
    tables = (runs(b"stts", (5, 40)), stsz(5))
    file = FTYP + box(b"moov", MVHD, trak(*tables), bytes(4))
    assert scan(file).extent.samples == 5
    file = FTYP + box(b"moov", MVHD, trak(*tables), bytes(12))
    assert scan(file).extent.samples == 5


def test_what_stands_behind_a_whole_file_is_stepped_over() -> None:
    file = progressive(runs(b"stts", (5, 40)), stsz(5))
    for trailer in (box(b"sefd", bytes(9)), bytes(20), b"\0\0\0", box(b"moov", b"anything"), bytes(8)):
        assert scan(file + trailer).extent.samples == 5


def test_pieces_of_a_recording_out_of_order_or_missing_are_noticed() -> None:
    pieces = [header(), *(fragment(i + 1, i * 200) for i in range(5))]
    for order, words_ in {
        (0, 1, 2, 4): "fragment 4 comes after fragment 2: a piece of the recording is missing",
        (0, 1, 2, 2): "fragment 2 comes after fragment 2: the pieces are out of order",
        (0, 2, 1): "fragment 1 comes after fragment 2: the pieces are out of order",
    }.items():
        error = fault(b"".join(pieces[i] for i in order))
        assert error.what == words_
        assert error.at == sum(len(pieces[i]) for i in order[:-1]) + 8
    inside = b"".join(pieces)
    error = fault(inside[:300] + inside[310:])
    assert error.at <= len(inside)


def test_numbers_of_fragments_that_stand_still_or_leap_from_the_beginning_are_no_fault() -> None:
    for numbers in ((1, 1, 1), (0, 5, 6, 9), (3, 4, 5)):
        file = header() + b"".join(fragment(number, i * 200) for i, number in enumerate(numbers))
        assert scan(file).extent.samples == 5 * len(numbers)


def test_time_that_goes_back_is_noticed() -> None:
    error = fault(header() + fragment(1, 400) + fragment(1, 200))
    assert error.what == "a fragment of track 1 goes back from 0.400 s to 0.200 s: the pieces are out of order"


HEADER = len(header())
WHOLE = progressive(runs(b"stts", (5, 40)), stsz(5))
BROKEN = [
    (
        FTYP + b"\x12\x34\x56\x78\xff\xfe\xfd\xfc",
        "a box must come here, found bytes 12 34 56 78 ff fe fd fc",
        len(FTYP),
    ),
    (FTYP + bytes(8), "a box must come here, found bytes 00 00 00 00 00 00 00 00", len(FTYP)),
    (FTYP + box(b"free", size=7), "a box must come here, found bytes 00 00 00 07 66 72 65 65", len(FTYP)),
    (FTYP + box(b"free", wide=True, size=15), "a box must come here", len(FTYP)),
    (FTYP + box(b"abcd"), "a box must come here", len(FTYP)),
    (FTYP + box(b"moov", box(b"\x01\x02\x03\x04")), "a box must come here", len(FTYP) + 8),
    (
        FTYP + box(b"moov", box(b"trak", size=99)),
        "a 'trak' box of 99 bytes reaches beyond the 'moov' box around it",
        len(FTYP) + 8,
    ),
    (FTYP + box(b"moov", box(b"mvhd", words(0, 0, 0))), "the 'mvhd' box is too short", len(FTYP) + 28),
    (FTYP + fragment(1, 0), "a fragment (moof) comes before the header (moov) that it needs", len(FTYP)),
    (WHOLE + fragment(1, 0), "announces none", len(WHOLE)),
    (WHOLE + WHOLE, "a second file (ftyp) begins inside the segment", len(WHOLE)),
    (header() + moof(1, traf(number=9)), "track 9, which the header (moov) does not announce", HEADER + 32),
    (header(trak()) + moof(1, traf(number=3)), "track 3, which the header (moov) does not announce", None),
    (header() + moof(1, box(b"traf", trun(1))), "does not begin with the number of the track (tfhd)", HEADER + 32),
    (header() + moof(1, box(b"traf", box(b"tfdt", words(0, 0)))), "(tfhd)", HEADER + 32),
    (header() + moof(1, traf(trun(99, 1, flags=0x100))), "the table in the 'trun' box is larger than the box", None),
    (header() + moof(1, traf(trun(1, flags=0x4))), "the 'trun' box is too short", None),
    (header() + moof(1, traf(trun(1, flags=0x1))), "the table in the 'trun' box is larger than the box", None),
    (progressive(box(b"stts", words(0, 9, 1, 1))), "the table in the 'stts' box is larger than the box", None),
    (progressive(box(b"ctts", words(0, 9, 1, 1))), "the table in the 'ctts' box is larger than the box", None),
    (progressive(box(b"stss", words(0, 9, 1, 1))), "the table in the 'stss' box is larger than the box", None),
    (progressive(box(b"stsz", words(0, 0, 9, 1))), "the table in the 'stsz' box is larger than the box", None),
    (progressive(box(b"stz2", words(0, 8, 9, 1))), "the table in the 'stz2' box is larger than the box", None),
    (movie(*[trak(number=i + 1) for i in range(33)]), "the file has more than 32 tracks", None),
]


@pytest.mark.parametrize(("file", "what", "at"), BROKEN)
def test_broken_file_is_refused_with_what_was_found_and_where(file: bytes, what: str, at: int | None) -> None:
    for piece in (1, 1 << 20):
        error = fault(file, piece)
        assert what in error.what
        assert at is None or error.at == at


def test_place_of_a_fault_is_counted_from_the_beginning_of_the_segment() -> None:
    file = header() + fragment(1, 0) + b"\xff" * 9
    scanner = IsoScanner()
    scanner.begin_segment()
    scanner.feed(file[: HEADER + 50])
    scanner.begin_segment()
    with pytest.raises(MediaError) as caught:
        scanner.feed(file[HEADER + 50 :])
    assert caught.value.at == len(file) - 9 - HEADER - 50


def _edits(number: int) -> bytes:
    edits = elst(*[(100, 7 * i) for i in range(number)])
    entries = runs(b"stts", *[(1, i % 7) for i in range(number)])
    return movie(*[trak(entries, stsz(number), edits=edits, number=i) for i in (1, 2)])


CRAFTED: dict[str, Callable[[int], bytes]] = {
    "movies in a row": lambda n: FTYP + box(b"moov") * 2 + box(b"moov", size=8) * n + b"\xff" * 8,
    "free boxes": lambda n: header() + box(b"free") * n,
    "free boxes in the movie": lambda n: FTYP + box(b"moov", MVHD, box(b"free") * n),
    "a payload without end": lambda n: FTYP + box(b"mdat", wide=True, size=1 << 63) + bytes(100 * n),
    "empty tracks in a fragment": lambda n: header() + moof(1, *[traf(trun(0), at=None)] * n),
    "tables in a row": lambda n: progressive(stsz(5), *[runs(b"stts", (5, 1))] * n),
    "defaults": lambda n: header(box(b"mvex", *[box(b"trex", words(0, i, 0, 0, 0, 0)) for i in range(n)])),
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_sizes_take_work_in_proportion_to_their_number(name: str) -> None:
    def work(number: int) -> int:
        def run() -> None:
            with suppress(MediaError):
                scan(CRAFTED[name](number), 100)

        return lines(run)

    once, twice = work(400), work(800)
    assert twice < 2.2 * once


def test_edits_take_work_in_proportion_to_edits_and_entries() -> None:
    # Each of the edits is held against each of the entries that are kept, of which there is a bounded number.
    once, twice = lines(lambda: scan(_edits(150))), lines(lambda: scan(_edits(300)))
    assert twice < 4.4 * once


def test_defaults_are_kept_of_a_bounded_number_of_tracks() -> None:
    scanner = scan(FTYP + box(b"moov", box(b"mvex", *[box(b"trex", words(0, i, 0, 0, 0, 0)) for i in range(1000)])))
    assert len(scanner._defaults) <= 64


def outcome(file: bytes, piece: int) -> tuple[object, ...]:
    scanner = IsoScanner()
    scanner.begin_segment()
    try:
        for i in range(0, len(file), piece):
            scanner.feed(file[i : i + piece])
        scanner.finish_segment()
    except MediaError as error:
        return scanner.extent, scanner.tracks, error.what, error.at
    return scanner.extent, scanner.tracks


def test_damaged_files_raise_nothing_but_media_errors_and_the_same_in_any_pieces() -> None:
    chance = random.Random(14496)
    sources = [make("mp4", "mpeg4", "aac", seconds=0.3, movflags=flags) for flags in ("", FRAGMENTED, "faststart")]
    sources += [make("mov", "mjpeg", "pcm_s8", seconds=0.1)[-2500:], RECORDING, WHOLE]
    types = [b"moov", b"trak", b"stts", b"ctts", b"stsz", b"elst", b"trun", b"tfhd", b"tfdt", b"moof", b"mdhd", b"stsd"]
    numbers = [bytes(4), words(1), words(-1), words(0x7FFFFFFF), words(0x80000000), words(8), words(300)]
    for _ in range(600):
        file = bytearray(chance.choice(sources))
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(file))
            match chance.randrange(5):
                case 0:
                    file[at] = chance.randrange(256)
                case 1:
                    del file[at : at + chance.randrange(9)]
                case 2:
                    other = chance.choice(sources)
                    begin = chance.randrange(len(other))
                    file[at:at] = other[begin : begin + chance.randrange(300)]
                case 3:
                    del file[max(at, 50) :]
                case _:
                    found = file.find(chance.choice(types))
                    if found >= 4:
                        place = found + chance.choice((-4, 4, 8, 12, 16, 20))
                        file[place : place + 4] = chance.choice(numbers)
        damaged = bytes(file)
        assert outcome(damaged, len(damaged)) == outcome(damaged, chance.choice((1, 13, 500)))
