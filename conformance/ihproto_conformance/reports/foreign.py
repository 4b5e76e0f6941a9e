"""Foreign text, made harmless: what a peer said must not steer a terminal, break a file, or pretend to be something."""

from __future__ import annotations

import re
from typing import Any

import msgspec

#: Stands where something was that cannot be shown.
REPLACEMENT = "\ufffd"

_SURROGATES = re.compile("[\ud800-\udfff]")
# What XML 1.0 does not allow in a document, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def printable(text: str) -> str:
    """The text on one line, without characters that are no sign: control characters, and what turns the direction."""
    return "".join(character if character.isprintable() else REPLACEMENT for character in text)


def encodable(text: str) -> str:
    """The text without halves of surrogate pairs, which no file in UTF-8 can hold."""
    return _SURROGATES.sub(REPLACEMENT, text)


def for_xml(text: str) -> str:
    """The text without characters that an XML document may not have in it."""
    return _NOT_XML.sub(REPLACEMENT, text)


def shortened(text: str, length: int) -> str:
    """The text, printable, and cut where it is longer than so many characters."""
    # Only what is looked at is made printable: a message may have megabytes.
    return printable(text) if len(text) <= length else printable(text[: length - 1]).rstrip() + "…"


def as_json(value: Any) -> bytes:
    """Plain data as JSON, its texts encodable."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_encodable(value))


def _encodable(value: Any) -> Any:
    match value:
        case str():
            return encodable(value)
        case dict():
            return {key: _encodable(item) for key, item in value.items()}
        case list() | tuple():
            return [_encodable(item) for item in value]
        case _:
            return value
