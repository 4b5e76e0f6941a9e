"""MP4 and QuickTime: the scanner of files that are made of boxes.

The format (ISO/IEC 14496-12, and the QuickTime File Format that it grew out of), as far as it is used here. A file is a
row of *boxes*: four bytes of size, four of type, the contents. Size 1 puts a 64-bit size behind the type, size 0 means
"to the end of what is around it". Some boxes hold boxes: `moov`, the header, holds a `trak` for each track; there,
`mdhd` gives the track's timescale, `hdlr` says video or sound, `stsd` names the codec. There are two ways to tell when
a sample is shown:

- A *progressive* file has all times in tables in `moov`: run lengths of durations (`stts`) and of the distance from
  decoding to presentation (`ctts`), the number of samples (`stsz`) and of key frames (`stss`). `moov` stands before the
  samples (`mdat`) or behind them. The tables say nothing of pieces and cuts, so the samples of the whole file count for
  the segment in which `moov` becomes complete, wherever their data are; segments that hold nothing but `mdat` have no
  samples of their own, and `IsoScanner.whole_file` tells that this is so. Of a table only the first and the last
  entries are kept: B-frames change the order over a few frames only, so the earliest and the latest sample are there.
- A *fragmented* file has empty tables; each `moof` brings the times of the samples in the `mdat` behind it: for each
  track a `traf` with defaults (`tfhd`), the decoding time of the first sample (`tfdt`), and durations, flags and
  distances of each (`trun`). A sample counts for the segment that its `trun` entry is in, that is where `moof` is.

*Edit lists* (`elst`) place a track on the timeline of the movie. They are applied as ffmpeg applies them: in a
progressive file an empty edit shifts the track, samples outside the edits are not counted in the extent, and video
begins where its edit begins; in a fragmented file the first edit only shifts. ffmpeg also delays a fragmented track
whose samples are presented before they are decoded, so that none is; so does this scanner, to give the same times.
"""

from __future__ import annotations

import copy
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, repeat
from operator import add, mul
from typing import ClassVar, NamedTuple, Self

import attrs

from ihproto.media.scanner import MAX_TRACKS, ContainerScanner, Extent, Track

#: So many entries are kept of the beginning and of the end of a table; frames are reordered over at most 16 or so.
_KEPT_ENTRIES = 128
#: So many entries of a table are read at once, to keep what is held small.
_ENTRIES_AT_ONCE = 512
#: More of a box than this is never needed: a sample description with its codec, a few hundred edits.
_MOST_OF_A_BOX = 4096
#: The end of a box that reaches to the end of the file.
_FOREVER = 1 << 80
#: `sample_is_non_sync_sample` or `sample_depends_on` = 1: not a key frame (ISO/IEC 14496-12, 8.8.3.1).
_NOT_KEY = 0x0101_0000

#: What holds boxes that are of interest, by what it may be in.
_CONTAINERS = {
    b"": {b"moov", b"moof"},
    b"moov": {b"trak", b"mvex"},
    b"trak": {b"edts", b"mdia"},
    b"edts": set[bytes](),
    b"mdia": {b"minf"},
    b"minf": {b"stbl"},
    b"stbl": set[bytes](),
    b"mvex": set[bytes](),
    b"moof": {b"traf"},
    b"traf": set[bytes](),
}
#: The boxes that a file is a row of. Anything else, in a recording, is a sign that a piece of it is missing.
_OUTER = frozenset(
    b"ftyp styp moov moof mdat imda free skip wide uuid udta meta meco mfra sidx ssix emsg prft pdin pnot PICT pict "
    b"pssh junk otyp etyp".split()
)
#: The boxes that a QuickTime file of the time before `ftyp` begins with.
_QUICKTIME_BEGINNINGS = frozenset((b"wide", b"moov", b"mdat", b"skip", b"pnot"))

#: ffmpeg's names of video sample entries.
_VIDEO_CODECS = {
    form.encode(): codec
    for codec, forms in {
        "h264": "avc1 avc2 avc3 avc4 dva1 dvav ai5p ai5q ai52 ai53 ai55 ai56 ai1p ai1q ai12 ai13 ai15 ai16",
        "hevc": "hvc1 hev1 dvh1 dvhe",
        "vvc": "vvc1 vvi1",
        "vp8": "vp08",
        "vp9": "vp09",
        "av1": "av01",
        "mpeg4": "mp4v DIVX XVID 3IV2",
        "mpeg2video": "mp2v m2v1 hdv1 hdv2 hdv3 hdv4 hdv5 hdv6 hdv7 hdv8 hdv9 hdva mx5n mx5p mx4n mx4p mx3n mx3p xd51 "
        "xd54 xd55 xd59 xd5a xd5b xd5c xd5d xd5e xd5f xdv1 xdv2 xdv3 xdv4 xdv5 xdv6 xdv7 xdv8 xdv9 xdva xdvb xdvc "
        "xdvd xdve xdvf xdhd xdh2 AVmp",
        "mpeg1video": "m1v1 mpeg mp1v",
        "mjpeg": "jpeg mjpa dmb1 AVDJ AVRn",
        "mjpegb": "mjpb",
        "h263": "h263 s263 H263",
        "prores": "apch apcn apcs apco ap4h ap4x aprn",
        "dnxhd": "AVdn AVdh",
        "rawvideo": "yuv2 2vuy yuvs",
        "svq1": "SVQ1 svq1 svqi",
        "svq3": "SVQ3",
        "cinepak": "cvid",
        "ffv1": "FFV1",
        "vc1": "vc-1",
        "dirac": "drac",
        "jpeg2000": "mjp2",
        "cfhd": "CFHD",
        "dvvideo": "dvcp dvpp dv5p dv5n dvhq dvhp dvh2 dvh3 dvh5 dvh6",
    }.items()
    for form in forms.split()
} | {b"raw ": "rawvideo", b"png ": "png", b"rle ": "qtrle", b"m1v ": "mpeg1video", b"dvc ": "dvvideo"}
#: ffmpeg's names of sound sample entries.
_AUDIO_CODECS = {
    b"mp4a": "aac",
    b"Opus": "opus",
    b"fLaC": "flac",
    b"ac-3": "ac3",
    b"sac3": "ac3",
    b"ec-3": "eac3",
    b"ac-4": "ac4",
    b".mp3": "mp3",
    b"mp3 ": "mp3",
    b"ms\x00\x55": "mp3",
    b".mp2": "mp2",
    b".mp1": "mp1",
    b"alac": "alac",
    b"ulaw": "pcm_mulaw",
    b"alaw": "pcm_alaw",
    b"ima4": "adpcm_ima_qt",
    b"ms\x00\x02": "adpcm_ms",
    b"ms\x00\x11": "adpcm_ima_wav",
    b"MAC3": "mace3",
    b"MAC6": "mace6",
    b"samr": "amr_nb",
    b"sawb": "amr_wb",
    b"dtsc": "dts",
    b"dtsh": "dts",
    b"dtsl": "dts",
    b"dtse": "dts",
    b"mlpa": "truehd",
    b"QDM2": "qdm2",
    b"QDMC": "qdmc",
    b"Qclp": "qcelp",
    b"agsm": "gsm",
    b"spex": "speex",
}
#: ffmpeg's names of the object types of an elementary stream descriptor (ISO/IEC 14496-1, 7.2.6.6; mp4ra.org).
_OBJECT_TYPES = {
    0x20: "mpeg4",
    0x21: "h264",
    0x23: "hevc",
    0x40: "aac",
    **dict.fromkeys(range(0x60, 0x66), "mpeg2video"),
    **dict.fromkeys(range(0x66, 0x69), "aac"),
    0x69: "mp3",
    0x6A: "mpeg1video",
    0x6B: "mp3",
    0x6C: "mjpeg",
    0x6D: "png",
    0x6E: "jpeg2000",
    0xA3: "vc1",
    0xA4: "dirac",
    0xA5: "ac3",
    0xA6: "eac3",
    0xA9: "dts",
    0xAD: "opus",
    0xB1: "vp9",
    0xC1: "flac",
    0xDD: "vorbis",
    0xE1: "qcelp",
}
#: The codecs of uncompressed sound whose name does not depend on anything but the sample's width: (kind, byte order).
_PCM = {
    b"sowt": ("s", "le"),
    b"twos": ("s", "be"),
    b"in24": ("s", ""),
    b"in32": ("s", ""),
    b"fl32": ("f", ""),
    b"fl64": ("f", ""),
}


def _uint(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _name(kind: bytes) -> str:
    return kind.decode("latin-1")


def _is_type(kind: bytes) -> bool:
    """Whether this can be the type of a box: printable characters; QuickTime has a copyright sign in some."""
    return kind.isalnum() or all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind)


def _object_type(esds: bytes) -> int:
    """The object type in the descriptors of an `esds` box (ISO/IEC 14496-1, 7.2.6), 0 when there is none."""
    at = 0
    for tag in (3, 4):
        if esds[at : at + 1] != bytes((tag,)):
            # QuickTime leaves the outer descriptor out.
            continue
        at += 1
        for _ in range(4):
            at += 1
            if not esds[at - 1 : at] or esds[at - 1] < 0x80:
                break
        if tag == 3:
            flags = _uint(esds, at + 2, 1)
            at += 3 + (flags >> 7) * 2
            if flags & 0x40:
                at += 1 + _uint(esds, at, 1)
            at += (flags >> 5 & 1) * 2
        else:
            return _uint(esds, at, 1)
    return 0


def _pcm_codec(form: bytes, entry: bytes) -> str | None:
    """The name of uncompressed sound by its sample entry, None when it is something else."""
    version = _uint(entry, 16, 2)
    bits = _uint(entry, 56, 4) if version == 2 else _uint(entry, 26, 2)
    if form in (b"ipcm", b"fpcm"):
        # ISO/IEC 23003-5: the format flags and the width are in a box of their own.
        at = entry.find(b"pcmC")
        if at < 0:
            return None
        kind, order = "s" if form == b"ipcm" else "f", "le" if _uint(entry, at + 8, 1) & 1 else "be"
        bits = _uint(entry, at + 9, 1)
    elif form == b"lpcm":
        # QuickTime's description version 2 carries the flags of Core Audio: 1 float, 2 big endian, 4 signed.
        flags = _uint(entry, 60, 4)
        kind, order = "f" if flags & 1 else "s" if flags & 4 else "u", "be" if flags & 2 else "le"
    elif form in (b"raw ", b"NONE"):
        kind, order = ("s", "be") if bits == 16 else ("u", "")
        bits = bits if bits == 16 else 8
    elif form in _PCM:
        kind, order = _PCM[form]
        if not order:
            bits = int(form[2:])
            at = entry.find(b"enda")
            order = "le" if at >= 0 and _uint(entry, at + 4, 2) == 1 else "be"
    else:
        return None
    if bits == 8:
        order = ""
    elif bits not in (16, 24, 32, 64):
        return None
    return f"pcm_{kind}{bits}{order}"


def _codec(kind: str, entry: bytes) -> str:
    """The codec of a sample entry, which begins with its size and type, by the name that ffmpeg uses."""
    form = entry[4:8]
    if form in (b"encv", b"enca"):
        # Encrypted: the original type is in the `frma` box (ISO/IEC 14496-12, 8.12.2).
        at = entry.find(b"frma")
        form = entry[at + 4 : at + 8] if at >= 0 else form
    at = entry.find(b"esds")
    if at >= 0 and (codec := _OBJECT_TYPES.get(_object_type(entry[at + 8 :]))):
        return codec
    if kind == "audio":
        return _pcm_codec(form, entry) or _AUDIO_CODECS.get(form, "unknown")
    return _VIDEO_CODECS.get(form, "unknown")


@attrs.define
class _Runs:
    """A table of run lengths, of which the beginning and the end are kept, as they stand in the file."""

    layout: str
    head: bytes = b""
    tail: bytes = b""
    entries: int = 0
    samples: int = 0
    ticks: int = 0

    def add(self, entries: bytes) -> None:
        """Take some more entries."""
        values = struct.unpack(f">{len(entries) // 4}I", entries)
        counts = values[::2]
        if 0 in counts:
            # Runs of no samples must not take the places of those that are kept.
            entries = b"".join(entries[8 * i : 8 * i + 8] for i, count in enumerate(counts) if count)
        self.entries += len(entries) // 8
        self.samples += sum(counts)
        self.ticks += sum(map(mul, counts, values[1::2]))
        if (room := _KEPT_ENTRIES * 8 - len(self.head)) > 0:
            self.head += entries[:room]
        self.tail = (self.tail + entries)[-_KEPT_ENTRIES * 8 :]

    def first(self, limit: int, default: int) -> list[int]:
        """The values of the first samples, `limit` of them or fewer; `default` for those that the table leaves out."""
        values: list[int] = []
        for count, value in struct.iter_unpack(self.layout, self.head):
            values.extend(repeat(value, min(count, limit - len(values))))
        if len(values) == self.samples:
            values.extend(repeat(default, limit - len(values)))
        return values

    def last(self, limit: int, samples: int, default: int) -> tuple[list[int], int]:
        """The values of the last of `samples` samples, the last one first, and the sum of all that follow them."""
        missing = samples - self.samples
        values = list(repeat(default, min(missing, limit)))
        beyond = 0
        surplus = -missing
        for count, value in reversed(list(struct.iter_unpack(self.layout, self.tail))):
            if surplus > 0:
                dropped = min(surplus, count)
                surplus -= dropped
                count -= dropped
                beyond += dropped * value
            values.extend(repeat(value, min(count, limit - len(values))))
        return values, beyond


@attrs.define
class _Trak:
    """What is collected of a `trak` box until it ends."""

    number: int = 0
    kind: str = ""
    codec: str = "unknown"
    timescale: int = 0
    edits: tuple[tuple[int, int], ...] = ()
    samples: int = 0
    key_frames: int | None = None
    durations: _Runs = attrs.Factory(lambda: _Runs(">II"))
    offsets: _Runs = attrs.Factory(lambda: _Runs(">Ii"))

    def copy(self) -> _Trak:
        return attrs.evolve(self, durations=copy.copy(self.durations), offsets=copy.copy(self.offsets))

    def times(self) -> _Times | None:
        """When its samples are presented, None when it has none."""
        durations, offsets, samples = self.durations, self.offsets, self.samples
        if not samples or not durations.entries:
            return None
        count, last = struct.unpack(">II", durations.tail[-8:])
        others = durations.samples - 1
        if count == 1 and others > 100 and last // 10 > (durations.ticks - last) // others:
            # A last frame that stays for minutes is a fault of some cameras; ffmpeg gives it the usual duration.
            average = (durations.ticks - last) // others
            durations.ticks += average - last
            durations.tail = durations.tail[:-4] + average.to_bytes(4, "big")
            last = average
        limit = min(samples, _KEPT_ENTRIES)
        lengths = durations.first(limit, last)
        shown = map(add, accumulate(lengths, initial=0), offsets.first(limit, 0))
        head = sorted(zip(shown, lengths, strict=False))
        lengths, beyond = durations.last(limit, samples, last)
        now = durations.ticks + max(samples - durations.samples, 0) * last - beyond
        distances, _ = offsets.last(limit, samples, 0)
        tail: list[tuple[int, int]] = []
        for length, distance in zip(lengths, distances, strict=False):
            now -= length
            tail.append((now + distance, length))
        tail.sort()
        # With one run, or one and an odd last sample, frames stand on a grid.
        grid = struct.unpack(">II", durations.head[:8])[1] if durations.entries < 3 else 0
        return _Times(head, tail or head, grid)


@attrs.define
class _Times:
    """The first and the last samples of a track: presentation time and duration of each, in ticks, in order.

    Attributes:
        grid: How far samples between those are apart, 0 when it is not known.
    """

    head: list[tuple[int, int]]
    tail: list[tuple[int, int]]
    grid: int

    def whole(self) -> tuple[int, int]:
        """From when to when."""
        return self.head[0][0], max(map(add, *zip(*self.tail, strict=True)))

    def first_from(self, time: int, *, partly: bool) -> int | None:
        """When the first sample begins that begins at `time` or later; if `partly`, that lasts until later."""
        for samples in (self.head, self.tail):
            i = bisect_left(samples, (time, -1))
            if partly and i and sum(samples[i - 1]) > time:
                i -= 1
            if i < len(samples):
                return samples[i][0]
            if samples is self.head and time < self.tail[0][0]:
                return self._on_grid(time, up=not partly)
        return None

    def last_before(self, time: int) -> int | None:
        """When the last sample ends that begins before `time`."""
        if i := bisect_left(self.tail, (time, -1)):
            return sum(self.tail[i - 1])
        i = bisect_left(self.head, (time, -1))
        if i == len(self.head):
            return self._on_grid(time, up=True)
        return sum(self.head[i - 1]) if i else None

    def _on_grid(self, time: int, *, up: bool) -> int:
        if not self.grid:
            return time
        start = self.head[0][0]
        return start + (time - start + (self.grid - 1 if up else 0)) // self.grid * self.grid


@attrs.define
class _Timeline:
    """What must be known of a track to read its fragments."""

    kind: str
    timescale: int
    #: How much earlier a sample is presented because of the edit list, in ticks.
    offset: int
    #: When the next sample is decoded, in ticks.
    now: int
    #: When the first sample of the last fragment is decoded.
    base: int = 0
    #: The delay that lets no sample be presented before it is decoded.
    delay: int = 0


class _Run(NamedTuple):
    """The samples of a `trun` that have been read and not counted yet."""

    start: int
    end: int
    samples: int
    key_frames: int


_NO_RUN = _Run(0, 0, 0, 0)


class IsoScanner(ContainerScanner):
    """Scans MP4 and QuickTime files.

    Attributes:
        whole_file: Whether the times of all samples were known from `moov` at once, and counted for the segment in
            which it became complete; later segments of such a file have no samples of their own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.container = "mp4"
        self.whole_file = False
        self._tracks: tuple[Track, ...] = ()
        self._at = 0
        self._open: list[tuple[bytes, int]] = []
        self._seen_type = False
        self._header_seen = False
        self._fragmented = False
        self._movie_timescale = 0
        self._trak = _Trak()
        self._traks = 0
        self._found: tuple[Track, ...] = ()
        self._media = Extent()
        self._timelines: dict[int, _Timeline] = {}
        self._defaults: dict[int, tuple[int, int]] = {}
        self._sequence: int | None = None
        self._in_sequence: bool | None = None
        self._traf: _Timeline | None = None
        self._traf_number = 0
        self._duration = 0
        self._flags = 0
        # The box that is being read, and of a table in it how many entries are left, their size, and where it ends.
        self._box = b""
        self._left = 0
        self._entry_size = 0
        self._table_end = 0
        # Of a `trun`: which of the numbers of an entry is the duration, the flags, the offset, -1 when there is none.
        self._fields = (-1, -1, -1)
        self._first_flags = -1
        self._run = _NO_RUN
        # The media of the fragment that is being read: it counts when its `moof` is complete.
        self._fragment = Extent()

    @property
    def tracks(self) -> tuple[Track, ...]:
        """The video and audio tracks in the order of the file; empty before `moov` is complete."""
        return self._tracks

    @property
    def header_complete(self) -> bool:
        """Whether the tracks are known, be it that there are none."""
        return self._header_seen

    def copy(self) -> Self:
        """A scanner in the same state, independent of this one."""
        other = copy.copy(self)
        other._open = self._open.copy()
        other._trak = self._trak.copy()
        other._media = copy.copy(self._media)
        other._fragment = copy.copy(self._fragment)
        other._timelines = {number: copy.copy(timeline) for number, timeline in self._timelines.items()}
        other._defaults = self._defaults.copy()
        if self._traf is not None:
            other._traf = other._timelines[self._traf_number]
        return self._copy_into(other)

    def finish_segment(self) -> None:
        """Finish a segment.

        A `moov` that reaches to the end of the file ends here, since nothing else says so.
        """
        if self._open == [(b"moov", _FOREVER)] and self._found and not self._pending and not self._left:
            self._close(self._open.pop()[0])

    def _parse(self, data: bytes) -> int:
        base = self._at
        size = len(data)
        boxes = self._open
        readers = self._READERS
        pos = 0
        while True:
            if self._left:
                pos = self._read_table(data, pos)
                if self._left:
                    break
            here = base + pos
            # A box that ends with something to step over is complete before its last byte has come.
            while boxes and here >= boxes[-1][1]:
                self._close(boxes.pop()[0])
            parent, parent_end = boxes[-1] if boxes else (b"", _FOREVER)
            if boxes and parent_end - here < 8:
                # QuickTime ends some lists with four zeros.
                pos = parent_end - base
                continue
            if pos + 8 > size:
                break
            length = int.from_bytes(data[pos : pos + 4], "big")
            kind = data[pos + 4 : pos + 8]
            start = pos + 8
            if length == 1:
                if pos + 16 > size:
                    break
                length = int.from_bytes(data[start : start + 8], "big")
                start += 8
            elif length == 0:
                length = parent_end - here
            if length < start - pos:
                self._fail_box(data, pos)
            end = here + length
            reader = readers.get(parent + kind)
            if parent:
                if not any(data[pos : pos + 4]):
                    # An empty size ends a list in QuickTime.
                    pos = end - base
                    continue
                if reader is None and not _is_type(kind):
                    self._fail_box(data, pos)
                if end > parent_end:
                    what = f"a '{_name(kind)}' box of {length} bytes reaches beyond the '{_name(parent)}' box around it"
                    self._fail(what, pos)
            elif not self._belongs(kind, data, pos):
                pos = end - base
                continue
            if reader is None:
                if kind in _CONTAINERS[parent]:
                    self._begin(kind, pos)
                    boxes.append((kind, end))
                    pos = start
                    continue
            else:
                read, most = reader
                stop = min(end - base, start + most)
                if stop > size:
                    break
                self._box = kind
                entries = read(self, data, start, stop, end - base)
                if self._left:
                    self._table_end = end
                    pos = entries
                    continue
            pos = end - base
        self._at = base + pos
        return pos

    def _fail_box(self, data: bytes, pos: int) -> None:
        self._fail(f"a box must come here, found bytes {data[pos : pos + 8].hex(' ')}", pos)

    def _belongs(self, kind: bytes, data: bytes, pos: int) -> bool:
        """Whether a box of the row that the file is must be looked at, and not only be stepped over."""
        if kind == b"mdat" and self._seen_type:
            return False
        if not self._seen_type and kind in _QUICKTIME_BEGINNINGS:
            self._seen_type = True
            self.container = "mov"
        if kind == b"moof":
            if not self._header_seen:
                self._fail("a fragment (moof) comes before the header (moov) that it needs", pos)
            if self.whole_file:
                self._fail("a fragment (moof) comes in a file whose header (moov) announces none", pos)
            return True
        if kind == b"moov":
            # Recorders that repeat the header exist; ffmpeg, too, goes by the first one.
            return not self._header_seen
        if kind == b"ftyp":
            if self.whole_file:
                self._fail("a second file (ftyp) begins inside the segment", pos)
            return True
        if kind not in _OUTER and not (self.whole_file and (_is_type(kind) or not any(kind))):
            # Behind a file that is whole, cameras leave boxes of their own, or zeros.
            self._fail_box(data, pos)
        return False

    def _begin(self, kind: bytes, pos: int) -> None:
        """Begin a box that holds boxes."""
        if kind == b"trak":
            self._traks += 1
            if self._traks > MAX_TRACKS:
                self._fail(f"the file has more than {MAX_TRACKS} tracks", pos)
            self._trak = _Trak()
        elif kind == b"mvex":
            self._fragmented = True

    def _close(self, kind: bytes) -> None:
        """Finish a box that holds boxes."""
        if kind == b"traf":
            self._traf = None
        elif kind == b"moof":
            self._count(self._fragment)
            self._fragment = Extent()
        elif kind == b"trak":
            self._finish_trak(self._trak)
            self._trak = _Trak()
        elif kind == b"moov":
            self._header_seen = True
            self._tracks = self._found
            self.whole_file = not self._fragmented
            self._count(self._media)

    def _finish_trak(self, trak: _Trak) -> None:
        """Place a track on the timeline of the movie."""
        movie = self._movie_timescale
        timescale = trak.timescale or movie or 1
        edits = [((length * timescale + movie // 2) // movie if movie else 0, time) for length, time in trak.edits]
        # In fragments only one edit counts, behind an empty one or not.
        offset = -edits[0][0] if edits and edits[0][1] < 0 else 0
        offset += next((time for _, time in edits[:2] if time >= 0), 0)
        self._timelines[trak.number] = _Timeline(trak.kind, timescale, offset, trak.durations.ticks)
        if not trak.kind:
            return
        self._found += (Track(trak.kind, trak.codec),)
        media = self._media
        media.samples += trak.samples
        if trak.kind == "video":
            # Without a table of key frames each sample is one; an empty table cannot be right.
            key_frames = trak.samples if trak.key_frames is None else max(trak.key_frames, 1)
            media.key_frames += min(key_frames, trak.samples)
        times = trak.times()
        if times is None:
            return
        for start, end in self._placed(trak, times, edits) if edits else (times.whole(),):
            media.add(start / timescale, end / timescale)
            media.samples -= 1

    def _placed(self, trak: _Trak, times: _Times, edits: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """From when to when samples are presented according to the edits, in ticks."""
        # The first edit of sound takes in the packet that it begins in, which is cut when it is decoded; not so Vorbis.
        partly = trak.kind == "audio" and trak.codec != "vorbis"
        now = 0
        for length, time in edits:
            if time >= 0:
                first = times.first_from(time, partly=partly)
                last = times.last_before(time + length if length else _FOREVER)
                if first is not None and last is not None and last >= first:
                    start = now + min(first - time, 0)
                    yield start, start + last - first
                partly = False
            now += length

    # Each of these reads the box whose contents are in `data` from `start`; they are there up to `stop`, which is the
    # end of the box or as much as was asked for; the box itself ends at `end`. What is returned is where a table begins
    # whose entries are still to be read, or 0.

    def _read_ftyp(self, data: bytes, start: int, stop: int, end: int) -> int:
        if not self._seen_type:
            self._seen_type = True
            self.container = "mov" if data[start:stop] == b"qt  " else "mp4"
        return 0

    def _read_mvhd(self, data: bytes, start: int, stop: int, end: int) -> int:
        self._movie_timescale = self._number(data, start + (20 if self._version(data, start, stop) else 12), 4, stop)
        return 0

    def _read_tkhd(self, data: bytes, start: int, stop: int, end: int) -> int:
        self._trak.number = self._number(data, start + (20 if self._version(data, start, stop) else 12), 4, stop)
        return 0

    def _read_mdhd(self, data: bytes, start: int, stop: int, end: int) -> int:
        self._trak.timescale = self._number(data, start + (20 if self._version(data, start, stop) else 12), 4, stop)
        return 0

    def _read_hdlr(self, data: bytes, start: int, stop: int, end: int) -> int:
        kind = self._number(data, start + 8, 4, stop).to_bytes(4, "big")
        self._trak.kind = {b"vide": "video", b"soun": "audio"}.get(kind, "")
        return 0

    def _read_elst(self, data: bytes, start: int, stop: int, end: int) -> int:
        layout = ">Qq4x" if self._version(data, start, stop) else ">Ii4x"
        size = struct.calcsize(layout)
        count = min(self._number(data, start + 4, 4, stop), (stop - start - 8) // size)
        self._trak.edits = tuple(struct.iter_unpack(layout, data[start + 8 : start + 8 + count * size]))
        return 0

    def _read_stsd(self, data: bytes, start: int, stop: int, end: int) -> int:
        if self._number(data, start + 4, 4, stop):
            size = self._number(data, start + 8, 4, stop)
            self._trak.codec = _codec(self._trak.kind, data[start + 8 : min(start + 8 + size, stop)])
        return 0

    def _read_stsz(self, data: bytes, start: int, stop: int, end: int) -> int:
        size = self._number(data, start + 4, 4, stop)
        self._trak.samples = count = self._number(data, start + 8, 4, stop)
        if size == 0:
            self._check_table(count * 4, start + 12, end)
        return 0

    def _read_stz2(self, data: bytes, start: int, stop: int, end: int) -> int:
        bits = self._number(data, start + 7, 1, stop)
        self._trak.samples = count = self._number(data, start + 8, 4, stop)
        self._check_table(count * bits // 8, start + 12, end)
        return 0

    def _read_stss(self, data: bytes, start: int, stop: int, end: int) -> int:
        # QuickTime lists key frames with frames before them that depend on others in a table of their own (`stps`).
        count = self._number(data, start + 4, 4, stop)
        self._check_table(count * 4, start + 8, end)
        self._trak.key_frames = (self._trak.key_frames or 0) + count
        return 0

    def _read_stts(self, data: bytes, start: int, stop: int, end: int) -> int:
        self._trak.durations = _Runs(">II")
        return self._begin_table(self._number(data, start + 4, 4, stop), 8, start + 8, end)

    def _read_ctts(self, data: bytes, start: int, stop: int, end: int) -> int:
        # Version 0 has no negative distances, but many files have them all the same (ffmpeg reads both as signed).
        self._trak.offsets = _Runs(">Ii")
        return self._begin_table(self._number(data, start + 4, 4, stop), 8, start + 8, end)

    def _read_trex(self, data: bytes, start: int, stop: int, end: int) -> int:
        number = self._number(data, start + 4, 4, stop)
        defaults = self._number(data, start + 12, 4, stop), self._number(data, start + 20, 4, stop)
        if len(self._defaults) < MAX_TRACKS:
            self._defaults[number] = defaults
        return 0

    def _read_mfhd(self, data: bytes, start: int, stop: int, end: int) -> int:
        number, before = self._number(data, start + 4, 4, stop), self._sequence
        if before is not None:
            # Numbers must grow (ISO/IEC 14496-12, 8.8.5), though some muxers let them stand still. Where they have gone
            # up by one so far, as in the recordings of browsers, another step is a lost piece.
            follows = number == before + 1
            if number < before or (self._in_sequence and not follows):
                fault = "a piece of the recording is missing" if number > before else "the pieces are out of order"
                self._fail(f"fragment {number} comes after fragment {before}: {fault}", start - 8)
            self._in_sequence = follows and self._in_sequence is not False
        self._sequence = number
        return 0

    def _read_tfhd(self, data: bytes, start: int, stop: int, end: int) -> int:
        number = self._number(data, start + 4, 4, stop)
        if number not in self._timelines or number not in self._defaults:
            self._fail(f"a fragment is of track {number}, which the header (moov) does not announce", start - 8)
        flags = self._number(data, start + 1, 3, stop)
        self._duration, self._flags = self._defaults[number]
        at = start + 8 + (flags & 1) * 8 + (flags >> 1 & 1) * 4
        if flags & 0x08:
            self._duration = self._number(data, at, 4, stop)
            at += 4
        at += (flags >> 4 & 1) * 4
        if flags & 0x20:
            self._flags = self._number(data, at, 4, stop)
        self._traf, self._traf_number = self._timelines[number], number
        return 0

    def _read_tfdt(self, data: bytes, start: int, stop: int, end: int) -> int:
        time = self._number(data, start + 4, 8 if self._version(data, start, stop) else 4, stop)
        traf = self._timeline(start)
        if time < traf.base:
            what = f"a fragment of track {self._traf_number} goes back from {traf.base / traf.timescale:.3f} s to "
            self._fail(f"{what}{time / traf.timescale:.3f} s: the pieces are out of order", start - 8)
        traf.base = traf.now = time
        return 0

    def _read_trun(self, data: bytes, start: int, stop: int, end: int) -> int:
        traf = self._timeline(start)
        if not traf.kind:
            return 0
        flags = self._number(data, start + 1, 3, stop)
        count = self._number(data, start + 4, 4, stop)
        at = start + 8 + (flags & 1) * 4
        self._first_flags = -1
        if flags & 0x04:
            self._first_flags = self._number(data, at, 4, stop)
            at += 4
        size = 0
        places = []
        # Duration, size, flags and composition offset stand in this order, those of them that are there.
        for flag in (0x100, 0x200, 0x400, 0x800):
            places.append(size if flags & flag else -1)
            size += 1 if flags & flag else 0
        if size == 0:
            # Nothing but defaults: however many samples there are, they are a run.
            self._check_table(0, at, end)
            after = traf.now + count * self._duration
            self._add_samples(traf.now, after, count, self._keys(traf, count, ()))
            self._finish_run()
            traf.now = after
            return 0
        self._fields = places[0], places[2], places[3]
        return self._begin_table(count, size * 4, at, end)

    def _version(self, data: bytes, start: int, stop: int) -> int:
        return self._number(data, start, 1, stop)

    def _number(self, data: bytes, at: int, size: int, stop: int) -> int:
        """A number in a box of which nothing is known beyond `stop`."""
        if at + size > stop:
            self._fail(f"the '{_name(self._box)}' box is too short for what it must hold", at)
        return int.from_bytes(data[at : at + size], "big")

    def _timeline(self, start: int) -> _Timeline:
        """The track of the present `traf`."""
        if self._traf is None:
            self._fail("a fragment of a track does not begin with the number of the track (tfhd)", start - 8)
        assert self._traf is not None
        return self._traf

    def _check_table(self, size: int, start: int, end: int) -> None:
        if size > end - start:
            self._fail(f"the table in the '{_name(self._box)}' box is larger than the box", start)

    def _begin_table(self, entries: int, entry_size: int, start: int, end: int) -> int:
        self._check_table(entries * entry_size, start, end)
        self._left, self._entry_size = entries, entry_size
        return start

    def _read_table(self, data: bytes, pos: int) -> int:
        """Read as many entries as there are of the present table."""
        size = self._entry_size
        while self._left:
            count = min(self._left, (len(data) - pos) // size, _ENTRIES_AT_ONCE)
            if count <= 0:
                return pos
            after = pos + count * size
            if self._box == b"trun":
                self._read_samples(data, pos, count)
            elif self._box == b"stts":
                self._trak.durations.add(data[pos:after])
            else:
                self._trak.offsets.add(data[pos:after])
            pos = after
            self._left -= count
        if self._box == b"trun":
            self._finish_run()
        return self._table_end - self._at

    def _read_samples(self, data: bytes, pos: int, count: int) -> None:
        """Read entries of a `trun`; the loops over them are those of the interpreter, not of this language."""
        traf = self._traf
        assert traf is not None
        width = self._entry_size // 4
        values = struct.unpack_from(f">{count * width}I", data, pos)
        of_duration, of_flags, of_offset = self._fields
        durations = values[of_duration::width] if of_duration >= 0 else (self._duration,) * count
        key_frames = self._keys(traf, count, values[of_flags::width] if of_flags >= 0 else ())
        start = traf.now
        if of_offset < 0:
            traf.now = end = start + sum(durations)
        else:
            times = list(accumulate(durations, initial=start))
            traf.now = times.pop()
            offsets: Sequence[int] = values[of_offset::width]
            if max(offsets) >= 1 << 31:
                # Version 0 has no negative offsets, but ffmpeg reads both as signed, as files need it.
                offsets = [offset - (offset >> 31 << 32) for offset in offsets]
                traf.delay = max(traf.delay, -min(offsets))
            shown = list(map(add, times, offsets))
            start, end = min(shown), max(map(add, shown, durations))
        self._add_samples(start, end, count, key_frames)

    def _keys(self, traf: _Timeline, count: int, flags: Sequence[int]) -> int:
        """How many of the next `count` samples are key frames of video, by their flags or the default."""
        first, self._first_flags = self._first_flags, -1
        if traf.kind != "video" or not count:
            return 0
        if flags:
            return [flag & _NOT_KEY for flag in flags].count(0)
        if first < 0:
            first = self._flags
        return (count - 1) * (not self._flags & _NOT_KEY) + (not first & _NOT_KEY)

    def _add_samples(self, start: int, end: int, count: int, key_frames: int) -> None:
        """Take samples of the present run, which are presented from `start` to `end`, in ticks."""
        if self._run.samples:
            start, end = min(start, self._run.start), max(end, self._run.end)
        self._run = _Run(start, end, self._run.samples + count, self._run.key_frames + key_frames)

    def _finish_run(self) -> None:
        """Count the present run, as far as it has come: only then it is known how much it is delayed."""
        run, traf = self._run, self._traf
        if run.samples and traf is not None:
            shift = traf.delay - traf.offset
            self._fragment.add((run.start + shift) / traf.timescale, (run.end + shift) / traf.timescale)
            self._fragment.samples += run.samples - 1
            self._fragment.key_frames += run.key_frames
        self._run = _NO_RUN

    def _count(self, media: Extent) -> None:
        """Count media for the present segment."""
        extent = self.extent
        if media.start is not None and media.end is not None:
            extent.add(media.start, media.end)
            extent.samples -= 1
        extent.samples += media.samples
        extent.key_frames += media.key_frames

    #: What is read of which box in which box: by what, and how many bytes of it at most.
    _READERS: ClassVar[dict[bytes, tuple[Callable[[IsoScanner, bytes, int, int, int], int], int]]] = {
        b"ftyp": (_read_ftyp, 4),
        b"moovmvhd": (_read_mvhd, 24),
        b"traktkhd": (_read_tkhd, 24),
        b"edtselst": (_read_elst, _MOST_OF_A_BOX),
        b"mdiamdhd": (_read_mdhd, 24),
        b"mdiahdlr": (_read_hdlr, 12),
        b"stblstsd": (_read_stsd, _MOST_OF_A_BOX),
        b"stblstts": (_read_stts, 8),
        b"stblctts": (_read_ctts, 8),
        b"stblstss": (_read_stss, 8),
        b"stblstps": (_read_stss, 8),
        b"stblstsz": (_read_stsz, 12),
        b"stblstz2": (_read_stz2, 12),
        b"mvextrex": (_read_trex, 24),
        b"moofmfhd": (_read_mfhd, 8),
        b"traftfhd": (_read_tfhd, 32),
        b"traftfdt": (_read_tfdt, 12),
        b"traftrun": (_read_trun, 16),
    }
