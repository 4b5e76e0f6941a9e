import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihproto.analysis import SignalLifecycle, SignalReport
from ihproto.events import Window
from ihproto.messages import ServerMessage, SignalDetected, SignalEnded, SignalUpdated

Signal = SignalDetected | SignalUpdated | SignalEnded


def window(index: int) -> Window:
    return Window(index, 3.0 * index, 3.0 * index + 8)


def run(*reports: Sequence[SignalReport]) -> list[list[ServerMessage]]:
    """What is said about consecutive windows, and at last about a graceful close."""
    lifecycle = SignalLifecycle()
    said = [lifecycle.apply(window(index), tuple(seen)) for index, seen in enumerate(reports)]
    return [*said, lifecycle.end_all()]


def seen(start: float, name: str = "agreement", **details: object) -> SignalReport:
    return SignalReport(name, start, **details)  # type: ignore[arg-type]


def test_nothing_seen_is_nothing_said() -> None:
    assert run([], []) == [[], [], []]


def test_sig_1_a_type_is_detected_once_while_it_lasts() -> None:
    assert run([seen(2, probability="low")], [seen(2, probability="low")], [seen(6, probability="low")]) == [
        [SignalDetected("agreement", 2, "low")],
        [],
        [],
        [SignalEnded("agreement", 14)],
    ]


def test_sig_1_a_type_is_detected_again_after_its_end() -> None:
    assert run([seen(2, end=5)], [], [seen(9)]) == [
        [SignalDetected("agreement", 2)],
        [SignalEnded("agreement", 5)],
        [SignalDetected("agreement", 9)],
        [SignalEnded("agreement", 14)],
    ]


def test_sig_2_an_update_comes_with_a_changed_probability_only() -> None:
    low, high = {"probability": "low"}, {"probability": "high"}
    assert run(
        [seen(1, **low)],
        [seen(1, since=5, rationale="why", modality=("video",), **high)],
        [seen(1, since=5, rationale="why else", **high)],
        [seen(1, since=12, **low)],
    ) == [
        [SignalDetected("agreement", 1, "low")],
        [SignalUpdated("agreement", 5, "high", "why", ("video",))],
        [],
        [SignalUpdated("agreement", 12, "low")],
        [SignalEnded("agreement", 17)],
    ]


def test_sig_2_an_update_dates_from_the_start_where_nothing_else_is_known() -> None:
    assert run([seen(1)], [seen(4, probability="low")], [seen(2, probability="high")])[1:3] == [
        [SignalUpdated("agreement", 4, "low")],
        [SignalUpdated("agreement", 4, "high")],
    ]


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        pytest.param(None, 8.0, id="seen to the end of its window"),
        pytest.param(6.5, 6.5, id="seen until earlier"),
        pytest.param(99, 8.0, id="never later than its window"),
        pytest.param(1, 2.0, id="never before its start"),
    ],
)
def test_sig_3_a_type_ends_where_it_was_seen_last(end: float | None, expected: float) -> None:
    assert run([seen(2, end=end)], [])[1] == [SignalEnded("agreement", expected)]


def test_sig_4_a_signal_does_not_begin_before_the_session_or_before_its_last_end() -> None:
    assert run([seen(-3, end=6)], [], [seen(1)]) == [
        [SignalDetected("agreement", 0.0)],
        [SignalEnded("agreement", 6)],
        [SignalDetected("agreement", 6)],
        [SignalEnded("agreement", 14)],
    ]


def test_sig_7_every_active_signal_is_ended_at_a_graceful_close_once() -> None:
    lifecycle = SignalLifecycle()
    lifecycle.apply(window(0), (seen(0), seen(3, "stress", end=7)))
    assert lifecycle.end_all() == [SignalEnded("agreement", 8), SignalEnded("stress", 7)]
    assert lifecycle.end_all() == []


def test_ends_are_said_before_what_begins() -> None:
    assert run([seen(0), seen(1, "stress")], [seen(8, "interest"), seen(1, "stress", probability="low")])[1] == [
        SignalEnded("agreement", 8),
        SignalDetected("interest", 8),
        SignalUpdated("stress", 1, "low"),
    ]


def test_a_detection_passes_on_all_that_the_report_says() -> None:
    report = seen(1, probability="medium", rationale="nods", modality=("video", "audio"))
    assert run([report])[0] == [SignalDetected("agreement", 1, "medium", "nods", ("video", "audio"))]


# An analysis may say anything about any time, and contradict what it said before.
times = st.floats(-20, 60, allow_nan=False) | st.integers(-2, 20)


@st.composite
def reports_of_a_window(draw: st.DrawFn) -> tuple[SignalReport, ...]:
    names = draw(st.lists(st.sampled_from(["agreement", "stress", "interest"]), unique=True))
    return tuple(
        SignalReport(
            name,
            draw(times),
            draw(st.none() | times),
            draw(st.none() | times),
            draw(st.sampled_from([None, "low", "medium", "high"])),
        )
        for name in names
    )


def time_of(message: Signal) -> float:
    return message.end if isinstance(message, SignalEnded) else message.start


LETTERS = {SignalDetected: "d", SignalUpdated: "u", SignalEnded: "e"}


@settings(max_examples=120)
@given(windows=st.lists(reports_of_a_window(), max_size=12))
def test_whatever_the_reports_say_the_messages_keep_the_clauses(windows: list[tuple[SignalReport, ...]]) -> None:
    lifecycle = SignalLifecycle()
    said: list[Signal] = []
    before: set[str] = set()
    for index, reports in enumerate(windows):
        now: list[Signal] = []
        for message in lifecycle.apply(window(index), reports):
            assert isinstance(message, Signal)
            now.append(message)
        present = {report.signal_type for report in reports}
        assert {m.signal_type for m in now if isinstance(m, SignalEnded)} == before - present, "SIG-3"
        assert {m.signal_type for m in now if isinstance(m, SignalDetected)} == present - before, "SIG-1"
        assert len({m.signal_type for m in now}) == len(now), "one message a type and window"
        said += now
        before = present
    letters = {
        name: "".join(LETTERS[type(m)] for m in said if m.signal_type == name) for name in ("agreement", "stress")
    }
    assert all(re.fullmatch("(du*e)*(du*)?", sequence) for sequence in letters.values()), "SIG-5"
    for message in lifecycle.end_all():
        assert isinstance(message, SignalEnded)
        said.append(message)

    for name in ("agreement", "stress", "interest"):
        own = [m for m in said if m.signal_type == name]
        assert re.fullmatch("(du*e)*", "".join(LETTERS[type(m)] for m in own)), "SIG-5, SIG-7"
        moments = [time_of(m) for m in own]
        assert moments == sorted(moments), "SIG-4"
        assert all(moment >= 0 for moment in moments), "SIG-4"
        probability: str | None = None
        detected = 0.0
        for m in own:
            if isinstance(m, SignalUpdated):
                assert m.probability != probability, "SIG-2"
            if isinstance(m, SignalEnded):
                assert m.end >= detected, "SIG-4"
                continue
            probability = m.probability
            if isinstance(m, SignalDetected):
                detected = m.start
