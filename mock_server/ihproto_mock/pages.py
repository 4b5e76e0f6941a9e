"""A folder of files for browsers, such as a page that uses the stream."""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import anyio

from ihproto.anyio import HttpExchange
from ihproto.wire import HttpError
from ihproto_mock.log import Say

#: What the page may do: everything from its own origin, and connections to any server that its user names.
_POLICY = (
    "default-src 'self'; connect-src *; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; "
    "object-src 'none'; base-uri 'none'"
)
_INDEX = "index.html"
#: What files are by the ends of their names. A module that comes as anything but JavaScript is not run, and what the
#: tables of a machine, or of a version of Python, say of these is not certain. Text is taken for UTF-8.
_CONTENT_TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml; charset=utf-8",
}
_UNKNOWN = "application/octet-stream"


def _content_type(path: Path) -> str:
    known = _CONTENT_TYPES.get(path.suffix.lower())
    if known is not None:
        return known
    guessed, encoding = mimetypes.guess_type(path.name)
    # What is compressed as a whole is not what its content is.
    return _UNKNOWN if guessed is None or encoding is not None else guessed


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


class Pages:
    """Serves the files of one folder, and nothing outside of it: a link that leads there is none of its files.

    Hidden files, and what is in hidden folders, are not served: `.env` and `.git` are no part of a page.

    Args:
        folder: The folder, as it is now; `index.html` in it is what is at `/`.

    Raises:
        ValueError: If there is no `index.html` in it.
    """

    def __init__(self, folder: Path) -> None:
        root = folder.resolve()
        self._files = {
            f"/{path.relative_to(folder).as_posix()}": path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.resolve().is_relative_to(root) and not _is_hidden(path.relative_to(folder))
        }
        if f"/{_INDEX}" not in self._files:
            raise ValueError(f"{folder} has no {_INDEX}")
        self._files["/"] = self._files[f"/{_INDEX}"]

    async def answer(self, exchange: HttpExchange, say: Say) -> bool:
        """Answer with the file at this path; False if there is none, and nothing was answered."""
        path = self._files.get(unquote(exchange.request.path))
        if path is None:
            return False
        if exchange.request.method not in ("GET", "HEAD"):
            what = f"{exchange.request.path} takes GET, not {exchange.request.method}"
            say("request refused", refused=True, status=405, why=what)
            await exchange.refuse(405, HttpError(message=what), headers=[("Allow", "GET, HEAD")])
            return True
        try:
            body = await anyio.Path(path).read_bytes()
        except FileNotFoundError:
            # Somebody builds the page anew.
            return False
        headers = [("Content-Security-Policy", _POLICY), ("Cache-Control", "no-store")]
        await exchange.respond(200, body, content_type=_content_type(path), headers=headers)
        return True
