from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upload_requests import EXAMPLE, RECORDINGS, Form, encode, recording, seconds_of, with_file

from ihproto import ExpectedMedia, MediaScanner, NominalScanner, SegmentFault, SegmentMedia
from ihproto_mock.upload_form import (
    MAX_FIELD_BYTES,
    MAX_HEADER_BYTES,
    MAX_OTHER_BYTES,
    UploadForm,
    UploadRefused,
    judge_length,
)

#: The limits that the documents give, in bytes (UPL-1).
SMALLEST, LARGEST = 10_000, 33_554_432

cuts = st.lists(st.integers(0, 10**6), max_size=40)


class Tape:
    """A scanner that keeps what it is fed, and objects to what it is told to."""

    def __init__(self, objects_to: bytes | None = None) -> None:
        self.begun: list[int] = []
        self.data = b""
        self.fault = SegmentFault("ih4002", "SEG-5", "is an Ogg file")
        self._objects_to = objects_to

    def expect(self, expected: ExpectedMedia) -> None:
        pass

    def begin(self, number: int) -> None:
        self.begun.append(number)

    def feed(self, data: bytes) -> SegmentFault | None:
        self.data += data
        return self.fault if self._objects_to is not None and self._objects_to in self.data else None

    def finish(self) -> SegmentMedia | SegmentFault:
        return SegmentMedia(5.0)


def read(form: Form, places: list[int], scanner: Any = None, **options: Any) -> tuple[UploadForm, Any]:
    upload = UploadForm(form.content_type, scanner if scanner is not None else Tape(), **options)
    for piece in form.pieces(places):
        upload.feed(piece)
    return upload, upload.finish()


def refusal(form: Form, places: list[int] | None = None, **options: Any) -> tuple[int, str | None, str]:
    with pytest.raises(UploadRefused) as caught:
        read(form, places or [], **options)
    error = caught.value.error
    assert error.message is not None
    assert "UPL-1" in error.message
    return caught.value.status, error.error_id, error.message


def parts(*headers_and_values: tuple[str, bytes]) -> Form:
    """A form written by hand, for what httpx would not write."""
    body = b"".join(
        b"--cut\r\n" + headers.encode() + b"\r\n\r\n" + value + b"\r\n" for headers, value in headers_and_values
    )
    return Form("multipart/form-data; boundary=cut", body + b"--cut--\r\n")


FILE = 'Content-Disposition: form-data; name="file"; filename="a.webm"'
CONTENT = b"x" * SMALLEST


@given(
    content=st.binary(max_size=300).map(lambda tail: CONTENT + tail + b"\r\n--" + tail),
    include=st.lists(st.text(max_size=20), max_size=3),
    context=st.text(max_size=100),
    places=cuts,
)
def test_what_httpx_writes_is_read_whatever_the_pieces(
    content: bytes, include: list[str], context: str, places: list[int]
) -> None:
    form = with_file(content, include=include, conversation_context=context, model="inter-2")
    tape = Tape()
    upload, outcome = read(form, places, tape)
    assert tape.data == content
    assert tape.begun == [1]
    assert upload.file_bytes == len(content)
    assert upload.values("include[]") == tuple(include)
    assert upload.values("conversation_context") == (context,)
    assert upload.values("model") == ("inter-2",)
    assert upload.values("wait_seconds") == ()
    assert outcome == SegmentMedia(5.0)
    assert not upload.useless


def test_a_form_can_be_read_byte_by_byte() -> None:
    form = with_file(CONTENT, include=["a", "b"])
    tape = Tape()
    upload, _ = read(form, list(range(len(form.body))), tape)
    assert (tape.data, upload.values("include[]")) == (CONTENT, ("a", "b"))


def test_fields_may_come_after_the_file() -> None:
    upload, _ = read(parts((FILE, CONTENT), ('Content-Disposition: form-data; name="model"', b"inter-2")), [])
    assert upload.values("model") == ("inter-2",)


def test_fields_and_files_that_nobody_knows_are_ignored() -> None:
    form = encode({"file": ("a", CONTENT), "thumbnail": ("b.png", b"y" * 50_000)}, {"colour": "red" * 30_000})
    tape = Tape()
    upload, _ = read(form, [], tape)
    assert tape.data == CONTENT
    assert upload.values("colour") == ()
    assert upload.file_bytes == len(CONTENT)


@pytest.mark.parametrize("folder", RECORDINGS)
@pytest.mark.parametrize("size", [997, 65_536, 10**9])
def test_a_real_recording_is_measured_on_its_way_through(folder: str, size: int) -> None:
    content = recording(folder)
    form = with_file(content)
    _, outcome = read(form, list(range(0, len(form.body), size)), MediaScanner())
    whole = MediaScanner()
    whole.begin(1)
    assert whole.feed(content) is None
    assert outcome == whole.finish()
    assert isinstance(outcome, SegmentMedia)
    assert outcome.size == len(content)


@given(places=cuts)
def test_the_pieces_of_a_real_recording_change_nothing(places: list[int]) -> None:
    _, outcome = read(RECORDED, places, MediaScanner())
    assert isinstance(outcome, SegmentMedia)
    assert {track.kind for track in outcome.tracks} == {"video", "audio"}
    assert outcome.seconds == pytest.approx(seconds_of(recording(EXAMPLE)), abs=0.001)


RECORDED = with_file(recording(EXAMPLE))


@pytest.mark.parametrize(
    "content_type",
    [None, "", "application/json", "video/webm", "multipart/mixed; boundary=cut", "multipart/form-datä; boundary=cut"],
)
def test_a_body_that_is_no_form_is_refused_as_415(content_type: str | None) -> None:
    with pytest.raises(UploadRefused, match="send multipart/form-data") as caught:
        UploadForm(content_type, Tape())
    assert (caught.value.status, caught.value.error.error_id) == (415, None)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary="\t"',
        "multipart/form-data; boundary=" + "b" * 71,
    ],
)
def test_a_form_without_a_usable_boundary_is_refused_as_400(content_type: str) -> None:
    with pytest.raises(UploadRefused, match="boundary") as caught:
        UploadForm(content_type, Tape())
    assert (caught.value.status, caught.value.error.error_id) == (400, None)


def test_the_longest_boundary_is_taken() -> None:
    boundary = b"b" * 70
    body = b"--%s\r\n%s\r\n\r\n%s\r\n--%s--\r\n" % (boundary, FILE.encode(), CONTENT, boundary)
    upload, _ = read(Form(f"Multipart/Form-Data; boundary={boundary.decode()}", body), [])
    assert upload.file_bytes == len(CONTENT)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "before its closing boundary"),
        (b"{}", "boundary"),
        (b"--other\r\n", "boundary"),
        (b"--cut\r\n" + FILE.encode() + b"\r\n\r\n" + CONTENT, "before its closing boundary"),
        (b"--cut\r\n" + FILE.encode() + b"\r\n\r\n" + CONTENT + b"\r\n--cut", "before its closing boundary"),
        (b"--cut\r\nno header\r\n\r\n", "header"),
        (b"--cut\r\nContent-Type: text/plain\r\n\r\nx\r\n--cut--\r\n", "Content-Disposition"),
        (b"--cut\r\nContent-Disposition: form-data\r\n\r\nx\r\n--cut--\r\n", "Content-Disposition"),
        (b"--cut\r\nContent-Disposition: attachment; name=file\r\n\r\nx\r\n--cut--\r\n", "Content-Disposition"),
        (b'--cut\r\nContent-Disposition: form-data; name="a\nb"\r\n\r\nx\r\n--cut--\r\n', "control character"),
        (b'--cut\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff\r\n--cut--\r\n', "UTF-8"),
        (b"--cut\r\nX: " + b"y" * MAX_HEADER_BYTES + b"\r\n\r\n", "longer than"),
        (b"--cut\r\n" + b"X: y\r\n" * MAX_HEADER_BYTES, ""),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10**9])
def test_a_broken_form_is_refused_as_400(body: bytes, why: str, size: int) -> None:
    form = Form("multipart/form-data; boundary=cut", body)
    status, error_id, message = refusal(form, list(range(0, len(body), size)))
    assert (status, error_id) == (400, None)
    assert why.lower() in message.lower()


def test_a_form_without_a_file_is_ih4001() -> None:
    form = encode({"other": ("a", b"x")}, {"model": "inter-2"})
    assert refusal(form)[:2] == (400, "ih4001")


def test_a_file_part_that_nobody_chose_a_file_for_is_ih4001() -> None:
    status, error_id, message = refusal(parts(('Content-Disposition: form-data; name="file"; filename=""', b"")))
    assert (status, error_id) == (400, "ih4001")
    assert "empty" in message


def test_a_path_instead_of_a_file_is_ih4001_and_the_answer_says_how_to_send_a_file() -> None:
    status, error_id, message = refusal(parts(('Content-Disposition: form-data; name="file"', b"clip.webm")))
    assert (status, error_id) == (400, "ih4001")
    assert "--form file=@" in message


def test_a_second_file_is_refused_as_400() -> None:
    status, error_id, message = refusal(parts((FILE, CONTENT), (FILE, CONTENT)))
    assert (status, error_id) == (400, None)
    assert "more than one" in message


@pytest.mark.parametrize("size", [1, SMALLEST - 1])
def test_a_file_of_less_than_10_kb_is_refused_as_ih4007(size: int) -> None:
    status, error_id, message = refusal(with_file(b"x" * size))
    assert (status, error_id) == (400, "ih4007")
    assert "10,000" in message


def test_10_kb_are_enough() -> None:
    upload, _ = read(with_file(b"x" * SMALLEST), [])
    assert upload.file_bytes == SMALLEST


@given(places=cuts, size=st.integers(0, SMALLEST - 1))
def test_a_small_file_is_too_small_whatever_else_is_wrong_with_it(places: list[int], size: int) -> None:
    form = with_file(b"no".ljust(size, b"x"))
    assert refusal(form, places, scanner=Tape(b"no"))[:2] == (400, "ih4007")


@given(places=cuts, more=st.integers(0, 30_000))
def test_of_a_file_that_the_scanner_gives_up_nothing_else_is_read(places: list[int], more: int) -> None:
    # What comes after the file would be refused as well, had it been read.
    form = parts((FILE, b"no" + CONTENT + b"x" * more), (FILE, CONTENT))
    upload, outcome = read(form, places, Tape(b"no"))
    assert upload.useless
    assert outcome.code == "ih4002"


def whole_mb(size: int) -> Form:
    return with_file(bytes(size))


def test_32_mb_are_taken_and_one_byte_more_is_ih4003() -> None:
    upload, _ = read(whole_mb(LARGEST), [], NominalScanner(5))
    assert upload.file_bytes == LARGEST
    status, error_id, message = refusal(whole_mb(LARGEST + 1), [], scanner=NominalScanner(5))
    assert (status, error_id) == (413, "ih4003")
    assert "33,554,432" in message


@given(places=cuts)
def test_a_file_over_the_limit_is_refused_at_the_limit_and_nothing_beyond_it_is_scanned(places: list[int]) -> None:
    tape = Tape()
    form = parts((FILE, b"x" * 40_000), (FILE, CONTENT))
    assert refusal(form, places, scanner=tape, max_file_bytes=20_000)[:2] == (413, "ih4003")
    assert tape.data == b"x" * len(tape.data)
    assert len(tape.data) <= 20_000


def test_the_limit_shows_as_soon_as_it_is_passed() -> None:
    upload = UploadForm("multipart/form-data; boundary=cut", Tape(), max_file_bytes=20_000)
    upload.feed(b"--cut\r\n" + FILE.encode() + b"\r\n\r\n" + b"x" * 20_000)
    with pytest.raises(UploadRefused, match="ih4003"):
        upload.feed(b"x")


def test_an_announced_length_that_no_form_can_have_is_refused_before_it_comes() -> None:
    judge_length(None)
    judge_length(LARGEST + MAX_OTHER_BYTES)
    with pytest.raises(UploadRefused) as caught:
        judge_length(LARGEST + MAX_OTHER_BYTES + 1)
    assert (caught.value.status, caught.value.error.error_id) == (413, "ih4003")


@pytest.mark.parametrize("count", [1, 5000])
def test_fields_are_kept_up_to_a_bound(count: int) -> None:
    value = "" if count > 1 else "x" * MAX_FIELD_BYTES
    status, error_id, message = refusal(with_file(CONTENT, include=[value] * count))
    assert (status, error_id) == (413, None)
    assert "65,536" in message


def test_a_form_holds_no_more_than_1_mb_beside_the_file() -> None:
    unknown = 'Content-Disposition: form-data; name="unknown"'
    upload, _ = read(parts((unknown, b"y" * (MAX_OTHER_BYTES - 1000)), (FILE, CONTENT)), [])
    assert upload.file_bytes == len(CONTENT)
    form = parts((unknown, b"y" * MAX_OTHER_BYTES), (FILE, CONTENT))
    assert refusal(form)[:2] == (413, None)
    form = parts((FILE, CONTENT))
    assert refusal(Form(form.content_type, form.body + b"z" * MAX_OTHER_BYTES))[:2] == (413, None)


def test_what_follows_the_closing_boundary_is_ignored() -> None:
    form = parts((FILE, CONTENT))
    upload, outcome = read(Form(form.content_type, form.body + b"\r\n--cut\r\nrubbish"), [len(form.body) + 4])
    assert (upload.file_bytes, outcome) == (len(CONTENT), SegmentMedia(5.0))


def test_a_file_of_32_mb_leaves_next_to_nothing_in_memory() -> None:
    header = recording(EXAMPLE)
    header = header[: header.index(b"\x1f\x43\xb6\x75")]
    # A Void element (RFC 8794) that fills the file up to its limit.
    filling = LARGEST - len(header) - 9
    head = b"--cut\r\n" + FILE.encode() + b"\r\n\r\n" + header + b"\xec\x01" + filling.to_bytes(7, "big")
    piece = bytes(65_536)
    upload = UploadForm("multipart/form-data; boundary=cut", MediaScanner())
    tracemalloc.start()
    try:
        upload.feed(head)
        for _ in range(filling // len(piece)):
            upload.feed(piece)
        upload.feed(piece[: filling % len(piece)] + b"\r\n--cut--\r\n")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert upload.file_bytes == LARGEST
    assert isinstance(upload.finish(), SegmentMedia)
    assert peak < 300 * 1024


def test_an_error_that_http_does_not_know_cannot_refuse_an_upload() -> None:
    with pytest.raises(ValueError, match="ih6003 is no error of HTTP"):
        UploadRefused.of("ih6003")
