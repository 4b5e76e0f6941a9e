"""`ihproto conformance server`, as a user runs it."""

from __future__ import annotations

import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
from commands import RunningMock, ihproto
from websockets.sync.server import ServerConnection, serve

KEY = "ih_live_mock"
COMMAND = ("conformance", "server")


def test_the_mock_server_conforms_and_reports_are_written(mock: RunningMock, tmp_path: Path) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("json", "junit", "html")}
    options = [word for name, path in files.items() for word in (f"--report-{name}", str(path))]
    done = ihproto(*COMMAND, mock.url, "--suite", "full", *options, IHPROTO_KEY=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conforms" in done.stdout.splitlines()[-1]
    assert "at most" in done.stderr
    assert "s of video" in done.stderr
    report = json.loads(files["json"].read_text())
    assert (report["verdict"], report["exit_code"], report["suite"]) == ("conforms", 0, "full")
    assert ElementTree.parse(files["junit"]).getroot().tag == "testsuites"
    assert files["html"].read_bytes().startswith(b"<!doctype html>")
    everything = done.stdout + done.stderr + "".join(path.read_text() for path in files.values())
    assert KEY not in everything


@pytest.mark.parametrize("revision", ["v0", "v0.2", "v1-window", "v2"])
def test_the_mock_server_conforms_in_other_revisions(start_mock: Callable[..., RunningMock], revision: str) -> None:
    mock = start_mock("--pin", revision)
    url = mock.url.rpartition("/v1/")[0]
    done = ihproto(*COMMAND, url, "--revision", revision, IHPROTO_KEY=KEY)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def listening() -> Iterator[tuple[str, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}", listener


def judge(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return ihproto(*COMMAND, url, "--patience", "0.5", *words, IHPROTO_KEY=KEY)


def test_a_closed_port_cannot_be_judged() -> None:
    with listening() as (url, _):
        pass
    done = judge(url)
    assert done.returncode == 2
    assert "Connection refused" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_server_that_accepts_and_says_nothing_cannot_be_judged() -> None:
    with listening() as (url, _):
        done = judge(url)
    assert done.returncode == 2
    assert "did not answer the upgrade in time" in " ".join(done.stdout.split())


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_an_http_server_cannot_be_judged() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            done = judge(f"ws://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
    assert done.returncode == 2
    assert "HTTP 404" in done.stdout


@contextmanager
def websocket_server(handler: Callable[[ServerConnection], None]) -> Iterator[str]:
    with serve(handler, "127.0.0.1", 0, close_timeout=0.1) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def hang(connection: ServerConnection) -> None:
    for _ in connection:
        pass


@pytest.mark.parametrize("handler", [echo, hang])
def test_a_websocket_server_of_another_kind_breaks_the_first_rules(
    handler: Callable[[ServerConnection], None],
) -> None:
    with websocket_server(handler) as url:
        done = judge(url, "--suite", "full")
    assert done.returncode == 1, done.stderr
    assert "RDY-1.first" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_budget_that_does_not_suffice_is_said_before_anything_is_sent() -> None:
    done = judge("ws://127.0.0.1:9", "--suite", "full", "--budget-seconds", "20")
    assert done.returncode == 2
    assert "the budget is 20 s" in done.stderr
    assert "kept-config" in done.stderr


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--media", "README.md"), "README.md cannot be used"),
        (("--include", "XYZ-*"), "nothing is left to check"),
        (("--unscoped-key-env", "IHPROTO_NOT_SET"), "IHPROTO_NOT_SET holds nothing"),
        (("--revision", "v3"), "v3"),
        (("--report-json", "nowhere/report.json"), "there is no folder nowhere"),
        (("--report-html", ""), "'' is a folder"),
    ],
)
def test_wrong_usage_is_said(words: tuple[str, ...], what: str) -> None:
    done = judge("ws://127.0.0.1:9", *words)
    assert done.returncode == 2
    assert what in done.stderr
    assert "Traceback" not in done.stderr


def test_a_url_that_would_send_the_key_in_the_open_is_refused() -> None:
    done = judge("ws://example.com")
    assert done.returncode == 2
    assert "HS-1" in done.stderr + done.stdout


def test_expected_failures_are_named_by_known_ids(tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text('[expected-failures]\n"CFG-5.unknown" = "Some day."\n')
    done = judge("ws://127.0.0.1:9", "--expected-failures", str(known))
    assert done.returncode == 2
    assert "CFG-5.unknown-member" in done.stderr


def test_an_entry_that_passes_is_stale(mock: RunningMock, tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text('[expected-failures]\n"RDY-1.first" = "Some day."\n')
    done = ihproto(*COMMAND, mock.url, "--expected-failures", str(known), IHPROTO_KEY=KEY)
    assert done.returncode == 1
    assert "RDY-1.first" in done.stdout


def test_ctrl_c_ends_it_cleanly() -> None:
    with listening() as (url, listener):
        process = subprocess.Popen(
            [sys.executable, "-m", "ihproto", *COMMAND, url, "--key", KEY],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # It waits for an answer to its upgrade; one that never comes so far shall not be waited for.
        listener.settimeout(30)
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted; nothing is judged" in said
    assert "Traceback" not in said


def test_list_names_scenarios_and_clauses() -> None:
    scenarios = ihproto("conformance", "list")
    assert scenarios.returncode == 0
    assert "CFG-5.unknown-member" in scenarios.stdout
    clauses = ihproto("conformance", "list", "--clauses", "--revision", "v2")
    assert clauses.returncode == 0
    assert "SIG-1" in clauses.stdout
