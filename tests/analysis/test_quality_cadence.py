from fractions import Fraction

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihproto.analysis import EngagementReport, QualityCadence, QualityReport
from ihproto.analysis.quality import ClosedPeriod
from ihproto.messages import QualityScores, TimelineEntry

FIFTY = QualityScores(50, 50, 50, 50, 50, 50)
ENGAGED = EngagementReport("engaged", 0)


def level(score: float) -> QualityReport:
    return QualityReport(score, score, score, score, score)


def scores(score: float) -> QualityScores:
    return QualityScores(score, score, score, score, score, score)


def test_cqi_1_a_period_is_closed_once_and_not_before_it_is_over() -> None:
    cadence = QualityCadence()
    assert cadence.apply(8, None, None) == []
    assert cadence.apply(9.999, None, None) == []
    assert [closed.entry for closed in cadence.apply(10, None, None)] == [TimelineEntry(0, 10, FIFTY)]
    assert cadence.apply(10, None, None) == []
    assert cadence.apply(14, None, None) == []


def test_cqi_2_overall_is_cumulative_up_to_the_end_of_the_period() -> None:
    cadence = QualityCadence()
    first = cadence.apply(10, level(80), None)
    second = cadence.apply(20, level(20), None)
    assert first == [ClosedPeriod(TimelineEntry(0, 10, scores(80)), scores(80))]
    assert second == [ClosedPeriod(TimelineEntry(10, 20, scores(20)), scores(50))]


def test_cqi_2_overall_does_not_reach_beyond_the_end_of_the_period() -> None:
    first, second = QualityCadence().apply(25, level(80), None)
    assert first.overall == second.overall == scores(80)
    cadence = QualityCadence()
    cadence.apply(5, level(100), None)
    (closed,) = cadence.apply(15, level(0), None)
    assert closed == ClosedPeriod(TimelineEntry(0, 10, scores(50)), scores(50))
    (closed,) = cadence.apply(20, None, None)
    assert closed == ClosedPeriod(TimelineEntry(10, 20, scores(0)), scores(33.3))


def test_cqi_3_and_4_a_period_in_which_nothing_contributes_is_all_50() -> None:
    cadence = QualityCadence()
    assert cadence.apply(10, None, None) == [ClosedPeriod(TimelineEntry(0, 10, FIFTY), FIFTY)]
    cadence.apply(20, level(90), None)
    assert cadence.apply(30, None, None) == [ClosedPeriod(TimelineEntry(20, 30, FIFTY), scores(90))]


@pytest.mark.parametrize(("state", "sign"), [("engaged", 1), ("neutral", 0), ("disengaged", -1)])
def test_cqi_4_engagement_contributes_where_there_are_no_scores(state: str, sign: int) -> None:
    (closed,) = QualityCadence().apply(10, None, EngagementReport(state, 0))
    for values in (closed.entry.values, closed.overall):
        deviations = {score - 50 for score in attrs.astuple(values)}
        assert len(deviations) == 1
        (deviation,) = deviations
        assert (deviation > 0) - (deviation < 0) == sign


def test_cqi_4_what_engagement_contributes_can_be_chosen() -> None:
    cadence = QualityCadence(10, {"engaged": 91.0, "neutral": 0.0, "disengaged": 0.0})
    assert cadence.apply(10, None, ENGAGED)[0].overall == scores(91)


def test_scores_of_the_window_itself_go_before_those_of_its_engagement() -> None:
    (closed,) = QualityCadence().apply(10, level(12), ENGAGED)
    assert closed.overall == scores(12)


def test_cqi_6_the_index_is_the_mean_of_the_five() -> None:
    (closed,) = QualityCadence().apply(10, QualityReport(10, 20, 30, 40, 55), None)
    assert closed.overall == QualityScores(31, 10, 20, 30, 40, 55)


def test_scores_are_rounded_to_one_decimal() -> None:
    cadence = QualityCadence(3)
    cadence.apply(1, QualityReport(0, 1, 2, 3, 4), None)
    (closed,) = cadence.apply(3, QualityReport(100, 1, 2, 4, 4), None)
    # Two thirds of 100; the index is the mean of 66.67, 1, 2, 3.67 and 4 and not of their roundings.
    assert closed.overall == QualityScores(15.5, 66.7, 1, 2, 3.7, 4)


def test_cqi_7_periods_last_10_seconds_unless_told_otherwise_and_follow_one_another() -> None:
    periods = [(closed.entry.start, closed.entry.end) for closed in QualityCadence().apply(35, None, None)]
    assert periods == [(0, 10), (10, 20), (20, 30)]
    periods = [(closed.entry.start, closed.entry.end) for closed in QualityCadence(11).apply(35, None, None)]
    assert periods == [(0, 11), (11, 22), (22, 33)]


@pytest.mark.parametrize("period", [0, -1])
def test_a_period_has_a_length(period: float) -> None:
    with pytest.raises(ValueError, match="must be longer"):
        QualityCadence(period)


quarters = st.integers(0, 400).map(lambda number: number / 4)
contributions = (
    st.tuples(st.none(), st.none())
    | st.tuples(st.none(), st.sampled_from(["engaged", "neutral", "disengaged"]))
    | st.tuples(st.tuples(quarters, quarters, quarters, quarters, quarters), st.none())
)
LEVELS = {"engaged": 81.5, "neutral": 44.0, "disengaged": 7.0}


def mean(
    stretches: list[tuple[Fraction, Fraction, tuple[float, ...]]], start: Fraction, end: Fraction
) -> list[Fraction]:
    """The six scores of a piece of media, index first, exactly."""
    weights = [max(Fraction(0), min(end, until) - max(start, since)) for since, until, _ in stretches]
    if not sum(weights):
        return [Fraction(50)] * 6
    five = [
        sum(
            (weight * Fraction(seen[index]) for weight, (_, _, seen) in zip(weights, stretches, strict=True)),
            Fraction(0),
        )
        / sum(weights)
        for index in range(5)
    ]
    return [sum(five, Fraction(0)) / 5, *five]


def assert_rounded(values: QualityScores, exact: list[Fraction]) -> None:
    for value, expected in zip(attrs.astuple(values), exact, strict=True):
        assert value == round(value, 1)
        assert 0 <= value <= 100
        assert abs(Fraction(value) - expected) <= Fraction(1, 20) + Fraction(1, 10**9)


@settings(max_examples=80)
@given(
    steps=st.lists(st.tuples(st.integers(0, 100), contributions), max_size=25),
    period=st.sampled_from([10.0, 11.0, 2.5, 0.75]),
)
def test_every_period_is_what_exact_integration_gives(
    steps: list[tuple[int, tuple[tuple[float, ...] | None, str | None]]], period: float
) -> None:
    cadence = QualityCadence(period, LEVELS)
    stretches: list[tuple[Fraction, Fraction, tuple[float, ...]]] = []
    closed: list[ClosedPeriod] = []
    until = Fraction(0)
    for step, (five, state) in steps:
        since, until = until, until + Fraction(step, 8)
        contribution = five if five is not None else (LEVELS[state],) * 5 if state is not None else None
        if contribution is not None:
            stretches.append((since, until, contribution))
        closed += cadence.apply(
            float(until),
            QualityReport(*five) if five is not None else None,
            EngagementReport(state, 0) if state is not None else None,
        )
    assert len(closed) == until // Fraction(period)
    for index, one in enumerate(closed):
        start, end = index * Fraction(period), (index + 1) * Fraction(period)
        assert (Fraction(one.entry.start), Fraction(one.entry.end)) == (start, end)
        assert_rounded(one.entry.values, mean(stretches, start, end))
        assert_rounded(one.overall, mean(stretches, Fraction(0), end))


def test_media_does_not_run_backwards() -> None:
    cadence = QualityCadence()
    cadence.apply(8, None, None)
    with pytest.raises(ValueError, match="before"):
        cadence.apply(7.9, None, None)
