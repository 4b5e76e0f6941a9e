"""Connections without a session: messages as they are, for relays, tests and judges."""

from __future__ import annotations

import functools
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self, TypedDict

from ihproto._adapter.driver import Driver, Transport
from ihproto._adapter.endpoint import Endpoint
from ihproto.revisions import V1, Revision
from ihproto.wire import (
    ClientConnection,
    Credential,
    RawEvent,
    RawFrames,
    ServerConnection,
    Target,
    UpgradeAccepted,
)


class RawStream:
    """A WebSocket on which anything may be said.

    Iterate over it for what arrives; iteration ends when the connection does, and not before a close frame that another
    task is sending has left. A close frame of the peer is not answered by itself: call `close`. Sending and iterating
    may happen in different tasks. A peer that is silent is waited for without end, but for the answer to a close.

    All sends raise `StreamError` when the connection is lost.

    Attributes:
        accepted: The answer to the upgrade, None at the server's end.
    """

    def __init__(
        self,
        driver: Driver[ClientConnection] | Driver[ServerConnection],
        accepted: UpgradeAccepted | None = None,
    ) -> None:
        assert driver.wire.raw is not None
        self.accepted = accepted
        self._frames: RawFrames = driver.wire.raw
        self._driver = driver
        self._events: deque[RawEvent] = deque()

    @property
    def closed(self) -> bool:
        """Whether this side has sent its close frame, or the connection is over."""
        return self._frames.closed or self._frames.finished

    @property
    def peer_closed(self) -> bool:
        """Whether the peer has sent its close frame."""
        return self._frames.peer_closed

    @property
    def pongs(self) -> tuple[bytes, ...]:
        """The payloads of the last pongs of the peer, oldest first; see `RawFrames.pongs`."""
        return tuple(self._frames.pongs)

    def now(self) -> float:
        """The present moment on the adapter's clock, in seconds."""
        return self._driver.transport.now()

    async def send_text(self, text: str, *, final: bool = True) -> None:
        """Send a text message, or a piece of one; see `RawFrames.send_text`."""
        self._driver.check()
        self._frames.send_text(text, final=final)
        await self._driver.flush()

    async def send_bytes(self, data: bytes, *, final: bool = True) -> None:
        """Send a binary message, or a piece of one; see `RawFrames.send_bytes`."""
        self._driver.check()
        self._frames.send_bytes(data, final=final)
        await self._driver.flush()

    async def send_verbatim(self, data: bytes) -> None:
        """Send bytes that need not be frames."""
        self._driver.check()
        self._frames.send_verbatim(data)
        await self._driver.flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, or answer that of the peer, and wait for nothing; a lost connection is closed enough."""
        self._frames.close(code, reason)
        await self._driver.flush(patient=False)

    def abort(self, reason: str = "aborted by this side") -> None:
        """Give the connection up without a close frame; the socket is closed when its owner lets go of it."""
        self._driver.break_off(reason)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RawEvent:
        """What arrived next."""
        while True:
            if self._events:
                return self._events.popleft()
            self._events.extend(self._frames.events())
            if not self._events:
                if self._frames.finished:
                    if self._frames.closed and self._frames.peer_closed:
                        await self._driver.wait_sent()
                    raise StopAsyncIteration
                await self._driver.step()


class RawConnectOptions(TypedDict, total=False):
    """What `connect_raw` takes besides the URL; see `RawDialer` for meanings and defaults."""

    credential: Credential | None
    revision: Revision
    headers: Sequence[tuple[str, str]]
    subprotocols: Sequence[str]
    query: Sequence[tuple[str, str]]
    ssl_context: ssl.SSLContext | None
    allow_plaintext: bool
    connect_timeout: float
    close_timeout: float
    send_timeout: float


class RawDialer(Endpoint):
    """All that `connect_raw` needs to know, checked before there is a socket.

    Args:
        url: `wss://…`, or `ws://…` for a local server; without a path, that of the revision (HS-1).
        credential: The credential and its form, None for none.
        revision: The revision whose path is taken where the URL has none.
        headers: More headers for the upgrade request.
        subprotocols: More subprotocols to offer, after those of the credential.
        query: More parameters for the query of the URL.
        ssl_context: The TLS settings for `wss://`; None for the defaults.
        allow_plaintext: Allow `ws://` to hosts that are not local (HS-1).
        connect_timeout: How long each of connecting and upgrade may take, in seconds.
        close_timeout: How long to wait for the end of the connection after this side's close frame, in seconds.
        send_timeout: How long the server may not take our bytes, in seconds.

    Raises:
        LocalProtocolError: If URL or credential cannot be used (HS-1, HS-2, HS-7).
    """

    def __init__(
        self,
        url: str,
        *,
        credential: Credential | None = None,
        revision: Revision = V1,
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
        query: Sequence[tuple[str, str]] = (),
        ssl_context: ssl.SSLContext | None = None,
        allow_plaintext: bool = False,
        connect_timeout: float = 30.0,
        close_timeout: float = 10.0,
        send_timeout: float = 60.0,
    ) -> None:
        target = Target.parse(url, revision, allow_plaintext=allow_plaintext).with_query(query)
        super().__init__(target, ssl_context, connect_timeout)
        self._send_timeout = send_timeout
        self._make_wire = functools.partial(
            ClientConnection,
            target=self.target,
            credential=credential,
            raw=True,
            headers=tuple(headers),
            subprotocols=tuple(subprotocols),
            upgrade_timeout=connect_timeout,
            close_timeout=close_timeout,
        )
        # Whatever is wrong with the credential shows here, before anything is connected.
        self._make_wire(0.0)

    @asynccontextmanager
    async def open(self, transport: Transport) -> AsyncIterator[RawStream]:
        """Upgrade, hand out the stream, and leave nothing behind."""
        wire = self._make_wire(transport.now())
        try:
            await self.upgrade(wire, transport)
            (accepted,) = wire.events()
            assert isinstance(accepted, UpgradeAccepted)
            yield RawStream(Driver(wire, transport, self._send_timeout), accepted)
        finally:
            await transport.aclose()
