"""The credential endpoints as functions from the body of a request to its answer, without I/O and without a clock.

The status 200, and 204 for a revocation, are assumed; a body that is not what it should be is answered with 400, and
with an error id only where one is documented.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from ihproto import MalformedMessage
from ihproto.codec import decode_json, encode_json
from ihproto.tokens import (
    AUTH_PATHS,
    CLIENT_TOKENS_PATH,
    REVOKE_PATH,
    AccessToken,
    ClientToken,
    ClientTokenRequest,
    ClientTokenRevocation,
    KeyExchange,
)
from ihproto.wire import HttpError
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.leases import Denial

#: The most bytes of a request body; more is to be refused with 413 before it is read.
MAX_BODY_BYTES = 64 * 1024


@attrs.frozen
class Answer:
    """The answer of an endpoint; its repr shows no token.

    Attributes:
        status: The HTTP status.
        content: What its body says; None for no body.
        clause_id: The clause by which a request was refused, None when it was not.
    """

    status: int
    content: AccessToken | ClientToken | HttpError | None = None
    clause_id: str | None = None

    def encode(self, correlation_id: str) -> bytes:
        """The body, as JSON or empty.

        Args:
            correlation_id: The id of the request, which an error has in its body (ERR-3).
        """
        if isinstance(self.content, HttpError):
            return attrs.evolve(self.content, correlation_id=correlation_id).encode()
        return encode_json(self.content) if self.content is not None else b""


@attrs.frozen
class _SecretOfExchange:
    key_secret: str | None = attrs.field(default=None, repr=False)


def answer_auth(store: CredentialStore, body: bytes, now: float) -> Answer:
    """Answer `POST /v0/auth` and `POST /v1/auth` (AUT-1).

    Args:
        store: The credentials.
        body: The body of the request.
        now: The time, in seconds on the store's clock.

    Returns:
        200 with an `AccessToken`, or an error.
    """
    try:
        # A secret that is missing has an error of its own, whatever else is wrong with the members.
        if not decode_json(_SecretOfExchange, body, "AUT-1").key_secret:
            return Answer(400, HttpError.of("ih2005"), "AUT-1")
        request = decode_json(KeyExchange, body, "AUT-1")
    except MalformedMessage as error:
        return _malformed(error)
    return _answer(store.exchange(request, now))


def answer_client_tokens(store: CredentialStore, body: bytes, now: float) -> Answer:
    """Answer `POST /v1/client_tokens` (AUT-2).

    Args:
        store: The credentials.
        body: The body of the request.
        now: The time, in seconds on the store's clock.

    Returns:
        200 with a `ClientToken`, or an error.
    """
    try:
        request = decode_json(ClientTokenRequest, body, "AUT-2")
    except MalformedMessage as error:
        return _malformed(error)
    return _answer(store.issue(request, now))


def answer_revoke(store: CredentialStore, body: bytes, now: float) -> Answer:
    """Answer `POST /v1/client_tokens/revoke` (AUT-2).

    Args:
        store: The credentials.
        body: The body of the request.
        now: The time, in seconds on the store's clock.

    Returns:
        204 without a body, or an error.
    """
    try:
        request = decode_json(ClientTokenRevocation, body, "AUT-2")
    except MalformedMessage as error:
        return _malformed(error)
    return _answer(store.revoke(request, now))


#: What answers a POST at each path.
TOKEN_ENDPOINTS: Mapping[str, Callable[[CredentialStore, bytes, float], Answer]] = {
    **dict.fromkeys(AUTH_PATHS, answer_auth),
    CLIENT_TOKENS_PATH: answer_client_tokens,
    REVOKE_PATH: answer_revoke,
}


def _answer(outcome: AccessToken | ClientToken | Denial | None) -> Answer:
    if isinstance(outcome, Denial):
        return Answer(outcome.status, outcome.error, outcome.clause_id)
    return Answer(204 if outcome is None else 200, outcome)


def _malformed(error: MalformedMessage) -> Answer:
    finding = error.finding
    return Answer(400, HttpError(message=f"{finding.path}: {finding.what}"), finding.clause.id)
