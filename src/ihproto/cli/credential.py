"""The options by which the commands get their credential."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import attrs
import click

from ihproto.anyio import Api, TokenSource

C = TypeVar("C", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--key", metavar="KEY", help="The API key or token. Others may see it in the list of processes."),
    click.option(
        "--key-env",
        default="IHPROTO_KEY",
        show_default=True,
        metavar="NAME",
        help="The environment variable that holds the key, where --key is not given.",
    ),
    click.option(
        "--key-id",
        metavar="ID",
        help="Exchange a key pair for a token instead: its id; the secret comes from --key-secret-env.",
    ),
    click.option(
        "--key-secret-env",
        default="IHPROTO_KEY_SECRET",
        show_default=True,
        metavar="NAME",
        help="The environment variable that holds the secret of the key pair.",
    ),
)


@attrs.frozen
class CredentialChoice:
    """What the options say about the credential; made before anything is connected.

    Attributes:
        key: An API key or token; None for a key pair.
        key_id: The id of a key pair.
        key_secret: Its secret.
    """

    key: str | None = attrs.field(repr=False)
    key_id: str | None = None
    key_secret: str | None = attrs.field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not show anywhere."""
        return tuple(secret for secret in (self.key, self.key_secret) if secret is not None)

    def credential(self, url: str, scope: str, path: str, *, allow_plaintext: bool) -> str | TokenSource:
        """The credential, or where to get one; to be called in the event loop that uses it.

        Args:
            url: The URL that the credential is for; tokens come from the same server.
            scope: What a token is wanted for.
            path: Where key pairs are exchanged (AUT-1).
            allow_plaintext: Allow an unencrypted connection to hosts that are not local.

        Raises:
            LocalProtocolError: If the URL cannot be used (HS-1).
        """
        if self.key is not None:
            return self.key
        try:
            parts = urlsplit(url)
            base = f"{parts.scheme}://{parts.netloc}"
        except ValueError:
            # Not a URL at all: whoever connects to it says so.
            base = url
        api = Api(base, allow_plaintext=allow_plaintext)
        return TokenSource(api, self.key_id or "", self.key_secret or "", (scope,), path=path)


def credential_options(command: C) -> C:
    """Give a command the options for its credential; `choose` makes something of them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def choose(key: str | None, key_env: str, key_id: str | None, key_secret_env: str) -> CredentialChoice:
    """Find the credential that the options name.

    Raises:
        click.UsageError: If there is none.
    """
    if key_id is not None:
        if key is not None:
            raise click.UsageError("--key and --key-id are two ways to the same end; pass one of them")
        secret = os.environ.get(key_secret_env)
        if not secret:
            raise click.UsageError(f"the key pair has no secret: set the environment variable {key_secret_env}")
        return CredentialChoice(None, key_id, secret)
    credential = key if key is not None else os.environ.get(key_env)
    if not credential:
        raise click.UsageError(f"there is no key: pass --key, or set the environment variable {key_env}")
    return CredentialChoice(credential)
