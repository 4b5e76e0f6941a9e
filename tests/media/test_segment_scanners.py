from __future__ import annotations

import math
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ihproto.media import MediaError, MediaScanner, NominalScanner, SegmentFault, SegmentMedia, SegmentScanner, Track
from ihproto.media.scanner import MAX_PENDING, ContainerScanner, Extent, Gap

VIDEO = Track("video", "vp8")

# --- what a session asks --------------------------------------------------------------------------------------------


def test_a_nominal_scanner_takes_every_segment_for_three_seconds() -> None:
    scanner: SegmentScanner = NominalScanner()
    for number in (1, 2, 3):
        scanner.begin(number)
        assert scanner.feed(b"anything") is None
        assert scanner.feed(b"") is None
        media = scanner.finish()
        assert isinstance(media, SegmentMedia)
        assert media.seconds == 3.0


def test_a_nominal_scanner_has_the_length_that_it_is_told() -> None:
    scanner = NominalScanner(0.5)
    scanner.begin(1)
    assert scanner.finish() == SegmentMedia(0.5)


def test_both_scanners_are_what_a_session_asks_for() -> None:
    scanners: list[SegmentScanner] = [NominalScanner(), MediaScanner()]
    assert len(scanners) == 2


@pytest.mark.parametrize("seconds", [-0.001, -math.inf, math.inf, math.nan])
def test_no_segment_has_such_a_length(seconds: float) -> None:
    with pytest.raises(ValueError, match=r"a segment cannot be .* s long"):
        SegmentMedia(seconds)
    with pytest.raises(ValueError, match=r"a segment cannot be .* s long"):
        NominalScanner(seconds)


@pytest.mark.parametrize("seconds", [0, 0.0, 2.94, 1e9])
def test_any_finite_length_will_do(seconds: float) -> None:
    assert SegmentMedia(seconds).seconds == seconds


def test_the_duration_is_the_span_of_the_segments_own_samples() -> None:
    assert SegmentMedia(3.0, start=8.875, end=12.0).duration == 3.125
    assert SegmentMedia(3.0).duration == 0.0
    assert SegmentMedia(3.0, start=1.0).duration == 0.0
    assert SegmentMedia(3.0, end=1.0).duration == 0.0


def test_a_segment_of_which_only_the_length_is_known_says_nothing_else() -> None:
    media = SegmentMedia(3.0)
    assert (media.container, media.has_header, media.start, media.end) == (None, False, None, None)
    assert (media.tracks, media.foreign, media.cut_from, media.broken, media.lost, media.gap) == ((), *[None] * 5)


def test_a_fault_makes_a_sentence_that_begins_with_the_number_of_the_segment() -> None:
    fault = SegmentFault("ih4007", "SEG-4", "is 2.31 s long; the session's minimum is 3 s")
    assert fault.sentence(4) == "segment 4 is 2.31 s long; the session's minimum is 3 s"
    assert fault.sentence(1200) == "segment 1200 is 2.31 s long; the session's minimum is 3 s"


def test_an_error_of_the_media_says_what_and_where() -> None:
    error = MediaError("a box must come here", 12)
    assert (error.what, error.at, str(error)) == ("a box must come here", 12, "a box must come here, at byte 12")


# --- stretches of media ---------------------------------------------------------------------------------------------


def test_an_extent_goes_from_the_earliest_to_the_end_of_the_latest_sample() -> None:
    extent = Extent()
    assert (extent.start, extent.end, extent.samples, extent.seconds) == (None, None, 0, 0.0)
    extent.add(2.0, 2.5)
    extent.add(1.0, 1.5)
    extent.add(1.5, 2.0)
    extent.add(2.25, 3.0)
    assert (extent.start, extent.end, extent.samples, extent.seconds) == (1.0, 3.0, 4, 2.0)


def test_a_gap_is_as_long_as_there_is_no_media() -> None:
    assert Gap(9.0, 12.5, 100).seconds == 3.5


# --- the base of the scanners of containers ---------------------------------------------------------------------------


class Records(ContainerScanner):
    """Reads records of a byte that is the size of a payload, which is stepped over; a size of 255 is none.

    Attributes:
        sizes: What was read.
    """

    container = "records"

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    @property
    def tracks(self) -> tuple[Track, ...]:
        return (VIDEO,) if self.sizes else ()

    def copy(self) -> Self:
        other = self._copy_into(type(self)())
        other.sizes = self.sizes.copy()
        return other

    def _parse(self, data: bytes) -> int:
        at = 0
        while at < len(data):
            if data[at] == 255:
                self._fail("255 is no size", at)
            self.sizes.append(data[at])
            self.extent.add(len(self.sizes), len(self.sizes) + 1)
            at += 1 + data[at]
        return at


class Words(ContainerScanner):
    """Reads words that end with a dot, and refuses those with a capital X."""

    container = "words"

    def __init__(self) -> None:
        super().__init__()
        self.words: list[bytes] = []
        self.given: list[bytes] = []

    @property
    def tracks(self) -> tuple[Track, ...]:
        return ()

    def copy(self) -> Self:
        other = self._copy_into(type(self)())
        other.words, other.given = self.words.copy(), self.given.copy()
        return other

    def _parse(self, data: bytes) -> int:
        self.given.append(data)
        at = 0
        while (end := data.find(b".", at)) >= 0:
            word = data[at:end]
            if b"X" in word:
                self._fail(f"the word {word.decode()} has an X", at + word.index(b"X"))
            self.words.append(word)
            at = end + 1
        return at


def records(*sizes: int) -> bytes:
    return b"".join(bytes([size]) + b"\xff" * size for size in sizes)


def fault_of(scanner: ContainerScanner, *pieces: bytes) -> MediaError:
    """The error that one of the pieces brings."""
    try:
        for piece in pieces:
            scanner.feed(piece)
    except MediaError as error:
        return error
    raise AssertionError("the pieces were taken without an error")


def test_what_is_to_be_stepped_over_is_never_given_to_the_parser() -> None:
    scanner = Records()
    scanner.begin_segment()
    data = records(3, 0, 200, 5)
    for i in range(len(data)):
        scanner.feed(data[i : i + 1])
    assert scanner.sizes == [3, 0, 200, 5]


@given(st.lists(st.integers(0, 254), max_size=12), st.lists(st.integers(0, 3000), max_size=12))
def test_how_the_bytes_are_cut_does_not_matter(sizes: list[int], cuts: list[int]) -> None:
    data = records(*sizes, 1) + b"\xff"
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    scanner = Records()
    scanner.begin_segment()
    error = fault_of(scanner, *(data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)))
    assert scanner.sizes == [*sizes, 1]
    assert error.at == len(data) - 1


@given(st.lists(st.sampled_from([b"a", b"bc", b"", b"longer"]), max_size=12), st.lists(st.integers(0, 90), max_size=12))
def test_what_is_not_whole_comes_again_in_front_of_the_next_piece(words: list[bytes], cuts: list[int]) -> None:
    data = b"".join(word + b"." for word in words) + b"noX."
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    scanner = Words()
    scanner.begin_segment()
    error = fault_of(scanner, *(data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)))
    assert scanner.words == words
    assert (error.what, error.at) == ("the word noX has an X", len(data) - 2)


def test_a_whole_word_is_not_given_again() -> None:
    scanner = Words()
    scanner.begin_segment()
    scanner.feed(b"one.t")
    scanner.feed(b"wo")
    scanner.feed(b".three.")
    scanner.feed(b"four.")
    assert scanner.given == [b"one.t", b"two", b"two.three.", b"four."]


def test_places_are_counted_from_the_beginning_of_each_segment() -> None:
    scanner = Records()
    scanner.begin_segment()
    scanner.feed(records(4, 4, 4))
    scanner.begin_segment()
    scanner.feed(records(1))
    assert fault_of(scanner, records(2) + b"\xff").at == 5


def test_places_are_counted_right_where_the_segment_begins_inside_of_what_is_stepped_over() -> None:
    scanner = Records()
    scanner.begin_segment()
    scanner.feed(b"\x05\x00")
    scanner.begin_segment()
    assert fault_of(scanner, b"\x00\x00", b"\x00\x00\xff").at == 4


def test_places_are_counted_right_where_the_segment_begins_inside_of_what_was_held() -> None:
    scanner = Words()
    scanner.begin_segment()
    scanner.feed(b"one.tw")
    scanner.begin_segment()
    assert fault_of(scanner, b"o.aX.").at == 3


def test_a_fault_in_what_was_held_from_the_segment_before_is_at_its_beginning() -> None:
    scanner = Words()
    scanner.begin_segment()
    scanner.feed(b"one.twoX")
    scanner.begin_segment()
    assert fault_of(scanner, b"abc.").at == 0


def test_bytes_that_are_left_out_count_as_bytes_of_the_segment() -> None:
    scanner = Records()
    scanner.begin_segment()
    scanner.feed(records(2))
    scanner.leave_out(1000)
    assert fault_of(scanner, records(3) + b"\xff").at == 3 + 1000 + 4


def test_a_segment_begins_with_no_media_of_its_own() -> None:
    scanner = Records()
    scanner.begin_segment()
    scanner.feed(records(1, 1))
    scanner.gap = Gap(1.0, 2.0, 3)
    assert scanner.extent.samples == 2
    scanner.finish_segment()
    scanner.begin_segment()
    assert scanner.extent == Extent()
    assert scanner.gap is None
    scanner.feed(records(1))
    assert scanner.extent.start == 3


def test_more_than_a_few_kilobytes_of_one_header_are_never_held() -> None:
    scanner = Words()
    scanner.begin_segment()
    scanner.feed(b"one." + b"a" * MAX_PENDING)
    error = fault_of(scanner, b"a")
    assert error.what == "a header is larger than any should be"
    assert error.at == 4


def test_what_may_be_held_may_come_in_pieces() -> None:
    scanner = Words()
    scanner.begin_segment()
    for _ in range(MAX_PENDING):
        scanner.feed(b"a")
    scanner.feed(b".")
    assert scanner.words == [b"a" * MAX_PENDING]


def test_what_is_stepped_over_may_be_of_any_size() -> None:
    class Endless(Records):
        def _parse(self, data: bytes) -> int:
            return 1 << 50

    scanner = Endless()
    scanner.begin_segment()
    for _ in range(100):
        scanner.feed(bytes(1 << 16))


def test_the_header_is_complete_when_the_tracks_are_known() -> None:
    scanner = Records()
    scanner.begin_segment()
    assert not scanner.header_complete
    scanner.feed(records(1))
    assert scanner.header_complete
    assert scanner.tracks == (VIDEO,)


def test_a_copy_goes_on_where_the_original_was_and_changes_nothing_of_it() -> None:
    scanner = Records()
    scanner.begin_segment()
    scanner.gap = Gap(1.0, 2.0, 3)
    scanner.feed(b"\x00\x04\x00")
    other = scanner.copy()
    assert other.gap == scanner.gap
    assert fault_of(other, b"\x00\x00\x00\x01\x00\xff").at == 8
    assert (other.sizes, other.extent.samples) == ([0, 4, 1], 3)
    assert (scanner.sizes, scanner.extent.samples) == ([0, 4], 2)
    assert fault_of(scanner, b"\x00\x00\x00\xff").at == 6


def test_a_copy_holds_what_was_not_whole() -> None:
    scanner = Words()
    scanner.begin_segment()
    scanner.feed(b"one.tw")
    other = scanner.copy()
    other.feed(b"o.")
    scanner.feed(b"ice.")
    assert other.words == [b"one", b"two"]
    assert scanner.words == [b"one", b"twice"]


def test_an_empty_piece_changes_nothing() -> None:
    scanner = Words()
    scanner.begin_segment()
    scanner.feed(b"")
    scanner.feed(b"on")
    scanner.feed(b"")
    scanner.feed(b"e.")
    assert scanner.words == [b"one"]
    assert fault_of(scanner, b"", b"X.").at == 4


def test_a_base_without_a_parser_is_no_scanner() -> None:
    with pytest.raises(TypeError, match="abstract"):
        ContainerScanner()  # type: ignore[abstract]
