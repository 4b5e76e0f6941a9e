import pytest

from ihproto import messages as m
from ihproto.codec import Envelope
from ihproto.errors import Finding
from ihproto.revisions import V0, V0_2, V1_WINDOW
from ihproto.rules.envelope import EnvelopeRules

STAMP = "2025-01-01T00:00:00.000000Z"


def judge(
    rules: EnvelopeRules, timestamp: str | None = STAMP, correlation_id: str | None = "c-1"
) -> list[tuple[str, str | None]]:
    found: list[Finding] = []
    rules.judge(Envelope(m.SessionEnded("r"), "session.ended", timestamp, correlation_id, ""), found)
    return [(finding.clause.id, finding.path) for finding in found]


@pytest.mark.parametrize(
    "timestamp",
    [
        STAMP,
        "2025-01-01T00:00:00Z",
        "2025-01-01T00:00:00.123Z",
        "2025-12-31T23:59:59.999999+00:00",
        "2025-01-01T00:00:00-00:00",
        "20250101T000000Z",
        "2024-02-29T12:00Z",
    ],
)
def test_a_utc_time_in_iso_8601_keeps_env_1(timestamp: str) -> None:
    assert judge(EnvelopeRules(), timestamp) == []


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "now",
        "1735689600",
        "2025-01-01",
        "2025-01-01T00:00:00",
        "2025-01-01T00:00:00+01:00",
        "2025-01-01T00:00:00-00:30",
        "2025-13-01T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "2025-01-01T25:00:00Z",
        "Wed, 01 Jan 2025 00:00:00 GMT",
        "2025-01-01T00:00:00ZZ",
        "\ud800",
    ],
)
def test_any_other_timestamp_breaks_env_1(timestamp: str) -> None:
    assert judge(EnvelopeRules(), timestamp) == [("ENV-1", "$.timestamp")]


def test_a_leap_second_keeps_env_1() -> None:
    assert judge(EnvelopeRules(), "2016-12-31T23:59:60.500000Z") == []
    assert judge(EnvelopeRules(), "2016-12-31T23:59:60+01:00") == [("ENV-1", "$.timestamp")]
    assert judge(EnvelopeRules(), "2016-12-31T23:59:61Z") == [("ENV-1", "$.timestamp")]


def test_a_timestamp_without_its_t_breaks_env_1() -> None:
    assert judge(EnvelopeRules(), "2025-01-01x00:00:00Z") == [("ENV-1", "$.timestamp")]


def test_one_correlation_id_keeps_env_2() -> None:
    rules = EnvelopeRules()
    assert rules.correlation_id is None
    for _ in range(3):
        assert judge(rules) == []
        assert rules.correlation_id == "c-1"


def test_each_envelope_with_another_correlation_id_breaks_env_2() -> None:
    rules = EnvelopeRules()
    assert judge(rules) == []
    assert judge(rules, correlation_id="c-2") == [("ENV-2", "$.correlation_id")]
    assert judge(rules, correlation_id="c-2") == [("ENV-2", "$.correlation_id")]
    assert judge(rules) == []
    assert rules.correlation_id == "c-1"


def test_the_id_of_the_upgrade_response_keeps_hs_9() -> None:
    rules = EnvelopeRules("c-1")
    assert judge(rules) == judge(rules) == []


def test_another_id_than_that_of_the_upgrade_response_breaks_hs_9_once() -> None:
    rules = EnvelopeRules("c-0")
    assert judge(rules) == [("HS-9", "$.correlation_id")]
    assert judge(rules) == []
    assert judge(rules, correlation_id="c-0") == [("ENV-2", "$.correlation_id")]


def test_what_is_wrong_with_the_time_and_with_the_id_is_found_in_one_go() -> None:
    assert judge(EnvelopeRules("c-0"), "yesterday") == [("ENV-1", "$.timestamp"), ("HS-9", "$.correlation_id")]


# -- revisions without envelopes -----------------------------------------------------------------------


def test_a_message_of_v0_2_has_no_timestamp_and_keeps_its_id() -> None:
    rules = EnvelopeRules("c-1", V0_2.framing)
    assert judge(rules, None) == judge(rules, None) == []
    assert rules.correlation_id == "c-1"


def test_another_id_in_v0_2_breaks_hs_9_and_not_env_2() -> None:
    rules = EnvelopeRules("c-0", V0_2.framing)
    assert judge(rules, None) == [("HS-9", "$.correlation_id")]
    assert judge(rules, None) == []
    assert judge(rules, None, "c-0") == [("HS-9", "$.correlation_id")]
    assert rules.correlation_id == "c-1"


@pytest.mark.parametrize("announced", [None, "c-1"])
def test_a_message_of_v0_has_nothing_around_it_to_judge(announced: str | None) -> None:
    rules = EnvelopeRules(announced, V0.framing)
    assert judge(rules, None, None) == judge(rules, None, None) == []
    assert rules.correlation_id is None


def test_an_envelope_of_v1_window_is_one_like_any_other() -> None:
    rules = EnvelopeRules("c-0", V1_WINDOW.framing)
    assert judge(rules, "yesterday") == [("ENV-1", "$.timestamp"), ("HS-9", "$.correlation_id")]
    assert judge(rules, correlation_id="c-0") == [("ENV-2", "$.correlation_id")]
