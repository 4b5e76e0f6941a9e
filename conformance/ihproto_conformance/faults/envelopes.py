"""Faults of the envelope around every message."""

from __future__ import annotations

from ihproto.wire import RawBytes, RawText
from ihproto_conformance.faults.blocks import Instead, Message, edit, frame, says, text
from ihproto_conformance.faults.fault import Fault, Say, Talk

_ENVELOPES = ("v1", "v1-window", "v2")


def _binary(message: Message, talk: Talk) -> Instead:
    yield message
    yield Say(RawBytes(b"\0\1\2"))


FAULTS = (
    Fault(
        "ENV-1.not-json",
        "Reports engagement in a text that is not JSON",
        text("engagement.updated", lambda text: RawText("engagement: neutral")),
    ),
    Fault(
        "ENV-1.array",
        "Puts each report of engagement into a list",
        text("engagement.updated", lambda text: RawText(f"[{text}]")),
    ),
    Fault(
        "ENV-1.no-timestamp",
        "Sends no timestamp with engagement",
        edit("engagement.updated", lambda message, talk: message.pop("timestamp")),
    ),
    Fault(
        "ENV-1.no-timestamp-at-all",
        "Sends no message with a timestamp",
        edit("*", lambda message, talk: message.pop("timestamp")),
    ),
    Fault("ENV-1.epoch", "Sends timestamps as numbers", frame("*", timestamp=1735689600.0)),
    Fault(
        "ENV-1.local-time", "Sends timestamps without a time zone", frame("*", timestamp="2025-01-01T00:00:00.000000")
    ),
    Fault(
        "ENV-1.no-correlation-id",
        "Sends no correlation_id with engagement",
        edit("engagement.updated", lambda message, talk: message.pop("correlation_id")),
    ),
    Fault(
        "ENV-1.flat",
        "Sends the fields of engagement beside its type, without data",
        edit("engagement.updated", lambda message, talk: message.update(message.pop("data"))),
    ),
    Fault(
        "ENV-2.changes",
        "Has another correlation_id in its errors",
        frame("error", lambda message, talk: len(talk.said) > 1, correlation_id="another"),
    ),
    Fault(
        "ENV-2.for-each",
        "Has another correlation_id in each report of engagement",
        frame("engagement.updated", correlation_id="another"),
    ),
    Fault(
        "ENV-5.binary", "Sends a binary message behind each report of engagement", says("engagement.updated", _binary)
    ),
    Fault(
        "ENV-5.binary-instead",
        "Reports engagement in binary messages",
        text("engagement.updated", lambda text: RawBytes(text.encode())),
    ),
)
