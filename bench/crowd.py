"""Many sessions at once on one core: whether all of them are served, how long events take, and what a session costs.

A server runs in a process of its own, on one core; all clients run in another one, on the other core. They are not
ours: they write frames that were made beforehand and look at what comes back as little as they can, and they are the
same for our server and for one of `websockets`, which sends the same events for the same segments. Segments come at
the pace of real time, one every 3 s in each session, spread evenly; how long an event takes counts from the moment
its segment is written.

    python bench/crowd.py serve ours|websockets CORE
    python bench/crowd.py load PORT PID SESSIONS SECONDS CORE
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import anyio
import attrs
import websockets.asyncio.server
from hour import INCLUDE, SEGMENT_SECONDS, analyse, live
from measuring import Effort, Figure, Goal, Row, progress

from ihproto import NominalScanner, WindowReady
from ihproto.anyio import ServerStream, serve

#: As large as the chunks of a browser in `examples/recording`, in bytes.
SEGMENT_SIZE = 50_000
CURVE = (100, 300, 1000)
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@cache
def script() -> tuple[list[str], list[int]]:
    """What a server says, and how much of it after each segment; the session is longer than any measurement."""
    hour = live(60)
    return hour.texts, hour.told


# -- servers --------------------------------------------------------------------------------------------


async def run_ours() -> None:
    async def handle(stream: ServerStream) -> None:
        await stream.accept(scanner=NominalScanner(SEGMENT_SECONDS))
        async for event in stream:
            if isinstance(event, WindowReady):
                await stream.send_analysis(analyse(event.window))

    async with serve(handle) as server:
        print(server.port, flush=True)
        await anyio.sleep_forever()


async def run_websockets() -> None:
    # Clients hang up without a word at the end, which it would tell at length.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    texts, told = script()
    events = [json.loads(text) for text in texts]

    async def handle(connection: websockets.asyncio.server.ServerConnection) -> None:
        await connection.send(json.dumps(events[0]))
        said, segments = 1, 0
        async for message in connection:
            segments += isinstance(message, bytes)
            count = told[segments] if segments else 1
            for event in events[said : said + count]:
                await connection.send(json.dumps(event))
            said += count

    async with websockets.asyncio.server.serve(
        handle, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None, backlog=1024
    ) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.Future()


# -- clients --------------------------------------------------------------------------------------------

_REQUEST = (
    b"GET /v1/stream/analyze HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nAuthorization: Bearer bench\r\n\r\n"
)
_KEY = b"\x37\xfa\x21\x3d"


def _masked(opcode: int, payload: bytes) -> bytes:
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([0x80 | opcode]) + size + _KEY + bytes(octet ^ _KEY[at % 4] for at, octet in enumerate(payload))


_CONFIG = _masked(1, json.dumps({"include": INCLUDE}).encode())
_SEGMENT = _masked(2, bytes(range(250)) * (SEGMENT_SIZE // 250))


@attrs.define
class Tally:
    """What all clients saw."""

    standing: int = 0
    errors: int = 0
    measuring: bool = False
    latencies: list[float] = attrs.field(factory=list)
    delays: list[float] = attrs.field(factory=list)


class Viewer(asyncio.Protocol):
    """One client."""

    def __init__(self, tally: Tally, told: list[int]) -> None:
        self._tally = tally
        self._told = told
        self._buffer = bytearray()
        self._upgraded = False
        self._texts = 0
        self._segments = 0
        self._awaited: deque[tuple[float, int]] = deque()
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(_REQUEST)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        buffer = self._buffer
        buffer += data
        if not self._upgraded:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self._tally.errors += b" 101 " not in buffer[:20]
            del buffer[: end + 4]
            self._upgraded = True
        while len(buffer) >= 4:
            size, head = buffer[1], 2
            if size == 126:
                size, head = int.from_bytes(buffer[2:4], "big"), 4
            if len(buffer) < head + size:
                return
            self._take(buffer[0] & 15, now)
            del buffer[: head + size]

    def _take(self, opcode: int, now: float) -> None:
        if opcode != 1:
            self._tally.errors += 1
            return
        self._texts += 1
        if self._texts == 1:
            self._transport.write(_CONFIG)
        elif self._texts == 2:
            self._tally.standing += 1
        elif not self._awaited:
            self._tally.errors += 1
        else:
            sent, count = self._awaited.popleft()
            if self._tally.measuring:
                self._tally.latencies.append(now - sent)
            if count > 1:
                self._awaited.appendleft((sent, count - 1))

    def connection_lost(self, error: Exception | None) -> None:
        self._tally.errors += not self._over

    def send(self, due: float) -> None:
        """Send the next segment, and the one after it in time."""
        if self._over:
            return
        now = time.perf_counter()
        self._segments += 1
        count = self._told[self._segments]
        if count:
            self._awaited.append((now, count))
        self._transport.write(_SEGMENT)
        loop = asyncio.get_running_loop()
        if self._tally.measuring:
            self._tally.delays.append(loop.time() - due)
        loop.call_at(due + SEGMENT_SECONDS, self.send, due + SEGMENT_SECONDS)

    def stop(self) -> None:
        """Go away; what has not been answered by now counts as an error, if it had the time."""
        self._over = True
        late = time.perf_counter() - SEGMENT_SECONDS
        self._tally.errors += sum(sent < late for sent, _ in self._awaited)
        self._transport.abort()


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


async def run_load(port: int, pid: int, sessions: int, seconds: float) -> dict[str, Any]:
    """Open all sessions, let them come to pace, measure for so many seconds, and tell what was seen."""
    tally, told = Tally(), script()[1]
    loop = asyncio.get_running_loop()
    # What is imported with the first segment is no part of a session.
    _, first = await loop.create_connection(lambda: Viewer(Tally(), told), "127.0.0.1", port)
    await asyncio.sleep(0.5)
    first.send(loop.time())
    await asyncio.sleep(0.5)
    first.stop()
    before = _resident(pid)
    viewers = []
    for start in range(0, sessions, 20):
        opened = [
            await loop.create_connection(lambda: Viewer(tally, told), "127.0.0.1", port)
            for _ in range(start, min(start + 20, sessions))
        ]
        viewers += [viewer for _, viewer in opened]
        deadline = loop.time() + 10
        while tally.standing < len(viewers) and loop.time() < deadline:  # noqa: ASYNC110 - it is counted, not told
            await asyncio.sleep(0.005)
    failed = sessions - tally.standing
    now = loop.time()
    for number, viewer in enumerate(viewers):
        due = now + SEGMENT_SECONDS * number / sessions
        loop.call_at(due, viewer.send, due)
    # Windows are 8 s long: after three segments every segment completes one.
    await asyncio.sleep(3 * SEGMENT_SECONDS)
    tally.measuring = True
    spent, began = _processor_seconds(pid), loop.time()
    await asyncio.sleep(seconds)
    spent, took = _processor_seconds(pid) - spent, loop.time() - began
    tally.measuring = False
    memory = _resident(pid) - before
    for viewer in viewers:
        viewer.stop()
    latencies = sorted(tally.latencies)
    return {
        "sessions": sessions,
        "errors": tally.errors + failed,
        "events": len(latencies),
        "p50_ms": latencies[len(latencies) // 2] * 1e3,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
        "longest_ms": latencies[-1] * 1e3,
        "load_p99_ms": sorted(tally.delays)[len(tally.delays) * 99 // 100] * 1e3,
        "core_share": spent / took,
        "sessions_per_core": sessions / (spent / took),
        "memory_per_session": memory / sessions,
    }


# -- rows -----------------------------------------------------------------------------------------------


def run_crowd(side: str, sessions: int, seconds: float) -> dict[str, Any]:
    """Start a server, load it, and stop it."""
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, __file__]
    with subprocess.Popen([*command, "serve", side, str(cores[0])], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = server.stdout.readline().strip()
            load = [*command, "load", port, str(server.pid), str(sessions), str(seconds), str(cores[-1])]
            found: dict[str, Any] = json.loads(subprocess.check_output(load, text=True))
        finally:
            server.kill()
    return found


def measure_crowd(effort: Effort) -> list[Figure]:
    """The curve, and the goal at its end."""
    curve = CURVE[:1] if effort.quick else CURVE
    figures = []
    for sessions in curve:
        turns = 1 if effort.quick else 3 if sessions == CURVE[-1] else 2
        seconds = 6.0 if effort.quick else 12.0
        found: dict[str, list[dict[str, Any]]] = {"ours": [], "websockets": []}
        for turn in range(turns):
            for side in ("ours", "websockets") if turn % 2 else ("websockets", "ours"):
                progress(f"{sessions} sessions on one core, {side}, turn {turn + 1} of {turns}")
                found[side].append(run_crowd(side, sessions, seconds))
        figures += _figures(sessions, found["ours"], found["websockets"])
    return figures


def _figures(sessions: int, ours: list[dict[str, Any]], peer: list[dict[str, Any]]) -> list[Figure]:
    def both(name: str) -> tuple[float, float]:
        return median(one[name] for one in ours), median(one[name] for one in peer)

    # Where the clients came late themselves, something else was using their core, or ours.
    quiet, peer_quiet = (min(turns, key=lambda one: one["load_p99_ms"]) for turns in (ours, peer))
    late, peer_late = quiet["p99_ms"], peer_quiet["p99_ms"]

    details = {"ours": ours, "websockets": peer}
    errors = sum(one["errors"] for one in ours)
    many, peer_many = both("sessions_per_core")
    memory, peer_memory = both("memory_per_session")
    ratios = sorted(one["p99_ms"] / other["p99_ms"] for one, other in zip(ours, peer, strict=True))
    goal = Goal(1.0) if sessions == CURVE[-1] else None
    share = both("core_share")
    return [
        Figure(
            f"{sessions} sessions: p99 of an event",
            late,
            peer_late,
            "ms",
            late / peer_late,
            (ratios[0], ratios[-1]),
            goal,
            f"of the quietest turns; p50 {quiet['p50_ms']:.2f} and {peer_quiet['p50_ms']:.2f} ms",
            details,
        ),
        Figure(f"{sessions} sessions: errors", errors, sum(one["errors"] for one in peer), "", goal=Goal(0)),
        Figure(
            f"{sessions} sessions: sessions a core",
            many,
            peer_many,
            "",
            many / peer_many,
            note=f"{share[0]:.0%} and {share[1]:.0%} of the core were used",
        ),
        Figure(f"{sessions} sessions: memory of one", memory / 1e3, peer_memory / 1e3, "KB", memory / peer_memory),
    ]


ROWS = [Row("crowd", measure_crowd)]


def main(arguments: list[str]) -> None:
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.sched_setaffinity(0, {int(arguments[-1])})
    match arguments:
        case ["serve", "ours", _]:
            anyio.run(run_ours)
        case ["serve", "websockets", _]:
            asyncio.run(run_websockets())
        case ["load", port, pid, sessions, seconds, _]:
            print(json.dumps(asyncio.run(run_load(int(port), int(pid), int(sessions), float(seconds)))))


if __name__ == "__main__":
    main(sys.argv[1:])
