"""Connections that never leave the process: for many servers at once, and for clocks that jump."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import anyio
from anyio.abc import ByteStream, Listener, TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

#: How many sends fit between the two ends before the sender waits.
_DEPTH = 64


class MemoryStream(ByteStream):
    """One end of a connection."""

    def __init__(self, receiver: MemoryObjectReceiveStream[bytes], sender: MemoryObjectSendStream[bytes]) -> None:
        self._receiver = receiver
        self._sender = sender
        self._left = b""

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """The next bytes.

        Raises:
            EndOfStream: If the other end sends nothing more.
        """
        data = self._left or await self._receiver.receive()
        self._left = data[max_bytes:]
        return data[:max_bytes]

    async def send(self, item: bytes) -> None:
        """Send bytes.

        Raises:
            BrokenResourceError: If the other end is closed.
        """
        await self._sender.send(item)

    async def send_eof(self) -> None:
        """Send nothing more."""
        await self._sender.aclose()

    async def aclose(self) -> None:
        """Close both directions."""
        # Without waiting: whoever closes by force is cancelled at the first wait.
        self._sender.close()
        self._receiver.close()


def memory_pair() -> tuple[MemoryStream, MemoryStream]:
    """The two ends of a connection."""
    there_send, there_receive = anyio.create_memory_object_stream[bytes](_DEPTH)
    back_send, back_receive = anyio.create_memory_object_stream[bytes](_DEPTH)
    return MemoryStream(back_receive, there_send), MemoryStream(there_receive, back_send)


class MemoryListener(Listener[MemoryStream]):
    """Takes connections that are made with `dial`; for `ihproto.anyio.serve`."""

    @cached_property
    def _ends(self) -> tuple[MemoryObjectSendStream[MemoryStream], MemoryObjectReceiveStream[MemoryStream]]:
        # Made when somebody connects or takes connections, for then somebody closes them.
        send, receive = anyio.create_memory_object_stream[MemoryStream](_DEPTH)
        return send, receive

    async def dial(self) -> MemoryStream:
        """Connect, and return the near end."""
        near, far = memory_pair()
        await self._ends[0].send(far)
        return near

    async def serve(self, handler: Callable[[MemoryStream], Any], task_group: TaskGroup | None = None) -> None:
        """Call the handler for every connection, in a task of its own."""
        async with anyio.create_task_group() as own:
            group = task_group if task_group is not None else own
            async for stream in self._ends[1]:
                group.start_soon(handler, stream)

    async def aclose(self) -> None:
        """Take no more connections, and close those that nobody has taken."""
        sender, receiver = self._ends
        sender.close()
        while receiver.statistics().current_buffer_used:
            await receiver.receive_nowait().aclose()
        receiver.close()
