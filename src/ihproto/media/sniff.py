"""What a file is, by its first bytes.

A container that the service takes is named as the documents name it (SEG-5). Anything else is named in words where it
is recognisable, so that an error can say what was sent instead of "unsupported".
"""

from __future__ import annotations

import codecs
import re

import attrs

#: The most bytes that a decision needs: five packets of 192 bytes, less four.
SNIFF_SIZE = 4 * 192 + 5

_EBML = b"\x1aE\xdf\xa3"
#: Boxes with which an MP4 or QuickTime file may begin (ISO/IEC 14496-12, section 4.2).
_FILE_BOXES = frozenset({b"ftyp", b"moov", b"wide", b"skip", b"free", b"mdat", b"pnot", b"uuid"})

_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
    (b"FLV\x01", "a Flash video"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x1f\x8b", "a gzip file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"%PDF-", "a PDF document"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a Windows Media file (ASF)"),
    (b".RMF", "a RealMedia file"),
    (b"\x00\x00\x01\xba", "an MPEG program stream"),
    (b"\x00\x00\x01\xb3", "a bare MPEG video stream"),
    (b"\x00\x00\x00\x01", "a bare H.264 or H.265 stream, without a container"),
    (b"DKIF", "an IVF file"),
    (b"YUV4MPEG2 ", "uncompressed YUV4MPEG video"),
    (b"#!AMR", "an AMR file"),
    (b"\x7fELF", "a program (ELF)"),
)
_FOREIGN_LETTERS = (
    (b"ID3", "an MP3 file"),
    (b"BM", "a BMP image"),
    (b"caff", "a CAF file"),
    (b"MZ", "a Windows program"),
)
_RIFF_FORMS = {b"WAVE": "a WAV file", b"WEBP": "a WebP image"}
_BRANDS = {b"avif": "an AVIF image", b"heic": "a HEIC image", b"mif1": "a HEIF image", b"M4A ": "an M4A audio file"}
#: A bracket, and what may follow it (RFC 8259).
_JSON = re.compile(r"\{\s*(\"|\}|$)|\[\s*([\[{\"\]\-0-9]|true|false|null|$)")
#: The byte order marks of UTF-16; text in UTF-8 is told by its characters.
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


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
    head = head[:SNIFF_SIZE]
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
    for magic, words in _FOREIGN:
        if head.startswith(magic):
            return Sniffed(foreign=words)
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return Sniffed(foreign="an AIFF file")
    text = _sniff_text(head)
    if text is None:
        # Letters only: a text may begin with them too.
        text = next((words for magic, words in _FOREIGN_LETTERS if head.startswith(magic)), None)
    return Sniffed(foreign=text if text is not None else _sniff_audio(head))


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


def _sniff_audio(head: bytes) -> str | None:
    """Tell bare AAC and MPEG audio by the header of their first frame (ISO/IEC 13818-7, 6.2; 11172-3, 2.4.2.3)."""
    if len(head) < 4 or head[0] != 0xFF:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "bare AAC audio (ADTS)"
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bit_rate, frequency = head[2] >> 4, head[2] >> 2 & 3
    if head[1] & 0xE0 != 0xE0 or version == 1 or layer == 0 or bit_rate == 15 or frequency == 3:
        return None
    return "an MP3 file"


def _has_sync(head: bytes, offset: int, size: int) -> bool:
    """Whether the sync byte stands at the beginning of every packet; one packet alone proves little."""
    marks = head[offset::size]
    return len(head) >= 2 * size and marks == b"\x47" * len(marks)


def _sniff_text(head: bytes) -> str | None:
    sample = head[:256]
    if not sample:
        return None
    if sample[:2] in _UTF_16:
        return "text in UTF-16"
    try:
        # Incrementally, since the sample may end in the middle of a character.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(sample)
    except UnicodeDecodeError:
        return None
    if not text or not all(character.isprintable() or character in "\r\n\t" for character in text):
        return None
    start = text.lstrip()[:64].lower()
    if start.startswith("[object "):
        return "what a program prints for an object; send the bytes of the Blob or buffer"
    if _JSON.match(start):
        return "JSON text"
    if start.startswith(("<!doctype html", "<html")):
        return "an HTML page"
    if start.startswith("data:"):
        return "a data: URL; send the bytes that it stands for"
    if re.fullmatch(r"[A-Za-z0-9+/=\r\n]{40,}", text):
        return "Base64 text; send the bytes that it stands for"
    return "text"
