"""Judging a session from outside.

A `SessionMonitor` is told what both sides say, in the order in which it passes, and says which clauses were not kept,
and by whom. It takes no part: it sends nothing, and whatever it finds, it goes on. Its verdicts hold wherever the
session is watched: what may have crossed on the way is nobody's fault.

The rules are those of the sessions. A server is judged by what its client would find, a client by what it sent in the
state that its own automaton is in, and by what a server has to refuse.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from ihproto import messages as m
from ihproto.automata import ClientState, ClientTrigger, client_automaton
from ihproto.clauses import clause
from ihproto.client import expected_media
from ihproto.codec import Codec, Envelope
from ihproto.errors import Finding, MalformedMessage, Side, Violation
from ihproto.media import SegmentFault, SegmentMedia, SegmentScanner
from ihproto.revisions import V1, Revision
from ihproto.rules import SegmentLedger, ServerRules
from ihproto.rules.config import consolidate, unsupported

Message: TypeAlias = Envelope | m.SessionConfig | m.SessionClose


@attrs.frozen
class Observation:
    """What a monitor made of something that passed.

    Attributes:
        violations: Which clauses were not kept, and by whom.
        message: What was said, where it was a text that could be read.
        media: What was in a segment, where one is complete and a scanner looked.
    """

    violations: tuple[Violation, ...] = ()
    message: Message | None = None
    media: SegmentMedia | SegmentFault | None = None


class SessionMonitor:
    """Judges both sides of one session; the WebSocket under it has just opened.

    Args:
        revision: The revision of the protocol that is spoken.
        correlation_id: The `X-Correlation-ID` of the upgrade response, to be compared (HS-9).
        asked: What the URL asked for, in revisions that take it from there (HS-13, HS-15).
        scanner: Looks into the segments; None not to judge their media.
    """

    def __init__(
        self,
        *,
        revision: Revision = V1,
        correlation_id: str | None = None,
        asked: m.SessionConfig | None = None,
        scanner: SegmentScanner | None = None,
    ) -> None:
        self.revision = revision
        self._automaton = client_automaton(awaits_ready=revision.announces)
        self._codec = Codec(revision)
        self._rules = ServerRules(revision, correlation_id)
        self._rules.errors.segments_sent = 0
        if asked is not None:
            options = revision.contract.supported_session_config_options
            self._rules.config.in_force = consolidate(asked, options)
        self._ledger = SegmentLedger(revision=revision)
        if not revision.announces:
            self._rules.contract = self._ledger.contract = revision.contract
        self._scanner = scanner
        self._scanning = False
        self._oversize = False
        self._early_close = False
        self._closed: set[Side] = set()

    # -- what is known ------------------------------------------------------------------------------

    @property
    def state(self) -> ClientState:
        """Where the session stands, as its client sees it."""
        return self._automaton.state

    @property
    def contract(self) -> m.SessionReady | None:
        """The server's contract, None before `session.ready` (RDY-2)."""
        return self._rules.contract

    @property
    def config(self) -> m.SessionConfig:
        """The configuration in force (CFG-2)."""
        return self._rules.config.in_force

    @property
    def segments(self) -> int:
        """How many segments were begun (SEG-1)."""
        return self._ledger.number

    @property
    def media_seconds(self) -> float:
        """Seconds of media in the segments that were sent whole, as far as the scanner made something of them."""
        return self._ledger.media_seconds

    @property
    def unanswered(self) -> tuple[int, ...]:
        """The segments about which the server still has to say something, where it speaks of segments (STS-1)."""
        return self._rules.status.pending

    def has_closed(self, side: Side) -> bool:
        """Whether a side has sent its close frame."""
        return side in self._closed

    # -- what passes --------------------------------------------------------------------------------

    def observe_text(self, sender: Side, text: str) -> Observation:
        """Judge a text message.

        Args:
            sender: The side that said it.
            text: The whole message.
        """
        return self._observe_server_text(text) if sender is Side.SERVER else self._observe_client_text(text)

    def observe_bytes(self, sender: Side, data: bytes, *, final: bool = True) -> Observation:
        """Judge a binary message, or the next piece of one.

        Args:
            sender: The side that said it.
            data: The message, or a piece of it.
            final: Whether the message ends with it.
        """
        return self._observe_binary(sender, data, len(data), final)

    def observe_size(self, sender: Side, size: int, *, final: bool = True) -> Observation:
        """Judge a binary message, or the next piece of one, of which only the size is known, in bytes."""
        return self._observe_binary(sender, None, size, final)

    def _observe_binary(self, sender: Side, data: bytes | None, size: int, final: bool) -> Observation:
        if sender is Side.CLIENT:
            return self._observe_segment(data, size, final)
        if not final:
            return Observation()
        if (after := self._after_close(sender)) is not None:
            return after
        binary = clause("ENV-5")
        # Where there are no envelopes, it is no message of the revision at all.
        broken = binary if self.revision.id in binary.revisions else clause(self.revision.framing.clause_id)
        return self._blame(sender, Finding(broken, "the server sent a binary message; it sends text only"))

    def observe_close(self, sender: Side) -> Observation:
        """Judge a close frame (CLS-3)."""
        if (after := self._after_close(sender)) is not None:
            return after
        self._closed.add(sender)
        if sender is Side.CLIENT:
            self._automaton.step(ClientTrigger.SEND_CLOSE)
            return Observation()
        if Side.CLIENT not in self._closed and self._ledger.under_way:
            # What is left of the segment is in flight, or not worth the way.
            self._scanning = False
        return self._blame(sender, self._automaton.step(ClientTrigger.RECEIVE_CLOSE))

    def observe_surplus(self, sender: Side) -> Observation:
        """Judge bytes that came after the close frame of a side (CLS-3)."""
        return self._blame(sender, _after_close())

    def observe_lost(self, sender: Side) -> Observation:
        """Judge that a side ended the connection (CLS-3).

        Args:
            sender: The side whose end of the connection is gone.
        """
        other = Side.SERVER if sender is Side.CLIENT else Side.CLIENT
        self._automaton.step(ClientTrigger.LOSE)
        if other in self._closed and sender not in self._closed:
            what = f"the {sender.value} ended the connection without an answer to the close frame"
            return self._blame(sender, Finding(clause("CLS-3"), what))
        return Observation()

    # -- the server ---------------------------------------------------------------------------------

    def _observe_server_text(self, text: str) -> Observation:
        if (after := self._after_close(Side.SERVER)) is not None:
            return after
        try:
            envelope = self._codec.decode_server(text)
        except MalformedMessage as error:
            if error.type == m.SessionUpdated.type:
                self._rules.config.note_unreadable_answer()
            return self._blame(Side.SERVER, error.finding)
        message = envelope.message
        state = self.state
        refusal = self._automaton.step(self._rules.trigger_of(message))
        found = [*self._rules.judge(envelope)]
        if refusal is not None:
            found.insert(0, refusal)
        if isinstance(message, m.SessionReady) and refusal is None:
            self._ledger.contract = message
            if self._early_close:
                # The client asked before it might, which is its fault; the server answers all the same.
                self._automaton.step(ClientTrigger.SEND_SESSION_CLOSE)
        return self._blame(Side.SERVER, *found, message=envelope, state=state)

    # -- the client ---------------------------------------------------------------------------------

    def _observe_client_text(self, text: str) -> Observation:
        if (after := self._after_close(Side.CLIENT)) is not None:
            return after
        if Side.SERVER in self._closed:
            return Observation()
        if not self.revision.config_keys:
            return self._blame(
                Side.CLIENT, Finding(clause("SEG-1"), "a text came; clients of this revision send segments only")
            )
        try:
            message = self._codec.decode_client(text)
        except MalformedMessage as error:
            self._rules.config.note_broken()
            return self._blame(Side.CLIENT, error.finding)
        if isinstance(message, m.SessionClose):
            return self._observe_session_close(message)
        refusal = self._automaton.step(ClientTrigger.SEND_CONFIG)
        config = self._rules.config
        finding = unsupported(
            message, config.options, self.revision, config.awaited, media_begun=self._ledger.number > 0
        )
        if finding is None:
            config.note(message)
        else:
            config.note_broken()
        return self._blame(Side.CLIENT, refusal, finding, message=message)

    def _observe_session_close(self, message: m.SessionClose) -> Observation:
        awaiting = self.state is ClientState.AWAITING_READY
        refusal = self._automaton.step(ClientTrigger.SEND_SESSION_CLOSE)
        if refusal is None or awaiting:
            self._early_close = awaiting
            self._rules.config.note(message)
        else:
            self._rules.config.note_broken()
        return self._blame(Side.CLIENT, refusal, message=message)

    def _observe_segment(self, data: bytes | None, size: int, final: bool) -> Observation:
        if Side.CLIENT in self._closed:
            return self._blame(Side.CLIENT, _after_close()) if final else Observation()
        if Side.SERVER in self._closed:
            return Observation()
        found: list[Finding | None] = []
        if not self._ledger.under_way:
            found.append(self._automaton.step(ClientTrigger.SEND_SEGMENT))
            number = self._ledger.begin()
            self._rules.begin_segment(number)
            self._oversize = False
            self._scanning = data is not None and found[0] is None
            if self._scanning and self._scanner is not None:
                self._scanner.expect(expected_media(self.revision, self._rules.config.awaited))
                self._scanner.begin(number)
        oversize = self._ledger.add(size)
        if oversize is not None and not self._oversize:
            self._oversize = True
            self._scanning = False
            found.append(oversize)
        media: SegmentMedia | SegmentFault | None = None
        if self._scanning and self._scanner is not None and data is not None:
            media = self._scanner.feed(data)
        if final:
            undersize = self._ledger.finish()
            self._rules.finish_segment(self._ledger.size)
            found.append(undersize)
            if self._scanning and self._scanner is not None and media is None and undersize is None:
                media = self._scanner.finish()
        if isinstance(media, SegmentMedia):
            self._ledger.accept(media.seconds)
        elif media is not None:
            self._scanning = False
            found.append(Finding(clause(media.clause_id), media.sentence(self._ledger.number)))
        return self._blame(Side.CLIENT, *found, media=media)

    # -- inside -------------------------------------------------------------------------------------

    def _after_close(self, sender: Side) -> Observation | None:
        return self._blame(sender, _after_close()) if sender in self._closed else None

    def _blame(
        self,
        side: Side,
        *found: Finding | None,
        message: Message | None = None,
        media: SegmentMedia | SegmentFault | None = None,
        state: ClientState | None = None,
    ) -> Observation:
        where = (state if state is not None else self.state).value
        violations = tuple(
            Violation(finding.clause, side, where, finding.what, finding.path)
            for finding in found
            if finding is not None and self.revision.id in finding.clause.revisions
        )
        return Observation(violations, message, media)


def _after_close() -> Finding:
    return Finding(clause("CLS-3"), "something was sent after the close frame, which is the last of a side")
