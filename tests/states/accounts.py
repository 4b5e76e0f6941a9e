"""What passed at one end of a connection, and which clauses that breaks: the second opinion on every accusation.

Nothing of the session layer is used here. The accounts read what is on the wire with `json` and know only what the
clauses say of it, as far as the messages go that states are explored with. Whether a message is right depends on
nothing but what has passed at the end where it arrives, so an account for each end is enough.

Segments are taken to come whole. Three things are nobody's fault: whoever has closed may still be told anything, in any
order (CLS-3); after an error that announces a close `session.close` may be answered or not (ERR-2); and a close may
have crossed `session.close` on its way, unless an answer shows that it has not (CLS-1).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, TypeAlias

import attrs

Json: TypeAlias = dict[str, Any]

_CLOSING_ERRORS = frozenset({"ih1001", "ih1003", "ih2003", "ih4005", "ih6003", "ih6004"})
_SEGMENT_ERRORS = frozenset({"ih4002", "ih4007", "ih5001", "ih5004", "ih5008", "ih6002"})
_SESSION_ERRORS = frozenset({"ih1003", "ih2003", "ih4005", "ih6003", "ih6004"})
_LEVELS = frozenset({"engaged", "neutral", "disengaged"})
_SIGNALS = frozenset({"agreement", "interest"})
_OVERALL, _TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"


@attrs.define
class Account:
    """What passed at one end.

    Attributes:
        asked: Whether `session.close` has gone out, or come in, and was right.
        closed: Whether this end has closed.
        segments: How many segments there were.
        begun: Whether the owner of a server has opened the session.
        ending: Whether the owner of a client has ended it.
    """

    asked: bool = False
    closed: bool = False
    segments: int = 0
    begun: bool = False
    ending: bool = False

    def hear(self, item: object) -> set[str]:
        """Take note of something that arrives, a text, bytes or a close frame; the clauses that it breaks."""
        raise NotImplementedError

    def say(self, item: object) -> None:
        """Take note of something that goes out."""
        raise NotImplementedError

    def forbids(self, act: str) -> set[str]:
        """The clauses that an owner would break by something."""
        raise NotImplementedError


def _is_close_frame(item: object) -> bool:
    return not isinstance(item, str | bytes)


# -- the client's end -----------------------------------------------------------------------------


@attrs.define
class ClientAccount(Account):
    """What passed at the end of a client, whatever the revision.

    Attributes:
        correlation_id: That of the first message.
        include: What the config in force includes.
        unanswered: What was asked in text and had no answer: what a config includes, or None for `session.close`.
    """

    BINARY: ClassVar[str] = "ENV-5"
    FRAMING: ClassVar[str] = "ENV-1"
    SAME_SESSION: ClassVar[str] = "ENV-2"
    CONFIGURES: ClassVar[bool] = True

    correlation_id: str | None = None
    include: tuple[str, ...] = ()
    unanswered: list[tuple[str, ...] | None] = attrs.Factory(list)

    def say(self, item: object) -> None:
        if isinstance(item, bytes):
            self.segments += 1
        elif isinstance(item, str):
            self._ask(json.loads(item))
        else:
            self.closed = True

    def hear(self, item: object) -> set[str]:
        if isinstance(item, bytes):
            return {self.BINARY}
        if not isinstance(item, str):
            broken = self._hear_close()
            self.closed = True
            return broken
        try:
            message = json.loads(item)
        except ValueError:
            return {self.FRAMING}
        broken = self._judge(message)
        told = message.get("correlation_id")
        if self.correlation_id is None:
            self.correlation_id = told
        elif told != self.correlation_id:
            broken.add(self.SAME_SESSION)
        return broken

    def forbids(self, act: str) -> set[str]:
        if act == "config" and not self.CONFIGURES:
            return {"CFG-1"}
        if self.closed:
            return {"CLS-3"}
        return set() if act == "close" else self._forbids(act)

    def _forbids(self, act: str) -> set[str]:
        return {"CLS-3"} if self.ending and act != "config" else set()

    def _ask(self, message: Json) -> None:
        raise NotImplementedError

    def _hear_close(self) -> set[str]:
        return set()

    def _judge(self, message: Json) -> set[str]:
        raise NotImplementedError


@attrs.define
class LifecycleAccount(ClientAccount):
    """Where changes are told: v1 and v2."""

    ready: bool = False
    refused: bool = False
    doomed: bool = False
    closing: bool = False
    ended: bool = False
    noticed: bool = False
    active: dict[str, str | None] = attrs.Factory(dict)
    latest: dict[str, float] = attrs.Factory(dict)
    level: str | None = None

    def _ask(self, message: Json) -> None:
        if message.get("type") == "session.close":
            self.asked = True
            self.unanswered.append(None)
        else:
            self.unanswered.append(tuple(message.get("include", ())))

    def _forbids(self, act: str) -> set[str]:
        if self.ended:
            return {"CLS-1"}
        if self.refused and not self.ready:
            return {"RDY-3"}
        if act == "config":
            return set()
        if not self.ready:
            return {"RDY-4"}
        return ({"CLS-2"} if act == "segment" else {"CLS-1"}) if self.asked else set()

    def _hear_close(self) -> set[str]:
        """A server closes when it likes (CLS-3), but not between the question for an end and the end (CLS-1)."""
        owed = self.asked and not self.ended and not self.doomed and not self.closed
        return {"CLS-1"} if owed and (self.closing or self.noticed) else set()

    def _judge(self, message: Json) -> set[str]:
        kind, data = message["type"], message["data"]
        broken = set() if self.closed else self._judge_order(kind)
        content = getattr(self, f"_{kind.replace('.', '_')}", None)
        if content is not None:
            broken |= content(data)
        return broken

    def _judge_order(self, kind: str) -> set[str]:
        if self.ended:
            return {"CLS-1"}
        if kind == "session.ready":
            return {"RDY-1"} if self.ready else {"RDY-3"} if self.refused else set()
        if kind == "error":
            return set()
        if not self.ready:
            return {"RDY-3"} if self.refused else {"RDY-1"}
        if self.asked and self.doomed:
            return set()
        if kind == "session.closing":
            return set() if self.asked and not self.closing else {"CLS-1"}
        if kind == "session.ended":
            return set() if self.closing else {"CLS-1"}
        return set()

    def _session_ready(self, data: Json) -> set[str]:
        self.ready = True
        return set()

    def _session_updated(self, data: Json) -> set[str]:
        asked = next((place for place, text in enumerate(self.unanswered) if text is not None), None)
        before, self.include = self.include, tuple(data["include"])
        if asked is None:
            return {"CFG-2"}
        # An answer to what was asked after session.close shows that the server has seen that.
        self.noticed = self.noticed or None in self.unanswered[:asked]
        wanted = self.unanswered.pop(asked) or ()
        if set(self.include) == set(wanted):
            return set()
        kept = set(self.include) == {*wanted, *before}
        return {"CFG-4"} if kept or not wanted else {"CFG-2"}

    def _session_closing(self, data: Json) -> set[str]:
        self.closing = self.closing or self.asked
        if None not in self.unanswered:
            return set()
        place = self.unanswered.index(None)
        del self.unanswered[place]
        passed, self.unanswered = self.unanswered[:place], self.unanswered[place:]
        return {"CFG-2"} if passed else set()

    def _session_ended(self, data: Json) -> set[str]:
        # Where there is no session yet, none ends.
        self.ended = self.ready
        return {"SIG-7"} if self.active else set()

    def _signal_detected(self, data: Json) -> set[str]:
        name = data["signal_type"]
        broken = {"SIG-1"} if name in self.active else set()
        self.active[name] = data.get("probability")
        return broken | self._judge_signal(name, data["start"])

    def _signal_updated(self, data: Json) -> set[str]:
        name = data["signal_type"]
        alike = name not in self.active or self.active[name] == data.get("probability")
        self.active[name] = data.get("probability")
        return ({"SIG-2"} if alike else set()) | self._judge_signal(name, data["start"])

    def _signal_ended(self, data: Json) -> set[str]:
        name = data["signal_type"]
        broken = set() if name in self.active else {"SIG-5"}
        self.active.pop(name, None)
        return broken | (self._judge_signal(name, data["end"]) - {"SIG-6"})

    def _judge_signal(self, name: str, time: float) -> set[str]:
        broken = set() if name in _SIGNALS else {"SIG-6"}
        if time < self.latest.get(name, 0):
            return broken | {"SIG-4"}
        self.latest[name] = time
        return broken

    def _engagement_updated(self, data: Json) -> set[str]:
        broken = {"ENG-2"} if data["state"] == self.level else set()
        self.level = data["state"]
        return broken | (set() if data["state"] in _LEVELS and data["start"] >= 0 else {"ENG-3"})

    def _conversation_quality_updated(self, data: Json) -> set[str]:
        broken = _judge_scores(data)
        if not self.include:
            return broken | {"CQI-1"}
        if ("overall" in data) != (_OVERALL in self.include):
            broken.add("CQI-2")
        if ("timeline" in data) != (_TIMELINE in self.include):
            broken.add("CQI-3")
        return broken

    def _feedback_generated(self, data: Json) -> set[str]:
        return {"CFG-6"}

    def _coverage_dropped(self, data: Json) -> set[str]:
        right = data["ranges"] and all(0 <= one["start"] < one["end"] for one in data["ranges"])
        return set() if right else {"COV-1"}

    def _error(self, data: Json) -> set[str]:
        if not self.ready and not self.closed:
            self.refused = True
        self.doomed = self.doomed or data["code"] in _CLOSING_ERRORS
        if data["code"] == "ih6001" and data["segment"] is None and self.unanswered:
            # Texts are answered in their order; the end that was asked for does not come then.
            self.asked = self.unanswered.pop(0) is not None and self.asked
        return _judge_error(data, self.segments)


@attrs.define
class WindowAccount(ClientAccount):
    """Where each window is told for itself: v1-window."""

    def _ask(self, message: Json) -> None:
        self.include = tuple(message.get("include", ()))

    def _judge(self, message: Json) -> set[str]:
        data = message["data"]
        match message["type"]:
            case "error":
                return _judge_error(data, self.segments)
            case "signal.detected":
                spans = data["signals"]
                return {"WIN-3" for span in spans if span["end"] < span["start"]} | {
                    "SIG-6" for span in spans if span["type"] not in _SIGNALS
                }
            case "engagement.updated":
                return set() if data["state"] in _LEVELS and data["end"] >= data["start"] else {"WIN-3"}
            case "conversation_quality.updated":
                return _judge_scores(data)
        return set()


@attrs.define
class StatusAccount(ClientAccount):
    """Where each segment has its statuses: v0 and v0.2."""

    BINARY = "STS-1"
    FRAMING = "STS-1"
    SAME_SESSION = "HS-9"
    CONFIGURES = False

    sizes: list[int] = attrs.Factory(list)
    said: dict[int, str] = attrs.Factory(dict)

    def say(self, item: object) -> None:
        if isinstance(item, bytes):
            self.sizes.append(len(item))
        super().say(item)

    def _judge(self, message: Json) -> set[str]:
        return self._judge_order(message["status"], message) | self._judge_content(message)

    def _judge_order(self, status: str, message: Json) -> set[str]:
        number = message["segment"]
        if not 1 <= number <= self.segments:
            return {"SEG-1"}
        before = self.said.get(number)
        if before in ("completed", "error"):
            return {"STS-1"}
        self.said[number] = status
        if status == "processing":
            return set() if before is None and message["bytes"] == self.sizes[number - 1] else {"STS-1"}
        due = {"result": "processing", "completed": "result"}
        return set() if status == "error" or before == due[status] else {"STS-1"}

    def _judge_content(self, message: Json) -> set[str]:
        spans = message.get("signals", ())
        return (
            {"STS-2" for span in spans if span["end"] < span["start"]}
            | {"SIG-6" for span in spans if span["type"] not in _SIGNALS}
            | {"STS-3" for span in message.get("engagement_state", ()) if span["state"] not in _LEVELS}
        )


def _judge_scores(data: Json) -> set[str]:
    broken = set()
    for scores in [data.get("overall"), *(entry["values"] for entry in data.get("timeline", ()))]:
        if scores is None:
            continue
        five = [value for name, value in scores.items() if name != "quality_index"]
        if not all(0 <= value <= 100 for value in scores.values()):
            broken.add("CQI-5")
        if abs(scores["quality_index"] - sum(five) / 5) > 3:
            broken.add("CQI-6")
    return broken


def _judge_error(data: Json, segments: int) -> set[str]:
    code, segment = data["code"], data.get("segment")
    broken = set() if code else {"ERR-1"}
    if segment is None:
        return broken | ({"SEG-8"} if code in _SEGMENT_ERRORS else set())
    if code in _SESSION_ERRORS:
        return broken | {"SEG-8"}
    return broken | (set() if 1 <= segment <= segments else {"SEG-1"})


# -- the server's end -----------------------------------------------------------------------------


@attrs.define
class ServerAccount(Account):
    """What passed at the end of a server.

    Attributes:
        keys: The members that a config of the revision has; empty where there are no configs.
        drains: Whether the revision has `session.close`.
        smallest: The size of the smallest segment, in bytes.
        goals: The goal dimensions that are offered.
        models: The models that are offered.
    """

    keys: tuple[str, ...] = ()
    drains: bool = False
    smallest: int = 1
    goals: tuple[str, ...] = ()
    models: tuple[str, ...] = ()

    def say(self, item: object) -> None:
        self.closed = self.closed or _is_close_frame(item)

    def hear(self, item: object) -> set[str]:
        if _is_close_frame(item):
            self.closed = True
            return set()
        if self.closed:
            return set()
        if isinstance(item, bytes):
            self.segments += 1
            if self.asked:
                return {"CLS-2"}
            return {"SEG-10"} if not item else {"SEG-3"} if len(item) < self.smallest else set()
        return self._hear_text(str(item))

    def forbids(self, act: str) -> set[str]:
        if act == "refuse":
            return {"RDY-3"} if self.begun or self.closed else set()
        if self.closed:
            return {"CLS-3"}
        if act == "open":
            return {"RDY-1"} if self.begun else set()
        return {"RDY-1"} if act == "report" and not self.begun else set()

    def _hear_text(self, text: str) -> set[str]:
        if not self.keys:
            return {"SEG-1"}
        try:
            config = json.loads(text)
        except ValueError:
            config = None
        if not isinstance(config, dict):
            return {"CFG-1"}
        if self.drains and config.get("type") == "session.close":
            broken = {"CLS-1"} if self.asked else set()
            self.asked = True
            return broken
        return self._judge_config(config)

    def _judge_config(self, config: Mapping[str, Any]) -> set[str]:
        if not isinstance(config.get("include", []), list) or not config.keys() <= set(self.keys):
            return {"CFG-5"}
        if not set(config.get("goal_dimensions", ())) <= set(self.goals):
            return {"CFG-6"}
        if "model" in config and (config["model"] not in self.models or self.segments):
            return {"CFG-7"}
        return set()
