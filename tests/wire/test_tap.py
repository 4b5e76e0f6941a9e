"""A tap is told what passes, both ways, as it was said and before anything is made of it."""

from __future__ import annotations

from typing import Any

import pytest
from wire.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    CORRELATION_ID,
    KEY,
    TEXT,
    close_payload,
    frame,
    make_client,
    ready,
    refusal,
    response,
)

from ihproto import LocalProtocolError, Side
from ihproto.wire import (
    ClientConnection,
    CredentialForm,
    RawBytes,
    RawClose,
    RawLost,
    RawText,
    Tapped,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
    UpgradeRequested,
)

Told = list[tuple[Side, Tapped, float]]
NOT_JSON = '{"type": é '


def tapped(**more: Any) -> tuple[ClientConnection, Told]:
    told: Told = []
    return make_client(tap=lambda sender, event, now: told.append((sender, event, now)), **more), told


def opened() -> tuple[ClientConnection, Told]:
    client, told = tapped()
    client.receive_data(response(client) + frame(TEXT, ready()), 1.0)
    del told[:]
    return client, told


def test_the_request_is_told_with_all_that_it_holds() -> None:
    client, told = tapped(url="ws://localhost:8080/v2/stream/analyze?model=a%20b", headers=[("Origin", "https://a.b")])
    assert told == []
    client.data_to_send(0.25)
    ((sender, event, now),) = told
    assert (sender, now) == (Side.CLIENT, 0.25)
    assert isinstance(event, UpgradeRequested)
    assert (event.path, event.target) == ("/v2/stream/analyze", "/v2/stream/analyze?model=a%20b")
    assert event.query == (("model", "a b"),)
    assert event.origin == "https://a.b"
    assert dict(event.headers) == {b"host": b"localhost:8080", b"origin": b"https://a.b"}
    assert event.credential is not None
    assert event.credential.value == KEY
    assert event.authorization == f"Bearer {KEY}"
    assert KEY not in repr(event)


def test_a_credential_among_the_subprotocols_is_told_as_offered() -> None:
    client, told = tapped(form=CredentialForm.PAIR)
    client.data_to_send(0.0)
    (_, event, _) = told[0]
    assert isinstance(event, UpgradeRequested)
    assert (event.authorization, event.subprotocols) == (None, ("access_token", KEY))


def test_everything_is_told_in_the_order_in_which_it_passes() -> None:
    client, told = tapped()
    client.receive_data(response(client), 1.0)
    text = ready()
    client.receive_data(frame(TEXT, text[:9], fin=False) + frame(CONTINUATION, text[9:]), 2.0)
    assert client.session is not None
    client.session.send_segment(b"media", final=False)
    client.data_to_send(3.0)
    client.receive_data(frame(TEXT, NOT_JSON.encode()) + frame(BINARY, b"\0"), 4.0)
    client.session.send_segment(b"more")
    client.session.close(1000, "done")
    client.data_to_send(5.0)
    client.receive_data(frame(CLOSE, close_payload(1000, "done")), 6.0)
    client.receive_eof(7.0)
    assert [sender for sender, _, _ in told[:2]] == [Side.CLIENT, Side.SERVER]
    assert isinstance(told[1][1], UpgradeAccepted)
    assert told[1][1].correlation_id == CORRELATION_ID
    assert told[2:] == [
        (Side.SERVER, RawText(text[:9].decode(), final=False), 2.0),
        (Side.SERVER, RawText(text[9:].decode()), 2.0),
        (Side.CLIENT, RawBytes(b"media", final=False), 3.0),
        (Side.SERVER, RawText(NOT_JSON), 4.0),
        (Side.SERVER, RawBytes(b"\0"), 4.0),
        (Side.CLIENT, RawBytes(b"more"), 5.0),
        (Side.CLIENT, RawClose(1000, "done"), 5.0),
        (Side.SERVER, RawClose(1000, "done"), 6.0),
    ]


def test_a_close_of_the_server_and_the_answer_to_it_are_told() -> None:
    client, told = opened()
    client.receive_data(frame(CLOSE, close_payload(1011, "so sorry")), 2.0)
    assert told == [
        (Side.SERVER, RawClose(1011, "so sorry"), 2.0),
        (Side.CLIENT, RawClose(1011, "so sorry"), 2.0),
    ]


def test_a_refusal_is_told() -> None:
    client, told = tapped()
    client.data_to_send(0.0)
    client.receive_data(refusal(401, b"no"), 1.0)
    assert [type(event) for _, event, _ in told] == [UpgradeRequested, UpgradeRefused]
    assert told[1][0] is Side.SERVER


@pytest.mark.parametrize("how", ["nonsense", "ended", "late"])
def test_an_upgrade_that_comes_to_nothing_is_told(how: str) -> None:
    client, told = tapped(upgrade_timeout=30.0)
    client.data_to_send(0.0)
    if how == "nonsense":
        client.receive_data(b"nonsense\r\n\r\n", 1.0)
    elif how == "ended":
        client.receive_eof(1.0)
    else:
        client.handle_timeout(30.0)
    assert [type(event) for _, event, _ in told] == [UpgradeRequested, UpgradeFailed]


def test_a_lost_connection_is_told_once() -> None:
    client, told = opened()
    client.receive_eof(2.0, "it is gone")
    client.receive_eof(3.0, "it is gone")
    assert told == [(Side.SERVER, RawLost("it is gone"), 2.0)]


def test_a_close_that_is_not_answered_is_told_as_a_loss() -> None:
    client, told = opened()
    assert client.session is not None
    client.session.close()
    client.data_to_send(2.0)
    client.handle_timeout(12.0)
    assert told == [(Side.CLIENT, RawClose(1000, ""), 2.0), (Side.SERVER, RawLost("the close was not answered"), 12.0)]


def test_broken_framing_is_told_before_the_close_that_it_brings() -> None:
    client, told = opened()
    client.receive_data(frame(TEXT, b"x", reserved=7), 2.0)
    (lost, close) = told
    assert (lost[0], type(lost[1])) == (Side.SERVER, RawLost)
    assert close[0] is Side.CLIENT
    assert isinstance(close[1], RawClose)
    assert close[1].code == 1002


def test_what_the_session_refuses_to_send_is_not_told() -> None:
    client, told = tapped()
    client.receive_data(response(client), 1.0)
    del told[:]
    assert client.session is not None
    with pytest.raises(LocalProtocolError):
        client.session.send_segment(b"too early")
    client.data_to_send(2.0)
    assert told == []
