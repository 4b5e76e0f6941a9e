"""HS-1: where a client connects to."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import attrs

from ihproto.clauses import clause
from ihproto.errors import LocalProtocolError, Side, Violation
from ihproto.revisions import V1, Revision

_PORTS = {"ws": 80, "wss": 443}
_LOCAL_SUFFIXES = (".local", ".localhost", ".internal", ".test", ".lan")


@attrs.frozen
class Target:
    """A WebSocket URL, taken apart.

    Attributes:
        tls: Whether the connection is to be encrypted.
        host: The host name or address, without brackets.
        port: The TCP port.
        path: Path and query, as the request says it.
    """

    tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str, revision: Revision = V1, *, allow_plaintext: bool = False) -> Target:
        """Take a URL apart.

        Args:
            url: `ws://` or `wss://`; without a path, the path of the revision is taken.
            revision: The revision to be spoken.
            allow_plaintext: Allow `ws://` to hosts that are not local.

        Raises:
            LocalProtocolError: If it is not a WebSocket URL, or would carry a credential in plain text over a public
                network (HS-1).
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _refused("the URL cannot be read") from None
        if parts.scheme not in _PORTS:
            raise _refused("the URL must begin with wss://, or with ws:// for a local server")
        if not host or not host.isascii():
            raise _refused("the URL names no host, or one that is not ASCII; write it in its xn-- form")
        if parts.username is not None:
            raise _refused("the URL holds a user name; pass the credential separately")
        path = parts.path if parts.path not in ("", "/") else revision.path
        if parts.query:
            path += f"?{parts.query}"
        if not all("!" <= character <= "~" for character in path):
            raise _refused("the path of the URL holds a character that must be percent-encoded")
        tls = parts.scheme == "wss"
        if not tls and not allow_plaintext and not _is_local(host):
            raise _refused("ws:// would send the credential in plain text over a public network; use wss://")
        return cls(tls, host, port if port is not None else _PORTS[parts.scheme], path)

    @property
    def authority(self) -> str:
        """Host and port as the `Host` header says them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["wss" if self.tls else "ws"] else f"{host}:{self.port}"


def _is_local(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_LOCAL_SUFFIXES)
    return address.is_private or address.is_loopback


def _refused(what: str) -> LocalProtocolError:
    return LocalProtocolError(Violation(clause("HS-1"), Side.CLIENT, "CONNECTING", what))
