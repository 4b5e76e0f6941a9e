"""What it takes to dial a server, and what is said when it cannot be reached."""

from __future__ import annotations

import os
import ssl

from ihproto._adapter.driver import Driver, Transport
from ihproto._adapter.errors import ConnectError, UpgradeError
from ihproto.wire import ClientConnection, Target, UpgradeFailed, UpgradeRefused


class Endpoint:
    """A server to be dialled.

    Args:
        target: Where it is (HS-1).
        ssl_context: The TLS settings, where the target wants TLS; None for the defaults.
        connect_timeout: How long each of connecting, with TLS, and upgrade may take, in seconds.
    """

    def __init__(self, target: Target, ssl_context: ssl.SSLContext | None, connect_timeout: float) -> None:
        self.target = target
        self.connect_timeout = connect_timeout
        self.ssl_context: ssl.SSLContext | None = None
        if target.tls:
            self.ssl_context = ssl_context if ssl_context is not None else ssl.create_default_context()

    async def upgrade(self, wire: ClientConnection, transport: Transport) -> None:
        """Ask for the upgrade and wait for the answer.

        Raises:
            UpgradeError: If the server does not accept it.
        """
        driver = Driver(wire, transport, self.connect_timeout, cure="")
        await driver.flush(patient=False)
        while wire.session is None and wire.raw is None:
            for event in wire.events():
                if isinstance(event, UpgradeRefused | UpgradeFailed):
                    raise UpgradeError(event, wire.secrets)
            await driver.step()

    def too_slow(self) -> ConnectError:
        """The error for a server that does not answer."""
        return ConnectError(f"{self.target.authority} did not answer within {self.connect_timeout:g} s")

    def unreachable(self, error: BaseException) -> ConnectError:
        """The error for a server that cannot be reached, or with which TLS cannot be set up."""
        while (inner := _inner(error)) is not None:
            error = inner
        why = str(error) or type(error).__name__
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) and (error.errno or 0) > 0:
            # The library's own words differ, and name addresses that nobody asked for.
            why = os.strerror(error.errno or 0)
        return ConnectError(f"{self.target.authority} cannot be reached: {why}")


def _inner(error: BaseException) -> BaseException | None:
    """What a library has wrapped: of several addresses that failed, the first tells enough."""
    if isinstance(error, BaseExceptionGroup):
        return error.exceptions[0]
    return error.__cause__
