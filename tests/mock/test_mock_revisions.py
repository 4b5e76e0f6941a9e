"""The mock server in every revision: which path speaks which, and what is different on the wire."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeAlias

import anyio
import attrs
import pytest
import trio.testing
import websockets.asyncio.client
import websockets.sync.client
from builders import OVERALL, TIMELINE
from upload_requests import RECORDINGS, REPOSITORY
from websockets.typing import Subprotocol

from ihproto import (
    REVISIONS,
    V0,
    V0_2,
    V1,
    V1_WINDOW,
    V2,
    ConversationQualityUpdated,
    CoverageDegraded,
    CoverageDropped,
    EngagementUpdated,
    Envelope,
    FeedbackGenerated,
    NominalScanner,
    Revision,
    ServerSettings,
    SessionClosed,
    SessionReady,
    SignalDetected,
    SignalEnded,
    Violated,
)
from ihproto.anyio import ClientStream, SessionRefused, UpgradeError, connect
from ihproto.messages import (
    ConfigOptions,
    SegmentCompleted,
    SegmentProcessing,
    SegmentResult,
    SegmentSignals,
    SignalSpan,
    WindowEngagement,
    WindowSignals,
)
from ihproto.wire import UpgradeRefused
from ihproto_mock import MockServer, Scenario, parse_scenario

BOTH = [OVERALL, TIMELINE]
STATUS = [V0, V0_2]
ENVELOPES = [V1_WINDOW, V1, V2]
LIFECYCLES = [V1, V2]
ALL = [*REVISIONS.values()]

#: What the documents say about which types can be heard (SDK).
AUDIBLE = {"agreement", "confidence", "frustration", "hesitation", "interest", "uncertainty"}

EVERY_TYPE = sorted(V1.signal_types)
#: Every type of signal there is, all the time.
CROWDED = parse_scenario(
    'name = "crowded"\n' + "".join(f'[[signal]]\ntype = "{name}"\nstart = 0\nend = 100\n' for name in EVERY_TYPE)
)

Run: TypeAlias = Callable[[Callable[[], Awaitable[Any]]], Any]


def by_id(revision: Revision) -> str:
    return revision.id


def pieces_of(folder: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((REPOSITORY / folder).glob("*.bin"))]


PIECES = pieces_of(RECORDINGS[0])
#: Without the last one, which v0 finds too small.
LARGE = [piece for piece in PIECES if len(piece) >= 10_000]


def three_seconds(contract: SessionReady) -> NominalScanner:
    """Any bytes are a segment of three seconds."""
    return NominalScanner(3.0)


def on_asyncio(body: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        with anyio.fail_after(20):
            return await body()

    return anyio.run(main)


def on_trio(body: Callable[[], Awaitable[Any]]) -> Any:
    """Run on a clock that jumps to what is waited for, as soon as nothing comes over the sockets any more.

    In v1-window a client can only wait whether the server has more to say.
    """
    clock = trio.testing.MockClock(autojump_threshold=0.02)
    return anyio.run(body, backend="trio", backend_options={"clock": clock})


def ways(*revisions: Revision) -> pytest.MarkDecorator:
    """Each revision on both event loops; v1-window where nobody has to wait for the clock."""
    cases = [
        pytest.param(revision, run, id=f"{revision.id}-{run.__name__}")
        for revision in revisions
        for run in (on_asyncio, on_trio)
        if (revision, run) != (V1_WINDOW, on_asyncio)
    ]
    return pytest.mark.parametrize(("revision", "run"), cases)


async def play(stream: ClientStream, pieces: Iterable[bytes]) -> tuple[list[Any], SessionClosed]:
    """Send the pieces, end, and return the messages and the close; nothing may break a rule."""
    for piece in pieces:
        await stream.send_segment(piece)
    await stream.end()
    events = [event async for event in stream]
    assert not [event for event in events if isinstance(event, Violated)]
    closed = events.pop()
    assert isinstance(closed, SessionClosed)
    assert all(isinstance(event, Envelope) for event in events)
    return [event.message for event in events if isinstance(event, Envelope)], closed


def session(
    revision: Revision,
    pieces: Sequence[bytes],
    *,
    include: Sequence[str] = (),
    model: str | None = None,
    goal_dimensions: Sequence[str] | None = None,
    run: Run | None = None,
    **server: Any,
) -> tuple[list[Any], SessionClosed]:
    """A whole session of our strict client with a server that is pinned to a revision."""

    async def body() -> tuple[list[Any], SessionClosed]:
        async with (
            MockServer(pin=[revision.id], **server) as mock,
            connect(
                mock.url_of(revision),
                mock.key,
                revision=revision,
                include=include,
                model=model,
                goal_dimensions=goal_dimensions,
                strict=True,
            ) as stream,
        ):
            return await play(stream, pieces)

    found: tuple[list[Any], SessionClosed] = (run or (on_trio if revision is V1_WINDOW else on_asyncio))(body)
    return found


def types_of(messages: Iterable[object]) -> set[str]:
    """The types of the signals that were told."""
    told: set[str] = set()
    for message in messages:
        if isinstance(message, SignalDetected):
            told.add(message.signal_type)
        elif isinstance(message, WindowSignals | SegmentResult | SegmentSignals):
            told |= {signal.type for signal in message.signals}
    return told


# -- whole sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "folder", [RECORDINGS[0], "conformance/ihproto_conformance/samples/recording", "tests/recordings/webm-vp9-opus"]
)
@ways(*ALL)
def test_a_whole_session_of_a_real_recording_breaks_no_rule(revision: Revision, run: Run, folder: str) -> None:
    pieces = [piece for piece in pieces_of(folder) if len(piece) >= 10_000]
    messages, closed = session(revision, pieces, include=BOTH if revision is not V0 else [], run=run)
    assert not [message for message in messages if isinstance(message, revision.error_message)]
    # What every recording is long enough for.
    assert {"agreement", "interest"} <= types_of(messages)
    assert (closed.code, closed.error) == (1000, None)
    assert (closed.ended is not None) == (revision in LIFECYCLES)


@ways(*ALL)
def test_a_troubled_session_tells_every_error_as_the_revision_can(revision: Revision, run: Run) -> None:
    messages, closed = session(revision, LARGE, scenario="troubled", run=run)
    errors: list[Any] = [message for message in messages if isinstance(message, revision.error_message)]
    if revision in ENVELOPES:
        assert [(error.code, error.segment) for error in errors] == [
            ("ih5002", 2),
            ("ih3003", 4),
            ("ih3001", None),
            ("ih1001", None),
        ]
        assert (closed.code, closed.error and closed.error.code) == (1011, "ih1001")
        return
    # Two pieces are refused, and the others reach 14 s and 24 s of media with the seventh and the tenth.
    assert [error.segment for error in errors] == [2, 4, 7, 10]
    if revision is V0_2:
        assert [error.error_id for error in errors] == ["ih5002", "ih3003", "ih3001", "ih1001"]
    else:
        assert all(error.error for error in errors)
    completed = [message.segment for message in messages if isinstance(message, SegmentCompleted)]
    assert completed == [1, 3, 5, 6, 8, 9, 11]
    assert (closed.code, closed.error) == (1000, None)


@ways(*STATUS)
def test_every_segment_of_the_status_revisions_has_its_three_messages_in_order(revision: Revision, run: Run) -> None:
    messages, _ = session(revision, LARGE, run=run)
    told: dict[int, list[str]] = {}
    for message in messages:
        told.setdefault(message.segment, []).append(message.type)
    assert told == {number: ["processing", "result", "completed"] for number in range(1, len(LARGE) + 1)}
    sizes = [message.bytes for message in messages if isinstance(message, SegmentProcessing)]
    assert sizes == [len(piece) for piece in LARGE]


def test_times_are_those_of_the_segment_in_v0_and_those_of_the_session_in_v0_2() -> None:
    relative, _ = session(V0, LARGE)
    absolute, _ = session(V0_2, LARGE)
    results = [message for message in absolute if isinstance(message, SegmentResult)]
    # The engagement is known all the time, so its spans show where the segments begin.
    starts = {result.segment: (result.engagement_state or ())[0].start for result in results}
    assert starts[1] == 0
    assert (results[-1].engagement_state or ())[-1].end == pytest.approx(33.4, abs=0.3)
    assert [signal.start for signal in results[0].signals] == [1.5]
    # Interest begins at 5 s of the session, in the second of pieces of 3 s.
    assert ("interest", 5.0) in {(signal.type, signal.start) for signal in results[1].signals}

    def spans(signals: Iterable[SignalSpan], start: float) -> list[Any]:
        return [(s.type, pytest.approx(s.start + start), pytest.approx(s.end + start)) for s in signals]

    for message in relative:
        if isinstance(message, SegmentSignals):
            there = next(result for result in results if result.segment == message.segment)
            assert [(s.type, s.start, s.end) for s in there.signals] == spans(message.signals, starts[message.segment])


def test_every_window_of_v1_window_is_told_for_itself() -> None:
    messages, _ = session(V1_WINDOW, PIECES, include=BOTH)
    engagement = [message for message in messages if isinstance(message, WindowEngagement)]
    # 33.4 s hold nine windows of 8 s, each 3 s after the one before (WIN-1).
    assert [(window.start, window.end) for window in engagement] == [(3 * n, 3 * n + 8) for n in range(9)]
    for message in messages:
        if isinstance(message, WindowSignals):
            assert len({(signal.start, signal.end) for signal in message.signals}) == 1
    quality = [message for message in messages if isinstance(message, ConversationQualityUpdated)]
    assert len(quality) == 9


# -- which revision is where --------------------------------------------------------------------------

NEWEST = {"/v0/stream/analyze": "v0.2", "/v1/stream/analyze": "v1", "/v2/stream/analyze": "v2"}


async def first_words(mock: MockServer, path: str) -> dict[str, Any]:
    """The first message that a client of another library gets for a segment."""
    async with websockets.asyncio.client.connect(
        f"ws://127.0.0.1:{mock.port}{path}", additional_headers={"Authorization": f"Bearer {mock.key}"}
    ) as socket:
        for _ in range(3):
            await socket.send(bytes(10_000))
        found: dict[str, Any] = json.loads(await socket.recv())
        return found


def revision_of(words: dict[str, Any], path: str) -> str:
    """The revision that begins like this."""
    if words.get("status") == "processing":
        return "v0.2" if "correlation_id" in words else "v0"
    if words["type"] == "session.ready":
        return "v2" if "model" in words["data"]["supported_session_config_options"] else "v1"
    assert "signals" in words["data"]
    return "v1-window"


@pytest.mark.parametrize(
    ("pin", "changes"),
    [
        ([], {}),
        (["v0"], {"/v0/stream/analyze": "v0"}),
        (["v1-window"], {"/v1/stream/analyze": "v1-window"}),
        (["v0", "v1-window"], {"/v0/stream/analyze": "v0", "/v1/stream/analyze": "v1-window"}),
        (["v0.2", "v1", "v2"], {}),
        (["v0", "v0"], {"/v0/stream/analyze": "v0"}),
    ],
)
def test_each_path_speaks_its_newest_revision_unless_another_is_pinned(pin: list[str], changes: dict[str, str]) -> None:
    async def body() -> dict[str, str]:
        async with MockServer(pin=pin, scenario=CROWDED, make_scanner=three_seconds) as mock:
            return {path: revision_of(await first_words(mock, path), path) for path in NEWEST}

    assert on_asyncio(body) == NEWEST | changes


def test_two_revisions_of_one_path_cannot_both_be_pinned() -> None:
    with pytest.raises(ValueError, match=r"v0 and v0\.2 share the path /v0/stream/analyze; pin one of them"):
        MockServer(pin=["v0", "v0.2"])
    with pytest.raises(ValueError, match="v1 and v1-window share the path"):
        MockServer(pin=["v2", "v1", "v1-window"])


def test_a_revision_that_there_is_not_cannot_be_pinned() -> None:
    with pytest.raises(ValueError, match=r"no revision 'v3'; there are v0, v0\.2, v1-window, v1, v2"):
        MockServer(pin=["v3"])


@pytest.mark.parametrize("run", [on_asyncio, on_trio])
def test_a_stream_path_that_there_is_not_names_those_that_there_are(run: Run) -> None:
    async def body() -> UpgradeRefused:
        async with MockServer() as mock:
            with pytest.raises(UpgradeError) as raised:
                async with connect(f"ws://127.0.0.1:{mock.port}/v3/stream/analyze", mock.key):
                    pass
            assert isinstance(raised.value.event, UpgradeRefused)
            return raised.value.event

    refused = run(body)
    assert refused.status == 404
    assert refused.error is not None
    assert all(path in (refused.error.message or "") for path in NEWEST)
    assert refused.error.correlation_id == refused.correlation_id is not None


# -- scopes -------------------------------------------------------------------------------------------


@ways(*STATUS)
def test_hs_11_without_errors_of_sessions_a_missing_scope_is_403(revision: Revision, run: Run) -> None:
    async def body() -> UpgradeRefused:
        async with MockServer(keys={"k": ["interhumanai.upload"]}, pin=[revision.id]) as mock:
            with pytest.raises(UpgradeError) as raised:
                async with connect(mock.url_of(revision), mock.key, revision=revision):
                    pass
            assert isinstance(raised.value.event, UpgradeRefused)
            return raised.value.event

    refused = run(body)
    assert (refused.status, refused.error and refused.error.error_id) == (403, "ih2003")


@ways(*LIFECYCLES)
def test_hs_11_a_missing_scope_is_an_error_and_4003(revision: Revision, run: Run) -> None:
    async def body() -> SessionRefused:
        async with MockServer(keys={"k": ["interhumanai.upload"]}) as mock:
            with pytest.raises(SessionRefused) as raised:
                async with connect(mock.url_of(revision), mock.key, revision=revision, strict=True):
                    pass
            return raised.value

    refused = run(body)
    assert (refused.closed.code, refused.error and refused.error.code) == (4003, "ih2003")
    assert not refused.violations


@pytest.mark.parametrize("run", [on_asyncio, on_trio])
def test_hs_11_where_nothing_is_ready_first_the_error_comes_in_the_session(run: Run) -> None:
    async def body() -> list[object]:
        async with (
            MockServer(keys={"k": ["interhumanai.upload"]}, pin=["v1-window"]) as mock,
            connect(mock.url_of(V1_WINDOW), mock.key, revision=V1_WINDOW, strict=True) as stream,
        ):
            return [event async for event in stream]

    error, closed = run(body)
    assert (error.message.code, error.message.segment) == ("ih2003", None)
    assert closed.code == 4003


# -- what clients of another library see --------------------------------------------------------------


def talk(url: str, pieces: Sequence[bytes], **options: Any) -> tuple[list[dict[str, Any]], str | None, str]:
    """A session of the blocking client of `websockets`: messages, selected subprotocol and correlation id."""
    with websockets.sync.client.connect(url, max_size=None, **options) as socket:
        told: list[dict[str, Any]] = []
        for piece in pieces:
            socket.send(piece)
        while sum(message["status"] in ("completed", "error") for message in told) < len(pieces):
            told.append(json.loads(socket.recv(timeout=10)))
        assert socket.response is not None
        return told, socket.subprotocol, socket.response.headers["X-Correlation-ID"]


def served(body: Callable[[MockServer], Any], **server: Any) -> Any:
    """Run something that blocks, in a thread, beside a server."""

    async def main() -> Any:
        async with MockServer(**server) as mock:
            return await anyio.to_thread.run_sync(body, mock)

    return on_asyncio(main)


def test_v0_as_the_skill_for_it_shows() -> None:
    told, subprotocol, _ = served(
        lambda mock: talk(
            f"ws://127.0.0.1:{mock.port}/v0/stream/analyze",
            LARGE[:3],
            subprotocols=[Subprotocol("access_token"), Subprotocol(mock.key)],
        ),
        pin=["v0"],
    )
    assert subprotocol == "access_token"
    of_first = [message for message in told if message["segment"] == 1]
    assert of_first[0] == {"status": "processing", "segment": 1, "bytes": len(LARGE[0])}
    assert of_first[2] == {"status": "completed", "segment": 1}
    assert {key for message in of_first for key in message} == {"status", "segment", "bytes", "signals"}
    (signal,) = of_first[1]["signals"]
    assert set(signal) == {"type", "start", "end"}
    assert (signal["type"], signal["start"]) == ("agreement", 1.5)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (20_971_521, "Video chunk too large: 20971521 bytes (maximum: 20971520 bytes)"),
        (9_999, None),
    ],
)
def test_v0_has_limits_of_its_own(size: int, text: str | None) -> None:
    told, _, _ = served(
        lambda mock: talk(
            mock.url_of(V0),
            [bytes(10_000), bytes(size), bytes(20_971_520)],
            additional_headers={"Authorization": f"Bearer {mock.key}"},
        ),
        pin=["v0"],
        make_scanner=three_seconds,
    )
    (error,) = [message for message in told if message["status"] == "error"]
    assert set(error) == {"status", "segment", "error"}
    assert error["segment"] == 2
    assert error["error"] == text if text is not None else "10000" in error["error"]
    assert [message["segment"] for message in told if message["status"] == "completed"] == [1, 3]


@pytest.mark.parametrize(
    ("query", "sections"),
    [
        ("", None),
        (f"?include[]={OVERALL}", {"overall"}),
        (f"?include%5B%5D={TIMELINE}", {"timeline"}),
        (f"?include[]={OVERALL}&include%5B%5D={TIMELINE}&include[]=nonsense", {"overall", "timeline"}),
        ("?include[]=nonsense&sdk=1&include=" + OVERALL, None),
    ],
)
def test_v0_2_takes_the_sections_from_the_query(query: str, sections: set[str] | None) -> None:
    told, subprotocol, correlation_id = served(
        lambda mock: talk(
            f"ws://127.0.0.1:{mock.port}/v0/stream/analyze{query}",
            LARGE[:3],
            subprotocols=[Subprotocol("access_token"), Subprotocol(mock.key)],
        )
    )
    assert subprotocol == "access_token"
    assert {message["correlation_id"] for message in told} == {correlation_id}
    results = [message for message in told if message["status"] == "result"]
    assert [result["segment"] for result in results] == [1, 2, 3]
    for result in results:
        found = result.get("conversation_quality")
        assert (set(found) if found is not None else None) == sections
        assert {"type", "start", "end", "probability", "rationale"} == set(result["signals"][0])
        assert set(result["engagement_state"][0]) == {"start", "end", "state"}


def test_v0_2_tells_errors_by_their_id() -> None:
    told, _, correlation_id = served(
        lambda mock: talk(
            mock.url_of(V0_2), [bytes(33_554_433)], additional_headers={"Authorization": f"Bearer {mock.key}"}
        )
    )
    (error,) = told
    assert error.pop("message")
    assert error == {
        "status": "error",
        "segment": 1,
        "correlation_id": correlation_id,
        "error_id": "ih6002",
        "link": "https://docs.interhuman.ai/api-reference/error-handling#ih6002-message-too-large",
    }


def test_v1_window_as_the_codealong_shows() -> None:
    def body(mock: MockServer) -> tuple[list[dict[str, Any]], str | None, str]:
        with websockets.sync.client.connect(mock.url_of(V1_WINDOW), subprotocols=[Subprotocol(mock.key)]) as socket:
            assert socket.subprotocol == mock.key
            assert socket.response is not None
            socket.send(json.dumps({"include": BOTH}))
            for piece in PIECES[:4]:
                socket.send(piece)
            told = [json.loads(socket.recv(timeout=10)) for _ in range(6)]
            return told, socket.subprotocol, socket.response.headers["X-Correlation-ID"]

    told, _, correlation_id = served(body, pin=["v1-window"])
    for message in told:
        assert set(message) == {"type", "timestamp", "correlation_id", "data"}
        assert message["correlation_id"] == correlation_id
    # 12.1 s of media hold two windows, and the second is the one from 3 s to 11 s.
    kinds = [message["type"] for message in told]
    assert sorted(kinds) == sorted(["signal.detected", "engagement.updated", "conversation_quality.updated"] * 2)
    assert kinds[3] == "signal.detected"
    detected = told[3]["data"]
    assert {"type": "agreement", "start": 3, "end": 11}.items() <= detected["signals"][0].items()
    assert set(detected["signals"][0]) == {"type", "start", "end", "probability", "rationale"}
    engagement = next(message["data"] for message in told[3:] if message["type"] == "engagement.updated")
    assert engagement == {"state": "engaged", "start": 3, "end": 11}


# -- what a scenario can show -------------------------------------------------------------------------

GAPS = """
name = "gaps"
[[signal]]
type = "stress"
start = 0
end = 100
[[coverage]]
kind = "dropped"
start = 10
end = 18
[[coverage]]
kind = "degraded"
start = 19
end = 21
[[feedback]]
at = 7
text = "Seven seconds."
[[feedback]]
at = 0.5
text = "Half a second."
"""


def with_goals(revision: Revision) -> ServerSettings:
    """The contract of a revision, which offers goal dimensions."""
    options = attrs.evolve(revision.contract.supported_session_config_options, goal_dimensions=("clarity", "rapport"))
    assert isinstance(options, ConfigOptions)
    return ServerSettings(contract=attrs.evolve(revision.contract, supported_session_config_options=options))


@ways(*LIFECYCLES)
def test_gaps_in_coverage_are_told(revision: Revision, run: Run) -> None:
    scenario = parse_scenario(GAPS)
    messages, _ = session(revision, [b"x"] * 8, scenario=scenario, make_scanner=three_seconds, run=run)
    dropped = [stretch for message in messages if isinstance(message, CoverageDropped) for stretch in message.ranges]
    # Of 24 s the windows that end at 11, 14 and 17 s are not analysed; their neighbours see up to 8 and from 12 s on.
    assert (dropped[0].start, dropped[-1].end) == (8, 12)
    (degraded,) = [message for message in messages if isinstance(message, CoverageDegraded)]
    assert [(stretch.start, stretch.end) for stretch in degraded.ranges] == [(12, 20)]
    # What is not looked at does not end.
    assert [message.end for message in messages if isinstance(message, SignalEnded)] == [24]


@ways(V0, V0_2, V1_WINDOW)
def test_gaps_break_no_rule_where_they_cannot_be_told(revision: Revision, run: Run) -> None:
    messages, closed = session(
        revision, [bytes(10_000)] * 8, scenario=parse_scenario(GAPS), make_scanner=three_seconds, run=run
    )
    assert types_of(messages) == {"stress"}
    # A segment is a window of its own there, and those that end at 12, 15 and 18 s are left out.
    failed = [message.segment for message in messages if isinstance(message, revision.error_message)]
    assert failed == ([] if revision is V1_WINDOW else [4, 5, 6])
    assert closed.code == 1000


@ways(*LIFECYCLES)
def test_feedback_is_for_sessions_with_goal_dimensions(revision: Revision, run: Run) -> None:
    scenario, settings = parse_scenario(GAPS), with_goals(revision)
    for dimensions, expected in (["clarity"], ["Half a second.", "Seven seconds."]), ([], []), (None, []):
        messages, _ = session(
            revision,
            [b"x"] * 3,
            goal_dimensions=dimensions,
            scenario=scenario,
            settings=settings,
            make_scanner=three_seconds,
            run=run,
        )
        assert [message.feedback for message in messages if isinstance(message, FeedbackGenerated)] == expected


@pytest.mark.parametrize("revision", [V0, V0_2, V1_WINDOW, V1], ids=by_id)
def test_before_v2_every_type_is_told(revision: Revision) -> None:
    messages, _ = session(revision, [bytes(10_000)] * 3, scenario=CROWDED, make_scanner=three_seconds)
    assert types_of(messages) == set(EVERY_TYPE)
    assert {"engagement", "disengagement", "tension"} <= types_of(messages)


@pytest.mark.parametrize("model", [None, "inter-2", "inter-2-audio"])
def test_v2_tells_of_engagement_by_its_own_event_alone_and_of_sound_what_can_be_heard(model: str | None) -> None:
    crowded = attrs.evolve(CROWDED, engagement=_engaged())
    messages, _ = session(V2, [b"x"] * 3, model=model, scenario=crowded, make_scanner=three_seconds)
    everything = set(EVERY_TYPE) - {"engagement", "disengagement"}
    assert types_of(messages) == (AUDIBLE if model == "inter-2-audio" else everything)
    assert [message for message in messages if isinstance(message, EngagementUpdated)] == [
        EngagementUpdated("engaged", 0)
    ]


def _engaged() -> Any:
    engaged: Scenario = parse_scenario('name = "e"\n[[engagement]]\nstart = 0\nstate = "engaged"')
    return engaged.engagement
