"""What a service offers beside the stream, by plain HTTP: keys for tokens, client tokens, uploads, jobs.

A stream endpoint may well stand alone, so nothing of this is tried unless it is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

import anyio

from ihproto import INCLUDE_OVERALL, INCLUDE_TIMELINE, RemoteProtocolError, Revision
from ihproto.anyio import Api, ApiError, StreamError
from ihproto.codec import encode_json
from ihproto.tokens import AUTH_PATHS, STREAM_SCOPE, ClientToken, ClientTokenRequest, KeyExchange
from ihproto.uploads import INCLUDE_SIGNALS, JOB_LIFETIME_SECONDS, MAX_WAIT_SECONDS, UPLOAD_PATH, UploadJob
from ihproto_conformance import samples
from ihproto_conformance.samples import Sample
from ihproto_conformance.server.exam import Exam, Missing, NotAccepted
from ihproto_conformance.server.handshake import LINK
from ihproto_conformance.server.plain import ask, service
from ihproto_conformance.server.plain import upload as upload_plainly
from ihproto_conformance.server.scenario import Run, scenario
from ihproto_conformance.verdict import Check, Evidence

T = TypeVar("T")

EXCHANGED = Check("AUT-1.exchange", "A key pair is exchanged for a Bearer token with the scopes asked for")
LIFETIME = Check("AUT-1.lifetime", "An access token is valid for 900 seconds")
BOTH_PATHS = Check("AUT-1.both-paths", "Key pairs are exchanged at /v0/auth as well as at /v1/auth")
WRONG_SECRET = Check("AUT-1.wrong-secret", "A key pair with a wrong secret gets no token")
NO_SCOPE = Check("AUT-1.no-scope", "An exchange that asks for no scope is refused")
TOKEN_OPENS = Check("AUT-1.opens", "An access token opens a session")

ISSUED = Check("AUT-2.issued", "An API key issues client tokens, with one session at a time and 300 seconds by default")
CLAMPED = Check("AUT-2.clamped", "The lifetime of a client token is forced into 60 to 3600 seconds")
OPENS = Check("AUT-2.opens", "A client token opens a session")
ONE_AT_A_TIME = Check("AUT-2.one-at-a-time", "While a session runs on a client token, it opens no other one")
REVOKED = Check("AUT-2.revoked", "A session on a client token that was revoked ends at the next segment")
STAYS_REVOKED = Check("AUT-2.stays-revoked", "A client token that was revoked opens no session")
FOREIGN_KEY = Check("AUT-2.foreign-key", "An API key that is not valid issues no client tokens")

ANALYSED = Check("UPL-1.analysed", "A file is answered by its analysis, with signals")
SECTIONS = Check("UPL-1.sections", "The sections asked for come, and no others")
ANSWER_ID = Check("UPL-1.correlation-id", "The answer to an upload has an X-Correlation-ID header")
TOO_SMALL = Check("UPL-1.too-small", "A file of less than 10 KB is refused")
TOO_SHORT = Check("UPL-1.too-short", "A file of less than 3 seconds is refused")
NO_VIDEO_FILE = Check("UPL-1.no-video-file", "A file that is no video is refused")
NO_CREDENTIAL = Check("UPL-1.no-credential", "An upload without a credential is refused with HTTP 401")
HTTP_BODY = Check(
    "ERR-3.http-body",
    "A refused request has a JSON object of error_id, correlation_id, message and link as body",
)

JOB = Check("UPL-2.job", "A file is answered by a job")
IN_ORDER = Check("UPL-2.in-order", "A job goes from queued to running to completed or failed, and never back")
AN_HOUR = Check("UPL-2.an-hour", "A job can be read for an hour")
SIGNALS = Check("UPL-2.signals", "A job that is asked for signals tells those of the whole file")
FINISHED = Check("UPL-2.finished", "A job can be read until it is completed or failed, and then has its result")
UNKNOWN_JOB = Check("UPL-2.unknown-job", "A job that does not exist is not found")
TOO_LONG = Check("UPL-2.wait-seconds", "A wait_seconds of more than 120 is refused")
UNKNOWN_MODEL = Check("UPL-2.unknown-model", "A model that does not exist is refused")

_EXCHANGE = (EXCHANGED, LIFETIME, BOTH_PATHS, WRONG_SECRET, NO_SCOPE, TOKEN_OPENS)
#: The statuses of a job, in order; it ends with one of two.
_ORDER = {"queued": 0, "running": 1, "completed": 2, "failed": 2}
#: How long to wait between two readings of a job, in seconds.
_PAUSE = 0.5

_INVALID = "ih_live_ihproto-conformance-invalid"
_ASK = "it takes the HTTP endpoints of the service: --http"
_ASK_PAIR = "it takes a key pair: --http with --pair-id and --pair-secret-env"


def _plain(
    name: str,
    title: str,
    checks: tuple[Check, ...],
    holds: Callable[[Revision], bool],
    media: float = 0.0,
    connections: int = 0,
) -> Callable[[Callable[[Exam, Api], Coroutine[Any, Any, None]]], Run]:
    """Put a scenario on the list that is tried only if HTTP is asked for."""

    def register(run: Callable[[Exam, Api], Coroutine[Any, Any, None]]) -> Run:
        @scenario(
            name,
            title,
            checks,
            applies=holds,
            connections=connections,
            media=lambda target: media if target.http else 0.0,
            # What is not asked for is not blocked either, and an upload goes without a session.
            needs_session=False,
        )
        @functools.wraps(run)
        async def asked(exam: Exam) -> None:
            if not exam.target.http:
                for check in checks:
                    if exam.target.revision.id in check.clause.revisions:
                        exam.not_asked(check, _ASK)
                return
            plaintext, patience = exam.target.allow_plaintext, exam.target.patience
            api = Api(service(exam.target), allow_plaintext=plaintext, response_timeout=patience)
            await run(exam, api)

        return asked

    return register


async def _refused(exam: Exam, check: Check, what: str, request: Awaitable[object], *statuses: int) -> ApiError | None:
    """See that a request is refused, with one of some statuses."""
    try:
        await request
    except ApiError as error:
        wanted = ", ".join(map(str, statuses))
        said = f"{what} was refused with HTTP {error.status} instead of {wanted}"
        exam.check(check, error.status in statuses, said)
        return error
    except (StreamError, RemoteProtocolError) as error:
        exam.failed(check, f"{what} was not answered as documented: {error}")
        return None
    exam.failed(check, f"{what} was not refused")
    return None


async def _granted(exam: Exam, check: Check, what: str, request: Awaitable[T]) -> T | None:
    """See that a request is answered; None, and the check failed, where it is not."""
    try:
        return await request
    except (StreamError, RemoteProtocolError) as error:
        exam.failed(check, f"{what} was not answered as documented: {error}")
        return None


@_plain(
    "exchange",
    "Exchange a key pair for a token, and open a session with it",
    _EXCHANGE,
    lambda revision: True,
    connections=1,
)
async def exchange(exam: Exam, api: Api) -> None:
    """Try AUT-1."""
    pair = exam.target.key_pair
    if pair is None:
        for check in _EXCHANGE:
            exam.not_asked(check, _ASK_PAIR)
        return
    own, *others = (exam.target.revision.auth_path, *(path for path in AUTH_PATHS))
    wrong = api.exchange_key(pair.key_id, "ihproto-conformance-wrong", path=own)
    await _refused(exam, WRONG_SECRET, "a wrong secret", wrong, 401, 403)
    nothing = encode_json(KeyExchange(pair.key_id, pair.key_secret, ()))
    answer = await ask(exam.target, "POST", own, "application/json", nothing)
    exam.check(NO_SCOPE, 400 <= answer.status < 500, f"it was answered with HTTP {answer.status}")
    token = await _granted(exam, EXCHANGED, "the key pair", api.exchange_key(pair.key_id, pair.key_secret, path=own))
    if token is None:
        raise Missing("the key pair was not exchanged for a token")
    exam.hide(token.access_token)
    exam.check(EXCHANGED, STREAM_SCOPE in token.scope.split(), f"the scope of the token is {token.scope[:80]!r}")
    exam.check(LIFETIME, token.expires_in == 900, f"expires_in is {token.expires_in}")
    for path in others:
        again = await _granted(
            exam, BOTH_PATHS, f"the key pair at {path}", api.exchange_key(pair.key_id, pair.key_secret, path=path)
        )
        if again is not None:
            exam.passed(BOTH_PATHS)
    await _opens(exam, TOKEN_OPENS, token.access_token)


async def _opens(exam: Exam, check: Check, credential: str) -> None:
    try:
        async with exam.open(check.title, credential=credential) as probe:
            await probe.ready()
            exam.passed(check)
    except NotAccepted as error:
        exam.note(check, Evidence(str(error), error.session))


@_plain(
    "client-token",
    "Have client tokens issued, and use one until it is revoked",
    (ISSUED, CLAMPED, OPENS, ONE_AT_A_TIME, REVOKED, STAYS_REVOKED, FOREIGN_KEY),
    lambda revision: revision.id in ISSUED.clause.revisions,
    media=12.0,
    connections=3,
)
async def client_token(exam: Exam, api: Api) -> None:
    """Try AUT-2."""
    key = exam.target.http_key
    foreign = api.create_client_token(ClientTokenRequest(_INVALID))
    await _refused(exam, FOREIGN_KEY, "an API key that is not valid", foreign, 401, 403)
    token = await _granted(exam, ISSUED, "the API key", api.create_client_token(ClientTokenRequest(key)))
    if token is None:
        raise Missing("the API key issued no client token; is it one?")
    exam.hide(token.access_token)
    told = (token.expires_in, token.max_concurrent)
    exam.check(ISSUED, told == (300, 1), f"expires_in is {told[0]}, and max_concurrent {told[1]}")
    for wanted, forced in ((1, 60), (100_000, 3600)):
        clamped = await _granted(
            exam,
            CLAMPED,
            f"a lifetime of {wanted} s",
            api.create_client_token(ClientTokenRequest(key, expires_in=wanted)),
        )
        if clamped is not None:
            exam.hide(clamped.access_token)
            exam.check(CLAMPED, clamped.expires_in == forced, f"{wanted} s become {clamped.expires_in} s")
    await _use(exam, api, token)


async def _use(exam: Exam, api: Api, token: ClientToken) -> None:
    try:
        async with exam.open("a session on a client token", credential=token.access_token) as probe:
            await probe.ready()
            exam.passed(OPENS)
            await probe.segment(samples.clip())
            try:
                async with exam.open("another one at the same time", credential=token.access_token) as other:
                    stands = exam.target.revision.announces and bool(await _ready(other))
                    # Where nothing announces a session, only its end tells that it does not stand.
                    ended = None if stands else await other.wait_ended()
                    exam.check(ONE_AT_A_TIME, ended is not None, "it opened a second session", other)
            except NotAccepted:
                exam.passed(ONE_AT_A_TIME)
            await api.revoke_client_token(exam.target.http_key, token.access_token)
            await probe.segment(samples.clip())
            ended = await probe.wait_ended()
            exam.check(REVOKED, ended is not None, "the session goes on after the token was revoked", probe, ended)
        await _opens_nothing(exam, token.access_token)
    except NotAccepted as error:
        exam.note(OPENS, Evidence(str(error), error.session))
        raise Missing(f"a client token opens no session: {error}") from None
    except StreamError as error:
        exam.failed(REVOKED, f"the token could not be revoked: {error}")
        exam.unseen(STAYS_REVOKED, "the token could not be revoked")


async def _opens_nothing(exam: Exam, credential: str) -> None:
    try:
        async with exam.open(STAYS_REVOKED.title, credential=credential) as probe:
            stands = exam.target.revision.announces and await _ready(probe)
            ended = None if stands else await probe.wait_ended()
            exam.check(STAYS_REVOKED, ended is not None, "it opened a session", probe)
    except NotAccepted:
        exam.passed(STAYS_REVOKED)


async def _ready(probe: Any) -> bool:
    try:
        await probe.ready()
    except Missing:
        return False
    return True


@_plain(
    "upload",
    "Upload a file, and files that are to be refused",
    (ANALYSED, SECTIONS, ANSWER_ID, TOO_SMALL, TOO_SHORT, NO_VIDEO_FILE, NO_CREDENTIAL, HTTP_BODY, LINK),
    lambda revision: revision.id in ANALYSED.clause.revisions,
    media=13.5,
)
async def upload(exam: Exam, api: Api) -> None:
    """Try UPL-1."""
    clip = samples.clip()
    exam.spend(clip.seconds)
    result = await _granted(exam, ANALYSED, "a file", api.upload(exam.target.http_key, clip.data))
    if result is not None:
        exam.passed(ANALYSED)
        exam.check(SECTIONS, result.conversation_quality is None, "conversation quality came without being asked for")
    exam.spend(clip.seconds)
    both = (INCLUDE_OVERALL, INCLUDE_TIMELINE)
    scored = await _granted(
        exam, SECTIONS, "a file with both sections", api.upload(exam.target.http_key, clip.data, include=both)
    )
    if scored is not None:
        quality = scored.conversation_quality
        whole = quality is not None and quality.overall is not None and quality.timeline is not None
        exam.check(SECTIONS, whole, "a section that was asked for is missing")
    exam.spend(clip.seconds)
    answer = await upload_plainly(exam.target, UPLOAD_PATH, clip, exam.target.http_key)
    if answer.status == 200:
        exam.check(ANSWER_ID, bool(answer.correlation_id), "the answer has no X-Correlation-ID header")
    else:
        exam.unseen(ANSWER_ID, f"a file was answered with HTTP {answer.status}")
    short = samples.short()
    exam.spend(short.seconds)
    await _refused(exam, TOO_SHORT, short.name, api.upload(exam.target.http_key, short.data), 400, 422)
    anonymous = await upload_plainly(exam.target, UPLOAD_PATH, clip, None)
    what = f"an upload without a credential was answered with HTTP {anonymous.status}"
    exam.check(NO_CREDENTIAL, anonymous.status == 401, what)
    small = Sample("a file of 5,000 bytes", clip.data[:5000], 0.0)
    await _refused(exam, TOO_SMALL, small.name, api.upload(exam.target.http_key, small.data), 400, 413, 415, 422)
    other = samples.no_container()
    await _refused(exam, NO_VIDEO_FILE, other.name, api.upload(exam.target.http_key, other.data), 400, 415, 422)
    await _look_at_refusal(exam, api.upload(_INVALID, clip.data))


async def _look_at_refusal(exam: Exam, request: Awaitable[object]) -> None:
    error = await _refused(exam, HTTP_BODY, "a request with an invalid key", request, 401)
    if error is None or error.status != 401:
        exam.unseen(LINK, "no request was refused")
        return
    body = error.error
    complete = body is not None and None not in (body.error_id, body.correlation_id, body.message, body.link)
    exam.check(HTTP_BODY, complete, "its body is no JSON object of error_id, correlation_id, message and link")
    if complete and body is not None:
        link = str(body.link)
        expected = f"https://docs.interhuman.ai/api-reference/error-handling#{body.error_id}-"
        exam.check(LINK, link.startswith(expected), f"the link is {link[:120]!r}")
    else:
        exam.unseen(LINK, "the refusal has no link")


@_plain(
    "upload-job",
    "Upload a file, and follow the job to its end",
    (JOB, IN_ORDER, AN_HOUR, SIGNALS, FINISHED, UNKNOWN_JOB, TOO_LONG, UNKNOWN_MODEL, HTTP_BODY, LINK),
    lambda revision: revision.id in JOB.clause.revisions,
    media=12.0,
)
async def upload_job(exam: Exam, api: Api) -> None:
    """Try UPL-2."""
    key, clip = exam.target.http_key, samples.clip()
    await _look_at_refusal(exam, api.get_job(_INVALID, "ihproto-conformance-no-such-job"))
    missing = api.get_job(key, "ihproto-conformance-no-such-job")
    await _refused(exam, UNKNOWN_JOB, "a job that does not exist", missing, 404)
    exam.spend(clip.seconds)
    strange = api.submit(key, clip.data, model="ihproto-conformance-no-such-model")
    await _refused(exam, UNKNOWN_MODEL, "a model that does not exist", strange, 400, 404, 422)
    model = str(exam.target.revision.models[0].name)
    exam.spend(clip.seconds)
    long = api.submit(key, clip.data, model=model, wait_seconds=MAX_WAIT_SECONDS + 1)
    await _refused(exam, TOO_LONG, f"a wait_seconds of {MAX_WAIT_SECONDS + 1}", long, 400, 422)
    exam.spend(clip.seconds)
    job = await _granted(exam, JOB, "a file", api.submit(key, clip.data, model=model, include=(INCLUDE_SIGNALS,)))
    if job is None:
        raise Missing("the upload was not answered by a job")
    exam.check(JOB, bool(job.job_id) and job.model == model, f"the job is for the model {job.model[:40]!r}")
    _look_at_expiry(exam, job)
    await _follow(exam, api, job)


def _look_at_expiry(exam: Exam, job: UploadJob) -> None:
    try:
        kept = datetime.fromisoformat(job.expires_at) - datetime.fromisoformat(job.created_at)
    except (ValueError, TypeError):
        exam.failed(AN_HOUR, f"created_at is {job.created_at[:40]!r}, and expires_at {job.expires_at[:40]!r}")
        return
    seconds = kept.total_seconds()
    exam.check(AN_HOUR, round(seconds) >= JOB_LIFETIME_SECONDS, f"it expires {seconds:g} s after it was created")


async def _follow(exam: Exam, api: Api, job: UploadJob) -> None:
    """Read the job until it is completed or failed (UPL-2)."""
    patience = max(60.0, exam.target.patience)
    statuses = [job.status]
    try:
        with anyio.fail_after(patience):
            while not job.finished:
                await anyio.sleep(_PAUSE)
                job = await api.get_job(exam.target.http_key, job.job_id)
                statuses.append(job.status)
    except TimeoutError:
        exam.failed(FINISHED, f"the job is still {job.status[:40]!r} after {patience:g} s")
    except (StreamError, RemoteProtocolError) as error:
        exam.failed(FINISHED, f"the job could not be read: {error}")
    else:
        whole = job.result is not None if job.status == "completed" else job.error is not None
        exam.check(FINISHED, whole, f"the job is {job.status}, and says nothing of what came of it")
    told = " to ".join(dict.fromkeys(status[:40] for status in statuses))
    places = [_ORDER.get(status, -1) for status in statuses]
    exam.check(IN_ORDER, -1 not in places and places == sorted(places), f"it goes from {told!r}")
    if job.result is None:
        exam.unseen(SIGNALS, "no job was completed")
    else:
        exam.check(SIGNALS, job.result.signals is not None, "the result has no signals")
