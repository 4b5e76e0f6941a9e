"""`ihproto upload`: have a whole file analysed, and show what was found."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

import anyio
import attrs
import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ihproto import INCLUDE_OVERALL, INCLUDE_TIMELINE
from ihproto.anyio import Api
from ihproto.cli.credential import CredentialChoice, choose, credential_options
from ihproto.cli.outcome import guarded, say
from ihproto.cli.output import FAILED, INTERRUPTED, TERMINATED, echo, printable
from ihproto.cli.seconds import Seconds
from ihproto.cli.view import score_line
from ihproto.codec import encode_json
from ihproto.messages import ConversationQuality, SignalSpan
from ihproto.tokens import AUTH_PATHS, UPLOAD_SCOPE
from ihproto.uploads import INCLUDE_SIGNALS, JOB_LIFETIME_SECONDS, MAX_WAIT_SECONDS, AnalysisResult, UploadJob

_INCLUDES = {"overall": INCLUDE_OVERALL, "timeline": INCLUDE_TIMELINE, "signals": INCLUDE_SIGNALS}


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.argument("url")
@credential_options
@click.option(
    "--model", metavar="NAME", help="Submit the file as a job for this model (v2), and wait until it is finished."
)
@click.option(
    "--wait",
    "wait_seconds",
    default=0,
    show_default=True,
    type=click.IntRange(0, MAX_WAIT_SECONDS),
    help="With --model: how many seconds the server may hold its first answer back for the job.",
)
@click.option(
    "--poll",
    "poll_interval",
    default=2.0,
    show_default=True,
    type=Seconds(min_open=True),
    help="With --model: how many seconds to wait between two looks at the job.",
)
@click.option(
    "--include",
    "include",
    multiple=True,
    type=click.Choice([*_INCLUDES, "none"]),
    help="The sections to ask for; repeat for more; signals goes with --model alone.  [default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result, or the job, as one line of JSON.")
@click.option(
    "--insecure", is_flag=True, help="Allow http:// to hosts that are not local: the key travels in the open."
)
def upload(
    file: Path,
    url: str,
    key: str | None,
    key_env: str,
    key_id: str | None,
    key_secret_env: str,
    model: str | None,
    wait_seconds: int,
    poll_interval: float,
    include: Sequence[str],
    as_json: bool,
    insecure: bool,
) -> None:
    """Have the whole FILE analysed by the service at URL, and show what was found.

    URL is the address of the service, without a path. The file goes to the upload endpoint of v1, which answers with
    the analysis; with --model it goes to that of v2, which makes a job of it.

    \b
    Examples:
      ihproto upload clip.mp4 http://127.0.0.1:8765 --key ih_live_mock
      ihproto upload clip.mp4 https://api.interhuman.ai --model inter-2 --json
      IHPROTO_KEY_SECRET=… ihproto upload clip.mp4 https://api.interhuman.ai --key-id ID
    """  # noqa: D301
    choice = choose(key, key_env, key_id, key_secret_env)
    if "none" in include and len(include) > 1:
        raise click.UsageError("--include none goes with no other --include")
    if model is None:
        given = click.get_current_context().get_parameter_source
        for name, option in (("wait_seconds", "--wait"), ("poll_interval", "--poll")):
            if given(name) is ParameterSource.COMMANDLINE:
                raise click.UsageError(f"{option} goes with --model; without it there is no job to wait for")
    if not file.is_file():
        raise click.UsageError(printable(f"{file} is no regular file; how long it is must be known before it is sent"))
    if "signals" in include and model is None:
        raise click.UsageError("--include signals goes with --model; without it the signals always come")
    offered = [name for name in _INCLUDES if model is not None or name != "signals"]
    sections = [_INCLUDES[name] for name in include or offered if name != "none"]
    job = _Upload(file, url, choice, model, sections, wait_seconds, poll_interval, as_json, insecure)
    sys.exit(guarded("upload", lambda: anyio.run(job.run), choice.secrets))


@attrs.define
class _Upload:
    """One upload: what to send, and what became of it."""

    file: Path
    url: str
    choice: CredentialChoice
    model: str | None
    include: Sequence[str]
    wait_seconds: int
    poll_interval: float
    as_json: bool
    insecure: bool
    interrupted: signal.Signals | None = None

    async def run(self) -> int:
        """Upload until there is a result or a signal comes, and return the exit code."""
        code = INTERRUPTED
        failure: Exception | None = None
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, signals, tasks.cancel_scope)
                try:
                    code = await self._upload()
                except Exception as error:
                    # Raised below, so that it does not come out wrapped in a group.
                    failure = error
                tasks.cancel_scope.cancel()
        if self.interrupted is not None:
            say("upload", "interrupted", INTERRUPTED)
            return TERMINATED if self.interrupted is signal.SIGTERM else INTERRUPTED
        if isinstance(failure, OSError):
            return say("upload", f"{self.file}: {failure.strerror}", FAILED)
        if isinstance(failure, ValueError):
            # Somebody writes to the file while it is read.
            return say("upload", f"{self.file}: {failure}", FAILED)
        if failure is not None:
            raise failure
        return code

    async def _watch(self, signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
        async for number in signals:
            self.interrupted = number
            scope.cancel()

    async def _upload(self) -> int:
        api = Api(self.url, allow_plaintext=self.insecure)
        credential = self.choice.credential(self.url, UPLOAD_SCOPE, AUTH_PATHS[-1], allow_plaintext=self.insecure)
        console = Console(stderr=True)
        bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            # It would leave an empty line in a file.
            disable=not console.is_terminal,
        )
        with bar:
            task = bar.add_task("sending", total=None)

            def progress(sent: int, total: int) -> None:
                bar.update(task, completed=sent, total=total, description="sending" if sent < total else "analysing")

            if self.model is None:
                result = await api.upload(credential, self.file, include=self.include, progress=progress)
                job = None
            else:
                job = await api.submit(
                    credential,
                    self.file,
                    model=self.model,
                    wait_seconds=self.wait_seconds,
                    include=self.include,
                    progress=progress,
                )
                bar.update(task, description=printable(f"job {job.status}"))
                # Later it cannot be read any more (UPL-2).
                job = await api.wait_for_job(
                    credential, job, poll_interval=self.poll_interval, timeout=JOB_LIFETIME_SECONDS
                )
        if self.as_json:
            echo(encode_json(job if job is not None else result).decode())
        if job is None:
            return self._show(result)
        return self._show_job(job)

    def _show(self, result: AnalysisResult) -> int:
        if not self.as_json:
            spans = result.engagement_state or ()
            rows = _signal_rows(result.signals)
            rows += [_Row("engagement", span.start, span.end, span.state) for span in spans]
            _print([*rows, *_quality_rows(result.conversation_quality)])
        return 0

    def _show_job(self, job: UploadJob) -> int:
        if job.error is not None:
            return say("upload", f"the job failed, {job.error.error_id}: {job.error.message}", FAILED)
        result = job.result
        if result is None:
            return say("upload", f"job {job.job_id} is {job.status} and has no result (UPL-2)", FAILED)
        if not self.as_json:
            rows = _signal_rows(result.signals) if result.signals is not None else []
            for window in result.windows:
                words = [window.engagement_status, *(signal.type for signal in window.signals)]
                rows.append(_Row("window", window.start_seconds, window.end_seconds, ", ".join(words)))
            _print([*rows, *_quality_rows(result.conversation_quality)])
        return 0


class _Row(NamedTuple):
    """Something about a stretch of media, in seconds; about all of it where there is no stretch."""

    head: str
    start: float | None
    end: float | None
    text: str


def _signal_rows(signals: Sequence[SignalSpan]) -> list[_Row]:
    rows = []
    for each in signals:
        words = (each.type, each.probability, each.rationale)
        rows.append(_Row("signal", each.start, each.end, ", ".join(word for word in words if word)))
    return rows or [_Row("signal", None, None, "none was seen")]


def _quality_rows(quality: ConversationQuality | None) -> list[_Row]:
    if quality is None:
        return []
    rows = [_Row("quality", entry.start, entry.end, score_line(entry.values)) for entry in quality.timeline or ()]
    if quality.overall is not None:
        rows.append(_Row("quality", None, None, f"overall {score_line(quality.overall)}"))
    return rows


def _print(rows: Sequence[_Row]) -> None:
    table = Table.grid(padding=(0, 2))
    for head, start, end, text in rows:
        stretch = (f"{start:g}", f"to {end:g} s") if start is not None and end is not None else ("", "")
        table.add_row(head, *stretch, Text(printable(text)))
    # Whatever reads a pipe wants a line for a line.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1000)
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        echo(line.rstrip())
