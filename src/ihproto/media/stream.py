"""The media of one session: which segments begin a file, which continue one, and what each of them holds."""

from __future__ import annotations

from ihproto.media.avi import AviScanner
from ihproto.media.interface import ExpectedMedia, SegmentFault, SegmentMedia
from ihproto.media.isobmff import IsoScanner
from ihproto.media.judge import SegmentPolicy, StreamSoFar, judge_segment
from ihproto.media.matroska import MatroskaScanner
from ihproto.media.mpegts import TransportStreamScanner
from ihproto.media.scanner import MAX_PENDING, ContainerScanner, MediaError, Track
from ihproto.media.sniff import SNIFF_SIZE, Sniffed, sniff
from ihproto.messages import AudioFormat, SessionReady
from ihproto.revisions import V1

#: What the beginning of decodable media looks like in the middle of a file: how many bytes before, and which.
_MARKS: dict[str, tuple[int, bytes]] = {
    "a Matroska Cluster": (0, b"\x1f\x43\xb6\x75"),
    "a fragment of a live MP4": (4, b"moof"),
}
_MARK_OF = {"mkv": "a Matroska Cluster", "webm": "a Matroska Cluster", "mp4": "a fragment of a live MP4"}
#: The tables with which a transport stream file begins have PIDs below this one: PAT, and SDT where one is written.
_FIRST_MEDIA_PID = 0x20


def make_scanner(container: str) -> ContainerScanner:
    """Make the scanner for a container, by the name that `sniff` gives it.

    Raises:
        KeyError: If there is no such container.
    """
    if container in ("mkv", "webm"):
        return MatroskaScanner()
    if container in ("mp4", "mov"):
        return IsoScanner()
    if container == "avi":
        return AviScanner()
    return TransportStreamScanner({"mpeg-ts": 188, "mpeg-2-ts": 192}[container])


class MediaScanner:
    """Judges the segments of one session by their media, piece by piece (SEG-4, SEG-5, SEG-6, SEG-7).

    A refused segment leaves no trace: the next one is judged as if it had not been sent, so that a client can send
    the right piece after a wrong one.

    Args:
        contract: The limits of the session; None for those of revision `v1`.
        policy: How strictly to judge where the documents leave it open.

    Attributes:
        media: What was seen in the segment that was finished or refused last; None while one is under way.
        so_far: What the accepted segments have shown.
    """

    def __init__(self, contract: SessionReady | None = None, policy: SegmentPolicy | None = None) -> None:
        self.media: SegmentMedia | None = None
        self.so_far = StreamSoFar()
        self._contract = contract if contract is not None else V1.contract
        self._policy = policy if policy is not None else SegmentPolicy()
        self._expected = ExpectedMedia()
        self._stream: ContainerScanner | None = None
        self._reset(0)

    def _reset(self, number: int) -> None:
        self._number = number
        self._size = 0
        self._head = b""
        self._tail = b""
        self._sniffed: Sniffed | None = None
        self._scanner: ContainerScanner | None = None
        self._has_header = False
        #: Whether no sample has come since the header began, so that its bytes are kept in case they are needed again.
        self._in_header = False
        self._cut_from: str | None = None
        self._broken: MediaError | None = None
        self._lost: tuple[int, int] | None = None
        self._searching = False

    def expect(self, expected: ExpectedMedia) -> None:
        """Take note of what the segments from here on have to be; never in the middle of one."""
        self._expected = expected

    def begin(self, number: int) -> None:
        """Begin segment `number`, counted from 1; a segment before it that was not finished is abandoned."""
        self._reset(number)
        self.media = None

    def feed(self, data: bytes) -> SegmentFault | None:
        """Take the next piece; a fault refuses the segment at once, and no more of it is fed."""
        self._size += len(data)
        if self._expected.audio is not None:
            return None
        if self._sniffed is not None:
            self._scan(data)
        else:
            self._head += data
            if len(self._head) < SNIFF_SIZE:
                return None
            self._start()
        return self._conclude() if self._hopeless else None

    def finish(self) -> SegmentMedia | SegmentFault:
        """Finish the segment."""
        if self._expected.audio is not None:
            return self._raw_audio(self._expected.audio)
        if self._sniffed is None:
            self._start()
        if self._scanner is not None and self._broken is None:
            try:
                self._scanner.finish_segment()
            except MediaError as error:
                self._broken = error.with_traceback(None)
        fault = self._conclude()
        if fault is not None:
            return fault
        media = self._media()
        ends = [media.end] if media.has_header else [self.so_far.end, media.end]
        end = max((end for end in ends if end is not None), default=None)
        self.so_far = StreamSoFar(media.container, media.tracks, end, self._number)
        self._stream = self._scanner
        return media

    def _raw_audio(self, audio: AudioFormat) -> SegmentMedia:
        """Samples without a container: whatever their number, they are so many seconds (CFG-8)."""
        start = self.so_far.end or 0.0
        seconds = self._size / audio.bytes_per_second
        track = Track("audio", audio.encoding)
        self.media = SegmentMedia(
            seconds, self._size, start=start, end=start + seconds, tracks=(track,), tracks_known=True
        )
        self.so_far = StreamSoFar(None, (track,), start + seconds, self._number)
        return self.media

    @property
    def _hopeless(self) -> bool:
        """Whether nothing that still comes can make the segment acceptable."""
        if self._scanner is None:
            return self._cut_from is not None or (self._sniffed is not None and self._sniffed.foreign is not None)
        return self._broken is not None and not self._searching

    def _start(self) -> None:
        """Decide what the segment is, by its first bytes, and begin to scan it."""
        head, self._head = self._head, b""
        self._sniffed = sniff(head)
        if self._sniffed.container is not None and not self._continues(self._sniffed.container, head):
            self._has_header = self._in_header = True
            self._scanner = make_scanner(self._sniffed.container)
        elif self._stream is not None:
            self._scanner = self._stream.copy()
        if self._scanner is not None:
            self._scanner.begin_segment()
        self._scan(head)

    def _continues(self, container: str, head: bytes) -> bool:
        """Whether bytes that could begin a file are a continuation all the same.

        Boxes and packets look alike wherever they stand; so a file begins anew only with what stands at its beginning.
        """
        if isinstance(self._stream, IsoScanner) and container in ("mp4", "mov"):
            return head[4:8] != b"ftyp"
        if isinstance(self._stream, TransportStreamScanner) and container == self._stream.container:
            offset = 1 if container == "mpeg-ts" else 5
            return int.from_bytes(head[offset : offset + 2], "big") & 0x1FFF >= _FIRST_MEDIA_PID
        return False

    def _scan(self, data: bytes) -> None:
        if self._scanner is None:
            if self._sniffed is not None and self._sniffed.foreign is None:
                self._look_for_marks(data)
        elif self._searching:
            self._resume(data)
        elif self._broken is None:
            if self._in_header:
                self._head += data
            try:
                self._scanner.feed(data)
            except MediaError as error:
                # Without its traceback, which would keep the whole piece alive.
                self._broken = error.with_traceback(None)
                self._search(error)
            if self._scanner.extent.samples or len(self._head) > MAX_PENDING:
                self._in_header = False
                self._head = b""

    def _look_for_marks(self, data: bytes) -> None:
        """Find out what kind of file a segment without a header was cut from."""
        data = self._tail + data
        found = [(at, words) for words, (before, mark) in _MARKS.items() if (at := data.find(mark, before)) >= 0]
        if found:
            self._cut_from = min(found)[1]
        self._tail = data[-8:]

    def _search(self, error: MediaError) -> None:
        """Look for decodable media behind a header that was put in front of a piece from the middle of a file."""
        assert self._scanner is not None
        useless = not self._in_header or self._scanner.extent.samples or not self._scanner.header_complete
        if useless or error.at > len(self._head) or self._scanner.container not in _MARK_OF:
            return
        scanner = make_scanner(self._scanner.container)
        scanner.begin_segment()
        try:
            scanner.feed(self._head[: error.at])
        except MediaError:
            # The fault lies in the header itself, and shows later than it begins.
            return
        rest, self._head = self._head[error.at :], b""
        self._in_header = False
        self._scanner, self._searching = scanner, True
        self._lost = (error.at, error.at)
        self._resume(rest)

    def _resume(self, data: bytes) -> None:
        """Step over bytes until media begins that can be decoded, and scan from there."""
        assert self._scanner is not None
        assert self._lost is not None
        before, mark = _MARKS[_MARK_OF[self._scanner.container]]
        data = self._tail + data
        found = data.find(mark, before)
        if found < 0:
            keep = before + len(mark) - 1
            self._tail = data[-keep:]
            left_out = len(data) - len(self._tail)
        else:
            self._tail = b""
            self._searching = False
            self._broken = None
            left_out = found - before
        self._lost = (self._lost[0], self._lost[1] + left_out)
        self._scanner.leave_out(left_out)
        if found >= 0:
            self._scan(data[left_out:])

    def _conclude(self) -> SegmentFault | None:
        self._head = self._tail = b""
        self.media = self._media()
        return judge_segment(self._contract, self._policy, self.so_far, self.media, self._expected.tracks)

    def _media(self) -> SegmentMedia:
        foreign = self._sniffed.foreign if self._sniffed is not None else None
        scanner = self._scanner
        if scanner is None:
            return SegmentMedia(0.0, self._size, foreign=foreign, cut_from=self._cut_from)
        extent = scanner.extent
        begins_at = extent.start if self._has_header or self.so_far.end is None else self.so_far.end
        seconds = extent.end - begins_at if extent.end is not None and begins_at is not None else 0.0
        return SegmentMedia(
            # A difference of floats has digits that no container has counted.
            seconds=round(max(0.0, seconds), 9),
            size=self._size,
            container=scanner.container,
            has_header=self._has_header,
            start=extent.start,
            end=extent.end,
            tracks=scanner.tracks,
            tracks_known=scanner.header_complete,
            key_frames=extent.key_frames,
            foreign=foreign,
            broken=self._broken,
            lost=self._lost,
            gap=scanner.gap,
        )
