from typing import Any

import attrs
import pytest

from ihproto.errors import Finding
from ihproto.revisions import V1
from ihproto.rules.contract import judge_contract


def judge(**change: Any) -> list[tuple[str, str | None]]:
    found: list[Finding] = []
    judge_contract(attrs.evolve(V1.contract, **change), found)
    return [(finding.clause.id, finding.path) for finding in found]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"session_idle_timeout_seconds": 0.5},
        {"min_segment_size_bytes": 0},
        {"min_segment_size_bytes": 5, "max_segment_size_bytes": 5},
        {"min_segment_duration_seconds": None},
        {"min_segment_duration_seconds": 0, "max_segment_duration_seconds": 0.5},
        {"min_segment_duration_seconds": 3, "max_segment_duration_seconds": 3},
        {"min_segment_duration_seconds": None, "max_segment_duration_seconds": 60},
    ],
)
def test_a_contract_that_can_be_kept_keeps_rdy_2(change: dict[str, Any]) -> None:
    assert judge(**change) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"session_idle_timeout_seconds": 0}, "$.data.session_idle_timeout_seconds"),
        ({"session_idle_timeout_seconds": -5}, "$.data.session_idle_timeout_seconds"),
        ({"session_max_duration_seconds": 0}, "$.data.session_max_duration_seconds"),
        ({"min_segment_size_bytes": -1}, "$.data.max_segment_size_bytes"),
        ({"min_segment_size_bytes": 10, "max_segment_size_bytes": 9}, "$.data.max_segment_size_bytes"),
        ({"max_segment_size_bytes": 0}, "$.data.max_segment_size_bytes"),
        ({"min_segment_duration_seconds": -1}, "$.data.min_segment_duration_seconds"),
        (
            {"min_segment_duration_seconds": 3, "max_segment_duration_seconds": 2},
            "$.data.min_segment_duration_seconds",
        ),
        (
            {"min_segment_duration_seconds": None, "max_segment_duration_seconds": -1},
            "$.data.min_segment_duration_seconds",
        ),
    ],
)
def test_a_contract_that_cannot_be_kept_breaks_rdy_2(change: dict[str, Any], path: str) -> None:
    assert judge(**change) == [("RDY-2", path)]
