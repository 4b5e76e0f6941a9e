"""What the service offers by plain HTTP: credentials (AUT) and uploads (UPL)."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Collection, Sequence
from secrets import token_hex
from typing import Any, ClassVar, TypeAlias, TypeVar
from urllib.parse import quote

import msgspec

from ihproto._adapter.driver import Driver
from ihproto._adapter.endpoint import Endpoint
from ihproto._adapter.errors import ApiError, ConnectionBroken, JobUnfinished
from ihproto._adapter.library import Library
from ihproto._adapter.source import File, Source, name_of, open_source
from ihproto._adapter.tokens import TokenSource, resolve
from ihproto.clauses import clause
from ihproto.codec import decode_json, encode_json
from ihproto.errors import Finding, LocalProtocolError, MalformedMessage, RemoteProtocolError, Side, Violation
from ihproto.messages import names
from ihproto.tokens import (
    AUTH_PATHS,
    CLIENT_TOKENS_PATH,
    REVOKE_PATH,
    STREAM_SCOPE,
    AccessToken,
    ClientToken,
    ClientTokenRequest,
    ClientTokenRevocation,
    KeyExchange,
)
from ihproto.uploads import JOB_UPLOAD_PATH, JOBS_PATH, UPLOAD_PATH, AnalysisResult, UploadJob
from ihproto.wire import HttpResponse, MultipartForm, RequestConnection, RequestFailed, Target
from ihproto.wire.refusal import decode_http_error

T = TypeVar("T")

#: Called with how much of a file is sent, and how long it is, both in bytes.
Progress: TypeAlias = Callable[[int, int], None]

_JSON = "application/json"
_STATE = "REQUESTED"


class Api:
    """The HTTP endpoints of a service; every call is a connection of its own.

    All calls raise `ConnectError` if the server cannot be reached, `ConnectionBroken` or `PeerStalled` if the
    connection is lost or the answer does not come, `ApiError` if the server answers with an error (ERR-3), and
    `RemoteProtocolError` if it answers with something else than the documents say. Where a credential is wanted, a
    `TokenSource` will do.

    Args:
        base_url: `https://…`, or `http://…` for a local server, without a path; `wss` and `ws` stand for the same.
        ssl_context: The TLS settings for `https://`; None for the defaults.
        allow_plaintext: Allow `http://` to hosts that are not local (HS-1).
        connect_timeout: How long connecting may take, in seconds.
        send_timeout: How long the server may not take our bytes, in seconds.
        response_timeout: How long a response may take once the request is sent, in seconds.
        client_request_id: Sent with every request as `X-Client-Request-Id` (HS-8).

    Raises:
        LocalProtocolError: If the URL cannot be used (HS-1).
    """

    library: ClassVar[Library]

    def __init__(
        self,
        base_url: str,
        *,
        ssl_context: ssl.SSLContext | None = None,
        allow_plaintext: bool = False,
        connect_timeout: float = 30.0,
        send_timeout: float = 60.0,
        response_timeout: float = 300.0,
        client_request_id: str | None = None,
    ) -> None:
        target = Target.parse_service(base_url, allow_plaintext=allow_plaintext)
        self._endpoint = Endpoint(target, ssl_context, connect_timeout)
        self._send_timeout = send_timeout
        self._response_timeout = response_timeout
        self._client_request_id = client_request_id

    async def exchange_key(
        self, key_id: str, key_secret: str, scopes: Sequence[str] = (STREAM_SCOPE,), *, path: str = AUTH_PATHS[-1]
    ) -> AccessToken:
        """Exchange a key pair for an access token (AUT-1).

        Args:
            key_id: The id of the key.
            key_secret: Its secret.
            scopes: What the token is wanted for, at least one.
            path: `/v1/auth` or `/v0/auth`.

        Raises:
            LocalProtocolError: If no scope is asked for (AUT-1).
        """
        wanted = names(scopes)
        if not wanted:
            raise _local("AUT-1", "a token is for something; ask for at least one scope")
        body = encode_json(KeyExchange(key_id, key_secret, wanted))
        token = _decode(AccessToken, await self._post("the key", path, body, [key_secret]), "AUT-1")
        if token.token_type.lower() != "bearer":
            raise _remote(Finding(clause("AUT-1"), "the type of a token is Bearer", "$.token_type"))
        return token

    async def create_client_token(self, request: ClientTokenRequest) -> ClientToken:
        """Have a client token issued (AUT-2)."""
        body = encode_json(request)
        response = await self._post("the client token", CLIENT_TOKENS_PATH, body, [request.api_key])
        return _decode(ClientToken, response, "AUT-2")

    async def revoke_client_token(self, api_key: str, token: str) -> None:
        """Withdraw a client token; a session that runs on it ends at its next segment (AUT-2).

        Args:
            api_key: The API key that issued it.
            token: The token.
        """
        body = encode_json(ClientTokenRevocation(api_key, token))
        await self._post("the revocation", REVOKE_PATH, body, [api_key, token])

    async def upload(
        self,
        credential: str | TokenSource,
        file: File,
        *,
        filename: str | None = None,
        content_type: str = "application/octet-stream",
        include: Sequence[str] = (),
        size: int | None = None,
        progress: Progress | None = None,
    ) -> AnalysisResult:
        """Have a whole file analysed (UPL-1).

        Args:
            credential: An API key or a token with the upload scope.
            file: Its bytes, its path, or its bytes in pieces; a file is never read into memory as a whole.
            filename: What to call it; None for the name in its path, or `video`.
            content_type: What it is.
            include: The optional sections wanted.
            size: How long it is, in bytes; needed where it comes in pieces.
            progress: Called with the bytes that are sent and those that there are.

        Raises:
            LocalProtocolError: If the credential cannot travel in a header (HS-2).
            OSError: If the file cannot be read.
            ValueError: If it turns out to be shorter or longer than it was announced.
        """
        fields = [("include[]", value) for value in names(include)]
        response = await self._upload(
            UPLOAD_PATH, credential, file, fields, filename, content_type, size, progress, self._response_timeout
        )
        return _decode(AnalysisResult, response, "UPL-1", needed="signals")

    async def submit(
        self,
        credential: str | TokenSource,
        file: File,
        *,
        model: str,
        wait_seconds: int = 0,
        include: Sequence[str] = (),
        filename: str | None = None,
        content_type: str = "application/octet-stream",
        size: int | None = None,
        progress: Progress | None = None,
    ) -> UploadJob:
        """Have a whole file analysed in a job (UPL-2).

        Args:
            credential: An API key or a token with the upload scope.
            file: Its bytes, its path, or its bytes in pieces; a file is never read into memory as a whole.
            model: The model that is to analyse it.
            wait_seconds: How long the server may wait for the end of the job before it answers, in seconds.
            include: The optional sections wanted.
            filename: What to call the file; None for the name in its path, or `video`.
            content_type: What it is.
            size: How long it is, in bytes; needed where it comes in pieces.
            progress: Called with the bytes that are sent and those that there are.

        Returns:
            The job as it stands, see `wait_for_job`.

        Raises:
            LocalProtocolError: If the credential cannot travel in a header (HS-2).
            OSError: If the file cannot be read.
            ValueError: If it turns out to be shorter or longer than it was announced.
        """
        fields = [("model", model)]
        if wait_seconds:
            fields.append(("wait_seconds", str(wait_seconds)))
        fields += [("include[]", value) for value in names(include)]
        timeout = self._response_timeout + wait_seconds
        response = await self._upload(
            JOB_UPLOAD_PATH, credential, file, fields, filename, content_type, size, progress, timeout
        )
        return _decode(UploadJob, response, "UPL-2")

    async def get_job(self, credential: str | TokenSource, job_id: str) -> UploadJob:
        """Read a job as it stands (UPL-2).

        Args:
            credential: An API key or a token with the upload scope.
            job_id: The id of the job.

        Raises:
            LocalProtocolError: If the credential cannot travel in a header (HS-2), or the id is empty (UPL-2).
        """
        if not job_id:
            raise _local("UPL-2", "the id of the job is empty")
        key = await resolve(credential)
        wire = self._request("GET", JOBS_PATH + quote(job_id, safe=""), credential=key)
        return _decode(UploadJob, await self._fetch("to tell the job", wire, b"", [key]), "UPL-2")

    async def wait_for_job(
        self,
        credential: str | TokenSource,
        job: UploadJob | str,
        *,
        poll_interval: float = 2.0,
        timeout: float | None = None,
    ) -> UploadJob:
        """Read a job again and again until it is completed or failed (UPL-2).

        Args:
            credential: An API key or a token with the upload scope.
            job: The job, or its id.
            poll_interval: How long to wait between two readings, in seconds.
            timeout: How long to wait altogether, in seconds; None for as long as it takes.

        Returns:
            The job, completed or failed.

        Raises:
            JobUnfinished: If it is neither when the time is over.
            LocalProtocolError: If the credential cannot travel in a header (HS-2), or the id is empty (UPL-2).
        """
        last = float("inf") if timeout is None else self.library.now() + timeout
        known = job if isinstance(job, UploadJob) else await self.get_job(credential, job)
        while not known.finished:
            left = last - self.library.now()
            if timeout is not None and left <= 0:
                raise JobUnfinished(known, timeout)
            await self.library.sleep(min(poll_interval, left))
            known = await self.get_job(credential, known.job_id)
        return known

    def _request(self, method: str, path: str, **more: Any) -> RequestConnection:
        more.setdefault("response_timeout", self._response_timeout)
        return RequestConnection(self._endpoint.target, method, path, client_request_id=self._client_request_id, **more)

    async def _post(self, what: str, path: str, body: bytes, secrets: Collection[str]) -> HttpResponse:
        wire = self._request("POST", path, content_type=_JSON, content_length=len(body))
        return await self._fetch(what, wire, body, secrets)

    async def _upload(
        self,
        path: str,
        credential: str | TokenSource,
        file: File,
        fields: Sequence[tuple[str, str]],
        filename: str | None,
        content_type: str,
        size: int | None,
        progress: Progress | None,
        timeout: float,
    ) -> HttpResponse:
        async with open_source(self.library, file, size) as source:
            form = MultipartForm(
                token_hex(16),
                fields=fields,
                name="file",
                filename=filename if filename is not None else name_of(file),
                content_type=content_type,
                file_size=source.size,
            )
            key = await resolve(credential)
            wire = self._request(
                "POST",
                path,
                credential=key,
                content_type=form.content_type,
                content_length=form.length,
                response_timeout=timeout,
            )
            upload = _Upload(form, source, progress)
            return await self._fetch("the upload", wire, upload, [key])

    async def _fetch(
        self, what: str, wire: RequestConnection, body: bytes | _Upload, secrets: Collection[str]
    ) -> HttpResponse:
        """Make one request; a response that is an error is raised, without the secrets that went with the request."""
        transport = await self.library.dial(self._endpoint)
        driver = Driver(wire, transport, self._send_timeout, cure="")
        try:
            if isinstance(body, bytes):
                await _send(driver, body)
                response = await _receive(driver)
            else:
                response = await self._receive_while_sending(driver, body)
        finally:
            await transport.aclose()
        if not 200 <= response.status < 300:
            error = decode_http_error(response.body)
            told = error.correlation_id if error is not None else None
            raise ApiError(what, response.status, error, response.correlation_id or told, secrets)
        return response

    async def _receive_while_sending(self, driver: Driver[RequestConnection], upload: _Upload) -> HttpResponse:
        """A server may answer before it has taken the whole file: whoever did not read would not hear it."""
        response: HttpResponse | None = None
        failure: Exception | None = None

        async def receive() -> None:
            nonlocal response, failure
            try:
                response = await _receive(driver)
            except Exception as error:
                failure = failure or error
            scope.cancel()

        async def send() -> None:
            nonlocal failure
            try:
                await upload.send(driver)
            except ConnectionBroken:
                # The answer may still be there to be read.
                driver.wire.cut_body(driver.transport.now())
                driver.nudge()
            except Exception as error:
                failure = error
                scope.cancel()

        with driver.transport.scope(float("inf")) as scope:
            await self.library.together(receive, send)
        if response is not None:
            return response
        assert failure is not None
        raise failure


class _Upload:
    """A form with a file, on its way."""

    def __init__(self, form: MultipartForm, source: Source, progress: Progress | None) -> None:
        self._form = form
        self._source = source
        self._progress = progress

    async def send(self, driver: Driver[RequestConnection]) -> None:
        sent = 0
        driver.wire.send_body(self._form.head)
        while piece := await self._source.read():
            sent += len(piece)
            if sent > self._source.size:
                raise ValueError(f"the file is longer than the {self._source.size} bytes announced")
            driver.wire.send_body(piece)
            await driver.flush()
            if self._progress is not None:
                self._progress(sent, self._source.size)
        if sent < self._source.size:
            raise ValueError(f"the file ended after {sent} of {self._source.size} bytes")
        driver.wire.send_body(self._form.tail)
        driver.wire.end_body(driver.transport.now())
        await driver.flush()


async def _send(driver: Driver[RequestConnection], body: bytes) -> None:
    driver.wire.send_body(body)
    driver.wire.end_body(driver.transport.now())
    # Where the server takes no more, its answer may still be there to be read.
    with contextlib.suppress(ConnectionBroken):
        await driver.flush()


async def _receive(driver: Driver[RequestConnection]) -> HttpResponse:
    while True:
        for event in driver.wire.events():
            if isinstance(event, RequestFailed):
                raise ConnectionBroken(event.what)
            return event
        await driver.step()


def _decode(cls: type[T], response: HttpResponse, clause_id: str, *, needed: str | None = None) -> T:
    try:
        found = decode_json(cls, response.body, clause_id)
        if needed is not None and needed not in decode_json(dict[str, msgspec.Raw], response.body, clause_id):
            raise MalformedMessage(Finding(clause(clause_id), f"object missing required field `{needed}`", "$"))
    except MalformedMessage as error:
        raise _remote(error.finding) from None
    return found


def _remote(finding: Finding) -> RemoteProtocolError:
    return RemoteProtocolError(Violation(finding.clause, Side.SERVER, _STATE, finding.what, finding.path))


def _local(clause_id: str, what: str) -> LocalProtocolError:
    return LocalProtocolError(Violation(clause(clause_id), Side.CLIENT, _STATE, what))
