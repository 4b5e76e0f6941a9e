"""Compare `MediaScanner` with ffmpeg on every generated file, print the table, and write it to `docs/media.md`.

    python tests/media_report.py [--output FILE]

Exit code 1 if a file differs by more than 0.05 s, or in its tracks or its verdict.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path

import attrs
import av
from media_corpus import FULL, Recipe, make
from media_oracle import look

from ihproto.media import MediaScanner, SegmentFault

COMMAND = "python tests/media_report.py"
DOCUMENT = Path(__file__).parents[1] / "docs/media.md"
TOLERANCE = 0.05
ODD_SIZE = 4093

INTRODUCTION = f"""\
<!-- Written by `{COMMAND}`; do not edit. -->

# What the scanners see, and what ffmpeg finds

`ihproto.media` judges segments by their media without decoding it: a scanner for each container reads headers and
times, steps over everything else, and takes a segment in pieces of any size. This page says how far it can be trusted.

{{count}} files were written by ffmpeg {{version}} (through PyAV), in all seven containers that the service takes and
in several ways each: with the header in front and behind, fragmented, live, to a pipe, with and without B-frames, at
frame rates from 10 to 60, with silent pictures and with sound alone. Each went through `MediaScanner` in pieces of
{ODD_SIZE} bytes, and through ffmpeg's demuxer. Compared are the container's name, the tracks in their order, and the
span: from the earliest presentation time of a packet of video or audio to the latest end of one, without packets that
an edit list discards. A file is good if it differs by no more than {TOLERANCE} s, its tracks are equal, and it is
accepted; sound alone must be refused with `ih5001`.

To run it again: `{COMMAND}`. The same comparison is part of the tests, in
`tests/media/test_against_ffmpeg.py`, together with recordings of a browser that are cut at every byte.

"""


@attrs.frozen
class Comparison:
    """How one file came out.

    Attributes:
        recipe: What the file is.
        start: By how much the start differs, in seconds.
        end: By how much the end differs, in seconds.
        tracks: Whether the tracks and the container's name are equal.
        verdict: Whether the verdict is right.
    """

    recipe: Recipe
    start: float
    end: float
    tracks: bool
    verdict: bool

    @property
    def good(self) -> bool:
        """Whether the file counts as read rightly."""
        return self.tracks and self.verdict and max(self.start, self.end) <= TOLERANCE


def compare(recipe: Recipe) -> Comparison:
    """Write a file, and have it read by both."""
    file = make(recipe)
    found = look(file)
    scanner = MediaScanner()
    scanner.begin(1)
    fault: SegmentFault | None = None
    for at in range(0, len(file), ODD_SIZE):
        fault = fault or scanner.feed(file[at : at + ODD_SIZE])
    verdict = fault or scanner.finish()
    media = scanner.media
    assert media is not None
    code = verdict.code if isinstance(verdict, SegmentFault) else None
    missing = media.start is None or media.end is None
    return Comparison(
        recipe,
        start=float("inf") if missing else abs((media.start or 0.0) - found.start),
        end=float("inf") if missing else abs((media.end or 0.0) - found.end),
        tracks=media.tracks == found.tracks and media.container == recipe.container,
        verdict=code == (None if recipe.video is not None else "ih5001"),
    )


def table(rows: Iterable[Comparison], heads: tuple[str, ...], key: Callable[[Comparison], tuple[str, ...]]) -> str:
    """A table with a row for each value of the key."""
    lines = [
        f"| {' | '.join(heads)} | files | start differs by (s) | end differs by (s) | tracks equal | verdict right |",
        f"|{' --- |' * len(heads)} ---: | ---: | ---: | ---: | ---: |",
    ]
    # Sorting keeps the order of equal ones, and the containers stay in the order of the documents.
    order = list(dict.fromkeys(recipe.container for recipe in FULL))
    for names, group in groupby(sorted(rows, key=lambda row: (order.index(row.recipe.container), key(row))), key):
        files = list(group)
        start, end = max(row.start for row in files), max(row.end for row in files)
        tracks, verdicts = sum(row.tracks for row in files), sum(row.verdict for row in files)
        count = len(files)
        lines.append(
            f"| {' | '.join(names)} | {count} | {start:.4f} | {end:.4f} | {tracks}/{count} | {verdicts}/{count} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Compare, print and write; tell whether all files are good."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="the page to write (docs/media.md)")
    options = parser.parse_args()
    rows = []
    for number, recipe in enumerate(FULL, 1):
        rows.append(compare(recipe))
        if number % 20 == 0:
            print(f"{number} of {len(FULL)} files", file=sys.stderr)
    tables = "\n\n".join(
        (
            "## By container",
            table(rows, ("container",), lambda row: (row.recipe.container,)),
            "## By container and codecs",
            table(rows, ("container", "codecs"), lambda row: (row.recipe.container, row.recipe.codecs)),
        )
    )
    print(tables)
    bad = [row for row in rows if not row.good]
    for row in bad:
        print(f"differs: {row.recipe.label}: {row}", file=sys.stderr)
    options.output.write_text(INTRODUCTION.format(count=len(rows), version=av.ffmpeg_version_info) + tables + "\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
