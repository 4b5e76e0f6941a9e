"""What the suite found: its reports read, judged, and made into a page."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

COMMAND = "make autobahn"
#: What the suite calls the families, by the first number of a case.
FAMILIES = {
    1: "framing",
    2: "pings and pongs",
    3: "reserved bits",
    4: "opcodes",
    5: "fragmentation",
    6: "UTF-8",
    7: "close handling",
    9: "limits and performance",
    10: "automatic fragmentation",
}
OK, NON_STRICT, INFORMATIONAL = GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")
#: What a case is called here that the suite has run elsewhere and not for this agent.
MISSING = "MISSING"

INTRODUCTION = f"""\
<!-- Written by `{COMMAND}`; do not edit. -->

# What the Autobahn|Testsuite says of the wire layer

The [Autobahn|Testsuite](https://github.com/crossbario/autobahn-testsuite) is what WebSocket implementations are
commonly measured by. It attacked both roles of `ihproto.wire` over TCP, each on both stacks, with every case of the
families 1 to 10; there is no family 8. The families 12 and 13 are left out: they are about compression, which the wire
layer does not offer.

- `raw` is `RawFrames`: messages without a session, as `serve` with `accept_raw`, and `connect_raw`, carry them.
- `session` is `Frames`, in a `ServerConnection` or a `ClientConnection` as every session uses them. In place of the
  session stands one that says back what it is told.

Versions: {{versions}}.

OK means that the suite saw what it holds for right; NON-STRICT, that it saw what RFC 6455 allows but advises against;
INFORMATIONAL, that there is no right or wrong. Everything else counts as failed, and so does a case that was not run.
The suite judges the messages of a case and the way in which its connection ended; in the table, a case counts once, by
the worse of the two verdicts.

`RawFrames` gives a connection up where its framing breaks. A message that came in one piece with the break is handed
out, but nothing can be said to it any more; where the suite would have liked to see it come back, it says NON-STRICT.
What comes in one piece is up to TCP, so a few of these cases are OK in one run and NON-STRICT in the next.

To run it again: `{COMMAND}`. It needs a Python 2.7, for which the suite is written, and takes about two minutes;
everything is installed in `.autobahn/`, where the suite's own reports are afterwards, too.

"""


@attrs.frozen
class Outcome:
    """How one case came out.

    Attributes:
        role: The role of ours that was attacked.
        stack: Which stack was.
        case: The number of the case, as in `7.1.6`.
        behavior: The verdict on the messages.
        closing: The verdict on the way in which the connection ended.
        description: What the case does.
        result: What the suite says to both.
    """

    role: str
    stack: str
    case: str
    behavior: str
    closing: str
    description: str = ""
    result: str = ""

    @property
    def order(self) -> tuple[int, ...]:
        """What to sort by."""
        return tuple(int(number) for number in self.case.split("."))

    @property
    def verdict(self) -> str:
        """The worse of the two verdicts; whatever is not good counts as failed."""
        verdicts = {self.behavior, self.closing}
        if not verdicts <= set(GOOD):
            return "FAILED"
        return next(name for name in reversed(GOOD) if name in verdicts)


def read(index: Path, role: str) -> list[Outcome]:
    """Take what the suite wrote about one role.

    Args:
        index: Its `index.json`; the reports of the cases are beside it.
        role: The role.
    """
    outcomes = []
    for stack, cases in json.loads(index.read_bytes()).items():
        for case, entry in cases.items():
            told: dict[str, Any] = json.loads((index.parent / entry["reportfile"]).read_bytes())
            outcomes.append(
                Outcome(
                    role,
                    stack,
                    case,
                    behavior=entry["behavior"],
                    closing=entry["behaviorClose"],
                    description=_plain(told["description"]),
                    result=_plain(f"{told['result']} {told['resultClose']}"),
                )
            )
    return outcomes


def _plain(text: str) -> str:
    """The first paragraph of a text of the suite, which is HTML; what Markdown would take for markup is escaped."""
    first = html.unescape(re.sub(r"<[^>]*>", " ", re.split(r"<br ?/?>\s*<br ?/?>", text)[0]))
    return re.sub(r"([\\`*_\[\]<>|&])", r"\\\1", " ".join(first.split()))


def complete(outcomes: Sequence[Outcome], agents: Iterable[tuple[str, str]]) -> list[Outcome]:
    """Add, for each role and stack, the cases that ran for another and not for it; in order."""
    there = {(outcome.role, outcome.stack, outcome.case) for outcome in outcomes}
    known = {outcome.case: outcome for outcome in outcomes}
    missing = [
        Outcome(role, stack, case, MISSING, MISSING, one.description)
        for role, stack in agents
        for case, one in known.items()
        if (role, stack, case) not in there
    ]
    return sorted([*outcomes, *missing], key=lambda outcome: (outcome.role, outcome.stack, outcome.order))


def failures(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that are neither good nor a matter of taste."""
    return [outcome for outcome in outcomes if outcome.verdict not in GOOD]


def table(outcomes: Sequence[Outcome]) -> str:
    """How many cases of each family came out how, for each role and stack."""
    agents = list(dict.fromkeys((outcome.role, outcome.stack) for outcome in outcomes))
    columns = (*GOOD, "FAILED")
    lines = [
        f"| role | stack | family | cases | {' | '.join(columns)} |",
        f"| --- | --- | --- | ---: |{' ---: |' * len(columns)}",
    ]
    for role, stack in agents:
        own = [outcome for outcome in outcomes if (outcome.role, outcome.stack) == (role, stack)]
        for number in sorted({outcome.order[0] for outcome in own}):
            name = f"{number}: {FAMILIES.get(number, 'unknown')}"
            lines.append(_row(role, stack, name, [outcome for outcome in own if outcome.order[0] == number], columns))
        lines.append(_row(role, stack, "all", own, columns))
    return "\n".join(lines)


def _row(role: str, stack: str, name: str, outcomes: Sequence[Outcome], columns: Sequence[str]) -> str:
    counts = Counter(outcome.verdict for outcome in outcomes)
    numbers = " | ".join(str(counts[column]) for column in columns)
    return f"| {role} | {stack} | {name} | {len(outcomes)} | {numbers} |"


def remarks(outcomes: Sequence[Outcome]) -> str:
    """A row for each case that is not OK in both respects, with those for whom it came out like that."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for one in sorted(outcomes, key=lambda outcome: outcome.order):
        if one.verdict != OK:
            row = (one.case, one.behavior, one.closing, one.description, one.result)
            rows.setdefault(row, []).append(f"{one.role} {one.stack}")
    if not rows:
        return "There is none."
    heads = ("case", "messages", "end", "what it does", "what the suite says", "where")
    lines = [f"| {' | '.join((*row, ', '.join(agents)))} |" for row, agents in rows.items()]
    return "\n".join([f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}", *lines])


def page(outcomes: Sequence[Outcome], versions: str) -> str:
    """The page, for outcomes that are complete and in order."""
    return (
        INTRODUCTION.format(versions=versions)
        + f"## By family\n\n{table(outcomes)}\n\n## Every case that is not OK\n\n{remarks(outcomes)}\n"
    )
