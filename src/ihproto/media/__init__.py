"""The media of segments: what it is, how long it is, and whether it is accepted.

`MediaScanner` looks at the segments of one session, piece by piece, and judges them: `sniff` tells the container by
the first bytes, a scanner for each container (`matroska`, `isobmff`, `mpegts`, `avi`, on the base in `scanner`) finds
tracks and times, `stream` keeps what continues what, and `judge` decides. `NominalScanner` does not look: it takes the
owner's word for the length of a segment.
"""

from ihproto.media.interface import ExpectedMedia, NominalScanner, SegmentFault, SegmentMedia, SegmentScanner
from ihproto.media.judge import CONTAINERS, SegmentPolicy, StreamSoFar, judge_segment, judge_tracks
from ihproto.media.scanner import MediaError, Track
from ihproto.media.sniff import SNIFF_SIZE, Sniffed, sniff
from ihproto.media.stream import MediaScanner

__all__ = [
    "CONTAINERS",
    "SNIFF_SIZE",
    "ExpectedMedia",
    "MediaError",
    "MediaScanner",
    "NominalScanner",
    "SegmentFault",
    "SegmentMedia",
    "SegmentPolicy",
    "SegmentScanner",
    "Sniffed",
    "StreamSoFar",
    "Track",
    "judge_segment",
    "judge_tracks",
    "sniff",
]
