"""The scenarios that are played to a client: what the judging server does, and what is asked about it afterwards.

In all that a scenario does not mention, the server behaves like a real one. It takes any bytes for segments: what they
are is for the record.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import anyio
import attrs
import msgspec

from ihproto import (
    CloseToSend,
    Emission,
    NominalScanner,
    Revision,
    SegmentFault,
    SegmentMedia,
    SegmentScanner,
    ServerSettings,
    TextToSend,
)
from ihproto.automata import ServerState
from ihproto_conformance.client import questions as q
from ihproto_conformance.client.questions import Question
from ihproto_conformance.client.stage import Pause, Pieces, Stage, Word

Script: TypeAlias = Callable[[Stage], Coroutine[Any, Any, None]]

#: How late session.ready comes, in seconds.
LATE = 2.0
#: The largest segment of the tight contract, in bytes: less than three seconds of nearly any camera.
TIGHT = 32 * 1024
#: The length of a long text, in characters: a little less than the 1 MiB at which many clients draw the line.
LONG_TEXT = 1_000_000
#: Into how many fragments a text is cut at most.
_FRAGMENTS = 16
#: How long a drain takes at least, in seconds, and how long the server does not read.
_SLOW = 2.0
#: How long the slow server pauses before each text, in seconds.
_TRICKLE = 0.2
_NOMINAL_SECONDS = 3.0


async def _just_open(stage: Stage) -> None:
    """The session inside does the rest."""
    stage.open()


@attrs.frozen
class Scenario:
    """A scenario.

    Attributes:
        name: Its name.
        title: What the judging server does, as a sentence without a full stop.
        questions: What is asked afterwards.
        script: What the server does in a session, from its opening on, besides what a server does by itself.
        needs: Which revisions it can be played in.
        max_segment: The largest segment that the contract allows, in bytes; None for that of the revision.
        looks: Whether the media of segments is judged: a client that may not send all of it sends fragments.
        refused_segments: The errors with which segments are refused, by their number.
        refuses_upgrade: Whether every upgrade is refused by HTTP.
    """

    name: str
    title: str
    questions: tuple[Question, ...] = attrs.field(repr=False)
    script: Script = attrs.field(default=_just_open, repr=False)
    needs: Callable[[Revision], bool] = attrs.field(default=lambda revision: True, repr=False)
    max_segment: int | None = None
    looks: bool = True
    refused_segments: Mapping[int, str] = MappingProxyType({})
    refuses_upgrade: bool = False

    def asks(self, revision: Revision) -> tuple[Question, ...]:
        """What is asked in a revision: not all clauses hold in all."""
        return tuple(question for question in self.questions if revision.id in question.check.clause.revisions)

    def settings(self, revision: Revision) -> ServerSettings:
        """What the server promises, and how it analyses: a window for each segment, so that much is said early."""
        contract = revision.contract
        if self.max_segment is not None:
            contract = attrs.evolve(contract, max_segment_size_bytes=self.max_segment)
        seconds = _NOMINAL_SECONDS
        return ServerSettings(contract, window_seconds=seconds, window_advance_seconds=seconds, period_seconds=seconds)

    def scanner(self) -> SegmentScanner:
        """What the server makes of segments: any bytes are one."""
        return _RefusingScanner(self.refused_segments)


class _RefusingScanner:
    """Takes any bytes for a segment, but refuses some by their number."""

    def __init__(self, refused: Mapping[int, str]) -> None:
        self._refused = refused
        self._nominal = NominalScanner(_NOMINAL_SECONDS)
        self._code: str | None = None
        self.expect = self._nominal.expect
        self.feed = self._nominal.feed

    def begin(self, number: int) -> None:
        """Begin a segment."""
        self._code = self._refused.get(number)

    def finish(self) -> SegmentMedia | SegmentFault:
        """Finish the segment; those that are on the list are refused."""
        if self._code is None:
            return self._nominal.finish()
        return SegmentFault(self._code, "ERR-1", "is refused in this scenario")


# -- scripts ----------------------------------------------------------------------------------------


async def _be_late(stage: Stage) -> None:
    await anyio.sleep(LATE)
    stage.open()


async def _refuse(stage: Stage) -> None:
    """Refuse the session after a while, and close a while later: what comes between was sent in spite of it."""
    await anyio.sleep(1)
    stage.session.refuse("ih2003", stage.raw.now())
    for word in stage.session.to_send():
        if isinstance(word, TextToSend):
            stage.say(word, Pause(1))
        elif isinstance(word, CloseToSend):
            stage.say(word)


async def _be_unknown(stage: Stage) -> None:
    """Say what no client knows."""
    stage.shape = lambda text: _with_unknown(stage, text)
    stage.signal_type = "bewilderment"
    stage.open()
    stage.say(TextToSend(stage.envelope("session.weather", {"outlook": "fair", "wind": [1, 2]})))
    await stage.first_segment()
    if stage.revision.confirms:
        stage.say(
            TextToSend(stage.envelope("feedback.generated", {"feedback": "Speak a little slower."})),
            TextToSend(stage.envelope("coverage.dropped", {"ranges": [{"start": 0.0, "end": 0.5}]})),
            TextToSend(
                stage.envelope("coverage.degraded", {"reason": "video_gap", "ranges": [{"start": 0.5, "end": 1.0}]})
            ),
        )


def _with_unknown(stage: Stage, text: str) -> Iterable[Word]:
    fields = msgspec.json.decode(text, type=dict[str, object])
    data = fields["data"]
    if isinstance(data, dict):
        fields["data"] = {"novelty": {"depth": [1, None]}, **data, "mood": "blue"}
    fields["trace_id"] = "7c1d"
    yield TextToSend(msgspec.json.encode(fields).decode())
    if fields["type"] == "session.ready" or "session" not in str(fields["type"]):
        yield TextToSend(stage.envelope("gesture.detected", {"gesture": "shrug", "start": 0.5}))


async def _go_away(stage: Stage) -> None:
    """Close in mid-session; a client that comes again is served."""
    stage.open()
    if stage.number == 1:
        await stage.first_segment()
        stage.close(1001, "the judging server goes away")


async def _fail(stage: Stage) -> None:
    """Say an error that closes the session; a client that comes again is served."""
    stage.open()
    if stage.number == 1:
        await stage.first_segment()
        stage.error("ih1001")


async def _drain_slowly(stage: Stage) -> None:
    """Analyse nothing before the client has asked for the end, and then one window after the other."""
    session = stage.session
    stage.analysing = False
    stage.open()

    def due() -> bool:
        return bool(session.outstanding) and (not stage.revision.drains or session.state is ServerState.DRAINING)

    while True:
        await stage.until(due)
        await anyio.sleep(max(0.1, _SLOW / len(session.outstanding)))
        if session.outstanding:
            stage.analyse(session.outstanding[0])


async def _be_slow(stage: Stage) -> None:
    """Read nothing for a while, and say everything by and by."""
    stage.shape = lambda text: [Pause(_TRICKLE), TextToSend(text)]
    stage.open()
    await stage.first_segment()
    stage.rest()
    await anyio.sleep(_SLOW)
    stage.listen()


async def _cut_off(stage: Stage) -> None:
    """Cut the first connection in mid-session; whoever comes again has to wait for session.ready."""
    if stage.number > 1:
        await _be_late(stage)
        return
    stage.open()
    await stage.first_segment()
    stage.cut()


async def _refuse_things(stage: Stage) -> None:
    """Refuse configs, and say an error that no client knows; segments are refused by the scanner."""
    stage.refuses_config = True
    stage.open()
    await stage.first_segment()
    error = {"code": "ih7999", "message": "an error that no client knows", "link": None, "segment": None}
    stage.say(TextToSend(stage.envelope("error", error)))


async def _speak_in_pieces(stage: Stage) -> None:
    """Cut every text into fragments, some of them empty, and ask for a sign of life between them."""
    pings = iter(range(1, 1 << 30))
    stage.rationale = "x" * LONG_TEXT

    def shape(text: str) -> Iterable[Word]:
        first, *rest = _cut(text, _FRAGMENTS)
        yield Pieces((first, "", *rest, ""), ping=f"ping {next(pings)}".encode())

    stage.shape = shape
    stage.open()


def _cut(text: str, most: int) -> tuple[str, ...]:
    size = max(1, -(-len(text) // most))
    return tuple(text[at : at + size] for at in range(0, len(text), size))


# -- the catalogue ----------------------------------------------------------------------------------


def _at_the_end(by: Question | None = None) -> tuple[Question, ...]:
    """What is asked whenever there was a session."""
    return (q.answers, q.silent, q.comes_to_an_end(by))


def _has_envelopes(revision: Revision) -> bool:
    return revision.emission is not Emission.SEGMENTS


_ENDING = (q.ends, q.waits_for_ended, q.no_media)

#: All scenarios by their name, in the order in which they are played.
SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        scenario.name: scenario
        for scenario in (
            Scenario(
                "plain",
                "Nothing special happens",
                (q.path, q.authorization, q.bare, q.pair, *_ENDING, q.stays, *_at_the_end(q.ends)),
            ),
            Scenario(
                "late-ready",
                f"session.ready comes {LATE:g} s after the upgrade",
                (q.waits, *_at_the_end(q.ends)),
                _be_late,
                needs=lambda revision: revision.announces,
            ),
            Scenario(
                "contract",
                f"The contract allows segments of {TIGHT:,} bytes at most",
                (q.within, *_at_the_end(q.ends)),
                needs=lambda revision: revision.announces,
                max_segment=TIGHT,
                looks=False,
            ),
            Scenario(
                "unknown",
                "The server says things that no client knows: types of events, members, types of signals",
                (q.unknown, *_at_the_end(q.unknown)),
                _be_unknown,
                needs=_has_envelopes,
            ),
            Scenario(
                "frames",
                "Texts come in many fragments, with pings between them, and one of them is long",
                (q.fragments, q.pings, *_at_the_end(q.fragments)),
                _speak_in_pieces,
                needs=_has_envelopes,
            ),
            Scenario(
                "slow",
                "The server does not read for a while, and speaks by and by",
                (*_ENDING, *_at_the_end(q.ends)),
                _be_slow,
            ),
            Scenario(
                "drain",
                "Everything that there is to say comes late and slowly",
                (*_ENDING, q.stays, *_at_the_end(q.ends)),
                _drain_slowly,
                needs=lambda revision: revision.drains or not _has_envelopes(revision),
            ),
            Scenario(
                "errors",
                "Segments and configs are refused by errors that leave the session open, and one is of no known code",
                (q.errors, *_at_the_end(q.errors)),
                _refuse_things,
                needs=_has_envelopes,
                refused_segments=MappingProxyType({1: "ih4007", 2: "ih5004"}),
            ),
            Scenario(
                "fatal-error",
                "In mid-session comes an error that closes the session",
                _at_the_end(),
                _fail,
                needs=_has_envelopes,
            ),
            Scenario("server-close", "In mid-session the server goes away", _at_the_end(), _go_away),
            Scenario(
                "refused-session",
                "The session is refused after the upgrade, for want of a scope",
                (q.refused, *_at_the_end()),
                _refuse,
                needs=_has_envelopes,
            ),
            Scenario(
                "refused-upgrade",
                "The upgrade is refused with HTTP status 401",
                (q.hammer, q.gives_up),
                refuses_upgrade=True,
            ),
            Scenario(
                "cut",
                "In mid-session the connection is lost",
                (q.anew,),
                _cut_off,
                needs=lambda revision: revision.announces,
            ),
        )
    }
)


def scenarios_of(revision: Revision) -> list[Scenario]:
    """The scenarios that can be played in a revision, in order."""
    return [scenario for scenario in SCENARIOS.values() if scenario.needs(revision)]
