from __future__ import annotations

import importlib.util
import io
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import av
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from media_corpus import Recipe, make

from ihproto import ExpectedMedia, MediaScanner, SegmentFault, SegmentMedia, SessionReady
from ihproto.anyio import ServerStream, serve
from ihproto_mock import LogEntry, MockServer

CAMERA = Path(__file__).parents[1] / "examples" / "camera.py"
#: A source, its length in seconds, and whether it has sound.
SOURCES = {
    "VP8 and Opus": Recipe("webm", "vp8", "opus", seconds=10),
    "H.264 with B-frames and AAC": Recipe("mp4", "h264", "aac", b_frames=2, seconds=10),
    "without sound": Recipe("mkv", "h264", None, seconds=10),
}


class Keeping:
    """A scanner that keeps the bytes of each segment for others to look at."""

    def __init__(self, contract: SessionReady, kept: list[bytes]) -> None:
        self._scanner = MediaScanner(contract)
        self._kept = kept

    def expect(self, expected: ExpectedMedia) -> None:
        self._scanner.expect(expected)

    def begin(self, number: int) -> None:
        self._kept.append(b"")
        self._scanner.begin(number)

    def feed(self, data: bytes) -> SegmentFault | None:
        self._kept[-1] += data
        return self._scanner.feed(data)

    def finish(self) -> SegmentMedia | SegmentFault:
        return self._scanner.finish()


class Ran:
    """What a run of the example left behind: its output, what the server logged, and the segments."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.out: list[str] = []
        self.err = ""
        self.log: list[LogEntry] = []
        self.segments: list[bytes] = []

    def logged(self, event: str) -> list[LogEntry]:
        return [entry for entry in self.log if entry.event == event]

    @property
    def heads(self) -> list[str]:
        return [line[:28].rstrip() for line in self.out]


def command(*words: object) -> list[str]:
    return [sys.executable, str(CAMERA), *map(str, words)]


def run(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the example without a server of ours."""
    return subprocess.run(
        command(*words),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "IHPROTO_KEY": "", **environment},
    )


def run_with_mock(*words: object, key: str | None = None, scenario: str = "lively", interrupt_at: str = "") -> Ran:
    """Run the example against a mock server in this process, and interrupt it when it prints a line of this head."""
    ran = Ran()

    async def body() -> None:
        def keeping(contract: SessionReady) -> Keeping:
            return Keeping(contract, ran.segments)

        async with MockServer(log=ran.log.append, make_scanner=keeping, scenario=scenario) as mock:
            await watch(ran, command("--url", mock.url, "--key", key or mock.key, *words), interrupt_at)

    with_timeout(body)
    return ran


async def watch(ran: Ran, words: list[str], interrupt_at: str = "") -> None:
    async with await anyio.open_process(words) as process, anyio.create_task_group() as tasks:

        async def read_errors() -> None:
            assert process.stderr is not None
            ran.err = b"".join([piece async for piece in process.stderr]).decode()

        tasks.start_soon(read_errors)
        assert process.stdout is not None
        try:
            lines = BufferedByteReceiveStream(process.stdout)
            while True:
                ran.out.append((await lines.receive_until(b"\n", 100_000)).decode())
                if interrupt_at and ran.out[-1].startswith(interrupt_at):
                    process.send_signal(signal.SIGINT)
                    interrupt_at = ""
        except anyio.IncompleteRead:
            pass
        ran.code = await process.wait()


def with_timeout(body: Callable[[], Awaitable[None]]) -> None:
    async def guarded() -> None:
        with anyio.fail_after(60):
            await body()

    anyio.run(guarded)


def seconds_of(segment: bytes) -> float:
    """How long ffmpeg says that a file is."""
    with av.open(io.BytesIO(segment), "r") as file:
        assert file.duration is not None
        return file.duration / av.time_base


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    for name, recipe in SOURCES.items():
        (folder / name).write_bytes(make(recipe))
    return {name: folder / name for name in SOURCES}


@pytest.fixture
def clip(clips: dict[str, Path]) -> Path:
    return clips["VP8 and Opus"]


@pytest.fixture(scope="module")
def camera() -> ModuleType:
    """The example as a module."""
    spec = importlib.util.spec_from_file_location("camera_example", CAMERA)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("container", ["webm", "mp4"])
@pytest.mark.parametrize("name", SOURCES)
def test_a_file_is_sent_whole_in_segments_that_stand_alone(clips: dict[str, Path], name: str, container: str) -> None:
    ran = run_with_mock("--source", clips[name], "--fast", "--format", container)
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.logged("segment accepted")) == len(ran.segments) == 3
    assert not [entry for entry in ran.log if entry.refused]
    lengths = [seconds_of(segment) for segment in ran.segments]
    assert min(lengths) >= 3
    assert sum(lengths) == pytest.approx(SOURCES[name].seconds, abs=0.2)
    for segment in ran.segments:
        with av.open(io.BytesIO(segment), "r") as file:
            assert len(file.streams.audio) == (SOURCES[name].audio is not None)
            pictures = [*file.decode(video=0)]
            assert [number for number, picture in enumerate(pictures) if picture.key_frame] == [0]
            # However a server measures it: from the first picture to the last one, it is long enough.
            assert pictures[-1].time - pictures[0].time >= 3
    assert (clips[name].name in ran.out[0], "without sound" in ran.out[0]) == (True, SOURCES[name].audio is None)


def test_events_arrive_and_the_session_ends_gracefully(clip: Path) -> None:
    ran = run_with_mock("--source", clip, "--fast")
    assert ran.heads[:3] == ["source", "session.ready", "session.updated"]
    assert ran.heads[-2:] == ["session.ended", "end"]
    assert {"signal.detected", "signal.updated", "engagement.updated", "conversation_quality.updated"} <= {*ran.heads}
    (config,) = ran.logged("config applied")
    assert config.fields["include"] == "conversation_quality_overall, conversation_quality_timeline"
    (closed,) = ran.logged("session closed")
    assert (closed.fields["close_code"], closed.fields["ended"]) == (1000, "client_shutdown")


def test_every_picture_and_all_of_the_sound_are_sent(clip: Path) -> None:
    ran = run_with_mock("--source", clip, "--fast")

    def count(file: Any) -> tuple[int, float]:
        with av.open(file, "r") as source:
            frames = [*source.decode()]
        sound = sum(frame.samples / frame.sample_rate for frame in frames if isinstance(frame, av.AudioFrame))
        return sum(isinstance(frame, av.VideoFrame) for frame in frames), sound

    pictures, sound = zip(*(count(io.BytesIO(segment)) for segment in ran.segments), strict=True)
    all_pictures, all_sound = count(str(clip))
    assert sum(pictures) == all_pictures
    # Each segment may end with a packet that is not full.
    assert sum(sound) == pytest.approx(all_sound, abs=0.03 * len(ran.segments))


def test_a_recording_of_a_browser_which_does_not_say_how_long_it_is_loses_nothing(tmp_path: Path) -> None:
    pieces = sorted((Path(__file__).parents[1] / "conformance/ihproto_conformance/samples/recording").glob("*.bin"))
    recording = tmp_path / "recording.webm"
    recording.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    with av.open(str(recording)) as file:
        assert file.duration is None
        shown = [frame.time or 0.0 for frame in file.decode(video=0)]
    ran = run_with_mock("--source", recording, "--fast")
    assert ran.code == 0
    assert "left out" not in ran.heads
    assert sum(map(seconds_of, ran.segments)) == pytest.approx(shown[-1] - shown[0], abs=0.2)


@pytest.mark.parametrize(
    ("limit", "segments", "rest"), [("7", [3.04, 3.96], ""), ("3.04", [3.04], ""), ("2", [], "2.0")]
)
def test_a_rest_that_is_too_short_is_merged_or_left_out_with_a_word(
    clips: dict[str, Path], limit: str, segments: list[float], rest: str
) -> None:
    ran = run_with_mock("--source", clips["without sound"], "--fast", "--seconds", limit)
    # 25 pictures per second: the first one that begins 3 s after another ends at 3.04 s.
    assert [seconds_of(segment) for segment in ran.segments] == pytest.approx(segments, abs=0.002)
    left = [line for line in ran.out if line.startswith("left out")]
    assert (len(left), ran.code) == ((1, 2) if rest else (0, 0))
    assert not left or (rest in left[0] and "SEG-4" in left[0])


def test_longer_segments_can_be_had_and_shorter_ones_cannot(clips: dict[str, Path]) -> None:
    for wanted, count in (("4.5", 2), ("1", 3)):
        ran = run_with_mock("--source", clips["without sound"], "--fast", "--segment-seconds", wanted)
        assert len(ran.segments) == count
        assert min(map(seconds_of, ran.segments)) >= max(3, float(wanted))


def test_any_input_device_of_ffmpeg_can_be_the_camera() -> None:
    ran = run_with_mock("--source", "testsrc=size=65x49:rate=10", "--device", "lavfi", "--seconds", "6.2")
    assert ran.code == 0
    assert "65x49, without sound" in ran.out[0]
    assert [seconds_of(segment) for segment in ran.segments] == pytest.approx([3.1, 3.1], abs=0.002)


def test_without_a_url_it_brings_its_own_server(clip: Path) -> None:
    result = run("--source", clip, "--fast")
    assert (result.returncode, result.stderr) == (0, "")
    assert "signal.detected" in result.stdout


def test_a_refused_key_is_a_sentence_without_the_key(clip: Path) -> None:
    ran = run_with_mock("--source", clip, key="ih_live_wrong")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert "HTTP 401" in line
    assert "ih_live_wrong" not in line + "".join(ran.out)


def test_what_the_server_refuses_makes_the_exit_code_1(clip: Path) -> None:
    ran = run_with_mock("--source", clip, "--fast", scenario="troubled")
    assert ran.code == 1
    (line,) = ran.err.splitlines()
    assert "ih5002" in line


def test_a_server_that_is_not_there_gives_exit_code_3(clip: Path) -> None:
    result = run("--source", clip, "--url", "ws://127.0.0.1:1", "--key", "k")
    assert result.returncode == 3
    (line,) = result.stderr.splitlines()
    assert "cannot be reached" in line


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--source", "no-such-file"], "no-such-file: no file, and no v4l2 camera"),
        (["--source", str(CAMERA)], "camera.py: not a video"),
        (["--source", "SOUND"], "no pictures in it"),
        (["--source", "CLIP", "--url", "ws://127.0.0.1:1"], "no key for ws://127.0.0.1:1: pass --key"),
        (["--source", "CLIP", "--url", "http://127.0.0.1:1", "--key", "k"], "HS-1"),
        (["--source", "no-such-camera", "--device", "no-such-device"], "no no-such-device camera"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="cameras have other names elsewhere")
def test_what_cannot_be_used_is_said_in_words_with_exit_code_2(
    words: list[str], complaint: str, clip: Path, tmp_path: Path
) -> None:
    sound = tmp_path / "sound.webm"
    sound.write_bytes(make(Recipe("webm", None, "opus")))
    result = run(*[{"CLIP": clip, "SOUND": sound}.get(word, word) for word in words])
    assert result.returncode == 2
    assert complaint in result.stderr
    assert "Traceback" not in result.stderr


def test_a_missing_pyav_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('there is none')")
    result = run(PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert "pip install av" in line


def test_help_says_how_to_use_it() -> None:
    result = run("--help")
    assert result.returncode == 0
    for word in ("--source", "--url", "--fast", "examples:", "exit codes:"):
        assert word in result.stdout


@pytest.mark.parametrize("source", ["a file in real time", "a camera"])
def test_ctrl_c_ends_the_session_gracefully(clip: Path, source: str) -> None:
    if source == "a camera":
        # It goes on for ever, and much faster than real time.
        ran = run_with_mock("--source", "testsrc=size=64x48", "--device", "lavfi", interrupt_at="sent")
        assert ran.logged("segment accepted")
    else:
        ran = run_with_mock("--source", clip, interrupt_at="session.updated")
    assert ran.code == 130
    assert "interrupted" in ran.err
    assert "Traceback" not in ran.err
    assert not [entry for entry in ran.log if entry.refused]
    assert len(ran.logged("graceful close requested")) == 1
    (closed,) = ran.logged("session closed")
    assert (closed.fields["close_code"], closed.fields["ended"]) == (1000, "client_shutdown")


def test_the_second_ctrl_c_does_not_wait_for_the_server(clip: Path) -> None:
    async def body() -> None:
        over = anyio.Event()

        async def never_answer(stream: ServerStream) -> None:
            await stream.accept()
            await over.wait()

        async with serve(never_answer) as server:
            words = command("--url", server.url, "--key", "k", "--source", clip)
            async with await anyio.open_process(words) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                lines = BufferedByteReceiveStream(process.stdout)
                while not (await lines.receive_until(b"\n", 100_000)).startswith(b"session.ready"):
                    pass
                process.send_signal(signal.SIGINT)
                errors = BufferedByteReceiveStream(process.stderr)
                assert b"Ctrl-C again" in await errors.receive_until(b"\n", 1000)
                process.send_signal(signal.SIGINT)
                # A session that came to an end would be summed up here.
                with pytest.raises(anyio.EndOfStream):
                    await errors.receive()
                assert await process.wait() == 130
            over.set()

    with_timeout(body)


@pytest.mark.parametrize(("live", "kept"), [(True, [2.0, 3.0, 4.0]), (False, [0.0, 1.0, 2.0, 3.0, 4.0])])
def test_a_camera_drops_the_oldest_segment_that_waits_and_a_file_waits(
    camera: ModuleType, capsys: pytest.CaptureFixture[str], live: bool, kept: list[float]
) -> None:
    taken: list[float] = []

    async def body() -> None:
        outgoing, incoming = anyio.create_memory_object_stream[Any](camera.WAITING)

        async def produce() -> None:
            with outgoing:
                for number in range(5):
                    await camera.hand_over(outgoing, incoming, live, camera.Segment(number, number + 1, b""))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(produce)
            # Nobody takes anything until the recorder is done, or waits.
            await anyio.wait_all_tasks_blocked()
            with incoming:
                async for segment in incoming:
                    taken.append(segment.start)

    with_timeout(body)
    assert taken == kept
    assert capsys.readouterr().out.count("dropped") == 5 - len(kept)
