"""What a session needs to know about its media.

A session does not look into segments itself: it hands every piece to a `SegmentScanner` and asks at the end how many
seconds of media the segment held, or why it cannot be accepted. `NominalScanner` is the simplest one: it takes the
owner's word for the length of a segment.
"""

from __future__ import annotations

from typing import Protocol

import attrs


@attrs.frozen
class SegmentFault:
    """Why a segment is refused.

    Attributes:
        code: The error id that the client is told, for example `ih5004`.
        clause_id: The clause that the segment does not keep.
        what: What was found, and the cure, as a sentence without a full stop.
    """

    code: str
    clause_id: str
    what: str


@attrs.frozen
class SegmentMedia:
    """The media of one segment.

    Attributes:
        seconds: How long it is.
    """

    seconds: float


class SegmentScanner(Protocol):
    """Looks at the segments of one session, piece by piece, in order."""

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

    def begin(self, number: int) -> None:
        """Begin a segment."""

    def feed(self, data: bytes) -> SegmentFault | None:
        """Take a piece without looking at it."""
        return None

    def finish(self) -> SegmentMedia | SegmentFault:
        """Finish the segment; it has the nominal length."""
        return self._media
