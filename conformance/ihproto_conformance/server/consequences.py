"""What follows from what: a fault in one place makes others look wrong that are not.

The monitor judges each message by what it made of those before it. Where the confirmation of a config cannot be
believed, say, it does not know what is to be scored. What it finds then is blocked instead of failed, which weighs the
same, and names the fault that comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from ihproto_conformance.verdict import Evidence, Result, Status

#: Clauses that cannot be judged in a session in which one of the clauses behind them was broken; in this order, where
#: one that is blocked blocks no other.
CONSEQUENCES: Mapping[str, tuple[str, ...]] = {
    # An error that cannot be read, or is another than it should be, is the answer to some text.
    "CFG-2": ("ERR-1", "CFG-5"),
    "CFG-5": ("ERR-1",),
    # What is to be scored is what was confirmed.
    "CFG-4": ("CFG-2",),
    "CQI-1": ("CFG-2",),
    "CQI-2": ("CFG-2",),
    "CQI-3": ("CFG-2",),
    # A model that the query selects shows in the configs that are confirmed.
    "CFG-7": ("HS-13",),
    "HS-13": ("CFG-7",),
    # What a result has to hold is what the query asks for.
    "STS-3": ("HS-15",),
    "HS-15": ("STS-1", "STS-3"),
    # Which signals are active is what was said of them before.
    "SIG-1": ("SIG-3",),
    "SIG-2": ("SIG-1",),
    "SIG-5": ("SIG-1",),
    "SIG-7": ("SIG-1", "SIG-2", "SIG-3"),
}


def without_consequences(results: Sequence[Result]) -> list[Result]:
    """The results, with those blocked that follow from others in the same sessions."""
    judged = list(results)
    for clause_id, roots in CONSEQUENCES.items():
        where = {root: _sessions(judged, root) for root in roots}
        judged = [_judged(each, where) if each.check.clause.id == clause_id else each for each in judged]
    return judged


def _sessions(results: Iterable[Result], clause_id: str) -> dict[int, Evidence]:
    """The sessions in which a clause was broken, with what shows it."""
    found: dict[int, Evidence] = {}
    for result in results:
        if result.check.clause.id == clause_id and result.status is Status.FAILED:
            for item in result.evidence:
                if item.session is not None:
                    found.setdefault(item.session, item)
    return found


def _judged(result: Result, roots: Mapping[str, Mapping[int, Evidence]]) -> Result:
    sessions = {item.session for item in result.evidence if item.session is not None}
    if result.status is not Status.FAILED or not sessions or sessions - set().union(*roots.values()):
        return result
    root, session = min((root, session) for root, where in roots.items() for session in where.keys() & sessions)
    first = roots[root][session]
    return attrs.evolve(
        result,
        status=Status.BLOCKED,
        evidence=(attrs.evolve(first, what=f"{root} is not kept: {first.what}"), *result.evidence),
    )
