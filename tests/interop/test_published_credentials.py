"""Key pairs and client tokens of the published client, and what they are good for (AUT-1, AUT-2)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import interhumanai
import pytest
import websockets.asyncio.client
from interhumanai import stream as published
from interhumanai.auth import TokenManager
from interop.published import (
    LINKS,
    PIECES,
    RECORDING,
    Heard,
    client_of,
    converse,
    hear,
    next_of,
    run,
    three_seconds,
)
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from ihproto_mock import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, KeyPair, LogEntry, MockServer

STREAM, UPLOAD = "interhumanai.stream", "interhumanai.upload"
TWO_KEYS = {"ih_live_one": [STREAM, UPLOAD], "ih_live_two": [STREAM, UPLOAD]}


def auth_of(mock: MockServer) -> interhumanai.AuthClient:
    return interhumanai.AuthClient(base_url=mock.base_url)


async def token_of(mock: MockServer, **caps: Any) -> str:
    """A client token."""
    return (await auth_of(mock).create_client_token(api_key=mock.key, **caps)).access_token


def refusal(body: Callable[[MockServer], Awaitable[object]], **server: Any) -> interhumanai.InterhumanAPIError:
    """The error that the client raises."""

    async def main() -> None:
        async with MockServer(**server) as mock:
            await body(mock)

    with pytest.raises(interhumanai.InterhumanAPIError) as raised:
        run(main)
    error = raised.value
    if error.error_id is not None:
        assert (error.link or "").startswith(f"{LINKS}{error.error_id}-")
        assert error.correlation_id
    return error


# -- key pairs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scopes", [[STREAM], [UPLOAD], [UPLOAD, STREAM]])
def test_a_key_pair_is_exchanged_for_the_scopes_asked_for(scopes: list[str]) -> None:
    async def body() -> tuple[interhumanai.TokenResponse, bool, str | None]:
        async with MockServer() as mock:
            token = await auth_of(mock).create_token(
                key_id=DEFAULT_KEY_ID, key_secret=DEFAULT_KEY_SECRET, scopes=scopes
            )
            client = client_of(mock, token.access_token)
            stream = await client.stream().connect()
            try:
                await stream.wait_for_session_ready()
                streams = True
            except interhumanai.InterhumanError:
                streams = False
            await stream.close()
            try:
                await client.upload.analyze(RECORDING)
                refused = None
            except interhumanai.InterhumanAPIError as error:
                refused = error.error_id
            return token, streams, refused

    token, streams, refused = run(body)
    assert (token.token_type, token.expires_in) == ("Bearer", 900)
    assert set(token.scope.split()) == set(scopes)
    assert (streams, refused) == (STREAM in scopes, None if UPLOAD in scopes else "ih2003")


def test_old_names_of_scopes_are_issued_as_those_of_today() -> None:
    async def body() -> str:
        async with MockServer() as mock:
            token = await auth_of(mock).create_token(
                key_id=DEFAULT_KEY_ID,
                key_secret=DEFAULT_KEY_SECRET,
                scopes=[interhumanai.Scope.STREAM_INTER_2, interhumanai.Scope.UPLOAD_INTER_2_AUDIO],
            )
            return token.scope

    assert run(body) == f"{STREAM} {UPLOAD}"


@pytest.mark.parametrize(
    ("key_id", "key_secret", "status", "error_id"),
    [
        (DEFAULT_KEY_ID, "s3cret-but-wrong", 401, "ih2001"),
        ("nobody", DEFAULT_KEY_SECRET, 401, "ih2001"),
        (DEFAULT_KEY_ID, "", 400, "ih2005"),
    ],
)
def test_a_pair_that_is_none_is_refused(key_id: str, key_secret: str, status: int, error_id: str) -> None:
    error = refusal(
        lambda mock: auth_of(mock).create_token(key_id=key_id, key_secret=key_secret, scopes=[STREAM]),
    )
    assert (error.status, error.error_id) == (status, error_id)
    assert "s3cret" not in str(error)


def test_ih2005_a_body_without_a_secret() -> None:
    """The client always sends one, so this one is asked for without it."""

    async def body() -> list[tuple[int, str]]:
        async with MockServer() as mock, httpx.AsyncClient(base_url=mock.base_url) as client:
            answers = [
                await client.post(path, json={"key_id": DEFAULT_KEY_ID, "scopes": [STREAM]})
                for path in ("/v0/auth", "/v1/auth")
            ]
            return [(answer.status_code, answer.json()["error_id"]) for answer in answers]

    assert run(body) == [(400, "ih2005")] * 2


def test_ih2003_a_scope_that_the_pair_has_not() -> None:
    pair = KeyPair("streams", "s3cret", [STREAM])
    error = refusal(
        lambda mock: auth_of(mock).create_token(key_id="streams", key_secret="s3cret", scopes=[UPLOAD]),
        key_pairs=[pair],
    )
    assert (error.status, error.error_id) == (403, "ih2003")


@pytest.mark.parametrize("scopes", [[], ["interhumanai.everything"]])
def test_scopes_that_make_no_sense_are_400(scopes: list[str]) -> None:
    error = refusal(
        lambda mock: auth_of(mock).create_token(key_id=DEFAULT_KEY_ID, key_secret=DEFAULT_KEY_SECRET, scopes=scopes)
    )
    assert (error.status, error.error_id) == (400, None)


def test_wrong_credentials_of_a_managed_client_show_when_it_connects() -> None:
    async def connect(mock: MockServer) -> None:
        client = interhumanai.InterhumanClient(key_id=DEFAULT_KEY_ID, key_secret="wrong", base_url=mock.base_url)
        await client.stream().connect()

    error = refusal(connect)
    assert (error.status, error.error_id) == (401, "ih2001")


def test_a_token_manager_renews_before_the_end_and_the_old_token_still_works() -> None:
    entries: list[LogEntry] = []
    moment = 0.0

    async def body() -> list[int]:
        nonlocal moment
        async with MockServer(log=entries.append) as mock:
            manager = TokenManager(
                auth_client=auth_of(mock),
                key_id=DEFAULT_KEY_ID,
                key_secret=DEFAULT_KEY_SECRET,
                clock=lambda: moment,
            )
            tokens = set(await asyncio.gather(*(manager.get_token() for _ in range(5))))
            assert len(tokens) == 1
            # It begins half a minute before the 900 s are over.
            moment = 869.9
            assert await manager.get_token() in tokens
            moment = 870.0
            tokens.add(await manager.get_token())
            assert len(tokens) == 2
            return [(await converse(client_of(mock, token).stream(), PIECES[:1])).close.code for token in tokens]

    assert run(body) == [1000, 1000]
    assert len([entry for entry in entries if entry.event == "request answered"]) == 2


# -- client tokens: what is issued --------------------------------------------------------------------


def test_a_client_token_has_the_documented_defaults() -> None:
    async def body() -> interhumanai.ClientTokenResponse:
        async with MockServer() as mock:
            return await auth_of(mock).create_client_token(api_key=mock.key)

    token = run(body)
    assert (token.token_type, token.scope) == ("Bearer", STREAM)
    assert (token.expires_in, token.max_concurrent) == (300, 1)
    assert (token.max_duration_seconds, token.max_bytes, token.max_video_seconds) == (None, None, None)
    assert token.allowed_origins is None


@pytest.mark.parametrize(("wanted", "got"), [(1, 60), (60, 60), (61, 61), (3600, 3600), (3601, 3600)])
def test_a_lifetime_is_forced_into_a_minute_to_an_hour(wanted: int, got: int) -> None:
    async def body() -> int:
        async with MockServer() as mock:
            return (await auth_of(mock).create_client_token(api_key=mock.key, expires_in=wanted)).expires_in

    assert run(body) == got


def test_the_caps_are_told_as_they_were_asked_for() -> None:
    caps: dict[str, Any] = {
        "max_duration_seconds": 90,
        "max_bytes": 1_000_000,
        "max_concurrent": 3,
        "max_video_seconds": 45,
        "allowed_origins": ["https://app.example"],
    }

    async def body() -> interhumanai.ClientTokenResponse:
        async with MockServer() as mock:
            return await auth_of(mock).create_client_token(api_key=mock.key, scopes=[UPLOAD, STREAM], **caps)

    token = run(body)
    assert {name: getattr(token, name) for name in caps} == caps
    assert set(token.scope.split()) == {UPLOAD, STREAM}


def test_a_token_is_no_key_that_issues_tokens() -> None:
    async def issue(mock: MockServer) -> None:
        token = await token_of(mock)
        await auth_of(mock).create_client_token(api_key=token)

    error = refusal(issue)
    assert (error.status, error.error_id) == (401, "ih2001")


def test_a_key_issues_no_scope_that_it_has_not() -> None:
    error = refusal(lambda mock: token_of(mock, scopes=[UPLOAD]), keys={"ih_live_stream": [STREAM]})
    assert (error.status, error.error_id) == (403, "ih2003")


# -- client tokens: what they are good for ------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_client_token_opens_sessions(version: published.StreamApiVersion) -> None:
    async def body() -> Heard:
        async with MockServer() as mock:
            client = client_of(mock, await token_of(mock))
            return await converse(client.stream(api_version=version), PIECES[:3])

    assert run(body).close.code == 1000


def test_a_client_token_for_the_other_endpoint_is_told_so() -> None:
    async def body() -> tuple[int, str | None]:
        async with MockServer() as mock:
            stream = await client_of(mock, await token_of(mock, scopes=[UPLOAD])).stream().connect()
            with pytest.raises(interhumanai.InterhumanError, match="ih2003"):
                await stream.wait_for_session_ready()
            with pytest.raises(interhumanai.InterhumanAPIError) as raised:
                await client_of(mock, await token_of(mock, scopes=[STREAM])).upload.analyze(RECORDING)
            return (await stream.wait_closed()).code, raised.value.error_id

    assert run(body) == (4003, "ih2003")


@pytest.mark.parametrize(("cap", "announced"), [(120, 120), (3600, 3600), (100_000, 3600)])
def test_max_duration_seconds_is_in_the_contract(cap: int, announced: int) -> None:
    async def body() -> Heard:
        async with MockServer() as mock:
            return await converse(client_of(mock, await token_of(mock, max_duration_seconds=cap)).stream(), [])

    (ready,) = run(body).of(published.SessionReadyEvent)
    assert ready.data.session_max_duration_seconds == announced


def test_max_duration_seconds_ends_the_session() -> None:
    async def body() -> Heard:
        async with MockServer() as mock:
            stream = client_of(mock, await token_of(mock, max_duration_seconds=1)).stream()
            await stream.connect()
            return await hear(stream)

    heard = run(body)
    assert (heard.errors, heard.close.code) == ([("ih6004", None)], 1001)


def test_max_bytes_holds_for_all_that_is_done_with_the_token() -> None:
    most = len(PIECES[0]) + len(PIECES[1]) + 10_000

    async def body() -> tuple[Heard, str | None, int]:
        async with MockServer() as mock:
            token = await token_of(mock, scopes=[STREAM, UPLOAD], max_bytes=most)
            heard = await converse(client_of(mock, token).stream(), PIECES[:3])
            with pytest.raises(interhumanai.InterhumanAPIError) as raised:
                await client_of(mock, token).upload.analyze(RECORDING)
            return heard, raised.value.error_id, raised.value.status

    heard, error_id, status = run(body)
    assert (heard.errors, heard.close.code) == ([("ih3003", 3)], 1000)
    assert (error_id, status) == ("ih3003", 429)


def test_max_video_seconds_holds_for_stream_and_upload_together() -> None:
    async def body() -> tuple[Heard, list[str | None]]:
        told: list[str | None] = []
        async with MockServer(make_scanner=three_seconds) as mock:
            token = await token_of(mock, scopes=[STREAM, UPLOAD], max_video_seconds=10)
            upload = client_of(mock, token).upload
            await upload.analyze(RECORDING)
            heard = await converse(client_of(mock, token).stream(), [b"x"] * 3)
            for call in (upload.analyze(RECORDING), upload.submit(RECORDING, model="inter-2")):
                with pytest.raises(interhumanai.InterhumanAPIError) as raised:
                    await call
                told.append(raised.value.error_id)
        return heard, told

    heard, told = run(body)
    # 3 s of the file and 6 s of the session are used; 1 s is left.
    assert heard.errors == [("ih3006", 3)]
    assert told == ["ih3006", "ih3006"]


def test_max_concurrent_holds_for_stream_and_upload_together() -> None:
    async def body() -> tuple[str, str | None, int]:
        async with MockServer() as mock:
            token = await token_of(mock, scopes=[STREAM, UPLOAD], max_concurrent=1)
            client = client_of(mock, token)
            async with client.stream() as first:
                await first.wait_for_session_ready()
                with pytest.raises(interhumanai.InterhumanError) as refused:
                    await client.stream().connect()
                with pytest.raises(interhumanai.InterhumanAPIError) as raised:
                    await client.upload.analyze(RECORDING)
                await first.request_close()
                await first.wait_closed()
            after = await converse(client.stream(), [])
            assert (await client.upload.analyze(RECORDING)).signals
            return str(refused.value), raised.value.error_id, after.close.code

    text, error_id, code = run(body)
    assert "429" in text
    assert (error_id, code) == ("ih3002", 1000)


def test_two_sessions_where_two_are_allowed() -> None:
    async def body() -> list[int]:
        async with MockServer() as mock:
            client = client_of(mock, await token_of(mock, max_concurrent=2))
            async with client.stream() as first, client.stream() as second:
                for stream in (first, second):
                    await stream.wait_for_session_ready()
                with pytest.raises(interhumanai.InterhumanError, match="429"):
                    await client.stream().connect()
                for stream in (first, second):
                    await stream.request_close()
                return [(await stream.wait_closed()).code for stream in (first, second)]

    assert run(body) == [1000, 1000]


# -- client tokens: web pages -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("https://app.example:8443", True),
        ("https://app.example.evil.example", False),
        ("http://app.example", False),
        ("null", False),
        (None, False),
    ],
)
def test_a_client_token_is_for_the_pages_it_was_issued_for(origin: str | None, allowed: bool) -> None:
    async def body() -> tuple[int, int]:
        async with MockServer() as mock:
            token = await token_of(
                mock,
                scopes=[STREAM, UPLOAD],
                allowed_origins=["https://app.example", "https://app.example:8443"],
            )
            try:
                async with websockets.asyncio.client.connect(
                    mock.url,
                    origin=Origin(origin) if origin else None,
                    additional_headers={"Authorization": f"Bearer {token}"},
                ) as socket:
                    streams = 101
                    assert json.loads(await socket.recv())["type"] == "session.ready"
            except InvalidStatus as error:
                streams = error.response.status_code
            async with httpx.AsyncClient(base_url=mock.base_url) as client:
                headers = {"Authorization": f"Bearer {token}"} | ({"Origin": origin} if origin else {})
                files = {"file": ("video.webm", RECORDING, "video/webm")}
                uploads = (await client.post("/v1/upload/analyze", files=files, headers=headers)).status_code
            return streams, uploads

    assert run(body) == ((101, 200) if allowed else (403, 403))


def test_the_published_client_has_no_origin_and_so_cannot_use_such_a_token() -> None:
    async def body() -> None:
        async with MockServer() as mock:
            token = await token_of(mock, allowed_origins=["https://app.example"])
            await client_of(mock, token).stream().connect()

    with pytest.raises(interhumanai.InterhumanError, match="403"):
        run(body)


# -- client tokens: revocation ------------------------------------------------------------------------


def test_ih2014_a_revoked_token_ends_its_session_at_the_next_segment() -> None:
    async def body() -> tuple[Heard, str]:
        async with MockServer() as mock:
            token = await token_of(mock)
            client = client_of(mock, token)
            async with client.stream() as stream:
                assert isinstance(stream, published.StreamClient)
                await stream.wait_for_session_ready()
                await stream.send_video(PIECES[0])
                await auth_of(mock).revoke_client_token(api_key=mock.key, token=token)
                # Nothing happens before the next segment.
                await stream.update_config(include=[])
                await next_of(stream, published.SessionUpdatedEvent)
                await stream.send_video(PIECES[1])
                heard = await hear(stream)
            with pytest.raises(interhumanai.InterhumanError) as refused:
                await client.stream().connect()
            return heard, str(refused.value)

    heard, text = run(body)
    assert (heard.errors, heard.close.code) == ([("ih2014", 2)], 1008)
    assert "401" in text


def test_ih2014_a_revoked_token_uploads_nothing() -> None:
    async def upload(mock: MockServer) -> None:
        token = await token_of(mock, scopes=[UPLOAD])
        for _ in range(2):
            # A second time changes nothing.
            await auth_of(mock).revoke_client_token(api_key=mock.key, token=token)
        await client_of(mock, token).upload.analyze(RECORDING)

    error = refusal(upload)
    assert (error.status, error.error_id) == (401, "ih2014")


@pytest.mark.parametrize(
    ("api_key", "error_id"), [("ih_live_wrong", "ih2001"), ("ih_live_two", "ih2011"), (DEFAULT_KEY_SECRET, "ih2001")]
)
def test_a_token_is_revoked_by_the_key_that_issued_it_alone(api_key: str, error_id: str) -> None:
    async def body() -> tuple[int, str | None, int]:
        async with MockServer(keys=TWO_KEYS) as mock:
            token = await token_of(mock)
            with pytest.raises(interhumanai.InterhumanAPIError) as raised:
                await auth_of(mock).revoke_client_token(api_key=api_key, token=token)
            assert token not in str(raised.value)
            heard = await converse(client_of(mock, token).stream(), PIECES[:1])
            return raised.value.status, raised.value.error_id, heard.close.code

    assert run(body) == (401, error_id, 1000)


def test_ih2011_a_token_that_was_never_issued() -> None:
    async def revoke(mock: MockServer) -> None:
        await auth_of(mock).revoke_client_token(api_key=mock.key, token="ih_ct_nobody_has_issued_me")

    error = refusal(revoke)
    assert (error.status, error.error_id) == (401, "ih2011")
    assert "ih_ct_nobody" not in str(error)


def test_ih2011_is_what_a_session_is_refused_with() -> None:
    async def body() -> dict[str, Any]:
        async with MockServer() as mock:
            with pytest.raises(InvalidStatus) as raised:
                async with websockets.asyncio.client.connect(
                    mock.url, additional_headers={"Authorization": "Bearer ih_ct_nobody_has_issued_me"}
                ):
                    pass
            assert raised.value.response.status_code == 401
            found: dict[str, Any] = json.loads(raised.value.response.body or b"")
            return found

    assert run(body)["error_id"] == "ih2011"
