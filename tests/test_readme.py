"""The examples of the README run as they stand."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from ihproto_mock import MockServer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHUNKS = [path.read_bytes() for path in sorted((ROOT / "examples" / "recording").glob("*.bin"))]


def _example(heading: str) -> dict[str, Any]:
    """Execute the Python example under a heading and return what it defines."""
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    match = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert match is not None
    namespace: dict[str, Any] = {}
    exec(compile(match[1], f"README: {heading}", "exec"), namespace)
    return namespace


def test_the_client_prints_what_was_detected(capsys: pytest.CaptureFixture[str]) -> None:
    watch = _example("A client")["watch"]

    async def body() -> None:
        async with MockServer() as mock:
            await watch(mock.url, mock.key, CHUNKS)

    anyio.run(body)
    assert capsys.readouterr().out.splitlines()[0] == "agreement 1.5"


def test_the_session_in_another_loop_sees_the_session_end(capsys: pytest.CaptureFixture[str]) -> None:
    watch = _example("The session in your own loop")["watch"]
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(MockServer()) as mock:
        watch(mock.url, mock.key, CHUNKS)
    printed = capsys.readouterr().out
    assert "SignalDetected" in printed
    assert "SessionEnded" in printed.splitlines()[-1]


def test_the_server_for_tests_is_started_and_asked() -> None:
    test: Callable[[], Any] = _example("A server for your tests")["test_my_client"]
    assert inspect.iscoroutinefunction(test)
    anyio.run(test)


def test_the_readme_says_that_the_project_is_unofficial() -> None:
    assert re.search(r"^This project is unofficial", README, re.MULTILINE)
