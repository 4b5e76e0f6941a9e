"""Whole sessions of a server: each message reaches the rules of its family."""

from typing import Any

import attrs
import pytest

from ihproto import messages as m
from ihproto.codec import Codec, Envelope
from ihproto.revisions import V1, Model
from ihproto.rules import ServerRules

OVERALL, TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"
FIFTY = m.QualityScores(50, 50, 50, 50, 50, 50)
READY = attrs.evolve(
    V1.contract,
    supported_session_config_options=m.ConfigOptions((OVERALL, TIMELINE), ("clarity", "energy")),
)
STAMP = "2025-01-01T00:00:00.000000Z"

Found = list[tuple[str, str | None]]
codec = Codec()


def judge(rules: ServerRules, *said: m.ServerMessage) -> list[Found]:
    places = []
    for message in said:
        text = codec.encode_server(message, timestamp=STAMP, correlation_id="c-1")
        places.append([(finding.clause.id, finding.path) for finding in rules.judge(codec.decode_server(text))])
    return places


def test_a_whole_session_keeps_every_clause() -> None:
    rules = ServerRules(correlation_id="c-1")
    rules.config.note(m.SessionConfig([OVERALL, TIMELINE], ["energy"]))
    rules.errors.segments_sent = 5
    rules.config.note(m.SessionClose())
    said = [
        READY,
        m.SessionUpdated((OVERALL, TIMELINE), ("energy",)),
        m.SignalDetected("agreement", 0, "low"),
        m.SignalDetected("interest", 2, "medium", "leans in", ("video",)),
        m.EngagementUpdated("engaged", 0),
        m.SignalUpdated("agreement", 5, "high"),
        m.ConversationQualityUpdated(FIFTY, (m.TimelineEntry(0, 10, FIFTY),)),
        m.FeedbackGenerated("Keep going."),
        m.Error("ih6002", "too large", segment=5),
        m.SignalEnded("interest", 8),
        m.CoverageDropped((m.MediaRange(11, 14),)),
        m.CoverageDegraded((m.MediaRange(14, 17),)),
        m.EngagementUpdated("neutral", 14),
        m.SessionClosing(30),
        m.SignalEnded("agreement", 17),
        m.SessionEnded("client_shutdown"),
    ]
    assert {type(message) for message in said} == set(V1.messages)
    assert judge(rules, *said) == [[]] * len(said)
    assert rules.contract == READY
    assert rules.config.options == READY.supported_session_config_options
    assert rules.ended == m.SessionEnded("client_shutdown")
    assert rules.config.unanswered == 0


@pytest.mark.parametrize(
    ("before", "message", "clause_id", "path"),
    [
        ([], attrs.evolve(READY, session_max_duration_seconds=0), "RDY-2", "$.data.session_max_duration_seconds"),
        ([READY], m.SessionUpdated(), "CFG-2", None),
        ([READY], m.FeedbackGenerated("Keep going."), "CFG-6", None),
        ([READY, m.SignalDetected("agreement", 3)], m.SignalDetected("agreement", 4), "SIG-1", "$.data.signal_type"),
        ([READY], m.SignalUpdated("agreement", 4), "SIG-2", "$.data.signal_type"),
        ([READY, m.SignalDetected("agreement", 3)], m.SignalEnded("agreement", 2), "SIG-4", "$.data.end"),
        ([READY], m.SignalEnded("agreement", 2), "SIG-5", "$.data.signal_type"),
        ([READY], m.SignalDetected("boredom", 2), "SIG-6", "$.data.signal_type"),
        ([READY, m.SignalDetected("agreement", 3)], m.SessionEnded("client_shutdown"), "SIG-7", None),
        ([READY, m.EngagementUpdated("engaged", 0)], m.EngagementUpdated("engaged", 3), "ENG-2", "$.data.state"),
        ([READY], m.EngagementUpdated("bored", 3), "ENG-3", "$.data.state"),
        ([READY], m.ConversationQualityUpdated(FIFTY), "CQI-1", None),
        ([READY], m.CoverageDropped(()), "COV-1", "$.data.ranges"),
        ([READY], m.CoverageDegraded((m.MediaRange(2, 1),)), "COV-1", "$.data.ranges[0]"),
        ([READY], m.Error("", "?"), "ERR-1", "$.data.code"),
        ([READY], m.Error("ih5004", "?", segment=1), "SEG-1", "$.data.segment"),
        ([READY], m.Error("ih5004", "?"), "SEG-8", "$.data.segment"),
    ],
)
def test_a_message_is_judged_by_the_rules_of_its_family(
    before: list[m.ServerMessage], message: m.ServerMessage, clause_id: str, path: str | None
) -> None:
    rules = ServerRules()
    rules.errors.segments_sent = 0
    assert judge(rules, *before, message) == [*([[]] * len(before)), [(clause_id, path)]]


def test_a_config_left_without_an_answer_is_found_when_the_session_closes() -> None:
    rules = ServerRules()
    rules.config.note(m.SessionConfig([OVERALL]))
    rules.config.note(m.SessionClose())
    assert judge(rules, READY, m.SessionClosing(30)) == [[], [("CFG-2", None)]]


def test_conversation_quality_is_judged_by_the_config_that_was_confirmed_last() -> None:
    rules = ServerRules()
    rules.config.note(m.SessionConfig([OVERALL]))
    rules.config.note(m.SessionConfig([TIMELINE]))
    entry = (m.TimelineEntry(0, 10, FIFTY),)
    assert judge(
        rules,
        READY,
        m.ConversationQualityUpdated(FIFTY),
        m.SessionUpdated((OVERALL,)),
        m.ConversationQualityUpdated(FIFTY),
        m.SessionUpdated((TIMELINE,)),
        m.ConversationQualityUpdated(None, entry),
    ) == [[], [("CQI-1", None)], [], [], [], []]


def test_a_refused_config_leaves_the_one_before_in_force() -> None:
    rules = ServerRules()
    rules.config.note(m.SessionConfig([OVERALL]))
    rules.config.note(m.SessionConfig([], ["volume"]))
    said = [READY, m.SessionUpdated((OVERALL,)), m.Error("ih6001", "volume"), m.ConversationQualityUpdated(FIFTY)]
    assert judge(rules, *said) == [[], [], [], []]
    assert rules.config.unanswered == 0
    assert judge(rules, m.SessionUpdated((OVERALL,))) == [[("CFG-2", None)]], "the refusal was the answer"


def test_the_outside_and_the_inside_of_an_envelope_are_judged_together() -> None:
    rules = ServerRules(correlation_id="c-0")
    found = rules.judge(Envelope(m.Error("", "?"), "error", "now", "c-1", ""))
    assert [finding.clause.id for finding in found] == ["ENV-1", "HS-9", "ERR-1"]


@pytest.mark.parametrize("message", [m.Unknown("{}"), m.Unknown("null")])
def test_what_is_unknown_is_judged_by_its_envelope_alone(message: m.Unknown) -> None:
    rules = ServerRules()
    assert rules.judge_message(message) == []
    assert rules.judge(Envelope(message, "mood.sensed", STAMP, "c-1", "")) == []
    assert [f.clause.id for f in rules.judge(Envelope(message, "mood.sensed", STAMP, "c-2", ""))] == ["ENV-2"]


def test_the_revision_says_which_signals_are_documented() -> None:
    revision = attrs.evolve(V1, models=(Model(None, ("video",), frozenset({"boredom"})),))
    assert judge(ServerRules(revision), READY, m.SignalDetected("boredom", 0), m.SignalDetected("stress", 0)) == [
        [],
        [],
        [("SIG-6", "$.data.signal_type")],
    ]


@pytest.mark.parametrize("number", [10**300, -(10**300), 1e308, 5e-324])
def test_numbers_of_any_size_are_judged(number: Any) -> None:
    said = [
        m.SignalDetected("agreement", number),
        m.SignalEnded("agreement", number),
        m.EngagementUpdated("engaged", number),
        m.CoverageDropped((m.MediaRange(number, number),)),
        m.ConversationQualityUpdated(m.QualityScores(number, number, number, number, number, number)),
        m.SessionClosing(number),
        attrs.evolve(READY, session_idle_timeout_seconds=number, max_segment_duration_seconds=number),
        m.Error("ih6002", "?", segment=int(number)),
    ]
    rules = ServerRules()
    for message in said:
        rules.judge_message(message, [])
