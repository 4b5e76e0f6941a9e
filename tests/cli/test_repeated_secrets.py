"""A server that repeats the credential in its refusal: no command does the same."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest
from commands import ihproto

KEY = "ih_live_not-to-be-seen"


class Repeating(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        said = f"I do not know {self.headers['Authorization']}"
        body = json.dumps({"error_id": "ih2001", "correlation_id": "c", "message": said, "link": "l"}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815 - the name is that of the base class

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repeating) as server:
        threading.Thread(target=server.serve_forever).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("stream", "ws://127.0.0.1:{port}", "README.md"), 1),
        (("upload", "README.md", "http://127.0.0.1:{port}"), 1),
        (("conformance", "server", "ws://127.0.0.1:{port}"), 2),
    ],
)
def test_a_key_that_the_server_repeats_is_not_said(port: int, words: tuple[str, ...], code: int) -> None:
    done = ihproto(*(word.format(port=port) for word in words), IHPROTO_KEY=KEY)
    assert done.returncode == code, done.stderr
    assert "I do not know Bearer [redacted]" in " ".join((done.stdout + done.stderr).split())
    assert KEY not in done.stdout + done.stderr
