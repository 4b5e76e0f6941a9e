"""SIG: from "seen in this window" to detected, updated, ended."""

from __future__ import annotations

import attrs

from ihproto.analysis.reports import SignalReport
from ihproto.events import Window
from ihproto.messages import ServerMessage, SignalDetected, SignalEnded, SignalUpdated


@attrs.define
class _Active:
    """What has been said about an active signal, and until when it was seen."""

    probability: str | None
    latest: float
    seen_until: float


class SignalLifecycle:
    """Turns the signals of consecutive windows into messages.

    Times in the messages never run backwards for a type, whatever the reports say (SIG-4): windows overlap, and an
    analysis may change its mind about the past.
    """

    def __init__(self) -> None:
        self._active: dict[str, _Active] = {}
        self._ended_at: dict[str, float] = {}

    def apply(self, window: Window, reports: tuple[SignalReport, ...]) -> list[ServerMessage]:
        """Say what the reports of the next window mean.

        Returns:
            First `SignalEnded` for each active type that is absent from the window (SIG-3), then `SignalDetected` for
            each that is new (SIG-1) and `SignalUpdated` for each whose probability changed (SIG-2).
        """
        present = {report.signal_type for report in reports}
        said: list[ServerMessage] = [self._end(name) for name in list(self._active) if name not in present]
        for report in reports:
            seen_until = window.end if report.end is None else min(report.end, window.end)
            active = self._active.get(report.signal_type)
            if active is None:
                start = max(report.start, self._ended_at.get(report.signal_type, 0.0))
                said.append(
                    SignalDetected(report.signal_type, start, report.probability, report.rationale, report.modality)
                )
                self._active[report.signal_type] = _Active(report.probability, start, max(start, seen_until))
                continue
            if report.probability != active.probability:
                active.latest = max(active.latest, report.start if report.since is None else report.since)
                active.probability = report.probability
                said.append(
                    SignalUpdated(
                        report.signal_type, active.latest, report.probability, report.rationale, report.modality
                    )
                )
            active.seen_until = max(active.seen_until, seen_until, active.latest)
        return said

    def end_all(self) -> list[ServerMessage]:
        """End every active signal where it was seen last, as a graceful close requires (SIG-7)."""
        return [self._end(name) for name in list(self._active)]

    def _end(self, name: str) -> SignalEnded:
        end = self._active.pop(name).seen_until
        self._ended_at[name] = end
        return SignalEnded(name, end)
