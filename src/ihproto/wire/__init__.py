"""Bytes under a session: HTTP/1.1 upgrade, credentials, WebSocket frames, still without I/O; and plain HTTP beside it.

`ClientConnection` and `ServerConnection` take the bytes of one connection and the time, and give bytes to send and
events: those of the upgrade (`ihproto.wire.events`) and, after it, those of the session that they carry. What the
service offers by plain HTTP goes the same way: a `ServerConnection` takes such requests if it is told to, and a
`RequestConnection` makes one. Either connection can do without a session: `RawFrames` carries messages and judges none.
"""

from ihproto.wire.client import ClientConnection
from ihproto.wire.credentials import PAIR_MARK, Credential, CredentialForm, judge_answer
from ihproto.wire.events import (
    BodyEnded,
    BodyReceived,
    HttpEvent,
    HttpRequested,
    HttpResponse,
    RequestFailed,
    RequestLost,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
    UpgradeRequested,
)
from ihproto.wire.multipart import MultipartForm
from ihproto.wire.raw import RawBytes, RawClose, RawEvent, RawFrames, RawLost, RawSurplus, RawText
from ihproto.wire.redaction import REDACTED, Redactor
from ihproto.wire.refusal import HttpError
from ihproto.wire.request import RequestConnection
from ihproto.wire.server import ServerConnection
from ihproto.wire.tap import Tap, Tapped
from ihproto.wire.target import Target

__all__ = [
    "PAIR_MARK",
    "REDACTED",
    "BodyEnded",
    "BodyReceived",
    "ClientConnection",
    "Credential",
    "CredentialForm",
    "HttpError",
    "HttpEvent",
    "HttpRequested",
    "HttpResponse",
    "MultipartForm",
    "RawBytes",
    "RawClose",
    "RawEvent",
    "RawFrames",
    "RawLost",
    "RawSurplus",
    "RawText",
    "Redactor",
    "RequestConnection",
    "RequestFailed",
    "RequestLost",
    "ServerConnection",
    "Tap",
    "Tapped",
    "Target",
    "UpgradeAccepted",
    "UpgradeFailed",
    "UpgradeRefused",
    "UpgradeRequested",
    "judge_answer",
]
