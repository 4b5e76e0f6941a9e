"""An observer keeps what passes as it passed, and lets no credential through."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from builders import CORRELATION_ID, detected, envelope, error, ready, updated
from hypothesis import given
from hypothesis import strategies as st

from ihproto import V0_2, V1, MediaScanner, Revision, SegmentScanner, Side
from ihproto.wire import (
    REDACTED,
    HttpError,
    RawBytes,
    RawClose,
    RawLost,
    RawSurplus,
    RawText,
    Redactor,
    UpgradeAccepted,
    UpgradeFailed,
    UpgradeRefused,
)
from ihproto_conformance.observer import Observer
from ihproto_conformance.trace import (
    Begins,
    Binary,
    Close,
    Lost,
    Media,
    Request,
    Response,
    Surplus,
    Text,
    decode_trace,
)
from ihproto_conformance.verdict import Entry

CLIENT, SERVER = Side.CLIENT, Side.SERVER
KEY = "ih_live_0123456789abcdefSECRET"
TARGET = "/v1/stream/analyze"


def observer(revision: Revision = V1, scanner: SegmentScanner | None = None) -> Observer:
    return Observer(revision, 100.0, Redactor([KEY]), scanner=scanner)


def opened(revision: Revision = V1, scanner: SegmentScanner | None = None, target: str = TARGET) -> Observer:
    """An observer that has seen an upgrade without fault, and forgets it."""
    it = observer(revision, scanner)
    it.request(100.0, target, [(b"host", b"localhost")], credential="header")
    it.accepted(100.0, UpgradeAccepted(CORRELATION_ID, None))
    assert not any(entry.violations for entry in it.entries)
    it.entries.clear()
    return it


def blamed(entry: Entry | None) -> list[tuple[str, str]]:
    assert entry is not None
    return [(found.side.value, found.clause.id) for found in entry.violations]


def kept(it: Observer) -> list[tuple[Side, object]]:
    return [(entry.record.sender, entry.record.passed) for entry in it.entries]


# -- the upgrade ----------------------------------------------------------------------------------


def test_the_upgrade_is_kept_and_judged() -> None:
    it = observer()
    headers = [(b"Host", b"localhost"), (b"Authorization", b"Bearer " + KEY.encode())]
    asked = it.request(100.5, f"{TARGET}?x=1", headers, credential="header")
    assert asked.record.time == 0.5
    assert asked.record.passed == Request(
        f"{TARGET}?x=1", (("host", "localhost"), ("authorization", REDACTED)), "header"
    )
    assert blamed(asked) == []
    assert it.monitor is None
    answer = it.accepted(
        101.0, UpgradeAccepted(CORRELATION_ID, None, ((b"x-correlation-id", CORRELATION_ID.encode()),))
    )
    assert answer.record.passed == Response(101, (("x-correlation-id", CORRELATION_ID),))
    assert blamed(answer) == []
    assert it.monitor is not None
    assert blamed(it.take(SERVER, RawText(ready()), 101.0)) == []


def test_an_upgrade_without_credential() -> None:
    it = observer()
    assert blamed(it.request(100.0, TARGET, [], credential=None)) == [("client", "HS-2")]


@pytest.mark.parametrize(
    ("offered", "selected", "expected"),
    [
        ([], None, []),
        ([KEY], KEY, []),
        (["access_token", KEY], "access_token", []),
        ([KEY], None, [("server", "HS-5")]),
        (["access_token", KEY], KEY, [("server", "HS-5")]),
    ],
)
def test_the_subprotocol_is_judged(offered: list[str], selected: str | None, expected: list[tuple[str, str]]) -> None:
    it = observer()
    it.request(100.0, TARGET, [], credential="subprotocol", subprotocols=offered)
    entry = it.accepted(100.0, UpgradeAccepted(CORRELATION_ID, selected))
    assert blamed(entry) == expected
    names = [name for name, _ in entry.record.passed.headers]  # type: ignore[union-attr]
    assert names == (["sec-websocket-protocol"] if selected is not None else [])
    assert KEY not in repr(entry)


def test_the_correlation_id_is_judged() -> None:
    it = observer()
    it.request(100.0, TARGET, [], credential="header")
    assert blamed(it.accepted(100.0, UpgradeAccepted(None, None))) == [("server", "HS-9")]
    other = observer()
    other.request(100.0, TARGET, [], credential="header")
    other.accepted(100.0, UpgradeAccepted("another", None))
    assert blamed(other.take(SERVER, RawText(ready()), 100.0)) == [("server", "HS-9")]


def test_what_the_url_asks_for_counts() -> None:
    result = {"status": "result", "segment": 1, "signals": [], "engagement_state": [], "correlation_id": CORRELATION_ID}
    processing = {"status": "processing", "segment": 1, "bytes": 1, "correlation_id": CORRELATION_ID}
    for query, expected in (("", []), ("?include[]=conversation_quality_overall", [("server", "STS-3")])):
        it = opened(V0_2, target=f"/v0/stream/analyze{query}")
        it.take(CLIENT, RawBytes(b"x"), 100.0)
        assert blamed(it.take(SERVER, RawText(json.dumps(processing)), 100.0)) == []
        assert blamed(it.take(SERVER, RawText(json.dumps(result)), 100.0)) == expected


def test_refusals_are_kept() -> None:
    it = observer()
    body = json.dumps({"error": KEY}).encode() + b"\xff"
    event = UpgradeRefused(401, None, HttpError(message="no"), ((b"x-key", KEY.encode()),), body)
    assert it.refused(100.0, event).record.passed == Response(
        401, (("x-key", REDACTED),), f'{{"error": "{REDACTED}"}}\ufffd'
    )
    assert it.refused(100.0, UpgradeFailed(f"no answer to {KEY}")).record.passed == Lost(f"no answer to {REDACTED}")


# -- messages -------------------------------------------------------------------------------------


def test_pieces_are_put_together() -> None:
    it = opened()
    text = ready()
    assert it.take(SERVER, RawText(text[:10], False), 101.0) is None
    assert it.take(CLIENT, RawText("{", False), 101.5) is None
    assert it.take(SERVER, RawText("", False), 102.0) is None
    whole = it.take(SERVER, RawText(text[10:]), 103.0)
    assert whole is not None
    assert (whole.record.time, whole.record.passed) == (3.0, Text(text))
    assert blamed(whole) == []
    assert blamed(it.take(CLIENT, RawText("}"), 104.0)) == []
    assert kept(it) == [(SERVER, Text(text)), (CLIENT, Text("{}"))]


@given(st.lists(st.binary(max_size=8), min_size=1, max_size=6), st.sampled_from(Side))
def test_the_hash_is_that_of_the_whole_message(pieces: list[bytes], sender: Side) -> None:
    it = opened()
    it.take(SERVER, RawText(ready()), 101.0)
    for piece in pieces[:-1]:
        assert it.take(sender, RawBytes(piece, False), 101.0) is None
    entry = it.take(sender, RawBytes(pieces[-1]), 102.0)
    data = b"".join(pieces)
    assert kept(it)[1:] == [(sender, Binary(len(data), hashlib.sha256(data).hexdigest()))]
    assert entry is it.entries[-1]


def test_a_message_that_began_before_something_else_is_announced_with_what_had_come() -> None:
    it = opened()
    it.take(SERVER, RawText(ready()), 101.0)
    it.take(CLIENT, RawBytes(b"a", False), 102.0)
    it.take(SERVER, RawText(error("ih3003", 1)), 103.0)
    it.take(CLIENT, RawBytes(b"bb", False), 104.0)
    it.take(SERVER, RawText(detected()), 105.0)
    it.take(CLIENT, RawBytes(b"c"), 106.0)
    it.take(CLIENT, RawBytes(b"d"), 107.0)
    assert [(entry.record.time, entry.record.sender, type(entry.record.passed)) for entry in it.entries] == [
        (1.0, SERVER, Text),
        (3.0, CLIENT, Begins),
        (3.0, SERVER, Text),
        (5.0, CLIENT, Begins),
        (5.0, SERVER, Text),
        (6.0, CLIENT, Binary),
        (7.0, CLIENT, Binary),
    ]
    assert [passed.size for _, passed in kept(it) if isinstance(passed, Begins)] == [1, 3]
    assert not any(entry.violations for entry in it.entries), "segment 1 had begun when the server named it"


def test_a_trace_judged_again_finds_the_same_order() -> None:
    it = opened()
    it.take(SERVER, RawText(error("ih3003", 1)), 101.0)
    assert blamed(it.entries[0]) == [("server", "SEG-1")], "no segment had begun"
    again = decode_trace(list(it.trace(title="again").encode()))
    assert again == it.trace(title="again")


def test_what_a_segment_is_stands_beside_it() -> None:
    recordings = Path(__file__).parents[1] / "recordings/webm-vp9-opus"
    it = opened(scanner=MediaScanner(V1.contract))
    it.take(SERVER, RawText(ready()), 101.0)
    data = (recordings / "000.bin").read_bytes()
    it.take(CLIENT, RawBytes(data[:500], False), 102.0)
    good = it.take(CLIENT, RawBytes(data[500:]), 102.0)
    assert good is not None
    assert isinstance(good.record.passed, Binary)
    assert isinstance(good.record.passed.media, Media)
    assert good.record.passed.media.clause_id is None
    assert good.record.passed.media.seconds > 1
    it.take(CLIENT, RawBytes(b"GIF89a" + bytes(1000), False), 103.0)
    assert blamed(it.entries[-1]) == [("client", "SEG-6")], "said at once: the rest may never come"
    bad = it.take(CLIENT, RawBytes(bytes(1000)), 103.0)
    assert blamed(bad) == []
    assert bad is not None
    assert isinstance(bad.record.passed, Binary)
    assert bad.record.passed.media is not None
    assert (bad.record.passed.media.seconds, bad.record.passed.media.clause_id) == (0.0, "SEG-6")
    assert str(bad.record.passed.media.what).startswith("the segment ")


def test_a_fault_in_the_middle_of_a_message_stands_where_it_was_found() -> None:
    it = opened()
    it.take(CLIENT, RawBytes(b"early", False), 101.0)
    assert blamed(it.entries[-1]) == [("client", "RDY-4")]
    it.take(SERVER, RawText(ready()), 102.0)
    assert blamed(it.take(CLIENT, RawBytes(b""), 103.0)) == []


# -- the end --------------------------------------------------------------------------------------


def test_closes_and_surplus() -> None:
    it = opened()
    assert blamed(it.take(SERVER, RawClose(1000, f"bye {KEY}"), 101.0)) == []
    assert blamed(it.take(SERVER, RawSurplus(7), 101.0)) == [("server", "CLS-3")]
    assert blamed(it.take(CLIENT, RawClose(1005), 101.0)) == []
    assert kept(it) == [
        (SERVER, Close(1000, f"bye {REDACTED}")),
        (SERVER, Surplus(7)),
        (CLIENT, Close(1005)),
    ]


def test_a_connection_is_lost_once() -> None:
    it = opened()
    entry = it.take(SERVER, RawLost(f"gone with {KEY}"), 101.0)
    assert blamed(entry) == []
    assert it.take(CLIENT, RawLost("gone too"), 101.0) is None
    assert it.lost(CLIENT, "gone three times", 101.0) is None
    assert kept(it) == [(SERVER, Lost(f"gone with {REDACTED}"))]


@pytest.mark.parametrize(("later", "expected"), [(0.5, []), (4.9, []), (5.0, [("server", "CLS-3")])])
def test_an_answer_to_a_close_is_due_when_the_close_has_certainly_arrived(
    later: float, expected: list[tuple[str, str]]
) -> None:
    it = opened()
    it.take(CLIENT, RawClose(1000), 101.0)
    assert blamed(it.lost(SERVER, "gone", 101.0 + later)) == expected


def test_a_connection_may_be_lost_before_the_upgrade() -> None:
    it = observer()
    it.request(100.0, TARGET, [], credential="header")
    assert blamed(it.lost(SERVER, "gone", 101.0)) == []


def test_whoever_wants_hears_of_each_entry() -> None:
    heard: list[Entry] = []
    it = Observer(V1, 100.0, Redactor([]), on_entry=heard.append)
    it.request(100.0, TARGET, [], credential="pair")
    it.accepted(100.0, UpgradeAccepted(CORRELATION_ID, None))
    it.take(CLIENT, RawBytes(b"", False), 101.0)
    it.take(SERVER, RawText(ready()), 101.0)
    assert heard == it.entries
    assert [type(entry.record.passed) for entry in heard] == [Request, Response, Begins, Text]


# -- credentials ----------------------------------------------------------------------------------


def test_no_credential_is_kept_whoever_says_it() -> None:
    it = observer()
    secret = KEY.encode()
    it.request(
        100.0,
        f"{TARGET}?token={KEY}&include[]={KEY}",
        [(b"authorization", b"Bearer " + secret), (b"sec-websocket-protocol", secret), (b"x-echo", secret)],
        credential="subprotocol",
        subprotocols=[KEY],
    )
    it.accepted(100.0, UpgradeAccepted(KEY, KEY, ((b"x-correlation-id", secret), (b"set-cookie", secret))))
    for sender, text in (
        (SERVER, ready()),
        (SERVER, envelope(KEY, {KEY: KEY})),
        (SERVER, detected(KEY)),
        (SERVER, detected("x" * 20 + KEY)),
        (SERVER, detected(probability=KEY)),
        (SERVER, updated([KEY])),
        (SERVER, f'{{"type": "{KEY}"}}'),
        (SERVER, error(KEY, 9, KEY)),
        (CLIENT, json.dumps({KEY: 1})),
        (CLIENT, json.dumps({"x" * 20 + KEY: 1})),
        (CLIENT, json.dumps({"goal_dimensions": [KEY]})),
        (CLIENT, KEY),
    ):
        for index in range(0, len(text), 7):
            it.take(sender, RawText(text[index : index + 7], index + 7 >= len(text)), 101.0)
    it.take(SERVER, RawClose(1000, KEY), 102.0)
    it.take(CLIENT, RawClose(1000, KEY), 102.0)
    it.take(CLIENT, RawLost(KEY), 102.0)
    assert any(entry.violations for entry in it.entries)
    shown = repr(it.entries) + b"".join(it.trace(title="t").encode()).decode()
    shown += "".join(str(found) for entry in it.entries for found in entry.violations)
    assert KEY not in shown
    # Nor so much of it as to be of use: what is quoted may be cut off.
    assert KEY[:13] not in shown
    assert "SECRET" not in shown
