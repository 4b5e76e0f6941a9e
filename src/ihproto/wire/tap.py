"""Watching a connection: what a tap is told.

Whoever owns a connection may have it tell a function of his everything that passes, both ways, as it was said: for a
trace, or for somebody who judges. It takes no part, and without one nothing is done for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ihproto.errors import Side
from ihproto.wire.events import UpgradeAccepted, UpgradeFailed, UpgradeRefused, UpgradeRequested
from ihproto.wire.raw import RawEvent

#: What passes: the upgrade, then pieces of messages and close frames.
Tapped: TypeAlias = UpgradeRequested | UpgradeAccepted | UpgradeRefused | UpgradeFailed | RawEvent
#: Is called with the side that said it, what it was, and the present moment, in seconds.
Tap: TypeAlias = Callable[[Side, Tapped, float], None]
