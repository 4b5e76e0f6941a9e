"""Faults of session config: what is confirmed, refused, and in force."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ihproto import INCLUDE_OVERALL, INCLUDE_TIMELINE
from ihproto.messages import ConfigOptions
from ihproto.wire import RawClose, RawText
from ihproto_conformance.faults.blocks import (
    Instead,
    Message,
    change,
    data,
    edit,
    error,
    follow,
    hears,
    leave_out,
    repeat,
    rewrite,
    says,
    together,
    withhold,
)
from ihproto_conformance.faults.fault import Act, Behaviour, Fault, Forward, Say, Talk

_SECTIONS = (INCLUDE_OVERALL, INCLUDE_TIMELINE)
_GOALS = {"supported_session_config_options": ConfigOptions(include=_SECTIONS, goal_dimensions=("clarity", "energy"))}
_NO_JSON = (Forward(RawText("no config")),)


def _refuses(test: Callable[[Message, Talk], bool]) -> Behaviour:
    """Refuse configs that it should take."""
    return hears(
        lambda config, talk: _NO_JSON if config is not None and "type" not in config and test(config, talk) else None
    )


def _configs(talk: Talk) -> list[Message]:
    return [config for config in talk.asked if config is not None and "type" not in config]


def _remembers(config: Message, talk: Talk) -> Message | None:
    """Take a config without include for one that leaves it as it was."""
    if "include" in config:
        talk.notes["include"] = config["include"]
        return None
    return {**config, "include": talk.notes.get("include", [])}


def _adds(config: Message, talk: Talk) -> Message | None:
    """Add what is included to what was, but for a config that includes nothing."""
    include = config.get("include", [])
    if not isinstance(include, list):
        return None
    talk.notes["include"] = [*dict.fromkeys([*talk.notes.get("include", []), *include])] if include else []
    return {**config, "include": talk.notes["include"]}


def _stale(message: Message, talk: Talk) -> None:
    """Tell the config before this one."""
    fields = data(message)
    before = talk.notes.get("in force", [])
    talk.notes["in force"] = fields["include"]
    fields["include"] = before


def _takes(test: Callable[[Message | None], bool], instead: Message | None) -> Behaviour:
    """Take texts that it should refuse for another config; for None it takes no notice of them."""

    def heard(config: Message | None, talk: Talk) -> Iterable[Message] | None:
        if not test(config):
            return None
        return () if instead is None else (instead,)

    return hears(heard)


def _wrong_type(config: Message | None) -> bool:
    return config is not None and isinstance(config.get("include"), str)


def _forgets(config: Message | None, talk: Talk) -> Iterable[Message | Act] | None:
    """Refuse a text, and forget the config in force with it."""
    if config is not None and set(config) <= {"include", "goal_dimensions", "type"}:
        return None
    talk.notes["unsaid"] = True
    return (*_NO_JSON, {})


def _unsaid(message: Message, talk: Talk) -> Instead:
    if not talk.notes.pop("unsaid", False):
        yield message


def _without_unknown(config: Message, talk: Talk) -> bool:
    return any(value not in _SECTIONS for value in config.get("include", ()) if not isinstance(config["include"], str))


def _without(name: str) -> Behaviour:
    return rewrite(lambda config, talk: {key: value for key, value in config.items() if key != name})


FAULTS = (
    Fault(
        "CFG-1.once",
        "Takes one config, and refuses all further ones",
        _refuses(lambda config, talk: len(_configs(talk)) > 1),
    ),
    Fault(
        "CFG-1.before-media",
        "Refuses a config once there was a segment",
        _refuses(lambda config, talk: talk.segments > 0),
    ),
    Fault("CFG-2.unconfirmed", "Does not confirm a config", withhold("session.updated")),
    Fault("CFG-2.stale", "Confirms each config with the one before it", edit("session.updated", _stale)),
    Fault("CFG-2.no-include", "Confirms a config without telling it", leave_out("session.updated", "include")),
    Fault("CFG-2.twice", "Confirms each config twice", repeat("session.updated")),
    Fault(
        "CFG-2.unasked",
        "Confirms a config that nobody sent",
        follow("session.ready", ("session.updated", {"include": []})),
    ),
    Fault(
        "CFG-3.no-timeline",
        "Refuses a section that it offers",
        _refuses(lambda config, talk: INCLUDE_TIMELINE in config.get("include", ())),
    ),
    Fault(
        "CFG-3.one-at-a-time",
        "Refuses a config with both sections",
        _refuses(lambda config, talk: set(config.get("include", ())) >= set(_SECTIONS)),
    ),
    Fault("CFG-4.keeps", "Leaves the sections as they were where a config has no include", rewrite(_remembers)),
    Fault("CFG-4.adds", "Adds each include to the ones before", rewrite(_adds)),
    Fault("CFG-5.unknown-value", "Refuses a value of include that it does not know", _refuses(_without_unknown)),
    Fault("CFG-5.takes-no-json", "Confirms a text that is not JSON", _takes(lambda config: config is None, {})),
    Fault(
        "CFG-5.silent", "Does not answer a text that is not a JSON object", _takes(lambda config: config is None, None)
    ),
    Fault(
        "CFG-5.unknown-member",
        "Passes over top-level members that it does not know",
        _takes(lambda config: config is not None and "ihproto_conformance" in config, {}),
    ),
    Fault("CFG-5.wrong-type", "Takes a text in place of a list", _takes(_wrong_type, {"include": [INCLUDE_OVERALL]})),
    Fault(
        "CFG-5.code",
        "Refuses a config with another error",
        change("error", error("ih6001", about="session"), code="ih6009"),
    ),
    Fault(
        "CFG-5.closes",
        "Closes the session at a config that is refused",
        follow("error", Say(RawClose(1007)), when=error("ih6001", about="session")),
    ),
    Fault(
        "CFG-5.forgets",
        "Forgets the config in force at a text that is refused",
        together(hears(_forgets), says("session.updated", _unsaid)),
    ),
    Fault("CFG-6.takes-goals", "Confirms goal dimensions that it does not offer", _without("goal_dimensions"), ("v1",)),
    Fault(
        "CFG-6.refuses-goals",
        "Refuses goal dimensions that it offers",
        _refuses(lambda config, talk: "goal_dimensions" in config),
        contract=_GOALS,
    ),
    Fault(
        "CFG-6.loses-goals",
        "Confirms goal dimensions without telling them",
        leave_out("session.updated", "goal_dimensions"),
        contract=_GOALS,
    ),
    Fault(
        "CFG-6.feedback",
        "Gives feedback that no goal dimensions ask for",
        follow("engagement.updated", ("feedback.generated", {"feedback": "Smile."})),
    ),
    Fault(
        "CFG-7.takes-model", "Takes a model where there is none to choose", _without("model"), ("v1",), also=("CFG-5",)
    ),
)
