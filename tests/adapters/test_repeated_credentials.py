"""A server that repeats the credential: what is raised does not say it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
from adapters.faces import Face, RawPeer, Run, make_api, raw_server
from wire.raw import CLOSE, KEY, close_payload, envelope, frame, refusal

from ihproto import V0
from ihproto.anyio import ApiError, SessionRefused, StreamError, UpgradeError
from ihproto.tokens import ClientTokenRequest

SECRET = "ih_secret_0123456789-and-more"
SAID = f"nobody knows {KEY} or {SECRET}"


async def refuse(peer: RawPeer) -> None:
    await peer.read_head()
    body = json.dumps({"error_id": "ih2001", "correlation_id": "c", "message": SAID, "link": "l"}).encode()
    await peer.send(refusal(401, body))


async def refuse_session(peer: RawPeer) -> None:
    error = {"code": "ih2003", "message": SAID, "link": None, "segment": None}
    await peer.upgrade(frame(0x1, envelope("error", error)), frame(CLOSE, close_payload(4003)))
    await peer.read_to_end()


Call: TypeAlias = Callable[[Face, str], Awaitable[Any]]


async def connect(face: Face, url: str, **options: Any) -> None:
    async with face.connect(url, KEY, **options):
        pass


def api(call: Callable[[Any], Awaitable[Any]]) -> Call:
    return lambda face, url: call(make_api(face, url.replace("ws:", "http:")))


CALLS: dict[str, tuple[Call, Callable[[RawPeer], Awaitable[None]], type[StreamError], str]] = {
    "connect": (connect, refuse, UpgradeError, KEY),
    "connect, v0": (lambda face, url: connect(face, url, revision=V0), refuse, UpgradeError, KEY),
    "connect, session": (connect, refuse_session, SessionRefused, KEY),
    "exchange_key": (api(lambda it: it.exchange_key("id", SECRET)), refuse, ApiError, SECRET),
    "create": (api(lambda it: it.create_client_token(ClientTokenRequest(KEY))), refuse, ApiError, KEY),
    "revoke, key": (api(lambda it: it.revoke_client_token(KEY, SECRET)), refuse, ApiError, KEY),
    "revoke, token": (api(lambda it: it.revoke_client_token(KEY, SECRET)), refuse, ApiError, SECRET),
    "upload": (api(lambda it: it.upload(KEY, b"x")), refuse, ApiError, KEY),
    "submit": (api(lambda it: it.submit(KEY, b"x", model="inter-2")), refuse, ApiError, KEY),
    "get_job": (api(lambda it: it.get_job(KEY, "j")), refuse, ApiError, KEY),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_raised_does_not_say_the_credential(name: str, run: Run) -> None:
    call, script, cls, secret = CALLS[name]

    async def body(face: Face) -> None:
        async with raw_server(script) as url:
            with pytest.raises(cls) as caught:
                await call(face, url)
        assert secret not in str(caught.value) + repr(caught.value)
        assert "nobody knows" in str(caught.value)
        assert "[redacted]" in str(caught.value)
        # Who looks into the answer itself finds what was said.
        told: Any = caught.value.event if isinstance(caught.value, UpgradeError) else caught.value
        assert told.error.message == SAID

    run(body)
