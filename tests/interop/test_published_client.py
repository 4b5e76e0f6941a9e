"""The published client of the service talks to the mock server, unmodified."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import interhumanai
import pytest
from interhumanai import stream as published

from ihproto import MediaScanner, NominalScanner, SegmentScanner, SessionReady
from ihproto_mock import MockServer

RECORDING = sorted((Path(__file__).parents[2] / "examples" / "recording").glob("*.bin"))


async def _session(
    mock: MockServer, pieces: list[bytes], *, include: list[str]
) -> tuple[list[object], published.CloseInfo]:
    client = interhumanai.InterhumanClient(access_token=mock.key, base_url=mock.base_url)
    events: list[object] = []
    stream = client.stream(api_version="v1")
    async with stream:
        ready = await stream.wait_for_session_ready()
        assert isinstance(ready, published.SessionReadyEvent)
        await stream.update_config(include=include)
        for piece in pieces:
            await stream.send_video(piece)
        await stream.request_close()
        events = [event async for event in stream]
        return events, await stream.wait_closed()


def _three_seconds(contract: SessionReady) -> SegmentScanner:
    """Any bytes are a segment of three seconds."""
    return NominalScanner(3.0)


def _run(
    pieces: list[bytes],
    *,
    include: list[str],
    scenario: str = "lively",
    make_scanner: Callable[[SessionReady], SegmentScanner] = _three_seconds,
) -> tuple[list[object], int]:
    async def body() -> tuple[list[object], int]:
        async with MockServer(scenario=scenario, make_scanner=make_scanner) as mock:
            events, close = await _session(mock, pieces, include=include)
            return events, close.code

    return asyncio.run(body())


BOTH = ["conversation_quality_overall", "conversation_quality_timeline"]


def test_a_whole_session_of_a_real_recording_ends_with_close_code_1000() -> None:
    events, code = _run([path.read_bytes() for path in RECORDING[:4]], include=BOTH, make_scanner=MediaScanner)
    kinds = Counter(type(event).__name__ for event in events)
    assert code == 1000
    assert kinds["UnknownEvent"] == 0
    assert kinds["ErrorEvent"] == 0
    assert kinds["SessionReadyEvent"] == 1
    assert kinds["SessionUpdatedEvent"] == 1
    assert kinds["SignalDetectedEvent"] == kinds["SignalEndedEvent"] >= 2
    assert kinds["SignalUpdatedEvent"] >= 1
    assert kinds["ConversationQualityUpdatedEvent"] == 1
    assert isinstance(events[-1], published.SessionEndedEvent)
    assert events[-1].data.reason == "client_shutdown"


def test_the_client_reads_every_field_as_it_was_meant() -> None:
    events, _ = _run([b"x"] * 4, include=BOTH)
    updated = next(event for event in events if isinstance(event, published.SessionUpdatedEvent))
    assert [flag.value for flag in updated.data.include] == BOTH
    detected = [event for event in events if isinstance(event, published.SignalDetectedEvent)]
    assert (detected[0].data.signal_type, detected[0].data.start) == ("agreement", 1.5)
    assert detected[0].data.probability == "medium"
    quality = next(event for event in events if isinstance(event, published.ConversationQualityUpdatedEvent))
    assert quality.data.overall is not None
    assert quality.data.timeline is not None
    (entry,) = quality.data.timeline
    assert (entry.start, entry.end) == (0, 10)
    assert len({event.correlation_id for event in events if hasattr(event, "correlation_id")}) == 1


def test_a_config_that_is_not_accepted_is_an_error_and_the_session_goes_on() -> None:
    async def body() -> list[object]:
        async with MockServer() as mock:
            client = interhumanai.InterhumanClient(access_token=mock.key, base_url=mock.base_url)
            stream = client.stream()
            async with stream:
                await stream.wait_for_session_ready()
                await stream.update_config(goal_dimensions=["clarity"])
                await stream.update_config(include=BOTH[:1])
                await stream.request_close()
                return [event async for event in stream]

    events = asyncio.run(body())
    error = next(event for event in events if isinstance(event, published.ErrorEvent))
    assert (error.data.code, error.data.segment) == ("ih6001", None)
    updated = [event for event in events if isinstance(event, published.SessionUpdatedEvent)]
    assert [flag.value for flag in updated[0].data.include] == BOTH[:1]
    assert isinstance(events[-1], published.SessionEndedEvent)


def test_a_wrong_key_is_refused_with_401() -> None:
    async def body() -> None:
        async with MockServer() as mock:
            client = interhumanai.InterhumanClient(access_token="ih_live_wrong", base_url=mock.base_url)
            await client.stream().connect()

    with pytest.raises(interhumanai.InterhumanError, match="401"):
        asyncio.run(body())


def test_a_key_without_scope_is_told_so_and_closed_with_4003() -> None:
    async def body() -> published.CloseInfo:
        async with MockServer(keys={"k": ["interhumanai.upload"]}) as mock:
            client = interhumanai.InterhumanClient(access_token="k", base_url=mock.base_url)
            stream = await client.stream().connect()
            with pytest.raises(interhumanai.InterhumanError, match="ih2003"):
                await stream.wait_for_session_ready()
            return await stream.wait_closed()

    assert asyncio.run(body()).code == 4003


def test_a_segment_that_is_not_the_next_piece_is_an_error_that_explains_itself() -> None:
    pieces = [RECORDING[index].read_bytes() for index in (0, 2, 1)]
    events, code = _run(pieces, include=[], make_scanner=MediaScanner)
    (error,) = [event for event in events if isinstance(event, published.ErrorEvent)]
    assert (error.data.code, error.data.segment) == ("ih5004", 2)
    assert error.data.message.startswith("segment 2 does not continue segment 1: a piece is missing, ")
    assert error.data.link == "https://docs.interhuman.ai/api-reference/error-handling#ih5004-malformed-segment"
    assert code == 1000


def test_errors_name_their_segment_and_the_session_goes_on() -> None:
    events, code = _run([b"x"] * 9, include=[], scenario="troubled")
    errors = [(event.data.code, event.data.segment) for event in events if isinstance(event, published.ErrorEvent)]
    assert errors == [("ih5002", 2), ("ih3003", 4), ("ih3001", None)]
    assert code == 1000


def test_an_internal_error_ends_the_session_with_1011() -> None:
    events, code = _run([b"x"] * 10, include=[], scenario="troubled")
    assert isinstance(events[-1], published.ErrorEvent)
    assert events[-1].data.code == "ih1001"
    assert code == 1011
