from __future__ import annotations

import pytest

from ihproto.rules.close import judge_close


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011, 1013, 3000, 4003, 4999])
def test_a_close_frame_may_carry_these_codes(code: int) -> None:
    assert judge_close(code, "") is None


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 5000])
def test_a_close_frame_never_carries_these_codes(code: int) -> None:
    finding = judge_close(code, "")
    assert finding is not None
    assert finding.clause.id == "CLS-3"


@pytest.mark.parametrize(
    ("reason", "fits"), [("x" * 123, True), ("x" * 124, False), ("é" * 61, True), ("é" * 62, False)]
)
def test_a_reason_has_at_most_123_bytes_of_utf_8(reason: str, fits: bool) -> None:
    assert (judge_close(1000, reason) is None) is fits
