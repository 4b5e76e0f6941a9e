"""A server's plain HTTP request, as its handler sees it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Self, TypeAlias

from ihproto._adapter.driver import Driver
from ihproto._adapter.errors import ConnectionBroken
from ihproto.wire import BodyEnded, BodyReceived, HttpError, HttpRequested, RequestLost, ServerConnection

logger = logging.getLogger("ihproto")


class HttpExchange:
    """One plain HTTP request of a client, and the answer to it.

    Iterate over it for the pieces of the body, as far as the body is wanted, and answer once, with `respond` or
    `refuse`. An answer may come before the body has; return soon after it, since what the client still sends is taken
    from then on.

    Attributes:
        request: What the client asks for.
        correlation_id: The id of the connection (HS-9).
    """

    def __init__(self, request: HttpRequested, events: Iterable[object], driver: Driver[ServerConnection]) -> None:
        self.request = request
        self.correlation_id = driver.wire.correlation_id
        self._driver = driver
        self._events = deque(events)
        self._answered = False
        self._ended = False
        self._lost: str | None = None

    @property
    def answered(self) -> bool:
        """Whether `respond` or `refuse` was called."""
        return self._answered

    def now(self) -> float:
        """The present moment on the adapter's clock, in seconds."""
        return self._driver.transport.now()

    async def respond(
        self,
        status: int,
        body: bytes,
        *,
        content_type: str = "application/json",
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Answer the request (HS-9).

        Args:
            status: The HTTP status, a final one.
            body: The body; it is left out for HEAD.
            content_type: What the body is.
            headers: More headers.

        Raises:
            RuntimeError: If it is answered already.
            ConnectionBroken: If nobody waits for an answer any more.
            ValueError: If the response cannot be written as HTTP; the request can still be answered.
        """
        self._require_answerable()
        self._driver.wire.respond(status, body, self.now(), content_type=content_type, headers=headers)
        self._answered = True
        await self._driver.flush(patient=False)

    async def refuse(self, status: int, error: HttpError, *, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Answer the request with an error (ERR-3).

        Args:
            status: The HTTP status.
            error: What to tell the client; the correlation id is filled in.
            headers: More headers, for example `Allow` with 405.

        Raises:
            RuntimeError: If it is answered already.
            ConnectionBroken: If nobody waits for an answer any more.
            ValueError: If the response cannot be written as HTTP; the request can still be answered.
        """
        self._require_answerable()
        self._driver.wire.refuse(status, error, self.now(), headers=headers)
        self._answered = True
        await self._driver.flush(patient=False)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next piece of the body.

        Raises:
            ConnectionBroken: If the rest of the body will not come, because the client is gone, pauses for too long,
                or sends what is not HTTP.
            RuntimeError: If the request is answered.
        """
        if self._answered:
            raise RuntimeError("the request is answered; what is left of its body is not handed out any more")
        while not self._ended:
            while self._events:
                match self._events.popleft():
                    case BodyReceived(data):
                        return data
                    case BodyEnded():
                        self._ended = True
                    case RequestLost(what):
                        self._lost = what
            if self._lost is not None:
                raise ConnectionBroken(self._lost)
            if not self._ended:
                await self._read()
        raise StopAsyncIteration

    async def _read(self) -> None:
        self._driver.wire.want_body(self.now())
        await self._driver.flush(patient=False)
        if not self._driver.wire.finished:
            await self._driver.step()
        self._events.extend(self._driver.wire.events())

    def _require_answerable(self) -> None:
        if self._answered:
            raise RuntimeError("the request is answered already")
        if not self._driver.wire.answerable:
            raise ConnectionBroken("nobody waits for an answer any more; iterate over the body to learn why")


RequestHandler: TypeAlias = Callable[[HttpExchange], Awaitable[None]]


async def handle_request(handler: RequestHandler, exchange: HttpExchange, driver: Driver[ServerConnection]) -> None:
    """Call the handler, answer in its place if it does not, and see the client off."""
    failure: HttpError | None = None
    try:
        await handler(exchange)
    except Exception as error:
        # A client that is gone has done so to itself; anything else is ours.
        if isinstance(error, ConnectionBroken) and not driver.wire.answerable:
            logger.info("connection %s: %s", exchange.correlation_id, error)
        else:
            logger.exception("connection %s: the handler failed", exchange.correlation_id)
            failure = HttpError.of("ih1001")
    if driver.wire.answerable:
        await exchange.refuse(500, failure or HttpError.of("ih1001", message="the server did not answer the request"))
    await driver.wait_finished()
