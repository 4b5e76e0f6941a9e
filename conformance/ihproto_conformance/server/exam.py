"""What a scenario works with: connections to the server under test, and a place for what it finds.

A scenario opens sessions (`Exam.open`), says things in them and waits for what must follow (`Probe`), and puts the
outcome of its checks down (`Exam.passed`, `Exam.failed`, `Exam.check`). Whatever passes is watched by the monitor at
the same time, so a scenario only looks for what the monitor cannot see: that something did not come, or came although
it should not have.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.abc
import attrs
import msgspec

from ihproto import (
    ERROR_CODES,
    Codec,
    Envelope,
    Error,
    MalformedMessage,
    MediaScanner,
    Revision,
    SegmentPolicy,
    SessionReady,
    SessionUpdated,
    Side,
)
from ihproto.anyio import RawStream, StreamError, UpgradeError, connect_raw
from ihproto.wire import (
    Credential,
    CredentialForm,
    RawBytes,
    RawClose,
    RawEvent,
    RawLost,
    RawText,
    Redactor,
    Target,
    UpgradeFailed,
    UpgradeRefused,
)
from ihproto.wire.credentials import offer
from ihproto_conformance.observer import Observer
from ihproto_conformance.samples import Sample
from ihproto_conformance.trace import Binary
from ihproto_conformance.verdict import Check, Entry, Evidence, Result, SessionLog, Status, merge

#: Segments longer than this are sent as several frames of one message, in bytes.
_PIECE_SIZE = 1024 * 1024
#: How long to listen for what must not come behind a close, in seconds.
_AFTERMATH = 1.0


@attrs.frozen
class KeyPair:
    """A key that can be exchanged for tokens (AUT-1).

    Attributes:
        key_id: Its id.
        key_secret: Its secret.
    """

    key_id: str
    key_secret: str = attrs.field(repr=False)


@attrs.frozen
class ServerUnderTest:
    """The server under test, and what may be asked of it.

    Attributes:
        url: Its URL, `wss://…` or `ws://…`.
        revision: The revision that it is to speak.
        key: A credential with the scope `interhumanai.stream`.
        form: The form in which the credential travels where a scenario does not try others.
        media: The segments of a recording that the server is to accept, in order.
        unscoped_key: A valid credential without the scope (HS-11), None for none.
        bound_token: A client token that is bound to origins, not to `https://ihproto.invalid` (HS-14), None for none.
        http: Whether the HTTP endpoints beside the stream are to be judged as well (AUT, UPL).
        api_key: An API key for those endpoints, None where `key` is one.
        key_pair: A key pair that can be exchanged for tokens (AUT-1), None for none.
        patience: How long an answer may take, in seconds.
        longest_wait: Timeouts of the contract up to this are waited for, in seconds (TMO-1, TMO-2).
        allow_plaintext: Allow `ws://` to hosts that are not local.
        budget_seconds: How much video may be sent altogether, in seconds.
        dial: Opens the connections, where they do not go to the host of the URL.
    """

    url: str
    revision: Revision
    key: str = attrs.field(repr=False)
    form: CredentialForm = CredentialForm.HEADER
    media: tuple[Sample, ...] = attrs.field(default=(), repr=False)
    unscoped_key: str | None = attrs.field(default=None, repr=False)
    bound_token: str | None = attrs.field(default=None, repr=False)
    http: bool = False
    api_key: str | None = attrs.field(default=None, repr=False)
    key_pair: KeyPair | None = None
    patience: float = 10.0
    longest_wait: float = 0.0
    allow_plaintext: bool = False
    budget_seconds: float = math.inf
    dial: Callable[[], Awaitable[anyio.abc.ByteStream]] | None = attrs.field(default=None, repr=False)

    @property
    def http_key(self) -> str:
        """The credential for the HTTP endpoints."""
        return self.api_key if self.api_key is not None else self.key

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not show anywhere."""
        pair = self.key_pair.key_secret if self.key_pair is not None else None
        secrets = (self.key, self.unscoped_key, self.bound_token, self.api_key, pair)
        return tuple(secret for secret in secrets if secret)


class Missing(Exception):
    """Something did not happen that all the rest of a scenario needs; the text says what."""


class Unreadable(Missing):
    """The same, and a message came at that time which cannot be read, so that nobody knows what it was."""


class NotAccepted(Exception):
    """The upgrade was not accepted.

    Attributes:
        event: What the server answered.
        session: The number of the connection in the report.
    """

    def __init__(self, event: UpgradeRefused | UpgradeFailed, session: int) -> None:
        what = event.what if isinstance(event, UpgradeFailed) else f"the server refused it with HTTP {event.status}"
        super().__init__(f"the upgrade was not accepted: {what}")
        self.event = event
        self.session = session


@attrs.frozen
class Heard:
    """A text of the server, as the session holds it.

    Attributes:
        envelope: What it says.
        record: The index of its record.
        time: When it came, in seconds since the connection was begun.
    """

    envelope: Envelope
    record: int
    time: float


@attrs.frozen
class Ended:
    """How the server ended a session.

    Attributes:
        code: The close code; None where the connection was lost.
        record: The index of its record.
        time: When, in seconds since the connection was begun.
    """

    code: int | None
    record: int
    time: float


class Probe:
    """A session with the server under test, in which anything may be said.

    Attributes:
        number: Its number in the report.
        heard: The texts of the server that could be read, in order.
        unreadable: What was wrong with those that could not be read.
        ended: How the server ended it, None while it has not.
        over: Set when nothing more can come.
        observer: Who watches it.
    """

    def __init__(
        self,
        number: int,
        stream: RawStream,
        observer: Observer,
        began: float,
        patience: float,
        spend: Callable[[float], None],
    ) -> None:
        self.number = number
        self.heard: list[Heard] = []
        self.ended: Ended | None = None
        self.observer = observer
        self._stream = stream
        self._began = began
        self._patience = patience
        self._spend = spend
        self._codec = Codec(observer.revision)
        self._position = 0
        self.unreadable: list[str] = []
        self._disregarded = 0
        self._news = anyio.Event()
        self.over = anyio.Event()

    # -- what is known ------------------------------------------------------------------------------

    @property
    def contract(self) -> SessionReady:
        """The contract of the session.

        Raises:
            Missing: If the server has not told it.
        """
        assert self.observer.monitor is not None
        if self.observer.monitor.contract is None:
            raise Missing("session.ready did not come")
        return self.observer.monitor.contract

    @property
    def segments(self) -> int:
        """How many segments were sent (SEG-1)."""
        assert self.observer.monitor is not None
        return self.observer.monitor.segments

    @property
    def media_seconds(self) -> float:
        """Seconds of media that were sent (SEG-9)."""
        assert self.observer.monitor is not None
        return self.observer.monitor.media_seconds

    def media_before(self, heard: Heard) -> float:
        """Seconds of media that were sent before something was heard."""
        entries = self.observer.entries[: heard.record]
        segments = [each.record.passed for each in entries if isinstance(each.record.passed, Binary)]
        return sum(segment.media.seconds for segment in segments if segment.media is not None)

    @property
    def closed(self) -> bool:
        """Whether this side has sent its close frame, or the connection is over."""
        return self._stream.closed

    def messages(self, *kinds: type[Any]) -> list[Heard]:
        """All messages of some kinds, so far."""
        return [heard for heard in self.heard if isinstance(heard.envelope.message, kinds)]

    def evidence(self, what: str, at: Heard | Ended | None = None) -> Evidence:
        """Something found in this session, at a record, or at the end of what has passed so far."""
        if at is not None:
            return Evidence(what, self.number, at.record, at.time)
        last = len(self.observer.entries) - 1
        return Evidence(what, self.number, last if last >= 0 else None, self._stream.now() - self._began)

    # -- to say -------------------------------------------------------------------------------------

    async def say(self, text: str) -> None:
        """Send a text message, whatever it is."""
        await self._send(RawText(text))

    async def config(self, **members: Any) -> None:
        """Send a session config with these members (CFG-1)."""
        await self.say(msgspec.json.encode(members).decode())

    async def session_close(self) -> None:
        """Ask for a graceful close (CLS-1)."""
        await self.say('{"type":"session.close"}')

    async def segment(self, sample: Sample) -> int:
        """Send a segment, and return its number (SEG-1); an empty one is a message of 0 bytes.

        Raises:
            Missing: If it does not fit into the budget.
        """
        self._spend(sample.seconds)
        data = memoryview(sample.data)
        for start in range(0, max(1, len(data)), _PIECE_SIZE):
            end = start + _PIECE_SIZE
            await self._send(RawBytes(bytes(data[start:end]), end >= len(data)))
        return self.segments

    async def close(self, code: int = 1000) -> None:
        """Send a close frame."""
        if not self._stream.closed:
            self.observer.take(Side.CLIENT, RawClose(code), self._stream.now())
            await self._stream.close(code)

    async def _send(self, event: RawText | RawBytes) -> None:
        # Noted before it goes out: the answer may be there before this task runs again.
        if self._stream.closed:
            return
        self.observer.take(Side.CLIENT, event, self._stream.now())
        try:
            if isinstance(event, RawText):
                await self._stream.send_text(event.text, final=event.final)
            else:
                await self._stream.send_bytes(event.data, final=event.final)
        except StreamError:
            # Whoever reads finds out how it ended.
            pass

    # -- to hear ------------------------------------------------------------------------------------

    async def listen(self) -> None:
        """Take what the server says until the connection ends."""
        async for event in self._stream:
            entry = self.observer.take(Side.SERVER, event, self._stream.now())
            self._hear(event, entry)
            if isinstance(event, RawClose):
                await self.close(event.code if event.code != 1005 else 1000)
            self._wake()
        if self.ended is None:
            self.observer.lost(Side.SERVER, "the connection ended", self._stream.now())
            self.ended = Ended(None, len(self.observer.entries) - 1, self._stream.now() - self._began)
        self.over.set()
        self._wake()

    def _hear(self, event: RawEvent, entry: Entry | None) -> None:
        if entry is None:
            return
        record = len(self.observer.entries) - 1
        match event:
            case RawText():
                text = getattr(entry.record.passed, "text", "")
                try:
                    envelope = self._codec.decode_server(text)
                except MalformedMessage as error:
                    self.unreadable.append(error.finding.what)
                    return
                self.heard.append(Heard(envelope, record, entry.record.time))
            case RawClose(code):
                self.ended = Ended(code, record, entry.record.time)
            case RawLost() if self.ended is None:
                self.ended = Ended(None, record, entry.record.time)

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def wait(self, match: Callable[[Envelope], bool], within: float | None = None) -> Heard | None:
        """The next message that matches, after the one that was waited for last; None when it does not come.

        Args:
            match: Whether a message is the one.
            within: How long to wait, in seconds; None for the patience of the exam.

        Raises:
            Unreadable: If it does not come, and what came instead cannot be read.
        """
        heard = await self._next(match, self._patience if within is None else within)
        if heard is None:
            self._expect_readable()
        self._disregarded = len(self.unreadable)
        return heard

    async def _next(self, match: Callable[[Envelope], bool], within: float) -> Heard | None:
        with anyio.move_on_after(within):
            while True:
                while self._position < len(self.heard):
                    heard = self.heard[self._position]
                    self._position += 1
                    if match(heard.envelope):
                        return heard
                if self.ended is not None:
                    return None
                await self._news.wait()
        return None

    def _expect_readable(self) -> None:
        """See that all messages since the last one that was waited for can be read.

        Raises:
            Unreadable: If there is one that cannot.
        """
        if len(self.unreadable) > self._disregarded:
            raise Unreadable(f"a message came that cannot be read: {self.unreadable[-1]}")

    async def wait_for(self, *kinds: type[Any], within: float | None = None) -> Heard | None:
        """The next message of some kinds, or None; see `wait`."""
        return await self.wait(lambda envelope: isinstance(envelope.message, kinds), within)

    async def wait_error(self, segment: int | None = None, within: float | None = None) -> Heard | None:
        """The next error about a segment, or, for None, about none; see `wait`."""
        return await self.wait(
            lambda envelope: isinstance(envelope.message, Error) and envelope.message.segment == segment, within
        )

    async def wait_answer(self) -> Heard | None:
        """The next answer to a text of ours: `session.updated`, or an error about no segment; see `wait`."""
        return await self.wait(
            lambda envelope: (
                isinstance(envelope.message, SessionUpdated)
                or (isinstance(envelope.message, Error) and envelope.message.segment is None)
            )
        )

    async def wait_ended(self, within: float | None = None) -> Ended | None:
        """How the server ended the session; None when it does not in time."""
        with anyio.move_on_after(self._patience if within is None else within):
            while self.ended is None:
                await self._news.wait()
        return self.ended

    async def ready(self) -> SessionReady:
        """Wait for `session.ready`, where the revision has it.

        Raises:
            Missing: If it does not come.
        """
        if self.observer.revision.announces and await self.wait_for(SessionReady) is None:
            raise Missing("session.ready did not come")
        return self.contract


@attrs.frozen
class _Said:
    """A message, of which nobody knows what its members hold."""

    data: Mapping[str, msgspec.Raw] = attrs.field(factory=dict)


class Exam:
    """One run of one scenario.

    Args:
        target: The server under test.
        scenario: The name of the scenario.
        numbers: Gives each connection its number in the report.
        spend: Called with the seconds of each segment before it is sent; raises `Missing` if they are too many.
        on_session: Called with each session when it is over.

    Attributes:
        target: The server under test.
        results: What was put down so far, by the id of the check.
        spend: To be called with the seconds of video before they are sent; raises `Missing` if they are too many.
    """

    def __init__(
        self,
        target: ServerUnderTest,
        scenario: str,
        numbers: Callable[[], int],
        spend: Callable[[float], None],
        on_session: Callable[[SessionLog], None],
    ) -> None:
        self.target = target
        self.results: dict[str, Result] = {}
        self._scenario = scenario
        self._numbers = numbers
        self.spend = spend
        self._on_session = on_session
        self._redactor = Redactor(target.secrets)

    def hide(self, secret: str) -> None:
        """Learn of a credential that must not show anywhere."""
        self._redactor.add([secret])

    def clean(self, text: str) -> str:
        """The text without credentials: a server may repeat one in whatever it says."""
        return self._redactor.text(text)

    # -- sessions -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open(
        self,
        purpose: str,
        *,
        credential: Credential | str | None = "",
        headers: Sequence[tuple[str, str]] = (),
        query: Sequence[tuple[str, str]] = (),
        verbatim_query: str = "",
    ) -> AsyncIterator[Probe]:
        """Open a connection; leaving the block closes it and looks how the server takes that.

        Args:
            purpose: What it is for, in a few words.
            credential: What to show, text in the usual form; empty for the key under test, None for nothing.
            headers: More headers for the upgrade request.
            query: More parameters for the query of the URL.
            verbatim_query: The same, as it is to stand in the URL.

        Raises:
            NotAccepted: If the server does not accept the upgrade.
            ConnectError: If it cannot be reached.
        """
        shown = self._credential(credential)
        dialled = await self.target.dial() if self.target.dial is not None else None
        began = anyio.current_time()
        number = self._numbers()
        scanner = MediaScanner(self.target.revision.contract, SegmentPolicy(max_gap_seconds=None))
        observer = Observer(self.target.revision, began, self._redactor, scanner=scanner)
        revision, plaintext = self.target.revision, self.target.allow_plaintext
        url = self.target.url
        if verbatim_query:
            url += ("&" if "?" in url else "?") + verbatim_query
        asked = Target.parse(url, revision, allow_plaintext=plaintext).with_query(query).path
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        subprotocols = offer(shown).subprotocols if shown is not None else []
        form = shown.form.value if shown is not None else None
        observer.request(began, asked, sent, credential=form, subprotocols=subprotocols)
        connection = connect_raw(
            url,
            stream=dialled,
            credential=shown,
            revision=revision,
            headers=headers,
            query=query,
            allow_plaintext=plaintext,
            connect_timeout=self.target.patience,
            close_timeout=self.target.patience,
        )
        probe: Probe | None = None
        try:
            async with connection as stream, anyio.create_task_group() as tasks:
                assert stream.accepted is not None
                observer.accepted(stream.now(), stream.accepted)
                probe = Probe(number, stream, observer, began, self.target.patience, self.spend)
                tasks.start_soon(probe.listen)
                failure: Exception | None = None
                try:
                    yield probe
                except Exception as error:
                    # Raised below, so that it does not come out wrapped in a group.
                    failure = error
                await self._take_leave(probe)
                tasks.cancel_scope.cancel()
            if failure is not None:
                raise failure
        except UpgradeError as error:
            observer.refused(anyio.current_time(), error.event)
            raise NotAccepted(error.event, number) from None
        finally:
            seconds = probe.media_seconds if probe is not None else 0.0
            self._on_session(SessionLog(number, self._scenario, purpose, tuple(observer.entries), seconds))

    def _credential(self, credential: Credential | str | None) -> Credential | None:
        if isinstance(credential, str):
            return Credential(credential or self.target.key, self.target.form)
        return credential

    async def _take_leave(self, probe: Probe) -> None:
        """Close, and look how the server takes it (CLS-3, ERR-2)."""
        fatal = [heard for heard in probe.messages(Error) if _announces_close(heard.envelope)]
        if fatal and probe.ended is None and not probe.closed:
            await probe.wait_ended()
        if fatal and (probe.ended.code is None if probe.ended is not None else not probe.closed):
            self.failed(FATAL_CLOSES, "an error that announces a close was not followed by one", probe, fatal[-1])
        elif fatal:
            self.passed(FATAL_CLOSES)
        for heard in probe.messages(Error):
            self._look_at_error(probe, heard)
        if probe.ended is None:
            await probe.close()
            ended = await probe.wait_ended()
            answered = ended is not None and ended.code is not None
            self.check(CLOSE_ANSWERED, answered, "the server did not answer the close frame", probe, ended)
        # What must not come behind the closes comes now, if at all.
        with anyio.move_on_after(_AFTERMATH):
            await probe.over.wait()

    def _look_at_error(self, probe: Probe, heard: Heard) -> None:
        """See that an error has all its members (ERR-1)."""
        said = msgspec.json.decode(heard.envelope.raw, type=_Said).data
        missing = [name for name in _error_members(self.target.revision) if name not in said]
        self.check(ERROR_MEMBERS, not missing, f"the error has no {', '.join(missing)}", probe, heard)

    # -- findings -------------------------------------------------------------------------------------

    def passed(self, check: Check) -> None:
        """Put down that a check was passed."""
        self._put(Result(check, Status.PASSED, seen=1))

    def failed(self, check: Check, what: str, probe: Probe | None = None, at: Heard | Ended | None = None) -> None:
        """Put down that a check was not passed.

        Args:
            check: The check.
            what: What was found, as a sentence without a full stop.
            probe: The session in which it shows.
            at: Where; None for the end of what has passed so far.
        """
        evidence = probe.evidence(what, at) if probe is not None else Evidence(what)
        self._put(Result(check, Status.FAILED, evidence=(evidence,), seen=1))

    def check(
        self, check: Check, kept: bool, what: str, probe: Probe | None = None, at: Heard | Ended | None = None
    ) -> bool:
        """Put down whether a check was passed, and return that; see `failed`."""
        if kept:
            self.passed(check)
        else:
            self.failed(check, what, probe, at)
        return kept

    def note(self, check: Check, evidence: Evidence) -> None:
        """Put down that a check was not passed, with evidence of one's own."""
        self._put(Result(check, Status.FAILED, evidence=(evidence,), seen=1))

    def blocked(self, check: Check, why: str, probe: Probe) -> None:
        """Put down that a check cannot be made; why is a sentence without a full stop."""
        self._put(Result(check, Status.BLOCKED, evidence=(probe.evidence(why),)))

    def unseen(self, check: Check, reason: str) -> None:
        """Put down that nothing came that a check is about, and nothing had to."""
        self._put(Result(check, Status.UNSEEN, reason=reason))

    def not_applicable(self, check: Check, reason: str) -> None:
        """Put down that the server does not offer what a check is about."""
        self._put(Result(check, Status.NOT_APPLICABLE, reason=reason))

    def not_asked(self, check: Check, reason: str) -> None:
        """Put down that a check takes something that was not asked for."""
        self._put(Result(check, Status.NOT_ASKED, reason=reason))

    def _put(self, result: Result) -> None:
        evidence = tuple(attrs.evolve(each, what=self.clean(each.what)) for each in result.evidence)
        reason = self.clean(result.reason)
        result = attrs.evolve(result, scenarios=(self._scenario,), evidence=evidence, reason=reason)
        before = self.results.get(result.check.id)
        self.results[result.check.id] = result if before is None else merge((before, result))


def own_reason(code: str) -> bool:
    """Whether an error is one that a server may have at any time: its own trouble, or limits of the credential."""
    return code[:3] in ("ih1", "ih2", "ih3")


def other_reason(code: str) -> bool:
    """The same, and whether an error can be about a video that looks right to others."""
    return own_reason(code) or code == "ih5002"


def _announces_close(envelope: Envelope) -> bool:
    message = envelope.message
    known = ERROR_CODES.get(message.code) if isinstance(message, Error) else None
    return known is not None and known.fatal


def _error_members(revision: Revision) -> tuple[str, ...]:
    return ("code", "message", "link", "segment") if revision.announces else ("code", "message", "link")


#: The checks that do not belong to one scenario alone.
CLOSE_ANSWERED = Check("CLS-3.close-answered", "A close frame of the client is answered by one of the server")
FATAL_CLOSES = Check("ERR-2.fatal-closes", "An error whose id announces a close is followed by it")
ERROR_MEMBERS = Check("ERR-1.members", "An error has code, message, link and segment, whether they are null or not")
READY = Check("RDY-1.first", "session.ready is the first message of a session")
COMMON: Mapping[str, Check] = {check.id: check for check in (CLOSE_ANSWERED, ERROR_MEMBERS, FATAL_CLOSES, READY)}
