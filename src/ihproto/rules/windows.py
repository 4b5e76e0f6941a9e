"""WIN-3: what is said of one window, in the revision that reports window by window."""

from __future__ import annotations

from collections.abc import Collection

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import Number, SignalSpan, WindowEngagement, WindowSignal, WindowSignals
from ihproto.revisions import Revision
from ihproto.rules.engagement import judge_state
from ihproto.rules.signals import judge_probability, judge_type


class WindowRules:
    """Judges the reports of windows; each stands for itself.

    Args:
        revision: The revision whose signal types count as known.
    """

    def __init__(self, revision: Revision) -> None:
        self._types = revision.signal_types

    def judge_signals(self, message: WindowSignals, found: list[Finding]) -> None:
        """Judge the signals of a window (WIN-3, SIG-6)."""
        judge_signal_spans(message.signals, self._types, "WIN-3", "$.data.signals", found)

    def judge_signal(self, message: WindowSignal, found: list[Finding]) -> None:
        """Judge one signal of a window, in the later flavour (WIN-3, SIG-6)."""
        judge_type(message.signal_type, self._types, "$.data.signal_type", found)
        judge_probability(message.probability, "$.data.probability", found)
        judge_span(message.start, message.end, "WIN-3", "$.data", found)

    def judge_engagement(self, message: WindowEngagement, found: list[Finding]) -> None:
        """Judge the engagement of a window (WIN-3)."""
        judge_state(message.state, "WIN-3", "$.data.state", found)
        judge_span(message.start, message.end, "WIN-3", "$.data", found)


def judge_signal_spans(
    signals: tuple[SignalSpan, ...], types: Collection[str], clause_id: str, path: str, found: list[Finding]
) -> None:
    """Judge a list of signals that each have a beginning and an end (SIG-6)."""
    for index, signal in enumerate(signals):
        place = f"{path}[{index}]"
        judge_type(signal.type, types, f"{place}.type", found)
        judge_probability(signal.probability, f"{place}.probability", found)
        judge_span(signal.start, signal.end, clause_id, place, found)


def judge_span(start: Number, end: Number, clause_id: str, path: str, found: list[Finding]) -> None:
    """Judge that a stretch of media is one."""
    if not 0 <= start <= end:
        found.append(Finding(clause(clause_id), f"a stretch cannot reach from {start} s to {end} s", path))
