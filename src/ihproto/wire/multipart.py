"""A file with some fields as `multipart/form-data` (UPL-1), written as browsers do (RFC 7578, WHATWG HTML)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=?-]{1,70}")
_CONTENT_TYPE = re.compile(r"[\x20-\x7e]+")
_LINE_END = re.compile(r"\r\n|\r|\n")


class MultipartForm:
    """What goes before a file and after it; the file itself passes by in pieces.

    Args:
        boundary: What separates the parts; it must not occur in the file, so make it long and random.
        fields: Names and values of the fields, in order; a name may occur several times.
        name: The name of the file's field.
        filename: What the file is called, without its folder.
        content_type: What the file is.
        file_size: How long the file is, in bytes.

    Attributes:
        content_type: The content type of the form.
        head: What goes before the file.
        tail: What goes after it.
        length: How long all of it is, in bytes.

    Raises:
        ValueError: If the boundary is none (RFC 2046, section 5.1.1), or the content type cannot be written.
    """

    def __init__(
        self,
        boundary: str,
        *,
        fields: Sequence[tuple[str, str]],
        name: str,
        filename: str,
        content_type: str,
        file_size: int,
    ) -> None:
        if _BOUNDARY.fullmatch(boundary) is None:
            raise ValueError("a boundary has 1 to 70 characters, of which RFC 2046 allows some")
        if _CONTENT_TYPE.fullmatch(content_type) is None:
            raise ValueError("the content type of the file holds a character that a header cannot carry")
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_name(key)}"\r\n\r\n{_lines(value)}\r\n'
            for key, value in fields
        ]
        parts.append(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{_name(name)}"; filename="{_escape(filename)}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        )
        self.content_type = f"multipart/form-data; boundary={_parameter(boundary)}"
        # A name that the file system could not decode holds surrogates, which UTF-8 has no way to write.
        self.head = "".join(parts).encode(errors="replace")
        self.tail = f"\r\n--{boundary}--\r\n".encode()
        self.length = len(self.head) + file_size + len(self.tail)


def _lines(text: str) -> str:
    return _LINE_END.sub("\r\n", text)


def _name(text: str) -> str:
    return _escape(_lines(text))


def _escape(text: str) -> str:
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def _parameter(boundary: str) -> str:
    """The boundary as a parameter: some of its characters are allowed between quotes only (RFC 2045, section 5.1)."""
    return boundary if re.fullmatch(r"[0-9A-Za-z'+_.-]+", boundary) else f'"{boundary}"'
