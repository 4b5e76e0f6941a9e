"""Stands in for wstest, by another WebSocket implementation: two cases in each mode, and reports like its own.

A case is OK if everything came back as it went. The environment says otherwise: `STAND_IN_VERDICT` is reported instead
of OK, and `STAND_IN_CASES` is how many cases are reported.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.sync.server import ServerConnection, serve

CASES = ("1.1.1", "7.7.13")
CODE = 4999
#: Characters of one, two, three and four bytes.
WORDS = "aé日😀"

Reports = dict[str, dict[str, str]]


def talk(connection: Connection) -> str:
    """What the suite would call the behaviour of the other side."""
    connection.send([WORDS[:2], WORDS[2:]])
    good = connection.recv() == WORDS
    connection.send([b"\0", b"\xff" * 70_000])
    good = good and connection.recv() == b"\0" + b"\xff" * 70_000
    good = good and connection.ping(b"there").wait(10)
    connection.close(CODE)
    try:
        connection.recv()
    except ConnectionClosed as closed:
        good = good and closed.rcvd is not None and closed.rcvd.code == CODE
    return os.environ.get("STAND_IN_VERDICT", "OK") if good else "FAILED"


def write(folder: Path, reports: Reports) -> None:
    folder.mkdir()
    index: dict[str, Any] = {}
    for agent, cases in reports.items():
        for case, behavior in list(cases.items())[: int(os.environ.get("STAND_IN_CASES", len(CASES)))]:
            name = f"{agent}_case_{case.replace('.', '_')}.json"
            told = {"description": "Say <b>it</b> again.", "result": "Heard.", "resultClose": "Over."}
            (folder / name).write_text(json.dumps(told))
            entry = {"behavior": behavior, "behaviorClose": "OK", "reportfile": name}
            index.setdefault(agent, {})[case] = entry
    (folder / "index.json").write_text(json.dumps(index))


def attack_servers(spec: dict[str, Any]) -> None:
    reports: Reports = {}
    for server in spec["servers"]:
        for case in CASES:
            with connect(server["url"], compression=None) as connection:
                reports.setdefault(server["agent"], {})[case] = talk(connection)
    write(Path(spec["outdir"]), reports)


def attack_clients(spec: dict[str, Any]) -> None:
    reports: Reports = {}

    def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        url = urlsplit(connection.request.path)
        query = parse_qs(url.query)
        match url.path:
            case "/getCaseCount":
                connection.send(str(len(CASES)))
            case "/runCase":
                case = CASES[int(query["case"][0]) - 1]
                reports.setdefault(query["agent"][0], {})[case] = talk(connection)
            case "/updateReports":
                write(Path(spec["outdir"]), reports)

    with serve(handle, "127.0.0.1", urlsplit(spec["url"]).port, compression=None) as server:
        server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--autobahnversion", action="store_true")
    parser.add_argument("--mode")
    parser.add_argument("--spec", type=Path)
    parser.add_argument("--webport", type=int)
    options = parser.parse_args()
    if options.autobahnversion:
        print("Autobahn 1\nAutobahnTestSuite 2")
        return
    assert options.webport == 0
    spec = json.loads(options.spec.read_text())
    {"fuzzingclient": attack_servers, "fuzzingserver": attack_clients}[options.mode](spec)


if __name__ == "__main__":
    main()
