"""How rows are measured: two sides in turn, medians, and whether a goal is met."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

import attrs


@attrs.frozen
class Goal:
    """What a ratio, or a figure where there is no ratio, has to be.

    Attributes:
        limit: The limit.
        at_least: Whether it is the least that is good enough; otherwise the most.
    """

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@attrs.frozen
class Figure:
    """One line of the table.

    Attributes:
        row: What was measured.
        ours: Our figure.
        peer: The figure of what we compare with, None where there is nothing.
        unit: The unit of both.
        ratio: What the goal speaks of: how often faster we are, or which share of the other's time we take; None where
            the goal is about `ours` itself.
        spread: The middle half of the ratios of the single turns; the wider, the less the ratio is worth.
        goal: The goal, None where the figure is for orientation.
        note: What has to be known to read it.
        details: More figures, for the JSON file.
    """

    row: str
    ours: float
    peer: float | None = None
    unit: str = "us"
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    goal: Goal | None = None
    note: str = ""
    details: dict[str, Any] = attrs.field(factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return self.goal.met(self.ratio if self.ratio is not None else self.ours) if self.goal is not None else None


@attrs.frozen
class Effort:
    """How much time to spend.

    Attributes:
        turns: How often each side is measured.
        quick: Whether long rows are to be cut short.
    """

    turns: int = 15
    quick: bool = False


@attrs.frozen
class Row:
    """Something to measure.

    Attributes:
        name: By this it is chosen.
        measure: Measures it.
        work: What is to be profiled, None where it happens in other processes.
    """

    name: str
    measure: Callable[[Effort], list[Figure]]
    work: Callable[[], object] | None = None


@attrs.frozen
class Times:
    """The times of two sides, turn by turn, in seconds."""

    ours: list[float]
    peer: list[float]

    def speedup(self) -> tuple[float, tuple[float, float]]:
        """How often our time goes into the peer's: the median of the turns, and their middle half."""
        return _middle([peer / ours for ours, peer in zip(self.ours, self.peer, strict=True)])

    def share(self) -> tuple[float, tuple[float, float]]:
        """How often the peer's time goes into ours."""
        return _middle([ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)])


def _middle(ratios: list[float]) -> tuple[float, tuple[float, float]]:
    low, _, high = quantiles(ratios, n=4) if len(ratios) > 1 else (ratios[0],) * 3
    return median(ratios), (low, high)


def processor_time_of(work: Callable[[], object]) -> float:
    """How much processor time it takes, in seconds: what other programs do meanwhile does not count."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def wall_time_of(work: Callable[[], object]) -> float:
    """How long it takes, in seconds."""
    gc.collect()
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def take_turns(
    ours: Callable[[], object],
    peer: Callable[[], object],
    turns: int,
    *,
    time_of: Callable[[Callable[[], object]], float] = processor_time_of,
    warm_up: int = 2,
) -> Times:
    """Measure two sides in turn, the first of one turn being the second of the next, so that noise hits both."""
    times = Times([], [])
    for turn in range(turns + warm_up):
        order = [(ours, times.ours), (peer, times.peer)]
        for work, taken in order if turn % 2 else reversed(order):
            seconds = time_of(work)
            if turn >= warm_up:
                taken.append(seconds)
    return times


def progress(what: str) -> None:
    """Say what goes on, where it does not get into the table."""
    print(f"  … {what}", file=sys.stderr, flush=True)
