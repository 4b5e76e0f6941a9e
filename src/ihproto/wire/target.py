"""HS-1: where a client connects to."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import SplitResult, urlencode, urlsplit

import attrs

from ihproto.clauses import clause
from ihproto.errors import LocalProtocolError, Side, Violation
from ihproto.revisions import V1, Revision

_PORTS = {"ws": 80, "wss": 443}
#: The schemes of plain HTTP, and those of WebSocket that mean the same server.
_SERVICE_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_LOCAL_SUFFIXES = (".local", ".localhost", ".internal", ".test", ".lan")


@attrs.frozen
class Target:
    """A URL, taken apart.

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
        parts = _split(url)
        if parts.scheme not in _PORTS:
            raise _refused("the URL must begin with wss://, or with ws:// for a local server")
        tls, host, port = _address_of(parts, parts.scheme)
        path = parts.path if parts.path not in ("", "/") else revision.path
        if parts.query:
            path += f"?{parts.query}"
        if not all("!" <= character <= "~" for character in path):
            raise _refused("the path of the URL holds a character that must be percent-encoded")
        _require_tls(tls, host, "ws", allow_plaintext)
        return cls(tls, host, port, path)

    @classmethod
    def parse_service(cls, url: str, *, allow_plaintext: bool = False) -> Target:
        """Take the address of a service apart, below which its HTTP endpoints are; the path is `/`.

        Args:
            url: `https://` or `http://`, without a path; `wss://` and `ws://` stand for the same.
            allow_plaintext: Allow `http://` to hosts that are not local.

        Raises:
            LocalProtocolError: If it is not such a URL, or would carry a credential in plain text over a public
                network (HS-1).
        """
        parts = _split(url)
        scheme = _SERVICE_SCHEMES.get(parts.scheme)
        if scheme is None:
            raise _refused("the URL must begin with https://, or with http:// for a local server")
        tls, host, port = _address_of(parts, scheme)
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise _refused("the URL goes on behind the host; leave the path out, each endpoint has its own")
        _require_tls(tls, host, "http", allow_plaintext)
        return cls(tls, host, port, "/")

    def with_query(self, query: Sequence[tuple[str, str]]) -> Target:
        """The same with more parameters in the query, percent-encoded (HS-13, HS-15)."""
        if not query:
            return self
        mark = "&" if "?" in self.path else "?"
        return attrs.evolve(self, path=f"{self.path}{mark}{urlencode(query)}")

    @property
    def authority(self) -> str:
        """Host and port as the `Host` header says them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["wss" if self.tls else "ws"] else f"{host}:{self.port}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        raise _refused("the URL cannot be read") from None


def _address_of(parts: SplitResult, scheme: str) -> tuple[bool, str, int]:
    """Whether TLS is wanted, the host, and the port."""
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise _refused("the URL cannot be read") from None
    if not host or not _is_host(host):
        raise _refused("the URL names no host, or one that is none; write an international one in its xn-- form")
    if parts.username is not None:
        raise _refused("the URL holds a user name; pass the credential separately")
    return scheme == "wss", host, port if port is not None else _PORTS[scheme]


def _require_tls(tls: bool, host: str, scheme: str, allow_plaintext: bool) -> None:
    if not tls and not allow_plaintext and not _is_local(host):
        what = f"{scheme}:// would send the credential in plain text over a public network; use {scheme}s://"
        raise _refused(what)


def _is_host(host: str) -> bool:
    """Whether it is an address or a domain name (RFC 1123, section 2.1; underscores are in use all the same)."""
    if _address(host) is not None:
        return True
    labels = host.removesuffix(".").split(".")
    return len(host) <= 253 and all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", label) for label in labels)


def _is_local(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_private or address.is_loopback
    # A lone number is an IPv4 address to most resolvers.
    return ("." not in host and not host[0].isdigit()) or host.endswith(_LOCAL_SUFFIXES)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _refused(what: str) -> LocalProtocolError:
    return LocalProtocolError(Violation(clause("HS-1"), Side.CLIENT, "CONNECTING", what))
