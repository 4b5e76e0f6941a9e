import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ihproto.automata import CLIENT_TABLE, SERVER_TABLE, Refusal
from ihproto.clauses import CLAUSES
from ihproto.errorcodes import ERROR_CODES

DOCS = Path(__file__).resolve().parent.parent / "docs"


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
