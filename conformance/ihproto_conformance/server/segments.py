"""Segments that a server has to refuse, and how it goes on after each."""

from __future__ import annotations

from ihproto import Emission, Error, Revision, SessionUpdated
from ihproto_conformance import samples
from ihproto_conformance.samples import Sample
from ihproto_conformance.server.exam import Exam, Heard, Probe, ServerUnderTest, other_reason, own_reason
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.verdict import Check

NO_CONTAINER = Check("SEG-5.no-container", "A segment that is no container is refused with ih4002")
MID_RECORDING = Check("SEG-6.mid-recording", "A session that begins in mid-recording is refused with ih5004")
TOO_SHORT = Check("SEG-4.too-short", "A complete file of less than 3 seconds is refused with ih4007")
NO_VIDEO = Check("SEG-7.no-video", "Media without a video track is refused with ih5001")
NO_AUDIO = Check("SEG-7.no-audio", "Media without an audio track is refused with ih5008, where the model hears")
EMPTY = Check("SEG-10.empty", "A message of 0 bytes is refused with ih5004")
TOO_LARGE = Check("SEG-2.too-large", "A segment above the limit is refused with ih6002")
GOES_ON = Check("SEG-2.goes-on", "After a segment that was refused for its size the session goes on")
COUNTED = Check("SEG-1.counted", "A refusal names the number of the segment, refused ones counted")
AFTERWARDS = Check("SEG-6.complete-file", "A complete file is accepted as a segment, also after others were refused")

#: More than this nobody wants to send for one check, in bytes.
_LARGEST = 64 * 1024 * 1024


def _refuses(revision: Revision) -> bool:
    return revision.emission is not Emission.SEGMENTS


@scenario(
    "refused-segments",
    "Send segments that are to be refused, and one that is not",
    (NO_CONTAINER, MID_RECORDING, TOO_SHORT, NO_VIDEO, NO_AUDIO, EMPTY, COUNTED, AFTERWARDS),
    applies=_refuses,
    media=lambda target: 14.0,
)
async def refused_segments(exam: Exam) -> None:
    """Send what is wrong with a segment, one after the other, in one session."""
    hears = "audio" in exam.target.revision.models[0].tracks
    async with exam.open("segments that are to be refused") as probe:
        await probe.ready()
        pieces = exam.target.media
        if len(pieces) > 1:
            await _refused(exam, probe, MID_RECORDING, pieces[1], "ih5004")
        else:
            exam.not_asked(MID_RECORDING, "it takes a recording in several pieces: --media with more files")
        await _refused(exam, probe, NO_CONTAINER, samples.no_container(), "ih4002")
        await _refused(exam, probe, TOO_SHORT, samples.short(), "ih4007")
        await _refused(exam, probe, NO_VIDEO, samples.sound(), "ih5001")
        if hears:
            await _refused(exam, probe, NO_AUDIO, samples.silent(), "ih5008")
        else:
            exam.not_applicable(NO_AUDIO, "the model looks at pictures alone")
        await _refused(exam, probe, EMPTY, Sample("a message of 0 bytes", b"", 0.0), "ih5004")
        await _accepted(exam, probe, AFTERWARDS)
        if COUNTED.id not in exam.results:
            exam.unseen(COUNTED, "no segment was refused")


async def _refused(exam: Exam, probe: Probe, check: Check, sample: Sample, code: str) -> bool:
    """Send a segment, and see that it is refused; returns whether it was."""
    number = await probe.segment(sample)
    answer = await probe.wait(lambda envelope: _is_error(envelope.message))
    if answer is None:
        exam.failed(check, f"segment {number}, {sample.name}, was not refused", probe)
        return False
    message = answer.envelope.message
    assert isinstance(message, Error)
    what = f"segment {number}, {sample.name}, was refused with {message.code} instead of {code}"
    if own_reason(message.code):
        exam.unseen(check, f"the server had {message.code} to say: {message.message[:200]}")
    else:
        exam.check(check, message.code == code, what, probe, answer)
    if message.segment is not None:
        counted = f"the error names segment {message.segment}, and it was number {number}"
        exam.check(COUNTED, message.segment == number, counted, probe, answer)
    return True


async def _accepted(exam: Exam, probe: Probe, check: Check) -> Heard | None:
    """Send a complete file, and see that no error comes before the next config is confirmed."""
    number = await probe.segment(samples.clip())
    await probe.config(include=[])
    answer = await probe.wait(
        lambda envelope: _is_error(envelope.message) or isinstance(envelope.message, SessionUpdated),
        None if exam.target.revision.confirms else exam.target.patience / 4,
    )
    message = answer.envelope.message if answer is not None else None
    if isinstance(message, Error) and (other_reason(message.code) or message.code == "ih6001"):
        exam.unseen(check, f"the server had {message.code} to say: {message.message[:200]}")
    elif isinstance(message, Error) and check is GOES_ON:
        # That it is accepted is the business of another check.
        exam.passed(check)
    elif isinstance(message, Error):
        what = f"segment {number}, a complete file, was refused with {message.code}: {message.message[:200]}"
        exam.failed(check, what, probe, answer)
    elif probe.ended is not None:
        exam.failed(check, "the session was over before it could be sent", probe, probe.ended)
    else:
        exam.passed(check)
    return answer


def _is_error(message: object) -> bool:
    return isinstance(message, Error)


def _limit(target: ServerUnderTest) -> int:
    # What the contract says shows only in the session; this is for the plan.
    return target.revision.contract.max_segment_size_bytes + 1


@scenario(
    "large-segment",
    "Send a segment above the limit, and another one after it",
    (TOO_LARGE, GOES_ON),
    applies=_refuses,
    media=lambda target: 4.0,
    size=_limit,
)
async def large_segment(exam: Exam) -> None:
    """Send one byte too much."""
    async with exam.open("a segment above the limit") as probe:
        contract = await probe.ready()
        limit = contract.max_segment_size_bytes
        if limit > _LARGEST:
            for check in (TOO_LARGE, GOES_ON):
                exam.not_asked(check, f"the limit of {limit:,} bytes is too much to be sent")
            return
        if await _refused(exam, probe, TOO_LARGE, samples.oversize(limit), "ih6002"):
            await _accepted(exam, probe, GOES_ON)
        else:
            exam.unseen(GOES_ON, "no segment was refused for its size")
