"""Sessions of the published client with the model that hears audio alone (CFG-8)."""

from __future__ import annotations

from itertools import cycle

import interhumanai
import pytest
from interhumanai import stream as published
from interop.published import ENDLESS, PIECES, RECORDING_SECONDS, Heard, client_of, hear, next_of, run, session
from upload_requests import seconds_of, written

from ihproto_mock import MockServer

AUDIO = interhumanai.StreamModel.INTER_2_AUDIO


def cut(data: bytes, *sizes: int) -> list[bytes]:
    """The data in frames of these sizes, over and over."""
    frames: list[bytes] = []
    at = 0
    for size in cycle(sizes):
        if at >= len(data):
            return frames
        frames.append(data[at : at + size])
        at += size
    raise AssertionError("a cycle has no end")


def send_samples(frames: list[bytes], sample_rate: interhumanai.types.PcmSampleRate) -> Heard:
    async def body() -> Heard:
        async with MockServer(scenario=ENDLESS) as mock:
            stream = client_of(mock).stream(api_version="v2", model=AUDIO)
            async with stream:
                await stream.wait_for_session_ready()
                await stream.update_config(audio_format=interhumanai.RawAudioFormat(sample_rate=sample_rate))
                for frame in frames:
                    await stream.send_audio(frame)
                await stream.request_close()
                return await hear(stream)

    return run(body)


@pytest.mark.parametrize("sample_rate", [16000, 24000])
@pytest.mark.parametrize("sizes", [(9999,), (1, 4097, 30_001), (640,), (777_777,)])
def test_raw_samples_are_as_long_as_they_are_wherever_they_are_cut(
    sizes: tuple[int, ...], sample_rate: interhumanai.types.PcmSampleRate
) -> None:
    seconds = 12.5
    frames = cut(bytes(round(seconds * sample_rate * 2)), *sizes)
    heard = send_samples(frames, sample_rate)
    assert heard.errors == []
    (ended,) = heard.of(published.SignalEndedEvent)
    # What never ends by itself ends with the media: two bytes make a sample.
    assert ended.data.end == pytest.approx(seconds, abs=1e-6)
    assert heard.close.code == 1000


def test_the_same_bytes_are_shorter_at_the_higher_rate() -> None:
    frames = cut(bytes(480_000), 4801)
    ends = [send_samples(frames, rate).of(published.SignalEndedEvent)[0].data.end for rate in (16000, 24000)]
    assert ends == [pytest.approx(15), pytest.approx(10)]


def test_the_format_is_fixed_by_the_first_samples() -> None:
    async def body() -> tuple[list[tuple[str, int | None]], float]:
        async with MockServer(scenario=ENDLESS) as mock:
            stream = client_of(mock).stream(api_version="v2", model=AUDIO)
            async with stream:
                await stream.wait_for_session_ready()
                await stream.update_config(audio_format=interhumanai.RawAudioFormat(sample_rate=24000))
                await stream.update_config(audio_format=interhumanai.RawAudioFormat())
                await stream.send_audio(bytes(320_000))
                await stream.update_config(audio_format=interhumanai.RawAudioFormat(sample_rate=24000))
                # One that does not speak of the format leaves it as it is.
                await stream.update_config(include=[])
                await stream.request_close()
                heard = await hear(stream)
        return heard.errors, heard.of(published.SignalEndedEvent)[0].data.end

    errors, end = run(body)
    assert errors == [("ih6001", None)]
    assert end == pytest.approx(10)


def test_samples_are_no_config_for_the_model_that_sees() -> None:
    async def body() -> list[tuple[str, int | None]]:
        async with MockServer() as mock:
            stream = client_of(mock).stream(api_version="v2")
            async with stream:
                await stream.wait_for_session_ready()
                await stream.update_config(audio_format=interhumanai.RawAudioFormat())
                await stream.request_close()
                return (await hear(stream)).errors

    assert run(body) == [("ih6001", None)]


def test_model_and_format_can_come_in_one_config() -> None:
    async def body() -> tuple[object, float]:
        async with MockServer(scenario=ENDLESS) as mock:
            stream = client_of(mock).stream(api_version="v2")
            async with stream:
                await stream.wait_for_session_ready()
                await stream.update_config(model=AUDIO, audio_format=interhumanai.RawAudioFormat())
                model = (await next_of(stream, published.SessionUpdatedEvent)).data.model
                for frame in cut(bytes(320_000), 1111):
                    await stream.send_audio(frame)
                await stream.request_close()
                return model, (await hear(stream)).of(published.SignalEndedEvent)[0].data.end

    model, end = run(body)
    assert model == AUDIO
    assert end == pytest.approx(10)


@pytest.mark.parametrize("container", ["webm", "mp4"])
def test_clips_with_sound_alone_are_taken_and_add_up(container: str) -> None:
    clip = written(container, None, "opus")
    heard = session([clip, clip, clip], version="v2", model="inter-2-audio", scenario=ENDLESS)
    assert heard.errors == []
    (ended,) = heard.of(published.SignalEndedEvent)
    assert ended.data.end == pytest.approx(3 * seconds_of(clip), abs=0.15)


def test_a_recording_with_pictures_is_taken_too_and_what_has_to_be_seen_is_not_reported() -> None:
    heard = session(PIECES, version="v2", model="inter-2-audio")
    assert heard.errors == []
    # Of what the scenario has, skepticism is not among the six types that can be heard.
    ended = {event.data.signal_type.value: event.data.end for event in heard.of(published.SignalEndedEvent)}
    assert ended.pop("confidence") == pytest.approx(RECORDING_SECONDS, abs=0.1)
    assert ended == {"agreement": 13.5, "interest": 27.0, "hesitation": 19.0}


def test_pictures_without_sound_are_ih5008() -> None:
    heard = session([written("webm", "vp8", None)], version="v2", model="inter-2-audio")
    assert heard.errors == [("ih5008", 1)]


def test_samples_without_a_format_are_no_container() -> None:
    heard = session([bytes(32_000)], version="v2", model="inter-2-audio")
    assert heard.errors == [("ih5004", 1)]
