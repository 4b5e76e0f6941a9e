"""What the public documents say of the endpoints, asked of the mock server by clients of others.

The clients are those of `websockets`, `httpx` and `curl`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import httpx
import pytest
import websockets.exceptions
import websockets.sync.client
from builders import CONTRACT, OVERALL, TIMELINE
from upload_requests import EXAMPLE, recording, written
from websockets.sync.client import ClientConnection
from websockets.typing import Subprotocol

from ihproto import REVISIONS, V0, V0_2, V1, V1_WINDOW, Revision
from ihproto.wire import CredentialForm
from ihproto_mock import DEFAULT_KEY, LogEntry, MockServer

T = TypeVar("T")
SESSION_CLOSE = '{"type": "session.close"}'
SEVEN = ["mp4", "avi", "mov", "mkv", "mpeg-ts", "mpeg-2-ts", "webm"]


def served(body: Callable[[MockServer], T], **server: Any) -> tuple[T, list[LogEntry]]:
    """Run something that blocks beside a server; returns what it returns, and the log of the server."""
    entries: list[LogEntry] = []

    async def main() -> T:
        with anyio.fail_after(30):
            async with MockServer(log=entries.append, **server) as mock:
                return await anyio.to_thread.run_sync(body, mock)

    return anyio.run(main), entries


def dial(mock: MockServer, path: str, form: str = "header", credential: str = DEFAULT_KEY, **more: str) -> Any:
    """A session of `websockets` at a path, with the credential in one of its three forms."""
    url = f"ws://127.0.0.1:{mock.port}{path}"
    if form == "header":
        headers = {"Authorization": f"Bearer {credential}", **more}
        return websockets.sync.client.connect(url, additional_headers=headers, max_size=None)
    offered = [credential] if form == "subprotocol" else ["access_token", credential]
    return websockets.sync.client.connect(
        url, subprotocols=[Subprotocol(value) for value in offered], additional_headers=more, max_size=None
    )


def next_message(socket: ClientConnection) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.recv(timeout=20))
    return found


def outcome(socket: ClientConnection) -> list[dict[str, Any]]:
    """What is said of one segment in the status revisions, up to its last message."""
    told = [next_message(socket)]
    while told[-1]["status"] not in ("completed", "error"):
        told.append(next_message(socket))
    return told


def container_of(name: str) -> bytes:
    """A file of four seconds, written by ffmpeg."""
    return written(name, *(("vp8", "opus") if name == "webm" else ("h264", "aac")))


# -- the upgrade --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [form.value for form in CredentialForm])
@pytest.mark.parametrize("revision", REVISIONS.values(), ids=list(REVISIONS))
def test_every_form_of_the_credential_opens_the_stream_of_every_revision(revision: Revision, form: str) -> None:
    def body(mock: MockServer) -> tuple[str | None, str, dict[str, Any]]:
        with dial(mock, revision.path, form) as socket:
            if revision is V1_WINDOW:
                socket.send("no config")
            elif not revision.announces:
                socket.send(container_of("webm"))
            return socket.subprotocol, socket.response.headers["X-Correlation-ID"], next_message(socket)

    (selected, correlation_id, first), entries = served(body, pin=[revision.id])
    assert selected == {"header": None, "subprotocol": DEFAULT_KEY, "pair": "access_token"}[form]
    assert first.get("type", first.get("status")) == (
        "session.ready" if revision.announces else "error" if revision is V1_WINDOW else "processing"
    )
    if revision is not V0:
        assert first["correlation_id"] == correlation_id
    assert [entry.fields["credential"] for entry in entries if entry.event == "upgrade"] == [form]


@pytest.mark.parametrize("path", ["/v0/stream/analyze", "/v1/stream/analyze", "/v2/stream/analyze"])
@pytest.mark.parametrize("key", [DEFAULT_KEY, "ih_live_wrong"])
def test_the_clients_request_id_is_logged_beside_the_correlation_id_and_not_sent_back(path: str, key: str) -> None:
    def body(mock: MockServer) -> tuple[Any, str]:
        try:
            with dial(mock, path, credential=key, **{"X-Client-Request-Id": "call-7-of-mine"}) as socket:
                socket.send(b"no video")
                return socket.response, socket.recv(timeout=20)
        except websockets.exceptions.InvalidStatus as refused:
            return refused.response, (refused.response.body or b"").decode()

    (response, text), entries = served(body)
    assert response.status_code == (101 if key == DEFAULT_KEY else 401)
    told = [*response.headers.raw_items(), ("body", text)]
    assert not [each for each in told if "client-request-id" in each[0].lower() or "call-7-of-mine" in each[1]]
    (upgrade,) = [entry for entry in entries if entry.event == "upgrade"]
    assert upgrade.fields["client_request_id"] == "call-7-of-mine"
    assert upgrade.connection == response.headers["X-Correlation-ID"]


@pytest.mark.parametrize("form", ["header", "pair"])
@pytest.mark.parametrize("scope", ["interhumanai.stream", "interhumanai.upload"])
def test_a_token_of_v0_auth_opens_the_stream_of_v0_if_it_has_the_scope(form: str, scope: str) -> None:
    def body(mock: MockServer) -> tuple[dict[str, Any], str | int]:
        asked = {"key_id": "mock-key-id", "key_secret": "mock-key-secret", "scopes": [scope]}
        answer = httpx.post(f"{mock.base_url}/v0/auth", json=asked)
        assert answer.status_code == 200
        token: dict[str, Any] = answer.json()
        try:
            with dial(mock, "/v0/stream/analyze", form, token["access_token"]) as socket:
                socket.send(container_of("webm"))
                return token, outcome(socket)[-1]["status"]
        except websockets.exceptions.InvalidStatus as refused:
            return token, refused.response.status_code

    (token, found), _ = served(body, pin=["v0"])
    assert set(token) == {"access_token", "token_type", "expires_in", "scope"}
    assert (token["token_type"], token["scope"]) == ("Bearer", scope)
    assert found == ("completed" if scope == "interhumanai.stream" else 403)


# -- segments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", SEVEN)
@pytest.mark.parametrize("revision", [V0, V0_2, V1], ids=["v0", "v0.2", "v1"])
def test_a_segment_may_be_of_any_documented_container(revision: Revision, container: str) -> None:
    def body(mock: MockServer) -> list[str]:
        with dial(mock, revision.path) as socket:
            socket.send(container_of(container))
            if not revision.announces:
                return [message["status"] for message in outcome(socket)]
            socket.send(SESSION_CLOSE)
            return [json.loads(message)["type"] for message in socket]

    told, entries = served(body, pin=[revision.id])
    assert "error" not in told
    if not revision.announces:
        assert told == ["processing", "result", "completed"]
    (accepted,) = [entry for entry in entries if entry.event == "segment accepted"]
    assert accepted.fields["end"] == pytest.approx(4.0, abs=0.25)


def test_v0_2_refuses_a_file_of_less_than_3_seconds_and_says_nothing_more_of_it() -> None:
    def body(mock: MockServer) -> tuple[str, list[list[dict[str, Any]]]]:
        with dial(mock, "/v0/stream/analyze") as socket:
            told = []
            for seconds in (2.0, 4.0):
                socket.send(written("webm", "vp8", "opus", seconds))
                told.append(outcome(socket))
            return socket.response.headers["X-Correlation-ID"], told

    (correlation_id, (short, long)), _ = served(body)
    error = short[-1]
    assert set(error) == {"status", "segment", "correlation_id", "error_id", "link", "message"}
    assert (error["status"], error["segment"], error["correlation_id"]) == ("error", 1, correlation_id)
    assert error["error_id"] == "ih4007"
    assert error["link"].startswith("https://docs.interhuman.ai/api-reference/error-handling#ih4007-")
    assert error["message"]
    # What comes next is of the next segment.
    assert [(message["status"], message["segment"]) for message in long] == [
        ("processing", 2),
        ("result", 2),
        ("completed", 2),
    ]


def test_session_ready_is_said_once_and_first_with_the_whole_contract() -> None:
    def body(mock: MockServer) -> list[str | bytes]:
        with dial(mock, "/v1/stream/analyze") as socket:
            # Whatever the client says before it has read anything, this comes first.
            socket.send(json.dumps({"include": [OVERALL, TIMELINE]}))
            socket.send(container_of("webm"))
            socket.send(SESSION_CLOSE)
            return [*socket]

    texts, _ = served(body)
    assert {type(text) for text in texts} == {str}
    told = [json.loads(text) for text in texts]
    assert [message["type"] for message in told].count("session.ready") == 1
    assert told[0]["type"] == "session.ready"
    assert told[0]["data"] == CONTRACT
    assert {frozenset(message) for message in told} == {frozenset({"type", "timestamp", "correlation_id", "data"})}
    updated = next(message["data"] for message in told if message["type"] == "session.updated")
    assert updated == {"include": [OVERALL, TIMELINE]}


@pytest.mark.parametrize(("sent", "code", "segment"), [(b"no video", "ih4002", 1), ("no config", "ih6001", None)])
def test_an_error_of_v1_window_is_an_envelope_with_code_message_link_and_segment(
    sent: bytes | str, code: str, segment: int | None
) -> None:
    def body(mock: MockServer) -> tuple[str, dict[str, Any]]:
        with dial(mock, "/v1/stream/analyze", "subprotocol") as socket:
            socket.send(sent)
            return socket.response.headers["X-Correlation-ID"], next_message(socket)

    (correlation_id, error), _ = served(body, pin=["v1-window"])
    assert set(error) == {"type", "timestamp", "correlation_id", "data"}
    assert (error["type"], error["correlation_id"]) == ("error", correlation_id)
    assert {"code", "message", "link"} <= set(error["data"])
    assert error["data"]["code"] == code
    assert error["data"]["link"].startswith(f"https://docs.interhuman.ai/api-reference/error-handling#{code}-")
    assert error["data"].get("segment") == segment


# -- uploads ------------------------------------------------------------------------------------------


def test_the_command_of_the_upload_reference_is_answered(tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("no curl")
    file = tmp_path / "example-file"
    file.write_bytes(recording(EXAMPLE))

    def body(mock: MockServer) -> str:
        # As the page has it, and silent; `--include` is curl's own option, and shows the head of the answer.
        command = [curl, "--silent", "--include", "--request", "POST", "--url", f"{mock.base_url}/v1/upload/analyze"]
        command += ["--header", f"Authorization: Bearer {mock.key}", "--header", "Content-Type: multipart/form-data"]
        command += ["--form", f"file=@{file}", "--form", f"include[]={OVERALL}", "--form", f"include[]={TIMELINE}"]
        return subprocess.run(command, capture_output=True, timeout=30, check=True).stdout.decode()

    told, entries = served(body)
    head, _, text = told.rpartition("\r\n\r\n")
    assert "HTTP/1.1 200 OK" in head
    fields = dict(line.lower().split(": ", 1) for line in head.splitlines() if ": " in line)
    assert fields["x-correlation-id"] in {entry.connection for entry in entries}
    answer = json.loads(text)
    assert set(answer) == {"signals", "engagement_state", "conversation_quality"}
    assert {frozenset(signal) for signal in answer["signals"]} == {
        frozenset({"type", "start", "end", "probability", "rationale"})
    }
    assert {frozenset(state) for state in answer["engagement_state"]} == {frozenset({"start", "end", "state"})}
    quality = answer["conversation_quality"]
    assert set(quality) == {"overall", "timeline"}
    six = {"quality_index", "clarity", "authority", "energy", "rapport", "learning"}
    assert set(quality["overall"]) == six
    for entry in quality["timeline"]:
        assert (set(entry), set(entry["values"])) == ({"start", "end", "values"}, six)
