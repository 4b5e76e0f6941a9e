"""A short run of every fault that needs no socket, and that it would notice; the long one is `make faults`."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from adapters.faces import analyse
from anyio.abc import TaskGroup
from faults.cases import Tally, against_client, against_server, breaks, crowd
from faults.ends import FACES, ROLES, Ended, client
from faults.hostile import CLIENTS, SERVERS, Peer
from faults.line import End, Line, Switchboard, run_virtually

import ihproto.anyio
from ihproto._adapter.driver import Driver
from ihproto.wire.outbox import Outbox

#: A prime, so that each run of bytes is hit at different places.
STEP = 61
#: Long floods are for the long run.
SLOW = {
    "ping flood",
    "ping flood, reads nothing",
    "pong flood",
    "a text in tiny frames",
    "interim responses without end",
    "talks after the close",
}
ROLES_OF_FACES = [(face, role) for face in FACES for role in ROLES if (face, role) != ("trio", "mock server")]


def brief(peers: tuple[Peer, ...]) -> list[Peer]:
    return [peer for peer in peers if peer.name not in SLOW]


def named(peers: tuple[Peer, ...], name: str) -> Peer:
    return next(peer for peer in peers if peer.name == name)


@pytest.mark.parametrize(("face", "role"), ROLES_OF_FACES)
def test_a_session_that_breaks_ends_in_time_on_both_sides(face: str, role: str) -> None:
    tallies = breaks(face, role, STEP)
    assert [one for tally in tallies for one in tally.wrong] == []
    assert all(tally.ends.total() for tally in tallies)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("peer", brief(SERVERS), ids=lambda peer: peer.name)
def test_a_client_survives_a_server_without_rules(face: str, peer: Peer) -> None:
    assert against_client(face, peer, times=10).wrong == []


@pytest.mark.parametrize(("face", "role"), ROLES_OF_FACES)
@pytest.mark.parametrize("peer", brief(CLIENTS), ids=lambda peer: peer.name)
def test_a_server_survives_a_client_without_rules(face: str, role: str, peer: Peer) -> None:
    assert against_server(face, role, peer, times=10).wrong == []


@pytest.mark.parametrize(("face", "role"), ROLES_OF_FACES)
def test_clients_that_never_upgrade_keep_nobody_out(face: str, role: str) -> None:
    tally = crowd(face, role, 100)
    assert tally.wrong == []
    assert tally.worst == pytest.approx(30)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.ENETDOWN])
def test_a_connection_that_is_lost_before_it_is_taken_stops_nobody(
    backend: str, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    class Aborting(Switchboard):
        aborted = False

        async def serve(self, handler: Callable[[End], Any], task_group: TaskGroup | None = None) -> None:
            if not self.aborted:
                self.aborted = True
                raise OSError(number, "lost")
            await super().serve(handler, task_group)

    async def body() -> str:
        board, line = Aborting(), Line()
        async with ihproto.anyio.serve(analyse, listener=board):
            board.connect(line.server)
            return await client("anyio", line.client)

    assert run_virtually(backend, body) == "closed 1000"
    assert not caplog.records


# -- that it would notice -----------------------------------------------------------------------


def test_an_end_behind_its_deadline_is_noticed() -> None:
    tally = Tally("", "", "", 10.0)
    tally.add(Ended("closed 1006", 10.0))
    assert tally.wrong == []
    tally.add(Ended("closed 1006", 10.5))
    tally.add(Ended("closed 1006", None))
    assert len(tally.wrong) == 2


def test_a_close_that_is_waited_for_too_long_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Driver, "_deadline", lambda self: (self.wire.next_timeout() or float("inf")) + 5)
    tally = against_client("anyio on trio", named(SERVERS, "close without reply"))
    assert any("took 15 s of 10 s" in one for one in tally.wrong)


def test_pongs_that_pile_up_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "answer_ping", Outbox.append)
    tally = against_client("anyio on trio", named(SERVERS, "ping flood, reads nothing"))
    assert any("held" in one for one in tally.wrong)


def test_a_server_that_keeps_the_connection_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    closing = ihproto.anyio._Transport.aclose

    async def linger(self: ihproto.anyio._Transport) -> None:
        await anyio.sleep(1)
        await closing(self)

    monkeypatch.setattr(ihproto.anyio._Transport, "aclose", linger)
    tallies = breaks("anyio on trio", "server", 200)
    assert any("took 1 s of 0 s" in one for tally in tallies for one in tally.wrong)
