"""The examples of docs/testing.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

import ihproto_mock.background
from ihproto.testing import strategies

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
USED = ihproto_mock.background


def blocks(heading: str) -> list[str]:
    """The Python examples under a heading."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert found
    return found


def execute(*sources: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    for source in sources:
        exec(compile(source, "docs/testing.md", "exec"), namespace)
    return namespace


def surely(test: Any) -> Any:
    """A test of Hypothesis with the same examples on every run, which are not made shorter."""
    phases = [Phase.generate]
    return settings(max_examples=200, derandomize=True, database=None, phases=phases)(test)


def test_the_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nfilterwarnings = error\naddopts = --strict-markers")
    pytester.makepyfile("\n\n".join(blocks("A server as a fixture")))
    result = pytester.runpytest_inprocess("-p", "pytest_ihproto", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=4)


def test_the_bug_of_the_panel_is_found_and_mended() -> None:
    broken, test, mended = blocks("Sessions from a strategy")
    with pytest.raises(AssertionError) as caught:
        surely(execute(broken, test)["test_the_panel_shows_what_is_active"])()
    example = "\n".join(caught.value.__notes__)
    assert "\n        client: <" in example
    assert example.count('"signal.detected"') >= 2
    surely(execute(broken, test, mended)["test_the_panel_shows_what_is_active"])()


def test_the_clause_is_named() -> None:
    surely(execute(*blocks("Servers that do something wrong"))["test_the_clause_is_named"])()


def test_nothing_is_refused() -> None:
    surely(execute(*blocks("Clients for your server"))["test_nothing_is_refused"])()


def test_every_strategy_is_in_the_table() -> None:
    table = PAGE.partition("## The parts\n")[2]
    named = set(re.findall(r"`(\w+)\(", table))
    drawing = {name for name in strategies.__all__ if not name[0].isupper()}
    assert named == drawing
