"""UPL-1, UPL-2: the form of an upload, read while it arrives.

The bytes of the file go straight into a scanner and are not kept; of the other fields those that mean something are
kept, up to a bound. Whatever makes the form useless is raised as `UploadRefused` as soon as it shows.
"""

from __future__ import annotations

import logging
import re

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ihproto import ERROR_CODES, SegmentFault, SegmentMedia, SegmentScanner
from ihproto.uploads import MAX_FILE_BYTES, MIN_FILE_BYTES
from ihproto.wire import HttpError

# What is wrong with a form is told to its sender; without a handler the parser would tell it on stderr as well.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())

#: The fields that are kept, beside the file.
FIELDS = frozenset({"include[]", "model", "wait_seconds", "goal_dimensions[]", "conversation_context"})
#: The most that is kept of them, in bytes, names included.
MAX_FIELD_BYTES = 64 * 1024
#: What one field counts at least, in bytes: empty ones are kept too.
_FIELD_COST = 64
#: The most that a form may hold beside the file, in bytes: headers, delimiters, and fields that nobody reads.
MAX_OTHER_BYTES = 1024 * 1024
#: The longest that the headers of one part may be, in bytes.
MAX_HEADER_BYTES = 4096
#: The longest boundary (RFC 2046, section 5.1.1).
_MAX_BOUNDARY = 70

_SEND = "send multipart/form-data with the video as the file part 'file'"


class UploadRefused(Exception):
    """A request that an upload endpoint refuses.

    Attributes:
        status: The HTTP status.
        error: The body of the answer (ERR-3).
    """

    def __init__(self, status: int, error: HttpError) -> None:
        super().__init__(f"{status} {error.error_id or ''}: {error.message}")
        self.status = status
        self.error = error

    @classmethod
    def of(cls, error_id: str, message: str | None = None) -> UploadRefused:
        """Refuse with a documented error, under the status that the catalogue gives it.

        Args:
            error_id: Its id; one of those that HTTP knows.
            message: What to tell a person; None for the meaning in the catalogue.

        Raises:
            ValueError: If HTTP does not know it.
        """
        status = ERROR_CODES[error_id].http_status
        if status is None:
            raise ValueError(f"{error_id} is no error of HTTP")
        return cls(status, HttpError.of(error_id, message=message))


class _UselessError(Exception):
    """The scanner has seen enough: nothing that still comes can make the file acceptable."""


class UploadForm:
    """Reads one form, piece by piece.

    A file of less than `MIN_FILE_BYTES` is refused as ih4007. The documents give that limit no error of its own; the
    published client shows a message only together with an id, and of the documented ones with status 400 this is the
    one that says that there is too little.

    Args:
        content_type: The header of that name, None when there was none.
        scanner: Looks into the file, as its segment 1.
        max_file_bytes: The largest file, in bytes.

    Attributes:
        file_bytes: How much of the file has come, in bytes.
        useless: Whether the file cannot become acceptable any more, so that nothing else has to be read.

    Raises:
        UploadRefused: If the body is no form (415), or says no usable boundary (400).
    """

    def __init__(
        self, content_type: str | None, scanner: SegmentScanner, *, max_file_bytes: int = MAX_FILE_BYTES
    ) -> None:
        self.file_bytes = 0
        self.useless = False
        self._scanner = scanner
        self._max_file_bytes = max_file_bytes
        self._parser = MultipartParser(
            _boundary(content_type),
            {
                "on_part_begin": self._begin_part,
                "on_header_field": self._add_header_name,
                "on_header_value": self._add_header_value,
                "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data,
                "on_part_end": self._end_part,
                "on_end": self._end,
            },
        )
        self._received = 0
        self._kept = 0
        self._fields: dict[str, list[str]] = {}
        self._fault: SegmentFault | None = None
        self._has_file = self._ended = False
        self._begin_part()

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            UploadRefused: If it breaks the form (400), or makes the file (ih4003) or anything else (413) too large.
        """
        self._received += len(data)
        if not self.useless:
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise _broken(str(error)) from None
            except _UselessError:
                self.useless = True
        if self._received - self.file_bytes > MAX_OTHER_BYTES and not self.useless:
            what = f"the form holds more than {MAX_OTHER_BYTES:,} bytes beside the file; send less (UPL-1)"
            raise UploadRefused(413, HttpError(message=what))

    def finish(self) -> SegmentMedia | SegmentFault:
        """Finish the form.

        Returns:
            What the scanner says about the file.

        Raises:
            UploadRefused: If the form is cut short (400), or the file is missing (ih4001) or too small (ih4007).
        """
        if not self._ended and not self.useless:
            raise _broken("it ends before its closing boundary")
        if not self._has_file or not self.file_bytes:
            why = "the part 'file' is empty" if self._has_file else "the form has no part 'file'"
            raise UploadRefused.of("ih4001", f"{why}; send the video in it (UPL-1)")
        if self.file_bytes < MIN_FILE_BYTES:
            what = f"the file has {self.file_bytes:,} bytes; the minimum is {MIN_FILE_BYTES:,} (UPL-1)"
            raise UploadRefused.of("ih4007", what)
        return self._fault if self._fault is not None else self._scanner.finish()

    def values(self, name: str) -> tuple[str, ...]:
        """The values of a field, in the order in which they came."""
        return tuple(self._fields.get(name, ()))

    # -- what the parser sees -----------------------------------------------------------------------

    def _begin_part(self) -> None:
        self._header_bytes = 0
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._disposition = b""
        self._in_file = False
        self._field: tuple[str, bytearray] | None = None

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._add_header(self._header_name, data, start, end)

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._add_header(self._header_value, data, start, end)

    def _add_header(self, held: bytearray, data: bytes, start: int, end: int) -> None:
        self._header_bytes += end - start
        if self._header_bytes > MAX_HEADER_BYTES:
            raise _broken(f"the headers of a part are longer than {MAX_HEADER_BYTES} bytes")
        held += data[start:end]

    def _end_header(self) -> None:
        if b"\n" in self._header_value or b"\0" in self._header_value:
            raise _broken("a header of a part holds a control character")
        if self._header_name.lower() == b"content-disposition":
            self._disposition = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _end_headers(self) -> None:
        kind, options = parse_options_header(self._disposition)
        if kind.lower() != b"form-data" or b"name" not in options:
            raise _broken("a part has no Content-Disposition with a name")
        name = options[b"name"].decode(errors="replace")
        if name == "file":
            self._begin_file(b"filename" in options)
        elif name in FIELDS:
            self._count_field(_FIELD_COST + len(name))
            self._field = (name, bytearray())

    def _begin_file(self, has_filename: bool) -> None:
        if not has_filename:
            what = "the part 'file' has no filename, so it is a text; with curl, write --form file=@<path> (UPL-1)"
            raise UploadRefused.of("ih4001", what)
        if self._has_file:
            what = "the form has more than one part 'file'; send one video in a request (UPL-1)"
            raise UploadRefused(400, HttpError(message=what))
        self._has_file = self._in_file = True
        self._scanner.begin(1)

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._feed_scanner(data[start:end])
        elif self._field is not None:
            self._count_field(end - start)
            self._field[1].extend(data[start:end])

    def _end_part(self) -> None:
        if self._field is not None:
            name, value = self._field
            try:
                self._fields.setdefault(name, []).append(value.decode())
            except UnicodeDecodeError:
                raise _broken(f"the field {name!r} is not UTF-8") from None
        self._in_file, self._field = False, None

    def _end(self) -> None:
        self._ended = True

    def _feed_scanner(self, data: bytes) -> None:
        """Let the scanner see what is within the limit; its objection waits until the file is known to be no stub."""
        room = self._max_file_bytes - self.file_bytes
        self.file_bytes += len(data)
        if self._fault is None:
            self._fault = self._scanner.feed(data[:room])
        if self._fault is not None and self.file_bytes >= MIN_FILE_BYTES:
            raise _UselessError
        if len(data) > room:
            raise _too_large(self._max_file_bytes)

    def _count_field(self, size: int) -> None:
        self._kept += size
        if self._kept > MAX_FIELD_BYTES:
            what = f"the fields beside the file are longer than {MAX_FIELD_BYTES:,} bytes; send less (UPL-1)"
            raise UploadRefused(413, HttpError(message=what))


def judge_length(content_length: int | None, max_file_bytes: int = MAX_FILE_BYTES) -> None:
    """Refuse a body that says beforehand that the file in it is too large.

    Args:
        content_length: What the request announces, in bytes; None when it does not.
        max_file_bytes: The largest file, in bytes.

    Raises:
        UploadRefused: If no form of this size could be accepted (ih4003).
    """
    if content_length is not None and content_length > max_file_bytes + MAX_OTHER_BYTES:
        raise _too_large(max_file_bytes)


def _too_large(max_file_bytes: int) -> UploadRefused:
    return UploadRefused.of("ih4003", f"the file is larger than {max_file_bytes:,} bytes; send a shorter one (UPL-1)")


def _broken(what: str) -> UploadRefused:
    return UploadRefused(400, HttpError(message=f"the form is broken: {what}; {_SEND} (UPL-1)"))


def _boundary(content_type: str | None) -> bytes:
    # Of a header that is not ASCII nothing can be used: neither type nor boundary may hold anything else.
    kind, options = parse_options_header(content_type if content_type is not None and content_type.isascii() else "")
    if kind.lower() != b"multipart/form-data":
        got = "another Content-Type" if content_type else "no Content-Type"
        raise UploadRefused(415, HttpError(message=f"the request has {got}; {_SEND} (UPL-1)"))
    boundary = options.get(b"boundary", b"")
    if not re.fullmatch(rb"[ -~]{1,%d}" % _MAX_BOUNDARY, boundary):
        what = f"its Content-Type has no boundary of 1 to {_MAX_BOUNDARY} characters; let the HTTP library write it"
        raise UploadRefused(400, HttpError(message=f"the form is broken: {what} (UPL-1)"))
    return boundary
