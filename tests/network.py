"""A connection between two sessions in memory, and what analyses them is planned beforehand."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from hypothesis import settings
from model import Media, Report

import ihproto as ih

#: How many examples a test draws that does not say otherwise.
EXAMPLES = settings().max_examples

STARTED_AT = datetime(2025, 1, 1, tzinfo=UTC)
CORRELATION_ID = "5f3a-c0ffee"


@dataclass(frozen=True)
class Text:
    text: str


@dataclass(frozen=True)
class Piece:
    size: int
    final: bool


@dataclass(frozen=True)
class CloseFrame:
    code: int


@dataclass(frozen=True)
class Lost:
    pass


Item: TypeAlias = Text | Piece | CloseFrame | Lost


class Wire:
    """One direction of a connection: in order, and nothing after a close."""

    def __init__(self) -> None:
        self.items: deque[Item] = deque()
        self.shut = False
        self.cut = False

    def put(self, item: Item) -> None:
        assert not self.shut, f"{item} was sent after a close"
        self.shut = isinstance(item, CloseFrame)
        if not self.cut:
            self.items.append(item)

    def lose(self, keep: int) -> None:
        """Cut the wire; of what is in flight, some may arrive."""
        if self.cut:
            return
        while len(self.items) > keep:
            self.items.pop()
        if not self.items or not isinstance(self.items[-1], CloseFrame):
            self.items.append(Lost())
        self.cut = True


def cut(size: int, at: Sequence[int]) -> list[int]:
    """The sizes of the pieces of a segment that is cut at some offsets."""
    offsets = [0, *sorted(min(offset, size) for offset in at), size]
    return [right - left for left, right in itertools.pairwise(offsets)]


def raised_by(call: Callable[[], None]) -> tuple[ih.Violation | None, ih.Violation | None]:
    """Make a call; what it blamed on the peer, and what on its caller. Anything else that it raises gets through."""
    try:
        call()
    except ih.RemoteProtocolError as error:
        return error.violation, None
    except ih.LocalProtocolError as error:
        return None, error.violation
    return None, None


def analysis_of(window: ih.Window, report: Report) -> ih.WindowAnalysis:
    signals = tuple(
        ih.SignalReport(seen.signal_type, seen.start, seen.end, seen.since, seen.probability, seen.rationale)
        for seen in report.signals
    )
    engagement = ih.EngagementReport(*report.engagement) if report.engagement is not None else None
    quality = ih.QualityReport(*report.quality) if report.quality is not None else None
    return ih.WindowAnalysis(window, signals, engagement, quality)


class PlannedScanner:
    """A scanner that says what was planned, and insists on being asked in order."""

    def __init__(self, plans: list[Media]) -> None:
        self._plans = plans
        self._number = 0
        self._fed = 0
        self._faulted = True

    def expect(self, expected: ih.ExpectedMedia) -> None:
        pass

    def begin(self, number: int) -> None:
        assert number > self._number, "segments begin out of order"
        self._number = number
        self._fed = 0
        self._faulted = False

    def feed(self, data: bytes) -> ih.SegmentFault | None:
        assert data, "an empty piece was fed"
        assert not self._faulted, "fed after a fault"
        self._fed += len(data)
        plan = self._plans[self._number - 1]
        if plan.offset is None or self._fed < plan.offset:
            return None
        return self._fault(plan)

    def finish(self) -> ih.SegmentMedia | ih.SegmentFault:
        assert not self._faulted, "finished after a fault"
        plan = self._plans[self._number - 1]
        return self._fault(plan) if plan.fault is not None and plan.offset is None else ih.SegmentMedia(plan.seconds)

    def _fault(self, plan: Media) -> ih.SegmentFault:
        self._faulted = True
        assert plan.fault is not None
        return ih.SegmentFault(plan.fault, "SEG-6", "the plan says so")
