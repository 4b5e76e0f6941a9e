"""A session of one hour, as both roles live it: 1,200 segments of 3 s, and well over 3,000 events.

Everything is the same each time: which signals come and go, how engagement changes, the scores. One window is complete
with nearly every segment, and its analysis finds something new.
"""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from ihproto import (
    INCLUDE_OVERALL,
    INCLUDE_TIMELINE,
    BytesToSend,
    ClientSession,
    CloseToSend,
    EngagementReport,
    Envelope,
    NominalScanner,
    QualityReport,
    ServerSession,
    SignalReport,
    TextToSend,
    Window,
    WindowAnalysis,
    WindowReady,
)

SEGMENTS = 1200
SEGMENT_SECONDS = 3.0
INCLUDE = (INCLUDE_OVERALL, INCLUDE_TIMELINE)
STARTED_AT = datetime(2025, 1, 1, tzinfo=UTC)
CORRELATION_ID = "6f1c2b9e-0000-4000-8000-000000000001"

_TYPES = ("agreement", "hesitation", "interest", "confidence", "stress")
_PROBABILITIES = ("low", "medium", "high")
_STATES = ("engaged", "neutral", "disengaged")
_RATIONALE = "A nod and a rising tone come together with {}; the gaze stays on the person who speaks."


def analyse(window: Window) -> WindowAnalysis:
    """What is found in a window: signals that stay for three windows, and change while they do."""
    signals = []
    for place, signal_type in enumerate(_TYPES):
        age = (window.index + 2 * place) % 7
        if age < 3:
            start = max(0.0, window.end - 3.0 * (age + 1))
            probability = _PROBABILITIES[(window.index + place) // 2 % 3]
            why = _RATIONALE.format(signal_type)
            signals.append(SignalReport(signal_type, start, None, start, probability, why, ("video",)))
    state = _STATES[window.index // 4 % 3]
    quality = QualityReport(*(float(40 + (window.index * step) % 50) for step in (3, 5, 7, 11, 13)))
    return WindowAnalysis(window, signals, EngagementReport(state, window.start), quality)


@attrs.frozen
class Hour:
    """What a session said.

    Attributes:
        texts: What the server said, as text, in order.
        told: How many texts followed each segment, beginning with those that came before the first.
    """

    texts: list[str]
    told: list[int]


def open_session(now: float = 0.0) -> tuple[ClientSession, ServerSession]:
    """Both ends of a new session, which is open and configured."""
    scanner = NominalScanner(SEGMENT_SECONDS)
    server = ServerSession(now, correlation_id=CORRELATION_ID, started_at=STARTED_AT, scanner=scanner)
    client = ClientSession(now, strict=True, correlation_id=CORRELATION_ID, scanner=NominalScanner(SEGMENT_SECONDS))
    server.open(now)
    client.send_config(INCLUDE)
    return client, server


def exchange(client: ClientSession, server: ServerSession, now: float) -> list[str]:
    """Carry everything over, in both directions, until nobody has anything to say; returns what the server said."""
    said: list[str] = []
    while True:
        upwards, downwards = client.to_send(), server.to_send()
        if not upwards and not downwards:
            return said
        for item in upwards:
            match item:
                case TextToSend(text):
                    server.receive_text(text, now)
                case BytesToSend(data, final):
                    server.receive_bytes(data, now, final=final)
                case CloseToSend(code, reason):
                    server.receive_close(code, reason)
        for answer in downwards:
            match answer:
                case TextToSend(text):
                    said.append(text)
                    client.receive_text(text, now)
                case CloseToSend(code, reason):
                    client.receive_close(code, reason)
        for happened in server.events():
            if isinstance(happened, WindowReady):
                server.send_analysis(analyse(happened.window), now)


def live(segments: int = SEGMENTS, segment: bytes = bytes(64)) -> Hour:
    """Live through a session in virtual time."""
    client, server = open_session()
    texts = exchange(client, server, 0.0)
    told = [len(texts)]
    events = 0
    for number in range(1, segments + 1):
        now = number * SEGMENT_SECONDS
        client.send_segment(segment)
        said = exchange(client, server, now)
        events += sum(isinstance(event, Envelope) for event in client.events())
        texts += said
        told.append(len(said))
    client.end(now)
    texts += exchange(client, server, now)
    events += sum(isinstance(event, Envelope) for event in client.events())
    assert events == len(texts), "not everything that was said has arrived"
    return Hour(texts, told)
