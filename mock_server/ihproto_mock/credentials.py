"""Who may do what: keys, access tokens and client tokens, without I/O and without a clock.

There are three kinds of credentials. An API key is configured, never ends and has no caps. An access token is what a
key pair is exchanged for (AUT-1); it is valid for 900 seconds and has no caps either. A client token is issued against
an API key (AUT-2); it is valid for 60 to 3600 seconds, and these caps hold for everything that is done with it:

* `scopes`: what it is good for; no more than its API key is.
* `allowed_origins`: the web pages that may use it (HS-14).
* `max_concurrent`: how many uses, sessions and uploads alike (assumed), are under way at a time; one more is ih3002.
* `max_duration_seconds`: the longest of its sessions; whoever runs the session sets its contract to this.
* `max_bytes` and `max_video_seconds`: budgets of all its uses together. A piece that does not fit into what is left is
  refused whole and costs nothing, a smaller one may still fit (assumed); ih3003 (assumed) and ih3006. With nothing at
  all left no use begins (assumed).

What ends when:

* A token can be used until it expires. What was begun until then goes on afterwards (assumed), within its caps.
* A client token that was revoked can no more be used, and what is under way with it ends at its next segment (AUT-2),
  which is when `Lease.check` is to be asked. That holds for an expired token too, although it is still called expired.
* An expired client token is told apart from one that never was for `REMEMBERED_SECONDS`, and for as long as something
  runs on it. Then it is forgotten, and ih2010 becomes ih2011. An expired access token need not be remembered, as its
  error is that of a wrong one, ih2001.

Times are seconds on any clock that never runs backwards.
"""

from __future__ import annotations

import heapq
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping

import attrs

from ihproto.tokens import (
    ACCESS_TOKEN_SECONDS,
    CLIENT_TOKEN_MAX_SECONDS,
    CLIENT_TOKEN_MIN_SECONDS,
    CLIENT_TOKEN_SECONDS,
    STREAM_SCOPE,
    UPLOAD_SCOPE,
    AccessToken,
    ClientToken,
    ClientTokenRequest,
    ClientTokenRevocation,
    KeyExchange,
)
from ihproto.wire import Credential
from ihproto_mock.keys import KeyPair, KeyRing, digest
from ihproto_mock.leases import Caps, Denial, Grant, Standing

#: What tokens begin with.
ACCESS_TOKEN_PREFIX = "ih_at_"
CLIENT_TOKEN_PREFIX = "ih_ct_"
#: How long after its end a client token is still known, in seconds.
REMEMBERED_SECONDS = 3600

# Names that the published client has for scopes, with the scope that is issued for each. The last two are scopes of
# their own, which no key has unless it is configured so.
_ISSUED_AS: Mapping[str, str] = {
    STREAM_SCOPE: STREAM_SCOPE,
    UPLOAD_SCOPE: UPLOAD_SCOPE,
    f"{STREAM_SCOPE}.inter-2": STREAM_SCOPE,
    f"{STREAM_SCOPE}.inter-2-audio": STREAM_SCOPE,
    f"{UPLOAD_SCOPE}.inter-2": UPLOAD_SCOPE,
    f"{UPLOAD_SCOPE}.inter-2-audio": UPLOAD_SCOPE,
    "interhumanai.realtime": "interhumanai.realtime",
    f"{UPLOAD_SCOPE}.inter-2-deep": f"{UPLOAD_SCOPE}.inter-2-deep",
}

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@]+|null", re.IGNORECASE)


class CredentialStore:
    """All credentials of a server; its repr shows none of them.

    Args:
        keys: Each API key with its scopes; None for `DEFAULT_KEY` with the scopes of both endpoints.
        key_pairs: The key pairs; None for `DEFAULT_KEY_ID` with `DEFAULT_KEY_SECRET` and the same scopes.
        make_token: Makes what follows the prefix of a token, out of letters, digits, `-` and `_`; never the same twice.
        access_token_seconds: The lifetime of access tokens, in seconds.

    Raises:
        ValueError: If there is no API key, or one or a key pair cannot be used.
    """

    def __init__(
        self,
        keys: Mapping[str, Collection[str]] | None = None,
        *,
        key_pairs: Iterable[KeyPair] | None = None,
        make_token: Callable[[], str] = secrets.token_urlsafe,
        access_token_seconds: int = ACCESS_TOKEN_SECONDS,
    ) -> None:
        self.keys = KeyRing(keys, key_pairs)
        self._make_token = make_token
        self._access_token_seconds = access_token_seconds
        # By the digest of each token: how far a search among digests gets tells nothing about a token.
        self._tokens: dict[bytes, Standing] = {}
        self._ends: list[tuple[float, bytes]] = []

    def __repr__(self) -> str:
        return f"<CredentialStore of {len(self._tokens)} tokens, with {self.keys!r}>"

    def authorize(
        self,
        credential: Credential | None,
        *,
        now: float,
        scope: str,
        origin: str | None = None,
        origin_is_sent: bool = True,
    ) -> Grant | Denial:
        """Decide whether a credential may do something.

        Args:
            credential: What the request carries, None for nothing.
            now: The time.
            scope: The scope that is needed.
            origin: The `Origin` of the request, None when it has none.
            origin_is_sent: Whether every web page sends an `Origin` with such a request; it does not when it only reads
                from where it came from.

        Returns:
            A grant, or the reason why not. On the stream endpoint a valid credential without the scope is a denial
            with `Denial.after_upgrade` (HS-11).
        """
        self._forget(now)
        if credential is None:
            return Denial.of("ih2002", "HS-10", "send it as 'Authorization: Bearer <credential>'")
        standing = self._find(credential)
        if isinstance(standing, Denial):
            return standing
        denial = standing.ended(now)
        if denial is None and (origin is not None or origin_is_sent):
            denial = _foreign(origin, standing.caps.allowed_origins)
        if denial is not None:
            return denial
        if scope not in standing.scopes:
            streaming = scope == STREAM_SCOPE
            cure = f"use a credential with {scope}"
            return Denial.of("ih2003", "HS-11" if streaming else "AUT-1", cure, after_upgrade=streaming)
        return Grant(standing)

    def exchange(self, request: KeyExchange, now: float) -> AccessToken | Denial:
        """Exchange a key pair for an access token (AUT-1).

        Args:
            request: What was asked for.
            now: The time.

        Returns:
            The token with the scopes asked for, or the reason why not: the pair is wrong (ih2001), it does not hold a
            scope (ih2003), or the scopes make no sense (400).
        """
        held = self.keys.pair_scopes(request.key_id, request.key_secret)
        if held is None:
            return Denial.of("ih2001", "AUT-1", "no key pair has this key_id and key_secret")
        scopes = _issued(request.scopes, held, "AUT-1")
        if isinstance(scopes, Denial):
            return scopes
        lifetime = self._access_token_seconds
        standing = Standing(frozenset(scopes), expires_at=now + lifetime, account=f"pair {request.key_id}")
        token = self._add(ACCESS_TOKEN_PREFIX, standing, now)
        return AccessToken(token, "Bearer", lifetime, " ".join(scopes))

    def issue(self, request: ClientTokenRequest, now: float) -> ClientToken | Denial:
        """Issue a client token (AUT-2).

        Args:
            request: What was asked for.
            now: The time.

        Returns:
            The token with the caps that hold for it, or the reason why not: the API key is wrong (ih2001), it does
            not hold a scope (ih2003), or scopes or origins make no sense (400).
        """
        held = self.keys.scopes(Credential(request.api_key))
        if held is None:
            return _WRONG_API_KEY
        scopes = _issued((STREAM_SCOPE,) if request.scopes is None else request.scopes, held, "AUT-2")
        if isinstance(scopes, Denial):
            return scopes
        denial = _unusable(request.allowed_origins)
        if denial is not None:
            return denial
        wanted = CLIENT_TOKEN_SECONDS if request.expires_in is None else request.expires_in
        lifetime = min(max(wanted, CLIENT_TOKEN_MIN_SECONDS), CLIENT_TOKEN_MAX_SECONDS)
        caps = Caps(
            request.max_duration_seconds,
            request.max_bytes,
            1 if request.max_concurrent is None else request.max_concurrent,
            request.max_video_seconds,
            request.allowed_origins,
        )
        standing = Standing(
            frozenset(scopes), caps, now + lifetime, _account_of(request.api_key), issuer=digest(request.api_key)
        )
        token = self._add(CLIENT_TOKEN_PREFIX, standing, now)
        return ClientToken(token, "Bearer", lifetime, " ".join(scopes), **attrs.asdict(caps, recurse=False))

    def revoke(self, request: ClientTokenRevocation, now: float) -> Denial | None:
        """Withdraw a client token (AUT-2); one that was revoked before, or has expired, is no error.

        Args:
            request: The token, and the API key that issued it.
            now: The time.

        Returns:
            None when it is revoked, or the reason why not: the API key is wrong (ih2001), or it issued no such token
            (ih2011). The latter is said of the tokens of other keys too, so that no key learns of them (assumed).
        """
        self._forget(now)
        if self.keys.scopes(Credential(request.api_key)) is None:
            return _WRONG_API_KEY
        standing = self._tokens.get(digest(request.token))
        if standing is None or standing.issuer != digest(request.api_key):
            return Denial.of("ih2011", "AUT-2", "this API key issued no such token, or it ended long ago")
        standing.revoked = True
        return None

    def _find(self, credential: Credential) -> Standing | Denial:
        scopes = self.keys.scopes(credential)
        if scopes is not None:
            return Standing(
                frozenset(_ISSUED_AS.get(scope, scope) for scope in scopes), account=_account_of(credential.value)
            )
        standing = self._tokens.get(digest(credential.value))
        if standing is not None:
            return standing
        if credential.value.startswith(CLIENT_TOKEN_PREFIX):
            return Denial.of("ih2011", "AUT-2", "it was not issued here, or it ended long ago; ask for a new one")
        return Denial.of("ih2001", "HS-10", "it is no API key of this server, and no token that is still valid")

    def _add(self, prefix: str, standing: Standing, now: float) -> str:
        self._forget(now)
        token = prefix + self._make_token()
        key = digest(token)
        if key in self._tokens:
            raise ValueError("make_token made the same token twice; one would take over the caps of the other")
        self._tokens[key] = standing
        kept = REMEMBERED_SECONDS if standing.issuer is not None else 0
        heapq.heappush(self._ends, (standing.expires_at + kept, key))
        return token

    def _forget(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, key = heapq.heappop(self._ends)
            if self._tokens[key].running:
                # Forgotten it could not be revoked, and what runs on it would go on.
                heapq.heappush(self._ends, (now + REMEMBERED_SECONDS, key))
            else:
                del self._tokens[key]


def _account_of(api_key: str) -> str:
    return f"key {digest(api_key).hex()}"


_WRONG_API_KEY = Denial.of("ih2001", "AUT-2", "api_key is no API key of this server")


def _issued(wanted: tuple[str, ...], held: frozenset[str], clause_id: str) -> tuple[str, ...] | Denial:
    """The scopes to issue, each once and in the order asked for."""
    if not wanted:
        return Denial(400, None, "$.scopes: is empty; ask for at least one scope", clause_id)
    for position, name in enumerate(wanted):
        if name not in _ISSUED_AS:
            known = f"{STREAM_SCOPE} and {UPLOAD_SCOPE}"
            return Denial(400, None, f"$.scopes[{position}]: there is no such scope; there are {known}", clause_id)
    scopes = tuple(dict.fromkeys(_ISSUED_AS[name] for name in wanted))
    lacking = set(scopes) - {_ISSUED_AS.get(name, name) for name in held}
    if lacking:
        return Denial.of("ih2003", clause_id, f"the key has no {', '.join(sorted(lacking))}, so no token of it can")
    return scopes


def _unusable(origins: tuple[str, ...] | None) -> Denial | None:
    """What is wrong with a list of origins: one that no browser can send would lock everybody out."""
    if origins is None:
        return None
    if not origins:
        return Denial(400, None, "$.allowed_origins: is empty; leave it out to allow every origin", "AUT-2")
    for position, origin in enumerate(origins):
        if not _ORIGIN.fullmatch(origin):
            what = "is no origin; it is a scheme and a host, as in https://app.example, without a path"
            return Denial(400, None, f"$.allowed_origins[{position}]: {what}", "AUT-2")
    return None


def _foreign(origin: str | None, allowed: tuple[str, ...] | None) -> Denial | None:
    """Why a request from an origin is refused, None when it is not (HS-14)."""
    if allowed is None or (origin is not None and origin.lower() in {entry.lower() for entry in allowed}):
        return None
    whence = f"the origin {origin[:100]!r} is" if origin is not None else "requests without an Origin are"
    # No documented id fits: ih2011 would make a client ask for a new token, which would be refused here as well.
    return Denial(403, None, f"{whence} not among the allowed_origins of this client token", "HS-14")
