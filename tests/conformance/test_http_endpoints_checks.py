"""The checks of what a service offers beside the stream: the mock server keeps all, and each is seen to fail."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import attrs
import pytest
import trustme

from ihproto import REVISIONS, V1, V1_WINDOW, V2, Revision
from ihproto.anyio import ConnectError, HttpExchange, ServerStream
from ihproto.tokens import STREAM_SCOPE, UPLOAD_SCOPE, ClientToken, ClientTokenRequest
from ihproto.wire import HttpError
from ihproto.wire.exchange import Exchange
from ihproto_conformance import samples
from ihproto_conformance.server import SCENARIOS, KeyPair, Selection, ServerUnderTest, endpoints, judge_server
from ihproto_conformance.server.exam import Missing
from ihproto_conformance.server.plain import ask
from ihproto_conformance.verdict import Report, Status, Verdict
from ihproto_mock import MockServer
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.keys import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET
from ihproto_mock.leases import Denial, Grant, Lease, Standing
from ihproto_mock.stream import StreamEndpoint

NAMES = ("exchange", "client-token", "upload", "upload-job")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The jobs of the mock server here are done in no time."""
    monkeypatch.setattr(endpoints, "_PAUSE", 0.06)


def judge(revision: Revision, *names: str, patience: float = 10.0, http: bool = True, **options: Any) -> Report:
    """The report on the mock server as it is now, over loopback."""

    async def body() -> Report:
        async with MockServer(job_seconds=0.05, **options) as mock:
            target = ServerUnderTest(
                mock.url_of(revision),
                revision,
                mock.key,
                media=samples.recording(),
                http=http,
                key_pair=KeyPair(DEFAULT_KEY_ID, DEFAULT_KEY_SECRET),
                patience=patience,
            )
            return await judge_server(target, Selection(full=True, include=names), version="0")

    return anyio.run(body)


def broken(report: Report) -> set[str]:
    return {result.check.id for result in report.results if result.status.broken}


@pytest.mark.parametrize("revision", REVISIONS.values(), ids=list(REVISIONS))
def test_the_mock_server_keeps_everything(revision: Revision) -> None:
    report = judge(revision, *NAMES, pin=[revision.id])
    assert broken(report) == set()
    assert report.verdict is Verdict.CONFORMS
    judged = [result for result in report.results if result.status is Status.PASSED]
    assert len(judged) >= 5
    assert DEFAULT_KEY_SECRET not in repr(report) + repr(report.sessions)


def test_the_endpoints_can_be_tried_with_another_key_than_the_stream() -> None:
    def tried(api_key: str | None) -> Report:
        async def body() -> Report:
            keys = {"ih_live_stream": [STREAM_SCOPE], "ih_live_upload": [UPLOAD_SCOPE, STREAM_SCOPE]}
            async with MockServer(keys=keys) as mock:
                target = ServerUnderTest(
                    mock.url, V1, "ih_live_stream", media=samples.recording(), http=True, api_key=api_key
                )
                return await judge_server(target, Selection(full=True, include=("upload",)), version="0")

        return anyio.run(body)

    assert "UPL-1.analysed" in broken(tried(None))
    report = tried("ih_live_upload")
    assert broken(report) == set()
    assert "ih_live_upload" not in repr(report) + repr(report.sessions)


def test_nothing_of_it_is_tried_without_being_asked_for() -> None:
    async def body() -> Report:
        target = ServerUnderTest("ws://127.0.0.1:9", V1, "k", media=samples.recording())
        return await judge_server(target, Selection(full=True, include=NAMES), version="0")

    assert anyio.run(body).verdict is Verdict.UNJUDGED


TOKEN = {"access_token": "garbage", "token_type": "Bearer", "expires_in": 900, "scope": STREAM_SCOPE}
CLIENT_TOKEN = {**TOKEN, "expires_in": 300, "max_concurrent": 1}
JOB = {
    "job_id": "j1",
    "status": "queued",
    "model": "inter-2",
    "created_at": "2026-01-01T00:00:00Z",
    "expires_at": "2026-01-01T01:00:00Z",
    "status_url": "/v2/upload/jobs/j1",
}

Said = tuple[int, Any]
Tamper = Callable[[str, int, Any], Said | None]


def tampered(patch: pytest.MonkeyPatch, tamper: Tamper) -> None:
    """Let the mock say something else where a tamper says so, going by path, status and body."""
    respond, refuse = HttpExchange.respond, HttpExchange.refuse

    async def responds(self: HttpExchange, status: int, body: bytes, **options: Any) -> None:
        said = tamper(self.request.path, status, json.loads(body or b"null"))
        if said is not None:
            status, body = said[0], json.dumps(said[1]).encode()
        await respond(self, status, body, **options)

    async def refuses(self: HttpExchange, status: int, error: HttpError, **options: Any) -> None:
        told = {
            "error_id": error.error_id,
            "correlation_id": self.correlation_id,
            "message": error.message,
            "link": error.link,
        }
        said = tamper(self.request.path, status, told)
        if said is None:
            await refuse(self, status, error, **options)
        else:
            await respond(self, said[0], json.dumps(said[1]).encode())

    patch.setattr(HttpExchange, "respond", responds)
    patch.setattr(HttpExchange, "refuse", refuses)


def at(path: str, status: int, change: Callable[[Any], Said]) -> Tamper:
    """Change what is said at a path with a status."""
    return lambda where, how, body: change(body) if where.startswith(path) and how == status else None


def members(**changes: Any) -> Callable[[Any], Said]:
    """The same with other members."""
    return lambda body: (200, {**body, **changes})


def _without_result(body: Any) -> Said:
    return 200, {**body, "status": "completed", "result": None}


def _without_signals(body: Any) -> Said:
    return 200, {**body, "result": body["result"] and {**body["result"], "signals": None}}


def refused_with(error_id: str, word: str, change: Callable[[Any], Said]) -> Tamper:
    """Change a refusal with an error id whose message has a word in it."""

    def tamper(path: str, status: int, body: Any) -> Said | None:
        fits = status >= 400 and body.get("error_id") == error_id and word in body["message"]
        return change(body) if fits else None

    return tamper


def back_and_forth(path: str, status: int, body: Any) -> Said | None:
    """Say of a job that it runs, before it is read as queued."""
    return (202, {**body, "status": "running"}) if path == "/v2/upload/analyze" and status < 300 else queued_once(body)


def queued_once(body: Any) -> Said | None:
    seen = body is not None and body.get("job_id") in QUEUED
    if body is None or seen or "job_id" not in body:
        return None
    QUEUED.add(body["job_id"])
    return 200, {**body, "status": "queued", "result": None}


QUEUED: set[str] = set()

BREAKS: dict[str, tuple[Revision, str, Tamper]] = {
    "AUT-1.exchange": (V1, "exchange", at("/v1/auth", 200, members(scope="interhumanai.upload"))),
    "AUT-1.lifetime": (V1, "exchange", at("/v1/auth", 200, members(expires_in=60))),
    "AUT-1.both-paths": (V1, "exchange", at("/v0/auth", 200, lambda body: (404, {}))),
    "AUT-1.wrong-secret": (V1, "exchange", at("/v1/auth", 401, lambda body: (200, TOKEN))),
    "AUT-1.no-scope": (V1, "exchange", at("/v1/auth", 400, lambda body: (200, TOKEN))),
    "AUT-1.opens": (V1, "exchange", at("/v1/auth", 200, members(access_token="garbage"))),
    "AUT-2.issued": (V1, "client-token", at("/v1/client_tokens", 200, members(max_concurrent=5))),
    "AUT-2.clamped": (
        V1,
        "client-token",
        lambda path, status, body: (200, {**body, "expires_in": 1}) if body and body.get("expires_in") == 60 else None,
    ),
    "AUT-2.opens": (V1, "client-token", at("/v1/client_tokens", 200, members(access_token="garbage"))),
    "AUT-2.foreign-key": (V1, "client-token", at("/v1/client_tokens", 401, lambda body: (200, CLIENT_TOKEN))),
    "UPL-1.analysed": (V1, "upload", at("/v1/upload", 200, lambda body: (200, {}))),
    "UPL-1.sections": (V1, "upload", at("/v1/upload", 200, lambda body: (200, {"signals": []}))),
    "UPL-1.too-small": (
        V1,
        "upload",
        lambda path, status, body: (200, {"signals": []}) if status >= 400 and status != 401 else None,
    ),
    "UPL-1.too-short": (V1, "upload", refused_with("ih4007", "", lambda body: (200, {"signals": []}))),
    "UPL-1.no-credential": (V1, "upload", refused_with("ih2002", "", lambda body: (403, body))),
    "UPL-1.no-video-file": (
        V1,
        "upload",
        lambda path, status, body: (500, {}) if status >= 400 and status != 401 else None,
    ),
    "ERR-3.http-body": (V1, "upload", at("/v1/upload", 401, lambda body: (401, {"detail": "no"}))),
    "ERR-3.link": (V1, "upload", at("/v1/upload", 401, lambda body: (401, {**body, "link": "https://example.com"}))),
    "UPL-2.job": (V2, "upload-job", at("/v2/upload/analyze", 202, members(model="inter-9"))),
    "UPL-2.in-order": (V2, "upload-job", back_and_forth),
    "UPL-2.an-hour": (V2, "upload-job", at("/v2/upload/analyze", 202, members(expires_at="2026-01-01T00:00:00Z"))),
    "UPL-2.signals": (V2, "upload-job", at("/v2/upload/jobs", 200, _without_signals)),
    "UPL-2.wait-seconds": (V2, "upload-job", refused_with("ih4005", "wait_seconds", lambda body: (202, JOB))),
    "UPL-2.finished": (V2, "upload-job", at("/v2/upload/jobs", 200, _without_result)),
    "UPL-2.unknown-job": (V2, "upload-job", at("/v2/upload/jobs", 404, lambda body: (500, {}))),
    "UPL-2.unknown-model": (
        V2,
        "upload-job",
        lambda path, status, body: (202, JOB) if path == "/v2/upload/analyze" and status >= 400 else None,
    ),
}


@pytest.mark.parametrize("check", BREAKS)
def test_what_breaks_a_rule_is_named(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    revision, scenario, tamper = BREAKS[check]
    tampered(monkeypatch, tamper)
    report = judge(revision, scenario)
    assert check in broken(report)
    others = {id_ for id_ in broken(report) if id_.partition(".")[0] != check.partition(".")[0]}
    assert others == set()


def test_a_second_session_on_a_client_token_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    issue = CredentialStore.issue

    def generous(self: CredentialStore, request: ClientTokenRequest, now: float) -> object:
        issued = issue(self, attrs.evolve(request, max_concurrent=5), now)
        return attrs.evolve(issued, max_concurrent=1) if isinstance(issued, ClientToken) else issued

    monkeypatch.setattr(CredentialStore, "issue", generous)
    assert broken(judge(V1, "client-token")) == {"AUT-2.one-at-a-time"}


def test_a_revocation_without_effect_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CredentialStore, "revoke", lambda *_: None)
    assert broken(judge(V1, "client-token", patience=0.3)) == {"AUT-2.revoked", "AUT-2.stays-revoked"}


def test_a_revoked_token_that_opens_a_session_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Standing, "ended", lambda *_: None)
    assert broken(judge(V1, "client-token")) == {"AUT-2.stays-revoked"}


@pytest.mark.parametrize("revision", [V1, V1_WINDOW])
def test_one_session_too_many_may_be_told_so_after_the_upgrade(
    revision: Revision, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Grant.begin

    def after_the_upgrade(self: Grant, now: float) -> Lease | Denial:
        lease = begin(self, now)
        return attrs.evolve(lease, after_upgrade=True) if isinstance(lease, Denial) else lease

    monkeypatch.setattr(Grant, "begin", after_the_upgrade)
    report = judge(revision, "client-token", pin=[revision.id])
    assert broken(report) == set()


def test_an_answer_without_a_correlation_id_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    respond = Exchange.respond

    def anonymous(self: Exchange, *args: Any, **options: Any) -> None:
        monkeypatch.setattr(self, "_correlation_id", "")
        respond(self, *args, **options)

    monkeypatch.setattr(Exchange, "respond", anonymous)
    assert broken(judge(V1, "upload")) == {"UPL-1.correlation-id"}


def test_a_server_that_repeats_a_secret_does_not_get_it_into_the_report(monkeypatch: pytest.MonkeyPatch) -> None:
    repeats = {"error_id": "ih1001", "correlation_id": "c", "link": "l", "message": f"you sent {DEFAULT_KEY_SECRET}"}
    tampered(monkeypatch, at("/v1/auth", 200, lambda body: (500, repeats)))
    report = judge(V1, "exchange")
    assert "AUT-1.exchange" in broken(report)
    assert "you sent" in repr(report.results)
    assert DEFAULT_KEY_SECRET not in repr(report.results)


def test_every_check_is_shown_to_fail() -> None:
    declared = {check.id for scenario in SCENARIOS if scenario.name in NAMES for check in scenario.checks}
    assert declared - set(BREAKS) == {
        "AUT-2.one-at-a-time",
        "AUT-2.revoked",
        "AUT-2.stays-revoked",
        "UPL-1.correlation-id",
    }


def test_a_plain_request_goes_over_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)

    async def body() -> int:
        async with MockServer(ssl_context=context) as mock:
            assert mock.url.startswith("wss://")
            answer = await ask(ServerUnderTest(mock.url, V1, "k"), "POST", "/v1/auth", "application/json", b"{}")
            return answer.status

    assert anyio.run(body) == 400


def test_a_plain_request_to_nobody_cannot_be_made() -> None:
    async def body() -> None:
        async with MockServer() as mock:
            url = mock.url
        await ask(ServerUnderTest(url, V1, "k"), "POST", "/v1/auth", "application/json", b"{}")

    with pytest.raises(ConnectError, match="cannot be reached"):
        anyio.run(body)


@pytest.mark.parametrize(
    ("answer", "what"),
    [(b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "not valid HTTP"), (b"", "without answering"), (None, "within 0.1 s")],
)
def test_a_plain_request_that_is_not_answered_is_given_up(answer: bytes | None, what: str) -> None:
    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            if answer is None:
                await anyio.sleep_forever()
            else:
                await stream.send(answer)

    async def body() -> None:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            target = ServerUnderTest(f"ws://127.0.0.1:{port}", V1, "k", patience=0.1 if answer is None else 10)
            with pytest.raises(Missing, match=what):
                await ask(target, "POST", "/v1/auth", "application/json", b"{}")
            tasks.cancel_scope.cancel()

    anyio.run(body)


@pytest.mark.parametrize("http", [False, True])
def test_a_server_without_sessions_can_have_endpoints(http: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(self: StreamEndpoint, stream: ServerStream, *_: Any) -> None:
        raw = await stream.accept_raw()
        async for _event in raw:
            await raw.close()

    monkeypatch.setattr(StreamEndpoint, "serve", silent)
    report = judge(V1, *NAMES, patience=0.3, http=http)
    found = {result.check.id: result.status for result in report.results}
    expected = Status.PASSED if http else Status.NOT_ASKED
    assert {found[check] for check in ("AUT-1.exchange", "AUT-2.issued", "UPL-1.analysed")} == {expected}
    assert found["AUT-2.opens"] is (Status.BLOCKED if http else Status.NOT_ASKED)
