"""A trace that was recorded is judged as the session was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import CORRELATION_ID, closing, detected, ended, engagement, error, ready, signal_ended, updated
from hypothesis import given
from hypothesis import strategies as st

from ihproto import REVISIONS, V1, Revision, SegmentFault, SegmentMedia, Side, Violation
from ihproto.wire import (
    Credential,
    CredentialForm,
    RawBytes,
    RawClose,
    RawEvent,
    RawLost,
    RawSurplus,
    RawText,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
    UpgradeRequested,
)
from ihproto_conformance.replay import judge_trace
from ihproto_conformance.trace import Binary as BinaryRecord
from ihproto_conformance.trace import Media, Record, Text, Trace, TraceError, decode_trace
from ihproto_conformance.verdict import Entry
from ihproto_conformance.watcher import Watcher

KEY = "ih_live_0123456789abcdefSECRET"


class _Scanner:
    """Finds fault with a piece that says so, or with the whole at its end."""

    def __init__(self, contract: object) -> None:
        self._bad_end = False

    def expect(self, expected: object) -> None:
        pass

    def begin(self, number: int) -> None:
        self._bad_end = False

    def feed(self, data: bytes) -> SegmentFault | None:
        self._bad_end = self._bad_end or b"end" in data
        return SegmentFault("ih4002", "SEG-5", "is nothing that is known") if b"bad" in data else None

    def finish(self) -> SegmentMedia | SegmentFault:
        return SegmentFault("ih5004", "SEG-6", "breaks off") if self._bad_end else SegmentMedia(1.5)


def request(form: CredentialForm | None = CredentialForm.HEADER, query: str = "") -> UpgradeRequested:
    credential = Credential(KEY, form) if form is not None else None
    offered = {CredentialForm.SUBPROTOCOL: (KEY,), CredentialForm.PAIR: ("access_token", KEY)}
    return UpgradeRequested(
        path="/",
        query=(),
        credential=credential,
        origin=None,
        client_request_id=None,
        headers=((b"host", b"x"),),
        target=f"/{query}",
        authorization=f"Bearer {KEY}" if form is CredentialForm.HEADER else None,
        subprotocols=offered.get(form, ()) if form is not None else (),
    )


def accepted(correlation_id: str | None = CORRELATION_ID, subprotocol: str | None = None) -> UpgradeAccepted:
    headers = ((b"x-correlation-id", correlation_id.encode()),) if correlation_id is not None else ()
    return UpgradeAccepted(correlation_id, subprotocol, headers)


def watched(revision: Revision, *passed: tuple[Side, Any], pace: float = 0.1) -> Watcher:
    """Watch what passes, with so many seconds between two things."""
    watcher = Watcher(revision, 0.0, make_scanner=_Scanner)
    for index, (side, event) in enumerate(passed):
        watcher(side, event, index * pace)
    return watcher


def found_in(entries: list[Entry] | tuple[Entry, ...]) -> list[list[Violation]]:
    """The violations of each record; within one, their order means nothing."""
    return [sorted(entry.violations, key=str) for entry in entries]


def again(watcher: Watcher) -> list[list[Violation]]:
    """What is found in the trace, written to a file and read again."""
    trace = decode_trace(list(watcher.observer.trace().encode()))
    return found_in(judge_trace(trace).entries)


TEXTS = {
    Side.SERVER: [
        ready(),
        detected(),
        signal_ended(),
        engagement(),
        updated(),
        error("ih6002", 1),
        error("ih6001"),
        error("ih1001"),
        closing(),
        ended(),
        "nonsense",
        '{"status": "processing", "segment": 1, "bytes": 3}',
        '{"status": "completed", "segment": 1}',
    ],
    Side.CLIENT: ["{}", '{"type": "session.close"}', "nonsense", '{"include": []}', '{"model": "x"}'],
}


def events_of(side: Side) -> st.SearchStrategy[tuple[Side, RawEvent]]:
    pieces = st.sampled_from([b"", b"abc", b"bad", b"end", bytes(10_000), bytes(2**24)])
    return st.tuples(
        st.just(side),
        st.one_of(
            st.sampled_from(TEXTS[side]).map(RawText),
            st.builds(RawBytes, pieces, st.booleans()),
            st.builds(RawBytes, pieces, st.booleans()),
        ),
    )


ENDS = st.sampled_from([RawClose(1000), RawSurplus(3), RawLost("gone")])


@given(
    revision=st.sampled_from(list(REVISIONS.values())),
    passed=st.lists(st.one_of(events_of(Side.CLIENT), events_of(Side.SERVER)), max_size=20),
    ends=st.lists(st.tuples(st.sampled_from(list(Side)), ENDS), max_size=4),
    late=st.lists(st.one_of(events_of(Side.CLIENT), events_of(Side.SERVER)), max_size=4),
    pace=st.sampled_from([0.1, 3.0]),
)
def test_whatever_passes_is_judged_alike_when_it_is_read_again(
    revision: Revision,
    passed: list[tuple[Side, RawEvent]],
    ends: list[tuple[Side, RawEvent]],
    late: list[tuple[Side, RawEvent]],
    pace: float,
) -> None:
    upgrade = [(Side.CLIENT, request()), (Side.SERVER, accepted())]
    watcher = watched(revision, *upgrade, *passed, *ends, *late, pace=pace)
    assert again(watcher) == found_in(watcher.observer.entries)


@pytest.mark.parametrize(
    ("form", "subprotocol", "correlation_id", "broken"),
    [
        (None, None, "c", ["HS-2"]),
        (CredentialForm.HEADER, None, None, ["HS-9"]),
        (CredentialForm.SUBPROTOCOL, KEY, "c", []),
        (CredentialForm.SUBPROTOCOL, None, "c", ["HS-5"]),
        (CredentialForm.PAIR, "access_token", "c", []),
        (CredentialForm.PAIR, KEY, "c", ["HS-5"]),
    ],
)
def test_an_upgrade_is_judged_alike_though_its_credential_is_gone(
    form: CredentialForm | None, subprotocol: str | None, correlation_id: str | None, broken: list[str]
) -> None:
    watcher = watched(V1, (Side.CLIENT, request(form)), (Side.SERVER, accepted(correlation_id, subprotocol)))
    found = again(watcher)
    assert [violation.clause.id for violations in found for violation in violations] == broken
    assert found == found_in(watcher.observer.entries)
    assert KEY.encode() not in b"".join(watcher.observer.trace().encode())


@pytest.mark.parametrize("answer", [UpgradeRefused(401, None, None), UpgradeFailed("it is not there")])
def test_an_upgrade_that_came_to_nothing_is_judged_alike(answer: UpgradeRefused | UpgradeFailed) -> None:
    watcher = watched(V1, (Side.CLIENT, request(None)), (Side.SERVER, answer))
    assert again(watcher) == found_in(watcher.observer.entries)


def test_what_the_url_asks_for_is_taken_from_the_trace() -> None:
    """A result without the section that was asked for breaks STS-3."""
    texts = [
        '{"status": "processing", "segment": 1, "bytes": 3, "correlation_id": "%s"}',
        '{"status": "result", "segment": 1, "signals": [], "correlation_id": "%s"}',
    ]
    passed = [(Side.SERVER, RawText(text % CORRELATION_ID)) for text in texts]
    query = "?include[]=conversation_quality_overall"
    upgrade = [(Side.CLIENT, request(query=query)), (Side.SERVER, accepted())]
    watcher = watched(REVISIONS["v0.2"], *upgrade, (Side.CLIENT, RawBytes(b"abc")), *passed)
    found = again(watcher)
    assert [violation.clause.id for violations in found for violation in violations] == ["STS-3"]
    assert found == found_in(watcher.observer.entries)


def test_a_close_frame_that_was_not_answered_in_time_shows_in_the_trace() -> None:
    opening = [(Side.CLIENT, request()), (Side.SERVER, accepted()), (Side.SERVER, RawText(ready()))]
    end = [(Side.CLIENT, RawClose(1000)), (Side.SERVER, RawLost("gone"))]
    watcher = watched(V1, *opening, *end, pace=6.0)
    found = again(watcher)
    assert [violation.clause.id for violations in found for violation in violations] == ["CLS-3"]
    assert found == found_in(watcher.observer.entries)


def test_a_trace_may_begin_after_the_upgrade() -> None:
    records = [Record(0.0, Side.SERVER, Text(text)) for text in (ready(), signal_ended())]
    log = judge_trace(Trace(V1, tuple(records)))
    assert [violation.clause.id for entry in log.entries for violation in entry.violations] == ["SIG-5"]


def test_the_media_is_what_was_recorded() -> None:
    opening = [(Side.CLIENT, request()), (Side.SERVER, accepted()), (Side.SERVER, RawText(ready()))]
    watcher = watched(V1, *opening, *[(Side.CLIENT, RawBytes(b"abc"))] * 3, (Side.CLIENT, RawBytes(b"bad")))
    assert judge_trace(watcher.observer.trace()).media_seconds == 4.5


def test_a_message_that_shrinks_is_said() -> None:
    lines = [
        {"ihproto_trace": 1, "revision": "v1"},
        {"time": 0.0, "from": "client", "begins": {"size": 9}},
        {"time": 0.0, "from": "client", "binary": {"size": 3, "sha256": ""}},
    ]
    trace = decode_trace([json.dumps(line).encode() for line in lines])
    with pytest.raises(TraceError, match="record 2 cannot be judged: the message has 3 bytes, and had 9 before"):
        judge_trace(trace)


def test_a_clause_that_is_not_about_media_is_said() -> None:
    record = Record(0.0, Side.CLIENT, BinaryRecord(3, "", Media(0.0, "HS-1", "the segment is odd")))
    with pytest.raises(TraceError, match="'HS-1' is not a clause about media"):
        judge_trace(Trace(V1, (record,)))
