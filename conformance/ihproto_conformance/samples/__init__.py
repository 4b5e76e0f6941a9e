"""What the suite sends: a browser's recording, and files that a server has to refuse."""

from __future__ import annotations

from functools import cache
from importlib import resources

import attrs

from ihproto import AudioFormat


@attrs.frozen
class Sample:
    """A segment.

    Attributes:
        name: What it is, in a few words.
        data: Its bytes.
        seconds: By how much it lengthens the media of a session, about.
    """

    name: str
    data: bytes = attrs.field(repr=False)
    seconds: float

    @property
    def size(self) -> int:
        """Its size, in bytes."""
        return len(self.data)


def _read(name: str) -> bytes:
    return (resources.files(__name__) / name).read_bytes()


@cache
def recording() -> tuple[Sample, ...]:
    """Five pieces of one recording of 15 seconds, in order; only the first has a container header."""
    return tuple(
        Sample(f"piece {number + 1} of a recording", _read(f"recording/{number:03}.bin"), 3.1) for number in range(5)
    )


@cache
def clip() -> Sample:
    """A complete file."""
    return Sample("a complete file", _read("clip.webm"), 4.0)


@cache
def short() -> Sample:
    """A complete file that is too short (SEG-4)."""
    return Sample("a complete file of 1.5 s", _read("short.webm"), 1.5)


@cache
def silent() -> Sample:
    """A complete file without an audio track."""
    return Sample("a complete file without sound", _read("silent.webm"), 4.0)


@cache
def sound() -> Sample:
    """A complete file without a video track."""
    return Sample("a complete file without pictures", _read("sound.webm"), 4.0)


def no_container(size: int = 12_000) -> Sample:
    """Bytes that are no container (SEG-5)."""
    return Sample("bytes that are no container", (b"These bytes are not a video. " * (size // 29 + 1))[:size], 0.0)


def oversize(limit: int) -> Sample:
    """One byte more than is allowed, and nothing else wrong with it (SEG-2): a file with padding behind its media."""
    data = clip().data
    # A Void element of Matroska: its ID, eight bytes of size, and as much of nothing.
    padding = max(0, limit + 1 - len(data) - 9)
    void = b"\xec" + (padding | 1 << 56).to_bytes(8)
    return Sample(f"a segment of {limit + 1:,} bytes", (data + void).ljust(limit + 1, b"\0")[: limit + 1], 0.0)


def silence(audio: AudioFormat, seconds: float = 4.0) -> Sample:
    """Raw audio in which nothing is to be heard (CFG-8)."""
    return Sample("raw audio", bytes(round(seconds * audio.sample_rate) * 2 * audio.channels), seconds)
