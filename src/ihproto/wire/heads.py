"""The heads of WebSocket frames (RFC 6455, section 5.2), read where only their sizes matter."""

from __future__ import annotations

#: Bits of the first byte, and of the second.
FINAL = 0x80
OPCODE = 0x0F
MASKED = 0x80
#: The size of a masking key, in bytes.
KEY_SIZE = 4


def head_size(head: bytes) -> int:
    """The size of a frame's head, as far as its first bytes tell, in bytes."""
    if len(head) < 2:
        return 2
    extended = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
    return 2 + extended + (KEY_SIZE if head[1] & MASKED else 0)


def payload_size(head: bytes) -> int:
    """What the head of a frame says about the rest of it, in bytes."""
    size = head[1] & 0x7F
    return size if size < 126 else int.from_bytes(head[2 : 4 if size == 126 else 10], "big")


def masked_head(opcode: int, size: int, key: bytes, *, final: bool) -> bytes:
    """Write the head of a masked frame.

    Args:
        opcode: What the frame is.
        size: The size of its payload, in bytes.
        key: The masking key, four bytes.
        final: Whether the message ends with it.
    """
    first = bytes([FINAL | opcode if final else opcode])
    if size < 126:
        return first + bytes([MASKED | size]) + key
    if size < 2**16:
        return first + bytes([MASKED | 126]) + size.to_bytes(2, "big") + key
    return first + bytes([MASKED | 127]) + size.to_bytes(8, "big") + key
