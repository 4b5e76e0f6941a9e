"""The pytest plugin: a mock server for tests, as fixtures.

A package of its own, because pytest imports it at every start: it needs nothing but pytest until a test asks for a
fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from ihproto_mock.background import BackgroundMockServer

_MARKER = (
    "ihproto_mock(scenario='lively', **options): what the mock server of the fixture of the same name is; "
    "takes what ihproto_mock.MockServer takes."
)


class MockFactory(Protocol):
    """Starts mock servers."""

    def __call__(self, **options: Any) -> BackgroundMockServer:
        """Start one, with the options of `ihproto_mock.MockServer`."""
        ...


def pytest_configure(config: pytest.Config) -> None:
    """Tell pytest of the marker."""
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture
def ihproto_mock_factory() -> Iterator[MockFactory]:
    """Start as many ihproto mock servers as a test needs, each with its options; all stop when the test is over."""
    try:
        from ihproto_mock.background import BackgroundMockServer
    except ImportError as error:
        what = f"the mock server is not installed ({error}); pip install 'ihproto[mock]'"
        raise pytest.fail.Exception(what, pytrace=False) from None

    with ExitStack() as stack:

        def start(**options: Any) -> BackgroundMockServer:
            return stack.enter_context(BackgroundMockServer(**options))

        yield start


@pytest.fixture
def ihproto_mock(request: pytest.FixtureRequest, ihproto_mock_factory: MockFactory) -> BackgroundMockServer:
    """An ihproto mock server, for synchronous tests and for those on asyncio or trio: url, key, log, restart(...).

    It runs in a thread of its own. The marker of the same name gives its options, the nearest one first:
    @pytest.mark.ihproto_mock(scenario="quiet").
    """
    options: dict[str, Any] = {}
    for marker in request.node.iter_markers("ihproto_mock"):
        if marker.args:
            pytest.fail("the marker ihproto_mock takes options by name only: scenario='quiet'", pytrace=False)
        options = {**marker.kwargs, **options}
    return ihproto_mock_factory(**options)
