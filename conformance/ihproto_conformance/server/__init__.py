"""Judging servers: scenarios by family, and what runs them.

Importing this package puts all scenarios on the list.
"""

from ihproto_conformance.server import (
    configs,
    endings,
    endpoints,
    handshake,
    models,
    segments,
    statuses,
    streaming,
    windows,
)
from ihproto_conformance.server.exam import KeyPair, ServerUnderTest
from ihproto_conformance.server.judge import Progress, judge_server, plan, server_checks
from ihproto_conformance.server.scenario import SCENARIOS, Cost, Scenario, Selection

__all__ = [
    "SCENARIOS",
    "Cost",
    "KeyPair",
    "Progress",
    "Scenario",
    "Selection",
    "ServerUnderTest",
    "configs",
    "endings",
    "endpoints",
    "handshake",
    "judge_server",
    "models",
    "plan",
    "segments",
    "server_checks",
    "statuses",
    "streaming",
    "windows",
]
