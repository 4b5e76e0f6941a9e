"""Connections without a session, over sockets, in memory, and from wherever else they come."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
import trio.testing
from adapters.faces import FACES, Face, Run, raw_server
from wire.raw import KEY, close_payload, frame, head

import ihproto.anyio
import ihproto.trio
from ihproto import LocalProtocolError
from ihproto._adapter import RawStream
from ihproto.anyio import ConnectError, ServerStream, StreamError, UpgradeError
from ihproto.wire import (
    Credential,
    CredentialForm,
    RawBytes,
    RawClose,
    RawEvent,
    RawLost,
    RawSurplus,
    RawText,
    UpgradeFailed,
    UpgradeRefused,
)

#: The same by the name of the face, which has no such member.
CONNECT_RAW: dict[str, Callable[..., AbstractAsyncContextManager[RawStream]]] = {
    face.name: ihproto.trio.connect_raw if face.name == "trio" else ihproto.anyio.connect_raw for face in FACES
}
CREDENTIAL = Credential(KEY, CredentialForm.HEADER)


async def echo(stream: ServerStream) -> None:
    """Say everything again, and answer the close."""
    raw = await stream.accept_raw([("X-Correlation-ID", "mine")])
    async for event in raw:
        match event:
            case RawText(text, final):
                await raw.send_text(text, final=final)
            case RawBytes(data, final):
                await raw.send_bytes(data, final=final)
            case RawClose(code, reason):
                await raw.close(code, reason)


def joined(events: list[RawEvent]) -> tuple[str, bytes]:
    """All texts and all binary messages of a stream, one behind the other."""
    texts = [event.text for event in events if isinstance(event, RawText)]
    return "".join(texts), b"".join(event.data for event in events if isinstance(event, RawBytes))


async def talk(raw: RawStream) -> None:
    """Be the client of `echo`, to the end."""
    assert raw.accepted is not None
    assert raw.accepted.correlation_id == "mine"
    await raw.send_text("é日", final=False)
    await raw.send_text("😀")
    await raw.send_bytes(b"a" * 200_000)
    assert not raw.closed
    await raw.close(4000, "done")
    assert raw.closed
    heard = [event async for event in raw]
    assert joined(heard) == ("é日😀", b"a" * 200_000)
    assert heard[-1] == RawClose(4000, "done")
    assert raw.peer_closed
    with pytest.raises(StreamError):
        await raw.send_text("too late")
    await raw.close()


def test_an_echo(run: Run) -> None:
    async def body(face: Face) -> None:
        async with (
            face.serve(echo, send_timeout=5.0) as server,
            CONNECT_RAW[face.name](server.url, credential=CREDENTIAL) as raw,
        ):
            await talk(raw)

    run(body)


def test_what_is_asked_and_answered(run: Run) -> None:
    seen: list[tuple[Any, ...]] = []

    async def handler(stream: ServerStream) -> None:
        asked = stream.request
        seen.append((asked.target, asked.authorization, asked.subprotocols, dict(asked.headers)[b"x-more"]))
        await stream.accept_raw([("Sec-WebSocket-Protocol", "more")])

    async def body(face: Face) -> None:
        async with face.serve(handler) as server:
            connect = CONNECT_RAW[face.name]
            url = f"{server.url}/v1/stream/analyze?a=1"
            headers = [("X-More", "x")]
            async with connect(url, credential=CREDENTIAL, headers=headers, subprotocols=["more"]) as raw:
                assert raw.accepted is not None
                assert raw.accepted.subprotocol == "more"
                # The handler has returned, and the connection ends with it.
                assert [type(event) async for event in raw] == [RawLost]

    run(body)
    assert seen == [("/v1/stream/analyze?a=1", f"Bearer {KEY}", ("more",), b"x")]


def test_a_refusal_in_any_words(run: Run) -> None:
    async def handler(stream: ServerStream) -> None:
        with pytest.raises(ValueError, match="not valid HTTP"):
            await stream.refuse_raw(418, [("X\n", "")], b"")
        await stream.refuse_raw(418, [("X-More", "x")], b"teapot")

    async def body(face: Face) -> None:
        async with face.serve(handler) as server:
            with pytest.raises(UpgradeError) as caught:
                async with CONNECT_RAW[face.name](server.url):
                    raise AssertionError("it was refused")
        event = caught.value.event
        assert isinstance(event, UpgradeRefused)
        assert (event.status, event.body, event.correlation_id) == (418, b"teapot", None)
        assert dict(event.headers)[b"x-more"] == b"x"

    run(body)


def test_a_server_that_does_not_answer_the_upgrade(run: Run) -> None:
    async def body(face: Face) -> None:
        async with raw_server(lambda peer: peer.stream.aclose()) as url:
            with pytest.raises(UpgradeError) as caught:
                async with CONNECT_RAW[face.name](url):
                    raise AssertionError("it was not answered")
        assert isinstance(caught.value.event, UpgradeFailed)

    run(body)


def test_what_is_wrong_shows_before_there_is_a_socket(run: Run) -> None:
    async def body(face: Face) -> None:
        connect = CONNECT_RAW[face.name]
        with pytest.raises(LocalProtocolError, match="HS-7"):
            await connect("ws://localhost", credential=Credential("a b", CredentialForm.SUBPROTOCOL)).__aenter__()
        with pytest.raises(LocalProtocolError, match="HS-1"):
            await connect("ws://example.org").__aenter__()
        with pytest.raises(LocalProtocolError, match="HS-1"):
            await connect("ws://localhost", headers=[("X-Bad", "\n")]).__aenter__()
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        with pytest.raises(ConnectError):
            await connect(f"ws://127.0.0.1:{port}").__aenter__()

    run(body)


def test_an_abort_is_seen_at_both_ends(run: Run) -> None:
    heard: list[RawEvent] = []
    over: list[anyio.Event] = []

    async def handler(stream: ServerStream) -> None:
        raw = await stream.accept_raw()
        heard.extend([event async for event in raw])
        over[0].set()

    async def body(face: Face) -> None:
        over.append(anyio.Event())
        async with face.serve(handler) as server:
            async with CONNECT_RAW[face.name](server.url) as raw:
                await raw.send_text("a")
                raw.abort("enough of this")
                assert raw.closed
                assert [event async for event in raw] == [RawLost("enough of this")]
                with pytest.raises(StreamError):
                    await raw.send_text("b")
            await over[0].wait()

    run(body)
    assert heard[0] == RawText("a")
    assert [type(event) for event in heard[1:]] == [RawLost]


def test_an_abort_wakes_whoever_reads(run: Run) -> None:
    async def body(face: Face) -> None:
        async with (
            face.serve(echo) as server,
            CONNECT_RAW[face.name](server.url) as raw,
            anyio.create_task_group() as group,
        ):
            group.start_soon(_read_until_lost, raw)
            await anyio.wait_all_tasks_blocked()
            raw.abort()

    run(body)


async def _read_until_lost(raw: RawStream) -> None:
    assert [type(event) async for event in raw] == [RawLost]


def test_a_shutdown_closes_open_streams_with_1001(run: Run) -> None:
    """Promptly: a shutdown may take an hour, a test may not."""

    async def body(face: Face) -> None:
        heard: list[RawEvent] = []
        done = anyio.Event()

        async def client(url: str) -> None:
            async with CONNECT_RAW[face.name](url) as raw:
                opened.set()
                async for event in raw:
                    heard.append(event)
                    if isinstance(event, RawClose):
                        await raw.close(event.code)
            done.set()

        opened = anyio.Event()
        async with anyio.create_task_group() as group:
            async with face.serve(echo, shutdown_timeout=3600.0) as server:
                group.start_soon(client, server.url)
                await opened.wait()
            await done.wait()
        assert [event for event in heard if isinstance(event, RawClose)] == [
            RawClose(1001, "the server is shutting down")
        ]

    run(body)


@pytest.mark.parametrize("accepts", [True, False])
def test_a_handler_that_fails_leaves_nothing_behind(run: Run, caplog: pytest.LogCaptureFixture, accepts: bool) -> None:
    async def handler(stream: ServerStream) -> None:
        if accepts:
            raw = await stream.accept_raw()
            await raw.send_text("before")
        raise ValueError("the handler is broken")

    async def body(face: Face) -> None:
        async with face.serve(handler) as server:
            if accepts:
                async with CONNECT_RAW[face.name](server.url) as raw:
                    events = [event async for event in raw]
                assert events[0] == RawText("before")
                assert [type(event) for event in events[1:]] == [RawLost]
            else:
                with pytest.raises(UpgradeError) as caught:
                    await CONNECT_RAW[face.name](server.url).__aenter__()
                assert isinstance(caught.value.event, UpgradeRefused)
                assert caught.value.event.status == 500
        assert not server.streams

    with caplog.at_level(logging.ERROR):
        run(body)
    assert "the handler failed" in caplog.text


def test_leaving_the_block_drops_the_connection(run: Run) -> None:
    async def body(face: Face) -> None:
        ended = anyio.Event()
        heard: list[RawEvent] = []

        async def handler(stream: ServerStream) -> None:
            heard.extend([event async for event in await stream.accept_raw()])
            ended.set()

        async with face.serve(handler) as server:
            with pytest.raises(ZeroDivisionError):
                async with CONNECT_RAW[face.name](server.url):
                    raise ZeroDivisionError
            await ended.wait()
        assert [type(event) for event in heard] == [RawLost]

    run(body)


def test_what_a_server_says_behind_its_close(run: Run) -> None:
    async def body(face: Face) -> None:
        async def script(peer: Any) -> None:
            await peer.upgrade(frame(0x1, b"first"), frame(0x8, close_payload(1000)), b"surplus")
            await peer.read_to_end()

        async with raw_server(script) as url, CONNECT_RAW[face.name](url, close_timeout=0.05) as raw:
            heard = [await anext(raw) for _ in range(3)]
            assert heard == [RawText("first"), RawClose(1000), RawSurplus(len(b"surplus"))]
            await raw.send_verbatim(b"\xff")
            await raw.close()
            assert [event async for event in raw] == [], "it is given up, and nothing was lost"

    run(body)


def test_an_upgrade_is_answered_once(run: Run) -> None:
    failed: list[str] = []

    async def handler(stream: ServerStream) -> None:
        raw = await stream.accept_raw()
        for answer in (stream.accept_raw(), stream.refuse_raw(403, [], b"")):
            with pytest.raises(RuntimeError, match="no upgrade request"):
                await answer
            failed.append("once")
        await raw.close()
        async for _ in raw:
            pass

    async def body(face: Face) -> None:
        async with face.serve(handler) as server, CONNECT_RAW[face.name](server.url) as raw:
            assert await anext(raw) == RawClose(1000)
            await raw.close()

    run(body)
    assert failed == ["once"] * 2


# -- connections from elsewhere -------------------------------------------------------------------


@asynccontextmanager
async def unix_listener(path: Path) -> AsyncIterator[Any]:
    async with await anyio.create_unix_listener(path) as listener:
        yield listener


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_unix_socket(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "socket"

    async def main() -> None:
        with anyio.fail_after(15):
            async with unix_listener(path) as listener, ihproto.anyio.serve(echo, listener=listener):
                stream = await anyio.connect_unix(path)
                async with ihproto.anyio.connect_raw("ws://localhost", stream=stream) as raw:
                    await talk(raw)

    anyio.run(main, backend=backend)


class MemoryListener(trio.abc.Listener[trio.abc.Stream]):
    """Brings what is put into it."""

    def __init__(self) -> None:
        self.put, self._get = trio.open_memory_channel[trio.abc.Stream](1)

    async def accept(self) -> trio.abc.Stream:
        return await self._get.receive()

    async def aclose(self) -> None:
        self._get.close()
        await trio.lowlevel.checkpoint()


def in_memory(body: Callable[[MemoryListener], Any]) -> None:
    """Run on virtual time with a listener that knows no sockets."""

    async def main() -> None:
        with trio.fail_after(24 * 3600):
            await body(MemoryListener())

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_streams_in_memory() -> None:
    async def body(listener: MemoryListener) -> None:
        near, far = trio.testing.memory_stream_pair()
        async with ihproto.trio.serve(echo, listener=listener):
            await listener.put.send(far)
            async with ihproto.trio.connect_raw("ws://localhost", stream=near) as raw:
                await talk(raw)
                assert raw.now() == trio.current_time()

    in_memory(body)


def test_a_close_that_is_not_answered_is_given_up_in_time() -> None:
    async def mute(stream: ServerStream) -> None:
        await stream.accept_raw()
        await trio.sleep(1000)

    async def body(listener: MemoryListener) -> None:
        near, far = trio.testing.memory_stream_pair()
        async with ihproto.trio.serve(mute, listener=listener, shutdown_timeout=7.0):
            await listener.put.send(far)
            async with ihproto.trio.connect_raw("ws://localhost", stream=near, close_timeout=25.0) as raw:
                began = trio.current_time()
                await raw.close()
                assert [type(event) async for event in raw] == [RawLost]
                assert trio.current_time() == pytest.approx(began + 25.0)
            left = trio.current_time()
        assert trio.current_time() == pytest.approx(left + 7.0), "a handler that does not end is cut off"

    in_memory(body)


def test_an_upgrade_that_is_not_answered_is_given_up_in_time() -> None:
    async def body(listener: MemoryListener) -> None:
        near, _far = trio.testing.memory_stream_pair()
        with pytest.raises(UpgradeError):
            async with ihproto.trio.connect_raw("ws://localhost", stream=near, connect_timeout=12.0):
                raise AssertionError("nobody answers")
        assert trio.current_time() == pytest.approx(12.0)

    in_memory(body)


def test_a_credential_in_a_header_is_sent_and_not_shown() -> None:
    async def body(listener: MemoryListener) -> None:
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                data = b""
                while b"\r\n\r\n" not in data:
                    data += bytes(await far.receive_some())
                assert head(data).get("authorization") == f"Bearer {KEY}"
                await far.aclose()

            nursery.start_soon(read)
            with pytest.raises(UpgradeError) as caught:
                async with ihproto.trio.connect_raw("ws://localhost", stream=near, credential=CREDENTIAL):
                    raise AssertionError("nobody answers")
        assert KEY not in repr(caught.value) + str(caught.value)

    in_memory(body)
