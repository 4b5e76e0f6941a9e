from __future__ import annotations

import json

import pytest

from ihproto import ERROR_CODES
from ihproto.wire import HttpError
from ihproto.wire.refusal import decode_http_error

LINK = "https://docs.interhuman.ai/api-reference/error-handling#ih2001-"


def test_an_error_of_the_catalogue_has_its_link_and_its_meaning() -> None:
    error = HttpError.of("ih2001")
    assert error.error_id == "ih2001"
    assert error.link is not None
    assert error.link.startswith(LINK)
    assert error.message == ERROR_CODES["ih2001"].meaning
    assert error.correlation_id is None


def test_an_error_can_have_a_message_of_its_own() -> None:
    assert HttpError.of("ih2001", message="try again").message == "try again"
    assert HttpError.of("ih2001", message="").message == ""


def test_an_error_that_the_catalogue_does_not_hold_cannot_be_made_from_it() -> None:
    with pytest.raises(KeyError):
        HttpError.of("ih9999")


def test_the_body_holds_the_four_documented_fields_and_no_other() -> None:
    error = HttpError("ih2001", "id", "https://x", 'quoted "é"')
    assert json.loads(error.encode()) == {
        "error_id": "ih2001",
        "correlation_id": "id",
        "link": "https://x",
        "message": 'quoted "é"',
    }


def test_a_field_that_is_not_known_is_null_in_the_body() -> None:
    assert json.loads(HttpError(message="m").encode()) == {
        "error_id": None,
        "correlation_id": None,
        "link": None,
        "message": "m",
    }


def test_a_body_is_read_back_as_it_was_written() -> None:
    error = HttpError("ih2001", "id", "https://x", "é")
    assert decode_http_error(error.encode()) == error


def test_fields_of_a_newer_server_do_not_matter() -> None:
    body = json.dumps({"error_id": "ih2001", "message": "m", "retry_after": [1, {"a": None}]}).encode()
    assert decode_http_error(body) == HttpError("ih2001", None, None, "m")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"text"',
        b"null",
        b'{"error_id": 1}',
        b'{"message": ["m"]}',
        b'{"error_id": "ih2001"',
        b'{"error_id": "ih2001"} x',
        b'{"x": ' + b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_body_of_another_kind_is_none(body: bytes) -> None:
    assert decode_http_error(body) is None


@pytest.mark.parametrize("body", [b'{"message": "\xff"}', b'{"error_id": "ih2001", "message": "caf\xe9"}'])
def test_a_body_that_is_not_utf_8_is_none(body: bytes) -> None:
    assert decode_http_error(body) is None


@pytest.mark.parametrize("body", [b"{}", b'{"detail": "Not Found"}'])
def test_a_body_without_any_documented_field_is_none(body: bytes) -> None:
    assert decode_http_error(body) is None
