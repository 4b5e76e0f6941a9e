"""Large binary frames, which do not go through wsproto: the same must come out as would of small ones."""

from __future__ import annotations

import random
from types import ModuleType

import pytest
from wire.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    closed,
    frame,
    frames,
    masked,
    open_client,
    open_server,
    ready,
)

from ihproto import SegmentData, ServerSettings
from ihproto.wire import ServerConnection, masking
from ihproto.wire.masking import Mask

VIDEO = random.Random(1).randbytes(70_001)


@pytest.fixture(params=["numpy", "tables"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of masking, where numpy is installed."""
    if request.param == "numpy":
        pytest.importorskip("numpy")
    else:
        nothing: ModuleType | None = None
        monkeypatch.setattr(masking, "_numpy", lambda: nothing)
    return


def open_counting() -> ServerConnection:
    return open_server(ServerSettings(segment_data=True))


def media(server: ServerConnection) -> bytes:
    return b"".join(event.data for event in server.events() if isinstance(event, SegmentData))


def close_code(server: ServerConnection) -> int:
    last = frames(server.data_to_send(0.0))[-1]
    assert last.opcode == CLOSE
    return int.from_bytes(last.payload[:2], "big")


@pytest.mark.parametrize("size", [0, 1, 3, 4, 1023, 1024, 1025, 1026, 1027, 4099])
def test_a_mask_goes_on_where_the_piece_before_ended(size: int) -> None:
    data = VIDEO[:6000]
    mask = Mask(MASK)
    expected = bytes(byte ^ MASK[place % 4] for place, byte in enumerate(data))
    assert mask.apply(data[:size]) + mask.apply(memoryview(data)[size:]) == expected


@pytest.mark.parametrize("size", [1023, 1024, 65535, 65536, 70_001])
@pytest.mark.parametrize("cut", [1, 2, 3, 4, 7, 8, 9, 13, 14, 15, 1000])
def test_a_large_frame_arrives_wherever_it_is_cut(size: int, cut: int) -> None:
    server = open_counting()
    data = masked(BINARY, VIDEO[:size]) + masked(PING, b"x")
    server.receive_data(data[:cut], 0.0)
    server.receive_data(data[cut:-3], 0.0)
    server.receive_data(data[-3:], 0.0)
    assert media(server) == VIDEO[:size]
    assert next(one.opcode for one in frames(server.data_to_send(0.0))) == PONG
    assert server.session is not None
    assert server.session.segments_received == 1


def test_a_large_frame_arrives_byte_by_byte() -> None:
    server = open_counting()
    for octet in masked(BINARY, VIDEO[:1500]):
        server.receive_data(bytes([octet]), 0.0)
    assert media(server) == VIDEO[:1500]


def test_fragments_large_and_small_make_one_segment_with_pings_in_between() -> None:
    server = open_counting()
    parts = [VIDEO[:2000], b"", VIDEO[2000:2010], VIDEO[2010:70_000], VIDEO[70_000:]]
    for number, part in enumerate(parts):
        opcode = CONTINUATION if number else BINARY
        server.receive_data(masked(opcode, part, fin=number == 4) + masked(PING, b"x"), 0.0)
    assert media(server) == VIDEO
    assert server.session is not None
    assert (server.session.segments_received, server.session.media_seconds) == (1, 3.0)


def test_a_large_text_is_no_media() -> None:
    server = open_counting()
    text = b'{"include": ["' + b"x" * 3000 + b'"]}'
    server.receive_data(masked(TEXT, text[:1500], fin=False) + masked(CONTINUATION, text[1500:]), 0.0)
    assert media(server) == b""
    assert b"session.updated" in server.data_to_send(0.0)


@pytest.mark.parametrize(
    "broken",
    [
        masked(CONTINUATION, VIDEO[:2000]),
        masked(BINARY, VIDEO[:2000]) + masked(CONTINUATION, VIDEO[:2000]),
        masked(TEXT, b"a", fin=False) + masked(BINARY, VIDEO[:2000]),
        masked(BINARY, VIDEO[:2000], fin=False) + masked(BINARY, VIDEO[:2000]),
        masked(BINARY, VIDEO[:2000], fin=False) + masked(TEXT, b"{}"),
        frame(BINARY, VIDEO[:2000]),
        frame(BINARY, VIDEO[:2000], mask=MASK, reserved=4),
        b"\x82\xff" + (2000).to_bytes(8, "big") + MASK + VIDEO[:2000],
        b"\x82\xff\x80" + bytes(7) + MASK + VIDEO[:2000],
    ],
)
def test_large_frames_that_break_the_framing_are_a_protocol_error(broken: bytes) -> None:
    server = open_counting()
    server.receive_data(broken, 0.0)
    assert closed(server.events()).code == 1006
    assert close_code(server) == 1002


@pytest.mark.parametrize("size", [125, 126, 65535, 65536, 200_003])
def test_a_client_writes_frames_of_every_size(size: int) -> None:
    client = open_client()
    client.receive_data(frame(TEXT, ready()), 0.0)
    assert client.session is not None
    video = (VIDEO * 3)[:size]
    client.session.send_segment(video, final=False)
    client.session.send_segment(video)
    found = frames(client.data_to_send(0.0))
    assert [(one.opcode, one.fin, one.masked) for one in found] == [(BINARY, False, True), (CONTINUATION, True, True)]
    assert [one.payload for one in found] == [video, video]
