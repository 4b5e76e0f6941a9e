"""Feed broken and hostile files to `MediaScanner`, and see that it stays calm.

    python tests/media_fuzz.py [--inputs 100000] [--seed N] [--seconds N] [--only INDEX]

Every input is a file of one of the containers that was mutated, truncated, spliced or stuffed with hostile structures,
cut at random into segments and these into pieces. Three things must hold for each: no exception (what is wrong with a
file is a `SegmentFault`), no more than 64 KB held, and no more time than in proportion to its bytes and pieces.

An input depends on the seed and its index alone; `--only` runs a single one again. Exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import random
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, TracebackType

import attrs
from media_corpus import WAYS, Recipe, make

from ihproto.media import MediaScanner, SegmentFault, SegmentMedia, SegmentPolicy

MAX_HELD = 64 * 1024
#: What an input may cost, in seconds: for itself, for each piece, and for each byte. The tiniest elements are 2 bytes.
BUDGET, BUDGET_PER_PIECE, BUDGET_PER_BYTE = 0.005, 30e-6, 3e-6
#: How often the clock is asked again before it is believed: other programs run as well.
ATTEMPTS = 4
#: After so long, in seconds of processor time, an input is taken to be endless.
ENDLESS = 5.0
LARGEST = 48 * 1024

_RECORDING = Path(__file__).parents[1] / "examples/recording"
_OF_ALL_SESSIONS = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType, struct.Struct)


@attrs.frozen
class Input:
    """A hostile session.

    Attributes:
        kind: How it was made.
        segments: The pieces of each segment.
    """

    kind: str
    segments: tuple[tuple[bytes, ...], ...]

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return sum(len(piece) for segment in self.segments for piece in segment)

    @property
    def budget(self) -> float:
        """How long it may take, in seconds of processor time."""
        pieces = sum(len(segment) + 1 for segment in self.segments)
        return BUDGET + BUDGET_PER_PIECE * pieces + BUDGET_PER_BYTE * self.size


@attrs.frozen
class Outcome:
    """What came of an input.

    Attributes:
        seconds: The processor time it took.
        held: How many bytes the scanner held at most, where it was looked.
        accepted: How many segments were accepted.
        failure: What went wrong, None if nothing did.
    """

    seconds: float
    held: int
    accepted: int
    failure: str | None = None


def held_bytes(root: object) -> int:
    """The size of an object and of all that it refers to, except what all sessions have in common."""
    seen: set[int] = set()
    total = 0
    pending: list[object] = [root]
    while pending:
        thing = pending.pop()
        if id(thing) in seen or isinstance(thing, _OF_ALL_SESSIONS):
            continue
        seen.add(id(thing))
        total += sys.getsizeof(thing)
        if isinstance(thing, dict):
            pending += thing.keys()
            pending += thing.values()
        elif isinstance(thing, (list, tuple, set, frozenset)):
            pending += thing
        elif isinstance(thing, TracebackType):
            # It keeps alive what the functions had in hand when they failed.
            pending += (thing.tb_next, *thing.tb_frame.f_locals.values())
        elif not isinstance(thing, (bytes, bytearray, str, int, float, type(None))):
            if isinstance(thing, BaseException):
                pending += (thing.args, thing.__cause__, thing.__context__, thing.__traceback__)
            pending += getattr(thing, "__dict__", {}).values()
            for kind in type(thing).__mro__:
                slots = kind.__dict__.get("__slots__", ())
                names = (slots,) if isinstance(slots, str) else slots
                pending += (getattr(thing, name) for name in names if name != "__weakref__" and hasattr(thing, name))
    return total


# --- files ------------------------------------------------------------------------------------------------------------


@cache
def seeds() -> tuple[tuple[str, bytes], ...]:
    """Small files to start from: each container in each of its ways, and a browser's recording."""
    videos = {"mp4": "vp9", "mov": "h264", "avi": "mpeg4", "mkv": "h264", "webm": "vp8"}
    audios = {"mp4": "opus", "mov": "pcm_s16le", "avi": "mp3", "mkv": "aac", "webm": "opus"}
    files = [
        (
            container,
            make(Recipe(container, videos.get(container, "h264"), audios.get(container, "aac"), way, seconds=s)),
        )
        for container, ways in WAYS.items()
        for way in ways
        for s in (0.4, 1.0)
    ]
    pieces = [path.read_bytes() for path in sorted(_RECORDING.glob("*.bin"))[:2]]
    return (*files, ("webm", b"".join(pieces)))


#: Numbers that sizes and counts are replaced with.
_NUMBERS = (0, 1, 2, 7, 8, 9, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 63)
#: Marks of the containers, for places where they hurt.
_MARKS = (
    b"\x1a\x45\xdf\xa3\x1f\x43\xb6\x75\x18\x53\x80\x67\x16\x54\xae\x6b\xa3\x81\xa0\x81\xe7\x81\xec\x81\xae\x81",
    b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x81\x00",
    b"\x00\x00\x00\x00moov\x00\x00\x00\x01mdat\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x00\x00\x00\x08moof\x00\x00\x00\x08traf\x00\x00\x00\x08free",
    b"\x00\x00\x00\x18trun\x00\x00\x0f\x01\xff\xff\xff\xff",
    b"RIFF\xff\xff\xff\xffAVI LIST\x04\x00\x00\x00movi00dc\x00\x00\x00\x00idx1\xff\xff\xff\xff",
    b"\x47\x40\x00\x10\x00\x47\x1f\xff\x30\xb7\x47\x40\x11\x30\x00\x00\x00\x01\xe0\x00\x00\x80\xc0\x0a",
)


def _mutate(rng: random.Random, file: bytes) -> bytes:
    """Change some of it, near the beginning more often than not."""
    data = bytearray(file)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 20, 100))):
        if not data:
            break
        at = min(int(rng.random() ** rng.choice((1, 2, 4)) * len(data)), len(data) - 1)
        action = rng.randrange(8)
        if action == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            data[at] = rng.choice((0, 1, 0x47, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif action == 2:
            size = rng.choice((2, 4, 4, 8))
            number = rng.choice(_NUMBERS) & ((1 << 8 * size) - 1)
            data[at : at + size] = number.to_bytes(size, rng.choice(("big", "little")))
        elif action == 3:
            del data[at : at + rng.choice((1, 1, 2, 4, 188, rng.randrange(1, 2000)))]
        elif action == 4:
            data[at:at] = rng.randbytes(rng.choice((1, 1, 2, 4, 188, rng.randrange(1, 500))))
        elif action == 5:
            mark = rng.choice(_MARKS)
            data[at : at + rng.choice((0, len(mark)))] = mark
        elif action == 6:
            size = rng.randrange(1, 400)
            data[at:at] = bytes(data[at : at + size]) * rng.choice((1, 2, 20))
        else:
            other = rng.randrange(len(data))
            size = rng.randrange(1, 64)
            data[at : at + size] = data[other : other + size]
    return bytes(data)


def _truncate(rng: random.Random, file: bytes) -> bytes:
    start = rng.choice((0, 0, rng.randrange(len(file))))
    return file[start : rng.randrange(start, len(file) + 1)]


def _splice(rng: random.Random, file: bytes) -> bytes:
    """The beginning of one file and the rest of another, or the same file over and over."""
    other = rng.choice(seeds())[1]
    if rng.random() < 0.3:
        part = _truncate(rng, file) or file
        return (part * (LARGEST // len(part) + 1))[:LARGEST]
    return file[: rng.randrange(len(file))] + other[rng.randrange(len(other)) :]


def _fill(rng: random.Random, unit: bytes) -> bytes:
    """The same thing again and again."""
    return (unit * (LARGEST // len(unit) + 1))[: rng.randrange(LARGEST)]


# --- crafted structures -----------------------------------------------------------------------------------------------


def _box(kind: bytes, *contents: bytes, size: int | None = None) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I4s", (len(body) + 8 if size is None else size) & 0xFFFFFFFF, kind) + body


def _ebml_size(rng: random.Random, size: int) -> bytes:
    """A size as the format writes it, in more bytes than it needs at times."""
    least = next(length for length in range(1, 9) if size < (1 << 7 * length) - 1)
    length = rng.choice((least, least, rng.randint(least, 8)))
    return (1 << 7 * length | size).to_bytes(length, "big")


def _hostile_boxes(rng: random.Random, file: bytes) -> bytes:
    """Boxes in boxes in boxes, boxes of no size or of too much, tables of entries that say nothing."""
    kind = rng.choice((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"mvex", b"moof", b"traf", b"free"))
    action = rng.randrange(7)
    if action == 0:
        nested = b""
        for _ in range(rng.choice((3, 100, 2000))):
            kind = rng.choice((kind, b"moov", b"trak", b"moof", b"traf"))
            nested = _box(kind, nested, size=rng.choice((None, None, None, 8, 0x7FFFFFFF)))
            if len(nested) > LARGEST:
                break
        return file[:32] + nested
    if action == 1:
        wide = struct.pack(">I4sQ", 1, kind, rng.choice((0, 8, 15, 16, 17, 1 << 62, 1 << 63, (1 << 64) - 1)))
        return file[:32] + wide + _fill(rng, file[32:300])
    if action == 2:
        return file[: rng.choice((0, 32))] + _fill(rng, _box(rng.choice((kind, b"free", b"mdat"))))
    if action == 3:
        table = rng.choice((b"stts", b"ctts", b"stsz", b"stss", b"elst", b"stsd"))
        entry = rng.choice((bytes(8), b"\xff" * 8, b"\0\0\0\1" * 2, b"\x7f\xff\xff\xff" * 2, struct.pack(">II", 0, 9)))
        at = file.find(table)
        body = struct.pack(">II", 0, rng.choice((0, 1, 4000, 1 << 31, (1 << 32) - 1))) + _fill(rng, entry)
        at = max(4, at)
        return file[: at - 4] + _box(table, body, size=rng.choice((None, 1 << 30))) + file[at:]
    if action == 4:
        flags = rng.choice((0, 0x100, 0x400, 0x800, 0xF01, 0xF05))
        count = rng.choice((0, 1, 1000, 1 << 20, (1 << 32) - 1))
        run = _box(b"trun", struct.pack(">II", flags, count), _fill(rng, b"\0\0\0\1"), size=rng.choice((None, 1 << 31)))
        track = _box(b"tfhd", struct.pack(">II", 0, rng.choice((1, 2, 3))))
        return file[: max(0, file.find(b"moof") - 4)] + _box(b"moof", _box(b"traf", track, run))
    if action == 5:
        tracks = _box(b"trak", _box(b"mdia", _box(b"hdlr", bytes(8) + b"vide")))
        return file[:32] + _box(b"moov", tracks * rng.choice((1, 63, 64, 65, 700)))
    return file[:32] + _fill(rng, _box(rng.choice((b"moof", b"moov")), _box(rng.choice((b"traf", b"trak")))))


def _hostile_elements(rng: random.Random, file: bytes) -> bytes:
    """Elements in elements, sizes that are unknown or enormous, endless tiny blocks and Clusters."""
    header = file[: max(0, file.find(b"\x1f\x43\xb6\x75"))]
    huge = rng.choice((0, 1, 127, 16383, 1 << 20, 1 << 31, (1 << 56) - 2))
    cluster = b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7\x81\x00"
    action = rng.randrange(8)
    if action == 0:
        return header + cluster + _fill(rng, b"\xa3\x84\x81\0\0" + bytes([rng.choice((0, 0x80, 2, 0x86))]))
    if action == 1:
        return header + _fill(rng, cluster)
    if action == 2:
        return (
            header + cluster + _fill(rng, rng.choice((b"\xec\x80", b"\xbf\x80", b"\xa7\x80", b"\xa0\x80", b"\xab\x80")))
        )
    if action == 3:
        entry = b"\xae" + _ebml_size(rng, rng.choice((0, 3, 9, huge))) + b"\xd7\x81" + bytes([rng.randrange(256)])
        return file[:40] + b"\x16\x54\xae\x6b" + _ebml_size(rng, huge) + _fill(rng, entry)
    if action == 4:
        names = (
            b"\x1a\x45\xdf\xa3",
            b"\x18\x53\x80\x67",
            b"\x16\x54\xae\x6b",
            b"\xae",
            b"\xe1",
            b"\xa0",
            b"\x15\x49\xa9\x66",
        )
        nested = b"".join(rng.choice(names) + _ebml_size(rng, rng.choice((huge, 60, 5))) for _ in range(4000))
        return rng.choice((b"", file[:40], header, header + cluster)) + nested[: rng.randrange(LARGEST)]
    if action == 5:
        return (
            header + cluster + b"\xa3" + _ebml_size(rng, huge) + rng.randbytes(rng.randrange(200)) + file[len(header) :]
        )
    if action == 6:
        groups = b"\xa0" + _ebml_size(rng, rng.choice((6, 9, 1 << 20))) + b"\xa1\x84\x81\0\0\0\x9b\x81\x05"
        return header + cluster + _fill(rng, groups)
    times = b"".join(b"\xe7\x88" + rng.randbytes(8) + b"\xa3\x84\x81" + rng.randbytes(3) for _ in range(50))
    return header + cluster[:12] + times


def _hostile_chunks(rng: random.Random, file: bytes) -> bytes:
    """Lists in lists, empty chunks without end, an index that never ends, tracks with a clock of nothing."""
    movi = file.find(b"movi") + 4
    action = rng.randrange(7)
    if action == 0:
        return file[:movi] + _fill(
            rng, rng.choice((b"00dc\0\0\0\0", b"01wb\1\0\0\0\0\0", b"JUNK\0\0\0\0", b"ix00\0\0\0\0"))
        )
    if action == 1:
        return file[: rng.choice((12, movi))] + _fill(
            rng, b"LIST\4\0\0\0" + rng.choice((b"movi", b"hdrl", b"rec ", b"strl"))
        )
    if action == 2:
        size = rng.choice((0, 1, 15, 16, 1 << 31, (1 << 32) - 1)).to_bytes(4, "little")
        return file[:movi] + b"idx1" + size + _fill(rng, rng.choice((b"00dc\x10" + bytes(11), rng.randbytes(16))))
    if action == 3:
        size = rng.choice((0, 1, 7, 1 << 28, (1 << 28) + 1, 1 << 31, (1 << 32) - 1)).to_bytes(4, "little")
        return file[:movi] + rng.choice((b"00dc", b"01wb", b"99dc", b"JUNK")) + size + file[movi:]
    if action == 4:
        header = b"strh\x38\0\0\0" + rng.choice((b"vids", b"auds", b"iavs")) + bytes(52)
        form = b"strf\x10\0\0\0" + rng.choice((bytes(16), b"\xff" * 16, rng.randbytes(16)))
        stream = b"LIST" + (4 + len(header + form)).to_bytes(4, "little") + b"strl" + header + form
        tracks = stream * rng.choice((1, 2, 63, 64, 65, 300))
        return file[:24] + tracks + file[max(24, movi - 12) : movi] + _fill(rng, b"00dc\1\0\0\0\0\0")
    if action == 5:
        return file[:movi] + _fill(rng, b"RIFF\0\0\0\0AVIXLIST\0\0\0\0movi00dc\0\0\0\0")
    at = rng.choice(
        [place for place in (file.find(b"strh"), file.find(b"strf"), file.find(b"avih")) if place > 0] or [12]
    )
    return file[: at + 8] + _fill(rng, rng.choice((b"\0", b"\xff", b"\1\0\0\0"))) + file[at + 8 :]


def _hostile_packets(rng: random.Random, file: bytes, size: int) -> bytes:
    """Tables that are too long, begin without end, or change all the time; times that jump; all the PIDs there are."""
    front = b"\0" * (size - 188)
    packets = [file[:size], file[size : 2 * size], file[2 * size : 3 * size]]
    action = rng.randrange(6)
    for number in range(rng.randrange(1, LARGEST // size)):
        pid = rng.choice((0, 0x11, 0x20, 0x100, 0x101, 0x1000, rng.randrange(0x2000)))
        start, counter = rng.choice((0x40, 0x40, 0)), number & 15
        if action == 0:
            body = bytes([rng.choice((0, 1, 182, 183, 255))]) + rng.choice((b"\0", b"\2", b"\xff")) + b"\xbf\xff"
            body += rng.randbytes(rng.randrange(20))
        elif action == 1:
            body = b"\0\0\1" + bytes([rng.choice((0xE0, 0xC0, 0xBD))]) + b"\0\0\x80\xc0\x0a" + rng.randbytes(10)
            pid = rng.choice((0x100, 0x101))
        elif action == 2:
            body = b"\0\0\1\xe0\0\0\x80\xff\xff" + b"\xff" * rng.randrange(170)
            pid, start = number + 0x20 & 0x1FFF, 0x40
        elif action == 3:
            body = b"\0" + bytes([rng.choice((0, 2)), 0xB3, 0xFD]) + rng.randbytes(176)
            pid = rng.choice((0, 0x1000))
        elif action == 4:
            body = b"\xff\xf1\x50\x80" * 45 if rng.random() < 0.5 else b"\0\0\1\xc0\0\0\x80\0\0" + b"\xff\xfb\x90" * 50
            pid = 0x101
        else:
            body = rng.randbytes(184)
        control = rng.choice((0x10, 0x10, 0x30, 0x20, 0x00))
        packet = b"\x47" + (start << 8 | pid).to_bytes(2, "big") + bytes([control | counter])
        if control & 0x20:
            packet += bytes([rng.choice((0, 1, 7, 182, 183, 184, 255)), rng.randrange(256)])
        packets.append(front + (packet + body).ljust(188, b"\xff")[:188])
    return b"".join(packets)


def _crafted(rng: random.Random, container: str, file: bytes) -> bytes:
    if container in ("mp4", "mov"):
        return _hostile_boxes(rng, file)
    if container in ("mkv", "webm"):
        return _hostile_elements(rng, file)
    if container == "avi":
        return _hostile_chunks(rng, file)
    return _hostile_packets(rng, file, 188 if container == "mpeg-ts" else 192)


# --- running ----------------------------------------------------------------------------------------------------------


def make_input(seed: int, index: int) -> Input:
    """The input of this seed and index."""
    rng = random.Random(f"{seed}/{index}")
    container, file = rng.choice(seeds())
    ways: tuple[tuple[str, Callable[[], bytes]], ...] = (
        ("mutated", lambda: _mutate(rng, file)),
        ("mutated", lambda: _mutate(rng, file)),
        ("truncated", lambda: _truncate(rng, file)),
        ("spliced", lambda: _splice(rng, file)),
        ("spliced and mutated", lambda: _mutate(rng, _splice(rng, file))),
        ("crafted", lambda: _crafted(rng, container, file)),
        ("crafted", lambda: _crafted(rng, container, file)),
        ("crafted and mutated", lambda: _mutate(rng, _crafted(rng, container, file))),
        ("noise", lambda: file[: rng.choice((0, 4, 12, 300))] + rng.randbytes(rng.randrange(4000))),
    )
    kind, build = rng.choice(ways)
    data = build()
    segments = _cut(rng, data, rng.choice((1, 1, 1, 2, 3, 6)))
    if rng.random() < 0.3:
        # Behind a file that is accepted, everything is a continuation.
        kind += ", continuing"
        segments = [*_cut(rng, file, rng.choice((1, 2))), *segments]
    return Input(f"{container}, {kind}", tuple(tuple(_pieces(rng, segment)) for segment in segments))


def _cut(rng: random.Random, data: bytes, count: int) -> list[bytes]:
    cuts = sorted(rng.randint(0, len(data)) for _ in range(count - 1))
    return [data[start:end] for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True)]


def _pieces(rng: random.Random, data: bytes) -> Iterator[bytes]:
    most = rng.choice((1, 7, 200, 5000, 1 << 16, 1 << 16)) if len(data) < 4000 else rng.choice((200, 5000, 1 << 16))
    at = 0
    while at < len(data):
        size = rng.randint(1, most)
        yield data[at : at + size]
        at += size


def _scan(case: Input, look_at: int) -> tuple[float, int, int]:
    """The seconds it takes, the bytes held where it is looked, and how many segments are accepted."""
    policy = SegmentPolicy(duration_tolerance=3.0)
    scanner = MediaScanner(policy=policy)
    held = accepted = piece_number = 0
    seconds = -time.process_time()
    for number, pieces in enumerate(case.segments, 1):
        scanner.begin(number)
        verdict: SegmentMedia | SegmentFault | None = None
        for piece in pieces:
            verdict = scanner.feed(piece)
            piece_number += 1
            if piece_number == look_at:
                seconds += time.process_time()
                held = held_bytes(scanner)
                seconds -= time.process_time()
            if verdict is not None:
                break
        else:
            verdict = scanner.finish()
        if isinstance(verdict, SegmentFault):
            verdict.sentence(number)
        else:
            accepted += 1
    seconds += time.process_time()
    return seconds, max(held, held_bytes(scanner)), accepted


def _stop(number: int, frame: object) -> None:
    raise TimeoutError(f"still running after {ENDLESS} s")


def run(case: Input, look_at: int = 1, *, timed: bool = True) -> Outcome:
    """Run one input; `look_at` is the piece after which it is looked at what is held, beside the end.

    Without `timed` it may take as long as it likes, short of an endless loop.
    """
    signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, ENDLESS)
    try:
        seconds, held, accepted = _scan(case, look_at)
        for _ in range(ATTEMPTS):
            if not timed or seconds <= case.budget:
                break
            seconds = min(seconds, _scan(case, look_at)[0])
    except Exception:
        return Outcome(0.0, 0, 0, traceback.format_exc())
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    failure = None
    if held > MAX_HELD:
        failure = f"holds {held} bytes, more than {MAX_HELD}"
    elif timed and seconds > case.budget:
        failure = f"takes {seconds:.4f} s for {case.size} bytes, more than {case.budget:.4f} s"
    return Outcome(seconds, held, accepted, failure)


def run_index(seed: int, index: int, *, timed: bool = True) -> tuple[Input, Outcome]:
    """Make and run the input of this seed and index."""
    case = make_input(seed, index)
    pieces = sum(map(len, case.segments))
    return case, run(case, random.Random(index).randint(1, max(1, pieces)), timed=timed)


def main() -> int:
    """Run the inputs, and tell what failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many inputs (100000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other inputs (0)")
    parser.add_argument("--seconds", type=float, help="stop after so many seconds")
    parser.add_argument("--only", type=int, metavar="INDEX", help="run this input alone")
    options = parser.parse_args()
    indexes = range(options.inputs) if options.only is None else range(options.only, options.only + 1)
    began = time.monotonic()
    done = failed = most_held = accepted = total = 0
    slowest, slowest_index, worst = 0.0, 0, 0.0
    for index in indexes:
        if options.seconds is not None and time.monotonic() - began > options.seconds:
            break
        case, outcome = run_index(options.seed, index)
        done += 1
        total += case.size
        accepted += outcome.accepted
        most_held = max(most_held, outcome.held)
        worst = max(worst, outcome.seconds / case.budget)
        if outcome.seconds > slowest:
            slowest, slowest_index = outcome.seconds, index
        if outcome.failure is not None:
            failed += 1
            print(f"\ninput {index} ({case.kind}, {case.size} bytes) failed: {outcome.failure}", file=sys.stderr)
            print(f"again: python {sys.argv[0]} --seed {options.seed} --only {index}", file=sys.stderr)
        if done % 1000 == 0:
            print(f"\r{done} inputs, {failed} failed, {time.monotonic() - began:.0f} s", end="", file=sys.stderr)
    print(file=sys.stderr)
    print(
        f"{done} inputs (seed {options.seed}, {total / 1e6:.0f} MB, {accepted} segments accepted), {failed} failed; "
        f"at most {most_held} bytes held; slowest {slowest * 1000:.1f} ms (input {slowest_index}), "
        f"at most {worst:.0%} of the time allowed"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
