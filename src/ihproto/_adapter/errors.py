"""What goes wrong with a connection, as opposed to the protocol."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ihproto.errors import Violation
from ihproto.events import SessionClosed
from ihproto.messages import Error
from ihproto.uploads import UploadJob
from ihproto.wire import HttpError, Redactor, UpgradeFailed, UpgradeRefused


class StreamError(Exception):
    """Base class of what goes wrong with a connection, as opposed to the protocol.

    Args:
        text: What went wrong.
        secrets: Credentials that the text must not repeat, even if the other side did.
    """

    def __init__(self, text: str, secrets: Collection[str] = ()) -> None:
        super().__init__(Redactor(secrets).text(text))


class ConnectError(StreamError):
    """The server could not be reached, or TLS could not be set up."""


class UpgradeError(StreamError):
    """The server did not accept the upgrade (HS-10).

    Args:
        event: What it answered.
        secrets: What the text must not repeat.

    Attributes:
        event: What it answered, in its own words: `UpgradeRefused` with status and error, or `UpgradeFailed`.
    """

    def __init__(self, event: UpgradeRefused | UpgradeFailed, secrets: Collection[str] = ()) -> None:
        super().__init__(_describe(event), secrets)
        self.event = event


class ApiError(StreamError):
    """The server answered a plain HTTP request with an error (ERR-3).

    Args:
        what: What was refused, for example `the upload`.
        status: The HTTP status.
        error: The JSON body, None when it is not of the documented shape.
        correlation_id: The id of the request, None when the server told none (HS-9).
        secrets: What the text must not repeat.

    Attributes:
        status: The HTTP status.
        error: The JSON body, None when it is not of the documented shape.
        correlation_id: The id of the request, None when the server told none.
    """

    def __init__(
        self,
        what: str,
        status: int,
        error: HttpError | None,
        correlation_id: str | None,
        secrets: Collection[str] = (),
    ) -> None:
        super().__init__(_refusal(what, status, error, "is this the address of the service?"), secrets)
        self.status = status
        self.error = error
        self.correlation_id = correlation_id


class JobUnfinished(StreamError):
    """A job was not done in time; it goes on, and can be read for an hour after it was accepted (UPL-2).

    Attributes:
        job: The job as it was read last.
    """

    def __init__(self, job: UploadJob, timeout: float) -> None:
        super().__init__(f"job {job.job_id} is still {job.status} after {timeout:g} s; read it again later (UPL-2)")
        self.job = job


class SessionRefused(StreamError):
    """The upgrade was accepted and the session was not (RDY-3), as for a missing scope (HS-11).

    Args:
        closed: How it was closed.
        violations: What the server did not keep until then.
        secrets: What the text must not repeat.

    Attributes:
        closed: How it was closed.
        error: The error that explains it, None when the server sent none.
        violations: What the server did not keep until then.
    """

    def __init__(
        self, closed: SessionClosed, violations: Sequence[Violation] = (), secrets: Collection[str] = ()
    ) -> None:
        if closed.error is not None:
            why = f"{closed.error.code}: {closed.error.message}"
        elif violations:
            why = str(violations[-1])
        else:
            why = closed.reason or "no reason given"
        super().__init__(f"the session was not established, {why} (close code {closed.code})", secrets)
        self.closed = closed
        self.error: Error | None = closed.error
        self.violations = tuple(violations)


class PeerStalled(StreamError):
    """The peer has not taken our bytes for too long; usually because nobody reads what it sends."""


class ConnectionBroken(StreamError):
    """The connection cannot be used any more, because it is closed or a send was interrupted."""


def _describe(event: UpgradeRefused | UpgradeFailed) -> str:
    if isinstance(event, UpgradeFailed):
        return event.what
    return _refusal("the upgrade", event.status, event.error, "is this the stream endpoint of the service?")


def _refusal(what: str, status: int, error: HttpError | None, doubt: str) -> str:
    text = f"the server refused {what} with HTTP {status}"
    if error is not None and error.error_id is not None:
        return f"{text}, {error.error_id}: {error.message}"
    if error is not None and error.message is not None:
        return f"{text}: {error.message}"
    return f"{text}; {doubt}"
