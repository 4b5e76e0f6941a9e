"""The whole-file view, judged by what a session says of the same windows, and by sums done by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest
from builders import CORRELATION_ID, OVERALL, TIMELINE, said
from hypothesis import given
from hypothesis import strategies as st
from interhumanai.types import AnalysisResult as TheirResult

from ihproto import (
    EngagementReport,
    NominalScanner,
    QualityReport,
    ServerSession,
    SignalReport,
    Window,
    WindowAnalysis,
    WindowReady,
)
from ihproto.analysis import analysis_result, file_windows, job_result
from ihproto.analysis.wholefile import conversation_quality, engagement_spans, signal_spans
from ihproto.codec import decode_json, encode_json
from ihproto.messages import EngagementSpan, QualityScores, SignalSpan
from ihproto.uploads import AnalysisResult, Feedback, UploadJob

EXAMPLE = (Path(__file__).parent / "upload_example.json").read_bytes()
RANK = ["", "low", "medium", "high"]
BOTH = (OVERALL, TIMELINE)


def level(score: float) -> QualityReport:
    return QualityReport(score, score, score, score, score)


def scores(score: float) -> QualityScores:
    return QualityScores(score, score, score, score, score, score)


def streamed(analyses: Sequence[WindowAnalysis], duration: float) -> list[tuple[str, Any]]:
    """What a session says while media of so many seconds comes in, and ends gracefully."""
    pending = {analysis.window: analysis for analysis in analyses}
    session = ServerSession(
        0.0,
        correlation_id=CORRELATION_ID,
        started_at=datetime(2025, 1, 1, tzinfo=UTC),
        scanner=NominalScanner(duration),
    )
    session.open(0.0)
    session.receive_text(json.dumps({"include": BOTH}), 0.0)
    session.receive_bytes(b"x", 0.0)
    session.receive_text('{"type": "session.close"}', 0.0)
    for event in session.events():
        if isinstance(event, WindowReady):
            session.send_analysis(pending.pop(event.window), 0.0)
    assert not pending
    return said(session.to_send())


def detections(messages: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    """Each round of detected, updated and ended as the span that it is."""
    spans: list[dict[str, Any]] = []
    active: dict[str, dict[str, Any]] = {}
    for kind, data in messages:
        if kind == "signal.ended":
            spans.append(active.pop(data["signal_type"]) | {"end": data["end"]})
        elif kind.startswith("signal."):
            name = data["signal_type"]
            span = active.setdefault(name, {"type": name, "start": data["start"], "probability": ""})
            if kind == "signal.detected" or RANK.index(data.get("probability", "")) > RANK.index(span["probability"]):
                span["probability"] = data.get("probability", "")
                span["rationale"] = data.get("rationale")
    assert not active
    return spans


def as_dicts(spans: Sequence[SignalSpan]) -> list[dict[str, Any]]:
    return [
        {"type": span.type, "start": span.start, "end": span.end}
        | {"probability": span.probability or "", "rationale": span.rationale}
        for span in spans
    ]


def by_type(spans: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(spans, key=lambda span: (span["type"], span["start"], span["end"]))


@st.composite
def reports(draw: st.DrawFn, window: Window) -> tuple[SignalReport, ...]:
    names = draw(st.lists(st.sampled_from(["agreement", "interest", "stress"]), unique=True))
    times = st.floats(0, window.end, allow_subnormal=False)
    return tuple(
        SignalReport(
            name,
            draw(times),
            draw(st.none() | times),
            draw(st.none() | times),
            draw(st.sampled_from([None, "low", "medium", "high"])),
            draw(st.sampled_from([None, "a nod", "a smile"])),
        )
        for name in names
    )


@st.composite
def files(draw: st.DrawFn) -> tuple[float, list[WindowAnalysis]]:
    """A file's duration, and whatever an analysis might say about its windows."""
    duration = draw(st.floats(3, 60))
    analyses = []
    for window in file_windows(duration):
        since = draw(st.floats(0, window.end))
        engagement = st.builds(
            EngagementReport, st.sampled_from(["engaged", "neutral", "disengaged"]), start=st.just(since)
        )
        quality = st.builds(level, st.integers(0, 100))
        analyses.append(
            WindowAnalysis(window, draw(reports(window)), draw(st.none() | engagement), draw(st.none() | quality))
        )
    return duration, analyses


def test_upl_1_the_published_example_survives_decoding_and_encoding() -> None:
    result = decode_json(AnalysisResult, EXAMPLE, "UPL-1")
    assert result.signals[0].rationale == "Subject nodded repeatedly while maintaining eye contact."
    assert json.loads(encode_json(result)) == json.loads(EXAMPLE)


@pytest.mark.parametrize(
    "feedback",
    [
        {
            "type": "feedback",
            "message": "Speak slower.",
            "active_dimensions": ["clarity", "energy"],
            "primary_signal": "confusion",
        },
        {"type": "no_feedback", "reason": "Nothing was seen."},
    ],
)
def test_upl_1_feedback_of_either_kind_survives_decoding_and_encoding(feedback: dict[str, Any]) -> None:
    body = json.dumps(json.loads(EXAMPLE) | {"feedback": feedback}).encode()
    result = decode_json(AnalysisResult, body, "UPL-1")
    assert result.feedback == Feedback(
        feedback["type"],
        feedback.get("message"),
        tuple(feedback["active_dimensions"]) if "active_dimensions" in feedback else None,
        feedback.get("primary_signal"),
        feedback.get("reason"),
    )
    assert json.loads(encode_json(result)) == json.loads(body)
    TheirResult.model_validate_json(encode_json(result))


def test_win_1_a_file_is_cut_as_a_stream_is_with_the_remainder_as_the_last_window() -> None:
    assert [(window.start, window.end) for window in file_windows(15.5)] == [
        (0, 8),
        (3, 11),
        (6, 14),
        (9, 15.5),
    ]
    assert [(window.start, window.end) for window in file_windows(20, 8, 8)] == [(0, 8), (8, 16), (16, 20)]
    assert [(window.start, window.end) for window in file_windows(16, 8, 8)] == [(0, 8), (8, 16)]


@given(files())
def test_upl_1_a_span_is_what_a_stream_says_between_detected_and_ended(
    file: tuple[float, list[WindowAnalysis]],
) -> None:
    duration, analyses = file
    spans = analysis_result(analyses, duration).signals
    assert by_type(as_dicts(spans)) == by_type(detections(streamed(analyses, duration)))
    assert [span.start for span in spans] == sorted(span.start for span in spans)


@given(files())
def test_upl_1_engagement_covers_the_file_and_changes_where_a_stream_says_so(
    file: tuple[float, list[WindowAnalysis]],
) -> None:
    duration, analyses = file
    spans = analysis_result(analyses, duration).engagement_state
    assert spans is not None
    assert (spans[0].start, spans[-1].end) == (0, duration)
    assert all(one.end == next_.start and one.state != next_.state for one, next_ in pairwise(spans))
    assert all(span.start < span.end for span in spans)
    changes = [(data["start"], data["state"]) for kind, data in streamed(analyses, duration) if kind.startswith("eng")]
    for span in spans:
        in_force = [state for start, state in changes if start <= span.start]
        assert span.state == (in_force[-1] if in_force else "neutral")


@given(files())
def test_upl_1_the_timeline_is_that_of_a_stream_and_what_is_left(file: tuple[float, list[WindowAnalysis]]) -> None:
    duration, analyses = file
    quality = analysis_result(analyses, duration, include=[TIMELINE]).conversation_quality
    assert quality is not None
    assert quality.overall is None
    assert quality.timeline is not None
    entries = json.loads(encode_json(quality))["timeline"]
    said_in_stream = [
        data["timeline"][0] for kind, data in streamed(analyses, duration) if kind == "conversation_quality.updated"
    ]
    assert entries[: len(said_in_stream)] == said_in_stream
    assert len(entries) - len(said_in_stream) == (1 if duration % 10 else 0)
    assert (entries[0]["start"], entries[-1]["end"]) == (0, duration)
    assert all(one["end"] == next_["start"] for one, next_ in pairwise(entries))


def test_upl_1_a_span_keeps_the_highest_probability_with_its_rationale_and_every_modality() -> None:
    reported = [
        SignalReport("stress", 2, None, None, "low", "a sigh", ("visual",)),
        SignalReport("stress", 2, None, 5, "high", "a long sigh", ("audio", "visual")),
        SignalReport("stress", 2, 13, 9, "medium", "a glance", ("visual",)),
    ]
    windows = file_windows(14)
    analyses = [WindowAnalysis(window, (report,)) for window, report in zip(windows, reported, strict=True)]
    (span,) = analysis_result(analyses, 14).signals
    assert span == SignalSpan("stress", 2, 13, "high", "a long sigh", ("visual", "audio"))


def test_upl_1_each_level_of_probability_is_above_the_one_before() -> None:
    reported = [SignalReport("stress", 2, None, None, level) for level in (None, "low", "medium", "high")]
    windows = file_windows(17)
    for number in range(1, 5):
        analyses = [WindowAnalysis(*pair) for pair in zip(windows, [(one,) for one in reported[:number]], strict=False)]
        (span,) = analysis_result(analyses, 17).signals
        assert span.probability == reported[number - 1].probability


def test_upl_1_a_file_of_which_nothing_is_known_is_neutral_and_fifty() -> None:
    analyses = [WindowAnalysis(window) for window in file_windows(20)]
    result = analysis_result(analyses, 20, include=BOTH)
    assert result.signals == ()
    assert result.engagement_state == (EngagementSpan(0, 20, "neutral"),)
    assert result.conversation_quality is not None
    assert result.conversation_quality.overall == scores(50)
    assert result.conversation_quality.timeline is not None
    # 0 to 10 and 10 to 20, as in the published example.
    assert [(entry.start, entry.end) for entry in result.conversation_quality.timeline] == [(0, 10), (10, 20)]


def test_upl_1_what_no_window_covers_is_neutral_and_fifty_too() -> None:
    first = file_windows(14)[0]
    result = analysis_result([WindowAnalysis(first, (), None, level(100))], 14, include=BOTH)
    assert result.conversation_quality is not None
    assert result.conversation_quality.overall == scores(100)
    assert result.conversation_quality.timeline is not None
    assert [(entry.start, entry.end) for entry in result.conversation_quality.timeline] == [(0, 10), (10, 14)]
    assert result.conversation_quality.timeline[-1].values == scores(50)


def test_upl_1_the_shortest_of_files_has_an_analysis() -> None:
    assert engagement_spans([], 0.5) == (EngagementSpan(0, 0.5, "neutral"),)


def test_upl_1_of_two_signals_that_begin_together_the_shorter_comes_first() -> None:
    (window,) = file_windows(8)
    reports = (SignalReport("stress", 1, 7), SignalReport("interest", 1, 4), SignalReport("agreement", 0))
    spans = analysis_result([WindowAnalysis(window, reports)], 8).signals
    assert [(span.type, span.start, span.end) for span in spans] == [
        ("agreement", 0, 8),
        ("interest", 1, 4),
        ("stress", 1, 7),
    ]


def test_upl_1_engagement_is_neutral_until_it_is_known() -> None:
    first, second, third = file_windows(14)
    analyses = [
        WindowAnalysis(first),
        WindowAnalysis(second, (), EngagementReport("engaged", 9)),
        WindowAnalysis(third, (), EngagementReport("disengaged", 12)),
    ]
    assert analysis_result(analyses, 14).engagement_state == (
        EngagementSpan(0, 9, "neutral"),
        EngagementSpan(9, 12, "engaged"),
        EngagementSpan(12, 14, "disengaged"),
    )


def test_upl_1_engagement_that_begins_after_the_file_is_no_part_of_it() -> None:
    first, second, third = file_windows(14)
    analyses = [
        WindowAnalysis(first, (), EngagementReport("engaged", 2)),
        WindowAnalysis(second),
        WindowAnalysis(third, (), EngagementReport("disengaged", 20)),
    ]
    assert analysis_result(analyses, 14).engagement_state == (
        EngagementSpan(0, 2, "neutral"),
        EngagementSpan(2, 14, "engaged"),
    )


def test_cqi_2_and_cqi_3_each_second_of_the_file_weighs_the_same() -> None:
    first, second, third = file_windows(14)
    analyses = [
        WindowAnalysis(first, quality=level(80)),
        WindowAnalysis(second, quality=level(20)),
        WindowAnalysis(third),
    ]
    quality = analysis_result(analyses, 14, include=BOTH).conversation_quality
    assert quality is not None
    # 8 s at 80 and, from the second window, 3 s at 20; the last 3 s say nothing, and so do not count.
    assert quality.overall == scores(63.6)
    assert quality.timeline is not None
    # The first period has 8 s of the one and 2 s of the other; the rest has 1 s of the other alone.
    assert [(entry.start, entry.end, entry.values) for entry in quality.timeline] == [
        (0, 10, scores(68)),
        (10, 14, scores(20)),
    ]


def test_cqi_4_engagement_contributes_to_the_scores_of_a_file_as_told() -> None:
    analyses = [WindowAnalysis(window, engagement=EngagementReport("engaged", 0)) for window in file_windows(14)]
    told = {"engaged": 80.0, "neutral": 50.0, "disengaged": 20.0}
    quality = analysis_result(analyses, 14, include=BOTH, engagement_scores=told).conversation_quality
    assert quality is not None
    assert quality.overall == scores(80)
    assert quality.timeline is not None
    assert [entry.values for entry in quality.timeline] == [scores(80), scores(80)]


@pytest.mark.parametrize(
    ("include", "sections"),
    [((), None), ((OVERALL,), {"overall"}), ((TIMELINE,), {"timeline"}), (BOTH, {"overall", "timeline"})],
)
def test_upl_1_only_the_sections_asked_for_are_there(include: tuple[str, ...], sections: set[str] | None) -> None:
    analyses = [WindowAnalysis(window) for window in file_windows(9)]
    body = json.loads(encode_json(analysis_result(analyses, 9, include=include)))
    assert set(body) == {"signals", "engagement_state"} | ({"conversation_quality"} if sections else set())
    assert sections is None or set(body["conversation_quality"]) == sections


@given(files())
def test_upl_1_the_published_client_takes_the_result(file: tuple[float, list[WindowAnalysis]]) -> None:
    duration, analyses = file
    ours = analysis_result(analyses, duration, include=BOTH)
    theirs = TheirResult.model_validate_json(encode_json(ours))
    assert [(span.type.value, span.start, span.end) for span in theirs.signals] == [
        (span.type, span.start, span.end) for span in ours.signals
    ]


def test_a_file_without_media_and_windows_beyond_its_end_are_refused() -> None:
    (window,) = file_windows(8)
    with pytest.raises(ValueError, match="nothing to analyse"):
        analysis_result([], 0)
    with pytest.raises(ValueError, match=r"ends at 8.* and the file at 7"):
        analysis_result([WindowAnalysis(window)], 7)


def job_analyses() -> list[WindowAnalysis]:
    """28 s: agreement in windows 0, 1 and 3, interest in 1, engagement told in 1 and 3."""
    windows = file_windows(28, 8, 8)
    agreement = [("low", "a nod"), ("high", "two nods"), None, ("medium", "a hum")]
    said_of = [None, EngagementReport("engaged", 9), None, EngagementReport("disengaged", 25)]
    analyses = []
    for window, seen, engagement in zip(windows, agreement, said_of, strict=True):
        # Wherever in the window it was seen, its span is the window's.
        signals = [SignalReport("agreement", window.start + 1, window.end - 1, None, *seen)] if seen else []
        if window.index == 1:
            signals.append(SignalReport("interest", 9, 10, None, None, None, ("visual",)))
        analyses.append(WindowAnalysis(window, signals, engagement))
    return analyses


def test_upl_2_each_window_of_a_job_is_reported_by_itself() -> None:
    result = job_result(job_analyses(), 28, 8)
    assert json.loads(encode_json(result)) == {
        "duration_seconds": 28,
        "window_seconds": 8,
        "windows": [
            {
                "index": 0,
                "start_seconds": 0,
                "end_seconds": 8,
                "engagement_status": "neutral",
                "signals": [
                    {"type": "agreement", "start": 0, "end": 8, "probability": "low", "rationale": "a nod"},
                ],
            },
            {
                "index": 1,
                "start_seconds": 8,
                "end_seconds": 16,
                "engagement_status": "engaged",
                "signals": [
                    {"type": "agreement", "start": 8, "end": 16, "probability": "high", "rationale": "two nods"},
                    {"type": "interest", "start": 8, "end": 16},
                ],
            },
            {"index": 2, "start_seconds": 16, "end_seconds": 24, "engagement_status": "engaged", "signals": []},
            {
                "index": 3,
                "start_seconds": 24,
                "end_seconds": 28,
                "engagement_status": "disengaged",
                "signals": [
                    {"type": "agreement", "start": 24, "end": 28, "probability": "medium", "rationale": "a hum"},
                ],
            },
        ],
    }


def test_upl_2_signals_of_adjacent_windows_are_merged_and_others_are_not() -> None:
    result = job_result(job_analyses(), 28, 8, include=["signals"])
    assert result.signals == (
        SignalSpan("agreement", 0, 16, "high", "two nods"),
        SignalSpan("interest", 8, 16),
        SignalSpan("agreement", 24, 28, "medium", "a hum"),
    )


def test_upl_2_merged_signals_come_in_the_order_in_which_they_begin() -> None:
    first, second, third = file_windows(24, 8, 8)
    stress, interest = SignalReport("stress", 0), SignalReport("interest", 9)
    analyses = [
        WindowAnalysis(first, (stress,)),
        WindowAnalysis(second, (interest, stress)),
        WindowAnalysis(third, (stress,)),
    ]
    result = job_result(analyses, 24, 8, include=["signals"])
    assert result.signals == (SignalSpan("stress", 0, 24), SignalSpan("interest", 8, 16))


def test_upl_2_a_lower_probability_changes_nothing_in_a_merged_span() -> None:
    analyses = [
        attrs.evolve(analysis, signals=(attrs.evolve(analysis.signals[0], probability=probability),))
        for analysis, probability in zip(job_analyses()[:2], ["medium", None], strict=True)
    ]
    result = job_result(analyses, 16, 8, include=["signals"])
    assert result.signals == (SignalSpan("agreement", 0, 16, "medium", "a nod"),)


def test_upl_2_a_job_has_no_list_of_signals_unless_asked_and_an_empty_one_if_there_are_none() -> None:
    nothing = [WindowAnalysis(window) for window in file_windows(8, 8, 8)]
    assert job_result(nothing, 8, 8).signals is None
    assert job_result(nothing, 8, 8, include=["signals"]).signals == ()


def test_upl_2_a_job_is_scored_as_a_whole_file_too() -> None:
    quality = job_result(job_analyses(), 28, 8, include=BOTH).conversation_quality
    assert quality is not None
    # Windows 1 and 3 have engagement alone: 8 s at 70 and 4 s at 30.
    assert quality.overall == scores(56.7)
    assert quality.timeline is not None
    assert [(entry.start, entry.end, entry.values) for entry in quality.timeline] == [
        (0, 10, scores(70)),
        (10, 20, scores(70)),
        (20, 28, scores(30)),
    ]


@pytest.mark.parametrize(
    ("status", "finished"), [("queued", False), ("running", False), ("completed", True), ("failed", True)]
)
def test_upl_2_a_job_is_finished_when_it_is_completed_or_failed(status: str, finished: bool) -> None:
    assert UploadJob("id", status, "inter-1", "", "", "/").finished is finished


def test_cqi_3_a_file_without_windows_has_all_its_periods() -> None:
    quality = conversation_quality([], 20, (TIMELINE,))
    assert quality is not None
    assert quality.timeline is not None
    assert [(entry.start, entry.end, entry.values) for entry in quality.timeline] == [
        (0, 10, scores(50)),
        (10, 20, scores(50)),
    ]


def test_a_part_of_a_result_needs_a_file_with_media_too() -> None:
    with pytest.raises(ValueError, match="nothing to analyse"):
        engagement_spans([], 0)
    with pytest.raises(ValueError, match="nothing to analyse"):
        conversation_quality([], 0, ())


def test_upl_1_a_span_has_the_modality_that_came_later() -> None:
    first, second, *_ = file_windows(14)
    analyses = [
        WindowAnalysis(first, (SignalReport("stress", 1, probability="low"),)),
        WindowAnalysis(second, (SignalReport("stress", 4, probability="high", modality=("audio",)),)),
    ]
    (span,) = signal_spans(analyses)
    assert (span.probability, span.modality) == ("high", ("audio",))
