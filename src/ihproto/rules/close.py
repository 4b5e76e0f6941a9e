"""CLS-3: what a close frame may say (RFC 6455, sections 5.5 and 7.4)."""

from __future__ import annotations

from ihproto.clauses import clause
from ihproto.errors import Finding

#: Codes that stand for the absence of a close frame, and so never stand in one.
_RESERVED = frozenset({1004, 1005, 1006, 1015})
_MAX_REASON = 123


def judge_close(code: int, reason: str) -> Finding | None:
    """Say why a close frame cannot be sent, or None (CLS-3)."""
    if not 1000 <= code <= 4999 or code in _RESERVED:
        return Finding(clause("CLS-3"), f"{code} is not a code that a close frame may carry; 1000 is the normal one")
    try:
        size = len(reason.encode())
    except UnicodeEncodeError:
        return Finding(clause("CLS-3"), "the reason of a close holds a lone surrogate, which UTF-8 has no way to write")
    if size > _MAX_REASON:
        return Finding(clause("CLS-3"), f"the reason of a close is longer than {_MAX_REASON} bytes")
    return None
