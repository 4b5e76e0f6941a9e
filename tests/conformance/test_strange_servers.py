"""What is said of servers that are something else: a clear verdict each, soon, and nothing hangs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import pytest
from anyio.abc import ByteStream
from conformance.virtual import run_virtually

from ihproto import V1, V2, Revision
from ihproto.anyio import ConnectError, ServerStream, serve
from ihproto.wire import RawBytes, RawText
from ihproto_conformance import samples
from ihproto_conformance.memory import MemoryListener
from ihproto_conformance.reports import encode_json
from ihproto_conformance.server import Cost, Selection, ServerUnderTest, judge_server, plan
from ihproto_conformance.verdict import Report, Status, Verdict
from ihproto_mock import MockServer

Handler = Callable[[ServerStream], Awaitable[None]]
PATIENCE = 10.0
KEY = "ih_live_not-to-be-seen"
NOW = "2026-01-01T00:00:00Z"


async def judge(dial: Callable[[], Awaitable[ByteStream]], key: str = KEY) -> Report:
    target = ServerUnderTest(
        "ws://localhost/v1/stream/analyze", V1, key, media=samples.recording(), dial=dial, patience=PATIENCE
    )
    return await judge_server(target, Selection(full=True), version="0")


def judge_handler(handler: Handler) -> Report:
    """The report on a server that upgrades, whatever comes then."""

    async def body() -> Report:
        listener = MemoryListener()
        async with serve(handler, listener=listener):
            return await judge(listener.dial)

    return run_virtually(body)


def judge_bytes(answer: bytes | None, *, hang: bool = False) -> Report:
    """The report on a server that answers every request with the same bytes."""

    async def handle(stream: ByteStream) -> None:
        async with stream:
            try:
                await stream.receive()
                if answer:
                    await stream.send(answer)
                while hang:
                    await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass

    reports: list[Report] = []

    async def body() -> Report:
        listener = MemoryListener()
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            reports.append(await judge(listener.dial))
            tasks.cancel_scope.cancel()
        return reports[0]

    return run_virtually(body)


async def echo(stream: ServerStream) -> None:
    raw = await stream.accept_raw()
    async for event in raw:
        if isinstance(event, RawText):
            await raw.send_text(event.text, final=event.final)
        elif isinstance(event, RawBytes):
            await raw.send_bytes(event.data, final=event.final)
        elif raw.peer_closed:
            await raw.close()


async def hang(stream: ServerStream) -> None:
    raw = await stream.accept_raw()
    async for _ in raw:
        pass


def by_id(report: Report) -> dict[str, Status]:
    return {result.check.id: result.status for result in report.results}


def ready_with(**terms: Any) -> Handler:
    async def handle(stream: ServerStream) -> None:
        raw = await stream.accept_raw([("X-Correlation-ID", "c")])
        data = attrs.asdict(attrs.evolve(V1.contract, **terms))
        message = {"type": "session.ready", "timestamp": NOW, "correlation_id": "c", "data": data}
        await raw.send_text(json.dumps(message))
        async for _ in raw:
            if raw.peer_closed:
                await raw.close()

    return handle


@pytest.mark.parametrize("seconds", [0, -1])
def test_a_timeout_that_makes_no_sense_is_not_waited_for(seconds: float) -> None:
    report = judge_handler(ready_with(session_idle_timeout_seconds=seconds, session_max_duration_seconds=seconds))
    found = by_id(report)
    assert found["RDY-2.observed"] is Status.FAILED
    for id_ in ("TMO-1.idle", "TMO-2.duration", "TMO-2.not-early"):
        assert found[id_] is Status.UNSEEN


async def say_a_huge_number(stream: ServerStream) -> None:
    raw = await stream.accept_raw([("X-Correlation-ID", "c")])
    data = '{"code": "ih1001", "message": "m", "link": null, "segment": null, "retry_after": 1e999}'
    await raw.send_text(f'{{"type": "error", "timestamp": "{NOW}", "correlation_id": "c", "data": {data}}}')
    async for _ in raw:
        if raw.peer_closed:
            await raw.close()


def test_a_number_that_no_computer_can_hold_is_nobodys_business() -> None:
    report = judge_handler(say_a_huge_number)
    assert report.verdict is Verdict.VIOLATIONS
    assert by_id(report)["ERR-1.members"] is Status.PASSED


async def refuse_strangers_deeply(stream: ServerStream) -> None:
    credential = stream.request.credential
    if credential is not None and credential.value == KEY:
        await echo(stream)
    else:
        await stream.refuse_raw(401, [("Content-Type", "application/json")], b"[" * 60_000)


def test_a_refusal_that_is_nested_too_deep_is_no_json_object() -> None:
    report = judge_handler(refuse_strangers_deeply)
    found = by_id(report)
    assert found["HS-10.missing"] is Status.PASSED
    assert found["HS-10.body"] is Status.FAILED


def test_an_echo_server_says_no_ready_and_nothing_can_be_tried() -> None:
    report = judge_handler(echo)
    assert report.verdict is Verdict.VIOLATIONS
    found = by_id(report)
    # It lets everybody in, tells no correlation id, and is never ready.
    assert found["HS-10.missing"] is Status.FAILED
    assert found["HS-9.observed"] is Status.FAILED
    assert found["RDY-1.first"] is Status.FAILED
    assert found["CLS-1.closing"] is Status.BLOCKED
    blocked = next(result for result in report.results if result.check.id == "CLS-1.closing")
    assert "session.ready did not come" in blocked.evidence[0].what


def test_a_server_that_hangs_after_the_upgrade_is_given_up() -> None:
    report = judge_handler(hang)
    assert report.verdict is Verdict.VIOLATIONS
    assert by_id(report)["CLS-3.close-answered"] is Status.FAILED
    # A few times the patience, and not once for everything that could be tried.
    assert report.seconds < 10 * PATIENCE


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP 200"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "HTTP 404"),
        (b"HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\n\r\nno", "HTTP 426"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not a valid WebSocket upgrade"),
        (b"", "closed the connection"),
    ],
)
def test_a_server_without_a_websocket_cannot_be_judged(answer: bytes, what: str) -> None:
    report = judge_bytes(answer)
    assert report.verdict is Verdict.UNJUDGED
    assert report.unjudged is not None
    assert what in report.unjudged


def test_a_refusal_that_repeats_the_key_does_not_get_it_into_the_report() -> None:
    body = f'{{"error_id": "ih2001", "correlation_id": "c", "message": "{KEY} is unknown", "link": "l"}}'.encode()
    head = b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    report = judge_bytes(head + body)
    assert "[redacted] is unknown" in str(report.unjudged)
    assert KEY.encode() not in encode_json(report)


def test_a_server_that_never_answers_the_upgrade_cannot_be_judged() -> None:
    report = judge_bytes(None, hang=True)
    assert report.verdict is Verdict.UNJUDGED
    assert "in time" in (report.unjudged or "")
    assert report.seconds <= 3 * PATIENCE


def test_a_server_that_cannot_be_reached_cannot_be_judged() -> None:
    async def dial() -> ByteStream:
        raise ConnectError("localhost:80 cannot be reached: Connection refused")

    report = run_virtually(lambda: judge(dial))
    assert report.verdict is Verdict.UNJUDGED
    assert report.unjudged == "localhost:80 cannot be reached: Connection refused"


def test_a_key_that_is_refused_is_said_to_be() -> None:
    async def body() -> Report:
        listener = MemoryListener()
        async with MockServer(listener=listener):
            return await judge(listener.dial)

    report = run_virtually(body)
    assert report.verdict is Verdict.UNJUDGED
    assert "refused the key with HTTP 401" in (report.unjudged or "")
    assert KEY not in repr(report.sessions) + repr(report)


def test_a_server_of_another_revision_is_told_by_what_it_says() -> None:
    async def body() -> Report:
        listener = MemoryListener()
        async with MockServer(listener=listener, pin=["v1-window"], keys={KEY: ["interhumanai.stream"]}):
            return await judge(listener.dial)

    report = run_virtually(body)
    assert report.verdict is Verdict.VIOLATIONS
    assert by_id(report)["RDY-1.first"] is Status.FAILED


@pytest.mark.parametrize("revision", [V1, V2])
def test_what_is_used_is_not_more_than_was_announced(revision: Revision) -> None:
    async def body() -> tuple[Cost, Report]:
        listener = MemoryListener()
        async with MockServer(listener=listener, keys={KEY: ["interhumanai.stream"]}):
            target = ServerUnderTest(
                f"ws://localhost{revision.path}", revision, KEY, media=samples.recording(), dial=listener.dial
            )
            announced = sum((cost for _, cost in plan(target, Selection(full=True))), Cost())
            return announced, await judge_server(target, Selection(full=True), version="0")

    announced, report = run_virtually(body)
    assert report.verdict is Verdict.CONFORMS
    assert len(report.sessions) <= announced.connections
    assert report.media_seconds <= announced.media_seconds


def test_the_budget_holds_even_where_a_scenario_would_send_more() -> None:
    async def body() -> Report:
        listener = MemoryListener()
        async with MockServer(listener=listener, keys={KEY: ["interhumanai.stream"]}):
            target = ServerUnderTest(
                "ws://localhost", V1, KEY, media=samples.recording(), dial=listener.dial, budget_seconds=7.0
            )
            return await judge_server(target, Selection(include=("stream",)), version="0")

    report = run_virtually(body)
    assert report.media_seconds <= 7.0
    blocked = [result for result in report.results if result.status is Status.BLOCKED]
    assert blocked
    assert all("the budget of 7 s of video is used up" in result.evidence[0].what for result in blocked)
