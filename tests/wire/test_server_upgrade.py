from __future__ import annotations

import json

import pytest
from wire.raw import (
    ACCEPT,
    CLOSE,
    CORRELATION_ID,
    KEY,
    PING,
    TEXT,
    Head,
    accept,
    close_payload,
    failed,
    frames,
    head,
    make_server,
    make_session,
    masked,
    request,
    requested,
    types,
)

from ihproto import ConfigApplied, ServerSettings
from ihproto.wire import Credential, CredentialForm, HttpError, ServerConnection, UpgradeFailed, UpgradeRequested


def refuse_nothing_more(server: ServerConnection) -> None:
    """A connection that is over takes anything and does nothing."""
    assert server.finished
    assert server.next_timeout() is None
    server.receive_data(b"more", 1.0)
    server.receive_eof(1.0)
    server.handle_timeout(1000.0)
    assert server.events() == []
    assert server.data_to_send(1000.0) == b""


def refused(server: ServerConnection) -> Head:
    """The refusal that was sent; every one has the correlation id and the documented body (HS-9, ERR-3)."""
    answer = head(server.data_to_send(0.0))
    assert answer.get("x-correlation-id") == CORRELATION_ID
    assert answer.get("connection") == "close"
    assert answer.get("content-type") == "application/json"
    assert answer.get("content-length") == str(len(answer.rest))
    body = json.loads(answer.rest)
    assert set(body) == {"error_id", "correlation_id", "link", "message"}
    assert body["correlation_id"] == CORRELATION_ID
    assert body["message"]
    return answer


def test_a_request_is_reported_with_all_that_it_holds_but_the_credential_in_its_headers() -> None:
    server = make_server()
    headers = (
        ("Authorization", f"Bearer {KEY}"),
        ("Origin", "https://app.example"),
        ("X-Client-Request-Id", "req-7"),
        ("X-Interhuman-SDK", "python"),
        ("Sec-WebSocket-Protocol", "chat"),
    )
    server.receive_data(request(*headers, path="/v1/stream/analyze?ih_sdk=python&include%5B%5D=a&empty="), 0.0)
    event = requested(server)
    assert event.path == "/v1/stream/analyze"
    assert event.query == (("ih_sdk", "python"), ("include[]", "a"), ("empty", ""))
    assert event.credential == Credential(KEY, CredentialForm.HEADER)
    assert event.origin == "https://app.example"
    assert event.client_request_id == "req-7"
    names = [name for name, _ in event.headers]
    assert b"x-interhuman-sdk" in names
    assert b"authorization" not in names
    assert b"sec-websocket-protocol" not in names
    for text in (repr(event), str(event), repr(event.headers), repr(event.credential)):
        assert KEY not in text


def test_a_request_without_anything_special_has_nothing_special() -> None:
    server = make_server()
    server.receive_data(request(), 0.0)
    event = requested(server)
    assert (event.query, event.credential, event.origin, event.client_request_id) == ((), None, None, None)


@pytest.mark.parametrize(
    ("offered", "credential", "selected"),
    [
        (None, None, None),
        (KEY, Credential(KEY, CredentialForm.SUBPROTOCOL), KEY),
        (f"access_token, {KEY}", Credential(KEY, CredentialForm.PAIR), "access_token"),
        (f"access_token,{KEY}", Credential(KEY, CredentialForm.PAIR), "access_token"),
    ],
)
def test_the_acceptance_selects_exactly_what_the_credential_wants(
    offered: str | None, credential: Credential | None, selected: str | None
) -> None:
    server = make_server()
    server.receive_data(request(*([("Sec-WebSocket-Protocol", offered)] if offered else [])), 0.0)
    event = requested(server)
    assert event.credential == credential
    assert KEY not in repr(event)
    accept(server)
    answer = head(server.data_to_send(0.0))
    assert [value for name, value in answer.headers if name == "sec-websocket-protocol"] == [selected] * bool(selected)


def test_a_pair_in_two_headers_is_a_pair() -> None:
    lines = f"Sec-WebSocket-Protocol: access_token\r\nSec-WebSocket-Protocol: {KEY}\r\n\r\n".encode()
    server = make_server()
    server.receive_data(request()[:-2] + lines, 0.0)
    assert requested(server).credential == Credential(KEY, CredentialForm.PAIR)


def test_a_credential_in_the_header_decides_and_the_offer_is_answered_all_the_same() -> None:
    server = make_server()
    server.receive_data(request(("Authorization", "Bearer other"), ("Sec-WebSocket-Protocol", KEY)), 0.0)
    assert requested(server).credential == Credential("other", CredentialForm.HEADER)
    accept(server)
    assert head(server.data_to_send(0.0)).get("sec-websocket-protocol") == KEY


def test_the_acceptance_is_that_of_the_rfc_with_the_correlation_id_and_ready_right_behind() -> None:
    server = make_server()
    server.receive_data(request(("X-Client-Request-Id", "req-7")), 0.0)
    accept(server)
    sent = server.data_to_send(0.0)
    answer = head(sent)
    assert answer.status == 101
    assert answer.get("upgrade") == "websocket"
    assert answer.get("connection") == "Upgrade"
    assert answer.get("sec-websocket-accept") == ACCEPT
    assert answer.get("x-correlation-id") == CORRELATION_ID
    assert b"req-7" not in sent
    assert answer.get("sec-websocket-extensions") is None
    (ready,) = frames(answer.rest)
    assert (ready.opcode, ready.masked) == (TEXT, False)
    fields = json.loads(ready.payload)
    assert (fields["type"], fields["correlation_id"]) == ("session.ready", CORRELATION_ID)


def test_an_extension_that_the_client_offers_is_not_accepted() -> None:
    server = make_server()
    server.receive_data(request(("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")), 0.0)
    requested(server)
    accept(server)
    assert head(server.data_to_send(0.0)).get("sec-websocket-extensions") is None


def test_unknown_query_parameters_and_headers_are_ignored() -> None:
    server = make_server()
    path = "/v1/stream/analyze?ih_sdk=x&ih_sdk_version=1&sdk=&sdk_version&%zz=%"
    server.receive_data(request(("X-Unheard-Of", "\xff\xfe"), path=path), 0.0)
    requested(server)
    accept(server)
    assert head(server.data_to_send(0.0)).status == 101


def test_frames_that_come_with_the_request_are_taken_after_the_acceptance() -> None:
    server = make_server()
    server.receive_data(request() + masked(TEXT, b'{"include": []}') + masked(PING, b"x")[:3], 0.0)
    requested(server)
    server.receive_data(masked(PING, b"x")[3:], 0.0)
    assert server.events() == []
    accept(server)
    assert [type(event) for event in server.events()] == [ConfigApplied]
    told = types(head(server.data_to_send(0.0)).rest)
    assert sorted(told) == ["opcode 0xa", "session.ready", "session.updated"]
    assert told.index("session.ready") < told.index("session.updated")


def test_a_close_that_comes_with_the_request_is_answered() -> None:
    server = make_server()
    server.receive_data(request() + masked(CLOSE, close_payload(1001)), 0.0)
    requested(server)
    accept(server)
    assert types(head(server.data_to_send(0.0)).rest)[-1] == "close 1001"
    assert server.finished


def test_a_session_that_is_refused_says_why_and_closes_without_ready() -> None:
    server = make_server()
    server.receive_data(request(), 0.0)
    session = make_session()
    session.refuse("ih2003", 0.0)
    server.accept(session, 0.0)
    answer = head(server.data_to_send(0.0))
    assert answer.status == 101
    assert types(answer.rest) == ["error ih2003", "close 4003"]
    server.receive_data(masked(CLOSE, close_payload(4003)), 0.0)
    assert server.finished


def test_a_refusal_has_the_status_the_error_and_the_correlation_id() -> None:
    server = make_server()
    server.receive_data(request(("X-Client-Request-Id", "req-7")), 0.0)
    requested(server)
    server.refuse(401, HttpError.of("ih2001"), 0.0)
    answer = refused(server)
    assert answer.status == 401
    assert answer.line == "HTTP/1.1 401 Unauthorized"
    body = json.loads(answer.rest)
    assert body["error_id"] == "ih2001"
    assert body["link"].startswith("https://docs.interhuman.ai/api-reference/error-handling#ih2001-")
    assert b"req-7" not in answer.rest
    assert answer.get("x-client-request-id") is None
    refuse_nothing_more(server)


def test_only_a_request_can_be_answered_and_only_once() -> None:
    server = make_server()
    with pytest.raises(RuntimeError, match="no upgrade request"):
        server.refuse(401, HttpError.of("ih2001"), 0.0)
    with pytest.raises(RuntimeError, match="no upgrade request"):
        accept(server)
    server.receive_data(request(), 0.0)
    accept(server)
    with pytest.raises(RuntimeError, match="no upgrade request"):
        accept(server)
    with pytest.raises(RuntimeError, match="no upgrade request"):
        server.refuse(401, HttpError.of("ih2001"), 0.0)
    refusing = make_server()
    refusing.receive_data(request(), 0.0)
    refusing.refuse(401, HttpError.of("ih2001"), 0.0)
    with pytest.raises(RuntimeError, match="no upgrade request"):
        accept(refusing)


def test_a_session_with_another_correlation_id_is_not_carried() -> None:
    server = make_server()
    server.receive_data(request(), 0.0)
    session = make_session(correlation_id="other")
    session.open(0.0)
    with pytest.raises(ValueError, match="HS-9"):
        server.accept(session, 0.0)
    accept(server)
    assert head(server.data_to_send(0.0)).status == 101


def test_a_session_that_has_nothing_to_say_is_not_carried() -> None:
    server = make_server()
    server.receive_data(request(), 0.0)
    with pytest.raises(ValueError, match="RDY-1"):
        server.accept(make_session(), 0.0)
    accept(server)
    assert head(server.data_to_send(0.0)).status == 101


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS"])
def test_plain_http_is_told_that_an_upgrade_is_required(method: str) -> None:
    server = make_server()
    server.receive_data(f"{method} /health HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode(), 0.0)
    assert KEY not in failed(server.events())
    answer = refused(server)
    assert answer.status == 426
    assert answer.get("upgrade") == "websocket"
    refuse_nothing_more(server)


@pytest.mark.parametrize(
    "data",
    [
        request(without=["Connection"]),
        request(("Connection", "keep-alive")),
        request(("Upgrade", "h2c")),
        request(without=["Sec-WebSocket-Key"]),
        request(without=["Sec-WebSocket-Version"]),
        request(without=["Host"]),
        request(("Host", "\xff")),
        request(("Sec-WebSocket-Protocol", f"{KEY}\xe9")),
        request(("Connection", "\xe9")),
        request()[:-2] + b"Host: second\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client hello\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nbroken header\r\n\r\n",
    ],
)
def test_a_request_that_is_not_valid_is_refused_with_400(data: bytes) -> None:
    server = make_server()
    server.receive_data(data, 0.0)
    assert KEY not in failed(server.events())
    answer = refused(server)
    assert answer.status == 400
    assert KEY.encode() not in answer.rest
    refuse_nothing_more(server)


@pytest.mark.parametrize("version", ["8", "14", "13, 8"])
def test_another_version_of_websocket_is_told_the_right_one(version: str) -> None:
    server = make_server()
    server.receive_data(request(("Sec-WebSocket-Version", version)), 0.0)
    failed(server.events())
    answer = refused(server)
    assert answer.status == 426
    assert answer.get("sec-websocket-version") == "13"


def test_the_426_for_another_version_of_websocket_has_an_upgrade_header() -> None:
    server = make_server()
    server.receive_data(request(("Sec-WebSocket-Version", "8")), 0.0)
    assert refused(server).get("upgrade") == "websocket"


def test_a_head_that_grows_too_large_is_refused_with_431() -> None:
    server = make_server(max_header_bytes=1000)
    server.receive_data(b"GET / HTTP/1.1\r\nHost: h\r\n", 0.0)
    server.receive_data(b"X-Long: " + b"a" * 1000, 0.0)
    failed(server.events())
    assert refused(server).status == 431
    refuse_nothing_more(server)


def test_a_head_that_is_too_large_is_refused_with_431_when_it_comes_in_one_piece() -> None:
    server = make_server(max_header_bytes=1000)
    server.receive_data(request(("X-Long", "a" * 1000)), 0.0)
    failed(server.events())
    assert refused(server).status == 431


def test_a_transfer_encoding_that_is_not_known_is_refused() -> None:
    server = make_server()
    server.receive_data(request(("Transfer-Encoding", "gzip")), 0.0)
    failed(server.events())
    assert refused(server).status == 501


@pytest.mark.parametrize("sent", [b"", request()[:-1]])
def test_a_request_that_does_not_arrive_in_time_is_refused_with_408(sent: bytes) -> None:
    server = make_server(now=100.0, upgrade_timeout=5.0)
    if sent:
        server.receive_data(sent, 101.0)
    assert server.next_timeout() == 105.0
    server.handle_timeout(104.9)
    assert not server.finished
    server.handle_timeout(105.0)
    assert "in time" in failed(server.events())
    assert refused(server).status == 408
    refuse_nothing_more(server)


def test_a_request_that_has_arrived_does_not_time_out_while_the_owner_thinks() -> None:
    server = make_server(upgrade_timeout=5.0)
    server.receive_data(request(), 1.0)
    requested(server)
    server.handle_timeout(6.0)
    assert not server.finished
    accept(server, now=6.0)
    assert head(server.data_to_send(6.0)).status == 101


@pytest.mark.parametrize("sent", [b"", b"GET / HT", request()[:-2]])
def test_an_end_before_the_request_is_a_failed_upgrade(sent: bytes) -> None:
    server = make_server()
    server.receive_data(sent, 0.0)
    server.receive_eof(0.0)
    failed(server.events())
    assert server.data_to_send(0.0) == b""
    refuse_nothing_more(server)


def test_an_end_before_the_answer_is_a_failed_upgrade() -> None:
    server = make_server()
    server.receive_data(request(), 0.0)
    server.receive_eof(0.0)
    first, second = server.events()
    assert isinstance(first, UpgradeRequested)
    assert isinstance(second, UpgradeFailed)
    refuse_nothing_more(server)


@pytest.mark.parametrize("line", [b"GET / HTTP/1.0", b"OPTIONS / HTTP/1.0"])
def test_a_request_of_http_1_0_without_a_host_is_told_that_an_upgrade_is_required(line: bytes) -> None:
    server = make_server()
    server.receive_data(line + b"\r\n\r\n", 0.0)
    failed(server.events())
    assert refused(server).status in (400, 426)


@pytest.mark.parametrize(
    "data",
    [request(method="POST"), request(("Content-Length", "2"), method="POST") + b"ab", request(version="1.0")],
)
def test_an_upgrade_is_a_get_of_http_1_1(data: bytes) -> None:
    server = make_server()
    server.receive_data(data, 0.0)
    failed(server.events())
    assert 400 <= refused(server).status < 500


def test_an_offer_of_no_subprotocol_at_all_is_no_credential() -> None:
    server = make_server()
    server.receive_data(request(("Sec-WebSocket-Protocol", "")), 0.0)
    for event in server.events():
        if isinstance(event, UpgradeRequested):
            assert event.credential is None
            accept(server)
    assert head(server.data_to_send(0.0)).get("sec-websocket-protocol") is None


def test_a_contract_of_the_settings_is_what_ready_says() -> None:
    server = make_server()
    server.receive_data(request(), 0.0)
    accept(server, ServerSettings())
    (ready,) = frames(head(server.data_to_send(0.0)).rest)
    data = json.loads(ready.payload)["data"]
    assert data["max_segment_size_bytes"] == 33554432
    assert data["session_idle_timeout_seconds"] == 300


def test_a_connection_never_shows_the_secret() -> None:
    server = make_server()
    server.receive_data(request(("Authorization", f"Bearer {KEY}"), ("Sec-WebSocket-Protocol", KEY)), 0.0)
    for thing in (server, *server.events(), accept(server)):
        assert KEY not in repr(thing)
        assert KEY not in str(thing)
