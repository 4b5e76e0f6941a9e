"""Frames that wait to be sent, with a bound on those that a peer alone decides about."""

from __future__ import annotations

from collections.abc import Iterable

#: How many pongs wait to be sent before later ones take the place of the last.
MAX_PONGS = 1024


class Outbox:
    """What waits to be sent on one WebSocket, oldest first.

    A peer that takes no bytes can send pings all the same. RFC 6455 wants only the most recent one answered then
    (section 5.5.3), so a flood of them does not pile up here.
    """

    def __init__(self) -> None:
        self._frames: list[bytes | bytearray] = []
        self._pongs = 0
        self._last_pong = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._frames)

    def append(self, frame: bytes | bytearray) -> None:
        """Add a frame, or any bytes."""
        self._frames.append(frame)

    def extend(self, pieces: Iterable[bytes | bytearray]) -> None:
        """Add a frame that comes in pieces."""
        self._frames.extend(pieces)

    def answer_ping(self, pong: bytes) -> None:
        """Add a pong, or put it in the place of the last one where there are many."""
        if self._pongs >= MAX_PONGS:
            self._frames[self._last_pong] = pong
            return
        self._pongs += 1
        self._last_pong = len(self._frames)
        self._frames.append(pong)

    def drain(self) -> bytes:
        """Take all that waits."""
        data = b"".join(self._frames)
        self._frames.clear()
        self._pongs = 0
        return data
