"""Clients that are broken on purpose, each in one place: the proof that the judging server finds what it looks for.

What a class says in its first line is what its client does wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.abc
import attrs

from ihproto import ERROR_CODES, V0, V0_2, V1, V1_WINDOW, V2, Revision
from ihproto.anyio import RawConnectOptions
from ihproto.wire import Credential, CredentialForm, RawClose, RawEvent, RawText
from ihproto_conformance.client.media import cluster, recording
from ihproto_conformance.client.raw_client import RawClient

_ATTEMPTS = 20
#: What a client that was made last year knows.
_KNOWN_SIGNALS = frozenset(V1.signal_types)
_KNOWN_TYPES = frozenset(V1.server_messages)
_KNOWN_DATA = frozenset(
    {"session_idle_timeout_seconds", "session_max_duration_seconds", "min_segment_duration_seconds"}
    | {"min_segment_size_bytes", "max_segment_size_bytes", "max_segment_duration_seconds"}
    | {"supported_session_config_options"}
)
_LEAVES_OPEN = frozenset({"ih4007", "ih5004", "ih6001"})
_LONGEST = 64 * 1024


@attrs.frozen
class Variant:
    """A client, and what is wrong with it.

    Attributes:
        name: Its name.
        clause_id: The clause that it breaks, None for one that breaks none.
        what: What it does, as a sentence.
        revision: The revision that it speaks.
        make: Makes it.
    """

    name: str
    clause_id: str | None
    what: str
    revision: Revision
    make: type[RawClient]


#: The clients that break a clause, in the order of the clauses.
BROKEN: list[Variant] = []
C = TypeVar("C", bound=type[RawClient])


def _breaks(clause_id: str, revision: Revision = V1) -> Callable[[C], C]:
    """Put a client on the list of those that break a clause."""

    def put(cls: C) -> C:
        what = (cls.__doc__ or "").partition("\n")[0]
        name = re.sub(r"\B([A-Z])", r"-\1", cls.__name__.lstrip("_")).lower()
        BROKEN.append(Variant(name, clause_id, what, revision, cls))
        return cls

    return put


# -- the upgrade request ----------------------------------------------------------------------------


@_breaks("HS-1")
class _WrongPath(RawClient):
    """Asks for the path of another revision."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.path = V2.path


@_breaks("HS-2")
class _NoCredential(RawClient):
    """Sends no credential at all."""

    def options(self) -> RawConnectOptions:
        return RawConnectOptions(credential=None)


@_breaks("HS-2")
class _AnotherCredential(RawClient):
    """Sends another credential than the one that it was given."""

    def options(self) -> RawConnectOptions:
        return RawConnectOptions(credential=Credential("ih_live_somebody_elses"))


@_breaks("HS-2")
class _AnotherScheme(RawClient):
    """Sends its credential under another scheme than Bearer."""

    def options(self) -> RawConnectOptions:
        return RawConnectOptions(credential=None, headers=[("Authorization", f"Token {self.key}")])


@_breaks("HS-3")
class _NotAlone(RawClient):
    """Offers another subprotocol beside its credential."""

    def options(self) -> RawConnectOptions:
        return RawConnectOptions(credential=Credential(self.key, CredentialForm.SUBPROTOCOL), subprotocols=["chat"])


@_breaks("HS-3")
class _AnotherBareCredential(RawClient):
    """Offers another credential than the one that it was given."""

    def options(self) -> RawConnectOptions:
        return RawConnectOptions(credential=Credential("ih_live_somebody_elses", CredentialForm.SUBPROTOCOL))


@_breaks("HS-4")
class _PairWithAnother(RawClient):
    """Offers access_token with another credential than the one that it was given."""

    def options(self) -> RawConnectOptions:
        return RawConnectOptions(credential=Credential("ih_live_somebody_elses", CredentialForm.PAIR))


@_breaks("HS-4")
class _PairReversed(RawClient):
    """Offers access_token behind its credential."""

    def options(self) -> RawConnectOptions:
        return RawConnectOptions(credential=None, subprotocols=[self.key, "access_token"])


@_breaks("HS-4")
class _PairOfThree(RawClient):
    """Offers a third subprotocol beside the pair."""

    def options(self) -> RawConnectOptions:
        return RawConnectOptions(credential=Credential(self.key, CredentialForm.PAIR), subprotocols=["chat"])


@_breaks("HS-10")
class _Hammers(RawClient):
    """Asks for the upgrade again and again when it is refused."""

    attempts = 0

    async def be_refused(self) -> None:
        self.attempts += 1
        if self.attempts < _ATTEMPTS:
            await self.session()


@_breaks("HS-10")
class _NeverGivesUp(RawClient):
    """Stands still for ever when the upgrade is refused."""

    async def be_refused(self) -> None:
        await anyio.sleep_forever()


# -- envelopes --------------------------------------------------------------------------------------


@_breaks("ENV-1")
class _TakesFragmentsForMessages(RawClient):
    """Takes each fragment of a text for a message."""

    async def receive(self, event: RawEvent) -> None:
        if isinstance(event, RawText) and not event.final and not self.stream.closed:
            await self.stream.close(1007, "not JSON")
        else:
            await super().receive(event)


@_breaks("ENV-1")
class _TakesShortTextsOnly(RawClient):
    """Closes with 1009 when a text is longer than 64 KiB."""

    async def hear_text(self, text: str) -> None:
        if len(text) > _LONGEST:
            await self.stream.close(1009, "too long")
        else:
            await super().hear_text(text)


@_breaks("ENV-3")
class _ClosesAtUnknownTypes(RawClient):
    """Closes with 1003 at an event of a type that it does not know."""

    async def hear(self, message: dict[str, Any]) -> None:
        if message["type"] not in _KNOWN_TYPES:
            await self.stream.close(1003)
        await super().hear(message)


@_breaks("ENV-3", V1_WINDOW)
class _DropsAtUnknownMembers(RawClient):
    """Drops the connection at a message with a member that it does not know."""

    async def hear(self, message: dict[str, Any]) -> None:
        if not message.keys() <= {"type", "timestamp", "correlation_id", "data"}:
            self.stream.abort()
        await super().hear(message)


@_breaks("ENV-3")
class _ClosesAtUnknownTerms(RawClient):
    """Closes with 1007 at a contract with a member that it does not know."""

    async def hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "session.ready" and not message["data"].keys() <= _KNOWN_DATA:
            await self.stream.close(1007)
        await super().hear(message)


@_breaks("ENV-3")
class _DropsAtUnknownSignals(RawClient):
    """Drops the connection at a type of signal that it does not know."""

    async def hear(self, message: dict[str, Any]) -> None:
        if message["type"].startswith("signal.") and message["data"]["signal_type"] not in _KNOWN_SIGNALS:
            self.stream.abort()
        await super().hear(message)


# -- the beginning ----------------------------------------------------------------------------------


@_breaks("RDY-4")
class _SendsAfterRefusal(RawClient):
    """Sends a segment after the error that refused its session."""

    async def hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "error" and not self.ready.is_set():
            await self.send(self.pieces[0])
        await super().hear(message)


@_breaks("RDY-4")
class _DoesNotWait(RawClient):
    """Sends everything right after the upgrade."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.largest = 64 * 1024
        self.pause = 0.0
        self.ready.set()


@_breaks("RDY-4")
class _ResumesWithoutWaiting(RawClient):
    """Connects again when the connection is lost, and goes on sending at once."""

    async def run(self) -> None:
        await self.session()
        if self.ready.is_set() and not self.server_closed:
            await self.session()


@_breaks("RDY-4")
class _HangsWhenLost(RawClient):
    """Stands still for ever when the connection is lost."""

    async def run(self) -> None:
        await self.session()
        if self.ready.is_set() and not self.server_closed:
            await anyio.sleep_forever()


# -- configs ----------------------------------------------------------------------------------------


class _Configures(RawClient):
    config = ""

    async def configure(self) -> None:
        await self.stream.send_text(self.config)


@_breaks("CFG-1")
class _ConfigIsNoJson(_Configures):
    """Sends a config that is not JSON."""

    config = "include=conversation_quality_overall"


@_breaks("CFG-1", V2)
class _ConfigIsAList(_Configures):
    """Sends a config that is a list."""

    config = '["conversation_quality_overall"]'


@_breaks("CFG-5")
class _UnknownConfigMember(_Configures):
    """Sends a config with a member that there is not."""

    config = '{"include": [], "language": "en"}'


@_breaks("CFG-5", V1_WINDOW)
class _IncludeIsNoList(_Configures):
    """Sends a config whose include is a text."""

    config = '{"include": "conversation_quality_overall"}'


@_breaks("CFG-6")
class _GoalsNotOffered(_Configures):
    """Asks for feedback where the contract does not offer it."""

    config = '{"goal_dimensions": ["clarity"]}'


@_breaks("CFG-7", V2)
class _UnknownModel(_Configures):
    """Asks for a model that there is not."""

    config = '{"model": "inter-9"}'


@_breaks("CFG-8", V2)
class _RawAudioForVideo(_Configures):
    """Declares raw audio to a model that takes none."""

    config = '{"audio_format": {"encoding": "pcm_s16le", "sample_rate": 16000, "channels": 1}}'


# -- segments ---------------------------------------------------------------------------------------


@_breaks("SEG-1", V0)
class _SaysAText(RawClient):
    """Sends a text where clients send segments only."""

    async def configure(self) -> None:
        await self.stream.send_text('{"include": []}')


@_breaks("SEG-2")
class _IgnoresTheContract(RawClient):
    """Sends segments that are larger than the contract allows."""

    async def hear(self, message: dict[str, Any]) -> None:
        await super().hear(message)
        self.largest = 1 << 30


class _Sends(RawClient):
    piece = b""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.pieces = [self.piece, *self.pieces]


@_breaks("SEG-3", V0)
class _TooSmallForV0(_Sends):
    """Sends a segment of less than 10,000 bytes."""

    piece = recording(size=9_000)


@_breaks("SEG-4")
class _TooShort(_Sends):
    """Sends a file of one second."""

    piece = recording(1)


@_breaks("SEG-5")
class _SendsPictures(_Sends):
    """Sends a picture instead of a video."""

    piece = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(2_000)


@_breaks("SEG-6")
class _BeginsInTheMiddle(_Sends):
    """Begins with a later piece of a recording."""

    piece = cluster(3, start=3)


@_breaks("SEG-7")
class _SendsSoundOnly(_Sends):
    """Sends a file without a video track."""

    piece = recording(video=False)


@_breaks("SEG-7", V2)
class _SendsSilence(_Sends):
    """Sends a file without an audio track."""

    piece = recording(audio=False)


@_breaks("SEG-10")
class _SendsNothing(_Sends):
    """Sends a segment of 0 bytes."""


# -- errors -----------------------------------------------------------------------------------------


@_breaks("ERR-2")
class _DropsAtErrors(RawClient):
    """Drops the connection at an error that leaves the session open."""

    async def hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "error" and message["data"]["code"] in _LEAVES_OPEN:
            self.stream.abort()
        await super().hear(message)


@_breaks("ERR-2", V2)
class _ClosesAtErrors(RawClient):
    """Closes with 1011 at an error that leaves the session open."""

    async def hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "error" and message["data"]["code"] in _LEAVES_OPEN:
            await self.stream.close(1011)
        await super().hear(message)


@_breaks("ERR-2", V2)
class _StallsAtUnknownErrors(RawClient):
    """Does nothing more once an error came whose code it does not know."""

    stalled = False

    async def hear(self, message: dict[str, Any]) -> None:
        self.stalled |= message["type"] == "error" and message["data"]["code"] not in ERROR_CODES
        await super().hear(message)

    async def finish(self) -> None:
        if not self.stalled:
            await super().finish()


# -- the end ----------------------------------------------------------------------------------------


@_breaks("CLS-1")
class _LeavesWithoutAWord(RawClient):
    """Drops the connection when it has nothing more to send."""

    async def finish(self) -> None:
        self.stream.abort()


@_breaks("CLS-1")
class _NeverEnds(RawClient):
    """Leaves the session open when it has nothing more to send."""

    async def finish(self) -> None:
        pass


@_breaks("CLS-1")
class _AsksAndLeaves(RawClient):
    """Sends session.close, and closes without waiting for session.ended."""

    async def finish(self) -> None:
        await super().finish()
        await self.stream.close()


@_breaks("CLS-1", V2)
class _ImpatientInTheDrain(RawClient):
    """Drops the connection when a drain takes more than a second."""

    async def finish(self) -> None:
        await super().finish()
        await anyio.sleep(1)
        if not self.server_closed:
            self.stream.abort()


@_breaks("CLS-1")
class _AsksTwice(RawClient):
    """Sends session.close twice."""

    async def finish(self) -> None:
        await super().finish()
        await super().finish()


@_breaks("CLS-2")
class _SendsAfterTheEnd(RawClient):
    """Sends a segment after session.close."""

    async def finish(self) -> None:
        await super().finish()
        await self.send(self.pieces[0])


@_breaks("CLS-3")
class _DoesNotAnswerACloseFrame(RawClient):
    """Drops the connection when the server closes."""

    async def answer_close(self, close: RawClose) -> None:
        self.stream.abort()


@_breaks("CLS-3")
class _SpeaksAfterItsClose(RawClient):
    """Sends a text after its close frame."""

    async def finish(self) -> None:
        await self.stream.close()
        # A text of two letters, masked with zeros.
        await self.stream.send_verbatim(b"\x81\x82\x00\x00\x00\x00{}")


@_breaks("CLS-3")
class _StaysWhenAllIsOver(RawClient):
    """Stands still for ever when its session was closed."""

    async def run(self) -> None:
        await self.session()
        if self.server_closed:
            await anyio.sleep_forever()


@_breaks("CLS-3")
class _AnswersNoPings(RawClient):
    """Does not answer pings."""

    async def dial(self) -> anyio.abc.ByteStream:
        return _WithoutPongs(await super().dial())


class _WithoutPongs(anyio.abc.ByteStream):
    """A connection that swallows pongs, each of which is sent by itself."""

    def __init__(self, stream: anyio.abc.ByteStream) -> None:
        self._stream = stream

    async def receive(self, max_bytes: int = 65536) -> bytes:
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        if item[:1] != b"\x8a":
            await self._stream.send(item)

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


@_breaks("STS-5", V0_2)
class _DoesNotStay(RawClient):
    """Closes as soon as it has sent its last segment."""

    async def send_media(self) -> None:
        for piece in self.pieces:
            await self.send(piece)

    async def wait_for_results(self) -> None:
        pass


def correct(revision: Revision) -> Variant:
    """The client that breaks nothing."""
    return Variant("correct", None, "Keeps every rule.", revision, RawClient)
