"""Run the Autobahn|Testsuite against both roles and both stacks, print the table, and write it to `docs/autobahn.md`.

    PYTHONPATH=tests python -m autobahn [--python27 FILE] [--cases 7.* ...] [--output FILE]

Exit code 1 if a case fails, 2 if the suite could not be run.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import anyio
from autobahn.echo import STACKS, Watch
from autobahn.report import complete, failures, page, read, table
from autobahn.suite import FAMILIES, Attack, SuiteError, attack_clients, attack_servers, install, version

import ihproto

REPOSITORY = Path(__file__).parents[2]
#: How many cases go by between two lines of progress.
STEP = 25
ROLES = {"server": attack_servers, "client": attack_clients}


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, attack, judge, print and write; tell whether all is good."""
    parser = argparse.ArgumentParser(
        prog="autobahn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python27", help="the Python 2.7 to use (one on the path, or of pyenv)")
    parser.add_argument("--folder", type=Path, default=REPOSITORY / ".autobahn", help="where all is installed and kept")
    parser.add_argument("--cases", nargs="+", metavar="PATTERN", help="only these cases; then no page is written")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs/autobahn.md", help="the page to write")
    options = parser.parse_args(arguments)
    folder = options.folder.resolve()
    cases = options.cases or [f"{family}.*" for family in FAMILIES]
    outcomes = []
    try:
        wstest = install(folder, options.python27)
        for role, attack in ROLES.items():
            began = time.monotonic()
            index = anyio.run(attack, Attack(wstest, folder / role, cases, progress(role)))
            outcomes += read(index, role)
            print(f"{role}: {time.monotonic() - began:.0f} s", file=sys.stderr)
        versions = f"{version(wstest)}, wsproto {importlib.metadata.version('wsproto')}, ihproto {ihproto.__version__}"
    except SuiteError as error:
        print(error, file=sys.stderr)
        return 2
    outcomes = complete(outcomes, [(role, stack) for role in ROLES for stack in STACKS])
    print(table(outcomes))
    bad = failures(outcomes)
    for one in bad:
        print(f"failed: {one}", file=sys.stderr)
    if options.cases is None:
        options.output.write_text(page(outcomes, versions))
    return 1 if bad or not outcomes else 0


def progress(role: str) -> Watch:
    """Shows every so many cases of a stack how far it is."""
    counts: Counter[str] = Counter()

    def watch(stack: str) -> None:
        counts[stack] += 1
        if counts[stack] % STEP == 0:
            print(f"{role}, {stack}: {counts[stack]} cases", file=sys.stderr)

    return watch


if __name__ == "__main__":
    # Being ended is like being interrupted: the suite must not be left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
