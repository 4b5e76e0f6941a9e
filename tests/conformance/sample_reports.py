"""Reports as a judgement could have made them, for the tests of what is made of reports."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
from builders import closing, detected, ended, engagement, envelope, error, ready, signal_ended, updated

from ihproto import Side, Violation, clause
from ihproto_conformance.trace import (
    Begins,
    Binary,
    Close,
    Lost,
    Media,
    Passed,
    Record,
    Request,
    Response,
    Surplus,
    Text,
)
from ihproto_conformance.verdict import Check, Entry, Evidence, Report, Result, SessionLog, Status, Subject

#: What does harm wherever it is not escaped: in HTML, in a script, in XML, to rich, on a terminal, as UTF-8.
HOSTILE = (
    "<img src=x onerror='window.harmed = 1'></script><script>window.harmed = 1</script><!--"
    "[bold red]\u2028]]>&amp; \x1b[2J\x00\x9b31m\u202egnp \ud800 end"
)

C, S = Side.CLIENT, Side.SERVER
_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_REQUEST = Request(
    "/v1/stream/analyze",
    (("host", "127.0.0.1:8080"), ("authorization", "[redacted]"), ("upgrade", "websocket")),
    "header",
)
_ACCEPTED = Response(101, (("upgrade", "websocket"), ("x-correlation-id", "6f1c2b9e-0000-4000-8000-000000000001")))
_SCORES = dict.fromkeys(("quality_index", "clarity", "authority", "energy", "rapport", "learning"), 61)


def entry(time: float, sender: Side, passed: Passed, *violations: Violation) -> Entry:
    return Entry(Record(time, sender, passed), violations)


def violation(clause_id: str, what: str, path: str | None = "$", side: Side = S) -> Violation:
    return Violation(clause(clause_id), side, "LIVE", what, path)


def segment(size: int = 43_298, seconds: float = 2.988, *fault: str) -> Binary:
    return Binary(size, _HASH, Media(seconds, *fault))


def sessions() -> tuple[SessionLog, ...]:
    """Three: a whole one with two things wrong, a refused one, and one that broke off."""
    first = (
        entry(0, C, _REQUEST),
        entry(0.012, S, _ACCEPTED),
        entry(0.013, S, Text(ready())),
        entry(0.015, C, Text('{"include": ["conversation_quality_overall", "nonsense"]}')),
        entry(0.019, S, Text(error("ih6002", None, "nonsense is not known"))),
        entry(0.020, C, Begins(16_384)),
        entry(0.031, C, segment()),
        entry(0.033, S, Text(updated(["conversation_quality_overall"]))),
        entry(3.020, C, segment(41_100, 3.0)),
        entry(6.022, C, segment(47_017, 3.012)),
        entry(6.101, S, Text(detected("agreement", 0.5, rationale="A slow nod, and then a smile that stays."))),
        entry(6.102, S, Text(engagement("engaged", 0))),
        entry(
            9.117,
            S,
            Text(detected("agreement", 4.0)),
            violation("SIG-5", "agreement is active already; end it before it is detected anew", "$.data.signal_type"),
        ),
        entry(
            10.404,
            S,
            Text(envelope("conversation_quality.updated", {"overall": _SCORES | {"quality_index": 99}})),
            violation("CQI-6", "quality_index is 99, the mean of the others is 61", "$.data.overall.quality_index"),
        ),
        entry(11.000, C, Text('{"type": "session.close"}')),
        entry(11.020, S, Text(signal_ended("agreement", 8))),
        entry(11.021, S, Text(closing())),
        entry(11.030, S, Text(ended())),
        entry(11.031, S, Close(1000)),
        entry(11.032, C, Close(1000)),
        entry(11.033, S, Surplus(120)),
    )
    refused = Response(401, (("content-type", "application/json"),), '{"error_id": "ih2001", "message": "no"}')
    second = (entry(0, C, attrs.evolve(_REQUEST, credential=None)), entry(0.009, S, refused))
    third = (
        entry(0, C, _REQUEST),
        entry(0.01, S, _ACCEPTED),
        entry(0.02, S, Text(ready())),
        entry(0.1, C, segment(12, 0, "SEG-5", "no container that is known")),
        entry(0.2, S, Text("{not JSON"), violation("ENV-1", "the text is not JSON")),
        entry(0.21, S, Binary(5, _HASH), violation("ENV-5", "a binary message of 5 bytes", None)),
        entry(0.3, S, Lost("the connection ended without a close frame")),
    )
    return (
        SessionLog(1, "lifecycle", "three segments and a graceful close", first, 9.0),
        SessionLog(2, "credentials", "no credential at all", second),
        SessionLog(3, "damaged-media", "twelve bytes that are no media", third),
    )


def result(id_: str, title: str, status: Status = Status.PASSED, *evidence: Evidence, **more: Any) -> Result:
    fields: dict[str, Any] = {"scenarios": ("lifecycle",), "seen": 3, **more}
    return Result(Check(id_, title), status, evidence=evidence, **fields)


def results() -> tuple[Result, ...]:
    """At least one of every status and severity, in the order of the catalogue."""
    passed, failed = Status.PASSED, Status.FAILED
    return (
        result("HS-5.selects-one", "One of the offered subprotocols is selected"),
        result(
            "HS-9.header",
            "The response has an X-Correlation-ID, also where it refuses",
            failed,
            Evidence("the refusal has no X-Correlation-ID", 2, 1, 0.009),
            scenarios=("credentials", "lifecycle"),
        ),
        result("HS-10.missing", "Without a credential the upgrade is refused with 401"),
        result(
            "HS-11.scope",
            "A credential without the scope is told so",
            Status.NOT_ASKED,
            reason="no such credential was given; give one with --without-scope",
            scenarios=(),
            seen=0,
        ),
        result("HS-12.unknown-query", "Query parameters that are not known are disregarded"),
        result(
            "ENV-1.shape",
            "Each message is an envelope",
            failed,
            Evidence("the text is not JSON", 3, 4, 0.2),
            expected=True,
            reason="Ticket 123: the scanner dies of files without a header.",
        ),
        result("ENV-1.time", "The timestamp is a time in UTC"),
        result("ENV-2.one-id", "All envelopes of a session have one correlation id"),
        result("ENV-5.no-binary", "No binary message comes", failed, Evidence("a binary message", 3, 5, 0.21)),
        result("RDY-1.first", "session.ready comes first, and once"),
        result("RDY-2.terms", "session.ready tells the terms of the session"),
        result("CFG-2.confirms", "Each config that is accepted is confirmed"),
        result(
            "CFG-5.unknown-value",
            "An unknown value in `include` is passed over",
            failed,
            Evidence("the answer is an error ih6002", 1, 4, 0.019),
            Evidence("there was no session.updated within 2 s of the config", 1, None, 2.015),
        ),
        result(
            "CFG-6.goals", "goal_dimensions are taken", Status.NOT_APPLICABLE, reason="session.ready has no such option"
        ),
        result("SEG-10.empty", "An empty segment is refused with ih5004", failed, Evidence("nothing was answered", 1)),
        result(
            "SEG-2.too-large", "A segment above 32 MB is refused", Status.NOT_ASKED, reason="asked for by --suite full"
        ),
        result(
            "SIG-5.rounds",
            "A signal ends before it is detected anew",
            failed,
            Evidence("agreement was detected twice", 1, 12, 9.117),
        ),
        result("SIG-7.ends-all", "On a graceful close all signals end"),
        result("ENG-2.changes", "Each engagement.updated has another state", Status.UNSEEN, seen=0),
        result(
            "CQI-6.mean",
            "quality_index is the mean of the other scores",
            failed,
            Evidence("quality_index is 99, the mean is 61", 1, 13, 10.404),
        ),
        result(
            "TMO-1.idle",
            "An idle session is ended with ih6003",
            Status.BLOCKED,
            Evidence("the session of the scenario was not established", 3, 6, 0.3),
            scenarios=("idle",),
        ),
        result("CLS-1.graceful", "session.close is answered with session.closing and session.ended", passed),
    )


def report(**changes: Any) -> Report:
    """A report with everything in it."""
    whole = Report(
        subject=Subject.SERVER,
        kind="server",
        target="ws://127.0.0.1:8080/v1/stream/analyze",
        revision="v1",
        suite="quick",
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        seconds=21.25,
        version="0.1.0",
        results=results(),
        sessions=sessions(),
        stale=("CLS-1.graceful",),
    )
    return attrs.evolve(whole, **changes)


def clean_report() -> Report:
    """A report of a peer that conforms."""
    return report(results=tuple(item for item in results() if not item.status.broken), stale=())


def hostile_report(*more_said: Entry) -> Report:
    """A report in which everything that can be foreign is hostile."""
    said = (
        entry(0, C, Request("/" + HOSTILE, ((HOSTILE, HOSTILE),), HOSTILE)),
        entry(0.1, S, Response(403, ((HOSTILE, HOSTILE),), HOSTILE)),
        entry(0.2, S, Text(HOSTILE)),
        entry(0.3, S, Text(detected(HOSTILE, rationale=HOSTILE)), violation("SIG-1", HOSTILE, HOSTILE)),
        entry(0.4, S, Binary(1, HOSTILE, Media(1, "SEG-5", HOSTILE))),
        entry(0.5, S, Begins(1, Media(1, "SEG-5", HOSTILE))),
        entry(0.6, S, Close(4000, HOSTILE)),
        entry(0.7, S, Lost(HOSTILE)),
        *more_said,
    )
    found = Evidence(HOSTILE, 1, 3, 0.3)
    more: dict[str, Any] = {"scenarios": (HOSTILE,), "reason": HOSTILE}
    return report(
        target=HOSTILE,
        suite=HOSTILE,
        version=HOSTILE,
        unjudged=HOSTILE,
        stale=(HOSTILE,),
        sessions=(SessionLog(1, HOSTILE, HOSTILE, said),),
        results=(
            result("SIG-1.shape", HOSTILE, Status.FAILED, found, **more),
            result("SIG-6.known", HOSTILE, Status.FAILED, found, **more),
            result("SIG-7.ends-all", HOSTILE, Status.FAILED, found, expected=True, **more),
            result("SIG-8.modalities", HOSTILE, Status.NOT_ASKED, **more),
        ),
    )


def long_report(records: int = 5_000) -> Report:
    """A report with one long session, of which the last record but ten shows a failure."""
    begin = [entry(0, C, _REQUEST), entry(0.012, S, _ACCEPTED), entry(0.013, S, Text(ready()))]
    middle = [
        entry(index / 10, S, Text(signal_ended("interest", index) if index % 2 else detected("interest", index)))
        for index in range(3, records - 1)
    ]
    end = entry(records / 10, S, Close(1000, "the very last"))
    said = (*begin, *middle, end)
    proof = Evidence("interest was detected twice", 1, records - 11, (records - 11) / 10)
    return report(
        results=(
            result("SIG-5.rounds", "A signal ends before it is detected anew", Status.FAILED, proof),
            *results()[-1:],
        ),
        sessions=(SessionLog(1, "long", "an hour of signals", said), *sessions()[1:2]),
        stale=(),
    )
