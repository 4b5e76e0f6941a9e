"""What a mock server is configured with: API keys and key pairs, each with its scopes."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256

import attrs

from ihproto.tokens import STREAM_SCOPE, UPLOAD_SCOPE
from ihproto.wire import Credential

#: The key that works when no other was given; it is no secret.
DEFAULT_KEY = "ih_live_mock"
#: The key pair that can be exchanged when no other was given; its secret is none.
DEFAULT_KEY_ID = "mock-key-id"
DEFAULT_KEY_SECRET = "mock-key-secret"

_SCOPES = (STREAM_SCOPE, UPLOAD_SCOPE)


@attrs.frozen
class KeyPair:
    """A key pair, to be exchanged for access tokens (AUT-1).

    Attributes:
        key_id: Its id.
        key_secret: Its secret.
        scopes: The scopes that its access tokens can have.
    """

    key_id: str
    key_secret: str = attrs.field(repr=False)
    scopes: Collection[str] = _SCOPES


class KeyRing:
    """Keys and their scopes; its repr shows none of them.

    Args:
        keys: Each API key with its scopes; None for `DEFAULT_KEY` with the scopes of both endpoints.
        key_pairs: The key pairs; None for `DEFAULT_KEY_ID` with `DEFAULT_KEY_SECRET` and the same scopes, or for none
            where `keys` are given.

    Raises:
        ValueError: If there is no key, an empty one, a key pair without id or secret, or two of the same id.
    """

    def __init__(
        self, keys: Mapping[str, Collection[str]] | None = None, key_pairs: Iterable[KeyPair] | None = None
    ) -> None:
        chosen = {DEFAULT_KEY: _SCOPES} if keys is None else keys
        if not chosen or not all(chosen):
            raise ValueError("a server needs at least one key, and no key may be empty")
        pairs = list(key_pairs) if key_pairs is not None else []
        if keys is None and key_pairs is None:
            # Whoever names keys of their own wants no other door.
            pairs = [KeyPair(DEFAULT_KEY_ID, DEFAULT_KEY_SECRET)]
        if not all(pair.key_id and pair.key_secret for pair in pairs):
            raise ValueError("a key pair needs an id and a secret")
        self._names = tuple(chosen)
        self._keys = [(digest(key), frozenset(scopes)) for key, scopes in chosen.items()]
        self._pairs = {pair.key_id: (digest(pair.key_secret), frozenset(pair.scopes)) for pair in pairs}
        if len(self._pairs) < len(pairs):
            raise ValueError("two key pairs have the same id")

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._keys)} API keys and {len(self._pairs)} key pairs>"

    def __iter__(self) -> Iterator[str]:
        """The API keys themselves, in order."""
        return iter(self._names)

    def scopes(self, credential: Credential) -> frozenset[str] | None:
        """The scopes of an API key, None when it is not valid."""
        presented = digest(credential.value)
        found = None
        for key, scopes in self._keys:
            if hmac.compare_digest(key, presented):
                found = scopes
        return found

    def pair_scopes(self, key_id: str, key_secret: str) -> frozenset[str] | None:
        """The scopes of a key pair, None when there is none of this id and secret."""
        secret, scopes = self._pairs.get(key_id, (bytes(32), frozenset()))
        # An id that does not exist is compared as well, so that the time does not tell which ids do.
        return scopes if hmac.compare_digest(secret, digest(key_secret)) else None


def digest(secret: str) -> bytes:
    """What is kept and compared in place of a secret; the time of a comparison tells nothing about the secret."""
    # Any text has a digest: the error of an encoding that fails would hold the secret.
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
