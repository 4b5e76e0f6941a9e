"""One-line descriptions, the report for terminals, and what the page is before a browser opens it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pytest
from builders import detected, ready
from conformance import sample_reports as samples
from rich.console import Console

from ihproto import Side
from ihproto_conformance.reports import encode_html, render
from ihproto_conformance.reports.describe import describe
from ihproto_conformance.trace import Begins, Binary, Close, Lost, Media, Passed, Request, Response, Surplus, Text
from ihproto_conformance.verdict import Evidence, Report, SessionLog, Status

C, S = Side.CLIENT, Side.SERVER

# -- descriptions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sender", "passed", "line"),
    [
        (C, Request("/v1/stream/analyze", (), "pair"), "request: GET /v1/stream/analyze, credential as pair"),
        (C, Request("/v0/stream/analyze"), "request: GET /v0/stream/analyze, no credential"),
        (S, Response(101, (("x", "y"),)), "response 101"),
        (S, Response(401, (), "{}"), "response 401: {}"),
        (
            S,
            Text(detected("stress", 1.5, probability="low")),
            "signal.detected: signal_type stress, start 1.5, probability low",
        ),
        (S, Text('{"status": "completed", "segment": 2}'), "completed: segment 2"),
        (S, Text('{"type": "mood", "data": [1, {"a": 2}]}'), "mood: data [1, {1}]"),
        (S, Text('{"type": "m", "data": {"a": {"b": {"c": 1}}}}'), "m: a {b {1}}"),
        (
            S,
            Text('{"type": "m", "data": {"a": null, "b": true, "c": "", "d": 4.0}}'),
            "m: a null, b true, c (empty), d 4.0",
        ),
        (S, Text('{"type": "m", "data": {"a": [1, 2, 3, 4, 5], "b": []}}'), "m: a [1, 2, 3, 4, …], b []"),
        (C, Text('{"type": "session.close"}'), "session.close"),
        (C, Text('{"include": ["a", "b"]}'), "config: include [a, b]"),
        (S, Text('{"code": 1}'), "text: code 1"),
        (C, Text("[1]"), "text: JSON, but no object: [1]"),
        (C, Text("hello\n"), "text: not JSON, 6 characters: hello\ufffd"),
        (C, Text('{"a": NaN}'), 'text: not JSON, 10 characters: {"a": NaN}'),
        (C, Begins(16_384), "begins: 16,384 bytes of a binary message"),
        (
            C,
            Begins(9, Media(0, "SEG-5", "no container")),
            "begins: 9 bytes of a binary message, 0.000 s of media, SEG-5: no container",
        ),
        (S, Surplus(1_200), "surplus: 1,200 bytes after the close frame"),
        (C, Binary(43_298, "ab", Media(2.9876)), "segment: 43,298 bytes, 2.988 s of media"),
        (
            C,
            Binary(3, "ab", Media(0, "SEG-5", "no container")),
            "segment: 3 bytes, 0.000 s of media, SEG-5: no container",
        ),
        (S, Binary(3, "ab"), "binary: 3 bytes"),
        (S, Close(1008, "too late"), "close: 1008, too late"),
        (S, Close(1005), "close: no code"),
        (S, Lost("reset"), "lost: reset"),
    ],
)
def test_a_record_in_a_line(sender: Side, passed: Passed, line: str) -> None:
    assert describe(samples.entry(0, sender, passed)) == line


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"type": "m", "data": {"a": ' + "9" * 100_000 + "}}",
        '{"type": "m", "data": {"a": 1e999}}',
        '{"type": "' + "m" * 100_000 + '"}',
        '{"type": "\\ud800", "data": {"a": "\\u0000\\u202e"}}',
        samples.HOSTILE,
        ready(more=["x" * 1_000] * 1_000),
    ],
)
def test_a_description_is_short_and_printable_whatever_comes(text: str) -> None:
    line = describe(samples.entry(0, S, Text(text)))
    assert len(line) < 300
    assert line.isprintable()


def test_numbers_without_end_are_said_to_be_so() -> None:
    said = '{"type": "m", "data": {"a": ' + "9" * 5_000 + "}}"
    assert describe(samples.entry(0, S, Text(said))) == "m: a (a huge number)"


# -- terminal --------------------------------------------------------------------------------------


def printed(report: Report, *, verbose: bool = False, width: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    render(report, console, verbose=verbose)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_the_last_line_is_the_verdict() -> None:
    assert printed(samples.report())[-1] == (
        "✗ violations: 4 failures, 2 warnings, 1 for information, 1 expected failure, 1 expected in vain, "
        "10 of 22 checks passed"
    )
    assert printed(samples.clean_report())[-1] == (
        "✓ conforms: 0 failures, 0 warnings, 0 for information, 10 of 14 checks passed"
    )
    lines = printed(samples.report(unjudged="nobody listens", results=(), sessions=(), stale=()))
    assert lines[-1] == "? could not judge: nobody listens"
    assert printed(samples.report(target="a", revision="", suite="b"))[0] == "a, b"


def test_failures_come_before_warnings_before_information() -> None:
    lines = printed(samples.report())
    heads = [line.split()[:2] for line in lines if line[:2] in ("✗ ", "▲ ", "◆ ", "≈ ")][:-1]
    assert heads == [
        ["✗", "HS-9.header"],
        ["✗", "ENV-5.no-binary"],
        ["✗", "SIG-5.rounds"],
        ["✗", "TMO-1.idle"],
        ["▲", "CFG-5.unknown-value"],
        ["▲", "CQI-6.mean"],
        ["◆", "SEG-10.empty"],
        ["≈", "ENV-1.shape"],
        ["✗", "CLS-1.graceful"],
    ]


def test_a_failure_shows_what_was_found_and_what_came_before_it() -> None:
    lines = printed(samples.report())
    at = lines.index("✗ SIG-5.rounds  failure, must")
    assert lines[at + 1 : at + 3] == [
        "  expected: A signal ends before it is detected anew",
        "  found: agreement was detected twice  (session 1, 9.117 s)",
    ]
    context = [line.split() for line in lines[at + 3 : at + 6]]
    assert [words[:4] for words in context] == [
        ["6.101", "server", "←", "signal.detected:"],
        ["6.102", "server", "←", "engagement.updated:"],
        ["9.117", "server", "←", "signal.detected:"],
    ]
    assert lines[at + 6] == ""


def test_families_are_summed_up() -> None:
    (line,) = [line for line in printed(samples.report()) if line.startswith("CFG Session config")]
    assert line.split()[3:] == ["1", "1", "1"]
    (line,) = [line for line in printed(samples.report()) if line.startswith("HS  Handshake")]
    assert line.split()[2:] == ["3", "1", "1"]


def test_what_was_not_judged_takes_a_line_for_each_status_and_gives_its_reasons_when_asked() -> None:
    lines = printed(samples.report())
    assert "not asked: HS-11.scope, SEG-2.too-large" in lines
    assert "not applicable: CFG-6.goals" in lines
    assert "unseen: ENG-2.changes" in lines
    verbose = "\n".join(printed(samples.report(), verbose=True, width=400))
    assert "SEG-2.too-large (asked for by --suite full)" in verbose
    assert "✓ RDY-1.first  session.ready comes first, and once" in verbose


def test_of_much_evidence_some_is_shown_and_all_when_asked() -> None:
    evidence = tuple(Evidence(f"finding {number}", 1, number, number) for number in range(8))
    report = samples.report(results=(samples.result("SIG-5.rounds", "t", Status.FAILED, *evidence),))
    lines = printed(report)
    assert sum(line.startswith("  found: ") for line in lines) == 3
    assert "  and 5 more findings" in lines
    assert sum(line.startswith("  found: ") for line in printed(report, verbose=True)) == 8


def test_nothing_foreign_steers_the_terminal_or_is_markup() -> None:
    for verbose in (False, True):
        text = "\n".join(printed(samples.hostile_report(), verbose=verbose, width=2_000))
        assert all(character.isprintable() or character == "\n" for character in text)
        assert text.count("[bold red]") >= 8


def test_evidence_that_leads_nowhere_does_no_harm() -> None:
    lost = [Evidence("a", 99, 0, 1.0), Evidence("b", 1, 999, 1.0), Evidence("c")]
    report = samples.report(results=(samples.result("SIG-5.rounds", "t", Status.FAILED, *lost),))
    assert sum(line.startswith("  found: ") for line in printed(report)) == 3
    assert b"#session-99" not in encode_html(report)
    assert b"#record-1-999" not in encode_html(report)


# -- page ------------------------------------------------------------------------------------------


class PageReader(HTMLParser):
    """The elements of a page, the texts of its scripts and styles, and all other text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.code: list[str] = []
        self.text = ""
        self._verbatim = False
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._verbatim = tag in ("script", "style")
        if self._verbatim:
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._verbatim = False

    def handle_data(self, data: str) -> None:
        if self._verbatim:
            self.code[-1] += data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_policy_lets_in_this_style_and_this_script_and_nothing_else() -> None:
    page = PageReader(encode_html(samples.report()))
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    style, _, script = page.code
    hashes = [base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in (style, script)]
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{hashes[0]}'",
        f"script-src 'sha256-{hashes[1]}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]


@pytest.mark.parametrize("report", [samples.report(), samples.hostile_report()], ids=["sample", "hostile"])
def test_the_page_holds_only_what_it_is_made_of(report: Report) -> None:
    page = PageReader(encode_html(report))
    assert [attributes.get("type") for attributes in page.all("script")] == ["application/json", None]
    assert not page.all("img")
    assert not page.all("link")
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "style")]
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"https?://|@import|url\(|innerHTML|eval\(", page.code[0] + page.code[2])


def test_the_data_can_end_no_script_and_is_what_was_said() -> None:
    page = encode_html(samples.hostile_report())
    data = PageReader(page).code[1]
    assert not set("<>&\u2028\u2029") & set(data)
    entries = json.loads(data)[0]["entries"]
    assert entries[2]["body"] == samples.HOSTILE.replace("\ud800", "\ufffd")


def test_verdict_matrix_and_checks_are_there_without_a_script() -> None:
    page = PageReader(encode_html(samples.report()))
    for words in ("Violations", "4 failures, 2 warnings", "agreement was detected twice", "Ticket 123", "SIG-5.rounds"):
        assert words in page.text
    cells = {link["data-clause"]: link["class"] for link in page.all("a") if "data-clause" in link}
    assert cells["SIG-5"] == "cell failure"
    assert cells["CFG-5"] == "cell warning"
    assert cells["ENV-1"] == "cell expected"
    boxes = [box for box in page.all("details") if str(box["class"]).startswith("check ")]
    assert [box["id"] for box in boxes][:2] == ["check-HS-9.header", "check-ENV-5.no-binary"]
    assert len(boxes) == 22
    # Every link of the matrix leads to a check.
    targets = {f"#{box['id']}" for box in boxes}
    assert {link["href"] for link in page.all("a") if "data-clause" in link} <= targets


def test_the_sessions_that_show_failures_are_open() -> None:
    def opened(report: Report) -> list[str | None]:
        page = PageReader(encode_html(report))
        return [box["id"] for box in page.all("details") if box["class"] == "session" and "open" in box]

    assert opened(samples.report()) == ["session-1", "session-2", "session-3"]
    assert opened(samples.clean_report()) == []


def test_an_entry_of_the_page_says_what_a_line_needs() -> None:
    entries = json.loads(PageReader(encode_html(samples.report())).code[1])[0]["entries"]
    assert entries[0]["head"].splitlines() == [
        "GET /v1/stream/analyze",
        "host: 127.0.0.1:8080",
        "authorization: [redacted]",
        "upgrade: websocket",
    ]
    assert (entries[3]["client"], entries[3]["time"], entries[3]["kind"]) == (True, "0.015", "config")
    assert entries[12]["proves"] == ["SIG-5.rounds"]
    assert [item["clause"] for item in entries[12]["violations"]] == ["SIG-5"]


def test_a_session_without_records_is_shown() -> None:
    empty = SessionLog(1, "quiet", "nobody answered", ())
    assert b"0 records" in encode_html(samples.report(sessions=(empty,), results=()))
