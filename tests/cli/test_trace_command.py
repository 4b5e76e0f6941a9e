"""`ihproto conformance trace`, and the traces of `ihproto stream`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from builders import detected, ready
from commands import RunningMock, ihproto

KEY = "ih_live_mock"
HEAD = {"ihproto_trace": 1, "revision": "v1", "title": "by hand", "started_at": "2026-01-01T00:00:00Z"}


def lines(*records: dict[str, object], head: dict[str, object] = HEAD) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in [head, *records])


def server_says(*texts: str) -> list[dict[str, object]]:
    return [{"time": float(index), "from": "server", "text": text} for index, text in enumerate(texts)]


#: No scanner can say this of a segment: the clause is about signals.
FAULT = {"seconds": 0, "clause_id": "SIG-1", "what": "x"}
GOOD = lines(*server_says(ready(), detected()))
BAD = lines(
    *server_says(ready(), detected(), detected()), {"time": 3.0, "from": "client", "binary": {"size": 0, "sha256": ""}}
)


def test_a_session_that_is_streamed_can_be_traced_and_judged(
    mock: RunningMock, pieces: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "session.jsonl"
    sent = ihproto("stream", mock.url, *pieces[:4], "--key", KEY, "--pace", "fast", "--trace", str(path), "--json")
    assert sent.returncode == 0
    text = path.read_text()
    assert KEY not in text
    head, *records = [json.loads(line) for line in text.splitlines()]
    assert (head["ihproto_trace"], head["revision"]) == (1, "v1")
    assert [record["text"] for record in records if "text" in record and record["from"] == "server"] == (
        sent.stdout.splitlines()
    )
    sizes = [record["binary"]["size"] for record in records if "binary" in record]
    assert sizes == [Path(piece).stat().st_size for piece in pieces[:4]]
    assert all(record["binary"]["media"]["clause_id"] is None for record in records if "binary" in record)
    assert records[0]["request"]["credential"] == "header"
    assert ["close" in record for record in records[-2:]] == [True, True]
    judged = ihproto("conformance", "trace", str(path))
    assert (judged.returncode, judged.stderr) == (0, "")


def test_a_refused_session_is_traced_without_the_key(mock: RunningMock, pieces: list[str], tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    sent = ihproto("stream", mock.url, pieces[0], "--key", "ih_live_wrong", "--auth", "pair", "--trace", str(path))
    assert sent.returncode == 1
    request, response = [json.loads(line) for line in path.read_text().splitlines()][1:]
    assert response["response"]["status"] == 401
    assert ["sec-websocket-protocol", "access_token, [redacted]"] in request["request"]["headers"]
    assert "ih_live_wrong" not in path.read_text()


def test_a_trace_that_cannot_be_written_is_said_and_the_session_goes_on(mock: RunningMock, pieces: list[str]) -> None:
    sent = ihproto("stream", mock.url, pieces[0], "--key", KEY, "--pace", "fast", "--trace", "/dev/full", "--json")
    assert sent.returncode == 2
    assert "/dev/full cannot be written" in sent.stderr
    assert "session.ended" in sent.stdout


@pytest.mark.parametrize(
    ("subject", "code", "named", "unnamed"),
    [
        ("both", 1, "SIG-1.observed", "nobody"),
        ("server", 1, "SIG-1.observed", "SEG-10.observed"),
        ("client", 0, "SEG-10.observed", "SIG-1.observed"),
    ],
)
def test_what_is_wrong_in_a_trace_is_reported_for_whom_it_was_asked(
    tmp_path: Path, subject: str, code: int, named: str, unnamed: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(BAD)
    result = ihproto("conformance", "trace", str(path), "--subject", subject)
    # An empty segment is wrong only by an assumption of this library, which is no failure.
    assert (result.returncode, result.stderr) == (code, "")
    assert named in result.stdout
    assert unnamed not in result.stdout


def test_how_grave_it_must_be_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(BAD)
    words = ("conformance", "trace", str(path), "--subject", "client", "--fail-on")
    assert [ihproto(*words, level).returncode for level in ("warning", "information")] == [0, 1]


def test_several_traces_make_one_report(tmp_path: Path) -> None:
    reports = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    (tmp_path / "bad.jsonl").write_bytes(BAD)
    (tmp_path / "good.jsonl").write_bytes(GOOD)
    options = [word for kind, path in reports.items() for word in (f"--report-{kind}", str(path))]
    result = ihproto("conformance", "trace", str(tmp_path / "good.jsonl"), str(tmp_path / "bad.jsonl"), *options)
    assert result.returncode == 1
    assert "SIG-1.observed" in result.stdout
    json.loads(reports["json"].read_text())
    assert all("SIG-1.observed" in path.read_text() for path in reports.values())


def test_a_report_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "good.jsonl").write_bytes(GOOD)
    result = ihproto("conformance", "trace", str(tmp_path / "good.jsonl"), "--report-json", "/dev/full")
    assert result.returncode == 2
    assert "/dev/full cannot be written" in result.stderr


def test_standard_input_is_a_file_as_well() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ihproto", "conformance", "trace", "-"], input=BAD, capture_output=True, timeout=60
    )
    assert result.returncode == 1
    assert b"SIG-1.observed" in result.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n\nnonsense\n", "line 3 is not the first line of a trace"),
        (lines(head={**HEAD, "ihproto_trace": 2}), "version 2 is not known"),
        (lines(head={**HEAD, "revision": "v9"}), "there is no revision 'v9'"),
        (lines({"time": 0, "from": "nobody", "text": ""}), "line 2 is not a record"),
        (GOOD + b"\xff\n", "line 4 is not a record"),
        (
            lines({"time": 0, "from": "client", "binary": {"size": 1, "sha256": "", "media": FAULT}}),
            "record 1 cannot be judged: 'SIG-1' is not a clause about media",
        ),
    ],
)
def test_a_file_that_is_no_trace_is_said_with_the_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(content)
    result = ihproto("conformance", "trace", str(path))
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"ihproto conformance trace: {path}: ")
    assert said in line


def test_a_file_that_is_not_there_is_said() -> None:
    result = ihproto("conformance", "trace", "/nowhere/trace.jsonl")
    assert result.returncode == 2
    assert "/nowhere/trace.jsonl cannot be read: No such file or directory" in result.stderr


def test_a_trace_in_which_nothing_passed_could_not_be_judged(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_bytes(lines())
    result = ihproto("conformance", "trace", str(tmp_path / "empty.jsonl"))
    assert result.returncode == 2
    assert "nothing passed" in result.stdout


def test_foreign_text_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(lines(*server_says(ready(), detected("\x1b[2Jstress"))))
    result = ihproto("conformance", "trace", str(path), "-v")
    assert "SIG-6.observed" in result.stdout
    assert "\x1b[2J" not in result.stdout
