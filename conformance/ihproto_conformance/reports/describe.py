"""What passed, in a line: for the terminal, and for the timeline of the HTML report.

It is generic on purpose. A message that breaks the rules is described like any other, by the members it has, and never
by what it should have been.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn, assert_never

import attrs

from ihproto import Side
from ihproto_conformance.reports.foreign import printable, shortened
from ihproto_conformance.trace import Begins, Binary, Close, Lost, Media, Record, Request, Response, Surplus, Text
from ihproto_conformance.verdict import Entry

_LINE = 200
_VALUE = 60
_DIGITS = 19
#: In every envelope, and of no use in a line.
_COMMON = frozenset({"type", "status", "timestamp", "correlation_id"})
#: RFC 6455, section 7.1.5: what stands for a close frame without a code.
_NO_CODE = 1005


@attrs.frozen
class Summary:
    """A record in short, printable.

    Attributes:
        kind: What it is: the type of a message, or a word for anything else.
        detail: What it says; may be empty.
    """

    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


def describe(entry: Entry) -> str:
    """A record of a session in one printable line."""
    return str(summary(entry.record))


def summary(record: Record) -> Summary:
    """What a record is, and what it says."""
    match record.passed:
        case Request(target, _, credential):
            how = f", credential as {credential}" if credential else ", no credential"
            return Summary("request", shortened(f"GET {target}", _LINE) + printable(how))
        case Response(status, _, body):
            return Summary(f"response {status}", shortened(body, _LINE) if body else "")
        case Text(text):
            return _text(text, record.sender)
        case Begins(size, media):
            return Summary("begins", shortened(f"{size:,} bytes of a binary message{_media(media)}", _LINE))
        case Binary(size, _, media):
            kind = "segment" if record.sender is Side.CLIENT else "binary"
            return Summary(kind, shortened(f"{size:,} bytes{_media(media)}", _LINE))
        case Close(code, reason):
            return Summary("close", ("no code" if code == _NO_CODE else str(code)) + _after(reason))
        case Surplus(size):
            return Summary("surplus", f"{size:,} bytes after the close frame")
        case Lost(reason):
            return Summary("lost", shortened(reason, _LINE))
        case _ as never:
            assert_never(never)


def _after(reason: str) -> str:
    return f", {shortened(reason, _LINE)}" if reason else ""


def _media(media: Media | None) -> str:
    if media is None:
        return ""
    fault = f", {media.clause_id}: {media.what or 'not kept'}" if media.clause_id is not None else ""
    return f", {media.seconds:.3f} s of media{fault}"


def _text(text: str, sender: Side) -> Summary:
    try:
        message = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return Summary("text", f"not JSON, {len(text):,} characters: {shortened(text, _VALUE)}")
    if not isinstance(message, dict):
        return Summary("text", f"JSON, but no object: {shortened(text, _VALUE)}")
    # Up to v0.2 a message says what it is in `status`; a config says it nowhere.
    kind = next((message[name] for name in ("type", "status") if isinstance(message.get(name), str)), None)
    if kind is None:
        kind = "config" if sender is Side.CLIENT else "text"
    data = message.get("data")
    members = data if isinstance(data, dict) else {name: message[name] for name in message if name not in _COMMON}
    return Summary(shortened(kind, _VALUE), shortened(_members(members, 1), _LINE))


def _members(members: dict[str, Any], depth: int) -> str:
    return ", ".join(f"{shortened(name, _VALUE)} {_value(value, depth)}" for name, value in members.items())


def _integer(digits: str) -> float:
    # Digits without end say nothing, and Python refuses to read them.
    return int(digits) if len(digits) < _DIGITS else math.inf


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


# The standard library's, because it takes what the other side of a session may take: half a surrogate pair, for one.
_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_no_constant)


def _value(value: Any, depth: int) -> str:
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            return shortened(value, _VALUE) if value else "(empty)"
        case int() | float():
            return repr(value) if math.isfinite(value) else "(a huge number)"
        case dict():
            return "{" + (_members(value, depth - 1) if depth else f"{len(value)}") + "}"
        case _:
            inner = [_value(item, 0) for item in value[:4]] + ["…"] * (len(value) > 4)
            return f"[{', '.join(inner)}]" if depth else f"[{len(value)}]"
