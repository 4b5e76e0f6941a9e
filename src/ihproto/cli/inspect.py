"""`ihproto inspect`: what the scanner sees in files, and what a server would say to them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from ihproto import (
    REVISIONS,
    V1,
    MediaScanner,
    Revision,
    SegmentMedia,
    SegmentPolicy,
    SegmentRefused,
    ServerSession,
    WindowAnalysis,
)
from ihproto.cli.output import FAILED, echo, printable, printing

_PIECE = 64 * 1024


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each file, a line each.")
@click.option("--as-session", is_flag=True, help="Take the files for the consecutive segments of one session.")
@click.option(
    "--revision",
    type=click.Choice(list(REVISIONS)),
    default=V1.id,
    show_default=True,
    help="The revision whose limits count.",
)
@click.option("--strict-duration", is_flag=True, help="Hold continuations to the minimum duration as well (SEG-4).")
def inspect(files: Sequence[Path], as_json: bool, as_session: bool, revision: str, strict_duration: bool) -> None:
    """Say what each FILE holds, and whether a server would accept it as a segment.

    Each file is judged on its own, as the first segment of a session; with --as-session, in order, as what a recorder
    gave piece by piece. Sizes are bytes, times are seconds of the container's own time.

    \b
    Examples:
      ihproto inspect clip.mp4
      ihproto inspect --as-session chunk-*.webm
      ihproto inspect --json *.ts | jq 'select(.verdict == "refused") | .error.message'

    Exit code 1 if a file is refused.
    """  # noqa: D301
    console = Console(highlight=False)
    session = None
    refused = False
    try:
        for path in files:
            if session is None or not as_session:
                session = _Session(REVISIONS[revision], SegmentPolicy(strict_duration=strict_duration))
            row = session.inspect(path)
            refused = refused or row["verdict"] == "refused"
            if as_json:
                echo(json.dumps(row))
            else:
                with printing():
                    _print(console, row)
    except OSError as error:
        raise click.UsageError(printable(f"{path}: {error.strerror}")) from None
    sys.exit(FAILED if refused else 0)


class _Session:
    """A server's session, to which files are given as segments: what it says of them is the verdict."""

    def __init__(self, revision: Revision, policy: SegmentPolicy) -> None:
        self._scanner = MediaScanner(revision.contract, policy)
        self._session = ServerSession(
            0.0,
            correlation_id="inspect",
            started_at=datetime(2000, 1, 1, tzinfo=UTC),
            revision=revision,
            scanner=self._scanner,
        )
        self._session.open(0.0)

    def inspect(self, path: Path) -> dict[str, Any]:
        """Give a file as the next segment, and describe what came of it in the terms of the JSON output."""
        size = 0
        with path.open("rb") as file:
            while data := file.read(_PIECE):
                size += len(data)
                self._session.receive_bytes(data, 0.0, final=False)
        self._session.receive_bytes(b"", 0.0)
        self._session.to_send()
        events = self._session.events()
        for window in self._session.outstanding:
            self._session.send_analysis(WindowAnalysis(window), 0.0)
        refusal = next((event for event in events if isinstance(event, SegmentRefused)), None)
        media = self._scanner.media if self._scanner.media is not None else SegmentMedia(0.0)
        row: dict[str, Any] = {
            "file": str(path),
            "bytes": size,
            "container": media.container,
            "has_header": media.has_header,
            "start_seconds": media.start,
            "end_seconds": media.end,
            "duration_seconds": media.duration,
            "tracks": [{"kind": track.kind, "codec": track.codec} for track in media.tracks],
            "verdict": "accepted" if refusal is None else "refused",
        }
        if refusal is not None:
            message = refusal.error.message.removesuffix(f" ({refusal.clause_id})")
            row["error"] = {"code": refusal.error.code, "clause": refusal.clause_id, "message": message}
        return row


def _print(console: Console, row: dict[str, Any]) -> None:
    refused = row["verdict"] == "refused"
    line = Text(f"{printable(row['file'])}  ")
    line.append(row["verdict"], style="bold red" if refused else "bold green")
    console.print(line, soft_wrap=True)
    what = row["container"] or "no container that is known"
    header = "with a header of its own" if row["has_header"] else "without a header"
    console.print(f"  {what}, {header}, {row['bytes']:,} bytes", soft_wrap=True)
    if row["start_seconds"] is not None:
        span = f"{row['start_seconds']:.3f} s to {row['end_seconds']:.3f} s"
        console.print(f"  {span}, {row['duration_seconds']:.3f} s long", soft_wrap=True)
    if row["tracks"]:
        tracks = ", ".join(f"{track['kind']} {track['codec']}" for track in row["tracks"])
        console.print(f"  {tracks}", soft_wrap=True)
    if refused:
        error = row["error"]
        console.print(Text(f"  {error['code']} ({error['clause']}): {printable(error['message'])}"), soft_wrap=True)
