"""Messages without a session: `RawFrames` at both ends, and the answers to an upgrade that nobody made for us."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from wire.raw import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    MASK,
    PING,
    PONG,
    TEXT,
    Frame,
    close_payload,
    failed,
    frame,
    frames,
    head,
    make_client,
    make_server,
    make_session,
    masked,
    refusal,
    request,
    requested,
    response,
)

from ihproto import LocalProtocolError
from ihproto.wire import (
    ClientConnection,
    Credential,
    CredentialForm,
    HttpError,
    RawBytes,
    RawClose,
    RawEvent,
    RawFrames,
    RawLost,
    RawSurplus,
    RawText,
    ServerConnection,
    Target,
    UpgradeAccepted,
    UpgradeRefused,
)

SIDES = ["client", "server"]
both = pytest.mark.parametrize("side", SIDES)
#: Characters of one, two, three and four bytes.
WORDS = "aé日😀"


class End:
    """One end of a WebSocket that was opened by hand, and what a peer does to it."""

    def __init__(self, side: str, early: bytes = b"", *, close_timeout: float = 10.0) -> None:
        self.masks = side == "client"
        self.wire: ClientConnection | ServerConnection
        if side == "client":
            self.wire = client = make_client(raw=True, close_timeout=close_timeout)
            client.receive_data(response(client) + early, 0.0)
            (accepted,) = client.events()
            assert isinstance(accepted, UpgradeAccepted)
        else:
            self.wire = server = make_server(close_timeout=close_timeout)
            server.receive_data(request() + early, 0.0)
            assert server.accept_raw(0.0) is server.raw
            assert head(server.data_to_send(0.0)).status == 101
        assert self.wire.raw is not None
        self.raw: RawFrames = self.wire.raw

    def frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
        """A frame of the peer."""
        return frame(opcode, payload, fin=fin, mask=None if self.masks else MASK)

    def hears(self, *data: bytes, now: float = 0.0) -> list[RawEvent]:
        self.wire.receive_data(b"".join(data), now)
        return self.raw.events()

    def says(self, now: float = 0.0) -> list[Frame]:
        sent = frames(self.wire.data_to_send(now))
        assert all(one.masked is self.masks for one in sent)
        return [one._replace(masked=False) for one in sent]


def closing(code: int = 1000, reason: str = "") -> Frame:
    return Frame(CLOSE, close_payload(code, reason))


# -- messages -------------------------------------------------------------------------------------


@both
def test_messages_go_in_and_out_as_they_are(side: str) -> None:
    end = End(side)
    assert end.hears(end.frame(TEXT, WORDS.encode()), end.frame(BINARY, b"\0\1"), end.frame(TEXT)) == [
        RawText(WORDS),
        RawBytes(b"\0\1"),
        RawText(""),
    ]
    end.raw.send_text(WORDS)
    end.raw.send_bytes(b"\0\1")
    assert end.says() == [Frame(TEXT, WORDS.encode()), Frame(BINARY, b"\0\1")]
    assert end.says() == []


@both
def test_messages_in_pieces_stay_in_pieces(side: str) -> None:
    end = End(side)
    pieces = [
        end.frame(TEXT, WORDS.encode()[:2], fin=False),
        end.frame(PING, b"between"),
        end.frame(CONTINUATION, WORDS.encode()[2:]),
    ]
    heard = [event for piece in pieces for event in end.hears(piece)]
    texts = [event for event in heard if isinstance(event, RawText)]
    assert ("".join(event.text for event in texts), [event.final for event in texts][-1]) == (WORDS, True)
    assert not any(event.final for event in texts[:-1])
    assert end.says() == [Frame(PONG, b"between")]
    end.raw.send_bytes(b"a", final=False)
    end.raw.send_bytes(b"", final=False)
    end.raw.send_bytes(b"b")
    end.raw.send_text("c", final=False)
    end.raw.send_text("d")
    assert end.says() == [
        Frame(BINARY, b"a", fin=False),
        Frame(CONTINUATION, b"", fin=False),
        Frame(CONTINUATION, b"b"),
        Frame(TEXT, b"c", fin=False),
        Frame(CONTINUATION, b"d"),
    ]


@both
@pytest.mark.parametrize("size", [125, 126, 65_535, 65_536, 200_000])
def test_messages_of_any_length(side: str, size: int) -> None:
    end = End(side)
    data = bytes(size)
    (heard,) = [event for event in end.hears(end.frame(BINARY, data)) if isinstance(event, RawBytes)]
    assert heard == RawBytes(data)
    end.raw.send_bytes(data)
    assert end.says() == [Frame(BINARY, data)]


@both
def test_a_pong_and_an_empty_read_are_nothing(side: str) -> None:
    end = End(side)
    assert end.hears(end.frame(PONG, b"x")) == end.hears(b"") == []
    assert end.says() == []


@both
def test_frames_that_come_with_the_upgrade_are_not_lost(side: str) -> None:
    mask = None if side == "client" else MASK
    early = frame(TEXT, b"first", mask=mask) + frame(BINARY, b"second", mask=mask)
    for cut in range(len(early) + 1):
        end = End(side, early[:cut])
        heard = end.raw.events() + end.hears(early[cut:])
        joined = b"".join(event.data for event in heard if isinstance(event, RawBytes))
        assert "".join(event.text for event in heard if isinstance(event, RawText)) == "first"
        assert joined == b"second"


def test_the_answer_to_an_upgrade_may_come_in_any_pieces() -> None:
    client = make_client(raw=True)
    data = response(client) + frame(TEXT, b"\r\n\r\n") + frame(CLOSE) + b"\r\n!"
    for byte in data:
        client.receive_data(bytes([byte]), 0.0)
    assert client.raw is not None
    heard = client.raw.events()
    assert heard[-4:] == [RawClose(1005), *[RawSurplus(1)] * 3]
    assert "".join(event.text for event in heard if isinstance(event, RawText)) == "\r\n\r\n"


@both
def test_verbatim_bytes(side: str) -> None:
    end = End(side)
    end.raw.send_text("a")
    end.raw.send_verbatim(b"\xff\xff no frame")
    assert end.wire.data_to_send(0.0).endswith(b"\xff\xff no frame")
    end.raw.close()
    end.says()
    end.raw.send_verbatim(b"after the close")
    assert end.wire.data_to_send(0.0) == b"after the close"


# -- closes ---------------------------------------------------------------------------------------


@both
def test_after_our_close_we_still_hear(side: str) -> None:
    end = End(side)
    end.raw.close(4000, "bye")
    assert end.raw.closed
    end.raw.send_text("too late")
    end.raw.send_bytes(b"too late")
    end.raw.close(4001)
    assert end.says() == [closing(4000, "bye")]
    assert end.hears(end.frame(TEXT, b"still"), end.frame(PING)) == [RawText("still")]
    assert end.says() == [], "a ping is not answered after the close"
    assert not end.wire.finished
    assert end.hears(end.frame(CLOSE, close_payload(4000))) == [RawClose(4000)]
    assert end.raw.peer_closed


@both
def test_after_the_close_of_the_peer_we_may_still_speak(side: str) -> None:
    end = End(side)
    assert end.hears(end.frame(CLOSE, close_payload(1001, "going"))) == [RawClose(1001, "going")]
    assert end.raw.peer_closed
    assert not end.raw.closed
    assert end.says() == [], "it is not answered by itself"
    end.raw.send_text("last words")
    assert not end.wire.finished
    end.raw.close(1001)
    assert end.says() == [Frame(TEXT, b"last words"), closing(1001)]


@both
def test_a_close_without_a_code(side: str) -> None:
    end = End(side)
    assert end.hears(end.frame(CLOSE)) == [RawClose(1005)]
    end.raw.close(1005, "goes nowhere")
    assert end.says() == [Frame(CLOSE, b"")]


def test_a_server_is_finished_when_both_have_closed_and_all_is_sent() -> None:
    first = End("server")
    first.raw.close()
    assert not first.wire.finished
    first.says()
    first.hears(first.frame(CLOSE))
    assert first.wire.finished
    assert first.wire.next_timeout() is None
    second = End("server")
    second.hears(second.frame(CLOSE))
    second.raw.close()
    assert not second.wire.finished, "the answer is still to be sent"
    second.says()
    assert second.wire.finished
    second.wire.receive_eof(0.0)
    second.wire.handle_timeout(1e9)
    assert second.hears(b"more") == []


def test_a_client_waits_for_the_end_of_the_connection() -> None:
    end = End("client", close_timeout=10.0)
    end.hears(end.frame(CLOSE, close_payload(1000)))
    assert end.wire.next_timeout() is None
    end.raw.close()
    end.says(now=5.0)
    assert not end.wire.finished
    assert end.wire.next_timeout() == 15.0
    end.wire.handle_timeout(14.9)
    assert not end.wire.finished
    end.wire.receive_eof(14.9)
    assert end.wire.finished
    assert end.raw.events() == [], "both had closed: nothing was lost"
    assert end.wire.next_timeout() is None


@both
def test_a_close_that_is_not_answered_is_given_up(side: str) -> None:
    end = End(side, close_timeout=3.0)
    assert end.wire.next_timeout() is None
    end.raw.close()
    end.says(now=1.0)
    end.says(now=2.0)
    assert end.wire.next_timeout() == 4.0
    end.wire.handle_timeout(4.0)
    (lost,) = end.raw.events()
    assert isinstance(lost, RawLost)
    assert end.wire.finished


def test_a_client_gives_up_on_an_end_that_does_not_come() -> None:
    end = End("client", close_timeout=3.0)
    end.raw.close()
    end.says()
    end.hears(end.frame(CLOSE))
    end.wire.handle_timeout(3.0)
    assert end.wire.finished
    assert end.raw.events() == []


@both
@pytest.mark.parametrize("closed", ["nobody", "us", "peer"])
def test_a_connection_that_ends_early_is_lost(side: str, closed: str) -> None:
    end = End(side)
    if closed == "us":
        end.raw.close()
        end.says()
    elif closed == "peer":
        end.hears(end.frame(CLOSE))
    end.wire.receive_eof(0.0, "gone")
    end.wire.receive_eof(0.0, "gone again")
    assert end.raw.events() == [RawLost("gone")]
    assert end.wire.finished
    assert end.hears(end.frame(TEXT, b"x")) == []


# -- what should not come -------------------------------------------------------------------------


@both
def test_bytes_after_the_close_of_the_peer(side: str) -> None:
    end = End(side)
    text = end.frame(TEXT, b"no")
    assert end.hears(end.frame(CLOSE), text) == [RawClose(1005), RawSurplus(len(text))]
    assert end.hears(text) == [RawSurplus(len(text))]
    assert end.hears(b"\xff") == [RawSurplus(1)]
    assert end.hears(b"") == []


@both
@given(
    messages=st.lists(
        st.tuples(
            st.sampled_from([TEXT, BINARY, PING, PONG]), st.sampled_from([0, 1, 125, 126, 127, 300, 65_535, 65_536])
        ),
        max_size=4,
    ),
    reason=st.sampled_from(["", "bye"]),
    surplus=st.binary(max_size=20),
    cuts=st.lists(st.integers(0, 70_000), max_size=8),
)
def test_the_surplus_is_counted_to_the_byte(
    side: str, messages: list[tuple[int, int]], reason: str, surplus: bytes, cuts: list[int]
) -> None:
    end = End(side)
    sizes = [(opcode, size if opcode in (TEXT, BINARY) else min(size, 125)) for opcode, size in messages]
    data = b"".join(end.frame(opcode, b"x" * size) for opcode, size in sizes)
    data += end.frame(CLOSE, close_payload(1000, reason)) + surplus
    places = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    heard = [event for start, stop in pairwise(places) for event in end.hears(data[start:stop])]
    assert RawClose(1000, reason) in heard
    assert sum(event.size for event in heard if isinstance(event, RawSurplus)) == len(surplus)
    told = sum(len(event.text) for event in heard if isinstance(event, RawText))
    told += sum(len(event.data) for event in heard if isinstance(event, RawBytes))
    assert told == sum(size for opcode, size in sizes if opcode in (TEXT, BINARY))


@both
@pytest.mark.parametrize(
    "make",
    [
        lambda end: frame(TEXT, b"x", mask=MASK if end.masks else None),
        lambda end: end.frame(0x3, b"x"),
        lambda end: end.frame(CONTINUATION, b"x"),
        lambda end: end.frame(TEXT, b"\xff"),
        lambda end: end.frame(PING, b"x", fin=False),
        lambda end: end.frame(CLOSE, b"\x03"),
        lambda end: end.frame(CLOSE, close_payload(1005)),
        lambda end: end.frame(TEXT, b"x", fin=False) + end.frame(BINARY, b"x"),
    ],
    ids=["masking", "opcode", "continuation", "utf-8", "cut ping", "half a code", "a code of no frame", "interleaved"],
)
def test_broken_framing_loses_the_connection(side: str, make: Callable[[End], bytes]) -> None:
    end = End(side)
    *_, lost = end.hears(make(end), end.frame(TEXT, b"after"))
    assert isinstance(lost, RawLost)
    assert lost.reason.startswith("the framing is broken: ")
    assert end.wire.finished
    assert end.hears(end.frame(TEXT, b"more")) == []


@both
def test_contents_are_not_shown(side: str) -> None:
    end = End(side)
    heard = end.hears(end.frame(TEXT, KEY.encode()), end.frame(BINARY, KEY.encode()))
    assert KEY not in repr(heard)


# -- somebody else's other side -------------------------------------------------------------------


def pump(ours: ClientConnection | ServerConnection, theirs: ClientProtocol | ServerProtocol) -> None:
    for data in theirs.data_to_send():
        ours.receive_data(data, 0.0) if data else ours.receive_eof(0.0)
    if data := ours.data_to_send(0.0):
        theirs.receive_data(data)
    if ours.finished:
        theirs.receive_eof()


def talk(
    ours: ClientConnection | ServerConnection, raw: RawFrames, theirs: ClientProtocol | ServerProtocol, we_close: bool
) -> None:
    theirs.send_text(WORDS.encode()[:3], fin=False)
    theirs.send_ping(b"p")
    theirs.send_continuation(WORDS.encode()[3:], fin=True)
    theirs.send_binary(b"z" * 70_000)
    raw.send_text(WORDS)
    raw.send_bytes(b"1", final=False)
    raw.send_bytes(b"2")
    pump(ours, theirs)
    heard = raw.events()
    assert "".join(event.text for event in heard if isinstance(event, RawText)) == WORDS
    assert b"".join(event.data for event in heard if isinstance(event, RawBytes)) == b"z" * 70_000
    told = [(one.opcode, bytes(one.data), one.fin) for one in theirs.events_received() if isinstance(one, TheirFrame)]
    assert sorted(told) == [
        (Opcode.CONT, b"2", True),
        (Opcode.TEXT, WORDS.encode(), True),
        (Opcode.BINARY, b"1", False),
        (Opcode.PONG, b"p", True),
    ]
    if we_close:
        raw.close(4003, "enough")
    else:
        theirs.send_close(4003, "enough")
    pump(ours, theirs)
    pump(ours, theirs)
    if not we_close:
        raw.close(4003)
        pump(ours, theirs)
    pump(ours, theirs)
    assert raw.events() == [RawClose(4003, "enough")]
    assert theirs.close_code == 4003
    if not ours.finished:
        ours.receive_eof(0.0)
    assert ours.finished
    assert raw.events() == []


@pytest.mark.parametrize("we_close", [True, False])
def test_their_client_talks_to_our_server(we_close: bool) -> None:
    theirs = ClientProtocol(parse_uri("ws://localhost:8080/v1/stream/analyze"))
    theirs.send_request(theirs.connect())
    server = make_server()
    for data in theirs.data_to_send():
        server.receive_data(data, 0.0)
    requested(server)
    raw = server.accept_raw(0.0)
    pump(server, theirs)
    assert theirs.handshake_exc is None
    assert theirs.state.name == "OPEN"
    theirs.events_received()
    talk(server, raw, theirs, we_close)
    assert theirs.state.name == "CLOSED"


@pytest.mark.parametrize("we_close", [True, False])
def test_our_client_talks_to_their_server(we_close: bool) -> None:
    client = ClientConnection(0.0, Target.parse("ws://localhost:8080"), None, raw=True)
    theirs = ServerProtocol()
    theirs.receive_data(client.data_to_send(0.0))
    (upgrade,) = theirs.events_received()
    theirs.send_response(theirs.accept(upgrade))  # type: ignore[arg-type]
    pump(client, theirs)
    assert client.raw is not None
    client.events()
    talk(client, client.raw, theirs, we_close)


# -- the answer to an upgrade ---------------------------------------------------------------------


def asked(*headers: tuple[str, str], path: str = "/v1/stream/analyze") -> ServerConnection:
    server = make_server()
    server.receive_data(request(*headers, path=path), 0.0)
    return server


UPGRADE = [("upgrade", "WebSocket"), ("connection", "Upgrade"), ("sec-websocket-accept", ACCEPT)]


def test_the_headers_of_an_acceptance_stand_exactly() -> None:
    server = asked(("Sec-WebSocket-Protocol", f"access_token, {KEY}"))
    more = [("X-Correlation-ID", "theirs"), ("Sec-WebSocket-Protocol", "access_token"), ("X-Twice", "1")]
    server.accept_raw(0.0, [*more, ("X-Twice", "2é")])
    told = head(server.data_to_send(0.0))
    assert told.status == 101
    expected = [*UPGRADE, *[(name.lower(), value) for name, value in more], ("x-twice", "2é")]
    assert sorted((name, value.lower()) for name, value in told.headers) == sorted(
        (name, value.lower()) for name, value in expected
    )
    bare = asked()
    bare.accept_raw(0.0)
    names = sorted(name for name, _ in head(bare.data_to_send(0.0)).headers)
    assert names == sorted(name for name, _ in UPGRADE), "nothing is added"


BAD_HEADERS = [("X-Bad", "a\r\nX-Smuggled: b"), ("X Bad", "a"), ("X-Bäd", "a"), ("X-Bad", "日"), ("", "a"), ("X", "\0")]


@pytest.mark.parametrize("header", BAD_HEADERS)
@pytest.mark.parametrize("then", ["accept_raw", "accept", "refuse", "refuse_raw"])
def test_headers_that_are_none_leave_the_request_to_be_answered(header: tuple[str, str], then: str) -> None:
    server = asked()
    with pytest.raises(ValueError, match="not valid HTTP"):
        server.accept_raw(0.0, [("X-Good", "1"), header])
    with pytest.raises(ValueError, match="not valid HTTP"):
        server.refuse_raw(403, [header], b"")
    assert server.raw is None
    assert not server.finished
    assert server.data_to_send(0.0) == b""
    if then == "accept_raw":
        raw = server.accept_raw(0.0, [("X-Good", "1")])
        told = head(server.data_to_send(0.0))
        assert (told.status, told.get("x-good"), told.get("sec-websocket-accept")) == (101, "1", ACCEPT)
        server.receive_data(masked(TEXT, b"x"), 0.0)
        assert raw.events() == [RawText("x")]
    elif then == "accept":
        session = make_session()
        session.open(0.0)
        server.accept(session, 0.0)
        assert head(server.data_to_send(0.0)).status == 101
    elif then == "refuse":
        server.refuse(403, HttpError(message="no"), 0.0)
        assert head(server.data_to_send(0.0)).status == 403
    else:
        server.refuse_raw(403, [], b"no")
        assert head(server.data_to_send(0.0)).status == 403


def test_a_refusal_says_what_it_is_told() -> None:
    server = asked()
    server.refuse_raw(418, [("X-Correlation-ID", "theirs"), ("Content-Type", "text/tea")], b"short and stout")
    told = head(server.data_to_send(0.0))
    assert told.status == 418
    assert sorted(told.headers) == [
        ("connection", "close"),
        ("content-length", "15"),
        ("content-type", "text/tea"),
        ("x-correlation-id", "theirs"),
    ]
    assert told.rest == b"short and stout"
    assert server.finished
    assert server.data_to_send(0.0) == b""


@pytest.mark.parametrize("status", [100, 101, 199, 600, 0])
def test_a_refusal_is_a_final_response(status: int) -> None:
    server = asked()
    with pytest.raises(ValueError, match="final"):
        server.refuse_raw(status, [], b"")
    server.accept_raw(0.0)
    assert head(server.data_to_send(0.0)).status == 101


def test_a_request_is_answered_once() -> None:
    for first in ("accept_raw", "refuse_raw"):
        server = asked()
        server.accept_raw(0.0) if first == "accept_raw" else server.refuse_raw(403, [], b"")
        with pytest.raises(RuntimeError, match="no upgrade request"):
            server.accept_raw(0.0)
        with pytest.raises(RuntimeError, match="no upgrade request"):
            server.refuse_raw(403, [], b"")
    with pytest.raises(RuntimeError, match="no upgrade request"):
        make_server().accept_raw(0.0)


def test_a_request_tells_all_that_a_relay_needs() -> None:
    path = "/v2/stream/analyze?model=inter-2&x=%20&include[]=a"
    event = requested(
        asked(("Authorization", f"Bearer  {KEY}"), ("Sec-WebSocket-Protocol", f"access_token, {KEY}"), path=path)
    )
    assert event.target == path
    assert event.authorization == f"Bearer  {KEY}"
    assert event.subprotocols == ("access_token", KEY)
    assert KEY not in repr(event)
    plain = requested(asked())
    assert (plain.target, plain.authorization, plain.subprotocols) == ("/v1/stream/analyze", None, ())


def test_a_bare_credential_is_a_subprotocol_that_is_not_shown() -> None:
    event = requested(asked(("Sec-WebSocket-Protocol", KEY)))
    assert event.subprotocols == (KEY,)
    assert KEY not in repr(event)


def test_a_client_tells_the_whole_answer() -> None:
    client = ClientConnection(
        0.0,
        Target.parse("ws://localhost:8080/v1/stream/analyze"),
        Credential(KEY, CredentialForm.PAIR),
        raw=True,
        subprotocols=["more", "still.more"],
        headers=[("Origin", "https://example.org")],
    )
    upgrade = head(client.data_to_send(0.0))
    assert upgrade.get("sec-websocket-protocol") == f"access_token, {KEY}, more, still.more"
    assert upgrade.get("origin") == "https://example.org"
    nonce = upgrade.get("sec-websocket-key")
    assert nonce is not None
    client.receive_data(response(nonce, ("Sec-WebSocket-Protocol", KEY), ("X-More", KEY)), 0.0)
    (event,) = client.events()
    assert isinstance(event, UpgradeAccepted)
    assert event.subprotocol == KEY
    assert dict(event.headers)[b"x-more"] == KEY.encode()
    assert KEY not in repr(event)
    assert client.session is None


def test_a_client_without_credential_offers_none() -> None:
    client = ClientConnection(0.0, Target.parse("ws://localhost:8080"), None, raw=True)
    upgrade = head(client.data_to_send(0.0))
    assert upgrade.get("authorization") is upgrade.get("sec-websocket-protocol") is None


def test_a_client_tells_the_whole_refusal() -> None:
    client = make_client(raw=True)
    client.data_to_send(0.0)
    client.receive_data(refusal(401, f"no\r\n\r\n{KEY}".encode(), ("X-More", KEY)), 0.0)
    (event,) = client.events()
    assert isinstance(event, UpgradeRefused)
    assert event.body == f"no\r\n\r\n{KEY}".encode()
    assert dict(event.headers)[b"x-more"] == KEY.encode()
    assert KEY not in repr(event)
    assert client.finished
    assert client.raw is None
    client.receive_data(b"more\n", 0.0)


def test_an_answer_that_is_none_fails_a_raw_client_too() -> None:
    client = make_client(raw=True)
    client.data_to_send(0.0)
    client.receive_data(b"HTTP/1.1 banana\r\nX: y\r\n\r\nmore\r\n", 0.0)
    assert "not a valid WebSocket upgrade" in failed(client.events())


def test_a_header_of_a_request_must_be_one() -> None:
    with pytest.raises(LocalProtocolError, match="HS-1"):
        make_client(raw=True, headers=[("X-Bad", "a\r\nb")])
