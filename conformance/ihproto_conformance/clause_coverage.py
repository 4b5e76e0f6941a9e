"""Which clauses no broken server proves a check of, and why.

Every other clause that is a `must` or a `should` has at least one check that a broken server fails; a test sees to
that.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CLIENT: Final = "it is a rule for clients, which are judged by the suite for clients"
_INSIDE: Final = "it is about what happens inside a server, and shows in nothing that it says"
_NOT_STREAMED: Final = "the suite streams nothing in a session in which it would show"
_HTTP: Final = "it is about plain HTTP, not about the stream"

UNTESTABLE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HS-1": _CLIENT,
        "HS-7": _CLIENT,
        "HS-13": _NOT_STREAMED,
        "HS-15": _NOT_STREAMED,
        "ENV-3": _CLIENT,
        "ENV-4": "it is a rule for relays; a server has nobody's messages to hand on",
        "CFG-8": _NOT_STREAMED,
        "SEG-3": _NOT_STREAMED,
        "WIN-1": _INSIDE,
        "WIN-2": "it permits something, and what permits cannot be broken",
        "WIN-3": _NOT_STREAMED,
        "STS-1": _NOT_STREAMED,
        "STS-2": _NOT_STREAMED,
        "STS-3": _NOT_STREAMED,
        "STS-4": _NOT_STREAMED,
        "UPL-1": _HTTP,
        "UPL-2": _HTTP,
        "AUT-1": _HTTP,
        "AUT-2": _HTTP,
    }
)
"""Ids of clauses, and why no broken server stands for them, as the rest of a sentence."""
