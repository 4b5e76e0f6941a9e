"""A revision that reports window by window, and confirms nothing."""

from __future__ import annotations

from ihproto import (
    INCLUDE_OVERALL,
    INCLUDE_TIMELINE,
    ConversationQualityUpdated,
    Emission,
    Error,
    Revision,
    WindowEngagement,
    WindowSignal,
    WindowSignals,
)
from ihproto_conformance.server.configs import BROKEN, STAYS_OPEN, UNKNOWN_VALUE
from ihproto_conformance.server.exam import Exam, Probe
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.server.streaming import ACCEPTED, look_for_refusals, media_seconds
from ihproto_conformance.verdict import Check

REPORTED = Check("WIN-3.reported", "A window that is over is reported with its engagement")
SHAPE = Check("WIN-1.windows", "Windows are 8 seconds long, and each begins 3 seconds after the one before")
INCLUDED = Check("CFG-3.included", "Where both sections are included, conversation quality comes with both")

#: A window, and a cadence period with the window that closes it, in seconds (WIN-1, CQI-7).
_WINDOW, _ADVANCE, _ENOUGH = 8.0, 3.0, 11.0
_SLACK = 0.05


def _by_windows(revision: Revision) -> bool:
    return revision.emission is Emission.WINDOWS


@scenario(
    "windows",
    "Stream a recording, and see what is said of its windows",
    (ACCEPTED, REPORTED, SHAPE, INCLUDED),
    quick=True,
    applies=_by_windows,
    media=media_seconds,
)
async def windows(exam: Exam) -> None:
    """Stream with both sections included."""
    async with exam.open("a recording from its beginning to its end") as probe:
        await probe.config(include=[INCLUDE_OVERALL, INCLUDE_TIMELINE])
        for sample in exam.target.media:
            await probe.segment(sample)
        length = probe.media_seconds
        count = int((length - _WINDOW) // _ADVANCE) + 1 if length >= _WINDOW else 0
        for _ in range(count):
            if await probe.wait_for(WindowEngagement) is None:
                break
        look_for_refusals(exam, probe, ACCEPTED)
        _look_at_windows(exam, probe, count)
        if length < _ENOUGH:
            exam.unseen(INCLUDED, f"{length:.1f} s of media are less than a cadence period")
        else:
            scores = probe.messages(ConversationQualityUpdated)
            whole = [heard for heard in scores if _has_both(heard.envelope.message)]
            what = "none came" if not scores else "a section is missing"
            exam.check(INCLUDED, bool(whole), what, probe, scores[0] if scores else None)


def _has_both(message: object) -> bool:
    return (
        isinstance(message, ConversationQualityUpdated) and message.overall is not None and message.timeline is not None
    )


def _look_at_windows(exam: Exam, probe: Probe, count: int) -> None:
    if not count:
        for check in (REPORTED, SHAPE):
            exam.unseen(check, f"{probe.media_seconds:.1f} s of media are less than a window")
        return
    heard = probe.messages(WindowEngagement)
    if heard or probe.messages(WindowSignals, WindowSignal):
        exam.check(REPORTED, bool(heard), f"the engagement of none of {count} windows was told", probe)
    else:
        exam.unseen(REPORTED, f"nothing was seen in {count} windows")
    if not heard:
        exam.unseen(SHAPE, "no window was reported")
    for one in heard:
        message = one.envelope.message
        assert isinstance(message, WindowEngagement)
        length, place = message.end - message.start, message.start % _ADVANCE
        fits = abs(length - _WINDOW) <= _SLACK and min(place, _ADVANCE - place) <= _SLACK
        what = f"a window reaches from {message.start:g} s to {message.end:g} s"
        exam.check(SHAPE, fits, what, probe, one)


@scenario(
    "unconfirmed-config",
    "Configure a session that confirms nothing, rightly and wrongly",
    (UNKNOWN_VALUE, *BROKEN, STAYS_OPEN),
    quick=True,
    applies=lambda revision: bool(revision.config_keys) and not revision.confirms,
)
async def unconfirmed_config(exam: Exam) -> None:
    """Send texts that are to be refused, and one that is not."""
    async with exam.open("session config") as probe:
        # Nothing answers it, so that the first error is for the text after it.
        await probe.config(include=[INCLUDE_TIMELINE, "ihproto_conformance"])
        for number, (check, text) in enumerate(BROKEN.items(), 1):
            await probe.say(text)
            answer = await probe.wait_error()
            message = answer.envelope.message if answer is not None else None
            code = message.code if isinstance(message, Error) else "nothing"
            exam.check(check, code == "ih6001", f"it was answered by {code} instead of ih6001", probe, answer)
            if number == len(BROKEN):
                surplus = len(probe.messages(Error)) > number
                exam.check(UNKNOWN_VALUE, not surplus, "a config with an unknown value was refused", probe)
        exam.check(STAYS_OPEN, probe.ended is None, "the session was closed", probe, probe.ended)
