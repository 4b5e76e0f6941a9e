r"""What passed in a session, as data: the trace that evidence points into, and that files keep.

A trace file is JSON lines. The first line says what it is::

    {"ihproto_trace": 1, "revision": "v1", "title": "…", "started_at": "2026-01-01T00:00:00Z"}

and every other line is one record: `time` in seconds since the connection was begun, `from` the side that said it, and
one member more that says what::

    {"time": 0.000, "from": "client", "request": {"target": "/v1/stream/analyze", "headers": [["host", "…"]],
                                                  "credential": "header"}}
    {"time": 0.012, "from": "server", "response": {"status": 101, "headers": [["x-correlation-id", "…"]], "body": null}}
    {"time": 0.013, "from": "server", "text": "{\"type\":\"session.ready\", …}"}
    {"time": 0.020, "from": "client", "begins": {"size": 16384, "media": null}}
    {"time": 0.031, "from": "client", "binary": {"size": 43298, "sha256": "…", "media": {"seconds": 2.988}}}
    {"time": 9.801, "from": "server", "close": {"code": 1000, "reason": ""}}
    {"time": 9.802, "from": "client", "close": {"code": 1000, "reason": ""}}
    {"time": 9.803, "from": "server", "surplus": {"size": 120}}
    {"time": 9.810, "from": "server", "lost": "the connection ended without a close frame"}

`begins` is there only where something else passed before the message was whole, or where it broke a rule by then.
Texts stand exactly as they were said, but for credentials: those are replaced by `[redacted]` before a record is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeAlias

import attrs
import msgspec

from ihproto import REVISIONS, Revision, Side

_VERSION = 1


class TraceError(Exception):
    """A trace that cannot be read; the text says in which line, and why."""


@attrs.frozen
class Request:
    """The upgrade request.

    Attributes:
        target: Path and query.
        headers: Names in lower case, and values; those that hold a credential are redacted.
        credential: The form in which a credential came (`header`, `subprotocol`, `pair`), None for none.
    """

    target: str
    headers: tuple[tuple[str, str], ...] = ()
    credential: str | None = None


@attrs.frozen
class Response:
    """The answer to the upgrade request.

    Attributes:
        status: The HTTP status, 101 for an accepted upgrade.
        headers: Names in lower case, and values; those that hold a credential are redacted.
        body: The body of a refusal, None for none.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: str | None = None

    def header(self, name: str) -> str | None:
        """The value of a header, by its name in lower case."""
        return next((value for key, value in self.headers if key == name), None)


@attrs.frozen
class Text:
    """A whole text message."""

    text: str


@attrs.frozen
class Media:
    """What a scanner made of a segment.

    Attributes:
        seconds: By how much it lengthens the session's media; 0 where it is at fault.
        clause_id: The clause that it does not keep, None for none.
        what: What was found, None for nothing.
    """

    seconds: float
    clause_id: str | None = None
    what: str | None = None


@attrs.frozen
class Begins:
    """The first bytes of a binary message, the rest of which comes later.

    Attributes:
        size: How much of it had come by then, in bytes.
        media: What a scanner had found wrong with it by then, None for nothing.
    """

    size: int = 0
    media: Media | None = None


@attrs.frozen
class Binary:
    """A whole binary message: from a client, a segment.

    Attributes:
        size: Its size, in bytes.
        sha256: The hash of its bytes, in hexadecimal.
        media: What a scanner made of it, None where nobody looked.
    """

    size: int
    sha256: str
    media: Media | None = None


@attrs.frozen
class Close:
    """A close frame; 1005 stands for one without a code."""

    code: int
    reason: str = ""


@attrs.frozen
class Lost:
    """The connection ended on this side without a close frame."""

    reason: str


@attrs.frozen
class Surplus:
    """Bytes that came after the close frame of a side, which is the last of it.

    Attributes:
        size: How many, in bytes.
    """

    size: int


Passed: TypeAlias = Request | Response | Text | Begins | Binary | Close | Lost | Surplus

_KINDS: dict[str, type[Any]] = {
    "request": Request,
    "response": Response,
    "text": Text,
    "begins": Begins,
    "binary": Binary,
    "close": Close,
    "lost": Lost,
    "surplus": Surplus,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}
#: Those of which the one thing they hold stands in the line as it is.
_BARE = {Text: "text", Lost: "reason"}


@attrs.frozen
class Record:
    """Something that passed.

    Attributes:
        time: When, in seconds since the connection was begun.
        sender: The side that said it.
        passed: What it was.
    """

    time: float
    sender: Side
    passed: Passed

    def encode(self) -> bytes:
        """The line of a trace file, without its end."""
        return msgspec.json.encode(self.plain())

    def plain(self) -> dict[str, Any]:
        """The record as JSON has it."""
        kind = type(self.passed)
        bare = _BARE.get(kind)
        value = getattr(self.passed, bare) if bare is not None else attrs.asdict(self.passed)
        return {"time": round(self.time, 6), "from": self.sender.value, _NAMES[kind]: value}


@attrs.frozen
class Trace:
    """A recorded session.

    Attributes:
        revision: The revision that was spoken.
        started_at: When the connection was begun, with a time zone; None when that is not known.
        title: What it is, for people.
        records: What passed, in order.
    """

    revision: Revision
    records: tuple[Record, ...] = attrs.field(repr=False)
    started_at: datetime | None = None
    title: str = ""

    def encode(self) -> Iterator[bytes]:
        """The lines of a trace file, without their ends."""
        yield encode_header(self.revision, self.started_at, self.title)
        for record in self.records:
            yield record.encode()


def encode_header(revision: Revision, started_at: datetime | None, title: str) -> bytes:
    """The first line of a trace file, without its end."""
    head = {"ihproto_trace": _VERSION, "revision": revision.id, "title": title, "started_at": started_at}
    return msgspec.json.encode(head)


@attrs.frozen
class _Header:
    ihproto_trace: int
    revision: str
    title: str = ""
    started_at: datetime | None = None


def decode_trace(lines: Iterable[bytes]) -> Trace:
    """Read a trace file.

    Args:
        lines: Its lines; empty ones are passed over.

    Raises:
        TraceError: If it is not a trace, or a line cannot be read.
    """
    header: _Header | None = None
    revision: Revision | None = None
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            if header is None:
                read = msgspec.json.decode(line, type=_Header)
                revision = _revision(read)
                header = read
            else:
                records.append(_record(line))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
            what = "is not the first line of a trace" if header is None else "is not a record"
            # The library's words quote the file.
            raise TraceError(f"line {number} {what}: {_printable(str(error))}") from None
    if header is None or revision is None:
        raise TraceError("the file is empty; the first line of a trace says so")
    return Trace(revision, tuple(records), header.started_at, header.title)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _revision(header: _Header) -> Revision:
    if header.ihproto_trace != _VERSION:
        raise ValueError(f"version {header.ihproto_trace} is not known, only {_VERSION}")
    if header.started_at is not None and header.started_at.tzinfo is None:
        raise ValueError("started_at has no time zone")
    try:
        return REVISIONS[header.revision]
    except KeyError:
        raise ValueError(f"there is no revision {header.revision!r}; there are {', '.join(REVISIONS)}") from None


def _record(line: bytes) -> Record:
    fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    if "time" not in fields or "from" not in fields:
        raise ValueError("a record has a time, and says from whom it is")
    time = msgspec.json.decode(fields.pop("time"), type=float)
    sender = msgspec.json.decode(fields.pop("from"), type=Side)
    kinds = [kind for kind in fields if kind in _KINDS]
    if len(kinds) != 1 or len(fields) != 1:
        raise ValueError(f"a record holds one of {', '.join(_KINDS)}, and nothing else")
    decode = msgspec.json.decode
    cls = _KINDS[kinds[0]]
    value = fields[kinds[0]]
    passed: Passed = cls(decode(value, type=str)) if cls in _BARE else decode(value, type=cls)
    return Record(time, sender, passed)
