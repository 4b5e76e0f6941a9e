"""What the commands have in common when they print."""

from __future__ import annotations

from typing import NoReturn

import click

#: Exit codes; those of signals are 128 and the number of the signal.
FAILED, USAGE, UNREACHABLE = 1, 2, 3
INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143


class OutputClosed(Exception):
    """Nobody reads any more what is printed."""


def printable(text: str) -> str:
    """The text without the characters with which foreign text could steer the terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line.

    Raises:
        OutputClosed: If whoever read the output has gone.
    """
    try:
        click.echo(text, err=err)
    except BrokenPipeError:
        raise_closed()


def raise_closed() -> NoReturn:
    """Say that the output is closed, in one way for all that print."""
    raise OutputClosed from None


def plural(number: int, noun: str) -> str:
    """A number and what it counts."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
