"""`ihproto conformance list`: what is tried, and what comes out of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from ihproto import CLAUSES, REVISIONS, V1, Clause, Level, Revision
from ihproto.clauses import FAMILIES
from ihproto.cli.output import echo, plural
from ihproto_conformance.clause_coverage import UNTESTABLE
from ihproto_conformance.client import scenarios_of
from ihproto_conformance.passive import passive_checks
from ihproto_conformance.server import SCENARIOS
from ihproto_conformance.server.exam import COMMON
from ihproto_conformance.verdict import Check, Subject


@click.command("list")
@click.option(
    "--revision",
    type=click.Choice(list(REVISIONS)),
    default=V1.id,
    show_default=True,
    help="The revision whose scenarios are listed.",
)
@click.option(
    "--subject",
    type=click.Choice([subject.value for subject in Subject]),
    help="Only what servers, or clients, are judged by.",
)
@click.option("--clauses", is_flag=True, help="List the clauses instead, each with the checks that look at it.")
def list_checks(revision: str, subject: str | None, clauses: bool) -> None:
    """List the scenarios with their checks, or the clauses with what looks at them.

    A clause that nothing looks at has the reason instead.
    """
    subjects = [Subject(subject)] if subject is not None else list(Subject)
    lines = _clauses(REVISIONS[revision], subjects) if clauses else _scenarios(REVISIONS[revision], subjects)
    for line in lines:
        echo(line)


def _scenarios(revision: Revision, subjects: Iterable[Subject]) -> Iterator[str]:
    for subject in subjects:
        for name, title, suites, checks in _of(subject, revision):
            yield f"{subject.value}: {name}  {suites}{plural(len(checks), 'check')}"
            yield f"  {title}"
            for check in checks:
                yield f"  {check.id:<28} {check.severity.value:<12} {check.title}"
            yield ""


def _of(subject: Subject, revision: Revision) -> Iterator[tuple[str, str, str, tuple[Check, ...]]]:
    """Name, title, suites and checks of all that is tried with a subject, and what is looked at all the time."""
    if subject is Subject.SERVER:
        for tried in SCENARIOS:
            if tried.applies(revision) and tried.checks_in(revision):
                suites = "quick, full, " if tried.quick else "full, "
                yield tried.name, tried.title, suites, tried.checks_in(revision)
        common = tuple(check for check in COMMON.values() if revision.id in check.clause.revisions)
        yield "(every session)", "What every session of every scenario shows", "", common
    else:
        for played in scenarios_of(revision):
            yield played.name, played.title, "", tuple(question.check for question in played.asks(revision))
    yield "(the monitor)", "What passes is judged by the rule book", "", passive_checks(revision, subject)


def _clauses(revision: Revision, subjects: Iterable[Subject]) -> Iterator[str]:
    checks = [
        (subject, check) for subject in subjects for _, _, _, checks in _of(subject, revision) for check in checks
    ]
    family = ""
    for entry in CLAUSES.values():
        if revision.id not in entry.revisions:
            continue
        if entry.family != family:
            family = entry.family
            yield f"{family}  {FAMILIES[family]}"
        names = dict.fromkeys(f"{check.id} ({subject.value})" for subject, check in checks if check.clause is entry)
        yield f"  {entry.id:<8} {entry.level.value:<8} {', '.join(names) or _why_not(entry, subjects)}"


def _why_not(entry: Clause, subjects: Iterable[Subject]) -> str:
    """Why nothing looks at a clause in the revision that is listed."""
    elsewhere = [
        name
        for name in entry.revisions
        for subject in subjects
        for _, _, _, checks in _of(subject, REVISIONS[name])
        if any(check.clause is entry for check in checks)
    ]
    if elsewhere:
        return f"only in {', '.join(dict.fromkeys(elsewhere))}: here it cannot be seen"
    if entry.level is Level.ASSUMED:
        return "nobody is held to what is assumed here"
    return UNTESTABLE.get(entry.id, "not a rule for these")
