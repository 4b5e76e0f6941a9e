"""Judging a server: choose the scenarios, run them, and put together what they and the monitor found."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import count
from typing import Protocol

import anyio
import attrs

from ihproto import CLAUSES, LocalProtocolError
from ihproto.anyio import ConnectError
from ihproto.wire import CredentialForm, UpgradeFailed
from ihproto_conformance.passive import passive_checks, passive_results
from ihproto_conformance.server.consequences import without_consequences
from ihproto_conformance.server.exam import COMMON, READY, Exam, Missing, NotAccepted, ServerUnderTest, Unreadable
from ihproto_conformance.server.scenario import Cost, Scenario, Selection
from ihproto_conformance.verdict import Check, Evidence, Report, Result, SessionLog, Severity, Status, Subject, merge

_REACH = "reach"


class Progress(Protocol):
    """Is told how a run goes on."""

    def began(self, scenario: str) -> None:
        """A scenario begins."""
        ...

    def ended(self, scenario: str) -> None:
        """A scenario is over."""
        ...


class _Silent:
    def began(self, scenario: str) -> None:
        pass

    def ended(self, scenario: str) -> None:
        pass


class Unjudged(Exception):
    """Nothing can be said about the server; the text says why."""


def plan(target: ServerUnderTest, selection: Selection) -> list[tuple[str, Cost]]:
    """What a run will use of the server, at most, by scenario."""
    chosen = selection.scenarios(target.revision)
    return [(_REACH, Cost(connections=1)), *((scenario.name, scenario.cost(target)) for scenario in chosen)]


def server_checks(target: ServerUnderTest, selection: Selection) -> list[Check]:
    """The checks that a run makes, in the order of the catalogue."""
    return _in_order(_checks(target, selection, selection.scenarios(target.revision)))


def _checks(target: ServerUnderTest, selection: Selection, chosen: Iterable[Scenario]) -> dict[str, Check]:
    revision = target.revision
    checks = {
        check.id: check
        for scenario in chosen
        for check in scenario.checks_in(revision)
        if selection.wants(check, scenario.name)
    }
    for check in (*COMMON.values(), *passive_checks(revision, Subject.SERVER)):
        if revision.id in check.clause.revisions and selection.wants(check):
            checks[check.id] = check
    return checks


async def judge_server(
    target: ServerUnderTest,
    selection: Selection,
    *,
    version: str,
    jobs: int = 4,
    progress: Progress | None = None,
    fail_on: Severity = Severity.FAILURE,
) -> Report:
    """Judge a server.

    Args:
        target: The server.
        selection: What to try.
        version: The version of this package, for the report.
        jobs: How many scenarios run at the same time.
        progress: Is told how it goes on.
        fail_on: The least severity that makes the verdict `violations`.
    """
    run = _Run(target, selection, progress if progress is not None else _Silent())
    started_at, began = datetime.now(UTC), anyio.current_time()
    unjudged: str | None = None
    try:
        await run.reach()
        await run.scenarios(jobs)
    except Unjudged as error:
        unjudged = str(error)
    return Report(
        subject=Subject.SERVER,
        kind="server",
        target=target.url.partition("?")[0],
        revision=target.revision.id,
        suite="full" if selection.full else "quick",
        started_at=started_at,
        seconds=anyio.current_time() - began,
        version=version,
        results=() if unjudged is not None else tuple(run.results()),
        sessions=tuple(sorted(run.sessions, key=lambda session: session.number)),
        unjudged=unjudged,
        fail_on=fail_on,
    )


class _Run:
    """One run: what was chosen, and what was found so far."""

    def __init__(self, target: ServerUnderTest, selection: Selection, progress: Progress) -> None:
        self.sessions: list[SessionLog] = []
        self._target = target
        self._selection = selection
        self._progress = progress
        self._chosen = selection.scenarios(target.revision)
        self._found: dict[str, list[Result]] = {}
        self._numbers = count(1)
        self._sent = 0.0
        self._stands = True
        self._why = ""

    async def reach(self) -> None:
        """Find out how the server takes the key, and whether a session comes to stand.

        Raises:
            Unjudged: If there is no server, or it takes the key in no form.
        """
        refusal: NotAccepted | None = None
        for form in CredentialForm:
            exam = self._exam(_REACH, attrs.evolve(self._target, form=form))
            try:
                async with exam.open("is there anybody") as probe:
                    try:
                        await probe.ready()
                    except Missing as error:
                        self._stands = False
                        self._why = exam.clean(f"{error}, so there is no session to try anything in")
                        if not isinstance(error, Unreadable):
                            exam.failed(READY, str(error), probe)
            except NotAccepted as error:
                refusal = refusal or error
                continue
            except LocalProtocolError as error:
                if form is CredentialForm.HEADER:
                    raise Unjudged(f"{error.violation.what} ({error.violation.clause.id})") from None
                continue
            except ConnectError as error:
                raise Unjudged(exam.clean(str(error))) from None
            self._keep(result for result in exam.results.values() if self._selection.wants(result.check))
            self._target = attrs.evolve(self._target, form=form)
            return
        assert refusal is not None
        raise Unjudged(exam.clean(_explain(refusal)))

    async def scenarios(self, jobs: int) -> None:
        """Run what was chosen, `jobs` at a time."""
        limiter = anyio.CapacityLimiter(jobs)

        async def run(scenario: Scenario) -> None:
            async with limiter:
                await self._run(scenario)

        async with anyio.create_task_group() as tasks:
            for scenario in self._chosen:
                tasks.start_soon(run, scenario)

    async def _run(self, scenario: Scenario) -> None:
        self._progress.began(scenario.name)
        exam = self._exam(scenario.name, self._target)
        wanted = scenario.checks_in(self._target.revision)
        why: Evidence | None = None
        if scenario.needs_session and not self._stands:
            why = Evidence(self._why)
        else:
            try:
                await scenario.run(exam)
            except NotAccepted as error:
                why = Evidence(exam.clean(str(error)), error.session)
            except (Missing, ConnectError) as error:
                why = Evidence(exam.clean(str(error)))
        results = dict(exam.results)
        for check in wanted:
            if check.id not in results:
                if why is None:
                    raise RuntimeError(f"the scenario {scenario.name} has nothing to say about {check.id}")
                results[check.id] = Result(check, Status.BLOCKED, (scenario.name,), (why,))
        kept = [result for result in results.values() if self._selection.wants(result.check, scenario.name)]
        self._keep(kept)
        self._progress.ended(scenario.name)

    def _exam(self, scenario: str, target: ServerUnderTest) -> Exam:
        return Exam(target, scenario, lambda: next(self._numbers), self._spend, self.sessions.append)

    def _spend(self, seconds: float) -> None:
        self._sent += seconds
        if self._sent > self._target.budget_seconds:
            raise Missing(f"the budget of {self._target.budget_seconds:g} s of video is used up")

    def _keep(self, results: Iterable[Result]) -> None:
        for result in results:
            self._found.setdefault(result.check.id, []).append(result)

    def results(self) -> list[Result]:
        """One result for each check, in the order of the catalogue."""
        for result in passive_results(self._target.revision, Subject.SERVER, self.sessions):
            if self._selection.wants(result.check):
                self._keep([result])
        checks = _checks(self._target, self._selection, self._chosen)
        results = [
            merge(self._found[check.id])
            if check.id in self._found
            else Result(check, Status.UNSEEN, reason="nothing came that it is about")
            for check in _in_order(checks)
        ]
        return without_consequences(results)


def _in_order(checks: dict[str, Check]) -> list[Check]:
    places = {clause_id: place for place, clause_id in enumerate(CLAUSES)}
    return sorted(checks.values(), key=lambda check: (places[check.clause.id], check.id))


def _explain(refusal: NotAccepted) -> str:
    event = refusal.event
    if isinstance(event, UpgradeFailed):
        return f"there is no WebSocket at this URL: {event.what}"
    told = f", {event.error.error_id}: {event.error.message}" if event.error and event.error.error_id else ""
    if event.status in (401, 403):
        return f"the server refused the key with HTTP {event.status}{told}; is it the right one for this server?"
    return f"the server answered the upgrade with HTTP {event.status}{told}; is this a stream endpoint?"
