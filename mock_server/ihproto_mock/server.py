"""The mock server: one handler on `ihproto.anyio.serve`, which answers as the service is documented to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import attrs

from ihproto import (
    V1,
    CloseRequested,
    ConfigApplied,
    ExpectedMedia,
    MediaScanner,
    Revision,
    SegmentAccepted,
    SegmentFault,
    SegmentMedia,
    SegmentRefused,
    SegmentScanner,
    ServerEvent,
    ServerSettings,
    SessionClosed,
    SessionExpired,
    SessionReady,
    Violated,
    WindowReady,
)
from ihproto.anyio import ServeOptions, Server, ServerStream, serve
from ihproto.wire import HttpError
from ihproto_mock.keys import STREAM_SCOPE, KeyRing
from ihproto_mock.log import LogEntry, Value
from ihproto_mock.scenario import Scenario, load_scenario


class ScenarioScanner:
    """Scans segments like another scanner, and refuses those that the scenario refuses.

    Args:
        scenario: The scenario.
        scanner: The scanner that measures.
    """

    def __init__(self, scenario: Scenario, scanner: SegmentScanner) -> None:
        self._scenario = scenario
        self._scanner = scanner
        self._fault: SegmentFault | None = None

    def expect(self, expected: ExpectedMedia) -> None:
        """Take note of what the segments from here on have to be."""
        self._scanner.expect(expected)

    def begin(self, number: int) -> None:
        """Begin a segment."""
        mishap = self._scenario.mishap_at_segment(number)
        self._fault = SegmentFault(mishap.code, "ERR-1", f"is refused: {mishap.text}") if mishap is not None else None
        self._scanner.begin(number)

    def feed(self, data: bytes) -> SegmentFault | None:
        """Take a piece."""
        return self._scanner.feed(data)

    def finish(self) -> SegmentMedia | SegmentFault:
        """Finish the segment; one that the scenario refuses was scanned as well, so that others can continue it."""
        media = self._scanner.finish()
        return self._fault if self._fault is not None else media


class MockServer:
    """A mock server; listening inside `async with`, on asyncio or trio.

    Args:
        keys: Each valid key with its scopes; None for `DEFAULT_KEY` with the stream scope.
        scenario: A scenario, the name of a bundled one, or the path of a TOML file.
        settings: Contract, windows and periods of the sessions.
        make_scanner: Makes the scanner of a session from its contract. The default looks into the media; where any
            bytes will do as segments, take `lambda contract: NominalScanner(seconds=3)`.
        log: Called with each `LogEntry`.
        **options: Where and how to listen; see `ihproto.anyio.ServeOptions`.

    Raises:
        ScenarioError: If the scenario cannot be used.
        ValueError: If there is no key.
    """

    def __init__(
        self,
        *,
        keys: Mapping[str, Collection[str]] | None = None,
        scenario: Scenario | str | Path = "lively",
        settings: ServerSettings | None = None,
        make_scanner: Callable[[SessionReady], SegmentScanner] = MediaScanner,
        log: Callable[[LogEntry], None] | None = None,
        **options: Unpack[ServeOptions],
    ) -> None:
        self.keys = KeyRing(keys)
        self.scenario = scenario if isinstance(scenario, Scenario) else load_scenario(scenario)
        self._settings = settings
        self._make_scanner = make_scanner
        self._log = log
        self._options = ServeOptions(on_failed=self._fail, **options)
        self._server: Server | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Begin to listen."""
        self._server = await self._stack.enter_async_context(serve(self._handle, **self._options))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Close every session, and stop to listen."""
        self._server = None
        return await self._stack.__aexit__(kind, error, traceback)

    @property
    def url(self) -> str:
        """The URL of the stream endpoint."""
        return self._listening.url + V1.path

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
        """A key that is valid."""
        return next(iter(self.keys))

    async def _handle(self, stream: ServerStream) -> None:
        request = stream.request
        revision = self._revision(request.path)
        form = request.credential.form.value if request.credential is not None else None
        self._say(stream, "upgrade", path=request.path, credential=form, client_request_id=request.client_request_id)
        if revision is None:
            what = f"there is nothing at this path; the stream endpoint is {V1.path}"
            await self._refuse(stream, 404, HttpError(message=what))
            return
        if request.credential is None:
            await self._refuse(stream, 401, HttpError.of("ih2002"))
            return
        scopes = self.keys.scopes(request.credential)
        if scopes is None:
            await self._refuse(stream, 401, HttpError.of("ih2001"))
            return
        if STREAM_SCOPE not in scopes:
            self._say(stream, "session refused", refused=True, code="ih2003", why=f"no scope {STREAM_SCOPE}")
            await stream.accept(revision=revision, refuse="ih2003")
        else:
            contract = (self._settings.contract if self._settings is not None else None) or revision.contract
            scanner = ScenarioScanner(self.scenario, self._make_scanner(contract))
            await stream.accept(settings=self._settings, revision=revision, scanner=scanner)
            self._say(stream, "session opened")
        async for event in stream:
            await self._act(stream, event)

    def _revision(self, path: str) -> Revision | None:
        return V1 if path == V1.path else None

    async def _refuse(self, stream: ServerStream, status: int, error: HttpError) -> None:
        self._say(stream, "upgrade refused", refused=True, status=status, code=error.error_id, why=error.message)
        await stream.refuse(status, error)

    async def _act(self, stream: ServerStream, event: ServerEvent) -> None:
        match event:
            case WindowReady(window) if stream.session.wants(window):
                analysis = self.scenario.analyse(window)
                await stream.send_analysis(analysis)
                seen = ", ".join(report.signal_type for report in analysis.signals)
                self._say(stream, "window analysed", start=window.start, end=window.end, signals=seen)
            case ConfigApplied(config):
                self._say(stream, "config applied", include=", ".join(config.include))
            case SegmentAccepted():
                self._say(stream, "segment accepted", **attrs.asdict(event))
                for mishap in self.scenario.mishaps_between(event.start, event.end):
                    if stream.session.established:
                        self._say(stream, "error said", code=mishap.code, at=mishap.at)
                        await stream.send_error(mishap.code, message=mishap.text)
            case SegmentRefused(number, error, clause_id):
                self._say(
                    stream,
                    "segment refused",
                    refused=True,
                    number=number,
                    code=error.code,
                    clause=clause_id,
                    why=error.message,
                )
            case Violated(violation):
                self._say(stream, "client at fault", refused=True, clause=violation.clause.id, why=violation.what)
            case CloseRequested():
                self._say(stream, "graceful close requested")
            case SessionExpired(error):
                self._say(stream, "session expired", refused=True, code=error.code)
            case SessionClosed():
                ended = event.ended.reason if event.ended is not None else None
                self._say(stream, "session closed", close_code=event.code, reason=event.reason, ended=ended)

    def _fail(self, connection: str, what: str) -> None:
        if self._log is not None:
            self._log(LogEntry(connection, "no upgrade", refused=True, fields={"why": what}))

    def _say(self, stream: ServerStream, what: str, *, refused: bool = False, **fields: Value) -> None:
        if self._log is not None:
            self._log(LogEntry(stream.correlation_id, what, refused, fields))
