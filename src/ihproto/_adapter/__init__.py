"""What the two adapters have in common: connections, driven by whatever moves the bytes.

Nothing here imports an async library. A `Transport` brings the socket, the clock, the cancel scope and the lock of its
library; a `Driver` moves the bytes of one connection between it and `ihproto.wire`, without tasks of its own: bytes are
read while somebody iterates, and written while somebody sends, so that a cancelled task leaves nothing behind.
`ClientStream` and `ServerStream` are what users hold.
"""

from ihproto._adapter.client import ClientStream, ConnectOptions, Dialer
from ihproto._adapter.driver import RECEIVE_SIZE, Lock, Scope, Transport
from ihproto._adapter.errors import (
    ConnectError,
    ConnectionBroken,
    PeerStalled,
    SessionRefused,
    StreamError,
    UpgradeError,
)
from ihproto._adapter.server import ACCEPT_PAUSE, Handler, ServeOptions, Server, ServerStream

__all__ = [
    "ACCEPT_PAUSE",
    "RECEIVE_SIZE",
    "ClientStream",
    "ConnectError",
    "ConnectOptions",
    "ConnectionBroken",
    "Dialer",
    "Handler",
    "Lock",
    "PeerStalled",
    "Scope",
    "ServeOptions",
    "Server",
    "ServerStream",
    "SessionRefused",
    "StreamError",
    "Transport",
    "UpgradeError",
]
