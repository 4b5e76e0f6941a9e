"""The two ends of a connection: a real session each, what its owner may do next, and what its WebSocket library does.

Time stands still, and timers fire whenever they are set: whatever two clocks can do is among the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, TypeAlias

import attrs
from states.accounts import Account
from states.copies import copied

import ihproto as ih
from ihproto.automata import ClientTrigger, ServerTrigger

SIGNALS = ("agreement", "interest")
STARTED_AT = datetime(2025, 1, 1, tzinfo=UTC)
CLIENT_TIMER = "the client's timer fires"

#: Every segment is a window and a period of its own.
_SECONDS = 8.0
_SETTINGS = ih.ServerSettings(window_seconds=_SECONDS, window_advance_seconds=_SECONDS, period_seconds=_SECONDS)


@attrs.frozen
class Bounds:
    """How much of each happens in one session at most.

    Attributes:
        segments: Segments that the client sends.
        configs: Configs that it sends.
        signals: Types of signal that an analysis may see, each by itself.
        errors: Errors that the server says without a cause in the session.
        pieces: In how many pieces a segment may be sent, one or two; in between everything may happen.
    """

    segments: int = 2
    configs: int = 2
    signals: int = 2
    errors: int = 0
    pieces: int = 1


@attrs.frozen
class Close:
    """A close frame in flight."""

    code: int


@attrs.frozen
class Accusation:
    """What one side found wrong with the other."""

    clause_id: str
    what: str


@attrs.frozen
class Piece:
    """A piece of a segment, and not its last."""

    data: bytes


#: A text, a segment or the last piece of one, another piece, and a close frame.
Item: TypeAlias = str | bytes | Piece | Close


@attrs.frozen
class Act:
    """Something that an end can do next.

    Attributes:
        name: What it is.
        forced: Whether it happens by itself sooner or later: timers, and what a server owes.
        run: Makes it happen to a copy of the end.
    """

    name: str
    forced: bool
    run: Callable[[Any], None] = attrs.field(repr=False, eq=False)


@attrs.define(eq=False)
class End:
    """One end of a connection.

    Attributes:
        session: The session.
        bounds: How much happens at most.
        account: What passed at this end, for those who want to judge by it.
        mute: Whether nothing more goes out: the close frame has left, or the connection is gone.
        lost: Whether the connection was lost, without a close frame.
        spent: How many configs or errors there were.
    """

    CLOSED: ClassVar[ih.ClientState | ih.ServerState]

    session: Any
    bounds: Bounds
    account: Account | None = None
    mute: bool = False
    lost: bool = False
    spent: int = 0

    @property
    def over(self) -> bool:
        """Whether the session has closed."""
        return self.session.state is self.CLOSED

    @property
    def deaf(self) -> bool:
        """Whether what comes in still waits in the socket."""
        return False

    def acts(self) -> Iterator[Act]:
        """All that this end can do next, without the network."""
        raise NotImplementedError

    def take(self, item: Item) -> None:
        """Let something arrive; the WebSocket library answers a close frame by itself."""
        if self.account is not None:
            broken = self.account.hear(item)
            assert not broken, f"{item!r} breaks {', '.join(sorted(broken))}"
        if isinstance(item, Close):
            self.session.receive_close(item.code)
        elif isinstance(item, str):
            self.session.receive_text(item, 0.0)
        elif isinstance(item, Piece):
            self.session.receive_bytes(item.data, 0.0, final=False)
        else:
            self.session.receive_bytes(item, 0.0)

    def lose(self) -> None:
        """Let the connection be gone."""
        self.mute = self.lost = True
        if self.account is not None:
            self.account.closed = True
        self.session.receive_lost()

    def said(self, heard: Item | None = None) -> tuple[Item, ...]:
        """What goes out now.

        Args:
            heard: What has just arrived.
        """
        items: list[Item] = []
        for sent in self.session.to_send():
            match sent:
                case ih.TextToSend(text):
                    items.append(text)
                case ih.BytesToSend(data, final):
                    items.append(data if final else Piece(data))
                case ih.CloseToSend(code):
                    items.append(Close(code))
        if isinstance(heard, Close):
            items.append(Close(heard.code))
        if self.mute:
            return ()
        closes = [place for place, item in enumerate(items) if isinstance(item, Close)]
        if closes:
            self.mute = True
            del items[closes[0] + 1 :]
        if self.account is not None:
            for item in items:
                self.account.say(item)
        return tuple(items)

    def found(self) -> tuple[Accusation, ...]:
        """What the session found wrong with the other since it was asked last."""
        found: list[Accusation] = []
        for event in self.session.events():
            if isinstance(event, ih.Violated):
                found.append(Accusation(event.violation.clause.id, str(event.violation)))
            elif isinstance(event, ih.SegmentRefused):
                found.append(Accusation(event.clause_id, f"a segment is refused: {event.error.message}"))
        return tuple(found)

    def _fire(self) -> None:
        self.session.handle_timeout(self.session.next_timeout())


class ClientEnd(End):
    """The client's end."""

    CLOSED = ih.ClientState.CLOSED

    @classmethod
    def new(cls, revision: ih.Revision, bounds: Bounds, account: Account | None = None) -> ClientEnd:
        """A client whose WebSocket has just opened."""
        return cls(client_session(revision), bounds, account)

    def acts(self) -> Iterator[Act]:
        """All that the owner of a client can do next, and its timer."""
        session: ih.ClientSession = self.session
        allows = session._automaton.allows
        if self.over:
            return
        if session.next_timeout() is not None:
            yield Act(CLIENT_TIMER, True, ClientEnd._fire)
        configs = self.bounds.configs if session.revision.config_keys else 0
        if allows(ClientTrigger.SEND_CONFIG) and self.spent < configs:
            yield Act("config on", False, lambda end: end.configure([ih.INCLUDE_OVERALL]))
            yield Act("config off", False, lambda end: end.configure([]))
        ends = ClientTrigger.SEND_SESSION_CLOSE if session.revision.drains else ClientTrigger.FINISH
        if session.segment_under_way:
            if allows(ClientTrigger.SEND_SEGMENT):
                yield Act("the segment ends", False, lambda end: end.session.send_segment(b""))
        else:
            if allows(ClientTrigger.SEND_SEGMENT) and session.segments_sent < self.bounds.segments:
                data = segment(session.revision)
                yield Act("segment", False, lambda end: end.session.send_segment(data))
                if self.bounds.pieces > 1:
                    yield Act("a segment begins", False, lambda end: end.session.send_segment(data, final=False))
            if allows(ends):
                yield Act("end", False, ClientEnd.end)
        if allows(ClientTrigger.SEND_CLOSE):
            yield Act("the client closes", False, lambda end: end.session.close())

    def configure(self, include: list[str]) -> None:
        """Send a config."""
        self.spent += 1
        self.session.send_config(include)

    def end(self) -> None:
        """End the session; where there is no `session.close`, nothing on the wire tells."""
        if self.account is not None:
            self.account.ending = True
        self.session.end(0.0)


class ServerEnd(End):
    """The server's end."""

    CLOSED = ih.ServerState.CLOSED

    @classmethod
    def new(cls, revision: ih.Revision, bounds: Bounds, account: Account | None = None) -> ServerEnd:
        """A server whose WebSocket has just opened."""
        return cls(server_session(revision), bounds, account)

    @property
    def deaf(self) -> bool:
        """Whether the server has not spoken yet: what comes before waits in its socket."""
        return self.session.state is ih.ServerState.OPENING

    def acts(self) -> Iterator[Act]:
        """All that the owner of a server can do next, and its timers."""
        session: ih.ServerSession = self.session
        if self.over:
            return
        if self.deaf:
            yield Act("open", True, ServerEnd.open)
            yield Act("refuse", True, lambda end: end.session.refuse("ih2003", 0.0))
            yield Act("the server closes", False, lambda end: end.session.close(0.0, 1001))
            return
        if session.next_timeout() is not None:
            yield Act("the server's timer fires", True, ServerEnd._fire)
        if session.outstanding and session.established:
            for seen in range(2**self.bounds.signals):
                yield Act(f"analysis {seen:0{self.bounds.signals}b}", True, partial(ServerEnd.analyse, seen=seen))
            yield Act("a window is dropped", True, ServerEnd.drop)
        if session.established and self.spent < self.bounds.errors:
            # Where every error is about a segment, nothing but the close tells one that is not.
            if session.revision.emission is not ih.Emission.SEGMENTS:
                yield Act("an error", False, lambda end: end.fail("ih5002"))
            yield Act("an error that closes", False, lambda end: end.fail("ih1001"))
        # In the middle of a drain that would be a fault (CLS-1).
        if session._automaton.allows(ServerTrigger.SEND_CLOSE) and session.state is not ih.ServerState.DRAINING:
            yield Act("the server closes", False, lambda end: end.session.close(0.0, 1001))

    def open(self) -> None:
        """Open the session; where there is no `session.ready`, nothing on the wire tells."""
        if self.account is not None:
            self.account.begun = True
        self.session.open(0.0)

    def analyse(self, seen: int) -> None:
        """Say what was seen in the oldest window; each bit of `seen` is a signal, and without any it is dull."""
        window = self.session.outstanding[0]
        signals = [
            ih.SignalReport(name, window.start, window.end)
            for place, name in enumerate(SIGNALS[: self.bounds.signals])
            if seen >> place & 1
        ]
        level = ih.EngagementReport("engaged" if seen else "neutral", window.start)
        self.session.send_analysis(ih.WindowAnalysis(window, signals, level), 0.0)

    def drop(self) -> None:
        """Leave the oldest window without analysis."""
        self.session.drop_window(self.session.outstanding[0], 0.0)

    def fail(self, code: str) -> None:
        """Say that something went wrong."""
        self.spent += 1
        self.session.send_error(code, 0.0, message="so it is")


def segment(revision: ih.Revision) -> bytes:
    """The smallest segment that there may be."""
    return bytes(max(1, revision.contract.min_segment_size_bytes))


def client_session(revision: ih.Revision) -> ih.ClientSession:
    """A session that does not look into segments."""
    return ih.ClientSession(0.0, revision=revision, scanner=ih.NominalScanner(_SECONDS), check_segments=False)


def server_session(revision: ih.Revision) -> ih.ServerSession:
    """A session that does not look into segments; each of them is a window and a period of its own."""
    return ih.ServerSession(
        0.0,
        correlation_id="c",
        started_at=STARTED_AT,
        revision=revision,
        settings=_SETTINGS,
        scanner=ih.NominalScanner(_SECONDS),
    )


def copy_of(end: End) -> End:
    """Another end in the same state."""
    return copied(end)
