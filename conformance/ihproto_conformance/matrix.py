"""The matrix: what the suite for servers says of each server that breaks one clause."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
import attrs
from trio.testing import MockClock

from ihproto import REVISIONS, Revision, ServerSettings, SessionReady
from ihproto.tokens import STREAM_SCOPE, UPLOAD_SCOPE, ClientToken, ClientTokenRequest
from ihproto_conformance import samples
from ihproto_conformance.faults import Fault, FaultyServer
from ihproto_conformance.memory import MemoryListener
from ihproto_conformance.server import Selection, ServerUnderTest, judge_server
from ihproto_conformance.verdict import Report, Result, Status
from ihproto_mock import MockServer

_KEY = "ih_live_matrix"
_UNSCOPED_KEY = "ih_live_matrix-uploads-only"
_KEYS = {_KEY: (STREAM_SCOPE, UPLOAD_SCOPE), _UNSCOPED_KEY: (UPLOAD_SCOPE,)}
#: Small, so that one byte too much is not worth a second.
_MAX_SEGMENT_SIZE = 200_000
#: Timeouts cost nothing on a clock that jumps, in seconds.
_EVER = 1e9


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
            return await _judge(server.mock, server.revision, listener)

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


async def _judge(mock: MockServer, revision: Revision, listener: MemoryListener) -> Report:
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
    return await judge_server(target, Selection(full=True), version="")


def _run(judge: object) -> Report:
    report: Report = anyio.run(judge, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})  # type: ignore[arg-type]
    return report
