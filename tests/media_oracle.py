"""What ffmpeg finds in a file, through PyAV."""

from __future__ import annotations

from io import BytesIO

import attrs
import av

from ihproto.media import Track


@attrs.frozen
class Packet:
    """One packet of video or audio.

    Attributes:
        kind: `video` or `audio`.
        start: When it is presented, in seconds.
        end: When it ends; its start if ffmpeg does not know how long it lasts.
        position: Its place in the file, in bytes; -1 if ffmpeg does not tell.
    """

    kind: str
    start: float
    end: float
    position: int


@attrs.frozen
class Found:
    """What ffmpeg finds in a file.

    Attributes:
        tracks: The tracks of video and audio, in the order of the container.
        packets: Their packets, without those that are to be discarded after decoding.
    """

    tracks: tuple[Track, ...]
    packets: tuple[Packet, ...]

    @property
    def start(self) -> float:
        """The earliest presentation time, in seconds."""
        return min(packet.start for packet in self.packets)

    @property
    def end(self) -> float:
        """The latest end, in seconds."""
        return max(packet.end for packet in self.packets)


def look(file: bytes) -> Found:
    """Let ffmpeg read a file.

    An edit list that trims makes ffmpeg mark packets that nobody is to see or hear; they are no part of what is found.
    """
    # ffmpeg and ffprobe set this option too; without it MPEG audio of layer II is taken for MP3 in some files.
    with av.open(BytesIO(file), "r", options={"scan_all_pmts": "1"}) as source:
        streams = [stream for stream in source.streams if isinstance(stream, (av.VideoStream, av.AudioStream))]
        tracks = tuple(Track(stream.type, stream.codec_context.codec.canonical_name) for stream in streams)
        packets = []
        for packet in source.demux(streams):
            if packet.pts is None or packet.is_discard or packet.time_base is None:
                continue
            start, end = packet.pts, packet.pts + (packet.duration or 0)
            position = -1 if packet.pos is None else packet.pos
            packets.append(
                Packet(packet.stream.type, float(start * packet.time_base), float(end * packet.time_base), position)
            )
    return Found(tracks, tuple(packets))
