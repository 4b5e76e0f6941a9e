"""The server's end of a connection: upgrade request, answer, frames."""

from __future__ import annotations

from collections import deque
from http import HTTPStatus
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
from ihproto.wire.events import UpgradeFailed, UpgradeRequested
from ihproto.wire.frames import Frames
from ihproto.wire.refusal import HttpError

_TOO_LARGE = "the head of the request is too large"


class ServerConnection:
    """One connection of a client, from the upgrade request to the last close frame.

    Drive it like a session: put what arrives into `receive_data`, send what `data_to_send` gives, call
    `handle_timeout` when `next_timeout` says so, and read `events`. Answer `UpgradeRequested` with `accept` or
    `refuse`. When `finished`, close the socket.

    Args:
        now: The present moment, in seconds.
        correlation_id: The id of this connection; every response and every envelope carries it (HS-9).
        upgrade_timeout: How long the upgrade request may take to arrive, in seconds.
        close_timeout: How long to wait for the answer to a close frame, in seconds.
        max_header_bytes: The largest head of a request, in bytes.
    """

    def __init__(
        self,
        now: float,
        *,
        correlation_id: str,
        upgrade_timeout: float = 30.0,
        close_timeout: float = 10.0,
        max_header_bytes: int = 16 * 1024,
    ) -> None:
        self.correlation_id = correlation_id
        self.session: ServerSession | None = None
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=max_header_bytes)
        self._ws = WSConnection(ConnectionType.SERVER)
        self._subprotocols: list[str] = []
        self._close_timeout = close_timeout
        self._deadline: float | None = now + upgrade_timeout
        self._events: deque[ServerEvent | UpgradeRequested | UpgradeFailed] = deque()
        self._frames: Frames | None = None
        self._received = 0
        self._max_header_bytes = max_header_bytes
        self._requested = False
        self._refused = False
        self._out: list[bytes] = []

    @property
    def finished(self) -> bool:
        """Whether nothing more will come or go: send what is left and close the socket."""
        return self._refused or (self._frames is not None and self._frames.finished)

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
        )
        # The first frames may have come in one piece with the request.
        early, _ = self._http.trailing_data
        self._frames.receive_data(early, now)

    def refuse(self, status: int, error: HttpError, now: float) -> None:
        """Refuse the upgrade by an HTTP response with a JSON body (HS-10, ERR-3).

        Args:
            status: The HTTP status.
            error: What to tell the client; the correlation id is filled in.
            now: The present moment, in seconds.

        Raises:
            RuntimeError: If there is no upgrade request to answer.
        """
        self._expect_request()
        self._respond(status, error)

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes that arrived."""
        if self._frames is not None:
            self._frames.receive_data(data, now)
        elif data and not self._refused:
            self._http.receive_data(data)
            self._received += len(data)
            if not self._requested:
                self._receive_request()

    def receive_eof(self, now: float, reason: str = "the connection ended without a close frame") -> None:
        """Take note that the peer will send nothing more, or that the connection is given up.

        Args:
            now: The present moment, in seconds.
            reason: What is known about why.
        """
        if self._frames is not None:
            self._frames.lose(reason)
        elif not self._refused:
            self._fail("the client closed the connection before the upgrade")

    def data_to_send(self, now: float) -> bytes:
        """Drain the bytes to send, those included that calls on the session have caused."""
        if self._frames is not None:
            self._out.append(self._frames.data_to_send(now))
        data = b"".join(self._out)
        self._out.clear()
        return data

    def events(self) -> list[ServerEvent | UpgradeRequested | UpgradeFailed]:
        """Drain what happened, oldest first."""
        if self.session is not None:
            self._events.extend(self.session.events())
        events = list(self._events)
        self._events.clear()
        return events

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        if self.finished:
            return None
        return self._deadline if self._frames is None else self._frames.next_timeout()

    def handle_timeout(self, now: float) -> None:
        """Act on the time."""
        if self.finished:
            return
        if self._frames is not None:
            self._frames.handle_timeout(now)
        elif self._deadline is not None and now >= self._deadline:
            self._refuse_request(408, "the upgrade request did not arrive in time")

    def _expect_request(self) -> None:
        if not self._requested or self._frames is not None or self._refused:
            raise RuntimeError("there is no upgrade request to answer")

    def _receive_request(self) -> None:
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
        if _header(headers, b"upgrade") is None:
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
            )
        )

    def _refuse_request(self, status: int, what: str, extra: list[tuple[bytes, bytes]] | None = None) -> None:
        self._respond(status, HttpError(message=what), extra)
        self._fail(what)

    def _respond(self, status: int, error: HttpError, extra: list[tuple[bytes, bytes]] | None = None) -> None:
        body = attrs.evolve(error, correlation_id=self.correlation_id).encode()
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body)).encode()),
            (b"X-Correlation-ID", self.correlation_id.encode("ascii")),
            (b"Connection", b"close"),
            *(extra or []),
        ]
        # A connection of its own: whatever state the request left the other one in, this response can be written.
        writer = h11.Connection(h11.SERVER)
        self._out += [
            writer.send(h11.Response(status_code=status, headers=headers, reason=HTTPStatus(status).phrase)) or b"",
            writer.send(h11.Data(data=body)) or b"",
            writer.send(h11.EndOfMessage()) or b"",
        ]
        self._refused = True

    def _fail(self, what: str) -> None:
        self._refused = True
        self._events.append(UpgradeFailed(what))


def _header(headers: list[tuple[bytes, bytes]], name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in headers if key == name), None)
