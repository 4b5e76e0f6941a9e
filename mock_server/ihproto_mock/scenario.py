"""Scenarios: what there is to see in the video that nobody looks at.

A scenario is a TOML file. Times are seconds of media::

    name = "nod"
    description = "One nod, then nothing."
    repeat_every = 60                  # optional: begin anew after so many seconds

    [[signal]]                         # as many as wanted; stretches that touch are one activity
    type = "agreement"
    start = 2.0
    end = 6.0
    probability = "low"                # low, medium, high; optional
    rationale = "A small nod."         # optional

    [[engagement]]                     # holds from start until the next one
    start = 0.0
    state = "engaged"                  # engaged, neutral, disengaged

    [[quality]]                        # holds from start until the next one; 0 to 100
    start = 0.0
    clarity = 60
    authority = 55
    energy = 70
    rapport = 65
    learning = 50

    [[feedback]]                       # said to sessions with goal dimensions, when the media has come so far
    at = 12.0
    text = "Pause before you answer."

    [[coverage]]                       # windows that end in this stretch
    kind = "dropped"                   # dropped: are not analysed; degraded: are, without all of the picture
    start = 30.0
    end = 33.0

    [[error]]                          # either with a segment: that segment is refused
    segment = 3
    code = "ih5002"
    message = "…"                      # optional

    [[error]]                          # or with a time: said when the media has come so far
    at = 20.0
    code = "ih1001"                    # an error that announces a close is followed by it
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import attrs
import msgspec
from attrs.validators import ge, optional

from ihproto import EngagementReport, QualityReport, SignalReport, Window, WindowAnalysis
from ihproto.errorcodes import ERROR_CODES
from ihproto.revisions import ENGAGEMENT_STATES, PROBABILITIES
from ihproto.rules.errors import ABOUT_ONE_SEGMENT, ABOUT_THE_SESSION


class ScenarioError(Exception):
    """A scenario that cannot be used; the text says where and why."""


def _one_of(values: Collection[str]) -> Callable[[object, attrs.Attribute[Any], str], None]:
    def check(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
        if value not in values:
            raise ValueError(f"{attribute.name} is {value!r}; it must be one of {', '.join(sorted(values))}")

    return check


@attrs.frozen
class SignalStretch:
    """A signal, as it is between two moments."""

    type: str
    start: float = attrs.field(validator=ge(0))
    end: float
    probability: str | None = attrs.field(default=None, validator=optional(_one_of(PROBABILITIES)))
    rationale: str | None = None

    def __attrs_post_init__(self) -> None:
        if not self.end > self.start:
            raise ValueError(f"the signal {self.type!r} that starts at {self.start:g} s must end after that")


@attrs.frozen
class EngagementChange:
    """A level of engagement, from a moment on."""

    start: float = attrs.field(validator=ge(0))
    state: str = attrs.field(validator=_one_of(ENGAGEMENT_STATES))


@attrs.frozen
class QualityChange:
    """The five scores, from a moment on."""

    start: float = attrs.field(validator=ge(0))
    clarity: float
    authority: float
    energy: float
    rapport: float
    learning: float

    def __attrs_post_init__(self) -> None:
        self.report()

    def report(self) -> QualityReport:
        """The scores as an analysis reports them."""
        return QualityReport(self.clarity, self.authority, self.energy, self.rapport, self.learning)


@attrs.frozen
class Mishap:
    """An error that happens at a segment or at a moment."""

    code: str = attrs.field(validator=_one_of(ERROR_CODES))
    segment: int | None = attrs.field(default=None, validator=optional(ge(1)))
    at: float | None = attrs.field(default=None, validator=optional(ge(0)))
    message: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.segment is None) == (self.at is None):
            raise ValueError(f"the error {self.code} needs either a segment or a time ('at'), and not both")
        if self.segment is not None and self.code in ABOUT_THE_SESSION:
            raise ValueError(f"the error {self.code} is about the session; give it a time ('at'), not a segment")
        if self.at is not None and self.code in ABOUT_ONE_SEGMENT:
            raise ValueError(f"the error {self.code} is about one segment; give it a segment, not a time")

    @property
    def text(self) -> str:
        """What to tell the client."""
        return self.message if self.message is not None else ERROR_CODES[self.code].meaning


@attrs.frozen
class Advice:
    """Feedback, at a moment (CFG-6)."""

    at: float = attrs.field(validator=ge(0))
    text: str


@attrs.frozen
class Coverage:
    """A stretch that is not analysed, or not with all of the picture (COV-1)."""

    kind: str = attrs.field(validator=_one_of(("dropped", "degraded")))
    start: float = attrs.field(validator=ge(0))
    end: float

    def __attrs_post_init__(self) -> None:
        if not self.end > self.start:
            raise ValueError(f"the coverage that starts at {self.start:g} s must end after that")


class _Change(Protocol):
    @property
    def start(self) -> float: ...


C = TypeVar("C", bound=_Change)


@attrs.frozen
class Scenario:
    """What happens in a video.

    Attributes:
        name: Its name.
        description: What it is good for, in a sentence.
        signal: The signals, stretch by stretch.
        engagement: The changes of engagement.
        quality: The changes of the scores.
        feedback: The advice.
        coverage: The stretches that are not fully analysed.
        error: The errors.
        repeat_every: After how many seconds of media it begins anew; None for never.
    """

    name: str
    description: str = ""
    signal: tuple[SignalStretch, ...] = ()
    engagement: tuple[EngagementChange, ...] = ()
    quality: tuple[QualityChange, ...] = ()
    feedback: tuple[Advice, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    error: tuple[Mishap, ...] = ()
    repeat_every: float | None = None

    def __attrs_post_init__(self) -> None:
        times = [stretch.end for stretch in self.signal]
        times += [change.start for change in self.engagement]
        times += [change.start for change in self.quality]
        times += [advice.at for advice in self.feedback]
        times += [stretch.end for stretch in self.coverage]
        latest = max(times, default=0.0)
        if self.repeat_every is not None and not (self.repeat_every > 0 and self.repeat_every >= latest):
            raise ValueError(f"repeat_every must be more than 0 and at least {latest:g}, where the scenario ends")

    def analyse(self, window: Window) -> WindowAnalysis:
        """Say what an analysis of this window would find."""
        engagement = self._latest(self.engagement, window.end)
        quality = self._latest(self.quality, window.end)
        return WindowAnalysis(
            window,
            self._signals(window),
            EngagementReport(engagement[1].state, engagement[0]) if engagement is not None else None,
            quality[1].report() if quality is not None else None,
        )

    def coverage_of(self, window: Window) -> str | None:
        """How this window is covered: `dropped`, `degraded`, or None for fully."""
        for offset in self._offsets(window.start, window.end):
            for each in self.coverage:
                if each.start < window.end - offset <= each.end:
                    return each.kind
        return None

    def advice_between(self, start: float, end: float) -> list[Advice]:
        """The advice that is due after `start` and not after `end`, in media seconds."""
        due = [
            attrs.evolve(each, at=each.at + offset)
            for offset in self._offsets(start, end)
            for each in self.feedback
            if start < each.at + offset <= end
        ]
        return sorted(due, key=lambda each: each.at)

    def mishap_at_segment(self, number: int) -> Mishap | None:
        """The error that refuses this segment, if there is one."""
        return next((mishap for mishap in self.error if mishap.segment == number), None)

    def mishaps_between(self, start: float, end: float) -> list[Mishap]:
        """The errors that happen after `start` and not after `end`, in media seconds; at 0 with the first media."""
        timed = sorted(
            ((mishap.at, mishap) for mishap in self.error if mishap.at is not None), key=lambda pair: pair[0]
        )
        return [mishap for at, mishap in timed if start < at <= end or at == start == 0]

    def _signals(self, window: Window) -> tuple[SignalReport, ...]:
        reports: dict[str, SignalReport] = {}
        for offset in self._offsets(window.start, window.end):
            for stretch in sorted(self.signal, key=lambda stretch: stretch.start):
                start, end = stretch.start + offset, stretch.end + offset
                if start < window.end and end > window.start:
                    before = reports.get(stretch.type)
                    touches = before is not None and before.end is not None and before.end >= start
                    reports[stretch.type] = SignalReport(
                        stretch.type,
                        start=before.start if before is not None and touches else start,
                        end=min(end, window.end),
                        since=start,
                        probability=stretch.probability,
                        rationale=stretch.rationale,
                    )
        return tuple(reports.values())

    def _latest(self, changes: Iterable[C], until: float) -> tuple[float, C] | None:
        """The change that holds just before `until`, and the moment since when."""
        held = [
            (change.start + offset, change)
            for offset in self._offsets(0.0 if self.repeat_every is None else until - self.repeat_every, until)
            for change in changes
            if change.start + offset < until
        ]
        return max(held, key=lambda pair: pair[0], default=None)

    def _offsets(self, start: float, end: float) -> list[float]:
        """Where the repetitions begin that reach into a stretch of media."""
        if self.repeat_every is None:
            return [0.0]
        first = max(0, math.floor(start / self.repeat_every) - 1)
        last = math.floor(end / self.repeat_every)
        return [index * self.repeat_every for index in range(first, last + 1)]


def parse_scenario(text: str, source: str = "scenario") -> Scenario:
    """Read a scenario from TOML.

    Args:
        text: The TOML text.
        source: What to call it in errors, for example the name of the file.

    Raises:
        ScenarioError: If it is not TOML, or not a scenario.
    """
    try:
        table = msgspec.toml.decode(text, type=dict[str, Any])
        _refuse_unknown_keys(table)
        return msgspec.convert(table, Scenario, strict=False)
    except (msgspec.MsgspecError, ValueError) as error:
        raise ScenarioError(f"{source}: {error}") from None


_TABLES: Mapping[str, type[Any]] = {
    "signal": SignalStretch,
    "engagement": EngagementChange,
    "quality": QualityChange,
    "feedback": Advice,
    "coverage": Coverage,
    "error": Mishap,
}


def _refuse_unknown_keys(table: dict[str, Any]) -> None:
    """A key that nobody reads is a typing error, and silence about it would cost somebody an afternoon."""
    _refuse_unknown(table, Scenario, "the scenario")
    for name, cls in _TABLES.items():
        entries = table.get(name, [])
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                _refuse_unknown(entry, cls, f"[[{name}]]")


def _refuse_unknown(table: dict[str, Any], cls: type[Any], where: str) -> None:
    known = [field.name for field in attrs.fields(cls)]
    for key in table:
        if key not in known:
            raise ValueError(f"{where} has no key {key!r}; its keys are {', '.join(known)}")


def _bundled() -> Mapping[str, str]:
    folder = Path(__file__).with_name("scenarios")
    texts = {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.toml")}
    return MappingProxyType(dict(sorted(texts.items())))


#: The scenarios that come with the package, by name, as TOML.
BUNDLED: Mapping[str, str] = _bundled()


def load_scenario(name: str | Path) -> Scenario:
    """Load a bundled scenario by its name, or one from a file.

    Args:
        name: `lively`, another name of `BUNDLED`, or the path of a TOML file.

    Raises:
        ScenarioError: If there is no such scenario, or if it cannot be used.
    """
    if isinstance(name, str) and name in BUNDLED:
        return parse_scenario(BUNDLED[name], name)
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        names = ", ".join(BUNDLED)
        raise ScenarioError(f"{name}: neither a file nor a bundled scenario; those are {names}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{name}: cannot be read: {error}") from None
    return parse_scenario(text, str(name))
