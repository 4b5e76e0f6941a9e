from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ihproto.analysis import EngagementReport, EngagementTracker
from ihproto.messages import EngagementUpdated

STATES = ("engaged", "neutral", "disengaged")


def run(*reports: tuple[str, float] | None) -> list[EngagementUpdated | None]:
    tracker = EngagementTracker()
    return [tracker.apply(EngagementReport(*report) if report else None) for report in reports]


def test_eng_1_engagement_is_said_when_it_is_first_established() -> None:
    assert run(None, ("neutral", 3.0), None) == [None, EngagementUpdated("neutral", 3.0), None]


def test_eng_2_it_is_said_again_only_when_the_level_differs_from_the_last_one_said() -> None:
    assert run(("engaged", 0), ("engaged", 3), None, ("engaged", 9), ("disengaged", 12), ("engaged", 15)) == [
        EngagementUpdated("engaged", 0),
        None,
        None,
        None,
        EngagementUpdated("disengaged", 12),
        EngagementUpdated("engaged", 15),
    ]


def test_eng_3_start_does_not_run_backwards() -> None:
    assert run(("engaged", 6), ("neutral", 2)) == [EngagementUpdated("engaged", 6), EngagementUpdated("neutral", 6)]


@given(reports=st.lists(st.none() | st.tuples(st.sampled_from(STATES), st.floats(0, 100)), max_size=20))
def test_whatever_the_reports_say_levels_alternate_and_times_go_on(reports: list[tuple[str, float] | None]) -> None:
    answers = run(*reports)
    said = [message for message in answers if message is not None]
    assert all(one.state != other.state for one, other in pairwise(said))
    assert all(one.start <= other.start for one, other in pairwise(said))
    level = None
    for report, answer in zip(reports, answers, strict=True):
        assert (answer is not None) == (report is not None and report[0] != level)
        if answer is not None and report is not None:
            assert answer.state == report[0]
            level = answer.state
