"""Judged by somebody else's implementation: the sans-I/O halves of `websockets`, in memory."""

from __future__ import annotations

import json

import pytest
from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri
from wire.raw import (
    CORRELATION_ID,
    KEY,
    accept,
    envelope,
    make_client,
    make_server,
    make_session,
    ready,
    requested,
)

from ihproto import (
    ConfigApplied,
    Envelope,
    SegmentAccepted,
    ServerSettings,
    SessionClosed,
)
from ihproto.wire import (
    ClientConnection,
    Credential,
    CredentialForm,
    HttpError,
    ServerConnection,
    UpgradeAccepted,
    UpgradeRefused,
    UpgradeRequested,
)

OFFERS = [
    (CredentialForm.SUBPROTOCOL, [KEY], KEY),
    (CredentialForm.PAIR, ["access_token", KEY], "access_token"),
]


def their_client(subprotocols: list[str] | None = None) -> ClientProtocol:
    offered = [Subprotocol(name) for name in subprotocols] if subprotocols else None
    client = ClientProtocol(parse_uri("ws://localhost:8080/v1/stream/analyze"), subprotocols=offered)
    upgrade = client.connect()
    if offered is None:
        upgrade.headers["Authorization"] = f"Bearer {KEY}"
    client.send_request(upgrade)
    return client


def to_server(client: ClientProtocol, server: ServerConnection) -> None:
    for data in client.data_to_send():
        if data:
            server.receive_data(data, 0.0)
        else:
            server.receive_eof(0.0)


def to_client(server: ServerConnection, client: ClientProtocol) -> None:
    data = server.data_to_send(0.0)
    if data:
        client.receive_data(data)
    if server.finished:
        client.receive_eof()


def said(client: ClientProtocol) -> list[str]:
    """The types of the envelopes that their client got."""
    frames = [event for event in client.events_received() if isinstance(event, Frame)]
    return [json.loads(bytes(frame.data))["type"] for frame in frames if frame.opcode is Opcode.TEXT]


def opened(subprotocols: list[str] | None = None) -> tuple[ClientProtocol, ServerConnection, Credential | None]:
    client, server = their_client(subprotocols), make_server()
    to_server(client, server)
    credential = requested(server).credential
    accept(server, ServerSettings(segment_data=False))
    to_client(server, client)
    assert client.handshake_exc is None
    assert client.state is State.OPEN
    return client, server, credential


@pytest.mark.parametrize(("form", "offered", "selected"), OFFERS)
def test_their_client_is_content_with_the_subprotocol_that_our_server_selects(
    form: CredentialForm, offered: list[str], selected: str
) -> None:
    client, _, credential = opened(offered)
    assert credential == Credential(KEY, form)
    assert client.subprotocol == selected
    response = next(event for event in client.events_received() if isinstance(event, Response))
    assert response.headers["X-Correlation-ID"] == CORRELATION_ID


def test_their_client_has_a_whole_session_with_our_server() -> None:
    client, server, credential = opened()
    assert credential == Credential(KEY, CredentialForm.HEADER)
    assert client.subprotocol is None
    assert said(client) == ["session.ready"]
    client.send_text(b'{"include": ["conver', fin=False)
    client.send_ping(b"between")
    client.send_continuation(b'sation_quality_overall"]}', fin=True)
    client.send_binary(b"x" * 70_000, fin=False)
    client.send_continuation(b"", fin=False)
    client.send_continuation(b"y", fin=True)
    client.send_binary(b"z" * 300)
    to_server(client, server)
    events = server.events()
    assert isinstance(events[0], ConfigApplied)
    assert [event.size for event in events if isinstance(event, SegmentAccepted)] == [70_001, 300]
    to_client(server, client)
    received = client.events_received()
    pong = next(one for one in received if isinstance(one, Frame))
    assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"between")
    client.send_close(1000, "done")
    to_server(client, server)
    (over,) = server.events()
    assert over == SessionClosed(1000, "done")
    to_client(server, client)
    assert client.state is State.CLOSED
    assert client.close_code == 1000
    assert server.finished


def test_their_client_sees_a_graceful_end() -> None:
    client, server, _ = opened()
    client.send_text(b'{"type": "session.close"}')
    to_server(client, server)
    to_client(server, client)
    assert said(client) == ["session.ready", "session.closing", "session.ended"]
    to_server(client, server)
    assert server.finished
    to_client(server, client)
    assert (client.close_code, client.state) == (1000, State.CLOSED)


def test_their_client_sees_a_refused_session() -> None:
    client, server = their_client(), make_server()
    to_server(client, server)
    session = make_session()
    session.refuse("ih2003", 0.0)
    server.accept(session, 0.0)
    to_client(server, client)
    assert said(client) == ["error"]
    to_server(client, server)
    assert server.finished
    to_client(server, client)
    assert client.close_code == 4003


def test_their_client_sees_a_refused_upgrade() -> None:
    client, server = their_client(), make_server()
    to_server(client, server)
    server.refuse(401, HttpError.of("ih2001"), 0.0)
    to_client(server, client)
    assert isinstance(client.handshake_exc, InvalidStatus)
    response = client.handshake_exc.response
    assert response.status_code == 401
    assert response.headers["X-Correlation-ID"] == CORRELATION_ID
    assert response.body is not None
    assert json.loads(response.body)["error_id"] == "ih2001"


def test_their_client_that_breaks_the_framing_is_told_so() -> None:
    client, server, _ = opened()
    server.receive_data(b"\x81\x01x", 0.0)
    to_client(server, client)
    assert client.close_code == 1002
    assert server.finished


# -- our client, their server ---------------------------------------------------------------------------


def pump(client: ClientConnection, server: ServerProtocol) -> None:
    server.receive_data(client.data_to_send(0.0))
    for data in server.data_to_send():
        if data:
            client.receive_data(data, 0.0)
        else:
            client.receive_eof(0.0)


def their_server(client: ClientConnection, subprotocols: list[str] | None = None) -> ServerProtocol:
    names = [Subprotocol(name) for name in subprotocols] if subprotocols else None
    server = ServerProtocol(subprotocols=names)
    server.receive_data(client.data_to_send(0.0))
    (upgrade,) = server.events_received()
    assert isinstance(upgrade, Request)
    response = server.accept(upgrade)
    assert response.status_code == 101
    response.headers["X-Correlation-ID"] = CORRELATION_ID
    server.send_response(response)
    return server


@pytest.mark.parametrize(("form", "offered", "selected"), [(CredentialForm.HEADER, None, None), *OFFERS])
@pytest.mark.parametrize("strict", [False, True])
def test_our_client_is_content_with_the_subprotocol_that_their_server_selects(
    form: CredentialForm, offered: list[str] | None, selected: str | None, strict: bool
) -> None:
    client = make_client(form=form, strict=strict)
    server = their_server(client, [selected] if selected else None)
    pump(client, server)
    assert client.events() == [UpgradeAccepted(CORRELATION_ID, selected)]


def test_our_client_has_a_whole_session_with_their_server() -> None:
    client = make_client()
    server = their_server(client)
    text = envelope("weather.updated", {"words": "é日😀"})
    server.send_text(ready())
    server.send_text(text[:50], fin=False)
    server.send_ping(b"between")
    server.send_continuation(text[50:], fin=True)
    pump(client, server)
    accepted, *envelopes = client.events()
    assert isinstance(accepted, UpgradeAccepted)
    assert [one.type for one in envelopes if isinstance(one, Envelope)] == ["session.ready", "weather.updated"]
    assert client.session is not None
    client.session.send_config(["conversation_quality_overall"])
    client.session.send_segment(b"x" * 70_000, final=False)
    client.session.send_segment(b"y")
    pump(client, server)
    got = [event for event in server.events_received() if isinstance(event, Frame)]
    assert [(one.opcode, one.fin, len(one.data)) for one in got] == [
        (Opcode.PONG, True, 7),
        (Opcode.TEXT, True, len(got[1].data)),
        (Opcode.BINARY, False, 70_000),
        (Opcode.CONT, True, 1),
    ]
    assert bytes(got[2].data) + bytes(got[3].data) == b"x" * 70_000 + b"y"
    client.session.close(1001, "going")
    pump(client, server)
    assert client.events() == [SessionClosed(1001, "going")]
    assert client.finished
    assert server.close_rcvd is not None
    assert (server.close_rcvd.code, server.close_rcvd.reason) == (1001, "going")


def test_our_client_answers_the_close_of_their_server() -> None:
    client = make_client()
    server = their_server(client)
    server.send_text(ready())
    server.send_close(4003, "no")
    pump(client, server)
    pump(client, server)
    assert client.events()[-1] == SessionClosed(4003, "no")
    assert client.finished
    assert server.close_rcvd is not None
    assert server.close_rcvd.code == 4003


@pytest.mark.parametrize("form", CredentialForm)
def test_our_client_reads_the_refusal_of_their_server(form: CredentialForm) -> None:
    client = make_client(form=form)
    server = ServerProtocol()
    server.receive_data(client.data_to_send(0.0))
    server.send_response(
        Response(401, "Unauthorized", Headers({"Content-Length": "26"}), b'{"error_id": "ih2002-..."}')
    )
    pump(client, server)
    assert client.events() == [UpgradeRefused(401, None, HttpError("ih2002-..."))]
    assert client.finished


def test_our_server_takes_what_their_client_offers_beside_the_credential() -> None:
    client, server = their_client(["access_token", KEY]), make_server()
    to_server(client, server)
    (event,) = server.events()
    assert isinstance(event, UpgradeRequested)
    assert event.credential == Credential(KEY, CredentialForm.PAIR)
    assert event.path == "/v1/stream/analyze"
