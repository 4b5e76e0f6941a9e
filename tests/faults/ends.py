"""The two roles under test, and how each of them ended."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from adapters.faces import tasks
from anyio.lowlevel import checkpoint
from faults.line import IDLE, End, Fault, Line, Switchboard, TrioEnd, TrioSwitchboard
from faults.meetings import FACES, SESSION, Meeting, server_tls
from wire.raw import KEY

import ihproto.anyio
import ihproto.trio
from ihproto import NominalScanner, SessionClosed, WindowAnalysis, WindowReady
from ihproto._adapter import Transport
from ihproto.anyio import HttpExchange, ServeOptions, ServerStream, StreamError
from ihproto.codec import encode_json
from ihproto.tokens import STREAM_SCOPE, UPLOAD_SCOPE, AccessToken
from ihproto.uploads import AnalysisResult
from ihproto.wire import RawBytes, RawClose, RawEvent, RawText
from ihproto_mock import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, KeyPair, LogEntry, MockServer

#: What a server says that answers every request the same.
ANSWER = encode_json(AccessToken("x", "Bearer", 900, STREAM_SCOPE))[:-1] + b"," + encode_json(AnalysisResult())[1:]
UNTYPED = "the iteration ended without SessionClosed"

WHOLE = Fault()

#: What the mock server logs at the end of a connection without a session; garbage may ask for plain HTTP.
_ENDINGS = (
    "no upgrade",
    "upgrade refused",
    "request answered",
    "request refused",
    "request broken off",
    "file analysed",
)


@dataclass(frozen=True)
class Ended:
    """How one role came out of a case.

    Attributes:
        how: A typed error, or how the session or the upgrade ended.
        after: How long after the fault it had let go of the connection, in seconds; None if it never did.
        wrong: What must not have been, empty for nothing.
    """

    how: str
    after: float | None
    wrong: str = ""


class _Alarms(logging.Handler):
    """Remembers what was logged as an error: a fault of a peer is none of ours."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(self.format(record))

    def take(self) -> str:
        heard = "; ".join(self.heard)
        self.heard.clear()
        return heard


def transport(face: str, end: End) -> Transport:
    """The end of a line, as an adapter takes it."""
    return ihproto.trio._Transport(TrioEnd(end)) if face == "trio" else ihproto.anyio._Transport(end)


class Told:
    """What a server is told of the ends of its connections.

    Attributes:
        ends: How connections ended, oldest first.
    """

    def __init__(self) -> None:
        self.ends: list[str] = []
        self._news = anyio.Event()

    def tell(self, how: str) -> None:
        self.ends.append(how)
        self._news.set()
        self._news = anyio.Event()

    async def handle(self, stream: ServerStream) -> None:
        """Accept everybody, find nothing in any window, and tell how the session was closed."""
        await stream.accept(scanner=NominalScanner())
        async for event in stream:
            if isinstance(event, WindowReady) and stream.session.wants(event.window):
                await stream.send_analysis(WindowAnalysis(event.window))
            elif isinstance(event, SessionClosed):
                self.tell(f"closed {event.code}")

    async def handle_raw(self, stream: ServerStream) -> None:
        """Send everything back, answer a close, and give up a client that is silent for too long."""
        raw = await stream.accept_raw()
        last: RawEvent | None = None
        with anyio.move_on_after(IDLE), contextlib.suppress(StreamError):
            async for last in raw:
                match last:
                    case RawText(text, final):
                        await raw.send_text(text, final=final)
                    case RawBytes(data, final):
                        await raw.send_bytes(data, final=final)
                    case RawClose(code, _):
                        await raw.close(code)
        self.tell(type(last).__name__)

    async def answer(self, exchange: HttpExchange) -> None:
        """Hear a plain request to its end, and answer it."""
        try:
            async for _ in exchange:
                pass
        except StreamError:
            self.tell("request broken off")
            raise
        await exchange.respond(200, ANSWER)
        self.tell("request answered")

    def log(self, entry: LogEntry) -> None:
        """Take an entry of the mock server."""
        if entry.event == "session closed":
            self.tell(f"closed {entry.fields['close_code']}")
        elif entry.event in _ENDINGS:
            self.tell(entry.event)

    def fail(self, connection: str, what: str) -> None:
        """Take the failure of an upgrade."""
        self.tell("no upgrade")

    async def take(self) -> str:
        """Wait until there is something, and forget it."""
        while not self.ends:
            await self._news.wait()
        how = " and ".join(self.ends)
        self.ends.clear()
        return how


def mock_server(told: Told, **options: Any) -> MockServer:
    """A mock server that takes any bytes for three seconds of video."""
    return MockServer(
        keys={KEY: [STREAM_SCOPE, UPLOAD_SCOPE]},
        key_pairs=[KeyPair(DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, frozenset({STREAM_SCOPE}))],
        make_scanner=lambda contract: NominalScanner(3.0),
        log=told.log,
        **options,
    )


class House:
    """A server that takes lines.

    Attributes:
        told: How connections ended, as the server was told.
    """

    def __init__(self, face: str, role: str, meeting: Meeting = SESSION) -> None:
        self.face = face
        self.role = role
        self.meeting = meeting
        self._told = Told()
        self.told = self._told.ends
        self._board = Switchboard()
        self._alarms = _Alarms()
        self._tasks = 0

    def _serve(self) -> AbstractAsyncContextManager[Any]:
        told = self._told
        options = ServeOptions(ssl_context=server_tls() if self.meeting.tls else None)
        if self.role == "mock server":
            return mock_server(told, listener=self._board, **options)
        options["on_failed"] = told.fail
        if self.role == "http server":
            options["on_request"] = told.answer
        handler = told.handle_raw if self.role == "raw server" else told.handle
        if self.face == "trio":
            return ihproto.trio.serve(handler, listener=TrioSwitchboard(self._board), **options)
        return ihproto.anyio.serve(handler, listener=self._board, **options)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[House]:
        """Listen."""
        logging.getLogger().addHandler(self._alarms)
        try:
            async with self._serve():
                self._tasks = await self._quiet()
                yield self
        finally:
            logging.getLogger().removeHandler(self._alarms)

    def connect(self, fault: Fault = WHOLE) -> Line:
        """A line to the server."""
        line = Line(fault)
        self._board.connect(line.server)
        return line

    async def _quiet(self) -> int:
        """How many tasks there are once those that are about to end have."""
        for _ in range(20):
            await checkpoint()
        return tasks(FACES[self.face])

    async def ending(self, line: Line) -> Ended:
        """Wait until the server has let go of a line; how it ended, and what it left behind."""
        await line.server.wait_closed()
        left = await self._quiet() - self._tasks
        alarms = self._alarms.take()
        wrong = [alarms] if alarms else []
        if left > 0:
            wrong.append(f"{left} tasks left")
        how = " and ".join(self.told) or "told nothing"
        if len(self.told) != 1:
            wrong.append(f"the server was told of {len(self.told)} ends")
        self.told.clear()
        return Ended(how, since(line, line.server), "; ".join(wrong))

    async def meet(self, fault: Fault) -> tuple[Line, Ended, Ended]:
        """A client of ours meets the server, under a fault; how client and server ended."""
        line = self.connect(fault)
        how = await self.meeting.client(self.face, line.client)
        ours = Ended(how, since(line, line.client), "" if typed(how) else UNTYPED)
        theirs = await self.ending(line)
        return line, ours, theirs


def typed(how: str) -> bool:
    """Whether a client ended as it is documented to."""
    return not how.endswith("without SessionClosed")


def since(line: Line, end: End) -> float | None:
    """How long after the fault an end was closed, in seconds."""
    if line.struck_at is None or end.closed_at is None:
        return None
    return max(0.0, end.closed_at - line.struck_at)
