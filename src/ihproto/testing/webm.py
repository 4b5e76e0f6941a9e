"""Small recordings of any length, as a browser's recorder would make them, written without ffmpeg.

A recording is WebM: a gray picture of 16 by 16 pixels in VP8, and silence in Opus. It is cut into chunks, of which the
first begins with the header and the others continue it (SEG-6). One second takes about 500 bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

#: How long one picture and one packet of sound last, in milliseconds; every chunk lasts a multiple of it.
TICK_MS = 120

_TICKS_IN_CLUSTER = 25
_UNKNOWN_SIZE = b"\x01" + b"\xff" * 7
#: A key frame of VP8: 16 by 16 pixels, all of them gray.
_PICTURE = bytes.fromhex("1002009d012a100010000047088585888584880202000619680000")
#: Six Opus frames of 20 ms each, in mono, without anything in them.
_SILENCE = b"\xfb\x06"
_OPUS_HEAD = b"OpusHead\x01\x01\x00\x00\x80\xbb\x00\x00\x00\x00\x00"
#: The number of each track, and the type that Matroska gives it.
_TRACKS = {"video": 1, "audio": 2}


def webm_chunks(
    seconds: Iterable[float], *, tracks: Collection[str] = ("video", "audio"), min_size: int = 0
) -> tuple[bytes, ...]:
    """Make a recording and cut it into chunks.

    Args:
        seconds: How long each chunk lasts, in seconds; rounded to multiples of 0.12 s.
        tracks: `video`, `audio`, or both (SEG-7).
        min_size: The smallest size of a chunk, in bytes (SEG-3); smaller ones are filled up.

    Returns:
        The chunks; the first alone is a complete file.

    Raises:
        ValueError: If there is no such track, or none at all, or a chunk would be empty.
    """
    wanted = [name for name in _TRACKS if name in tracks]
    if not wanted or len(wanted) != len(set(tracks)):
        raise ValueError(f"a recording has the tracks video, audio, or both, not {', '.join(tracks) or 'none'}")
    chunks: list[bytes] = []
    tick = 0
    for length in seconds:
        ticks = round(length * 1000 / TICK_MS)
        if ticks < 1:
            raise ValueError(f"a chunk of {length} s would be empty; the shortest has {TICK_MS / 1000} s")
        header = _header(wanted) if not chunks else b""
        chunk = header + _clusters(tick, ticks, wanted)
        # An element with its size takes 9 bytes before the first byte of what fills it.
        chunks.append(chunk if len(chunk) >= min_size else chunk + _void(max(0, min_size - len(chunk) - 9)))
        tick += ticks
    return tuple(chunks)


def _element(id_: str, content: bytes) -> bytes:
    return bytes.fromhex(id_) + (len(content) | 1 << 28).to_bytes(4, "big") + content


def _number(id_: str, value: int) -> bytes:
    return _element(id_, value.to_bytes(4, "big"))


def _void(size: int) -> bytes:
    return b"\xec" + (size | 1 << 56).to_bytes(8, "big") + bytes(size)


def _header(tracks: Collection[str]) -> bytes:
    ebml = _element(
        "1A45DFA3",
        _number("4286", 1)  # EBMLVersion
        + _number("42F7", 1)  # EBMLReadVersion
        + _number("42F2", 4)  # EBMLMaxIDLength
        + _number("42F3", 8)  # EBMLMaxSizeLength
        + _element("4282", b"webm")  # DocType
        + _number("4287", 4)  # DocTypeVersion
        + _number("4285", 2),  # DocTypeReadVersion
    )
    info = _number("2AD7B1", 1_000_000) + _element("4D80", b"ihproto") + _element("5741", b"ihproto")
    entries = b"".join(_element("AE", _entry(name)) for name in tracks)
    segment = bytes.fromhex("18538067") + _UNKNOWN_SIZE
    return ebml + segment + _element("1549A966", info) + _element("1654AE6B", entries)


def _entry(name: str) -> bytes:
    number = _TRACKS[name]
    common = _number("D7", number) + _number("73C5", number) + _number("83", number)
    common += _number("9C", 0)  # FlagLacing
    common += _number("23E383", TICK_MS * 1_000_000)  # DefaultDuration
    if name == "video":
        size = _number("B0", 16) + _number("BA", 16)  # PixelWidth, PixelHeight
        return common + _element("86", b"V_VP8") + _element("E0", size)
    sound = _element("B5", bytes.fromhex("473b8000")) + _number("9F", 1)  # SamplingFrequency 48000.0, Channels
    return common + _element("86", b"A_OPUS") + _element("63A2", _OPUS_HEAD) + _element("E1", sound)


def _clusters(first: int, ticks: int, tracks: Collection[str]) -> bytes:
    """Clusters from one tick on, each as long as its times allow and no longer than the chunk."""
    written = []
    for start in range(first, first + ticks, _TICKS_IN_CLUSTER):
        count = min(_TICKS_IN_CLUSTER, first + ticks - start)
        blocks = b"".join(_block(name, index * TICK_MS) for index in range(count) for name in tracks)
        written.append(_element("1F43B675", _element("E7", (start * TICK_MS).to_bytes(8, "big")) + blocks))
    return b"".join(written)


def _block(name: str, time: int) -> bytes:
    key_frame = b"\x80"
    frame = _PICTURE if name == "video" else _SILENCE
    return _element("A3", bytes([0x80 | _TRACKS[name]]) + time.to_bytes(2, "big") + key_frame + frame)
