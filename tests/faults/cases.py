"""Every fault against every role on every backend, and the figures of it."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import anyio
from faults import beneath, hostile
from faults.ends import UNTYPED, Ended, House, since, typed
from faults.hostile import NOISE, Peer
from faults.line import UPGRADE, End, Fault, Kind, Line, Way, run_virtually
from faults.meetings import FACES, MEETINGS, SESSION, Meeting

#: How much longer than its deadline a case may take, in seconds: clocks add fractions.
TOLERANCE = 0.001


#: Who meets our servers, and who meets our clients.
CLIENTS = (*hostile.CLIENTS, *beneath.CLIENTS)
SERVERS = (*hostile.SERVERS, *beneath.SERVERS)


@dataclass
class Tally:
    """The cases of one fault against one role on one backend.

    Attributes:
        deadline: How long a case may take, in seconds; None where the time is that of the wall, and not judged.
        ends: How they ended, and how often.
        worst: How long the slowest took, in seconds.
        held: The most memory that was held at a time, in bytes; None where that was not measured.
        wrong: What must not have been.
    """

    fault: str
    role: str
    face: str
    deadline: float | None
    ends: Counter[str] = field(default_factory=Counter)
    worst: float = 0.0
    held: int | None = None
    wrong: list[str] = field(default_factory=list)

    def add(self, ended: Ended, where: str = "") -> None:
        self.ends[ended.how] += 1
        wrong = [ended.wrong] if ended.wrong else []
        if self.deadline is None:
            pass
        elif ended.after is None:
            wrong.append("did not let go of the connection")
        else:
            self.worst = max(self.worst, ended.after)
            if ended.after > self.deadline + TOLERANCE:
                wrong.append(f"took {ended.after:g} s of {self.deadline:g} s")
        self.wrong.extend(f"{where}: {ended.how}: {one}" for one in wrong)


def breaks(face: str, role: str, step: int = 1, meeting: Meeting = SESSION) -> list[Tally]:
    """What a client of ours does with one of our servers, broken in every way at every place."""

    async def body() -> list[Tally]:
        found = []
        async with House(face, role, meeting).open() as house:
            whole, *_ = await house.meet(Fault())
            for kind, (clients, servers) in meeting.limits.items():
                name = f"{meeting.name} {kind.value}".strip()
                ours, theirs = Tally(name, "client", face, clients), Tally(name, role, face, servers)
                found += [ours, theirs]
                # A pace is that of both directions, from the first byte on.
                paced = kind in (Kind.DRIP, Kind.CRAWL)
                for way in [Way.UP] if paced else Way:
                    for place in [0] if paced else _places(meeting, whole.record(way), step):
                        fault = Fault(kind, way, place)
                        line, our_end, their_end = await house.meet(fault)
                        if line.struck_at is None:
                            continue
                        ours.add(our_end, str(fault))
                        theirs.add(their_end, str(fault))
        return found

    return run_virtually(FACES[face], body)


def _places(meeting: Meeting, record: bytes, step: int) -> list[int]:
    # Behind the last byte there is nothing left to be hit.
    places = sorted(place for place in {*meeting.places(record)} if place < len(record))
    return places[:: min(step * meeting.thinning, max(1, len(places) // 3))]


async def _be(peer: Peer, end: End) -> None:
    try:
        await peer.script(end)
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        pass
    finally:
        await end.aclose()


class _Memory:
    """Measures what is held at most, if that is asked for."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted
        self.most: int | None = None

    def __enter__(self) -> _Memory:
        if self._wanted:
            tracemalloc.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._wanted:
            self.most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()


def _judge(peer: Peer, tally: Tally, ended: Ended, memory: _Memory, number: int) -> None:
    tally.add(ended, f"{peer.name}, {number}")
    if not ended.how.startswith(peer.ends):
        tally.wrong.append(f"{peer.name}, {number}: ended with {ended.how!r}")
    if memory.most is not None and peer.memory is not None:
        tally.held = max(tally.held or 0, memory.most)
        if memory.most > peer.memory:
            tally.wrong.append(f"{peer.name}: held {memory.most} bytes of {peer.memory}")


def against_client(face: str, peer: Peer, times: int = 1, *, measured: bool = True) -> Tally:
    """A client of ours meets a hostile server."""
    tally = Tally(peer.name, "client", face, peer.deadline)

    async def body() -> None:
        for number in range(min(times, peer.times)):
            NOISE.seed(number)
            line = Line(capacity=peer.capacity)
            async with anyio.create_task_group() as group:
                group.start_soon(_be, peer, line.server)
                with _Memory(measured and peer.memory is not None) as memory:
                    how = await peer.client(face, line.client)
                group.cancel_scope.cancel()
            _judge(peer, tally, Ended(how, since(line, line.client), "" if typed(how) else UNTYPED), memory, number)

    run_virtually(FACES[face], body)
    return tally


def against_server(face: str, role: str, peer: Peer, times: int = 1, *, measured: bool = True) -> Tally:
    """A server of ours meets a hostile client."""
    tally = Tally(peer.name, role, face, peer.deadline)

    async def body() -> None:
        async with House(face, role, peer.meeting).open() as house:
            for number in range(min(times, peer.times)):
                NOISE.seed(number)
                line = house.connect()
                async with anyio.create_task_group() as group:
                    group.start_soon(_be, peer, line.client)
                    with _Memory(measured and peer.memory is not None) as memory:
                        await line.server.wait_closed()
                    group.cancel_scope.cancel()
                _judge(peer, tally, await house.ending(line), memory, number)

    run_virtually(FACES[face], body)
    return tally


def crowd(face: str, role: str, count: int = 500) -> Tally:
    """So many connections never upgrade; a good one gets in all the same, and they are gone in time."""
    tally = Tally(f"{count} never upgrade", role, face, UPGRADE)

    async def body() -> None:
        async with House(face, role).open() as house:
            lines = [house.connect() for _ in range(count)]
            _, ours, theirs = await house.meet(Fault())
            if (ours.how, theirs.how) != ("closed 1000", "closed 1000"):
                tally.wrong.append(f"the good one: {ours}, {theirs}")
            for line in lines:
                await line.server.wait_closed()
            told = [*house.told]
            house.told[1:] = []
            last = await house.ending(lines[-1])
            for line, how in zip(lines, told, strict=True):
                tally.add(Ended(how, since(line, line.server), last.wrong))

    run_virtually(FACES[face], body)
    return tally


def all_cases(step: int = 1, times: int = 100, faces: Iterable[str] = FACES) -> Iterator[Tally]:
    """Every case there is in memory."""
    for face in faces:
        for meeting in MEETINGS:
            for role in roles_of(face, meeting):
                yield from breaks(face, role, step, meeting)
        for peer in CLIENTS:
            yield from (against_server(face, role, peer, times) for role in roles_of(face, peer.meeting))
        yield from (crowd(face, role) for role in roles_of(face))
        yield from (against_client(face, peer, times) for peer in SERVERS)


def roles_of(face: str, meeting: Meeting = SESSION) -> list[str]:
    """The servers that there are for a meeting: the mock server is an anyio program."""
    return [role for role in meeting.roles if (face, role) != ("trio", "mock server")]
