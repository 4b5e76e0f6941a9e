"""Faults in the reports of windows, each of which stands for itself."""

from __future__ import annotations

from ihproto_conformance.faults.blocks import Message, change, data, edit, leave_out, withhold
from ihproto_conformance.faults.fault import Behaviour, Fault, Talk

_WINDOW = ("v1-window",)


def _signals(**fields: object) -> Behaviour:
    """Tell other fields of the signals; None leaves one out."""

    def told(message: Message, talk: Talk) -> None:
        for signal in data(message).get("signals", ()):
            signal.update(fields)
            for name in [name for name, value in fields.items() if value is None]:
                del signal[name]

    return edit("signal.detected", told)


def _engagement(length: float, advance: float) -> Behaviour:
    """Report windows of another length, or with another distance between them."""

    def told(message: Message, talk: Talk) -> None:
        fields = data(message)
        fields["start"] = fields["start"] / 3 * advance
        fields["end"] = fields["start"] + length

    return edit("engagement.updated", told)


FAULTS = (
    Fault("WIN-1.shorter", "Analyses windows of 5 seconds", _engagement(5, 3), _WINDOW),
    Fault("WIN-1.no-overlap", "Begins each window where the one before ended", _engagement(8, 8), _WINDOW),
    Fault("WIN-3.no-engagement", "Does not report the engagement of windows", withhold("engagement.updated"), _WINDOW),
    Fault("WIN-3.no-end", "Reports engagement without its end", leave_out("engagement.updated", "end"), _WINDOW),
    Fault("WIN-3.state", "Reports a level that there is not", change("engagement.updated", state="bored"), _WINDOW),
    Fault("WIN-3.no-start", "Reports signals without saying from when", _signals(start=None), _WINDOW),
    Fault("WIN-3.backwards", "Reports signals that end before they start", _signals(start=5, end=4), _WINDOW),
    Fault(
        "CFG-3.no-overall",
        "Sends the timeline alone where both sections are included",
        leave_out("conversation_quality.updated", "overall"),
        _WINDOW,
    ),
)
