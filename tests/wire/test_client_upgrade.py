from __future__ import annotations

import pytest
from wire.raw import (
    CORRELATION_ID,
    KEY,
    PING,
    TEXT,
    closed,
    failed,
    frame,
    frames,
    head,
    make_client,
    ready,
    refusal,
    response,
)

from ihproto import ClientSession, LocalProtocolError, RemoteProtocolError, Violated
from ihproto.codec import Envelope
from ihproto.wire import (
    ClientConnection,
    CredentialForm,
    HttpError,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
)

BODY = b'{"error_id": "ih2001", "correlation_id": "c", "link": "https://x", "message": "the credential is not valid"}'
ERROR = HttpError("ih2001", "c", "https://x", "the credential is not valid")


def nothing_more(client: ClientConnection) -> None:
    """A connection that is over takes anything and does nothing."""
    assert client.finished
    assert client.next_timeout() is None
    client.receive_data(b"more", 1.0)
    client.receive_eof(1.0)
    client.handle_timeout(1000.0)
    assert client.events() == []
    assert client.data_to_send(1000.0) == b""


def blamed(client: ClientConnection) -> list[str]:
    return [event.violation.clause.id for event in client.events() if isinstance(event, Violated)]


def test_the_request_is_that_of_the_rfc_with_the_credential_in_the_header() -> None:
    client = make_client(url="ws://localhost:8080?a=b", client_request_id="req-7", headers=[("Origin", "https://a.b")])
    sent = head(client.data_to_send(0.0))
    assert sent.line == "GET /v1/stream/analyze?a=b HTTP/1.1"
    assert sent.get("host") == "localhost:8080"
    assert sent.get("upgrade") == "websocket"
    assert sent.get("connection") == "Upgrade"
    assert sent.get("sec-websocket-version") == "13"
    assert sent.get("authorization") == f"Bearer {KEY}"
    assert sent.get("x-client-request-id") == "req-7"
    assert sent.get("origin") == "https://a.b"
    assert sent.get("sec-websocket-protocol") is None
    assert sent.rest == b""
    assert client.data_to_send(0.0) == b""
    assert KEY not in repr(client)


@pytest.mark.parametrize(
    ("form", "offered"), [(CredentialForm.SUBPROTOCOL, KEY), (CredentialForm.PAIR, f"access_token, {KEY}")]
)
def test_the_request_carries_the_credential_as_a_subprotocol(form: CredentialForm, offered: str) -> None:
    sent = head(make_client(form=form).data_to_send(0.0))
    assert sent.get("sec-websocket-protocol") == offered
    assert sent.get("authorization") is None
    assert sent.get("x-client-request-id") is None


def test_every_request_has_a_nonce_of_its_own() -> None:
    nonces = {head(make_client().data_to_send(0.0)).get("sec-websocket-key") for _ in range(20)}
    assert len(nonces) == 20


@pytest.mark.parametrize(
    "header", [("X-Bad", "a\r\nb"), ("X Bad", "a"), ("X-Bad", "a\x00"), ("X-Name", "日本"), ("X-Größe", "a")]
)
def test_a_header_that_is_not_valid_http_is_refused_before_anything_is_sent(header: tuple[str, str]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        make_client(headers=[header])
    assert caught.value.violation.clause.id == "HS-1"
    with pytest.raises(LocalProtocolError):
        make_client(client_request_id="a\nb")


@pytest.mark.parametrize(
    ("form", "selected"),
    [(CredentialForm.HEADER, None), (CredentialForm.SUBPROTOCOL, KEY), (CredentialForm.PAIR, "access_token")],
)
@pytest.mark.parametrize("strict", [False, True])
def test_an_upgrade_that_selects_what_it_has_to_is_accepted(
    form: CredentialForm, selected: str | None, strict: bool
) -> None:
    client = make_client(form=form, strict=strict)
    headers = [("Sec-WebSocket-Protocol", selected)] if selected else []
    client.receive_data(response(client, *headers), 0.0)
    (event,) = client.events()
    assert event == UpgradeAccepted(CORRELATION_ID, selected)
    assert KEY not in repr(event)
    assert client.session is not None
    assert not client.finished


def test_the_session_is_made_with_the_moment_and_the_correlation_id() -> None:
    made: list[tuple[float, str | None]] = []

    def make(now: float, correlation_id: str | None) -> ClientSession:
        made.append((now, correlation_id))
        return ClientSession(now, correlation_id=correlation_id, ready_timeout=7.0)

    client = make_client(make_session=make)
    client.receive_data(response(client), 3.0)
    assert made == [(3.0, CORRELATION_ID)]
    assert client.next_timeout() == 10.0


def test_frames_that_come_with_the_response_are_taken() -> None:
    client = make_client()
    client.receive_data(response(client) + frame(TEXT, ready()) + frame(PING, b"x") + frame(TEXT, b"{}")[:1], 0.0)
    accepted, envelope = client.events()
    assert isinstance(accepted, UpgradeAccepted)
    assert isinstance(envelope, Envelope)
    assert envelope.type == "session.ready"
    assert [one.payload for one in frames(client.data_to_send(0.0))] == [b"x"]


@pytest.mark.parametrize("form", [CredentialForm.SUBPROTOCOL, CredentialForm.PAIR])
def test_a_server_that_selects_nothing_breaks_hs_5(form: CredentialForm) -> None:
    client = make_client(form=form)
    client.receive_data(response(client) + frame(TEXT, ready()), 0.0)
    accepted, violated, envelope = client.events()
    assert accepted == UpgradeAccepted(CORRELATION_ID, None)
    assert isinstance(violated, Violated)
    assert violated.violation.clause.id == "HS-5"
    assert isinstance(envelope, Envelope)
    strict = make_client(form=form, strict=True)
    with pytest.raises(RemoteProtocolError) as caught:
        strict.receive_data(response(strict), 0.0)
    assert caught.value.violation.clause.id == "HS-5"
    assert KEY not in str(caught.value)


def test_a_server_that_selects_the_secret_of_a_pair_breaks_hs_5() -> None:
    client = make_client(form=CredentialForm.PAIR)
    client.receive_data(response(client, ("Sec-WebSocket-Protocol", KEY)), 0.0)
    events = client.events()
    assert [event.violation.clause.id for event in events if isinstance(event, Violated)] == ["HS-5"]
    assert KEY not in repr(events)


@pytest.mark.parametrize("form", CredentialForm)
def test_a_server_that_selects_what_was_not_offered_has_failed_the_upgrade(form: CredentialForm) -> None:
    client = make_client(form=form)
    client.receive_data(response(client, ("Sec-WebSocket-Protocol", "chat")), 0.0)
    failed(client.events())
    nothing_more(client)


@pytest.mark.parametrize("form", CredentialForm)
def test_a_server_that_selects_what_was_not_offered_is_told_apart_by_hs_5(form: CredentialForm) -> None:
    client = make_client(form=form)
    client.receive_data(response(client, ("Sec-WebSocket-Protocol", "chat")), 0.0)
    assert "HS-5" in repr(client.events())


def test_a_server_without_a_correlation_id_breaks_hs_9() -> None:
    client = make_client()
    client.receive_data(response(client, correlation_id=None), 0.0)
    accepted, violated = client.events()
    assert accepted == UpgradeAccepted(None, None)
    assert isinstance(violated, Violated)
    assert violated.violation.clause.id == "HS-9"
    strict = make_client(strict=True)
    with pytest.raises(RemoteProtocolError) as caught:
        strict.receive_data(response(strict, correlation_id=None), 0.0)
    assert caught.value.violation.clause.id == "HS-9"


def test_an_envelope_with_another_id_than_the_response_breaks_hs_9_or_env_2() -> None:
    client = make_client()
    client.receive_data(response(client, correlation_id="another") + frame(TEXT, ready()), 0.0)
    assert set(blamed(client)) & {"HS-9", "ENV-2"}


def test_interim_responses_before_the_upgrade_are_passed_over() -> None:
    client = make_client()
    client.receive_data(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 0.0)
    assert client.events() == []
    client.receive_data(response(client), 0.0)
    (event,) = client.events()
    assert isinstance(event, UpgradeAccepted)


def test_a_refusal_is_told_with_status_correlation_id_and_error() -> None:
    client = make_client()
    client.receive_data(refusal(401, BODY, ("X-Correlation-ID", "c")), 0.0)
    assert client.events() == [UpgradeRefused(401, "c", ERROR)]
    client.data_to_send(0.0)
    nothing_more(client)


def test_a_refusal_without_a_body_is_told_with_its_status() -> None:
    client = make_client()
    client.receive_data(refusal(503, b""), 0.0)
    assert client.events() == [UpgradeRefused(503, None, None)]


@pytest.mark.parametrize("body", [b"<html>no</html>", b"[]", b"\xff"])
def test_a_refusal_with_another_body_has_no_error(body: bytes) -> None:
    client = make_client()
    client.receive_data(refusal(404, body), 0.0)
    assert client.events() == [UpgradeRefused(404, None, None)]


def test_a_refusal_whose_body_is_not_utf_8_is_told_with_its_status() -> None:
    client = make_client()
    client.receive_data(refusal(403, b'{"error_id": "ih2003", "message": "caf\xe9"}'), 0.0)
    assert client.events() == [UpgradeRefused(403, None, None)]


def test_a_redirect_is_a_refusal() -> None:
    client = make_client()
    client.receive_data(refusal(302, b"", ("Location", "https://elsewhere/")), 0.0)
    assert client.events() == [UpgradeRefused(302, None, None)]


def test_a_chunked_refusal_is_read_to_its_end() -> None:
    client = make_client()
    client.receive_data(b"HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n", 0.0)
    client.receive_data(f"{len(BODY):x}\r\n".encode() + BODY, 0.0)
    assert client.events() == []
    client.receive_data(b"\r\n0\r\n\r\n", 0.0)
    assert client.events() == [UpgradeRefused(401, None, ERROR)]


def test_a_refusal_that_ends_with_the_connection_is_read_to_its_end() -> None:
    client = make_client()
    client.receive_data(b"HTTP/1.1 401 No\r\nX-Correlation-ID: c\r\n\r\n" + BODY, 0.0)
    assert not client.finished
    client.receive_eof(0.0)
    assert client.events() == [UpgradeRefused(401, "c", ERROR)]
    client.data_to_send(0.0)
    nothing_more(client)


def test_a_refusal_that_is_cut_off_keeps_its_status() -> None:
    client = make_client()
    client.receive_data(refusal(401, BODY)[:-20], 0.0)
    client.receive_eof(0.0)
    assert client.events() == [UpgradeRefused(401, None, None)]


def test_of_an_endless_body_only_the_beginning_is_held() -> None:
    client = make_client()
    client.receive_data(b"HTTP/1.1 500 No\r\n\r\n", 0.0)
    for _ in range(64):
        client.receive_data(b" " * 65536, 0.0)
    assert len(client._body) <= 65536
    client.receive_eof(0.0)
    assert client.events() == [UpgradeRefused(500, None, None)]


def test_a_refusal_whose_body_does_not_end_in_time_keeps_its_status() -> None:
    client = make_client(upgrade_timeout=5.0)
    client.receive_data(b"HTTP/1.1 401 No\r\nContent-Length: 500\r\n\r\n{", 1.0)
    client.handle_timeout(5.0)
    assert client.events() == [UpgradeRefused(401, None, None)]


@pytest.mark.parametrize(
    "answer",
    [
        b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 banana\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nbroken\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
    ],
)
def test_garbage_for_an_answer_is_a_failed_upgrade(answer: bytes) -> None:
    client = make_client()
    client.data_to_send(0.0)
    client.receive_data(answer, 0.0)
    failed(client.events())
    nothing_more(client)


@pytest.mark.parametrize(
    ("headers", "without"),
    [
        ([], ["Upgrade"]),
        ([("Upgrade", "h2c")], []),
        ([], ["Connection"]),
        ([("Connection", "close")], []),
        ([], ["Sec-WebSocket-Accept"]),
        ([("Sec-WebSocket-Accept", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")], []),
        ([("Sec-WebSocket-Extensions", "permessage-deflate")], []),
        ([("Sec-WebSocket-Protocol", "\xe9")], []),
        ([("Connection", "\xe9")], []),
    ],
)
def test_a_response_that_is_not_the_upgrade_asked_for_is_a_failed_upgrade(
    headers: list[tuple[str, str]], without: list[str]
) -> None:
    client = make_client(form=CredentialForm.PAIR)
    client.receive_data(response(client, *headers, without=without), 0.0)
    assert KEY not in failed(client.events())
    nothing_more(client)


@pytest.mark.parametrize("answer", [b"", b"H", b"HTTP/1.1 101 Switching", b"HTTP/1.1 401 No\r\nX: y\r\n"])
def test_an_end_before_the_answer_is_whole_is_a_failed_upgrade(answer: bytes) -> None:
    client = make_client()
    client.data_to_send(0.0)
    client.receive_data(answer, 0.0)
    client.receive_eof(0.0)
    failed(client.events())
    nothing_more(client)


def test_an_answer_that_does_not_come_in_time_is_a_failed_upgrade() -> None:
    client = make_client(now=100.0, upgrade_timeout=5.0)
    client.data_to_send(100.0)
    assert client.next_timeout() == 105.0
    client.handle_timeout(104.9)
    assert not client.finished
    client.handle_timeout(105.0)
    assert "in time" in failed(client.events())
    nothing_more(client)


def test_a_lost_connection_ends_a_session_that_has_begun() -> None:
    client = make_client()
    client.receive_data(response(client), 0.0)
    client.receive_eof(0.0)
    assert closed(client.events()).code == 1006
    nothing_more(client)


def test_no_event_shows_the_secret() -> None:
    for form in CredentialForm:
        for headers in ([], [("Sec-WebSocket-Protocol", KEY)], [("Sec-WebSocket-Protocol", f"{KEY}, {KEY}")]):
            client = make_client(form=form)
            client.receive_data(response(client, *headers), 0.0)
            client.receive_eof(0.0)
            for event in client.events():
                assert KEY not in repr(event)
                assert KEY not in str(event)
                assert not (isinstance(event, UpgradeFailed) and KEY in event.what)
