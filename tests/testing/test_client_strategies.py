"""Drawn clients: a server and a monitor find nothing in what is legal, and name the clause of what is not."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import find, given, settings
from network import EXAMPLES, STARTED_AT

import ihproto as ih
from ihproto.testing import clients
from ihproto.testing.clients import CLIENT_FAULTS, ClientFault
from ihproto.testing.strategies import (
    BrokenActions,
    ClientClosed,
    ClientSaid,
    ClientSent,
    ClientStep,
    Transcript,
    broken_client_actions,
    client_actions,
    query_configs,
    server_sessions,
)

REVISIONS = pytest.mark.parametrize("revision", ih.REVISIONS.values(), ids=lambda revision: revision.id)
FEW = settings(max_examples=EXAMPLES // 4)
#: Whoever counts what was drawn has to count the same on every run.
STEADY = settings(max_examples=400, derandomize=True, database=None)


def refusals(revision: ih.Revision, actions: tuple[ClientStep, ...]) -> list[str]:
    """The clauses that a server names, which looks into the media and analyses nothing."""
    server = ih.ServerSession(0.0, correlation_id="a", started_at=STARTED_AT, revision=revision)
    server.open(0.0)
    for action in actions:
        match action:
            case ClientSaid(text):
                server.receive_text(text, 0.0)
            case ClientSent(pieces):
                for number, piece in enumerate(pieces, start=1):
                    server.receive_bytes(piece, 0.0, final=number == len(pieces))
            case ClientClosed(code):
                server.receive_close(code)
    found = []
    for event in server.events():
        if isinstance(event, ih.Violated):
            found.append(event.violation.clause.id)
        elif isinstance(event, ih.SegmentRefused):
            found.append(event.clause_id)
    return found


def observed(revision: ih.Revision, actions: tuple[ClientStep, ...]) -> list[str]:
    """The clauses that a monitor names, which sees a server that says no more than it must."""
    monitor = ih.SessionMonitor(revision=revision, scanner=ih.MediaScanner(revision.contract))
    if revision.announces:
        text = ih.Codec(revision).encode_server(revision.contract, timestamp="2025-01-01T00:00:00Z", correlation_id="a")
        assert monitor.observe_text(ih.Side.SERVER, text).violations == ()
    found: list[ih.Violation] = []
    for action in actions:
        match action:
            case ClientSaid(text):
                found += monitor.observe_text(ih.Side.CLIENT, text).violations
            case ClientSent(pieces):
                for number, piece in enumerate(pieces, start=1):
                    found += monitor.observe_bytes(ih.Side.CLIENT, piece, final=number == len(pieces)).violations
            case ClientClosed():
                found += monitor.observe_close(ih.Side.CLIENT).violations
    return [violation.clause.id for violation in found]


@REVISIONS
def test_nobody_finds_fault_with_a_legal_client(revision: ih.Revision) -> None:
    @FEW
    @given(client_actions(revision))
    def check(actions: tuple[ClientStep, ...]) -> None:
        assert refusals(revision, actions) == []
        assert observed(revision, actions) == []

    check()


@REVISIONS
def test_clients_do_all_that_they_may(revision: ih.Revision) -> None:
    seen, named = Counter[str](), Counter[str]()

    @STEADY
    @given(client_actions(revision), client_actions(revision, refused=True))
    def count(actions: tuple[ClientStep, ...], others: tuple[ClientStep, ...]) -> None:
        seen.update(type(action).__name__ for action in actions)
        seen.update(action.text for action in actions if isinstance(action, ClientSaid))
        named.update(refusals(revision, others))

    count()
    assert "ClientSaid" not in seen or revision.config_keys
    assert '{"type":"session.close"}' not in seen or revision.drains
    assert {"ClientSent", "ClientClosed"} <= set(seen)
    # In v0 what is no media is too small first of all.
    assert set(named) <= {"SEG-10"} | ({"SEG-3"} if revision is ih.V0 else {"SEG-5", "SEG-6"})
    assert named


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        (ih.V1_WINDOW, '"include"'),
        (ih.V1, '"include"'),
        (ih.V1, '{"type":"session.close"}'),
        (ih.V2, '{"type":"session.close"}'),
        (ih.V2, "pcm_s16le"),
    ],
)
def test_clients_say_all_that_they_may(revision: ih.Revision, said: str) -> None:
    def says_it(actions: tuple[ClientStep, ...]) -> bool:
        return any(isinstance(action, ClientSaid) and said in action.text for action in actions)

    assert says_it(find(client_actions(revision), says_it, settings=settings(max_examples=2000, database=None)))


CASES = [
    pytest.param(revision, fault, id=f"{revision.id}-{fault.clause_id}-{fault.name}")
    for fault in CLIENT_FAULTS
    for revision in ih.REVISIONS.values()
    if fault.applies(revision)
]


@pytest.mark.parametrize(("revision", "fault"), CASES)
def test_the_clause_is_named(revision: ih.Revision, fault: ClientFault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "CLIENT_FAULTS", (fault,))

    @settings(max_examples=max(EXAMPLES // 20, 3))
    @given(broken_client_actions(revision, large=True))
    def check(broken: BrokenActions) -> None:
        assert (broken.clause_id, broken.fault) == (fault.clause_id, fault.name)
        assert broken.level is ih.clause(fault.clause_id).level
        assert set(refusals(revision, broken.actions)) == {broken.clause_id}
        assert observed(revision, broken.actions) == [broken.clause_id]

    check()


def test_nothing_large_is_drawn_unless_it_is_wanted() -> None:
    drawn = Counter[str]()

    @STEADY
    @given(broken_client_actions(max_segments=0))
    def check(broken: BrokenActions) -> None:
        drawn[broken.clause_id] += 1
        assert sum(len(action.data) for action in broken.actions if isinstance(action, ClientSent)) < 2**20

    check()
    assert "SEG-2" not in drawn
    assert set(drawn) == {fault.clause_id for fault in CLIENT_FAULTS if fault.applies(ih.V1)} - {"SEG-2"}


@REVISIONS
def test_a_client_that_is_at_fault_does_not_make_a_server_do_wrong(revision: ih.Revision) -> None:
    broken = broken_client_actions(revision).map(lambda broken: broken.actions)

    @FEW
    @given(server_sessions(revision, actions=broken))
    def check(session: Transcript) -> None:
        assert [str(violation) for violation in session.violations()] == []

    check()


@REVISIONS
def test_what_the_url_asks_for_is_what_the_revision_takes(revision: ih.Revision) -> None:
    drawn = Counter[tuple[bool, bool]]()

    @STEADY
    @given(query_configs(revision))
    def check(config: ih.SessionConfig) -> None:
        drawn[bool(config.include), config.model is not None] += 1

    check()
    wanted = {"v0.2": {(False, False), (True, False)}, "v2": {(False, False), (False, True)}}
    assert set(drawn) == wanted.get(revision.id, {(False, False)})


def test_the_model_of_the_url_is_what_the_segments_are_for() -> None:
    @FEW
    @given(client_actions(ih.V2, asked=ih.SessionConfig(model="inter-2-audio")))
    def check(actions: tuple[ClientStep, ...]) -> None:
        first = next((action for action in actions if isinstance(action, ClientSent)), None)
        chosen = any(isinstance(action, ClientSaid) and '"model"' in action.text for action in actions)
        if first is not None and not chosen:
            assert b"V_VP8" not in first.data

    check()
