"""AUT: what is said at the credential endpoints, as frozen classes.

`POST /v0/auth` and `POST /v1/auth` exchange a key pair for a short-lived access token; `POST /v1/client_tokens` issues
a capped token that can be handed to a browser, and `POST /v1/client_tokens/revoke` withdraws it. Fields are named as
in the JSON; durations are seconds. No repr shows a secret.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import attrs
import msgspec

#: What a credential needs to open a stream session (HS-11).
STREAM_SCOPE = "interhumanai.stream"
#: What a credential needs to upload files.
UPLOAD_SCOPE = "interhumanai.upload"

#: Where tokens are to be had, below the address of the service.
AUTH_PATHS = ("/v0/auth", "/v1/auth")
CLIENT_TOKENS_PATH = "/v1/client_tokens"
REVOKE_PATH = "/v1/client_tokens/revoke"

#: The lifetime of an access token, in seconds (AUT-1).
ACCESS_TOKEN_SECONDS = 900
#: The lifetime of a client token: what it is by default, and the least and the most it can be, in seconds (AUT-2).
CLIENT_TOKEN_SECONDS = 300
CLIENT_TOKEN_MIN_SECONDS = 60
CLIENT_TOKEN_MAX_SECONDS = 3600

_Positive: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]


@attrs.frozen
class KeyExchange:
    """The body of `POST /v1/auth` (AUT-1).

    Attributes:
        key_id: The id of the key.
        key_secret: Its secret.
        scopes: What the token is wanted for, at least one.
    """

    key_id: str
    key_secret: str = attrs.field(repr=False)
    scopes: tuple[str, ...]


@attrs.frozen
class AccessToken:
    """What a key pair is exchanged for (AUT-1).

    Attributes:
        access_token: The token.
        token_type: Always `Bearer`.
        expires_in: How long it is valid, in seconds.
        scope: Its scopes, separated by spaces.
    """

    access_token: str = attrs.field(repr=False)
    token_type: str
    expires_in: int
    scope: str


@attrs.frozen
class ClientTokenRequest:
    """The body of `POST /v1/client_tokens` (AUT-2); what is None is left to the server.

    Attributes:
        api_key: The API key that issues the token.
        scopes: What the token is for; by default streaming alone.
        expires_in: How long it is to be valid, in seconds; forced into 60 to 3600.
        max_duration_seconds: The longest session, in seconds.
        max_bytes: The most bytes of all its sessions together.
        max_concurrent: The most sessions at a time; 1 by default.
        max_video_seconds: The most seconds of video of everything done with it.
        allowed_origins: The origins of web pages that may use it (HS-14).
    """

    api_key: str = attrs.field(repr=False)
    scopes: tuple[str, ...] | None = None
    expires_in: int | None = None
    max_duration_seconds: _Positive | None = None
    max_bytes: _Positive | None = None
    max_concurrent: _Positive | None = None
    max_video_seconds: _Positive | None = None
    allowed_origins: tuple[str, ...] | None = None


@attrs.frozen
class ClientToken:
    """A client token, and the caps that hold for it (AUT-2).

    Attributes:
        access_token: The token.
        token_type: Always `Bearer`.
        expires_in: How long it is valid, in seconds.
        scope: Its scopes, separated by spaces.
        max_duration_seconds: The longest session, in seconds; None for no cap of its own.
        max_bytes: The most bytes of all its sessions together; None for no cap.
        max_concurrent: The most sessions at a time.
        max_video_seconds: The most seconds of video of everything done with it; None for no cap.
        allowed_origins: The origins of web pages that may use it; None for any (HS-14).
    """

    access_token: str = attrs.field(repr=False)
    token_type: str
    expires_in: int
    scope: str
    max_duration_seconds: int | None = None
    max_bytes: int | None = None
    max_concurrent: int | None = None
    max_video_seconds: int | None = None
    allowed_origins: tuple[str, ...] | None = None


@attrs.frozen
class ClientTokenRevocation:
    """The body of `POST /v1/client_tokens/revoke` (AUT-2).

    Attributes:
        api_key: The API key that issued the token.
        token: The token to withdraw.
    """

    api_key: str = attrs.field(repr=False)
    token: str = attrs.field(repr=False)
