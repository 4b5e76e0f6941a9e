"""What the mock server tells about its work: one entry for each thing that happened."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import attrs

Value: TypeAlias = str | int | float | None


@attrs.frozen
class LogEntry:
    """Something that happened on a connection; never holds a credential.

    Attributes:
        connection: The correlation id of the connection (HS-9).
        event: What happened, in a few words.
        refused: Whether something was refused.
        fields: Details, by name.
    """

    connection: str
    event: str
    refused: bool = False
    fields: dict[str, Value] = attrs.field(factory=dict)


class Say(Protocol):
    """Tells what happened on one connection."""

    def __call__(self, event: str, *, refused: bool = False, **fields: Value) -> None:
        """Make an entry of it."""
        ...
