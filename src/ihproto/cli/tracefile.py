"""Trace files: written line by line while a session runs, so that what passed is there even if the end is not."""

from __future__ import annotations

from datetime import datetime
from io import RawIOBase
from pathlib import Path

from ihproto import Revision
from ihproto_conformance.trace import Record, encode_header


class TraceFile:
    """A trace file that is being written.

    What cannot be written is remembered rather than raised: the session goes on without.

    Args:
        path: Where it is; what was there is overwritten.
        revision: The revision that is spoken.
        started_at: When the session began, with a time zone.
        title: What it is, for people.

    Attributes:
        path: Where it is.
        problem: Why it is not whole, None while it is.
    """

    def __init__(self, path: Path, revision: Revision, started_at: datetime, title: str) -> None:
        self.path = path
        self.problem: str | None = None
        self._file: RawIOBase | None = None
        try:
            # Unbuffered: a line is there when it was written.
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            self.problem = error.strerror
            return
        self._line(encode_header(revision, started_at, title))

    def write(self, record: Record) -> None:
        """Write a record."""
        self._line(record.encode())

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()

    def _line(self, line: bytes) -> None:
        if self._file is None or self.problem is not None:
            return
        try:
            self._file.write(line + b"\n")
        except OSError as error:
            self.problem = error.strerror
