"""The judging server: it plays the scenarios to a client, and makes a report of what the client did."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import anyio
import anyio.abc
import attrs

from ihproto import MediaScanner, Revision, __version__
from ihproto.anyio import HttpError, ServerStream, serve
from ihproto.clauses import CLAUSES
from ihproto.wire import Redactor, UpgradeAccepted, UpgradeRefused, UpgradeRequested
from ihproto.wire.credentials import select
from ihproto_conformance.client.questions import never_connected
from ihproto_conformance.client.scenarios import Scenario, scenarios_of
from ihproto_conformance.client.stage import Stage
from ihproto_conformance.client.visits import Client, Invitation, Run, Visit
from ihproto_conformance.observer import Observer
from ihproto_conformance.passive import passive_results
from ihproto_conformance.verdict import Evidence, Report, Result, SessionLog, Subject, merge
from ihproto_conformance.watcher import all_headers, secrets_of

#: How long a client may take for one scenario, in seconds.
TIMEOUT = 60.0
#: How long to wait for what a client that has ended has still left on the wire, in seconds.
_GRACE = 2.0


def make_key() -> str:
    """A new credential, of the kind that the service gives out; it opens nothing but a judging server."""
    return f"ih_live_{secrets.token_hex(12)}"


@attrs.frozen
class Choice:
    """What is to be judged, and how.

    Attributes:
        revision: The revision to speak.
        scenarios: The scenarios to play, in order.
        timeout: How long the client may take for each, in seconds.
        jobs: How many to play at once.
    """

    revision: Revision
    scenarios: tuple[Scenario, ...]
    timeout: float = TIMEOUT
    jobs: int = 1

    @classmethod
    def all_of(cls, revision: Revision) -> Choice:
        """All scenarios of a revision."""
        return cls(revision, tuple(scenarios_of(revision)))


class _Host:
    """Takes the connections of one run."""

    def __init__(self, scenario: Scenario, run: Run, began: float) -> None:
        self._scenario = scenario
        self._run = run
        self._began = began
        self._playing = 0
        self._changed = anyio.Event()
        self.failure: Exception | None = None

    async def serve(self, stream: ServerStream) -> None:
        """Serve one connection; what goes wrong here is a fault of ours, and not to be lost in a log."""
        self._playing += 1
        try:
            await self._serve(stream)
        except Exception as error:
            self.failure = error
            raise
        finally:
            self._playing -= 1
            changed, self._changed = self._changed, anyio.Event()
            changed.set()

    async def all_over(self) -> None:
        """Wait until no connection is left."""
        while self._playing:
            await self._changed.wait()

    async def _serve(self, stream: ServerStream) -> None:
        request, run = stream.request, self._run
        redactor = Redactor([run.key, *secrets_of(request)])
        began = stream.now()
        # Every scenario has a contract, be it that of the documents.
        contract = self._scenario.settings(run.revision).contract
        scanner = MediaScanner(contract) if self._scenario.looks else None
        observer = Observer(run.revision, began, redactor, scanner=scanner)
        visit = Visit(len(run.visits) + 1, request, observer.entries)
        run.visits.append(visit)
        observer.request(
            began,
            request.target,
            all_headers(request),
            credential=_form(request),
            subprotocols=request.subprotocols,
        )
        if self._scenario.refuses_upgrade:
            await _refuse(stream, observer, visit)
        else:
            await self._play(stream, observer, visit)
        visit.over_at = stream.now() - self._began

    async def _play(self, stream: ServerStream, observer: Observer, visit: Visit) -> None:
        id_ = stream.correlation_id
        headers = [("X-Correlation-ID", id_)]
        selected = select(stream.request.subprotocols)
        if selected is not None:
            headers.append(("Sec-WebSocket-Protocol", selected))
        raw = await stream.accept_raw(headers)
        observer.accepted(raw.now(), UpgradeAccepted(id_, selected, ((b"x-correlation-id", id_.encode()),)))
        stage = Stage(
            raw,
            visit,
            observer,
            revision=self._run.revision,
            correlation_id=id_,
            settings=self._scenario.settings(self._run.revision),
            scanner=self._scenario.scanner(),
        )
        try:
            await stage.play(self._scenario.script)
        finally:
            visit.pongs = raw.pongs
            if observer.monitor is not None:
                visit.media_seconds = observer.monitor.media_seconds


async def _refuse(stream: ServerStream, observer: Observer, visit: Visit) -> None:
    visit.refused = True
    error = attrs.evolve(HttpError.of("ih2001"), correlation_id=stream.correlation_id)
    headers = [("X-Correlation-ID", stream.correlation_id), ("Content-Type", "application/json")]
    body = error.encode()
    encoded = tuple((name.lower().encode(), value.encode()) for name, value in headers)
    observer.refused(stream.now(), UpgradeRefused(401, stream.correlation_id, error, encoded, body))
    await stream.refuse_raw(401, headers, body)


def _form(request: UpgradeRequested) -> str | None:
    """The form in which a credential came, also where it came with something wrong about it."""
    if request.credential is not None:
        return request.credential.form.value
    return "subprotocol" if request.subprotocols else None


async def run_scenario(
    scenario: Scenario,
    revision: Revision,
    client: Client,
    *,
    timeout: float = TIMEOUT,
    listener: anyio.abc.Listener[anyio.abc.ByteStream] | None = None,
) -> Run:
    """Play one scenario to a client.

    Args:
        scenario: The scenario.
        revision: The revision to speak.
        client: The client; it is called once.
        timeout: How long it may take, in seconds.
        listener: What brings its connections; None for a port of this machine.

    Raises:
        ConnectError: If nothing can be listened on.
    """
    run = Run(scenario.name, revision, make_key(), timeout)
    host = _Host(scenario, run, anyio.current_time())
    async with serve(
        host.serve, listener=listener, on_failed=lambda _, what: run.unusable.append(what), shutdown_timeout=0.0
    ) as server:
        run.exit = await client(Invitation(server.url, run.key, revision, scenario.name, timeout))
        with anyio.move_on_after(_GRACE):
            await host.all_over()
    if host.failure is not None:
        raise host.failure
    return run


@attrs.frozen
class ScenarioRun:
    """What came of a scenario.

    Attributes:
        scenario: The scenario.
        run: The record.
        results: What became of its checks; evidence has the numbers that the sessions have in the report.
    """

    scenario: Scenario
    run: Run = attrs.field(repr=False)
    results: tuple[Result, ...] = attrs.field(repr=False)


async def judge_client(
    choice: Choice,
    client: Client,
    *,
    target: str,
    make_listener: Callable[[], anyio.abc.Listener[anyio.abc.ByteStream]] | None = None,
    on_run: Callable[[Scenario, Run], None] | None = None,
) -> tuple[Report, tuple[ScenarioRun, ...]]:
    """Play scenarios to a client, and judge it.

    Args:
        choice: What is to be played.
        client: The client; it is called once for each scenario.
        target: What to call it in the report.
        make_listener: Makes what brings connections, for each scenario anew; None for ports of this machine.
        on_run: Called with each scenario when it is over.

    Raises:
        ConnectError: If nothing can be listened on.
    """
    started_at, began = datetime.now(UTC), anyio.current_time()
    runs: dict[str, Run] = {}
    failures: list[Exception] = []
    pending = iter(choice.scenarios)

    async def play() -> None:
        for scenario in pending:
            listener = make_listener() if make_listener is not None else None
            try:
                run = await run_scenario(scenario, choice.revision, client, timeout=choice.timeout, listener=listener)
            except Exception as error:
                # Raised below, so that it does not come out wrapped in a group.
                failures.append(error)
                tasks.cancel_scope.cancel()
                return
            runs[scenario.name] = run
            if on_run is not None:
                on_run(scenario, run)

    async with anyio.create_task_group() as tasks:
        for _ in range(choice.jobs):
            tasks.start_soon(play)
    if failures:
        raise failures[0]

    sessions: list[SessionLog] = []
    played = []
    for scenario in choice.scenarios:
        run = runs[scenario.name]
        run.baseline = runs.get("plain")
        results = tuple(_renumbered(question.ask(run), len(sessions)) for question in scenario.asks(choice.revision))
        sessions += _logs(scenario, run, len(sessions))
        played.append(ScenarioRun(scenario, run, results))
    unjudged = _unjudged([each.run for each in played])
    found = [*(result for each in played for result in each.results), *_watched(choice.revision, sessions)]
    report = Report(
        subject=Subject.CLIENT,
        kind="client",
        target=target,
        revision=choice.revision.id,
        suite=_suite(choice),
        started_at=started_at,
        seconds=anyio.current_time() - began,
        version=__version__,
        results=_merged(found) if unjudged is None else (),
        sessions=tuple(sessions),
        unjudged=unjudged,
    )
    return report, tuple(played)


def _renumbered(result: Result, before: int) -> Result:
    def renumber(item: Evidence) -> Evidence:
        return attrs.evolve(item, session=item.session + before) if item.session is not None else item

    return attrs.evolve(result, evidence=tuple(map(renumber, result.evidence)))


def _logs(scenario: Scenario, run: Run, before: int) -> list[SessionLog]:
    return [
        SessionLog(
            before + visit.number,
            scenario.name,
            scenario.title,
            tuple(visit.entries),
            visit.media_seconds,
        )
        for visit in run.visits
    ]


def _watched(revision: Revision, sessions: Sequence[SessionLog]) -> list[Result]:
    """What became of the checks that look at every session."""
    names = tuple(dict.fromkeys(session.scenario for session in sessions))
    results = passive_results(revision, Subject.CLIENT, sessions)
    return [attrs.evolve(result, scenarios=names) for result in results]


def _merged(results: Sequence[Result]) -> tuple[Result, ...]:
    """One result for each check, in the order of the clauses."""
    by_id: dict[str, list[Result]] = {}
    for result in results:
        by_id.setdefault(result.check.id, []).append(result)
    order = list(CLAUSES)
    merged = [merge(found) for found in by_id.values()]
    return tuple(sorted(merged, key=lambda result: order.index(result.check.clause.id)))


def _suite(choice: Choice) -> str:
    everything = scenarios_of(choice.revision)
    return "full" if list(choice.scenarios) == everything else ", ".join(each.name for each in choice.scenarios)


def _unjudged(runs: Sequence[Run]) -> str | None:
    """Why there is nothing to judge: the client could not be started, or never connected."""
    failed = next((run for run in runs if run.exit.failure is not None), None)
    if failed is not None:
        return f"the client could not be started: {failed.exit.failure}"
    if any(run.visits for run in runs):
        return None
    return never_connected(runs[0]) if runs else "there is no scenario to play"
