"""`ihproto conformance list`: what is tried, and what comes out of it."""

from __future__ import annotations

import click

from ihproto import CLAUSES, REVISIONS, V1
from ihproto.clauses import FAMILIES
from ihproto.cli.output import PIPE_CLOSED, OutputClosed, echo, plural
from ihproto_conformance.server import SCENARIOS


@click.command("list")
@click.option(
    "--revision",
    type=click.Choice(list(REVISIONS)),
    default=V1.id,
    show_default=True,
    help="The revision whose scenarios are listed.",
)
@click.option("--clauses", is_flag=True, help="List the clauses instead, each with the checks that look at it.")
def list_checks(revision: str, clauses: bool) -> None:
    """List the scenarios with their checks, or the clauses with what looks at them."""
    try:
        if clauses:
            _list_clauses(revision)
        else:
            _list_scenarios(revision)
    except OutputClosed:
        raise SystemExit(PIPE_CLOSED) from None


def _list_scenarios(revision: str) -> None:
    spoken = REVISIONS[revision]
    for scenario in SCENARIOS:
        checks = scenario.checks_in(spoken)
        if not scenario.applies(spoken) or not checks:
            continue
        echo(f"{scenario.name}  {'quick, full' if scenario.quick else 'full'}, {plural(len(checks), 'check')}")
        echo(f"  {scenario.title}")
        for check in checks:
            echo(f"  {check.id:<28} {check.severity.value:<12} {check.title}")
        echo("")


def _list_clauses(revision: str) -> None:
    spoken = REVISIONS[revision]
    checks = {
        check.id: check for scenario in SCENARIOS if scenario.applies(spoken) for check in scenario.checks_in(spoken)
    }
    family = ""
    for entry in CLAUSES.values():
        if revision not in entry.revisions:
            continue
        if entry.family != family:
            family = entry.family
            echo(f"{family}  {FAMILIES[family]}")
        names = [check.id for check in checks.values() if check.clause is entry]
        echo(f"  {entry.id:<8} {entry.level.value:<8} {', '.join(names) or '-'}")
