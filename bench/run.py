"""Runs the benchmarks and prints one table.

    python bench/run.py [--only PATTERN] [--quick] [--json FILE] [--profile ROW] [--list]

What the rows mean is in `bench/README.md`. The exit code is 0 unless something breaks: times are no tests.
"""

from __future__ import annotations

import argparse
import cProfile
import fnmatch
import json
import os
import platform
import pstats
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import attrs
import crowd
import decoding
import scan
import segment_memory
import startup
import throughput
from measuring import Effort, Figure, Row

ROWS: list[Row] = [
    *decoding.ROWS,
    *startup.ROWS,
    *throughput.ROWS,
    *segment_memory.ROWS,
    *scan.ROWS,
    *crowd.ROWS,
]
RESULTS = Path(__file__).parent / "results.json"
_VERSIONS = (
    "ihproto", "interhumanai", "pydantic", "websockets", "picows", "wsproto", "msgspec", "attrs", "anyio", "numpy",
)  # fmt: skip


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def describe_machine() -> dict[str, Any]:
    """Where and when this was measured."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _installed(name) for name in _VERSIONS},
    }


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3g}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'>=' if figure.goal.at_least else '<='} {figure.goal.limit:g}"


def show(figures: list[Figure]) -> None:
    """Print the table."""
    width = max(len(figure.row) for figure in figures)
    head = f"{'row':<{width}}  {'ours':>8} {'peer':>8} {'unit':<8}  {'ratio':>6} {'middle half':>13}  {'goal':>7} met  "
    head += "note"
    print(head)
    print("-" * len(head))
    for figure in figures:
        spread = f"{figure.spread[0]:.2f} - {figure.spread[1]:.2f}" if figure.spread is not None else ""
        ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
        met = {True: "yes", False: "NO", None: ""}[figure.met]
        print(
            f"{figure.row:<{width}}  {_number(figure.ours):>8} {_number(figure.peer):>8} {figure.unit:<8}  "
            f"{ratio:>6} {spread:>13}  {_goal(figure):>7} {met:<3}  {figure.note}".rstrip()
        )


def profile(row: Row) -> None:
    """Print where the time of our side goes."""
    if row.work is None:
        print(f"{row.name} happens in other processes and cannot be profiled here")
        return
    row.work()
    profiler = cProfile.Profile()
    profiler.runcall(row.work)
    pstats.Stats(profiler).strip_dirs().sort_stats("tottime").print_stats(30)


def _no_row(name: str) -> str:
    return f"there is no row like {name!r}; there are {', '.join(row.name for row in ROWS)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="*", metavar="PATTERN", help="measure only rows of such names")
    parser.add_argument("--quick", action="store_true", help="fewer turns, and nothing that takes long")
    parser.add_argument("--json", type=Path, default=RESULTS, help="write everything here")
    parser.add_argument("--profile", metavar="ROW", help="show where the time of a row goes, and measure nothing")
    parser.add_argument("--list", action="store_true", help="name the rows, and measure nothing")
    options = parser.parse_args()
    if options.list:
        print("\n".join(row.name for row in ROWS))
        return
    if options.profile is not None:
        chosen = [row for row in ROWS if row.name == options.profile]
        if not chosen:
            parser.error(_no_row(options.profile))
        profile(chosen[0])
        return
    effort = Effort(turns=3, quick=True) if options.quick else Effort()
    machine = describe_machine()
    figures: list[Figure] = []
    for row in ROWS:
        if fnmatch.fnmatch(row.name, options.only):
            print(f"{row.name}", file=sys.stderr, flush=True)
            figures += row.measure(effort)
    if not figures:
        parser.error(_no_row(options.only))
    print(f"{machine['date']}, {machine['processor']}, {machine['cores']} cores, load {machine['load']:.2f}")
    print(f"{machine['system']}, Python {machine['python']}")
    print(", ".join(f"{name} {number}" for name, number in machine["versions"].items()), end="\n\n")
    show(figures)
    rows = [{**attrs.asdict(figure), "met": figure.met} for figure in figures]
    options.json.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    print(f"\nall figures: {options.json}")


if __name__ == "__main__":
    main()
