"""What is raised, and what is reported.

Two families, named as in h11: `LocalProtocolError` means that the caller asked this library for something the
protocol does not allow; `RemoteProtocolError` means that the peer did. Either one carries a `Violation`: which clause
of the catalogue, in which state, at which place of the message, what was found and what would cure it. A lenient
session reports the same `Violation` in an event instead of raising it.
"""

from __future__ import annotations

import enum

import attrs

from ihproto.clauses import Clause, Level


class Side(enum.Enum):
    """The two ends of a session."""

    CLIENT = "client"
    SERVER = "server"


@attrs.frozen
class Finding:
    """What a rule found, before anybody says whose session it was.

    Attributes:
        clause: The clause that was not kept.
        what: What was found, and what cures it, as a sentence without a full stop.
        path: The place, as a JSON path (`$.data.start`), or None when the whole message is meant.
    """

    clause: Clause
    what: str
    path: str | None = None


@attrs.frozen
class Violation:
    """One clause not kept by one side, with all that is needed to act on it.

    Attributes:
        clause: The clause that was not kept; `clause.level` tells how much it weighs.
        side: Who did not keep it.
        state: The state of the session in which it happened, by its name in the automaton.
        what: What was found, and what cures it.
        path: The place, as a JSON path (`$.data.start`), or None when the whole message is meant.
    """

    clause: Clause
    side: Side
    state: str
    what: str
    path: str | None = None

    @property
    def level(self) -> Level:
        """The level of the clause."""
        return self.clause.level

    def __str__(self) -> str:
        place = f" at {self.path}" if self.path else ""
        return f"{self.clause.id}: {self.what}{place} ({self.side.value}, state {self.state})"


class ProtocolError(Exception):
    """Base class of everything this library raises about the protocol.

    Attributes:
        violation: The clause that was not kept, and where.
    """

    def __init__(self, violation: Violation) -> None:
        super().__init__(str(violation))
        self.violation = violation


class LocalProtocolError(ProtocolError):
    """The caller asked for something that the protocol does not allow; nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The peer did something that the protocol does not allow."""


class MalformedMessage(Exception):
    """Text that is not the message it should be.

    Raised by the codec, which knows neither session nor side; a session turns it into a `Violation`.

    Attributes:
        finding: The clause, what was found, and the JSON path.
        type: The `type` of the envelope, None where that could not be read.
    """

    def __init__(self, finding: Finding, type_: str | None = None) -> None:
        place = f" at {finding.path}" if finding.path else ""
        super().__init__(f"{finding.clause.id}: {finding.what}{place}")
        self.finding = finding
        self.type = type_
