from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import RunningMock

RECORDING = sorted((Path(__file__).parents[2] / "examples" / "recording").glob("*.bin"))


@pytest.fixture
def start_mock() -> Iterator[Callable[..., RunningMock]]:
    running: list[RunningMock] = []

    def start(*words: str) -> RunningMock:
        running.append(RunningMock(words))
        return running[-1]

    yield start
    for mock in running:
        mock.stop()


@pytest.fixture
def mock(start_mock: Callable[..., RunningMock]) -> RunningMock:
    return start_mock()


@pytest.fixture
def pieces() -> list[str]:
    return [str(path) for path in RECORDING]
