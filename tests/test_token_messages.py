"""What is said at the credential endpoints: the numbers of the sources, what may be left out, what stays secret."""

from __future__ import annotations

import attrs
import msgspec
import pytest

from ihproto import tokens
from ihproto.tokens import AccessToken, ClientToken, ClientTokenRequest, ClientTokenRevocation, KeyExchange

SECRET = "s3cret-of-somebody"


@pytest.mark.parametrize(
    "message",
    [
        KeyExchange("id", SECRET, (tokens.STREAM_SCOPE,)),
        AccessToken(SECRET, "Bearer", 900, tokens.STREAM_SCOPE),
        ClientTokenRequest(SECRET),
        ClientToken(SECRET, "Bearer", 300, tokens.STREAM_SCOPE),
        ClientTokenRevocation(SECRET, SECRET),
    ],
    ids=lambda message: type(message).__name__,
)
def test_no_repr_shows_a_secret(message: attrs.AttrsInstance) -> None:
    assert SECRET in str(attrs.asdict(message))
    assert SECRET not in repr(message)


def test_what_a_request_leaves_to_the_server_is_none() -> None:
    left = attrs.asdict(ClientTokenRequest("key"))
    assert left.pop("api_key") == "key"
    assert set(left.values()) == {None}


def test_a_client_token_has_no_cap_that_it_does_not_name() -> None:
    named = {"access_token": "t", "token_type": "Bearer", "expires_in": 300, "scope": "s"}
    left = attrs.asdict(msgspec.convert(named, ClientToken))
    assert {name: value for name, value in left.items() if name not in named} == dict.fromkeys(
        ["max_duration_seconds", "max_bytes", "max_concurrent", "max_video_seconds", "allowed_origins"]
    )


@pytest.mark.parametrize("cap", ["max_duration_seconds", "max_bytes", "max_concurrent", "max_video_seconds"])
@pytest.mark.parametrize(("value", "taken"), [(0, False), (1, True), (2**53 - 1, True), (2**53, False)])
def test_a_cap_is_a_whole_number_from_1_that_json_can_carry(cap: str, value: int, taken: bool) -> None:
    body = {"api_key": "key", cap: value}
    if taken:
        assert getattr(msgspec.convert(body, ClientTokenRequest), cap) == value
    else:
        with pytest.raises(msgspec.ValidationError, match=cap):
            msgspec.convert(body, ClientTokenRequest)


def test_the_words_and_numbers_are_those_of_the_sources() -> None:
    assert (tokens.STREAM_SCOPE, tokens.UPLOAD_SCOPE) == ("interhumanai.stream", "interhumanai.upload")
    assert tokens.AUTH_PATHS == ("/v0/auth", "/v1/auth")
    assert (tokens.CLIENT_TOKENS_PATH, tokens.REVOKE_PATH) == ("/v1/client_tokens", "/v1/client_tokens/revoke")
    assert tokens.ACCESS_TOKEN_SECONDS == 15 * 60
    assert (tokens.CLIENT_TOKEN_SECONDS, tokens.CLIENT_TOKEN_MIN_SECONDS, tokens.CLIENT_TOKEN_MAX_SECONDS) == (
        5 * 60,
        60,
        60 * 60,
    )
