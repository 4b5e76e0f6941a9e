"""Text to typed message and back.

The codec knows the shape of every message of a revision and nothing about sequences: that is the rule book's part.
What it does not know it hands through (ENV-3); what is broken it refuses with the clause and the JSON path. It never
repeats a value of the text in an error, only keys and types: a value may be a secret.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar, Union

import attrs
import msgspec

from ihproto import messages as m
from ihproto.clauses import clause
from ihproto.errors import Finding, MalformedMessage
from ihproto.revisions import V1, Framing, Revision

#: Where a set of scores stands in a message, in the words of the library, and the clause that gives its shape.
_IN_SCORES = re.compile(r"missing required field .*\.(overall|values)`$|\.(overall|values)\.\w+`$")
_SCORES_CLAUSE = "CQI-5"
_CLOSE_TYPE = "session.close"
_CLOSE_TEXT = '{"type":"session.close"}'


class Envelope(msgspec.Struct, frozen=True):
    """A message of the server, typed, together with the text that carried it (ENV-1, ENV-4).

    One is made for every message, which a `Struct` does much faster than a frozen class of attrs.

    Attributes:
        message: What it says; `Unknown` when its type is newer than the revision.
        type: Its `type` on the wire; in v0 and v0.2, its `status`.
        timestamp: When the server sent it, ISO 8601 UTC, as sent; None in revisions that do not say.
        correlation_id: The session's id, the same in every envelope (ENV-2); None in revisions that do not say.
        raw: The text exactly as it arrived.
    """

    message: m.ServerMessage | m.Unknown
    type: str
    timestamp: str | None
    correlation_id: str | None
    raw: str

    def __repr__(self) -> str:
        fields = ("message", "type", "timestamp", "correlation_id")
        return f"Envelope({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"


_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TEXT = msgspec.json.Decoder(str)
_CONFIG = msgspec.json.Decoder(m.SessionConfig)
_UNREADABLE = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)


class _Whole(msgspec.Struct, gc=False):
    """A message together with what frames it, read in one pass; there is a subclass for each type."""

    timestamp: str
    correlation_id: str


@attrs.frozen
class _Readers:
    """What reads the messages of a server.

    Attributes:
        whole: Reads every message whose type alone tells its shape; None where the fields stand beside the type.
        outline: Reads what frames a message, and leaves its payload as it is.
        payloads: Read the payload by the type; of several, the first that can is right.
    """

    whole: msgspec.json.Decoder[Any] | None
    outline: msgspec.json.Decoder[Any]
    payloads: Mapping[str, tuple[msgspec.json.Decoder[Any], ...]]


@functools.cache
def _readers(framing: Framing, classes: tuple[type[m.ServerMessage], ...]) -> _Readers:
    """Make the readers, once for all sessions that speak alike."""
    members: list[tuple[str, Any]] = [(name, str) for name in (framing.discriminator, *framing.members)]
    by_type: dict[str, list[type[m.ServerMessage]]] = {}
    for cls in classes:
        by_type.setdefault(cls.type, []).append(cls)
    whole = None
    if framing.payload is not None:
        members.append((framing.payload, msgspec.Raw))
        wholes = [
            msgspec.defstruct(
                "Whole",
                [("message", found[0])],
                bases=(_Whole,),
                tag_field=framing.discriminator,
                tag=type_,
                rename={"message": framing.payload},
                gc=False,
            )
            for type_, found in by_type.items()
            if len(found) == 1
        ]
        whole = msgspec.json.Decoder(Union[tuple(wholes)])  # noqa: UP007 - a union of what is found at run time
    return _Readers(
        whole,
        msgspec.json.Decoder(msgspec.defstruct("Outline", members, gc=False)),
        {type_: tuple(msgspec.json.Decoder(cls) for cls in found) for type_, found in by_type.items()},
    )


class Codec:
    """Encodes and decodes the text messages of one revision.

    Args:
        revision: The revision to speak.
    """

    def __init__(self, revision: Revision = V1) -> None:
        self.revision = revision
        framing = revision.framing
        self._root = "$" if framing.payload is None else f"$.{framing.payload}"
        self._readers = _readers(framing, revision.messages)
        self._whole = self._readers.whole

    def decode_server(self, text: str) -> Envelope:
        """Decode what a server sent.

        Args:
            text: One whole text message.

        Returns:
            The envelope, with `Unknown` as its message when the type is not of this revision (ENV-3).

        Raises:
            MalformedMessage: If the text is no message of a server (ENV-1, STS-1), or lacks a field or holds a wrong
                type (the clause of that message).
        """
        if self._whole is not None:
            try:
                whole = self._whole.decode(text)
            except _UNREADABLE:
                pass  # a type that is not known, or has several shapes, or something is wrong: find out which
            else:
                message: m.ServerMessage = whole.message
                return Envelope(message, message.type, whole.timestamp, whole.correlation_id, text)
        return self._decode_by_parts(text)

    def _decode_by_parts(self, text: str) -> Envelope:
        """Decode first what frames a message and then what is in it, to know which of them is wrong."""
        framing = self.revision.framing
        try:
            outline = self._readers.outline.decode(text)
        except _UNREADABLE as error:
            raise _malformed(framing.clause_id, error, "$") from None
        type_: str = getattr(outline, framing.discriminator)
        body: msgspec.Raw | str = text if framing.payload is None else getattr(outline, framing.payload)
        return Envelope(
            self._decode_message(type_, body),
            type_,
            getattr(outline, "timestamp", None),
            getattr(outline, "correlation_id", None),
            text,
        )

    def _decode_message(self, type_: str, body: msgspec.Raw | str) -> m.ServerMessage | m.Unknown:
        decoders = self._readers.payloads.get(type_)
        if decoders is None:
            return m.Unknown(body if isinstance(body, str) else bytes(body).decode())
        found: list[MalformedMessage] = []
        for cls, decoder in zip(self.revision.server_messages[type_], decoders, strict=True):
            try:
                message: m.ServerMessage = decoder.decode(body)
            except (msgspec.DecodeError, RecursionError) as error:
                found.append(self._malformed(cls, error))
            else:
                return message
        # Of several shapes it was meant to be the one of which most is right.
        raise max(found, key=lambda error: len(error.finding.path or ""))

    def _malformed(self, cls: type[m.ServerMessage], error: Exception) -> MalformedMessage:
        """What is wrong, by the clause that gives the shape of the message, or of the scores in it."""
        clause_id = _SCORES_CLAUSE if _IN_SCORES.search(str(error)) else cls.clause_id
        holds = self.revision.id in clause(clause_id).revisions
        return _malformed(clause_id if holds else self.revision.framing.clause_id, error, self._root, cls.type)

    def encode_server(self, message: m.ServerMessage, *, timestamp: str, correlation_id: str) -> str:
        """Encode what a server says, in the framing of the revision (ENV-1, STS-1).

        Args:
            message: What to say.
            timestamp: ISO 8601 UTC, for example `2025-01-01T00:00:00.000000Z`; left out where the revision has none.
            correlation_id: The session's id; left out where the revision has none.

        Returns:
            The text of one text message.

        Raises:
            ValueError: If a number is not finite.
        """
        framing = self.revision.framing
        text: dict[str, Any] = {framing.discriminator: message.type}
        for name in framing.members:
            text[name] = timestamp if name == "timestamp" else correlation_id
        plain = _plain(message)
        if framing.payload is None:
            text.update(plain)
        else:
            text[framing.payload] = plain
        return msgspec.json.encode(text).decode()

    def decode_client(self, text: str) -> m.SessionConfig | m.SessionClose:
        """Decode what a client sent as text.

        Args:
            text: One whole text message.

        Returns:
            A session config, or the request for a graceful close.

        Raises:
            MalformedMessage: If the text is not a JSON object (CFG-1), or holds an unknown top-level key or a wrong
                type (CFG-5).
        """
        try:
            keys = _OBJECT.decode(text)
        except _UNREADABLE as error:
            raise _malformed("CFG-1", error, "$") from None
        if self.revision.drains and "type" in keys and self._is_close(keys["type"]):
            return m.SessionClose()
        allowed = self.revision.config_keys
        for key in keys:
            if key not in allowed:
                what = f"a session config has no key {key[:40]!r}; its keys are {', '.join(allowed)}"
                raise MalformedMessage(Finding(clause("CFG-5"), what, f"$.{key[:40]}"))
        try:
            return _CONFIG.decode(text)
        except msgspec.ValidationError as error:
            raise _malformed("CFG-5", error, "$") from None

    def _is_close(self, value: msgspec.Raw) -> bool:
        try:
            return _TEXT.decode(value) == _CLOSE_TYPE
        except msgspec.ValidationError:
            return False

    def encode_client(self, message: m.SessionConfig | m.SessionClose) -> str:
        """Encode what a client says in text.

        Args:
            message: A session config, or the request for a graceful close.

        Returns:
            The text of one text message.
        """
        if isinstance(message, m.SessionClose):
            return _CLOSE_TEXT
        return encode_json(message).decode()


def _malformed(clause_id: str, error: Exception, root: str, type_: str | None = None) -> MalformedMessage:
    """Make msgspec's words ours: the path is taken out of them and set below `root`."""
    if isinstance(error, UnicodeEncodeError):
        return MalformedMessage(Finding(clause(clause_id), "the text holds a lone surrogate", root), type_)
    if isinstance(error, UnicodeDecodeError):
        return MalformedMessage(Finding(clause(clause_id), "the text is not UTF-8", root), type_)
    if isinstance(error, RecursionError):
        return MalformedMessage(Finding(clause(clause_id), "the JSON is nested too deeply", root), type_)
    what, _, place = str(error).partition(" - at `$")
    path = root + place.removesuffix("`")
    return MalformedMessage(Finding(clause(clause_id), _sentence(what), path), type_)


def _sentence(what: str) -> str:
    """The library's words as the rest of a sentence: abbreviations keep their capitals."""
    return what if what[1:2].isupper() else what[:1].lower() + what[1:]


J = TypeVar("J")


def encode_json(value: Any) -> bytes:
    """Encode any message of the protocol, or a part of one, as JSON.

    Raises:
        ValueError: If a number is not finite.
    """
    return msgspec.json.encode(_plain(value))


def decode_json(cls: type[J], body: bytes, clause_id: str) -> J:
    """Decode the JSON body of an HTTP message.

    Args:
        cls: What it should be.
        body: The body.
        clause_id: The clause that gives the shape.

    Raises:
        MalformedMessage: If it is not JSON, lacks a member, or holds a wrong type.
    """
    try:
        return msgspec.json.decode(body, type=cls)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(clause_id, error, "$") from None


def _fields(cls: type[Any]) -> tuple[tuple[str, bool], ...]:
    """The names of an attrs class in order, and whether each is sent as null when it is None."""
    fields = _known_fields.get(cls)
    if fields is None:
        nullable: frozenset[str] = getattr(cls, "nullable", frozenset())
        fields = tuple((field.name, field.name in nullable) for field in attrs.fields(cls))
        _known_fields[cls] = fields
    return fields


_known_fields: dict[type[Any], tuple[tuple[str, bool], ...]] = {}


_PLAIN = (str, int)


def _plain(value: Any) -> Any:
    """An attrs instance as a dict in the order of its fields, without the None that the wire leaves out."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"JSON has no way to write {value}")
    if not attrs.has(type(value)):
        return value
    plain = {}
    for name, nullable in _fields(type(value)):
        item = getattr(value, name)
        if item is not None or nullable:
            plain[name] = _plain(item)
    return plain
