"""Who may do what, at which time; what is expected is what AUT-1, AUT-2, HS-10, HS-11 and HS-14 say."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from fractions import Fraction

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from ihproto.tokens import (
    STREAM_SCOPE,
    UPLOAD_SCOPE,
    AccessToken,
    ClientToken,
    ClientTokenRequest,
    ClientTokenRevocation,
    KeyExchange,
)
from ihproto.wire import Credential, CredentialForm
from ihproto.wire.credentials import offer
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.keys import DEFAULT_KEY, DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, KeyPair
from ihproto_mock.leases import Denial, Grant, Lease

NOW = 1000.0
BOTH = (STREAM_SCOPE, UPLOAD_SCOPE)
DAY = 24 * 3600


def numbered() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"hidden{next(numbers)}"


@pytest.fixture
def store() -> CredentialStore:
    return CredentialStore(
        {DEFAULT_KEY: BOTH, "ih_live_other": BOTH, "ih_live_upload": [UPLOAD_SCOPE]},
        key_pairs=[KeyPair("id", "s3cret"), KeyPair("uploader", "s3cret", [UPLOAD_SCOPE])],
        make_token=numbered(),
    )


def client_token(
    store: CredentialStore,
    now: float = NOW,
    *,
    scopes: tuple[str, ...] | None = None,
    expires_in: int | None = None,
    max_duration_seconds: int | None = None,
    max_bytes: int | None = None,
    max_concurrent: int | None = None,
    max_video_seconds: int | None = None,
    allowed_origins: tuple[str, ...] | None = None,
) -> str:
    request = ClientTokenRequest(
        DEFAULT_KEY,
        scopes,
        expires_in,
        max_duration_seconds,
        max_bytes,
        max_concurrent,
        max_video_seconds,
        allowed_origins,
    )
    token = store.issue(request, now)
    assert isinstance(token, ClientToken)
    return token.access_token


def access_token(store: CredentialStore, now: float = NOW, scopes: tuple[str, ...] = BOTH) -> str:
    token = store.exchange(KeyExchange("id", "s3cret", scopes), now)
    assert isinstance(token, AccessToken)
    return token.access_token


def authorize(
    store: CredentialStore, value: str | None, now: float = NOW, scope: str = STREAM_SCOPE, origin: str | None = None
) -> Grant | Denial:
    credential = Credential(value) if value is not None else None
    return store.authorize(credential, now=now, scope=scope, origin=origin)


def denied(outcome: object) -> tuple[int, str | None]:
    assert isinstance(outcome, Denial)
    return outcome.status, outcome.error_id


def granted(store: CredentialStore, value: str, now: float = NOW, scope: str = STREAM_SCOPE) -> Grant:
    grant = authorize(store, value, now, scope)
    assert isinstance(grant, Grant)
    return grant


def begun(store: CredentialStore, value: str, now: float = NOW) -> Lease:
    lease = granted(store, value, now).begin(now)
    assert isinstance(lease, Lease)
    return lease


# Keys


@pytest.mark.parametrize("scope", BOTH)
def test_the_default_key_and_the_default_pair_have_both_scopes(scope: str) -> None:
    store = CredentialStore()
    assert isinstance(authorize(store, "ih_live_mock", scope=scope), Grant)
    token = store.exchange(KeyExchange(DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, (scope,)), NOW)
    assert isinstance(token, AccessToken)
    assert isinstance(authorize(store, token.access_token, scope=scope), Grant)


def test_the_first_key_of_a_store_can_be_read(store: CredentialStore) -> None:
    assert next(iter(store.keys)) == DEFAULT_KEY


@pytest.mark.parametrize("pairs", [[KeyPair("", "x")], [KeyPair("x", "")], [KeyPair("x", "y"), KeyPair("x", "z")]])
def test_key_pairs_that_cannot_be_used_are_refused(pairs: list[KeyPair]) -> None:
    with pytest.raises(ValueError, match="key pair"):
        CredentialStore(key_pairs=pairs)


def test_no_credential_is_told_apart_from_a_wrong_one(store: CredentialStore) -> None:
    assert denied(authorize(store, None)) == (401, "ih2002")
    assert denied(authorize(store, "ih_live_wrong")) == (401, "ih2001")
    assert denied(authorize(store, "")) == (401, "ih2001")
    assert denied(authorize(store, "\ud800")) == (401, "ih2001")
    assert denied(authorize(store, "s3cret")) == (401, "ih2001")
    assert denied(authorize(store, "ih_at_unheard")) == (401, "ih2001")
    assert denied(authorize(store, "ih_ct_unheard")) == (401, "ih2011")


def test_a_missing_scope_lets_the_upgrade_through_on_the_stream_only(store: CredentialStore) -> None:
    streaming = authorize(store, "ih_live_upload", scope=STREAM_SCOPE)
    assert denied(streaming) == (403, "ih2003")
    assert isinstance(streaming, Denial)
    assert (streaming.after_upgrade, streaming.clause_id) == (True, "HS-11")
    uploading = authorize(store, access_token(store, scopes=(STREAM_SCOPE,)), scope=UPLOAD_SCOPE)
    assert denied(uploading) == (403, "ih2003")
    assert isinstance(uploading, Denial)
    assert not uploading.after_upgrade
    wrong = authorize(store, "ih_live_wrong")
    assert isinstance(wrong, Denial)
    assert not wrong.after_upgrade


def test_api_keys_and_access_tokens_have_no_caps(store: CredentialStore) -> None:
    for value in (DEFAULT_KEY, access_token(store)):
        leases = [begun(store, value) for _ in range(50)]
        for lease in leases:
            assert lease.max_duration_seconds is None
            assert lease.check() is None
            assert lease.take_bytes(10**15) is None
            assert lease.take_video(1e9) is None


def test_a_key_with_a_legacy_scope_has_the_scope_of_the_endpoint() -> None:
    store = CredentialStore({"ih_live_old": ["interhumanai.stream.inter-2"]})
    assert isinstance(authorize(store, "ih_live_old"), Grant)
    token = store.issue(ClientTokenRequest("ih_live_old"), NOW)
    assert isinstance(token, ClientToken)
    assert token.scope == "interhumanai.stream"


# Access tokens (AUT-1)


def test_an_access_token_has_the_scopes_asked_for_and_no_others(store: CredentialStore) -> None:
    token = store.exchange(KeyExchange("id", "s3cret", (UPLOAD_SCOPE,)), NOW)
    assert isinstance(token, AccessToken)
    assert (token.token_type, token.expires_in, token.scope) == ("Bearer", 900, "interhumanai.upload")
    assert isinstance(authorize(store, token.access_token, scope=UPLOAD_SCOPE), Grant)
    assert denied(authorize(store, token.access_token, scope=STREAM_SCOPE)) == (403, "ih2003")


def test_an_access_token_is_valid_for_900_seconds(store: CredentialStore) -> None:
    token = access_token(store)
    assert isinstance(authorize(store, token, NOW + 899.999), Grant)
    assert denied(authorize(store, token, NOW + 900)) == (401, "ih2001")


def test_the_lifetime_of_access_tokens_can_be_set() -> None:
    store = CredentialStore(key_pairs=[KeyPair("id", "s3cret")], access_token_seconds=5)
    token = access_token(store)
    assert isinstance(authorize(store, token, NOW + 4.999), Grant)
    assert denied(authorize(store, token, NOW + 5)) == (401, "ih2001")


@pytest.mark.parametrize(("key_id", "key_secret"), [("id", "wrong"), ("wrong", "s3cret"), ("id", ""), ("", "")])
def test_a_wrong_key_pair_is_refused_without_saying_what_is_wrong(
    store: CredentialStore, key_id: str, key_secret: str
) -> None:
    outcome = store.exchange(KeyExchange(key_id, key_secret, BOTH), NOW)
    assert denied(outcome) == (401, "ih2001")
    assert outcome == store.exchange(KeyExchange("another", "one", BOTH), NOW)


@pytest.mark.parametrize(
    ("scopes", "status", "error_id", "place"),
    [
        ((), 400, None, "$.scopes: "),
        ((STREAM_SCOPE, "interhumanai.nonsense"), 400, None, "$.scopes[1]: "),
        ((STREAM_SCOPE, "interhumanai.realtime"), 403, "ih2003", "interhumanai.realtime"),
    ],
)
def test_scopes_that_cannot_be_had_are_refused(
    store: CredentialStore, scopes: tuple[str, ...], status: int, error_id: str | None, place: str
) -> None:
    for outcome in (
        store.exchange(KeyExchange("id", "s3cret", scopes), NOW),
        store.issue(ClientTokenRequest(DEFAULT_KEY, scopes), NOW),
    ):
        assert denied(outcome) == (status, error_id)
        assert isinstance(outcome, Denial)
        assert place in outcome.message
        assert "nonsense" not in outcome.message


def test_a_pair_cannot_get_a_scope_that_it_does_not_hold(store: CredentialStore) -> None:
    assert denied(store.exchange(KeyExchange("uploader", "s3cret", BOTH), NOW)) == (403, "ih2003")


@pytest.mark.parametrize(
    ("asked", "issued"),
    [
        (("interhumanai.stream.inter-2",), "interhumanai.stream"),
        (("interhumanai.stream.inter-2-audio", "interhumanai.stream"), "interhumanai.stream"),
        (("interhumanai.upload.inter-2", "interhumanai.stream"), "interhumanai.upload interhumanai.stream"),
        (("interhumanai.upload.inter-2-audio",), "interhumanai.upload"),
    ],
)
def test_legacy_scopes_are_issued_as_those_of_the_endpoints(
    store: CredentialStore, asked: tuple[str, ...], issued: str
) -> None:
    for token in (
        store.exchange(KeyExchange("id", "s3cret", asked), NOW),
        store.issue(ClientTokenRequest(DEFAULT_KEY, asked), NOW),
    ):
        assert isinstance(token, AccessToken | ClientToken)
        assert token.scope == issued


# Client tokens (AUT-2)


@pytest.mark.parametrize(
    ("asked", "lifetime"),
    [
        (None, 300),
        (-(10**30), 60),
        (0, 60),
        (59, 60),
        (60, 60),
        (61, 61),
        (3599, 3599),
        (3600, 3600),
        (3601, 3600),
        (10**30, 3600),
    ],
)
def test_the_lifetime_of_a_client_token_is_forced_into_its_bounds(
    store: CredentialStore, asked: int | None, lifetime: int
) -> None:
    token = store.issue(ClientTokenRequest(DEFAULT_KEY, expires_in=asked), NOW)
    assert isinstance(token, ClientToken)
    assert token.expires_in == lifetime
    assert isinstance(authorize(store, token.access_token, NOW + lifetime - 0.001), Grant)
    assert denied(authorize(store, token.access_token, NOW + lifetime)) == (401, "ih2010")


def test_a_client_token_is_for_one_stream_by_default(store: CredentialStore) -> None:
    token = store.issue(ClientTokenRequest(DEFAULT_KEY), NOW)
    assert isinstance(token, ClientToken)
    assert token == ClientToken(token.access_token, "Bearer", 300, "interhumanai.stream", max_concurrent=1)


def test_a_client_token_says_the_caps_that_hold_for_it(store: CredentialStore) -> None:
    asked = ClientTokenRequest(DEFAULT_KEY, BOTH, 100, 60, 5000, 3, 30, ("https://app.example",))
    token = store.issue(asked, NOW)
    assert isinstance(token, ClientToken)
    assert token == ClientToken(
        token.access_token,
        "Bearer",
        100,
        "interhumanai.stream interhumanai.upload",
        60,
        5000,
        3,
        30,
        ("https://app.example",),
    )


def test_a_client_token_cannot_do_more_than_its_key(store: CredentialStore) -> None:
    assert denied(store.issue(ClientTokenRequest("ih_live_upload"), NOW)) == (403, "ih2003")
    assert isinstance(store.issue(ClientTokenRequest("ih_live_upload", (UPLOAD_SCOPE,)), NOW), ClientToken)


@pytest.mark.parametrize("kind", ["unknown", "access token", "client token", "secret"])
def test_only_an_api_key_issues_and_revokes_client_tokens(store: CredentialStore, kind: str) -> None:
    token = client_token(store)
    values = {
        "unknown": "ih_live_wrong",
        "access token": access_token(store),
        "client token": token,
        "secret": "s3cret",
    }
    assert denied(store.issue(ClientTokenRequest(values[kind]), NOW)) == (401, "ih2001")
    assert denied(store.revoke(ClientTokenRevocation(values[kind], token), NOW)) == (401, "ih2001")
    assert isinstance(authorize(store, token), Grant)


def test_tokens_travel_in_a_subprotocol() -> None:
    store = CredentialStore(key_pairs=[KeyPair("id", "s3cret")])
    for token in (client_token(store), access_token(store)):
        assert offer(Credential(token, CredentialForm.SUBPROTOCOL)).subprotocols == [token]


def test_a_token_that_was_made_before_is_refused() -> None:
    store = CredentialStore(make_token=lambda: "same")
    client_token(store)
    with pytest.raises(ValueError, match="twice"):
        client_token(store)


# Origins (HS-14)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("HTTPS://App.Example", True),
        ("http://localhost:5173", True),
        ("https://app.example.evil.test", False),
        ("http://app.example", False),
        ("https://app.example:8443", False),
        ("null", False),
        ("", False),
        (None, False),
    ],
)
def test_a_client_token_with_origins_is_for_these_alone(
    store: CredentialStore, origin: str | None, allowed: bool
) -> None:
    token = client_token(store, allowed_origins=("https://app.example", "http://localhost:5173"))
    outcome = authorize(store, token, origin=origin)
    if allowed:
        assert isinstance(outcome, Grant)
        return
    assert denied(outcome) == (403, None)
    assert isinstance(outcome, Denial)
    assert (outcome.clause_id, outcome.after_upgrade) == ("HS-14", False)
    assert (repr(origin) if origin is not None else "without an Origin") in outcome.message
    assert "localhost" not in outcome.message
    assert "'https://app.example'" not in outcome.message


def test_without_origins_every_origin_will_do(store: CredentialStore) -> None:
    for value in (client_token(store), DEFAULT_KEY, access_token(store)):
        assert isinstance(authorize(store, value, origin="https://anywhere.example"), Grant)


def test_a_long_origin_is_not_repeated_in_full(store: CredentialStore) -> None:
    token = client_token(store, allowed_origins=("https://app.example",))
    outcome = authorize(store, token, origin="https://" + "x" * 60_000)
    assert isinstance(outcome, Denial)
    assert len(outcome.message) < 300


@pytest.mark.parametrize(
    "entry", ["", "app.example", "https://app.example/", "https://a b", "*", "https://", "https://me:pw@app.example"]
)
def test_an_origin_that_no_browser_sends_is_refused(store: CredentialStore, entry: str) -> None:
    outcome = store.issue(ClientTokenRequest(DEFAULT_KEY, allowed_origins=("https://app.example", entry)), NOW)
    assert denied(outcome) == (400, None)
    assert isinstance(outcome, Denial)
    assert outcome.message.startswith("$.allowed_origins[1]: ")
    assert "pw" not in outcome.message


def test_an_empty_list_of_origins_is_refused(store: CredentialStore) -> None:
    outcome = store.issue(ClientTokenRequest(DEFAULT_KEY, allowed_origins=()), NOW)
    assert denied(outcome) == (400, None)
    assert isinstance(outcome, Denial)
    assert outcome.message.startswith("$.allowed_origins: ")


# Ends


def test_a_token_that_ends_between_authorization_and_beginning_cannot_begin(store: CredentialStore) -> None:
    assert denied(granted(store, client_token(store)).begin(NOW + 300)) == (401, "ih2010")
    assert denied(granted(store, access_token(store)).begin(NOW + 900)) == (401, "ih2001")


def test_what_was_begun_goes_on_after_the_token_expired(store: CredentialStore) -> None:
    token = client_token(store, max_bytes=10)
    lease = begun(store, token, NOW + 299)
    assert denied(authorize(store, token, NOW + 301)) == (401, "ih2010")
    assert lease.check() is None
    assert lease.take_bytes(10) is None
    assert denied(lease.take_bytes(1)) == (429, "ih3003")


def test_an_expired_client_token_is_known_as_such_for_an_hour(store: CredentialStore) -> None:
    token = client_token(store)
    assert denied(authorize(store, token, NOW + 300 + 3599)) == (401, "ih2010")
    assert denied(authorize(store, token, NOW + 300 + 3600)) == (401, "ih2011")


def test_tokens_are_forgotten_in_time() -> None:
    store = CredentialStore(key_pairs=[KeyPair("id", "s3cret")])
    for second in range(20_000):
        client_token(store, NOW + second)
        access_token(store, NOW + second)
    kept = re.search(r"of (\d+) tokens", repr(store))
    assert kept is not None
    assert int(kept[1]) == 300 + 3600 + 900
    authorize(store, None, NOW + DAY)
    assert "of 0 tokens" in repr(store)


def test_a_token_is_not_forgotten_while_something_runs_on_it(store: CredentialStore) -> None:
    token = client_token(store)
    lease = begun(store, token)
    assert denied(authorize(store, token, NOW + DAY)) == (401, "ih2010")
    assert store.revoke(ClientTokenRevocation(DEFAULT_KEY, token), NOW + DAY) is None
    assert denied(lease.check()) == (401, "ih2014")
    lease.release()
    assert denied(authorize(store, token, NOW + DAY + 3600)) == (401, "ih2011")


# Revocation


def test_a_revoked_token_begins_nothing_and_ends_what_runs(store: CredentialStore) -> None:
    token = client_token(store, max_concurrent=2)
    grant, lease = granted(store, token), begun(store, token)
    assert lease.check() is None
    assert store.revoke(ClientTokenRevocation(DEFAULT_KEY, token), NOW) is None
    assert denied(lease.check()) == (401, "ih2014")
    assert denied(grant.begin(NOW)) == (401, "ih2014")
    assert denied(authorize(store, token)) == (401, "ih2014")
    assert store.revoke(ClientTokenRevocation(DEFAULT_KEY, token), NOW) is None


def test_revoking_an_expired_token_succeeds_and_it_stays_expired(store: CredentialStore) -> None:
    token = client_token(store)
    assert store.revoke(ClientTokenRevocation(DEFAULT_KEY, token), NOW + 301) is None
    assert denied(authorize(store, token, NOW + 301)) == (401, "ih2010")


def test_revoking_one_token_leaves_the_others(store: CredentialStore) -> None:
    first, second = client_token(store), client_token(store)
    store.revoke(ClientTokenRevocation(DEFAULT_KEY, first), NOW)
    assert isinstance(authorize(store, second), Grant)


def test_a_key_cannot_revoke_the_token_of_another_nor_learn_of_it(store: CredentialStore) -> None:
    token = client_token(store)
    others = store.revoke(ClientTokenRevocation("ih_live_other", token), NOW)
    unknown = store.revoke(ClientTokenRevocation("ih_live_other", "ih_ct_unheard"), NOW)
    assert denied(others) == (401, "ih2011")
    assert others == unknown
    assert isinstance(authorize(store, token), Grant)


@pytest.mark.parametrize("kind", ["access token", "API key"])
def test_only_client_tokens_can_be_revoked(store: CredentialStore, kind: str) -> None:
    value = access_token(store) if kind == "access token" else DEFAULT_KEY
    assert denied(store.revoke(ClientTokenRevocation(DEFAULT_KEY, value), NOW)) == (401, "ih2011")
    assert isinstance(authorize(store, value), Grant)


# Caps


def test_one_use_at_a_time_is_the_default_and_a_release_makes_room(store: CredentialStore) -> None:
    token = client_token(store)
    grant = granted(store, token)
    with begun(store, token) as lease:
        assert denied(grant.begin(NOW)) == (429, "ih3002")
        assert denied(granted(store, token).begin(NOW)) == (429, "ih3002")
    assert isinstance(grant.begin(NOW), Lease)
    lease.release()
    assert denied(grant.begin(NOW)) == (429, "ih3002")


def test_tokens_do_not_share_their_caps(store: CredentialStore) -> None:
    first, second = client_token(store, max_bytes=5), client_token(store, max_bytes=5)
    begun(store, first).take_bytes(5)
    assert begun(store, second).take_bytes(5) is None


def test_the_longest_session_is_told_to_whoever_runs_it(store: CredentialStore) -> None:
    assert begun(store, client_token(store, max_duration_seconds=42)).max_duration_seconds == 42
    assert begun(store, client_token(store)).max_duration_seconds is None


def test_bytes_are_counted_over_all_sessions_and_what_does_not_fit_costs_nothing(store: CredentialStore) -> None:
    token = client_token(store, max_bytes=100)
    with begun(store, token) as lease:
        assert lease.take_bytes(60) is None
    with begun(store, token) as lease:
        assert denied(lease.take_bytes(41)) == (429, "ih3003")
        assert lease.take_bytes(40) is None
        assert lease.take_bytes(0) is None
        assert denied(lease.take_bytes(1)) == (429, "ih3003")
    assert denied(granted(store, token).begin(NOW)) == (429, "ih3003")


def test_video_is_counted_over_all_sessions_and_what_does_not_fit_costs_nothing(store: CredentialStore) -> None:
    token = client_token(store, max_video_seconds=10)
    with begun(store, token) as lease:
        assert lease.take_video(6.5) is None
    with begun(store, token) as lease:
        assert denied(lease.take_video(3.500001)) == (429, "ih3006")
        assert lease.take_video(3.5) is None
        assert denied(lease.take_video(0.000001)) == (429, "ih3006")
    assert denied(granted(store, token).begin(NOW)) == (429, "ih3006")


def test_ten_tenths_of_a_second_are_a_second(store: CredentialStore) -> None:
    lease = begun(store, client_token(store, max_video_seconds=3))
    assert all(lease.take_video(0.1) is None for _ in range(30))
    assert denied(lease.take_video(0.1)) == (429, "ih3006")


def test_a_microsecond_is_not_lost_to_binary_fractions(store: CredentialStore) -> None:
    assert 0.000249 * 1_000_000 < 249
    lease = begun(store, client_token(store, max_video_seconds=1))
    assert lease.take_video(1 - 0.000248) is None
    assert denied(lease.take_video(0.000249)) == (429, "ih3006")


def test_amounts_that_are_none_are_refused(store: CredentialStore) -> None:
    lease = begun(store, DEFAULT_KEY)
    with pytest.raises(ValueError, match="not negative"):
        lease.take_bytes(-1)
    for seconds in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not negative"):
            lease.take_video(seconds)


@given(
    most=st.integers(1, 10_000),
    pieces=st.lists(st.one_of(st.integers(0, 12_000), st.integers(0, 50)), max_size=60),
)
def test_no_sequence_of_pieces_exceeds_a_budget_and_only_what_does_not_fit_is_refused(
    most: int, pieces: list[int]
) -> None:
    store = CredentialStore(make_token=numbered())
    lease = begun(store, client_token(store, max_bytes=most, max_video_seconds=most))
    taken = 0
    for piece in pieces:
        fits = taken + piece <= most
        assert (lease.take_bytes(piece) is None) == fits
        assert (lease.take_video(float(piece)) is None) == fits
        taken += piece if fits else 0
        assert taken <= most


@given(pieces=st.lists(st.integers(0, 4_000_000), max_size=50))
def test_video_is_added_up_exactly_to_the_microsecond(pieces: list[int]) -> None:
    store = CredentialStore(make_token=numbered())
    lease = begun(store, client_token(store, max_video_seconds=20))
    taken = Fraction(0)
    for microseconds in pieces:
        exact = Fraction(microseconds, 1_000_000)
        fits = taken + exact <= 20
        assert (lease.take_video(microseconds / 1_000_000) is None) == fits
        taken += exact if fits else 0


class Uses(RuleBasedStateMachine):
    """Sessions that come and go on one token, against a model that knows only sums."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.store = CredentialStore(make_token=numbered())
        self.token = client_token(self.store, expires_in=60, max_concurrent=3, max_bytes=500)
        self.held: list[Lease] = []
        self.bytes = 0
        self.now = NOW
        self.revoked = False

    @rule(target=leases)
    def begin(self) -> Lease | None:
        grant = authorize(self.store, self.token, self.now)
        outcome = grant.begin(self.now) if isinstance(grant, Grant) else grant
        expected = (
            "ih2010"
            if self.now >= NOW + 60
            else "ih2014"
            if self.revoked
            else "ih3003"
            if self.bytes == 500
            else "ih3002"
            if len(self.held) == 3
            else None
        )
        assert (outcome.error_id if isinstance(outcome, Denial) else None) == expected
        if isinstance(outcome, Denial):
            return None
        self.held.append(outcome)
        return outcome

    @rule(lease=leases)
    def release(self, lease: Lease | None) -> None:
        if lease is not None:
            lease.release()
            if lease in self.held:
                self.held.remove(lease)

    @rule(lease=leases, count=st.integers(0, 200))
    def take(self, lease: Lease | None, count: int) -> None:
        if lease is not None:
            denial = lease.take_bytes(count)
            assert (denial is None) == (self.bytes + count <= 500)
            self.bytes += count if denial is None else 0

    @rule(lease=leases)
    def check(self, lease: Lease | None) -> None:
        if lease is not None:
            assert (lease.check() is not None) == self.revoked

    @rule(seconds=st.sampled_from([1.0, 5.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=st.sampled_from([DEFAULT_KEY, "ih_live_wrong"]))
    def revoke(self, key: str) -> None:
        outcome = self.store.revoke(ClientTokenRevocation(key, self.token), self.now)
        assert (outcome is None) == (key == DEFAULT_KEY)
        self.revoked |= outcome is None

    @invariant()
    def never_more_than_allowed(self) -> None:
        assert len(self.held) <= 3
        assert self.bytes <= 500


TestUses = Uses.TestCase
TestUses.settings = settings(stateful_step_count=30)


# Secrets, and what a denial says


def test_nothing_shows_a_secret(store: CredentialStore) -> None:
    token = store.issue(ClientTokenRequest(DEFAULT_KEY, max_bytes=1, allowed_origins=("https://app.example",)), NOW)
    access = store.exchange(KeyExchange("id", "s3cret", BOTH), NOW)
    assert isinstance(token, ClientToken)
    assert isinstance(access, AccessToken)
    grant = store.authorize(Credential(token.access_token), now=NOW, scope=STREAM_SCOPE, origin="https://app.example")
    assert isinstance(grant, Grant)
    lease = grant.begin(NOW)
    assert isinstance(lease, Lease)
    shown: list[object] = [store, store.keys, KeyPair("id", "s3cret"), token, access, grant, lease, vars(grant)]
    shown += [
        lease.take_bytes(2),
        grant.begin(NOW),
        authorize(store, token.access_token, origin="https://other.example"),
        authorize(store, token.access_token, NOW + DAY),
        authorize(store, "ih_ct_hidden99"),
        authorize(store, "ih_live_hidden99"),
        authorize(store, "ih_live_upload"),
        store.exchange(KeyExchange("id", "hidden99", BOTH), NOW),
        store.exchange(KeyExchange("id", "s3cret", ("hidden99",)), NOW),
        store.issue(ClientTokenRequest("ih_live_hidden99"), NOW),
        store.issue(ClientTokenRequest(DEFAULT_KEY, ("ih_live_hidden99",)), NOW),
        store.revoke(ClientTokenRevocation(DEFAULT_KEY, "ih_ct_hidden99"), NOW),
    ]
    for item in shown:
        text = f"{item!r} {item}"
        if isinstance(item, Denial):
            text += item.error.encode().decode()
        for secret in ("s3cret", "hidden", DEFAULT_KEY, "ih_live_other"):
            assert secret not in text


def test_a_denial_becomes_the_error_of_its_id(store: CredentialStore) -> None:
    denial = authorize(store, "ih_ct_unheard")
    assert isinstance(denial, Denial)
    said = json.loads(attrs.evolve(denial.error, correlation_id="c").encode())
    assert said == {
        "error_id": "ih2011",
        "correlation_id": "c",
        "link": "https://docs.interhuman.ai/api-reference/error-handling#ih2011-client-token-invalid",
        "message": denial.message,
    }


def test_a_denial_without_a_documented_id_has_no_link() -> None:
    error = Denial(403, None, "not from here", "HS-14").error
    assert (error.error_id, error.link, error.message) == (None, None, "not from here")


def test_an_id_that_is_never_said_over_http_makes_no_denial() -> None:
    with pytest.raises(ValueError, match="ih6003"):
        Denial.of("ih6003", "TMO-1", "send something")
