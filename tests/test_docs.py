import ast
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ihproto.automata import CLIENT_TABLE, SERVER_TABLE, Refusal
from ihproto.clauses import CLAUSES
from ihproto.errorcodes import ERROR_CODES

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / "docs"


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()

TABLES: list[Mapping[Any, Mapping[Any, Any]]] = [CLIENT_TABLE, SERVER_TABLE]


@pytest.mark.parametrize("name", generate.PAGES)
def test_page_is_fresh(name: str) -> None:
    text = (DOCS / name).read_text(encoding="utf-8")
    assert text == generate.PAGES[name](), "run python docs/generate.py"


@pytest.mark.parametrize("name", generate.PAGES)
def test_page_says_how_it_is_made(name: str) -> None:
    first_line = generate.PAGES[name]().splitlines()[0]
    assert first_line.startswith("<!--")
    assert "python docs/generate.py" in first_line


def test_check_accepts_what_was_written(tmp_path: Path) -> None:
    assert generate.main(["--directory", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(generate.PAGES)
    assert generate.main(["--check", "--directory", str(tmp_path)]) == 0


@pytest.mark.parametrize("name", generate.PAGES)
def test_check_notices_a_changed_page(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generate.main(["--directory", str(tmp_path)])
    page = tmp_path / name
    page.write_text(page.read_text(encoding="utf-8") + "\nby hand\n", encoding="utf-8")
    capsys.readouterr()

    assert generate.main(["--check", "--directory", str(tmp_path)]) == 1
    complaint = capsys.readouterr().err
    assert str(page) in complaint
    assert complaint.count("is stale") == 1
    assert "by hand" in page.read_text(encoding="utf-8"), "a check writes nothing"


def test_check_notices_a_missing_page(tmp_path: Path) -> None:
    assert generate.main(["--check", "--directory", str(tmp_path)]) == 1
    assert not list(tmp_path.iterdir())


def test_protocol_page_has_a_row_for_every_clause_and_error() -> None:
    lines = generate.protocol_page().splitlines()
    for clause_id in CLAUSES:
        assert sum(line.startswith(f"| {clause_id} |") for line in lines) == 1
    for code in ERROR_CODES.values():
        assert sum(line.startswith(f"| [{code.id}]({code.link}) |") for line in lines) == 1


def test_bars_in_a_cell_do_not_break_the_table() -> None:
    assert generate.table(("a",), [("x|y",)]) == "| a |\n| --- |\n| x\\|y |"


@pytest.mark.parametrize("states", TABLES, ids=["client", "server"])
def test_automata_page_has_every_pair_of_state_and_trigger(states: Mapping[Any, Mapping[Any, Any]]) -> None:
    page = generate.automata_page()
    header = "| trigger | " + " | ".join(f"`{state.value}`" for state in states) + " |"
    lines = page[page.index(header) :].splitlines()[2:]
    triggers = list(next(iter(states.values())))
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in lines[: len(triggers)]}
    assert sorted(rows) == sorted(trigger.value for trigger in triggers)
    for column, (state, row) in enumerate(states.items(), start=1):
        for trigger, entry in row.items():
            cell = rows[trigger.value].removesuffix(" |").split(" | ")[column]
            if isinstance(entry, Refusal):
                assert cell.startswith(f"refused by [{entry.clause_id}](")
                assert entry.what in page
                assert (f"then `{entry.then.value}`" in cell) if entry.then is not None else ("then" not in cell)
            else:
                assert cell == f"`{entry.value}`", (state, trigger)


def test_automata_page_draws_each_edge_between_two_states_once() -> None:
    page = generate.automata_page()
    assert page.count("stateDiagram-v2") == 2
    for diagram, states in zip(page.split("```mermaid")[1:], TABLES, strict=True):
        drawn = re.findall(r"^    (\w+) --> (\w+): (.+)$", diagram.partition("```")[0], re.MULTILINE)
        edges = {
            (state.value, entry.value)
            for state, row in states.items()
            for entry in row.values()
            if not isinstance(entry, Refusal) and entry is not state
        }
        assert sorted((source, target) for source, target, _ in drawn) == sorted(edges)


def test_links_of_the_automata_page_lead_to_headings_of_the_catalogue() -> None:
    headings = re.findall(r"^## (.+)$", generate.protocol_page(), re.MULTILINE)
    anchors = {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}
    targets = re.findall(r"\[[A-Z]+-\d+\]\(protocol\.md#([^)]+)\)", generate.automata_page())
    assert targets
    assert set(targets) <= anchors


# -- coverage of the documents ------------------------------------------------------------------------

#: The documents; the other sources are no texts that could be gone through.
DOCUMENTS = ("S0", "S1", "S2", "S3", "S4")
KINDS = {"endpoint", "header", "parameter", "message", "field", "value", "format", "limit", "error", "rule"}
ROWS = generate.coverage_rows()


def functions_of(path: Path) -> set[str]:
    """The tests of a file: the functions at its top whose names begin with `test_`."""
    if not path.is_file():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, functions)}
    return {name for name in names if name.startswith("test_")}


def missing_tests(tests: Iterable[str], root: Path = REPOSITORY) -> list[str]:
    """Those of the tests, as `path::function`, that there are not."""
    wanted = [test.partition("::") for test in dict.fromkeys(tests)]
    there = {path: functions_of(root / path) for path, _, _ in wanted}
    return [f"{path}::{name}" for path, _, name in wanted if name not in there[path]]


def test_every_test_of_the_coverage_page_exists() -> None:
    assert missing_tests(test for row in ROWS for test in row.tests) == []


def test_a_test_that_does_not_exist_is_found(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "def test_a(): ...\nasync def test_b(): ...\ndef c(): ...\nclass D:\n    def test_e(self): ...\ntest_f = 1\n"
    )
    named = [f"test_x.py::{name}" for name in ("test_a", "test_b", "c", "test_e", "test_f", "test_ab", "")]
    assert missing_tests([*named, "test_y.py::test_a"], tmp_path) == [*named[2:], "test_y.py::test_a"]


def test_every_row_of_coverage_is_complete_and_names_clauses_that_there_are() -> None:
    for row in ROWS:
        assert row.source in DOCUMENTS, row
        assert row.kind in KINDS, row
        assert row.name, row
        assert re.fullmatch(r"[^\n]+\.", row.says), row
        assert set(row.clauses) <= set(CLAUSES), row
        assert row.tests, row
        assert len(set(row.tests)) == len(row.tests), row


def test_no_row_of_coverage_is_there_twice_and_every_document_has_some() -> None:
    names = Counter((row.source, row.kind, row.name) for row in ROWS)
    assert [name for name, count in names.items() if count > 1] == []
    assert list(dict.fromkeys(row.source for row in ROWS)) == list(DOCUMENTS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_clause_that_cites_a_document_has_a_row_of_it(document: str) -> None:
    citing = {entry.id for entry in CLAUSES.values() if document in re.findall(r"\bS\d\b", entry.source)}
    covered = {clause_id for row in ROWS if row.source == document for clause_id in row.clauses}
    assert citing
    assert citing - covered == set()


def test_the_coverage_page_has_every_row_in_its_section_and_counts_them() -> None:
    head, *sections = generate.coverage_page().split("\n## ")
    assert len(sections) == len(DOCUMENTS)
    for document, section in zip(DOCUMENTS, sections, strict=True):
        own = [row for row in ROWS if row.source == document]
        lines = section.splitlines()[4:]
        assert section.startswith(f"{document}: ")
        assert [line.split(" | ")[:3] for line in lines] == [[f"| {row.kind}", row.name, row.says] for row in own]
        for row, line in zip(own, lines, strict=True):
            assert all(f"::{test.partition('::')[2]}`]" in line for test in row.tests)
        count = len({test for row in own for test in row.tests})
        assert re.search(rf"^\| {document}: .* \| {len(own)} \| {count} \|$", head, re.MULTILINE)
    assert f"\n| all | {len(ROWS)} | {len({test for row in ROWS for test in row.tests})} |\n" in head
