"""Revisions that speak of one segment at a time: what is said of each, which are refused, and what the query asks for.

What is said in the wrong order, or wrongly, the monitor sees. Here is what must be said at all, and which stretch of
the media it may be about.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import attrs

from ihproto import (
    INCLUDE_OVERALL,
    INCLUDE_TIMELINE,
    Emission,
    EngagementSpan,
    Revision,
    SegmentCompleted,
    SegmentFailed,
    SegmentFailedText,
    SegmentResult,
    SegmentSignals,
    SignalSpan,
)
from ihproto.revisions import INCLUDE_PARAMETER
from ihproto_conformance import samples
from ihproto_conformance.samples import Sample
from ihproto_conformance.server.exam import Exam, Heard, NotAccepted, Probe, other_reason, own_reason
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.server.segments import (
    AFTERWARDS,
    COUNTED,
    EMPTY,
    GOES_ON,
    MID_RECORDING,
    NO_CONTAINER,
    NO_VIDEO,
    TOO_LARGE,
    TOO_SHORT,
)
from ihproto_conformance.server.streaming import ACCEPTED, media_seconds
from ihproto_conformance.verdict import Check, Evidence

ANSWERED = Check("STS-1.answered", "Of each segment it is said that it is completed, or what is wrong with it")
TIMES = Check("STS-2.times", "Times of signals lie within their segment, counted from where the revision counts")
OWN_SEGMENT = Check("STS-3.own-segment", "Levels of engagement lie within the segment whose result tells them")

#: How far outside of its segment a time may lie, in seconds: how long a piece is can be measured in several ways.
_TOLERANCE = 1.0


def _by_segments(revision: Revision) -> bool:
    return revision.emission is Emission.SEGMENTS


@attrs.frozen
class _Stretch:
    """A stretch of the session's media, in seconds."""

    start: float
    end: float


@scenario(
    "status",
    "Stream a recording, and see what is said of each of its pieces",
    (ANSWERED, ACCEPTED, TIMES, OWN_SEGMENT),
    quick=True,
    applies=_by_segments,
    media=media_seconds,
)
async def status(exam: Exam) -> None:
    """Send pieces, and wait until each was completed or refused."""
    async with exam.open("a recording from its beginning to its end") as probe:
        lengths: dict[int, float] = {}
        for sample in exam.target.media:
            before = probe.media_seconds
            number = await probe.segment(sample)
            lengths[number] = probe.media_seconds - before
        left = await _settled(exam, probe, set(lengths))
        named = ", ".join(str(number) for number in sorted(left))
        exam.check(ANSWERED, not left, f"nothing was said of the end of segment {named}", probe)
        _look_for_refusals(exam, probe)
        stretches = _laid_out(exam, probe, lengths)
        relative = exam.target.revision.relative_times
        signals = [*_spans(probe, stretches, relative=relative, engagement=False)]
        _look_at_spans(exam, probe, TIMES, "signal", signals)
        if exam.target.revision.id in OWN_SEGMENT.clause.revisions:
            levels = [*_spans(probe, stretches, relative=relative, engagement=True)]
            _look_at_spans(exam, probe, OWN_SEGMENT, "level of engagement", levels)


def _laid_out(exam: Exam, probe: Probe, lengths: dict[int, float]) -> dict[int, _Stretch]:
    """The stretch of each segment: those that were refused take up no time (SEG-9)."""
    refused = {_segment(heard) for heard in probe.messages(exam.target.revision.error_message)}
    stretches: dict[int, _Stretch] = {}
    start = 0.0
    for number, length in lengths.items():
        end = start if number in refused else start + length
        stretches[number] = _Stretch(start, end)
        start = end
    return stretches


def _segment(heard: Heard) -> int | None:
    """The segment that a message is about."""
    segment: int | None = getattr(heard.envelope.message, "segment", None)
    return segment


async def _settled(exam: Exam, probe: Probe, numbers: set[int]) -> set[int]:
    """Wait until something final was said of each of these segments; returns those of which nothing was."""
    final = (SegmentCompleted, exam.target.revision.error_message)
    left = set(numbers)
    while left:
        heard = await probe.wait_for(*final)
        if heard is None:
            break
        left.discard(heard.envelope.message.segment)  # type: ignore[union-attr]
    return left


def _look_for_refusals(exam: Exam, probe: Probe) -> None:
    refused = probe.messages(exam.target.revision.error_message)
    # Where an error has no id, a piece that was accepted shows that it is not how they were cut.
    others = any(_segment(heard) != 1 for heard in probe.messages(SegmentCompleted))
    if refused:
        what = f"a piece of the recording was refused: {_words(refused[0])}"
        if _other_reason(refused[0]) or (others and isinstance(refused[0].envelope.message, SegmentFailedText)):
            exam.unseen(ACCEPTED, what)
        else:
            exam.failed(ACCEPTED, what, probe, refused[0])
    else:
        exam.passed(ACCEPTED)


@attrs.frozen
class _Told:
    """A stretch that a result tells, and the one that it has to lie in."""

    start: float
    end: float
    within: _Stretch
    at: Heard


def _spans(probe: Probe, stretches: dict[int, _Stretch], *, relative: bool, engagement: bool) -> Iterator[_Told]:
    for heard in probe.messages(SegmentSignals, SegmentResult):
        message = heard.envelope.message
        assert isinstance(message, SegmentSignals | SegmentResult)
        stretch = stretches.get(message.segment)
        if stretch is None or stretch.end <= stretch.start:
            # No segment that was sent, which the monitor tells, or one of unknown length.
            continue
        if relative:
            stretch = _Stretch(0.0, stretch.end - stretch.start)
        spans: tuple[SignalSpan | EngagementSpan, ...] = message.signals
        if engagement:
            spans = (message.engagement_state or ()) if isinstance(message, SegmentResult) else ()
        for span in spans:
            yield _Told(span.start, span.end, stretch, heard)


def _look_at_spans(exam: Exam, probe: Probe, check: Check, name: str, told: list[_Told]) -> None:
    if not told:
        exam.unseen(check, f"no {name} was told")
        return
    for span in told:
        within = span.within
        if span.start < within.start - _TOLERANCE or span.end > within.end + _TOLERANCE:
            what = (
                f"a {name} reaches from {span.start:g} s to {span.end:g} s, "
                f"and its segment from {within.start:.1f} s to {within.end:.1f} s"
            )
            exam.failed(check, what, probe, span.at)
            return
    exam.passed(check)


# -- segments that are to be refused --------------------------------------------------------------------


@scenario(
    "status-refusals",
    "Send segments that are to be refused with an error id, and one that is not",
    (NO_CONTAINER, MID_RECORDING, TOO_SHORT, NO_VIDEO, EMPTY, COUNTED, AFTERWARDS),
    applies=lambda revision: SegmentFailed in revision.messages,
    media=lambda target: 12.0,
)
async def status_refusals(exam: Exam) -> None:
    """Send what is wrong with a segment, one after the other, in one session."""
    async with exam.open("segments that are to be refused") as probe:
        await _mid_recording(exam, probe, MID_RECORDING, "ih5004")
        await _refused(exam, probe, NO_CONTAINER, samples.no_container(), "ih4002")
        await _refused(exam, probe, TOO_SHORT, samples.short(), "ih4007")
        await _refused(exam, probe, NO_VIDEO, samples.sound(), "ih5001")
        await _refused(exam, probe, EMPTY, _EMPTY, "ih5004")
        await _accepted(exam, probe, AFTERWARDS)
        _counted(exam)


TEXT_NO_CONTAINER = Check("SEG-5.no-container-refused", "A segment that is no container is refused")
TEXT_MID_RECORDING = Check("SEG-6.mid-recording-refused", "A session that begins in mid-recording is refused")
TEXT_NO_VIDEO = Check("SEG-7.no-video-refused", "Media without a video track is refused")
TEXT_EMPTY = Check("SEG-10.empty-refused", "A message of 0 bytes is refused")
TOO_SMALL = Check("SEG-3.too-small", "A segment of less than 10 KB is refused")

_EMPTY = Sample("a message of 0 bytes", b"", 0.0)


@scenario(
    "text-refusals",
    "Send segments that are to be refused in words, and one that is not",
    (TEXT_NO_CONTAINER, TEXT_MID_RECORDING, TEXT_NO_VIDEO, TEXT_EMPTY, TOO_SMALL, COUNTED, AFTERWARDS),
    applies=lambda revision: SegmentFailedText in revision.messages,
    media=lambda target: 12.0,
)
async def text_refusals(exam: Exam) -> None:
    """Send what is wrong with a segment, where an error has no id."""
    async with exam.open("segments that are to be refused") as probe:
        await _mid_recording(exam, probe, TEXT_MID_RECORDING, None)
        await _refused(exam, probe, TEXT_NO_CONTAINER, samples.no_container(), None)
        await _refused(exam, probe, TEXT_NO_VIDEO, samples.sound(), None)
        await _refused(exam, probe, TEXT_EMPTY, _EMPTY, None)
        small = probe.contract.min_segment_size_bytes // 2
        # A recording may be cut at any byte, so nothing else is wrong with it.
        start = Sample(f"{small:,} bytes", samples.clip().data[:small], 0.0)
        await _refused(exam, probe, TOO_SMALL, start, None)
        await _accepted(exam, probe, AFTERWARDS)
        _counted(exam)


async def _mid_recording(exam: Exam, probe: Probe, check: Check, code: str | None) -> None:
    pieces = exam.target.media
    if len(pieces) > 1:
        await _refused(exam, probe, check, pieces[1], code)
    else:
        exam.not_asked(check, "it takes a recording in several pieces: --media with more files")


async def _refused(exam: Exam, probe: Probe, check: Check, sample: Sample, code: str | None) -> Heard | None:
    """Send a segment, and see that it is refused, with this id where errors have one; returns the error."""
    number = await probe.segment(sample)
    answer = await _outcome(exam, probe, number)
    if answer is None:
        exam.failed(check, f"segment {number}, {sample.name}, was neither refused nor completed", probe)
        return None
    message = answer.envelope.message
    if isinstance(message, SegmentCompleted):
        exam.failed(check, f"segment {number}, {sample.name}, was completed", probe, answer)
        return None
    assert isinstance(message, SegmentFailed | SegmentFailedText)
    told = message.error_id if isinstance(message, SegmentFailed) else None
    what = f"segment {number}, {sample.name}, was refused with {told} instead of {code}"
    if told is not None and own_reason(told):
        exam.unseen(check, what)
    else:
        exam.check(check, told == code, what, probe, answer)
    if message.segment is not None:
        counted = f"the error names segment {message.segment}, and it was number {number}"
        exam.check(COUNTED, message.segment == number, counted, probe, answer)
    return answer


async def _outcome(exam: Exam, probe: Probe, number: int) -> Heard | None:
    """What is said last of a segment, when it is the only one that is under way."""
    failed = exam.target.revision.error_message
    return await probe.wait(
        lambda envelope: (
            isinstance(envelope.message, failed)
            or (isinstance(envelope.message, SegmentCompleted) and envelope.message.segment == number)
        )
    )


async def _accepted(exam: Exam, probe: Probe, check: Check) -> None:
    number = await probe.segment(samples.clip())
    answer = await _outcome(exam, probe, number)
    if answer is None:
        what = f"segment {number}, a complete file, was neither completed nor refused"
        exam.failed(ANSWERED, what, probe)
        exam.blocked(check, what, probe)
    else:
        completed = isinstance(answer.envelope.message, SegmentCompleted)
        what = f"segment {number}, a complete file, was refused: {_words(answer)}"
        if _other_reason(answer):
            exam.unseen(check, what)
        else:
            exam.check(check, completed, what, probe, answer)


def _other_reason(heard: Heard) -> bool:
    message = heard.envelope.message
    return isinstance(message, SegmentFailed) and other_reason(message.error_id)


def _counted(exam: Exam) -> None:
    if COUNTED.id not in exam.results:
        exam.unseen(COUNTED, "no segment was refused with an error that names one")


def _words(heard: Heard) -> str:
    message = heard.envelope.message
    if isinstance(message, SegmentFailed):
        return f"{message.error_id}: {message.message[:200]}"
    return message.error[:200] if isinstance(message, SegmentFailedText) else heard.envelope.type


@scenario(
    "status-large",
    "Send a segment above the limit, and another one after it",
    (TOO_LARGE, GOES_ON),
    applies=lambda revision: SegmentFailed in revision.messages,
    media=lambda target: 4.0,
    size=lambda target: target.revision.contract.max_segment_size_bytes + 1,
)
async def status_large(exam: Exam) -> None:
    """Send one byte too much."""
    async with exam.open("a segment above the limit") as probe:
        sample = samples.oversize(probe.contract.max_segment_size_bytes)
        if await _refused(exam, probe, TOO_LARGE, sample, "ih6002") is not None:
            await _accepted(exam, probe, GOES_ON)
        else:
            exam.unseen(GOES_ON, "no segment was refused for its size")


TEXT_TOO_LARGE = Check("SEG-3.too-large", "A segment of more than 20 MB is refused")
TEXT = Check("STS-4.text", "The error for a segment above the limit tells its size and the limit, in the words for it")


@scenario(
    "text-large",
    "Send a segment above the limit, and read what is said of it",
    (TEXT_TOO_LARGE, TEXT),
    applies=lambda revision: revision.oversize_text is not None,
    size=lambda target: target.revision.contract.max_segment_size_bytes + 1,
)
async def text_large(exam: Exam) -> None:
    """Send one byte too much, where the words of the error are given."""
    async with exam.open("a segment above the limit") as probe:
        limit = probe.contract.max_segment_size_bytes
        sample = samples.oversize(limit)
        answer = await _refused(exam, probe, TEXT_TOO_LARGE, sample, None)
        if answer is None:
            exam.unseen(TEXT, "no segment was refused for its size")
            return
        expected = (exam.target.revision.oversize_text or "").format(size=sample.size, limit=limit)
        exam.check(TEXT, _words(answer) == expected, f"it reads {_words(answer)!r}", probe, answer)


# -- what the query asks for ----------------------------------------------------------------------------

ENCODED = Check("HS-15.encoded", "Sections that the query asks for with encoded brackets come")
LITERAL = Check("HS-15.literal", "Sections that the query asks for with literal brackets come")
NO_EFFECT = Check("HS-15.unknown-value", "A value of include[] that names no section has no effect")
ONE = Check("HS-15.one", "A section that the query asks for alone comes alone")

_BOTH = (INCLUDE_OVERALL, INCLUDE_TIMELINE)


@scenario(
    "sections",
    "Ask for sections in the query, in every way",
    (ENCODED, LITERAL, NO_EFFECT, ONE),
    quick=True,
    connections=4,
    applies=lambda revision: INCLUDE_PARAMETER in revision.query_keys,
    media=lambda target: 16.0,
)
async def sections(exam: Exam) -> None:
    """See which sections a result has."""
    name = quote(INCLUDE_PARAMETER)
    await _ask(exam, ENCODED, f"{name}={_BOTH[0]}&{name}={_BOTH[1]}", _BOTH)
    await _ask(exam, LITERAL, f"{INCLUDE_PARAMETER}={_BOTH[0]}&{INCLUDE_PARAMETER}={_BOTH[1]}", _BOTH)
    await _ask(exam, NO_EFFECT, f"{name}=ihproto_conformance", ())
    await _ask(exam, ONE, f"{name}={INCLUDE_TIMELINE}", (INCLUDE_TIMELINE,))


async def _ask(exam: Exam, check: Check, query: str, wanted: tuple[str, ...]) -> None:
    try:
        await _look(exam, check, query, wanted)
    except NotAccepted as error:
        exam.note(check, Evidence(f"with ?{query}, {error}", error.session))


async def _look(exam: Exam, check: Check, query: str, wanted: tuple[str, ...]) -> None:
    async with exam.open(check.title, verbatim_query=query) as probe:
        number = await probe.segment(samples.clip())
        answer = await probe.wait_for(SegmentResult, SegmentFailed)
        message = answer.envelope.message if answer is not None else None
        if not isinstance(message, SegmentResult):
            what = f"refused: {_words(answer)}" if answer is not None else "not answered by a result"
            exam.failed(check, f"segment {number}, a complete file, was {what}", probe, answer)
            return
        quality = message.conversation_quality
        found = {
            INCLUDE_OVERALL: quality is not None and quality.overall is not None,
            INCLUDE_TIMELINE: quality is not None and quality.timeline is not None,
        }
        came = tuple(section for section, there in found.items() if there)
        what = f"with ?{query} came {', '.join(came) or 'no section'} instead of {', '.join(wanted) or 'none'}"
        exam.check(check, came == wanted, what, probe, answer)
