"""Which clauses no broken server proves a check of, and why.

Every other clause that is a `must` or a `should` has at least one check that a broken server fails; a test sees to
that.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CLIENT: Final = "it is a rule for clients, which are judged by the suite for clients"
_HTTP: Final = "it is about plain HTTP; the tests of its checks break it in ways of their own"

UNTESTABLE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HS-1": _CLIENT,
        "HS-7": "a client that keeps it sends nothing, and what is sent instead is judged by HS-2 to HS-4",
        "ENV-3": _CLIENT,
        "ENV-4": "it is a rule for relays; a server has nobody's messages to hand on",
        "WIN-2": "it permits something, and what permits cannot be broken",
        "UPL-1": _HTTP,
        "UPL-2": _HTTP,
        "AUT-1": _HTTP,
        "AUT-2": _HTTP,
    }
)
"""Ids of clauses, and why no broken server stands for them, as the rest of a sentence."""
