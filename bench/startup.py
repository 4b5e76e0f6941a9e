"""How long `ihproto mock` takes until somebody can connect."""

from __future__ import annotations

import socket
import subprocess
import sys
from statistics import median
from urllib.parse import urlsplit

from measuring import Effort, Figure, Goal, Row, take_turns, wall_time_of

_LIBRARIES = "import asyncio, anyio, h11, wsproto, attrs, msgspec"


def start_mock() -> None:
    """Start it, read its URL, connect, and stop it."""
    command = [sys.executable, "-m", "ihproto", "mock", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as mock:
        assert mock.stdout is not None
        port = urlsplit(mock.stdout.readline().strip()).port
        with socket.create_connection(("127.0.0.1", port or 0)):
            pass
        # Nothing of the end counts.
        mock.kill()


def import_libraries() -> None:
    subprocess.run([sys.executable, "-c", _LIBRARIES], check=True)


def measure_startup(effort: Effort) -> list[Figure]:
    times = take_turns(start_mock, import_libraries, effort.turns, time_of=wall_time_of)
    ratio, spread = times.share()
    return [
        Figure(
            "`ihproto mock` accepts a connection",
            ours=median(times.ours) * 1e3,
            peer=median(times.peer) * 1e3,
            unit="ms",
            ratio=ratio,
            spread=spread,
            goal=Goal(2.0),
            note="importing the libraries under it",
        )
    ]


ROWS = [Row("startup", measure_startup)]
