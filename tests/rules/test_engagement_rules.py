import pytest

from ihproto.errors import Finding
from ihproto.messages import EngagementUpdated
from ihproto.rules.engagement import EngagementRules

Reports = list[tuple[str, float]]


def judge(reports: Reports) -> list[list[tuple[str, str | None]]]:
    rules = EngagementRules()
    assert rules.latest is None
    places: list[list[tuple[str, str | None]]] = []
    for state, start in reports:
        found: list[Finding] = []
        message = EngagementUpdated(state, start)
        rules.judge(message, found)
        assert rules.latest is message
        places.append([(finding.clause.id, finding.path) for finding in found])
    return places


@pytest.mark.parametrize(
    "reports",
    [
        pytest.param([("engaged", 0)], id="ENG-1 established at once"),
        pytest.param([("neutral", 12.5)], id="ENG-1 established later"),
        pytest.param([("engaged", 0), ("neutral", 3), ("engaged", 6), ("disengaged", 9)], id="ENG-2 differs each time"),
        pytest.param([("engaged", 3), ("disengaged", 3)], id="ENG-3 at the same moment"),
        pytest.param([("engaged", 6), ("neutral", 5.5)], id="ENG-3 says nothing of the order of two levels"),
    ],
)
def test_reports_that_keep_every_clause(reports: Reports) -> None:
    assert judge(reports) == [[]] * len(reports)


@pytest.mark.parametrize(
    ("reports", "clause_id", "path"),
    [
        pytest.param([("engaged", 0), ("engaged", 3)], "ENG-2", "$.data.state", id="the same again"),
        pytest.param(
            [("engaged", 0), ("neutral", 3), ("neutral", 3)], "ENG-2", "$.data.state", id="the same as the last"
        ),
        pytest.param([("bored", 0)], "ENG-3", "$.data.state", id="no such level"),
        pytest.param([("Engaged", 0)], "ENG-3", "$.data.state", id="a level in another case"),
        pytest.param([("", 0)], "ENG-3", "$.data.state", id="no level"),
        pytest.param([("engaged", -1)], "ENG-3", "$.data.start", id="before the session"),
    ],
)
def test_reports_whose_last_one_breaks_one_clause(reports: Reports, clause_id: str, path: str) -> None:
    assert judge(reports) == [*([[]] * (len(reports) - 1)), [(clause_id, path)]]


def test_a_level_of_any_length_is_shortened_in_the_finding() -> None:
    rules = EngagementRules()
    found: list[Finding] = []
    rules.judge(EngagementUpdated("x" * 10_000, 0), found)
    rules.judge(EngagementUpdated("x" * 10_000, 0), found)
    assert [finding.clause.id for finding in found] == ["ENG-3", "ENG-2", "ENG-3"]
    assert all(len(finding.what) < 200 for finding in found)
