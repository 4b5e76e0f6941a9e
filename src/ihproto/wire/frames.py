"""RFC 6455 frames under a session of either role, on wsproto; media takes a shorter way (`ihproto.wire.bypass`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import wsproto.events as ws
from wsproto.connection import Connection, ConnectionState

from ihproto.errors import Side
from ihproto.events import BytesToSend, CloseToSend, TextToSend, ToSend
from ihproto.wire.bypass import Receiver, Sender
from ihproto.wire.outbox import Outbox
from ihproto.wire.raw import RawBytes, RawClose, RawEvent, RawLost, RawText
from ihproto.wire.tap import Tap

_MESSAGE_TOO_BIG = 1009
#: How many pieces of a text are kept before they are put together.
_PIECES = 256
#: How many pings may bring no sign of life before the connection is lost.
MAX_UNANSWERED = 2


class Carried(Protocol):
    """What both sessions have in common."""

    def receive_text(self, text: str, now: float) -> None:
        """Take a text message."""
        ...

    def receive_bytes(self, data: bytes, now: float, *, final: bool = True) -> None:
        """Take a piece of a binary message."""
        ...

    def receive_close(self, code: int, reason: str = "") -> None:
        """Take a close frame."""
        ...

    def receive_lost(self, reason: str = "") -> None:
        """Take note that the connection is gone."""
        ...

    def to_send(self) -> list[ToSend]:
        """Drain what must be sent."""
        ...

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        ...

    def handle_timeout(self, now: float) -> None:
        """Act on the time."""
        ...


class Frames:
    """Carries a session over the frames of one WebSocket.

    Text is put together, up to a limit; binary messages go through in the pieces in which they arrive. Pings are
    answered, closes are answered, and a peer that breaks the framing is closed with the code of the RFC.

    Args:
        connection: The WebSocket, just opened.
        session: The session to carry.
        max_text_bytes: The longest text that is put together, in bytes of UTF-8; it may be exceeded by a factor of
            four at most, since characters are counted.
        refuse_text: Called in place of `receive_text` for a text that is longer; None to close the connection.
        close_timeout: How long to wait for the answer to a close frame, in seconds.
        ping_interval: After how long a silence to ask the peer for a sign of life, in seconds; when `MAX_UNANSWERED`
            pings have brought none, the connection is lost. None to wait for ever.
        tap: Told everything that passes, before the session acts on it; None for nobody.
    """

    def __init__(
        self,
        connection: Connection,
        session: Carried,
        *,
        max_text_bytes: int,
        close_timeout: float,
        ping_interval: float | None = None,
        refuse_text: _RefuseText | None = None,
        tap: Tap | None = None,
    ) -> None:
        self._ws = connection
        self._tap = tap
        self._side, self._peer = (Side.CLIENT, Side.SERVER) if connection.client else (Side.SERVER, Side.CLIENT)
        # Only what a client sends is masked, and only that is large.
        self._receiver = None if connection.client else Receiver(connection)
        self._sender = Sender() if connection.client else None
        self._session = session
        self._max_text = max_text_bytes
        self._refuse_text = refuse_text
        self._close_timeout = close_timeout
        self._ping_interval = ping_interval
        self._ping_at: float | None = None
        self._unanswered = 0
        self._text = _Text()
        self._text_size = 0
        self._out = Outbox()
        self._deadline: float | None = None
        self.finished = False

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes; what they say goes to the session, which may raise."""
        if self.finished:
            return
        if self._ping_interval is not None:
            self._ping_at = now + self._ping_interval
            self._unanswered = 0
        for event in self._events(data):
            match event:
                case ws.TextMessage():
                    if self._tap is not None:
                        self._tap(self._peer, RawText(event.data, event.message_finished), now)
                    self._receive_text(event, now)
                case ws.BytesMessage():
                    data = bytes(event.data)
                    if self._tap is not None:
                        self._tap(self._peer, RawBytes(data, event.message_finished), now)
                    self._session.receive_bytes(data, now, final=event.message_finished)
                case ws.Ping():
                    if self._ws.state is ConnectionState.OPEN:
                        self._out.answer_ping(self._ws.send(event.response()))
                case ws.CloseConnection():
                    self._receive_close(event, now)
                case _:
                    pass  # a pong, which nobody asked for
            self._collect(now)
            if self.finished:
                return

    def _events(self, data: bytes) -> Iterator[ws.Event]:
        if self._receiver is not None:
            return self._receiver.receive(data)
        self._ws.receive_data(data)
        return self._ws.events()

    def _collect(self, now: float) -> None:
        """Turn what the session wants sent into frames."""
        for item in self._session.to_send():
            if self._ws.state is not ConnectionState.OPEN:
                return
            match item:
                case TextToSend(text):
                    if self._tap is not None:
                        self._tap(self._side, RawText(text), now)
                    self._out.append(self._ws.send(ws.TextMessage(data=text)))
                case BytesToSend(data, final):
                    if self._tap is not None:
                        self._tap(self._side, RawBytes(data, final), now)
                    if self._sender is not None:
                        self._out.extend(self._sender.send(data, final=final))
                    else:
                        # No server of this protocol sends any, so nothing is done for its speed.
                        self._out.append(self._ws.send(ws.BytesMessage(data=data, message_finished=final)))
                case CloseToSend(code, reason):
                    self._pass(self._side, RawClose(code, reason), now)
                    self._out.append(self._ws.send(ws.CloseConnection(code=code, reason=reason)))
                    self._deadline = now + self._close_timeout
                    self._ping_interval = self._ping_at = None

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        moments = (self._deadline, self._ping_at, self._session.next_timeout())
        return min((moment for moment in moments if moment is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        """Act on the time: give up a peer that does not answer, or let the session act, which may raise."""
        if self._deadline is not None and now >= self._deadline:
            self._give_up("the close was not answered", now)
        elif self._ping_interval is not None and self._ping_at is not None and now >= self._ping_at:
            self._ask(now, self._ping_interval)
        else:
            self._session.handle_timeout(now)

    def _ask(self, now: float, interval: float) -> None:
        """Ask a silent peer for a sign of life; more than once, since nobody may have been there to hear its answer."""
        if self._unanswered >= MAX_UNANSWERED:
            self._give_up(f"{self._unanswered} pings in a row were not answered", now)
            return
        self._unanswered += 1
        self._ping_at = now + interval
        self._out.append(self._ws.send(ws.Ping()))

    def _give_up(self, reason: str, now: float) -> None:
        self._pass(self._peer, RawLost(reason), now)
        self.lose(reason)

    def lose(self, reason: str = "") -> None:
        """Take note that the connection is gone."""
        if not self.finished:
            self._finish()
            self._session.receive_lost(reason)

    def data_to_send(self, now: float) -> bytes:
        """Drain the bytes to send."""
        self._collect(now)
        return self._out.drain()

    def _receive_text(self, event: ws.TextMessage, now: float) -> None:
        self._text_size += len(event.data)
        if self._text_size <= self._max_text:
            self._text.append(event.data)
        elif self._refuse_text is None:
            self._fail(_MESSAGE_TOO_BIG, f"a text message is longer than {self._max_text} bytes", now)
            return
        else:
            self._text.clear()
        if not event.message_finished:
            return
        text, size = self._text.join(), self._text_size
        self._text.clear()
        self._text_size = 0
        if size > self._max_text and self._refuse_text is not None:
            self._refuse_text(now)
        else:
            self._session.receive_text(text, now)

    def _receive_close(self, event: ws.CloseConnection, now: float) -> None:
        close = RawClose(int(event.code), event.reason or "")
        if self._ws.state is ConnectionState.REMOTE_CLOSING:
            self._pass(self._peer, close, now)
            self._pass(self._side, close, now)
            self._out.append(self._ws.send(event.response()))
        elif self._ws.state is ConnectionState.CLOSED:
            self._pass(self._peer, close, now)
        else:
            # wsproto reports broken framing as a close that leaves the state as it was.
            self._fail(event.code, event.reason or "the framing is broken", now)
            return
        self._finish()
        self._session.receive_close(int(event.code), event.reason or "")

    def _fail(self, code: int, reason: str, now: float) -> None:
        """Fail the connection (RFC 6455, section 7.1.7): say why, and wait for nothing."""
        self._pass(self._peer, RawLost(reason), now)
        if self._ws.state is ConnectionState.OPEN:
            self._pass(self._side, RawClose(int(code), reason), now)
            self._out.append(self._ws.send(ws.CloseConnection(code=code, reason=reason)))
        self._finish()
        self._session.receive_lost(f"closed with {int(code)}: {reason}")

    def _pass(self, sender: Side, event: RawEvent, now: float) -> None:
        if self._tap is not None:
            self._tap(sender, event, now)

    def _finish(self) -> None:
        self.finished = True
        self._deadline = None


class _Text:
    """A text that comes in pieces, which may be of one character each: a string for each would take 80 bytes."""

    def __init__(self) -> None:
        self._joined: list[str] = []
        self._pieces: list[str] = []

    def append(self, piece: str) -> None:
        if piece:
            self._pieces.append(piece)
        if len(self._pieces) >= _PIECES:
            self._joined.append("".join(self._pieces))
            self._pieces.clear()

    def join(self) -> str:
        return "".join(self._joined) + "".join(self._pieces)

    def clear(self) -> None:
        self._joined.clear()
        self._pieces.clear()


class _RefuseText(Protocol):
    def __call__(self, now: float, /) -> None: ...
