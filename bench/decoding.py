"""What it costs to make typed messages of what a server sends, and to live through a session in memory."""

from __future__ import annotations

import functools
import json
from collections import Counter
from statistics import median

from hour import CORRELATION_ID, INCLUDE, SEGMENTS, Hour, live
from interhumanai.stream import parse_stream_event
from measuring import Effort, Figure, Goal, Row, Times, take_turns

from ihproto import ClientSession, Codec, Envelope, NominalScanner


@functools.cache
def hour() -> Hour:
    """One session, which all rows here share."""
    return live()


@functools.cache
def received() -> list[bytes]:
    """The events of the session, as bytes."""
    return [text.encode() for text in hour().texts]


def decode() -> None:
    codec = Codec()
    for data in received():
        codec.decode_server(data.decode())


def receive() -> int:
    """Have a client session take the events, with every rule checked, one by one as they come from a socket."""
    session = ClientSession(0.0, strict=True, correlation_id=CORRELATION_ID, scanner=NominalScanner())
    session.send_config(INCLUDE)
    count = 0
    closing = _closing()
    for position, data in enumerate(received()):
        if position == closing:
            session.end(1.0)
        session.receive_text(data.decode(), 1.0)
        count += len(session.events())
    assert count == len(received()), "not everything came out as it went in"
    return count


def parse() -> None:
    for data in received():
        parse_stream_event(json.loads(data.decode()))


def dump_and_load() -> None:
    """What anybody has to do with the events, at least."""
    for event in _loaded():
        json.loads(json.dumps(event))


@functools.cache
def _closing() -> int:
    """The place of the answer to `session.close`."""
    return next(place for place, text in enumerate(hour().texts) if "session.closing" in text)


@functools.cache
def _loaded() -> list[object]:
    return [json.loads(data) for data in received()]


def _figure(name: str, times: Times, limit: float) -> Figure:
    count = len(received())
    ratio, spread = times.speedup()
    kinds = dict(Counter(json.loads(text)["type"] for text in hour().texts).most_common())
    return Figure(
        name,
        ours=median(times.ours) / count * 1e6,
        peer=median(times.peer) / count * 1e6,
        unit="us/event",
        ratio=ratio,
        spread=spread,
        goal=Goal(limit, at_least=True),
        note="interhumanai: json.loads + parse_stream_event",
        details={"events": count, "kinds": kinds},
    )


def measure_codec(effort: Effort) -> list[Figure]:
    for data in received():
        assert isinstance(Codec().decode_server(data.decode()), Envelope)
    return [_figure("decode an event", take_turns(decode, parse, effort.turns), 4.0)]


def measure_session(effort: Effort) -> list[Figure]:
    return [_figure("receive an event, all rules checked", take_turns(receive, parse, effort.turns), 1.5)]


def measure_hour(effort: Effort) -> list[Figure]:
    count = len(hour().texts)
    assert count >= 3000, f"{count} events are too few for an hour"
    times = take_turns(live, dump_and_load, effort.turns)
    ratio, spread = times.share()
    return [
        Figure(
            "an hour's session, both roles",
            ours=median(times.ours) * 1e3,
            peer=median(times.peer) * 1e3,
            unit="ms",
            ratio=ratio,
            spread=spread,
            goal=Goal(8.0),
            note=f"json.dumps + json.loads of its {count} events; {SEGMENTS} segments",
            details={"events": count, "segments": SEGMENTS},
        )
    ]


ROWS = [
    Row("decode", measure_codec, decode),
    Row("receive", measure_session, receive),
    Row("hour", measure_hour, live),
]
