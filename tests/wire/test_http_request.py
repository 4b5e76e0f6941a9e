"""The client's end of plain HTTP, by hand-written bytes of RFC 7230."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire.raw import CORRELATION_ID, KEY, head

from ihproto import LocalProtocolError
from ihproto.wire import HttpResponse, RequestConnection, RequestFailed, Target

TARGET = Target.parse_service("http://localhost:8080")
OK = f"HTTP/1.1 200 OK\r\nX-Correlation-ID: {CORRELATION_ID}\r\nContent-Length: 2\r\n\r\n{{}}".encode()


def make(method: str = "POST", path: str = "/v1/auth", **more: Any) -> RequestConnection:
    return RequestConnection(TARGET, method, path, **more)


def asked(**more: Any) -> RequestConnection:
    """A request without a body that is sent."""
    wire = make("GET", "/v2/upload/jobs/1", **more)
    wire.end_body(0.0)
    wire.data_to_send(0.0)
    return wire


def answered(wire: RequestConnection) -> HttpResponse:
    (event,) = wire.events()
    assert isinstance(event, HttpResponse)
    assert wire.finished
    return event


def failed(wire: RequestConnection) -> str:
    (event,) = wire.events()
    assert isinstance(event, RequestFailed)
    assert wire.finished
    assert wire.next_timeout() is None
    return event.what


# -- the request --------------------------------------------------------------------------------


def test_a_request_says_where_it_goes_who_asks_and_how_long_it_is() -> None:
    wire = make(
        credential=KEY,
        content_type="application/json",
        content_length=2,
        client_request_id="req-7",
        headers=[("X-Own", "1")],
    )
    wire.send_body(b"{")
    wire.send_body(b"}")
    wire.end_body(0.0)
    sent = head(wire.data_to_send(0.0))
    assert sent.line == "POST /v1/auth HTTP/1.1"
    assert sent.get("host") == "localhost:8080"
    assert sent.get("authorization") == f"Bearer {KEY}"
    assert sent.get("content-type") == "application/json"
    assert sent.get("content-length") == "2"
    assert sent.get("x-client-request-id") == "req-7"
    assert sent.get("x-own") == "1"
    assert sent.get("connection") == "close"
    assert sent.rest == b"{}"
    assert KEY not in repr(wire)


def test_a_get_has_no_word_about_a_body_and_an_empty_post_has() -> None:
    assert head(make("GET", "/a").data_to_send(0.0)).get("content-length") is None
    assert head(make("POST", "/a").data_to_send(0.0)).get("content-length") == "0"


def test_a_body_of_unknown_length_goes_in_chunks() -> None:
    wire = make(content_length=None)
    assert head(wire.data_to_send(0.0)).get("transfer-encoding") == "chunked"
    wire.send_body(b"a" * 16)
    wire.send_body(b"")
    wire.end_body(0.0)
    assert wire.data_to_send(0.0) == b"10\r\n" + b"a" * 16 + b"\r\n0\r\n\r\n"


def test_a_body_is_as_long_as_announced() -> None:
    wire = make(content_length=3)
    wire.send_body(b"ab")
    with pytest.raises(ValueError, match="1 bytes shorter"):
        wire.end_body(0.0)
    with pytest.raises(ValueError, match="1 bytes longer"):
        wire.send_body(b"cd")
    wire.send_body(b"c")
    wire.end_body(0.0)
    assert head(wire.data_to_send(0.0)).rest == b"abc"


@pytest.mark.parametrize(
    "more",
    [
        {"path": "/a b"},
        {"path": "/é"},
        {"path": "/a\r\nEvil: 1"},
        {"method": "PO ST"},
        {"headers": [("X", "a\r\nEvil: 1")]},
        {"headers": [("X", "é")]},
        {"client_request_id": "a\nb"},
        {"content_type": "a\rb"},
    ],
)
def test_what_is_not_http_is_not_sent(more: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        make(**more)
    assert caught.value.violation.clause.id == "HS-1"


@pytest.mark.parametrize("credential", ["", f"{KEY} x", f"{KEY}\n", f"{KEY}é"])
def test_a_credential_that_cannot_travel_is_refused_and_not_quoted(credential: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        make(credential=credential)
    assert caught.value.violation.clause.id == "HS-2"
    assert KEY not in str(caught.value)


# -- the response -------------------------------------------------------------------------------


def test_a_response_is_handed_over_whole() -> None:
    wire = asked()
    wire.receive_data(OK, 0.0)
    response = answered(wire)
    assert (response.status, response.correlation_id, response.body) == (200, CORRELATION_ID, b"{}")
    assert (b"content-length", b"2") in response.headers


@given(
    form=st.sampled_from(["length", "chunks", "close"]),
    body=st.binary(max_size=20),
    interim=st.integers(0, 3),
    cuts=st.lists(st.integers(0, 300)),
)
def test_wherever_a_response_is_cut_it_is_the_same(form: str, body: bytes, interim: int, cuts: list[int]) -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\n" * interim + b"HTTP/1.1 413 Too Large\r\nX-Correlation-ID: c\r\n"
    if form == "length":
        data += b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    elif form == "chunks":
        middle = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
        data += b"Transfer-Encoding: chunked\r\n\r\n" + middle + b"0\r\n\r\n"
    else:
        data += b"\r\n" + body
    wire = asked()
    for start, end in pairwise(sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})):
        wire.receive_data(data[start:end], 0.0)
    if form == "close":
        assert wire.events() == []
    wire.receive_eof(0.0)
    response = answered(wire)
    assert (response.status, response.correlation_id, response.body) == (413, "c", body)


def test_a_response_that_overtakes_the_body_ends_it() -> None:
    wire = make(content_length=100)
    wire.send_body(b"a" * 50)
    wire.data_to_send(0.0)
    wire.send_body(b"a" * 10)
    wire.receive_data(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 0.0)
    assert answered(wire).status == 413
    wire.send_body(b"a" * 10)
    wire.end_body(0.0)
    assert wire.data_to_send(0.0) == b""


def test_the_answer_is_still_heard_when_the_server_takes_no_more_of_the_body() -> None:
    wire = make(content_length=100, response_timeout=5.0)
    wire.send_body(b"a" * 50)
    assert wire.next_timeout() is None
    wire.cut_body(1.0)
    assert wire.data_to_send(1.0) == b""
    assert wire.next_timeout() == 6.0
    wire.receive_data(OK, 2.0)
    assert answered(wire).status == 200


@pytest.mark.parametrize("form", [b"Content-Length: 11\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nb\r\n"])
def test_a_response_that_is_too_long_is_given_up(form: bytes) -> None:
    wire = asked(max_response_bytes=10)
    wire.receive_data(b"HTTP/1.1 200 OK\r\n" + form + b"a" * 11, 0.0)
    assert "10 bytes" in failed(wire)
    fine = asked(max_response_bytes=11)
    fine.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b"a" * 11, 0.0)
    assert len(answered(fine).body) == 11


@pytest.mark.parametrize(
    ("sent", "what"),
    [
        (b"", "without answering"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "without answering"),
        (b"HTTP/1.1 20", "middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{", "middle of its answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", "middle of its answer"),
    ],
)
def test_an_end_before_the_end_of_the_response_is_said(sent: bytes, what: str) -> None:
    wire = asked()
    wire.receive_data(sent, 0.0)
    wire.receive_eof(0.0)
    assert what in failed(wire)


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000,
        f"HTTP/1.1 200 OK\r\n{KEY}\xe9 x: y\r\n\r\n".encode("latin-1"),
    ],
)
def test_an_answer_that_is_not_http_is_said_and_not_quoted(sent: bytes) -> None:
    wire = asked()
    wire.receive_data(sent, 0.0)
    what = failed(wire)
    assert "not valid HTTP" in what
    assert KEY not in what


def test_a_connection_that_is_given_up_tells_why() -> None:
    wire = asked()
    wire.receive_eof(0.0, "the peer stalled")
    assert failed(wire) == "the peer stalled"
    wire.receive_eof(0.0, "again")
    wire.receive_data(OK, 0.0)
    wire.handle_timeout(1e9)
    assert wire.events() == []


def test_the_answer_is_waited_for_from_the_end_of_the_body() -> None:
    wire = make(content_length=1, response_timeout=5.0)
    assert wire.next_timeout() is None
    wire.handle_timeout(1000.0)
    wire.send_body(b"a")
    wire.end_body(1000.0)
    assert wire.next_timeout() == 1005.0
    wire.receive_data(OK[:-1], 1004.0)
    wire.handle_timeout(1004.9)
    assert not wire.finished
    wire.handle_timeout(1005.0)
    assert "in time" in failed(wire)


def test_an_answer_that_begins_before_the_end_of_the_body_is_not_waited_for_for_ever() -> None:
    wire = make(content_length=1, response_timeout=5.0)
    wire.receive_data(OK[:-1], 10.0)
    assert wire.next_timeout() == 15.0


def test_a_secret_in_a_response_does_not_show() -> None:
    wire = asked()
    wire.receive_data(f"HTTP/1.1 200 OK\r\nX-Key: {KEY}\r\nContent-Length: {len(KEY)}\r\n\r\n{KEY}".encode(), 0.0)
    assert KEY not in repr(answered(wire))
