"""Placeholder until merged."""

from __future__ import annotations

from collections.abc import Sequence

from ihproto import CLAUSES, Revision
from ihproto_conformance.verdict import Check, Evidence, Result, SessionLog, Status, Subject


def passive_checks(revision: Revision, subject: Subject) -> tuple[Check, ...]:
    return tuple(
        Check(f"{c.id}.observed", "The monitor finds nothing")
        for c in CLAUSES.values()
        if revision.id in c.revisions and c.family not in ("UPL", "AUT", "TMO")
    )


def passive_results(revision: Revision, subject: Subject, sessions: Sequence[SessionLog]) -> list[Result]:
    results = []
    for check in passive_checks(revision, subject):
        evidence = tuple(
            Evidence(v.what, s.number, i, e.record.time)
            for s in sessions
            for i, e in enumerate(s.entries)
            for v in e.violations
            if v.clause.id == check.clause.id and v.side is subject.side
        )
        results.append(Result(check, Status.FAILED if evidence else Status.UNSEEN, evidence=evidence[:20]))
    return results
