"""ERR and SEG-8: which errors name a segment, and which segment they may name."""

from __future__ import annotations

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import Error

#: Errors that are always about one segment (SEG-2, SEG-4, SEG-5, SEG-6, SEG-7).
ABOUT_ONE_SEGMENT = frozenset({"ih4002", "ih4007", "ih5001", "ih5004", "ih5008", "ih6002"})
#: Errors that are about the session as a whole (HS-11, HS-13, TMO-1, TMO-2).
ABOUT_THE_SESSION = frozenset({"ih1003", "ih2003", "ih4005", "ih6003", "ih6004"})


class ErrorRules:
    """Judges the errors of one session.

    Attributes:
        segments_sent: How many segments the client has begun to send; None when that is not known.
    """

    def __init__(self) -> None:
        self.segments_sent: int | None = None

    def judge(self, message: Error, found: list[Finding]) -> None:
        """Judge `error` (ERR-1, SEG-1, SEG-8)."""
        if not message.code:
            found.append(Finding(clause("ERR-1"), "the error has no code", "$.data.code"))
        if message.segment is None:
            if message.code in ABOUT_ONE_SEGMENT:
                what = f"{message.code} is about one segment and does not say which"
                found.append(Finding(clause("SEG-8"), what, "$.data.segment"))
        elif message.code in ABOUT_THE_SESSION:
            what = f"{message.code} is about the session and names segment {message.segment}"
            found.append(Finding(clause("SEG-8"), what, "$.data.segment"))
        elif message.segment < 1:
            what = f"segments are counted from 1, and the error names segment {message.segment}"
            found.append(Finding(clause("SEG-1"), what, "$.data.segment"))
        elif self.segments_sent is not None and message.segment > self.segments_sent:
            what = f"the error names segment {message.segment}, but only {self.segments_sent} were sent"
            found.append(Finding(clause("SEG-1"), what, "$.data.segment"))
