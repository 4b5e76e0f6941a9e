"""How long `ihproto mock` takes until somebody can connect.

Both sides find their modules compiled, as pip leaves what it installs. A source tree may have no bytecode, where
`PYTHONDONTWRITEBYTECODE` is set, and then the compiler would be measured, on our side alone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from statistics import median
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from measuring import Effort, Figure, Goal, Row, take_turns, wall_time_of

_LIBRARIES = "import asyncio, anyio, h11, wsproto, attrs, msgspec"


def start_mock(environment: Mapping[str, str]) -> None:
    """Start it, read its URL, connect, and stop it."""
    command = [sys.executable, "-m", "ihproto", "mock", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as mock:
        assert mock.stdout is not None
        port = urlsplit(mock.stdout.readline().strip()).port
        with socket.create_connection(("127.0.0.1", port or 0)):
            pass
        # Nothing of the end counts.
        mock.kill()


def import_libraries(environment: Mapping[str, str]) -> None:
    subprocess.run([sys.executable, "-c", _LIBRARIES], check=True, env=environment)


def measure_startup(effort: Effort) -> list[Figure]:
    with TemporaryDirectory() as bytecode:
        # Filled by the turns that warm up.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        times = take_turns(
            partial(start_mock, environment),
            partial(import_libraries, environment),
            effort.turns,
            time_of=wall_time_of,
        )
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
