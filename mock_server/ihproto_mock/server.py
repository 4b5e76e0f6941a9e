"""The mock server: what is at which path, and who answers there as the service is documented to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from anyio.abc import Listener

from ihproto import REVISIONS, V1, MediaScanner, Revision, SegmentScanner, ServerSettings, SessionReady
from ihproto.anyio import HttpExchange, ServeOptions, Server, ServerStream, serve
from ihproto.wire import HttpError
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.endpoints import HttpEndpoints
from ihproto_mock.keys import KeyPair
from ihproto_mock.log import LogEntry, Say, Value
from ihproto_mock.scenario import Scenario, load_scenario
from ihproto_mock.stream import StreamEndpoint
from ihproto_mock.uploads import UploadService


def _routes(pin: Iterable[str]) -> Mapping[str, Revision]:
    """The revision at each path: the newest one that is documented for it, or the one that is pinned."""
    routes = {revision.path: revision for revision in REVISIONS.values()}
    pinned: dict[str, Revision] = {}
    for name in pin:
        revision = REVISIONS.get(name)
        if revision is None:
            raise ValueError(f"there is no revision {name!r}; there are {', '.join(REVISIONS)}")
        other = pinned.setdefault(revision.path, revision)
        if other is not revision:
            raise ValueError(f"{other.id} and {name} share the path {revision.path}; pin one of them")
    return {**routes, **pinned}


class MockServer:
    """A mock server; listening inside `async with`, on asyncio or trio.

    Args:
        keys: Each valid API key with its scopes; None for `DEFAULT_KEY` with all scopes.
        key_pairs: The key pairs that can be exchanged for tokens; None for `DEFAULT_KEY_ID` with `DEFAULT_KEY_SECRET`,
            or for none where `keys` are given.
        pin: Ids of revisions to serve at their paths; otherwise each path serves its newest one.
        scenario: A scenario, the name of a bundled one, or the path of a TOML file.
        settings: Contract, windows and periods of the sessions. What the contract changes in that of `v1` is changed in
            every revision.
        make_scanner: Makes the scanner of a session from its contract. The default looks into the media; where any
            bytes will do as segments, take `lambda contract: NominalScanner(seconds=3)`.
        max_file_seconds: The longest file that may be uploaded, in seconds of media (ih4004).
        job_seconds: How long a job takes from its upload to its end, in seconds (UPL-2).
        pages: A folder with a web page, to be served to browsers; None for none.
        log: Called with each `LogEntry`.
        listener: What brings connections instead of `host` and `port`; see `ihproto.anyio.serve`.
        **options: Where and how to listen; see `ihproto.anyio.ServeOptions`.

    Raises:
        ScenarioError: If the scenario cannot be used.
        ValueError: If there is no key, no such revision, or no page in the folder.
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, Collection[str]] | None = None,
        key_pairs: Iterable[KeyPair] | None = None,
        pin: Iterable[str] = (),
        scenario: Scenario | str | Path = "lively",
        settings: ServerSettings | None = None,
        make_scanner: Callable[[SessionReady], SegmentScanner] = MediaScanner,
        max_file_seconds: float = 1800.0,
        job_seconds: float = 0.3,
        pages: Path | None = None,
        log: Callable[[LogEntry], None] | None = None,
        listener: Listener[Any] | None = None,
        **options: Unpack[ServeOptions],
    ) -> None:
        self.credentials = CredentialStore(keys, key_pairs=key_pairs)
        self.scenario = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
        self._revisions = _routes(pin)
        settings = settings if settings is not None else ServerSettings()
        self._streams = StreamEndpoint(self.credentials, self.scenario, settings, make_scanner)
        self._http = HttpEndpoints(
            self.credentials,
            UploadService(self.scenario, settings, make_scanner, max_file_seconds, job_seconds=job_seconds),
            [*self._revisions],
            pages,
        )
        self._log = log
        self._options = ServeOptions(on_failed=self._fail, on_request=self.answer, **options)
        self._listener = listener
        self._server: Server | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._server = await self._stack.enter_async_context(
            serve(self._handle, listener=self._listener, **self._options)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Close every session, and stop to listen."""
        self._server = None
        return await self._stack.__aexit__(kind, error, traceback)

    @property
    def url(self) -> str:
        """The URL of the stream endpoint of revision `v1`."""
        return self.url_of(V1)

    def url_of(self, revision: Revision) -> str:
        """The URL of the stream endpoint of a revision."""
        return self._listening.url + revision.path

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._listening.port

    @property
    def base_url(self) -> str:
        """The URL of the server for HTTP clients, without a path."""
        return "http" + self._listening.url.removeprefix("ws")

    @property
    def _listening(self) -> Server:
        if self._server is None:
            raise RuntimeError("the server is not listening; use it as 'async with MockServer() as mock'")
        return self._server

    @property
    def key(self) -> str:
        """An API key that is valid."""
        return next(iter(self.credentials.keys))

    async def _handle(self, stream: ServerStream) -> None:
        request = stream.request
        say = self._teller(stream.correlation_id)
        form = request.credential.form.value if request.credential is not None else None
        say("upgrade", path=request.path, credential=form, client_request_id=request.client_request_id)
        revision = self._revisions.get(request.path)
        if revision is None:
            paths = ", ".join(self._revisions)
            error = HttpError(message=f"there is nothing at this path; stream endpoints are at {paths}")
            say("upgrade refused", refused=True, status=404, why=error.message)
            await stream.refuse(404, error)
            return
        await self._streams.serve(stream, revision, say)

    async def answer(self, exchange: HttpExchange) -> None:
        """Answer a plain HTTP request, also one that came to another server that stands in front of this one."""
        await self._http.answer(exchange, self._teller(exchange.correlation_id))

    def _fail(self, connection: str, what: str) -> None:
        self._teller(connection)("no upgrade", refused=True, why=what)

    def _teller(self, connection: str) -> Say:
        def say(event: str, *, refused: bool = False, **fields: Value) -> None:
            if self._log is not None:
                self._log(LogEntry(connection, event, refused, fields))

        return say
