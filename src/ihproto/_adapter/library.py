"""What an async library has to bring for plain HTTP requests, beside the transport of a connection."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from ihproto._adapter.driver import Lock, Transport
from ihproto._adapter.endpoint import Endpoint

T = TypeVar("T")


class Library(Protocol):
    """An async library: its clock, its tasks and threads, and its way to dial."""

    def now(self) -> float:
        """The present moment, in seconds."""
        ...

    def lock(self) -> Lock:
        """A new lock."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    async def together(
        self, first: Callable[[], Coroutine[Any, Any, None]], second: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Run both at the same time until both are over; neither of them raises."""
        ...

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Call something that blocks in a thread, to its end."""
        ...

    async def dial(self, endpoint: Endpoint) -> Transport:
        """Connect to a server; raises `ConnectError` when it cannot be reached."""
        ...
