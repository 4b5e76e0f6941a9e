"""Bytes of RFC 6455 and RFC 7230 written by hand, so that no test judges the wire layer by the library under it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ihproto import NominalScanner, ServerSession, ServerSettings, SessionClosed, SessionReady
from ihproto.messages import ConfigOptions
from ihproto.wire import (
    ClientConnection,
    Credential,
    CredentialForm,
    ServerConnection,
    Target,
    UpgradeFailed,
    UpgradeRequested,
)

KEY = "ih_live_0123456789abcdefSECRET"
CORRELATION_ID = "6f1c2b9e-0000-4000-8000-000000000001"
MASK = b"\x37\xfa\x21\x3d"
#: The nonce of RFC 6455, section 1.3, and the accept value that the RFC gives for it.
NONCE = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

#: Small enough to be exceeded by hand.
SMALL = SessionReady(
    session_idle_timeout_seconds=300,
    session_max_duration_seconds=3600,
    min_segment_size_bytes=1,
    max_segment_size_bytes=8,
    supported_session_config_options=ConfigOptions(include=("conversation_quality_overall",)),
    min_segment_duration_seconds=3,
)


class Frame(NamedTuple):
    """A frame as it was on the wire, unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    masked: bool = False


class Head(NamedTuple):
    """The head of a request or a response, and what came behind it."""

    line: str
    headers: list[tuple[str, str]]
    rest: bytes

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    @property
    def status(self) -> int:
        return int(self.line.split(" ")[1])


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    mask: bytes | None = None,
    reserved: int = 0,
    announced: int | None = None,
) -> bytes:
    """One frame (RFC 6455, section 5.2); `announced` says another length than the payload has."""
    size = len(payload) if announced is None else announced
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    flag = 0x80 if mask is not None else 0
    if size < 126:
        head = bytes([first, flag | size])
    elif size < 1 << 16:
        head = bytes([first, flag | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, flag | 127]) + size.to_bytes(8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def masked(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame of a client."""
    return frame(opcode, payload, fin=fin, mask=MASK)


def close_payload(code: int, reason: str = "") -> bytes:
    return code.to_bytes(2, "big") + reason.encode()


def frames(data: bytes) -> list[Frame]:
    """Take frames apart; there must be nothing but whole ones."""
    found = []
    while data:
        size, position = data[1] & 0x7F, 2
        if size == 126:
            size, position = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, position = int.from_bytes(data[2:10], "big"), 10
        key = b"\0\0\0\0"
        if data[1] & 0x80:
            key, position = data[position : position + 4], position + 4
        assert len(data) >= position + size, "a frame is not whole"
        payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(data[position : position + size]))
        found.append(Frame(data[0] & 0x0F, payload, bool(data[0] & 0x80), bool(data[1] & 0x80)))
        data = data[position + size :]
    return found


def head(data: bytes) -> Head:
    """Take the head of a message of HTTP/1.1 apart."""
    text, blank, rest = data.partition(b"\r\n\r\n")
    assert blank, "the head is not whole"
    line, *lines = text.decode("latin-1").split("\r\n")
    pairs = [one.partition(":") for one in lines]
    return Head(line, [(name.strip().lower(), value.strip()) for name, _, value in pairs], rest)


def types(data: bytes) -> list[str]:
    """What a server says: the type of each envelope, with its code for an error, and `close <code>`."""
    told = []
    for one in frames(data):
        if one.opcode == CLOSE:
            told.append(f"close {int.from_bytes(one.payload[:2], 'big')}")
        elif one.opcode == TEXT:
            fields = json.loads(one.payload)
            told.append(f"error {fields['data']['code']}" if fields["type"] == "error" else fields["type"])
        else:
            told.append(f"opcode {one.opcode:#x}")
    return told


def accept_value(key: str) -> str:
    """The value of `Sec-WebSocket-Accept` (RFC 6455, section 4.2.2)."""
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    return base64.b64encode(digest).decode()


def request(
    *headers: tuple[str, str],
    path: str = "/v1/stream/analyze",
    method: str = "GET",
    version: str = "1.1",
    without: Sequence[str] = (),
) -> bytes:
    """An upgrade request (RFC 6455, section 4.1) with more headers, or without some; a later one replaces."""
    usual = {
        "Host": "localhost:8080",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": NONCE,
        "Sec-WebSocket-Version": "13",
    }
    given = {name for name, _ in headers}
    lines = [f"{name}: {value}" for name, value in usual.items() if name not in without and name not in given]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([f"{method} {path} HTTP/{version}", *lines, "", ""]).encode("latin-1")


def response(
    client: ClientConnection | str,
    *headers: tuple[str, str],
    correlation_id: str | None = CORRELATION_ID,
    without: Sequence[str] = (),
) -> bytes:
    """The upgrade response to a client's request, or to a nonce (RFC 6455, section 4.2.2)."""
    nonce = client if isinstance(client, str) else head(client.data_to_send(0.0)).get("sec-websocket-key")
    assert nonce is not None
    usual = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept_value(nonce)}
    if correlation_id is not None:
        usual["X-Correlation-ID"] = correlation_id
    given = {name for name, _ in headers}
    lines = [f"{name}: {value}" for name, value in usual.items() if name not in without and name not in given]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, "", ""]).encode("latin-1")


def refusal(status: int, body: bytes, *headers: tuple[str, str]) -> bytes:
    """A response that is not an upgrade."""
    lines = [f"{name}: {value}" for name, value in (*headers, ("Content-Length", str(len(body))))]
    return "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines, "", ""]).encode("latin-1") + body


def envelope(type_: str, data: object) -> bytes:
    """The text of an envelope (ENV-1)."""
    fields = {
        "type": type_,
        "timestamp": "2025-01-01T00:00:00.000000Z",
        "correlation_id": CORRELATION_ID,
        "data": data,
    }
    return json.dumps(fields).encode()


def ready(**changes: Any) -> bytes:
    """The text of `session.ready` (RDY-2)."""
    contract: dict[str, Any] = {
        "session_idle_timeout_seconds": 300,
        "session_max_duration_seconds": 3600,
        "min_segment_duration_seconds": 3,
        "min_segment_size_bytes": 1,
        "max_segment_size_bytes": 33554432,
        "supported_session_config_options": {"include": ["conversation_quality_overall"]},
    }
    return envelope("session.ready", contract | changes)


def make_client(
    *, form: CredentialForm = CredentialForm.HEADER, now: float = 0.0, url: str = "ws://localhost:8080", **more: Any
) -> ClientConnection:
    return ClientConnection(now, Target.parse(url), Credential(KEY, form), **more)


def make_server(*, now: float = 0.0, **more: Any) -> ServerConnection:
    return ServerConnection(now, correlation_id=CORRELATION_ID, **more)


def make_session(
    now: float = 0.0, settings: ServerSettings | None = None, *, correlation_id: str = CORRELATION_ID
) -> ServerSession:
    started_at = datetime(2025, 1, 1, tzinfo=UTC)
    return ServerSession(
        now, correlation_id=correlation_id, started_at=started_at, settings=settings, scanner=NominalScanner()
    )


def accept(server: ServerConnection, settings: ServerSettings | None = None, now: float = 0.0) -> ServerSession:
    """Accept the upgrade with a session that is open."""
    session = make_session(now, settings)
    session.open(now)
    server.accept(session, now)
    return session


def open_server(settings: ServerSettings | None = None, **more: Any) -> ServerConnection:
    """A server that has said `session.ready`, with nothing left to be drained."""
    server = make_server(**more)
    server.receive_data(request(), 0.0)
    accept(server, settings)
    server.data_to_send(0.0)
    server.events()
    return server


def open_client(**more: Any) -> ClientConnection:
    """A client whose session stands, with nothing left to be drained."""
    client = make_client(**more)
    client.receive_data(response(client) + frame(TEXT, ready()), 0.0)
    client.events()
    client.data_to_send(0.0)
    return client


def requested(server: ServerConnection) -> UpgradeRequested:
    """The only event of a server that has got a request."""
    (event,) = server.events()
    assert isinstance(event, UpgradeRequested)
    return event


def failed(events: Iterable[object]) -> str:
    """What the only event, a failed upgrade, says."""
    (event,) = events
    assert isinstance(event, UpgradeFailed)
    return event.what


def closed(events: Iterable[object]) -> SessionClosed:
    """The last event, which must be the end."""
    *_, event = events
    assert isinstance(event, SessionClosed)
    return event


def serve_bytes(server: ServerConnection, data: bytes, now: float = 0.0) -> tuple[list[object], bytes]:
    """Give a server bytes, accept what it is asked, and drain it."""
    events: list[object] = []
    server.receive_data(data, now)
    for event in server.events():
        events.append(event)
        if isinstance(event, UpgradeRequested):
            accept(server, ServerSettings(contract=SMALL, max_text_bytes=64), now)
    return [*events, *server.events()], server.data_to_send(now)
