"""Two tasks on one stream, a server without descriptors, a server that knows no graceful close."""

from __future__ import annotations

import errno
import logging
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from adapters.faces import READY, Face, RawPeer, Run, analyse, collect, raw_client, raw_server
from anyio.streams.stapled import MultiListener
from wire.raw import CLOSE, KEY, PONG, TEXT, close_payload, envelope, frame

from ihproto import SessionClosed
from ihproto.anyio import ConnectError, ServerStream
from ihproto.wire import RawClose


def test_a_close_and_an_iteration_take_turns_when_something_arrives_that_is_no_event(run: Run) -> None:
    async def body(face: Face) -> None:
        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY)
            await peer.read_frame()
            await peer.send(frame(PONG, b""))
            await anyio.lowlevel.checkpoint()
            await peer.send(frame(CLOSE, close_payload(1000)))
            await peer.read_to_end()

        ends: list[SessionClosed] = []
        async with raw_server(script) as url, face.connect(url, KEY) as client:

            async def iterate() -> None:
                ends.append((await collect(client))[1])

            with anyio.fail_after(20):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(iterate)
                    await anyio.wait_all_tasks_blocked()
                    tasks.start_soon(client.close)
        assert [one.code for one in ends] == [1000]

    run(body)


def test_a_server_that_knows_no_graceful_close_is_closed_at_once(run: Run) -> None:
    async def body(face: Face) -> None:
        unknown = {"code": "ih6001", "message": "unknown key: type", "link": None, "segment": None}

        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY)
            assert (await peer.read_frame()).payload == b'{"type":"session.close"}'
            await peer.send(frame(TEXT, envelope("error", unknown)))
            assert (await peer.read_frame()).opcode == CLOSE
            await peer.send(frame(CLOSE, close_payload(1000)))
            await peer.read_to_end()

        async with raw_server(script) as url, face.connect(url, KEY) as client:
            await client.end()
            with anyio.fail_after(20):
                names, over = await collect(client)
        assert names == ["session.ready", "error"]
        assert (over.code, over.ended) == (1000, None)

    run(body)


def test_a_server_without_file_descriptors_says_so_and_goes_on(
    run: Run, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(face: Face) -> None:
        if face.name == "trio":
            return  # trio's own accept loop does this, and has its own tests
        real = MultiListener.serve
        listeners: list[Any] = []

        async def exhausted(self: Any, *args: Any, **options: Any) -> None:
            listeners.append(self)
            if len(listeners) == 1:
                raise OSError(errno.EMFILE, "Too many open files")
            await real(self, *args, **options)

        with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, "ihproto"):
            patch.setattr(MultiListener, "serve", exhausted)
            async with face.serve(analyse) as server, raw_client(server.port) as peer:
                await peer.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
                assert (await peer.read_to_end()).startswith(b"HTTP/1.1 426")
        assert "Too many open files" in caplog.text

    run(body)


def test_an_address_that_refuses_is_told_in_the_same_words_by_both_adapters(run: Run) -> None:
    async def body(face: Face) -> None:
        with pytest.raises(ConnectError, match=r"^127\.0\.0\.1:1 cannot be reached: Connection refused$"):
            async with face.connect("ws://127.0.0.1:1", KEY):
                pass

    run(body)


def test_a_task_that_reads_is_told_when_another_one_has_brought_the_end_about(run: Run) -> None:
    """Otherwise it would wait for the client, which waits for the server to end the connection."""

    async def body(face: Face) -> None:
        over = anyio.Event()

        async def handle(stream: ServerStream) -> None:
            raw = await stream.accept_raw()
            asked = anyio.Event()

            async def read() -> None:
                async for event in raw:
                    if isinstance(event, RawClose):
                        asked.set()
                over.set()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await asked.wait()
                await anyio.wait_all_tasks_blocked()
                await raw.close()

        async with face.serve(handle) as server, raw_client(server.port) as peer:
            await peer.ask()
            await peer.close_as_client()
            await over.wait()

    run(body)
