"""All that a server's messages are held to, in one place: each message goes to the rules of its family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ihproto import messages as m
from ihproto.automata import ClientTrigger
from ihproto.clauses import clause
from ihproto.codec import Envelope
from ihproto.errorcodes import ERROR_CODES
from ihproto.errors import Finding
from ihproto.revisions import V1, Emission, Revision
from ihproto.rules.config import ConfigRules
from ihproto.rules.contract import judge_contract
from ihproto.rules.coverage import judge_coverage
from ihproto.rules.engagement import EngagementRules
from ihproto.rules.envelope import EnvelopeRules
from ihproto.rules.errors import ErrorRules
from ihproto.rules.quality import QualityRules
from ihproto.rules.signals import SignalRules
from ihproto.rules.status import StatusRules
from ihproto.rules.windows import WindowRules

_TRIGGERS: Mapping[type, ClientTrigger] = {
    m.SessionReady: ClientTrigger.RECEIVE_READY,
    m.SessionClosing: ClientTrigger.RECEIVE_CLOSING,
    m.SessionEnded: ClientTrigger.RECEIVE_ENDED,
}
_REPORT = ClientTrigger.RECEIVE_REPORT


class ServerRules:
    """Judges what a server says in one session.

    It needs to be told what the client sent (`config.note`, `begin_segment`, `finish_segment`) as far as that matters.

    Args:
        revision: The revision that the server speaks.
        correlation_id: The id that the upgrade response carried, if it is known (HS-9).

    Attributes:
        contract: The contract, None before `session.ready`.
        ended: The `session.ended`, None before it.
    """

    def __init__(self, revision: Revision = V1, correlation_id: str | None = None) -> None:
        self.contract: m.SessionReady | None = None
        self.ended: m.SessionEnded | None = None
        self._revision = revision
        self.envelope = EnvelopeRules(correlation_id, revision.framing)
        self.config = ConfigRules(revision)
        self.config.options = revision.contract.supported_session_config_options
        self.signals = SignalRules(revision)
        self.engagement = EngagementRules()
        self.quality = QualityRules()
        self.errors = ErrorRules()
        self.status = StatusRules(revision)
        windows = WindowRules(revision)
        self._judges: dict[type, Callable[[Any, list[Finding]], None]] = {
            m.SessionReady: self._judge_ready,
            m.SessionUpdated: self.config.judge_updated,
            m.SessionClosing: self._judge_closing,
            m.SessionEnded: self._judge_ended,
            m.SignalDetected: self.signals.judge_detected,
            m.SignalUpdated: self.signals.judge_updated,
            m.SignalEnded: self.signals.judge_ended,
            m.EngagementUpdated: self.engagement.judge,
            m.ConversationQualityUpdated: self._judge_quality,
            m.FeedbackGenerated: self._judge_feedback,
            m.CoverageDropped: judge_coverage,
            m.CoverageDegraded: judge_coverage,
            m.Error: self._judge_error,
            m.WindowSignals: windows.judge_signals,
            m.WindowSignal: windows.judge_signal,
            m.WindowEngagement: windows.judge_engagement,
            m.SegmentProcessing: self.status.judge_processing,
            m.SegmentSignals: self.status.judge_signals,
            m.SegmentResult: self._judge_result,
            m.SegmentCompleted: self.status.judge_completed,
            m.SegmentFailed: self.status.judge_failed,
            m.SegmentFailedText: self.status.judge_failed_text,
        }

    def judge(self, envelope: Envelope) -> list[Finding]:
        """Judge the next envelope of the session, outside and inside.

        Returns:
            What was found, in no order of importance; empty when every clause was kept.
        """
        found: list[Finding] = []
        self.envelope.judge(envelope, found)
        return self.judge_message(envelope.message, found)

    def judge_message(self, message: m.ServerMessage | m.Unknown, found: list[Finding] | None = None) -> list[Finding]:
        """Judge the next message of the session without its envelope.

        Args:
            message: The message.
            found: What was found before.

        Returns:
            What was found, as far as its clause holds in this revision.
        """
        found = found if found is not None else []
        judge = self._judges.get(type(message))
        if judge is not None:
            judge(message, found)
        return [finding for finding in found if self._revision.id in finding.clause.revisions] if found else found

    def trigger_of(self, message: m.ServerMessage | m.Unknown) -> ClientTrigger:
        """What the next message of the session is to the automaton of a client; to be asked before it is judged."""
        if isinstance(message, m.Error):
            return self._trigger_of_error(message)
        return _TRIGGERS.get(type(message), _REPORT)

    def _trigger_of_error(self, message: m.Error) -> ClientTrigger:
        if self.config.answers_close(message):
            return ClientTrigger.RECEIVE_CLOSE_REFUSED
        known = ERROR_CODES.get(message.code)
        return ClientTrigger.RECEIVE_FATAL_ERROR if known and known.fatal else ClientTrigger.RECEIVE_ERROR

    def begin_segment(self, number: int) -> None:
        """Take note that the client has begun to send a segment."""
        self.errors.segments_sent = number
        if self._revision.emission is Emission.SEGMENTS:
            self.status.begin(number)

    def finish_segment(self, size: int) -> None:
        """Take note that the segment that was begun last is whole, and of its size in bytes."""
        self.status.finish(size)

    def _judge_ready(self, message: m.SessionReady, found: list[Finding]) -> None:
        judge_contract(message, found)
        if self.contract is None:
            # A second one is a fault, and does not change what was promised.
            self.contract = message
            self.config.options = message.supported_session_config_options

    def _judge_closing(self, message: m.SessionClosing, found: list[Finding]) -> None:
        if message.max_drain_seconds < 0:
            what = f"a drain cannot take {message.max_drain_seconds} s"
            found.append(Finding(clause("CLS-1"), what, "$.data.max_drain_seconds"))
        self.config.judge_closing(found)

    def _judge_ended(self, message: m.SessionEnded, found: list[Finding]) -> None:
        self.ended = message
        self.signals.judge_session_ended(found)

    def _judge_quality(self, message: m.ConversationQualityUpdated, found: list[Finding]) -> None:
        self.quality.judge(message, self.config.in_force, found)

    def _judge_result(self, message: m.SegmentResult, found: list[Finding]) -> None:
        self.status.judge_result(message, self.config.in_force, found)

    def _judge_feedback(self, message: m.FeedbackGenerated, found: list[Finding]) -> None:
        self.config.judge_feedback(found)

    def _judge_error(self, message: m.Error, found: list[Finding]) -> None:
        self.config.judge_error(message)
        self.errors.judge(message, found)
