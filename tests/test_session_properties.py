"""The two sessions against each other, against a model of the protocol, and against nonsense.

Three families: a state machine that drives both sessions in memory and in virtual time, judged by `tests/model.py`;
recorded streams in which one clause is broken; and arbitrary input. `make explore` runs many more examples.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import model
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model import OVERALL, TIMELINE, ClientModel, Close, Json, Media, Output, Report, Seen, ServerModel, Terms
from network import (
    CORRELATION_ID,
    EXAMPLES,
    STARTED_AT,
    CloseFrame,
    Item,
    Lost,
    Piece,
    PlannedScanner,
    Text,
    Wire,
    analysis_of,
    cut,
    raised_by,
)

import ihproto as ih

GOALS = ("clarity", "energy", "rapport")
MODELS = ("inter-2", "inter-2-audio")

# -- what both families say in ihproto's terms ---------------------------------------------------


def contract_of(terms: Terms) -> ih.SessionReady:
    return ih.SessionReady(
        session_idle_timeout_seconds=terms.idle,
        session_max_duration_seconds=terms.longest,
        min_segment_size_bytes=terms.smallest,
        max_segment_size_bytes=terms.largest,
        supported_session_config_options=ih.ConfigOptions(
            include=terms.include, goal_dimensions=terms.goals, model=terms.models
        ),
    )


def settings_of(terms: Terms) -> ih.ServerSettings:
    return ih.ServerSettings(
        contract=contract_of(terms),
        window_seconds=terms.window,
        window_advance_seconds=terms.advance,
        period_seconds=terms.period,
        engagement_scores=terms.engagement,
        max_drain_seconds=terms.drain,
        max_text_bytes=terms.text_limit,
    )


# -- strategies -----------------------------------------------------------------------------------

INCLUDE = st.lists(st.sampled_from([OVERALL, TIMELINE, OVERALL, TIMELINE, "speech_rate", ""]), max_size=4)
TIMES = st.one_of(
    st.integers(-5, 60),
    st.floats(-50, 300, allow_nan=False),
    st.sampled_from([0, 8, 11, 1e9, -0.0, 3.0000000001]),
)
FAULTS = st.sampled_from(["ih4002", "ih4007", "ih5001", "ih5002", "ih5004", "ih5008", "ih3003"])
SECONDS = st.sampled_from([3.0, 8.0, 5.0, 2.875, 0.0, 2.9, 0.1, 5.5, 24.0, 40.0])
MEDIA = st.one_of(
    st.builds(Media, SECONDS),
    st.builds(Media, SECONDS),
    st.builds(Media, SECONDS),
    st.builds(Media, SECONDS, FAULTS, st.none() | st.integers(1, 110)),
)
SIZES = st.sampled_from([5, 6, 50, 99, 100, 100, 100, 4, 1, 0, 101, 150, 250])
SEEN = st.builds(
    Seen,
    st.sampled_from(["agreement", "stress", "interest", "unheard_of"]),
    TIMES,
    st.none() | TIMES,
    st.none() | TIMES,
    st.sampled_from([None, "low", "medium", "high"]),
    st.sampled_from([None, "because", 'é \U0001f3a5 \u2028\x00"']),
)
SCORES = st.tuples(*[st.sampled_from([0.0, 100.0, 50.0, 33.3]) | st.floats(0, 100)] * 5)
REPORT = st.builds(
    Report,
    st.lists(SEEN, max_size=4, unique_by=lambda seen: seen.signal_type).map(tuple),
    st.none()
    | st.tuples(st.sampled_from(["engaged", "neutral", "disengaged"]), st.integers(0, 60) | st.floats(0, 300)),
    st.none() | SCORES,
)
TERMS = st.builds(
    Terms,
    idle=st.sampled_from([300, 300, 300, 30, 5, 0.75]),
    longest=st.sampled_from([3600, 3600, 3600, 100, 20, 4.5]),
    smallest=st.sampled_from([1, 1, 0, 5]),
    include=st.sampled_from([(OVERALL, TIMELINE)] * 4 + [(OVERALL,), (TIMELINE,), ()]),
    goals=st.sampled_from([None, GOALS]),
    models=st.sampled_from([None, MODELS]),
    text_limit=st.sampled_from([65536, 65536, 120]),
    drain=st.sampled_from([30, 0.5, 4000]),
    window=st.sampled_from([8, 8, 5.5, 1.1]),
    advance=st.sampled_from([3, 3, 0.7]),
    period=st.sampled_from([10, 8, 4, 3, 0.7, 25]),
).map(lambda terms: replace(terms, advance=min(terms.advance, terms.window)))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CONFIG_LIKE = st.dictionaries(
    st.sampled_from(["include", "include", "goal_dimensions", "type", "model", "x"]),
    INCLUDE | st.lists(st.sampled_from(GOALS), max_size=2) | st.just("session.close") | JSON,
    max_size=3,
)
RAW_TEXTS = st.one_of(
    CONFIG_LIKE.map(json.dumps),
    st.builds(lambda value, cut: json.dumps(value)[:cut], CONFIG_LIKE, st.integers(0, 30)),
    JSON.map(lambda value: json.dumps(value, ensure_ascii=False)),
    st.text(max_size=20),
    st.sampled_from(
        [
            '{"type":"session.close"}',
            '{"type": "session.close", "x": 1}',
            '{"include":["conversation_quality_overall","conversation_quality_overall"]}',
            '{"include":null}',
            '{"include":"conversation_quality_overall"}',
            '{"include":{}}',
            '{"include":[1]}',
            '{"include":[],"model":"inter-2"}',
            '{"goal_dimensions":[]}',
            '{"goal_dimensions":null}',
            '{"goal_dimensions":["beauty"]}',
            "{}",
            "[]",
            "null",
            "",
            "{'include': []}",
            '{"include":[NaN]}',
            '{"include":["\\ud800"]}',
            '{"type":"\\ud800"}',
            '{"\\ud800":[]}',
            "\ud800",
            '{"include":[]}' + " " * 200,
            '{"include":' + "[" * 5000,
        ]
    ),
)
RARELY = st.sampled_from([False] * 11 + [True])
CLOSE_CODES = st.sampled_from([1000, 1001, 1011, 3000, 4003])


# -- the first family: two sessions and a model --------------------------------------------------


class SessionMachine(RuleBasedStateMachine):
    """Both sessions, the wires between them, the clock, and the two models."""

    @initialize(
        terms=TERMS,
        hostile=st.booleans(),
        checked=st.booleans(),
        ready_timeout=st.sampled_from([30.0, 2.0, 10000.0]),
        grace=st.sampled_from([10.0, 0.5, 10000.0]),
        start=st.sampled_from([0.0, 1000.5]),
        opening=st.sampled_from(["ready", "ready", "ready", "ready", "open", "wait"]),
        asked=st.sampled_from([None, *MODELS]),
    )
    def begin(
        self,
        terms: Terms,
        hostile: bool,
        checked: bool,
        ready_timeout: float,
        grace: float,
        start: float,
        opening: str,
        asked: str | None,
    ) -> None:
        revision = ih.V2 if terms.models is not None else ih.V1
        query = [("model", asked)] if asked is not None else []
        # v1 does not look at the query.
        asked = asked if terms.models is not None else None
        self.now = start
        self.terms = terms
        self.hostile = hostile
        self.checked = checked
        self.plans: list[Media] = []
        self.client = ih.ClientSession(
            start,
            revision=revision,
            asked=ih.SessionConfig(model=asked),
            strict=not hostile,
            correlation_id=CORRELATION_ID,
            scanner=ih.NominalScanner(),
            check_segments=checked,
            ready_timeout=ready_timeout,
            drain_grace=grace,
        )
        self.server = ih.ServerSession(
            start,
            correlation_id=CORRELATION_ID,
            started_at=STARTED_AT,
            settings=settings_of(terms),
            revision=revision,
            query=query,
            scanner=PlannedScanner(self.plans),
        )
        self.oracle = ServerModel(terms, CORRELATION_ID, STARTED_AT, start, asked)
        self.view = ClientModel(start, ready_timeout, grace, terms.models, asked)
        self.to_server = Wire()
        self.to_client = Wire()
        self.said: list[str] = []
        self.heard: list[str] = []
        self.client_events: list[ih.ClientEvent] = []
        self.server_events: list[ih.ServerEvent] = []
        self.finished_segments = 0
        if opening != "wait":
            self.open()
        if opening == "ready":
            self.deliver(False, 1)

    # -- plumbing -----------------------------------------------------------------------------------

    def server_did(self, check: Callable[[list[Output]], None]) -> None:
        """Take what the server wants sent, judge it, and put it on the wire."""
        outputs: list[Output] = []
        for item in self.server.to_send():
            if isinstance(item, ih.TextToSend):
                outputs.append(item.text)
                self.said.append(item.text)
                self.to_client.put(Text(item.text))
            else:
                assert isinstance(item, ih.CloseToSend), "a server sends no binary message (ENV-5)"
                outputs.append(Close(item.code))
                self.to_client.put(CloseFrame(item.code))
        check(outputs)
        self.server_events += self.server.events()

    def client_did(self) -> None:
        for item in self.client.to_send():
            if isinstance(item, ih.TextToSend):
                self.to_server.put(Text(item.text))
            elif isinstance(item, ih.BytesToSend):
                self.to_server.put(Piece(len(item.data), item.final))
            else:
                self.to_server.put(CloseFrame(item.code))
        self.client_events += self.client.events()

    def client_tries(self, call: Callable[[], None], allowed: bool) -> bool:
        """Call the client, which must refuse exactly what the model says; tell whether it did the call.

        A client behind whose back others speak takes their answers for its own: what it refuses then is its affair.
        """
        if self.hostile:
            allowed = raised_by(call)[1] is None
        elif allowed:
            call()
        else:
            with pytest.raises(ih.LocalProtocolError):
                call()
            assert not self.client.to_send(), "something refused was sent all the same"
        self.client_did()
        return allowed

    def give_server(self, item: Item) -> None:
        now, oracle = self.now, self.oracle
        match item:
            case Text(text):
                self.server.receive_text(text, now)
                self.server_did(lambda outputs: oracle.text(text, outputs, now))
            case Piece(size, final):
                number = oracle.segments - (1 if oracle.in_segment else 0)
                media = self.plans[number]
                self.server.receive_bytes(b"x" * size, now, final=final)
                self.server_did(lambda outputs: oracle.binary(size, final, media, outputs, now))
            case CloseFrame(code):
                self.server.receive_close(code)
                self.server_did(lambda outputs: oracle.over(outputs, now))
                if not self.to_client.shut:
                    self.to_client.put(CloseFrame(code))
            case Lost():
                self.server.receive_lost()
                self.server_did(lambda outputs: oracle.over(outputs, now))

    def give_client(self, item: Item) -> None:
        match item:
            case Text(text):
                self.heard.append(text)
                self.client.receive_text(text, self.now)
                self.view.text(text, self.now)
            case CloseFrame(code):
                self.client.receive_close(code)
                self.view.over(lost=False)
                if not self.to_server.shut:
                    self.to_server.put(CloseFrame(code))
            case Lost():
                self.client.receive_lost()
                self.view.over(lost=True)
            case Piece():
                raise AssertionError("a server sends no binary message")
        self.client_did()
        self.check_client()

    def deliver(self, to_server: bool, count: int) -> None:
        wire = self.to_server if to_server else self.to_client
        while wire.items and count:
            if to_server and self.oracle.phase == "opening" and not isinstance(wire.items[0], CloseFrame | Lost):
                return
            item = wire.items.popleft()
            if to_server:
                self.give_server(item)
            else:
                self.give_client(item)
            count -= 1

    def settle(self) -> None:
        """Deliver until nothing is in flight."""
        while True:
            before = len(self.to_server.items), len(self.to_client.items)
            self.deliver(True, 1000)
            self.deliver(False, 1000)
            if before == (len(self.to_server.items), len(self.to_client.items)):
                return

    def server_time(self) -> None:
        now = self.now
        self.server.handle_timeout(now)
        self.server_did(lambda outputs: self.oracle.passed(outputs, now))

    def client_time(self) -> None:
        overdue = self.view.passed(self.now)
        if not self.hostile and overdue in ("RDY-1", "RDY-3"):
            with pytest.raises(ih.RemoteProtocolError, match=f"^{overdue}:"):
                self.client.handle_timeout(self.now)
        else:
            self.client.handle_timeout(self.now)
        self.client_did()

    # -- rules: the server's owner ------------------------------------------------------------------

    @precondition(lambda self: self.oracle.phase == "opening")
    @rule()
    def open(self) -> None:
        self.server.open(self.now)
        self.server_did(lambda outputs: self.oracle.opened(outputs, self.now))

    @precondition(lambda self: self.oracle.phase == "opening")
    @rule(code=st.sampled_from(["ih2003", "ih1003", "ih4005"]))
    def refuse(self, code: str) -> None:
        self.server.refuse(code, self.now)
        self.server_did(lambda outputs: self.oracle.refused_session(code, outputs, self.now))

    @precondition(lambda self: self.server.outstanding)
    @rule(reports=st.lists(REPORT, min_size=1, max_size=4))
    def analyse(self, reports: list[Report]) -> None:
        for report in reports:
            if not self.server.outstanding:
                return
            self.server.send_analysis(analysis_of(self.server.outstanding[0], report), self.now)
            self.server_did(lambda outputs, report=report: self.oracle.analysed(report, outputs, self.now))  # type: ignore[misc]

    @precondition(lambda self: self.server.outstanding)
    @rule()
    def drop(self) -> None:
        self.server.drop_window(self.server.outstanding[0], self.now)
        self.server_did(lambda outputs: self.oracle.dropped(outputs, self.now))

    @precondition(lambda self: len(self.server.outstanding) > 1)
    @rule()
    def analyse_out_of_turn(self) -> None:
        with pytest.raises(ih.LocalProtocolError):
            self.server.send_analysis(ih.WindowAnalysis(self.server.outstanding[1]), self.now)
        assert not self.server.to_send()

    @precondition(lambda self: self.oracle.phase in ("open", "draining") and not self.oracle.in_segment)
    @rule(code=st.sampled_from(["ih3001", "ih3003"] * 6 + ["ih1001"]), segment=st.none() | st.integers(1, 3))
    def fail(self, code: str, segment: int | None) -> None:
        segment = segment if segment is not None and segment <= self.oracle.segments and code == "ih3003" else None
        self.server.send_error(code, self.now, segment=segment)
        self.server_did(lambda outputs: self.oracle.erred(code, segment, outputs, self.now))

    @precondition(lambda self: self.oracle.phase in ("open", "draining"))
    @rule()
    def advise(self) -> None:
        if self.oracle.goals:
            self.server.send_feedback("slower", self.now)
            self.server_did(lambda outputs: self.oracle.advised(outputs, self.now))

    @precondition(lambda self: self.oracle.phase != "closed")
    @rule(code=CLOSE_CODES, really=RARELY)
    def close_server(self, code: int, really: bool) -> None:
        if really:
            self.server.close(self.now, code)
            self.server_did(lambda outputs: self.oracle.closed(code, outputs, self.now))

    @precondition(lambda self: self.oracle.phase == "closed")
    @rule()
    def speak_after_the_close(self) -> None:
        calls: list[Callable[[], object]] = [
            lambda: self.server.open(self.now),
            lambda: self.server.send_error("ih3001", self.now),
            lambda: self.server.close(self.now),
            lambda: self.server.refuse("ih2003", self.now),
            lambda: self.server.send_feedback("slower", self.now),
        ]
        for call in calls:
            with pytest.raises(ih.LocalProtocolError):
                call()
        assert not self.server.to_send()
        assert not self.server.events()

    # -- rules: the client's owner ------------------------------------------------------------------

    @rule(
        include=INCLUDE,
        goals=st.sampled_from([None, None, GOALS[:2], (), ("beauty",)]),
        name=st.sampled_from([None, None, *MODELS, "inter-9"]),
        rate=st.sampled_from([None, None, 16000, 24000]),
    )
    def send_config(
        self,
        include: Sequence[str],
        goals: tuple[str, ...] | None,
        name: str | None = None,
        rate: Literal[16000, 24000] | None = None,
    ) -> None:
        audio = ih.AudioFormat(sample_rate=rate) if rate is not None else None
        self.client_tries(
            lambda: self.client.send_config(include, goal_dimensions=goals, model=name, audio_format=audio),
            self.view.may_send_config(fixed=name is not None or rate is not None),
        )

    @rule(segments=st.lists(st.tuples(SIZES, st.lists(st.integers(0, 120), max_size=3), MEDIA), min_size=1, max_size=3))
    def send_segments(self, segments: list[tuple[int, list[int], Media]]) -> None:
        for size, cuts, media in segments:
            pieces = cut(size, cuts)
            for index, piece in enumerate(pieces):
                self.send_piece(piece, index == len(pieces) - 1, media)

    @precondition(lambda self: self.view.state == "OPEN" and not self.view.in_segment)
    @rule(
        seconds=st.lists(SECONDS, min_size=1, max_size=4),
        reports=st.lists(st.none() | REPORT | REPORT, max_size=8),
        include=st.sampled_from([None, (OVERALL,), (TIMELINE,), (OVERALL, TIMELINE), (OVERALL, TIMELINE)]),
    )
    def stream(self, seconds: list[float], reports: list[Report | None], include: tuple[str, ...] | None) -> None:
        """Do for a while what a session is for: config, segments, and the analysis of their windows."""
        if include is not None:
            self.send_config(include, None)
        for length in seconds:
            self.send_piece(40, False, Media(length))
            self.send_piece(60, True, Media(length))
        if self.oracle.phase != "opening":
            self.deliver(True, 1000)
        self.analyse_some(reports)

    @precondition(lambda self: self.view.state == "OPEN" and not self.view.in_segment)
    @rule(reports=st.lists(st.none() | REPORT | REPORT, max_size=6), really=st.sampled_from([False, False, True]))
    def finish(self, reports: list[Report | None], really: bool) -> None:
        """End gracefully, and let the server analyse all or some of what is left."""
        if really:
            self.end(True)
            if self.oracle.phase != "opening":
                self.deliver(True, 1000)
            self.analyse_some(reports)

    def analyse_some(self, reports: list[Report | None]) -> None:
        for report in reports:
            if not self.server.outstanding:
                return
            if report is None:
                self.drop()
            else:
                self.analyse([report])

    @rule(size=SIZES, final=st.booleans(), media=MEDIA)
    def send_piece(self, size: int, final: bool, media: Media) -> None:
        allowed = self.view.may_send_segment(size, final, self.checked)
        if self.client_tries(lambda: self.client.send_segment(b"x" * size, final=final), allowed):
            if not self.view.in_segment:
                self.plans.append(media)
            self.view.sent_segment(size, final)
            self.finished_segments += final

    @rule(really=st.sampled_from([False, False, False, True]))
    def end(self, really: bool) -> None:
        if really and self.client_tries(lambda: self.client.end(self.now), self.view.may_end()):
            self.view.asked_to_end(self.now)

    @rule(code=CLOSE_CODES, really=RARELY)
    def close_client(self, code: int, really: bool) -> None:
        allowed = self.view.may_close()
        if (really or not allowed) and self.client_tries(lambda: self.client.close(code), allowed):
            self.view.closes()

    # -- rules: a hostile client --------------------------------------------------------------------

    def may_inject(self) -> bool:
        return self.hostile and not self.view.in_segment and not self.to_server.shut and not self.to_server.cut

    @precondition(may_inject)
    @rule(texts=st.lists(RAW_TEXTS, min_size=1, max_size=3))
    def inject_texts(self, texts: list[str]) -> None:
        for text in texts:
            self.to_server.put(Text(text))

    @precondition(may_inject)
    @rule(size=SIZES, cuts=st.lists(st.integers(0, 120), max_size=3), media=MEDIA)
    def inject_segment(self, size: int, cuts: list[int], media: Media) -> None:
        self.plans.append(media)
        pieces = cut(size, cuts)
        for index, piece in enumerate(pieces):
            self.to_server.put(Piece(piece, index == len(pieces) - 1))

    # -- rules: the network and the clock -----------------------------------------------------------

    @rule(count=st.integers(1, 4))
    def deliver_to_server(self, count: int) -> None:
        self.deliver(True, count)

    @rule(count=st.integers(1, 4))
    def deliver_to_client(self, count: int) -> None:
        self.deliver(False, count)

    @rule()
    def deliver_all(self) -> None:
        self.settle()

    @rule(keep_up=st.integers(0, 5), keep_down=st.integers(0, 5), really=RARELY)
    def lose(self, keep_up: int, keep_down: int, really: bool) -> None:
        if really:
            self.to_server.lose(keep_up)
            self.to_client.lose(keep_down)

    @rule(seconds=st.sampled_from([0.0, 0.1, 1.0, 2.0, 3.0, 4.9, 5.0, 31.0, 400.0]))
    def pass_time(self, seconds: float) -> None:
        """Let time pass, calling both sides at the moments they named."""
        until = self.now + seconds
        while True:
            moments = [moment for moment in (self.server.next_timeout(), self.client_deadline()) if moment is not None]
            if not moments or min(moments) > until:
                break
            self.now = max(self.now, min(moments))
            self.server_time()
            self.client_time()
            self.check_both()
        self.now = max(self.now, until)

    @rule(seconds=st.sampled_from([0.0, 0.1, 2.0, 20.0, 500.0]), really=RARELY)
    def be_late(self, seconds: float, really: bool) -> None:
        """Let time pass without calling anybody, then call both."""
        self.now += seconds if really else 0.0
        self.server_time()
        self.client_time()

    @rule(which=st.booleans(), offset=st.sampled_from([-0.001, 0.0]), really=RARELY)
    def go_to_the_deadline(self, which: bool, offset: float, really: bool) -> None:
        """Go to the very moment that one side named, or just before it."""
        deadline = self.server.next_timeout() if which else self.client_deadline()
        if deadline is not None and really:
            self.now = max(self.now, deadline + offset)
            self.server_time()
            self.client_time()

    def client_deadline(self) -> float | None:
        return self.client.next_timeout()

    # -- what must hold at any moment ---------------------------------------------------------------

    @invariant()
    def check_both(self) -> None:
        if not hasattr(self, "oracle"):
            return
        self.check_server()
        self.check_client()

    def check_server(self) -> None:
        server, oracle = self.server, self.oracle
        assert server.next_timeout() == oracle.deadline
        phases = {
            "OPENING": "opening",
            "OPEN": "open",
            "DRAINING": "draining",
            "REFUSED": "closed",
            "CLOSING": "closed",
            "CLOSED": "closed",
        }
        assert phases[server.state.value] == oracle.phase
        assert [(window.start, window.end) for window in server.outstanding] == oracle.outstanding
        assert [window.start for window in server.outstanding] == sorted(window.start for window in server.outstanding)
        assert server.config.include == oracle.include
        if oracle.phase not in ("opening", "closed"):
            assert server.config.model == oracle.model
        audio = server.config.audio_format
        assert ((audio.encoding, audio.sample_rate, audio.channels) if audio is not None else None) == oracle.audio
        assert server.media_seconds == oracle.media_seconds
        if oracle.phase != "closed":
            assert server.segments_received == oracle.segments

    def check_client(self) -> None:
        client, view = self.client, self.view
        assert client.config.include == view.include
        assert client.config.goal_dimensions == view.goals
        assert client.config.model == view.model
        assert client.correlation_id == view.correlation_id
        assert {
            name: (signal.start, signal.since, signal.probability) for name, signal in client.signals.items()
        } == view.signals
        engagement = (client.engagement.state, client.engagement.start) if client.engagement is not None else None
        assert engagement == view.engagement
        assert (client.quality is None) == (view.quality is None)
        if client.quality is not None and view.quality is not None:
            assert (client.quality.overall is not None) == ("overall" in view.quality)
            assert (client.quality.timeline is not None) == ("timeline" in view.quality)
            if client.quality.overall is not None:
                assert client.quality.overall.quality_index == view.quality["overall"]["quality_index"]
        assert (client.contract is None) == (view.contract is None)
        if client.contract is not None:
            assert client.contract == contract_of(self.terms)
        assert client.segments_sent == view.segments
        assert client.media_seconds_sent == 3.0 * self.finished_segments
        if client.state in (ih.ClientState.CLOSING, ih.ClientState.CLOSED):
            assert client.next_timeout() is None
        if not self.hostile:
            assert client.state.value == view.state
            assert client.next_timeout() == view.deadline
            violations = [item.violation for item in self.client_events if isinstance(item, ih.Violated)]
            assert [violation.clause.id for violation in violations] == view.violations

    # -- the end ------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "oracle"):
            return
        if self.oracle.phase == "opening":
            self.settle()
        if self.oracle.phase == "opening":
            self.open()
        if self.to_server.items and isinstance(self.to_server.items[-1], Lost):
            event("lost")
        for _ in range(20):
            self.settle()
            self.check_both()
            moments = [moment for moment in (self.server.next_timeout(), self.client_deadline()) if moment is not None]
            if not moments:
                break
            self.now = max(self.now, *moments)
            self.server_time()
            self.client_time()
        self.settle()
        self.check_both()
        assert self.server.state is ih.ServerState.CLOSED, "the server hangs"
        assert self.client.state is ih.ClientState.CLOSED, "the client hangs"
        assert self.server.next_timeout() is None
        assert self.client.next_timeout() is None
        self.check_events()
        model.check_lifecycles(self.said)
        event(f"session.ended: {any('session.ended' in text for text in self.heard)}, hostile: {self.hostile}")
        event("v1" if self.terms.models is None else "v2")

    def check_events(self) -> None:
        assert [item.raw for item in self.client_events if isinstance(item, ih.Envelope)] == self.heard
        ends = [item for item in self.client_events if isinstance(item, ih.SessionClosed)]
        assert len(ends) == 1
        assert (ends[0].ended.reason if ends[0].ended is not None else None) == self.view.ended
        assert isinstance(self.client_events[-1], ih.SessionClosed)
        assert [type(item) for item in self.server_events].count(ih.SessionClosed) == 1
        assert isinstance(self.server_events[-1], ih.SessionClosed)
        accepted = [item for item in self.server_events if isinstance(item, ih.SegmentAccepted)]
        assert [(item.number, item.start, item.end) for item in accepted] == self.oracle.media_times
        refused = [item for item in self.server_events if isinstance(item, ih.SegmentRefused)]
        assert [(item.number, item.error.code) for item in refused] == self.oracle.refused
        if not self.hostile:
            assert (ends[0].error.code if ends[0].error is not None else None) == self.view.error


TestSessions = SessionMachine.TestCase


# -- the second family: one clause broken ---------------------------------------------------------


@dataclass(frozen=True)
class Receive:
    """The client receives this text; whatever is not a str is dumped as JSON."""

    message: Any

    @property
    def text(self) -> str:
        return self.message if isinstance(self.message, str) else json.dumps(self.message)

    @property
    def type(self) -> str:
        return str(self.message["type"]) if isinstance(self.message, dict) and "type" in self.message else ""

    @property
    def data(self) -> Json:
        data: Json = self.message["data"]
        return data


@dataclass(frozen=True)
class ReceiveBinary:
    """The client receives a binary message."""


@dataclass(frozen=True)
class ReceiveClose:
    """The server closes."""


@dataclass(frozen=True)
class Call:
    """The client's owner does something."""

    what: str
    include: tuple[str, ...] = ()


Step: TypeAlias = Receive | ReceiveBinary | ReceiveClose | Call
Script: TypeAlias = list[Step]


@dataclass
class Played:
    """What a client made of a script."""

    clauses: list[str] = field(default_factory=list)
    raised: str | None = None
    raws: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def play(script: Script, *, strict: bool, correlation_id: str = CORRELATION_ID) -> Played:
    """Let a client live through a script; a strict one until it raises."""
    client = ih.ClientSession(
        0.0, strict=strict, correlation_id=correlation_id, scanner=ih.NominalScanner(), check_segments=False
    )
    played = Played()
    events: list[ih.ClientEvent] = []
    try:
        for step in script:
            match step:
                case Receive():
                    played.texts.append(step.text)
                    client.receive_text(step.text, 0.0)
                case ReceiveBinary():
                    client.receive_bytes(b"\x00", 0.0)
                case ReceiveClose():
                    client.receive_close(1000)
                case Call("config", include):
                    _leniently(client.send_config, include)
                case Call("segment"):
                    _leniently(client.send_segment, b"x")
                case Call():
                    _leniently(client.end, 0.0)
    except ih.RemoteProtocolError as error:
        played.raised = error.violation.clause.id
    events = client.events()
    for item in events:
        if isinstance(item, ih.Envelope):
            played.raws.append(item.raw)
        elif isinstance(item, ih.Violated):
            played.clauses.append(item.violation.clause.id)
            if item.raw is not None and (not played.raws or item.raw != played.raws[-1]):
                played.raws.append(item.raw)
    return played


def _leniently(call: Callable[..., None], *arguments: Any) -> None:
    try:
        call(*arguments)
    except ih.LocalProtocolError:
        return


@st.composite
def legal_scripts(draw: st.DrawFn, sections: tuple[str, ...] = (OVERALL, TIMELINE)) -> Script:
    """Record a session that shows every kind of message.

        A config is rejected and one accepted, a segment is refused, `stress` is detected, updated, ended and detected
        again, `interest` is active at the end, the engagement changes twice, at least two periods close, a window is
    windows are
        dropped, and ends gracefully.
    """
    script: Script = []
    server = ih.ServerSession(
        0.0,
        correlation_id=CORRELATION_ID,
        started_at=STARTED_AT,
        settings=settings_of(Terms(period=4.0)),
        scanner=PlannedScanner([Media(0.0, "ih4002")] + [Media(3.0)] * 100),
    )
    now = 0.0

    def hear() -> None:
        for item in server.to_send():
            if isinstance(item, ih.TextToSend):
                script.append(Receive(json.loads(item.text)))
            else:
                script.append(ReceiveClose())

    def segment() -> None:
        script.append(Call("segment"))
        server.receive_bytes(b"x", now)
        hear()

    def config(include: tuple[str, ...]) -> None:
        script.append(Call("config", include))
        server.receive_text(json.dumps({"include": include}), now)
        hear()

    def analyse(report: Report) -> None:
        while not server.outstanding:
            segment()
        server.send_analysis(analysis_of(server.outstanding[0], report), now)
        hear()

    server.open(now)
    hear()
    config(())
    config(sections)
    segment()
    levels = draw(st.permutations(["low", "medium", "high"]))
    states = draw(st.permutations(["engaged", "neutral", "disengaged"]))
    base = draw(st.sampled_from([1.0, 2.5, 3]))
    quality = draw(st.tuples(*[st.floats(20, 80)] * 5))
    stress = [Seen("stress", base, base + 1, base, level) for level in levels]
    interest = Seen("interest", base, probability=draw(st.sampled_from(levels)))
    analyse(Report((stress[0],), (states[0], 1.0), quality))
    for _ in range(draw(st.integers(0, 2))):
        analyse(Report((stress[0],), (states[0], 2.0), quality))
    now += draw(st.floats(0, 5))
    analyse(Report((replace(stress[1], since=base + 1),), (states[1], 4.0), quality))
    analyse(Report((interest,), None, None))
    later = base + draw(st.integers(10, 20))
    analyse(Report((interest, Seen("stress", later, None, None, levels[2])), (states[2], 9.0), quality))
    for _ in range(2):
        while not server.outstanding:
            segment()
        server.drop_window(server.outstanding[0], now)
        hear()
    script.append(Call("end"))
    server.receive_text('{"type":"session.close"}', now)
    hear()
    while server.outstanding:
        analyse(Report((interest, Seen("stress", later, None, None, levels[2])), None, quality))
    server.receive_close(1000)
    return script


class Editor:
    """A script to break, and the choices that hypothesis makes."""

    def __init__(self, script: Script, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.script: Script = copy.deepcopy(script)
        self._draw = draw

    def pick(self, *types: str, where: Callable[[Json], bool] = lambda data: True) -> int:
        """The place of one of the messages of these types."""
        places = self.places(*types, where=where)
        assert places, f"no {types} in {self.script}"
        place: int = self._draw(st.sampled_from(places))
        return place

    def places(self, *types: str, where: Callable[[Json], bool] = lambda data: True) -> list[int]:
        return [
            index
            for index, step in enumerate(self.script)
            if isinstance(step, Receive) and (not types or step.type in types) and where(step.data)
        ]

    def one_of(self, *values: Any) -> Any:
        return self._draw(st.sampled_from(values))

    def data(self, place: int) -> Json:
        step = self.script[place]
        assert isinstance(step, Receive)
        return step.data

    def envelope(self, place: int) -> Json:
        step = self.script[place]
        assert isinstance(step, Receive)
        message: Json = step.message
        return message

    def insert(self, place: int, type_: str, data: Any) -> None:
        """Insert a message before `place`."""
        like = next(step.message for step in self.script if isinstance(step, Receive))
        self.script.insert(place, Receive({**like, "type": type_, "data": data}))

    def double(self, place: int) -> None:
        self.script.insert(place, copy.deepcopy(self.script[place]))

    def cut_text(self, place: int, keep: int) -> None:
        step = self.script[place]
        assert isinstance(step, Receive)
        self.script[place] = Receive(step.text[:keep])


@dataclass(frozen=True)
class Mutator:
    """A way to break one clause.

    Attributes:
        clause: The clause that it breaks.
        apply: Breaks it.
        also: Clauses that may be reported because of it.
        sections: What the client asks for in the script.
        announced: The correlation id of the upgrade response.
    """

    name: str
    clause: str
    apply: Callable[[Editor], object]
    also: frozenset[str] = frozenset()
    sections: tuple[str, ...] = (OVERALL, TIMELINE)
    announced: str = CORRELATION_ID


MUTATORS: list[Mutator] = []


def breaks(
    clause: str,
    *also: str,
    sections: tuple[str, ...] = (OVERALL, TIMELINE),
    announced: str = CORRELATION_ID,
) -> Callable[[Callable[[Editor], object]], Callable[[Editor], object]]:
    def register(apply: Callable[[Editor], object]) -> Callable[[Editor], object]:
        MUTATORS.append(Mutator(apply.__name__, clause, apply, frozenset(also), sections, announced))
        return apply

    return register


def _of(name: str) -> Callable[[Json], bool]:
    return lambda data: data["signal_type"] == name


@breaks("RDY-1", "RDY-3", "CFG-2", "CFG-4", "SEG-1", "CLS-1")
def drop_ready(it: Editor) -> None:
    del it.script[it.pick("session.ready")]


@breaks("RDY-1")
def double_ready(it: Editor) -> None:
    ready = it.pick("session.ready")
    it.script.insert(it.pick(), copy.deepcopy(it.script[ready])) if it.one_of(True, False) else it.double(ready)


@breaks("RDY-1", "CFG-2")
def late_ready(it: Editor) -> None:
    ready = it.script.pop(it.pick("session.ready"))
    it.script.insert(it.pick("session.updated") + 1, ready)


@breaks("RDY-2")
def contradictory_contract(it: Editor) -> None:
    data = it.data(it.pick("session.ready"))
    data[it.one_of("session_idle_timeout_seconds", "session_max_duration_seconds")] = it.one_of(0, -1)


@breaks("RDY-2")
def contract_without_room(it: Editor) -> None:
    it.data(it.pick("session.ready")).update(min_segment_size_bytes=10, max_segment_size_bytes=9)


@breaks("RDY-2", "RDY-1", "RDY-3", "CFG-2", "CFG-4", "SEG-1", "CLS-1")
def incomplete_contract(it: Editor) -> None:
    data = it.data(it.pick("session.ready"))
    del data[it.one_of(*data.keys() - {"min_segment_duration_seconds", "max_segment_duration_seconds"})]


@breaks("ENV-2")
def change_correlation_id(it: Editor) -> None:
    it.envelope(it.one_of(*it.places()[1:]))["correlation_id"] = it.one_of("", "other", CORRELATION_ID.upper())


@breaks("HS-9", announced="another")
def announce_another_correlation_id(it: Editor) -> None:
    return None


@breaks("ENV-1")
def bad_timestamp(it: Editor) -> None:
    it.envelope(it.pick())["timestamp"] = it.one_of(
        "", "yesterday", "1735689600", "2025-01-01T00:00:00", "2025-01-01T00:00:00+02:00", "2025-13-01T00:00:00Z"
    )


@breaks("ENV-1")
def incomplete_envelope(it: Editor) -> None:
    del it.envelope(it.pick("coverage.dropped"))[it.one_of("type", "timestamp", "correlation_id", "data")]


@breaks("ENV-1")
def wrong_type_in_envelope(it: Editor) -> None:
    it.envelope(it.pick("coverage.dropped"))[it.one_of("type", "timestamp", "correlation_id")] = it.one_of(1, None, [])


@breaks("ENV-1")
def truncated_text(it: Editor) -> None:
    it.cut_text(it.pick("coverage.dropped"), it.one_of(0, 1, 20, -1))


@breaks("ENV-5")
def binary_message(it: Editor) -> None:
    it.script.insert(it.pick(), ReceiveBinary())


@breaks("SIG-1")
def detected_twice(it: Editor) -> None:
    it.double(it.pick("signal.detected"))


@breaks("SIG-1", "SIG-2", "SIG-5")
def detected_without_start(it: Editor) -> None:
    del it.data(it.pick("signal.detected"))[it.one_of("start", "signal_type")]


@breaks("SIG-1", "SIG-2", "SIG-5")
def detected_with_wrong_types(it: Editor) -> None:
    data = it.data(it.pick("signal.detected"))
    data[it.one_of("start", "signal_type", "probability")] = it.one_of([], {}, True)


@breaks("SIG-2")
def never_detected(it: Editor) -> None:
    del it.script[it.places("signal.detected", where=_of("stress"))[0]]


@breaks("SIG-2")
def update_without_change(it: Editor) -> None:
    place = it.pick("signal.detected", "signal.updated")
    it.insert(place + 1, "signal.updated", copy.deepcopy(it.data(place)))


@breaks("SIG-2", "SIG-1")
def updated_after_end(it: Editor) -> None:
    place = it.places("signal.ended", where=_of("stress"))[0]
    end = it.data(place)["end"]
    it.insert(place + 1, "signal.updated", {"signal_type": "stress", "start": end, "probability": "low"})


@breaks("SIG-3", "SIG-1", "SIG-7")
def end_without_time(it: Editor) -> None:
    del it.data(it.pick("signal.ended"))["end"]


@breaks("SIG-4")
def end_before_start(it: Editor) -> None:
    it.data(it.places("signal.ended", where=_of("stress"))[0])["end"] = it.one_of(0, 0.5, -1)


@breaks("SIG-4")
def update_backwards(it: Editor) -> None:
    it.data(it.pick("signal.updated"))["start"] = it.one_of(0, 0.25, -3)


@breaks("SIG-4")
def detected_before_last_end(it: Editor) -> None:
    it.data(it.places("signal.detected", where=_of("stress"))[1])["start"] = it.one_of(0, 0.25, -3)


@breaks("SIG-5")
def ended_twice(it: Editor) -> None:
    it.double(it.pick("signal.ended"))


@breaks("SIG-5")
def ended_out_of_nothing(it: Editor) -> None:
    place = it.one_of(*it.places("signal.updated", "coverage.dropped", "error"))
    it.insert(place, "signal.ended", {"signal_type": "agreement", "end": 1})


@breaks("SIG-6")
def unknown_probability(it: Editor) -> None:
    it.data(it.pick("signal.detected", "signal.updated"))["probability"] = it.one_of("", "certain", "HIGH")


@breaks("SIG-6")
def unknown_signal(it: Editor) -> None:
    for place in it.places("signal.detected", "signal.updated", "signal.ended", where=_of("interest")):
        it.data(place)["signal_type"] = "ennui"


@breaks("SIG-7")
def active_at_the_end(it: Editor) -> None:
    del it.script[it.places("signal.ended")[-1]]


@breaks("ENG-2")
def engagement_repeated(it: Editor) -> None:
    it.double(it.pick("engagement.updated"))


@breaks("ENG-3")
def engagement_unknown(it: Editor) -> None:
    it.data(it.pick("engagement.updated"))["state"] = it.one_of("", "bored", "Engaged")


@breaks("ENG-3")
def engagement_before_the_session(it: Editor) -> None:
    it.data(it.places("engagement.updated")[-1])["start"] = it.one_of(-0.001, -2)


@breaks("ENG-1")
def engagement_without_state(it: Editor) -> None:
    del it.data(it.pick("engagement.updated"))[it.one_of("state", "start")]


def _scores(it: Editor) -> Json:
    data = it.data(it.pick("conversation_quality.updated"))
    scores: Json = data["overall"] if it.one_of(True, False) else data["timeline"][0]["values"]
    return scores


@breaks("CQI-1", "CFG-2")
def quality_that_nobody_asked_for(it: Editor) -> None:
    quality = it.pick("conversation_quality.updated")
    moved = copy.deepcopy(it.script[quality])
    it.script.insert(it.places("session.updated")[0], moved)
    del it.script[quality + 1]
    for place in it.places("conversation_quality.updated")[1:]:
        entry = it.data(place)["timeline"][0]
        entry["start"], entry["end"] = entry["start"] + 1000, entry["end"] + 1000


@breaks("CQI-1")
def quality_twice_in_a_period(it: Editor) -> None:
    it.double(it.pick("conversation_quality.updated"))


@breaks("CQI-1")
def period_backwards(it: Editor) -> None:
    place = it.places("conversation_quality.updated")[-1]
    it.data(place)["timeline"][0]["start"] = 0.5


@breaks("CQI-2")
def overall_missing(it: Editor) -> None:
    del it.data(it.pick("conversation_quality.updated"))["overall"]


@breaks("CQI-2", sections=(TIMELINE,))
def overall_not_asked_for(it: Editor) -> None:
    data = it.data(it.pick("conversation_quality.updated"))
    data["overall"] = dict(data["timeline"][0]["values"])


@breaks("CQI-3")
def timeline_missing(it: Editor) -> None:
    del it.data(it.pick("conversation_quality.updated"))["timeline"]


@breaks("CQI-3", sections=(OVERALL,))
def timeline_not_asked_for(it: Editor) -> None:
    data = it.data(it.places("conversation_quality.updated")[-1])
    data["timeline"] = [{"start": 0, "end": 4, "values": dict(data["overall"])}]


@breaks("CQI-3", "CQI-1")
def timeline_of_two(it: Editor) -> None:
    timeline = it.data(it.pick("conversation_quality.updated"))["timeline"]
    timeline.append({**timeline[0], "start": timeline[0]["end"], "end": timeline[0]["end"] + 4})


@breaks("CQI-3")
def timeline_of_none(it: Editor) -> None:
    it.data(it.pick("conversation_quality.updated"))["timeline"] = []


@breaks("CQI-3", "CQI-1")
def period_of_no_length(it: Editor) -> None:
    entry = it.data(it.pick("conversation_quality.updated"))["timeline"][0]
    entry["end"] = entry["start"] - it.one_of(0, 1, 100)


@breaks("CQI-5", "CQI-6")
def score_out_of_range(it: Editor) -> None:
    _scores(it)[it.one_of("quality_index", *model.DIMENSIONS)] = it.one_of(101, 100.5, -1, 1e300)


@breaks("CQI-6")
def index_is_no_mean(it: Editor) -> None:
    scores = _scores(it)
    scores["quality_index"] = scores["quality_index"] + it.one_of(4, -4, 19)


@breaks("CFG-2", "CQI-1", "CQI-2", "CQI-3")
def wrong_config_in_force(it: Editor) -> None:
    data = it.data(it.places("session.updated")[1])
    data["include"] = it.one_of([], [OVERALL], [TIMELINE], [OVERALL, TIMELINE, "more"])


@breaks("CFG-4")
def config_not_replaced(it: Editor) -> None:
    it.data(it.places("session.updated")[0])["include"] = it.one_of([OVERALL], [TIMELINE, OVERALL])


@breaks("CFG-2")
def answered_twice(it: Editor) -> None:
    it.double(it.places("session.updated")[1])


@breaks("CFG-2", "CFG-4")
def config_not_answered(it: Editor) -> None:
    del it.script[it.places("session.updated")[0]]


@breaks("CFG-6")
def feedback_not_asked_for(it: Editor) -> None:
    it.insert(it.pick("signal.ended"), "feedback.generated", {"feedback": "smile"})


@breaks("CFG-6")
def goals_not_asked_for(it: Editor) -> None:
    it.data(it.pick("session.updated"))["goal_dimensions"] = ["clarity"]


@breaks("SEG-1")
def error_naming_segment_zero(it: Editor) -> None:
    it.data(it.pick("error"))["segment"] = it.one_of(0, -1)


@breaks("SEG-1")
def error_naming_a_segment_to_come(it: Editor) -> None:
    it.data(it.pick("error"))["segment"] = it.one_of(2, 10**12)


@breaks("SEG-8")
def segment_error_without_segment(it: Editor) -> None:
    it.data(it.pick("error"))["segment"] = None


@breaks("SEG-8")
def session_error_with_segment(it: Editor) -> None:
    it.data(it.pick("error"))["code"] = it.one_of("ih6003", "ih6004", "ih1003")


@breaks("ERR-1")
def error_without_words(it: Editor) -> None:
    del it.data(it.pick("error"))[it.one_of("code", "message")]


@breaks("ERR-1")
def error_without_code(it: Editor) -> None:
    it.data(it.pick("error"))["code"] = ""


@breaks("COV-1")
def coverage_of_nothing(it: Editor) -> None:
    it.data(it.pick("coverage.dropped"))["ranges"] = it.one_of(
        [], [{"start": 3, "end": 3}], [{"start": 5, "end": 3}], [{"start": -1, "end": 3}]
    )


@breaks("CLS-1")
def ended_without_closing(it: Editor) -> None:
    del it.script[it.pick("session.closing")]


@breaks("CLS-1")
def closing_twice(it: Editor) -> None:
    it.double(it.pick("session.closing"))


@breaks("CLS-1")
def closing_that_nobody_asked_for(it: Editor) -> None:
    it.script.remove(Call("end"))


@breaks("CLS-1")
def something_after_the_end(it: Editor) -> None:
    end = it.pick("session.ended") + 1
    type_, data = it.one_of(("coverage.dropped", {"ranges": [{"start": 3, "end": 4}]}), ("hello.world", {}))
    it.insert(end, type_, data)


@breaks("CLS-1")
def close_without_ended(it: Editor) -> None:
    del it.script[it.pick("session.ended")]


@breaks("CLS-1")
def close_instead_of_ended(it: Editor) -> None:
    del it.script[it.pick("session.closing") + 1 :]
    it.script.append(ReceiveClose())


@breaks("RDY-3", "CFG-2")
def ready_after_refusal(it: Editor) -> None:
    error = {"code": "ih2003", "message": "no", "link": None, "segment": None}
    it.insert(0, "error", error)


def _level(clause_id: str) -> ih.Level:
    return ih.clause(clause_id).level


def test_there_is_a_mutator_for_every_clause_of_the_stream() -> None:
    assert len(MUTATORS) >= 20
    broken = {mutator.clause for mutator in MUTATORS}
    judged = {"ENV-1", "ENV-2", "ENV-5", "RDY-1", "RDY-2", "RDY-3", "CFG-2", "CFG-4", "CFG-6", "ERR-1", "COV-1", "HS-9"}
    judged |= {f"SIG-{number}" for number in range(1, 8)} | {"ENG-1", "ENG-2", "ENG-3"}
    judged |= {"CQI-1", "CQI-2", "CQI-3", "CQI-5", "CQI-6", "SEG-1", "SEG-8", "CLS-1"}
    assert broken == judged


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda mutator: f"{mutator.name}-{mutator.clause}")
def test_a_broken_clause_is_named(mutator: Mutator) -> None:
    @settings(max_examples=max(EXAMPLES // 12, 4))
    @given(st.data(), legal_scripts(mutator.sections))
    def check(data: st.DataObject, script: Script) -> None:
        editor = Editor(script, data.draw)
        mutator.apply(editor)
        lenient = play(editor.script, strict=False, correlation_id=mutator.announced)
        found = set(lenient.clauses)
        assert mutator.clause in found, f"{mutator.clause} was not found, but {found}"
        assert found <= {mutator.clause} | mutator.also, f"{found} is more than {mutator.clause}"
        assert lenient.raised is None
        assert lenient.raws == lenient.texts
        strict = play(editor.script, strict=True, correlation_id=mutator.announced)
        if _level(mutator.clause) is ih.Level.MUST:
            assert strict.raised == mutator.clause
        elif all(_level(clause_id) is not ih.Level.MUST for clause_id in found):
            assert strict.raised is None

    check()


@settings(max_examples=max(EXAMPLES // 2, 10))
@given(st.data(), st.sampled_from([(), (OVERALL,), (TIMELINE,), (OVERALL, TIMELINE)]).flatmap(legal_scripts))
def test_a_legal_stream_is_not_blamed(data: st.DataObject, script: Script) -> None:
    editor = Editor(script, data.draw)
    for _ in range(data.draw(st.integers(0, 3))):
        end = editor.pick("session.ended")
        place = editor.pick()
        if 0 < place < end:
            editor.insert(place, data.draw(st.sampled_from(["hello.world", "signal.renamed"])), data.draw(JSON))
    for place in editor.places()[: data.draw(st.integers(0, 30))]:
        editor.envelope(place)["x-new"] = data.draw(JSON)
        if isinstance(editor.envelope(place)["data"], dict):
            editor.data(place)["x_new"] = data.draw(JSON)
    played = play(editor.script, strict=True)
    assert played.clauses == []
    assert played.raised is None
    assert played.raws == played.texts
    model.check_lifecycles(played.texts)


# -- the third family: nonsense -------------------------------------------------------------------

SERVER_TYPES = [
    "session.ready",
    "session.updated",
    "session.closing",
    "session.ended",
    "signal.detected",
    "signal.updated",
    "signal.ended",
    "engagement.updated",
    "conversation_quality.updated",
    "feedback.generated",
    "coverage.dropped",
    "coverage.degraded",
    "error",
    "hello.world",
]
WORDS = st.sampled_from(
    ["stress", "engaged", "low", "ih6001", "ih1001", "ih5004", "client_shutdown", OVERALL, "\u2028"]
)
NUMBERS = st.integers(-(10**400), 10**400) | st.floats() | st.sampled_from([0, 1, 2, 50, 10**300, -1e308])
FIELDS = st.one_of(NUMBERS, WORDS, st.lists(WORDS, max_size=2), JSON)
RANGES = st.lists(st.fixed_dictionaries({"start": NUMBERS, "end": NUMBERS}), max_size=2)
NUMERIC_SCORES = st.fixed_dictionaries(dict.fromkeys(("quality_index", *model.DIMENSIONS), NUMBERS))
ENTRIES = st.lists(st.fixed_dictionaries({"start": NUMBERS, "end": NUMBERS, "values": NUMERIC_SCORES}), max_size=2)
INTEGERS = st.integers(-3, 200) | st.integers()
DATA = st.one_of(
    st.fixed_dictionaries(
        {
            "session_idle_timeout_seconds": NUMBERS,
            "session_max_duration_seconds": NUMBERS,
            "min_segment_size_bytes": INTEGERS,
            "max_segment_size_bytes": INTEGERS,
            "supported_session_config_options": st.fixed_dictionaries({"include": INCLUDE}),
        }
    ),
    st.fixed_dictionaries({}, optional={"signal_type": WORDS, "start": NUMBERS, "end": NUMBERS, "probability": WORDS}),
    st.fixed_dictionaries({"state": WORDS, "start": NUMBERS}),
    st.fixed_dictionaries({}, optional={"include": INCLUDE, "goal_dimensions": st.lists(WORDS, max_size=2)}),
    st.fixed_dictionaries({}, optional={"overall": NUMERIC_SCORES, "timeline": ENTRIES}),
    st.fixed_dictionaries({"code": WORDS, "message": WORDS, "link": st.none(), "segment": st.none() | st.integers()}),
    st.fixed_dictionaries({"max_drain_seconds": NUMBERS}),
    st.fixed_dictionaries({"reason": WORDS, "feedback": WORDS}),
    st.fixed_dictionaries({"ranges": RANGES}),
    st.dictionaries(st.sampled_from(["start", "end", "include", "code", "reason", "ranges"]), FIELDS, max_size=4),
    JSON,
)
ENVELOPES = st.fixed_dictionaries(
    {
        "type": st.sampled_from(SERVER_TYPES),
        "timestamp": st.sampled_from(["2025-01-01T00:00:00.000000Z"] * 5 + ["", "x", "2025-W01-1T00Z", "é"]),
        "correlation_id": st.sampled_from([CORRELATION_ID] * 5 + [""]),
        "data": DATA,
    }
).map(json.dumps)
ANY_TEXT = st.one_of(ENVELOPES, ENVELOPES, ENVELOPES, RAW_TEXTS, st.text(st.characters(), max_size=30))


PASSING = st.sampled_from([0.0, 0.5, 10.0, 40.0, 4000.0])


@dataclass(frozen=True)
class Op:
    """One call of a session."""

    name: str
    value: Any = None


CLIENT_OPS = st.one_of(
    st.builds(Op, st.just("text"), ANY_TEXT),
    st.builds(Op, st.just("legal"), st.integers(0, 40)),
    st.builds(Op, st.just("bytes"), st.tuples(st.binary(max_size=4), st.booleans())),
    st.builds(Op, st.just("close"), CLOSE_CODES),
    st.builds(Op, st.just("receive_close"), CLOSE_CODES),
    st.builds(Op, st.just("lost")),
    st.builds(Op, st.just("time"), PASSING),
    st.builds(Op, st.just("config"), INCLUDE),
    st.builds(Op, st.just("segment"), st.tuples(st.binary(max_size=4), st.booleans())),
    st.builds(Op, st.just("end")),
)
SERVER_OPS = st.one_of(
    st.builds(Op, st.just("text"), RAW_TEXTS | ANY_TEXT),
    st.builds(Op, st.just("text"), RAW_TEXTS | ANY_TEXT),
    st.builds(Op, st.just("bytes"), st.tuples(st.binary(max_size=150), st.booleans())),
    st.builds(Op, st.just("bytes"), st.tuples(st.binary(max_size=150), st.booleans())),
    st.builds(Op, st.just("close"), CLOSE_CODES),
    st.builds(Op, st.just("receive_close"), CLOSE_CODES),
    st.builds(Op, st.just("lost")),
    st.builds(Op, st.just("time"), PASSING),
    st.builds(Op, st.just("open")),
    st.builds(Op, st.just("refuse"), st.sampled_from(["ih2003", "ih3001", "ih5004", "ih6001", "ih9999"])),
    st.builds(Op, st.just("error"), st.tuples(st.sampled_from(["ih3003", "ih5004", "ih1001"]), st.none() | INTEGERS)),
    st.builds(Op, st.just("feedback")),
    st.builds(Op, st.just("long_text")),
    st.builds(Op, st.just("analysis"), st.tuples(st.integers(0, 3), REPORT)),
    st.builds(Op, st.just("drop"), st.integers(0, 3)),
)


def client_call(client: ih.ClientSession, op: Op, now: float) -> None:
    match op.name:
        case "text":
            client.receive_text(op.value, now)
        case "bytes":
            client.receive_bytes(op.value[0], now, final=op.value[1])
        case "close":
            client.close(op.value)
        case "receive_close":
            client.receive_close(op.value)
        case "lost":
            client.receive_lost()
        case "time":
            client.handle_timeout(now)
        case "config":
            client.send_config(op.value)
        case "segment":
            client.send_segment(op.value[0], final=op.value[1])
        case _:
            client.end(now)


@settings(max_examples=EXAMPLES * 2)
@given(st.booleans(), st.lists(CLIENT_OPS, max_size=30), st.booleans(), legal_scripts())
def test_nonsense_does_not_break_a_client(strict: bool, ops: list[Op], ready: bool, script: Script) -> None:
    legal = [step.text for step in script if isinstance(step, Receive)]
    client = ih.ClientSession(0.0, strict=strict, scanner=ih.NominalScanner())
    now = 0.0
    taken: list[str] = []
    raws: list[str] = []
    closed = False
    if ready:
        server = ih.ServerSession(
            0.0, correlation_id=CORRELATION_ID, started_at=STARTED_AT, scanner=ih.NominalScanner()
        )
        server.open(0.0)
        (first,) = server.to_send()
        assert isinstance(first, ih.TextToSend)
        client.receive_text(first.text, now)
        client.events()
    for drawn in ops:
        op = Op("text", legal[drawn.value % len(legal)]) if drawn.name == "legal" else drawn
        now += op.value if op.name == "time" else 0.0
        over = client.state is ih.ClientState.CLOSED
        if op.name == "text" and not over:
            taken.append(op.value)
        from_peer = op.name in ("text", "bytes", "receive_close", "lost", "time")
        remote, local = raised_by(lambda op=op, now=now: client_call(client, op, now))  # type: ignore[misc]
        if remote is not None:
            assert strict
            assert from_peer
            assert remote.side is ih.Side.SERVER
            assert remote.level is ih.Level.MUST
        if local is not None:
            assert not from_peer
            assert local.side is ih.Side.CLIENT
            assert not client.to_send()
        for item in client.events():
            raw = getattr(item, "raw", None)
            if raw is not None and (not raws or len(raws) < len(taken)):
                raws.append(raw)
        for sent in client.to_send():
            assert not closed, f"{sent} after the close"
            closed = isinstance(sent, ih.CloseToSend)
        assert raws == taken
        if client.state in (ih.ClientState.CLOSING, ih.ClientState.CLOSED):
            assert client.next_timeout() is None


def server_call(server: ih.ServerSession, op: Op, now: float) -> None:
    match op.name:
        case "text":
            server.receive_text(op.value, now)
        case "long_text":
            server.refuse_text(now)
        case "bytes":
            server.receive_bytes(op.value[0], now, final=op.value[1])
        case "close":
            server.close(now, op.value)
        case "receive_close":
            server.receive_close(op.value)
        case "lost":
            server.receive_lost()
        case "time":
            server.handle_timeout(now)
        case "open":
            server.open(now)
        case "refuse":
            server.refuse(op.value, now)
        case "error":
            server.send_error(op.value[0], now, segment=op.value[1])
        case "feedback":
            server.send_feedback("slower", now)
        case "analysis":
            index, report = op.value
            windows = server.outstanding
            window = windows[index] if index < len(windows) else ih.Window(index, 3.0 * index, 3.0 * index + 8)
            server.send_analysis(analysis_of(window, report), now)
        case _:
            windows = server.outstanding
            server.drop_window(windows[op.value] if op.value < len(windows) else ih.Window(0, 0, 8), now)


@settings(max_examples=EXAMPLES * 2)
@given(st.lists(SERVER_OPS, max_size=40), st.booleans())
def test_nonsense_does_not_break_a_server(ops: list[Op], opened: bool) -> None:
    server = ih.ServerSession(
        0.0,
        correlation_id=CORRELATION_ID,
        started_at=STARTED_AT,
        settings=settings_of(Terms(goals=GOALS)),
        scanner=ih.NominalScanner(),
    )
    now = 0.0
    in_segment = False
    closed = False
    sent: list[str] = []
    for op in [Op("open"), *ops] if opened else ops:
        now += op.value if op.name == "time" else 0.0
        over = server.state is ih.ServerState.CLOSED
        opening = server.state is ih.ServerState.OPENING
        remote, local = raised_by(lambda op=op, now=now: server_call(server, op, now))  # type: ignore[misc]
        assert remote is None
        if local is not None:
            assert local.side is ih.Side.SERVER
            assert op.name not in ("receive_close", "lost", "time")
            if op.name in ("text", "long_text", "bytes"):
                assert opening or (in_segment and op.name != "bytes")
        elif op.name == "bytes":
            in_segment = not op.value[1]
        for item in server.to_send():
            assert not closed, f"{item} after the close"
            closed = isinstance(item, ih.CloseToSend)
            if isinstance(item, ih.TextToSend):
                sent.append(item.text)
        assert not (over and server.events())
        if server.state in (ih.ServerState.CLOSED, ih.ServerState.CLOSING):
            assert server.next_timeout() is None
            assert not server.outstanding
        server.events()
    model.check_lifecycles([text for text in sent if "ih" not in json.loads(text)["data"].get("code", "")] or [])


# -- found by the properties above ----------------------------------------------------------------


def envelope(type_: str, data: str) -> str:
    return (
        f'{{"type":"{type_}","timestamp":"2025-01-01T00:00:00.000000Z",'
        f'"correlation_id":"{CORRELATION_ID}","data":{data}}}'
    )


def open_server(**terms: Any) -> ih.ServerSession:
    server = ih.ServerSession(
        0.0,
        correlation_id=CORRELATION_ID,
        started_at=STARTED_AT,
        settings=settings_of(Terms(**terms)),
        scanner=ih.NominalScanner(),
    )
    server.open(0.0)
    return server


def open_client(*, strict: bool = False) -> ih.ClientSession:
    client = ih.ClientSession(0.0, strict=strict, scanner=ih.NominalScanner())
    (ready,) = open_server().to_send()
    assert isinstance(ready, ih.TextToSend)
    client.receive_text(ready.text, 0.0)
    client.events()
    return client


def test_a_drain_announced_after_the_close_arms_no_timer() -> None:
    client = open_client()
    client.end(1.0)
    client.close()
    client.receive_text(envelope("session.closing", '{"max_drain_seconds":30}'), 1.0)
    deadline = client.next_timeout()
    if deadline is not None:
        client.handle_timeout(deadline)
    assert deadline is None


def test_an_end_announced_after_the_end_arms_no_timer() -> None:
    client = open_client()
    client.receive_lost()
    client.receive_text(envelope("session.ended", '{"reason":"client_shutdown"}'), 1.0)
    assert client.next_timeout() is None


def test_a_refused_client_is_not_answered() -> None:
    server = ih.ServerSession(0.0, correlation_id=CORRELATION_ID, started_at=STARTED_AT, scanner=ih.NominalScanner())
    server.send_error("ih3001", 0.0)
    server.to_send()
    server.receive_text("{}", 1.0)
    assert not server.to_send()


def test_a_second_ready_does_not_make_a_drain_endless() -> None:
    client = open_client()
    client.end(1.0)
    (ready,) = open_server().to_send()
    assert isinstance(ready, ih.TextToSend)
    client.receive_text(ready.text, 1.0)
    assert client.next_timeout() is not None


def test_an_announced_close_after_end_is_no_fault() -> None:
    client = open_client()
    error = '{"code":"ih6003","message":"the client sent nothing for too long","link":null,"segment":null}'
    client.receive_text(envelope("error", error), 1.0)
    client.end(1.0)
    client.receive_close(1001)
    assert not [item for item in client.events() if isinstance(item, ih.Violated)]


@pytest.mark.parametrize(
    ("include", "type_", "data"),
    [
        ((), "session.closing", '{"max_drain_seconds":%s}'),
        (
            (OVERALL,),
            "conversation_quality.updated",
            '{"overall":{"quality_index":1,"clarity":%s,"authority":1,"energy":1,"rapport":1,"learning":1}}',
        ),
    ],
)
def test_a_number_no_float_can_hold(include: tuple[str, ...], type_: str, data: str) -> None:
    client = open_client()
    client.send_config(include)
    client.receive_text(envelope("session.updated", json.dumps({"include": include})), 1.0)
    client.receive_text(envelope(type_, data % ("9" * 400)), 1.0)
    assert [item.raw for item in client.events() if isinstance(item, ih.Violated)]


def test_bytes_after_the_end_are_ignored() -> None:
    server = open_server()
    server.receive_lost()
    server.events()
    server.receive_text("{}", 1.0)
    server.receive_bytes(b"x", 1.0)
    assert not server.events()


def test_a_long_text_after_the_end_is_ignored() -> None:
    server = open_server()
    server.receive_bytes(b"x", 1.0, final=False)
    server.receive_lost()
    server.refuse_text(2.0)


def test_an_error_cannot_name_a_segment_before_the_first() -> None:
    server = open_server()
    with pytest.raises(ih.LocalProtocolError):
        server.send_error("ih3003", 1.0, segment=1)


@pytest.mark.parametrize("time", [float("nan"), float("inf")])
def test_a_report_has_finite_times(time: float) -> None:
    server = open_server()
    for _ in range(3):
        server.receive_bytes(b"x", 1.0)
    server.to_send()
    try:
        report = ih.WindowAnalysis(server.outstanding[0], (ih.SignalReport("stress", time),))
        server.send_analysis(report, 1.0)
    except (ValueError, ih.LocalProtocolError):
        return
    for item in server.to_send():
        assert isinstance(item, ih.TextToSend)
        model.read_envelope(item.text, CORRELATION_ID, STARTED_AT.replace(second=1))


def test_a_report_that_cannot_be_said_changes_nothing() -> None:
    server = open_server()
    for _ in range(4):
        server.receive_bytes(b"x", 1.0)
    server.to_send()
    first, second = server.outstanding
    with pytest.raises((ValueError, ih.LocalProtocolError)):
        server.send_analysis(ih.WindowAnalysis(first, (ih.SignalReport("stress", float("nan")),)), 1.0)
    server.send_analysis(ih.WindowAnalysis(first), 1.0)
    server.send_analysis(ih.WindowAnalysis(second), 1.0)
    texts = [item.text for item in server.to_send() if isinstance(item, ih.TextToSend)]
    model.check_lifecycles(texts)


def test_maximum_duration_holds_during_the_drain() -> None:
    server = open_server(longest=20, drain=4000)
    server.receive_bytes(b"x", 1.0)
    server.receive_text('{"type":"session.close"}', 2.0)
    *_, closing = server.to_send()
    assert isinstance(closing, ih.TextToSend)
    assert json.loads(closing.text)["data"] == {"max_drain_seconds": 18.0}
    server.handle_timeout(20.0)
    assert server.state is ih.ServerState.CLOSING
