from __future__ import annotations

from typing import Any

import attrs
import pytest

from ihproto import V0, V0_2, V1, V1_WINDOW
from ihproto.media import (
    CONTAINERS,
    MediaError,
    SegmentFault,
    SegmentMedia,
    SegmentPolicy,
    StreamSoFar,
    Track,
    judge_segment,
)
from ihproto.media.scanner import Gap

VIDEO = Track("video", "vp8")
AUDIO = Track("audio", "opus")
BOTH = (VIDEO, AUDIO)
FRESH = StreamSoFar()
#: A session whose third segment ended at 9 s.
ON = StreamSoFar("webm", BOTH, 9.0, 3)
#: A session that has seen a header and no media yet.
HEADER_ONLY = StreamSoFar("mp4", BOTH, None, 1)


def file(start: float | None = 0.0, end: float | None = 3.0, **more: Any) -> SegmentMedia:
    """A segment with a header of its own."""
    return _media(start, end, has_header=True, **more)


def piece(start: float | None = 9.0, end: float | None = 12.0, **more: Any) -> SegmentMedia:
    """A segment without one."""
    return _media(start, end, has_header=False, **more)


def _media(start: float | None, end: float | None, **more: Any) -> SegmentMedia:
    seconds = end - start if start is not None and end is not None else 0.0
    return SegmentMedia(seconds, **{"container": "webm", "tracks": BOTH, "start": start, "end": end, **more})


def judge(so_far: StreamSoFar, media: SegmentMedia, *, minimum: float | None = 3, **policy: Any) -> SegmentFault | None:
    contract = attrs.evolve(V1.contract, min_segment_duration_seconds=minimum)
    return judge_segment(contract, SegmentPolicy(**policy), so_far, media)


def unknown(**what: Any) -> SegmentMedia:
    return SegmentMedia(0.0, 5000, **what)


ACCEPTED: dict[str, tuple[StreamSoFar, SegmentMedia]] = {
    "a whole file to begin with": (FRESH, file()),
    "a header without media": (FRESH, file(None, None)),
    "a header of which the tracks are not known yet": (FRESH, file(None, None, tracks=())),
    "video alone": (FRESH, file(tracks=(VIDEO,))),
    "video of a codec that is not known": (FRESH, file(tracks=(AUDIO, Track("video", "unknown")))),
    "a file of exactly the minimum": (FRESH, file(2.0, 5.0)),
    "a recorder's first piece, which lacks a frame": (FRESH, file(0.0, 2.89)),
    "a continuation": (ON, piece()),
    "a short last piece": (ON, piece(9.0, 9.24)),
    "a piece without any sample": (ON, piece(None, None)),
    "the first media after the header": (HEADER_ONLY, piece(0.0, 0.5)),
    "the first media after the header, wherever it begins": (HEADER_ONLY, piece(100.0, 103.0)),
    "a piece that begins a little before the end": (ON, piece(8.9, 12.0)),
    "a piece with a short gap": (ON, piece(9.0, 12.0, gap=Gap(10.0, 10.5, 77))),
    "a second file": (ON, file(0.0, 3.0)),
    "a second file of another container": (ON, file(0.0, 3.0, container="mp4")),
    "a second file that begins much later": (ON, file(1000.0, 1003.0)),
    "a later piece behind a header, as far as it can be used": (FRESH, file(20.0, 23.0, lost=(188, 5000))),
    "a piece that looks like a text by chance": (ON, piece(foreign="text")),
}


@pytest.mark.parametrize(("so_far", "media"), ACCEPTED.values(), ids=ACCEPTED)
def test_these_segments_are_accepted(so_far: StreamSoFar, media: SegmentMedia) -> None:
    assert judge(so_far, media) is None


BROKEN = MediaError("a Cluster must come here, found bytes de ad", 4711)

REFUSED: dict[str, tuple[StreamSoFar, SegmentMedia, str, str, tuple[str, ...]]] = {
    "a piece cut out of Matroska to begin with": (
        FRESH,
        unknown(cut_from="a Matroska Cluster"),
        "ih5004",
        "SEG-6",
        ("segment 4 begins inside a Matroska Cluster", "no header", "send the recorder's first chunk first"),
    ),
    "a piece cut out of MP4 to begin with": (
        FRESH,
        unknown(cut_from="a fragment of a live MP4"),
        "ih5004",
        "SEG-6",
        ("begins inside a fragment of a live MP4", "no header", "send the recorder's first chunk first"),
    ),
    "a piece that looks like something else by chance": (
        FRESH,
        unknown(cut_from="a Matroska Cluster", foreign="a BMP image"),
        "ih5004",
        "SEG-6",
        ("begins inside a Matroska Cluster", "send the recorder's first chunk first"),
    ),
    "another file to begin with": (
        FRESH,
        unknown(foreign="an Ogg file"),
        "ih4002",
        "SEG-5",
        ("segment 4 is an Ogg file; send", "mp4, avi, mov, mkv, mpeg-ts, mpeg-2-ts, webm"),
    ),
    "nothing recognisable to begin with": (
        FRESH,
        unknown(),
        "ih5004",
        "SEG-6",
        ("segment 4 does not begin with the header of a container", "send the recorder's first chunk first"),
    ),
    "a file that breaks": (
        FRESH,
        file(0.0, 1.0, broken=BROKEN),
        "ih5004",
        "SEG-6",
        ("not the webm file that it claims to be", "at byte 4711", "a Cluster must come here, found bytes de ad"),
    ),
    "a second file that breaks": (
        ON,
        file(0.0, 1.0, container="avi", broken=BROKEN),
        "ih5004",
        "SEG-6",
        ("not the avi file that it claims to be", "at byte 4711", "found bytes de ad"),
    ),
    "a header in front of a later piece in which nothing begins": (
        FRESH,
        file(None, None, broken=BROKEN, lost=(188, 6000)),
        "ih5004",
        "SEG-6",
        ("header of a webm file in front of a piece from the middle", "at byte 4711", "without adding a header"),
    ),
    "a piece that does not fit": (
        ON,
        piece(None, None, broken=BROKEN),
        "ih5004",
        "SEG-6",
        (
            "segment 4 does not continue segment 3:",
            "at byte 4711",
            "found bytes de ad",
            "missing, repeated or out of order",
            "send the recorder's chunks in order",
        ),
    ),
    "another file instead of a piece": (
        ON,
        piece(None, None, broken=BROKEN, foreign="an Ogg file"),
        "ih5004",
        "SEG-6",
        ("does not continue segment 3", "looks like an Ogg file", "at byte 4711"),
    ),
    "audio alone": (
        FRESH,
        file(tracks=(AUDIO,)),
        "ih5001",
        "SEG-7",
        ("segment 4 has no video track", "audio (opus)", "record video"),
    ),
    "two tracks of audio": (
        FRESH,
        file(tracks=(AUDIO, Track("audio", "aac"))),
        "ih5001",
        "SEG-7",
        ("no video track", "audio (opus), audio (aac)"),
    ),
    "audio alone that is too short as well": (FRESH, file(0.0, 1.0, tracks=(AUDIO,)), "ih5001", "SEG-7", ()),
    "audio alone that goes on": (ON, piece(tracks=(AUDIO,)), "ih5001", "SEG-7", ("no video track",)),
    "a file that is too short": (
        FRESH,
        file(1.0, 3.31),
        "ih4007",
        "SEG-4",
        ("segment 4 is 2.31 s long", "minimum is 3 s"),
    ),
    "a second file that is too short": (ON, file(0.0, 0.5), "ih4007", "SEG-4", ("is 0.50 s long", "minimum is 3 s")),
    "too little behind what a header in the wrong place cost": (
        FRESH,
        file(20.0, 21.5, lost=(188, 5041)),
        "ih4007",
        "SEG-4",
        (
            "is 1.50 s long",
            "minimum is 3 s",
            "header of a webm file in front of a piece from the middle",
            "bytes 188 to 5041",
            "as they come, without adding a header",
        ),
    ),
    "a piece that was sent before": (
        ON,
        piece(6.0, 9.0),
        "ih5004",
        "SEG-6",
        ("goes back in time", "begins at 6.00 s", "segment 3 ended at 9.00 s", "in order, each once"),
    ),
    "a piece after one that is missing": (
        ON,
        piece(12.0, 15.0),
        "ih5004",
        "SEG-6",
        ("gap of 3.00 s: its media goes on", "12.00 s", "9.00 s", "missing"),
    ),
    "a piece that steps over one that is missing": (
        ON,
        piece(9.0, 15.0, gap=Gap(9.2, 12.25, 1234)),
        "ih5004",
        "SEG-6",
        ("gap of 3.05 s", "at byte 1234", "goes on at 12.25 s", "ended at 9.20 s", "missing"),
    ),
}


@pytest.mark.parametrize(("so_far", "media", "code", "clause_id", "words"), REFUSED.values(), ids=REFUSED)
def test_these_segments_are_refused_with_code_clause_cause_and_cure(
    so_far: StreamSoFar, media: SegmentMedia, code: str, clause_id: str, words: tuple[str, ...]
) -> None:
    fault = judge(so_far, media)
    assert fault is not None
    assert (fault.code, fault.clause_id) == (code, clause_id)
    sentence = fault.sentence(4)
    assert sentence.startswith("segment 4 ")
    for word in words:
        assert word in sentence


@pytest.mark.parametrize(("so_far", "media"), [case[:2] for case in REFUSED.values()], ids=REFUSED)
def test_a_refusal_is_one_line_that_ends_without_a_full_stop(so_far: StreamSoFar, media: SegmentMedia) -> None:
    # A session puts the clause in parentheses behind it.
    fault = judge(so_far, media)
    assert fault is not None
    assert fault.what.isprintable()
    assert not fault.what.endswith((".", " "))
    assert "None" not in fault.what


def test_a_segment_that_is_too_short_is_told_how_long_it_is_and_how_long_it_must_be() -> None:
    fault = judge(FRESH, file(0.0, 2.31))
    assert fault is not None
    assert fault.sentence(4) == "segment 4 is 2.31 s long; the session's minimum is 3 s"


def test_a_session_that_begins_in_the_middle_is_told_to_send_the_first_chunk_first() -> None:
    fault = judge(FRESH, unknown(cut_from="a Matroska Cluster"))
    assert fault is not None
    assert fault.sentence(1) == (
        "segment 1 begins inside a Matroska Cluster and this session has seen no header: "
        "send the recorder's first chunk first"
    )


def test_every_container_that_is_taken_is_offered_to_who_sends_another() -> None:
    fault = judge(FRESH, unknown(foreign="a GIF image"))
    assert fault is not None
    assert set(CONTAINERS) == set(fault.what.partition("send one of ")[2].split(", "))


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_the_article_before_a_container_is_right(container: str) -> None:
    fault = judge(FRESH, file(None, None, container=container, broken=BROKEN, lost=(188, 6000)))
    assert fault is not None
    assert f"the header of an {container} file" in fault.what


# --- duration (SEG-4) -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "policy", "accepted"),
    [
        (3.0, {}, True),
        (2.75, {}, True),
        (2.7499, {}, False),
        (2.75, {"duration_tolerance": 0.0}, False),
        (3.0, {"duration_tolerance": 0.0}, True),
        (2.0, {"duration_tolerance": 1.0}, True),
        (0.04, {"duration_tolerance": 3.0}, True),
    ],
)
def test_a_file_may_be_shorter_than_the_minimum_by_the_tolerance(
    seconds: float, policy: dict[str, float], accepted: bool
) -> None:
    fault = judge(FRESH, file(0.0, seconds), **policy)
    assert (fault is None) is accepted
    assert fault is None or (fault.code, fault.clause_id) == ("ih4007", "SEG-4")


@pytest.mark.parametrize(
    ("minimum", "words"), [(3, "is 3 s"), (0.5, "is 0.5 s"), (10.0, "is 10 s"), (2.25, "is 2.25 s")]
)
def test_the_minimum_is_the_contracts(minimum: float, words: str) -> None:
    fault = judge(FRESH, file(0.0, 0.2), minimum=minimum)
    assert fault is not None
    assert words in fault.what
    assert judge(FRESH, file(0.0, minimum), minimum=minimum) is None


def test_without_a_minimum_any_length_will_do() -> None:
    assert judge(FRESH, file(0.0, 0.001), minimum=None) is None
    assert judge(ON, piece(9.0, 9.001), minimum=None, strict_duration=True) is None


def test_a_continuation_is_held_to_the_minimum_only_under_the_strict_option() -> None:
    short = piece(9.0, 9.24)
    assert judge(ON, short) is None
    fault = judge(ON, short, strict_duration=True)
    assert fault is not None
    assert fault.code == "ih4007"
    assert fault.sentence(4) == "segment 4 is 0.24 s long; the session's minimum is 3 s"


def test_the_strict_option_has_the_same_tolerance() -> None:
    assert judge(ON, piece(9.0, 11.75), strict_duration=True) is None
    assert judge(ON, piece(9.0, 11.74), strict_duration=True) is not None


def test_no_media_at_all_is_no_short_media() -> None:
    assert judge(ON, piece(None, None), strict_duration=True) is None


def test_under_the_strict_option_a_missing_piece_is_told_before_a_short_one() -> None:
    fault = judge(ON, piece(20.0, 20.1), strict_duration=True)
    assert fault is not None
    assert fault.code == "ih5004"


def test_a_later_piece_behind_a_header_of_which_nothing_can_be_used_is_refused() -> None:
    fault = judge(FRESH, file(None, None, lost=(188, 50_000)))
    assert fault is not None
    assert "bytes 188 to 50000" in fault.what


# --- continuity (SEG-6) ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "policy", "accepted"),
    [
        (10.0, {}, True),
        (10.01, {}, False),
        (9.5, {"max_gap_seconds": 0.25}, False),
        (9.25, {"max_gap_seconds": 0.25}, True),
        (9.0, {"max_gap_seconds": 0.0}, True),
        (3600.0, {"max_gap_seconds": None}, True),
        (8.5, {}, True),
        (8.49, {}, False),
        (8.49, {"max_overlap_seconds": 1.0}, True),
        (8.99, {"max_overlap_seconds": 0.0}, False),
        (8.49, {"max_gap_seconds": None}, False),
    ],
)
def test_how_far_a_continuation_may_jump_is_a_matter_of_policy(
    start: float, policy: dict[str, float | None], accepted: bool
) -> None:
    fault = judge(ON, piece(start, start + 3), **policy)
    assert (fault is None) is accepted
    assert fault is None or (fault.code, fault.clause_id) == ("ih5004", "SEG-6")


def test_any_gap_will_do_where_the_policy_says_so() -> None:
    assert judge(ON, piece(9.0, 30.0, gap=Gap(9.2, 29.0, 40)), max_gap_seconds=None) is None


def test_a_gap_inside_a_file_of_its_own_is_nobody_elses_matter() -> None:
    assert judge(FRESH, file(0.0, 30.0, gap=Gap(1.0, 29.0, 40))) is None


def test_the_defaults_are_those_that_the_documents_assume() -> None:
    # SEG-4: a tolerance of 0.25 s, and continuations only under a strict option.
    assert SegmentPolicy().duration_tolerance == 0.25
    assert SegmentPolicy().strict_duration is False


def test_judging_does_not_change_what_is_known() -> None:
    so_far = attrs.evolve(ON)
    judge(so_far, piece(20.0, 23.0))
    judge(so_far, piece())
    assert so_far == ON


@pytest.mark.parametrize(("seconds", "longest", "accepted"), [(10, 10, True), (10.01, 10, False), (3601, None, False)])
def test_a_segment_may_not_be_longer_than_the_contract_or_the_session(
    seconds: float, longest: float | None, accepted: bool
) -> None:
    contract = attrs.evolve(V1.contract, max_segment_duration_seconds=longest)
    fault = judge_segment(contract, SegmentPolicy(), FRESH, file(0.0, seconds))
    assert (fault is None) is accepted
    if fault is not None:
        assert (fault.code, fault.clause_id) == ("ih5004", "RDY-2")
        assert fault.sentence(2) == f"segment 2 is {seconds:.2f} s long; the maximum is {longest or 3600:g} s"


def test_a_continuation_may_not_leap_further_than_a_session_lasts() -> None:
    leap = attrs.evolve(piece(5000.0, 5003.0), seconds=4993.0)
    fault = judge(ON, leap, max_gap_seconds=None)
    assert fault is not None
    assert (fault.code, fault.clause_id) == ("ih5004", "RDY-2")
    assert "4993.00 s" in fault.what


# --- which tracks there must be (SEG-7, CFG-8) ------------------------------------------------------------------------

SEES_AND_HEARS = ("video", "audio")
HEARS = ("audio",)


@pytest.mark.parametrize(
    ("wanted", "tracks", "code"),
    [
        (("video",), (VIDEO,), None),
        (("video",), (AUDIO,), "ih5001"),
        (SEES_AND_HEARS, BOTH, None),
        (SEES_AND_HEARS, (AUDIO, VIDEO, AUDIO), None),
        (SEES_AND_HEARS, (VIDEO,), "ih5008"),
        (SEES_AND_HEARS, (AUDIO,), "ih5001"),
        (HEARS, (AUDIO,), None),
        (HEARS, BOTH, None),
        (HEARS, (VIDEO,), "ih5008"),
        ((), (), None),
    ],
)
@pytest.mark.parametrize("so_far", [FRESH, ON], ids=["to begin with", "later"])
def test_the_tracks_that_a_model_needs_must_be_there(
    so_far: StreamSoFar, wanted: tuple[str, ...], tracks: tuple[Track, ...], code: str | None
) -> None:
    media = (piece if so_far is ON else file)(tracks=tracks, tracks_known=True)
    fault = judge_segment(V1.contract, SegmentPolicy(), so_far, media, wanted)
    assert (fault.code, fault.clause_id) == (code, "SEG-7") if fault else code is None


def test_who_sends_no_sound_is_told_what_there_is_and_what_to_record() -> None:
    fault = judge_segment(V1.contract, SegmentPolicy(), FRESH, file(tracks=(VIDEO,)), SEES_AND_HEARS)
    assert fault is not None
    assert fault.sentence(4) == "segment 4 has no audio track, only video (vp8); record audio as well"


def test_of_two_tracks_that_are_missing_the_picture_is_told() -> None:
    nothing = file(tracks=(), tracks_known=True)
    fault = judge_segment(V1.contract, SegmentPolicy(), FRESH, nothing, SEES_AND_HEARS)
    assert fault is not None
    assert (fault.code, fault.sentence(1)) == ("ih5001", "segment 1 has no video track; record video as well")


def test_sound_is_not_missed_before_the_tracks_are_known() -> None:
    assert judge_segment(V1.contract, SegmentPolicy(), FRESH, file(None, None, tracks=()), SEES_AND_HEARS) is None


def test_a_segment_of_many_hours_is_a_mistake_where_the_contract_has_no_limit() -> None:
    for revision in (V0, V0_2, V1_WINDOW):
        fault = judge_segment(revision.contract, SegmentPolicy(), StreamSoFar(), file(0.0, 3_000_000.0))
        assert fault is not None
        assert (fault.code, fault.clause_id) == ("ih5004", "RDY-2")
        assert "the maximum is 3600 s" in fault.what
