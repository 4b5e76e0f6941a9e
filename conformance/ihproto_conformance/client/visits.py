"""What a client did in one scenario: the connections that it made, what passed on them, and how it came to its end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Protocol

import attrs
import msgspec

from ihproto import Revision, Side
from ihproto.wire import UpgradeRequested
from ihproto_conformance.trace import Begins, Binary, Close, Lost, Request, Text
from ihproto_conformance.verdict import Entry, Evidence

#: The close codes with which a client says that it is done; 1005 stands for none.
NORMAL = frozenset({1000, 1001, 1005})


@attrs.frozen
class Invitation:
    """What a client is told.

    Attributes:
        url: The URL of the judging server, without a path.
        key: The credential.
        revision: The revision to speak.
        scenario: The name of the scenario that will be played.
        timeout: How long the client may take, in seconds.
    """

    url: str
    key: str = attrs.field(repr=False)
    revision: Revision
    scenario: str
    timeout: float


@attrs.frozen
class Exit:
    """How a client came to its end.

    Attributes:
        code: The exit code of its process, None where there is none.
        hung: Whether it had to be stopped, because its time was over.
        failure: Why it could not be started, None when it was.
        output: What it printed.
    """

    code: int | None = None
    hung: bool = False
    failure: str | None = None
    output: bytes = attrs.field(default=b"", repr=False)

    @property
    def words(self) -> str:
        """How it ended, as a part of a sentence."""
        if self.failure is not None:
            return f"it could not be started: {self.failure}"
        if self.hung:
            return "it had to be stopped when its time was over"
        return f"it ended with exit code {self.code}" if self.code is not None else "it ended"


class Client(Protocol):
    """A client under test."""

    async def __call__(self, invitation: Invitation) -> Exit:
        """Run it to its end, and no longer than it may take."""
        ...


@attrs.define(eq=False, slots=False)
class Visit:
    """One connection of the client, in a scenario.

    Attributes:
        number: Its number in the scenario, from 1.
        request: The upgrade request.
        entries: What passed, in order.
        media_seconds: Seconds of media in the segments that were sent.
        over_at: When it was over, in seconds since the scenario was begun; None while it is not.
        unanswered: The segments that the server had said nothing final about when the client ended the session.
        pinged: The payload of the last ping that was sent while nobody had closed, None when there was none.
        pongs: The payloads of the last pongs of the client.
        refused: Whether the upgrade was refused.
    """

    number: int
    request: UpgradeRequested
    entries: list[Entry]
    media_seconds: float = 0.0
    over_at: float | None = None
    unanswered: tuple[int, ...] = ()
    pinged: bytes | None = None
    pongs: tuple[bytes, ...] = ()
    refused: bool = False

    def of(self, sender: Side, kind: type[Any]) -> Iterator[tuple[int, Any]]:
        """The index of each record of a kind that a side sent, and what passed."""
        for index, entry in enumerate(self.entries):
            if entry.record.sender is sender and isinstance(entry.record.passed, kind):
                yield index, entry.record.passed

    def said(self, type_: str) -> int | None:
        """The index of the first message of this type that the server said, None if there was none."""
        return next((index for index, text in self.of(Side.SERVER, Text) if _type_of(text.text) == type_), None)

    @cached_property
    def starts(self) -> list[int]:
        """The index of the record with which each segment began. Ask only when the visit is over."""
        found: list[int] = []
        under_way = False
        for index, entry in enumerate(self.entries):
            if entry.record.sender is Side.CLIENT and isinstance(entry.record.passed, Begins | Binary):
                if not under_way:
                    found.append(index)
                under_way = isinstance(entry.record.passed, Begins)
        return found

    @property
    def path(self) -> str:
        """The path of the upgrade request, without what it holds of credentials."""
        request = self.entries[0].record.passed
        assert isinstance(request, Request)
        return request.target.partition("?")[0]

    @property
    def asked_to_end(self) -> int | None:
        """The index of the first `session.close` of the client, None if there was none (CLS-1)."""
        return next((index for index, text in self.of(Side.CLIENT, Text) if _type_of(text.text) == _CLOSE), None)

    def closed(self, side: Side) -> int | None:
        """The index of the close frame of a side, None if there was none (CLS-3)."""
        return next((index for index, _ in self.of(side, Close)), None)

    @property
    def closed_first(self) -> int | None:
        """The index of the client's close frame, None if there was none or that of the server came before."""
        ours, theirs = self.closed(Side.SERVER), self.closed(Side.CLIENT)
        return theirs if theirs is not None and (ours is None or theirs < ours) else None

    @property
    def lost(self) -> int | None:
        """The index of the record that says that the client dropped the connection, None if it did not."""
        return next((index for index, _ in self.of(Side.CLIENT, Lost)), None)

    @property
    def ended_well(self) -> bool:
        """Whether the client ended the session as one does: by `session.close`, or by a normal close frame."""
        if self.asked_to_end is not None:
            return True
        first = self.closed_first
        return first is not None and self.entries[first].record.passed.code in NORMAL  # type: ignore[union-attr]

    def evidence(self, what: str, record: int | None = None) -> Evidence:
        """Something that was found in this visit.

        Args:
            what: What, as a sentence without a full stop.
            record: The index of the record that shows it; None for the last one.
        """
        index = record if record is not None else len(self.entries) - 1
        return Evidence(what, self.number, index, round(self.entries[index].record.time, 6))

    def end_of_it(self, timeout: float) -> Evidence:
        """How the client ended the session in another way than it should, in the time that it had, in seconds."""
        first = self.closed_first
        if first is not None:
            close = self.entries[first].record.passed
            assert isinstance(close, Close)
            reason = f" {close.reason!r}" if close.reason else ""
            return self.evidence(f"the client closed the session with code {close.code}{reason}", first)
        if self.lost is not None and self.over_at is not None and self.over_at < timeout:
            return self.evidence("the client dropped the connection without a close frame", self.lost)
        return self.evidence(f"the client had not ended the session when its {timeout:g} s were over")


_CLOSE = "session.close"


@attrs.frozen
class _Typed:
    type: str | None = None
    status: str | None = None


def _type_of(text: str) -> str | None:
    try:
        typed = msgspec.json.decode(text, type=_Typed)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    return typed.type or typed.status


@attrs.define(eq=False)
class Run:
    """One scenario, played to a client.

    Attributes:
        scenario: Its name.
        revision: The revision that is spoken.
        key: The credential that the client was told.
        timeout: How long the client might take, in seconds.
        visits: The connections that the client made, those whose upgrade was refused too.
        exit: How the client came to its end.
        unusable: What was wrong with each connection that brought no usable upgrade request.
        baseline: The run in which nothing special happened, None when there was none.
    """

    scenario: str
    revision: Revision
    key: str = attrs.field(repr=False)
    timeout: float
    visits: list[Visit] = attrs.field(factory=list)
    exit: Exit = Exit()
    unusable: list[str] = attrs.field(factory=list)
    baseline: Run | None = attrs.field(default=None, repr=False)

    @property
    def sessions(self) -> list[Visit]:
        """The connections on which there was a session."""
        return [visit for visit in self.visits if not visit.refused]

    @property
    def outlived(self) -> bool:
        """Whether all connections were over before the client's time was."""
        return all(visit.over_at is not None and visit.over_at < self.timeout for visit in self.visits)
