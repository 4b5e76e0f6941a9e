"""A revision that reports window by window, and confirms nothing."""

from __future__ import annotations

from collections.abc import Iterator

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
from ihproto_conformance import samples
from ihproto_conformance.server.configs import BROKEN, REPLACES, STAYS_OPEN, UNKNOWN_MEMBER, UNKNOWN_VALUE
from ihproto_conformance.server.exam import Exam, Heard, Probe
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.server.streaming import ACCEPTED, KEPT, MEDIA_TIME, look_for_refusals, media_seconds
from ihproto_conformance.verdict import Check

REPORTED = Check("WIN-3.reported", "A window that is over is reported with its engagement")
SHAPE = Check("WIN-1.windows", "Windows are 8 seconds long, and each begins 3 seconds after the one before")
INCLUDED = Check("CFG-3.included", "Where both sections are included, conversation quality comes with both")

#: A window, and a cadence period with the window that closes it, in seconds (WIN-1, CQI-7).
_WINDOW, _ADVANCE, _ENOUGH = 8.0, 3.0, 11.0
_SLACK = 0.05
#: How far behind the end of the media a time may lie, in seconds: how long a piece is can be measured in several ways.
_TOLERANCE = 1.0


def _by_windows(revision: Revision) -> bool:
    return revision.emission is Emission.WINDOWS


@scenario(
    "windows",
    "Stream a recording, and see what is said of its windows",
    (ACCEPTED, REPORTED, SHAPE, INCLUDED, MEDIA_TIME),
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
        _look_at_times(exam, probe)
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


def _look_at_times(exam: Exam, probe: Probe) -> None:
    # Levels of engagement tell how long windows are, which is looked at already.
    told = [
        (end, heard)
        for heard in probe.messages(ConversationQualityUpdated, WindowSignals, WindowSignal)
        for end in _ends(heard)
    ]
    if not told:
        exam.unseen(MEDIA_TIME, "no signal and no timeline came")
        return
    time, at = max(told, key=lambda one: one[0])
    what = f"a message tells {time:g} s, and only {probe.media_seconds:.1f} s of media were sent"
    exam.check(MEDIA_TIME, time <= probe.media_seconds + _TOLERANCE, what, probe, at)


def _ends(heard: Heard) -> Iterator[float]:
    """Where the stretches end that a message is about, in seconds of media."""
    match heard.envelope.message:
        case WindowEngagement(end=end) | WindowSignal(end=end):
            yield end
        case WindowSignals(signals=signals):
            yield from (signal.end for signal in signals)
        case ConversationQualityUpdated(timeline=timeline):
            yield from (entry.end for entry in timeline or ())


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


#: The complete files behind the recording: one to see that scores come, and two to see that none come.
_CLIPS = 4


@scenario(
    "window-config",
    "Change the config between segments, and see which windows are scored",
    (KEPT, UNKNOWN_VALUE, REPLACES),
    applies=lambda revision: _by_windows(revision) and not revision.confirms,
    media=lambda target: media_seconds(target) + _CLIPS * samples.clip().seconds,
)
async def window_config(exam: Exam) -> None:
    """See by the scores which config is in force, where nothing says so."""
    async with exam.open("configs between segments") as probe:
        await probe.config(include=[INCLUDE_TIMELINE])
        for sample in exam.target.media:
            await probe.segment(sample)
        if probe.media_seconds >= _WINDOW and await _scored(probe, 0.0) is None:
            for check in (KEPT, UNKNOWN_VALUE, REPLACES):
                exam.unseen(check, "no window is scored, whatever is included")
            return
        await probe.say(BROKEN[UNKNOWN_MEMBER])
        await probe.wait_error()
        await _still_scored(exam, probe, KEPT)
        await probe.config(include=[INCLUDE_TIMELINE, "ihproto_conformance"])
        await _still_scored(exam, probe, UNKNOWN_VALUE)
        await probe.config()
        await _scored_no_more(exam, probe)


async def _still_scored(exam: Exam, probe: Probe, check: Check) -> None:
    """See that what is complete with the next segment is scored."""
    behind = probe.media_seconds
    await probe.segment(samples.clip())
    scored = await _scored(probe, behind)
    if scored is None and not _reports(probe, behind):
        exam.unseen(check, f"nothing was said of the windows that end after {behind:.1f} s")
    else:
        what = f"no timeline came for the windows that end after {behind:.1f} s, and it is included"
        exam.check(check, scored is not None, what, probe)


async def _scored_no_more(exam: Exam, probe: Probe) -> None:
    """See that what is complete with the next segments is not scored."""
    behind = probe.media_seconds
    for _ in range(2):
        await probe.segment(samples.clip())
    last = (probe.media_seconds - _WINDOW) // _ADVANCE * _ADVANCE + _WINDOW
    # What is said of the last window comes after the scores of those before it.
    while not _reports(probe, last - _ADVANCE / 2):
        if await probe.wait_for(WindowEngagement, WindowSignals, WindowSignal) is None:
            break
    scores = [heard for heard in probe.messages(ConversationQualityUpdated) if _after(heard, behind)]
    if not scores and not _reports(probe, behind):
        exam.unseen(REPLACES, f"nothing was said of the windows that end after {behind:.1f} s")
    else:
        what = "a window was scored after a config without include"
        exam.check(REPLACES, not scores, what, probe, scores[0] if scores else None)


async def _scored(probe: Probe, behind: float) -> Heard | None:
    """Wait for the scores of a window that ends behind a time."""
    return await probe.wait(
        lambda envelope: (
            isinstance(envelope.message, ConversationQualityUpdated)
            and any(entry.end > behind + _SLACK for entry in envelope.message.timeline or ())
        )
    )


def _reports(probe: Probe, behind: float) -> list[Heard]:
    """What was said, scores aside, of windows that end behind a time."""
    return [heard for heard in probe.messages(WindowEngagement, WindowSignals, WindowSignal) if _after(heard, behind)]


def _after(heard: Heard, behind: float) -> bool:
    return any(end > behind + _SLACK for end in _ends(heard))
