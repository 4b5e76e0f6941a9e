"""Faults in conversation quality: when it comes, its sections, its scores."""

from __future__ import annotations

from collections.abc import Callable

from ihproto import INCLUDE_OVERALL, INCLUDE_TIMELINE
from ihproto_conformance.faults.blocks import (
    Instead,
    Message,
    another,
    data,
    edit,
    follow,
    kind,
    leave_out,
    repeat,
    says,
    withhold,
)
from ihproto_conformance.faults.fault import Behaviour, Fault, Talk

_QUALITY = "conversation_quality.updated"
_FIFTY = dict.fromkeys(("quality_index", "clarity", "authority", "energy", "rapport", "learning"), 50)
_NONE = dict.fromkeys(_FIFTY, 0)


def _sets(message: Message) -> list[Message]:
    """All sets of scores of a message."""
    fields = data(message)
    return [
        *([fields["overall"]] if "overall" in fields else []),
        *(entry["values"] for entry in fields.get("timeline", ())),
    ]


def _scores(**scores: float | str) -> Behaviour:
    """Tell other scores."""
    return edit(_QUALITY, lambda message, talk: [each.update(scores) for each in _sets(message)])


def _entries(change: Callable[[list[Message]], list[Message]]) -> Behaviour:
    """Tell another timeline."""

    def told(message: Message, talk: Talk) -> None:
        fields = data(message)
        if "timeline" in fields:
            fields["timeline"] = change(fields["timeline"])

    return edit(_QUALITY, told)


def _backwards(entries: list[Message]) -> list[Message]:
    return [{**entry, "start": entry["end"], "end": entry["start"]} for entry in entries]


def _timeline_too(message: Message, talk: Talk) -> None:
    start = talk.notes.get("start", 0)
    talk.notes["start"] = start + 10
    data(message).setdefault("timeline", [{"start": start, "end": start + 10, "values": dict(_FIFTY)}])


def _early(message: Message, talk: Talk) -> Instead:
    """Score a period that has not begun."""
    yield message
    fields: Message = {}
    include = data(message)["include"]
    if INCLUDE_OVERALL in include:
        fields["overall"] = _FIFTY
    if INCLUDE_TIMELINE in include:
        fields["timeline"] = [{"start": 0, "end": 10, "values": _FIFTY}]
    if fields and not talk.segments:
        talk.notes["early"] = True
        yield another(message, _QUALITY, **fields)


def _early_once(message: Message, talk: Talk) -> Instead:
    if kind(message) == "session.updated":
        yield from _early(message, talk) if talk.first("config") else (message,)
    elif not talk.notes.pop("early", False):
        yield message


FAULTS = (
    Fault("CQI-1.unasked", "Scores a session that did not ask for it", follow("session.ready", (_QUALITY, {}))),
    Fault("CQI-1.twice", "Scores each period twice", repeat(_QUALITY)),
    Fault("CQI-1.early", "Scores a period that is not over", says(("session.updated", _QUALITY), _early_once)),
    Fault("CQI-2.missing", "Leaves out the scores of the whole session", leave_out(_QUALITY, "overall")),
    Fault(
        "CQI-2.unasked",
        "Scores the whole session also where only the timeline is wanted",
        edit(_QUALITY, lambda message, talk: data(message).setdefault("overall", _FIFTY)),
    ),
    Fault("CQI-3.missing", "Leaves out the timeline", leave_out(_QUALITY, "timeline")),
    Fault(
        "CQI-3.unasked", "Sends a timeline also where only the whole session is wanted", edit(_QUALITY, _timeline_too)
    ),
    Fault(
        "CQI-3.two",
        "Sends a timeline with two entries",
        _entries(
            lambda entries: [
                {**entries[0], "end": entries[0]["start"] + 1},
                {**entries[0], "start": entries[0]["start"] + 1},
            ]
        ),
    ),
    Fault("CQI-3.empty", "Sends a timeline without entries", _entries(lambda entries: [])),
    Fault("CQI-3.backwards", "Sends a timeline that ends before it starts", _entries(_backwards)),
    Fault("CQI-3.never", "Never sends scores", withhold(_QUALITY)),
    Fault("CQI-4.nothing", "Scores with 0 where there is nothing to score", _scores(**_NONE), scenario="quiet"),
    Fault("CQI-5.too-much", "Gives scores above 100", _scores(**dict.fromkeys(_FIFTY, 120))),
    Fault(
        "CQI-5.no-learning",
        "Gives no score for learning",
        edit(_QUALITY, lambda message, talk: [each.pop("learning") for each in _sets(message)]),
    ),
    Fault("CQI-5.text", "Gives scores as text", _scores(clarity="high")),
    Fault(
        "CQI-6.mean",
        "Gives an index that is not the mean of the scores",
        edit(
            _QUALITY,
            lambda message, talk: [each.update(quality_index=each["quality_index"] / 2) for each in _sets(message)],
        ),
    ),
)
