"""What the mock server answers to plain HTTP, as a client of another library sees it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import httpx
import pytest
import websockets.asyncio.client
from builders import OVERALL
from upload_requests import EXAMPLE, recording
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from ihproto.tokens import STREAM_SCOPE, UPLOAD_SCOPE
from ihproto_mock import DEFAULT_KEY, DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, KeyPair, LogEntry, MockServer

T = TypeVar("T")

STREAMS = ["/v0/stream/analyze", "/v1/stream/analyze", "/v2/stream/analyze"]
TOKENS = ["/v0/auth", "/v1/auth", "/v1/client_tokens", "/v1/client_tokens/revoke"]
UPLOADS = ["/v1/upload/analyze", "/v2/upload/analyze"]
JOBS = "/v2/upload/jobs/"
A_JOB = JOBS + "00000000-0000-4000-8000-000000000000"

AUTHORIZED = {"Authorization": f"Bearer {DEFAULT_KEY}"}
PAIR = {"key_id": DEFAULT_KEY_ID, "key_secret": DEFAULT_KEY_SECRET, "scopes": [STREAM_SCOPE]}


def run(body: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        with anyio.fail_after(20):
            return await body()

    return anyio.run(main)


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[tuple[MockServer, httpx.AsyncClient, list[LogEntry]]]:
    """A server, a client of it, and its log."""
    entries: list[LogEntry] = []
    async with (
        MockServer(log=entries.append, **options) as mock,
        httpx.AsyncClient(base_url=mock.base_url, timeout=20) as client,
    ):
        yield mock, client, entries


def ask(method: str, path: str, **request: Any) -> tuple[httpx.Response, list[LogEntry]]:
    """One request to a server of its own, and what that logged."""

    async def body() -> tuple[httpx.Response, list[LogEntry]]:
        async with serving() as (_, client, entries):
            return await client.request(method, path, **request), entries

    return run(body)


async def raw(port: int, request: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Say bytes; status line, headers by their names in lower case, and body of the answer."""
    async with await anyio.connect_tcp("127.0.0.1", port) as socket:
        await socket.send(request)
        answer = b""
        try:
            while True:
                answer += await socket.receive()
        except anyio.EndOfStream:
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    return status, {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}, body


def say(request: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    async def body() -> tuple[bytes, dict[bytes, bytes], bytes]:
        async with MockServer() as mock:
            return await raw(mock.port, request)

    return run(body)


def check_refusal(answer: httpx.Response, status: int, error_id: str | None, entries: list[LogEntry]) -> str:
    """An error is told as ERR-3 has it, under the id that the log knows; returns its message."""
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"error_id", "correlation_id", "link", "message"}
    assert body["error_id"] == error_id
    if error_id is not None:
        assert body["link"].startswith(f"https://docs.interhuman.ai/api-reference/error-handling#{error_id}-")
    assert body["correlation_id"] == answer.headers["X-Correlation-ID"]
    refused = [entry for entry in entries if entry.refused]
    assert [entry.connection for entry in refused] == [body["correlation_id"]]
    assert refused[0].fields["why"] == body["message"]
    message = body["message"]
    assert isinstance(message, str)
    assert message
    return message


# -- paths and methods --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/favicon.ico", "/v1", "/v1/auth/", "/v3/stream/analyze", JOBS[:-1], "//v1/auth"]
)
def test_404_names_what_there_is(path: str) -> None:
    answer, entries = ask("GET", path)
    message = check_refusal(answer, 404, None, entries)
    for known in [*STREAMS, *TOKENS, *UPLOADS, JOBS]:
        assert known in message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", [*TOKENS, *UPLOADS])
def test_405_says_that_it_takes_post(method: str, path: str) -> None:
    answer, entries = ask(method, path, headers=AUTHORIZED)
    assert f"{path} takes POST, not {method}" in check_refusal(answer, 405, None, entries)
    assert answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_405_of_a_job_says_that_it_can_be_read(method: str) -> None:
    answer, entries = ask(method, A_JOB, headers=AUTHORIZED)
    check_refusal(answer, 405, None, entries)
    assert set(answer.headers["Allow"].replace(" ", "").split(",")) == {"GET", "HEAD"}


@pytest.mark.parametrize("path", STREAMS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_426_on_the_paths_of_streams(method: str, path: str) -> None:
    answer, entries = ask(method, path, headers=AUTHORIZED)
    assert "WebSocket" in check_refusal(answer, 426, None, entries)
    # What to upgrade to has to be said (RFC 9110, section 15.5.22).
    assert answer.headers["Upgrade"] == "websocket"


def test_a_query_does_not_change_what_is_at_a_path() -> None:
    answer, _ = ask("POST", "/v1/auth?sdk=x&ih_sdk_version=1", json=PAIR)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", [A_JOB, JOBS, JOBS + "%2e%2e", JOBS + "a/b"])
def test_ih4021_an_id_that_is_no_jobs(path: str) -> None:
    answer, entries = ask("GET", path, headers=AUTHORIZED)
    check_refusal(answer, 404, "ih4021", entries)


# -- bodies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TOKENS)
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_415_of_credentials_in_anything_but_json(path: str, content_type: str) -> None:
    answer, entries = ask("POST", path, content=json.dumps(PAIR), headers={"Content-Type": content_type})
    assert "application/json" in check_refusal(answer, 415, None, entries)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", None])
def test_json_by_any_of_its_names_is_taken(content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type is not None else {}
    answer, _ = ask("POST", "/v1/auth", content=json.dumps(PAIR), headers=headers)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", UPLOADS)
def test_415_of_an_upload_that_is_no_form(path: str) -> None:
    answer, entries = ask("POST", path, json={}, headers=AUTHORIZED)
    assert "multipart/form-data" in check_refusal(answer, 415, None, entries)


@pytest.mark.parametrize("path", TOKENS)
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff", b'{"key_id": 1, "key_secret": "x"}', b"{}"])
def test_400_says_where_a_body_is_wrong(path: str, content: bytes) -> None:
    answer, entries = ask("POST", path, content=content, headers={"Content-Type": "application/json"})
    # The one thing with an id of its own is a secret that is missing (AUT-1).
    missing = path in ("/v0/auth", "/v1/auth") and content == b"{}"
    message = check_refusal(answer, 400, "ih2005" if missing else None, entries)
    assert missing or "$" in message


@pytest.mark.parametrize("path", UPLOADS)
def test_400_of_a_form_that_is_broken(path: str) -> None:
    headers = {**AUTHORIZED, "Content-Type": "multipart/form-data; boundary=b"}
    answer, entries = ask("POST", path, content=b"--b\r\nnonsense", headers=headers)
    assert "the form is broken" in check_refusal(answer, 400, None, entries)


def test_what_is_wrong_with_a_file_is_said_although_the_model_is_named_behind_it() -> None:
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200_000)
    parts: list[Any] = [("file", ("video.webm", picture, "video/webm")), ("model", (None, "inter-2-deep"))]
    answer, entries = ask("POST", "/v2/upload/analyze", files=parts, headers=AUTHORIZED)
    check_refusal(answer, 400, "ih4002", entries)
    # A file that is read to its end is followed by the model.
    parts[0] = ("file", FILE["file"])
    answer, _ = ask("POST", "/v2/upload/analyze", files=parts, headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["model"]) == (202, "inter-2-deep")


@pytest.mark.parametrize("path", TOKENS)
def test_413_of_credentials_that_are_too_long(path: str) -> None:
    answer, entries = ask("POST", path, json={**PAIR, "scopes": ["x" * 70_000]})
    check_refusal(answer, 413, None, entries)


@pytest.mark.parametrize("path", [*UPLOADS, A_JOB])
def test_401_comes_before_the_body_is_looked_at(path: str) -> None:
    method = "GET" if path == A_JOB else "POST"
    answer, entries = ask(method, path)
    check_refusal(answer, 401, "ih2002", entries)
    answer, entries = ask(method, path, headers={"Authorization": "Bearer ih_live_wrong"})
    check_refusal(answer, 401, "ih2001", entries)
    answer, entries = ask(method, path, headers={"Authorization": "Basic bW9jazptb2Nr"})
    check_refusal(answer, 401, "ih2002", entries)


# -- headers ------------------------------------------------------------------------------------------

FILE = {"file": ("video.webm", recording(EXAMPLE), "video/webm")}


@pytest.mark.parametrize(
    ("method", "path", "request_", "status"),
    [
        ("POST", "/v1/auth", {"json": PAIR}, 200),
        ("POST", "/v1/client_tokens", {"json": {"api_key": DEFAULT_KEY}}, 200),
        ("POST", "/v1/upload/analyze", {"files": FILE, "headers": AUTHORIZED}, 200),
        ("POST", "/v2/upload/analyze", {"files": FILE, "data": {"model": "inter-2"}, "headers": AUTHORIZED}, 202),
        ("POST", "/v1/upload/analyze", {"files": FILE}, 401),
        ("GET", A_JOB, {"headers": AUTHORIZED}, 404),
        ("GET", "/", {}, 404),
        ("PUT", "/v1/auth", {}, 405),
        ("POST", "/v1/auth", {"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415),
        ("GET", "/v1/stream/analyze", {}, 426),
    ],
)
def test_every_answer_has_an_id_of_its_own_and_the_clients_is_logged_but_not_sent_back(
    method: str, path: str, request_: dict[str, Any], status: int
) -> None:
    headers = {**request_.get("headers", {}), "X-Client-Request-Id": "job-7-of-mine"}
    answer, entries = ask(method, path, **{**request_, "headers": headers})
    assert answer.status_code == status
    told = [*answer.headers.keys(), *answer.headers.values()]
    assert not [text for text in told if "client-request-id" in text.lower() or "job-7-of-mine" in text]
    assert "job-7-of-mine" not in answer.text
    assert {entry.connection for entry in entries} == {answer.headers["X-Correlation-ID"]}
    assert [entry.fields.get("client_request_id") for entry in entries if entry.event == "request"] == ["job-7-of-mine"]
    assert answer.headers["Content-Type"] == "application/json"
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_a_revocation_has_no_body() -> None:
    async def body() -> httpx.Response:
        async with serving() as (mock, client, _):
            token = (await client.post("/v1/client_tokens", json={"api_key": mock.key})).json()["access_token"]
            return await client.post("/v1/client_tokens/revoke", json={"api_key": mock.key, "token": token})

    answer = run(body)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["X-Correlation-ID"]
    assert "Content-Type" not in answer.headers


def test_no_two_answers_have_the_same_id() -> None:
    async def body() -> list[str]:
        async with serving() as (_, client, _):
            return [(await client.get("/")).headers["X-Correlation-ID"] for _ in range(5)]

    assert len(set(run(body))) == 5


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GARBAGE\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", b"431"),
        (b"GET /v1/stream/analyze HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", b"400"),
        (
            b"GET /v1/stream/analyze HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            b"426",
        ),
    ],
)
def test_what_is_no_request_at_all_has_an_id_as_well(request_: bytes, status: bytes) -> None:
    line, headers, body = say(request_)
    assert line.split()[1] == status
    assert json.loads(body)["correlation_id"] == headers[b"x-correlation-id"].decode()


@pytest.mark.parametrize("path", ["/", "/v1/auth", "/v1/stream/analyze", A_JOB])
def test_head_is_answered_like_get_without_the_body(path: str) -> None:
    lines = f"{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {DEFAULT_KEY}\r\n\r\n".encode()
    of_get, get, content = say(b"GET " + lines)
    of_head, head, nothing = say(b"HEAD " + lines)
    assert nothing == b""
    assert of_get.split()[1] == of_head.split()[1]
    assert set(head) == set(get)
    assert head[b"x-correlation-id"]
    assert int(get[b"content-length"]) == len(content)


# -- the log ------------------------------------------------------------------------------------------

OTHER_KEY, THIRD_SECRET = "ih_live_0ther", "pair-s3cret-two"
WRONG = {name: f"wrong-{name}-0987" for name in ("header", "subprotocol", "pair", "query", "secret", "key", "token")}


async def use_every_secret(mock: MockServer, client: httpx.AsyncClient) -> set[str]:
    """Use right and wrong credentials wherever one can be; returns all of them."""
    secrets = {mock.key, OTHER_KEY, DEFAULT_KEY_SECRET, THIRD_SECRET, *WRONG.values()}
    issued: list[str] = []
    for pair in (PAIR, {**PAIR, "key_id": "two", "key_secret": THIRD_SECRET}):
        issued.append((await client.post("/v1/auth", json=pair)).json()["access_token"])
    for key in (mock.key, OTHER_KEY):
        body: dict[str, Any] = {"api_key": key, "scopes": [STREAM_SCOPE, UPLOAD_SCOPE], "max_video_seconds": 4}
        issued.append((await client.post("/v1/client_tokens", json=body)).json()["access_token"])
    # Refused in every way that repeats nothing of what it was given.
    await client.post("/v1/auth", json={**PAIR, "key_secret": WRONG["secret"]})
    await client.post("/v1/auth", json={**PAIR, "key_secret": [WRONG["secret"]]})
    await client.post("/v1/auth", json={**PAIR, "key_id": 5})
    await client.post("/v1/auth", content=f'{{"key_secret": "{WRONG["secret"]}"')
    await client.post("/v1/client_tokens", json={"api_key": WRONG["key"]})
    await client.post("/v1/client_tokens", json={"api_key": mock.key, "expires_in": WRONG["secret"]})
    await client.post("/v1/client_tokens/revoke", json={"api_key": mock.key, "token": WRONG["token"]})
    for credential in (*issued, mock.key, OTHER_KEY, WRONG["header"]):
        bearer = {"Authorization": f"Bearer {credential}"}
        for _ in range(2):
            await client.post("/v1/upload/analyze", files=FILE, headers=bearer)
        await client.post("/v2/upload/analyze", files=FILE, headers=bearer, data={"model": credential})
        await client.get(A_JOB, headers=bearer, params={"access_token": WRONG["query"]})
        await client.get("/", headers=bearer)
    for credential in (*issued, mock.key, OTHER_KEY, WRONG["subprotocol"]):
        for offered in ([credential], ["access_token", credential]):
            await stream_with(mock, offered)
    await stream_with(mock, ["access_token", WRONG["pair"]])
    await stream_with(mock, [mock.key], f"?access_token={WRONG['query']}&model={WRONG['query']}")
    for token in issued:
        await client.post("/v1/client_tokens/revoke", json={"api_key": mock.key, "token": token})
        await stream_with(mock, [token])
    return {*secrets, *issued}


async def stream_with(mock: MockServer, offered: list[str], query: str = "") -> None:
    """A short session with subprotocols, if there is one."""
    subprotocols = [Subprotocol(value) for value in offered]
    try:
        async with websockets.asyncio.client.connect(
            f"ws://127.0.0.1:{mock.port}/v2/stream/analyze{query}", subprotocols=subprotocols
        ) as socket:
            await socket.send(json.dumps({"include": [OVERALL], "api_key": offered[-1]}))
            await socket.send(b"nothing that anybody could play")
            await socket.send('{"type": "session.close"}')
            async for _ in socket:
                pass
    except (InvalidStatus, websockets.exceptions.ConnectionClosed):
        pass


def test_no_credential_is_in_the_log_wherever_it_was_used() -> None:
    async def body() -> tuple[set[str], list[LogEntry]]:
        keys = {DEFAULT_KEY: [STREAM_SCOPE, UPLOAD_SCOPE], OTHER_KEY: [STREAM_SCOPE, UPLOAD_SCOPE]}
        pairs = [KeyPair(DEFAULT_KEY_ID, DEFAULT_KEY_SECRET), KeyPair("two", THIRD_SECRET)]
        async with serving(keys=keys, key_pairs=pairs) as (mock, client, entries):
            return await use_every_secret(mock, client), entries

    secrets, entries = run(body)
    assert len(secrets) == 4 + len(WRONG) + 4
    # All that can happen to a credential did.
    refusals = {entry.fields.get("code") for entry in entries if entry.refused}
    assert {"ih2001", "ih2003", "ih2011", "ih2014", "ih3006", "ih4005"} <= refusals
    assert "client at fault" in {entry.event for entry in entries}
    assert "session opened" in {entry.event for entry in entries}
    log = repr(entries)
    assert [secret for secret in secrets if secret in log] == []
