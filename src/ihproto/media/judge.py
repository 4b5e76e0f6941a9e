"""SEG-4 to SEG-7: whether a segment is accepted, and what to say if it is not.

The one function here takes what is known of the session's media so far and what was seen in a segment. It looks at no
bytes: finding out what there is to see is the scanners' part (`ihproto.media.stream`).
"""

from __future__ import annotations

import attrs

from ihproto.media.interface import SegmentFault, SegmentMedia
from ihproto.media.scanner import Gap, MediaError, Track
from ihproto.messages import SessionReady

#: Where a contract gives no limit, more seconds than this are no segment but a mistake in its times (assumed).
LONGEST_SEGMENT = 3600.0

#: What the service takes, in the documents' words (SEG-5).
CONTAINERS = ("mp4", "avi", "mov", "mkv", "mpeg-ts", "mpeg-2-ts", "webm")

#: The error for each kind of track that is missing (SEG-7).
_MISSING = {"video": "ih5001", "audio": "ih5008"}

#: No container is recognised by fewer bytes.
_SMALLEST_HEADER = 4

_AS_THEY_ARE = "; send the file, or the recorder's chunks, as they are"
_IN_ORDER = "; send the recorder's chunks in order, each once"
_AS_THEY_COME = "; send the recorder's chunks as they come, without adding a header"


@attrs.frozen
class SegmentPolicy:
    """How strictly segments are judged where the documents leave it open.

    Attributes:
        duration_tolerance: How much shorter than the contract's minimum a segment may be, in seconds (SEG-4).
        strict_duration: Hold continuations of a live recording to the minimum as well (SEG-4).
        max_gap_seconds: How far the media of a continuation may jump ahead; None for any distance. A longer jump
            means that a piece is missing.
        max_overlap_seconds: How far it may go back: tracks are interleaved, so a little is usual.
    """

    duration_tolerance: float = 0.25
    strict_duration: bool = False
    max_gap_seconds: float | None = 1.0
    max_overlap_seconds: float = 0.5


@attrs.frozen
class StreamSoFar:
    """What the session's accepted segments have shown.

    Attributes:
        container: The container of the present stream, None before the first header.
        tracks: Its tracks.
        end: Where its media ends, in seconds of the container's own time; None before the first sample.
        last_number: The number of the last accepted segment, 0 before the first.
    """

    container: str | None = None
    tracks: tuple[Track, ...] = ()
    end: float | None = None
    last_number: int = 0


def judge_segment(
    contract: SessionReady,
    policy: SegmentPolicy,
    so_far: StreamSoFar,
    media: SegmentMedia,
    tracks: tuple[str, ...] = ("video",),
) -> SegmentFault | None:
    """Judge a segment by its media.

    Args:
        contract: The limits of the session.
        policy: How strictly to judge where the documents leave it open.
        so_far: What the accepted segments before it have shown.
        media: What was seen in it.
        tracks: The kinds of tracks that it must have (SEG-7).

    Returns:
        Why it is refused, or None if it is accepted.
    """
    if not media.has_header and so_far.container is None:
        return _judge_start(media)
    if media.broken is not None:
        return _judge_broken(so_far, media, media.broken)
    longest = contract.max_segment_duration_seconds
    longest = longest if longest is not None else min(contract.session_max_duration_seconds, LONGEST_SEGMENT)
    if max(media.duration, media.seconds) > longest:
        what = f"is {max(media.duration, media.seconds):.2f} s long; the maximum is {longest:g} s"
        return SegmentFault("ih5004", "RDY-2", what)
    missing = judge_tracks(media, tracks)
    if missing is not None:
        return missing
    if media.has_header:
        return _judge_duration(contract, policy, media)
    return _judge_continuity(policy, so_far, media) or (
        _judge_duration(contract, policy, media) if policy.strict_duration else None
    )


def _judge_start(media: SegmentMedia) -> SegmentFault:
    """The session has seen no header, and this is none either."""
    if media.cut_from is not None:
        what = (
            f"begins inside {media.cut_from} and this session has seen no header: send the recorder's first chunk first"
        )
        return SegmentFault("ih5004", "SEG-6", what)
    if media.foreign is not None:
        what = f"is {media.foreign}; send one of {', '.join(CONTAINERS)}"
        return SegmentFault("ih4002", "SEG-5", what)
    if 0 < media.size < _SMALLEST_HEADER:
        what = (
            f"has {media.size} bytes, too few for the header of a container; recorders hand on such a piece when their "
            "first picture comes late: send it together with the next piece"
        )
        return SegmentFault("ih5004", "SEG-6", what)
    what = (
        "does not begin with the header of a container and this session has seen none; if it is a later piece of a "
        "recording, send the recorder's first chunk first"
    )
    return SegmentFault("ih5004", "SEG-6", what)


def _judge_broken(so_far: StreamSoFar, media: SegmentMedia, broken: MediaError) -> SegmentFault:
    where = f"at byte {broken.at}, {broken.what}"
    if media.has_header:
        if media.lost is not None:
            return SegmentFault("ih5004", "SEG-6", f"{_prepended(media)}: {where}{_AS_THEY_COME}")
        what = f"is not the {media.container} file that it claims to be: {where}{_AS_THEY_ARE}"
        return SegmentFault("ih5004", "SEG-6", what)
    instead = f" and looks like {media.foreign}" if media.foreign is not None else ""
    what = (
        f"does not continue segment {so_far.last_number}{instead}: a piece is missing, repeated or out of order "
        f"({where}){_IN_ORDER}"
    )
    return SegmentFault("ih5004", "SEG-6", what)


def _prepended(media: SegmentMedia) -> str:
    article = "an" if media.container in ("mp4", "mkv") else "a"
    return f"has the header of {article} {media.container} file in front of a piece from the middle of one"


def judge_tracks(media: SegmentMedia, wanted: tuple[str, ...]) -> SegmentFault | None:
    """Judge that there is a track of each kind that is wanted, as far as the container has told (SEG-7)."""
    if not media.tracks and not media.tracks_known:
        return None
    for kind in wanted:
        if not any(track.kind == kind for track in media.tracks):
            there = ", ".join(f"{track.kind} ({track.codec})" for track in media.tracks)
            only = f", only {there}" if there else ""
            return SegmentFault(_MISSING[kind], "SEG-7", f"has no {kind} track{only}; record {kind} as well")
    return None


def _judge_continuity(policy: SegmentPolicy, so_far: StreamSoFar, media: SegmentMedia) -> SegmentFault | None:
    if media.start is None or so_far.end is None:
        return None
    if media.start < so_far.end - policy.max_overlap_seconds:
        what = (
            f"goes back in time: it begins at {media.start:.2f} s, and segment {so_far.last_number} ended at "
            f"{so_far.end:.2f} s{_IN_ORDER}"
        )
        return SegmentFault("ih5004", "SEG-6", what)
    gap = media.gap if media.gap is not None else Gap(so_far.end, media.start, 0)
    if policy.max_gap_seconds is not None and gap.seconds > policy.max_gap_seconds:
        where = f"at byte {gap.at}, " if media.gap is not None else ""
        what = (
            f"leaves a gap of {gap.seconds:.2f} s: {where}its media goes on at {gap.end:.2f} s, and what was before "
            f"ended at {gap.start:.2f} s; a piece in between is missing{_IN_ORDER}"
        )
        return SegmentFault("ih5004", "SEG-6", what)
    return None


def _judge_duration(contract: SessionReady, policy: SegmentPolicy, media: SegmentMedia) -> SegmentFault | None:
    shortest = contract.min_segment_duration_seconds
    without_media = media.start is None and media.lost is None
    if shortest is None or without_media or media.duration >= shortest - policy.duration_tolerance:
        return None
    what = f"is {media.duration:.2f} s long; the session's minimum is {shortest:g} s"
    if media.lost is not None:
        start, end = media.lost
        what += f". It {_prepended(media)}, so bytes {start} to {end} cannot be decoded{_AS_THEY_COME}"
    return SegmentFault("ih4007", "SEG-4", what)
