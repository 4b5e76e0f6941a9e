"""Every fault against every role on every backend, and the figures of it."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import anyio
from faults.ends import FACES, ROLES, UNTYPED, Ended, House, client, since, typed
from faults.hostile import CLIENTS, CLOSING, IDLE, NOISE, SERVERS, UPGRADE, Peer
from faults.line import End, Fault, Kind, Line, Way, run_virtually

#: How much longer than its deadline a case may take, in seconds: clocks add fractions.
TOLERANCE = 0.001
#: How long after a fault each role may hold on to the connection, in seconds: client, server.
BREAKS = {
    Kind.CUT: (0.0, 0.0),
    Kind.RESET: (0.0, 0.0),
    Kind.HALF_CLOSE: (0.0, 0.0),
    # The client waits longest for the drain (30 s) with its grace (10 s); the server for the session to be idle.
    Kind.STALL: (30 + 2 * CLOSING, IDLE + CLOSING),
    Kind.DRIP: (0.0, 0.0),
    Kind.CRAWL: (UPGRADE, UPGRADE),
}


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


def _positions(record: bytes, step: int) -> Iterator[int]:
    """Every byte of the head, then the edges of every frame; or every so many of them."""
    end = record.index(b"\r\n\r\n") + 4
    places = [*range(end + 1)]
    while end < len(record):
        size, extra = record[end + 1] & 0x7F, 4 if record[end + 1] & 0x80 else 0
        size, extra = (int.from_bytes(record[end + 2 : end + 4], "big"), extra + 2) if size == 126 else (size, extra)
        places += [end + 1, end + 2, end + 2 + extra + size // 2, end + 1 + extra + size, end + 2 + extra + size]
        end += 2 + extra + size
    # Behind the last byte there is nothing left to be hit.
    yield from sorted(place for place in {*places} if place < len(record))[::step]


def breaks(face: str, role: str, step: int = 1) -> list[Tally]:
    """A session of our client with one of our servers, broken in every way at every place."""

    async def body() -> list[Tally]:
        found = []
        async with House(face, role).open() as house:
            whole, *_ = await house.meet(Fault())
            for kind, (clients, servers) in BREAKS.items():
                ours, theirs = Tally(kind.value, "client", face, clients), Tally(kind.value, role, face, servers)
                found += [ours, theirs]
                for way in Way:
                    paced = kind in (Kind.DRIP, Kind.CRAWL)
                    for place in [0] if paced else _positions(whole.record(way), step):
                        fault = Fault(kind, way, place)
                        line, our_end, their_end = await house.meet(fault)
                        if line.struck_at is None:
                            continue
                        ours.add(our_end, str(fault))
                        theirs.add(their_end, str(fault))
        return found

    return run_virtually(FACES[face], body)


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
            line = Line()
            async with anyio.create_task_group() as group:
                group.start_soon(_be, peer, line.server)
                with _Memory(measured and peer.memory is not None) as memory:
                    how = await client(face, line.client, peer.play)
                group.cancel_scope.cancel()
            _judge(peer, tally, Ended(how, since(line, line.client), "" if typed(how) else UNTYPED), memory, number)

    run_virtually(FACES[face], body)
    return tally


def against_server(face: str, role: str, peer: Peer, times: int = 1, *, measured: bool = True) -> Tally:
    """A server of ours meets a hostile client."""
    tally = Tally(peer.name, role, face, peer.deadline)

    async def body() -> None:
        async with House(face, role).open() as house:
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
        for role in ROLES:
            if role == "mock server" and face == "trio":
                continue  # the mock server is an anyio program
            yield from breaks(face, role, step)
            yield from (against_server(face, role, peer, times) for peer in CLIENTS)
            yield crowd(face, role)
        yield from (against_client(face, peer, times) for peer in SERVERS)
