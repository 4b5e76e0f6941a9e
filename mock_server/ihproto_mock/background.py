"""A mock server in a thread of its own: for tests without an event loop, and for tests on any."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from ihproto import Revision
from ihproto_mock.log import LogEntry
from ihproto_mock.server import MockServer


class BackgroundMockServer:
    """A `MockServer` that runs beside the program, while a `with` block does or until `stop`.

    It listens on 127.0.0.1, at a port that is free, and can be used from any thread and any event loop.

    Args:
        **options: What `MockServer` takes.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._mock: MockServer | None = None
        self._stack = ExitStack()
        self._log: list[LogEntry] = []

    def __enter__(self) -> Self:
        """Begin to listen."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    def start(self) -> None:
        """Begin to listen.

        Raises:
            RuntimeError: If it listens already.
            ScenarioError: If the scenario cannot be used.
            ValueError: If another option cannot be used; see `MockServer`.
            ConnectError: If the address cannot be listened on.
        """
        if self._mock is not None:
            raise RuntimeError("the server is listening already; restart it, or make another one")
        # Here, because `ihproto mock` has no use for it.
        from anyio.from_thread import start_blocking_portal

        tell: Callable[[LogEntry], None] | None = self._options.get("log")

        def log(entry: LogEntry) -> None:
            self._log.append(entry)
            if tell is not None:
                tell(entry)

        mock = MockServer(**{**self._options, "log": log})
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal())
            self._mock = stack.enter_context(portal.wrap_async_context_manager(mock))
            self._stack = stack.pop_all()

    def stop(self) -> None:
        """Close every session, and stop to listen; after that, the log is complete. Once more does nothing."""
        self._mock = None
        self._stack.close()

    def restart(self, **options: Any) -> None:
        """Stop, and listen again at the same address, knowing nothing of what was before.

        Args:
            **options: What is to change of what `MockServer` takes; `port=0` for another address.
        """
        port = self._listening.port
        self.stop()
        self._options = {**self._options, "port": port, **options}
        self.start()

    @property
    def url(self) -> str:
        """The URL of the stream endpoint of revision `v1`."""
        return self._listening.url

    def url_of(self, revision: Revision) -> str:
        """The URL of the stream endpoint of a revision."""
        return self._listening.url_of(revision)

    @property
    def base_url(self) -> str:
        """The URL of the server for HTTP clients, without a path."""
        return self._listening.base_url

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._listening.port

    @property
    def key(self) -> str:
        """An API key that is valid."""
        return self._listening.key

    @property
    def log(self) -> tuple[LogEntry, ...]:
        """What happened so far, on all connections, oldest first."""
        return tuple(self._log)

    @property
    def _listening(self) -> MockServer:
        if self._mock is None:
            raise RuntimeError("the server is not listening; use it as 'with BackgroundMockServer() as mock'")
        return self._mock
