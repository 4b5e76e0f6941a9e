"""What follows from a fault elsewhere in the same session is blocked, and nothing else is."""

from __future__ import annotations

import pytest

from ihproto_conformance.server.consequences import CONSEQUENCES, without_consequences
from ihproto_conformance.verdict import Check, Evidence, Result, Status


def failed(check_id: str, *sessions: int | None) -> Result:
    return Result(Check(check_id, "t"), Status.FAILED, evidence=tuple(Evidence(check_id, each) for each in sessions))


def statuses(*results: Result) -> list[Status]:
    return [result.status for result in without_consequences(results)]


def test_what_follows_is_blocked_and_says_from_what() -> None:
    root, other = without_consequences([failed("CFG-2.observed", 2, 3), failed("CQI-1.observed", 3)])
    assert root.status is Status.FAILED
    assert other.status is Status.BLOCKED
    assert [(item.what, item.session) for item in other.evidence] == [
        ("CFG-2 is not kept: CFG-2.observed", 3),
        ("CQI-1.observed", 3),
    ]


@pytest.mark.parametrize(
    "other",
    [
        failed("CQI-1.observed", 4),
        failed("CQI-1.observed", 2, 4),
        failed("CQI-1.observed"),
        failed("ENG-2.observed", 2),
        Result(Check("CQI-1.observed", "t"), Status.PASSED, evidence=(Evidence("x", 2),)),
    ],
    ids=["elsewhere", "elsewhere too", "nowhere", "unrelated", "kept"],
)
def test_what_does_not_follow_stays(other: Result) -> None:
    assert without_consequences([failed("CFG-2.observed", 2), other])[1] == other


def test_evidence_without_a_place_is_not_asked_for_one() -> None:
    assert statuses(failed("CFG-2.observed", 2), failed("CQI-1.observed", 2, None)) == [Status.FAILED, Status.BLOCKED]


def test_a_root_that_was_kept_blocks_nothing() -> None:
    kept = Result(Check("CFG-2.observed", "t"), Status.BLOCKED, evidence=(Evidence("x", 2),))
    assert statuses(kept, failed("CQI-1.observed", 2)) == [Status.BLOCKED, Status.FAILED]


def test_something_always_stays_failed() -> None:
    everything = [
        failed(f"{clause_id}.x", 1) for clause_id in {*CONSEQUENCES, *(r for s in CONSEQUENCES.values() for r in s)}
    ]
    assert Status.FAILED in statuses(*everything)
