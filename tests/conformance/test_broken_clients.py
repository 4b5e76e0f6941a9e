"""The proof of the judging server: each client that is broken on purpose is found out, and nothing else is blamed."""

from __future__ import annotations

import pytest
from conformance.broken import judged_client

from ihproto import REVISIONS
from ihproto_conformance.client.broken import BROKEN, Variant, correct
from ihproto_conformance.client.matrix import client_matrix, judge_variant
from ihproto_conformance.verdict import Severity, Status, Verdict

pytestmark = pytest.mark.matrix


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_client_that_keeps_every_rule_passes_everything(revision: str) -> None:
    report, _ = judge_variant(correct(REVISIONS[revision]))
    assert [result.check.id for result in report.results if result.status.broken] == []
    assert report.verdict is Verdict.CONFORMS
    assert any(result.status is Status.PASSED for result in report.results)


@pytest.mark.parametrize("variant", BROKEN, ids=lambda variant: f"{variant.clause_id}-{variant.name}")
def test_the_broken_clause_is_named_and_no_other(variant: Variant) -> None:
    report = judged_client(variant)
    broken = [result for result in report.results if result.status.broken]
    failed = [result for result in broken if result.status is Status.FAILED]
    assert {result.check.clause.id for result in failed} == {variant.clause_id}
    ids = {result.check.id for result in broken}
    for result in broken:
        assert result.evidence, f"{result.check.id} shows nothing"
        if result.status is Status.BLOCKED:
            by = [id_ for id_ in ids - {result.check.id} if id_ in result.evidence[0].what]
            assert by, f"{result.check.id} does not say by what it was blocked: {result.evidence[0].what}"
    heavy = any(result.check.severity is Severity.FAILURE for result in broken)
    assert report.verdict is (Verdict.VIOLATIONS if heavy else Verdict.CONFORMS)


def test_the_evidence_points_to_a_record_of_a_session() -> None:
    for variant in BROKEN:
        if variant.name not in ("does-not-wait", "sends-pictures", "never-ends", "hammers"):
            continue
        report = judged_client(variant)
        for result in report.results:
            for item in result.evidence if result.status is Status.FAILED else ():
                assert item.session is not None
                session = report.sessions[item.session - 1]
                assert session.number == item.session
                assert session.scenario in result.scenarios
                assert item.record is not None
                assert session.entries[item.record].record.time == pytest.approx(item.time, abs=1e-6)


def test_there_are_enough_of_them_with_names_of_their_own() -> None:
    assert len(BROKEN) >= 25
    assert len({variant.name for variant in BROKEN}) == len(BROKEN)
    assert all(variant.what.endswith(".") for variant in BROKEN)


def test_the_matrix_has_a_row_for_each_client_that_is_wanted() -> None:
    wanted = [BROKEN[0], correct(REVISIONS["v0"])]
    (first, found), (second, clean) = client_matrix(wanted)
    assert [first, second] == wanted
    assert [result.check.id for result in found if result.status.broken] == ["HS-1.path"]
    assert [result.check.id for result in clean if result.status.broken] == []
