"""Media files of all seven containers, written by ffmpeg (through PyAV): the same ones on every run.

A `Recipe` says what a file is; `make` writes it. `QUICK` has one file for every combination of container, video codec
and audio codec; `FULL` has those and many more ways of writing each container.
"""

from __future__ import annotations

import math
import os
from array import array
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from io import BytesIO
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
import av

#: The AV1 encoder tells its life on stderr otherwise.
os.environ.setdefault("SVT_LOG", "1")

WIDTH, HEIGHT = 64, 48
SAMPLE_RATE = 48000
NTSC = Fraction(30000, 1001)

#: The muxers of ffmpeg by the names of the containers, and what they are told always.
MUXERS: dict[str, tuple[str, dict[str, str]]] = {
    "mp4": ("mp4", {}),
    "mov": ("mov", {}),
    "avi": ("avi", {}),
    "mkv": ("matroska", {}),
    "webm": ("webm", {}),
    "mpeg-ts": ("mpegts", {}),
    "mpeg-2-ts": ("mpegts", {"mpegts_m2ts_mode": "1"}),
}
#: Encoders, and what makes them fast.
ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    "av1": ("libsvtav1", {"preset": "11", "crf": "50", "svtav1-params": "lp=1"}),
    "h264": ("libx264", {"preset": "ultrafast"}),
    "mpeg4": ("mpeg4", {}),
    "mpeg2video": ("mpeg2video", {}),
    "opus": ("libopus", {"compression_level": "0"}),
    "aac": ("aac", {"aac_coder": "fast"}),
    "mp3": ("libmp3lame", {"compression_level": "9"}),
    "pcm_s16le": ("pcm_s16le", {}),
    "mp2": ("mp2", {}),
    "ac3": ("ac3", {}),
}
#: Samples in a frame of sound, as the encoders want them.
FRAME_SIZES = {"opus": 960, "aac": 1024, "mp3": 1152, "pcm_s16le": 1024, "mp2": 1152, "ac3": 1536}
#: What each container takes of them so that ffmpeg also reads it as video and audio.
VIDEO = {
    "mp4": "vp9 av1 h264 mpeg4 mpeg2video",
    "mov": "h264 mpeg4 mpeg2video",
    "avi": "vp8 vp9 av1 h264 mpeg4 mpeg2video",
    "mkv": "vp8 vp9 av1 h264 mpeg4 mpeg2video",
    "webm": "vp8 vp9 av1",
    "mpeg-ts": "h264 mpeg4 mpeg2video",
    "mpeg-2-ts": "h264 mpeg4 mpeg2video",
}
AUDIO = {
    "mp4": "opus aac mp3 pcm_s16le",
    "mov": "aac mp3 pcm_s16le",
    "avi": "aac mp3 pcm_s16le ac3",
    "mkv": "opus aac mp3 pcm_s16le",
    "webm": "opus",
    "mpeg-ts": "opus aac mp3 mp2 ac3",
    "mpeg-2-ts": "opus aac mp3 mp2 ac3",
}
REORDERED = ("h264", "mpeg4", "mpeg2video")


@attrs.frozen
class Way:
    """A way of writing a container.

    Attributes:
        name: What it is called in labels.
        options: What the muxer is told.
        pipe: Whether the file goes to something that cannot be sought in.
    """

    name: str
    options: tuple[tuple[str, str], ...] = ()
    pipe: bool = False


PLAIN = Way("plain")
_BOXES = (
    PLAIN,
    Way("header in front", (("movflags", "faststart"),)),
    Way("fragmented", (("movflags", "frag_keyframe+empty_moov"),)),
    Way("a fragment per frame", (("movflags", "frag_every_frame+empty_moov+default_base_moof"),)),
    Way("fragmented, late header", (("movflags", "frag_keyframe+delay_moov"),)),
)
_ELEMENTS = (
    PLAIN,
    Way("live", (("live", "1"),), pipe=True),
    Way("short clusters", (("cluster_time_limit", "300"),)),
    Way("to a pipe", pipe=True),
)
_PACKETS = (
    PLAIN,
    Way("constant rate", (("muxrate", "1200000"),)),
    Way("long PES packets", (("pes_payload_size", "9000"),)),
    # 2 ** 33 / 90000 s is when the clock begins anew.
    Way("clock wraps", (("output_ts_offset", "95442"),)),
)
WAYS = {
    "mp4": _BOXES,
    "mov": _BOXES,
    "avi": (PLAIN, Way("to a pipe, no index", pipe=True)),
    "mkv": _ELEMENTS,
    "webm": _ELEMENTS,
    "mpeg-ts": _PACKETS,
    "mpeg-2-ts": _PACKETS,
}


@attrs.frozen
class Recipe:
    """How to write one file.

    Attributes:
        container: As the documents name it: `mp4`, `mov`, `avi`, `mkv`, `webm`, `mpeg-ts` or `mpeg-2-ts`.
        video: The codec of the pictures, None for sound alone.
        audio: The codec of the sound, None for silent pictures.
        way: How the container is written.
        rate: Frames per second.
        seconds: How long it is.
        b_frames: How many B-frames come in a row at most.
        late: By how much the pictures begin after the sound, in seconds.
    """

    container: str
    video: str | None
    audio: str | None
    way: Way = PLAIN
    rate: Fraction = Fraction(25)
    seconds: float = 3.2
    b_frames: int = 0
    late: float = 0.0

    @property
    def codecs(self) -> str:
        """Both codecs, for tables."""
        return " + ".join(filter(None, (self.video, self.audio)))

    @property
    def label(self) -> str:
        """All of it, in one line."""
        parts = [self.container, self.codecs, self.way.name]
        if self.video is not None:
            parts.append(f"{float(self.rate):.4g} fps")
        if self.b_frames:
            parts.append(f"{self.b_frames} B-frames")
        if self.late:
            parts.append(f"pictures {self.late:g} s late")
        return ", ".join((*parts, f"{self.seconds:g} s"))


class _Pipe:
    """A file that can only be written to, from its beginning to its end."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self.pieces.append(bytes(data))
        return len(data)


def make(recipe: Recipe) -> bytes:
    """Write the file."""
    muxer, always = MUXERS[recipe.container]
    # Without version numbers and random ids.
    options = {"fflags": "+bitexact"} | always | dict(recipe.way.options)
    if recipe.way.pipe:
        pipe = _Pipe()
        with av.open(pipe, "w", format=muxer, options=options) as output:
            _write(output, recipe)
        return b"".join(pipe.pieces)
    if "faststart" not in options.get("movflags", ""):
        file = BytesIO()
        with av.open(file, "w", format=muxer, options=options) as output:
            _write(output, recipe)
        return file.getvalue()
    # To put the header in front, ffmpeg opens what it has written once more, by its name.
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        with av.open(str(path), "w", format=muxer, options=options) as output:
            _write(output, recipe)
        return path.read_bytes()


def _write(output: av.container.OutputContainer, recipe: Recipe) -> None:
    frames: list[tuple[Fraction, int, int]] = []
    streams: list[Any] = []
    step = 0
    if recipe.video is not None:
        encoder, options = ENCODERS[recipe.video]
        picture: Any = output.add_stream(encoder, rate=recipe.rate, options={"threads": "1", **options})
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        picture.codec_context.max_b_frames = recipe.b_frames
        picture.codec_context.gop_size = 12
        if recipe.video != "av1":
            picture.bit_rate = 40_000
        first = round(recipe.late * recipe.rate)
        frames += [(n / recipe.rate, 0, n) for n in range(first, math.ceil(recipe.seconds * recipe.rate))]
        streams.append(picture)
    if recipe.audio is not None:
        encoder, options = ENCODERS[recipe.audio]
        sound: Any = output.add_stream(encoder, rate=SAMPLE_RATE, options=options)
        sound.layout = "mono"
        if recipe.audio != "pcm_s16le":
            sound.bit_rate = 64_000
        step = FRAME_SIZES[recipe.audio]
        frames += [(Fraction(n, SAMPLE_RATE), 1, n) for n in range(0, int(recipe.seconds * SAMPLE_RATE), step)]
        streams.append(sound)
    for _, kind, n in sorted(frames):
        stream = streams[-1] if kind else streams[0]
        output.mux(stream.encode(_sound(stream.format.name, step, n) if kind else _picture(n, recipe.rate)))
    for stream in streams:
        output.mux(stream.encode(None))


def _picture(number: int, rate: Fraction) -> av.VideoFrame:
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, content in zip(frame.planes, _planes(number % 16, *(p.buffer_size for p in frame.planes)), strict=True):
        plane.update(content)
    frame.pts, frame.time_base = number, 1 / rate
    return frame


@cache
def _planes(number: int, *sizes: int) -> tuple[bytes, ...]:
    """Stripes that move."""
    pattern = bytes((16 + place * 3 + number * 5) & 0xFF for place in range(256))
    return tuple((pattern * (size // 256 + 1))[:size] for size in sizes)


def _sound(form: str, samples: int, first: int) -> av.AudioFrame:
    frame = av.AudioFrame(form, "mono", samples)
    plane = frame.planes[0]
    plane.update(_tone(form.removesuffix("p"), samples).ljust(plane.buffer_size, b"\0"))
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, first, Fraction(1, SAMPLE_RATE)
    return frame


@cache
def _tone(form: str, samples: int) -> bytes:
    wave = [math.sin(place * math.tau / 96) / 2 for place in range(samples)]
    if form == "flt":
        return array("f", wave).tobytes()
    return array("h", (round(value * 20_000) for value in wave)).tobytes()


def _quick() -> Iterator[Recipe]:
    """Every combination of container, video codec and audio codec."""
    for container in MUXERS:
        ways = cycle(WAYS[container])
        for video in VIDEO[container].split():
            for audio in AUDIO[container].split():
                yield Recipe(container, video, audio, next(ways), b_frames=2 if video in REORDERED else 0)


def _more() -> Iterator[Recipe]:
    """Every way of writing each container, with other frame rates, without B-frames, without sound or pictures."""
    number = count()
    for container, ways in WAYS.items():
        sounds = cycle((*AUDIO[container].split(), None))
        for video in VIDEO[container].split():
            for way in ways:
                for b_frames in (0, 3) if video in REORDERED else (0,):
                    n = next(number)
                    # MPEG-2 knows a few rates only.
                    rate = (Fraction(25 if video == "mpeg2video" else 10), NTSC, Fraction(30), Fraction(60))[n % 4]
                    # AVI has no times, so pictures cannot be late in it.
                    late = 0.0 if container == "avi" or n % 5 else 0.6
                    seconds = (3.1, 4.0, 5.0)[n % 3] + late
                    yield Recipe(container, video, next(sounds), way, rate, seconds, b_frames, late)
        for audio in AUDIO[container].split():
            yield Recipe(container, None, audio)


QUICK = tuple(_quick())
FULL = (*QUICK, *_more())
