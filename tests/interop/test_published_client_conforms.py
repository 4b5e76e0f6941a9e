"""The published client of the service before the judging server: what it keeps, and what it does not."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from ihproto import REVISIONS
from ihproto_conformance.client import Choice, judge_client, scenarios_of
from ihproto_conformance.client.command import Command
from ihproto_conformance.verdict import Report, Result, Status

SCRIPT = Path(__file__).with_name("published_session.py")
PIECES = sorted((Path(__file__).parents[2] / "examples" / "recording").glob("*.bin"))[:3]


def judge(revision: str, *names: str) -> Report:
    spoken = REVISIONS[revision]
    scenarios = tuple(scenario for scenario in scenarios_of(spoken) if not names or scenario.name in names)
    command = Command((sys.executable, str(SCRIPT), *map(str, PIECES)))

    async def main() -> Report:
        report, _ = await judge_client(Choice(spoken, scenarios, timeout=40, jobs=7), command, target="published")
        return report

    return anyio.run(main)


def broken(report: Report) -> dict[str, Result]:
    return {result.check.id: result for result in report.results if result.status.broken}


@pytest.fixture(scope="module")
def report() -> Report:
    return judge("v1")


def test_it_keeps_all_but_two_clauses(report: Report) -> None:
    assert {result.check.clause.id for result in broken(report).values()} == {"SEG-2", "ENV-3"}
    passed = {result.check.id for result in report.results if result.status is Status.PASSED}
    assert passed >= {
        "HS-1.path",
        "HS-2.authorization",
        "HS-10.does-not-hammer",
        "ENV-1.takes-fragments",
        "RDY-4.waits-for-ready",
        "RDY-4.silent-when-refused",
        "RDY-4.begins-anew",
        "ERR-2.goes-on",
        "CLS-1.ends-the-session",
        "CLS-1.waits-for-ended",
        "CLS-2.no-media-after-close",
        "CLS-3.answers-close",
        "CLS-3.answers-pings",
        "CLS-3.comes-to-an-end",
    }


def test_it_sends_segments_that_are_larger_than_the_contract_allows(report: Report) -> None:
    evidence = broken(report)["SEG-2.within-contract"].evidence
    assert len(evidence) == len(PIECES)
    assert "32,768 bytes" in evidence[0].what


def test_it_breaks_off_at_a_type_of_signal_that_it_does_not_know(report: Report) -> None:
    (evidence,) = broken(report)["ENV-3.goes-on"].evidence
    assert "exit code 1" in evidence.what


def test_it_keeps_the_rules_of_v2_in_a_plain_session() -> None:
    assert broken(judge("v2", "plain")) == {}
