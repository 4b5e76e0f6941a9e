"""Faults in the reports of engagement."""

from __future__ import annotations

from ihproto_conformance.faults.blocks import change, data, leave_out, repeat
from ihproto_conformance.faults.fault import Fault

FAULTS = (
    Fault("ENG-1.no-start", "Reports engagement without saying since when", leave_out("engagement.updated", "start")),
    Fault("ENG-1.no-state", "Reports engagement without its level", leave_out("engagement.updated", "state")),
    Fault("ENG-2.repeated", "Reports the same level twice", repeat("engagement.updated")),
    Fault(
        "ENG-3.state",
        "Reports a level that there is not",
        change("engagement.updated", lambda message, talk: data(message)["state"] == "neutral", state="bored"),
    ),
    Fault("ENG-3.negative", "Reports engagement from before the media began", change("engagement.updated", start=-3)),
)
