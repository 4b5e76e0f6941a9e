"""The report for a terminal: the sums by family, then what was found, the gravest first, and the verdict last.

The last line is the one that is seen when everything has scrolled by, so it is the verdict. Everything that is not our
own text is put in as `rich.text.Text`, which knows no markup, and is printable.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ihproto.clauses import FAMILIES
from ihproto_conformance.reports.describe import describe
from ihproto_conformance.reports.foreign import printable
from ihproto_conformance.reports.standing import VERDICT_SYMBOLS, Standing, label, outcome, plural, tally
from ihproto_conformance.verdict import Evidence, Report, Result, SessionLog, Status, Verdict

_STYLES = {
    Standing.FAILURE: "bold red",
    Standing.WARNING: "yellow",
    Standing.INFORMATION: "cyan",
    Standing.EXPECTED: "magenta",
    Standing.PASSED: "green",
}
_VERDICT_STYLES = {
    Verdict.CONFORMS: "bold green",
    Verdict.VIOLATIONS: "bold red",
    Verdict.UNJUDGED: "bold yellow",
}
#: How much is shown of one check: pieces of evidence, and records up to and with the one that shows it.
_BRIEF, _VERBOSE = (3, 3), (1000, 10)


def render(report: Report, console: Console, *, verbose: bool) -> None:
    """Print a report."""
    sessions = {session.number: session for session in report.sessions}
    limits = _VERBOSE if verbose else _BRIEF
    # A relay to which nobody came has spoken no revision.
    about = filter(None, (report.target, report.revision, report.suite))
    console.print(Text(printable(", ".join(about)), "bold"))
    if report.results:
        console.print(_families(report))
    for standing in (Standing.FAILURE, Standing.WARNING, Standing.INFORMATION, Standing.EXPECTED):
        for result in report.results:
            if Standing.of(result) is standing:
                _finding(console, result, sessions, limits)
    console.print()
    for id_ in report.stale:
        _line(console, f"✗ {id_}", "expected to fail, and passes: take it from the list", "bold red")
    if verbose:
        for result in report.results:
            if result.status is Status.PASSED:
                _line(console, f"✓ {result.check.id}", result.check.title, "green")
    for status in (Status.UNSEEN, Status.NOT_APPLICABLE, Status.NOT_ASKED):
        _names(console, status, [result for result in report.results if result.status is status], reasons=verbose)
    usage = f"{plural(len(report.sessions), 'session')}, {report.media_seconds:.1f} s of media, {report.seconds:.1f} s"
    console.print(Text(usage, "dim"))
    verdict = Text(f"{VERDICT_SYMBOLS[report.verdict]} {report.verdict.value}", _VERDICT_STYLES[report.verdict])
    console.print(verdict.append(f": {printable(outcome(report))}", "not bold"), soft_wrap=True)


def _families(report: Report) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("family")
    columns = [Standing.PASSED, Standing.FAILURE, Standing.WARNING, Standing.INFORMATION]
    titles = ["passed", "failed", "warnings", "information", "expected", "other"]
    for title in titles:
        table.add_column(title, justify="right")
    for family, results in report.by_family().items():
        counts = tally(results)
        numbers = {standing: counts[standing] for standing in (*columns, Standing.EXPECTED)}
        cells = [Text(str(number), _STYLES[standing]) if number else "" for standing, number in numbers.items()]
        other = len(results) - sum(numbers.values())
        table.add_row(f"{family:<4}{FAMILIES[family]}", *cells, Text(str(other), "dim") if other else "")
    return table


def _finding(console: Console, result: Result, sessions: dict[int, SessionLog], limits: tuple[int, int]) -> None:
    standing = Standing.of(result)
    console.print()
    head = Text(f"{standing.symbol} {printable(result.check.id)}", _STYLES[standing])
    head.append(f"  {label(result)}, {result.check.clause.level.value}", "dim")
    console.print(head)
    _indented(console, Text(f"expected: {printable(result.check.title)}"))
    if result.reason:
        _indented(console, Text(f"reason: {printable(result.reason)}"))
    shown, records = limits
    for item in result.evidence[:shown]:
        _evidence(console, item, sessions, records)
    if len(result.evidence) > shown:
        _indented(console, Text(f"and {plural(len(result.evidence) - shown, 'more finding')}", "dim"))


def _evidence(console: Console, item: Evidence, sessions: dict[int, SessionLog], records: int) -> None:
    place = [] if item.session is None else [f"session {item.session}"]
    if item.time is not None:
        place.append(f"{item.time:.3f} s")
    text = Text(f"found: {printable(item.what)}")
    _indented(console, text.append(f"  ({', '.join(place)})", "dim") if place else text)
    session = None if item.session is None else sessions.get(item.session)
    if session is None or item.record is None:
        return
    first = max(0, item.record - records + 1)
    for index, entry in enumerate(session.entries[first : item.record + 1], first):
        arrow = "client →" if entry.record.sender.value == "client" else "server ←"
        line = Text(f"{entry.record.time:9.3f}  {arrow}  {describe(entry)}", "" if index == item.record else "dim")
        line.no_wrap, line.overflow = True, "ellipsis"
        _indented(console, line, 4)


def _indented(console: Console, text: Text, by: int = 2) -> None:
    console.print(Padding(text, (0, 0, 0, by), expand=False))


def _line(console: Console, head: str, text: str, style: str) -> None:
    console.print(Text(printable(head), style).append(f"  {printable(text)}", "not bold default"))


def _names(console: Console, status: Status, results: Iterable[Result], *, reasons: bool) -> None:
    names = [
        f"{result.check.id} ({result.reason})" if reasons and result.reason else result.check.id for result in results
    ]
    if names:
        console.print(Text(f"{status.value}: {printable(', '.join(names))}", "dim"))
