"""The parts of the page that are there without a script: the head, the matrix of clauses, the checks, the sessions."""

from __future__ import annotations

from collections.abc import Iterator

from ihproto import Clause
from ihproto.clauses import CLAUSES, FAMILIES
from ihproto_conformance.reports.elements import Element, element, with_code
from ihproto_conformance.reports.standing import (
    VERDICT_SYMBOLS,
    Standing,
    label,
    outcome,
    plural,
    tally,
    urgent_first,
)
from ihproto_conformance.verdict import Evidence, Report, Result, SessionLog, Severity, Verdict

_TONES = {Verdict.CONFORMS: "passed", Verdict.VIOLATIONS: "failure", Verdict.UNJUDGED: "warning"}
_NO_CHECK = "no check"


def head(report: Report) -> Element:
    """The verdict, and what it is about."""
    facts = {
        "Judged": ", ".join(dict.fromkeys((report.subject.value, report.kind))),
        "Revision": report.revision,
        "Run": report.suite,
        "Begun": f"{report.started_at:%Y-%m-%d %H:%M:%S %Z}",
        "Took": _duration(report.seconds),
        "Used": f"{plural(len(report.sessions), 'session')}, {report.media_seconds:.1f} s of media",
        "Fails on": report.fail_on.value,
    }
    return element(
        "header",
        element(
            "div",
            element("span", VERDICT_SYMBOLS[report.verdict], class_="seal", aria_hidden="true"),
            element(
                "div",
                element("h1", report.verdict.value.capitalize(), id="verdict"),
                element("p", element("code", report.target)),
                element("p", outcome(report)),
            ),
            class_=f"verdict {_TONES[report.verdict]}",
        ),
        element(
            "dl", *(element("div", element("dt", name), element("dd", fact)) for name, fact in facts.items() if fact)
        ),
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{minutes:.0f} min {rest:.1f} s" if minutes else f"{rest:.1f} s"


def notices(report: Report) -> Iterator[Element]:
    """What has to be known before anything else."""
    if report.stale:
        names = ", ".join(report.stale)
        text = f"{names}. What is expected to fail and passes has to come off the list."
        yield element("p", element("strong", "Expected in vain: "), text, class_="notice failure")


def clauses(report: Report) -> Element:
    """The matrix: a line for each family, a cell for each clause of the revision."""
    judged: dict[str, list[Result]] = {}
    for result in urgent_first(report.results):
        judged.setdefault(result.check.clause.id, []).append(result)
    rows: list[Element] = []
    for family, title in FAMILIES.items():
        cells = [
            _cell(clause, judged.get(clause.id, []))
            for clause in CLAUSES.values()
            if clause.family == family and (clause.id in judged or report.revision in clause.revisions)
        ]
        if cells:
            name = element("th", element("b", family), f" {title}", scope="row")
            rows.append(element("tr", name, element("td", element("ul", *cells))))
    present = {Standing.of(results[0]) for results in judged.values()}
    legend = [
        element("li", element("i", standing.symbol, aria_hidden="true"), standing.value, class_=_tone(standing))
        for standing in Standing
        if standing in present
    ]
    return element(
        "section",
        element("h2", "Clauses"),
        element("table", element("tbody", *rows), class_="matrix"),
        element("ul", *legend, element("li", f"faint: {_NO_CHECK}"), class_="legend"),
        aria_label="Clauses",
    )


def _cell(clause: Clause, results: list[Result]) -> Element:
    number = clause.id.partition("-")[2]
    if not results:
        return element(
            "li", element("span", number, class_="cell", title=f"{clause.id}, {_NO_CHECK}: {clause.sentence}")
        )
    standing = Standing.of(results[0])
    passed = tally(results)[Standing.PASSED]
    about = f"{clause.id}, {standing.value}, {passed} of {plural(len(results), 'check')} passed"
    link = element(
        "a",
        element("i", standing.symbol, aria_hidden="true"),
        number,
        class_=f"cell {_tone(standing)}",
        href=f"#check-{results[0].check.id}",
        title=f"{about}: {clause.sentence}",
        aria_label=about,
        data_clause=clause.id,
    )
    return element("li", link)


def checks(report: Report) -> Element:
    """All checks, the urgent ones first, and what filters them."""
    results = urgent_first(report.results)
    known = {session.number: session for session in report.sessions}
    return element(
        "section",
        element("h2", "Checks"),
        _filters(results),
        element("p", plural(len(results), "check"), id="shown", role="status"),
        element("div", *(_check(result, known) for result in results), id="checks"),
        aria_label="Checks",
    )


def _filters(results: list[Result]) -> Element:
    labels = list(dict.fromkeys(map(_filtered_as, results)))
    statuses = [("", "all", len(results))]
    statuses += [(name, name, sum(_filtered_as(result) == name for result in results)) for name in labels]
    radios = []
    for value, text, number in statuses:
        radio = element("input", type="radio", name="status", value=value)
        if not value:
            radio.set("checked", "checked")
        radios.append(element("label", radio, element("span", f"{text} ", element("b", f"{number}"))))
    families = {result.check.clause.family for result in results}
    severities = {result.check.severity for result in results}
    return element(
        "form",
        element("fieldset", element("legend", "Status"), *radios),
        _select("severity", [(item.value, item.value) for item in Severity if item in severities]),
        _select("family", [(name, f"{name} {title}") for name, title in FAMILIES.items() if name in families]),
        element("label", element("span", "Text"), element("input", type="search", name="text", autocomplete="off")),
        element("button", "Show all", type="reset"),
        id="filters",
    )


def _select(name: str, options: list[tuple[str, str]]) -> Element:
    made = [element("option", text, value=value) for value, text in [("", "any"), *options]]
    return element("label", element("span", name.capitalize()), element("select", *made, name=name))


def _filtered_as(result: Result) -> str:
    return Standing.EXPECTED.value if result.expected else result.status.value


def _check(result: Result, known: dict[int, SessionLog]) -> Element:
    check, standing = result.check, Standing.of(result)
    facts = [
        ("Expected", element("dd", *with_code(f"{check.title}."))),
        *(("Found", _evidence(item, known)) for item in result.evidence),
    ]
    if result.reason:
        facts.append(("Reason", element("dd", result.reason)))
    facts.append(("Clause", element("dd", element("b", check.clause.id), " ", *with_code(check.clause.sentence))))
    if result.scenarios:
        seen = f"; {plural(result.seen, 'occasion')}" if result.seen else ""
        facts.append(("Looked in", element("dd", ", ".join(result.scenarios) + seen)))
    box = element(
        "details",
        element(
            "summary",
            element("i", standing.symbol, aria_hidden="true"),
            element("code", check.id),
            element("span", *with_code(check.title), class_="title"),
            element("span", f"{label(result)} · {check.clause.level.value}", class_="tag"),
        ),
        element(
            "dl",
            *(element("div", element("dt", name), fact, class_=name.lower().partition(" ")[0]) for name, fact in facts),
        ),
        class_=f"check {_tone(standing)}",
        id=f"check-{check.id}",
        data_status=_filtered_as(result),
        data_severity=check.severity.value,
        data_family=check.clause.family,
        data_clause=check.clause.id,
    )
    if result.counts:
        box.set("open", "open")
    return box


def _evidence(item: Evidence, known: dict[int, SessionLog]) -> Element:
    if item.session is None or item.session not in known:
        return element("dd", f"{item.what}.")
    place, target = f"session {item.session}", f"#session-{item.session}"
    if item.record is not None and 0 <= item.record < len(known[item.session].entries):
        place, target = f"{place}, record {item.record}", f"#record-{item.session}-{item.record}"
    if item.time is not None:
        place = f"{place}, {item.time:.3f} s"
    return element("dd", f"{item.what}. ", element("a", place, href=target))


def sessions(report: Report) -> Element:
    """What is known of the sessions without a script; their records are filled in by the script."""
    proving = {
        item.session
        for result in report.results
        if result.counts
        for item in result.evidence
        if item.session is not None
    }
    unseen = "The records of the sessions are in this page as data; showing them takes a script."
    return element(
        "section",
        element("h2", "Sessions"),
        element(
            "p", "A line opens to what was said, to the character; JSON is indented for reading.", class_="scripted"
        ),
        element("noscript", element("p", unseen)),
        *(_session(session, open_=session.number in proving) for session in report.sessions),
        *([] if report.sessions else [element("p", "None.")]),
        aria_label="Sessions",
    )


def _session(session: SessionLog, *, open_: bool) -> Element:
    violations = sum(len(entry.violations) for entry in session.entries)
    last = session.entries[-1].record.time if session.entries else 0
    facts = [plural(len(session.entries), "record"), f"{last:.1f} s", f"{session.media_seconds:.1f} s of media"]
    tag = element("span", ", ".join(facts), class_="tag")
    if violations:
        tag.append(element("b", f" {plural(violations, 'violation')}"))
    box = element(
        "details",
        element(
            "summary",
            element("b", f"{session.number}"),
            element("code", session.scenario),
            element("span", session.purpose, class_="title"),
            tag,
        ),
        element("ol", class_="timeline"),
        class_="session",
        id=f"session-{session.number}",
        data_number=f"{session.number}",
    )
    if open_:
        box.set("open", "open")
    return box


def _tone(standing: Standing) -> str:
    return standing.value.partition(" ")[0]
