"""SIG: the lifecycle of each type of signal, `(detected updated* ended)*` (SIG-5)."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import Number, SignalDetected, SignalEnded, SignalUpdated
from ihproto.revisions import PROBABILITIES, Revision


class ActiveSignal(msgspec.Struct, frozen=True):
    """A signal that has been detected and has not ended; like an envelope, made so often that it is a `Struct`.

    Attributes:
        signal_type: Which signal.
        start: When it was detected, in media seconds.
        since: Since when it is as it is now (the last `start` reported), in media seconds.
        probability: The last probability reported.
        rationale: The last rationale reported.
        modality: The last modality reported.
    """

    signal_type: str
    start: Number
    since: Number
    probability: str | None = None
    rationale: str | None = None
    modality: tuple[str, ...] | None = None


#: More types of signal than this are not followed: a server that invents them must not fill a client's memory.
MAX_TYPES = 256


def judge_type(signal_type: str, types: Collection[str], path: str, found: list[Finding]) -> None:
    """Judge the type of a signal (SIG-6)."""
    if signal_type not in types:
        found.append(Finding(clause("SIG-6"), f"{signal_type[:40]!r} is not a documented type of signal", path))


def judge_probability(probability: str | None, path: str, found: list[Finding]) -> None:
    """Judge the probability of a signal (SIG-6)."""
    if probability is not None and probability not in PROBABILITIES:
        what = f"{probability[:40]!r} is not a probability; low, medium and high are"
        found.append(Finding(clause("SIG-6"), what, path))


class SignalRules:
    """Judges the signals of one session.

    Args:
        revision: The revision whose signal types count as known.

    Attributes:
        active: The signals that are active now, by type, in the order of their detection.
    """

    def __init__(self, revision: Revision) -> None:
        self.active: dict[str, ActiveSignal] = {}
        self._types = revision.signal_types
        self._modality = "modality" in revision.signal_details
        self._latest: dict[str, Number] = {}

    def judge_detected(self, message: SignalDetected, found: list[Finding]) -> None:
        """Judge `signal.detected` (SIG-1, SIG-4, SIG-6)."""
        if message.signal_type in self.active:
            what = f"{message.signal_type[:40]} was detected again while it is active; it has to end first"
            found.append(Finding(clause("SIG-1"), what, "$.data.signal_type"))
        self._judge_words(message, found)
        self._judge_time(message.signal_type, message.start, "start", found)
        self._keep(message, message.start)

    def judge_updated(self, message: SignalUpdated, found: list[Finding]) -> None:
        """Judge `signal.updated` (SIG-2, SIG-4, SIG-6)."""
        active = self.active.get(message.signal_type)
        if active is None:
            what = f"{message.signal_type[:40]} was updated while it is not active; it has to be detected first"
            found.append(Finding(clause("SIG-2"), what, "$.data.signal_type"))
        elif (message.probability, message.rationale, message.modality) == (
            active.probability,
            active.rationale,
            active.modality,
        ):
            what = "the update repeats the last report; it is due when the probability changed"
            found.append(Finding(clause("SIG-2"), what, "$.data.probability"))
        self._judge_words(message, found)
        self._judge_time(message.signal_type, message.start, "start", found)
        self._keep(message, active.start if active else message.start)

    def judge_ended(self, message: SignalEnded, found: list[Finding]) -> None:
        """Judge `signal.ended` (SIG-4, SIG-5)."""
        if self.active.pop(message.signal_type, None) is None:
            what = f"{message.signal_type[:40]} ended while it is not active"
            found.append(Finding(clause("SIG-5"), what, "$.data.signal_type"))
        self._judge_time(message.signal_type, message.end, "end", found)

    def judge_session_ended(self, found: list[Finding]) -> None:
        """Judge the end of a graceful close: no signal may be left active (SIG-7)."""
        if self.active:
            what = f"still active at session.ended: {', '.join(name[:40] for name in self.active)}"
            found.append(Finding(clause("SIG-7"), what))

    def _judge_words(self, message: SignalDetected | SignalUpdated, found: list[Finding]) -> None:
        judge_type(message.signal_type, self._types, "$.data.signal_type", found)
        judge_probability(message.probability, "$.data.probability", found)
        if message.modality is not None and not self._modality:
            found.append(Finding(clause("SIG-8"), "this revision sends no modality", "$.data.modality"))

    def _judge_time(self, signal_type: str, time: Number, field: str, found: list[Finding]) -> None:
        latest = self._latest.get(signal_type, 0)
        if signal_type not in self._latest and len(self._latest) >= MAX_TYPES:
            return
        if time < latest:
            what = f"{time} s is before {latest} s, the last time reported for {signal_type[:40]}"
            found.append(Finding(clause("SIG-4"), what, f"$.data.{field}"))
        else:
            self._latest[signal_type] = time

    def _keep(self, message: SignalDetected | SignalUpdated, start: Number) -> None:
        if message.signal_type not in self.active and len(self.active) >= MAX_TYPES:
            return
        self.active[message.signal_type] = ActiveSignal(
            message.signal_type, start, message.start, message.probability, message.rationale, message.modality
        )
