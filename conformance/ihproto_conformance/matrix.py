"""The matrix: what the suite for servers says of each server that breaks one clause.

``python -m ihproto_conformance.matrix docs/matrix.md`` writes it down.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

import anyio
import attrs
from trio.testing import MockClock

from ihproto import CLAUSES, REVISIONS, Level, Revision, ServerSettings, SessionReady
from ihproto.clauses import FAMILIES
from ihproto.tokens import STREAM_SCOPE, UPLOAD_SCOPE, ClientToken, ClientTokenRequest
from ihproto_conformance import samples
from ihproto_conformance.clause_coverage import UNTESTABLE
from ihproto_conformance.client.broken import Variant
from ihproto_conformance.client.matrix import client_matrix
from ihproto_conformance.faults import FAULTS, Fault, FaultyServer
from ihproto_conformance.memory import MemoryListener
from ihproto_conformance.server import Selection, ServerUnderTest, judge_server
from ihproto_conformance.verdict import Report, Result, Status
from ihproto_mock import MockServer

_KEY = "ih_live_matrix"
_UNSCOPED_KEY = "ih_live_matrix-uploads-only"
_KEYS = {_KEY: (STREAM_SCOPE, UPLOAD_SCOPE), _UNSCOPED_KEY: (UPLOAD_SCOPE,)}
#: Small, so that one byte too much is not worth a second.
_MAX_SEGMENT_SIZE = 200_000
_ABOUT_LIMITS = frozenset({"SEG-2", "SEG-3", "STS-4"})
_EVERYTHING = Selection(full=True)
#: Timeouts cost nothing on a clock that jumps, in seconds.
_EVER = 1e9


#: A broken client, and what became of every check with it.
ClientRow: TypeAlias = tuple[Variant, list[Result]]


@attrs.frozen
class Row:
    """What the suite says of a server with a fault.

    Attributes:
        fault: The fault.
        named: The checks of its clause, or of one that says the same, that were not passed.
        blocked: The checks that could not be made because of it.
        alarms: The checks of other clauses that were not passed.
        unjudged: Why nothing could be judged, None when it could.
    """

    fault: Fault
    named: tuple[Result, ...]
    blocked: tuple[Result, ...]
    alarms: tuple[Result, ...]
    unjudged: str | None = None

    @property
    def caught(self) -> bool:
        """Whether the fault was found where it is, and nowhere else."""
        own = any(result.check.clause.id == self.fault.clause.id for result in self.named)
        return self.unjudged is None and own and not self.alarms


def row(fault: Fault) -> Row:
    """Judge a server with a fault by the full suite, in memory."""
    report = judge_fault(fault)
    own = {fault.clause.id, *fault.also}
    failed = [result for result in report.results if result.status is Status.FAILED]
    return Row(
        fault,
        tuple(result for result in failed if result.check.clause.id in own),
        tuple(result for result in report.results if result.status is Status.BLOCKED),
        tuple(result for result in failed if result.check.clause.id not in own),
        report.unjudged,
    )


def rows(faults: Iterable[Fault]) -> list[Row]:
    """The matrix of some faults."""
    return [row(fault) for fault in faults]


def judge_fault(fault: Fault) -> Report:
    """The report of the full suite on a server with a fault."""

    async def judge() -> Report:
        listener = MemoryListener()
        async with FaultyServer(
            fault, listener=listener, settings=_settings(REVISIONS[fault.revision]), mock={"keys": _KEYS}
        ) as server:
            return await _judge(server.mock, server.revision, listener, _selection(fault, server.revision))

    return _run(judge)


def judge_mock(revision: Revision, scenario: str = "lively") -> Report:
    """The report of the full suite on the conforming server itself."""

    async def judge() -> Report:
        listener = MemoryListener()
        async with MockServer(
            listener=listener, pin=[revision.id], keys=_KEYS, settings=_settings(revision), scenario=scenario
        ) as mock:
            return await _judge(mock, revision, listener)

    return _run(judge)


def _settings(revision: Revision) -> ServerSettings:
    if not revision.announces:
        return ServerSettings()
    contract: SessionReady = attrs.evolve(revision.contract, max_segment_size_bytes=_MAX_SEGMENT_SIZE)
    return ServerSettings(contract=contract)


def _selection(fault: Fault, revision: Revision) -> Selection:
    """The full suite, but for what costs a second where a limit cannot be made small, and nothing is wrong with it."""
    spare = not revision.announces and fault.clause.id not in _ABOUT_LIMITS
    return Selection(full=True, exclude=("*-large", "large-*") if spare else ())


async def _judge(
    mock: MockServer, revision: Revision, listener: MemoryListener, selection: Selection = _EVERYTHING
) -> Report:
    request = ClientTokenRequest(_KEY, allowed_origins=("https://app.example",))
    token = mock.credentials.issue(request, anyio.current_time())
    assert isinstance(token, ClientToken)
    target = ServerUnderTest(
        f"ws://localhost{revision.path}",
        revision,
        _KEY,
        media=samples.recording(),
        unscoped_key=_UNSCOPED_KEY,
        bound_token=token.access_token,
        longest_wait=_EVER,
        dial=listener.dial,
    )
    return await judge_server(target, selection, version="")


def _run(judge: Callable[[], Awaitable[Report]]) -> Report:
    return anyio.run(judge, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})


_NOTICE = "<!-- Generated by `make matrix`; change the data it reads, not this page. -->"


def page(matrix: Sequence[Row], clients: Sequence[ClientRow] = ()) -> str:
    """The matrix as a page of Markdown.

    Args:
        matrix: A row for each broken server.
        clients: A row for each broken client.
    """
    binding = [clause for clause in CLAUSES.values() if clause.level is not Level.ASSUMED]
    proven = {row.fault.clause.id for row in matrix if row.caught}
    checks = {result.check.id for row in matrix for result in row.named if row.caught}
    caught = sum(row.caught for row in matrix)
    alarms = sum(len(row.alarms) for row in matrix)
    parts = [
        _NOTICE,
        "# Broken servers and clients, and what the suite says of them",
        (
            "Each of these servers breaks one clause and keeps all others. The full suite is run against each; it has "
            "to name a check of that clause, and no check of another one may fail. Where a check could not be made "
            "because of the fault, it is blocked, and says so. `ihproto mock --fault ID` runs one of them."
        ),
        _table(
            ("what", "how many"),
            [
                ("broken servers", str(len(matrix))),
                ("of those, found by a check of the clause they break", str(caught)),
                ("checks of other clauses that failed", str(alarms)),
                ("clauses that are a `must` or a `should`", str(len(binding))),
                ("of those, with a check that a broken server fails", str(sum(each.id in proven for each in binding))),
                ("checks that some broken server fails", str(len(checks))),
            ],
        ),
        "## The matrix",
        "Where a fault breaks two clauses that say the same, the second one stands in brackets behind the first.",
        _table(
            ("broken server", "what it does", "revision", "clause", "level", "found by", "blocked", "false alarms"),
            [_line(row) for row in matrix],
        ),
        "## Broken clients",
        (
            "Each of these clients breaks one clause, and is judged in all scenarios. The same holds for them. "
            "`ihproto conformance list --subject client` has the checks."
        ),
        _table(
            ("broken client", "what it does", "revision", "clause", "level", "found by", "blocked", "false alarms"),
            [_client_line(*row) for row in clients],
        ),
        "## Clauses without a broken server",
        _table(
            ("clause", "level", "why"),
            [(_link(each), CLAUSES[each].level.value, why) for each, why in UNTESTABLE.items()],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _line(row: Row) -> tuple[str, ...]:
    fault = row.fault
    return (
        f"`{fault.id}`",
        fault.sentence,
        fault.revision,
        _link(fault.clause.id) + "".join(f" ({_link(each)})" for each in fault.also),
        fault.clause.level.value,
        ", ".join(f"`{result.check.id}`" for result in row.named) or (row.unjudged or "nothing"),
        str(len(row.blocked)) if row.blocked else "",
        ", ".join(f"`{result.check.id}`" for result in row.alarms) or "none",
    )


def _found(variant: Variant, results: Sequence[Result]) -> bool:
    """Whether a client was found out by checks of its clause, and by no others."""
    return {result.check.clause.id for result in results if result.status is Status.FAILED} == {variant.clause_id}


def _client_line(variant: Variant, results: Sequence[Result]) -> tuple[str, ...]:
    own = str(variant.clause_id)
    failed = [result for result in results if result.status is Status.FAILED]
    blocked = sum(result.status is Status.BLOCKED for result in results)
    return (
        f"`{variant.name}`",
        variant.what.removesuffix("."),
        variant.revision.id,
        _link(own),
        CLAUSES[own].level.value,
        ", ".join(f"`{result.check.id}`" for result in failed if result.check.clause.id == own) or "nothing",
        str(blocked) if blocked else "",
        ", ".join(f"`{result.check.id}`" for result in failed if result.check.clause.id != own) or "none",
    )


def _link(clause_id: str) -> str:
    family = CLAUSES[clause_id].family
    anchor = f"{family}-{FAMILIES[family]}".lower().replace(" ", "-")
    return f"[{clause_id}](protocol.md#{anchor})"


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    every = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in every)


def main(words: Sequence[str]) -> int:
    """Write the page, and return the exit status: 1 where a fault was not found, or something else was."""
    if len(words) != 1:
        sys.stderr.write("usage: python -m ihproto_conformance.matrix FILE\n")
        return 2
    matrix = rows(FAULTS.values())
    clients = client_matrix()
    Path(words[0]).write_text(page(matrix, clients), encoding="utf-8", newline="\n")
    missed = [row.fault.id for row in matrix if not row.caught]
    missed_clients = [variant.name for variant, results in clients if not _found(variant, results)]
    told = [
        f"{len(matrix) - len(missed)} of {len(matrix)} broken servers found",
        f"{len(clients) - len(missed_clients)} of {len(clients)} broken clients found",
        *(f"not {each}" for each in (*missed, *missed_clients)),
    ]
    missed += missed_clients
    sys.stdout.write("\n".join(told) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
