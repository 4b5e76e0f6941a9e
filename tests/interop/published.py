"""The published client of the service, unmodified, in sessions with a mock server over sockets."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import interhumanai
from interhumanai import stream as published
from upload_requests import written

from ihproto import MediaScanner, NominalScanner, SegmentScanner, SessionReady
from ihproto_mock import MockServer, parse_scenario

T = TypeVar("T")
E = TypeVar("E")

PIECES = [path.read_bytes() for path in sorted((Path(__file__).parents[2] / "examples" / "recording").glob("*.bin"))]
RECORDING = b"".join(PIECES)
#: How long the recording is, as its README tells, in seconds.
RECORDING_SECONDS = 33.4

OVERALL = "conversation_quality_overall"
TIMELINE = "conversation_quality_timeline"
BOTH = [OVERALL, TIMELINE]

LINKS = "https://docs.interhuman.ai/api-reference/error-handling#"

#: One signal that can be seen and heard, and that never ends by itself: its end is that of the media.
ENDLESS = parse_scenario('name = "endless"\n[[signal]]\ntype = "interest"\nstart = 0\nend = 100000')


def run(body: Callable[[], Awaitable[T]]) -> T:
    """Run a test, which must not hang."""

    async def main() -> T:
        async with asyncio.timeout(20):
            return await body()

    return asyncio.run(main())


def client_of(mock: MockServer, credential: str | None = None) -> interhumanai.InterhumanClient:
    """A client of this server, with an API key or a token."""
    return interhumanai.InterhumanClient(access_token=credential or mock.key, base_url=mock.base_url)


def three_seconds(contract: SessionReady) -> SegmentScanner:
    """Any bytes are a segment of three seconds."""
    return NominalScanner(3.0)


def lasting(seconds: float) -> Callable[[SessionReady], SegmentScanner]:
    """Any bytes are a file of so many seconds."""
    return lambda contract: NominalScanner(seconds)


def padded(size: int) -> bytes:
    """A video, made so many bytes long by a box that means nothing (ISO/IEC 14496-12, section 8.1.2)."""
    video = written("mp4", "h264", "aac")
    room = size - len(video)
    return video + room.to_bytes(4, "big") + b"free" + bytes(room - 8)


@attrs.frozen
class Heard:
    """What a session told the client."""

    events: list[Any] = attrs.field(repr=False)
    close: published.CloseInfo

    def of(self, cls: type[E]) -> list[E]:
        """The events of one class, in order."""
        return [event for event in self.events if isinstance(event, cls)]

    @property
    def kinds(self) -> Counter[str]:
        """How many events of each type there are, by the names of the wire."""
        return Counter(event.type for event in self.events)

    @property
    def errors(self) -> list[tuple[str, int | None]]:
        """Code and segment of every error."""
        return [(event.data.code, event.data.segment) for event in self.of(published.ErrorEvent)]


async def hear(stream: published.StreamClient) -> Heard:
    """Iterate to the end."""
    events: list[Any] = [event async for event in stream]
    assert not [event for event in events if isinstance(event, published.UnknownEvent)]
    assert len({event.correlation_id for event in events}) == 1
    return Heard(events, await stream.wait_closed())


async def next_of(stream: published.StreamClient, cls: type[E]) -> E:
    """The next event of a class; those before it are left out."""
    async for event in stream:
        if isinstance(event, cls):
            return event
    raise AssertionError(f"the session ended without a {cls.__name__}")


async def converse(
    stream: published.StreamClient, pieces: Iterable[bytes], config: dict[str, Any] | None = None
) -> Heard:
    """One whole session: wait for ready, configure, send, close gracefully, and hear the rest."""
    async with stream:
        await stream.wait_for_session_ready()
        if config is not None:
            await stream.update_config(**config)
        for piece in pieces:
            await stream.send_video(piece)
        await stream.request_close()
        return await hear(stream)


def session(
    pieces: Sequence[bytes],
    *,
    version: published.StreamApiVersion = "v1",
    model: str | None = None,
    config: dict[str, Any] | None = None,
    make_scanner: Callable[[SessionReady], SegmentScanner] = MediaScanner,
    **server: Any,
) -> Heard:
    """One whole session with a server of its own."""

    async def body() -> Heard:
        async with MockServer(make_scanner=make_scanner, **server) as mock:
            return await converse(client_of(mock).stream(api_version=version, model=model), pieces, config)

    return run(body)
