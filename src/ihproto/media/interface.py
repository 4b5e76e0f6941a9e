"""What a session asks of whoever looks at its media.

A session does not look into segments itself: it hands every piece to a `SegmentScanner` and asks at the end how many
seconds of media the segment held, or why it cannot be accepted.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import attrs

from ihproto.media.scanner import Gap, MediaError, Track
from ihproto.messages import AudioFormat


def _duration(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"a segment cannot be {value} s long")


@attrs.frozen
class SegmentFault:
    """Why a segment is refused.

    Attributes:
        code: The error id that the client is told, for example `ih5004`.
        clause_id: The clause that the segment does not keep.
        what: What was found, and the cure, as a part of a sentence that begins with "segment <number>".
    """

    code: str
    clause_id: str
    what: str

    def sentence(self, number: int) -> str:
        """What is said of segment `number`."""
        return f"segment {number} {self.what}"


@attrs.frozen
class SegmentMedia:
    """What was seen in a segment.

    Attributes:
        seconds: By how much it lengthens the session's media (SEG-9).
        size: Its size, in bytes.
        container: The container of the stream that it belongs to; None when that is not known.
        has_header: Whether it begins with a header of its own.
        start: The earliest sample, in seconds of the container's own time; None when there is no sample.
        end: The end of the latest sample, likewise.
        tracks: The video and audio tracks.
        tracks_known: Whether the container has told all its tracks.
        key_frames: How many key frames of video there are.
        foreign: What it is instead of a container, in words; None when that is not recognisable.
        cut_from: What its first bytes are a continuation of, as far as they tell, in words.
        broken: Where and how its structure breaks.
        lost: The stretch that cannot be used because the header was put in front of a later piece, in bytes.
        gap: The widest stretch without any media that it goes on after, or steps over.
    """

    seconds: float = attrs.field(validator=_duration)
    size: int = 0
    container: str | None = None
    has_header: bool = False
    start: float | None = None
    end: float | None = None
    tracks: tuple[Track, ...] = ()
    tracks_known: bool = False
    key_frames: int = 0
    foreign: str | None = None
    cut_from: str | None = None
    broken: MediaError | None = None
    lost: tuple[int, int] | None = None
    gap: Gap | None = None

    @property
    def duration(self) -> float:
        """The span of its own samples, in seconds; 0 when there are none."""
        return self.end - self.start if self.start is not None and self.end is not None else 0.0


@attrs.frozen
class ExpectedMedia:
    """What the segments of a session have to be.

    Attributes:
        tracks: The kinds of tracks that a container must have (SEG-7).
        audio: The format of raw audio, when segments are that instead of containers (CFG-8).
    """

    tracks: tuple[str, ...] = ("video",)
    audio: AudioFormat | None = None


class SegmentScanner(Protocol):
    """Looks at the segments of one session, piece by piece, in order."""

    def expect(self, expected: ExpectedMedia) -> None:
        """Take note of what the segments from here on have to be; never in the middle of one."""
        ...

    def begin(self, number: int) -> None:
        """Begin segment `number`, counted from 1; a segment before it that was not finished is abandoned."""
        ...

    def feed(self, data: bytes) -> SegmentFault | None:
        """Take the next piece; a fault refuses the segment at once, and no more of it is fed."""
        ...

    def finish(self) -> SegmentMedia | SegmentFault:
        """Finish the segment."""
        ...


class NominalScanner:
    """A scanner that does not look: every segment counts as equally long.

    Args:
        seconds: The length of a segment, in seconds.
    """

    def __init__(self, seconds: float = 3.0) -> None:
        self._media = SegmentMedia(seconds)

    def expect(self, expected: ExpectedMedia) -> None:
        """Expect nothing."""

    def begin(self, number: int) -> None:
        """Begin a segment."""

    def feed(self, data: bytes) -> SegmentFault | None:
        """Take a piece without looking at it."""
        return None

    def finish(self) -> SegmentMedia | SegmentFault:
        """Finish the segment; it has the nominal length."""
        return self._media
