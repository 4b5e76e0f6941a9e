"""RDY-2: a contract must be one that a client can keep."""

from __future__ import annotations

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import SessionReady


def judge_contract(contract: SessionReady, found: list[Finding]) -> None:
    """Judge `session.ready` (RDY-2)."""
    for name in ("session_idle_timeout_seconds", "session_max_duration_seconds"):
        if getattr(contract, name) <= 0:
            found.append(Finding(clause("RDY-2"), "a timeout must be more than 0 seconds", f"$.data.{name}"))
    if not 0 <= contract.min_segment_size_bytes <= contract.max_segment_size_bytes:
        what = (
            f"no segment can be between {contract.min_segment_size_bytes} and "
            f"{contract.max_segment_size_bytes} bytes long"
        )
        found.append(Finding(clause("RDY-2"), what, "$.data.max_segment_size_bytes"))
    shortest, longest = contract.min_segment_duration_seconds or 0, contract.max_segment_duration_seconds
    if shortest < 0 or (longest is not None and longest < shortest):
        what = f"no segment can be between {shortest} and {longest} seconds long"
        found.append(Finding(clause("RDY-2"), what, "$.data.min_segment_duration_seconds"))
