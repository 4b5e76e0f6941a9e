"""All states that a client, a server and the network between them can reach together, one by one.

A joint state is a real client, a real server, and what is in flight each way. From every joint state every possible
step is taken: each thing that an owner may ask for, each delivery, each timer, and a loss of the connection, of which
each side learns by itself. States that are the same are visited once. The bounds keep it finite.

What a session does depends on nothing but the state that it is in and on what happens to it. So every pair of these is
tried once, with a real session, and what came of it is kept (`Side`); the joint states are made up of numbers. Three
things make fewer states of what would be more, and lose nothing:

* Sessions that are alike in everything that `copies.frozen` looks at are one state. `Side.disagreements` checks it:
  of every state two sessions are kept that came to be in different ways, and both must do the same.
* A closed session does nothing any more, whatever it went through: they are all one state. That it does nothing is
  tried with each of them.
* What is on its way to a closed session vanishes.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterator
from typing import Any

import attrs
from states.copies import frozen
from states.ends import CLIENT_TIMER, Accusation, Act, Bounds, ClientEnd, Close, End, Item, ServerEnd, copy_of

import ihproto as ih

#: A joint state is one number: four numbers of so many bits.
_BITS = 24
_MASK = (1 << _BITS) - 1
_CLIENT, _SERVER, _UP = 3 * _BITS, 2 * _BITS, _BITS

#: Within the bounds of `make states` there are a few million.
LIMIT = 10_000_000

_CLIENT_HEARS, _SERVER_HEARS = "the client hears", "the server hears"
_CLIENT_CUT, _SERVER_CUT = "the client loses the connection", "the server loses the connection"


class Interner:
    """Gives numbers to things, and to what is in flight: rows of such numbers, of which 0 is the empty one."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._numbers: dict[Item, int] = {}
        self._rows: list[tuple[int, ...]] = [()]
        self._row_numbers: dict[tuple[int, ...], int] = {(): 0}
        self._appended: dict[tuple[int, tuple[int, ...]], int] = {}

    def number(self, item: Item) -> int:
        """The number of a thing."""
        number = self._numbers.setdefault(item, len(self.items))
        if number == len(self.items):
            self.items.append(item)
        return number

    def append(self, row: int, items: tuple[int, ...]) -> int:
        """The row with more at its end."""
        longer = self._appended.get((row, items))
        if longer is None:
            longer = self._appended[row, items] = self._row(self._rows[row] + items)
        return longer

    def first(self, row: int) -> tuple[int, int]:
        """The first thing of a row that is not empty, and the rest."""
        items = self._rows[row]
        return items[0], self._row(items[1:])

    def _row(self, items: tuple[int, ...]) -> int:
        number = self._row_numbers.setdefault(items, len(self._rows))
        if number == len(self._rows):
            assert number <= _MASK, "more rows than there are numbers"
            self._rows.append(items)
        return number


@attrs.frozen
class Outcome:
    """What comes of something that happens to a session.

    Attributes:
        target: The state that it is in then.
        said: What goes out.
        found: What it found wrong with the other.
    """

    target: int
    said: tuple[int, ...]
    found: tuple[Accusation, ...]


class Side:
    """One side: the states that its session can be in, and what comes of everything that can happen in them."""

    def __init__(self, start: End, wire: Interner) -> None:
        self.ends: list[End] = []
        self.over: list[bool] = []
        self.lost: list[bool] = []
        self.deaf: list[bool] = []
        self._wire = wire
        self._numbers: dict[Any, int] = {}
        self._doubles: dict[int, End] = {}
        self._acts: dict[int, list[tuple[Act, Outcome]]] = {}
        self._heard: dict[tuple[int, int], Outcome] = {}
        self._cut: dict[int, Outcome] = {}
        self.number(start)

    def number(self, end: End) -> int:
        """The number of the state that an end is in."""
        key = (end.lost,) if end.over else frozen(end)
        if end.over:
            _expect_nothing_of(end)
        number = self._numbers.setdefault(key, len(self.ends))
        if number == len(self.ends):
            assert number <= _MASK, "more states of one side than there are numbers"
            self.ends.append(end)
            self.over.append(end.over)
            self.lost.append(end.lost)
            self.deaf.append(end.deaf)
        elif not end.over:
            self._doubles[number] = end
        return number

    def acts(self, number: int) -> list[tuple[Act, Outcome]]:
        """What the owner and the timer may do."""
        known = self._acts.get(number)
        if known is None:
            end = self.ends[number]
            known = self._acts[number] = [(act, self._after_act(end, act)) for act in end.acts()]
        return known

    def heard(self, number: int, item: int) -> Outcome:
        """What comes of something that arrives."""
        outcome = self._heard.get((number, item))
        if outcome is None:
            outcome = self._heard[number, item] = self._after_item(self.ends[number], item)
        return outcome

    def cut(self, number: int) -> Outcome:
        """What comes of a connection that is lost."""
        outcome = self._cut.get(number)
        if outcome is None:
            outcome = self._cut[number] = self._after_loss(self.ends[number])
        return outcome

    def disagreements(self) -> list[str]:
        """What is not the same with a session that came into its state in another way; empty if all is well."""
        wrong: list[str] = []
        for number, end in list(self._doubles.items()):
            for act, outcome in self._acts.get(number, ()):
                if self._after_act(end, act) != outcome:
                    wrong.append(act.name)
            if number in self._cut and self._after_loss(end) != self._cut[number]:
                wrong.append("lost")
        for (number, item), outcome in list(self._heard.items()):
            if number in self._doubles and self._after_item(self._doubles[number], item) != outcome:
                wrong.append(str(self._wire.items[item]))
        return wrong

    def _after_act(self, end: End, act: Act) -> Outcome:
        after = copy_of(end)
        act.run(after)
        return self._outcome(after)

    def _after_item(self, end: End, item: int) -> Outcome:
        after = copy_of(end)
        after.take(self._wire.items[item])
        return self._outcome(after, self._wire.items[item])

    def _after_loss(self, end: End) -> Outcome:
        after = copy_of(end)
        after.lose()
        return self._outcome(after)

    def _outcome(self, end: End, heard: Item | None = None) -> Outcome:
        said = tuple(self._wire.number(item) for item in end.said(heard))
        found = end.found()
        return Outcome(self.number(end), said, found)


def _expect_nothing_of(end: End) -> None:
    """Make sure that a closed session does nothing, whatever still comes."""
    end = copy_of(end)
    end.account = None
    for item in ('{"type":"session.close"}', "?", b"x", Close(1000)):
        end.take(item)
    end.lose()
    assert end.said() == (), "a closed session said something"
    assert end.found() == (), "a closed session found something"
    assert end.over, "a closed session opened again"
    assert end.session.next_timeout() is None, "a closed session waits for something"


@attrs.define
class Findings:
    """What an exploration found.

    Attributes:
        states: How many joint states there are.
        transitions: How many steps lead from one to another.
        clients: How many states the client alone has in them.
        servers: How many the server alone has.
        final: How many of the states are the end of both sides.
        longest: The number of steps of the longest run.
        accusations: What one side found wrong with the other, which kept all clauses, and on what way it came to that.
        overdue: What a client found wrong when its timer fired: the server was too slow.
        stuck: States from which no step leads on that happens by itself, although it is not over. Where a revision
            has no timers, two sides that wait for their owners are not stuck, as long as the client's may end it.
        endless: Whether a run can go on for ever, or there is no end to the states.
        disagreements: What sessions in the same state do not do alike.
    """

    states: int = 0
    transitions: int = 0
    clients: int = 0
    servers: int = 0
    final: int = 0
    longest: int = 0
    accusations: dict[str, list[str]] = attrs.Factory(dict)
    overdue: dict[str, list[str]] = attrs.Factory(dict)
    stuck: list[list[str]] = attrs.Factory(list)
    endless: bool = False
    disagreements: list[str] = attrs.Factory(list)

    @property
    def right(self) -> bool:
        """Whether everything is as it should be."""
        wrong = self.accusations or self.stuck or self.endless or self.disagreements
        return self.final > 0 and not wrong


class Exploration:
    """Visits every joint state that can be reached.

    Args:
        client: The client at its beginning.
        server: The server at its beginning.
    """

    def __init__(self, client: End, server: End) -> None:
        self._wire = Interner()
        self.client = Side(client, self._wire)
        self.server = Side(server, self._wire)
        self._timeless = math.isinf(client.session.revision.contract.session_idle_timeout_seconds)
        self._names: dict[str, int] = {}
        # What is known of each joint state: the one it was reached from, by which step, and where its steps begin.
        self._from = array("I", [0])
        self._by = array("H", [0])
        self._steps_at = array("Q")
        self._targets = array("I")

    def run(self, *, limit: int = LIMIT, progress: bool = False) -> Findings:
        """Explore.

        Args:
            limit: With more states than these there is no end in sight, and it is given up.
            progress: Print how it goes on.
        """
        found = Findings()
        self._visit(found, limit, progress)
        found.disagreements = self.client.disagreements() + self.server.disagreements()
        found.transitions = len(self._targets)
        found.clients, found.servers = len(self.client.ends), len(self.server.ends)
        if not found.endless:
            found.longest, found.endless = self._longest_run()
        return found

    def _visit(self, found: Findings, limit: int, progress: bool) -> None:
        numbers = {0: 0}
        keys = [0]
        client_over, server_over = self.client.over, self.server.over
        names, by, origins, targets = self._names, self._by, self._from, self._targets
        for place, key in enumerate(keys):
            if place >= limit:
                found.endless = True
                return
            if progress and place % 500_000 == 0 and place:
                print(f"  {place:,} states, {len(keys) - place:,} to do", file=sys.stderr, flush=True)
            self._steps_at.append(len(targets))
            client, server = key >> _CLIENT, key >> _SERVER & _MASK
            onward = False
            for name, forced, after, accusations in self._steps(client, server, key >> _UP & _MASK, key & _MASK):
                target = numbers.get(after)
                if target is None:
                    target = numbers[after] = len(keys)
                    keys.append(after)
                    origins.append(place)
                    by.append(names.setdefault(name, len(names)))
                targets.append(target)
                onward = onward or forced
                for accusation in accusations:
                    # A client whose timer fires has met a server that is too slow: that is a fault.
                    kind = found.overdue if name == CLIENT_TIMER else found.accusations
                    kind.setdefault(accusation.what, [*self._way(place), name])
            if client_over[client] and server_over[server]:
                found.final += 1
            elif not onward and not self._waits(client, server):
                found.stuck.append(self._way(place))
            found.states += 1

    def _steps(
        self, client: int, server: int, up: int, down: int
    ) -> Iterator[tuple[str, bool, int, tuple[Accusation, ...]]]:
        """All that can happen next: its name, whether it happens by itself, what follows, and what is found wrong."""
        wire, ours, theirs = self._wire, self.client, self.server
        server_key = server << _SERVER
        client_key = client << _CLIENT
        if not ours.over[client]:
            outcomes = [(act.name, act.forced, outcome, down) for act, outcome in ours.acts(client)]
            if down:
                item, rest = wire.first(down)
                outcomes.append((_CLIENT_HEARS, True, ours.heard(client, item), rest))
            outcomes.append((_CLIENT_CUT, theirs.lost[server], ours.cut(client), 0))
            for name, forced, outcome, rest in outcomes:
                sent = 0 if theirs.over[server] else wire.append(up, outcome.said) if outcome.said else up
                left = 0 if ours.over[outcome.target] else rest
                after = outcome.target << _CLIENT | server_key | sent << _UP | left
                yield name, forced, after, outcome.found
        if not theirs.over[server]:
            outcomes = [(act.name, act.forced, outcome, up) for act, outcome in theirs.acts(server)]
            if up and not theirs.deaf[server]:
                item, rest = wire.first(up)
                outcomes.append((_SERVER_HEARS, True, theirs.heard(server, item), rest))
            outcomes.append((_SERVER_CUT, ours.lost[client], theirs.cut(server), 0))
            for name, forced, outcome, rest in outcomes:
                sent = 0 if ours.over[client] else wire.append(down, outcome.said) if outcome.said else down
                left = 0 if theirs.over[outcome.target] else rest
                after = client_key | outcome.target << _SERVER | left << _UP | sent
                yield name, forced, after, outcome.found

    def _waits(self, client: int, server: int) -> bool:
        """Whether nothing goes wrong if nothing happens: there are no timers, and the client's owner may end it."""
        if not self._timeless or self.client.over[client] or self.server.over[server]:
            return False
        return any(act.name == "the client closes" for act, _ in self.client.acts(client))

    def _way(self, place: int) -> list[str]:
        names = list(self._names)
        way: list[str] = []
        while place:
            way.insert(0, names[self._by[place]])
            place = self._from[place]
        return way

    def _longest_run(self) -> tuple[int, bool]:
        """The length of the longest run, and whether there is one that never ends.

        States are taken in an order in which every step leads onward; where a run never ends there is none.
        """
        targets, starts = self._targets, self._steps_at
        count = len(starts)
        starts.append(len(targets))
        waiting = array("I", bytes(count * array("I").itemsize))
        for target in targets:
            waiting[target] += 1
        longest = array("I", bytes(count * array("I").itemsize))
        ready = [0] if not waiting[0] else []
        ordered = 0
        while ready:
            place = ready.pop()
            ordered += 1
            length = longest[place] + 1
            for target in targets[starts[place] : starts[place + 1]]:
                if longest[target] < length:
                    longest[target] = length
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        return max(longest, default=0), ordered < count


def explore(revision: ih.Revision, bounds: Bounds, *, limit: int = LIMIT, progress: bool = False) -> Findings:
    """Visit every state that can be reached.

    Args:
        revision: The revision that both sides speak.
        bounds: How much happens at most.
        limit: With more states than these there is no end in sight, and it is given up.
        progress: Print how it goes on.
    """
    exploration = Exploration(ClientEnd.new(revision, bounds), ServerEnd.new(revision, bounds))
    return exploration.run(limit=limit, progress=progress)
