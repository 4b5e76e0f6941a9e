from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from ihproto import (
    INCLUDE_OVERALL,
    INCLUDE_TIMELINE,
    V1,
    ClientEvent,
    ConversationQualityUpdated,
    EngagementUpdated,
    Envelope,
    Error,
    NominalScanner,
    ServerMessage,
    ServerSettings,
    SessionClosed,
    SessionClosing,
    SessionReady,
    SignalDetected,
    SignalEnded,
    SignalUpdated,
    TimelineEntry,
    Violated,
)
from ihproto.anyio import ClientStream, SessionRefused, UpgradeError, connect
from ihproto.tokens import STREAM_SCOPE
from ihproto.wire import UpgradeRefused
from ihproto_mock import DEFAULT_KEY, LogEntry, MockServer, parse_scenario
from ihproto_mock.keys import KeyRing

BOTH = [INCLUDE_OVERALL, INCLUDE_TIMELINE]


def three_seconds(contract: SessionReady) -> NominalScanner:
    """Any bytes are a segment of three seconds."""
    return NominalScanner(3.0)


@pytest.fixture(params=["asyncio", "trio"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    return lambda body: anyio.run(body, backend=request.param)


Run = Callable[[Callable[[], Awaitable[Any]]], Any]


async def _play(stream: ClientStream, segments: int) -> tuple[list[Any], SessionClosed]:
    """Send so many segments, end gracefully, and return the messages and the close."""
    await stream.send_config(BOTH)
    for _ in range(segments):
        await stream.send_segment(b"x")
    await stream.end()
    events: list[ClientEvent] = [event async for event in stream]
    assert not [event for event in events if isinstance(event, Violated)]
    closed = events.pop()
    assert isinstance(closed, SessionClosed)
    return [event.message for event in events if isinstance(event, Envelope)], closed


async def _session(mock: MockServer, segments: int) -> tuple[list[Any], SessionClosed]:
    async with connect(mock.url, mock.key, strict=True) as stream:
        return await _play(stream, segments)


def test_the_default_scenario_shows_every_kind_of_event(run: Run) -> None:
    async def body() -> tuple[list[ServerMessage], SessionClosed]:
        async with MockServer(make_scanner=three_seconds) as mock:
            return await _session(mock, 12)

    messages, closed = run(body)
    kinds = {type(message) for message in messages}
    assert {SignalDetected, SignalUpdated, SignalEnded, EngagementUpdated, ConversationQualityUpdated} <= kinds
    assert (closed.code, closed.error) == (1000, None)
    assert closed.ended is not None


def test_the_same_segments_give_the_same_events(run: Run) -> None:
    async def body() -> list[tuple[list[ServerMessage], SessionClosed]]:
        async with MockServer(make_scanner=three_seconds) as mock:
            return [await _session(mock, 30) for _ in range(2)]

    # How many windows are still to be analysed when session.close is answered depends on how the bytes come.
    first, second = (
        ([message for message in messages if not isinstance(message, SessionClosing)], closed)
        for messages, closed in run(body)
    )
    assert first == second


def test_a_quiet_scenario_gives_scores_of_fifty_and_nothing_else(run: Run) -> None:
    async def body() -> list[ServerMessage]:
        async with MockServer(scenario="quiet", make_scanner=three_seconds) as mock:
            messages, _ = await _session(mock, 4)
            return messages

    messages = run(body)
    (quality,) = [message for message in messages if isinstance(message, ConversationQualityUpdated)]
    assert quality.overall is not None
    assert {quality.overall.quality_index, quality.overall.clarity, quality.overall.learning} == {50}
    assert not [message for message in messages if isinstance(message, SignalDetected | EngagementUpdated)]


def test_scenario_errors_refuse_their_segment_and_a_fatal_one_closes(run: Run) -> None:
    async def body() -> tuple[list[Any], SessionClosed]:
        async with (
            MockServer(scenario="troubled", make_scanner=three_seconds) as mock,
            connect(mock.url, mock.key) as stream,
        ):
            for _ in range(12):
                await stream.send_segment(b"x")
            events = [event async for event in stream]
            closed = events.pop()
            assert isinstance(closed, SessionClosed)
            return [event.message for event in events if isinstance(event, Envelope)], closed

    messages, closed = run(body)
    errors = [(message.code, message.segment) for message in messages if isinstance(message, Error)]
    assert errors == [("ih5002", 2), ("ih3003", 4), ("ih3001", None), ("ih1001", None)]
    assert (closed.code, closed.error.code if closed.error else None) == (1011, "ih1001")


def test_many_sessions_at_once_do_not_mix(run: Run) -> None:
    async def body() -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []

        async def one(mock: MockServer, segments: int) -> None:
            messages, _ = await _session(mock, segments)
            ends = [m.timeline[0].end for m in messages if isinstance(m, ConversationQualityUpdated) and m.timeline]
            seen.append((segments, len(ends)))

        async with MockServer(make_scanner=three_seconds) as mock, anyio.create_task_group() as tasks:
            for segments in range(4, 24):
                tasks.start_soon(one, mock, segments)
        return sorted(seen)

    assert run(body) == [(segments, segments * 3 // 10) for segments in range(4, 24)]


@pytest.mark.parametrize(
    ("key", "path", "status", "error_id"),
    [
        ("ih_live_wrong", "/v1/stream/analyze", 401, "ih2001"),
        (DEFAULT_KEY, "/v9/stream/analyze", 404, None),
    ],
)
def test_a_request_that_is_refused_gets_the_documented_body(
    run: Run, key: str, path: str, status: int, error_id: str | None
) -> None:
    async def body() -> UpgradeError:
        async with MockServer(make_scanner=three_seconds) as mock:
            with pytest.raises(UpgradeError) as raised:
                async with connect(mock.base_url.replace("http", "ws") + path, key):
                    pass
            return raised.value

    error = run(body)
    assert isinstance(error.event, UpgradeRefused)
    assert error.event.status == status
    assert error.event.error is not None
    assert error.event.error.error_id == error_id
    assert error.event.error.correlation_id == error.event.correlation_id
    assert error.event.error.message
    assert key not in str(error)


def test_a_request_without_a_credential_gets_401() -> None:
    async def body() -> bytes:
        async with (
            MockServer(make_scanner=three_seconds) as mock,
            await anyio.connect_tcp("127.0.0.1", mock.port) as socket,
        ):
            await socket.send(
                b"GET /v1/stream/analyze HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            answer = b""
            try:
                while True:
                    answer += await socket.receive()
            except anyio.EndOfStream:
                return answer

    answer = anyio.run(body)
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b'"error_id":"ih2002"' in answer


def test_a_key_without_the_scope_gets_ih2003_and_4003(run: Run) -> None:
    async def body() -> SessionRefused:
        async with MockServer(keys={"ih_live_upload": ["interhumanai.upload"]}) as mock:
            with pytest.raises(SessionRefused) as raised:
                async with connect(mock.url, mock.key):
                    pass
            return raised.value

    refused = run(body)
    assert refused.error is not None
    assert (refused.error.code, refused.closed.code) == ("ih2003", 4003)


def test_several_keys_each_with_their_scopes() -> None:
    async def body() -> None:
        async with MockServer(keys={"one": [STREAM_SCOPE], "two": [STREAM_SCOPE, "interhumanai.upload"]}) as mock:
            assert mock.key == "one"
            for key in ("one", "two"):
                async with connect(mock.url, key) as stream:
                    assert stream.contract.session_idle_timeout_seconds == 300

    anyio.run(body)


@pytest.mark.parametrize("keys", [{}, {"": [STREAM_SCOPE]}])
def test_a_server_without_a_key_is_refused(keys: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="key"):
        MockServer(keys=keys)


def test_contract_windows_and_segment_length_are_settings(run: Run) -> None:
    contract = SessionReady(
        session_idle_timeout_seconds=7,
        session_max_duration_seconds=70,
        min_segment_size_bytes=1,
        max_segment_size_bytes=10,
        supported_session_config_options=V1.contract.supported_session_config_options,
    )
    settings = ServerSettings(contract=contract, window_seconds=2, window_advance_seconds=1, period_seconds=2)
    scenario = parse_scenario('name = "s"\n[[signal]]\ntype = "stress"\nstart = 3\nend = 3.5')

    async def body() -> list[Any]:
        async with (
            MockServer(scenario=scenario, settings=settings, make_scanner=lambda contract: NominalScanner(1.0)) as mock,
            connect(mock.url, mock.key, strict=True) as stream,
        ):
            assert stream.contract == contract
            return (await _play(stream, 6))[0]

    messages = run(body)
    assert [m for m in messages if isinstance(m, SignalDetected | SignalEnded)] == [
        SignalDetected("stress", 3),
        SignalEnded("stress", 3.5),
    ]
    periods = [m.timeline[0] for m in messages if isinstance(m, ConversationQualityUpdated) and m.timeline]
    assert all(isinstance(period, TimelineEntry) for period in periods)
    assert [(period.start, period.end) for period in periods] == [(0, 2), (2, 4), (4, 6)]


def test_the_log_says_what_happened_and_why_and_never_the_key(run: Run) -> None:
    entries: list[LogEntry] = []

    async def body() -> None:
        async with MockServer(scenario="troubled", make_scanner=three_seconds, log=entries.append) as mock:
            with pytest.raises(UpgradeError):
                async with connect(mock.url, "ih_live_wrong"):
                    pass
            async with connect(mock.url, mock.key, client_request_id="job-7") as stream:
                await stream.send_config(["conversation_quality_overall", "nonsense"])
                await stream.send_config(goal_dimensions=["clarity"])
                for _ in range(3):
                    await stream.send_segment(b"x" * 5)
                await stream.end()
                async for _ in stream:
                    pass

    run(body)
    events = [entry.event for entry in entries]
    for expected in ("upgrade refused", "session opened", "config applied", "segment accepted", "segment refused"):
        assert expected in events
    assert "client at fault" in events
    assert events[-1] == "session closed"
    refused = next(entry for entry in entries if entry.event == "segment refused")
    assert (refused.fields["number"], refused.fields["code"], refused.refused) == (2, "ih5002", True)
    assert "job-7" in {entry.fields.get("client_request_id") for entry in entries}
    assert DEFAULT_KEY not in repr(entries)
    assert "ih_live_wrong" not in repr(entries)


def test_an_idle_session_expires_and_is_logged() -> None:
    entries: list[LogEntry] = []
    contract = SessionReady(
        session_idle_timeout_seconds=0.05,
        session_max_duration_seconds=70,
        min_segment_size_bytes=1,
        max_segment_size_bytes=10,
        supported_session_config_options=V1.contract.supported_session_config_options,
    )

    async def body() -> SessionClosed:
        settings = ServerSettings(contract=contract)
        async with (
            MockServer(settings=settings, log=entries.append) as mock,
            connect(mock.url, mock.key) as stream,
        ):
            events = [event async for event in stream]
        closed = events[-1]
        assert isinstance(closed, SessionClosed)
        return closed

    closed = anyio.run(body)
    assert (closed.code, closed.error.code if closed.error else None) == (1001, "ih6003")
    assert "session expired" in [entry.event for entry in entries]


def test_keys_do_not_show_in_a_repr() -> None:
    assert "secret" not in repr(KeyRing({"secret": [STREAM_SCOPE]}))


def test_a_server_that_is_not_listening_has_no_url() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        _ = MockServer().url
