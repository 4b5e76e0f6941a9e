"""What the suite attacks: messages sent back as they came, on both stacks of the wire layer and in both roles.

`STACKS` names them: "raw" is `RawFrames` through `serve` and `connect_raw`, "session" is `Frames` in a real
`ServerConnection` or `ClientConnection`, under an `EchoSession` that stands where sessions stand otherwise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import TypeAlias, cast

import anyio
import attrs

from ihproto._adapter.driver import Driver
from ihproto.anyio import ConnectError, Handler, RawStream, ServerStream, StreamError, _Transport, connect_raw
from ihproto.automata import ServerState
from ihproto.client import ClientSession
from ihproto.events import BytesToSend, CloseToSend, TextToSend, ToSend
from ihproto.server import ServerSession, ServerSettings
from ihproto.wire import ClientConnection, RawBytes, RawClose, RawText, Target

#: The largest message of the suite is 16 MiB long.
LARGEST = 16 * 1024 * 1024


class EchoSession:
    """Says back what it is told, where `Frames` expects a session of either role.

    Args:
        correlation_id: The id of the connection, None at the client's end.
        silent: Keep texts instead of saying them back.

    Attributes:
        correlation_id: The id of the connection, as the server's end compares it.
        settings: The limits that the server's end reads.
        state: What the server's adapter asks for before it closes.
        texts: The text messages that have come, where they are not said back.
    """

    def __init__(self, correlation_id: str | None = None, *, silent: bool = False) -> None:
        self.correlation_id = correlation_id
        self.settings = ServerSettings(max_text_bytes=LARGEST)
        self.state = ServerState.OPEN
        self.texts: list[str] = []
        self._silent = silent
        self._data = bytearray()
        self._out: list[ToSend] = []

    def receive_text(self, text: str, now: float) -> None:
        if self._silent:
            self.texts.append(text)
        else:
            self._out.append(TextToSend(text))

    def receive_bytes(self, data: bytes, now: float, *, final: bool = True) -> None:
        self._data += data
        if final:
            self._out.append(BytesToSend(bytes(self._data)))
            self._data.clear()

    def refuse_text(self, now: float) -> None:
        self._out.append(CloseToSend(1009))

    def receive_close(self, code: int, reason: str = "") -> None:
        self.state = ServerState.CLOSED

    def receive_lost(self, reason: str = "") -> None:
        self.state = ServerState.CLOSED

    def to_send(self) -> list[ToSend]:
        out, self._out = self._out, []
        return out

    def events(self) -> list[object]:
        return []

    def next_timeout(self) -> float | None:
        return None

    def handle_timeout(self, now: float) -> None:
        pass


async def echo_raw(stream: RawStream) -> None:
    """Say every message back whole, and answer the close frame with its own code."""
    with suppress(StreamError):
        await _echo(stream)


async def _echo(stream: RawStream) -> None:
    text: list[str] = []
    data = bytearray()
    async for event in stream:
        match event:
            case RawText(piece, final):
                text.append(piece)
                if final:
                    await stream.send_text("".join(text))
                    text.clear()
            case RawBytes(piece, final):
                data += piece
                if final:
                    await stream.send_bytes(bytes(data))
                    data.clear()
            case RawClose(code, _):
                await stream.close(code)
            case _:
                pass


async def _serve_raw(stream: ServerStream) -> None:
    await echo_raw(await stream.accept_raw())


async def _serve_session(stream: ServerStream) -> None:
    driver = stream._driver
    driver.wire.accept(cast(ServerSession, EchoSession(stream.correlation_id)), stream.now())
    await driver.flush(patient=False)
    await driver.wait_finished()


async def _call_raw(url: str) -> None:
    async with connect_raw(url) as stream:
        await echo_raw(stream)


async def call_session(url: str, session: EchoSession) -> None:
    """Connect, and carry the session until the connection is over.

    Raises:
        OSError: If there is nobody to connect to.
        ConnectError: If there is no upgrade.
    """
    target = Target.parse(url)
    transport = _Transport(await anyio.connect_tcp(target.host, target.port))
    wire = ClientConnection(
        transport.now(), target, None, make_session=lambda now, correlation_id: cast(ClientSession, session)
    )
    driver = Driver(wire, transport, send_timeout=60.0)
    try:
        await driver.flush(patient=False)
        await driver.wait_finished()
    finally:
        await transport.aclose()
    if wire.session is None:
        raise ConnectError("the upgrade failed")


@attrs.frozen
class Stack:
    """One way through the wire layer.

    Attributes:
        serve: Handles a connection that a client made.
        call: Connects to a URL, and serves what comes from there until the connection is over.
    """

    serve: Handler
    call: Callable[[str], Awaitable[None]]


STACKS: Mapping[str, Stack] = MappingProxyType(
    {
        "raw": Stack(_serve_raw, _call_raw),
        "session": Stack(_serve_session, lambda url: call_session(url, EchoSession())),
    }
)

#: Is told which stack begins another case.
Watch: TypeAlias = Callable[[str], None]


def watched(name: str, watch: Watch) -> Handler:
    """The handler of a stack, which tells of each connection."""

    async def handle(stream: ServerStream) -> None:
        watch(name)
        await STACKS[name].serve(stream)

    return handle
