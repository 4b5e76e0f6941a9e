"""`ihproto mock`: run the mock server until it is told to stop."""

from __future__ import annotations

import functools
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import click

from ihproto.anyio import ConnectError
from ihproto.cli.output import UNREACHABLE, echo, printable
from ihproto.cli.seconds import Seconds
from ihproto.media import MediaScanner, NominalScanner
from ihproto.revisions import REVISIONS
from ihproto.server import ServerSettings
from ihproto.tokens import STREAM_SCOPE, UPLOAD_SCOPE
from ihproto_mock import BUNDLED, DEFAULT_KEY, DEFAULT_KEY_ID, KeyPair, LogEntry, MockServer, ScenarioError

if TYPE_CHECKING:
    from rich.console import Console

    from ihproto_conformance.faults import FaultyServer, MockOptions


def _list_faults(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        # Here and below: who asks for no fault does not wait for the modules of all of them.
        from ihproto_conformance.faults import FAULTS

        for broken in FAULTS.values():
            echo(f"{broken.id:28} {broken.clause.level.value:7} {broken.sentence}")
        context.exit()


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="TCP port; 0 picks one.")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help=f"A key that may stream and upload; repeat for more.  [default: {DEFAULT_KEY}]",
)
@click.option(
    "--scoped-key",
    "scoped_keys",
    multiple=True,
    nargs=2,
    metavar="KEY SCOPES",
    help=f"A key with these scopes only, separated by commas; without {STREAM_SCOPE} its sessions are refused.",
)
@click.option(
    "--key-pair",
    "key_pairs",
    multiple=True,
    nargs=2,
    metavar="ID SECRET",
    help=f"A key pair to be exchanged for tokens; repeat for more.  [default, where no key is named: {DEFAULT_KEY_ID}]",
)
@click.option(
    "--pin",
    multiple=True,
    type=click.Choice(list(REVISIONS)),
    help="Serve this revision at its path, where otherwise the newest one is served; repeat for other paths.",
)
@click.option(
    "--no-backend",
    "unavailable_models",
    multiple=True,
    type=click.Choice([model.name for revision in REVISIONS.values() for model in revision.models if model.name]),
    help="Refuse sessions with this model, as if nothing could serve it; repeat for more.",
)
@click.option(
    "--scenario",
    default="lively",
    show_default=True,
    metavar="NAME|FILE",
    help=f"What happens in the video: {', '.join(BUNDLED)}, or a TOML file.",
)
@click.option(
    "--segment-seconds",
    type=Seconds(min_open=True),
    help="Do not look into the media: any bytes are a segment of so many seconds.",
)
@click.option(
    "--pages",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Serve the web page in this folder at /, for example examples/browser.",
)
@click.option(
    "--port-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the port here once the server listens.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How to log, on stderr.",
)
@click.option(
    "--fault",
    "fault_id",
    metavar="ID",
    help="Be wrong in one way, for example SIG-1.repeated, to see whether somebody notices.",
)
@click.option(
    "--list-faults",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_faults,
    help="Name every fault that --fault takes, and stop.",
)
def mock(
    host: str,
    port: int,
    keys: Sequence[str],
    scoped_keys: Sequence[tuple[str, str]],
    key_pairs: Sequence[tuple[str, str]],
    pin: Sequence[str],
    unavailable_models: Sequence[str],
    scenario: str,
    segment_seconds: float | None,
    pages: Path | None,
    port_file: Path | None,
    log_format: str,
    fault_id: str | None,
) -> None:
    """Run a mock server: every revision of the stream, uploads, and tokens, at one address.

    It prints the URL of the v1 stream on stdout, logs on stderr what happens and why something is refused, and stops
    at Ctrl-C or SIGTERM, after closing every session with 1001.

    \b
    Examples:
      ihproto mock
      ihproto mock --port 0 --port-file port.txt --log-format json
      ihproto mock --scenario troubled --key ih_live_one --scoped-key ih_live_two interhumanai.upload
      ihproto mock --fault SIG-1.repeated
    """  # noqa: D301
    scopes: dict[str, tuple[str, ...]] = dict.fromkeys(keys, (STREAM_SCOPE, UPLOAD_SCOPE))
    for key, names in scoped_keys:
        scopes[key] = tuple(name.strip() for name in names.split(",") if name.strip())
        unknown = set(scopes[key]) - {STREAM_SCOPE, UPLOAD_SCOPE}
        if unknown:
            what = f"there is no scope {', '.join(sorted(unknown))}; there are {STREAM_SCOPE} and {UPLOAD_SCOPE}"
            raise click.UsageError(f"--scoped-key: {what}")
    log = _log_json if log_format == "json" else _TextLog()
    logging.getLogger("ihproto").addHandler(_LogHandler(log))
    broken = _wrong_on_purpose(fault_id) if fault_id is not None else None
    options: MockOptions = {
        "keys": scopes or None,
        "key_pairs": [KeyPair(*pair) for pair in key_pairs] or None,
        "make_scanner": MediaScanner if segment_seconds is None else lambda contract: NominalScanner(segment_seconds),
        "pages": pages,
        "log": log,
    }
    settings = ServerSettings(unavailable_models=unavailable_models)
    server: MockServer | FaultyServer
    try:
        if broken is None:
            server = MockServer(pin=pin, settings=settings, scenario=scenario, host=host, port=port, **options)
        else:
            server = broken(pin=pin, settings=settings, scenario=scenario, mock=options, host=host, port=port)
    except (ScenarioError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    try:
        anyio.run(_run, server, port_file)
    except ConnectError as error:
        click.echo(f"ihproto mock: {error}", err=True)
        sys.exit(UNREACHABLE)


def _wrong_on_purpose(fault_id: str) -> functools.partial[FaultyServer]:
    """Find the fault, and what makes a server with it."""
    from ihproto_conformance.faults import FaultyServer, fault

    try:
        broken = fault(fault_id)
    except KeyError as error:
        raise click.UsageError(f"--fault: {error.args[0]}") from None
    click.echo(f"ihproto mock: wrong on purpose, {broken.id} in {broken.revision}: {broken.sentence}", err=True)
    return functools.partial(FaultyServer, broken)


async def _run(server: MockServer | FaultyServer, port_file: Path | None) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with server:
            if port_file is not None:
                await _write_port(port_file, server.port)
            echo(server.url)
            async for _ in signals:
                break


async def _write_port(path: Path, port: int) -> None:
    """Write the port so that whoever waits for the file never sees half of it."""
    draft = anyio.Path(path.with_name(path.name + ".part"))
    try:
        await draft.write_text(f"{port}\n")
        await draft.replace(path)
    except OSError as error:
        raise click.UsageError(f"--port-file {path} cannot be written: {error.strerror}") from None


def _log_json(entry: LogEntry) -> None:
    line = {
        "time": datetime.now(UTC).isoformat(),
        "connection": entry.connection,
        "event": entry.event,
        "refused": entry.refused,
        **{name: value for name, value in entry.fields.items() if value is not None},
    }
    click.echo(json.dumps(line), err=True)


class _LogHandler(logging.Handler):
    """Shows what the adapter logs, for example a failure of a handler, in the format of the other entries."""

    def __init__(self, log: Callable[[LogEntry], None]) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Make an entry of a record."""
        error = record.exc_info[1] if record.exc_info else None
        why = f"{type(error).__name__}: {error}" if error is not None else None
        self._log(LogEntry("", record.getMessage(), refused=True, fields={"why": why}))


class _TextLog:
    def __call__(self, entry: LogEntry) -> None:
        # Imported with the first entry: nobody waits for it before the server listens.
        from rich.text import Text

        line = Text(f"{datetime.now():%H:%M:%S} {entry.connection[:8]} ", style="dim")
        line.append(entry.event, style="bold red" if entry.refused else "bold")
        details = ", ".join(
            f"{name} {printable(_show(value))}" for name, value in entry.fields.items() if value not in (None, "")
        )
        line.append(f"  {details}" if details else "")
        self._console.print(line)

    @functools.cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True)


def _show(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
