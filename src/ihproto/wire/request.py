"""The client's end of one plain HTTP request."""

from __future__ import annotations

from collections.abc import Sequence

import h11

from ihproto.clauses import clause
from ihproto.errors import LocalProtocolError, Side, Violation
from ihproto.wire.credentials import Credential, offer
from ihproto.wire.events import HttpResponse, RequestFailed
from ihproto.wire.exchange import header
from ihproto.wire.target import Target

_MAX_HEAD = 64 * 1024
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class RequestConnection:
    """One connection to a server, for one request and its response.

    Give the body to `send_body` piece by piece and then call `end_body`, also when there is no body. Drive it like a
    session: send what `data_to_send` gives, put what arrives into `receive_data`, call `handle_timeout` when
    `next_timeout` says so, and read `events`: a single `HttpResponse` or `RequestFailed` comes. Read while sending: a
    server may answer before it has seen the whole body, and then no more of it goes out. When `finished`, close the
    socket.

    Args:
        target: Where the server is (HS-1); its path does not count.
        method: The method.
        path: Path and query, percent-encoded.
        credential: Sent as `Authorization: Bearer`; None for none.
        content_type: What the body is; None when there is none.
        content_length: How long the body is, in bytes; None to send it in chunks.
        client_request_id: Sent as `X-Client-Request-Id` (HS-8).
        headers: More headers to send.
        response_timeout: How long the response may take to arrive entirely once the body is sent, in seconds.
        max_response_bytes: The longest body of a response that is accepted, in bytes.

    Raises:
        LocalProtocolError: If the credential cannot travel in a header (HS-2), or method, path or a header are not
            valid HTTP (HS-1).
    """

    def __init__(
        self,
        target: Target,
        method: str,
        path: str,
        *,
        credential: str | None = None,
        content_type: str | None = None,
        content_length: int | None = 0,
        client_request_id: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        response_timeout: float = 300.0,
        max_response_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        lines: list[tuple[str, str]] = [("Host", target.authority), ("User-Agent", "ihproto"), ("Connection", "close")]
        lines.append(("Accept", "application/json"))
        if credential is not None:
            carried = offer(Credential(credential)).headers
            lines += [(name.decode("ascii"), value.decode("ascii")) for name, value in carried]
        if content_type is not None:
            lines.append(("Content-Type", content_type))
        if content_length is None:
            lines.append(("Transfer-Encoding", "chunked"))
        elif content_length or method in _WITH_BODY:
            lines.append(("Content-Length", str(content_length)))
        if client_request_id is not None:
            lines.append(("X-Client-Request-Id", client_request_id))
        self.finished = False
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self._left = content_length
        self._response_timeout = response_timeout
        self._max_response_bytes = max_response_bytes
        self._deadline: float | None = None
        self._response: h11.Response | None = None
        self._body = bytearray()
        self._events: list[HttpResponse | RequestFailed] = []
        try:
            request = h11.Request(method=method, target=path, headers=[*lines, *headers])
            self._out = [self._http.send(request)]
        except (h11.LocalProtocolError, UnicodeEncodeError):
            # The library's text is not repeated: it quotes the header.
            what = "the method, the path or a header of the request is not valid HTTP"
            raise LocalProtocolError(Violation(clause("HS-1"), Side.CLIENT, "CONNECTING", what)) from None

    def send_body(self, data: bytes) -> None:
        """Send a piece of the body; behind the end of the connection it is dropped.

        Raises:
            ValueError: If the body gets longer than it was announced.
        """
        if self.finished or not data:
            return
        if self._left is not None:
            if len(data) > self._left:
                raise ValueError(f"the body is {len(data) - self._left} bytes longer than announced")
            self._left -= len(data)
        self._out.append(self._http.send(h11.Data(data=data)))

    def end_body(self, now: float) -> None:
        """Say that the body is complete; from now on the response is waited for.

        Args:
            now: The present moment, in seconds.

        Raises:
            ValueError: If the body is shorter than it was announced.
        """
        if self.finished:
            return
        if self._left:
            raise ValueError(f"the body is {self._left} bytes shorter than announced")
        self._out.append(self._http.send(h11.EndOfMessage()))
        self._await_response(now)

    def cut_body(self, now: float) -> None:
        """Say that the server takes no more of the body; what it may have answered is still waited for.

        Args:
            now: The present moment, in seconds.
        """
        self._out.clear()
        self._await_response(now)

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes that arrived."""
        if data and not self.finished:
            self._http.receive_data(data)
            self._read(now)

    def receive_eof(self, now: float, reason: str | None = None) -> None:
        """Take note that the server will send nothing more, or that the connection is given up.

        Args:
            now: The present moment, in seconds.
            reason: Why the connection is given up; None when the server ended it.
        """
        if self.finished:
            return
        if reason is not None:
            self._fail(reason)
            return
        self._http.receive_data(b"")
        self._read(now, ended=True)

    def data_to_send(self, now: float) -> bytes:
        """Drain the bytes to send; there are none once the response is there."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def events(self) -> list[HttpResponse | RequestFailed]:
        """Drain what happened: nothing, or one event."""
        events, self._events = self._events, []
        return events

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        return None if self.finished else self._deadline

    def handle_timeout(self, now: float) -> None:
        """Act on the time."""
        if not self.finished and self._deadline is not None and now >= self._deadline:
            self._fail("the server did not answer the request in time")

    def _await_response(self, now: float) -> None:
        if self._deadline is None:
            self._deadline = now + self._response_timeout

    def _read(self, now: float, *, ended: bool = False) -> None:
        try:
            while not self.finished:
                event = self._http.next_event()
                match event:
                    case h11.Response():
                        self._response = event
                        self._await_response(now)
                    case h11.Data():
                        self._body += event.data
                        if len(self._body) > self._max_response_bytes:
                            self._fail(f"the body of the response is longer than {self._max_response_bytes} bytes")
                    case h11.EndOfMessage():
                        self._succeed()
                    case h11.InformationalResponse():
                        pass  # 100 and its like say nothing about the answer
                    case _:
                        return
        except h11.RemoteProtocolError:
            # The library's text is not repeated: it quotes the response, which may quote the credential.
            if not ended:
                self._fail("the answer is not valid HTTP/1.1")
            elif self._response is not None or self._http.trailing_data[0]:
                self._fail("the server closed the connection in the middle of its answer")
            else:
                self._fail(
                    "the server closed the connection without answering the request; is it one for https:// or http://?"
                )

    def _succeed(self) -> None:
        assert self._response is not None
        headers = [(bytes(name), bytes(value)) for name, value in self._response.headers]
        self._finish(
            HttpResponse(
                self._response.status_code, header(headers, b"x-correlation-id"), tuple(headers), bytes(self._body)
            )
        )

    def _fail(self, what: str) -> None:
        self._finish(RequestFailed(what))

    def _finish(self, event: HttpResponse | RequestFailed) -> None:
        self.finished = True
        self._out.clear()
        self._events.append(event)
