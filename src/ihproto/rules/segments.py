"""SEG: the count, the size and the place in time of segments."""

from __future__ import annotations

from fractions import Fraction

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import SessionReady
from ihproto.revisions import V1, Revision


class SegmentLedger:
    """Counts the segments of one session while their pieces pass.

    Args:
        contract: The limits; None while they are not known.
        revision: The revision whose clauses give the limits.

    Attributes:
        contract: The limits; None while they are not known.
        number: The number of the segment under way, or of the last one; 0 before the first (SEG-1).
        size: Its bytes so far.
        under_way: Whether a segment has begun and not finished.
        media_seconds: Seconds of media in all accepted segments (SEG-9).
    """

    def __init__(self, contract: SessionReady | None = None, revision: Revision = V1) -> None:
        self.contract = contract
        self._too_small, self._too_large = revision.size_clauses
        self.number = 0
        self.size = 0
        self.under_way = False
        self.media_seconds = 0.0
        # A sum of many floats would drift, and a window would be complete a segment too late.
        self._exact = Fraction(0)

    def begin(self) -> int:
        """Begin a segment, accepted or not, and return its number (SEG-1)."""
        self.number += 1
        self.size = 0
        self.under_way = True
        return self.number

    def add(self, size: int) -> Finding | None:
        """Count a piece of `size` bytes; a finding says that the segment is over the limit with it (SEG-2, SEG-3)."""
        self.size += size
        return self.oversize(self.size)

    def oversize(self, size: int) -> Finding | None:
        """Say why a segment of `size` bytes is too large, or None (SEG-2, SEG-3)."""
        if self.contract is None or size <= self.contract.max_segment_size_bytes:
            return None
        limit = self.contract.max_segment_size_bytes
        what = f"{self._name} exceeds the limit of {limit:,} bytes; send shorter segments"
        return Finding(clause(self._too_large), what)

    def undersize(self, size: int) -> Finding | None:
        """Say why a segment of `size` bytes is too small, or None (SEG-3, SEG-10)."""
        smallest = max(1, self.contract.min_segment_size_bytes) if self.contract is not None else 1
        if size >= smallest:
            return None
        what = f"{self._name} has {size} bytes and the minimum is {smallest}; skip empty recorder output"
        return Finding(clause(self._too_small if size else "SEG-10"), what)

    def finish(self) -> Finding | None:
        """Finish the segment; a finding says that it is too small (SEG-3, SEG-10)."""
        finding = self.undersize(self.size)
        self.under_way = False
        return finding

    @property
    def _name(self) -> str:
        return f"segment {self.number if self.under_way else self.number + 1}"

    def accept(self, seconds: float) -> tuple[float, float]:
        """Append a segment of `seconds` to the session's media and return where it begins and ends (SEG-9)."""
        start = self.media_seconds
        self._exact += Fraction(seconds)
        self.media_seconds = float(self._exact)
        return start, self.media_seconds
