"""All states that a client, a server and the network between them can reach together, one by one.

A `Joint` is a real `ClientSession`, a real `ServerSession`, and what is in flight each way. From every joint state
every possible step is taken: each thing that an owner may ask for, each delivery, each timer, and a cut of the
connection. States that are the same are visited once. The bounds keep it finite: so many segments, configs and errors
in a session, and two types of signal.

Time stands still, and timers fire whenever they are set: whatever two clocks can do is among the steps.

`python tests/state_space.py` explores everything and prints the figures; a test explores with smaller bounds.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from fractions import Fraction
from re import Pattern
from types import FunctionType, MappingProxyType, MethodType, NoneType
from typing import Any

import attrs
import msgspec

import ihproto as ih
from ihproto.analysis import Pacing
from ihproto.automata import CLIENT_TABLE, Automaton, ClientTrigger, Refusal, ServerTrigger

_CLIENT_TIMER = "the client's timer fires"
CLOSED_CLIENT, CLOSED_SERVER = ih.ClientState.CLOSED, ih.ServerState.CLOSED
SIGNALS = ("agreement", "interest")
SECTION = ih.INCLUDE_OVERALL
STARTED_AT = datetime(2025, 1, 1, tzinfo=UTC)


@attrs.frozen
class Bounds:
    """How much of each happens in one session at most."""

    segments: int = 2
    configs: int = 2
    signals: int = 2
    errors: int = 1


@attrs.frozen
class Step:
    """Something that can happen next.

    Attributes:
        name: What it is.
        forced: Whether it happens by itself sooner or later: deliveries, timers, and what a server owes.
        run: Makes it happen to a joint state of one's own.
    """

    name: str
    forced: bool
    run: Callable[[Joint], None] = attrs.field(repr=False, eq=False)


@attrs.define
class Close:
    """A close frame in flight."""

    code: int


class Joint:
    """A client, a server, and what is in flight between them."""

    def __init__(self, revision: ih.Revision, bounds: Bounds) -> None:
        self.revision = revision
        self.bounds = bounds
        self.client = ih.ClientSession(0.0, revision=revision, scanner=ih.NominalScanner(8.0), check_segments=False)
        self.server = ih.ServerSession(
            0.0,
            correlation_id="c",
            started_at=STARTED_AT,
            revision=revision,
            settings=_SETTINGS,
            scanner=ih.NominalScanner(8.0),
        )
        self.up: deque[Any] = deque()
        self.down: deque[Any] = deque()
        self.configs = 0
        self.errors = 0
        self.closed_by: set[str] = set()
        self.violations: list[ih.Violation] = []

    def copy(self) -> Joint:
        """Another one in the same state."""
        return _cloned(self, {})  # type: ignore[no-any-return]

    @property
    def over(self) -> bool:
        return self.client.state is CLOSED_CLIENT and self.server.state is CLOSED_SERVER

    @property
    def quiet(self) -> bool:
        """Whether nothing happens until an owner decides something, in revisions that have no timers."""
        return not self.up and not self.down and not self.server.outstanding and not self.over

    def key(self) -> Any:
        """What tells states apart."""
        return (
            _frozen(self.client),
            _frozen(self.server),
            _frozen(self.up),
            _frozen(self.down),
            self.configs,
            self.errors,
            frozenset(self.closed_by),
        )

    # -- what can happen ------------------------------------------------------------------------------

    def steps(self) -> Iterator[Step]:
        """All that can happen next."""
        yield from self._network()
        yield from self._client()
        yield from self._server()

    def _network(self) -> Iterator[Step]:
        # What comes before the server has spoken waits in its socket.
        if self.up and self.server.state is not ih.ServerState.OPENING:
            yield Step("the server hears", True, Joint.deliver_up)
        if self.down:
            yield Step("the client hears", True, Joint.deliver_down)
        if not self.over:
            yield Step("the connection is cut", False, Joint.cut)

    def _client(self) -> Iterator[Step]:
        client = self.client
        if client.state is CLOSED_CLIENT:
            return
        if client.next_timeout() is not None:
            yield Step(_CLIENT_TIMER, True, _client_timeout)
        configs = self.bounds.configs if self.revision.config_keys else 0
        if client._automaton.allows(ClientTrigger.SEND_CONFIG) and self.configs < configs:
            yield Step("config on", False, lambda joint: joint.config([SECTION]))
            yield Step("config off", False, lambda joint: joint.config([]))
        if client._automaton.allows(ClientTrigger.SEND_SEGMENT) and client.segments_sent < self.bounds.segments:
            yield Step("segment", False, lambda joint: joint.client.send_segment(b"x"))
        ends = ClientTrigger.SEND_SESSION_CLOSE if self.revision.drains else ClientTrigger.FINISH
        if client._automaton.allows(ends):
            yield Step("end", False, lambda joint: joint.client.end(0.0))
        if client._automaton.allows(ClientTrigger.SEND_CLOSE):
            yield Step("the client closes", False, lambda joint: joint.client.close())

    def _server(self) -> Iterator[Step]:
        server = self.server
        if server.state is ih.ServerState.OPENING:
            yield Step("open", True, lambda joint: joint.server.open(0.0))
            if self.revision.emission is not ih.Emission.SEGMENTS:
                yield Step("refuse", True, lambda joint: joint.server.refuse("ih2003", 0.0))
            yield Step("the server closes", False, lambda joint: joint.server.close(0.0, 1001))
            return
        if server.state is CLOSED_SERVER:
            return
        if server.next_timeout() is not None:
            yield Step("the server's timer fires", True, _server_timeout)
        if server.outstanding and server.established:
            for seen in range(2**self.bounds.signals):
                yield Step(f"analysis {seen:b}", True, lambda joint, seen=seen: joint.analyse(seen))  # type: ignore[misc]
            yield Step(
                "a window is dropped", True, lambda joint: joint.server.drop_window(joint.server.outstanding[0], 0.0)
            )
        if (
            server.established
            and self.errors < self.bounds.errors
            and self.revision.emission is not ih.Emission.SEGMENTS
        ):
            yield Step("an error", False, lambda joint: joint.error("ih5002"))
            yield Step("an error that closes", False, lambda joint: joint.error("ih1001"))
        # In the middle of a drain that would be a fault (CLS-1).
        if server._automaton.allows(ServerTrigger.SEND_CLOSE) and server.state is not ih.ServerState.DRAINING:
            yield Step("the server closes", False, lambda joint: joint.server.close(0.0, 1001))

    # -- making it happen -----------------------------------------------------------------------------

    def config(self, include: list[str]) -> None:
        self.configs += 1
        self.client.send_config(include)

    def analyse(self, seen: int) -> None:
        window = self.server.outstanding[0]
        signals = [
            ih.SignalReport(name, window.start, window.end)
            for place, name in enumerate(SIGNALS[: self.bounds.signals])
            if seen >> place & 1
        ]
        self.server.send_analysis(ih.WindowAnalysis(window, signals), 0.0)

    def error(self, code: str) -> None:
        self.errors += 1
        self.server.send_error(code, 0.0, message="so it is")

    def deliver_up(self) -> None:
        item = self.up.popleft()
        if isinstance(item, Close):
            self.server.receive_close(item.code)
            self._answer_close("server", self.down)
        elif isinstance(item, str):
            self.server.receive_text(item, 0.0)
        else:
            self.server.receive_bytes(item, 0.0)

    def deliver_down(self) -> None:
        item = self.down.popleft()
        if isinstance(item, Close):
            self.client.receive_close(item.code)
            self._answer_close("client", self.up)
        else:
            self.client.receive_text(item, 0.0)

    def _answer_close(self, side: str, wire: deque[Any]) -> None:
        """What the WebSocket library does by itself."""
        if side not in self.closed_by:
            self.closed_by.add(side)
            wire.append(Close(1000))

    def cut(self) -> None:
        self.up.clear()
        self.down.clear()
        self.closed_by = {"client", "server"}
        self.client.receive_lost()
        self.server.receive_lost()

    def settle(self) -> None:
        """Put what both sides said on its way, and keep what they found."""
        self._send("client", self.client, self.up)
        self._send("server", self.server, self.down)
        for session in (self.client, self.server):
            for event in session.events():
                if isinstance(event, ih.Violated):
                    self.violations.append(event.violation)

    def _send(self, side: str, session: ih.ClientSession | ih.ServerSession, wire: deque[Any]) -> None:
        for item in session.to_send():
            if side in self.closed_by:
                continue
            match item:
                case ih.TextToSend(text):
                    wire.append(text)
                case ih.BytesToSend(data):
                    wire.append(data)
                case ih.CloseToSend(code):
                    self.closed_by.add(side)
                    wire.append(Close(code))

    def after(self, step: Step) -> Joint:
        """The state after a step."""
        joint = self.copy()
        step.run(joint)
        joint.settle()
        return joint


def _drop_window(joint: Joint) -> None:
    joint.server.drop_window(joint.server.outstanding[0], 0.0)


def _client_timeout(joint: Joint) -> None:
    moment = joint.client.next_timeout()
    assert moment is not None
    joint.client.handle_timeout(moment)


def _server_timeout(joint: Joint) -> None:
    moment = joint.server.next_timeout()
    assert moment is not None
    joint.server.handle_timeout(moment)


_SETTINGS = ih.ServerSettings(window_seconds=8.0, window_advance_seconds=8.0, period_seconds=8.0)
#: What never changes, or tells nothing of what can still happen.
_SKIPPED = frozenset(
    {
        "revision",
        "_revision",
        "settings",
        "contract",
        "_codec",
        "_scanner",
        "_options",
        "_started_at",
        "_judges",
        "_table",
        "_types",
        "_oversize",
        "_pacing",
        "_planner_args",
        "correlation_id",
        "bounds",
    }
)


def _cloned(value: Any, memo: dict[int, Any]) -> Any:
    """A copy that shares what cannot change: `copy.deepcopy` would copy that too, and knows no decoders."""
    kind = type(value)
    how = _HOW.get(kind)
    if how is None:
        how = _HOW[kind] = _classified(kind)
    if how is _SHARE:
        return value
    if how is _ITEMS:
        return kind([_cloned(item, memo) for item in value])
    if how is _MAPPING:
        return {key: _cloned(item, memo) for key, item in value.items()}
    if how is _METHOD:
        return MethodType(value.__func__, _cloned(value.__self__, memo))
    known = memo.get(id(value))
    if known is not None:
        return known
    copied = memo[id(value)] = object.__new__(kind)
    for name in how or vars(value):
        item = getattr(value, name)
        object.__setattr__(copied, name, item if name in _SKIPPED and name != "_judges" else _cloned(item, memo))
    return copied


def _frozen(value: Any) -> Any:
    """The value as something that can be hashed."""
    kind = type(value)
    how = _HOW.get(kind)
    if how is None:
        how = _HOW[kind] = _classified(kind)
    if how is _SHARE:
        return None if kind in _UNHASHABLE else value
    if how is _ITEMS:
        return frozenset(value) if kind is set else tuple([_frozen(item) for item in value])
    if how is _MAPPING:
        return tuple([(key, _frozen(item)) for key, item in value.items()])
    if how is _METHOD:
        return None
    return tuple([_frozen(getattr(value, name)) for name in how or vars(value) if name not in _SKIPPED])


_SHARE, _ITEMS, _MAPPING, _METHOD = object(), object(), object(), object()
_HOW: dict[type, Any] = {}
_SHARED = (str, int, float, bytes, frozenset, MappingProxyType, FunctionType, type, datetime, Fraction, Pattern, Enum)
_UNHASHABLE = (MappingProxyType, ih.Revision, Pacing, ih.Codec)
_FROZEN = ih.Window.__setattr__


def _classified(kind: type) -> Any:
    """How values of a class are copied: for those that have attributes, their names, empty for all there are."""
    if issubclass(kind, (*_SHARED, ih.Codec, NoneType, msgspec.Struct)) or kind.__setattr__ is _FROZEN:
        return _SHARE
    if kind in (list, tuple, deque, set):
        return _ITEMS
    if kind is dict:
        return _MAPPING
    if kind is MethodType:
        return _METHOD
    return tuple(field.name for field in attrs.fields(kind)) if attrs.has(kind) else ()


def messages_of(revision: ih.Revision) -> dict[ClientTrigger, str]:
    """A message for each thing that a server can say, right in itself, even if no server of the revision says it."""
    codec = ih.Codec(revision)

    def text(message: ih.ServerMessage) -> str:
        return codec.encode_server(message, timestamp="2025-01-01T00:00:00.000000Z", correlation_id="c")

    return {
        ClientTrigger.RECEIVE_READY: text(ih.V1.contract),
        ClientTrigger.RECEIVE_REPORT: text(ih.EngagementUpdated("neutral", 0)),
        ClientTrigger.RECEIVE_ERROR: text(ih.Error("ih5002", "so it is")),
        ClientTrigger.RECEIVE_FATAL_ERROR: text(ih.Error("ih1001", "so it is")),
        ClientTrigger.RECEIVE_CLOSE_REFUSED: text(ih.Error("ih6001", "so it is")),
        ClientTrigger.RECEIVE_CLOSING: text(ih.SessionClosing(30)),
        ClientTrigger.RECEIVE_ENDED: text(ih.SessionEnded("client_shutdown")),
    }


@attrs.define
class Refusals:
    """What became of the entries of a table when everything that can happen was tried in every state.

    Attributes:
        taken: The entries that were used, allowed ones and refusals.
        unsaid: Refusals that were taken without a word about their clause.
    """

    taken: set[tuple[Any, Any]] = attrs.Factory(set)
    unsaid: list[tuple[Any, Any]] = attrs.Factory(list)


def try_everything(revision: ih.Revision) -> Refusals:
    """Try every trigger, the forbidden ones too, in every state that a client can reach by any of them."""
    found = Refusals()
    counter: Counter[tuple[Any, Any]] = Counter()
    messages = messages_of(revision)
    start = ih.ClientSession(0.0, revision=revision, scanner=ih.NominalScanner(8.0), check_segments=False)
    seen = {_frozen(start)}
    todo = deque([start])
    with _Recorder(counter):
        while todo:
            session = todo.popleft()
            for trigger in ClientTrigger:
                client = _cloned(session, {})
                before = Counter(counter)
                said = _happen(client, trigger, messages)
                if said is None:
                    continue
                for used in counter - before:
                    found.taken.add(used)
                    entry = CLIENT_TABLE[used[0]][used[1]]
                    crossed = used == (ih.ClientState.CLOSE_REQUESTED, ClientTrigger.RECEIVE_CLOSE)
                    if isinstance(entry, Refusal) and entry.clause_id not in said and not crossed:
                        found.unsaid.append(used)
                key = _frozen(client)
                if key not in seen and client.segments_sent < 2 and len(client._rules.config._asked) < 3:
                    seen.add(key)
                    todo.append(client)
    return found


def _happen(client: ih.ClientSession, trigger: ClientTrigger, messages: dict[ClientTrigger, str]) -> set[str] | None:
    """Let something happen to a client, and return the clauses that it named; None where it cannot be tried."""
    try:
        match trigger:
            case ClientTrigger.SEND_CONFIG:
                client.send_config([])
            case ClientTrigger.SEND_SEGMENT:
                client.send_segment(b"x")
            case ClientTrigger.SEND_SESSION_CLOSE | ClientTrigger.FINISH:
                if (trigger is ClientTrigger.FINISH) is client.revision.drains:
                    return None
                client.end(0.0)
            case ClientTrigger.SEND_CLOSE:
                client.close()
            case ClientTrigger.RECEIVE_CLOSE:
                client.receive_close(1000)
            case ClientTrigger.LOSE:
                client.receive_lost()
            case _:
                client.receive_text(messages[trigger], 0.0)
    except ih.LocalProtocolError as error:
        said = {error.violation.clause.id}
    else:
        said = set()
    client.to_send()
    return said | {event.violation.clause.id for event in client.events() if isinstance(event, ih.Violated)}


@attrs.define
class Findings:
    """What an exploration found.

    Attributes:
        states: How many joint states there are.
        transitions: How many steps lead from one to another.
        final: How many of the states are the end of both sides.
        accusations: What one side found wrong with the other, which kept all clauses, and on what way it came to that.
        overdue: What a client found wrong when its timer fired: the server was too slow.
        stuck: States from which no step of those that are forced leads on, although it is not over.
        endless: Whether forced steps alone can go on for ever.
        taken: Which entries of the two tables were used.
    """

    states: int = 0
    transitions: int = 0
    final: int = 0
    accusations: dict[str, list[str]] = attrs.Factory(dict)
    overdue: dict[str, list[str]] = attrs.Factory(dict)
    stuck: list[list[str]] = attrs.Factory(list)
    endless: bool = False
    taken: Counter[tuple[Any, Any]] = attrs.Factory(Counter)


class _Recorder:
    """Takes note of the entries of the tables that sessions use."""

    def __init__(self, taken: Counter[tuple[Any, Any]]) -> None:
        self._taken = taken
        self._step, self._refuses = Automaton.step, Automaton.refuses

    def __enter__(self) -> None:
        taken, step, refuses = self._taken, self._step, self._refuses

        def stepped(automaton: Automaton[Any, Any], trigger: Any) -> Any:
            taken[automaton.state, trigger] += 1
            return step(automaton, trigger)

        def refused(automaton: Automaton[Any, Any], trigger: Any) -> Any:
            finding = refuses(automaton, trigger)
            if finding is not None:
                taken[automaton.state, trigger] += 1
            return finding

        Automaton.step = stepped  # type: ignore[method-assign, assignment]
        Automaton.refuses = refused  # type: ignore[method-assign, assignment]

    def __exit__(self, *_: object) -> None:
        Automaton.step = self._step  # type: ignore[method-assign]
        Automaton.refuses = self._refuses  # type: ignore[method-assign]


def explore(revision: ih.Revision, bounds: Bounds, *, limit: float = math.inf, progress: bool = False) -> Findings:
    """Visit every state that can be reached.

    Args:
        revision: The revision that both sides speak.
        bounds: How much happens at most.
        limit: Stop after so many states.
        progress: Print how it goes on.
    """
    found = Findings()
    with _Recorder(found.taken):
        start = Joint(revision, bounds)
        start.settle()
        numbers = {start.key(): 0}
        ways: list[tuple[int, str]] = [(-1, "")]
        forced: dict[int, list[int]] = {}
        todo = deque([(0, start)])
        while todo and len(numbers) < limit:
            number, joint = todo.popleft()
            found.states += 1
            found.final += joint.over
            if progress and found.states % 5000 == 0:
                print(f"  {found.states} states, {len(todo)} to do", file=sys.stderr)
            onward = forced.setdefault(number, [])
            for step in joint.steps():
                after = joint.after(step)
                found.transitions += 1
                key = after.key()
                target = numbers.get(key)
                if target is None:
                    target = numbers[key] = len(ways)
                    ways.append((number, step.name))
                    todo.append((target, after))
                if step.forced:
                    onward.append(target)
                for violation in after.violations:
                    # A client whose timer fires has met a server that is too slow: that is a fault.
                    kind = found.overdue if step.name == _CLIENT_TIMER else found.accusations
                    kind.setdefault(str(violation), [*_way(ways, number), step.name])
                after.violations.clear()
            if not onward and not joint.over and not joint.quiet:
                found.stuck.append(_way(ways, number))
    found.endless = _has_cycle(forced)
    return found


def _way(ways: list[tuple[int, str]], number: int) -> list[str]:
    way: list[str] = []
    while number > 0:
        number, name = ways[number]
        way.insert(0, name)
    return way


def _has_cycle(graph: dict[int, list[int]]) -> bool:
    """Whether there is a way from a state back to it (depth first, without recursion)."""
    colour: dict[int, int] = {}
    for root in graph:
        stack = [(root, iter(graph[root]))] if root not in colour else []
        colour.setdefault(root, 1)
        while stack:
            node, edges = stack[-1]
            following = next(edges, None)
            if following is None:
                colour[node] = 2
                stack.pop()
            elif following not in colour:
                colour[following] = 1
                stack.append((following, iter(graph.get(following, ()))))
            elif colour[following] == 1:
                return True
    return False


_OF_DRAINING = (
    ih.ClientState.AWAITING_READY,
    ih.ClientState.REFUSED,
    ih.ClientState.FAILED_CLOSING,
    ih.ClientState.CLOSE_REQUESTED,
    ih.ClientState.DRAINING,
    ih.ClientState.ENDED,
)
_OF_DRAINS = (
    ClientTrigger.SEND_SESSION_CLOSE,
    ClientTrigger.RECEIVE_READY,
    ClientTrigger.RECEIVE_CLOSING,
    ClientTrigger.RECEIVE_ENDED,
    ClientTrigger.RECEIVE_CLOSE_REFUSED,
)
_WITHOUT_CLOSE = (
    ih.ClientState.AWAITING_READY,
    ih.ClientState.REFUSED,
    ih.ClientState.OPEN,
    ih.ClientState.FAILED,
    ih.ClientState.DRAINING,
)
#: Entries that no session can take, and why.
NEVER = {
    "a closed session does nothing, and asks no table": {
        *((ih.ClientState.CLOSED, trigger) for trigger in ClientTrigger if trigger.name.startswith("RECEIVE_")),
        (ih.ClientState.CLOSED, ClientTrigger.LOSE),
    },
    "no revision has session.close and does without it": {
        *((state, ClientTrigger.FINISH) for state in _OF_DRAINING),
        *((ih.ClientState.FINISHING, trigger) for trigger in _OF_DRAINS),
    },
    "only a session.close without an answer is refused, and the state tells that there is none": {
        *((state, ClientTrigger.RECEIVE_CLOSE_REFUSED) for state in _WITHOUT_CLOSE),
    },
}


def untaken(*revisions: ih.Revision) -> set[tuple[Any, Any]]:
    """The entries of the client's table that nothing takes, even if everything is tried; those of `NEVER` left out."""
    taken = set().union(*(try_everything(revision).taken for revision in revisions))
    known = set().union(*NEVER.values())
    return {(state, trigger) for state, row in CLIENT_TABLE.items() for trigger in row} - taken - known


def main() -> None:
    """Explore everything, and print the figures; exit code 1 where something is found."""
    wrong = False
    for revision, bounds in (
        (ih.V1, Bounds(errors=0)),
        (ih.V1, Bounds(segments=1, configs=1, signals=1)),
        (ih.V1_WINDOW, Bounds()),
        (ih.V0_2, Bounds()),
        (ih.V0, Bounds()),
    ):
        found = explore(revision, bounds, progress=True)
        print(f"{revision.id}, {bounds}")
        print(f"  {found.states:,} states, {found.transitions:,} transitions, {found.final:,} final", flush=True)
        print(f"  states that nothing leads on from: {len(found.stuck)}; ways that never end: {found.endless:d}")
        print(f"  accusations of a peer that kept everything: {len(found.accusations)}")
        for name, way in (*found.accusations.items(), *(("stuck", way) for way in found.stuck[:3])):
            print(f"  {name}: {' / '.join(way)}")
        wrong = wrong or found.endless or bool(found.stuck or found.accusations)
    refusals = [try_everything(revision) for revision in (ih.V1, ih.V1_WINDOW)]
    unsaid = [entry for one in refusals for entry in one.unsaid]
    entries = sum(len(row) for row in CLIENT_TABLE.values())
    missing = untaken(ih.V1, ih.V1_WINDOW)
    print(f"the client's table: {entries} entries, {len(missing)} that nothing takes, {len(unsaid)} refusals unsaid")
    for entry in missing:
        print(f"  {entry}")
    sys.exit(wrong or bool(missing or unsaid))


if __name__ == "__main__":
    main()
