"""Connections in memory: a listener that is dialled by a call, for sessions without sockets and on any clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio
import anyio.abc
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream


class MemoryStream(anyio.abc.ByteStream):
    """One end of a connection in memory; it takes any number of bytes before the other end reads them.

    Args:
        send: Where what is sent goes.
        receive: Where what arrives comes from.
    """

    def __init__(self, send: MemoryObjectSendStream[bytes], receive: MemoryObjectReceiveStream[bytes]) -> None:
        self._send = send
        self._receive = receive
        self._rest = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes, at most `max_bytes` of them."""
        data = self._rest or await self._receive.receive()
        self._rest = data[max_bytes:]
        return data[:max_bytes]

    async def send(self, item: bytes) -> None:
        """Send bytes."""
        await self._send.send(bytes(item))

    async def send_eof(self) -> None:
        """Tell the other end that nothing more comes."""
        self._send.close()

    async def aclose(self) -> None:
        """Close both directions."""
        self._send.close()
        self._receive.close()


def memory_pair() -> tuple[MemoryStream, MemoryStream]:
    """Both ends of a connection."""
    there = anyio.create_memory_object_stream[bytes](math.inf)
    back = anyio.create_memory_object_stream[bytes](math.inf)
    return MemoryStream(there[0], back[1]), MemoryStream(back[0], there[1])


class MemoryListener(anyio.abc.Listener[MemoryStream]):
    """Brings the connections that `dial` makes: give it to `ihproto.anyio.serve`."""

    def __init__(self) -> None:
        self._dialled, self._waiting = anyio.create_memory_object_stream[MemoryStream](math.inf)

    def dial(self) -> MemoryStream:
        """A new connection, as its client has it.

        Raises:
            anyio.BrokenResourceError: If nobody listens any more.
        """
        near, far = memory_pair()
        self._dialled.send_nowait(far)
        return near

    async def serve(
        self, handler: Callable[[MemoryStream], Any], task_group: anyio.abc.TaskGroup | None = None
    ) -> None:
        """Call the handler for each connection, in a task of its own."""
        async with anyio.create_task_group() as own:
            async for stream in self._waiting:
                (task_group or own).start_soon(handler, stream)

    async def aclose(self) -> None:
        """Listen no more; connections that nobody took are closed."""
        self._dialled.close()
        while self._waiting.statistics().current_buffer_used:
            await self._waiting.receive_nowait().aclose()
        self._waiting.close()
