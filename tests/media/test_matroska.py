from __future__ import annotations

import contextlib
import random
import struct
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import attrs
import av
import pytest

from ihproto.media.matroska import MatroskaScanner
from ihproto.media.scanner import MAX_TRACKS, Extent, MediaError, Track

RECORDING = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "examples/recording").glob("*.bin"))]
UNKNOWN = None

# --- writing EBML ----------------------------------------------------------------------------------------------------


def ident(element: int) -> bytes:
    return element.to_bytes((element.bit_length() + 7) // 8, "big")


def el(element: int, *children: bytes, size: int | None = -1, size_bytes: int = 4) -> bytes:
    """An element; size None writes an unknown one, -1 the true one."""
    content = b"".join(children)
    if size is None:
        return ident(element) + b"\x01" + b"\xff" * 7 + content
    size = len(content) if size == -1 else size
    return ident(element) + (1 << 7 * size_bytes | size).to_bytes(size_bytes, "big") + content


def uint(element: int, value: int, length: int = 4) -> bytes:
    return el(element, value.to_bytes(length, "big"), size_bytes=1)


def ebml(doc_type: bytes = b"matroska") -> bytes:
    return el(0x1A45DFA3, uint(0x4286, 1), el(0x4282, doc_type), uint(0x4287, 4), size_bytes=1)


def entry(number: int, kind: int, codec: str, *more: bytes) -> bytes:
    return el(0xAE, uint(0xD7, number, 1), uint(0x83, kind, 1), el(0x86, codec.encode()), *more)


def audio(frequency: float = 48000.0, channels: int = 2, bits: int = 0) -> bytes:
    return el(0xE1, el(0xB5, struct.pack(">d", frequency)), uint(0x9F, channels, 1), uint(0x6264, bits, 1))


VIDEO = entry(1, 1, "V_VP8")
OPUS = entry(2, 2, "A_OPUS", audio())


def header(*entries: bytes, size: int | None = UNKNOWN) -> bytes:
    """What comes before the first Cluster of a live recording."""
    return ebml() + el(0x18538067, size=size) + el(0x1654AE6B, *(entries or (VIDEO, OPUS)))


def block(
    track: int, time: int, payload: bytes = b"\x00" * 20, flags: int = 0x80, element: int = 0xA3, size_bytes: int = 2
) -> bytes:
    return el(element, bytes([0x80 | track]), struct.pack(">hB", time, flags), payload, size_bytes=size_bytes)


def cluster(time: int, *children: bytes, size: int | None = UNKNOWN) -> bytes:
    return el(0x1F43B675, uint(0xE7, time), *children, size=size)


def live(*children: bytes, time: int = 0) -> bytes:
    return header() + cluster(time, *children)


SMALL = b"".join(
    (
        ebml(b"webm\0"),
        el(0x18538067, size=None),
        el(0x114D9B74, b"\x00" * 9),
        el(0x1549A966, uint(0x2AD7B1, 1_000_000), el(0x4D80, b"muxer")),
        el(0xEC, b"\x00" * 30),
        el(0x1654AE6B, el(0xBF, b"\x00" * 4), entry(1, 1, "V_VP9", uint(0x23E383, 40_000_000), el(0xE0)), OPUS),
        cluster(0, block(1, 0), block(2, 0, b"\xfb\x03" + b"\x00" * 20), block(2, 60, b"\xfb\x03"), el(0xAB, b"\x01")),
        cluster(
            100,
            block(1, 0, flags=0),
            el(0xA0, block(2, 20, b"\x08" * 9, 0, 0xA1), uint(0x9B, 33, 1)),
            el(0xA0, block(1, 40, b"\x08" * 9, 0, 0xA1), uint(0xFB, 1, 1)),
            el(0xA0, block(1, 80, b"\x08" * 9, 0, 0xA1)),
            el(0xEC, b"\x00" * 5),
            size=-1,
        ),
        el(0x1C53BB6B, b"\x00" * 12),
        cluster(300, block(2, 0, b"\x08\x00", size_bytes=1), block(1, 0), size=-1),
        el(0x1254C367, b"\x00" * 12),
    )
)

# --- reading ---------------------------------------------------------------------------------------------------------


def scan(*pieces: bytes) -> MatroskaScanner:
    """The scanner at the end of one segment."""
    scanner = MatroskaScanner()
    scanner.begin_segment()
    for piece in pieces:
        scanner.feed(piece)
    scanner.finish_segment()
    return scanner


def segments(*pieces: bytes) -> list[Extent]:
    """The extents of segments that continue each other."""
    scanner = MatroskaScanner()
    extents = []
    for piece in pieces:
        scanner.begin_segment()
        scanner.feed(piece)
        scanner.finish_segment()
        extents.append(scanner.extent)
    return extents


def one_by_one(data: bytes) -> MatroskaScanner:
    return scan(*(data[i : i + 1] for i in range(len(data))))


def packets(data: bytes) -> list[tuple[float, float, bool, int]]:
    """What ffmpeg finds: start, end, whether it is a key frame of video, and the place of its block."""
    with av.open(BytesIO(data), "r") as container:
        return [
            (
                float(packet.pts * packet.time_base),
                float((packet.pts + (packet.duration or 0)) * packet.time_base),
                packet.stream.type == "video" and packet.is_keyframe,
                packet.pos or 0,
            )
            for packet in container.demux()
            if packet.pts is not None and packet.time_base is not None
        ]


def refused(data: bytes, *more: bytes) -> MediaError:
    with pytest.raises(MediaError) as whole:
        segments(data, *more)
    if not more:
        with pytest.raises(MediaError) as bytewise:
            one_by_one(data)
        assert (bytewise.value.what, bytewise.value.at) == (whole.value.what, whole.value.at)
    return whole.value


# --- against ffmpeg --------------------------------------------------------------------------------------------------


def test_a_browser_recording_has_the_packets_that_ffmpeg_finds() -> None:
    scanner = scan(*RECORDING)
    found = packets(b"".join(RECORDING))
    assert scanner.container == "webm"
    assert scanner.tracks == (Track("video", "vp8"), Track("audio", "opus"))
    assert scanner.extent.samples == len(found)
    assert scanner.extent.key_frames == sum(key for _, _, key, _ in found)
    assert scanner.extent.start == pytest.approx(min(start for start, *_ in found), abs=0.001)
    assert scanner.extent.end == pytest.approx(max(end for _, end, *_ in found), abs=0.001)
    assert scanner.gap is None


def test_every_piece_of_a_browser_recording_has_its_own_packets() -> None:
    found = packets(b"".join(RECORDING))
    extents = segments(*RECORDING)
    begin = 0
    for piece, extent in zip(RECORDING, extents, strict=True):
        # A block is of the piece where its header ends: the place that ffmpeg tells is that of its ID.
        mine = [packet for packet in found if begin - 1 <= packet[3] < begin + len(piece) - 1]
        assert extent.samples == len(mine)
        assert extent.key_frames == sum(key for _, _, key, _ in mine)
        assert extent.start == pytest.approx(min(start for start, *_ in mine), abs=0.001)
        # ffmpeg guesses the length of video frames, 50 ms, which this file does not tell.
        assert extent.end == pytest.approx(max(end for _, end, *_ in mine), abs=0.05)
        begin += len(piece)


def written(form: str, video: str | None, sound: str | None, rate: Fraction, options: dict[str, str]) -> bytes:
    """A file of two seconds that ffmpeg wrote."""
    file = BytesIO()
    with av.open(file, "w", format=form, options=options) as container:
        frames = container.add_stream(video, rate=rate) if video else None
        samples = container.add_stream(sound, rate=48000) if sound else None
        if samples is not None:
            assert isinstance(samples, av.AudioStream)
            samples.layout = "stereo"
        if frames is not None:
            assert isinstance(frames, av.VideoStream)
            frames.width, frames.height, frames.pix_fmt = 64, 48, "yuvj420p" if video == "mjpeg" else "yuv420p"
            # Fast, since it is not the picture that is looked at.
            quick = {"deadline": "realtime", "cpu-used": "8"} if "vpx" in str(video) else {}
            frames.options = {"threads": "1", **quick}
            frames.codec_context.max_b_frames = 2 if video in ("libx264", "mpeg4", "mpeg2video") else 0
            for number in range(int(2 * rate)):
                picture = av.VideoFrame(64, 48, frames.pix_fmt)
                picture.pts, picture.time_base = number, 1 / rate
                container.mux(frames.encode(picture))
            container.mux(frames.encode(None))
        if samples is not None:
            converter = av.AudioResampler(samples.format.name, "stereo", 48000, samples.frame_size or 1024)
            for number in range(94):
                sound_frame = av.AudioFrame("s16", "stereo", 1024)
                sound_frame.planes[0].update(bytes(range(256)) * (sound_frame.planes[0].buffer_size // 256))
                sound_frame.rate, sound_frame.pts, sound_frame.time_base = 48000, number * 1024, Fraction(1, 48000)
                for frame in converter.resample(sound_frame):
                    container.mux(samples.encode(frame))
            container.mux(samples.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    "options", [{}, {"live": "1"}, {"cluster_time_limit": "300"}], ids=["file", "live", "clusters"]
)
@pytest.mark.parametrize(
    ("form", "video", "sound", "rate", "tracks"),
    [
        ("webm", "libvpx", "libopus", Fraction(30), "vp8 opus"),
        ("webm", "libvpx-vp9", None, Fraction(30000, 1001), "vp9"),
        ("webm", None, "libopus", Fraction(25), "opus"),
        ("matroska", "libx264", "aac", Fraction(25), "h264 aac"),
        ("matroska", "mpeg4", "libmp3lame", Fraction(24000, 1001), "mpeg4 mp3"),
        ("matroska", "mpeg2video", "mp2", Fraction(25), "mpeg2video mp2"),
        ("matroska", "mjpeg", "pcm_s16le", Fraction(10), "mjpeg pcm_s16le"),
        ("matroska", "mpeg4", "ac3", Fraction(50), "mpeg4 ac3"),
        ("matroska", "mpeg4", "eac3", Fraction(50), "mpeg4 eac3"),
        ("matroska", "mpeg4", "flac", Fraction(15), "mpeg4 flac"),
        ("matroska", None, "pcm_f32le", Fraction(15), "pcm_f32le"),
    ],
)
def test_what_ffmpeg_writes_is_read_as_ffmpeg_reads_it(
    form: str, video: str | None, sound: str | None, rate: Fraction, tracks: str, options: dict[str, str]
) -> None:
    data = written(form, video, sound, rate, options)
    found = packets(data)
    scanner = scan(data)
    assert scanner.container == ("webm" if form == "webm" else "mkv")
    kinds = ("video",) * bool(video) + ("audio",) * bool(sound)
    assert scanner.tracks == tuple(map(Track, kinds, tracks.split()))
    assert scanner.extent.samples == len(found)
    assert scanner.extent.key_frames == sum(key for _, _, key, _ in found)
    assert scanner.extent.start == pytest.approx(min(start for start, *_ in found), abs=0.002)
    # The last FLAC frame is short, and only its own header says so.
    assert scanner.extent.end == pytest.approx(max(end for _, end, *_ in found), abs=0.04)


# --- cut anywhere ----------------------------------------------------------------------------------------------------


def same(one: MatroskaScanner, other: MatroskaScanner) -> bool:
    return (one.extent, one.tracks, one.container, one.gap) == (other.extent, other.tracks, other.container, other.gap)


def test_the_small_file_has_what_was_written_into_it() -> None:
    scanner = scan(SMALL)
    assert scanner.container == "webm"
    assert scanner.tracks == (Track("video", "vp9"), Track("audio", "opus"))
    assert scanner.extent == Extent(0.0, 0.34, samples=9, key_frames=3)


def test_bytes_one_by_one_give_the_same_as_all_at_once() -> None:
    assert same(one_by_one(SMALL), scan(SMALL))
    piece = b"".join(RECORDING)[:60_000]
    assert same(one_by_one(piece), scan(piece))


def test_two_pieces_cut_at_every_byte_give_the_same_as_one() -> None:
    whole = scan(SMALL)
    for cut in range(len(SMALL) + 1):
        assert same(scan(SMALL[:cut], SMALL[cut:]), whole), cut


def test_two_segments_cut_at_every_byte_have_together_what_the_file_has() -> None:
    whole = scan(SMALL).extent
    for cut in range(len(SMALL) + 1):
        first, second = segments(SMALL[:cut], SMALL[cut:])
        assert first.samples + second.samples == whole.samples, cut
        assert first.key_frames + second.key_frames == whole.key_frames, cut
        assert min(e.start for e in (first, second) if e.start is not None) == whole.start, cut
        assert max(e.end for e in (first, second) if e.end is not None) == whole.end, cut


def test_a_recording_cut_at_every_byte_around_a_cluster_continues() -> None:
    data = b"".join(RECORDING)[:46_000]
    place = data.rindex(b"\x1f\x43\xb6\x75")
    whole = scan(data).extent
    for cut in [*range(place - 40, place + 60), *range(180, 230)]:
        first, second = segments(data[:cut], data[cut:])
        assert first.samples + second.samples == whole.samples, cut
        assert (second.start if first.start is None else first.start) == whole.start, cut
        assert second.end == whole.end, cut


def test_the_header_is_complete_with_the_last_byte_of_the_track_list() -> None:
    data = header()
    assert not scan(data[:-1]).header_complete
    assert scan(data[:-1]).tracks == ()
    assert scan(data).header_complete


def test_a_block_is_of_the_segment_in_which_its_header_ends() -> None:
    data = live(block(1, 0), block(1, 40))
    cut = len(data) - len(block(1, 40))
    # ID, size, track, time, flags, and the two bytes that tell an Opus packet's length.
    for inside, expected in ((1, (1, 1)), (8, (1, 1)), (9, (2, 0)), (15, (2, 0))):
        assert tuple(e.samples for e in segments(data[: cut + inside], data[cut + inside :])) == expected, inside


def test_a_block_group_that_goes_on_in_the_next_segment_is_as_long_as_is_known() -> None:
    tail = uint(0x9B, 90, 1)
    data = live(el(0xA0, block(1, 0, flags=0, element=0xA1), tail))
    first, second = segments(data[: -len(tail)], tail)
    assert first == Extent(0.0, 0.0, samples=1)
    # Whether it is a key frame shows at its end.
    assert second == Extent(key_frames=1)


def test_a_copy_goes_its_own_way() -> None:
    for cut in range(len(SMALL) + 1):
        scanner = MatroskaScanner()
        scanner.begin_segment()
        scanner.feed(SMALL[:cut])
        copy = scanner.copy()
        before = attrs.evolve(scanner.extent)
        copy.feed(SMALL[cut:])
        assert scanner.extent == before
        scanner.feed(SMALL[cut:])
        assert same(copy, scanner)
        assert scanner.extent == scan(SMALL).extent


# --- times -----------------------------------------------------------------------------------------------------------


def test_the_timestamp_scale_is_the_length_of_a_tick() -> None:
    data = ebml() + el(0x18538067, size=None) + el(0x1549A966, uint(0x2AD7B1, 100_000)) + el(0x1654AE6B, VIDEO)
    assert scan(data + cluster(5000, block(1, -1000), block(1, 2000))).extent == Extent(0.4, 0.7, 2, 2)


def test_the_codec_delay_is_subtracted() -> None:
    data = header(entry(2, 2, "A_OPUS", audio(), uint(0x56AA, 6_500_000)))
    extent = scan(data + cluster(0, block(2, 0, b"\x08\x00"))).extent
    assert extent == Extent(-0.0065, 0.0135, 1)


@pytest.mark.parametrize(
    ("packet", "seconds"),
    [
        # RFC 6716, table 2 and section 3.2: configuration, stereo bit, code.
        (b"\x00\x00", 0.010),
        (b"\x18\x00", 0.060),
        (b"\x60\x00", 0.010),
        (b"\x78\x00", 0.020),
        (b"\x80\x00", 0.0025),
        (b"\xf8\x00", 0.020),
        (b"\xfd\x00", 0.040),
        (b"\xfe\x00", 0.040),
        (b"\xfb\x03", 0.060),
        (b"\xfb\x83", 0.060),
        (b"\xf8", 0.020),
        (b"\xfb", 0.0),
        (b"", 0.0),
    ],
)
def test_the_first_bytes_of_an_opus_packet_tell_how_long_it_is(packet: bytes, seconds: float) -> None:
    data = live(block(2, 0, packet, size_bytes=1))
    # Behind it something else, so that both ways to read a block are gone.
    for more in (b"", el(0xEC, b"\x00" * 20)):
        assert scan(data + more).extent == Extent(0.0, seconds, 1)
        assert one_by_one(data + more).extent == Extent(0.0, seconds, 1)


def test_what_the_container_tells_goes_before_what_the_codec_tells() -> None:
    data = header(entry(2, 2, "A_OPUS", audio(), uint(0x23E383, 25_000_000)))
    assert scan(data + cluster(0, block(2, 0, b"\x08\x00"))).extent.end == 0.025
    group = el(0xA0, uint(0x9B, 7, 1), block(2, 0, b"\x08\x00", element=0xA1))
    assert scan(data + cluster(0, group)).extent.end == 0.007


def test_encrypted_opus_packets_do_not_tell_their_length() -> None:
    data = header(entry(2, 2, "A_OPUS", audio(), el(0x6D80, b"\x00" * 4)))
    assert scan(data + cluster(0, block(2, 0, b"\x08\x00"))).extent == Extent(0.0, 0.0, 1)


@pytest.mark.parametrize(
    ("codec", "more", "seconds"),
    [
        ("A_AAC", audio(48000.0), 1024 / 48000),
        ("A_AC3", audio(48000.0), 1536 / 48000),
        ("A_EAC3", audio(48000.0), 1536 / 48000),
        ("A_MPEG/L2", audio(32000.0), 1152 / 32000),
        ("A_MPEG/L3", audio(44100.0), 1152 / 44100),
        ("A_MPEG/L3", audio(22050.0), 576 / 22050),
        ("A_VORBIS", audio(), 0.0),
        ("A_FLAC", audio() + el(0x63A2, b"fLaC\x00\x00\x00\x22\x10\x00\x10\x00" + b"\x00" * 30), 4096 / 48000),
        ("A_FLAC", audio() + el(0x63A2, b"fLaC\x00\x00\x00\x22\x00\x10\x10\x00"), 0.0),
        ("A_FLAC", audio(), 0.0),
        ("A_PCM/INT/LIT", audio(8000.0, 2, 16), 5 / 8000),
        ("A_PCM/INT/LIT", audio(0.0, 2, 16), 0.0),
        ("A_PCM/INT/LIT", audio(float("nan"), 2, 16), 0.0),
        ("A_AAC", el(0xE1, el(0xB5, struct.pack(">f", 16000.0))), 1024 / 16000),
        ("A_AAC", el(0xE1, el(0xB5, b"\x00\x00")), 0.0),
        # RFC 9559: a SamplingFrequency that is not there is 8000 Hz.
        ("A_AAC", b"", 1024 / 8000),
    ],
)
def test_audio_frames_of_constant_length_are_that_long(codec: str, more: bytes, seconds: float) -> None:
    data = header(entry(1, 2, codec, more)) + cluster(0, block(1, 0, b"\x00" * 20))
    assert scan(data).extent.end == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("flags", [0x02, 0x04, 0x06])
def test_laced_frames_count_one_by_one_and_follow_each_other(flags: int) -> None:
    data = header(entry(1, 2, "A_MPEG/L3", audio(48000.0)), entry(2, 1, "V_VP8", uint(0x23E383, 40_000_000)))
    extent = scan(data + cluster(0, block(1, 100, b"\x03" + b"\x00" * 20, flags))).extent
    assert extent == Extent(0.1, 0.196, 4)
    extent = scan(data + cluster(0, block(2, 100, b"\x01" + b"\x00" * 20, 0x80 | flags))).extent
    assert extent == Extent(0.1, 0.18, 2, 2)
    group = el(0xA0, block(2, 100, b"\x01" + b"\x00" * 20, flags, 0xA1))
    assert scan(data + cluster(0, group)).extent == Extent(0.1, 0.18, 2, 2)


def group(track: int, time: int, *more: bytes, payload: bytes = b"\x08" + b"\x00" * 30) -> bytes:
    return el(0xA0, block(track, time, payload, 0, 0xA1), *more)


@pytest.mark.parametrize(
    ("groups", "extent"),
    [
        ([group(1, 0), group(1, 40, uint(0xFB, 1, 1))], Extent(0.0, 0.04, 2, 1)),
        ([group(1, 80, uint(0x9B, 40, 1)), group(1, 40, uint(0xFB, 1, 8), uint(0x9B, 300, 2))],
         Extent(0.0, 0.34, 2, 1)),
        ([group(1, -5)], Extent(-0.005, 0.0, 1, 1)),
        ([group(2, 0), group(2, 20, payload=b"\xfb\x03" + b"\x00" * 30)], Extent(0.0, 0.08, 2)),
        ([group(2, 0), group(2, 20, uint(0x9B, 5, 1))], Extent(0.0, 0.025, 2)),
        ([group(1, 0, el(0x75A1, b"\x00" * 9)), group(1, 10, uint(0xFA, 1, 1))], Extent(0.0, 0.01, 2, 2)),
        ([group(1, 0, el(0x9B, b"\x09", size_bytes=2)), group(1, 10, el(0xFB, b"\x00" * 9, size_bytes=1))],
         Extent(0.0, 0.01, 2, 1)),
        ([group(1, 0), block(1, 10), group(1, 20), block(2, 20, b"\x08\x00"), group(1, 900)], Extent(0.0, 0.9, 5, 4)),
        ([group(1, 0, payload=b""), group(1, 5, payload=b"\x00")], Extent(0.0, 0.005, 2, 2)),
        ([group(1, 0, uint(0xFB, 1, 1), el(0xEC))], Extent(0.0, 0.0, 1)),
    ],
)  # fmt: skip
def test_block_groups_tell_durations_and_references(groups: list[bytes], extent: Extent) -> None:
    data = live(block(1, 0, flags=0), *groups, el(0xEC, b"\x00" * 30))
    extent = attrs.evolve(extent, samples=extent.samples + 1)
    assert scan(data).extent == extent
    assert one_by_one(data).extent == extent


def test_laced_opus_packets_do_not_tell_their_length() -> None:
    assert scan(live(block(2, 0, b"\x01\x08\x08\x08\x08", 0x04))).extent == Extent(0.0, 0.0, 2)


def test_an_encrypted_block_is_a_block() -> None:
    assert scan(live(block(1, 40, element=0xAF))).extent == Extent(0.04, 0.04, 1, 1)


def test_blocks_of_subtitles_do_not_count() -> None:
    data = header(VIDEO, entry(3, 0x11, "S_TEXT/UTF8")) + cluster(
        0, block(1, 0), block(3, 9000), el(0xA0, block(3, 12000, element=0xA1), uint(0x9B, 100, 1)), block(1, 40)
    )
    scanner = scan(data)
    assert scanner.tracks == (Track("video", "vp8"),)
    assert scanner.extent == Extent(0.0, 0.04, 2, 2)
    assert scanner.gap is None


def test_a_file_of_subtitles_has_a_complete_header_without_tracks() -> None:
    scanner = scan(header(entry(3, 0x11, "S_TEXT/UTF8")))
    assert scanner.header_complete
    assert scanner.tracks == ()


def test_a_track_number_may_have_more_than_one_byte() -> None:
    data = header(el(0xAE, uint(0xD7, 300, 2), uint(0x83, 1, 1), el(0x86, b"V_VP8")))
    data += cluster(0, el(0xA3, b"\x41\x2c" + b"\x00\x28\x80" + b"\x00" * 20))
    assert scan(data).extent == Extent(0.04, 0.04, 1, 1)


@pytest.mark.parametrize("size_bytes", range(1, 9))
def test_sizes_may_be_written_with_any_number_of_bytes(size_bytes: int) -> None:
    data = live(*(block(1, time, size_bytes=size_bytes) for time in (0, 40, 80)))
    assert scan(data).extent == Extent(0.0, 0.08, 3, 3)


def test_a_gap_is_where_a_piece_is_missing() -> None:
    first, second = (
        live(block(1, 0), block(2, 40, b"\x08\x00")),
        block(1, 80) + cluster(3000, block(1, 0), block(1, 40)),
    )
    scanner = scan(first, second)
    assert scanner.gap is not None
    assert (scanner.gap.start, scanner.gap.end) == (0.08, 3.0)
    assert scanner.gap.seconds == pytest.approx(2.92)
    assert scanner.gap.at == len(first) + len(block(1, 80)) + len(cluster(3000))
    # Beside it a narrower one is not worth mentioning.
    scanner.feed(cluster(4000, block(1, 0)))
    assert scanner.gap.end == 3.0


def test_a_gap_before_a_segment_is_a_gap_of_it() -> None:
    scanner = scan(live(block(1, 0)))
    scanner.begin_segment()
    scanner.feed(block(1, 400) + block(1, 440))
    assert scanner.gap is not None
    assert (scanner.gap.start, scanner.gap.end, scanner.gap.at) == (0.0, 0.4, 0)
    scanner.begin_segment()
    assert scanner.gap is None


def test_frames_that_are_stored_in_another_order_may_go_back() -> None:
    times = [0, 3000, 1000, 500]
    video = header(entry(1, 1, "V_MPEG4/ISO/AVC"))
    assert scan(video + cluster(0, *(block(1, time) for time in times))).extent == Extent(0.0, 3.0, 4, 4)
    slow = header(entry(1, 1, "V_MPEG4/ISO/AVC", uint(0x23E383, 2_000_000_000)))
    assert scan(slow + cluster(0, block(1, 24000), block(1, 0))).extent == Extent(0.0, 26.0, 2, 2)
    jitter = [0, 1000, 501]
    assert scan(live(*(block(2, time, b"\x08\x00") for time in jitter))).extent == Extent(0.0, 1.02, 3)


# --- tracks ----------------------------------------------------------------------------------------------------------


def wave_format(tag: int, bits: int) -> bytes:
    return el(0x63A2, struct.pack("<HHIIHHH", tag, 2, 48000, 192000, 4, bits, 0))


def fourcc(code: bytes) -> bytes:
    return el(0x63A2, struct.pack("<IiiHH4s", 40, 64, 48, 1, 24, code) + b"\x00" * 20 + b"x" * 20_000)


@pytest.mark.parametrize(
    ("kind", "codec_id", "more", "codec"),
    [
        (1, "V_AV1", b"", "av1"),
        (1, "V_MPEGH/ISO/HEVC", b"", "hevc"),
        (1, "V_MPEG4/ISO/ASP", b"", "mpeg4"),
        (1, "V_MPEG1", b"", "mpeg1video"),
        (1, "V_MS/VFW/FOURCC", fourcc(b"XVID"), "mpeg4"),
        (1, "V_MS/VFW/FOURCC", fourcc(b"????"), "unknown"),
        (1, "V_MS/VFW/FOURCC", b"", "unknown"),
        (1, "V_QUICKTIME", el(0x63A2, b"\x00\x00\x00\x56avc1"), "h264"),
        (1, "V_SOMETHING", b"", "unknown"),
        (1, "V_SOME/THING", b"", "unknown"),
        (2, "A_AAC/MPEG4/LC/SBR", b"", "aac"),
        (2, "A_OPUS/EXPERIMENTAL", b"", "opus"),
        (2, "A_VORBIS\0\0", b"", "vorbis"),
        (2, "A_PCM/INT/LIT", audio(bits=24), "pcm_s24le"),
        (2, "A_PCM/INT/BIG", audio(bits=16), "pcm_s16be"),
        (2, "A_PCM/FLOAT/IEEE", audio(bits=64), "pcm_f64le"),
        (2, "A_PCM/INT/LIT", audio(bits=12), "unknown"),
        (2, "A_MS/ACM", wave_format(1, 16), "pcm_s16le"),
        (2, "A_MS/ACM", wave_format(3, 32), "pcm_f32le"),
        (2, "A_MS/ACM", wave_format(0x55, 0), "mp3"),
        (2, "A_MS/ACM", wave_format(0x4444, 0), "unknown"),
        (2, "A_MS/ACM", b"", "unknown"),
        (2, "", b"", "unknown"),
    ],
)
def test_codecs_have_the_names_that_ffmpeg_gives_them(kind: int, codec_id: str, more: bytes, codec: str) -> None:
    data = header(entry(1, kind, codec_id, more))
    assert scan(data).tracks == (Track("video" if kind == 1 else "audio", codec),)
    assert one_by_one(data).tracks == scan(data).tracks


def test_headers_may_have_elements_that_nobody_knows() -> None:
    data = el(0x1A45DFA3, el(0x4282, b"webm"), el(0x42AB, b"later"), el(0xEC, b"\x00" * 300))
    data += el(0xEC, b"void")
    data += el(0x18538067, size=None) + el(0x1ABCDEF0, b"later")
    data += el(0x1549A966, el(0x7777, b"later")) + el(
        0x1654AE6B, el(0x7777), entry(1, 1, "V_VP8", el(0x7777, b"later"))
    )
    assert scan(data + cluster(0, block(1, 0))).extent == Extent(0.0, 0.0, 1, 1)


def test_the_doc_type_may_be_left_out() -> None:
    data = el(0x1A45DFA3, uint(0x4286, 1)) + header()[len(ebml()) :]
    assert scan(data).container == "mkv"


def test_header_elements_may_be_repeated_between_clusters() -> None:
    again = el(0x1549A966, uint(0x2AD7B1, 1_000_000)) + el(0x1654AE6B, VIDEO, OPUS)
    scanner = scan(live(block(1, 0)) + again + cluster(100, block(1, 0)))
    assert scanner.tracks == (Track("video", "vp8"), Track("audio", "opus"))
    assert scanner.extent == Extent(0.0, 0.1, 2, 2)


def test_a_known_size_ends_the_segment() -> None:
    content = el(0x1654AE6B, VIDEO) + cluster(0, block(1, 0))
    data = ebml() + el(0x18538067, content)
    assert scan(data + el(0xEC, b"\x00" * 7)).extent == Extent(0.0, 0.0, 1, 1)


# --- broken ----------------------------------------------------------------------------------------------------------

LIVE = live(block(1, 0))
SIZED = header() + cluster(0, block(1, 0), size=-1)


@pytest.mark.parametrize(
    ("good", "bad", "what"),
    [
        (b"", b"\x00\x00", "an EBML header must come here, found bytes 00"),
        (b"", b"RIFF", "an EBML header must come here, found bytes 52 49"),
        (b"", b"\x18\x53\x80\x67\x80", "an EBML header must come here, found bytes 18 53 80 67"),
        (ebml(), LIVE[-20:], "the Segment must come here, found bytes 00"),
        (ebml(), ebml(), "another file begins here, in the middle of this one, with an EBML header"),
        (b"", el(0x1A45DFA3, size=None), "an EBML header is of unknown size, which it may not be"),
        (header(), b"\xa3\x85", "a part of the Segment must come here, found bytes a3"),
        (header(), el(0x18538067), "a second Segment begins here, and a file has only one"),
        (LIVE, b"\x08", "a Cluster or a block must come here, found bytes 08"),
        (LIVE, b"\x1f\x41\x06\x82", "a Cluster or a block must come here, found bytes 1f 41 06 82"),
        (LIVE, ebml(), "another file begins here, in the middle of this one, with an EBML header"),
        (LIVE, el(0x18538067), "a second Segment begins here, and a file has only one"),
        (LIVE, uint(0xE7, 1), "a second Timestamp in a Cluster"),
        (LIVE, block(7, 0), "a SimpleBlock of track 7, but the tracks of this file are 1, 2"),
        (LIVE, block(1, 0, flags=0x40), "a SimpleBlock with flags 0x40, of which some must be 0"),
        (LIVE, block(1, 0, b"", 0x02), "a SimpleBlock with lacing, but without frames"),
        (LIVE, el(0xA3, b"\x81\x00\x00"), "a SimpleBlock of 3 bytes is shorter than its own header"),
        (LIVE, el(0xA3, size=40_000_000), "a SimpleBlock of 40000000 bytes is larger than any frame"),
        (LIVE, el(0xEC, size=2_000_000), "the element EC of 2000000 bytes inside a Cluster"),
        (LIVE, el(0xA3, size=None), "a SimpleBlock is of unknown size, which it may not be"),
        (LIVE, el(0xA0, size=None), "a BlockGroup is of unknown size, which it may not be"),
        *(
            (LIVE, bytes([element]) + ones + bytes(20_000), f"{name} is of unknown size, which it may not be")
            for element, name in ((0xA3, "a SimpleBlock"), (0xA0, "a BlockGroup"))
            for ones in (b"\xff", b"\x7f\xff", b"\x3f\xff\xff", b"\x1f\xff\xff\xff", b"\x01" + b"\xff" * 7)
        ),
        (LIVE, b"\xa3\x00", "the size of a SimpleBlock has more than 8 bytes"),
        (SIZED, block(1, 0), "a Cluster must come here, found bytes a3"),
        (SIZED, ebml(), "another file begins here, in the middle of this one, with an EBML header"),
        (SIZED, el(0x1ABCDEF0), "a Cluster must come here, found bytes 1a bc de f0"),
        (SIZED, el(0xEC, size=40_000_000, size_bytes=8), "a Void of 40000000 bytes among the Clusters"),
        (header() + el(0x1F43B675, size=None), uint(0xE7, 0, 9), "a Timestamp of 9 bytes"),
        (
            header() + el(0x1F43B675, size=None),
            block(1, 0),
            "a SimpleBlock before the Timestamp of its Cluster",
        ),
        (header() + el(0x1F43B675, uint(0xE7, 0), size=12), block(1, 0), "a SimpleBlock of 24 bytes reaches beyond"),
        (header() + el(0x1F43B675, uint(0xE7, 0), size=900), cluster(0), "a Cluster or a block must come here"),
        (ebml() + el(0x18538067, size=20), el(0x1549A966, size=17), "an Info of 17 bytes reaches beyond the Segment"),
        (ebml() + el(0x18538067), b"\xa3\x85", "nothing more must come here, found bytes a3"),
        (ebml() + el(0x18538067), ebml(), "another file begins here"),
        (ebml() + el(0x18538067, size=None), cluster(0, size=-1) + block(1, 0), "a Cluster must come here"),
        (ebml() + el(0x18538067, size=None) + cluster(0), block(1, 0), "the tracks of this file are none"),
        (LIVE + el(0xA0, size=90), b"\xe7", "a part of a BlockGroup must come here, found bytes e7"),
        (LIVE + el(0xA0, size=90), uint(0x9B, 0, 9), "a BlockDuration of 9 bytes"),
        (
            LIVE + el(0xA0, block(1, 0, element=0xA1), size=90),
            block(1, 0, element=0xA1),
            "a second Block in a BlockGroup",
        ),
        (LIVE + el(0xA0, size=7), el(0xEC, b"\x00\x00"), "a BlockGroup without a Block ends here"),
        (
            live(block(2, 9000, b"\x08\x00")),
            block(2, 6780, b"\x08\x00"),
            "the time of track 2 runs back from 9.000 s to 6.780 s",
        ),
    ],
)
def test_a_broken_structure_is_told_with_its_place(good: bytes, bad: bytes, what: str) -> None:
    scan(good)
    error = refused(good + bad)
    assert what in error.what
    bad_at = error.at - len(good)
    assert 0 <= bad_at < max(len(bad), 1), bad_at
    # A continuation counts from its own beginning.
    if good:
        assert refused(good, bad).at == bad_at


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (ebml(b"ogg"), "an EBML file of type 'ogg', neither Matroska nor WebM"),
        (ebml(b"x" * 65), "the element 4282 of 65 bytes is longer than any"),
        (
            ebml() + el(0x18538067, size=None) + el(0x1549A966, uint(0x2AD7B1, 0)),
            "a TimestampScale of 0 ns",
        ),
        (header(entry(1, 1, "V_VP8"), entry(1, 2, "A_AAC")), "a track has the number 1, which another one has"),
        (header(entry(0, 1, "V_VP8")), "a track has the number 0, which none may have"),
        (header(*(entry(n, 1, "V_VP8") for n in range(1, MAX_TRACKS + 2))), "more than 32 tracks"),
        (header(el(0x1F43B675)), "a part of the Tracks must come here, found bytes 1f 43 b6 75"),
    ],
)
def test_a_header_that_tells_nonsense_is_refused(data: bytes, what: str) -> None:
    assert what in refused(data).what


# --- pieces in the wrong order ---------------------------------------------------------------------------------------


def first_trouble(order: list[int]) -> int | None:
    """The place in the order at which the first trouble shows, by more than a second or half a second back."""
    scanner, end = MatroskaScanner(), None
    for place, number in enumerate(order):
        scanner.begin_segment()
        try:
            scanner.feed(RECORDING[number])
        except MediaError:
            return place
        scanner.finish_segment()
        extent = scanner.extent
        assert extent.start is not None
        if (scanner.gap is not None and scanner.gap.seconds > 1) or (end is not None and extent.start < end - 0.5):
            return place
        end = extent.end
    return None


def test_the_pieces_of_a_recording_in_order_make_no_trouble() -> None:
    assert first_trouble(list(range(12))) is None


@pytest.mark.parametrize("missing", range(1, 10))
def test_a_missing_piece_shows_in_the_one_that_comes_instead(missing: int) -> None:
    assert first_trouble([n for n in range(12) if n != missing]) == missing


@pytest.mark.parametrize("number", range(1, 10))
def test_two_swapped_pieces_show_in_the_first_of_them(number: int) -> None:
    order = list(range(12))
    order[number : number + 2] = [number + 1, number]
    assert first_trouble(order) == number


@pytest.mark.parametrize("number", range(1, 12))
def test_a_repeated_piece_shows_when_it_comes_again(number: int) -> None:
    order = list(range(12))
    order.insert(number, number)
    assert first_trouble(order) == number + 1


def test_what_comes_before_the_last_pieces_wrong_place_still_shows_there() -> None:
    # The last piece has three packets and no Cluster: alone it fits everywhere, but nothing fits after it.
    assert first_trouble([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10]) == 11


# --- whatever comes --------------------------------------------------------------------------------------------------


def held(scanner: MatroskaScanner) -> int:
    """Bytes and entries that a scanner keeps, roughly."""
    state = sum(len(repr(value)) for value in vars(scanner).values())
    return len(scanner._pending) + state


def survive(pieces: list[bytes]) -> None:
    scanner = MatroskaScanner()
    for piece in pieces:
        scanner.begin_segment()
        with contextlib.suppress(MediaError):
            scanner.feed(piece)
        scanner.finish_segment()
        assert held(scanner) < 16 * 1024


def mutated(source: bytes, chance: random.Random) -> bytes:
    data = bytearray(source)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        kind = chance.randrange(5)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            del data[at : at + chance.randrange(1, 30)]
        elif kind == 3:
            other = chance.randrange(len(source))
            data[at:at] = source[other : other + chance.randrange(1, 60)]
        else:
            data[at : at + 8] = chance.choice([b"\xff" * 8, b"\x01" + b"\xff" * 7, bytes(8), b"\x01\x7f" + b"\xff" * 6])
        data = data or bytearray(b"\x1a")
    return bytes(data)


@pytest.mark.parametrize("number", range(400))
def test_mutated_files_raise_nothing_but_media_errors(number: int) -> None:
    chance = random.Random(number)
    data = mutated(chance.choice([SMALL, RECORDING[0][:3000], LIVE, SIZED]), chance)
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4)))
    survive([data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)])


def outcome(*pieces: bytes) -> tuple[object, ...]:
    try:
        scanner = scan(*pieces)
    except MediaError as error:
        return error.what, error.at
    return scanner.extent, scanner.tracks, scanner.container, scanner.gap


def test_mutated_files_give_the_same_however_they_are_cut() -> None:
    chance = random.Random(4)
    for _ in range(100):
        data = mutated(SMALL, chance)
        assert outcome(*(data[i : i + 1] for i in range(len(data)))) == outcome(data)


@pytest.mark.parametrize(
    "data",
    [
        header() + el(0xEC, size_bytes=1) * 200_000,
        LIVE + el(0xEC, size_bytes=1) * 200_000,
        LIVE + cluster(0, size=-1) * 30_000,
        LIVE + el(0x1F43B675, size=None) * 30_000,
        header(VIDEO, el(0xEC) * 60_000),
        header(entry(1, 1, "V_VP8", el(0x63A2, b"x" * 500_000), audio() * 3000)),
        header(entry(1, 1, "V_VP8", el(0xEC, size=2**28 - 2)))[:-8],
        ebml() + el(0x18538067, size=2**55, size_bytes=8) + el(0xEC, size=2**54, size_bytes=8) + bytes(300_000),
        LIVE + el(0xA0, block(1, 0, element=0xA1), uint(0xFB, 1, 1) * 60_000),
        live(block(1, 0, b"", size_bytes=1) * 60_000),
    ],
    ids=["voids", "voids-in-cluster", "clusters", "nested", "entries", "private", "beyond", "huge", "group", "empty"],
)
def test_little_is_held_whatever_a_file_is_made_of(data: bytes) -> None:
    scanner = MatroskaScanner()
    scanner.begin_segment()
    for at in range(0, len(data), 1000):
        try:
            scanner.feed(data[at : at + 1000])
        except MediaError:
            break
        if at % 50_000 == 0:
            assert held(scanner) < 16 * 1024
    scanner.finish_segment()
    assert held(scanner) < 16 * 1024
