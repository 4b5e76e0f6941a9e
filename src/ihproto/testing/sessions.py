"""Strategies for whole sessions, made by letting a real server answer what a client does: legal by construction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from functools import cache
from itertools import product
from typing import assert_never

import attrs
from hypothesis import strategies as st

from ihproto.analysis import EngagementReport, QualityReport, SignalReport, WindowAnalysis
from ihproto.events import CloseToSend, TextToSend, Window
from ihproto.messages import CoverageDegraded, MediaRange, SessionConfig
from ihproto.revisions import V1, Emission, Model, Revision
from ihproto.rules.config import write_query
from ihproto.server import ServerSession, ServerSettings
from ihproto.testing.clients import client_actions, query_configs
from ihproto.testing.messages import (
    LEVELS,
    STATES,
    correlation_ids,
    new_members,
    of_unknown_type,
    unknown_types,
    with_members,
)
from ihproto.testing.transcripts import (
    ClientClosed,
    ClientSaid,
    ClientSent,
    ClientStep,
    ServerClosed,
    ServerSaid,
    Step,
    Transcript,
)

#: How a session may end: as the client has it, by a timer of the contract, by an error, or before it began.
ENDINGS = ("client", "timeout", "failure", "refusal")

_STARTED_AT = datetime(2025, 1, 1, tzinfo=UTC)
#: Windows and periods of the service, and such that much happens in little media.
_PACES = (ServerSettings(), ServerSettings(window_seconds=3, window_advance_seconds=3, period_seconds=4))


@attrs.frozen
class _Turn:
    """What the server does besides answering when the client has done something.

    Attributes:
        pause: How much time has passed, in seconds.
        analyses: Whether it analyses all windows that are wanted, or none.
        degraded: Whether it says that coverage was degraded.
        slower: Whether it says that there are too many requests.
    """

    pause: float = 0
    analyses: bool = True
    degraded: bool = False
    slower: bool = False


#: One choice for all that can be together: the fewer choices, the faster an example shrinks.
_TURNS = st.sampled_from(
    [_Turn(), _Turn(0.25), _Turn(3), _Turn(analyses=False), _Turn(3), _Turn(), _Turn(degraded=True), _Turn(slower=True)]
)
#: At which fraction of a window something begins, and what it is.
_FRACTIONS = (0, 0.5, 1)
_SEEN = st.sampled_from([*[None] * 9, *product(_FRACTIONS, [None, *LEVELS])])
_ENGAGEMENT = st.sampled_from([*[None] * 3, *product(_FRACTIONS, STATES)])
_SCORES = st.sampled_from([None, *range(101)])
_RARELY = st.sampled_from([False] * 7 + [True])


class Recorder:
    """A server that answers a client, while everything that is said is written down.

    Args:
        revision: The revision to speak.
        correlation_id: The id of the session.
        asked: What the URL asks for.
        settings: What the server promises and how it analyses.
    """

    def __init__(
        self, revision: Revision, correlation_id: str, asked: SessionConfig, settings: ServerSettings | None = None
    ) -> None:
        self.now = 0.0
        self.steps: list[Step] = []
        self._asked = asked
        self._over = False
        self.server = ServerSession(
            0.0,
            correlation_id=correlation_id,
            started_at=_STARTED_AT,
            settings=settings,
            revision=revision,
            query=write_query(revision, asked)[0],
        )

    @property
    def transcript(self) -> Transcript:
        """What was written down so far."""
        return Transcript(self.server.revision, self.server.correlation_id, self._asked, tuple(self.steps))

    def open(self) -> None:
        """Establish the session."""
        self.server.open(self.now)
        self.listen()

    def act(self, action: ClientStep) -> None:
        """Let the client do something, unless the session is over."""
        if self._over:
            return
        self.steps.append(action)
        match action:
            case ClientSaid(text):
                self.server.receive_text(text, self.now)
            case ClientSent(pieces):
                for number, piece in enumerate(pieces, start=1):
                    self.server.receive_bytes(piece, self.now, final=number == len(pieces))
            case ClientClosed(code):
                self.server.receive_close(code)
                self.steps.append(ServerClosed(code))
                self._over = True
            case _:
                assert_never(action)
        self.listen()

    def analyse(self, analysis: WindowAnalysis) -> None:
        """Let the server say what it saw in the oldest window."""
        self.server.send_analysis(analysis, self.now)
        self.listen()

    def drop(self) -> None:
        """Let the server leave out the oldest window."""
        self.server.drop_window(self.server.outstanding[0], self.now)
        self.listen()

    def listen(self) -> None:
        """Write down what the server has to say; a close is answered."""
        for item in self.server.to_send():
            if isinstance(item, TextToSend):
                self.steps.append(ServerSaid(item.text))
                continue
            assert isinstance(item, CloseToSend), "a server sends no binary message (ENV-5)"
            self.steps += [ServerClosed(item.code, item.reason), ClientClosed(item.code)]
            self.server.receive_close(item.code)
            self._over = True


def server_sessions(
    revision: Revision = V1,
    *,
    actions: st.SearchStrategy[tuple[ClientStep, ...]] | None = None,
    settings: ServerSettings | None = None,
    endings: Collection[str] = ENDINGS,
    unknown: bool = False,
) -> st.SearchStrategy[Transcript]:
    """Sessions in which the server does nothing wrong.

    A real `ServerSession` answers what a client does, with drawn analyses: signals are detected, change, end and are
    detected again (SIG-1 to SIG-7), engagement changes (ENG-1, ENG-2), scores come when their period closes and as they
    were asked for (CQI-1 to CQI-7), configs are confirmed (CFG-2), segments are refused (SEG-8), windows are left out
    (COV-1), and a session is drained before it ends (CLS-1).

    Args:
        revision: The revision to speak.
        actions: What the client does once the session stands; None for `client_actions(revision, refused=True)`. A
            server says nothing wrong whatever that is.
        settings: What the server promises and how it analyses; None to draw how.
        endings: How sessions may end: `client` (as the client has it, or not at all), `timeout` (TMO-1), `failure`
            (an error that is followed by a close, ERR-2), `refusal` (without being established, RDY-3).
        unknown: Put in what a newer server might say: types and members that nobody knows yet (ENV-3).

    Raises:
        ValueError: If there is no such ending.
    """
    chosen = [name for name in ENDINGS if name in endings]
    if not chosen or len(chosen) != len(set(endings)):
        raise ValueError(f"a session can end in these ways: {', '.join(ENDINGS)}; not {', '.join(endings) or 'none'}")

    @st.composite
    def sessions(draw: st.DrawFn) -> Transcript:
        ending = draw(st.sampled_from(chosen))
        asked = draw(query_configs(revision))
        pace = settings if settings is not None else draw(st.sampled_from(_PACES))
        recorder = Recorder(revision, draw(correlation_ids()), asked, pace)
        if ending == "refusal":
            recorder.server.refuse(draw(st.sampled_from(["ih2003", "ih1003"])), recorder.now)
            recorder.listen()
            return recorder.transcript
        recorder.open()
        analyst = _Analyst(draw, recorder)
        doing = actions if actions is not None else client_actions(revision, asked=asked, refused=True)
        for action in draw(doing):
            turn = draw(_TURNS)
            recorder.now += turn.pause
            if turn.analyses or isinstance(action, ClientClosed):
                analyst.work()
            recorder.act(action)
            analyst.chat(turn)
        if draw(st.sampled_from([True, True, False])):
            analyst.work()
        if recorder.server.established and ending == "timeout":
            recorder.now = recorder.server.next_timeout() or recorder.now
            recorder.server.handle_timeout(recorder.now)
        elif recorder.server.established and ending == "failure":
            recorder.server.send_error("ih1001", recorder.now)
        recorder.listen()
        transcript = recorder.transcript
        return draw(_renewed(transcript)) if unknown else transcript

    return sessions()


class _Analyst:
    """Draws what the server sees, and what it says of itself."""

    def __init__(self, draw: st.DrawFn, recorder: Recorder) -> None:
        self._draw = draw
        self._recorder = recorder
        self._server = recorder.server
        self._types = draw(_some_types(recorder.server.model))

    def work(self) -> None:
        """Analyse the windows that are wanted; some are left out."""
        while self._server.outstanding:
            if self._draw(_RARELY):
                self._recorder.drop()
            else:
                self._recorder.analyse(self._draw(window_analyses(self._server.outstanding[0], self._types)))

    def chat(self, turn: _Turn) -> None:
        """Say what has no window, where the revision has words for it."""
        server, now = self._server, self._recorder.now
        if not server.established or server.revision.emission is Emission.SEGMENTS:
            return
        if server.config.goal_dimensions:
            server.send_feedback("Pause before you answer.", now)
        if turn.degraded and CoverageDegraded in server.revision.messages:
            server.send_degraded([MediaRange(0, 3)], now)
        if turn.slower:
            server.send_error("ih3001", now)
        self._recorder.listen()


@cache
def _some_types(model: Model) -> st.SearchStrategy[list[str]]:
    """Types of signal that a model may see in a session: so few that they come again."""
    return st.lists(st.sampled_from(sorted(model.signal_types)), min_size=1, max_size=3, unique=True)


@st.composite
def window_analyses(draw: st.DrawFn, window: Window, signal_types: Iterable[str]) -> WindowAnalysis:
    """What an analysis may find in a window: some of these signals, maybe engagement and scores.

    Args:
        draw: Supplied by Hypothesis.
        window: The window, as `WindowReady` names it.
        signal_types: The types of signal that may be seen (SIG-6).
    """

    def moment(fraction: float) -> float:
        return window.start + fraction * (window.end - window.start)

    signals = []
    for name in signal_types:
        seen = draw(_SEEN)
        if seen is not None:
            signals.append(SignalReport(name, moment(seen[0]), probability=seen[1]))
    level, score = draw(_ENGAGEMENT), draw(_SCORES)
    engagement = EngagementReport(level[1], moment(level[0])) if level is not None else None
    quality = QualityReport(score, 100 - score, 50, score / 4, 0) if score is not None else None
    return WindowAnalysis(window, signals, engagement, quality)


@st.composite
def _renewed(draw: st.DrawFn, transcript: Transcript) -> Transcript:
    """The same session with a newer server."""
    revision = transcript.revision
    first, ended = ("session.ready", "session.ended") if revision.announces else (None, None)
    steps: list[Step] = []
    begun = not revision.announces
    for step in transcript.steps:
        if not isinstance(step, ServerSaid):
            steps.append(step)
            continue
        text = step.text
        if draw(st.booleans()):
            text = with_members(text, revision, draw(new_members()), draw(new_members()))
        type_ = json.loads(text)[revision.framing.discriminator]
        begun = begun or type_ == first
        steps.append(ServerSaid(text))
        if begun and type_ != ended and draw(st.booleans()):
            steps.append(ServerSaid(of_unknown_type(text, revision, draw(unknown_types()), draw(new_members()))))
    return attrs.evolve(transcript, steps=tuple(steps))
