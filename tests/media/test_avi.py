from __future__ import annotations

import contextlib
import math
import random
import struct
from array import array
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from typing import Any

import av
import pytest

from ihproto.media import avi
from ihproto.media.avi import AviScanner
from ihproto.media.scanner import MAX_TRACKS, MediaError, Track

# --- writing AVI files ------------------------------------------------------------------------------------------------


def chunk(name: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) & 1)


def riff(kind: bytes, *children: bytes, name: bytes = b"LIST", size: int | None = None) -> bytes:
    return chunk(name, kind + b"".join(children), size)


def strh(
    kind: bytes, handler: bytes = b"\0\0\0\0", scale: int = 1, rate: int = 25, start: int = 0, sample_size: int = 0
) -> bytes:
    return chunk(
        b"strh",
        struct.pack("<4s4sIHHIIIIIIIIQ", kind, handler, 0, 0, 0, 0, scale, rate, start, 0, 0, 0, sample_size, 0),
    )


def bitmap(tag: bytes) -> bytes:
    return chunk(b"strf", struct.pack("<IiiHH4sIiiII", 40, 32, 32, 1, 24, tag, 0, 0, 0, 0, 0))


def wave(tag: int, block: int = 0, bits: int = 16, rate: int = 48000) -> bytes:
    return chunk(b"strf", struct.pack("<HHIIHHH", tag, 1, rate, 0, block, bits, 0))


def video(tag: bytes = b"MJPG", **options: Any) -> bytes:
    return riff(b"strl", strh(b"vids", tag, **options), bitmap(tag))


def audio(tag: int = 0x55, block: int = 0, bits: int = 16, **options: Any) -> bytes:
    return riff(b"strl", strh(b"auds", **{"scale": 1152, "rate": 48000, **options}), wave(tag, block, bits))


def header(*tracks: bytes, period: int = 0, before: bytes = b"", size: int = 0) -> bytes:
    """All before the media, as a recorder writes it that does not know yet how much will come."""
    main = chunk(b"avih", struct.pack("<I52x", period))
    whole = riff(b"hdrl", main, *(tracks or (video(), audio())))
    return b"RIFF" + struct.pack("<I", size) + b"AVI " + whole + before + b"LIST" + struct.pack("<I", size) + b"movi"


def scan(*segments: bytes, step: int = 1 << 30) -> AviScanner:
    scanner = AviScanner()
    for segment in segments:
        feed(scanner, segment, step)
    return scanner


def feed(scanner: AviScanner, segment: bytes, step: int = 1 << 30) -> None:
    scanner.begin_segment()
    for at in range(0, len(segment), step):
        scanner.feed(segment[at : at + step])
    scanner.finish_segment()


def seen(scanner: AviScanner) -> tuple[float | None, float | None, int, int]:
    extent = scanner.extent
    start, end = (None if time is None else round(time, 6) for time in (extent.start, extent.end))
    return start, end, extent.samples, extent.key_frames


def entry(name: bytes, flags: int = 0) -> bytes:
    return name + struct.pack("<III", flags, 0, 0)


FRAME = chunk(b"00dc", b"\xff\xd8" + b"frame" * 7)
SOUND = chunk(b"01wb", b"sound" * 20)

# --- files by ffmpeg, and what it says of them ------------------------------------------------------------------------


def make(
    picture: str | None,
    sound: str | None,
    *,
    fps: int = 25,
    seconds: float = 1.5,
    rate: int = 48000,
    b_frames: int = 0,
    live: bool = False,
    **options: str,
) -> bytes:
    """A file by ffmpeg; if `live`, by a recorder that cannot go back to write sizes and an index."""
    buffer = BytesIO()
    if live:
        buffer.seekable = lambda: False  # type: ignore[method-assign]
    container = av.open(buffer, "w", format="avi", options=options)
    streams: list[Any] = []
    if picture is not None:
        stream: Any = container.add_stream(picture, rate=fps)
        stream.width, stream.height, stream.gop_size = 32, 32, 10
        stream.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24", "huffyuv": "yuv422p"}.get(picture, "yuv420p")
        if b_frames:
            stream.codec_context.max_b_frames = b_frames
        streams.append(stream)
    if sound is not None:
        stream = container.add_stream(sound, rate=rate, layout="mono")
        if not sound.startswith("pcm"):
            stream.bit_rate = 64_000
        streams.append(stream)
    at = 0
    for index in range(round(fps * seconds)):
        for stream in streams:
            context = stream.codec_context
            if stream.type == "video":
                image = av.VideoFrame(32, 32, "yuv420p")
                for plane in image.planes:
                    plane.update(bytes((index * 7 + place) & 255 for place in range(plane.buffer_size)))
                image = image.reformat(format=context.pix_fmt)
                image.pts, image.time_base = index, Fraction(1, fps)
                container.mux(stream.encode(image))
                continue
            count = context.frame_size or 1024
            while at * fps < (index + 1) * rate:
                samples = av.AudioFrame(context.format.name, "mono", count)
                if "flt" in context.format.name:
                    data: array[Any] = array("f", (math.sin((at + place) / 9) / 2 for place in range(count)))
                else:
                    data = array("h", (round(9000 * math.sin((at + place) / 9)) for place in range(count)))
                size = samples.planes[0].buffer_size
                samples.planes[0].update(data.tobytes()[:size].ljust(size, b"\0"))
                samples.sample_rate, samples.pts, samples.time_base = rate, at, Fraction(1, rate)
                container.mux(stream.encode(samples))
                at += count
    for stream in streams:
        container.mux(stream.encode(None))
    container.close()
    return buffer.getvalue()


def judge(data: bytes) -> tuple[float, float, list[Track], int]:
    """Start, end, tracks and key frames as ffmpeg has them."""
    with av.open(BytesIO(data), "r", format="avi") as container:
        times, keys = [], 0
        for packet in container.demux():
            time = packet.dts if packet.pts is None else packet.pts
            if packet.size and time is not None:
                assert packet.time_base is not None
                start = time * packet.time_base
                times.append((start, start + (packet.duration or 0) * packet.time_base))
                keys += packet.stream.type == "video" and packet.is_keyframe
        tracks = []
        for stream in container.streams:
            context: Any = stream.codec_context
            tracks.append(Track(stream.type, context.codec.canonical_name))
        return float(min(times)[0]), float(max(end for _, end in times)), tracks, keys


@pytest.mark.parametrize(
    ("picture", "sound", "options"),
    [
        ("mpeg4", "libmp3lame", {}),
        ("mpeg4", "aac", {"fps": 10}),
        ("mpeg4", "pcm_s16le", {"b_frames": 2, "fps": 15}),
        ("mpeg4", "pcm_u8", {"live": True}),
        ("mpeg4", "wmav2", {}),
        ("mpeg4", "flac", {"rate": 44100}),
        ("libx264", "ac3", {"fps": 10}),
        ("libx264", "pcm_s24le", {"rate": 44100, "live": True}),
        ("mpeg2video", "mp2", {"b_frames": 2}),
        ("mpeg1video", "adpcm_ms", {}),
        ("mpeg1video", None, {"live": True}),
        ("mjpeg", "pcm_mulaw", {"fps": 30}),
        ("mjpeg", "pcm_alaw", {"fps": 5, "live": True}),
        ("libvpx", "libmp3lame", {"rate": 22050}),
        ("msmpeg4", "aac", {}),
        ("msmpeg4v2", None, {"fps": 12}),
        ("ffv1", None, {}),
        ("flv1", "libmp3lame", {"fps": 24}),
        ("huffyuv", "pcm_s32le", {}),
        ("png", "pcm_f32le", {}),
        ("rawvideo", "ac3", {}),
        ("h263p", None, {}),
        (None, "libmp3lame", {}),
    ],
)
def test_span_tracks_and_key_frames_are_those_of_ffmpeg(
    picture: str | None, sound: str | None, options: dict[str, Any]
) -> None:
    data = make(picture, sound, **options)
    start, end, tracks, keys = judge(data)
    scanner = scan(data)
    # ffmpeg does not know how long the last frame of Windows Media audio lasts.
    assert scanner.extent.start == pytest.approx(start, abs=0.001)
    assert scanner.extent.end == pytest.approx(end, abs=0.045 if sound == "wmav2" else 0.001)
    assert list(scanner.tracks) == tracks
    # Without an index ffmpeg takes every frame of many codecs for a key frame, and of H.263 in any case.
    assert scanner.extent.key_frames == keys or "live" in options or picture == "h263p"


# ffmpeg looks into the data of AV1, and here it is that of another codec.
@pytest.mark.parametrize("codec", sorted({*avi._VIDEO_CODECS} - {"av1"}))
def test_the_tags_of_video_mean_what_they_mean_to_ffmpeg(codec: str) -> None:
    data = make("mjpeg", None, seconds=0.1)
    at = data.index(b"strf") + 24
    tags = avi._VIDEO_CODECS[codec].split(" ")
    for tag in (*tags, tags[0].lower()):
        changed = data[:at] + tag.encode().ljust(4) + data[at + 4 :]
        with av.open(BytesIO(changed), "r", format="avi") as container:
            context: Any = container.streams[0].codec_context
            expected = context.codec.canonical_name
        assert scan(changed).tracks == (Track("video", expected),), tag
        assert expected == codec


@pytest.mark.parametrize(
    ("code", "bits"),
    [(code, 16) for code in sorted(avi._AUDIO_TAGS)]
    + [(1, bits) for bits in (8, 16, 24, 32, 64)]
    + [(3, bits) for bits in (32, 64)],
)
def test_the_tags_of_audio_mean_what_they_mean_to_ffmpeg(code: int, bits: int) -> None:
    data = make("mjpeg", "pcm_s16le", seconds=0.2)
    at = data.index(b"strf", data.index(b"strf") + 4) + 8
    changed = bytearray(data)
    struct.pack_into("<H", changed, at, code)
    struct.pack_into("<H", changed, at + 14, bits)
    with av.open(BytesIO(changed), "r", format="avi") as container:
        context: Any = container.streams[1].codec_context
        expected = context.codec.canonical_name
    assert scan(bytes(changed)).tracks[1] == Track("audio", expected)


def test_frames_that_were_dropped_take_their_time_as_in_ffmpeg() -> None:
    data = header() + (FRAME + chunk(b"00dc")) * 5 + FRAME + chunk(b"00dc") * 3
    start, end, _, _ = judge(data)
    assert seen(scan(data)) == (start, end, 6, 6) == (0.0, 0.44, 6, 6)


@pytest.mark.parametrize(
    ("sound", "block", "sample_size", "scale"),
    [
        ("pcm_s16le", 2, 1, None),
        ("pcm_s16le", 4, 2, None),
        ("pcm_s16le", 2, 0, None),
        ("pcm_s16le", 500, 0, 125),
        ("adpcm_ms", 256, 256, None),
        ("adpcm_ms", 0, 64, None),
        ("libmp3lame", 1152, 1152, None),
        ("libmp3lame", 1, 1, 24),
        ("libmp3lame", 100, 0, None),
        ("libmp3lame", 0, 0, None),
        ("aac", 1024, 1024, None),
        ("aac", 4096, 4096, None),
        ("aac", 4, 0, None),
        ("aac", 50, 0, None),
    ],
)
def test_audio_counts_by_bytes_or_by_chunks_as_in_ffmpeg(
    sound: str, block: int, sample_size: int, scale: int | None
) -> None:
    changed = bytearray(make("mjpeg", sound, seconds=2.0))
    strh = changed.index(b"auds")
    strf = changed.index(b"strf", strh) + 8
    struct.pack_into("<I", changed, strh + 44, sample_size)
    struct.pack_into("<H", changed, strf + 12, block)
    if scale is not None:
        struct.pack_into("<I", changed, strh + 20, scale)
    with av.open(BytesIO(changed), "r", format="avi") as container:
        times = []
        for packet in container.demux(container.streams[1]):
            if packet.dts is not None:
                assert packet.time_base is not None
                times.append((float(packet.dts * packet.time_base), float((packet.duration or 0) * packet.time_base)))
    stream = scan(bytes(changed))._streams[1]
    last, lasts = times[-1]
    assert stream.seconds(stream.first) == times[0][0]
    # A chunk is one packet of ffmpeg, or is cut into some; how long the last of these lasts it often does not know.
    assert stream.seconds(stream.last) == pytest.approx(last + lasts, rel=0.03)


# --- the header -------------------------------------------------------------------------------------------------------


def test_the_tracks_are_known_when_the_media_begins() -> None:
    data = header()
    for cut in range(len(data)):
        scanner = scan(data[:cut])
        assert not scanner.header_complete
        assert scanner.tracks == ()
    scanner = scan(data)
    assert scanner.header_complete
    assert scanner.container == "avi"
    assert scanner.tracks == (Track("video", "mjpeg"), Track("audio", "mp3"))
    assert seen(scanner) == (None, None, 0, 0)


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0WAVE", b"RIFX\0\0\0\0AVI ", b"RIFF\0\0\0\0AVIX"])
def test_a_file_must_begin_as_one(data: bytes) -> None:
    with pytest.raises(MediaError, match="an AVI file must begin here") as caught:
        scan(data)
    assert caught.value.at == 0


def test_what_else_stands_in_a_header_is_stepped_over() -> None:
    more = (
        riff(b"INFO", chunk(b"ISFT", b"some recorder"))
        + riff(b"odml", chunk(b"dmlh", b"\0" * 248))
        + chunk(b"JUNK", b"\xff" * 3001)
        + chunk(b"IDIT", b"MON JAN 1")
    )
    rich = riff(b"strl", strh(b"vids"), bitmap(b"MJPG"), chunk(b"indx", b"\0" * 32), chunk(b"strn", b"camera"))
    data = header(rich, audio(), before=more) + FRAME
    for step in (1, 1 << 30):
        assert seen(scan(data, step=step)) == (0.0, 0.04, 1, 1)


def test_padding_may_be_of_any_size() -> None:
    # As large as the header of a disc's sector, which is skipped and never held.
    scanner = scan(header(before=chunk(b"JUNK", b"", 1 << 21)))
    assert scanner._to_skip > 1 << 20


@pytest.mark.parametrize(
    ("broken", "found"),
    [
        (b"\1\2\3\4" + b"\0" * 8, "found bytes 01 02 03 04 of 0 bytes"),
        (b"00dc\4\0\0\0data", "found 00dc of 4 bytes"),
        (b"strd\0\0\0\x10data", "found strd of 268435456 bytes"),
    ],
)
def test_what_cannot_stand_in_a_header_is_refused(broken: bytes, found: str) -> None:
    whole = header()
    at = len(whole) - 12
    with pytest.raises(MediaError, match=found) as caught:
        scan(whole[:at] + broken)
    assert caught.value.at == at


def test_media_without_a_track_is_refused() -> None:
    for nothing in (b"", riff(b"strl", bitmap(b"MJPG")), riff(b"strl", strh(b"txts"))):
        data = b"RIFF\0\0\0\0AVI " + riff(b"hdrl", nothing) + b"LIST\0\0\0\0movi"
        with pytest.raises(MediaError, match="no track was described"):
            scan(data)


def test_too_many_tracks_are_refused() -> None:
    assert len(scan(header(*[video()] * MAX_TRACKS)).tracks) == MAX_TRACKS
    with pytest.raises(MediaError, match="this would be track 33"):
        scan(header(*[video()] * (MAX_TRACKS + 1)))


def test_tracks_that_are_neither_video_nor_audio_are_not_reported() -> None:
    pads = riff(b"strl", strh(b"pads"))
    data = header(pads, riff(b"strl", strh(b"txts"), chunk(b"strf", b"")), video()) + chunk(b"00tx", b"hello")
    scanner = scan(data + chunk(b"01dc", b"frame"))
    assert scanner.tracks == (Track("video", "mjpeg"),)
    assert seen(scanner) == (0.0, 0.04, 1, 1)


def test_dv_with_audio_in_it_has_two_tracks() -> None:
    data = header(riff(b"strl", strh(b"iavs", b"dvsd"), chunk(b"strf", b"\0" * 32))) + chunk(b"00__", b"frame") * 5
    scanner = scan(data)
    assert scanner.tracks == (Track("video", "dvvideo"), Track("audio", "pcm_s16le"))
    assert seen(scanner) == (0.0, 0.2, 5, 0)


@pytest.mark.parametrize(("period", "end"), [(0, 0.04), (100_000, 0.1)])
def test_a_clock_that_is_not_told_is_guessed_as_by_ffmpeg(period: int, end: float) -> None:
    data = header(video(scale=0), period=period) + FRAME
    assert seen(scan(data))[1] == end == pytest.approx(judge(data)[1])


def test_a_track_may_begin_later() -> None:
    assert seen(scan(header(video(start=50)) + FRAME))[:2] == (2.0, 2.04)
    assert seen(scan(header(video(start=1 << 30)) + FRAME))[:2] == (0.0, 0.04)


@pytest.mark.parametrize(
    ("strf", "codec"),
    [
        (chunk(b"strf", struct.pack("<HHIIH", 1, 1, 8000, 8000, 1)), "pcm_u8"),
        (chunk(b"strf", struct.pack("<HHIIHH", 1, 1, 8000, 8000, 2, 17)), "unknown"),
        (chunk(b"strf", struct.pack("<HHIIHH", 0x1234, 1, 8000, 8000, 2, 16)), "unknown"),
        (chunk(b"strf", b"\1\0\1\0"), "unknown"),
        (b"", "unknown"),
        (chunk(b"strf", struct.pack("<HHIIHHHHIH14x", 0xFFFE, 6, 48000, 0, 12, 16, 22, 16, 0, 1)), "pcm_s16le"),
        (chunk(b"strf", struct.pack("<HHIIHHHHIH14x", 0xFFFE, 6, 48000, 0, 12, 32, 22, 0, 0, 3)), "pcm_f32le"),
        (chunk(b"strf", struct.pack("<HHIIHH", 0xFFFE, 6, 48000, 0, 12, 32)), "unknown"),
    ],
)
def test_formats_of_audio_may_be_short_or_long(strf: bytes, codec: str) -> None:
    data = header(video(), riff(b"strl", strh(b"auds"), strf))
    assert scan(data).tracks[1] == Track("audio", codec)


def test_the_handler_tells_the_codec_if_the_format_does_not() -> None:
    strl = riff(b"strl", strh(b"vids", b"h264"), bitmap(b"\x07\0\0\0"))
    assert scan(header(strl)).tracks == (Track("video", "h264"),)
    strl = riff(b"strl", strh(b"vids", b"????"), bitmap(b"????"))
    assert scan(header(strl)).tracks == (Track("video", "unknown"),)


# --- the media --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 4, 0xFFFFFFFF])
def test_sizes_that_a_recorder_left_behind_do_not_matter(size: int) -> None:
    data = header(size=size) + (FRAME + SOUND) * 25
    assert seen(scan(data)) == (0.0, 1.0, 50, 25)


def test_media_may_lie_in_lists_with_padding_palettes_and_indexes_between() -> None:
    data = header(video(), audio())
    data += riff(b"rec ", FRAME, SOUND) + chunk(b"JUNK", b"\0" * 7) + riff(b"rec ", FRAME, SOUND)
    data += chunk(b"00pc", b"\0" * 8) + chunk(b"ix00", b"\0" * 32) + chunk(b"01ix", b"\0" * 32)
    data += riff(b"INFO", chunk(b"ISFT", b"some recorder")) + FRAME
    for step in (1, 1 << 30):
        assert seen(scan(data, step=step)) == (0.0, 0.12, 5, 3)


def test_after_the_index_a_file_may_go_on() -> None:
    data = header() + FRAME * 3 + chunk(b"idx1", entry(b"00dc", 0x10) * 3) + chunk(b"odd ", b"x")
    data += riff(b"more", b"y") + b"RIFF\0\0\0\0AVIXJUNK\0\0\0\0LIST\0\0\0\0movi" + FRAME * 3
    for step in (1, 1 << 30):
        assert seen(scan(data, step=step)) == (0.0, 0.24, 6, 6)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (b"\x12\x34\x56\x78\0\0\0\0", "a chunk of media must come here, found bytes 12 34 56 78 of 0 bytes"),
        (b"02dc\4\0\0\0data", "a chunk of media must come here, found 02dc of 4 bytes"),
        (b"odd \4\0\0\0data", "a chunk of media must come here, found odd  of 4 bytes"),
        (b"00dc\0\0\0\x20data", "found 00dc of 536870912 bytes"),
        (b"JUNK\0\0\0\x20data", "found JUNK of 536870912 bytes"),
        (b"LIST\4\0\0\0strl", "found LIST of 4 bytes"),
        (b"LIST\4\0\0\0\1\2\3\4", "found LIST of 4 bytes"),
        (b"RIFF\4\0\0\0AVI ", "another AVI file begins here"),
        (b"RIFF\4\0\0\0\1\2\3\4", "of type AVIX, not bytes 01 02 03 04"),
        (b"idx1\0\0\0\x0000dc\4\0\0\0data", "a chunk of media, 00dc, comes here outside of the list movi"),
        (b"idx1\0\0\0\0LIST\4\0\0\0rec 00dc\4\0\0\0data", "outside of the list movi"),
    ],
)
@pytest.mark.parametrize("step", [1, 1 << 30])
def test_what_cannot_come_among_media_is_refused(broken: bytes, message: str, step: int) -> None:
    data = header() + FRAME
    with pytest.raises(MediaError, match=message) as caught:
        scan(data + broken, step=step)
    assert caught.value.at >= len(data)


def test_a_missing_piece_is_noticed_where_the_next_chunk_should_begin() -> None:
    data = make("mpeg4", "libmp3lame", live=True)
    cuts = [len(data) * part // 5 for part in range(6)]
    pieces = [data[begin:end] for begin, end in pairwise(cuts)]
    assert scan(*pieces).extent.samples
    for missing in (1, 2, 3):
        with pytest.raises(MediaError):
            scan(*pieces[:missing], *pieces[missing + 1 :])


def test_a_sample_belongs_to_the_segment_that_holds_the_end_of_its_head() -> None:
    before = header() + FRAME * 2
    data = before + FRAME * 2
    for cut in range(len(before), len(before) + len(FRAME)):
        scanner = scan(data[:cut])
        first = seen(scanner)
        feed(scanner, data[cut:])
        second = seen(scanner)
        if cut < len(before) + 8:
            assert (first, second) == ((0.0, 0.08, 2, 2), (0.08, 0.16, 2, 2))
        else:
            assert (first[:3], second[:3]) == ((0.0, 0.12, 3), (0.12, 0.16, 1))
            assert first[3] + second[3] == 4


# --- key frames -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "frame", "is_key"),
    [
        (b"XVID", b"\0\0\1\xb0\1", True),
        (b"XVID", b"\0\0\1\xb3\1", True),
        (b"XVID", b"\0\0\1\x00\0\0\1\x20" + b"\0" * 200, True),
        (b"XVID", b"\0\0\1\xb6\x10", True),
        (b"XVID", b"\0\0\1\xb6\x50", False),
        (b"XVID", b"\0\0\1\xb2\x10", False),
        (b"XVID", b"\x7f", False),
        (b"MPG2", b"\0\0\1\xb3\x10", True),
        (b"MPG2", b"\0\0\1\xb8\x10", True),
        (b"MPG2", b"\0\0\1\0\0\x0f", True),
        (b"MPG2", b"\0\0\1\0\0\x17", False),
        (b"MPG2", b"\0\0\0\0\0\x0f", False),
        (b"MPG2", b"\0\0\1\1\0\x0f", False),
        (b"H264", b"\0\0\0\1\x67", True),
        (b"H264", b"\0\0\1\x65", True),
        (b"H264", b"\0\0\0\1\x41", False),
        (b"H264", b"\x12\x34\x56\x78", False),
        (b"H264", b"\0\0\0\0\0\1\x65", False),
        (b"VP80", b"\x10", True),
        (b"VP80", b"\x11", False),
        (b"MP43", b"\x3f", True),
        (b"MP43", b"\x40", False),
        (b"MJPG", b"?", True),
        (b"FFV1", b"?", False),
    ],
)
@pytest.mark.parametrize("step", [1, 1 << 30])
def test_key_frames_are_known_by_their_first_bytes(tag: bytes, frame: bytes, is_key: bool, step: int) -> None:
    data = header(video(tag)) + chunk(b"00dc", b"") + chunk(b"00dc", frame) * 3
    assert scan(data, step=step).extent.key_frames == (3 if is_key else 0)


@pytest.mark.parametrize("step", [1, 20, 1 << 30])
def test_key_frames_are_known_by_the_index(step: int) -> None:
    frame = chunk(b"00dc", b"????")
    entries = entry(b"00dc", 0x10) + entry(b"01wb", 0x10) + entry(b"00pc", 0x10) + entry(b"00dc")
    entries += entry(b"07dc", 0x10) + entry(b"00db", 0x10)
    first, second = header(video(b"FFV1"), audio()) + frame + SOUND + frame, frame
    index = chunk(b"idx1", entries)
    assert scan(first + second + index, step=step).extent.key_frames == 2
    # Of a file in several segments, only those in the last are counted, since the others were told already.
    assert scan(first, second + index, step=step).extent.key_frames == 1
    assert scan(first + second, index, step=step).extent.key_frames == 0
    # An index that claims more than came is not believed, one of an odd size does no harm.
    many = chunk(b"idx1", entry(b"00dc", 0x10) * 9 + b"odd")
    assert scan(first + second + many + chunk(b"JUNK"), step=step).extent.key_frames == 3


def vol(*bits: str) -> bytes:
    """A frame that begins with the header of MPEG-4 video, of these bits."""
    text = "".join(bits).ljust(64, "0")
    return b"\0\0\1\xb0\1\0\0\1\xb5\x09\0\0\1\x00\0\0\1\x20" + int(text, 2).to_bytes(8, "big") + b"\0" * 20


@pytest.mark.parametrize(
    ("frame", "delayed"),
    [
        (vol("0", "00000001", "0", "0001", "1", "01", "1"), False),
        (vol("0", "00000001", "0", "0001", "1", "01", "0"), True),
        (vol("0", "00010001", "1", "0000000", "0001", "1", "01", "0"), True),
        (vol("0", "00010001", "1", "0000000", "0001", "1", "01", "1"), False),
        (vol("0", "00010001", "1", "1" * 7, "1111", "1" * 16, "1", "01", "0"), True),
        (vol("0", "00010001", "0", "1111", "1" * 16, "1", "01", "1"), False),
        (vol("0", "00000001", "0", "0001", "0"), False),
        (vol("0", "00010001", "0", "0001", "0"), True),
        (vol()[:20], False),
        (b"\0\0\1\xb6\x10", False),
    ],
)
def test_mpeg_4_says_whether_its_frames_come_in_another_order(frame: bytes, delayed: bool) -> None:
    data = header(video(b"FMP4")) + chunk(b"00dc", frame) + chunk(b"00dc", b"\0\0\1\xb6\x50") * 4
    for step in (1, 1 << 30):
        assert seen(scan(data, step=step))[:2] == ((0.04, 0.24) if delayed else (0.0, 0.2))


# --- any bytes, in any pieces -----------------------------------------------------------------------------------------


def state(scanner: AviScanner) -> list[object]:
    return [(name, repr(value)) for name, value in sorted(vars(scanner).items()) if name != "_media"]


def outcome(segments: list[bytes], steps: Callable[[], int]) -> list[object]:
    """Everything that a scanner says of segments that come in pieces."""
    scanner = AviScanner()
    told: list[object] = []
    try:
        for segment in segments:
            scanner.begin_segment()
            at = 0
            while at < len(segment):
                step = steps()
                scanner.feed(segment[at : at + step])
                at += step
            scanner.finish_segment()
            told.append((repr(scanner.extent), scanner.tracks, state(scanner)))
    except MediaError as error:
        told.append((error.what, error.at))
    return told


def cut_into(content: bytes, *sizes: int) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(content[:size])
        content = content[size:]
    return [*parts, content]


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return [
        make("mpeg4", "libmp3lame", seconds=0.4, b_frames=2),
        make("libx264", "aac", seconds=0.4),
        make("mpeg1video", "ac3", seconds=0.4, live=True),
    ]


def test_every_place_to_cut_a_piece_gives_the_same(files: list[bytes]) -> None:
    for data in files:
        expected = outcome([data], lambda: 1 << 30)
        assert outcome([data], lambda: 1) == expected
        for cut in range(1, len(data)):
            pieces = iter((cut, len(data)))
            assert outcome([data], lambda pieces=pieces: next(pieces)) == expected  # type: ignore[misc]


def test_every_place_to_cut_a_segment_gives_the_same_in_any_pieces(files: list[bytes]) -> None:
    data = files[0]
    whole = scan(data)
    for cut in range(1, len(data), 7):
        segments = cut_into(data, cut, 700)
        assert outcome(segments, lambda: 1 << 30) == outcome(segments, lambda: 50)
        scanner = scan(data[:cut])
        samples = scanner.extent.samples
        feed(scanner, data[cut:])
        assert samples + scanner.extent.samples == whole.extent.samples


def test_any_bytes_give_a_media_error_or_none_and_the_same_in_any_pieces(files: list[bytes]) -> None:
    chance = random.Random(7)
    numbers = (b"\0\0\0\0", b"\1\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x10")
    for _ in range(500):
        data = chance.choice(files)
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(chance.choice((100, 700, len(broken))))
            match chance.randrange(6):
                case 0:
                    broken[at] = chance.getrandbits(8)
                case 1:
                    place = broken.find(chance.choice((b"00dc", b"01wb", b"strh", b"strf", b"LIST", b"idx1")), at)
                    broken[place + 4 : place + 8] = chance.choice(numbers)
                case 2:
                    broken[at : at + 4] = chance.choice(numbers)
                case 3:
                    del broken[at : at + chance.choice((1, 8, 300))]
                case 4 if chance.random() < 0.1:
                    del broken[max(at, 1) :]
                case _ if chance.random() < 0.2:
                    donor = chance.choice(files)
                    broken[at:at] = donor[(begin := chance.randrange(len(donor))) : begin + 400]
            broken = broken or bytearray(b"R")
            broken.extend(data[len(broken) : 800])
        segments = cut_into(bytes(broken), *(chance.randrange(len(broken)) for _ in range(chance.randrange(3))))
        expected = outcome(segments, lambda: 1 << 30)
        assert outcome(segments, lambda: chance.choice((1, 8, 60, 4000))) == expected


def test_little_is_held_whatever_comes(files: list[bytes]) -> None:
    longest = header(*[video()] * MAX_TRACKS, before=chunk(b"JUNK", b"\0" * 50_000))
    longest += FRAME * 10 + chunk(b"00dc", b"x" * 200_000) + chunk(b"idx1", entry(b"00dc") * 5000)
    for data in (longest, *files):
        for step in (1000, 70_000):
            scanner = AviScanner()
            scanner.begin_segment()
            with contextlib.suppress(MediaError):
                for at in range(0, len(data), step):
                    scanner.feed(data[at : at + step])
                    assert len(scanner._pending) < 200
                    assert len(scanner._media) <= 10 * MAX_TRACKS


def test_a_copy_goes_its_own_way(files: list[bytes]) -> None:
    for data in files:
        for cut in (300, len(data) // 2, len(data) - 100):
            scanner = scan(data[:cut])
            before = state(scanner)
            copied = scanner.copy()
            assert state(copied) == before
            feed(copied, data[cut:])
            assert state(scanner) == before
            feed(scanner, data[cut:])
            assert state(scanner) == state(copied)
