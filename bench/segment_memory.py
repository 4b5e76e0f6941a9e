"""How much memory a server needs while a large segment arrives.

The server runs in a process of its own and measures itself: resident memory before the first byte of the segment, and
the highest value while it arrives. Two cases: a segment of exactly the limit, which is accepted, and a frame that
announces 1 GB, which is refused with ih6002 as soon as the limit is passed, while the rest of it still comes.

Started by itself, this is that server.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from measuring import Effort, Figure, Goal, Row

from ihproto import Envelope, Error, NominalScanner, SegmentAccepted, SegmentRefused, SegmentStarted, SessionReady
from ihproto.anyio import ServerStream, connect, serve
from ihproto.wire import ClientConnection, Credential, Target

LIMIT = 32 * 1024 * 1024
ANNOUNCED = 1024**3
KEY = "bench"
PIECE = bytes(64 * 1024)


def resident() -> int:
    """The resident memory of this process, in bytes."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


class Gauge:
    """The highest resident memory while a segment arrives, sampled in a thread of its own."""

    def __init__(self) -> None:
        self._baseline = resident()
        self._peak = self._baseline
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.001):
            self._peak = max(self._peak, resident())

    def stop(self) -> int:
        """Stop, and return by how much the memory grew, in bytes."""
        self._stop.set()
        self._thread.join()
        return max(self._peak, resident()) - self._baseline


async def run_server() -> None:
    """Serve, and print one JSON line for each segment."""

    async def handle(stream: ServerStream) -> None:
        await stream.accept(scanner=NominalScanner())
        gauge: Gauge | None = None
        refused: str | None = None
        async for event in stream:
            if isinstance(event, SegmentStarted):
                gauge = Gauge()
            elif isinstance(event, SegmentRefused):
                refused = event.error.code
            if gauge is not None and isinstance(event, SegmentAccepted):
                print(json.dumps({"outcome": "accepted", "growth": gauge.stop()}), flush=True)
                gauge = None
        if gauge is not None:
            print(json.dumps({"outcome": refused or "cut off", "growth": gauge.stop()}), flush=True)

    async with serve(handle) as server:
        print(server.port, flush=True)
        await anyio.sleep_forever()


async def send_limit(port: int) -> None:
    """Send a segment of exactly the limit."""
    async with connect(f"ws://127.0.0.1:{port}", KEY) as stream:
        await stream.send_segment(bytes(LIMIT))
        await stream.end()
        async for _ in stream:
            pass


async def send_announced(port: int) -> int:
    """Announce 1 GB in one frame, send until ih6002 arrives and a little more, and return how many bytes that took."""
    wire = ClientConnection(
        anyio.current_time(), Target.parse(f"ws://127.0.0.1:{port}"), Credential(KEY), max_text_bytes=LIMIT
    )
    refused = anyio.Event()
    ready = anyio.Event()

    async def watch(socket: anyio.abc.ByteStream) -> None:
        async for data in socket:
            wire.receive_data(data, anyio.current_time())
            for event in wire.events():
                if isinstance(event, Envelope) and isinstance(event.message, SessionReady):
                    ready.set()
                if isinstance(event, Envelope) and isinstance(event.message, Error):
                    refused.set()

    async with await anyio.connect_tcp("127.0.0.1", port) as socket, anyio.create_task_group() as tasks:
        await socket.send(wire.data_to_send(anyio.current_time()))
        tasks.start_soon(watch, socket)
        await ready.wait()
        await socket.send(b"\x82" + bytes([0x80 | 127]) + struct.pack("!Q", ANNOUNCED) + b"\0\0\0\0")
        sent = 0
        while not refused.is_set() and sent < ANNOUNCED:
            await socket.send(PIECE)
            sent += len(PIECE)
        for _ in range(64):
            await socket.send(PIECE)
        tasks.cancel_scope.cancel()
    return sent


def measure() -> list[dict[str, Any]]:
    """Run both cases against a server in another process."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            rows = []
            # The first segment warms the process up: imports, arenas and buffers that stay.
            for name in ("warm-up", "segment of 32 MiB"):
                anyio.run(send_limit, port)
                rows.append({"case": name, **json.loads(server.stdout.readline()), "expected": "accepted"})
            sent = anyio.run(send_announced, port)
            row = json.loads(server.stdout.readline())
            rows.append({"case": "frame that announces 1 GiB", **row, "expected": "ih6002", "sent": sent})
        finally:
            server.terminate()
    return rows


def measure_memory(effort: Effort) -> list[Figure]:
    """Both cases as lines of the table."""
    figures = []
    for case in measure():
        if case["case"] == "warm-up":
            continue
        good = case["outcome"] == case["expected"]
        note = f"{case['outcome']}, as it should be" if good else f"{case['outcome']} instead of {case['expected']}"
        if "sent" in case:
            note += f"; {case['sent'] / 2**20:.1f} MiB were sent, buffers of the system included"
        grown = case["growth"] / 2**20 if good else float("inf")
        figures.append(Figure(f"memory: {case['case']}", grown, unit="MiB", goal=Goal(4.0), note=note, details=case))
    return figures


ROWS = [Row("memory", measure_memory)]


if __name__ == "__main__":
    anyio.run(run_server)
