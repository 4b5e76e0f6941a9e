"""UPL: what is said at the upload endpoints, as frozen classes.

`POST /v1/upload/analyze` answers with the analysis of the whole file; `POST /v2/upload/analyze` answers with a job,
which is read at `GET /v2/upload/jobs/{job_id}` until it is done. Fields are named as in the JSON; times are seconds of
media.
"""

from __future__ import annotations

import attrs

from ihproto.messages import ConversationQuality, EngagementSpan, Number, SignalSpan

#: The endpoints, below the address of the service.
UPLOAD_PATH = "/v1/upload/analyze"
JOB_UPLOAD_PATH = "/v2/upload/analyze"
JOBS_PATH = "/v2/upload/jobs/"

#: The size of a file, in bytes (UPL-1).
MIN_FILE_BYTES = 10_000
MAX_FILE_BYTES = 32 * 1024 * 1024
#: The least media in a file, in seconds (UPL-1).
MIN_FILE_SECONDS = 3.0
#: The longest a request may wait for its job, in seconds (UPL-2).
MAX_WAIT_SECONDS = 120
#: How long a job can be read after it was accepted, in seconds (UPL-2).
JOB_LIFETIME_SECONDS = 3600

#: The value of `include[]` that asks a job for the signals of the whole file (UPL-2).
INCLUDE_SIGNALS = "signals"


@attrs.frozen
class Feedback:
    """Advice on the whole file, or why there is none (UPL-1).

    Attributes:
        type: `feedback`, or `no_feedback`.
        message: The advice.
        active_dimensions: The goal dimensions that it is about.
        primary_signal: The type of signal that it goes back to most.
        reason: Why there is none.
    """

    type: str
    message: str | None = None
    active_dimensions: tuple[str, ...] | None = None
    primary_signal: str | None = None
    reason: str | None = None


@attrs.frozen
class AnalysisResult:
    """The analysis of a whole file (UPL-1).

    Attributes:
        signals: The signals, in order.
        engagement_state: The levels of engagement, stretch by stretch without gaps; None where it is left out.
        conversation_quality: The sections asked for; None when none was.
        feedback: Advice; None when neither goal dimensions nor a context of the conversation were given.
    """

    signals: tuple[SignalSpan, ...] = ()
    engagement_state: tuple[EngagementSpan, ...] | None = None
    conversation_quality: ConversationQuality | None = None
    feedback: Feedback | None = None


@attrs.frozen
class UploadJobWindow:
    """The analysis of one stretch of a job's file (UPL-2).

    Attributes:
        index: Its number, from 0.
        start_seconds: Where it begins.
        end_seconds: Where it ends.
        engagement_status: `engaged`, `neutral` or `disengaged`.
        signals: The signals in it; each one's span is the window's.
    """

    index: int
    start_seconds: Number
    end_seconds: Number
    engagement_status: str
    signals: tuple[SignalSpan, ...] = ()


@attrs.frozen
class UploadJobResult:
    """The result of a job that is completed (UPL-2).

    Attributes:
        duration_seconds: How long the file's media is.
        window_seconds: The length of a window.
        windows: The windows, in order.
        signals: The signals of the whole file, adjacent ones merged; None when not asked for.
        conversation_quality: The sections asked for; None when none was.
    """

    duration_seconds: Number
    window_seconds: Number
    windows: tuple[UploadJobWindow, ...] = ()
    signals: tuple[SignalSpan, ...] | None = None
    conversation_quality: ConversationQuality | None = None


@attrs.frozen
class UploadJobError:
    """Why a job failed, in the shape of every HTTP error (ERR-3).

    Attributes:
        error_id: The error id.
        correlation_id: The id of the request that made the job.
        link: Where the documentation explains it.
        message: What went wrong, for a person.
    """

    error_id: str
    correlation_id: str | None = None
    link: str | None = None
    message: str | None = None


@attrs.frozen
class UploadJob:
    """A job, as it stands (UPL-2).

    Attributes:
        job_id: Its id.
        status: `queued`, `running`, `completed` or `failed`.
        model: The model that analyses.
        created_at: When it was accepted, ISO 8601 UTC.
        expires_at: Until when it can be read, ISO 8601 UTC.
        status_url: The path where it can be read.
        result: The result, when it is completed.
        error: Why it failed, when it has.
    """

    job_id: str
    status: str
    model: str
    created_at: str
    expires_at: str
    status_url: str
    result: UploadJobResult | None = None
    error: UploadJobError | None = None

    @property
    def finished(self) -> bool:
        """Whether it is completed or failed."""
        return self.status in ("completed", "failed")
