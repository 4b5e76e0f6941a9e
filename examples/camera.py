"""Stream a camera, live, and print what comes back; a video file can take the camera's place.

A thread records segments, a task sends them, and the events are printed as they come. Every segment is a file of its
own, header and keyframe first, so that none needs the one before it: where the network is slower than a camera, the
oldest that waits is dropped. A file waits for the network instead.

Events count the seconds that the server accepted (SEG-9). With sound, which comes in whole packets, a segment may count
up to 30 ms more than it shows; the `sent` lines say which part of the source each segment is.
"""

from __future__ import annotations

import argparse
import heapq
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import anyio
import attrs
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

import ihproto
from ihproto.anyio import ClientStream, ConnectError, StreamError, connect

try:
    import av
    from av.container import InputContainer
    from av.video.frame import PictureType
except ImportError:
    print("camera.py: PyAV, which reads the camera, is not installed; pip install av", file=sys.stderr)
    sys.exit(2)

#: By platform: ffmpeg's name for its cameras, which one is the default, and what it has to be told.
CAMERAS: dict[str, tuple[str, str, dict[str, str]]] = {
    "linux": ("v4l2", "/dev/video0", {}),
    # Left alone, it asks for 29.97 pictures per second, which cameras refuse.
    "darwin": ("avfoundation", "default:default", {"framerate": "30"}),
    "win32": ("dshow", "video=Integrated Camera", {}),
}
DEVICE, CAMERA, CAMERA_OPTIONS = CAMERAS.get(sys.platform, CAMERAS["linux"])
#: By container: the encoders, and what makes that of the pictures fast enough.
ENCODERS = {
    "webm": ("libvpx", {"deadline": "realtime", "cpu-used": "8"}, "libopus"),
    "mp4": ("libx264", {"preset": "ultrafast", "tune": "zerolatency"}, "aac"),
}
#: How many segments may wait for the network.
WAITING = 3
#: Samples of sound in a second, and ticks of a segment's clock.
RATE = 48_000
#: How far apart a source may bring the picture and the sound of one moment, in seconds.
INTERLEAVING = Fraction(1, 2)
PIECES = (av.VideoFrame, av.AudioFrame)
UNREADABLE = (av.FFmpegError, OSError, ValueError)

stopping = threading.Event()


class SourceError(Exception):
    """The source cannot be read."""


@attrs.frozen
class Segment:
    """A file, and which part of the source it is, in seconds since the first picture."""

    start: float
    end: float
    data: bytes = attrs.field(repr=False)

    def __str__(self) -> str:
        return f"{self.start:.2f} to {self.end:.2f} s of the source, {len(self.data):,} bytes"


class SegmentFile:
    """A segment while it is written; times are seconds of the source's own time."""

    def __init__(self, kind: str, source: InputContainer, start: Fraction) -> None:
        video_encoder, video_options, audio_encoder = ENCODERS[kind]
        picture = source.streams.video[0]
        self.start = self.end = start
        self._bytes = BytesIO()
        self._output = av.open(self._bytes, "w", format=kind)
        video = self._output.add_stream(video_encoder, picture.guessed_rate or 30, video_options)
        assert isinstance(video, av.VideoStream)
        # Four pixels have one sample of colour in common, so both sizes have to be even.
        video.width, video.height, video.pix_fmt = picture.width // 2 * 2, picture.height // 2 * 2, "yuv420p"
        video.bit_rate, video.codec_context.time_base = 1_000_000, Fraction(1, RATE)
        self._video: Any = video
        self._audio: Any = None
        if source.streams.audio:
            self._audio = self._output.add_stream(audio_encoder, RATE, layout="mono")

    def add_picture(self, frame: av.VideoFrame, at: Fraction, until: Fraction) -> None:
        """Write a picture."""
        frame.pts, frame.time_base = round((at - self.start) * RATE), Fraction(1, RATE)
        frame.duration = round((until - at) * RATE)
        # Which kind of picture it was in the source is none of the encoder's business.
        frame.pict_type = PictureType.NONE
        self._output.mux(self._video.encode(frame))
        self.end = until

    def add_sound(self, frame: av.AudioFrame, at: Fraction) -> None:
        """Write a piece of sound."""
        frame.pts, frame.time_base = round((at - self.start) * RATE), Fraction(1, RATE)
        self._output.mux(self._audio.encode(frame))

    def finish(self, beginning: Fraction) -> Segment:
        """Finish the file; the source began at `beginning`."""
        for stream in filter(None, (self._video, self._audio)):
            self._output.mux(stream.encode(None))
        self._output.close()
        return Segment(float(self.start - beginning), float(self.end - beginning), self._bytes.getvalue())


def open_source(name: str, device: str, live: bool) -> InputContainer:
    """Open a camera or a file; raises SourceError with a way out."""
    try:
        source = av.open(name, format=device, container_options=CAMERA_OPTIONS) if live else av.open(name)
    except UNREADABLE as error:
        what = f"no file, and no {device} camera either" if live else "not a video"
        if isinstance(error, PermissionError):
            what = "you may not use it; allow cameras for this program, on Linux by joining the group video"
        raise SourceError(f"{name}: {what} ({error}); name another one with --source") from None
    if not source.streams.video:
        raise SourceError(f"{name}: there are no pictures in it, and segments need some (SEG-7)")
    picture, sound = source.streams.video[0], "with sound" if source.streams.audio else "without sound: it has none"
    say("source", f"{name}, {picture.width}x{picture.height}, {sound}")
    return source


def end_of(name: str) -> Fraction:
    """Where a file ends, in seconds of its own time; by its packets, as recordings of browsers do not say it."""
    with av.open(name) as file:
        return max(((p.pts or 0) + (p.duration or 0)) * p.time_base for p in file.demux() if p.dts is not None)


def frames(source: InputContainer) -> Iterator[tuple[Fraction, av.VideoFrame | av.AudioFrame]]:
    """Pictures, and sound in pieces of 20 ms, each with its time."""
    resampler = av.AudioResampler("s16", "mono", RATE, frame_size=RATE // 50)
    while True:
        try:
            for packet in source.demux(*source.streams.video[:1], *source.streams.audio[:1]):
                # The first pictures of a camera may be damaged.
                with suppress(av.error.InvalidDataError):
                    for frame in packet.decode():
                        for piece in resampler.resample(frame) if isinstance(frame, av.AudioFrame) else [frame]:
                            if isinstance(piece, PIECES) and piece.pts is not None and piece.time_base is not None:
                                yield piece.pts * piece.time_base, piece
            return
        except BlockingIOError:
            # How avfoundation says that there is no picture yet.
            time.sleep(0.01)


def in_order(source: InputContainer) -> Iterator[tuple[Fraction, av.VideoFrame | av.AudioFrame]]:
    """The same in the order of their times, so that the sound goes into the segment of its pictures."""
    early: list[tuple[Fraction, int, av.VideoFrame | av.AudioFrame]] = []
    for number, (at, frame) in enumerate(frames(source)):
        heapq.heappush(early, (at, number, frame))
        if at - early[0][0] > INTERLEAVING:
            yield early[0][0], heapq.heappop(early)[2]
    yield from ((at, frame) for at, _, frame in sorted(early))


def record(source: InputContainer, options: argparse.Namespace, shortest: float) -> Iterator[Segment]:
    """Cut the source into segments, in a worker thread.

    A segment ends with the first picture that begins `--segment-seconds` after its own first, so that it is long enough
    however a server measures it (SEG-4). A rest that would be too short goes into the segment before it where the end
    is known, as that of a file; otherwise it is left out.
    """
    length = max(options.segment_seconds, shortest)
    ends = math.inf if options.live else end_of(options.source)
    frame_time = 1 / Fraction(source.streams.video[0].guessed_rate or 30)
    file: SegmentFile | None = None
    for at, frame in in_order(source):
        anyio.from_thread.check_cancelled()
        if isinstance(frame, av.AudioFrame):
            if file is not None and at >= file.start:
                file.add_sound(frame, at)
            continue
        if file is None:
            beginning, began, shown, held = at, time.monotonic(), at, frame
            ends = min(ends, at + options.seconds)
            file = SegmentFile(options.format, source, at)
        elif at > shown:
            # Only now it is known how long the picture before was shown.
            file.add_picture(held, shown, at)
            if shown - file.start >= length and not 0 < ends - at < shortest:
                yield file.finish(beginning)
                file = SegmentFile(options.format, source, at)
            shown, held = at, frame
        if options.realtime and not options.live:
            stopping.wait(max(0.0, float(at - beginning) + began - time.monotonic()))
        if stopping.is_set() or ends - at <= 0:
            break
    else:
        if file is not None:
            file.add_picture(held, shown, shown + frame_time)
    if file is not None and (rest := file.end - file.start) >= shortest:
        yield file.finish(beginning)
    elif file is not None and rest:
        say("left out", f"the last {float(rest):.2f} s: a segment needs {shortest:g} s (SEG-4)")


async def hand_over(
    outgoing: MemoryObjectSendStream[Segment],
    incoming: MemoryObjectReceiveStream[Segment],
    live: bool,
    segment: Segment,
) -> None:
    """Give a segment to `send`; for a camera, which does not wait, in the place of the oldest if need be."""
    if live and incoming.statistics().current_buffer_used == WAITING:
        say("dropped", f"{incoming.receive_nowait()}: the network is slower than the camera")
    await outgoing.send(segment)


async def feed(
    segments: Iterator[Segment],
    outgoing: MemoryObjectSendStream[Segment],
    incoming: MemoryObjectReceiveStream[Segment],
    live: bool,
    broken: list[str],
) -> None:
    """Record in a thread: reading, decoding and encoding would keep everything else waiting."""

    def work() -> None:
        for segment in segments:
            anyio.from_thread.run(hand_over, outgoing, incoming, live, segment)

    # `incoming` is closed early where the session breaks off.
    with outgoing, suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        try:
            await anyio.to_thread.run_sync(work)
        except UNREADABLE as error:
            broken.append(f"the source broke off ({error})")


async def send(stream: ClientStream, incoming: MemoryObjectReceiveStream[Segment], refused: list[str]) -> None:
    """Send the config, the segments, and the wish to end."""
    with incoming:
        try:
            await stream.send_config([ihproto.INCLUDE_OVERALL, ihproto.INCLUDE_TIMELINE])
            async for segment in incoming:
                await stream.send_segment(segment.data)
                say("sent", f"segment {stream.session.segments_sent}, {segment}")
            await stream.end()
        except (StreamError, ihproto.LocalProtocolError) as error:
            # Where the session is over already, the events say why.
            if stream.session.state is ihproto.ClientState.OPEN:
                refused.append(str(error))
                await stream.close()


async def run(options: argparse.Namespace) -> tuple[int, str]:
    """Run a session from its beginning to its end, and return the exit code and a summary."""
    server: AbstractAsyncContextManager[Any] = nullcontext(options)
    if options.url is None:
        # Not needed where there is another server.
        from ihproto_mock import MockServer

        server = MockServer()
    refused: list[str] = []
    broken: list[str] = []
    with await anyio.to_thread.run_sync(open_source, options.source, options.device, options.live) as source:
        async with server as at, connect(at.url, at.key) as stream, anyio.create_task_group() as tasks:
            outgoing, incoming = anyio.create_memory_object_stream[Segment](WAITING)
            segments = record(source, options, stream.contract.min_segment_duration_seconds or 0)
            tasks.start_soon(feed, segments, outgoing, incoming, options.live, broken)
            tasks.start_soon(send, stream, incoming, refused)
            async for event in stream:
                match event:
                    case ihproto.Envelope(message, kind):
                        say(kind, str(message))
                        if isinstance(message, ihproto.Error):
                            refused.append(f"{message.code}: {message.message}")
                    case ihproto.SessionClosed(code, reason, ended) if code != 1000 or ended is None:
                        refused.append(f"the session was closed with {code} {reason}".rstrip())
            tasks.cancel_scope.cancel()
    summary = f"{stream.session.segments_sent} segments sent, {stream.session.media_seconds_sent:.2f} s"
    if stopping.is_set():
        return 130, f"interrupted, {summary}"
    if refused or broken:
        return 1 if refused else 2, f"{(refused + broken)[0]}; {summary}"
    if not stream.session.segments_sent:
        return 2, f"{options.source} is too short for a segment"
    return 0, f"all went well, {summary}"


def printable(text: str) -> str:
    """The text without what could steer the terminal: some of it was written by others."""
    return "".join(character if character.isprintable() else "?" for character in text)


def say(what: str, text: str) -> None:
    """Print a line."""
    try:
        print(printable(f"{what:<28} {text}"), flush=True)
    except BrokenPipeError:
        # Nobody reads any more.
        os._exit(141)


def interrupt(*_: object) -> None:
    """End gracefully at the first Ctrl-C, and at once at the second, even if a camera hangs."""
    if stopping.is_set():
        os._exit(130)
    stopping.set()
    # A handler must not print: it may have interrupted a print.
    os.write(2, b"camera.py: the session is being ended; Ctrl-C again leaves at once\n")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Stream a camera or a video file as segments of a session, and print the events that come back.",
        epilog="""examples:
  python examples/camera.py                                   the camera, to a mock server that starts with it
  python examples/camera.py --source clip.webm --fast         a file, as fast as it goes
  IHPROTO_KEY=... python examples/camera.py --url wss://api.interhuman.ai --seconds 60

exit codes: 0 all went well, 1 the server refused something or broke off, 2 wrong usage or a source that cannot be
read, 3 the server could not be reached, 130 interrupted. Ctrl-C stops the camera and waits for the last events.""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--source", default=CAMERA, help=f"a file, or a camera as ffmpeg's {DEVICE} calls it (default: {CAMERA})")
    add("--device", default=DEVICE, help=f"ffmpeg's input device for a --source that is no file (default: {DEVICE})")
    add("--url", help="the server, ws:// or wss:// (default: a mock server inside this program)")
    add("--key", help="the API key or token for --url; others may see it in the list of processes")
    add("--key-env", default="IHPROTO_KEY", metavar="NAME", help="where the key is otherwise (default: %(default)s)")
    add("--seconds", type=float, default=math.inf, help="stop after so much of the source (default: at its end)")
    add("--segment-seconds", type=float, default=3.0, help="at least; never less than the server asks for (default: 3)")
    add("--format", choices=ENCODERS, default="webm", help="the container of the segments (default: %(default)s)")
    add("--realtime", action="store_true", default=True, help="read a file at its own pace (the default)")
    add("--fast", dest="realtime", action="store_false", help="read a file as fast as the network takes it")
    options = parser.parse_args()
    options.live = not Path(options.source).is_file()
    options.key = options.key or os.environ.get(options.key_env)
    if options.url is not None and not options.key:
        parser.error(f"there is no key for {options.url}: pass --key, or set {options.key_env}")
    return options


def main() -> int:
    """Run the program, and return its exit code."""
    options = parse()
    signal.signal(signal.SIGINT, interrupt)
    try:
        code, text = anyio.run(run, options)
    except (SourceError, ihproto.LocalProtocolError) as error:
        code, text = 2, str(error)
    except ConnectError as error:
        code, text = 3, str(error)
    except StreamError as error:
        code, text = 1, str(error)
    if code:
        print(f"camera.py: {printable(text)}", file=sys.stderr)
    else:
        say("end", text)
    return code


if __name__ == "__main__":
    sys.exit(main())
