"""`ihproto stream`: send files as the segments of one session, and show what comes back."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import click
from anyio.abc import TaskGroup
from rich.console import Console

from ihproto import (
    INCLUDE_OVERALL,
    INCLUDE_TIMELINE,
    REVISIONS,
    V1,
    AudioFormat,
    ClientState,
    Envelope,
    LocalProtocolError,
    RemoteProtocolError,
    Revision,
    SessionClosed,
    Side,
)
from ihproto.anyio import ClientStream, ConnectOptions, StreamError, connect
from ihproto.cli.credential import CredentialChoice, choose, credential_options
from ihproto.cli.outcome import guarded, say
from ihproto.cli.output import (
    FAILED,
    INTERRUPTED,
    TERMINATED,
    USAGE,
    OutputClosed,
    plural,
)
from ihproto.cli.seconds import Seconds
from ihproto.cli.tracefile import TraceFile
from ihproto.cli.view import JsonView, LiveView, View, describe
from ihproto.messages import ErrorMessage
from ihproto.revisions import QUALITY_DIMENSIONS
from ihproto.tokens import STREAM_SCOPE
from ihproto.wire import Tapped, Target
from ihproto_conformance.watcher import Watcher

_INCLUDES = {"overall": INCLUDE_OVERALL, "timeline": INCLUDE_TIMELINE}


if TYPE_CHECKING:
    _FloatType = click.ParamType[float]
else:
    # Older versions of click have no type parameter here.
    _FloatType = click.ParamType


class _Pace(_FloatType):
    """How fast to send: a factor of real time, infinite for as fast as possible."""

    name = "pace"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        if text == "realtime":
            return 1.0
        if text == "fast":
            return float("inf")
        if (match := re.fullmatch(r"(\d+(?:\.\d+)?)x", text)) and float(match[1]) > 0:
            return float(match[1])
        raise click.BadParameter(f"{text!r} is not a pace; use realtime, fast, or a factor such as 4x", ctx, param)


@click.command()
@click.argument("url")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
@credential_options
@click.option(
    "--auth",
    type=click.Choice(["header", "subprotocol", "pair"]),
    default="header",
    show_default=True,
    help="How the key travels: Authorization header, only subprotocol, or access_token pair.",
)
@click.option(
    "--revision",
    type=click.Choice(list(REVISIONS)),
    default=V1.id,
    show_default=True,
    help="The revision of the protocol to speak; it also gives the path, where URL has none.",
)
@click.option("--model", metavar="NAME", help="The model to select, in revisions that have a choice.")
@click.option(
    "--goal",
    "goals",
    multiple=True,
    type=click.Choice(QUALITY_DIMENSIONS),
    help="A dimension to get feedback for; repeat for more.",
)
@click.option(
    "--audio-rate",
    type=click.Choice(["16000", "24000"]),
    help="The files are not containers but raw audio: pcm_s16le, mono, so many samples a second.",
)
@click.option(
    "--include",
    "include",
    multiple=True,
    type=click.Choice([*_INCLUDES, "none"]),
    help="The conversation-quality sections to ask for; repeat for more.  [default: all that the revision has]",
)
@click.option(
    "--pace",
    type=_Pace(),
    default="realtime",
    show_default=True,
    help="realtime, fast, or a factor of real time such as 4x.",
)
@click.option(
    "--segment-seconds",
    default=3.0,
    show_default=True,
    type=Seconds(min_open=True),
    help="How long a segment lasts, for the pace.",
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as the line of JSON that arrived.")
@click.option("--strict", is_flag=True, help="Stop at the first clause that the server must keep and does not.")
@click.option("--insecure", is_flag=True, help="Allow ws:// to hosts that are not local: the key travels in the open.")
@click.option(
    "--trace",
    "trace_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE",
    help="Write a trace of the session, without the key; ihproto conformance trace judges it.",
)
def stream(
    url: str,
    files: Sequence[Path],
    key: str | None,
    key_env: str,
    key_id: str | None,
    key_secret_env: str,
    auth: str,
    revision: str,
    model: str | None,
    goals: Sequence[str],
    audio_rate: str | None,
    include: Sequence[str],
    pace: float,
    segment_seconds: float,
    as_json: bool,
    strict: bool,
    insecure: bool,
    trace_path: Path | None,
) -> None:
    """Send each FILE as one segment of a session at URL, and show what comes back.

    The files are sent in the order given; a recorder's pieces must come in the order of the recording. At the end the
    session is closed gracefully: everything that was sent is analysed first.

    \b
    Examples:
      ihproto stream ws://127.0.0.1:8765 chunk-*.webm --key ih_live_mock
      IHPROTO_KEY=… ihproto stream wss://api.interhuman.ai clip.mp4 --pace fast --json
      ihproto stream ws://127.0.0.1:8765 speech.pcm --revision v2 --model inter-2-audio --audio-rate 16000
    """  # noqa: D301
    choice = choose(key, key_env, key_id, key_secret_env)
    if "none" in include and len(include) > 1:
        raise click.UsageError("--include none goes with no other --include")
    view: View
    view = JsonView() if as_json else LiveView(Console(highlight=False), sum(path.stat().st_size for path in files))
    spoken = REVISIONS[revision]
    sections = [_INCLUDES[name] for name in include if name != "none"]
    if not include:
        sections = list(spoken.contract.supported_session_config_options.include)
    options = ConnectOptions(
        form=auth,
        revision=spoken,
        include=sections,
        goal_dimensions=list(goals) or None,
        model=model,
        audio_format=AudioFormat(sample_rate=16000 if audio_rate == "16000" else 24000) if audio_rate else None,
        strict=strict,
        allow_plaintext=insecure,
    )
    job = _Job(files, segment_seconds / pace, view)
    file = None
    if trace_path is not None:
        file = TraceFile(trace_path, spoken, datetime.now(UTC), "ihproto stream")
        options["tap"] = _Recorder(spoken, file)

    def run() -> int:
        with view:
            return anyio.run(job.run, url, choice, options)

    code = guarded("stream", run, choice.secrets)
    if file is not None:
        file.close()
        if file.problem is not None:
            code = say("stream", f"{file.path} cannot be written: {file.problem}", code or USAGE)
    sys.exit(code)


class _Recorder:
    """Writes what passes to a trace file; to be used as a tap. Times count from the first thing that passes."""

    def __init__(self, revision: Revision, file: TraceFile) -> None:
        self._revision = revision
        self._file = file
        self._watcher: Watcher | None = None

    def __call__(self, sender: Side, event: Tapped, now: float) -> None:
        if self._watcher is None:
            self._watcher = Watcher(self._revision, now, on_entry=lambda entry: self._file.write(entry.record))
        self._watcher(sender, event, now)


class _Job:
    """One session: what to send, and what became of it."""

    def __init__(self, files: Sequence[Path], interval: float, view: View) -> None:
        self._files = files
        self._interval = interval
        self._view = view
        self._refusals: list[str] = []
        self._stream: ClientStream | None = None
        self._interrupted: signal.Signals | None = None
        self._broken: RemoteProtocolError | OutputClosed | None = None

    async def run(self, url: str, choice: CredentialChoice, options: ConnectOptions) -> int:
        """Run the session until it ends or a signal comes, and return the exit code."""
        code = INTERRUPTED
        failure: Exception | None = None
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch, signals, tasks)
                try:
                    code = await self._session(url, choice, options)
                except Exception as error:
                    # Raised below, so that it does not come out wrapped in a group.
                    failure = error
                tasks.cancel_scope.cancel()
        if self._interrupted is not None:
            sent = self._stream.session.segments_sent if self._stream is not None else 0
            say("stream", f"interrupted, {plural(sent, 'segment')} sent", INTERRUPTED)
            return TERMINATED if self._interrupted is signal.SIGTERM else INTERRUPTED
        if failure is not None:
            raise failure
        return code

    async def _session(self, url: str, choice: CredentialChoice, options: ConnectOptions) -> int:
        # Before anything else is made of the URL: what is wrong with it is to be said of a stream's.
        Target.parse(url, options["revision"], allow_plaintext=options["allow_plaintext"])
        credential = choice.credential(
            url, STREAM_SCOPE, options["revision"].auth_path, allow_plaintext=options["allow_plaintext"]
        )
        async with (
            connect(url, credential, **options) as stream,
            anyio.create_task_group() as tasks,
        ):
            self._stream = stream
            self._view.opened(stream.session)
            tasks.start_soon(self._send, stream)
            closed = await self._receive(stream)
            tasks.cancel_scope.cancel()
        if self._broken is not None:
            raise self._broken
        return self._sum_up(stream, closed)

    async def _send(self, stream: ClientStream) -> None:
        try:
            for index, path in enumerate(self._files):
                if index:
                    await anyio.sleep(self._interval)
                await self._send_file(stream, path)
            await stream.end()
        except OutputClosed as error:
            self._broken = error
            await stream.close()
        except (StreamError, LocalProtocolError) as error:
            # Closed by the server: the events say why.
            if stream.session.state not in (ClientState.CLOSED, ClientState.CLOSING):
                self._refusals.append(str(error))
                await stream.close()

    async def _send_file(self, stream: ClientStream, path: Path) -> None:
        try:
            file = anyio.Path(path)
            if await file.is_file():
                stream.session.check_segment(max(1, (await file.stat()).st_size))
            data = await file.read_bytes()
            if not data:
                self._view.note(f"{path.name} is empty and was skipped, as recorders' last pieces may be")
                return
            await stream.send_segment(data)
            self._view.sent(path, len(data))
        except LocalProtocolError as error:
            if stream.session.state is not ClientState.OPEN:
                raise
            self._refusals.append(f"{path.name}: {error.violation.what} ({error.violation.clause.id})")
            self._view.note(f"not sent, {self._refusals[-1]}")
        except OSError as error:
            self._refusals.append(f"{path.name}: {error.strerror}")
            self._view.note(f"not sent, {self._refusals[-1]}")

    async def _receive(self, stream: ClientStream) -> SessionClosed | None:
        try:
            async for event in stream:
                self._view.event(event)
                if isinstance(event, SessionClosed):
                    return event
                if isinstance(event, Envelope) and isinstance(event.message, ErrorMessage):
                    self._refusals.append(describe(event))
        except (RemoteProtocolError, OutputClosed) as error:
            self._broken = error
            with suppress(RemoteProtocolError):
                await stream.close()
        return None

    async def _watch(self, signals: AsyncIterator[signal.Signals], tasks: TaskGroup) -> None:
        """Close the session at the first signal, and drop everything at the second."""
        async for number in signals:
            if self._interrupted is not None or self._stream is None:
                tasks.cancel_scope.cancel()
            else:
                tasks.start_soon(self._close, self._stream)
            self._interrupted = number

    async def _close(self, stream: ClientStream) -> None:
        with suppress(RemoteProtocolError):
            await stream.close()

    def _sum_up(self, stream: ClientStream, closed: SessionClosed | None) -> int:
        session = stream.session
        sent = f"{plural(session.segments_sent, 'segment')} sent"
        if self._interrupted is not None:
            return INTERRUPTED
        if closed is None or closed.code != 1000:
            how = f"closed with {closed.code} {closed.reason}".strip() if closed is not None else "broken off"
            why = self._refusals[-1] if self._refusals else how
            return say("stream", f"the session did not end well, {sent}: {why} ({how})", FAILED)
        if self._refusals:
            more = f", and {len(self._refusals) - 1} more" if len(self._refusals) > 1 else ""
            return say(
                "stream", f"the session ended, {sent}, but something was refused: {self._refusals[0]}{more}", FAILED
            )
        if closed.ended is None and session.revision.drains:
            return say("stream", f"the session was closed without session.ended, {sent}", FAILED)
        if not session.segments_sent:
            return say("stream", "the session ended, but there was nothing to send", FAILED)
        self._view.note(f"the session ended well, {sent}", good=True)
        return 0
