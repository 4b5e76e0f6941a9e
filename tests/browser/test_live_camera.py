"""The page against the mock server, with Chromium's fake camera."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from browser.page import PATIENCE_MS, LivePage
from commands import RunningMock
from playwright.sync_api import Request, expect

from ihproto.tokens import CLIENT_TOKENS_PATH, REVOKE_PATH
from ihproto_mock import DEFAULT_KEY

pytestmark = pytest.mark.browser

QUICK_SEGMENT_MS = 250


def client_token(mock: RunningMock, **caps: object) -> str:
    """A token as the server behind a page has it issued, for that page alone unless the caps say otherwise."""
    wanted = {"api_key": DEFAULT_KEY, "allowed_origins": [mock.base_url], **caps}
    answer = httpx.post(mock.base_url + CLIENT_TOKENS_PATH, json=wanted)
    answer.raise_for_status()
    return str(answer.json()["access_token"])


#: How a credential travels, and where it comes from.
CREDENTIALS: dict[str, tuple[str, Callable[[RunningMock], str]]] = {
    "single subprotocol": ("subprotocol", lambda mock: DEFAULT_KEY),
    "pair": ("pair", lambda mock: DEFAULT_KEY),
    "client token": ("subprotocol", client_token),
}


def the_camera_is_released(live: LivePage) -> bool:
    states = live.page.evaluate("() => window.tracks.map((track) => track.readyState)")
    return len(states) == 2 and set(states) == {"ended"}


def refused(log: str) -> list[dict[str, object]]:
    return [entry for entry in map(json.loads, log.splitlines()) if entry["refused"]]


def test_a_real_recording_brings_signals_engagement_and_scores_and_ends_gracefully(
    live: LivePage, start_mock: Callable[..., RunningMock]
) -> None:
    mock = start_mock()
    live.site = mock.base_url
    live.open()
    live.start()
    live.wait_for("live")

    # What the bundled scenario lets happen in the first ten seconds.
    agreement = live.bars("agreement")
    expect(agreement).to_have_attribute("data-open", "true", timeout=PATIENCE_MS)
    assert "since 0:01.5, medium: A slow nod" in str(agreement.get_attribute("aria-label"))
    expect(live.page.locator(".band").first).to_have_attribute("data-state", "engaged", timeout=PATIENCE_MS)
    expect(live.page.locator(".period")).to_have_count(1, timeout=PATIENCE_MS)
    assert str(live.page.locator(".period").get_attribute("aria-label")).startswith("0:00 to 0:10;")
    meters = live.page.get_by_role("meter")
    expect(meters).to_have_count(6)
    assert all(50 < float(str(meter.get_attribute("aria-valuenow"))) <= 100 for meter in meters.all())

    live.stop()
    live.wait_for("over")
    live.said(live.status, "Ended as asked", "session.ended")
    live.said(live.fact("Close"), "1000")
    expect(live.events.locator('[data-kind="session.ended"]')).to_contain_text("client_shutdown")
    expect(agreement).to_have_attribute("data-open", "false")
    expect(live.problems.locator("li")).to_have_count(0)
    assert the_camera_is_released(live)

    # The server looked into the media, and found one recording, whole and in order.
    _, log = mock.stop(signal.SIGTERM)
    assert refused(log) == []
    accepted = [entry for entry in map(json.loads, log.splitlines()) if entry["event"] == "segment accepted"]
    assert [entry["number"] for entry in accepted] == list(range(1, len(accepted) + 1))


@pytest.mark.parametrize("name", CREDENTIALS)
def test_every_form_of_credential_opens_a_whole_session(
    at_the_mock: LivePage, quick_mock: RunningMock, name: str
) -> None:
    live = at_the_mock
    form, credential = CREDENTIALS[name]
    live.open(credential(quick_mock), form=form, segment=QUICK_SEGMENT_MS)
    live.start()
    for what in (live.bars("agreement"), live.page.locator(".band"), live.page.locator(".period")):
        expect(what.first).to_be_visible(timeout=PATIENCE_MS)
    live.stop()
    live.wait_for("over")
    live.said(live.status, "Ended as asked", "session.ended")
    live.said(live.fact("Close"), "1000")
    live.said(live.fact("Subprotocol"), "access_token" if form == "pair" else "the credential")
    _, log = quick_mock.stop(signal.SIGTERM)
    (upgrade,) = [entry for entry in map(json.loads, log.splitlines()) if entry["event"] == "upgrade"]
    assert upgrade["credential"] == form
    assert refused(log) == []


def test_sections_of_quality_can_be_switched_while_the_session_runs(at_the_mock: LivePage) -> None:
    live = at_the_mock
    live.open(segment=QUICK_SEGMENT_MS, timeline=0)
    live.start()
    expect(live.fact("Config in force")).to_have_text("conversation quality overall", timeout=PATIENCE_MS)
    expect(live.page.locator("#overall-scores")).to_be_visible(timeout=PATIENCE_MS)
    expect(live.page.locator(".period")).to_have_count(0)

    live.page.get_by_label("Overall, for").uncheck()
    expect(live.fact("Config in force")).to_have_text("nothing beyond signals and engagement", timeout=PATIENCE_MS)
    live.page.get_by_label("Timeline, period").check()
    expect(live.fact("Config in force")).to_have_text("conversation quality timeline", timeout=PATIENCE_MS)
    expect(live.page.locator(".period").first).to_be_visible(timeout=PATIENCE_MS)


def test_on_a_page_from_elsewhere_a_wrong_key_is_said_in_a_sentence_that_does_not_show_it(
    live: LivePage, quick_mock: RunningMock
) -> None:
    live.open("ih_live_wrong", url=quick_mock.url)
    live.start()
    live.wait_for("over")
    live.said(live.problems, "refused", "credential", "log")
    assert "ih_live_wrong" not in live.page.locator("body").inner_text()
    assert the_camera_is_released(live)
    _, log = quick_mock.stop(signal.SIGTERM)
    assert "ih2001" in log


def test_served_by_the_server_itself_it_needs_no_settings(at_the_mock: LivePage) -> None:
    at_the_mock.open(autostart=0)
    at_the_mock.start()
    at_the_mock.wait_for("live")


def test_the_servers_own_page_can_tell_that_it_was_the_credential(at_the_mock: LivePage) -> None:
    asked: list[Request] = []
    at_the_mock.page.on("request", lambda request: asked.append(request))
    at_the_mock.open("ih_live_wrong")
    at_the_mock.start()
    at_the_mock.wait_for("over")
    at_the_mock.said(at_the_mock.problems, "does answer", "refused the credential")
    (question,) = [request for request in asked if request.url.endswith("/analyze")]
    assert "ih_live_wrong" not in json.dumps(question.all_headers()) + question.url


def test_revision_v2_takes_the_recording_as_well(live: LivePage, start_mock: Callable[..., RunningMock]) -> None:
    mock = start_mock()
    live.site = mock.base_url
    live.open(revision="v2")
    live.start()
    live.wait_for_segments(1)
    expect(live.fact("Server")).to_have_text(mock.url.replace("/v1/", "/v2/"))
    live.stop()
    live.wait_for("over")
    live.said(live.status, "Ended as asked", "session.ended")
    expect(live.problems.locator("li")).to_have_count(0)
    _, log = mock.stop(signal.SIGTERM)
    assert refused(log) == []
    (opened,) = [entry for entry in map(json.loads, log.splitlines()) if entry["event"] == "session opened"]
    assert (opened["revision"], opened["model"]) == ("v2", "inter-2")
    assert '"segment accepted"' in log


def test_a_client_token_for_other_pages_is_said_in_a_sentence(at_the_mock: LivePage, quick_mock: RunningMock) -> None:
    live = at_the_mock
    token = client_token(quick_mock, allowed_origins=["https://app.example"])
    live.open(token)
    live.start()
    live.wait_for("over")
    live.said(live.problems, "refused the credential", f"a client token for pages of other origins than {live.site}")
    assert token not in live.page.locator("body").inner_text()
    assert the_camera_is_released(live)
    _, log = quick_mock.stop(signal.SIGTERM)
    # The page then asked what there is, which is refused as well: it was no upgrade.
    assert [(entry["status"], entry.get("clause")) for entry in refused(log)] == [(403, "HS-14"), (426, None)]
    assert token not in log


def test_a_client_token_that_runs_out_of_video_is_said_with_the_segment(
    at_the_mock: LivePage, quick_mock: RunningMock
) -> None:
    live = at_the_mock
    # To this server a segment is eight seconds: one fits, a second one does not.
    live.open(client_token(quick_mock, max_video_seconds=10), segment=QUICK_SEGMENT_MS)
    live.start()
    live.said(live.problems, "Segment 2: ih3006", "Have a new one issued, with a larger budget")
    expect(live.bars("agreement").first).to_be_visible(timeout=PATIENCE_MS)
    live.stop()
    live.wait_for("over")
    live.said(live.status, "Ended as asked")


def test_a_client_token_that_is_revoked_ends_the_session_and_the_page_says_why(
    at_the_mock: LivePage, quick_mock: RunningMock
) -> None:
    live = at_the_mock
    token = client_token(quick_mock)
    live.open(token, segment=QUICK_SEGMENT_MS)
    live.start()
    expect(live.bars("agreement").first).to_be_visible(timeout=PATIENCE_MS)
    withdrawal = {"api_key": DEFAULT_KEY, "token": token}
    httpx.post(quick_mock.base_url + REVOKE_PATH, json=withdrawal).raise_for_status()
    live.wait_for("over")
    live.said(live.problems, "ih2014", "Somebody revoked this client token", "The server ended the session", "1008")
    live.said(live.fact("Close"), "1008", "a client token that was revoked")
    assert token not in live.page.locator("body").inner_text()
    assert the_camera_is_released(live)
    _, log = quick_mock.stop(signal.SIGTERM)
    assert token not in log


def test_an_origin_without_a_stream_endpoint_is_said_in_a_sentence(live: LivePage) -> None:
    live.open(url=f"{live.site.replace('http', 'ws')}/elsewhere/v1/stream/analyze")
    live.start()
    live.wait_for("over")
    live.said(
        live.problems, "no endpoint at /elsewhere/v1/stream/analyze", "404", "ws://127.0.0.1:8765/v1/stream/analyze"
    )


def test_a_server_that_is_not_running_is_said_in_a_sentence(live: LivePage) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        live.open(url=f"ws://127.0.0.1:{port}/v1/stream/analyze")
        live.start()
        live.wait_for("over")
    live.said(live.problems, f"server at 127.0.0.1:{port} is not running")
    assert the_camera_is_released(live)


def test_a_server_that_dies_is_said_with_what_was_sent(at_the_mock: LivePage, quick_mock: RunningMock) -> None:
    live = at_the_mock
    live.open(segment=QUICK_SEGMENT_MS)
    live.start()
    expect(live.bars("agreement").first).to_be_visible(timeout=PATIENCE_MS)
    quick_mock.process.kill()
    live.wait_for("over")
    live.said(live.problems, "The connection was cut", "1006", "lasted", "had been sent")
    live.said(live.fact("Close"), "1006")
    expect(live.page.get_by_role("button", name="Start")).to_be_enabled()
    assert the_camera_is_released(live)


def test_a_key_without_the_scope_is_explained(live: LivePage, start_mock: Callable[..., RunningMock]) -> None:
    mock = start_mock("--scoped-key", "ih_live_upload", "interhumanai.upload")
    live.site = mock.base_url
    live.open("ih_live_upload")
    live.start()
    live.wait_for("over")
    live.said(live.problems, "ih2003", "Use one that has the scope interhumanai.stream", "4003", "before session.ready")
    assert the_camera_is_released(live)


def test_markup_from_a_server_is_text(live: LivePage, start_mock: Callable[..., RunningMock], tmp_path: Path) -> None:
    image = '<img src=x onerror="window.harmed = true">'
    script = "<script>window.harmed = true</script>"
    scenario = tmp_path / "hostile.toml"
    scenario.write_text(
        f"""
        name = "hostile"
        [[signal]]
        type = "agreement"
        start = 1.0
        end = 90.0
        probability = "high"
        rationale = '{image}{script}'
        [[error]]
        at = 0.0
        code = "ih3001"
        message = '{script}{image}'
        """
    )
    mock = start_mock("--segment-seconds", "8", "--scenario", str(scenario))
    live.site = mock.base_url
    live.open(segment=QUICK_SEGMENT_MS)
    live.start()
    live.said(live.events.locator('[data-kind="signal.detected"]'), image + script)
    live.said(live.problems, script + image)
    live.bars("agreement").hover()
    live.said(live.page.get_by_role("tooltip"), image + script)
    assert live.page.locator("img").count() == 0
    assert live.page.locator("script").count() == 1
    assert live.page.evaluate("() => window.harmed") is None


def test_the_second_session_on_a_page_starts_from_nothing(at_the_mock: LivePage) -> None:
    live = at_the_mock
    live.open(segment=QUICK_SEGMENT_MS)
    for _ in range(2):
        live.start()
        expect(live.bars("agreement").first).to_be_visible(timeout=PATIENCE_MS)
        expect(live.events.locator('[data-kind="session.ready"]')).to_have_count(1)
        live.stop()
        live.wait_for("over")
        live.said(live.status, "Ended as asked")
