"""Explores everything, and prints the figures: `make states`, or `PYTHONPATH=tests python -m states`.

The exit code is 1 where something is not as it should be.
"""

from __future__ import annotations

import sys
import time

from states.ends import Bounds
from states.joint import Findings, explore
from states.tables import Coverage, client_coverage, server_coverage
from states.violations import REFUSALS, inject

import ihproto as ih

#: Everything that there is a bound for.
_ALL = Bounds(errors=1, pieces=2)
#: What is explored; errors and pieces make many more states of v1, so it comes without them as well.
EXPLORED = ((ih.V1, Bounds()), (ih.V1, _ALL), (ih.V2, Bounds()), (ih.V1_WINDOW, _ALL), (ih.V0_2, _ALL), (ih.V0, _ALL))
#: In whose states violations are injected.
INJECTED = (
    (ih.V1, Bounds(configs=1, signals=1, errors=1)),
    (ih.V2, Bounds(configs=1, signals=1, errors=1)),
    (ih.V1_WINDOW, Bounds(errors=1)),
    (ih.V0_2, Bounds(errors=1)),
    (ih.V0, Bounds(errors=1)),
)


def main() -> None:
    """Do it all."""
    right = [_explored(revision, bounds) for revision, bounds in EXPLORED]
    right += [
        _covered("client", client_coverage(*ih.REVISIONS.values())),
        _covered("server", server_coverage(*ih.REVISIONS.values())),
    ]
    unused = set(REFUSALS)
    for revision, bounds in INJECTED:
        begun = time.monotonic()
        verdicts = inject(revision, bounds)
        unused -= verdicts.refusals
        print(f"{revision.id}, {_words(bounds)}: injected in every state of either side")
        print(
            f"  {verdicts.injected:,} injections, {verdicts.wrong:,} that break one of {len(verdicts.clauses)} clauses"
        )
        print(f"  {len(verdicts.differences)} kinds judged otherwise than by the account{_seconds(begun)}", flush=True)
        for where, (accused, expected) in verdicts.differences.items():
            print(f"    {where}: accused of {accused}, broken {expected}")
        right.append(verdicts.right)
    print(f"refusals of what arrives: {len(REFUSALS)}, of which no injection used {len(unused)}")
    for entry in unused:
        print(f"    {entry}")
    sys.exit(not all(right) or bool(unused))


def _explored(revision: ih.Revision, bounds: Bounds) -> bool:
    begun = time.monotonic()
    found = explore(revision, bounds, progress=True)
    print(f"{revision.id}, {_words(bounds)}")
    print(f"  {found.states:,} states, {found.transitions:,} transitions", end=", ")
    print(f"made of {found.clients:,} of the client and {found.servers:,} of the server{_seconds(begun)}")
    print(f"  stuck: {len(found.stuck)}; without end: {found.endless:d}; the longest run: {found.longest} steps")
    print(f"  accusations of a peer that kept everything: {len(found.accusations)}")
    print(f"  alike and not the same: {len(found.disagreements)}", flush=True)
    for name, way in _worst(found):
        print(f"    {name}: {' / '.join(way)}")
    return found.right


def _worst(found: Findings) -> list[tuple[str, list[str]]]:
    return [*found.accusations.items(), *(("stuck", way) for way in found.stuck[:3])]


def _covered(side: str, coverage: Coverage) -> bool:
    print(f"the {side}'s table: {coverage.entries} entries, {coverage.taken} taken, {coverage.listed} out of reach")
    print(f"  refusals that did not name their clause: {len(coverage.unsaid)}")
    for what, entries in (("not taken", coverage.missing), ("taken after all", coverage.surplus)):
        for entry in entries:
            print(f"    {what}: {entry}")
    return coverage.right


def _words(bounds: Bounds) -> str:
    kinds = (("segment", bounds.segments), ("config", bounds.configs), ("type", bounds.signals))
    said = ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in kinds)
    pieces = ", segments in one or two pieces" if bounds.pieces > 1 else ""
    return f"{said} of signal, {bounds.errors or 'no'} error{'s' * (bounds.errors != 1)}{pieces}"


def _seconds(begun: float) -> str:
    return f" ({time.monotonic() - begun:.0f} s)"


if __name__ == "__main__":
    main()
