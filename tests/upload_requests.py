"""Upload requests as httpx writes them, and real files to put into them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import httpx
from media_corpus import Recipe, make
from media_oracle import look

REPOSITORY = Path(__file__).parents[1]
URL = "http://127.0.0.1/v1/upload/analyze"


@attrs.frozen
class Form:
    """A form on its way."""

    content_type: str
    body: bytes = attrs.field(repr=False)

    def pieces(self, cuts: Sequence[int]) -> Iterator[bytes]:
        """The body, cut at these places."""
        places = sorted({0, len(self.body), *(cut % (len(self.body) + 1) for cut in cuts)})
        for start, end in pairwise(places):
            yield self.body[start:end]


def encode(files: Any = None, data: Any = None) -> Form:
    """A form, written by httpx."""
    request = httpx.Request("POST", URL, files=files, data=data)
    return Form(request.headers["content-type"], request.read())


def with_file(content: bytes, **data: Any) -> Form:
    """A form with one file, and fields whose names are written without their brackets."""
    names = {"include": "include[]", "goal_dimensions": "goal_dimensions[]"}
    fields = {names.get(name, name): value for name, value in data.items()}
    return encode({"file": ("video.webm", content, "video/webm")}, fields)


def recording(folder: str) -> bytes:
    """A real recording, whole."""
    return b"".join(path.read_bytes() for path in sorted((REPOSITORY / folder).glob("*.bin")))


EXAMPLE = "examples/recording"
SAMPLE = "conformance/ihproto_conformance/samples/recording"
RECORDINGS = (EXAMPLE, SAMPLE, *(f"tests/recordings/{name}" for name in ("mp4-vp9-opus", "webm-vp9-opus")))


@cache
def seconds_of(content: bytes) -> float:
    """How long a file's media is, by ffmpeg."""
    found = look(content)
    return found.end - found.start


@cache
def written(container: str, video: str | None, audio: str | None, seconds: float = 4.0) -> bytes:
    """A file that ffmpeg wrote; large enough for an upload."""
    return make(Recipe(container, video, audio, seconds=seconds))
