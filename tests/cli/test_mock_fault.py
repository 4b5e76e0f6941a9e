from __future__ import annotations

import signal
from collections.abc import Callable

import anyio
import httpx
import pytest
from commands import RunningMock, ihproto

from ihproto import SessionClosed, Violated
from ihproto.anyio import connect
from ihproto_conformance.faults import FAULTS


def test_the_fault_shows_to_whoever_connects(start_mock: Callable[..., RunningMock]) -> None:
    mock = start_mock("--fault", "RDY-1.twice")

    async def body() -> list[str]:
        async with connect(mock.url, "ih_live_mock") as stream:
            async for event in stream:
                if isinstance(event, Violated):
                    return [event.violation.clause.id]
        return []

    assert anyio.run(body) == ["RDY-1"]
    code, log = mock.stop(signal.SIGTERM)
    assert code == 0
    assert "wrong on purpose, RDY-1.twice in v1: Says session.ready twice" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_as_it_ends_the_other(start_mock: Callable[..., RunningMock], number: int) -> None:
    mock = start_mock("--fault", "SIG-1.repeated")

    async def body() -> int:
        async with connect(mock.url, "ih_live_mock") as stream:
            mock.process.send_signal(number)
            closed = [event async for event in stream][-1]
            assert isinstance(closed, SessionClosed)
            return closed.code

    assert anyio.run(body) == 1001
    code, log = mock.ended()
    assert code == 0
    assert "Traceback" not in log


def test_the_other_options_count_as_well(start_mock: Callable[..., RunningMock]) -> None:
    mock = start_mock("--fault", "SIG-8.modality")
    assert mock.url.endswith("/v2/stream/analyze")
    other = start_mock("--fault", "SIG-1.repeated", "--key", "one", "--key-pair", "two", "ih_secret_two")
    body = {"key_id": "two", "key_secret": "ih_secret_two", "scopes": ["interhumanai.stream"]}
    token = httpx.post(f"{other.base_url}/v1/auth", json=body).json()["access_token"]

    async def connects() -> None:
        for credential in ("one", token):
            async with connect(other.url, credential):
                pass

    anyio.run(connects)


def test_the_faults_can_be_listed() -> None:
    listed = ihproto("mock", "--list-faults")
    assert (listed.returncode, listed.stderr) == (0, "")
    lines = listed.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(FAULTS)
    (line,) = [line for line in lines if line.startswith("SIG-1.repeated")]
    assert line.split(maxsplit=2)[1:] == ["must", "Detects a signal twice"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--fault", "SIG-1.repeted"], "the nearest are SIG-1.repeated"),
        (["--fault", "SIG-1.repeated", "--pin", "v1-window"], "share the path"),
        (["--fault", "SIG-1.repeated", "--scenario", "nowhere"], "bundled scenario"),
    ],
)
def test_wrong_usage_is_said_in_words(words: list[str], complaint: str) -> None:
    result = ihproto("mock", "--port", "0", *words)
    assert (result.returncode, result.stdout) == (2, "")
    assert complaint in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
