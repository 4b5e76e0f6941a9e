"""`ihproto conformance relay`: stand between a client and a server, and judge both."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import click

from ihproto import REVISIONS, LocalProtocolError
from ihproto.anyio import ConnectError
from ihproto.cli.conformance.reporting import ReportChoice, choose_reports, deliver, report_options
from ihproto.cli.outcome import say
from ihproto.cli.output import USAGE, OutputClosed, echo, plural, printable
from ihproto.cli.tracefile import TraceFile
from ihproto_conformance.passive import report_sessions
from ihproto_conformance.relay import Relay, RelayedSession
from ihproto_conformance.verdict import Entry

_COMMAND = "conformance relay"

if TYPE_CHECKING:
    _AddressType = click.ParamType[tuple[str, int]]
else:
    # Older versions of click have no type parameter here.
    _AddressType = click.ParamType


class _Address(_AddressType):
    """Where to listen: a host, in brackets where it is an IPv6 address, a colon, and a port."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]+)):([0-9]{1,5})", str(value))
        if match is None or int(match[3]) > 65535:
            raise click.BadParameter(f"{value!r} is not HOST:PORT, such as 127.0.0.1:8766", ctx, param)
        return match[1] or match[2], int(match[3])


@click.command()
@click.argument("url")
@click.option(
    "--listen",
    type=_Address(),
    default="127.0.0.1:8766",
    show_default=True,
    metavar="HOST:PORT",
    help="Where to take clients; port 0 picks one.",
)
@click.option(
    "--revision",
    type=click.Choice(list(REVISIONS)),
    help="The revision by which to judge.  [default: the newest one at the path that a client asks for]",
)
@click.option(
    "--trace",
    "folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    metavar="DIR",
    help="Write a trace of each session to this folder, as session-1.jsonl and so on, over what has that name.",
)
@click.option("--sessions", type=click.IntRange(1), metavar="N", help="End when so many sessions are over.")
@click.option("--insecure", is_flag=True, help="Allow ws:// to hosts that are not local: keys travel in the open.")
@report_options
def relay(
    url: str,
    listen: tuple[str, int],
    revision: str | None,
    folder: Path | None,
    sessions: int | None,
    insecure: bool,
    **reports: object,
) -> None:
    """Take clients, connect each of them to the server at URL, and judge both sides.

    Point a client at the address that is printed instead of at the server. Everything is passed on as it comes; what
    breaks a rule is said when it passes. Ctrl-C ends the relay, closes the sessions with 1001, and prints the report.
    Only the stream is relayed: uploads and tokens are asked for at the server itself.

    \b
    Examples:
      ihproto conformance relay wss://api.interhuman.ai
      ihproto conformance relay --listen 127.0.0.1:0 --trace traces ws://127.0.0.1:8765 --sessions 1

    Exit codes: 0 nothing was found, 1 rules were broken, 2 nothing could be judged.
    """  # noqa: D301
    choice = choose_reports(**reports)  # type: ignore[arg-type]
    live = _Live(folder, sessions)
    try:
        station = Relay(
            url,
            revision=REVISIONS[revision] if revision is not None else None,
            on_begin=live.begin,
            on_entry=live.entry,
            on_end=live.end,
            connect={"allow_plaintext": insecure},
            options={"host": listen[0], "port": listen[1]},
        )
    except LocalProtocolError as error:
        sys.exit(say(_COMMAND, f"{error.violation.what} ({error.violation.clause.id})", USAGE))
    # The query is of no use here, and there may be a secret in it.
    upstream = url.partition("?")[0]
    started_at = datetime.now(UTC)
    try:
        anyio.run(_run, station, upstream, live)
    except ConnectError as error:
        sys.exit(say(_COMMAND, str(error), USAGE))
    sys.exit(_report(station, upstream, started_at, live, choice))


async def _run(station: Relay, upstream: str, live: _Live) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with station:
            echo(f"relaying {station.url} to {printable(upstream)}")
            echo(f"point a client at {station.url} instead of the server; Ctrl-C ends the relay and prints the report")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_wait_for_signal, signals, live)
                await live.over.wait()
                tasks.cancel_scope.cancel()
    live.check()


async def _wait_for_signal(signals: AsyncIterator[signal.Signals], live: _Live) -> None:
    async for _ in signals:
        live.over.set()


def _report(station: Relay, upstream: str, started_at: datetime, live: _Live, choice: ReportChoice) -> int:
    sessions = station.sessions
    found = any(entry.violations for session in sessions for entry in session.entries)
    unjudged = None
    if not sessions:
        unjudged = "no client came"
    elif not found and not any(session.accepted for session in sessions):
        unjudged = "the server accepted no session"
    report = report_sessions(
        [(session.revision, session.log()) for session in sessions],
        kind="relay",
        target=upstream,
        suite=plural(len(sessions), "relayed session"),
        started_at=started_at,
        seconds=(datetime.now(UTC) - started_at).total_seconds(),
        unjudged=unjudged,
        fail_on=choice.fail_on,
    )
    code = deliver(_COMMAND, report, choice)
    return say(_COMMAND, live.problem, USAGE) if live.problem is not None else code


class _Live:
    """Says what happens while it happens, and keeps the traces.

    Args:
        folder: Where the traces go, None for nowhere.
        sessions: After how many sessions the relay ends, None for any number.

    Attributes:
        over: Set when the relay is to end.
        problem: Why a trace is not whole, None where all are.
    """

    def __init__(self, folder: Path | None, sessions: int | None) -> None:
        self.over = anyio.Event()
        self.problem: str | None = None
        self._folder = folder
        self._sessions = sessions
        self._ended = 0
        self._found: dict[int, int] = {}
        self._files: dict[int, TraceFile] = {}
        self._closed: OutputClosed | None = None

    def begin(self, session: RelayedSession) -> None:
        """Say that a session begins."""
        self._found[session.number] = 0
        if self._folder is not None:
            path = self._folder / f"session-{session.number}.jsonl"
            self._files[session.number] = TraceFile(path, session.revision, session.started_at, session.title)
        self._say(f"session {session.number} begins: {session.target}, judged by {session.revision.id}")

    def entry(self, session: RelayedSession, entry: Entry) -> None:
        """Say what was found."""
        if session.number in self._files:
            self._files[session.number].write(entry.record)
        for violation in entry.violations:
            self._found[session.number] += 1
            place = f" at {violation.path}" if violation.path else ""
            what = f"the {violation.side.value} broke {violation.clause.id} ({violation.level.value}): {violation.what}"
            self._say(f"session {session.number}, {entry.record.time:.3f} s: {what}{place}")

    def end(self, session: RelayedSession) -> None:
        """Say that a session is over."""
        file = self._files.pop(session.number, None)
        if file is not None:
            file.close()
            if file.problem is not None:
                self.problem = f"{file.path} cannot be written: {file.problem}"
        found = self._found.pop(session.number)
        self._say(f"session {session.number} is over: {plural(found, 'violation') if found else 'nothing was found'}")
        self._ended += 1
        if self._ended == self._sessions:
            self.over.set()

    def check(self) -> None:
        """Raise `OutputClosed` if nothing more can be printed."""
        if self._closed is not None:
            raise self._closed

    def _say(self, line: str) -> None:
        if self._closed is not None:
            return
        try:
            echo(printable(line))
        except OutputClosed as closed:
            # A session must not fail for it; whoever waits for the end is told.
            self._closed = closed
            self.over.set()
