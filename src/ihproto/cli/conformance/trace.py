"""`ihproto conformance trace`: judge sessions that were recorded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import click

from ihproto.cli.conformance.reporting import ReportChoice, choose_reports, deliver, report_options
from ihproto.cli.outcome import say
from ihproto.cli.output import USAGE
from ihproto_conformance.passive import report_sessions
from ihproto_conformance.replay import judge_trace
from ihproto_conformance.trace import Trace, TraceError, decode_trace
from ihproto_conformance.verdict import Subject

_COMMAND = "conformance trace"
_SUBJECTS = {"server": (Subject.SERVER,), "client": (Subject.CLIENT,), "both": tuple(Subject)}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True, dir_okay=False, path_type=Path))
@click.option(
    "--subject",
    type=click.Choice(list(_SUBJECTS)),
    default="both",
    show_default=True,
    help="Who is judged.",
)
@report_options
def trace(files: Sequence[Path], subject: str, **reports: object) -> None:
    """Judge the recorded session in each FILE; - stands for standard input.

    A trace is what `ihproto stream --trace` and `ihproto conformance relay --trace` write; docs/trace.md describes it.

    Exit codes: 0 nothing was found, 1 rules were broken, 2 a file cannot be read.
    """
    choice = choose_reports(**reports)  # type: ignore[arg-type]
    sys.exit(_judge(files, subject, choice))


def _judge(files: Sequence[Path], subject: str, choice: ReportChoice) -> int:
    traces: list[Trace] = []
    sessions = []
    for number, path in enumerate(files, 1):
        name = "standard input" if path == Path("-") else str(path)
        try:
            recorded = _read(path)
            log = judge_trace(recorded, number=number)
        except TraceError as error:
            return say(_COMMAND, f"{name}: {error}", USAGE)
        except OSError as error:
            return say(_COMMAND, f"{name} cannot be read: {error.strerror}", USAGE)
        traces.append(recorded)
        sessions.append((recorded.revision, attrs.evolve(log, purpose=recorded.title or name)))
    begun = [recorded.started_at for recorded in traces if recorded.started_at is not None]
    report = report_sessions(
        sessions,
        kind="trace",
        target=", ".join(str(path) for path in files),
        suite="recorded sessions",
        started_at=min(begun) if begun else datetime.now(UTC),
        seconds=sum(recorded.records[-1].time for recorded in traces if recorded.records),
        subjects=_SUBJECTS[subject],
        unjudged=None if any(recorded.records for recorded in traces) else "nothing passed in what was recorded",
        fail_on=choice.fail_on,
    )
    return deliver(_COMMAND, report, choice)


def _read(path: Path) -> Trace:
    if path == Path("-"):
        return decode_trace(sys.stdin.buffer)
    with path.open("rb") as file:
        return decode_trace(file)
