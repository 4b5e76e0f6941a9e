"""The report for programs: one JSON document, whose schema is `docs/report-schema.json`.

Members may be added without another version number; none is taken away or changes its meaning without one.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ihproto import Violation
from ihproto_conformance.reports.foreign import as_json
from ihproto_conformance.reports.standing import Standing, tally
from ihproto_conformance.verdict import Evidence, Report, Result, SessionLog, Severity, Status

VERSION = 1


def encode_json(report: Report) -> bytes:
    """The whole report as JSON, in UTF-8, indented, with a line end at the end."""
    return msgspec.json.format(as_json(_document(report)), indent=1) + b"\n"


def _document(report: Report) -> dict[str, Any]:
    statuses = report.counted()
    standings = tally(report.results)
    return {
        "ihproto_conformance_report": VERSION,
        "verdict": report.verdict.value,
        "exit_code": report.verdict.exit_code,
        "unjudged": report.unjudged,
        "subject": report.subject.value,
        "kind": report.kind,
        "target": report.target,
        "revision": report.revision,
        "suite": report.suite,
        "fail_on": report.fail_on.value,
        "started_at": report.started_at.isoformat(),
        "seconds": round(report.seconds, 6),
        "version": report.version,
        "counts": {
            "checks": len(report.results),
            "statuses": {status.value: statuses[status] for status in Status},
            "broken": {severity.value: standings[Standing(severity.value)] for severity in Severity},
            "expected": standings[Standing.EXPECTED],
        },
        "usage": {
            "sessions": len(report.sessions),
            "records": sum(len(session.entries) for session in report.sessions),
            "media_seconds": round(report.media_seconds, 6),
        },
        "stale": list(report.stale),
        "results": [_result(result) for result in report.results],
        "sessions": [_session(session) for session in report.sessions],
    }


def _result(result: Result) -> dict[str, Any]:
    clause = result.check.clause
    return {
        "id": result.check.id,
        "title": result.check.title,
        "clause": clause.id,
        "level": clause.level.value,
        "sentence": clause.sentence,
        "severity": result.check.severity.value,
        "status": result.status.value,
        "reason": result.reason,
        "expected": result.expected,
        "seen": result.seen,
        "scenarios": list(result.scenarios),
        "evidence": [_evidence(item) for item in result.evidence],
    }


def _evidence(item: Evidence) -> dict[str, Any]:
    return {
        "what": item.what,
        "session": item.session,
        "record": item.record,
        "time": None if item.time is None else round(item.time, 6),
    }


def _session(session: SessionLog) -> dict[str, Any]:
    return {
        "number": session.number,
        "scenario": session.scenario,
        "purpose": session.purpose,
        "media_seconds": round(session.media_seconds, 6),
        "entries": [
            {"record": entry.record.plain(), "violations": [_violation(item) for item in entry.violations]}
            for entry in session.entries
        ],
    }


def _violation(violation: Violation) -> dict[str, Any]:
    return {
        "clause": violation.clause.id,
        "level": violation.level.value,
        "side": violation.side.value,
        "state": violation.state,
        "what": violation.what,
        "path": violation.path,
    }
