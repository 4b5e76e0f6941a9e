"""WIN-3: what may be said of one window."""

from __future__ import annotations

from typing import Any

import pytest

from ihproto.errors import Finding
from ihproto.messages import SignalSpan, WindowEngagement, WindowSignal, WindowSignals
from ihproto.revisions import V1_WINDOW, V2
from ihproto.rules.windows import WindowRules

#: The second window, as in the example of the codealong (WIN-1).
START, END = 3.0, 11.0
SPAN = SignalSpan("agreement", START, END, "high", "Subject nodded.")

Found = list[tuple[str, str | None]]


def judge(message: WindowSignals | WindowSignal | WindowEngagement, revision: Any = V1_WINDOW) -> Found:
    rules, found = WindowRules(revision), list[Finding]()
    match message:
        case WindowSignals():
            rules.judge_signals(message, found)
        case WindowSignal():
            rules.judge_signal(message, found)
        case WindowEngagement():
            rules.judge_engagement(message, found)
    return [(finding.clause.id, finding.path) for finding in found]


@pytest.mark.parametrize("signals", [(), (SPAN,), (SPAN, SignalSpan("stress", 0, 0)), (SPAN, SPAN)])
def test_signals_of_documented_words_with_a_span_keep_win_3(signals: tuple[SignalSpan, ...]) -> None:
    assert judge(WindowSignals(signals)) == []


@pytest.mark.parametrize("probability", [None, "low", "medium", "high"])
@pytest.mark.parametrize("signal_type", sorted(V1_WINDOW.signal_types))
def test_documented_words_keep_sig_6_in_both_flavours(signal_type: str, probability: str | None) -> None:
    assert judge(WindowSignals((SignalSpan(signal_type, START, END, probability),))) == []
    assert judge(WindowSignal(signal_type, START, END, probability)) == []


@pytest.mark.parametrize(
    ("signal", "clause_id", "listed", "alone"),
    [
        (WindowSignal("agreement", 11, 3, "high"), "WIN-3", "", ""),
        (WindowSignal("agreement", -3, 5, "high"), "WIN-3", "", ""),
        (WindowSignal("agreement", -3, -5, "high"), "WIN-3", "", ""),
        (WindowSignal("boredom", 3, 11, "high"), "SIG-6", ".type", ".signal_type"),
        (WindowSignal("Agreement", 3, 11, "high"), "SIG-6", ".type", ".signal_type"),
        (WindowSignal("agreement", 3, 11, "certain"), "SIG-6", ".probability", ".probability"),
    ],
)
def test_a_signal_that_cannot_be_is_found_at_its_place_in_both_flavours(
    signal: WindowSignal, clause_id: str, listed: str, alone: str
) -> None:
    span = SignalSpan(signal.signal_type, signal.start, signal.end, signal.probability)
    assert judge(WindowSignals((SPAN, span, SPAN))) == [(clause_id, f"$.data.signals[1]{listed}")]
    assert judge(signal) == [(clause_id, f"$.data{alone}")]


def test_all_that_is_wrong_with_a_signal_is_found_in_one_go() -> None:
    assert judge(WindowSignal("boredom", 3, 2, "certain")) == [
        ("SIG-6", "$.data.signal_type"),
        ("SIG-6", "$.data.probability"),
        ("WIN-3", "$.data"),
    ]


def test_the_revision_says_which_signals_are_documented() -> None:
    assert judge(WindowSignal("engagement", START, END)) == []
    assert judge(WindowSignal("engagement", START, END), V2) == [("SIG-6", "$.data.signal_type")]


@pytest.mark.parametrize("state", ["engaged", "neutral", "disengaged"])
def test_a_level_with_a_span_keeps_win_3(state: str) -> None:
    assert judge(WindowEngagement(state, START, END)) == []
    assert judge(WindowEngagement(state, 0, 0)) == []


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (WindowEngagement("bored", START, END), "$.data.state"),
        (WindowEngagement("Engaged", START, END), "$.data.state"),
        (WindowEngagement("engaged", END, START), "$.data"),
        (WindowEngagement("engaged", -1, END), "$.data"),
    ],
)
def test_a_level_that_cannot_be_breaks_win_3(message: WindowEngagement, path: str) -> None:
    assert judge(message) == [("WIN-3", path)]


def test_each_window_stands_for_itself() -> None:
    rules = WindowRules(V1_WINDOW)
    found: list[Finding] = []
    for _ in range(2):
        rules.judge_engagement(WindowEngagement("engaged", START, END), found)
        rules.judge_signal(WindowSignal("agreement", START, END, "high"), found)
    rules.judge_engagement(WindowEngagement("engaged", 0, 8), found)
    assert found == []


def test_a_word_of_any_length_is_shortened_in_the_finding() -> None:
    found: list[Finding] = []
    WindowRules(V1_WINDOW).judge_signal(WindowSignal("x" * 10_000, START, END, "y" * 10_000), found)
    WindowRules(V1_WINDOW).judge_engagement(WindowEngagement("z" * 10_000, START, END), found)
    assert len(found) == 3
    assert all(len(finding.what) < 200 for finding in found)
