"""Reports: one judgement, written for programs, for CI systems, for people with a browser and for a terminal.

Nothing here judges, and nothing opens a file: each function takes a `Report` and gives bytes, or prints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihproto_conformance.reports.as_json import encode_json
from ihproto_conformance.reports.html import encode_html
from ihproto_conformance.reports.junit import encode_junit
from ihproto_conformance.verdict import Report

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["encode_html", "encode_json", "encode_junit", "render"]


def render(report: Report, console: Console, *, verbose: bool = False) -> None:
    """Print a report to a terminal. It needs rich, which comes with the extra `cli`.

    Args:
        report: What to print.
        console: Where to.
        verbose: Whether to show what was passed, all evidence, and more of what came before it.
    """
    # Here, because the other reports work without rich.
    from ihproto_conformance.reports import terminal

    terminal.render(report, console, verbose=verbose)
