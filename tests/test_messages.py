"""The messages themselves: their names on the wire, their clauses, and what their constructors accept."""

import attrs
import pytest

from ihproto import messages as m
from ihproto.clauses import CLAUSES, REVISION_IDS
from ihproto.errors import (
    Finding,
    LocalProtocolError,
    MalformedMessage,
    ProtocolError,
    RemoteProtocolError,
    Side,
    Violation,
)
from ihproto.revisions import (
    ENGAGEMENT_STATES,
    INCLUDE_OVERALL,
    INCLUDE_TIMELINE,
    PROBABILITIES,
    QUALITY_DIMENSIONS,
    REVISIONS,
    V1,
)

# type on the wire: (class, fields that must be there, fields that may be there)
SHAPES: dict[str, tuple[type[m.ServerMessage], list[str], list[str]]] = {
    "session.ready": (
        m.SessionReady,
        [
            "session_idle_timeout_seconds",
            "session_max_duration_seconds",
            "min_segment_size_bytes",
            "max_segment_size_bytes",
            "supported_session_config_options",
        ],
        ["min_segment_duration_seconds", "max_segment_duration_seconds"],
    ),
    "session.updated": (m.SessionUpdated, [], ["include", "goal_dimensions", "model"]),
    "session.closing": (m.SessionClosing, ["max_drain_seconds"], []),
    "session.ended": (m.SessionEnded, ["reason"], []),
    "signal.detected": (m.SignalDetected, ["signal_type", "start"], ["probability", "rationale", "modality"]),
    "signal.updated": (m.SignalUpdated, ["signal_type", "start"], ["probability", "rationale", "modality"]),
    "signal.ended": (m.SignalEnded, ["signal_type", "end"], []),
    "engagement.updated": (m.EngagementUpdated, ["state", "start"], []),
    "conversation_quality.updated": (m.ConversationQualityUpdated, [], ["overall", "timeline"]),
    "feedback.generated": (m.FeedbackGenerated, ["feedback"], []),
    "coverage.dropped": (m.CoverageDropped, ["ranges"], []),
    "coverage.degraded": (m.CoverageDegraded, ["ranges"], ["reason"]),
    "error": (m.Error, ["code", "message"], ["link", "segment"]),
}

FAMILIES = {
    "session.ready": "RDY",
    "session.updated": "CFG",
    "session.closing": "CLS",
    "session.ended": "CLS",
    "signal.detected": "SIG",
    "signal.updated": "SIG",
    "signal.ended": "SIG",
    "engagement.updated": "ENG",
    "conversation_quality.updated": "CQI",
    "feedback.generated": "CFG",
    "coverage.dropped": "COV",
    "coverage.degraded": "COV",
    "error": "ERR",
}


def test_v1_knows_these_envelopes_and_no_others() -> None:
    assert {name: (shape[0],) for name, shape in SHAPES.items()} == dict(V1.server_messages)


@pytest.mark.parametrize("name", SHAPES)
def test_a_message_has_the_fields_of_the_protocol(name: str) -> None:
    cls, required, optional = SHAPES[name]
    fields = attrs.fields(cls)  # type: ignore[arg-type]
    assert [field.name for field in fields if field.default is attrs.NOTHING] == required
    assert [field.name for field in fields if field.default is not attrs.NOTHING] == optional
    assert cls.type == name
    assert CLAUSES[cls.clause_id].family == FAMILIES[name]
    assert cls.nullable <= {field.name for field in fields}


def test_only_link_and_segment_of_an_error_are_sent_as_null() -> None:
    assert {name: shape[0].nullable for name, shape in SHAPES.items() if shape[0].nullable} == {
        "error": {"link", "segment"}
    }


def test_a_message_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        m.SignalEnded("agreement", 3).end = 4  # type: ignore[misc]


@pytest.mark.parametrize("names", [["a", "b"], ("a", "b"), {"a": 1, "b": 2}, (name for name in "ab")])
def test_a_config_takes_any_iterable_of_names(names: object) -> None:
    config = m.SessionConfig(include=names)  # type: ignore[arg-type]
    assert config == m.SessionConfig(include=("a", "b"))
    assert isinstance(config.include, tuple)


def test_a_config_wants_nothing_by_default() -> None:
    assert m.SessionConfig() == m.SessionConfig(include=(), goal_dimensions=None)
    assert m.SessionConfig(goal_dimensions=["energy"]).goal_dimensions == ("energy",)


@pytest.mark.parametrize("field", ["include", "goal_dimensions"])
def test_a_config_refuses_a_lone_string_where_names_are_wanted(field: str) -> None:
    with pytest.raises(TypeError, match="a list of names"):
        m.SessionConfig(**{field: "energy"})  # type: ignore[arg-type]


def test_the_contract_of_v1_is_the_documented_one() -> None:
    contract = V1.contract
    assert contract.session_idle_timeout_seconds == 300
    assert contract.session_max_duration_seconds == 3600
    assert contract.min_segment_duration_seconds == 3
    assert contract.max_segment_duration_seconds is None
    assert contract.min_segment_size_bytes == 1
    assert contract.max_segment_size_bytes == 33_554_432
    assert contract.supported_session_config_options == m.ConfigOptions(
        include=("conversation_quality_overall", "conversation_quality_timeline")
    )


def test_the_words_of_v1_are_the_documented_ones() -> None:
    assert {
        *("agreement", "confidence", "confusion", "disagreement", "frustration", "hesitation", "interest"),
        *("skepticism", "stress", "uncertainty", "engagement", "disengagement", "tension"),
    } == V1.signal_types
    assert {"low", "medium", "high"} == PROBABILITIES
    assert {"engaged", "neutral", "disengaged"} == ENGAGEMENT_STATES
    assert QUALITY_DIMENSIONS == ("clarity", "authority", "energy", "rapport", "learning")
    assert (INCLUDE_OVERALL, INCLUDE_TIMELINE) == ("conversation_quality_overall", "conversation_quality_timeline")
    assert V1.path == "/v1/stream/analyze"
    assert "model" not in V1.config_keys


def test_revisions_are_found_by_their_id() -> None:
    assert REVISIONS["v1"] is V1
    assert all(name == revision.id for name, revision in REVISIONS.items())
    assert set(REVISIONS) <= set(REVISION_IDS)


VIOLATION = Violation(CLAUSES["SIG-4"], Side.SERVER, "OPEN", "3 s is before 5 s", "$.data.start")


def test_a_violation_says_all_in_one_line() -> None:
    assert str(VIOLATION) == "SIG-4: 3 s is before 5 s at $.data.start (server, state OPEN)"
    assert str(attrs.evolve(VIOLATION, path=None, side=Side.CLIENT)) == "SIG-4: 3 s is before 5 s (client, state OPEN)"
    assert VIOLATION.level is CLAUSES["SIG-4"].level


@pytest.mark.parametrize("cls", [LocalProtocolError, RemoteProtocolError])
def test_a_protocol_error_carries_its_violation(cls: type[ProtocolError]) -> None:
    error = cls(VIOLATION)
    assert error.violation is VIOLATION
    assert str(error) == str(VIOLATION)
    assert isinstance(error, ProtocolError)


def test_a_malformed_message_carries_its_finding() -> None:
    finding = Finding(CLAUSES["ENV-1"], "it is no object", "$")
    assert MalformedMessage(finding).finding is finding
    assert str(MalformedMessage(finding)) == "ENV-1: it is no object at $"
    assert str(MalformedMessage(attrs.evolve(finding, path=None))) == "ENV-1: it is no object"
