"""The judging server: what it plays, and what it makes of clients that do something out of the ordinary."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import anyio
import attrs
import pytest
import trio.testing

from ihproto import REVISIONS, V1, V1_WINDOW, Revision, Side
from ihproto.wire import RawEvent, RawText
from ihproto_conformance.client import (
    SCENARIOS,
    Choice,
    Exit,
    Invitation,
    ScenarioRun,
    judge_client,
    run_scenario,
    scenarios_of,
)
from ihproto_conformance.client.broken import BROKEN, Variant, correct
from ihproto_conformance.client.matrix import judge_variant
from ihproto_conformance.client.raw_client import RawClient
from ihproto_conformance.memory import MemoryListener, MemoryStream
from ihproto_conformance.reports import encode_json
from ihproto_conformance.trace import Close, Lost, Text
from ihproto_conformance.verdict import Report, Result, SessionLog, Status, Verdict

ENVELOPES = ["plain", "unknown", "frames", "slow", "errors", "fatal-error", "server-close", "refused-session"]
EVERYTHING = [
    "plain",
    "late-ready",
    "contract",
    "unknown",
    "frames",
    "slow",
    "drain",
    "errors",
    "fatal-error",
    "server-close",
    "refused-session",
    "refused-upgrade",
    "cut",
]

Dial: TypeAlias = Callable[[], Coroutine[Any, Any, MemoryStream]]
Dialling: TypeAlias = Callable[[Invitation, Dial], Coroutine[Any, Any, Exit]]


def judge(
    client: Dialling, *names: str, revision: Revision = V1, jobs: int = 1
) -> tuple[Report, tuple[ScenarioRun, ...]]:
    """Judge a client in some scenarios, or in all, on virtual time."""
    scenarios = tuple(scenario for scenario in scenarios_of(revision) if not names or scenario.name in names)

    async def main() -> tuple[Report, tuple[ScenarioRun, ...]]:
        listeners: list[MemoryListener] = []

        def listen() -> MemoryListener:
            listeners.append(MemoryListener())
            return listeners[-1]

        async def call(invitation: Invitation) -> Exit:
            return await client(invitation, listeners[-1].dial)

        return await judge_client(Choice(revision, scenarios, jobs=jobs), call, target="it", make_listener=listen)

    clock = trio.testing.MockClock(autojump_threshold=0)
    return anyio.run(main, backend="trio", backend_options={"clock": clock})


def judge_class(make: type[RawClient], *names: str, revision: Revision = V1) -> Report:
    scenarios = tuple(scenario for scenario in scenarios_of(revision) if scenario.name in names)
    variant = Variant(make.__name__, None, "", revision, make)
    return judge_variant(variant, Choice(revision, scenarios))[0]


def result_of(report: Report, id_: str) -> Result:
    (result,) = [result for result in report.results if result.check.id == id_]
    return result


def server_texts(session: SessionLog) -> list[tuple[float, dict[str, Any]]]:
    """What the server said, and when."""
    return [
        (entry.record.time, json.loads(entry.record.passed.text))
        for entry in session.entries
        if entry.record.sender is Side.SERVER and isinstance(entry.record.passed, Text)
    ]


def server_close(session: SessionLog) -> int:
    (code,) = [
        entry.record.passed.code
        for entry in session.entries
        if entry.record.sender is Side.SERVER and isinstance(entry.record.passed, Close)
    ]
    return code


def named(name: str) -> Variant:
    return next(variant for variant in BROKEN if variant.name == name)


async def stays_away(invitation: Invitation, dial: Dial) -> Exit:
    return Exit(code=3)


# -- what is played ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "names"),
    [
        ("v0", ["plain", "slow", "drain", "server-close", "refused-upgrade"]),
        ("v0.2", ["plain", "slow", "drain", "server-close", "refused-upgrade"]),
        ("v1-window", [*ENVELOPES, "refused-upgrade"]),
        ("v1", EVERYTHING),
        ("v2", EVERYTHING),
    ],
)
def test_a_revision_has_the_scenarios_that_make_sense_in_it(revision: str, names: list[str]) -> None:
    assert [scenario.name for scenario in scenarios_of(REVISIONS[revision])] == names
    assert all(SCENARIOS[name].asks(REVISIONS[revision]) for name in names)


def test_the_server_does_what_the_scenarios_say() -> None:
    report, _ = judge_variant(correct(V1))
    by_name = {session.scenario: session for session in report.sessions}

    def said(name: str, type_: str) -> list[tuple[float, Any]]:
        return [(time, fields["data"]) for time, fields in server_texts(by_name[name]) if fields["type"] == type_]

    assert said("plain", "session.ready")[0][0] == 0
    assert said("late-ready", "session.ready")[0][0] == 2
    assert said("contract", "session.ready")[0][1]["max_segment_size_bytes"] == 32 * 1024
    assert {"session.updated", "signal.detected", "signal.updated", "engagement.updated"} < {
        fields["type"] for _, fields in server_texts(by_name["plain"])
    }
    assert said("plain", "conversation_quality.updated")
    assert said("unknown", "gesture.detected")
    assert said("unknown", "signal.detected")[0][1]["signal_type"] == "bewilderment"
    assert said("unknown", "session.ready")[0][1]["mood"] == "blue"
    assert said("unknown", "feedback.generated")
    assert len(said("frames", "signal.detected")[0][1]["rationale"]) == 1_000_000
    assert {data["code"] for _, data in said("errors", "error")} == {"ih4007", "ih5004", "ih6001", "ih7999"}
    assert [data["code"] for _, data in said("fatal-error", "error")] == ["ih1001"]
    assert [data["code"] for _, data in said("refused-session", "error")] == ["ih2003"]
    assert said("refused-session", "session.ready") == []
    codes = {name: server_close(by_name[name]) for name in ("plain", "server-close", "refused-session", "fatal-error")}
    assert codes == {"plain": 1000, "server-close": 1001, "refused-session": 4003, "fatal-error": 1011}
    (closing, _), (ended, _) = said("drain", "session.closing")[0], said("drain", "session.ended")[0]
    assert ended - closing >= 2
    assert any(closing < time < ended for time, _ in server_texts(by_name["drain"]))
    assert isinstance(by_name["cut"].entries[-1].record.passed, Lost)
    assert by_name["cut"].entries[-1].record.sender is Side.SERVER


def test_texts_come_in_fragments_and_pings_between_them_are_answered() -> None:
    pieces: list[bool] = []

    class Counting(RawClient):
        async def receive(self, event: RawEvent) -> None:
            if isinstance(event, RawText):
                pieces.append(event.final)
            await super().receive(event)

    report = judge_class(Counting, "frames")
    assert pieces.count(False) > 10 * pieces.count(True)
    assert result_of(report, "CLS-3.answers-pings").status is Status.PASSED


def test_while_the_server_is_slow_it_reads_nothing_for_two_seconds() -> None:
    report = judge_class(RawClient, "slow")
    times = [entry.record.time for entry in report.sessions[0].entries if entry.record.sender is Side.CLIENT]
    assert max(after - before for before, after in itertools.pairwise(times)) >= 1.5


# -- clients out of the ordinary --------------------------------------------------------------------


def test_a_client_that_never_connects_is_not_judged_and_is_told_what_it_takes() -> None:
    report, played = judge(stays_away)
    assert report.verdict is Verdict.UNJUDGED
    assert report.unjudged is not None
    assert "never connected" in report.unjudged
    assert "IHPROTO_URL" in report.unjudged
    assert "exit code 3" in report.unjudged
    results = [result for each in played for result in each.results]
    assert {result.status for result in results} == {Status.BLOCKED}
    assert all("never connected" in result.evidence[0].what for result in results)


def test_a_client_that_connects_in_some_scenarios_only_is_blocked_in_the_others() -> None:
    async def sometimes(invitation: Invitation, dial: Dial) -> Exit:
        if invitation.scenario != "late-ready":
            await RawClient(invitation, dial).run()
        return Exit(code=0)

    report, _ = judge(sometimes, "plain", "late-ready")
    assert report.verdict is Verdict.VIOLATIONS
    assert result_of(report, "RDY-4.waits-for-ready").status is Status.BLOCKED
    assert result_of(report, "HS-1.path").status is Status.PASSED


def test_a_client_that_cannot_be_started_is_not_judged() -> None:
    async def missing(invitation: Invitation, dial: Dial) -> Exit:
        return Exit(failure="clinet: No such file or directory")

    report, _ = judge(missing, "plain")
    assert report.unjudged == "the client could not be started: clinet: No such file or directory"
    assert report.results == ()


def test_what_came_instead_of_an_upgrade_request_is_told() -> None:
    async def fetch(invitation: Invitation, dial: Dial) -> Exit:
        stream = await dial()
        await stream.send(b"GET /v1/stream/analyze HTTP/1.1\r\nHost: judge.test\r\n\r\n")
        await stream.receive()
        await stream.aclose()
        return Exit(code=0)

    report, _ = judge(fetch, "plain")
    assert report.unjudged is not None
    assert "no upgrade request" in report.unjudged
    assert "WebSocket" in report.unjudged


@pytest.mark.parametrize("id_", ["ENV-3.goes-on", "ENV-1.takes-fragments"])
def test_another_exit_code_than_in_plain_is_a_failure_where_nothing_was_refused(id_: str) -> None:
    async def fails(invitation: Invitation, dial: Dial) -> Exit:
        await RawClient(invitation, dial).run()
        return Exit(code=0 if invitation.scenario == "plain" else 1)

    report, _ = judge(fails, "plain", "unknown", "frames", "errors")
    result = result_of(report, id_)
    assert result.status is Status.FAILED
    assert "exit code 1" in result.evidence[0].what
    assert result_of(report, "ERR-2.goes-on").status is Status.PASSED


def test_an_exit_code_that_is_always_the_same_says_nothing() -> None:
    async def fails(invitation: Invitation, dial: Dial) -> Exit:
        await RawClient(invitation, dial).run()
        return Exit(code=1)

    report, _ = judge(fails, "plain", "unknown")
    assert result_of(report, "ENV-3.goes-on").status is Status.PASSED


@pytest.mark.parametrize("name", ["cut", "server-close", "fatal-error"])
def test_a_client_that_comes_again_and_waits_is_served_to_the_end(name: str) -> None:
    class Returning(RawClient):
        async def run(self) -> None:
            await self.session()
            self.ready = anyio.Event()
            await self.session()

    report = judge_class(Returning, name)
    assert [session.scenario for session in report.sessions] == [name, name]
    assert [result.check.id for result in report.results if result.status.broken] == []
    assert "session.ended" in [fields["type"] for _, fields in server_texts(report.sessions[1])]


def test_a_few_attempts_at_a_refused_upgrade_are_no_hammering() -> None:
    class Hoping(RawClient):
        attempts = 0

        async def be_refused(self) -> None:
            self.attempts += 1
            if self.attempts < 5:
                await anyio.sleep(1)
                await self.session()

    report = judge_class(Hoping, "refused-upgrade")
    assert len(report.sessions) == 5
    assert report.verdict is Verdict.CONFORMS


def test_a_client_that_closes_by_a_frame_is_not_asked_about_session_close() -> None:
    class Closing(RawClient):
        async def finish(self) -> None:
            await anyio.sleep(1)
            await self.stream.close()

    report = judge_class(Closing, "plain", "drain", "unknown")
    assert report.verdict is Verdict.CONFORMS
    for id_ in ("CLS-1.waits-for-ended", "CLS-2.no-media-after-close"):
        assert result_of(report, id_).status is Status.NOT_APPLICABLE
        assert "close frame" in result_of(report, id_).reason


def test_a_client_without_media_leaves_what_is_about_media_open() -> None:
    class Silent(RawClient):
        async def send_media(self) -> None:
            pass

    report = judge_class(Silent, "late-ready", "contract", "unknown")
    assert result_of(report, "RDY-4.waits-for-ready").status is Status.BLOCKED
    assert "no segment" in result_of(report, "RDY-4.waits-for-ready").evidence[0].what
    assert result_of(report, "SEG-2.within-contract").status is Status.UNSEEN
    assert result_of(report, "ENV-3.goes-on").status is Status.BLOCKED


def test_credentials_show_nowhere() -> None:
    report, played = judge_variant(named("another-credential"))
    text = encode_json(report).decode() + repr(played)
    assert "ih_live_somebody_elses" not in text
    assert not any(each.run.key in text for each in played)
    for name in ("pair-reversed", "another-bare-credential", "pair-with-another"):
        report, played = judge_variant(named(name), Choice(V1, (SCENARIOS["plain"],)))
        text = encode_json(report).decode()
        assert "ih_live_" not in text


def test_several_scenarios_at_once_come_to_the_same() -> None:
    async def main(jobs: int) -> list[tuple[str, Status]]:
        listeners: dict[str, MemoryListener] = {}
        names = iter([scenario.name for scenario in scenarios_of(V1)])

        def listen() -> MemoryListener:
            return listeners.setdefault(next(names), MemoryListener())

        async def call(invitation: Invitation) -> Exit:
            await RawClient(invitation, listeners[invitation.scenario].dial).run()
            return Exit()

        choice = attrs.evolve(Choice.all_of(V1), jobs=jobs)
        report, played = await judge_client(choice, call, target="it", make_listener=listen)
        assert [session.number for session in report.sessions] == list(range(1, len(report.sessions) + 1))
        assert [each.scenario.name for each in played] == EVERYTHING
        return [(result.check.id, result.status) for result in report.results]

    def run(jobs: int) -> list[tuple[str, Status]]:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return anyio.run(main, jobs, backend="trio", backend_options={"clock": clock})

    assert run(4) == run(1)


def test_a_session_that_is_left_open_is_told_from_one_that_was_dropped() -> None:
    for name, words in (
        ("never-ends", "had not ended the session when its 60 s were over"),
        ("leaves-without-a-word", "dropped"),
    ):
        report, _ = judge_variant(named(name), Choice(V1, (SCENARIOS["plain"],)))
        (evidence,) = result_of(report, "CLS-1.ends-the-session").evidence
        assert words in evidence.what


def test_a_key_in_the_path_does_not_show() -> None:
    class Tells(RawClient):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.path = f"/v1/{self.key}/analyze"

    report = judge_class(Tells, "plain")
    (evidence,) = result_of(report, "HS-1.path").evidence
    assert "'/v1/[redacted]/analyze'" in evidence.what


def test_a_fault_of_a_client_in_this_process_is_raised() -> None:
    async def fails(invitation: Invitation, dial: Dial) -> Exit:
        raise RuntimeError("the client is wrong")

    with pytest.raises(RuntimeError, match="the client is wrong"):
        judge(fails, "plain", "drain")


def test_a_fault_of_the_judge_is_raised() -> None:
    async def fails(stage: object) -> None:
        raise RuntimeError("the script is wrong")

    async def main() -> None:
        listener = MemoryListener()

        async def call(invitation: Invitation) -> Exit:
            await RawClient(invitation, listener.dial).run()
            return Exit()

        scenario = attrs.evolve(SCENARIOS["plain"], script=fails)
        await run_scenario(scenario, V1_WINDOW, call, listener=listener)

    clock = trio.testing.MockClock(autojump_threshold=0)
    with pytest.raises(ExceptionGroup) as caught:
        anyio.run(main, backend="trio", backend_options={"clock": clock})
    assert caught.group_contains(RuntimeError, match="the script is wrong")
