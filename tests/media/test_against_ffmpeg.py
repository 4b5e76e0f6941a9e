"""What `MediaScanner` sees in real files, against what ffmpeg finds in the same bytes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import cycle
from pathlib import Path

import pytest
from media_corpus import FULL, QUICK, Recipe, make
from media_oracle import Found, look

from ihproto.media import MediaScanner, SegmentFault, SegmentMedia

TOLERANCE = 0.05
ODD_SIZES = (1, 3, 7, 61, 977, 4093)

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "webm-vp8-opus-33s": ROOT / "examples/recording",
    "webm-vp8-opus": ROOT / "conformance/ihproto_conformance/samples/recording",
    "webm-vp9-opus": ROOT / "tests/recordings/webm-vp9-opus",
    "mp4-vp9-opus": ROOT / "tests/recordings/mp4-vp9-opus",
}
WEBM = [name for name in FOLDERS if name.startswith("webm")]
#: What a container begins with; less of it cannot be told from anything else.
MAGIC = {"webm": 4, "mp4": 8}
#: The cause that a refusal must name, and the cure.
CAUSES = re.compile(r"(is missing|out of order|goes back in time).*send the recorder's chunks in order")
#: A recording without this piece looks like one that was stopped earlier. What is left of the recording after it holds
#: no Cluster, so its blocks have no time of their own: they count from the Cluster before, and fit.
NOT_NOTICED = {("webm-vp8-opus-33s", 10), ("webm-vp8-opus", 4)}
#: How far around a place recordings are cut at every byte.
AROUND = 300


def scan(
    *segments: bytes, scanner: MediaScanner | None = None, sizes: Sequence[int] = ()
) -> Iterator[SegmentMedia | SegmentFault]:
    """The verdicts on segments of one session, each fed in pieces of these sizes, or in one."""
    scanner = MediaScanner() if scanner is None else scanner
    for number, segment in enumerate(segments, scanner.so_far.last_number + 1):
        scanner.begin(number)
        fault, at, steps = None, 0, cycle(sizes or (len(segment) + 1,))
        while fault is None and at < len(segment):
            step = next(steps)
            fault = scanner.feed(segment[at : at + step])
            at += step
        yield scanner.finish() if fault is None else fault


def accepted(*segments: bytes, scanner: MediaScanner | None = None, sizes: Sequence[int] = ()) -> list[SegmentMedia]:
    """What was seen in segments that must all be accepted."""
    seen: list[SegmentMedia] = []
    for verdict in scan(*segments, scanner=scanner, sizes=sizes):
        assert isinstance(verdict, SegmentMedia), verdict.sentence(len(seen) + 1)
        seen.append(verdict)
    return seen


def first_fault(*segments: bytes) -> tuple[int, SegmentFault] | None:
    """The first refusal, and the index of its segment."""
    for index, verdict in enumerate(scan(*segments)):
        if isinstance(verdict, SegmentFault):
            return index, verdict
    return None


def seconds(seen: Sequence[SegmentMedia]) -> float:
    return sum(media.seconds for media in seen)


# --- generated files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [pytest.param(recipe, id=recipe.label, marks=() if recipe in QUICK else pytest.mark.slow) for recipe in FULL],
)
def test_a_generated_file_has_the_span_and_the_tracks_that_ffmpeg_finds(recipe: Recipe) -> None:
    file = make(recipe)
    found = look(file)
    scanner = MediaScanner()
    (verdict,) = scan(file, scanner=scanner, sizes=ODD_SIZES)
    media = scanner.media
    assert media is not None
    assert media.container == recipe.container
    assert media.has_header
    assert media.tracks == found.tracks
    assert " + ".join(track.codec for track in media.tracks) == recipe.codecs
    assert media.start == pytest.approx(found.start, abs=TOLERANCE)
    assert media.end == pytest.approx(found.end, abs=TOLERANCE)
    assert media.duration == pytest.approx(found.end - found.start, abs=TOLERANCE)
    if recipe.video is None:
        assert isinstance(verdict, SegmentFault)
        assert verdict.code == "ih5001"
    else:
        assert verdict == media


def test_the_generated_files_are_the_same_every_time() -> None:
    for recipe in QUICK[::10]:
        assert make(recipe) == make(recipe), recipe.label


def test_the_quick_files_are_of_all_containers_and_there_are_enough_of_them_all() -> None:
    assert {recipe.container for recipe in QUICK} == {"mp4", "mov", "avi", "mkv", "webm", "mpeg-ts", "mpeg-2-ts"}
    assert len({recipe.label for recipe in FULL}) == len(FULL) >= 210


# --- recordings -------------------------------------------------------------------------------------------------------


@cache
def recording(name: str) -> tuple[bytes, ...]:
    """The pieces of a recording, without the empty one that a recorder may give at the end: clients do not send it."""
    pieces = [path.read_bytes() for path in sorted(FOLDERS[name].glob("*.bin"))]
    return tuple(piece for piece in pieces if piece)


@cache
def found_in(name: str) -> Found:
    return look(b"".join(recording(name)))


def before(name: str, index: int) -> MediaScanner:
    """The scanner of a session that has got all pieces before this one."""
    scanner = MediaScanner()
    accepted(*recording(name)[:index], scanner=scanner)
    return scanner


@pytest.mark.parametrize("name", FOLDERS)
def test_every_piece_of_a_recording_is_accepted_with_the_span_that_ffmpeg_finds(name: str) -> None:
    begin = 0
    for piece, media in zip(recording(name), accepted(*recording(name)), strict=True):
        # The first byte of an element does not make it part of a piece: Chromium hands its buffer over after that byte.
        mine = [p for p in found_in(name).packets if begin - 1 <= p.position < begin + len(piece) - 1]
        begin += len(piece)
        if not mine:
            assert media.start is media.end is None
            continue
        assert media.start == pytest.approx(min(packet.start for packet in mine), abs=TOLERANCE)
        assert media.end == pytest.approx(max(packet.end for packet in mine), abs=TOLERANCE)
        assert media.tracks == found_in(name).tracks
    assert begin == sum(map(len, recording(name)))


@pytest.mark.parametrize("name", FOLDERS)
def test_the_pieces_of_a_recording_add_up_to_its_span(name: str) -> None:
    found = found_in(name)
    assert seconds(accepted(*recording(name))) == pytest.approx(found.end - found.start, abs=TOLERANCE)


@pytest.mark.parametrize("name", FOLDERS)
def test_bytes_one_by_one_give_the_same_as_whole_pieces(name: str) -> None:
    assert accepted(*recording(name), sizes=[1]) == accepted(*recording(name))


@pytest.mark.parametrize("name", FOLDERS)
def test_a_session_that_starts_in_the_middle_of_a_recording_is_told_to_begin_at_its_beginning(name: str) -> None:
    pieces = recording(name)
    for first in range(1, len(pieces)):
        fault = first_fault(*pieces[first:])
        assert fault is not None
        assert fault[0] == 0
        assert fault[1].code == "ih5004"
        assert "this session has seen no" in fault[1].what
        assert fault[1].what.endswith("send the recorder's first chunk first")


@pytest.mark.parametrize("name", WEBM)
def test_a_missing_piece_is_noticed_at_the_next_one(name: str) -> None:
    pieces = recording(name)
    for missing in range(1, len(pieces) - 1):
        fault = first_fault(*pieces[:missing], *pieces[missing + 1 :])
        if (name, missing) in NOT_NOTICED:
            assert b"\x1f\x43\xb6\x75" not in pieces[-1]
            assert missing == len(pieces) - 2
            assert fault is None
            continue
        assert fault is not None, missing
        assert fault[0] == missing
        assert fault[1].code == "ih5004"
        assert CAUSES.search(fault[1].what)


@pytest.mark.parametrize("name", FOLDERS)
def test_two_pieces_in_the_wrong_order_are_refused(name: str) -> None:
    pieces = recording(name)
    for first in range(len(pieces) - 1):
        swapped = [*pieces[:first], pieces[first + 1], pieces[first], *pieces[first + 2 :]]
        fault = first_fault(*swapped)
        assert fault is not None
        # Without the piece that is not missed, the last one is taken, and then the missing one is refused.
        assert fault[0] == first + ((name, first) in NOT_NOTICED)
        assert fault[1].code == "ih5004"
        assert CAUSES.search(fault[1].what) or "this session has seen no" in fault[1].what


@pytest.mark.parametrize("name", FOLDERS)
def test_a_piece_that_is_sent_twice_is_refused_and_the_recording_can_go_on(name: str) -> None:
    pieces = recording(name)
    for twice in range(1, len(pieces)):
        verdicts = list(scan(*pieces[: twice + 1], *pieces[twice:]))
        again = verdicts.pop(twice + 1)
        assert isinstance(again, SegmentFault)
        assert again.code == "ih5004"
        assert CAUSES.search(again.what)
        assert verdicts == accepted(*pieces)


# --- cut at every byte ------------------------------------------------------------------------------------------------


def cut_everywhere(scanner: MediaScanner, data: bytes, places: range, expected: float) -> None:
    """Cut what comes next in two at each of these places: it is accepted as before, and as long."""
    for place in places:
        again = accepted(data[:place], data[place:], scanner=copy.deepcopy(scanner))
        assert seconds(again) == pytest.approx(expected, abs=1e-6), place


@pytest.mark.parametrize(
    ("name", "border"),
    [
        pytest.param(name, border, marks=() if border in (1, 2) else pytest.mark.slow)
        for name in WEBM
        for border in range(1, len(recording(name)))
    ],
)
def test_a_recording_can_be_cut_at_every_byte_around_the_border_of_two_pieces(name: str, border: int) -> None:
    scanner = before(name, border - 1)
    one, other = recording(name)[border - 1 : border + 1]
    expected = seconds(accepted(one, other, scanner=copy.deepcopy(scanner)))
    places = range(len(one) - AROUND, min(len(one) + AROUND, len(one + other)) + 1)
    cut_everywhere(scanner, one + other, places, expected)


@pytest.mark.parametrize("name", WEBM)
def test_a_recording_can_be_cut_at_every_byte_around_the_beginning_of_a_cluster(name: str) -> None:
    index = 2
    piece = recording(name)[index]
    start = piece.index(b"\x1f\x43\xb6\x75", AROUND)
    scanner = before(name, index)
    expected = seconds(accepted(piece, scanner=copy.deepcopy(scanner)))
    cut_everywhere(scanner, piece, range(start - AROUND, start + AROUND + 1), expected)


@pytest.mark.parametrize("name", FOLDERS)
def test_the_header_of_a_recording_can_be_cut_at_every_byte(name: str) -> None:
    container = name.partition("-")[0]
    first, second, *_ = recording(name)
    expected = seconds(accepted(first, second))
    # The MP4 recorder's first piece is nothing but header; that of WebM goes on with a Cluster, and is too short then.
    end = len(first) if container == "mp4" else first.index(b"\x1f\x43\xb6\x75") + 4
    for place in range(MAGIC[container], end):
        assert seconds(accepted(first[:place], first[place:], second)) == pytest.approx(expected, abs=1e-6), place
    for place in range(1, MAGIC[container]):
        fault = first_fault(first[:place], first[place:], second)
        assert fault is not None
        assert (fault[0], fault[1].code) == (0, "ih5004")


def test_a_recording_can_be_cut_at_every_byte_around_the_border_of_two_fragments() -> None:
    piece = recording("mp4-vp9-opus")[1]
    scanner = before("mp4-vp9-opus", 1)
    expected = seconds(accepted(piece, scanner=copy.deepcopy(scanner)))
    start = piece.index(b"moof", 2 * AROUND) - 4
    cut_everywhere(scanner, piece, range(start - 2 * AROUND, start + 32), expected)


def test_a_recording_can_be_cut_at_every_byte_of_the_header_of_a_fragment() -> None:
    piece = recording("mp4-vp9-opus")[1]
    scanner = before("mp4-vp9-opus", 1)
    expected = seconds(accepted(piece, scanner=copy.deepcopy(scanner)))
    cut_everywhere(scanner, piece, range(int.from_bytes(piece[:4], "big") + 1), expected)
