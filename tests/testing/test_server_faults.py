"""Drawn sessions in which the server breaks one clause: our sessions name just that one first."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from network import EXAMPLES

import ihproto as ih
from ihproto.testing import faults
from ihproto.testing.faults import SERVER_FAULTS, ServerFault
from ihproto.testing.strategies import BrokenTranscript, Transcript, broken_server_sessions, server_sessions

#: Clauses that a server can break by what it says, and by when it says it; TMO, CLS-3 and HS are about more than that.
MUST = {
    "v0": {"STS-1", "STS-2", "STS-4", "SEG-1"},
    "v0.2": {"STS-1", "STS-2", "STS-3", "SEG-1", "HS-9", "CQI-5"},
    "v1-window": {"ENV-1", "ENV-2", "ENV-5", "HS-9", "WIN-3", "CQI-5", "ERR-1", "SEG-1", "SEG-8"},
    "v1": {
        *("ENV-1", "ENV-2", "ENV-5", "HS-9", "RDY-1", "RDY-2", "RDY-3", "CFG-2", "SEG-1", "SEG-8", "ERR-1"),
        *("SIG-1", "SIG-2", "SIG-3", "SIG-4", "SIG-5", "ENG-1", "ENG-2", "ENG-3"),
        *("CQI-1", "CQI-2", "CQI-3", "CQI-5"),
    },
}
MUST["v2"] = MUST["v1"]
SHOULD = {
    "v0": {"SIG-6"},
    "v0.2": {"SIG-6", "CQI-6"},
    "v1-window": {"SIG-6", "CQI-6"},
    "v1": {"CFG-4", "CFG-6", "CLS-1", "COV-1", "SIG-6", "SIG-7", "CQI-6"},
    "v2": {"CFG-4", "CFG-6", "CFG-7", "CLS-1", "COV-1", "SIG-6", "SIG-7", "SIG-8", "CQI-6"},
}
CASES = [
    pytest.param(ih.REVISIONS[name], fault, id=f"{name}-{fault.clause_id}-{fault.name}")
    for fault in SERVER_FAULTS
    for name in fault.revisions
]


def clauses_named_by_a_client(transcript: Transcript) -> list[str]:
    return [event.violation.clause.id for event in transcript.client_events() if isinstance(event, ih.Violated)]


@pytest.mark.parametrize(("revision", "fault"), CASES)
def test_the_clause_is_named_first(revision: ih.Revision, fault: ServerFault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "SERVER_FAULTS", (fault,))

    @settings(max_examples=max(EXAMPLES // 20, 3))
    @given(broken_server_sessions(revision))
    def check(broken: BrokenTranscript) -> None:
        assert (broken.clause_id, broken.fault) == (fault.clause_id, fault.name)
        transcript = broken.transcript
        assert clauses_named_by_a_client(transcript)[0] == broken.clause_id
        assert transcript.violations()[0].clause.id == broken.clause_id
        if broken.level is ih.Level.MUST:
            with pytest.raises(ih.RemoteProtocolError, match=f"^{broken.clause_id}: "):
                transcript.client_events(strict=True)

    check()


@pytest.mark.parametrize("name", ih.REVISIONS)
def test_there_is_a_fault_for_every_clause_that_can_be_broken_by_texts(name: str) -> None:
    broken = {fault.clause_id for fault in SERVER_FAULTS if name in fault.revisions}
    assert {clause_id for clause_id in broken if ih.clause(clause_id).level is ih.Level.MUST} == MUST[name]
    assert broken - MUST[name] == SHOULD[name]


@pytest.mark.parametrize("name", ih.REVISIONS)
def test_faults_have_names_of_their_own(name: str) -> None:
    names = [(fault.clause_id, fault.name) for fault in SERVER_FAULTS if name in fault.revisions]
    assert len(names) == len(set(names))


@given(broken_server_sessions(ih.V1, clause_ids=["SIG-4", "COV-1"]))
def test_clauses_can_be_chosen(broken: BrokenTranscript) -> None:
    assert broken.clause_id in ("SIG-4", "COV-1")
    assert broken.level is (ih.Level.MUST if broken.clause_id == "SIG-4" else ih.Level.SHOULD)


def test_only_what_can_be_broken_can_be_chosen() -> None:
    with pytest.raises(ValueError, match="no way in v1 to break STS-1, WIN-3"):
        broken_server_sessions(ih.V1, clause_ids=["WIN-3", "SIG-1", "STS-1"])
    with pytest.raises(ValueError, match="break no clause"):
        broken_server_sessions(ih.V1, clause_ids=[])


@pytest.mark.parametrize("revision", ih.REVISIONS.values(), ids=lambda revision: revision.id)
def test_the_usual_settings_of_hypothesis_are_enough(revision: ih.Revision) -> None:
    """No health check fails but for that of time, which depends on the machine."""
    usual = settings(
        settings.get_profile("default"),
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=15,
        suppress_health_check=[HealthCheck.too_slow],
    )
    usual(
        given(server_sessions(revision, unknown=True), broken_server_sessions(revision))(lambda legal, broken: None)
    )()
