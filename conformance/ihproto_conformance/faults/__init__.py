"""Servers that each break one clause, to show that a judge tells them from a conforming one.

Each family of clauses has a module with a table of its faults; `FAULTS` holds them all.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ihproto import CLAUSES
from ihproto_conformance.faults import (
    closing,
    config,
    coverage,
    engagement,
    envelopes,
    errors,
    handshake,
    models,
    quality,
    ready,
    segments,
    signals,
    statuses,
    timeouts,
    windows,
)
from ihproto_conformance.faults.fault import Fault
from ihproto_conformance.faults.server import FaultyServer, MockOptions

__all__ = ["FAULTS", "Fault", "FaultyServer", "MockOptions", "fault"]

_TABLES = (
    handshake.FAULTS,
    envelopes.FAULTS,
    ready.FAULTS,
    config.FAULTS,
    segments.FAULTS,
    signals.FAULTS,
    engagement.FAULTS,
    quality.FAULTS,
    errors.FAULTS,
    timeouts.FAULTS,
    closing.FAULTS,
    coverage.FAULTS,
    models.FAULTS,
    statuses.FAULTS,
    windows.FAULTS,
)


def _by_id(faults: Iterable[Fault]) -> Mapping[str, Fault]:
    table: dict[str, Fault] = {}
    for each in faults:
        if each.id in table:
            raise ValueError(f"there are two faults {each.id}")
        table[each.id] = each
    places = {clause_id: place for place, clause_id in enumerate(CLAUSES)}
    return MappingProxyType(dict(sorted(table.items(), key=lambda item: places[item[1].clause.id])))


FAULTS: Mapping[str, Fault] = _by_id(each for table in _TABLES for each in table)
"""Every fault by its id, in the order of the clauses."""


def fault(fault_id: str) -> Fault:
    """Look up a fault by its id.

    Raises:
        KeyError: If there is no such fault; the text names the ids that look most like it.
    """
    try:
        return FAULTS[fault_id]
    except KeyError:
        nearest = difflib.get_close_matches(fault_id, FAULTS, cutoff=0.4)
        hint = f"the nearest are {', '.join(nearest)}" if nearest else "ihproto mock --list-faults lists them"
        raise KeyError(f"there is no fault {fault_id!r}; {hint}") from None
