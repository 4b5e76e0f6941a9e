"""What the two adapters have in common: one connection, driven by whatever moves the bytes.

Nothing here imports an async library. A `Transport` brings the socket, the clock, the cancel scope and the lock of its
library; `ClientStream` and `ServerStream` do the rest, without tasks of their own: bytes are read while somebody
iterates, and written while somebody sends, so that a cancelled task leaves nothing behind.
"""

from __future__ import annotations

import functools
import logging
import ssl
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Generic, Protocol, Self, TypeAlias, TypedDict, TypeVar

from ihproto.analysis import WindowAnalysis
from ihproto.automata import ClientState, ServerState
from ihproto.client import ClientSession
from ihproto.events import ClientEvent, ServerEvent, SessionClosed, Window
from ihproto.media import SegmentScanner
from ihproto.messages import Error, SessionReady
from ihproto.revisions import V1, Revision
from ihproto.server import ServerSession, ServerSettings
from ihproto.wire import (
    ClientConnection,
    Credential,
    CredentialForm,
    HttpError,
    ServerConnection,
    Target,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
    UpgradeRequested,
)

logger = logging.getLogger("ihproto")

#: How much is read from a socket at once, in bytes.
RECEIVE_SIZE = 64 * 1024
#: Segments longer than this are sent as several frames of one message, in bytes.
PIECE_SIZE = 1024 * 1024


class StreamError(Exception):
    """Base class of what goes wrong with a connection, as opposed to the protocol."""


class ConnectError(StreamError):
    """The server could not be reached, or TLS could not be set up."""


class UpgradeError(StreamError):
    """The server did not accept the upgrade (HS-10).

    Attributes:
        event: What it answered: `UpgradeRefused` with status and error, or `UpgradeFailed`.
    """

    def __init__(self, event: UpgradeRefused | UpgradeFailed) -> None:
        super().__init__(_describe(event))
        self.event = event


class SessionRefused(StreamError):
    """The upgrade was accepted and the session was not (RDY-3), as for a missing scope (HS-11).

    Attributes:
        closed: How it was closed.
        error: The error that explains it, None when the server sent none.
    """

    def __init__(self, closed: SessionClosed) -> None:
        if closed.error is not None:
            why = f"{closed.error.code}: {closed.error.message}"
        else:
            why = closed.reason or "no reason given"
        super().__init__(f"the session was not established, {why} (close code {closed.code})")
        self.closed = closed
        self.error: Error | None = closed.error


class PeerStalled(StreamError):
    """The peer has not taken our bytes for too long; usually because nobody reads what it sends."""


class ConnectionBroken(StreamError):
    """The connection cannot be used any more, because it is closed or a send was interrupted."""


def _describe(event: UpgradeRefused | UpgradeFailed) -> str:
    if isinstance(event, UpgradeFailed):
        return event.what
    text = f"the server refused the upgrade with HTTP {event.status}"
    if event.error is not None and event.error.error_id is not None:
        text += f", {event.error.error_id}: {event.error.message}"
    elif event.error is not None and event.error.message is not None:
        text += f": {event.error.message}"
    return text


class Scope(Protocol):
    """A cancel scope."""

    deadline: float

    @property
    def cancelled_caught(self) -> bool:
        """Whether the scope ended because its deadline passed."""
        ...

    def cancel(self) -> None:
        """End what runs in the scope."""
        ...


class Lock(AbstractAsyncContextManager[object], Protocol):
    """A lock for tasks."""

    def locked(self) -> bool:
        """Whether somebody holds it."""
        ...


class Transport(Protocol):
    """What an async library has to bring for one connection."""

    def now(self) -> float:
        """The present moment, in seconds."""
        ...

    def scope(self, deadline: float) -> AbstractContextManager[Scope]:
        """A cancel scope that ends at `deadline`, or never if that is infinite."""
        ...

    def lock(self) -> Lock:
        """A new lock."""
        ...

    async def receive(self) -> bytes:
        """The next bytes, empty at the end of the stream or when the connection is lost."""
        ...

    async def send_all(self, data: bytes) -> None:
        """Send bytes; raises `ConnectionBroken` when the connection is lost."""
        ...

    async def aclose(self) -> None:
        """Close without waiting for the peer."""
        ...


class _Wire(Protocol):
    """What both connections of `ihproto.wire` have in common."""

    @property
    def finished(self) -> bool: ...
    def receive_data(self, data: bytes, now: float) -> None: ...
    def receive_eof(self, now: float) -> None: ...
    def data_to_send(self, now: float) -> bytes: ...
    def next_timeout(self) -> float | None: ...
    def handle_timeout(self, now: float) -> None: ...


W = TypeVar("W", bound=_Wire)


class _Driver(Generic[W]):
    """Moves the bytes of one connection, in whichever task asks for it."""

    def __init__(self, wire: W, transport: Transport, send_timeout: float) -> None:
        self.wire = wire
        self.transport = transport
        self._send_timeout = send_timeout
        self._writing = transport.lock()
        self._reading = transport.lock()
        self._broken = False
        self._receiving: Scope | None = None

    def check(self) -> None:
        """Raise `ConnectionBroken` if nothing can be sent any more."""
        if self._broken or self.wire.finished:
            raise ConnectionBroken("the connection is closed; the events tell why")

    async def wait_finished(self) -> None:
        """Read until the close is answered or given up."""
        if self._broken:
            self.wire.receive_eof(self.transport.now())
        while not self.wire.finished:
            await self.step()

    async def step(self) -> None:
        """Wait for bytes or for the next timeout, and let the connection act on it; or wait for a task that does so."""
        if self._reading.locked():
            async with self._reading:
                return
        async with self._reading:
            await self._step()

    async def _step(self) -> None:
        with self.transport.scope(self._deadline()) as scope:
            self._receiving = scope
            data = await self.transport.receive()
        self._receiving = None
        now = self.transport.now()
        try:
            if scope.cancelled_caught:
                self.wire.handle_timeout(now)
            elif data:
                self.wire.receive_data(data, now)
            else:
                self.wire.receive_eof(now)
        finally:
            await self.flush(patient=False)

    async def flush(self, *, patient: bool = True) -> None:
        """Send what is to be sent.

        Args:
            patient: Wait for a task that is sending already, and raise when the bytes cannot be sent. Otherwise that
                task takes ours along, and a loss shows as the end of the session.
        """
        if self._receiving is not None:
            self._receiving.deadline = self._deadline()
        if self._broken or (self._writing.locked() and not patient):
            return
        async with self._writing:
            try:
                while data := self.wire.data_to_send(self.transport.now()):
                    await self._send(data)
            except ConnectionBroken:
                # The peer's last words may still be there to be read.
                self._broken = True
                if patient:
                    raise
            except BaseException as error:
                # Half a frame may have gone out; there is no way to go on.
                self._broken = True
                self.wire.receive_eof(self.transport.now())
                if patient or not isinstance(error, PeerStalled):
                    raise

    async def _send(self, data: bytes) -> None:
        with self.transport.scope(self.transport.now() + self._send_timeout) as scope:
            await self.transport.send_all(data)
        if scope.cancelled_caught:
            raise PeerStalled(
                f"the peer has not taken our bytes for {self._send_timeout:g} s; "
                "read events while sending, in another task or by turns"
            )

    def _deadline(self) -> float:
        moment = self.wire.next_timeout()
        return float("inf") if moment is None else moment


class ClientStream:
    """An open session with a server.

    Iterate over it for the events (`Envelope`, `Violated`, `SessionClosed`); iteration ends after `SessionClosed`.
    Sending and iterating may happen in different tasks. While nobody iterates, nothing is read and pings are not
    answered: a program that sends for long should read in another task.

    Attributes:
        session: The session, for everything that can be asked about it.
    """

    def __init__(self, session: ClientSession, driver: _Driver[ClientConnection]) -> None:
        self.session = session
        self._driver = driver
        self._events: deque[ClientEvent] = deque()
        self._segments = driver.transport.lock()
        self._over = False

    @property
    def contract(self) -> SessionReady:
        """The server's contract (RDY-2)."""
        assert self.session.contract is not None
        return self.session.contract

    async def send_config(self, include: Sequence[str] = (), *, goal_dimensions: Sequence[str] | None = None) -> None:
        """Send a session config; see `ClientSession.send_config`.

        Raises:
            LocalProtocolError: If the session is over.
            StreamError: If the connection is lost.
        """
        self._driver.check()
        self.session.send_config(include, goal_dimensions=goal_dimensions)
        await self._driver.flush()

    async def send_segment(self, data: bytes | bytearray | memoryview) -> None:
        """Send a segment (SEG-1).

        Args:
            data: The whole segment; a large one goes out as several frames of one message.

        Raises:
            LocalProtocolError: If the contract does not allow it; nothing was sent (SEG-2, SEG-10, CLS-2).
            StreamError: If the connection is lost, or the send was interrupted before.
        """
        view = memoryview(data).cast("B")
        async with self._segments:
            self._driver.check()
            self.session.check_segment(len(view))
            for start in range(0, max(len(view), 1), PIECE_SIZE):
                end = start + PIECE_SIZE
                self.session.send_segment(bytes(view[start:end]), final=end >= len(view))
                await self._driver.flush()
                self._driver.check()

    async def end(self) -> None:
        """Ask for a graceful close; iterate on until the session is closed (CLS-1).

        Raises:
            LocalProtocolError: If there is no session to end.
            StreamError: If the connection is lost.
        """
        self._driver.check()
        self.session.end(self._driver.transport.now())
        await self._driver.flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once and wait for the answer; what the server has not said yet is lost (CLS-3)."""
        if self.session.state not in (ClientState.CLOSING, ClientState.CLOSED):
            self.session.close(code, reason)
            await self._driver.flush(patient=False)
        await self._driver.wait_finished()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ClientEvent:
        """The next event.

        Raises:
            RemoteProtocolError: If the session is strict and the server broke a `must` clause.
        """
        while True:
            if self._events:
                event = self._events.popleft()
                self._over = isinstance(event, SessionClosed)
                return event
            if self._over:
                raise StopAsyncIteration
            self._events.extend(_of_session(self._driver.wire))
            if not self._events:
                await self._driver.step()

    async def wait_ready(self) -> None:
        """Read until the session stands; the events stay for whoever iterates."""
        while self.session.contract is None and self.session.state is not ClientState.CLOSED:
            await self._driver.step()
        self._events.extend(_of_session(self._driver.wire))
        if self.session.contract is None:
            for event in self._events:
                if isinstance(event, SessionClosed):
                    raise SessionRefused(event)


def _of_session(wire: ClientConnection) -> list[ClientEvent]:
    return [event for event in wire.events() if not isinstance(event, UpgradeAccepted | UpgradeRefused | UpgradeFailed)]


class ServerStream:
    """The connection of one client.

    First answer `request` with `accept` or `refuse`, then iterate over the events; iteration ends after
    `SessionClosed`.

    Attributes:
        request: What the client asked for.
        correlation_id: The id of the connection (HS-9).
    """

    def __init__(self, request: UpgradeRequested, driver: _Driver[ServerConnection]) -> None:
        self.request = request
        self.correlation_id = driver.wire.correlation_id
        self._driver = driver
        self._events: deque[ServerEvent] = deque()
        self._over = False

    @property
    def session(self) -> ServerSession:
        """The session, once the upgrade was accepted."""
        if self._driver.wire.session is None:
            raise RuntimeError("the upgrade has not been accepted")
        return self._driver.wire.session

    async def accept(
        self,
        *,
        settings: ServerSettings | None = None,
        revision: Revision = V1,
        scanner: SegmentScanner | None = None,
        refuse: str | None = None,
    ) -> None:
        """Accept the upgrade and say `session.ready` (RDY-1).

        Args:
            settings: What this session promises and how it analyses.
            revision: The revision to speak.
            scanner: Measures segments and judges their media.
            refuse: The id of an error with which to refuse the session instead (HS-11, HS-13).
        """
        now = self._driver.transport.now()
        session = ServerSession(
            now,
            correlation_id=self.correlation_id,
            started_at=datetime.now(UTC),
            settings=settings,
            revision=revision,
            scanner=scanner,
        )
        if refuse is None:
            session.open(now)
        else:
            session.refuse(refuse, now)
        self._driver.wire.accept(session, now)
        await self._driver.flush(patient=False)

    async def refuse(self, status: int, error: HttpError) -> None:
        """Refuse the upgrade by an HTTP response (HS-10)."""
        self._driver.wire.refuse(status, error, self._driver.transport.now())
        await self._driver.flush(patient=False)

    async def send_analysis(self, analysis: WindowAnalysis) -> None:
        """Say what the analysis of the oldest outstanding window means; see `ServerSession.send_analysis`."""
        self.session.send_analysis(analysis, self._driver.transport.now())
        await self._driver.flush(patient=False)

    async def drop_window(self, window: Window) -> None:
        """Leave the oldest outstanding window without analysis; see `ServerSession.drop_window`."""
        self.session.drop_window(window, self._driver.transport.now())
        await self._driver.flush(patient=False)

    async def send_error(self, code: str, *, message: str | None = None, segment: int | None = None) -> None:
        """Say that something went wrong; see `ServerSession.send_error`."""
        self.session.send_error(code, self._driver.transport.now(), message=message, segment=segment)
        await self._driver.flush(patient=False)

    async def send_feedback(self, feedback: str) -> None:
        """Say a piece of advice; see `ServerSession.send_feedback`."""
        self.session.send_feedback(feedback, self._driver.transport.now())
        await self._driver.flush(patient=False)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once and wait for the answer (CLS-3)."""
        await self.start_close(code, reason)
        await self._driver.wait_finished()

    async def start_close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once, and leave it to whoever iterates to wait for the answer (CLS-3)."""
        session = self._driver.wire.session
        if session is not None and session.state not in (ServerState.CLOSING, ServerState.CLOSED):
            session.close(self._driver.transport.now(), code, reason)
            await self._driver.flush(patient=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ServerEvent:
        """The next event."""
        while True:
            if self._events:
                event = self._events.popleft()
                self._over = isinstance(event, SessionClosed)
                return event
            if self._over:
                raise StopAsyncIteration
            self._events.extend(
                event for event in self._driver.wire.events() if not isinstance(event, UpgradeRequested | UpgradeFailed)
            )
            if not self._events:
                if self._driver.wire.session is None:
                    raise RuntimeError("accept the upgrade before iterating")
                await self._driver.step()


Handler: TypeAlias = Callable[[ServerStream], Awaitable[None]]


def make_correlation_id() -> str:
    """A new correlation id: a random UUID."""
    return str(uuid.uuid4())


class ConnectOptions(TypedDict, total=False):
    """What `connect` takes besides URL and credential; see `Dialer` for meanings and defaults."""

    form: CredentialForm | str
    revision: Revision
    strict: bool
    ssl_context: ssl.SSLContext | None
    allow_plaintext: bool
    client_request_id: str | None
    headers: Sequence[tuple[str, str]]
    connect_timeout: float
    close_timeout: float
    send_timeout: float


class Dialer:
    """All that `connect` needs to know, checked before there is a socket.

    Args:
        url: `wss://…`, or `ws://…` for a local server; without a path, that of the revision (HS-1).
        credential: An API key or a token.
        form: `header`, `subprotocol` or `pair`: how the credential travels (HS-2, HS-3, HS-4).
        revision: The revision of the protocol to speak.
        strict: Raise `RemoteProtocolError` when the server breaks a `must` clause.
        ssl_context: The TLS settings for `wss://`; None for the defaults.
        allow_plaintext: Allow `ws://` to hosts that are not local (HS-1).
        client_request_id: Sent as `X-Client-Request-Id` (HS-8).
        headers: More headers for the upgrade request.
        connect_timeout: How long each of connecting, upgrade, and `session.ready` may take, in seconds.
        close_timeout: How long to wait for the answer to a close, in seconds.
        send_timeout: How long the server may not take our bytes, in seconds.

    Raises:
        LocalProtocolError: If URL or credential cannot be used (HS-1, HS-2, HS-7).
        ValueError: If there is no such form of credential.
    """

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        form: CredentialForm | str = CredentialForm.HEADER,
        revision: Revision = V1,
        strict: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        allow_plaintext: bool = False,
        client_request_id: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        connect_timeout: float = 30.0,
        close_timeout: float = 10.0,
        send_timeout: float = 60.0,
    ) -> None:
        self.target = Target.parse(url, revision, allow_plaintext=allow_plaintext)
        self.connect_timeout = connect_timeout
        self.ssl_context: ssl.SSLContext | None = None
        if self.target.tls:
            self.ssl_context = ssl_context if ssl_context is not None else ssl.create_default_context()
        self._revision = revision
        self._strict = strict
        self._send_timeout = send_timeout
        self._make_wire = functools.partial(
            ClientConnection,
            target=self.target,
            credential=Credential(credential, CredentialForm(form)),
            make_session=self._make_session,
            strict=strict,
            client_request_id=client_request_id,
            headers=tuple(headers),
            upgrade_timeout=connect_timeout,
            close_timeout=close_timeout,
        )
        # Whatever is wrong with the credential shows here, before anything is connected.
        self._make_wire(0.0)

    def _make_session(self, now: float, correlation_id: str | None) -> ClientSession:
        return ClientSession(
            now,
            revision=self._revision,
            strict=self._strict,
            correlation_id=correlation_id,
            ready_timeout=self.connect_timeout,
        )

    def too_slow(self) -> ConnectError:
        """The error for a server that does not answer."""
        return ConnectError(f"{self.target.authority} did not answer within {self.connect_timeout:g} s")

    def unreachable(self, error: BaseException) -> ConnectError:
        """The error for a server that cannot be reached, or with which TLS cannot be set up."""
        return ConnectError(f"{self.target.authority} cannot be reached: {error or type(error).__name__}")

    @asynccontextmanager
    async def open(self, transport: Transport) -> AsyncIterator[ClientStream]:
        """Upgrade, wait for `session.ready`, hand out the stream, and leave nothing behind."""
        driver = _Driver(self._make_wire(transport.now()), transport, self._send_timeout)
        try:
            await driver.flush(patient=False)
            while driver.wire.session is None:
                for event in driver.wire.events():
                    if isinstance(event, UpgradeRefused | UpgradeFailed):
                        raise UpgradeError(event)
                await driver.step()
            stream = ClientStream(driver.wire.session, driver)
            await stream.wait_ready()
            yield stream
            await stream.close()
        finally:
            await transport.aclose()


class ServeOptions(TypedDict, total=False):
    """What `serve` takes besides the handler; see `Server` for meanings and defaults."""

    host: str
    port: int
    ssl_context: ssl.SSLContext | None
    correlation_id: Callable[[], str]
    upgrade_timeout: float
    close_timeout: float
    send_timeout: float
    shutdown_timeout: float
    max_header_bytes: int


class Server:
    """A server that is listening.

    Args:
        handler: Called for each upgrade request, in a task of its own.
        host: The address to listen on.
        port: The TCP port, 0 for any that is free.
        ssl_context: TLS settings, None for plain text.
        correlation_id: Makes the id of a connection (HS-9).
        upgrade_timeout: How long an upgrade request may take to arrive, in seconds.
        close_timeout: How long to wait for the answer to a close, in seconds.
        send_timeout: How long a client may not take our bytes, in seconds.
        shutdown_timeout: How long to wait for the sessions to close at the end, in seconds.
        max_header_bytes: The largest head of a request, in bytes.

    Attributes:
        host: The address it listens on.
        port: The TCP port; once listening, the real one.
        streams: The connections whose handler is running.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
        correlation_id: Callable[[], str] = make_correlation_id,
        upgrade_timeout: float = 30.0,
        close_timeout: float = 10.0,
        send_timeout: float = 60.0,
        shutdown_timeout: float = 5.0,
        max_header_bytes: int = 16 * 1024,
    ) -> None:
        self.host = host
        self.port = port
        self.ssl_context = ssl_context
        self.upgrade_timeout = upgrade_timeout
        self.shutdown_timeout = shutdown_timeout
        self.streams: set[ServerStream] = set()
        self._handler = handler
        self._correlation_id = correlation_id
        self._send_timeout = send_timeout
        self._upgrading: set[Scope] = set()
        self._make_wire = functools.partial(
            ServerConnection,
            upgrade_timeout=upgrade_timeout,
            close_timeout=close_timeout,
            max_header_bytes=max_header_bytes,
        )

    @property
    def url(self) -> str:
        """The URL of the server, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ws' if self.ssl_context is None else 'wss'}://{host}:{self.port}"

    def cannot_listen(self, error: BaseException) -> ConnectError:
        """The error for an address that cannot be listened on."""
        return ConnectError(f"cannot listen on {self.host} port {self.port}: {error}")

    async def take(self, transport: Transport) -> None:
        """Serve one connection: read its upgrade request, call the handler, and leave nothing behind."""
        wire = self._make_wire(transport.now(), correlation_id=self._correlation_id())
        driver = _Driver(wire, transport, self._send_timeout)
        try:
            request = None
            with transport.scope(float("inf")) as scope:
                self._upgrading.add(scope)
                try:
                    request = await _read_request(driver)
                finally:
                    self._upgrading.discard(scope)
            if request is not None:
                stream = ServerStream(request, driver)
                self.streams.add(stream)
                try:
                    await _handle(self._handler, stream, wire)
                finally:
                    self.streams.discard(stream)
        except Exception:
            logger.exception("connection %s: failed", wire.correlation_id)
        finally:
            await transport.aclose()

    async def close_streams(self) -> None:
        """Close every session with 1001, going away; their handlers see the end of their iteration."""
        for scope in list(self._upgrading):
            scope.cancel()
        for stream in list(self.streams):
            await stream.start_close(1001, "the server is shutting down")


async def _read_request(driver: _Driver[ServerConnection]) -> UpgradeRequested | None:
    while not driver.wire.finished:
        await driver.step()
        for event in driver.wire.events():
            if isinstance(event, UpgradeRequested):
                return event
            if isinstance(event, UpgradeFailed):
                logger.info("connection %s: %s", driver.wire.correlation_id, event.what)
    return None


async def _handle(handler: Handler, stream: ServerStream, wire: ServerConnection) -> None:
    try:
        await handler(stream)
    except Exception:
        logger.exception("connection %s: the handler failed", stream.correlation_id)
        if wire.session is None:
            if not wire.finished:
                await stream.refuse(500, HttpError.of("ih1001"))
        elif stream.session.state is ServerState.OPEN:
            await stream.send_error("ih1001")
    if wire.session is not None:
        await stream.close()
    elif not wire.finished:
        await stream.refuse(500, HttpError.of("ih1001", message="the server did not answer the upgrade"))
