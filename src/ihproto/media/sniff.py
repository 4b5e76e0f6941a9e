"""What a file is, by its first bytes.

A container that the service takes is named as the documents name it (SEG-5). Anything else is named in words where it
is recognisable, so that an error can say what was sent instead of "unsupported".
"""

from __future__ import annotations

import re

import attrs

#: The most bytes that a decision needs: five packets of 192 bytes, less four.
SNIFF_SIZE = 4 * 192 + 5

_EBML = b"\x1aE\xdf\xa3"
#: Boxes with which an MP4 or QuickTime file may begin (ISO/IEC 14496-12, section 4.2).
_FILE_BOXES = frozenset({b"ftyp", b"moov", b"wide", b"skip", b"free", b"mdat", b"pnot", b"uuid"})

_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"ID3", "an MP3 file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"GIF87a", "a GIF image"),
    (0, b"GIF89a", "a GIF image"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (0, b"\xff\xd8\xff", "a JPEG image"),
    (0, b"BM", "a BMP image"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file (ASF)"),
    (0, b".RMF", "a RealMedia file"),
    (0, b"\x00\x00\x01\xba", "an MPEG program stream"),
    (0, b"\x00\x00\x01\xb3", "a bare MPEG video stream"),
    (0, b"\x00\x00\x00\x01", "a bare H.264 or H.265 stream, without a container"),
    (0, b"DKIF", "an IVF file"),
    (0, b"YUV4MPEG2 ", "uncompressed YUV4MPEG video"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"caff", "a CAF file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"\x7fELF", "a program (ELF)"),
    (0, b"MZ", "a Windows program"),
)
_RIFF_FORMS = {b"WAVE": "a WAV file", b"WEBP": "a WebP image"}
_BRANDS = {b"avif": "an AVIF image", b"heic": "a HEIC image", b"mif1": "a HEIF image", b"M4A ": "an M4A audio file"}
_MP3_OR_AAC = re.compile(rb"\xff[\xe2-\xff]")


@attrs.frozen
class Sniffed:
    """What the first bytes of a segment are.

    Attributes:
        container: `mp4`, `mov`, `avi`, `mkv`, `webm`, `mpeg-ts` or `mpeg-2-ts`; None for anything else.
        foreign: What it is instead, in words such as `an Ogg file`; None when it is not recognisable.
    """

    container: str | None = None
    foreign: str | None = None


def sniff(head: bytes) -> Sniffed:
    """Tell what a file is.

    Args:
        head: Its first `SNIFF_SIZE` bytes, or all of it if it is shorter.

    Returns:
        What it is, as far as these bytes tell.
    """
    if head.startswith(_EBML):
        return Sniffed(container="webm" if b"webm" in head[:64] else "mkv")
    if head[:4] == b"RIFF":
        form = head[8:12]
        if form == b"AVI ":
            return Sniffed(container="avi")
        return Sniffed(foreign=_RIFF_FORMS.get(form, "a RIFF file that is not AVI"))
    boxes = _sniff_boxes(head)
    if boxes is not None:
        return boxes
    for size, name in ((188, "mpeg-ts"), (192, "mpeg-2-ts")):
        if _has_sync(head, 0 if size == 188 else 4, size):
            return Sniffed(container=name)
    for offset, magic, words in _FOREIGN:
        if head.startswith(magic, offset):
            return Sniffed(foreign=words)
    if _MP3_OR_AAC.match(head):
        return Sniffed(foreign="bare AAC audio (ADTS)" if head[1] & 0xF6 == 0xF0 else "an MP3 file")
    return Sniffed(foreign=_sniff_text(head))


def _sniff_boxes(head: bytes) -> Sniffed | None:
    size, kind = int.from_bytes(head[:4], "big"), head[4:8]
    if kind not in _FILE_BOXES or not (size >= 8 or size in (0, 1)):
        return None
    if kind != b"ftyp":
        # A file of the time before brands; an MP4 has always had one.
        return Sniffed(container="mov")
    brand = head[8:12]
    if brand in _BRANDS:
        return Sniffed(foreign=_BRANDS[brand])
    return Sniffed(container="mov" if brand == b"qt  " else "mp4")


def _has_sync(head: bytes, offset: int, size: int) -> bool:
    """Whether the sync byte stands at the beginning of every packet; one packet alone proves little."""
    marks = head[offset::size]
    return len(head) >= offset + 2 * size and len(marks) >= 2 and marks == b"\x47" * len(marks)


def _sniff_text(head: bytes) -> str | None:
    sample = head[:256]
    if not sample:
        return None
    try:
        # The sample may end in the middle of a character.
        text = sample[:-3].decode() if len(sample) > 8 else sample.decode()
    except UnicodeDecodeError:
        return None
    if not all(character.isprintable() or character in "\r\n\t" for character in text):
        return None
    start = text.lstrip()[:64].lower()
    if start.startswith(("{", "[")):
        return "JSON text"
    if start.startswith(("<!doctype html", "<html")):
        return "an HTML page"
    if start.startswith("data:"):
        return "a data: URL; send the bytes that it stands for"
    if re.fullmatch(r"[A-Za-z0-9+/=\r\n]{40,}", text):
        return "Base64 text; send the bytes that it stands for"
    return "text"
