"""Peers that keep to no rule, one function each: what it says, and for how long it stays."""

from __future__ import annotations

import contextlib
import functools
import random
import zlib
from collections.abc import Awaitable, Callable

import anyio
import attrs
from adapters.faces import READY
from anyio.abc import ByteStream
from faults.line import CAPACITY, CLOSING, IDLE, SENDING, SILENCE, UPGRADE, End
from faults.meetings import SESSION, Client, Meeting, Play, client
from wire.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    close_payload,
    envelope,
    frame,
    head,
    refusal,
    request,
    response,
)

from ihproto import SessionClosed
from ihproto.anyio import ClientStream, StreamError

KIB, MIB = 1024, 1024 * 1024
Script = Callable[[End], Awaitable[None]]
#: A mask that leaves the payload as it is: masking in Python takes longer than all the rest.
NO_MASK = bytes(4)


@attrs.frozen
class Peer:
    """A peer and what is to become of who meets it.

    Attributes:
        name: What it does.
        script: Its part; afterwards it is gone.
        ends: How the other side may end.
        deadline: When the other side has let go of the connection at the latest, in seconds.
        memory: How much the other side may hold at a time, in bytes; None where that is not measured.
        client: The client under test, where it is one.
        meeting: What the server under test can do, where it is one.
        times: How often it is met in a full run.
        capacity: How many bytes a client's connection to it holds each way before its sender waits.
    """

    name: str
    script: Script
    ends: tuple[str, ...]
    deadline: float = 0.0
    memory: int | None = None
    client: Client = client
    meeting: Meeting = SESSION
    times: int = 1
    capacity: int = CAPACITY


def playing(play: Play) -> Client:
    """A client that does something of its own with its session."""
    return functools.partial(client, play=play)


async def pour(end: End, piece: bytes, size: int) -> None:
    """Send the same over and over, so many bytes in all."""
    for _ in range(size // len(piece) + 1):
        await end.send(piece)


async def hear(end: End) -> None:
    """Read and forget."""
    while True:
        await end.receive()


async def pour_and_hear(end: End, piece: bytes, size: int) -> None:
    """Send the same over and over, and read meanwhile."""
    async with anyio.create_task_group() as group:
        group.start_soon(hear_quietly, end)
        with contextlib.suppress(anyio.BrokenResourceError):
            await pour(end, piece, size)
        group.cancel_scope.cancel()


async def hear_quietly(end: End) -> None:
    with contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        await hear(end)


async def read_head(end: ByteStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        data += await end.receive()
    return data


def headers(count: int) -> list[tuple[str, str]]:
    return [(f"X-{number}", "x") for number in range(count)]


# -- servers that a client meets ----------------------------------------------------------------


async def accept(end: End, *first: bytes) -> None:
    key = head(await read_head(end)).get("sec-websocket-key")
    assert key is not None
    await end.send(response(key) + b"".join(first))


def saying(*first: bytes, stay: bool = True, flood: bytes = b"", size: int = MIB, listen: bool = True) -> Script:
    """A server that accepts, says something, floods the client, and stays or goes."""

    async def script(end: End) -> None:
        await accept(end, *first)
        if flood:
            await (pour_and_hear if listen else pour)(end, flood, size)
        if stay and listen:
            await hear(end)
        elif stay:
            await takes_nothing(end)

    return script


async def takes_nothing(end: End) -> None:
    await end.wait_closed()
    await anyio.sleep(2 * SENDING)


async def _many_headers(end: End) -> None:
    key = head(await read_head(end)).get("sec-websocket-key")
    assert key is not None
    await end.send(response(key, *headers(10_000)))
    await hear(end)


async def _interim(end: End) -> None:
    await read_head(end)
    await pour(end, b"HTTP/1.1 100 Continue\r\n\r\n" * 500, 256 * KIB)
    await hear(end)


async def _endless_refusal(end: End) -> None:
    await read_head(end)
    await end.send(refusal(503, b"", ("Transfer-Encoding", "chunked")).replace(b"Content-Length: 0\r\n", b""))
    await pour(end, b"1000\r\n" + bytes(4096) + b"\r\n", 2 * MIB)
    await hear(end)


async def _noise_to_client(end: End) -> None:
    await accept(end, READY, NOISE.randbytes(NOISE.randrange(1, 200)))
    await hear(end)


async def _noise_for_an_answer(end: End) -> None:
    key = head(await read_head(end)).get("sec-websocket-key")
    assert key is not None
    answer = bytearray(response(key))
    for _ in range(NOISE.randrange(1, 4)):
        answer[NOISE.randrange(len(answer))] = NOISE.randrange(256)
    await end.send(bytes(answer) + READY)
    await hear(end)


#: Where garbage comes from; whoever runs a case seeds it with the number of the case.
NOISE = random.Random()
BOMB = zlib.compress(bytes(8 * MIB))[2:-4]
CHATTER = frame(TEXT, envelope("engagement.updated", {"state": "engaged", "start": 0})) * 100
TINY = frame(CONTINUATION, "€".encode(), fin=False) * 1000
PINGS = frame(PING, bytes(125)) * 400
PONGS = frame(PONG, bytes(125)) * 400


async def _send_much(stream: ClientStream) -> str:
    """Send a large segment while another task iterates."""
    ends: list[str] = []

    async def read() -> None:
        async for event in stream:
            if isinstance(event, SessionClosed):
                ends.append(f"closed {event.code}")

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        try:
            await stream.send_segment(bytes(256 * KIB))
        except StreamError as error:
            ends.append(type(error).__name__)
    return ", ".join(ends)


async def _close(stream: ClientStream) -> None:
    await stream.close()


async def _listen(stream: ClientStream) -> None:
    """Say nothing, and wait for what comes."""


LOST = ("closed 1006", "ConnectionBroken, closed 1006", "PeerStalled, closed 1006")
TYPED = ("UpgradeError", "SessionRefused", "closed", "ConnectionBroken", "PeerStalled", "RemoteProtocolError")

SERVERS = (
    Peer("takes no request", takes_nothing, ("UpgradeError",), UPGRADE, capacity=0),
    Peer("10,000 headers", _many_headers, ("UpgradeError",), memory=4 * MIB),
    Peer("interim responses without end", _interim, ("UpgradeError",), UPGRADE, memory=MIB),
    Peer("a refusal without end", _endless_refusal, ("UpgradeError",), UPGRADE, memory=MIB),
    Peer("ping flood", saying(READY, flood=PINGS, stay=False), LOST, memory=2 * MIB),
    Peer(
        "ping flood, reads nothing",
        saying(READY, flood=PINGS, listen=False),
        LOST,
        SENDING,
        memory=2 * MIB,
        client=playing(_send_much),
    ),
    Peer("pong flood", saying(READY, flood=PONGS, stay=False), LOST, memory=2 * MIB),
    Peer("compressed bomb", saying(READY, frame(TEXT, BOMB, reserved=4)), LOST, memory=2 * MIB),
    Peer("compressed bomb for a greeting", saying(frame(TEXT, BOMB, reserved=4)), ("SessionRefused",), memory=2 * MIB),
    Peer("close without reply", saying(READY), LOST, CLOSING, client=playing(_close)),
    Peer("silent for ever", saying(READY), LOST, SILENCE, client=playing(_listen)),
    Peer(
        "close, then stays",
        saying(READY, frame(CLOSE, close_payload(1001))),
        ("closed 1001", "ConnectionBroken, closed 1001"),
    ),
    Peer("garbage frames", _noise_to_client, TYPED, 2 * CLOSING, times=100),
    Peer("garbage for an answer", _noise_for_an_answer, TYPED, UPGRADE, times=100),
    Peer("talks before session.ready", saying(flood=CHATTER), ("SessionRefused",), memory=4 * MIB),
    Peer(
        "talks after the close",
        saying(READY, flood=CHATTER, stay=True),
        LOST,
        CLOSING,
        memory=4 * MIB,
        client=playing(_close),
    ),
    Peer(
        "a text in tiny frames",
        saying(READY, frame(TEXT, b"x", fin=False), flood=TINY, size=256 * KIB, stay=False),
        LOST,
        memory=2 * MIB,
    ),
    Peer(
        "a text without end",
        saying(
            READY, frame(TEXT, b"x", fin=False), flood=frame(CONTINUATION, bytes(60 * KIB), fin=False), size=17 * MIB
        ),
        LOST,
        memory=64 * MIB,
    ),
)


# -- clients that a server meets ----------------------------------------------------------------


def asking(*first: bytes, flood: bytes = b"", size: int = MIB, listen: bool = True, stay: bool = True) -> Script:
    """A client that asks, says something, floods the server, and stays or goes."""

    async def script(end: End) -> None:
        await end.send(request(("Authorization", f"Bearer {KEY}")))
        await read_head(end)
        await end.send(b"".join(first))
        if flood:
            await (pour_and_hear if listen else pour)(end, flood, size)
        if stay and listen:
            await hear(end)
        elif stay:
            await end.wait_closed()

    return script


def _of_client(opcode: int, payload: bytes = b"", *, fin: bool = True, reserved: int = 0) -> bytes:
    return frame(opcode, payload, fin=fin, mask=NO_MASK, reserved=reserved)


async def _many_headers_of_client(end: End) -> None:
    await end.send(request(*headers(10_000)))
    await hear(end)


async def _noise_for_a_request(end: End) -> None:
    asked = bytearray(request(("Authorization", f"Bearer {KEY}")))
    for _ in range(NOISE.randrange(1, 4)):
        asked[NOISE.randrange(len(asked))] = NOISE.randrange(256)
    await end.send(bytes(asked))
    await hear(end)


async def _noise_to_server(end: End) -> None:
    await asking(NOISE.randbytes(NOISE.randrange(1, 200)))(end)


async def _half_closes(end: End) -> None:
    await end.send(request(("Authorization", f"Bearer {KEY}")))
    await read_head(end)
    await end.send_eof()
    await hear(end)


CONFIGS = _of_client(TEXT, b'{"include": ["conversation_quality_overall"]}') * 500
CLOSED_OR_REFUSED = ("closed", "no upgrade", "upgrade refused", "request")

CLIENTS = (
    Peer("10,000 headers", _many_headers_of_client, ("no upgrade",), memory=4 * MIB),
    Peer("ping flood", asking(flood=_of_client(PING, bytes(125)) * 400, stay=False), LOST, memory=2 * MIB),
    Peer(
        "ping flood, reads nothing",
        asking(flood=_of_client(PING, bytes(125)) * 400, listen=False),
        LOST,
        SENDING,
        memory=2 * MIB,
    ),
    Peer("pong flood", asking(flood=_of_client(PONG, bytes(125)) * 400, stay=False), LOST, memory=2 * MIB),
    Peer("slow reader", asking(flood=CONFIGS, listen=False), LOST, SENDING, memory=2 * MIB),
    Peer("compressed bomb", asking(_of_client(BINARY, BOMB, reserved=4)), LOST, memory=2 * MIB),
    Peer("close without reply", asking(), LOST, IDLE + CLOSING),
    Peer("close, then stays", asking(_of_client(CLOSE, close_payload(1000))), ("closed 1000",)),
    Peer("half-close of its own", _half_closes, LOST),
    Peer("garbage frames", _noise_to_server, CLOSED_OR_REFUSED, IDLE + CLOSING, times=100),
    Peer("garbage for a request", _noise_for_a_request, CLOSED_OR_REFUSED, IDLE + CLOSING, times=100),
    Peer(
        "a text in tiny frames",
        asking(
            _of_client(TEXT, b"x", fin=False),
            flood=_of_client(CONTINUATION, "€".encode(), fin=False) * 1000,
            size=256 * KIB,
            stay=False,
        ),
        LOST,
        memory=2 * MIB,
    ),
)
