from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self

import anyio
import attrs
import pytest
import trio.testing
from builders import CORRELATION_ID, OVERALL, TIMELINE
from hypothesis import given, settings
from hypothesis import strategies as st
from interhumanai.types import AnalysisResult as TheirResult
from interhumanai.types import UploadJob as TheirJob
from interhumanai.types import UploadJobStatus, UploadModel
from upload_requests import EXAMPLE, RECORDINGS, Form, encode, recording, seconds_of, with_file, written

from ihproto import ERROR_CODES, V1, NominalScanner, SessionReady
from ihproto.wire import HttpError
from ihproto_mock import Scenario, load_scenario, parse_scenario
from ihproto_mock.jobs import JobStore
from ihproto_mock.leases import Caps, Lease, Standing
from ihproto_mock.uploads import UploadService, answer_job, answer_job_upload, answer_upload

BOTH = [OVERALL, TIMELINE]


@attrs.frozen
class FakeRequest:
    path: str = "/v1/upload/analyze"
    content_type: str | None = None
    content_length: int | None = None


class FakeExchange:
    """A request whose body is at hand, and that takes note of the answer."""

    def __init__(self, form: Form | None = None, cuts: Sequence[int] = (), path: str = "/v1/upload/analyze") -> None:
        self.request = FakeRequest(path)
        if form is not None:
            self.request = FakeRequest(path, form.content_type, len(form.body))
        self.correlation_id = CORRELATION_ID
        self.status: int | None = None
        self.body: Any = None
        self.error: HttpError | None = None
        self.pieces_read = 0
        self._pieces = form.pieces(cuts) if form is not None else iter(())

    def now(self) -> float:
        return anyio.current_time()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise StopAsyncIteration
        self.pieces_read += 1
        return piece

    async def respond(self, status: int, body: bytes) -> None:
        assert self.status is None
        self.status, self.body = status, json.loads(body)

    async def refuse(self, status: int, error: HttpError) -> None:
        assert self.status is None
        self.status, self.error = status, error


def charged(**caps: Any) -> tuple[Standing, Lease]:
    """A use of a credential with these caps, and where that credential stands."""
    standing = Standing(frozenset(), Caps(**caps))
    return standing, Lease(standing)


def upload(
    form: Form, cuts: Sequence[int] = (), *, scenario: Scenario | str = "lively", lease: Any = None, **options: Any
) -> FakeExchange:
    """The answer of the v1 endpoint."""
    service = UploadService(scenario if isinstance(scenario, Scenario) else load_scenario(scenario), **options)
    exchange = FakeExchange(form, cuts)

    async def body() -> None:
        assert await answer_upload(exchange, service, lease) == exchange.error

    anyio.run(body)
    return exchange


def in_virtual_time(body: Callable[[], Awaitable[Any]]) -> Any:
    """Run on a clock that jumps to whatever is waited for."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    return anyio.run(body, backend="trio", backend_options={"clock": clock})


def submit(
    form: Form,
    cuts: Sequence[int] = (),
    *,
    scenario: Scenario | str = "lively",
    lease: Any = None,
    jobs: dict[str, Any] | None = None,
    read_after: float | None = None,
    **options: Any,
) -> tuple[FakeExchange, FakeExchange | None, float]:
    """The answer of the v2 endpoint, what can be read so many seconds later, and how long the answer took."""
    service = UploadService(scenario if isinstance(scenario, Scenario) else load_scenario(scenario), **options)
    exchange = FakeExchange(form, cuts, "/v2/upload/analyze")

    async def body() -> tuple[FakeExchange | None, float]:
        before = anyio.current_time()
        store = JobStore(before, started_at=datetime(2025, 1, 1, tzinfo=UTC), **(jobs or {}))
        assert await answer_job_upload(exchange, service, store, "me", lease) == exchange.error
        took = anyio.current_time() - before
        if read_after is None:
            return None, took
        await anyio.sleep(read_after)
        read = FakeExchange(path=exchange.body["status_url"])
        assert await answer_job(read, store, "me") == read.error
        return read, took

    read, took = in_virtual_time(body)
    return exchange, read, took


def finished(form: Form, **options: Any) -> TheirJob:
    """The finished job for a form, as the published client reads it."""
    exchange, read, _ = submit(form, read_after=10, **options)
    assert (exchange.status, read and read.status) == (202, 200)
    assert read is not None
    return TheirJob.model_validate(read.body)


def refusal(exchange: FakeExchange) -> tuple[int | None, str | None]:
    assert exchange.error is not None
    assert exchange.error.message
    if exchange.error.error_id is not None:
        assert exchange.error.link == ERROR_CODES[exchange.error.error_id].link
        assert exchange.status == ERROR_CODES[exchange.error.error_id].http_status
    return exchange.status, exchange.error.error_id


def seconds(length: float) -> Callable[[SessionReady], NominalScanner]:
    """Any bytes are so many seconds of media."""
    return lambda contract: NominalScanner(length)


ANY = with_file(bytes(10_000))
ANY_JOB = with_file(bytes(10_000), model="inter-2")


# -- the analysis of a file ---------------------------------------------------------------------------


def test_upl_1_a_real_recording_is_analysed() -> None:
    exchange = upload(with_file(recording(EXAMPLE), include=BOTH))
    assert exchange.status == 200
    result = TheirResult.model_validate(exchange.body)
    # The scenario has agreement from 1.5 s to 13.5 s, at first medium and then high.
    assert exchange.body["signals"][0] == {
        "type": "agreement",
        "start": 1.5,
        "end": 13.5,
        "probability": "high",
        "rationale": "Repeated nodding, and a short 'yes, exactly'.",
    }
    # It begins to repeat at 60 s only, and its last signals begin at 25 s and 29 s.
    assert [(span.type.value, span.start) for span in result.signals] == [
        ("agreement", 1.5),
        ("interest", 5),
        ("hesitation", 15.5),
        ("skepticism", 25),
        ("confidence", 29),
    ]
    assert result.engagement_state[0].start == 0
    assert result.engagement_state[-1].end == pytest.approx(seconds_of(recording(EXAMPLE)), abs=0.001)
    assert result.conversation_quality is not None
    assert [entry.start for entry in result.conversation_quality.timeline] == [0, 10, 20, 30]
    assert result.conversation_quality.timeline[-1].end == result.engagement_state[-1].end
    assert result.feedback is None


@pytest.mark.parametrize("folder", RECORDINGS)
@settings(max_examples=5)
@given(cuts=st.lists(st.integers(0, 10**6), max_size=20))
def test_upl_1_the_pieces_in_which_a_file_arrives_change_nothing(folder: str, cuts: list[int]) -> None:
    form = with_file(recording(folder), include=BOTH)
    whole, cut = upload(form), upload(form, cuts)
    assert whole.status == 200
    assert (cut.status, cut.body) == (whole.status, whole.body)


def test_upl_1_sections_are_there_when_asked_for_and_unknown_ones_are_ignored() -> None:
    plain = upload(with_file(recording(EXAMPLE), include=["colour", "signals"])).body
    assert set(plain) == {"signals", "engagement_state"}
    overall = upload(with_file(recording(EXAMPLE), include=[OVERALL])).body
    assert set(overall["conversation_quality"]) == {"overall"}
    TheirResult.model_validate(plain)
    TheirResult.model_validate(overall)


def test_upl_1_an_empty_scenario_gives_an_empty_list_of_signals_and_fifty() -> None:
    result = TheirResult.model_validate(upload(with_file(recording(EXAMPLE), include=BOTH), scenario="quiet").body)
    assert result.signals == []
    assert {entry.state.value for entry in result.engagement_state} == {"neutral"}
    assert result.conversation_quality is not None
    assert set(result.conversation_quality.overall.model_dump().values()) == {50}


@pytest.mark.parametrize(
    ("data", "dimensions"),
    [
        ({"goal_dimensions": ["rapport", "clarity", "volume"]}, {"clarity", "rapport"}),
        ({"conversation_context": "a sales call"}, set()),
        ({"conversation_context": "a sales call", "goal_dimensions": ["clarity"]}, set()),
    ],
)
def test_upl_1_feedback_is_there_when_asked_for(data: dict[str, Any], dimensions: set[str]) -> None:
    body = upload(with_file(recording(EXAMPLE), **data)).body
    feedback = TheirResult.model_validate(body).feedback
    assert feedback is not None
    assert feedback.type == "feedback"
    assert {dimension.value for dimension in feedback.active_dimensions} == dimensions
    # The longest of all, from 5 s to 27 s.
    assert feedback.primary_signal is not None
    assert feedback.primary_signal.value == "interest"
    body = upload(with_file(recording(EXAMPLE), **data), scenario="quiet").body
    assert body["feedback"]["type"] == "no_feedback"
    TheirResult.model_validate(body)


@pytest.mark.parametrize("data", [{}, {"goal_dimensions": ["volume"]}, {"conversation_context": ""}])
def test_upl_1_feedback_is_left_out_when_not_asked_for(data: dict[str, Any]) -> None:
    assert "feedback" not in upload(with_file(recording(EXAMPLE), **data)).body


def test_upl_1_bytes_of_any_kind_are_a_file_where_nobody_looks_into_it() -> None:
    exchange = upload(ANY, make_scanner=seconds(12.3456789))
    assert exchange.status == 200
    assert exchange.body["engagement_state"][-1]["end"] == 12.346


# -- files that are refused ---------------------------------------------------------------------------

SILENT = ("webm", "vp8", None)
SOUND = ("webm", None, "opus")


def cut_from_the_middle() -> bytes:
    content = recording(EXAMPLE)
    return content[content.index(b"\x1f\x43\xb6\x75") :]


def spoiled() -> bytes:
    """A recording with rubbish where its second piece should be."""
    content = recording(EXAMPLE)
    return content[:50_000] + b"\xff" * 200_000 + content[250_000:]


#: A box that means nothing (ISO/IEC 14496-12, section 8.1.2).
FREE: bytes = (20_000).to_bytes(4, "big") + b"free" + bytes(20_000 - 8)
REFUSED: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "an Ogg file": (lambda: b"OggS" + bytes(20_000), "ih4002", "an Ogg file"),
    "text": (lambda: b"lorem ipsum " * 2_000, "ih4002", "text"),
    "anything": (lambda: b"\x80\x81" * 10_000, "ih4002", "send one of mp4"),
    "a later piece of a recording": (cut_from_the_middle, "ih5002", "first chunk"),
    "a spoiled recording": (spoiled, "ih5002", "at byte"),
    "sound alone": (lambda: written(*SOUND), "ih5001", "only audio (opus)"),
    "a short video": (lambda: written("webm", "vp8", "opus", 2.0), "ih4007", "2.0"),
    "a header alone": (lambda: recording("tests/recordings/mp4-vp9-opus")[:1200] + FREE, "ih4007", "0.00"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("size", [50, 4096, 10**9])
def test_each_fault_of_a_file_has_its_documented_error_at_both_endpoints(name: str, size: int) -> None:
    make, error_id, words = REFUSED[name]
    form = with_file(make(), model="inter-2")
    cuts = range(0, len(form.body), max(size, len(form.body) // 2000))
    job, _, _ = submit(form, cuts)
    for exchange in (upload(form, cuts), job):
        assert refusal(exchange)[1] == error_id
        assert exchange.error is not None
        assert exchange.error.message is not None
        assert words in exchange.error.message
        assert "session" not in exchange.error.message
        assert "segment" not in exchange.error.message


def test_nothing_more_is_read_of_a_file_that_is_of_no_use() -> None:
    form = with_file(b"OggS" + bytes(1_000_000))
    exchange = upload(form, range(0, len(form.body), 1000))
    assert refusal(exchange) == (400, "ih4002")
    assert exchange.pieces_read < 20


def test_ih4004_a_file_may_last_30_minutes_unless_configured_otherwise() -> None:
    assert upload(ANY, make_scanner=seconds(1800)).status == 200
    assert refusal(upload(ANY, make_scanner=seconds(1800.1))) == (400, "ih4004")
    assert refusal(submit(ANY_JOB, make_scanner=seconds(1800.1))[0]) == (400, "ih4004")
    assert upload(ANY, make_scanner=seconds(2000), max_file_seconds=2000).status == 200
    assert refusal(upload(with_file(recording(EXAMPLE)), max_file_seconds=30)) == (400, "ih4004")


def test_ih4007_3_s_of_media_are_enough_and_a_recorders_3_s_too() -> None:
    assert upload(ANY, make_scanner=seconds(3)).status == 200
    assert upload(ANY, make_scanner=seconds(2.9)).status == 200
    assert refusal(upload(ANY, make_scanner=seconds(2))) == (400, "ih4007")


def test_a_form_that_is_of_no_use_is_refused() -> None:
    assert refusal(upload(Form("application/json", b"{}"))) == (415, None)
    assert refusal(upload(Form("multipart/form-data; boundary=cut", b"{}"))) == (400, None)
    assert refusal(upload(encode({"video": ("a.webm", bytes(20_000))}))) == (400, "ih4001")
    assert refusal(upload(with_file(bytes(9_999)))) == (400, "ih4007")


def test_ih4003_a_request_that_announces_too_much_is_not_read() -> None:
    exchange = upload(with_file(bytes(35 * 1024 * 1024)))
    assert refusal(exchange) == (413, "ih4003")
    assert exchange.pieces_read == 0


def test_ih4003_a_file_over_32_mb_is_refused() -> None:
    assert refusal(upload(with_file(bytes(33_554_433)), make_scanner=seconds(5))) == (413, "ih4003")


# -- jobs ---------------------------------------------------------------------------------------------


def test_upl_2_a_job_is_answered_at_once_and_can_be_read_until_it_is_done() -> None:
    form = with_file(recording(EXAMPLE), model="inter-2", include=[*BOTH, "signals"])
    exchange, read, took = submit(form, read_after=0.15)
    assert (exchange.status, took) == (202, 0)
    job = TheirJob.model_validate(exchange.body)
    assert (job.status, job.model, job.result) == (UploadJobStatus.QUEUED, UploadModel.INTER_2, None)
    assert job.status_url == f"/v2/upload/jobs/{job.job_id}"
    assert (job.expires_at - job.created_at).total_seconds() == 3600
    assert read is not None
    assert (read.status, read.body["status"]) == (200, "running")
    done = finished(form)
    assert done.status is UploadJobStatus.COMPLETED
    assert done.result is not None
    assert done.result.duration_seconds == pytest.approx(seconds_of(recording(EXAMPLE)), abs=0.001)
    assert done.result.window_seconds == 8
    assert [(w.index, w.start_seconds) for w in done.result.windows] == [(0, 0), (1, 8), (2, 16), (3, 24), (4, 32)]
    assert done.result.windows[-1].end_seconds == done.result.duration_seconds
    # Agreement lasts from 1.5 s to 13.5 s, so the first two windows have it; it is high from 9 s on.
    assert [(s.start, s.end) for w in done.result.windows for s in w.signals if s.type.value == "agreement"] == [
        (0, 8),
        (8, 16),
    ]
    assert done.result.signals is not None
    first = done.result.signals[0]
    assert (first.type.value, first.start, first.end) == ("agreement", 0, 16)
    assert (first.probability and first.probability.value) == "high"
    assert done.result.conversation_quality is not None
    assert done.result.conversation_quality.overall is not None
    assert done.result.conversation_quality.timeline is not None


def test_upl_2_a_job_has_only_the_sections_asked_for() -> None:
    done = finished(with_file(recording(EXAMPLE), model="inter-2"))
    assert done.result is not None
    assert (done.result.signals, done.result.conversation_quality) == (None, None)
    done = finished(with_file(recording(EXAMPLE), model="inter-2", include=[TIMELINE]))
    assert done.result is not None
    assert done.result.conversation_quality is not None
    assert done.result.conversation_quality.overall is None


@pytest.mark.parametrize(
    ("wait", "status", "name", "took"),
    [
        ("0", 202, "queued", 0),
        ("1", 202, "queued", 1),
        ("3", 202, "running", 3),
        ("10", 200, "completed", 10),
        ("120", 200, "completed", 10),
    ],
)
def test_upl_2_a_request_waits_for_its_job_no_longer_than_asked(wait: str, status: int, name: str, took: float) -> None:
    form = with_file(bytes(10_000), model="inter-2", wait_seconds=wait)
    exchange, _, waited = submit(form, make_scanner=seconds(5), jobs={"queue_seconds": 2, "run_seconds": 8})
    assert (exchange.status, exchange.body["status"]) == (status, name)
    assert waited == pytest.approx(took)
    assert TheirJob.model_validate(exchange.body).is_terminal == (status == 200)


@pytest.mark.parametrize("wait", ["121", "-1", "1.5", "", "ten", " 1", "1_0", "\u0661", "9" * 5000])
def test_ih4005_wait_seconds_is_a_whole_number_of_at_most_120(wait: str) -> None:
    exchange, _, _ = submit(with_file(bytes(10_000), model="inter-2", wait_seconds=wait), make_scanner=seconds(5))
    assert refusal(exchange) == (400, "ih4005")


@pytest.mark.parametrize("data", [{}, {"model": ""}, {"model": "inter-1"}, {"model": ["inter-2", "inter-2-audio"]}])
def test_ih4005_a_job_names_one_model_that_the_server_has(data: dict[str, Any]) -> None:
    exchange, _, _ = submit(with_file(bytes(10_000), **data), make_scanner=seconds(5))
    assert refusal(exchange) == (400, "ih4005")


@pytest.mark.parametrize("model", list(UploadModel))
def test_upl_2_every_model_of_the_published_client_can_be_named(model: UploadModel) -> None:
    exchange, _, _ = submit(with_file(bytes(10_000), model=model.value), make_scanner=seconds(5))
    assert TheirJob.model_validate(exchange.body).model is model
    exchange, _, _ = submit(with_file(bytes(10_000), model=model.value), make_scanner=seconds(5), models=V1.models)
    assert refusal(exchange) == (400, "ih4005")


def test_ih5008_a_job_for_pictures_and_sound_needs_both() -> None:
    silent, sound = written(*SILENT), written(*SOUND)
    assert refusal(submit(with_file(silent, model="inter-2"))[0]) == (422, "ih5008")
    assert refusal(submit(with_file(sound, model="inter-2"))[0]) == (422, "ih5001")
    assert refusal(submit(with_file(silent, model="inter-2-audio"))[0]) == (422, "ih5008")
    # v1 does not ask for sound.
    assert upload(with_file(silent)).status == 200


@pytest.mark.parametrize("container", ["webm", "mp4"])
def test_upl_2_the_audio_model_takes_sound_alone_and_tells_what_can_be_heard(container: str) -> None:
    content = written(container, None, "opus", 30.0)
    done = finished(with_file(content, model="inter-2-audio", include=["signals"]))
    assert done.result is not None
    assert done.result.duration_seconds == pytest.approx(30, abs=0.1)
    # Of the scenario's signals all but skepticism can be heard.
    heard = {"agreement", "interest", "hesitation", "confidence"}
    assert {signal.type.value for signal in done.result.signals or ()} == heard
    assert {signal.type.value for window in done.result.windows for signal in window.signals} == heard


def test_upl_2_the_audio_model_says_that_this_server_does_not_know_audio_files() -> None:
    exchange, _, _ = submit(with_file(b"OggS" + bytes(20_000), model="inter-2-audio"))
    assert refusal(exchange) == (400, "ih4002")
    assert exchange.error is not None
    assert "does not look into audio files" in str(exchange.error.message)
    exchange, _, _ = submit(with_file(written("webm", None, "opus", 2.0), model="inter-2-audio"))
    assert refusal(exchange) == (400, "ih4007")


def test_upl_2_v2_does_not_report_engagement_as_a_signal() -> None:
    scenario = parse_scenario(
        """
        name = "engaged"
        [[signal]]
        type = "engagement"
        start = 1
        end = 9
        [[signal]]
        type = "stress"
        start = 1
        end = 9
        """
    )
    done = finished(with_file(recording(EXAMPLE), model="inter-2", include=["signals"]), scenario=scenario)
    assert done.result is not None
    assert [signal.type.value for signal in done.result.signals or ()] == ["stress"]
    v1 = TheirResult.model_validate(upload(with_file(recording(EXAMPLE)), scenario=scenario).body)
    assert [signal.type.value for signal in v1.signals] == ["engagement", "stress"]


@pytest.mark.parametrize("path", ["/v2/upload/jobs/unknown", "/v2/upload/jobs/", "/v2/upload/jobs/a/b"])
def test_ih4021_a_job_that_never_was_cannot_be_read(path: str) -> None:
    exchange = FakeExchange(path=path)

    async def body() -> None:
        store = JobStore(anyio.current_time(), started_at=datetime(2025, 1, 1, tzinfo=UTC))
        assert await answer_job(exchange, store, "me") == exchange.error

    anyio.run(body)
    assert refusal(exchange) == (404, "ih4021")


def test_ih4021_a_job_cannot_be_read_after_an_hour_or_by_others() -> None:
    exchange, read, _ = submit(ANY_JOB, make_scanner=seconds(5), read_after=3600)
    assert exchange.status == 202
    assert read is not None
    assert refusal(read) == (404, "ih4021")

    async def body() -> FakeExchange:
        store = JobStore(anyio.current_time(), started_at=datetime(2025, 1, 1, tzinfo=UTC))
        service = UploadService(load_scenario("quiet"), make_scanner=seconds(5))
        mine = FakeExchange(ANY_JOB)
        await answer_job_upload(mine, service, store, "me")
        theirs = FakeExchange(path=mine.body["status_url"])
        await answer_job(theirs, store, "you")
        return theirs

    assert refusal(in_virtual_time(body)) == (404, "ih4021")


def test_ih1002_a_server_holds_so_many_jobs() -> None:
    async def body() -> list[FakeExchange]:
        store = JobStore(anyio.current_time(), started_at=datetime(2025, 1, 1, tzinfo=UTC), max_jobs=2)
        service = UploadService(load_scenario("quiet"), make_scanner=seconds(5))
        exchanges = [FakeExchange(ANY_JOB) for _ in range(3)]
        for exchange in exchanges:
            assert await answer_job_upload(exchange, service, store, "me") == exchange.error
        return exchanges

    *accepted, refused = in_virtual_time(body)
    assert [exchange.status for exchange in accepted] == [202, 202]
    assert refusal(refused) == (503, "ih1002")


# -- leases -------------------------------------------------------------------------------------------


def test_aut_2_the_file_is_taken_from_the_lease_in_bytes_and_in_seconds() -> None:
    content = recording(EXAMPLE)
    form = with_file(content, model="inter-2")
    for answer in (upload, submit):
        standing, lease = charged()
        answer(form, range(0, len(form.body), 10_000), lease=lease)
        assert standing.bytes_taken == len(content)
        assert standing.video_taken / 1e6 == pytest.approx(seconds_of(recording(EXAMPLE)), abs=0.001)


def test_aut_2_a_lease_that_is_used_up_refuses_the_file() -> None:
    form = with_file(recording(EXAMPLE), model="inter-2")
    cuts = range(0, len(form.body), 10_000)
    exchange = upload(form, cuts, lease=charged(max_bytes=100_000)[1])
    assert refusal(exchange) == (429, "ih3003")
    assert exchange.error is not None
    assert "max_bytes" in str(exchange.error.message)
    assert exchange.pieces_read <= 12
    assert refusal(upload(form, cuts, lease=charged(max_video_seconds=30)[1])) == (429, "ih3006")
    assert refusal(submit(form, cuts, lease=charged(max_bytes=100_000)[1])[0]) == (429, "ih3003")
    assert refusal(submit(form, cuts, lease=charged(max_video_seconds=30)[1])[0]) == (429, "ih3006")


def test_aut_2_a_refused_file_takes_no_video_from_the_lease() -> None:
    standing, lease = charged()
    assert refusal(upload(with_file(written(*SOUND)), lease=lease)) == (422, "ih5001")
    assert standing.video_taken == 0


# -- scenarios ----------------------------------------------------------------------------------------


def mishap(code: str, where: str, message: str | None = None) -> Scenario:
    extra = f'message = "{message}"' if message is not None else ""
    return parse_scenario(f'name = "mishap"\n[[error]]\ncode = "{code}"\n{where}\n{extra}')


#: Errors that a file can have, and errors that need no file: what a scenario may say of a segment, and at a moment.
AT_SEGMENT_1 = ["ih1001", "ih3001", "ih3002", "ih3003", "ih3006", "ih4002", "ih4007", "ih5001", "ih5002", "ih5008"]
AT_A_MOMENT = ["ih1001", "ih1003", "ih3001", "ih3002", "ih3003", "ih5002"]


@pytest.mark.parametrize("code", AT_SEGMENT_1)
def test_err_3_what_the_scenario_says_of_segment_1_refuses_the_file(code: str) -> None:
    scenario = mishap(code, "segment = 1", "so it is written")
    for exchange in (
        upload(ANY, scenario=scenario, make_scanner=seconds(5)),
        submit(ANY_JOB, scenario=scenario, make_scanner=seconds(5))[0],
    ):
        assert refusal(exchange)[1] == code
        assert exchange.error is not None
        assert exchange.error.message == "so it is written"


@pytest.mark.parametrize("code", AT_A_MOMENT)
def test_err_3_what_the_scenario_says_at_a_moment_refuses_the_file_or_fails_the_job(code: str) -> None:
    scenario = mishap(code, "at = 4")
    assert refusal(upload(ANY, scenario=scenario, make_scanner=seconds(5)))[1] == code
    job = finished(ANY_JOB, scenario=scenario, make_scanner=seconds(5))
    assert (job.status, job.result) == (UploadJobStatus.FAILED, None)
    assert job.error is not None
    assert (job.error.error_id, job.error.correlation_id) == (code, CORRELATION_ID)
    assert (job.error.link, job.error.message) == (ERROR_CODES[code].link, ERROR_CODES[code].meaning)


@pytest.mark.parametrize("where", ["segment = 1", "at = 4"])
def test_ih1004_a_scenario_can_interrupt_a_job_and_a_file_without_one_goes_through(where: str) -> None:
    scenario = mishap("ih1004", where)
    job = finished(ANY_JOB, scenario=scenario, make_scanner=seconds(5))
    assert job.error is not None
    assert (job.status, job.error.error_id) == (UploadJobStatus.FAILED, "ih1004")
    assert upload(ANY, scenario=scenario, make_scanner=seconds(5)).status == 200


@pytest.mark.parametrize("where", ["segment = 2", "at = 5.1"])
def test_what_the_scenario_has_for_later_does_not_concern_the_file(where: str) -> None:
    scenario = mishap("ih1001", where)
    assert upload(ANY, scenario=scenario, make_scanner=seconds(5)).status == 200
    assert finished(ANY_JOB, scenario=scenario, make_scanner=seconds(5)).status is UploadJobStatus.COMPLETED


@pytest.mark.parametrize(("code", "error_id"), [("ih5004", "ih5002"), ("ih6002", "ih4003")])
def test_errors_of_segments_go_by_the_id_that_files_have_for_them(code: str, error_id: str) -> None:
    scenario = mishap(code, "segment = 1")
    assert refusal(upload(ANY, scenario=scenario, make_scanner=seconds(5)))[1] == error_id


@pytest.mark.parametrize("code", ["ih6003", "ih6004"])
def test_errors_of_sessions_do_not_concern_files(code: str) -> None:
    scenario = mishap(code, "at = 4")
    assert upload(ANY, scenario=scenario, make_scanner=seconds(5)).status == 200
    assert finished(ANY_JOB, scenario=scenario, make_scanner=seconds(5)).status is UploadJobStatus.COMPLETED


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_request_waits_for_its_job_on_either_event_loop(backend: str) -> None:
    form = with_file(bytes(10_000), model="inter-2", wait_seconds="120")
    exchange = FakeExchange(form)

    async def body() -> None:
        store = JobStore(anyio.current_time(), started_at=datetime(2025, 1, 1, tzinfo=UTC))
        service = UploadService(load_scenario("quiet"), make_scanner=seconds(5))
        await answer_job_upload(exchange, service, store, "me")

    anyio.run(body, backend=backend)
    assert (exchange.status, exchange.body["status"]) == (200, "completed")
