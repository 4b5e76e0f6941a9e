from typing import Any

import pytest

from ihproto.analysis import EngagementReport, QualityReport, SignalReport, WindowAnalysis
from ihproto.events import Window

WINDOW = Window(0, 0, 8)


def test_a_window_may_have_nothing_to_say() -> None:
    analysis = WindowAnalysis(WINDOW)
    assert (analysis.signals, analysis.engagement, analysis.quality) == ((), None, None)


def test_signals_may_be_given_as_any_iterable() -> None:
    reports = [SignalReport("agreement", 0), SignalReport("stress", 1)]
    assert WindowAnalysis(WINDOW, reports).signals == tuple(reports)


def test_a_window_has_one_report_for_each_type() -> None:
    reports = tuple(SignalReport(name, 0) for name in ("stress", "agreement", "stress", "interest", "agreement"))
    with pytest.raises(ValueError, match="doubled: agreement, stress"):
        WindowAnalysis(WINDOW, reports)


@pytest.mark.parametrize("probability", [None, "low", "medium", "high"])
def test_a_probability_is_a_word_of_the_protocol(probability: str | None) -> None:
    assert SignalReport("stress", 0, probability=probability).probability == probability


@pytest.mark.parametrize("probability", ["", "certain", "HIGH", 0.5])
def test_another_probability_is_refused(probability: Any) -> None:
    with pytest.raises(ValueError, match="probability"):
        SignalReport("stress", 0, probability=probability)


@pytest.mark.parametrize("moment", [float("nan"), float("inf"), -float("inf")])
def test_reports_have_times_that_are_numbers(moment: float) -> None:
    with pytest.raises(ValueError, match="start"):
        SignalReport("stress", moment)
    with pytest.raises(ValueError, match="end"):
        SignalReport("stress", 0, moment)
    with pytest.raises(ValueError, match="since"):
        SignalReport("stress", 0, since=moment)
    with pytest.raises(ValueError, match="start"):
        EngagementReport("engaged", moment)


@pytest.mark.parametrize(("state", "start"), [("bored", 0), ("", 0), ("engaged", -1), ("engaged", float("nan"))])
def test_engagement_is_a_level_of_the_protocol_within_the_session(state: str, start: float) -> None:
    EngagementReport("engaged", 0)
    with pytest.raises(ValueError, match=r"state|start"):
        EngagementReport(state, start)


def test_the_scores_of_a_window_come_in_the_order_of_the_dimensions() -> None:
    report = QualityReport(clarity=1, authority=2, energy=3, rapport=4, learning=5)
    assert report.scores() == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("name", ["clarity", "authority", "energy", "rapport", "learning"])
@pytest.mark.parametrize("score", [-0.1, 100.1, float("nan"), float("inf")])
def test_cqi_5_a_score_is_0_to_100(name: str, score: float) -> None:
    neutral = dict.fromkeys(["clarity", "authority", "energy", "rapport", "learning"], 50.0)
    assert QualityReport(**{**neutral, name: 0}).scores().count(50) == 4
    assert QualityReport(**{**neutral, name: 100}).scores().count(50) == 4
    with pytest.raises(ValueError, match=name):
        QualityReport(**{**neutral, name: score})
