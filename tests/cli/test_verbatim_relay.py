"""Every message of a server comes out as it arrived, in the order of arrival; the server is that of `websockets`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import CORRELATION_ID, closing, ended, envelope, ready
from commands import ihproto
from websockets.sync.server import ServerConnection, serve

#: As no JSON library writes it: blanks, escapes, numbers with trailing zeros, names in no order, unknown members.
V0_TEXTS = [
    '{ "segment":1,"status" : "processing","bytes":10000 }',
    '{"status":"result","signals":[{"end":5.00,"start":0e0,"type":"agree\\u006dent","sure":1.50}],"segment":1}',
    '{"note":"caf\\u00e9 \\/ café","status":"queued","segment":1}',
    '{"segment": 1,  "status": "completed"}',
]
V1_TEXTS = [
    ready().replace(": ", " :  "),
    envelope("signal.detected", {"signal_type": "stress", "start": 1, "rationale": "é / \u2028"}, version=[1, 2.50]),
    envelope("mood.changed", {"mood": [1, 2.5]}).replace("2.5", "2.500"),
    closing(),
    envelope("signal.ended", {"signal_type": "stress", "end": 2}).replace("2}", "2.000}"),
    ended(),
]


class Talker:
    """A server that says these texts as soon as it has a segment."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    def __call__(self, connection: ServerConnection) -> None:
        if "session.ready" in self._texts[0]:
            connection.send(self._texts[0])
        for message in connection:
            if isinstance(message, bytes):
                for text in self._texts[1:] if "session.ready" in self._texts[0] else self._texts:
                    connection.send(text)
                return


@pytest.fixture
def url(texts: list[str]) -> Iterator[str]:
    def add_correlation_id(connection: object, request: object, response: object) -> None:
        response.headers["X-Correlation-ID"] = CORRELATION_ID  # type: ignore[attr-defined]

    with serve(Talker(texts), "127.0.0.1", 0, process_response=add_correlation_id) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("revision", "texts"), [("v0", V0_TEXTS), ("v1", V1_TEXTS)], ids=["v0", "v1"])
def test_every_message_is_relayed_verbatim_and_in_order(
    url: str, revision: str, texts: list[str], tmp_path: Path
) -> None:
    segment = tmp_path / "segment.webm"
    segment.write_bytes(bytes(10_000))
    result = ihproto("stream", url, str(segment), "--key", "k", "--revision", revision, "--include", "none", "--json")
    # A text has no line break here, so a line is a message.
    assert result.stdout.split("\n") == [*texts, ""]
    assert all(isinstance(json.loads(text), dict) for text in texts)
