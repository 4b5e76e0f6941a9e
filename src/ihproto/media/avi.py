"""The scanner of AVI files.

An AVI file is a tree of chunks: an id of four letters, a size of four bytes, as many bytes of content, and a byte of
padding after an odd number. `RIFF` and `LIST` chunks hold a type of four letters and further chunks. First comes the
list `hdrl` with a list `strl` for each track, in it `strh` (what kind of track it is, and its clock) and `strf` (its
codec); then the list `movi` with the media, each chunk of which names its track by two digits and what it holds by two
letters, as in `00dc` and `01wb`; then, in most files, the index `idx1`. Files of more than a gigabyte go on with
further `RIFF` chunks of type `AVIX`, each with a `movi` (OpenDML, "AVI File Format Extensions", 1996).

Recorders that were cut off, or that write to a pipe, leave the sizes of `RIFF` and `movi` at 0, at their largest value
or at whatever they hoped for. So the tree is read as a flat sequence: lists are stepped into, and their sizes are not
used. What comes must be what may come in its place, with the number of a track that there is; bytes that are not an id
of such a chunk say that something is missing.

What is told of a segment:

- A sample is a chunk of media that is not empty. It belongs to the segment in which the last byte of its head lies.
- There are no time stamps. A chunk of video lasts for one tick of its track's clock (`dwScale / dwRate`), and an empty
  one is a dropped frame: no sample, but its time passes. Audio counts by bytes if `strh` tells a `dwSampleSize`, else
  by chunks, of which a large one counts for as many blocks (`nBlockAlign`) as it has begun.
- Frames come in the order in which they are decoded. Where frames may be presented in another order, ffmpeg has them
  presented one tick later than decoded, and so they are here: H.264 and MPEG-2 always, MPEG-1 after the first frame,
  MPEG-4 if it says so in its header (`low_delay`).
- Key frames are counted by the first bytes of the frames of the codecs whose first bytes tell, and by `idx1` if that
  finds more of them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from copy import copy
from typing import Final, Self

import attrs

from ihproto.media.scanner import MAX_TRACKS, ContainerScanner, Track

_head_of_chunk: Final = struct.Struct("<4sI").unpack_from
_strh: Final = struct.Struct("<4s4s12x3I12xI").unpack_from
_wave_format: Final = struct.Struct("<H10xHH").unpack_from

#: ffmpeg gives up on a header with a larger chunk than this too; only padding is larger.
_MAX_HEADER_CHUNK: Final = 1_000_000
#: What is read of `strh`, of `strf`, and of the first frame of a track of video.
_STRH_SIZE: Final = 48
_STRF_SIZE: Final = 40
_FIRST_FRAME: Final = 160
_HEADERS: Final = {b"avih": 4, b"strh": _STRH_SIZE, b"strf": _STRF_SIZE}
#: What is read of each frame, to see whether it is a key frame.
_FRAME: Final = 8
#: Entries of the index that are read at once, so that little is held and no time is lost.
_ENTRY: Final = 16
_KEY_FRAME: Final = 0x10
#: `iavs` is DV, in which the audio is part of the frames.
_KINDS: Final = {b"vids": "video", b"auds": "audio", b"iavs": "video"}
#: A track that begins later than this, in seconds, begins at 0, as in ffmpeg.
_LATEST_START: Final = 3600

#: The letters after the number of a track: compressed and uncompressed video, audio, text, DV with audio, subtitles.
_MEDIA: Final = (b"dc", b"db", b"wb", b"tx", b"__", b"iv", b"sb")
#: What `_media` has for palettes and the index of OpenDML, and what stands for an id that it does not have.
_ASIDE: Final = -1
_NO_MEDIA: Final = -2
#: Chunks that may come anywhere, to be stepped over.
_PADDING: Final = frozenset((b"JUNK", b"junk", b"PAD "))
#: No chunk is larger than this: a frame of 8K video that is not compressed has a third of it.
_MAX_CHUNK: Final = 1 << 28

#: The codecs of video by the names of ffmpeg, with the tags of each, in capitals: `biCompression` is compared without
#: regard to case, and so is `fccHandler` when that says nothing.
_VIDEO_CODECS: Final = {
    "av1": "AV01",
    "cavs": "CAVS",
    "cinepak": "CVID",
    "dirac": "DRAC",
    "dnxhd": "AVDN AVDH",
    "dvvideo": "DVSD DVHD DVH1 DVSL DV25 DV50 CDVC CDVH CDV5 DVC DVCS DVIS PDVC SL25 SLDV AVD1",
    "ffv1": "FFV1",
    "ffvhuff": "FFVH",
    "flashsv": "FSV1",
    "flv1": "FLV1",
    "fraps": "FPS1",
    "g2m": "G2M2 G2M3 G2M4 G2M5",
    "h261": "H261",
    "h263": "H263 X263 T263 L263 VX1K ZYGO M263 LSVM U263",
    "h263i": "I263",
    "h264": "H264 X264 AVC1 DAVC VSSH SMV2 Q264 V264 GAVC UMSV TSHD INMC",
    "hevc": "HEVC H265",
    "huffyuv": "HFYU",
    "indeo3": "IV31 IV32",
    "indeo4": "IV41",
    "indeo5": "IV50",
    "jpeg2000": "MJP2 MJ2C LJ2C LJ2K IPJ2 AVJ2",
    "jpegls": "MJLS",
    "lagarith": "LAGS",
    "magicyuv": "MAGY M8RG M8RA M8G0 M8Y0 M8Y2 M8Y4 M8YA",
    "mjpeg": "MJPG MSC2 LJPG DMB1 MJPA JR24 JPGL JPEG IJPG ACDV QIVG SLMJ CJPG IJLV MVJP AVI1 AVI2 MTSJ ZJPG MMJP",
    "mpeg1video": "MPG1 PIM1 \1\0\0\x10",
    "mpeg2video": "MPG2 MPEG PIM2 VCR2 DVR MMES LMP2 SLIF EM2V M701 M702 M703 M704 M705 MPGV \2\0\0\x10",
    "mpeg4": (
        "FMP4 DIVX DX50 XVID MP4S M4S2 DIV1 BLZ0 MP4V UMP4 WV1F SEDG RMP4 3IV2 WAWV FFDS FVFW DCOD MVXM PM4V SMP4 DXGM"
        " VIDM M4T3 GEOX G264 HDX4 DM4V DMK2 DYM4 DIGI EPHV EM4A M4CC SN40 VSPX ULDX GEOV SIPP SM4V XVIX DREX QMP4 PLV1"
        " GLV4 GMP4 MNM4 GTM4 \4\0\0\0 \4\0\0\x10"
    ),
    "msmpeg4v1": "MPG4 MP41",
    "msmpeg4v2": "MP42 DIV2",
    "msmpeg4v3": "MP43 DIV3 MPG3 DIV5 DIV6 DIV4 DVX3 AP41 COL1 COL0",
    "msrle": "MRLE \1\0\0\0 \2\0\0\0",
    "msvideo1": "CRAM MSVC WHAM",
    "png": "MPNG PNG1",
    "qtrle": "RLE",
    "r210": "R210",
    "rawvideo": (
        "I420 YUY2 Y422 V422 YUNV UYNV UYNY UYV1 2VU1 2VUY YUVS YUV2 P422 YV12 YV16 YV24 UYVY VYUY IYUV Y800 Y8 HDYC"
        " YVU9 NV12 NV21 Y41B Y42B \0\0\0\0 \3\0\0\0"
    ),
    "snow": "SNOW",
    "svq1": "SVQ1",
    "theora": "THEO",
    "tscc": "TSCC",
    "tscc2": "TSC2",
    "utvideo": "ULRA ULRG ULY0 ULY2 ULH0 ULH2 ULY4 ULH4",
    "v210": "V210",
    "vc1": "WVC1 WMVA",
    "vp3": "VP30 VP31",
    "vp5": "VP50",
    "vp6": "VP60 VP61 VP62",
    "vp6a": "VP6A",
    "vp6f": "VP6F FLV4",
    "vp7": "VP70 VP71",
    "vp8": "VP80",
    "vp9": "VP90",
    "vvc": "VVC1",
    "wmv1": "WMV1",
    "wmv2": "WMV2 GXVE",
    "wmv3": "WMV3",
    "zlib": "ZLIB",
    "zmbv": "ZMBV",
}
_VIDEO_TAGS: Final = {
    tag.encode("ascii").ljust(4): codec for codec, tags in _VIDEO_CODECS.items() for tag in tags.split(" ")
}
_AUDIO_TAGS: Final = {
    0x02: "adpcm_ms",
    0x06: "pcm_alaw",
    0x07: "pcm_mulaw",
    0x0A: "wmavoice",
    0x11: "adpcm_ima_wav",
    0x20: "adpcm_yamaha",
    0x22: "truespeech",
    0x31: "gsm_ms",
    0x42: "g723_1",
    0x45: "adpcm_g726",
    0x50: "mp2",
    0x55: "mp3",
    0x57: "amr_nb",
    0x58: "amr_wb",
    0x69: "adpcm_ima_xbox",
    0xFF: "aac",
    0x160: "wmav1",
    0x161: "wmav2",
    0x162: "wmapro",
    0x163: "wmalossless",
    0x270: "atrac3",
    0x28F: "adpcm_g722",
    0x1600: "aac",
    0x1602: "aac_latm",
    0x2000: "ac3",
    0x2001: "dts",
    0x4143: "aac",
    0x566F: "vorbis",
    0x6C75: "pcm_mulaw",
    0x706D: "aac",
    0xA106: "aac",
    0xA109: "speex",
    0xF1AC: "flac",
}
#: WAVEFORMATEXTENSIBLE: the tag begins a GUID.
_EXTENSIBLE: Final = 0xFFFE
_INTEGERS: Final = {8: "pcm_u8", 16: "pcm_s16le", 24: "pcm_s24le", 32: "pcm_s32le", 64: "pcm_s64le"}
_FLOATS: Final = {32: "pcm_f32le", 64: "pcm_f64le"}


def _is_key_of_mpeg4(frame: bytes) -> bool:
    """A frame of type I, or headers, which stand before one (ISO/IEC 14496-2, 6.2.5)."""
    if frame[:3] != b"\0\0\1":
        return False
    return frame[3] in (0xB0, 0xB3, 0xB5) or frame[3] < 0x30 or (frame[3] == 0xB6 and frame[4] < 0x40)


def _is_key_of_mpeg2(frame: bytes) -> bool:
    """A picture of type I, or headers, which stand before one (ISO/IEC 13818-2, 6.2.2)."""
    return frame[:3] == b"\0\0\1" and (frame[3] in (0xB3, 0xB8) or (frame[3] == 0 and frame[5] >> 3 & 7 == 1))


def _is_key_of_h264(frame: bytes) -> bool:
    """An IDR slice, or parameter sets, which stand before one (ISO/IEC 14496-10, 7.3.1 and annex B)."""
    at = frame.find(b"\0\0\1")
    return 0 <= at <= 1 and frame[at + 3] & 31 in (5, 7)


def _is_key_of_vp8(frame: bytes) -> bool:
    """A frame with the bit for it at 0 (RFC 6386, 9.1)."""
    return frame[0] & 1 == 0


def _is_key_of_msmpeg4(frame: bytes) -> bool:
    """A picture whose type, in the first two bits, is I."""
    return frame[0] < 0x40


def _is_always_key(frame: bytes) -> bool:
    """Every frame stands for itself."""
    return True


_KEYS: Final[dict[str, Callable[[bytes], bool]]] = {
    "dvvideo": _is_always_key,
    "h264": _is_key_of_h264,
    "huffyuv": _is_always_key,
    "mjpeg": _is_always_key,
    "mpeg1video": _is_key_of_mpeg2,
    "mpeg2video": _is_key_of_mpeg2,
    "mpeg4": _is_key_of_mpeg4,
    "msmpeg4v2": _is_key_of_msmpeg4,
    "msmpeg4v3": _is_key_of_msmpeg4,
    "png": _is_always_key,
    "rawvideo": _is_always_key,
    "vp8": _is_key_of_vp8,
}
#: Codecs whose frames are presented a tick later than they are decoded.
_DELAYED: Final = frozenset(("h264", "mpeg1video", "mpeg2video"))


def _is_reordered_mpeg4(frame: bytes) -> bool:
    """Whether the header of MPEG-4 video says that frames may come in another order (ISO/IEC 14496-2, 6.2.3).

    It has `low_delay` among its optional parameters; where they are missing, ffmpeg takes only the simple profile to
    have no such frames.
    """
    at = frame.find(b"\0\0\1\x20")
    if at < 0 or at + 12 > len(frame):
        return False
    bits = f"{int.from_bytes(frame[at + 4 : at + 12], 'big'):064b}"
    # random_accessible_vol, video_object_type_indication, is_object_layer_identifier and what it announces,
    # aspect_ratio_info and what its last value announces, vol_control_parameters, chroma_format, low_delay
    ratio = 17 if bits[9] == "1" else 10
    control = ratio + (20 if bits[ratio : ratio + 4] == "1111" else 4)
    if bits[control] == "1":
        return bits[control + 3] == "0"
    return int(bits[1:9], 2) != 1


def _is_id(name: bytes) -> bool:
    """Whether four bytes are letters, as ids are."""
    return name.isascii() and name.decode("latin-1").isprintable()


def _show(name: bytes) -> str:
    """An id for people."""
    return name.decode("latin-1") if _is_id(name) else f"bytes {name.hex(' ')}"


@attrs.define
class _Stream:
    """A track, and how much of it came so far.

    Attributes:
        kind: `video` or `audio`, empty for others.
        handler: What `strh` says about the codec.
        codec: By the name of ffmpeg.
        with_audio: Whether there is audio in it.
        scale: The duration of a tick, in parts of `rate`.
        rate: Ticks per second, times `scale`.
        sample_size: How many bytes a tick of audio has, 0 if chunks are counted.
        block_size: How many bytes a chunk of audio has that lasts for one tick, 0 for any.
        units: How much came so far: bytes if there is a `sample_size`, else ticks.
        begins: How much there was before the first chunk.
        mark: How much there was when the segment began.
        first: Where the first sample of the segment begins, -1 if there was none.
        last: Where its last sample ends.
        samples: How many samples there are in the segment.
        keys: How many of them are key frames by their first bytes.
        indexed: How many of them are key frames by the index.
        entries: How many entries of the index there were.
        looks_at: How many bytes of the next frame are to be looked at.
        is_key: Tells by them whether it is a key frame.
        delay: How many ticks later than decoded its frames are presented.
        delayed_from: Since where that is so.
        open_end: How many ticks of the last sample are not told.
    """

    kind: str
    handler: bytes
    codec: str = "unknown"
    with_audio: bool = False
    scale: int = 1
    rate: int = 25
    sample_size: int = 0
    block_size: int = 0
    units: int = 0
    begins: int = 0
    mark: int = 0
    first: int = -1
    last: int = 0
    samples: int = 0
    keys: int = 0
    indexed: int = 0
    entries: int = 0
    looks_at: int = 0
    is_key: Callable[[bytes], bool] = _is_always_key
    delay: int = 0
    delayed_from: int = 0
    open_end: int = 0

    def begin_segment(self) -> None:
        self.mark = self.units
        self.first = -1
        self.samples = self.keys = self.indexed = 0

    def seconds(self, units: int) -> float:
        if self.delay and units >= self.delayed_from:
            units += self.delay
        return units * self.scale / (self.rate * (self.sample_size or 1))

    def look_into(self, frame: bytes) -> None:
        """Look into the first bytes of a frame."""
        if self.looks_at == _FIRST_FRAME:
            self.looks_at = _FRAME
            if _is_reordered_mpeg4(frame):
                self.delay = 1
        if self.is_key(frame.ljust(_FRAME, b"\0")):
            self.keys += 1

    def set_format(self, content: bytes, size: int) -> None:
        """Take what `strf` says."""
        if self.kind == "video" and not self.with_audio:
            tag = content[16:20].ljust(4, b"\0")
            self.codec = _VIDEO_TAGS.get(tag.upper()) or _VIDEO_TAGS.get(self.handler.upper(), "unknown")
            is_key = _KEYS.get(self.codec)
            if is_key is not None:
                self.is_key = is_key
                self.looks_at = _FIRST_FRAME if self.codec == "mpeg4" else _FRAME
            if self.codec in _DELAYED:
                self.delay = 1
                # ffmpeg learns from the first frame of MPEG-1 that it is so, and has that one at once.
                self.delayed_from = self.begins + (1 if self.codec == "mpeg1video" else 0)
        elif self.kind == "audio" and len(content) >= 14:
            # The oldest form of it has no bits per sample, which are 8 then.
            code, block, bits = _wave_format(content.ljust(16, b"\0"))
            if code == _EXTENSIBLE and len(content) >= 28:
                bits = int.from_bytes(content[18:20], "little") or bits
                code = int.from_bytes(content[24:26], "little")
            if code in (1, 3):
                self.codec = (_INTEGERS if code == 1 else _FLOATS).get(bits or 8, "unknown")
            else:
                self.codec = _AUDIO_TAGS.get(code, "unknown")
            # What ffmpeg corrects in what muxers write.
            if self.sample_size and block:
                self.sample_size = block
            if (self.codec, block) in (("aac", 1024), ("aac", 4096), ("mp3", 1152)) and self.sample_size == block:
                self.sample_size = 0
            if self.codec == "flac":
                # A frame of FLAC is of any length, and ffmpeg does not say of which.
                self.open_end = 1
            self.block_size = 0 if self.codec == "flac" or (self.codec == "aac" and block <= 4) else block


class AviScanner(ContainerScanner):
    """Reads an AVI file."""

    container = "avi"

    def __init__(self) -> None:
        super().__init__()
        self._streams: list[_Stream] = []
        # Which track a chunk belongs to by its id, `_ASIDE` for what tracks have beside media.
        self._media: dict[bytes, int] = {}
        self._begun = False
        self._complete = False
        # Whether this is within `movi`, where media may come.
        self._in_media = False
        # The time between frames by the main header, in microseconds, for tracks that do not tell.
        self._period = 0
        # How much of the index is still to come.
        self._index = 0
        # The track of which a frame is still to be looked at, -1 if none, and the size of that frame.
        self._frame = -1
        self._frame_size = 0

    @property
    def tracks(self) -> tuple[Track, ...]:  # noqa: D102
        if not self._complete:
            return ()
        tracks = []
        for stream in self._streams:
            if stream.kind:
                tracks.append(Track(stream.kind, stream.codec))
            if stream.with_audio:
                tracks.append(Track("audio", "pcm_s16le"))
        return tuple(tracks)

    @property
    def header_complete(self) -> bool:  # noqa: D102
        return self._complete

    def copy(self) -> Self:  # noqa: D102
        other = self._copy_into(type(self)())
        other._streams = [copy(stream) for stream in self._streams]
        other._media = self._media  # it is replaced, never changed
        other._begun = self._begun
        other._complete = self._complete
        other._in_media = self._in_media
        other._period = self._period
        other._index = self._index
        other._frame = self._frame
        other._frame_size = self._frame_size
        return other

    def begin_segment(self) -> None:  # noqa: D102
        super().begin_segment()
        for stream in self._streams:
            stream.begin_segment()

    def _parse(self, data: bytes) -> int:
        at = 0
        if not self._complete:
            at = self._parse_header(data)
        if self._complete:
            at = self._parse_media(data, at)
            self._tell()
        return at

    def _parse_header(self, data: bytes) -> int:
        """Parse what comes before the media."""
        at = 0
        length = len(data)
        while at + 12 <= length:
            name, size = _head_of_chunk(data, at)
            kind = data[at + 8 : at + 12]
            content = at + 8
            if not self._begun:
                if name != b"RIFF" or kind != b"AVI ":
                    self._fail(f"an AVI file must begin here, found bytes {data[at : at + 12].hex(' ')}", at)
                self._begun = True
                at += 12
            elif name == b"LIST" and kind in (b"hdrl", b"strl"):
                at += 12
            elif name == b"LIST" and kind == b"movi":
                self._end_header(at)
                return at + 12
            else:
                wanted = content + min(size, _HEADERS.get(name, 0))
                if wanted > length:
                    return at
                if not _is_id(name) or name[:2].isdigit() or (size > _MAX_HEADER_CHUNK and name not in _PADDING):
                    self._fail(f"a chunk of the header must come here, found {_show(name)} of {size} bytes", at)
                self._take_header(name, data[content:wanted], size, at)
                at = content + size + (size & 1)
        return at

    def _take_header(self, name: bytes, content: bytes, size: int, at: int) -> None:
        """Take a chunk of the header."""
        if name == b"avih":
            self._period = int.from_bytes(content[:4], "little")
        elif name == b"strh" and content[:4] != b"pads":
            if len(self._streams) == MAX_TRACKS:
                self._fail(f"this would be track {MAX_TRACKS + 1}", at)
            kind, handler, scale, rate, start, sample_size = _strh(content.ljust(_STRH_SIZE, b"\0"))
            if not scale or not rate:
                scale, rate = (self._period, 1_000_000) if self._period else (1, 25)
            stream = _Stream(_KINDS.get(kind, ""), handler, scale=scale, rate=rate)
            if stream.kind == "audio":
                stream.sample_size = sample_size
            if start * scale <= _LATEST_START * rate:
                stream.begins = stream.mark = stream.units = start * (stream.sample_size or 1)
            if kind == b"iavs":
                stream.codec = "dvvideo"
                stream.with_audio = True
            self._streams.append(stream)
        elif name == b"strf" and self._streams:
            self._streams[-1].set_format(content, size)

    def _end_header(self, at: int) -> None:
        """Know the tracks, and by which ids their chunks come."""
        if not any(stream.kind for stream in self._streams):
            self._fail("the media begins here, and no track was described", at)
        media = {}
        for number in range(len(self._streams)):
            digits = b"%02d" % number
            media.update(dict.fromkeys((digits + letters for letters in _MEDIA), number))
            media.update(dict.fromkeys((digits + b"pc", digits + b"ix", b"ix" + digits), _ASIDE))
        self._media = media
        self._complete = True
        self._in_media = True

    def _parse_media(self, data: bytes, at: int) -> int:
        """Parse the media and what comes after it."""
        length = len(data)
        streams = self._streams
        media = self._media
        while True:
            if self._frame >= 0:
                stream = streams[self._frame]
                size = self._frame_size
                end = at + min(size, stream.looks_at)
                if end > length:
                    return at
                stream.look_into(data[at:end])
                self._frame = -1
                self._frame_size = 0
                at += size + (size & 1)
            if self._index:
                at = self._parse_index(data, at)
                if self._index:
                    return at
            while at + 8 <= length:
                name, size = _head_of_chunk(data, at)
                number = media.get(name, _NO_MEDIA)
                if number < 0 or size > _MAX_CHUNK or not self._in_media:
                    break
                stream = streams[number]
                at += 8
                begins = stream.units
                if stream.sample_size:
                    stream.units = begins + size
                elif stream.block_size:
                    stream.units = begins + (size - 1) // stream.block_size + 1
                else:
                    stream.units = begins + 1
                if size:
                    stream.samples += 1
                    if stream.first < 0:
                        stream.first = begins
                    stream.last = stream.units
                    if stream.looks_at:
                        end = at + (stream.looks_at if size > stream.looks_at else size)
                        if end > length:
                            self._frame = number
                            self._frame_size = size
                            return at
                        stream.look_into(data[at:end])
                    at += size + (size & 1)
            else:
                return at
            after = self._parse_other(data, at, name, size)
            if after == at:
                return at
            at = after

    def _parse_other(self, data: bytes, at: int, name: bytes, size: int) -> int:
        """Parse the head of a chunk that is no media, and return where to go on; there if it is not whole."""
        if name in (b"LIST", b"RIFF"):
            if at + 12 > len(data):
                return at
            kind = data[at + 8 : at + 12]
            if name == b"RIFF":
                if kind == b"AVI ":
                    self._fail("another AVI file begins here", at)
                if kind != b"AVIX":
                    self._fail(f"the continuation of an AVI file is of type AVIX, not {_show(kind)}", at)
                self._in_media = False
                return at + 12
            if kind == b"movi" or (kind == b"rec " and self._in_media):
                self._in_media = True
                return at + 12
            known = kind == b"INFO" or (_is_id(kind) and not self._in_media)
        elif name == b"idx1":
            self._in_media = False
            self._index = size
            return at + 8
        else:
            number = self._media.get(name, _NO_MEDIA)
            if number >= 0 and not self._in_media:
                self._fail(f"a chunk of media, {_show(name)}, comes here outside of the list movi", at)
            known = number == _ASIDE or name in _PADDING or (not self._in_media and number < 0 and _is_id(name))
        if not known or size > _MAX_CHUNK:
            self._fail(f"a chunk of media must come here, found {_show(name)} of {size} bytes", at)
        return at + 8 + size + (size & 1)

    def _parse_index(self, data: bytes, at: int) -> int:
        """Parse entries of the index: id, flags, offset and size, four bytes each."""
        end = at + min(self._index, len(data) - at) // _ENTRY * _ENTRY
        videos = {
            (digits := b"%02d" % number)[0] << 8 | digits[1]: stream
            for number, stream in enumerate(self._streams)
            if stream.kind == "video"
        }
        tens, ones, letters, flags = (data[at + place : end : _ENTRY] for place in (0, 1, 2, 4))
        for index in range(len(tens)):
            stream = videos.get(tens[index] << 8 | ones[index])
            # Palettes, `pc`, stand in the index as well.
            if stream is not None and letters[index] != 0x70:
                if flags[index] & _KEY_FRAME and stream.entries >= stream.mark - stream.begins:
                    stream.indexed += 1
                stream.entries += 1
        self._index -= end - at
        if self._index < _ENTRY:
            end += self._index + (self._index & 1)
            self._index = 0
        return end

    def _tell(self) -> None:
        """Tell what the tracks hold of this segment."""
        extent = self.extent
        samples = keys = 0
        start = end = None
        for stream in self._streams:
            if not stream.kind or stream.first < 0:
                continue
            samples += stream.samples
            if stream.kind == "video":
                keys += max(stream.keys, min(stream.indexed, stream.samples))
            first, last = stream.seconds(stream.first), stream.seconds(stream.last - stream.open_end)
            if start is None or first < start:
                start = first
            if end is None or last > end:
                end = last
        extent.start = start
        extent.end = end
        extent.samples = samples
        extent.key_frames = keys
