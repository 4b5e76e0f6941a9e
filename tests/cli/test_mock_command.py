from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest
from commands import RunningMock, ihproto

from ihproto import V2, SessionClosed
from ihproto.anyio import SessionRefused, connect


def test_it_prints_the_url_it_listens_on_and_takes_sessions(mock: RunningMock) -> None:
    async def body() -> None:
        async with connect(mock.url, "ih_live_mock") as stream:
            assert stream.contract.max_segment_size_bytes == 33_554_432

    assert mock.url.startswith("ws://127.0.0.1:")
    assert mock.url.endswith("/v1/stream/analyze")
    anyio.run(body)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_the_sessions_and_it_exits_with_0(mock: RunningMock, number: int) -> None:
    async def body() -> SessionClosed:
        async with connect(mock.url, "ih_live_mock") as stream:
            mock.process.send_signal(number)
            events = [event async for event in stream]
            closed = events[-1]
            assert isinstance(closed, SessionClosed)
            return closed

    assert anyio.run(body).code == 1001
    code, log = mock.ended()
    assert code == 0
    assert "Traceback" not in log


def test_the_port_file_holds_the_port(start_mock: Callable[..., RunningMock], tmp_path: Path) -> None:
    path = tmp_path / "port"
    mock = start_mock("--port-file", str(path))
    assert mock.url == f"ws://127.0.0.1:{int(path.read_text())}/v1/stream/analyze"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_log_says_why_and_never_shows_a_key(start_mock: Callable[..., RunningMock], log_format: str) -> None:
    mock = start_mock("--log-format", log_format, "--key", "ih_live_secret")
    result = ihproto("stream", mock.url, __file__, "--key", "ih_live_wrong")
    code, log = mock.stop(signal.SIGTERM)
    assert (result.returncode, code) == (1, 0)
    assert "ih2001" in log
    assert "ih_live" not in log
    if log_format == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        assert [line["event"] for line in lines] == ["upgrade", "upgrade refused"]
        assert lines[1]["refused"] is True
        assert len({line["connection"] for line in lines}) == 1


def test_a_key_may_have_other_scopes(start_mock: Callable[..., RunningMock]) -> None:
    mock = start_mock("--key", "one", "--scoped-key", "two", "interhumanai.upload")

    async def body() -> None:
        async with connect(mock.url, "one"):
            pass
        with pytest.raises(SessionRefused, match="ih2003"):
            async with connect(mock.url, "two"):
                pass

    anyio.run(body)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--scenario", "nowhere"], "bundled scenario; those are lively, quiet, troubled"),
        (["--port", "70000"], "70000"),
        (["--key", ""], "no key may be empty"),
        (["--segment-seconds", "0"], "0"),
    ],
)
def test_wrong_usage_is_said_in_words_with_exit_code_2(words: list[str], complaint: str) -> None:
    result = ihproto("mock", *words)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_that_is_taken_is_said_in_words_with_exit_code_3() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = ihproto("mock", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 3
    assert "cannot listen on 127.0.0.1" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [["--help"], ["mock", "--help"], ["stream", "--help"]])
def test_help_teaches_by_example(words: list[str]) -> None:
    result = ihproto(*words)
    assert result.returncode == 0
    assert "ihproto mock" in result.stdout or "ihproto stream" in result.stdout


def test_the_version_is_that_of_the_package() -> None:
    assert "0.1.0" in ihproto("--version").stdout


@pytest.mark.parametrize("words", [[], ["mock"], ["stream"], ["inspect"]])
def test_no_help_shows_the_marks_of_its_own_layout(words: list[str]) -> None:
    assert "\\b" not in ihproto(*words, "--help").stdout


def test_a_port_file_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    result = ihproto("mock", "--port", "0", "--port-file", str(tmp_path / "nowhere" / "port"))
    assert result.returncode == 2
    assert "cannot be written" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_foreign_text_cannot_forge_a_line_of_the_log(start_mock: Callable[..., RunningMock], log_format: str) -> None:
    mock = start_mock("--log-format", log_format)

    async def body() -> None:
        async with connect(mock.url, "ih_live_mock") as stream:
            await stream.close(4000, "\x1b[31m\n12:00:00 deadbeef all good")

    anyio.run(body)
    _, log = mock.stop(signal.SIGTERM)
    assert "\x1b[31m" not in log
    assert not [line for line in log.splitlines() if line.startswith("12:00:00")]
    assert "deadbeef" in log


def test_a_request_that_is_no_upgrade_is_in_the_log(start_mock: Callable[..., RunningMock]) -> None:
    mock = start_mock("--log-format", "json")
    port = int(mock.url.split(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(b"GET /v1/stream/analyze HTTP/1.1\r\nHost: h\r\n\r\n")
        assert plain.recv(1000).startswith(b"HTTP/1.1 426")
        while plain.recv(1000):
            pass
    _, log = mock.stop(signal.SIGTERM)
    request, refusal = [json.loads(line) for line in log.splitlines()]
    assert (request["event"], request["path"]) == ("request", "/v1/stream/analyze")
    assert (refusal["event"], refusal["status"]) == ("request refused", 426)
    assert "WebSocket" in refusal["why"]


# --- what is served ---------------------------------------------------------------------------------------------------


def test_a_mock_that_does_not_come_up_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)exit code 2 before it listened: .*bundled scenario"):
        RunningMock(("--scenario", "nowhere"))


def test_a_page_is_served_at_the_root(start_mock: Callable[..., RunningMock], tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>here")
    answer = httpx.get(start_mock("--pages", str(tmp_path)).base_url)
    assert (answer.status_code, answer.text) == (200, "<!doctype html>here")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_key_pairs_can_be_exchanged(start_mock: Callable[..., RunningMock]) -> None:
    mock = start_mock("--key-pair", "one", "ih_secret_one", "--key-pair", "two", "ih_secret_two")
    statuses = {}
    for name, secret in (("one", "ih_secret_one"), ("two", "ih_secret_two"), ("one", "ih_secret_two")):
        body = {"key_id": name, "key_secret": secret, "scopes": ["interhumanai.stream"]}
        statuses[name, secret] = httpx.post(f"{mock.base_url}/v1/auth", json=body).status_code
    assert list(statuses.values()) == [200, 200, 401]
    assert "ih_secret" not in mock.stop()[1]


def test_a_model_without_a_backend_is_refused_and_others_are_not(start_mock: Callable[..., RunningMock]) -> None:
    mock = start_mock("--no-backend", "inter-2")

    async def body() -> None:
        url = mock.url.replace("/v1/", "/v2/")
        with pytest.raises(SessionRefused, match="ih1003") as refused:
            async with connect(url, "ih_live_mock", revision=V2):
                pass
        assert refused.value.closed.code == 1013
        async with connect(url, "ih_live_mock", revision=V2, model="inter-2-audio"):
            pass

    anyio.run(body)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--pin", "v1", "--pin", "v1-window"], "v1 and v1-window share the path /v1/stream/analyze"),
        (["--pin", "v0.2", "--pin", "v2", "--pin", "v0"], "v0.2 and v0 share the path /v0/stream/analyze"),
        (["--pin", "v9"], "v9"),
        (["--no-backend", "inter-9"], "inter-9"),
        (["--key-pair", "one", ""], "a key pair needs an id and a secret"),
        (["--key-pair", "one", "a", "--key-pair", "one", "b"], "two key pairs have the same id"),
        (["--pages", "EMPTY"], "has no index.html"),
        (["--pages", "EMPTY/nowhere"], "does not exist"),
    ],
)
def test_what_cannot_be_served_is_said_with_exit_code_2(tmp_path: Path, words: list[str], complaint: str) -> None:
    result = ihproto("mock", "--port", "0", *[word.replace("EMPTY", str(tmp_path)) for word in words])
    assert (result.returncode, result.stdout) == (2, "")
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_one_pin_for_each_path_is_possible(start_mock: Callable[..., RunningMock]) -> None:
    assert start_mock("--pin", "v0", "--pin", "v1-window", "--pin", "v2", "--pin", "v2").url


def test_a_scope_that_there_is_not_is_said_so() -> None:
    run = ihproto("mock", "--scoped-key", "k", "interhumanai.strem")
    assert run.returncode == 2
    assert "there is no scope interhumanai.strem" in run.stderr
