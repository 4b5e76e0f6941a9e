"""ENV and HS-9: what every envelope of a session has in common."""

from __future__ import annotations

from datetime import datetime, timedelta

from ihproto.clauses import clause
from ihproto.codec import Envelope
from ihproto.errors import Finding
from ihproto.revisions import ENVELOPE, Framing

_NO_OFFSET = timedelta(0)


class EnvelopeRules:
    """Judges the outside of the envelopes of one session.

    Args:
        correlation_id: The id that the upgrade response carried, if it is known (HS-9).
        framing: How the revision lays out its messages.
    """

    def __init__(self, correlation_id: str | None = None, framing: Framing = ENVELOPE) -> None:
        self._same_session = framing.same_session_clause
        self._announced = correlation_id
        self.correlation_id: str | None = None

    def judge(self, envelope: Envelope, found: list[Finding]) -> None:
        """Judge `timestamp` (ENV-1) and `correlation_id` (ENV-2, HS-9)."""
        if envelope.timestamp is not None and not _is_utc(envelope.timestamp):
            what = "the timestamp is not ISO 8601 in UTC, such as 2025-01-01T00:00:00.000000Z"
            found.append(Finding(clause("ENV-1"), what, "$.timestamp"))
        if envelope.correlation_id == self.correlation_id:
            return
        if self.correlation_id is None:
            self.correlation_id = envelope.correlation_id
            if self._announced is not None and self._announced != envelope.correlation_id:
                what = "the correlation id differs from the X-Correlation-ID of the upgrade response"
                found.append(Finding(clause("HS-9"), what, "$.correlation_id"))
        else:
            what = "the correlation id differs from that of the messages before; it stays the same for a session"
            found.append(Finding(clause(self._same_session), what, "$.correlation_id"))


def _is_utc(timestamp: str) -> bool:
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        # A leap second is ISO 8601, and more than datetime knows.
        return timestamp[17:19] == "60" and _is_utc(f"{timestamp[:17]}59{timestamp[19:]}")
    return "T" in timestamp and moment.utcoffset() == _NO_OFFSET
