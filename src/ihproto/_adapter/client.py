"""The client's stream, and what it takes to open one."""

from __future__ import annotations

import functools
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Self, TypedDict

from ihproto._adapter.driver import Driver, Transport
from ihproto._adapter.endpoint import Endpoint
from ihproto._adapter.errors import SessionRefused, StreamError
from ihproto.automata import ClientState
from ihproto.client import ClientSession
from ihproto.errors import LocalProtocolError, Side, Violation
from ihproto.events import ClientEvent, SessionClosed, Violated
from ihproto.messages import AudioFormat, SessionConfig, SessionReady
from ihproto.revisions import V1, Revision
from ihproto.rules.config import read_query, unwritable, write_query
from ihproto.wire import (
    ClientConnection,
    Credential,
    CredentialForm,
    Tap,
    Target,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
)

#: Segments longer than this are sent as several frames of one message, in bytes.
PIECE_SIZE = 512 * 1024

#: How many events are kept while nobody can iterate: before the session stands, and while it is being closed.
MAX_UNREAD = 256


class ClientStream:
    """An open session with a server.

    Iterate over it for the events (`Envelope`, `Violated`, `SessionClosed`); iteration ends after `SessionClosed`.
    Sending and iterating may happen in different tasks, and for anything long they should: while nobody iterates,
    nothing is read, pings are not answered, and what a server says before it hangs up may be lost with the connection.
    While somebody does, a server that is gone without a word is noticed; see `ping_interval` of `connect`.

    Attributes:
        session: The session, for everything that can be asked about it.
    """

    def __init__(self, session: ClientSession, driver: Driver[ClientConnection]) -> None:
        self.session = session
        self._driver = driver
        self._events: deque[ClientEvent] = deque()
        self._segments = driver.transport.lock()
        self._over = False

    @property
    def contract(self) -> SessionReady:
        """The server's contract (RDY-2)."""
        assert self.session.contract is not None
        return self.session.contract

    async def send_config(
        self,
        include: Sequence[str] = (),
        *,
        goal_dimensions: Sequence[str] | None = None,
        model: str | None = None,
        audio_format: AudioFormat | None = None,
    ) -> None:
        """Send a session config; see `ClientSession.send_config`.

        Raises:
            LocalProtocolError: If the session is over.
            StreamError: If the connection is lost.
        """
        self._driver.check()
        self.session.send_config(include, goal_dimensions=goal_dimensions, model=model, audio_format=audio_format)
        await self._driver.flush()

    async def send_segment(self, data: bytes | bytearray | memoryview) -> None:
        """Send a segment (SEG-1).

        Args:
            data: The whole segment; a large one goes out as several frames of one message.

        Raises:
            LocalProtocolError: If the contract does not allow it; nothing was sent (SEG-2, SEG-10, CLS-2).
            StreamError: If the connection is lost, or the send was interrupted before.
        """
        view = memoryview(data)
        view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        async with self._segments:
            self._driver.check()
            self.session.check_segment(len(view))
            try:
                for start in range(0, len(view), PIECE_SIZE):
                    end = start + PIECE_SIZE
                    # A slice of all of it is the same bytes, not a copy.
                    piece = data[start:end] if isinstance(data, bytes) else bytes(view[start:end])
                    self.session.send_segment(piece, final=end >= len(view))
                    await self._driver.flush()
                    if end < len(view):
                        self._driver.check()
            except StreamError:
                raise
            except BaseException:
                # Cancelled between two pieces: whatever was sent next would be taken for the rest of this segment.
                if self.session.segment_under_way:
                    self._driver.break_off("a segment was cut off")
                raise

    async def end(self) -> None:
        """Ask for a graceful close; iterate on until the session is closed (CLS-1).

        A server that does not know `session.close` is closed at once instead, without `session.ended`. In revisions
        that have no such message, this side closes when the server has no more to say; see `ClientSession.end`.

        Raises:
            LocalProtocolError: If there is no session to end.
            StreamError: If the connection is lost.
        """
        self._driver.check()
        self.session.end(self._driver.transport.now(), or_close=True)
        await self._driver.flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close at once and wait for the answer; what the server has not said yet is lost (CLS-3)."""
        if self.session.state not in (ClientState.CLOSING, ClientState.CLOSED):
            self.session.close(code, reason)
            await self._driver.flush(patient=False)
        await self._driver.wait_finished(self._keep_some)

    def _keep_some(self) -> None:
        """Keep what arrived as far as there is room: what is said after a close may get lost, but not the end."""
        for event in _of_session(self._driver.wire):
            if len(self._events) < MAX_UNREAD or isinstance(event, SessionClosed):
                self._events.append(event)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ClientEvent:
        """The next event.

        Raises:
            RemoteProtocolError: If the session is strict and the server broke a `must` clause.
        """
        while True:
            if self._events:
                event = self._events.popleft()
                self._over = isinstance(event, SessionClosed)
                return event
            if self._over:
                raise StopAsyncIteration
            self._events.extend(_of_session(self._driver.wire))
            if not self._events:
                await self._driver.step()

    async def wait_ready(self) -> None:
        """Read until the session stands; the events stay for whoever iterates."""
        while self.session.contract is None and self.session.state is not ClientState.CLOSED:
            await self._driver.step()
            self._events.extend(_of_session(self._driver.wire))
            if self.session.contract is None and len(self._events) > MAX_UNREAD:
                self._driver.break_off("the server says much, but not session.ready")
        self._events.extend(_of_session(self._driver.wire))
        closed = self._events[-1] if self.session.contract is None else None
        if isinstance(closed, SessionClosed):
            violations = [event.violation for event in self._events if isinstance(event, Violated)]
            raise SessionRefused(closed, violations, self._driver.wire.secrets)


def _of_session(wire: ClientConnection) -> list[ClientEvent]:
    return [event for event in wire.events() if not isinstance(event, UpgradeAccepted | UpgradeRefused | UpgradeFailed)]


class ConnectOptions(TypedDict, total=False):
    """What `connect` takes besides URL and credential; see `Dialer` for meanings and defaults."""

    form: CredentialForm | str
    revision: Revision
    include: Sequence[str]
    goal_dimensions: Sequence[str] | None
    model: str | None
    audio_format: AudioFormat | None
    strict: bool
    ssl_context: ssl.SSLContext | None
    allow_plaintext: bool
    client_request_id: str | None
    headers: Sequence[tuple[str, str]]
    connect_timeout: float
    close_timeout: float
    ping_interval: float | None
    drain_grace: float | None
    send_timeout: float
    tap: Tap | None


class Dialer(Endpoint):
    """All that `connect` needs to know, checked before there is a socket.

    Args:
        url: `wss://…`, or `ws://…` for a local server; without a path, that of the revision (HS-1).
        credential: An API key or a token.
        form: `header`, `subprotocol` or `pair`: how the credential travels (HS-2, HS-3, HS-4).
        revision: The revision of the protocol to speak.
        include: The conversation-quality sections to ask for from the beginning (CFG-3). Like the next three, it
            travels in the URL where the revision takes it from there (HS-13, HS-15), and in a config otherwise.
        goal_dimensions: The dimensions that feedback is wanted for (CFG-6).
        model: The model to select (CFG-7).
        audio_format: The format of raw audio, if segments are to be that (CFG-8).
        strict: Raise `RemoteProtocolError` when the server breaks a `must` clause.
        ssl_context: The TLS settings for `wss://`; None for the defaults.
        allow_plaintext: Allow `ws://` to hosts that are not local (HS-1).
        client_request_id: Sent as `X-Client-Request-Id` (HS-8).
        headers: More headers for the upgrade request.
        connect_timeout: How long each of connecting, upgrade, and `session.ready` may take, in seconds.
        close_timeout: How long to wait for the answer to a close, in seconds.
        ping_interval: After how long a silence the server is pinged while somebody iterates, in seconds; when two pings
            have brought nothing, the connection is lost: in a minute and a half, unless something else is asked for.
            None to wait for ever.
        drain_grace: How much longer than announced a drain may take, and for how long the server must have been silent
            at the end where it announces nothing, in seconds; None for what fits the revision, see `ClientSession`.
        send_timeout: How long the server may not take our bytes, in seconds.
        tap: Told everything that passes, as it was said and before the session acts on it, with the side that said it
            and the moment: for a trace, or a judge. None for nobody.

    Raises:
        LocalProtocolError: If URL or credential cannot be used (HS-1, HS-2, HS-7), or the revision knows nothing of
            what is asked for (CFG-1, CFG-7).
        ValueError: If there is no such form of credential.
    """

    def __init__(
        self,
        url: str,
        credential: str,
        *,
        form: CredentialForm | str = CredentialForm.HEADER,
        revision: Revision = V1,
        include: Sequence[str] = (),
        goal_dimensions: Sequence[str] | None = None,
        model: str | None = None,
        audio_format: AudioFormat | None = None,
        strict: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        allow_plaintext: bool = False,
        client_request_id: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        connect_timeout: float = 30.0,
        close_timeout: float = 10.0,
        ping_interval: float | None = 30.0,
        drain_grace: float | None = None,
        send_timeout: float = 60.0,
        tap: Tap | None = None,
    ) -> None:
        query, self._opening = write_query(revision, SessionConfig(include, goal_dimensions, model, audio_format))
        self._asked = read_query(revision, query)
        if self._opening != SessionConfig():
            refusal = unwritable(self._opening, revision)
            if refusal is not None:
                raise LocalProtocolError(
                    Violation(refusal.clause, Side.CLIENT, "CONNECTING", refusal.what, refusal.path)
                )
        target = Target.parse(url, revision, allow_plaintext=allow_plaintext).with_query(query)
        super().__init__(target, ssl_context, connect_timeout)
        self._revision = revision
        self._strict = strict
        self._drain_grace = drain_grace
        self._send_timeout = send_timeout
        self._make_wire = functools.partial(
            ClientConnection,
            target=self.target,
            credential=Credential(credential, CredentialForm(form)),
            make_session=self._make_session,
            strict=strict,
            client_request_id=client_request_id,
            headers=tuple(headers),
            upgrade_timeout=connect_timeout,
            close_timeout=close_timeout,
            ping_interval=ping_interval,
            tap=tap,
        )
        # Whatever is wrong with the credential shows here, before anything is connected.
        self._make_wire(0.0)

    def _make_session(self, now: float, correlation_id: str | None) -> ClientSession:
        session = ClientSession(
            now,
            revision=self._revision,
            strict=self._strict,
            correlation_id=correlation_id,
            asked=self._asked,
            ready_timeout=self.connect_timeout,
            drain_grace=self._drain_grace,
        )
        if self._opening != SessionConfig():
            opening = self._opening
            session.send_config(
                opening.include,
                goal_dimensions=opening.goal_dimensions,
                model=opening.model,
                audio_format=opening.audio_format,
            )
        return session

    @asynccontextmanager
    async def open(self, transport: Transport) -> AsyncIterator[ClientStream]:
        """Upgrade, wait for `session.ready`, hand out the stream, and leave nothing behind."""
        wire = self._make_wire(transport.now())
        try:
            await self.upgrade(wire, transport)
            assert wire.session is not None
            stream = ClientStream(wire.session, Driver(wire, transport, self._send_timeout))
            await stream.wait_ready()
            yield stream
            await stream.close()
        finally:
            await transport.aclose()
