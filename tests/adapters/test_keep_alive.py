"""Who only listens asks a silent peer for signs of life, in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from adapters.faces import READY, RawPeer, Script, collect
from faults.ends import transport
from faults.line import Line, run_virtually
from faults.meetings import FACES
from wire.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    close_payload,
    envelope,
    frame,
    frames,
    masked,
    open_client,
)

from ihproto import V0, NominalScanner, SessionClosed
from ihproto._adapter import Dialer, Server
from ihproto.anyio import ClientStream, ServerStream

REPORT = frame(0x1, envelope("engagement.updated", {"state": "engaged", "start": 0}))
per_face = pytest.mark.parametrize("face", FACES)


async def deaf(peer: RawPeer) -> None:
    """A server that is gone without a word."""
    await peer.upgrade(READY)
    await peer.read_to_end()


async def alive(peer: RawPeer) -> None:
    """A server that has nothing to say for an hour, but answers pings."""
    await peer.upgrade(READY)
    with anyio.move_on_after(3600):
        while True:
            assert (await peer.read_frame()).opcode == PING
            await anyio.sleep(1)
            await peer.send(frame(PONG))
    await leave(peer)


async def talkative(peer: RawPeer) -> None:
    """A server that answers no ping, but talks."""
    await peer.upgrade(READY)
    for _ in range(20):
        await anyio.sleep(80)
        await peer.send(REPORT)
    await leave(peer)


async def leave(peer: RawPeer) -> None:
    await peer.send(frame(CLOSE, close_payload(1001)))
    await peer.read_to_end()


async def met(
    face: str, script: Script, listen: Callable[[ClientStream], Awaitable[SessionClosed]], **options: Any
) -> tuple[SessionClosed, float, RawPeer]:
    """A client listens to a server; how it ended, after how many seconds, and the server."""
    line = Line()
    peer = RawPeer(line.server)

    async def serve() -> None:
        await script(peer)

    async with anyio.create_task_group() as group:
        group.start_soon(serve)
        async with Dialer("ws://localhost", KEY, **options).open(transport(face, line.client)) as client:
            began = anyio.current_time()
            over = await listen(client)
            took = anyio.current_time() - began
    return over, took, peer


async def to_the_end(client: ClientStream) -> SessionClosed:
    return (await collect(client))[1]


@per_face
def test_a_server_that_is_gone_without_a_word_is_noticed_in_a_minute_and_a_half(face: str) -> None:
    async def body() -> None:
        over, took, peer = await met(face, deaf, to_the_end)
        assert (over.code, over.reason) == (1006, "2 pings in a row were not answered")
        assert took == pytest.approx(90)
        assert [one.opcode for one in frames(peer.buffer)] == [PING, PING]

    run_virtually(FACES[face], body)


@per_face
def test_the_interval_can_be_chosen(face: str) -> None:
    async def body() -> None:
        over, took, _ = await met(face, deaf, to_the_end, ping_interval=5)
        assert over.code == 1006
        assert took == pytest.approx(15)

    run_virtually(FACES[face], body)


@per_face
@pytest.mark.parametrize(("script", "seconds"), [(alive, 3600), (talkative, 1600)])
def test_a_server_that_gives_any_sign_of_life_is_kept(face: str, script: Script, seconds: float) -> None:
    async def body() -> None:
        over, took, _ = await met(face, script, to_the_end)
        assert over.code == 1001
        assert took == pytest.approx(seconds)

    run_virtually(FACES[face], body)


@per_face
def test_without_an_interval_a_client_waits_for_as_long_as_it_takes(face: str) -> None:
    async def silent(peer: RawPeer) -> None:
        await peer.upgrade(READY)
        await anyio.sleep(10_000)
        await leave(peer)

    async def body() -> None:
        over, took, peer = await met(face, silent, to_the_end, ping_interval=None)
        assert over.code == 1001
        assert took == pytest.approx(10_000)
        assert PING not in [one.opcode for one in frames(peer.buffer)]

    run_virtually(FACES[face], body)


@per_face
def test_who_looks_in_from_time_to_time_does_not_take_its_own_absence_for_silence(face: str) -> None:
    async def look_in(client: ClientStream) -> SessionClosed:
        while True:
            await anyio.sleep(200)
            with anyio.move_on_after(0.01):
                return await to_the_end(client)

    async def body() -> None:
        over, took, _ = await met(face, alive, look_in)
        assert over.code == 1001
        assert took == pytest.approx(3600, abs=200)

    run_virtually(FACES[face], body)


async def served(face: str, script: Script, **options: Any) -> tuple[SessionClosed, float, RawPeer]:
    """A server without an idle timeout of its own listens to a client; how that ended, and the rest as for `met`."""
    line = Line()
    peer = RawPeer(line.client)
    over: list[SessionClosed] = []

    async def listen(stream: ServerStream) -> None:
        await stream.accept(revision=V0, scanner=NominalScanner())
        over.extend([event async for event in stream if isinstance(event, SessionClosed)])

    async def play() -> None:
        await peer.ask(("Authorization", f"Bearer {KEY}"))
        await script(peer)

    async with anyio.create_task_group() as group:
        group.start_soon(play)
        began = anyio.current_time()
        await Server(listen, **options).take(transport(face, line.server))
        took = anyio.current_time() - began
    return over[0], took, peer


async def gone(peer: RawPeer) -> None:
    """A client that is gone without a word."""
    await peer.read_to_end()


async def patient(peer: RawPeer) -> None:
    """A client that has nothing to say for an hour, but answers pings."""
    with anyio.move_on_after(3600):
        while True:
            assert (await peer.read_frame()).opcode == PING
            await anyio.sleep(1)
            await peer.send(masked(PONG))
    await peer.close_as_client(1001)
    await peer.read_to_end()


async def busy(peer: RawPeer) -> None:
    """A client that answers no ping, but sends."""
    for _ in range(20):
        await anyio.sleep(80)
        await peer.send(masked(BINARY, b"x"))
    await peer.close_as_client(1001)
    await peer.read_to_end()


@per_face
@pytest.mark.parametrize(("options", "seconds"), [({}, 90), ({"ping_interval": 5}, 15)])
def test_a_client_that_is_gone_without_a_word_is_noticed(face: str, options: dict[str, Any], seconds: float) -> None:
    async def body() -> None:
        over, took, peer = await served(face, gone, **options)
        assert (over.code, over.reason) == (1006, "2 pings in a row were not answered")
        assert took == pytest.approx(seconds)
        assert [one.opcode for one in frames(peer.buffer)] == [PING, PING]

    run_virtually(FACES[face], body)


@per_face
@pytest.mark.parametrize(("script", "seconds"), [(patient, 3600), (busy, 1600)])
def test_a_client_that_gives_any_sign_of_life_is_kept(face: str, script: Script, seconds: float) -> None:
    async def body() -> None:
        over, took, _ = await served(face, script)
        assert over.code == 1001
        assert took == pytest.approx(seconds)

    run_virtually(FACES[face], body)


@per_face
def test_without_an_interval_a_server_waits_for_as_long_as_it_takes(face: str) -> None:
    async def silent(peer: RawPeer) -> None:
        await anyio.sleep(10_000)
        await peer.close_as_client(1001)
        await peer.read_to_end()

    async def body() -> None:
        over, took, peer = await served(face, silent, ping_interval=None)
        assert over.code == 1001
        assert took == pytest.approx(10_000)
        assert PING not in [one.opcode for one in frames(peer.buffer)]

    run_virtually(FACES[face], body)


def test_a_ping_may_go_out_between_two_pieces_of_a_segment() -> None:
    client = open_client(ping_interval=30.0)
    assert client.session is not None
    client.session.send_segment(b"ab", final=False)
    sent = client.data_to_send(1.0)
    assert client.next_timeout() == 30.0
    client.handle_timeout(30.0)
    sent += client.data_to_send(30.0)
    client.session.send_segment(b"cd", final=True)
    sent += client.data_to_send(30.0)
    assert [(one.opcode, one.payload) for one in frames(sent)] == [(BINARY, b"ab"), (PING, b""), (CONTINUATION, b"cd")]


def test_behind_a_close_of_its_own_a_client_asks_for_nothing_more() -> None:
    client = open_client(ping_interval=5.0, close_timeout=10.0)
    assert client.session is not None
    client.session.close()
    client.data_to_send(1.0)
    assert client.next_timeout() == 11.0
    client.receive_data(REPORT, 4.0)
    assert client.next_timeout() == 11.0
