from collections.abc import Sequence

import pytest

from ihproto.errors import Finding
from ihproto.messages import SignalDetected, SignalEnded, SignalUpdated
from ihproto.revisions import V1, V2
from ihproto.rules.signals import MAX_TYPES, ActiveSignal, SignalRules

Signal = SignalDetected | SignalUpdated | SignalEnded
Found = list[tuple[str, str | None]]
END = "session.ended"

TYPE, START, STOP = "$.data.signal_type", "$.data.start", "$.data.end"


def judge(rules: SignalRules, step: Signal | str) -> Found:
    found: list[Finding] = []
    match step:
        case SignalDetected():
            rules.judge_detected(step, found)
        case SignalUpdated():
            rules.judge_updated(step, found)
        case SignalEnded():
            rules.judge_ended(step, found)
        case _:
            rules.judge_session_ended(found)
    return [(finding.clause.id, finding.path) for finding in found]


def d(start: float, probability: str | None = "low", name: str = "agreement") -> SignalDetected:
    return SignalDetected(name, start, probability)


def u(start: float, probability: str | None, name: str = "agreement") -> SignalUpdated:
    return SignalUpdated(name, start, probability)


def e(end: float, name: str = "agreement") -> SignalEnded:
    return SignalEnded(name, end)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([d(0), e(8), d(9), e(11), END], id="SIG-1 detected again after its end"),
        pytest.param([d(0), d(0, name="stress"), END][:2], id="SIG-1 two types at once"),
        pytest.param([d(0), u(3, "high"), u(6, "low"), e(9), END], id="SIG-2 back to an older probability"),
        pytest.param([d(0, None), u(3, "low")], id="SIG-2 from no probability to one"),
        pytest.param([d(0), SignalUpdated("agreement", 3, "low", "why")], id="SIG-2 a changed rationale"),
        pytest.param(
            [d(0), SignalUpdated("agreement", 3, "low", None, ("video",))], id="SIG-2 a changed modality, as SIG-8 has"
        ),
        pytest.param([d(0), e(0)], id="SIG-4 an end at the start"),
        pytest.param([d(5), u(5, "high"), e(5), d(5)], id="SIG-4 times that stand still"),
        pytest.param([d(9), e(12), d(1, name="stress"), e(2, "stress")], id="SIG-4 each type by itself"),
        pytest.param(
            [d(0), d(1, name="stress"), u(2, "high"), e(3, "stress"), e(4), END], id="SIG-5 types that interleave"
        ),
        pytest.param([END], id="SIG-7 nothing ever active"),
    ],
)
def test_a_sequence_that_keeps_every_clause(steps: Sequence[Signal | str]) -> None:
    rules = SignalRules(V1)
    assert [judge(rules, step) for step in steps] == [[]] * len(steps)


@pytest.mark.parametrize("signal_type", sorted(V1.signal_types))
@pytest.mark.parametrize("probability", ["low", "medium", "high", None])
def test_documented_words_keep_sig_6(signal_type: str, probability: str | None) -> None:
    rules = SignalRules(V1)
    assert judge(rules, d(0, probability, signal_type)) == []
    assert judge(rules, SignalUpdated(signal_type, 1, probability, "why")) == []


@pytest.mark.parametrize(
    ("steps", "clause_id", "path"),
    [
        pytest.param([d(0), d(3)], "SIG-1", TYPE, id="detected twice"),
        pytest.param([d(0), u(3, "high"), d(3, "high")], "SIG-1", TYPE, id="detected after an update"),
        pytest.param([u(0, "low")], "SIG-2", TYPE, id="updated, never detected"),
        pytest.param([d(0), e(3), u(6, "high")], "SIG-2", TYPE, id="updated after its end"),
        pytest.param([d(0), u(3, "low")], "SIG-2", "$.data.probability", id="updated without a change"),
        pytest.param([d(0), u(3, "high"), u(6, "high")], "SIG-2", "$.data.probability", id="updated twice to the same"),
        pytest.param([d(0, None), u(3, None)], "SIG-2", "$.data.probability", id="updated with nothing to say"),
        pytest.param([d(-0.5)], "SIG-4", START, id="detected before the session"),
        pytest.param([d(5), u(4, "high")], "SIG-4", START, id="updated before its detection"),
        pytest.param([d(5), e(4.9)], "SIG-4", STOP, id="ended before its detection"),
        pytest.param([d(5), u(8, "high"), e(6)], "SIG-4", STOP, id="ended before its update"),
        pytest.param([d(0), e(9), d(8)], "SIG-4", START, id="detected before its last end"),
        pytest.param([e(3)], "SIG-5", TYPE, id="ended, never detected"),
        pytest.param([d(0), e(3), e(3)], "SIG-5", TYPE, id="ended twice"),
        pytest.param([d(0), e(3, "stress")], "SIG-5", TYPE, id="another type ended"),
        pytest.param([d(0, name="boredom")], "SIG-6", TYPE, id="an undocumented type"),
        pytest.param([d(0, name="Agreement")], "SIG-6", TYPE, id="a type in another case"),
        pytest.param([d(0, "certain")], "SIG-6", "$.data.probability", id="an undocumented probability"),
        pytest.param([d(0), u(1, "0.9")], "SIG-6", "$.data.probability", id="a probability as a number"),
        pytest.param([d(0), END], "SIG-7", None, id="active at the end of the session"),
        pytest.param([d(0), d(1, name="stress"), e(2), END], "SIG-7", None, id="one of two active at the end"),
    ],
)
def test_a_sequence_whose_last_message_breaks_one_clause(
    steps: Sequence[Signal | str], clause_id: str, path: str | None
) -> None:
    rules = SignalRules(V1)
    assert [judge(rules, step) for step in steps] == [*([[]] * (len(steps) - 1)), [(clause_id, path)]]


def test_a_time_that_runs_backwards_does_not_move_the_mark() -> None:
    rules = SignalRules(V1)
    assert judge(rules, d(10)) == []
    assert judge(rules, u(5, "high")) == [("SIG-4", START)]
    assert judge(rules, e(9)) == [("SIG-4", STOP)]
    assert judge(rules, d(10)) == []


def test_active_signals_are_listed_in_the_order_of_detection() -> None:
    rules = SignalRules(V1)
    judge(rules, SignalDetected("stress", 1, "low", "first", ("video",)))
    judge(rules, d(2))
    judge(rules, SignalUpdated("stress", 3, "high", "second", ("audio",)))
    assert list(rules.active.values()) == [
        ActiveSignal("stress", 1, 3, "high", "second", ("audio",)),
        ActiveSignal("agreement", 2, 2, "low"),
    ]
    judge(rules, e(4, "stress"))
    assert list(rules.active) == ["agreement"]


def test_a_signal_that_was_only_updated_counts_as_active_from_there() -> None:
    rules = SignalRules(V1)
    assert judge(rules, u(4, "high")) == [("SIG-2", TYPE)]
    assert rules.active["agreement"] == ActiveSignal("agreement", 4, 4, "high")
    assert judge(rules, e(5)) == []


def test_a_signal_left_active_is_named() -> None:
    rules = SignalRules(V1)
    judge(rules, d(0))
    judge(rules, d(1, name="stress"))
    found: list[Finding] = []
    rules.judge_session_ended(found)
    assert "agreement, stress" in found[0].what


def test_a_name_of_any_length_is_shortened_in_the_finding() -> None:
    rules = SignalRules(V1)
    found: list[Finding] = []
    rules.judge_detected(SignalDetected("x" * 10_000, -1, "y" * 10_000), found)
    rules.judge_detected(SignalDetected("x" * 10_000, 0, "y" * 10_000), found)
    rules.judge_session_ended(found)
    assert {finding.clause.id for finding in found} == {"SIG-1", "SIG-4", "SIG-6", "SIG-7"}
    assert all(len(finding.what) < 200 for finding in found)


def test_a_server_that_invents_types_does_not_fill_the_memory() -> None:
    rules = SignalRules(V1)
    for number in range(2 * MAX_TYPES):
        rules.judge_detected(SignalDetected(f"type {number}", number), [])
    assert len(rules.active) == len(rules._latest) == MAX_TYPES
    rules.judge_updated(SignalUpdated("type 0", 2 * MAX_TYPES, "high"), [])
    assert rules.active["type 0"].probability == "high"
    # Of a type that was there before, time goes on.
    assert ("SIG-4", START) in judge(rules, SignalUpdated("type 0", 0))


# -- v2 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modality", [("video",), ("video", "audio"), ()])
def test_a_modality_keeps_sig_8_in_v1_and_breaks_it_in_v2(modality: tuple[str, ...]) -> None:
    said: list[Signal] = [
        SignalDetected("stress", 0, "low", None, modality),
        SignalUpdated("stress", 1, "high", None, modality),
    ]
    rules = SignalRules(V1)
    assert [judge(rules, step) for step in said] == [[], []]
    rules = SignalRules(V2)
    assert [judge(rules, step) for step in said] == [[("SIG-8", "$.data.modality")]] * 2


def test_a_signal_without_modality_keeps_sig_8_in_v2() -> None:
    rules = SignalRules(V2)
    assert [judge(rules, step) for step in (d(0), u(1, "high"), e(2), END)] == [[]] * 4


@pytest.mark.parametrize("name", ["engagement", "disengagement"])
def test_engagement_is_a_signal_until_v1_and_breaks_sig_6_in_v2(name: str) -> None:
    assert judge(SignalRules(V1), d(0, name=name)) == []
    assert judge(SignalRules(V2), d(0, name=name)) == [("SIG-6", TYPE)]


@pytest.mark.parametrize("name", ["agreement", "frustration", "tension"])
def test_the_other_types_keep_sig_6_in_v2(name: str) -> None:
    assert judge(SignalRules(V2), d(0, name=name)) == []
