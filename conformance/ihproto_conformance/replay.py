"""Judging a session that was recorded: the records of a trace go through the same monitor as a session that is watched.

What a trace does not hold cannot be judged again: credentials, and with them which of two subprotocols that are none
the server chose (HS-5). The bytes of segments are not there either, but what a scanner had made of them is.
"""

from __future__ import annotations

from collections.abc import Sequence

from ihproto import Revision, SessionConfig, SessionMonitor, Side, Violation, clause
from ihproto_conformance.observer import answer_due, asked_by, judge_acceptance, judge_request
from ihproto_conformance.trace import (
    Begins,
    Binary,
    Close,
    Lost,
    Media,
    Record,
    Request,
    Response,
    Surplus,
    Text,
    Trace,
    TraceError,
)
from ihproto_conformance.verdict import Entry, SessionLog

#: What a segment can be at fault by, for its media (SEG-4 to SEG-7) or its length (RDY-2).
MEDIA_CLAUSES = frozenset({"RDY-2", "SEG-4", "SEG-5", "SEG-6", "SEG-7"})


def judge_trace(trace: Trace, *, number: int = 1) -> SessionLog:
    """Judge a recorded session.

    A trace may leave the upgrade out, and is then judged from the first message on.

    Args:
        trace: What passed.
        number: The number of the session in the report.

    Raises:
        TraceError: If a segment is said to be at fault by a clause that is not about media.
    """
    replay = _Replay(trace.revision)
    entries = []
    for index, record in enumerate(trace.records):
        try:
            entries.append(Entry(record, tuple(replay.judge(record))))
        except ValueError as error:
            raise TraceError(f"record {index + 1} cannot be judged: {error}") from None
    return SessionLog(number, "trace", trace.title, tuple(entries), media_seconds(entries))


def media_seconds(entries: Sequence[Entry]) -> float:
    """Seconds of media in the segments that were sent whole, as far as a scanner made something of them."""
    binaries = (entry.record.passed for entry in entries if isinstance(entry.record.passed, Binary))
    return sum(binary.media.seconds for binary in binaries if binary.media is not None)


class _Replay:
    def __init__(self, revision: Revision) -> None:
        self._revision = revision
        self._monitor: SessionMonitor | None = None
        self._asked: SessionConfig | None = None
        self._subprotocols: list[str] = []
        self._told = {Side.CLIENT: 0, Side.SERVER: 0}
        self._faulted = False
        self._closed_at: dict[Side, float] = {}

    def judge(self, record: Record) -> list[Violation]:
        sender = record.sender
        match record.passed:
            case Request() as request:
                return self._judge_request(request)
            case Response() as response:
                return self._judge_response(response)
            case Text(text):
                return [*self._messages.observe_text(sender, text).violations]
            case Begins(size, media):
                return self._judge_bytes(sender, size, media, final=False)
            case Binary(size, _, media):
                return self._judge_bytes(sender, size, media, final=True)
            case Close():
                self._closed_at.setdefault(sender, record.time)
                return [*self._messages.observe_close(sender).violations]
            case Surplus():
                return [*self._messages.observe_surplus(sender).violations]
            case Lost():
                if self._monitor is None:
                    # It was the upgrade that came to nothing.
                    return []
                due = answer_due(sender, self._closed_at, record.time)
                return [*self._monitor.observe_lost(sender, answer_due=due).violations]

    @property
    def _messages(self) -> SessionMonitor:
        if self._monitor is None:
            self._monitor = SessionMonitor(revision=self._revision, asked=self._asked)
        return self._monitor

    def _judge_request(self, request: Request) -> list[Violation]:
        self._asked = asked_by(self._revision, request.target)
        offered = next((value for name, value in request.headers if name == "sec-websocket-protocol"), "")
        self._subprotocols = [value for item in offered.split(",") if (value := item.strip())]
        return judge_request(request)

    def _judge_response(self, response: Response) -> list[Violation]:
        if response.status != 101:
            return []
        correlation_id = response.header("x-correlation-id")
        self._monitor = SessionMonitor(revision=self._revision, correlation_id=correlation_id, asked=self._asked)
        return judge_acceptance(self._subprotocols, response.header("sec-websocket-protocol"), correlation_id)

    def _judge_bytes(self, sender: Side, size: int, media: Media | None, *, final: bool) -> list[Violation]:
        more = size - self._told[sender]
        if more < 0:
            raise ValueError(f"the message has {size} bytes, and had {self._told[sender]} before")
        monitor = self._messages
        found = [*monitor.observe_size(sender, more, final=final).violations]
        if sender is Side.CLIENT and media is not None and media.clause_id is not None and not self._faulted:
            self._faulted = True
            found += self._judge_media(monitor, media)
        self._told[sender] = 0 if final else size
        if final and sender is Side.CLIENT:
            self._faulted = False
        return found

    def _judge_media(self, monitor: SessionMonitor, media: Media) -> list[Violation]:
        if media.clause_id not in MEDIA_CLAUSES:
            raise ValueError(f"{str(media.clause_id)[:20]!r} is not a clause about media")
        broken = clause(media.clause_id)
        if self._revision.id not in broken.revisions:
            return []
        what = (media.what or "the segment is at fault").replace("the segment", f"segment {monitor.segments}", 1)
        return [Violation(broken, Side.CLIENT, monitor.state.value, what)]
