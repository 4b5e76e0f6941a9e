from __future__ import annotations

from pathlib import Path

import pytest

from ihproto import Window
from ihproto_mock import BUNDLED, Scenario, ScenarioError, load_scenario, parse_scenario

NOD = """
name = "nod"
[[signal]]
type = "agreement"
start = 2.0
end = 6.0
probability = "low"
rationale = "A small nod."
[[signal]]
type = "agreement"
start = 6.0
end = 12.0
probability = "high"
[[signal]]
type = "stress"
start = 7.5
end = 9.0
[[engagement]]
start = 0
state = "neutral"
[[engagement]]
start = 5.0
state = "engaged"
[[quality]]
start = 4.0
clarity = 60
authority = 55
energy = 70
rapport = 65
learning = 50
[[error]]
segment = 3
code = "ih5002"
[[error]]
at = 20
code = "ih1001"
message = "Broken."
[[error]]
at = 18
code = "ih3001"
"""


def _window(start: float, end: float) -> Window:
    return Window(0, start, end)


def test_stretches_that_touch_are_one_activity_with_a_change() -> None:
    (report, _) = parse_scenario(NOD).analyse(_window(0, 8)).signals
    assert (report.signal_type, report.start, report.end) == ("agreement", 2.0, 8)
    assert (report.since, report.probability, report.rationale) == (6.0, "high", None)


def test_a_window_sees_only_what_overlaps_it() -> None:
    scenario = parse_scenario(NOD)
    assert [report.signal_type for report in scenario.analyse(_window(0, 7)).signals] == ["agreement"]
    assert [report.signal_type for report in scenario.analyse(_window(9, 17)).signals] == ["agreement"]
    assert scenario.analyse(_window(12, 20)).signals == ()


def test_engagement_and_quality_hold_until_the_next_change() -> None:
    scenario = parse_scenario(NOD)
    first, later = scenario.analyse(_window(0, 4)), scenario.analyse(_window(9, 17))
    assert first.engagement is not None
    assert (first.engagement.state, first.engagement.start, first.quality) == ("neutral", 0, None)
    assert later.engagement is not None
    assert (later.engagement.state, later.engagement.start) == ("engaged", 5.0)
    assert later.quality is not None
    assert later.quality.scores() == (60, 55, 70, 65, 50)


def test_errors_are_found_by_segment_and_by_time() -> None:
    scenario = parse_scenario(NOD)
    assert scenario.mishap_at_segment(2) is None
    mishap = scenario.mishap_at_segment(3)
    assert mishap is not None
    assert mishap.code == "ih5002"
    assert [mishap.code for mishap in scenario.mishaps_between(15, 21)] == ["ih3001", "ih1001"]
    assert [mishap.text for mishap in scenario.mishaps_between(18, 20)] == ["Broken."]
    assert scenario.mishaps_between(20, 23) == []


def test_a_repeating_scenario_begins_anew() -> None:
    scenario = parse_scenario("repeat_every = 20.0\n" + NOD)
    once, again = scenario.analyse(_window(3, 11)), scenario.analyse(_window(43, 51))
    assert [(report.signal_type, report.start + 40, report.probability) for report in once.signals] == [
        (report.signal_type, report.start, report.probability) for report in again.signals
    ]
    before_the_first_change = scenario.analyse(_window(40, 43))
    assert before_the_first_change.engagement is not None
    assert (before_the_first_change.engagement.state, before_the_first_change.engagement.start) == ("neutral", 40)


def test_a_repeating_activity_that_reaches_the_seam_goes_on_across_it() -> None:
    scenario = parse_scenario(
        'name = "on"\nrepeat_every = 10\n[[signal]]\ntype = "interest"\nstart = 0\nend = 10\nprobability = "low"'
    )
    (report,) = scenario.analyse(_window(8, 16)).signals
    assert (report.start, report.end) == (0, 16)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_scenarios_can_be_loaded_and_say_what_they_are_good_for(name: str) -> None:
    scenario = load_scenario(name)
    assert scenario.name == name
    assert scenario.description.endswith(".")


def test_a_scenario_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "nod.toml"
    path.write_text(NOD, encoding="utf-8")
    assert load_scenario(path) == load_scenario(str(path)) == parse_scenario(NOD)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("name =", "Invalid value", id="not TOML"),
        pytest.param("", "name", id="no name"),
        pytest.param("name = 3", "$.name", id="wrong type"),
        pytest.param('name = "a"\nsignals = 3', "no key 'signals'; its keys are name", id="unknown key"),
        pytest.param('name = "a"\n[[signal]]\nkind = "x"', "[[signal]] has no key 'kind'", id="unknown inner key"),
        pytest.param('name = "a"\nsignal = [3]', "$.signal[0]", id="not a table"),
        pytest.param('name = "a"\nsignal = 3', "$.signal", id="not a list"),
        pytest.param('name = "a"\n[[signal]]\ntype = "x"\nstart = 3\nend = 3', "must end after that", id="no length"),
        pytest.param('name = "a"\n[[signal]]\ntype = "x"\nstart = -1\nend = 3', "start", id="before the beginning"),
        pytest.param(
            'name = "a"\n[[signal]]\ntype = "x"\nstart = 0\nend = 3\nprobability = "sure"',
            "it must be one of high, low, medium",
            id="probability",
        ),
        pytest.param('name = "a"\n[[engagement]]\nstart = 0\nstate = "happy"', "it must be one of dis", id="state"),
        pytest.param('name = "a"\n[[error]]\nsegment = 1\ncode = "ih9"', "it must be one of ih1001", id="code"),
        pytest.param('name = "a"\n[[error]]\ncode = "ih1001"', "a segment or a time", id="error nowhere"),
        pytest.param('name = "a"\n[[error]]\ncode = "ih1001"\nat = 1\nsegment = 1', "not both", id="error twice"),
        pytest.param(
            'name = "a"\n[[quality]]\nstart = 0\nclarity = 101\nauthority = 1\nenergy = 1\nrapport = 1\nlearning = 1',
            "clarity",
            id="score",
        ),
        pytest.param('name = "a"\n[[error]]\ncode = "ih6003"\nsegment = 1', "about the session", id="session error"),
        pytest.param('name = "a"\n[[error]]\ncode = "ih4007"\nat = 1', "about one segment", id="segment error"),
        pytest.param('name = "a"\nrepeat_every = 0', "more than 0", id="no time to repeat"),
        pytest.param(NOD.replace('"nod"', '"nod"\nrepeat_every = 11'), "at least 12", id="repeats before its end"),
    ],
)
def test_a_scenario_that_cannot_be_used_is_refused_with_place_and_reason(text: str, complaint: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        parse_scenario(text, "my.toml")
    assert str(raised.value).startswith("my.toml: ")
    assert complaint in str(raised.value)


def test_a_scenario_that_is_nowhere_names_the_bundled_ones() -> None:
    with pytest.raises(ScenarioError, match="lively, quiet, troubled"):
        load_scenario("livly")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "video.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScenarioError, match="cannot be read"):
        load_scenario(path)


def test_an_empty_scenario_sees_nothing() -> None:
    analysis = Scenario("nothing").analyse(_window(0, 8))
    assert (analysis.signals, analysis.engagement, analysis.quality) == ((), None, None)


def test_an_error_at_0_happens_with_the_first_media() -> None:
    scenario = parse_scenario('name = "a"\n[[error]]\nat = 0\ncode = "ih3001"')
    assert [mishap.code for mishap in scenario.mishaps_between(0, 3)] == ["ih3001"]
    assert scenario.mishaps_between(3, 6) == []
