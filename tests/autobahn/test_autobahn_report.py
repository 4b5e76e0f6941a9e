"""The judgement on what the suite reports, and the page that is made of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import attrs
import pytest
from autobahn.report import MISSING, Outcome, complete, failures, page, read, remarks, table
from autobahn.suite import FAMILIES, REQUIREMENTS

PAGE = Path(__file__).parents[2] / "docs/autobahn.md"
GOOD = Outcome("server", "raw", "1.1.1", "OK", "OK", "what", "said")


def test_a_report_is_read(tmp_path: Path) -> None:
    entry = {"behavior": "NON-STRICT", "behaviorClose": "WRONG CODE", "remoteCloseCode": 1000, "reportfile": "a.json"}
    (tmp_path / "index.json").write_text(json.dumps({"raw": {"6.4.2": entry}}))
    told = {
        "description": "Same as 6.4.1, <b>but</b> a|b &lt; [c]\n  `d`.<br><br>PARTS: 00<br>",
        "result": "One.",
        "resultClose": "Two.",
    }
    (tmp_path / "a.json").write_text(json.dumps(told))
    assert read(tmp_path / "index.json", "client") == [
        Outcome(
            "client",
            "raw",
            "6.4.2",
            "NON-STRICT",
            "WRONG CODE",
            r"Same as 6.4.1, but a\|b \< \[c\] \`d\`.",
            "One. Two.",
        )
    ]


@pytest.mark.parametrize(
    ("behavior", "closing", "verdict"),
    [
        ("OK", "OK", "OK"),
        ("NON-STRICT", "OK", "NON-STRICT"),
        ("OK", "INFORMATIONAL", "INFORMATIONAL"),
        ("INFORMATIONAL", "INFORMATIONAL", "INFORMATIONAL"),
        ("FAILED", "OK", "FAILED"),
        ("OK", "FAILED", "FAILED"),
        ("OK", "WRONG CODE", "FAILED"),
        ("OK", "UNCLEAN", "FAILED"),
        ("OK", "FAILED BY CLIENT", "FAILED"),
        ("UNIMPLEMENTED", "OK", "FAILED"),
        ("INFORMATIONAL", "FAILED", "FAILED"),
        ("something new", "OK", "FAILED"),
        (MISSING, MISSING, "FAILED"),
    ],
)
def test_the_worse_of_the_two_verdicts_counts(behavior: str, closing: str, verdict: str) -> None:
    outcome = attrs.evolve(GOOD, behavior=behavior, closing=closing)
    assert outcome.verdict == verdict
    assert failures([GOOD, outcome]) == ([outcome] if verdict == "FAILED" else [])


def test_a_case_that_was_not_run_is_missing() -> None:
    other = attrs.evolve(GOOD, stack="session", case="10.1.1")
    agents = [("server", "raw"), ("server", "session"), ("client", "raw")]
    outcomes = complete([other, GOOD], agents)
    assert outcomes == [
        Outcome("client", "raw", "1.1.1", MISSING, MISSING, "what"),
        Outcome("client", "raw", "10.1.1", MISSING, MISSING, "what"),
        GOOD,
        Outcome("server", "raw", "10.1.1", MISSING, MISSING, "what"),
        Outcome("server", "session", "1.1.1", MISSING, MISSING, "what"),
        other,
    ]
    assert len(failures(outcomes)) == 4


def test_the_table_counts_by_family() -> None:
    outcomes = [
        GOOD,
        attrs.evolve(GOOD, case="1.1.2", closing="UNCLEAN"),
        attrs.evolve(GOOD, case="7.1.6", behavior="INFORMATIONAL", closing="INFORMATIONAL"),
        attrs.evolve(GOOD, case="10.1.1", behavior="NON-STRICT"),
        attrs.evolve(GOOD, stack="session"),
    ]
    assert table(outcomes).splitlines()[2:] == [
        "| server | raw | 1: framing | 2 | 1 | 0 | 0 | 1 |",
        "| server | raw | 7: close handling | 1 | 0 | 0 | 1 | 0 |",
        "| server | raw | 10: automatic fragmentation | 1 | 0 | 1 | 0 | 0 |",
        "| server | raw | all | 4 | 1 | 1 | 1 | 1 |",
        "| server | session | 1: framing | 1 | 1 | 0 | 0 | 0 |",
        "| server | session | all | 1 | 1 | 0 | 0 | 0 |",
    ]


def test_every_case_that_is_not_ok_is_listed() -> None:
    assert remarks([GOOD]) == "There is none."
    bad = attrs.evolve(GOOD, case="7.9.1", closing="WRONG CODE")
    other = attrs.evolve(GOOD, case="7.1.6", behavior="INFORMATIONAL")
    text = page([GOOD, bad, other, attrs.evolve(bad, role="client")], "a 1, b 2")
    assert text.splitlines()[-2:] == [
        "| 7.1.6 | INFORMATIONAL | OK | what | said | server raw |",
        "| 7.9.1 | OK | WRONG CODE | what | said | server raw, client raw |",
    ]
    assert "1.1.1" not in text
    assert "Versions: a 1, b 2." in text


def test_the_page_of_the_repository_is_complete_and_good() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (pinned,) = re.findall(r"^autobahntestsuite==(.+)$", REQUIREMENTS.read_text(), re.MULTILINE)
    assert f"AutobahnTestSuite {pinned}," in text
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (\w+)(?:: [^|]+)? \|((?: \d+ \|)+)$", text, re.MULTILINE)
    agents = {(role, stack) for role in ("client", "server") for stack in ("raw", "session")}
    families = {str(number) for number in FAMILIES if number != 8} | {"all"}
    assert {tuple(row[:3]) for row in rows} == {(*agent, family) for agent in agents for family in families}
    counts = [[int(number) for number in row[3].strip(" |").split(" | ")] for row in rows]
    assert all(cases == sum(verdicts) > 0 and verdicts[-1] == 0 for cases, *verdicts in counts)
    assert len({row[0] for row, (_, _, family, _) in zip(counts, rows, strict=True) if family == "all"}) == 1
