from __future__ import annotations

import anyio
import attrs
import pytest
from adapters.faces import READY as READY_FRAME
from adapters.faces import Face, RawPeer, Run, analyse, collect, raw_client, raw_server
from wire.raw import BINARY, CLOSE, CORRELATION_ID, KEY, PING, PONG, TEXT, Frame, close_payload, frame

from ihproto import (
    V1,
    ConfigApplied,
    ConfigOptions,
    EngagementReport,
    Envelope,
    LocalProtocolError,
    NominalScanner,
    RemoteProtocolError,
    SegmentAccepted,
    SegmentData,
    ServerSettings,
    SessionClosed,
    Violated,
    WindowAnalysis,
    WindowReady,
)
from ihproto.anyio import ConnectionBroken, ServerStream, SessionRefused, UpgradeError
from ihproto.wire import Credential, CredentialForm, HttpError, UpgradeFailed, UpgradeRefused

MB = 1024 * 1024


@pytest.mark.parametrize("form", [*CredentialForm, "header", "subprotocol", "pair"])
def test_a_whole_session_with_each_form_of_the_credential(run: Run, form: CredentialForm | str) -> None:
    async def body(face: Face) -> None:
        seen: list[object] = []

        async def handler(stream: ServerStream) -> None:
            assert stream.request.credential == Credential(KEY, CredentialForm(form))
            assert stream.request.client_request_id == "req-7"
            assert stream.request.origin == "https://a.example"
            await stream.accept(settings=ServerSettings(), scanner=NominalScanner(4.0))
            async for event in stream:
                seen.append(event)
                if isinstance(event, WindowReady):
                    await stream.send_analysis(WindowAnalysis(event.window, engagement=EngagementReport("engaged", 0)))

        async with (
            face.serve(handler, correlation_id=lambda: CORRELATION_ID) as server,
            face.connect(
                server.url,
                KEY,
                form=form,
                strict=True,
                client_request_id="req-7",
                headers=[("Origin", "https://a.example")],
            ) as client,
        ):
            assert client.contract.max_segment_size_bytes == 32 * MB
            await client.send_config(["conversation_quality_overall"])
            for _ in range(2):
                await client.send_segment(b"video")
            first = [(await anext(client)) for _ in range(3)]
            assert [event.type for event in first if isinstance(event, Envelope)] == [
                "session.ready",
                "session.updated",
                "engagement.updated",
            ]
            await client.end()
            names, over = await collect(client)
            assert names == ["session.closing", "session.ended"]
            assert over.code == 1000
            assert over.ended is not None
            assert over.ended.reason == "client_shutdown"
            assert client.session.correlation_id == CORRELATION_ID
            assert [event async for event in client] == []
        assert isinstance(seen[0], ConfigApplied)
        assert [event.end for event in seen if isinstance(event, SegmentAccepted)] == [4.0, 8.0]
        assert isinstance(seen[-1], SessionClosed)

    run(body)


def test_leaving_the_block_closes_the_session_with_1000(run: Run) -> None:
    async def body(face: Face) -> None:
        over: list[object] = []

        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            over.extend([event async for event in stream])

        async with face.serve(handler) as server:
            async with face.connect(server.url, KEY):
                pass
            async with face.connect(server.url, KEY) as client:
                await client.close(4000, "enough")
                await client.close()
        assert over == [SessionClosed(1000), SessionClosed(4000, "enough")]

    run(body)


def test_bytearrays_and_views_are_segments_too(run: Run) -> None:
    async def body(face: Face) -> None:
        sizes: list[int] = []

        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            async for event in stream:
                if isinstance(event, SegmentAccepted):
                    sizes.append(event.size)

        async with face.serve(handler) as server, face.connect(server.url, KEY) as client:
            await client.send_segment(bytearray(b"abc"))
            await client.send_segment(memoryview(b"abcdef")[2:])
            await client.send_segment(memoryview(bytearray(8)).cast("I"))
        assert sizes == [3, 4, 8]

    run(body)


def test_a_large_segment_goes_out_in_several_frames_of_one_message(run: Run) -> None:
    async def body(face: Face) -> None:
        video = bytes(range(256)) * 10 * 1024 + b"end"
        found: list[tuple[int, int]] = []

        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY_FRAME)
            total = 0
            while total < len(video):
                while len(peer.buffer) < 14:
                    assert await peer.more()
                code = peer.buffer[1] & 0x7F
                skip = {126: 2, 127: 8}.get(code, 0)
                size = int.from_bytes(peer.buffer[2 : 2 + skip], "big") if skip else code
                found.append((peer.buffer[0], size))
                pieces, have = [peer.buffer], len(peer.buffer)
                while have < 6 + skip + size:
                    peer.buffer = b""
                    assert await peer.more()
                    pieces.append(peer.buffer)
                    have += len(peer.buffer)
                peer.buffer = b"".join(pieces)[6 + skip + size :]
                total += size
            assert (await peer.read_frame()).opcode == CLOSE
            await peer.send(frame(CLOSE, close_payload(1000)))

        async with raw_server(script) as url, face.connect(url, KEY) as client:
            await client.send_segment(video)
        first, *middle, last = found
        assert first[0] == BINARY
        assert all(one[0] == 0 for one in middle)
        assert last[0] == 0x80
        assert max(size for _, size in found) <= MB
        assert sum(size for _, size in found) == len(video)

    run(body)


def test_a_large_segment_arrives_as_it_was_sent(run: Run) -> None:
    async def body(face: Face) -> None:
        video = bytes(range(256)) * 10 * 1024 + b"end"
        pieces: list[bytes] = []

        async def handler(stream: ServerStream) -> None:
            await stream.accept(settings=ServerSettings(segment_data=True), scanner=NominalScanner())
            async for event in stream:
                if isinstance(event, SegmentData):
                    pieces.append(event.data)

        async with face.serve(handler) as server, face.connect(server.url, KEY) as client:
            await client.send_segment(video)
        assert b"".join(pieces) == video
        assert max(len(piece) for piece in pieces) <= 64 * 1024

    run(body)


def test_one_task_sends_while_another_iterates(run: Run) -> None:
    async def body(face: Face) -> None:
        count = 40
        names: list[str] = []

        async def read() -> None:
            names.extend((await collect(client))[0])

        async with (
            face.serve(analyse) as server,
            face.connect(server.url, KEY) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(read)
            for index in range(count):
                await client.send_segment(bytes([index]) * 20_000)
                await client.send_config(["conversation_quality_timeline"])
            await client.end()
        assert names.count("session.updated") == count
        assert names.count("conversation_quality.updated") >= 11
        assert names[-1] == "session.ended"

    run(body)


def test_segments_of_two_tasks_do_not_mix(run: Run) -> None:
    async def body(face: Face) -> None:
        segments: dict[int, set[int]] = {}
        sizes: list[int] = []

        async def handler(stream: ServerStream) -> None:
            await stream.accept(settings=ServerSettings(segment_data=True), scanner=NominalScanner())
            async for event in stream:
                if isinstance(event, SegmentData):
                    segments.setdefault(event.number, set()).update(event.data)
                elif isinstance(event, SegmentAccepted):
                    sizes.append(event.size)

        async with face.serve(handler) as server, face.connect(server.url, KEY) as client:
            async with anyio.create_task_group() as group:
                for index in range(3):
                    group.start_soon(client.send_segment, bytes([index]) * (MB + 500_000))
                group.start_soon(client.send_config, ["conversation_quality_overall"])
            await client.close()
            names, _ = await collect(client)
        assert sizes == [MB + 500_000] * 3
        assert sorted(next(iter(values)) for values in segments.values()) == [0, 1, 2]
        assert all(len(values) == 1 for values in segments.values())
        assert "session.updated" in names

    run(body)


def test_one_task_closes_while_another_iterates(run: Run) -> None:
    async def body(face: Face) -> None:
        ends: list[SessionClosed] = []

        async def read() -> None:
            ends.append((await collect(client))[1])

        async with (
            face.serve(analyse) as server,
            face.connect(server.url, KEY) as client,
            anyio.create_task_group() as group,
        ):
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await client.close(4000, "enough")
        assert ends == [SessionClosed(4000, "enough")]

    run(body)


def test_a_ping_is_answered_while_somebody_iterates(run: Run) -> None:
    async def body(face: Face) -> None:
        answers: list[Frame] = []
        heard = anyio.Event()

        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY_FRAME + frame(PING, b"first"))
            answers.append(await peer.read_frame())
            await peer.send(frame(PING, b"second"))
            answers.append(await peer.read_frame())
            await peer.send(frame(CLOSE, close_payload(1001)))
            answers.append(await peer.read_frame())
            heard.set()

        async with raw_server(script) as url, face.connect(url, KEY) as client:
            _, over = await collect(client)
            await heard.wait()
        assert over.code == 1001
        assert [(one.opcode, one.payload) for one in answers] == [
            (PONG, b"first"),
            (PONG, b"second"),
            (CLOSE, close_payload(1001)),
        ]

    run(body)


# -- what a server refuses --------------------------------------------------------------------------


def test_a_wrong_key_is_an_upgrade_error_with_status_and_error(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.refuse(401, HttpError.of("ih2001"))

        async with face.serve(handler, correlation_id=lambda: "cid") as server:
            with pytest.raises(UpgradeError) as caught:
                async with face.connect(server.url, KEY):
                    raise AssertionError("the block was entered")
        event = caught.value.event
        assert isinstance(event, UpgradeRefused)
        assert (event.status, event.correlation_id) == (401, "cid")
        assert event.error is not None
        assert (event.error.error_id, event.error.correlation_id) == ("ih2001", "cid")
        assert "401" in str(caught.value)
        assert "ih2001" in str(caught.value)
        assert KEY not in str(caught.value) + repr(caught.value)

    run(body)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (HttpError(message="closed for today"), "HTTP 503: closed for today"),
        (HttpError(), "HTTP 503; is this the stream endpoint of the service?"),
    ],
)
def test_a_refusal_without_an_id_is_told_with_what_there_is(run: Run, error: HttpError, text: str) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.refuse(503, error)

        async with face.serve(handler) as server:
            with pytest.raises(UpgradeError) as caught:
                async with face.connect(server.url, KEY):
                    pass
        assert str(caught.value).endswith(text)

    run(body)


def test_a_missing_scope_is_a_refused_session_with_ih2003_and_4003(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.accept(refuse="ih2003")

        async with face.serve(handler) as server:
            with pytest.raises(SessionRefused) as caught:
                async with face.connect(server.url, KEY):
                    raise AssertionError("the block was entered")
        assert caught.value.closed.code == 4003
        assert caught.value.error is not None
        assert caught.value.error.code == "ih2003"
        assert "ih2003" in str(caught.value)
        assert "4003" in str(caught.value)
        assert KEY not in str(caught.value) + repr(caught.value)

    run(body)


@pytest.mark.parametrize(("reason", "text"), [("full", "full"), ("", "no reason")])
def test_a_close_without_ready_and_without_an_error_is_a_refused_session(run: Run, reason: str, text: str) -> None:
    async def body(face: Face) -> None:
        async def script(peer: RawPeer) -> None:
            await peer.upgrade(frame(CLOSE, close_payload(1013, reason)))
            await peer.read_to_end()

        async with raw_server(script) as url:
            with pytest.raises(SessionRefused, match=text) as caught:
                async with face.connect(url, KEY):
                    pass
        assert caught.value.closed.code == 1013
        assert caught.value.error is None

    run(body)


def test_a_server_that_hangs_up_is_an_upgrade_error(run: Run) -> None:
    async def body(face: Face) -> None:
        async def script(peer: RawPeer) -> None:
            await peer.read_head()

        async with raw_server(script) as url:
            with pytest.raises(UpgradeError, match="without answering") as caught:
                async with face.connect(url, KEY):
                    pass
        assert isinstance(caught.value.event, UpgradeFailed)

    run(body)


def test_what_cannot_be_used_is_refused_before_anything_is_connected(run: Run) -> None:
    async def body(face: Face) -> None:
        for url, key in (("https://h/", KEY), ("ws://8.8.8.8/", KEY), ("ws://localhost:1", "a b")):
            with pytest.raises(LocalProtocolError):
                async with face.connect(url, key):
                    pass
        with pytest.raises(ValueError, match="cookie"):
            async with face.connect("ws://localhost:1", KEY, form="cookie"):
                pass
        with pytest.raises(LocalProtocolError):
            async with face.connect("ws://localhost:1", "a/b", form="pair"):
                pass

    run(body)


# -- what a server does wrong -----------------------------------------------------------------------


def test_a_strict_client_raises_what_a_lenient_one_reports(run: Run) -> None:
    async def body(face: Face) -> None:
        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY_FRAME + frame(BINARY, b"x") + frame(CLOSE, close_payload(1000)))
            await peer.read_to_end()

        async with raw_server(script) as url:
            with pytest.raises(RemoteProtocolError) as caught:
                async with face.connect(url, KEY, strict=True) as client:
                    await collect(client)
            assert caught.value.violation.clause.id == "ENV-5"
            async with face.connect(url, KEY) as client:
                events = [event async for event in client]
        assert [type(event) for event in events] == [Envelope, Violated, SessionClosed]
        violated = events[1]
        assert isinstance(violated, Violated)
        assert violated.violation.clause.id == "ENV-5"

    run(body)


def test_a_strict_client_raises_out_of_connect_when_ready_is_not_first(run: Run) -> None:
    async def body(face: Face) -> None:
        text = b'{"type": "x", "timestamp": "2025-01-01T00:00:00.000000Z", "correlation_id": "%s", "data": {}}'

        async def script(peer: RawPeer) -> None:
            await peer.upgrade(frame(TEXT, text % CORRELATION_ID.encode()) + READY_FRAME)
            await peer.read_to_end()

        async with raw_server(script) as url:
            with pytest.raises(RemoteProtocolError) as caught:
                async with face.connect(url, KEY, strict=True):
                    raise AssertionError("the block was entered")
            assert caught.value.violation.clause.id == "RDY-1"

    run(body)


def test_a_server_that_drops_the_connection_ends_the_session_with_1006(run: Run) -> None:
    async def body(face: Face) -> None:
        async def script(peer: RawPeer) -> None:
            await peer.upgrade(READY_FRAME)

        async with raw_server(script) as url, face.connect(url, KEY) as client:
            names, over = await collect(client)
            assert names == ["session.ready"]
            assert over.code == 1006
            with pytest.raises(ConnectionBroken):
                await client.send_segment(b"x")
            with pytest.raises(ConnectionBroken):
                await client.send_config()
            with pytest.raises(ConnectionBroken):
                await client.end()

    run(body)


def test_a_segment_that_the_contract_does_not_allow_is_refused_and_the_session_goes_on(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server, face.connect(server.url, KEY) as client:
            for data, clause_id in ((b"", "SEG-10"), (bytes(32 * MB + 1), "SEG-2")):
                with pytest.raises(LocalProtocolError) as caught:
                    await client.send_segment(data)
                assert caught.value.violation.clause.id == clause_id
            await client.send_segment(b"x")
            await client.end()
            _, over = await collect(client)
            assert over.code == 1000
            assert client.session.segments_sent == 1

    run(body)


# -- handlers ---------------------------------------------------------------------------------------


def test_a_handler_that_fails_is_ih1001_and_1011(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            raise ZeroDivisionError("a secret of the server")

        async with face.serve(handler) as server, face.connect(server.url, KEY) as client:
            names, over = await collect(client)
        assert names == ["session.ready", "error"]
        assert over.code == 1011
        assert over.error is not None
        assert over.error.code == "ih1001"
        assert "secret" not in over.error.message + over.reason

    run(body)
    assert "the handler failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert KEY not in caplog.text


def test_a_handler_that_fails_during_the_drain_is_ih1001_and_1011(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            async for event in stream:
                if isinstance(event, WindowReady):
                    raise ZeroDivisionError

        async with face.serve(handler) as server, face.connect(server.url, KEY) as client:
            await client.send_segment(b"x")
            await client.end()
            names, over = await collect(client)
        assert names == ["session.ready", "session.closing", "error"]
        assert over.code == 1011

    run(body)


def test_a_handler_that_fails_before_the_answer_is_http_500(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            raise ZeroDivisionError("a secret of the server")

        async with face.serve(handler) as server:
            with pytest.raises(UpgradeError) as caught:
                async with face.connect(server.url, KEY):
                    pass
        event = caught.value.event
        assert isinstance(event, UpgradeRefused)
        assert event.status == 500
        assert event.error is not None
        assert event.error.error_id == "ih1001"
        assert "secret" not in str(caught.value)

    run(body)
    assert KEY not in caplog.text


def test_a_handler_that_does_not_answer_is_http_500(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            with pytest.raises(RuntimeError, match="accept"):
                await anext(aiter(stream))
            with pytest.raises(RuntimeError, match="accept"):
                _ = stream.session

        async with face.serve(handler) as server:
            with pytest.raises(UpgradeError, match=r"500.*ih1001"):
                async with face.connect(server.url, KEY):
                    pass

    run(body)


def test_a_handler_that_fails_after_its_refusal_has_refused(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.refuse(401, HttpError.of("ih2002"))
            raise ZeroDivisionError

        async with face.serve(handler) as server:
            with pytest.raises(UpgradeError, match=r"401.*ih2002"):
                async with face.connect(server.url, KEY):
                    pass

    run(body)


def test_a_handler_that_fails_after_the_end_only_leaves_a_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            async for _ in stream:
                pass
            raise ZeroDivisionError

        async with face.serve(handler) as server:
            async with face.connect(server.url, KEY) as client:
                await client.end()
                _, over = await collect(client)
            assert over.code == 1000

    run(body)
    assert "the handler failed" in caplog.text


def test_a_handler_says_what_it_wants(run: Run) -> None:
    async def body(face: Face) -> None:
        options = ConfigOptions(include=(), goal_dimensions=("clarity",))
        contract = attrs.evolve(V1.contract, supported_session_config_options=options)

        async def handler(stream: ServerStream) -> None:
            await stream.accept(settings=ServerSettings(contract=contract), scanner=NominalScanner())
            async for event in stream:
                if isinstance(event, WindowReady):
                    await stream.drop_window(event.window)
                    await stream.send_error("ih3001", message="slower", segment=1)
                    await stream.send_feedback("speak up")
                    await stream.close(1012, "restart")
                    return

        async with face.serve(handler) as server, face.connect(server.url, KEY) as client:
            await client.send_config(goal_dimensions=["clarity"])
            for _ in range(3):
                await client.send_segment(b"x")
            names, over = await collect(client)
        assert names == ["session.ready", "session.updated", "coverage.dropped", "error", "feedback.generated"]
        assert (over.code, over.reason) == (1012, "restart")

    run(body)


def test_a_handler_that_returns_closes_the_session_with_1000(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())

        async with face.serve(handler) as server, face.connect(server.url, KEY) as client:
            _, over = await collect(client)
        assert over == SessionClosed(1000)

    run(body)


def test_other_clients_are_served_after_a_handler_has_failed(run: Run) -> None:
    async def body(face: Face) -> None:
        async def handler(stream: ServerStream) -> None:
            if stream.request.path == "/fail":
                raise ZeroDivisionError
            await analyse(stream)

        async with face.serve(handler) as server:
            with pytest.raises(UpgradeError):
                async with face.connect(f"{server.url}/fail", KEY):
                    pass
            async with face.connect(f"{server.url}/work", KEY) as client:
                await client.end()
                assert (await collect(client))[1].code == 1000

    run(body)


@pytest.mark.parametrize(
    ("said", "status"), [(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426), (b"\x16\x03\x01\r\n\r\n", 400)]
)
def test_who_is_no_websocket_client_is_answered_and_let_go(run: Run, said: bytes, status: int) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server, raw_client(server.port) as peer:
            await peer.send(said)
            assert (await peer.read_head()).status == status
            await peer.read_to_end()

    run(body)


def test_a_health_check_of_http_1_0_is_answered(run: Run) -> None:
    async def body(face: Face) -> None:
        async with face.serve(analyse) as server, raw_client(server.port) as peer:
            await peer.send(b"GET / HTTP/1.0\r\n\r\n")
            data = await peer.read_to_end()
            assert data.startswith(b"HTTP/1.1 4")

    run(body)
