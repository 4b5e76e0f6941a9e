"""Every entry of the two tables, taken by a session: everything is tried in every state, the forbidden things too.

What can be tried is what an owner can call and what can arrive. Entries that no session can take are listed in `NEVER`,
with the reason.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from typing import Any

import attrs
from states.copies import copied, frozen
from states.ends import STARTED_AT, client_session, segment, server_session

import ihproto as ih
from ihproto.automata import CLIENT_TABLE, SERVER_TABLE, Automaton, ClientTrigger, Refusal, ServerTrigger

_C, _c, _S, _s = ih.ClientState, ClientTrigger, ih.ServerState, ServerTrigger

_TIMESTAMP = STARTED_AT.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
#: More segments, or more texts without an answer, lead into no state of the table that fewer do not lead into.
_SEGMENTS, _TEXTS = 2, 3


class Recorder:
    """Takes note of the entries of the tables that sessions use."""

    def __init__(self, taken: Counter[tuple[Any, Any]]) -> None:
        self._taken = taken
        self._step, self._refuses = Automaton.step, Automaton.refuses

    def __enter__(self) -> None:
        taken, step, refuses = self._taken, self._step, self._refuses

        def stepped(automaton: Automaton[Any, Any], trigger: Any) -> Any:
            taken[automaton.state, trigger] += 1
            return step(automaton, trigger)

        def refused(automaton: Automaton[Any, Any], trigger: Any) -> Any:
            finding = refuses(automaton, trigger)
            if finding is not None:
                taken[automaton.state, trigger] += 1
            return finding

        Automaton.step = stepped  # type: ignore[method-assign, assignment]
        Automaton.refuses = refused  # type: ignore[method-assign, assignment]

    def __exit__(self, *_: object) -> None:
        Automaton.step = self._step  # type: ignore[method-assign]
        Automaton.refuses = self._refuses  # type: ignore[method-assign]


@attrs.define
class Tried:
    """What became of a table when everything was tried.

    Attributes:
        taken: The entries that were used, allowed ones and refusals.
        unsaid: Refusals that were taken without a word about their clause.
    """

    taken: set[tuple[Any, Any]] = attrs.Factory(set)
    unsaid: set[tuple[Any, Any]] = attrs.Factory(set)


def try_client(revision: ih.Revision) -> Tried:
    """Try everything in every state that a client can reach by any of it."""
    steps = _client_steps(revision)

    def small(client: ih.ClientSession) -> bool:
        return client.segments_sent < _SEGMENTS and client._rules.config.unanswered < _TEXTS

    tried = _try(client_session(revision), steps, small)
    # The two may have crossed on their way, and then nobody is to blame.
    tried.unsaid.discard((_C.CLOSE_REQUESTED, _c.RECEIVE_CLOSE))
    return tried


def try_server(revision: ih.Revision) -> Tried:
    """Try everything in every state that a server can reach by any of it."""

    def small(server: ih.ServerSession) -> bool:
        return server.segments_received < _SEGMENTS and server._rules.config.unanswered < _TEXTS

    return _try(server_session(revision), _server_steps(revision), small)


def _try(
    start: Any,
    steps: Collection[Callable[[Any], object]],
    small: Callable[[Any], bool],
) -> Tried:
    tried = Tried()
    table = start._automaton._table
    counter: Counter[tuple[Any, Any]] = Counter()
    seen = {frozen(start)}
    todo = deque([start])
    with Recorder(counter):
        while todo:
            session = todo.popleft()
            for step in steps:
                after = copied(session)
                counter.clear()
                named = _named_by(after, step)
                for used in counter:
                    tried.taken.add(used)
                    entry = table[used[0]][used[1]]
                    if isinstance(entry, Refusal) and entry.clause_id not in named:
                        tried.unsaid.add(used)
                over, was_over = (it.state.value == "CLOSED" for it in (after, session))
                assert over == (was_over or step in _CLOSES), "only the other's close, or a loss, closes a session"
                key = frozen(after)
                if key not in seen and small(after):
                    seen.add(key)
                    todo.append(after)
    return tried


def _named_by(session: Any, step: Callable[[Any], object]) -> set[str]:
    """Let something happen to a session, and return the clauses that it named."""
    named: set[str] = set()
    try:
        step(session)
    except ih.LocalProtocolError as error:
        named.add(error.violation.clause.id)
    session.to_send()
    return named | {event.violation.clause.id for event in session.events() if isinstance(event, ih.Violated)}


#: What closes a session, and nothing else does.
_CLOSES: tuple[Callable[[Any], object], ...] = (
    lambda session: session.receive_close(1000),
    lambda session: session.receive_lost(),
)


def _client_steps(revision: ih.Revision) -> list[Callable[[ih.ClientSession], object]]:
    """All that can happen to a client; a server says everything, right in itself, even what its revision has not."""
    codec = ih.Codec(revision)
    texts = [
        codec.encode_server(message, timestamp=_TIMESTAMP, correlation_id="c")
        for message in (
            ih.V1.contract,
            ih.EngagementUpdated("neutral", 0),
            ih.Error("ih5002", "so it is"),
            ih.Error("ih1001", "so it is"),
            ih.Error("ih6001", "so it is"),
            ih.SessionClosing(30),
            ih.SessionEnded("client_shutdown"),
        )
    ]

    def hears(text: str) -> Callable[[ih.ClientSession], object]:
        return lambda client: client.receive_text(text, 0.0)

    return [
        lambda client: client.send_config([]),
        lambda client: client.send_segment(segment(revision)),
        lambda client: client.end(0.0),
        lambda client: client.close(),
        *_CLOSES,
        *map(hears, texts),
    ]


def _server_steps(revision: ih.Revision) -> list[Callable[[ih.ServerSession], object]]:
    """All that an owner can ask of a server, and all that a client can send it."""

    def drop(server: ih.ServerSession) -> None:
        if server.outstanding:
            server.drop_window(server.outstanding[0], 0.0)

    def analyse(server: ih.ServerSession) -> None:
        if server.outstanding:
            server.send_analysis(ih.WindowAnalysis(server.outstanding[0], [], ih.EngagementReport("neutral", 0.0)), 0.0)

    def fire(server: ih.ServerSession) -> None:
        moment = server.next_timeout()
        if moment is not None:
            server.handle_timeout(moment)

    return [
        lambda server: server.open(0.0),
        lambda server: server.refuse("ih2003", 0.0),
        lambda server: server.send_error("ih5002", 0.0),
        lambda server: server.send_error("ih1001", 0.0),
        lambda server: server.send_degraded([ih.MediaRange(0, 1)], 0.0),
        lambda server: server.close(0.0),
        lambda server: server.receive_text('{"include":[]}', 0.0),
        lambda server: server.receive_text('{"type":"session.close"}', 0.0),
        lambda server: server.receive_bytes(segment(revision), 0.0),
        *_CLOSES,
        drop,
        analyse,
        fire,
    ]


_OF_DRAINING = (
    _C.AWAITING_READY,
    _C.REFUSED,
    _C.FAILED_CLOSING,
    _C.CLOSE_REQUESTED,
    _C.DRAINING,
    _C.ENDED,
)
_OF_DRAINS = (
    _c.SEND_SESSION_CLOSE,
    _c.RECEIVE_READY,
    _c.RECEIVE_CLOSING,
    _c.RECEIVE_ENDED,
    _c.RECEIVE_CLOSE_REFUSED,
)
_WITHOUT_CLOSE = (_C.AWAITING_READY, _C.REFUSED, _C.OPEN, _C.FAILED, _C.DRAINING)
_ARRIVES = (_s.RECEIVE_CONFIG, _s.RECEIVE_SEGMENT, _s.RECEIVE_SESSION_CLOSE)

#: Entries of the client's table that no session can take, and why.
CLIENT_NEVER: Mapping[str, set[tuple[Any, Any]]] = {
    "a closed session does nothing, and asks no table": {
        *((_C.CLOSED, trigger) for trigger in _c if trigger.name.startswith("RECEIVE_")),
        (_C.CLOSED, _c.LOSE),
    },
    "no revision has session.close and does without it": {
        *((state, _c.FINISH) for state in _OF_DRAINING),
        *((_C.FINISHING, trigger) for trigger in _OF_DRAINS),
    },
    "only a session.close without an answer is refused, and the state tells that there is none": {
        *((state, _c.RECEIVE_CLOSE_REFUSED) for state in _WITHOUT_CLOSE),
    },
}

#: The same of the server's table.
SERVER_NEVER: Mapping[str, set[tuple[Any, Any]]] = {
    "a closed session does nothing, and asks no table": {
        *((_S.CLOSED, trigger) for trigger in (*_ARRIVES, _s.RECEIVE_CLOSE, _s.LOSE)),
    },
    "the session itself turns down what comes before it has spoken, by the same clause": {
        *((_S.OPENING, trigger) for trigger in _ARRIVES),
    },
    "no owner can ask for session.closing or session.ended: the session says each when it is due": {
        *((state, _s.SEND_CLOSING) for state in _S if state is not _S.CLOSE_REQUESTED),
        *((state, _s.SEND_ENDED) for state in _S if state is not _S.DRAINING),
    },
    "a session that is refused closes in the same call": {
        *((_S.REFUSED, trigger) for trigger in _s if trigger is not _s.SEND_CLOSE),
    },
    "session.close is answered in the same call": {
        *((_S.CLOSE_REQUESTED, trigger) for trigger in _s if trigger is not _s.SEND_CLOSING),
    },
    "the close follows session.ended in the same call": {
        *((_S.ENDED, trigger) for trigger in _s if trigger is not _s.SEND_CLOSE),
    },
    "no revision begins without session.ready and has session.close": {(_S.DRAINING, _s.BEGIN)},
}


@attrs.frozen
class Coverage:
    """How much of a table sessions take.

    Attributes:
        entries: How many entries it has.
        taken: How many of them were taken.
        listed: How many are known to be out of reach.
        missing: Those that were not taken, and are not known to be out of reach.
        surplus: Those that are said to be out of reach, and were taken.
        unsaid: Refusals that did not name their clause.
    """

    entries: int
    taken: int
    listed: int
    missing: set[tuple[Any, Any]]
    surplus: set[tuple[Any, Any]]
    unsaid: set[tuple[Any, Any]]

    @property
    def right(self) -> bool:
        """Whether everything is as it should be."""
        return not (self.missing or self.surplus or self.unsaid)


def client_coverage(*revisions: ih.Revision) -> Coverage:
    """Try everything with clients of these revisions."""
    return _coverage([try_client(revision) for revision in revisions], CLIENT_TABLE, CLIENT_NEVER)


def server_coverage(*revisions: ih.Revision) -> Coverage:
    """Try everything with servers of these revisions."""
    return _coverage([try_server(revision) for revision in revisions], SERVER_TABLE, SERVER_NEVER)


def _coverage(
    tried: Collection[Tried], table: Mapping[Any, Mapping[Any, Any]], never: Mapping[str, set[tuple[Any, Any]]]
) -> Coverage:
    entries = {(state, trigger) for state, row in table.items() for trigger in row}
    taken = set[tuple[Any, Any]]().union(*(one.taken for one in tried))
    listed = set[tuple[Any, Any]]().union(*never.values())
    unsaid = set[tuple[Any, Any]]().union(*(one.unsaid for one in tried))
    return Coverage(len(entries), len(taken), len(listed), entries - taken - listed, taken & listed, unsaid)
