"""Watching a session: everything that passes becomes a record, and the monitor's word on it stands beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import attrs

from ihproto import Revision, SegmentFault, SegmentScanner, SessionConfig, SessionMonitor, Side, Violation, clause
from ihproto.monitor import Observation
from ihproto.rules.config import read_query
from ihproto.wire import (
    RawBytes,
    RawClose,
    RawEvent,
    RawLost,
    RawSurplus,
    RawText,
    Redactor,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
    judge_answer,
)
from ihproto_conformance.trace import (
    Begins,
    Binary,
    Close,
    Lost,
    Media,
    Passed,
    Record,
    Request,
    Response,
    Surplus,
    Text,
    Trace,
)
from ihproto_conformance.verdict import Entry

#: The state in which the upgrade is: there is no session yet.
HANDSHAKE = "CONNECTING"
#: How long after a close frame it has certainly arrived, in seconds: from then on its answer is due (CLS-3).
_ARRIVAL = 5.0


class Observer:
    """Watches one connection from its upgrade request to its end.

    Args:
        revision: The revision that is spoken.
        began: The moment from which times count, on the clock of all `now`, in seconds.
        redactor: Takes credentials out of what is kept.
        scanner: Looks into the segments; None not to judge their media.
        on_entry: Called with each entry when it is made.

    Attributes:
        entries: What passed so far, in order.
        monitor: What judges, None until the upgrade is through.
    """

    def __init__(
        self,
        revision: Revision,
        began: float,
        redactor: Redactor,
        *,
        scanner: SegmentScanner | None = None,
        on_entry: Callable[[Entry], None] | None = None,
    ) -> None:
        self.revision = revision
        self.entries: list[Entry] = []
        self.monitor: SessionMonitor | None = None
        self._began = began
        self._redactor = redactor
        self._scanner = scanner
        self._on_entry = on_entry
        self._asked: SessionConfig | None = None
        self._subprotocols: Sequence[str] = ()
        self._texts: dict[Side, list[str]] = {Side.CLIENT: [], Side.SERVER: []}
        self._binaries: dict[Side, _Binary | None] = {Side.CLIENT: None, Side.SERVER: None}
        self._closed_at: dict[Side, float] = {}
        self._ended = False

    def trace(self, started_at: datetime | None = None, title: str = "") -> Trace:
        """What passed so far, as a trace."""
        return Trace(self.revision, tuple(entry.record for entry in self.entries), started_at, title)

    # -- the upgrade ----------------------------------------------------------------------------------

    def request(
        self,
        now: float,
        target: str,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        credential: str | None,
        subprotocols: Sequence[str] = (),
    ) -> Entry:
        """Take note of the upgrade request.

        Args:
            now: The present moment, in seconds.
            target: Path and query.
            headers: All headers; the values of those that hold a credential are not kept.
            credential: The form in which a credential came, None for none.
            subprotocols: What is offered, in order.
        """
        self._asked = asked_by(self.revision, target)
        self._subprotocols = subprotocols
        passed = Request(self._redactor.text(target), self._redactor.headers(headers), credential)
        return self._note(now, Side.CLIENT, passed, judge_request(passed))

    def accepted(self, now: float, event: UpgradeAccepted) -> Entry:
        """Take note that the server accepted the upgrade; from now on messages pass."""
        self.monitor = SessionMonitor(
            revision=self.revision,
            correlation_id=event.correlation_id,
            asked=self._asked,
            scanner=self._scanner,
        )
        headers = [*event.headers]
        if event.subprotocol is not None:
            headers.append((b"sec-websocket-protocol", event.subprotocol.encode("latin-1")))
        found = judge_acceptance(self._subprotocols, event.subprotocol, event.correlation_id)
        return self._note(now, Side.SERVER, Response(101, self._redactor.headers(headers)), found)

    def refused(self, now: float, event: UpgradeRefused | UpgradeFailed) -> Entry:
        """Take note that the server did not accept the upgrade."""
        passed: Passed
        if isinstance(event, UpgradeFailed):
            passed = Lost(self._redactor.text(event.what))
        else:
            body = self._redactor.text(event.body.decode(errors="replace"))
            passed = Response(event.status, self._redactor.headers(event.headers), body)
        return self._note(now, Side.SERVER, passed, [])

    # -- messages -------------------------------------------------------------------------------------

    def take(self, sender: Side, event: RawEvent, now: float) -> Entry | None:
        """Judge what passed, and keep it; a message is kept when it is whole.

        Args:
            sender: The side that said it.
            event: What it was; pieces of a message in order.
            now: The present moment, in seconds.

        Returns:
            The entry, if this made one.
        """
        match event:
            case RawText(text, final):
                pieces = self._texts[sender]
                pieces.append(text)
                if not final:
                    return None
                whole = "".join(pieces)
                pieces.clear()
                seen = self._monitor.observe_text(sender, whole)
                return self._note(now, sender, Text(self._redactor.text(whole)), seen.violations)
            case RawBytes(data, final):
                return self._take_bytes(sender, data, final, now)
            case RawClose(code, reason):
                self._closed_at.setdefault(sender, now)
                seen = self._monitor.observe_close(sender)
                return self._note(now, sender, Close(code, self._redactor.text(reason)), seen.violations)
            case RawSurplus(size):
                return self._note(now, sender, Surplus(size), self._monitor.observe_surplus(sender).violations)
            case RawLost(reason):
                return self.lost(sender, reason, now)

    def lost(self, sender: Side, reason: str, now: float) -> Entry | None:
        """Take note that a side ended the connection without a close frame, unless it was over anyhow."""
        if self._ended:
            return None
        self._ended = True
        due = answer_due(sender, self._closed_at, now)
        seen = self.monitor.observe_lost(sender, answer_due=due) if self.monitor is not None else Observation()
        return self._note(now, sender, Lost(self._redactor.text(reason)), seen.violations)

    def _take_bytes(self, sender: Side, data: bytes, final: bool, now: float) -> Entry | None:
        message = self._binaries[sender]
        if message is None:
            message = self._binaries[sender] = _Binary()
        message.hash.update(data)
        message.size += len(data)
        seen = self._monitor.observe_bytes(sender, data, final=final)
        message.violations += seen.violations
        if seen.media is not None:
            message.media = _media(seen.media)
        if not final:
            if message.violations:
                # It may be long until the message is whole, and perhaps it never is.
                self._announce(now)
            return None
        self._binaries[sender] = None
        passed = Binary(message.size, message.hash.hexdigest(), message.media)
        return self._note(now, sender, passed, message.violations)

    def _note(self, now: float, sender: Side, passed: Passed, violations: Iterable[Violation]) -> Entry:
        self._announce(now)
        return self._keep(Entry(Record(now - self._began, sender, passed), tuple(violations)))

    def _announce(self, now: float) -> None:
        """Keep how much has come of a message that is under way: whoever judges this again must know."""
        for side, message in self._binaries.items():
            if message is not None and message.announced != message.size:
                message.announced = message.size
                violations, message.violations = message.violations, ()
                begins = Begins(size=message.size, media=message.media)
                self._keep(Entry(Record(now - self._began, side, begins), violations))

    def _keep(self, entry: Entry) -> Entry:
        # A finding may quote what was said.
        clean = self._redactor.text
        told = tuple(
            attrs.evolve(found, what=clean(found.what), path=clean(found.path) if found.path is not None else None)
            for found in entry.violations
        )
        entry = Entry(entry.record, told)
        self.entries.append(entry)
        if self._on_entry is not None:
            self._on_entry(entry)
        return entry

    @property
    def _monitor(self) -> SessionMonitor:
        assert self.monitor is not None, "messages pass after the upgrade"
        return self.monitor


def judge_request(request: Request) -> list[Violation]:
    """Judge an upgrade request (HS-2)."""
    if request.credential is not None:
        return []
    what = "the upgrade request holds no credential in any of the three forms"
    return [Violation(clause("HS-2"), Side.CLIENT, HANDSHAKE, what)]


def judge_acceptance(subprotocols: Sequence[str], selected: str | None, correlation_id: str | None) -> list[Violation]:
    """Judge an answer that accepts the upgrade (HS-5, HS-9); see `judge_answer`."""
    found = judge_answer(subprotocols, selected, correlation_id)
    return [Violation(finding.clause, Side.SERVER, HANDSHAKE, finding.what) for finding in found]


def answer_due(sender: Side, closed_at: Mapping[Side, float], now: float) -> bool:
    """Whether a side has certainly heard a close frame that it had to answer (CLS-3).

    Args:
        sender: The side.
        closed_at: When each side sent its close frame, in seconds.
        now: The present moment, in seconds.
    """
    other = Side.SERVER if sender is Side.CLIENT else Side.CLIENT
    return now - closed_at.get(other, now) >= _ARRIVAL


def asked_by(revision: Revision, target: str) -> SessionConfig:
    """What a client asks for by the query of its upgrade request (HS-13, HS-15)."""
    return read_query(revision, parse_qsl(target.partition("?")[2], keep_blank_values=True))


class _Binary:
    """A binary message on its way."""

    def __init__(self) -> None:
        self.hash: Any = hashlib.sha256()
        self.size = 0
        self.media: Media | None = None
        self.violations: tuple[Violation, ...] = ()
        # How much of it others were told of, in bytes; less than nothing when they were not.
        self.announced = -1


def _media(media: Any) -> Media:
    if isinstance(media, SegmentFault):
        return Media(0.0, media.clause_id, f"the segment {media.what}")
    return Media(media.seconds)
