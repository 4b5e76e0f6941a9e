"""The passive checks: what can be said of a side by watching it, whatever its peer happens to do.

There is one for each clause that the monitor can find broken by that side. None is ever blocked: where nothing came
that a clause is about, its check is unseen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

import attrs
import msgspec

from ihproto import CLAUSES, Revision, Side, __version__, clause
from ihproto_conformance.trace import Binary, Close, Record, Request, Response, Text
from ihproto_conformance.verdict import (
    Check,
    Evidence,
    Report,
    Result,
    SessionLog,
    Severity,
    Status,
    Subject,
    merge,
)

#: More pieces of evidence than these help nobody.
MOST_EVIDENCE = 20

_ENVELOPES = ("v1-window", "v1", "v2")
_LIFECYCLE = ("v1", "v2")
_STATUS = ("v0", "v0.2")

#: What passes besides messages with a type, and how it is called when none came.
_WORDS = {
    "accepted": "accepted upgrade",
    "close": "close frame",
    "config": "config",
    "message": "message",
    "refusal": "refusal of a session",
    "request": "upgrade request",
    "segment": "segment",
}


@attrs.frozen
class _Row:
    """What a check is about.

    Attributes:
        clause_id: The clause.
        title: What is expected.
        about: What the clause is about: types of messages, or words of `_WORDS`.
        revisions: Where the monitor can find it broken; None for everywhere where it holds.
    """

    clause_id: str
    title: str
    about: tuple[str, ...]
    revisions: tuple[str, ...] | None = None

    def holds_in(self, revision: Revision) -> bool:
        return revision.id in (self.revisions if self.revisions is not None else clause(self.clause_id).revisions)


_SIGNALS = ("signal.detected", "signal.updated", "signal.ended")
_QUALITY = ("conversation_quality.updated",)
_SCORES = (*_QUALITY, "result")

_SERVER = (
    _Row("HS-5", "The answer to the upgrade selects the subprotocol that is due", ("accepted",)),
    _Row("HS-9", "The answer to the upgrade has a correlation id, and the messages have the same", ("accepted",)),
    _Row("ENV-1", "Messages are envelopes with all members, and a time in UTC", ("message",)),
    _Row("ENV-2", "All envelopes of a session have one correlation id", ("message",)),
    _Row("ENV-5", "All that the server says is text", ("message",)),
    _Row("RDY-1", "session.ready comes once, before everything else", ("session.ready",)),
    _Row("RDY-2", "session.ready tells terms that can be kept", ("session.ready",)),
    _Row("RDY-3", "A session that was refused is closed, and nothing else follows", ("refusal",)),
    _Row("CFG-2", "Each config is answered by session.updated with what is in force", ("session.updated",)),
    _Row("CFG-4", "A config without include switches the sections off", ("session.updated",)),
    _Row("CFG-5", "A text that is no config is not confirmed", ("session.updated",)),
    _Row(
        "CFG-6",
        "Goal dimensions are taken over, and feedback comes only with them",
        ("session.updated", "feedback.generated"),
    ),
    _Row("CFG-7", "The model in force is told as selected", ("session.updated",)),
    _Row(
        "SEG-1",
        "Errors and results name segments that were sent, counted from 1",
        ("error", "processing", "result", "completed"),
    ),
    _Row("SEG-8", "Errors name the segment that they are about, and no other", ("error",)),
    _Row(
        "WIN-3",
        "Each window is reported with times that make a stretch, and known levels",
        ("signal.detected", "engagement.updated"),
    ),
    _Row("SIG-1", "An active signal is not detected again", ("signal.detected",)),
    _Row("SIG-2", "Only active signals are updated, and only when something changed", ("signal.updated",)),
    _Row("SIG-3", "signal.ended tells the signal and its end", ("signal.ended",)),
    _Row("SIG-4", "The times of a type of signal never go back", _SIGNALS),
    _Row("SIG-5", "Only active signals end", ("signal.ended",)),
    _Row("SIG-6", "Types and probabilities of signals are documented ones", (*_SIGNALS, "result")),
    _Row("SIG-7", "No signal is active at session.ended", ("session.ended",)),
    _Row(
        "SIG-8",
        "Signals have no modality where the revision sends none",
        ("signal.detected", "signal.updated"),
        ("v2",),
    ),
    _Row("ENG-1", "engagement.updated tells a level and a time", ("engagement.updated",)),
    _Row("ENG-2", "Each report of engagement has another level than the one before", ("engagement.updated",)),
    _Row("ENG-3", "Levels of engagement are documented ones, within the session", ("engagement.updated",)),
    _Row("CQI-1", "Conversation quality comes only if asked for, and once for each period", _QUALITY),
    _Row("CQI-2", "The overall scores are there if and only if they were asked for", _QUALITY),
    _Row("CQI-3", "The timeline is there if and only if it was asked for, with one entry", _QUALITY),
    _Row("CQI-5", "Scores are complete, and within 0 and 100", _SCORES),
    _Row("CQI-6", "The quality index is the mean of the other scores", _SCORES),
    _Row("ERR-1", "Errors have a code, and all their members", ("error",)),
    _Row("CLS-1", "A graceful close goes by session.closing and session.ended", ("session.closing", "session.ended")),
    _Row("CLS-3", "Close frames are answered, and nothing follows one", ("close",)),
    _Row("COV-1", "Coverage messages name stretches of media", ("coverage.dropped", "coverage.degraded")),
    _Row("STS-1", "Each segment is reported on in order, in messages that are complete", ("message",)),
    _Row("STS-2", "The signals of a result have times that make a stretch", ("result",)),
    _Row("STS-3", "A result has the sections that were asked for, with times that make a stretch", ("result",)),
    _Row("STS-4", "The error for a segment that is too large reads as documented", ("error",)),
)

_CLIENT = (
    _Row("HS-2", "The upgrade request holds a credential", ("request",)),
    _Row("RDY-2", "Segments are no longer than the terms allow", ("segment",)),
    _Row("RDY-3", "Nothing is sent in a session that was refused", ("config", "segment", "session.close")),
    _Row("RDY-4", "No segment is sent before session.ready", ("segment", "session.close")),
    _Row("CFG-1", "Texts of the client are JSON objects", ("config", "session.close")),
    _Row("CFG-5", "Configs have known members, of the right types", ("config",)),
    _Row("CFG-6", "Configs name goal dimensions that the session offers", ("config",)),
    _Row("CFG-7", "Configs select a model that there is, before the first segment", ("config",), ("v2",)),
    _Row("CFG-8", "Configs declare raw audio where the model takes it, before the first segment", ("config",)),
    _Row("SEG-1", "The client sends segments, and no texts", ("segment",), _STATUS),
    _Row("SEG-2", "Segments are not too large", ("segment",)),
    _Row("SEG-3", "Segments are neither too small nor too large", ("segment",)),
    _Row("SEG-4", "Segments are not too short", ("segment",)),
    _Row("SEG-5", "Segments are in a container that the service takes", ("segment",)),
    _Row("SEG-6", "Segments are files, or continue the one before", ("segment",)),
    _Row("SEG-7", "Segments have the tracks that are needed", ("segment",)),
    _Row("SEG-10", "No segment is empty", ("segment",)),
    _Row("CLS-1", "session.close is sent once, while the session stands", ("session.close",)),
    _Row("CLS-2", "No segment follows session.close", ("session.close",)),
    _Row("CLS-3", "Close frames are answered, and nothing follows one", ("close",)),
)

_TABLES = {Subject.SERVER: _SERVER, Subject.CLIENT: _CLIENT}
_SHARED = {row.clause_id for row in _SERVER} & {row.clause_id for row in _CLIENT}


def passive_checks(revision: Revision, subject: Subject) -> tuple[Check, ...]:
    """The passive checks of a side in a revision, in the order of the catalogue."""
    return tuple(_check(row, subject) for row in _rows(revision, subject))


def passive_results(revision: Revision, subject: Subject, sessions: Iterable[SessionLog]) -> list[Result]:
    """What became of the passive checks of a side.

    Args:
        revision: The revision that was spoken in all of them.
        subject: Who is judged.
        sessions: What passed.
    """
    found: dict[str, list[Evidence]] = {}
    seen: Counter[str] = Counter()
    for session in sessions:
        reader = _Reader(revision)
        for index, entry in enumerate(session.entries):
            names = reader.names(entry.record)
            if entry.record.sender is subject.side:
                seen.update(names)
            for violation in entry.violations:
                if violation.side is subject.side:
                    place = f" at {violation.path}" if violation.path else ""
                    evidence = Evidence(f"{violation.what}{place}", session.number, index, entry.record.time)
                    found.setdefault(violation.clause.id, []).append(evidence)
    return [_result(row, subject, found.get(row.clause_id, []), seen) for row in _rows(revision, subject)]


def judge_sessions(
    sessions: Sequence[tuple[Revision, SessionLog]], subjects: Collection[Subject] = tuple(Subject)
) -> list[Result]:
    """What became of the passive checks of one side or both, in sessions that may differ in their revision.

    Args:
        sessions: The revision of each session, and what passed.
        subjects: Who is judged.

    Returns:
        One result for each check, in the order of the catalogue.
    """
    results: dict[str, list[Result]] = {}
    for revision in {revision.id: revision for revision, _ in sessions}.values():
        logs = [log for other, log in sessions if other is revision]
        for subject in subjects:
            for result in passive_results(revision, subject, logs):
                results.setdefault(result.check.id, []).append(result)
    merged = [merge(found) for found in results.values()]
    order = list(CLAUSES)
    return sorted(merged, key=lambda result: (order.index(result.check.clause.id), result.check.id))


def report_sessions(
    sessions: Sequence[tuple[Revision, SessionLog]],
    *,
    kind: str,
    target: str,
    suite: str,
    started_at: datetime,
    seconds: float,
    subjects: Collection[Subject] = tuple(Subject),
    unjudged: str | None = None,
    fail_on: Severity = Severity.FAILURE,
) -> Report:
    """The report on sessions that were watched.

    Args:
        sessions: The revision of each session, and what passed.
        kind: How they were watched: `relay` or `trace`.
        target: What was watched.
        suite: What it was, for people.
        started_at: When it began, with a time zone.
        seconds: How long it took.
        subjects: Who is judged.
        unjudged: Why nothing could be judged, None when it could.
        fail_on: The least severity that makes the verdict `violations`.
    """
    return Report(
        subject=Subject.SERVER if Subject.SERVER in subjects else Subject.CLIENT,
        kind=kind,
        target=target,
        revision=", ".join(dict.fromkeys(revision.id for revision, _ in sessions)),
        suite=suite,
        started_at=started_at,
        seconds=seconds,
        version=__version__,
        results=tuple(judge_sessions(sessions, subjects)),
        sessions=tuple(log for _, log in sessions),
        unjudged=unjudged,
        fail_on=fail_on,
    )


def _rows(revision: Revision, subject: Subject) -> list[_Row]:
    return [row for row in _TABLES[subject] if row.holds_in(revision)]


def _check(row: _Row, subject: Subject) -> Check:
    suffix = "-client" if subject is Subject.CLIENT and row.clause_id in _SHARED else ""
    return Check(f"{row.clause_id}.observed{suffix}", row.title)


def _result(row: _Row, subject: Subject, found: list[Evidence], seen: Counter[str]) -> Result:
    check = _check(row, subject)
    count = sum(seen[name] for name in row.about)
    if found:
        evidence = found[:MOST_EVIDENCE]
        if len(found) > MOST_EVIDENCE:
            evidence.append(Evidence(f"the same {len(found) - MOST_EVIDENCE} times more"))
        return Result(check, Status.FAILED, evidence=tuple(evidence), seen=count)
    if count:
        return Result(check, Status.PASSED, seen=count)
    missing = " or ".join(_WORDS.get(name, name) for name in row.about)
    return Result(check, Status.UNSEEN, reason=f"no {missing} came")


class _Reader:
    """Names what passes in one session, by the types of messages and the words of `_WORDS`."""

    def __init__(self, revision: Revision) -> None:
        self._discriminator = revision.framing.discriminator
        self._awaiting_ready = revision.announces

    def names(self, record: Record) -> list[str]:
        """What a record is; more than one where it is something special as well."""
        match record.passed:
            case Request():
                return ["request"]
            case Response(101):
                return ["accepted"]
            case Close():
                return ["close"]
            case Binary():
                return ["segment"] if record.sender is Side.CLIENT else ["message"]
            case Text(text):
                type_ = self._type_of(text)
                if record.sender is Side.CLIENT:
                    return ["session.close" if type_ == "session.close" else "config"]
                self._awaiting_ready = self._awaiting_ready and type_ != "session.ready"
                # Whatever a server calls it, a word of ours it is not.
                types = [type_] if type_ is not None and type_ not in _WORDS else []
                return ["message", *types, *(["refusal"] if type_ == "error" and self._awaiting_ready else [])]
        return []

    def _type_of(self, text: str) -> str | None:
        try:
            fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            return msgspec.json.decode(fields[self._discriminator], type=str)
        except (msgspec.DecodeError, KeyError, ValueError, RecursionError):
            return None
