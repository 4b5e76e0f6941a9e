"""What follows from what: a fault in one place makes others look wrong that are not.

The monitor judges each message by what it made of those before it. Where the confirmation of a config cannot be
believed, say, it does not know what is to be scored. What it finds then is blocked instead of failed, which weighs the
same, and names the fault that comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from ihproto_conformance.verdict import Evidence, Result, Status

#: Clauses that cannot be judged in a session in which one of the clauses behind them was broken.
CONSEQUENCES: Mapping[str, tuple[str, ...]] = {
    # An error that cannot be read, or is another than it should be, is the answer to some text.
    "CFG-2": ("ERR-1", "CFG-5"),
    "CFG-5": ("ERR-1",),
    # What is to be scored is what was confirmed.
    "CFG-4": ("CFG-2",),
    "CQI-1": ("CFG-2",),
    "CQI-2": ("CFG-2",),
    "CQI-3": ("CFG-2",),
    # Which signals are active is what was said of them before.
    "SIG-1": ("SIG-3",),
    "SIG-2": ("SIG-1",),
    "SIG-5": ("SIG-1",),
    "SIG-7": ("SIG-1", "SIG-2", "SIG-3"),
}


def without_consequences(results: Sequence[Result]) -> list[Result]:
    """The results, with those blocked that follow from others in the same sessions."""
    broken: dict[str, dict[int, Evidence]] = {}
    for result in results:
        if result.status is Status.FAILED:
            for item in result.evidence:
                if item.session is not None:
                    broken.setdefault(result.check.clause.id, {}).setdefault(item.session, item)
    return [_judged(result, broken) for result in results]


def _judged(result: Result, broken: Mapping[str, Mapping[int, Evidence]]) -> Result:
    roots = CONSEQUENCES.get(result.check.clause.id, ())
    sessions = {item.session for item in result.evidence if item.session is not None}
    if result.status is not Status.FAILED or not sessions:
        return result
    found = {root: broken[root].keys() & sessions for root in roots if root in broken}
    if sessions - set().union(*found.values()):
        return result
    root = next(root for root, where in found.items() if where)
    first = broken[root][min(found[root])]
    return attrs.evolve(
        result,
        status=Status.BLOCKED,
        evidence=(attrs.evolve(first, what=f"{root} is not kept: {first.what}"), *result.evidence),
    )
