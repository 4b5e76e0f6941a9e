"""The error ids that the service documents, as data.

An error reaches a client in one of two ways, under the same id. Over HTTP, which includes an
upgrade request that is refused, it is a response with `ErrorCode.http_status` and a JSON body of
error id, correlation id, link and message (ERR-3). Inside a session it is an ``error`` envelope
whose ``code`` is the id (ERR-1), and most of these leave the session open; one with a
`ErrorCode.close_code` is the last thing said before the connection closes with that code (ERR-2).
An id may have both, either or neither, such as one that only ever appears in a failed job.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import attrs

__all__ = ["ERROR_CODES", "ErrorCode"]

_LINK_BASE: Final = "https://docs.interhuman.ai/api-reference/error-handling"


@attrs.frozen
class ErrorCode:
    """One documented error id.

    Raises:
        ValueError: On an id, slug, status or close code that cannot be one.
        TypeError: On a field of the wrong type.
    """

    id: str = attrs.field(validator=attrs.validators.matches_re(r"ih[1-9][0-9]{3}"))
    """The id, as in ``ih6002``."""

    slug: str = attrs.field(validator=attrs.validators.matches_re(r"[a-z]+(-[a-z]+)*"))
    """Short title in kebab case, the tail of the link.

    Only that of ih6002 is documented; the others are chosen here in the same manner, so a peer's
    link is never judged by them.
    """

    meaning: str = attrs.field(validator=attrs.validators.matches_re(r"[^\n]*[^\n.]"))
    """What went wrong, as a phrase without a full stop."""

    http_status: int | None = attrs.field(validator=attrs.validators.optional(attrs.validators.in_(range(400, 600))))
    """Status of the HTTP response that carries it, or None if none does."""

    close_code: int | None = attrs.field(validator=attrs.validators.optional(attrs.validators.in_(range(1000, 5000))))
    """WebSocket close code that follows it in a session, or None if the session goes on."""

    @property
    def fatal(self) -> bool:
        """Whether the session ends with it (ERR-2)."""
        return self.close_code is not None

    @property
    def link(self) -> str:
        """Address of its description, as sent in errors (ERR-3)."""
        return f"{_LINK_BASE}#{self.id}-{self.slug}"


def _by_id(codes: Iterable[ErrorCode]) -> Mapping[str, ErrorCode]:
    table: dict[str, ErrorCode] = {}
    for code in codes:
        if code.id in table:
            raise ValueError(f"error id {code.id} is used twice")
        table[code.id] = code
    return MappingProxyType(table)


# The close codes 1011 and 1001, and 1008 for ih2014, are not documented for these errors: they are what
# RFC 6455 §7.4.1 offers for a server that failed, for one that is leaving, and for a breach of its policy.
ERROR_CODES: Final[Mapping[str, ErrorCode]] = _by_id(
    (
        ErrorCode("ih1001", "internal-error", "the server failed internally", 500, 1011),
        ErrorCode("ih1002", "too-many-jobs", "this instance has as many jobs as it can hold", 503, None),
        ErrorCode(
            "ih1003",
            "backend-unavailable",
            "no analysis backend, or no job store, can be reached",
            503,
            1013,
        ),
        ErrorCode("ih1004", "job-interrupted", "a job was interrupted before it finished", None, None),
        ErrorCode("ih2001", "invalid-credential", "the credential is not valid", 401, None),
        ErrorCode("ih2002", "missing-credential", "no credential was given", 401, None),
        ErrorCode("ih2003", "missing-scope", "the credential does not have the needed scope", 403, 4003),
        ErrorCode(
            "ih2005",
            "missing-key-secret",
            "the body of an authentication request has no `key_secret`",
            400,
            None,
        ),
        ErrorCode("ih2010", "client-token-expired", "the client token has expired", 401, None),
        ErrorCode("ih2011", "client-token-invalid", "the client token is not valid", 401, None),
        ErrorCode("ih2014", "client-token-revoked", "the client token was revoked", 401, 1008),
        ErrorCode("ih3001", "rate-limit-exceeded", "too many requests in a given time", 429, None),
        ErrorCode("ih3002", "concurrency-limit-exceeded", "too many requests at the same time", 429, None),
        ErrorCode("ih3003", "usage-quota-exceeded", "the usage quota is used up", 429, None),
        ErrorCode(
            "ih3006",
            "client-token-video-budget-exceeded",
            "the video budget of the client token is used up",
            429,
            None,
        ),
        ErrorCode("ih4001", "missing-file", "the request has no file in it", 400, None),
        ErrorCode("ih4002", "unsupported-container", "the media container is not supported", 400, None),
        ErrorCode("ih4003", "file-too-large", "the file is larger than 32 MB", 413, None),
        ErrorCode("ih4004", "file-too-long", "the file lasts too long", 400, None),
        ErrorCode(
            "ih4005",
            "invalid-parameter",
            "the value of `model` or `wait_seconds` is not valid",
            400,
            1008,
        ),
        ErrorCode("ih4007", "video-too-short", "the video lasts less than 3 seconds", 400, None),
        ErrorCode("ih4021", "unknown-job", "the job never existed or has expired", 404, None),
        ErrorCode("ih5001", "no-video", "the media has no video track", 422, None),
        ErrorCode("ih5002", "corrupted-video", "the video is corrupted", 422, None),
        ErrorCode("ih5004", "malformed-segment", "the segment is not media that can be read", None, None),
        ErrorCode("ih5008", "no-audio", "the media has no audio track", 422, None),
        ErrorCode("ih6001", "invalid-session-config", "the session config is not valid", None, None),
        ErrorCode("ih6002", "message-too-large", "the segment is too large", None, None),
        ErrorCode("ih6003", "idle-timeout", "the client sent nothing for too long", None, 1001),
        ErrorCode("ih6004", "session-too-long", "the session reached its maximum duration", None, 1001),
    )
)
"""Every documented error by its id, in ascending order."""
