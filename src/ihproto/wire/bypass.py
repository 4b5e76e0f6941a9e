"""What is in large binary frames goes past wsproto, which copies it several times over and masks it slowly.

wsproto still judges every frame: of those it gets the head, and no payload.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import wsproto.events as ws
from wsproto.connection import Connection
from wsproto.frame_protocol import Opcode

from ihproto.wire.heads import FINAL, KEY_SIZE, MASKED, OPCODE, head_size, masked_head, payload_size
from ihproto.wire.masking import Mask, prepare

#: Frames below this take the ordinary way, in bytes.
_LARGE = 1024
#: How much is masked at once, in bytes: little enough to stay in the caches of a processor.
_BLOCK = 64 * 1024


class Receiver:
    """Takes the frames of a client.

    Args:
        connection: The WebSocket, server's end, which has received nothing yet; nobody else may receive with it.
    """

    def __init__(self, connection: Connection) -> None:
        self._ws = connection
        self._head = b""
        self._left = 0
        self._mask: Mask | None = None
        self._final = False
        self._binary = False
        prepare()

    def receive(self, data: bytes) -> Iterator[ws.Event]:
        """Take bytes, and hand out what they say, in pieces."""
        view = memoryview(data)
        while view:
            if self._left:
                size = min(self._left, _BLOCK)
                piece, view = view[:size], view[size:]
                self._left -= len(piece)
                yield from self._receive_payload(piece)
                continue
            missing = head_size(self._head) - len(self._head)
            self._head += view[:missing]
            view = view[missing:]
            if len(self._head) >= 2:
                yield from self._receive_head()

    def _receive_head(self) -> Iterator[ws.Event]:
        """Look at a head, which may not be whole; what is no matter of ours goes on as it comes."""
        head = self._head
        missing = head_size(head) - len(head)
        if missing > (KEY_SIZE if head[1] & MASKED else 0):
            return
        size = payload_size(head)
        opcode = head[0] & OPCODE
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            self._binary = opcode == Opcode.BINARY
        if not (self._binary and opcode in (Opcode.BINARY, Opcode.CONTINUATION) and _is_large(head, size)):
            self._head, self._mask, self._left = b"", None, missing + size
            yield from self._pass(head)
        elif not missing:
            key = head[-KEY_SIZE:]
            self._head, self._mask, self._left = b"", Mask(key), size
            self._final = bool(head[0] & FINAL)
            for event in self._pass(bytes([head[0], MASKED]) + key):
                if not isinstance(event, ws.BytesMessage):
                    yield event

    def _receive_payload(self, piece: memoryview) -> Iterator[ws.Event]:
        if self._mask is None:
            yield from self._pass(bytes(piece))
            return
        ended = not self._left
        yield ws.BytesMessage(self._mask.apply(piece), frame_finished=ended, message_finished=ended and self._final)

    def _pass(self, data: bytes) -> Iterator[ws.Event]:
        self._ws.receive_data(data)
        return self._ws.events()


def _is_large(head: bytes, size: int) -> bool:
    """Whether a frame takes the short way; one whose size is written in a wrong way does not."""
    if not head[1] & MASKED:
        return False
    return _LARGE <= size < 2**16 if head[1] & 0x7F == 126 else 2**16 <= size < 2**63


class Sender:
    """Writes the binary messages of a client, which sends no text between the pieces of one."""

    def __init__(self) -> None:
        self._begun = False
        prepare()

    def send(self, data: bytes, *, final: bool) -> list[bytes | bytearray]:
        """Write a message, or the next piece of one, as a frame; returns it in pieces.

        Args:
            data: The piece.
            final: Whether the message ends with it.
        """
        opcode = Opcode.CONTINUATION if self._begun else Opcode.BINARY
        self._begun = not final
        key = secrets.token_bytes(KEY_SIZE)
        mask = Mask(key)
        view = memoryview(data)
        blocks = [mask.apply(view[at : at + _BLOCK]) for at in range(0, len(view), _BLOCK)]
        return [masked_head(opcode, len(view), key, final=final), *blocks]
