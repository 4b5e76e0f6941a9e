"""Faults in errors, and in what follows them."""

from __future__ import annotations

from ihproto_conformance.faults.blocks import closes, error, leave_out, stay_open
from ihproto_conformance.faults.fault import Drop, Fault, Say

FAULTS = (
    Fault("ERR-1.no-message", "Says errors without a message", leave_out("error", "message")),
    Fault("ERR-1.no-code", "Says errors without a code", leave_out("error", "code")),
    Fault(
        "ERR-1.no-segment",
        "Leaves segment out of errors about the session",
        leave_out("error", "segment", when=error(about="session")),
    ),
    Fault("ERR-1.no-link", "Leaves link out of errors", leave_out("error", "link")),
    Fault("ERR-2.goes-on", "Does not close after an error that announces it", stay_open(1011), scenario="troubled"),
    Fault(
        "ERR-2.drops",
        "Drops the connection after an error that announces a close",
        closes(lambda close, talk: (Drop(),) if close.code == 1011 else (Say(close),)),
        scenario="troubled",
    ),
)
