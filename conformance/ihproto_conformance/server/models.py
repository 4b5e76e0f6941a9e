"""Models: how one is selected, what it takes, and when it is fixed."""

from __future__ import annotations

import attrs

from ihproto import AudioFormat, Error, Model, Revision, SessionReady, SessionUpdated
from ihproto.revisions import MODEL_PARAMETER
from ihproto_conformance import samples
from ihproto_conformance.samples import Sample
from ihproto_conformance.server.exam import Exam, Heard, Missing, NotAccepted, Probe, other_reason
from ihproto_conformance.server.handshake import NOT_READY
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.verdict import Check, Evidence, Status

UNKNOWN = Check("HS-13.unknown", "An unknown model in the query gets ih4005 and close code 1008")
BY_QUERY = Check("HS-13.selects", "The query selects a model that is offered")
BY_CONFIG = Check("CFG-7.selects", "A config selects a model that is offered, and session.updated reports it")
KEPT = Check("CFG-7.kept", "A config that mentions no model leaves it as it was")
FIXED = Check("CFG-7.fixed", "After the first segment a config with another model is refused")
RAW_AUDIO = Check("CFG-8.raw-audio", "A model that hears alone takes raw audio of the format that was declared")
AUDIO_FIXED = Check("CFG-8.fixed", "After the first segment a config with another audio format is refused")
WRONG_MODEL = Check("CFG-8.wrong-model", "An audio format is refused by a model that wants pictures")

_UNKNOWN_MODEL = "ihproto-conformance-no-such-model"
_AUDIO = AudioFormat(sample_rate=16000)
_OTHER_AUDIO = AudioFormat(sample_rate=24000)


def _selectable(revision: Revision) -> bool:
    return MODEL_PARAMETER in revision.query_keys


@scenario(
    "unknown-model",
    "Ask for a model that does not exist",
    (UNKNOWN, NOT_READY),
    applies=_selectable,
)
async def unknown_model(exam: Exam) -> None:
    """Ask in the query for something that nobody has."""
    try:
        async with exam.open("a model that does not exist", query=[(MODEL_PARAMETER, _UNKNOWN_MODEL)]) as probe:
            error = await probe.wait_for(Error)
            ended = await probe.wait_ended()
            code = error.envelope.message.code if error and isinstance(error.envelope.message, Error) else "no error"
            closed = ended.code if ended is not None else None
            kept = (code, closed) == ("ih4005", 1008)
            exam.check(UNKNOWN, kept, f"it got {code}, and close code {closed}", probe, error)
            if error is None and ended is None:
                exam.unseen(NOT_READY, "the session was not refused")
                return
            ready = probe.messages(SessionReady)
            exam.check(NOT_READY, not ready, "session.ready came", probe, ready[0] if ready else None)
    except NotAccepted as error_:
        exam.note(UNKNOWN, Evidence(f"{error_}; it is to be told after the upgrade", error_.session))
        exam.passed(NOT_READY)


@scenario(
    "models",
    "Select each model that is offered, and try to change it too late",
    (BY_QUERY, BY_CONFIG, KEPT, FIXED),
    applies=_selectable,
    connections=4,
    media=lambda target: 4.0,
)
async def models(exam: Exam) -> None:
    """Select by query, and by config."""
    async with exam.open("selecting models by config") as probe:
        await probe.ready()
        offered = probe.contract.supported_session_config_options.model or ()
        if not offered:
            for check in (BY_QUERY, BY_CONFIG, KEPT, FIXED):
                exam.not_applicable(check, "the contract offers no models")
            return
        for name in (*offered, offered[0]):
            await probe.config(model=name)
            await _reports(exam, probe, BY_CONFIG, name)
            if exam.results[BY_CONFIG.id].status is not Status.PASSED:
                raise Missing("a model that was selected is not reported")
            await probe.config(include=[])
            await _reports(exam, probe, KEPT, name)
        if len(offered) == 1:
            exam.not_applicable(FIXED, "the contract offers one model only")
        else:
            await probe.segment(samples.clip())
            await probe.config(model=offered[1])
            await _refused(exam, probe, FIXED)
    for name in offered:
        async with exam.open(f"the model {name} by query", query=[(MODEL_PARAMETER, name)]) as probe:
            first = await probe.wait_for(SessionReady, Error)
            if first is None:
                raise Missing("session.ready did not come")
            message = first.envelope.message
            if isinstance(message, Error):
                _turned_down(exam, probe, name, first)
                continue
            await probe.config(include=[])
            await _reports(exam, probe, BY_QUERY, name)


def _turned_down(exam: Exam, probe: Probe, name: str, at: Heard) -> None:
    message = at.envelope.message
    assert isinstance(message, Error)
    what = f"{name} was refused with {message.code}: {message.message[:200]}"
    if other_reason(message.code):
        exam.unseen(BY_QUERY, what)
    else:
        exam.failed(BY_QUERY, what, probe, at)


async def _reports(exam: Exam, probe: Probe, check: Check, name: str) -> None:
    answer = await probe.wait_answer()
    message = answer.envelope.message if answer is not None else None
    if isinstance(message, SessionUpdated):
        said = message.model or "none"
        exam.check(check, said == name, f"the model in force is {said[:40]} instead of {name}", probe, answer)
    elif isinstance(message, Error):
        exam.failed(check, f"{name} was refused with {message.code}: {message.message[:200]}", probe, answer)
    else:
        raise Missing("a config was answered by neither session.updated nor an error")


async def _refused(exam: Exam, probe: Probe, check: Check) -> None:
    answer = await probe.wait_answer()
    if answer is None:
        raise Missing("a config was answered by neither session.updated nor an error")
    message = answer.envelope.message
    refused = isinstance(message, Error) and message.code == "ih6001"
    said = message.code if isinstance(message, Error) else "session.updated"
    exam.check(check, refused, f"it was answered by {said} instead of ih6001", probe, answer)


@scenario(
    "raw-audio",
    "Send raw audio to a model that hears alone",
    (RAW_AUDIO, AUDIO_FIXED, WRONG_MODEL),
    applies=lambda revision: any(model.raw_audio for model in revision.models),
    connections=2,
    media=lambda target: 8.0,
)
async def raw_audio(exam: Exam) -> None:
    """Declare a format, and send samples."""
    hears = next(model for model in exam.target.revision.models if model.raw_audio)
    async with exam.open("raw audio") as probe:
        await probe.ready()
        offered = probe.contract.supported_session_config_options.model or ()
        if hears.name not in offered:
            for check in (RAW_AUDIO, AUDIO_FIXED, WRONG_MODEL):
                exam.not_applicable(check, f"the contract does not offer {hears.name}")
            return
        await _send_audio(exam, probe, hears)
    sees = next((model for model in exam.target.revision.models if "video" in model.tracks), None)
    if sees is None or sees.name not in offered:
        exam.not_applicable(WRONG_MODEL, "the contract offers no model that wants pictures")
        return
    async with exam.open("an audio format for a model that wants pictures") as probe:
        await probe.ready()
        await probe.config(model=sees.name, audio_format=attrs.asdict(_AUDIO))
        await _refused(exam, probe, WRONG_MODEL)


async def _send_audio(exam: Exam, probe: Probe, model: Model) -> None:
    await probe.config(model=model.name, audio_format=attrs.asdict(_AUDIO))
    answer = await probe.wait_answer()
    if answer is None or isinstance(answer.envelope.message, Error):
        exam.failed(RAW_AUDIO, "an audio format was not confirmed", probe, answer)
        exam.unseen(AUDIO_FIXED, "no audio format was confirmed")
        return
    audio = samples.silence(_AUDIO)
    # Segments of raw audio may be cut at any byte.
    middle = audio.size // 2 + 1
    for part in (audio.data[:middle], audio.data[middle:]):
        await probe.segment(Sample(audio.name, part, audio.seconds / 2))
    await probe.config(audio_format=attrs.asdict(_OTHER_AUDIO))
    answer = await probe.wait(lambda envelope: isinstance(envelope.message, SessionUpdated | Error))
    message = answer.envelope.message if answer is not None else None
    if isinstance(message, Error) and message.segment is not None:
        what = f"segment {message.segment} was refused with {message.code}: {message.message[:200]}"
        if other_reason(message.code):
            exam.unseen(RAW_AUDIO, what)
        else:
            exam.failed(RAW_AUDIO, what, probe, answer)
        answer = await probe.wait_answer()
        message = answer.envelope.message if answer is not None else None
    else:
        exam.passed(RAW_AUDIO)
    refused = isinstance(message, Error) and message.code == "ih6001"
    exam.check(AUDIO_FIXED, refused, "another audio format was not refused with ih6001", probe, answer)
