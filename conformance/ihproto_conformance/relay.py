"""A relay that judges: it stands between a client and a server, passes everything on as it comes, and watches both.

Messages go through piece by piece, whatever they are; only where the frames are cut may change, and pings are answered
on each side by itself. No compression is offered to the server, and none accepted from the client. What a side said is
judged before it is passed on: so an answer is never judged before what it answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import anyio
import attrs

from ihproto import REVISIONS, V1, LocalProtocolError, MediaScanner, Revision, Side
from ihproto.anyio import (
    ConnectError,
    HttpExchange,
    RawConnectOptions,
    RawStream,
    ServeOptions,
    Server,
    ServerStream,
    StreamError,
    UpgradeError,
    connect_raw,
    serve,
)
from ihproto.wire import (
    HttpError,
    RawBytes,
    RawClose,
    RawLost,
    RawText,
    Redactor,
    Target,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
)
from ihproto_conformance.replay import media_seconds
from ihproto_conformance.trace import Response, Trace
from ihproto_conformance.verdict import Entry, SessionLog
from ihproto_conformance.watcher import MakeScanner, Watcher, secrets_of

#: Headers that are about one connection only, or that whoever makes the upgrade writes by itself (RFC 7230,
#: section 6.1; RFC 6455, section 4).
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OF_REQUEST = _HOP_BY_HOP | {
    "content-length",
    "host",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-version",
}
_OF_RESPONSE = _HOP_BY_HOP | {"content-length", "sec-websocket-accept", "sec-websocket-extensions"}
#: The newest revision at each path.
_BY_PATH = {revision.path: revision for revision in REVISIONS.values()}


@attrs.define(eq=False)
class RelayedSession:
    """One client, from its upgrade request to its end.

    Attributes:
        number: Its number, from 1.
        revision: The revision by which it is judged.
        target: Path and query at the server, without secrets.
        started_at: When it began.
        entries: What has passed so far, in order.
    """

    number: int
    revision: Revision
    target: str
    started_at: datetime
    entries: list[Entry] = attrs.field(factory=list, repr=False)

    @property
    def accepted(self) -> bool:
        """Whether the server has accepted the upgrade."""
        return any(_is_upgrade(entry) for entry in self.entries)

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"relayed session {self.number}, {self.target}"

    def log(self) -> SessionLog:
        """What has passed so far, for a report."""
        return SessionLog(self.number, "relay", self.target, tuple(self.entries), media_seconds(self.entries))

    def trace(self) -> Trace:
        """What has passed so far, as a trace."""
        return Trace(self.revision, tuple(entry.record for entry in self.entries), self.started_at, self.title)


def _is_upgrade(entry: Entry) -> bool:
    return isinstance(entry.record.passed, Response) and entry.record.passed.status == 101


class Relay:
    """Takes clients while its block runs, and connects each of them to the server; leaving it closes them with 1001.

    A client's path and query are the server's. For a client that names no path it is that of the URL, or else that of
    the revision.

    Args:
        upstream: The URL of the server: `wss://…`, or `ws://…` for a local one.
        revision: The revision by which all sessions are judged; None for the newest one at the path of each.
        make_scanner: Makes what looks into the segments, from the contract; None not to judge their media.
        on_begin: Called when a client has asked for an upgrade.
        on_entry: Called with everything that passes, and what was found in it, as soon as that is known.
        on_end: Called when a session is over.
        connect: More options of `connect_raw`; by default they allow a slow client all the time that a server would.
        options: Options of `serve`.

    Attributes:
        sessions: All sessions, in the order in which they began, with all that passed in them. Whoever keeps a relay
            for long may take out those that are over.

    Raises:
        LocalProtocolError: If the URL cannot be used (HS-1).
    """

    def __init__(
        self,
        upstream: str,
        *,
        revision: Revision | None = None,
        make_scanner: MakeScanner | None = MediaScanner,
        on_begin: Callable[[RelayedSession], None] | None = None,
        on_entry: Callable[[RelayedSession, Entry], None] | None = None,
        on_end: Callable[[RelayedSession], None] | None = None,
        connect: RawConnectOptions | None = None,
        options: ServeOptions | None = None,
    ) -> None:
        self.sessions: list[RelayedSession] = []
        self._numbers = itertools.count(1)
        self._connect: RawConnectOptions = {"close_timeout": 30.0, "send_timeout": 300.0}
        self._connect.update(connect or {})
        self._options: ServeOptions = {"close_timeout": 30.0, "send_timeout": 300.0, "on_request": _refuse_http}
        self._options.update(options or {})
        allow_plaintext = self._connect.get("allow_plaintext", False)
        target = Target.parse(upstream, revision or V1, allow_plaintext=allow_plaintext)
        self._origin = f"{'wss' if target.tls else 'ws'}://{target.authority}"
        # Without the query, which is the client's affair.
        self._path = target.path.partition("?")[0]
        self._revision = revision
        self._make_scanner = make_scanner
        self._on_begin = on_begin
        self._on_entry = on_entry
        self._on_end = on_end
        self._server: Server | None = None
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        """The URL at which clients are taken, without a path."""
        assert self._server is not None, "the relay listens inside its block"
        return self._server.url

    async def __aenter__(self) -> Self:
        """Begin to listen.

        Raises:
            ConnectError: If the address cannot be listened on.
        """
        self._server = await self._stack.enter_async_context(serve(self._handle, **self._options))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Close all clients, and listen no more."""
        return await self._stack.__aexit__(kind, error, trace)

    async def _handle(self, stream: ServerStream) -> None:
        request = stream.request
        began = stream.now()
        path, mark, query = request.target.partition("?")
        path = path if path not in ("", "/") else self._path
        target = f"{path}{mark}{query}"
        revision = self._revision if self._revision is not None else _BY_PATH.get(path, V1)
        redacted = Redactor(secrets_of(request)).text(target)
        session = RelayedSession(next(self._numbers), revision, redacted, datetime.now(UTC))

        def keep(entry: Entry) -> None:
            session.entries.append(entry)
            if self._on_entry is not None:
                self._on_entry(session, entry)

        watcher = Watcher(revision, began, make_scanner=self._make_scanner, on_entry=keep)
        self.sessions.append(session)
        if self._on_begin is not None:
            self._on_begin(session)
        try:
            watcher(Side.CLIENT, request, began)
            await self._relay(stream, target, watcher)
        finally:
            if self._on_end is not None:
                self._on_end(session)

    async def _relay(self, stream: ServerStream, target: str, watcher: Watcher) -> None:
        request = stream.request
        headers = [(name, value) for name, value in _text(request.headers) if name not in _OF_REQUEST]
        if request.authorization is not None:
            headers.append(("authorization", request.authorization))
        options: RawConnectOptions = {**self._connect, "headers": headers, "subprotocols": request.subprotocols}
        try:
            async with connect_raw(self._origin + target, **options) as upstream:
                assert upstream.accepted is not None
                await self._join(stream, upstream, upstream.accepted, watcher)
        except UpgradeError as error:
            watcher(Side.SERVER, error.event, stream.now())
            await self._refuse(stream, error.event)
        except (ConnectError, LocalProtocolError) as error:
            watcher(Side.SERVER, UpgradeFailed(str(error)), stream.now())
            await stream.refuse(502, HttpError(message=f"the relay cannot pass this on: {error}"))

    async def _refuse(self, stream: ServerStream, event: UpgradeRefused | UpgradeFailed) -> None:
        if isinstance(event, UpgradeFailed):
            await stream.refuse(502, HttpError(message=f"the relay got no usable answer: {event.what}"))
            return
        headers = [(name, value) for name, value in _text(event.headers) if name not in _OF_RESPONSE]
        try:
            await stream.refuse_raw(event.status, headers, event.body)
        except ValueError as error:
            await stream.refuse(502, HttpError(message=f"the relay cannot pass the answer on: {error}"))

    async def _join(
        self, stream: ServerStream, upstream: RawStream, accepted: UpgradeAccepted, watcher: Watcher
    ) -> None:
        watcher(Side.SERVER, accepted, stream.now())
        headers = [(name, value) for name, value in _text(accepted.headers) if name not in _OF_RESPONSE]
        if accepted.subprotocol is not None:
            headers.append(("sec-websocket-protocol", accepted.subprotocol))
        try:
            client = await stream.accept_raw(headers)
        except ValueError as error:
            await stream.refuse(502, HttpError(message=f"the relay cannot pass the answer on: {error}"))
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_pump, client, upstream, Side.CLIENT, watcher)
            await _pump(upstream, client, Side.SERVER, watcher)


async def _pump(source: RawStream, sink: RawStream, sender: Side, watcher: Watcher) -> None:
    """Pass on what one side says, until it says nothing more."""
    async for event in source:
        watcher(sender, event, source.now())
        try:
            match event:
                case RawText(text, final):
                    await sink.send_text(text, final=final)
                case RawBytes(data, final):
                    await sink.send_bytes(data, final=final)
                case RawClose(code, reason):
                    await sink.close(code, reason)
                case RawLost(reason) if not source.peer_closed:
                    sink.abort(reason)
        except StreamError:
            # What the other side said last may still be on its way from there: it is read until it ends.
            pass


async def _refuse_http(exchange: HttpExchange) -> None:
    what = "this is a relay for the stream: it passes WebSocket upgrades on, and no plain HTTP requests"
    await exchange.refuse(501, HttpError(message=what))


def _text(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
