"""The end of a connection without a session, when another task than the one that reads answers the close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio.testing
from anyio.abc import ByteStream, Listener, TaskGroup

from ihproto.anyio import RawStream, ServerStream, connect_raw, serve
from ihproto.wire import RawClose
from ihproto_conformance.memory import MemoryListener, memory_pair


def test_who_reads_learns_that_another_task_has_answered_the_close() -> None:
    async def answer(raw: RawStream) -> None:
        await anyio.sleep(1)
        await raw.close(1000)

    async def handler(stream: ServerStream) -> None:
        raw = await stream.accept_raw()
        async with anyio.create_task_group() as tasks:
            async for event in raw:
                if isinstance(event, RawClose):
                    tasks.start_soon(answer, raw)

    async def main() -> None:
        listener = MemoryListener()
        async with (
            serve(handler, listener=listener),
            connect_raw("ws://localhost", stream=await listener.dial()) as client,
        ):
            await client.close(1000)
            assert [event async for event in client] == [RawClose(1000)]
            # Its own patience would have ended after ten seconds.
            assert anyio.current_time() == pytest.approx(1.0)

    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(main, backend="trio", backend_options={"clock": clock})


class _SlowToSend(ByteStream):
    """Takes a second for whatever it is to send."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        await anyio.sleep(1)
        await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Once(Listener[ByteStream]):
    """Brings one connection."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

    async def serve(self, handler: Callable[[ByteStream], Any], task_group: TaskGroup | None = None) -> None:
        await handler(self._stream)

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()


def test_iteration_ends_when_the_close_of_another_task_is_sent() -> None:
    async def handler(stream: ServerStream) -> None:
        raw = await stream.accept_raw()
        async with anyio.create_task_group() as tasks:
            async for event in raw:
                if isinstance(event, RawClose):
                    tasks.start_soon(raw.close)
                    # By now the other task is in the middle of it.
                    await anyio.sleep(0.5)
            tasks.cancel_scope.cancel()

    async def main() -> None:
        near, far = memory_pair()
        async with (
            serve(handler, listener=_Once(_SlowToSend(far))),
            connect_raw("ws://localhost", stream=near) as client,
        ):
            await client.close()
            assert [event async for event in client] == [RawClose(1000)]

    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(main, backend="trio", backend_options={"clock": clock})


def test_who_reads_is_not_told_of_pongs_and_they_are_kept() -> None:
    kept: list[object] = []

    async def handler(stream: ServerStream) -> None:
        raw = await stream.accept_raw()
        await raw.send_verbatim(b"\x89\x02hi")
        async for event in raw:
            kept.extend([event, raw.pongs])
            await raw.close()

    async def main() -> None:
        listener = MemoryListener()
        async with (
            serve(handler, listener=listener),
            connect_raw("ws://localhost", stream=await listener.dial()) as client,
            anyio.create_task_group() as tasks,
        ):
            heard: list[object] = []

            async def read() -> None:
                heard.extend([event async for event in client])

            tasks.start_soon(read)
            await anyio.sleep(1)
            await client.close()
        assert heard == [RawClose(1000)]
        assert kept == [RawClose(1000), (b"hi",)]

    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(main, backend="trio", backend_options={"clock": clock})
