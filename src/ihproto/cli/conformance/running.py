"""A judgement under way: how far it is shows on stderr, and a signal ends it."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from rich.console import Console
from rich.status import Status as Spinner

from ihproto.cli.outcome import say
from ihproto.cli.output import INTERRUPTED, TERMINATED, plural

T = TypeVar("T")


class Running:
    """Runs one judgement.

    Args:
        total: How many scenarios there are.

    Attributes:
        interrupted: The signal that ended it, None when none did.
    """

    def __init__(self, total: int) -> None:
        self.interrupted: signal.Signals | None = None
        self._total = total
        self._over = 0
        self._now: list[str] = []
        self._spinner: Spinner | None = None

    def run(self, judge: Callable[[], Awaitable[T]]) -> T | None:
        """Judge, unless a signal comes; errors come out as they are.

        Returns:
            What came of it, None after a signal.
        """
        return anyio.run(self._run, judge)

    async def _run(self, judge: Callable[[], Awaitable[T]]) -> T | None:
        judged: T | None = None
        failure: Exception | None = None
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with anyio.create_task_group() as tasks:

                async def watch() -> None:
                    async for number in signals:
                        self.interrupted = number
                        tasks.cancel_scope.cancel()

                tasks.start_soon(watch)
                try:
                    with Console(stderr=True, highlight=False).status("…") as self._spinner:
                        self._show()
                        judged = await judge()
                except Exception as error:
                    # Raised below, so that it does not come out wrapped in a group.
                    failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return judged

    def began(self, scenario: str) -> None:
        """Show that a scenario has begun."""
        self._now.append(scenario)
        self._show()

    def ended(self, scenario: str) -> None:
        """Show that a scenario is over."""
        self._over += 1
        if scenario in self._now:
            self._now.remove(scenario)
        self._show()

    def _show(self) -> None:
        if self._spinner is not None:
            now = f", now {', '.join(self._now)}" if self._now else ""
            self._spinner.update(f"{self._over} of {plural(self._total, 'scenario')} done{now}")

    def give_up(self, command: str) -> int:
        """Say that a signal has ended it, and return the exit code."""
        code = TERMINATED if self.interrupted is signal.SIGTERM else INTERRUPTED
        return say(command, "interrupted; nothing is judged", code)
