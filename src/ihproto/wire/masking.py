"""Masking (RFC 6455, section 5.3): with numpy, where it is installed (`ihproto[fast]`), and without."""

from __future__ import annotations

import functools
from typing import Any

#: Below this it is not worth while to have numpy do it, in bytes.
_FEW = 1024


class Mask:
    """Masks, or unmasks, the payload of one frame, piece by piece.

    Args:
        key: The masking key, four bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def apply(self, data: bytes | memoryview) -> bytearray:
        """Mask the next piece; the piece itself stays as it is."""
        masked = bytearray(data)
        numpy = _numpy() if len(masked) >= _FEW else None
        if numpy is None:
            for place, octet in enumerate(self._key):
                masked[place::4] = masked[place::4].translate(_table(octet))
        else:
            whole = len(masked) & ~3
            words = numpy.frombuffer(masked, numpy.uint32, whole // 4)
            words ^= numpy.frombuffer(self._key, numpy.uint32)
            for place in range(whole, len(masked)):
                masked[place] ^= self._key[place - whole]
        turn = len(masked) % 4
        self._key = self._key[turn:] + self._key[:turn]
        return masked


def prepare() -> None:
    """Import what masks, so that nobody waits for it in the middle of a segment."""
    _numpy()


@functools.cache
def _numpy() -> Any:
    """The library, None where it is not installed."""
    try:
        import numpy
    except ModuleNotFoundError:
        return None
    return numpy


@functools.cache
def _table(octet: int) -> bytes:
    """What becomes of every octet when it is masked with this one."""
    return bytes(other ^ octet for other in range(256))
