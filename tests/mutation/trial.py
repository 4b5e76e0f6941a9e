"""One mutant against the tests: what runs in a forked process, and what comes out of it.

A mutant in a function is put into the loaded modules, by giving the function other code. One in a class body or a
table takes effect at import only: the process has loaded nothing of the library yet, and imports the changed module.
"""

from __future__ import annotations

import ast
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest
from _pytest.runner import runtestprotocol
from mutation.operators import Mutant

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "src" / "ihproto"
OPTIONS = [
    "-s",
    "-q",
    "--assert=plain",
    "--hypothesis-profile=mutants",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--rootdir",
    str(ROOT),
]

_MEMORY_BYTES = 4 << 30
#: What a test may take, in seconds of the processor and as a multiple of what it takes without a mutant.
_PATIENCE_SECONDS = 5.0
_PATIENCE_FACTOR = 20.0

#: Where a live function is looked up: its name with those of its classes, and its first line.
Place = tuple[str, str, int]


def run_forked(work: Callable[[], str | None]) -> str | None:
    """Run something in a process of its own.

    Args:
        work: What to do; it tells what killed the mutant, None for nothing.

    Returns:
        What `work` returned, or how the process died.
    """
    reader, writer = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reader)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        said = "an exception outside of the tests"
        try:
            said = work() or ""
        finally:
            os.write(writer, b"=" + said.encode()[:4000])
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read().decode()
    _, status = os.waitpid(process, 0)
    if told:
        return told[1:] or None
    return "timeout" if os.WTERMSIG(status) == signal.SIGPROF else f"signal {os.WTERMSIG(status)}"


def first_failure(items: Iterable[pytest.Item], seconds: Mapping[str, float], budget: float) -> str | None:
    """Run tests until one fails, and tell which; None if none does within the budget (seconds of the processor)."""
    begun = time.process_time()
    for item in items:
        usual = seconds.get(item.nodeid, 1.0)
        signal.setitimer(signal.ITIMER_PROF, _PATIENCE_SECONDS + _PATIENCE_FACTOR * usual)
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=None)):
            return item.nodeid
        if time.process_time() - begun > budget:
            break
    return None


def live_functions() -> dict[Place, list[FunctionType]]:
    """All loaded functions of the library, by where they are written."""
    found: dict[Place, list[FunctionType]] = {}
    for function in gc.get_objects():
        if isinstance(function, FunctionType) and function.__code__.co_filename.startswith(str(SOURCE)):
            code = function.__code__
            found.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(function)
    return found


def plant(mutant: Mutant, tree: ast.Module, functions: Mapping[Place, Sequence[FunctionType]]) -> bool:
    """Give a loaded function the code of its mutant; tell whether that was possible."""
    planted = False
    for code in _outermost(compile(mutant.apply(tree), str(SOURCE / mutant.module), "exec", dont_inherit=True)):
        for function in functions.get((code.co_filename, code.co_qualname, code.co_firstlineno), ()):
            if code != function.__code__:
                if code.co_freevars != function.__code__.co_freevars:
                    return False
                function.__code__ = code
                planted = True
    return planted


def _outermost(code: CodeType) -> Iterable[CodeType]:
    """The functions of a module and of its classes, but not those inside of functions."""
    for part in code.co_consts:
        if isinstance(part, CodeType):
            # The code of a class body takes no arguments and has locals of its own, as a module has.
            if part.co_flags & 0x2:
                yield part
            else:
                yield from _outermost(part)


class _ChangedModule(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module in its changed form."""

    def __init__(self, mutant: Mutant, tree: ast.Module) -> None:
        path = SOURCE / mutant.module
        parts = ("ihproto", *Path(mutant.module).with_suffix("").parts)
        self._is_package = parts[-1] == "__init__"
        self._name = ".".join(parts[:-1] if self._is_package else parts)
        self._path = str(path)
        self._code = compile(mutant.apply(tree), self._path, "exec", dont_inherit=True)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            self._path,
            loader=self,
            submodule_search_locations=[str(Path(self._path).parent)] if self._is_package else None,
        )

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


class _Trial:
    """Collects tests and runs them, the likely killers first."""

    def __init__(self, likely: Sequence[str], seconds: Mapping[str, float], budget: float) -> None:
        self._likely = {name: index for index, name in enumerate(likely)}
        self._seconds = seconds
        self._budget = budget
        self.killer: str | None = None

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            self.killer = "collection"
            return True
        last = len(self._likely)
        known = [item for item in session.items if item.nodeid in self._seconds]
        if len(known) < len(self._seconds) and len(session.items) > len(known):
            # A test whose name comes from what is changed has another name now.
            known = [item for item in session.items if item.nodeid in self._seconds or "[" in item.nodeid]
        known.sort(key=lambda item: (self._likely.get(item.nodeid, last), self._seconds.get(item.nodeid, 0.01)))
        self.killer = first_failure(known, self._seconds, self._budget)
        return True


def try_at_import(
    mutant: Mutant,
    tree: ast.Module,
    files: Sequence[str],
    likely: Sequence[str],
    seconds: Mapping[str, float],
    budget: float,
) -> str | None:
    """Import the library with a mutant in it and run test files; tell what killed it."""
    signal.setitimer(signal.ITIMER_PROF, 60)
    sys.meta_path.insert(0, _ChangedModule(mutant, tree))
    trial = _Trial(likely, seconds, budget)
    code = pytest.main([*OPTIONS, *files], plugins=[trial])
    if trial.killer is None and code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return "collection"
    return trial.killer
