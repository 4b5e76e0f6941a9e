"""How a judgement is handed out: to the terminal, to files, and as an exit code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
from rich.console import Console

from ihproto.cli.output import OutputClosed
from ihproto_conformance.expected import ExpectedError, apply, load_expected
from ihproto_conformance.reports import encode_html, encode_json, encode_junit, render
from ihproto_conformance.verdict import Report, Severity

C = TypeVar("C", bound=Callable[..., Any])

#: The exit code of a command that could not judge.
UNJUDGED = 2
_FILE = click.Path(dir_okay=False, writable=True, path_type=Path)
_OPTIONS = (
    click.option("--report-json", type=_FILE, metavar="FILE", help="Write the report as JSON."),
    click.option("--report-junit", type=_FILE, metavar="FILE", help="Write the report as JUnit XML, for CI."),
    click.option("--report-html", type=_FILE, metavar="FILE", help="Write the report as one HTML page."),
    click.option(
        "--expected-failures",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A TOML file with ids of checks that may fail, and the reasons; one that passes is a failure then.",
    ),
    click.option(
        "--fail-on",
        type=click.Choice([severity.value for severity in Severity]),
        default=Severity.FAILURE.value,
        show_default=True,
        help="The least severity for exit code 1: clauses of level must are failures, should warnings.",
    ),
    click.option("--verbose", "-v", is_flag=True, help="Show all evidence, and what passed."),
)


@attrs.frozen
class Reporting:
    """What the options say about the report.

    Attributes:
        files: Where it is to be written, and in which form.
        expected: The checks that may fail, with the reasons.
        fail_on: The least severity that makes the verdict `violations`.
        verbose: Whether to show everything.
    """

    files: tuple[tuple[Path, Callable[[Report], bytes]], ...]
    expected: Mapping[str, str]
    fail_on: Severity
    verbose: bool

    def finish(self, report: Report, chosen: Collection[str]) -> int:
        """Hand a report out, and return the exit code.

        Args:
            report: The report.
            chosen: The ids of the checks that were to be judged.

        Raises:
            OutputClosed: If nobody reads any more what is printed.
        """
        results, stale = apply(report.results, self.expected, chosen)
        report = attrs.evolve(report, results=results, stale=stale, fail_on=self.fail_on)
        code = report.verdict.exit_code
        for path, encode in self.files:
            try:
                path.write_bytes(encode(report))
            except OSError as error:
                click.echo(f"ihproto conformance: {path} cannot be written: {error.strerror}", err=True)
                code = max(code, UNJUDGED)
        try:
            render(report, Console(highlight=False), verbose=self.verbose)
        except BrokenPipeError:
            raise OutputClosed from None
        return code


def reporting_options(command: C) -> C:
    """Give a command the options for its report; `reporting` makes something of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def reporting(
    known: Collection[str],
    *,
    report_json: Path | None,
    report_junit: Path | None,
    report_html: Path | None,
    expected_failures: Path | None,
    fail_on: str,
    verbose: bool,
) -> Reporting:
    """Make something of the options.

    Args:
        known: The ids of all checks that there are.
        report_json: Where to write JSON.
        report_junit: Where to write JUnit XML.
        report_html: Where to write HTML.
        expected_failures: The list of checks that may fail.
        fail_on: The least severity for exit code 1.
        verbose: Whether to show everything.

    Raises:
        click.UsageError: If the list of expected failures cannot be used.
    """
    wanted = ((report_json, encode_json), (report_junit, encode_junit), (report_html, encode_html))
    try:
        expected = load_expected(expected_failures, known) if expected_failures is not None else {}
    except ExpectedError as error:
        raise click.UsageError(str(error)) from None
    files = tuple((path, encode) for path, encode in wanted if path is not None)
    return Reporting(files, expected, Severity(fail_on), verbose)
