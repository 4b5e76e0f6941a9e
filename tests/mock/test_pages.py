"""A folder of pages: what of it is served, and that nothing else is."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import anyio
import httpx
import pytest

from ihproto_mock import LogEntry, MockServer
from ihproto_mock.pages import Pages

T = TypeVar("T")

PAGE = b"<!doctype html><title>Live</title>"
SECRET = b"this is outside of the folder"


def run(body: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        with anyio.fail_after(20):
            return await body()

    return anyio.run(main)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A page with everything that belongs to it, beside a file that does not."""
    (tmp_path / "outside.txt").write_bytes(SECRET)
    folder = tmp_path / "page"
    (folder / "assets" / "deep").mkdir(parents=True)
    (folder / "index.html").write_bytes(PAGE)
    (folder / "app.js").write_bytes(b"console.log(1)")
    (folder / "assets" / "style.css").write_bytes(b"body {}")
    (folder / "assets" / "deep" / "index.html").write_bytes(b"another")
    (folder / "assets" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "assets" / "noname").write_bytes(bytes(range(256)))
    (folder / "two words \u00e9.html").write_bytes(b"two words")
    return folder


def ask(folder: Path, path: str, method: str = "GET") -> httpx.Response:
    async def body() -> httpx.Response:
        async with (
            MockServer(pages=folder) as mock,
            httpx.AsyncClient(base_url=mock.base_url) as client,
        ):
            return await client.request(method, path)

    return run(body)


def ask_raw(folder: Path, target: str, method: str = "GET") -> bytes:
    """The answer to a target that no client would send like this, byte by byte."""

    async def body() -> bytes:
        async with (
            MockServer(pages=folder) as mock,
            await anyio.connect_tcp("127.0.0.1", mock.port) as socket,
        ):
            await socket.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            answer = b""
            try:
                while True:
                    answer += await socket.receive()
            except anyio.EndOfStream:
                return answer

    return run(body)


@pytest.mark.parametrize(
    ("path", "content_type", "content"),
    [
        ("/", "text/html", PAGE),
        ("/index.html", "text/html", PAGE),
        ("/?model=inter-2", "text/html", PAGE),
        ("/app.js", "text/javascript", b"console.log(1)"),
        ("/assets/style.css", "text/css", b"body {}"),
        ("/assets/deep/index.html", "text/html", b"another"),
        ("/assets/picture.png", "image/png", b"\x89PNG\r\n\x1a\n"),
        ("/assets/noname", "application/octet-stream", bytes(range(256))),
        ("/two%20words%20%C3%A9.html", "text/html", b"two words"),
    ],
)
def test_the_files_of_the_folder_are_served_as_what_they_are(
    folder: Path, path: str, content_type: str, content: bytes
) -> None:
    answer = ask(folder, path)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].partition(";")[0] == content_type
    assert answer.content == content
    assert answer.headers["X-Correlation-ID"]


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("A.JS", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("a.png", "image/png"),
        ("a.json", "application/json"),
        ("a.ico", "image/x-icon"),
        ("a.txt", "text/plain"),
        ("a.js.gz", "application/octet-stream"),
        ("a.css.", "application/octet-stream"),
    ],
)
def test_what_a_browser_is_told_of_a_file_does_not_depend_on_the_machine(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, content_type: str
) -> None:
    # As a machine may have it in its tables, where some program put it.
    wrong = dict.fromkeys((".html", ".css", ".js", ".mjs", ".svg", ".png", ".json", ".ico"), "text/x-wrong")
    mimetypes.init()
    for ending, kind in wrong.items():
        monkeypatch.setitem(mimetypes.types_map, ending, kind)
    assert mimetypes.guess_type("a.js") == ("text/x-wrong", None)
    (folder / name).write_bytes(b"x")
    assert ask(folder, f"/{name}").headers["Content-Type"] == content_type


def test_a_page_may_do_what_a_live_page_has_to_and_run_nothing_of_strangers(folder: Path) -> None:
    headers = ask(folder, "/").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["connect-src"] == "*"
    assert "blob:" in policy["media-src"]
    assert policy["object-src"] == policy["base-uri"] == "'none'"
    # Without a word about scripts those of its own origin run, and neither inline ones nor eval.
    assert "script-src" not in policy
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "target",
    [
        "/../outside.txt",
        "/assets/../../outside.txt",
        "/%2e%2e/outside.txt",
        "/..%2foutside.txt",
        "/%2e%2e%2foutside.txt",
        "/assets/..%2f..%2foutside.txt",
        "/..\\outside.txt",
        "/%252e%252e/outside.txt",
        "../outside.txt",
        "//outside.txt",
        "/page/../../outside.txt",
        "/link.txt",
        "/linked/outside.txt",
        "/outside.txt%00.html",
        "http://a/../outside.txt",
    ],
)
def test_nothing_outside_of_the_folder_is_served(folder: Path, target: str) -> None:
    (folder / "link.txt").symlink_to(folder.parent / "outside.txt")
    (folder / "linked").symlink_to(folder.parent, target_is_directory=True)
    answer = ask_raw(folder, target)
    assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 "))
    assert SECRET not in answer


def test_the_absolute_path_of_a_file_is_no_path_of_the_server(folder: Path) -> None:
    for path in (folder.parent / "outside.txt", folder / "app.js"):
        assert ask_raw(folder, str(path)).startswith(b"HTTP/1.1 404 ")
        assert ask_raw(folder, f"/{path}").startswith(b"HTTP/1.1 404 ")


def test_links_within_the_folder_are_followed(folder: Path) -> None:
    (folder / "start.html").symlink_to(folder / "index.html")
    assert ask(folder, "/start.html").content == PAGE


def test_a_folder_can_itself_be_a_link(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder, target_is_directory=True)
    assert ask(link, "/assets/style.css").content == b"body {}"


@pytest.mark.parametrize("path", ["/assets", "/assets/", "/assets/deep", "/APP.JS", "/index.html/", "/index"])
def test_folders_and_half_names_are_404_and_what_there_is_is_named(folder: Path, path: str) -> None:
    answer = ask(folder, path)
    assert answer.status_code == 404
    assert "/v1/stream/analyze" in answer.json()["message"]


def test_head_tells_of_a_page_without_sending_it(folder: Path) -> None:
    head, _, body = ask_raw(folder, "/", "HEAD").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert f"content-length: {len(PAGE)}".encode() in head.lower()
    assert b"content-security-policy" in head.lower()
    assert body == b""


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_a_page_can_only_be_read(folder: Path, method: str) -> None:
    answer = ask(folder, "/app.js", method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.json()["correlation_id"] == answer.headers["X-Correlation-ID"]


def test_a_page_that_is_refused_is_logged(folder: Path) -> None:
    entries: list[LogEntry] = []

    async def body() -> None:
        async with (
            MockServer(pages=folder, log=entries.append) as mock,
            httpx.AsyncClient(base_url=mock.base_url) as client,
        ):
            await client.post("/app.js")

    run(body)
    assert [entry.fields["status"] for entry in entries if entry.refused] == [405]


def test_no_file_stands_in_front_of_an_endpoint(folder: Path) -> None:
    for path in ("v1/auth", "v1/stream/analyze", "v2/upload/jobs/mine"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"a file of this name")
    assert ask(folder, "/v1/auth").status_code == 405
    assert ask(folder, "/v1/stream/analyze").status_code == 426
    assert ask(folder, "/v2/upload/jobs/mine").status_code == 401


def test_a_file_that_is_gone_is_404(folder: Path) -> None:
    async def body() -> int:
        async with (
            MockServer(pages=folder) as mock,
            httpx.AsyncClient(base_url=mock.base_url) as client,
        ):
            (folder / "app.js").unlink()
            return (await client.get("/app.js")).status_code

    assert run(body) == 404


def test_a_file_that_is_changed_is_served_as_it_is_now(folder: Path) -> None:
    async def body() -> bytes:
        async with (
            MockServer(pages=folder) as mock,
            httpx.AsyncClient(base_url=mock.base_url) as client,
        ):
            await client.get("/app.js")
            (folder / "app.js").write_bytes(b"console.log(2)")
            return (await client.get("/app.js")).content

    assert run(body) == b"console.log(2)"


@pytest.mark.parametrize("name", [".", "assets", "nowhere", "app.js"])
def test_a_folder_without_a_page_is_refused(folder: Path, name: str) -> None:
    (folder / "index.html").rename(folder / "index.htm")
    with pytest.raises(ValueError, match=r"has no index\.html"):
        MockServer(pages=folder / name)
    with pytest.raises(ValueError, match=r"has no index\.html"):
        Pages(folder / name)


@pytest.mark.parametrize("path", [".env", ".git/config", "assets/.hidden/x.js"])
def test_what_is_hidden_is_no_part_of_a_page(folder: Path, path: str) -> None:
    hidden = folder / path
    hidden.parent.mkdir(parents=True, exist_ok=True)
    hidden.write_bytes(SECRET)
    assert ask(folder, f"/{path}").status_code == 404
