"""Mutation testing of the session layer: `make mutants`, or `PYTHONPATH=tests python -m mutation.run --help`.

First every test runs once, to learn which lines it touches and how long it takes. Then each mutant meets the tests
that touch its line, the quickest first, until one fails. What is known is kept in `.mutants/`, so that a run that was
stopped goes on where it was; a mutant that survived is tried again when the tests have changed.
"""

from __future__ import annotations

import argparse
import ast
import gc
import hashlib
import json
import os
import random
import sys
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import coverage
import pytest
from mutation.operators import Mutant, enumerations, mutants, read_modules
from mutation.trial import (
    OPTIONS,
    ROOT,
    SOURCE,
    first_failure,
    live_functions,
    plant,
    run_forked,
    try_at_import,
)

MODULES = [
    *(f"{name}.py" for name in ("client", "server", "monitor", "automata", "codec", "events", "errors", "revisions")),
    *(f"{name}.py" for name in ("tokens", "uploads", "messages", "errorcodes", "clauses")),
    *sorted(str(path.relative_to(SOURCE)) for path in SOURCE.glob("rules/*.py")),
    *sorted(str(path.relative_to(SOURCE)) for path in SOURCE.glob("analysis/*.py")),
    *(f"media/{name}.py" for name in ("judge", "sniff", "stream", "scanner", "interface")),
]
TESTS = [
    *("tests/rules", "tests/analysis", "tests/media"),
    *sorted(
        str(path.relative_to(ROOT))
        for path in ROOT.glob("tests/test_*.py")
        if path.stem not in {"test_docs", "test_readme", "test_camera_example"}
    ),
]
KEPT = ROOT / ".mutants"
REASONS = ROOT / "tests" / "mutation" / "survivors.toml"
PAGE = ROOT / "docs" / "mutants.md"


@attrs.frozen
class Tests:
    """What is known of the tests.

    Attributes:
        digest: Stands for the tests and the library as they are.
        seconds: How long each takes.
        touching: The tests that touch a line, by module and line.
        imported: The lines that run when modules are loaded or tests are collected.
        budget: How long the tests of one mutant may take in all, in seconds of the processor.
    """

    digest: str
    seconds: dict[str, float]
    touching: dict[str, dict[int, list[str]]]
    imported: dict[str, set[int]]
    budget: float

    def touching_line(self, module: str, line: int) -> list[str]:
        """The tests that touch a line; of a line that is only a part of a statement, those of the lines before it."""
        known = self.touching[module]
        while line not in known and line > 1:
            line -= 1
        return known.get(line, [])


class _Recorder:
    """Runs every test once, and notes the lines that it touches."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured
        self.seconds: dict[str, float] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            self._measured.switch_context(item.nodeid)
            begun = time.monotonic()
            if first_failure([item], {}, 3600) is None:
                self.seconds[item.nodeid] = round(time.monotonic() - begun, 4)
            else:
                print("fails without any mutant, and is left out:", item.nodeid, file=sys.stderr)
        self._measured.switch_context("")
        return True


def _record(digest: str, kept: Path) -> str | None:
    paths = [str(SOURCE / module) for module in MODULES]
    measured = coverage.Coverage(data_file=None, include=paths, config_file=False)
    measured.start()
    recorder = _Recorder(measured)
    pytest.main([*OPTIONS, *TESTS], plugins=[recorder])
    measured.stop()
    data = measured.get_data()
    numbers = {name: index for index, name in enumerate(recorder.seconds)}
    lines = {
        module: {
            line: [numbers[name] if name else -1 for name in names if not name or name in numbers]
            for line, names in data.contexts_by_lineno(path).items()
        }
        for module, path in zip(MODULES, paths, strict=True)
    }
    kept.write_text(json.dumps({"digest": digest, "seconds": recorder.seconds, "lines": lines}), encoding="utf-8")
    return None


def know_tests(budget: float) -> Tests:
    """Learn which tests touch which lines, or remember it."""
    hashed = hashlib.sha256()
    for path in sorted([*SOURCE.rglob("*.py"), *ROOT.glob("tests/**/*.py")]):
        if path.parent.name not in {
            "mutation",
            "browser",
            "cli",
            "adapters",
            "mock",
            "wire",
            "conformance",
            "_adapter",
        }:
            hashed.update(path.read_bytes())
    digest = hashed.hexdigest()
    kept = KEPT / "tests.json"
    if not kept.exists() or json.loads(kept.read_text(encoding="utf-8"))["digest"] != digest:
        print("running every test once ...", flush=True)
        said = run_forked(lambda: _record(digest, kept))
        if said is not None:
            raise SystemExit(f"the tests could not be measured: {said}")
    known = json.loads(kept.read_text(encoding="utf-8"))
    names = list(known["seconds"])
    return Tests(
        digest,
        known["seconds"],
        {
            module: {int(line): [names[number] for number in numbers if number >= 0] for line, numbers in lines.items()}
            for module, lines in known["lines"].items()
        },
        {
            module: {int(line) for line, numbers in lines.items() if -1 in numbers}
            for module, lines in known["lines"].items()
        },
        budget,
    )


class Results:
    """What became of each mutant, kept line by line.

    A killed mutant stays killed as long as the line that it changes reads the same; a survivor is tried again with
    other tests, or with a larger budget.
    """

    def __init__(self, tests: Tests) -> None:
        self._digest = tests.digest
        self._budget = tests.budget
        self._path = KEPT / "results.jsonl"
        self._known: dict[str, dict[str, Any]] = {}
        self.killers: dict[str, Counter[str]] = defaultdict(Counter)
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                self._keep(json.loads(line))

    def _keep(self, result: dict[str, Any]) -> None:
        self._known[result["name"]] = result
        killer = result["killer"]
        if killer is not None and "::" in killer:
            module, place, _ = result["name"].split(":", 2)
            self.killers[f"{module}:{place}"][killer] += 1
            self.killers[module][killer] += 1

    def add(self, mutant: Mutant, killer: str | None) -> None:
        result = {"name": mutant.name, "killer": killer, "digest": self._digest, "budget": self._budget}
        self._keep(result)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(result) + "\n")

    def is_known(self, mutant: Mutant) -> bool:
        result = self._known.get(mutant.name)
        if result is None or result["killer"] is not None:
            return result is not None
        return bool(result["digest"] == self._digest and result["budget"] >= self._budget)

    def was_tried(self, mutant: Mutant) -> bool:
        return mutant.name in self._known

    def killer(self, mutant: Mutant) -> str | None:
        killer: str | None = self._known[mutant.name]["killer"]
        return killer

    def likely(self, mutant: Mutant) -> list[str]:
        """The tests that killed the most mutants round about."""
        near = [name for name, _ in self.killers[f"{mutant.module}:{mutant.place}"].most_common(6)]
        return [*near, *(name for name, _ in self.killers[mutant.module].most_common(6) if name not in near)]


class _Loaded:
    """Holds all tests in a loaded process, and forks from it for each mutant in a function."""

    def __init__(
        self, wanted: Sequence[Mutant], trees: Mapping[str, ast.Module], tests: Tests, results: Results
    ) -> None:
        self._wanted = wanted
        self._trees = trees
        self._tests = tests
        self._results = results
        self.left: list[str] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        functions = live_functions()
        gc.freeze()
        for number, mutant in enumerate(self._wanted):
            if number % 100 == 0:
                print(f"  {number} of {len(self._wanted)}: {mutant.module}", file=sys.stderr, flush=True)
            touching = set(self._tests.touching_line(mutant.module, mutant.line))
            likely = [name for name in self._results.likely(mutant) if name in touching]
            touching.difference_update(likely)
            names = [*likely, *sorted(touching, key=lambda name: self._tests.seconds[name])]
            ordered = [items[name] for name in names if name in items]

            def work(mutant: Mutant = mutant, ordered: list[pytest.Item] = ordered) -> str | None:
                if not plant(mutant, self._trees[mutant.module], functions):
                    return "not possible"
                return first_failure(ordered, self._tests.seconds, self._tests.budget)

            killer = run_forked(work)
            at_import = mutant.line in self._tests.imported[mutant.module]
            if killer == "not possible" or (killer is None and at_import):
                continue
            self._results.add(mutant, killer)
        return True


def _try_in_functions(
    wanted: Sequence[Mutant], trees: Mapping[str, ast.Module], tests: Tests, results: Results
) -> str | None:
    pytest.main([*OPTIONS, *TESTS], plugins=[_Loaded(wanted, trees, tests, results)])
    return None


def _files_about(module: str, tests: Tests, likely: Sequence[str]) -> list[str]:
    """The test files that are likeliest to kill something in the tables of a module."""
    stem = Path(module).stem.rstrip("s")
    files = sorted({name.split("::")[0] for name in tests.seconds})
    near = {file for file in files if stem in Path(file).stem}
    return sorted(near | {name.split("::")[0] for name in likely[:3]})


def try_all(wanted: Sequence[Mutant], trees: Mapping[str, ast.Module], tests: Tests, results: Results) -> None:
    """Try the mutants of which nothing is known yet."""
    in_functions = [mutant for mutant in wanted if mutant.lives_in_function and not results.is_known(mutant)]
    if in_functions:
        print(f"{len(in_functions)} mutants in functions", flush=True)
        # The process that has the library loaded is a fork too: this one must stay without it.
        _fork_and_wait(in_functions, trees, tests, results)
    results = Results(tests)
    at_import = [mutant for mutant in wanted if not results.is_known(mutant)]
    if at_import:
        print(f"{len(at_import)} mutants that take effect at import", flush=True)
    for number, mutant in enumerate(at_import):
        if number % 25 == 0:
            print(f"  {number} of {len(at_import)}: {mutant.module}", file=sys.stderr, flush=True)
        results.add(mutant, _try_one_at_import(mutant, trees[mutant.module], tests, results))


def _fork_and_wait(wanted: Sequence[Mutant], trees: Mapping[str, ast.Module], tests: Tests, results: Results) -> None:
    process = os.fork()
    if process == 0:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        try:
            _try_in_functions(wanted, trees, tests, results)
        finally:
            os._exit(0)
    os.waitpid(process, 0)


def _try_one_at_import(mutant: Mutant, tree: ast.Module, tests: Tests, results: Results) -> str | None:
    likely = results.likely(mutant)
    for files in (_files_about(mutant.module, tests, likely), TESTS):
        if files:
            work = partial(try_at_import, mutant, tree, files, likely, tests.seconds, tests.budget)
            killer = run_forked(work)
            if killer is not None:
                return killer
    return None


def read_reasons() -> dict[str, tuple[str, str]]:
    """Why mutants survive: the kind of reason and the reason, by the name of the mutant."""
    told = tomllib.loads(REASONS.read_text(encoding="utf-8")) if REASONS.exists() else {}
    return {name: (kind, why) for kind, names in told.items() for name, why in names.items()}


def _figures(everything: Mapping[str, Sequence[Mutant]], results: Results) -> Iterator[tuple[str, int, int, int]]:
    """For each module: its name, how many mutants were killed and tried, and how many there are."""
    for module, found in everything.items():
        tried = [mutant for mutant in found if results.was_tried(mutant)]
        if tried:
            yield module, sum(results.killer(mutant) is not None for mutant in tried), len(tried), len(found)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else "-"


_HEAD = """# Mutants

A mutant is the session layer with one small change to its code: another comparison, a constant that is one more, a
call without one of its arguments, a line less. A good test suite fails for each of them (the mutant is *killed*); one
that survives is either no change to the behaviour at all, or shows something that no test looks at.

```sh
make mutants                                  # all of them; goes on where it was stopped
make mutants MUTANTS='--sample 300 --seed 1'  # some, drawn at random
make mutants MUTANTS='rules/status.py'        # those of one module
make mutants MUTANTS='--report --write'       # the figures, into this page
```

The mutator is our own, in `tests/mutation/`. mutmut 3 changes the bodies of undecorated functions only, and much of
what matters here stands elsewhere: the tables of the automata and of the revisions, and properties. cosmic-ray starts
the tests anew for each mutant, and does not choose among them. This one knows from coverage which tests touch the
changed line, and runs those alone, the quickest first, in a fork of a process that has everything loaded; only what
takes effect at import is loaded anew. Hypothesis draws the same examples each time, and does not make them shorter.

Left alone are docstrings, annotations, imports, and sentences for people (strings with a space, f-strings). The tests
are those of the session layer and of the media; a mutant's tests may take 25 s of the processor in all (`--budget`).
A test that runs 20 times as long as usual, and 5 s more, kills. The generated pages are not among the tests: they say
what the code says.

## Figures

`there are` counts the mutants of a module, `tried` those that a run has come to: mutants are tried in a random order,
so what a run that was stopped has tried is a random sample.
"""


def page(
    rows: Sequence[tuple[str, int, int, int]], survivors: Sequence[Mutant], reasons: Mapping[str, tuple[str, str]]
) -> str:
    """The page that tells the figures and the survivors."""
    lines = [_HEAD, "| module | there are | tried | killed | % |", "| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| `{module}` | {total} | {tried} | {killed} | {_percent(killed, tried)} |"
        for module, killed, tried, total in [*rows, _sum(rows)]
    ]
    lines += ["", "## Survivors", ""]
    lines += ["A survivor without a reason has not been looked into, or still wants a test.", ""]
    for mutant in survivors:
        kind, why = reasons.get(mutant.name, ("", ""))
        told = f": {kind}; {why}" if kind else ""
        lines.append(f"- `{mutant.name.replace('`', chr(39))}`{told}")
    return "\n".join(lines) + "\n"


def _sum(rows: Sequence[tuple[str, int, int, int]]) -> tuple[str, int, int, int]:
    return "in all", sum(row[1] for row in rows), sum(row[2] for row in rows), sum(row[3] for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try mutants, and print what became of them."""
    parser = argparse.ArgumentParser(description="Mutation testing of the session layer.")
    parser.add_argument("modules", nargs="*", help="modules below src/ihproto, for example rules/status.py")
    parser.add_argument("--sample", type=int, metavar="N", help="try N mutants drawn at random")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="the seed of the sample")
    parser.add_argument("--budget", type=float, default=25, metavar="SECONDS", help="for the tests of one mutant")
    parser.add_argument("--report", action="store_true", help="try nothing; tell what is known")
    parser.add_argument("--write", action="store_true", help="write the figures into docs/mutants.md")
    options = parser.parse_args(arguments)
    sys.setrecursionlimit(5000)
    KEPT.mkdir(exist_ok=True)
    chosen = options.modules or MODULES
    trees = read_modules(SOURCE, MODULES)
    members = enumerations(trees)
    everything = {module: mutants(module, trees[module], members) for module in MODULES if module in chosen}
    wanted = [mutant for found in everything.values() for mutant in found]
    # What a run that is stopped has done is a random sample, too.
    wanted = random.Random(options.seed).sample(wanted, min(options.sample or len(wanted), len(wanted)))
    tests = know_tests(options.budget)
    if not options.report:
        try_all(wanted, trees, tests, Results(tests))
    results = Results(tests)
    if options.sample is not None:
        asked = {mutant.name for mutant in wanted}
        everything = {
            module: [mutant for mutant in found if mutant.name in asked] for module, found in everything.items()
        }
    reasons = read_reasons()
    survivors = [
        mutant
        for found in everything.values()
        for mutant in found
        if results.was_tried(mutant) and results.killer(mutant) is None
    ]
    for mutant in survivors:
        kind, why = reasons.get(mutant.name, ("survived", ""))
        print(f"{kind}: src/ihproto/{mutant.module}:{mutant.line} {mutant.name}{': ' if why else ''}{why}")
    rows = list(_figures(everything, results))
    for module, killed, tried, total in [*rows, _sum(rows)]:
        print(f"{module:28} {killed:5} of {tried:5} killed {_percent(killed, tried):>6} %   ({total} in all)")
    if options.write:
        PAGE.write_text(page(rows, survivors, reasons), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
