"""Matroska and WebM: what browsers record, and what most tools write when nobody asks them for anything else.

A file is a tree of EBML elements (RFC 8794). An element is an ID, a size and that many bytes of content; both numbers
say in their first byte how long they are, by the number of zero bits before the first one. IDs keep that marker bit,
sizes lose it, and a size of nothing but ones means "unknown". Matroska (RFC 9559) names the elements:

    EBML header      the DocType tells WebM from Matroska
    Segment          everything else; its size is unknown in a live recording
      Info           TimestampScale, the length of a tick in nanoseconds
      Tracks         a TrackEntry each: number, type, CodecID, DefaultDuration, ...
      Cluster        again and again; its size is unknown in a live recording
        Timestamp    of the Cluster, in ticks
        SimpleBlock  track number, 16 bits of time relative to the Cluster, flags, and the frames
        BlockGroup   a Block, and what does not fit into it: BlockDuration, ReferenceBlock
      Cues, Tags ... of no interest here

A Cluster of unknown size ends where an element begins that can only stand beside it. A live recording is therefore a
list of blocks with now and then a Cluster and a Timestamp between them, and a piece that is cut from it begins, more
often than not, one byte into an ID: Chromium hands over its buffer after the first byte of the next element. So no two
of its pieces fail to fit by their structure alone, and two more things are looked at: a block must be of a known track,
and the time of a track must not run backwards. A jump forwards is no fault; it shows in `extent`, where a segment
begins, and in `gap`, where the blocks up to the next Cluster were taken to be of the one before the missing piece.

A sample belongs to the segment in which the header of its block is complete. Blocks of video and audio count, those of
subtitles do not. Where the container does not tell how long a sample is, the codec often does: the first bytes of an
Opus packet, or a constant number of samples for each AAC, MP3, AC-3 or FLAC frame. ffmpeg does the same.
"""

from __future__ import annotations

import struct
from typing import Self

import attrs

from ihproto.media.scanner import MAX_TRACKS, ContainerScanner, Gap, Track

_ROOT = 0
_EBML = 0x1A45DFA3
_DOC_TYPE = 0x4282
_VOID = 0xEC
_CRC_32 = 0xBF
_SEGMENT = 0x18538067
_INFO = 0x1549A966
_TIMESTAMP_SCALE = 0x2AD7B1
_TRACKS = 0x1654AE6B
_TRACK_ENTRY = 0xAE
_TRACK_NUMBER = 0xD7
_TRACK_TYPE = 0x83
_CODEC_ID = 0x86
_CODEC_PRIVATE = 0x63A2
_CODEC_DELAY = 0x56AA
_DEFAULT_DURATION = 0x23E383
_CONTENT_ENCODINGS = 0x6D80
_AUDIO = 0xE1
_SAMPLING_FREQUENCY = 0xB5
_CHANNELS = 0x9F
_BIT_DEPTH = 0x6264
_CLUSTER = 0x1F43B675
_TIMESTAMP = 0xE7
_SIMPLE_BLOCK = 0xA3
_ENCRYPTED_BLOCK = 0xAF
_BLOCK_GROUP = 0xA0
_BLOCK = 0xA1
_BLOCK_DURATION = 0x9B
_REFERENCE_BLOCK = 0xFB

#: The values that are wanted, by where they stand, and how long they may be (of a CodecPrivate: how much is looked at).
_WANTED = {
    (_EBML, _DOC_TYPE): 64,
    (_INFO, _TIMESTAMP_SCALE): 8,
    (_TRACK_ENTRY, _TRACK_NUMBER): 8,
    (_TRACK_ENTRY, _TRACK_TYPE): 8,
    (_TRACK_ENTRY, _CODEC_ID): 64,
    # A BITMAPINFOHEADER has 40 bytes, a WAVEFORMATEX 18, `fLaC` and the STREAMINFO of FLAC 8 + 34.
    (_TRACK_ENTRY, _CODEC_PRIVATE): 42,
    (_TRACK_ENTRY, _CODEC_DELAY): 8,
    (_TRACK_ENTRY, _DEFAULT_DURATION): 8,
    (_AUDIO, _SAMPLING_FREQUENCY): 8,
    (_AUDIO, _CHANNELS): 8,
    (_AUDIO, _BIT_DEPTH): 8,
}

#: SeekHead, Cues, Tags, Attachments, Chapters: children of the Segment that are stepped over.
_SEGMENT_OTHERS = frozenset({0x114D9B74, 0x1C53BB6B, 0x1254C367, 0x1941A469, 0x1043A770})
#: What ends a Cluster of unknown size, since it can only stand in the Segment (RFC 8794, section 6.2).
_SEGMENT_CHILDREN = _SEGMENT_OTHERS | {_CLUSTER, _INFO, _TRACKS}
#: With Position, PrevSize, SilentTracks, and the two that may stand anywhere.
_CLUSTER_CHILDREN = frozenset(
    {_TIMESTAMP, _SIMPLE_BLOCK, _ENCRYPTED_BLOCK, _BLOCK_GROUP, 0xA7, 0xAB, 0x5854, _VOID, _CRC_32}
)
#: With BlockAdditions, DiscardPadding, CodecState, ReferencePriority, and the elements that RFC 9559 calls reclaimed.
_GROUP_CHILDREN = frozenset(
    {_BLOCK, _BLOCK_DURATION, _REFERENCE_BLOCK, 0x75A1, 0x75A2, 0xA4, 0xFA, 0x8E, 0xA2, 0xFD, 0xC8, _VOID, _CRC_32}
)
#: What is entered, and where.
_ENTERED = {
    _ROOT: frozenset({_EBML, _SEGMENT}),
    _SEGMENT: frozenset({_INFO, _TRACKS, _CLUSTER}),
    _TRACKS: frozenset({_TRACK_ENTRY}),
    _TRACK_ENTRY: frozenset({_AUDIO}),
}

_NAMES = {
    _EBML: "EBML header",
    _SEGMENT: "Segment",
    _INFO: "Info",
    _TRACKS: "Tracks",
    _TRACK_ENTRY: "TrackEntry",
    _AUDIO: "Audio",
    _CLUSTER: "Cluster",
    _SIMPLE_BLOCK: "SimpleBlock",
    _ENCRYPTED_BLOCK: "EncryptedBlock",
    _BLOCK_GROUP: "BlockGroup",
    _BLOCK: "Block",
}

#: More than a segment may have (SEG-2) is no frame, and no gap between Clusters either.
_MAX_BLOCK = 32 * 1024 * 1024
#: A Void in a Cluster is what an editor left of a tag; in the middle of a recording this is plenty.
_MAX_OTHER = 1024 * 1024
#: The time of a track may run back by this much, in nanoseconds. WebM wants every timestamp to be at least the one
#: before it; some muxers jitter, none goes back half a second. A missing piece shifts the blocks up to the next Cluster
#: back by a good part of its length.
_SLACK = 500_000_000
#: The same for codecs whose frames are stored in another order than they are shown in ...
_REORDERING_SLACK = 5_000_000_000
#: ... or as many frames as H.264 and HEVC can hold back, if these take longer.
_REORDERED_FRAMES = 16
_REORDERING = frozenset({"h264", "hevc", "vvc", "mpeg4", "mpeg2video", "mpeg1video", "avs2", "dirac", "unknown"})
#: What is left of a size without its marker bit, by its length in bytes; of more than 8 bytes, no size is.
_ONES = (*((1 << 7 * length) - 1 for length in range(9)), 0)
#: Less than this without any media, in nanoseconds, is no gap.
_GAP = 250_000_000
#: A tick of more than a second is none.
_MAX_SCALE = 1_000_000_000
#: Beyond every place in a file: the end of what has no end.
_ENDLESS = 1 << 64
#: Beyond every time in nanoseconds that 64 bits of ticks can tell.
_NEVER = 1 << 128

_CODECS = {
    "V_AV1": "av1",
    "V_AVS2": "avs2",
    "V_DIRAC": "dirac",
    "V_FFV1": "ffv1",
    "V_MJPEG": "mjpeg",
    "V_MPEG1": "mpeg1video",
    "V_MPEG2": "mpeg2video",
    "V_MPEG4/ISO/AP": "mpeg4",
    "V_MPEG4/ISO/ASP": "mpeg4",
    "V_MPEG4/ISO/AVC": "h264",
    "V_MPEG4/ISO/SP": "mpeg4",
    "V_MPEG4/MS/V3": "msmpeg4v3",
    "V_MPEGH/ISO/HEVC": "hevc",
    "V_MPEGI/ISO/VVC": "vvc",
    "V_PRORES": "prores",
    "V_THEORA": "theora",
    "V_UNCOMPRESSED": "rawvideo",
    "V_VP8": "vp8",
    "V_VP9": "vp9",
    "A_AAC": "aac",
    "A_AC3": "ac3",
    "A_ALAC": "alac",
    "A_DTS": "dts",
    "A_EAC3": "eac3",
    "A_FLAC": "flac",
    "A_MLP": "mlp",
    "A_MPEG/L1": "mp1",
    "A_MPEG/L2": "mp2",
    "A_MPEG/L3": "mp3",
    "A_OPUS": "opus",
    "A_TRUEHD": "truehd",
    "A_TTA1": "tta",
    "A_VORBIS": "vorbis",
    "A_WAVPACK4": "wavpack",
}
#: CodecID and bits per sample.
_PCM = {
    ("A_PCM/INT/LIT", 8): "pcm_u8",
    ("A_PCM/INT/LIT", 16): "pcm_s16le",
    ("A_PCM/INT/LIT", 24): "pcm_s24le",
    ("A_PCM/INT/LIT", 32): "pcm_s32le",
    ("A_PCM/INT/BIG", 8): "pcm_u8",
    ("A_PCM/INT/BIG", 16): "pcm_s16be",
    ("A_PCM/INT/BIG", 24): "pcm_s24be",
    ("A_PCM/INT/BIG", 32): "pcm_s32be",
    ("A_PCM/FLOAT/IEEE", 32): "pcm_f32le",
    ("A_PCM/FLOAT/IEEE", 64): "pcm_f64le",
}
#: biCompression of `V_MS/VFW/FOURCC` and the format of `V_QUICKTIME`, in lower case.
_FOURCCS = {
    b"avc1": "h264",
    b"h264": "h264",
    b"x264": "h264",
    b"hevc": "hevc",
    b"hvc1": "hevc",
    b"divx": "mpeg4",
    b"dx50": "mpeg4",
    b"fmp4": "mpeg4",
    b"mp4v": "mpeg4",
    b"xvid": "mpeg4",
    b"mp42": "msmpeg4v2",
    b"div3": "msmpeg4v3",
    b"mp43": "msmpeg4v3",
    b"wmv1": "wmv1",
    b"wmv2": "wmv2",
    b"wmv3": "wmv3",
    b"jpeg": "mjpeg",
    b"mjpg": "mjpeg",
    b"ffv1": "ffv1",
    b"vp80": "vp8",
    b"vp90": "vp9",
    b"av01": "av1",
}
#: wFormatTag of `A_MS/ACM`.
_FORMAT_TAGS = {
    0x02: "adpcm_ms",
    0x06: "pcm_alaw",
    0x07: "pcm_mulaw",
    0x11: "adpcm_ima_wav",
    0x50: "mp2",
    0x55: "mp3",
    0xFF: "aac",
    0x161: "wmav2",
    0x2000: "ac3",
    0x2001: "dts",
    0xF1AC: "flac",
}
#: Bytes of a sample of one channel.
_SAMPLE_BYTES = {
    "u8": 1,
    "s16le": 2,
    "s16be": 2,
    "s24le": 3,
    "s24be": 3,
    "s32le": 4,
    "s32be": 4,
    "f32le": 4,
    "f64le": 8,
}

#: The length of an Opus packet in nanoseconds by its first byte (RFC 6716, section 3.1): of the frames that the byte
#: tells, or, negative, of one frame where their number is in the next byte.
_OPUS = [
    frame_ns * (1, 2, 2, -1)[code]
    for frames in ((10, 20, 40, 60),) * 3 + ((10, 20),) * 2 + ((2.5, 5, 10, 20),) * 4
    for frame_ns in (int(ms * 1_000_000) for ms in frames)
    for _stereo in (0, 1)
    for code in (0, 1, 2, 3)
]

_double = struct.Struct(">d").unpack
_float = struct.Struct(">f").unpack


@attrs.define
class _Entry:
    """A TrackEntry as far as it was read."""

    number: int = 0
    type: int = 0
    codec_id: str = ""
    private: bytes = b""
    default_duration: int = 0
    codec_delay: int = 0
    encoded: bool = False
    sampling_frequency: float = 8000.0
    channels: int = 1
    bit_depth: int = 0


@attrs.frozen
class _Numbers:
    """What is to be known of a track when one of its blocks comes; times in nanoseconds.

    Attributes:
        index: Its place in the list of the latest times.
        counts: Whether its samples do: it is of video or audio.
        video: Whether it is of video.
        delay: What is subtracted from every time, the CodecDelay.
        duration: Of every frame; 0 when nobody tells.
        opus: Whether the first bytes of a packet tell its duration.
        byte_rate: Bytes of a second, for what has no frames; 0 for what has.
        slack: How far its time may run back.
    """

    index: int
    counts: bool
    video: bool
    delay: int
    duration: int
    opus: bool
    byte_rate: int
    slack: int


def _named_codec(entry: _Entry) -> str:
    codec_id, private = entry.codec_id, entry.private
    if codec_id.startswith("A_PCM/"):
        return _PCM.get((codec_id, entry.bit_depth), "unknown")
    if codec_id == "A_MS/ACM" and len(private) >= 16:
        tag, bits = int.from_bytes(private[:2], "little"), int.from_bytes(private[14:16], "little")
        if tag == 1:
            return _PCM.get(("A_PCM/INT/LIT", bits), "unknown")
        if tag == 3:
            return _PCM.get(("A_PCM/FLOAT/IEEE", bits), "unknown")
        return _FORMAT_TAGS.get(tag, "unknown")
    if codec_id == "V_MS/VFW/FOURCC":
        return _FOURCCS.get(private[16:20].lower(), "unknown")
    if codec_id == "V_QUICKTIME":
        return _FOURCCS.get(private[4:8].lower(), "unknown")
    # `A_AAC/MPEG4/LC`, `A_AC3/BSID9`, `A_OPUS/EXPERIMENTAL` of old files are what they are without the rest.
    while codec_id not in _CODECS and "/" in codec_id:
        codec_id = codec_id.rpartition("/")[0]
    return _CODECS.get(codec_id, "unknown")


def _frame_samples(codec: str, entry: _Entry) -> int:
    """How many audio samples every frame has; 0 if that is not constant."""
    if codec == "aac":
        return 1024
    if codec in ("ac3", "eac3"):
        return 1536
    if codec == "mp2":
        return 1152
    if codec == "mp3":
        # ISO/IEC 13818-3: the lower sampling frequencies have half the samples.
        return 1152 if entry.sampling_frequency >= 32000 else 576
    if codec == "flac" and entry.private[:4] == b"fLaC" and entry.private[8:10] == entry.private[10:12]:
        # STREAMINFO: the smallest and the largest block size.
        return int.from_bytes(entry.private[8:10], "big")
    return 0


def _numbers(index: int, codec: str, entry: _Entry) -> _Numbers:
    duration, opus, byte_rate = entry.default_duration, False, 0
    # What is compressed or encrypted once more does not show its own first byte, nor its size.
    if not duration and entry.type == 2 and not entry.encoded:
        opus = codec == "opus"
        frequency = int(entry.sampling_frequency)
        if frequency > 0:
            duration = _frame_samples(codec, entry) * 1_000_000_000 // frequency
            byte_rate = _SAMPLE_BYTES.get(codec.removeprefix("pcm_"), 0) * entry.channels * frequency
    slack = _SLACK
    if entry.type == 1 and codec in _REORDERING:
        slack = max(_REORDERING_SLACK, _REORDERED_FRAMES * entry.default_duration)
    return _Numbers(
        index=index,
        counts=entry.type in (1, 2),
        video=entry.type == 1,
        delay=entry.codec_delay,
        duration=duration,
        opus=opus,
        byte_rate=byte_rate,
        slack=slack,
    )


def _described(element: int) -> str:
    name = _NAMES.get(element)
    if name is None:
        return f"the element {element:X}"
    return f"an {name}" if name[0] in "AEI" else f"a {name}"


def _set_value(entry: _Entry, element: int, value: bytes, number: int) -> None:
    if element == _TRACK_NUMBER:
        entry.number = number
    elif element == _TRACK_TYPE:
        entry.type = number
    elif element == _CODEC_ID:
        entry.codec_id = value.rstrip(b"\0").decode("ascii", "replace")
    elif element == _CODEC_PRIVATE:
        entry.private = value
    elif element == _DEFAULT_DURATION:
        entry.default_duration = number
    elif element == _CODEC_DELAY:
        entry.codec_delay = number
    elif element == _SAMPLING_FREQUENCY:
        frequency = _double(value)[0] if len(value) == 8 else _float(value)[0] if len(value) == 4 else 0.0
        # Not so for what is no number, or no frequency.
        entry.sampling_frequency = frequency if 1.0 <= frequency <= 1e9 else 0.0
    elif element == _CHANNELS:
        entry.channels = number
    else:
        entry.bit_depth = number


def _opus_duration(packet: bytes) -> int:
    """How long an Opus packet is by its first two bytes, in nanoseconds."""
    if not packet:
        return 0
    duration = _OPUS[packet[0]]
    if duration >= 0:
        return duration
    return -duration * (packet[1] & 0x3F) if len(packet) > 1 else 0


class MatroskaScanner(ContainerScanner):
    """Reads Matroska and WebM.

    Attributes:
        container: `webm` or `mkv`, by the DocType; `mkv` before it is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.container = "mkv"
        #: Where `_parse` stands, in bytes since the beginning of the file.
        self._at = 0
        #: The elements that are open, innermost last, where they end, and whether they say so themselves.
        self._open: list[tuple[int, int, bool]] = [(_ROOT, _ENDLESS, False)]
        self._has_header = False
        self._has_segment = False
        self._has_cluster = False
        self._scale = 1_000_000
        self._entry: _Entry | None = None
        self._tracks_read: tuple[Track, ...] = ()
        self._tracks_known = False
        #: By track number, complete with the first block.
        self._numbers: dict[int, _Numbers] = {}
        #: The same for `_blocks`, by the byte that a block begins with.
        self._quick: dict[int, tuple[int, bool, int, int, bool, int]] = {}
        #: The time of the latest block of each track.
        self._latest: list[int] = []
        #: The time of the present Cluster in nanoseconds.
        self._cluster_time: int | None = None
        #: Of the present BlockGroup: its track, when its Block begins and how many frames it has.
        self._group_track: _Numbers | None = None
        self._group_time = 0
        self._group_frames = 0
        #: How long it is, if that is known, and whether it refers to other frames.
        self._group_duration: int | None = None
        self._group_refers = False
        self._group_default = 0
        #: Whether its Block came in the present segment.
        self._group_here = False
        #: The extent in nanoseconds; integers, so that it does not depend on how the bytes were cut.
        self._start = _NEVER
        self._end = -_NEVER
        #: The end of all media before this segment.
        self._reach = -_NEVER

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The video and audio tracks, in the order of the container; empty before they are known."""
        return self._tracks_read if self._tracks_known else ()

    @property
    def header_complete(self) -> bool:
        """Whether the tracks are known, even if none of them is of video or audio."""
        return self._tracks_known

    def copy(self) -> Self:
        """A scanner in the same state, independent of this one."""
        other = type(self).__new__(type(self))
        # Everything but these three is immutable, or, like the tables of tracks, never changed once it is complete.
        other.__dict__.update(self.__dict__)
        other._open = self._open.copy()
        other._latest = self._latest.copy()
        other._entry = None if self._entry is None else attrs.evolve(self._entry)
        if not self._tracks_known:
            other._numbers = self._numbers.copy()
            other._quick = self._quick.copy()
        return self._copy_into(other)

    def begin_segment(self) -> None:
        """Begin a segment: its bytes are counted from 0, its media anew."""
        super().begin_segment()
        self._reach = max(self._reach, self._end)
        self._start = _NEVER
        self._end = -_NEVER
        self._group_here = False

    def finish_segment(self) -> None:
        """Finish a segment; a BlockGroup that goes on in the next one is as long as is known by now."""
        self._add_group_duration()

    def _parse(self, data: bytes) -> int:
        size = len(data)
        at = 0
        while at < size:
            if self._cluster_time is not None and self._open[-1][0] == _CLUSTER:
                before = at
                at = self._blocks(data, at)
                if at < size and data[at] == _BLOCK_GROUP:
                    at = self._groups(data, at)
                if at >= size:
                    break
                if at > before:
                    continue
            after = self._element(data, at)
            if after < 0:
                break
            at = after
        self._at += at
        return at

    def _blocks(self, data: bytes, at: int) -> int:
        """Go over SimpleBlocks, as long as they are plain ones, and return where that ended.

        This is where the time goes, so everything is done in place. Whatever is not as usual is left to `_element`,
        which does the same for every element and says what is wrong with it.
        """
        # ID, four bytes of size, track, time, flags and two bytes of Opus are there without a further look.
        limit = len(data) - 11
        stop = self._open[-1][1] - self._at
        quick = self._quick
        latest = self._latest
        scale = self._scale
        cluster_time = self._cluster_time
        assert cluster_time is not None
        samples = key_frames = 0
        first, last = self._start, self._end
        opus_packets = _OPUS
        max_block = _MAX_BLOCK
        gap = _GAP
        while at <= limit and data[at] == 0xA3:
            size = data[at + 1]
            # A size of nothing but ones is unknown; of four bytes it is too large anyway.
            if size >= 0x80:
                if size == 0xFF:
                    break
                size &= 0x7F
                content = at + 2
            elif size >= 0x40:
                size = (size & 0x3F) << 8 | data[at + 2]
                if size == 0x3FFF:
                    break
                content = at + 3
            elif size >= 0x20:
                size = (size & 0x1F) << 16 | data[at + 2] << 8 | data[at + 3]
                if size == 0x1FFFFF:
                    break
                content = at + 4
            elif size >= 0x10:
                size = (size & 0x0F) << 24 | data[at + 2] << 16 | data[at + 3] << 8 | data[at + 4]
                content = at + 5
            else:
                break
            track = quick.get(data[content])
            flags = data[content + 3]
            after = content + size
            if track is None or flags & 0x76 or size < 6 or size > max_block or after > stop:
                break
            index, video, delay, duration, opus, slack = track
            time = data[content + 1] << 8 | data[content + 2]
            if time >= 0x8000:
                time -= 0x10000
            time = cluster_time + time * scale - delay
            if time < latest[index] - slack or time > last + gap:
                break
            latest[index] = time
            if time < first:
                first = time
            if opus:
                duration = opus_packets[data[content + 4]]
                if duration < 0:
                    duration = -duration * (data[content + 5] & 0x3F)
            elif video and flags >= 0x80:
                key_frames += 1
            if time + duration > last:
                last = time + duration
            samples += 1
            at = after
        if samples:
            self._start, self._end = first, last
            extent = self.extent
            extent.samples += samples
            extent.key_frames += key_frames
            extent.start, extent.end = first / 1_000_000_000, last / 1_000_000_000
        return at

    def _groups(self, data: bytes, at: int) -> int:
        """Go over BlockGroups, as long as they are plain ones and wholly there, and return where that ended.

        They are for `_element` what the blocks of `_blocks` are.
        """
        available = min(len(data), self._open[-1][1] - self._at)
        quick = self._quick
        latest = self._latest
        cluster_time = self._cluster_time
        assert cluster_time is not None
        extent = self.extent
        # Two IDs, two sizes of up to eight bytes, and the first six bytes of a block are there without a further look.
        while at + 24 < available and data[at] == _BLOCK_GROUP:
            length = 9 - data[at + 1].bit_length()
            content = at + 1 + length
            ones = _ONES[length]
            size = int.from_bytes(data[at + 1 : content], "big") & ones
            end = content + size
            if size == ones or end > available or data[content] != _BLOCK:
                break
            length = 9 - data[content + 1].bit_length()
            block_at = content + 1 + length
            ones = _ONES[length]
            size = int.from_bytes(data[content + 1 : block_at], "big") & ones
            child = block_at + size
            if size == ones or not 6 <= size <= _MAX_BLOCK or child > end:
                break
            track = quick.get(data[block_at])
            if track is None or data[block_at + 3] & 0x06:
                break
            index, video, delay, duration, opus, slack = track
            if opus:
                duration = _opus_duration(data[block_at + 4 : block_at + 6])
            refers = False
            while child + 1 < end:
                # BlockDuration and ReferenceBlock, with a size of one byte; anything else is not plain.
                element, size = data[child], data[child + 1] & 0x7F
                after = child + 2 + size
                if data[child + 1] < 0x80 or size > 8 or after > end:
                    break
                if element == _BLOCK_DURATION:
                    duration = int.from_bytes(data[child + 2 : after], "big") * self._scale
                elif element == _REFERENCE_BLOCK:
                    refers = True
                else:
                    break
                child = after
            time = int.from_bytes(data[block_at + 1 : block_at + 3], "big", signed=True)
            time = cluster_time + time * self._scale - delay
            if child != end or time < latest[index] - slack or time > self._end + _GAP:
                break
            latest[index] = time
            extent.samples += 1
            if video and not refers:
                extent.key_frames += 1
            if time < self._start:
                self._start = time
                extent.start = time / 1_000_000_000
            if time + duration > self._end:
                self._end = time + duration
                extent.end = self._end / 1_000_000_000
            at = end
        return at

    def _element(self, data: bytes, at: int) -> int:
        """Take one element, or the header of one that contains others.

        Returns:
            Where it ends, or the beginning of its content; -1 if it is not whole yet.
        """
        self._close(at, at)
        first = data[at]
        if first < 0x10:
            # Matroska has no IDs of more than four bytes (RFC 9559, section 5).
            self._misplaced(self._open[-1][0], data[at : at + 1], at)
        size_at = at + 9 - first.bit_length()
        if size_at > len(data):
            return -1
        element = int.from_bytes(data[at:size_at], "big")
        parent, end, sized = self._open[-1]
        if parent == _CLUSTER and not sized and element in _SEGMENT_CHILDREN:
            self._open.pop()
            self._cluster_time = None
            parent, end, sized = self._open[-1]
        # Wrong bytes are told by the ID alone; what looks like its size need not be waited for.
        self._check_place(parent, element, data[at:size_at], at)
        if size_at == len(data):
            return -1
        length = 9 - data[size_at].bit_length()
        if length > 8:
            self._fail(f"the size of {_described(element)} has more than 8 bytes", size_at)
        content = size_at + length
        if content > len(data):
            return -1
        ones = _ONES[length]
        size = int.from_bytes(data[size_at:content], "big") & ones
        if size == ones:
            # RFC 9559 lets no other element be of unknown size.
            if element not in (_SEGMENT, _CLUSTER):
                self._fail(f"{_described(element)} is of unknown size, which it may not be", at)
            self._enter(element, end, False)
            return content
        after = content + size
        if self._at + after > end:
            self._fail(f"{_described(element)} of {size} bytes reaches beyond the {_NAMES[parent]} that it is in", at)
        if parent == _CLUSTER:
            done = self._cluster_child(data, at, element, content, size)
        elif parent == _BLOCK_GROUP:
            done = self._group_child(data, at, element, content, size)
        elif element in _ENTERED.get(parent, ()) and not (self._tracks_known and element in (_INFO, _TRACKS)):
            self._enter(element, self._at + after, True)
            done = content
        else:
            done = self._header_child(data, at, element, content, size)
        if done >= 0:
            # At once, not with the next byte: what an element tells is known as soon as its last child is.
            self._close(done, at)
        return done

    def _misplaced(self, parent: int, found: bytes, at: int) -> None:
        expected = {
            _ROOT: "the Segment" if self._has_header else "an EBML header",
            _SEGMENT: "a Cluster" if self._has_cluster else "a part of the Segment",
            _CLUSTER: "a Cluster or a block",
            _BLOCK_GROUP: "a part of a BlockGroup",
        }.get(parent, f"a part of the {_NAMES.get(parent)}")
        if parent == _ROOT and self._has_segment:
            expected = "nothing more"
        self._fail(f"{expected} must come here, found bytes {found.hex(' ')}", at)

    def _check_place(self, parent: int, element: int, found: bytes, at: int) -> None:
        """Fail if an element cannot be where it is; unknown ones can be, in a header."""
        if parent == _CLUSTER:
            right = element in _CLUSTER_CHILDREN
        elif parent == _BLOCK_GROUP:
            right = element in _GROUP_CHILDREN
        elif parent == _SEGMENT:
            # Before the first Cluster, what is not known may be of a later version of Matroska.
            right = element in _SEGMENT_CHILDREN or element in (_VOID, _CRC_32)
            right = right or (not self._has_cluster and len(found) == 4)
        elif parent == _ROOT:
            right = element == (_SEGMENT if self._has_header else _EBML) and not self._has_segment
            right = right or (self._has_header and element == _VOID)
        else:
            right = element not in _SEGMENT_CHILDREN
        if self._has_header and element == _EBML:
            self._fail("another file begins here, in the middle of this one, with an EBML header", at)
        if self._has_segment and element == _SEGMENT:
            self._fail("a second Segment begins here, and a file has only one", at)
        if not right:
            self._misplaced(parent, found, at)

    def _enter(self, element: int, end: int, sized: bool) -> None:
        if element == _CLUSTER:
            self._has_cluster = True
        elif element == _SEGMENT:
            self._has_segment = True
        elif element == _TRACK_ENTRY:
            self._entry = _Entry()
        self._open.append((element, end, sized))

    def _close(self, end: int, at: int) -> None:
        """Close what ends at `end`, which may be beyond the data; `at` is the place of its last child."""
        while self._open[-1][1] <= self._at + end:
            element = self._open.pop()[0]
            if element == _BLOCK_GROUP:
                self._close_group(at)
            elif element == _CLUSTER:
                self._cluster_time = None
            elif element == _TRACK_ENTRY:
                self._close_entry(at)
            elif element == _TRACKS:
                self._tracks_known = True
            elif element == _EBML:
                self._has_header = True

    def _header_child(self, data: bytes, at: int, element: int, content: int, size: int) -> int:
        """Take an element that is stepped over, or of which only the value is wanted."""
        parent = self._open[-1][0]
        entry = self._entry
        if parent == _SEGMENT and self._has_cluster and element == _VOID and size > _MAX_BLOCK:
            self._fail(f"a Void of {size} bytes among the Clusters", at)
        if parent == _SEGMENT and element not in _SEGMENT_CHILDREN and element != _VOID and size > _MAX_OTHER:
            self._fail(f"an unknown element of {size} bytes before the first Cluster", at)
        wanted = _WANTED.get((parent, element), 0)
        if not wanted:
            if entry is not None and element == _CONTENT_ENCODINGS:
                entry.encoded = True
            return content + size
        if size > wanted and element != _CODEC_PRIVATE:
            self._fail(f"{_described(element)} of {size} bytes is longer than any", at)
        value = data[content : content + min(size, wanted)]
        if len(value) < min(size, wanted):
            return -1
        number = int.from_bytes(value, "big")
        if element == _DOC_TYPE:
            self._name_container(value, at)
        elif element == _TIMESTAMP_SCALE:
            if not 0 < number <= _MAX_SCALE:
                self._fail(f"a TimestampScale of {number} ns", at)
            self._scale = number
        else:
            assert entry is not None
            _set_value(entry, element, value, number)
        return content + size

    def _name_container(self, doc_type: bytes, at: int) -> None:
        name = doc_type.rstrip(b"\0").decode("ascii", "replace")
        if name not in ("webm", "matroska"):
            self._fail(f"an EBML file of type {name!r}, neither Matroska nor WebM", at)
        self.container = "webm" if name == "webm" else "mkv"

    def _close_entry(self, at: int) -> None:
        entry, self._entry = self._entry, None
        assert entry is not None
        number = entry.number
        if number == 0 or number in self._numbers:
            self._fail(f"a track has the number {number}, which {'another one has' if number else 'none may have'}", at)
        if len(self._latest) >= MAX_TRACKS:
            self._fail(f"more than {MAX_TRACKS} tracks", at)
        codec = _named_codec(entry)
        numbers = self._numbers[number] = _numbers(len(self._latest), codec, entry)
        self._latest.append(-_NEVER)
        if numbers.counts:
            self._tracks_read += (Track("video" if numbers.video else "audio", codec),)
            if number < 0x80 and not numbers.byte_rate:
                self._quick[0x80 | number] = (
                    numbers.index,
                    numbers.video,
                    numbers.delay,
                    numbers.duration,
                    numbers.opus,
                    numbers.slack,
                )

    def _cluster_child(self, data: bytes, at: int, element: int, content: int, size: int) -> int:
        if element in (_SIMPLE_BLOCK, _ENCRYPTED_BLOCK):
            return self._block(data, at, element, content, size)
        if element == _TIMESTAMP:
            if size > 8:
                self._fail(f"a Timestamp of {size} bytes", at)
            if content + size > len(data):
                return -1
            if self._cluster_time is not None:
                self._fail("a second Timestamp in a Cluster", at)
            self._cluster_time = int.from_bytes(data[content : content + size], "big") * self._scale
        elif element == _BLOCK_GROUP:
            self._group_track = None
            self._group_duration = None
            self._group_refers = False
            self._enter(element, self._at + content + size, True)
            return content
        elif size > _MAX_OTHER:
            self._fail(f"{_described(element)} of {size} bytes inside a Cluster", at)
        return content + size

    def _group_child(self, data: bytes, at: int, element: int, content: int, size: int) -> int:
        if element == _BLOCK:
            if self._group_track is not None:
                self._fail("a second Block in a BlockGroup", at)
            return self._block(data, at, element, content, size)
        if element == _BLOCK_DURATION:
            if size > 8:
                self._fail(f"a BlockDuration of {size} bytes", at)
            if content + size > len(data):
                return -1
            self._group_duration = int.from_bytes(data[content : content + size], "big") * self._scale
        elif element == _REFERENCE_BLOCK:
            self._group_refers = True
        return content + size

    def _block(self, data: bytes, at: int, element: int, content: int, size: int) -> int:
        """Take a block of any kind; returns where it ends, or -1 if its header is not whole yet."""
        if size > _MAX_BLOCK:
            self._fail(f"{_described(element)} of {size} bytes is larger than any frame", at)
        if content == len(data):
            return -1
        length = 9 - data[content].bit_length()
        frames_at = content + length + 3
        after = content + size
        if frames_at > after:
            self._fail(f"{_described(element)} of {size} bytes is shorter than its own header", at)
        # Behind the header, the number of laced frames or the beginning of an Opus packet.
        if min(frames_at + 2, after) > len(data):
            return -1
        number = int.from_bytes(data[content : content + length], "big") & _ONES[length]
        numbers = self._numbers.get(number)
        if numbers is None:
            known = ", ".join(map(str, self._numbers)) or "none"
            self._fail(f"{_described(element)} of track {number}, but the tracks of this file are {known}", at)
        if self._cluster_time is None:
            self._fail(f"{_described(element)} before the Timestamp of its Cluster", at)
        assert numbers is not None
        assert self._cluster_time is not None
        flags = data[frames_at - 1]
        if element == _SIMPLE_BLOCK and flags & 0x70:
            self._fail(f"a SimpleBlock with flags {flags:#04x}, of which some must be 0", at)
        frames = 1
        if flags & 0x06:
            if frames_at == after:
                self._fail(f"{_described(element)} with lacing, but without frames", at)
            frames += data[frames_at]
        if element == _BLOCK:
            self._group_track = numbers
            self._group_here = False
        if not numbers.counts:
            return after
        relative = int.from_bytes(data[frames_at - 3 : frames_at - 1], "big", signed=True)
        time = self._cluster_time + relative * self._scale - numbers.delay
        latest = self._latest[numbers.index]
        if time < latest - numbers.slack:
            self._fail(
                f"the time of track {number} runs back from {latest / 1_000_000_000:.3f} s"
                f" to {time / 1_000_000_000:.3f} s",
                at,
            )
        self._latest[numbers.index] = time
        self._measure_gap(time, at)
        if numbers.byte_rate:
            duration = (after - frames_at) * 1_000_000_000 // numbers.byte_rate
        elif numbers.opus and frames == 1:
            duration = _opus_duration(data[frames_at : min(frames_at + 2, after)])
        else:
            duration = numbers.duration * frames
        self.extent.samples += frames
        self._start = min(self._start, time)
        if element == _BLOCK:
            self._group_here = True
            self._group_time = time
            self._group_frames = frames
            self._group_default = duration
            duration = 0
        elif numbers.video and flags & 0x80:
            self.extent.key_frames += frames
        self._end = max(self._end, time + duration)
        self.extent.start, self.extent.end = self._start / 1_000_000_000, self._end / 1_000_000_000
        return after

    def _measure_gap(self, time: int, at: int) -> None:
        end = max(self._reach, self._end)
        widest = self.gap.seconds if self.gap is not None else 0.0
        if -_NEVER < end < time - _GAP and (time - end) / 1_000_000_000 > widest:
            self.gap = Gap(end / 1_000_000_000, time / 1_000_000_000, max(0, self._position + at))

    def _close_group(self, at: int) -> None:
        numbers = self._group_track
        if numbers is None:
            self._fail("a BlockGroup without a Block ends here", at)
        assert numbers is not None
        self._add_group_duration()
        if numbers.video and not self._group_refers:
            self.extent.key_frames += self._group_frames

    def _add_group_duration(self) -> None:
        if self._group_here:
            duration = self._group_default if self._group_duration is None else self._group_duration
            self._end = max(self._end, self._group_time + duration)
            self.extent.end = self._end / 1_000_000_000
            self._group_here = False
