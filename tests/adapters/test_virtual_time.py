"""Timers of a whole connection, on a clock that jumps: seconds here cost nothing."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from adapters.faces import READY, analyse, collect
from wire.raw import CLOSE, KEY, TEXT, close_payload, frame, frames, head, masked, request, response

from ihproto import ClientState, NominalScanner, SegmentAccepted, SegmentData, ServerSettings, SessionClosed, Violated
from ihproto._adapter import Dialer, Server
from ihproto.trio import ClientStream, ConnectionBroken, PeerStalled, ServerStream, SessionRefused, UpgradeError
from ihproto.trio import _Transport as Transport

Body = Callable[[], Awaitable[None]]
URL = "ws://localhost"


def run(body: Body) -> None:
    """Run on virtual time; a test that hangs ends after a day of it."""

    async def main() -> None:
        with trio.fail_after(24 * 3600):
            await body()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def read_frames(stream: trio.abc.Stream) -> bytes:
    """All that has come, once nothing more does."""
    data = b""
    with trio.move_on_after(0.001):
        while piece := await stream.receive_some():
            data += piece
    return data


async def upgrade(stream: trio.abc.Stream, first: bytes = READY) -> None:
    """Be a server that accepts the upgrade."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive_some()
    key = head(data).get("sec-websocket-key")
    assert key is not None
    await stream.send_all(response(key) + first)


# -- both ends are ours -----------------------------------------------------------------------------


def test_a_client_that_says_nothing_hears_ih6003_after_five_minutes() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(analyse).take, Transport(far))
            async with Dialer(URL, KEY).open(Transport(near)) as client:
                names, over = await collect(client)
        assert trio.current_time() == pytest.approx(300)
        assert names == ["session.ready", "error"]
        assert over.error is not None
        assert (over.code, over.error.code) == (1001, "ih6003")

    run(body)


def test_a_client_that_keeps_talking_hears_ih6004_after_an_hour() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()

        async def talk(client: ClientStream) -> None:
            while client.session.state is ClientState.OPEN:
                await client.send_config()
                await trio.sleep(250)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(analyse).take, Transport(far))
            async with Dialer(URL, KEY).open(Transport(near)) as client:
                nursery.start_soon(talk, client)
                names, over = await collect(client)
                ended = trio.current_time()
        assert ended == pytest.approx(3600)
        assert names[-1] == "error"
        assert over.error is not None
        assert (over.code, over.error.code) == (1001, "ih6004")

    run(body)


def test_a_drain_that_the_handler_does_not_serve_ends_after_its_longest_time() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()

        async def handler(stream: ServerStream) -> None:
            await stream.accept(settings=ServerSettings(max_drain_seconds=20), scanner=NominalScanner())
            async for _ in stream:
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(handler).take, Transport(far))
            async with Dialer(URL, KEY, strict=True).open(Transport(near)) as client:
                await client.send_segment(b"x")
                await client.end()
                names, over = await collect(client)
        assert trio.current_time() == pytest.approx(20)
        assert names == ["session.ready", "session.closing", "coverage.dropped", "session.ended"]
        assert over.code == 1000

    run(body)


# -- a server that does nothing ---------------------------------------------------------------------


def test_an_upgrade_that_is_not_answered_fails_after_half_a_minute() -> None:
    async def body() -> None:
        near, _far = trio.testing.memory_stream_pair()
        with pytest.raises(UpgradeError, match="in time"):
            async with Dialer(URL, KEY).open(Transport(near)):
                pass
        assert trio.current_time() == pytest.approx(30)

    run(body)


def test_a_session_that_does_not_become_ready_is_closed_and_the_close_is_not_waited_for_for_ever() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade, far, b"")
            with pytest.raises(SessionRefused) as caught:
                async with Dialer(URL, KEY).open(Transport(near)):
                    pass
        assert trio.current_time() == pytest.approx(40)
        assert caught.value.closed.code == 1006

    run(body)


def test_the_refusal_of_a_session_that_does_not_become_ready_says_so() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()

        async def serve() -> None:
            await upgrade(far, b"")
            await trio.sleep(35)
            await far.send_all(frame(CLOSE, close_payload(1000)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with pytest.raises(SessionRefused, match=r"session\.ready|timed out"):
                async with Dialer(URL, KEY).open(Transport(near)):
                    pass

    run(body)


def test_a_close_that_is_not_answered_is_given_up_after_ten_seconds() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade, far)
            async with Dialer(URL, KEY).open(Transport(near)) as client:
                await trio.sleep(5)
        assert trio.current_time() == pytest.approx(15)
        assert (await collect(client))[1].code == 1006

    run(body)


def test_a_graceful_close_that_is_not_answered_becomes_a_plain_one() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade, far)
            async with Dialer(URL, KEY).open(Transport(near)) as client:
                await client.end()
                events = [event async for event in client]
        assert trio.current_time() == pytest.approx(20)
        assert [event.violation.clause.id for event in events if isinstance(event, Violated)] == ["CLS-1"]
        assert isinstance(events[-1], SessionClosed)

    run(body)


def test_a_server_that_takes_no_bytes_is_stalled_after_a_minute() -> None:
    async def body() -> None:
        near, far = trio.testing.lockstep_stream_pair()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade, far)
            async with Dialer(URL, KEY).open(Transport(near)) as client:
                with pytest.raises(PeerStalled, match="60 s"):
                    await client.send_segment(b"x")
                assert trio.current_time() == pytest.approx(60)
                assert (await collect(client))[1].code == 1006

    run(body)


def test_a_close_that_is_not_answered_is_given_up_while_another_task_iterates() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        ends: list[SessionClosed] = []

        async def read() -> None:
            ends.append((await collect(client))[1])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(upgrade, far)
            async with Dialer(URL, KEY).open(Transport(near)) as client:
                nursery.start_soon(read)
                await trio.testing.wait_all_tasks_blocked()
                with trio.move_on_after(1000):
                    await client.close()
                ended = trio.current_time()
                nursery.cancel_scope.cancel()
        assert ended == pytest.approx(10)
        assert [one.code for one in ends] == [1006]

    run(body)


# -- a client that does nothing ---------------------------------------------------------------------


def test_a_request_that_does_not_come_is_answered_with_408_after_half_a_minute() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        await Server(analyse).take(Transport(far))
        assert trio.current_time() == pytest.approx(30)
        assert head(await read_frames(near)).status == 408

    run(body)


def test_a_handler_may_take_longer_than_the_request() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()

        async def handler(stream: ServerStream) -> None:
            await trio.sleep(100)
            await stream.accept(scanner=NominalScanner())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(handler).take, Transport(far))
            await near.send_all(request())
            await trio.sleep(101)
            assert head(await read_frames(near)).status == 101
            await near.aclose()

    run(body)


def test_a_close_of_the_server_that_is_not_answered_is_given_up_while_its_handler_iterates() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        streams: list[ServerStream] = []

        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            streams.append(stream)
            async for _ in stream:
                pass

        with trio.move_on_after(1000):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Server(handler).take, Transport(far))
                await near.send_all(request())
                await trio.testing.wait_all_tasks_blocked()
                await streams[0].start_close(1001)
        assert trio.current_time() == pytest.approx(10)

    run(body)


def test_a_client_that_takes_no_bytes_is_let_go_after_a_minute() -> None:
    async def body() -> None:
        near, far = trio.testing.lockstep_stream_pair()
        ends: list[object] = []

        async def handler(stream: ServerStream) -> None:
            await stream.accept(scanner=NominalScanner())
            ends.extend([event async for event in stream])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(handler).take, Transport(far))
            await near.send_all(request())
        assert trio.current_time() == pytest.approx(60)
        assert [event.code for event in ends if isinstance(event, SessionClosed)] == [1006]

    run(body)


def test_a_tls_client_that_does_not_shake_hands_is_let_go_in_time(server_tls: ssl.SSLContext) -> None:
    async def body() -> None:
        _near, far = trio.testing.memory_stream_pair()
        encrypted = trio.SSLStream(far, server_tls, server_side=True, https_compatible=True)
        await Server(analyse, upgrade_timeout=30, send_timeout=60).take(Transport(encrypted))
        assert trio.current_time() == pytest.approx(30)

    run(body)


# -- sends that were cut off --------------------------------------------------------------------------


class Cutting(trio.abc.Stream):
    """A stream that cancels a scope right after it has sent more than some bytes."""

    def __init__(self, stream: trio.abc.Stream, scope: trio.CancelScope, at_least: int) -> None:
        self._stream = stream
        self._scope = scope
        self._at_least = at_least

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)
        if len(data) > self._at_least:
            self._scope.cancel()

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


def test_a_segment_that_was_cut_off_between_two_pieces_does_not_run_into_the_next() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        scope = trio.CancelScope()
        pieces: dict[int, set[int]] = {}
        accepted: list[int] = []

        async def handler(stream: ServerStream) -> None:
            await stream.accept(settings=ServerSettings(segment_data=True), scanner=NominalScanner())
            async for event in stream:
                if isinstance(event, SegmentData):
                    pieces.setdefault(event.number, set()).update(event.data)
                elif isinstance(event, SegmentAccepted):
                    accepted.append(event.number)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(handler).take, Transport(far))
            async with Dialer(URL, KEY).open(Transport(Cutting(near, scope, 100_000))) as client:
                with scope:
                    await client.send_segment(b"a" * 3_000_000)
                assert scope.cancelled_caught
                with pytest.raises(ConnectionBroken):
                    await client.send_segment(b"b")
        assert all(len(values) == 1 for values in pieces.values())
        assert accepted == []

    run(body)


def test_a_config_that_was_cut_off_after_it_was_sent_leaves_the_session_whole() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(analyse).take, Transport(far))
            async with Dialer(URL, KEY).open(Transport(near)) as client:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await client.send_config()
                await client.end()
                names, over = await collect(client)
        assert names == ["session.ready", "session.updated", "session.closing", "session.ended"]
        assert over.code == 1000

    run(body)


def test_a_task_that_reads_does_not_wait_for_one_that_sends() -> None:
    async def body() -> None:
        near, far = trio.testing.lockstep_stream_pair()

        async def serve() -> None:
            await upgrade(far)
            await trio.sleep(1)
            await far.send_all(frame(0x9, b"x") + frame(CLOSE, close_payload(1001)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with Dialer(URL, KEY).open(Transport(near)) as client:

                async def send() -> None:
                    with pytest.raises(ConnectionBroken):
                        await client.send_segment(b"x")

                nursery.start_soon(send)
                assert (await collect(client))[1].code == 1001
                assert trio.current_time() == pytest.approx(1)

    run(body)


def test_a_message_of_the_client_that_comes_in_one_piece_with_its_close_is_answered_first() -> None:
    async def body() -> None:
        near, far = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Server(analyse).take, Transport(far))
            await near.send_all(request() + masked(TEXT, b'{"include": []}') + masked(CLOSE, close_payload(1000)))
        answer = head(await read_frames(near))
        assert [one.opcode for one in frames(answer.rest)] == [TEXT, TEXT, CLOSE]

    run(body)
