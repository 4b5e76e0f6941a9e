from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from base64 import b64encode
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ihproto.media import CONTAINERS, SNIFF_SIZE, Sniffed, sniff

REPOSITORY = Path(__file__).parents[2]
WEBM = (REPOSITORY / "examples/recording/000.bin").read_bytes()


def video_file(form: str, codec: str, **options: str) -> bytes:
    """A quarter of a second of video, as ffmpeg writes it."""
    file = io.BytesIO()
    with av.open(file, "w", format=form, options=options) as output:
        stream = output.add_stream(codec, rate=24, options={"threads": "1"})
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 48
        stream.pix_fmt = {"gif": "rgb8", "png": "rgb24", "bmp": "bgr24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        for number in range(6):
            frame = av.VideoFrame(48, 48, stream.pix_fmt)
            for plane in frame.planes:
                plane.update(bytes([number * 40]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 24)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def audio_file(form: str, codec: str) -> bytes:
    """Silence, as ffmpeg writes it."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as output:
        stream = output.add_stream(codec, rate=48000)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "stereo"
        for number in range(5):
            frame = av.AudioFrame(stream.format.name, "stereo", 1152)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            frame.sample_rate, frame.pts, frame.time_base = 48000, number * 1152, Fraction(1, 48000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def zip_archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("chunk.webm", WEBM[:100])
    return file.getvalue()


#: Files of the containers that are taken (SEG-5): as ffmpeg writes them, as browsers record them, and by hand.
TAKEN: dict[str, tuple[str, bytes]] = {
    "webm as Chromium records it": ("webm", WEBM),
    "webm of ffmpeg": ("webm", video_file("webm", "libvpx")),
    "Matroska of ffmpeg": ("mkv", video_file("matroska", "mpeg4")),
    "Matroska by hand": ("mkv", b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska\x18\x53\x80\x67\x01" + b"\xff" * 7),
    "Matroska whose title is webm": (
        "mkv",
        b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(40) + b"webm",
    ),
    "MP4 as Chromium records it": ("mp4", (REPOSITORY / "tests/recordings/mp4-vp9-opus/000.bin").read_bytes()),
    "MP4 of ffmpeg": ("mp4", video_file("mp4", "mpeg4")),
    "fragmented MP4 of ffmpeg": ("mp4", video_file("mp4", "mpeg4", movflags="frag_keyframe+empty_moov")),
    "MP4 with a 64-bit size by hand": (
        "mp4",
        b"\x00\x00\x00\x01ftyp\x00\x00\x00\x00\x00\x00\x00\x18isom\x00\x00\x02\x00",
    ),
    "QuickTime of ffmpeg": ("mov", video_file("mov", "mpeg4")),
    "QuickTime of the time before brands": ("mov", b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat" + bytes(4000)),
    "QuickTime with the header in front": ("mov", b"\x00\x00\x02\x00moov\x00\x00\x00\x6cmvhd" + bytes(500)),
    "QuickTime with room in front": ("mov", b"\x00\x00\x00\x10free" + bytes(8) + b"\x00\x00\x10\x00mdat" + bytes(4000)),
    "QuickTime of unknown size": ("mov", b"\x00\x00\x00\x00mdat" + bytes(4000)),
    "AVI of ffmpeg": ("avi", video_file("avi", "mpeg4")),
    "AVI by hand": ("avi", b"RIFF\x00\x00\x00\x00AVI LIST\x00\x00\x00\x00hdrl"),
    "transport stream of ffmpeg": ("mpeg-ts", video_file("mpegts", "mpeg2video")),
    "two packets by hand": ("mpeg-ts", (b"\x47\x1f\xff\x10" + bytes(184)) * 2),
    "M2TS of ffmpeg": ("mpeg-2-ts", video_file("mpegts", "mpeg2video", mpegts_m2ts_mode="1")),
    "three packets with time stamps by hand": ("mpeg-2-ts", (b"\x00\x12\x34\x56\x47\x1f\xff\x10" + bytes(184)) * 3),
}

#: What people send instead, real where something here can write it, else by the specification of its first bytes.
FOREIGN: dict[str, tuple[str, bytes]] = {
    "MP3 of ffmpeg": ("an MP3 file", audio_file("mp3", "libmp3lame")),
    "MP3 without tags": ("an MP3 file", b"\xff\xfb\x90\x64" + bytes(413)),
    "MP3 at 32 kHz": ("an MP3 file", b"\xff\xfb\x98\x64" + bytes(413)),
    "nothing of an MP3 but a header": ("an MP3 file", b"\xff\xfb\x90\x64"),
    "compressed AIFF": ("an AIFF file", b"FORM\x00\x00\x00\x2eAIFC" + bytes(38)),
    "MPEG-2 layer III": ("an MP3 file", b"\xff\xf3\x84\xc4" + bytes(413)),
    "WAV": ("a WAV file", audio_file("wav", "pcm_s16le")),
    "Ogg": ("an Ogg file", audio_file("ogg", "libopus")),
    "FLAC": ("a FLAC file", audio_file("flac", "flac")),
    "AAC": ("bare AAC audio (ADTS)", audio_file("adts", "aac")),
    "AIFF": ("an AIFF file", audio_file("aiff", "pcm_s16be")),
    "CAF": ("a CAF file", audio_file("caf", "pcm_s16be")),
    "M4A": ("an M4A audio file", audio_file("ipod", "aac")),
    "AMR": ("an AMR file", b"#!AMR\n\x3c" + bytes(31)),
    "FLV": ("a Flash video", video_file("flv", "flv1")),
    "Windows Media": ("a Windows Media file (ASF)", video_file("asf", "wmv2")),
    "RealMedia": ("a RealMedia file", b".RMF\x00\x00\x00\x12\x00\x01"),
    "program stream": ("an MPEG program stream", video_file("mpeg", "mpeg1video")),
    "MPEG-2 video": ("a bare MPEG video stream", video_file("mpeg2video", "mpeg2video")),
    "H.264": ("a bare H.264 or H.265 stream, without a container", video_file("h264", "libx264")),
    "IVF": ("an IVF file", video_file("ivf", "libvpx")),
    "YUV4MPEG": ("uncompressed YUV4MPEG video", video_file("yuv4mpegpipe", "wrapped_avframe")),
    "GIF": ("a GIF image", video_file("gif", "gif")),
    "GIF of 1987": ("a GIF image", b"GIF87a\x01\x00\x01\x00\x00\x00\x00;"),
    "PNG": ("a PNG image", video_file("image2pipe", "png")),
    "JPEG": ("a JPEG image", video_file("image2pipe", "mjpeg")),
    "BMP": ("a BMP image", video_file("image2pipe", "bmp")),
    "WebP": ("a WebP image", b"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00" + bytes(24)),
    "AVIF": ("an AVIF image", b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf"),
    "HEIC": ("a HEIC image", b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"),
    "HEIF": ("a HEIF image", b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic"),
    "MIDI in RIFF": ("a RIFF file that is not AVI", b"RIFF\x24\x00\x00\x00RMIDdata" + bytes(24)),
    "gzip": ("a gzip file", gzip.compress(WEBM[:1000])),
    "ZIP": ("a ZIP archive", zip_archive()),
    "RAR": ("a RAR archive", b"Rar!\x1a\x07\x01\x00" + bytes(20)),
    "7-Zip": ("a 7-Zip archive", b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24)),
    "PDF": ("a PDF document", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"),
    "ELF": ("a program (ELF)", b"\x7fELF\x02\x01\x01" + bytes(57)),
    "Windows program": ("a Windows program", b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00"),
    "JSON object": ("JSON text", json.dumps({"type": "session.close"}).encode()),
    "JSON list, indented": ("JSON text", json.dumps([{"chunk": 1}], indent=2).encode()),
    "JSON after blank lines": ("JSON text", b"\r\n\t {}"),
    "HTML": ("an HTML page", b"<!DOCTYPE html>\n<html><head><title>404</title>"),
    "HTML without a doctype": ("an HTML page", b"\n<HTML><body>Bad gateway</body></HTML>"),
    "data URL": (
        "a data: URL; send the bytes that it stands for",
        b"data:video/webm;codecs=vp8,opus;base64," + b64encode(WEBM[:500]),
    ),
    "Base64": ("Base64 text; send the bytes that it stands for", b64encode(WEBM[:500])),
    "Base64 in lines": (
        "Base64 text; send the bytes that it stands for",
        b"\r\n".join(b64encode(WEBM[i : i + 57]) for i in range(0, 570, 57)),
    ),
    "UTF-16, the other way round": ("text in UTF-16", b"\xfe\xff" + "{}".encode("utf-16-be")),
    "Blob, printed": (
        "what a program prints for an object; send the bytes of the Blob or buffer",
        b"[object Blob]",
    ),
    "text": ("text", b"Traceback (most recent call last):\n  File ..."),
    "a word": ("text", b"hello"),
}


@pytest.mark.parametrize(("container", "file"), TAKEN.values(), ids=TAKEN)
def test_a_container_that_is_taken_is_known_by_its_first_bytes(container: str, file: bytes) -> None:
    assert sniff(file[:SNIFF_SIZE]) == Sniffed(container=container)


def test_all_seven_containers_are_among_those_that_are_known() -> None:
    assert {container for container, _ in TAKEN.values()} == set(CONTAINERS)
    assert len(CONTAINERS) == 7


@pytest.mark.parametrize(("words", "file"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_container_is_named_in_words(words: str, file: bytes) -> None:
    assert sniff(file[:SNIFF_SIZE]) == Sniffed(foreign=words)


@pytest.mark.parametrize("kind", [b"moov", b"wide", b"skip", b"free", b"mdat", b"pnot", b"uuid"])
def test_files_of_the_time_before_brands_begin_with_any_box_of_a_file(kind: bytes) -> None:
    # The boxes of the outermost level: ISO/IEC 14496-12, table 1, and the QuickTime File Format.
    assert sniff(b"\x00\x00\x00\x20" + kind + bytes(100)) == Sniffed(container="mov")


def test_a_foreign_file_is_named_so_that_a_sentence_can_be_made_of_it() -> None:
    # "segment 1 is an Ogg file; send one of mp4, ..."
    assert sniff(audio_file("ogg", "libopus")[:SNIFF_SIZE]).foreign == "an Ogg file"


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x00",
        bytes(SNIFF_SIZE),
        b"\x80" * SNIFF_SIZE,
        b"\x1a\x45\xdf",
        b"\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff\xe7",
        b"\x00\x00\x00\x04ftyp",
        b"\x00\x00\x00\x10moof\x00\x00\x00\x08mfhd",
        b"\x00\x00\x01\x00abcd" + bytes(100),
        b"RIF\x00",
        b"\x80ORM\x00\x00\x00\x2eAIFC",
        # ISO/IEC 11172-3, 2.4.2.3: but for the eleven bits of the syncword, the header of a frame.
        b"\xff\x1b\x90\x64" + bytes(413),
        b"\x00\x01\x02text behind control characters",
        b"text and \x1b[31mcontrol characters",
    ],
)
def test_what_is_not_recognisable_has_no_name(head: bytes) -> None:
    assert sniff(head) == Sniffed()


@pytest.mark.parametrize("number", range(1, 6))
def test_the_later_pieces_of_a_recording_are_nothing_recognisable(number: int) -> None:
    piece = (REPOSITORY / f"conformance/ihproto_conformance/samples/recording/{number:03}.bin").read_bytes()
    assert sniff(piece[:SNIFF_SIZE]) == Sniffed()


@pytest.mark.parametrize("size", [188, 192])
def test_one_packet_with_a_sync_byte_proves_nothing(size: int) -> None:
    lead = bytes(size - 188)
    packet = lead + b"\x47\x80\x00\x10" + bytes(184)
    assert sniff(packet) == Sniffed()
    assert sniff(packet + lead + b"\x48") == Sniffed()


@pytest.mark.parametrize(("size", "container"), [(188, "mpeg-ts"), (192, "mpeg-2-ts")])
@pytest.mark.parametrize("broken", range(1, 5))
def test_each_of_the_first_five_packets_must_begin_with_a_sync_byte(size: int, container: str, broken: int) -> None:
    packet = bytes(size - 188) + b"\x47\x80\x80\x10" + bytes(184)
    stream = bytearray(packet * 5)
    assert sniff(bytes(stream[:SNIFF_SIZE])) == Sniffed(container=container)
    stream[broken * size + size - 188] = 0x46
    assert sniff(bytes(stream[:SNIFF_SIZE])) == Sniffed()


def test_a_tar_archive_is_not_taken_for_text() -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("chunk.webm"))
    assert sniff(file.getvalue()[:SNIFF_SIZE]) == Sniffed()


@pytest.mark.parametrize("text", ["é" * 8, "größere Änderungen", "録画はまだ始まっていません", "Привет, сервер"])
def test_text_is_text_in_every_language_and_wherever_it_is_cut(text: str) -> None:
    long = (text * 40).encode()
    for size in range(len(text.encode()), len(long)):
        assert sniff(long[:size]).foreign == "text", size


def test_json_with_a_byte_order_mark_is_json() -> None:
    assert sniff('\ufeff{"type": "session.close"}'.encode()).foreign == "JSON text"


@pytest.mark.parametrize(
    "head",
    [
        # ISO/IEC 11172-3, 2.4.2.3: of the four bytes of a header, these have a bit rate of 1111, which is forbidden.
        pytest.param(b"\xff" * 180 + b"\x47\x41\x00\x10" + bytes(184), id="stuffing of a transport packet"),
        pytest.param('{"type": "session.close"}'.encode("utf-16"), id="UTF-16 text"),
        pytest.param(b"\xff\xeb\x90\x64" + bytes(413), id="version 01, which is reserved"),
        pytest.param(b"\xff\xe1\x90\x64" + bytes(413), id="layer 00, which is reserved"),
        pytest.param(b"\xff\xfb\xf0\x64" + bytes(413), id="bit rate 1111, which is forbidden"),
        pytest.param(b"\xff\xfb\x9c\x64" + bytes(413), id="sampling frequency 11, which is reserved"),
    ],
)
def test_bytes_that_cannot_begin_a_frame_of_mpeg_audio_are_no_mp3_file(head: bytes) -> None:
    assert sniff(head).foreign != "an MP3 file"


@pytest.mark.parametrize("text", ["BMW is a car", "MZ is a province of Italy", "FORMAT: webm", "ID3 tags", "caffeine"])
def test_a_text_that_begins_with_the_letters_of_a_magic_number_is_text(text: str) -> None:
    assert sniff(text.encode()).foreign == "text"


@pytest.mark.parametrize("text", ["[object Blob]", "[object ArrayBuffer]", "[Music]", "{0}"])
def test_brackets_alone_are_no_json(text: str) -> None:
    foreign = sniff(text.encode()).foreign
    assert foreign is not None
    assert foreign != "JSON text"


def test_two_whole_packets_of_192_bytes_are_enough() -> None:
    assert sniff((b"\x00\x12\x34\x56\x47\x1f\xff\x10" + bytes(184)) * 2) == Sniffed(container="mpeg-2-ts")


# --- short, arbitrary and long input --------------------------------------------------------------------------------

EVERYTHING = {**TAKEN, **FOREIGN}
#: What cannot be told apart before it is long enough.
SIMILAR = ({"webm", "mkv"}, {"mp4", "mov"}, {"mpeg-ts", "mpeg-2-ts"})


@pytest.mark.parametrize("name", EVERYTHING)
def test_a_beginning_of_up_to_20_bytes_is_never_taken_for_another_container(name: str) -> None:
    known, file = EVERYTHING[name]
    family = next((names for names in SIMILAR if known in names), {known})
    if file[4:8] == b"ftyp":
        # Only the brand tells an image or a sound file from a film.
        family = {known, "mp4", "mov"}
    for size in range(21):
        sniffed = sniff(file[:size])
        assert sniffed.container is None or sniffed.container in family, size
        assert sniffed.container is None or sniffed.foreign is None, size
    assert sniff(b"") == Sniffed()


@given(st.binary(max_size=2 * SNIFF_SIZE))
def test_arbitrary_bytes_never_raise(data: bytes) -> None:
    sniffed = sniff(data)
    assert sniffed.container is None or sniffed.container in CONTAINERS
    assert sniffed.container is None or sniffed.foreign is None


@given(st.sampled_from(sorted(EVERYTHING)), st.integers(0, 40), st.binary(max_size=1000))
def test_a_beginning_with_arbitrary_bytes_behind_it_never_raises(name: str, size: int, data: bytes) -> None:
    sniffed = sniff(EVERYTHING[name][1][:size] + data)
    assert sniffed.container is None or sniffed.container in CONTAINERS
    assert sniffed.container is None or sniffed.foreign is None


@given(
    st.sampled_from(sorted(name for name, (known, _) in EVERYTHING.items() if known not in SIMILAR[2])),
    st.binary(min_size=SNIFF_SIZE, max_size=SNIFF_SIZE),
    st.binary(max_size=1000),
)
def test_more_bytes_than_the_sniff_size_do_not_change_what_is_told(name: str, filling: bytes, more: bytes) -> None:
    head = (EVERYTHING[name][1] + filling)[:SNIFF_SIZE]
    assert sniff(head + more) == sniff(head)


@pytest.mark.parametrize("name", sorted(name for name, (known, _) in EVERYTHING.items() if known in SIMILAR[2]))
def test_a_transport_stream_that_breaks_off_later_begins_as_one_all_the_same(name: str) -> None:
    known, stream = EVERYTHING[name]
    head = (stream * 4)[:SNIFF_SIZE]
    assert sniff(head).container == known
    assert sniff(head + bytes(1000)).container == known
