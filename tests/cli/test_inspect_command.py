from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from commands import ihproto

REPOSITORY = Path(__file__).parents[2]
RECORDING = REPOSITORY / "examples/recording"
FIRST, SECOND, THIRD, LAST = (str(RECORDING / f"{number:03}.bin") for number in (0, 1, 2, 11))
MP4 = [str(REPOSITORY / f"tests/recordings/mp4-vp9-opus/{number:03}.bin") for number in range(3)]
LIMIT = 33_554_432

KEYS = [
    "file",
    "bytes",
    "container",
    "has_header",
    "start_seconds",
    "end_seconds",
    "duration_seconds",
    "tracks",
    "verdict",
]

Run = subprocess.CompletedProcess[str]


def inspect(*words: str) -> Run:
    run = ihproto("inspect", *words)
    assert "Traceback" not in run.stdout + run.stderr
    return run


def rows(*words: str, code: int = 0) -> list[dict[str, Any]]:
    """The objects that are printed, one a line."""
    run = inspect("--json", *words)
    assert (run.returncode, run.stderr) == (code, "")
    found = [json.loads(line) for line in run.stdout.splitlines()]
    for row in found:
        assert list(row) == [*KEYS, "error"] if row["verdict"] == "refused" else list(row) == KEYS
        if "error" in row:
            assert list(row["error"]) == ["code", "clause", "message"]
        assert all(list(track) == ["kind", "codec"] for track in row["tracks"])
    return found


def sparse(path: Path, size: int, beginning: bytes = b"") -> str:
    """A file of so many bytes, most of them zeros that take no place."""
    path.write_bytes(beginning)
    os.truncate(path, size)
    return str(path)


def film(path: Path, form: str, codec: str, **options: str) -> str:
    """Four seconds of video, as ffmpeg writes them."""
    with av.open(str(path), "w", format=form, options=options) as output:
        stream = output.add_stream(codec, rate=25, options={"threads": "1"})
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(100):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([number]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return str(path)


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_each_file_is_judged_on_its_own_and_json_says_everything_of_it() -> None:
    first, second = rows(FIRST, SECOND, code=1)
    assert first == {
        "file": FIRST,
        "bytes": 43298,
        "container": "webm",
        "has_header": True,
        "start_seconds": pytest.approx(0.0, abs=0.05),
        "end_seconds": pytest.approx(2.95, abs=0.05),
        "duration_seconds": pytest.approx(2.95, abs=0.05),
        "tracks": [{"kind": "video", "codec": "vp8"}, {"kind": "audio", "codec": "opus"}],
        "verdict": "accepted",
    }
    assert (second["verdict"], second["bytes"], second["has_header"]) == ("refused", 50892, False)
    assert (second["error"]["code"], second["error"]["clause"]) == ("ih5004", "SEG-6")
    message = second["error"]["message"]
    assert message.startswith("segment 1 begins inside a Matroska Cluster")
    assert message.endswith("send the recorder's first chunk first")


def test_as_a_session_the_pieces_of_a_recording_are_accepted_in_order() -> None:
    pieces = [str(path) for path in sorted(RECORDING.glob("*.bin"))]
    found = rows("--as-session", *pieces)
    assert [row["file"] for row in found] == pieces
    assert [row["has_header"] for row in found] == [True] + [False] * 11
    assert {row["container"] for row in found} == {"webm"}
    assert found[0]["start_seconds"] == pytest.approx(0.0, abs=0.05)
    assert found[-1]["end_seconds"] == pytest.approx(33.4, abs=0.1)
    for row in found:
        assert row["duration_seconds"] == pytest.approx(row["end_seconds"] - row["start_seconds"])


def test_as_a_session_a_refused_file_has_its_number_and_the_next_ones_are_judged_without_it() -> None:
    found = rows("--as-session", FIRST, THIRD, SECOND, THIRD, code=1)
    assert [row["verdict"] for row in found] == ["accepted", "refused", "accepted", "accepted"]
    assert found[1]["error"]["message"].startswith("segment 2 does not continue segment 1")


def test_the_strict_option_refuses_a_short_last_piece() -> None:
    pieces = [str(path) for path in sorted(RECORDING.glob("*.bin"))]
    found = rows("--as-session", "--strict-duration", *pieces, code=1)
    assert [row["verdict"] for row in found] == ["accepted"] * 11 + ["refused"]
    assert (found[-1]["error"]["code"], found[-1]["error"]["clause"]) == ("ih4007", "SEG-4")
    assert found[-1]["error"]["message"] == "segment 12 is 0.24 s long; the session's minimum is 3 s"
    assert found[-1]["duration_seconds"] == pytest.approx(0.24, abs=0.05)


def test_an_empty_file_is_refused_and_a_header_without_media_is_not() -> None:
    header, empty, media = rows("--as-session", MP4[0], MP4[2], MP4[1], code=1)
    assert (header["container"], header["has_header"], header["verdict"]) == ("mp4", True, "accepted")
    assert (header["start_seconds"], header["end_seconds"], header["duration_seconds"]) == (None, None, 0.0)
    assert len(header["tracks"]) == 2
    assert (empty["bytes"], empty["container"], empty["has_header"], empty["tracks"]) == (0, None, False, [])
    assert (empty["start_seconds"], empty["end_seconds"], empty["duration_seconds"]) == (None, None, 0.0)
    assert (empty["error"]["code"], empty["error"]["clause"]) == ("ih5004", "SEG-10")
    assert empty["error"]["message"].startswith("segment 2 has 0 bytes")
    assert (media["verdict"], media["has_header"]) == ("accepted", False)
    assert media["duration_seconds"] == pytest.approx(12.4, abs=0.1)


def test_a_file_that_is_too_large_is_refused_as_such_and_one_of_exactly_the_limit_is_not(tmp_path: Path) -> None:
    # What stands behind the media of an MP4 may be free space of any size (ISO/IEC 14496-12, 8.1.2).
    whole = Path(film(tmp_path / "film.mp4", "mp4", "mpeg4")).read_bytes()
    free = b"\x00\x00\x00\x01free" + (1 << 40).to_bytes(8, "big")
    at_limit = sparse(tmp_path / "at_limit.mp4", LIMIT, whole + free)
    over = sparse(tmp_path / "over.mp4", LIMIT + 1, whole + free)
    zeros = sparse(tmp_path / "zeros", LIMIT + 1)
    first, *others = rows(at_limit, over, zeros, code=1)
    assert (first["bytes"], first["verdict"]) == (LIMIT, "accepted")
    for row in others:
        assert (row["bytes"], row["verdict"]) == (LIMIT + 1, "refused")
        assert (row["error"]["code"], row["error"]["clause"]) == ("ih6002", "SEG-2")
        assert "segment 1 exceeds the limit of 33,554,432 bytes" in row["error"]["message"]


def test_an_older_revision_has_limits_of_its_own(tmp_path: Path) -> None:
    # Documented for v0: at least 10,000 bytes and at most 20 MiB.
    whole = Path(film(tmp_path / "film.mp4", "mp4", "mpeg4")).read_bytes()
    free = b"\x00\x00\x00\x01free" + (1 << 40).to_bytes(8, "big")
    sizes = [9_999, 10_000, 20 * 1024 * 1024, 20 * 1024 * 1024 + 1]
    assert len(whole + free) < sizes[0]
    files = [sparse(tmp_path / f"{size}.mp4", size, whole + free) for size in sizes]
    small, *others, large = rows("--revision", "v0", *files, code=1)
    assert [row["bytes"] for row in (small, *others, large)] == sizes
    assert [row["verdict"] for row in (small, *others, large)] == ["refused", "accepted", "accepted", "refused"]
    assert small["error"]["clause"] == large["error"]["clause"] == "SEG-3"
    assert "10000" in small["error"]["message"].replace(",", "")
    assert large["error"]["message"] == "Video chunk too large: 20971521 bytes (maximum: 20971520 bytes)"
    for revision in ("v0.2", "v1"):
        assert {row["verdict"] for row in rows("--revision", revision, *files)} == {"accepted"}


def test_of_a_file_that_is_too_large_nothing_is_told_that_another_file_holds(tmp_path: Path) -> None:
    whole = Path(film(tmp_path / "film.mp4", "mp4", "mpeg4")).read_bytes()
    free = b"\x00\x00\x00\x01free" + (1 << 40).to_bytes(8, "big")
    row = rows("--as-session", FIRST, sparse(tmp_path / "over.mp4", LIMIT + 1, whole + free), code=1)[1]
    assert row["error"]["code"] == "ih6002"
    assert row["container"] in ("mp4", None)
    assert {"kind": "audio", "codec": "opus"} not in row["tracks"]


def test_every_container_is_told_by_the_name_that_the_documents_have(tmp_path: Path) -> None:
    found = rows(
        film(tmp_path / "1", "mov", "mpeg4"),
        film(tmp_path / "2", "avi", "mpeg4"),
        film(tmp_path / "3", "matroska", "mpeg4"),
        film(tmp_path / "4", "mpegts", "mpeg2video"),
        film(tmp_path / "5", "mpegts", "mpeg2video", mpegts_m2ts_mode="1"),
    )
    assert [row["container"] for row in found] == ["mov", "avi", "mkv", "mpeg-ts", "mpeg-2-ts"]
    assert [row["tracks"][0]["codec"] for row in found] == ["mpeg4"] * 3 + ["mpeg2video"] * 2
    for row in found:
        assert [track["kind"] for track in row["tracks"]] == ["video"]
        assert row["duration_seconds"] == pytest.approx(4.0, abs=0.05)


# --- for people -------------------------------------------------------------------------------------------------------


def test_people_read_what_each_file_holds() -> None:
    run = inspect("--as-session", FIRST, THIRD, MP4[0])
    assert (run.returncode, run.stderr) == (1, "")
    assert f"{FIRST}  accepted" in run.stdout
    assert "webm, with a header of its own, 43,298 bytes" in run.stdout
    assert "0.000 s to 2.948 s, 2.948 s long" in run.stdout
    assert "video vp8, audio opus" in run.stdout
    assert f"{THIRD}  refused" in run.stdout
    assert "webm, without a header, 51,276 bytes" in run.stdout
    assert "ih5004 (SEG-6): segment 2 does not continue segment 1" in run.stdout
    assert f"{MP4[0]}  accepted" in run.stdout
    assert "mp4, with a header of its own, 1,200 bytes" in run.stdout


def test_people_read_what_a_file_is_instead(tmp_path: Path) -> None:
    path = tmp_path / "sound.ogg"
    path.write_bytes(b"OggS" + bytes(2000))
    run = inspect(str(path))
    assert run.returncode == 1
    assert "no container that is known, without a header, 2,004 bytes" in run.stdout
    assert "ih4002 (SEG-5): segment 1 is an Ogg file; send one of mp4, avi," in run.stdout


def test_lines_are_not_broken_in_two_where_they_are_piped() -> None:
    lines = inspect(FIRST, SECOND).stdout.splitlines()
    assert [line.startswith("  ") for line in lines] == [False, True, True, True, False, True, True]


def test_without_a_file_there_is_nothing_to_inspect() -> None:
    run = inspect()
    assert run.returncode == 2
    assert "FILES" in run.stderr


# --- files that cannot be read ----------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_a_wrong_usage(tmp_path: Path) -> None:
    run = inspect("--json", FIRST, str(tmp_path / "missing.webm"))
    assert (run.returncode, run.stdout) == (2, "")
    assert "missing.webm' does not exist" in run.stderr


def test_a_directory_is_a_wrong_usage(tmp_path: Path) -> None:
    run = inspect(str(tmp_path))
    assert (run.returncode, run.stdout) == (2, "")
    assert "is a directory" in run.stderr


@pytest.fixture
def unreadable() -> Callable[[Path], str]:
    """Makes files that are there and cannot be read, even by root."""
    memory = Path("/proc/self/mem")
    if not memory.exists():
        pytest.skip("needs a file that nobody can read from its beginning")

    def make(path: Path) -> str:
        path.symlink_to(memory)
        return str(path)

    return make


def test_a_file_that_cannot_be_read_is_told_in_words(tmp_path: Path, unreadable: Callable[[Path], str]) -> None:
    run = inspect(unreadable(tmp_path / "broken.webm"))
    assert (run.returncode, run.stdout) == (2, "")
    assert "broken.webm: Input/output error" in run.stderr


# --- names that steer a terminal --------------------------------------------------------------------------------------

STEERING = "a\x07b\x1b]0;title\x07c\x1b[31m\u202e.webm"


@pytest.mark.parametrize("mode", [["--json"], []], ids=["json", "text"])
def test_control_characters_in_a_name_do_not_reach_the_terminal(tmp_path: Path, mode: list[str]) -> None:
    steering = tmp_path / STEERING
    no_utf_8 = Path(os.fsdecode(os.fsencode(tmp_path) + b"/chunk-\xff.webm"))
    for path in (steering, no_utf_8):
        path.write_bytes(Path(FIRST).read_bytes())
    run = inspect(*mode, str(steering), str(no_utf_8))
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.replace("\n", "").isprintable()
    if mode:
        # JSON has escapes for what is not printable, so that nothing of the names is lost.
        assert [json.loads(line)["file"] for line in run.stdout.splitlines()] == [str(steering), str(no_utf_8)]
    else:
        assert "chunk-\ufffd.webm  accepted" in run.stdout


def test_control_characters_of_a_name_that_is_not_there_do_not_reach_the_terminal(tmp_path: Path) -> None:
    run = inspect(str(tmp_path / STEERING))
    assert run.returncode == 2
    assert run.stderr.replace("\n", "").isprintable()


def test_control_characters_of_a_name_that_cannot_be_read_do_not_reach_the_terminal(
    tmp_path: Path, unreadable: Callable[[Path], str]
) -> None:
    run = inspect(unreadable(tmp_path / STEERING))
    assert run.returncode == 2
    assert run.stderr.replace("\n", "").isprintable()


def test_who_reads_only_the_first_line_gets_no_traceback() -> None:
    command = [sys.executable, "-m", "ihproto", "inspect", "--json", *[LAST] * 2000]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["verdict"] == "refused"
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()
