"""The mock server in a thread of its own."""

from __future__ import annotations

import socket
import threading

import pytest
from websockets.sync.client import connect

from ihproto import V2
from ihproto.anyio import ConnectError
from ihproto_mock import BackgroundMockServer, LogEntry, ScenarioError


def opening(url: str, key: str) -> str:
    """The first thing that the server says."""
    with connect(url, additional_headers={"Authorization": f"Bearer {key}"}) as websocket:
        return str(websocket.recv())


def test_it_serves_while_the_block_lasts() -> None:
    threads = threading.active_count()
    with BackgroundMockServer() as mock:
        assert "session.ready" in opening(mock.url, mock.key)
        assert "session.ready" in opening(mock.url_of(V2), mock.key)
        assert mock.base_url == f"http://127.0.0.1:{mock.port}"
        port = mock.port
    assert threading.active_count() == threads
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_the_log_is_kept_and_handed_on() -> None:
    told: list[LogEntry] = []
    with BackgroundMockServer(log=told.append, scenario="quiet") as mock:
        opening(mock.url, mock.key)
        assert [entry.event for entry in mock.log][:1] == ["upgrade"]
    assert [entry.event for entry in mock.log] == ["upgrade", "session opened", "session closed"]
    assert mock.log == tuple(told)


def test_a_restart_ends_what_was_and_keeps_the_address() -> None:
    with BackgroundMockServer(keys={"one": ["interhumanai.stream"]}) as mock:
        url = mock.url
        with connect(url, additional_headers={"Authorization": "Bearer one"}) as websocket:
            assert "session.ready" in str(websocket.recv())
            mock.restart(keys={"other": ["interhumanai.stream"]})
            assert [str(text) for text in websocket] == []
        assert mock.url == url
        assert mock.key == "other"
        assert "session.ready" in opening(url, "other")
    assert [entry.event for entry in mock.log].count("upgrade") == 2


def test_it_stops_once_and_can_be_started_again() -> None:
    mock = BackgroundMockServer()
    mock.start()
    with pytest.raises(RuntimeError, match="listening already"):
        mock.start()
    mock.stop()
    mock.stop()
    for ask in (lambda: mock.url, lambda: mock.key, lambda: mock.restart()):
        with pytest.raises(RuntimeError, match="not listening"):
            ask()
    with mock:
        assert "session.ready" in opening(mock.url, mock.key)


def test_options_that_cannot_be_used_leave_no_thread_behind() -> None:
    threads = threading.active_count()
    with pytest.raises(ScenarioError), BackgroundMockServer(scenario="unheard-of"):
        pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConnectError, match="cannot listen"), BackgroundMockServer(port=port):
            pass
    assert threading.active_count() == threads
