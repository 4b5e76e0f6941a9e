"""Every message of the protocol, in both directions, as a frozen class.

A message holds what is said: the fields under `data` of an envelope. How it was framed (`type`, `timestamp`,
`correlation_id`, the raw text) belongs to the `codec` and to the events. Fields are named as on the wire; times are
seconds of media since the session began, scores are 0 to 100.

Enumerated words (`probability`, `state`, `signal_type`) are plain strings here: a word that a newer server invents
must get through (ENV-3), and it is the rule book that says what it thinks of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal, Self, TypeAlias

import attrs
import msgspec

#: An integer that every JSON implementation can hold, in double precision too (RFC 8259, section 6).
Integer: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**53) + 1, le=2**53 - 1)]
Number: TypeAlias = Integer | float


class ServerMessage:
    """What a server says.

    Attributes:
        type: The `type` of the envelope that carries it.
        clause_id: The clause that gives the shape.
        nullable: Fields that are sent as `null` when they are None; others are left out.
    """

    __slots__ = ()

    type: ClassVar[str]
    clause_id: ClassVar[str]
    nullable: ClassVar[frozenset[str]] = frozenset()


class ClientMessage:
    """What a client says in text; its video travels as binary messages."""

    __slots__ = ()


def names(values: Iterable[str]) -> tuple[str, ...]:
    """A list of names as a tuple.

    Raises:
        TypeError: If it is one string, which would be taken for a list of its letters.
    """
    if isinstance(values, str):
        raise TypeError(f"a list of names is wanted here, not one string; write [{values!r}]")
    return tuple(values)


# -- from the client ----------------------------------------------------------------------------


@attrs.frozen
class AudioFormat:
    """Declares that segments are raw audio instead of container media (CFG-8).

    Attributes:
        encoding: Always `pcm_s16le`, signed 16-bit little-endian samples.
        sample_rate: Samples a second, 16000 or 24000.
        channels: Always 1.
    """

    encoding: Literal["pcm_s16le"] = "pcm_s16le"
    sample_rate: Literal[16000, 24000] = 16000
    channels: Literal[1] = 1

    @property
    def bytes_per_second(self) -> int:
        """How many bytes a second of it takes."""
        return self.sample_rate * self.channels * 2


@attrs.frozen
class SessionConfig(ClientMessage):
    """The session's configuration; it replaces the one before (CFG-1, CFG-4).

    Attributes:
        include: The conversation-quality sections wanted (CFG-3).
        goal_dimensions: The dimensions that feedback is wanted for, None for no feedback (CFG-6).
        model: The model wanted, None for the one in force (CFG-7).
        audio_format: The format of raw audio, None for what is in force (CFG-8).
    """

    include: tuple[str, ...] = attrs.field(default=(), converter=names)
    goal_dimensions: tuple[str, ...] | None = attrs.field(default=None, converter=attrs.converters.optional(names))
    model: str | None = None
    audio_format: AudioFormat | None = None


@attrs.frozen
class SessionClose(ClientMessage):
    """Asks for a graceful close: finish what was accepted, then end (CLS-1)."""


# -- from the server: the session ---------------------------------------------------------------


@attrs.frozen
class ConfigOptions:
    """What a session config may contain in this session (RDY-2).

    Attributes:
        include: Values that `SessionConfig.include` may hold.
        goal_dimensions: Values that `SessionConfig.goal_dimensions` may hold; None when feedback is not offered.
        model: Models that may be selected; None where there is no choice.
    """

    include: tuple[str, ...] = ()
    goal_dimensions: tuple[str, ...] | None = None
    model: tuple[str, ...] | None = None


@attrs.frozen
class SessionReady(ServerMessage):
    """The session stands, and this is its contract (RDY-1, RDY-2).

    Attributes:
        session_idle_timeout_seconds: Longest silence of the client, in seconds (TMO-1).
        session_max_duration_seconds: Longest session, in seconds since the upgrade (TMO-2).
        min_segment_size_bytes: Smallest segment, in bytes.
        max_segment_size_bytes: Largest segment, in bytes (SEG-2).
        supported_session_config_options: What a config may contain.
        min_segment_duration_seconds: Shortest segment, in seconds of media (SEG-4); older contracts leave it out.
        max_segment_duration_seconds: Longest segment, in seconds of media; None when there is no such limit.
    """

    type: ClassVar[str] = "session.ready"
    clause_id: ClassVar[str] = "RDY-2"

    session_idle_timeout_seconds: Number
    session_max_duration_seconds: Number
    min_segment_size_bytes: Integer
    max_segment_size_bytes: Integer
    supported_session_config_options: ConfigOptions
    min_segment_duration_seconds: Number | None = None
    max_segment_duration_seconds: Number | None = None


@attrs.frozen
class SessionUpdated(ServerMessage):
    """The configuration now in force (CFG-2).

    Attributes:
        include: The conversation-quality sections in force.
        goal_dimensions: The goal dimensions in force.
        model: The model in force, where there is a choice.
    """

    type: ClassVar[str] = "session.updated"
    clause_id: ClassVar[str] = "CFG-2"

    include: tuple[str, ...] = ()
    goal_dimensions: tuple[str, ...] | None = None
    model: str | None = None


@attrs.frozen
class SessionClosing(ServerMessage):
    """The graceful close was accepted; the server drains (CLS-1).

    Attributes:
        max_drain_seconds: Longest time the drain may take, in seconds.
    """

    type: ClassVar[str] = "session.closing"
    clause_id: ClassVar[str] = "CLS-1"

    max_drain_seconds: Number


@attrs.frozen
class SessionEnded(ServerMessage):
    """The last message of a session that ended gracefully (CLS-1).

    Attributes:
        reason: Why it ended, for example `client_shutdown`.
    """

    type: ClassVar[str] = "session.ended"
    clause_id: ClassVar[str] = "CLS-1"

    reason: str


# -- from the server: analysis ------------------------------------------------------------------


@attrs.frozen
class SignalDetected(ServerMessage):
    """A type of signal became active (SIG-1).

    Attributes:
        signal_type: Which signal, for example `agreement` (SIG-6).
        start: When it began, in media seconds (SIG-4).
        probability: `low`, `medium` or `high`.
        rationale: Why the analysis thinks so.
        modality: Which analyses contributed (SIG-8).
    """

    type: ClassVar[str] = "signal.detected"
    clause_id: ClassVar[str] = "SIG-1"

    signal_type: str
    start: Number
    probability: str | None = None
    rationale: str | None = None
    modality: tuple[str, ...] | None = None


@attrs.frozen
class SignalUpdated(ServerMessage):
    """An active signal changed (SIG-2).

    Attributes:
        signal_type: Which signal.
        start: Since when it is so, in media seconds (SIG-4).
        probability: The new probability.
        rationale: Why the analysis thinks so.
        modality: Which analyses contributed (SIG-8).
    """

    type: ClassVar[str] = "signal.updated"
    clause_id: ClassVar[str] = "SIG-2"

    signal_type: str
    start: Number
    probability: str | None = None
    rationale: str | None = None
    modality: tuple[str, ...] | None = None


@attrs.frozen
class SignalEnded(ServerMessage):
    """An active signal is gone (SIG-3).

    Attributes:
        signal_type: Which signal.
        end: When it ended, in media seconds (SIG-4).
    """

    type: ClassVar[str] = "signal.ended"
    clause_id: ClassVar[str] = "SIG-3"

    signal_type: str
    end: Number


@attrs.frozen
class EngagementUpdated(ServerMessage):
    """The level of engagement changed (ENG-1, ENG-2).

    Attributes:
        state: `engaged`, `neutral` or `disengaged` (ENG-3).
        start: Since when, in media seconds.
    """

    type: ClassVar[str] = "engagement.updated"
    clause_id: ClassVar[str] = "ENG-1"

    state: str
    start: Number


@attrs.frozen
class QualityScores:
    """The six scores of conversation quality, each 0 to 100, 50 meaning no evidence (CQI-5)."""

    quality_index: Number
    clarity: Number
    authority: Number
    energy: Number
    rapport: Number
    learning: Number


@attrs.frozen
class TimelineEntry:
    """The scores of one stretch of media (CQI-3).

    Attributes:
        start: Where it begins, in media seconds.
        end: Where it ends, in media seconds.
        values: The scores of this stretch alone.
    """

    start: Number
    end: Number
    values: QualityScores


@attrs.frozen
class ConversationQuality:
    """The scores of a whole video, or of the session so far, in the sections asked for (UPL-1, STS-3).

    Attributes:
        overall: Scores of everything.
        timeline: Scores stretch by stretch.
    """

    overall: QualityScores | None = None
    timeline: tuple[TimelineEntry, ...] | None = None


@attrs.frozen
class SignalSpan:
    """A signal from beginning to end (STS-1, UPL-1).

    Attributes:
        type: Which signal, for example `agreement` (SIG-6).
        start: When it began, in seconds of media.
        end: When it ended, in seconds of media.
        probability: `low`, `medium` or `high`.
        rationale: Why the analysis thinks so.
        modality: Which analyses contributed (SIG-8).
    """

    type: str
    start: Number
    end: Number
    probability: str | None = None
    rationale: str | None = None
    modality: tuple[str, ...] | None = None


@attrs.frozen
class EngagementSpan:
    """A stretch of media with one level of engagement (STS-3, UPL-1).

    Attributes:
        start: Where it begins, in seconds of media.
        end: Where it ends, in seconds of media.
        state: `engaged`, `neutral` or `disengaged` (ENG-3).
    """

    start: Number
    end: Number
    state: str


@attrs.frozen
class ConversationQualityUpdated(ServerMessage):
    """The scores of the cadence period that just closed (CQI-1).

    Attributes:
        overall: Scores of the whole session so far; present exactly when asked for (CQI-2).
        timeline: One entry, covering the closed period; present exactly when asked for (CQI-3).
    """

    type: ClassVar[str] = "conversation_quality.updated"
    clause_id: ClassVar[str] = "CQI-1"

    overall: QualityScores | None = None
    timeline: tuple[TimelineEntry, ...] | None = None


@attrs.frozen
class FeedbackGenerated(ServerMessage):
    """Advice for the goal dimensions in force (CFG-6).

    Attributes:
        feedback: The advice, as text.
    """

    type: ClassVar[str] = "feedback.generated"
    clause_id: ClassVar[str] = "CFG-6"

    feedback: str


@attrs.frozen
class MediaRange:
    """A stretch of media.

    Attributes:
        start: Where it begins, in media seconds.
        end: Where it ends, in media seconds.
    """

    start: Number
    end: Number


@attrs.frozen
class CoverageDropped(ServerMessage):
    """Stretches that no analysis covers (COV-1, WIN-2)."""

    type: ClassVar[str] = "coverage.dropped"
    clause_id: ClassVar[str] = "COV-1"

    ranges: tuple[MediaRange, ...]


@attrs.frozen
class CoverageDegraded(ServerMessage):
    """Stretches that were analysed with part of the picture missing (COV-1)."""

    type: ClassVar[str] = "coverage.degraded"
    clause_id: ClassVar[str] = "COV-1"

    ranges: tuple[MediaRange, ...]
    reason: str = "video_gap"


# -- from the server: errors, and what is newer than this library --------------------------------


@attrs.frozen
class Error(ServerMessage):
    """Something went wrong (ERR-1); some errors are followed by a close (ERR-2).

    Attributes:
        code: The error id, for example `ih6002`; see `ihproto.errorcodes`.
        message: What went wrong, for a person.
        link: Where the documentation explains it.
        segment: The number of the segment it is about, None when it is about no single one (SEG-8).
    """

    type: ClassVar[str] = "error"
    clause_id: ClassVar[str] = "ERR-1"
    nullable: ClassVar[frozenset[str]] = frozenset({"link", "segment"})

    code: str
    message: str
    link: str | None = None
    segment: Integer | None = None

    @classmethod
    def tell(cls, error: Error) -> Self | None:
        """The message that tells this error."""
        return cls(error.code, error.message, error.link, error.segment)


# -- from the server: one message a window --------------------------------------------------------


@attrs.frozen
class WindowSignals(ServerMessage):
    """The signals of one window, in the revision that reports window by window (WIN-3).

    Attributes:
        signals: The signals, each with the span of the window.
    """

    type: ClassVar[str] = "signal.detected"
    clause_id: ClassVar[str] = "WIN-3"

    signals: tuple[SignalSpan, ...]


@attrs.frozen
class WindowSignal(ServerMessage):
    """One signal of one window: a later flavour of `WindowSignals`, on the way to lifecycles.

    Attributes:
        signal_type: Which signal, for example `agreement` (SIG-6).
        start: When it began, in media seconds.
        end: When it ended, in media seconds.
        probability: `low`, `medium` or `high`.
        rationale: Why the analysis thinks so.
    """

    type: ClassVar[str] = "signal.detected"
    clause_id: ClassVar[str] = "WIN-3"

    signal_type: str
    start: Number
    end: Number
    probability: str | None = None
    rationale: str | None = None


@attrs.frozen
class WindowEngagement(ServerMessage):
    """The engagement of one window.

    Attributes:
        state: `engaged`, `neutral` or `disengaged` (ENG-3).
        start: Where the window begins, in media seconds.
        end: Where it ends, in media seconds.
    """

    type: ClassVar[str] = "engagement.updated"
    clause_id: ClassVar[str] = "WIN-3"

    state: str
    start: Number
    end: Number


# -- from the server: one result a segment --------------------------------------------------------


@attrs.frozen
class SegmentProcessing(ServerMessage):
    """A segment has arrived and is being analysed (STS-1).

    Attributes:
        segment: The number of the segment.
        bytes: Its size, in bytes.
    """

    type: ClassVar[str] = "processing"
    clause_id: ClassVar[str] = "STS-1"

    segment: Integer
    bytes: Integer


@attrs.frozen
class SegmentSignals(ServerMessage):
    """The signals that were found in a segment (STS-1, STS-2).

    Attributes:
        segment: The number of the segment.
        signals: The signals in this segment.
    """

    type: ClassVar[str] = "result"
    clause_id: ClassVar[str] = "STS-1"

    segment: Integer
    signals: tuple[SignalSpan, ...]


@attrs.frozen
class SegmentResult(ServerMessage):
    """All that was found in a segment (STS-1, STS-3).

    Attributes:
        segment: The number of the segment.
        signals: The signals in this segment.
        engagement_state: The levels of engagement in this segment; None where nothing is known.
        conversation_quality: The scores, in the sections asked for; None when none was.
    """

    type: ClassVar[str] = "result"
    clause_id: ClassVar[str] = "STS-1"

    segment: Integer
    signals: tuple[SignalSpan, ...]
    engagement_state: tuple[EngagementSpan, ...] | None = None
    conversation_quality: ConversationQuality | None = None


@attrs.frozen
class SegmentCompleted(ServerMessage):
    """Nothing more will be said about a segment (STS-1).

    Attributes:
        segment: The number of the segment.
    """

    type: ClassVar[str] = "completed"
    clause_id: ClassVar[str] = "STS-1"

    segment: Integer


@attrs.frozen
class SegmentFailed(ServerMessage):
    """A segment was refused, or its analysis failed; nothing more will be said about it (STS-1).

    Attributes:
        segment: The number of the segment; None only from a server that breaks STS-1.
        error_id: The error id, for example `ih6002`.
        message: What went wrong, for a person.
        link: Where the documentation explains it.
    """

    type: ClassVar[str] = "error"
    clause_id: ClassVar[str] = "STS-1"
    nullable: ClassVar[frozenset[str]] = frozenset({"link", "segment"})

    segment: Integer | None
    error_id: str
    message: str
    link: str | None = None

    @classmethod
    def tell(cls, error: Error) -> Self | None:
        """The message that tells this error; None when it is about no segment, which this revision cannot tell."""
        return cls(error.segment, error.code, error.message, error.link) if error.segment is not None else None


@attrs.frozen
class SegmentFailedText(ServerMessage):
    """A segment was refused, or its analysis failed, told in one sentence (STS-1, STS-4).

    Attributes:
        segment: The number of the segment; None only from a server that breaks STS-1.
        error: What went wrong.
    """

    type: ClassVar[str] = "error"
    clause_id: ClassVar[str] = "STS-1"
    nullable: ClassVar[frozenset[str]] = frozenset({"segment"})

    segment: Integer | None
    error: str

    @classmethod
    def tell(cls, error: Error) -> Self | None:
        """The message that tells this error; None when it is about no segment, which this revision cannot tell."""
        return cls(error.segment, error.message) if error.segment is not None else None


#: The messages that tell an error, in the different revisions.
ErrorMessage: TypeAlias = Error | SegmentFailed | SegmentFailedText


@attrs.frozen
class Unknown:
    """A message of a type that this revision does not know; never an error (ENV-3).

    Attributes:
        data: The JSON text of its `data`, untouched; in revisions without `data`, of the whole message.
    """

    data: str
