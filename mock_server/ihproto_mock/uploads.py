"""UPL-1, UPL-2: what the upload endpoints answer.

Each function here answers one request at one endpoint, whose path, method, credential and scope were checked before.
What there is to see in a file is the scenario's to say, as in a session; the file itself is looked at only for whether
it is accepted, and how long it is.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Protocol
from uuid import uuid4

import anyio
import attrs

from ihproto import (
    ERROR_CODES,
    ExpectedMedia,
    MediaScanner,
    SegmentFault,
    SegmentMedia,
    SegmentScanner,
    ServerSettings,
    SessionReady,
    WindowAnalysis,
)
from ihproto.analysis import analysis_result, file_windows, job_result
from ihproto.codec import encode_json
from ihproto.messages import SignalSpan
from ihproto.revisions import QUALITY_DIMENSIONS, UPLOAD_MODELS, V1, Model
from ihproto.uploads import (
    JOBS_PATH,
    MAX_WAIT_SECONDS,
    AnalysisResult,
    Feedback,
    UploadJob,
    UploadJobError,
    UploadJobResult,
)
from ihproto.wire import HttpError
from ihproto_mock.file_verdict import FILE_CONTRACT, judge_file, over_http
from ihproto_mock.jobs import JobStore, TooManyJobsError
from ihproto_mock.leases import Denial, Lease
from ihproto_mock.scenario import Mishap, Scenario
from ihproto_mock.upload_form import UploadForm, UploadRefused, judge_length

#: The error that only jobs have.
_JOB_INTERRUPTED = "ih1004"


class Request(Protocol):
    """What is known of a request before its body."""

    @property
    def path(self) -> str:
        """The path, without the query."""
        ...

    @property
    def content_type(self) -> str | None:
        """The header `Content-Type`."""
        ...

    @property
    def content_length(self) -> int | None:
        """The announced length of the body, in bytes."""
        ...


class Exchange(Protocol):
    """A request and its answer."""

    @property
    def request(self) -> Request:
        """The request."""
        ...

    @property
    def correlation_id(self) -> str:
        """The id of the request (HS-9)."""
        ...

    def now(self) -> float:
        """The present moment, in seconds, on the clock of the event loop."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body, piece by piece; whoever stops early leaves nothing behind that had to be closed."""
        ...

    async def __anext__(self) -> bytes:
        """The next piece."""
        ...

    async def respond(self, status: int, body: bytes) -> None:
        """Answer with JSON."""
        ...

    async def refuse(self, status: int, error: HttpError) -> None:
        """Answer with an error (ERR-3)."""
        ...


@attrs.frozen
class UploadService:
    """What the upload endpoints know and promise.

    Attributes:
        scenario: What happens in every file.
        settings: Windows, periods and scores, as in a session.
        make_scanner: Makes the scanner of a file from the contract that it is scanned under.
        max_file_seconds: The longest that a file may be, in seconds of media (UPL-2).
        job_window_seconds: The length of a window of a job, in seconds; the documents leave it open.
        job_seconds: How long a job takes from its upload to its end, in seconds; a third of it, it is queued.
        models: What a job can name to be analysed by.
    """

    scenario: Scenario
    settings: ServerSettings = attrs.field(factory=ServerSettings)
    make_scanner: Callable[[SessionReady], SegmentScanner] = MediaScanner
    max_file_seconds: float = 1800.0
    job_window_seconds: float = 8.0
    job_seconds: float = 0.3
    models: tuple[Model, ...] = UPLOAD_MODELS

    def result(self, duration: float, include: Collection[str]) -> AnalysisResult:
        """The analysis of a file of so many seconds (UPL-1)."""
        return analysis_result(
            self._analyses(duration, self.settings.window_seconds, self.settings.window_advance_seconds),
            duration,
            include=include,
            period=self.settings.period_seconds,
            engagement_scores=self.settings.engagement_scores,
        )

    def job_result(self, duration: float, include: Collection[str], model: Model) -> UploadJobResult:
        """What a job for a file of so many seconds comes to (UPL-2)."""
        analyses = self._analyses(duration, self.job_window_seconds, self.job_window_seconds)
        return job_result(
            [_as_seen_by(model, analysis) for analysis in analyses],
            duration,
            self.job_window_seconds,
            include=include,
            period=self.settings.period_seconds,
            engagement_scores=self.settings.engagement_scores,
        )

    def _analyses(self, duration: float, length: float, advance: float) -> list[WindowAnalysis]:
        return [self.scenario.analyse(window) for window in file_windows(duration, length, advance)]


async def answer_upload(exchange: Exchange, service: UploadService, lease: Lease | None = None) -> HttpError | None:
    """Answer `POST /v1/upload/analyze` (UPL-1).

    Args:
        exchange: The request, and the way to answer it.
        service: What the endpoint knows and promises.
        lease: What the credential may use up; None for anything.

    Returns:
        The error that was answered with, None when it was the analysis.
    """
    try:
        form, scanner = await _read(exchange, service, lease)
        duration = _judge(form.finish(), scanner, service, V1.models[0])
        _use_up_video(lease, duration)
        _refuse_by_scenario(service.scenario.mishap_at_segment(1))
        for mishap in service.scenario.mishaps_between(0, duration):
            _refuse_by_scenario(mishap)
    except UploadRefused as refused:
        await exchange.refuse(refused.status, refused.error)
        return refused.error
    result = service.result(duration, form.values("include[]"))
    await exchange.respond(200, encode_json(attrs.evolve(result, feedback=_feedback(form, result))))
    return None


async def answer_job_upload(
    exchange: Exchange, service: UploadService, jobs: JobStore, account: str, lease: Lease | None = None
) -> HttpError | None:
    """Answer `POST /v2/upload/analyze` (UPL-2).

    What the scenario has for segment 1 refuses the file; what it has for a time fails the job.

    Args:
        exchange: The request, and the way to answer it.
        service: What the endpoint knows and promises.
        jobs: Where the job goes.
        account: Whose it is.
        lease: What the credential may use up; None for anything.

    Returns:
        The error that was answered with, None when it was a job.
    """
    try:
        form, scanner = await _read(exchange, service, lease)
        outcome = form.finish()
        model = _model(form, service.models)
        wait_seconds = _wait_seconds(form)
        duration = _judge(outcome, scanner, service, model)
        _use_up_video(lease, duration)
        _refuse_by_scenario(service.scenario.mishap_at_segment(1))
        result = _job_error(service.scenario, duration, exchange.correlation_id) or service.job_result(
            duration, form.values("include[]"), model
        )
        job = jobs.submit(str(uuid4()), account, str(model.name), result, exchange.now())
    except TooManyJobsError:
        error = HttpError.of("ih1002")
        await exchange.refuse(503, error)
        return error
    except UploadRefused as refused:
        await exchange.refuse(refused.status, refused.error)
        return refused.error
    job = await _wait(exchange, jobs, job, account, wait_seconds)
    await exchange.respond(200 if job.finished else 202, encode_json(job))
    return None


async def answer_job(exchange: Exchange, jobs: JobStore, account: str) -> HttpError | None:
    """Answer `GET /v2/upload/jobs/{job_id}` (UPL-2).

    Args:
        exchange: The request, and the way to answer it.
        jobs: Where the jobs are.
        account: Who asks.

    Returns:
        The error that was answered with, None when it was a job.
    """
    job = jobs.get(exchange.request.path.removeprefix(JOBS_PATH), account, exchange.now())
    if job is None:
        error = HttpError.of("ih4021")
        await exchange.refuse(404, error)
        return error
    await exchange.respond(200, encode_json(job))
    return None


# -- the request --------------------------------------------------------------------------------------


async def _read(exchange: Exchange, service: UploadService, lease: Lease | None) -> tuple[UploadForm, SegmentScanner]:
    """Read the form, as far as it takes to know that it is of no use."""
    judge_length(exchange.request.content_length)
    scanner = service.make_scanner(FILE_CONTRACT)
    # Which tracks there must be depends on the model, which may be named behind the file.
    scanner.expect(ExpectedMedia(tracks=()))
    form = UploadForm(exchange.request.content_type, scanner)
    async for piece in exchange:
        before = form.file_bytes
        form.feed(piece)
        if lease is not None and form.file_bytes > before:
            _refuse_by_lease(lease.check() or lease.take_bytes(form.file_bytes - before))
        if form.useless:
            break
    return form, scanner


def _judge(
    outcome: SegmentMedia | SegmentFault, scanner: SegmentScanner, service: UploadService, model: Model
) -> float:
    seen = scanner.media if isinstance(scanner, MediaScanner) else None
    return judge_file(outcome, seen, model=model, max_seconds=service.max_file_seconds)


def _use_up_video(lease: Lease | None, duration: float) -> None:
    if lease is not None:
        _refuse_by_lease(lease.take_video(duration))


def _refuse_by_lease(denial: Denial | None) -> None:
    if denial is not None:
        raise UploadRefused(denial.status, denial.error)


def _model(form: UploadForm, models: Collection[Model]) -> Model:
    named = form.values("model")
    if form.useless and not named:
        # It may be named behind the file, which is refused whatever the model is.
        return next(iter(models))
    model = next((model for model in models if [model.name] == list(named)), None)
    if model is not None:
        return model
    what = "is not one that this server has" if named else "is missing"
    raise UploadRefused.of(
        "ih4005", f"the model {what}; name one of {', '.join(str(model.name) for model in models)} (UPL-2)"
    )


def _wait_seconds(form: UploadForm) -> int:
    given = form.values("wait_seconds")
    if not given:
        return 0
    # `int` alone would also take signs, spaces, underscores, and digits of other scripts.
    if len(given) == 1 and re.fullmatch(r"[0-9]{1,3}", given[0]) and int(given[0]) <= MAX_WAIT_SECONDS:
        return int(given[0])
    raise UploadRefused.of("ih4005", f"wait_seconds must be a whole number from 0 to {MAX_WAIT_SECONDS} (UPL-2)")


# -- what the scenario has in store -------------------------------------------------------------------


def _refuse_by_scenario(mishap: Mishap | None) -> None:
    """Refuse with the scenario's error, if it is one that HTTP knows."""
    if mishap is None:
        return
    code = over_http(mishap.code)
    if ERROR_CODES[code].http_status is not None:
        raise UploadRefused.of(code, mishap.text)


def _job_error(scenario: Scenario, duration: float, correlation_id: str) -> UploadJobError | None:
    first = scenario.mishap_at_segment(1)
    for mishap in [*([first] if first is not None else []), *scenario.mishaps_between(0, duration)]:
        code = over_http(mishap.code)
        if code == _JOB_INTERRUPTED or ERROR_CODES[code].http_status is not None:
            return UploadJobError(code, correlation_id, ERROR_CODES[code].link, mishap.text)
    return None


def _as_seen_by(model: Model, analysis: WindowAnalysis) -> WindowAnalysis:
    """The analysis without the signals that the model does not report."""
    signals = [report for report in analysis.signals if report.signal_type in model.signal_types]
    return attrs.evolve(analysis, signals=signals)


# -- the answer ---------------------------------------------------------------------------------------


def _feedback(form: UploadForm, result: AnalysisResult) -> Feedback | None:
    """Advice where it was asked for: by goal dimensions, or by a context, which makes those count for nothing."""
    context = any(form.values("conversation_context"))
    dimensions = [name for name in QUALITY_DIMENSIONS if name in form.values("goal_dimensions[]")]
    if not context and not dimensions:
        return None
    if not result.signals:
        return Feedback("no_feedback", reason="Nothing was seen that advice could be built on.")
    longest = _longest(result.signals)
    message = f"What lasted longest is {longest.type}, from {longest.start:g} s to {longest.end:g} s."
    return Feedback("feedback", message, () if context else tuple(dimensions), longest.type)


def _longest(spans: Iterable[SignalSpan]) -> SignalSpan:
    return max(spans, key=lambda span: span.end - span.start)


async def _wait(exchange: Exchange, jobs: JobStore, job: UploadJob, account: str, seconds: float) -> UploadJob:
    """Wait until the job is finished, or for so many seconds, and return it as it stands then."""
    deadline = exchange.now() + seconds
    while not job.finished and (now := exchange.now()) < deadline:
        change = jobs.next_change(job.job_id, now)
        await anyio.sleep(min(deadline, change if change is not None else now) - now)
        job = jobs.get(job.job_id, account, exchange.now()) or job
    return job
