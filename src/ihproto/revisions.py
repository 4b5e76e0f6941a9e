"""Revisions of the protocol, as data.

What differs between revisions is a value here, read by the codec, the rules and the sessions; no other module asks
which revision it is working for.
"""

from __future__ import annotations

import enum
import math
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
#: The parameters of the URL that configure a session, in revisions that take them (HS-15, HS-13).
INCLUDE_PARAMETER = "include[]"
MODEL_PARAMETER = "model"


@attrs.frozen
class Framing:
    """How a server's message is laid out as JSON.

    Attributes:
        discriminator: The member that tells the type of the message.
        members: The other members that every message has, in order.
        payload: The member that holds the fields of the message; None when they stand beside the discriminator.
        clause_id: The clause that says so.
        same_session_clause: The clause by which the `correlation_id` stays the same through a session.
    """

    discriminator: str
    members: tuple[str, ...]
    payload: str | None
    clause_id: str
    same_session_clause: str = "HS-9"


class Emission(enum.Enum):
    """When a server says what it saw.

    * ``CHANGES``: when something begins, changes or ends; scores when a cadence period closes.
    * ``WINDOWS``: once for every window.
    * ``SEGMENTS``: once for every segment.
    """

    CHANGES = "changes"
    WINDOWS = "windows"
    SEGMENTS = "segments"


@attrs.frozen
class Model:
    """Something that analyses media.

    Attributes:
        name: Its name; None where there is no choice and so no name.
        tracks: The kinds of tracks that media must have for it (SEG-7).
        signal_types: The types of signal that it can report (SIG-6).
        raw_audio: Whether it takes raw audio as well as containers (CFG-8).
    """

    name: str | None
    tracks: tuple[str, ...]
    signal_types: frozenset[str]
    raw_audio: bool = False


@attrs.frozen
class Revision:
    """One revision of the stream protocol.

    Attributes:
        id: Its name in the clause catalogue, which says what holds in it.
        summary: What it is, in a few words.
        path: The path of the endpoint that serves it.
        auth_path: The path where a key pair is exchanged for a token to use there (AUT-1).
        framing: How a server's message is laid out.
        messages: The messages that a server sends. Where several have the same type, they are tried in this order.
        emission: When a server says what it saw.
        models: What can analyse a session; the first does, if no other is selected (CFG-7).
        config_keys: The top-level keys of a session config; empty where there is no such thing (CFG-5).
        query_keys: The parameters of the URL that configure the session (HS-13, HS-15).
        contract: The contract of a server that was told nothing else (RDY-2); where `session.ready` does not exist,
            the limits that the documents give.
        relative_times: Whether times count from the start of their segment instead of the session (STS-2).
        signal_details: What is told of a signal besides its type and times (SIG-1, SIG-8).
        size_clauses: The clauses on segments that are too small and too large.
        oversize_text: How the error for a segment that is too large reads, with `size` and `limit` in bytes; None
            where that is free (STS-4).
        server_messages: The messages by their type on the wire.
    """

    id: str
    summary: str
    path: str
    framing: Framing
    messages: tuple[type[m.ServerMessage], ...] = attrs.field(repr=False)
    emission: Emission
    models: tuple[Model, ...]
    contract: m.SessionReady
    config_keys: tuple[str, ...] = ()
    query_keys: tuple[str, ...] = ()
    relative_times: bool = False
    signal_details: tuple[str, ...] = ("probability", "rationale")
    size_clauses: tuple[str, str] = ("SEG-10", "SEG-2")
    oversize_text: str | None = None
    auth_path: str = "/v1/auth"
    server_messages: Mapping[str, tuple[type[m.ServerMessage], ...]] = attrs.field(init=False, repr=False, eq=False)

    @server_messages.default
    def _by_type(self) -> Mapping[str, tuple[type[m.ServerMessage], ...]]:
        table: dict[str, tuple[type[m.ServerMessage], ...]] = {}
        for cls in self.messages:
            table[cls.type] = (*table.get(cls.type, ()), cls)
        return MappingProxyType(table)

    @property
    def signal_types(self) -> frozenset[str]:
        """The types of signal that any of its models reports (SIG-6)."""
        return frozenset().union(*(model.signal_types for model in self.models))

    @property
    def announces(self) -> bool:
        """Whether a session begins with `session.ready` (RDY-1)."""
        return m.SessionReady in self.messages

    @property
    def confirms(self) -> bool:
        """Whether `session.updated` answers a config (CFG-2)."""
        return m.SessionUpdated in self.messages

    @property
    def drains(self) -> bool:
        """Whether `session.close` ends a session gracefully (CLS-1)."""
        return m.SessionClosing in self.messages

    @property
    def error_message(self) -> type[m.ErrorMessage]:
        """The class of the messages that tell an error."""
        return next(cls for cls in self.messages if issubclass(cls, m.Error | m.SegmentFailed | m.SegmentFailedText))

    def model(self, name: str | None) -> Model:
        """The model of this name; the default for None.

        Raises:
            KeyError: If there is no such model.
        """
        if name is None:
            return self.models[0]
        try:
            return next(model for model in self.models if model.name == name)
        except StopIteration:
            raise KeyError(name) from None


_SIGNAL_TYPES = frozenset(
    {
        "agreement",
        "confidence",
        "confusion",
        "disagreement",
        "frustration",
        "hesitation",
        "interest",
        "skepticism",
        "stress",
        "tension",
        "uncertainty",
    }
)
_ENGAGEMENT_SIGNALS = frozenset({"engagement", "disengagement"})
_AUDIBLE = frozenset({"agreement", "confidence", "frustration", "hesitation", "interest", "uncertainty"})

#: The layout of a message as typed envelope (ENV-1).
ENVELOPE = Framing("type", ("timestamp", "correlation_id"), "data", "ENV-1", "ENV-2")
_VIDEO = Model(None, ("video",), _SIGNAL_TYPES | _ENGAGEMENT_SIGNALS)
_MEBIBYTE = 1024 * 1024
_SECTIONS = (INCLUDE_OVERALL, INCLUDE_TIMELINE)

_LIMITS = m.SessionReady(
    session_idle_timeout_seconds=300,
    session_max_duration_seconds=3600,
    min_segment_duration_seconds=3,
    min_segment_size_bytes=1,
    max_segment_size_bytes=32 * _MEBIBYTE,
    supported_session_config_options=m.ConfigOptions(include=_SECTIONS),
)
#: The same where nothing is said about how long a session may last.
_UNTIMED = attrs.evolve(_LIMITS, session_idle_timeout_seconds=math.inf, session_max_duration_seconds=math.inf)

_STATUS_LIMITS = attrs.evolve(
    _UNTIMED,
    min_segment_duration_seconds=None,
    min_segment_size_bytes=10_000,
    max_segment_size_bytes=20 * _MEBIBYTE,
    supported_session_config_options=m.ConfigOptions(),
)

V0 = Revision(
    id="v0",
    summary="a status for each step of a segment, errors as one sentence",
    path="/v0/stream/analyze",
    auth_path="/v0/auth",
    framing=Framing("status", (), None, "STS-1"),
    messages=(m.SegmentProcessing, m.SegmentSignals, m.SegmentCompleted, m.SegmentFailedText),
    emission=Emission.SEGMENTS,
    models=(_VIDEO,),
    contract=_STATUS_LIMITS,
    relative_times=True,
    signal_details=(),
    size_clauses=("SEG-3", "SEG-3"),
    oversize_text="Video chunk too large: {size} bytes (maximum: {limit} bytes)",
)

V0_2 = Revision(
    id="v0.2",
    summary="the same, with ids for sessions and errors, and with scores",
    path="/v0/stream/analyze",
    auth_path="/v0/auth",
    framing=Framing("status", ("correlation_id",), None, "STS-1"),
    messages=(m.SegmentProcessing, m.SegmentResult, m.SegmentCompleted, m.SegmentFailed),
    emission=Emission.SEGMENTS,
    models=(_VIDEO,),
    contract=_UNTIMED,
    query_keys=(INCLUDE_PARAMETER,),
)

V1_WINDOW = Revision(
    id="v1-window",
    summary="typed envelopes, all about one window at a time",
    path="/v1/stream/analyze",
    framing=ENVELOPE,
    messages=(m.WindowSignals, m.WindowSignal, m.WindowEngagement, m.ConversationQualityUpdated, m.Error),
    emission=Emission.WINDOWS,
    models=(_VIDEO,),
    contract=_UNTIMED,
    config_keys=("include",),
)

_LIFECYCLE_MESSAGES: tuple[type[m.ServerMessage], ...] = (
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
)

V1 = Revision(
    id="v1",
    summary="typed envelopes that tell when something begins, changes and ends; the default",
    path="/v1/stream/analyze",
    framing=ENVELOPE,
    messages=_LIFECYCLE_MESSAGES,
    emission=Emission.CHANGES,
    models=(_VIDEO,),
    contract=_LIMITS,
    config_keys=("include", "goal_dimensions"),
    signal_details=("probability", "rationale", "modality"),
)

V2 = Revision(
    id="v2",
    summary="as v1, and the client may choose a model",
    path="/v2/stream/analyze",
    framing=ENVELOPE,
    messages=_LIFECYCLE_MESSAGES,
    emission=Emission.CHANGES,
    models=(
        Model("inter-2", ("video", "audio"), _SIGNAL_TYPES),
        Model("inter-2-audio", ("audio",), _AUDIBLE, raw_audio=True),
    ),
    contract=attrs.evolve(
        _LIMITS,
        supported_session_config_options=m.ConfigOptions(
            include=_SECTIONS, goal_dimensions=QUALITY_DIMENSIONS, model=("inter-2", "inter-2-audio")
        ),
    ),
    config_keys=("include", "goal_dimensions", "model", "audio_format"),
    query_keys=(MODEL_PARAMETER,),
)

#: What can analyse an uploaded file, in the version that has a choice (UPL-2).
UPLOAD_MODELS = (*V2.models, Model("inter-2-deep", ("video", "audio"), _SIGNAL_TYPES))

#: All revisions by their id, oldest first.
REVISIONS: Mapping[str, Revision] = MappingProxyType(
    {revision.id: revision for revision in (V0, V0_2, V1_WINDOW, V1, V2)}
)
