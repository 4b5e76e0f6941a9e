"""Whole files, analysed for the published client within the request (UPL-1)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import interhumanai
import pytest
from interhumanai.types import AnalysisResult, Feedback, NoFeedback
from interop.published import (
    BOTH,
    LINKS,
    OVERALL,
    PIECES,
    RECORDING,
    RECORDING_SECONDS,
    TIMELINE,
    client_of,
    padded,
    run,
)
from upload_requests import written

from ihproto_mock import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, LogEntry, MockServer, parse_scenario


def analyze(file: Any = RECORDING, *, server: dict[str, Any] | None = None, **options: Any) -> AnalysisResult:
    async def body() -> AnalysisResult:
        async with MockServer(**(server or {})) as mock:
            return await client_of(mock).upload.analyze(file, **options)

    return run(body)


def refusal(
    file: bytes = RECORDING, *, credential: str | None = None, server: dict[str, Any] | None = None, **options: Any
) -> interhumanai.InterhumanAPIError:
    """The error that the client raises, complete."""
    entries: list[LogEntry] = []

    async def body() -> None:
        async with MockServer(log=entries.append, **(server or {})) as mock:
            await client_of(mock, credential).upload.analyze(file, **options)

    with pytest.raises(interhumanai.InterhumanAPIError) as raised:
        run(body)
    error = raised.value
    assert error.body is not None
    assert set(error.body) == {"error_id", "correlation_id", "link", "message"}
    assert (error.link or "").startswith(f"{LINKS}{error.error_id}-")
    assert error.body["message"]
    assert error.correlation_id in {entry.connection for entry in entries if entry.refused}
    return error


# -- the analysis -------------------------------------------------------------------------------------


def test_a_recording_is_analysed() -> None:
    result = analyze()
    # What the lively scenario has within the recording, which breaks off in the last one.
    last = result.signals.pop()
    assert (last.type, last.start) == ("confidence", 29.0)
    assert last.end == pytest.approx(RECORDING_SECONDS, abs=0.1)
    assert {(signal.type.value, signal.start, signal.end) for signal in result.signals} == {
        ("agreement", 1.5, 13.5),
        ("interest", 5.0, 27.0),
        ("hesitation", 15.5, 19.0),
        ("skepticism", 25.0, 31.0),
    }
    assert [state.state.value for state in result.engagement_state][-1] == "neutral"
    assert result.engagement_state[-1].end == pytest.approx(RECORDING_SECONDS, abs=0.1)
    assert (result.conversation_quality, result.feedback) == (None, None)


def test_scores_come_with_both_sections() -> None:
    quality = analyze(include=[interhumanai.IncludeFlag.CONVERSATION_QUALITY_OVERALL, TIMELINE]).conversation_quality
    assert quality is not None
    assert 50 < quality.overall.clarity < 70
    assert [(entry.start, entry.end) for entry in quality.timeline][:3] == [(0, 10), (10, 20), (20, 30)]


def test_the_overall_scores_can_come_alone() -> None:
    quality = analyze(include=[OVERALL]).conversation_quality
    assert quality is not None
    assert quality.timeline == []


def test_the_timeline_alone_is_in_the_answer_although_the_client_cannot_read_it() -> None:
    """The client's model of an answer requires `overall`, so whoever asks for the timeline alone needs another one."""

    async def body() -> Any:
        async with MockServer() as mock, httpx.AsyncClient(base_url=mock.base_url) as client:
            with pytest.raises(ValueError, match=r"conversation_quality\.overall"):
                await client_of(mock).upload.analyze(RECORDING, include=[TIMELINE])
            answer = await client.post(
                "/v1/upload/analyze",
                files={"file": ("video.webm", RECORDING, "video/webm")},
                data={"include[]": [TIMELINE]},
                headers={"Authorization": f"Bearer {mock.key}"},
            )
            return answer.status_code, answer.json()["conversation_quality"]

    status, quality = run(body)
    assert status == 200
    assert set(quality) == {"timeline"}
    assert set(quality["timeline"][0]["values"]) == {
        "quality_index",
        "clarity",
        "authority",
        "energy",
        "rapport",
        "learning",
    }


def test_goal_dimensions_bring_feedback_on_them() -> None:
    feedback = analyze(goal_dimensions=["rapport", interhumanai.GoalDimension.CLARITY]).feedback
    assert isinstance(feedback, Feedback)
    assert set(feedback.active_dimensions) == {"rapport", "clarity"}
    assert feedback.message
    assert feedback.primary_signal is not None


def test_a_context_brings_feedback_and_makes_goal_dimensions_count_for_nothing() -> None:
    feedback = analyze(conversation_context="A first meeting.", goal_dimensions=["rapport"]).feedback
    assert isinstance(feedback, Feedback)
    assert feedback.active_dimensions == []


def test_where_nothing_happens_there_is_no_feedback_and_every_score_is_50() -> None:
    result = analyze(include=BOTH, goal_dimensions=["energy"], server={"scenario": "quiet"})
    assert result.signals == []
    assert isinstance(result.feedback, NoFeedback)
    assert result.conversation_quality is not None
    assert set(result.conversation_quality.overall.model_dump().values()) == {50}


@pytest.mark.parametrize("kind", ["path", "file", "bytes"])
def test_the_file_can_be_given_in_every_way_of_the_client(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "recording.webm"
    path.write_bytes(RECORDING)
    file = {"path": path, "file": BytesIO(RECORDING), "bytes": RECORDING}[kind]
    assert len(analyze(file, content_type="video/webm").signals) == 5


@pytest.mark.parametrize("container", ["mp4", "mov", "avi", "mkv", "mpeg-ts", "mpeg-2-ts"])
def test_every_documented_container_is_taken(container: str) -> None:
    assert analyze(written(container, "h264", "aac")).signals


def test_a_key_pair_opens_the_upload_as_well() -> None:
    async def body() -> int:
        async with MockServer() as mock:
            client = interhumanai.InterhumanClient(
                key_id=DEFAULT_KEY_ID, key_secret=DEFAULT_KEY_SECRET, base_url=mock.base_url
            )
            return len((await client.upload.analyze(RECORDING)).signals)

    assert run(body) == 5


# -- the errors ---------------------------------------------------------------------------------------


def test_ih2001_a_wrong_key() -> None:
    error = refusal(credential="ih_live_wrong")
    assert (error.status, error.error_id) == (401, "ih2001")
    assert "ih_live_wrong" not in str(error)


def test_ih2002_no_key() -> None:
    """The client always sends a credential, so this one is asked for without it."""

    async def body() -> httpx.Response:
        async with MockServer() as mock, httpx.AsyncClient(base_url=mock.base_url) as client:
            return await client.post("/v1/upload/analyze", files={"file": ("video.webm", RECORDING, "video/webm")})

    answer = run(body)
    assert (answer.status_code, answer.json()["error_id"]) == (401, "ih2002")
    assert answer.json()["correlation_id"] == answer.headers["X-Correlation-ID"]


def test_ih2003_a_key_for_the_stream_alone() -> None:
    error = refusal(server={"keys": {"ih_live_stream": ["interhumanai.stream"]}})
    assert (error.status, error.error_id) == (403, "ih2003")
    assert "interhumanai.upload" in str(error)


def test_ih4001_an_empty_file() -> None:
    error = refusal(b"")
    assert (error.status, error.error_id) == (400, "ih4001")


def test_ih4002_something_that_is_no_video() -> None:
    error = refusal(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20_000))
    assert (error.status, error.error_id) == (400, "ih4002")
    assert "mpeg-2-ts" in str(error)


@pytest.mark.parametrize("beyond", [1, 2 * 1024 * 1024])
def test_ih4003_a_file_of_more_than_32_mb(beyond: int) -> None:
    error = refusal(padded(33_554_432 + beyond))
    assert (error.status, error.error_id) == (413, "ih4003")
    assert "33,554,432 bytes" in str(error)


def test_ih4003_32_mb_are_taken() -> None:
    assert analyze(padded(33_554_432)).signals


def test_ih4007_a_file_of_less_than_3_seconds() -> None:
    error = refusal(written("webm", "vp8", "opus", 2.0))
    assert (error.status, error.error_id) == (400, "ih4007")


def test_ih5001_a_file_without_pictures() -> None:
    error = refusal(written("webm", None, "opus"))
    assert (error.status, error.error_id) == (422, "ih5001")


def test_ih5002_a_file_that_is_broken() -> None:
    error = refusal(RECORDING[:60_000] + bytes(60_000) + RECORDING[120_000:])
    assert (error.status, error.error_id) == (422, "ih5002")


def test_ih5002_a_piece_from_the_middle_of_a_recording() -> None:
    error = refusal(PIECES[3])
    assert (error.status, error.error_id) == (422, "ih5002")
    assert "send the recording whole" in str(error)


def test_silent_pictures_are_no_error_in_v1() -> None:
    assert analyze(written("webm", "vp8", None)).signals


def test_ih3006_a_client_token_without_enough_video_left() -> None:
    async def body() -> None:
        async with MockServer() as mock:
            token = await client_of(mock).auth.create_client_token(
                api_key=mock.key, scopes=["interhumanai.upload"], max_video_seconds=40
            )
            upload = client_of(mock, token.access_token).upload
            await upload.analyze(RECORDING)
            await upload.analyze(RECORDING)

    with pytest.raises(interhumanai.InterhumanAPIError) as raised:
        run(body)
    assert (raised.value.status, raised.value.error_id) == (429, "ih3006")


@pytest.mark.parametrize(
    ("where", "code", "status"),
    [
        ("segment", "ih1001", 500),
        ("segment", "ih1002", 503),
        ("at", "ih1003", 503),
        ("at", "ih3001", 429),
        ("segment", "ih3002", 429),
        ("segment", "ih3003", 429),
        ("at", "ih3006", 429),
        ("at", "ih5002", 422),
    ],
)
def test_a_scenario_can_refuse_the_file_with(where: str, code: str, status: int) -> None:
    scenario = parse_scenario(f'name = "s"\n[[error]]\n{where} = 1\ncode = "{code}"\nmessage = "Just so."')
    error = refusal(server={"scenario": scenario})
    assert (error.status, error.error_id) == (status, code)
    assert "Just so." in str(error)
