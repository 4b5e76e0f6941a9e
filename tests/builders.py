"""Texts of both sides, written with `json` alone, so that no test judges the codec by itself."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ihproto import CloseToSend, TextToSend, ToSend, Violated, Violation

CORRELATION_ID = "6f1c2b9e-0000-4000-8000-000000000001"
TIMESTAMP = "2025-01-01T00:00:00.000000Z"
OVERALL = "conversation_quality_overall"
TIMELINE = "conversation_quality_timeline"

#: The contract as the public pages show it (RDY-2).
CONTRACT: dict[str, Any] = {
    "session_idle_timeout_seconds": 300,
    "session_max_duration_seconds": 3600,
    "min_segment_duration_seconds": 3,
    "min_segment_size_bytes": 1,
    "max_segment_size_bytes": 33554432,
    "supported_session_config_options": {"include": [OVERALL, TIMELINE]},
}

#: Six scores with no evidence either way (CQI-4).
FIFTY: dict[str, Any] = dict.fromkeys(("quality_index", "clarity", "authority", "energy", "rapport", "learning"), 50)


def envelope(
    type_: str, data: object, *, correlation_id: str = CORRELATION_ID, timestamp: str = TIMESTAMP, **more: object
) -> str:
    """Any envelope (ENV-1), with whatever else a newer server would put in it."""
    fields = {"type": type_, "timestamp": timestamp, "correlation_id": correlation_id, "data": data}
    return json.dumps(fields | more)


def ready(**changes: object) -> str:
    return envelope("session.ready", CONTRACT | changes)


def ready_with_goals(*dimensions: str) -> str:
    options = {"include": [OVERALL, TIMELINE], "goal_dimensions": list(dimensions)}
    return ready(supported_session_config_options=options)


def updated(include: Sequence[str] = (), **more: object) -> str:
    return envelope("session.updated", {"include": list(include), **more})


def closing(max_drain_seconds: float = 30) -> str:
    return envelope("session.closing", {"max_drain_seconds": max_drain_seconds})


def ended(reason: str = "client_shutdown") -> str:
    return envelope("session.ended", {"reason": reason})


def error(code: str, segment: int | None = None, message: str = "something went wrong") -> str:
    return envelope("error", {"code": code, "message": message, "link": None, "segment": segment})


def detected(signal_type: str = "agreement", start: float = 1, probability: str = "high", **more: object) -> str:
    return envelope("signal.detected", {"signal_type": signal_type, "start": start, "probability": probability, **more})


def signal_updated(signal_type: str = "agreement", start: float = 4, probability: str = "low") -> str:
    return envelope("signal.updated", {"signal_type": signal_type, "start": start, "probability": probability})


def signal_ended(signal_type: str = "agreement", end: float = 9) -> str:
    return envelope("signal.ended", {"signal_type": signal_type, "end": end})


def engagement(state: str = "engaged", start: float = 0) -> str:
    return envelope("engagement.updated", {"state": state, "start": start})


def violations(events: Iterable[object]) -> list[Violation]:
    """The violations that were reported, in order."""
    return [event.violation for event in events if isinstance(event, Violated)]


def clause_ids(events: Iterable[object]) -> list[str]:
    """The ids of the clauses that were not kept, in order."""
    return [violation.clause.id for violation in violations(events)]


def texts(to_send: Iterable[ToSend]) -> list[dict[str, Any]]:
    """The text messages to be sent, as JSON."""
    return [json.loads(item.text) for item in to_send if isinstance(item, TextToSend)]


def said(to_send: Iterable[ToSend]) -> list[tuple[str, Any]]:
    """What a server says: type and data of each envelope, and ("close", code) for a close, in order."""
    told: list[tuple[str, Any]] = []
    for item in to_send:
        if isinstance(item, TextToSend):
            fields = json.loads(item.text)
            told.append((fields["type"], fields["data"]))
        elif isinstance(item, CloseToSend):
            told.append(("close", item.code))
    return told
