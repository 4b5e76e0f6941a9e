"""What a fault is: which clause a server breaks, in which words, and what it does with all that passes.

A broken server is a conforming one with a `Behaviour` in front of it. The behaviour sees whatever passes, thing by
thing, and says what happens instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import attrs

from ihproto import Clause, clause
from ihproto.wire import RawBytes, RawClose, RawText, UpgradeRequested
from ihproto_mock import Scenario
from ihproto_mock.leases import Denial

#: What passes: a whole message, or a close frame.
Passed: TypeAlias = RawText | RawBytes | RawClose


@attrs.frozen
class Say:
    """Tell the client."""

    what: Passed


@attrs.frozen
class Forward:
    """Tell the conforming server."""

    what: Passed


@attrs.frozen
class Verbatim:
    """Send the client bytes that need not be frames."""

    data: bytes


@attrs.frozen
class Pause:
    """Wait, and let this direction of the connection wait as well, for so many seconds."""

    seconds: float


@attrs.frozen
class Later:
    """Do something after so many seconds, whatever happens until then."""

    seconds: float
    acts: tuple[Act, ...]


@attrs.frozen
class Drop:
    """Give the connection up without a close frame."""


Act: TypeAlias = Say | Forward | Verbatim | Pause | Later | Drop


@attrs.frozen
class Answer:
    """An answer to an upgrade request.

    Attributes:
        status: The HTTP status, 101 for an accepted upgrade.
        headers: The headers, without those that any upgrade has.
        body: The body of a refusal.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@attrs.define
class Talk:
    """What is known of one connection.

    Attributes:
        key: A credential that the conforming server accepts.
        request: The upgrade request, as the client sent it.
        denial: What a conforming server has against the credential that was shown, None for nothing.
        said: The messages that the conforming server has wanted to say, those under way included.
        asked: The texts of the client, those under way included; None for one that is no JSON object.
        sizes: How large the segments are that came, the one under way included, in bytes.
        notes: What a behaviour wants to remember.
    """

    key: str
    request: UpgradeRequested
    denial: Denial | None = None
    said: list[dict[str, Any]] = attrs.field(factory=list)
    asked: list[dict[str, Any] | None] = attrs.field(factory=list)
    sizes: list[int] = attrs.field(factory=list)
    notes: dict[str, Any] = attrs.field(factory=dict)

    @property
    def segments(self) -> int:
        """How many segments came, the one under way included."""
        return len(self.sizes)

    def first(self, note: str) -> bool:
        """Whether this is asked for the first time."""
        asked_before = note in self.notes
        self.notes[note] = True
        return not asked_before


def _pass_request(request: UpgradeRequested, talk: Talk) -> UpgradeRequested | Answer:
    return request


def _pass_answer(answer: Answer, talk: Talk) -> Answer:
    return answer


def _say(passed: Passed, talk: Talk) -> Iterable[Act]:
    return (Say(passed),)


def _forward(passed: Passed, talk: Talk) -> Iterable[Act]:
    return (Forward(passed),)


@attrs.frozen
class Behaviour:
    """What happens to what passes; whatever is not given passes as it is.

    Attributes:
        request: Makes of the upgrade request what the conforming server gets, or answers it.
        answer: Makes of the answer to the upgrade what the client gets.
        server: What happens when the conforming server says something.
        client: What happens when the client says something.
    """

    request: Callable[[UpgradeRequested, Talk], UpgradeRequested | Answer] = _pass_request
    answer: Callable[[Answer, Talk], Answer] = _pass_answer
    server: Callable[[Passed, Talk], Iterable[Act]] = _say
    client: Callable[[Passed, Talk], Iterable[Act]] = _forward


def _check_sentence(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    if value.endswith("."):
        raise ValueError(f"{value!r} ends with a full stop; it stands in tables and lists")


@attrs.frozen
class Fault:
    """A way in which a server breaks a clause.

    Attributes:
        id: The id of the clause, a dot, and a few words.
        sentence: What the server does, without a full stop.
        behaviour: How it does that.
        revisions: The ids of the revisions in which it can be shown; the first is the one that it is shown in.
        also: Ids of other clauses that say the same thing, so that it breaks them as well.
        scenario: What there has to be in the video for it to show: a scenario of the mock server, or its name; None
            where any will do in which something happens.
        contract: What the conforming server behind it has otherwise in its contract than it should.
    """

    id: str
    sentence: str = attrs.field(validator=_check_sentence)
    behaviour: Behaviour = attrs.field(repr=False)
    revisions: tuple[str, ...] = ("v1", "v2")
    also: tuple[str, ...] = ()
    scenario: Scenario | str | None = attrs.field(default=None, repr=False)
    contract: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    @property
    def clause(self) -> Clause:
        """The clause that is broken."""
        return clause(self.id.partition(".")[0])

    @property
    def revision(self) -> str:
        """The id of the revision that it is shown in."""
        return self.revisions[0]
