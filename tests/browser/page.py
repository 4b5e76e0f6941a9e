"""The live camera page, as a test holds it: opened with settings, and the server's side of its WebSocket."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote, urlencode

from playwright.sync_api import Locator, Page, WebSocketRoute, expect

#: How long something may take that depends on a process, on recording or on drawing, in milliseconds. Never waited out.
PATIENCE_MS = 30_000

READY = {
    "session_idle_timeout_seconds": 300,
    "session_max_duration_seconds": 3600,
    "min_segment_duration_seconds": 3,
    "min_segment_size_bytes": 1,
    "max_segment_size_bytes": 33_554_432,
    "supported_session_config_options": {"include": ["conversation_quality_overall", "conversation_quality_timeline"]},
}


class LivePage:
    """The page; `site` is the address that its files are served under."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.site = site
        self.problems = page.locator("#problems")
        self.status = page.locator("#status")
        self.events = page.locator("#events")

    def open(self, key: str | None = None, **query: str | int) -> None:
        """Open it with these settings in its address."""
        fragment = "" if key is None else f"#key={quote(key, safe='')}"
        self.page.goto(f"{self.site}/?{urlencode(query)}{fragment}")
        self.wait_for("idle")

    def start(self) -> None:
        self.page.get_by_role("button", name="Start").click()

    def stop(self) -> None:
        self.page.get_by_role("button", name="Stop").click()

    def wait_for(self, phase: str) -> None:
        expect(self.page.locator("body")).to_have_attribute("data-phase", phase, timeout=PATIENCE_MS)

    def wait_for_segments(self, number: int) -> None:
        """Wait until so many segments were sent, or more."""
        enough = re.compile(f"^([{number}-9]|[1-9][0-9]+) segments?,")
        expect(self.fact("Sent")).to_have_text(enough, timeout=PATIENCE_MS)

    def fact(self, name: str) -> Locator:
        return self.page.locator(f'[data-fact="{name}"]')

    def bars(self, lane: str) -> Locator:
        return self.page.locator(".lane").filter(has_text=lane).locator(".bar")

    def said(self, locator: Locator, *parts: str) -> None:
        """Wait until it shows each of these texts."""
        for part in parts:
            expect(locator).to_contain_text(part, timeout=PATIENCE_MS)


class StubServer:
    """The server's side of the page's WebSocket, in the test's own hands."""

    def __init__(self, page: Page) -> None:
        self.texts: list[dict[str, Any]] = []
        self.segments: list[bytes] = []
        self._route: WebSocketRoute | None = None
        page.route_web_socket("**/stream/analyze", self._take)

    def _take(self, route: WebSocketRoute) -> None:
        self._route = route
        route.on_message(self._note)

    def _note(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.segments.append(message)
        else:
            self.texts.append(json.loads(message))

    def send(self, kind: str, data: object) -> None:
        """Send an envelope."""
        envelope = {"type": kind, "timestamp": "2025-01-01T00:00:00.000000Z", "correlation_id": "c-1", "data": data}
        self.send_text(json.dumps(envelope))

    def send_text(self, text: str) -> None:
        assert self._route is not None
        self._route.send(text)

    def send_bytes(self, data: bytes) -> None:
        assert self._route is not None
        self._route.send(data)

    def close(self, code: int, reason: str = "") -> None:
        assert self._route is not None
        self._route.close(code=code, reason=reason)
