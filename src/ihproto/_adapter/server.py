"""The server's streams, and the server that hands them out."""

from __future__ import annotations

import errno
import functools
import os
import ssl
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Self, TypeAlias, TypedDict

from ihproto._adapter.driver import RECEIVE_SIZE, Driver, Scope, Transport
from ihproto._adapter.errors import ConnectError
from ihproto._adapter.exchange import HttpExchange, RequestHandler, handle_request, logger
from ihproto._adapter.raw import RawStream
from ihproto.analysis import WindowAnalysis
from ihproto.automata import ServerState
from ihproto.events import ServerEvent, SessionClosed, Window
from ihproto.media import SegmentScanner
from ihproto.messages import MediaRange
from ihproto.revisions import V1, Revision
from ihproto.server import ServerSession, ServerSettings
from ihproto.wire import (
    BodyEnded,
    BodyReceived,
    HttpError,
    HttpRequested,
    RequestLost,
    ServerConnection,
    UpgradeFailed,
    UpgradeRequested,
)

#: How long to wait before connections are accepted again when there were no file descriptors left, in seconds.
ACCEPT_PAUSE = 0.1
# What a session has nothing to do with: its connection has said it before, or never says it.
_NOT_OF_SESSION = (UpgradeRequested, UpgradeFailed, HttpRequested, BodyReceived, BodyEnded, RequestLost)
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
# What accept(2) passes on of a connection that was lost before it was taken: nothing is wrong with the listener.
_LOST_EARLY = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPROTO,
    }
)


class ServerStream:
    """The connection of one client.

    First answer `request` with `accept` or `refuse`, then iterate over the events; iteration ends after
    `SessionClosed`. Several tasks may send; each goes on when the client has taken what it sent. A connection that is
    lost shows in the events alone.

    Attributes:
        request: What the client asked for.
        correlation_id: The id of the connection (HS-9).
    """

    def __init__(self, request: UpgradeRequested, driver: Driver[ServerConnection]) -> None:
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

    @property
    def reading(self) -> bool:
        """Whether the handler waits for events at the moment."""
        return self._driver.reading

    def now(self) -> float:
        """The present moment on the adapter's clock, in seconds."""
        return self._driver.transport.now()

    async def accept(
        self,
        *,
        settings: ServerSettings | None = None,
        revision: Revision = V1,
        scanner: SegmentScanner | None = None,
        refuse: str | None = None,
        message: str | None = None,
    ) -> None:
        """Accept the upgrade and say `session.ready` (RDY-1).

        What the URL asks for is taken into account, where the revision takes it from there (HS-13, HS-15): a model that
        there is not refuses the session.

        Args:
            settings: What this session promises and how it analyses.
            revision: The revision to speak.
            scanner: Measures segments and judges their media.
            refuse: The id of an error with which to refuse the session instead (HS-11, HS-13).
            message: What to tell a person about that; None for the meaning in the catalogue.
        """
        now = self._driver.transport.now()
        session = ServerSession(
            now,
            correlation_id=self.correlation_id,
            started_at=datetime.now(UTC),
            settings=settings,
            revision=revision,
            query=self.request.query,
            scanner=scanner,
        )
        if refuse is None:
            session.open(now)
        else:
            session.refuse(refuse, now, message=message)
        self._driver.wire.accept(session, now)
        self._driver.lead = RECEIVE_SIZE
        await self._driver.flush(patient=False)

    async def refuse(self, status: int, error: HttpError) -> None:
        """Refuse the upgrade by an HTTP response (HS-10)."""
        self._driver.wire.refuse(status, error, self._driver.transport.now())
        await self._driver.flush(patient=False)

    async def accept_raw(self, headers: Sequence[tuple[str, str]] = ()) -> RawStream:
        """Accept the upgrade without a session, for a relay or a judge; see `ServerConnection.accept_raw`.

        Args:
            headers: All that the response says besides what makes it an upgrade: no `X-Correlation-ID` is added.

        Returns:
            The messages; iterate over them instead of over this stream. When the handler returns, the connection ends.
        """
        self._driver.wire.accept_raw(self._driver.transport.now(), headers)
        await self._driver.flush(patient=False)
        return RawStream(self._driver)

    async def refuse_raw(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Refuse the upgrade by any HTTP response; see `ServerConnection.refuse_raw`."""
        self._driver.wire.refuse_raw(status, headers, body)
        await self._driver.flush(patient=False)

    async def send_analysis(self, analysis: WindowAnalysis) -> None:
        """Say what the analysis of the oldest outstanding window means; see `ServerSession.send_analysis`."""
        self.session.send_analysis(analysis, self._driver.transport.now())
        await self._driver.flush_in_turn()

    async def drop_window(self, window: Window) -> None:
        """Leave the oldest outstanding window without analysis; see `ServerSession.drop_window`."""
        self.session.drop_window(window, self._driver.transport.now())
        await self._driver.flush_in_turn()

    async def send_error(self, code: str, *, message: str | None = None, segment: int | None = None) -> None:
        """Say that something went wrong; see `ServerSession.send_error`."""
        self.session.send_error(code, self._driver.transport.now(), message=message, segment=segment)
        await self._driver.flush_in_turn()

    async def send_feedback(self, feedback: str) -> None:
        """Say a piece of advice; see `ServerSession.send_feedback`."""
        self.session.send_feedback(feedback, self._driver.transport.now())
        await self._driver.flush_in_turn()

    async def send_degraded(self, ranges: Iterable[MediaRange]) -> None:
        """Say that stretches were analysed with part of the picture missing; see `ServerSession.send_degraded`."""
        self.session.send_degraded(ranges, self._driver.transport.now())
        await self._driver.flush_in_turn()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once and wait for the answer (CLS-3)."""
        await self.start_close(code, reason)
        await self._driver.wait_finished()

    async def start_close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once, and leave it to whoever iterates to wait for the answer (CLS-3)."""
        session, raw = self._driver.wire.session, self._driver.wire.raw
        if raw is not None:
            raw.close(code, reason)
        elif session is None or session.state in (ServerState.CLOSING, ServerState.CLOSED):
            return
        else:
            session.close(self._driver.transport.now(), code, reason)
        if self._driver.reading:
            self._driver.nudge()
        else:
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
            self._events.extend(event for event in self._driver.wire.events() if not isinstance(event, _NOT_OF_SESSION))
            if not self._events:
                if self._driver.wire.session is None:
                    raise RuntimeError("accept the upgrade before iterating")
                await self._driver.step()


Handler: TypeAlias = Callable[[ServerStream], Awaitable[None]]


def make_correlation_id() -> str:
    """A new correlation id: a random UUID."""
    return str(uuid.uuid4())


class ServeOptions(TypedDict, total=False):
    """What `serve` takes besides the handler; see `Server` for meanings and defaults."""

    host: str
    port: int
    ssl_context: ssl.SSLContext | None
    correlation_id: Callable[[], str]
    upgrade_timeout: float
    close_timeout: float
    ping_interval: float | None
    send_timeout: float
    shutdown_timeout: float
    max_header_bytes: int
    on_failed: Callable[[str, str], None] | None
    on_request: RequestHandler | None


class Server:
    """A server that is listening.

    Args:
        handler: Called for each upgrade request, in a task of its own.
        host: The address to listen on.
        port: The TCP port, 0 for any that is free.
        ssl_context: TLS settings, None for plain text.
        correlation_id: Makes the id of a connection (HS-9).
        upgrade_timeout: How long an upgrade request may take to arrive, and how long a client may pause in the body
            of a plain request, in seconds.
        close_timeout: How long to wait for the answer to a close, or for more of a body behind an early response, in
            seconds.
        ping_interval: After how long a silence a client is pinged while its handler iterates, in seconds; when two
            pings have brought nothing, the connection is lost: in a minute and a half, unless something else is asked
            for. None to wait for ever. Raw streams are not pinged.
        send_timeout: How long a client may not take our bytes, in seconds.
        shutdown_timeout: How long to wait for the sessions to close, and for plain requests to be answered, at the
            end, in seconds.
        max_header_bytes: The largest head of a request, in bytes.
        on_failed: Called for each connection that ends without a usable upgrade request, with its correlation id and
            what was wrong.
        on_request: Called for each plain HTTP request, in a task of its own; None to tell them to upgrade.

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
        ping_interval: float | None = 30.0,
        send_timeout: float = 60.0,
        shutdown_timeout: float = 5.0,
        max_header_bytes: int = 16 * 1024,
        on_failed: Callable[[str, str], None] | None = None,
        on_request: RequestHandler | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.ssl_context = ssl_context
        self.upgrade_timeout = upgrade_timeout
        self.shutdown_timeout = shutdown_timeout
        self.streams: set[ServerStream] = set()
        self._handler = handler
        self._on_failed = on_failed
        self._on_request = on_request
        self._correlation_id = correlation_id
        self._send_timeout = send_timeout
        self._upgrading: set[Scope] = set()
        self._make_wire = functools.partial(
            ServerConnection,
            upgrade_timeout=upgrade_timeout,
            close_timeout=close_timeout,
            ping_interval=ping_interval,
            max_header_bytes=max_header_bytes,
            http=on_request is not None,
        )

    @property
    def url(self) -> str:
        """The URL of the server, without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'ws' if self.ssl_context is None else 'wss'}://{host}:{self.port}"

    def cannot_accept(self, errors: BaseExceptionGroup[OSError]) -> None:
        """Go on when a connection was lost or there are no file descriptors; whatever else is wrong is raised."""
        _, mine = errors.split(lambda error: isinstance(error, OSError) and error.errno in _LOST_EARLY)
        if mine is None:
            return
        _, others = mine.split(lambda error: isinstance(error, OSError) and error.errno in _EXHAUSTED)
        if others is not None:
            raise others
        logger.error("no connection can be accepted: %s", os.strerror(errno.EMFILE))

    def cannot_listen(self, error: BaseException) -> ConnectError:
        """The error for an address that cannot be listened on."""
        return ConnectError(f"cannot listen on {self.host} port {self.port}: {error}")

    async def take(self, transport: Transport) -> None:
        """Serve one connection: read its request, call the handler, and leave nothing behind."""
        wire = self._make_wire(transport.now(), correlation_id=self._correlation_id())
        driver = Driver(wire, transport, self._send_timeout)
        try:
            request = None
            with transport.scope(float("inf")) as scope:
                self._upgrading.add(scope)
                try:
                    request = await self._read_request(driver)
                finally:
                    self._upgrading.discard(scope)
            if isinstance(request, HttpExchange):
                assert self._on_request is not None
                await handle_request(self._on_request, request, driver)
            elif request is not None:
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

    async def _read_request(self, driver: Driver[ServerConnection]) -> UpgradeRequested | HttpExchange | None:
        while not driver.wire.finished:
            await driver.step()
            events = iter(driver.wire.events())
            for event in events:
                if isinstance(event, UpgradeRequested):
                    return event
                if isinstance(event, HttpRequested):
                    # The first pieces of the body may have come with the head.
                    return HttpExchange(event, events, driver)
                if isinstance(event, UpgradeFailed) and self._on_failed is not None:
                    self._on_failed(driver.wire.correlation_id, event.what)
        return None

    async def close_streams(self) -> None:
        """Close every session with 1001, going away; their handlers see the end of their iteration."""
        for scope in list(self._upgrading):
            scope.cancel()
        # First those whose task is reading: they are told in no time, and wait for nobody.
        for stream in sorted(self.streams, key=lambda stream: not stream.reading):
            await stream.start_close(1001, "the server is shutting down")


async def _handle(handler: Handler, stream: ServerStream, wire: ServerConnection) -> None:
    try:
        await handler(stream)
    except Exception:
        logger.exception("connection %s: the handler failed", stream.correlation_id)
        if wire.raw is not None:
            pass
        elif wire.session is None:
            if not wire.finished:
                await stream.refuse(500, HttpError.of("ih1001"))
        elif stream.session.established:
            await stream.send_error("ih1001")
    if wire.session is not None:
        await stream.close()
    elif wire.raw is None and not wire.finished:
        await stream.refuse(500, HttpError.of("ih1001", message="the server did not answer the upgrade"))
