"""Plain HTTP requests to our server: by httpx, by bytes, and on a clock that jumps."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress

import anyio
import httpx
import pytest
import trio
import trio.testing
from adapters.faces import Face, Run, analyse, collect, raw_client
from wire.raw import KEY, head

from ihproto._adapter import ConnectionBroken, HttpExchange, Server
from ihproto.trio import _Transport as Transport
from ihproto.wire import Credential, HttpError

BIG = 8 * 1024 * 1024


async def echo(exchange: HttpExchange) -> None:
    """Answer with the length of the body, and what it is a body of."""
    size = 0
    async for piece in exchange:
        size += len(piece)
    request = exchange.request
    told = {"method": request.method, "path": request.path, "query": request.query, "size": size}
    await exchange.respond(200, json.dumps(told).encode())


def url(server: Server) -> str:
    return server.url.replace("ws", "http", 1)


def post(length: int, *lines: str) -> bytes:
    told = ("Host: h", f"Content-Length: {length}", *lines)
    return "\r\n".join(["POST /up HTTP/1.1", *told, "", ""]).encode()


# -- httpx as the client ------------------------------------------------------------------------


def test_a_request_is_handled_and_answered(run: Run) -> None:
    async def body(face: Face) -> None:
        seen: list[HttpExchange] = []

        async def handler(exchange: HttpExchange) -> None:
            seen.append(exchange)
            await echo(exchange)

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            found = await client.post(
                url(server) + "/v1/upload/analyze?a=1", content=b"x" * 100, headers={"Authorization": f"Bearer {KEY}"}
            )
        assert found.status_code == 200
        assert found.json() == {"method": "POST", "path": "/v1/upload/analyze", "query": [["a", "1"]], "size": 100}
        (exchange,) = seen
        assert exchange.answered
        assert exchange.request.credential == Credential(KEY)
        assert found.headers["X-Correlation-ID"] == exchange.correlation_id
        assert exchange.now() > 0

    run(body)


def test_a_chunked_upload_comes_in_pieces_and_is_not_gathered(run: Run) -> None:
    async def body(face: Face) -> None:
        longest = 0

        async def handler(exchange: HttpExchange) -> None:
            nonlocal longest
            assert exchange.request.content_length is None
            size = 0
            async for piece in exchange:
                size += len(piece)
                longest = max(longest, len(piece))
            await exchange.respond(200, str(size).encode(), content_type="text/plain")

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(32):
                yield bytes(BIG // 32)

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            found = await client.post(url(server), content=pieces())
        assert found.text == str(BIG)
        assert longest <= 256 * 1024

    run(body)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("read_first", [False, True])
def test_an_early_refusal_reaches_a_client_that_writes_before_it_reads(
    run: Run, chunked: bool, read_first: bool
) -> None:
    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            if read_first:
                async for _ in exchange:
                    break
            await exchange.refuse(413, HttpError.of("ih4003"))

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(32):
                yield bytes(BIG // 32)

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            found = await client.post(url(server), content=pieces() if chunked else bytes(BIG))
        assert found.status_code == 413
        assert found.json()["error_id"] == "ih4003"
        assert found.json()["correlation_id"] == found.headers["X-Correlation-ID"]

    run(body)


def test_a_large_response_arrives_whole(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            await exchange.respond(200, bytes(BIG), content_type="video/mp4")

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            found = await client.get(url(server))
        assert len(found.content) == BIG
        assert found.headers["Content-Type"] == "video/mp4"

    run(body)


def test_requests_go_through_tls(run: Run, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def body(face: Face) -> None:
        async with (
            face.serve(analyse, on_request=echo, ssl_context=server_tls) as server,
            httpx.AsyncClient(verify=client_tls) as client,
        ):
            found = await client.put(url(server), content=bytes(300_000))
        assert found.json()["size"] == 300_000

    run(body)


def test_head_and_headers_of_the_answer_are_what_they_should_be(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            if exchange.request.method == "HEAD":
                await exchange.respond(200, b"12345")
            else:
                await exchange.refuse(405, HttpError(message="no"), headers=[("Allow", "HEAD")])

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            found = await client.head(url(server))
            assert (found.status_code, found.headers["Content-Length"], found.content) == (200, "5", b"")
            found = await client.delete(url(server))
            assert (found.status_code, found.headers["Allow"]) == (405, "HEAD")

    run(body)


def test_sessions_and_requests_share_a_port(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse, on_request=echo) as server, face.connect(server.url, KEY) as stream:
            async with httpx.AsyncClient() as client:
                assert (await client.get(url(server))).status_code == 200
            await stream.end()
            names, _ = await collect(stream)
            assert names[-1] == "session.ended"

    run(body)


def test_a_server_that_takes_no_requests_tells_them_to_upgrade(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server, httpx.AsyncClient() as client:
            assert (await client.get(url(server))).status_code == 426

    run(body)


# -- handlers that go wrong ---------------------------------------------------------------------


def test_a_handler_that_fails_is_a_500_that_tells_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            raise ValueError("the inner secret")

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            found = await client.post(url(server), content=bytes(BIG))
        assert found.status_code == 500
        assert found.json()["error_id"] == "ih1001"
        assert "secret" not in found.text

    with caplog.at_level(logging.ERROR, "ihproto"):
        run(body)
    (record,) = caplog.records
    assert "the handler failed" in record.message


def test_a_handler_that_does_not_answer_is_a_500(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            pass

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            found = await client.get(url(server))
        assert (found.status_code, found.json()["error_id"]) == (500, "ih1001")
        assert "did not answer" in found.json()["message"]

    run(body)


def test_a_handler_answers_once_and_reads_nothing_more_after_it(run: Run) -> None:
    async def body(face: Face) -> None:
        wrong: list[str] = []

        async def handler(exchange: HttpExchange) -> None:
            await exchange.respond(200, b"{}")
            for again in (exchange.respond(200, b""), exchange.refuse(500, HttpError()), anext(exchange)):
                with pytest.raises(RuntimeError) as caught:
                    await again
                wrong.append(str(caught.value))

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            assert (await client.post(url(server), content=b"abc")).status_code == 200
        assert len(wrong) == 3

    run(body)


def test_a_response_that_cannot_be_written_leaves_the_request_to_be_answered(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            with pytest.raises(ValueError, match="header"):
                await exchange.respond(200, b"{}", headers=[("X", "a\nb")])
            assert not exchange.answered
            await exchange.respond(200, b"{}")

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            assert (await client.get(url(server))).status_code == 200

    run(body)


def test_a_handler_that_answers_and_then_fails_has_answered(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            await exchange.respond(200, b"{}")
            raise ValueError

        async with face.serve(analyse, on_request=handler) as server, httpx.AsyncClient() as client:
            assert (await client.get(url(server))).status_code == 200

    run(body)
    assert "the handler failed" in caplog.text


# -- clients that speak bytes -------------------------------------------------------------------


def test_continue_goes_out_when_the_handler_reads(run: Run) -> None:
    async def body(face: Face) -> None:
        go = anyio.Event()

        async def handler(exchange: HttpExchange) -> None:
            await go.wait()
            await echo(exchange)

        async with face.serve(analyse, on_request=handler) as server, raw_client(server.port) as peer:
            await peer.send(post(4, "Expect: 100-continue"))
            await anyio.wait_all_tasks_blocked()
            assert peer.buffer == b""
            go.set()
            assert (await peer.read_head()).status == 100
            await peer.send(b"abcd")
            found = head(await peer.read_to_end())
            assert found.status == 200
            assert json.loads(found.rest)["size"] == 4

    run(body)


def test_a_client_that_asks_before_it_sends_can_be_refused_without_sending(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(exchange: HttpExchange) -> None:
            await exchange.refuse(413, HttpError.of("ih4003"))

        async with face.serve(analyse, on_request=handler) as server, raw_client(server.port) as peer:
            await peer.send(post(BIG, "Expect: 100-continue"))
            assert (await peer.read_head()).status == 413

    run(body)


@pytest.mark.parametrize("data", [post(10) + b"ab", post(10)])
def test_a_client_that_goes_in_the_middle_of_the_body_is_an_error_of_the_iteration(
    run: Run, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(face: Face) -> None:
        over = anyio.Event()
        errors: list[ConnectionBroken] = []

        async def handler(exchange: HttpExchange) -> None:
            try:
                for _ in range(2):
                    with pytest.raises(ConnectionBroken, match="middle of the body") as caught:
                        async for _ in exchange:
                            pass
                    errors.append(caught.value)
                await exchange.respond(200, b"{}")
            finally:
                over.set()

        async with face.serve(analyse, on_request=handler) as server:
            async with raw_client(server.port) as peer:
                await peer.send(data)
            await over.wait()
        assert len(errors) == 2

    with caplog.at_level(logging.ERROR, "ihproto"):
        run(body)
    assert caplog.records == []


def test_broken_chunks_are_an_error_of_the_iteration_and_a_400(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse, on_request=echo) as server, raw_client(server.port) as peer:
            await peer.send(b"POST /up HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n")
            assert (await peer.read_head()).status == 400

    run(body)


def test_a_client_of_http_1_0_is_answered(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse, on_request=echo) as server, raw_client(server.port) as peer:
            await peer.send(b"GET /old HTTP/1.0\r\n\r\n")
            found = head(await peer.read_to_end())
            assert json.loads(found.rest)["path"] == "/old"

    run(body)


def test_leaving_the_block_ends_a_request_that_is_still_handled(run: Run) -> None:
    async def body(face: Face) -> None:
        handled, ends = anyio.Event(), []

        async def handler(exchange: HttpExchange) -> None:
            handled.set()
            try:
                await anyio.sleep_forever()
            finally:
                ends.append("ended")

        async with AsyncExitStack() as after:
            async with face.serve(analyse, on_request=handler, shutdown_timeout=0.05) as server:
                peer = await after.enter_async_context(raw_client(server.port))
                await peer.send(post(0))
                await handled.wait()
            assert ends == ["ended"]

    run(body)


# -- on a clock that jumps ----------------------------------------------------------------------


def run_virtually(body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(24 * 3600):
            await body()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    data = b""
    with trio.move_on_after(0.001):
        while piece := await stream.receive_some():
            data += piece
    return data


def test_a_body_that_stalls_is_a_408_and_an_error_of_the_iteration() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        errors: list[str] = []

        async def handler(exchange: HttpExchange) -> None:
            await trio.sleep(100)
            with pytest.raises(ConnectionBroken) as caught:
                async for _ in exchange:
                    pass
            errors.append(f"{trio.current_time():g}: {caught.value}")

        server = Server(analyse, on_request=handler, upgrade_timeout=30, close_timeout=10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.take, Transport(far))
            await near.send_all(post(10) + b"ab")
            await trio.sleep(120)
            await near.send_all(b"cd")
        assert len(errors) == 1
        assert errors[0].startswith("150: no more of the body came for 30 s")
        assert head(await read_all(near)).status == 408
        assert trio.current_time() == pytest.approx(160)

    run_virtually(body)


def test_a_client_that_never_reads_nor_goes_is_let_go_behind_an_early_answer() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()

        async def handler(exchange: HttpExchange) -> None:
            await exchange.refuse(413, HttpError.of("ih4003"))

        async def drip() -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                while True:
                    await near.send_all(b"x")
                    await trio.sleep(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(analyse, on_request=handler, close_timeout=10).take, Transport(far))
            await near.send_all(post(10_000))
            nursery.start_soon(drip)
        assert 30 <= trio.current_time() <= 31.1

    run_virtually(body)


def test_a_client_that_takes_no_response_is_let_go() -> None:
    async def body() -> None:
        near, far = trio.testing.lockstep_stream_pair()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(analyse, on_request=echo, send_timeout=60).take, Transport(far))
            await near.send_all(post(0))
        assert trio.current_time() == pytest.approx(60)

    run_virtually(body)
