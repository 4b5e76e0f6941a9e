"""The client's side of a session.

`ClientSession` takes what the server sent (`receive_text`, `receive_bytes`, `receive_close`), judges it by the rule
book, keeps what a program wants to ask about (contract, config, active signals, engagement, scores), and hands out
events. What it wants sent is drained with `to_send`. It reads no clock: whoever drives it passes `now`, seconds on any
clock that never runs backwards, and calls `handle_timeout` at the moment that `next_timeout` names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ihproto import messages as m
from ihproto.automata import ClientState, ClientTrigger, client_automaton
from ihproto.clauses import Level, clause
from ihproto.codec import Codec
from ihproto.errors import Finding, LocalProtocolError, MalformedMessage, RemoteProtocolError, Side, Violation
from ihproto.events import BytesToSend, ClientEvent, CloseToSend, SessionClosed, TextToSend, ToSend, Violated
from ihproto.media import ExpectedMedia, MediaScanner, SegmentMedia, SegmentScanner
from ihproto.revisions import V1, Emission, Revision
from ihproto.rules import ActiveSignal, SegmentLedger, ServerRules
from ihproto.rules.close import judge_close
from ihproto.rules.config import consolidate, unwritable

#: What is overdue when the deadline passes, for every state that can have one.
_OVERDUE: Mapping[ClientState, tuple[str, str]] = {
    ClientState.AWAITING_READY: ("RDY-1", "session.ready did not come; is this an endpoint of this revision?"),
    ClientState.REFUSED: ("RDY-3", "the session was refused and not closed"),
    ClientState.FAILED_CLOSING: ("ERR-2", "the error announced a close that did not come"),
    ClientState.CLOSE_REQUESTED: ("CLS-1", "session.close was not answered"),
    ClientState.DRAINING: ("CLS-1", "the drain took longer than the server announced"),
    ClientState.ENDED: ("CLS-1", "the close did not come after session.ended"),
}

# What is asked for with every message, looked up once.
_CLOSED, _CLOSE_REQUESTED, _FINISHING = ClientState.CLOSED, ClientState.CLOSE_REQUESTED, ClientState.FINISHING
_REPORT = ClientTrigger.RECEIVE_REPORT

#: How long to wait at the end of a session, in seconds: for a drain (CLS-1), and for word about a segment (STS-5).
_DRAIN_GRACE = 10.0
_ANSWER_GRACE = 60.0


class ClientSession:
    """One session, as its client sees it; the WebSocket under it has just opened.

    Args:
        now: The present moment, in seconds.
        revision: The revision of the protocol to speak.
        strict: Raise `RemoteProtocolError` at the first `must` clause that the server does not keep. Otherwise, and
            for the other levels always, a `Violated` event is handed out and the session goes on.
        correlation_id: The `X-Correlation-ID` of the upgrade response, to be compared (HS-9).
        asked: What the URL asked for, in revisions that take it from there (HS-13, HS-15).
        scanner: Measures the segments that are sent, for `media_seconds_sent`; None for a `MediaScanner`.
        check_segments: Refuse locally what the contract does not allow (SEG-2, SEG-10), before it is sent.
        ready_timeout: How long to wait for `session.ready`, in seconds; then the session is closed (RDY-1).
        drain_grace: How long to wait for the answer to `session.close`, and how much longer than announced for
            the drain, in seconds; then the session is closed (CLS-1). In revisions without `session.close`, for how
            long the server must have been silent after `end`. None for 10 s, and for 60 s where the server still has
            to say something about a segment (STS-5).

    Attributes:
        revision: The revision that is spoken.
    """

    def __init__(
        self,
        now: float,
        *,
        revision: Revision = V1,
        strict: bool = False,
        correlation_id: str | None = None,
        asked: m.SessionConfig | None = None,
        scanner: SegmentScanner | None = None,
        check_segments: bool = True,
        ready_timeout: float = 30.0,
        drain_grace: float | None = None,
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
        self._scanner = scanner if scanner is not None else MediaScanner(revision.contract)
        self._measuring = False
        self._close_if_refused = False
        self._close_arrived = False
        self._strict = strict
        self._check_segments = check_segments
        answers = revision.emission is Emission.SEGMENTS
        self._drain_grace = drain_grace if drain_grace is not None else _ANSWER_GRACE if answers else _DRAIN_GRACE
        self._deadline: float | None = None
        if revision.announces:
            self._deadline = now + ready_timeout
        else:
            self._rules.contract = self._ledger.contract = revision.contract
        self._events: list[ClientEvent] = []
        self._to_send: list[ToSend] = []
        self._held: list[TextToSend] = []
        self._error: m.Error | None = None

    # -- what is known ------------------------------------------------------------------------------

    @property
    def state(self) -> ClientState:
        """Where the session stands."""
        return self._automaton.state

    @property
    def contract(self) -> m.SessionReady | None:
        """The server's contract, None before `session.ready` (RDY-2).

        In revisions without `session.ready`, the limits that the documents give.
        """
        return self._rules.contract

    @property
    def config(self) -> m.SessionConfig:
        """The configuration in force, as the server confirmed it last (CFG-2)."""
        return self._rules.config.in_force

    @property
    def signals(self) -> Mapping[str, ActiveSignal]:
        """The signals that are active now, by type, in the order of their detection (SIG-5)."""
        return MappingProxyType(self._rules.signals.active)

    @property
    def engagement(self) -> m.EngagementUpdated | None:
        """The last report of engagement, None before the first (ENG-1)."""
        return self._rules.engagement.latest

    @property
    def quality(self) -> m.ConversationQualityUpdated | None:
        """The last conversation-quality update, None before the first (CQI-1)."""
        return self._rules.quality.latest

    @property
    def correlation_id(self) -> str | None:
        """The id of the session, None before the first envelope (ENV-2)."""
        return self._rules.envelope.correlation_id

    @property
    def segments_sent(self) -> int:
        """How many segments were begun (SEG-1)."""
        return self._ledger.number

    @property
    def unanswered(self) -> tuple[int, ...]:
        """The segments about which the server still has to say something, where it speaks of segments (STS-1)."""
        return self._rules.status.pending

    @property
    def segment_under_way(self) -> bool:
        """Whether a segment has begun whose final piece was not sent yet."""
        return self._ledger.under_way

    @property
    def media_seconds_sent(self) -> float:
        """Seconds of media in the segments sent whole, as far as the scanner made something of them (SEG-9)."""
        return self._ledger.media_seconds

    # -- what the owner wants -----------------------------------------------------------------------

    def send_config(
        self,
        include: Sequence[str] = (),
        *,
        goal_dimensions: Sequence[str] | None = None,
        model: str | None = None,
        audio_format: m.AudioFormat | None = None,
    ) -> None:
        """Send a session config; it replaces the one before whole, but for model and audio format (CFG-1, CFG-4).

        In the middle of a segment the config waits for the end of it: WebSocket messages do not interleave.

        Args:
            include: The conversation-quality sections wanted (CFG-3).
            goal_dimensions: The dimensions that feedback is wanted for; None for no feedback (CFG-6).
            model: The model wanted; None for the one in force. Only before the first segment (CFG-7).
            audio_format: The format of raw audio; None for what is in force. Only before the first segment (CFG-8).

        Raises:
            LocalProtocolError: If the session is over, if this revision has no such config, or if it comes too late.
        """
        config = m.SessionConfig(include, goal_dimensions, model, audio_format)
        self._refuse_locally(unwritable(config, self.revision))
        if self._ledger.number and (model or audio_format):
            what = "model and audio format are fixed once the first segment was sent; open a new session"
            self._refuse_locally(Finding(clause("CFG-7" if model else "CFG-8"), what))
        self._step_locally(ClientTrigger.SEND_CONFIG)
        self._rules.config.note(config)
        text = TextToSend(self._codec.encode_client(config))
        if self._ledger.under_way:
            self._held.append(text)
        else:
            self._to_send.append(text)

    def send_segment(self, data: bytes, *, final: bool = True) -> None:
        """Send a segment, whole or in pieces (SEG-1).

        Args:
            data: The segment, or its next piece.
            final: Whether the segment ends with it.

        Raises:
            LocalProtocolError: If the server has not sent `session.ready` (RDY-4), if the segment is over the limit of
                the contract (SEG-2), if it is empty (SEG-10), or after `session.close` (CLS-2). The piece is not sent;
                a segment of which pieces were sent can only be ended, with an empty final piece, or cut off with
                `close`.
        """
        begins = not self._ledger.under_way
        self.check_segment(len(data) if begins else self._ledger.size + len(data), final=final)
        self._step_locally(ClientTrigger.SEND_SEGMENT)
        if begins:
            self._rules.begin_segment(self._ledger.begin())
            self._expect_media()
            self._scanner.begin(self._ledger.number)
            self._measuring = True
        self._ledger.add(len(data))
        if self._measuring:
            self._measuring = self._scanner.feed(data) is None
        if final:
            self._ledger.finish()
            self._rules.finish_segment(self._ledger.size)
            media = self._scanner.finish() if self._measuring else None
            if isinstance(media, SegmentMedia):
                self._ledger.accept(media.seconds)
        self._to_send.append(BytesToSend(bytes(data), final))
        if final:
            self._to_send.extend(self._held)
            self._held.clear()

    def check_segment(self, size: int, *, final: bool = True) -> None:
        """Make sure that a segment of this size may be sent now, without sending it.

        Args:
            size: The size of the segment, in bytes.
            final: Whether that is all of it; only then it can be too small.

        Raises:
            LocalProtocolError: As `send_segment` does.
        """
        self._refuse_locally(self._automaton.refuses(ClientTrigger.SEND_SEGMENT))
        if self._check_segments:
            self._refuse_locally(self._ledger.oversize(size))
            self._refuse_locally(self._ledger.undersize(size) if final else None)

    def end(self, now: float, *, or_close: bool = False) -> None:
        """Ask for a graceful close: the server finishes what it accepted, says `session.ended`, and closes (CLS-1).

        In revisions without `session.close` this side closes by itself: when everything was said about every segment
        (STS-1), or when the server has said nothing for `drain_grace`.

        Args:
            now: The present moment, in seconds.
            or_close: Close at once if the server does not know `session.close` and refuses it as a broken config.
                Otherwise the session is simply open again then.

        Raises:
            LocalProtocolError: If there is no session to end, if it has been asked already, or if a segment is not
                finished.
        """
        if self._ledger.under_way:
            what = f"segment {self._ledger.number} is not finished; send its last piece with final=True first"
            self._refuse_locally(Finding(clause("CLS-1"), what))
        if not self.revision.drains:
            self._step_locally(ClientTrigger.FINISH)
            self._go_on_finishing(now)
            return
        self._step_locally(ClientTrigger.SEND_SESSION_CLOSE)
        self._rules.config.note(m.SessionClose())
        self._deadline = now + self._drain_grace
        self._close_if_refused = or_close
        self._close_arrived = False
        self._to_send.append(TextToSend(self._codec.encode_client(m.SessionClose())))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once; what the server has not said yet is lost (CLS-3).

        Args:
            code: The WebSocket close code.
            reason: A text of at most 123 bytes in UTF-8.

        Raises:
            LocalProtocolError: If this side has closed already, or if a close frame may not say this (CLS-3).
        """
        self._refuse_locally(judge_close(code, reason))
        self._step_locally(ClientTrigger.SEND_CLOSE)
        self._deadline = None
        self._to_send.append(CloseToSend(code, reason))

    # -- what the server did ------------------------------------------------------------------------

    def receive_text(self, text: str, now: float) -> None:
        """Take a text message.

        Args:
            text: The whole message.
            now: The present moment, in seconds.

        Raises:
            RemoteProtocolError: If the session is strict and the message breaks a `must` clause. The envelope is among
                the events all the same.
        """
        automaton = self._automaton
        state = automaton.state
        if state is _CLOSED:
            return
        try:
            envelope = self._codec.decode_server(text)
        except MalformedMessage as error:
            if error.type == m.SessionUpdated.type:
                self._rules.config.note_unreadable_answer()
            self._blame([error.finding], text, state)
            return
        message = envelope.message
        trigger = self._rules.trigger_of(message)
        if state is _CLOSE_REQUESTED and self._rules.config.passes_over_close(message):
            self._close_arrived = True
        refusal = automaton.step(trigger)
        found = self._rules.judge(envelope)
        if refusal is not None:
            found.insert(0, refusal)
        self._events.append(envelope)
        if trigger is not _REPORT and (refusal is None or automaton.state is not state):
            self._note(message, trigger, now)
        if automaton.state is _FINISHING:
            self._go_on_finishing(now)
        if found:
            self._blame(found, text, state)

    def receive_bytes(self, data: bytes, now: float, *, final: bool = True) -> None:
        """Take a binary message, or a piece of one: a server never sends any (ENV-5, STS-1).

        Raises:
            RemoteProtocolError: If the session is strict.
        """
        if final and self.state is not ClientState.CLOSED:
            binary = clause("ENV-5")
            # Where there are no envelopes, it is no message of the revision at all.
            broken = binary if self.revision.id in binary.revisions else clause(self.revision.framing.clause_id)
            self._blame([Finding(broken, "the server sent a binary message; it sends text only")], None, self.state)

    def receive_close(self, code: int, reason: str = "") -> None:
        """Take the peer's close frame (CLS-3); the frame that answers it is the WebSocket library's part."""
        self._end_with(ClientTrigger.RECEIVE_CLOSE, code, reason)

    def receive_lost(self, reason: str = "") -> None:
        """Take note that the connection is gone without a close frame.

        Args:
            reason: What is known about why.
        """
        self._end_with(ClientTrigger.LOSE, 1006, reason)

    # -- time, events and output --------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        return self._deadline

    def handle_timeout(self, now: float) -> None:
        """Act on the time: close a session that is not becoming ready (RDY-1) or not ending (CLS-1).

        Raises:
            RemoteProtocolError: If the session is strict and a `must` clause was not kept.
        """
        if self._deadline is None or now < self._deadline:
            return
        state = self.state
        if state is ClientState.FINISHING:
            pending = ", ".join(str(number) for number in self._rules.status.pending)
            found = [Finding(clause("STS-5"), f"nothing came of segment {pending} any more")] if pending else []
        else:
            clause_id, what = _OVERDUE[state]
            found = [Finding(clause(clause_id), what)]
        self.close(1000, "timed out" if found else "")
        self._blame(found, None, state)

    def events(self) -> list[ClientEvent]:
        """Drain what happened, oldest first."""
        events, self._events = self._events, []
        return events

    def to_send(self) -> list[ToSend]:
        """Drain what must be sent, oldest first."""
        to_send, self._to_send = self._to_send, []
        return to_send

    # -- inside -------------------------------------------------------------------------------------

    def _note(self, message: m.ServerMessage | m.Unknown, trigger: ClientTrigger, now: float) -> None:
        """Keep what follows from a message that is more than a report."""
        if isinstance(message, m.Error):
            if trigger is ClientTrigger.RECEIVE_CLOSE_REFUSED:
                self._deadline = None
                if self._close_if_refused and self.state is ClientState.OPEN:
                    self.close()
            if trigger is ClientTrigger.RECEIVE_FATAL_ERROR or self.state is ClientState.REFUSED:
                self._error = message
            return
        if isinstance(message, m.SessionReady):
            self._error = None
            self._ledger.contract = message
            self._deadline = None
        elif self.state in _OVERDUE:
            drain = message.max_drain_seconds if isinstance(message, m.SessionClosing) else 0
            self._deadline = now + drain + self._drain_grace

    def _expect_media(self) -> None:
        """Expect of a segment what the server will, if it accepts every config that it has not answered yet."""
        self._scanner.expect(expected_media(self.revision, self._rules.config.awaited))

    def _go_on_finishing(self, now: float) -> None:
        """Close when the server has nothing more to say; where it does not tell, when it has been silent for long."""
        if self.revision.emission is Emission.SEGMENTS and not self._rules.status.pending:
            self.close()
        else:
            self._deadline = now + self._drain_grace

    def _end_with(self, trigger: ClientTrigger, code: int, reason: str) -> None:
        state = self.state
        if state is ClientState.CLOSED:
            return
        refusal = self._automaton.step(trigger)
        self._deadline = None
        # A close that may have crossed session.close on its way is nobody's fault.
        if refusal is not None and (state is not ClientState.CLOSE_REQUESTED or self._close_arrived):
            self._blame([refusal], None, state)
        self._events.append(SessionClosed(code, reason, self._rules.ended, self._error))

    def _blame(self, found: list[Finding], raw: str | None, state: ClientState) -> None:
        violations = [
            Violation(finding.clause, Side.SERVER, state.value, finding.what, finding.path) for finding in found
        ]
        self._events.extend(Violated(violation, raw) for violation in violations)
        if self._strict:
            for violation in violations:
                if violation.level is Level.MUST:
                    raise RemoteProtocolError(violation)

    def _step_locally(self, trigger: ClientTrigger) -> None:
        self._refuse_locally(self._automaton.refuses(trigger))
        self._automaton.step(trigger)

    def _refuse_locally(self, finding: Finding | None) -> None:
        if finding is not None:
            raise LocalProtocolError(
                Violation(finding.clause, Side.CLIENT, self.state.value, finding.what, finding.path)
            )


def expected_media(revision: Revision, config: m.SessionConfig) -> ExpectedMedia:
    """What segments have to be under a configuration; a model that is not known here takes anything (SEG-7, CFG-8)."""
    known = [model for model in revision.models if config.model in (None, model.name)]
    return ExpectedMedia(known[0].tracks if known else (), config.audio_format)
