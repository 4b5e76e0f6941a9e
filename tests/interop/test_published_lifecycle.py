"""When the published client hears of signals, of engagement and of quality: at changes, and in the session's time."""

from __future__ import annotations

import pytest
from interhumanai import stream as published
from interop.published import BOTH, session, three_seconds

from ihproto_mock import parse_scenario

VERSIONS: list[published.StreamApiVersion] = ["v1", "v2"]

#: Stress that grows at 12 s and comes back at 42 s; engagement that is reported by every window.
CHANGES = parse_scenario(
    """
    name = "changes"
    [[signal]]
    type = "stress"
    start = 2
    end = 12
    probability = "low"
    rationale = "One."
    [[signal]]
    type = "stress"
    start = 12
    end = 24
    probability = "high"
    rationale = "Two."
    [[signal]]
    type = "stress"
    start = 42
    end = 48
    probability = "medium"
    rationale = "Three."
    [[engagement]]
    start = 4
    state = "neutral"
    [[engagement]]
    start = 20
    state = "engaged"
    [[engagement]]
    start = 35
    state = "disengaged"
    """
)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_signal_is_told_when_it_begins_changes_and_ends_and_at_no_other_time(
    version: published.StreamApiVersion,
) -> None:
    heard = session([b"x"] * 20, version=version, scenario=CHANGES, make_scanner=three_seconds)
    told: list[tuple[object, ...]] = []
    for event in heard.events:
        data = getattr(event, "data", None)
        if isinstance(event, published.SignalDetectedEvent | published.SignalUpdatedEvent):
            assert data is not None
            assert data.signal_type == "stress"
            told.append((event.type, data.start, data.probability, data.rationale))
        elif isinstance(event, published.SignalEndedEvent):
            assert event.data.signal_type == "stress"
            told.append((event.type, event.data.end))
    # Windows of 8 s, each 3 s after the one before, see it some twenty times.
    assert told == [
        ("signal.detected", 2, "low", "One."),
        ("signal.updated", 12, "high", "Two."),
        ("signal.ended", 24),
        ("signal.detected", 42, "medium", "Three."),
        ("signal.ended", 48),
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_engagement_is_told_when_it_is_established_and_when_it_changes(version: published.StreamApiVersion) -> None:
    heard = session([b"x"] * 20, version=version, scenario=CHANGES, make_scanner=three_seconds)
    told = [(event.data.state, event.data.start) for event in heard.of(published.EngagementUpdatedEvent)]
    assert told == [("neutral", 4), ("engaged", 20), ("disengaged", 35)]


@pytest.mark.parametrize("version", VERSIONS)
def test_quality_is_told_once_a_period_with_one_entry_and_is_50_where_nothing_contributes(
    version: published.StreamApiVersion,
) -> None:
    heard = session(
        [b"x"] * 12, version=version, config={"include": BOTH}, scenario="quiet", make_scanner=three_seconds
    )
    told = heard.of(published.ConversationQualityUpdatedEvent)
    periods = []
    for event in told:
        assert event.data.overall is not None
        assert event.data.timeline is not None
        (entry,) = event.data.timeline
        periods.append((entry.start, entry.end))
        for values in (event.data.overall, entry.values):
            scores = values.model_dump()
            assert scores == dict.fromkeys(
                ("quality_index", "clarity", "authority", "energy", "rapport", "learning"), 50
            )
    assert periods == [(0, 10), (10, 20), (20, 30)]
