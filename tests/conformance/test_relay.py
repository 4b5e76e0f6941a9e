from __future__ import annotations

import functools
import hashlib
import json
import tracemalloc
from contextlib import suppress

import anyio
import pytest
from adapters.faces import RawPeer, analyse, raw_server
from builders import detected, ready, signal_ended
from conformance.relayed import CORRELATION_ID, KEY, Ended, blamed, everything, relay_to, run, upstream
from wire.raw import CLOSE, CONTINUATION, TEXT, close_payload, frame, refusal

from ihproto import V0, V1, V2, LocalProtocolError, NominalScanner, Side
from ihproto.anyio import ConnectError, RawStream, ServerStream, StreamError, UpgradeError, connect, connect_raw, serve
from ihproto.wire import (
    Credential,
    CredentialForm,
    RawBytes,
    RawClose,
    RawLost,
    RawText,
    UpgradeRefused,
    UpgradeRequested,
)
from ihproto_conformance.relay import Relay, RelayedSession
from ihproto_conformance.trace import Binary, Close, Lost, Request, Response, Text
from ihproto_conformance.verdict import Entry

MIB = 1024 * 1024
CREDENTIAL = Credential(KEY)
#: Texts that no rule would let pass, and that a careless relay would change: not JSON, blanks, escapes, no letters.
TEXTS = ["", "not JSON", '{ "type" :"x"\n, "n": 1.500}', "aé日😀 / \\u00e9", "\u0000"]


async def leave(stream: RawStream) -> None:
    """Answer a close, and say nothing else."""
    async for event in stream:
        if isinstance(event, RawClose):
            await stream.close(event.code, event.reason)


# -- what passes ----------------------------------------------------------------------------------


def test_every_text_of_both_sides_passes_character_for_character_in_order() -> None:
    heard: list[str] = []

    async def script(stream: RawStream) -> None:
        for text in TEXTS:
            await stream.send_text(text)
        async for event in stream:
            if isinstance(event, RawText):
                heard.append(event.text)
            elif isinstance(event, RawClose):
                await stream.close(event.code)

    async def body() -> None:
        async with (
            upstream(script) as server,
            relay_to(server) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            for text in TEXTS:
                await client.send_text(text)
            told = []
            async for event in client:
                if isinstance(event, RawText):
                    told.append(event.text)
                if len(told) == len(TEXTS):
                    await client.close()
        assert told == TEXTS
        assert heard == TEXTS
        (session,) = relay.sessions
        kept = [entry.record for entry in session.entries if isinstance(entry.record.passed, Text)]
        for side in Side:
            assert [record.passed for record in kept if record.sender is side] == [Text(text) for text in TEXTS]

    run(body)


def test_a_text_in_fragments_arrives_as_one_message_even_if_a_character_is_cut() -> None:
    whole = "aé日😀" * 3
    data = whole.encode()

    async def script(peer: RawPeer) -> None:
        await peer.upgrade()
        await peer.send(frame(TEXT, data[:2], fin=False))
        for index in range(2, len(data) - 1):
            await peer.send(frame(CONTINUATION, data[index : index + 1], fin=False))
        await peer.send(frame(CONTINUATION, data[-1:]) + frame(CLOSE, close_payload(1000)))
        assert (await peer.read_frame()).opcode == CLOSE

    async def body() -> None:
        async with (
            raw_server(script) as url,
            Relay(url) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            events = []
            async for event in client:
                events.append(event)
                if isinstance(event, RawClose):
                    await client.close(event.code)
        texts = [event for event in events if isinstance(event, RawText)]
        assert "".join(text.text for text in texts) == whole
        assert [text.final for text in texts] == [False] * (len(texts) - 1) + [True]

    run(body)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 3 * MIB + 7])
def test_every_byte_of_a_binary_message_passes_both_ways(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    sent = hashlib.sha256(data[:size]).hexdigest()
    got = {Side.CLIENT: hashlib.sha256(), Side.SERVER: hashlib.sha256()}
    messages = {Side.CLIENT: 0, Side.SERVER: 0}

    def take(side: Side, event: object) -> bool:
        if isinstance(event, RawBytes):
            got[side].update(event.data)
            messages[side] += event.final
        return isinstance(event, RawBytes) and event.final

    async def script(stream: RawStream) -> None:
        async for event in stream:
            if take(Side.CLIENT, event):
                await stream.send_bytes(data[: size // 2], final=False)
                await stream.send_bytes(data[size // 2 : size])
            elif isinstance(event, RawClose):
                await stream.close()

    async def body() -> None:
        async with (
            upstream(script) as server,
            relay_to(server) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            await client.send_bytes(data[:size])
            async for event in client:
                if take(Side.SERVER, event):
                    await client.close()
        assert {side: digest.hexdigest() for side, digest in got.items()} == dict.fromkeys(Side, sent)
        assert messages == dict.fromkeys(Side, 1)
        (session,) = relay.sessions
        kept = [entry.record.passed for entry in session.entries if isinstance(entry.record.passed, Binary)]
        assert [(binary.size, binary.sha256) for binary in kept] == [(size, sent)] * 2

    run(body)


def test_a_segment_of_32_mib_is_never_held() -> None:
    size = 32 * MIB
    piece = bytes(MIB)
    got = 0

    async def script(stream: RawStream) -> None:
        nonlocal got
        async for event in stream:
            if isinstance(event, RawBytes):
                got += len(event.data)
                if event.final:
                    await stream.send_text("done")
            elif isinstance(event, RawClose):
                await stream.close()

    async def send(client: RawStream, count: int) -> None:
        for index in range(count):
            await client.send_bytes(piece, final=index == count - 1)
        async for event in client:
            if isinstance(event, RawText):
                return

    async def body() -> None:
        async with (
            upstream(script) as server,
            relay_to(server, make_scanner=None) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            await send(client, 1)
            tracemalloc.start()
            try:
                await send(client, size // MIB)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            await client.close()
            await everything(client)
        assert got == size + MIB
        # The piece that the client is sending, masked, and what is on its way through: all in this one process.
        assert peak < 8 * MIB

    run(body)


def test_a_server_that_takes_nothing_holds_the_client_up() -> None:
    """The relay reads no more than it can pass on."""
    most = 256 * MIB
    sent = 0

    async def script(peer: RawPeer) -> None:
        await peer.upgrade()
        await anyio.sleep_forever()

    async def send(client: RawStream) -> None:
        nonlocal sent
        while sent < most:
            await client.send_bytes(bytes(MIB), final=False)
            sent += MIB

    async def body() -> None:
        async with (
            raw_server(script) as url,
            Relay(url, make_scanner=None, options={"shutdown_timeout": 0.05}) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(send, client)
            for _ in range(4):
                await anyio.wait_all_tasks_blocked()
            # What the buffers of two connections take.
            assert 0 < sent < most / 4
            tasks.cancel_scope.cancel()

    run(body)


# -- the upgrade ----------------------------------------------------------------------------------


FORMS = list(CredentialForm)


@pytest.mark.parametrize("form", FORMS)
def test_the_request_is_the_client_s_but_for_what_is_of_the_connection(form: CredentialForm) -> None:
    asked: list[UpgradeRequested] = []

    async def handle(stream: ServerStream) -> None:
        asked.append(stream.request)
        chosen = [("Sec-WebSocket-Protocol", stream.request.subprotocols[0])] if stream.request.subprotocols else []
        raw = await stream.accept_raw([("X-Correlation-ID", CORRELATION_ID), ("X-Served-By", "é"), *chosen])
        await leave(raw)

    async def body() -> None:
        headers = [("Origin", "https://a.b"), ("X-Client-Request-Id", "r-7"), ("X-Odd", "a"), ("X-Odd", "b")]
        target = "/v2/stream/analyze?model=inter-2&x=%2F+y"
        async with (
            serve(handle) as server,
            relay_to(server) as relay,
            connect_raw(relay.url + target, credential=Credential(KEY, form), headers=headers) as client,
        ):
            assert client.accepted is not None
            assert client.accepted.correlation_id == CORRELATION_ID
            assert (
                client.accepted.subprotocol == {"header": None, "subprotocol": KEY, "pair": "access_token"}[form.value]
            )
            assert (b"x-served-by", "é".encode("latin-1")) in client.accepted.headers
            await client.close()
            await everything(client)
        (request,) = asked
        assert request.target == target
        assert request.credential == Credential(KEY, form)
        assert [(name, value) for name, value in request.headers if name == b"x-odd"] == [
            (b"x-odd", b"a"),
            (b"x-odd", b"b"),
        ]
        assert (request.origin, request.client_request_id) == ("https://a.b", "r-7")
        hosts = [value for name, value in request.headers if name == b"host"]
        assert hosts == [server.url.removeprefix("ws://").encode()]
        assert not [name for name, _ in request.headers if name == b"sec-websocket-extensions"]

    run(body)


def test_no_credential_is_passed_on_as_none() -> None:
    asked: list[UpgradeRequested] = []

    async def handle(stream: ServerStream) -> None:
        asked.append(stream.request)
        await leave(await stream.accept_raw([("X-Correlation-ID", CORRELATION_ID)]))

    async def body() -> None:
        async with serve(handle) as server, relay_to(server) as relay, connect_raw(relay.url) as client:
            await client.close()
            await everything(client)
        assert [request.credential for request in asked] == [None]
        (session,) = relay.sessions
        assert blamed(session.entries) == [(Side.CLIENT, "HS-2")]

    run(body)


@pytest.mark.parametrize(
    ("url_path", "asked_path", "passed"),
    [
        ("", "/v0/stream/analyze", "/v0/stream/analyze"),
        ("/elsewhere", "/v0/stream/analyze?a=b", "/v0/stream/analyze?a=b"),
        ("/elsewhere", "/?a=b", "/elsewhere?a=b"),
        ("", "/", "/v1/stream/analyze"),
    ],
)
def test_the_path_is_the_client_s_or_else_that_of_the_url_or_the_revision(
    url_path: str, asked_path: str, passed: str
) -> None:
    async def script(peer: RawPeer) -> None:
        found = await peer.read_head()
        lines.append(found.line)
        await peer.send(refusal(401, b""))

    lines: list[str] = []

    async def body() -> None:
        async with raw_server(script) as url, Relay(url + url_path) as relay:
            port = int(relay.url.rpartition(":")[2])
            async with await anyio.connect_tcp("127.0.0.1", port) as socket:
                peer = RawPeer(socket)
                await peer.send(
                    f"GET {asked_path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
                )
                assert (await peer.read_head()).status == 401
        assert lines == [f"GET {passed} HTTP/1.1"]

    run(body)


@pytest.mark.parametrize(("status", "body_of"), [(401, b'{"error_id": "ih2001"}'), (403, b"\xff not JSON"), (503, b"")])
def test_a_refusal_passes_with_status_headers_and_body(status: int, body_of: bytes) -> None:
    async def handle(stream: ServerStream) -> None:
        await stream.refuse_raw(status, [("X-Correlation-ID", "c-1"), ("WWW-Authenticate", "Bearer")], body_of)

    async def body() -> None:
        async with serve(handle) as server, relay_to(server) as relay:
            with pytest.raises(UpgradeError) as caught:
                async with connect_raw(relay.url, credential=CREDENTIAL):
                    pass
        event = caught.value.event
        assert isinstance(event, UpgradeRefused)
        assert (event.status, event.body, event.correlation_id) == (status, body_of, "c-1")
        assert (b"www-authenticate", b"Bearer") in event.headers
        (session,) = relay.sessions
        assert not session.accepted
        assert isinstance(session.entries[-1].record.passed, Response)
        assert session.entries[-1].record.passed.status == status
        assert blamed(session.entries) == []

    run(body)


def test_a_server_that_is_not_there_is_a_502_that_says_so() -> None:
    async def body() -> None:
        async with Relay("ws://127.0.0.1:1") as relay:
            with pytest.raises(UpgradeError) as caught:
                async with connect_raw(relay.url, credential=CREDENTIAL):
                    pass
        event = caught.value.event
        assert isinstance(event, UpgradeRefused)
        assert event.status == 502
        assert event.error is not None
        assert "127.0.0.1:1 cannot be reached" in (event.error.message or "")
        (session,) = relay.sessions
        assert isinstance(session.entries[-1].record.passed, Lost)
        assert blamed(session.entries) == []

    run(body)


def test_an_answer_that_is_none_is_a_502_that_says_so() -> None:
    async def script(peer: RawPeer) -> None:
        await peer.read_head()
        await peer.send(b"nonsense\r\n\r\n")

    async def body() -> None:
        async with raw_server(script) as url, Relay(url) as relay:
            with pytest.raises(UpgradeError) as caught:
                async with connect_raw(relay.url, credential=CREDENTIAL):
                    pass
        event = caught.value.event
        assert isinstance(event, UpgradeRefused)
        assert event.status == 502
        assert event.error is not None
        assert "not a valid WebSocket upgrade" in (event.error.message or "")

    run(body)


def test_plain_http_is_not_relayed_and_the_answer_says_so() -> None:
    async def body() -> None:
        async with Relay("ws://127.0.0.1:1") as relay:
            port = int(relay.url.rpartition(":")[2])
            async with await anyio.connect_tcp("127.0.0.1", port) as socket:
                peer = RawPeer(socket)
                await peer.send(b"POST /v1/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
                answer = await peer.read_head()
                await peer.read_to_end()
        assert answer.status == 501
        assert "no plain HTTP" in json.loads(peer.buffer)["message"]
        assert relay.sessions == []

    run(body)


@pytest.mark.parametrize("url", ["http://localhost", "ws://example.com", "ws://", "nonsense"])
def test_a_url_that_cannot_be_used_is_refused_before_anything_listens(url: str) -> None:
    with pytest.raises(LocalProtocolError):
        Relay(url)


def test_an_unencrypted_server_elsewhere_has_to_be_allowed() -> None:
    Relay("ws://example.com", connect={"allow_plaintext": True})


def test_an_address_in_use_is_said() -> None:
    async def body() -> None:
        async with Relay("ws://127.0.0.1:1") as relay:
            port = int(relay.url.rpartition(":")[2])
            with pytest.raises(ConnectError, match="cannot listen"):
                async with Relay("ws://127.0.0.1:1", options={"port": port}):
                    pass

    run(body)


# -- the end --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (1005, ""), (3000, "é"), (4003, ""), (1011, "x" * 123)])
@pytest.mark.parametrize("first", list(Side))
def test_close_codes_and_reasons_pass_in_both_directions(first: Side, code: int, reason: str) -> None:
    async def follow(stream: RawStream, side: Side) -> None:
        if side is first:
            await stream.close(code, reason)
        async for event in stream:
            if isinstance(event, RawClose):
                heard[side] = (event.code, event.reason)
                # Not an echo, so that it shows whose it is.
                await stream.close(3999, "answer")

    heard: dict[Side, tuple[int, str]] = {}

    async def body() -> None:
        async with (
            upstream(functools.partial(follow, side=Side.SERVER)) as server,
            relay_to(server) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            await follow(client, Side.CLIENT)
        second = Side.SERVER if first is Side.CLIENT else Side.CLIENT
        assert heard == {second: (code, reason), first: (3999, "answer")}
        (session,) = relay.sessions
        closes = [entry.record for entry in session.entries if isinstance(entry.record.passed, Close)]
        assert [(record.sender, record.passed) for record in closes] == [
            (first, Close(code, reason)),
            (second, Close(3999, "answer")),
        ]
        assert blamed(session.entries) == []

    run(body)


def test_a_client_that_is_cut_off_cuts_the_server_off() -> None:
    told: list[object] = []

    async def script(stream: RawStream) -> None:
        told.extend(await everything(stream))

    async def body() -> None:
        over = Ended()
        async with upstream(script) as server, relay_to(server, on_end=over) as relay:
            async with connect_raw(relay.url, credential=CREDENTIAL) as client:
                await client.send_text("{}")
            (session,) = await over.wait()
        assert told[0] == RawText("{}")
        assert isinstance(told[-1], RawLost)
        last = session.entries[-1].record
        assert (last.sender, type(last.passed)) == (Side.CLIENT, Lost)

    run(body)


def test_a_server_that_is_cut_off_cuts_the_client_off() -> None:
    async def script(stream: RawStream) -> None:
        await stream.send_text(ready(), final=True)

    async def body() -> None:
        async with (
            upstream(script) as server,
            relay_to(server) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            told = await everything(client)
        assert told[0] == RawText(ready())
        assert isinstance(told[-1], RawLost)
        (session,) = relay.sessions
        last = session.entries[-1].record
        assert (last.sender, type(last.passed)) == (Side.SERVER, Lost)
        assert blamed(session.entries) == []

    run(body)


def test_a_server_that_closes_and_hangs_up_leaves_the_client_the_time_to_answer() -> None:
    async def script(peer: RawPeer) -> None:
        await peer.upgrade(frame(CLOSE, close_payload(1011, "so sorry")))

    async def body() -> None:
        async with (
            raw_server(script) as url,
            Relay(url) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            async for event in client:
                assert event == RawClose(1011, "so sorry")
                await client.close(1011)
        (session,) = relay.sessions
        senders = [entry.record.sender for entry in session.entries if isinstance(entry.record.passed, Close)]
        assert senders == [Side.SERVER, Side.CLIENT]
        assert (Side.CLIENT, "CLS-3") not in blamed(session.entries)

    run(body)


def test_the_end_of_the_relay_closes_the_client_with_1001_and_blames_nobody() -> None:
    async def body() -> None:
        async with upstream(leave) as server, anyio.create_task_group() as tasks:
            told: list[object] = []
            standing = anyio.Event()

            async def stay(url: str) -> None:
                async with connect_raw(url, credential=CREDENTIAL) as client:
                    standing.set()
                    async for event in client:
                        told.append(event)
                        if isinstance(event, RawClose):
                            await client.close(event.code)

            async with relay_to(server) as relay:
                tasks.start_soon(stay, relay.url)
                await standing.wait()
        assert [type(event) for event in told] == [RawClose]
        assert isinstance(told[0], RawClose)
        assert told[0].code == 1001
        (session,) = relay.sessions
        assert blamed(session.entries) == []

    run(body)


def test_a_client_that_does_not_answer_the_end_of_the_relay_does_not_hold_it_up() -> None:
    async def body() -> None:
        async with (
            upstream(leave) as server,
            relay_to(server, options={"shutdown_timeout": 0.05}) as relay,
            connect_raw(relay.url, credential=CREDENTIAL),
        ):
            await relay._stack.aclose()
        (session,) = relay.sessions
        assert blamed(session.entries) == []

    run(body)


# -- what is found --------------------------------------------------------------------------------


def test_a_session_that_keeps_the_rules_is_found_to_keep_them() -> None:
    """Both of this package; whatever the relay would add, one of them would have to answer for."""

    async def body() -> None:
        ended_sessions = Ended()
        async with (
            serve(analyse) as server,
            relay_to(server, make_scanner=lambda contract: NominalScanner(), on_end=ended_sessions) as relay,
        ):
            async with connect(relay.url, KEY, strict=True, include=["conversation_quality_overall"]) as stream:
                await stream.send_segment(b"media")
                await stream.end()
                async for _ in stream:
                    pass
            (session,) = await ended_sessions.wait()
        assert blamed(session.entries) == []
        assert session.log().media_seconds == 3.0
        assert isinstance(session.entries[0].record.passed, Request)
        assert [record.sender for record in session.trace().records[-2:]] == [Side.SERVER, Side.CLIENT]

    run(body)


def test_what_a_server_breaks_is_said_when_it_passes() -> None:
    """The client hears the message only after the violation was told."""
    said: list[tuple[int, Side, str]] = []
    heard: list[int] = []

    async def script(stream: RawStream) -> None:
        await stream.send_text(ready())
        await stream.send_text(detected(start=2))
        await stream.send_text(signal_ended(end=1))
        await stream.send_text(signal_ended(end=3))
        await leave(stream)

    def on_entry(session: RelayedSession, entry: Entry) -> None:
        said.extend((session.number, violation.side, violation.clause.id) for violation in entry.violations)

    async def body() -> None:
        async with (
            upstream(script) as server,
            relay_to(server, on_entry=on_entry) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            count = 0
            async for event in client:
                count += isinstance(event, RawText)
                heard.append(len(said))
                if count == 4:
                    await client.close()
        assert said == [(1, Side.SERVER, "SIG-4"), (1, Side.SERVER, "SIG-5")]
        assert heard[2:4] == [1, 2] or heard[2:4] == [2, 2]

    run(body)


def test_what_a_client_breaks_is_said_while_its_segment_is_still_on_its_way() -> None:
    said: list[str] = []
    named = anyio.Event

    async def body() -> None:
        found = named()

        def on_entry(session: RelayedSession, entry: Entry) -> None:
            said.extend(str(violation) for violation in entry.violations)
            if entry.violations:
                found.set()

        async with (
            upstream(leave) as server,
            relay_to(server, on_entry=on_entry) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            await client.send_bytes(b"too early", final=False)
            await found.wait()
            await client.send_bytes(b"", final=True)
            await client.close()
            await everything(client)
        assert [line.partition(":")[0] for line in said] == ["RDY-4", "SEG-5"]

    run(body)


@pytest.mark.parametrize(
    ("path", "given", "judged"),
    [
        ("/v1/stream/analyze", None, V1),
        ("/v2/stream/analyze", None, V2),
        ("/v0/stream/analyze", V0, V0),
        ("/v0/stream/analyze", None, "v0.2"),
        ("/elsewhere", None, V1),
    ],
)
def test_the_revision_is_the_newest_at_the_path_or_the_one_that_was_given(
    path: str, given: object, judged: object
) -> None:
    async def body() -> None:
        async with (
            upstream(leave) as server,
            relay_to(server, revision=given) as relay,
            connect_raw(relay.url + path, credential=CREDENTIAL) as client,
        ):
            await client.close()
            await everything(client)
        (session,) = relay.sessions
        assert judged in (session.revision, session.revision.id)

    run(body)


def test_the_limits_of_the_contract_are_those_by_which_media_is_judged() -> None:
    """A client that keeps to a shorter minimum than usual breaks nothing (SEG-4)."""
    contracts = []

    def make(contract: object) -> NominalScanner:
        contracts.append(contract)
        return NominalScanner()

    async def script(stream: RawStream) -> None:
        await stream.send_text(ready(min_segment_duration_seconds=1))
        await leave(stream)

    async def body() -> None:
        async with (
            upstream(script) as server,
            relay_to(server, make_scanner=make) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            async for event in client:
                if isinstance(event, RawText):
                    await client.send_bytes(b"media")
                    await client.close()
        (contract,) = contracts
        assert contract.min_segment_duration_seconds == 1  # type: ignore[attr-defined]

    run(body)


@pytest.mark.parametrize("form", FORMS)
def test_a_credential_is_nowhere_in_what_is_kept_even_if_the_server_repeats_it(form: CredentialForm) -> None:
    async def handle(stream: ServerStream) -> None:
        chosen = [("Sec-WebSocket-Protocol", KEY)] if form is CredentialForm.SUBPROTOCOL else []
        chosen = [("Sec-WebSocket-Protocol", "access_token")] if form is CredentialForm.PAIR else chosen
        raw = await stream.accept_raw([("X-Correlation-ID", CORRELATION_ID), ("X-Echo", f"it is {KEY}"), *chosen])
        await raw.send_text(f"I know that you are {KEY}")
        async for event in raw:
            if isinstance(event, RawClose):
                await raw.close(3000, KEY)

    async def body() -> None:
        async with (
            serve(handle) as server,
            relay_to(server) as relay,
            connect_raw(f"{relay.url}/v1/stream/analyze?k={KEY}", credential=Credential(KEY, form)) as client,
        ):
            told = []
            async for event in client:
                told.append(event)
                if isinstance(event, RawText):
                    await client.send_text(f"and you have {KEY}")
                    await client.close()
        # It passed, and was not kept.
        assert told[0] == RawText(f"I know that you are {KEY}")
        assert told[-1] == RawClose(3000, KEY)
        (session,) = relay.sessions
        kept = b"\n".join(session.trace().encode()).decode() + repr(session) + repr(session.entries)
        assert KEY not in kept
        assert kept.count("[redacted]") >= 6

    run(body)


def test_a_credential_in_a_wrong_place_is_none_that_may_be_kept() -> None:
    parameter, header = KEY, KEY[::-1]

    async def handle(stream: ServerStream) -> None:
        raw = await stream.accept_raw([("X-Correlation-ID", CORRELATION_ID)])
        await raw.send_text(f"I know {parameter} and {header}")
        await raw.close()

    async def body() -> None:
        async with (
            serve(handle) as server,
            relay_to(server) as relay,
            connect_raw(
                f"{relay.url}/v1/stream/analyze?include[]=x&api_key={parameter}", headers=[("X-Auth", header)]
            ) as client,
        ):
            async for event in client:
                if isinstance(event, RawClose):
                    await client.close()
        (session,) = relay.sessions
        assert blamed(session.entries)[0] == (Side.CLIENT, "HS-2")
        kept = b"\n".join(session.trace().encode()).decode() + repr(session) + repr(session.entries)
        assert parameter not in kept
        assert header not in kept
        assert session.target == "/v1/stream/analyze?include[]=x&api_key=[redacted]"

    run(body)


def test_sessions_that_are_over_can_be_taken_out() -> None:
    async def script(stream: RawStream) -> None:
        await stream.close()
        await everything(stream)

    async def body() -> None:
        over = Ended()
        async with upstream(script) as server, relay_to(server, on_end=over) as relay:
            for count in (1, 2):
                async with connect_raw(relay.url, credential=CREDENTIAL) as client:
                    async for event in client:
                        if isinstance(event, RawClose):
                            await client.close()
                await over.wait(count)
                (session,) = relay.sessions
                assert session.number == count
                relay.sessions.clear()

    run(body)


def test_sessions_at_the_same_time_are_kept_apart() -> None:
    async def script(stream: RawStream) -> None:
        async for event in stream:
            if isinstance(event, RawText):
                await stream.send_text(event.text)
            elif isinstance(event, RawClose):
                await stream.close()

    async def body() -> None:
        async with upstream(script) as server, relay_to(server) as relay:

            async def talk(name: str) -> None:
                async with connect_raw(relay.url, credential=CREDENTIAL) as client:
                    await client.send_text(name)
                    async for event in client:
                        if isinstance(event, RawText):
                            assert event.text == name
                            await client.close()

            async with anyio.create_task_group() as tasks:
                for index in range(10):
                    tasks.start_soon(talk, f"client {index}")
        assert sorted(session.number for session in relay.sessions) == list(range(1, 11))
        for session in relay.sessions:
            texts = [entry.record for entry in session.entries if isinstance(entry.record.passed, Text)]
            (_,) = {record.passed for record in texts}
            assert [record.sender for record in texts] == [Side.CLIENT, Side.SERVER]

    run(body)


def test_a_side_that_takes_nothing_for_too_long_is_given_up_and_so_is_the_other() -> None:
    async def script(peer: RawPeer) -> None:
        await peer.upgrade()
        await anyio.sleep_forever()

    async def body() -> None:
        over = Ended()
        async with (
            raw_server(script) as url,
            Relay(url, make_scanner=None, on_end=over, connect={"send_timeout": 0.01}) as relay,
            connect_raw(relay.url, credential=CREDENTIAL) as client,
        ):
            with suppress(StreamError):
                while True:
                    await client.send_bytes(bytes(MIB), final=False)
            (session,) = await over.wait()
        last = session.entries[-1].record
        assert last.sender is Side.SERVER
        assert isinstance(last.passed, Lost)
        assert "has not taken our bytes" in last.passed.reason
        # Which is the client's own fault: there was no session.ready.
        assert blamed(session.entries) == [(Side.CLIENT, "RDY-4")]

    run(body)
