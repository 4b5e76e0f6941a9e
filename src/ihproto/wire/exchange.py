"""The server's end of one plain HTTP request: the body in pieces, the response, and the way out."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import parse_qsl

import attrs
import h11

from ihproto.wire.credentials import find
from ihproto.wire.events import BodyEnded, BodyReceived, HttpEvent, HttpRequested, RequestLost
from ihproto.wire.refusal import HttpError

#: How long the rest of a body is discarded behind an early response, as a multiple of the close timeout.
LINGER_CAP = 3

#: The statuses whose responses have no body (RFC 7230, section 3.3).
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Exchange:
    """One request whose head has arrived, on a connection that serves no other.

    The body is never gathered: it is handed on as it comes. A response may overtake the body. Many clients write the
    whole body before they read, and would lose a response that is followed by a reset; so after an early response
    what still comes is read and discarded, until the body ends, the client is gone, or it takes too long.

    Args:
        http: The connection that has just read the head.
        request: The head.
        now: The present moment, in seconds.
        correlation_id: The id of the connection (HS-9).
        body_timeout: How long the client may pause in the body while it is awaited, in seconds.
        close_timeout: How long it may pause in the body behind an early response, in seconds; `LINGER_CAP` times that
            is how long such a body is read at all.

    Attributes:
        answered: Whether there is a response, or will be none any more.
        finished: Whether nothing more will come or go.
    """

    def __init__(
        self,
        http: h11.Connection,
        request: h11.Request,
        now: float,
        *,
        correlation_id: str,
        body_timeout: float,
        close_timeout: float,
    ) -> None:
        self.answered = False
        self.finished = False
        self._http = http
        self._head_only = request.method == b"HEAD"
        self._correlation_id = correlation_id
        self._body_timeout = body_timeout
        self._close_timeout = close_timeout
        self._ended = False
        self._broken = False
        self._deadline: float | None = None
        self._last_moment = 0.0
        self._out: list[bytes] = []
        self._events: deque[HttpEvent] = deque([_describe(request)])
        self._read(now)

    def want_body(self, now: float) -> None:
        """Wait for the body from now on: a client that asked whether to send it is told so (`100-continue`)."""
        if self._ended or self.answered:
            return
        if self._http.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason="Continue")
            self._out.append(self._http.send(go_on))
        self._deadline = now + self._body_timeout

    def respond(
        self, status: int, body: bytes, now: float, *, content_type: str, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Answer the request.

        Raises:
            RuntimeError: If it is answered already, or lost.
            ValueError: If the response cannot be written as HTTP; the request can still be answered.
        """
        if self.answered:
            raise RuntimeError("the request is answered already, or lost")
        response = encode_response(
            status,
            body,
            correlation_id=self._correlation_id,
            content_type=content_type,
            headers=headers,
            head_only=self._head_only,
        )
        self._out.append(response)
        self.answered = True
        self.finished = self._ended
        self._last_moment = now + LINGER_CAP * self._close_timeout
        self._deadline = now + self._close_timeout

    def refuse(self, status: int, error: HttpError, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer the request with an error (ERR-3); raises as `respond` does."""
        body = attrs.evolve(error, correlation_id=self._correlation_id).encode()
        self.respond(status, body, now, content_type="application/json", headers=headers)

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes that arrived."""
        if self.finished or self._ended:
            return
        if not self._broken:
            self._http.receive_data(data)
            self._read(now)
        if self.answered:
            self._deadline = min(now + self._close_timeout, self._last_moment)
        elif self._deadline is not None:
            self._deadline = now + self._body_timeout

    def receive_eof(self, reason: str) -> None:
        """Take note that the client will send nothing more, or that the connection is given up."""
        if self.answered:
            self.finished = True
        elif not self._ended:
            self.answered = self.finished = True
            self._events.append(RequestLost(reason))

    def data_to_send(self) -> bytes:
        """Drain the bytes to send."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def events(self) -> list[HttpEvent]:
        """Drain what happened, oldest first."""
        events = list(self._events)
        self._events.clear()
        return events

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        return None if self.finished or (self._ended and not self.answered) else self._deadline

    def handle_timeout(self, now: float) -> None:
        """Act on the time."""
        deadline = self.next_timeout()
        if deadline is None or now < deadline:
            return
        if self.answered:
            self.finished = True
        else:
            self._give_up(408, f"no more of the body came for {self._body_timeout:g} s", now)

    def _read(self, now: float) -> None:
        """Take what is there of the body; behind a response it is discarded."""
        pieces: list[bytes] = []
        try:
            while not self._ended:
                event = self._http.next_event()
                if isinstance(event, h11.Data):
                    pieces.append(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self._ended = True
                else:
                    break
        except h11.RemoteProtocolError:
            self._broken = True
        if self.answered:
            self.finished = self._ended
            return
        if pieces:
            self._events.append(BodyReceived(b"".join(pieces)))
        if self._ended:
            self._events.append(BodyEnded())
        elif self._broken:
            self._give_up(400, "the chunks of the body are not framed as HTTP/1.1 wants it", now)

    def _give_up(self, status: int, what: str, now: float) -> None:
        self.refuse(status, HttpError(message=what), now)
        self._events.append(RequestLost(what))


def encode_response(
    status: int,
    body: bytes,
    *,
    correlation_id: str | None,
    content_type: str | None,
    headers: Sequence[tuple[str, str]] = (),
    head_only: bool = False,
) -> bytes:
    """Write a whole response, after which the connection ends (HS-9).

    Args:
        status: The HTTP status, a final one.
        body: The body.
        correlation_id: The id of the connection, None to leave it out.
        content_type: What the body is, None to leave it out.
        headers: More headers.
        head_only: Leave the body out, as it is done for HEAD.

    Raises:
        ValueError: If the status is not that of a final response, has no body and there is one, or a header is not
            valid HTTP.
    """
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is not the status of a final response")
    if body and status in _BODILESS:
        raise ValueError(f"a response with status {status} has no body")
    lines = [("Connection", "close"), *headers]
    if correlation_id is not None:
        lines.insert(0, ("X-Correlation-ID", correlation_id))
    if status not in _BODILESS:
        lines.insert(0, ("Content-Length", str(len(body))))
        if content_type is not None:
            lines.insert(0, ("Content-Type", content_type))
    # A connection of its own: whatever state the request left the other one in, this response can be written.
    writer = h11.Connection(h11.SERVER)
    try:
        head = writer.send(h11.Response(status_code=status, headers=lines, reason=_phrase(status)))
    except (h11.LocalProtocolError, UnicodeEncodeError):
        raise ValueError("a header of the response is not valid HTTP") from None
    if head_only:
        return head
    return head + writer.send(h11.Data(data=body)) + writer.send(h11.EndOfMessage())


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


#: What an absolute target has in front of its path (RFC 7230, section 5.3.2).
_ORIGIN = re.compile(r"https?://[^/?]*(?=/)", re.IGNORECASE)


def _describe(request: h11.Request) -> HttpRequested:
    headers = [(bytes(name), bytes(value)) for name, value in request.headers]
    path, _, query = _ORIGIN.sub("", request.target.decode("ascii")).partition("?")
    length = header(headers, b"content-length")
    return HttpRequested(
        method=request.method.decode("ascii"),
        path=path,
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        credential=find(headers, ()),
        origin=header(headers, b"origin"),
        client_request_id=header(headers, b"x-client-request-id"),
        content_type=header(headers, b"content-type"),
        content_length=None if length is None or header(headers, b"transfer-encoding") else int(length),
        # Where the credential of an upgrade would be is left out as well: somebody may have put one there.
        headers=tuple(
            (name, value) for name, value in headers if name not in (b"authorization", b"sec-websocket-protocol")
        ),
    )


def header(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    """The first header of this name, which is in lower case."""
    return next((value.decode("latin-1") for key, value in headers if key == name), None)
