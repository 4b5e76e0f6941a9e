"""Something is put between two sides that keep everything, in every state that they can reach: who is accused of what?

In every state that a client can be in, within the bounds, each of many messages arrives that its server might say, and
in every state of a server what its client might. Whether that is right there, and which clauses it breaks, an
`accounts.Account` says, which knows nothing of the session layer. The session must accuse the other of the same, no
more and no less, and refuse its own owner what the account forbids. On the way the same account hears everything that
real sides say, and must find nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs
from states.accounts import Account, LifecycleAccount, ServerAccount, StatusAccount, WindowAccount
from states.copies import frozen
from states.ends import STARTED_AT, Bounds, ClientEnd, Close, End, Item, ServerEnd, copy_of, segment
from states.joint import Exploration, Findings
from states.tables import CLIENT_NEVER, SERVER_NEVER, Recorder

import ihproto as ih
from ihproto.automata import CLIENT_TABLE, SERVER_TABLE, Refusal

#: Each injection is one or more things that arrive one after the other, by a name.
Injections: TypeAlias = Mapping[str, tuple[Item, ...]]

#: What an owner may ask for, right or not, by the names that accounts know.
Asked: TypeAlias = Mapping[str, Callable[[Any], object]]

_TIMESTAMP = STARTED_AT.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
_LATE = 1000
_FIFTY = dict.fromkeys(("quality_index", "clarity", "authority", "energy", "rapport", "learning"), 50)
_LATER = {"start": _LATE, "end": _LATE + 8}


def account_of_client(revision: ih.Revision) -> Account:
    """An empty account for the end of a client."""
    match revision.emission:
        case ih.Emission.CHANGES:
            return LifecycleAccount()
        case ih.Emission.WINDOWS:
            return WindowAccount()
        case ih.Emission.SEGMENTS:
            return StatusAccount()


def account_of_server(revision: ih.Revision) -> Account:
    """An empty account for the end of a server."""
    options = revision.contract.supported_session_config_options
    return ServerAccount(
        keys=revision.config_keys,
        drains=revision.drains,
        smallest=revision.contract.min_segment_size_bytes,
        goals=tuple(options.goal_dimensions or ()),
        models=tuple(options.model or ()),
    )


def _envelope(kind: str, data: Mapping[str, Any], correlation_id: str = "c") -> str:
    return json.dumps({"type": kind, "timestamp": _TIMESTAMP, "correlation_id": correlation_id, "data": data})


def _error(code: str, segment: int | None = None) -> str:
    return _envelope("error", {"code": code, "message": "so it is", "link": None, "segment": segment})


_ERRORS: Injections = {
    "an error": (_error("ih5002"),),
    "an error that closes": (_error("ih1001"),),
    "an error about the first segment": (_error("ih5002", 1),),
    "an error without a code": (_error(""),),
    "an error about no segment that must be about one": (_error("ih5004"),),
    "an error about a segment that must be about none": (_error("ih6003", 1),),
    "an error about a segment that there is not": (_error("ih5002", 9),),
    "an error about segment 0": (_error("ih5002", 0),),
}
_ENVELOPES: Injections = {
    **_ERRORS,
    "no JSON": ("{",),
    "a binary message": (b"x",),
    "a type that nobody knows": (_envelope("weather.changed", {}),),
    "another session's message": (_envelope("weather.changed", {}, "another"), _envelope("weather.changed", {})),
    "a close": (Close(1000),),
}


def _signal(event: str, name: str, time: float, **more: str) -> str:
    return _envelope(f"signal.{event}", {"signal_type": name, "end" if event == "ended" else "start": time, **more})


def _quality(**sections: Any) -> str:
    return _envelope("conversation_quality.updated", sections)


def _lifecycle(revision: ih.Revision) -> Injections:
    contract = {
        "session_idle_timeout_seconds": 300,
        "session_max_duration_seconds": 3600,
        "min_segment_duration_seconds": 3,
        "min_segment_size_bytes": 1,
        "max_segment_size_bytes": 33_554_432,
        "supported_session_config_options": {
            "include": [ih.INCLUDE_OVERALL, ih.INCLUDE_TIMELINE],
            **({"model": ["inter-2", "inter-2-audio"]} if revision is ih.V2 else {}),
        },
    }
    model = {"model": "inter-2"} if revision is ih.V2 else {}
    ready = _envelope("session.ready", contract)
    closing = _envelope("session.closing", {"max_drain_seconds": 30})
    ended = _envelope("session.ended", {"reason": "client_shutdown"})
    updated = _envelope("session.updated", {"include": [], **model})
    dull = _envelope("engagement.updated", {"state": "neutral", "start": 0})
    moves = {
        "session.ready": ready,
        "session.closing": closing,
        "session.ended": ended,
        "dull": dull,
        "an error": _error("ih5002"),
        "an error that closes": _error("ih1001"),
        "a text refused": _error("ih6001"),
    }
    return {
        **_ENVELOPES,
        **{f"{first}, then {then}": (moves[first], moves[then]) for first in moves for then in moves},
        "session.ready": (ready,),
        "session.closing": (closing,),
        "session.ended": (ended,),
        "a refusal and session.ready": (_error("ih2003"), ready),
        "session.closing and a close": (closing, Close(1000)),
        "session.updated, off": (updated,),
        "session.updated, on": (_envelope("session.updated", {"include": [ih.INCLUDE_OVERALL], **model}),),
        "session.updated and a close": (updated, Close(1001)),
        **{
            f"signal.{event} of {name} at {time}, {more or 'no more'}": (_signal(event, name, time, **more),)
            for event, more in (("detected", {}), ("updated", {}), ("updated", {"probability": "high"}), ("ended", {}))
            for name in ("agreement", "interest")
            for time in (0, _LATE)
        },
        "a signal that there is not": (_signal("detected", "boredom", _LATE),),
        "dull": (dull,),
        "engaged": (_envelope("engagement.updated", {"state": "engaged", "start": 0}),),
        "a level that there is not": (_envelope("engagement.updated", {"state": "bored", "start": 0}),),
        "quality, overall": (_quality(overall=_FIFTY),),
        "quality, timeline": (_quality(timeline=[{**_LATER, "values": _FIFTY}]),),
        "quality, both": (_quality(overall=_FIFTY, timeline=[{**_LATER, "values": _FIFTY}]),),
        "quality without a mean": (_quality(overall={**_FIFTY, "quality_index": 60}),),
        "quality beyond 100": (_quality(overall=dict.fromkeys(_FIFTY, 101)),),
        "feedback": (_envelope("feedback.generated", {"feedback": "Speak up."}),),
        "coverage": (_envelope("coverage.dropped", {"ranges": [{"start": 0, "end": 8}]}),),
        "coverage of nothing": (_envelope("coverage.dropped", {"ranges": []}),),
    }


def _windows(revision: ih.Revision) -> Injections:
    def signals(name: str, start: float, end: float) -> tuple[str]:
        span = {"type": name, "start": start, "end": end, "probability": "low", "rationale": "so it seems"}
        return (_envelope("signal.detected", {"signals": [span]}),)

    def engagement(state: str, start: float, end: float) -> tuple[str]:
        return (_envelope("engagement.updated", {"state": state, "start": start, "end": end}),)

    return {
        **_ENVELOPES,
        "a signal": signals("agreement", 0, 8),
        "a signal that ends before it begins": signals("agreement", 8, 0),
        "a signal that there is not": signals("boredom", 0, 8),
        "engagement": engagement("neutral", 0, 8),
        "engagement that ends before it begins": engagement("neutral", 8, 0),
        "a level that there is not": engagement("bored", 0, 8),
        "quality": (_quality(overall=_FIFTY),),
        "quality without a mean": (_quality(overall={**_FIFTY, "quality_index": 60}),),
        "quality beyond 100": (_quality(overall=dict.fromkeys(_FIFTY, 101)),),
    }


def _statuses(revision: ih.Revision) -> Injections:
    session = {"correlation_id": "c"} if revision is ih.V0_2 else {}
    failure = {"error_id": "ih5002", "message": "so it is", "link": None} if session else {"error": "so it is"}

    def status(name: str, number: int, **more: Any) -> str:
        return json.dumps({"status": name, **session, "segment": number, **more})

    def result(number: int, *, end: float = 8, name: str = "agreement", level: str = "neutral") -> str:
        span: dict[str, Any] = {"type": name, "start": 0, "end": end}
        if not session:
            return status("result", number, signals=[span])
        levels = [{"start": 0, "end": 8, "state": level}]
        span |= {"probability": "low", "rationale": "so it seems"}
        return status("result", number, signals=[span], engagement_state=levels)

    size = len(segment(revision))
    return {
        "no JSON": ("{",),
        "a binary message": (b"x",),
        "a close": (Close(1000),),
        **{f"processing of {number}": (status("processing", number, bytes=size),) for number in (0, 1, 2, 9)},
        **{f"result of {number}": (result(number),) for number in (0, 1, 2, 9)},
        **{f"completed of {number}": (status("completed", number),) for number in (0, 1, 2, 9)},
        **{f"error of {number}": (status("error", number, **failure),) for number in (0, 1, 2, 9)},
        "processing of another size": (status("processing", 1, bytes=size + 1),),
        "a signal that ends before it begins": (result(1, end=-1),),
        "a signal that there is not": (result(1, name="boredom"),),
        **({"a level that there is not": (result(1, level="bored"),)} if session else {}),
    }


_FROM_SERVERS = {
    ih.Emission.CHANGES: _lifecycle,
    ih.Emission.WINDOWS: _windows,
    ih.Emission.SEGMENTS: _statuses,
}


def from_server(revision: ih.Revision) -> Injections:
    """What a server of the revision might say, right or not."""
    return _FROM_SERVERS[revision.emission](revision)


def from_client(revision: ih.Revision) -> Injections:
    """What a client of the revision might send, right or not."""
    close = '{"type":"session.close"}'
    texts = {
        "config off": "{}",
        "config on": json.dumps({"include": [ih.INCLUDE_OVERALL]}),
        "a section that there is not": '{"include":["weather"]}',
        "no JSON": "hello",
        "no object": "[]",
        "a member that there is not": '{"includes":[]}',
        "a wrong type": '{"include":"all"}',
        "session.close": close,
    }
    if revision.drains:
        texts["goals that there are not"] = '{"goal_dimensions":["beauty"]}'
        texts["a model that there is not"] = '{"model":"inter-0"}'
    if revision is ih.V2:
        texts["another model"] = '{"model":"inter-2-audio"}'
    return {
        **{name: (text,) for name, text in texts.items()},
        "session.close twice": (close, close),
        "a segment": (segment(revision),),
        "a segment after session.close": (close, segment(revision)),
        "an empty segment": (b"",),
        "a small segment": (b"x",),
        "a close": (Close(1000),),
    }


_BY_CLIENTS: Asked = {
    "config": lambda session: session.send_config([]),
    "segment": lambda session: session.send_segment(b"x"),
    "end": lambda session: session.end(0.0),
    "close": lambda session: session.close(),
}
_BY_SERVERS: Asked = {
    "open": lambda session: session.open(0.0),
    "refuse": lambda session: session.refuse("ih2003", 0.0),
    "error": lambda session: session.send_error("ih1001", 0.0),
    "close": lambda session: session.close(0.0),
}
_REPORTS: Asked = {"report": lambda session: session.send_degraded([ih.MediaRange(0, 8)], 0.0)}


def by_server(revision: ih.Revision) -> Asked:
    """What the owner of a server may ask for."""
    return {**_BY_SERVERS, **_REPORTS} if ih.CoverageDegraded in revision.messages else _BY_SERVERS


@attrs.define
class Verdicts:
    """What came of the injections.

    Attributes:
        exploration: What was found without any.
        injected: How many there were.
        wrong: How many of them broke a clause.
        clauses: How often each clause was broken.
        differences: Where a session accuses of something else than the account does, or refuses something else.
        refusals: The refusals of what arrives that were used.
    """

    exploration: Findings
    injected: int = 0
    wrong: int = 0
    clauses: Counter[str] = attrs.Factory(Counter)
    differences: dict[str, tuple[list[str], list[str]]] = attrs.Factory(dict)
    refusals: set[tuple[Any, Any]] = attrs.Factory(set)

    def count(self, name: str, end: End, told: set[str], expected: set[str]) -> None:
        """Take note of what came of one injection."""
        self.injected += 1
        self.wrong += bool(expected)
        self.clauses.update(expected)
        if told != expected:
            self.differences.setdefault(f"{name}, {end.session.state}", (sorted(told), sorted(expected)))

    @property
    def right(self) -> bool:
        """Whether everything is as it should be."""
        return self.exploration.right and self.wrong > 0 and not self.differences


def inject(revision: ih.Revision, bounds: Bounds) -> Verdicts:
    """Inject everything, each by itself, in every state that a client or a server can reach within the bounds."""
    client = ClientEnd.new(revision, bounds, account_of_client(revision))
    server = ServerEnd.new(revision, bounds, account_of_server(revision))
    exploration = Exploration(client, server)
    verdicts = Verdicts(exploration.run())
    for ends, injections, asked in (
        (exploration.client.ends, from_server(revision), _BY_CLIENTS),
        (exploration.server.ends, from_client(revision), by_server(revision)),
    ):
        for end in ends:
            for name, act in asked.items():
                _ask(end, name, act, verdicts)
            if not end.over and not end.deaf:
                for name, items in injections.items():
                    _inject(end, name, items, verdicts)
    return verdicts


def _inject(end: End, name: str, items: tuple[Item, ...], verdicts: Verdicts) -> None:
    after = copy_of(end)
    account, after.account = after.account, None
    assert account is not None
    taken: Counter[tuple[Any, Any]] = Counter()
    expected: set[str] = set()
    with Recorder(taken):
        for item in items:
            expected |= account.hear(item)
            after.take(item)
            for said in after.said(item):
                account.say(said)
    verdicts.refusals |= taken.keys() & REFUSALS
    verdicts.count(name, end, {accusation.clause_id for accusation in after.found()}, expected)


def _ask(end: End, name: str, act: Callable[[Any], object], verdicts: Verdicts) -> None:
    """Ask something of a session; what is refused changes nothing, and nothing goes out."""
    assert end.account is not None
    after = copy_of(end)
    refused: set[str] = set()
    try:
        act(after.session)
    except ih.LocalProtocolError as error:
        refused.add(error.violation.clause.id)
        if frozen(after) != frozen(end):
            refused.add("and does something")
    verdicts.count(name, end, refused, end.account.forbids(name))


#: The refusals in the tables of what arrives, but for those that no session can take.
REFUSALS = {
    (state, trigger)
    for table, never in ((CLIENT_TABLE, CLIENT_NEVER), (SERVER_TABLE, SERVER_NEVER))
    for state, row in table.items()
    for trigger, entry in row.items()
    if isinstance(entry, Refusal)
    and trigger.name.startswith("RECEIVE_")
    and (state, trigger) not in set().union(*never.values())
}
