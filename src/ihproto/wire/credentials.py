"""HS-2 to HS-7: how a credential travels in the upgrade request, and how it is found there."""

from __future__ import annotations

import enum
import string
from collections.abc import Sequence

import attrs

from ihproto.clauses import clause
from ihproto.errors import Finding, LocalProtocolError, Side, Violation

#: The first value of the pair form (HS-4).
PAIR_MARK = "access_token"

# RFC 7230, section 3.2.6
_TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")
_HEADER = frozenset(chr(code) for code in range(0x21, 0x7F))


class CredentialForm(enum.Enum):
    """The three ways in which a credential travels."""

    HEADER = "header"
    SUBPROTOCOL = "subprotocol"
    PAIR = "pair"


@attrs.frozen
class Credential:
    """A credential; its text never shows in a repr.

    Attributes:
        value: The credential itself.
        form: How it travels, or travelled.
    """

    value: str = attrs.field(repr=False)
    form: CredentialForm = CredentialForm.HEADER


@attrs.frozen
class Offer:
    """What an upgrade request carries for a credential.

    Attributes:
        headers: Headers to add.
        subprotocols: Subprotocols to offer, in order.
    """

    headers: list[tuple[bytes, bytes]] = attrs.field(repr=False)
    subprotocols: list[str] = attrs.field(repr=False)


def offer(credential: Credential) -> Offer:
    """Put a credential into an upgrade request (HS-2, HS-3, HS-4).

    Raises:
        LocalProtocolError: If it holds a character that cannot travel in this form (HS-7).
    """
    value, form = credential.value, credential.form
    if form is CredentialForm.HEADER:
        _require(value, _HEADER, "HS-2", "an Authorization header", "")
        return Offer([(b"Authorization", b"Bearer " + value.encode("ascii"))], [])
    _require(value, _TOKEN, "HS-7", "a subprotocol", "; send it in the Authorization header instead")
    if form is CredentialForm.SUBPROTOCOL:
        return Offer([], [value])
    return Offer([], [PAIR_MARK, value])


def _require(value: str, allowed: frozenset[str], clause_id: str, where: str, cure: str) -> None:
    if not value:
        what = "the credential is empty"
    else:
        position = next((index for index, character in enumerate(value) if character not in allowed), None)
        if position is None:
            return
        what = f"character {position + 1} of the credential, {value[position]!r}, cannot travel in {where}{cure}"
    raise LocalProtocolError(Violation(clause(clause_id), Side.CLIENT, "CONNECTING", what))


def find(headers: Sequence[tuple[bytes, bytes]], subprotocols: Sequence[str]) -> Credential | None:
    """Find the credential of an upgrade request; the header decides where there are two (HS-6).

    Args:
        headers: The headers of the request, names in lower case.
        subprotocols: The subprotocols that it offers, in order.

    Returns:
        The credential, or None when there is none.
    """
    for name, value in headers:
        if name == b"authorization":
            scheme, _, rest = value.decode("latin-1").partition(" ")
            if scheme.lower() == "bearer" and rest.strip():
                return Credential(rest.strip(), CredentialForm.HEADER)
    match subprotocols:
        case [only]:
            return Credential(only, CredentialForm.SUBPROTOCOL)
        case [mark, second] if mark == PAIR_MARK:
            return Credential(second, CredentialForm.PAIR)
    return None


def select(subprotocols: Sequence[str]) -> str | None:
    """The subprotocol with which a server answers those offered (HS-5)."""
    if not subprotocols:
        return None
    return PAIR_MARK if PAIR_MARK in subprotocols else subprotocols[0]


def judge_answer(subprotocols: Sequence[str], selected: str | None, correlation_id: str | None) -> list[Finding]:
    """Judge the response that accepts an upgrade (HS-5, HS-9).

    Args:
        subprotocols: What was offered, in order.
        selected: What the server selected, None for nothing.
        correlation_id: The `X-Correlation-ID` header, None when there is none.
    """
    found = []
    if selected is None and subprotocols:
        what = "the server selected no subprotocol although one was offered; a browser would drop the connection"
        found.append(Finding(clause("HS-5"), what))
    elif selected != select(subprotocols):
        what = "the server selected another subprotocol than the one it has to select"
        found.append(Finding(clause("HS-5"), what))
    if correlation_id is None:
        found.append(Finding(clause("HS-9"), "the upgrade response carries no X-Correlation-ID"))
    return found
