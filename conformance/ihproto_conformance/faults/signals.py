"""Faults in the lifecycle of signals."""

from __future__ import annotations

from ihproto_conformance.faults.blocks import (
    Instead,
    Message,
    add,
    change,
    data,
    kind,
    leave_out,
    repeat,
    says,
    withhold,
)
from ihproto_conformance.faults.fault import Fault, Talk

_BOTH = ("signal.detected", "signal.updated")
_ALL = (*_BOTH, "signal.ended")


def _as_detected(message: Message, talk: Talk) -> Instead:
    yield {**message, "type": "signal.detected"}


def _closing(message: Message, talk: Talk) -> bool:
    return any(kind(said) == "session.closing" for said in talk.said)


FAULTS = (
    Fault("SIG-1.repeated", "Detects a signal twice", repeat("signal.detected")),
    Fault(
        "SIG-1.in-place-of-updated", "Detects a signal again where it has changed", says("signal.updated", _as_detected)
    ),
    Fault("SIG-1.no-start", "Detects a signal without saying when", leave_out("signal.detected", "start")),
    Fault("SIG-2.repeated", "Updates a signal twice with the same", repeat("signal.updated")),
    Fault(
        "SIG-2.no-change",
        "Updates a signal that did not change",
        says("signal.detected", lambda message, talk: (message, {**message, "type": "signal.updated"})),
    ),
    Fault(
        "SIG-2.inactive",
        "Updates a signal that was not detected",
        add("engagement.updated", "signal.updated", {"signal_type": "stress", "start": 1, "probability": "low"}),
    ),
    Fault("SIG-3.no-end", "Ends a signal without saying when", leave_out("signal.ended", "end")),
    Fault("SIG-4.backwards", "Updates a signal for a time before its detection", change("signal.updated", start=0)),
    Fault("SIG-4.negative", "Detects a signal before the media began", change("signal.detected", start=-1)),
    Fault("SIG-4.ends-first", "Ends a signal before it began", change("signal.ended", end=0)),
    Fault("SIG-5.ended-twice", "Ends a signal twice", repeat("signal.ended")),
    Fault(
        "SIG-5.ends-nothing",
        "Ends a signal that was not detected",
        add("engagement.updated", "signal.ended", {"signal_type": "stress", "end": 1}),
    ),
    Fault(
        "SIG-6.type",
        "Knows a signal that nobody else knows",
        change(_ALL, lambda message, talk: data(message)["signal_type"] == "agreement", signal_type="boredom"),
    ),
    Fault(
        "SIG-6.probability",
        "Tells the probability as a number in text",
        change(_BOTH, lambda message, talk: data(message).get("probability") == "medium", probability="0.66"),
    ),
    Fault("SIG-7.left-active", "Leaves signals active at the end", withhold("signal.ended", _closing)),
    Fault("SIG-8.modality", "Tells the modality in v2", change("signal.detected", modality=["visual"]), ("v2",)),
)
