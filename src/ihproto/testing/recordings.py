"""Strategies for what a client sends in binary messages: recordings, and the pieces that segments come in."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from hypothesis import strategies as st

from ihproto.testing.webm import webm_chunks

#: Lengths that make every kind of window and period end somewhere, in seconds.
_SECONDS = st.sampled_from([3.0, 3.6, 6.0, 9.0])


def segment_pieces(data: bytes, *, max_pieces: int = 4) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Ways to cut a segment into pieces, as they come from a socket.

    No piece is empty, unless the segment is; they shrink towards one.

    Args:
        data: The segment.
        max_pieces: The most pieces.
    """
    if len(data) < 2 or max_pieces < 2:
        return st.just((data,))
    offsets = st.lists(st.integers(1, len(data) - 1), unique=True, max_size=max_pieces - 1)
    return offsets.map(lambda cuts: tuple(data[left:right] for left, right in pairwise([0, *sorted(cuts), len(data)])))


def recordings(
    *,
    tracks: tuple[str, ...] = ("video", "audio"),
    min_chunks: int = 1,
    max_chunks: int = 4,
    min_size: int = 0,
) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Recordings in chunks, each of which is a segment that a server accepts (SEG-4, SEG-5, SEG-6, SEG-7).

    They are WebM and can be decoded; see `ihproto.testing.webm`.

    Args:
        tracks: `video`, `audio`, or both (SEG-7).
        min_chunks: The fewest chunks.
        max_chunks: The most chunks; each lasts from 3 to 9 seconds.
        min_size: The smallest size of a chunk, in bytes (SEG-3).
    """
    lengths = st.lists(_SECONDS, min_size=min_chunks, max_size=max_chunks).map(tuple)
    return lengths.map(lambda seconds: _chunks(seconds, tracks, min_size))


#: While an example shrinks, the same recording is made again and again.
@lru_cache
def _chunks(seconds: tuple[float, ...], tracks: tuple[str, ...], min_size: int) -> tuple[bytes, ...]:
    return webm_chunks(seconds, tracks=tracks, min_size=min_size)
