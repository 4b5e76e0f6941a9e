"""Each broken server is found by a check of the clause that it breaks, and by no other."""

from __future__ import annotations

import attrs
import pytest
from conformance.broken import judged

from ihproto import REVISIONS, V1, V2
from ihproto_conformance.clause_coverage import UNTESTABLE
from ihproto_conformance.faults import FAULTS, Fault, FaultyServer, fault
from ihproto_conformance.faults import blocks as b
from ihproto_conformance.faults.fault import Behaviour
from ihproto_conformance.matrix import judge_fault, row
from ihproto_conformance.verdict import Status, Verdict

pytestmark = pytest.mark.matrix


@pytest.mark.parametrize("fault_id", FAULTS)
def test_it_is_found_where_it_is_and_nowhere_else(fault_id: str) -> None:
    found, failures = judged(fault_id)
    assert failures == ()
    assert found.unjudged is None
    assert found.fault.clause.id in {result.check.clause.id for result in found.named}
    assert [result.check.id for result in found.alarms] == []
    for result in found.blocked:
        assert result.evidence, f"{result.check.id} is blocked and does not say why"


@pytest.mark.parametrize("revision_id", REVISIONS)
def test_what_stands_in_front_changes_nothing_by_itself(revision_id: str) -> None:
    harmless = Fault("CLS-3.nothing", "Does nothing wrong", Behaviour(), (revision_id,))
    report = judge_fault(harmless)
    assert report.verdict is Verdict.CONFORMS, [result.check.id for result in report.results if result.counts]
    assert Status.PASSED in report.counted()


def test_a_fault_of_another_clause_is_an_alarm() -> None:
    mislabelled = attrs.evolve(FAULTS["ENG-2.repeated"], id="SEG-5.repeated")
    found = row(mislabelled)
    assert not found.caught
    assert [result.check.id for result in found.alarms] == ["ENG-2.observed"]


def test_a_fault_that_does_nothing_is_not_found() -> None:
    assert not row(Fault("ENG-2.nothing", "Does nothing wrong", Behaviour())).caught


@pytest.mark.parametrize("fault_id", FAULTS)
def test_it_breaks_a_clause_in_revisions_that_have_it(fault_id: str) -> None:
    broken = FAULTS[fault_id]
    assert fault_id == broken.id
    assert set(broken.revisions) <= set(broken.clause.revisions)
    assert broken.clause.id not in UNTESTABLE
    assert broken.sentence[0].isupper()


def test_an_unknown_fault_names_the_nearest() -> None:
    with pytest.raises(KeyError, match=r"no fault 'SIG-1.repeted'; the nearest are SIG-1.repeated"):
        fault("SIG-1.repeted")
    with pytest.raises(KeyError, match="--list-faults"):
        fault("###")
    assert fault("SIG-1.repeated").clause.id == "SIG-1"


def test_a_sentence_has_no_full_stop() -> None:
    with pytest.raises(ValueError, match="full stop"):
        Fault("SIG-1.x", "Is wrong.", Behaviour())


def test_it_has_no_url_before_it_listens() -> None:
    with pytest.raises(RuntimeError, match="not listening"):
        _ = FaultyServer(FAULTS["SIG-1.repeated"]).url


def test_another_revision_at_the_same_path_is_refused() -> None:
    with pytest.raises(ValueError, match="share the path"):
        FaultyServer(FAULTS["SIG-1.repeated"], pin=["v1-window"])
    server = FaultyServer(FAULTS["SIG-1.repeated"], revision=V2, pin=["v1-window"])
    assert (server.revision, FaultyServer(FAULTS["SIG-1.repeated"]).revision) == (V2, V1)


def test_of_several_behaviours_the_first_with_a_hook_provides_it() -> None:
    first, second = b.withhold("error"), b.repeat("error")
    heard = b.hears(lambda message, talk: None)
    both = b.together(first, heard, second)
    assert (both.server, both.client) == (first.server, heard.client)
