"""Every joint state of a client, a server and the network between them, within small bounds."""

from __future__ import annotations

from functools import cache

import pytest
from states.copies import SKIPPED
from states.ends import Bounds
from states.joint import Findings, explore
from states.tables import client_coverage, server_coverage
from states.violations import REFUSALS, inject

import ihproto as ih
from ihproto.automata import CLIENT_TABLE, SERVER_TABLE, ClientTrigger, Refusal, ServerTrigger

SMALL = Bounds(segments=1, configs=1, signals=1)
TINY = Bounds(segments=1, configs=0, signals=0)


explored = cache(explore)


def tiny() -> Findings:
    return explore(ih.V1, TINY)


@pytest.mark.parametrize(
    ("revision", "bounds"),
    [
        (ih.V1, SMALL),
        (ih.V1, Bounds(segments=1, configs=1, signals=0, pieces=2)),
        (ih.V2, TINY),
        (ih.V1_WINDOW, Bounds(segments=1, configs=1, signals=1, errors=1)),
        (ih.V0_2, Bounds(signals=1, errors=1, pieces=2)),
        (ih.V0, Bounds(signals=1, errors=1, pieces=2)),
    ],
    ids=lambda it: it.id if isinstance(it, ih.Revision) else "",
)
def test_every_run_ends_and_nobody_is_accused(revision: ih.Revision, bounds: Bounds) -> None:
    found = explored(revision, bounds)
    assert found.states > 300
    # Each side is closed or lost, and that is all there is to tell.
    assert found.final == 4
    assert found.stuck == []
    assert not found.endless
    assert found.accusations == {}
    assert found.disagreements == []
    assert found.right


def test_a_server_is_too_slow_only_if_something_of_it_is_due() -> None:
    overdue = explored(ih.V1, SMALL).overdue
    assert {what.split(":")[0] for what in overdue} == {"RDY-1", "RDY-3", "CLS-1", "ERR-2"}
    assert all(way[-1] == "the client's timer fires" for way in overdue.values())


def test_every_entry_of_both_tables_is_taken_and_every_refusal_said() -> None:
    for coverage in (client_coverage(ih.V1, ih.V1_WINDOW), server_coverage(ih.V0, ih.V1)):
        assert coverage.missing == set()
        assert coverage.surplus == set()
        assert coverage.unsaid == set()


def test_accusations_are_those_of_a_second_opinion() -> None:
    unused = set(REFUSALS)
    for revision, bounds in (
        (ih.V1, Bounds(segments=1, configs=0, signals=1)),
        (ih.V1, Bounds(segments=0, configs=1, signals=0, errors=1)),
        (ih.V1_WINDOW, Bounds(segments=1, configs=0, signals=1)),
        (ih.V0_2, Bounds(signals=1)),
        (ih.V0, Bounds(signals=1)),
    ):
        verdicts = inject(revision, bounds)
        assert verdicts.differences == {}
        assert verdicts.right
        assert 0 < verdicts.wrong < verdicts.injected
        unused -= verdicts.refusals
    assert unused == set()


# -- it notices -----------------------------------------------------------------------------------


def with_client_entry(
    monkeypatch: pytest.MonkeyPatch,
    state: ih.ClientState,
    trigger: ClientTrigger,
    entry: ih.ClientState | Refusal[ih.ClientState],
) -> None:
    row = {**CLIENT_TABLE[state], trigger: entry}
    monkeypatch.setattr("ihproto.automata.CLIENT_TABLE", {**CLIENT_TABLE, state: row})


def with_server_entry(
    monkeypatch: pytest.MonkeyPatch,
    state: ih.ServerState,
    trigger: ServerTrigger,
    entry: ih.ServerState | Refusal[ih.ServerState],
) -> None:
    row = {**SERVER_TABLE[state], trigger: entry}
    monkeypatch.setattr("ihproto.automata.SERVER_TABLE", {**SERVER_TABLE, state: row})


def test_a_table_that_forbids_what_a_server_may_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with_client_entry(
        monkeypatch,
        ih.ClientState.OPEN,
        ClientTrigger.RECEIVE_REPORT,
        CLIENT_TABLE[ih.ClientState.OPEN][ClientTrigger.RECEIVE_CLOSING],
    )
    assert tiny().accusations


def test_a_client_that_does_not_see_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with_client_entry(monkeypatch, ih.ClientState.OPEN, ClientTrigger.RECEIVE_CLOSE, ih.ClientState.OPEN)
    found = tiny()
    assert found.stuck
    assert not found.right


def test_a_server_that_leaves_a_session_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ih.ServerSession, "next_timeout", lambda session: None)
    found = tiny()
    assert ["open", "the client hears"] in found.stuck


def test_a_server_that_never_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ih.ServerSession, "handle_timeout", lambda session, now: None)
    assert tiny().endless


def test_a_client_that_can_always_send_more() -> None:
    assert explore(ih.V1, Bounds(segments=1000, configs=0, signals=0), limit=1000).endless


def test_a_server_that_says_nothing_at_the_end_of_a_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ih.ServerSession, "_end_when_drained", lambda session, now: session.close(now))
    assert any(what.startswith("CLS-1") for what in tiny().accusations)


def test_sessions_that_are_taken_for_the_same_and_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("states.copies.SKIPPED", SKIPPED | {"_asked"})
    assert explore(ih.V1, SMALL).disagreements


def test_an_entry_that_the_session_does_not_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ih.ServerSession, "_receive_session_close", lambda session, text, now: None)
    missing = server_coverage(ih.V0, ih.V1).missing
    assert (ih.ServerState.OPEN, ServerTrigger.RECEIVE_SESSION_CLOSE) in missing


def test_an_entry_that_is_taken_although_it_should_be_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ih.ServerSession, "_expect_input", lambda session, now: None)
    surplus = server_coverage(ih.V0, ih.V1).surplus
    assert (ih.ServerState.OPENING, ServerTrigger.RECEIVE_CONFIG) in surplus


def test_a_refusal_that_nobody_hears_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ih.ServerSession, "_blame", lambda session, finding, raw: None)
    unsaid = server_coverage(ih.V0, ih.V1).unsaid
    assert (ih.ServerState.DRAINING, ServerTrigger.RECEIVE_SEGMENT) in unsaid


def test_a_refusal_that_the_session_does_not_heed(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = SERVER_TABLE[ih.ServerState.DRAINING][ServerTrigger.RECEIVE_SEGMENT]
    with_server_entry(monkeypatch, ih.ServerState.OPEN, ServerTrigger.RECEIVE_CONFIG, refusal)
    assert server_coverage(ih.V1).unsaid == {(ih.ServerState.OPEN, ServerTrigger.RECEIVE_CONFIG)}


def test_a_server_that_is_closed_by_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    with_server_entry(monkeypatch, ih.ServerState.CLOSING, ServerTrigger.RECEIVE_SEGMENT, ih.ServerState.CLOSED)
    with pytest.raises(AssertionError, match="only the other's close"):
        server_coverage(ih.V1)


def test_a_server_that_takes_media_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with_server_entry(monkeypatch, ih.ServerState.DRAINING, ServerTrigger.RECEIVE_SEGMENT, ih.ServerState.DRAINING)
    differences = inject(ih.V1, TINY).differences
    assert differences["a segment, ServerState.DRAINING"] == ([], ["CLS-2"])


def test_a_client_that_lets_a_second_ready_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    with_client_entry(monkeypatch, ih.ClientState.OPEN, ClientTrigger.RECEIVE_READY, ih.ClientState.OPEN)
    differences = inject(ih.V1, Bounds(segments=0, configs=0, signals=0)).differences
    assert differences["session.ready, ClientState.OPEN"] == ([], ["RDY-1"])
