"""The server's end of a connection: upgrade request, answer, frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from urllib.parse import parse_qsl

import attrs
import h11
import wsproto.events as ws
from wsproto import ConnectionType, WSConnection
from wsproto.utilities import RemoteProtocolError as WebSocketError

from ihproto.automata import ServerState
from ihproto.events import ServerEvent
from ihproto.server import ServerSession
from ihproto.wire.credentials import find, select
from ihproto.wire.events import HttpEvent, UpgradeFailed, UpgradeRequested
from ihproto.wire.exchange import Exchange, encode_response
from ihproto.wire.exchange import header as _header
from ihproto.wire.frames import Frames
from ihproto.wire.raw import RawFrames
from ihproto.wire.refusal import HttpError

_TOO_LARGE = "the head of the request is too large"


class ServerConnection:
    """One connection of a client, from the upgrade request to the last close frame; or with one plain HTTP request.

    Drive it like a session: put what arrives into `receive_data`, send what `data_to_send` gives, call
    `handle_timeout` when `next_timeout` says so, and read `events`. Answer `UpgradeRequested` with `accept` or
    `refuse`. When `finished`, close the socket.

    With `http`, a request that asks for no upgrade is an `HttpRequested`: call `want_body` if its body is wanted, take
    that from `BodyReceived` events until `BodyEnded`, and answer with `respond` or `refuse`, which may come before the
    body has. `RequestLost` says that there is nobody to answer any more.

    Args:
        now: The present moment, in seconds.
        correlation_id: The id of this connection; every response and every envelope carries it (HS-9).
        upgrade_timeout: How long the upgrade request may take to arrive, and how long a client may pause in the body
            of a plain request, in seconds.
        close_timeout: How long to wait for the answer to a close frame, or for more of a body that is not wanted any
            more, in seconds.
        ping_interval: After how long a silence to ask the client for a sign of life, in seconds; when two pings have
            brought none, the connection is lost. None to wait for ever.
        max_header_bytes: The largest head of a request, in bytes.
        http: Take plain HTTP requests too, instead of telling them to upgrade.

    Attributes:
        correlation_id: The id of this connection.
        session: The session, once the upgrade was accepted with one.
        raw: What stands in its place, if the upgrade was accepted without one.
    """

    def __init__(
        self,
        now: float,
        *,
        correlation_id: str,
        upgrade_timeout: float = 30.0,
        close_timeout: float = 10.0,
        ping_interval: float | None = None,
        max_header_bytes: int = 16 * 1024,
        http: bool = False,
    ) -> None:
        self.correlation_id = correlation_id
        self.session: ServerSession | None = None
        self.raw: RawFrames | None = None
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=max_header_bytes)
        self._ws = WSConnection(ConnectionType.SERVER)
        self._subprotocols: list[str] = []
        self._close_timeout = close_timeout
        self._ping_interval = ping_interval
        self._body_timeout = upgrade_timeout
        self._deadline: float | None = now + upgrade_timeout
        self._events: deque[ServerEvent | UpgradeRequested | UpgradeFailed | HttpEvent] = deque()
        self._frames: Frames | RawFrames | None = None
        self._takes_http = http
        self._exchange: Exchange | None = None
        self._received = 0
        self._max_header_bytes = max_header_bytes
        self._requested = False
        self._refused = False
        self._out: list[bytes] = []

    @property
    def finished(self) -> bool:
        """Whether nothing more will come or go: send what is left and close the socket."""
        if self._exchange is not None:
            return self._exchange.finished
        return self._refused or (self._frames is not None and self._frames.finished)

    @property
    def answerable(self) -> bool:
        """Whether there is a plain HTTP request that has got no answer yet."""
        return self._exchange is not None and not self._exchange.answered

    def accept(self, session: ServerSession, now: float) -> None:
        """Accept the upgrade and carry `session` from here.

        Args:
            session: The session, made with this connection's `correlation_id`, and opened or refused: what it has to
                say first goes out right behind the response (RDY-1).
            now: The present moment, in seconds.

        Raises:
            ValueError: If the session has another correlation id (HS-9), or says nothing yet (RDY-1).
            RuntimeError: If there is no upgrade request to answer.
        """
        self._expect_request()
        if session.correlation_id != self.correlation_id:
            raise ValueError("the session must be made with the correlation id of its connection (HS-9)")
        if session.state is ServerState.OPENING:
            raise ValueError("open or refuse the session first: it has to speak right behind the response (RDY-1)")
        headers = [(b"X-Correlation-ID", self.correlation_id.encode("ascii"))]
        answer = ws.AcceptConnection(subprotocol=select(self._subprotocols), extra_headers=headers)
        self._out.append(self._ws.send(answer))
        assert self._ws.connection is not None
        self.session = session
        self._frames = Frames(
            self._ws.connection,
            session,
            max_text_bytes=session.settings.max_text_bytes,
            refuse_text=session.refuse_text,
            close_timeout=self._close_timeout,
            ping_interval=self._ping_interval,
        )
        self._receive_early(now)

    def accept_raw(self, now: float, headers: Sequence[tuple[str, str]] = ()) -> RawFrames:
        """Accept the upgrade without a session: what arrives and what is sent goes through `raw`, without a rule.

        Args:
            now: The present moment, in seconds.
            headers: All that the response says besides what makes it an upgrade: nothing is added by itself.

        Returns:
            What carries the messages.

        Raises:
            RuntimeError: If there is no upgrade request to answer.
            ValueError: If the response cannot be written as HTTP; the request can still be answered.
        """
        self._expect_request()
        try:
            extra = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
            self._out.append(self._ws.send(ws.AcceptConnection(extra_headers=extra)))
        except (h11.LocalProtocolError, UnicodeEncodeError):
            raise ValueError("a header of the response is not valid HTTP") from None
        assert self._ws.connection is not None
        self.raw = self._frames = RawFrames(self._ws.connection, close_timeout=self._close_timeout)
        self._receive_early(now)
        return self.raw

    def _receive_early(self, now: float) -> None:
        """The first frames may have come in one piece with the request."""
        assert self._frames is not None
        early, _ = self._http.trailing_data
        self._frames.receive_data(early, now)

    def refuse_raw(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Refuse the upgrade by any HTTP response.

        Nothing is added by itself but the length of the body, and that the connection ends with it.

        Args:
            status: The HTTP status.
            headers: The headers.
            body: The body.

        Raises:
            RuntimeError: If there is no upgrade request to answer.
            ValueError: If the response cannot be written as HTTP; the request can still be answered.
        """
        self._expect_request()
        self._out.append(encode_response(status, body, correlation_id=None, content_type=None, headers=headers))
        self._refused = True

    def refuse(self, status: int, error: HttpError, now: float, *, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Refuse the upgrade, or the plain HTTP request, by an HTTP response with a JSON body (HS-10, ERR-3).

        Args:
            status: The HTTP status.
            error: What to tell the client; the correlation id is filled in.
            now: The present moment, in seconds.
            headers: More headers, for example `Allow` with 405.

        Raises:
            RuntimeError: If there is no request to answer.
            ValueError: If the response cannot be written as HTTP; the request can still be answered.
        """
        if self._exchange is not None:
            self._exchange.refuse(status, error, now, headers)
            return
        self._expect_request()
        self._respond(status, error, headers)

    def want_body(self, now: float) -> None:
        """Wait for the body of the plain HTTP request from now on.

        A client that asked whether to send it (`Expect: 100-continue`) is told so, and from now on a pause in the body
        counts as one of the client. Call it again after a pause of your own. Without a body to come it does nothing.

        Args:
            now: The present moment, in seconds.

        Raises:
            RuntimeError: If there is no plain HTTP request.
        """
        self._expect_exchange().want_body(now)

    def respond(
        self,
        status: int,
        body: bytes,
        now: float,
        *,
        content_type: str = "application/json",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Answer the plain HTTP request (HS-9); the connection ends with it.

        Args:
            status: The HTTP status, a final one.
            body: The body; it is left out for HEAD.
            now: The present moment, in seconds.
            content_type: What the body is.
            headers: More headers.

        Raises:
            RuntimeError: If there is no plain HTTP request to answer.
            ValueError: If the response cannot be written as HTTP; the request can still be answered.
        """
        self._expect_exchange().respond(status, body, now, content_type=content_type, headers=headers)

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes that arrived."""
        if self._frames is not None:
            self._frames.receive_data(data, now)
        elif self._exchange is not None:
            self._exchange.receive_data(data, now)
        elif data and not self._refused:
            self._http.receive_data(data)
            self._received += len(data)
            if not self._requested:
                self._receive_request(now)

    def receive_eof(self, now: float, reason: str = "the connection ended without a close frame") -> None:
        """Take note that the peer will send nothing more, or that the connection is given up.

        Args:
            now: The present moment, in seconds.
            reason: What is known about why.
        """
        if self._frames is not None:
            self._frames.lose(reason)
        elif self._exchange is not None:
            self._exchange.receive_eof("the connection ended in the middle of the body")
        elif not self._refused:
            self._fail("the client closed the connection before the upgrade")

    def data_to_send(self, now: float) -> bytes:
        """Drain the bytes to send, those included that calls on the session have caused."""
        if self._frames is not None:
            self._out.append(self._frames.data_to_send(now))
        elif self._exchange is not None:
            self._out.append(self._exchange.data_to_send())
        data = b"".join(self._out)
        self._out.clear()
        return data

    def events(self) -> list[ServerEvent | UpgradeRequested | UpgradeFailed | HttpEvent]:
        """Drain what happened, oldest first."""
        if self.session is not None:
            self._events.extend(self.session.events())
        elif self._exchange is not None:
            self._events.extend(self._exchange.events())
        events = list(self._events)
        self._events.clear()
        return events

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        if self.finished:
            return None
        if self._exchange is not None:
            return self._exchange.next_timeout()
        return self._deadline if self._frames is None else self._frames.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Act on the time."""
        if self.finished:
            return
        if self._frames is not None:
            self._frames.handle_timeout(now)
        elif self._exchange is not None:
            self._exchange.handle_timeout(now)
        elif self._deadline is not None and now >= self._deadline:
            kind = "request" if self._takes_http else "upgrade request"
            self._refuse_request(408, f"the {kind} did not arrive in time")

    def _expect_request(self) -> None:
        if not self._requested or self._frames is not None or self._refused:
            raise RuntimeError("there is no upgrade request to answer")

    def _expect_exchange(self) -> Exchange:
        if self._exchange is None:
            raise RuntimeError("there is no plain HTTP request to answer")
        return self._exchange

    def _receive_request(self, now: float) -> None:
        try:
            request = self._http.next_event()
        except h11.RemoteProtocolError as error:
            what = _TOO_LARGE if error.error_status_hint == 431 else "this is not HTTP/1.1"
            self._refuse_request(error.error_status_hint, what)
            return
        if not isinstance(request, h11.Request):
            return
        if self._received - len(self._http.trailing_data[0]) > self._max_header_bytes:
            self._refuse_request(431, _TOO_LARGE)
            return
        headers = [(bytes(name), bytes(value)) for name, value in request.headers]
        upgrade_to = _header(headers, b"upgrade")
        # An upgrade to something else is an offer that may be passed over (RFC 7230, section 6.7).
        other = self._takes_http and "websocket" not in (upgrade_to or "").lower()
        if upgrade_to is None or other:
            if self._takes_http:
                self._exchange = Exchange(
                    self._http,
                    request,
                    now,
                    correlation_id=self.correlation_id,
                    body_timeout=self._body_timeout,
                    close_timeout=self._close_timeout,
                )
                return
            what = "this endpoint speaks WebSocket; send an upgrade request"
            self._refuse_request(426, what, [(b"Upgrade", b"websocket")])
            return
        if request.method != b"GET" or request.http_version < b"1.1":
            self._refuse_request(400, "a WebSocket upgrade is a GET request of HTTP/1.1")
            return
        try:
            self._ws.initiate_upgrade_connection(headers, request.target)
            upgrade = next(event for event in self._ws.events() if isinstance(event, ws.Request))
        except (WebSocketError, UnicodeError) as error:
            hint = getattr(error, "event_hint", None)
            status = hint.status_code if isinstance(hint, ws.RejectConnection) else 400
            extra = list(hint.headers) if isinstance(hint, ws.RejectConnection) else []
            extra += [(b"Upgrade", b"websocket")] if status == 426 else []
            self._refuse_request(status, "the WebSocket upgrade request is not valid", extra)
            return
        self._requested = True
        self._deadline = None
        self._subprotocols = [value for value in upgrade.subprotocols if value]
        path, _, query = upgrade.target.partition("?")
        self._events.append(
            UpgradeRequested(
                path=path,
                query=tuple(parse_qsl(query, keep_blank_values=True)),
                credential=find(headers, self._subprotocols),
                origin=_header(headers, b"origin"),
                client_request_id=_header(headers, b"x-client-request-id"),
                headers=tuple(
                    (name, value)
                    for name, value in headers
                    if name not in (b"authorization", b"sec-websocket-protocol")
                ),
                target=upgrade.target,
                authorization=_header(headers, b"authorization"),
                subprotocols=tuple(self._subprotocols),
            )
        )

    def _refuse_request(self, status: int, what: str, extra: list[tuple[bytes, bytes]] | None = None) -> None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in extra or []]
        self._respond(status, HttpError(message=what), headers)
        self._fail(what)

    def _respond(self, status: int, error: HttpError, headers: Sequence[tuple[str, str]] = ()) -> None:
        body = attrs.evolve(error, correlation_id=self.correlation_id).encode()
        response = encode_response(
            status, body, correlation_id=self.correlation_id, content_type="application/json", headers=headers
        )
        self._out.append(response)
        self._refused = True

    def _fail(self, what: str) -> None:
        self._refused = True
        self._events.append(UpgradeFailed(what))
