"""Bytes under a session: HTTP/1.1 upgrade, credentials, WebSocket frames, still without I/O.

`ClientConnection` and `ServerConnection` take the bytes of one connection and the time, and give bytes to send and
events: those of the upgrade (`ihproto.wire.events`) and, after it, those of the session that they carry.
"""

from ihproto.wire.client import ClientConnection
from ihproto.wire.credentials import Credential, CredentialForm
from ihproto.wire.events import UpgradeAccepted, UpgradeFailed, UpgradeRefused, UpgradeRequested
from ihproto.wire.refusal import HttpError
from ihproto.wire.server import ServerConnection
from ihproto.wire.target import Target

__all__ = [
    "ClientConnection",
    "Credential",
    "CredentialForm",
    "HttpError",
    "ServerConnection",
    "Target",
    "UpgradeAccepted",
    "UpgradeFailed",
    "UpgradeRefused",
    "UpgradeRequested",
]
