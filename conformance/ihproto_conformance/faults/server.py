"""A server that breaks one clause: a conforming mock server that is reached through a `Behaviour`."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import anyio
import attrs
from anyio.abc import Listener, TaskGroup

from ihproto import REVISIONS, Revision, SegmentScanner, ServerSettings, SessionReady
from ihproto.anyio import RawStream, ServeOptions, Server, ServerStream, StreamError, UpgradeError, connect_raw, serve
from ihproto.tokens import STREAM_SCOPE
from ihproto.wire import RawBytes, RawClose, RawEvent, RawLost, RawText, UpgradeFailed, UpgradeRequested
from ihproto_conformance.faults.fault import (
    Act,
    Answer,
    Drop,
    Fault,
    Forward,
    Later,
    Passed,
    Pause,
    Say,
    Talk,
    Verbatim,
)
from ihproto_conformance.memory import MemoryListener
from ihproto_mock import KeyPair, LogEntry, MockServer, Scenario
from ihproto_mock.leases import Denial

#: Headers that belong to a connection, and are made anew for the one behind.
_HOP = frozenset({"host", "connection", "upgrade"})
_OWN = "sec-websocket-"


class MockOptions(TypedDict, total=False):
    """What the conforming server may be told; see `MockServer`."""

    keys: Mapping[str, Collection[str]] | None
    key_pairs: Iterable[KeyPair] | None
    make_scanner: Callable[[SessionReady], SegmentScanner]
    pages: Path | None
    log: Callable[[LogEntry], None] | None


class FaultyServer:
    """A server with a fault; listening inside `async with`.

    Args:
        fault: What is wrong with it.
        revision: The revision in which it is shown; None for the first of the fault.
        pin: Ids of revisions to serve at other paths; see `MockServer`.
        settings: What the sessions promise, but for what the fault changes.
        scenario: What there is in the video, where the fault does not need something of its own.
        listener: What brings connections instead of `host` and `port`; see `ihproto.anyio.serve`.
        mock: What else to tell the conforming server.
        **options: Where and how to listen; see `ihproto.anyio.ServeOptions`.

    Attributes:
        fault: What is wrong with it.
        revision: The revision in which it is shown.
        mock: The conforming server.

    Raises:
        ScenarioError: If the scenario cannot be used.
        ValueError: If another revision is pinned at the path of that revision, or there is no key.
    """

    def __init__(
        self,
        fault: Fault,
        *,
        revision: Revision | None = None,
        pin: Iterable[str] = (),
        settings: ServerSettings | None = None,
        scenario: Scenario | str | Path = "lively",
        listener: Listener[Any] | None = None,
        mock: MockOptions | None = None,
        **options: Unpack[ServeOptions],
    ) -> None:
        self.fault = fault
        self.revision = revision if revision is not None else REVISIONS[fault.revision]
        settings = settings if settings is not None else ServerSettings()
        if fault.contract:
            contract = settings.contract if settings.contract is not None else self.revision.contract
            settings = attrs.evolve(settings, contract=attrs.evolve(contract, **fault.contract))
        self._inside = MemoryListener()
        self.mock = MockServer(
            listener=self._inside,
            pin=[*pin, self.revision.id],
            settings=settings,
            scenario=fault.scenario if fault.scenario is not None else scenario,
            **(mock if mock is not None else MockOptions()),
        )
        self._listener = listener
        self._options: ServeOptions = {"on_request": self.mock.answer, **options}
        self._server: Server | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.mock)
            self._server = await stack.enter_async_context(
                serve(self._handle, listener=self._listener, **self._options)
            )
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Stop to listen, and drop what is still connected."""
        self._server = None
        return await self._stack.__aexit__(kind, error, traceback)

    @property
    def url(self) -> str:
        """The URL of the stream endpoint of the revision in which the fault is shown."""
        if self._server is None:
            raise RuntimeError("the server is not listening; use it as 'async with FaultyServer(fault) as server'")
        return self._server.url + self.revision.path

    @property
    def port(self) -> int:
        """The TCP port."""
        assert self._server is not None
        return self._server.port

    def _denial(self, stream: ServerStream) -> Denial | None:
        request = stream.request
        found = self.mock.credentials.authorize(
            request.credential, now=stream.now(), scope=STREAM_SCOPE, origin=request.origin
        )
        return found if isinstance(found, Denial) else None

    async def _handle(self, stream: ServerStream) -> None:
        behaviour, request = self.fault.behaviour, stream.request
        talk = Talk(self.mock.key, request, self._denial(stream))
        onward = behaviour.request(request, talk)
        if isinstance(onward, Answer):
            await _refuse(stream, onward)
            return
        try:
            async with connect_raw(
                f"ws://localhost{onward.target}",
                stream=await self._inside.dial(),
                headers=_onward_headers(onward),
                subprotocols=onward.subprotocols,
            ) as inner:
                assert inner.accepted is not None
                accepted = inner.accepted
                headers = [*accepted.headers]
                if accepted.subprotocol is not None:
                    headers.append((b"sec-websocket-protocol", accepted.subprotocol.encode()))
                answer = behaviour.answer(Answer(101, _text_headers(headers)), talk)
                if answer.status != 101:
                    await _refuse(stream, answer)
                    return
                await _Passage(self.fault, talk, await stream.accept_raw(answer.headers), inner).run()
        except UpgradeError as error:
            await _refuse(stream, behaviour.answer(_refusal(error), talk))


async def _refuse(stream: ServerStream, answer: Answer) -> None:
    await stream.refuse_raw(answer.status, answer.headers, answer.body)


def _refusal(error: UpgradeError) -> Answer:
    event = error.event
    if isinstance(event, UpgradeFailed):
        raise RuntimeError(f"the conforming server did not answer the upgrade: {event.what}")
    headers = [pair for pair in event.headers if pair[0] not in (b"content-length", b"connection")]
    return Answer(event.status, _text_headers(headers), event.body)


def _text_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def _onward_headers(request: UpgradeRequested) -> list[tuple[str, str]]:
    headers = [
        (name, value)
        for name, value in _text_headers(request.headers)
        if name not in _HOP and not name.startswith(_OWN) and name != "authorization"
    ]
    if request.authorization is not None:
        headers.append(("authorization", request.authorization))
    return headers


class _Passage:
    """One connection, between the client and the conforming server."""

    def __init__(self, fault: Fault, talk: Talk, client: RawStream, inner: RawStream) -> None:
        self._behaviour = fault.behaviour
        self._talk = talk
        self._client = client
        self._inner = inner

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._from_server, tasks)
            await self._from_client(tasks)
            # Nobody is left who could be told anything.
            tasks.cancel_scope.cancel()

    async def _from_server(self, tasks: TaskGroup) -> None:
        assembly = _Assembly()
        async for event in self._inner:
            whole = assembly.take(event)
            if whole is None:
                continue
            if isinstance(whole, RawLost):
                self._client.abort(whole.reason)
                return
            if isinstance(whole, RawText):
                self._talk.said.append(json.loads(whole.text))
            await self._act(self._behaviour.server(whole, self._talk), tasks)

    async def _from_client(self, tasks: TaskGroup) -> None:
        assembly = _Assembly()
        async for event in self._client:
            whole = assembly.take(event)
            if whole is None:
                continue
            if isinstance(whole, RawLost):
                return
            if isinstance(whole, RawText):
                self._talk.asked.append(_object(whole.text))
            elif isinstance(whole, RawBytes):
                self._talk.sizes.append(len(whole.data))
            await self._act(self._behaviour.client(whole, self._talk), tasks)

    async def _act(self, acts: Iterable[Act], tasks: TaskGroup) -> None:
        for act in acts:
            match act:
                case Say(what):
                    await _send(self._client, what)
                case Forward(RawClose(code)) if self._inner.closed and self._inner.peer_closed:
                    # There is nobody behind any more who would answer it.
                    await self._client.close(code)
                case Forward(what):
                    await _send(self._inner, what)
                case Verbatim(data):
                    await _send_verbatim(self._client, data)
                case Pause(seconds):
                    await anyio.sleep(seconds)
                case Later(seconds, later):
                    tasks.start_soon(self._act_later, seconds, later, tasks)
                case Drop():
                    self._client.abort()

    async def _act_later(self, seconds: float, acts: Iterable[Act], tasks: TaskGroup) -> None:
        await anyio.sleep(seconds)
        await self._act(acts, tasks)


async def _send(stream: RawStream, what: Passed) -> None:
    # Whoever reads finds out how it ended.
    with suppress(StreamError):
        match what:
            case RawText(text):
                await stream.send_text(text)
            case RawBytes(data):
                await stream.send_bytes(data)
            case RawClose(code, reason):
                await stream.close(code, reason)


async def _send_verbatim(stream: RawStream, data: bytes) -> None:
    # The client may have been faster to end the connection.
    with suppress(StreamError):
        await stream.send_verbatim(data)


class _Assembly:
    """Puts the pieces of messages together."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._data: list[bytes] = []

    def take(self, event: RawEvent) -> Passed | RawLost | None:
        """What is whole with this event, None for nothing."""
        match event:
            case RawText(text, final):
                self._text.append(text)
                if final:
                    whole = RawText("".join(self._text))
                    self._text.clear()
                    return whole
            case RawBytes(data, final):
                self._data.append(data)
                if final:
                    segment = RawBytes(b"".join(self._data))
                    self._data.clear()
                    return segment
            case RawClose() | RawLost():
                return event
        return None


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
