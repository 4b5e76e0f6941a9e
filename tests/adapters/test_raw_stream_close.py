"""The end of a connection without a session, when another task than the one that reads answers the close."""

from __future__ import annotations

import anyio
import pytest
import trio.testing

from ihproto.anyio import RawStream, ServerStream, connect_raw, serve
from ihproto.wire import RawClose
from ihproto_conformance.memory import MemoryListener


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
