"""Judging a session from outside.

A `SessionMonitor` is told what both sides say, in the order in which it passes, and says which clauses were not kept,
and by whom. It takes no part: it sends nothing, and whatever it finds, it goes on.

The rules are those of the sessions. A server is judged by what its client would find, a client by what it sent and by
what a server has to refuse.

Its verdicts hold wherever the session is watched: what may have crossed on the way is nobody's fault. What has passed
may still be on its way to the other side, so nobody is held to what they have just been told:

* What a server says allows a client more from the moment at which it passes (`session.ready`, the refusal of
  `session.close`), and never less: a config may follow the error that refused the session, or `session.ended`.
* What a client says after the server's close frame is not judged, for the client may not know of it.
* A server that closes without an answer to `session.close` may not have seen it, and is blamed only if what it said
  shows that it had seen something later (CLS-1). `session.closing` shows it: a close in the middle of a drain is a
  fault, with whatever code.
* A side that ends the connection may not have seen the close frame of the other one (CLS-3), unless whoever watches
  knows better.
* A config that was sent before `session.ready` is judged when the contract is known.
* Where a server takes back the model or the audio format that a client counts on, what its segments have to be is open
  from then on, and their media are no longer judged (SEG-7, CFG-8).
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
from ihproto.media import ExpectedMedia, SegmentFault, SegmentMedia, SegmentScanner
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
        # Hears only what allows the client more, since it may not have heard the rest.
        self._client = client_automaton(awaits_ready=revision.announces)
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
        self._segments_before_close = 0
        self._close_arrived = False
        self._closed: set[Side] = set()
        self._gone: set[Side] = set()

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
        if (after := self._after_end(sender)) is not None:
            return after
        binary = clause("ENV-5")
        # Where there are no envelopes, it is no message of the revision at all.
        broken = binary if self.revision.id in binary.revisions else clause(self.revision.framing.clause_id)
        return self._blame(sender, Finding(broken, "the server sent a binary message; it sends text only"))

    def observe_close(self, sender: Side) -> Observation:
        """Judge a close frame (CLS-3)."""
        if (after := self._after_end(sender)) is not None:
            return after
        self._closed.add(sender)
        if sender is Side.CLIENT:
            self._automaton.step(ClientTrigger.SEND_CLOSE)
            return Observation()
        state = self.state
        refusal = self._automaton.step(ClientTrigger.RECEIVE_CLOSE)
        if state is ClientState.CLOSE_REQUESTED and not self._close_arrived:
            refusal = None
        return self._blame(sender, refusal, state=state)

    def observe_surplus(self, sender: Side) -> Observation:
        """Judge bytes that came after the close frame of a side (CLS-3)."""
        return self._blame(sender, _after_close())

    def observe_lost(self, sender: Side, *, answer_due: bool = False) -> Observation:
        """Judge that a side ended the connection (CLS-3).

        Args:
            sender: The side whose end of the connection is gone.
            answer_due: Whether it is known that everything the other side said had arrived there; otherwise nothing
                follows from a close frame that was not answered.
        """
        if sender in self._gone:
            return Observation()
        self._gone.add(sender)
        other = Side.SERVER if sender is Side.CLIENT else Side.CLIENT
        state = self.state
        # Whoever is left may go on for a while: it does not know yet.
        self._automaton.step(ClientTrigger.SEND_CLOSE if sender is Side.CLIENT else ClientTrigger.LOSE)
        if answer_due and other in self._closed and sender not in self._closed:
            what = f"the {sender.value} ended the connection without an answer to the close frame"
            return self._blame(sender, Finding(clause("CLS-3"), what), state=state)
        return Observation()

    # -- the server ---------------------------------------------------------------------------------

    def _observe_server_text(self, text: str) -> Observation:
        if (after := self._after_end(Side.SERVER)) is not None:
            return after
        try:
            envelope = self._codec.decode_server(text)
        except MalformedMessage as error:
            if error.type == m.SessionUpdated.type:
                self._rules.config.note_unreadable_answer()
            return self._blame(Side.SERVER, error.finding)
        message = envelope.message
        state = self.state
        trigger = self._rules.trigger_of(message)
        self._note_arrivals(message)
        refusal = self._automaton.step(trigger)
        expected = self._expected_media()
        first = self.contract is None
        found = [refusal, *self._rules.judge(envelope)]
        if trigger is ClientTrigger.RECEIVE_CLOSE_REFUSED and self.state in (ClientState.OPEN, ClientState.FAILED):
            self._reopen()
        early: list[Finding] = []
        if isinstance(message, m.SessionReady):
            early = self._observe_ready(message) if first else []
        elif self._expected_media() != expected:
            self._scanner = None
        client = self._blame(Side.CLIENT, *early, state=state)
        server = self._blame(Side.SERVER, *found, message=envelope, state=state)
        return attrs.evolve(server, violations=server.violations + client.violations)

    def _observe_ready(self, ready: m.SessionReady) -> list[Finding]:
        """Take note of the contract; what was found in the configs before it."""
        self._client.step(ClientTrigger.RECEIVE_READY)
        if max(1, ready.min_segment_size_bytes) <= ready.max_segment_size_bytes:
            # Nobody can be held to a contract without room (RDY-2).
            self._ledger.contract = ready
        if self._early_close:
            # The client asked before it might, which is its fault; the server answers all the same.
            self._ask_for_close()
        return self._rules.config.judge_early(self.revision)

    def _reopen(self) -> None:
        """Take note that `session.close` was refused: everything is allowed again, unless it was sent twice."""
        self._client.step(ClientTrigger.RECEIVE_CLOSE_REFUSED)
        if self._rules.config.asks_for_close:
            self._ask_for_close()

    def _ask_for_close(self) -> None:
        self._client.step(ClientTrigger.SEND_SESSION_CLOSE)
        self._automaton.step(ClientTrigger.SEND_SESSION_CLOSE)

    def _note_arrivals(self, message: m.ServerMessage | m.Unknown) -> None:
        """Take note if a message shows that its server had seen something that was sent after `session.close`."""
        segment = message.segment if isinstance(message, m.Error) else None
        late = segment is not None and self._segments_before_close < segment <= self._ledger.number
        if self.state is ClientState.CLOSE_REQUESTED and (late or self._rules.config.passes_over_close(message)):
            self._close_arrived = True

    # -- the client ---------------------------------------------------------------------------------

    def _observe_client_text(self, text: str) -> Observation:
        if (after := self._after_end(Side.CLIENT)) is not None:
            return after
        if self._unheard:
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
        config = self._rules.config
        finding = None
        if self.contract is not None:
            before = config.with_model(config.awaited)
            begun = self._ledger.number > 0
            finding = unsupported(message, config.options, self.revision, before, media_begun=begun)
        if finding is None:
            config.note(message)
        else:
            config.note_broken(finding.clause.id, message)
        return self._blame(Side.CLIENT, finding, message=message)

    def _observe_session_close(self, message: m.SessionClose) -> Observation:
        state = self.state
        refusal = self._client.refuses(ClientTrigger.SEND_SESSION_CLOSE)
        self._early_close |= self._client.state is ClientState.AWAITING_READY
        if refusal is None:
            self._segments_before_close = self._ledger.number
            self._close_arrived = False
        # One too many is refused like the one before it, or by itself: either way ih6001 answers it.
        self._rules.config.note(message)
        self._ask_for_close()
        return self._blame(Side.CLIENT, refusal, message=message, state=state)

    def _observe_segment(self, data: bytes | None, size: int, final: bool) -> Observation:
        if (after := self._after_end(Side.CLIENT)) is not None:
            return after if final else Observation()
        if self._unheard:
            return Observation()
        found: list[Finding | None] = []
        if data is None:
            # What the next segment continues is not known from here on.
            self._scanner = None
        if not self._ledger.under_way:
            found.append(self._client.refuses(ClientTrigger.SEND_SEGMENT))
            number = self._ledger.begin()
            self._rules.begin_segment(number)
            self._rules.config.begin_media()
            self._oversize = False
            self._scanning = True
            if self._scanner is not None:
                self._scanner.expect(self._expected_media())
                self._scanner.begin(number)
        oversize = self._ledger.add(size)
        if oversize is not None and not self._oversize:
            self._oversize = True
            self._scanning = False
            found.append(oversize)
        media: SegmentMedia | SegmentFault | None = None
        if self._scanner is not None and self._scanning and data:
            media = self._scanner.feed(data)
        if final:
            undersize = self._ledger.finish()
            self._rules.finish_segment(self._ledger.size)
            found.append(undersize)
            if self._scanner is not None and self._scanning and media is None and undersize is None:
                media = self._scanner.finish()
        if isinstance(media, SegmentMedia):
            self._ledger.accept(media.seconds)
        elif media is not None:
            self._scanning = False
            found.append(Finding(clause(media.clause_id), media.sentence(self._ledger.number)))
        return self._blame(Side.CLIENT, *found, media=media)

    # -- inside -------------------------------------------------------------------------------------

    @property
    def _unheard(self) -> bool:
        """Whether what a client says has no meaning any more, and the client may not know."""
        return Side.SERVER in self._closed | self._gone

    def _expected_media(self) -> ExpectedMedia:
        config = self._rules.config
        return expected_media(self.revision, config.with_model(config.awaited))

    def _after_end(self, sender: Side) -> Observation | None:
        if sender in self._closed:
            return self._blame(sender, _after_close())
        return Observation() if sender in self._gone else None

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
            if finding is not None
        )
        return Observation(violations, message, media)


def _after_close() -> Finding:
    return Finding(clause("CLS-3"), "something was sent after the close frame, which is the last of a side")
