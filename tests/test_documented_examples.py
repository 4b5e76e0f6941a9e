"""Every JSON example of the public documents: read and written without loss, and said by a server of its revision.

Run as a script, this prints how many examples there are and what they are read as.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ihproto import (
    V0,
    V0_2,
    V1,
    V1_WINDOW,
    ClientSession,
    Codec,
    ConversationQuality,
    EngagementReport,
    EngagementSpan,
    NominalScanner,
    QualityReport,
    Revision,
    SegmentCompleted,
    SegmentFailed,
    SegmentFailedText,
    SegmentProcessing,
    SegmentResult,
    SegmentSignals,
    ServerMessage,
    ServerSession,
    SessionConfig,
    SignalReport,
    SignalSpan,
    TextToSend,
    WindowAnalysis,
    WindowEngagement,
    WindowSignals,
)
from ihproto.codec import decode_json, encode_json
from ihproto.uploads import AnalysisResult

FOLDER = Path(__file__).parent / "examples_of_documents"
#: How many examples the documents show; in the reference of v0.2 each one stands twice.
COUNTS = {
    "v0-streaming-skill": 4,
    "v0.2-stream-reference": 8,
    "v1-live-camera-codealong": 3,
    "v1-stream-reference": 2,
    "v1-upload-reference": 4,
}
OVERALL, TIMELINE = "conversation_quality_overall", "conversation_quality_timeline"
#: The id that all examples have, and the time of those that tell one.
CORRELATION_ID = "550e8400-e29b-41d4-a716-446655440000"
START = datetime(2025, 1, 1, tzinfo=UTC)

#: From the text of an example to what it is read as, and to the text that is written for that.
Reading = Callable[[str], tuple[object, str]]


def of_server(revision: Revision) -> Reading:
    codec = Codec(revision)

    def read(text: str) -> tuple[object, str]:
        envelope = codec.decode_server(text)
        assert isinstance(envelope.message, ServerMessage), "its type is not known"
        return envelope.message, codec.encode_server(
            envelope.message, timestamp=envelope.timestamp or "", correlation_id=envelope.correlation_id or ""
        )

    return read


def of_client(revision: Revision) -> Reading:
    codec = Codec(revision)

    def read(text: str) -> tuple[object, str]:
        config = codec.decode_client(text)
        return config, codec.encode_client(config)

    return read


def include(text: str) -> tuple[object, str]:
    config, written = of_client(V1)(f'{{"include":{text}}}')
    return config, json.dumps(json.loads(written)["include"])


def of_upload(cls: Any) -> Reading:
    def read(text: str) -> tuple[object, str]:
        body = decode_json(cls, text.encode(), "UPL-1")
        return body, encode_json(body).decode()

    return read


EXAMPLES: dict[str, tuple[Reading, type]] = {
    "v0-streaming-skill/01-processing": (of_server(V0), SegmentProcessing),
    "v0-streaming-skill/02-result": (of_server(V0), SegmentSignals),
    "v0-streaming-skill/03-completed": (of_server(V0), SegmentCompleted),
    "v0-streaming-skill/04-error": (of_server(V0), SegmentFailedText),
    "v0.2-stream-reference/01-result": (of_server(V0_2), SegmentResult),
    "v0.2-stream-reference/02-completed": (of_server(V0_2), SegmentCompleted),
    "v0.2-stream-reference/03-error": (of_server(V0_2), SegmentFailed),
    "v0.2-stream-reference/04-processing": (of_server(V0_2), SegmentProcessing),
    "v0.2-stream-reference/05-result-again": (of_server(V0_2), SegmentResult),
    "v0.2-stream-reference/06-completed-again": (of_server(V0_2), SegmentCompleted),
    "v0.2-stream-reference/07-error-again": (of_server(V0_2), SegmentFailed),
    "v0.2-stream-reference/08-processing-again": (of_server(V0_2), SegmentProcessing),
    "v1-live-camera-codealong/01-session-config": (of_client(V1_WINDOW), SessionConfig),
    "v1-live-camera-codealong/02-signal.detected": (of_server(V1_WINDOW), WindowSignals),
    "v1-live-camera-codealong/03-engagement.updated": (of_server(V1_WINDOW), WindowEngagement),
    "v1-stream-reference/01-include-overall": (include, SessionConfig),
    "v1-stream-reference/02-include-timeline": (include, SessionConfig),
    "v1-upload-reference/01-response": (of_upload(AnalysisResult), AnalysisResult),
    "v1-upload-reference/02-signals": (of_upload(tuple[SignalSpan, ...]), tuple),
    "v1-upload-reference/03-engagement_state": (of_upload(tuple[EngagementSpan, ...]), tuple),
    "v1-upload-reference/04-conversation_quality": (of_upload(ConversationQuality), ConversationQuality),
}


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.json").read_text(encoding="utf-8")


def example(name: str) -> Any:
    return json.loads(text_of(name))


def counted() -> Counter[str]:
    """How many examples there are, by document."""
    return Counter(path.parent.name for path in FOLDER.rglob("*.json"))


def table() -> str:
    """A line for each document and for each of its examples."""
    lines = []
    for document, count in sorted(counted().items()):
        lines.append(f"{document}: {count}")
        lines += [
            f"    {name.partition('/')[2]}: {cls.__name__}"
            for name, (_, cls) in EXAMPLES.items()
            if name.startswith(document)
        ]
    return "\n".join([*lines, f"in all: {counted().total()}"])


def shape(value: Any) -> Any:
    """The names and types in a JSON value; of a list, the different shapes of its entries."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        shapes = [shape(item) for item in value]
        return [one for index, one in enumerate(shapes) if one not in shapes[:index]]
    if isinstance(value, bool) or value is None:
        return str(value)
    return "string" if isinstance(value, str) else "number"


# -- reading and writing ------------------------------------------------------------------------------


def test_every_example_of_the_documents_is_here() -> None:
    print(table())
    assert counted() == COUNTS
    assert {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.json")} == set(EXAMPLES)
    assert table().endswith("in all: 21")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_read_for_what_it_is_and_written_without_loss(name: str) -> None:
    read, cls = EXAMPLES[name]
    message, written = read(text_of(name))
    assert type(message) is cls
    # As sorted text, in which 3 and 3.0 are not the same.
    assert json.dumps(json.loads(written), sort_keys=True) == json.dumps(example(name), sort_keys=True)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_what_a_document_shows_twice_is_the_same_twice(number: int) -> None:
    (first,) = FOLDER.glob(f"v0.2-stream-reference/{number:02}-*.json")
    (second,) = FOLDER.glob(f"v0.2-stream-reference/{number + 4:02}-*.json")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("member", ["signals", "engagement_state", "conversation_quality"])
def test_what_is_shown_by_itself_is_a_part_of_the_whole(member: str) -> None:
    (part,) = FOLDER.glob(f"v1-upload-reference/*-{member}.json")
    assert json.loads(part.read_bytes()) == example("v1-upload-reference/01-response")[member]


# -- said by a server ---------------------------------------------------------------------------------


def opened(revision: Revision, seconds: float, query: Iterable[tuple[str, str]] = ()) -> ServerSession:
    """A session in which every segment is so long, and in which no time passes."""
    session = ServerSession(
        0,
        correlation_id=CORRELATION_ID,
        started_at=START,
        revision=revision,
        query=query,
        scanner=NominalScanner(seconds),
    )
    session.open(0)
    return session


def said(session: ServerSession) -> list[Any]:
    return [json.loads(item.text) for item in session.to_send() if isinstance(item, TextToSend)]


def test_a_server_of_v0_says_the_examples_of_v0_word_by_word() -> None:
    session = opened(V0, 5.0)
    session.receive_bytes(bytes(1_200_000), 0)
    signals = [SignalReport("agreement", 0.0, 5.0), SignalReport("engagement", 2.3, 4.8)]
    session.send_analysis(WindowAnalysis(session.outstanding[0], signals), 0)
    for piece in (bytes(20_971_520), bytes(10_028_480)):
        session.receive_bytes(piece, 0, final=len(piece) < 20_000_000)
    names = ("01-processing", "02-result", "03-completed", "04-error")
    assert said(session) == [example(f"v0-streaming-skill/{name}") for name in names]


def test_a_server_of_v0_2_says_the_examples_of_v0_2() -> None:
    session = opened(V0_2, 5.0, [("include[]", OVERALL), ("include[]", TIMELINE)])
    session.receive_bytes(bytes(900_000), 0)
    # Together with the second segment, the mean is what the example has as overall.
    session.send_analysis(WindowAnalysis(session.outstanding[0], quality=QualityReport(67, 65, 78, 73, 68)), 0)
    session.to_send()
    session.receive_bytes(bytes(1_200_000), 0)
    signals = [
        SignalReport("agreement", 5, 10, None, "high", "Subject nodded repeatedly while maintaining eye contact."),
        SignalReport("confidence", 5, 10, None, "medium", "Steady voice with minimal hesitation."),
    ]
    quality = QualityReport(67, 71, 82, 77, 72)
    session.send_analysis(WindowAnalysis(session.outstanding[0], signals, EngagementReport("engaged", 5), quality), 0)
    processing, result, completed = said(session)
    assert processing == example("v0.2-stream-reference/04-processing")
    assert completed == example("v0.2-stream-reference/02-completed")
    documented = example("v0.2-stream-reference/01-result")
    assert shape(result) == shape(documented)
    # The index is the mean of the five (CQI-6), which the example misses by 0.2.
    (entry,) = result["conversation_quality"]["timeline"]
    assert entry["values"]["quality_index"] == 73.8
    entry["values"]["quality_index"] = 74
    assert result == documented


def test_a_server_of_v0_2_says_an_error_in_the_shape_of_the_example() -> None:
    session = opened(V0_2, 5.0)
    session.receive_bytes(bytes(10_000), 0)
    session.to_send()
    session.receive_bytes(bytes(33_554_433), 0)
    (error,) = said(session)
    documented = example("v0.2-stream-reference/03-error")
    assert shape(error) == shape(documented)
    # How the sentence reads is left to the server.
    assert {**error, "message": documented["message"]} == documented


def test_a_server_of_v1_window_says_the_examples_of_the_codealong_word_by_word() -> None:
    session = opened(V1_WINDOW, 11.0)
    session.receive_text(text_of("v1-live-camera-codealong/01-session-config"), 0)
    assert session.config == SessionConfig([OVERALL, TIMELINE])
    session.receive_bytes(bytes(100), 0)
    session.send_analysis(WindowAnalysis(session.outstanding[0]), 0)
    session.to_send()
    nodding = "Subject nodded repeatedly while maintaining eye contact."
    signal = SignalReport("agreement", 4, 9, None, "high", nodding)
    session.send_analysis(WindowAnalysis(session.outstanding[0], [signal], EngagementReport("engaged", 3)), 0)
    signals, engagement, quality = said(session)
    assert signals == example("v1-live-camera-codealong/02-signal.detected")
    assert engagement == example("v1-live-camera-codealong/03-engagement.updated")
    # Of this one the codealong names the members, without an example.
    assert quality["type"] == "conversation_quality.updated"
    assert quality["data"].keys() == {"overall", "timeline"}


def test_a_client_of_v1_window_sends_the_config_of_the_codealong() -> None:
    session = ClientSession(0, revision=V1_WINDOW)
    session.send_config([OVERALL, TIMELINE])
    (sent,) = session.to_send()
    assert isinstance(sent, TextToSend)
    assert json.loads(sent.text) == example("v1-live-camera-codealong/01-session-config")


@pytest.mark.parametrize("name", ["01-include-overall", "02-include-timeline"])
def test_a_server_of_v1_takes_the_sections_of_the_reference(name: str) -> None:
    session = opened(V1, 3.0)
    session.to_send()
    session.receive_text(f'{{"include":{text_of(f"v1-stream-reference/{name}")}}}', 0)
    (answer,) = said(session)
    assert answer["type"] == "session.updated"
    assert answer["data"] == {"include": example(f"v1-stream-reference/{name}")}


def test_shapes_differ_by_names_types_and_entries() -> None:
    assert shape({"a": 1, "b": [1, 2.5]}) == shape({"b": [3], "a": 0.5})
    for other in (
        {"a": 1},
        {"a": "1", "b": [1]},
        {"a": 1, "b": ["x"]},
        {"a": 1, "b": [1], "c": None},
        {"a": True, "b": [1]},
    ):
        assert shape({"a": 1, "b": [1]}) != shape(other)


if __name__ == "__main__":
    print(table())
