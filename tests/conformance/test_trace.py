"""The trace file: what is written can be read again, what is no trace is said to be none, and no credential is kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ihproto import REVISIONS, V1, Side
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
    Trace,
    TraceError,
    decode_trace,
)

KEY = "ih_live_0123456789abcdefSECRET"
HEADER = b'{"ihproto_trace":1,"revision":"v1"}'
HASH = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

KINDS: list[tuple[Passed, object]] = [
    (
        Request("/v1/stream/analyze?a=1", (("host", "localhost"), ("x", "é")), "header"),
        {"target": "/v1/stream/analyze?a=1", "headers": [["host", "localhost"], ["x", "é"]], "credential": "header"},
    ),
    (Request("/"), {"target": "/", "headers": [], "credential": None}),
    (
        Response(401, (("x-correlation-id", "1"),), "{}"),
        {"status": 401, "headers": [["x-correlation-id", "1"]], "body": "{}"},
    ),
    (Response(101), {"status": 101, "headers": [], "body": None}),
    (Text('{"a": "\u2028\x00\\"}'), '{"a": "\u2028\x00\\"}'),
    (Begins(size=7), {"size": 7, "media": None}),
    (Binary(0, HASH), {"size": 0, "sha256": HASH, "media": None}),
    (
        Binary(5, HASH, Media(2.5)),
        {"size": 5, "sha256": HASH, "media": {"seconds": 2.5, "clause_id": None, "what": None}},
    ),
    (
        Binary(5, HASH, Media(0.0, "SEG-5", "is no video")),
        {"size": 5, "sha256": HASH, "media": {"seconds": 0.0, "clause_id": "SEG-5", "what": "is no video"}},
    ),
    (Close(1000, "done"), {"code": 1000, "reason": "done"}),
    (Lost("gone"), "gone"),
    (Surplus(3), {"size": 3}),
]
NAMES = ["request"] * 2 + ["response"] * 2 + ["text", "begins"] + ["binary"] * 3 + ["close", "lost", "surplus"]


@pytest.mark.parametrize(("name", "kind"), [*zip(NAMES, KINDS, strict=True)], ids=lambda it: it if it in NAMES else "")
def test_every_kind_has_its_line(name: str, kind: tuple[Passed, object]) -> None:
    passed, value = kind
    record = Record(1.25, Side.SERVER, passed)
    assert json.loads(record.encode()) == {"time": 1.25, "from": "server", name: value}
    assert b"\n" not in record.encode()
    (read,) = decode_trace([HEADER, record.encode()]).records
    assert read == record


WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
HEADERS = st.lists(st.tuples(WORDS, WORDS), max_size=3).map(tuple)
MEDIA = st.none() | st.builds(Media, st.floats(0, 1e6), st.none() | st.just("SEG-6"), st.none() | WORDS)
PASSED = st.one_of(
    st.builds(Request, WORDS, HEADERS, st.none() | WORDS),
    st.builds(Response, st.integers(100, 599), HEADERS, st.none() | WORDS),
    st.builds(Text, WORDS),
    st.builds(Begins, st.integers(0, 2**53), MEDIA),
    st.builds(Surplus, st.integers(0, 2**53)),
    st.builds(Binary, st.integers(0, 2**53), st.just(HASH), MEDIA),
    st.builds(Close, st.integers(1000, 4999), WORDS),
    st.builds(Lost, WORDS),
)
RECORDS = st.builds(Record, st.integers(0, 10**10).map(lambda micro: micro / 1e6), st.sampled_from(Side), PASSED)


@given(
    st.sampled_from(list(REVISIONS.values())),
    st.lists(RECORDS, max_size=5).map(tuple),
    st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    WORDS,
)
def test_what_is_written_can_be_read(revision: object, records: tuple[Record, ...], when: object, title: str) -> None:
    trace = Trace(revision, records, when, title)  # type: ignore[arg-type]
    lines = list(trace.encode())
    again = decode_trace(b"\n\n".join([*lines, b""]).splitlines(keepends=True))
    assert again == trace
    assert list(again.encode()) == lines
    if records:
        assert repr(records[0]) not in repr(trace), "a trace shows no contents"


def test_times_are_kept_to_the_microsecond() -> None:
    assert json.loads(Record(0.123456789, Side.CLIENT, Begins()).encode())["time"] == 0.123457


def test_the_documented_header_can_be_read() -> None:
    line = '{"ihproto_trace": 1, "revision": "v1", "title": "…", "started_at": "2026-01-01T00:00:00Z"}'
    trace = decode_trace([line.encode()])
    assert trace == Trace(V1, (), datetime(2026, 1, 1, tzinfo=UTC), "…")
    other = b'{"ihproto_trace": 1, "revision": "v1", "started_at": "2026-01-01T00:00:00+02:00"}'
    assert decode_trace([other]).started_at == datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"{", "truncated"),
        (b"[]", "array"),
        (b"{}", "ihproto_trace"),
        (b'{"ihproto_trace":1}', "revision"),
        (b'{"ihproto_trace":2,"revision":"v1"}', "version 2 is not known, only 1"),
        (b'{"ihproto_trace":"1","revision":"v1"}', "int"),
        (b'{"ihproto_trace":1,"revision":"v9"}', r"no revision 'v9'; there are v0, v0.2, v1-window, v1, v2"),
        (b'{"ihproto_trace":1,"revision":"\\u001b[31m"}', r"no revision '\\x1b\[31m'"),
        (b'{"ihproto_trace":1,"revision":"v1","started_at":"2026-01-01T00:00:00"}', "time zone"),
        (b"[" * 100_000, ""),
        (b"\xff", ""),
    ],
)
def test_a_first_line_that_is_none(line: bytes, what: str) -> None:
    with pytest.raises(TraceError, match=f"^line 3 is not the first line of a trace: .*{what}"):
        decode_trace([b"\n", b"  \n", line])


@pytest.mark.parametrize("lines", [[], [b"", b"\n"]])
def test_an_empty_file_is_no_trace(lines: list[bytes]) -> None:
    with pytest.raises(TraceError, match="empty"):
        decode_trace(lines)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"{", "truncated"),
        (b"1", "int"),
        (b"{}", "a record has a time"),
        (b'{"time":1,"text":""}', "a record has a time"),
        (b'{"from":"client","text":""}', "a record has a time"),
        (b'{"time":"1","from":"client","text":""}', "float"),
        (b'{"time":1,"from":"nobody","text":""}', "nobody"),
        (b'{"time":1,"from":"no\\u001b[31mbody","text":""}', r"\\x1b\[31m"),
        (b'{"time":1,"from":"client"}', "one of request"),
        (b'{"time":1,"from":"client","text":"","lost":""}', "one of request"),
        (b'{"time":1,"from":"client","text":"","more":""}', "one of request"),
        (b'{"time":1,"from":"client","word":""}', "one of request"),
        (b'{"time":1,"from":"client","text":1}', "str"),
        (b'{"time":1,"from":"client","text":"\xff"}', ""),
        (b'{"time":1,"from":"client","begins":"binary"}', "Expected `object`"),
        (b'{"time":1,"from":"client","binary":{"size":1}}', "sha256"),
        (b'{"time":1,"from":"client","close":{"code":"1"}}', "int"),
        (b'{"time":1,"from":"client","request":{"target":"/","headers":[["a"]]}}', "headers"),
        (b'{"time":1,"from":"client","request":' + b"[" * 100_000, ""),
    ],
)
def test_a_line_that_is_no_record(line: bytes, what: str) -> None:
    good = b'{"time":1,"from":"client","text":""}'
    with pytest.raises(TraceError, match=f"^line 3 is not a record: .*{what}") as caught:
        decode_trace([HEADER, good, line])
    assert str(caught.value).isprintable()


@given(st.lists(st.binary(max_size=40) | st.just(HEADER), max_size=4))
def test_no_file_does_more_than_be_none(lines: list[bytes]) -> None:
    try:
        decode_trace(lines)
    except TraceError as error:
        assert str(error).isprintable()  # noqa: PT017 - most of them raise
