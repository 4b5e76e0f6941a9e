"""The trio adapter: sessions over sockets, on trio alone.

`connect` opens a session with a server, `serve` takes the connections of clients. What they hand out is described in
`ClientStream` and `ServerStream`; `ihproto.anyio` has the same names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Unpack

import trio

from ihproto._adapter import (
    RECEIVE_SIZE,
    ClientStream,
    ConnectError,
    ConnectionBroken,
    ConnectOptions,
    Dialer,
    Handler,
    PeerStalled,
    ServeOptions,
    Server,
    ServerStream,
    SessionRefused,
    StreamError,
    UpgradeError,
)
from ihproto.wire import CredentialForm, HttpError, UpgradeRequested

__all__ = [
    "ClientStream",
    "ConnectError",
    "ConnectOptions",
    "ConnectionBroken",
    "CredentialForm",
    "Handler",
    "HttpError",
    "PeerStalled",
    "ServeOptions",
    "Server",
    "ServerStream",
    "SessionRefused",
    "StreamError",
    "UpgradeError",
    "UpgradeRequested",
    "connect",
    "serve",
]


class _Transport:
    """A trio stream, with the clock and the tools of trio."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    def now(self) -> float:
        return trio.current_time()

    def scope(self, deadline: float) -> trio.CancelScope:
        return trio.CancelScope(deadline=deadline)

    def lock(self) -> trio.Lock:
        return trio.Lock()

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(RECEIVE_SIZE))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def send_all(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise ConnectionBroken("the peer has closed the connection") from None

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)


@asynccontextmanager
async def connect(url: str, credential: str, **options: Unpack[ConnectOptions]) -> AsyncIterator[ClientStream]:
    """Open a session; inside the block it stands, and `session.ready` has arrived (RDY-4).

    Leaving the block closes the session, if it is not closed already, without waiting for what the server has not
    said yet; call `ClientStream.end` and iterate to the end for that. An exception drops the connection as it is.

    Args:
        url: `wss://…`, or `ws://…` for a local server; without a path, that of the revision (HS-1).
        credential: An API key or a token.
        **options: See `ConnectOptions`.

    Raises:
        LocalProtocolError: If URL or credential cannot be used (HS-1, HS-2, HS-7).
        ConnectError: If the server cannot be reached.
        UpgradeError: If it refuses the upgrade (HS-10).
        SessionRefused: If it refuses the session (RDY-3, HS-11).
    """
    dialer = Dialer(url, credential, **options)
    async with dialer.open(_Transport(await _dial(dialer))) as stream:
        yield stream


async def _dial(dialer: Dialer) -> trio.abc.Stream:
    target = dialer.target
    try:
        with trio.fail_after(dialer.connect_timeout):
            stream = await trio.open_tcp_stream(target.host, target.port)
            if dialer.ssl_context is None:
                return stream
            encrypted = trio.SSLStream(stream, dialer.ssl_context, server_hostname=target.host, https_compatible=True)
            try:
                await encrypted.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return encrypted
    except trio.TooSlowError:
        raise dialer.too_slow() from None
    except (OSError, trio.BrokenResourceError) as error:
        raise dialer.unreachable(error) from None


@asynccontextmanager
async def serve(handler: Handler, **options: Unpack[ServeOptions]) -> AsyncIterator[Server]:
    """Take connections while the block runs; leaving it closes every session with 1001.

    Args:
        handler: Called for each upgrade request, in a task of its own.
        **options: See `ServeOptions`.

    Raises:
        ConnectError: If the address cannot be listened on.
    """
    server = Server(handler, **options)
    try:
        listeners = await trio.open_tcp_listeners(server.port, host=server.host)
    except OSError as error:
        raise server.cannot_listen(error) from None
    if server.port == 0:
        # Each address of the host has got a port of its own; a server has one.
        for surplus in listeners[1:]:
            await surplus.aclose()
        listeners = listeners[:1]
    server.port = listeners[0].socket.getsockname()[1]

    async def take(stream: trio.SocketStream) -> None:
        if server.ssl_context is None:
            await server.take(_Transport(stream))
        else:
            encrypted = trio.SSLStream(stream, server.ssl_context, server_side=True, https_compatible=True)
            await server.take(_Transport(encrypted))

    async def accept() -> None:
        await trio.serve_listeners(take, listeners, handler_nursery=connections)

    failure: BaseException | None = None
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(accept)
            try:
                yield server
            except trio.Cancelled:
                raise
            except BaseException as error:
                # Raised below, so that it does not come out wrapped in a group.
                failure = error
            accepting.cancel_scope.cancel()
        connections.cancel_scope.deadline = trio.current_time() + server.shutdown_timeout
        await server.close_streams()
    if failure is not None:
        raise failure
