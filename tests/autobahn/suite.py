"""The suite itself: a Python 2.7 for it, its installation in a folder of its own, and its two ways of attacking."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import attrs
from autobahn.echo import STACKS, EchoSession, Watch, call_session, watched

from ihproto.anyio import StreamError, serve

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
#: The last release that can make an environment for Python 2.7 and runs on every Python that we do.
VIRTUALENV = "virtualenv==20.21.1"
#: Framing to limits and fragmentation; 12 and 13 are about compression, which the wire layer does not offer.
FAMILIES = tuple(range(1, 11))
#: How long wstest may take to start, and to write its reports and end, in seconds.
START_TIMEOUT = 30.0
#: How long one case may take, in seconds; the slowest takes about one where nothing is wrong.
CASE_TIMEOUT = 120.0
#: How long our servers wait for the end of a connection, in seconds.
CLOSE_TIMEOUT = 5.0

NO_PYTHON = """\
The Autobahn|Testsuite needs Python 2.7, and none was found. Name one: make autobahn PYTHON27=/path/to/python2.7
(pyenv install 2.7.18 makes one). Where there can be none, the image crossbario/autobahn-testsuite holds the suite."""


class SuiteError(Exception):
    """The suite could not be run to its end."""


# -- installation ---------------------------------------------------------------------------------


def candidates(home: Path) -> list[str]:
    """Where a Python 2.7 may be: on the path, then among those of pyenv."""
    found = shutil.which("python2.7")
    return [*([found] if found else []), *map(str, sorted(home.glob(".pyenv/versions/2.7*/bin/python")))]


def choose(pythons: Iterable[str]) -> str:
    """The first that is a Python 2.7 indeed: what stands on the path may be a shim with nothing behind it.

    Raises:
        SuiteError: If there is none.
    """
    for python in pythons:
        try:
            answer = subprocess.run(
                [python, "-c", "import sys; print(sys.version_info[:2] == (2, 7))"],
                capture_output=True,
                text=True,
                timeout=START_TIMEOUT,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.stdout.strip() == "True":
            return python
    raise SuiteError(NO_PYTHON)


def install(folder: Path, python27: str | None) -> Path:
    """Make an environment in the folder, unless there is one with what is required; returns its wstest.

    Nothing is installed anywhere else, and the Python 2.7 that is used needs no pip.

    Raises:
        SuiteError: If there is no Python 2.7, or the installation fails.
    """
    environment, mark = folder / "env", folder / "installed.txt"
    wstest = environment / "bin/wstest"
    if wstest.exists() and mark.exists() and mark.read_bytes() == REQUIREMENTS.read_bytes():
        return wstest
    python = choose([python27] if python27 else candidates(Path.home()))
    print(f"installing the suite in {folder}, for {python}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    tools = folder / "tools"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    _run([*pip, "--target", str(tools), VIRTUALENV], folder)
    make = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); runpy.run_module('virtualenv', run_name='__main__')"
    made = ["--quiet", "--clear", "--no-download", "--python", python, str(environment)]
    _run([sys.executable, "-c", make, str(tools), *made], folder)
    theirs = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*theirs, "--requirement", str(REQUIREMENTS)], folder)
    shutil.copyfile(REQUIREMENTS, mark)
    return wstest


def _run(command: Sequence[str], folder: Path) -> None:
    log = folder / "install.log"
    with log.open("ab") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SuiteError(f"the suite could not be installed, see {log}")


def version(wstest: Path) -> str:
    """What wstest says of its own version, in one line."""
    answer = subprocess.run([wstest, "--autobahnversion"], capture_output=True, text=True, timeout=START_TIMEOUT)
    return ", ".join(answer.stdout.split("\n")).strip(", ")


# -- attacks --------------------------------------------------------------------------------------


@attrs.frozen
class Attack:
    """What one run of wstest needs to know.

    Attributes:
        wstest: The program.
        folder: Where its reports and its log go.
        cases: The cases to run, as patterns.
        watch: Told of every case that begins.
    """

    wstest: Path
    folder: Path
    cases: Sequence[str]
    watch: Watch

    def prepare(self, **more: object) -> Path:
        """Write the specification, and leave nothing of an earlier run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        spec = self.folder / "spec.json"
        spec.write_text(json.dumps({"outdir": str(self.folder / "reports"), "cases": list(self.cases), **more}))
        return spec

    def finished(self) -> Path:
        """The index of the reports, which the suite writes at its end.

        Raises:
            SuiteError: If it has not.
        """
        index = self.folder / "reports/index.json"
        if not index.exists():
            raise SuiteError(f"the suite wrote no reports, see {self.folder}")
        return index

    @asynccontextmanager
    async def running(self, mode: str, spec: Path) -> AsyncIterator[anyio.abc.Process]:
        """Run wstest while the block does; it is gone afterwards, however the block ends."""
        command = [str(self.wstest), "--mode", mode, "--spec", str(spec), "--webport", "0"]
        with (self.folder / "wstest.log").open("wb") as log:
            process = await anyio.open_process(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                yield process
            finally:
                with anyio.CancelScope(shield=True):
                    if process.returncode is None:
                        process.kill()
                    await process.aclose()


async def attack_servers(attack: Attack) -> Path:
    """Let the suite's client loose on a server of each stack; returns the index of its reports.

    Raises:
        SuiteError: If it does not come to an end.
    """
    with anyio.CancelScope() as patience:

        def watch(name: str) -> None:
            # Each connection is a case, and a sign of life.
            attack.watch(name)
            patience.deadline = anyio.current_time() + CASE_TIMEOUT

        async with AsyncExitStack() as servers:
            agents = []
            for name in STACKS:
                server = await servers.enter_async_context(serve(watched(name, watch), close_timeout=CLOSE_TIMEOUT))
                agents.append({"agent": name, "url": server.url})
            async with attack.running("fuzzingclient", attack.prepare(servers=agents)) as process:
                patience.deadline = anyio.current_time() + CASE_TIMEOUT
                await process.wait()
    if patience.cancelled_caught:
        raise SuiteError(f"the suite began no other case for {CASE_TIMEOUT:g} s, see {attack.folder}")
    return attack.finished()


async def attack_clients(attack: Attack) -> Path:
    """Have a client of each stack go through all cases of the suite's server; returns the index of its reports.

    Raises:
        SuiteError: If it does not come to an end.
    """
    port = _free_port()
    url = f"ws://127.0.0.1:{port}"
    async with attack.running("fuzzingserver", attack.prepare(url=url)) as process:
        await _listening(port, process, attack)
        try:
            count = int(await _ask(f"{url}/getCaseCount"))
            for name, stack in STACKS.items():
                for number in range(1, count + 1):
                    attack.watch(name)
                    with anyio.fail_after(CASE_TIMEOUT):
                        await stack.call(f"{url}/runCase?case={number}&agent={name}")
            await _ask(f"{url}/updateReports?agent={name}")
        except (OSError, StreamError) as error:
            raise SuiteError(f"the suite does not answer any more, see {attack.folder}: {error}") from None
    return attack.finished()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def _listening(port: int, process: anyio.abc.Process, attack: Attack) -> None:
    """Wait until the suite takes connections."""
    with anyio.move_on_after(START_TIMEOUT):
        while process.returncode is None:
            try:
                await (await anyio.connect_tcp("127.0.0.1", port)).aclose()
                return
            except OSError:
                await anyio.sleep(0.1)
    raise SuiteError(f"the suite does not listen, see {attack.folder}")


async def _ask(url: str) -> str:
    """What the suite has to say about something; empty where it just does it."""
    session = EchoSession(silent=True)
    with anyio.fail_after(CASE_TIMEOUT):
        await call_session(url, session)
    return "".join(session.texts)
