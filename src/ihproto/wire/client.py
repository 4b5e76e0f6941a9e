"""The client's end of a connection: upgrade request, answer, frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias
from urllib.parse import parse_qsl

import h11
import wsproto.events as ws
from wsproto import ConnectionType, WSConnection
from wsproto.utilities import RemoteProtocolError as WebSocketError

from ihproto.clauses import clause
from ihproto.client import ClientSession
from ihproto.errors import LocalProtocolError, RemoteProtocolError, Side, Violation
from ihproto.events import ClientEvent, Violated
from ihproto.wire.credentials import Credential, Offer, judge_answer, offer
from ihproto.wire.events import UpgradeAccepted, UpgradeFailed, UpgradeRefused, UpgradeRequested
from ihproto.wire.exchange import header
from ihproto.wire.frames import Frames
from ihproto.wire.raw import RawFrames, RawLost
from ihproto.wire.refusal import decode_http_error
from ihproto.wire.tap import Tap
from ihproto.wire.target import Target

#: Makes the session when the upgrade is through, from the present moment and the correlation id (HS-9).
MakeSession: TypeAlias = Callable[[float, str | None], ClientSession]

_MAX_BODY = 64 * 1024
_STATE = "CONNECTING"


def _default_session(now: float, correlation_id: str | None) -> ClientSession:
    return ClientSession(now, correlation_id=correlation_id)


class ClientConnection:
    """One connection to a server, from the upgrade request to the last close frame.

    Drive it like a session: put what arrives into `receive_data`, send what `data_to_send` gives, call
    `handle_timeout` when `next_timeout` says so, and read `events`. When `finished`, close the socket.

    Args:
        now: The present moment, in seconds.
        target: Where the server is (HS-1).
        credential: The credential, and the form in which it travels (HS-2, HS-3, HS-4); None for none.
        make_session: Makes the session when the upgrade is through; None for a lenient one.
        raw: Carry no session: what arrives and what is sent goes through `raw`, without a rule.
        strict: Raise `RemoteProtocolError` when the answer to the upgrade breaks a `must` clause.
        client_request_id: Sent as `X-Client-Request-Id` (HS-8).
        headers: More headers to send, for example `Origin`.
        subprotocols: More subprotocols to offer, after those of the credential.
        upgrade_timeout: How long the answer to the upgrade may take, in seconds.
        close_timeout: How long to wait for the answer to a close frame, in seconds.
        ping_interval: After how long a silence to ask the server for a sign of life, in seconds; when two pings have
            brought none, the connection is lost. None to wait for ever, as `raw` always does.
        max_text_bytes: The longest text message that is accepted, in bytes.
        tap: Told everything that passes, the upgrade included, before this connection acts on it; None for nobody. What
            `raw` carries it is not told: whoever asked for that sees it anyhow.

    Attributes:
        session: The session, when the upgrade is through.
        raw: What stands in its place, if that was asked for.
        secrets: The credential, if there is one: what no text about this connection may repeat.

    Raises:
        LocalProtocolError: If the credential cannot travel in this form (HS-7), or a header is not valid HTTP (HS-1).
    """

    def __init__(
        self,
        now: float,
        target: Target,
        credential: Credential | None,
        *,
        make_session: MakeSession | None = None,
        raw: bool = False,
        strict: bool = False,
        client_request_id: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        subprotocols: Sequence[str] = (),
        upgrade_timeout: float = 30.0,
        close_timeout: float = 10.0,
        ping_interval: float | None = None,
        max_text_bytes: int = 16 * 1024 * 1024,
        tap: Tap | None = None,
    ) -> None:
        self.session: ClientSession | None = None
        self.raw: RawFrames | None = None
        self.secrets = (credential.value,) if credential is not None else ()
        offered = offer(credential) if credential is not None else Offer([], [])
        self._subprotocols = [*offered.subprotocols, *subprotocols]
        self._carries_raw = raw
        self._make_session = make_session if make_session is not None else _default_session
        self._strict = strict
        self._close_timeout = close_timeout
        self._ping_interval = ping_interval
        self._max_text_bytes = max_text_bytes
        self._tap = tap
        self._deadline = now + upgrade_timeout
        self._events: deque[ClientEvent | UpgradeAccepted | UpgradeRefused | UpgradeFailed] = deque()
        self._frames: Frames | RawFrames | None = None
        self._refused = False
        self._refusal: ws.RejectConnection | None = None
        self._body = bytearray()
        self._ws = WSConnection(ConnectionType.CLIENT)
        named = [*headers] if client_request_id is None else [("X-Client-Request-Id", client_request_id), *headers]
        extra = [*offered.headers, *(_encode_header(name, value) for name, value in named)]
        request = ws.Request(
            host=target.authority,
            target=target.path,
            subprotocols=self._subprotocols,
            extra_headers=extra,
        )
        try:
            self._request = self._ws.send(request)
        except h11.LocalProtocolError:
            raise _bad_header("a header of the upgrade request is not valid HTTP") from None
        self._requested = _describe(target, credential, extra, self._subprotocols)

    @property
    def finished(self) -> bool:
        """Whether nothing more will come or go: send what is left and close the socket."""
        return self._refused or (self._frames is not None and self._frames.finished)

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes that arrived.

        Raises:
            RemoteProtocolError: If the session, or this connection, is strict and a `must` clause was not kept.
        """
        if self._frames is not None:
            self._frames.receive_data(data, now)
        elif self._carries_raw:
            self._receive_lines(data, now)
        elif data and not self._refused:
            self._receive_answer(data, now)

    def receive_eof(self, now: float, reason: str | None = None) -> None:
        """Take note that the peer will send nothing more, or that the connection is given up.

        Args:
            now: The present moment, in seconds.
            reason: Why the connection is given up; None when the server ended it.
        """
        if self._frames is not None:
            reason = reason if reason is not None else "the connection ended without a close frame"
            if self._tap is not None and self.session is not None and not self._frames.finished:
                self._tap(Side.SERVER, RawLost(reason), now)
            self._frames.lose(reason)
        elif self._refusal is not None:
            self._finish_refusal(now)
        elif self._refused:
            pass
        elif reason is not None:
            self._fail(f"the upgrade request was not taken: {reason}", now)
        else:
            what = "the server closed the connection without answering the upgrade; is it one for wss:// or ws://?"
            self._fail(what, now)

    def data_to_send(self, now: float) -> bytes:
        """Drain the bytes to send, those included that calls on the session have caused."""
        if self._request:
            request, self._request = self._request, b""
            if self._tap is not None:
                self._tap(Side.CLIENT, self._requested, now)
            return request
        return self._frames.data_to_send(now) if self._frames is not None else b""

    def events(self) -> list[ClientEvent | UpgradeAccepted | UpgradeRefused | UpgradeFailed]:
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
        """Act on the time.

        Raises:
            RemoteProtocolError: If the session is strict and a `must` clause was not kept.
        """
        if self.finished:
            return
        if self._frames is not None:
            self._frames.handle_timeout(now)
        elif now < self._deadline:
            return
        elif self._refusal is not None:
            self._finish_refusal(now)
        else:
            self._fail("the server did not answer the upgrade in time", now)

    def _receive_lines(self, data: bytes, now: float) -> None:
        """Take the answer line by line, so that what comes in one piece with it is left for the frames."""
        position = 0
        for line in data.splitlines(keepends=True):
            if self._frames is not None or self._refused:
                break
            self._receive_answer(line, now)
            position += len(line)
        if self._frames is not None:
            self._frames.receive_data(data[position:], now)

    def _receive_answer(self, data: bytes, now: float) -> None:
        try:
            self._ws.receive_data(data)
            events = list(self._ws.handshake.events())
        except (WebSocketError, UnicodeError) as error:
            # The library's text is not repeated: it quotes the response, which may quote the credential.
            if "subprotocol" in str(error):
                self._fail("the server selected a subprotocol that was not offered (HS-5)", now)
            else:
                self._fail("the answer is not a valid WebSocket upgrade", now)
            return
        for event in events:
            match event:
                case ws.AcceptConnection():
                    self._accept(event, now)
                case ws.RejectConnection():
                    self._refusal = event
                case _:
                    assert isinstance(event, ws.RejectData)
                    self._body += event.data[: _MAX_BODY - len(self._body)]
                    if event.body_finished:
                        self._finish_refusal(now)

    def _accept(self, event: ws.AcceptConnection, now: float) -> None:
        assert self._ws.connection is not None
        correlation_id = _correlation_id(event.extra_headers)
        headers = tuple((bytes(name).lower(), bytes(value)) for name, value in event.extra_headers)
        self._tell(UpgradeAccepted(correlation_id, event.subprotocol, headers), now)
        if self._carries_raw:
            self.raw = self._frames = RawFrames(self._ws.connection, close_timeout=self._close_timeout)
            return
        self.session = self._make_session(now, correlation_id)
        self._frames = Frames(
            self._ws.connection,
            self.session,
            max_text_bytes=self._max_text_bytes,
            close_timeout=self._close_timeout,
            ping_interval=self._ping_interval,
            tap=self._tap,
        )
        for finding in judge_answer(self._subprotocols, event.subprotocol, correlation_id):
            violation = Violation(finding.clause, Side.SERVER, _STATE, finding.what)
            self._events.append(Violated(violation))
            if self._strict:
                raise RemoteProtocolError(violation)
        # The first frames may have come in one piece with the response.
        self._frames.receive_data(b"", now)

    def _finish_refusal(self, now: float) -> None:
        assert self._refusal is not None
        refusal, self._refusal = self._refusal, None
        self._refused = True
        error = decode_http_error(bytes(self._body))
        headers = tuple((bytes(name).lower(), bytes(value)) for name, value in refusal.headers)
        correlation_id = _correlation_id(refusal.headers)
        self._tell(UpgradeRefused(refusal.status_code, correlation_id, error, headers, bytes(self._body)), now)

    def _fail(self, what: str, now: float) -> None:
        self._refused = True
        self._tell(UpgradeFailed(what), now)

    def _tell(self, event: UpgradeAccepted | UpgradeRefused | UpgradeFailed, now: float) -> None:
        if self._tap is not None:
            self._tap(Side.SERVER, event, now)
        self._events.append(event)


def _describe(
    target: Target,
    credential: Credential | None,
    headers: Sequence[tuple[bytes, bytes]],
    subprotocols: Sequence[str],
) -> UpgradeRequested:
    """The upgrade request, as a server sees it but for what only makes it one."""
    named = [(b"host", target.authority.encode("ascii")), *((name.lower(), value) for name, value in headers)]
    path, _, query = target.path.partition("?")
    return UpgradeRequested(
        path=path,
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        credential=credential,
        origin=header(named, b"origin"),
        client_request_id=header(named, b"x-client-request-id"),
        headers=tuple((name, value) for name, value in named if name != b"authorization"),
        target=target.path,
        authorization=header(named, b"authorization"),
        subprotocols=tuple(subprotocols),
    )


def _encode_header(name: str, value: str) -> tuple[bytes, bytes]:
    try:
        return name.encode("ascii"), value.encode("latin-1")
    except UnicodeEncodeError:
        raise _bad_header("a header of the upgrade request holds a character that HTTP cannot carry") from None


def _bad_header(what: str) -> LocalProtocolError:
    return LocalProtocolError(Violation(clause("HS-1"), Side.CLIENT, _STATE, what))


def _correlation_id(headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    return next((value.decode("latin-1") for name, value in headers if name.lower() == b"x-correlation-id"), None)
