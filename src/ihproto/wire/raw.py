"""Messages without a session: for whoever relays them, tries what the protocol forbids, or judges others.

`RawFrames` stands where frames and a session stand otherwise, and has no opinion: it hands out what arrived, piece by
piece, and sends what it is told, whatever the other direction has come to. Only pings are answered by itself.
`ClientConnection` has one if it is made with `raw`, `ServerConnection.accept_raw` makes one.
"""

from __future__ import annotations

from collections import deque
from typing import TypeAlias

import attrs
import wsproto.events as ws
from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.frame_protocol import CloseReason, Opcode

from ihproto.wire.heads import OPCODE, head_size, payload_size
from ihproto.wire.outbox import Outbox


@attrs.frozen
class RawText:
    """A piece of a text message.

    Attributes:
        text: The piece.
        final: Whether the message ends with it.
    """

    text: str = attrs.field(repr=False)
    final: bool = True


@attrs.frozen
class RawBytes:
    """A piece of a binary message.

    Attributes:
        data: The piece.
        final: Whether the message ends with it.
    """

    data: bytes = attrs.field(repr=False)
    final: bool = True


@attrs.frozen
class RawClose:
    """A close frame; after it the peer says nothing any more (CLS-3).

    Attributes:
        code: The close code, 1005 when the frame held none.
        reason: Its text.
    """

    code: int
    reason: str = ""


@attrs.frozen
class RawSurplus:
    """Bytes that came after the peer's close frame.

    Attributes:
        size: How many, in bytes.
    """

    size: int


@attrs.frozen
class RawLost:
    """The connection is gone, and both close frames were not seen before.

    Attributes:
        reason: What is known about why.
    """

    reason: str


#: How many pongs are kept: whoever asks for one remembers which.
_PONGS = 64

RawEvent: TypeAlias = RawText | RawBytes | RawClose | RawSurplus | RawLost


class RawFrames:
    """The messages of one WebSocket, just opened.

    It is finished when the connection ends. After both close frames have passed, a server is finished, and a client
    waits for the end of the connection as RFC 6455 wants it (section 7.1.1), as long as `close_timeout` allows.

    Args:
        connection: The WebSocket, which has received nothing yet; it is only received with.
        close_timeout: How long after its own close frame to wait for the end, in seconds.

    Attributes:
        finished: Whether nothing more will come or go.
        peer_closed: Whether the peer has sent its close frame.
        pongs: The payloads of the last pongs of the peer, oldest first.
    """

    def __init__(self, connection: Connection, *, close_timeout: float) -> None:
        # One for each direction: otherwise the close of one would shut the mouth of the other.
        self._receiver = connection
        self._sender = Connection(ConnectionType.CLIENT if connection.client else ConnectionType.SERVER)
        self._bounds = _Bounds()
        self._lingers = connection.client
        self._close_timeout = close_timeout
        self._deadline: float | None = None
        self._closing = False
        self._events: deque[RawEvent] = deque()
        self._out = Outbox()
        self.finished = False
        self.peer_closed = False
        self.pongs: deque[bytes] = deque(maxlen=_PONGS)

    @property
    def closed(self) -> bool:
        """Whether this side has sent its close frame."""
        return self._sender.state is not ConnectionState.OPEN

    # -- to send --------------------------------------------------------------------------------------

    def send_text(self, text: str, *, final: bool = True) -> None:
        """Send a text message, or a piece of one; after `close` it goes nowhere.

        Args:
            text: The message, or its next piece.
            final: Whether the message ends with it.
        """
        if not self.closed:
            self._out.append(self._sender.send(ws.TextMessage(data=text, message_finished=final)))

    def send_bytes(self, data: bytes, *, final: bool = True) -> None:
        """Send a binary message, or a piece of one; after `close` it goes nowhere.

        Args:
            data: The message, or its next piece.
            final: Whether the message ends with it.
        """
        if not self.closed:
            self._out.append(self._sender.send(ws.BytesMessage(data=data, message_finished=final)))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame, or answer that of the peer.

        Args:
            code: The close code; 1005 for a frame without one.
            reason: Its text; it goes nowhere without a code.
        """
        if not self.closed:
            empty = code == CloseReason.NO_STATUS_RCVD
            frame = ws.CloseConnection(
                code=CloseReason.NO_STATUS_RCVD if empty else code, reason=None if empty else reason or None
            )
            self._out.append(self._sender.send(frame))

    def send_verbatim(self, data: bytes) -> None:
        """Send bytes that need not be frames, also after `close`."""
        self._out.append(data)

    def data_to_send(self, now: float) -> bytes:
        """Drain the bytes to send."""
        data = self._out.drain()
        if self.closed and not self._closing:
            self._closing = True
            self._deadline = now + self._close_timeout
        self._conclude()
        return data

    # -- what arrived ---------------------------------------------------------------------------------

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes."""
        if self.finished:
            return
        if self.peer_closed:
            if data:
                self._events.append(RawSurplus(len(data)))
            return
        end = self._bounds.end_of_close(data)
        self._receiver.receive_data(data)
        for event in self._receiver.events():
            match event:
                case ws.TextMessage():
                    self._events.append(RawText(event.data, event.message_finished))
                case ws.BytesMessage():
                    self._events.append(RawBytes(bytes(event.data), event.message_finished))
                case ws.Ping():
                    if not self.closed:
                        self._out.answer_ping(self._sender.send(event.response()))
                case ws.Pong():
                    self.pongs.append(bytes(event.payload))
                case ws.CloseConnection():
                    self._receive_close(event)
        if end < len(data) and not self.finished:
            self._events.append(RawSurplus(len(data) - end))

    def _receive_close(self, event: ws.CloseConnection) -> None:
        if self._receiver.state is ConnectionState.OPEN:
            # wsproto reports broken framing as a close that leaves the state as it was.
            self.lose(f"the framing is broken: {event.reason}")
            return
        self.peer_closed = True
        self._events.append(RawClose(int(event.code), event.reason or ""))
        self._conclude()

    def lose(self, reason: str = "") -> None:
        """Take note that the connection is gone."""
        if self.finished:
            return
        self.finished = True
        if not (self.closed and self.peer_closed):
            self._events.append(RawLost(reason))

    def _conclude(self) -> None:
        if self.closed and self.peer_closed and not self._lingers and not self._out:
            self.finished = True

    def events(self) -> list[RawEvent]:
        """Drain what arrived, oldest first."""
        events = list(self._events)
        self._events.clear()
        return events

    # -- time -----------------------------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        return None if self.finished else self._deadline

    def handle_timeout(self, now: float) -> None:
        """Act on the time: give the connection up when the end does not come."""
        if self._deadline is not None and now >= self._deadline:
            self.lose("the close was not answered")


class _Bounds:
    """Finds the end of the close frame in a stream of frames (RFC 6455, section 5.2).

    wsproto does not tell what came behind it in one piece with it.
    """

    def __init__(self) -> None:
        self._head = b""
        self._payload = 0

    def end_of_close(self, data: bytes) -> int:
        """How much of the next bytes belongs to the stream, up to the end of the close frame."""
        position = 0
        while position < len(data):
            if not self._payload:
                wanted = head_size(self._head) - len(self._head)
                self._head += data[position : position + wanted]
                position += wanted
                if len(self._head) < head_size(self._head):
                    continue
                self._payload = payload_size(self._head)
            taken = min(self._payload, max(0, len(data) - position))
            self._payload -= taken
            position += taken
            if not self._payload:
                closes, self._head = self._head[0] & OPCODE == Opcode.CLOSE, b""
                if closes:
                    break
        return min(position, len(data))
