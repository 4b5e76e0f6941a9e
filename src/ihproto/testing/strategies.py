"""Hypothesis strategies for everything that is said in a session.

* `messages` and `envelopes`: single messages of a server, typed and as text.
* `server_sessions` and `broken_server_sessions`: whole sessions as a `Transcript`, in which the server does nothing
  wrong, or breaks one clause that comes with it.
* `client_actions` and `broken_client_actions`: what a client does, for those who test a server.
* `query_configs`, `session_configs`, `window_analyses`, `segment_pieces`, `recordings`: the parts.

All of them take a `revision`, where that matters, and shrink towards short and quiet sessions.
"""

from ihproto.testing.clients import broken_client_actions, client_actions, query_configs, session_configs
from ihproto.testing.faults import broken_server_sessions
from ihproto.testing.messages import envelopes, messages
from ihproto.testing.recordings import recordings, segment_pieces
from ihproto.testing.sessions import server_sessions, window_analyses
from ihproto.testing.transcripts import (
    BrokenActions,
    BrokenTranscript,
    ClientClosed,
    ClientSaid,
    ClientSent,
    ClientStep,
    ServerClosed,
    ServerSaid,
    ServerSent,
    ServerStep,
    Step,
    Transcript,
)

__all__ = [
    "BrokenActions",
    "BrokenTranscript",
    "ClientClosed",
    "ClientSaid",
    "ClientSent",
    "ClientStep",
    "ServerClosed",
    "ServerSaid",
    "ServerSent",
    "ServerStep",
    "Step",
    "Transcript",
    "broken_client_actions",
    "broken_server_sessions",
    "client_actions",
    "envelopes",
    "messages",
    "query_configs",
    "recordings",
    "segment_pieces",
    "server_sessions",
    "session_configs",
    "window_analyses",
]
