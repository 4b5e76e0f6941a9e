"""The mock server keeps every clause that the suite has a check of, in every revision, whatever there is to see."""

from __future__ import annotations

import pytest

from ihproto import REVISIONS
from ihproto_conformance.matrix import judge_mock
from ihproto_conformance.verdict import Status
from ihproto_mock import BUNDLED


@pytest.mark.parametrize("scenario", BUNDLED)
@pytest.mark.parametrize("revision_id", REVISIONS)
def test_no_check_fails(revision_id: str, scenario: str) -> None:
    report = judge_mock(REVISIONS[revision_id], scenario)
    assert report.unjudged is None
    broken = {result.check.id: [item.what for item in result.evidence] for result in report.results if result.counts}
    assert broken == {}
    assert report.counted()[Status.PASSED] >= 15


def test_nothing_of_the_stream_is_left_out() -> None:
    left = [result for result in judge_mock(REVISIONS["v1"]).results if result.status is Status.NOT_ASKED]
    assert {result.reason for result in left} <= {"it takes the HTTP endpoints of the service: --http"}
