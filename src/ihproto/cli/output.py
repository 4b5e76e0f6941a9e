"""What the commands have in common when they print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

#: Exit codes; those of signals are 128 and the number of the signal.
FAILED, USAGE, UNREACHABLE = 1, 2, 3
INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143


class OutputClosed(Exception):
    """Nothing more can be printed: nobody reads it, or, where there is a text, for the reason that it says."""


def printable(text: str) -> str:
    """The text without the characters with which foreign text could steer the terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line.

    Raises:
        OutputClosed: If nothing more can be printed.
    """
    with printing():
        click.echo(text, err=err)


@contextmanager
def printing() -> Iterator[None]:
    """A block that prints, be it by click or by rich.

    Raises:
        OutputClosed: If nothing more can be printed.
    """
    try:
        yield
    except (BrokenPipeError, SystemExit):
        # Rich leaves the program when the pipe is closed; there may be a session to be closed first.
        raise OutputClosed from None
    except OSError as error:
        raise OutputClosed(f"the output cannot be written: {error.strerror}") from None


def plural(number: int, noun: str) -> str:
    """A number and what it counts."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
