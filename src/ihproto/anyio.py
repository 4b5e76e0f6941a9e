"""The anyio adapter: sessions over sockets, on asyncio or trio.

`connect` opens a session with a server, `serve` takes the connections of clients. What they hand out is described in
`ClientStream`, `ServerStream` and, for plain HTTP, `HttpExchange`; `Api` makes plain HTTP requests. `ihproto.trio` has
the same names.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar, Unpack

import anyio
import anyio.abc
import anyio.to_thread
from anyio.streams.tls import TLSStream

from ihproto._adapter import (
    ACCEPT_PAUSE,
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
    """An anyio byte stream, with the clock and the tools of anyio.

    With an `ssl_context`, it is the server's end, and the handshake is made before anything is read.
    """

    def __init__(self, stream: anyio.abc.ByteStream, ssl_context: ssl.SSLContext | None = None) -> None:
        self._stream = stream
        self._ssl_context = ssl_context

    def now(self) -> float:
        return anyio.current_time()

    def scope(self, deadline: float) -> anyio.CancelScope:
        return anyio.CancelScope(deadline=deadline)

    def lock(self) -> anyio.Lock:
        # Whoever takes it waits for the network next, so that others have their turn without a round of the loop here.
        return anyio.Lock(fast_acquire=True)

    async def receive(self) -> bytes:
        try:
            if self._ssl_context is not None:
                context, self._ssl_context = self._ssl_context, None
                self._stream = await TLSStream.wrap(
                    self._stream, server_side=True, ssl_context=context, standard_compatible=False
                )
            return await self._stream.receive(RECEIVE_SIZE)
        except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            return b""

    async def send_all(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            raise ConnectionBroken("the peer has closed the connection") from None

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._stream)


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
    url: str, *, stream: anyio.abc.ByteStream | None = None, **options: Unpack[RawConnectOptions]
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


async def _dial(endpoint: Endpoint) -> anyio.abc.ByteStream:
    target = endpoint.target
    try:
        with anyio.fail_after(endpoint.connect_timeout):
            stream: anyio.abc.ByteStream = await anyio.connect_tcp(target.host, target.port)
            if endpoint.ssl_context is None:
                return stream
            try:
                return await TLSStream.wrap(
                    stream, hostname=target.host, ssl_context=endpoint.ssl_context, standard_compatible=False
                )
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise
    except TimeoutError:
        raise endpoint.too_slow() from None
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        raise endpoint.unreachable(error) from None


class _Library:
    """The clock, the tasks and the threads of anyio."""

    def now(self) -> float:
        return anyio.current_time()

    def lock(self) -> anyio.Lock:
        return anyio.Lock()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def together(
        self, first: Callable[[], Coroutine[Any, Any, None]], second: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(first)
            group.start_soon(second)

    async def in_thread(self, call: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(call)

    async def dial(self, endpoint: Endpoint) -> Transport:
        return _Transport(await _dial(endpoint))


class Api(_Api):
    """The HTTP endpoints of a service, see `ihproto._adapter.Api`: key exchange, client tokens, uploads, jobs."""

    library = _Library()


@asynccontextmanager
async def serve(
    handler: Handler, *, listener: anyio.abc.Listener[Any] | None = None, **options: Unpack[ServeOptions]
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
    if listener is None:
        try:
            listener = await anyio.create_tcp_listener(local_host=server.host, local_port=server.port)
        except OSError as error:
            raise server.cannot_listen(error) from None
        server.port = listener.extra(anyio.abc.SocketAttribute.local_port)
    connecting = listener

    async def take(stream: anyio.abc.ByteStream) -> None:
        await server.take(_Transport(stream, server.ssl_context))

    async def accept() -> None:
        while True:
            try:
                await connecting.serve(take, connections)
            except* OSError as errors:
                server.cannot_accept(errors)
            await anyio.sleep(ACCEPT_PAUSE)

    failure: BaseException | None = None
    async with anyio.create_task_group() as connections:
        async with connecting, anyio.create_task_group() as accepting:
            accepting.start_soon(accept)
            try:
                yield server
            except anyio.get_cancelled_exc_class():
                raise
            except BaseException as error:
                # Raised below, so that it does not come out wrapped in a group.
                failure = error
            accepting.cancel_scope.cancel()
        connections.cancel_scope.deadline = anyio.current_time() + server.shutdown_timeout
        await server.close_streams()
    if failure is not None:
        raise failure
