import re
from collections.abc import Mapping

import attrs
import pytest

from ihproto import clauses, errorcodes
from ihproto.clauses import CLAUSES, FAMILIES, REVISION_IDS, SOURCES, Clause, Level, clause
from ihproto.errorcodes import ERROR_CODES, ErrorCode

MUST, SHOULD, ASSUMED = Level.MUST, Level.SHOULD, Level.ASSUMED

# Written by hand, not derived from the catalogue: a clause that is lost or changes its level
# has to be changed here as well, on purpose. Position in the list is the number, from 1.
EXPECTED: dict[str, list[Level]] = {
    "HS": [
        MUST,  # 1
        MUST,  # 2
        MUST,  # 3
        MUST,  # 4
        MUST,  # 5
        ASSUMED,  # 6
        MUST,  # 7
        MUST,  # 8
        MUST,  # 9
        MUST,  # 10
        SHOULD,  # 11
        SHOULD,  # 12
        SHOULD,  # 13
        SHOULD,  # 14
        MUST,  # 15
    ],
    "ENV": [MUST, MUST, SHOULD, MUST, MUST],
    "RDY": [MUST, MUST, MUST, MUST],
    "CFG": [MUST, MUST, MUST, SHOULD, SHOULD, SHOULD, SHOULD, SHOULD],
    "SEG": [MUST, MUST, MUST, MUST, MUST, SHOULD, SHOULD, MUST, MUST, ASSUMED],
    "WIN": [SHOULD, SHOULD, MUST],
    "SIG": [MUST, MUST, MUST, MUST, MUST, SHOULD, SHOULD, SHOULD],
    "ENG": [MUST, MUST, MUST],
    "CQI": [MUST, MUST, MUST, MUST, MUST, SHOULD, ASSUMED],
    "ERR": [MUST, SHOULD, MUST],
    "TMO": [MUST, MUST],
    "CLS": [SHOULD, SHOULD, MUST],
    "COV": [SHOULD],
    "STS": [MUST, MUST, MUST, MUST, ASSUMED],
    "UPL": [MUST, SHOULD],
    "AUT": [MUST, SHOULD],
}


def test_the_levels_have_the_words_of_reports() -> None:
    assert [level.value for level in Level] == ["must", "should", "assumed"]


# id: (HTTP status, close code)
EXPECTED_ERRORS: dict[str, tuple[int | None, int | None]] = {
    "ih1001": (500, 1011),
    "ih1002": (503, None),
    "ih1003": (503, 1013),
    "ih1004": (None, None),
    "ih2001": (401, None),
    "ih2002": (401, None),
    "ih2003": (403, 4003),
    "ih2005": (400, None),
    "ih2010": (401, None),
    "ih2011": (401, None),
    "ih2014": (401, 1008),
    "ih3001": (429, None),
    "ih3002": (429, None),
    "ih3003": (429, None),
    "ih3006": (429, None),
    "ih4001": (400, None),
    "ih4002": (400, None),
    "ih4003": (413, None),
    "ih4004": (400, None),
    "ih4005": (400, 1008),
    "ih4007": (400, None),
    "ih4021": (404, None),
    "ih5001": (422, None),
    "ih5002": (422, None),
    "ih5004": (None, None),
    "ih5008": (422, None),
    "ih6001": (None, None),
    "ih6002": (None, None),
    "ih6003": (None, 1001),
    "ih6004": (None, 1001),
}

every_clause = pytest.mark.parametrize("entry", CLAUSES.values(), ids=lambda entry: entry.id)


def test_the_catalogue_is_the_expected_one_in_order() -> None:
    expected = [
        (f"{family}-{number}", level)
        for family, levels in EXPECTED.items()
        for number, level in enumerate(levels, start=1)
    ]
    assert [(entry.id, entry.level) for entry in CLAUSES.values()] == expected
    assert list(FAMILIES) == list(EXPECTED)


@pytest.mark.parametrize(("http_status", "close_code"), [(399, None), (600, None), (None, 999), (None, 5000)])
def test_an_error_code_has_a_status_of_an_error_and_a_close_code_of_a_websocket(
    http_status: int | None, close_code: int | None
) -> None:
    # RFC 9110, section 15, and RFC 6455, section 7.4.
    with pytest.raises(ValueError, match="must be in range"):
        ErrorCode("ih6002", "message-too-large", "the message is too large", http_status, close_code)


def test_an_error_may_end_a_session_as_it_should_end() -> None:
    assert ErrorCode("ih6002", "message-too-large", "the message is too large", None, 1000).fatal


def test_keys_are_the_ids() -> None:
    assert all(key == entry.id for key, entry in CLAUSES.items())


def test_a_repeated_id_is_refused() -> None:
    with pytest.raises(ValueError, match="HS-1 is used twice"):
        clauses._by_id([clause("HS-1"), clause("HS-1")])
    with pytest.raises(ValueError, match="ih6002 is used twice"):
        errorcodes._by_id([ERROR_CODES["ih6002"], ERROR_CODES["ih6002"]])


@pytest.mark.parametrize("mapping", [CLAUSES, FAMILIES, SOURCES, ERROR_CODES])
def test_tables_are_read_only(mapping: Mapping[str, object]) -> None:
    with pytest.raises(TypeError):
        mapping["HS-1"] = None  # type: ignore[index]


@every_clause
def test_family_level_and_revisions_are_known(entry: Clause) -> None:
    assert entry.family in FAMILIES
    assert isinstance(entry.level, Level)
    assert entry.revisions
    assert set(entry.revisions) <= {"v0", "v0.2", "v1-window", "v1", "v2"}
    assert sorted(entry.revisions, key=REVISION_IDS.index) == list(entry.revisions)


@every_clause
def test_the_rule_is_one_sentence(entry: Clause) -> None:
    assert entry.sentence.endswith(".")
    assert not re.search(r"[.!?]\s", entry.sentence)
    assert "  " not in entry.sentence
    assert entry.sentence.count("`") % 2 == 0
    assert entry.sentence[0] == "`" or entry.sentence[0].isupper()


@every_clause
def test_sources_are_known(entry: Clause) -> None:
    for tag in entry.source.split(", "):
        assert tag.partition(" §")[0] in SOURCES
    assert (entry.level is ASSUMED) == (entry.source == "assumed")


@every_clause
def test_clauses_and_errors_that_are_referred_to_exist(entry: Clause) -> None:
    families = "|".join(FAMILIES)
    for reference in re.findall(rf"\b(?:{families})-\d+", entry.sentence):
        assert reference in CLAUSES
    for reference in re.findall(r"\bih\d{4}\b", entry.sentence):
        assert reference in ERROR_CODES


@pytest.mark.parametrize(
    ("clause_id", "revisions"),
    [
        ("HS-1", ("v0", "v0.2", "v1-window", "v1", "v2")),
        ("HS-13", ("v2",)),
        ("HS-15", ("v0.2",)),
        ("ENV-1", ("v1-window", "v1", "v2")),
        ("RDY-1", ("v1", "v2")),
        ("CFG-1", ("v1-window", "v1", "v2")),
        ("SEG-3", ("v0",)),
        ("SIG-1", ("v1", "v2")),
        ("ENG-1", ("v1", "v2")),
        ("CQI-1", ("v1", "v2")),
        ("CLS-1", ("v1", "v2")),
        ("COV-1", ("v1", "v2")),
        ("STS-1", ("v0", "v0.2")),
        ("STS-3", ("v0.2",)),
        ("STS-4", ("v0",)),
        ("UPL-2", ("v2",)),
    ],
)
def test_revisions(clause_id: str, revisions: tuple[str, ...]) -> None:
    assert clause(clause_id).revisions == revisions


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"id": "XYZ-1"}, ValueError),
        ({"id": "HS"}, ValueError),
        ({"id": "HS-0"}, ValueError),
        ({"id": "HS-01"}, ValueError),
        ({"id": "HS-1a"}, ValueError),
        ({"id": 1}, TypeError),
        ({"level": "must"}, TypeError),
        ({"revisions": ()}, ValueError),
        ({"revisions": ("v3",)}, ValueError),
        ({"revisions": ("v2", "v1")}, ValueError),
        ({"revisions": ["v1"]}, TypeError),
        ({"sentence": "No full stop"}, ValueError),
        ({"source": ""}, ValueError),
    ],
)
def test_a_clause_validates_itself(change: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        attrs.evolve(clause("HS-1"), **change)  # type: ignore[arg-type]


def test_a_clause_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        clause("HS-1").id = "HS-2"  # type: ignore[misc]


def test_clause_finds_a_clause() -> None:
    assert clause("SEG-2") is CLAUSES["SEG-2"]
    assert clause("SEG-2").family == "SEG"


@pytest.mark.parametrize(
    ("clause_id", "hint"),
    [
        ("SEG-11", "SEG-1"),
        ("SEG2", "SEG-2"),
        ("seg-2", "SEG-2"),
        ("CQ-7", "CQI-7"),
        ("nonsense entirely", "the families are HS, ENV"),
        ("", "the families are HS, ENV"),
    ],
)
def test_clause_names_the_nearest_ids(clause_id: str, hint: str) -> None:
    with pytest.raises(KeyError) as raised:
        clause(clause_id)
    text = raised.value.args[0]
    assert repr(clause_id) in text
    assert re.search(rf"{hint}\b", text)


def test_error_codes_are_the_expected_ones_in_order() -> None:
    actual = {name: (code.http_status, code.close_code) for name, code in ERROR_CODES.items()}
    assert actual == EXPECTED_ERRORS
    assert list(ERROR_CODES) == sorted(EXPECTED_ERRORS)
    assert all(name == code.id for name, code in ERROR_CODES.items())


def test_an_error_is_fatal_if_a_close_follows() -> None:
    fatal = {name for name, code in ERROR_CODES.items() if code.fatal}
    assert fatal == {"ih1001", "ih1003", "ih2003", "ih2014", "ih4005", "ih6003", "ih6004"}


def test_the_link_of_an_error() -> None:
    assert ERROR_CODES["ih6002"].link == (
        "https://docs.interhuman.ai/api-reference/error-handling#ih6002-message-too-large"
    )
    links = [code.link for code in ERROR_CODES.values()]
    assert len({code.slug for code in ERROR_CODES.values()}) == len(links)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "6002"},
        {"id": "ih60021"},
        {"slug": "Message-Too-Large"},
        {"slug": "message too large"},
        {"meaning": "it ends with a full stop."},
        {"http_status": 200},
        {"close_code": 999},
    ],
)
def test_an_error_code_validates_itself(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        attrs.evolve(ERROR_CODES["ih6002"], **change)  # type: ignore[arg-type]


def test_an_error_code_is_frozen() -> None:
    code: ErrorCode = ERROR_CODES["ih6002"]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        code.slug = "other"  # type: ignore[misc]
