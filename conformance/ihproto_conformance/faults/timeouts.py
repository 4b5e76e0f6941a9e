"""Faults in the timeouts that the contract promises."""

from __future__ import annotations

from ihproto.wire import RawClose
from ihproto_conformance.faults.blocks import Instead, Message, another, change, error, says, withhold, write
from ihproto_conformance.faults.fault import Behaviour, Fault, Forward, Later, Say, Talk

_NEVER = 10_000_000
_IDLE = "session_idle_timeout_seconds"
_DURATION = "session_max_duration_seconds"


def _expires(code: str, seconds: float) -> Behaviour:
    """Let the session expire so many seconds after it began."""

    def ready(message: Message, talk: Talk) -> Instead:
        yield message
        expired = another(message, "error", code=code, message="the time is over", link=None, segment=None)
        yield Later(seconds, (write(expired), Say(RawClose(1001)), Forward(RawClose(1000))))

    return says("session.ready", ready)


FAULTS = (
    Fault(
        "TMO-1.never",
        "Lets a client say nothing for ever",
        change("session.ready", **{_IDLE: 300}),
        contract={_IDLE: _NEVER},
    ),
    Fault(
        "TMO-1.early",
        "Ends silence long before the time it promised",
        change("session.ready", **{_IDLE: 300}),
        contract={_IDLE: 100},
    ),
    Fault(
        "TMO-1.not-afresh", "Ends a session after the idle timeout, whatever the client says", _expires("ih6003", 300)
    ),
    Fault("TMO-1.no-error", "Ends silence without a word", withhold("error", error("ih6003"))),
    Fault("TMO-1.code", "Ends silence with ih6004", change("error", error("ih6003"), code="ih6004")),
    Fault(
        "TMO-2.never",
        "Lets a session last for ever",
        change("session.ready", **{_DURATION: 3600}),
        contract={_DURATION: _NEVER},
    ),
    Fault(
        "TMO-2.early",
        "Ends a session long before the time it promised",
        change("session.ready", **{_DURATION: 3600}),
        contract={_DURATION: 1000},
    ),
    Fault("TMO-2.no-error", "Ends a long session without a word", withhold("error", error("ih6004"))),
    Fault("TMO-2.code", "Ends a long session with ih6003", change("error", error("ih6004"), code="ih6003")),
)
