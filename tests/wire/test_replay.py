"""One short session, recorded from the wire, and played again however the stream may be cut or end."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import pytest
from wire.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    TEXT,
    Frame,
    accept_value,
    close_payload,
    envelope,
    frame,
    frames,
    head,
    make_client,
    make_server,
    masked,
    refusal,
    serve_bytes,
    types,
)

from ihproto import Envelope, SessionClosed, Violated
from ihproto.wire import HttpError, UpgradeAccepted, UpgradeFailed, UpgradeRefused, UpgradeRequested


class Recording(NamedTuple):
    """The bytes of both directions, and the nonce of the client that took part."""

    to_server: bytes
    to_client: bytes
    nonce: str


@cache
def record() -> Recording:
    """A session of our client with our server; the frames that neither of them sends by itself are put in."""
    client, server = make_client(), make_server()
    to_server, to_client = bytearray(), bytearray()

    def exchange() -> None:
        while True:
            up = client.data_to_send(0.0)
            to_server.extend(up)
            _, down = serve_bytes(server, up)
            to_client.extend(down)
            client.receive_data(down, 0.0)
            if not (up or down):
                return

    exchange()
    assert client.session is not None
    assert server.session is not None
    nonce = head(bytes(to_server)).get("sec-websocket-key")
    assert nonce is not None
    client.session.send_config(["conversation_quality_overall"])
    exchange()
    client.session.send_segment(b"1234", final=False)
    client.session.send_segment(b"5678")
    exchange()
    extra = masked(PING, b"?") + masked(TEXT, b'{"inc', fin=False) + masked(CONTINUATION, b'lude": 1}')
    to_server.extend(extra)
    to_client.extend(serve_bytes(server, extra)[1])
    extra = masked(BINARY, b"123456789") + masked(TEXT, b" " * 65)
    to_server.extend(extra)
    to_client.extend(serve_bytes(server, extra)[1])
    text = envelope("weather.updated", {"words": "é日😀"}).replace(b" ", b"")
    to_client.extend(frame(PING, b"!") + frame(TEXT, text[:-30], fin=False) + frame(PING))
    to_client.extend(frame(CONTINUATION, text[-30:]))
    client.session.close(1000, "done")
    exchange()
    assert client.finished
    assert server.finished
    return Recording(bytes(to_server), bytes(to_client), nonce)


def play_server(pieces: list[bytes]) -> tuple[list[object], list[bytes], bool]:
    server = make_server()
    events: list[object] = []
    out = []
    for piece in pieces:
        more, sent = serve_bytes(server, piece)
        events += more
        out.append(sent)
    return events, out, server.finished


def play_client(pieces: list[bytes]) -> tuple[list[object], list[Frame], bool]:
    """Play to a new client; the response is made to answer its nonce, and its masks are taken off."""
    client = make_client()
    nonce = head(client.data_to_send(0.0)).get("sec-websocket-key")
    assert nonce is not None
    old, new = accept_value(record().nonce).encode(), accept_value(nonce).encode()
    whole = b"".join(pieces).replace(old, new)
    events: list[object] = []
    out = b""
    for piece in pieces:
        client.receive_data(whole[: len(piece)], 0.0)
        whole = whole[len(piece) :]
        events += client.events()
        out += client.data_to_send(0.0)
    return events, frames(out), client.finished


def test_the_server_says_what_the_protocol_wants_to_the_recorded_session() -> None:
    events, out, finished = play_server([record().to_server])
    answer = head(b"".join(out))
    assert answer.status == 101
    assert types(answer.rest) == [
        "session.ready",
        "session.updated",
        "opcode 0xa",
        "error ih6001",
        "error ih6002",
        "error ih6001",
        "close 1000",
    ]
    assert [type(event).__name__ for event in events] == [
        "UpgradeRequested",
        "ConfigApplied",
        "SegmentStarted",
        "SegmentAccepted",
        "Violated",
        "SegmentStarted",
        "SegmentRefused",
        "Violated",
        "SessionClosed",
    ]
    assert finished


def test_the_client_tells_what_the_recorded_server_says() -> None:
    events, out, finished = play_client([record().to_client])
    assert [event.type for event in events if isinstance(event, Envelope)] == [
        "session.ready",
        "session.updated",
        "error",
        "error",
        "error",
        "weather.updated",
    ]
    assert isinstance(events[0], UpgradeAccepted)
    assert isinstance(events[-1], SessionClosed)
    assert events[-1].code == 1000
    assert [(one.opcode, one.payload[:2]) for one in out] == [
        (0xA, b"!"),
        (0xA, b""),
        (CLOSE, close_payload(1000)),
    ]
    assert finished


def test_a_server_does_the_same_wherever_the_stream_is_cut_in_two() -> None:
    data = record().to_server
    events, out, _ = play_server([data])
    for position in range(1, len(data)):
        again = play_server([data[:position], data[position:]])
        assert again[0] == events, position
        assert b"".join(again[1]) == b"".join(out), position
        assert again[2], position


def test_a_server_does_the_same_when_bytes_come_one_at_a_time() -> None:
    data = record().to_server
    events, out, _ = play_server([data])
    again = play_server([data[index : index + 1] for index in range(len(data))])
    assert (again[0], b"".join(again[1]), again[2]) == (events, b"".join(out), True)


def test_a_client_does_the_same_wherever_the_stream_is_cut_in_two() -> None:
    data = record().to_client
    expected = play_client([data])
    for position in range(1, len(data)):
        assert play_client([data[:position], data[position:]]) == expected, position


def test_a_client_does_the_same_when_bytes_come_one_at_a_time() -> None:
    data = record().to_client
    assert play_client([data[index : index + 1] for index in range(len(data))]) == play_client([data])


def test_a_server_ends_properly_wherever_the_stream_ends() -> None:
    data = record().to_server
    for position in range(len(data) + 1):
        server = make_server()
        events, _ = serve_bytes(server, data[:position])
        server.receive_eof(0.0)
        events += server.events()
        server.data_to_send(0.0)
        assert isinstance(events[-1], UpgradeFailed | SessionClosed), position
        assert sum(isinstance(event, UpgradeFailed | SessionClosed) for event in events) == 1, position
        accepted = any(isinstance(event, UpgradeRequested) for event in events)
        assert isinstance(events[-1], SessionClosed) == accepted, position
        assert server.finished, position
        assert server.next_timeout() is None, position


def test_a_client_ends_properly_wherever_the_stream_ends() -> None:
    data = record().to_client
    for position in range(len(data) + 1):
        client = make_client()
        nonce = head(client.data_to_send(0.0)).get("sec-websocket-key")
        assert nonce is not None
        piece = data.replace(accept_value(record().nonce).encode(), accept_value(nonce).encode())[:position]
        client.receive_data(piece, 0.0)
        client.receive_eof(0.0)
        events = client.events()
        client.data_to_send(0.0)
        last = events[-1]
        assert isinstance(last, UpgradeFailed | SessionClosed), position
        if isinstance(last, SessionClosed):
            assert last.code == (1000 if position == len(data) else 1006), position
        assert sum(isinstance(event, UpgradeFailed | SessionClosed) for event in events) == 1, position
        assert client.finished, position
        assert client.next_timeout() is None, position


REFUSAL = refusal(
    401, b'{"error_id": "ih2001", "correlation_id": "c", "link": null, "message": "no"}', ("X-Correlation-ID", "c")
)


@pytest.mark.parametrize("position", range(1, len(REFUSAL)))
def test_a_client_reads_a_refusal_wherever_it_is_cut(position: int) -> None:
    client = make_client()
    client.receive_data(REFUSAL[:position], 0.0)
    assert client.events() == []
    client.receive_data(REFUSAL[position:], 0.0)
    assert client.events() == [UpgradeRefused(401, "c", HttpError("ih2001", "c", None, "no"))]


def test_an_empty_piece_changes_nothing_before_the_upgrade() -> None:
    client, server = make_client(), make_server()
    client.receive_data(b"", 0.0)
    server.receive_data(b"", 0.0)
    server.receive_data(client.data_to_send(0.0), 0.0)
    (event,) = server.events()
    assert isinstance(event, UpgradeRequested)
    assert client.events() == []


def test_a_client_ends_properly_wherever_a_refusal_ends() -> None:
    data = REFUSAL
    start = data.index(b"\r\n\r\n") + 4
    for position in range(len(data) + 1):
        client = make_client()
        client.receive_data(data[:position], 0.0)
        client.receive_eof(0.0)
        (event,) = client.events()
        assert isinstance(event, UpgradeRefused if position >= start else UpgradeFailed), position
        client.data_to_send(0.0)
        assert client.finished
        assert client.next_timeout() is None


@pytest.mark.parametrize("size", [2, 3, 7])
def test_both_do_the_same_in_pieces_of_a_few_bytes(size: int) -> None:
    up, down = record().to_server, record().to_client
    events, out, finished = play_server([up[index : index + size] for index in range(0, len(up), size)])
    whole = play_server([up])
    assert (events, b"".join(out), finished) == (whole[0], b"".join(whole[1]), True)
    assert play_client([down[index : index + size] for index in range(0, len(down), size)]) == play_client([down])


def test_nothing_of_the_session_but_the_request_holds_the_secret() -> None:
    recording = record()
    assert KEY.encode() in recording.to_server
    assert KEY.encode() not in recording.to_client
    for events in (play_server([recording.to_server])[0], play_client([recording.to_client])[0]):
        for event in events:
            assert KEY not in repr(event)
            assert not (isinstance(event, Violated) and event.raw is not None and KEY in event.raw)
