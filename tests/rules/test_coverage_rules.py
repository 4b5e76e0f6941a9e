import pytest

from ihproto.errors import Finding
from ihproto.messages import CoverageDegraded, CoverageDropped, MediaRange
from ihproto.rules.coverage import judge_coverage

both = pytest.mark.parametrize("cls", [CoverageDropped, CoverageDegraded])


def judge(cls: type[CoverageDropped | CoverageDegraded], *ranges: tuple[float, float]) -> list[tuple[str, str | None]]:
    found: list[Finding] = []
    judge_coverage(cls(tuple(MediaRange(start, end) for start, end in ranges)), found)
    return [(finding.clause.id, finding.path) for finding in found]


@both
def test_ranges_of_media_keep_cov_1(cls: type[CoverageDropped | CoverageDegraded]) -> None:
    assert judge(cls, (0, 8)) == []
    assert judge(cls, (0, 8), (3, 11), (20.5, 20.75)) == []


@both
def test_no_range_at_all_breaks_cov_1(cls: type[CoverageDropped | CoverageDegraded]) -> None:
    assert judge(cls) == [("COV-1", "$.data.ranges")]


@both
@pytest.mark.parametrize("stretch", [(5, 5), (5, 4), (-1, 4)])
def test_a_range_of_no_media_breaks_cov_1(
    cls: type[CoverageDropped | CoverageDegraded], stretch: tuple[float, float]
) -> None:
    assert judge(cls, stretch) == [("COV-1", "$.data.ranges[0]")]
    assert judge(cls, (0, 1), stretch, (6, 7)) == [("COV-1", "$.data.ranges[1]")]
