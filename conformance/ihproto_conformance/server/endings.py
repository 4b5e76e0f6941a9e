"""How sessions end: media after the end was asked for, close frames, and the timeouts of the contract."""

from __future__ import annotations

import math

import anyio

from ihproto import Error, SessionClosing
from ihproto_conformance import samples
from ihproto_conformance.server.exam import Exam, Probe
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.server.streaming import CLOSED, CLOSING, ENDED, end_gracefully
from ihproto_conformance.verdict import Check

LATE_MEDIA = Check("CLS-2.late-media", "Media after session.close is rejected")

#: A drain that lasts longer than this is one in which a segment can arrive, in seconds.
_NOTICEABLE = 0.5


@scenario(
    "late-media",
    "Send a segment after session.close",
    (LATE_MEDIA,),
    applies=lambda revision: revision.drains,
    media=lambda target: 8.0,
)
async def late_media(exam: Exam) -> None:
    """Send media when the end has been asked for."""
    async with exam.open("media after session.close") as probe:
        await probe.ready()
        await probe.segment(samples.clip())
        await probe.session_close()
        number = await probe.segment(samples.clip())
        error = await probe.wait_error(number)
        closing = probe.messages(SessionClosing)
        over = probe.ended.time if probe.ended is not None else math.inf
        if error is not None:
            exam.passed(LATE_MEDIA)
        elif not closing:
            exam.unseen(LATE_MEDIA, "session.close was not answered")
        elif over - closing[0].time < _NOTICEABLE:
            exam.unseen(LATE_MEDIA, "the session was over before the segment can have arrived")
        else:
            what = f"segment {number} came after session.close and was not rejected while the drain lasted"
            exam.failed(LATE_MEDIA, what, probe, closing[0])


@scenario(
    "empty-session",
    "End a session in which nothing was sent",
    (CLOSING, ENDED, CLOSED),
    quick=True,
    applies=lambda revision: revision.drains,
)
async def empty_session(exam: Exam) -> None:
    """Ask for the end at once."""
    async with exam.open("an end without a segment") as probe:
        await probe.ready()
        await probe.session_close()
        await end_gracefully(exam, probe, exam.target.patience)


IDLE = Check("TMO-1.idle", "A session in which the client says nothing ends with ih6003 and a close")
IDLE_EARLY = Check("TMO-1.not-early", "A message starts the idle timeout afresh, and it does not come early")
DURATION = Check("TMO-2.duration", "A session that lasts too long ends with ih6004 and a close")
DURATION_EARLY = Check("TMO-2.not-early", "It does not end before session_max_duration_seconds")

#: How much a timeout may come early or late, in seconds.
_SLACK = 2.0


@scenario(
    "idle",
    "Say nothing until the idle timeout has passed",
    (IDLE, IDLE_EARLY),
    applies=lambda revision: revision.announces,
)
async def idle(exam: Exam) -> None:
    """Wait for TMO-1."""
    async with exam.open("silence") as probe:
        contract = await probe.ready()
        limit = contract.session_idle_timeout_seconds
        # A message in between must start the count afresh.
        wait = limit * 1.5
        if not _asked(exam, wait, (IDLE, IDLE_EARLY), "session_idle_timeout_seconds"):
            return
        await anyio.sleep(limit / 2)
        spoke = anyio.current_time()
        await probe.config(include=[])
        await _expires(exam, probe, limit, spoke, "ih6003", IDLE, IDLE_EARLY)


@scenario(
    "duration",
    "Keep a session busy until its maximum duration has passed",
    (DURATION, DURATION_EARLY),
    applies=lambda revision: revision.announces,
)
async def duration(exam: Exam) -> None:
    """Wait for TMO-2."""
    began = anyio.current_time()
    async with exam.open("a session that lasts") as probe:
        contract = await probe.ready()
        limit = contract.session_max_duration_seconds
        if not _asked(exam, limit, (DURATION, DURATION_EARLY), "session_max_duration_seconds"):
            return
        async with anyio.create_task_group() as tasks:

            async def talk() -> None:
                while probe.ended is None:
                    await probe.config(include=[])
                    await anyio.sleep(contract.session_idle_timeout_seconds / 2)

            tasks.start_soon(talk)
            await _expires(exam, probe, limit, began, "ih6004", DURATION, DURATION_EARLY)
            tasks.cancel_scope.cancel()


def _asked(exam: Exam, seconds: float, checks: tuple[Check, ...], name: str) -> bool:
    if seconds <= exam.target.longest_wait:
        return True
    for check in checks:
        exam.not_asked(check, f"it takes {seconds:g} s ({name}): --longest-wait {seconds:.0f}")
    return False


async def _expires(
    exam: Exam, probe: Probe, limit: float, since: float, code: str, check: Check, not_early: Check
) -> None:
    """Wait for a timeout, and see that it comes in time, and says so."""
    error = await probe.wait_error(within=since + limit + exam.target.patience - anyio.current_time())
    after = anyio.current_time() - since
    if error is None:
        if probe.ended is not None:
            exam.failed(check, f"the session was closed after {after:.0f} s without an error", probe, probe.ended)
        else:
            exam.failed(check, f"nothing happened after {limit:g} s", probe)
        exam.unseen(not_early, "it did not end with an error")
        return
    early = f"it ended after {after:.1f} s instead of {limit:g} s"
    exam.check(not_early, after >= limit - _SLACK, early, probe, error)
    message = error.envelope.message
    assert isinstance(message, Error)
    ended = await probe.wait_ended()
    what = f"the error is {message.code}" if message.code != code else "no close followed"
    exam.check(check, message.code == code and ended is not None, what, probe, error)
