from typing import Any

import attrs
import pytest

from ihproto.errors import Finding
from ihproto.revisions import V0, V0_2, V1, V1_WINDOW, V2, Revision
from ihproto.rules.segments import SegmentLedger

LIMIT = 33_554_432


def ledger(**change: Any) -> SegmentLedger:
    return SegmentLedger(attrs.evolve(V1.contract, **change))


def clause_id(finding: Finding | None) -> str | None:
    return finding.clause.id if finding else None


def test_segments_are_counted_from_1_whatever_becomes_of_them() -> None:
    segments = ledger()
    assert (segments.number, segments.under_way) == (0, False)
    for number in (1, 2, 3):
        assert segments.begin() == number
        assert (segments.number, segments.size, segments.under_way) == (number, 0, True)
        segments.add(LIMIT + number - 1)
        segments.finish()
        assert (segments.number, segments.under_way) == (number, False)


@pytest.mark.parametrize("pieces", [[LIMIT], [LIMIT - 1, 1], [0, LIMIT, 0]])
def test_a_segment_of_the_limit_keeps_seg_2(pieces: list[int]) -> None:
    segments = ledger()
    segments.begin()
    assert [clause_id(segments.add(piece)) for piece in pieces] == [None] * len(pieces)
    assert segments.size == LIMIT
    assert segments.finish() is None


@pytest.mark.parametrize("pieces", [[LIMIT + 1], [LIMIT, 1], [1, 10**9]])
def test_the_piece_that_crosses_the_limit_breaks_seg_2(pieces: list[int]) -> None:
    segments = ledger()
    segments.begin()
    said = [segments.add(piece) for piece in pieces]
    assert [clause_id(finding) for finding in said] == [*([None] * (len(pieces) - 1)), "SEG-2"]
    assert said[-1] is not None
    assert f"{LIMIT:,}" in said[-1].what


def test_the_size_begins_anew_with_each_segment() -> None:
    segments = ledger(max_segment_size_bytes=10)
    segments.begin()
    assert clause_id(segments.add(11)) == "SEG-2"
    segments.begin()
    assert segments.add(10) is None


@pytest.mark.parametrize(
    ("minimum", "size", "expected"),
    [
        (1, 0, "SEG-10"),
        (1, 1, None),
        (0, 0, "SEG-10"),
        (10_000, 9_999, "SEG-10"),
        (10_000, 10_000, None),
    ],
)
def test_a_segment_under_the_minimum_or_empty_breaks_seg_10(minimum: int, size: int, expected: str | None) -> None:
    segments = ledger(min_segment_size_bytes=minimum)
    assert clause_id(segments.undersize(size)) == expected
    segments.begin()
    assert segments.add(size) is None
    assert clause_id(segments.finish()) == expected


def test_without_a_contract_only_an_empty_segment_is_wrong() -> None:
    segments = SegmentLedger()
    segments.begin()
    assert segments.add(10**12) is None
    assert segments.finish() is None
    segments.begin()
    assert clause_id(segments.finish()) == "SEG-10"


def test_media_time_is_cumulative_from_0() -> None:
    segments = ledger()
    assert segments.media_seconds == 0
    assert segments.accept(3.0) == (0, 3.0)
    assert segments.accept(0.0) == (3.0, 3.0)
    segments.begin()
    segments.finish()
    assert segments.accept(2.5) == (3.0, 5.5)
    assert segments.media_seconds == 5.5


# -- SEG-3: the limits of v0 ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "SEG-10"), (1, "SEG-3"), (9_999, "SEG-3"), (10_000, None), (20_971_520, None), (20_971_521, "SEG-3")],
)
def test_seg_3_a_segment_of_v0_has_10_kb_to_20_mb(size: int, expected: str | None) -> None:
    segments = SegmentLedger(V0.contract, V0)
    assert clause_id(segments.undersize(size) or segments.oversize(size)) == expected
    segments.begin()
    over = segments.add(size)
    assert clause_id(segments.finish() or over) == expected


def test_the_finding_tells_the_limit_the_size_and_the_cure() -> None:
    segments = SegmentLedger(V0.contract, V0)
    small, large = segments.undersize(9_999), segments.oversize(20_971_521)
    assert small is not None
    assert large is not None
    assert small.what == "segment 1 has 9999 bytes and the minimum is 10000; skip empty recorder output"
    assert large.what == "segment 1 exceeds the limit of 20,971,520 bytes; send shorter segments"


@pytest.mark.parametrize("revision", [V0_2, V1_WINDOW, V1, V2])
@pytest.mark.parametrize(("size", "expected"), [(0, "SEG-10"), (1, None), (LIMIT, None), (LIMIT + 1, "SEG-2")])
def test_seg_2_a_segment_of_any_later_revision_has_1_byte_to_32_mb(
    revision: Revision, size: int, expected: str | None
) -> None:
    segments = SegmentLedger(revision.contract, revision)
    assert clause_id(segments.undersize(size) or segments.oversize(size)) == expected


def test_a_segment_that_would_be_next_is_named_by_its_number() -> None:
    segments = SegmentLedger(V0.contract, V0)
    segments.begin()
    segments.finish()
    finding = segments.undersize(5)
    assert finding is not None
    assert finding.what.startswith("segment 2 has 5 bytes")
