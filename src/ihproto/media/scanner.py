"""What the scanners of all containers have in common.

A scanner reads one container file, and whatever continues it, in pieces of any size. It looks at headers and steps over
payloads without touching them, so it holds a few kilobytes at most and costs time in proportion to the number of
samples, not of bytes. For every segment it tells which stretch of media its bytes hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NoReturn, Self

import attrs

#: More of one header than this is never held, in bytes.
MAX_PENDING = 16 * 1024
#: More tracks than this are no recording of anything.
MAX_TRACKS = 32


class MediaError(Exception):
    """Bytes that are not what the container says they are.

    Attributes:
        what: What was found, as a part of a sentence.
        at: Where, in bytes since the beginning of the segment.
    """

    def __init__(self, what: str, at: int) -> None:
        super().__init__(f"{what}, at byte {at}")
        self.what = what
        self.at = at


@attrs.frozen
class Track:
    """A track of a container.

    Attributes:
        kind: `video` or `audio`; other tracks are not reported.
        codec: The codec by the name that ffmpeg uses, for example `vp8`, `h264`, `opus`, `pcm_s16le`; `unknown` when
            the container names one that this library does not know.
    """

    kind: str
    codec: str


@attrs.define
class Extent:
    """The stretch of media that some bytes hold, in seconds of the container's own time.

    Attributes:
        start: The earliest presentation time of a sample, None when there was no sample.
        end: The latest presentation time, plus the duration of that sample where the container tells it.
        samples: How many samples began in these bytes.
        key_frames: How many of them are key frames of video.
    """

    start: float | None = None
    end: float | None = None
    samples: int = 0
    key_frames: int = 0

    def add(self, start: float, end: float) -> None:
        """Add a sample that lasts from `start` to `end`."""
        self.samples += 1
        if self.start is None or start < self.start:
            self.start = start
        if self.end is None or end > self.end:
            self.end = end

    @property
    def seconds(self) -> float:
        """How long it is; 0 when there was no sample."""
        return self.end - self.start if self.end is not None and self.start is not None else 0.0


@attrs.frozen
class Gap:
    """A stretch of time without media.

    Attributes:
        start: Where all media before it ends, in seconds of the container's own time.
        end: Where the media goes on.
        at: The place of the first block after it, in bytes since the beginning of the segment.
    """

    start: float
    end: float
    at: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


class ContainerScanner(ABC):
    """Reads one container file and its continuations, piece by piece.

    A subclass parses what it is given in `_parse`, and says how much of it is done; the rest is held and given again,
    in front of the next piece. What it does not want to see it steps over with `_skip`.

    Attributes:
        container: Its name: `mp4`, `mov`, `avi`, `mkv`, `webm`, `mpeg-ts` or `mpeg-2-ts`.
        extent: The media of the present segment.
        gap: The widest stretch without any media that the segment goes on after, or steps over, where the scanner can
            tell; None if there is none worth mentioning. In a live recording that is where a piece is missing.
    """

    container: str

    def __init__(self) -> None:
        self.extent = Extent()
        self.gap: Gap | None = None
        self._pending = b""
        self._to_skip = 0
        self._position = 0

    @property
    @abstractmethod
    def tracks(self) -> tuple[Track, ...]:
        """The video and audio tracks, in the order of the container; empty before they are known."""

    @property
    def header_complete(self) -> bool:
        """Whether the tracks are known."""
        return bool(self.tracks)

    @abstractmethod
    def _parse(self, data: bytes) -> int:
        """Parse as much as is whole, and return how many bytes that was.

        What is left must be less than `MAX_PENDING`; it comes again when there is more.

        Raises:
            MediaError: By `_fail`, if the bytes are not of this container.
        """

    @abstractmethod
    def copy(self) -> Self:
        """A scanner in the same state, independent of this one; cheap, since it is called for every segment."""

    def begin_segment(self) -> None:
        """Begin a segment: its bytes are counted from 0, its media anew."""
        self.extent = Extent()
        self.gap = None
        self._position = -len(self._pending)

    def finish_segment(self) -> None:  # noqa: B027
        """Finish a segment; for containers whose last sample becomes known only by what follows it."""

    def leave_out(self, size: int) -> None:
        """Take note that so many bytes of the segment are not fed, so that later places are still counted right."""
        self._position += size

    def feed(self, data: bytes) -> None:
        """Take the next piece of the segment.

        Raises:
            MediaError: If the bytes are not of this container, or not what must come next.
        """
        if self._to_skip:
            if self._to_skip >= len(data):
                self._to_skip -= len(data)
                self._position += len(data)
                return
            skipped, self._to_skip = self._to_skip, 0
            self._position += skipped
            data = data[skipped:]
        if self._pending:
            data = self._pending + data
            self._pending = b""
        done = self._parse(data)
        if done < len(data):
            self._pending = bytes(data[done:])
            if len(self._pending) > MAX_PENDING:
                self._fail("a header is larger than any should be", done)
            self._position += done
        else:
            # `done` may reach beyond the piece: the rest is stepped over when it comes.
            self._to_skip = done - len(data)
            self._position += len(data)

    def _fail(self, what: str, offset: int) -> NoReturn:
        """Raise `MediaError` for a place `offset` bytes after the beginning of what `_parse` was given."""
        raise MediaError(what, max(0, self._position + offset))

    def _copy_into(self, other: Self) -> Self:
        """Copy what this base class holds, for `copy` of a subclass."""
        other.extent = attrs.evolve(self.extent)
        other.gap = self.gap
        other._pending = self._pending
        other._to_skip = self._to_skip
        other._position = self._position
        return other
