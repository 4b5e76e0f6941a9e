"""Lists of expected failures: how they are read, and what they do to results."""

from __future__ import annotations

from pathlib import Path

import pytest
from conformance.sample_reports import result

from ihproto_conformance.expected import ExpectedError, apply, load_expected
from ihproto_conformance.verdict import Evidence, Result, Status

KNOWN = ["CFG-5.unknown-member", "CFG-5.unknown-value", "HS-5.selects-one", "SIG-5.rounds", "TMO-1.idle"]
HEAD = "[expected-failures]\n"


def listed(folder: Path, text: str) -> Path:
    path = folder / "expected.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


def test_a_list_is_read_in_its_order(tmp_path: Path) -> None:
    text = HEAD + '"SIG-5.rounds" = " Ticket 9. "\n# why not\n"CFG-5.unknown-member" = "Ticket 123."\n'
    assert list(load_expected(listed(tmp_path, text), KNOWN).items()) == [
        ("SIG-5.rounds", "Ticket 9."),
        ("CFG-5.unknown-member", "Ticket 123."),
    ]


@pytest.mark.parametrize("text", ["", HEAD, "# nothing any more\n"])
def test_a_list_may_be_empty(tmp_path: Path, text: str) -> None:
    assert dict(load_expected(listed(tmp_path, text), KNOWN)) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + '"SIG-5.rounds"\n', ["not TOML", "line 2", "an id in quotes"]),
        (HEAD + '"SIG-5.rounds" = "\udcff"\n', ["not TOML", "utf-8"]),
        ('"SIG-5.rounds" = "x"\n', ["'SIG-5.rounds' has no meaning here", "[expected-failures]"]),
        ('[expected]\n"SIG-5.rounds" = "x"\n', ["'expected' has no meaning here", "[expected-failures]"]),
        ('expected-failures = ["SIG-5.rounds"]\n', ["no table", "[expected-failures]"]),
        (HEAD + '"CFG-5.unknown" = "x"\n', ["'CFG-5.unknown'", "CFG-5.unknown-member, CFG-5.unknown-value"]),
        (HEAD + '"sig-5.round" = "x"\n', ["'sig-5.round'", "nearest ids are SIG-5.rounds"]),
        (HEAD + '"SIH-5.rounds" = "x"\n', ["'SIH-5.rounds'", "SIG-5.rounds"]),
        (HEAD + '"zzz" = "x"\n', ["'zzz'", "no id is like it"]),
        (HEAD + 'SIG-5.rounds = "x"\n', ["'SIG-5'", "in quotes"]),
        (HEAD + '"SIG-5.rounds" = " "\n', ["'SIG-5.rounds' has no reason", "say in a sentence"]),
        (HEAD + '"SIG-5.rounds" = true\n', ["'SIG-5.rounds' has no reason"]),
        (HEAD + '"\\u001b[2J" = "x"\n', ["'\\x1b[2J'"]),
    ],
)
def test_what_is_wrong_is_said_with_file_key_and_cure(tmp_path: Path, text: str, words: list[str]) -> None:
    path = listed(tmp_path, text)
    with pytest.raises(ExpectedError) as caught:
        load_expected(path, KNOWN)
    for word in [str(path), *words]:
        assert word in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.toml"
    with pytest.raises(ExpectedError, match=r"cannot be read \(No such file") as caught:
        load_expected(path, KNOWN)
    assert str(path) in str(caught.value)
    with pytest.raises(ExpectedError, match="cannot be read"):
        load_expected(tmp_path, KNOWN)


def judged(status: Status, id_: str = "SIG-5.rounds") -> Result:
    return result(id_, "t", status, Evidence("e"), reason="as it was")


@pytest.mark.parametrize("status", [Status.FAILED, Status.BLOCKED])
def test_what_is_broken_and_listed_was_expected(status: Status) -> None:
    marked, stale = apply([judged(status)], {"SIG-5.rounds": "Ticket 9."}, KNOWN)
    (only,) = marked
    assert (only.expected, only.reason, only.status, only.counts) == (True, "Ticket 9.", status, False)
    assert only.evidence == (Evidence("e"),)
    assert stale == ()


def test_what_passes_and_is_listed_is_stale() -> None:
    marked, stale = apply([judged(Status.PASSED)], {"SIG-5.rounds": "Ticket 9."}, KNOWN)
    assert marked == (judged(Status.PASSED),)
    assert stale == ("SIG-5.rounds",)


@pytest.mark.parametrize("status", [Status.UNSEEN, Status.NOT_APPLICABLE, Status.NOT_ASKED])
def test_of_what_was_not_judged_nothing_is_known(status: Status) -> None:
    assert apply([judged(status)], {"SIG-5.rounds": "Ticket 9."}, KNOWN) == ((judged(status),), ())


def test_what_was_not_chosen_is_never_stale() -> None:
    expected = {"SIG-5.rounds": "Ticket 9.", "TMO-1.idle": "Ticket 10."}
    assert apply([judged(Status.PASSED)], expected, ["HS-5.selects-one"])[1] == ()
    assert apply([], expected, KNOWN)[1] == ()


def test_what_is_not_listed_stays_as_it_is() -> None:
    results = [judged(Status.FAILED), judged(Status.PASSED, "HS-5.selects-one")]
    assert apply(results, {"TMO-1.idle": "Ticket 10."}, KNOWN) == (tuple(results), ())


def test_stale_entries_come_in_the_order_of_the_list() -> None:
    results = [judged(Status.PASSED, id_) for id_ in KNOWN]
    expected = {"TMO-1.idle": "b", "CFG-5.unknown-member": "a"}
    assert apply(results, expected, KNOWN)[1] == ("TMO-1.idle", "CFG-5.unknown-member")
