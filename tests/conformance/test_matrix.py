"""The matrix as a page, and which clauses it leaves out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conformance.broken import judged, judged_client

from ihproto import CLAUSES, Level
from ihproto_conformance import matrix
from ihproto_conformance.clause_coverage import UNTESTABLE
from ihproto_conformance.client.broken import BROKEN
from ihproto_conformance.faults import FAULTS

pytestmark = pytest.mark.matrix

PAGE = Path(__file__).resolve().parents[2] / "docs" / "matrix.md"


def test_the_page_is_fresh() -> None:
    rows = [judged(fault_id)[0] for fault_id in FAULTS]
    clients = [(variant, list(judged_client(variant).results)) for variant in BROKEN]
    assert PAGE.read_text(encoding="utf-8") == matrix.page(rows, clients), "run make matrix"


def test_there_are_more_than_enough_of_them() -> None:
    assert len(FAULTS) >= 80
    assert len(BROKEN) >= 25


def test_every_binding_clause_has_a_broken_server_or_a_reason() -> None:
    binding = {clause.id for clause in CLAUSES.values() if clause.level is not Level.ASSUMED}
    proven = {fault.clause.id for fault in FAULTS.values()}
    assert binding - proven - UNTESTABLE.keys() == set()
    assert UNTESTABLE.keys() <= binding
    assert UNTESTABLE.keys() & proven == set()
    for reason in UNTESTABLE.values():
        assert re.fullmatch(r"[a-z][^.]*", reason)


def test_links_of_the_page_lead_to_headings_of_the_catalogue() -> None:
    headings = re.findall(r"^## (.*)$", (PAGE.parent / "protocol.md").read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^a-z -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\(protocol\.md#([^)]*)\)", PAGE.read_text(encoding="utf-8"))) <= anchors


def test_a_row_says_what_was_missed() -> None:
    good = judged("ENG-2.repeated")[0]
    bad = judged("SIG-1.repeated")[0]
    missed = matrix.Row(good.fault, (), (), bad.named)
    text = matrix.page([good, missed, matrix.Row(good.fault, (), (), (), "nobody | is there")])
    rows = [line for line in text.splitlines() if line.startswith("| `ENG-2.repeated`")]
    assert [row.endswith("`ENG-2.observed` |  | none |") for row in rows] == [True, False, False]
    assert rows[1].endswith("| nothing |  | `SIG-1.observed` |")
    assert r"nobody \| is there" in rows[2]
    assert "| broken servers | 3 |" in text
    assert "| of those, found by a check of the clause they break | 1 |" in text
    assert "| checks of other clauses that failed | 1 |" in text


@pytest.mark.parametrize(("fault_id", "code"), [("ENG-2.repeated", 0), ("CLS-3.unanswered", 1)])
def test_the_command_writes_the_page_and_says_what_was_missed(
    fault_id: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = judged(fault_id)[0]
    row = found if code == 0 else matrix.Row(found.fault, (), (), ())
    monkeypatch.setattr(matrix, "rows", lambda faults: [row])
    monkeypatch.setattr(matrix, "client_matrix", list)
    assert matrix.main([str(tmp_path / "matrix.md")]) == code
    assert (tmp_path / "matrix.md").read_text(encoding="utf-8") == matrix.page([row])
    told = capsys.readouterr().out
    clients = "0 of 0 broken clients found\n"
    missed = f"not {fault_id}\n" if code else ""
    assert told == f"{1 - code} of 1 broken servers found\n{clients}{missed}"


def test_the_command_wants_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert matrix.main([]) == 2
    assert "usage" in capsys.readouterr().err
