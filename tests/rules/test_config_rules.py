from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from ihproto.errors import Finding
from ihproto.messages import AudioFormat, ConfigOptions, Error, SessionClose, SessionConfig, SessionUpdated
from ihproto.revisions import REVISIONS, V0, V0_2, V1, V1_WINDOW, V2, Revision
from ihproto.rules.config import ConfigRules, consolidate, read_query, unsupported, unwritable, write_query

OVERALL, TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"
OPTIONS = ConfigOptions(include=(OVERALL, TIMELINE))
WITH_GOALS = ConfigOptions(include=(OVERALL, TIMELINE), goal_dimensions=("clarity", "energy"))

Found = list[tuple[str, str | None]]


def places(judge: Callable[[list[Finding]], None]) -> Found:
    found: list[Finding] = []
    judge(found)
    return [(finding.clause.id, finding.path) for finding in found]


def updated(rules: ConfigRules, *include: str, goals: Sequence[str] | None = None, model: str | None = None) -> Found:
    answer = SessionUpdated(include, None if goals is None else tuple(goals), model)
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


def test_include_that_adds_to_the_one_before_breaks_cfg_4() -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionConfig([TIMELINE]))
    assert updated(rules, OVERALL) == []
    assert updated(rules, OVERALL, TIMELINE) == [("CFG-4", "$.data.include")]


def test_include_that_is_neither_old_nor_new_breaks_cfg_2() -> None:
    rules = rules_with(SessionConfig([OVERALL]), SessionConfig([TIMELINE]))
    assert updated(rules, OVERALL) == []
    assert updated(rules, OVERALL) == [("CFG-2", "$.data.include")]


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


# -- HS-13, HS-15: the query ---------------------------------------------------------------------------

QUERY = [("include[]", OVERALL), ("ih_sdk", "python"), ("model", "inter-2"), ("include[]", "made_up"), ("include", "x")]


@pytest.mark.parametrize(
    ("revision", "expected"),
    [
        (V0, SessionConfig()),
        (V0_2, SessionConfig([OVERALL, "made_up"])),
        (V1_WINDOW, SessionConfig()),
        (V1, SessionConfig()),
        (V2, SessionConfig(model="inter-2")),
    ],
)
def test_of_the_query_only_the_parameters_of_the_revision_are_read(revision: Revision, expected: SessionConfig) -> None:
    assert read_query(revision, QUERY) == expected
    assert read_query(revision, []) == SessionConfig()
    assert read_query(revision, iter(QUERY)) == expected


def test_the_sections_of_the_query_keep_their_order_and_their_doubles_until_they_are_consolidated() -> None:
    query = [("include[]", TIMELINE), ("include[]", OVERALL), ("include[]", TIMELINE)]
    assert read_query(V0_2, query) == SessionConfig([TIMELINE, OVERALL, TIMELINE])
    assert consolidate(read_query(V0_2, query), OPTIONS) == SessionConfig([TIMELINE, OVERALL])


def test_of_several_models_in_the_query_the_last_one_counts() -> None:
    assert read_query(V2, [("model", "inter-2"), ("model", "")]) == SessionConfig(model="")


PCM = AudioFormat()
WANTED = SessionConfig([OVERALL, TIMELINE], ["energy"], "inter-2-audio", PCM)


@pytest.mark.parametrize(
    ("revision", "query", "rest"),
    [
        (V0, [], WANTED),
        (V0_2, [("include[]", OVERALL), ("include[]", TIMELINE)], attrs.evolve(WANTED, include=())),
        (V1_WINDOW, [], WANTED),
        (V1, [], WANTED),
        (V2, [("model", "inter-2-audio")], attrs.evolve(WANTED, model=None)),
    ],
)
def test_what_the_query_can_say_is_said_there_and_the_rest_is_left_for_a_message(
    revision: Revision, query: list[tuple[str, str]], rest: SessionConfig
) -> None:
    assert write_query(revision, WANTED) == (query, rest)


@pytest.mark.parametrize("revision", REVISIONS.values(), ids=list(REVISIONS))
def test_who_wants_nothing_asks_for_nothing(revision: Revision) -> None:
    assert write_query(revision, SessionConfig()) == ([], SessionConfig())


@pytest.mark.parametrize("revision", [V0_2, V2])
def test_what_is_written_into_a_query_is_read_from_it(revision: Revision) -> None:
    query, rest = write_query(revision, WANTED)
    read = read_query(revision, query)
    assert (read.include or rest.include, read.model or rest.model) == (WANTED.include, WANTED.model)


# -- CFG-7, CFG-8: model and audio format -------------------------------------------------------------------

V2_OPTIONS = ConfigOptions(include=(OVERALL, TIMELINE), model=("inter-2", "inter-2-audio"))
FASTER = AudioFormat(sample_rate=24000)
HEARING = SessionConfig(model="inter-2-audio", audio_format=PCM)


@pytest.mark.parametrize(
    ("asked", "in_force", "expected"),
    [
        (SessionConfig(), None, SessionConfig()),
        (SessionConfig(), HEARING, HEARING),
        (SessionConfig([OVERALL]), HEARING, attrs.evolve(HEARING, include=[OVERALL])),
        (SessionConfig(model="inter-2"), HEARING, attrs.evolve(HEARING, model="inter-2")),
        (SessionConfig(audio_format=FASTER), HEARING, attrs.evolve(HEARING, audio_format=FASTER)),
        (HEARING, SessionConfig([OVERALL], ["energy"], "inter-2"), HEARING),
    ],
)
def test_model_and_audio_format_stay_as_they_were_where_they_are_left_out(
    asked: SessionConfig, in_force: SessionConfig | None, expected: SessionConfig
) -> None:
    assert consolidate(asked, V2_OPTIONS, in_force) == expected


@pytest.mark.parametrize(
    ("revision", "config", "expected"),
    [
        (V0, SessionConfig(), ("CFG-1", None)),
        (V0_2, SessionConfig([OVERALL]), ("CFG-1", None)),
        (V1_WINDOW, SessionConfig([OVERALL]), None),
        (V1_WINDOW, SessionConfig(goal_dimensions=[]), ("CFG-5", "$.goal_dimensions")),
        (V1_WINDOW, SessionConfig(model="inter-2"), ("CFG-7", "$.model")),
        (V1, SessionConfig([OVERALL], ["energy"]), None),
        (V1, SessionConfig(model="inter-2"), ("CFG-7", "$.model")),
        (V1, SessionConfig(audio_format=PCM), ("CFG-5", "$.audio_format")),
        (V2, WANTED, None),
    ],
)
def test_a_config_that_a_revision_has_no_words_for_is_found(
    revision: Revision, config: SessionConfig, expected: tuple[str, str | None] | None
) -> None:
    finding = unwritable(config, revision)
    assert ((finding.clause.id, finding.path) if finding else None) == expected
    assert finding is None or revision.id in finding.what


Refusals = tuple[str, str] | None


def refusal(config: SessionConfig, in_force: SessionConfig | None = None, **more: Any) -> Refusals:
    finding = unsupported(config, more.pop("options", V2_OPTIONS), more.pop("revision", V2), in_force, **more)
    return (finding.clause.id, str(finding.path)) if finding else None


@pytest.mark.parametrize("media_begun", [False, True])
@pytest.mark.parametrize(
    ("model", "in_force", "before_media", "after"),
    [
        (None, "inter-2", None, None),
        ("inter-2", "inter-2", None, None),
        ("inter-2-audio", "inter-2", None, ("CFG-7", "$.model")),
        ("inter-2", None, None, ("CFG-7", "$.model")),
        ("inter-3", "inter-2", ("CFG-7", "$.model"), ("CFG-7", "$.model")),
        ("", "inter-2", ("CFG-7", "$.model"), ("CFG-7", "$.model")),
    ],
)
def test_cfg_7_the_model_can_be_one_that_is_offered_until_media_has_begun(
    model: str | None, in_force: str | None, before_media: Refusals, after: Refusals, media_begun: bool
) -> None:
    before = SessionConfig(model=in_force)
    assert refusal(SessionConfig(model=model), before, media_begun=media_begun) == (
        after if media_begun else before_media
    )


def test_cfg_7_the_refusal_says_what_is_offered_and_not_what_was_asked() -> None:
    finding = unsupported(SessionConfig(model="ih_live_1234"), V2_OPTIONS, V2)
    assert finding is not None
    assert "inter-2, inter-2-audio" in finding.what
    assert "ih_live_1234" not in finding.what
    finding = unsupported(SessionConfig(model="inter-2"), OPTIONS)
    assert finding is not None
    assert (finding.clause.id, "no choice" in finding.what) == ("CFG-7", True)


@pytest.mark.parametrize("media_begun", [False, True])
@pytest.mark.parametrize(
    ("config", "in_force", "before_media", "after"),
    [
        pytest.param(HEARING, SessionConfig(model="inter-2"), None, ("CFG-7", "$.model"), id="both at once"),
        pytest.param(
            SessionConfig(audio_format=PCM),
            SessionConfig(model="inter-2-audio"),
            None,
            ("CFG-8", "$.audio_format"),
            id="for the model in force",
        ),
        pytest.param(SessionConfig(audio_format=PCM), HEARING, None, None, id="the same again"),
        pytest.param(SessionConfig([OVERALL]), HEARING, None, None, id="left out"),
        pytest.param(
            SessionConfig(audio_format=FASTER), HEARING, None, ("CFG-8", "$.audio_format"), id="another sample rate"
        ),
        pytest.param(
            SessionConfig(audio_format=PCM),
            SessionConfig(model="inter-2"),
            ("CFG-8", "$.audio_format"),
            ("CFG-8", "$.audio_format"),
            id="for a model that sees",
        ),
        pytest.param(
            SessionConfig(audio_format=PCM),
            None,
            ("CFG-8", "$.audio_format"),
            ("CFG-8", "$.audio_format"),
            id="for the model that is usual",
        ),
        pytest.param(
            SessionConfig(model="inter-2"),
            HEARING,
            ("CFG-8", "$.audio_format"),
            ("CFG-7", "$.model"),
            id="back to a model that sees, with the format still in force",
        ),
    ],
)
def test_cfg_8_an_audio_format_needs_a_model_that_hears_and_is_fixed_with_the_media(
    config: SessionConfig,
    in_force: SessionConfig | None,
    before_media: Refusals,
    after: Refusals,
    media_begun: bool,
) -> None:
    assert refusal(config, in_force, media_begun=media_begun) == (after if media_begun else before_media)


def test_a_model_that_only_the_contract_knows_may_take_any_format() -> None:
    options = attrs.evolve(V2_OPTIONS, model=("inter-3",))
    assert refusal(SessionConfig(model="inter-3", audio_format=PCM), options=options) is None


def test_goal_dimensions_are_judged_before_the_model_and_the_model_before_the_format() -> None:
    everything = SessionConfig([], ["volume"], "inter-3", PCM)
    assert refusal(everything) == ("CFG-6", "$.goal_dimensions")
    assert refusal(attrs.evolve(everything, goal_dimensions=None)) == ("CFG-7", "$.model")
    assert refusal(attrs.evolve(everything, goal_dimensions=None, model="inter-2")) == ("CFG-8", "$.audio_format")


def v2_rules(*asked: SessionConfig) -> ConfigRules:
    rules = ConfigRules(V2)
    rules.options = V2_OPTIONS
    rules.in_force = SessionConfig(model="inter-2")
    for config in asked:
        rules.note(config)
    return rules


def test_cfg_7_the_model_is_echoed_also_where_the_config_does_not_mention_it() -> None:
    rules = v2_rules(HEARING, SessionConfig([OVERALL]))
    assert places(lambda found: rules.judge_updated(SessionUpdated(model="inter-2-audio"), found)) == []
    answer = SessionUpdated((OVERALL,), None, "inter-2-audio")
    assert places(lambda found: rules.judge_updated(answer, found)) == []
    # Which audio format is in force no message tells.
    assert rules.in_force == SessionConfig([OVERALL], None, "inter-2-audio", PCM)


@pytest.mark.parametrize(("model", "words"), [(None, "left out"), ("inter-2-audio", "inter-2-audio"), ("x" * 999, "x")])
def test_another_model_than_the_one_in_force_breaks_cfg_7(model: str | None, words: str) -> None:
    rules = v2_rules(SessionConfig())
    found: list[Finding] = []
    rules.judge_updated(SessionUpdated(model=model), found)
    assert [(finding.clause.id, finding.path) for finding in found] == [("CFG-7", "$.data.model")]
    assert f"should be inter-2, not {words}" in found[0].what
    assert len(found[0].what) < 120
    assert rules.in_force.model == (model or "inter-2")


# -- where nothing is confirmed -----------------------------------------------------------------------------


def unconfirmed(*asked: SessionConfig | SessionClose) -> ConfigRules:
    rules = ConfigRules(V1_WINDOW)
    rules.options = OPTIONS
    for message in asked:
        rules.note(message)
    return rules


def test_a_config_that_is_never_confirmed_is_in_force_once_it_was_sent() -> None:
    rules = unconfirmed(SessionConfig([OVERALL, OVERALL, "made_up"]))
    assert rules.in_force == SessionConfig([OVERALL])
    assert rules.unanswered == 0
    rules.note(SessionConfig())
    assert rules.in_force == SessionConfig()


def test_cfg_5_a_refusal_puts_the_config_before_in_force_again() -> None:
    rules = unconfirmed(SessionConfig([OVERALL]), SessionConfig([TIMELINE]))
    rules.judge_error(Error("ih6001", "not a config"))
    assert rules.in_force == SessionConfig([OVERALL])
    rules.judge_error(Error("ih6001", "not a config"))
    assert rules.in_force == SessionConfig([OVERALL])


@pytest.mark.parametrize("error", [Error("ih6002", "too large", segment=1), Error("ih6001", "late media", segment=3)])
def test_another_error_leaves_the_config_that_was_sent_in_force(error: Error) -> None:
    rules = unconfirmed(SessionConfig([OVERALL]))
    rules.judge_error(error)
    assert rules.in_force == SessionConfig([OVERALL])


def test_session_close_means_nothing_where_nothing_is_confirmed() -> None:
    rules = unconfirmed(SessionConfig([OVERALL]), SessionClose())
    assert rules.unanswered == 0
    assert rules.in_force == SessionConfig([OVERALL])
    assert not rules.answers_close(Error("ih6001", "unknown key type"))


# -- an answer that cannot be read ----------------------------------------------------------------------------


def test_an_answer_that_cannot_be_read_is_an_answer_to_the_oldest_config() -> None:
    rules = rules_with(SessionClose(), SessionConfig([OVERALL]), SessionConfig([TIMELINE]))
    rules.note_unreadable_answer()
    assert rules.unanswered == 2
    assert updated(rules, TIMELINE) == []


def test_an_answer_that_cannot_be_read_and_answers_nothing_is_nothing() -> None:
    rules = rules_with(SessionClose())
    rules.note_unreadable_answer()
    assert rules.unanswered == 1


# -- texts that are to be refused --------------------------------------------------------------------


@pytest.mark.parametrize("clause_id", ["CFG-5", "CFG-6", "CFG-7", "CFG-8"])
def test_a_text_that_is_confirmed_or_left_unanswered_breaks_the_clause_that_refuses_it(clause_id: str) -> None:
    confirmed, unanswered = rules_with(), rules_with()
    confirmed.note_broken(clause_id)
    assert updated(confirmed) == [(clause_id, None)]
    unanswered.note_broken(clause_id)
    unanswered.note(SessionConfig())
    unanswered.note(SessionClose())
    assert places(unanswered.judge_closing) == [(clause_id, None), ("CFG-2", None)]


def test_a_text_that_is_to_be_refused_breaks_cfg_5_where_nothing_else_is_said() -> None:
    rules = rules_with()
    rules.note_broken()
    assert updated(rules) == [("CFG-5", None)]


def test_a_text_that_should_have_been_refused_and_was_confirmed_is_in_force_as_confirmed() -> None:
    rules = ConfigRules(V2)
    rules.in_force = SessionConfig(model="inter-2")
    rules.note_broken()
    rules.judge_updated(SessionUpdated((OVERALL,), ("energy",), "inter-2-audio"), [])
    assert rules.in_force == SessionConfig((OVERALL,), ("energy",), "inter-2-audio")
    rules.note_broken()
    rules.judge_updated(SessionUpdated(()), [])
    assert rules.in_force == SessionConfig(model="inter-2-audio")


def test_the_audio_format_stays_in_force_whatever_is_confirmed() -> None:
    rules = v2_rules(HEARING)
    rules.judge_updated(SessionUpdated(model="inter-2-audio"), [])
    rules.note_broken()
    rules.judge_updated(SessionUpdated((OVERALL,), None, "inter-2-audio"), [])
    assert rules.in_force == SessionConfig((OVERALL,), None, "inter-2-audio", PCM)


def test_what_is_awaited_can_be_told_before_the_contract_is_known() -> None:
    rules = ConfigRules(V2)
    assert rules.options == ConfigOptions()
    rules.note(SessionConfig(model="inter-2-audio"))
    assert rules.awaited.model == "inter-2-audio"


def test_early_configs_are_judged_by_those_before_them() -> None:
    rules = ConfigRules(V2)
    for asked in (SessionConfig(model="inter-2-audio"), SessionConfig(), SessionConfig(audio_format=PCM)):
        rules.note(asked)
    rules.options = V2_OPTIONS
    assert rules.judge_early(V2) == []


def test_an_early_config_may_choose_what_segments_hold_until_one_has_begun() -> None:
    rules = ConfigRules(V2)
    rules.note(SessionConfig(model="inter-2-audio"))
    rules.begin_media()
    rules.note(SessionConfig(model="inter-2-audio"))
    rules.begin_media()
    rules.note(SessionConfig(model="inter-2"))
    rules.note(SessionConfig(audio_format=PCM))
    rules.options = V2_OPTIONS
    assert [finding.clause.id for finding in rules.judge_early(V2)] == ["CFG-7", "CFG-8"]


def test_what_a_refused_config_made_wrong_may_be_right_after_all() -> None:
    """A server may refuse what looks right, because it is too long for it."""
    rules = ConfigRules(V2)
    rules.options = V2_OPTIONS
    rules.note(SessionConfig(model="inter-2-audio"))
    assert updated(rules, model="inter-2-audio") == []
    rules.note(SessionConfig(model="inter-2"))
    rules.note_broken("CFG-8", SessionConfig(audio_format=PCM))
    rules.note_broken("CFG-6", SessionConfig(goal_dimensions=["charm"]))
    rules.note_broken()
    rules.judge_error(Error("ih6001", "too long"))
    assert updated(rules, model="inter-2-audio") == []
    assert rules.in_force.audio_format == PCM
    assert updated(rules, model="inter-2-audio") == [("CFG-6", None)]
    assert updated(rules, model="inter-2-audio") == [("CFG-5", None)]


def test_a_model_may_stay_what_it_was_where_the_change_was_refused() -> None:
    rules = ConfigRules(V2)
    rules.options = V2_OPTIONS
    rules.note(SessionConfig(model="inter-2-audio"))
    rules.note_broken("CFG-7", SessionConfig(model="inter-2"))
    rules.judge_error(Error("ih6001", "too long"))
    assert updated(rules, model="inter-2") == []


def test_what_a_refused_text_was_made_of_makes_nothing_right() -> None:
    rules = ConfigRules(V2)
    rules.options = V2_OPTIONS
    rules.note_broken()
    rules.note_broken("CFG-8", SessionConfig(audio_format=PCM))
    rules.judge_error(Error("ih6001", "no JSON"))
    assert updated(rules, model="inter-2") == [("CFG-8", None)]


def test_an_early_text_that_is_to_be_refused_does_not_hide_what_is_behind_it() -> None:
    rules = ConfigRules()
    rules.note_broken()
    rules.note(SessionConfig(goal_dimensions=["energy"]))
    assert [finding.clause.id for finding in rules.judge_early(V1)] == ["CFG-6"]
    # From here on it is a text that is to be refused as well.
    assert updated(rules) == [("CFG-5", None)]
    assert updated(rules) == [("CFG-6", None)]


def test_an_answer_to_nothing_passes_over_nothing() -> None:
    assert not ConfigRules().passes_over_close(SessionUpdated())


def test_a_config_that_is_never_confirmed_keeps_the_model_in_force() -> None:
    rules = unconfirmed()
    rules.in_force = SessionConfig(model="inter-2")
    rules.note(SessionConfig([OVERALL]))
    assert rules.in_force == SessionConfig([OVERALL], model="inter-2")


@pytest.mark.parametrize(("expected", "told", "words"), [([], [OVERALL], "nothing"), ([OVERALL], [], OVERALL)])
def test_a_wrong_confirmation_tells_what_was_due(expected: list[str], told: list[str], words: str) -> None:
    rules = rules_with(SessionConfig(expected))
    found: list[Finding] = []
    rules.judge_updated(SessionUpdated(tuple(told)), found)
    assert f"should include {words}, not " in found[0].what
