"""A monitor beside the sessions of the other properties: it must blame nobody who kept the rules.

The network is one with two hops. A message is seen by the monitor at any moment between its sending and its arrival,
which is every order that a bystander can see, however far it is from either end.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import test_revision_violations as revisions
import test_session_properties as sessions
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from model import OVERALL, TIMELINE
from network import CORRELATION_ID, EXAMPLES, CloseFrame, Item, Lost, Piece, PlannedScanner, Text, Wire
from test_revision_properties import ReportingMachine
from test_session_properties import SessionMachine

import ihproto as ih

CLIENT, SERVER = ih.Side.CLIENT, ih.Side.SERVER


class Bystander:
    """A monitor somewhere on the way, which has seen some of what has not arrived yet."""

    def __init__(self, monitor: ih.SessionMonitor, *, sees_bytes: bool) -> None:
        self.monitor = monitor
        self.found: list[ih.Violation] = []
        self.texts = 0
        self._sees_bytes = sees_bytes
        self._ahead = {CLIENT: 0, SERVER: 0}

    def see(self, sender: ih.Side, item: Item) -> None:
        match item:
            case Text(text):
                self.texts += sender is CLIENT
                seen = self.monitor.observe_text(sender, text)
            case Piece(size, final) if self._sees_bytes:
                seen = self.monitor.observe_bytes(sender, b"x" * size, final=final)
            case Piece(size, final):
                seen = self.monitor.observe_size(sender, size, final=final)
            case CloseFrame():
                seen = self.monitor.observe_close(sender)
            case Lost():
                seen = self.monitor.observe_lost(sender)
        self.found += seen.violations

    def look_ahead(self, sender: ih.Side, wire: Wire, count: int) -> None:
        """See something that is on its way to the other side."""
        for item in list(wire.items)[self._ahead[sender] :][:count]:
            self._ahead[sender] += 1
            self.see(sender, item)

    def arrives(self, sender: ih.Side, item: Item) -> None:
        """See what arrives at the other side, if that was not seen before."""
        if self._ahead[sender]:
            self._ahead[sender] -= 1
        else:
            self.see(sender, item)

    def cut(self, sender: ih.Side, keep: int) -> None:
        """What was seen and is lost on the rest of the way never arrives."""
        self._ahead[sender] = min(self._ahead[sender], keep)

    def blamed(self, side: ih.Side) -> set[tuple[str, str]]:
        return {(found.clause.id, found.state) for found in self.found if found.side is side}


class WatchedSessions(SessionMachine):
    """Sessions of v1 and v2 with a bystander."""

    def __init__(self) -> None:
        super().__init__()
        self.closed_in_drain = False
        self.refused: Counter[str] = Counter()
        self.answered = 0

    @functools.cached_property
    def bystander(self) -> Bystander:
        revision = self.client.revision
        monitor = ih.SessionMonitor(
            revision=revision,
            correlation_id=CORRELATION_ID,
            # Nothing was confirmed yet: it is what the URL asks for.
            asked=self.client.config if revision.query_keys else None,
            scanner=PlannedScanner(self.plans),
        )
        return Bystander(monitor, sees_bytes=True)

    def give_server(self, item: Item) -> None:
        self.bystander.arrives(CLIENT, item)
        speaks, before = self.oracle.phase != "closed", len(self.server_events)
        super().give_server(item)
        if isinstance(item, Text):
            # What is too long is refused unread; a monitor does not know the limit.
            if len(item.text.encode(errors="surrogatepass")) > self.terms.text_limit:
                return
            self.answered += speaks
            for told in self.server_events[before:]:
                if isinstance(told, ih.Violated):
                    self.refused[told.violation.clause.id] += told.violation.clause.family == "CFG"

    def give_client(self, item: Item) -> None:
        self.bystander.arrives(SERVER, item)
        super().give_client(item)

    @rule(to_server=st.booleans(), count=st.integers(1, 6))
    def look_ahead(self, to_server: bool, count: int) -> None:
        wire = self.to_server if to_server else self.to_client
        self.bystander.look_ahead(CLIENT if to_server else SERVER, wire, count)

    @rule(keep_up=st.integers(0, 5), keep_down=st.integers(0, 5), really=sessions.RARELY)
    def lose(self, keep_up: int, keep_down: int, really: bool) -> None:
        if really and not self.to_server.cut:
            self.bystander.cut(CLIENT, keep_up)
            self.bystander.cut(SERVER, keep_down)
        super().lose(keep_up, keep_down, really)

    @precondition(lambda self: self.oracle.phase != "closed")
    @rule(code=sessions.CLOSE_CODES, really=sessions.RARELY)
    def close_server(self, code: int, really: bool) -> None:
        self.closed_in_drain |= really and self.oracle.phase == "draining"
        super().close_server(code, really)

    def teardown(self) -> None:
        super().teardown()
        if not hasattr(self, "oracle"):
            return
        # An analyser that says something undocumented is at fault, and so is whoever does not finish a drain.
        allowed = {("SIG-6", state.value) for state in ih.ClientState}
        allowed |= {("CLS-1", "DRAINING")} if self.closed_in_drain else set()
        assert self.bystander.blamed(SERVER) <= allowed
        blamed = {clause_id for clause_id, _ in self.bystander.blamed(CLIENT)}
        if not self.hostile:
            sizes = set() if self.checked else {"SEG-2", "SEG-10"}
            assert blamed <= {"SEG-6", "CFG-6", "CFG-7", "CFG-8"} | sizes
        self.check_configs()

    def check_configs(self) -> None:
        """The monitor refuses the texts that the server refuses, and for the same reason."""
        ids = [found.clause.id for found in self.bystander.found if found.clause.family == "CFG"]
        found, refused = Counter(ids), +self.refused
        # Where the connection is cut, half of it may go on for a while, and a monitor looks no further.
        assert refused <= found or self.to_server.cut
        # What reaches nobody who answers may be wrong all the same.
        assert (found - refused).total() <= self.bystander.texts - self.answered


TestWatchedSessions = WatchedSessions.TestCase


class WatchedReports(ReportingMachine):
    """Sessions of v0, v0.2 and v1-window with a bystander."""

    @functools.cached_property
    def bystander(self) -> Bystander:
        revision = self.client.revision
        monitor = ih.SessionMonitor(
            revision=revision,
            correlation_id=CORRELATION_ID if revision.framing.members else None,
            asked=self.client.config if revision.query_keys else None,
        )
        return Bystander(monitor, sees_bytes=False)

    def give_server(self, item: Item) -> None:
        self.bystander.arrives(CLIENT, item)
        super().give_server(item)

    def give_client(self, item: Item) -> None:
        self.bystander.arrives(SERVER, item)
        super().give_client(item)

    @rule(to_server=st.booleans(), count=st.integers(1, 6))
    def look_ahead(self, to_server: bool, count: int) -> None:
        wire = self.to_server if to_server else self.to_client
        self.bystander.look_ahead(CLIENT if to_server else SERVER, wire, count)

    @rule(keep_up=st.integers(0, 5), keep_down=st.integers(0, 5), really=sessions.RARELY)
    def lose(self, keep_up: int, keep_down: int, really: bool) -> None:
        if really and not self.to_server.cut:
            self.bystander.cut(CLIENT, keep_up)
            self.bystander.cut(SERVER, keep_down)
        super().lose(keep_up, keep_down, really)

    def teardown(self) -> None:
        super().teardown()
        if not hasattr(self, "oracle"):
            return
        assert self.bystander.blamed(SERVER) == set()
        if not self.hostile:
            blamed = {clause_id for clause_id, _ in self.bystander.blamed(CLIENT)}
            sizes = {"SEG-10", "SEG-3"} if self.dialect.id == "v0" else {"SEG-10"}
            assert blamed <= (set() if self.checked else sizes)


TestWatchedReports = WatchedReports.TestCase


# -- the same clauses as a client -----------------------------------------------------------------


class Beside:
    """A client, and a monitor that sees what the client says and hears."""

    def __init__(self, client: ih.ClientSession, monitor: ih.SessionMonitor) -> None:
        self.client = client
        self.monitor = monitor
        self.blamed: list[str] = []
        self.own: list[str] = []

    def hear(self, seen: ih.Observation, receive: Callable[[], object]) -> None:
        assert all(found.side is SERVER for found in seen.violations)
        self.blamed += [found.clause.id for found in seen.violations]
        receive()

    def says(self, call: Callable[[], object]) -> None:
        try:
            call()
        except ih.LocalProtocolError:
            return
        for item in self.client.to_send():
            match item:
                case ih.TextToSend(text):
                    seen = self.monitor.observe_text(CLIENT, text)
                case ih.BytesToSend(data, final):
                    seen = self.monitor.observe_bytes(CLIENT, data, final=final)
                case _:
                    seen = self.monitor.observe_close(CLIENT)
            self.own += [found.clause.id for found in seen.violations]

    def check(self) -> None:
        events = self.client.events()
        assert self.blamed == [item.violation.clause.id for item in events if isinstance(item, ih.Violated)]


def beside(revision: ih.Revision, announced: str | None, include: tuple[str, ...] = ()) -> Beside:
    asked = ih.SessionConfig(include) if "include[]" in revision.query_keys else None
    client = ih.ClientSession(
        0.0,
        revision=revision,
        correlation_id=announced,
        asked=asked,
        scanner=ih.NominalScanner(),
        check_segments=False,
    )
    return Beside(client, ih.SessionMonitor(revision=revision, correlation_id=announced, asked=asked))


def live(script: sessions.Script, announced: str) -> Beside:
    it = beside(ih.V1, announced)
    client, monitor = it.client, it.monitor
    for step in script:
        match step:
            case sessions.Receive():
                text = step.text
                it.hear(monitor.observe_text(SERVER, text), functools.partial(client.receive_text, text, 0.0))
            case sessions.ReceiveBinary():
                it.hear(monitor.observe_bytes(SERVER, b"\0"), lambda: client.receive_bytes(b"\0", 0.0))
            case sessions.ReceiveClose():
                it.hear(monitor.observe_close(SERVER), lambda: client.receive_close(1000))
            case sessions.Call("config", include):
                it.says(functools.partial(client.send_config, include))
            case sessions.Call("segment"):
                it.says(lambda: client.send_segment(b"x"))
            case sessions.Call():
                it.says(lambda: client.end(0.0))
    return it


@pytest.mark.parametrize("mutator", sessions.MUTATORS, ids=lambda mutator: f"{mutator.name}-{mutator.clause}")
def test_a_monitor_names_the_clause_that_a_client_names(mutator: sessions.Mutator) -> None:
    @settings(max_examples=max(EXAMPLES // 20, 3))
    @given(st.data(), sessions.legal_scripts(mutator.sections))
    def check(data: st.DataObject, script: sessions.Script) -> None:
        editor = sessions.Editor(script, data.draw)
        mutator.apply(editor)
        it = live(editor.script, mutator.announced)
        if mutator.name == "close_instead_of_closing":
            # The one thing that a client may hold against its server and a bystander not: it may have crossed.
            assert it.blamed == []
        else:
            it.check()
            assert mutator.clause in it.blamed
        assert it.own == []

    check()


@pytest.mark.parametrize("mutator", revisions.MUTATORS, ids=lambda it: f"{it.revision} {it.name}")
def test_a_monitor_names_the_clause_of_a_revision_that_a_client_names(mutator: revisions.Mutator) -> None:
    script = revisions.Script(mutator.revision, mutator.include)
    mutator.apply(script)
    revision = ih.REVISIONS[mutator.revision]
    it = beside(revision, mutator.announced, mutator.include)
    client, monitor = it.client, it.monitor
    sends_too_much = False
    for step in script.steps:
        match step:
            case revisions.Send(size):
                sends_too_much |= size > revision.contract.max_segment_size_bytes
                it.says(functools.partial(client.send_segment, revisions.TOO_LARGE[:size]))
            case revisions.Configure(wanted, name):
                it.says(functools.partial(client.send_config, wanted, model=name))
            case revisions.Hear():
                text = step.text
                it.hear(monitor.observe_text(SERVER, text), functools.partial(client.receive_text, text, 0.0))
            case revisions.HearBinary():
                it.hear(monitor.observe_bytes(SERVER, b"\0"), lambda: client.receive_bytes(b"\0", 0.0))
    it.check()
    assert mutator.clause in it.blamed
    assert it.own == (["SEG-3"] if sends_too_much else [])


# -- nonsense -------------------------------------------------------------------------------------

STATUSES = st.builds(
    lambda name, revision, segment, more: revisions.status(name, revision, segment, **more).text,
    st.sampled_from(["processing", "result", "completed", "error", "hello"]),
    st.sampled_from(["v0", "v0.2"]),
    st.integers(-1, 4),
    st.sampled_from([{}, {"bytes": 1}, {"signals": []}, {"error": "no"}, {"error_id": "", "message": "no"}]),
)
TEXTS = st.one_of(sessions.ANY_TEXT, sessions.RAW_TEXTS, STATUSES)
SCRIPTS = st.lists(
    st.tuples(
        st.sampled_from(["text", "text", "text", "bytes", "bytes", "size", "close", "surplus", "lost", "due"]),
        st.sampled_from([CLIENT, SERVER]),
        TEXTS,
        st.binary(max_size=4),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=EXAMPLES * 3)
@given(
    st.sampled_from(sorted(ih.REVISIONS)),
    st.none() | st.lists(st.sampled_from([OVERALL, TIMELINE, "x"])),
    st.none() | st.sampled_from(["inter-2-audio", "x"]),
    st.booleans(),
    st.booleans(),
    SCRIPTS,
)
def test_nonsense_does_not_break_a_monitor(
    name: str, include: list[str] | None, model: str | None, scans: bool, ready: bool, script: list[tuple[Any, ...]]
) -> None:
    revision = ih.REVISIONS[name]
    monitor = ih.SessionMonitor(
        revision=revision,
        correlation_id=CORRELATION_ID,
        asked=ih.SessionConfig(include, model=model) if include is not None else None,
        scanner=ih.MediaScanner(revision.contract) if scans else None,
    )
    if ready:
        monitor.observe_text(SERVER, revisions.lifecycle_stream()[0].text)  # type: ignore[union-attr]
    ended: set[ih.Side] = set()
    for what, sender, text, data, final in script:
        match what:
            case "text":
                seen = monitor.observe_text(sender, text)
            case "bytes":
                seen = monitor.observe_bytes(sender, data, final=final)
            case "size":
                seen = monitor.observe_size(sender, len(data), final=final)
            case "close":
                seen = monitor.observe_close(sender)
            case "surplus":
                seen = monitor.observe_surplus(sender)
            case _:
                seen = monitor.observe_lost(sender, answer_due=what == "due")
        for found in seen.violations:
            assert name in found.clause.revisions
            assert found.side is sender or (found.side is CLIENT and found.clause.family == "CFG")
            str(found)
        if what in ("close", "lost", "due"):
            ended.add(sender)
        assert monitor.segments >= 0
        assert monitor.media_seconds >= 0
        assert monitor.state in ih.ClientState
        assert monitor.config.include is not None
        assert list(monitor.unanswered) == sorted(monitor.unanswered)
        assert not monitor.has_closed(sender) or sender in ended
