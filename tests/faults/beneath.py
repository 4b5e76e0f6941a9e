"""Peers that keep to no rule beneath the WebSocket: where TLS is expected, and in plain HTTP."""

from __future__ import annotations

import contextlib
import functools
import json
import ssl
from collections.abc import Awaitable, Callable

import anyio
import attrs
from anyio.streams.tls import TLSStream
from faults.hostile import (
    KIB,
    LOST,
    MIB,
    NOISE,
    Peer,
    Script,
    headers,
    hear,
    pour_and_hear,
    read_head,
    takes_nothing,
)
from faults.line import CLOSING, SENDING, UPGRADE, End
from faults.meetings import (
    KEY_EXCHANGE,
    OVER_TLS,
    RESPONSE,
    client_tls,
    key_client,
    server_tls,
    tls_client,
    upload_client,
)
from wire.raw import KEY, TEXT, frame, head, ready, refusal, request, response

from ihproto.tokens import AUTH_PATHS, STREAM_SCOPE
from ihproto_mock import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET

ENDED = ("answered", "ApiError", "ConnectionBroken", "RemoteProtocolError")
TOKEN = b'{"access_token": "x", "token_type": "Bearer", "expires_in": 900, "scope": "interhumanai.stream"}'
PAIR = json.dumps({"key_id": DEFAULT_KEY_ID, "key_secret": DEFAULT_KEY_SECRET, "scopes": [STREAM_SCOPE]}).encode()
#: The start of a TLS record of the largest size, which begins a handshake message of the largest size.
RECORD = b"\x16\x03\x03\x40\x00" + b"\x01\xff\xff\xff" + bytes(16 * KIB - 4)


def talking(*first: bytes, flood: bytes = b"", size: int = MIB) -> Script:
    """Say something without a look at what the other side says, and stay."""

    async def script(end: End) -> None:
        await end.send(b"".join(first))
        if flood:
            await pour_and_hear(end, flood, size)
        await hear(end)

    return script


async def _noise(end: End) -> None:
    await end.send(NOISE.randbytes(NOISE.randrange(1, 200)))
    await hear(end)


# -- within TLS -------------------------------------------------------------------------------------


async def _session_of_server(end: End) -> TLSStream:
    stream = await TLSStream.wrap(end, server_side=True, ssl_context=server_tls(), standard_compatible=False)
    key = head(await read_head(stream)).get("sec-websocket-key")
    assert key is not None
    await stream.send(response(key) + frame(TEXT, ready()))
    return stream


async def _session_of_client(end: End) -> TLSStream:
    stream = await TLSStream.wrap(end, hostname="localhost", ssl_context=client_tls(), standard_compatible=False)
    await stream.send(request(("Authorization", f"Bearer {KEY}")))
    await read_head(stream)
    return stream


Opening = Callable[[End], Awaitable[TLSStream]]


def leaving_tls(open_session: Opening) -> Script:
    """Say that nothing more comes in TLS, and keep the connection beneath."""

    async def script(end: End) -> None:
        stream = await open_session(end)
        # By the time that it minds what still comes, it has said so.
        with contextlib.suppress(ssl.SSLError):
            await stream.unwrap()
        await hear(end)

    return script


def breaking_tls(open_session: Opening) -> Script:
    """Open a session, and go on with noise beneath TLS."""

    async def script(end: End) -> None:
        await open_session(end)
        # What looks like the start of a record is waited for.
        await end.send(b"\x17\x03\x03\x00\x40" + NOISE.randbytes(64))
        await hear(end)

    return script


def client_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_tls().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


# -- plain HTTP -------------------------------------------------------------------------------------


def answering(*first: bytes, flood: bytes = b"", size: int = MIB) -> Script:
    """A server that answers a request once its head is there, floods the client, and stays."""

    async def script(end: End) -> None:
        await read_head(end)
        await talking(*first, flood=flood, size=size)(end)

    return script


async def _says_nothing(end: End) -> None:
    await hear(end)


async def _refuses_unheard(end: End) -> None:
    await end.send(refusal(413, b""))
    await takes_nothing(end)


async def _noise_for_a_response(end: End) -> None:
    answer = bytearray(refusal(200, TOKEN))
    for _ in range(NOISE.randrange(1, 4)):
        answer[NOISE.randrange(len(answer))] = NOISE.randrange(256)
    await answering(bytes(answer))(end)


async def _one_byte_a_minute(end: End) -> None:
    await read_head(end)
    for number in refusal(200, TOKEN):
        await end.send(bytes([number]))
        await anyio.sleep(60)


def asked(*lines: tuple[str, str], body: bytes = b"") -> bytes:
    """A request for a token."""
    named = [("Host", "localhost"), ("Content-Type", "application/json"), *lines]
    written = "".join(f"{name}: {value}\r\n" for name, value in named)
    return f"POST {AUTH_PATHS[-1]} HTTP/1.1\r\n{written}\r\n".encode() + body


async def _noise_for_a_request(end: End) -> None:
    said = bytearray(asked(("Content-Length", str(len(PAIR))), body=PAIR))
    for _ in range(NOISE.randrange(1, 4)):
        said[NOISE.randrange(len(said))] = NOISE.randrange(256)
    await talking(bytes(said))(end)


async def _one_byte_in_nine_seconds(end: End) -> None:
    await end.send(asked(("Content-Length", "1000")))
    while True:
        await end.send(b" ")
        await anyio.sleep(9)


CHUNKED = ("Transfer-Encoding", "chunked")
CHUNK = b"1000\r\n" + bytes(4096) + b"\r\n"
ENDLESS = refusal(200, b"", CHUNKED).replace(b"Content-Length: 0\r\n", b"")
_send_much = functools.partial(upload_client, size=256 * KIB)

SERVERS = (
    Peer("noise for TLS", _noise, ("ConnectError",), UPGRADE, client=tls_client, times=20),
    Peer("plain HTTP for TLS", talking(refusal(400, b"")), ("ConnectError",), client=tls_client),
    Peer("silent for TLS", _says_nothing, ("ConnectError",), UPGRADE, client=tls_client),
    Peer("a handshake without end", talking(flood=RECORD), ("ConnectError",), memory=2 * MIB, client=tls_client),
    Peer("leaves TLS, then stays", leaving_tls(_session_of_server), LOST, client=tls_client),
    Peer("noise beneath TLS", breaking_tls(_session_of_server), LOST, client=tls_client),
    Peer("garbage for a response", _noise_for_a_response, ENDED, RESPONSE, client=key_client, times=100),
    Peer(
        "10,000 headers in a response",
        answering(ENDLESS[:-2] + "".join(f"{name}: {value}\r\n" for name, value in headers(10_000)).encode() + b"\r\n"),
        ("ConnectionBroken",),
        RESPONSE,
        memory=4 * MIB,
        client=key_client,
    ),
    Peer(
        "interim responses to a request",
        answering(flood=b"HTTP/1.1 100 Continue\r\n\r\n" * 100, size=64 * KIB),
        ("ConnectionBroken",),
        RESPONSE,
        memory=MIB,
        client=key_client,
    ),
    Peer(
        "a response without end",
        answering(ENDLESS, flood=CHUNK * 16, size=17 * MIB),
        ("ConnectionBroken",),
        memory=64 * MIB,
        client=key_client,
    ),
    Peer("a response a byte a minute", _one_byte_a_minute, ("ConnectionBroken",), RESPONSE, client=key_client),
    Peer("no response", _says_nothing, ("ConnectionBroken",), RESPONSE, client=upload_client),
    Peer("takes no key", takes_nothing, ("PeerStalled",), SENDING, client=key_client, capacity=0),
    Peer("takes no upload", takes_nothing, ("PeerStalled",), SENDING, client=_send_much),
    Peer("refuses an upload unheard", _refuses_unheard, ("ApiError",), client=_send_much),
)

HTTP = ("request", "no upgrade")
#: A server of ours hears a body out, however slowly it comes; the mock server does not.
_MOCK_ALONE = attrs.evolve(KEY_EXCHANGE, roles=("mock server",))

CLIENTS = (
    Peer("noise for TLS", _noise, ("no upgrade",), UPGRADE, meeting=OVER_TLS, times=20),
    Peer("plain HTTP for TLS", talking(request()), ("no upgrade",), meeting=OVER_TLS),
    Peer("silent for TLS", _says_nothing, ("no upgrade",), UPGRADE, meeting=OVER_TLS),
    Peer("a handshake without end", talking(flood=RECORD), ("no upgrade",), memory=2 * MIB, meeting=OVER_TLS),
    Peer("leaves TLS, then stays", leaving_tls(_session_of_client), LOST, meeting=OVER_TLS),
    Peer("noise beneath TLS", breaking_tls(_session_of_client), LOST, meeting=OVER_TLS),
    Peer("TLS for plain HTTP", talking(client_hello()), ("no upgrade",), meeting=KEY_EXCHANGE),
    Peer("garbage for a plain request", _noise_for_a_request, HTTP, UPGRADE + CLOSING, meeting=KEY_EXCHANGE, times=100),
    Peer(
        "a body that pauses",
        talking(asked(("Content-Length", "100"), body=b"{")),
        ("request",),
        UPGRADE + CLOSING,
        meeting=KEY_EXCHANGE,
    ),
    Peer(
        "a body that is asked for in vain",
        talking(asked(("Content-Length", "100"), ("Expect", "100-continue"))),
        ("request",),
        UPGRADE + CLOSING,
        meeting=KEY_EXCHANGE,
    ),
    Peer(
        "a body without end",
        talking(asked(CHUNKED), flood=CHUNK * 16),
        ("request",),
        UPGRADE + CLOSING,
        memory=2 * MIB,
        meeting=KEY_EXCHANGE,
    ),
    Peer("a body a byte in 9 s", _one_byte_in_nine_seconds, ("request",), UPGRADE + 3 * CLOSING, meeting=_MOCK_ALONE),
    Peer(
        "a second request behind the first",
        talking(asked(("Content-Length", str(len(PAIR))), body=PAIR) * 2),
        ("request",),
        meeting=KEY_EXCHANGE,
    ),
)
