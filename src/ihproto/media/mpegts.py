"""The scanner of MPEG transport streams, with packets of 188 bytes, and of 192 as cameras and Blu-ray discs write them.

A transport stream (ISO/IEC 13818-1, the numbers of sections below are its) is nothing but packets of 188 bytes, each of
which begins with byte 47 and names in 13 bits, the PID, whose packet it is; M2TS puts a time stamp of 4 bytes in front.
PID 0 carries the program association table, which names the PID of the program map of each program, which names the
PIDs and the codecs of its tracks. Of several programs the first is taken. Both tables come again and again, so that a
stream can be entered anywhere; a PES packet that came before the tables counts as soon as they tell what it was.

The data of a track comes in PES packets, spread over as many transport packets as it takes. The one in which a PES
packet begins is marked (`payload_unit_start_indicator`) and holds its time in units of 1/90000 s. So the scanner picks
the four bytes of the packets' headers out of a piece with strided slices, and looks only at packets that are marked:
what it costs depends on the number of frames, not on the number of bytes.

What is told of a segment:

- A sample is a PES packet: a frame of video, or one or more frames of audio. It belongs to the segment in which the
  last byte of its header lies; in the same way the tables belong to where they end.
- Times have 33 bits and wrap after 26.5 hours. Each is taken for the one that is nearest to the time before it,
  so a segment may hold the wrap, and a stream may run for days. A stream that begins less than a minute before the wrap
  begins with negative times, as ffmpeg has it. A jump of the clock is left as it is.
- A transport stream says nowhere how long a sample lasts. For video the shortest distance between the first frames
  is taken. For audio the frames of the last PES packet are followed by their headers, and are part of the segment in
  which their headers end. Audio whose frames cannot be followed counts like video.
- A key frame is a PES packet of video with `random_access_indicator`.
- A segment either begins with a table, then it can stand for itself; or its first packet of video must follow the
  last one of the segment before by its continuity counter. A jump of the counter elsewhere is a loss on the way, which
  the format is made to stand.
"""

from __future__ import annotations

from binascii import crc32
from collections.abc import Callable, Iterator
from copy import copy
from typing import Final, Self

import attrs

from ihproto.media.scanner import MAX_TRACKS, ContainerScanner, Track

_TICKS: Final = 90_000
_WRAP: Final = 1 << 33
_HALF: Final = _WRAP >> 1
_MASK: Final = _WRAP - 1
#: A stream that begins later than this begins before zero (ffmpeg: `pts_wrap_reference`).
_NEGATIVE_FROM: Final = _WRAP - 60 * _TICKS
#: Frames by which the duration of a frame of video is learnt, and distances that say nothing about it, in ticks.
_LEARN: Final = 16
_SHORTEST: Final = _TICKS // 200
_LONGEST: Final = 2 * _TICKS

#: PIDs below this carry the tables of the format and of DVB, never media (2.4.3.3, table 2-3; ETSI EN 300 468, 5.1.3).
_FIRST_MEDIA_PID: Final = 0x20
_NULL_PID: Final = 0x1FFF
#: The longest table (2.4.4.3): the length of a section is at most 1021, after 3 bytes.
_MAX_SECTION: Final = 1024
#: A program map changes once in an hour of television; more changes than this in a segment are no stream of anything.
_MAX_CHANGES: Final = 100
#: The header of a PES packet up to its times, and the times of presenting and of decoding.
_PES_HEADER: Final = 9
_PES_TIMES: Final = 10

#: What the second byte of a packet says of it: something begins in it (`payload_unit_start_indicator`), or it arrived
#: broken (`transport_error_indicator`), so that nothing in it can be believed.
_BEGINS: Final = 1
_BROKEN: Final = 2
_MARKS: Final = bytes(_BROKEN if byte & 0x80 else _BEGINS if byte & 0x40 else 0 for byte in range(256))
#: Bytes with their bits in reverse order: the tables' checksum is that of zlib, counted from the other end.
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

#: What a stream type says (table 2-34 and the registrations that are in use), by the names of ffmpeg.
_STREAM_TYPES: Final = {
    0x01: ("video", "mpeg2video"),
    0x02: ("video", "mpeg2video"),
    0x03: ("audio", "mp3"),
    0x04: ("audio", "mp3"),
    0x0F: ("audio", "aac"),
    0x10: ("video", "mpeg4"),
    0x11: ("audio", "aac"),
    0x1B: ("video", "h264"),
    0x1C: ("audio", "aac"),
    0x20: ("video", "h264"),
    0x21: ("video", "jpeg2000"),
    0x24: ("video", "hevc"),
    0x33: ("video", "vvc"),
    0x42: ("video", "cavs"),
    0x81: ("audio", "ac3"),
    0x87: ("audio", "eac3"),
    0x8A: ("audio", "dts"),
    0xD1: ("video", "dirac"),
    0xD2: ("video", "avs2"),
    0xD4: ("video", "avs3"),
    0xEA: ("video", "vc1"),
}
#: What it says beyond that in a program that is registered as HDMV, which is what Blu-ray discs and cameras write.
_HDMV_TYPES: Final = {
    0x80: ("audio", "pcm_bluray"),
    0x82: ("audio", "dts"),
    0x83: ("audio", "truehd"),
    0x84: ("audio", "eac3"),
    0x85: ("audio", "dts"),
    0x86: ("audio", "dts"),
    0xA1: ("audio", "eac3"),
    0xA2: ("audio", "dts"),
}
#: What the registration descriptor of a track says whose type says nothing (2.6.8).
_REGISTRATIONS: Final = {
    b"AC-3": ("audio", "ac3"),
    b"AC-4": ("audio", "ac4"),
    b"AV01": ("video", "av1"),
    b"BSSD": ("audio", "s302m"),
    b"DTS1": ("audio", "dts"),
    b"DTS2": ("audio", "dts"),
    b"DTS3": ("audio", "dts"),
    b"EAC3": ("audio", "eac3"),
    b"HEVC": ("video", "hevc"),
    b"Opus": ("audio", "opus"),
    b"VC-1": ("video", "vc1"),
    b"VP09": ("video", "vp9"),
    b"VVC ": ("video", "vvc"),
    b"drac": ("video", "dirac"),
}
#: What descriptors of DVB say of a track of private data (ETSI EN 300 468, annex D and G).
_DESCRIPTORS: Final = {0x6A: ("audio", "ac3"), 0x7A: ("audio", "eac3"), 0x7B: ("audio", "dts")}
#: Descriptors of teletext and of subtitles.
_SUBTITLES: Final = frozenset((0x46, 0x56, 0x59))
_PRIVATE_DATA: Final = 0x06
#: What stands for the codec of private data of which nothing tells what it is, unless its data does.
_PRIVATE: Final = "private"
_REGISTRATION: Final = 0x05

#: Stream ids of PES packets without the header of the others, and of padding (2.4.3.7).
_BARE_STREAM_IDS: Final = frozenset((0xBC, 0xBE, 0xBF, 0xF0, 0xF1, 0xF2, 0xF8, 0xFF))
#: Codecs that say more about themselves in their data than the stream type does.
_PROBED: Final = frozenset(("mpeg2video", "mp3", "aac", _PRIVATE))

_AAC_RATES: Final = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AC3_RATES: Final = (48000, 44100, 32000)
#: Kilobits per second of AC-3 by half its `frmsizecod` (ETSI TS 102 366, table 4.13).
_AC3_KILOBITS: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
#: Kilobits per second of MPEG audio by version and layer, then by `bitrate_index` (ISO/IEC 11172-3, 2.4.2.3).
_MPEG_KILOBITS: Final = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
#: Samples of a frame of Opus by `config`, in units of 1/400 s (RFC 6716, table 2).
_OPUS_FRAMES: Final = (4, 8, 16, 24) * 3 + (4, 8) * 2 + (1, 2, 4, 8) * 4

#: How long a frame is, in bytes, and how long it lasts, in ticks.
_Frame = tuple[int, float]
_NEEDS_MORE: Final[_Frame] = (0, 0.0)
_NO_FRAME: Final[_Frame] = (-1, 0.0)


def _adts_frame(data: bytes, at: int, end: int) -> _Frame:
    """Read the header of a frame of AAC (ISO/IEC 14496-3, 1.A.2.2)."""
    if end - at < 7:
        return _NEEDS_MORE
    rate = data[at + 2] >> 2 & 15
    size = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0 or rate >= len(_AAC_RATES) or size < 7:
        return _NO_FRAME
    return size, ((data[at + 6] & 3) + 1) * 1024 * _TICKS / _AAC_RATES[rate]


def _mpeg_audio_frame(data: bytes, at: int, end: int) -> _Frame:
    """Read the header of a frame of MPEG audio (ISO/IEC 11172-3, 2.4.1.3; version 2.5 as it is in use)."""
    if end - at < 4:
        return _NEEDS_MORE
    version_bits = data[at + 1] >> 3 & 3
    layer = 4 - (data[at + 1] >> 1 & 3)
    kilobits_index = data[at + 2] >> 4
    rate_index = data[at + 2] >> 2 & 3
    if data[at] != 0xFF or data[at + 1] < 0xE0 or version_bits == 1 or layer == 4:
        return _NO_FRAME
    if kilobits_index in (0, 15) or rate_index == 3:
        return _NO_FRAME
    version = 1 if version_bits == 3 else 2
    rate = (44100, 48000, 32000)[rate_index] >> (0, 1, 2)[(3, 2, 0).index(version_bits)]
    bits = _MPEG_KILOBITS[version, layer][kilobits_index] * 1000
    padding = data[at + 2] >> 1 & 1
    if layer == 1:
        return (12 * bits // rate + padding) * 4, 384 * _TICKS / rate
    samples = 576 if layer == 3 and version == 2 else 1152
    return samples // 8 * bits // rate + padding, samples * _TICKS / rate


def _ac3_frame(data: bytes, at: int, end: int) -> _Frame:
    """Read the header of a frame of AC-3 or E-AC-3 (ETSI TS 102 366, 4.4.1 and E.1.3.1)."""
    if end - at < 6:
        return _NEEDS_MORE
    if data[at] != 0x0B or data[at + 1] != 0x77:
        return _NO_FRAME
    rate_code = data[at + 4] >> 6
    if data[at + 5] >> 3 <= 10:
        size_code = data[at + 4] & 63
        if rate_code == 3 or size_code >= 2 * len(_AC3_KILOBITS):
            return _NO_FRAME
        rate = _AC3_RATES[rate_code]
        words = _AC3_KILOBITS[size_code >> 1] * 96000 // rate
        # At 44.1 kHz frames do not hold a whole number of words, and every other one may be longer by one.
        return 2 * (words + (size_code & 1 if rate_code == 1 else 0)), 1536 * _TICKS / rate
    size = 2 * ((data[at + 2] & 7) << 8 | data[at + 3]) + 2
    blocks = data[at + 4] >> 4 & 3
    if rate_code == 3:
        if blocks == 3:
            return _NO_FRAME
        rate, samples = _AC3_RATES[blocks] // 2, 1536
    else:
        rate, samples = _AC3_RATES[rate_code], (256, 512, 768, 1536)[blocks]
    # A dependent substream (`strmtyp` 1) sounds together with the frame before it.
    return size, 0.0 if data[at + 2] >> 6 == 1 else samples * _TICKS / rate


def _opus_frame(data: bytes, at: int, end: int) -> _Frame:
    """Read the control header of an access unit of Opus and the first bytes of its packet (ETSI TS 103 491; RFC 6716).

    It has no bound, so one that is larger than any should be is taken for none.
    """
    if end - at < 3:
        return _NEEDS_MORE
    flags = data[at + 1]
    if data[at] != 0x7F or flags & 0xE0 != 0xE0:
        return _NO_FRAME
    size, here = 0, at + 2
    while True:
        if here >= end:
            return _NEEDS_MORE if end - at < 64 else _NO_FRAME
        size += data[here]
        here += 1
        if data[here - 1] != 255:
            break
    here += (2 if flags & 0x10 else 0) + (2 if flags & 0x08 else 0)
    if flags & 0x04:
        if here >= end:
            return _NEEDS_MORE
        here += 1 + data[here]
    if here + 2 > end:
        return _NEEDS_MORE if end - at < 320 else _NO_FRAME
    frames = (1, 2, 2, data[here + 1] & 63)[data[here] & 3]
    return here - at + size, frames * _OPUS_FRAMES[data[here] >> 3] * _TICKS / 400


_FrameReader = Callable[[bytes, int, int], _Frame]
_FRAMES: Final[dict[str, _FrameReader]] = {
    "aac": _adts_frame,
    "ac3": _ac3_frame,
    "eac3": _ac3_frame,
    "mp1": _mpeg_audio_frame,
    "mp2": _mpeg_audio_frame,
    "mp3": _mpeg_audio_frame,
    "opus": _opus_frame,
}


def _probe(codec: str, data: bytes, at: int, end: int) -> str:
    """The codec by what the data of a PES packet says, empty if it says nothing."""
    private = codec == _PRIVATE
    if codec == "mpeg2video" or (private and data[at : min(at + 4, end)] == b"\0\0\1\xb3"):
        # In MPEG-2 an extension must follow the sequence header (ISO/IEC 13818-2, 6.2.2.1), in MPEG-1 there is none.
        sequence = data.find(b"\0\0\1\xb3", at, end)
        following = data.find(b"\0\0\1", sequence + 12, end - 1) if sequence >= 0 else -1
        if following < 0:
            return ""
        return "mpeg2video" if data[following + 3] == 0xB5 else "mpeg1video"
    if private and data[at : min(at + 4, end)] == b"\0\0\1\xb0":
        return "mpeg4"
    if end - at < 7:
        return ""
    first, second = data[at], data[at + 1]
    if first == 0x56 and second & 0xE0 == 0xE0 and not private:
        return "aac_latm"
    if first == 0x0B and private and _ac3_frame(data, at, end)[0] > 0:
        return "ac3" if data[at + 5] >> 3 <= 10 else "eac3"
    if _mpeg_audio_frame(data, at, end)[0] > 0:
        return ("", "mp3", "mp2", "mp1")[second >> 1 & 3]
    # FLAC begins with ff f8 or ff f9, so of private data only AAC that is marked as of MPEG-4 is believed.
    if _adts_frame(data, at, end)[0] > 0 and not (private and second & 8):
        return "aac"
    return ""


@attrs.define
class _Stream:
    """A track, and what its PES packets told so far; times are in ticks.

    Attributes:
        kind: `video` or `audio`, empty before the tables told.
        declared: What the program map says that it is, to notice when that changes.
        codec: By the name of ffmpeg.
        probing: Whether the data may say more about the codec.
        frames: Reads the header of a frame, for audio whose frames can be followed.
        start: The earliest time in this segment, None if there was none.
        end: The latest time at which a PES packet of this segment begins.
        samples: How many PES packets began in this segment.
        keys: How many of them are key frames.
        last: The time by which the last PES packet was decoded.
        distance: The shortest distance between two of them, 0 if it is not known.
        learning: How many distances are still to be looked at.
        base: The time of the present PES packet.
        walking: Whether its frames are followed.
        skip: How many bytes of its payload there are before the next header of a frame.
        held: The beginning of that header.
        time: When that frame begins, which is when the one before it ends.
    """

    kind: str = ""
    declared: str = ""
    codec: str = ""
    probing: bool = False
    frames: _FrameReader | None = None
    start: float | None = None
    end: float = 0.0
    samples: int = 0
    keys: int = 0
    last: int | None = None
    distance: int = 0
    learning: int = _LEARN
    base: int = 0
    walking: bool = False
    skip: int = 0
    held: bytes = b""
    time: float = 0.0

    def begin_segment(self) -> None:
        self.start = None
        self.samples = self.keys = 0

    def declare(self, kind: str, codec: str) -> None:
        self.kind = kind
        self.declared = self.codec = codec
        self.probing = codec in _PROBED
        self.frames = _FRAMES.get(codec)

    def learn(self, decoded: int) -> None:
        """Learn from the time of a PES packet how far they are apart."""
        if self.last is not None:
            distance = abs(decoded - self.last)
            if _SHORTEST <= distance <= _LONGEST:
                self.learning -= 1
                if not self.distance or distance < self.distance:
                    self.distance = distance
        self.last = decoded

    def add(self, time: int) -> None:
        """Add a PES packet."""
        if self.start is None:
            self.start = self.end = time
        elif time < self.start:
            self.start = time
        elif time > self.end:
            self.end = time
        self.base = time
        self.time = time

    def lose(self) -> None:
        """Give up to follow the frames of the present PES packet, before the first of them."""
        self.walking = False
        self.skip = 0
        self.held = b""
        self.time = self.base + self.distance

    def look_into(self, data: bytes, at: int, end: int) -> None:
        """Look into the first data of a PES packet for what the codec really is."""
        codec = _probe(self.codec, data, at, end)
        if codec:
            self.kind = self.kind or ("video" if codec in ("mpeg1video", "mpeg2video", "mpeg4") else "audio")
            self.codec = codec
            self.probing = False
            self.frames = _FRAMES.get(codec)

    def walk(self, data: bytes, at: int, end: int) -> None:
        """Follow the frames through the next stretch of the payload of the present PES packet."""
        frames = self.frames
        assert frames is not None
        if self.held:
            data = self.held + data[at:end]
            at, end = 0, len(data)
            self.held = b""
        at += self.skip
        while at < end:
            size, lasts = frames(data, at, end)
            if size <= 0:
                self.skip = 0
                if size == 0:
                    self.held = data[at:end]
                elif self.time == self.base:
                    self.lose()
                else:
                    self.walking = False
                return
            if self.start is None:
                self.start = self.end = self.time
            self.time += lasts
            at += size
        self.skip = at - end

    def absorb(self, other: Self) -> None:
        """Add what another track told, which is no more."""
        self.samples += other.samples
        self.keys += other.keys if other.kind == "video" else 0
        if other.start is not None:
            until = other.until()
            self.start, self.end = (
                (other.start, until) if self.start is None else (min(self.start, other.start), max(self.end, until))
            )

    def until(self) -> float:
        """When the media of this segment ends."""
        return self.end + self.distance if self.frames is None else max(self.end, self.time)


def _descriptors(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The descriptors in a table, as tags and contents (2.6)."""
    at = 0
    while at + 2 <= len(data):
        end = at + 2 + data[at + 1]
        yield data[at], data[at + 2 : end]
        at = end


def _what_it_is(stream_type: int, descriptors: bytes, registered: bytes) -> tuple[str, str] | None:
    """The kind and the codec of a track, None if it is neither video nor audio, no kind if its data may tell."""
    found = _STREAM_TYPES.get(stream_type)
    if found is None and registered in (b"HDMV", b"HDPR"):
        found = _HDMV_TYPES.get(stream_type)
    silent = stream_type == _PRIVATE_DATA
    for tag, content in _descriptors(descriptors):
        if found is None and tag == _REGISTRATION:
            found = _REGISTRATIONS.get(content[:4])
            silent = False
        elif found is None and stream_type == _PRIVATE_DATA:
            found = _DESCRIPTORS.get(tag)
            silent = silent and tag not in _SUBTITLES
    return ("", _PRIVATE) if found is None and silent else found


def _payload(data: bytes, here: int, end: int) -> int:
    """Where the payload of the packet at `here` begins, `end` if it has none (2.4.3.3 and 2.4.3.5)."""
    control = data[here + 3]
    if control & 0x10 == 0:
        return end
    return min(end, here + 5 + data[here + 4]) if control & 0x20 else here + 4


def _is_random_access(data: bytes, here: int) -> bool:
    """Whether the packet has an adaptation field that marks it so."""
    return bool(data[here + 3] & 0x20 and data[here + 4] and data[here + 5] & 0x40)


def _time(data: bytes, at: int) -> int:
    """A time of 33 bits, in three groups with a marker after each (2.4.3.7)."""
    raw = int.from_bytes(data[at : at + 5], "big")
    return raw >> 3 & 0x1C0000000 | raw >> 2 & 0x3FFF8000 | raw >> 1 & 0x7FFF


def _nearest(time: int, to: int) -> int:
    """What a time of 33 bits means when it is near another one."""
    return to + ((time - to + _HALF) & _MASK) - _HALF


def _is_whole(head: bytes) -> bool:
    """Whether the beginning of a PES packet holds all of it that is needed: the header up to the times."""
    if len(head) < _PES_HEADER:
        return len(head) > 3 and head[3] in _BARE_STREAM_IDS
    return len(head) >= _PES_HEADER + min(head[8], _PES_TIMES) or head[3] in _BARE_STREAM_IDS


def _find(high: bytes, low: bytes, pid: int, start: int, stop: int) -> int:
    """Find the first packet of a PID that did not arrive broken, -1 if there is none."""
    upper, lower = pid >> 8, pid & 0xFF
    index = low.find(lower, start, stop)
    while index >= 0 and high[index] & 0x9F != upper:
        index = low.find(lower, index + 1, stop)
    return index


class TransportStreamScanner(ContainerScanner):
    """Reads an MPEG transport stream.

    Args:
        packet_size: 188, or 192 for packets with a time stamp in front.

    Attributes:
        begins_with_tables: Whether the present segment begins with a packet of tables, as a stream does that can stand
            for itself; None before its first packet.
    """

    def __init__(self, packet_size: int = 188) -> None:
        super().__init__()
        if packet_size not in (188, 192):
            raise ValueError(f"a packet has 188 or 192 bytes, not {packet_size}")
        self.container = "mpeg-ts" if packet_size == 188 else "mpeg-2-ts"
        self.begins_with_tables: bool | None = None
        self._size = packet_size
        self._program = -1
        self._map_pid = -1
        # The packets of the last association table and program map, since most come again as they were.
        self._association = b""
        self._map = b""
        # The program map that is valid, and how often it changed in this segment.
        self._mapped = b""
        self._changes = 0
        self._streams: dict[int, _Stream] = {}
        self._tracks: tuple[_Stream, ...] = ()
        # What tracks told of this segment before the program map dropped them.
        self._gone = _Stream(kind="video")
        self._clock: int | None = None
        # Beginnings of tables and of PES headers that go on in a later packet, by PID.
        self._open: dict[int, bytes] = {}
        # Whether the packet that is held was looked at already, when its segment was finished.
        self._taken = False
        # The continuity counter of the first track of video, which stands for all.
        self._counted_pid = -1
        self._counter = -1
        self._check_counter = False
        # Where in this piece the program map named that track, if it did.
        self._counted_from = 0

    @property
    def tracks(self) -> tuple[Track, ...]:  # noqa: D102
        return tuple(Track(stream.kind, stream.codec) for stream in self._tracks)

    @property
    def header_complete(self) -> bool:  # noqa: D102
        return bool(self._tracks)

    def copy(self) -> Self:  # noqa: D102
        other = self._copy_into(type(self)(self._size))
        other.begins_with_tables = self.begins_with_tables
        other._program = self._program
        other._map_pid = self._map_pid
        other._association = self._association
        other._map = self._map
        other._mapped = self._mapped
        other._changes = self._changes
        copies = {id(stream): copy(stream) for stream in self._streams.values()}
        other._streams = {pid: copies[id(stream)] for pid, stream in self._streams.items()}
        other._tracks = tuple(copies[id(stream)] for stream in self._tracks)
        other._gone = copy(self._gone)
        other._clock = self._clock
        other._open = self._open.copy()
        other._taken = self._taken
        other._counted_pid = self._counted_pid
        other._counter = self._counter
        other._check_counter = self._check_counter
        return other

    def begin_segment(self) -> None:  # noqa: D102
        super().begin_segment()
        for stream in self._streams.values():
            stream.begin_segment()
        self._gone.begin_segment()
        self._changes = 0
        # The rest of a packet that began in the segment before is no beginning.
        self.begins_with_tables = False if self._pending else None
        self._check_counter = self._counter >= 0

    def finish_segment(self) -> None:
        """Finish a segment: of a packet that is cut in two, the PES header counts if it is there."""
        data = self._pending
        end = len(data)
        here = self._size - 188
        if self._taken or end < here + 6 or data[here + 1] & 0xC0 != 0x40 or data[here + 3] & 0xC0:
            return
        pid = (data[here + 1] & 0x1F) << 8 | data[here + 2]
        stream = self._streams.get(pid)
        at = _payload(data, here, end)
        if stream is not None and _is_whole(data[at:end]):
            if not self._begin_pes(pid, stream, data[at:end], _is_random_access(data, here), at):
                stream.lose()
            stream.walking = False
            self._taken = True
            self._tell()

    def _parse(self, data: bytes) -> int:
        size = self._size
        first = size - 188
        length = len(data)
        count = length // size
        whole = count * size
        problem = ""
        if count:
            sync = data[first:whole:size]
            if sync.count(0x47) != count:
                count -= len(sync.lstrip(b"\x47"))
        # The byte that must be a sync byte and is not: of a whole packet, or of the one that is only beginning.
        place = count * size + first
        if place < length and data[place] != 0x47:
            problem = f"a transport packet must begin here with byte 47, found {data[place]:02x}"
        if count:
            stop = count * size
            high = data[first + 1 : stop : size]
            low = data[first + 2 : stop : size]
            marks = high.translate(_MARKS)
            if self.begins_with_tables is None or self._check_counter:
                sound, gap = self._check_beginning(data, high, low, marks, count)
                if gap:
                    count, problem, place = sound, gap, sound * size + first
            self._look(data, high, low, marks, count)
            self._tell()
            pid = self._counted_pid
            if pid >= 0:
                since = self._counted_from // size
                self._counted_from = 0
                index = low.rfind(pid & 0xFF, since, count)
                while index >= 0 and high[index] & 0x9F != pid >> 8:
                    index = low.rfind(pid & 0xFF, since, index)
                if index >= 0:
                    self._counter = data[index * size + first + 3] & 15
                # A broken packet may have been one that counts.
                if marks.find(_BROKEN, max(index, since), count) >= 0:
                    self._counter = -1
        if problem:
            self._fail(problem, place)
        return whole

    def _check_beginning(self, data: bytes, high: bytes, low: bytes, marks: bytes, count: int) -> tuple[int, str]:
        """Look how the segment begins: with a table, or where the one before it ended.

        Returns:
            How many packets are sound, and what is wrong with the next, if anything.
        """
        if self.begins_with_tables is None:
            for index in range(count):
                pid = (high[index] & 0x1F) << 8 | low[index]
                if pid != _NULL_PID:
                    self.begins_with_tables = pid < _FIRST_MEDIA_PID
                    break
        if self.begins_with_tables:
            self._check_counter = False
        if self._check_counter:
            index = _find(high, low, self._counted_pid, 0, count)
            if marks.find(_BROKEN, 0, count if index < 0 else index) >= 0:
                self._check_counter = False
            elif index >= 0:
                self._check_counter = False
                here = index * self._size + self._size - 188
                control = data[here + 3]
                # The counter counts packets with a payload; an adaptation field may say that it jumps (2.4.3.5).
                expected = (self._counter + (1 if control & 0x10 else 0)) & 15
                jumps = control & 0x20 and data[here + 4] and data[here + 5] & 0x80
                if control & 15 != expected and not jumps:
                    return index, (
                        f"packet {control & 15} of PID {self._counted_pid} comes where packet {expected} must come, so"
                        " something is missing between this segment and the one before"
                    )
        return count, ""

    def _look(self, data: bytes, high: bytes, low: bytes, marks: bytes, count: int) -> None:
        """Look at the packets in which something begins, and at those that go on with what is not whole yet."""
        size, first = self._size, self._size - 188
        streams = self._streams
        still_open = self._open
        # Tracks of audio whose frames are to be followed, and from which packet on: one in which a PES packet begins,
        # or the inverse of one in which it goes on. Only the last PES packet of a piece is followed, and one that goes
        # on from the segment before; of the others the next one tells when they end.
        following = {pid: ~0 for pid, stream in streams.items() if stream.walking}
        done = 0
        index = -1
        while (index := marks.find(_BEGINS, index + 1, count)) >= 0:
            if still_open:
                self._go_on(following, data, high, low, done, index)
            done = index + 1
            pid = (high[index] & 0x1F) << 8 | low[index]
            here = index * size + first
            found = streams.get(pid)
            if found is None:
                if pid == 0 or pid == self._map_pid:
                    if still_open or data[here + 4 : here + 188] != (self._map if pid else self._association):
                        self._follow(following, data, high, low, index)
                        self._begin_table(pid, data, here)
                    continue
                if self._mapped or pid < _FIRST_MEDIA_PID or not self._is_media(data, here):
                    continue
                found = streams[pid] = _Stream()
            stream = found
            end = here + 188
            control = data[here + 3]
            at = here + 4
            key = 0
            if control & 0xF0 != 0x10:
                if control & 0xC0:
                    self._fail("the stream is scrambled", here + 3)
                if control & 0x10 == 0:
                    continue
                at += 1 + data[at]
                if at > end:
                    self._fail("an adaptation field is larger than its packet", here + 4)
                key = data[here + 5] & 0x40 if data[here + 4] else 0
            if still_open:
                still_open.pop(pid, None)
            if stream.walking and stream.start is None:
                self._walk_on(pid, stream, data, high, low, following[pid], index)
            if self._taken:
                self._taken = False
            elif (
                stream.learning == 0
                and at + _PES_HEADER + _PES_TIMES <= end
                and data[at : at + 3] == b"\0\0\1"
                and data[at + 3] not in _BARE_STREAM_IDS
                and data[at + 6] & 0xC0 == 0x80
                and data[at + 7] & 0x80
                and data[at + 8] >= (10 if data[at + 7] & 0x40 else 5)
            ):
                # What `_begin_pes` does, for most of the frames.
                clock = self._clock or 0
                raw = int.from_bytes(data[at + 9 : at + 14], "big")
                raw = raw >> 3 & 0x1C0000000 | raw >> 2 & 0x3FFF8000 | raw >> 1 & 0x7FFF
                self._clock = clock = clock + ((raw - clock + _HALF) & _MASK) - _HALF
                stream.samples += 1
                if key:
                    stream.keys += 1
                stream.add(clock)
            elif not self._begin_pes(pid, stream, data[at:end], key > 0, at):
                stream.lose()
                following.pop(pid, None)
                continue
            if stream.probing:
                stream.look_into(data, at + 9 + data[at + 8], end)
                if not stream.probing:
                    self._set_tracks(here)
            if stream.frames is not None:
                following[pid] = index
                stream.walking = True
                stream.skip = 0
                stream.held = b""
        if still_open:
            self._go_on(following, data, high, low, done, count)
        self._follow(following, data, high, low, count)

    def _follow(self, following: dict[int, int], data: bytes, high: bytes, low: bytes, stop: int) -> None:
        """Follow the frames of audio up to a packet."""
        for pid, start in following.items():
            stream = self._streams.get(pid)
            if stream is not None and stream.walking:
                self._walk_on(pid, stream, data, high, low, start, stop)
                following[pid] = ~stop

    def _is_media(self, data: bytes, here: int) -> bool:
        """Whether a PES packet of video or audio begins in a packet before the tables told of it (table 2-22)."""
        at = _payload(data, here, here + 188)
        start = data[at : min(at + 4, here + 188)]
        return (
            len(start) == 4
            and start[:3] == b"\0\0\1"
            and (0xC0 <= start[3] < 0xF0 or start[3] in (0xBD, 0xFD))
            and len(self._streams) < MAX_TRACKS
        )

    def _begin_pes(self, pid: int, stream: _Stream, head: bytes, key: bool, offset: int) -> bool:
        """Take the beginning of a PES packet.

        Args:
            pid: Its PID.
            stream: Its track.
            head: What is there of it.
            key: Whether it is marked as a key frame.
            offset: Where it is.

        Returns:
            Whether its time is known, so that its frames can be followed.
        """
        if key:
            stream.keys += 1
        if head[:3] != b"\0\0\1"[: len(head)]:
            self._fail(f"a PES packet must begin here with bytes 00 00 01, found {head[:3].hex(' ')}", offset)
        if not _is_whole(head):
            self._open[pid] = head
            return False
        if head[3] in _BARE_STREAM_IDS:
            return False
        if head[6] & 0xC0 != 0x80 or head[8] < (0, 0, 5, 10)[head[7] >> 6]:
            self._fail("the header of a PES packet is broken", offset + 6)
        stream.samples += 1
        if head[7] & 0x80 == 0:
            return False
        time = _time(head, 9)
        if self._clock is None:
            self._clock = time - _WRAP if time >= _NEGATIVE_FROM else time
        time = self._clock = _nearest(time, self._clock)
        stream.add(time)
        if stream.learning:
            stream.learn(_nearest(_time(head, 14), time) if head[7] & 0x40 else time)
        return True

    def _go_on(self, following: dict[int, int], data: bytes, high: bytes, low: bytes, start: int, stop: int) -> None:
        """Go on with tables and PES headers that are not whole, in packets in which nothing begins."""
        size = self._size
        for index in range(start, stop):
            pid = (high[index] & 0x1F) << 8 | low[index]
            if pid not in self._open or high[index] & 0x80:
                continue
            here = index * size + size - 188
            head = self._open.pop(pid) + data[_payload(data, here, here + 188) : here + 188]
            stream = self._streams.get(pid)
            if stream is None:
                self._follow(following, data, high, low, index)
                self._take_sections(pid, head, here)
            elif self._begin_pes(pid, stream, head, False, here):
                stream.lose()

    def _walk_on(self, pid: int, stream: _Stream, data: bytes, high: bytes, low: bytes, start: int, stop: int) -> None:
        """Follow the frames of a PES packet that begins in packet `start`, or goes on in packet `~start`."""
        size = self._size
        index = _find(high, low, pid, ~start if start < 0 else start, stop)
        while index >= 0 and stream.walking:
            here = index * size + size - 188
            end = here + 188
            at = _payload(data, here, end)
            if index == start:
                at += _PES_HEADER + data[at + 8]
            stream.walk(data, at, end)
            index = _find(high, low, pid, index + 1, stop)

    def _begin_table(self, pid: int, data: bytes, here: int) -> None:
        """Take a packet in which a section of a table begins (2.4.4)."""
        end = here + 188
        at = _payload(data, here, end)
        held = self._open.pop(pid, b"")
        if at == end:
            return
        begins = at + 1 + data[at]
        if held:
            self._take_sections(pid, held + data[at + 1 : min(begins, end)], here)
            self._open.pop(pid, None)
        if self._take_sections(pid, data[begins:end], here) and not held:
            if pid:
                self._map = data[here + 4 : end]
            else:
                self._association = data[here + 4 : end]

    def _take_sections(self, pid: int, rest: bytes, here: int) -> bool:
        """Take the sections of a table, and keep one that is not whole.

        Returns:
            Whether all were whole.
        """
        while rest and rest[0] != 0xFF:
            length = 3 + ((rest[1] & 15) << 8 | rest[2]) if len(rest) >= 3 else _MAX_SECTION
            if length > len(rest):
                if length <= _MAX_SECTION:
                    self._open[pid] = rest
                return False
            self._take_section(pid, rest[:length], here)
            rest = rest[length:]
        return True

    def _take_section(self, pid: int, section: bytes, here: int) -> None:
        """Take a section of a table, if it is valid now and its checksum is right; if not, it will come again."""
        # Counted over the checksum too, the register of a right one ends at 0, which zlib inverts.
        if len(section) < 12 or section[5] & 1 == 0 or crc32(section.translate(_REVERSED)) != 0xFFFFFFFF:
            return
        if pid == 0:
            if section[0] == 0 and (section[6] == 0 or self._program < 0):
                self._take_association(section)
        elif section[0] == 2 and section[3] << 8 | section[4] == self._program:
            self._take_map(section, here)

    def _take_association(self, section: bytes) -> None:
        """Take a program association section: the first program of it (2.4.4.3)."""
        for at in range(8, len(section) - 7, 4):
            program = section[at] << 8 | section[at + 1]
            pid = (section[at + 2] & 0x1F) << 8 | section[at + 3]
            # Program 0 is the network's own table.
            if program and pid >= 0x10:
                if (program, pid) != (self._program, self._map_pid):
                    self._program, self._map_pid, self._map = program, pid, b""
                    self._open.pop(pid, None)
                return

    def _take_map(self, section: bytes, here: int) -> None:
        """Take a program map: its tracks of video and audio (2.4.4.8)."""
        if section == self._mapped:
            return
        self._mapped = section
        self._changes += 1
        if self._changes > _MAX_CHANGES:
            self._fail(f"the program map changes for the {self._changes}th time", here)
        end = len(section) - 4
        at = 12 + ((section[10] & 15) << 8 | section[11])
        registered = dict(_descriptors(section[12 : min(at, end)])).get(_REGISTRATION, b"")[:4]
        declared: dict[int, tuple[str, str]] = {}
        while at + 5 <= end:
            pid = (section[at + 1] & 0x1F) << 8 | section[at + 2]
            content = at + 5
            after = content + ((section[at + 3] & 15) << 8 | section[at + 4])
            what = _what_it_is(section[at], section[content : min(after, end)], registered)
            if what is not None:
                declared[pid] = what
            at = after
        if len(declared) > MAX_TRACKS:
            self._fail(f"the program has {len(declared)} tracks", here)
        streams = self._streams
        before = streams.copy()
        streams.clear()
        for pid, (kind, codec) in declared.items():
            stream = before.get(pid)
            if stream is None or stream.declared not in ("", codec):
                stream = _Stream()
            else:
                del before[pid]
            if not stream.declared:
                stream.declare(kind, codec)
            streams[pid] = stream
        for stream in before.values():
            if stream.declared:
                self._gone.absorb(stream)
        self._set_tracks(here)

    def _set_tracks(self, here: int) -> None:
        """Set the tracks by what is known of the streams, and the one whose packets are counted."""
        streams = self._streams
        self._tracks = tuple(stream for stream in streams.values() if stream.kind)
        counted = min(streams, key=lambda pid: streams[pid].kind != "video", default=-1)
        if counted != self._counted_pid:
            self._counted_pid = counted
            self._counted_from = here
            self._counter = -1
            self._check_counter = False

    def _tell(self) -> None:
        """Tell what the tracks hold of this segment."""
        extent = self.extent
        samples = keys = 0
        start = end = None
        for stream in (*self._tracks, self._gone):
            samples += stream.samples
            if stream.kind == "video":
                keys += stream.keys
            if stream.start is not None:
                until = stream.until()
                if start is None or stream.start < start:
                    start = stream.start
                if end is None or until > end:
                    end = until
        extent.samples = samples
        extent.key_frames = keys
        extent.start = None if start is None else start / _TICKS
        extent.end = None if end is None else end / _TICKS
