"""A session from beginning to end, written down: what each side said, in the order in which it happened.

A `Transcript` is a value: it can be fed to any consumer text by text, and it knows how to play itself to the two judges
of this package.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias, assert_never

import attrs

from ihproto.automata import ClientState
from ihproto.clauses import Level, clause
from ihproto.client import ClientSession
from ihproto.codec import Codec
from ihproto.errors import LocalProtocolError, Side, Violation
from ihproto.events import ClientEvent, Violated
from ihproto.media import NominalScanner, SegmentScanner
from ihproto.messages import SessionClose, SessionConfig
from ihproto.monitor import SessionMonitor
from ihproto.revisions import Revision
from ihproto.rules.config import write_query


class Printer(Protocol):
    """What Hypothesis prints examples with."""

    def text(self, text: str) -> None:
        """Print some text."""
        ...

    def break_(self) -> None:
        """Begin a new line."""
        ...

    def indent(self, indent: int) -> AbstractContextManager[None]:
        """Begin lines further to the right."""
        ...


def _sizes(pieces: tuple[bytes, ...]) -> str:
    return f"<{' + '.join(str(len(piece)) for piece in pieces)} bytes>"


@attrs.frozen
class ClientSaid:
    """The client sent a text message.

    Attributes:
        text: The whole message.
    """

    text: str

    def __str__(self) -> str:
        return f"client: {self.text}"


@attrs.frozen
class ClientSent:
    """The client sent a segment.

    Attributes:
        pieces: The pieces in which it was sent; at least one.
    """

    pieces: tuple[bytes, ...] = attrs.field(repr=_sizes)

    def __str__(self) -> str:
        return f"client: {_sizes(self.pieces)}"

    @property
    def data(self) -> bytes:
        """The whole segment."""
        return b"".join(self.pieces)

    def _repr_pretty_(self, printer: Printer, cycle: bool) -> None:
        """Print it as part of a falsifying example, which would have all the bytes otherwise."""
        printer.text(repr(self))


@attrs.frozen
class ClientClosed:
    """The client sent a close frame.

    Attributes:
        code: The WebSocket close code.
    """

    code: int = 1000

    def __str__(self) -> str:
        return f"client: close {self.code}"


@attrs.frozen
class ServerSaid:
    """The server sent a text message.

    Attributes:
        text: The whole message.
    """

    text: str

    def __str__(self) -> str:
        return f"server: {self.text}"


@attrs.frozen
class ServerSent:
    """The server sent a binary message, which it never may (ENV-5, STS-1).

    Attributes:
        data: The message.
    """

    data: bytes

    def __str__(self) -> str:
        return f"server: <{len(self.data)} bytes>"


@attrs.frozen
class ServerClosed:
    """The server sent a close frame.

    Attributes:
        code: The WebSocket close code.
        reason: The text of the close frame.
    """

    code: int = 1000
    reason: str = ""

    def __str__(self) -> str:
        return f"server: close {self.code} {self.reason}".rstrip()


ClientStep: TypeAlias = ClientSaid | ClientSent | ClientClosed
ServerStep: TypeAlias = ServerSaid | ServerSent | ServerClosed
Step: TypeAlias = ClientStep | ServerStep


@attrs.frozen
class Transcript:
    """What happened in one session after the upgrade.

    Attributes:
        revision: The revision that is spoken.
        correlation_id: The `X-Correlation-ID` of the upgrade response (HS-9).
        asked: What the URL asked for, in revisions that take it from there (HS-13, HS-15).
        steps: What each side did, in order.
    """

    revision: Revision = attrs.field(repr=lambda revision: revision.id)
    correlation_id: str
    asked: SessionConfig
    steps: tuple[Step, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """What the server said, in order."""
        return tuple(step.text for step in self.steps if isinstance(step, ServerSaid))

    def __str__(self) -> str:
        return "\n".join([f"{self.revision.id} session {self.correlation_id}", *map(str, self.steps)])

    def _repr_pretty_(self, printer: Printer, cycle: bool) -> None:
        """Print it as part of a falsifying example: one step a line."""
        head, *steps = str(self).splitlines()
        with printer.indent(4):
            printer.text(f"<{head}")
            for step in steps:
                printer.break_()
                printer.text(step)
        printer.text(">")

    @property
    def query(self) -> list[tuple[str, str]]:
        """Names and values of the query of the URL."""
        return write_query(self.revision, self.asked)[0]

    def client_events(self, *, strict: bool = False) -> list[ClientEvent]:
        """Play it to a `ClientSession`, without any time passing.

        Args:
            strict: Whether the session is strict.

        Returns:
            What the session told its owner.

        Raises:
            RemoteProtocolError: If the session is strict and a `must` clause was not kept.
            LocalProtocolError: If the client did something illegal before the server did.
        """
        client = ClientSession(
            0.0,
            revision=self.revision,
            strict=strict,
            correlation_id=self.correlation_id,
            asked=self.asked,
            scanner=NominalScanner(),
            check_segments=False,
        )
        codec = Codec(self.revision)
        events: list[ClientEvent] = []
        for step in self.steps:
            try:
                _play(client, step, codec)
            except LocalProtocolError:
                # Misled by its server, a client may refuse to go on as it did.
                if not any(isinstance(event, Violated) for event in events):
                    raise
            events += client.events()
        return events

    def violations(self, side: Side = Side.SERVER, *, scanner: SegmentScanner | None = None) -> list[Violation]:
        """Let a `SessionMonitor` judge it.

        Args:
            side: Whose violations are wanted.
            scanner: Looks into the segments; None not to judge their media.

        Returns:
            The clauses that this side did not keep, in order.
        """
        monitor = SessionMonitor(
            revision=self.revision, correlation_id=self.correlation_id, asked=self.asked, scanner=scanner
        )
        found: list[Violation] = []
        for step in self.steps:
            found += _observe(monitor, step)
        return [violation for violation in found if violation.side is side]


@attrs.frozen
class BrokenTranscript:
    """A session in which the server, or the client, breaks one clause.

    Attributes:
        transcript: The session.
        clause_id: The clause that is named first.
        fault: What was done to break it, in a few words.
    """

    transcript: Transcript
    clause_id: str
    fault: str

    @property
    def level(self) -> Level:
        """How binding the clause is."""
        return clause(self.clause_id).level


@attrs.frozen
class BrokenActions:
    """What a client does in a session, and one thing that it may not do.

    Attributes:
        actions: What it does, in order.
        clause_id: The clause that is not kept.
        fault: What was done to break it, in a few words.
    """

    actions: tuple[ClientStep, ...]
    clause_id: str
    fault: str

    @property
    def level(self) -> Level:
        """How binding the clause is."""
        return clause(self.clause_id).level


def _play(client: ClientSession, step: Step, codec: Codec) -> None:
    match step:
        case ServerSaid(text):
            client.receive_text(text, 0.0)
        case ServerSent(data):
            client.receive_bytes(data, 0.0)
        case ServerClosed(code, reason):
            client.receive_close(code, reason)
        case ClientSaid(text):
            message = codec.decode_client(text)
            if isinstance(message, SessionClose):
                client.end(0.0)
            else:
                client.send_config(
                    message.include,
                    goal_dimensions=message.goal_dimensions,
                    model=message.model,
                    audio_format=message.audio_format,
                )
        case ClientSent(pieces):
            for number, piece in enumerate(pieces, start=1):
                client.send_segment(piece, final=number == len(pieces))
        case ClientClosed(code):
            # A close frame of the server was answered by the WebSocket library already.
            if client.state is not ClientState.CLOSED:
                client.close(code)
        case _:
            assert_never(step)


def _observe(monitor: SessionMonitor, step: Step) -> list[Violation]:
    match step:
        case ServerSaid(text):
            return [*monitor.observe_text(Side.SERVER, text).violations]
        case ServerSent(data):
            return [*monitor.observe_bytes(Side.SERVER, data).violations]
        case ServerClosed():
            return [*monitor.observe_close(Side.SERVER).violations]
        case ClientSaid(text):
            return [*monitor.observe_text(Side.CLIENT, text).violations]
        case ClientSent(pieces):
            found: list[Violation] = []
            for number, piece in enumerate(pieces, start=1):
                found += monitor.observe_bytes(Side.CLIENT, piece, final=number == len(pieces)).violations
            return found
        case ClientClosed():
            return [*monitor.observe_close(Side.CLIENT).violations]
        case _:
            assert_never(step)
