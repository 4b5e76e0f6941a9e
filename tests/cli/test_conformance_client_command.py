"""`ihproto conformance client`, run as a user runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ihproto

#: A client that starts a process of its own; both hold the pipe, whose end tells that both are gone.
LINGERS = """
import os, subprocess, sys, time
pipe = os.open(sys.argv[1], os.O_WRONLY)
subprocess.Popen(["sleep", "600"], pass_fds=[pipe])
os.write(pipe, b"started")
time.sleep(600)
"""
SAYS_SECRETS = """
import os, sys
print("key", os.environ["IHPROTO_KEY"], sys.argv[1], "\\x1b[31m")
url, *others = [os.environ[f"IHPROTO_{name}"] for name in ("URL", "REVISION", "SCENARIO")]
print(url == sys.argv[2], *others, sys.argv[3])
sys.exit(7)
"""


def judge(*words: str) -> subprocess.CompletedProcess[str]:
    return ihproto("conformance", "client", *words)


def streaming(pieces: list[str], *words: str) -> list[str]:
    return ["--", sys.executable, "-m", "ihproto", "stream", "{url}", *pieces, "--pace", "10x", *words]


@pytest.fixture
def pipe(tmp_path: Path) -> str:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return str(path)


def test_the_stream_command_conforms(tmp_path: Path, pieces: list[str]) -> None:
    path = tmp_path / "report.json"
    names = ["plain", "unknown", "drain", "errors", "server-close"]
    options = [word for name in names for word in ("--scenario", name)]
    result = judge(*options, "--jobs", "5", "--report-json", str(path), *streaming(pieces[:3]))
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads(path.read_bytes())
    assert (report["verdict"], report["subject"], report["kind"]) == ("conforms", "client", "client")
    assert [session["scenario"] for session in report["sessions"]] == names
    assert report["suite"] == ", ".join(names)


def test_what_is_broken_is_named(pieces: list[str]) -> None:
    result = judge("--scenario", "plain", *streaming(pieces[:1], "--revision", "v2"))
    assert result.returncode == 1
    assert "HS-1.path" in result.stdout
    assert "'/v2/stream/analyze'" in result.stdout


def test_another_revision_is_spoken_on_request(pieces: list[str]) -> None:
    result = judge("--revision", "v0", "--scenario", "plain", *streaming(pieces[:1], "--revision", "v0"))
    assert result.returncode == 0, result.stdout + result.stderr


def test_an_expected_failure_is_none(tmp_path: Path, pieces: list[str]) -> None:
    expected = tmp_path / "expected.toml"
    expected.write_text('[expected-failures]\n"HS-1.path" = "It speaks v2."\n')
    words = ["--scenario", "plain", "--expected-failures", str(expected)]
    result = judge(*words, *streaming(pieces[:1], "--revision", "v2"))
    assert result.returncode == 0, result.stdout + result.stderr
    result = judge(*words, *streaming(pieces[:1]))
    assert result.returncode == 1
    assert "take it from the list" in result.stdout


def test_a_client_that_never_connects_could_not_be_judged_and_its_words_are_shown_without_the_key() -> None:
    result = judge("--scenario", "plain", "--", sys.executable, "-c", SAYS_SECRETS, "k={key}", "{url}", "<{scenario}>")
    assert result.returncode == 2
    assert "never connected" in " ".join(result.stdout.split())
    assert "exit code 7" in " ".join(result.stdout.split())
    assert "key [redacted] k=[redacted] �[31m" in result.stderr
    assert "True v1 plain <plain>" in result.stderr
    assert "ih_live_" not in result.stdout + result.stderr


def test_a_command_that_cannot_be_started_is_said() -> None:
    result = judge("--", "/nonexistent/client")
    assert result.returncode == 2
    assert "could not be started" in result.stdout
    assert "No such file" in " ".join(result.stdout.split())


def test_a_command_that_hangs_is_ended_with_all_that_it_started(pipe: str) -> None:
    words = ["--scenario", "plain", "--timeout", "1.5", "--", sys.executable, "-c", LINGERS, pipe]
    with subprocess.Popen(
        [sys.executable, "-m", "ihproto", "conformance", "client", *words], stdout=subprocess.PIPE, text=True
    ) as process:
        # Ends when nobody holds the pipe any more.
        assert Path(pipe).read_bytes() == b"started"
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "stopped when its time was over" in " ".join(said.split())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_client_with_all_that_it_started(pipe: str, number: signal.Signals, code: int) -> None:
    words = ["--scenario", "plain", "--", sys.executable, "-c", LINGERS, pipe]
    with subprocess.Popen(
        [sys.executable, "-m", "ihproto", "conformance", "client", *words], stderr=subprocess.PIPE, text=True
    ) as process:
        with Path(pipe).open("rb", buffering=0) as held:
            assert held.read(7) == b"started"
            process.send_signal(number)
            assert held.read() == b""
        _, said = process.communicate(timeout=30)
    assert process.returncode == code
    assert "interrupted" in said


def test_a_scenario_that_makes_no_sense_in_a_revision_is_wrong_usage() -> None:
    result = judge("--revision", "v0", "--scenario", "cut", "--", "true")
    assert result.returncode == 2
    assert "makes no sense in v0" in " ".join(result.stderr.split())
