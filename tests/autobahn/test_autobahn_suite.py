"""The installation of the suite and its attacks, without the suite: `stand_in.py` plays its part."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest
from autobahn import suite
from autobahn.__main__ import main
from autobahn.echo import STACKS
from autobahn.suite import (
    REQUIREMENTS,
    Attack,
    SuiteError,
    attack_clients,
    attack_servers,
    candidates,
    choose,
    install,
    version,
)

STAND_IN = Path(__file__).parent / "stand_in.py"
ATTACKS = [attack_servers, attack_clients]

Run = Callable[[Attack], Awaitable[Path]]
both = pytest.mark.parametrize("run", ATTACKS, ids=["server", "client"])


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


@pytest.fixture
def wstest(tmp_path: Path) -> Path:
    return script(tmp_path / "wstest", f'exec "{sys.executable}" "{STAND_IN}" "$@"')


# -- installation ---------------------------------------------------------------------------------


def test_the_first_python_27_is_chosen(tmp_path: Path) -> None:
    dead = script(tmp_path / "dead", "exit 127")
    other = script(tmp_path / "other", "echo False")
    good = script(tmp_path / "good", "echo True")
    assert choose([str(tmp_path / "none"), str(dead), str(other), str(good), str(dead)]) == str(good)


def test_our_own_python_is_no_python_27() -> None:
    with pytest.raises(SuiteError) as caught:
        choose([sys.executable])
    assert "PYTHON27=" in str(caught.value)
    assert "crossbario/autobahn-testsuite" in str(caught.value)


def test_pythons_are_looked_for_on_the_path_and_in_pyenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pyenv = [script(tmp_path / f".pyenv/versions/{name}/bin/python") for name in ("2.7.18", "3.11.7", "2.7.9")]
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert candidates(tmp_path) == [str(pyenv[0]), str(pyenv[2])]
    path = script(tmp_path / "bin/python2.7")
    monkeypatch.setenv("PATH", str(path.parent))
    assert candidates(tmp_path) == [str(path), str(pyenv[0]), str(pyenv[2])]


def test_what_is_installed_is_not_installed_again_until_something_else_is_required(tmp_path: Path) -> None:
    wstest = script(tmp_path / "env/bin/wstest")
    nothing = str(tmp_path / "nothing")
    with pytest.raises(SuiteError):
        install(tmp_path, nothing)
    shutil.copyfile(REQUIREMENTS, tmp_path / "installed.txt")
    assert install(tmp_path, nothing) == wstest
    (tmp_path / "installed.txt").write_text("autobahntestsuite==0\n")
    with pytest.raises(SuiteError):
        install(tmp_path, nothing)


def test_an_installation_that_fails_is_not_taken_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "suite"
    script(folder / "env/bin/wstest")
    monkeypatch.setattr(sys, "executable", str(script(tmp_path / "python", "echo no such package", "exit 1")))
    for _ in range(2):
        with pytest.raises(SuiteError, match=r"install\.log"):
            install(folder, str(script(tmp_path / "python2.7", "echo True")))
    assert (folder / "install.log").read_text() == "no such package\n" * 2


# -- attacks --------------------------------------------------------------------------------------


@both
def test_both_stacks_say_everything_back_in_both_roles(run: Run, wstest: Path, tmp_path: Path) -> None:
    watched: list[str] = []
    index = anyio.run(run, Attack(wstest, tmp_path / "run", ["*"], watched.append))
    found = json.loads(index.read_text())
    assert {stack: [case["behavior"] for case in cases.values()] for stack, cases in found.items()} == {
        stack: ["OK", "OK"] for stack in STACKS
    }
    assert watched == [stack for stack in STACKS for _ in range(2)]


def test_nothing_is_left_of_an_earlier_run(tmp_path: Path) -> None:
    attack = Attack(tmp_path / "wstest", tmp_path / "run", ["1.*", "2.*"], lambda name: None)
    script(tmp_path / "run/reports/index.json")
    assert attack.finished() == tmp_path / "run/reports/index.json"
    spec = json.loads(attack.prepare(url="ws://127.0.0.1:1").read_text())
    reports = str(tmp_path / "run/reports")
    assert spec == {"outdir": reports, "cases": ["1.*", "2.*"], "url": "ws://127.0.0.1:1"}
    with pytest.raises(SuiteError, match="no reports"):
        attack.finished()


@both
def test_a_suite_that_ends_early_has_failed(run: Run, tmp_path: Path) -> None:
    attack = Attack(script(tmp_path / "wstest", "exit 0"), tmp_path / "run", [], lambda name: None)
    with pytest.raises(SuiteError):
        anyio.run(run, attack)


@both
def test_a_suite_that_does_nothing_is_ended(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[anyio.abc.Process] = []
    start = anyio.open_process

    async def recorded(command: list[str], **options: Any) -> anyio.abc.Process:
        processes.append(await start(command, **options))
        return processes[-1]

    monkeypatch.setattr(anyio, "open_process", recorded)
    monkeypatch.setattr(suite, "CASE_TIMEOUT", 0.0)
    monkeypatch.setattr(suite, "START_TIMEOUT", 0.0)
    attack = Attack(script(tmp_path / "wstest", "exec sleep 600"), tmp_path / "run", [], lambda name: None)
    with pytest.raises(SuiteError):
        anyio.run(run, attack)
    (process,) = processes
    assert process.returncode is not None


def test_the_version_is_told_in_one_line(wstest: Path) -> None:
    assert version(wstest) == "Autobahn 1, AutobahnTestSuite 2"


# -- all together ---------------------------------------------------------------------------------


def run_main(tmp_path: Path, *more: str) -> tuple[int, Path]:
    page = tmp_path / "page.md"
    return main(["--folder", str(tmp_path / "suite"), "--output", str(page), *more]), page


def test_without_python_27_it_is_told_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, page = run_main(tmp_path, "--python27", str(tmp_path / "none"))
    assert status == 2
    assert "PYTHON27=" in capsys.readouterr().err
    assert not page.exists()


@pytest.mark.parametrize(
    ("variable", "value", "status", "total"),
    [
        ("STAND_IN_VERDICT", "OK", 0, "| client | raw | all | 2 | 2 | 0 | 0 | 0 |"),
        ("STAND_IN_VERDICT", "UNIMPLEMENTED", 1, "| client | raw | all | 2 | 0 | 0 | 0 | 2 |"),
        ("STAND_IN_CASES", "0", 1, ""),
    ],
)
def test_the_exit_code_tells_the_verdict(
    variable: str,
    value: str,
    status: int,
    total: str,
    wstest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr("autobahn.__main__.install", lambda folder, python27: wstest)
    told, page = run_main(tmp_path)
    assert told == status
    assert total in page.read_text()
    assert total in capsys.readouterr().out
