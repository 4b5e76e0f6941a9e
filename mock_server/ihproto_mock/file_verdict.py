"""UPL-1, UPL-2: whether the media of an uploaded file is accepted, and which documented error says that it is not."""

from __future__ import annotations

import attrs

from ihproto import V1, Model, SegmentFault, SegmentMedia, SegmentPolicy, SessionReady
from ihproto.media import CONTAINERS, judge_tracks
from ihproto.uploads import MAX_FILE_BYTES, MIN_FILE_SECONDS
from ihproto_mock.upload_form import UploadRefused

#: The contract that a file is scanned under. How long a file may be is judged here; what claims more than a week is
#: not judged by its length any more, but as broken.
FILE_CONTRACT: SessionReady = attrs.evolve(
    V1.contract,
    min_segment_duration_seconds=None,
    max_segment_duration_seconds=7 * 24 * 3600,
    max_segment_size_bytes=MAX_FILE_BYTES,
)
#: A recorder's 3 s are a little less (SEG-4); a file is judged as a segment that is a file of its own.
_TOLERANCE = SegmentPolicy().duration_tolerance
#: Errors of segments that over HTTP go by another id.
_OVER_HTTP = {"ih5004": "ih5002", "ih6002": "ih4003"}


def over_http(code: str) -> str:
    """The id under which an error of a segment is known at the upload endpoints, which have no segments."""
    return _OVER_HTTP.get(code, code)


def judge_file(
    outcome: SegmentMedia | SegmentFault, seen: SegmentMedia | None, *, model: Model, max_seconds: float
) -> float:
    """Judge a file by its media.

    Args:
        outcome: What its scanner said at the end.
        seen: What the scanner saw, where it tells that of a file it refuses too.
        model: What is to analyse it.
        max_seconds: The longest that it may be, in seconds.

    Returns:
        How long its media is, in seconds, to the millisecond.

    Raises:
        UploadRefused: If it is not accepted (ih4002, ih4004, ih4007, ih5001, ih5002, ih5008).
    """
    media = outcome if isinstance(outcome, SegmentMedia) else seen
    fault = outcome if isinstance(outcome, SegmentFault) else judge_tracks(outcome, model.tracks)
    if fault is not None:
        raise _refusal(fault, media, model)
    assert media is not None
    if media.seconds < MIN_FILE_SECONDS - _TOLERANCE:
        what = f"the file has {media.seconds:.2f} s of media; the minimum is {MIN_FILE_SECONDS:g} s (UPL-1)"
        raise UploadRefused.of("ih4007", what)
    if media.seconds > max_seconds:
        what = f"the file is {media.seconds:.2f} s long; the maximum is {max_seconds:g} s: send it in parts (UPL-2)"
        raise UploadRefused.of("ih4004", what)
    return round(media.seconds, 3)


def _refusal(fault: SegmentFault, media: SegmentMedia | None, model: Model) -> UploadRefused:
    """Say of a file what the scanner said of a segment; a file has no session, and nothing that it could continue."""
    if fault.clause_id == "SEG-6" and media is not None and media.container is None:
        if media.cut_from is not None:
            what = f"begins inside {media.cut_from}, without the header of its container: send the recording whole"
            return UploadRefused.of("ih5002", f"the file {what}, from the recorder's first chunk on (SEG-6)")
        what = f"does not begin with the header of a container; send one of {', '.join(CONTAINERS)}"
        return UploadRefused.of("ih4002", f"the file {what} (SEG-5)")
    what = fault.what
    if fault.code == "ih4002" and "video" not in model.tracks:
        what += " with an audio track. This server does not look into audio files"
    return UploadRefused.of(over_http(fault.code), f"the file {what} ({fault.clause_id})")
