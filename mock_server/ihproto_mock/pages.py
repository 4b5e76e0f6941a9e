"""A folder of files for browsers, such as a page that uses the stream."""

from __future__ import annotations

import mimetypes
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


class Pages:
    """Serves the files of one folder, and nothing outside of it: a link that leads there is none of its files.

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
            if path.is_file() and path.resolve().is_relative_to(root)
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
        content_type, _ = mimetypes.guess_type(path.name)
        headers = [("Content-Security-Policy", _POLICY), ("Cache-Control", "no-store")]
        await exchange.respond(200, body, content_type=content_type or "application/octet-stream", headers=headers)
        return True
