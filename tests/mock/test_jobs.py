from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from ihproto.codec import encode_json
from ihproto.uploads import UploadJob, UploadJobError, UploadJobResult
from ihproto_mock.jobs import JobStore, TooManyJobsError

STARTED_AT = datetime(2025, 1, 1, 12, tzinfo=UTC)
RESULT = UploadJobResult(33.4, 8)
ERROR = UploadJobError("ih1004", "6f1c2b9e")
HOUR = 3600


def store(now: float = 1000.0, *, queue_seconds: float = 2, run_seconds: float = 5, max_jobs: int = 10) -> JobStore:
    return JobStore(now, started_at=STARTED_AT, queue_seconds=queue_seconds, run_seconds=run_seconds, max_jobs=max_jobs)


def status(jobs: JobStore, now: float, *, job_id: str = "a", account: str = "me") -> str | None:
    job = jobs.get(job_id, account, now)
    return job.status if job is not None else None


def test_upl_2_a_job_goes_from_queued_to_running_to_completed() -> None:
    jobs = store()
    assert jobs.submit("a", "me", "inter-2", RESULT, 1010).status == "queued"
    assert [status(jobs, now) for now in (1011.9, 1012, 1016.9, 1017, 1018)] == [
        "queued",
        "running",
        "running",
        "completed",
        "completed",
    ]


def test_upl_2_the_result_is_there_exactly_when_the_job_is_completed() -> None:
    jobs = store()
    jobs.submit("a", "me", "inter-2", RESULT, 1010)
    for now, result in ((1010, None), (1013, None), (1017, RESULT)):
        job = jobs.get("a", "me", now)
        assert job is not None
        assert (job.result, job.error, job.finished) == (result, None, result is not None)


def test_upl_2_the_error_is_there_exactly_when_the_job_has_failed() -> None:
    jobs = store()
    jobs.submit("a", "me", "inter-2", ERROR, 1010)
    for now, name, error in ((1010, "queued", None), (1013, "running", None), (1017, "failed", ERROR)):
        job = jobs.get("a", "me", now)
        assert job is not None
        assert (job.status, job.result, job.error) == (name, None, error)


def test_upl_2_the_envelope_of_a_job_says_when_and_where() -> None:
    jobs = store(1000)
    job = jobs.submit("a", "me", "inter-2-audio", RESULT, 1001.5)
    assert encode_json(job) == (
        b'{"job_id":"a","status":"queued","model":"inter-2-audio","created_at":"2025-01-01T12:00:01.500000Z",'
        b'"expires_at":"2025-01-01T13:00:01.500000Z","status_url":"/v2/upload/jobs/a"}'
    )


def test_upl_2_a_job_tells_when_its_status_changes_next() -> None:
    jobs = store()
    jobs.submit("a", "me", "inter-2", RESULT, 1010)
    assert [jobs.next_change("a", now) for now in (1010, 1011, 1012, 1016, 1017, 1020)] == [
        1012,
        1012,
        1017,
        1017,
        None,
        None,
    ]
    assert jobs.next_change("b", 1010) is None


def test_upl_2_at_the_moment_named_the_status_has_changed() -> None:
    jobs = store(0.1, queue_seconds=0.1, run_seconds=0.2)
    jobs.submit("a", "me", "inter-2", RESULT, 0.3)
    now, seen = 0.3, ["queued"]
    while (change := jobs.next_change("a", now)) is not None:
        now = change
        seen.append(str(status(jobs, now)))
    assert seen == ["queued", "running", "completed"]


def test_upl_2_a_job_that_takes_no_time_is_completed_at_once() -> None:
    jobs = store(queue_seconds=0, run_seconds=0)
    assert jobs.submit("a", "me", "inter-2", RESULT, 1010).status == "completed"


def test_upl_2_a_job_can_be_read_for_an_hour() -> None:
    jobs = store()
    jobs.submit("a", "me", "inter-2", RESULT, 1010)
    assert status(jobs, 1010 + HOUR - 1) == "completed"
    assert status(jobs, 1010 + HOUR) is None


def test_upl_2_a_job_is_unknown_to_other_accounts() -> None:
    jobs = store()
    jobs.submit("a", "me", "inter-2", RESULT, 1010)
    assert status(jobs, 1010, account="you") is None
    assert status(jobs, 1010, job_id="b") is None
    assert status(jobs, 1010) == "queued"


def test_ih1002_a_store_holds_so_many_jobs_until_the_oldest_expires() -> None:
    jobs = store(max_jobs=2)
    jobs.submit("a", "me", "inter-2", RESULT, 1010)
    jobs.submit("b", "me", "inter-2", RESULT, 1020)
    with pytest.raises(TooManyJobsError):
        jobs.submit("c", "you", "inter-2", RESULT, 1010 + HOUR - 1)
    assert len(jobs) == 2
    jobs.submit("c", "you", "inter-2", RESULT, 1010 + HOUR)
    assert [status(jobs, 1010 + HOUR, job_id=name) for name in "ab"] == [None, "completed"]
    assert status(jobs, 1010 + HOUR, job_id="c", account="you") == "queued"


def test_expired_jobs_are_forgotten() -> None:
    jobs = store()
    for number in range(5):
        jobs.submit(str(number), "me", "inter-2", RESULT, 1000 + number)
    jobs.get("0", "me", 1000 + HOUR + 2)
    assert len(jobs) == 2


def test_the_account_of_a_job_shows_in_no_repr() -> None:
    jobs = store()
    job = jobs.submit("a", "ih_live_secret", "inter-2", RESULT, 1010)
    assert isinstance(job, UploadJob)
    assert "secret" not in repr(jobs) + repr(job) + repr(vars(jobs))


@pytest.mark.parametrize(
    "wrong",
    [
        {"started_at": datetime(2025, 1, 1, tzinfo=timezone(timedelta(hours=1)))},
        {"queue_seconds": -1},
        {"run_seconds": float("nan")},
        {"max_jobs": 0},
    ],
)
def test_a_store_that_cannot_work_is_refused(wrong: dict[str, object]) -> None:
    options: dict[str, object] = {"started_at": STARTED_AT} | wrong
    with pytest.raises(ValueError, match=r"UTC|less than 0"):
        JobStore(0.0, **options)  # type: ignore[arg-type]
