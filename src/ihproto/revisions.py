"""Revisions of the protocol, as data.

What differs between revisions is a value here, read by the codec, the rules and the sessions; no other module asks
which revision it is working for.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import attrs

from ihproto import messages as m

#: The words of the protocol that every revision so far shares.
PROBABILITIES = frozenset({"low", "medium", "high"})
ENGAGEMENT_STATES = frozenset({"engaged", "neutral", "disengaged"})
QUALITY_DIMENSIONS = ("clarity", "authority", "energy", "rapport", "learning")
INCLUDE_OVERALL = "conversation_quality_overall"
INCLUDE_TIMELINE = "conversation_quality_timeline"


@attrs.frozen
class Revision:
    """One revision of the stream protocol.

    Attributes:
        id: Its name in the clause catalogue.
        path: The path of the endpoint that serves it.
        server_messages: The envelope types it knows, and the class of each.
        signal_types: The signal types it documents (SIG-6).
        config_keys: The top-level keys of a session config (CFG-5).
        contract: The contract of a server that was told nothing else (RDY-2).
    """

    id: str
    path: str
    server_messages: Mapping[str, type[m.ServerMessage]]
    signal_types: frozenset[str]
    config_keys: tuple[str, ...]
    contract: m.SessionReady


def _by_type(*classes: type[m.ServerMessage]) -> Mapping[str, type[m.ServerMessage]]:
    return MappingProxyType({cls.type: cls for cls in classes})


V1 = Revision(
    id="v1",
    path="/v1/stream/analyze",
    server_messages=_by_type(
        m.SessionReady,
        m.SessionUpdated,
        m.SessionClosing,
        m.SessionEnded,
        m.SignalDetected,
        m.SignalUpdated,
        m.SignalEnded,
        m.EngagementUpdated,
        m.ConversationQualityUpdated,
        m.FeedbackGenerated,
        m.CoverageDropped,
        m.CoverageDegraded,
        m.Error,
    ),
    signal_types=frozenset(
        {
            "agreement",
            "confidence",
            "confusion",
            "disagreement",
            "disengagement",
            "engagement",
            "frustration",
            "hesitation",
            "interest",
            "skepticism",
            "stress",
            "tension",
            "uncertainty",
        }
    ),
    config_keys=("include", "goal_dimensions"),
    contract=m.SessionReady(
        session_idle_timeout_seconds=300,
        session_max_duration_seconds=3600,
        min_segment_duration_seconds=3,
        min_segment_size_bytes=1,
        max_segment_size_bytes=32 * 1024 * 1024,
        supported_session_config_options=m.ConfigOptions(include=(INCLUDE_OVERALL, INCLUDE_TIMELINE)),
    ),
)

REVISIONS: Mapping[str, Revision] = MappingProxyType({V1.id: V1})
