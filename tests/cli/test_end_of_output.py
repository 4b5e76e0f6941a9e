"""Commands whose output ends before they do, and those that are interrupted or told nonsense before they begin."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ihproto

FULL = Path("/dev/full")
LISTINGS = [
    ("mock", "--list-faults"),
    ("conformance", "list"),
    ("inspect", "README.md"),
    ("inspect", "--json", "README.md"),
]


def run(words: tuple[str, ...], stdout: int) -> tuple[int, str]:
    """Run a command with this output, and return the exit code and what it said on stderr."""
    command = [sys.executable, "-m", "ihproto", *words]
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", LISTINGS)
def test_a_closed_pipe_ends_a_command_without_a_word(words: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run(words, writer) == (141, "")
    finally:
        os.close(writer)


@pytest.mark.skipif(not FULL.exists(), reason="there is no file that is always full here")
@pytest.mark.parametrize("words", [*LISTINGS, ("conformance", "client", "--scenario", "plain", "--", "true")])
def test_output_that_cannot_be_written_is_said(words: tuple[str, ...]) -> None:
    with FULL.open("w") as full:
        code, said = run(words, full.fileno())
    assert code == 2
    assert said.splitlines()[-1] == "ihproto: the output cannot be written: No space left on device"
    assert "Traceback" not in said


def test_ctrl_c_ends_a_command_that_waits_for_its_input(tmp_path: Path) -> None:
    pipe = tmp_path / "trace.jsonl"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "ihproto", "conformance", "trace", str(pipe)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # Opened when the command has opened it as well; nothing comes then.
    with pipe.open("w"):
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "")


@pytest.mark.parametrize("seconds", ["nan", "inf"])
@pytest.mark.parametrize(
    "words",
    [
        ("mock", "--segment-seconds"),
        ("stream", "ws://127.0.0.1:9", "README.md", "--key", "ih_live_mock", "--segment-seconds"),
        ("conformance", "server", "ws://127.0.0.1:9", "--key", "ih_live_mock", "--patience"),
        ("conformance", "server", "ws://127.0.0.1:9", "--key", "ih_live_mock", "--budget-seconds"),
    ],
)
def test_what_is_no_length_of_time_is_refused(words: tuple[str, ...], seconds: str) -> None:
    done = ihproto(*words, seconds)
    assert done.returncode == 2
    assert f"Invalid value for '{words[-1]}': '{seconds}' is no length of time" in done.stderr
