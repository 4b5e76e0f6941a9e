from __future__ import annotations

import contextlib
import logging
import socket
import ssl

import anyio
import anyio.lowlevel
import pytest
import trustme
from adapters.faces import (
    READY,
    Dialled,
    Face,
    RawPeer,
    Run,
    analyse,
    collect,
    descriptors,
    raw_client,
    raw_server,
)
from wire.raw import BINARY, CLOSE, KEY, TEXT, close_payload, envelope, frame, masked, request

from ihproto import Envelope, NominalScanner, SessionClosed
from ihproto.anyio import (
    ConnectError,
    ConnectionBroken,
    PeerStalled,
    ServerStream,
    StreamError,
    UpgradeError,
)
from ihproto.wire import UpgradeFailed

MB = 1024 * 1024


class Mine(Exception):
    """An error of the program itself."""


class Final(BaseException):
    """What `sys.exit` and Ctrl-C are, without being taken for them."""


async def stay(peer: RawPeer) -> None:
    """Take a connection and say nothing."""
    await peer.read_to_end()


async def ready_then_stay(peer: RawPeer) -> None:
    await peer.upgrade(READY)
    await peer.read_to_end()


# -- connecting -------------------------------------------------------------------------------------


def test_a_port_where_nobody_listens_is_a_connect_error(run: Run) -> None:
    async def body(face: Face) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            with pytest.raises(ConnectError, match=f"127.0.0.1:{port}") as caught:
                async with face.connect(f"ws://127.0.0.1:{port}", KEY):
                    pass
        assert isinstance(caught.value, StreamError)
        assert KEY not in str(caught.value)

    run(body)


def test_a_name_that_does_not_exist_is_a_connect_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    async def body(face: Face) -> None:
        with pytest.raises(ConnectError, match=r"nowhere\.test"):
            async with face.connect("ws://nowhere.test/", KEY):
                pass

    run(body)


def test_a_port_that_is_taken_cannot_be_listened_on(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server:
            with pytest.raises(ConnectError, match=f"127.0.0.1 port {server.port}"):
                async with face.serve(analyse, port=server.port):
                    pass

    run(body)


def test_a_session_over_tls(run: Run, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse, ssl_context=server_tls) as server:
            assert server.url.startswith("wss://127.0.0.1:")
            for url in (server.url, f"wss://localhost:{server.port}"):
                async with face.connect(url, KEY, ssl_context=client_tls, strict=True) as client:
                    await client.send_segment(bytes(3 * MB))
                    await client.end()
                    names, over = await collect(client)
                assert names[-1] == "session.ended"
                assert over.code == 1000

    run(body)


def test_one_task_sends_over_tls_while_another_iterates(
    run: Run, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async def body(face: Face) -> None:
        names: list[str] = []

        async def read() -> None:
            names.extend((await collect(client))[0])

        async with (
            face.serve(analyse, ssl_context=server_tls) as server,
            face.connect(server.url, KEY, ssl_context=client_tls) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(read)
            for _ in range(20):
                await client.send_segment(bytes(50_000))
                await client.send_config()
            await client.end()
        assert names.count("session.updated") == 20

    run(body)


def test_a_certificate_of_an_unknown_authority_is_a_connect_error(
    run: Run, dialled: Dialled, server_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse, ssl_context=server_tls) as server:
            before = descriptors()
            with pytest.raises(ConnectError, match="certificate"):
                async with face.connect(server.url, KEY):
                    pass
            await dialled.leaked(before)

    run(body)
    assert KEY not in caplog.text


def test_a_certificate_of_another_host_is_a_connect_error(
    run: Run, dialled: Dialled, authority: trustme.CA, client_tls: ssl.SSLContext
) -> None:
    async def body(face: Face) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("other.example").configure_cert(context)
        async with face.serve(analyse, ssl_context=context) as server:
            before = descriptors()
            with pytest.raises(ConnectError, match="certificate"):
                async with face.connect(server.url, KEY, ssl_context=client_tls):
                    pass
            await dialled.leaked(before)

    run(body)


def test_a_tls_client_of_a_plain_server_is_a_connect_error(run: Run, dialled: Dialled) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server:
            before = descriptors()
            with pytest.raises(ConnectError, match="cannot be reached"):
                async with face.connect(server.url.replace("ws:", "wss:"), KEY):
                    pass
            await dialled.leaked(before)

    run(body)


LEAK = "the socket under a TLS handshake that does not succeed is left to the garbage collector"


def test_a_handshake_that_fails_leaves_no_socket_behind(run: Run, dialled: Dialled) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server:
            before = descriptors()
            with pytest.raises(ConnectError):
                async with face.connect(server.url.replace("ws:", "wss:"), KEY):
                    pass
            assert await dialled.leaked(before) <= 0

    run(body)


def test_a_handshake_that_is_cancelled_leaves_no_socket_behind(run: Run, dialled: Dialled) -> None:
    async def body(face: Face) -> None:
        reached = anyio.Event()

        async def script(peer: RawPeer) -> None:
            assert await peer.more()
            reached.set()
            await peer.read_to_end()

        async def client(url: str) -> None:
            with scope:
                async with face.connect(url.replace("ws:", "wss:"), KEY):
                    pass

        scope = anyio.CancelScope()
        async with raw_server(script) as url:
            before = descriptors()
            async with anyio.create_task_group() as group:
                group.start_soon(client, url)
                await reached.wait()
                scope.cancel()
            assert await dialled.leaked(before) <= 0

    run(body)


def test_a_plain_client_of_a_tls_server_fails_and_the_server_goes_on(
    run: Run, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse, ssl_context=server_tls) as server:
            with pytest.raises(UpgradeError):
                async with face.connect(server.url.replace("wss:", "ws:"), KEY):
                    pass
            async with face.connect(server.url, KEY, ssl_context=client_tls) as client:
                await client.end()
                assert (await collect(client))[1].code == 1000

    run(body)
    assert KEY not in caplog.text


# -- peers that do nothing --------------------------------------------------------------------------


def test_a_server_that_does_not_answer_the_upgrade_is_an_upgrade_error(run: Run) -> None:
    async def body(face: Face) -> None:
        async with raw_server(stay) as url:
            with pytest.raises(UpgradeError, match="in time") as caught:
                async with face.connect(url, KEY, connect_timeout=0.2):
                    pass
        assert isinstance(caught.value.event, UpgradeFailed)

    run(body)


def test_a_server_that_does_not_shake_hands_is_a_connect_error(run: Run, dialled: Dialled) -> None:
    async def body(face: Face) -> None:
        async with raw_server(stay) as url:
            before = descriptors()
            with pytest.raises(ConnectError, match=r"within 0\.05 s"):
                async with face.connect(url.replace("ws:", "wss:"), KEY, connect_timeout=0.05):
                    pass
            await dialled.leaked(before)

    run(body)


def test_a_client_that_does_not_ask_for_an_upgrade_is_answered_with_408(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse, upgrade_timeout=0.05) as server, raw_client(server.port) as peer:
            await peer.send(request()[:-2])
            assert (await peer.read_head()).status == 408
            await peer.read_to_end()

    run(body)


def test_a_head_that_is_too_large_is_answered_with_431(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse, max_header_bytes=1000) as server, raw_client(server.port) as peer:
            await peer.send(request()[:-2] + b"X-Long: " + b"a" * 1000)
            assert (await peer.read_head()).status == 431
            await peer.read_to_end()

    run(body)


def test_a_server_that_does_not_read_is_stalled(run: Run) -> None:
    async def body(face: Face) -> None:
        gone = anyio.Event()

        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY)
            await gone.wait()

        async with raw_server(script) as url, face.connect(url, KEY, send_timeout=0.05) as client:
            with pytest.raises(PeerStalled, match=r"0\.05 s"):
                await client.send_segment(bytes(24 * MB))
            for _ in range(2):
                with pytest.raises(ConnectionBroken):
                    await client.send_segment(b"x")
            names, over = await collect(client)
            assert names == ["session.ready"]
            assert over.code == 1006
            gone.set()

    run(body)


def test_a_client_that_does_not_read_is_let_go_by_the_server(run: Run) -> None:
    async def body(face: Face) -> None:
        over: list[SessionClosed] = []
        finished = anyio.Event()

        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            for _ in range(40):
                await stream.send_error("ih3001", message="x" * 1_000_000)
                if stream.session.state.name == "CLOSED":
                    break
            over.extend([event async for event in stream if isinstance(event, SessionClosed)])
            finished.set()

        async with face.serve(handler, send_timeout=0.05) as server, raw_client(server.port) as peer:
            await peer.ask()
            await finished.wait()
        assert [one.code for one in over] == [1006]

    run(body)


def test_a_close_that_the_server_does_not_answer_is_given_up(run: Run) -> None:
    async def body(face: Face) -> None:
        async with raw_server(ready_then_stay) as url:
            async with face.connect(url, KEY, close_timeout=0.05) as client:
                pass
            _, over = await collect(client)
            assert over.code == 1006

    run(body)


# -- last words -------------------------------------------------------------------------------------


def test_what_a_server_said_before_it_hung_up_is_heard_by_a_client_that_was_sending(
    run: Run, request: pytest.FixtureRequest, face: Face
) -> None:
    if face.backend == "asyncio":
        request.applymarker(pytest.mark.xfail(strict=True, reason="asyncio closes the socket when a write fails"))

    async def body(face: Face) -> None:
        fatal = {"code": "ih1001", "message": "boom", "link": None, "segment": None}

        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY)
            assert await peer.more()
            await peer.send(frame(TEXT, envelope("error", fatal)) + frame(CLOSE, close_payload(1011, "ih1001")))

        async with raw_server(script) as url, face.connect(url, KEY) as client:
            with pytest.raises(ConnectionBroken):
                await client.send_segment(bytes(24 * MB))
            names, over = await collect(client)
        assert names == ["session.ready", "error"]
        assert over.error is not None
        assert over.error.code == "ih1001"

    run(body)


def test_a_client_that_breaks_the_framing_while_it_sends_hears_why(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server, raw_client(server.port) as peer:
            await peer.ask()
            await peer.send(frame(TEXT, b"not masked"))
            data = await peer.read_to_end()
            assert frame(CLOSE, close_payload(1002))[2:] in data

    run(body)


# -- exceptions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [Mine("x"), ExceptionGroup("mine", [Mine("x")]), TimeoutError("x"), StopIteration("x")]
)
def test_an_exception_in_the_block_of_connect_comes_out_as_it_is(run: Run, error: Exception) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server:
            with pytest.raises(type(error)) as caught:
                async with face.connect(server.url, KEY):
                    raise error
            assert caught.value is error

    run(body)


@pytest.mark.parametrize("error", [Mine("x"), ExceptionGroup("mine", [Mine("x")]), TimeoutError("x")])
def test_an_exception_in_the_block_of_serve_comes_out_as_it_is_and_closes_the_sessions(
    run: Run, error: Exception
) -> None:
    async def body(face: Face) -> None:
        ends: list[SessionClosed] = []
        entered = anyio.Event()
        leave = anyio.Event()

        async def client(url: str) -> None:
            async with face.connect(url, KEY) as stream:
                entered.set()
                ends.append((await collect(stream))[1])
            leave.set()

        async def serve() -> None:
            async with face.serve(analyse) as server:
                group.start_soon(client, server.url)
                await entered.wait()
                raise error

        async with anyio.create_task_group() as group:
            with pytest.raises(type(error)) as caught:
                await serve()
            assert caught.value is error
            await leave.wait()
        assert [one.code for one in ends] == [1001]

    run(body)


def test_what_ends_the_program_comes_out_of_connect_as_it_is(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server:
            with pytest.raises(Final):
                async with face.connect(server.url, KEY):
                    raise Final

    run(body)


def test_what_ends_the_program_comes_out_of_serve_as_it_is(run: Run) -> None:
    async def body(face: Face) -> None:
        with pytest.raises(Final):
            async with face.serve(analyse):
                raise Final

    run(body)


# -- shutdown ---------------------------------------------------------------------------------------


def test_leaving_serve_closes_every_session_with_1001_and_does_not_wait_for_who_never_upgraded(run: Run) -> None:
    async def body(face: Face) -> None:
        ends: list[SessionClosed] = []
        handled: list[SessionClosed] = []
        idle: list[bytes] = []
        up = [anyio.Event() for _ in range(5)]

        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            handled.extend([event async for event in stream if isinstance(event, SessionClosed)])

        async def client(url: str, entered: anyio.Event) -> None:
            async with face.connect(url, KEY) as stream:
                entered.set()
                ends.append((await collect(stream))[1])

        async def silent(port: int, said: bytes, entered: anyio.Event) -> None:
            async with raw_client(port) as peer:
                await peer.send(said)
                entered.set()
                idle.append(await peer.read_to_end())

        # Who waited for the idle ones would wait for all of the shutdown timeout.
        with anyio.fail_after(100):
            async with anyio.create_task_group() as group, face.serve(handler, shutdown_timeout=1000) as server:
                for entered in up[:3]:
                    group.start_soon(client, server.url, entered)
                group.start_soon(silent, server.port, b"", up[3])
                group.start_soon(silent, server.port, b"GET / HT", up[4])
                for entered in up:
                    await entered.wait()
                await anyio.wait_all_tasks_blocked()
                assert len(server.streams) == 3
        assert [one.code for one in ends] == [1001] * 3
        assert [one.code for one in handled] == [1001] * 3
        assert idle == [b"", b""]
        assert server.streams == set()

    run(body)


def test_leaving_serve_does_not_wait_for_who_never_shook_hands(run: Run, server_tls: ssl.SSLContext) -> None:
    async def body(face: Face) -> None:
        ended = anyio.Event()

        async def silent(port: int) -> None:
            async with raw_client(port) as peer:
                await peer.read_to_end()
            ended.set()

        with anyio.fail_after(100):
            async with anyio.create_task_group() as group:
                async with face.serve(analyse, ssl_context=server_tls, shutdown_timeout=1000) as server:
                    group.start_soon(silent, server.port)
                    await anyio.wait_all_tasks_blocked()
                await ended.wait()

    run(body)


def test_a_handler_that_does_not_listen_is_cut_off_after_the_shutdown_timeout(run: Run) -> None:
    async def body(face: Face) -> None:
        ends: list[SessionClosed] = []
        cancelled: list[bool] = []
        entered = anyio.Event()

        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            try:
                await anyio.sleep_forever()
            finally:
                cancelled.append(True)

        async def client(url: str) -> None:
            async with face.connect(url, KEY) as stream:
                entered.set()
                ends.append((await collect(stream))[1])

        async with anyio.create_task_group() as group, face.serve(handler, shutdown_timeout=0.05) as server:
            group.start_soon(client, server.url)
            await entered.wait()
        assert [one.code for one in ends] == [1001]
        assert cancelled == [True]

    run(body)


def test_a_handler_that_has_not_answered_is_cut_off_after_the_shutdown_timeout(run: Run) -> None:
    async def body(face: Face) -> None:
        asked = anyio.Event()
        failures: list[UpgradeError] = []

        async def handler(stream: ServerStream) -> None:
            asked.set()
            await anyio.sleep_forever()

        async def client(url: str) -> None:
            with pytest.raises(UpgradeError) as caught:
                async with face.connect(url, KEY):
                    pass
            failures.append(caught.value)

        async with anyio.create_task_group() as group, face.serve(handler, shutdown_timeout=0.05) as server:
            group.start_soon(client, server.url)
            await asked.wait()
        assert len(failures) == 1

    run(body)


def test_leaving_serve_at_once_leaves_nothing(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server:
            pass
        with pytest.raises(ConnectError):
            async with face.connect(server.url, KEY):
                pass

    run(body)


def test_a_server_that_is_cancelled_leaves_nothing(run: Run) -> None:
    async def body(face: Face) -> None:
        ends: list[SessionClosed] = []
        entered = anyio.Event()
        scope = anyio.CancelScope()

        async def client(url: str) -> None:
            async with face.connect(url, KEY) as stream:
                entered.set()
                ends.append((await collect(stream))[1])

        async def serve() -> None:
            with scope:
                async with face.serve(analyse) as server:
                    group.start_soon(client, server.url)
                    await anyio.sleep_forever()

        async with anyio.create_task_group() as group:
            group.start_soon(serve)
            await entered.wait()
            scope.cancel()
        assert [one.code for one in ends] == [1006]

    run(body)


# -- cancellation -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["before the answer", "before ready", "while iterating", "while sending"])
def test_a_client_that_is_cancelled_is_gone(run: Run, stage: str) -> None:
    async def body(face: Face) -> None:
        reached = anyio.Event()
        gone = anyio.Event()

        async def script(peer: RawPeer) -> None:
            if stage == "before the answer":
                await peer.read_head()
            else:
                await peer.upgrade(*([] if stage == "before ready" else [READY]))
            reached.set()
            if stage == "while sending":
                await start_reading.wait()
            await peer.read_to_end()
            gone.set()

        async def client(url: str) -> None:
            with scope:
                async with face.connect(url, KEY) as stream:
                    if stage == "while sending":
                        await stream.send_segment(bytes(24 * MB))
                    await collect(stream)

        start_reading = anyio.Event()
        scope = anyio.CancelScope()
        async with raw_server(script) as url, anyio.create_task_group() as group:
            group.start_soon(client, url)
            await reached.wait()
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            start_reading.set()
            await gone.wait()
        assert scope.cancelled_caught

    run(body)


def test_a_client_cancelled_after_any_number_of_turns_leaves_nothing(run: Run) -> None:
    async def body(face: Face) -> None:
        begun, ended = 0, 0

        async def handler(stream: ServerStream) -> None:
            nonlocal begun, ended
            begun += 1
            try:
                await analyse(stream)
            finally:
                ended += 1

        async def client(scope: anyio.CancelScope, url: str) -> None:
            with scope:
                async with face.connect(url, KEY) as stream:
                    await stream.send_config(["conversation_quality_overall"])
                    for _ in range(3):
                        await stream.send_segment(b"x")
                    await stream.end()
                    await collect(stream)

        async with face.serve(handler) as server:
            before = descriptors()
            for turns in range(60):
                async with anyio.create_task_group() as group:
                    scope = anyio.CancelScope()
                    group.start_soon(client, scope, server.url)
                    for _ in range(turns):
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
            while ended < begun or descriptors() > before:
                await anyio.lowlevel.checkpoint()
            assert server.streams == set()

    run(body)


def test_a_send_that_was_cancelled_half_way_breaks_the_connection(run: Run) -> None:
    async def body(face: Face) -> None:
        leave = anyio.Event()

        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY)
            await leave.wait()

        async with raw_server(script) as url, face.connect(url, KEY) as client:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(client.send_segment, bytes(24 * MB))
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            with pytest.raises(ConnectionBroken):
                await client.send_segment(b"x")
            events = [event async for event in client]
            assert isinstance(events[0], Envelope)
            assert isinstance(events[-1], SessionClosed)
            leave.set()

    run(body)


def test_an_iteration_that_was_cancelled_can_be_taken_up_again(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server, face.connect(server.url, KEY) as client:
            assert isinstance(await anext(client), Envelope)
            for _ in range(3):
                with anyio.move_on_after(0.01):
                    await anext(client)
            await client.end()
            names, over = await collect(client)
        assert names == ["session.closing", "session.ended"]
        assert over.code == 1000

    run(body)


def test_a_cancelled_handler_of_one_client_does_not_touch_another(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            if stream.request.path == "/cut":
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await anext(stream)
                return
            async for _ in stream:
                pass

        async with face.serve(handler) as server, face.connect(server.url, KEY) as other:
            async with face.connect(f"{server.url}/cut", KEY) as client:
                assert (await collect(client))[1].code == 1000
            await other.end()
            assert (await collect(other))[1].code == 1000

    run(body)


# -- no secret anywhere -----------------------------------------------------------------------------


def test_no_log_and_no_error_shows_the_secret(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            assert KEY not in repr(stream) + repr(stream.request) + repr(vars(stream))
            if stream.request.path == "/fail":
                raise ZeroDivisionError
            await stream.accept(scanner=NominalScanner())

        async with face.serve(handler) as server:
            for form in ("header", "subprotocol", "pair"):
                with pytest.raises(UpgradeError) as caught:
                    async with face.connect(f"{server.url}/fail", KEY, form=form):
                        pass
                assert KEY not in str(caught.value) + repr(caught.value) + repr(caught.value.event)
                async with face.connect(server.url, KEY, form=form) as client:
                    assert KEY not in repr(client) + repr(client.session)
                    assert KEY not in repr([event async for event in client])
            async with raw_client(server.port) as peer:
                await peer.send(request(("Authorization", f"Bearer {KEY}"), ("Connection", "x")))
                await peer.read_to_end()
            async with raw_client(server.port) as peer:
                await peer.ask(("Sec-WebSocket-Protocol", KEY))
                await peer.send(masked(BINARY, b"x")[:3] + b"\xff" * 40)
                await peer.send(frame(BINARY, b"x"))
                # The server may have been faster to hang up.
                with contextlib.suppress(OSError):
                    await peer.stream.send_eof()
                await peer.read_to_end()

    run(body)
    assert KEY not in caplog.text
