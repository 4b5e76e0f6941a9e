"""The two tables, judged as tables and, in a few pairs that matter, against the protocol."""

import enum
from collections.abc import Mapping
from typing import Any

import pytest

from ihproto.automata import (
    CLIENT_TABLE,
    SERVER_TABLE,
    Automaton,
    ClientState,
    ClientTrigger,
    Refusal,
    ServerState,
    ServerTrigger,
    client_automaton,
    server_automaton,
)
from ihproto.clauses import CLAUSES

Table = Mapping[Any, Mapping[Any, Any]]

C, c, S, s = ClientState, ClientTrigger, ServerState, ServerTrigger

both = pytest.mark.parametrize(
    ("table", "states", "triggers", "initial"),
    [
        pytest.param(CLIENT_TABLE, ClientState, ClientTrigger, ClientState.AWAITING_READY, id="client"),
        pytest.param(SERVER_TABLE, ServerState, ServerTrigger, ServerState.OPENING, id="server"),
    ],
)

# Every pair of state and trigger, of both tables.
PAIRS: list[Any] = [
    pytest.param(table, state, trigger, id=f"{role} {state.name} {trigger.name}")
    for role, table in (("client", CLIENT_TABLE), ("server", SERVER_TABLE))
    for state, row in table.items()
    for trigger in row
]


def successors(table: Table, state: Any, *, after_refusals: bool = False) -> set[Any]:
    """The states that one trigger leads to; refused triggers count only on demand."""
    found = set()
    for entry in table[state].values():
        if not isinstance(entry, Refusal):
            found.add(entry)
        elif after_refusals:
            found.add(entry.then if entry.then is not None else state)
    return found


def reachable(table: Table, state: Any) -> set[Any]:
    found = {state}
    todo = [state]
    while todo:
        for successor in successors(table, todo.pop()) - found:
            found.add(successor)
            todo.append(successor)
    return found


@both
def test_a_table_is_total(table: Table, states: type[enum.Enum], triggers: type[enum.Enum], initial: object) -> None:
    assert set(table) == set(states)
    for state, row in table.items():
        assert set(row) == set(triggers), state


@both
def test_every_entry_is_a_state_or_a_refusal_by_a_clause_of_the_catalogue(
    table: Table, states: type[enum.Enum], triggers: object, initial: object
) -> None:
    for row in table.values():
        for entry in row.values():
            if isinstance(entry, Refusal):
                assert entry.clause_id in CLAUSES
                assert entry.then is None or entry.then in set(states)
                assert entry.what
                assert not entry.what.endswith(".")
            else:
                assert entry in set(states)


@both
def test_every_state_is_reached_without_a_fault(
    table: Table, states: type[enum.Enum], triggers: object, initial: object
) -> None:
    assert reachable(table, initial) == set(states)


@both
def test_closed_is_reached_from_every_state(
    table: Table, states: type[enum.Enum], triggers: object, initial: object
) -> None:
    closed = states["CLOSED"]
    for state in states:
        assert closed in reachable(table, state)


@both
def test_closed_is_never_left(table: Table, states: type[enum.Enum], triggers: object, initial: object) -> None:
    closed = states["CLOSED"]
    assert successors(table, closed, after_refusals=True) == {closed}
    assert {entry.clause_id for entry in table[closed].values()} == {"CLS-3"}


@both
def test_names_of_states_and_triggers_are_unique(
    table: object, states: type[enum.Enum], triggers: type[enum.Enum], initial: object
) -> None:
    assert len({state.value for state in states}) == len(states.__members__)
    assert len({trigger.value for trigger in triggers}) == len(triggers.__members__)


@both
def test_a_table_is_read_only(table: Any, states: object, triggers: object, initial: object) -> None:
    with pytest.raises(TypeError):
        table[initial] = {}


@pytest.mark.parametrize(("table", "state", "trigger"), PAIRS)
def test_step_allows_and_refuses_agree(table: Table, state: Any, trigger: Any) -> None:
    automaton: Automaton[Any, Any] = Automaton(table, state)
    allowed, refusal = automaton.allows(trigger), automaton.refuses(trigger)
    assert automaton.state is state, "asking changes nothing"
    assert allowed == (refusal is None)
    assert automaton.step(trigger) == refusal
    entry = table[state][trigger]
    if isinstance(entry, Refusal):
        assert refusal is not None
        assert (refusal.clause.id, refusal.what, refusal.path) == (entry.clause_id, entry.what, None)
        assert automaton.state is (entry.then if entry.then is not None else state)
    else:
        assert automaton.state is entry


def test_a_session_begins_when_the_websocket_is_open() -> None:
    assert client_automaton().state is C.AWAITING_READY
    assert server_automaton().state is S.OPENING


CRUCIAL_CLIENT: list[tuple[ClientState, ClientTrigger, ClientState | str]] = [
    # RDY-1: session.ready comes once, and first.
    (C.AWAITING_READY, c.RECEIVE_READY, C.OPEN),
    (C.AWAITING_READY, c.RECEIVE_REPORT, "RDY-1"),
    (C.AWAITING_READY, c.RECEIVE_CLOSING, "RDY-1"),
    (C.AWAITING_READY, c.RECEIVE_ENDED, "RDY-1"),
    (C.OPEN, c.RECEIVE_READY, "RDY-1"),
    (C.CLOSE_REQUESTED, c.RECEIVE_READY, "RDY-1"),
    (C.DRAINING, c.RECEIVE_READY, "RDY-1"),
    # RDY-3, ERR-2: an error before session.ready explains the close.
    (C.AWAITING_READY, c.RECEIVE_ERROR, C.REFUSED),
    (C.AWAITING_READY, c.RECEIVE_FATAL_ERROR, C.REFUSED),
    (C.AWAITING_READY, c.RECEIVE_CLOSE, C.CLOSED),
    (C.REFUSED, c.RECEIVE_READY, "RDY-3"),
    (C.REFUSED, c.RECEIVE_CLOSE, C.CLOSED),
    # RDY-4: no video before session.ready; a config may go earlier.
    (C.AWAITING_READY, c.SEND_SEGMENT, "RDY-4"),
    (C.AWAITING_READY, c.SEND_CONFIG, C.AWAITING_READY),
    # CFG-1: at any time, as often as wanted.
    (C.OPEN, c.SEND_CONFIG, C.OPEN),
    (C.OPEN, c.SEND_SEGMENT, C.OPEN),
    # CFG-5: a refused config leaves the session open. ERR-2: so do some errors.
    (C.OPEN, c.RECEIVE_ERROR, C.OPEN),
    # CLS-1: session.close, session.closing, session.ended, close.
    (C.OPEN, c.SEND_SESSION_CLOSE, C.CLOSE_REQUESTED),
    (C.CLOSE_REQUESTED, c.RECEIVE_CLOSING, C.DRAINING),
    (C.DRAINING, c.RECEIVE_REPORT, C.DRAINING),
    (C.DRAINING, c.RECEIVE_ENDED, C.ENDED),
    (C.ENDED, c.RECEIVE_CLOSE, C.CLOSED),
    (C.ENDED, c.RECEIVE_REPORT, "CLS-1"),
    (C.ENDED, c.RECEIVE_ERROR, "CLS-1"),
    (C.ENDED, c.RECEIVE_ENDED, "CLS-1"),
    (C.OPEN, c.RECEIVE_CLOSING, "CLS-1"),
    (C.OPEN, c.RECEIVE_ENDED, "CLS-1"),
    (C.CLOSE_REQUESTED, c.RECEIVE_ENDED, "CLS-1"),
    (C.DRAINING, c.RECEIVE_CLOSING, "CLS-1"),
    (C.DRAINING, c.RECEIVE_CLOSE, "CLS-1"),
    (C.CLOSE_REQUESTED, c.SEND_SESSION_CLOSE, "CLS-1"),
    # CLS-2: no media after session.close.
    (C.CLOSE_REQUESTED, c.SEND_SEGMENT, "CLS-2"),
    (C.DRAINING, c.SEND_SEGMENT, "CLS-2"),
    # CLS-3: either side closes whenever it likes, and sends nothing after it.
    *((state, c.RECEIVE_CLOSE, C.CLOSED) for state in (C.AWAITING_READY, C.OPEN, C.FAILED, C.CLOSING)),
    *((state, c.SEND_CLOSE, C.CLOSING) for state in C if state not in (C.CLOSING, C.CLOSED)),
    *((C.CLOSING, trigger, "CLS-3") for trigger in (c.SEND_CONFIG, c.SEND_SEGMENT, c.SEND_SESSION_CLOSE, c.SEND_CLOSE)),
    *((C.CLOSED, trigger, "CLS-3") for trigger in (c.SEND_CONFIG, c.SEND_SEGMENT, c.SEND_SESSION_CLOSE, c.SEND_CLOSE)),
    # What the peer sent before it saw our close may still arrive.
    (C.CLOSING, c.RECEIVE_REPORT, C.CLOSING),
    (C.CLOSING, c.RECEIVE_READY, C.CLOSING),
    *((state, c.LOSE, C.CLOSED) for state in C if state is not C.CLOSED),
    # Without session.close a session is ended by finishing: no more media, whatever still comes, and a close (CLS-3).
    (C.OPEN, c.FINISH, C.FINISHING),
    (C.FAILED, c.FINISH, C.FINISHING),
    (C.FINISHING, c.SEND_SEGMENT, "CLS-3"),
    (C.FINISHING, c.FINISH, "CLS-3"),
    (C.FINISHING, c.SEND_CONFIG, C.FINISHING),
    (C.FINISHING, c.RECEIVE_REPORT, C.FINISHING),
    (C.FINISHING, c.RECEIVE_ERROR, C.FINISHING),
    (C.FINISHING, c.RECEIVE_FATAL_ERROR, C.FINISHING),
    (C.FINISHING, c.RECEIVE_CLOSE, C.CLOSED),
    (C.FINISHING, c.SEND_CLOSE, C.CLOSING),
    (C.CLOSING, c.FINISH, "CLS-3"),
    (C.CLOSED, c.FINISH, "CLS-3"),
]

CRUCIAL_SERVER: list[tuple[ServerState, ServerTrigger, ServerState | str]] = [
    # RDY-1
    (S.OPENING, s.SEND_READY, S.OPEN),
    (S.OPENING, s.BEGIN, S.OPEN),
    (S.OPEN, s.BEGIN, "RDY-1"),
    (S.REFUSED, s.BEGIN, "RDY-3"),
    (S.CLOSING, s.BEGIN, "CLS-3"),
    (S.OPENING, s.SEND_REPORT, "RDY-1"),
    (S.OPENING, s.SEND_CLOSING, "RDY-1"),
    (S.OPENING, s.SEND_ENDED, "RDY-1"),
    (S.OPEN, s.SEND_READY, "RDY-1"),
    (S.CLOSE_REQUESTED, s.SEND_READY, "RDY-1"),
    (S.DRAINING, s.SEND_READY, "RDY-1"),
    # RDY-3
    (S.OPENING, s.SEND_ERROR, S.REFUSED),
    (S.REFUSED, s.SEND_READY, "RDY-3"),
    (S.REFUSED, s.SEND_REPORT, "RDY-3"),
    (S.REFUSED, s.SEND_CLOSE, S.CLOSING),
    # CFG-1, SEG-1
    (S.OPEN, s.RECEIVE_CONFIG, S.OPEN),
    (S.OPEN, s.RECEIVE_SEGMENT, S.OPEN),
    (S.OPEN, s.SEND_ERROR, S.OPEN),
    # CLS-1
    (S.OPEN, s.RECEIVE_SESSION_CLOSE, S.CLOSE_REQUESTED),
    (S.CLOSE_REQUESTED, s.SEND_CLOSING, S.DRAINING),
    (S.DRAINING, s.SEND_REPORT, S.DRAINING),
    (S.DRAINING, s.SEND_ENDED, S.ENDED),
    (S.ENDED, s.SEND_CLOSE, S.CLOSING),
    (S.ENDED, s.SEND_REPORT, "CLS-1"),
    (S.ENDED, s.SEND_ERROR, "CLS-1"),
    (S.ENDED, s.SEND_ENDED, "CLS-1"),
    (S.OPEN, s.SEND_CLOSING, "CLS-1"),
    (S.OPEN, s.SEND_ENDED, "CLS-1"),
    (S.CLOSE_REQUESTED, s.SEND_ENDED, "CLS-1"),
    (S.DRAINING, s.SEND_CLOSING, "CLS-1"),
    # CLS-2
    (S.CLOSE_REQUESTED, s.RECEIVE_SEGMENT, "CLS-2"),
    (S.DRAINING, s.RECEIVE_SEGMENT, "CLS-2"),
    # CLS-3
    *((state, s.RECEIVE_CLOSE, S.CLOSED) for state in S if state is not S.CLOSED),
    *((state, s.LOSE, S.CLOSED) for state in S if state is not S.CLOSED),
    *((state, s.SEND_CLOSE, S.CLOSING) for state in S if state not in (S.CLOSING, S.CLOSED)),
    *(
        (state, trigger, "CLS-3")
        for state in (S.CLOSING, S.CLOSED)
        for trigger in (s.SEND_READY, s.SEND_REPORT, s.SEND_ERROR, s.SEND_CLOSING, s.SEND_ENDED, s.SEND_CLOSE)
    ),
    (S.CLOSING, s.RECEIVE_SEGMENT, S.CLOSING),
]


@pytest.mark.parametrize(
    ("state", "trigger", "expected"), CRUCIAL_CLIENT, ids=[f"{p[0].name} {p[1].name}" for p in CRUCIAL_CLIENT]
)
def test_the_client_does_what_the_protocol_says(
    state: ClientState, trigger: ClientTrigger, expected: ClientState | str
) -> None:
    entry = CLIENT_TABLE[state][trigger]
    assert (entry.clause_id if isinstance(entry, Refusal) else entry) == expected


@pytest.mark.parametrize(
    ("state", "trigger", "expected"), CRUCIAL_SERVER, ids=[f"{p[0].name} {p[1].name}" for p in CRUCIAL_SERVER]
)
def test_the_server_does_what_the_protocol_says(
    state: ServerState, trigger: ServerTrigger, expected: ServerState | str
) -> None:
    entry = SERVER_TABLE[state][trigger]
    assert (entry.clause_id if isinstance(entry, Refusal) else entry) == expected


def walks(table: Table, initial: Any, sets: Any, clears: Any, ends: set[Any]) -> set[tuple[Any, bool]]:
    """Every pair of a state and whether the trigger `sets` has happened since `clears` that a session can get to."""
    found = {(initial, False)}
    todo = [(initial, False)]
    while todo:
        state, flag = todo.pop()
        for trigger, entry in table[state].items():
            goes_on = entry.then if isinstance(entry, Refusal) else entry
            after = goes_on if goes_on is not None else state
            # A refusal that names no state means that nothing was sent, or that nothing was made of what came.
            mark = (flag or (trigger is sets and goes_on is not None)) and trigger is not clears and after not in ends
            if (after, mark) not in found:
                found.add((after, mark))
                todo.append((after, mark))
    return found


def test_cls_2_no_walk_of_the_client_allows_media_after_session_close() -> None:
    pairs = walks(CLIENT_TABLE, C.AWAITING_READY, c.SEND_SESSION_CLOSE, c.RECEIVE_CLOSE_REFUSED, {C.CLOSED})
    assert [state for state, asked in pairs if asked and client_at(state).allows(c.SEND_SEGMENT)] == []


def test_no_walk_of_a_client_without_session_close_allows_media_after_it_began_to_finish() -> None:
    without = {c.SEND_SESSION_CLOSE, c.RECEIVE_READY, c.RECEIVE_CLOSING, c.RECEIVE_ENDED, c.RECEIVE_CLOSE_REFUSED}
    table = {
        state: {trigger: entry for trigger, entry in row.items() if trigger not in without}
        for state, row in CLIENT_TABLE.items()
    }
    pairs = walks(table, client_automaton(awaits_ready=False).state, c.FINISH, None, set())
    assert [state for state, finishing in pairs if finishing and client_at(state).allows(c.SEND_SEGMENT)] == []
    reached = {state for state, _ in pairs}
    assert reached == {C.OPEN, C.FAILED, C.FINISHING, C.CLOSING, C.CLOSED}


def test_cls_1_no_walk_of_the_client_allows_session_close_twice() -> None:
    pairs = walks(CLIENT_TABLE, C.AWAITING_READY, c.SEND_SESSION_CLOSE, c.RECEIVE_CLOSE_REFUSED, {C.CLOSED})
    assert [state for state, asked in pairs if asked and client_at(state).allows(c.SEND_SESSION_CLOSE)] == []


def test_cls_2_no_walk_of_the_server_takes_media_after_session_close() -> None:
    pairs = walks(SERVER_TABLE, S.OPENING, s.RECEIVE_SESSION_CLOSE, None, {S.CLOSING, S.CLOSED, S.ENDED, S.REFUSED})
    accepting = [state for state, asked in pairs if asked and server_at(state).allows(s.RECEIVE_SEGMENT)]
    assert accepting == []
    assert (S.DRAINING, True) in pairs


def test_rdy_1_no_walk_of_the_server_says_session_ready_twice() -> None:
    announcing = {
        state: {trigger: entry for trigger, entry in row.items() if trigger is not s.BEGIN}
        for state, row in SERVER_TABLE.items()
    }
    pairs = walks(announcing, S.OPENING, s.SEND_READY, None, set())
    assert [state for state, said in pairs if said and server_at(state).allows(s.SEND_READY)] == []
    assert (S.OPEN, True) in pairs
    assert (S.OPEN, False) not in pairs


def test_rdy_4_no_walk_of_the_client_allows_media_before_session_ready() -> None:
    pairs = walks(CLIENT_TABLE, C.AWAITING_READY, c.RECEIVE_READY, None, set())
    early = [state for state, ready in pairs if not ready and client_at(state).allows(c.SEND_SEGMENT)]
    assert early == []


def client_at(state: ClientState) -> Automaton[ClientState, ClientTrigger]:
    return Automaton(CLIENT_TABLE, state)


def server_at(state: ServerState) -> Automaton[ServerState, ServerTrigger]:
    return Automaton(SERVER_TABLE, state)
