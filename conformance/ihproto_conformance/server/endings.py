"""How sessions end: media after the end was asked for, close frames, and the timeouts of the contract."""

from __future__ import annotations

import math

import anyio

from ihproto import Error, SessionClosing, SessionEnded, SessionReady
from ihproto_conformance import samples
from ihproto_conformance.server.exam import Exam, Heard, Missing, Probe
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
        error = await probe.wait(
            lambda envelope: isinstance(envelope.message, Error) and envelope.message.segment is not None
        )
        closing = probe.messages(SessionClosing)
        over = probe.ended.time if probe.ended is not None else math.inf
        for ended in probe.messages(SessionEnded):
            over = min(over, ended.time)
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

#: The terms of the contract that are about time.
_IDLE, _DURATION = "session_idle_timeout_seconds", "session_max_duration_seconds"
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
        if not _asked(exam, wait, (IDLE, IDLE_EARLY), contract, _IDLE):
            return
        await anyio.sleep(limit / 2)
        spoke = anyio.current_time()
        await probe.config(include=[])
        error = await _timeout(exam, probe, limit, spoke)
        await _judge(exam, probe, error, limit, spoke, "ih6003", IDLE, IDLE_EARLY)


@scenario(
    "duration",
    "Keep a session busy until its maximum duration has passed",
    (DURATION, DURATION_EARLY, IDLE_EARLY),
    applies=lambda revision: revision.announces,
)
async def duration(exam: Exam) -> None:
    """Wait for TMO-2."""
    began = anyio.current_time()
    async with exam.open("a session that lasts") as probe:
        contract = await probe.ready()
        limit = contract.session_max_duration_seconds
        if not _asked(exam, limit, (DURATION, DURATION_EARLY, IDLE_EARLY), contract, _DURATION, _IDLE):
            return
        failure: Missing | None = None
        async with anyio.create_task_group() as tasks:

            async def talk() -> None:
                while probe.ended is None:
                    await probe.config(include=[])
                    await anyio.sleep(contract.session_idle_timeout_seconds / 2)

            tasks.start_soon(talk)
            try:
                await _lasts(exam, probe, limit, began)
            except Missing as error:
                # Raised below, so that it does not come out wrapped in a group.
                failure = error
            tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure


async def _lasts(exam: Exam, probe: Probe, limit: float, began: float) -> None:
    """Wait for TMO-2, while the client is not silent (TMO-1)."""
    error = await _timeout(exam, probe, limit, began)
    after = anyio.current_time() - began
    message = error.envelope.message if error is not None else None
    if isinstance(message, Error) and message.code == "ih6003" and after < limit - _SLACK:
        what = f"the idle timeout ended the session after {after:.1f} s, although it was not idle"
        exam.failed(IDLE_EARLY, what, probe, error)
        for check in (DURATION, DURATION_EARLY):
            exam.blocked(check, what, probe)
        return
    exam.passed(IDLE_EARLY)
    await _judge(exam, probe, error, limit, began, "ih6004", DURATION, DURATION_EARLY)


def _asked(exam: Exam, seconds: float, checks: tuple[Check, ...], contract: SessionReady, *names: str) -> bool:
    """Whether to wait for a timeout, which the first of these terms is about; the others matter, too."""
    senseless = next((name for name in names if getattr(contract, name) <= 0), None)
    if senseless is None and seconds <= exam.target.longest_wait:
        return True
    for check in checks:
        if senseless is not None:
            # Whether a contract may say so is judged elsewhere (RDY-2).
            exam.unseen(check, f"{senseless} is {getattr(contract, senseless):g}")
        else:
            exam.not_asked(check, f"it takes {seconds:g} s ({names[0]}): --longest-wait {seconds:.0f}")
    return False


async def _timeout(exam: Exam, probe: Probe, limit: float, since: float) -> Heard | None:
    """Wait for an error that is not about a text of the client."""
    return await probe.wait(
        lambda envelope: isinstance(envelope.message, Error) and envelope.message.code != "ih6001",
        since + limit + exam.target.patience - anyio.current_time(),
    )


async def _judge(
    exam: Exam,
    probe: Probe,
    error: Heard | None,
    limit: float,
    since: float,
    code: str,
    check: Check,
    not_early: Check,
) -> None:
    """See that a timeout came in time, and said so."""
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
