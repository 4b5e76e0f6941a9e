"""Runs on a clock that jumps whenever everybody waits: seconds and hours cost nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from trio.testing import MockClock

T = TypeVar("T")
_DAY = 24 * 3600


def run_virtually(body: Callable[[], Awaitable[T]]) -> T:
    """Run to the end; what hangs fails after a day of the clock."""

    async def main() -> T:
        with anyio.fail_after(_DAY):
            return await body()

    return anyio.run(main, backend="trio", backend_options={"clock": MockClock(autojump_threshold=0)})
