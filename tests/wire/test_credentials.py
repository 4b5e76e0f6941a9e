from __future__ import annotations

import string

import pytest
from wire.raw import KEY

from ihproto import LocalProtocolError
from ihproto.wire import Credential, CredentialForm
from ihproto.wire.credentials import Offer, find, judge_answer, offer, select

TOKEN = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
SEPARATORS = '()<>@,;:\\"/[]?={} \t'
HEADER = "".join(chr(code) for code in range(0x21, 0x7F))


def test_the_header_form_adds_one_header_and_offers_no_subprotocol() -> None:
    made = offer(Credential(KEY))
    assert made.headers == [(b"Authorization", b"Bearer " + KEY.encode())]
    assert made.subprotocols == []


def test_the_subprotocol_form_offers_the_credential_alone() -> None:
    made = offer(Credential(KEY, CredentialForm.SUBPROTOCOL))
    assert (made.headers, made.subprotocols) == ([], [KEY])


def test_the_pair_form_offers_the_mark_and_then_the_credential() -> None:
    made = offer(Credential(KEY, CredentialForm.PAIR))
    assert (made.headers, made.subprotocols) == ([], ["access_token", KEY])


@pytest.mark.parametrize("form", [CredentialForm.SUBPROTOCOL, CredentialForm.PAIR])
def test_every_character_of_an_http_token_travels_as_a_subprotocol(form: CredentialForm) -> None:
    assert offer(Credential(TOKEN, form)).subprotocols[-1] == TOKEN


@pytest.mark.parametrize("form", [CredentialForm.SUBPROTOCOL, CredentialForm.PAIR])
@pytest.mark.parametrize("character", [*SEPARATORS, "\x00", "\x1f", "\x7f", "\x80", "é", "\n", "日"])
def test_a_character_that_is_no_token_character_is_named_with_its_place_and_the_cure(
    form: CredentialForm, character: str
) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        offer(Credential(f"abc{character}def{character}", form))
    violation = caught.value.violation
    assert violation.clause.id == "HS-7"
    assert repr(character) in violation.what
    assert "character 4 " in violation.what
    assert "header" in violation.what
    assert "abc" not in str(caught.value)
    assert "def" not in str(caught.value)


def test_every_visible_ascii_character_travels_in_the_header() -> None:
    assert offer(Credential(HEADER)).headers == [(b"Authorization", b"Bearer " + HEADER.encode())]


@pytest.mark.parametrize("character", [" ", "\t", "\r", "\n", "\x00", "\x7f", "é"])
def test_a_character_that_cannot_travel_in_the_header_is_named_with_its_place(character: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        offer(Credential(f"{character}x"))
    assert caught.value.violation.clause.id == "HS-2"
    assert repr(character) in caught.value.violation.what
    assert "character 1 " in caught.value.violation.what


@pytest.mark.parametrize(
    ("form", "clause_id"),
    [(CredentialForm.HEADER, "HS-2"), (CredentialForm.SUBPROTOCOL, "HS-7"), (CredentialForm.PAIR, "HS-7")],
)
def test_an_empty_credential_is_refused_in_every_form(form: CredentialForm, clause_id: str) -> None:
    with pytest.raises(LocalProtocolError, match="empty") as caught:
        offer(Credential("", form))
    assert caught.value.violation.clause.id == clause_id


@pytest.mark.parametrize("value", [b"Bearer key", b"bearer key", b"BEARER  key ", b"Bearer   key"])
def test_a_bearer_header_is_found_however_its_scheme_is_written(value: bytes) -> None:
    assert find([(b"host", b"h"), (b"authorization", value)], []) == Credential("key", CredentialForm.HEADER)


@pytest.mark.parametrize("value", [b"Basic key", b"Bearer", b"Bearer   ", b"key", b""])
def test_a_header_that_holds_no_bearer_credential_leaves_it_to_the_subprotocol(value: bytes) -> None:
    assert find([(b"authorization", value)], []) is None
    assert find([(b"authorization", value)], ["other"]) == Credential("other", CredentialForm.SUBPROTOCOL)


@pytest.mark.parametrize("subprotocols", [[KEY], ["access_token", KEY]])
def test_the_header_decides_where_there_are_two_credentials(subprotocols: list[str]) -> None:
    found = find([(b"authorization", b"Bearer key")], subprotocols)
    assert found == Credential("key", CredentialForm.HEADER)


def test_a_single_subprotocol_is_a_credential() -> None:
    assert find([], [KEY]) == Credential(KEY, CredentialForm.SUBPROTOCOL)


def test_the_second_of_a_marked_pair_is_a_credential() -> None:
    assert find([], ["access_token", KEY]) == Credential(KEY, CredentialForm.PAIR)


@pytest.mark.parametrize("subprotocols", [[], [KEY, "access_token"], ["a", "b"], ["access_token", "a", "b"]])
def test_other_subprotocols_are_no_credential(subprotocols: list[str]) -> None:
    assert find([], subprotocols) is None


def test_the_value_of_a_header_is_compared_with_its_case_kept() -> None:
    found = find([(b"authorization", b"Bearer KeY")], [])
    assert found is not None
    assert found.value == "KeY"


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        ([], None),
        ([KEY], KEY),
        (["access_token", KEY], "access_token"),
        ([KEY, "access_token"], "access_token"),
        (["chat", "superchat"], "chat"),
    ],
)
def test_a_server_selects_one_of_those_offered_and_never_the_secret_of_a_pair(
    offered: list[str], selected: str | None
) -> None:
    assert select(offered) == selected


@pytest.mark.parametrize(
    ("form", "selected"),
    [(CredentialForm.HEADER, None), (CredentialForm.SUBPROTOCOL, KEY), (CredentialForm.PAIR, "access_token")],
)
def test_the_selection_that_the_protocol_wants_is_not_blamed(form: CredentialForm, selected: str | None) -> None:
    assert judge_answer(offer(Credential(KEY, form)).subprotocols, selected, "id") == []


@pytest.mark.parametrize(
    ("form", "selected"),
    [
        (CredentialForm.SUBPROTOCOL, None),
        (CredentialForm.PAIR, None),
        (CredentialForm.PAIR, KEY),
        (CredentialForm.HEADER, "chat"),
    ],
)
def test_another_selection_is_blamed_without_quoting_it(form: CredentialForm, selected: str | None) -> None:
    (finding,) = judge_answer(offer(Credential(KEY, form)).subprotocols, selected, "id")
    assert finding.clause.id == "HS-5"
    assert KEY not in repr(finding)


def test_an_answer_without_a_correlation_id_is_blamed() -> None:
    (finding,) = judge_answer([], None, None)
    assert finding.clause.id == "HS-9"


@pytest.mark.parametrize("form", CredentialForm)
def test_a_credential_and_its_offer_never_show_the_secret(form: CredentialForm) -> None:
    credential = Credential(KEY, form)
    made: Offer = offer(credential)
    for text in (repr(credential), str(credential), repr(made), str(made), f"{credential!s}{made!s}"):
        assert KEY not in text
