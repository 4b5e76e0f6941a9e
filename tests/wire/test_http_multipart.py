"""Forms with a file, judged by `email` of the standard library and by what browsers do."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ihproto.wire import MultipartForm


def make(
    fields: list[tuple[str, str]] | None = None,
    *,
    boundary: str = "3f2a",
    filename: str = "video",
    content_type: str = "application/octet-stream",
    size: int = 3,
) -> MultipartForm:
    return MultipartForm(
        boundary, fields=fields or [], name="file", filename=filename, content_type=content_type, file_size=size
    )


def test_a_form_is_written_as_the_rfc_shows_it() -> None:
    form = make([("include[]", "a"), ("include[]", "b")], filename="talk.mp4", content_type="video/mp4")
    assert form.content_type == "multipart/form-data; boundary=3f2a"
    assert form.head + b"xyz" + form.tail == (
        b'--3f2a\r\nContent-Disposition: form-data; name="include[]"\r\n\r\na\r\n'
        b'--3f2a\r\nContent-Disposition: form-data; name="include[]"\r\n\r\nb\r\n'
        b'--3f2a\r\nContent-Disposition: form-data; name="file"; filename="talk.mp4"\r\n'
        b"Content-Type: video/mp4\r\n\r\nxyz\r\n--3f2a--\r\n"
    )


@given(
    fields=st.lists(st.tuples(st.sampled_from(["include[]", "model"]), st.text('ab \r\n"é', max_size=6)), max_size=4),
    file=st.binary(max_size=30),
)
def test_a_form_is_read_back_by_somebody_else_and_its_length_is_known(
    fields: list[tuple[str, str]], file: bytes
) -> None:
    form = make(fields, boundary="0123456789abcdef" * 2, size=len(file))
    body = form.head + file + form.tail
    assert len(body) == form.length
    message = email.message_from_bytes(
        f"Content-Type: {form.content_type}\r\n\r\n".encode() + body, policy=email.policy.HTTP
    )
    *told, last = message.iter_parts()
    assert len(told) == len(fields)
    assert [part.get_param("name", header="content-disposition") for part in told] == [name for name, _ in fields]
    assert last.get_param("name", header="content-disposition") == "file"
    assert body.count(b"--" + b"0123456789abcdef" * 2) == len(fields) + 2


@pytest.mark.parametrize(
    ("filename", "written"),
    [
        ('a"b.mp4', "a%22b.mp4"),
        ("a\r\nX: y", "a%0D%0AX: y"),
        ("a\nb", "a%0Ab"),
        ("größe 日本.webm", "größe 日本.webm"),
        ("a%b;c\\d", "a%b;c\\d"),
        ("undecodable-\udce9", "undecodable-?"),
    ],
)
def test_a_file_name_is_escaped_as_browsers_do(filename: str, written: str) -> None:
    form = make(filename=filename)
    assert f'; filename="{written}"\r\n'.encode() in form.head
    assert form.length == len(form.head) + 3 + len(form.tail)


def test_line_ends_in_values_and_names_are_those_of_the_network() -> None:
    form = make([("a\nb", "1\n2\r3\r\n4")])
    assert b'name="a%0D%0Ab"\r\n\r\n1\r\n2\r\n3\r\n4\r\n--3f2a' in form.head


@pytest.mark.parametrize("boundary", ["", "a" * 71, "a b", "a\r\n", 'a"', "é"])
def test_a_boundary_that_is_none_is_refused(boundary: str) -> None:
    with pytest.raises(ValueError, match="boundary"):
        make(boundary=boundary)


def test_a_boundary_with_special_characters_is_quoted() -> None:
    assert make(boundary="a:b?c").content_type == 'multipart/form-data; boundary="a:b?c"'


@pytest.mark.parametrize("content_type", ["", "a\r\nb: c", "é"])
def test_a_content_type_that_no_header_can_carry_is_refused(content_type: str) -> None:
    with pytest.raises(ValueError, match="content type"):
        make(content_type=content_type)
