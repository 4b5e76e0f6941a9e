import pytest

from ihproto.errors import Finding
from ihproto.messages import Error
from ihproto.rules.errors import ErrorRules


def judge(error: Error, segments_sent: int | None = 3) -> list[tuple[str, str | None]]:
    rules = ErrorRules()
    assert rules.segments_sent is None
    rules.segments_sent = segments_sent
    found: list[Finding] = []
    rules.judge(error, found)
    return [(finding.clause.id, finding.path) for finding in found]


@pytest.mark.parametrize(
    "error",
    [
        Error("ih6002", "too large", segment=1),
        Error("ih6002", "too large", segment=3),
        Error("ih4007", "too short", segment=2),
        Error("ih3003", "quota", segment=2),
        Error("ih3003", "quota"),
        Error("ih1001", "internal"),
        Error("ih5002", "corrupted"),
        Error("ih6001", "bad config"),
        Error("ih6001", "late media", segment=3),
        Error("ih6003", "idle"),
        Error("ih6004", "too long"),
        Error("ih2003", "scope"),
        Error("ih9999", "of a newer server"),
        Error("ih9999", "of a newer server", segment=1),
    ],
    ids=lambda error: f"{error.code} {error.segment}",
)
def test_an_error_that_keeps_every_clause(error: Error) -> None:
    assert judge(error) == []


def test_an_error_without_a_code_breaks_err_1() -> None:
    assert judge(Error("", "something")) == [("ERR-1", "$.data.code")]


@pytest.mark.parametrize("code", ["ih4002", "ih4007", "ih5001", "ih5004", "ih5008", "ih6002"])
def test_an_error_about_one_segment_that_does_not_name_it_breaks_seg_8(code: str) -> None:
    assert judge(Error(code, "m")) == [("SEG-8", "$.data.segment")]
    assert judge(Error(code, "m"), None) == [("SEG-8", "$.data.segment")]


@pytest.mark.parametrize("code", ["ih1003", "ih2003", "ih4005", "ih6003", "ih6004"])
@pytest.mark.parametrize("segment", [0, 1, 99])
def test_an_error_about_the_session_that_names_a_segment_breaks_seg_8(code: str, segment: int) -> None:
    assert judge(Error(code, "m", segment=segment)) == [("SEG-8", "$.data.segment")]


@pytest.mark.parametrize("segment", [0, -1, 4])
def test_a_segment_that_was_not_sent_breaks_seg_1(segment: int) -> None:
    assert judge(Error("ih6002", "m", segment=segment)) == [("SEG-1", "$.data.segment")]


def test_any_number_from_1_will_do_where_the_count_is_not_known() -> None:
    assert judge(Error("ih6002", "m", segment=99), None) == []
    assert judge(Error("ih6002", "m", segment=0), None) == [("SEG-1", "$.data.segment")]
    assert judge(Error("ih6002", "m", segment=1), 0) == [("SEG-1", "$.data.segment")]
