"""Small recordings for clients that have no camera: WebM files of a picture and a sound a second (RFC 9559)."""

from __future__ import annotations

_UNKNOWN_SIZE = b"\x01\xff\xff\xff\xff\xff\xff\xff"
_MILLISECOND = 1_000_000
_SECOND = 1_000_000_000


def _number(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _element(id_: int, content: bytes) -> bytes:
    size = len(content) | 1 << 28
    return _number(id_) + size.to_bytes(4, "big") + content


def header(*, video: bool = True, audio: bool = True) -> bytes:
    """The beginning of a recording, up to its first media."""
    tracks = b""
    if video:
        tracks += _track(1, 1, b"V_VP8", _element(0x23E383, _number(_SECOND)))
    if audio:
        tracks += _track(2, 2, b"A_OPUS", b"")
    return (
        _element(0x1A45DFA3, _element(0x4282, b"webm"))
        + _number(0x18538067)
        + _UNKNOWN_SIZE
        + _element(0x1549A966, _element(0x2AD7B1, _number(_MILLISECOND)))
        + _element(0x1654AE6B, tracks)
    )


def _track(number: int, kind: int, codec: bytes, more: bytes) -> bytes:
    return _element(
        0xAE, _element(0xD7, bytes([number])) + _element(0x83, bytes([kind])) + _element(0x86, codec) + more
    )


def cluster(seconds: int, *, start: int = 0, video: bool = True, audio: bool = True) -> bytes:
    """So many seconds of media, from a second of the recording on; it is no file without a header before it."""
    content = _element(0xE7, _number(start * 1000))
    for second in range(seconds):
        at = (second * 1000).to_bytes(2, "big")
        if video:
            content += _element(0xA3, b"\x81" + at + b"\x80" + b"\x10\x02\x00\x9d\x01\x2a\x40\x00\x30\x00")
        if audio:
            content += _element(0xA3, b"\x82" + at + b"\x80" + b"\xf8\xff\xfe")
    if audio and not video:
        content += _element(0xA3, b"\x82" + (seconds * 1000).to_bytes(2, "big") + b"\x80" + b"\xf8\xff\xfe")
    return _element(0x1F43B675, content)


def recording(seconds: int = 3, *, size: int = 0, video: bool = True, audio: bool = True) -> bytes:
    """A whole file.

    Args:
        seconds: How long it lasts, in seconds.
        size: How large it is at least, in bytes; an element that means nothing fills it up.
        video: Whether there is a picture.
        audio: Whether there is sound.
    """
    data = header(video=video, audio=audio) + cluster(seconds, video=video, audio=audio)
    missing = size - len(data)
    return data + _element(0xEC, bytes(max(0, missing - 5))) if missing > 0 else data
