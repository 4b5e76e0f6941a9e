"""What a connection tells its owner about upgrades, after which come the events of the session, and plain HTTP."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from ihproto.wire.credentials import Credential
from ihproto.wire.refusal import HttpError


@attrs.frozen
class UpgradeRequested:
    """A client wants to open a session: answer with `accept` or `refuse`.

    Attributes:
        path: The path, without the query, as sent.
        query: Names and values of the query, in order, percent-decoded.
        credential: The credential, None when there is none (HS-2, HS-3, HS-4).
        origin: The `Origin` header, None when there is none (HS-14).
        client_request_id: The `X-Client-Request-Id` header, for the log (HS-8).
        headers: All headers but the credential, names in lower case.
        target: Path and query, as sent.
        authorization: The `Authorization` header, as sent; None when there is none.
        subprotocols: The subprotocols that are offered, in order.
    """

    path: str
    query: tuple[tuple[str, str], ...]
    credential: Credential | None
    origin: str | None
    client_request_id: str | None
    headers: tuple[tuple[bytes, bytes], ...] = attrs.field(repr=False)
    target: str = attrs.field(default="", repr=False, eq=False)
    authorization: str | None = attrs.field(default=None, repr=False, eq=False)
    subprotocols: tuple[str, ...] = attrs.field(default=(), repr=False, eq=False)


@attrs.frozen
class UpgradeAccepted:
    """The server accepted the upgrade; the session has begun.

    Attributes:
        correlation_id: The `X-Correlation-ID` header, None when there was none (HS-9).
        subprotocol: What the server selected, None for nothing (HS-5).
        headers: All other headers of the response, names in lower case.
    """

    correlation_id: str | None
    subprotocol: str | None = attrs.field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = attrs.field(default=(), repr=False, eq=False)


@attrs.frozen
class UpgradeRefused:
    """The server answered the upgrade with another HTTP response (HS-10); nothing comes after this.

    Attributes:
        status: The HTTP status.
        correlation_id: The `X-Correlation-ID` header, None when there was none (HS-9).
        error: The JSON body, None when it is not of the documented shape.
        headers: All headers of the response, names in lower case.
        body: The body as it came, up to 64 KiB.
    """

    status: int
    correlation_id: str | None
    error: HttpError | None
    headers: tuple[tuple[bytes, bytes], ...] = attrs.field(default=(), repr=False, eq=False)
    body: bytes = attrs.field(default=b"", repr=False, eq=False)


@attrs.frozen
class UpgradeFailed:
    """There was no usable answer to the upgrade, or no usable request; nothing comes after this.

    Attributes:
        what: What happened, as a sentence without a full stop.
    """

    what: str


@attrs.frozen
class HttpRequested:
    """A client asks for something by plain HTTP: answer with `respond` or `refuse`; the body comes in events.

    Attributes:
        method: The method, as sent.
        path: The path, without the query, as sent.
        query: Names and values of the query, in order, percent-decoded.
        credential: The credential of `Authorization: Bearer`, None when there is none.
        origin: The `Origin` header, None when there is none (HS-14).
        client_request_id: The `X-Client-Request-Id` header, for the log (HS-8).
        content_type: The `Content-Type` header, None when there is none.
        content_length: How long the body is, in bytes; None when the request does not say.
        headers: All headers but the credential, names in lower case.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    credential: Credential | None
    origin: str | None
    client_request_id: str | None
    content_type: str | None
    content_length: int | None
    headers: tuple[tuple[bytes, bytes], ...] = attrs.field(repr=False)


@attrs.frozen
class BodyReceived:
    """A piece of the body of a request arrived; where the pieces are cut means nothing.

    Attributes:
        data: The piece, never empty.
    """

    data: bytes = attrs.field(repr=False)


@attrs.frozen
class BodyEnded:
    """The body of a request has arrived entirely."""


@attrs.frozen
class RequestLost:
    """The rest of a request will not come, and nobody waits for an answer any more; nothing comes after this.

    Attributes:
        what: What happened, as a sentence without a full stop.
    """

    what: str


#: What a server's connection says about plain HTTP.
HttpEvent: TypeAlias = HttpRequested | BodyReceived | BodyEnded | RequestLost


@attrs.frozen
class HttpResponse:
    """The server answered a plain HTTP request; nothing comes after this.

    Attributes:
        status: The HTTP status.
        correlation_id: The `X-Correlation-ID` header, None when there was none (HS-9).
        headers: All headers, names in lower case.
        body: The whole body.
    """

    status: int
    correlation_id: str | None
    headers: tuple[tuple[bytes, bytes], ...] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


@attrs.frozen
class RequestFailed:
    """There was no usable answer to a plain HTTP request; nothing comes after this.

    Attributes:
        what: What happened, as a sentence without a full stop.
    """

    what: str
