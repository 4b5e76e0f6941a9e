from __future__ import annotations

import contextlib
import copy
import math
import random
from array import array
from binascii import crc32
from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from typing import Any

import av
import pytest

from ihproto.media import mpegts
from ihproto.media.mpegts import TransportStreamScanner
from ihproto.media.scanner import MAX_TRACKS, MediaError, Track

REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
WRAP = 1 << 33
H264 = (0x1B, 0x100, b"")
AAC = (0x0F, 0x101, b"")

# --- writing transport streams ---------------------------------------------------------------------------------------


def section(table: int, number: int, content: bytes, *, current: bool = True, part: int = 0) -> bytes:
    length = 5 + len(content) + 4
    head = bytes((table, 0xB0 | length >> 8, length & 0xFF, number >> 8, number & 0xFF, 0xC0 | current, part, part))
    body = head + content
    checksum = crc32(body.translate(REVERSED)) ^ 0xFFFFFFFF
    return body + checksum.to_bytes(4, "little").translate(REVERSED)


def association(*programs: tuple[int, int], **options: Any) -> bytes:
    content = b"".join(program.to_bytes(2, "big") + (0xE000 | pid).to_bytes(2, "big") for program, pid in programs)
    return section(0, 1, content, **options)


def program_map(*tracks: tuple[int, int, bytes], program: int = 1, info: bytes = b"", **options: Any) -> bytes:
    content = b"\xe1\x00" + (0xF000 | len(info)).to_bytes(2, "big") + info
    for stream_type, pid, descriptors in tracks:
        content += bytes((stream_type,)) + (0xE000 | pid).to_bytes(2, "big")
        content += (0xF000 | len(descriptors)).to_bytes(2, "big") + descriptors
    return section(2, program, content, **options)


def registration(name: bytes) -> bytes:
    return b"\x05\x04" + name


def stamp(prefix: int, time: int) -> bytes:
    value = (prefix << 36) | (time >> 30 & 7) << 33 | 1 << 32 | (time >> 15 & 0x7FFF) << 17 | 1 << 16
    return (value | (time & 0x7FFF) << 1 | 1).to_bytes(5, "big")


def pes(
    payload: bytes = b"", pts: int | None = 0, dts: int | None = None, stream_id: int = 0xE0, stuffing: int = 0
) -> bytes:
    times = b"" if pts is None else stamp(2, pts % WRAP) if dts is None else stamp(3, pts % WRAP) + stamp(1, dts % WRAP)
    times += b"\xff" * stuffing
    flags = 0 if pts is None else 0x80 if dts is None else 0xC0
    return bytes((0, 0, 1, stream_id, 0, 0, 0x80, flags, len(times))) + times + payload


class Writer:
    """Writes packets, with continuity counters as they must be."""

    def __init__(self, size: int = 188) -> None:
        self.size = size
        self.counters: dict[int, int] = {}

    def packet(
        self,
        pid: int,
        payload: bytes | None,
        *,
        start: bool = False,
        fields: int | None = None,
        adaptation: bytes | None = None,
        error: bool = False,
        control: int = 0,
    ) -> bytes:
        room = 184 - (0 if payload is None else len(payload))
        if adaptation is None and (fields is not None or payload is None or room):
            adaptation = b"" if room == 1 else bytes((fields or 0,)) + b"\xff" * (room - 2)
        field = b"" if adaptation is None else bytes((len(adaptation),)) + adaptation
        counter = self.counters.get(pid, 0)
        if payload is not None and not error:
            counter = self.counters[pid] = (self.counters.get(pid, -1) + 1) & 15
        head = (error << 15 | start << 14 | pid).to_bytes(2, "big")
        control |= (0x20 if adaptation is not None else 0) | (0x10 if payload is not None else 0)
        packet = b"\x47" + head + bytes((control | counter & 15,)) + field + (payload or b"")
        assert len(packet) == 188, len(packet)
        return b"\x01\x02\x03\x04" * (self.size == 192) + packet

    def unit(self, pid: int, content: bytes, *, key: bool = False, first: int = 184) -> bytes:
        """The packets of a PES packet; `first` is how much of it the first of them holds at most."""
        room = min(first, 182 if key else 184)
        fields = 0x40 if key else None
        packets = self.packet(pid, content[:room], start=True, fields=fields)
        for at in range(room, len(content), 184):
            packets += self.packet(pid, content[at : at + 184])
        return packets

    def table(self, pid: int, *sections: bytes, pointer: bytes = b"", room: int = 184) -> bytes:
        content = bytes((len(pointer),)) + pointer + b"".join(sections)
        packets = b""
        for at in range(0, len(content), room):
            part = content[at : at + room]
            part += b"\xff" * (184 - len(part)) if at + room >= len(content) else b""
            packets += self.packet(pid, part, start=not at)
        return packets

    def tables(self, *tracks: tuple[int, int, bytes], **options: Any) -> bytes:
        return self.table(0, association((1, 0x1000))) + self.table(0x1000, program_map(*tracks, **options))


def scan(*segments: bytes, size: int = 188, step: int = 1 << 30) -> TransportStreamScanner:
    scanner = TransportStreamScanner(size)
    for segment in segments:
        feed(scanner, segment, step)
    return scanner


def feed(scanner: TransportStreamScanner, segment: bytes, step: int = 1 << 30) -> None:
    scanner.begin_segment()
    for at in range(0, len(segment), step):
        scanner.feed(segment[at : at + step])
    scanner.finish_segment()


def seen(scanner: TransportStreamScanner) -> tuple[float | None, float | None, int, int, tuple[str, ...]]:
    extent = scanner.extent
    codecs = tuple(track.codec for track in scanner.tracks)
    start, end = (None if time is None else round(time * 90_000) / 90_000 for time in (extent.start, extent.end))
    return start, end, extent.samples, extent.key_frames, codecs


def film(writer: Writer, count: int = 20, begin: int = 0, step: int = 3000, pid: int = 0x100) -> bytes:
    """Frames of video without a table."""
    return b"".join(
        writer.unit(pid, pes(b"frame" * 60, begin + index * step), key=index % 10 == 0) for index in range(count)
    )


# --- files by ffmpeg, and what it says of them ------------------------------------------------------------------------


def make(
    video: str | None, audio: str | None, *, fps: int = 25, seconds: float = 1.5, rate: int = 48000, **options: str
) -> bytes:
    """A file by ffmpeg."""
    buffer = BytesIO()
    container = av.open(buffer, "w", format="mpegts", options=options)
    streams: list[Any] = []
    if video is not None:
        picture: Any = container.add_stream(video, rate=fps, options={"threads": "1"})
        picture.width, picture.height, picture.pix_fmt, picture.gop_size = 32, 32, "yuv420p", 10
        streams.append(picture)
    if audio is not None:
        sound: Any = container.add_stream(audio, rate=rate, layout="mono")
        sound.bit_rate = 64_000
        streams.append(sound)
    at = 0
    for index in range(round(fps * seconds)):
        for stream in streams:
            if stream.type == "video":
                image = av.VideoFrame(32, 32, "yuv420p")
                for plane in image.planes:
                    plane.update(bytes((index * 7 + place) & 255 for place in range(plane.buffer_size)))
                image.pts, image.time_base = index, Fraction(1, fps)
                container.mux(stream.encode(image))
                continue
            context = stream.codec_context
            count = context.frame_size or 1024
            while at * fps < (index + 1) * rate:
                samples = av.AudioFrame(context.format.name, "mono", count)
                if "flt" in context.format.name:
                    wave: array[Any] = array("f", (math.sin((at + place) / 9) / 2 for place in range(count)))
                else:
                    wave = array("h", (round(9000 * math.sin((at + place) / 9)) for place in range(count)))
                samples.planes[0].update(wave.tobytes().ljust(samples.planes[0].buffer_size, b"\0"))
                samples.sample_rate, samples.pts, samples.time_base = rate, at, Fraction(1, rate)
                container.mux(stream.encode(samples))
                at += count
    for stream in streams:
        container.mux(stream.encode(None))
    container.close()
    return buffer.getvalue()


def judge(data: bytes) -> tuple[float, float, list[Track], int]:
    """Start, end, tracks and key frames as ffmpeg has them."""
    with av.open(BytesIO(data), "r", format="mpegts") as container:
        times, keys = [], 0
        for packet in container.demux():
            if packet.pts is not None and packet.stream.type in ("video", "audio"):
                assert packet.time_base is not None
                start = packet.pts * packet.time_base
                times.append((start, start + (packet.duration or 0) * packet.time_base))
                keys += packet.stream.type == "video" and packet.is_keyframe
        tracks = []
        for stream in container.streams:
            if stream.type in ("video", "audio"):
                context: Any = stream.codec_context
                tracks.append(Track(stream.type, context.codec.canonical_name))
        return float(min(times)[0]), float(max(end for _, end in times)), tracks, keys


@pytest.mark.parametrize(
    ("video", "audio", "options"),
    [
        ("libx264", "aac", {}),
        ("libx264", "aac", {"fps": 10, "max_delay": "700000"}),
        ("libx264", "libopus", {"fps": 30, "max_delay": "700000"}),
        ("libx264", "ac3", {"max_delay": "700000", "pes_payload_size": "9000"}),
        ("libx264", "eac3", {"muxrate": "900000", "max_delay": "700000"}),
        ("libx264", "libmp3lame", {"rate": 44100}),
        ("libx264", "aac", {"mpegts_flags": "initial_discontinuity", "omit_video_pes_length": "0"}),
        ("libx264", "ac3", {"mpegts_m2ts_mode": "1"}),
        ("mpeg2video", "mp2", {"max_delay": "700000"}),
        ("mpeg2video", "aac", {"mpegts_m2ts_mode": "1"}),
        ("mpeg1video", "libmp3lame", {"fps": 24, "rate": 22050}),
        ("mpeg4", "aac", {"fps": 15}),
        ("mpeg4", "libmp3lame", {"mpegts_m2ts_mode": "1"}),
        ("mpeg4", None, {"pat_period": "9"}),
        (None, "aac", {}),
    ],
)
def test_span_tracks_and_key_frames_are_those_of_ffmpeg(
    video: str | None, audio: str | None, options: dict[str, Any]
) -> None:
    data = make(video, audio, **options)
    start, end, tracks, keys = judge(data)
    scanner = scan(data, size=192 if "mpegts_m2ts_mode" in options else 188)
    assert scanner.extent.start == pytest.approx(start, abs=0.001)
    assert scanner.extent.end == pytest.approx(end, abs=0.001)
    assert list(scanner.tracks) == tracks
    assert scanner.extent.key_frames == keys
    assert scanner.begins_with_tables


@pytest.mark.parametrize("audio", ["flac", None])
def test_what_ffmpeg_takes_for_data_is_no_track(audio: str | None) -> None:
    data = make("libvpx-vp9" if audio is None else "libx264", audio or "aac")
    assert list(scan(data).tracks) == judge(data)[2]


def test_the_times_of_a_stream_that_was_cut_anywhere_add_up() -> None:
    data = make("libx264", "aac", max_delay="700000")
    whole = scan(data)
    for cut in range(3000, len(data), 1777):
        scanner = scan(data[:cut])
        first = scanner.extent
        feed(scanner, data[cut:])
        second = scanner.extent
        assert first.samples + second.samples == whole.extent.samples
        assert first.key_frames + second.key_frames == whole.extent.key_frames
        starts = [time for time in (first.start, second.start) if time is not None]
        assert min(starts) == whole.extent.start
        assert second.end == whole.extent.end
        if first.end is not None:
            # The frames before the cut are of times around the cut, so the segments meet within a PES packet of audio.
            assert second.start == pytest.approx(first.end, abs=0.45)


# --- packets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "container"), [(188, "mpeg-ts"), (192, "mpeg-2-ts")])
def test_the_container_is_named_by_the_size_of_packets(size: int, container: str) -> None:
    writer = Writer(size)
    scanner = scan(writer.tables(H264) + film(writer), size=size)
    assert scanner.container == container
    assert seen(scanner) == (0.0, 20 / 30, 20, 2, ("h264",))


def test_no_other_size_is_taken() -> None:
    with pytest.raises(ValueError, match="188 or 192 bytes, not 204"):
        TransportStreamScanner(204)


@pytest.mark.parametrize("step", [1, 50, 188, 1 << 30])
@pytest.mark.parametrize("size", [188, 192])
def test_a_lost_sync_byte_is_named_as_soon_as_it_is_there(step: int, size: int) -> None:
    writer = Writer(size)
    data = writer.tables(H264) + film(writer, 4)
    broken = data[: 5 * size + size - 188] + b"\x48" + data[5 * size + size - 187 :]
    scanner = TransportStreamScanner(size)
    with pytest.raises(MediaError, match="must begin here with byte 47, found 48") as caught:
        feed(scanner, broken[: 5 * size + size - 187], step)
    assert caught.value.at == 5 * size + size - 188
    scanner = TransportStreamScanner(size)
    with pytest.raises(MediaError) as caught:
        feed(scanner, broken, step)
    assert caught.value.at == 5 * size + size - 188


def test_a_file_of_another_kind_is_refused_at_its_first_byte() -> None:
    with pytest.raises(MediaError) as caught:
        scan(b"RIFF")
    assert caught.value.at == 0


def test_a_scrambled_stream_is_refused() -> None:
    writer = Writer()
    data = writer.tables(H264) + writer.packet(0x100, b"x" * 184, start=True, control=0x80)
    with pytest.raises(MediaError, match="scrambled") as caught:
        scan(data)
    assert caught.value.at == 2 * 188 + 3


def test_an_adaptation_field_that_is_too_large_is_refused() -> None:
    writer = Writer()
    packet = writer.packet(0x100, b"", start=True, adaptation=b"\0" * 183)
    data = writer.tables(H264) + packet[:4] + b"\xf0" + packet[5:]
    with pytest.raises(MediaError, match="adaptation field") as caught:
        scan(data)
    assert caught.value.at == 2 * 188 + 4


def test_packets_that_hold_nothing_of_a_track_are_stepped_over() -> None:
    writer = Writer()
    others = (
        writer.packet(0x1FFF, b"\xff" * 184)
        + writer.packet(0x100, None, start=True)
        + writer.packet(0x100, None, fields=0x10)
        + writer.packet(0x11, b"\0" * 184, start=True)
        + writer.packet(0x300, pes(b"x" * 170), start=True)
        + writer.packet(0x100, pes(b"x" * 170, 7 * 90_000), start=True, error=True)
    )
    assert seen(scan(writer.tables(H264) + others + film(writer, 3)))[:3] == (0.0, 0.1, 3)


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 1 << 30])
def test_of_several_programs_the_first_is_taken(step: int) -> None:
    writer = Writer()
    both = program_map(H264, program=7) + program_map((0x24, 0x200, b""), program=8)
    data = writer.table(0, association((0, 0x10), (7, 0x1000), (8, 0x1000))) + writer.table(0x1000, both)
    assert seen(scan(data + film(writer), step=step))[4] == ("h264",)


@pytest.mark.parametrize("step", [1, 188, 1 << 30])
@pytest.mark.parametrize("room", [184, 100])
def test_tables_may_take_several_packets(step: int, room: int) -> None:
    writer = Writer()
    data = writer.table(0, association(*((number + 2, 0x1000 + number) for number in range(100))), room=room)
    many = [(0x06, 0x400 + number, registration(b"KLVA") * 4) for number in range(20)]
    # Packets of others lie between, and one that came broken.
    table = writer.table(0x1000, program_map(*many, H264, program=2), room=room)
    between = writer.packet(0x300, b"x" * 184) + writer.packet(0x1000, b"x" * 184, error=True)
    assert len(table) >= 4 * 188
    data += table[:376] + between + table[376:]
    assert seen(scan(data + film(writer) + table, step=step)) == (0.0, 20 / 30, 20, 2, ("h264",))


@pytest.mark.parametrize("step", [1, 1 << 30])
def test_a_pointer_field_tells_where_a_table_begins(step: int) -> None:
    writer = Writer()
    table = program_map((0x06, 0x500, b"\x0a\x04eng\0" * 30), H264)
    first = writer.packet(0x1000, b"\0" + table[:183], start=True)
    # The end of one section, and behind it the beginning of another that names one more track.
    second = program_map((0x06, 0x500, b""), H264, AAC)
    rest = writer.table(0x1000, second, pointer=table[183:])
    data = writer.table(0, association((1, 0x1000)), pointer=b"other") + first
    assert seen(scan(data + rest + film(writer), step=step))[4] == ("h264", "aac")
    # A section that is not whole when its end was announced is forgotten.
    writer = Writer()
    data = writer.table(0, association((1, 0x1000))) + writer.packet(0x1000, b"\0" + table[:183], start=True)
    data += writer.table(0x1000, second, pointer=table[183:190])
    assert seen(scan(data + film(writer), step=step))[4] == ("h264", "aac")


@pytest.mark.parametrize(
    "table",
    [
        program_map(H264)[:-1] + b"\0",
        program_map(H264, current=False),
        program_map(H264, program=9),
        section(2, 1, b""),
        b"\x02\xb0\x01\x00",
        b"\x02\xbf\xff" + b"\x00" * 180,
        b"\x03" + program_map(H264)[1:],
        b"",
    ],
    ids=["checksum", "not yet", "other program", "empty", "short", "too long", "other table", "nothing"],
)
def test_a_table_that_is_not_valid_waits_for_the_next(table: bytes) -> None:
    writer = Writer()
    data = writer.table(0, association((1, 0x1000))) + writer.table(0x1000, table)[:188]
    scanner = scan(data)
    assert not scanner.header_complete
    assert scanner.tracks == ()
    feed(scanner, writer.table(0x1000, program_map(H264)) + film(writer, 3))
    assert scanner.header_complete
    assert seen(scanner)[:3] == (0.0, 0.1, 3)


def test_association_tables_that_name_no_program_are_no_use() -> None:
    writer = Writer()
    data = writer.table(0, association((0, 0x10)), association((3, 0)), section(5, 1, b"\0\1\xf0\0"))
    data += writer.packet(0, b"\0", start=True, adaptation=b"\0" * 182)
    data += writer.packet(0, None, start=True)
    data += writer.table(0, association((1, 0x1000), part=1)) + writer.table(0, association((9, 0x1001), part=2))
    data += writer.table(0x1000, program_map(H264))
    assert scan(data).tracks == (Track("video", "h264"),)


def test_a_program_map_may_change() -> None:
    writer = Writer()
    scanner = scan(writer.tables(H264, AAC) + film(writer, 20))
    assert seen(scanner)[4] == ("h264", "aac")
    # Other tracks, of which one has a PID that was there; what was seen of the others still counts.
    feed(
        scanner,
        film(writer, 3, 60_000)
        + writer.unit(0x101, pes(b"\0" * 50, 62_000))
        + writer.table(0x1000, program_map((0x24, 0x100, b""), (0x81, 0x102, b"")))
        + film(writer, 3, 69_000),
    )
    assert seen(scanner) == (60_000 / 90_000, 78_000 / 90_000, 7, 2, ("hevc", "ac3"))
    # The same tables in other words are no change.
    before = scanner.copy()
    feed(scanner, writer.table(0x1000, program_map((0x24, 0x100, b"\x52\x01\x00"), (0x81, 0x102, b""))))
    assert seen(scanner) == (None, None, 0, 0, ("hevc", "ac3"))
    # Another program in another place.
    feed(scanner, writer.table(0, association((2, 0x1001))) + writer.table(0x1001, program_map(H264, program=2)))
    assert seen(scanner)[4] == ("h264",)
    assert seen(before)[4] == ("hevc", "ac3")


def test_a_track_that_goes_before_it_had_anything_leaves_nothing() -> None:
    writer = Writer()
    scanner = scan(writer.tables(H264, AAC) + writer.tables() + writer.tables(AAC))
    assert seen(scanner) == (None, None, 0, 0, ("aac",))
    data = writer.tables(H264, (0x24, 0x102, b"")) + film(writer, 2) + film(writer, 2, 30_000, pid=0x102)
    assert seen(scan(data + writer.tables(AAC))) == (0.0, 36_000 / 90_000, 4, 2, ("aac",))


def test_a_program_map_that_changes_all_the_time_is_refused() -> None:
    writer = Writer()
    maps = [writer.table(0x1000, program_map((0x1B, 0x100 + number, b""))) for number in range(101)]
    first = writer.table(0, association((1, 0x1000)))
    assert scan(first + b"".join(maps[:-1]), *maps).header_complete
    with pytest.raises(MediaError, match="changes for the 101th time"):
        scan(first + b"".join(maps))


def test_too_many_tracks_are_refused() -> None:
    writer = Writer()
    tracks = [(0x0F, 0x100 + number, b"") for number in range(MAX_TRACKS + 1)]
    assert len(scan(writer.tables(*tracks[:-1])).tracks) == MAX_TRACKS
    with pytest.raises(MediaError, match="33 tracks"):
        scan(writer.tables(*tracks))


@pytest.mark.parametrize(
    ("stream_type", "descriptors", "codec"),
    [
        (0x06, registration(b"Opus") + b"\x7f\x02\x80\x01", "opus"),
        (0x06, registration(b"AC-3"), "ac3"),
        (0x06, registration(b"AV01"), "av1"),
        (0x06, registration(b"VP09"), "vp9"),
        (0x06, registration(b"HEVC"), "hevc"),
        (0x06, b"\x52\x01\x05\x6a\x01\x00", "ac3"),
        (0x06, b"\x7a\x01\x00", "eac3"),
        (0xC1, registration(b"AC-3"), "ac3"),
        (0x81, b"", "ac3"),
        (0x87, b"", "eac3"),
        (0x82, b"", None),
        (0x06, registration(b"KLVA"), None),
        (0x06, b"\x59\x08eng\x10\0\1\0\1", None),
        (0x06, b"", None),
        (0x05, b"", None),
        (0x06, b"\x05\xff", None),
    ],
)
def test_private_data_is_what_its_descriptors_say(stream_type: int, descriptors: bytes, codec: str | None) -> None:
    assert seen(scan(Writer().tables((stream_type, 0x100, descriptors))))[4] == (() if codec is None else (codec,))


@pytest.mark.parametrize(("stream_type", "codec"), [(0x80, "pcm_bluray"), (0x83, "truehd"), (0xA1, "eac3")])
def test_a_program_of_a_blu_ray_disc_has_types_of_its_own(stream_type: int, codec: str) -> None:
    writer = Writer()
    assert seen(scan(writer.tables((stream_type, 0x100, b""), info=registration(b"HDMV"))))[4] == (codec,)
    assert seen(scan(writer.tables((stream_type, 0x100, b""))))[4] == ()


# --- PES packets ------------------------------------------------------------------------------------------------------


def test_pes_packets_that_came_before_the_tables_count_as_soon_as_these_come() -> None:
    writer = Writer()
    frames = film(writer, 4)
    unknown = writer.unit(0x300, pes(b"x" * 300)) + writer.unit(0x301, b"no PES packet")
    unknown += writer.packet(0x302, None, start=True) + writer.unit(0x303, pes(stream_id=0xBC))
    scanner = TransportStreamScanner()
    scanner.begin_segment()
    scanner.feed(unknown + frames)
    assert seen(scanner) == (None, None, 0, 0, ())
    scanner.feed(writer.tables(H264) + film(writer, 4, 12_000))
    assert seen(scanner) == (0.0, 8 / 30, 8, 2, ("h264",))
    assert scanner.begins_with_tables is False


def test_no_more_tracks_than_there_may_be_are_kept_before_the_tables() -> None:
    writer = Writer()
    units = b"".join(writer.unit(0x400 + number, pes(b"x" * 100)) for number in range(2 * MAX_TRACKS))
    scanner = scan(units + writer.tables((0x1B, 0x400, b""), (0x1B, 0x400 + MAX_TRACKS, b"")))
    assert seen(scanner)[2] == 1


@pytest.mark.parametrize("late", [False, True])
def test_what_is_no_pes_packet_is_refused(late: bool) -> None:
    writer = Writer()
    data = writer.tables(H264) + film(writer, 20 if late else 0)
    with pytest.raises(MediaError, match="must begin here with bytes 00 00 01, found 00 00 02") as caught:
        scan(data + writer.unit(0x100, b"\0\0\2" + b"x" * 181))
    assert caught.value.at == len(data) + 4


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("broken", [(6, 0x40), (8, 4)])
def test_a_broken_header_of_a_pes_packet_is_refused(late: bool, broken: tuple[int, int]) -> None:
    writer = Writer()
    data = writer.tables(H264) + film(writer, 20 if late else 0)
    unit = bytearray(pes(b"x" * 170))
    unit[broken[0]] = broken[1]
    with pytest.raises(MediaError, match="the header of a PES packet is broken") as caught:
        scan(data + writer.unit(0x100, bytes(unit)))
    assert caught.value.at == len(data) + 10


@pytest.mark.parametrize("late", [False, True])
def test_pes_packets_without_times_or_headers_do_no_harm(late: bool) -> None:
    writer = Writer()
    data = writer.tables(H264) + film(writer, 20 if late else 2)
    samples = scan(data).extent.samples
    data += writer.unit(0x100, pes(b"x" * 300, None)) + writer.unit(0x100, pes(b"x" * 300, stream_id=0xBE))
    data += writer.unit(0x100, b"\0\0\1\xbe")
    scanner = scan(data)
    assert scanner.extent.samples == samples + 1
    assert scanner.extent.start == 0.0


@pytest.mark.parametrize("step", [1, 1 << 30])
@pytest.mark.parametrize("held", [0, 1, 5, 13, 18])
def test_the_header_of_a_pes_packet_may_be_spread_over_packets(step: int, held: int) -> None:
    writer = Writer()
    data = writer.tables(H264, (0x03, 0x101, b"")) + film(writer, 20)
    data += writer.unit(0x100, pes(b"x" * 300, 75_000, 72_000), first=held, key=True) + film(writer, 1, 78_000)
    # One that never goes on is forgotten when the next begins.
    data += writer.unit(0x100, pes(b"x" * 300, 75_000, 72_000), first=held)[:188] + film(writer, 1, 81_000)
    data += writer.unit(0x101, pes(MP3 * 20, 81_000, 81_000, stream_id=0xC0), first=held)
    assert seen(scan(data, step=step)) == (0.0, 84_000 / 90_000, 24, 5, ("h264", "mp3"))


def test_frames_that_are_presented_in_another_order_count_by_when_they_are_presented() -> None:
    writer = Writer()
    frames = [(3, 0), (6, 1), (4, 2), (5, 3), (9, 4), (7, 5), (8, 6)]
    data = writer.tables(H264)
    for presented, decoded in frames:
        data += writer.unit(0x100, pes(b"x" * 200, presented * 3600, decoded * 3600))
    assert seen(scan(data))[:3] == (0.12, 0.4, 7)
    # Without times of decoding, too.
    data = writer.tables(H264)
    for presented, _ in frames * 4:
        data += writer.unit(0x100, pes(b"x" * 200, presented * 3600))
    assert seen(scan(data))[:3] == (0.12, 0.4, 28)


@pytest.mark.parametrize("step", [1, 1 << 30])
def test_times_go_on_when_they_wrap(step: int) -> None:
    writer = Writer()
    begin = WRAP - 100 * 90_000
    data = writer.tables(H264) + film(writer, 20, begin)
    scanner = scan(data, step=step)
    assert scanner.extent.start == begin / 90_000
    feed(scanner, film(writer, 12, WRAP - 6 * 3000 - 1500), step)
    assert scanner.extent.start == (WRAP - 6 * 3000 - 1500) / 90_000
    assert scanner.extent.end == (WRAP + 6 * 3000 - 1500) / 90_000
    feed(scanner, film(writer, 12, 20_000), step)
    assert scanner.extent.start == (WRAP + 20_000) / 90_000


def test_a_stream_that_begins_just_before_the_wrap_begins_before_zero_as_in_ffmpeg() -> None:
    data = make("libx264", "aac", output_ts_offset="0")
    moved = bytearray(data)
    # All times are moved to two thirds of a second before the wrap; ffmpeg reads the result.
    for at in range(0, len(moved), 188):
        if moved[at + 1] & 0x40 and (moved[at + 1] & 0x1F, moved[at + 2]) in ((1, 0), (1, 1)):
            here = at + 4 + (1 + moved[at + 4] if moved[at + 3] & 0x20 else 0)
            for place in range(9, 9 + moved[here + 8], 5):
                time = mpegts._time(bytes(moved), here + place) - 60_000
                moved[here + place : here + place + 5] = stamp(moved[here + place] >> 4, time % WRAP)
    start, end, tracks, _ = judge(bytes(moved))
    assert start < 0 < end
    scanner = scan(bytes(moved))
    assert scanner.extent.start == pytest.approx(start, abs=0.001)
    assert scanner.extent.end == pytest.approx(end, abs=0.001)
    assert list(scanner.tracks) == tracks


def test_the_first_frames_tell_how_long_the_last_one_lasts() -> None:
    writer = Writer()
    data = writer.tables(H264) + film(writer, 2, step=100_000_000) + film(writer, 2, 200_000_000, step=10)
    assert seen(scan(data))[1] == (200_000_010) / 90_000
    # A pause is no longer frame.
    data = writer.tables(H264) + film(writer, 20) + film(writer, 1, 900_000)
    assert seen(scan(data))[1] == 903_000 / 90_000


# --- continuations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [188, 192])
def test_a_missing_piece_is_noticed_by_the_continuity_counter(size: int) -> None:
    writer = Writer(size)
    first = writer.tables(H264) + film(writer, 3)
    missing = film(writer, 2, 9000)
    last = film(writer, 3, 15_000)
    whole = scan(first, missing, last, size=size)
    assert whole.extent.samples == 3
    scanner = scan(first, size=size)
    copied = scanner.copy()
    null = writer.packet(0x1FFF, b"\xff" * 184) * 2
    with pytest.raises(MediaError, match="packet 10 of PID 256 comes where packet 6 must come") as caught:
        feed(scanner, null + last)
    assert caught.value.at == 2 * size + size - 188
    # A segment that begins with tables may stand for itself.
    feed(copied, writer.table(0, association((1, 0x1000))) + last)
    assert copied.begins_with_tables
    assert copied.extent.samples == 3


def test_a_counter_may_jump_if_the_packet_says_so() -> None:
    writer = Writer()
    first = writer.tables(H264) + film(writer, 3)
    film(writer, 2)
    jump = writer.packet(0x100, pes(b"x" * 100, 90_000), start=True, fields=0x80)
    assert seen(scan(first, jump + film(writer, 3)))[2] == 4
    # Packets without a payload do not count.
    assert seen(scan(first, Writer().packet(0x100, None, control=5)))[2] == 0
    with pytest.raises(MediaError, match="must come"):
        scan(first, Writer().packet(0x100, None, control=9))


def test_losses_within_a_segment_are_tolerated() -> None:
    writer = Writer()
    data = writer.tables(H264) + film(writer, 5)
    film(writer, 2)
    assert seen(scan(data + film(writer, 3, 21_000)))[2] == 8


def test_packets_of_others_leave_the_counter_alone() -> None:
    writer = Writer()
    first = writer.tables(H264) + film(writer, 3)
    # PIDs that share a byte with the one that is counted, and segments without any of it.
    others = writer.packet(0x200, b"x" * 184) + writer.packet(0x300, b"x" * 184)
    null = writer.packet(0x1FFF, b"\xff" * 184)
    scanner = scan(first + others, others, null, others + film(writer, 3, 9000))
    assert scanner.extent.samples == 3
    feed(scanner, null)
    assert scanner.begins_with_tables is None
    film(writer, 1)
    with pytest.raises(MediaError, match="something is missing"):
        feed(scanner, others + film(writer, 3, 9000))


@pytest.mark.parametrize("step", [188, 1 << 30])
@pytest.mark.parametrize("ahead", [False, True])
def test_after_a_broken_packet_nothing_is_said_to_be_missing(step: int, ahead: bool) -> None:
    writer = Writer()
    first = writer.tables(H264) + film(writer, 3)
    broken = writer.packet(0x1FF, b"x" * 184, error=True)
    film(writer, 2)
    segments = (first, broken + film(writer, 2, 15_000)) if ahead else (first + broken, film(writer, 2, 15_000))
    assert scan(*segments, step=step).extent.samples == 2


def test_when_the_counted_track_changes_nothing_is_missing() -> None:
    writer = Writer()
    scanner = scan(writer.tables(H264) + film(writer, 3), writer.packet(0x300, b"x" * 184))
    feed(scanner, writer.packet(0x300, b"x" * 184) + writer.table(0x1000, program_map((0x1B, 0x300, b""))))
    feed(scanner, writer.packet(0x300, b"x" * 184))
    assert scanner.header_complete


def test_a_segment_counts_the_pes_packet_whose_header_it_holds() -> None:
    writer = Writer()
    tables = writer.tables(H264) + film(writer, 20)
    data = tables + film(writer, 1, 60_000)
    for cut in range(len(tables), len(tables) + 188):
        scanner = scan(data[:cut])
        first = scanner.extent.samples - 20
        scanner.finish_segment()
        feed(scanner, data[cut:])
        assert (first, scanner.extent.samples) == ((1, 0) if cut >= len(tables) + 20 else (0, 1)), cut


def test_a_cut_before_the_header_is_whole_leaves_it_to_the_next_segment() -> None:
    writer = Writer()
    tables = writer.tables(H264) + film(writer, 20)
    for pid, payload, options in (
        (0x100, None, {"start": True}),
        (0x300, b"x" * 184, {"start": True}),
        (0x100, b"x" * 184, {}),
        (0x100, b"x" * 184, {"start": True, "error": True}),
    ):
        packet = copy.deepcopy(writer).packet(pid, payload, **options)  # type: ignore[arg-type]
        for cut in range(0, 188, 9):
            scanner = scan(tables + packet[:cut])
            feed(scanner, packet[cut:])
            assert scanner.extent.samples == 0


def test_a_pes_packet_without_a_time_may_be_cut_too() -> None:
    writer = Writer()
    tables = writer.tables((0x03, 0x101, b"")) + writer.unit(0x101, pes(MP3, 0, stream_id=0xC0))
    unit = writer.unit(0x101, pes(MP3 * 2, None, stream_id=0xC0))
    scanner = scan(tables + unit[:100])
    assert scanner.extent.samples == 2
    feed(scanner, unit[100:])
    assert scanner.extent.samples == 0


# --- audio ------------------------------------------------------------------------------------------------------------

#: A frame of 1152 samples at 48 kHz, 64 kbit/s, mono, layer III: 192 bytes; and one of layer II.
MP3 = b"\xff\xfb\x54\xc0" + b"\0" * 188
MP2 = b"\xff\xfd\x44\xc0" + b"\0" * 188
#: A frame of 1024 samples at 48 kHz, of 300 bytes.
ADTS = bytes((0xFF, 0xF1, 0x4C, 0x80 | 300 >> 11, 300 >> 3 & 0xFF, (300 & 7) << 5 | 0x1F, 0xFC)) + b"\0" * 293


def cut_into(content: bytes, *sizes: int) -> list[bytes]:
    parts = []
    for size in sizes:
        parts.append(content[:size])
        content = content[size:]
    return [*parts, content]


@pytest.mark.parametrize("step", [1, 188, 1000, 1 << 30])
def test_the_frames_of_the_last_pes_packet_tell_when_audio_ends(step: int) -> None:
    writer = Writer()
    data = writer.tables((0x03, 0x101, b""))
    for begin, frames in ((0, 10), (21_600, 10), (43_200, 4)):
        data += writer.unit(0x101, pes(MP3 * frames, begin, stream_id=0xC0, stuffing=7))
    assert seen(scan(data, step=step)) == (0.0, (43_200 + 4 * 2160) / 90_000, 3, 0, ("mp3",))


@pytest.mark.parametrize("step", [1, 188, 1 << 30])
def test_a_frame_belongs_to_the_segment_in_which_its_header_ends(step: int) -> None:
    writer = Writer()
    tables = writer.tables((0x03, 0x101, b""))
    unit = writer.unit(0x101, pes(MP3 * 10, 0, stream_id=0xC0))
    more = writer.unit(0x101, pes(MP3 * 2, 21_600, stream_id=0xC0))
    for cut in range(1, len(unit), 60):
        scanner = scan(tables + unit[:cut], step=step)
        first = scanner.extent
        feed(scanner, unit[cut:] + more, step)
        second = scanner.extent
        assert second.start is not None
        assert second.end == (21_600 + 2 * 2160) / 90_000
        if first.end is not None:
            assert second.start == pytest.approx(first.end)


def test_a_pes_header_may_be_longer_than_the_packet_in_which_it_begins() -> None:
    writer = Writer()
    data = writer.tables((0x03, 0x101, b"")) + writer.unit(0x101, pes(MP3 * 3, 0, stream_id=0xC0, stuffing=240))
    assert seen(scan(data))[1] == 3 * 2160 / 90_000


@pytest.mark.parametrize("step", [1, 1 << 30])
def test_audio_whose_frames_cannot_be_followed_lasts_as_long_as_before(step: int) -> None:
    writer = Writer()
    data = writer.tables((0x03, 0x101, b""))
    for index in range(3):
        data += writer.unit(0x101, pes(b"\0" * 100 + MP3 * 5, index * 10_000, stream_id=0xC0))
    assert seen(scan(data, step=step))[:3] == (0.0, 30_000 / 90_000, 3)
    # If they can be followed for a while, that is how long it lasts.
    data += writer.unit(0x101, pes(MP3 * 2 + b"\0" * 800 + MP3, 30_000, stream_id=0xC0))
    assert seen(scan(data, step=step))[1] == (30_000 + 2 * 2160) / 90_000
    # Nothing can be followed in codecs that are not known well enough.
    data = writer.tables((0x8A, 0x101, b""))
    for index in range(3):
        data += writer.unit(0x101, pes(b"\0" * 500, index * 10_000, stream_id=0xBD))
    assert seen(scan(data, step=step)) == (0.0, 30_000 / 90_000, 3, 0, ("dts",))


def test_a_pes_packet_of_audio_without_a_time_is_not_followed() -> None:
    writer = Writer()
    data = writer.tables((0x03, 0x101, b"")) + writer.unit(0x101, pes(MP3 * 3, 0, stream_id=0xC0))
    data += writer.unit(0x101, pes(MP3 * 3, 9000, stream_id=0xC0)) + writer.unit(0x101, pes(MP3 * 9, None))
    for step in (1, 1 << 30):
        assert seen(scan(data, step=step))[:3] == (0.0, 0.2, 3)


def test_a_track_of_audio_that_goes_is_no_longer_followed() -> None:
    writer = Writer()
    data = writer.tables(H264, (0x03, 0x101, b"")) + writer.unit(0x101, pes(MP3 * 3, 0, stream_id=0xC0))
    for step in (1, 1 << 30):
        scanner = scan(data + writer.tables(H264) + writer.packet(0x101, b"x" * 184), step=step)
        assert seen(scanner)[:3] == (0.0, 3 * 2160 / 90_000, 1)


@pytest.mark.parametrize(
    ("declared", "payload", "codec"),
    [
        (0x03, MP3, "mp3"),
        (0x04, MP2, "mp2"),
        (0x03, b"\xff\xff\x44\xc0" + b"\0" * 200, "mp1"),
        (0x0F, ADTS, "aac"),
        (0x0F, MP3, "mp3"),
        (0x11, b"\x56\xe0\x10" + b"\0" * 20, "aac_latm"),
        (0x03, b"\0" * 300, "mp3"),
        (0x03, b"\xff\xfd", "mp3"),
        (0x06, MP3, "mp3"),
        (0x06, ADTS, "aac"),
        (0x06, ADTS[:1] + b"\xf9" + ADTS[2:], None),
        (0x06, b"\x56\xe0\x10" + b"\0" * 20, None),
        (0x06, b"\x0b\x77\0\0\x14\x40" + b"\0" * 400, "ac3"),
        (0x06, b"\x0b\x77\x00\x7f\x34\x80" + b"\0" * 400, "eac3"),
        (0x06, b"\x0b\x77\0\0\xff\x40" + b"\0" * 400, None),
        (0x06, b"\0\0\1\xb0\1" + b"\0" * 400, "mpeg4"),
        (0x06, b"\x20\0\x0f" + b"\0" * 400, None),
        (0x02, b"\0\0\1\xb3" + b"\x12" * 8 + b"\0\0\1\xb5" + b"\0" * 90, "mpeg2video"),
        (0x02, b"\0\0\1\xb3" + b"\x12" * 72 + b"\0\0\1\xb8" + b"\0" * 90, "mpeg1video"),
        (0x06, b"\0\0\1\xb3" + b"\x12" * 8 + b"\0\0\1\xb8" + b"\0" * 90, "mpeg1video"),
        (0x02, b"\0\0\1\xb3" + b"\x12" * 300, "mpeg2video"),
        (0x02, b"\0\0\1\0" + b"\x12" * 300, "mpeg2video"),
    ],
)
def test_the_data_tells_what_the_stream_type_does_not(declared: int, payload: bytes, codec: str | None) -> None:
    writer = Writer()
    data = writer.tables((declared, 0x101, b"")) + writer.unit(0x101, pes(payload, 0, stream_id=0xC0))
    assert seen(scan(data))[4] == (() if codec is None else (codec,))


Reader = Callable[[bytes, int, int], tuple[int, float]]
MORE, NONE = 0, -1


@pytest.mark.parametrize(
    ("read", "header", "size", "lasts"),
    [
        (mpegts._adts_frame, ADTS[:7], 300, 1920),
        (mpegts._adts_frame, ADTS[:6], MORE, 0),
        (mpegts._adts_frame, ADTS[:2] + b"\x50" + ADTS[3:6] + b"\xfd", 300, 2 * 1024 * 90_000 / 44_100),
        (mpegts._adts_frame, b"\xfe" + ADTS[1:7], NONE, 0),
        (mpegts._adts_frame, b"\xff\xf3" + ADTS[2:7], NONE, 0),
        (mpegts._adts_frame, ADTS[:2] + b"\x74" + ADTS[3:7], NONE, 0),
        (mpegts._adts_frame, ADTS[:3] + b"\x80\0\xdf\xfc", NONE, 0),
        (mpegts._mpeg_audio_frame, MP3[:4], 192, 2160),
        (mpegts._mpeg_audio_frame, MP3[:3], MORE, 0),
        (mpegts._mpeg_audio_frame, MP2[:4], 192, 2160),
        (mpegts._mpeg_audio_frame, b"\xff\xfb\x92\xc0", 418, 1152 * 90_000 / 44_100),
        (mpegts._mpeg_audio_frame, b"\xff\xf3\x80\xc0", 208, 576 * 90_000 / 22_050),
        (mpegts._mpeg_audio_frame, b"\xff\xe3\x80\xc0", 417, 576 * 90_000 / 11_025),
        (mpegts._mpeg_audio_frame, b"\xff\xff\x16\xc0", 36, 720),
        (mpegts._mpeg_audio_frame, b"\xfe\xfb\x54\xc0", NONE, 0),
        (mpegts._mpeg_audio_frame, b"\xff\xdb\x54\xc0", NONE, 0),
        (mpegts._mpeg_audio_frame, b"\xff\xeb\x54\xc0", NONE, 0),
        (mpegts._mpeg_audio_frame, b"\xff\xf9\x54\xc0", NONE, 0),
        (mpegts._mpeg_audio_frame, b"\xff\xfb\x04\xc0", NONE, 0),
        (mpegts._mpeg_audio_frame, b"\xff\xfb\xf4\xc0", NONE, 0),
        (mpegts._mpeg_audio_frame, b"\xff\xfb\x5c\xc0", NONE, 0),
        (mpegts._ac3_frame, b"\x0b\x77\0\0\x14\x40", 768, 2880),
        (mpegts._ac3_frame, b"\x0b\x77\0\0\x55\x40", 836, 1536 * 90_000 / 44_100),
        (mpegts._ac3_frame, b"\x0b\x77\0\0\x54\x40", 834, 1536 * 90_000 / 44_100),
        (mpegts._ac3_frame, b"\x0b\x77\0\0\x15\x40", 768, 2880),
        (mpegts._ac3_frame, b"\x0b\x77\0\0\x14", MORE, 0),
        (mpegts._ac3_frame, b"\x0b\x76\0\0\x14\x40", NONE, 0),
        (mpegts._ac3_frame, b"\x0c\x77\0\0\x14\x40", NONE, 0),
        (mpegts._ac3_frame, b"\x0b\x77\0\0\xd4\x40", NONE, 0),
        (mpegts._ac3_frame, b"\x0b\x77\0\0\x26\x40", NONE, 0),
        (mpegts._ac3_frame, b"\x0b\x77\0\x7f\x34\x80", 256, 2880),
        (mpegts._ac3_frame, b"\x0b\x77\x01\x7f\x04\x80", 768, 480),
        (mpegts._ac3_frame, b"\x0b\x77\x40\x7f\x34\x80", 256, 0),
        (mpegts._ac3_frame, b"\x0b\x77\0\x7f\xc4\x80", 256, 1536 * 90_000 / 24_000),
        (mpegts._ac3_frame, b"\x0b\x77\0\x7f\xf4\x80", NONE, 0),
        (mpegts._opus_frame, b"\x7f\xe0\x64\xfc\0", 103, 1800),
        (mpegts._opus_frame, b"\x7f\xe0\xff\x01\xfd\0", 260, 3600),
        (mpegts._opus_frame, b"\x7f\xf8\x64" + b"\0" * 4 + b"\xfb\x03", 107, 3 * 1800),
        (mpegts._opus_frame, b"\x7f\xe4\x64\x02\0\0\x03\x03", 106, 3 * 900),
        (mpegts._opus_frame, b"\x7f\xe4\x64", MORE, 0),
        (mpegts._opus_frame, b"\x7f\xe0", MORE, 0),
        (mpegts._opus_frame, b"\x7f\xe0\xff", MORE, 0),
        (mpegts._opus_frame, b"\x7f\xe0\x64\xfc", MORE, 0),
        (mpegts._opus_frame, b"\x7f\xe0" + b"\xff" * 70, NONE, 0),
        (mpegts._opus_frame, b"\x7f\xe4\x64\xff" + b"\0" * 100, MORE, 0),
        (mpegts._opus_frame, b"\x7e\xe0\x64\xfc\0", NONE, 0),
        (mpegts._opus_frame, b"\x7f\x60\x64\xfc\0", NONE, 0),
    ],
)
def test_headers_of_frames_are_read_as_their_specifications_say(
    read: Reader, header: bytes, size: int, lasts: float
) -> None:
    found, duration = read(b"x" + header, 1, 1 + len(header))
    assert found == size
    assert duration == pytest.approx(lasts)


# --- any bytes, in any pieces -----------------------------------------------------------------------------------------


def state(scanner: TransportStreamScanner) -> list[object]:
    return [
        (name, repr(value)) for name, value in sorted(vars(scanner).items()) if name not in ("_association", "_map")
    ]


def outcome(segments: list[bytes], steps: Callable[[], int], size: int = 188) -> list[object]:
    """Everything that a scanner says of segments that come in pieces."""
    scanner = TransportStreamScanner(size)
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


@pytest.fixture(scope="module")
def files() -> list[tuple[int, bytes]]:
    return [
        (188, make("libx264", "aac", seconds=0.6, max_delay="700000")),
        (192, make("mpeg4", "ac3", seconds=0.6, mpegts_m2ts_mode="1")),
        (188, make("mpeg2video", "libopus", seconds=0.6, max_delay="700000")),
    ]


def test_every_place_to_cut_a_piece_gives_the_same(files: list[tuple[int, bytes]]) -> None:
    for size, data in files:
        expected = outcome([data], lambda: 1 << 30, size)
        assert outcome([data], lambda: 1, size) == expected
        for cut in range(1, len(data), 1 if len(data) < 9000 else 3):
            pieces = iter((cut, len(data)))
            assert outcome([data], lambda pieces=pieces: next(pieces), size) == expected  # type: ignore[misc]


def test_every_place_to_cut_a_segment_gives_the_same_in_any_pieces(files: list[tuple[int, bytes]]) -> None:
    size, data = files[0]
    for cut in range(1, len(data), 37):
        segments = cut_into(data, cut, 700)
        assert outcome(segments, lambda: 1 << 30, size) == outcome(segments, lambda: 50, size)


def test_any_bytes_give_a_media_error_or_none_and_the_same_in_any_pieces(files: list[tuple[int, bytes]]) -> None:
    chance = random.Random(7)
    for _ in range(500):
        size, data = chance.choice(files)
        broken = bytearray(data)
        for _ in range(chance.choice((1, 2, 8, 30))):
            at = chance.randrange(len(broken))
            packet = at // size * size
            match chance.randrange(6):
                case 0:
                    broken[at] = chance.getrandbits(8)
                case 1:
                    place = min(packet + size - 188 + chance.randrange(1, 24), len(broken) - 1)
                    broken[place] = chance.choice((0, 0x10, 0x20, 0x30, 0x40, 0x41, 0x50, 0x80, 0xFF))
                case 2:
                    broken[packet:packet] = broken[
                        (other := chance.randrange(len(broken)) // size * size) : other + size
                    ]
                case 3:
                    del broken[packet + size : packet + size * chance.choice((2, 9))]
                case 4 if chance.random() < 0.1:
                    del broken[max(at, 1) :]
                case _ if chance.random() < 0.2:
                    donor = chance.choice(files)[1]
                    broken[at:at] = donor[(begin := chance.randrange(len(donor))) : begin + 400]
        segments = cut_into(bytes(broken), *(chance.randrange(len(broken)) for _ in range(chance.randrange(3))))
        expected = outcome(segments, lambda: 1 << 30, size)
        assert outcome(segments, lambda: chance.choice((1, 60, 188, 4000)), size) == expected


def held(scanner: TransportStreamScanner) -> int:
    """How many bytes are held, more or less."""
    parts = (scanner._pending, scanner._association, scanner._map, scanner._mapped, *scanner._open.values())
    return sum(map(len, parts)) + sum(200 + len(stream.held) for stream in scanner._streams.values())


def test_little_is_held_whatever_comes() -> None:
    writer = Writer()
    tracks = [(0x0F, 0x100 + number, b"") for number in range(MAX_TRACKS)]
    endless = writer.tables(*tracks)
    # Tables and PES headers that are never whole, on every PID that is known.
    endless += writer.packet(0, b"\0" + association((1, 0x1000))[:1] + b"\xb3\xfd" + b"\0" * 180, start=True)
    endless += b"".join(writer.packet(pid, b"\0\0\1", start=True) for _, pid, _ in tracks)
    endless += b"".join(writer.packet(pid, b"", adaptation=b"\0" * 183) for _, pid, _ in tracks for _ in range(9))
    scanner = TransportStreamScanner()
    scanner.begin_segment()
    for at in range(0, len(endless), 100):
        scanner.feed(endless[at : at + 100])
        assert held(scanner) < 16 * 1024
    chance = random.Random(3)
    scanner = TransportStreamScanner()
    scanner.begin_segment()
    with contextlib.suppress(MediaError):
        for _ in range(3000):
            pid = chance.choice((0, 0x1000, 0x100, 0x101, chance.randrange(8192)))
            payload = chance.choice((b"\0\2\xb3\xff", b"\0\0\xb0", b"\0\0\1\xe0\0\0\x80")).ljust(184, b"\0")
            scanner.feed(writer.packet(pid, payload, start=chance.random() < 0.5))
            assert held(scanner) < 16 * 1024


def test_a_copy_goes_its_own_way(files: list[tuple[int, bytes]]) -> None:
    for size, data in files:
        scanner = scan(data[: len(data) // 2], size=size)
        before = state(scanner)
        copied = scanner.copy()
        assert state(copied) == before
        feed(copied, data[len(data) // 2 :])
        assert state(scanner) == before
        feed(scanner, data[len(data) // 2 :])
        assert state(scanner) == state(copied)
