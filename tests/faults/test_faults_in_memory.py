"""A short run of every fault that needs no socket, and that it would notice; the long one is `make faults`."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest
from adapters.faces import READY, analyse
from anyio.abc import TaskGroup
from faults.cases import CLIENTS, SERVERS, Tally, against_client, against_server, breaks, crowd, roles_of
from faults.ends import Ended
from faults.hostile import KIB, PINGS, Peer, saying
from faults.line import End, Line, Switchboard, run_virtually
from faults.meetings import FACES, MEETINGS, SESSION, Meeting, client

import ihproto.anyio
from ihproto._adapter.driver import Driver
from ihproto.wire.outbox import Outbox

#: A prime, so that each run of bytes is hit at different places.
STEP = 149
#: Long floods are for the long run.
SLOW = {
    "ping flood",
    "ping flood, reads nothing",
    "pong flood",
    "a text in tiny frames",
    "interim responses without end",
    "talks after the close",
    "a response without end",
}


def servers_of(meeting: Meeting) -> list[tuple[str, ...]]:
    return [(face, role) for face in FACES for role in roles_of(face, meeting)]


ROLES_OF_FACES = servers_of(SESSION)
# Sessions with everybody, and whatever else there is with every second one: the long run takes them all.
BREAKS = [(SESSION, *one) for one in ROLES_OF_FACES]
BREAKS += [(other, *one) for number, other in enumerate(MEETINGS[1:]) for one in servers_of(other)[number % 2 :: 2]]


def one_of(peers: tuple[Peer, ...], among: Callable[[Peer], list[tuple[str, ...]]]) -> list[Any]:
    """Each peer with one of those that it may meet, by turns."""
    brief = [peer for peer in peers if peer.name not in SLOW]
    met = [(peer, among(peer)[number % len(among(peer))]) for number, peer in enumerate(brief)]
    return [pytest.param(peer, *one, id="-".join((peer.name, *one))) for peer, one in met]


def named(peers: tuple[Peer, ...], name: str) -> Peer:
    return next(peer for peer in peers if peer.name == name)


@pytest.mark.parametrize(
    ("meeting", "face", "role"), BREAKS, ids=lambda one: one.name or "session" if isinstance(one, Meeting) else one
)
def test_what_breaks_ends_in_time_on_both_sides(meeting: Meeting, face: str, role: str) -> None:
    tallies = breaks(face, role, STEP, meeting)
    assert [one for tally in tallies for one in tally.wrong] == []
    assert all(tally.ends.total() for tally in tallies)


@pytest.mark.parametrize(("peer", "face"), one_of(SERVERS, lambda _: [(face,) for face in FACES]))
def test_a_client_survives_a_server_without_rules(peer: Peer, face: str) -> None:
    assert against_client(face, peer, times=10).wrong == []


@pytest.mark.parametrize(("peer", "face", "role"), one_of(CLIENTS, lambda peer: servers_of(peer.meeting)))
def test_a_server_survives_a_client_without_rules(peer: Peer, face: str, role: str) -> None:
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
    flood = saying(READY, flood=PINGS, size=512 * KIB, listen=False)
    peer = attrs.evolve(named(SERVERS, "ping flood, reads nothing"), script=flood, memory=1536 * KIB)
    tally = against_client("anyio on trio", peer)
    assert any("held" in one for one in tally.wrong)


def test_a_server_that_keeps_the_connection_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    closing = ihproto.anyio._Transport.aclose

    async def linger(self: ihproto.anyio._Transport) -> None:
        await anyio.sleep(1)
        await closing(self)

    monkeypatch.setattr(ihproto.anyio._Transport, "aclose", linger)
    tallies = breaks("anyio on trio", "server", 200)
    assert any("took 1 s of 0 s" in one for tally in tallies for one in tally.wrong)
