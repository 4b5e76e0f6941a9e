from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import RunningMock, ihproto

KEY = "ih_live_mock"


@pytest.mark.parametrize("auth", ["header", "subprotocol", "pair"])
def test_a_session_that_ends_well_exits_with_0(mock: RunningMock, pieces: list[str], auth: str) -> None:
    result = ihproto("stream", mock.url, *pieces, "--key", KEY, "--pace", "fast", "--auth", auth)
    assert result.returncode == 0
    assert result.stderr == ""
    heads = [line.split()[0] for line in result.stdout.splitlines()]
    for head in ("session.ready", "signal.detected", "signal.updated", "signal.ended", "engagement.updated", "sent"):
        assert head in heads
    assert heads.count("conversation_quality.updated") >= 2
    assert heads[-2:] == ["session.ended", "note"]


def test_json_prints_each_envelope_as_it_came(mock: RunningMock, pieces: list[str]) -> None:
    result = ihproto("stream", mock.url, *pieces, "--pace", "fast", "--json", IHPROTO_KEY=KEY)
    envelopes = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0
    assert [envelopes[0]["type"], envelopes[-1]["type"]] == ["session.ready", "session.ended"]
    assert {frozenset(envelope) for envelope in envelopes} == {
        frozenset({"type", "timestamp", "correlation_id", "data"})
    }


@pytest.mark.parametrize(
    ("include", "sections"),
    [
        (["--include", "overall"], {"overall"}),
        (["--include", "timeline"], {"timeline"}),
        (["--include", "none"], None),
    ],
)
def test_include_chooses_the_sections(
    mock: RunningMock, pieces: list[str], include: list[str], sections: set[str] | None
) -> None:
    result = ihproto("stream", mock.url, *pieces[:5], "--key", KEY, "--pace", "fast", "--json", *include)
    quality = [
        set(envelope["data"])
        for envelope in map(json.loads, result.stdout.splitlines())
        if envelope["type"] == "conversation_quality.updated"
    ]
    assert quality == ([] if sections is None else [sections])


def test_a_wrong_key_is_one_line_without_the_key(mock: RunningMock, pieces: list[str]) -> None:
    result = ihproto("stream", mock.url, *pieces, "--key", "ih_live_wrong")
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert "HTTP 401" in line
    assert "ih2001" in line
    assert "ih_live_wrong" not in line


def test_a_key_without_the_scope_is_one_line(start_mock: Callable[..., RunningMock], pieces: list[str]) -> None:
    mock = start_mock("--scoped-key", "ih_live_upload", "interhumanai.upload")
    result = ihproto("stream", mock.url, *pieces, "--key", "ih_live_upload")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "ih2003" in line
    assert "4003" in line
    assert "ih_live_upload" not in line


def test_what_the_server_refuses_is_said_and_the_exit_code_is_1(
    start_mock: Callable[..., RunningMock], pieces: list[str]
) -> None:
    mock = start_mock("--scenario", "troubled")
    result = ihproto("stream", mock.url, *pieces[:4], "--key", KEY, "--pace", "fast")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "segment 2, ih5002" in line
    assert "and 1 more" in line


def test_a_session_that_the_server_breaks_off_is_said_and_the_exit_code_is_1(
    start_mock: Callable[..., RunningMock], pieces: list[str]
) -> None:
    mock = start_mock("--scenario", "troubled")
    result = ihproto("stream", mock.url, *pieces, "--key", KEY, "--pace", "100x")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "ih1001" in line
    assert "1011" in line


def test_a_server_that_is_not_there_gives_exit_code_3(pieces: list[str]) -> None:
    result = ihproto("stream", "ws://127.0.0.1:1", *pieces, "--key", KEY)
    assert result.returncode == 3
    (line,) = result.stderr.splitlines()
    assert "cannot be reached" in line


def test_a_file_that_is_too_large_is_not_sent_and_the_others_are(
    mock: RunningMock, pieces: list[str], tmp_path: Path
) -> None:
    large = tmp_path / "large.webm"
    with large.open("wb") as file:
        file.truncate(33_554_433)
    result = ihproto("stream", mock.url, pieces[0], str(large), pieces[1], "--key", KEY, "--pace", "fast")
    assert result.returncode == 1
    assert "SEG-2" in result.stderr
    assert "large.webm" in result.stderr
    assert "2 segments sent" in result.stderr


def test_an_empty_file_is_skipped_with_a_note(mock: RunningMock, pieces: list[str], tmp_path: Path) -> None:
    empty = tmp_path / "002.bin"
    empty.touch()
    result = ihproto("stream", mock.url, pieces[0], str(empty), "--key", KEY, "--pace", "fast")
    assert result.returncode == 0
    assert "002.bin is empty and was skipped" in result.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["ws://127.0.0.1:1", "FILE"], "--key"),
        (["ws://127.0.0.1:1", "FILE", "--key", "a/b", "--auth", "pair"], "HS-7"),
        (["http://127.0.0.1:1", "FILE", "--key", "k"], "HS-1"),
        (["ws://api.example.com", "FILE", "--key", "k"], "wss://"),
        (["ws://127.0.0.1:1", "no-such-file", "--key", "k"], "no-such-file"),
        (["ws://127.0.0.1:1", "FILE", "--key", "k", "--pace", "quick"], "realtime, fast"),
        (["ws://127.0.0.1:1", "FILE", "--key", "k", "--include", "none", "--include", "overall"], "none"),
        (["ws://127.0.0.1:1"], "FILES"),
    ],
)
def test_wrong_usage_is_said_in_words_with_exit_code_2(words: list[str], complaint: str, pieces: list[str]) -> None:
    result = ihproto("stream", *[pieces[0] if word == "FILE" else word for word in words])
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly(mock: RunningMock, pieces: list[str], number: int, code: int) -> None:
    command = [sys.executable, "-m", "ihproto", "stream", mock.url, *pieces, "--key", KEY, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert "session.ready" in process.stdout.readline()
            process.send_signal(number)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code
    assert "interrupted" in errors
    assert "Traceback" not in errors
    _, log = mock.stop(signal.SIGTERM)
    assert "close_code 1000" in log


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_reader_that_goes_away_ends_the_session_cleanly(
    mock: RunningMock, pieces: list[str], more: list[str]
) -> None:
    command = [sys.executable, "-m", "ihproto", "stream", mock.url, *pieces, "--key", KEY, "--pace", "10x", *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert "session.ready" in process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
            assert process.wait(timeout=30) == 141
        finally:
            process.kill()
    assert "Traceback" not in errors
    _, log = mock.stop(signal.SIGTERM)
    assert "close_code 1000" in log


def test_a_pipe_is_a_file_like_any_other(mock: RunningMock, pieces: list[str]) -> None:
    command = [sys.executable, "-m", "ihproto", "stream", mock.url, "/dev/stdin", "--key", KEY, "--json"]
    data = Path(pieces[0]).read_bytes()
    result = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr


def test_nothing_but_empty_files_is_not_a_session_that_went_well(mock: RunningMock, tmp_path: Path) -> None:
    empty = tmp_path / "000.bin"
    empty.touch()
    result = ihproto("stream", mock.url, str(empty), "--key", KEY)
    assert result.returncode == 1
    assert "nothing to send" in result.stderr


def test_pieces_out_of_order_are_explained(mock: RunningMock, pieces: list[str]) -> None:
    result = ihproto("stream", mock.url, *pieces[:2], pieces[3], pieces[2], "--key", KEY, "--pace", "fast")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "segment 3, ih5004: segment 3 leaves a gap of 3.00 s" in line
    assert "a piece in between is missing; send the recorder's chunks in order, each once (SEG-6)" in line


# --- revisions --------------------------------------------------------------------------------------------------------


def events_of(log: str, event: str) -> list[dict[str, Any]]:
    return [entry for entry in map(json.loads, log.splitlines()) if entry["event"] == event]


@pytest.mark.parametrize(
    ("revision", "member", "types", "never"),
    [
        ("v0", "status", {"processing", "result", "completed"}, "correlation_id"),
        ("v0.2", "status", {"processing", "result", "completed"}, "type"),
        # Nothing says when such a server has finished, so the client listens on for a while.
        pytest.param(
            "v1-window",
            "type",
            {"signal.detected", "engagement.updated", "conversation_quality.updated"},
            "status",
            marks=pytest.mark.slow,
        ),
        ("v1", "type", {"session.ready", "session.updated", "signal.detected", "session.ended"}, "status"),
        ("v2", "type", {"session.ready", "session.updated", "signal.detected", "session.ended"}, "status"),
    ],
)
def test_every_revision_can_be_spoken(
    start_mock: Callable[..., RunningMock], pieces: list[str], revision: str, member: str, types: set[str], never: str
) -> None:
    mock = start_mock("--log-format", "json", "--pin", revision)
    url = mock.base_url.replace("http", "ws")
    result = ihproto("stream", url, *pieces[:4], "--key", KEY, "--pace", "fast", "--json", "--revision", revision)
    assert result.returncode == 0, result.stderr
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    assert types <= {message[member] for message in messages}
    assert not [message for message in messages if never in message]
    if revision in ("v1-window", "v0", "v0.2"):
        assert "session.ready" not in result.stdout
    _, log = mock.stop()
    (opened,) = events_of(log, "session opened")
    assert opened["revision"] == revision
    assert len(events_of(log, "segment accepted")) == 4


def test_a_model_may_take_raw_audio_whose_length_follows_from_its_rate(
    start_mock: Callable[..., RunningMock], tmp_path: Path
) -> None:
    mock = start_mock("--log-format", "json")
    speech = tmp_path / "speech.pcm"
    speech.write_bytes(bytes(480_000))
    url = mock.url.replace("/v1/", "/v2/")
    for rate in ("16000", "24000"):
        words = ("--revision", "v2", "--model", "inter-2-audio", "--audio-rate", rate)
        result = ihproto("stream", url, str(speech), "--key", KEY, "--pace", "fast", *words)
        assert result.returncode == 0, result.stderr
    _, log = mock.stop()
    assert [opened["model"] for opened in events_of(log, "session opened")] == ["inter-2-audio"] * 2
    # Samples of two bytes each, one channel.
    assert [accepted["end"] for accepted in events_of(log, "segment accepted")] == [15.0, 10.0]


def test_goals_bring_feedback_in_v2(mock: RunningMock, pieces: list[str]) -> None:
    url = mock.url.replace("/v1/", "/v2/")
    words = ("--revision", "v2", "--model", "inter-2", "--goal", "clarity", "--goal", "energy", "--json")
    result = ihproto("stream", url, *pieces[:6], "--key", KEY, "--pace", "fast", *words)
    assert result.returncode == 0, result.stderr
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    (config,) = [message["data"] for message in messages if message["type"] == "session.updated"]
    assert (config["goal_dimensions"], config["model"]) == (["clarity", "energy"], "inter-2")
    (advice,) = [message["data"] for message in messages if message["type"] == "feedback.generated"]
    assert "a short question now" in json.dumps(advice)


def test_raw_audio_for_a_model_that_takes_none_is_refused_and_said(mock: RunningMock, pieces: list[str]) -> None:
    url = mock.url.replace("/v1/", "/v2/")
    words = ("--revision", "v2", "--model", "inter-2", "--audio-rate", "16000")
    result = ihproto("stream", url, pieces[0], "--key", KEY, "--pace", "fast", *words)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "ih6001" in line
    assert "CFG-8" in line


def test_goals_that_a_session_does_not_offer_are_refused_and_said(mock: RunningMock, pieces: list[str]) -> None:
    result = ihproto("stream", mock.url, *pieces[:2], "--key", KEY, "--pace", "fast", "--goal", "clarity")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "2 segments sent" in line
    assert "ih6001" in line
    assert "goal_dimensions" in line


@pytest.mark.parametrize(
    ("revision", "words", "clause"),
    [
        ("v0", ["--model", "inter-2"], "CFG-1"),
        ("v0", ["--include", "overall"], "CFG-1"),
        ("v0.2", ["--goal", "clarity"], "CFG-1"),
        ("v1-window", ["--goal", "clarity"], "CFG-5"),
        ("v1-window", ["--model", "inter-2"], "CFG-7"),
        ("v1", ["--model", "inter-2"], "CFG-7"),
        ("v1", ["--audio-rate", "16000"], "CFG-5"),
    ],
)
def test_what_a_revision_does_not_have_is_said_with_the_clause_before_anything_is_sent(
    mock: RunningMock, pieces: list[str], revision: str, words: list[str], clause: str
) -> None:
    url = mock.base_url.replace("http", "ws")
    result = ihproto("stream", url, pieces[0], "--key", KEY, "--revision", revision, *words)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    (line,) = result.stderr.splitlines()
    assert clause in line


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--revision", "v3"], "v3"),
        (["--goal", "charm"], "charm"),
        (["--audio-rate", "44100"], "44100"),
    ],
)
def test_a_choice_that_there_is_not_is_said_with_exit_code_2(
    pieces: list[str], words: list[str], complaint: str
) -> None:
    result = ihproto("stream", "ws://127.0.0.1:1", pieces[0], "--key", KEY, *words)
    assert result.returncode == 2
    assert complaint in result.stderr


def test_a_model_that_the_server_does_not_have_is_one_line(mock: RunningMock, pieces: list[str]) -> None:
    url = mock.url.replace("/v1/", "/v2/")
    result = ihproto("stream", url, pieces[0], "--key", KEY, "--revision", "v2", "--model", "inter-9")
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert "ih4005" in line
    assert "1008" in line


@pytest.mark.parametrize(("revision", "path"), [("v0.2", "/v0/auth"), ("v1", "/v1/auth"), ("v2", "/v1/auth")])
def test_a_key_pair_is_exchanged_where_its_revision_has_it(
    start_mock: Callable[..., RunningMock], pieces: list[str], revision: str, path: str
) -> None:
    mock = start_mock("--log-format", "json", "--key-pair", "ours", "ih_secret_of_ours")
    words = ("--key-id", "ours", "--pace", "fast", "--revision", revision)
    url = mock.base_url.replace("http", "ws")
    result = ihproto("stream", url, *pieces[:2], *words, IHPROTO_KEY_SECRET="ih_secret_of_ours")
    assert result.returncode == 0, result.stderr
    wrong = ihproto("stream", url, *pieces[:2], *words, IHPROTO_KEY_SECRET="ih_secret_wrong")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "ih2001" in wrong.stderr
    _, log = mock.stop()
    assert [request["path"] for request in events_of(log, "request")] == [path, path]
    assert len(events_of(log, "session opened")) == 1
    assert "ih_secret" not in log + result.stdout + result.stderr + wrong.stderr


@pytest.mark.parametrize(
    ("url", "complaint"), [("ws://[::1", "cannot be read"), ("nowhere", "wss://"), ("http://127.0.0.1:1", "wss://")]
)
def test_a_url_is_judged_before_a_key_pair_is_exchanged(pieces: list[str], url: str, complaint: str) -> None:
    result = ihproto("stream", url, pieces[0], "--key-id", "ours", IHPROTO_KEY_SECRET="ih_secret_of_ours")
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert complaint in line
    assert "HS-1" in line


def test_a_key_pair_without_its_secret_is_wrong_usage(pieces: list[str]) -> None:
    result = ihproto("stream", "ws://127.0.0.1:1", pieces[0], "--key-id", "ours", IHPROTO_KEY_SECRET="")
    assert result.returncode == 2
    assert "IHPROTO_KEY_SECRET" in result.stderr
