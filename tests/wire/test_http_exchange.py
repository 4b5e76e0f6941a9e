"""The server's end of plain HTTP, by hand-written bytes of RFC 7230."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.raw import CORRELATION_ID, KEY, Head, accept, head, make_server, request, requested

from ihproto.wire import (
    BodyEnded,
    BodyReceived,
    Credential,
    HttpError,
    HttpRequested,
    RequestLost,
    ServerConnection,
    UpgradeFailed,
)

POST = b"POST /v1/upload/analyze HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def make_http_server(**more: Any) -> ServerConnection:
    return make_server(http=True, **more)


def post(length: int, *lines: str) -> bytes:
    return POST + "".join(f"{line}\r\n" for line in (f"Content-Length: {length}", *lines)).encode() + b"\r\n"


def asked(server: ServerConnection) -> HttpRequested:
    """The first event, which must be a request; the others are dropped."""
    event, *_ = server.events()
    assert isinstance(event, HttpRequested)
    return event


def body_of(events: list[Any]) -> tuple[bytes, bool]:
    """All pieces of a body put together, and whether it has ended."""
    data = b"".join(event.data for event in events if isinstance(event, BodyReceived))
    return data, any(isinstance(event, BodyEnded) for event in events)


def lost(events: list[Any]) -> str:
    *_, event = events
    assert isinstance(event, RequestLost)
    return event.what


def answer(server: ServerConnection, now: float = 0.0) -> Head:
    found = head(server.data_to_send(now))
    assert found.get("x-correlation-id") == CORRELATION_ID
    assert found.get("connection") == "close"
    assert found.get("content-length") == str(len(found.rest))
    return found


# -- requests -----------------------------------------------------------------------------------


def test_a_request_without_upgrade_is_taken_apart() -> None:
    server = make_http_server()
    server.receive_data(
        b"POST /v2/upload/analyze?model=inter-2&x=%C3%A9&empty= HTTP/1.1\r\nHost: h\r\n"
        b"Authorization: Bearer " + KEY.encode() + b"\r\nOrigin: https://app.example\r\nContent-Length: 3\r\n"
        b"Content-Type: text/plain\r\nX-Client-Request-Id: req-7\r\nX-Own: 1\r\n\r\n",
        0.0,
    )
    event = asked(server)
    assert (event.method, event.path) == ("POST", "/v2/upload/analyze")
    assert event.query == (("model", "inter-2"), ("x", "é"), ("empty", ""))
    assert event.credential == Credential(KEY)
    assert (event.origin, event.client_request_id) == ("https://app.example", "req-7")
    assert (event.content_type, event.content_length) == ("text/plain", 3)
    assert (b"x-own", b"1") in event.headers
    for thing in (repr(event), str(event), repr(event.headers), repr(server)):
        assert KEY not in thing


@pytest.mark.parametrize("line", ["Authorization: Basic " + KEY, f"Sec-WebSocket-Protocol: {KEY}"])
def test_only_a_bearer_is_a_credential_and_others_do_not_show_either(line: str) -> None:
    server = make_http_server()
    server.receive_data(f"GET /v2/upload/jobs/1 HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n".encode(), 0.0)
    event = asked(server)
    assert event.credential is None
    assert KEY not in repr(event.headers)


def test_a_request_without_a_body_has_an_end_at_once_and_nothing_special() -> None:
    server = make_http_server()
    server.receive_data(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    event, end = server.events()
    assert isinstance(event, HttpRequested)
    assert (event.query, event.credential, event.origin, event.client_request_id) == ((), None, None, None)
    assert (event.content_type, event.content_length) == (None, None)
    assert end == BodyEnded()
    assert server.next_timeout() is None


def test_an_upgrade_request_is_one_all_the_same() -> None:
    server = make_http_server()
    server.receive_data(request(), 0.0)
    requested(server)
    accept(server)
    assert head(server.data_to_send(0.0)).status == 101


def test_a_connection_that_was_not_told_to_take_http_takes_none() -> None:
    server = make_server()
    server.receive_data(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    assert head(server.data_to_send(0.0)).status == 426


def test_a_head_that_does_not_arrive_is_told_so_without_a_word_of_upgrades() -> None:
    server = make_http_server(upgrade_timeout=5.0)
    server.receive_data(POST, 0.0)
    server.handle_timeout(5.0)
    (event,) = server.events()
    assert isinstance(event, UpgradeFailed)
    assert "upgrade" not in event.what
    assert answer(server).status == 408


# -- responses ----------------------------------------------------------------------------------


def test_a_response_has_its_body_its_type_and_the_correlation_id() -> None:
    server = make_http_server()
    server.receive_data(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    asked(server)
    server.respond(202, b'{"x": 1}', 0.0, headers=[("Retry-After", "2")])
    found = answer(server)
    assert found.line == "HTTP/1.1 202 Accepted"
    assert found.get("content-type") == "application/json"
    assert found.get("retry-after") == "2"
    assert found.rest == b'{"x": 1}'
    assert server.finished


def test_an_error_is_written_in_the_documented_shape_with_the_headers_that_belong_to_it() -> None:
    server = make_http_server()
    server.receive_data(b"DELETE /v1/auth HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    asked(server)
    server.refuse(405, HttpError(message="no"), 0.0, headers=[("Allow", "POST")])
    found = answer(server)
    assert found.get("allow") == "POST"
    assert json.loads(found.rest) == {
        "error_id": None,
        "correlation_id": CORRELATION_ID,
        "link": None,
        "message": "no",
    }


def test_the_refusal_of_an_upgrade_can_have_headers_too() -> None:
    server = make_server()
    server.receive_data(request(), 0.0)
    requested(server)
    server.refuse(429, HttpError.of("ih3001"), 0.0, headers=[("Retry-After", "9")])
    assert answer(server).get("retry-after") == "9"


def test_a_head_request_is_answered_without_a_body() -> None:
    server = make_http_server()
    server.receive_data(b"HEAD /health HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    asked(server)
    server.respond(200, b"hello", 0.0, content_type="text/plain")
    found = head(server.data_to_send(0.0))
    assert (found.status, found.get("content-length"), found.rest) == (200, "5", b"")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_no_word_about_one(status: int) -> None:
    server = make_http_server()
    server.receive_data(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    with pytest.raises(ValueError, match="no body"):
        server.respond(status, b"x", 0.0)
    server.respond(status, b"", 0.0)
    found = head(server.data_to_send(0.0))
    assert (found.status, found.get("content-length"), found.get("transfer-encoding")) == (status, None, None)
    assert found.rest == b""


def test_a_client_of_http_1_0_gets_an_answer() -> None:
    server = make_http_server()
    server.receive_data(b"POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\nab", 0.0)
    assert body_of(server.events()) == (b"ab", True)
    server.respond(200, b"{}", 0.0)
    assert answer(server).status == 200
    assert server.finished


@pytest.mark.parametrize(
    ("status", "headers"),
    [(100, []), (101, []), (600, []), (200, [("X", "a\r\nEvil: 1")]), (200, [("X", "é")]), (200, [("X y", "1")])],
)
def test_a_response_that_is_not_http_is_not_written_and_another_can_be(
    status: int, headers: list[tuple[str, str]]
) -> None:
    server = make_http_server()
    server.receive_data(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    with pytest.raises(ValueError, match=r"header|status"):
        server.respond(status, b"", 0.0, headers=headers)
    assert server.data_to_send(0.0) == b""
    server.respond(500, b"", 0.0)
    assert answer(server).status == 500


def test_a_status_without_a_name_can_be_said() -> None:
    server = make_http_server()
    server.receive_data(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    server.respond(499, b"", 0.0)
    assert answer(server).status == 499


def test_only_a_request_can_be_answered_and_only_once() -> None:
    server = make_http_server()
    with pytest.raises(RuntimeError, match="no plain HTTP request"):
        server.respond(200, b"", 0.0)
    with pytest.raises(RuntimeError, match="no plain HTTP request"):
        server.want_body(0.0)
    assert not server.answerable
    server.receive_data(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 0.0)
    assert server.answerable
    with pytest.raises(RuntimeError, match="no upgrade request"):
        accept(server)
    server.respond(200, b"", 0.0)
    assert not server.answerable
    with pytest.raises(RuntimeError, match="answered already"):
        server.respond(200, b"", 0.0)
    with pytest.raises(RuntimeError, match="answered already"):
        server.refuse(500, HttpError(), 0.0)


def test_an_upgrade_request_is_not_answered_by_a_plain_response() -> None:
    server = make_http_server()
    server.receive_data(request(), 0.0)
    with pytest.raises(RuntimeError, match="no plain HTTP request"):
        server.respond(200, b"", 0.0)


# -- bodies -------------------------------------------------------------------------------------


def test_a_body_is_handed_on_as_it_comes() -> None:
    server = make_http_server()
    server.receive_data(post(6) + b"ab", 0.0)
    assert server.events()[1:] == [BodyReceived(b"ab")]
    server.receive_data(b"cd", 0.0)
    assert server.events() == [BodyReceived(b"cd")]
    server.receive_data(b"ef", 0.0)
    assert server.events() == [BodyReceived(b"ef"), BodyEnded()]


def test_the_chunks_of_a_body_are_put_together_as_they_arrive() -> None:
    server = make_http_server()
    server.receive_data(CHUNKED, 0.0)
    assert asked(server).content_length is None
    server.receive_data(b"2\r\nab\r\n3;ext=1\r\ncde\r\n1\r\nf", 0.0)
    assert server.events() == [BodyReceived(b"abcdef")]
    server.receive_data(b"\r\n0\r\nTrailer: x\r\n\r\n", 0.0)
    assert server.events() == [BodyEnded()]


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=9), max_size=5),
    chunked=st.booleans(),
    cuts=st.lists(st.integers(0, 400)),
    respond_at=st.none() | st.integers(0, 6),
)
def test_wherever_a_request_is_cut_it_says_the_same(
    chunks: list[bytes], chunked: bool, cuts: list[int], respond_at: int | None
) -> None:
    body = b"".join(chunks)
    if chunked:
        data = CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    else:
        data = post(len(body)) + body
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    server = make_http_server()
    events: list[Any] = []
    for index, (start, end) in enumerate(pairwise(places)):
        server.receive_data(data[start:end], 0.0)
        events += server.events()
        if index == respond_at and server.answerable:
            server.respond(413, b"", 0.0)
    assert isinstance(events[0], HttpRequested)
    found, ended = body_of(events)
    assert body.startswith(found)
    if server.answerable:
        assert (found, ended) == (body, True)
        server.respond(200, b"", 0.0)
    assert server.finished
    assert head(server.data_to_send(0.0)).get("content-length") == "0"


def test_continue_is_said_when_the_body_is_wanted_and_once() -> None:
    server = make_http_server()
    server.receive_data(post(2, "Expect: 100-continue"), 0.0)
    assert server.data_to_send(0.0) == b""
    server.want_body(0.0)
    assert server.data_to_send(0.0) == b"HTTP/1.1 100 Continue\r\n\r\n"
    server.want_body(0.0)
    assert server.data_to_send(0.0) == b""
    server.receive_data(b"ab", 0.0)
    assert body_of(server.events()) == (b"ab", True)
    server.respond(200, b"", 0.0)
    assert answer(server).status == 200


def test_a_body_that_is_not_wanted_gets_no_continue() -> None:
    server = make_http_server()
    server.receive_data(post(2, "Expect: 100-continue"), 0.0)
    server.refuse(413, HttpError.of("ih4003"), 0.0)
    server.want_body(0.0)
    assert answer(server).status == 413


def test_a_client_that_does_not_wait_for_continue_gets_none() -> None:
    server = make_http_server()
    server.receive_data(post(4, "Expect: 100-continue") + b"ab", 0.0)
    server.want_body(0.0)
    assert server.data_to_send(0.0) == b""


@pytest.mark.parametrize("broken", [b"xyz\r\n", b"2\r\nabc\r\n", b"-1\r\n", b"1" * 20_000])
@pytest.mark.parametrize("together", [True, False])
def test_a_body_in_broken_chunks_is_answered_with_400(broken: bytes, together: bool) -> None:
    server = make_http_server()
    for piece in [CHUNKED + broken] if together else [CHUNKED, broken]:
        server.receive_data(piece, 0.0)
    assert "chunk" in lost(server.events())
    found = answer(server)
    assert found.status == 400
    assert not server.answerable
    server.receive_data(b"more", 1.0)
    server.receive_eof(1.0)
    assert server.finished
    assert server.events() == []


# -- pauses and ends ----------------------------------------------------------------------------


def test_a_pause_in_the_body_is_answered_with_408() -> None:
    server = make_http_server(upgrade_timeout=5.0)
    server.receive_data(post(6), 0.0)
    server.events()
    server.want_body(10.0)
    assert server.next_timeout() == 15.0
    server.receive_data(b"ab", 14.0)
    assert server.next_timeout() == 19.0
    server.handle_timeout(18.9)
    assert server.events() == [BodyReceived(b"ab")]
    server.handle_timeout(19.0)
    assert "5 s" in lost(server.events())
    assert answer(server).status == 408
    assert not server.finished
    server.receive_eof(19.0)
    assert server.finished


def test_a_pause_of_the_owner_is_none_of_the_client() -> None:
    server = make_http_server(upgrade_timeout=5.0)
    server.receive_data(post(6) + b"ab", 0.0)
    assert server.next_timeout() is None
    server.handle_timeout(1000.0)
    assert server.answerable


def test_no_pause_counts_behind_the_body() -> None:
    server = make_http_server(upgrade_timeout=5.0)
    server.receive_data(post(2), 0.0)
    server.want_body(0.0)
    server.receive_data(b"ab", 0.0)
    assert server.next_timeout() is None
    server.handle_timeout(1000.0)
    assert server.answerable


@pytest.mark.parametrize("data", [post(6) + b"ab", CHUNKED + b"2\r\nab\r\n"])
def test_an_end_in_the_middle_of_the_body_is_said(data: bytes) -> None:
    server = make_http_server()
    server.receive_data(data, 0.0)
    server.receive_eof(0.0)
    events = server.events()
    assert body_of(events) == (b"ab", False)
    assert "middle of the body" in lost(events)
    assert server.finished
    assert server.data_to_send(0.0) == b""
    assert server.next_timeout() is None
    with pytest.raises(RuntimeError, match="lost"):
        server.respond(200, b"", 0.0)


def test_a_client_that_only_shuts_its_own_direction_is_answered() -> None:
    server = make_http_server()
    server.receive_data(post(2) + b"ab", 0.0)
    server.receive_eof(0.0)
    server.respond(200, b"", 0.0)
    assert answer(server).status == 200


# -- early responses ----------------------------------------------------------------------------


def early(length: int = 100, **more: Any) -> ServerConnection:
    """A server that has answered at moment 10, before the body has come."""
    server = make_http_server(**more)
    server.receive_data(post(length) + b"ab", 0.0)
    server.events()
    server.refuse(413, HttpError.of("ih4003"), 10.0)
    assert answer(server).status == 413
    return server


def test_behind_an_early_response_the_rest_of_the_body_is_discarded() -> None:
    server = early()
    assert not server.finished
    server.receive_data(b"c" * 97, 10.0)
    assert not server.finished
    server.receive_data(b"c", 10.0)
    assert server.finished
    assert server.events() == []
    assert server.data_to_send(10.0) == b""


def test_behind_an_early_response_a_client_may_go() -> None:
    server = early()
    server.receive_eof(10.0)
    assert server.finished
    assert server.events() == []


def test_behind_an_early_response_a_client_that_pauses_is_let_go() -> None:
    server = early(close_timeout=4.0)
    assert server.next_timeout() == 14.0
    server.receive_data(b"c", 13.0)
    assert server.next_timeout() == 17.0
    server.handle_timeout(16.9)
    assert not server.finished
    server.handle_timeout(17.0)
    assert server.finished
    assert server.next_timeout() is None


def test_behind_an_early_response_a_client_that_never_pauses_is_let_go_as_well() -> None:
    server = early(length=10_000, close_timeout=4.0)
    now = 10.0
    while not server.finished and now < 1000.0:
        now += 1.0
        server.receive_data(b"c", now)
        server.handle_timeout(now)
    assert now == 22.0


def test_the_rest_of_a_broken_body_is_discarded_too() -> None:
    server = make_http_server(close_timeout=4.0)
    server.receive_data(CHUNKED + b"2\r\nab", 0.0)
    server.respond(413, b"", 0.0)
    server.receive_data(b"no chunk", 1.0)
    server.receive_data(b"c" * 100_000, 2.0)
    assert not server.finished
    server.handle_timeout(6.0)
    assert server.finished


def test_what_comes_behind_the_body_is_not_taken_for_anything() -> None:
    server = make_http_server()
    server.receive_data(post(2) + b"ab" + post(2) + b"cd", 0.0)
    server.receive_data(post(2) + b"ef", 0.0)
    assert server.events()[1:] == [BodyReceived(b"ab"), BodyEnded()]
    server.respond(200, b"", 0.0)
    assert server.finished
