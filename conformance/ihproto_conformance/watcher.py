"""From what passes on a wire to what is kept of it: an observer of its own for each connection, told the secrets first.

A `Watcher` takes the events of `ihproto.wire` as they pass, from a relay or from the tap of a client.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import unquote_plus

from ihproto import (
    ExpectedMedia,
    MediaScanner,
    Revision,
    SegmentFault,
    SegmentMedia,
    SegmentScanner,
    SessionReady,
    Side,
)
from ihproto.wire import PAIR_MARK, Redactor, Tapped, UpgradeAccepted, UpgradeFailed, UpgradeRefused, UpgradeRequested
from ihproto_conformance.observer import Observer
from ihproto_conformance.verdict import Entry

#: What is in the names of headers and parameters that hold a credential.
_TELLTALE = re.compile("key|token|auth|secret|passw|credential", re.IGNORECASE)

MakeScanner: TypeAlias = Callable[[SessionReady], SegmentScanner]


class Watcher:
    """Watches one connection; call it with each thing that passes, in order.

    Args:
        revision: The revision that is spoken.
        began: The moment from which times count, on the clock of all later ones, in seconds.
        make_scanner: Makes what looks into the segments, from the contract; None not to judge their media.
        on_entry: Called with each entry when it is made.

    Attributes:
        observer: What keeps and judges.
        redactor: Takes the credentials of this connection out of what is kept.
    """

    def __init__(
        self,
        revision: Revision,
        began: float,
        *,
        make_scanner: MakeScanner | None = MediaScanner,
        on_entry: Callable[[Entry], None] | None = None,
    ) -> None:
        self.redactor = Redactor(())
        scanner = _ContractScanner(make_scanner, self._contract) if make_scanner is not None else None
        self.observer = Observer(revision, began, self.redactor, scanner=scanner, on_entry=on_entry)

    def __call__(self, sender: Side, event: Tapped, now: float) -> None:
        """Take what passed.

        Args:
            sender: The side that said it.
            event: What it was.
            now: The present moment, in seconds.
        """
        match event:
            case UpgradeRequested():
                self._take_request(event, now)
            case UpgradeAccepted():
                self.observer.accepted(now, event)
            case UpgradeRefused() | UpgradeFailed():
                self.observer.refused(now, event)
            case _:
                self.observer.take(sender, event, now)

    def _take_request(self, event: UpgradeRequested, now: float) -> None:
        credential = event.credential
        self.redactor.add(secrets_of(event))
        self.observer.request(
            now,
            event.target,
            all_headers(event),
            credential=credential.form.value if credential is not None else None,
            subprotocols=event.subprotocols,
        )

    def _contract(self) -> SessionReady:
        monitor = self.observer.monitor
        contract = monitor.contract if monitor is not None else None
        return contract if contract is not None else self.observer.revision.contract


def all_headers(request: UpgradeRequested) -> list[tuple[bytes, bytes]]:
    """The headers of an upgrade request, with those that it holds apart because there may be a credential in them."""
    headers = [*request.headers]
    if request.authorization is not None:
        headers.append((b"authorization", request.authorization.encode("latin-1")))
    if request.subprotocols:
        headers.append((b"sec-websocket-protocol", ", ".join(request.subprotocols).encode("latin-1")))
    return headers


def secrets_of(request: UpgradeRequested) -> set[str]:
    """All that may be a credential in an upgrade request, be it in its place or not (HS-2, HS-3, HS-4).

    Where a client has put one that nobody wants it, the name tells: `X-API-Key`, or `?access_token=`.
    """
    query = request.target.partition("?")[2]
    named = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers]
    named += [(name, value) for name, _, value in (part.partition("=") for part in query.split("&"))]
    secrets = {form for name, value in named if _names_secret(name) for form in (value, unquote_plus(value))}
    secrets |= {value for value in request.subprotocols if value != PAIR_MARK}
    if request.authorization is not None:
        scheme, _, rest = request.authorization.partition(" ")
        secrets.add(rest.strip() or scheme)
    return secrets


def _names_secret(name: str) -> bool:
    # The handshake's own key is none.
    return not name.startswith("sec-websocket-") and _TELLTALE.search(name) is not None


class _ContractScanner:
    """A scanner that is made when the first segment begins, which is when the contract is known (RDY-4)."""

    def __init__(self, make: MakeScanner, contract: Callable[[], SessionReady]) -> None:
        self._make = make
        self._contract = contract
        self._scanner: SegmentScanner | None = None

    @property
    def _made(self) -> SegmentScanner:
        if self._scanner is None:
            self._scanner = self._make(self._contract())
        return self._scanner

    def expect(self, expected: ExpectedMedia) -> None:
        self._made.expect(expected)

    def begin(self, number: int) -> None:
        self._made.begin(number)

    def feed(self, data: bytes) -> SegmentFault | None:
        return self._made.feed(data)

    def finish(self) -> SegmentMedia | SegmentFault:
        return self._made.finish()
