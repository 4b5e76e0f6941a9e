"""The page against a server that the test plays itself, and the page alone."""

from __future__ import annotations

import pytest
from browser.page import PATIENCE_MS, READY, LivePage, StubServer
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

URL = "ws://127.0.0.1:9/v1/stream/analyze"
SEGMENT_MS = 250
#: How a recording begins (RFC 8794, section 5); its later pieces do not.
EBML = b"\x1a\x45\xdf\xa3"
SCORES = {"quality_index": 60, "clarity": 61, "authority": 62, "energy": 63, "rapport": 64, "learning": 65}


@pytest.fixture
def session(live: LivePage, stub: StubServer) -> LivePage:
    """The page in a session."""
    live.open(url=URL, segment=SEGMENT_MS)
    live.start()
    live.wait_for("opened")
    stub.send("session.ready", READY)
    live.wait_for("live")
    return live


# -- the order of things --------------------------------------------------------------------------


def test_the_config_goes_first_and_no_video_before_session_ready(live: LivePage, stub: StubServer) -> None:
    live.open(url=URL, segment=SEGMENT_MS)
    live.start()
    live.wait_for("opened")
    expect(live.page.locator("#preview")).to_be_visible()
    assert stub.texts == [{"include": ["conversation_quality_overall", "conversation_quality_timeline"]}]
    assert stub.segments == []
    stub.send("session.ready", READY)
    live.wait_for("live")
    live.wait_for_segments(2)
    assert [segment.startswith(EBML) for segment in stub.segments[:2]] == [True, False]
    assert b"" not in stub.segments


def test_pieces_keep_their_order_although_a_later_one_is_read_faster(live: LivePage) -> None:
    live.open()
    order = live.page.evaluate("""async () => {
        const { PieceQueue } = await import("/recorder.js");
        const order = [];
        const queue = new PieceQueue((piece) => order.push(piece));
        let release;
        const slow = new Promise((resolve) => (release = resolve));
        queue.push({ size: 1000, arrayBuffer: () => slow });
        queue.push({ size: 0, arrayBuffer: async () => "empty" });
        queue.push({ size: 1000, arrayBuffer: async () => "second" });
        await Promise.resolve();
        release("first");
        await queue.settled();
        return order;
    }""")
    assert order == ["first", "second"]


def test_a_piece_too_small_for_a_picture_goes_with_the_next_and_the_last_one_by_itself(live: LivePage) -> None:
    live.open()
    sizes = live.page.evaluate("""async () => {
        const { PieceQueue } = await import("/recorder.js");
        const pieces = [];
        const queue = new PieceQueue((piece) => pieces.push([...new Uint8Array(piece)]));
        for (const [size, value] of [[1, 1], [2, 2], [500, 3], [100, 4], [99, 5]]) {
          queue.push(new Blob([new Uint8Array(size).fill(value)]));
        }
        await queue.settled();
        return pieces.map((bytes) => [bytes.length, ...new Set(bytes)]);
    }""")
    assert sizes == [[503, 1, 2, 3], [100, 4], [99, 5]]


def test_the_first_piece_of_a_slow_camera_has_the_whole_header(live: LivePage, page: Page, stub: StubServer) -> None:
    """A recorder that has seen no picture when its first piece is due ends it behind the first byte that it writes."""
    page.add_init_script("""
        navigator.mediaDevices.getUserMedia = async () => {
          const canvas = document.createElement("canvas");
          const context = canvas.getContext("2d");
          const stream = canvas.captureStream(0);
          window.draw = (color) => {
            context.fillStyle = `rgb(${color % 256}, 0, 0)`;
            context.fillRect(0, 0, canvas.width, canvas.height);
            stream.getVideoTracks()[0].requestFrame();
          };
          return stream;
        };
        const start = MediaRecorder.prototype.start;
        window.raw = [];
        MediaRecorder.prototype.start = function (slice) {
          this.addEventListener("dataavailable", ({ data }) => window.raw.push(data.size));
          start.call(this, slice);
          let color = 0;
          setTimeout(() => setInterval(() => window.draw(color += 9), 40), 2 * slice);
        };
    """)
    live.open(url=URL, segment=SEGMENT_MS)
    live.start()
    live.wait_for("opened")
    stub.send("session.ready", READY)
    live.wait_for_segments(2)
    # Otherwise this would show nothing.
    assert page.evaluate("() => window.raw[0]") < len(EBML)
    assert [segment.startswith(EBML) for segment in stub.segments[:2]] == [True, False]


def test_stopping_sends_the_last_piece_then_asks_for_the_end_and_shows_the_drain(
    session: LivePage, stub: StubServer
) -> None:
    session.wait_for_segments(1)
    session.stop()
    session.wait_for("draining")
    sent = len(stub.segments)
    assert stub.texts[-1] == {"type": "session.close"}
    assert session.page.evaluate("() => window.tracks.map((track) => track.readyState)") == ["ended", "ended"]
    stub.send("session.closing", {"max_drain_seconds": 30})
    session.said(session.status, "30 s at most")
    stub.send("session.ended", {"reason": "client_shutdown"})
    stub.close(1000)
    session.wait_for("over")
    session.said(session.status, "Ended as asked", f"{sent} segment")
    assert len(stub.segments) == sent


def test_a_second_press_closes_at_once(session: LivePage, stub: StubServer) -> None:
    session.stop()
    session.wait_for("draining")
    session.page.get_by_role("button", name="Close now").click()
    session.wait_for("over")
    session.said(session.status, "Closed at once")
    session.said(session.fact("Close"), "1000")


def test_a_server_that_knows_no_graceful_close_is_closed_plainly(session: LivePage, stub: StubServer) -> None:
    session.stop()
    session.wait_for("draining")
    stub.send("error", {"code": "ih6001", "message": "unknown key 'type'", "link": None, "segment": None})
    session.wait_for("over")
    session.said(session.events, "knows no graceful close")


def test_stop_before_a_session_stands_gives_up_and_releases_the_camera(live: LivePage, stub: StubServer) -> None:
    live.open(url=URL)
    live.start()
    live.wait_for("opened")
    live.stop()
    live.wait_for("over")
    assert live.page.evaluate("() => window.tracks.map((track) => track.readyState)") == ["ended", "ended"]
    assert stub.segments == []


def test_revision_v2_has_the_same_shapes_and_its_own_path(live: LivePage, stub: StubServer) -> None:
    live.open(url=URL, segment=SEGMENT_MS)
    live.page.get_by_label("v2").check()
    live.start()
    live.wait_for("opened")
    expect(live.fact("Server")).to_have_text("ws://127.0.0.1:9/v2/stream/analyze")
    options = {**READY["supported_session_config_options"], "model": ["inter-2"]}  # type: ignore[dict-item]
    stub.send("session.ready", {**READY, "supported_session_config_options": options})
    stub.send("session.updated", {"include": [], "model": "inter-2"})
    stub.send("signal.detected", {"signal_type": "interest", "start": 2, "probability": "low", "rationale": "r"})
    live.wait_for("live")
    expect(live.bars("interest")).to_have_attribute("data-open", "true", timeout=PATIENCE_MS)


# -- what is drawn ---------------------------------------------------------------------------------


def test_a_bar_has_a_stretch_for_each_probability_and_an_end_when_the_signal_ends(
    session: LivePage, stub: StubServer
) -> None:
    stub.send("signal.detected", {"signal_type": "interest", "start": 2.5, "probability": "low", "rationale": "One."})
    stub.send("signal.updated", {"signal_type": "interest", "start": 6, "probability": "high", "rationale": "Two."})
    bar = session.bars("interest")
    expect(bar.locator(".stretch")).to_have_text(["low", "high"], timeout=PATIENCE_MS)
    expect(bar).to_have_attribute("data-open", "true")
    stub.send("signal.ended", {"signal_type": "interest", "end": 9})
    expect(bar).to_have_attribute("data-open", "false")
    assert bar.get_attribute("aria-label") == "interest; 0:02.5 to 0:06, low: One.; 0:06 to 0:09, high: Two."
    stub.send("signal.detected", {"signal_type": "interest", "start": 12, "probability": "medium"})
    expect(bar).to_have_count(2)
    # Twice as long is twice as wide.
    widths = [box["width"] for stretch in bar.first.locator(".stretch").all() if (box := stretch.bounding_box())]
    assert widths[0] / widths[1] == pytest.approx(3.5 / 3, rel=0.05)


def test_engagement_and_periods_stand_on_the_same_axis(session: LivePage, stub: StubServer) -> None:
    stub.send("engagement.updated", {"state": "neutral", "start": 0})
    stub.send("engagement.updated", {"state": "engaged", "start": 10})
    stub.send(
        "conversation_quality.updated", {"overall": SCORES, "timeline": [{"start": 0, "end": 10, "values": SCORES}]}
    )
    stub.send("signal.detected", {"signal_type": "stress", "start": 10, "probability": "high"})
    bands, period, bar = session.page.locator(".band"), session.page.locator(".period"), session.bars("stress")
    expect(bar).to_be_visible(timeout=PATIENCE_MS)
    expect(bands).to_have_text(["neutral", "engaged"])
    lefts = [box["x"] for place in (bands.nth(1), bar) if (box := place.bounding_box())]
    assert lefts[0] == lefts[1]
    first, whole = bands.first.bounding_box(), period.bounding_box()
    assert first is not None
    assert whole is not None
    assert (first["x"], first["width"]) == (whole["x"], whole["width"])
    shown = session.page.locator("#overall-scores li")
    expect(shown).to_have_text(
        ["quality index60", "clarity61", "authority62", "energy63", "rapport64", "learning65"], use_inner_text=False
    )


def test_what_was_not_analysed_is_marked(session: LivePage, stub: StubServer) -> None:
    stub.send("coverage.dropped", {"ranges": [{"start": 3, "end": 6}]})
    stub.send("coverage.degraded", {"ranges": [{"start": 9, "end": 12}], "reason": "video_gap"})
    expect(session.page.locator(".gap")).to_have_count(2, timeout=PATIENCE_MS)
    session.said(session.events, "not analysed: 0:03 to 0:06", "video gap")


def test_the_chart_can_be_read_with_the_keyboard(session: LivePage, stub: StubServer) -> None:
    for kind, start in (("interest", 2), ("stress", 4)):
        stub.send("signal.detected", {"signal_type": kind, "start": start, "probability": "low", "rationale": kind})
    stub.send("signal.ended", {"signal_type": "interest", "end": 5})
    stub.send("signal.detected", {"signal_type": "interest", "start": 7, "probability": "high", "rationale": "again"})
    tip = session.page.get_by_role("tooltip")
    session.bars("interest").first.focus()
    session.said(tip, "0:02 to 0:05")
    session.page.keyboard.press("ArrowRight")
    session.said(tip, "again")
    session.page.keyboard.press("ArrowDown")
    session.said(tip, "since 0:04")
    session.page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_messages_that_nobody_foresaw_are_listed_and_harm_nothing(session: LivePage, stub: StubServer) -> None:
    stub.send_text("not json")
    stub.send_text("[]")
    stub.send_text('{"status": "processing", "segment": 1}')
    stub.send("mood.changed", {"mood": 1})
    stub.send("__proto__", None)
    stub.send("signal.detected", {"signals": [{"type": "agreement", "start": 3.0, "end": 11.0}]})
    stub.send("signal.updated", {"signal_type": "constructor", "start": 1})
    stub.send("signal.ended", {"signal_type": "agreement", "end": 1e300})
    stub.send("engagement.updated", {"state": "engaged", "start": 1e300})
    stub.send("conversation_quality.updated", {"overall": 3, "timeline": {"length": 9}})
    stub.send("session.closing", {"max_drain_seconds": {"toString": 1}})
    stub.send("error", {"code": 7, "message": {"toString": 1}, "link": 1, "segment": "x"})
    stub.send("signal.detected", {"signal_type": "stress", "start": 1, "probability": 'x" y', "rationale": 5})
    expect(session.bars("stress")).to_be_visible(timeout=PATIENCE_MS)
    session.said(session.events, "not JSON", "no envelope", "an older revision", "mood.changed", "passed over")
    session.said(session.problems, "an error without a code", "The server gave no message".lower())
    expect(session.page.locator(".lane")).to_have_count(1)
    expect(session.page.locator(".band, .period")).to_have_count(0)


def test_a_binary_message_of_the_server_is_listed_and_harms_nothing(session: LivePage, stub: StubServer) -> None:
    # Whatever is in it: this would be a message, were it text.
    stub.send_bytes(b'{"type": "signal.detected", "data": {"signal_type": "interest", "start": 1}}')
    stub.send("signal.detected", {"signal_type": "stress", "start": 1, "probability": "low"})
    expect(session.bars("stress")).to_be_visible(timeout=PATIENCE_MS)
    session.said(session.events, "76 binary bytes")
    expect(session.page.locator(".lane")).to_have_count(1)


# -- trouble ---------------------------------------------------------------------------------------


def test_an_error_shows_code_segment_message_advice_and_link(session: LivePage, stub: StubServer) -> None:
    link = "https://docs.interhuman.ai/api-reference/error-handling#ih6002-message-too-large"
    stub.send("error", {"code": "ih6002", "message": "40 MB are too many", "link": link, "segment": 3})
    session.said(session.problems, "Segment 3", "ih6002", "40 MB are too many.", "Make the segments shorter")
    assert session.problems.get_by_role("link").get_attribute("href") == link


def test_a_link_that_is_a_script_is_no_link(session: LivePage, stub: StubServer) -> None:
    stub.send("error", {"code": "ih6002", "message": "m", "link": "javascript:alert(1)", "segment": None})
    session.said(session.problems, "ih6002")
    expect(session.problems.get_by_role("link")).to_have_count(0)


def test_a_close_by_the_server_is_explained(session: LivePage, stub: StubServer) -> None:
    session.wait_for_segments(1)
    stub.close(1011, "as said")
    session.wait_for("over")
    session.said(session.problems, "1011", "failed internally", "as said", "lasted", "had been sent")
    session.said(session.fact("Close"), "1011")
    assert session.page.evaluate("() => window.tracks.map((track) => track.readyState)") == ["ended", "ended"]


def test_every_close_code_that_a_server_uses_has_a_meaning(live: LivePage) -> None:
    live.open()
    codes = [1000, 1001, 1006, 1008, 1011, 1013, 4003]
    meanings = live.page.evaluate(
        "async (codes) => { const { closeMeaning } = await import('/explain.js'); return codes.map(closeMeaning); }",
        [*codes, 4321],
    )
    assert len(set(meanings)) == len(codes) + 1
    assert "does not know" in meanings.pop()


def test_every_error_code_of_a_stream_comes_with_advice(live: LivePage) -> None:
    live.open()
    sessions = ["ih1001", "ih1003", "ih2003", "ih4005", "ih6001", "ih6003", "ih6004"]
    tokens = ["ih2001", "ih2002", "ih2010", "ih2011", "ih2014", "ih3001", "ih3002", "ih3003", "ih3006"]
    segments = ["ih4002", "ih4007", "ih5001", "ih5002", "ih5004", "ih5008", "ih6002"]
    codes = sessions + tokens + segments
    advice = live.page.evaluate(
        "async (codes) => { const { adviceFor } = await import('/explain.js'); return codes.map(adviceFor); }",
        [*codes, "ih9999"],
    )
    assert advice.pop() is None
    assert None not in advice
    assert len(set(advice)) == len(codes)


@pytest.mark.parametrize("opened", [True, False])
def test_a_silent_server_is_explained_and_given_up(live: LivePage, page: Page, opened: bool) -> None:
    if opened:
        StubServer(page)
    else:
        page.add_init_script("""
            window.WebSocket = class extends EventTarget {
              static CLOSED = 3;
              readyState = 0;
              protocol = "";
              bufferedAmount = 0;
              close() {}
            };
        """)
    page.clock.install(time=0)
    live.open(url=URL)
    # From here on no time passes but what the test lets pass.
    page.clock.pause_at(3600)
    live.start()
    live.wait_for("opened" if opened else "connecting")
    page.clock.run_for(9_900)
    expect(live.problems.locator("li")).to_have_count(0)
    page.clock.run_for(200)
    live.said(live.problems, "The server is silent", "session.ready" if opened else "did not answer", "10 seconds")
    page.clock.run_for(3_000)
    live.wait_for("over")
    assert page.evaluate("() => window.tracks.map((track) => track.readyState)") == ["ended", "ended"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAllowedError", "Allow both"),
        ("NotFoundError", "No camera, or no microphone, was found"),
        ("NotReadableError", "another program"),
        ("AbortError", "could not be opened (AbortError"),
    ],
)
def test_without_a_camera_it_says_why_and_never_connects(
    live: LivePage, stub: StubServer, name: str, words: str
) -> None:
    live.page.add_init_script(
        f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('so', '{name}'); }};"
    )
    live.open(url=URL)
    live.start()
    live.wait_for("over")
    live.said(live.problems, words)
    assert stub.texts == []


def test_without_a_recorder_it_says_so(live: LivePage) -> None:
    live.page.add_init_script("delete window.MediaRecorder;")
    live.open(url=URL)
    live.start()
    live.said(live.problems, "has no MediaRecorder")


def test_on_an_address_without_encryption_it_says_why_there_is_no_camera(live: LivePage, site: str) -> None:
    live.site = "http://live.example"
    live.page.route(
        "http://live.example/**",
        lambda route: route.fulfill(
            response=live.page.request.get(route.request.url.partition("?")[0].replace(live.site, site))
        ),
    )
    live.open(url=URL)
    live.start()
    live.said(live.problems, "only to pages that came over https, or from localhost")


def test_a_camera_that_is_unplugged_ends_the_session_gracefully(session: LivePage, stub: StubServer) -> None:
    session.page.evaluate("""() => {
        const camera = window.tracks.find((track) => track.kind === "video");
        camera.dispatchEvent(new Event("ended"));
    }""")
    session.wait_for("draining")
    session.said(session.problems, "The camera was unplugged")
    assert stub.texts[-1] == {"type": "session.close"}


# -- settings --------------------------------------------------------------------------------------


def test_the_address_presets_everything_and_the_key_leaves_it_at_once(live: LivePage) -> None:
    asked: list[str] = []
    live.page.on("request", lambda request: asked.append(request.url))
    live.open("a+b", url=URL, form="pair", overall=0, timeline=1, segment=4000, revision="v2")
    assert "a+b" not in live.page.url
    assert "#" not in live.page.url
    assert "form=pair" in live.page.url
    assert not [url for url in asked if "a+b" in url or "a%2Bb" in url]
    page = live.page
    expect(page.get_by_label("Credential")).to_have_value("a+b")
    expect(page.get_by_label("Credential")).to_have_attribute("type", "password")
    expect(page.get_by_label("Server URL")).to_have_value("ws://127.0.0.1:9/v2/stream/analyze")
    expect(page.get_by_label("v2")).to_be_checked()
    expect(page.get_by_label("a pair")).to_be_checked()
    expect(page.get_by_label("Overall, for")).not_to_be_checked()
    expect(page.get_by_label("Timeline, period")).to_be_checked()
    expect(page.get_by_label("Segment length")).to_have_value("4000")


def test_a_key_in_the_query_is_not_used_and_taken_away(live: LivePage) -> None:
    live.page.goto(f"{live.site}/?key=ih_live_seen&form=pair")
    expect(live.page.get_by_label("Credential")).to_have_value("ih_live_mock")
    expect(live.page).to_have_url(f"{live.site}/?form=pair")
    live.said(live.problems, "credential in its query")


def test_without_settings_it_streams_in_segments_of_three_seconds_to_its_own_origin(live: LivePage) -> None:
    live.open()
    expect(live.page.get_by_label("Server URL")).to_have_value(live.site.replace("http", "ws") + "/v1/stream/analyze")
    expect(live.page.get_by_label("Segment length")).to_have_value("3000")
    expect(live.page.get_by_label("the only subprotocol")).to_be_checked()


def test_the_recorder_is_told_three_seconds_and_the_first_format_that_can_be_recorded(
    live: LivePage, stub: StubServer
) -> None:
    live.page.add_init_script("""
        window.recorders = [];
        const Recorder = window.MediaRecorder;
        window.MediaRecorder = class extends Recorder {
          static isTypeSupported(format) {
            return !format.includes("vp9") && Recorder.isTypeSupported(format);
          }
          constructor(stream, options) {
            super(stream, options);
            this.told = { kinds: stream.getTracks().map((track) => track.kind).sort(), ...options };
            window.recorders.push(this.told);
          }
          start(timeslice) {
            this.told.timeslice = timeslice;
            super.start(timeslice);
          }
        };
    """)
    live.open(url=URL)
    live.start()
    live.wait_for("opened")
    # The config has gone, but the session is not ready: nothing is recorded yet.
    assert len(stub.texts) == 1
    assert live.page.evaluate("() => window.recorders.filter((told) => 'timeslice' in told)") == []
    stub.send("session.ready", READY)
    live.wait_for("live")
    assert live.page.evaluate("() => window.recorders") == [
        {"kinds": ["audio", "video"], "mimeType": "video/webm;codecs=vp8,opus", "timeslice": 3000}
    ]


def test_it_can_start_by_itself(live: LivePage, stub: StubServer) -> None:
    live.page.goto(f"{live.site}/?url={URL}&autostart=1")
    live.wait_for("opened")
    assert len(stub.texts) == 1


@pytest.mark.parametrize(
    ("settings", "key", "complaint"),
    [
        ({"url": "http://127.0.0.1:9/v1/stream/analyze"}, None, "ws:// or wss://"),
        ({"url": "nowhere"}, None, "not a URL"),
        ({"url": URL}, "a b", "Character 2 of the credential"),
        ({"url": URL, "form": "pair"}, "access_token", "access_token itself"),
    ],
)
def test_settings_that_cannot_work_are_said_at_their_field(
    live: LivePage, settings: dict[str, str], key: str | None, complaint: str
) -> None:
    live.open(key, **settings)
    live.start()
    texts = live.page.evaluate("() => [...document.querySelectorAll('input')].map((input) => input.validationMessage)")
    assert complaint in " ".join(texts)
    live.wait_for("idle")


# -- for everybody ---------------------------------------------------------------------------------


def test_enter_starts_and_the_focus_goes_to_the_button_that_works(live: LivePage, stub: StubServer) -> None:
    live.open(url=URL)
    live.page.get_by_role("button", name="Start").focus()
    live.page.keyboard.press("Enter")
    live.wait_for("opened")
    expect(live.page.locator("#stop")).to_be_focused()
    live.page.keyboard.press("Enter")
    live.wait_for("over")
    expect(live.page.locator("#start")).to_be_focused()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_it_fits_the_width_of_the_screen(session: LivePage, stub: StubServer, width: int) -> None:
    stub.send(
        "signal.detected", {"signal_type": "interest", "start": 200, "probability": "low", "rationale": "r" * 300}
    )
    stub.send("error", {"code": "ih5004", "message": "m" * 300, "link": None, "segment": 1})
    expect(session.bars("interest")).to_have_count(1, timeout=PATIENCE_MS)
    session.page.set_viewport_size({"width": width, "height": 800})
    assert session.page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_every_field_has_a_label_and_news_are_announced(live: LivePage) -> None:
    live.open()
    unlabelled = live.page.evaluate(
        "() => [...document.querySelectorAll('input')].filter((input) => input.labels.length === 0).length"
    )
    assert unlabelled == 0
    expect(live.page.get_by_role("status")).to_contain_text("Ready")
    live.page.add_init_script("delete window.MediaRecorder;")
    live.open(url=URL)
    live.start()
    expect(live.page.locator("[role=alert]")).to_contain_text("has no MediaRecorder")


def test_it_loads_nothing_from_elsewhere(live: LivePage) -> None:
    asked: list[str] = []
    live.page.on("request", lambda request: asked.append(request.url))
    live.open()
    assert asked
    assert [url for url in asked if not url.startswith((live.site + "/", "data:"))] == []
