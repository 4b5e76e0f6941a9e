"""A relay between a server that says what it is told to, and clients that do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from ihproto import Side
from ihproto.anyio import RawStream, Server, ServerStream, serve
from ihproto.wire import RawEvent
from ihproto_conformance.relay import Relay, RelayedSession
from ihproto_conformance.verdict import Entry

KEY = "ih_live_0123456789abcdefSECRET"
CORRELATION_ID = "6f1c2b9e-0000-4000-8000-000000000001"

Script = Callable[[RawStream], Awaitable[None]]


def run(body: Callable[[], Awaitable[None]]) -> None:
    """Run a test, which must not hang."""

    async def main() -> None:
        with anyio.fail_after(20):
            await body()

    anyio.run(main)


@asynccontextmanager
async def upstream(script: Script, **headers: str) -> AsyncIterator[Server]:
    """A server that accepts everybody, and then follows a script."""

    async def handle(stream: ServerStream) -> None:
        told = {"X-Correlation-ID": CORRELATION_ID, **headers}
        await script(await stream.accept_raw(list(told.items())))

    async with serve(handle) as server:
        yield server


@asynccontextmanager
async def relay_to(server: Server, **more: Any) -> AsyncIterator[Relay]:
    """A relay to this server."""
    async with Relay(server.url, **more) as relay:
        yield relay


class Ended:
    """Waits for sessions of a relay to end; to be passed as `on_end`."""

    def __init__(self) -> None:
        self._ended: list[RelayedSession] = []
        self._news = anyio.Event()

    def __call__(self, session: RelayedSession) -> None:
        self._ended.append(session)
        self._news.set()

    async def wait(self, count: int = 1) -> list[RelayedSession]:
        """Wait until so many sessions have ended."""
        while len(self._ended) < count:
            self._news = anyio.Event()
            await self._news.wait()
        return self._ended


async def everything(stream: RawStream) -> list[RawEvent]:
    """What a side hears until the end."""
    return [event async for event in stream]


def blamed(entries: list[Entry]) -> list[tuple[Side, str]]:
    """Who broke what, in order."""
    return [(violation.side, violation.clause.id) for entry in entries for violation in entry.violations]
