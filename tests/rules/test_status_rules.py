"""STS: what may be said of a segment, in which order, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ihproto.errors import Finding
from ihproto.messages import (
    ConversationQuality,
    EngagementSpan,
    QualityScores,
    SegmentCompleted,
    SegmentFailed,
    SegmentFailedText,
    SegmentProcessing,
    SegmentResult,
    SegmentSignals,
    SessionConfig,
    SignalSpan,
    TimelineEntry,
)
from ihproto.revisions import V0, V0_2, V1
from ihproto.rules.status import StatusRules

OVERALL, TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"
SIZE = 1_200_000
#: The example of the document: 31,000,000 bytes against 20 MB.
OVERSIZE = "Video chunk too large: 31000000 bytes (maximum: 20971520 bytes)"

Status = SegmentProcessing | SegmentSignals | SegmentResult | SegmentCompleted | SegmentFailed | SegmentFailedText
Found = list[tuple[str, str | None]]
SEGMENT = "$.segment"


def findings(rules: StatusRules, message: Status, config: SessionConfig | None = None) -> list[Finding]:
    found: list[Finding] = []
    match message:
        case SegmentProcessing():
            rules.judge_processing(message, found)
        case SegmentSignals():
            rules.judge_signals(message, found)
        case SegmentResult():
            rules.judge_result(message, config if config is not None else SessionConfig(), found)
        case SegmentCompleted():
            rules.judge_completed(message, found)
        case SegmentFailed():
            rules.judge_failed(message, found)
        case SegmentFailedText():
            rules.judge_failed_text(message, found)
    return found


def judge(rules: StatusRules, message: Status, config: SessionConfig | None = None) -> Found:
    return [(finding.clause.id, finding.path) for finding in findings(rules, message, config)]


def rules_after(*sizes: int, revision: Any = V0_2) -> StatusRules:
    """The rules when segments of these sizes were sent whole."""
    rules = StatusRules(revision)
    for number, size in enumerate(sizes, 1):
        rules.begin(number)
        rules.finish(size)
    return rules


def processing(number: int, size: int = SIZE) -> SegmentProcessing:
    return SegmentProcessing(number, size)


def result(number: int, *signals: SignalSpan, **more: Any) -> SegmentResult:
    return SegmentResult(number, signals, **more)


def completed(number: int) -> SegmentCompleted:
    return SegmentCompleted(number)


def failed(number: int, error_id: str = "ih5004") -> SegmentFailed:
    return SegmentFailed(number, error_id, "it cannot be read")


#: The four things that are said of a segment, each as a message about segment `number`.
SAID: dict[str, Callable[[int], Status]] = {
    "processing": processing,
    "result": result,
    "completed": completed,
    "error": failed,
}


# -- STS-1: order --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(["processing 1", "result 1", "completed 1"], id="all goes well"),
        pytest.param(["error 1"], id="refused at once"),
        pytest.param(["processing 1", "error 1"], id="failed while it was analysed"),
        pytest.param(["processing 1", "result 1", "error 1"], id="failed after its result"),
        pytest.param(
            ["processing 1", "processing 2", "result 1", "processing 3", "completed 1", "result 2", "completed 2"],
            id="three in flight, in order",
        ),
        pytest.param(
            ["processing 2", "result 2", "processing 1", "completed 2", "processing 3", "error 3", "result 1"],
            id="three in flight, interleaved",
        ),
        pytest.param(["error 2", "processing 1", "error 3", "error 1"], id="errors in between"),
    ],
)
def test_the_order_that_keeps_sts_1_for_every_segment_by_itself(steps: list[str]) -> None:
    rules = rules_after(SIZE, SIZE, SIZE)
    for step in steps:
        what, number = step.split()
        assert judge(rules, SAID[what](int(number))) == [], step


@pytest.mark.parametrize("before", [[], ["processing"], ["processing", "result"]], ids=lambda steps: f"after {steps}")
@pytest.mark.parametrize("what", SAID)
def test_what_comes_out_of_turn_breaks_sts_1(before: list[str], what: str) -> None:
    rules = rules_after(SIZE, SIZE)
    for step in ("processing", "result"):
        judge(rules, SAID[step](2))
    assert [judge(rules, SAID[step](1)) for step in before] == [[]] * len(before)
    in_turn = what == "error" or what == ("processing", "result", "completed")[len(before)]
    assert judge(rules, SAID[what](1)) == ([] if in_turn else [("STS-1", SEGMENT)])


@pytest.mark.parametrize("what", SAID)
@pytest.mark.parametrize("last", [["processing", "result", "completed"], ["error"], ["processing", "error"]])
def test_nothing_more_may_be_said_after_completed_or_error(last: list[str], what: str) -> None:
    rules = rules_after(SIZE)
    assert [judge(rules, SAID[step](1)) for step in last] == [[]] * len(last)
    (finding,) = findings(rules, SAID[what](1))
    assert (finding.clause.id, finding.path) == ("STS-1", SEGMENT)
    assert finding.what == f"{what} came for segment 1, about which nothing more may be said"


def test_a_finding_says_what_came_after_what() -> None:
    rules = rules_after(SIZE)
    assert findings(rules, completed(1))[0].what == "completed came for segment 1 after nothing"
    rules = rules_after(SIZE)
    judge(rules, processing(1))
    assert findings(rules, processing(1))[0].what == "processing came for segment 1 after processing"


def test_after_a_fault_the_segment_goes_on_from_what_was_said() -> None:
    rules = rules_after(SIZE)
    assert judge(rules, result(1)) == [("STS-1", SEGMENT)]
    assert judge(rules, completed(1)) == []


def test_a_fault_of_one_segment_is_not_held_against_another() -> None:
    rules = rules_after(SIZE, SIZE)
    assert judge(rules, completed(1)) == [("STS-1", SEGMENT)]
    assert [judge(rules, SAID[what](2)) for what in ("processing", "result", "completed")] == [[], [], []]


def test_what_is_still_to_be_said_is_known() -> None:
    rules = rules_after(SIZE, SIZE, SIZE)
    pending = [rules.pending]
    for message in (processing(2), result(2), completed(2), failed(3)):
        judge(rules, message)
        pending.append(rules.pending)
    rules.begin(4)
    pending.append(rules.pending)
    judge(rules, SegmentFailedText(1, "no"))
    pending.append(rules.pending)
    assert pending == [(1, 2, 3), (1, 2, 3), (1, 2, 3), (1, 3), (1,), (1, 4), (4,)]


steps = st.lists(st.tuples(st.sampled_from(sorted(SAID)), st.integers(1, 3)), max_size=14)
NEXT = {None: {"processing", "error"}, "processing": {"result", "error"}, "result": {"completed", "error"}}


@given(steps=steps)
def test_whatever_is_said_of_several_segments_each_is_judged_by_itself(steps: list[tuple[str, int]]) -> None:
    rules = rules_after(SIZE, SIZE, SIZE)
    said: dict[int, str | None] = {1: None, 2: None, 3: None}
    for what, number in steps:
        allowed = NEXT.get(said[number], set())
        assert judge(rules, SAID[what](number)) == ([] if what in allowed else [("STS-1", SEGMENT)])
        if said[number] not in ("completed", "error"):
            said[number] = what
    assert rules.pending == tuple(number for number, last in said.items() if last not in ("completed", "error"))


# -- SEG-1: numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", SAID)
@pytest.mark.parametrize("number", [0, -1, -(2**53) + 1])
def test_a_number_below_1_breaks_seg_1(what: str, number: int) -> None:
    (finding,) = findings(rules_after(SIZE), SAID[what](number))
    assert (finding.clause.id, finding.path) == ("SEG-1", SEGMENT)
    assert "counted from 1" in finding.what


@pytest.mark.parametrize("what", SAID)
@pytest.mark.parametrize("number", [3, 2**53 - 1])
def test_a_number_beyond_what_was_sent_breaks_seg_1(what: str, number: int) -> None:
    rules = rules_after(SIZE, SIZE)
    (finding,) = findings(rules, SAID[what](number))
    assert (finding.clause.id, finding.path) == ("SEG-1", SEGMENT)
    assert finding.what == f"the message names segment {number}, but only 2 were sent"
    assert rules.pending == (1, 2)


def test_before_the_first_segment_nothing_can_be_said() -> None:
    assert judge(StatusRules(V0), processing(1)) == [("SEG-1", SEGMENT)]
    assert judge(StatusRules(V0), SegmentFailedText(1, "no")) == [("SEG-1", SEGMENT)]


# -- STS-1: bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "expected"), [(SIZE, []), (SIZE - 1, [("STS-1", "$.bytes")]), (0, [("STS-1", "$.bytes")])]
)
def test_processing_tells_the_bytes_that_were_sent(told: int, expected: Found) -> None:
    rules = rules_after(SIZE, 7)
    assert judge(rules, processing(1, told)) == expected
    assert judge(rules, processing(2, 7)) == []


def test_the_size_of_a_segment_that_is_still_being_sent_is_not_known() -> None:
    rules = rules_after(SIZE)
    rules.begin(2)
    assert judge(rules, processing(2, 5)) == []
    rules.finish(6)
    rules.begin(3)
    rules.finish(9)
    assert judge(rules, processing(3, 6)) == [("STS-1", "$.bytes")]


def test_a_segment_that_was_refused_before_its_end_stays_over() -> None:
    rules = StatusRules(V0_2)
    rules.begin(1)
    assert judge(rules, failed(1, "ih6002")) == []
    rules.finish(SIZE)
    assert rules.pending == ()
    assert judge(rules, processing(1)) == [("STS-1", SEGMENT)]


# -- errors with an id -------------------------------------------------------------------------------------


def test_an_error_without_an_id_breaks_sts_1() -> None:
    assert judge(rules_after(SIZE), failed(1, "")) == [("STS-1", "$.error_id")]
    assert judge(rules_after(SIZE), failed(2, "")) == [("SEG-1", SEGMENT), ("STS-1", "$.error_id")]


# -- signals, in both revisions ----------------------------------------------------------------------------

SPAN = SignalSpan("agreement", 0.0, 5.0)


def signals_message(revision: Any, *signals: SignalSpan) -> Status:
    return SegmentSignals(1, signals) if revision is V0 else SegmentResult(1, signals)


both = pytest.mark.parametrize("revision", [V0, V0_2], ids=["v0", "v0.2"])


@both
@pytest.mark.parametrize(
    "signals",
    [
        pytest.param([], id="none"),
        pytest.param([SPAN, SignalSpan("engagement", 2.3, 4.8)], id="those of the document"),
        pytest.param([SignalSpan("stress", 3, 3)], id="one without length"),
        pytest.param([SPAN, SPAN], id="two of a type"),
        pytest.param([SignalSpan("stress", 5, 10, "low", "speaks fast", ("audio",))], id="one with all details"),
    ],
)
def test_signals_within_their_words_and_times_keep_sts_2(revision: Any, signals: list[SignalSpan]) -> None:
    rules = rules_after(SIZE, revision=revision)
    judge(rules, processing(1))
    assert judge(rules, signals_message(revision, *signals)) == []


@both
@pytest.mark.parametrize(
    ("signal", "clause_id", "member"),
    [
        (SignalSpan("agreement", 5, 4.9), "STS-2", ""),
        (SignalSpan("agreement", -0.1, 5), "STS-2", ""),
        (SignalSpan("boredom", 0, 5), "SIG-6", ".type"),
        (SignalSpan("agreement", 0, 5, "certain"), "SIG-6", ".probability"),
    ],
)
def test_a_signal_that_cannot_be_is_found_at_its_place(
    revision: Any, signal: SignalSpan, clause_id: str, member: str
) -> None:
    rules = rules_after(SIZE, revision=revision)
    judge(rules, processing(1))
    message = signals_message(revision, SPAN, signal)
    assert judge(rules, message) == [(clause_id, f"$.signals[1]{member}")]


# -- STS-3 ---------------------------------------------------------------------------------------------------

SCORES = QualityScores(72, 67, 68, 80, 75, 70)
ENTRY = TimelineEntry(5, 10, QualityScores(74, 67, 71, 82, 77, 72))
QUALITY = "$.conversation_quality"


def judge_quality(include: list[str], quality: ConversationQuality | None) -> Found:
    rules = rules_after(SIZE)
    judge(rules, processing(1))
    return judge(rules, result(1, conversation_quality=quality), SessionConfig(include))


@pytest.mark.parametrize(
    ("include", "quality"),
    [
        pytest.param([], None, id="nothing asked"),
        pytest.param([], ConversationQuality(), id="nothing asked, and an empty object"),
        pytest.param([OVERALL], ConversationQuality(SCORES), id="overall"),
        pytest.param([TIMELINE], ConversationQuality(None, (ENTRY,)), id="timeline"),
        pytest.param([TIMELINE, OVERALL], ConversationQuality(SCORES, (ENTRY,)), id="both"),
        pytest.param([TIMELINE], ConversationQuality(None, (ENTRY, ENTRY)), id="a timeline of several entries"),
    ],
)
def test_the_sections_that_were_asked_for_keep_sts_3(include: list[str], quality: ConversationQuality | None) -> None:
    assert judge_quality(include, quality) == []


@pytest.mark.parametrize(
    ("include", "quality", "paths"),
    [
        pytest.param([OVERALL], None, [QUALITY], id="overall missing with all"),
        pytest.param([OVERALL, TIMELINE], None, [QUALITY, QUALITY], id="both missing"),
        pytest.param([OVERALL], ConversationQuality(), [QUALITY], id="overall missing"),
        pytest.param([TIMELINE], ConversationQuality(), [QUALITY], id="timeline missing"),
        pytest.param([], ConversationQuality(SCORES), [f"{QUALITY}.overall"], id="overall not asked for"),
        pytest.param([], ConversationQuality(None, (ENTRY,)), [f"{QUALITY}.timeline"], id="timeline not asked for"),
        pytest.param([], ConversationQuality(None, ()), [f"{QUALITY}.timeline"], id="an empty one not asked for"),
        pytest.param([OVERALL], ConversationQuality(None, (ENTRY,)), [QUALITY, f"{QUALITY}.timeline"], id="the other"),
    ],
)
def test_sections_that_are_missing_or_too_many_break_sts_3(
    include: list[str], quality: ConversationQuality | None, paths: list[str]
) -> None:
    assert judge_quality(include, quality) == [("STS-3", path) for path in paths]


@pytest.mark.parametrize("name", ["quality_index", "clarity", "authority", "energy", "rapport", "learning"])
@pytest.mark.parametrize("score", [-0.5, 100.5])
def test_scores_out_of_range_break_cqi_5_in_both_sections(name: str, score: float) -> None:
    fifty = QualityScores(50, 50, 50, 50, 50, 50)
    wrong = attrs.evolve(fifty, **{name: score})
    entries = (attrs.evolve(ENTRY, values=fifty), attrs.evolve(ENTRY, values=wrong))
    found = judge_quality([OVERALL, TIMELINE], ConversationQuality(wrong, entries))
    assert [place for place in found if place[0] == "CQI-5"] == [
        ("CQI-5", f"{QUALITY}.overall.{name}"),
        ("CQI-5", f"{QUALITY}.timeline[1].values.{name}"),
    ]


def test_an_index_far_from_the_mean_breaks_cqi_6_in_both_sections() -> None:
    wrong = QualityScores(60, 50, 50, 50, 50, 50)
    quality = ConversationQuality(wrong, (attrs.evolve(ENTRY, values=wrong),))
    assert judge_quality([OVERALL, TIMELINE], quality) == [
        ("CQI-6", f"{QUALITY}.overall.quality_index"),
        ("CQI-6", f"{QUALITY}.timeline[0].values.quality_index"),
    ]


@pytest.mark.parametrize(("start", "end", "kept"), [(5, 10, True), (5, 5, True), (10, 5, False), (-1, 5, False)])
def test_an_entry_of_the_timeline_has_a_beginning_and_an_end(start: float, end: float, kept: bool) -> None:
    quality = ConversationQuality(None, (ENTRY, attrs.evolve(ENTRY, start=start, end=end)))
    assert judge_quality([TIMELINE], quality) == ([] if kept else [("STS-3", f"{QUALITY}.timeline[1]")])


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (None, []),
        ([], []),
        ([EngagementSpan(5, 10, "engaged")], []),
        ([EngagementSpan(5, 7, "neutral"), EngagementSpan(7, 10, "disengaged")], []),
        ([EngagementSpan(5, 7, "neutral"), EngagementSpan(7, 10, "bored")], [("STS-3", "$.engagement_state[1].state")]),
        ([EngagementSpan(10, 5, "engaged")], [("STS-3", "$.engagement_state[0]")]),
        ([EngagementSpan(-1, 5, "engaged")], [("STS-3", "$.engagement_state[0]")]),
    ],
)
def test_the_levels_of_engagement_keep_their_words_and_times(
    spans: list[EngagementSpan] | None, expected: Found
) -> None:
    rules = rules_after(SIZE)
    judge(rules, processing(1))
    message = result(1, engagement_state=tuple(spans) if spans is not None else None)
    assert judge(rules, message) == expected


def test_all_that_is_wrong_with_a_result_is_found_in_one_go() -> None:
    message = result(
        1,
        SignalSpan("boredom", 3, 2, "certain"),
        engagement_state=(EngagementSpan(3, 2, "bored"),),
        conversation_quality=ConversationQuality(SCORES),
    )
    assert judge(rules_after(SIZE), message, SessionConfig([TIMELINE])) == [
        ("STS-1", SEGMENT),
        ("SIG-6", "$.signals[0].type"),
        ("SIG-6", "$.signals[0].probability"),
        ("STS-2", "$.signals[0]"),
        ("STS-3", "$.engagement_state[0].state"),
        ("STS-3", "$.engagement_state[0]"),
        ("STS-3", f"{QUALITY}.overall"),
        ("STS-3", QUALITY),
    ]


# -- STS-4 -----------------------------------------------------------------------------------------------------


def judge_text(text: str, size: int | None = 31_000_000, revision: Any = V0) -> Found:
    rules = StatusRules(revision)
    rules.begin(1)
    if size is not None:
        rules.finish(size)
    return judge(rules, SegmentFailedText(1, text))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        pytest.param(OVERSIZE, 31_000_000, id="the example of the document"),
        pytest.param(OVERSIZE.replace("31000000", "20971521"), 20_971_521, id="one byte too many"),
        pytest.param(OVERSIZE, None, id="a segment that is still being sent"),
        pytest.param("The video cannot be decoded.", 31_000_000, id="another error"),
        pytest.param("", 31_000_000, id="no words at all"),
    ],
)
def test_these_sentences_keep_sts_4(text: str, size: int | None) -> None:
    assert judge_text(text, size) == []


@pytest.mark.parametrize(
    "text",
    [
        OVERSIZE.replace("31000000", "31,000,000"),
        OVERSIZE.replace("31000000", "31 MB"),
        OVERSIZE.replace("31000000", ""),
        OVERSIZE.replace("31000000", "-1"),
        OVERSIZE.replace("31000000", "3" * 5000),
        OVERSIZE.replace("31000000", "٣"),
        OVERSIZE.replace("20971520", "33554432"),
        OVERSIZE.replace("bytes)", "bytes)."),
        OVERSIZE + "\n",
        "Video chunk too large: ",
    ],
)
def test_other_words_for_a_segment_that_is_too_large_break_sts_4(text: str) -> None:
    rules = rules_after(31_000_000, revision=V0)
    (finding,) = findings(rules, SegmentFailedText(1, text))
    assert (finding.clause.id, finding.path) == ("STS-4", "$.error")
    assert "Video chunk too large: <n> bytes (maximum: 20971520 bytes)" in finding.what
    assert len(finding.what) < 200


def test_another_size_than_that_of_the_segment_breaks_sts_4() -> None:
    rules = rules_after(31_000_001, revision=V0)
    (finding,) = findings(rules, SegmentFailedText(1, OVERSIZE))
    assert (finding.clause.id, finding.path) == ("STS-4", "$.error")
    assert finding.what == "segment 1 has 31000001 bytes, not 31000000"


def test_a_segment_that_does_not_exist_has_no_size_to_compare() -> None:
    rules = rules_after(5, revision=V0)
    assert judge(rules, SegmentFailedText(2, OVERSIZE)) == [("SEG-1", SEGMENT)]


def test_the_limit_in_the_sentence_is_that_of_the_contract() -> None:
    revision = attrs.evolve(V0, contract=attrs.evolve(V0.contract, max_segment_size_bytes=30_000_000))
    assert judge_text(OVERSIZE.replace("20971520", "30000000"), revision=revision) == []
    assert judge_text(OVERSIZE, revision=revision) == [("STS-4", "$.error")]


@pytest.mark.parametrize("revision", [V0_2, V1])
def test_where_the_words_are_free_they_are_not_judged(revision: Any) -> None:
    assert judge_text(OVERSIZE.replace("20971520", "1"), revision=revision) == []
