"""What waits to be sent while the peer takes nothing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from wire.raw import (
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    Frame,
    frame,
    frames,
    make_client,
    open_client,
    open_server,
    response,
)
from wire.raw import request as upgrade_request

from ihproto.wire import ClientConnection, ServerConnection
from ihproto.wire.outbox import MAX_PONGS, Outbox


def raw_client() -> ClientConnection:
    client = make_client(raw=True)
    client.receive_data(response(client), 0.0)
    client.data_to_send(0.0)
    return client


def raw_server() -> ServerConnection:
    server = ServerConnection(0.0, correlation_id="x")
    server.receive_data(upgrade_request(), 0.0)
    server.accept_raw(0.0)
    server.data_to_send(0.0)
    return server


ENDS: dict[str, Callable[[], ClientConnection | ServerConnection]] = {
    "client": open_client,
    "server": open_server,
    "raw client": raw_client,
    "raw server": raw_server,
}


@pytest.mark.parametrize("end", ENDS)
def test_of_a_flood_of_pings_only_the_last_is_answered_beyond_a_bound(end: str) -> None:
    connection = ENDS[end]()
    mask = MASK if "server" in end else None
    count = 3 * MAX_PONGS
    for number in range(count):
        connection.receive_data(frame(PING, b"%d" % number, mask=mask), 0.0)
    pongs = [one.payload for one in frames(connection.data_to_send(0.0))]
    assert pongs == [b"%d" % number for number in (*range(MAX_PONGS - 1), count - 1)]
    connection.receive_data(frame(PING, b"again", mask=mask), 0.0)
    assert frames(connection.data_to_send(0.0)) == [Frame(PONG, b"again", masked="client" in end)]


def test_what_is_no_pong_keeps_its_place() -> None:
    outbox = Outbox()
    assert not outbox
    outbox.append(b"a")
    for number in range(MAX_PONGS):
        outbox.answer_ping(b"%d." % number)
    outbox.append(b"b")
    outbox.answer_ping(b"last.")
    assert outbox
    waiting = b"".join(b"%d." % number for number in range(MAX_PONGS - 1))
    assert outbox.drain() == b"a" + waiting + b"last." + b"b"
    assert not outbox
    assert outbox.drain() == b""


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_text_in_tiny_frames_takes_no_more_memory_than_its_characters(side: str) -> None:
    connection = ENDS[side]()
    mask = MASK if side == "server" else None
    count = 20_000
    more = frame(CONTINUATION, "€".encode(), fin=False, mask=mask) * 100
    connection.receive_data(frame(TEXT, "€".encode(), fin=False, mask=mask), 0.0)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(count // 100):
            connection.receive_data(more, 0.0)
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held < 8 * count + 64 * 1024
