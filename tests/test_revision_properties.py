"""Two sessions of v0, v0.2 or v1-window against each other, judged by `tests/status_model.py`.

v1 and v2 have `tests/test_session_properties.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs
import pytest
import status_model
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model import OVERALL, TIMELINE, Broken, Close, Json, Media, Output, Report, Seen
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
)
from status_model import Dialect, ReportClientModel, ReportModel

import ihproto as ih

DIALECTS = {
    "v0": Dialect("v0", 10_000, 20_971_520),
    "v0.2": Dialect("v0.2", 1, 100),
    "v1-window": Dialect("v1-window", 1, 100),
}

# -- strategies -----------------------------------------------------------------------------------

SECONDS = st.sampled_from([3.0, 5.0, 8.0, 2.875, 0.0, 24.0, 40.0, 3.1])
FAULTS = st.sampled_from(["ih4002", "ih4007", "ih5001", "ih5002", "ih5004", "ih3003"])
MEDIA = st.one_of(
    st.builds(Media, SECONDS),
    st.builds(Media, SECONDS),
    st.builds(Media, SECONDS),
    st.builds(Media, SECONDS, FAULTS, st.none() | st.integers(1, 110)),
)
SIZES = {
    "v0": st.sampled_from([10_000, 10_000, 10_001, 12_345, 9_999, 5_000, 0, 20_971_520, 20_971_521, 25_000_000]),
    "v0.2": st.sampled_from([1, 5, 50, 99, 100, 100, 0, 101, 250]),
    "v1-window": st.sampled_from([1, 5, 50, 99, 100, 100, 0, 101, 250]),
}
CUTS = st.lists(st.sampled_from([0, 1, 3, 50, 9_999, 10_000, 20_971_520, 20_971_521]), max_size=3)
TIMES = st.integers(-5, 60) | st.floats(-50, 300, allow_nan=False) | st.sampled_from([0, 5, 8, 1e9, -0.0])
SEEN = st.builds(
    Seen,
    st.sampled_from(["agreement", "stress", "engagement", "tension"]),
    TIMES,
    st.none() | TIMES,
    st.none(),
    st.sampled_from([None, "low", "medium", "high"]),
    st.sampled_from([None, "because", 'é \U0001f3a5 \u2028\x00"']),
)
REPORT = st.builds(
    Report,
    st.lists(SEEN, max_size=4, unique_by=lambda seen: seen.signal_type).map(tuple),
    st.none()
    | st.tuples(st.sampled_from(["engaged", "neutral", "disengaged"]), st.integers(0, 60) | st.floats(0, 300)),
    st.none() | st.tuples(*[st.sampled_from([0.0, 100.0, 50.0, 33.3]) | st.floats(0, 100)] * 5),
)
INCLUDE = st.lists(st.sampled_from([OVERALL, TIMELINE, OVERALL, TIMELINE, "speech_rate", ""]), max_size=4)
TEXTS = st.sampled_from(
    [
        "{}",
        "[]",
        "null",
        "",
        "no JSON",
        '{"type":"session.close"}',
        '{"include":["conversation_quality_overall","conversation_quality_overall"]}',
        '{"include":["conversation_quality_timeline","x"]}',
        '{"include":null}',
        '{"include":"conversation_quality_overall"}',
        '{"include":[1]}',
        '{"include":[],"model":"inter-2"}',
        '{"include":[],"goal_dimensions":["clarity"]}',
        '{"include":["\\ud800"]}',
        "\ud800",
        "deep",
        "long",
    ]
)
#: Texts that are too large to be shown.
LARGE = {"deep": '{"include":' + "[" * 5000, "long": '{"include":[]}' + " " * 70_000}
RARELY = st.sampled_from([False] * 11 + [True])
CLOSE_CODES = st.sampled_from([1000, 1001, 1011, 3000, 4003])


def settings_of(dialect: Dialect, window: float = 8, advance: float = 3) -> ih.ServerSettings:
    """Small segments are enough where the limit does not stand in a sentence of the protocol (STS-4)."""
    contract = None
    if dialect.id != "v0":
        contract = attrs.evolve(ih.REVISIONS[dialect.id].contract, max_segment_size_bytes=dialect.largest)
    return ih.ServerSettings(contract, window_seconds=window, window_advance_seconds=advance)


# -- two sessions and their models ----------------------------------------------------------------


class ReportingMachine(RuleBasedStateMachine):
    """Both sessions, the wires between them, the clock, and the two models."""

    @initialize(
        name=st.sampled_from(["v0", "v0.2", "v0.2", "v1-window"]),
        hostile=st.sampled_from([False, False, True]),
        checked=st.booleans(),
        grace=st.sampled_from([10.0, 0.5, 10000.0]),
        start=st.sampled_from([0.0, 1000.5]),
        include=INCLUDE,
        window=st.sampled_from([(8.0, 3.0), (8.0, 3.0), (5.5, 5.5), (1.1, 0.7)]),
        opens=st.sampled_from([True, True, True, False]),
        lazy=st.sampled_from([False, False, False, True]),
    )
    def begin(
        self,
        name: str,
        hostile: bool,
        checked: bool,
        grace: float,
        start: float,
        include: list[str],
        window: tuple[float, float],
        opens: bool,
        lazy: bool,
    ) -> None:
        self.now = start
        self.dialect = dialect = DIALECTS[name]
        # A client judges sizes by what the documents say: with a smaller limit it does not know better.
        self.checked = checked and name == "v0"
        self.hostile = hostile
        self.lazy = lazy
        revision = ih.REVISIONS[name]
        asked = include if name == "v0.2" else []
        self.plans: list[Media] = []
        self.client = ih.ClientSession(
            start,
            revision=revision,
            strict=True,
            correlation_id=CORRELATION_ID if name != "v0" else None,
            asked=ih.SessionConfig(asked),
            scanner=ih.NominalScanner(),
            check_segments=self.checked,
            drain_grace=grace,
        )
        self.server = ih.ServerSession(
            start,
            correlation_id=CORRELATION_ID,
            started_at=STARTED_AT,
            settings=settings_of(dialect, *window),
            revision=revision,
            query=[("sdk", "1"), *(("include[]", value) for value in include), ("model", "inter-2")],
            scanner=PlannedScanner(self.plans),
        )
        kept = tuple(value for value in dict.fromkeys(asked) if value in (OVERALL, TIMELINE))
        self.oracle = ReportModel(dialect, CORRELATION_ID, STARTED_AT, start, kept, *window)
        self.view = ReportClientModel(dialect, grace, kept)
        self.to_server = Wire()
        self.to_client = Wire()
        self.said: list[str] = []
        self.heard: list[str] = []
        self.client_events: list[ih.ClientEvent] = []
        self.server_events: list[ih.ServerEvent] = []
        self.opened = False
        self.over = False
        if opens:
            self.open()

    # -- plumbing -----------------------------------------------------------------------------------

    def server_did(self, expected: list[Json], close: Close | None = None) -> None:
        """Take what the server wants sent, demand that it is this, and put it on the wire."""
        outputs: list[Output] = []
        for item in self.server.to_send():
            if isinstance(item, ih.TextToSend):
                outputs.append(item.text)
                self.said.append(item.text)
                self.to_client.put(Text(item.text))
            else:
                assert isinstance(item, ih.CloseToSend), "a server sends no binary message"
                outputs.append(Close(item.code))
                self.to_client.put(CloseFrame(item.code))
        self.oracle.check(expected, outputs, self.now, close)
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
        """Call the client, which must refuse exactly what the model says; tell whether it did the call."""
        if allowed:
            call()
        else:
            with pytest.raises(ih.LocalProtocolError):
                call()
            assert not self.client.to_send(), "something refused was sent all the same"
        self.client_did()
        return allowed

    def give_server(self, item: Item) -> None:
        match item:
            case Text(text):
                self.server.receive_text(text, self.now)
                # A text that is too long is refused like any other that is wrong (CFG-5).
                long = len(text.encode(errors="surrogatepass")) > 65_536
                self.server_did(self.oracle.text("" if long else text))
            case Piece(size, final):
                number = self.oracle.segments - (1 if self.oracle.in_segment else 0)
                media = self.plans[number] if number < len(self.plans) else Media(0.0)
                self.server.receive_bytes(b"x" * size, self.now, final=final)
                self.server_did(self.oracle.binary(size, final, media))
            case CloseFrame(code):
                self.server.receive_close(code)
                self.server_over()
                if not self.to_client.shut:
                    self.to_client.put(CloseFrame(code))
            case Lost():
                self.server.receive_lost()
                self.server_over()

    def server_over(self) -> None:
        self.oracle.finish()
        self.opened = self.over = True
        self.server_did([])

    def give_client(self, item: Item) -> None:
        match item:
            case Text(text):
                self.heard.append(text)
                self.client.receive_text(text, self.now)
                self.view.text(text, self.now)
            case CloseFrame(code):
                self.client.receive_close(code)
                self.view.over()
                if not self.to_server.shut:
                    self.to_server.put(CloseFrame(code))
            case Lost():
                self.client.receive_lost()
                self.view.over()
            case Piece():
                raise AssertionError("a server sends no binary message")
        self.client_did()

    def deliver(self, to_server: bool, count: int) -> None:
        wire = self.to_server if to_server else self.to_client
        while wire.items and count:
            if to_server and not self.opened and not isinstance(wire.items[0], CloseFrame | Lost):
                return
            item = wire.items.popleft()
            if to_server:
                self.give_server(item)
            else:
                self.give_client(item)
            count -= 1

    def settle(self) -> None:
        """Deliver until nothing is in flight."""
        before = (-1, -1)
        while before != (before := (len(self.to_server.items), len(self.to_client.items))):
            self.deliver(True, 1000)
            self.deliver(False, 1000)

    # -- rules: the server's owner ------------------------------------------------------------------

    @precondition(lambda self: not self.opened)
    @rule()
    def open(self) -> None:
        self.server.open(self.now)
        self.opened = True
        self.server_did([])

    @precondition(lambda self: not self.opened)
    @rule(code=st.sampled_from([("ih2003", 4003), ("ih1003", 1013), ("ih3001", 1008)]))
    def refuse(self, code: tuple[str, int]) -> None:
        self.server.refuse(code[0], self.now)
        expected = [] if self.dialect.by_segment else [self.oracle.refusal(code[0])]
        self.oracle.finish()
        self.opened = True
        self.server_did(expected, Close(code[1]))

    @precondition(lambda self: self.server.outstanding)
    @rule(reports=st.lists(REPORT, min_size=1, max_size=4))
    def analyse(self, reports: list[Report]) -> None:
        for report in reports:
            if not self.server.outstanding:
                return
            self.server.send_analysis(analysis_of(self.server.outstanding[0], report), self.now)
            self.server_did(self.oracle.analysed(report))

    @precondition(lambda self: self.server.outstanding)
    @rule()
    def drop(self) -> None:
        self.server.drop_window(self.server.outstanding[0], self.now)
        self.server_did(self.oracle.dropped())

    @precondition(lambda self: len(self.server.outstanding) > 1)
    @rule()
    def analyse_out_of_turn(self) -> None:
        with pytest.raises(ih.LocalProtocolError):
            self.server.send_analysis(ih.WindowAnalysis(self.server.outstanding[1]), self.now)
        assert not self.server.to_send()

    @precondition(lambda self: self.opened and not self.oracle.closed and self.oracle.segments)
    @rule(code=st.sampled_from(["ih3003", "ih5002", "ih5002", "ih1001"]), back=st.integers(0, 4), really=st.booleans())
    def fail_a_segment(self, code: str, back: int, really: bool) -> None:
        """Say an error about a segment that is still coming, waits for its analysis, or is through."""
        segment = max(1, self.oracle.segments - back)
        if not really or (code == "ih1001" and not self.dialect.by_segment and back < 4):
            return
        if self.dialect.by_segment and segment in self.oracle.answered:
            with pytest.raises(ih.LocalProtocolError, match=r"^STS-1:"):
                self.server.send_error(code, self.now, segment=segment)
            self.server_did([])
            return
        self.server.send_error(code, self.now, segment=segment)
        self.server_did(*self.oracle.erred(code, segment))

    @precondition(lambda self: self.opened and not self.oracle.closed)
    @rule(really=RARELY)
    def fail_the_session(self, really: bool) -> None:
        if really:
            self.server.send_error("ih1001", self.now)
            self.server_did(*self.oracle.erred("ih1001", None))
        elif self.dialect.by_segment:
            with pytest.raises(ih.LocalProtocolError, match=r"^STS-1:"):
                self.server.send_error("ih3003", self.now)
            self.server_did([])

    @precondition(lambda self: not self.oracle.closed)
    @rule(code=CLOSE_CODES, really=RARELY)
    def close_server(self, code: int, really: bool) -> None:
        if really:
            self.server.close(self.now, code)
            self.oracle.finish()
            self.opened = True
            self.server_did([], Close(code))

    @precondition(lambda self: self.oracle.closed)
    @rule()
    def speak_after_the_close(self) -> None:
        calls: list[Callable[[], object]] = [
            lambda: self.server.open(self.now),
            lambda: self.server.send_error("ih1001", self.now),
            lambda: self.server.close(self.now),
            lambda: self.server.refuse("ih2003", self.now),
            lambda: self.server.send_feedback("slower", self.now),
        ]
        for call in calls:
            with pytest.raises(ih.LocalProtocolError):
                call()
        self.server_did([])

    # -- rules: the client's owner ------------------------------------------------------------------

    @rule(include=INCLUDE)
    def send_config(self, include: list[str]) -> None:
        if self.client_tries(lambda: self.client.send_config(include), self.view.may_send_config()):
            self.view.sent_config(include)

    @rule(goals=st.booleans())
    def send_a_config_without_words(self, goals: bool) -> None:
        with pytest.raises(ih.LocalProtocolError):
            self.client.send_config(goal_dimensions=["clarity"] if goals else None, model=None if goals else "inter-2")
        self.client_did()

    @rule(data=st.data(), count=st.integers(1, 3))
    def send_segments(self, data: st.DataObject, count: int) -> None:
        for _ in range(count):
            media = data.draw(MEDIA)
            pieces = cut(data.draw(SIZES[self.dialect.id]), data.draw(CUTS))
            for index, piece in enumerate(pieces):
                self.send(piece, index == len(pieces) - 1, media)

    @rule(data=st.data(), final=st.booleans(), media=MEDIA)
    def send_piece(self, data: st.DataObject, final: bool, media: Media) -> None:
        self.send(data.draw(SIZES[self.dialect.id]), final, media)

    @precondition(lambda self: self.view.state == "OPEN" and not self.view.in_segment)
    @rule(
        seconds=st.lists(SECONDS, min_size=1, max_size=4),
        reports=st.lists(st.none() | REPORT | REPORT, max_size=8),
    )
    def stream(self, seconds: list[float], reports: list[Report | None]) -> None:
        """Do for a while what a session is for: segments, and the analysis of their windows."""
        for length in seconds:
            sizes = (6_000, 4_000) if self.dialect.id == "v0" else (40, 60)
            self.send(sizes[0], False, Media(length))
            self.send(sizes[1], True, Media(length))
        self.deliver(True, 1000)
        for report in reports:
            if not self.server.outstanding:
                return
            if report is None:
                self.drop()
            else:
                self.analyse([report])

    def send(self, size: int, final: bool, media: Media) -> None:
        allowed = self.view.may_send_segment(size, final, self.checked)
        if self.client_tries(lambda: self.client.send_segment(b"x" * size, final=final), allowed):
            if not self.view.in_segment:
                self.plans.append(media)
            self.view.sent_segment(size, final)

    @rule(really=st.sampled_from([False, False, False, True]))
    def end(self, really: bool) -> None:
        if not really:
            return
        if self.view.may_end():
            # The model is asked first: a session of which all is said closes on the spot.
            self.view.asked_to_end(self.now)
            self.client_tries(lambda: self.client.end(self.now), True)
            self.check_both()
        else:
            self.client_tries(lambda: self.client.end(self.now), False)

    @rule(code=CLOSE_CODES, really=RARELY)
    def close_client(self, code: int, really: bool) -> None:
        allowed = self.view.may_close()
        if (really or not allowed) and self.client_tries(lambda: self.client.close(code), allowed):
            self.view.closes()

    def may_inject(self) -> bool:
        return self.hostile and not self.view.in_segment and not self.to_server.shut and not self.to_server.cut

    @precondition(may_inject)
    @rule(texts=st.lists(TEXTS, min_size=1, max_size=3))
    def inject_texts(self, texts: list[str]) -> None:
        for text in texts:
            self.to_server.put(Text(LARGE.get(text, text)))

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

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 9.9, 10.0, 400.0, 100_000.0]), really=st.booleans())
    def pass_time(self, seconds: float, really: bool) -> None:
        if really or seconds < 1:
            self.now += seconds
            self.tell_time()

    def tell_time(self) -> None:
        """No revision of these has a timer on the server's side; the client has one while it finishes."""
        self.server.handle_timeout(self.now)
        self.server_did([])
        self.view.passed(self.now)
        self.client.handle_timeout(self.now)
        self.client_did()

    # -- what must hold at any moment ---------------------------------------------------------------

    @invariant()
    def check_both(self) -> None:
        if not hasattr(self, "oracle"):
            return
        server, client, oracle, view = self.server, self.client, self.oracle, self.view
        assert server.next_timeout() is None
        spans = [(item.start, item.end, item.segment) for item in oracle.outstanding]
        assert [(window.start, window.end, window.segment) for window in server.outstanding] == spans
        assert server.media_seconds == oracle.media_seconds
        if not oracle.closed:
            assert server.segments_received == oracle.segments
            assert not self.opened or server.config.include == oracle.include
        assert client.state.value == view.state
        assert client.next_timeout() == view.deadline
        assert client.segments_sent == view.segments
        assert client.contract == ih.REVISIONS[self.dialect.id].contract
        assert client.config.include == view.include
        assert not client.signals
        violations = [item.violation for item in self.client_events if isinstance(item, ih.Violated)]
        assert [violation.clause.id for violation in violations] == view.violations
        if not self.hostile:
            for item in self.server_events:
                assert not isinstance(item, ih.Violated) or item.violation.clause.id in ("SEG-2", "SEG-3"), item

    # -- the end ------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "oracle"):
            return
        if not self.opened:
            self.settle()
        if not self.opened:
            self.open()
        self.settle()
        if self.view.in_segment and self.view.may_close():
            self.close_client(1000, True)
        elif self.view.may_end():
            self.end(True)
        self.settle()
        while self.server.outstanding and not self.lazy:
            assert self.view.state not in ("CLOSING", "CLOSED") or self.to_client.cut or not self.dialect.by_segment
            self.analyse([Report()])
            self.settle()
        self.settle()
        if self.view.deadline is not None:
            self.now = max(self.now, self.view.deadline)
            self.tell_time()
        self.settle()
        self.check_both()
        assert self.server.state is ih.ServerState.CLOSED, "the server hangs"
        assert self.client.state is ih.ClientState.CLOSED, "the client hangs"
        self.check_stream()

    def check_stream(self) -> None:
        assert [item.raw for item in self.client_events if isinstance(item, ih.Envelope)] == self.heard
        ends = [item for item in self.client_events if isinstance(item, ih.SessionClosed)]
        assert [(item.error.code if item.error is not None else None) for item in ends] == [self.view.error]
        assert isinstance(self.client_events[-1], ih.SessionClosed)
        assert [type(item) for item in self.server_events].count(ih.SessionClosed) == 1
        if self.dialect.by_segment:
            status_model.check_statuses(self.said, self.view.segments)
        event(f"{self.dialect.id}, hostile: {self.hostile}, violations: {self.view.violations}")


ReportingMachine.TestCase.settings = settings(max_examples=EXAMPLES * 3)
TestReportingSessions = ReportingMachine.TestCase


@given(
    st.sampled_from(sorted(DIALECTS)),
    INCLUDE,
    st.lists(st.tuples(st.lists(SECONDS, min_size=1, max_size=4), st.lists(st.none() | REPORT | REPORT)), min_size=1),
    st.booleans(),
)
def test_sessions_in_which_only_analyses_are_missing(
    name: str, include: list[str], rounds: list[tuple[list[float], list[Report | None]]], refused: bool
) -> None:
    """The same machine without the incidents, so that it gets far."""
    machine = ReportingMachine()
    machine.begin(name, refused, False, 10.0, 0.0, include, (8.0, 3.0), True, False)
    if name == "v1-window":
        machine.send_config(include)
    for seconds, reports in rounds:
        machine.stream(seconds, reports)
        machine.settle()
        if refused:
            machine.inject_texts(["no JSON"])
            machine.settle()
        machine.check_both()
    machine.teardown()


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_the_model_sees_a_server_that_says_something_else(name: str) -> None:
    """The oracle itself can fail: it is given what a server said to other input."""
    oracle = ReportModel(DIALECTS[name], CORRELATION_ID, STARTED_AT, 0.0)
    with pytest.raises(Broken):
        oracle.check([oracle.refusal("ih1001")], [], 0.0)
    with pytest.raises(Broken):
        oracle.check([], [Close(1000)], 0.0)
    with pytest.raises(Broken):
        oracle.check([oracle.refusal("ih1001")], [json.dumps({"status": "error"})], 0.0)
