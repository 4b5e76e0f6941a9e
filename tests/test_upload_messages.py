"""What is said at the upload endpoints: the sources' numbers and paths, and what may be left out."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
import pytest

from ihproto import uploads
from ihproto.uploads import AnalysisResult, Feedback, UploadJob, UploadJobError, UploadJobResult, UploadJobWindow

JOB = {
    "job_id": "j",
    "status": "queued",
    "model": "inter-1",
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-01T01:00:00Z",
    "status_url": "/v2/upload/jobs/j",
}


@pytest.mark.parametrize(
    ("cls", "named", "left"),
    [
        (
            Feedback,
            {"type": "no_feedback"},
            dict.fromkeys(["message", "active_dimensions", "primary_signal", "reason"]),
        ),
        (
            AnalysisResult,
            {},
            {"signals": (), **dict.fromkeys(["engagement_state", "conversation_quality", "feedback"])},
        ),
        (
            UploadJobWindow,
            {"index": 0, "start_seconds": 0, "end_seconds": 8, "engagement_status": "neutral"},
            {"signals": ()},
        ),
        (
            UploadJobResult,
            {"duration_seconds": 10, "window_seconds": 8},
            {"windows": (), "signals": None, "conversation_quality": None},
        ),
        (UploadJobError, {"error_id": "ih1003"}, dict.fromkeys(["correlation_id", "link", "message"])),
        (UploadJob, JOB, {"result": None, "error": None}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_what_is_left_out(cls: type[Any], named: dict[str, Any], left: dict[str, Any]) -> None:
    message = msgspec.convert(named, cls)
    assert attrs.asdict(message, recurse=False) == {**named, **left}


@pytest.mark.parametrize(
    ("status", "finished"), [("queued", False), ("running", False), ("completed", True), ("failed", True)]
)
def test_a_job_is_finished_when_it_is_completed_or_failed(status: str, finished: bool) -> None:
    assert msgspec.convert({**JOB, "status": status}, UploadJob).finished is finished


def test_the_words_and_numbers_are_those_of_the_sources() -> None:
    assert (uploads.UPLOAD_PATH, uploads.JOB_UPLOAD_PATH) == ("/v1/upload/analyze", "/v2/upload/analyze")
    assert uploads.JOBS_PATH == "/v2/upload/jobs/"
    assert (uploads.MIN_FILE_BYTES, uploads.MAX_FILE_BYTES, uploads.MIN_FILE_SECONDS) == (10_000, 33_554_432, 3)
    assert (uploads.MAX_WAIT_SECONDS, uploads.JOB_LIFETIME_SECONDS) == (120, 3_600)
    assert uploads.INCLUDE_SIGNALS == "signals"
