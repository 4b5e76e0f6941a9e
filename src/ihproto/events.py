"""What a session tells its owner.

`events()` of a client session yields `Envelope` (see `ihproto.codec`), `Violated` and `SessionClosed`; `events()` of a
server session yields everything else here, `Violated` and `SessionClosed` included. What a session wants sent is
drained separately, as `TextToSend`, `BytesToSend` and `CloseToSend`.

Sizes are bytes, times are seconds of media since the session began.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from ihproto.codec import Envelope
from ihproto.errors import Violation
from ihproto.messages import Error, SessionConfig, SessionEnded


@attrs.frozen
class Window:
    """A stretch of media to be analysed as one (WIN-1).

    Attributes:
        index: Its number in the session, from 0.
        start: Where it begins, in media seconds.
        end: Where it ends, in media seconds.
        final: True for the remainder that is analysed when the session drains.
        segment: The number of the segment that it is, in revisions that report segment by segment (STS-1).
    """

    index: int
    start: float
    end: float
    final: bool = False
    segment: int | None = None


# -- both roles ---------------------------------------------------------------------------------


@attrs.frozen
class Violated:
    """The peer did not keep a clause, and the session went on.

    Attributes:
        violation: The clause, the place, and what was found.
        raw: The text it is about, exactly as it arrived; None when there was none.
    """

    violation: Violation
    raw: str | None = attrs.field(default=None, repr=False)


@attrs.frozen
class SessionClosed:
    """The session is over; nothing comes after this.

    Attributes:
        code: The WebSocket close code; 1006 when the connection was lost without a close frame, 1005 when the close
            frame held none.
        reason: The text of the close frame.
        ended: The `session.ended` of a graceful close, if there was one (CLS-1).
        error: The error that explains the close, if there was one (ERR-2).
    """

    code: int
    reason: str = ""
    ended: SessionEnded | None = None
    error: Error | None = None


# -- server -------------------------------------------------------------------------------------


@attrs.frozen
class ConfigApplied:
    """A config was accepted, is in force, and was acknowledged (CFG-2)."""

    config: SessionConfig


@attrs.frozen
class SegmentStarted:
    """The first bytes of a segment arrived.

    Attributes:
        number: Its number in the session, from 1 (SEG-1).
    """

    number: int


@attrs.frozen
class SegmentData:
    """A piece of a segment, for owners who asked for the bytes with `segment_data=True`.

    Attributes:
        number: The segment's number.
        data: The piece.
    """

    number: int
    data: bytes = attrs.field(repr=False)


@attrs.frozen
class SegmentAccepted:
    """A segment arrived whole and is part of the session's media.

    Attributes:
        number: The segment's number.
        size: Its size, in bytes.
        start: Where it begins, in media seconds (SEG-9).
        end: Where it ends, in media seconds.
    """

    number: int
    size: int
    start: float
    end: float


@attrs.frozen
class SegmentRefused:
    """A segment was refused, and the client told so; the session goes on (SEG-2).

    Attributes:
        number: The segment's number.
        error: What the client was told.
        clause_id: The clause that the segment did not keep.
    """

    number: int
    error: Error
    clause_id: str


@attrs.frozen
class WindowReady:
    """A window of media is complete: analyse it and give the result to `ServerSession.send_analysis`.

    Attributes:
        window: The stretch to analyse.
    """

    window: Window


@attrs.frozen
class CloseRequested:
    """The client asked for a graceful close; the session ends when no window is outstanding any more (CLS-1)."""


@attrs.frozen
class SessionExpired:
    """A timer of the contract ran out, and the session was closed (TMO-1, TMO-2).

    Attributes:
        error: What the client was told.
    """

    error: Error


# -- to send ------------------------------------------------------------------------------------


@attrs.frozen
class TextToSend:
    """Send this text as one text message."""

    text: str


@attrs.frozen
class BytesToSend:
    """Send this piece of a binary message.

    Attributes:
        data: The piece.
        final: Whether the message ends with it.
    """

    data: bytes = attrs.field(repr=False)
    final: bool = True


@attrs.frozen
class CloseToSend:
    """Send a close frame.

    Attributes:
        code: The WebSocket close code.
        reason: A text of at most 123 bytes in UTF-8.
    """

    code: int
    reason: str = ""


ClientEvent: TypeAlias = Envelope | Violated | SessionClosed
ServerEvent: TypeAlias = (
    ConfigApplied
    | SegmentStarted
    | SegmentData
    | SegmentAccepted
    | SegmentRefused
    | WindowReady
    | CloseRequested
    | SessionExpired
    | Violated
    | SessionClosed
)
ToSend: TypeAlias = TextToSend | BytesToSend | CloseToSend
