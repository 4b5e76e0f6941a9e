"""One session, as the judging server plays it: a conforming server inside, and what a scenario makes of its words.

Three things go on at once: the reader takes what the client sends, the writer says what is in the queue, and the
scenario decides what gets into it. Nothing that the client sends is refused before it is on record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import anyio
import attrs
import msgspec

from ihproto import (
    CloseToSend,
    EngagementReport,
    QualityReport,
    Revision,
    SegmentScanner,
    ServerSession,
    ServerSettings,
    Side,
    SignalReport,
    TextToSend,
    Window,
    WindowAnalysis,
    WindowReady,
)
from ihproto.anyio import RawStream, StreamError
from ihproto.automata import ServerState
from ihproto.wire import RawBytes, RawClose, RawEvent, RawLost, RawText
from ihproto_conformance.client.visits import Visit
from ihproto_conformance.observer import Observer
from ihproto_conformance.trace import Binary

#: How long the answer to the client's last word is held back, in seconds: whatever it still sends comes too late. That
#: answer is session.ended for session.close (CLS-2), and a close frame for one (CLS-3).
LISTEN_AFTER_CLOSE = 0.25
#: How long a scenario waits for the client's media before it goes on without it, in seconds.
PATIENCE = 3.0
_ENDED = '"session.ended"'


@attrs.frozen
class Pause:
    """Nothing is said for so many seconds."""

    seconds: float


@attrs.frozen
class Pieces:
    """One text message in fragments, with a ping between the first two.

    Attributes:
        pieces: The fragments.
        ping: The payload of the ping.
    """

    pieces: tuple[str, ...] = attrs.field(repr=False)
    ping: bytes


Word: TypeAlias = TextToSend | CloseToSend | Pause | Pieces
Shape: TypeAlias = Callable[[str], Iterable[Word]]


def _as_it_is(text: str) -> Iterable[Word]:
    return [TextToSend(text)]


class Stage:
    """One session with the client.

    Args:
        raw: The connection.
        visit: Where it is put on record.
        observer: What watches it.
        revision: The revision that is spoken.
        correlation_id: The id of the connection (HS-9).
        settings: What the server promises.
        scanner: What the server makes of segments.

    Attributes:
        raw: The connection.
        number: The number of the connection in the scenario, from 1.
        session: The conforming server.
        shape: Makes of a text of the server what is said.
        analysing: Whether windows are analysed as soon as they can be.
        refuses_config: Whether a config is answered by `ih6001`.
        signal_type: The type of the signal that is seen.
        rationale: The words about that signal.
    """

    def __init__(
        self,
        raw: RawStream,
        visit: Visit,
        observer: Observer,
        *,
        revision: Revision,
        correlation_id: str,
        settings: ServerSettings,
        scanner: SegmentScanner,
    ) -> None:
        self.raw = raw
        self.number = visit.number
        self.revision = revision
        self.session = ServerSession(
            raw.now(),
            correlation_id=correlation_id,
            started_at=datetime.now(UTC),
            settings=settings,
            revision=revision,
            query=visit.request.query,
            scanner=scanner,
        )
        self.shape: Shape = _as_it_is
        self.analysing = True
        self.refuses_config = False
        self.signal_type = "agreement"
        self.rationale: str | None = None
        self._visit = visit
        self._observer = observer
        self._held: list[str | RawBytes] = []
        self._text: list[str] = []
        self._queue: deque[Word] = deque()
        self._changed = anyio.Event()
        self._reading = anyio.Event()
        self._reading.set()

    # -- what a scenario does -------------------------------------------------------------------------

    def open(self) -> None:
        """Establish the session, and take what the client has sent so far."""
        self.session.open(self.raw.now())
        held, self._held = self._held, []
        self.serve()
        for item in held:
            self._give(item)
        self.serve()

    def say(self, *words: Word) -> None:
        """Put words into the queue."""
        self._queue.extend(words)
        self._notify()

    def envelope(self, type_: str, data: object) -> str:
        """The text of an envelope, of whatever type (ENV-1)."""
        fields = {
            "type": type_,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "correlation_id": self.session.correlation_id,
            "data": data,
        }
        return msgspec.json.encode(fields).decode()

    def error(self, code: str) -> None:
        """Say an error, with the close that it announces."""
        if self.session.established:
            self.session.send_error(code, self.raw.now())
            self.serve()

    def close(self, code: int, reason: str) -> None:
        """Close at once (CLS-3)."""
        if self.session.state not in (ServerState.CLOSING, ServerState.CLOSED):
            self.session.close(self.raw.now(), code, reason)
            self.serve()

    def cut(self) -> None:
        """Drop the connection without a word."""
        self._observer.lost(Side.SERVER, "the judging server cut the connection", self.raw.now())
        self.raw.abort()

    def analyse(self, window: Window) -> None:
        """Say what there is to see in the oldest outstanding window."""
        if not self.session.wants(window):
            return
        report = SignalReport(
            self.signal_type,
            window.start,
            window.end,
            # Every other window changes what is known of the signal, so that it is updated.
            probability=("low", "high")[window.index % 2],
            rationale=self.rationale,
        )
        signals = [report] if window.index % 3 != 2 else []
        state = ("neutral", "engaged")[window.index // 2 % 2]
        quality = QualityReport(60, 55, 70, 65, 50)
        analysis = WindowAnalysis(window, signals, EngagementReport(state, window.start), quality)
        self.session.send_analysis(analysis, self.raw.now())
        self.serve()

    def rest(self) -> None:
        """Read nothing more that the client sends."""
        self._reading = anyio.Event()

    def listen(self) -> None:
        """Read on."""
        self._reading.set()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait until something has happened."""
        while not happened():
            await self._changed.wait()

    async def first_segment(self) -> None:
        """Wait until a segment has come whole, but not for ever."""
        with anyio.move_on_after(PATIENCE):
            await self.until(lambda: any(True for _ in self._visit.of(Side.CLIENT, Binary)))

    # -- playing --------------------------------------------------------------------------------------

    async def play(self, script: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
        """Play to the end of the connection.

        Args:
            script: What the server does, from the opening of the session on.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
            tasks.start_soon(script, self)
            await self._read()
            tasks.cancel_scope.cancel()

    def serve(self) -> None:
        """Do what the session wants: analyse windows, and say what it has to say."""
        for event in self.session.events():
            if isinstance(event, WindowReady) and self.analysing:
                self.analyse(event.window)
        for item in self.session.to_send():
            if isinstance(item, TextToSend):
                if _ENDED in item.text:
                    self.say(Pause(LISTEN_AFTER_CLOSE))
                self.say(*self.shape(item.text))
            elif isinstance(item, CloseToSend):
                self.say(item)
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    # -- reading --------------------------------------------------------------------------------------

    async def _read(self) -> None:
        async for event in self.raw:
            await self._reading.wait()
            self._take(event)

    def _take(self, event: RawEvent) -> None:
        now = self.raw.now()
        if isinstance(event, RawClose | RawLost) and self._observer.monitor is not None:
            self._visit.unanswered = self._observer.monitor.unanswered
        self._observer.take(Side.CLIENT, event, now)
        match event:
            case RawText(text, final):
                self._text.append(text)
                if final:
                    whole = "".join(self._text)
                    self._text.clear()
                    self._give(whole)
            case RawBytes():
                self._give(event)
            case RawClose(code):
                self.session.receive_close(code)
                if not self.raw.closed:
                    self._queue.clear()
                    self.say(Pause(LISTEN_AFTER_CLOSE), CloseToSend(code))
            case RawLost(reason):
                self.session.receive_lost(reason)
            case _:
                pass  # what came after the close frame is on record
        self.serve()

    def _give(self, item: str | RawBytes) -> None:
        now = self.raw.now()
        if self.session.state is ServerState.OPENING:
            self._held.append(item)
        elif isinstance(item, RawBytes):
            self.session.receive_bytes(item.data, now, final=item.final)
        elif self.refuses_config and self.session.established and '"session.close"' not in item:
            self.session.send_error("ih6001", now, message="this server takes no config in this scenario")
        else:
            self.session.receive_text(item, now)

    # -- writing --------------------------------------------------------------------------------------

    async def _write(self) -> None:
        while True:
            await self._write_queue()
            await self._changed.wait()

    async def _write_queue(self) -> None:
        try:
            while self._queue:
                await self._speak(self._queue.popleft())
        except StreamError:
            # The connection is gone, as the reader will see.
            self._queue.clear()

    async def _speak(self, word: Word) -> None:
        match word:
            case Pause(seconds):
                await anyio.sleep(seconds)
            case TextToSend(text):
                self._observe(RawText(text))
                await self.raw.send_text(text)
            case Pieces():
                await self._speak_pieces(word)
            case CloseToSend(code, reason):
                if not self.raw.closed:
                    self._observe(RawClose(code, reason))
                await self.raw.close(code, reason)

    async def _speak_pieces(self, word: Pieces) -> None:
        self._observe(RawText("".join(word.pieces)))
        for index, piece in enumerate(word.pieces):
            await self.raw.send_text(piece, final=index == len(word.pieces) - 1)
            if index == 0 and not self.raw.peer_closed:
                self._visit.pinged = word.ping
                await self.raw.send_verbatim(bytes([0x89, len(word.ping)]) + word.ping)

    def _observe(self, event: RawEvent) -> None:
        if not self.raw.closed:
            self._observer.take(Side.SERVER, event, self.raw.now())
