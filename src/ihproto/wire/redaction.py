"""Taking credentials out of texts, because servers and clients repeat them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable
from urllib.parse import quote, quote_plus

import msgspec

from ihproto.wire.credentials import PAIR_MARK

#: What stands where a credential was.
REDACTED = "[redacted]"
#: So much of a credential tells that it is one, in characters: longer than what all keys have in common.
_TELLING = 12
#: The shortest credential that is taken out of texts, in characters.
_LEAST = 5
_SECRET_HEADERS = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization"})


class Redactor:
    """Takes credentials out of what is kept, also as URLs and JSON write them, and the beginnings of those cut off.

    Args:
        secrets: The credentials; those of fewer than 5 characters are passed over: they can be guessed, and texts would
            fall to pieces without them.
    """

    def __init__(self, secrets: Collection[str]) -> None:
        self._secrets: list[str] = []
        self.add(secrets)

    def text(self, text: str) -> str:
        """The text without credentials."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        for secret in self._secrets:
            start = text.find(secret[:_TELLING]) if len(secret) > _TELLING else -1
            while start >= 0:
                same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(text[start:], secret, strict=False))
                end = start + sum(1 for _ in same)
                text = text[:start] + REDACTED + text[end:]
                start = text.find(secret[:_TELLING], start + len(REDACTED))
        return text

    def headers(self, headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
        """Headers as text, without the values of those that are there for credentials."""
        return tuple(
            (name, self._header(name, value.decode("latin-1")))
            for name, value in ((name.decode("latin-1").lower(), value) for name, value in headers)
        )

    def _header(self, name: str, value: str) -> str:
        if name == "sec-websocket-protocol":
            # How many there are, and where the mark of a pair stands, is needed to judge the answer (HS-5).
            offered = (item.strip() for item in value.split(","))
            return ", ".join(item if item == PAIR_MARK else REDACTED for item in offered)
        return REDACTED if name in _SECRET_HEADERS else self.text(value)

    def add(self, secrets: Collection[str]) -> None:
        """Learn of more credentials."""
        written = {form for secret in secrets if len(secret) >= _LEAST for form in _forms(secret)}
        # The longest first: one may be the beginning of another.
        self._secrets = sorted({*self._secrets, *written}, key=lambda secret: (-len(secret), secret))


def _forms(secret: str) -> set[str]:
    """How a credential may be written: as it is, in a URL, in JSON."""
    quoted = msgspec.json.encode(secret).decode()[1:-1]
    return {secret, quote(secret, safe=""), quote_plus(secret), quoted, quoted.replace("/", "\\/")}
