"""What events are to their owners, whatever class they are made of."""

from __future__ import annotations

import pytest

import ihproto as ih

VIOLATION = ih.Violation(ih.clause("SEG-4"), ih.Side.CLIENT, "OPEN", "3 s is before 5 s")


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (ih.SegmentData(3, b"of a camera"), "SegmentData(number=3)"),
        (ih.BytesToSend(b"of a camera", False), "BytesToSend(final=False)"),
        (ih.Violated(VIOLATION, "of a person"), f"Violated(violation={VIOLATION!r})"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_person_sent_does_not_show(event: object, shown: str) -> None:
    assert repr(event) == shown


def test_equal_ones_are_one_in_a_set() -> None:
    events = {ih.Window(0, 0.0, 3.0), ih.Window(0, 0.0, 3.0), ih.Window(0, 0.0, 3.0, final=True)}
    assert len(events) == 2


def test_none_can_be_changed() -> None:
    window = ih.Window(0, 0.0, 3.0)
    with pytest.raises(AttributeError):
        window.end = 4.0  # type: ignore[misc]
    assert window.end == 3.0


def test_what_is_not_said_of_a_violation_is_none() -> None:
    violation = ih.Violation(ih.clause("SIG-1"), ih.Side.SERVER, "OPEN", "it was detected twice")
    assert violation.path is None
    assert ih.Violated(violation).raw is None


def test_what_is_not_said_of_a_signal_is_none() -> None:
    assert (ih.ActiveSignal("stress", 1.0, 1.0).probability, ih.WindowSignal("stress", 0.0, 8.0).rationale) == (
        None,
        None,
    )
