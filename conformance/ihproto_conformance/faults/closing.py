"""Faults in how sessions end."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ihproto.wire import RawBytes, RawClose, RawText
from ihproto_conformance.faults.blocks import (
    Instead,
    Message,
    another,
    change,
    close_with,
    closes,
    data,
    follow,
    hears,
    kind,
    repeat,
    says,
    stay_open,
    withhold,
    write,
)
from ihproto_conformance.faults.fault import (
    Act,
    Behaviour,
    Drop,
    Fault,
    Forward,
    Later,
    Passed,
    Pause,
    Say,
    Talk,
    Verbatim,
)

_MESSAGE_FRAME = b"\x81\x04more"


def _at_close(*acts: Act) -> Behaviour:
    """Do something else when the client asks for the end."""
    return hears(lambda message, talk: acts if message is not None and message.get("type") == "session.close" else None)


def _answered(make: Callable[[RawClose], Iterable[Act]]) -> Behaviour:
    """Answer the close frame of a client in another way."""

    def client(passed: Passed, talk: Talk) -> Iterable[Act]:
        return make(passed) if isinstance(passed, RawClose) else (Forward(passed),)

    return Behaviour(client=client)


def _takes_late_media(message: Message, talk: Talk) -> Instead:
    if kind(message) == "session.ended":
        # As if it had something to analyse.
        yield Pause(2)
        yield message
    elif data(message)["code"] != "ih6001" or data(message)["segment"] is None:
        yield message


def _drags_on(passed: Passed, talk: Talk) -> Iterable[Act]:
    """Say the end long after it was due."""
    if isinstance(passed, RawText) and kind(talk.said[-1]) == "session.ended":
        talk.notes["ended"] = True
        return (Later(100, (Say(passed), Say(RawClose(1000)))),)
    if isinstance(passed, RawClose) and talk.notes.get("ended"):
        # A client that has closed in the meantime has its answer by this.
        answer = (Say(passed),) if talk.notes.get("closed") else ()
        return (Forward(RawClose(passed.code)), *answer)
    return (Say(passed),)


def _patient(passed: Passed, talk: Talk) -> Iterable[Act]:
    """Refuse media that come while the drain lasts, and answer a client that does not wait for its end."""
    if isinstance(passed, RawBytes) and {"type": "session.close"} in talk.asked:
        fields = {"code": "ih6001", "message": "too late", "link": None, "segment": talk.segments}
        return (write(another(talk.said[-1], "error", **fields)),)
    if isinstance(passed, RawClose):
        talk.notes["closed"] = True
        if talk.notes.get("ended"):
            return (Say(passed), Forward(passed))
    return (Forward(passed),)


FAULTS = (
    Fault("CLS-1.no-closing", "Ends gracefully without session.closing", withhold("session.closing")),
    Fault("CLS-1.closing-twice", "Says session.closing twice", repeat("session.closing")),
    Fault(
        "CLS-1.negative-drain", "Promises a drain of less than no time", change("session.closing", max_drain_seconds=-1)
    ),
    Fault("CLS-1.no-ended", "Ends gracefully without session.ended", withhold("session.ended")),
    Fault("CLS-1.reason", "Gives another reason in session.ended", change("session.ended", reason="done")),
    Fault("CLS-1.more", "Says something after session.ended", follow("session.ended", ("server.bye", {}))),
    Fault("CLS-1.code", "Closes with 1001 at the end of a graceful close", close_with(1001, 1000)),
    Fault("CLS-1.stays", "Does not close after session.ended", stay_open(1000)),
    Fault(
        "CLS-1.drags-on",
        "Takes longer for the drain than it said",
        Behaviour(server=_drags_on, client=_patient),
    ),
    Fault("CLS-1.at-once", "Closes at once where a graceful close is asked for", _at_close(Forward(RawClose(1000)))),
    Fault("CLS-1.unknown", "Does not know session.close", _at_close(Forward(RawText('{"unknown":1}')))),
    Fault("CLS-1.deaf", "Takes no notice of session.close", _at_close()),
    Fault(
        "CLS-2.takes", "Says nothing of media after session.close", says(("error", "session.ended"), _takes_late_media)
    ),
    Fault("CLS-3.unanswered", "Does not answer a close frame", _answered(lambda close: ())),
    Fault("CLS-3.drops", "Drops the connection where the client closes", _answered(lambda close: (Drop(),))),
    Fault(
        "CLS-3.goes-on",
        "Sends a message after its close frame",
        closes(lambda close, talk: (Say(close), Verbatim(_MESSAGE_FRAME))),
    ),
)
