"""What is at the paths of plain HTTP, and who answers there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from ihproto.anyio import HttpExchange, StreamError
from ihproto.tokens import UPLOAD_SCOPE
from ihproto.uploads import JOB_UPLOAD_PATH, JOBS_PATH, UPLOAD_PATH
from ihproto.wire import HttpError
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.jobs import JobStore
from ihproto_mock.leases import Denial, Grant, Lease
from ihproto_mock.log import Say
from ihproto_mock.pages import Pages
from ihproto_mock.token_endpoints import MAX_BODY_BYTES, TOKEN_ENDPOINTS, Answer
from ihproto_mock.uploads import UploadService, answer_job, answer_job_upload, answer_upload

_JSON = "application/json"
#: How long the body of a request for a token may take as a whole, in seconds.
BODY_SECONDS = 30
_Handler = Callable[[HttpExchange, Say], Awaitable[None]]


class HttpEndpoints:
    """Answers every plain HTTP request that reaches a mock server.

    Args:
        credentials: Who may do what.
        uploads: What happens in uploaded files.
        streams: The paths at which a WebSocket is spoken instead.
        pages: A folder with a web page to serve; None for none.
    """

    def __init__(
        self,
        credentials: CredentialStore,
        uploads: UploadService,
        streams: Collection[str],
        pages: Path | None,
    ) -> None:
        self._credentials = credentials
        self._uploads = uploads
        self._jobs: JobStore | None = None
        self._streams = streams
        self._pages = Pages(pages) if pages is not None else None
        self._routes: Mapping[str, tuple[tuple[str, ...], _Handler]] = {
            **dict.fromkeys(TOKEN_ENDPOINTS, (("POST",), self._answer_token)),
            UPLOAD_PATH: (("POST",), self._answer_upload),
            JOB_UPLOAD_PATH: (("POST",), self._answer_job_upload),
            JOBS_PATH: (("GET", "HEAD"), self._answer_job),
        }

    async def answer(self, exchange: HttpExchange, say: Say) -> None:
        """Answer a request, whatever it asks for."""
        request = exchange.request
        say("request", method=request.method, path=request.path, client_request_id=request.client_request_id)
        path = JOBS_PATH if request.path.startswith(JOBS_PATH) else request.path
        route = self._routes.get(path)
        try:
            if route is not None:
                methods, handler = route
                if request.method in methods:
                    await handler(exchange, say)
                else:
                    what = f"{request.path} takes {methods[0]}, not {request.method}"
                    await _refuse(exchange, say, 405, what, headers=[("Allow", ", ".join(methods))])
            elif request.path in self._streams:
                what = "this endpoint speaks WebSocket; send an upgrade request"
                await _refuse(exchange, say, 426, what, headers=[("Upgrade", "websocket")])
            elif self._pages is None or not await self._pages.answer(exchange, say):
                await _refuse(exchange, say, 404, f"there is nothing at this path; there is {self._places()}")
        except StreamError as error:
            say("request broken off", refused=True, why=str(error))

    def _places(self) -> str:
        return ", ".join([*self._streams, *self._routes])

    # -- credentials ------------------------------------------------------------------------------

    async def _answer_token(self, exchange: HttpExchange, say: Say) -> None:
        content_type = exchange.request.content_type
        if content_type is not None and content_type.partition(";")[0].strip().lower() != _JSON:
            await _refuse(exchange, say, 415, f"the body must be {_JSON}")
            return
        body = bytearray()
        with anyio.move_on_after(BODY_SECONDS) as scope:
            async for piece in exchange:
                body += piece
                if len(body) > MAX_BODY_BYTES:
                    await _refuse(exchange, say, 413, f"the body is longer than {MAX_BODY_BYTES} bytes")
                    return
        if scope.cancelled_caught:
            await _refuse(exchange, say, 408, f"the body did not come within {BODY_SECONDS} s")
            return
        answer = TOKEN_ENDPOINTS[exchange.request.path](self._credentials, bytes(body), exchange.now())
        await exchange.respond(answer.status, answer.encode(exchange.correlation_id))
        _tell(answer, say)

    # -- uploads ----------------------------------------------------------------------------------

    async def _answer_upload(self, exchange: HttpExchange, say: Say) -> None:
        lease = await self._lease(exchange, say)
        if lease is not None:
            with lease:
                error = await answer_upload(exchange, self._uploads, lease)
            _tell_outcome(error, "file analysed", say)

    async def _answer_job_upload(self, exchange: HttpExchange, say: Say) -> None:
        lease = await self._lease(exchange, say)
        if lease is not None:
            jobs = self._job_store(exchange)
            with lease:
                error = await answer_job_upload(exchange, self._uploads, jobs, lease.account, lease)
            _tell_outcome(error, "job accepted", say)

    async def _answer_job(self, exchange: HttpExchange, say: Say) -> None:
        grant = await self._grant(exchange, say)
        if grant is not None:
            _tell_outcome(await answer_job(exchange, self._job_store(exchange), grant.account), "job read", say)

    def _job_store(self, exchange: HttpExchange) -> JobStore:
        if self._jobs is None:
            takes = self._uploads.job_seconds
            self._jobs = JobStore(
                exchange.now(), started_at=datetime.now(UTC), queue_seconds=takes / 3, run_seconds=takes * 2 / 3
            )
        return self._jobs

    async def _grant(self, exchange: HttpExchange, say: Say) -> Grant | None:
        """What the credential allows, or None when the request was refused."""
        request = exchange.request
        grant = self._credentials.authorize(
            request.credential,
            now=exchange.now(),
            scope=UPLOAD_SCOPE,
            origin=request.origin,
            origin_is_sent=request.method not in ("GET", "HEAD"),
        )
        if isinstance(grant, Denial):
            await _deny(exchange, say, grant)
            return None
        return grant

    async def _lease(self, exchange: HttpExchange, say: Say) -> Lease | None:
        """What an upload is charged to, or None when the request was refused."""
        grant = await self._grant(exchange, say)
        lease = grant.begin(exchange.now()) if grant is not None else None
        if isinstance(lease, Denial):
            await _deny(exchange, say, lease)
            return None
        return lease


def _tell(answer: Answer, say: Say) -> None:
    if isinstance(answer.content, HttpError):
        _tell_refusal(say, answer.content, answer.status, answer.clause_id)
    else:
        say("request answered", status=answer.status)


def _tell_outcome(error: HttpError | None, done: str, say: Say) -> None:
    if error is None:
        say(done)
    else:
        _tell_refusal(say, error)


def _tell_refusal(say: Say, error: HttpError, status: int | None = None, clause_id: str | None = None) -> None:
    say("request refused", refused=True, status=status, code=error.error_id, clause=clause_id, why=error.message)


async def _deny(exchange: HttpExchange, say: Say, denial: Denial) -> None:
    _tell_refusal(say, denial.error, denial.status, denial.clause_id)
    await exchange.refuse(denial.status, denial.error)


async def _refuse(
    exchange: HttpExchange, say: Say, status: int, what: str, *, headers: Sequence[tuple[str, str]] = ()
) -> None:
    error = HttpError(message=what)
    _tell_refusal(say, error, status)
    await exchange.refuse(status, error, headers=headers)
