from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator

import pytest
from wire.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    SMALL,
    TEXT,
    Frame,
    close_payload,
    closed,
    envelope,
    frame,
    frames,
    make_client,
    masked,
    open_client,
    open_server,
    ready,
    response,
    types,
)

from ihproto import (
    ConfigApplied,
    Envelope,
    RemoteProtocolError,
    SegmentAccepted,
    SegmentData,
    SegmentRefused,
    SegmentStarted,
    ServerSettings,
    SessionClosed,
    Violated,
)
from ihproto.client import ClientSession
from ihproto.wire import ClientConnection, ServerConnection
from ihproto.wire.frames import Frames

#: Characters of one, two, three and four bytes.
WORDS = "aé日😀"
CONFIG = json.dumps({"include": [WORDS, "conversation_quality_overall"]}, ensure_ascii=False).encode()
UNKNOWN = envelope("weather.updated", {"words": "x"}).replace(b'"x"', f'"{WORDS}"'.encode())


def peers() -> Iterator[tuple[str, ClientConnection | ServerConnection]]:
    yield "client", open_client()
    yield "server", open_server()


def from_peer(side: str, opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A frame as the peer of `side` sends it."""
    return frame(opcode, payload, fin=fin, mask=MASK if side == "server" else None)


def last_close(connection: ClientConnection | ServerConnection) -> int:
    """The code of the last frame that was sent, a close; a client masks it, a server does not."""
    last = frames(connection.data_to_send(0.0))[-1]
    assert last.opcode == CLOSE
    assert last.masked == isinstance(connection, ClientConnection)
    assert len(last.payload) <= 125
    last.payload[2:].decode()
    return int.from_bytes(last.payload[:2], "big")


# -- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("position", range(len(CONFIG) + 1))
def test_a_server_puts_a_text_together_wherever_it_was_fragmented(position: int) -> None:
    server = open_server()
    server.receive_data(masked(TEXT, CONFIG[:position], fin=False), 0.0)
    assert server.events() == []
    server.receive_data(masked(CONTINUATION, CONFIG[position:]), 0.0)
    (event,) = server.events()
    assert isinstance(event, ConfigApplied)
    assert types(server.data_to_send(0.0)) == ["session.updated"]


@pytest.mark.parametrize("position", range(0, len(UNKNOWN) + 1, 3))
def test_a_client_puts_a_text_together_wherever_it_was_fragmented(position: int) -> None:
    client = open_client()
    client.receive_data(frame(TEXT, UNKNOWN[:position], fin=False), 0.0)
    assert client.events() == []
    client.receive_data(frame(CONTINUATION, UNKNOWN[position:]), 0.0)
    (event,) = client.events()
    assert isinstance(event, Envelope)
    assert event.raw == UNKNOWN.decode()


def test_a_text_in_frames_of_one_byte_is_put_together_with_pings_answered_in_between() -> None:
    for side, connection in peers():
        text = CONFIG if side == "server" else UNKNOWN
        for index, byte in enumerate(text):
            opcode = CONTINUATION if index else TEXT
            connection.receive_data(from_peer(side, opcode, bytes([byte]), fin=False), 0.0)
            connection.receive_data(from_peer(side, PING, bytes([index % 256])), 0.0)
        connection.receive_data(from_peer(side, CONTINUATION), 0.0)
        sent = frames(connection.data_to_send(0.0))
        pongs = [one for one in sent if one.opcode == PONG]
        assert [one.payload for one in pongs] == [bytes([index % 256]) for index in range(len(text))]
        assert {one.masked for one in pongs} == {side == "client"}
        assert len(connection.events()) == 1


def test_a_ping_between_two_fragments_is_answered_at_once() -> None:
    for side, connection in peers():
        first, second = (CONFIG[:9], CONFIG[9:]) if side == "server" else (UNKNOWN[:9], UNKNOWN[9:])
        data = from_peer(side, TEXT, first, fin=False) + from_peer(side, PING, b"123")
        connection.receive_data(data, 0.0)
        assert frames(connection.data_to_send(0.0)) == [Frame(PONG, b"123", masked=side == "client")]
        connection.receive_data(from_peer(side, CONTINUATION, second), 0.0)
        assert len(connection.events()) == 1


def test_an_empty_ping_is_answered_and_a_pong_is_not() -> None:
    for side, connection in peers():
        connection.receive_data(from_peer(side, PING) + from_peer(side, PONG, b"unasked"), 0.0)
        assert frames(connection.data_to_send(0.0)) == [Frame(PONG, b"", masked=side == "client")]
        assert connection.events() == []


@pytest.mark.parametrize("position", range(9))
def test_a_segment_is_one_wherever_it_was_fragmented(position: int) -> None:
    server = open_server(ServerSettings(contract=SMALL, segment_data=True))
    video = b"\x00\x01\x02\xff\xfe\x80ab"
    server.receive_data(masked(BINARY, video[:position], fin=False), 0.0)
    server.receive_data(masked(PING, b"x"), 0.0)
    server.receive_data(masked(CONTINUATION, b"", fin=False) + masked(CONTINUATION, video[position:]), 0.0)
    started, *pieces, accepted = server.events()
    assert started == SegmentStarted(1)
    assert b"".join(piece.data for piece in pieces if isinstance(piece, SegmentData)) == video
    assert accepted == SegmentAccepted(1, 8, 0.0, 3.0)
    assert types(server.data_to_send(0.0)) == ["opcode 0xa"]


def test_a_segment_goes_through_in_pieces_as_it_arrives() -> None:
    server = open_server(ServerSettings(contract=SMALL, segment_data=True))
    data = masked(BINARY, b"abcdef")
    server.receive_data(data[:8], 0.0)
    assert server.events() == [SegmentStarted(1), SegmentData(1, b"ab")]
    server.receive_data(data[8:], 0.0)
    assert server.events() == [SegmentData(1, b"cdef"), SegmentAccepted(1, 6, 0.0, 3.0)]


def test_an_empty_text_is_a_broken_config_and_an_empty_segment_a_malformed_one() -> None:
    server = open_server()
    server.receive_data(masked(TEXT) + masked(BINARY), 0.0)
    assert types(server.data_to_send(0.0)) == ["error ih6001", "error ih5004"]
    assert not server.finished


def test_a_client_blames_a_binary_message_once_however_it_was_fragmented() -> None:
    data = frame(BINARY, b"abc", fin=False) + frame(CONTINUATION, b"d", fin=False) + frame(CONTINUATION)
    client = open_client()
    client.receive_data(data, 0.0)
    (event,) = client.events()
    assert isinstance(event, Violated)
    assert event.violation.clause.id == "ENV-5"
    assert not client.finished


def test_a_strict_client_raises_and_has_the_frames_behind_still_to_come() -> None:
    client = make_client(make_session=lambda now, _: ClientSession(now, strict=True))
    client.receive_data(response(client) + frame(TEXT, ready()), 0.0)
    client.events()
    with pytest.raises(RemoteProtocolError) as caught:
        client.receive_data(frame(BINARY, b"abc") + frame(TEXT, UNKNOWN), 0.0)
    assert caught.value.violation.clause.id == "ENV-5"
    client.receive_data(b"", 0.0)
    assert isinstance(client.events()[-1], Envelope)


# -- what is too long -----------------------------------------------------------------------------


def test_a_client_takes_a_text_of_the_longest_length_and_closes_with_1009_at_the_next() -> None:
    client = open_client(max_text_bytes=len(ready()))
    text = envelope("x", {})
    text += b" " * (len(ready()) - len(text))
    client.receive_data(frame(TEXT, text), 0.0)
    assert len(client.events()) == 1
    client.receive_data(frame(TEXT, text + b" ") + frame(TEXT, text), 0.0)
    over = closed(client.events())
    assert over.code == 1006
    assert "1009" in over.reason
    assert last_close(client) == 1009
    assert client.finished
    assert client.next_timeout() is None


def test_a_client_closes_with_1009_before_a_long_text_is_whole() -> None:
    client = open_client(max_text_bytes=1000)
    client.receive_data(frame(TEXT, b"a" * 600, fin=False), 0.0)
    assert not client.finished
    client.receive_data(frame(CONTINUATION, b"a" * 600, announced=1 << 40), 0.0)
    assert client.finished
    assert last_close(client) == 1009


def test_a_server_refuses_a_long_text_as_ih6001_and_the_session_goes_on() -> None:
    server = open_server(ServerSettings(max_text_bytes=len(CONFIG)))
    server.receive_data(masked(TEXT, CONFIG + b" ", fin=False), 0.0)
    server.receive_data(masked(CONTINUATION, b" " * 100, fin=False), 0.0)
    assert server.events() == []
    server.receive_data(masked(CONTINUATION, b" "), 0.0)
    (event,) = server.events()
    assert isinstance(event, Violated)
    assert event.violation.clause.id == "CFG-5"
    assert types(server.data_to_send(0.0)) == ["error ih6001"]
    server.receive_data(masked(TEXT, CONFIG), 0.0)
    assert [type(event) for event in server.events()] == [ConfigApplied]
    assert types(server.data_to_send(0.0)) == ["session.updated"]


def test_a_server_counts_the_bytes_of_a_text_and_not_its_characters() -> None:
    server = open_server(ServerSettings(max_text_bytes=len(CONFIG) - 1))
    assert len(CONFIG.decode()) < len(CONFIG) - 1
    server.receive_data(masked(TEXT, CONFIG), 0.0)
    assert types(server.data_to_send(0.0)) == ["error ih6001"]


def test_an_oversize_segment_is_refused_at_the_limit_and_the_session_goes_on() -> None:
    server = open_server(ServerSettings(contract=SMALL, segment_data=True))
    server.receive_data(frame(BINARY, b"12345678", mask=MASK, announced=1 << 30), 0.0)
    assert server.data_to_send(0.0) == b""
    server.events()
    server.receive_data(bytes([0x39 ^ MASK[0]]), 0.0)
    (refused,) = server.events()
    assert isinstance(refused, SegmentRefused)
    assert (refused.number, refused.error.code, refused.error.segment) == (1, "ih6002", 1)
    (told,) = frames(server.data_to_send(0.0))
    data = json.loads(told.payload)["data"]
    assert (data["code"], data["segment"]) == ("ih6002", 1)
    for _ in range(100):
        server.receive_data(b"x" * 1000, 0.0)
    assert server.events() == []
    assert server.data_to_send(0.0) == b""
    assert not server.finished


def test_after_the_end_of_an_oversize_segment_the_next_one_is_taken() -> None:
    server = open_server(ServerSettings(contract=SMALL))
    server.receive_data(masked(BINARY, b"123456789", fin=False) + masked(CONTINUATION, b"more"), 0.0)
    server.receive_data(masked(BINARY, b"12345678"), 0.0)
    assert types(server.data_to_send(0.0)) == ["error ih6002"]
    assert SegmentAccepted(2, 8, 0.0, 3.0) in server.events()


def test_a_segment_of_1_gb_is_refused_at_32_mb_and_never_held() -> None:
    server = open_server()
    piece = bytes(64 * 1024)
    limit = 32 * 1024 * 1024
    server.receive_data(frame(BINARY, mask=b"\0\0\0\0", announced=1 << 30), 0.0)
    tracemalloc.start()
    try:
        for _ in range(limit // len(piece)):
            server.receive_data(piece, 0.0)
        assert server.data_to_send(0.0) == b""
        assert server.events() == [SegmentStarted(1)]
        server.receive_data(piece[:1], 0.0)
        assert types(server.data_to_send(0.0)) == ["error ih6002"]
        for _ in range(64):
            server.receive_data(piece, 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
    assert not server.finished


def test_pieces_of_a_text_that_hold_nothing_are_not_held_by_a_server() -> None:
    server = open_server()
    server.receive_data(masked(TEXT, b"{", fin=False) + masked(CONTINUATION, fin=False) * 5000, 0.0)
    assert isinstance(server._frames, Frames)
    assert server._frames._text._pieces == ["{"]


def test_a_text_without_end_is_not_held_by_a_server() -> None:
    server = open_server()
    server.receive_data(frame(TEXT, mask=b"\0\0\0\0", announced=1 << 30), 0.0)
    piece = b" " * 65536
    tracemalloc.start()
    try:
        for _ in range(200):
            server.receive_data(piece, 0.0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 1024 * 1024
    assert not server.finished


# -- broken framing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "broken"),
    [
        (1007, [(TEXT, b"\xff", True)]),
        (1007, [(TEXT, b"\xc3", True)]),
        (1007, [(TEXT, b"\xed\xa0\x80", True)]),
        (1007, [(TEXT, b"\xf0\x9f", False), (CONTINUATION, b"\x98", True)]),
        (1007, [(TEXT, b"\xc3", False), (CONTINUATION, b"x", True)]),
        (1007, [(CLOSE, b"\x03\xe8\xff", True)]),
        (1002, [(CONTINUATION, b"", True)]),
        (1002, [(TEXT, b"a", False), (TEXT, b"b", True)]),
        (1002, [(BINARY, b"a", False), (TEXT, b"b", True)]),
        (1002, [(PING, b"", False)]),
        (1002, [(CLOSE, b"\x03\xe8", False)]),
        (1002, [(PING, b"x" * 126, True)]),
        (1002, [(CLOSE, b"x", True)]),
        (1002, [(CLOSE, close_payload(999), True)]),
        (1002, [(CLOSE, close_payload(1004), True)]),
        (1002, [(CLOSE, close_payload(1005), True)]),
        (1002, [(CLOSE, close_payload(1006), True)]),
        (1002, [(CLOSE, close_payload(1015), True)]),
        (1002, [(CLOSE, close_payload(5000), True)]),
        *[(1002, [(opcode, b"", True)]) for opcode in (0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF)],
    ],
)
def test_broken_framing_is_answered_with_the_code_of_the_rfc_and_ends_the_session(
    code: int, broken: list[tuple[int, bytes, bool]]
) -> None:
    for side, connection in peers():
        data = b"".join(from_peer(side, opcode, payload, fin=fin) for opcode, payload, fin in broken)
        connection.receive_data(data + from_peer(side, TEXT, b"{}"), 0.0)
        over = closed(connection.events())
        assert over.code == 1006
        assert str(code) in over.reason
        assert last_close(connection) == code
        assert connection.finished
        assert connection.next_timeout() is None


@pytest.mark.parametrize("reserved", [1, 2, 4, 7])
def test_a_reserved_bit_is_a_protocol_error(reserved: int) -> None:
    for side, connection in peers():
        mask = MASK if side == "server" else None
        connection.receive_data(frame(TEXT, b"{}", reserved=reserved, mask=mask), 0.0)
        assert last_close(connection) == 1002


def test_a_frame_that_is_masked_the_wrong_way_is_a_protocol_error() -> None:
    for side, connection in peers():
        connection.receive_data(frame(TEXT, b"{}", mask=None if side == "server" else MASK), 0.0)
        assert last_close(connection) == 1002
        assert closed(connection.events()).code == 1006


@pytest.mark.parametrize(
    "start", [b"\x81\x7e\x00\x7d", b"\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", b"\x81\x7f\x80" + bytes(7)]
)
def test_a_length_that_is_not_written_as_it_has_to_be_is_a_protocol_error(start: bytes) -> None:
    client = open_client()
    client.receive_data(start, 0.0)
    assert last_close(client) == 1002
    server = open_server()
    server.receive_data(start[:1] + bytes([start[1] | 0x80]) + start[2:], 0.0)
    assert last_close(server) == 1002


def test_what_was_said_before_the_framing_broke_is_told() -> None:
    client = open_client()
    client.receive_data(frame(TEXT, UNKNOWN) + frame(0x3) + frame(TEXT, UNKNOWN), 0.0)
    envelope_event, over = client.events()
    assert isinstance(envelope_event, Envelope)
    assert isinstance(over, SessionClosed)


# -- closing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1008, 1009, 1011, 1012, 1013, 3000, 4003, 4999])
def test_a_close_of_the_peer_is_answered_with_its_code_and_nothing_is_taken_after_it(code: int) -> None:
    for side, connection in peers():
        data = from_peer(side, CLOSE, close_payload(code, f"because {WORDS}"))
        connection.receive_data(data + from_peer(side, TEXT, b"{}") + from_peer(side, PING), 0.0)
        (over,) = connection.events()
        assert isinstance(over, SessionClosed)
        assert (over.code, over.reason) == (code, f"because {WORDS}")
        assert last_close(connection) == code
        assert connection.finished
        assert connection.next_timeout() is None
        connection.receive_data(from_peer(side, TEXT, b"{}"), 0.0)
        connection.receive_eof(0.0)
        connection.handle_timeout(1e6)
        assert connection.events() == []
        assert connection.data_to_send(1e6) == b""


def test_a_close_without_a_code_is_1005_and_answered_without_one() -> None:
    for side, connection in peers():
        connection.receive_data(from_peer(side, CLOSE), 0.0)
        over = closed(connection.events())
        assert (over.code, over.reason) == (1005, "")
        assert frames(connection.data_to_send(0.0)) == [Frame(CLOSE, b"", masked=side == "client")]
        assert connection.finished


def test_a_close_in_the_middle_of_a_message_is_answered() -> None:
    for side, connection in peers():
        connection.receive_data(from_peer(side, TEXT, b"{", fin=False) + from_peer(side, CLOSE, close_payload(1000)), 0)
        assert closed(connection.events()).code == 1000
        assert last_close(connection) == 1000


def close_own(connection: ClientConnection | ServerConnection, now: float, code: int, reason: str = "") -> None:
    if isinstance(connection, ClientConnection):
        assert connection.session is not None
        connection.session.close(code, reason)
    else:
        assert connection.session is not None
        connection.session.close(now, code, reason)


def test_a_close_of_our_own_waits_for_its_answer() -> None:
    for side, connection in peers():
        close_own(connection, 5.0, 4000, "bye")
        assert [one.payload for one in frames(connection.data_to_send(5.0))] == [close_payload(4000, "bye")]
        assert not connection.finished
        assert connection.next_timeout() == 15.0
        connection.receive_data(from_peer(side, CLOSE, close_payload(4000)), 6.0)
        over = closed(connection.events())
        assert over.code == 4000
        assert connection.data_to_send(6.0) == b""
        assert connection.finished
        assert connection.next_timeout() is None


def test_after_our_own_close_nothing_goes_out_any_more() -> None:
    for side, connection in peers():
        close_own(connection, 0.0, 1000)
        connection.data_to_send(0.0)
        text = CONFIG if side == "server" else UNKNOWN
        data = from_peer(side, PING) + from_peer(side, TEXT, text) + from_peer(side, BINARY, b"abc")
        connection.receive_data(data, 0.0)
        assert connection.data_to_send(0.0) == b""
        assert not connection.finished


def test_what_the_server_said_before_it_saw_our_close_still_arrives() -> None:
    client = open_client()
    close_own(client, 0.0, 1000)
    client.data_to_send(0.0)
    client.receive_data(frame(TEXT, UNKNOWN) + frame(CLOSE, close_payload(1000)), 0.0)
    envelope_event, over = client.events()
    assert isinstance(envelope_event, Envelope)
    assert isinstance(over, SessionClosed)


def test_a_close_that_is_not_answered_in_time_is_given_up() -> None:
    for connection in (open_client(close_timeout=2.0), open_server(close_timeout=2.0)):
        close_own(connection, 5.0, 1000)
        connection.data_to_send(5.0)
        assert connection.next_timeout() == 7.0
        connection.handle_timeout(6.9)
        assert not connection.finished
        connection.handle_timeout(7.0)
        over = closed(connection.events())
        assert over.code == 1006
        assert "not answered" in over.reason
        assert connection.finished
        assert connection.next_timeout() is None


def test_a_connection_that_ends_after_our_close_is_lost() -> None:
    for _, connection in peers():
        close_own(connection, 0.0, 1000)
        connection.data_to_send(0.0)
        connection.receive_eof(0.0)
        assert closed(connection.events()).code == 1006
        assert connection.finished


def test_framing_that_breaks_after_our_close_ends_the_session_in_silence() -> None:
    for side, connection in peers():
        close_own(connection, 0.0, 1000)
        connection.data_to_send(0.0)
        connection.receive_data(from_peer(side, 0x3), 0.0)
        assert closed(connection.events()).code == 1006
        assert connection.data_to_send(0.0) == b""
        assert connection.finished


# -- time and what the owner says -------------------------------------------------------------------


def test_a_server_that_hears_nothing_says_ih6003_and_closes_with_1001() -> None:
    server = open_server()
    assert server.next_timeout() == 300.0
    server.handle_timeout(299.0)
    assert server.data_to_send(299.0) == b""
    server.handle_timeout(300.0)
    assert types(server.data_to_send(300.0)) == ["error ih6003", "close 1001"]
    assert server.next_timeout() == 310.0


def test_a_ping_does_not_put_the_idle_timeout_off_and_a_message_does() -> None:
    server = open_server()
    server.receive_data(masked(PING), 100.0)
    assert server.next_timeout() == 300.0
    server.receive_data(masked(TEXT, CONFIG), 100.0)
    assert server.next_timeout() == 400.0


def test_a_client_whose_session_does_not_become_ready_closes() -> None:
    client = make_client()
    client.receive_data(response(client), 1.0)
    assert client.next_timeout() == 31.0
    client.handle_timeout(31.0)
    (last,) = frames(client.data_to_send(31.0))
    assert (last.opcode, last.payload[:2]) == (CLOSE, close_payload(1000))
    assert client.next_timeout() == 41.0


def test_what_a_client_sends_is_masked_and_fragmented_as_it_was_given() -> None:
    client = open_client()
    assert client.session is not None
    client.session.send_config(["conversation_quality_overall"])
    client.session.send_segment(b"abc", final=False)
    client.session.send_segment(b"", final=False)
    client.session.send_config()
    client.session.send_segment(b"def")
    sent = frames(client.data_to_send(0.0))
    assert all(one.masked for one in sent)
    assert [(one.opcode, one.fin) for one in sent] == [
        (TEXT, True),
        (BINARY, False),
        (CONTINUATION, False),
        (CONTINUATION, True),
        (TEXT, True),
    ]
    assert json.loads(sent[0].payload) == {"include": ["conversation_quality_overall"]}
    assert b"".join(one.payload for one in sent[1:4]) == b"abcdef"


def test_every_frame_of_a_client_has_a_mask_of_its_own() -> None:
    client = open_client()
    assert client.session is not None
    masks = set()
    for _ in range(20):
        client.session.send_segment(b"abc")
        masks.add(client.data_to_send(0.0)[2:6])
    assert len(masks) == 20
