"""Credentials are taken out of texts in whatever way they are written."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from wire.raw import KEY

from ihproto.wire import REDACTED, Redactor


def test_credentials_are_taken_out_wherever_they_stand() -> None:
    redactor = Redactor([KEY, "", "other"])
    assert redactor.text(f"a {KEY} b {KEY}{KEY} other") == f"a {REDACTED} b {REDACTED}{REDACTED} {REDACTED}"
    assert redactor.text("ih_live_ is what keys begin with") == "ih_live_ is what keys begin with"
    assert redactor.text("") == ""


def test_what_is_too_short_to_be_a_secret_stays_where_it_stands() -> None:
    said = '{"type":"session.ready"}'
    assert Redactor(["e", "type"]).text(said) == said
    assert Redactor(["ready"]).text(said) == f'{{"type":"session.{REDACTED}"}}'


def test_a_credential_may_begin_like_another() -> None:
    assert Redactor([KEY, KEY + "more"]).text(f"{KEY}more {KEY}") == f"{REDACTED} {REDACTED}"


@pytest.mark.parametrize("size", range(12, len(KEY)))
def test_a_credential_that_was_cut_off_is_none_that_may_be_kept(size: int) -> None:
    assert Redactor([KEY]).text(f"<{KEY[:size]}> <{KEY[:size]}") == f"<{REDACTED}> <{REDACTED}"


def test_a_credential_is_known_as_urls_and_json_write_it() -> None:
    secret = 'a+b/c="d\\é'
    redactor = Redactor([secret])
    for form in (secret, quote(secret), quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]):
        assert redactor.text(f"({form})") in (f"({REDACTED})", f"({quote(secret)})")
    assert redactor.text(quote(secret, safe="")) == REDACTED
    assert redactor.text(json.dumps(secret, ensure_ascii=False)) == f'"{REDACTED}"'
    assert Redactor(["ab/cd"]).text('"ab\\/cd"') == f'"{REDACTED}"'


def test_credentials_may_be_learned_later() -> None:
    redactor = Redactor([])
    assert redactor.text(KEY) == KEY
    redactor.add([KEY])
    redactor.add([""])
    assert redactor.text(KEY) == REDACTED


def test_headers_that_are_there_for_credentials_lose_their_value() -> None:
    headers = [
        (b"Authorization", b"Bearer unknown"),
        (b"Sec-WebSocket-Protocol", b"access_token, unknown"),
        (b"Cookie", b"unknown"),
        (b"Set-Cookie", b"unknown"),
        (b"Proxy-Authorization", b"unknown"),
        (b"X-Key", b"is " + KEY.encode()),
        (b"X-Other", b"\xe9"),
    ]
    assert Redactor([KEY]).headers(headers) == (
        ("authorization", REDACTED),
        ("sec-websocket-protocol", f"access_token, {REDACTED}"),
        ("cookie", REDACTED),
        ("set-cookie", REDACTED),
        ("proxy-authorization", REDACTED),
        ("x-key", f"is {REDACTED}"),
        ("x-other", "é"),
    )


def test_a_redactor_does_not_show_what_it_takes_out() -> None:
    assert KEY not in repr(Redactor([KEY]))
