from __future__ import annotations

import functools
import ssl
from typing import Any

import anyio
import pytest
import trio
import trustme
from adapters.faces import FACES, Dialled, Face, Run, run_body


@pytest.fixture(params=FACES, ids=lambda face: face.name)
def face(request: pytest.FixtureRequest) -> Face:
    found = request.param
    assert isinstance(found, Face)
    return found


@pytest.fixture
def run(face: Face) -> Run:
    """Runs an async body once for every face of the adapters."""
    return functools.partial(run_body, face)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> Dialled:
    """Remembers every TCP connection that a client opens."""
    found = Dialled()

    def remember(module: Any, name: str) -> None:
        dial = getattr(module, name)

        async def dial_and_remember(*args: Any, **kwargs: Any) -> Any:
            stream = await dial(*args, **kwargs)
            found.streams.append(stream)
            return stream

        monkeypatch.setattr(module, name, dial_and_remember)

    remember(anyio, "connect_tcp")
    remember(trio, "open_tcp_stream")
    return found
