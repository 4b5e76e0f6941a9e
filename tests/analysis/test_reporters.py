"""From accepted segments to windows, and from their analyses to messages, in each way of emission."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ihproto.analysis import EngagementReport, Pacing, QualityReport, SignalReport, WindowAnalysis, make_reporter
from ihproto.analysis.reporters import ChangeReporter, Reporter, SegmentReporter, WindowReporter
from ihproto.events import Window
from ihproto.messages import (
    ConversationQuality,
    ConversationQualityUpdated,
    CoverageDropped,
    EngagementSpan,
    EngagementUpdated,
    MediaRange,
    QualityScores,
    SegmentCompleted,
    SegmentProcessing,
    SegmentResult,
    SegmentSignals,
    ServerMessage,
    SignalDetected,
    SignalEnded,
    SignalSpan,
    SignalUpdated,
    TimelineEntry,
    WindowEngagement,
    WindowSignals,
)
from ihproto.revisions import REVISIONS, V0, V0_2, V1, V1_WINDOW, V2, Revision

OVERALL, TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"
BOTH = (OVERALL, TIMELINE)
#: A signal with everything that can be told of one.
NODS = SignalReport("agreement", 6.0, 9.0, None, "high", "nods", ("video",))


def level(score: float) -> QualityReport:
    return QualityReport(score, score, score, score, score)


def scores(score: float) -> QualityScores:
    return QualityScores(score, score, score, score, score, score)


def windows_of(reporter: Reporter, *segments: float) -> list[Window]:
    """The windows of a session with segments of these lengths, in seconds."""
    windows: list[Window] = []
    end = 0.0
    for number, seconds in enumerate(segments, 1):
        start, end = end, end + seconds
        windows += reporter.accepted(number, 100 * number, start, end)[1]
    return windows


def analysed(reporter: Reporter, window: Window, *signals: SignalReport, **more: Any) -> list[ServerMessage]:
    include = more.pop("include", ())
    return reporter.analysed(WindowAnalysis(window, signals, **more), include)


@pytest.mark.parametrize(
    ("revision", "cls"),
    [
        (V0, SegmentReporter),
        (V0_2, SegmentReporter),
        (V1_WINDOW, WindowReporter),
        (V1, ChangeReporter),
        (V2, ChangeReporter),
    ],
)
def test_each_revision_has_the_reporter_of_its_emission(revision: Revision, cls: type[Reporter]) -> None:
    assert type(make_reporter(revision)) is cls


def test_media_is_cut_as_the_documents_assume_unless_told_otherwise() -> None:
    # WIN-1 and CQI-7.
    pacing = Pacing()
    assert (pacing.window_seconds, pacing.window_advance_seconds, pacing.period_seconds) == (8, 3, 10)
    assert windows_of(make_reporter(V1, Pacing(5, 5)), 12) == [Window(0, 0, 5), Window(1, 5, 10)]
    assert windows_of(make_reporter(V1_WINDOW, Pacing(5, 5)), 12) == [Window(0, 0, 5), Window(1, 5, 10)]


# -- segments ---------------------------------------------------------------------------------------------


def test_sts_1_a_segment_is_processing_at_once_and_is_a_window_of_its_own() -> None:
    reporter = make_reporter(V0_2)
    assert reporter.accepted(1, 1_200_000, 0, 5) == (
        [SegmentProcessing(1, 1_200_000)],
        [Window(0, 0, 5, segment=1)],
    )
    # Segment 2 was refused, and its number is used up (SEG-1).
    assert reporter.accepted(3, 999, 5, 9.5) == ([SegmentProcessing(3, 999)], [Window(1, 5, 9.5, segment=3)])


@pytest.mark.parametrize(("revision", "cls"), [(V0, SegmentSignals), (V0_2, SegmentResult)])
def test_sts_1_result_is_followed_by_completed(revision: Revision, cls: type[ServerMessage]) -> None:
    reporter = make_reporter(revision)
    (window,) = windows_of(reporter, 5)
    assert analysed(reporter, window) == [cls(1, ()), SegmentCompleted(1)]  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(6, 9, (6, 9), id="inside"),
        pytest.param(5, 10, (5, 10), id="all of it"),
        pytest.param(2, 7, (5, 7), id="since the segment before"),
        pytest.param(7, None, (7, 10), id="until its end"),
        pytest.param(7, 12, (7, 10), id="beyond its end"),
        pytest.param(2, 12, (5, 10), id="beyond both"),
        pytest.param(1, 3, (5, 5), id="all before it"),
        pytest.param(11, 12, (10, 10), id="all after it"),
        pytest.param(8, 6, (8, 8), id="the wrong way round"),
    ],
)
def test_sts_2_signals_are_clipped_and_count_from_the_session_in_v0_2_and_from_the_segment_in_v0(
    start: float, end: float | None, expected: tuple[float, float]
) -> None:
    report = SignalReport("agreement", start, end)
    for revision, cls, offset in ((V0, SegmentSignals, 5), (V0_2, SegmentResult, 0)):
        reporter = make_reporter(revision)
        _, window = windows_of(reporter, 5, 5)
        result, _ = analysed(reporter, window, report)
        assert isinstance(result, cls)
        assert result.signals == (SignalSpan("agreement", expected[0] - offset, expected[1] - offset),)


def test_the_details_of_a_signal_are_those_of_the_revision() -> None:
    told = {}
    for revision in (V0, V0_2):
        reporter = make_reporter(revision)
        _, window = windows_of(reporter, 5, 5)
        result, _ = analysed(reporter, window, NODS)
        assert isinstance(result, SegmentSignals | SegmentResult)
        told[revision.id] = result.signals
    assert told == {
        "v0": (SignalSpan("agreement", 1, 4),),
        "v0.2": (SignalSpan("agreement", 6, 9, "high", "nods", None),),
    }


# -- engagement in segments (STS-3) ---------------------------------------------------------------------------


def engagement_in(*reports: tuple[str, float] | None) -> list[tuple[EngagementSpan, ...] | None]:
    """What v0.2 says of the engagement in consecutive segments of 5 seconds."""
    reporter = make_reporter(V0_2)
    said = []
    for window, report in zip(windows_of(reporter, *[5.0] * len(reports)), reports, strict=True):
        result, _ = analysed(reporter, window, engagement=EngagementReport(*report) if report else None)
        assert isinstance(result, SegmentResult)
        said.append(result.engagement_state)
    return said


def test_the_first_level_holds_for_its_whole_segment() -> None:
    # What was before it nobody knows.
    assert engagement_in(("engaged", 2)) == [(EngagementSpan(0, 5, "engaged"),)]


def test_a_level_that_stays_holds_for_the_whole_segment() -> None:
    assert engagement_in(("engaged", 0), ("engaged", 0), ("engaged", 12)) == [
        (EngagementSpan(0, 5, "engaged"),),
        (EngagementSpan(5, 10, "engaged"),),
        (EngagementSpan(10, 15, "engaged"),),
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(7, [(5, 7, "engaged"), (7, 10, "neutral")], id="in the middle"),
        pytest.param(5, [(5, 10, "neutral")], id="at the beginning"),
        pytest.param(2, [(5, 10, "neutral")], id="before it"),
        pytest.param(10, [(5, 10, "neutral")], id="at the end"),
        pytest.param(12, [(5, 10, "neutral")], id="after it"),
    ],
)
def test_a_level_that_changes_splits_the_segment_where_it_does(
    change: float, expected: list[tuple[float, float, str]]
) -> None:
    _, second = engagement_in(("engaged", 0), ("neutral", change))
    assert second == tuple(EngagementSpan(*span) for span in expected)


def test_where_nothing_is_known_nothing_is_said_and_the_level_before_is_kept() -> None:
    assert engagement_in(None, ("engaged", 5), None, ("disengaged", 18)) == [
        None,
        (EngagementSpan(5, 10, "engaged"),),
        None,
        (EngagementSpan(15, 18, "engaged"), EngagementSpan(18, 20, "disengaged")),
    ]


@given(
    reports=st.lists(
        st.none() | st.tuples(st.sampled_from(["engaged", "neutral", "disengaged"]), st.floats(0, 60)), max_size=10
    )
)
def test_the_spans_of_a_segment_cover_it_without_gaps(reports: list[tuple[str, float] | None]) -> None:
    for index, (report, spans) in enumerate(zip(reports, engagement_in(*reports), strict=True)):
        assert (spans is None) == (report is None)
        if spans is not None and report is not None:
            assert [spans[0].start, *(span.end for span in spans)] == [
                5 * index,
                *(span.start for span in spans[1:]),
                5 * index + 5,
            ]
            assert all(span.start < span.end for span in spans)
            assert spans[-1].state == report[0]


# -- quality in segments (STS-3) --------------------------------------------------------------------------------


def quality_in(reporter: Reporter, window: Window, *include: str, **more: Any) -> ConversationQuality | None:
    result, _ = analysed(reporter, window, include=include, **more)
    assert isinstance(result, SegmentResult)
    return result.conversation_quality


def test_sts_3_overall_is_of_all_segments_so_far_and_the_timeline_of_its_own() -> None:
    reporter = make_reporter(V0_2)
    first, second, third = windows_of(reporter, 4, 6, 10)
    assert quality_in(reporter, first, *BOTH, quality=level(80)) == ConversationQuality(
        scores(80), (TimelineEntry(0, 4, scores(80)),)
    )
    # (4 · 80 + 6 · 30) / 10 = 50, and (4 · 80 + 6 · 30 + 10 · 45) / 20 = 47.5
    assert quality_in(reporter, second, *BOTH, quality=level(30)) == ConversationQuality(
        scores(50), (TimelineEntry(4, 10, scores(30)),)
    )
    assert quality_in(reporter, third, *BOTH, quality=level(45)) == ConversationQuality(
        scores(47.5), (TimelineEntry(10, 20, scores(45)),)
    )


def test_cqi_6_the_scores_of_a_segment_are_told_apart_and_their_mean_is_the_index() -> None:
    reporter = make_reporter(V0_2)
    (window,) = windows_of(reporter, 5)
    # (67 + 71 + 82 + 77 + 72) / 5 = 73.8
    expected = QualityScores(73.8, 67, 71, 82, 77, 72)
    assert quality_in(reporter, window, *BOTH, quality=QualityReport(67, 71, 82, 77, 72)) == ConversationQuality(
        expected, (TimelineEntry(0, 5, expected),)
    )


def test_sts_3_only_the_sections_asked_for_are_there() -> None:
    reporter = make_reporter(V0_2)
    windows = windows_of(reporter, 5, 5, 5, 5)
    assert quality_in(reporter, windows[0], quality=level(20)) is None
    # What was not asked for then counts all the same: (20 + 60) / 2 = 40.
    assert quality_in(reporter, windows[1], OVERALL, quality=level(60)) == ConversationQuality(scores(40), None)
    assert quality_in(reporter, windows[2], TIMELINE, quality=level(70)) == ConversationQuality(
        None, (TimelineEntry(10, 15, scores(70)),)
    )
    assert quality_in(reporter, windows[3]) is None


def test_a_segment_to_which_nothing_contributes_is_all_50_and_weighs_nothing() -> None:
    reporter = make_reporter(V0_2)
    first, second = windows_of(reporter, 5, 5)
    assert quality_in(reporter, first, *BOTH) == ConversationQuality(scores(50), (TimelineEntry(0, 5, scores(50)),))
    assert quality_in(reporter, second, *BOTH, quality=level(90)) == ConversationQuality(
        scores(90), (TimelineEntry(5, 10, scores(90)),)
    )


def test_engagement_contributes_where_there_are_no_scores() -> None:
    pacing = Pacing(engagement_scores={"engaged": 90.0, "neutral": 40.0, "disengaged": 10.0})
    reporter = make_reporter(V0_2, pacing)
    first, second = windows_of(reporter, 5, 5)
    assert quality_in(reporter, first, OVERALL, engagement=EngagementReport("engaged", 0)) == ConversationQuality(
        scores(90)
    )
    # Scores go before engagement: (90 + 20) / 2 = 55.
    disengaged = EngagementReport("disengaged", 5)
    assert quality_in(reporter, second, OVERALL, engagement=disengaged, quality=level(20)) == ConversationQuality(
        scores(55)
    )


def test_a_segment_without_media_has_a_timeline_and_no_weight() -> None:
    reporter = make_reporter(V0_2)
    first, header, last = windows_of(reporter, 5, 0, 5)
    quality_in(reporter, first, quality=level(20))
    assert quality_in(reporter, header, *BOTH, quality=level(100)) == ConversationQuality(
        scores(20), (TimelineEntry(5, 5, scores(50)),)
    )
    assert quality_in(reporter, last, OVERALL, quality=level(40)) == ConversationQuality(scores(30))


def test_a_segment_whose_analysis_was_left_out_is_silent_and_does_not_count() -> None:
    reporter = make_reporter(V0_2)
    first, second, third = windows_of(reporter, 5, 10, 5)
    quality_in(reporter, first, quality=level(20))
    assert reporter.dropped(second, BOTH, last=False) == []
    # (5 · 20 + 5 · 60) / 10 = 40: the third segment stands for its own 5 seconds and not for the 10 before it.
    assert quality_in(reporter, third, *BOTH, quality=level(60)) == ConversationQuality(
        scores(40), (TimelineEntry(15, 20, scores(60)),)
    )


@pytest.mark.parametrize("revision", [V0, V0_2, V1_WINDOW])
def test_nothing_remains_to_be_said_at_the_end_where_there_is_no_drain(revision: Revision) -> None:
    reporter = make_reporter(revision)
    windows_of(reporter, 5)
    assert reporter.remainder(5) is None
    assert reporter.conclude() == []


# -- windows (WIN-3) ----------------------------------------------------------------------------------------------


def test_win_3_a_window_has_its_signals_in_one_message_and_its_engagement_in_another() -> None:
    reporter = make_reporter(V1_WINDOW)
    assert reporter.accepted(1, 100, 0, 5) == ([], [])
    assert reporter.accepted(2, 100, 5, 11) == ([], [Window(0, 0, 8), Window(1, 3, 11)])
    calm = SignalReport("confidence", 0, None, None, "medium")
    assert analysed(reporter, Window(0, 0, 8)) == []
    assert analysed(reporter, Window(1, 3, 11), NODS, calm, engagement=EngagementReport("engaged", 1)) == [
        # Every signal has the span of the window, wherever in it it was seen; no modality.
        WindowSignals(
            (
                SignalSpan("agreement", 3, 11, "high", "nods"),
                SignalSpan("confidence", 3, 11, "medium"),
            )
        ),
        WindowEngagement("engaged", 3, 11),
    ]


def test_win_3_the_same_is_said_again_of_the_next_window() -> None:
    reporter = make_reporter(V1_WINDOW)
    said = [
        analysed(reporter, window, NODS, engagement=EngagementReport("engaged", 0))
        for window in windows_of(reporter, 14)
    ]
    assert [
        [attrs.astuple(message)[-2:] for message in messages if isinstance(message, WindowEngagement)]
        for messages in said
    ] == [
        [(0, 8)],
        [(3, 11)],
        [(6, 14)],
    ]
    assert all(isinstance(messages[0], WindowSignals) for messages in said)


def test_the_quality_of_a_window_is_its_own_and_overall_counts_every_second_once() -> None:
    reporter = make_reporter(V1_WINDOW)
    first, second, third = windows_of(reporter, 14)
    assert analysed(reporter, first, quality=level(30), include=BOTH) == [
        ConversationQualityUpdated(scores(30), (TimelineEntry(0, 8, scores(30)),))
    ]
    # The window adds the 3 seconds from 8 to 11: (8 · 30 + 3 · 74) / 11 = 42.
    assert analysed(reporter, second, quality=level(74), include=BOTH) == [
        ConversationQualityUpdated(scores(42), (TimelineEntry(3, 11, scores(74)),))
    ]
    # (8 · 30 + 3 · 74 + 3 · 28) / 14 = 39
    assert analysed(reporter, third, quality=level(28), include=[OVERALL]) == [ConversationQualityUpdated(scores(39))]


def test_without_sections_asked_for_no_quality_of_a_window_is_said() -> None:
    reporter = make_reporter(V1_WINDOW)
    first, second = windows_of(reporter, 11)
    assert analysed(reporter, first, quality=level(30)) == []
    assert analysed(reporter, second, include=[TIMELINE]) == [
        ConversationQualityUpdated(None, (TimelineEntry(3, 11, scores(50)),))
    ]


def test_of_windows_that_were_left_out_nothing_is_said_and_nothing_counts() -> None:
    reporter = make_reporter(V1_WINDOW)
    first, *left_out, last = windows_of(reporter, 20)
    assert (first.end, last.start) == (8, 12)
    analysed(reporter, first, quality=level(80))
    assert [reporter.dropped(window, BOTH, last=False) for window in left_out] == [[], [], []]
    # From 8 to 12 nobody looked: (8 · 80 + 8 · 20) / 16 = 50.
    assert analysed(reporter, last, quality=level(20), include=[OVERALL]) == [ConversationQualityUpdated(scores(50))]


# -- changes (SIG, ENG, CQI, COV) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("revision", "modality"), [(V1, ("video",)), (V2, None)])
def test_sig_8_v2_tells_no_modality(revision: Revision, modality: tuple[str, ...] | None) -> None:
    reporter = make_reporter(revision)
    first, second = windows_of(reporter, 11)
    assert analysed(reporter, first, NODS) == [SignalDetected("agreement", 6, "high", "nods", modality)]
    low = attrs.evolve(NODS, probability="low", since=7.0)
    assert analysed(reporter, second, low) == [SignalUpdated("agreement", 7, "low", "nods", modality)]


def test_a_session_of_changes_from_its_first_window_to_its_end() -> None:
    reporter = make_reporter(V1)
    first, second = windows_of(reporter, 5, 7)
    assert analysed(
        reporter, first, NODS, engagement=EngagementReport("engaged", 1), quality=level(60), include=BOTH
    ) == [
        SignalDetected("agreement", 6, "high", "nods", ("video",)),
        EngagementUpdated("engaged", 1),
    ]
    # (8 · 60 + 2 · 10) / 10 = 50
    assert analysed(
        reporter, second, NODS, engagement=EngagementReport("engaged", 1), quality=level(10), include=BOTH
    ) == [ConversationQualityUpdated(scores(50), (TimelineEntry(0, 10, scores(50)),))]
    last = reporter.remainder(12)
    assert last == Window(2, 6, 12, final=True)
    assert analysed(reporter, last, SignalReport("stress", 11, 11.5)) == [
        SignalEnded("agreement", 9),
        SignalDetected("stress", 11),
    ]
    assert reporter.conclude() == [SignalEnded("stress", 11.5)]


def test_cov_1_what_no_window_covers_any_more_is_said_once() -> None:
    reporter = make_reporter(V1)
    first, second, third, fourth = windows_of(reporter, 17)
    analysed(reporter, first)
    # The window after it covers all but the first three seconds, and those the one before it did.
    assert reporter.dropped(second, (), last=False) == []
    assert reporter.dropped(third, (), last=False) == [CoverageDropped((MediaRange(8, 9),))]
    assert analysed(reporter, fourth) == []
    assert reporter.conclude() == []


def test_cov_1_what_is_left_out_at_the_end_is_said_when_the_session_concludes() -> None:
    reporter = make_reporter(V1)
    (first,) = windows_of(reporter, 10)
    assert reporter.dropped(first, [OVERALL], last=False) == [CoverageDropped((MediaRange(0, 3),))]
    last = reporter.remainder(10)
    assert last is not None
    assert reporter.dropped(last, [OVERALL], last=True) == [ConversationQualityUpdated(scores(50))]
    assert reporter.conclude() == [CoverageDropped((MediaRange(3, 10),))]


@pytest.mark.parametrize("revision", REVISIONS.values(), ids=list(REVISIONS))
def test_every_reporter_says_messages_of_its_revision_only(revision: Revision) -> None:
    reporter = make_reporter(revision)
    said: list[ServerMessage] = []
    end = 0.0
    for number in range(1, 5):
        start, end = end, end + 5
        messages, windows = reporter.accepted(number, 100, start, end)
        said += messages
        for window in windows:
            signals = [NODS] if number % 2 else []
            engagement = EngagementReport("engaged" if number % 2 else "neutral", start)
            said += analysed(reporter, window, *signals, engagement=engagement, quality=level(50), include=BOTH)
    said += reporter.conclude()
    assert {type(message) for message in said} <= set(revision.messages)
    assert len({type(message) for message in said}) > 2
