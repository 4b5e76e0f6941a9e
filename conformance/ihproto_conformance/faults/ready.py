"""Faults of `session.ready`: when it comes, and what it promises."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from ihproto import V1
from ihproto.codec import encode_json
from ihproto.wire import RawText
from ihproto_conformance.faults.blocks import (
    Instead,
    Message,
    add,
    another,
    change,
    error,
    hears,
    leave_out,
    once,
    repeat,
    says,
    together,
    withhold,
)
from ihproto_conformance.faults.fault import Act, Behaviour, Fault, Forward, Pause, Talk

V1_READY = msgspec.json.decode(encode_json(V1.contract))


def _hold_ready(early: Callable[[Talk], Iterable[Act]]) -> Behaviour:
    """Take a moment for `session.ready`, and do something else with texts that come before it."""

    def ready(message: Message, talk: Talk) -> Instead:
        yield Pause(0.5)
        talk.notes["said"] = True
        yield message

    return together(
        says("session.ready", ready), hears(lambda config, talk: None if talk.notes.get("said") else early(talk))
    )


def _refuse_early(talk: Talk) -> Iterable[Act]:
    # Nothing can be said before session.ready, so that it is said right behind it.
    yield Pause(1)
    yield Forward(RawText("too early"))


def _ready_first(message: Message, talk: Talk) -> Instead:
    yield another(message, "session.ready", **V1_READY)
    yield message


FAULTS = (
    Fault("RDY-1.never", "Says no session.ready", withhold("session.ready")),
    Fault("RDY-1.twice", "Says session.ready twice", repeat("session.ready")),
    Fault(
        "RDY-1.again",
        "Says session.ready again when a config is confirmed",
        says("session.updated", lambda message, talk: (message, talk.said[0]), once()),
    ),
    Fault("RDY-1.second", "Says something else before session.ready", add("session.ready", "server.hello", {})),
    Fault(
        "RDY-2.no-size", "Does not say how large a segment may be", leave_out("session.ready", "max_segment_size_bytes")
    ),
    Fault(
        "RDY-2.no-options",
        "Does not say which options there are",
        leave_out("session.ready", "supported_session_config_options"),
    ),
    Fault(
        "RDY-2.impossible",
        "Promises that segments are larger than they may be",
        change("session.ready", min_segment_size_bytes=300_000),
    ),
    Fault("RDY-2.text", "Tells a timeout as text", change("session.ready", session_idle_timeout_seconds="300")),
    Fault(
        "RDY-3.ready",
        "Says session.ready in a session that it refuses then",
        says("error", _ready_first, error("ih2003")),
        also=("HS-11",),
    ),
    Fault("RDY-4.forgets", "Takes no notice of a config that comes before session.ready", _hold_ready(lambda talk: ())),
    Fault("RDY-4.refuses", "Refuses a config that comes before session.ready", _hold_ready(_refuse_early)),
)
