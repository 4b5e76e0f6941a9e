from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser.page import LivePage, StubServer
from commands import RunningMock
from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parents[2] / "examples" / "browser"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def _chromium() -> str | None:
    named = os.environ.get("IHPROTO_CHROMIUM")
    if named:
        return named
    names = ("/usr/bin/chromium", "chromium", "google-chrome")
    return next((path for path in map(shutil.which, names) if path is not None), None)


# Only as long as a module: while it runs, no other test of the same thread could run an event loop.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = _chromium()
    if path is None:
        pytest.skip("no Chromium: install one, or name it in the environment variable IHPROTO_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def _serve(*words: str) -> RunningMock:
    """A mock server that serves the page as well."""
    return RunningMock(("--log-format", "json", "--pages", str(FOLDER), *words))


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of a page whose own server is used for nothing else."""
    mock = _serve()
    yield mock.base_url
    mock.stop()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page in a profile of its own; fails the test if a script on it fails."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    # Every track that the page was given, to see whether it gives them back.
    page.add_init_script("""
        window.tracks = [];
        const devices = navigator.mediaDevices;
        const open = devices?.getUserMedia.bind(devices);
        if (devices) devices.getUserMedia = async (wanted) => {
          const stream = await open(wanted);
          window.tracks.push(...stream.getTracks());
          return stream;
        };
    """)
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
    assert failures == []


@pytest.fixture
def live(page: Page, site: str) -> LivePage:
    return LivePage(page, site)


@pytest.fixture
def at_the_mock(live: LivePage, quick_mock: RunningMock) -> LivePage:
    """The page as the mock server serves it, under one origin with the stream endpoint."""
    live.site = quick_mock.base_url
    return live


@pytest.fixture
def stub(page: Page) -> StubServer:
    return StubServer(page)


@pytest.fixture
def start_mock() -> Iterator[Callable[..., RunningMock]]:
    running: list[RunningMock] = []

    def start(*words: str) -> RunningMock:
        running.append(_serve(*words))
        return running[-1]

    yield start
    for mock in running:
        mock.stop()


@pytest.fixture
def quick_mock(start_mock: Callable[..., RunningMock]) -> RunningMock:
    """A server to which every segment is eight seconds, the length of a window, so that nothing has to be awaited."""
    return start_mock("--segment-seconds", "8")
