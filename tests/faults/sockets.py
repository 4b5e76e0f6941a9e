"""Faults that only a socket has: a reset, and descriptors that are left behind."""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.abc
from adapters.faces import READY, Face, RawPeer, descriptors, raw_server, run_body, settle
from anyio.abc import SocketAttribute
from faults.cases import Tally
from faults.ends import UNTYPED, Ended, Told, mock_server, typed
from faults.meetings import SESSION, session_of
from wire.raw import BINARY, KEY, TEXT, frame, masked, ready, request


async def reset(stream: anyio.abc.SocketStream) -> None:
    """Close with a reset: whoever reads or writes at the other end is told so."""
    raw: socket.socket = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await anyio.aclose_forcefully(stream)


def _client_stages() -> dict[str, Callable[[RawPeer], Awaitable[None]]]:
    async def at_once(peer: RawPeer) -> None:
        pass

    async def behind_the_request(peer: RawPeer) -> None:
        await peer.read_head()

    async def behind_the_upgrade(peer: RawPeer) -> None:
        await peer.upgrade()

    async def in_a_frame(peer: RawPeer) -> None:
        await peer.upgrade(frame(TEXT, ready())[:-5])

    async def behind_ready(peer: RawPeer) -> None:
        await peer.upgrade(READY)

    async def in_the_session(peer: RawPeer) -> None:
        await peer.upgrade(READY)
        await peer.more()

    stages = (at_once, behind_the_request, behind_the_upgrade, in_a_frame, behind_ready, in_the_session)
    return {stage.__name__: stage for stage in stages}


def _server_stages() -> dict[str, Callable[[RawPeer], Awaitable[None]]]:
    async def at_once(peer: RawPeer) -> None:
        pass

    async def in_the_request(peer: RawPeer) -> None:
        await peer.send(request()[:40])

    async def behind_the_upgrade(peer: RawPeer) -> None:
        await peer.ask(("Authorization", f"Bearer {KEY}"))

    async def in_a_segment(peer: RawPeer) -> None:
        await peer.ask(("Authorization", f"Bearer {KEY}"))
        await peer.send(masked(BINARY, bytes(100))[:50])

    async def in_an_answer(peer: RawPeer) -> None:
        await peer.ask(("Authorization", f"Bearer {KEY}"))
        await peer.send(masked(TEXT, b'{"include": []}') * 200)

    stages = (at_once, in_the_request, behind_the_upgrade, in_a_segment, in_an_answer)
    return {stage.__name__: stage for stage in stages}


def reset_clients(face: Face) -> Tally:
    """A server resets the connections of our client, at every stage."""
    tally = Tally("RST", "client", face.name, None)

    async def body(face: Face) -> None:
        for name, stage in _client_stages().items():

            async def script(peer: RawPeer, stage: Callable[[RawPeer], Awaitable[None]] = stage) -> None:
                await stage(peer)
                assert isinstance(peer.stream, anyio.abc.SocketStream)
                await reset(peer.stream)

            async with raw_server(script) as url:
                how = await _meet(face, url)
            tally.add(Ended(how, None, "" if typed(how) else UNTYPED), name)

    run_body(face, body)
    return tally


async def _meet(face: Face, url: str) -> str:
    return await session_of(face.connect(url, KEY))


def _serve(face: Face, role: str, told: Told, **options: Any) -> Any:
    if role == "mock server":
        return mock_server(told, **options)
    return face.serve(told.handle, on_failed=told.fail, **options)


def reset_servers(face: Face, role: str) -> Tally:
    """A client resets its connection to our server, at every stage; a good one gets in behind it."""
    tally = Tally("RST", role, face.name, None)

    async def body(face: Face) -> None:
        told = Told()
        async with _serve(face, role, told) as server:
            for name, stage in _server_stages().items():
                before = descriptors()
                stream = await anyio.connect_tcp("127.0.0.1", server.port)
                await stage(RawPeer(stream))
                await reset(stream)
                how = await told.take()
                left = await settle(before)
                tally.add(Ended(how, None, f"{left} sockets left" if left > 0 else ""), name)
                ours, theirs = await _meet(face, f"ws://127.0.0.1:{server.port}"), await told.take()
                if (ours, theirs) != ("closed 1000", "closed 1000"):
                    tally.wrong.append(f"{name}: the good one behind it: {ours}, {theirs}")

    run_body(face, body)
    return tally


def crowd_of_sockets(face: Face, role: str, count: int = 500) -> Tally:
    """So many connections never upgrade; a good one gets in, and afterwards every descriptor is free again."""
    timeout = 0.002 * count
    tally = Tally(f"{count} never upgrade, on sockets", role, face.name, None)

    async def body(face: Face) -> None:
        async with _serve(face, role, Told(), upgrade_timeout=timeout) as server:
            before = descriptors()
            peers = [RawPeer(await anyio.connect_tcp("127.0.0.1", server.port)) for _ in range(count)]
            how = await _meet(face, f"ws://127.0.0.1:{server.port}")
            tally.wrong += [] if how == "closed 1000" else [f"the good one: {how}"]
            for peer in peers:
                answer = await peer.read_to_end()
                tally.add(Ended("408" if answer.startswith(b"HTTP/1.1 408 ") else repr(answer[:40]), None))
                await peer.stream.aclose()
            left = await settle(before)
            tally.wrong += [f"{left} sockets left"] if left > 0 else []

    run_body(face, body)
    return tally


def roles_of(face: Face) -> tuple[str, ...]:
    """The servers that there are on a face: the mock server is an anyio program."""
    return SESSION.roles[:1] if face.name == "trio" else SESSION.roles
