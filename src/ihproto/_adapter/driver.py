"""One connection between an async library and `ihproto.wire`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from typing import Generic, Protocol, TypeVar

from ihproto._adapter.errors import ConnectionBroken, PeerStalled

#: How much is read from a socket at once, in bytes: no less than asyncio reads, or anyio would cut it up.
RECEIVE_SIZE = 256 * 1024

_CLOSED = "the connection is closed; the events tell why"


class Scope(Protocol):
    """A cancel scope."""

    deadline: float

    @property
    def cancelled_caught(self) -> bool:
        """Whether the scope ended because its deadline passed."""
        ...

    def cancel(self) -> None:
        """End what runs in the scope."""
        ...


class Lock(AbstractAsyncContextManager[object], Protocol):
    """A lock for tasks."""

    def locked(self) -> bool:
        """Whether somebody holds it."""
        ...


class Transport(Protocol):
    """What an async library has to bring for one connection."""

    def now(self) -> float:
        """The present moment, in seconds."""
        ...

    def scope(self, deadline: float) -> AbstractContextManager[Scope]:
        """A cancel scope that ends at `deadline`, or never if that is infinite."""
        ...

    def lock(self) -> Lock:
        """A new lock."""
        ...

    async def receive(self) -> bytes:
        """The next bytes, empty at the end of the stream or when the connection is lost."""
        ...

    async def send_all(self, data: bytes) -> None:
        """Send bytes; raises `ConnectionBroken` when the connection is lost."""
        ...

    async def aclose(self) -> None:
        """Close without waiting for the peer."""
        ...


class _Wire(Protocol):
    """What all connections of `ihproto.wire` have in common."""

    @property
    def finished(self) -> bool: ...
    def receive_data(self, data: bytes, now: float) -> None: ...
    def receive_eof(self, now: float, reason: str = ...) -> None: ...
    def data_to_send(self, now: float) -> bytes: ...
    def next_timeout(self) -> float | None: ...
    def handle_timeout(self, now: float) -> None: ...


W = TypeVar("W", bound=_Wire)


class Driver(Generic[W]):
    """Moves the bytes of one connection, in whichever task asks for it.

    Args:
        wire: The connection.
        transport: What moves the bytes.
        send_timeout: How long the peer may not take our bytes, in seconds.
        cure: What to do about a peer that takes none, behind a semicolon; empty when nothing can be done.

    Attributes:
        lead: How much may arrive while another task is sending, in bytes, before reading waits for it; None for any
            amount. What arrives may have answers, and a peer that takes none is not to fill the memory with them.
    """

    def __init__(
        self,
        wire: W,
        transport: Transport,
        send_timeout: float,
        cure: str = "; read events while sending, in another task or by turns",
    ) -> None:
        self.wire = wire
        self.transport = transport
        self._send_timeout = send_timeout
        self._cure = cure
        self.lead: int | None = None
        self._ahead = 0
        self._writing = transport.lock()
        self._reading = transport.lock()
        self._steps = 0
        self._broken = False
        self._receiving: Scope | None = None

    def check(self) -> None:
        """Raise `ConnectionBroken` if nothing can be sent any more."""
        if self._broken or self.wire.finished:
            raise ConnectionBroken(_CLOSED)

    def break_off(self, reason: str) -> None:
        """Give the connection up, because what was sent of a message or a frame cannot be completed."""
        self._broken = True
        self.wire.receive_eof(self.transport.now(), reason)
        self.nudge()

    @property
    def reading(self) -> bool:
        """Whether a task waits for bytes."""
        return self._receiving is not None

    def nudge(self) -> None:
        """Let the task that waits for bytes look for what is to be sent."""
        if self._receiving is not None:
            self._receiving.deadline = self.transport.now()

    async def wait_finished(self, after_step: Callable[[], None] = lambda: None) -> None:
        """Read until the close is answered or given up.

        Args:
            after_step: Called whenever something may have arrived.
        """
        if self._broken:
            self.wire.receive_eof(self.transport.now())
        while not self.wire.finished:
            await self.step()
            after_step()

    async def wait_sent(self) -> None:
        """Wait for a task that is sending: what ends the connection may be among its bytes."""
        async with self._writing:
            pass

    async def step(self) -> None:
        """Wait for bytes or for the next timeout, and let the connection act on it; or wait for a task that does so."""
        steps = self._steps
        async with self._reading:
            # Otherwise somebody else has acted while we waited for our turn.
            if self._steps == steps:
                try:
                    await self._step()
                finally:
                    self._steps += 1

    async def _step(self) -> None:
        if self.lead is not None and self._ahead > self.lead:
            await self.wait_sent()
        data = b""
        with self.transport.scope(self._deadline()) as scope:
            self._receiving = scope
            try:
                data = await self.transport.receive()
            finally:
                self._receiving = None
        now = self.transport.now()
        self._ahead = self._ahead + len(data) if self._writing.locked() else 0
        try:
            if scope.cancelled_caught:
                self.wire.handle_timeout(now)
            elif data:
                self.wire.receive_data(data, now)
            else:
                self.wire.receive_eof(now)
        finally:
            await self.flush(patient=False)

    async def flush(self, *, patient: bool = True) -> None:
        """Send what is to be sent.

        Args:
            patient: Wait for a task that is sending already, and raise when the bytes cannot be sent. Otherwise that
                task takes ours along, and a loss shows as the end of the session.
        """
        if self._broken:
            # It goes nowhere, but the answer to a close is not to be waited for without end.
            self.wire.data_to_send(self.transport.now())
            self._reschedule()
            return
        if self._writing.locked() and not patient:
            return
        async with self._writing:
            try:
                if self._broken:
                    # By the task that was waited for: what comes behind a piece of a frame is worth nothing.
                    raise ConnectionBroken(_CLOSED)
                while data := self.wire.data_to_send(self.transport.now()):
                    await self._send(data)
            except ConnectionBroken:
                # The peer's last words may still be there to be read.
                self._broken = True
                if patient:
                    raise
            except PeerStalled as error:
                self.break_off(str(error))
                if patient:
                    raise
            except BaseException:
                self.break_off("a send was cancelled in the middle of a frame")
                raise
            finally:
                self._reschedule()

    async def flush_in_turn(self) -> None:
        """Send what is to be sent, behind what other tasks are sending; a loss shows as the end of the session."""
        with suppress(ConnectionBroken, PeerStalled):
            await self.flush()

    async def _send(self, data: bytes) -> None:
        with self.transport.scope(self.transport.now() + self._send_timeout) as scope:
            await self.transport.send_all(data)
        if scope.cancelled_caught:
            raise PeerStalled(f"the peer has not taken our bytes for {self._send_timeout:g} s{self._cure}")

    def _reschedule(self) -> None:
        if self._receiving is not None:
            self._receiving.deadline = self._deadline()

    def _deadline(self) -> float:
        if self.wire.finished:
            # Nothing more will come: whoever waits for it, while another task has brought the end about, is to know.
            return self.transport.now()
        moment = self.wire.next_timeout()
        return float("inf") if moment is None else moment
