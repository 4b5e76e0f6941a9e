"""The command line, run as a user runs it: in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from urllib.parse import urlsplit


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
    """`ihproto mock` in a process of its own, once it has printed its URL.

    Raises:
        RuntimeError: If it ended before that; the text is what it said about it.
    """

    def __init__(self, words: tuple[str, ...]) -> None:
        # A pipe that nobody reads would be full some day, and whoever writes to it then stands still.
        self._stderr = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._log = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ihproto", "mock", "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            code, said = self.ended()
            raise RuntimeError(f"ihproto mock ended with exit code {code} before it listened: {said}")

    @property
    def base_url(self) -> str:
        """The URL for HTTP clients, without a path: the origin of its pages."""
        return f"http://{urlsplit(self.url).netloc}"

    def ended(self) -> tuple[int, str]:
        """Wait until it has ended, and return the exit code and what was logged."""
        self.process.communicate(timeout=30)
        if not self._stderr.closed:
            with self._stderr:
                self._stderr.seek(0)
                self._log = self._stderr.read()
        return self.process.returncode, self._log

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal, unless it has ended, and return the exit code and what was logged."""
        self.process.send_signal(number)
        return self.ended()
