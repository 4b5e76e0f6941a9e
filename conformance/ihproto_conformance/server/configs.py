"""Session config: what is confirmed, what is refused, and what is in force then."""

from __future__ import annotations

from ihproto import INCLUDE_OVERALL, INCLUDE_TIMELINE, Error, Revision, SessionUpdated
from ihproto_conformance.server.exam import Exam, Heard, Missing, Probe
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.verdict import Check

EARLY = Check("RDY-4.early-config", "A config that was sent before session.ready arrived is confirmed")
CONFIRMED = Check("CFG-2.confirmed", "A config is confirmed by session.updated")
AGAIN = Check("CFG-1.again", "A config can be sent again, any number of times")
SECTIONS = Check("CFG-3.sections", "The sections that the contract offers can be included, together and alone")
REPLACES = Check("CFG-4.replaces", "A config without include switches every section off")
UNKNOWN_VALUE = Check("CFG-5.unknown-value", "An unknown value of include is passed over")
NOT_JSON = Check("CFG-5.not-json", "A text that is not JSON is answered by ih6001")
NOT_OBJECT = Check("CFG-5.not-object", "JSON that is not an object is answered by ih6001")
UNKNOWN_MEMBER = Check("CFG-5.unknown-member", "An unknown top-level member is answered by ih6001")
WRONG_TYPE = Check("CFG-5.wrong-type", "A member of the wrong type is answered by ih6001")
STAYS_OPEN = Check("CFG-5.stays-open", "After a text that was refused the session is still open")
GOALS = Check("CFG-6.goals", "Goal dimensions that the contract offers are confirmed")
GOALS_NOT_OFFERED = Check("CFG-6.not-offered", "Goal dimensions that the contract does not offer are refused")
MODEL_REFUSED = Check("CFG-7.no-choice", "A model is refused where the contract offers no choice")

#: What is wrong with a text, by the check that it is for.
BROKEN = {
    NOT_JSON: "this is no JSON",
    NOT_OBJECT: '["include"]',
    UNKNOWN_MEMBER: '{"include":[],"ihproto_conformance":true}',
    WRONG_TYPE: '{"include":"conversation_quality_overall"}',
}
_BROKEN_IDS = {check.id for check in BROKEN}
#: How long to listen for an answer that must not come, in seconds.
_MOMENT = 0.5


def _confirms(revision: Revision) -> bool:
    return revision.confirms


@scenario(
    "config",
    "Configure a session in every way, rightly and wrongly",
    (
        EARLY,
        CONFIRMED,
        AGAIN,
        SECTIONS,
        REPLACES,
        UNKNOWN_VALUE,
        *BROKEN,
        STAYS_OPEN,
        GOALS,
        GOALS_NOT_OFFERED,
        MODEL_REFUSED,
    ),
    quick=True,
    applies=_confirms,
    connections=2,
)
async def config(exam: Exam) -> None:
    """Send configs, and look at what is said to be in force after each."""
    async with exam.open("session config") as probe:
        await _begin(exam, probe)
        offered = probe.contract.supported_session_config_options.include
        for sections in (offered, *([section] for section in offered)):
            await probe.config(include=list(sections))
            await _confirmed(exam, probe, SECTIONS, set(sections))
        await probe.config(include=[INCLUDE_OVERALL])
        await _confirmed(exam, probe, REPLACES, {INCLUDE_OVERALL})
        await probe.config()
        await _confirmed(exam, probe, REPLACES, set())
        await probe.config(include=[INCLUDE_OVERALL, "ihproto_conformance"])
        await _confirmed(exam, probe, UNKNOWN_VALUE, {INCLUDE_OVERALL})
        for check, text in BROKEN.items():
            await probe.say(text)
            await _refused(exam, probe, check)
        await probe.config(include=[INCLUDE_OVERALL])
        await _confirmed(exam, probe, STAYS_OPEN, {INCLUDE_OVERALL})
        await _try_options(exam, probe)
    async with exam.open("a config before session.ready") as probe:
        await probe.config(include=[INCLUDE_OVERALL])
        await probe.ready()
        early = await probe.wait_for(SessionUpdated)
        exam.check(EARLY, early is not None, "it was not confirmed by session.updated", probe, early)


async def _begin(exam: Exam, probe: Probe) -> None:
    """Send the first config, and one more, and see that each is answered once.

    Raises:
        Missing: If they are not, so that nothing can be said of others.
    """
    await probe.ready()
    early = await probe.wait_for(SessionUpdated, within=_MOMENT)
    if early is not None:
        exam.failed(CONFIRMED, "session.updated came before a config was sent", probe, early)
        raise Missing("session.updated comes without a config, so nobody can tell what it answers")
    await probe.config(include=[INCLUDE_OVERALL])
    if not await _confirmed(exam, probe, CONFIRMED, {INCLUDE_OVERALL}):
        raise Missing("a config is not confirmed as it was sent, so what is in force cannot be seen")
    twice = await probe.wait_for(SessionUpdated, within=_MOMENT)
    if twice is not None:
        exam.failed(CONFIRMED, "it was confirmed twice", probe, twice)
        raise Missing("a config is confirmed twice, so nobody can tell what an answer is for")
    await probe.config(include=[INCLUDE_OVERALL])
    if not await _confirmed(exam, probe, AGAIN, {INCLUDE_OVERALL}):
        raise Missing("a second config is not confirmed, so no other can be tried")


async def _try_options(exam: Exam, probe: Probe) -> None:
    options = probe.contract.supported_session_config_options
    offered, model = options.goal_dimensions, options.model
    await probe.config(include=[], goal_dimensions=list(offered or ("clarity",)))
    if offered:
        await _confirmed(exam, probe, GOALS, set())
        exam.not_applicable(GOALS_NOT_OFFERED, "the contract offers goal_dimensions")
    else:
        await _refused(exam, probe, GOALS_NOT_OFFERED)
        exam.not_applicable(GOALS, "the contract offers no goal_dimensions")
    if model:
        exam.not_applicable(MODEL_REFUSED, "the contract offers models")
    else:
        await probe.config(model="inter-2")
        await _refused(exam, probe, MODEL_REFUSED)


async def _confirmed(exam: Exam, probe: Probe, check: Check, include: set[str]) -> bool:
    """See that a config is confirmed, with these sections in force; returns whether it was."""
    answer = await _answer(exam, probe, check)
    message = answer.envelope.message
    if isinstance(message, Error):
        return exam.check(check, False, f"it was refused with {message.code}: {message.message[:200]}", probe, answer)
    assert isinstance(message, SessionUpdated)
    in_force = set(message.include)
    if include < in_force <= include | {INCLUDE_OVERALL, INCLUDE_TIMELINE} and probe.messages(SessionUpdated)[:-1]:
        # What is included besides is what was included before.
        exam.failed(REPLACES, f"{_list(in_force)} is included then, instead of {_list(include)}", probe, answer)
        in_force = include
    kept = in_force == include
    return exam.check(check, kept, f"{_list(in_force)} is included then, instead of {_list(include)}", probe, answer)


def _list(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


async def _refused(exam: Exam, probe: Probe, check: Check) -> None:
    answer = await _answer(exam, probe, check)
    message = answer.envelope.message
    if isinstance(message, Error):
        right = message.code == "ih6001" or check not in BROKEN
        exam.check(check, right, f"it was refused with {message.code}", probe, answer)
    else:
        exam.failed(check, "it was confirmed by session.updated", probe, answer)


async def _answer(exam: Exam, probe: Probe, check: Check) -> Heard:
    """The answer to a text.

    Raises:
        Missing: If there is none.
    """
    answer = await probe.wait_answer()
    if answer is not None:
        return answer
    if probe.ended is not None:
        where = STAYS_OPEN if exam.results.keys() & _BROKEN_IDS else check
        exam.failed(where, "the session was closed", probe, probe.ended)
        raise Missing("the session was closed, so nothing more could be tried in it")
    exam.failed(check, "it was answered by neither session.updated nor an error", probe)
    raise Missing("a text was not answered, so nobody can tell what a later answer is for")
