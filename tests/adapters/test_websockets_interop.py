"""The anyio adapter against the asyncio client and server of `websockets`, over sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

import pytest
import websockets.asyncio.client
import websockets.asyncio.server
from adapters.faces import analyse, collect
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol
from wire.raw import CORRELATION_ID, KEY, envelope, ready

from ihproto.anyio import ServerStream, SessionRefused, UpgradeError, connect, serve
from ihproto.wire import Credential, CredentialForm, HttpError, UpgradeRefused


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(15):
            await body()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("offered", "credential", "selected"),
    [
        ([KEY], Credential(KEY, CredentialForm.SUBPROTOCOL), KEY),
        (["access_token", KEY], Credential(KEY, CredentialForm.PAIR), "access_token"),
        (None, Credential(KEY, CredentialForm.HEADER), None),
    ],
)
def test_their_client_gets_the_subprotocol_back_and_has_a_whole_session(
    offered: list[str] | None, credential: Credential, selected: str | None
) -> None:
    async def body() -> None:
        async def handler(stream: ServerStream) -> None:
            assert stream.request.credential == credential
            await analyse(stream)

        async with (
            serve(handler) as server,
            websockets.asyncio.client.connect(
                server.url,
                subprotocols=[Subprotocol(name) for name in offered] if offered else None,
                additional_headers={} if offered else {"Authorization": f"Bearer {KEY}"},
            ) as client,
        ):
            assert client.subprotocol == selected
            response = client.response
            assert response is not None
            fields = json.loads(await client.recv())
            assert fields["type"] == "session.ready"
            assert fields["correlation_id"] == response.headers["X-Correlation-ID"]
            await client.send('{"include": ["conversation_quality_overall"]}')
            for _ in range(4):
                await client.send(bytes(300_000))
            await client.send([b"a" * 70_000, b"b"])
            await (await client.ping())
            await client.send('{"type": "session.close"}')
            names = [json.loads(message)["type"] async for message in client]
            assert names[0] == "session.updated"
            assert names[-1] == "session.ended"
            assert "conversation_quality.updated" in names
            assert (client.close_code, client.close_reason) == (1000, "")

    run(body)


def test_their_client_is_told_why_it_was_refused() -> None:
    async def body() -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.refuse(401, HttpError.of("ih2001"))

        async with serve(handler) as server:
            with pytest.raises(InvalidStatus) as caught:
                async with websockets.asyncio.client.connect(server.url):
                    pass
        assert caught.value.response.status_code == 401
        assert json.loads(caught.value.response.body or b"")["error_id"] == "ih2001"

    run(body)


def test_their_client_hears_of_a_missing_scope() -> None:
    async def body() -> None:
        async def handler(stream: ServerStream) -> None:
            await stream.accept(refuse="ih2003")

        async with serve(handler) as server, websockets.asyncio.client.connect(server.url) as client:
            fields = json.loads(await client.recv())
            assert (fields["type"], fields["data"]["code"]) == ("error", "ih2003")
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert client.close_code == 4003

    run(body)


def add_correlation_id(
    connection: websockets.asyncio.server.ServerConnection, request: object, response: Response
) -> None:
    response.headers["X-Correlation-ID"] = CORRELATION_ID


@pytest.mark.parametrize(("form", "selected"), [("header", None), ("subprotocol", KEY), ("pair", "access_token")])
def test_our_client_has_a_whole_session_with_their_server(form: str, selected: str | None) -> None:
    async def body() -> None:
        got: list[int | str] = []

        async def handler(connection: websockets.asyncio.server.ServerConnection) -> None:
            await connection.send(ready().decode())
            await connection.ping()
            async for message in connection:
                got.append(message if isinstance(message, str) else len(message))
                if isinstance(message, str) and "session.close" in message:
                    await connection.send(envelope("session.closing", {"max_drain_seconds": 30}).decode())
                    await connection.send(envelope("session.ended", {"reason": "client_shutdown"}).decode())
                    return

        async with websockets.asyncio.server.serve(
            handler,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol(selected)] if selected else None,
            process_response=add_correlation_id,
            max_size=None,
        ) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            async with connect(f"ws://127.0.0.1:{port}", KEY, form=form, strict=True) as client:
                await client.send_segment(bytes(3 * 1024 * 1024))
                await client.send_segment(b"x")
                await client.end()
                names, over = await collect(client)
        assert names == ["session.ready", "session.closing", "session.ended"]
        assert over.code == 1000
        assert [one for one in got if isinstance(one, int)] == [3 * 1024 * 1024, 1]

    run(body)


def test_our_client_reads_the_refusal_of_their_server() -> None:
    async def body() -> None:
        async def handler(connection: websockets.asyncio.server.ServerConnection) -> None:
            raise AssertionError("the upgrade was accepted")

        def refuse(connection: websockets.asyncio.server.ServerConnection, request: object) -> Response:
            return connection.respond(403, "no")

        async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0, process_request=refuse) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(UpgradeError) as caught:
                async with connect(f"ws://127.0.0.1:{port}", KEY):
                    pass
        assert caught.value.event == UpgradeRefused(403, None, None)

    run(body)


def test_our_client_takes_the_failure_of_their_handler_for_a_refused_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "websockets")

    async def body() -> None:
        async def handler(connection: websockets.asyncio.server.ServerConnection) -> None:
            raise ZeroDivisionError

        async with websockets.asyncio.server.serve(handler, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(SessionRefused) as caught:
                async with connect(f"ws://127.0.0.1:{port}", KEY):
                    pass
        assert caught.value.closed.code == 1011

    run(body)
