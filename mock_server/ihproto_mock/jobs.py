"""UPL-2: the jobs of the v2 upload endpoint, and how they come along.

No clock runs here: what a job's status is follows from the moment at which somebody asks.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from ihproto.uploads import JOB_LIFETIME_SECONDS, JOBS_PATH, UploadJob, UploadJobError, UploadJobResult


class TooManyJobsError(Exception):
    """The store holds as many jobs as it may (ih1002)."""


@attrs.frozen
class _Job:
    account: str = attrs.field(repr=False)
    model: str
    outcome: UploadJobResult | UploadJobError
    submitted: float


class JobStore:
    """The jobs of one server.

    A job is queued, then running, then completed or failed, each after a fixed time. It can be read by the account
    that submitted it, for an hour from then on.

    Args:
        now: The present moment, in seconds, on any clock that never runs backwards.
        started_at: The present moment by the wall clock, in UTC; times in answers count from here.
        queue_seconds: How long a job is queued, in seconds.
        run_seconds: How long it runs then, in seconds.
        max_jobs: How many jobs are held; finished ones count until they expire.

    Raises:
        ValueError: If `started_at` is not in UTC, or a number is out of range.
    """

    def __init__(
        self,
        now: float,
        *,
        started_at: datetime,
        queue_seconds: float = 0.1,
        run_seconds: float = 0.2,
        max_jobs: int = 1000,
    ) -> None:
        if started_at.utcoffset() != timedelta(0):
            raise ValueError("started_at must be in UTC")
        if not (queue_seconds >= 0 and run_seconds >= 0 and max_jobs >= 1):
            raise ValueError("jobs cannot take less than 0 s, and a store must hold at least one")
        self._opened_at = now
        self._started_at = started_at
        self._queue_seconds = queue_seconds
        self._run_seconds = run_seconds
        self._max_jobs = max_jobs
        #: In the order in which they came, and so in which they expire.
        self._jobs: dict[str, _Job] = {}

    def __len__(self) -> int:
        return len(self._jobs)

    def submit(
        self, job_id: str, account: str, model: str, outcome: UploadJobResult | UploadJobError, now: float
    ) -> UploadJob:
        """Accept a job.

        Args:
            job_id: Its id; no two may be the same.
            account: Whose it is.
            model: The model that analyses.
            outcome: What will come of it.
            now: The present moment, in seconds; not before that of the last call.

        Returns:
            The job, as it stands.

        Raises:
            TooManyJobsError: If there is no room for it.
        """
        self._forget_expired(now)
        if len(self._jobs) >= self._max_jobs:
            raise TooManyJobsError
        job = self._jobs[job_id] = _Job(account, model, outcome, now)
        return self._describe(job_id, job, now)

    def get(self, job_id: str, account: str, now: float) -> UploadJob | None:
        """Read a job.

        Args:
            job_id: Its id.
            account: Who asks.
            now: The present moment, in seconds.

        Returns:
            The job as it stands; None when it is unknown, expired, or not theirs.
        """
        self._forget_expired(now)
        job = self._jobs.get(job_id)
        if job is None or job.account != account:
            return None
        return self._describe(job_id, job, now)

    def next_change(self, job_id: str, now: float) -> float | None:
        """The moment at which the status of a job changes next, in seconds; None when it is finished or unknown."""
        job = self._jobs.get(job_id)
        if job is None:
            return None
        return next((moment for moment in self._changes(job) if moment > now), None)

    def _changes(self, job: _Job) -> tuple[float, float]:
        runs = job.submitted + self._queue_seconds
        return runs, runs + self._run_seconds

    def _describe(self, job_id: str, job: _Job, now: float) -> UploadJob:
        runs, finishes = self._changes(job)
        status, result, error = "queued", None, None
        if now >= finishes:
            if isinstance(job.outcome, UploadJobResult):
                status, result = "completed", job.outcome
            else:
                status, error = "failed", job.outcome
        elif now >= runs:
            status = "running"
        return UploadJob(
            job_id,
            status,
            job.model,
            self._timestamp(job.submitted),
            self._timestamp(job.submitted + JOB_LIFETIME_SECONDS),
            JOBS_PATH + job_id,
            result,
            error,
        )

    def _timestamp(self, moment: float) -> str:
        wall = self._started_at + timedelta(seconds=moment - self._opened_at)
        return wall.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _forget_expired(self, now: float) -> None:
        for job_id, job in list(self._jobs.items()):
            if now < job.submitted + JOB_LIFETIME_SECONDS:
                return
            del self._jobs[job_id]
