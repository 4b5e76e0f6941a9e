"""The two automata of a session, as tables.

The theory
==========

A session begins when the WebSocket is open and ends when it is closed. In between, each side keeps one state, and
every thing that happens to a session (a message sent or received, a close, a connection lost) is one *trigger*. A
table says for every state and every trigger what follows: either the next state, or a `Refusal`, which names the
clause that forbids the trigger in that state.

The tables are total: there is no pair without an entry, so there is no case that nobody thought of. They are also the
program: the sessions hold an `Automaton`, step it, and do what it says. A refusal of a trigger that we caused
ourselves becomes a `LocalProtocolError`; a refusal of one that the peer caused becomes a `Violation` of the peer.
After a peer's fault a lenient session goes on, in the state that the refusal names (by default the one it was in).

The client
----------

It waits for `session.ready` (RDY-1, RDY-4); before that only a config may be sent, and an error explains a session
that never came to be (RDY-3). While OPEN, everything flows. `session.close` starts the graceful close: the server
answers `session.closing`, finishes, says `session.ended`, and closes (CLS-1). A server that does not know
`session.close` takes it for a broken config and answers `ih6001`: the session is simply OPEN again. FAILED means that
an error arrived whose id announces a close (ERR-2); since not every server closes then, it forbids nothing.
FAILED_CLOSING is the same after `session.close`: the close may come without `session.ended`, and media stays forbidden.

In revisions without `session.ready` the client is OPEN from the beginning. In those without `session.close` it ends a
session by FINISHING: it sends no more media, waits for what the server still has to say, and closes.

The server
----------

It says `session.ready` or an error first, before it takes anything of the client: a config that the client sent in
the meantime (RDY-4) waits in the socket. The request for a graceful close moves it to CLOSE_REQUESTED and its
own `session.closing` to DRAINING; from then on media is refused (CLS-2) and the results of the accepted analysis
still go out, until `session.ended`, which nothing follows but the close. In revisions without `session.ready` the
session begins without a word. A drain never outlasts the maximum duration
(TMO-2): what remains of it is all that `session.closing` announces, so a session that is draining ends as promised
instead of being cut off.

Closing
-------

Either side may close at any time, without asking (CLS-3). After our own close frame the peer's messages may still be
in flight: they are let through, in whatever order, until its close arrives. CLOSED ends everything. A server that
closes instead of answering `session.close` is refused by the table, and blamed only if it is known to have seen it
(it answered a config that was sent later): otherwise the two may have crossed.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

import attrs

from ihproto.clauses import clause
from ihproto.errors import Finding


class _Symbol(enum.Enum):
    """Its members are found in tables by identity, which is faster than by name and as good: each is there once."""

    __hash__ = object.__hash__


class ClientState(_Symbol):
    """Where a session stands, as its client sees it."""

    AWAITING_READY = "AWAITING_READY"
    REFUSED = "REFUSED"
    OPEN = "OPEN"
    FAILED = "FAILED"
    FAILED_CLOSING = "FAILED_CLOSING"
    CLOSE_REQUESTED = "CLOSE_REQUESTED"
    DRAINING = "DRAINING"
    FINISHING = "FINISHING"
    ENDED = "ENDED"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"


class ClientTrigger(_Symbol):
    """What can happen to a client's session."""

    SEND_CONFIG = "send a config"
    SEND_SEGMENT = "send a segment"
    SEND_SESSION_CLOSE = "send session.close"
    FINISH = "send no more media"
    SEND_CLOSE = "close"
    RECEIVE_READY = "session.ready arrives"
    RECEIVE_REPORT = "another envelope arrives"
    RECEIVE_ERROR = "an error arrives"
    RECEIVE_FATAL_ERROR = "an error arrives that announces a close"
    RECEIVE_CLOSE_REFUSED = "session.close is answered by ih6001"
    RECEIVE_CLOSING = "session.closing arrives"
    RECEIVE_ENDED = "session.ended arrives"
    RECEIVE_CLOSE = "the peer closes"
    LOSE = "the connection is lost"


class ServerState(_Symbol):
    """Where a session stands, as its server sees it."""

    OPENING = "OPENING"
    REFUSED = "REFUSED"
    OPEN = "OPEN"
    CLOSE_REQUESTED = "CLOSE_REQUESTED"
    DRAINING = "DRAINING"
    ENDED = "ENDED"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"


class ServerTrigger(_Symbol):
    """What can happen to a server's session."""

    SEND_READY = "send session.ready"
    BEGIN = "begin without session.ready"
    SEND_REPORT = "send another envelope"
    SEND_ERROR = "send an error"
    SEND_CLOSING = "send session.closing"
    SEND_ENDED = "send session.ended"
    SEND_CLOSE = "close"
    RECEIVE_CONFIG = "a config arrives"
    RECEIVE_SEGMENT = "a segment arrives"
    RECEIVE_SESSION_CLOSE = "session.close arrives"
    RECEIVE_CLOSE = "the peer closes"
    LOSE = "the connection is lost"


S = TypeVar("S", bound=enum.Enum)
T = TypeVar("T", bound=enum.Enum)


@attrs.frozen
class Refusal(Generic[S]):
    """An entry of a table: this trigger is not allowed in this state.

    Attributes:
        clause_id: The clause that forbids it.
        what: What is wrong, and the cure.
        then: The state in which a lenient session goes on; None for the one it was in.
    """

    clause_id: str
    what: str
    then: S | None = None


_C, _c = ClientState, ClientTrigger
_S, _s = ServerState, ServerTrigger

_SECOND_READY: Refusal[ClientState] = Refusal("RDY-1", "session.ready came a second time; it is sent exactly once")
_BEFORE_READY: Refusal[ClientState] = Refusal("RDY-1", "an envelope came before session.ready, which must be the first")
_NOT_READY: Refusal[ClientState] = Refusal(
    "RDY-4", "the session is not ready for video; wait until session.ready has arrived"
)
_REFUSED: Refusal[ClientState] = Refusal("RDY-3", "the server refused this session; open a new one")
_AFTER_REFUSAL: Refusal[ClientState] = Refusal(
    "RDY-3", "an envelope came after the error that refused the session; only a close may follow"
)
_MEDIA_AFTER_CLOSE: Refusal[ClientState] = Refusal(
    "CLS-2", "no media may follow session.close; send all segments first"
)
_CLOSE_TWICE: Refusal[ClientState] = Refusal("CLS-1", "session.close was sent already; wait for session.ended")
_FINISHED: Refusal[ClientState] = Refusal(
    "CLS-3", "the session is finishing; send all segments before it is ended, or open a new one"
)
_CLOSING_UNASKED: Refusal[ClientState] = Refusal(
    "CLS-1", "session.closing came, but nobody asked for it", then=ClientState.DRAINING
)
_ENDED_UNASKED: Refusal[ClientState] = Refusal(
    "CLS-1", "session.ended came, but nobody asked for it", then=ClientState.ENDED
)
_AFTER_ENDED: Refusal[ClientState] = Refusal(
    "CLS-1", "something came after session.ended, which is the last message of a session"
)
_SESSION_ENDED: Refusal[ClientState] = Refusal("CLS-1", "the session has ended; open a new one")
_CLOSE_SENT: Refusal[ClientState] = Refusal("CLS-3", "this side has closed the session; nothing can be sent any more")
_CLOSED: Refusal[ClientState] = Refusal("CLS-3", "the session is closed")


def _client_sends(
    config: ClientState | Refusal[ClientState],
    segment: ClientState | Refusal[ClientState],
    session_close: ClientState | Refusal[ClientState],
    finish: ClientState | Refusal[ClientState] | None = None,
) -> dict[ClientTrigger, ClientState | Refusal[ClientState]]:
    """The entries that every state before CLOSING has in common, and the sends in which they differ.

    What forbids `session.close` forbids to finish as well, where nothing else is said.
    """
    return {
        _c.SEND_CONFIG: config,
        _c.SEND_SEGMENT: segment,
        _c.SEND_SESSION_CLOSE: session_close,
        _c.FINISH: finish if finish is not None else session_close,
        _c.SEND_CLOSE: _C.CLOSING,
        _c.RECEIVE_CLOSE: _C.CLOSED,
        _c.LOSE: _C.CLOSED,
    }


CLIENT_TABLE: Mapping[ClientState, Mapping[ClientTrigger, ClientState | Refusal[ClientState]]] = MappingProxyType(
    {
        _C.AWAITING_READY: {
            **_client_sends(
                config=_C.AWAITING_READY,
                segment=_NOT_READY,
                session_close=Refusal("RDY-4", "there is no session to end yet; close the connection instead"),
            ),
            _c.RECEIVE_READY: _C.OPEN,
            _c.RECEIVE_REPORT: _BEFORE_READY,
            _c.RECEIVE_ERROR: _C.REFUSED,
            _c.RECEIVE_FATAL_ERROR: _C.REFUSED,
            _c.RECEIVE_CLOSE_REFUSED: _C.REFUSED,
            _c.RECEIVE_CLOSING: _BEFORE_READY,
            _c.RECEIVE_ENDED: _BEFORE_READY,
        },
        _C.REFUSED: {
            **_client_sends(config=_REFUSED, segment=_REFUSED, session_close=_REFUSED),
            _c.RECEIVE_READY: Refusal(
                "RDY-3", "session.ready came after the error that refused the session", then=_C.OPEN
            ),
            _c.RECEIVE_REPORT: _AFTER_REFUSAL,
            _c.RECEIVE_ERROR: _C.REFUSED,
            _c.RECEIVE_FATAL_ERROR: _C.REFUSED,
            _c.RECEIVE_CLOSE_REFUSED: _C.REFUSED,
            _c.RECEIVE_CLOSING: _AFTER_REFUSAL,
            _c.RECEIVE_ENDED: _AFTER_REFUSAL,
        },
        _C.OPEN: {
            **_client_sends(config=_C.OPEN, segment=_C.OPEN, session_close=_C.CLOSE_REQUESTED, finish=_C.FINISHING),
            _c.RECEIVE_READY: _SECOND_READY,
            _c.RECEIVE_REPORT: _C.OPEN,
            _c.RECEIVE_ERROR: _C.OPEN,
            _c.RECEIVE_FATAL_ERROR: _C.FAILED,
            _c.RECEIVE_CLOSE_REFUSED: _C.OPEN,
            _c.RECEIVE_CLOSING: _CLOSING_UNASKED,
            _c.RECEIVE_ENDED: _ENDED_UNASKED,
        },
        _C.FAILED: {
            **_client_sends(config=_C.FAILED, segment=_C.FAILED, session_close=_C.FAILED_CLOSING, finish=_C.FINISHING),
            _c.RECEIVE_READY: _SECOND_READY,
            _c.RECEIVE_REPORT: _C.FAILED,
            _c.RECEIVE_ERROR: _C.FAILED,
            _c.RECEIVE_FATAL_ERROR: _C.FAILED,
            _c.RECEIVE_CLOSE_REFUSED: _C.FAILED,
            _c.RECEIVE_CLOSING: _CLOSING_UNASKED,
            _c.RECEIVE_ENDED: _ENDED_UNASKED,
        },
        _C.FAILED_CLOSING: {
            **_client_sends(config=_C.FAILED_CLOSING, segment=_MEDIA_AFTER_CLOSE, session_close=_CLOSE_TWICE),
            _c.RECEIVE_READY: _SECOND_READY,
            _c.RECEIVE_REPORT: _C.FAILED_CLOSING,
            _c.RECEIVE_ERROR: _C.FAILED_CLOSING,
            _c.RECEIVE_FATAL_ERROR: _C.FAILED_CLOSING,
            _c.RECEIVE_CLOSE_REFUSED: _C.FAILED,
            _c.RECEIVE_CLOSING: _C.FAILED_CLOSING,
            _c.RECEIVE_ENDED: _C.ENDED,
        },
        _C.CLOSE_REQUESTED: {
            **_client_sends(config=_C.CLOSE_REQUESTED, segment=_MEDIA_AFTER_CLOSE, session_close=_CLOSE_TWICE),
            _c.RECEIVE_READY: _SECOND_READY,
            _c.RECEIVE_REPORT: _C.CLOSE_REQUESTED,
            _c.RECEIVE_ERROR: _C.CLOSE_REQUESTED,
            _c.RECEIVE_FATAL_ERROR: _C.FAILED_CLOSING,
            _c.RECEIVE_CLOSE_REFUSED: _C.OPEN,
            _c.RECEIVE_CLOSING: _C.DRAINING,
            _c.RECEIVE_ENDED: Refusal("CLS-1", "session.ended came without session.closing before it", then=_C.ENDED),
            _c.RECEIVE_CLOSE: Refusal(
                "CLS-1", "the server closed without answering session.close by session.closing", then=_C.CLOSED
            ),
        },
        _C.DRAINING: {
            **_client_sends(config=_C.DRAINING, segment=_MEDIA_AFTER_CLOSE, session_close=_CLOSE_TWICE),
            _c.RECEIVE_READY: _SECOND_READY,
            _c.RECEIVE_REPORT: _C.DRAINING,
            _c.RECEIVE_ERROR: _C.DRAINING,
            _c.RECEIVE_FATAL_ERROR: _C.FAILED_CLOSING,
            _c.RECEIVE_CLOSE_REFUSED: _C.DRAINING,
            _c.RECEIVE_CLOSING: Refusal("CLS-1", "session.closing came a second time"),
            _c.RECEIVE_ENDED: _C.ENDED,
            _c.RECEIVE_CLOSE: Refusal(
                "CLS-1", "the server closed in the middle of the drain, without session.ended", then=_C.CLOSED
            ),
        },
        _C.FINISHING: {
            **_client_sends(config=_C.FINISHING, segment=_FINISHED, session_close=_FINISHED),
            _c.RECEIVE_READY: _SECOND_READY,
            _c.RECEIVE_REPORT: _C.FINISHING,
            _c.RECEIVE_ERROR: _C.FINISHING,
            _c.RECEIVE_FATAL_ERROR: _C.FINISHING,
            _c.RECEIVE_CLOSE_REFUSED: _C.FINISHING,
            _c.RECEIVE_CLOSING: _CLOSING_UNASKED,
            _c.RECEIVE_ENDED: _ENDED_UNASKED,
        },
        _C.ENDED: {
            **_client_sends(config=_SESSION_ENDED, segment=_SESSION_ENDED, session_close=_SESSION_ENDED),
            _c.RECEIVE_READY: _AFTER_ENDED,
            _c.RECEIVE_REPORT: _AFTER_ENDED,
            _c.RECEIVE_ERROR: _AFTER_ENDED,
            _c.RECEIVE_FATAL_ERROR: _AFTER_ENDED,
            _c.RECEIVE_CLOSE_REFUSED: _AFTER_ENDED,
            _c.RECEIVE_CLOSING: _AFTER_ENDED,
            _c.RECEIVE_ENDED: _AFTER_ENDED,
        },
        _C.CLOSING: {
            **dict.fromkeys(_c, _C.CLOSING),
            _c.SEND_CONFIG: _CLOSE_SENT,
            _c.SEND_SEGMENT: _CLOSE_SENT,
            _c.SEND_SESSION_CLOSE: _CLOSE_SENT,
            _c.FINISH: _CLOSE_SENT,
            _c.SEND_CLOSE: _CLOSE_SENT,
            _c.RECEIVE_CLOSE: _C.CLOSED,
            _c.LOSE: _C.CLOSED,
        },
        _C.CLOSED: dict.fromkeys(_c, _CLOSED),
    }
)

_OPENING_FIRST: Refusal[ServerState] = Refusal(
    "RDY-1", "session.ready, or an error, must be sent before anything else is sent or taken"
)
_READY_SENT: Refusal[ServerState] = Refusal("RDY-1", "session.ready was sent already; it is sent exactly once")
_BEGUN: Refusal[ServerState] = Refusal("RDY-1", "the session has begun already")
_NOBODY_ASKED: Refusal[ServerState] = Refusal("CLS-1", "the client has not asked for a graceful close")
_ONLY_CLOSE: Refusal[ServerState] = Refusal("RDY-3", "the session was refused; only a close may follow")
_ENDED_LAST: Refusal[ServerState] = Refusal("CLS-1", "session.ended is the last message; only a close may follow")
_NOT_DRAINING: Refusal[ServerState] = Refusal("CLS-1", "session.closing comes before session.ended")
_LATE_MEDIA: Refusal[ServerState] = Refusal("CLS-2", "media came after session.close; send all segments before it")
_ASKED_TWICE: Refusal[ServerState] = Refusal("CLS-1", "session.close came a second time")
_SERVER_CLOSED: Refusal[ServerState] = Refusal("CLS-3", "the session is closed; nothing can be sent any more")

_SERVER_CLOSES: dict[ServerTrigger, ServerState | Refusal[ServerState]] = {
    _s.SEND_CLOSE: _S.CLOSING,
    _s.RECEIVE_CLOSE: _S.CLOSED,
    _s.LOSE: _S.CLOSED,
}
_SERVER_SENDS = (
    _s.SEND_READY,
    _s.BEGIN,
    _s.SEND_REPORT,
    _s.SEND_ERROR,
    _s.SEND_CLOSING,
    _s.SEND_ENDED,
    _s.SEND_CLOSE,
)

SERVER_TABLE: Mapping[ServerState, Mapping[ServerTrigger, ServerState | Refusal[ServerState]]] = MappingProxyType(
    {
        _S.OPENING: {
            **_SERVER_CLOSES,
            _s.SEND_READY: _S.OPEN,
            _s.BEGIN: _S.OPEN,
            _s.SEND_REPORT: _OPENING_FIRST,
            _s.SEND_ERROR: _S.REFUSED,
            _s.SEND_CLOSING: _OPENING_FIRST,
            _s.SEND_ENDED: _OPENING_FIRST,
            _s.RECEIVE_CONFIG: _OPENING_FIRST,
            _s.RECEIVE_SEGMENT: _OPENING_FIRST,
            _s.RECEIVE_SESSION_CLOSE: _OPENING_FIRST,
        },
        _S.REFUSED: {
            **_SERVER_CLOSES,
            _s.SEND_READY: _ONLY_CLOSE,
            _s.BEGIN: _ONLY_CLOSE,
            _s.SEND_REPORT: _ONLY_CLOSE,
            _s.SEND_ERROR: _S.REFUSED,
            _s.SEND_CLOSING: _ONLY_CLOSE,
            _s.SEND_ENDED: _ONLY_CLOSE,
            _s.RECEIVE_CONFIG: _S.REFUSED,
            _s.RECEIVE_SEGMENT: _S.REFUSED,
            _s.RECEIVE_SESSION_CLOSE: _S.REFUSED,
        },
        _S.OPEN: {
            **_SERVER_CLOSES,
            _s.SEND_READY: _READY_SENT,
            _s.BEGIN: _BEGUN,
            _s.SEND_REPORT: _S.OPEN,
            _s.SEND_ERROR: _S.OPEN,
            _s.SEND_CLOSING: _NOBODY_ASKED,
            _s.SEND_ENDED: _NOBODY_ASKED,
            _s.RECEIVE_CONFIG: _S.OPEN,
            _s.RECEIVE_SEGMENT: _S.OPEN,
            _s.RECEIVE_SESSION_CLOSE: _S.CLOSE_REQUESTED,
        },
        _S.CLOSE_REQUESTED: {
            **_SERVER_CLOSES,
            _s.SEND_READY: _READY_SENT,
            _s.BEGIN: _BEGUN,
            _s.SEND_REPORT: _S.CLOSE_REQUESTED,
            _s.SEND_ERROR: _S.CLOSE_REQUESTED,
            _s.SEND_CLOSING: _S.DRAINING,
            _s.SEND_ENDED: _NOT_DRAINING,
            _s.RECEIVE_CONFIG: _S.CLOSE_REQUESTED,
            _s.RECEIVE_SEGMENT: _LATE_MEDIA,
            _s.RECEIVE_SESSION_CLOSE: _ASKED_TWICE,
        },
        _S.DRAINING: {
            **_SERVER_CLOSES,
            _s.SEND_READY: _READY_SENT,
            _s.BEGIN: _BEGUN,
            _s.SEND_REPORT: _S.DRAINING,
            _s.SEND_ERROR: _S.DRAINING,
            _s.SEND_CLOSING: Refusal("CLS-1", "session.closing was sent already"),
            _s.SEND_ENDED: _S.ENDED,
            _s.RECEIVE_CONFIG: _S.DRAINING,
            _s.RECEIVE_SEGMENT: _LATE_MEDIA,
            _s.RECEIVE_SESSION_CLOSE: _ASKED_TWICE,
        },
        _S.ENDED: {
            **dict.fromkeys(_s, _S.ENDED),
            **dict.fromkeys(_SERVER_SENDS, _ENDED_LAST),
            **_SERVER_CLOSES,
        },
        _S.CLOSING: {
            **dict.fromkeys(_s, _S.CLOSING),
            **dict.fromkeys(_SERVER_SENDS, _SERVER_CLOSED),
            _s.RECEIVE_CLOSE: _S.CLOSED,
            _s.LOSE: _S.CLOSED,
        },
        _S.CLOSED: dict.fromkeys(_s, _SERVER_CLOSED),
    }
)


class Automaton(Generic[S, T]):
    """A table and the state one session has reached in it.

    Args:
        table: `CLIENT_TABLE` or `SERVER_TABLE`.
        state: The state to begin in.
    """

    def __init__(self, table: Mapping[S, Mapping[T, S | Refusal[S]]], state: S) -> None:
        self._table = table
        self.state: S = state

    def allows(self, trigger: T) -> bool:
        """Tell whether the trigger is allowed in the present state, without stepping."""
        return not isinstance(self._table[self.state][trigger], Refusal)

    def refuses(self, trigger: T) -> Finding | None:
        """Tell why the trigger is not allowed in the present state, or None if it is, without stepping."""
        entry = self._table[self.state][trigger]
        return Finding(clause(entry.clause_id), entry.what) if isinstance(entry, Refusal) else None

    def step(self, trigger: T) -> Finding | None:
        """Let the trigger happen.

        Returns:
            None if it was allowed; otherwise what the refusal says. The state then is the one that the refusal
            names to go on in.
        """
        entry = self._table[self.state][trigger]
        if isinstance(entry, Refusal):
            if entry.then is not None:
                self.state = entry.then
            return Finding(clause(entry.clause_id), entry.what)
        self.state = entry
        return None


def client_automaton(*, awaits_ready: bool = True) -> Automaton[ClientState, ClientTrigger]:
    """Make the automaton of a client whose WebSocket has just opened.

    Args:
        awaits_ready: Whether the session begins with `session.ready` (RDY-1).
    """
    return Automaton(CLIENT_TABLE, ClientState.AWAITING_READY if awaits_ready else ClientState.OPEN)


def server_automaton() -> Automaton[ServerState, ServerTrigger]:
    """Make the automaton of a server whose WebSocket has just opened."""
    return Automaton(SERVER_TABLE, ServerState.OPENING)
