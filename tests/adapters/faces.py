"""The faces of the adapters, a runner that leaves nothing behind, and peers that speak bytes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Protocol, TypeAlias, Unpack

import anyio
import anyio.abc
import anyio.lowlevel
import trio
from wire.raw import CLOSE, Frame, Head, close_payload, frame, frames, head, masked, ready, request, response

import ihproto.anyio
import ihproto.trio
from ihproto import Envelope, NominalScanner, SessionClosed, WindowAnalysis, WindowReady
from ihproto._adapter import Api
from ihproto.anyio import ClientStream, ConnectOptions, Handler, ServeOptions, Server, ServerStream


class Connect(Protocol):
    def __call__(
        self, url: str, credential: str, **options: Unpack[ConnectOptions]
    ) -> AbstractAsyncContextManager[ClientStream]: ...


class Serve(Protocol):
    def __call__(self, handler: Handler, **options: Unpack[ServeOptions]) -> AbstractAsyncContextManager[Server]: ...


@dataclass(frozen=True)
class Face:
    """One adapter on one event loop."""

    name: str
    backend: str
    connect: Connect
    serve: Serve


FACES = (
    Face("anyio-asyncio", "asyncio", ihproto.anyio.connect, ihproto.anyio.serve),
    Face("anyio-trio", "trio", ihproto.anyio.connect, ihproto.anyio.serve),
    Face("trio", "trio", ihproto.trio.connect, ihproto.trio.serve),
)


def adapter(name: str) -> ModuleType:
    """The adapter of a face, by its name."""
    return ihproto.trio if name == "trio" else ihproto.anyio


def make_api(face: Face, url: str, **options: Any) -> Api:
    """What the service offers by plain HTTP, for this face."""
    found = adapter(face.name).Api(url, **options)
    assert isinstance(found, Api)
    return found


Body: TypeAlias = Callable[[Face], Awaitable[None]]
Run: TypeAlias = Callable[[Body], None]


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the names alone, without a call for each


def tasks(backend: str) -> int:
    """How many tasks there are."""
    return len(asyncio.all_tasks()) if backend == "asyncio" else trio.lowlevel.current_statistics().tasks_living


async def settle(sockets: int) -> int:
    """Give the loop some turns to close what was told to close; returns how many descriptors are too many."""
    for _ in range(100):
        if descriptors() <= sockets:
            break
        await anyio.lowlevel.checkpoint()
    return descriptors() - sockets


@dataclass
class Dialled:
    """The TCP connections that a client opened."""

    streams: list[anyio.abc.AsyncResource] = field(default_factory=list)

    async def leaked(self, sockets: int) -> int:
        """How many descriptors are open beyond those that there were before; they are closed here."""
        left = await settle(sockets)
        for stream in self.streams:
            await anyio.aclose_forcefully(stream)
        await settle(sockets)
        return left


def run_body(face: Face, body: Body) -> None:
    """Run a test; it must not hang, and must leave neither task nor socket behind."""

    async def main() -> None:
        await anyio.lowlevel.checkpoint()
        tasks_before, sockets_before = tasks(face.backend), descriptors()
        with anyio.fail_after(15):
            await body(face)
        assert await settle(sockets_before) <= 0, "a socket was left behind"
        assert tasks(face.backend) <= tasks_before, "a task was left behind"

    anyio.run(main, backend=face.backend)


# -- handlers -----------------------------------------------------------------------------------


async def analyse(stream: ServerStream) -> None:
    """Accept everybody, and find nothing in any window."""
    await stream.accept(scanner=NominalScanner())
    async for event in stream:
        if isinstance(event, WindowReady):
            await stream.send_analysis(WindowAnalysis(event.window))


async def collect(stream: ClientStream) -> tuple[list[str], SessionClosed]:
    """Iterate to the end: the types of the envelopes, and how the session was closed."""
    names: list[str] = []
    async for event in stream:
        if isinstance(event, Envelope):
            names.append(event.type)
        elif isinstance(event, SessionClosed):
            return names, event
    raise AssertionError("the iteration ended without SessionClosed")


# -- peers that speak bytes ---------------------------------------------------------------------


@dataclass
class RawPeer:
    """One end of a connection that says what it is told to."""

    stream: anyio.abc.ByteStream
    buffer: bytes = b""
    ended: anyio.Event = field(default_factory=anyio.Event)

    async def send(self, data: bytes) -> None:
        await self.stream.send(data)

    async def more(self) -> bool:
        """Read something; False at the end."""
        try:
            self.buffer += await self.stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            self.ended.set()
            return False
        return True

    async def read_head(self) -> Head:
        while b"\r\n\r\n" not in self.buffer:
            assert await self.more(), f"the connection ended in a head: {self.buffer!r}"
        found = head(self.buffer)
        self.buffer = found.rest
        return found

    async def read_frame(self) -> Frame:
        """The next frame, which must be a short one."""
        while True:
            size = self.buffer[1] & 0x7F if len(self.buffer) > 1 else 0
            size, extra = (int.from_bytes(self.buffer[2:4], "big"), 2) if size == 126 else (size, 0)
            whole = 2 + extra + size + (4 if len(self.buffer) > 1 and self.buffer[1] & 0x80 else 0)
            if len(self.buffer) >= max(whole, 2):
                (found,) = frames(self.buffer[:whole])
                self.buffer = self.buffer[whole:]
                return found
            assert await self.more(), "the connection ended in a frame"

    async def read_to_end(self) -> bytes:
        """All that still comes, until the other side is gone."""
        while await self.more():
            pass
        return self.buffer

    async def upgrade(self, *first: bytes) -> None:
        """Be a server: accept the upgrade, and say something right behind it."""
        key = (await self.read_head()).get("sec-websocket-key")
        assert key is not None
        await self.send(response(key) + b"".join(first))

    async def ask(self, *headers: tuple[str, str]) -> Head:
        """Be a client: ask for an upgrade, and read the answer."""
        await self.send(request(*headers))
        return await self.read_head()

    async def close_as_client(self, code: int = 1000) -> None:
        await self.send(masked(CLOSE, close_payload(code)))


Script: TypeAlias = Callable[[RawPeer], Awaitable[None]]

READY = frame(0x1, ready())


@asynccontextmanager
async def raw_server(script: Script) -> AsyncIterator[str]:
    """A TCP server whose every connection follows a script; gives its URL."""

    async def take(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await script(RawPeer(stream))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, take)
        yield f"ws://127.0.0.1:{listener.extra(anyio.abc.SocketAttribute.local_port)}"
        group.cancel_scope.cancel()


@asynccontextmanager
async def raw_client(port: int) -> AsyncIterator[RawPeer]:
    """A TCP connection to a server."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        yield RawPeer(stream)
