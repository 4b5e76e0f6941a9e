"""What the credential endpoints answer; bodies are written out as on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from interhumanai.auth import ClientTokenResponse, TokenResponse

from ihproto.clauses import CLAUSES
from ihproto.wire import Credential, HttpError
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.leases import Grant
from ihproto_mock.token_endpoints import MAX_BODY_BYTES, TOKEN_ENDPOINTS, Answer

NOW = 50.0
STREAM = "interhumanai.stream"
UPLOAD = "interhumanai.upload"
PAIR = {"key_id": "mock-key-id", "key_secret": "mock-key-secret"}


@pytest.fixture
def store() -> CredentialStore:
    return CredentialStore()


def post(store: CredentialStore, path: str, body: object, now: float = NOW) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return TOKEN_ENDPOINTS[path](store, raw, now)


def said(answer: Answer) -> Any:
    return json.loads(answer.encode("corr-1"))


def test_there_is_an_answer_at_each_documented_path() -> None:
    assert set(TOKEN_ENDPOINTS) == {"/v0/auth", "/v1/auth", "/v1/client_tokens", "/v1/client_tokens/revoke"}
    assert MAX_BODY_BYTES == 65_536


@pytest.mark.parametrize("path", ["/v0/auth", "/v1/auth"])
def test_a_key_pair_is_exchanged_for_a_token_that_opens_a_session(store: CredentialStore, path: str) -> None:
    answer = post(store, path, {**PAIR, "scopes": [STREAM, UPLOAD], "grant_type": "unheard of"})
    assert answer.status == 200
    body = said(answer)
    token = body.pop("access_token")
    assert body == {"token_type": "Bearer", "expires_in": 900, "scope": f"{STREAM} {UPLOAD}"}
    assert isinstance(store.authorize(Credential(token), now=NOW, scope=STREAM), Grant)


def test_a_client_token_is_issued_used_and_revoked(store: CredentialStore) -> None:
    answer = post(store, "/v1/client_tokens", {"api_key": "ih_live_mock", "max_bytes": 9, "unknown": {}})
    assert answer.status == 200
    body = said(answer)
    token = body.pop("access_token")
    assert body == {
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": STREAM,
        "max_bytes": 9,
        "max_concurrent": 1,
    }
    assert isinstance(store.authorize(Credential(token), now=NOW, scope=STREAM), Grant)
    revoked = post(store, "/v1/client_tokens/revoke", {"api_key": "ih_live_mock", "token": token})
    assert (revoked.status, revoked.encode("corr-1")) == (204, b"")
    assert not isinstance(store.authorize(Credential(token), now=NOW, scope=STREAM), Grant)


def test_members_that_are_null_are_as_good_as_left_out(store: CredentialStore) -> None:
    asked = dict.fromkeys(
        ["scopes", "expires_in", "max_duration_seconds", "max_bytes", "max_concurrent", "allowed_origins"]
    )
    body = said(post(store, "/v1/client_tokens", {"api_key": "ih_live_mock", **asked}))
    assert (body["expires_in"], body["scope"], body["max_concurrent"]) == (300, STREAM, 1)


def test_the_published_client_reads_the_answers(store: CredentialStore) -> None:
    exchanged = said(post(store, "/v1/auth", {**PAIR, "scopes": [UPLOAD]}))
    assert TokenResponse.model_validate(exchanged).model_dump() == exchanged
    caps = {
        "max_duration_seconds": 60,
        "max_bytes": 5000,
        "max_concurrent": 2,
        "max_video_seconds": 30,
        "allowed_origins": ["https://app.example", "null"],
    }
    issued = said(post(store, "/v1/client_tokens", {"api_key": "ih_live_mock", "expires_in": 5, **caps}))
    read = ClientTokenResponse.model_validate(issued).model_dump()
    assert read == issued
    assert read.items() >= {**caps, "expires_in": 60, "scope": STREAM}.items()
    plain = said(post(store, "/v1/client_tokens", {"api_key": "ih_live_mock"}))
    assert ClientTokenResponse.model_validate(plain).model_dump(exclude_none=True) == plain


@pytest.mark.parametrize(
    ("path", "body", "status", "error_id"),
    [
        ("/v1/auth", {"key_id": "mock-key-id", "scopes": [STREAM]}, 400, "ih2005"),
        ("/v1/auth", {**PAIR, "key_secret": None, "scopes": [STREAM]}, 400, "ih2005"),
        ("/v0/auth", {**PAIR, "key_secret": "", "scopes": [STREAM]}, 400, "ih2005"),
        ("/v1/auth", {}, 400, "ih2005"),
        ("/v1/auth", {**PAIR, "key_secret": "wrong", "scopes": [STREAM]}, 401, "ih2001"),
        ("/v1/auth", {**PAIR, "scopes": ["interhumanai.realtime"]}, 403, "ih2003"),
        ("/v1/client_tokens", {"api_key": "ih_live_wrong"}, 401, "ih2001"),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "scopes": ["interhumanai.realtime"]}, 403, "ih2003"),
        ("/v1/client_tokens/revoke", {"api_key": "ih_live_wrong", "token": "ih_ct_1"}, 401, "ih2001"),
        ("/v1/client_tokens/revoke", {"api_key": "ih_live_mock", "token": "ih_ct_1"}, 401, "ih2011"),
    ],
)
def test_a_refusal_has_the_documented_body(
    store: CredentialStore, path: str, body: object, status: int, error_id: str
) -> None:
    answer = post(store, path, body)
    assert answer.status == status
    error = said(answer)
    assert set(error) == {"error_id", "correlation_id", "link", "message"}
    assert (error["error_id"], error["correlation_id"]) == (error_id, "corr-1")
    assert error["link"].startswith(f"https://docs.interhuman.ai/api-reference/error-handling#{error_id}-")


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/v1/auth", b"", "$: "),
        ("/v1/auth", b"{", "$: "),
        ("/v1/auth", b"\xff\xfe", "$: "),
        ("/v1/auth", b"[" * 60_000, "$: "),
        ("/v1/auth", b'{"a": ' * 10_000, "$: "),
        ("/v1/auth", [], "$: "),
        ("/v1/auth", "text", "$: "),
        ("/v1/auth", PAIR, "scopes"),
        ("/v1/auth", {"key_secret": "x", "scopes": [STREAM]}, "key_id"),
        ("/v1/auth", {**PAIR, "key_secret": 17, "scopes": [STREAM]}, "$.key_secret: "),
        ("/v1/auth", {**PAIR, "scopes": STREAM}, "$.scopes: "),
        ("/v1/auth", {**PAIR, "scopes": [STREAM, 17]}, "$.scopes[1]: "),
        ("/v1/auth", {**PAIR, "scopes": []}, "$.scopes: "),
        ("/v1/auth", {**PAIR, "scopes": ["zzz"]}, "$.scopes[0]: "),
        ("/v1/client_tokens", {}, "api_key"),
        ("/v1/client_tokens", {"api_key": None}, "$.api_key: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "scopes": []}, "$.scopes: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "expires_in": "300"}, "$.expires_in: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "expires_in": True}, "$.expires_in: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "expires_in": 90.5}, "$.expires_in: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "max_bytes": 0}, "$.max_bytes: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "max_concurrent": -1}, "$.max_concurrent: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "max_video_seconds": []}, "$.max_video_seconds: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "max_duration_seconds": 10**30}, "$.max_duration_seconds: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "allowed_origins": ["zzz"]}, "$.allowed_origins[0]: "),
        ("/v1/client_tokens", {"api_key": "ih_live_mock", "allowed_origins": []}, "$.allowed_origins: "),
        ("/v1/client_tokens/revoke", {"api_key": "ih_live_mock"}, "token"),
        ("/v1/client_tokens/revoke", {"api_key": "ih_live_mock", "token": 17}, "$.token: "),
        ("/v1/client_tokens/revoke", b'{"api_key": "ih_live_mock", "token": "\xff"}', "$: "),
    ],
)
def test_a_body_that_is_not_what_it_should_be_is_told_where(
    store: CredentialStore, path: str, body: object, place: str
) -> None:
    answer = post(store, path, body)
    assert answer.status == 400
    error = said(answer)
    assert (error["error_id"], error["correlation_id"]) == (None, "corr-1")
    assert place in error["message"]
    assert error["message"].startswith("$")
    assert answer.clause_id == ("AUT-1" if "auth" in path else "AUT-2")
    assert not {"zzz", "17", "ih_live_mock"} & set(error["message"].replace(":", " ").split())


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.sampled_from(["ih_live_mock", "mock-key-id", "mock-key-secret", STREAM, "SECRET-1"]),
    st.text("aä\\" + chr(0x1F511), max_size=5),
    st.lists(st.sampled_from([STREAM, UPLOAD, "SECRET-2", "https://app.example"]), max_size=3),
)
_MEMBERS = [
    "key_id",
    "key_secret",
    "scopes",
    "api_key",
    "token",
    "expires_in",
    "max_duration_seconds",
    "max_bytes",
    "max_concurrent",
    "max_video_seconds",
    "allowed_origins",
]


@given(
    path=st.sampled_from(sorted(TOKEN_ENDPOINTS)),
    body=st.one_of(
        st.binary(max_size=50),
        st.dictionaries(st.sampled_from(_MEMBERS), _VALUES).map(lambda body: json.dumps(body).encode()),
    ),
)
def test_every_body_gets_an_answer_in_which_nothing_is_repeated(path: str, body: bytes) -> None:
    answer = TOKEN_ENDPOINTS[path](CredentialStore(), body, NOW)
    assert answer.status in {200, 204, 400, 401, 403}
    if isinstance(answer.content, HttpError):
        assert answer.clause_id in CLAUSES
        text = answer.encode("corr-1").decode() + repr(answer)
        assert not [secret for secret in ("SECRET", "ih_live_mock", "mock-key-secret") if secret in text]


def test_an_answer_shows_no_token(store: CredentialStore) -> None:
    for answer in (
        post(store, "/v1/auth", {**PAIR, "scopes": [STREAM]}),
        post(store, "/v1/client_tokens", {"api_key": "ih_live_mock"}),
    ):
        assert said(answer)["access_token"] not in f"{answer!r} {answer}"
