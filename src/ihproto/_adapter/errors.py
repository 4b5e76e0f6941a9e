"""What goes wrong with a connection, as opposed to the protocol."""

from __future__ import annotations

from collections.abc import Sequence

from ihproto.errors import Violation
from ihproto.events import SessionClosed
from ihproto.messages import Error
from ihproto.wire import UpgradeFailed, UpgradeRefused


class StreamError(Exception):
    """Base class of what goes wrong with a connection, as opposed to the protocol."""


class ConnectError(StreamError):
    """The server could not be reached, or TLS could not be set up."""


class UpgradeError(StreamError):
    """The server did not accept the upgrade (HS-10).

    Attributes:
        event: What it answered: `UpgradeRefused` with status and error, or `UpgradeFailed`.
    """

    def __init__(self, event: UpgradeRefused | UpgradeFailed) -> None:
        super().__init__(_describe(event))
        self.event = event


class SessionRefused(StreamError):
    """The upgrade was accepted and the session was not (RDY-3), as for a missing scope (HS-11).

    Attributes:
        closed: How it was closed.
        error: The error that explains it, None when the server sent none.
        violations: What the server did not keep until then.
    """

    def __init__(self, closed: SessionClosed, violations: Sequence[Violation] = ()) -> None:
        if closed.error is not None:
            why = f"{closed.error.code}: {closed.error.message}"
        elif violations:
            why = str(violations[-1])
        else:
            why = closed.reason or "no reason given"
        super().__init__(f"the session was not established, {why} (close code {closed.code})")
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
    text = f"the server refused the upgrade with HTTP {event.status}"
    if event.error is not None and event.error.error_id is not None:
        text += f", {event.error.error_id}: {event.error.message}"
    elif event.error is not None and event.error.message is not None:
        text += f": {event.error.message}"
    else:
        text += "; is this the stream endpoint of the service?"
    return text
