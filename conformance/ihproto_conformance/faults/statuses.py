"""Faults in the revisions that speak of one segment at a time: what is said of each, and what the query asks for."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import attrs

from ihproto import INCLUDE_OVERALL, INCLUDE_TIMELINE
from ihproto.revisions import INCLUDE_PARAMETER
from ihproto.wire import UpgradeRequested
from ihproto_conformance.faults.blocks import (
    Instead,
    Message,
    asks,
    change,
    edit,
    refusal,
    repeat,
    says,
    withhold,
)
from ihproto_conformance.faults.fault import Answer, Behaviour, Fault, Talk

_STATUS = ("v0.2", "v0")
_V0 = ("v0",)
_V0_2 = ("v0.2",)
_FIFTY = dict.fromkeys(("quality_index", "clarity", "authority", "energy", "rapport", "learning"), 50)
_ENCODED = "include%5b%5d"


def _said(message: Message, status: str, **fields: object) -> Message:
    """Another status of the same segment."""
    kept: Message = {name: message[name] for name in ("correlation_id", "segment") if name in message}
    return {"status": status, **kept, **fields}


def _completes(message: Message, talk: Talk) -> Instead:
    """Treat a segment as if nothing were wrong with it."""
    yield _said(message, "processing", bytes=talk.sizes[message["segment"] - 1])
    yield _said(message, "result", signals=[])
    yield _said(message, "completed")


def _too_small(message: Message, talk: Talk) -> bool:
    size: int = talk.sizes[message["segment"] - 1]
    return 0 < size < 10_000


def _times(part: str, shift: Callable[[float, Message], float]) -> Behaviour:
    """Tell other times in a part of results."""

    def told(message: Message, talk: Talk) -> None:
        for span in message.get(part) or ():
            span["start"], span["end"] = shift(span["start"], message), shift(span["end"], message)

    return edit("result", told)


def _query(make: Callable[[str], str | None]) -> Behaviour:
    """Read the query in another way: each part of it, as it was sent, for something else or for nothing."""

    def other(request: UpgradeRequested, talk: Talk) -> UpgradeRequested:
        path, _, query = request.target.partition("?")
        parts = [made for part in query.split("&") if part and (made := make(part)) is not None]
        return attrs.evolve(request, target=path + ("?" + "&".join(parts) if parts else ""))

    return asks(other)


def _refuse_unknown(request: UpgradeRequested, talk: Talk) -> UpgradeRequested | Answer:
    values = [value for name, value in request.query if name == INCLUDE_PARAMETER]
    unknown = [value for value in values if value not in (INCLUDE_OVERALL, INCLUDE_TIMELINE)]
    return refusal(400, "ih4005", "no such section") if unknown else request


def _both(part: str) -> str:
    """Take one section for both."""
    if not any(name == INCLUDE_PARAMETER for name, _ in parse_qsl(part)):
        return part
    return urlencode([(INCLUDE_PARAMETER, INCLUDE_OVERALL), (INCLUDE_PARAMETER, INCLUDE_TIMELINE)])


FAULTS = (
    Fault("STS-1.no-processing", "Does not say that it has a segment", withhold("processing"), _STATUS),
    Fault("STS-1.no-result", "Completes segments without a result", withhold("result"), _STATUS),
    Fault("STS-1.never-completes", "Does not say that a segment is completed", withhold("completed"), _STATUS),
    Fault("STS-1.twice", "Says twice that a segment is completed", repeat("completed"), _STATUS),
    Fault("STS-1.bytes", "Tells another size of a segment than it has", change("processing", bytes=1), _STATUS),
    Fault(
        "STS-1.no-segment",
        "Does not say which segment an error is about",
        edit("error", lambda message, talk: message.pop("segment", None)),
        _STATUS,
    ),
    Fault(
        "STS-1.no-correlation-id",
        "Sends results without a correlation_id",
        edit("result", lambda message, talk: message.pop("correlation_id")),
        _V0_2,
    ),
    Fault(
        "STS-2.of-session",
        "Counts the times of signals from the start of the session",
        _times("signals", lambda time, message: time + 3.1 * (message["segment"] - 1)),
        _V0,
    ),
    Fault(
        "STS-2.of-segment",
        "Counts the times of signals from the start of the segment",
        _times("signals", lambda time, message: max(0, time - 3.02 * (message["segment"] - 1))),
        _V0_2,
    ),
    Fault(
        "STS-3.all-so-far",
        "Tells engagement of the whole session with each segment",
        _times("engagement_state", lambda time, message: max(0, time - 3.02)),
        _V0_2,
    ),
    Fault(
        "STS-3.unasked",
        "Scores segments although nobody asked",
        edit("result", lambda message, talk: message.setdefault("conversation_quality", {"overall": _FIFTY})),
        _V0_2,
    ),
    Fault(
        "STS-4.words",
        "Says in words of its own that a segment is too large",
        change("error", lambda message, talk: "too large" in message["error"], error="Too big, sorry"),
        _V0,
    ),
    Fault("SEG-3.small", "Takes segments of less than 10 KB", says("error", _completes, _too_small), _V0),
    Fault(
        "SEG-3.large",
        "Takes segments of more than 20 MB",
        says("error", _completes, lambda message, talk: "too large" in message["error"]),
        _V0,
    ),
    Fault(
        "HS-15.encoded",
        "Does not understand encoded brackets in the query",
        _query(lambda part: None if part.lower().startswith(_ENCODED) else part),
        _V0_2,
    ),
    Fault(
        "HS-15.literal",
        "Does not understand literal brackets in the query",
        _query(lambda part: None if part.startswith(INCLUDE_PARAMETER) else part),
        _V0_2,
    ),
    Fault(
        "HS-15.timeline",
        "Does not know the timeline",
        _query(lambda part: None if INCLUDE_TIMELINE in part else part),
        _V0_2,
    ),
    Fault("HS-15.all", "Sends all sections where one is asked for", _query(_both), _V0_2),
    Fault("HS-15.refuses", "Refuses a section that there is not", asks(_refuse_unknown), _V0_2),
)
