"""What a client of ours does with a server of ours while the connection breaks, from dialling to the last byte."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from unittest import mock

import anyio
import attrs
import trio
import trustme
from adapters.faces import adapter
from faults.line import CLOSING, IDLE, UPGRADE, End, Kind, TrioEnd
from wire.raw import KEY

import ihproto.anyio
import ihproto.trio
from ihproto import RemoteProtocolError, SessionClosed
from ihproto.anyio import ClientStream, StreamError
from ihproto.wire import Credential
from ihproto_mock import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET

#: The adapters, and the event loops that they run on.
FACES = {"anyio on asyncio": "asyncio", "anyio on trio": "trio", "trio": "trio"}
#: How long the answer to a plain request may take, in seconds.
RESPONSE = 300.0

#: What a client does with its session; where it iterates to the end itself, it returns how that was.
Play = Callable[[ClientStream], Awaitable[str | None]]
#: A client at the end of a line, on a face; tells how it ended.
Client = Callable[[str, End], Awaitable[str]]
#: How long after a fault each role may hold on to the connection, in seconds: client, server.
Limits = Mapping[Kind, tuple[float, float]]

_AT_ONCE = dict.fromkeys((Kind.CUT, Kind.RESET, Kind.HALF_CLOSE, Kind.DRIP), (0.0, 0.0))


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def server_tls() -> ssl.SSLContext:
    """What a server shows for `localhost`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _authority().issue_cert("localhost").configure_cert(context)
    return context


@functools.cache
def client_tls() -> ssl.SSLContext:
    """What a client trusts."""
    context = ssl.create_default_context()
    _authority().configure_trust(context)
    return context


@contextmanager
def _dialled(end: End) -> Iterator[None]:
    """Whoever dials gets the end of a line."""

    async def to_anyio(*_: object) -> End:
        return end

    async def to_trio(*_: object) -> TrioEnd:
        return TrioEnd(end)

    with mock.patch.object(anyio, "connect_tcp", to_anyio), mock.patch.object(trio, "open_tcp_stream", to_trio):
        yield


async def session(stream: ClientStream) -> None:
    """A whole session: a config, two segments, and a graceful end."""
    await stream.send_config(["conversation_quality_overall"])
    for _ in range(2):
        await stream.send_segment(b"x" * 200)
    await stream.end()


async def session_of(opening: AbstractAsyncContextManager[ClientStream], play: Play = session) -> str:
    """Open a session, play it, and hear it to its end; returns how it ended."""
    try:
        async with opening as stream:
            failure = ""
            try:
                if over := await play(stream):
                    return over
            except StreamError as error:
                failure = f"{type(error).__name__}, "
            async for event in stream:
                if isinstance(event, SessionClosed):
                    return f"{failure}closed {event.code}"
            return f"{failure}without SessionClosed"
    except (StreamError, RemoteProtocolError) as error:
        return type(error).__name__


async def client(face: str, end: End, play: Play = session, url: str = "ws://localhost") -> str:
    """Be a client of the adapter at the end of a line; returns how it ended."""
    with _dialled(end):
        return await session_of(adapter(face).connect(url, KEY, ssl_context=client_tls()), play)


async def tls_client(face: str, end: End) -> str:
    """The same over TLS."""
    return await client(face, end, url="wss://localhost")


async def raw_client(face: str, end: End) -> str:
    """Say something without a session, close, and hear what comes."""
    last = "nothing"
    try:
        with _dialled(end):
            async with adapter(face).connect_raw("ws://localhost", credential=Credential(KEY)) as stream:
                await stream.send_text("x" * 200)
                await stream.send_bytes(b"x" * 200)
                await stream.close()
                async for event in stream:
                    last = type(event).__name__
    except StreamError as error:
        return type(error).__name__
    return last


async def _call(face: str, end: End, call: Callable[[ihproto.anyio.Api], Awaitable[object]]) -> str:
    try:
        with _dialled(end):
            await call(adapter(face).Api("http://localhost"))
    except (StreamError, RemoteProtocolError) as error:
        return type(error).__name__
    return "answered"


async def key_client(face: str, end: End) -> str:
    """Exchange a key pair."""
    return await _call(face, end, lambda api: api.exchange_key(DEFAULT_KEY_ID, DEFAULT_KEY_SECRET))


async def upload_client(face: str, end: End, size: int = 1000) -> str:
    """Upload a file, which is read and written at the same time."""
    return await _call(face, end, lambda api: api.upload(KEY, b"x" * size))


@attrs.frozen
class Meeting:
    """What a client and a server do together.

    Attributes:
        name: What it is called in the figures, empty for a session.
        client: The client.
        roles: The servers that can do it.
        limits: What breaks it, and how long each side may hold on afterwards.
        places: The places at which to break what passed in one direction.
        tls: Whether it is encrypted.
        thinning: How many places go by for each that is taken.
    """

    name: str
    client: Client
    roles: tuple[str, ...]
    limits: Limits
    places: Callable[[bytes], list[int]]
    tls: bool = False
    thinning: int = 1


def _frames(record: bytes) -> list[int]:
    """Every byte of the head, then the edges of every frame."""
    end = record.index(b"\r\n\r\n") + 4
    places = [*range(end + 1)]
    while end < len(record):
        size, extra = record[end + 1] & 0x7F, 4 if record[end + 1] & 0x80 else 0
        size, extra = (int.from_bytes(record[end + 2 : end + 4], "big"), extra + 2) if size == 126 else (size, extra)
        places += [end + 1, end + 2, end + 2 + extra + size // 2, end + 1 + extra + size, end + 2 + extra + size]
        end += 2 + extra + size
    return places


def _tls_records(record: bytes) -> list[int]:
    """The edges of every TLS record (RFC 8446, section 5.1), and its middle."""
    start, places = 0, [0]
    while start < len(record):
        end = start + 5 + int.from_bytes(record[start + 3 : start + 5], "big")
        places += [start + 1, start + 5, (start + end) // 2, end - 1, end]
        start = end
    return places


def _bytes(record: bytes) -> list[int]:
    return [*range(len(record))]


# The client waits longest for the drain (30 s) with its grace (10 s); the server for the session to be idle.
_SESSION: Limits = {
    **_AT_ONCE,
    Kind.STALL: (30 + 2 * CLOSING, IDLE + CLOSING),
    Kind.CRAWL: (UPGRADE, UPGRADE),
}
# A body that pauses is given up, and what may still come of it is taken for a while.
_REQUEST: Limits = {
    **_AT_ONCE,
    Kind.STALL: (RESPONSE, UPGRADE + CLOSING),
    Kind.CRAWL: (RESPONSE, UPGRADE),
}
SESSION = Meeting("", client, ("server", "mock server"), _SESSION, _frames)
OVER_TLS = Meeting("TLS", tls_client, ("server", "mock server"), _SESSION, _tls_records, tls=True)
# Nothing is timed for who listens to a raw stream but what it times itself.
RAW = Meeting("raw", raw_client, ("raw server",), {**_SESSION, Kind.STALL: (UPGRADE, IDLE)}, _frames)
KEY_EXCHANGE = Meeting("key", key_client, ("http server", "mock server"), _REQUEST, _bytes)
UPLOAD = Meeting("upload", upload_client, ("http server", "mock server"), _REQUEST, _bytes, thinning=5)
MEETINGS = (SESSION, OVER_TLS, RAW, KEY_EXCHANGE, UPLOAD)
