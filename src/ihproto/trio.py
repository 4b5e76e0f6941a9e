"""The trio adapter: sessions over sockets, on trio alone.

`connect` opens a session with a server, `serve` takes the connections of clients. What they hand out is described in
`ClientStream`, `ServerStream` and, for plain HTTP, `HttpExchange`; `Api` makes plain HTTP requests. `ihproto.anyio` has
the same names.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar, Unpack

import trio

from ihproto._adapter import (
    RECEIVE_SIZE,
    ApiError,
    ClientStream,
    ConnectError,
    ConnectionBroken,
    ConnectOptions,
    Dialer,
    Endpoint,
    File,
    Handler,
    HttpExchange,
    JobUnfinished,
    PeerStalled,
    Progress,
    RawConnectOptions,
    RawDialer,
    RawStream,
    RequestHandler,
    ServeOptions,
    Server,
    ServerStream,
    SessionRefused,
    StreamError,
    TokenSource,
    Transport,
    UpgradeError,
    resolve,
)
from ihproto._adapter import Api as _Api
from ihproto.wire import CredentialForm, HttpError, HttpRequested, UpgradeRequested

__all__ = [
    "Api",
    "ApiError",
    "ClientStream",
    "ConnectError",
    "ConnectOptions",
    "ConnectionBroken",
    "CredentialForm",
    "File",
    "Handler",
    "HttpError",
    "HttpExchange",
    "HttpRequested",
    "JobUnfinished",
    "PeerStalled",
    "Progress",
    "RawConnectOptions",
    "RawStream",
    "RequestHandler",
    "ServeOptions",
    "Server",
    "ServerStream",
    "SessionRefused",
    "StreamError",
    "TokenSource",
    "UpgradeError",
    "UpgradeRequested",
    "connect",
    "connect_raw",
    "serve",
]


T = TypeVar("T")


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
async def connect(
    url: str, credential: str | TokenSource, **options: Unpack[ConnectOptions]
) -> AsyncIterator[ClientStream]:
    """Open a session; inside the block it stands, and `session.ready` has arrived (RDY-4).

    Leaving the block closes the session, if it is not closed already, without waiting for what the server has not
    said yet; call `ClientStream.end` and iterate to the end for that. An exception drops the connection as it is.

    Args:
        url: `wss://…`, or `ws://…` for a local server; without a path, that of the revision (HS-1).
        credential: An API key or a token, or where to get one.
        **options: See `ConnectOptions`.

    Raises:
        LocalProtocolError: If URL or credential cannot be used (HS-1, HS-2, HS-7).
        ConnectError: If the server cannot be reached.
        UpgradeError: If it refuses the upgrade (HS-10).
        SessionRefused: If it refuses the session (RDY-3, HS-11).
        StreamError: If a `TokenSource` gets no token.
    """
    dialer = Dialer(url, await resolve(credential), **options)
    async with dialer.open(_Transport(await _dial(dialer))) as stream:
        yield stream


@asynccontextmanager
async def connect_raw(
    url: str, *, stream: trio.abc.Stream | None = None, **options: Unpack[RawConnectOptions]
) -> AsyncIterator[RawStream]:
    """Open a WebSocket without a session, to say and to hear anything; leaving the block drops it.

    Args:
        url: `wss://…`, or `ws://…` for a local server; without a path, that of the revision (HS-1).
        stream: An open connection to use instead of one to the host of the URL; no TLS is set up on it.
        **options: See `RawConnectOptions`.

    Raises:
        LocalProtocolError: If URL or credential cannot be used (HS-1, HS-2, HS-7).
        ConnectError: If the server cannot be reached.
        UpgradeError: If it refuses the upgrade; the event in it holds the whole response.
    """
    dialer = RawDialer(url, **options)
    async with dialer.open(_Transport(stream if stream is not None else await _dial(dialer))) as raw:
        yield raw


async def _dial(endpoint: Endpoint) -> trio.abc.Stream:
    target = endpoint.target
    try:
        with trio.fail_after(endpoint.connect_timeout):
            stream = await trio.open_tcp_stream(target.host, target.port)
            if endpoint.ssl_context is None:
                return stream
            encrypted = trio.SSLStream(stream, endpoint.ssl_context, server_hostname=target.host, https_compatible=True)
            try:
                await encrypted.do_handshake()
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return encrypted
    except trio.TooSlowError:
        raise endpoint.too_slow() from None
    except (OSError, trio.BrokenResourceError) as error:
        raise endpoint.unreachable(error) from None


class _Library:
    """The clock, the tasks and the threads of trio."""

    def now(self) -> float:
        return trio.current_time()

    def lock(self) -> trio.Lock:
        return trio.Lock()

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def together(
        self, first: Callable[[], Coroutine[Any, Any, None]], second: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            nursery.start_soon(second)

    async def in_thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call)

    async def dial(self, endpoint: Endpoint) -> Transport:
        return _Transport(await _dial(endpoint))


class Api(_Api):
    """The HTTP endpoints of a service, see `ihproto._adapter.Api`: key exchange, client tokens, uploads, jobs."""

    library = _Library()


async def _listen(server: Server) -> list[trio.abc.Listener[Any]]:
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
    return [*listeners]


@asynccontextmanager
async def serve(
    handler: Handler, *, listener: trio.abc.Listener[Any] | None = None, **options: Unpack[ServeOptions]
) -> AsyncIterator[Server]:
    """Take connections while the block runs; leaving it closes every session with 1001.

    Args:
        handler: Called for each upgrade request, in a task of its own.
        listener: What brings connections instead of `host` and `port`: a Unix socket, say, or memory.
        **options: See `ServeOptions`.

    Raises:
        ConnectError: If the address cannot be listened on.
    """
    server = Server(handler, **options)
    listeners = [listener] if listener is not None else await _listen(server)

    async def take(stream: trio.abc.Stream) -> None:
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
