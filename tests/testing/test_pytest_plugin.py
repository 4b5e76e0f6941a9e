"""The pytest plugin, in the tests of somebody else's project."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

import ihproto.trio
import ihproto_mock.background

pytest_plugins = ["pytester"]

#: Imported once, as every run in this process would import them anew; the fixtures import what they need themselves.
USED = (ihproto_mock.background, ihproto.trio)

STRICT = """
[pytest]
filterwarnings = error
addopts = --strict-markers --strict-config
"""

TESTS = """
    import json
    import urllib.request

    import anyio
    import pytest
    import trio

    import ihproto.anyio
    import ihproto.trio
    from ihproto import V2


    def test_synchronous(ihproto_mock):
        body = json.dumps({"api_key": ihproto_mock.key}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(ihproto_mock.base_url + "/v1/client_tokens", body, headers)
        with urllib.request.urlopen(request) as answer:
            assert json.load(answer)["token_type"] == "Bearer"


    @pytest.mark.anyio
    @pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
    async def test_anyio(anyio_backend, ihproto_mock):
        async with ihproto.anyio.connect(ihproto_mock.url, ihproto_mock.key) as stream:
            assert stream.contract.session_idle_timeout_seconds == 300
        assert ihproto_mock.log[0].event == "upgrade"


    def test_plain_trio(ihproto_mock):
        async def body():
            async with ihproto.trio.connect(ihproto_mock.url_of(V2), ihproto_mock.key, revision=V2) as stream:
                assert stream.contract.session_idle_timeout_seconds == 300

        trio.run(body)


    @pytest.mark.ihproto_mock(keys={"class": ["interhumanai.stream"]}, pin=["v0"])
    class TestOptions:
        def test_of_the_class(self, ihproto_mock):
            assert ihproto_mock.key == "class"

        @pytest.mark.ihproto_mock(keys={"function": ["interhumanai.stream"]})
        def test_the_nearest_counts(self, ihproto_mock):
            assert ihproto_mock.key == "function"


    def test_factory(ihproto_mock_factory, ihproto_mock):
        others = [ihproto_mock_factory(scenario="quiet") for _ in range(2)]
        assert len({each.port for each in [*others, ihproto_mock]}) == 3
"""


def test_tests_of_every_style(pytester: pytest.Pytester) -> None:
    pytester.makeini(STRICT)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "pytest_ihproto", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=7)


def test_what_is_wrong_is_said(pytester: pytest.Pytester) -> None:
    pytester.makeini(STRICT)
    pytester.makepyfile(
        """
        import sys
        import pytest

        @pytest.mark.ihproto_mock("quiet")
        def test_by_place(ihproto_mock): ...

        @pytest.fixture
        def without_the_extra(monkeypatch):
            monkeypatch.setitem(sys.modules, "ihproto_mock.background", None)

        def test_not_installed(without_the_extra, ihproto_mock): ...
        """
    )
    result = pytester.runpytest_inprocess("-p", "pytest_ihproto", "-p", "no:cacheprovider")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*the marker ihproto_mock takes options by name only: scenario='quiet'*",
            "*the mock server is not installed (*); pip install 'ihproto[[]mock]'",
        ]
    )


def test_the_help_of_pytest_tells_of_it(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess("-p", "pytest_ihproto", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.ihproto_mock(scenario='lively', *MockServer takes."])
    result = pytester.runpytest_inprocess("-p", "pytest_ihproto", "--fixtures")
    result.stdout.fnmatch_lines(
        ["ihproto_mock_factory -- *", "    Start as many*", "ihproto_mock -- *", "    An ihproto mock server*"]
    )


def test_a_start_of_pytest_imports_nothing_of_ours() -> None:
    code = """
        import sys
        import pytest

        assert pytest.main(["-p", "pytest_ihproto", "--markers"]) == 0
        print([name for name in sys.modules if name.partition(".")[0] in ("ihproto", "ihproto_mock")])
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, env=environment
    )
    assert run.stdout.splitlines()[-1] == "[]"


def test_the_plugin_is_registered_by_the_name_of_its_module() -> None:
    """Otherwise `-p pytest_ihproto` would be a second plugin, which pytest refuses."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"pytest_ihproto": "pytest_ihproto"}
