"""Connections in memory that break at a chosen byte, and clocks that jump on either event loop."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any, TypeVar

import anyio
import anyio.lowlevel
import attrs
import trio
from anyio.abc import ByteStream, Listener, TaskGroup
from trio.testing import MockClock

T = TypeVar("T")
_MONTH = 30 * 24 * 3600

#: What the documentation of the adapters names, in seconds.
UPGRADE, CLOSING, SENDING, IDLE, SILENCE = 30.0, 10.0, 60.0, 300.0, 90.0

#: How many bytes one direction holds before its sender waits, unless something else is asked for.
CAPACITY = 64 * 1024
#: How many bytes of each direction are remembered.
RECORDED = 16 * 1024


class Kind(Enum):
    """What becomes of a connection."""

    NONE = "nothing"
    CUT = "cut"
    RESET = "reset"
    HALF_CLOSE = "half-close"
    STALL = "stall"
    DRIP = "one byte at a time"
    CRAWL = "one byte a second"


class Way(Enum):
    """The two directions of a connection."""

    UP = "to the server"
    DOWN = "to the client"


@attrs.frozen
class Fault:
    """What happens to a connection, and when.

    Attributes:
        kind: What.
        way: The direction whose bytes are counted; a half-close and a stall are of this direction alone.
        after: Behind how many bytes of it.
    """

    kind: Kind = Kind.NONE
    way: Way = Way.UP
    after: int = 0


class _Pipe:
    """One direction."""

    def __init__(self, pace: Kind, capacity: int) -> None:
        self.record = bytearray()
        self.passed = 0
        self.limit: int | None = None
        self.strike: Callable[[], None] = lambda: None
        self.stalled = False
        self.ended = False
        self.swallows = False
        self.broken = False
        self.closed = False
        self._pace = pace
        self._capacity = capacity
        self._read = 0
        self._kept = bytearray()
        self._changed = anyio.Event()

    def change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    @property
    def left(self) -> int:
        """How many bytes wait to be read."""
        return len(self._kept)

    async def write(self, data: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        while data:
            if self.closed or self.broken or (self.ended and not self.swallows):
                raise anyio.BrokenResourceError
            if self.swallows:
                return
            room = self._capacity - len(self._kept)
            if self.limit is not None and not self.stalled:
                room = min(room, self.limit - self.passed)
            if room <= 0:
                await self._changed.wait()
                continue
            self.put(data[:room])
            data = data[room:]

    def put(self, data: bytes) -> None:
        if not self.stalled:
            self.passed += len(data)
            self.record += data[: RECORDED - len(self.record)]
        self._kept += data
        self.change()
        if self.passed == self.limit and not self.stalled:
            self.strike()

    async def read(self, max_bytes: int) -> bytes:
        await anyio.lowlevel.checkpoint()
        if self._pace is Kind.CRAWL:
            await anyio.sleep(1)
        while True:
            if self.broken or self.closed:
                raise anyio.BrokenResourceError
            there = len(self._kept) if self.limit is None else min(len(self._kept), self.limit - self._read)
            if there > 0:
                size = min(there, max_bytes if self._pace is Kind.NONE else 1)
                data = bytes(self._kept[:size])
                del self._kept[:size]
                self._read += size
                self.change()
                return data
            if self.ended and not self.stalled:
                raise anyio.EndOfStream
            await self._changed.wait()


class End(ByteStream):
    """One end of a line.

    Attributes:
        closed_at: When its owner let go of it, in seconds; None before.
    """

    def __init__(self, receiving: _Pipe, sending: _Pipe) -> None:
        self._receiving = receiving
        self._sending = sending
        self.closed_at: float | None = None
        self._gone = anyio.Event()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._receiving.read(max_bytes)

    async def send(self, item: bytes) -> None:
        await self._sending.write(item)

    async def send_eof(self) -> None:
        self._sending.ended = True
        self._sending.change()

    async def aclose(self) -> None:
        if self.closed_at is None:
            self.closed_at = anyio.current_time()
            self._sending.ended = True
            self._receiving.closed = True
            self._sending.change()
            self._receiving.change()
            self._gone.set()

    async def wait_closed(self) -> None:
        await self._gone.wait()


class Line:
    """A connection between a client and a server.

    Args:
        fault: What happens to it.
        capacity: How many bytes each direction holds before its sender waits.

    Attributes:
        client: The end of the client.
        server: The end of the server.
        struck_at: When the fault happened, in seconds; None if it has not.
    """

    def __init__(self, fault: Fault = Fault(), capacity: int = CAPACITY) -> None:
        pace = fault.kind if fault.kind in (Kind.DRIP, Kind.CRAWL) else Kind.NONE
        self._up, self._down = _Pipe(pace, capacity), _Pipe(pace, capacity)
        self._fault = fault
        self.client = End(self._down, self._up)
        self.server = End(self._up, self._down)
        self.struck_at: float | None = None
        if fault.kind in (Kind.CUT, Kind.RESET, Kind.HALF_CLOSE, Kind.STALL):
            pipe = self._pipe(fault.way)
            pipe.limit = fault.after
            pipe.strike = self._strike
            if not fault.after:
                self._strike()
        else:
            self.struck_at = anyio.current_time()

    def record(self, way: Way) -> bytes:
        """What passed first in one direction."""
        return bytes(self._pipe(way).record)

    def passed(self, way: Way) -> int:
        """How many bytes passed in one direction."""
        return self._pipe(way).passed

    def _pipe(self, way: Way) -> _Pipe:
        return self._up if way is Way.UP else self._down

    def _strike(self) -> None:
        self.struck_at = anyio.current_time()
        hit = self._pipe(self._fault.way)
        match self._fault.kind:
            case Kind.CUT:
                self._up.ended = self._down.ended = True
            case Kind.RESET:
                self._up.broken = self._down.broken = True
            case Kind.HALF_CLOSE:
                hit.ended = hit.swallows = True
            case _:
                hit.stalled = True
        self._up.change()
        self._down.change()


class TrioEnd(trio.abc.Stream):
    """An end as a stream of trio."""

    def __init__(self, end: End) -> None:
        self._end = end

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._end.send(bytes(data))
        except anyio.BrokenResourceError as error:
            raise trio.BrokenResourceError from error

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        try:
            return await self._end.receive(max_bytes or 65536)
        except anyio.EndOfStream:
            return b""
        except anyio.BrokenResourceError as error:
            raise trio.BrokenResourceError from error

    async def aclose(self) -> None:
        await self._end.aclose()
        await trio.lowlevel.checkpoint()


class Switchboard(Listener[End]):
    """Takes the ends of servers, for `ihproto.anyio.serve`."""

    def __init__(self) -> None:
        self._send, self._receive = anyio.create_memory_object_stream[End](1000)

    def connect(self, end: End) -> None:
        self._send.send_nowait(end)

    async def next(self) -> End:
        return await self._receive.receive()

    async def serve(self, handler: Callable[[End], Any], task_group: TaskGroup | None = None) -> None:
        assert task_group is not None
        async for end in self._receive:
            task_group.start_soon(handler, end)

    async def aclose(self) -> None:
        self._send.close()
        self._receive.close()

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        return {}


class TrioSwitchboard(trio.abc.Listener[trio.abc.Stream]):
    """A switchboard for `ihproto.trio.serve`."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board

    async def accept(self) -> trio.abc.Stream:
        return TrioEnd(await self._board.next())

    async def aclose(self) -> None:
        await self._board.aclose()


# -- clocks that jump ---------------------------------------------------------------------------


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: when nothing is ready, the time for which it would have waited has passed."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is not None and timeout > 0:
            self.skipped += timeout
        return ready


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.skipped


def run_virtually(backend: str, body: Callable[[], Awaitable[T]]) -> T:
    """Run on a clock that jumps whenever everybody waits; what hangs fails after a month of it."""

    async def main() -> T:
        with anyio.fail_after(_MONTH):
            return await body()

    if backend == "asyncio":
        return anyio.run(main, backend="asyncio", backend_options={"loop_factory": _JumpingLoop})
    return anyio.run(main, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
