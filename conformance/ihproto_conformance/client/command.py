"""A client under test that is a command: a process of its own for each scenario, with all that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

import anyio
import anyio.abc
import attrs

from ihproto_conformance.client.visits import Exit, Invitation

#: How much of the end of what a command printed is kept, in bytes.
MOST_OUTPUT = 64 * 1024
#: How long a command may take to end once it was told to, in seconds.
KILL_AFTER = 2.0


@attrs.frozen
class Command:
    """Runs a command, which finds in its environment where to connect to.

    Attributes:
        words: The command and its arguments; `{url}`, `{key}` and `{scenario}` in them are replaced.
        environment: Its environment besides; None for that of this process.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str] | None = attrs.field(default=None, repr=False)

    async def __call__(self, invitation: Invitation) -> Exit:
        """Run it to its end, and no longer than it may take."""
        given = self.environment if self.environment is not None else os.environ
        environment = {
            **given,
            "IHPROTO_URL": invitation.url,
            "IHPROTO_KEY": invitation.key,
            "IHPROTO_REVISION": invitation.revision.id,
            "IHPROTO_SCENARIO": invitation.scenario,
        }
        # A pipe that nobody reads would be full some day, and whoever writes to it then stands still.
        with tempfile.TemporaryFile() as output:
            try:
                process = await anyio.open_process(
                    _filled(self.words, invitation),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
                return Exit(failure=f"{self.words[0]}: {why}")
            try:
                with anyio.move_on_after(invitation.timeout) as scope:
                    await process.wait()
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(process)
            return Exit(process.returncode, hung=scope.cancelled_caught, output=_tail(output))


def _filled(words: Sequence[str], invitation: Invitation) -> list[str]:
    places = {"{url}": invitation.url, "{key}": invitation.key, "{scenario}": invitation.scenario}
    filled = []
    for word in words:
        for place, value in places.items():
            word = word.replace(place, value)
        filled.append(word)
    return filled


async def _end(process: anyio.abc.Process) -> None:
    """End the process, if it runs, and all that it has started: they share a group."""
    _signal(process, signal.SIGTERM)
    with anyio.move_on_after(KILL_AFTER):
        await process.wait()
    _signal(process, signal.SIGKILL)
    await process.wait()
    await process.aclose()


def _signal(process: anyio.abc.Process, number: signal.Signals) -> None:
    # No such group: all have ended.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _tail(output: IO[bytes]) -> bytes:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - MOST_OUTPUT))
    return output.read()
