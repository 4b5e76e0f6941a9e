"""The report of a judgement, as a browser shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser.page import PATIENCE_MS
from conformance import sample_reports as samples
from playwright.sync_api import Page, expect

from ihproto import Side
from ihproto_conformance.reports import encode_html
from ihproto_conformance.trace import Text
from ihproto_conformance.verdict import Report

pytestmark = pytest.mark.browser

Open = Callable[[Report], None]


@pytest.fixture
def open_report(page: Page, tmp_path: Path) -> Iterator[Open]:
    """Opens a report as the file that it is; fails the test if it asks for anything else, or complains of anything."""
    path = tmp_path / "report.html"
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))

    def open_(report: Report) -> None:
        path.write_bytes(encode_html(report))
        page.goto(path.as_uri())

    yield open_
    assert set(asked) == {path.as_uri()}
    assert complaints == []


def test_a_long_session_can_be_walked_from_end_to_end(page: Page, open_report: Open) -> None:
    open_report(samples.long_report(5_000))
    session = page.locator("#session-1")
    # What is near comes first; the rest is there when the browser had nothing else to do.
    expect(page.locator("#record-1-0")).to_contain_text("GET /v1/stream/analyze")
    expect(session).to_have_attribute("data-whole", "true", timeout=PATIENCE_MS)
    expect(session.locator(".chunk > li")).to_have_count(5_000)

    page.locator("#check-SIG-5\\.rounds a").click()
    row = page.locator("#record-1-4989")
    expect(row).to_be_in_viewport()
    expect(row).to_have_class("server noted aimed")
    expect(row.locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(row.locator("pre")).to_contain_text('"signal_type": "interest"')
    # And back to the check that it is evidence for.
    row.locator(".proof a").click()
    expect(page.locator("#check-SIG-5\\.rounds")).to_be_in_viewport()
    page.go_back()
    expect(row).to_be_in_viewport()

    page.locator("#session-2").scroll_into_view_if_needed()
    last = page.locator("#record-1-4999")
    expect(last).to_be_in_viewport()
    expect(last).to_contain_text("1000, the very last")


def test_the_way_to_a_record_in_a_session_that_is_closed(page: Page, open_report: Open) -> None:
    open_report(samples.report())
    session = page.locator("#session-3")
    session.locator("> summary").click()
    expect(page.locator("#record-3-4")).to_be_hidden()
    expected_failure = page.locator("#check-ENV-1\\.shape")
    expected_failure.locator("summary").click()
    expected_failure.get_by_role("link", name="session 3, record 4").click()
    row = page.locator("#record-3-4")
    expect(row).to_be_in_viewport()
    expect(row).to_contain_text("ENV-1 must the text is not JSON")
    # A fragment in the address leads there as well.
    page.goto(page.url.partition("#")[0] + "#record-1-13")
    page.reload()
    expect(page.locator("#record-1-13")).to_be_in_viewport()


def test_filters_and_matrix_show_what_was_asked_for(page: Page, open_report: Open) -> None:
    open_report(samples.report())
    visible = page.locator(".check:visible")
    shown = page.get_by_role("status")
    expect(shown).to_have_text("22 checks")
    page.get_by_label("blocked").check()
    expect(visible).to_have_count(1)
    expect(visible).to_contain_text("TMO-1.idle")
    page.get_by_label("failed").check()
    expect(shown).to_have_text("6 of 22 checks")
    page.get_by_label("Severity").select_option("warning")
    expect(visible).to_have_count(2)
    page.get_by_label("Family").select_option("CQI")
    expect(visible).to_have_count(1)
    page.get_by_role("button", name="Show all").click()
    expect(shown).to_have_text("22 checks")
    page.keyboard.press("/")
    page.keyboard.type("AGREEMENT twice")
    expect(visible).to_have_count(1)
    expect(visible).to_contain_text("SIG-5.rounds")

    # A cell of the matrix puts the filters aside.
    page.locator("[data-clause='ENV-1'].cell").click()
    expect(shown).to_have_text("2 of 22 checks of clause ENV-1")
    expect(page.locator("#check-ENV-1\\.shape")).to_have_attribute("open", "")
    expect(page.locator("#check-ENV-1\\.shape")).to_be_in_viewport()
    # And a way to a check that is filtered out shows all again.
    page.locator("#record-1-12").get_by_role("link", name="SIG-5.rounds").click()
    expect(page.locator("#check-SIG-5\\.rounds")).to_be_in_viewport()
    expect(shown).to_have_text("22 checks")


def test_foreign_text_is_text_and_json_is_shown_to_the_character(page: Page, open_report: Open) -> None:
    said = '{"a": 1.0, "a": 12345678901234567890, "b": [], "c": {}, "d": [-1e2, null, "x\u202e\\u003c"]}'
    open_report(samples.hostile_report(samples.entry(1, Side.SERVER, Text(said))))
    rows = page.locator(".timeline details")
    expect(rows).to_have_count(7)
    for row in rows.all():
        row.locator("summary").click()
    expect(page.locator("#record-1-2 pre")).to_contain_text(
        "<img src=x onerror='window.harmed = 1'></script><script>window.harmed = 1</script><!--"
    )
    # What has no shape is spelled, so that it neither hides nor turns around what it stands beside.
    expect(page.locator("#record-1-2 pre")).to_contain_text("U+001B[2JU+0000U+009B31mU+202Egnp")
    lines = page.locator("#record-1-8 pre").inner_text().splitlines()
    assert lines == [
        "{",
        '  "a": 1.0,',
        '  "a": 12345678901234567890,',
        '  "b": [],',
        '  "c": {},',
        '  "d": [',
        "    -1e2,",
        "    null,",
        '    "xU+202E\\u003c"',
        "  ]",
        "}",
    ]
    assert page.evaluate("() => window.harmed") is None
    expect(page.locator("img")).to_have_count(0)


def test_it_fits_narrow_screens_and_prints_every_record(page: Page, open_report: Open) -> None:
    page.set_viewport_size({"width": 360, "height": 800})
    open_report(samples.hostile_report())
    expect(page.locator("#record-1-7")).to_be_attached()
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 360
    open_report(samples.long_report(600))
    # All at once, whatever the browser has found the time for.
    printed = page.evaluate("""() => {
        dispatchEvent(new Event("beforeprint"));
        return document.querySelectorAll("#session-1 .chunk > li").length;
    }""")
    assert printed == 600
