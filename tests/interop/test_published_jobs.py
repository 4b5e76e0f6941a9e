"""Files that are analysed in jobs for the published client (UPL-2)."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import interhumanai
import pytest
from interhumanai.types import UploadJob, UploadJobIncludeFlag, UploadJobStatus, UploadModel
from interop.published import (
    BOTH,
    LINKS,
    OVERALL,
    RECORDING,
    RECORDING_SECONDS,
    TIMELINE,
    client_of,
    lasting,
    padded,
    run,
)
from upload_requests import written

from ihproto_mock import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, MockServer, parse_scenario

#: Longer than a job of the mock server takes.
LONG_ENOUGH = 10

submit_patiently = functools.partial(
    interhumanai.UploadClient.submit, file=RECORDING, model="inter-2", wait_seconds=LONG_ENOUGH
)


def finished(**options: Any) -> UploadJob:
    """A job that was waited for."""
    server = options.pop("server", {})

    async def body() -> UploadJob:
        async with MockServer(**server) as mock:
            return await submit_patiently(client_of(mock).upload, **options)

    return run(body)


def refusal(status: int, error_id: str, **options: Any) -> str:
    """The text of the error that the client raises."""
    with pytest.raises(interhumanai.InterhumanAPIError) as raised:
        finished(**options)
    error = raised.value
    assert (error.status, error.error_id) == (status, error_id)
    assert error.correlation_id
    assert (error.link or "").startswith(f"{LINKS}{error_id}-")
    return str(error)


# -- how a job comes along ----------------------------------------------------------------------------


def test_a_job_is_read_until_it_is_done() -> None:
    async def body() -> tuple[UploadJob, UploadJob, UploadJob]:
        async with MockServer() as mock:
            upload = client_of(mock).upload
            job = await upload.submit(RECORDING, model=UploadModel.INTER_2)
            done = await upload.wait_for_job(job, poll_interval=0.05)
            return job, done, await upload.get_job(job.job_id)

    job, done, again = run(body)
    assert job.status in (UploadJobStatus.QUEUED, UploadJobStatus.RUNNING)
    assert (job.result, job.error) == (None, None)
    assert job.expires_at - job.created_at == timedelta(hours=1)
    assert job.status_url == f"/v2/upload/jobs/{job.job_id}"
    assert done.status is UploadJobStatus.COMPLETED
    assert done.error is None
    assert (done.job_id, done.model, done.created_at) == (job.job_id, UploadModel.INTER_2, job.created_at)
    assert done.result is not None
    assert done.result.duration_seconds == pytest.approx(RECORDING_SECONDS, abs=0.1)
    # As many windows as it takes to cover the file, one behind the other.
    windows = done.result.windows
    assert [window.index for window in windows] == [*range(len(windows))]
    assert windows[0].start_seconds == 0
    assert [window.end_seconds for window in windows[:-1]] == [window.start_seconds for window in windows[1:]]
    assert windows[-1].end_seconds == pytest.approx(done.result.duration_seconds)
    assert all(signal.start == window.start_seconds for window in windows for signal in window.signals)
    assert (done.result.signals, done.result.conversation_quality) == (None, None)
    assert again == done


def test_a_request_that_waits_is_answered_with_the_finished_job() -> None:
    assert finished().status is UploadJobStatus.COMPLETED


@pytest.mark.parametrize("sections", [[OVERALL], [TIMELINE], BOTH])
def test_a_job_has_the_scores_that_were_asked_for(sections: list[str]) -> None:
    result = finished(include=sections).result
    assert result is not None
    assert result.conversation_quality is not None
    assert (result.conversation_quality.overall is not None) == (OVERALL in sections)
    assert (result.conversation_quality.timeline is not None) == (TIMELINE in sections)
    assert result.signals is None


def test_a_job_has_the_signals_of_the_whole_file_when_asked_for() -> None:
    result = finished(include=[UploadJobIncludeFlag.SIGNALS]).result
    assert result is not None
    assert result.conversation_quality is None
    assert result.signals is not None
    starts = [signal.start for signal in result.signals]
    assert starts == sorted(starts)
    seen = {signal.type for window in result.windows for signal in window.signals}
    assert {signal.type for signal in result.signals} == seen
    # Signals of one type in adjacent windows are one, so no two of a type touch.
    spans = {(signal.type, signal.start) for signal in result.signals}
    assert not [signal for signal in result.signals if (signal.type, signal.end) in spans]


@pytest.mark.parametrize("model", [*UploadModel])
def test_every_model_can_be_named(model: UploadModel) -> None:
    job = finished(model=model)
    assert (job.model, job.status) == (model, UploadJobStatus.COMPLETED)


def test_sound_alone_is_enough_for_the_audio_model() -> None:
    job = finished(file=written("webm", None, "opus", 12.0), model="inter-2-audio")
    assert job.result is not None
    heard = {signal.type.value for window in job.result.windows for signal in window.signals}
    assert heard == {"agreement", "interest"}


def test_a_job_is_known_to_the_account_that_submitted_it_alone() -> None:
    keys = {key: ["interhumanai.upload"] for key in ("ih_live_mine", "ih_live_theirs")}

    async def body() -> tuple[str, str]:
        async with MockServer(keys=keys) as mock:
            mine, theirs = (client_of(mock, key).upload for key in keys)
            token = await client_of(mock).auth.create_client_token(
                api_key="ih_live_mine", scopes=["interhumanai.upload"]
            )
            job = await submit_patiently(mine)
            with pytest.raises(interhumanai.InterhumanAPIError) as raised:
                await theirs.get_job(job)
            # What was issued against a key belongs to the same account.
            assert (await client_of(mock, token.access_token).upload.get_job(job)) == job
            return raised.value.error_id or "", str(raised.value)

    error_id, text = run(body)
    assert error_id == "ih4021"
    assert "ih_live" not in text


def test_two_tokens_of_one_key_pair_are_one_account() -> None:
    async def body() -> tuple[UploadJob, UploadJob]:
        async with MockServer() as mock:
            submits, reads = (
                interhumanai.InterhumanClient(
                    key_id=DEFAULT_KEY_ID, key_secret=DEFAULT_KEY_SECRET, base_url=mock.base_url
                )
                for _ in range(2)
            )
            job = await submit_patiently(submits.upload)
            return job, await reads.upload.get_job(job.job_id)

    job, read = run(body)
    assert job == read


def test_waiting_for_a_job_can_be_given_up_and_taken_up_again() -> None:
    async def body() -> UploadJob:
        async with MockServer() as mock:
            upload = client_of(mock).upload
            job = await upload.submit(RECORDING, model="inter-2")
            with pytest.raises(interhumanai.UploadJobTimeoutError):
                await upload.wait_for_job(job, timeout=0)
            return await upload.wait_for_job(job.job_id, poll_interval=0.05)

    assert run(body).status is UploadJobStatus.COMPLETED


# -- the errors ---------------------------------------------------------------------------------------


def test_ih4021_a_job_that_never_was() -> None:
    """That a job expires after an hour is tested where time can be told, in `tests/mock/test_uploads.py`."""

    async def body() -> None:
        async with MockServer() as mock:
            await client_of(mock).upload.get_job("00000000-0000-4000-8000-000000000000")

    with pytest.raises(interhumanai.InterhumanAPIError) as raised:
        run(body)
    assert (raised.value.status, raised.value.error_id) == (404, "ih4021")


def test_ih4005_a_wait_of_more_than_two_minutes() -> None:
    assert "wait_seconds" in refusal(400, "ih4005", wait_seconds=121)


def test_ih4005_a_model_that_there_is_not() -> None:
    assert "inter-2, inter-2-audio, inter-2-deep" in refusal(400, "ih4005", model="inter-9")


def test_ih4001_an_empty_file() -> None:
    refusal(400, "ih4001", file=b"")


def test_ih4002_something_that_is_no_video() -> None:
    refusal(400, "ih4002", file=b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(20_000))


def test_ih4003_a_file_of_more_than_32_mb() -> None:
    refusal(413, "ih4003", file=padded(33_554_433))


def test_ih4004_a_file_that_lasts_too_long() -> None:
    # The documents say 30 minutes.
    assert finished(server={"make_scanner": lasting(1800)}).status is UploadJobStatus.COMPLETED
    refusal(400, "ih4004", server={"make_scanner": lasting(1800.5)})


def test_ih4007_a_file_of_less_than_3_seconds() -> None:
    refusal(400, "ih4007", file=written("webm", "vp8", "opus", 2.0))


@pytest.mark.parametrize("model", ["inter-2", "inter-2-deep"])
def test_ih5001_no_pictures(model: str) -> None:
    refusal(422, "ih5001", file=written("webm", None, "opus"), model=model)


@pytest.mark.parametrize("model", [*UploadModel])
def test_ih5008_no_sound(model: UploadModel) -> None:
    refusal(422, "ih5008", file=written("webm", "vp8", None), model=model)


def test_ih5002_a_file_that_is_broken() -> None:
    refusal(422, "ih5002", file=RECORDING[:60_000] + bytes(60_000) + RECORDING[120_000:])


def test_ih2003_a_key_for_the_stream_alone() -> None:
    refusal(403, "ih2003", server={"keys": {"ih_live_stream": ["interhumanai.stream"]}})


@pytest.mark.parametrize("code", ["ih1001", "ih1003", "ih1004", "ih5002"])
def test_a_job_can_fail(code: str) -> None:
    scenario = parse_scenario(f'name = "s"\n[[error]]\nat = 12\ncode = "{code}"\nmessage = "Just so."')
    job = finished(server={"scenario": scenario})
    assert job.status is UploadJobStatus.FAILED
    assert job.result is None
    assert job.error is not None
    assert (job.error.error_id, job.error.message) == (code, "Just so.")
    assert (job.error.link or "").startswith(f"{LINKS}{code}-")
    assert job.error.correlation_id
