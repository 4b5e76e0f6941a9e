"""The stream endpoint: one session, played by a scenario, under the caps of its credential."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ihproto import (
    V1,
    CloseRequested,
    ConfigApplied,
    CoverageDegraded,
    Emission,
    ExpectedMedia,
    MediaRange,
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
    Window,
    WindowAnalysis,
    WindowReady,
)
from ihproto.anyio import ServerStream
from ihproto.tokens import STREAM_SCOPE
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.leases import Denial, Lease
from ihproto_mock.log import Say
from ihproto_mock.scenario import Scenario


class SupervisedScanner:
    """Scans segments like another scanner, and refuses what the scenario or the credential refuses.

    Args:
        scenario: The scenario.
        lease: What the session is charged to.
        scanner: The scanner that measures.
    """

    def __init__(self, scenario: Scenario, lease: Lease, scanner: SegmentScanner) -> None:
        self._scenario = scenario
        self._lease = lease
        self._scanner = scanner
        self._fault: SegmentFault | None = None
        self._charged = 0

    def expect(self, expected: ExpectedMedia) -> None:
        """Take note of what the segments from here on have to be."""
        self._scanner.expect(expected)

    def begin(self, number: int) -> None:
        """Begin a segment; one before it that was not finished costs nothing."""
        self._give_back()
        mishap = self._scenario.mishap_at_segment(number)
        self._fault = SegmentFault(mishap.code, "ERR-1", f"is refused: {mishap.text}") if mishap is not None else None
        self._scanner.begin(number)

    def feed(self, data: bytes) -> SegmentFault | None:
        """Take a piece, and charge its bytes."""
        denial = self._lease.check() or self._lease.take_bytes(len(data))
        if denial is None:
            self._charged += len(data)
        return _refusal(denial) or self._scanner.feed(data)

    def finish(self) -> SegmentMedia | SegmentFault:
        """Finish the segment, and charge its video.

        One that the scenario refuses was scanned as well, so that others can continue it.
        """
        media = self._scanner.finish()
        if self._fault is None and not isinstance(media, SegmentFault):
            self._fault = _refusal(self._lease.take_video(media.seconds))
        if self._fault is not None or isinstance(media, SegmentFault):
            self._give_back()
            return self._fault or media
        self._charged = 0
        return media

    def _give_back(self) -> None:
        """A segment that is refused costs nothing, however much of it had come."""
        self._lease.give_back_bytes(self._charged)
        self._charged = 0


def _refusal(denial: Denial | None) -> SegmentFault | None:
    if denial is None or denial.error_id is None:
        return None
    return SegmentFault(denial.error_id, denial.clause_id, f"is refused: {denial.message}")


@attrs.frozen
class StreamEndpoint:
    """What all sessions of a mock server have in common.

    Attributes:
        credentials: Who may open a session.
        scenario: What there is to see.
        settings: Contract, windows and periods.
        make_scanner: Makes the scanner of a session from its contract.
    """

    credentials: CredentialStore
    scenario: Scenario
    settings: ServerSettings
    make_scanner: Callable[[SessionReady], SegmentScanner]

    async def serve(self, stream: ServerStream, revision: Revision, say: Say) -> None:
        """Accept or refuse the upgrade, and run the session until it is closed."""
        request = stream.request
        grant = self.credentials.authorize(
            request.credential, now=stream.now(), scope=STREAM_SCOPE, origin=request.origin
        )
        lease = grant if isinstance(grant, Denial) else grant.begin(stream.now())
        if isinstance(lease, Denial):
            await self._deny(stream, revision, lease, say)
            return
        with lease:
            contract = _capped(_for_revision(self.settings.contract, revision), lease)
            scanner = SupervisedScanner(self.scenario, lease, self.make_scanner(contract))
            settings = attrs.evolve(self.settings, contract=contract)
            await stream.accept(settings=settings, revision=revision, scanner=scanner)
            if stream.session.established:
                say("session opened", revision=revision.id, model=stream.session.model.name)
            await self._run(stream, say, lease)

    async def _deny(self, stream: ServerStream, revision: Revision, denial: Denial, say: Say) -> None:
        refused: dict[str, str | None] = {"code": denial.error_id, "clause": denial.clause_id, "why": denial.message}
        tells = revision.emission is not Emission.SEGMENTS
        if denial.after_upgrade and denial.error_id is not None and tells:
            say("session refused", refused=True, **refused)
            await stream.accept(revision=revision, refuse=denial.error_id, message=denial.message)
            await self._run(stream, say)
        else:
            say("upgrade refused", refused=True, status=denial.status, **refused)
            await stream.refuse(denial.status, denial.error)

    async def _run(self, stream: ServerStream, say: Say, lease: Lease | None = None) -> None:
        async for event in stream:
            await self._act(stream, event, say)
            over = isinstance(event, SegmentAccepted | SegmentRefused) and lease is not None and lease.check()
            if over and stream.session.established:
                # Whatever became of the segment: a revoked token has no session after it (AUT-2).
                await stream.send_error("ih2014", message=over.message)

    async def _act(self, stream: ServerStream, event: ServerEvent, say: Say) -> None:
        match event:
            case WindowReady(window) if stream.session.wants(window):
                await self._analyse(stream, window, say)
            case ConfigApplied(config):
                say("config applied", include=", ".join(config.include), model=config.model)
            case SegmentAccepted():
                say("segment accepted", **attrs.asdict(event))
                await self._play(stream, event, say)
            case SegmentRefused(number, error, clause_id):
                say(
                    "segment refused", refused=True, number=number, code=error.code, clause=clause_id, why=error.message
                )
            case Violated(violation):
                say("client at fault", refused=True, clause=violation.clause.id, why=violation.what)
            case CloseRequested():
                say("graceful close requested")
            case SessionExpired(error):
                say("session expired", refused=True, code=error.code)
            case SessionClosed():
                ended = event.ended.reason if event.ended is not None else None
                code = event.error.code if event.error is not None else None
                say("session closed", close_code=event.code, reason=event.reason, ended=ended, code=code)

    async def _analyse(self, stream: ServerStream, window: Window, say: Say) -> None:
        coverage = self.scenario.coverage_of(window)
        if coverage == "dropped":
            await stream.drop_window(window)
            say("window dropped", start=window.start, end=window.end)
            return
        analysis = self._seen(stream, window)
        await stream.send_analysis(analysis)
        seen = ", ".join(report.signal_type for report in analysis.signals)
        say("window analysed", start=window.start, end=window.end, signals=seen)
        session = stream.session
        if coverage == "degraded" and session.established and CoverageDegraded in session.revision.messages:
            await stream.send_degraded([MediaRange(window.start, window.end)])

    def _seen(self, stream: ServerStream, window: Window) -> WindowAnalysis:
        """What the model of this session sees of the scenario."""
        analysis = self.scenario.analyse(window)
        types = stream.session.model.signal_types
        return attrs.evolve(analysis, signals=[each for each in analysis.signals if each.signal_type in types])

    async def _play(self, stream: ServerStream, segment: SegmentAccepted, say: Say) -> None:
        """Let happen what the scenario has for the stretch of this segment."""
        session = stream.session
        for advice in self.scenario.advice_between(segment.start, segment.end):
            if session.established and session.config.goal_dimensions:
                await stream.send_feedback(advice.text)
                say("feedback said", at=advice.at)
        # Where every error is about a segment, it is this one.
        number = segment.number if session.revision.emission is Emission.SEGMENTS else None
        for mishap in self.scenario.mishaps_between(segment.start, segment.end):
            if session.established:
                say("error said", code=mishap.code, at=mishap.at)
                await stream.send_error(mishap.code, message=mishap.text, segment=number)


def _for_revision(contract: SessionReady | None, revision: Revision) -> SessionReady:
    """The contract of a revision, with what the settings change in that of `v1`."""
    changes = attrs.asdict(contract, recurse=False) if contract is not None else {}
    default = attrs.asdict(V1.contract, recurse=False)
    return attrs.evolve(revision.contract, **{name: to for name, to in changes.items() if to != default[name]})


def _capped(contract: SessionReady, lease: Lease) -> SessionReady:
    """The contract of a session under the caps of its credential (AUT-2)."""
    longest = lease.max_duration_seconds
    if longest is None or longest >= contract.session_max_duration_seconds:
        return contract
    return attrs.evolve(contract, session_max_duration_seconds=longest)
