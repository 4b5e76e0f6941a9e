"""Where the bytes of an upload come from."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol, TypeAlias

from ihproto._adapter.library import Library

#: A file to upload: its bytes, its path, or its bytes in pieces.
File: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | AsyncIterable[bytes]

#: How much of a file is read at once, in bytes.
READ_SIZE = 256 * 1024


class Source(Protocol):
    """A file that is read from the beginning to the end."""

    @property
    def size(self) -> int:
        """How long it is, in bytes."""
        ...

    async def read(self) -> bytes:
        """The next piece, empty at the end."""
        ...


class _Memory:
    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        view = memoryview(data)
        self._view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        self._position = 0
        self.size = len(self._view)

    async def read(self) -> bytes:
        piece = bytes(self._view[self._position : self._position + READ_SIZE])
        self._position += len(piece)
        return piece


class _OnDisk:
    def __init__(self, library: Library, file: io.BufferedReader, size: int) -> None:
        self.size = size
        self._library = library
        self._file = file
        self._left = size

    async def read(self) -> bytes:
        # A file that grows meanwhile is as long as it was.
        wanted = min(READ_SIZE, self._left)
        piece = await self._library.in_thread(lambda: self._file.read(wanted))
        self._left -= len(piece)
        return piece


class _Pieces:
    def __init__(self, pieces: AsyncIterable[bytes], size: int) -> None:
        self.size = size
        self._pieces = aiter(pieces)

    async def read(self) -> bytes:
        async for piece in self._pieces:
            if piece:
                return piece
        return b""


@asynccontextmanager
async def open_source(library: Library, file: File, size: int | None) -> AsyncIterator[Source]:
    """Open a file for the time of an upload.

    Args:
        library: Brings the thread in which files are read.
        file: The file.
        size: How long it is, in bytes, where it comes in pieces; the length of others is known.

    Raises:
        OSError: If it cannot be opened.
        TypeError: If it comes in pieces and nobody says how long it is.
    """
    if isinstance(file, bytes | bytearray | memoryview):
        yield _Memory(file)
    elif isinstance(file, str | os.PathLike):
        path = Path(file)
        stream = await library.in_thread(lambda: path.open("rb"))
        try:
            yield _OnDisk(library, stream, os.fstat(stream.fileno()).st_size)
        finally:
            stream.close()
    elif size is None:
        raise TypeError("say how long a file is that comes in pieces: size=…, in bytes")
    else:
        yield _Pieces(file, size)


def name_of(file: File) -> str:
    """What a file is called when its owner gives it no name."""
    return Path(file).name if isinstance(file, str | os.PathLike) else "video"
