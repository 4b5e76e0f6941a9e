"""HS-10 and ERR-3: the JSON body of an HTTP error."""

from __future__ import annotations

import attrs
import msgspec

from ihproto.errorcodes import ERROR_CODES


@attrs.frozen
class HttpError:
    """An error as the HTTP side of the service says it (ERR-3).

    Attributes:
        error_id: The error id, for example `ih2001`; None when the documents have none for it.
        correlation_id: The id of the request.
        link: Where the documentation explains it.
        message: What went wrong, for a person.
    """

    error_id: str | None = None
    correlation_id: str | None = None
    link: str | None = None
    message: str | None = None

    @classmethod
    def of(cls, error_id: str, *, message: str | None = None) -> HttpError:
        """Make the error that the catalogue describes under this id."""
        known = ERROR_CODES[error_id]
        return cls(error_id, link=known.link, message=message if message is not None else known.meaning)

    def encode(self) -> bytes:
        """The JSON body."""
        fields = ("error_id", "correlation_id", "link", "message")
        return msgspec.json.encode({name: getattr(self, name) for name in fields})


_decoder = msgspec.json.Decoder(HttpError)


def decode_http_error(body: bytes) -> HttpError | None:
    """Read the body of an HTTP error, or None if it is not of this kind."""
    try:
        error = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return error if error != HttpError() else None
