"""Every joint state of a client, a server and the network between them, within small bounds."""

from __future__ import annotations

import pytest
from state_space import Bounds, explore, try_everything, untaken

from ihproto import V0, V0_2, V1, V1_WINDOW, ClientState, Revision
from ihproto.automata import CLIENT_TABLE, ClientTrigger


@pytest.mark.parametrize(
    ("revision", "bounds"),
    [
        (V1, Bounds(segments=1, configs=1, signals=1, errors=0)),
        (V1_WINDOW, Bounds(segments=1, configs=1, signals=1, errors=0)),
        (V0_2, Bounds(segments=2, signals=1)),
        (V0, Bounds()),
    ],
    ids=lambda it: it.id if isinstance(it, Revision) else "",
)
def test_every_run_ends_and_nobody_is_accused(revision: Revision, bounds: Bounds) -> None:
    found = explore(revision, bounds)
    assert found.states > 20
    assert found.final > 0
    assert found.stuck == []
    assert not found.endless
    assert found.accusations == {}


def test_every_entry_of_the_table_is_taken_and_every_refusal_said() -> None:
    assert untaken(V1, V1_WINDOW) == set()
    assert try_everything(V1).unsaid == []


def test_a_table_that_forbids_what_a_server_may_do_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    row = dict(CLIENT_TABLE[ClientState.OPEN])
    row[ClientTrigger.RECEIVE_REPORT] = row[ClientTrigger.RECEIVE_CLOSING]
    monkeypatch.setattr("ihproto.automata.CLIENT_TABLE", {**CLIENT_TABLE, ClientState.OPEN: row})
    found = explore(V1, Bounds(segments=1, configs=1, signals=1, errors=0))
    assert found.accusations


def test_a_state_without_a_way_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ihproto.server.ServerSession.next_timeout", lambda session: None)
    assert explore(V1, Bounds(segments=0, configs=0, signals=1, errors=0)).stuck == []
