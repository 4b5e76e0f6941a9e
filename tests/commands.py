"""The command line, run as a user runs it: in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys


def ihproto(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ihproto", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "IHPROTO_KEY": "", **environment},
    )


class RunningMock:
    """`ihproto mock` in a process of its own, once it has printed its URL."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ihproto", "mock", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def stop(self, number: int) -> tuple[int, str]:
        """Send a signal and return the exit code and what was logged."""
        self.process.send_signal(number)
        _, log = self.process.communicate(timeout=30)
        return self.process.returncode, log
