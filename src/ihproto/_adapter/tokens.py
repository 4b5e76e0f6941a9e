"""Access tokens that renew themselves (AUT-1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ihproto.tokens import AUTH_PATHS, STREAM_SCOPE

if TYPE_CHECKING:
    from ihproto._adapter.api import Api


class TokenSource:
    """A key pair, exchanged for an access token whenever one is needed (AUT-1).

    It can stand wherever a credential is wanted. A token is renewed before its time is over; when a server refuses one
    all the same, because it was restarted, say, call `invalidate` and try again.

    Args:
        api: Where keys are exchanged.
        key_id: The id of the key.
        key_secret: Its secret.
        scopes: What the tokens are wanted for.
        refresh_before: How long before its end a token is not used any more, in seconds.
        path: `/v1/auth` or `/v0/auth`.
    """

    def __init__(
        self,
        api: Api,
        key_id: str,
        key_secret: str,
        scopes: Sequence[str] = (STREAM_SCOPE,),
        *,
        refresh_before: float = 30.0,
        path: str = AUTH_PATHS[-1],
    ) -> None:
        self._api = api
        self._key_id = key_id
        self._key_secret = key_secret
        self._scopes = scopes
        self._refresh_before = refresh_before
        self._path = path
        self._exchanging = api.library.lock()
        self._exchanges = 0
        self._token: str | None = None
        self._use_until = 0.0
        self._failure: Exception | None = None

    async def token(self) -> str:
        """A token that is valid for some time yet; tasks that ask at the same time share one exchange, and its failure.

        Raises:
            StreamError: If the exchange fails.
            ProtocolError: If no scope is asked for, or the server does not answer as documented (AUT-1).
        """
        exchanges = self._exchanges
        async with self._exchanging:
            if self._exchanges != exchanges:
                # Another task has made the exchange while we waited for our turn.
                if self._failure is not None:
                    raise self._failure
                if self._token is not None:
                    return self._token
            if self._token is None or self._api.library.now() >= self._use_until:
                self._token = None
                self._token = await self._exchange()
            return self._token

    def invalidate(self) -> None:
        """Forget the token, because a server has refused it; the next one is asked for anew."""
        self._token = None

    async def _exchange(self) -> str:
        asked = self._api.library.now()
        try:
            got = await self._api.exchange_key(self._key_id, self._key_secret, self._scopes, path=self._path)
        except Exception as error:
            self._failure = error
            self._exchanges += 1
            raise
        self._failure = None
        self._exchanges += 1
        self._use_until = asked + got.expires_in - self._refresh_before
        return got.access_token


async def resolve(credential: str | TokenSource) -> str:
    """The text of a credential."""
    return await credential.token() if isinstance(credential, TokenSource) else credential
