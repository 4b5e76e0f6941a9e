"""Which keys open a session, and with which scopes."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterator, Mapping

from ihproto.wire import Credential

#: The key that works when no other was given; it is no secret.
DEFAULT_KEY = "ih_live_mock"
#: What a key needs to open a stream session (HS-11).
STREAM_SCOPE = "interhumanai.stream"


class KeyRing:
    """Keys and their scopes; its repr shows none of them.

    Args:
        keys: Each key with its scopes; None for `DEFAULT_KEY` with the stream scope.

    Raises:
        ValueError: If there is no key, or an empty one.
    """

    def __init__(self, keys: Mapping[str, Collection[str]] | None = None) -> None:
        chosen = {DEFAULT_KEY: (STREAM_SCOPE,)} if keys is None else keys
        if not chosen or not all(chosen):
            raise ValueError("a server needs at least one key, and no key may be empty")
        self._keys = {key: frozenset(scopes) for key, scopes in chosen.items()}

    def __repr__(self) -> str:
        return f"<KeyRing of {len(self._keys)}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def scopes(self, credential: Credential) -> frozenset[str] | None:
        """The scopes of a credential, None when it is not valid."""
        for key, scopes in self._keys.items():
            if hmac.compare_digest(key.encode(), credential.value.encode()):
                return scopes
        return None
