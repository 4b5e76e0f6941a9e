"""Whole sessions of the published client, in the revisions that it speaks."""

from __future__ import annotations

import interhumanai
import pytest
from interhumanai import stream as published
from interop.published import (
    BOTH,
    OVERALL,
    PIECES,
    RECORDING_SECONDS,
    TIMELINE,
    client_of,
    converse,
    hear,
    next_of,
    run,
    session,
    three_seconds,
)

from ihproto import ServerSettings
from ihproto_mock import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, LogEntry, MockServer, parse_scenario

VERSIONS: list[published.StreamApiVersion] = ["v1", "v2"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_whole_session_of_a_real_recording_ends_with_close_code_1000(version: published.StreamApiVersion) -> None:
    heard = session(PIECES, version=version, config={"include": BOTH})
    assert heard.errors == []
    # What the scenario has within the length of the recording, each type in its own stretch.
    begun = {(event.data.signal_type.value, event.data.start) for event in heard.of(published.SignalDetectedEvent)}
    assert begun == {
        ("agreement", 1.5),
        ("interest", 5.0),
        ("hesitation", 15.5),
        ("skepticism", 25.0),
        ("confidence", 29.0),
    }
    ended = {event.data.signal_type.value: event.data.end for event in heard.of(published.SignalEndedEvent)}
    assert ended.pop("confidence") == pytest.approx(RECORDING_SECONDS, abs=0.1)
    assert ended == {"agreement": 13.5, "interest": 27.0, "hesitation": 19.0, "skepticism": 31.0}
    quality = heard.of(published.ConversationQualityUpdatedEvent)
    periods = [(entry.start, entry.end) for event in quality for entry in event.data.timeline or ()]
    assert periods == [(0, 10), (10, 20), (20, 30)]
    assert all(event.data.overall is not None for event in quality)
    assert heard.events[0].type == "session.ready"
    assert [event.type for event in heard.events[-1:]] == ["session.ended"]
    assert heard.events[-1].data.reason == "client_shutdown"
    assert heard.close.code == 1000


def test_the_client_reads_every_field_as_it_was_meant() -> None:
    heard = session([b"x"] * 4, config={"include": BOTH}, make_scanner=three_seconds)
    (updated,) = heard.of(published.SessionUpdatedEvent)
    assert [flag.value for flag in updated.data.include] == BOTH
    detected = heard.of(published.SignalDetectedEvent)[0].data
    assert (detected.signal_type, detected.start, detected.probability) == ("agreement", 1.5, "medium")
    assert detected.rationale == "A slow nod while the other side explains."
    engagement = heard.of(published.EngagementUpdatedEvent)[0].data
    assert (engagement.state, engagement.start) == ("engaged", 6.0)
    (quality,) = heard.of(published.ConversationQualityUpdatedEvent)
    assert quality.data.overall is not None
    assert quality.data.timeline is not None
    (entry,) = quality.data.timeline
    assert (entry.start, entry.end) == (0, 10)
    (closing,) = heard.of(published.SessionClosingEvent)
    assert closing.data.max_drain_seconds == 30


@pytest.mark.parametrize("version", VERSIONS)
def test_the_contract_is_the_documented_one(version: published.StreamApiVersion) -> None:
    heard = session([], version=version)
    contract = heard.of(published.SessionReadyEvent)[0].data
    assert (contract.session_idle_timeout_seconds, contract.session_max_duration_seconds) == (300, 3600)
    assert (contract.min_segment_size_bytes, contract.max_segment_size_bytes) == (1, 33_554_432)
    options = contract.supported_session_config_options
    assert [flag.value for flag in options.include] == BOTH
    if version == "v1":
        assert options.model is None
    else:
        assert options.model == ["inter-2", "inter-2-audio"]
        assert options.goal_dimensions == ["clarity", "authority", "energy", "rapport", "learning"]


@pytest.mark.parametrize("sections", [[], [OVERALL], [TIMELINE], BOTH])
def test_scores_have_the_sections_that_were_asked_for(sections: list[str]) -> None:
    heard = session([b"x"] * 4, config={"include": sections}, make_scanner=three_seconds)
    quality = heard.of(published.ConversationQualityUpdatedEvent)
    assert len(quality) == (1 if sections else 0)
    for event in quality:
        assert (event.data.overall is not None) == (OVERALL in sections)
        assert (event.data.timeline is not None) == (TIMELINE in sections)


def test_an_update_without_include_switches_every_section_off() -> None:
    async def body() -> list[list[str]]:
        async with MockServer() as mock:
            stream = client_of(mock).stream()
            async with stream:
                await stream.wait_for_session_ready()
                for include in (BOTH, None, [TIMELINE, "nobody_knows_this"]):
                    await stream.update_config(include=include)
                await stream.request_close()
                heard = await hear(stream)
        return [[flag.value for flag in event.data.include] for event in heard.of(published.SessionUpdatedEvent)]

    assert run(body) == [BOTH, [], [TIMELINE]]


def test_goal_dimensions_bring_feedback_in_v2() -> None:
    heard = session(PIECES, version="v2", config={"goal_dimensions": ["clarity", interhumanai.GoalDimension.RAPPORT]})
    (updated,) = heard.of(published.SessionUpdatedEvent)
    assert updated.data.goal_dimensions == ["clarity", "rapport"]
    assert [event.data.feedback for event in heard.of(published.FeedbackGeneratedEvent)] == [
        "They are with you: a short question now would draw them in.",
        "Doubt shows; give one concrete example before the next point.",
    ]


def test_no_goal_dimensions_no_feedback() -> None:
    assert session(PIECES, version="v2").kinds["feedback.generated"] == 0


def test_goal_dimensions_are_refused_where_they_are_not_offered_and_the_session_goes_on() -> None:
    async def body() -> tuple[list[tuple[str, int | None]], list[list[str]]]:
        async with MockServer() as mock:
            stream = client_of(mock).stream(api_version="v1")
            async with stream:
                await stream.wait_for_session_ready()
                await stream.update_config(goal_dimensions=["clarity"])
                await stream.update_config(include=[OVERALL])
                await stream.request_close()
                heard = await hear(stream)
        return heard.errors, [[*event.data.include] for event in heard.of(published.SessionUpdatedEvent)]

    assert run(body) == ([("ih6001", None)], [[interhumanai.IncludeFlag.CONVERSATION_QUALITY_OVERALL]])


@pytest.mark.parametrize("model", [None, "inter-2", "inter-2-audio"])
def test_the_model_of_the_url_is_the_one_in_force(model: str | None) -> None:
    heard = session([], version="v2", model=model, config={"include": [OVERALL]})
    (updated,) = heard.of(published.SessionUpdatedEvent)
    assert updated.data.model == (model or "inter-2")


def test_the_model_can_be_changed_until_the_first_media_and_not_afterwards() -> None:
    async def body() -> list[object]:
        told: list[object] = []
        async with MockServer() as mock:
            stream = client_of(mock).stream(api_version="v2")
            async with stream:
                await stream.wait_for_session_ready()
                await stream.update_config(model=interhumanai.StreamModel.INTER_2_AUDIO)
                told.append((await next_of(stream, published.SessionUpdatedEvent)).data.model)
                await stream.send_video(PIECES[0])
                await stream.update_config(model="inter-2")
                error = (await next_of(stream, published.ErrorEvent)).data
                told.append((error.code, error.segment))
                # Naming the one in force is no change.
                await stream.update_config(model="inter-2-audio")
                told.append((await next_of(stream, published.SessionUpdatedEvent)).data.model)
                await stream.request_close()
                told.append((await hear(stream)).close.code)
        return told

    assert run(body) == ["inter-2-audio", ("ih6001", None), "inter-2-audio", 1000]


def test_a_model_is_no_config_of_v1() -> None:
    heard = session([], version="v1", config={"model": "inter-2"})
    assert heard.errors == [("ih6001", None)]
    assert heard.of(published.SessionUpdatedEvent) == []


def test_a_model_that_there_is_not_fails_readiness_with_ih4005_and_1008() -> None:
    async def body() -> tuple[str, published.CloseInfo]:
        async with MockServer() as mock:
            stream = await client_of(mock).stream(api_version="v2", model="inter-9").connect()
            with pytest.raises(interhumanai.InterhumanError) as raised:
                await stream.wait_for_session_ready()
            return str(raised.value), await stream.wait_closed()

    text, close = run(body)
    assert "The server reported ih4005: there is no such model; this session offers inter-2, inter-2-audio" in text
    assert close.code == 1008


@pytest.mark.parametrize(("unavailable", "named"), [("inter-2", None), ("inter-2", "inter-2"), ("inter-2-audio",) * 2])
def test_a_model_that_nothing_serves_fails_readiness_with_ih1003_and_1013(unavailable: str, named: str | None) -> None:
    async def body() -> tuple[str, published.CloseInfo]:
        async with MockServer(settings=ServerSettings(unavailable_models=frozenset({unavailable}))) as mock:
            stream = await client_of(mock).stream(api_version="v2", model=named).connect()
            with pytest.raises(interhumanai.InterhumanError) as raised:
                await stream.wait_for_session_ready()
            return str(raised.value), await stream.wait_closed()

    text, close = run(body)
    assert "The server reported ih1003" in text
    assert close.code == 1013


def test_another_model_is_served_all_the_same() -> None:
    settings = ServerSettings(unavailable_models=frozenset({"inter-2-audio"}))
    heard = session(PIECES[:2], version="v2", settings=settings)
    assert (heard.errors, heard.close.code) == ([], 1000)


# -- the two ways of the client to authenticate -------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_key_pair_opens_sessions_and_is_exchanged_once(version: published.StreamApiVersion) -> None:
    entries: list[LogEntry] = []

    async def body() -> list[int]:
        async with MockServer(log=entries.append) as mock:
            client = interhumanai.InterhumanClient(
                key_id=DEFAULT_KEY_ID, key_secret=DEFAULT_KEY_SECRET, base_url=mock.base_url
            )
            codes = []
            for _ in range(2):
                codes.append((await converse(client.stream(api_version=version), PIECES[:2])).close.code)
            return codes

    assert run(body) == [1000, 1000]
    assert [entry.fields["path"] for entry in entries if entry.event == "request"] == ["/v1/auth"]
    assert {entry.fields["credential"] for entry in entries if entry.event == "upgrade"} == {"header"}


def test_an_access_token_opens_a_session() -> None:
    async def body() -> int:
        async with MockServer() as mock:
            auth = interhumanai.AuthClient(base_url=mock.base_url)
            token = await auth.create_token(
                key_id=DEFAULT_KEY_ID, key_secret=DEFAULT_KEY_SECRET, scopes=[interhumanai.Scope.STREAM]
            )
            return (await converse(client_of(mock, token.access_token).stream(), PIECES[:2])).close.code

    assert run(body) == 1000


def test_a_wrong_key_is_refused_with_401() -> None:
    async def body() -> None:
        async with MockServer() as mock:
            await client_of(mock, "ih_live_wrong").stream().connect()

    with pytest.raises(interhumanai.InterhumanError, match="401"):
        run(body)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_key_without_scope_is_told_so_and_closed_with_4003(version: published.StreamApiVersion) -> None:
    async def body() -> published.CloseInfo:
        async with MockServer(keys={"k": ["interhumanai.upload"]}) as mock:
            stream = await client_of(mock).stream(api_version=version).connect()
            with pytest.raises(interhumanai.InterhumanError, match="ih2003"):
                await stream.wait_for_session_ready()
            return await stream.wait_closed()

    assert run(body).code == 4003


# -- what only some videos have ------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_what_was_not_fully_analysed_is_told(version: published.StreamApiVersion) -> None:
    # Windows end at 8, 11, 14, 17, 20, … s of media: three of them are dropped, and the one after those is degraded.
    scenario = parse_scenario(
        """
        name = "gaps"
        [[coverage]]
        kind = "dropped"
        start = 10
        end = 18
        [[coverage]]
        kind = "degraded"
        start = 19
        end = 21
        """
    )
    heard = session([b"x"] * 8, version=version, scenario=scenario, make_scanner=three_seconds)
    dropped = [stretch for event in heard.of(published.CoverageDroppedEvent) for stretch in event.data.ranges]
    # The window before them saw everything up to 8 s, and the one after them everything from 12 s on.
    assert (dropped[0].start, dropped[-1].end) == (8, 12)
    assert [stretch.end for stretch in dropped[:-1]] == [stretch.start for stretch in dropped[1:]]
    (degraded,) = heard.of(published.CoverageDegradedEvent)
    assert [(stretch.start, stretch.end) for stretch in degraded.data.ranges] == [(12, 20)]
    assert degraded.data.reason == "video_gap"
