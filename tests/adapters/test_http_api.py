"""Our client for plain HTTP against a server of the standard library, against our own, and on a clock that jumps."""

from __future__ import annotations

import email
import email.policy
import http.server
import json
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
import trio
import trio.testing
from adapters.faces import Body, Face, RawPeer, Run, adapter, analyse, make_api, raw_server
from wire.raw import CORRELATION_ID, KEY, head

import ihproto.anyio
import ihproto.trio
from ihproto import LocalProtocolError, RemoteProtocolError
from ihproto._adapter import (
    ApiError,
    ConnectError,
    ConnectionBroken,
    Endpoint,
    HttpExchange,
    JobUnfinished,
    PeerStalled,
    StreamError,
    TokenSource,
    Transport,
)
from ihproto.tokens import AccessToken, ClientToken, ClientTokenRequest
from ihproto.uploads import AnalysisResult, UploadJob
from ihproto.wire import HttpError

SECRET = "the-key-secret"
TOKEN = {"access_token": "tok-1", "token_type": "Bearer", "expires_in": 900, "scope": "interhumanai.stream"}
ANALYSIS: dict[str, Any] = {
    "signals": [{"type": "agreement", "start": 0, "end": 2.5, "probability": "high", "rationale": "nods"}],
    "engagement_state": [{"start": 0, "end": 8, "state": "engaged"}],
}


def job(status: str, **more: object) -> dict[str, object]:
    return {
        "job_id": "job/1",
        "status": status,
        "model": "inter-2",
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-01T01:00:00Z",
        "status_url": "/v2/upload/jobs/job%2F1",
        **more,
    }


# -- a server of the standard library -----------------------------------------------------------


@dataclass
class Asked:
    """A request that the other server has seen."""

    method: str
    path: str
    headers: EmailMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def parts(self) -> list[tuple[dict[str, str], str, bytes]]:
        """The parts of a form: the parameters of their disposition, their type, and what is in them."""
        raw = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + self.body
        found = []
        for part in email.message_from_bytes(raw, policy=email.policy.HTTP).iter_parts():
            parameters = dict(part.get_params(header="content-disposition", failobj=[])[1:])
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            found.append((parameters, part.get_content_type(), payload))
        return found


class Service:
    """Answers in order, to anything; listens while a test runs."""

    def __init__(self, *answers: tuple[int, object]) -> None:
        self.answers = list(answers)
        self.url = ""
        self.asked: list[Asked] = []

    def during(self, body: Body) -> Body:
        async def main(face: Face) -> None:
            with self._listen():
                await body(face)

        return main

    @contextmanager
    def _listen(self) -> Iterator[None]:
        service = self
        left = list(self.answers)

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = EmailMessage()
                for name, value in self.headers.items():
                    headers[name] = value
                service.asked.append(Asked(self.command, self.path, headers, body))
                status, told = left.pop(0)
                data = told if isinstance(told, bytes) else json.dumps(told).encode()
                self.send_response(status)
                self.send_header("X-Correlation-ID", CORRELATION_ID)
                if status != 204:
                    self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = answer  # noqa: N815 - their names

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            # Closing waits for the threads, so that no socket is left behind.
            server.daemon_threads = False
            self.url = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()


# -- credentials --------------------------------------------------------------------------------


def test_a_key_pair_is_exchanged(run: Run) -> None:
    async def body(face: Face) -> None:
        api = make_api(face, service.url, client_request_id="req-7")
        token = await api.exchange_key("id", SECRET, ["interhumanai.upload"], path="/v0/auth")
        assert token == AccessToken("tok-1", "Bearer", 900, "interhumanai.stream")

    service = Service((200, TOKEN))
    run(service.during(body))
    (asked,) = service.asked
    assert (asked.method, asked.path) == ("POST", "/v0/auth")
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["X-Client-Request-Id"] == "req-7"
    assert asked.headers["Authorization"] is None
    assert asked.json == {"key_id": "id", "key_secret": SECRET, "scopes": ["interhumanai.upload"]}


def test_a_client_token_is_issued_and_withdrawn(run: Run) -> None:
    async def body(face: Face) -> None:
        api = make_api(face, service.url)
        token = await api.create_client_token(ClientTokenRequest(KEY, expires_in=60, allowed_origins=("https://a",)))
        assert token == ClientToken("ct", "Bearer", 60, "interhumanai.stream", max_concurrent=1)
        await api.revoke_client_token(KEY, token.access_token)

    issued = TOKEN | {"access_token": "ct", "expires_in": 60, "max_concurrent": 1, "max_bytes": None}
    service = Service((200, issued), (204, b""))
    run(service.during(body))
    first, second = service.asked
    assert first.path == "/v1/client_tokens"
    assert first.json == {"api_key": KEY, "expires_in": 60, "allowed_origins": ["https://a"]}
    assert second.path == "/v1/client_tokens/revoke"
    assert second.json == {"api_key": KEY, "token": "ct"}


def test_a_key_exchange_without_a_scope_is_refused_before_anything_is_sent(run: Run) -> None:
    async def body(face: Face) -> None:
        api = make_api(face, "http://127.0.0.1:1")
        with pytest.raises(LocalProtocolError) as caught:
            await api.exchange_key("id", SECRET, [])
        assert caught.value.violation.clause.id == "AUT-1"
        with pytest.raises(TypeError):
            await api.exchange_key("id", SECRET, "interhumanai.stream")

    run(body)


# -- uploads ------------------------------------------------------------------------------------


def check_upload(asked: Asked, data: bytes, filename: str) -> None:
    assert (asked.method, asked.path) == ("POST", "/v1/upload/analyze")
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    *fields, file = asked.parts()
    assert [(told["name"], value) for told, _, value in fields] == [("include[]", b"a"), ("include[]", b"b")]
    assert file == ({"name": "file", "filename": filename}, "video/mp4", data)


@pytest.mark.parametrize("kind", ["bytes", "memoryview", "str", "path", "pieces"])
def test_a_file_is_uploaded_and_its_analysis_comes_back(run: Run, kind: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4000
    path = tmp_path / "talk.mp4"
    path.write_bytes(data)

    async def pieces() -> AsyncIterator[bytes]:
        yield data[:10]
        yield b""
        yield data[10:]

    async def body(face: Face) -> None:
        told: list[tuple[int, int]] = []
        files: dict[str, Any] = {
            "bytes": data,
            "memoryview": memoryview(data),
            "str": str(path),
            "path": path,
            "pieces": pieces(),
        }
        result = await make_api(face, service.url).upload(
            KEY,
            files[kind],
            content_type="video/mp4",
            include=["a", "b"],
            size=len(data) if kind == "pieces" else None,
            progress=lambda sent, total: told.append((sent, total)),
        )
        assert isinstance(result, AnalysisResult)
        assert [(one.type, one.end) for one in result.signals] == [("agreement", 2.5)]
        assert result.engagement_state is not None
        assert result.conversation_quality is None
        assert told == sorted(told)
        assert told[-1] == (len(data), len(data))
        assert len(told) > 1

    service = Service((200, ANALYSIS))
    run(service.during(body))
    check_upload(service.asked[0], data, "talk.mp4" if kind in ("str", "path") else "video")


def test_a_file_can_be_given_a_name(run: Run) -> None:
    async def body(face: Face) -> None:
        await make_api(face, service.url).upload(KEY, b"x", filename="a.webm")

    service = Service((200, ANALYSIS))
    run(service.during(body))
    ((told, type_, data),) = service.asked[0].parts()
    assert (told["filename"], type_, data) == ("a.webm", "application/octet-stream", b"x")


def test_an_upload_goes_through_tls_and_our_own_server(
    run: Run, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def body(face: Face) -> None:
        sizes: list[int] = []

        async def handler(exchange: HttpExchange) -> None:
            sizes.append(sum([len(piece) async for piece in exchange]))
            await exchange.respond(200, json.dumps(ANALYSIS).encode())

        async with face.serve(analyse, on_request=handler, ssl_context=server_tls) as server:
            api = make_api(face, server.url, ssl_context=client_tls)
            await api.upload(KEY, bytes(3_000_000))
        assert sizes[0] > 3_000_000

    run(body)


def test_an_early_refusal_ends_the_upload_and_is_heard(run: Run) -> None:
    async def body(face: Face) -> None:
        sent = 0

        def note(so_far: int, total: int) -> None:
            nonlocal sent
            sent = so_far

        async def handler(exchange: HttpExchange) -> None:
            await exchange.refuse(413, HttpError.of("ih4003"))

        async with face.serve(analyse, on_request=handler) as server:
            with pytest.raises(ApiError) as caught:
                await make_api(face, server.url).upload(KEY, bytes(64 * 1024 * 1024), progress=note)
        error = caught.value
        assert str(error).startswith("the server refused the upload with HTTP 413, ih4003: ")
        assert error.status == 413
        assert error.error is not None
        assert error.error.error_id == "ih4003"
        assert error.correlation_id == error.error.correlation_id
        assert sent < 64 * 1024 * 1024

    run(body)


def test_a_file_in_pieces_needs_a_size_that_is_true(run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"

    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            async for _ in exchange:
                pass

        async with face.serve(analyse, on_request=handler) as server:
            api = make_api(face, server.url)
            with pytest.raises(TypeError, match="size"):
                await api.upload(KEY, pieces())
            with pytest.raises(ValueError, match="ended after 3 of 4"):
                await api.upload(KEY, pieces(), size=4)
            with pytest.raises(ValueError, match="longer than the 2"):
                await api.upload(KEY, pieces(), size=2)

    run(body)


def test_a_file_that_cannot_be_read_is_an_error_of_the_system(run: Run, tmp_path: Path) -> None:
    async def body(face: Face) -> None:
        api = make_api(face, "http://127.0.0.1:1")
        with pytest.raises(FileNotFoundError):
            await api.upload(KEY, tmp_path / "nothing.mp4")

    run(body)


def test_what_the_owner_of_the_pieces_raises_comes_out_as_it_is(run: Run) -> None:
    class Unplugged(Exception):
        pass

    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        raise Unplugged

    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            async for _ in exchange:
                pass

        async with face.serve(analyse, on_request=handler) as server:
            with pytest.raises(Unplugged):
                await make_api(face, server.url).upload(KEY, pieces(), size=10)

    run(body)


def test_an_upload_can_be_cancelled(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(1_000_000))

    async def body(face: Face) -> None:
        received = anyio.Event()

        async def handler(exchange: HttpExchange) -> None:
            async for _ in exchange:
                pass
            received.set()
            await anyio.sleep_forever()

        async with (
            face.serve(analyse, on_request=handler, shutdown_timeout=0.01) as server,
            anyio.create_task_group() as group,
        ):
            group.start_soon(make_api(face, server.url).upload, KEY, tmp_path / "a.mp4")
            await received.wait()
            group.cancel_scope.cancel()

    run(body)


# -- jobs ---------------------------------------------------------------------------------------


def test_a_job_is_submitted_and_read_until_it_is_done(run: Run) -> None:
    async def body(face: Face) -> None:
        api = make_api(face, service.url)
        accepted = await api.submit(KEY, b"video", model="inter-2", wait_seconds=5, include=["signals"])
        assert (accepted.status, accepted.finished) == ("queued", False)
        done = await api.wait_for_job(KEY, accepted, poll_interval=0)
        assert done.status == "completed"
        assert done.result is not None
        assert done.result.windows[0].engagement_status == "neutral"

    window = {"index": 0, "start_seconds": 0, "end_seconds": 8, "engagement_status": "neutral", "signals": []}
    result = {"duration_seconds": 8, "window_seconds": 8, "windows": [window]}
    service = Service((202, job("queued")), (200, job("running")), (200, job("completed", result=result)))
    run(service.during(body))
    first, *others = service.asked
    assert (first.method, first.path) == ("POST", "/v2/upload/analyze")
    fields = [(told["name"], data) for told, _, data in first.parts()]
    assert fields == [("model", b"inter-2"), ("wait_seconds", b"5"), ("include[]", b"signals"), ("file", b"video")]
    assert [(one.method, one.path) for one in others] == [("GET", "/v2/upload/jobs/job%2F1")] * 2
    assert {one.headers["Authorization"] for one in service.asked} == {f"Bearer {KEY}"}


def test_a_job_that_failed_is_done_and_tells_why(run: Run) -> None:
    async def body(face: Face) -> None:
        done = await make_api(face, service.url).wait_for_job(KEY, "job/1")
        assert done.error is not None
        assert done.error.error_id == "ih1004"

    service = Service((200, job("failed", error={"error_id": "ih1004"})))
    run(service.during(body))


def test_a_job_that_nobody_knows_is_an_error(run: Run) -> None:
    async def body(face: Face) -> None:
        api = make_api(face, service.url)
        with pytest.raises(ApiError, match="HTTP 404, ih4021"):
            await api.get_job(KEY, "gone")
        with pytest.raises(LocalProtocolError) as caught:
            await api.get_job(KEY, "")
        assert caught.value.violation.clause.id == "UPL-2"

    service = Service((404, {"error_id": "ih4021", "message": "unknown"}))
    run(service.during(body))


# -- answers that go wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ((500, b"<html>"), "the server refused the key with HTTP 500; is this the address of the service?"),
        (
            (401, {"error_id": "ih2001", "message": "bad key"}),
            "the server refused the key with HTTP 401, ih2001: bad key",
        ),
        ((429, {"message": "slowly"}), "the server refused the key with HTTP 429: slowly"),
        ((302, b""), "the server refused the key with HTTP 302; is this the address of the service?"),
    ],
)
def test_an_error_is_raised_with_what_the_server_says(run: Run, answer: tuple[int, object], text: str) -> None:
    async def body(face: Face) -> None:
        with pytest.raises(ApiError) as caught:
            await make_api(face, service.url).exchange_key("id", SECRET)
        assert str(caught.value) == text
        assert (caught.value.status, caught.value.correlation_id) == (answer[0], CORRELATION_ID)
        assert isinstance(caught.value, StreamError)

    service = Service(answer)
    run(service.during(body))


@pytest.mark.parametrize(
    ("call", "clause", "answer", "path"),
    [
        ("exchange_key", "AUT-1", b"<html>", "$"),
        ("exchange_key", "AUT-1", TOKEN | {"expires_in": "900"}, "$.expires_in"),
        ("exchange_key", "AUT-1", TOKEN | {"token_type": "mac"}, "$.token_type"),
        ("exchange_key", "AUT-1", {}, "$"),
        ("create_client_token", "AUT-2", {"access_token": KEY}, "$"),
        ("create_client_token", "AUT-2", TOKEN | {"access_token": [KEY]}, "$.access_token"),
        ("upload", "UPL-1", {}, "$"),
        ("upload", "UPL-1", {"signals": [{"type": "agreement"}]}, "$.signals[0]"),
        ("upload", "UPL-1", {"signals": None}, "$.signals"),
        ("submit", "UPL-2", {"job_id": "1"}, "$"),
        ("get_job", "UPL-2", b"[]", "$"),
    ],
)
def test_an_answer_of_another_shape_is_the_servers_fault(
    run: Run, call: str, clause: str, answer: object, path: str
) -> None:
    async def body(face: Face) -> None:
        api = make_api(face, service.url)
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "exchange_key": lambda: api.exchange_key("id", SECRET),
            "create_client_token": lambda: api.create_client_token(ClientTokenRequest(KEY)),
            "upload": lambda: api.upload(KEY, b"x"),
            "submit": lambda: api.submit(KEY, b"x", model="inter-2"),
            "get_job": lambda: api.get_job(KEY, "1"),
        }
        with pytest.raises(RemoteProtocolError) as caught:
            await calls[call]()
        violation = caught.value.violation
        assert (violation.clause.id, violation.path) == (clause, path)
        assert KEY not in str(caught.value)

    service = Service((200, answer))
    run(service.during(body))


def test_a_server_that_hangs_up_is_a_broken_connection(run: Run) -> None:
    async def body(face: Face) -> None:
        async def script(peer: RawPeer) -> None:
            await peer.read_head()

        async with raw_server(script) as url:
            with pytest.raises(ConnectionBroken):
                await make_api(face, url).exchange_key("id", SECRET)
            with pytest.raises(ConnectionBroken):
                await make_api(face, url).upload(KEY, bytes(16 * 1024 * 1024))

    run(body)


def test_what_a_server_says_before_it_shuts_its_side_is_heard_by_an_upload(run: Run) -> None:
    async def body(face: Face) -> None:
        async def script(peer: RawPeer) -> None:
            await peer.read_head()
            await peer.send(b"HTTP/1.1 403 Forbidden\r\n\r\n{}")
            assert isinstance(peer.stream, anyio.abc.SocketStream)
            await peer.stream.send_eof()
            await peer.read_to_end()

        async with raw_server(script) as url:
            with pytest.raises(ApiError, match="403"):
                await make_api(face, url).upload(KEY, bytes(16 * 1024 * 1024))

    run(body)


def test_a_server_that_is_not_there_cannot_be_reached(run: Run, client_tls: ssl.SSLContext) -> None:
    async def body(face: Face) -> None:
        with pytest.raises(ConnectError, match="cannot be reached"):
            await make_api(face, "http://127.0.0.1:1").get_job(KEY, "1")
        async with face.serve(analyse) as server:
            with pytest.raises(ConnectError, match="cannot be reached"):
                await make_api(face, f"https://127.0.0.1:{server.port}", ssl_context=client_tls).get_job(KEY, "1")

    run(body)


def test_addresses_and_credentials_are_judged_before_anything_is_dialled(run: Run) -> None:
    async def body(face: Face) -> None:
        with pytest.raises(LocalProtocolError, match="HS-1"):
            make_api(face, "http://api.interhuman.ai")
        with pytest.raises(LocalProtocolError, match="HS-1"):
            make_api(face, "https://api.interhuman.ai/v1")
        make_api(face, "http://api.interhuman.ai", allow_plaintext=True)
        with pytest.raises(LocalProtocolError, match="HS-2"):
            await make_api(face, "http://127.0.0.1:1").upload("a key", b"x")

    run(body)


# -- tokens that renew themselves ---------------------------------------------------------------


def test_a_token_source_is_a_credential_for_calls_and_for_sessions(run: Run) -> None:
    async def body(face: Face) -> None:
        api = make_api(face, service.url)
        source = TokenSource(api, "id", SECRET, ["interhumanai.upload", "interhumanai.stream"])
        assert SECRET not in repr(source)
        await api.upload(source, b"x")
        await api.get_job(source, "1")
        credentials: list[str] = []

        async def handler(stream: Any) -> None:
            credentials.append(stream.request.credential.value)
            await analyse(stream)

        async with face.serve(handler) as server, adapter(face.name).connect(server.url, source):
            pass
        assert credentials == ["tok-1"]

    service = Service((200, TOKEN), (200, ANALYSIS), (200, job("queued")))
    run(service.during(body))
    first, *others = service.asked
    assert first.json["scopes"] == ["interhumanai.upload", "interhumanai.stream"]
    assert [one.headers["Authorization"] for one in others] == ["Bearer tok-1"] * 2


# -- on a clock that jumps ----------------------------------------------------------------------


def run_virtually(body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(24 * 3600):
            await body()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


Peer = Callable[[trio.abc.Stream], Awaitable[None]]


class MemoryApi(ihproto.trio.Api):
    """Dials somebody in the same process."""

    def __init__(
        self,
        nursery: trio.Nursery,
        peer: Peer,
        pair: Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]] = trio.testing.memory_stream_pair,
        **options: Any,
    ) -> None:
        super().__init__("http://localhost", **options)

        class Library(type(ihproto.trio.Api.library)):  # type: ignore[misc]
            async def dial(self, endpoint: Endpoint) -> Transport:
                near, far = pair()
                nursery.start_soon(peer, far)
                return ihproto.trio._Transport(near)

        self.library = Library()  # type: ignore[misc]


def answering(*bodies: object, after: float = 0.0, seen: list[float] | None = None) -> Peer:
    left = list(bodies)

    async def answer(stream: trio.abc.Stream) -> None:
        data = b""
        while b"\r\n\r\n" not in data or len(head(data).rest) < int(head(data).get("content-length") or 0):
            data += await stream.receive_some()
        if seen is not None:
            seen.append(trio.current_time())
        await trio.sleep(after)
        body = json.dumps(left.pop(0)).encode()
        status = 200 if b"error_id" not in body else 401
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))

    return answer


def tokens(count: int, seconds: int = 900) -> list[dict[str, object]]:
    return [TOKEN | {"access_token": f"tok-{number}", "expires_in": seconds} for number in range(1, count + 1)]


def test_a_token_is_used_until_half_a_minute_before_its_end() -> None:
    async def body() -> None:
        seen: list[float] = []
        async with trio.open_nursery() as nursery:
            # The answer takes a while, and the token may have begun to age with the question.
            api = MemoryApi(nursery, answering(*tokens(2), after=5, seen=seen))
            source = TokenSource(api, "id", SECRET)
            assert await source.token() == "tok-1"
            await trio.sleep(864)
            assert (trio.current_time(), await source.token()) == (869, "tok-1")
            await trio.sleep(1)
            assert await source.token() == "tok-2"
        assert seen == [0, 870]

    run_virtually(body)


def test_tasks_that_want_a_token_at_the_same_time_share_one_exchange() -> None:
    async def body() -> None:
        got: list[str] = []

        async def want() -> None:
            got.append(await source.token())

        async with trio.open_nursery() as nursery:
            # Even a token that is not to be used again is good for those who waited for it.
            source = TokenSource(MemoryApi(nursery, answering(*tokens(2, seconds=10), after=1)), "id", SECRET)
            for _ in range(5):
                nursery.start_soon(want)
            await trio.sleep(2)
            assert got == ["tok-1"] * 5
            assert await source.token() == "tok-2"

    run_virtually(body)


def test_tasks_that_want_a_token_at_the_same_time_share_its_refusal() -> None:
    async def body() -> None:
        refused: list[str] = []

        async def want() -> None:
            with pytest.raises(ApiError) as caught:
                await source.token()
            refused.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            peer = answering({"error_id": "ih2001", "message": "no"}, *tokens(1), after=1)
            source = TokenSource(MemoryApi(nursery, peer), "id", SECRET)
            for _ in range(3):
                nursery.start_soon(want)
            await trio.sleep(2)
            assert len(refused) == 3
            assert SECRET not in refused[0]
            assert await source.token() == "tok-1"

    run_virtually(body)


def test_a_task_that_is_cancelled_leaves_the_exchange_to_the_next() -> None:
    async def body() -> None:
        got: list[str] = []

        async def want() -> None:
            got.append(await source.token())

        async with trio.open_nursery() as nursery:
            source = TokenSource(MemoryApi(nursery, answering(*tokens(2), after=10)), "id", SECRET)
            with trio.move_on_after(1):
                nursery.start_soon(want)
                await source.token()
            await trio.sleep(30)
        assert got == ["tok-2"]

    run_virtually(body)


def test_a_token_that_was_refused_can_be_forgotten() -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            source = TokenSource(MemoryApi(nursery, answering(*tokens(2))), "id", SECRET)
            assert await source.token() == "tok-1"
            source.invalidate()
            assert await source.token() == "tok-2"

    run_virtually(body)


def test_a_job_is_read_in_intervals_until_the_time_is_over() -> None:
    async def body() -> None:
        seen: list[float] = []
        async with trio.open_nursery() as nursery:
            api = MemoryApi(nursery, answering(*[job("running")] * 9, seen=seen))
            known = await api.get_job(KEY, "job/1")
            with pytest.raises(JobUnfinished, match="still running after 5 s") as caught:
                await api.wait_for_job(KEY, known, poll_interval=2, timeout=5)
        assert seen == [0, 2, 4, 5]
        assert isinstance(caught.value.job, UploadJob)
        assert trio.current_time() == 5

    run_virtually(body)


async def read_and_say_nothing(stream: trio.abc.Stream) -> None:
    while await stream.receive_some():
        pass


def test_an_answer_that_does_not_come_is_waited_for_for_five_minutes() -> None:
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            api = MemoryApi(nursery, read_and_say_nothing)
            with pytest.raises(ConnectionBroken, match="in time"):
                await api.exchange_key("id", SECRET)
            assert trio.current_time() == pytest.approx(300)
            with pytest.raises(ConnectionBroken, match="in time"):
                await api.upload(KEY, b"x")
            assert trio.current_time() == pytest.approx(600)
            with pytest.raises(ConnectionBroken, match="in time"):
                await api.submit(KEY, b"x", model="m", wait_seconds=100)
            assert trio.current_time() == pytest.approx(1000)

    run_virtually(body)


def test_a_slow_file_does_not_count_as_a_slow_server() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(10):
            await trio.sleep(100)
            yield b"x"

    async def body() -> None:
        async with trio.open_nursery() as nursery:
            api = MemoryApi(nursery, answering(ANALYSIS))
            await api.upload(KEY, pieces(), size=10)
        assert trio.current_time() == pytest.approx(1000)

    run_virtually(body)


def test_a_server_that_takes_no_bytes_is_stalled_after_a_minute() -> None:
    async def body() -> None:
        async def idle(stream: trio.abc.Stream) -> None:
            await trio.sleep(1000)

        async with trio.open_nursery() as nursery:
            api = MemoryApi(nursery, idle, trio.testing.lockstep_stream_pair)
            with pytest.raises(PeerStalled, match=r"60 s$"):
                await api.upload(KEY, b"x")
            assert trio.current_time() == pytest.approx(60)
            with pytest.raises(PeerStalled, match=r"60 s$"):
                await api.exchange_key("id", SECRET)
            assert trio.current_time() == pytest.approx(120)

    run_virtually(body)


def test_a_server_that_takes_no_more_of_a_file_and_says_nothing_is_given_up() -> None:
    async def body() -> None:
        async def deafen(stream: trio.abc.Stream) -> None:
            await stream.receive_some(1)
            assert isinstance(stream, trio.StapledStream)
            await stream.receive_stream.aclose()
            await trio.sleep(1000)

        async with trio.open_nursery() as nursery:
            api = MemoryApi(nursery, deafen, trio.testing.lockstep_stream_pair)
            with pytest.raises(ConnectionBroken, match="in time"):
                await api.upload(KEY, bytes(1_000_000))
            assert trio.current_time() == pytest.approx(300)

    run_virtually(body)
