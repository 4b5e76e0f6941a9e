"""`ihproto upload`, as it is run: what it prints, how it ends, and what it never says."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from commands import RunningMock, ihproto

from ihproto.codec import decode_json
from ihproto.uploads import AnalysisResult, UploadJob

KEY = "ih_live_upload_key"
KEY_ID, KEY_SECRET = "pair-of-ours", "ih_secret_of_the_pair"
WITH_KEY = ("--key", KEY)
WRONG = "ih_live_wrong"
RECORDING = sorted((Path(__file__).parents[2] / "examples" / "recording").glob("*.bin"))
#: What the bundled scenario has until the recording ends, with the starts of each activity in seconds.
LIVELY = {"agreement": 1.5, "interest": 5.0, "hesitation": 15.5, "skepticism": 25.0, "confidence": 29.0}
SECTIONS = {"overall", "timeline"}

Run = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """The address of a server that all tests share that do not ask what it logged."""
    mock = RunningMock((*WITH_KEY, "--key-pair", KEY_ID, KEY_SECRET))
    yield mock.base_url
    code, log = mock.stop()
    assert code == 0
    assert "Traceback" not in log
    assert not [secret for secret in (KEY, KEY_SECRET, WRONG) if secret in log]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The recording of the examples as one file: 33.5 seconds of video and sound."""
    path = tmp_path_factory.mktemp("film") / "film.webm"
    path.write_bytes(b"".join(piece.read_bytes() for piece in RECORDING))
    return str(path)


def upload(*words: str, **environment: str) -> Run:
    run = ihproto("upload", *words, **{"IHPROTO_KEY_SECRET": "", **environment})
    said = run.stdout + run.stderr
    assert "Traceback" not in said
    assert not [secret for secret in (KEY, KEY_SECRET, WRONG) if secret in said]
    return run


def failed(run: Run, code: int) -> str:
    """The one line that says why it failed."""
    assert (run.returncode, run.stdout) == (code, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith("ihproto upload: ")
    return line


def misused(run: Run) -> str:
    """What it says to wrong usage."""
    assert (run.returncode, run.stdout) == (2, "")
    return run.stderr


def silence(path: Path) -> str:
    """Ten seconds of sound without a picture."""
    with av.open(str(path), "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=8000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        for number in range(10):
            frame = av.AudioFrame("s16", "mono", 8000)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            frame.pts, frame.sample_rate = 8000 * number, 8000
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return str(path)


# --- what was found ---------------------------------------------------------------------------------------------------


def test_people_read_a_line_for_each_thing_that_was_found(service: str, film: str) -> None:
    run = upload(film, service, *WITH_KEY)
    assert (run.returncode, run.stderr) == (0, "")
    rows = [line.split() for line in run.stdout.splitlines()]
    assert {words[5].rstrip(","): float(words[1]) for words in rows if words[0] == "signal"} == LIVELY
    assert [words[0] for words in rows].count("engagement") >= 2
    *periods, overall = [words for words in rows if words[0] == "quality"]
    assert [words[1] for words in periods] == ["0", "10", "20", "30"]
    assert overall[1] == "overall"
    assert float(overall[2]) > 0


def test_json_is_the_answer_as_the_documents_have_it(service: str, film: str) -> None:
    run = upload(film, service, "--json", IHPROTO_KEY=KEY)
    assert (run.returncode, run.stderr) == (0, "")
    (line,) = run.stdout.splitlines()
    result = decode_json(AnalysisResult, line.encode(), "UPL-1")
    assert {span.type: span.start for span in result.signals} == LIVELY
    assert max(span.end for span in result.signals) == pytest.approx(33.5, abs=0.1)
    assert set(json.loads(line)["conversation_quality"]) == SECTIONS


@pytest.mark.parametrize("asked", ["overall", "timeline", "none"])
def test_include_chooses_the_sections(service: str, film: str, asked: str) -> None:
    run = upload(film, service, *WITH_KEY, "--json", "--include", asked)
    quality: dict[str, Any] | None = json.loads(run.stdout).get("conversation_quality")
    assert quality is None if asked == "none" else quality is not None and set(quality) == {asked}


def test_a_server_that_holds_its_answer_back_has_not_to_be_asked_again(
    start_mock: Callable[..., RunningMock], film: str
) -> None:
    mock = start_mock("--log-format", "json")
    run = upload(film, mock.base_url, "--key", "ih_live_mock", "--model", "inter-2", "--wait", "20", "--json")
    assert (run.returncode, run.stderr) == (0, "")
    (line,) = run.stdout.splitlines()
    job = decode_json(UploadJob, line.encode(), "UPL-2")
    assert (job.status, job.model) == ("completed", "inter-2")
    assert job.result is not None
    assert job.result.duration_seconds == pytest.approx(33.5, abs=0.1)
    assert job.result.signals is not None
    assert {span.type for span in job.result.signals} == set(LIVELY)
    assert "job read" not in mock.stop()[1]


def test_a_job_is_read_until_it_is_finished(start_mock: Callable[..., RunningMock], film: str) -> None:
    mock = start_mock("--log-format", "json")
    run = upload(film, mock.base_url, "--key", "ih_live_mock", "--model", "inter-2", "--poll", "0.02")
    assert (run.returncode, run.stderr) == (0, "")
    rows = [line.split() for line in run.stdout.splitlines()]
    assert {words[5].rstrip(",") for words in rows if words[0] == "signal"} == set(LIVELY)
    assert [words[1] for words in rows if words[0] == "window"] == ["0", "8", "16", "24", "32"]
    events = [json.loads(line)["event"] for line in mock.stop()[1].splitlines()]
    assert events.count("job accepted") == 1
    assert events.count("job read") >= 2


def test_the_signals_of_a_job_can_be_left_out(service: str, film: str) -> None:
    words = ("--model", "inter-2", "--wait", "20", "--json", "--include")
    spare = json.loads(upload(film, service, *WITH_KEY, *words, "none").stdout)["result"]
    assert not {"signals", "conversation_quality"} & set(spare)
    with_signals = json.loads(upload(film, service, *WITH_KEY, *words, "signals").stdout)["result"]
    assert with_signals["signals"]
    assert "conversation_quality" not in with_signals


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.fixture
def broken(start_mock: Callable[..., RunningMock], tmp_path: Path) -> str:
    """The address of a server whose analysis always fails."""
    scenario = tmp_path / "broken.toml"
    scenario.write_text('name = "broken"\n[[error]]\nat = 5.0\ncode = "ih1001"\nmessage = "the model crashed"\n')
    return start_mock("--scenario", str(scenario), *WITH_KEY).base_url


def test_a_job_that_failed_is_said_in_a_sentence(broken: str, film: str) -> None:
    said = failed(upload(film, broken, *WITH_KEY, "--model", "inter-2", "--wait", "20"), 1)
    assert "the job failed, ih1001: " in said
    assert "the model crashed" in said


def test_a_job_that_failed_is_printed_as_json_as_well(broken: str, film: str) -> None:
    run = upload(film, broken, *WITH_KEY, "--model", "inter-2", "--wait", "20", "--json")
    assert run.returncode == 1
    job = decode_json(UploadJob, run.stdout.encode(), "UPL-2")
    assert job.status == "failed"
    assert job.error is not None
    assert job.error.error_id == "ih1001"
    assert "ih1001" in run.stderr


def test_an_analysis_that_failed_is_said_in_a_sentence(broken: str, film: str) -> None:
    assert "HTTP 500, ih1001" in failed(upload(film, broken, *WITH_KEY), 1)


def test_a_file_that_is_refused_is_said_with_the_id(service: str, film: str, tmp_path: Path) -> None:
    small = tmp_path / "small.webm"
    small.write_bytes(Path(film).read_bytes()[:9_999])
    empty = tmp_path / "empty.webm"
    empty.touch()
    said = failed(upload(str(small), service, *WITH_KEY), 1)
    assert "ih4007" in said
    assert "9,999 bytes" in said
    assert "ih5001" in failed(upload(silence(tmp_path / "sound.mkv"), service, *WITH_KEY), 1)
    assert "ih4001" in failed(upload(str(empty), service, *WITH_KEY), 1)
    assert "ih4005" in failed(upload(film, service, *WITH_KEY, "--model", "inter-9"), 1)


@pytest.mark.parametrize("model", [[], ["--model", "inter-2"]])
def test_a_wrong_key_is_said_without_the_key(service: str, film: str, model: list[str]) -> None:
    said = failed(upload(film, service, "--key", WRONG, *model), 1)
    assert "HTTP 401, ih2001" in said


def test_a_server_that_is_not_there_gives_exit_code_3(film: str) -> None:
    assert "127.0.0.1:1 cannot be reached" in failed(upload(film, "http://127.0.0.1:1", *WITH_KEY), 3)


@pytest.mark.parametrize(
    "url",
    ["nowhere", "ftp://127.0.0.1", "http://api.example.com", "http://[::1", "http://127.0.0.1:1/v1/upload/analyze"],
)
@pytest.mark.parametrize("paired", [False, True])
def test_a_url_that_cannot_be_used_is_said_with_the_clause(film: str, url: str, paired: bool) -> None:
    words, environment = (("--key-id", KEY_ID), {"IHPROTO_KEY_SECRET": KEY_SECRET}) if paired else (WITH_KEY, {})
    assert "(HS-1)" in failed(upload(film, url, *words, **environment), 2)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "there is no key: pass --key, or set the environment variable IHPROTO_KEY"),
        (["--key-env", "OTHER_KEY"], "OTHER_KEY"),
        (["--key-id", KEY_ID], "has no secret: set the environment variable IHPROTO_KEY_SECRET"),
        (["--key-id", KEY_ID, "--key-secret-env", "OTHER"], "set the environment variable OTHER"),
        (["--key-id", KEY_ID, *WITH_KEY], "pass one of them"),
        ([*WITH_KEY, "--include", "none", "--include", "overall"], "--include none goes with no other"),
        ([*WITH_KEY, "--include", "signals"], "--include signals goes with --model"),
        ([*WITH_KEY, "--wait", "5"], "--wait goes with --model"),
        ([*WITH_KEY, "--poll", "5"], "--poll goes with --model"),
        ([*WITH_KEY, "--model", "inter-2", "--wait", "121"], "121"),
        ([*WITH_KEY, "--model", "inter-2", "--poll", "0"], "--poll"),
    ],
)
def test_wrong_usage_is_said_in_words_with_exit_code_2(film: str, words: list[str], complaint: str) -> None:
    assert complaint in misused(upload(film, "http://127.0.0.1:1", *words))


def test_what_is_no_file_that_can_be_sent_is_said_with_exit_code_2(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path, complaint in (
        (tmp_path, "is a directory"),
        (tmp_path / "nothing", "does not exist"),
        (pipe, "is no regular file"),
    ):
        assert complaint in misused(upload(str(path), "http://127.0.0.1:1", *WITH_KEY))


def test_a_file_that_may_not_be_read_is_said_with_exit_code_2(film: str, tmp_path: Path) -> None:
    path = tmp_path / "locked.webm"
    path.write_bytes(b"x")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("whoever runs this may read everything")
    assert "is not readable" in misused(upload(str(path), "http://127.0.0.1:1", *WITH_KEY))


# --- key pairs --------------------------------------------------------------------------------------------------------


def test_a_key_pair_is_exchanged_for_a_token_that_uploads(service: str, film: str) -> None:
    run = upload(film, service, "--key-id", KEY_ID, "--json", IHPROTO_KEY_SECRET=KEY_SECRET)
    assert (run.returncode, run.stderr) == (0, "")
    assert json.loads(run.stdout)["signals"]


def test_the_secret_may_be_in_another_variable(service: str, film: str) -> None:
    words = ("--key-id", KEY_ID, "--key-secret-env", "OTHER", "--model", "inter-2", "--wait", "20", "--json")
    run = upload(film, service, *words, OTHER=KEY_SECRET)
    assert json.loads(run.stdout)["status"] == "completed"


def test_a_key_pair_that_does_not_exist_is_said_without_the_secret(service: str, film: str) -> None:
    said = failed(upload(film, service, "--key-id", KEY_ID, IHPROTO_KEY_SECRET=WRONG), 1)
    assert "the server refused the key with HTTP 401, ih2001" in said


# --- an end in between ------------------------------------------------------------------------------------------------


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """A server that takes connections, and answers when the test does."""
    with socket.socket() as listener:
        # Small, so that a large file is not in it as a whole.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.settimeout(30)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def begun(*words: str, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ihproto", "upload", words[0], url, *words[1:], *WITH_KEY]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_the_middle_of_an_upload_ends_it_cleanly(
    deaf: socket.socket, tmp_path: Path, number: int, code: int
) -> None:
    large = tmp_path / "large.webm"
    with large.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    with begun(str(large), url=url_of(deaf)) as process:
        try:
            connection, _ = deaf.accept()
            with connection:
                assert connection.recv(100).startswith(b"POST /v1/upload/analyze")
                process.send_signal(number)
                output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, output) == (code, "")
    assert errors == "ihproto upload: interrupted\n"


def test_a_signal_between_two_looks_at_a_job_ends_it_cleanly(deaf: socket.socket, film: str) -> None:
    times = {"created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T01:00:00Z"}
    job = {"job_id": "j-1", "status": "queued", "model": "inter-2", **times, "status_url": "/v2/upload/jobs/j-1"}
    body = json.dumps(job).encode()
    head = f"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with begun(film, "--model", "inter-2", "--poll", "600", url=url_of(deaf)) as process:
        try:
            connection, _ = deaf.accept()
            with connection:
                assert connection.recv(100).startswith(b"POST /v2/upload/analyze")
                connection.sendall(head.encode() + body)
                # It hangs up when it has the answer.
                while connection.recv(1 << 20):
                    pass
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, output, errors) == (130, "", "ihproto upload: interrupted\n")


def test_a_file_that_shrinks_while_it_is_sent_is_said_in_a_sentence(deaf: socket.socket, tmp_path: Path) -> None:
    large = tmp_path / "large.webm"
    with large.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    with begun(str(large), url=url_of(deaf)) as process:
        try:
            connection, _ = deaf.accept()
            with connection:
                assert connection.recv(100)
                os.truncate(large, 0)
                while connection.recv(1 << 20):
                    pass
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, output) == (1, "")
    (line,) = errors.splitlines()
    assert "the file ended after" in line
    assert "of 33554432 bytes" in line


def test_a_server_that_hangs_up_is_said_in_a_sentence(deaf: socket.socket, film: str) -> None:
    with begun(film, url=url_of(deaf)) as process:
        try:
            connection, _ = deaf.accept()
            connection.close()
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, output) == (1, "")
    assert len(errors.splitlines()) == 1
    assert "Traceback" not in errors


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_has_gone_away_ends_it_quietly(service: str, film: str, more: list[str]) -> None:
    with begun(film, *more, url=service) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            errors = process.stderr.read()
            assert process.wait(timeout=30) == 141
        finally:
            process.kill()
    assert errors == ""


@pytest.mark.parametrize("words", ["see [/foo]", "[bold]big[/bold] [link=http://x]here"])
def test_brackets_in_what_a_server_says_are_only_brackets(film: str, tmp_path: Path, words: str) -> None:
    scenario = tmp_path / "brackets.toml"
    signal_ = f'[[signal]]\ntype = "stress"\nstart = 1\nend = 9\nrationale = "{words}"\n'
    scenario.write_text(f'name = "brackets"\n{signal_}')
    mock = RunningMock((*WITH_KEY, "--scenario", str(scenario)))
    try:
        assert words in upload(film, mock.base_url, *WITH_KEY).stdout
    finally:
        mock.stop()


def test_a_url_that_is_none_is_said_so(film: str) -> None:
    line = failed(upload(film, "http://[::1", "--key-id", KEY_ID, IHPROTO_KEY_SECRET=KEY_SECRET), 2)
    assert "(HS-1)" in line
