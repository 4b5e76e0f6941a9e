"""Reports of the conformance commands: the options that ask for them, writing them, and the exit code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
import click
from rich.console import Console

from ihproto.cli.outcome import say
from ihproto.cli.output import USAGE, printing
from ihproto_conformance.expected import ExpectedError, apply, load_expected
from ihproto_conformance.verdict import Report, Severity

C = TypeVar("C", bound=Callable[..., Any])


class _Destination(click.Path):
    """A file that can be written, as far as that can be known beforehand."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}", param, ctx)
        if path.is_dir():
            # Also where there is no name at all, which click lets pass.
            self.fail(f"{str(value)!r} is a folder", param, ctx)
        return path


_OPTIONS = (
    click.option("--report-json", type=_Destination(), metavar="FILE", help="Write the report here as JSON."),
    click.option("--report-junit", type=_Destination(), metavar="FILE", help="Write the report here as JUnit XML."),
    click.option("--report-html", type=_Destination(), metavar="FILE", help="Write the report here as a web page."),
    click.option(
        "--fail-on",
        type=click.Choice([severity.value for severity in Severity]),
        default=Severity.FAILURE.value,
        show_default=True,
        help="The least that makes the exit code 1: broken `must`, `should` or assumed rules.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Show what was passed, and all evidence."),
)


@attrs.frozen
class ReportChoice:
    """What the options say about reports.

    Attributes:
        json: Where to write JSON, None for nowhere.
        junit: Where to write JUnit XML, None for nowhere.
        html: Where to write a web page, None for nowhere.
        fail_on: The least severity that makes the verdict `violations`.
        verbose: Whether to print all there is.
    """

    json: Path | None
    junit: Path | None
    html: Path | None
    fail_on: Severity
    verbose: bool


def report_options(command: C) -> C:
    """Give a command the options for reports; `choose_reports` makes something of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choose_reports(
    report_json: Path | None, report_junit: Path | None, report_html: Path | None, fail_on: str, verbose: bool
) -> ReportChoice:
    """What the options of `report_options` say."""
    return ReportChoice(report_json, report_junit, report_html, Severity(fail_on), verbose)


def deliver(command: str, report: Report, choice: ReportChoice) -> int:
    """Write the reports that were asked for, print the one for the terminal, and return the exit code.

    Args:
        command: The name of the command, for what is said on stderr.
        report: What was found.
        choice: What the options say.

    Raises:
        OutputClosed: If nothing more can be printed.
    """
    from ihproto_conformance.reports import encode_html, encode_json, encode_junit, render

    code = report.verdict.exit_code
    for path, encode in ((choice.json, encode_json), (choice.junit, encode_junit), (choice.html, encode_html)):
        if path is None:
            continue
        try:
            path.write_bytes(encode(report))
        except OSError as error:
            code = say(command, f"{path} cannot be written: {error.strerror}", USAGE)
    with printing():
        render(report, Console(highlight=False), verbose=choice.verbose)
    return code


def expected_option(command: C) -> C:
    """Give a command the option for the list of checks that may fail; `load` makes something of it."""
    option = click.option(
        "--expected-failures",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="A TOML file with ids of checks that may fail, and the reasons; one that passes is a failure then.",
    )
    return option(command)


def load(path: Path | None, known: Collection[str]) -> Mapping[str, str]:
    """The list of checks that may fail, by their ids, with the reasons.

    Args:
        path: The file, None for an empty list.
        known: The ids of all checks that there are.

    Raises:
        click.UsageError: If the file cannot be used.
    """
    try:
        return load_expected(path, known) if path is not None else {}
    except ExpectedError as error:
        raise click.UsageError(str(error)) from None


def forgive(report: Report, expected: Mapping[str, str], chosen: Collection[str]) -> Report:
    """The report with the expected failures marked, and those that did not come.

    Args:
        report: What was found.
        expected: Ids and reasons.
        chosen: The ids of the checks that were to be judged.
    """
    results, stale = apply(report.results, expected, chosen)
    return attrs.evolve(report, results=results, stale=stale)
