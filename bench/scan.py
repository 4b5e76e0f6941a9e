"""What it costs to look into segments, against what it costs to unmask them.

A server has each segment unmasked and handed over by wsproto before it is scanned. Both are timed in one run, on the
same bytes: the segments arrive as masked frames in pieces of 64 KiB, wsproto's server side takes them and hands over
what is in them, and `MediaScanner` takes exactly those pieces. Each is done so many times, in turn, after a warm-up;
the medians count.

The segments are the recording in `examples/` and high-bitrate files of about 8 MiB that ffmpeg writes (through PyAV;
noise, 1280x720); these are kept in the folder for temporary files.

The goals are at most 15 % of wsproto's time, and at most 64 KB held per session.
"""

from __future__ import annotations

import gc
import math
import random
import tempfile
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import attrs
import av
from measuring import Effort, Figure, Goal, Row, processor_time_of, progress
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage

from ihproto.media import MediaScanner, SegmentFault

PIECE = 64 * 1024
SIZE = 8 * 1024 * 1024
GOAL_RATIO = 0.15
GOAL_HELD = 64 * 1024
RATE, SOUND_RATE, SECONDS = 30, 48000, 4
RECORDING = Path(__file__).parents[1] / "examples/recording"
CACHE = Path(tempfile.gettempdir()) / f"ihproto-bench-av{av.__version__}"

#: The muxer, the encoders of video and of sound, what makes the video encoder fast, and how much of the picture is
#: noise, so that it comes out at about the size that is wanted.
FILES: dict[str, tuple[str, str, str, dict[str, str], float]] = {
    "webm, vp8 + opus": ("webm", "libvpx", "libopus", {"deadline": "realtime", "cpu-used": "8"}, 0.38),
    "mp4, h264 + aac": ("mp4", "libx264", "aac", {"preset": "ultrafast"}, 0.8),
    "mp4 fragmented, h264 + aac": ("mp4", "libx264", "aac", {"preset": "ultrafast"}, 0.8),
    "mpeg-ts, h264 + aac": ("mpegts", "libx264", "aac", {"preset": "ultrafast"}, 0.8),
    "avi, mpeg4 + mp3": ("avi", "mpeg4", "libmp3lame", {}, 0.16),
}


@attrs.frozen
class Case:
    """Segments of one session.

    Attributes:
        name: What they are.
        segments: The segments, in order.
    """

    name: str
    segments: list[bytes]

    @property
    def size(self) -> int:
        """How many bytes they have."""
        return sum(map(len, self.segments))


def write_file(
    path: Path, muxer: str, video: str, audio: str, options: dict[str, str], movflags: str, share: float
) -> None:
    """Write noise, so that the encoders need all the bits that they are given."""
    rng = random.Random(1)
    noise = rng.randbytes(1280 * 720 + 4096)
    muxer_options = {"movflags": movflags} if movflags else {}
    with av.open(str(path), "w", format=muxer, options=muxer_options) as output:
        picture: Any = output.add_stream(video, rate=RATE, options=options)
        picture.width, picture.height, picture.pix_fmt = 1280, 720, "yuv420p"
        picture.codec_context.gop_size = RATE
        picture.bit_rate = SIZE * 8 // SECONDS * 9 // 10
        sound: Any = output.add_stream(audio, rate=SOUND_RATE)
        sound.layout = "mono"
        at = 0
        for number in range(RATE * SECONDS):
            frame = av.VideoFrame(1280, 720, "yuv420p")
            shift = rng.randrange(4096)
            for plane in frame.planes:
                size = plane.buffer_size
                plane.update(noise[shift : shift + int(size * share)].ljust(size, b"\x80"))
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            output.mux(picture.encode(frame))
            step = {"libopus": 960, "aac": 1024}.get(audio, 1152)
            while at * RATE < (number + 1) * SOUND_RATE:
                heard = av.AudioFrame(sound.format.name, "mono", step)
                heard.planes[0].update(bytes(heard.planes[0].buffer_size))
                heard.sample_rate, heard.pts, heard.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
                output.mux(sound.encode(heard))
                at += step
        output.mux(picture.encode(None))
        output.mux(sound.encode(None))


def make_cases() -> list[Case]:
    """The segments of all cases."""
    recording = [path.read_bytes() for path in sorted(RECORDING.glob("*.bin"))]
    cases = [Case("webm, a browser's, 33 s", recording)]
    CACHE.mkdir(exist_ok=True)
    for name, (muxer, video, audio, options, share) in FILES.items():
        path = CACHE / name.replace(", ", "-").replace(" + ", "-").replace(" ", "-")
        if not path.exists():
            progress(f"writing {path}")
            fragmented = "frag_keyframe+empty_moov" if "fragmented" in name else ""
            unfinished = path.with_suffix(".part")
            write_file(unfinished, muxer, video, audio, options, fragmented, share)
            unfinished.rename(path)
        file = path.read_bytes()
        cases.append(Case(name, [file]))
    return cases


def masked(case: Case) -> list[bytes]:
    """The frames of a client, in pieces as a socket gives them."""
    client = Connection(ConnectionType.CLIENT)
    frames = b"".join(bytes(client.send(BytesMessage(data=segment))) for segment in case.segments)
    return [frames[at : at + PIECE] for at in range(0, len(frames), PIECE)]


def hand_over(frames: list[bytes]) -> list[list[bytes]]:
    """What wsproto hands over: the pieces of each segment."""
    server = Connection(ConnectionType.SERVER)
    segments: list[list[bytes]] = [[]]
    for frame in frames:
        server.receive_data(frame)
        for event in server.events():
            assert isinstance(event, BytesMessage)
            segments[-1].append(bytes(event.data))
            if event.message_finished:
                segments.append([])
    return segments[:-1]


def unmask(frames: list[bytes]) -> int:
    """Have wsproto hand over everything, and count in how many pieces."""
    server = Connection(ConnectionType.SERVER)
    pieces = 0
    for frame in frames:
        server.receive_data(frame)
        for _ in server.events():
            pieces += 1
    return pieces


def scan(segments: list[list[bytes]], look: Callable[[], None] = lambda: None) -> MediaScanner:
    """Scan everything, which must be accepted, and look after each piece."""
    scanner = MediaScanner()
    for number, pieces in enumerate(segments, 1):
        scanner.begin(number)
        for piece in pieces:
            scanner.feed(piece)
            look()
        verdict = scanner.finish()
        assert not isinstance(verdict, SegmentFault), verdict.sentence(number)
    return scanner


def count_samples(segments: list[list[bytes]]) -> int:
    """How many packets ffmpeg finds in all of it."""
    path = CACHE / "counted"
    path.write_bytes(b"".join(piece for pieces in segments for piece in pieces))
    with av.open(str(path)) as source:
        return sum(packet.pts is not None for packet in source.demux())


def measure_held(segments: list[list[bytes]]) -> tuple[int, int]:
    """The most bytes that a scanner holds between two pieces, and the most it needs on the way."""
    held = 0

    def look() -> None:
        nonlocal held
        held = max(held, tracemalloc.get_traced_memory()[0] - before)

    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    scan(segments, look)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return held, peak


def measure(case: Case, repeats: int) -> dict[str, Any]:
    """The figures of one case."""
    frames = masked(case)
    segments = hand_over(frames)
    # A short case is done several times over, so that the clock is not what is measured.
    rounds = max(1, math.ceil(SIZE / 2 / case.size))
    unmasked, scanned = [], []
    for turn in range(repeats + 2):
        one = processor_time_of(lambda: [unmask(frames) for _ in range(rounds)]) / rounds
        other = processor_time_of(lambda: [scan(segments) for _ in range(rounds)]) / rounds
        if turn >= 2:
            unmasked.append(one)
            scanned.append(other)
    held, peak = measure_held(segments)
    ratio = median(scanned) / median(unmasked)
    return {
        "case": case.name,
        "bytes": case.size,
        "samples": count_samples(segments),
        "unmask_seconds": median(unmasked),
        "scan_seconds": median(scanned),
        "ratio": ratio,
        "held_bytes": held,
        "peak_bytes": peak,
    }


def measure_scan(effort: Effort) -> list[Figure]:
    """All cases as lines of the table."""
    figures = []
    cases = make_cases()
    for case in cases[:1] if effort.quick else cases:
        progress(f"scanning {case.name}")
        found = measure(case, effort.turns)
        size, samples = found["bytes"], found["samples"]
        figures.append(
            Figure(
                f"scan {case.name}",
                size / 1e6 / found["scan_seconds"],
                size / 1e6 / found["unmask_seconds"],
                "MB/s",
                found["ratio"],
                goal=Goal(GOAL_RATIO),
                note=f"share of wsproto's time; {found['scan_seconds'] * 1e6 / samples:.2f} us a sample",
                details=found,
            )
        )
        held = found["held_bytes"] / 1024
        figures.append(Figure(f"scan {case.name}: held", held, unit="KB", goal=Goal(GOAL_HELD / 1024)))
    return figures


def _scan_recording() -> None:
    recording = make_cases()[0]
    segments = hand_over(masked(recording))
    for _ in range(50):
        scan(segments)


ROWS = [Row("scan", measure_scan, _scan_recording)]
