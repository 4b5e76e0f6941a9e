from collections.abc import Sequence

import attrs
import pytest

from ihproto.errors import Finding
from ihproto.messages import ConversationQualityUpdated, QualityScores, SessionConfig, TimelineEntry
from ihproto.rules.quality import QualityRules

OVERALL, TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"
FIFTY = QualityScores(50, 50, 50, 50, 50, 50)
NOTHING = SessionConfig()
ONLY_OVERALL = SessionConfig([OVERALL])
ONLY_TIMELINE = SessionConfig([TIMELINE])
BOTH = SessionConfig([OVERALL, TIMELINE])

Found = list[tuple[str, str | None]]
Update = ConversationQualityUpdated


def period(start: float, end: float, values: QualityScores = FIFTY) -> tuple[TimelineEntry, ...]:
    return (TimelineEntry(start, end, values),)


def judge(updates: Sequence[Update], config: SessionConfig) -> list[Found]:
    rules = QualityRules()
    assert rules.latest is None
    places: list[Found] = []
    for update in updates:
        found: list[Finding] = []
        rules.judge(update, config, found)
        assert rules.latest is update
        places.append([(finding.clause.id, finding.path) for finding in found])
    return places


@pytest.mark.parametrize(
    ("updates", "config"),
    [
        pytest.param([Update(FIFTY), Update(FIFTY)], ONLY_OVERALL, id="overall alone"),
        pytest.param([Update(None, period(0, 10)), Update(None, period(10, 20))], ONLY_TIMELINE, id="timeline alone"),
        pytest.param([Update(FIFTY, period(0, 10)), Update(FIFTY, period(10, 21))], BOTH, id="both, with 11 s"),
        pytest.param([Update(FIFTY, period(0, 5)), Update(FIFTY, period(20, 30))], BOTH, id="a period left out"),
        pytest.param([Update(FIFTY, period(3.5, 3.6))], BOTH, id="a period of any length and place"),
        pytest.param([Update(QualityScores(0, 0, 0, 0, 0, 0))], ONLY_OVERALL, id="all scores 0"),
        pytest.param([Update(QualityScores(100, 100, 100, 100, 100, 100))], ONLY_OVERALL, id="all scores 100"),
        pytest.param([Update(QualityScores(72, 67, 68, 80, 75, 70))], ONLY_OVERALL, id="the example, overall"),
        pytest.param(
            [Update(None, period(0, 10, QualityScores(70, 69, 70, 78, 77, 68)))], ONLY_TIMELINE, id="an example off 2.4"
        ),
        pytest.param(
            [Update(None, period(10, 20, QualityScores(74, 65, 65, 82, 73, 72)))],
            ONLY_TIMELINE,
            id="an example off 2.6",
        ),
        pytest.param([Update(QualityScores(53, 50, 50, 50, 50, 50))], ONLY_OVERALL, id="an index 3 above the mean"),
        pytest.param([Update(QualityScores(47, 50, 50, 50, 50, 50))], ONLY_OVERALL, id="an index 3 below the mean"),
    ],
)
def test_updates_that_keep_every_clause(updates: Sequence[Update], config: SessionConfig) -> None:
    assert judge(updates, config) == [[]] * len(updates)


BAD_PERIODS = [(10, 10), (10, 9), (-1, 9)]


@pytest.mark.parametrize(
    ("updates", "config", "clause_id", "path"),
    [
        pytest.param([Update(FIFTY)], NOTHING, "CQI-1", None, id="nothing was asked for"),
        pytest.param([Update()], NOTHING, "CQI-1", None, id="nothing was asked for and nothing said"),
        pytest.param(
            [Update(None, period(0, 10)), Update(None, period(0, 10))],
            ONLY_TIMELINE,
            "CQI-1",
            "$.data.timeline[0].start",
            id="a period twice",
        ),
        pytest.param(
            [Update(None, period(0, 10)), Update(None, period(9.9, 20))],
            ONLY_TIMELINE,
            "CQI-1",
            "$.data.timeline[0].start",
            id="periods that overlap",
        ),
        pytest.param([Update(None, period(0, 10))], BOTH, "CQI-2", "$.data", id="overall missing"),
        pytest.param([Update()], ONLY_OVERALL, "CQI-2", "$.data", id="overall missing and nothing else said"),
        pytest.param(
            [Update(FIFTY, period(0, 10))], ONLY_TIMELINE, "CQI-2", "$.data.overall", id="overall not asked for"
        ),
        pytest.param([Update(FIFTY)], BOTH, "CQI-3", "$.data", id="timeline missing"),
        pytest.param([Update()], ONLY_TIMELINE, "CQI-3", "$.data", id="timeline missing and nothing else said"),
        pytest.param(
            [Update(FIFTY, period(0, 10))], ONLY_OVERALL, "CQI-3", "$.data.timeline", id="timeline not asked for"
        ),
        pytest.param([Update(FIFTY, ())], BOTH, "CQI-3", "$.data.timeline", id="no entry"),
        pytest.param(
            [Update(FIFTY, period(0, 10) + period(10, 20))], BOTH, "CQI-3", "$.data.timeline", id="two entries"
        ),
        *(
            pytest.param(
                [Update(None, period(start, end))],
                ONLY_TIMELINE,
                "CQI-3",
                "$.data.timeline[0]",
                id=f"a period from {start} to {end}",
            )
            for start, end in BAD_PERIODS
        ),
        pytest.param(
            [Update(QualityScores(53.5, 50, 50, 50, 50, 50))],
            ONLY_OVERALL,
            "CQI-6",
            "$.data.overall.quality_index",
            id="an index too high",
        ),
        pytest.param(
            [Update(None, period(0, 10, QualityScores(46.9, 50, 50, 50, 50, 50)))],
            ONLY_TIMELINE,
            "CQI-6",
            "$.data.timeline[0].values.quality_index",
            id="an index too low",
        ),
    ],
)
def test_updates_whose_last_one_breaks_one_clause(
    updates: Sequence[Update], config: SessionConfig, clause_id: str, path: str | None
) -> None:
    assert judge(updates, config) == [*([[]] * (len(updates) - 1)), [(clause_id, path)]]


@pytest.mark.parametrize("name", ["quality_index", "clarity", "authority", "energy", "rapport", "learning"])
@pytest.mark.parametrize(("edge", "beyond"), [(100, 100.5), (0, -0.5)])
def test_a_score_outside_0_to_100_breaks_cqi_5(name: str, edge: float, beyond: float) -> None:
    at_edge = QualityScores(edge, edge, edge, edge, edge, edge)
    outside = attrs.evolve(at_edge, **{name: beyond})
    assert judge([Update(outside)], ONLY_OVERALL) == [[("CQI-5", f"$.data.overall.{name}")]]
    assert judge([Update(None, period(0, 1, outside))], ONLY_TIMELINE) == [
        [("CQI-5", f"$.data.timeline[0].values.{name}")]
    ]


def test_every_entry_of_a_timeline_is_judged() -> None:
    bad = QualityScores(50, 101, 50, 50, 50, 0)
    timeline = period(0, 10) + period(5, 5, bad) + period(6, 7)
    assert judge([Update(None, timeline)], ONLY_TIMELINE) == [
        [
            ("CQI-3", "$.data.timeline"),
            ("CQI-3", "$.data.timeline[1]"),
            ("CQI-1", "$.data.timeline[1].start"),
            ("CQI-5", "$.data.timeline[1].values.clarity"),
        ]
    ]


def test_a_score_of_any_size_is_a_finding_and_no_crash() -> None:
    scores = QualityScores(50, 1e308, 50, 50, 50, 50)
    assert ("CQI-5", "$.data.overall.clarity") in judge([Update(scores)], ONLY_OVERALL)[0]
