"""`ihproto inspect`: what the scanner sees in files, and what a server would say to them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from ihproto import V1, MediaScanner, SegmentFault, SegmentMedia, SegmentPolicy
from ihproto.cli.view import printable
from ihproto.rules import SegmentLedger

_PIECE = 64 * 1024


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each file, a line each.")
@click.option("--as-session", is_flag=True, help="Take the files for the consecutive segments of one session.")
@click.option("--strict-duration", is_flag=True, help="Hold continuations to the minimum duration as well (SEG-4).")
def inspect(files: Sequence[Path], as_json: bool, as_session: bool, strict_duration: bool) -> None:
    r"""Say what each FILE holds, and whether a server would accept it as a segment.

    Each file is judged on its own, as the first segment of a session; with --as-session, in order, as what a recorder
    gave piece by piece. Sizes are bytes, times are seconds of the container's own time.

    \b
    Examples:
      ihproto inspect clip.mp4
      ihproto inspect --as-session chunk-*.webm
      ihproto inspect --json *.ts | jq 'select(.verdict == "refused") | .error.message'

    Exit code 1 if a file is refused.
    """
    policy = SegmentPolicy(strict_duration=strict_duration)
    scanner, ledger = MediaScanner(policy=policy), SegmentLedger(V1.contract)
    console = Console(highlight=False)
    refused = False
    for path in files:
        if not as_session:
            scanner, ledger = MediaScanner(policy=policy), SegmentLedger(V1.contract)
        try:
            row = _inspect(path, scanner, ledger)
        except OSError as error:
            raise click.UsageError(printable(f"{path}: {error.strerror}")) from None
        refused = refused or row["verdict"] == "refused"
        if as_json:
            click.echo(json.dumps(row))
        else:
            _print(console, row)
    sys.exit(1 if refused else 0)


def _inspect(path: Path, scanner: MediaScanner, ledger: SegmentLedger) -> dict[str, Any]:
    """Feed a file as the next segment, and describe what came of it in the terms of the JSON output."""
    number = ledger.begin()
    scanner.begin(number)
    refusal: tuple[str, str, str] | None = None
    with path.open("rb") as file:
        while refusal is None and (data := file.read(_PIECE)):
            finding = ledger.add(len(data))
            if finding is not None:
                refusal = ("ih6002", finding.clause.id, finding.what)
            elif (fault := scanner.feed(data)) is not None:
                refusal = (fault.code, fault.clause_id, fault.sentence(number))
    size = path.stat().st_size
    finding = ledger.finish()
    if refusal is None and finding is not None:
        refusal = ("ih5004", finding.clause.id, finding.what)
    elif refusal is None and isinstance(result := scanner.finish(), SegmentFault):
        refusal = (result.code, result.clause_id, result.sentence(number))
    media = scanner.media if scanner.media is not None and size else SegmentMedia(0.0)
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
        row["error"] = dict(zip(("code", "clause", "message"), refusal, strict=True))
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
