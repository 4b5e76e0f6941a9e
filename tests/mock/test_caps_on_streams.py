"""What a credential may do holds on the stream, however the bytes come; and contracts hold in every revision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import attrs
import httpx
import pytest
import trio
import trio.testing

from ihproto import (
    REVISIONS,
    V0,
    V0_2,
    V1,
    V1_WINDOW,
    V2,
    Envelope,
    NominalScanner,
    Revision,
    SegmentFault,
    ServerSettings,
    SessionClosed,
)
from ihproto.anyio import Api, ApiError, ClientStream, connect
from ihproto.messages import SegmentFailedText
from ihproto.tokens import STREAM_SCOPE, UPLOAD_SCOPE, ClientTokenRequest
from ihproto.wire import Credential
from ihproto_mock import DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, MockServer, load_scenario
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.leases import Caps, Grant, Lease, Standing
from ihproto_mock.stream import SupervisedScanner

T = TypeVar("T")
ALL = pytest.mark.parametrize("revision", [*REVISIONS.values()], ids=lambda revision: revision.id)


def run(body: Callable[[], Awaitable[T]]) -> T:
    return anyio.run(body)


async def hear(stream: ClientStream) -> tuple[list[object], SessionClosed]:
    """Everything that is said until the session is closed, and how it was."""
    events = [event async for event in stream]
    closed = events.pop()
    assert isinstance(closed, SessionClosed)
    return [event.message if isinstance(event, Envelope) else event for event in events], closed


@ALL
@pytest.mark.parametrize("segment", [b"x" * 10_000, b""], ids=["a segment", "an empty one"])
def test_aut_2_a_revoked_token_has_no_session_after_the_next_segment(revision: Revision, segment: bytes) -> None:
    async def body() -> tuple[list[object], SessionClosed]:
        async with MockServer(pin=[revision.id], make_scanner=lambda contract: NominalScanner(3)) as mock:
            api = Api(mock.base_url)
            token = await api.create_client_token(ClientTokenRequest(mock.key))
            url = mock.url_of(revision)
            async with connect(url, token.access_token, revision=revision) as stream:
                await api.revoke_client_token(mock.key, token.access_token)
                # An empty segment is refused locally, so it goes out as a frame of its own.
                stream.session._check_segments = False
                await stream.send_segment(segment) if segment else await _send_empty(stream)
                return await hear(stream)

    said, closed = run(body)
    assert (closed.code, closed.reason) == (1008, "ih2014")
    codes = [getattr(each, "code", None) or getattr(each, "error_id", None) for each in said]
    if revision in (V1_WINDOW, V1, V2) or (segment and revision is V0_2):
        assert "ih2014" in codes
    if segment and revision is V0:
        assert any(isinstance(each, SegmentFailedText) and "revoked" in each.error for each in said)


async def _send_empty(stream: ClientStream) -> None:
    stream.session.send_segment(b"")
    await stream._driver.flush()


@pytest.mark.parametrize("cuts", [[150_000], [99_000, 51_000], [50_000] * 3], ids=len)
def test_aut_2_what_is_refused_costs_nothing_however_it_was_cut(cuts: list[int]) -> None:
    standing = Standing(frozenset(), Caps(max_bytes=100_000))
    scanner = SupervisedScanner(load_scenario("quiet"), Lease(standing), NominalScanner(3))
    scanner.begin(1)
    faults = [scanner.feed(bytes(cut)) for cut in cuts]
    assert [fault.code for fault in faults if fault is not None][:1] == ["ih3003"]
    scanner.begin(2)
    assert standing.bytes_taken == 0
    assert scanner.feed(bytes(100_000)) is None
    assert not isinstance(scanner.finish(), SegmentFault)
    scanner.begin(3)
    assert standing.bytes_taken == 100_000


def test_aut_2_a_segment_beyond_the_video_budget_costs_no_bytes() -> None:
    standing = Standing(frozenset(), Caps(max_video_seconds=5))
    scanner = SupervisedScanner(load_scenario("quiet"), Lease(standing), NominalScanner(3))
    outcomes = []
    for number in (1, 2):
        scanner.begin(number)
        assert scanner.feed(bytes(1000)) is None
        outcomes.append(scanner.finish())
    assert isinstance(outcomes[1], SegmentFault)
    assert outcomes[1].code == "ih3006"
    assert standing.bytes_taken == 1000


def test_whoever_names_keys_has_no_other_door() -> None:
    async def body() -> str:
        async with MockServer(keys={"mine": [STREAM_SCOPE]}) as mock:
            with pytest.raises(ApiError) as refused:
                await Api(mock.base_url).exchange_key(DEFAULT_KEY_ID, DEFAULT_KEY_SECRET)
            assert refused.value.error is not None
            return str(refused.value.error.error_id)

    assert run(body) == "ih2001"


@pytest.mark.parametrize("revision", [V1, V2], ids=lambda revision: revision.id)
def test_what_the_settings_change_in_the_contract_is_changed_in_every_revision(revision: Revision) -> None:
    settings = ServerSettings(contract=attrs.evolve(V1.contract, session_idle_timeout_seconds=7))

    async def body() -> None:
        async with MockServer(settings=settings) as mock:
            model = revision.models[-1].name
            async with connect(mock.url_of(revision), mock.key, revision=revision, model=model) as stream:
                assert stream.contract == attrs.evolve(revision.contract, session_idle_timeout_seconds=7)

    run(body)


def test_hs_14_a_page_that_reads_a_job_from_its_own_origin_sends_none() -> None:
    async def body() -> list[int]:
        async with MockServer() as mock:
            token = await Api(mock.base_url).create_client_token(
                ClientTokenRequest(mock.key, scopes=(UPLOAD_SCOPE,), allowed_origins=("https://app.example",))
            )
            headers = {"Authorization": f"Bearer {token.access_token}"}
            async with httpx.AsyncClient(base_url=mock.base_url, headers=headers) as client:
                path = "/v2/upload/jobs/none"
                own = await client.get(path)
                foreign = await client.get(path, headers={"Origin": "https://other.example"})
                upload = await client.post("/v2/upload/analyze", files={"file": b"x"})
                return [own.status_code, foreign.status_code, upload.status_code]

    # 404: the origin was no obstacle, and there is no such job.
    assert run(body) == [404, 403, 403]


def test_a_body_that_drips_in_has_an_end() -> None:
    async def body() -> bytes:
        async with MockServer() as mock, await trio.open_tcp_stream("127.0.0.1", mock.port) as stream:
            await stream.send_all(b"POST /v1/auth HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n")
            for _ in range(3):
                await stream.send_all(b" ")
                await trio.sleep(11)
            return bytes(await stream.receive_some())

    answer = trio.run(body, clock=trio.testing.MockClock(autojump_threshold=0.01))
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /none HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", b"404"),
        (b"GET http://h/v2/upload/jobs/x HTTP/1.1\r\nHost: h\r\n\r\n", b"401"),
        (b"GET http://h/v1/stream/analyze HTTP/1.1\r\nHost: h\r\n\r\n", b"426"),
    ],
    ids=["another upgrade", "an absolute target", "an absolute target of a stream"],
)
def test_what_http_allows_is_understood(request_: bytes, status: bytes) -> None:
    async def body() -> bytes:
        async with MockServer() as mock, await anyio.connect_tcp("127.0.0.1", mock.port) as stream:
            await stream.send(request_)
            return await stream.receive()

    assert run(body).split()[1] == status


def test_no_repr_tells_by_which_key_an_account_is_known() -> None:
    store = CredentialStore({"guessable": [STREAM_SCOPE]})
    grant = store.authorize(Credential("guessable"), now=0.0, scope=STREAM_SCOPE)
    assert isinstance(grant, Grant)
    assert grant.account
    assert grant.account not in repr(grant._standing)


def test_ih4004_a_file_may_be_as_long_as_the_server_says() -> None:
    async def body() -> tuple[int, str | None]:
        async with MockServer(max_file_seconds=10, make_scanner=lambda contract: NominalScanner(10.5)) as mock:
            with pytest.raises(ApiError) as refused:
                await Api(mock.base_url).upload(mock.key, bytes(20_000))
            assert refused.value.error is not None
            return refused.value.status, refused.value.error.error_id

    assert run(body) == (400, "ih4004")


def test_upl_2_a_job_takes_as_long_as_the_server_says() -> None:
    async def body() -> list[str]:
        async with MockServer(job_seconds=3000, make_scanner=lambda contract: NominalScanner(10)) as mock:
            api = Api(mock.base_url)
            job = await api.submit(mock.key, bytes(20_000), model="inter-2", wait_seconds=1)
            return [job.status, (await api.get_job(mock.key, job.job_id)).status]

    assert run(body) == ["queued", "queued"]


def test_how_long_to_wait_at_the_end_can_be_said_when_connecting() -> None:
    async def body() -> float | None:
        async with (
            MockServer(pin=["v1-window"]) as mock,
            connect(mock.url, mock.key, revision=V1_WINDOW, drain_grace=3.0) as stream,
        ):
            stream.session.end(100.0)
            return stream.session.next_timeout()

    assert run(body) == 103.0
