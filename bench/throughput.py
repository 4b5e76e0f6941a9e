"""How fast segments go over loopback: our client to our server, against `websockets` to `websockets`, and `picows`.

Client and server of a side share one process and one event loop, so the processor time of both is what counts, and
other programs do not. Everybody sends the same bytes, in one message a segment, without compression (media does not
compress), and every server takes all of it before the next turn begins.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from importlib.util import find_spec
from statistics import median
from typing import TypeAlias
from unittest import mock

import picows
import websockets.asyncio.client
import websockets.asyncio.server
from measuring import Effort, Figure, Goal, Row, Times, progress

from ihproto import NominalScanner, SegmentAccepted
from ihproto.anyio import ServerStream, connect, serve
from ihproto.wire import masking

LARGE = 32 * 1024 * 1024
TYPICAL = 400_000
#: How many bytes go over in one turn.
BYTES = 64 * 1024 * 1024

#: Sends so many segments, and waits until the server has them.
Send: TypeAlias = Callable[[int], Awaitable[None]]
Side: TypeAlias = Callable[[bytes], AbstractAsyncContextManager[Send]]


def make_segment(size: int) -> bytes:
    """The outside of an MP4 file: nearly all of it is media data, which cannot be compressed and is not looked into."""
    head = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 512)
    return head + struct.pack(">I4s", size - len(head), b"mdat") + os.urandom(size - len(head) - 8)


class Count:
    """How many segments a server has taken, for whoever waits for them."""

    def __init__(self) -> None:
        self._left = 0
        self._done = asyncio.Event()

    def expect(self, count: int) -> None:
        self._left = count
        self._done.clear()

    def took(self) -> None:
        self._left -= 1
        if not self._left:
            self._done.set()

    async def wait(self) -> None:
        await self._done.wait()


@asynccontextmanager
async def over_ihproto(segment: bytes) -> AsyncIterator[Send]:
    count = Count()

    async def handle(stream: ServerStream) -> None:
        await stream.accept(scanner=NominalScanner())
        async for event in stream:
            if isinstance(event, SegmentAccepted):
                count.took()

    async with serve(handle) as server, connect(server.url, "bench") as client:

        async def send(times: int) -> None:
            count.expect(times)
            for _ in range(times):
                await client.send_segment(segment)
            await count.wait()

        yield send


@asynccontextmanager
async def over_websockets(segment: bytes) -> AsyncIterator[Send]:
    count = Count()

    async def handle(connection: websockets.asyncio.server.ServerConnection) -> None:
        async for message in connection:
            assert len(message) == len(segment)
            count.took()

    async with (
        websockets.asyncio.server.serve(handle, "127.0.0.1", 0, compression=None, max_size=None) as server,
        websockets.asyncio.client.connect(
            f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}", compression=None, max_size=None
        ) as client,
    ):

        async def send(times: int) -> None:
            count.expect(times)
            for _ in range(times):
                await client.send(segment)
            await count.wait()

        yield send


@asynccontextmanager
async def over_picows(segment: bytes) -> AsyncIterator[Send]:
    # It tells every pause in writing.
    logging.getLogger("picows").setLevel(logging.CRITICAL)
    count = Count()

    class Taker(picows.WSListener):
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            if frame.msg_type is picows.WSMsgType.BINARY:
                assert len(frame.get_payload_as_bytes()) == len(segment)
                count.took()

    limit = 2 * LARGE
    server = await picows.ws_create_server(lambda request: Taker(), "127.0.0.1", 0, max_frame_size=limit)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await picows.ws_connect(picows.WSListener, f"ws://127.0.0.1:{port}/")

    async def send(times: int) -> None:
        count.expect(times)
        for _ in range(times):
            transport.send(picows.WSMsgType.BINARY, segment)
        await count.wait()

    async with server:
        yield send
        transport.disconnect()
        await transport.wait_disconnected()


async def race(size: int, peer: Side, turns: int) -> Times:
    """Send with both sides in turn, over connections that stay open; the times are processor time a segment."""
    segment = make_segment(size)
    count = max(1, BYTES // size)
    times = Times([], [])
    async with over_ihproto(segment) as send_ours, peer(segment) as send_peer:
        for turn in range(turns + 1):
            order = [(send_ours, times.ours), (send_peer, times.peer)]
            for send, taken in order if turn % 2 else reversed(order):
                gc.collect()
                began = time.process_time()
                await send(count)
                if turn:
                    taken.append((time.process_time() - began) / count)
    return times


async def send_ours(size: int) -> None:
    """Do what is to be profiled: one turn of our side."""
    async with over_ihproto(make_segment(size)) as send:
        await send(max(1, BYTES // size))


@contextmanager
def without_numpy() -> Iterator[None]:
    """Mask as it is done where numpy is not installed."""
    with mock.patch.object(masking, "_numpy", return_value=None):
        yield


def _figure(name: str, size: int, peer: Side, goal: float | None, effort: Effort, *, fast: bool = False) -> Figure:
    way = "with numpy" if fast else "without numpy"
    progress(f"{name}, {way}: {effort.turns} turns of {BYTES // size * size / 1e6:.0f} MB each")
    with nullcontext() if fast else without_numpy():
        times = asyncio.run(race(size, peer, effort.turns))
    ratio, spread = times.speedup()
    return Figure(
        f"{name}, {way}" if fast else name,
        ours=size / median(times.ours) / 1e6,
        peer=size / median(times.peer) / 1e6,
        unit="MB/s",
        ratio=ratio,
        spread=spread,
        goal=Goal(goal, at_least=True) if goal is not None else None,
        note="websockets" if peer is over_websockets else "picows, for orientation",
        details={"bytes": size, "turns": effort.turns},
    )


def _figures(size: int, name: str, goal: float, fast_goal: float, effort: Effort) -> list[Figure]:
    figures = [_figure(name, size, over_websockets, goal, effort)]
    if find_spec("numpy") is not None:
        figures.append(_figure(name, size, over_websockets, fast_goal, effort, fast=True))
    return figures


def measure_large(effort: Effort) -> list[Figure]:
    return _figures(LARGE, "segments of 32 MiB", 1.0, 1.0, effort)


def measure_typical(effort: Effort) -> list[Figure]:
    return _figures(TYPICAL, "segments of 400 KB", 0.3, 1.0, effort)


def measure_picows(effort: Effort) -> list[Figure]:
    fast = find_spec("numpy") is not None
    return [
        _figure("segments of 32 MiB (picows)", LARGE, over_picows, None, effort, fast=fast),
        _figure("segments of 400 KB (picows)", TYPICAL, over_picows, None, effort, fast=fast),
    ]


ROWS = [
    Row("throughput-32MiB", measure_large, lambda: asyncio.run(send_ours(LARGE))),
    Row("throughput-400KB", measure_typical, lambda: asyncio.run(send_ours(TYPICAL))),
    Row("throughput-picows", measure_picows),
]
