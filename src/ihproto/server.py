"""The server's side of a session.

`ServerSession` takes what the client sent (`receive_text`, `receive_bytes`, `receive_close`), answers it as the
protocol demands, watches the timers of the contract, and turns analysed windows into messages. It tells its owner what
happened by events; the owner's part is to analyse each window that a `WindowReady` names and to give the result to
`send_analysis`, in order. What it wants sent is drained with `to_send`.

It reads no clock and draws no ids: the owner passes `now` (seconds, on any clock that never runs backwards), the
wall-clock time of the upgrade, and the correlation id. Whatever it says goes through the same rule book that a client
judges it by, so a message that would break a clause raises `LocalProtocolError` instead of being sent.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

import attrs

from ihproto import messages as m
from ihproto.analysis import Pacing, WindowAnalysis, WindowPlanner, make_reporter
from ihproto.analysis.quality import ENGAGEMENT_SCORES
from ihproto.automata import ServerState, ServerTrigger, server_automaton
from ihproto.clauses import Level, clause
from ihproto.codec import Codec
from ihproto.errorcodes import ERROR_CODES
from ihproto.errors import Finding, LocalProtocolError, MalformedMessage, Side, Violation
from ihproto.events import (
    CloseRequested,
    CloseToSend,
    ConfigApplied,
    SegmentAccepted,
    SegmentData,
    SegmentRefused,
    SegmentStarted,
    ServerEvent,
    SessionClosed,
    SessionExpired,
    TextToSend,
    ToSend,
    Violated,
    Window,
    WindowReady,
)
from ihproto.media import ExpectedMedia, MediaScanner, SegmentFault, SegmentScanner
from ihproto.revisions import ENGAGEMENT_STATES, V1, Emission, Model, Revision
from ihproto.rules import ActiveSignal, SegmentLedger, ServerRules
from ihproto.rules.close import judge_close
from ihproto.rules.config import CONFIG_REFUSED, consolidate, read_query, unsupported
from ihproto.rules.contract import judge_contract

_CLIENT_SHUTDOWN = "client_shutdown"
_POLICY_VIOLATION = 1008

_TRIGGERS: Mapping[type, ServerTrigger] = {
    m.SessionReady: ServerTrigger.SEND_READY,
    m.SessionClosing: ServerTrigger.SEND_CLOSING,
    m.SessionEnded: ServerTrigger.SEND_ENDED,
    m.Error: ServerTrigger.SEND_ERROR,
    m.SegmentFailed: ServerTrigger.SEND_ERROR,
    m.SegmentFailedText: ServerTrigger.SEND_ERROR,
}


def _positive(instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not 0 < value < math.inf:
        raise ValueError(f"{attribute.name} must be more than 0, and finite, not {value}")


def _possible(instance: object, attribute: attrs.Attribute[Any], value: m.SessionReady | None) -> None:
    found: list[Finding] = []
    if value is not None:
        judge_contract(value, found)
    if found:
        raise ValueError(f"the contract cannot be kept: {found[0].what} ({found[0].clause.id})")


def _complete(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str, float]) -> None:
    for state in sorted(ENGAGEMENT_STATES):
        if not 0 <= value.get(state, math.nan) <= 100:
            raise ValueError(f"{attribute.name} needs a score of 0 to 100 for {state}")


def _names(values: Iterable[str]) -> frozenset[str]:
    return frozenset(values)


@attrs.frozen
class ServerSettings:
    """What a server promises and how it analyses.

    Attributes:
        contract: What `session.ready` says; None for the defaults of the revision (RDY-2).
        window_seconds: The length of an analysis window, in seconds of media (WIN-1).
        window_advance_seconds: How far each window begins after the one before, in seconds of media (WIN-1).
        period_seconds: The length of a cadence period, in seconds of media (CQI-7).
        engagement_scores: What each level of engagement contributes to the scores where nothing else does (CQI-4).
        max_drain_seconds: How long a drain may take; what is not analysed then is reported as dropped (CLS-1, COV-1).
        max_text_bytes: The longest text message, in bytes of UTF-8; a longer one is refused as `ih6001`.
        segment_data: Hand out the bytes of segments as `SegmentData` events.
        unavailable_models: Models that nothing can serve at the moment (HS-13).
    """

    contract: m.SessionReady | None = attrs.field(default=None, validator=_possible)
    window_seconds: float = attrs.field(default=8.0, validator=_positive)
    window_advance_seconds: float = attrs.field(default=3.0, validator=_positive)
    period_seconds: float = attrs.field(default=10.0, validator=_positive)
    engagement_scores: Mapping[str, float] = attrs.field(default=ENGAGEMENT_SCORES, validator=_complete)
    max_drain_seconds: float = attrs.field(default=30, validator=_positive)
    max_text_bytes: int = attrs.field(default=64 * 1024, validator=_positive)
    segment_data: bool = False
    unavailable_models: frozenset[str] = attrs.field(default=frozenset(), converter=_names)

    def __attrs_post_init__(self) -> None:
        WindowPlanner(self.window_seconds, self.window_advance_seconds)

    @property
    def pacing(self) -> Pacing:
        """How media is cut for analysis."""
        return Pacing(self.window_seconds, self.window_advance_seconds, self.period_seconds, self.engagement_scores)


class ServerSession:
    """One session, as its server sees it; the WebSocket under it has just opened.

    Nothing is sent before `open` or `refuse` is called.

    Args:
        now: The present moment, in seconds; the maximum duration counts from here (TMO-2).
        correlation_id: The id of the session, the same as in the upgrade response (HS-9, ENV-2).
        started_at: The present moment by the wall clock, with a time zone; timestamps count from here (ENV-1).
        settings: What the server promises and how it analyses.
        revision: The revision of the protocol to speak.
        query: Names and values of the query of the URL; some revisions take configuration from it (HS-13, HS-15).
        scanner: Measures segments and judges their media; None for a `MediaScanner` with the contract's limits.
    """

    def __init__(
        self,
        now: float,
        *,
        correlation_id: str,
        started_at: datetime,
        settings: ServerSettings | None = None,
        revision: Revision = V1,
        query: Iterable[tuple[str, str]] = (),
        scanner: SegmentScanner | None = None,
    ) -> None:
        if started_at.utcoffset() != timedelta(0):
            raise ValueError("started_at must be in UTC")
        self.correlation_id = correlation_id
        self.settings = settings if settings is not None else ServerSettings()
        self.contract = self.settings.contract or revision.contract
        self.revision = revision
        self._options = self.contract.supported_session_config_options
        unknown = set(self._options.model or ()).difference(model.name or "" for model in revision.models)
        if unknown:
            raise ValueError(
                f"the contract offers models that {revision.id} does not have: {', '.join(sorted(unknown))}"
            )
        self._asked = read_query(revision, query)
        self._automaton = server_automaton()
        self._codec = Codec(revision)
        # Its own words are judged by its own limits: the error about a segment that is too large tells one (STS-4).
        self._rules = ServerRules(attrs.evolve(revision, contract=self.contract))
        self._rules.errors.segments_sent = 0
        self._ledger = SegmentLedger(self.contract, revision)
        self._scanner = scanner if scanner is not None else MediaScanner(self.contract)
        self._reporter = make_reporter(revision, self.settings.pacing)
        self._outstanding: deque[Window] = deque()
        self._discarding = False
        self._opened_at = now
        self._started_at = started_at
        self._last_activity = now
        self._drain_until: float | None = None
        self._error: m.Error | None = None
        self._events: deque[ServerEvent] = deque()
        self._to_send: deque[ToSend] = deque()

    # -- what is known ------------------------------------------------------------------------------

    @property
    def state(self) -> ServerState:
        """Where the session stands."""
        return self._automaton.state

    @property
    def established(self) -> bool:
        """Whether the session stands: it was opened and neither ended nor closed, so something may be said in it."""
        return self._automaton.allows(ServerTrigger.SEND_REPORT)

    @property
    def config(self) -> m.SessionConfig:
        """The configuration in force (CFG-2)."""
        return self._rules.config.in_force

    @property
    def model(self) -> Model:
        """What analyses this session (CFG-7)."""
        return self.revision.model(self.config.model)

    @property
    def signals(self) -> Mapping[str, ActiveSignal]:
        """The signals that are active now, by type (SIG-5)."""
        return MappingProxyType(self._rules.signals.active)

    @property
    def segments_received(self) -> int:
        """How many segments were begun, refused ones included (SEG-1)."""
        return self._ledger.number

    @property
    def media_seconds(self) -> float:
        """Seconds of media accepted so far (SEG-9)."""
        return self._ledger.media_seconds

    @property
    def outstanding(self) -> tuple[Window, ...]:
        """The windows that still want their analysis, oldest first."""
        return tuple(self._outstanding)

    def wants(self, window: Window) -> bool:
        """Whether this window's analysis is the one that is wanted next."""
        return bool(self._outstanding) and self._outstanding[0] == window

    # -- what the owner wants -----------------------------------------------------------------------

    def open(self, now: float) -> None:
        """Establish the session: say `session.ready` with the contract, where the revision has it (RDY-1, RDY-2).

        If the query asks for a model that there is not, or that nothing can serve, the session is refused instead
        (HS-13).

        Raises:
            LocalProtocolError: If the session was opened, refused or closed already.
        """
        wanted = self._asked.model
        if wanted is not None and wanted not in (self._options.model or ()):
            offer = ", ".join(self._options.model) if self._options.model else "none to choose from"
            self.refuse("ih4005", now, message=f"there is no such model; this session offers {offer}")
            return
        default = self._options.model[0] if self._options.model else None
        config = consolidate(self._asked, self._options, m.SessionConfig(model=default))
        if config.model in self.settings.unavailable_models:
            self.refuse("ih1003", now)
            return
        if self.revision.announces:
            self._say(self.contract, now)
        else:
            self._step(ServerTrigger.BEGIN)
        self._rules.config.in_force = config
        self._expect_media()

    def refuse(self, code: str, now: float, *, message: str | None = None) -> None:
        """Refuse the session: say why, and close, without `session.ready` (RDY-3, HS-11, HS-13).

        Args:
            code: The error id, for example `ih2003`; it also gives the close code.
            now: The present moment, in seconds.
            message: What to tell a person; None for the meaning in the catalogue.

        Raises:
            LocalProtocolError: If the session was opened or closed already.
        """
        if self.state is not ServerState.OPENING:
            what = "only a session that has not been opened can be refused; end or fail it instead"
            raise self._misuse(Finding(clause("RDY-3"), what))
        self.send_error(code, now, message=message)

    def send_analysis(self, analysis: WindowAnalysis, now: float) -> None:
        """Say what the analysis of the oldest outstanding window means (SIG, ENG, CQI).

        Args:
            analysis: The analysis of the window that `outstanding` lists first.
            now: The present moment, in seconds.

        Raises:
            LocalProtocolError: If it is not that window's turn (SIG-4).
        """
        self._take_window(analysis.window)
        for message in self._reporter.analysed(analysis, self.config.include):
            self._say(message, now)
        self._end_when_drained(now)

    def drop_window(self, window: Window, now: float) -> None:
        """Leave the oldest outstanding window without analysis, and say so (WIN-2, COV-1, STS-1).

        Args:
            window: The window that `outstanding` lists first.
            now: The present moment, in seconds.

        Raises:
            LocalProtocolError: If it is not that window's turn.
        """
        self._take_window(window)
        if window.segment is not None:
            self.send_error("ih1003", now, message="the analysis was left out", segment=window.segment)
        last = self.state is ServerState.DRAINING and not self._outstanding
        self._report_dropped(window, now, last=last)
        self._end_when_drained(now)

    def send_error(self, code: str, now: float, *, message: str | None = None, segment: int | None = None) -> m.Error:
        """Say that something went wrong (ERR-1).

        An error whose id announces a close is followed by it (ERR-2), and so is any error that is said in place of
        `session.ready` (RDY-3). In revisions in which every error is about a segment (STS-1), such an error closes
        nothing, and one that is about no segment is told by the close alone.

        Args:
            code: The error id.
            now: The present moment, in seconds.
            message: What to tell a person; None for the meaning in the catalogue.
            segment: The number of the segment it is about, None when it is about no single one (SEG-8).

        Returns:
            What the client was told.

        Raises:
            LocalProtocolError: If the session is over, or if the segment does not fit the error (SEG-8).
        """
        known = ERROR_CODES.get(code)
        if message is None:
            message = known.meaning if known is not None else "no details are known"
        error = m.Error(code, message, known.link if known is not None else None, segment)
        refuses = self.state is ServerState.OPENING
        # What is wrong with one segment ends a session only where errors are about sessions in the first place.
        closes = segment is None or self.revision.emission is not Emission.SEGMENTS
        close_code = known.close_code if known is not None and closes else None
        told = self.revision.error_message.tell(error)
        if told is not None:
            in_force = self.config
            self._say(told, now)
            # Where no config is confirmed, the rule book takes `ih6001` for the refusal of the last one it noted.
            self._rules.config.in_force = in_force
            self._give_up_segment(segment)
        elif not refuses and close_code is None:
            what = f"an error of revision {self.revision.id} is about a segment; say about which"
            raise self._misuse(Finding(clause("STS-1"), what))
        if refuses or close_code is not None:
            self.close(now, close_code if close_code is not None else _POLICY_VIOLATION, code)
            self._error = error
        return error

    def send_feedback(self, feedback: str, now: float) -> None:
        """Say a piece of advice for the goal dimensions in force (CFG-6).

        Raises:
            LocalProtocolError: If no goal dimensions are in force, or the session is not open.
        """
        refusal = self._automaton.refuses(ServerTrigger.SEND_REPORT)
        if refusal is None and not self.config.goal_dimensions:
            refusal = Finding(clause("CFG-6"), "no goal dimensions are in force")
        if refusal is not None:
            raise self._misuse(refusal)
        self._say(m.FeedbackGenerated(feedback), now)

    def send_degraded(self, ranges: Iterable[m.MediaRange], now: float) -> None:
        """Say that stretches were analysed with part of the picture missing (COV-1).

        Args:
            ranges: The stretches, in media seconds.
            now: The present moment, in seconds.

        Raises:
            LocalProtocolError: If the session is not open, or the revision has no such message.
        """
        self._say(m.CoverageDegraded(tuple(ranges)), now)

    def close(self, now: float, code: int = 1000, reason: str = "") -> None:
        """Close at once, without `session.ended` (CLS-3).

        Args:
            now: The present moment, in seconds.
            code: The WebSocket close code.
            reason: A text of at most 123 bytes in UTF-8.

        Raises:
            LocalProtocolError: If this side has closed already, or if a close frame may not say this (CLS-3).
        """
        finding = judge_close(code, reason)
        if finding is not None:
            raise self._misuse(finding)
        self._step(ServerTrigger.SEND_CLOSE)
        self._outstanding.clear()
        self._to_send.append(CloseToSend(code, reason))

    # -- what the client did ------------------------------------------------------------------------

    def receive_text(self, text: str, now: float) -> None:
        """Take a text message: a session config (CFG-1) or `session.close` (CLS-1).

        Args:
            text: The whole message.
            now: The present moment, in seconds.

        Raises:
            LocalProtocolError: If the session was neither opened nor refused, or in the middle of a segment.
        """
        if self.state is ServerState.CLOSED:
            return
        self._expect_text(now)
        if not self.revision.config_keys:
            self._ignore_text(text)
            return
        if len(text.encode(errors="surrogatepass")) > self.settings.max_text_bytes:
            self.refuse_text(now)
            return
        try:
            message = self._codec.decode_client(text)
        except MalformedMessage as error:
            self._refuse_config(error.finding, text, now)
            return
        if isinstance(message, m.SessionClose):
            self._receive_session_close(text, now)
        else:
            self._receive_config(message, text, now)

    def refuse_text(self, now: float) -> None:
        """Take a text message that was too long to be kept (CFG-5), instead of `receive_text`.

        Args:
            now: The present moment, in seconds.
        """
        if self.state is ServerState.CLOSED:
            return
        self._expect_text(now)
        if not self.revision.config_keys:
            self._ignore_text(None)
            return
        what = f"the text is longer than {self.settings.max_text_bytes} bytes"
        self._refuse_config(Finding(clause("CFG-5"), what), None, now)

    def receive_bytes(self, data: bytes, now: float, *, final: bool = True) -> None:
        """Take a segment, or the next piece of one (SEG-1).

        The size is checked before a piece is kept or looked at; of a segment that is refused, the pieces that still
        come are dropped.

        Args:
            data: The segment, or a piece of it.
            now: The present moment, in seconds.
            final: Whether the segment ends with it.
        """
        if self.state is ServerState.CLOSED:
            return
        self._expect_input(now)
        if not self._ledger.under_way:
            self._begin_segment(now)
        if not self._speaks:
            self._discarding = True
        number = self._ledger.number
        if not self._discarding:
            oversize = self._ledger.add(len(data))
            if oversize is not None:
                self._refuse_oversize(oversize, now, final=final)
            elif data:
                fault = self._scanner.feed(data)
                if self.settings.segment_data:
                    self._events.append(SegmentData(number, bytes(data)))
                if fault is not None:
                    self._refuse_segment(
                        fault.code, fault.clause_id, f"{fault.sentence(number)} ({fault.clause_id})", now
                    )
        if final:
            self._finish_segment(now)

    def receive_close(self, code: int, reason: str = "") -> None:
        """Take the peer's close frame (CLS-3); the frame that answers it is the WebSocket library's part."""
        self._end_with(ServerTrigger.RECEIVE_CLOSE, code, reason)

    def receive_lost(self, reason: str = "") -> None:
        """Take note that the connection is gone without a close frame.

        Args:
            reason: What is known about why.
        """
        self._end_with(ServerTrigger.LOSE, 1006, reason)

    # -- time, events and output --------------------------------------------------------------------

    def next_timeout(self) -> float | None:
        """The moment at which `handle_timeout` wants to be called, None for never."""
        if self.state is ServerState.DRAINING:
            return self._drain_until
        if self.state is not ServerState.OPEN:
            return None
        deadline = min(self._idle_at, self._expires_at)
        return deadline if deadline < math.inf else None

    def handle_timeout(self, now: float) -> None:
        """Act on the time: idle timeout (TMO-1), maximum duration (TMO-2), end of the drain (CLS-1)."""
        deadline = self.next_timeout()
        if deadline is None or now < deadline:
            return
        if self.state is ServerState.DRAINING:
            while self._outstanding:
                self._report_dropped(self._outstanding.popleft(), now, last=True)
            self._end_when_drained(now)
            return
        code = "ih6004" if self._expires_at <= self._idle_at else "ih6003"
        self._events.append(SessionExpired(self.send_error(code, now)))

    def events(self) -> list[ServerEvent]:
        """Drain what happened, oldest first."""
        events = list(self._events)
        self._events.clear()
        return events

    def to_send(self) -> list[ToSend]:
        """Drain what must be sent, oldest first."""
        to_send = list(self._to_send)
        self._to_send.clear()
        return to_send

    # -- input ----------------------------------------------------------------------------------------

    def _expect_input(self, now: float) -> None:
        if self.state is ServerState.OPENING:
            what = "call open() or refuse() before anything of the client is taken"
            raise self._misuse(Finding(clause("RDY-1"), what))
        self._last_activity = now

    def _expect_text(self, now: float) -> None:
        if self._ledger.under_way:
            raise self._misuse(Finding(clause("SEG-1"), "a text cannot come in the middle of a segment"))
        self._expect_input(now)

    # -- texts of the client --------------------------------------------------------------------------

    def _receive_config(self, config: m.SessionConfig, text: str, now: float) -> None:
        self._automaton.step(ServerTrigger.RECEIVE_CONFIG)
        if not self._speaks:
            return
        finding = unsupported(config, self._options, self.revision, self.config, media_begun=self._ledger.number > 0)
        if finding is not None:
            self._refuse_config(finding, text, now)
            return
        applied = consolidate(config, self._options, self.config)
        self._rules.config.note(config)
        if self.revision.confirms:
            self._say(m.SessionUpdated(applied.include, applied.goal_dimensions, applied.model), now)
        self._expect_media()
        self._events.append(ConfigApplied(applied))

    def _ignore_text(self, text: str | None) -> None:
        """Take note of a text in a revision in which a client sends none, and which has no answer to it (SEG-1)."""
        if self._speaks:
            self._blame(Finding(clause("SEG-1"), "a text came; clients of this revision send segments only"), text)

    def _refuse_config(self, finding: Finding, text: str | None, now: float) -> None:
        """Say `ih6001` and leave everything else as it was (CFG-5)."""
        if not self._speaks:
            return
        self._blame(finding, text)
        place = f" at {finding.path}" if finding.path else ""
        self.send_error(CONFIG_REFUSED, now, message=f"{finding.what}{place} ({finding.clause.id})")

    def _receive_session_close(self, text: str, now: float) -> None:
        refusal = self._automaton.step(ServerTrigger.RECEIVE_SESSION_CLOSE)
        if refusal is not None:
            self._refuse_config(refusal, text, now)
            return
        if self.state is not ServerState.CLOSE_REQUESTED:
            return
        self._rules.config.note(m.SessionClose())
        self._events.append(CloseRequested())
        # The maximum duration holds for the drain as well (TMO-2).
        drain = max(0, min(self.settings.max_drain_seconds, self._expires_at - now))
        self._say(m.SessionClosing(drain), now)
        self._drain_until = now + drain
        remainder = self._reporter.remainder(self._ledger.media_seconds)
        if remainder is not None:
            self._want(remainder)
        self._end_when_drained(now)

    # -- segments -------------------------------------------------------------------------------------

    def _begin_segment(self, now: float) -> None:
        number = self._ledger.begin()
        self._rules.begin_segment(number)
        self._discarding = False
        refusal = self._automaton.step(ServerTrigger.RECEIVE_SEGMENT)
        if refusal is not None:
            self._blame(refusal, None)
            what = f"segment {number}: {refusal.what} ({refusal.clause.id})"
            self._refuse_segment(CONFIG_REFUSED, refusal.clause.id, what, now)
        elif self._speaks:
            self._scanner.begin(number)
            self._events.append(SegmentStarted(number))

    def _finish_segment(self, now: float) -> None:
        undersize = self._ledger.finish()
        self._rules.finish_segment(self._ledger.size)
        if self._discarding:
            return
        if undersize is not None:
            what = f"{undersize.what} ({undersize.clause.id})"
            self._refuse_segment("ih5004", undersize.clause.id, what, now)
            return
        media = self._scanner.finish()
        if isinstance(media, SegmentFault):
            what = f"{media.sentence(self._ledger.number)} ({media.clause_id})"
            self._refuse_segment(media.code, media.clause_id, what, now)
            return
        start, end = self._ledger.accept(media.seconds)
        self._events.append(SegmentAccepted(self._ledger.number, self._ledger.size, start, end))
        messages, windows = self._reporter.accepted(self._ledger.number, self._ledger.size, start, end)
        for message in messages:
            self._say(message, now)
        for window in windows:
            self._want(window)

    def _refuse_oversize(self, finding: Finding, now: float, *, final: bool) -> None:
        """Refuse a segment that is too large: at once, or, where the error tells its size, at its end (STS-4)."""
        text = self.revision.oversize_text
        if text is None:
            self._refuse_segment("ih6002", finding.clause.id, f"{finding.what} ({finding.clause.id})", now)
        elif final:
            self._rules.finish_segment(self._ledger.size)
            what = text.format(size=self._ledger.size, limit=self.contract.max_segment_size_bytes)
            self._refuse_segment("ih6002", finding.clause.id, what, now)

    def _refuse_segment(self, code: str, clause_id: str, what: str, now: float) -> None:
        """Say why a segment is refused, once, and drop what still comes of it; the session goes on (SEG-2)."""
        self._discarding = True
        number = self._ledger.number
        error = self.send_error(code, now, message=what, segment=number)
        self._events.append(SegmentRefused(number, error, clause_id))

    # -- windows --------------------------------------------------------------------------------------

    def _want(self, window: Window) -> None:
        self._outstanding.append(window)
        self._events.append(WindowReady(window))

    def _take_window(self, window: Window) -> Window:
        if not self.wants(window):
            turn = f"window {self._outstanding[0].index}" if self._outstanding else "no window"
            what = f"window {window.index} was given, but {turn} is outstanding; give them in order, each once"
            raise self._misuse(Finding(clause("SIG-4"), what))
        return self._outstanding.popleft()

    def _give_up_segment(self, segment: int | None) -> None:
        """An error about a segment takes the place of its result, and of all that still comes of it (STS-1)."""
        if self.revision.emission is Emission.SEGMENTS and self._ledger.under_way and segment == self._ledger.number:
            self._discarding = True
        for window in self._outstanding:
            if segment is not None and window.segment == segment:
                self._outstanding.remove(window)
                return

    def _report_dropped(self, window: Window, now: float, *, last: bool) -> None:
        for message in self._reporter.dropped(window, self.config.include, last=last):
            self._say(message, now)

    def _end_when_drained(self, now: float) -> None:
        """End the session when the drain has nothing more to wait for (CLS-1, SIG-7)."""
        if self.state is not ServerState.DRAINING or self._outstanding:
            return
        for message in self._reporter.conclude():
            self._say(message, now)
        self._say(m.SessionEnded(_CLIENT_SHUTDOWN), now)
        self.close(now)

    # -- inside -------------------------------------------------------------------------------------

    def _expect_media(self) -> None:
        self._scanner.expect(ExpectedMedia(self.model.tracks, self.config.audio_format))

    @property
    def _idle_at(self) -> float:
        return self._last_activity + self.contract.session_idle_timeout_seconds

    @property
    def _expires_at(self) -> float:
        return self._opened_at + self.contract.session_max_duration_seconds

    @property
    def _speaks(self) -> bool:
        """Whether this side may still answer."""
        return self._automaton.allows(ServerTrigger.SEND_ERROR)

    def _say(self, message: m.ServerMessage, now: float) -> None:
        if type(message) not in self.revision.messages:
            what = f"revision {self.revision.id} has no {message.type}"
            raise self._misuse(Finding(clause(self.revision.framing.clause_id), what))
        trigger = _TRIGGERS.get(type(message), ServerTrigger.SEND_REPORT)
        refusal = self._automaton.refuses(trigger)
        if refusal is not None:
            raise self._misuse(refusal)
        for finding in self._rules.judge_message(message):
            if finding.clause.level is Level.MUST:
                raise self._misuse(finding)
        self._step(trigger)
        moment = self._started_at + timedelta(seconds=now - self._opened_at)
        timestamp = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        text = self._codec.encode_server(message, timestamp=timestamp, correlation_id=self.correlation_id)
        self._to_send.append(TextToSend(text))

    def _step(self, trigger: ServerTrigger) -> None:
        refusal = self._automaton.step(trigger)
        if refusal is not None:
            raise self._misuse(refusal)

    def _end_with(self, trigger: ServerTrigger, code: int, reason: str) -> None:
        if self.state is ServerState.CLOSED:
            return
        self._automaton.step(trigger)
        self._outstanding.clear()
        self._events.append(SessionClosed(code, reason, self._rules.ended, self._error))

    def _blame(self, finding: Finding, raw: str | None) -> None:
        violation = Violation(finding.clause, Side.CLIENT, self.state.value, finding.what, finding.path)
        self._events.append(Violated(violation, raw))

    def _misuse(self, finding: Finding) -> LocalProtocolError:
        return LocalProtocolError(Violation(finding.clause, Side.SERVER, self.state.value, finding.what, finding.path))
