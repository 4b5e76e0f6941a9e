"""Judging clients: a server that plays scenarios to a client, and what the client did on the wire.

`judge_client` runs a client once per scenario and makes a report of it. What is a client here is anything that can be
called with an `Invitation`: a command in a process of its own (`command`), or a function (`matrix`).
"""

from ihproto_conformance.client.judge import Choice, ScenarioRun, judge_client, run_scenario
from ihproto_conformance.client.scenarios import SCENARIOS, scenarios_of
from ihproto_conformance.client.visits import Client, Exit, Invitation, Run

__all__ = [
    "SCENARIOS",
    "Choice",
    "Client",
    "Exit",
    "Invitation",
    "Run",
    "ScenarioRun",
    "judge_client",
    "run_scenario",
    "scenarios_of",
]
