"""What faults are built from: a behaviour for each kind of thing that a server can do wrong.

`says` and `hears` take a function that sees each message and yields what happens instead; everything else here is one
of them with the function filled in.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from ihproto.wire import RawBytes, RawClose, RawText, UpgradeRequested
from ihproto_conformance.faults.fault import Act, Answer, Behaviour, Forward, Passed, Say, Talk

#: A message of a server as JSON has it.
Message: TypeAlias = dict[str, Any]
#: What happens in place of a message: other messages, in order, and other things.
Instead: TypeAlias = Iterable[Message | Act]
Test: TypeAlias = Callable[[Message, Talk], bool]


def kind(message: Message) -> str:
    """The type of a message, or its status."""
    return str(message.get("type", message.get("status")))


def data(message: Message) -> Message:
    """Where the fields of a message stand."""
    inside: Message = message.get("data", message)
    return inside


def always(message: Message, talk: Talk) -> bool:
    """Every message."""
    return True


def once(test: Test = always) -> Test:
    """The first message of a connection that passes a test."""

    def first(message: Message, talk: Talk) -> bool:
        return test(message, talk) and talk.first(f"once {id(first)}")

    return first


# -- what a server says ------------------------------------------------------------------------------


def says(types: str | Collection[str], make: Callable[[Message, Talk], Instead], when: Test = always) -> Behaviour:
    """For messages of some types (`*` for all), say something else.

    Args:
        types: The type, or several.
        make: Yields what is said and done instead, for one message.
        when: Which of them.
    """
    wanted = {types} if isinstance(types, str) else set(types)

    def server(passed: Passed, talk: Talk) -> Iterator[Act]:
        if isinstance(passed, RawText):
            message = talk.said[-1]
            if ("*" in wanted or kind(message) in wanted) and when(message, talk):
                for act in make(copy.deepcopy(message), talk):
                    yield write(act) if isinstance(act, dict) else act
                return
        yield Say(passed)

    return Behaviour(server=server)


def write(message: Message) -> Say:
    """Say a message."""
    return Say(RawText(json.dumps(message, ensure_ascii=False)))


def another(message: Message, type_: str, /, **fields: Any) -> Message:
    """A message of another type, at the same time and in the same session."""
    return {**message, "type": type_, "data": fields}


def change(types: str | Collection[str], when: Test = always, /, **fields: Any) -> Behaviour:
    """Say other values for some fields of a message."""
    return edit(types, lambda message, talk: data(message).update(copy.deepcopy(fields)), when)


def edit(types: str | Collection[str], make: Callable[[Message, Talk], object], when: Test = always) -> Behaviour:
    """Change messages in some way."""

    def edited(message: Message, talk: Talk) -> Instead:
        make(message, talk)
        yield message

    return says(types, edited, when)


def frame(types: str | Collection[str], when: Test = always, /, **members: Any) -> Behaviour:
    """Say other values for some members of the envelope."""
    return edit(types, lambda message, talk: message.update(members), when)


def leave_out(types: str | Collection[str], *names: str, when: Test = always) -> Behaviour:
    """Leave out fields of a message."""

    def drop(message: Message, talk: Talk) -> None:
        for name in names:
            data(message).pop(name, None)

    return edit(types, drop, when)


def withhold(types: str | Collection[str], when: Test = always) -> Behaviour:
    """Do not say some messages."""
    return says(types, lambda message, talk: (), when)


def repeat(types: str | Collection[str], when: Test = always) -> Behaviour:
    """Say messages twice."""
    return says(types, lambda message, talk: (message, message), when)


def add(before: str, type_: str, fields: Mapping[str, Any], when: Test | None = None) -> Behaviour:
    """Say one more message before another one, by default once."""
    return says(
        before, lambda message, talk: (another(message, type_, **fields), message), when if when is not None else once()
    )


def follow(after: str, *acts: Act | tuple[str, Mapping[str, Any]], when: Test = always) -> Behaviour:
    """Say or do something more after a message."""

    def more(message: Message, talk: Talk) -> Instead:
        yield message
        for act in acts:
            yield another(message, act[0], **act[1]) if isinstance(act, tuple) else act

    return says(after, more, when)


def text(types: str | Collection[str], make: Callable[[str], Passed], when: Test = always) -> Behaviour:
    """Say something that need not be a message in place of one, from its text."""
    return says(types, lambda message, talk: (Say(make(json.dumps(message))),), when)


# -- errors ------------------------------------------------------------------------------------------


def error(*codes: str, about: str = "anything") -> Test:
    """Which errors.

    Args:
        codes: Their ids; none for all.
        about: `segments`, `session` or `anything`.
    """

    def test(message: Message, talk: Talk) -> bool:
        fields = data(message)
        named = fields.get("segment") is not None
        fits = about == "anything" or named == (about == "segments")
        return fits and (not codes or fields.get("code", fields.get("error_id")) in codes)

    return test


# -- what a server closes ----------------------------------------------------------------------------


def closes(make: Callable[[RawClose, Talk], Iterable[Act]]) -> Behaviour:
    """When the conforming server closes, or answers a close, do something else."""

    def server(passed: Passed, talk: Talk) -> Iterable[Act]:
        return make(passed, talk) if isinstance(passed, RawClose) else (Say(passed),)

    return Behaviour(server=server)


def stay_open(*codes: int) -> Behaviour:
    """Do not close where the conforming server closes with one of some codes."""

    def server(close: RawClose, talk: Talk) -> Iterable[Act]:
        # The one behind is told what it waits for; the client is told nothing.
        return (Forward(RawClose(close.code)),) if close.code in codes else (Say(close),)

    return closes(server)


def close_with(other: int, *codes: int) -> Behaviour:
    """Close with another code than one of those."""
    return closes(lambda close, talk: (Say(RawClose(other) if close.code in codes else close),))


# -- what a client says ------------------------------------------------------------------------------


def hears(make: Callable[[Message | None, Talk], Iterable[Act | Message] | None]) -> Behaviour:
    """Do something with the texts of the client.

    Args:
        make: Yields what happens instead of handing a text on, messages being said to the conforming server; returns
            None where it is handed on. It gets None for a text that is no JSON object.
    """

    def client(passed: Passed, talk: Talk) -> Iterator[Act]:
        acts = make(copy.deepcopy(talk.asked[-1]), talk) if isinstance(passed, RawText) else None
        if acts is None:
            yield Forward(passed)
            return
        for act in acts:
            yield Forward(RawText(json.dumps(act))) if isinstance(act, dict) else act

    return Behaviour(client=client)


def rewrite(make: Callable[[Message, Talk], Message | None]) -> Behaviour:
    """Take configs for others; None takes one for what it is."""

    def other(config: Message | None, talk: Talk) -> Iterable[Message] | None:
        if config is None or "type" in config:
            return None
        made = make(config, talk)
        return None if made is None else (made,)

    return hears(other)


def hears_segments(make: Callable[[bytes, Talk], Iterable[Act] | None]) -> Behaviour:
    """Do something with the segments of the client; None hands one on."""

    def client(passed: Passed, talk: Talk) -> Iterable[Act]:
        acts = make(passed.data, talk) if isinstance(passed, RawBytes) else None
        return (Forward(passed),) if acts is None else acts

    return Behaviour(client=client)


# -- the upgrade -------------------------------------------------------------------------------------


def asks(make: Callable[[UpgradeRequested, Talk], UpgradeRequested | Answer]) -> Behaviour:
    """Take the upgrade request for another one, or answer it."""
    return Behaviour(request=make)


def answers(make: Callable[[Answer, Talk], Answer]) -> Behaviour:
    """Answer the upgrade in another way."""
    return Behaviour(answer=make)


def without_credential(request: UpgradeRequested) -> UpgradeRequested:
    """The request without its credential."""
    return attrs.evolve(request, authorization=None, subprotocols=())


def with_key(request: UpgradeRequested, talk: Talk) -> UpgradeRequested:
    """The request with a valid credential, where the one it has stood."""
    if not request.subprotocols or request.authorization is not None:
        return attrs.evolve(request, authorization=f"Bearer {talk.key}")
    return attrs.evolve(request, subprotocols=(*request.subprotocols[:-1], talk.key))


def set_header(answer: Answer, name: str, value: str | None) -> Answer:
    """The answer with another header in place of the one of this name; None for none."""
    kept = tuple(header for header in answer.headers if header[0].lower() != name)
    return attrs.evolve(answer, headers=kept if value is None else (*kept, (name, value)))


def refusal(status: int, error_id: str, message: str) -> Answer:
    """A refusal as it should be, but for when it comes."""
    correlation_id = "00000000-0000-4000-8000-000000000000"
    link = f"https://docs.interhuman.ai/api-reference/error-handling#{error_id}-refused"
    body = {"error_id": error_id, "correlation_id": correlation_id, "link": link, "message": message}
    headers = (("content-type", "application/json"), ("x-correlation-id", correlation_id))
    return Answer(status, headers, json.dumps(body).encode())


def body(make: Callable[[Message], bytes]) -> Behaviour:
    """Refuse with another body."""

    def other(answer: Answer, talk: Talk) -> Answer:
        return answer if answer.status == 101 else attrs.evolve(answer, body=make(json.loads(answer.body)))

    return answers(other)


def together(*behaviours: Behaviour) -> Behaviour:
    """Several behaviours at once, each of which does something else: the first that gives a hook provides it."""
    passing = Behaviour()
    hooks = {
        field.name: next(
            (
                hook
                for hook in (getattr(each, field.name) for each in behaviours)
                if hook != getattr(passing, field.name)
            ),
            getattr(passing, field.name),
        )
        for field in attrs.fields(Behaviour)
    }
    return Behaviour(**hooks)
