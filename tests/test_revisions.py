"""What the revisions say of themselves, against the public documents, and which rules hold in which of them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from builders import FIFTY

from ihproto import messages as m
from ihproto.clauses import CLAUSES, REVISION_IDS
from ihproto.codec import Codec, Envelope
from ihproto.errors import Finding, MalformedMessage
from ihproto.media import NominalScanner
from ihproto.revisions import (
    REVISIONS,
    UPLOAD_MODELS,
    V0,
    V0_2,
    V1,
    V1_WINDOW,
    V2,
    Emission,
    Framing,
    Model,
    Revision,
)
from ihproto.rules import ServerRules
from ihproto.server import ServerSession, ServerSettings

OVERALL, TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"
ALL = {"v0", "v0.2", "v1-window", "v1", "v2"}
ENVELOPES = {"v1-window", "v1", "v2"}
LIFECYCLES = {"v1", "v2"}
STATUSES = {"v0", "v0.2"}

#: The types of signal that all documents agree on, and those that v2 has no longer.
TYPES = {
    *("agreement", "confidence", "confusion", "disagreement", "frustration", "hesitation", "interest"),
    *("skepticism", "stress", "uncertainty", "tension"),
}
OLD_TYPES = TYPES | {"engagement", "disengagement"}
#: The types that are told by voice alone.
HEARD = {"agreement", "confidence", "frustration", "hesitation", "interest", "uncertainty"}

every_revision = pytest.mark.parametrize("revision", REVISIONS.values(), ids=list(REVISIONS))


def each(**values: Any) -> pytest.MarkDecorator:
    """A value for every revision: `v0`, `v0_2`, `v1_window`, `v1` and `v2`."""
    revisions = {"v0": V0, "v0_2": V0_2, "v1_window": V1_WINDOW, "v1": V1, "v2": V2}
    assert values.keys() == revisions.keys()
    return pytest.mark.parametrize(
        ("revision", "expected"), [pytest.param(revisions[name], value, id=name) for name, value in values.items()]
    )


# -- the data -------------------------------------------------------------------------------------------


def test_all_revisions_of_the_catalogue_are_spoken() -> None:
    assert list(REVISIONS.values()) == [V0, V0_2, V1_WINDOW, V1, V2]
    assert tuple(REVISIONS) == REVISION_IDS
    assert set(REVISIONS) == ALL


@each(
    v0="/v0/stream/analyze",
    v0_2="/v0/stream/analyze",
    v1_window="/v1/stream/analyze",
    v1="/v1/stream/analyze",
    v2="/v2/stream/analyze",
)
def test_hs_1_each_revision_has_its_endpoint(revision: Revision, expected: str) -> None:
    assert revision.path == expected


@each(
    v0=(10_000, 20 * 1024 * 1024),
    v0_2=(1, 33_554_432),
    v1_window=(1, 33_554_432),
    v1=(1, 33_554_432),
    v2=(1, 33_554_432),
)
def test_seg_2_and_3_the_size_of_a_segment_has_these_limits(revision: Revision, expected: tuple[int, int]) -> None:
    contract = revision.contract
    assert (contract.min_segment_size_bytes, contract.max_segment_size_bytes) == expected


@each(v0=None, v0_2=3, v1_window=3, v1=3, v2=3)
def test_seg_4_a_segment_has_so_many_seconds_at_least(revision: Revision, expected: float | None) -> None:
    assert revision.contract.min_segment_duration_seconds == expected
    assert revision.contract.max_segment_duration_seconds is None
    # The clause holds where there is a minimum.
    assert (revision.id in CLAUSES["SEG-4"].revisions) == (expected is not None)


@each(
    v0=("SEG-3", "SEG-3"),
    v0_2=("SEG-10", "SEG-2"),
    v1_window=("SEG-10", "SEG-2"),
    v1=("SEG-10", "SEG-2"),
    v2=("SEG-10", "SEG-2"),
)
def test_the_limits_of_the_size_stand_in_these_clauses(revision: Revision, expected: tuple[str, str]) -> None:
    assert revision.size_clauses == expected
    assert all(revision.id in CLAUSES[clause_id].revisions for clause_id in revision.size_clauses)


@each(
    v0=(math.inf, math.inf), v0_2=(math.inf, math.inf), v1_window=(math.inf, math.inf), v1=(300, 3600), v2=(300, 3600)
)
def test_tmo_1_and_2_only_who_announces_timeouts_has_any(revision: Revision, expected: tuple[float, float]) -> None:
    contract = revision.contract
    assert (contract.session_idle_timeout_seconds, contract.session_max_duration_seconds) == expected


STATUS_MESSAGES = {"processing", "result", "completed", "error"}
WINDOW_MESSAGES = {"signal.detected", "engagement.updated", "conversation_quality.updated", "error"}
LIFECYCLE_MESSAGES = WINDOW_MESSAGES | {
    *("session.ready", "session.updated", "session.closing", "session.ended", "signal.updated", "signal.ended"),
    *("feedback.generated", "coverage.dropped", "coverage.degraded"),
}


@each(
    v0=STATUS_MESSAGES,
    v0_2=STATUS_MESSAGES,
    v1_window=WINDOW_MESSAGES,
    v1=LIFECYCLE_MESSAGES,
    v2=LIFECYCLE_MESSAGES,
)
def test_a_server_says_these_types_of_message_and_no_others(revision: Revision, expected: set[str]) -> None:
    assert set(revision.server_messages) == expected
    assert {cls for classes in revision.server_messages.values() for cls in classes} == set(revision.messages)
    assert all(cls.type == name for name, classes in revision.server_messages.items() for cls in classes)


@each(
    v0={m.SegmentProcessing, m.SegmentSignals, m.SegmentCompleted, m.SegmentFailedText},
    v0_2={m.SegmentProcessing, m.SegmentResult, m.SegmentCompleted, m.SegmentFailed},
    v1_window={m.WindowSignals, m.WindowSignal, m.WindowEngagement, m.ConversationQualityUpdated, m.Error},
    v1={m.SignalDetected, m.EngagementUpdated, m.ConversationQualityUpdated, m.Error},
    v2={m.SignalDetected, m.EngagementUpdated, m.ConversationQualityUpdated, m.Error},
)
def test_messages_of_one_name_are_of_the_class_of_the_revision(
    revision: Revision, expected: set[type[m.ServerMessage]]
) -> None:
    names = {cls.type for cls in expected}
    assert {cls for cls in revision.messages if cls.type in names} == expected


@pytest.mark.parametrize(
    ("revision", "cls"),
    [
        pytest.param(revision, cls, id=f"{revision.id}-{cls.type}")
        for revision in REVISIONS.values()
        for cls in revision.messages
    ],
)
def test_a_broken_message_is_blamed_on_a_clause_of_the_revision(revision: Revision, cls: type[m.ServerMessage]) -> None:
    framing = revision.framing
    text: dict[str, object] = {framing.discriminator: cls.type, **dict.fromkeys(framing.members, "x")}
    broken = {field.name: {"neither": "this"} for field in attrs.fields(cls)}  # type: ignore[arg-type]
    text |= broken if framing.payload is None else {framing.payload: broken}
    with pytest.raises(MalformedMessage) as caught:
        Codec(revision).decode_server(json.dumps(text))
    assert revision.id in caught.value.finding.clause.revisions
    assert caught.value.type == cls.type


@every_revision
def test_the_layout_of_messages_is_a_clause_of_the_revision(revision: Revision) -> None:
    assert revision.id in CLAUSES[revision.framing.clause_id].revisions
    assert revision.id in CLAUSES[revision.framing.same_session_clause].revisions


ENVELOPE = Framing("type", ("timestamp", "correlation_id"), "data", "ENV-1", "ENV-2")


@each(
    v0=Framing("status", (), None, "STS-1", "HS-9"),
    v0_2=Framing("status", ("correlation_id",), None, "STS-1", "HS-9"),
    v1_window=ENVELOPE,
    v1=ENVELOPE,
    v2=ENVELOPE,
)
def test_messages_are_laid_out_so(revision: Revision, expected: Framing) -> None:
    assert revision.framing == expected


@each(
    v0=Emission.SEGMENTS,
    v0_2=Emission.SEGMENTS,
    v1_window=Emission.WINDOWS,
    v1=Emission.CHANGES,
    v2=Emission.CHANGES,
)
def test_a_server_says_what_it_saw_at_these_times(revision: Revision, expected: Emission) -> None:
    assert revision.emission is expected


@each(
    v0=(),
    v0_2=(),
    v1_window=("include",),
    v1=("include", "goal_dimensions"),
    v2=("include", "goal_dimensions", "model", "audio_format"),
)
def test_cfg_5_a_session_config_has_these_keys(revision: Revision, expected: tuple[str, ...]) -> None:
    assert revision.config_keys == expected
    assert (revision.id in CLAUSES["CFG-1"].revisions) == bool(expected)
    assert ("audio_format" in expected) == (revision.id in CLAUSES["CFG-8"].revisions)


@each(v0=(), v0_2=("include[]",), v1_window=(), v1=(), v2=("model",))
def test_hs_13_and_15_the_query_has_these_parameters(revision: Revision, expected: tuple[str, ...]) -> None:
    assert revision.query_keys == expected
    assert ("include[]" in expected) == (revision.id in CLAUSES["HS-15"].revisions)
    assert ("model" in expected) == (revision.id in CLAUSES["HS-13"].revisions)


FIVE = ("clarity", "authority", "energy", "rapport", "learning")


@each(
    v0=m.ConfigOptions(),
    v0_2=m.ConfigOptions((OVERALL, TIMELINE)),
    v1_window=m.ConfigOptions((OVERALL, TIMELINE)),
    v1=m.ConfigOptions((OVERALL, TIMELINE)),
    v2=m.ConfigOptions((OVERALL, TIMELINE), FIVE, ("inter-2", "inter-2-audio")),
)
def test_a_session_offers_these_options(revision: Revision, expected: m.ConfigOptions) -> None:
    assert revision.contract.supported_session_config_options == expected


@each(v0=OLD_TYPES, v0_2=OLD_TYPES, v1_window=OLD_TYPES, v1=OLD_TYPES, v2=TYPES)
def test_sig_6_signals_are_of_these_types(revision: Revision, expected: set[str]) -> None:
    assert revision.signal_types == expected


WITH_MODALITY = ("probability", "rationale", "modality")


@each(v0=(), v0_2=WITH_MODALITY[:2], v1_window=WITH_MODALITY[:2], v1=WITH_MODALITY, v2=WITH_MODALITY[:2])
def test_sig_1_and_8_so_much_is_told_of_a_signal(revision: Revision, expected: tuple[str, ...]) -> None:
    assert revision.signal_details == expected


@each(v0=True, v0_2=False, v1_window=False, v1=False, v2=False)
def test_sts_2_and_4_times_and_sentences_are_special_in_v0(revision: Revision, expected: bool) -> None:
    assert revision.relative_times is expected
    assert (revision.oversize_text is not None) is expected


def test_sts_4_the_sentence_is_that_of_the_document() -> None:
    assert V0.oversize_text is not None
    assert V0.oversize_text.format(size=31000000, limit=V0.contract.max_segment_size_bytes) == (
        "Video chunk too large: 31000000 bytes (maximum: 20971520 bytes)"
    )


@each(
    v0=(False, False, False),
    v0_2=(False, False, False),
    v1_window=(False, False, False),
    v1=(True, True, True),
    v2=(True, True, True),
)
def test_a_session_is_announced_confirmed_and_drained_where_there_are_lifecycles(
    revision: Revision, expected: tuple[bool, bool, bool]
) -> None:
    assert (revision.announces, revision.confirms, revision.drains) == expected
    for clause_id, holds in zip(("RDY-1", "CFG-2", "CLS-1"), expected, strict=True):
        assert (revision.id in CLAUSES[clause_id].revisions) is holds


@each(v0=m.SegmentFailedText, v0_2=m.SegmentFailed, v1_window=m.Error, v1=m.Error, v2=m.Error)
def test_errors_are_told_in_this_class(revision: Revision, expected: type[m.ServerMessage]) -> None:
    assert revision.error_message is expected


def test_aut_1_keys_are_exchanged_at_the_endpoint_of_the_version() -> None:
    assert {name: revision.auth_path for name, revision in REVISIONS.items()} == {
        name: "/v0/auth" if name in STATUSES else "/v1/auth" for name in ALL
    }


def test_upl_2_files_have_one_model_more_than_streams() -> None:
    assert [(model.name, model.tracks) for model in UPLOAD_MODELS] == [
        ("inter-2", ("video", "audio")),
        ("inter-2-audio", ("audio",)),
        ("inter-2-deep", ("video", "audio")),
    ]
    assert UPLOAD_MODELS[-1].signal_types == set(TYPES)


@pytest.mark.parametrize("revision", [V0, V0_2, V1_WINDOW, V1])
def test_before_v2_there_is_no_choice_of_models(revision: Revision) -> None:
    assert revision.models == (Model(None, ("video",), frozenset(OLD_TYPES)),)
    assert revision.model(None) is revision.models[0]
    with pytest.raises(KeyError, match="inter-2"):
        revision.model("inter-2")


def test_cfg_7_v2_has_a_model_that_sees_and_hears_and_one_that_hears() -> None:
    assert V2.models == (
        Model("inter-2", ("video", "audio"), frozenset(TYPES)),
        Model("inter-2-audio", ("audio",), frozenset(HEARD), raw_audio=True),
    )
    assert V2.model(None) is V2.model("inter-2") is V2.models[0]
    assert V2.model("inter-2-audio") is V2.models[1]
    with pytest.raises(KeyError, match="inter-3"):
        V2.model("inter-3")


@pytest.mark.parametrize("rate", [16000, 24000])
def test_cfg_8_raw_audio_has_two_bytes_a_sample(rate: Any) -> None:
    size = m.AudioFormat(sample_rate=rate).bytes_per_second
    assert (size, type(size)) == (2 * rate, int)
    assert attrs.asdict(m.AudioFormat()) == {"encoding": "pcm_s16le", "sample_rate": 16000, "channels": 1}


def test_a_revision_shows_what_it_is_and_not_the_classes_of_its_messages() -> None:
    assert "SegmentProcessing" not in repr(V0)
    assert repr(V0).startswith("Revision(id='v0', ")


def test_the_messages_by_type_follow_from_the_messages() -> None:
    assert attrs.evolve(V0, id="v0").server_messages == V0.server_messages
    assert (attrs.evolve(V0, id="v0"), hash(attrs.evolve(V0, id="v0"))) == (V0, hash(V0))
    assert "server_messages" not in {field.name for field in attrs.fields(Revision) if field.init}


# -- errors in the words of a revision --------------------------------------------------------------------


ABOUT_2 = m.Error("ih6002", "too large", "https://docs.interhuman.ai/", 2)


@pytest.mark.parametrize(
    ("cls", "expected"),
    [
        (m.Error, ABOUT_2),
        (m.SegmentFailed, m.SegmentFailed(2, "ih6002", "too large", "https://docs.interhuman.ai/")),
        (m.SegmentFailedText, m.SegmentFailedText(2, "too large")),
    ],
)
def test_an_error_about_a_segment_can_be_told_in_every_revision(
    cls: type[m.ErrorMessage], expected: m.ServerMessage
) -> None:
    assert cls.tell(ABOUT_2) == expected


@pytest.mark.parametrize(("cls", "told"), [(m.Error, True), (m.SegmentFailed, False), (m.SegmentFailedText, False)])
def test_an_error_about_no_segment_cannot_be_told_in_a_status_message(cls: type[m.ErrorMessage], told: bool) -> None:
    assert cls.tell(attrs.evolve(ABOUT_2, segment=None)) == (attrs.evolve(ABOUT_2, segment=None) if told else None)


def test_sts_4_a_server_with_a_limit_of_its_own_tells_that_one() -> None:
    settings = ServerSettings(contract=attrs.evolve(V0.contract, max_segment_size_bytes=20_000))
    session = ServerSession(
        0,
        correlation_id="c-1",
        started_at=datetime(2025, 1, 1, tzinfo=UTC),
        settings=settings,
        revision=V0,
        scanner=NominalScanner(5.0),
    )
    session.open(0)
    session.receive_bytes(bytes(20_001), 0)
    (said,) = session.to_send()
    assert json.loads(getattr(said, "text", "")) == {
        "status": "error",
        "segment": 1,
        "error": "Video chunk too large: 20001 bytes (maximum: 20000 bytes)",
    }


# -- which rules hold ---------------------------------------------------------------------------------------

HALF = m.QualityScores(**FIFTY)
SPAN = m.SignalSpan("agreement", 0, 3)
READY = attrs.evolve(V1.contract, supported_session_config_options=m.ConfigOptions((OVERALL, TIMELINE)))
Prepare = Callable[[ServerRules], object]


def prepared(*steps: Prepare) -> Prepare:
    return lambda rules: [step(rules) for step in steps]


def asked(rules: ServerRules) -> None:
    rules.config.in_force = m.SessionConfig([OVERALL])


def sent(rules: ServerRules) -> None:
    rules.status.begin(1)
    rules.status.finish(100_000)


def heard(*messages: m.ServerMessage) -> Prepare:
    return lambda rules: [rules.judge_message(message) for message in messages]


def nothing(rules: ServerRules) -> None:
    """Nothing goes before."""


PROCESSING = m.SegmentProcessing(1, 100_000)
#: What goes before, what breaks one clause and no other, the clause, and the revisions in which it holds: by hand,
#: from the families' headings in the documents and from their sentences.
BREACHES: dict[str, tuple[Prepare, m.ServerMessage, str, set[str]]] = {
    "a contract": (nothing, attrs.evolve(READY, session_max_duration_seconds=0), "RDY-2", LIFECYCLES),
    "an answer to nothing": (nothing, m.SessionUpdated(), "CFG-2", LIFECYCLES),
    "feedback nobody wanted": (nothing, m.FeedbackGenerated("Slow down."), "CFG-6", LIFECYCLES),
    "detected twice": (heard(m.SignalDetected("stress", 0)), m.SignalDetected("stress", 3), "SIG-1", LIFECYCLES),
    "an update of nothing": (nothing, m.SignalUpdated("stress", 3), "SIG-2", LIFECYCLES),
    "a time before": (heard(m.SignalDetected("stress", 3)), m.SignalEnded("stress", 2), "SIG-4", LIFECYCLES),
    "an end of nothing": (nothing, m.SignalEnded("stress", 2), "SIG-5", LIFECYCLES),
    "an invented signal": (nothing, m.SignalDetected("boredom", 2), "SIG-6", ALL),
    "an invented signal in a window": (nothing, m.WindowSignal("boredom", 2, 3), "SIG-6", ALL),
    "left active": (heard(m.SignalDetected("stress", 0)), m.SessionEnded("client_shutdown"), "SIG-7", LIFECYCLES),
    "a modality": (nothing, m.SignalDetected("stress", 0, modality=("audio",)), "SIG-8", {"v2"}),
    "the same level": (
        heard(m.EngagementUpdated("engaged", 0)),
        m.EngagementUpdated("engaged", 3),
        "ENG-2",
        LIFECYCLES,
    ),
    "an invented level": (nothing, m.EngagementUpdated("bored", 3), "ENG-3", LIFECYCLES),
    "scores nobody wanted": (nothing, m.ConversationQualityUpdated(HALF), "CQI-1", LIFECYCLES),
    "overall missing": (asked, m.ConversationQualityUpdated(), "CQI-2", LIFECYCLES),
    "a timeline nobody wanted": (
        asked,
        m.ConversationQualityUpdated(HALF, (m.TimelineEntry(0, 10, HALF),)),
        "CQI-3",
        LIFECYCLES,
    ),
    "scores of 101": (
        asked,
        m.ConversationQualityUpdated(m.QualityScores(*[101] * 6)),
        "CQI-5",
        ALL - {"v0"},
    ),
    "an index that is no mean": (
        asked,
        m.ConversationQualityUpdated(attrs.evolve(HALF, quality_index=54)),
        "CQI-6",
        ALL - {"v0"},
    ),
    "no range": (nothing, m.CoverageDropped(()), "COV-1", LIFECYCLES),
    "a drain of less than nothing": (nothing, m.SessionClosing(-1), "CLS-1", LIFECYCLES),
    "no code": (nothing, m.Error("", "?"), "ERR-1", ENVELOPES),
    "no segment": (nothing, m.Error("ih6002", "?"), "SEG-8", ENVELOPES),
    "segment 0": (nothing, m.Error("ih3003", "?", segment=0), "SEG-1", ALL),
    "a window without an end": (nothing, m.WindowSignals((attrs.evolve(SPAN, start=4),)), "WIN-3", {"v1-window"}),
    "a window of no level": (nothing, m.WindowEngagement("bored", 3, 11), "WIN-3", {"v1-window"}),
    "completed at once": (sent, m.SegmentCompleted(1), "STS-1", STATUSES),
    "other bytes": (sent, m.SegmentProcessing(1, 99_999), "STS-1", STATUSES),
    "a segment nobody sent": (nothing, m.SegmentProcessing(1, 1), "SEG-1", ALL),
    "an end before its start": (
        prepared(sent, heard(PROCESSING)),
        m.SegmentSignals(1, (attrs.evolve(SPAN, start=4),)),
        "STS-2",
        STATUSES,
    ),
    "a section nobody wanted": (
        prepared(sent, heard(PROCESSING)),
        m.SegmentResult(1, (SPAN,), None, m.ConversationQuality(HALF)),
        "STS-3",
        {"v0.2"},
    ),
    "scores of -1 in a result": (
        prepared(sent, heard(PROCESSING), asked),
        m.SegmentResult(1, (SPAN,), None, m.ConversationQuality(m.QualityScores(*[-1] * 6))),
        "CQI-5",
        ALL - {"v0"},
    ),
    "other words": (
        sent,
        m.SegmentFailedText(1, "Video chunk too large: 100000 bytes (maximum: 20 MB)"),
        "STS-4",
        {"v0"},
    ),
}


@every_revision
@pytest.mark.parametrize("name", BREACHES)
def test_a_rule_is_applied_where_it_holds_and_nowhere_else(name: str, revision: Revision) -> None:
    prepare, message, clause_id, holds = BREACHES[name]
    rules = ServerRules(revision)
    prepare(rules)
    found = [finding.clause.id for finding in rules.judge_message(message)]
    assert set(found) == ({clause_id} if revision.id in holds else set())


def found_in(rules: ServerRules, envelopes: Iterable[Envelope]) -> list[list[tuple[str, str | None]]]:
    return [[(finding.clause.id, finding.path) for finding in rules.judge(envelope)] for envelope in envelopes]


def unknown(timestamp: str | None, correlation_id: str | None) -> Envelope:
    return Envelope(m.Unknown("{}"), "mood.sensed", timestamp, correlation_id, "")


@each(v0=[], v0_2=["HS-9"], v1_window=["ENV-2"], v1=["ENV-2"], v2=["ENV-2"])
def test_the_same_id_through_a_session_is_another_clause_where_there_are_no_envelopes(
    revision: Revision, expected: list[str]
) -> None:
    told = "correlation_id" in revision.framing.members
    stamp = "2025-01-01T00:00:00Z" if "timestamp" in revision.framing.members else None
    ids = ["c-1", "c-1", "c-2"] if told else [None] * 3
    found = found_in(ServerRules(revision), [unknown(stamp, correlation_id) for correlation_id in ids])
    assert found == [[], [], [(clause_id, "$.correlation_id") for clause_id in expected]]


@each(v0=[], v0_2=[], v1_window=["ENV-1"], v1=["ENV-1"], v2=["ENV-1"])
def test_timestamps_are_judged_where_there_are_envelopes(revision: Revision, expected: list[str]) -> None:
    assert found_in(ServerRules(revision), [unknown("yesterday", "c-1")]) == [
        [(clause_id, "$.timestamp") for clause_id in expected]
    ]


def test_windows_overlap_in_v1_window_and_periods_do_not_in_v1() -> None:
    said = [m.ConversationQualityUpdated(None, (m.TimelineEntry(3 * i, 3 * i + 8, HALF),)) for i in range(3)]
    for revision, expected in ((V1_WINDOW, [[], [], []]), (V1, [[], ["CQI-1"], ["CQI-1"]])):
        rules = ServerRules(revision)
        rules.config.in_force = m.SessionConfig([TIMELINE])
        assert [[finding.clause.id for finding in rules.judge_message(message)] for message in said] == expected


def test_what_was_found_before_is_filtered_as_well() -> None:
    before = [Finding(CLAUSES["ENV-1"], "x"), Finding(CLAUSES["HS-9"], "y")]
    assert [finding.clause.id for finding in ServerRules(V0).judge_message(m.Unknown("{}"), before)] == ["HS-9"]


@every_revision
def test_segments_wait_for_their_messages_only_where_there_are_any(revision: Revision) -> None:
    rules = ServerRules(revision)
    for number in (1, 2):
        rules.begin_segment(number)
        rules.finish_segment(1000 * number)
    assert rules.status.pending == ((1, 2) if revision.id in STATUSES else ())
    assert rules.errors.segments_sent == 2
    found = [finding.clause.id for finding in rules.judge_message(m.SegmentProcessing(2, 1000))]
    # Where nothing waits for it, the segment counts as not sent.
    assert found == (["STS-1"] if revision.id in STATUSES else ["SEG-1"])
