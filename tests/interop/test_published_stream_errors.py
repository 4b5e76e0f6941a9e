"""Every error that a session can bring, as the published client hears it."""

from __future__ import annotations

import attrs
import pytest
from interhumanai import stream as published
from interop.published import (
    BOTH,
    LINKS,
    PIECES,
    Heard,
    client_of,
    converse,
    hear,
    next_of,
    run,
    session,
    three_seconds,
)
from upload_requests import written

from ihproto import V1, ServerSettings
from ihproto_mock import MockServer, parse_scenario

# -- what the client brings about ---------------------------------------------------------------------


def one_error(heard: Heard, code: str, segment: int | None) -> published.ErrorData:
    """The only error of a session that went on until the client had enough of it."""
    (error,) = heard.of(published.ErrorEvent)
    assert (error.data.code, error.data.segment) == (code, segment)
    assert error.data.link is not None
    assert error.data.link.startswith(f"{LINKS}{code}-")
    assert error.data.message
    assert heard.events[-1].type == "session.ended"
    assert heard.close.code == 1000
    return error.data


def test_ih4002_something_that_is_no_video() -> None:
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(2000)
    one_error(session([png, *PIECES[:3]]), "ih4002", 1)


def test_ih4007_a_file_of_less_than_3_seconds() -> None:
    error = one_error(session([written("webm", "vp8", "opus", 1.5)]), "ih4007", 1)
    assert "1.5" in error.message


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_ih5001_no_pictures(version: published.StreamApiVersion) -> None:
    one_error(session([written("webm", None, "opus"), *PIECES[:2]], version=version), "ih5001", 1)


def test_ih5008_no_sound_in_v2() -> None:
    silent = written("webm", "vp8", None)
    one_error(session([silent, *PIECES[:2]], version="v2"), "ih5008", 1)
    assert session([silent], version="v1").errors == []


def test_ih5004_a_piece_that_is_not_the_next_one() -> None:
    error = one_error(session([PIECES[0], PIECES[2], PIECES[1]]), "ih5004", 2)
    assert error.message.startswith("segment 2 does not continue segment 1: a piece is missing, ")
    assert error.link == f"{LINKS}ih5004-malformed-segment"


def test_ih5004_a_session_that_begins_in_the_middle_of_a_recording() -> None:
    error = one_error(session(PIECES[1:2]), "ih5004", 1)
    assert "send the recorder's first chunk first" in error.message


def test_ih5004_an_empty_piece() -> None:
    one_error(session([b"", *PIECES[:2]]), "ih5004", 1)


@pytest.mark.parametrize(
    "text",
    ["no JSON", "[]", '{"inclued": []}', '{"include": "conversation_quality_overall"}', '{"type": "session.pause"}'],
)
def test_ih6001_a_text_that_is_no_config_changes_nothing(text: str) -> None:
    async def body() -> Heard:
        async with MockServer(make_scanner=three_seconds) as mock:
            stream = client_of(mock).stream()
            async with stream:
                await stream.wait_for_session_ready()
                await stream.update_config(include=BOTH)
                # The client itself can send no such thing.
                await stream._send(text)
                for _ in range(4):
                    await stream.send_video(b"x")
                await stream.request_close()
                return await hear(stream)

    heard = run(body)
    one_error(heard, "ih6001", None)
    (quality,) = heard.of(published.ConversationQualityUpdatedEvent)
    assert quality.data.overall is not None
    assert quality.data.timeline is not None


def test_ih6002_a_segment_of_more_than_32_mb() -> None:
    limit = 33_554_432
    heard = session([bytes(limit), bytes(limit + 1), b"x"], make_scanner=three_seconds)
    one_error(heard, "ih6002", 2)


def test_ih6003_a_client_that_says_nothing() -> None:
    contract = attrs.evolve(V1.contract, session_idle_timeout_seconds=1)

    async def body() -> Heard:
        async with MockServer(settings=ServerSettings(contract=contract)) as mock:
            stream = client_of(mock).stream()
            await stream.connect()
            return await hear(stream)

    heard = run(body)
    assert (heard.errors, heard.close.code) == ([("ih6003", None)], 1001)


def test_ih6004_a_session_that_lasts_too_long() -> None:
    contract = attrs.evolve(V1.contract, session_max_duration_seconds=1)

    async def body() -> Heard:
        async with MockServer(settings=ServerSettings(contract=contract)) as mock:
            stream = client_of(mock).stream()
            await stream.connect()
            return await hear(stream)

    heard = run(body)
    assert (heard.errors, heard.close.code) == ([("ih6004", None)], 1001)


# -- what a scenario brings about ---------------------------------------------------------------------

GOES_ON = 1000
#: The errors that end a session, each with its close code; all others leave it open.
CLOSES = {
    "ih1001": 1011,
    "ih1003": 1013,
    "ih2003": 4003,
    "ih2014": 1008,
    "ih4005": 1008,
    "ih6003": 1001,
    "ih6004": 1001,
}
AT_A_SEGMENT = ["ih3001", "ih3002", "ih3003", "ih3006", "ih4002", "ih4007", "ih5001", "ih5002", "ih5004", "ih5008"]
AT_A_SEGMENT += ["ih6002", "ih1001", "ih2014"]
AT_A_MOMENT = ["ih1001", "ih1003", "ih2003", "ih2014", "ih3001", "ih3002", "ih3003", "ih3006", "ih4005", "ih5002"]
AT_A_MOMENT += ["ih6003", "ih6004"]


@pytest.mark.parametrize("code", AT_A_SEGMENT)
def test_a_scenario_can_refuse_a_segment_with(code: str) -> None:
    scenario = parse_scenario(f'name = "s"\n[[error]]\nsegment = 2\ncode = "{code}"\nmessage = "Just so."')
    heard = session([b"x"] * 3, scenario=scenario, make_scanner=three_seconds)
    (error,) = heard.of(published.ErrorEvent)
    assert (error.data.code, error.data.segment) == (code, 2)
    assert "Just so." in error.data.message
    assert (error.data.link or "").startswith(f"{LINKS}{code}-")
    assert heard.close.code == CLOSES.get(code, GOES_ON)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("code", AT_A_MOMENT)
def test_a_scenario_can_say_at_a_moment(code: str, version: published.StreamApiVersion) -> None:
    scenario = parse_scenario(f'name = "s"\n[[error]]\nat = 4\ncode = "{code}"\nmessage = "Just so."')
    heard = session([b"x"] * 3, version=version, scenario=scenario, make_scanner=three_seconds)
    (error,) = heard.of(published.ErrorEvent)
    assert (error.data.code, error.data.segment, error.data.message) == (code, None, "Just so.")
    assert heard.close.code == CLOSES.get(code, GOES_ON)
    if code in CLOSES:
        assert heard.events[-1] is error


def test_errors_name_their_segment_and_the_session_goes_on() -> None:
    heard = session([b"x"] * 9, scenario="troubled", make_scanner=three_seconds)
    assert heard.errors == [("ih5002", 2), ("ih3003", 4), ("ih3001", None)]
    assert heard.close.code == 1000


def test_an_internal_error_ends_the_session_with_1011() -> None:
    async def body() -> tuple[tuple[str, int | None], int]:
        async with MockServer(scenario="troubled", make_scanner=three_seconds) as mock:
            heard = await converse(client_of(mock).stream(), [b"x"] * 10)
        return heard.errors[-1], heard.close.code

    assert run(body) == (("ih1001", None), 1011)


def test_a_session_that_was_refused_a_segment_takes_the_right_one_afterwards() -> None:
    async def body() -> tuple[published.ErrorData, Heard]:
        async with MockServer() as mock:
            stream = client_of(mock).stream()
            async with stream:
                await stream.wait_for_session_ready()
                await stream.send_video(PIECES[3])
                error = (await next_of(stream, published.ErrorEvent)).data
                for piece in PIECES:
                    await stream.send_video(piece)
                await stream.request_close()
                return error, await hear(stream)

    error, heard = run(body)
    assert (error.code, error.segment) == ("ih5004", 1)
    assert heard.errors == []
