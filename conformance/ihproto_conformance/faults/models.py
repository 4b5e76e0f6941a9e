"""Faults in the choice of a model, and in what it takes."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

import attrs

from ihproto import V2
from ihproto.revisions import MODEL_PARAMETER
from ihproto.wire import RawText, UpgradeRequested
from ihproto_conformance.faults.blocks import (
    Message,
    asks,
    change,
    close_with,
    error,
    hears,
    leave_out,
    refusal,
    rewrite,
)
from ihproto_conformance.faults.fault import Answer, Behaviour, Fault, Forward, Talk

_V2 = ("v2",)
_DEFAULT, _OTHER = (model.name for model in V2.models)
_NO_JSON = (Forward(RawText("no config")),)


def _known(name: str | None) -> bool:
    return name in (_DEFAULT, _OTHER)


def _passes_over(which: Callable[[str], bool]) -> Behaviour:
    """Take no notice of some models in the query."""

    def other(request: UpgradeRequested, talk: Talk) -> UpgradeRequested:
        path, _, query = request.target.partition("?")
        parts = [part for part in query.split("&") if not any(map(which, _models(part)))]
        return attrs.evolve(request, target="?".join([path, "&".join(parts)] if any(parts) else [path]))

    return asks(other)


def _models(part: str) -> list[str]:
    return [value for name, value in parse_qsl(part) if name == MODEL_PARAMETER]


def _at_the_door(request: UpgradeRequested, talk: Talk) -> UpgradeRequested | Answer:
    unknown = [value for name, value in request.query if name == MODEL_PARAMETER and not _known(value)]
    return refusal(400, "ih4005", "no such model") if unknown else request


def _without(name: str, test: Callable[[Message, Talk], bool]) -> Behaviour:
    """Take no notice of a member of some configs."""

    def other(config: Message, talk: Talk) -> Message | None:
        return {key: value for key, value in config.items() if key != name} if test(config, talk) else None

    return rewrite(other)


def _refuses(test: Callable[[Message], bool]) -> Behaviour:
    """Refuse configs that it should take."""
    return hears(lambda config, talk: _NO_JSON if config is not None and test(config) else None)


FAULTS = (
    Fault("HS-13.passed-over", "Takes no notice of the model in the query", _passes_over(lambda name: True), _V2),
    Fault(
        "HS-13.default",
        "Takes its usual model for one that it does not know",
        _passes_over(lambda name: not _known(name)),
        _V2,
    ),
    Fault("HS-13.at-the-door", "Refuses a model that it does not know by HTTP", asks(_at_the_door), _V2),
    Fault(
        "HS-13.code",
        "Refuses a model that it does not know with ih1003",
        change("error", error("ih4005"), code="ih1003"),
        _V2,
    ),
    Fault("HS-13.close-code", "Closes with 1000 for a model that it does not know", close_with(1000, 1008), _V2),
    Fault("CFG-7.unreported", "Does not report the model in force", leave_out("session.updated", "model"), _V2),
    Fault(
        "CFG-7.forgets",
        "Goes back to its usual model at a config without one",
        rewrite(lambda config, talk: {"model": _DEFAULT, **config} if not talk.segments else None),
        _V2,
    ),
    Fault(
        "CFG-7.late",
        "Confirms another model after the first segment",
        _without("model", lambda config, talk: talk.segments > 0),
        _V2,
    ),
    Fault(
        "CFG-7.refuses",
        "Refuses a model that it offers",
        _refuses(lambda config: config == {"model": _OTHER}),
        _V2,
    ),
    Fault("CFG-8.refuses", "Refuses an audio format", _refuses(lambda config: "audio_format" in config), _V2),
    Fault(
        "CFG-8.late",
        "Confirms another audio format after the first segment",
        _without("audio_format", lambda config, talk: talk.segments > 0),
        _V2,
    ),
    Fault(
        "CFG-8.any-model",
        "Confirms an audio format for a model that wants pictures",
        _without("audio_format", lambda config, talk: config.get("model") == _DEFAULT),
        _V2,
    ),
)
