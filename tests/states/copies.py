"""Copies of sessions, and what tells one session from another.

Both look at every attribute that a session has, but for those that never change or tell nothing of what can still
happen. That nothing is left out which matters is checked where it is used: `Side.disagreements`.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime
from enum import Enum
from fractions import Fraction
from re import Pattern
from types import FunctionType, MappingProxyType, MethodType, NoneType
from typing import Any, TypeVar

import attrs
import msgspec

import ihproto as ih
from ihproto.analysis import Pacing

T = TypeVar("T")

#: What never changes, or tells nothing of what can still happen.
SKIPPED = frozenset(
    {
        "revision",
        "_revision",
        "settings",
        "contract",
        "_codec",
        "_scanner",
        "_options",
        "_started_at",
        "_judges",
        "_table",
        "_types",
        "_oversize",
        "_pacing",
        "correlation_id",
        "bounds",
    }
)


@attrs.frozen
class _Fields:
    """The names of the attributes that values of a class have, empty for all that each has."""

    names: tuple[str, ...]


_SHARE, _ITEMS, _MAPPING, _METHOD = object(), object(), object(), object()
_HOW: dict[type, Any] = {}
_SHARED = (str, int, float, bytes, frozenset, MappingProxyType, FunctionType, type, datetime, Fraction, Pattern, Enum)
_UNHASHABLE = (MappingProxyType, ih.Revision, Pacing, ih.Codec)
_FROZEN = ih.Window.__setattr__


def copied(value: T) -> T:
    """A copy that shares what cannot change: `copy.deepcopy` would copy that too, and knows no decoders."""
    return _copied(value, {})  # type: ignore[no-any-return]


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    kind = type(value)
    how = _HOW.get(kind) or _classified(kind)
    if how is _SHARE:
        return value
    if how is _ITEMS:
        return kind([item if _HOW.get(type(item)) is _SHARE else _copied(item, memo) for item in value])
    if how is _MAPPING:
        return {key: item if _HOW.get(type(item)) is _SHARE else _copied(item, memo) for key, item in value.items()}
    if how is _METHOD:
        return MethodType(value.__func__, _copied(value.__self__, memo))
    known = memo.get(id(value))
    if known is not None:
        return known
    copy = memo[id(value)] = object.__new__(kind)
    for name in how.names or vars(value):
        item = getattr(value, name)
        if _HOW.get(type(item)) is not _SHARE and (name not in SKIPPED or name == "_judges"):
            item = _copied(item, memo)
        object.__setattr__(copy, name, item)
    return copy


def frozen(value: Any) -> Any:
    """The value as something that can be hashed."""
    kind = type(value)
    how = _HOW.get(kind) or _classified(kind)
    if how is _SHARE:
        return None if kind in _UNHASHABLE else value
    if how is _ITEMS:
        return frozenset(value) if kind is set else tuple([frozen(item) for item in value])
    if how is _MAPPING:
        return tuple([(key, frozen(item)) for key, item in value.items()])
    if how is _METHOD:
        return None
    return tuple([frozen(getattr(value, name)) for name in how.names or vars(value) if name not in SKIPPED])


def _classified(kind: type) -> Any:
    """How values of a class are copied."""
    how: Any = _Fields(tuple(field.name for field in attrs.fields(kind)) if attrs.has(kind) else ())
    if issubclass(kind, (*_SHARED, ih.Codec, NoneType, msgspec.Struct)) or kind.__setattr__ is _FROZEN:
        how = _SHARE
    elif kind in (list, tuple, deque, set):
        how = _ITEMS
    elif kind is dict:
        how = _MAPPING
    elif kind is MethodType:
        how = _METHOD
    _HOW[kind] = how
    return how
