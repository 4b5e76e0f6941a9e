"""A session as it should be: a recording goes up, what is seen comes back, and the session ends gracefully."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ihproto import (
    INCLUDE_OVERALL,
    INCLUDE_TIMELINE,
    ConversationQualityUpdated,
    EngagementUpdated,
    Error,
    SessionClosing,
    SessionEnded,
    SessionUpdated,
    SignalDetected,
    SignalEnded,
    SignalUpdated,
)
from ihproto_conformance.server.exam import Exam, Heard, Missing, Probe, ServerUnderTest, other_reason
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.verdict import Check

ACCEPTED = Check("SEG-6.recording", "The pieces of a recording are accepted in order, wherever they were cut")
QUALITY = Check("CQI-3.comes", "A cadence period that is over is reported, where its sections are included")
KEPT = Check("CFG-5.keeps-config", "A text that was refused leaves the config in force as it was")
NOT_EARLY = Check("CQI-1.not-early", "No cadence period is reported before the media of it was sent")
MEDIA_TIME = Check("SEG-9.media-time", "No reported time lies beyond the media that was sent")
NOTHING = Check("CQI-4.nothing", "Where there is nothing to score, each score is 50")
CLOSING = Check("CLS-1.closing", "session.close is answered by session.closing")
ENDED = Check("CLS-1.ended", "session.ended, with the reason client_shutdown, is the last message")
CLOSED = Check("CLS-1.closed", "The server closes with code 1000 after session.ended")

#: How far behind the end of the media a time may lie, in seconds: how long a piece is can be measured in several ways.
_TOLERANCE = 1.0
#: A cadence period, and the window that has to be analysed to close it, in seconds (CQI-7, WIN-1).
_ENOUGH = 11.0


def media_seconds(target: ServerUnderTest) -> float:
    """How long the recording under test is, about, in seconds."""
    return sum(sample.seconds for sample in target.media)


@scenario(
    "stream",
    "Stream a recording, and end the session gracefully",
    (ACCEPTED, QUALITY, NOT_EARLY, MEDIA_TIME, NOTHING, CLOSING, ENDED, CLOSED),
    quick=True,
    media=media_seconds,
    applies=lambda revision: revision.drains,
)
async def stream(exam: Exam) -> None:
    """Stream, drain, end."""
    async with exam.open("a recording from its beginning to its end") as probe:
        await probe.ready()
        confirmed = await _configure(probe, INCLUDE_OVERALL, INCLUDE_TIMELINE)
        for sample in exam.target.media:
            await probe.segment(sample)
        await probe.session_close()
        await end_gracefully(exam, probe, exam.target.patience)
        accepted = look_for_refusals(exam, probe, ACCEPTED)
        _look_at_times(exam, probe)
        _look_at_quality(exam, probe, confirmed, accepted)


async def _configure(probe: Probe, *include: str) -> bool:
    """Send a config, and return whether it was confirmed (CFG-2)."""
    await probe.config(include=list(include))
    answer = await probe.wait_answer()
    return answer is not None and isinstance(answer.envelope.message, SessionUpdated)


async def end_gracefully(exam: Exam, probe: Probe, patience: float) -> None:
    """Wait for the end that was asked for (CLS-1)."""
    closing = await probe.wait_for(SessionClosing)
    exam.check(CLOSING, closing is not None, "session.closing did not come", probe, closing)
    drain = closing.envelope.message.max_drain_seconds if closing is not None else 0  # type: ignore[union-attr]
    over = await probe.wait_ended(drain + patience)
    last = probe.heard[-1] if probe.heard else None
    message = last.envelope.message if last is not None else None
    if isinstance(message, SessionEnded):
        reason = message.reason
        exam.check(ENDED, reason == "client_shutdown", f"the reason is {reason[:80]!r}", probe, last)
    else:
        name = last.envelope.type if last is not None else "nothing"
        exam.failed(ENDED, f"the last message is {name!r} instead of session.ended", probe, last)
    code = over.code if over is not None else None
    what = "the server did not close" if over is None else f"the session was closed with {code or 'no close frame'}"
    exam.check(CLOSED, code == 1000, what, probe, over)


def look_for_refusals(exam: Exam, probe: Probe, check: Check) -> bool:
    """See that no segment was refused; returns whether that is so, and the server did not end the session itself."""
    for heard in probe.messages(Error):
        message = heard.envelope.message
        if not isinstance(message, Error) or (message.segment is None and message.code == "ih6001"):
            continue
        if message.segment is None or other_reason(message.code):
            exam.unseen(check, f"the server had {message.code} to say: {message.message[:200]}")
        else:
            what = f"segment {message.segment} was refused with {message.code}: {message.message[:200]}"
            exam.failed(check, what, probe, heard)
        return False
    exam.passed(check)
    return True


def _look_at_quality(exam: Exam, probe: Probe, confirmed: bool, accepted: bool) -> None:
    updates = probe.messages(ConversationQualityUpdated)
    _look_for_haste(exam, probe, updates)
    if not confirmed:
        for check in (QUALITY, NOTHING):
            exam.blocked(check, "the config with both sections was not confirmed", probe)
        return
    if not updates and probe.unreadable:
        exam.blocked(QUALITY, f"a message came that cannot be read: {probe.unreadable[-1]}", probe)
    elif not accepted:
        exam.unseen(QUALITY, "a segment was refused, so nobody can tell how much media counts")
    elif probe.media_seconds < _ENOUGH:
        exam.unseen(QUALITY, f"{probe.media_seconds:.1f} s of media are less than a cadence period")
    else:
        what = f"none was reported in {probe.media_seconds:.1f} s of media, although both sections are included"
        exam.check(QUALITY, bool(updates), what, probe)
    if not updates or probe.messages(SignalDetected, EngagementUpdated):
        exam.unseen(NOTHING, "no period without anything to score was reported")
        return
    odd = [(heard, value) for heard in updates for value in _scores(heard.envelope.message) if value != 50]
    at, value = odd[0] if odd else (None, None)
    exam.check(NOTHING, not odd, f"a score is {value} although nothing was seen in the whole session", probe, at)


def _look_for_haste(exam: Exam, probe: Probe, updates: list[Heard]) -> None:
    """See that no period is reported before so much media was sent."""
    for heard in updates:
        message = heard.envelope.message
        ends = [entry.end for entry in getattr(message, "timeline", None) or ()]
        sent = probe.media_before(heard)
        # Times that lie beyond all of the media are another fault (SEG-9).
        if ends and sent + _TOLERANCE < max(ends) <= probe.media_seconds + _TOLERANCE:
            what = f"the period to {max(ends):g} s was reported when {sent:.1f} s of media were sent"
            exam.failed(NOT_EARLY, what, probe, heard)
            return
    if updates:
        exam.passed(NOT_EARLY)
    else:
        exam.unseen(NOT_EARLY, "no conversation quality came")


def _scores(message: Any) -> Iterator[float]:
    sets = [message.overall, *(entry.values for entry in message.timeline or ())]
    for scores in filter(None, sets):
        yield from (scores.clarity, scores.authority, scores.energy, scores.rapport, scores.learning)
        yield scores.quality_index


def _look_at_times(exam: Exam, probe: Probe) -> None:
    latest: tuple[float, Heard] | None = None
    for heard in probe.heard:
        for time in _times(heard.envelope.message):
            if latest is None or time > latest[0]:
                latest = time, heard
    if latest is None:
        exam.unseen(MEDIA_TIME, "no message came that tells a time of the media")
        return
    time, at = latest
    limit = probe.media_seconds
    what = f"a message tells {time:g} s, and only {limit:.1f} s of media were sent"
    exam.check(MEDIA_TIME, time <= limit + _TOLERANCE, what, probe, at)


def _times(message: Any) -> Iterator[float]:
    if isinstance(message, SignalDetected | SignalUpdated | EngagementUpdated):
        yield message.start
    elif isinstance(message, SignalEnded):
        yield message.end
    elif isinstance(message, ConversationQualityUpdated):
        yield from (entry.end for entry in message.timeline or ())


TWICE = Check("SEG-6.new-header", "A recording can be followed by another one with a header of its own")
LATER = Check("CFG-1.later", "A config is confirmed in the midst of media, too")


@scenario(
    "kept-config",
    "Stream a recording, say something wrong, stream it again, and change the config in the midst of it",
    (KEPT, LATER, TWICE),
    media=lambda target: 2 * media_seconds(target),
    applies=lambda revision: revision.drains,
)
async def kept_config(exam: Exam) -> None:
    """See that a text that was refused changes nothing, and that sections can be changed at any time."""
    half = (len(exam.target.media) + 1) // 2
    async with exam.open("a text that is refused, between two recordings") as probe:
        await probe.ready()
        if not await _configure(probe, INCLUDE_OVERALL):
            raise Missing("the config was not confirmed")
        for sample in exam.target.media:
            await probe.segment(sample)
        first = await probe.wait_for(ConversationQualityUpdated)
        before = probe.media_seconds
        await probe.say('{"ihproto_conformance":true}')
        await probe.wait_error()
        for sample in exam.target.media[:half]:
            await probe.segment(sample)
        later = await probe.wait_for(ConversationQualityUpdated)
        if first is None:
            exam.unseen(KEPT, "no conversation quality came before the text that was refused")
        else:
            _look_at_kept(exam, probe, later, before)
        confirmed = await _configure(probe, INCLUDE_OVERALL)
        if not confirmed and (probe.ended is not None or _media_errors(probe)):
            exam.unseen(LATER, "the session was over, or the server had trouble, before")
        else:
            exam.check(LATER, confirmed, "a config in the midst of media was not confirmed", probe)
        await _configure(probe, INCLUDE_TIMELINE)
        for sample in exam.target.media[half:]:
            await probe.segment(sample)
        await probe.session_close()
        await probe.wait_for(SessionClosing)
        await probe.wait_ended()
        look_for_refusals(exam, probe, TWICE)


def _look_at_kept(exam: Exam, probe: Probe, later: Heard | None, before: float) -> None:
    due = any(before < 10 * period and 10 * period + 3 <= probe.media_seconds for period in range(1, 1000))
    if _media_errors(probe):
        exam.unseen(KEPT, "the server had an error to say about the media")
    elif later is None and not due:
        exam.unseen(KEPT, "no cadence period was over after the text that was refused")
    else:
        exam.check(KEPT, later is not None, "conversation quality came no more after a text that was refused", probe)


def _media_errors(probe: Probe) -> list[Error]:
    """The errors that are not about a text of the client."""
    errors = [heard.envelope.message for heard in probe.messages(Error)]
    return [each for each in errors if isinstance(each, Error) and (each.segment is not None or each.code != "ih6001")]
