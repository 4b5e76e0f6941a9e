"""Peers that take no bytes, in virtual time: whoever sends is told in time, and what waits to be sent has a bound."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import anyio
import pytest
from adapters.faces import READY, collect
from faults.ends import transport
from faults.hostile import accept, hear_quietly
from faults.line import CAPACITY, End, Fault, Kind, Line, Way, run_virtually
from faults.meetings import FACES
from wire.raw import KEY, TEXT, frame, request

from ihproto import LocalProtocolError, NominalScanner, SessionClosed
from ihproto._adapter import Dialer, RawDialer, Server
from ihproto._adapter.client import PIECE_SIZE
from ihproto.anyio import ClientStream, ConnectionBroken, PeerStalled, ServerStream, StreamError, UpgradeError
from ihproto.messages import MediaRange

URL = "ws://localhost"
MIB = 1024 * 1024
#: About a thousand bytes as JSON.
RANGES = [MediaRange(0.0, 1.0)] * 40
Body = Callable[[], Awaitable[None]]

pytestmark = pytest.mark.parametrize("face", FACES)


def nothing_taken() -> Line:
    return Line(Fault(), capacity=0)


@pytest.mark.parametrize("raw", [False, True])
def test_an_upgrade_request_that_is_not_taken_fails_in_the_time_of_an_upgrade_and_says_so(face: str, raw: bool) -> None:
    async def body() -> None:
        dialer = RawDialer(URL, connect_timeout=7) if raw else Dialer(URL, KEY, connect_timeout=7)
        line = nothing_taken()
        with pytest.raises(UpgradeError, match=r"the upgrade request was not taken: .* 7 s$"):
            async with dialer.open(transport(face, line.client)):
                pass
        assert anyio.current_time() - (line.struck_at or 0.0) == pytest.approx(7)
        assert line.client.closed_at is not None

    run_virtually(FACES[face], body)


def test_who_waits_behind_a_send_that_stalls_does_not_stall_for_as_long_again(face: str) -> None:
    async def body() -> None:
        line = Line()
        raised: list[type[StreamError]] = []

        async def send(call: Callable[[], Awaitable[None]]) -> None:
            try:
                await call()
            except StreamError as error:
                raised.append(type(error))

        async with anyio.create_task_group() as group:
            group.start_soon(accept, line.server, READY)
            async with Dialer(URL, KEY).open(transport(face, line.client)) as client:
                began = anyio.current_time()
                async with anyio.create_task_group() as senders:
                    senders.start_soon(send, lambda: client.send_segment(bytes(MIB)))
                    await anyio.wait_all_tasks_blocked()
                    senders.start_soon(send, client.send_config)
                assert anyio.current_time() - began == pytest.approx(60)
        assert raised == [PeerStalled, ConnectionBroken]

    run_virtually(FACES[face], body)


async def _serve(face: str, handler: Callable[[ServerStream], Awaitable[None]], said: bytes = b"") -> int:
    """Serve a client that asks, says the same over and over, and reads nothing; how much it could say, in bytes."""
    line = Line()

    async def talk() -> None:
        with contextlib.suppress(anyio.BrokenResourceError):
            for _ in range(4 * MIB // len(said)):
                await line.client.send(said)

    async with anyio.create_task_group() as group:
        await line.client.send(request(("Authorization", f"Bearer {KEY}")))
        if said:
            group.start_soon(talk)
        began = anyio.current_time()
        await Server(handler).take(transport(face, line.server))
        assert 60 <= anyio.current_time() - began < 65
        group.cancel_scope.cancel()
    return line.passed(Way.UP)


def test_tasks_that_send_to_a_client_that_reads_nothing_wait_for_it(face: str) -> None:
    said: list[int] = []
    ends: list[int] = []

    async def handler(stream: ServerStream) -> None:
        await stream.accept(scanner=NominalScanner())

        async def say(task: int) -> None:
            with contextlib.suppress(LocalProtocolError):
                while not ends:
                    await stream.send_degraded(RANGES)
                    said.append(task)
                    await anyio.sleep(0.1)

        async with anyio.create_task_group() as group:
            group.start_soon(say, 0)
            group.start_soon(say, 1)
            async for event in stream:
                if isinstance(event, SessionClosed):
                    ends.append(event.code)

    async def body() -> None:
        await _serve(face, handler)

    run_virtually(FACES[face], body)
    assert ends == [1006]
    assert {*said} == {0, 1}
    assert len(said) * 1000 < 2 * CAPACITY


def test_a_client_that_only_talks_is_not_answered_without_bound_while_another_task_sends(face: str) -> None:
    async def handler(stream: ServerStream) -> None:
        await stream.accept(scanner=NominalScanner())
        async with anyio.create_task_group() as group:
            group.start_soon(stream.send_degraded, RANGES * 100)
            async for _ in stream:
                pass

    async def body() -> None:
        config = frame(TEXT, b'{"include": []}' + b" " * 1000, mask=bytes(4))
        assert await _serve(face, handler, config) < MIB

    run_virtually(FACES[face], body)


def test_who_reads_is_told_of_a_segment_that_was_cut_off_between_two_pieces(
    face: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[SessionClosed] = []

    async def serve(end: End) -> None:
        await accept(end, READY)
        await hear_quietly(end)

    async def read(client: ClientStream) -> None:
        ends.append((await collect(client))[1])

    async def body() -> None:
        line, scope = Line(capacity=2 * MIB), anyio.CancelScope()
        send = line.client.send

        async def send_and_cancel(item: bytes) -> None:
            await send(item)
            if len(item) >= PIECE_SIZE:
                scope.cancel()

        monkeypatch.setattr(line.client, "send", send_and_cancel)
        async with anyio.create_task_group() as group:
            group.start_soon(serve, line.server)
            async with Dialer(URL, KEY).open(transport(face, line.client)) as client:
                began = anyio.current_time()
                async with anyio.create_task_group() as reading:
                    reading.start_soon(read, client)
                    with scope:
                        await client.send_segment(bytes(3 * PIECE_SIZE))
                assert anyio.current_time() == began
        assert [(end.code, end.reason) for end in ends] == [(1006, "a segment was cut off")]

    run_virtually(FACES[face], body)


def test_a_close_that_cannot_be_sent_any_more_is_not_waited_for_without_end(face: str) -> None:
    async def serve(end: End) -> None:
        await accept(end, READY)
        await end.receive()
        await end.aclose()

    async def meet(fault: Fault) -> tuple[Line, SessionClosed, float]:
        line = Line(fault)
        async with anyio.create_task_group() as group:
            group.start_soon(serve, line.server)
            async with Dialer(URL, KEY, ping_interval=5).open(transport(face, line.client)) as client:
                began = anyio.current_time()
                await client.end()
                over = (await collect(client))[1]
                took = anyio.current_time() - began
        return line, over, took

    async def body() -> None:
        whole, *_ = await meet(Fault())
        # All that the server says arrives, but not that it is gone: a ping finds that out, and then a close is due.
        _, over, took = await meet(Fault(Kind.STALL, Way.DOWN, whole.passed(Way.DOWN)))
        assert over.code == 1006
        assert took == pytest.approx(20)

    run_virtually(FACES[face], body)
