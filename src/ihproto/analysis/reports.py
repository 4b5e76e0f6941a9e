"""What an analyser says about one window. Times are media seconds since the session began."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import attrs
from attrs.validators import ge, in_, le, optional

from ihproto.events import Window
from ihproto.revisions import ENGAGEMENT_STATES, PROBABILITIES, QUALITY_DIMENSIONS


def finite(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    """Validate that a number is finite: no message could carry another one."""
    if not math.isfinite(value):
        raise ValueError(f"{attribute.name} must be finite, not {value}")


@attrs.frozen
class SignalReport:
    """One type of signal, as seen in a window.

    Attributes:
        signal_type: Which signal, for example `agreement` (SIG-6).
        start: When it became active; may lie before the window.
        end: Until when it was seen, at most the end of the window; None for the whole window.
        since: When its probability became what it is now; None for `start`.
        probability: `low`, `medium` or `high`, or None.
        rationale: Why, for a person.
        modality: Which analyses contributed (SIG-8).
    """

    signal_type: str
    start: float = attrs.field(validator=finite)
    end: float | None = attrs.field(default=None, validator=optional(finite))
    since: float | None = attrs.field(default=None, validator=optional(finite))
    probability: str | None = attrs.field(default=None, validator=optional(in_(PROBABILITIES)))
    rationale: str | None = None
    modality: tuple[str, ...] | None = None


@attrs.frozen
class EngagementReport:
    """The engagement in a window.

    Attributes:
        state: `engaged`, `neutral` or `disengaged` (ENG-3).
        start: Since when.
    """

    state: str = attrs.field(validator=in_(ENGAGEMENT_STATES))
    start: float = attrs.field(validator=[finite, ge(0)])


def _score() -> float:
    field: float = attrs.field(validator=[ge(0), le(100)])
    return field


@attrs.frozen
class QualityReport:
    """What a window contributes to conversation quality: five scores of 0 to 100 (CQI-5)."""

    clarity: float = _score()
    authority: float = _score()
    energy: float = _score()
    rapport: float = _score()
    learning: float = _score()

    def scores(self) -> tuple[float, ...]:
        """The five scores, in the order of `QUALITY_DIMENSIONS`."""
        return tuple(getattr(self, name) for name in QUALITY_DIMENSIONS)


def _reports(values: Iterable[SignalReport]) -> tuple[SignalReport, ...]:
    return tuple(values)


@attrs.frozen
class WindowAnalysis:
    """Everything an analyser says about one window.

    Attributes:
        window: The window, as `WindowReady` named it.
        signals: The signals seen in it, at most one report for each type.
        engagement: The engagement, None when the analysis has nothing to say about it.
        quality: The contribution to conversation quality, None when there is none (CQI-4).
    """

    window: Window
    signals: tuple[SignalReport, ...] = attrs.field(default=(), converter=_reports)
    engagement: EngagementReport | None = None
    quality: QualityReport | None = None

    @signals.validator
    def _one_report_a_type(self, attribute: object, signals: tuple[SignalReport, ...]) -> None:
        types = [report.signal_type for report in signals]
        doubles = sorted({name for name in types if types.count(name) > 1})
        if doubles:
            raise ValueError(f"a window has one report for each type of signal; doubled: {', '.join(doubles)}")
