"""`ihproto conformance client`: judge a client, which is any command."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from ihproto import REVISIONS, V1, Revision
from ihproto.cli.conformance.reporting import choose_reports, deliver, expected_option, forgive, load, report_options
from ihproto.cli.conformance.running import Running
from ihproto.cli.outcome import guarded
from ihproto.cli.output import echo, printable
from ihproto.cli.seconds import Seconds
from ihproto.wire import Redactor
from ihproto_conformance.client import SCENARIOS, Choice, ScenarioRun, judge_client, scenarios_of
from ihproto_conformance.client.command import Command
from ihproto_conformance.client.scenarios import Scenario
from ihproto_conformance.passive import passive_checks
from ihproto_conformance.verdict import Report, Subject

_COMMAND = "conformance client"
#: How many of the last lines of what a client printed are shown.
_LINES = 20


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--scenario",
    "names",
    multiple=True,
    metavar="NAME",
    type=click.Choice(list(SCENARIOS)),
    help=f"Play this scenario only; repeat for more: {', '.join(SCENARIOS)}.",
)
@click.option(
    "--revision",
    type=click.Choice(list(REVISIONS)),
    default=V1.id,
    show_default=True,
    help="The revision that the client is to speak.",
)
@click.option(
    "--timeout",
    type=Seconds(min_open=True),
    default=60.0,
    show_default=True,
    help="How long the command may run in each scenario, in seconds; then it is ended.",
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="How many scenarios run at a time.")
@expected_option
@report_options
def client(
    command: Sequence[str],
    names: Sequence[str],
    revision: str,
    timeout: float,
    jobs: int,
    expected_failures: Path | None,
    **reports: Any,
) -> None:
    """Judge a client: run COMMAND once for each scenario, against a server that looks at what it does.

    COMMAND finds where to connect in its environment: IHPROTO_URL (ws://…, without a path), IHPROTO_KEY,
    IHPROTO_REVISION and IHPROTO_SCENARIO. Wherever {url}, {key} or {scenario} stands in its arguments, the same is put
    in. It is to send some segments, to end its session, and to exit.

    \b
    Examples:
      ihproto conformance client -- ihproto stream {url} chunk-*.webm --pace fast
      ihproto conformance client --scenario plain --scenario drain -v -- python my_client.py
      ihproto conformance client --revision v2 --report-html report.html -- node client.js {url}/v2/stream/analyze

    Exit codes: 0 conforms, 1 violations, 2 could not judge (the command cannot be started, or never connected),
    130 interrupted.
    """  # noqa: D301
    spoken = REVISIONS[revision]
    choice = Choice(spoken, _chosen(names, spoken), timeout, jobs)
    expected = load(expected_failures, _ids(scenarios_of(spoken), spoken))
    reporting = choose_reports(**reports)
    running = Running(len(choice.scenarios))

    async def judge() -> tuple[Report, tuple[ScenarioRun, ...]]:
        target = " ".join(command)
        return await judge_client(
            choice, Command(tuple(command)), target=target, on_run=lambda scenario, _: running.ended(scenario.name)
        )

    def run() -> int:
        judged = running.run(judge)
        if judged is None:
            return running.give_up(_COMMAND)
        report, played = judged
        for each in played:
            if any(result.status.broken and result.check.id not in expected for result in each.results):
                _show_output(each)
        report = attrs.evolve(report, fail_on=reporting.fail_on)
        return deliver(_COMMAND, forgive(report, expected, _ids(choice.scenarios, spoken)), reporting)

    sys.exit(guarded(_COMMAND, run))


def _chosen(names: Collection[str], revision: Revision) -> tuple[Scenario, ...]:
    playable = scenarios_of(revision)
    for name in names:
        if SCENARIOS[name] not in playable:
            raise click.UsageError(
                f"the scenario {name} makes no sense in {revision.id}; "
                f"there are {', '.join(scenario.name for scenario in playable)}"
            )
    return tuple(scenario for scenario in playable if not names or scenario.name in names)


def _ids(scenarios: Collection[Scenario], revision: Revision) -> set[str]:
    asked = {question.check.id for scenario in scenarios for question in scenario.asks(revision)}
    return asked | {check.id for check in passive_checks(revision, Subject.CLIENT)}


def _show_output(played: ScenarioRun) -> None:
    """Show what a client printed where it failed: it may say why."""
    text = Redactor([played.run.key]).text(played.run.exit.output.decode(errors="replace"))
    lines = text.splitlines()
    if not lines:
        return
    left_out = f", the last {_LINES} of {len(lines)} lines" if len(lines) > _LINES else ""
    echo(f"{played.scenario.name}: the client said{left_out}:", err=True)
    for line in lines[-_LINES:]:
        echo(f"  {printable(line)}", err=True)
