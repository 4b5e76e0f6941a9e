"""Drawn messages and sessions of servers, judged by our sessions and, apart from them, by the model."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime

import model
import pytest
from builders import TIMESTAMP
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from hypothesis.vendor.pretty import pretty
from network import EXAMPLES

import ihproto as ih
from ihproto.testing.strategies import (
    ClientClosed,
    ClientSaid,
    ClientSent,
    ClientStep,
    ServerClosed,
    ServerSaid,
    ServerSent,
    Transcript,
    envelopes,
    messages,
    server_sessions,
    session_configs,
)

REVISIONS = pytest.mark.parametrize("revision", ih.REVISIONS.values(), ids=lambda revision: revision.id)
FEW = settings(max_examples=EXAMPLES // 4)
NEVER_OF_A_SERVER = {"x.unheard_of", "x.signal"}
#: Searches find the same on every run; most need not find the shortest.
SHORTEST = settings(max_examples=2000, derandomize=True, database=None)
SEARCH = settings(SHORTEST, phases=[Phase.generate])
#: Whoever counts what was drawn has to count the same on every run.
STEADY = settings(max_examples=400, derandomize=True, database=None)


def types_of(transcript: Transcript) -> list[str]:
    name = transcript.revision.framing.discriminator
    return [json.loads(text)[name] for text in transcript.texts]


@REVISIONS
def test_messages_are_valid_by_themselves(revision: ih.Revision) -> None:
    drawn = Counter[type]()

    @STEADY
    @given(messages(revision))
    def check(message: ih.ServerMessage) -> None:
        drawn[type(message)] += 1
        codec = ih.Codec(revision)
        text = codec.encode_server(message, timestamp=TIMESTAMP, correlation_id="a")
        assert codec.decode_server(text).message == message
        if revision.announces and message.type != "coverage.degraded":
            model.read_envelope(text, "a", datetime.fromisoformat(TIMESTAMP))

    check()
    assert set(drawn) == set(revision.messages)


@REVISIONS
def test_envelopes_are_read_and_what_is_unknown_is_handed_on(revision: ih.Revision) -> None:
    unknown = Counter[bool]()

    @STEADY
    @given(envelopes(revision), envelopes(revision, unknown=True))
    def check(known: str, newer: str) -> None:
        codec = ih.Codec(revision)
        assert not isinstance(codec.decode_server(known).message, ih.Unknown)
        unknown[isinstance(codec.decode_server(newer).message, ih.Unknown)] += 1
        moment = codec.decode_server(known).timestamp
        assert (moment is None) is ("timestamp" not in revision.framing.members)
        assert moment is None or datetime.fromisoformat(moment).utcoffset() is not None

    check()
    assert set(unknown) == {True, False}


@REVISIONS
@pytest.mark.parametrize("newer", [False, True], ids=["known", "newer"])
def test_nobody_finds_fault_with_a_legal_session(revision: ih.Revision, newer: bool) -> None:
    known = {cls.type for cls in revision.messages} | (NEVER_OF_A_SERVER if newer else set())

    @FEW
    @given(server_sessions(revision, unknown=newer))
    def check(session: Transcript) -> None:
        events = session.client_events(strict=True)
        assert [str(event.violation) for event in events if isinstance(event, ih.Violated)] == []
        assert [event.raw for event in events if isinstance(event, ih.Envelope)] == [*session.texts]
        assert [str(violation) for violation in session.violations()] == []
        assert set(types_of(session)) <= known
        if revision.announces:
            model.check_lifecycles(session.texts)

    check()


@REVISIONS
def test_what_is_unknown_is_there_when_it_is_wanted(revision: ih.Revision) -> None:
    missing = {*NEVER_OF_A_SERVER, "x_new", "x_later"}

    def completes(session: Transcript) -> bool:
        missing.difference_update([what for what in missing if what in "".join(session.texts)])
        return not missing

    find(server_sessions(revision, unknown=True), completes, settings=SEARCH)


@pytest.mark.parametrize("revision", [ih.V1, ih.V2], ids=lambda revision: revision.id)
def test_the_model_reads_every_envelope(revision: ih.Revision) -> None:
    @FEW
    @given(server_sessions(revision))
    def check(session: Transcript) -> None:
        for text in session.texts:
            told = json.loads(text)
            if told["type"] != "coverage.degraded":
                model.read_envelope(text, session.correlation_id, datetime.fromisoformat(told["timestamp"]))

    check()


@REVISIONS
def test_sessions_have_messages_of_every_type(revision: ih.Revision) -> None:
    missing = {cls.type for cls in revision.messages}
    if revision is ih.V1:
        # Its usual contract offers no goals.
        missing.remove("feedback.generated")

    def completes(session: Transcript) -> bool:
        missing.difference_update(types_of(session))
        return not missing

    find(server_sessions(revision), completes, settings=SEARCH)


def test_a_signal_may_come_again() -> None:
    def again(session: Transcript) -> bool:
        told = [json.loads(text) for text in session.texts]
        names = [each["data"]["signal_type"] for each in told if each["type"] == "signal.detected"]
        return len(names) != len(set(names))

    find(server_sessions(), again, settings=SEARCH)


def test_examples_become_short() -> None:
    session = find(server_sessions(), lambda session: len(session.texts) >= 3, settings=SHORTEST)
    assert len(session.steps) <= 8, f"not short:\n{session}"


@pytest.mark.parametrize(
    ("ending", "code"), [("timeout", 1001), ("failure", 1011), ("refusal", 4003), ("client", 1000)]
)
def test_a_session_may_end_in_every_way(ending: str, code: int) -> None:
    def ends(session: Transcript) -> bool:
        return any(isinstance(step, ServerClosed) and step.code == code for step in session.steps)

    session = find(server_sessions(endings=[ending]), ends, settings=SEARCH)
    closes = [step for step in session.steps if isinstance(step, ServerClosed | ClientClosed)]
    assert sorted(type(step).__name__ for step in closes) == ["ClientClosed", "ServerClosed"]


def test_only_endings_that_there_are_can_be_asked_for() -> None:
    with pytest.raises(ValueError, match="client, timeout, failure, refusal; not dawn"):
        server_sessions(endings=["dawn"])
    with pytest.raises(ValueError, match="not none"):
        server_sessions(endings=[])


def test_the_client_may_be_given() -> None:
    actions = (ClientSent((b"no", b" media")), ClientSaid('{"include":"all"}'), ClientClosed(1000))

    @FEW
    @given(server_sessions(actions=st.just(actions), endings=["client"]))
    def check(session: Transcript) -> None:
        assert tuple(step for step in session.steps if isinstance(step, ClientStep)) == actions
        errors = [json.loads(text)["data"] for text in session.texts if '"error"' in text]
        assert {(error["code"], error["segment"]) for error in errors} >= {("ih4002", 1), ("ih6001", None)}
        assert session.violations() == []

    check()


def test_what_a_client_does_behind_its_close_is_not_part_of_the_session() -> None:
    actions = (ClientClosed(1000), ClientSaid('{"include":[]}'), ClientSent((b"no media",)))

    @FEW
    @given(server_sessions(actions=st.just(actions), endings=["client"]))
    def check(session: Transcript) -> None:
        assert session.steps[-2:] == (ClientClosed(1000), ServerClosed(1000))
        assert session.violations() == []

    check()


def test_what_the_url_asks_for_is_part_of_a_session() -> None:
    session = find(server_sessions(ih.V0_2), lambda session: len(session.asked.include) == 2, settings=SEARCH)
    assert sorted(session.query) == [("include[]", name) for name in sorted(session.asked.include)]


def test_revisions_without_configs_have_none_to_draw() -> None:
    with pytest.raises(Unsatisfiable):
        find(session_configs(ih.V0), lambda config: True, settings=SEARCH)


def test_a_transcript_reads_as_one() -> None:
    transcript = Transcript(
        ih.V1,
        "a-b",
        ih.SessionConfig(),
        (ServerSaid("{}"), ClientSaid("[]"), ClientSent((b"xy", b"z")), ServerSent(b"xyz"), ServerClosed(1001, "bye")),
    )
    lines = ["server: {}", "client: []", "client: <2 + 1 bytes>", "server: <3 bytes>", "server: close 1001 bye"]
    assert str(transcript).splitlines() == ["v1 session a-b", *lines]
    assert pretty(transcript).split("\n    ") == ["<v1 session a-b", *lines[:-1], f"{lines[-1]}>"]
    assert pretty(transcript.steps[2]) == repr(transcript.steps[2]) == "ClientSent(pieces=<2 + 1 bytes>)"
    assert "secret" not in repr(ClientSent((b"secret",)))


def test_a_client_that_is_at_fault_itself_is_told_so() -> None:
    transcript = Transcript(ih.V1, "a", ih.SessionConfig(), (ClientSent((b"x",)),))
    with pytest.raises(ih.LocalProtocolError, match=r"^RDY-4:"):
        transcript.client_events()
