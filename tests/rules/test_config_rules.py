from collections.abc import Callable, Sequence

import pytest

from ihproto.errors import Finding
from ihproto.messages import ConfigOptions, Error, SessionClose, SessionConfig, SessionUpdated
from ihproto.rules.config import ConfigRules, consolidate, unsupported

OVERALL, TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"
OPTIONS = ConfigOptions(include=(OVERALL, TIMELINE))
WITH_GOALS = ConfigOptions(include=(OVERALL, TIMELINE), goal_dimensions=("clarity", "energy"))

Found = list[tuple[str, str | None]]


def places(judge: Callable[[list[Finding]], None]) -> Found:
    found: list[Finding] = []
    judge(found)
    return [(finding.clause.id, finding.path) for finding in found]


def updated(rules: ConfigRules, *include: str, goals: Sequence[str] | None = None) -> Found:
    answer = SessionUpdated(include, None if goals is None else tuple(goals))
    return places(lambda found: rules.judge_updated(answer, found))


def rules_with(*asked: SessionConfig | SessionClose, options: ConfigOptions = OPTIONS) -> ConfigRules:
    rules = ConfigRules()
    rules.options = options
    for message in asked:
        rules.note(message)
    return rules


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        ([], ()),
        ([OVERALL], (OVERALL,)),
        ([TIMELINE, OVERALL], (TIMELINE, OVERALL)),
        ([OVERALL, OVERALL], (OVERALL,)),
        (["made_up", TIMELINE], (TIMELINE,)),
        (["made_up"], ()),
    ],
)
def test_a_consolidated_config_has_what_is_supported_once(include: list[str], expected: tuple[str, ...]) -> None:
    assert consolidate(SessionConfig(include), OPTIONS) == SessionConfig(expected)


def test_consolidation_leaves_goal_dimensions_alone() -> None:
    assert consolidate(SessionConfig([OVERALL], ["energy"]), WITH_GOALS) == SessionConfig([OVERALL], ["energy"])


@pytest.mark.parametrize(
    ("goals", "options", "path"),
    [
        (None, OPTIONS, None),
        (None, WITH_GOALS, None),
        ([], WITH_GOALS, None),
        (["energy", "clarity"], WITH_GOALS, None),
        (["energy"], OPTIONS, "$.goal_dimensions"),
        ([], OPTIONS, "$.goal_dimensions"),
        (["energy", "volume"], WITH_GOALS, "$.goal_dimensions[1]"),
    ],
)
def test_goal_dimensions_are_accepted_where_they_are_offered(
    goals: list[str] | None, options: ConfigOptions, path: str | None
) -> None:
    finding = unsupported(SessionConfig(goal_dimensions=goals), options)
    assert (finding.clause.id, finding.path) == ("CFG-6", path) if finding else path is None
    assert (finding is None) == (path is None)


def test_the_refusal_of_goal_dimensions_repeats_what_is_offered_and_not_what_was_asked() -> None:
    finding = unsupported(SessionConfig(goal_dimensions=["ih_live_1234"]), WITH_GOALS)
    assert finding is not None
    assert "clarity, energy" in finding.what
    assert "ih_live_1234" not in finding.what


# -- CFG-2 -------------------------------------------------------------------------------------------


def test_an_answer_for_each_config_keeps_cfg_2() -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionConfig([TIMELINE]))
    assert rules.unanswered == 2
    assert updated(rules, OVERALL) == []
    assert rules.in_force == SessionConfig([OVERALL])
    assert updated(rules, TIMELINE) == []
    assert rules.in_force == SessionConfig([TIMELINE])
    assert rules.unanswered == 0


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ([], []),
        ([OVERALL, TIMELINE], [TIMELINE, OVERALL]),
        ([OVERALL, OVERALL], [OVERALL]),
        (["made_up", OVERALL], [OVERALL]),
        (["made_up"], []),
    ],
)
def test_the_config_in_force_keeps_cfg_2_in_any_order_and_without_unknown_values(
    asked: list[str], answer: list[str]
) -> None:
    assert updated(rules_with(SessionConfig(asked)), *answer) == []


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ([OVERALL], []),
        ([OVERALL], [TIMELINE]),
        ([OVERALL, TIMELINE], [OVERALL]),
        ([OVERALL], [OVERALL, TIMELINE]),
        (["made_up"], ["made_up"]),
    ],
)
def test_another_config_than_the_one_asked_for_breaks_cfg_2(asked: list[str], answer: list[str]) -> None:
    rules = rules_with(SessionConfig(asked))
    assert updated(rules, *answer) == [("CFG-2", "$.data.include")]
    assert rules.in_force == SessionConfig(answer)


def test_an_answer_to_nothing_breaks_cfg_2() -> None:
    rules = rules_with()
    assert updated(rules, OVERALL) == [("CFG-2", None)]
    assert rules.in_force == SessionConfig([OVERALL])
    assert updated(rules_with(SessionClose())) == [("CFG-2", None)]


def test_a_second_answer_to_one_config_breaks_cfg_2() -> None:
    rules = rules_with(SessionConfig([OVERALL]))
    assert updated(rules, OVERALL) == []
    assert updated(rules, OVERALL) == [("CFG-2", None)]


def test_the_texts_before_session_closing_were_answered_which_keeps_cfg_2() -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionClose())
    assert updated(rules, OVERALL) == []
    assert places(rules.judge_closing) == []
    assert rules.unanswered == 0


def test_a_config_left_unanswered_before_session_closing_breaks_cfg_2() -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionConfig(), SessionClose(), SessionConfig([TIMELINE]))
    assert places(rules.judge_closing) == [("CFG-2", None), ("CFG-2", None)]
    assert rules.unanswered == 1, "a config sent after session.close may still be answered"
    assert updated(rules, TIMELINE) == []


def test_session_closing_that_nobody_asked_for_is_left_to_the_automaton() -> None:
    assert places(rules_with().judge_closing) == []


# -- CFG-4 -------------------------------------------------------------------------------------------


def test_a_config_without_include_resets_it_which_keeps_cfg_4() -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionConfig())
    assert updated(rules, OVERALL) == []
    assert updated(rules) == []
    assert rules.in_force == SessionConfig()


def test_include_that_survives_a_config_without_it_breaks_cfg_4() -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionConfig())
    assert updated(rules, OVERALL) == []
    assert updated(rules, OVERALL) == [("CFG-4", "$.data.include")]


# -- CFG-5 -------------------------------------------------------------------------------------------


def test_a_refusal_answers_the_oldest_text_and_leaves_the_config_in_force() -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionConfig([TIMELINE], ["energy"]), SessionConfig())
    assert updated(rules, OVERALL) == []
    rules.judge_error(Error("ih6001", "not a goal dimension"))
    assert rules.in_force == SessionConfig([OVERALL])
    assert updated(rules) == []


@pytest.mark.parametrize(
    "error", [Error("ih6002", "too large", segment=1), Error("ih6001", "media after close", segment=3)]
)
def test_an_error_about_a_segment_answers_no_text(error: Error) -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionClose())
    rules.judge_error(error)
    assert rules.unanswered == 2


def test_a_refusal_with_nothing_asked_is_nothing() -> None:
    rules = rules_with()
    rules.judge_error(Error("ih6001", "?"))
    assert rules.unanswered == 0


@pytest.mark.parametrize(
    ("asked", "error", "expected"),
    [
        ([SessionClose()], Error("ih6001", "unknown key type"), True),
        ([SessionClose()], Error("ih6001", "late media", segment=4), False),
        ([SessionClose()], Error("ih1001", "internal error"), False),
        ([SessionConfig(), SessionClose()], Error("ih6001", "unknown key model"), False),
        ([], Error("ih6001", "unknown key model"), False),
    ],
)
def test_the_refusal_of_session_close_is_recognised(
    asked: list[SessionConfig | SessionClose], error: Error, expected: bool
) -> None:
    assert rules_with(*asked).answers_close(error) is expected


# -- CFG-6 -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answer"), [(None, None), ([], []), ([], None), (["energy", "clarity"], ["clarity", "energy"])]
)
def test_the_goal_dimensions_of_the_config_keep_cfg_6(asked: list[str] | None, answer: list[str] | None) -> None:
    rules = rules_with(SessionConfig(goal_dimensions=asked), options=WITH_GOALS)
    assert updated(rules, goals=answer) == []


@pytest.mark.parametrize(
    ("asked", "answer"), [(["energy"], None), (["energy"], ["clarity"]), (None, ["energy"]), ([], ["energy"])]
)
def test_other_goal_dimensions_than_those_of_the_config_break_cfg_6(
    asked: list[str] | None, answer: list[str] | None
) -> None:
    rules = rules_with(SessionConfig(goal_dimensions=asked), options=WITH_GOALS)
    assert updated(rules, goals=answer) == [("CFG-6", "$.data.goal_dimensions")]


def test_feedback_under_goal_dimensions_keeps_cfg_6() -> None:
    rules = rules_with(SessionConfig(goal_dimensions=["energy"]), options=WITH_GOALS)
    assert updated(rules, goals=["energy"]) == []
    assert places(rules.judge_feedback) == []


@pytest.mark.parametrize("goals", [None, []])
def test_feedback_without_goal_dimensions_breaks_cfg_6(goals: list[str] | None) -> None:
    rules = rules_with(SessionConfig(goal_dimensions=goals), options=WITH_GOALS)
    assert places(rules.judge_feedback) == [("CFG-6", None)]
    assert updated(rules, goals=goals) == []
    assert places(rules.judge_feedback) == [("CFG-6", None)]
