"""Every fault against every role on every backend, as a table.

    python tests/faults/report.py [--every N] [--times N]

Exit code 1 if anything ended as it must not: without a typed error or a close, behind its deadline, with too much
memory, or with a task or a socket left behind. The time is virtual, save for faults that need sockets.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from adapters.faces import FACES
from faults.cases import Tally, all_cases
from faults.sockets import crowd_of_sockets, reset_clients, reset_servers, roles_of


def _on_sockets() -> Iterator[Tally]:
    for face in FACES:
        yield reset_clients(face)
        for role in roles_of(face):
            yield reset_servers(face, role)
            yield crowd_of_sockets(face, role)


def _line(tally: Tally) -> str:
    ends = ", ".join(f"{how}: {count}" for how, count in tally.ends.most_common(4))
    held = "" if tally.held is None else f"{tally.held / 2**20:.1f}"
    leaks = str(len(tally.wrong)) if tally.wrong else "none"
    took = "not judged" if tally.deadline is None else f"{tally.worst:6.0f}/{tally.deadline:<4.0f}"
    cells = (
        f"{tally.fault:32}",
        f"{tally.role:11}",
        f"{tally.face:16}",
        f"{tally.ends.total():5}",
        f"{took:11}",
        f"{held:>5}",
        f"{leaks:>5}",
        ends,
    )
    return "  ".join(cells)


def main() -> int:
    parser = argparse.ArgumentParser(description="Break connections in every way, and print the figures.")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth place only")
    parser.add_argument("--times", type=int, default=100, metavar="N", help="how many kinds of garbage to try")
    options = parser.parse_args()
    print(f"{'fault':32}  {'role':11}  {'backend':16}  cases  worst/limit  MiB  wrong  how they ended")
    wrong: list[str] = []
    cases = 0
    for found in (all_cases(options.every, options.times), _on_sockets()):
        for tally in found:
            print(_line(tally), flush=True)
            cases += tally.ends.total()
            wrong += [f"{tally.role}, {tally.face}, {one}" for one in tally.wrong]
    print(f"{cases} cases, {len(wrong)} wrong; seconds are virtual, save on sockets")
    for one in wrong[:20]:
        print(one)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
