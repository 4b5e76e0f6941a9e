"""`ihproto conformance client`: judge a client, which is any command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Collection, Sequence
from typing import Any

import anyio
import click
from rich.console import Console
from rich.status import Status as Spinner

from ihproto import REVISIONS, V1, Revision
from ihproto.cli.conformance.reporting import Reporting, reporting, reporting_options
from ihproto.cli.outcome import guarded, say
from ihproto.cli.output import INTERRUPTED, TERMINATED, echo, plural, printable
from ihproto_conformance.client import SCENARIOS, Choice, Run, ScenarioRun, judge_client, scenarios_of
from ihproto_conformance.client.command import Command
from ihproto_conformance.client.scenarios import Scenario
from ihproto_conformance.passive import passive_checks
from ihproto_conformance.trace import Redactor
from ihproto_conformance.verdict import Report, Subject

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
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="How long the command may run in each scenario, in seconds; then it is ended.",
)
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="How many scenarios run at a time.")
@reporting_options
def client(
    command: Sequence[str],
    names: Sequence[str],
    revision: str,
    timeout: float,
    jobs: int,
    **report: Any,
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
    out = reporting(_ids(scenarios_of(spoken), spoken), **report)
    job = _Job(choice, command)
    sys.exit(guarded("conformance client", lambda: _finish(job, out)))


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


def _finish(job: _Job, out: Reporting) -> int:
    judged = anyio.run(job.run)
    if job.interrupted is not None:
        code = TERMINATED if job.interrupted is signal.SIGTERM else INTERRUPTED
        return say("conformance client", "interrupted; nothing is judged", code)
    assert judged is not None
    report, played = judged
    for each in played:
        if any(result.status.broken and result.check.id not in out.expected for result in each.results):
            _show_output(each)
    return out.finish(report, _ids(job.choice.scenarios, job.choice.revision))


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


class _Job:
    """One run, with progress on stderr, that a signal ends.

    Attributes:
        choice: What is played.
        interrupted: The signal that ended it, None when none did.
    """

    def __init__(self, choice: Choice, command: Sequence[str]) -> None:
        self.choice = choice
        self.interrupted: signal.Signals | None = None
        self._command = tuple(command)
        self._over = 0
        self._spinner: Spinner | None = None

    async def run(self) -> tuple[Report, tuple[ScenarioRun, ...]] | None:
        """Judge, unless a signal comes; errors come out as they are."""
        judged: tuple[Report, tuple[ScenarioRun, ...]] | None = None
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:

                async def watch() -> None:
                    async for number in signals:
                        self.interrupted = number
                        tasks.cancel_scope.cancel()

                tasks.start_soon(watch)
                try:
                    judged = await self._judge()
                except Exception as error:
                    # Raised below, so that it does not come out wrapped in a group.
                    failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return judged

    async def _judge(self) -> tuple[Report, tuple[ScenarioRun, ...]]:
        console = Console(stderr=True, highlight=False)
        with console.status(plural(len(self.choice.scenarios), "scenario")) as self._spinner:
            target = " ".join(self._command)
            return await judge_client(self.choice, Command(self._command), target=target, on_run=self._show)

    def _show(self, scenario: Scenario, run: Run) -> None:
        self._over += 1
        if self._spinner is not None:
            self._spinner.update(f"{self._over} of {plural(len(self.choice.scenarios), 'scenario')} done")
