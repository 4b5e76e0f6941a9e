"""What the suite says of each broken server, found out once for all tests."""

from __future__ import annotations

import logging
from functools import cache

from ihproto_conformance.client.broken import Variant
from ihproto_conformance.client.matrix import judge_variant
from ihproto_conformance.faults import FAULTS
from ihproto_conformance.matrix import Row, row
from ihproto_conformance.verdict import Report


class _Failures(logging.Handler):
    """Collects what adapters log when a handler fails."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@cache
def judged(fault_id: str) -> tuple[Row, tuple[str, ...]]:
    """The row of a fault, and what went wrong in the broken server itself."""
    failures = _Failures()
    logger = logging.getLogger("ihproto")
    logger.addHandler(failures)
    try:
        return row(FAULTS[fault_id]), tuple(failures.texts)
    finally:
        logger.removeHandler(failures)


@cache
def judged_client(variant: Variant) -> Report:
    """The report on a broken client."""
    return judge_variant(variant)[0]
