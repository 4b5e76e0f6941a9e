"""A small client that keeps every rule, on a connection in memory: the measure of the judging server.

It is made to be varied: each thing that it does is a method of its own, so that a client that breaks one rule differs
from it in one place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.abc
import msgspec

from ihproto.anyio import RawConnectOptions, RawStream, StreamError, UpgradeError, connect_raw
from ihproto.wire import Credential, RawClose, RawEvent, RawText
from ihproto_conformance.client.media import recording
from ihproto_conformance.client.visits import Invitation

#: How long a segment of the client lasts, and how long it waits between two, in seconds.
PAUSE = 1.0
#: How large its segments are, in bytes: the last one is too large for a tight contract.
SIZES = (12_000, 12_000, 70_000)
#: How long it stays after its last segment where the server does not say that it is done, in seconds.
STAY = 2.0
_HOST = "ws://judge.test"


class RawClient:
    """A correct client.

    Args:
        invitation: What it is told.
        dial: Makes a connection to the judging server.
    """

    def __init__(self, invitation: Invitation, dial: Callable[[], Awaitable[anyio.abc.ByteStream]]) -> None:
        self.key = invitation.key
        self.revision = invitation.revision
        self.path = self.revision.path
        self.pieces = [recording(size=size) for size in SIZES]
        self.largest = self.revision.contract.max_segment_size_bytes
        self.pause = PAUSE
        self.ready = anyio.Event()
        self.asked = False
        self.server_closed = False
        self.stream: RawStream
        self._dial = dial
        self._text: list[str] = []
        self._sent = 0
        self._done = 0
        self._progress = anyio.Event()

    async def run(self) -> None:
        """Do what there is to do, once."""
        await self.session()

    async def session(self) -> None:
        """One session, from the upgrade to the end of the connection."""
        try:
            async with (
                connect_raw(_HOST + self.path, stream=await self.dial(), **self.options()) as self.stream,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(self._speak)
                async for event in self.stream:
                    await self.receive(event)
                tasks.cancel_scope.cancel()
        except UpgradeError:
            await self.be_refused()

    async def dial(self) -> anyio.abc.ByteStream:
        """A new connection."""
        return await self._dial()

    def options(self) -> RawConnectOptions:
        """How to connect."""
        return RawConnectOptions(credential=Credential(self.key), revision=self.revision)

    async def be_refused(self) -> None:
        """The upgrade was refused: give up."""

    # -- to say ---------------------------------------------------------------------------------------

    async def _speak(self) -> None:
        # Whatever is in the way of speaking, the reader hears of it.
        with suppress(StreamError):
            await self.speak()

    async def speak(self) -> None:
        """Say everything, in order."""
        if self.revision.announces:
            await self.ready.wait()
        await self.configure()
        await self.send_media()
        await self.finish()

    async def configure(self) -> None:
        """Ask for what there is to be asked for."""
        if self.revision.config_keys:
            await self.stream.send_text('{"include": ["conversation_quality_overall"]}')

    async def send_media(self) -> None:
        """Send the segments, but for those that the contract does not allow."""
        for piece in self.pieces:
            if len(piece) <= self.largest:
                await self.send(piece)
                await anyio.sleep(self.pause)

    async def send(self, piece: bytes) -> None:
        """Send a segment."""
        self._sent += 1
        await self.stream.send_bytes(piece)

    async def finish(self) -> None:
        """End the session in the way that the revision has."""
        if self.revision.drains:
            await self.ask_to_end()
            return
        if self.revision.config_keys:
            await anyio.sleep(STAY)
        else:
            await self.wait_for_results()
        await self.stream.close()

    async def ask_to_end(self) -> None:
        """Ask for a graceful end; the server closes."""
        self.asked = True
        await self.stream.send_text('{"type": "session.close"}')

    async def wait_for_results(self) -> None:
        """Wait until the server is done with every segment."""
        while self._done < self._sent:
            await self._progress.wait()

    # -- to hear --------------------------------------------------------------------------------------

    async def receive(self, event: RawEvent) -> None:
        """Take what arrives."""
        match event:
            case RawText(text, final):
                self._text.append(text)
                if final:
                    whole = "".join(self._text)
                    self._text.clear()
                    # Who has closed listens no more.
                    if not self.stream.closed:
                        await self.hear_text(whole)
            case RawClose():
                self.server_closed = True
                await self.answer_close(event)
            case _:
                pass

    async def hear_text(self, text: str) -> None:
        """Take a whole text message."""
        await self.hear(msgspec.json.decode(text, type=dict[str, Any]))

    async def hear(self, message: dict[str, Any]) -> None:
        """Take a message; what is not known is passed over."""
        match message:
            case {"type": "session.ready", "data": {"max_segment_size_bytes": int(largest)}}:
                self.largest = largest
                self.ready.set()
            case {"status": "completed" | "error"}:
                self._done += 1
                progress, self._progress = self._progress, anyio.Event()
                progress.set()
            case _:
                pass

    async def answer_close(self, close: RawClose) -> None:
        """Answer the server's close frame; where this side has closed before, it was the answer."""
        await self.stream.close(close.code)
