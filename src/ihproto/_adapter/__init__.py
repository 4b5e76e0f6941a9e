"""What the two adapters have in common: connections, driven by whatever moves the bytes.

Nothing here imports an async library. A `Transport` brings the socket, the clock, the cancel scope and the lock of its
library; a `Driver` moves the bytes of one connection between it and `ihproto.wire`, without tasks of its own: bytes are
read while somebody iterates, and written while somebody sends, so that a cancelled task leaves nothing behind.
`ClientStream` and `ServerStream` are what users hold.

Plain HTTP goes the same way: an `HttpExchange` is a request that a server has got, an `Api` makes them. For uploads,
which are written and read at the same time, a `Library` brings tasks and threads too.
"""

from ihproto._adapter.api import Api, Progress
from ihproto._adapter.client import ClientStream, ConnectOptions, Dialer
from ihproto._adapter.driver import RECEIVE_SIZE, Lock, Scope, Transport
from ihproto._adapter.endpoint import Endpoint
from ihproto._adapter.errors import (
    ApiError,
    ConnectError,
    ConnectionBroken,
    JobUnfinished,
    PeerStalled,
    SessionRefused,
    StreamError,
    UpgradeError,
)
from ihproto._adapter.exchange import HttpExchange, RequestHandler
from ihproto._adapter.raw import RawConnectOptions, RawDialer, RawStream
from ihproto._adapter.server import ACCEPT_PAUSE, Handler, ServeOptions, Server, ServerStream
from ihproto._adapter.source import File
from ihproto._adapter.tokens import TokenSource, resolve

__all__ = [
    "ACCEPT_PAUSE",
    "RECEIVE_SIZE",
    "Api",
    "ApiError",
    "ClientStream",
    "ConnectError",
    "ConnectOptions",
    "ConnectionBroken",
    "Dialer",
    "Endpoint",
    "File",
    "Handler",
    "HttpExchange",
    "JobUnfinished",
    "Lock",
    "PeerStalled",
    "Progress",
    "RawConnectOptions",
    "RawDialer",
    "RawStream",
    "RequestHandler",
    "Scope",
    "ServeOptions",
    "Server",
    "ServerStream",
    "SessionRefused",
    "StreamError",
    "TokenSource",
    "Transport",
    "UpgradeError",
    "resolve",
]
