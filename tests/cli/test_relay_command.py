"""`ihproto conformance relay`, run as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builders import CORRELATION_ID, detected, ready, signal_ended
from commands import RunningMock, ihproto
from websockets.sync.server import ServerConnection, serve

KEY = "ih_live_mock"


class RunningRelay:
    """`ihproto conformance relay` in a process of its own, once it has printed where it listens."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ihproto", "conformance", "relay", "--listen", "127.0.0.1:0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.greeting = self.process.stdout.readline()
        assert self.greeting.startswith("relaying ws://"), self.process.communicate()
        self.url = self.greeting.split()[1]
        assert self.url in self.process.stdout.readline()

    def ended(self) -> tuple[int, str, str]:
        """Wait until it has ended: exit code, stdout from the third line on, stderr."""
        stdout, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stdout, stderr


@pytest.fixture
def start_relay() -> Iterator[Callable[..., RunningRelay]]:
    running: list[RunningRelay] = []

    def start(*words: str) -> RunningRelay:
        running.append(RunningRelay(*words))
        return running[-1]

    yield start
    for relay in running:
        if relay.process.poll() is None:
            relay.process.kill()
            relay.process.communicate()


def answer_wrongly(connection: ServerConnection) -> None:
    """A server that ends a signal which was never detected."""
    connection.send(ready())
    connection.send(detected("stress"))
    connection.send(signal_ended("interest"))
    for _ in connection:
        return


@pytest.fixture
def broken_server() -> Iterator[str]:
    def add_correlation_id(connection: object, request: object, response: object) -> None:
        response.headers["X-Correlation-ID"] = CORRELATION_ID  # type: ignore[attr-defined]

    with serve(answer_wrongly, "127.0.0.1", 0, process_response=add_correlation_id) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def test_a_session_that_keeps_the_rules_is_reported_and_traced(
    mock: RunningMock, pieces: list[str], tmp_path: Path, start_relay: Callable[..., RunningRelay]
) -> None:
    report = tmp_path / "report.json"
    relay = start_relay(mock.url, "--sessions", "1", "--trace", str(tmp_path), "--report-json", str(report))
    sent = ihproto("stream", relay.url, *pieces[:4], "--key", KEY, "--pace", "fast", "--strict")
    assert (sent.returncode, sent.stderr) == (0, "")
    code, stdout, stderr = relay.ended()
    assert (code, stderr) == (0, "")
    lines = stdout.splitlines()
    assert lines[0] == "session 1 begins: /v1/stream/analyze, judged by v1"
    assert lines[1] == "session 1 is over: nothing was found"
    assert json.loads(report.read_text())
    trace = tmp_path / "session-1.jsonl"
    assert KEY not in trace.read_text() + stdout + report.read_text()
    again = ihproto("conformance", "trace", str(trace))
    assert (again.returncode, again.stderr) == (0, "")


def test_what_a_server_breaks_is_named_live_and_the_exit_code_is_1(
    broken_server: str, pieces: list[str], start_relay: Callable[..., RunningRelay], tmp_path: Path
) -> None:
    relay = start_relay(broken_server, "--trace", str(tmp_path))
    client = subprocess.Popen(
        [sys.executable, "-m", "ihproto", "stream", relay.url, *pieces[:1], "--key", KEY, "--pace", "fast"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert relay.process.stdout is not None
    assert relay.process.stdout.readline().startswith("session 1 begins")
    named = relay.process.stdout.readline()
    client.wait(timeout=30)
    assert named.startswith("session 1, 0.")
    assert "the server broke SIG-5 (must)" in named
    assert "interest" in named
    relay.process.send_signal(signal.SIGINT)
    code, stdout, _ = relay.ended()
    assert code == 1
    assert "SIG-5.observed" in stdout
    again = ihproto("conformance", "trace", str(tmp_path / "session-1.jsonl"), "--subject", "server")
    assert again.returncode == 1
    assert "SIG-5.observed" in again.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_relay_to_which_nobody_came_could_not_judge(
    start_relay: Callable[..., RunningRelay], number: signal.Signals
) -> None:
    relay = start_relay("ws://127.0.0.1:1?api_key=ih_live_hidden")
    relay.process.send_signal(number)
    code, stdout, stderr = relay.ended()
    assert (code, stderr) == (2, "")
    assert "no client came" in stdout
    assert "ih_live_hidden" not in relay.greeting + stdout


def test_a_server_that_accepts_nobody_could_not_be_judged(
    mock: RunningMock, pieces: list[str], start_relay: Callable[..., RunningRelay]
) -> None:
    relay = start_relay(mock.url, "--sessions", "1")
    sent = ihproto("stream", relay.url, pieces[0], "--key", "ih_live_wrong")
    assert "HTTP 401, ih2001" in sent.stderr
    code, stdout, _ = relay.ended()
    assert code == 2
    assert "accepted no session" in stdout
    assert "ih_live_wrong" not in stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ws://example.com"], "HS-1"),
        (["nonsense"], "HS-1"),
        (["ws://localhost", "--listen", "8766"], "not HOST:PORT"),
        (["ws://localhost", "--listen", "127.0.0.1:99999"], "not HOST:PORT"),
        (["ws://localhost", "--listen", "192.0.2.1:8766"], "cannot listen"),
        (["ws://localhost", "--trace", "/nowhere"], "/nowhere"),
        (["ws://localhost", "--report-json", "/nowhere/report.json"], "no folder /nowhere"),
    ],
)
def test_a_command_that_cannot_work_says_why_and_exits_with_2(words: list[str], said: str) -> None:
    result = ihproto("conformance", "relay", *words)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_an_ipv6_address_can_be_listened_on(start_relay: Callable[..., RunningRelay]) -> None:
    relay = start_relay("ws://127.0.0.1:1", "--listen", "[::1]:0")
    assert relay.url.startswith("ws://[::1]:")
