"""A mock server of the Interhuman streaming protocol, for tests, demos and CI.

It behaves as the service is documented to, on a scenario instead of a video: everything it says is the same each time.
In a test::

    async with MockServer() as mock:
        async with ihproto.anyio.connect(mock.url, mock.key) as stream:
            ...

On the command line: `ihproto mock`.
"""

from ihproto_mock.background import BackgroundMockServer
from ihproto_mock.credentials import CredentialStore
from ihproto_mock.keys import DEFAULT_KEY, DEFAULT_KEY_ID, DEFAULT_KEY_SECRET, KeyPair
from ihproto_mock.log import LogEntry
from ihproto_mock.scenario import BUNDLED, Scenario, ScenarioError, load_scenario, parse_scenario
from ihproto_mock.server import MockServer

__all__ = [
    "BUNDLED",
    "DEFAULT_KEY",
    "DEFAULT_KEY_ID",
    "DEFAULT_KEY_SECRET",
    "BackgroundMockServer",
    "CredentialStore",
    "KeyPair",
    "LogEntry",
    "MockServer",
    "Scenario",
    "ScenarioError",
    "load_scenario",
    "parse_scenario",
]
