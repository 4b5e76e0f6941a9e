"""The rule book: what the two sides of a session owe each other, message by message.

One module for each family of clauses. A rule is written here once; whoever judges asks it: the client about its
server, the server about its client and about itself, and any third party about both. Rules look at typed messages
in the order in which they travel, remember what they need, and append a `Finding` for each clause not kept. The order
in which messages may come at all is not here but in the tables of `ihproto.automata`.
"""

from ihproto.rules.segments import SegmentLedger
from ihproto.rules.server import ServerRules
from ihproto.rules.signals import ActiveSignal

__all__ = ["ActiveSignal", "SegmentLedger", "ServerRules"]
