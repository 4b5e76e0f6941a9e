"""The JSON report and its schema, and the JUnit report as a CI system reads it."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import attrs
import pytest
from conformance import sample_reports as samples
from conformance.json_schema import faults

from ihproto import Level, Side
from ihproto_conformance.reports import encode_json, encode_junit
from ihproto_conformance.trace import Passed
from ihproto_conformance.verdict import Report, Severity, Status, Subject, Verdict

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report-schema.json").read_text("utf-8"))
SAMPLES: list[Callable[[], Report]] = [samples.report, samples.clean_report, samples.hostile_report]


def encoded(report: Report) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(encode_json(report))
    return decoded


# -- JSON ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_report_is_as_its_schema_has_it(sample: Callable[[], Report]) -> None:
    assert list(faults(encoded(sample()), SCHEMA, SCHEMA)) == []


def test_the_schema_refuses_what_is_no_report() -> None:
    whole = encoded(samples.report())

    def broken(change: Callable[[dict[str, Any]], object]) -> list[str]:
        document = copy.deepcopy(whole)
        change(document)
        return list(faults(document, SCHEMA, SCHEMA))

    assert broken(lambda d: d.update(ihproto_conformance_report=2)) == ["$.ihproto_conformance_report: not 1"]
    assert broken(lambda d: d.pop("verdict")) == ["$: lacks verdict"]
    assert broken(lambda d: d["counts"].update(checks=-1)) == ["$.counts.checks: below 0"]
    assert broken(lambda d: d["results"][0].update(seen="3")) == ["$.results[0].seen: not integer"]
    assert broken(lambda d: d["results"][0].update(status="skipped"))[0].startswith("$.results[0].status: 'skipped'")
    assert broken(lambda d: d["sessions"][0]["entries"][0]["record"].update(ping="")) == [
        "$.sessions[0].entries[0].record: ping is not described"
    ]


@pytest.mark.parametrize(
    ("listed", "values"),
    [
        (SCHEMA["properties"]["verdict"], Verdict),
        (SCHEMA["properties"]["subject"], Subject),
        (SCHEMA["$defs"]["severity"], Severity),
        (SCHEMA["$defs"]["level"], Level),
        (SCHEMA["$defs"]["side"], Side),
        (SCHEMA["$defs"]["result"]["properties"]["status"], Status),
    ],
)
def test_the_schema_lists_every_value_that_there_is(listed: dict[str, Any], values: Any) -> None:
    assert set(listed["enum"]) == {item.value for item in values}


def test_the_schema_knows_every_kind_of_record() -> None:
    described = set(SCHEMA["$defs"]["record"]["properties"]) - {"time", "from"}
    sessions = encoded(samples.report())["sessions"]
    assert described == {name for log in sessions for entry in log["entries"] for name in entry["record"]} - {
        "time",
        "from",
    }
    assert len(described) == len(get_args(Passed))


def test_json_says_what_the_report_comes_to() -> None:
    document = encoded(samples.report())
    assert document["ihproto_conformance_report"] == 1
    assert (document["verdict"], document["exit_code"]) == ("violations", 1)
    assert document["started_at"] == "2026-01-02T03:04:05+00:00"
    assert document["counts"] == {
        "checks": 22,
        "statuses": {
            "passed": 10,
            "failed": 7,
            "blocked": 1,
            "unseen": 1,
            "not applicable": 1,
            "not asked": 2,
        },
        "broken": {"failure": 4, "warning": 2, "information": 1},
        "expected": 1,
    }
    assert document["usage"] == {"sessions": 3, "records": 30, "media_seconds": 9.0}
    assert document["stale"] == ["CLS-1.graceful"]


def test_json_holds_each_result_and_leads_from_its_evidence_to_the_record() -> None:
    document = encoded(samples.report())
    (found,) = [item for item in document["results"] if item["id"] == "SIG-5.rounds"]
    assert found["clause"] == "SIG-5"
    assert (found["level"], found["severity"], found["status"]) == ("must", "failure", "failed")
    assert found["sentence"].startswith("For each signal type by itself")
    (evidence,) = found["evidence"]
    assert evidence == {"what": "agreement was detected twice", "session": 1, "record": 12, "time": 9.117}
    shown = document["sessions"][0]["entries"][evidence["record"]]
    assert shown["record"]["time"] == 9.117
    assert json.loads(shown["record"]["text"])["type"] == "signal.detected"
    assert shown["violations"] == [
        {
            "clause": "SIG-5",
            "level": "must",
            "side": "server",
            "state": "LIVE",
            "what": "agreement is active already; end it before it is detected anew",
            "path": "$.data.signal_type",
        }
    ]


def test_texts_stand_in_json_as_they_were_said_but_for_half_a_character() -> None:
    document = encoded(samples.hostile_report())
    said = samples.HOSTILE.replace("\ud800", "\ufffd")
    assert document["target"] == said
    assert document["sessions"][0]["entries"][2]["record"]["text"] == said


def test_without_rich_there_are_all_reports_but_the_one_for_terminals() -> None:
    code = "import sys; sys.modules['rich'] = None; import ihproto_conformance.reports as r; print(*r.__all__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["encode_html", "encode_json", "encode_junit", "render"]


# -- JUnit -----------------------------------------------------------------------------------------


def junit(report: Report) -> ElementTree.Element:
    return ElementTree.fromstring(encode_junit(report))


def case(root: ElementTree.Element, name: str) -> ElementTree.Element:
    (found,) = [item for item in root.iter("testcase") if item.get("name") == name]
    return found


def ends(case: ElementTree.Element) -> list[str]:
    return [child.tag for child in case]


def test_each_family_is_a_suite_and_each_check_a_case() -> None:
    root = junit(samples.report())
    assert root.tag == "testsuites"
    assert [suite.get("name") for suite in root] == [
        "HS Handshake",
        "ENV Envelopes",
        "RDY Session ready",
        "CFG Session config",
        "SEG Segments",
        "SIG Signal lifecycle",
        "ENG Engagement",
        "CQI Conversation quality",
        "TMO Timeouts",
        "CLS Closing",
        "Expected failures",
    ]
    assert [item.get("name") for item in root[0].iter("testcase")] == [
        "HS-5.selects-one",
        "HS-9.header",
        "HS-10.missing",
        "HS-11.scope",
        "HS-12.unknown-query",
    ]
    assert case(root, "HS-9.header").get("classname") == "ihproto.server.v1.HS-9"


def test_the_numbers_are_those_of_the_cases() -> None:
    root = junit(samples.report())
    # Four failures and a stale entry; skipped are one expected, one unseen, one that does not apply, two not asked.
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped", "time")} == {
        "tests": "23",
        "failures": "5",
        "errors": "0",
        "skipped": "5",
        "time": "21.250",
    }
    for name in ("tests", "failures", "errors", "skipped"):
        assert sum(int(suite.get(name, "")) for suite in root) == int(root.get(name, ""))


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("HS-5.selects-one", []),
        ("HS-9.header", ["failure"]),
        ("TMO-1.idle", ["failure"]),
        ("CFG-5.unknown-value", ["system-out"]),
        ("SEG-10.empty", ["system-out"]),
        ("ENV-1.shape", ["skipped", "system-out"]),
        ("ENG-2.changes", ["skipped"]),
        ("CFG-6.goals", ["skipped"]),
        ("SEG-2.too-large", ["skipped"]),
    ],
)
def test_each_status_has_its_end(name: str, end: list[str]) -> None:
    assert ends(case(junit(samples.report()), name)) == end


def test_a_failure_says_what_was_found_where_and_which_clause_it_is() -> None:
    (failure,) = case(junit(samples.report()), "SIG-5.rounds")
    assert failure.get("message") == "failed: agreement was detected twice"
    assert failure.get("type") == "failure"
    text = failure.text or ""
    assert "Expected: A signal ends before it is detected anew." in text
    assert "Found (session 1, record 12, at 9.117 s): agreement was detected twice." in text
    assert "SIG-5 (must): For each signal type by itself" in text


def test_what_is_skipped_says_why() -> None:
    root = junit(samples.report())
    messages = {name: case(root, name)[0].get("message") for name in ("ENV-1.shape", "CFG-6.goals", "ENG-2.changes")}
    assert messages == {
        "ENV-1.shape": "expected failure: Ticket 123: the scanner dies of files without a header.",
        "CFG-6.goals": "not applicable: session.ready has no such option",
        "ENG-2.changes": "unseen",
    }


def test_a_warning_fails_where_it_makes_the_verdict() -> None:
    report = samples.report(fail_on=Severity.WARNING)
    assert ends(case(junit(report), "CFG-5.unknown-value")) == ["failure"]
    assert ends(case(junit(report), "SEG-10.empty")) == ["system-out"]


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("fail_on", list(Severity))
def test_a_ci_system_fails_exactly_where_the_verdict_does(sample: Callable[[], Report], fail_on: Severity) -> None:
    for report in (attrs.evolve(sample(), fail_on=fail_on), attrs.evolve(sample(), fail_on=fail_on, stale=())):
        root = junit(report)
        unhappy = int(root.get("failures", "")) + int(root.get("errors", "")) > 0
        assert unhappy == (report.verdict is not Verdict.CONFORMS)


def test_a_stale_entry_is_a_case_that_failed() -> None:
    (suite,) = [suite for suite in junit(samples.report()) if suite.get("name") == "Expected failures"]
    (stale,) = suite.iter("testcase")
    assert stale.get("name") == "CLS-1.graceful"
    assert ends(stale) == ["failure"]


def test_a_report_without_a_judgement_is_an_error() -> None:
    root = junit(samples.report(unjudged="nothing listens there", results=(), sessions=(), stale=()))
    assert (root.get("tests"), root.get("errors")) == ("1", "1")
    assert case(root, "could be judged")[0].get("message") == "nothing listens there"


def test_hostile_text_arrives_whole_but_for_what_xml_cannot_hold() -> None:
    failure = case(junit(samples.hostile_report()), "SIG-1.shape")[0]
    message = failure.get("message") or ""
    # What was taken: ESC, NUL and half a surrogate pair. C1 controls are in XML 1.0, U+2028 and U+202E as well.
    said = samples.HOSTILE.replace("\x1b", "\ufffd").replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert message == f"failed: {said}"
    assert list(failure) == []
