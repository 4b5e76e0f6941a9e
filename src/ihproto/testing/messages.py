"""Strategies for single messages of a server: each keeps the clauses that can be kept alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeAlias

from hypothesis import strategies as st

from ihproto import messages as m
from ihproto.codec import Codec
from ihproto.errorcodes import ERROR_CODES
from ihproto.revisions import ENGAGEMENT_STATES, PROBABILITIES, V1, Revision
from ihproto.rules.errors import ABOUT_ONE_SEGMENT, ABOUT_THE_SESSION

ServerMessages: TypeAlias = st.SearchStrategy[m.ServerMessage]

#: Words in an order that shrinks towards the usual.
LEVELS = sorted(PROBABILITIES)
STATES = sorted(ENGAGEMENT_STATES)

_TIMES = st.integers(0, 3600) | st.integers(0, 3_600_000).map(lambda milliseconds: milliseconds / 1000)
_LENGTHS = st.integers(1, 60)
_SENTENCES = st.text(max_size=20)
_SCORES = st.integers(0, 100)
#: Error ids that come in a session.
_CODES = sorted(code.id for code in ERROR_CODES.values() if code.close_code or code.id[2] in "3456")
#: What a newer server may add to a message.
_NEW_MEMBERS: tuple[dict[str, Any], ...] = (
    {},
    {"x_new": None},
    {"x_new": "\u2028 \U0001f3a5"},
    {"x_new": [1, {"y": 0.5}], "x_later": {"x_new": []}},
)


@cache
def messages(revision: Revision = V1) -> ServerMessages:
    """Typed messages of a server, of every type that the revision has.

    Each one is valid by itself: values are within their ranges, words are known, an index is the mean of its scores
    (SIG-6, ENG-3, CQI-5, CQI-6, SEG-8, COV-1). Whether it may come at some point of a session is another question; see
    `server_sessions`.

    Args:
        revision: The revision to speak.
    """
    of_type = {cls: _message(revision, cls) for cls in revision.messages}
    return st.sampled_from(revision.messages).flatmap(lambda cls: of_type[cls])


def envelopes(revision: Revision = V1, *, unknown: bool = False) -> st.SearchStrategy[str]:
    """Messages of a server as text, in the framing of the revision (ENV-1, STS-1).

    Args:
        revision: The revision to speak.
        unknown: Draw also what a newer server might say: types and members that nobody knows yet (ENV-3).
    """
    texts = st.builds(
        lambda message, timestamp, correlation_id: Codec(revision).encode_server(
            message, timestamp=timestamp, correlation_id=correlation_id
        ),
        messages(revision),
        _timestamps(),
        correlation_ids(),
    )
    if not unknown:
        return texts
    return st.builds(with_members, texts, st.just(revision), new_members(), new_members()) | st.builds(
        of_unknown_type, texts, st.just(revision), unknown_types(), new_members()
    )


@cache
def correlation_ids() -> st.SearchStrategy[str]:
    """Ids of sessions."""
    return st.integers(0, 2**32).map(lambda number: f"00000000-0000-4000-8000-{number:012x}")


@cache
def _timestamps() -> st.SearchStrategy[str]:
    moments = st.datetimes(datetime(2025, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
    return moments.map(lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))


# -- what is newer than this library --------------------------------------------------------------


@cache
def new_members() -> st.SearchStrategy[dict[str, Any]]:
    """Members that no revision has."""
    return st.sampled_from(_NEW_MEMBERS)


@cache
def unknown_types() -> st.SearchStrategy[str]:
    """Types of messages that no revision has."""
    return st.sampled_from(["x.unheard_of", "x.signal"])


def with_members(text: str, revision: Revision, outside: Mapping[str, Any], inside: Mapping[str, Any]) -> str:
    """A message with more members than are known: beside its type, and in its payload where there is one (ENV-3)."""
    fields = json.loads(text)
    payload = revision.framing.payload
    if payload is not None:
        fields[payload] = {**inside, **fields[payload]}
    return json.dumps({**fields, **outside})


def of_unknown_type(like: str, revision: Revision, type_: str, content: Mapping[str, Any]) -> str:
    """A message of a type that is not known, framed like another message (ENV-3)."""
    framing = revision.framing
    fields = json.loads(like)
    common = {name: fields[name] for name in framing.members}
    inside = {framing.payload: content} if framing.payload is not None else content
    return json.dumps({framing.discriminator: type_, **common, **inside})


# -- the types ------------------------------------------------------------------------------------


def quality_scores() -> st.SearchStrategy[m.QualityScores]:
    """Six scores, of which the first is the mean of the others (CQI-5, CQI-6)."""
    return st.lists(_SCORES, min_size=5, max_size=5).map(lambda scores: m.QualityScores(sum(scores) / 5, *scores))


def _signal_types(revision: Revision) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(revision.signal_types))


def _details(revision: Revision) -> dict[str, st.SearchStrategy[Any]]:
    known: dict[str, st.SearchStrategy[Any]] = {
        "probability": st.none() | st.sampled_from(LEVELS),
        "rationale": st.none() | _SENTENCES,
        "modality": st.none() | st.sampled_from([("video",), ("audio", "video"), ()]),
    }
    return {name: known[name] for name in revision.signal_details}


def _span(make: Callable[..., Any], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Something with a beginning and an end after it."""
    return st.builds(
        lambda start, length, rest: make(start=start, end=start + length, **rest),
        _TIMES,
        _LENGTHS,
        st.fixed_dictionaries(more),
    )


def _signal_spans(revision: Revision) -> st.SearchStrategy[Any]:
    span = _span(m.SignalSpan, type=_signal_types(revision), **_details(revision))
    return st.lists(span, max_size=2).map(tuple)


def _quality(make: Callable[..., Any], min_entries: int) -> st.SearchStrategy[Any]:
    """Scores in one of their sections, or in both."""
    entries = st.lists(_span(m.TimelineEntry, values=quality_scores()), min_size=min_entries, max_size=min_entries)
    overall, timeline = quality_scores(), entries.map(tuple)
    return st.builds(make, overall) | st.builds(make, st.none(), timeline) | st.builds(make, overall, timeline)


def _contracts(revision: Revision) -> st.SearchStrategy[m.SessionReady]:
    options = revision.contract.supported_session_config_options
    return st.builds(
        lambda idle, longest, smallest, room, shortest, include: m.SessionReady(
            session_idle_timeout_seconds=idle,
            session_max_duration_seconds=longest,
            min_segment_size_bytes=smallest,
            max_segment_size_bytes=smallest + room,
            min_segment_duration_seconds=shortest,
            supported_session_config_options=m.ConfigOptions(include, options.goal_dimensions, options.model),
        ),
        st.integers(1, 600),
        st.integers(1, 7200),
        st.integers(0, 10_000),
        st.integers(1, 2**25),
        st.none() | st.integers(0, 5),
        st.sampled_from([options.include, ()]),
    )


def _errors() -> st.SearchStrategy[m.Error]:
    @cache
    def with_segment(code: str) -> st.SearchStrategy[m.Error]:
        numbers: st.SearchStrategy[int | None] = st.none() if code in ABOUT_THE_SESSION else st.integers(1, 99)
        if code not in ABOUT_THE_SESSION | ABOUT_ONE_SEGMENT:
            numbers = st.none() | numbers
        return st.builds(m.Error, st.just(code), _SENTENCES, st.sampled_from([None, ERROR_CODES[code].link]), numbers)

    return st.sampled_from(_CODES).flatmap(with_segment)


def _message(revision: Revision, cls: type[m.ServerMessage]) -> ServerMessages:
    types, details = _signal_types(revision), _details(revision)
    segment = st.integers(1, 99)
    options = revision.contract.supported_session_config_options
    include = st.lists(st.sampled_from(options.include), unique=True).map(tuple) if options.include else st.just(())
    ranges = st.lists(_span(m.MediaRange), min_size=1, max_size=2).map(tuple)
    made: dict[type[m.ServerMessage], Callable[[], st.SearchStrategy[Any]]] = {
        m.SessionReady: lambda: _contracts(revision),
        m.SessionUpdated: lambda: st.builds(
            m.SessionUpdated, include, model=st.sampled_from(options.model) if options.model else st.none()
        ),
        m.SessionClosing: lambda: st.builds(m.SessionClosing, st.integers(0, 60)),
        m.SessionEnded: lambda: st.just(m.SessionEnded("client_shutdown")),
        m.SignalDetected: lambda: st.builds(m.SignalDetected, types, _TIMES, **details),
        m.SignalUpdated: lambda: st.builds(m.SignalUpdated, types, _TIMES, **details),
        m.SignalEnded: lambda: st.builds(m.SignalEnded, types, _TIMES),
        m.EngagementUpdated: lambda: st.builds(m.EngagementUpdated, st.sampled_from(STATES), _TIMES),
        m.ConversationQualityUpdated: lambda: _quality(m.ConversationQualityUpdated, 1),
        m.FeedbackGenerated: lambda: st.builds(m.FeedbackGenerated, _SENTENCES),
        m.CoverageDropped: lambda: st.builds(m.CoverageDropped, ranges),
        m.CoverageDegraded: lambda: st.builds(m.CoverageDegraded, ranges),
        m.Error: _errors,
        m.WindowSignals: lambda: st.builds(m.WindowSignals, _signal_spans(revision)),
        m.WindowSignal: lambda: _span(m.WindowSignal, signal_type=types, **details),
        m.WindowEngagement: lambda: _span(m.WindowEngagement, state=st.sampled_from(STATES)),
        m.SegmentProcessing: lambda: st.builds(m.SegmentProcessing, segment, st.integers(1, 2**25)),
        m.SegmentSignals: lambda: st.builds(m.SegmentSignals, segment, _signal_spans(revision)),
        m.SegmentResult: lambda: st.builds(
            m.SegmentResult,
            segment,
            _signal_spans(revision),
            st.none() | st.lists(_span(m.EngagementSpan, state=st.sampled_from(STATES)), max_size=2).map(tuple),
            st.none() | _quality(m.ConversationQuality, 2),
        ),
        m.SegmentCompleted: lambda: st.builds(m.SegmentCompleted, segment),
        m.SegmentFailed: lambda: st.builds(
            m.SegmentFailed, segment, st.sampled_from(sorted(ABOUT_ONE_SEGMENT)), _SENTENCES
        ),
        m.SegmentFailedText: lambda: st.builds(m.SegmentFailedText, segment, _SENTENCES),
    }
    return made[cls]()
