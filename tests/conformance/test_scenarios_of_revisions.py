"""Checks of single revisions that no broken server of the catalogue fails: each is seen to fail here."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import attrs
import pytest
from conformance.virtual import run_virtually

from ihproto import INCLUDE_TIMELINE, REVISIONS, V1_WINDOW, V2, ServerSettings
from ihproto.wire import RawBytes, RawClose, RawText, UpgradeRequested
from ihproto_conformance import samples
from ihproto_conformance.faults import Fault, FaultyServer
from ihproto_conformance.faults.blocks import (
    Message,
    add,
    asks,
    data,
    edit,
    follow,
    hears,
    hears_segments,
    rewrite,
    withhold,
)
from ihproto_conformance.faults.fault import Behaviour, Forward, Say, Talk
from ihproto_conformance.faults.server import MockOptions
from ihproto_conformance.memory import MemoryListener
from ihproto_conformance.server import Selection, ServerUnderTest, judge_server
from ihproto_conformance.verdict import Report, Status

KEY = "ih_live_revisions"
HARMLESS = Behaviour()


def judge(
    behaviour: Behaviour, revision_id: str, scenarios: Collection[str], settings: ServerSettings | None = None
) -> Report:
    """The report of some scenarios on the mock server with a behaviour in front of it."""
    revision = REVISIONS[revision_id]

    async def body() -> Report:
        listener = MemoryListener()
        fault = Fault("CLS-3.test", "Does something", behaviour, (revision_id,))
        mock = MockOptions(keys={KEY: ["interhumanai.stream"]})
        async with FaultyServer(fault, listener=listener, settings=settings or ServerSettings(), mock=mock):
            target = ServerUnderTest(
                f"ws://localhost{revision.path}", revision, KEY, media=samples.recording(), dial=listener.dial
            )
            return await judge_server(target, Selection(full=True, include=tuple(scenarios)), version="0")

    return run_virtually(body)


@cache
def conforming(revision_id: str, scenario: str) -> Report:
    return judge(HARMLESS, revision_id, [scenario])


def statuses(report: Report) -> dict[str, Status]:
    return {result.check.id: result.status for result in report.results}


def takes(sample: samples.Sample) -> Behaviour:
    """Treat a segment like a complete file."""
    return swaps(sample, samples.clip().data)


def swaps(sample: samples.Sample, instead: bytes) -> Behaviour:
    """Treat a segment like another one."""
    return hears_segments(lambda data, talk: (Forward(RawBytes(instead)),) if data == sample.data else None)


def hears_as(texts: Collection[str | None], instead: Message) -> Behaviour:
    """Take configs that have one of these members for another config; None is for what is no JSON object."""

    def heard(config: Message | None, talk: Talk) -> tuple[Message, ...] | None:
        named = None in texts if config is None else not set(config).isdisjoint(texts)
        return (instead,) if named else None

    return hears(heard)


def is_unknown_value(config: Message) -> bool:
    return isinstance(config.get("include"), list) and "ihproto_conformance" in config["include"]


def forgets(config: Message | None, talk: Talk) -> tuple[Message | Forward, ...] | None:
    """Refuse a member that there is not, and forget the config in force with it."""
    if config is None or "ihproto_conformance" not in config:
        return None
    return (Forward(RawText("no config")), {})


def later(message: Message, talk: Talk) -> None:
    for entry in data(message).get("timeline") or ():
        entry["end"] += 100


def without_models(request: UpgradeRequested, talk: Talk) -> UpgradeRequested:
    """Know none of the models in the query."""
    return attrs.evolve(request, target=request.target.replace("model=", "model=no-"))


EMPTY = samples.Sample("a message of 0 bytes", b"", 0.0)
GARBAGE = samples.no_container(70_000).data
REFUSES_CLIP = swaps(samples.clip(), GARBAGE)
NOTHING_INCLUDED: Message = {"include": []}

BREAKS: dict[str, tuple[str, str, Behaviour]] = {
    "v0 SEG-5.no-container-refused": ("v0", "text-refusals", takes(samples.no_container())),
    "v0 SEG-6.mid-recording-refused": ("v0", "text-refusals", takes(samples.recording()[1])),
    "v0 SEG-7.no-video-refused": ("v0", "text-refusals", takes(samples.sound())),
    "v0 SEG-10.empty-refused": ("v0", "text-refusals", takes(EMPTY)),
    "v0 SEG-6.complete-file": ("v0", "text-refusals", REFUSES_CLIP),
    "v0.2 SEG-10.empty": ("v0.2", "status-refusals", takes(EMPTY)),
    "v0.2 SEG-6.complete-file": ("v0.2", "status-refusals", REFUSES_CLIP),
    "v1 SEG-10.empty": ("v1", "refused-segments", takes(EMPTY)),
    "v1 SEG-6.complete-file": ("v1", "refused-segments", REFUSES_CLIP),
    "v1-window SEG-9.media-time": ("v1-window", "windows", edit("conversation_quality.updated", later)),
    "v1-window CFG-5.not-json": ("v1-window", "unconfirmed-config", withhold("error")),
    "v1-window CFG-5.not-object": ("v1-window", "unconfirmed-config", hears_as([None], NOTHING_INCLUDED)),
    "v1-window CFG-5.unknown-member": (
        "v1-window",
        "unconfirmed-config",
        hears_as(["ihproto_conformance"], NOTHING_INCLUDED),
    ),
    "v1-window CFG-5.wrong-type": (
        "v1-window",
        "unconfirmed-config",
        rewrite(lambda config, talk: NOTHING_INCLUDED if isinstance(config.get("include"), str) else None),
    ),
    "v1-window CFG-5.stays-open": ("v1-window", "unconfirmed-config", follow("error", Say(RawClose(1008)))),
    "v1-window CFG-5.unknown-value": (
        "v1-window",
        "window-config",
        rewrite(lambda config, talk: NOTHING_INCLUDED if is_unknown_value(config) else None),
    ),
    "v1-window CFG-5.keeps-config": ("v1-window", "window-config", hears(forgets)),
    "v1-window CFG-4.replaces": (
        "v1-window",
        "window-config",
        rewrite(lambda config, talk: {"include": [INCLUDE_TIMELINE]} if not config else None),
    ),
    "v2 HS-13.selects": ("v2", "models", asks(without_models)),
}


@pytest.mark.parametrize("case", BREAKS)
def test_what_breaks_a_rule_is_named(case: str) -> None:
    revision_id, scenario, behaviour = BREAKS[case]
    check = case.partition(" ")[2]
    assert statuses(judge(behaviour, revision_id, [scenario]))[check] is Status.FAILED
    assert statuses(conforming(revision_id, scenario))[check] is Status.PASSED


def test_windows_that_nothing_is_said_of_are_not_judged() -> None:
    def from_the_first_error(message: Message, talk: Talk) -> bool:
        return any(said.get("type") == "error" for said in talk.said)

    # A server under load may skip windows (WIN-2).
    types = ("engagement.updated", "signal.detected", "conversation_quality.updated")
    found = statuses(judge(withhold(types, from_the_first_error), V1_WINDOW.id, ["window-config"]))
    for check in ("CFG-5.keeps-config", "CFG-5.unknown-value", "CFG-4.replaces"):
        assert found[check] is Status.UNSEEN, check


def test_a_server_that_scores_nothing_is_not_asked_when_it_does() -> None:
    report = judge(withhold("conversation_quality.updated"), V1_WINDOW.id, ["window-config"])
    found = statuses(report)
    assert {found[check] for check in ("CFG-5.keeps-config", "CFG-4.replaces")} == {Status.UNSEEN}
    # What is due is looked at where both sections are included.
    failed = statuses(judge(withhold("conversation_quality.updated"), V1_WINDOW.id, ["windows"]))
    assert failed["CFG-3.included"] is Status.FAILED


def test_a_model_that_nothing_can_serve_is_nobodys_fault() -> None:
    settings = ServerSettings(unavailable_models=frozenset({"inter-2-audio"}))
    report = judge(HARMLESS, V2.id, ["models"], settings)
    assert [result.check.id for result in report.results if result.status.broken] == []
    assert statuses(report)["HS-13.selects"] is Status.PASSED


def test_scores_of_what_was_sent_before_may_come_behind_a_config() -> None:
    # The answer of a slow analysis: scores of the first window, told again when the last window is reported.
    entry = {"start": 0, "end": 8, "values": dict.fromkeys(SCORES, 50)}
    slow = add("engagement.updated", "conversation_quality.updated", {"timeline": [entry]}, is_late)
    assert statuses(judge(slow, V1_WINDOW.id, ["window-config"]))["CFG-4.replaces"] is Status.PASSED


SCORES = ("quality_index", "clarity", "authority", "energy", "rapport", "learning")


def is_late(message: Message, talk: Talk) -> bool:
    return bool(data(message)["start"] > 20)
