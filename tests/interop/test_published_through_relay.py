"""The published client, unmodified, with a relay between it and a mock server: nothing is added, nothing changed."""

from __future__ import annotations

import hashlib

import interhumanai
import pytest
from conformance.relayed import blamed
from interhumanai import stream as published
from interop.published import BOTH, ENDLESS, PIECES, Heard, client_of, converse, run

from ihproto import NominalScanner, SegmentFault, SegmentMedia, Side
from ihproto_conformance.relay import Relay
from ihproto_conformance.trace import Binary, Close, Request, Text
from ihproto_mock import MockServer

VERSIONS: list[published.StreamApiVersion] = ["v1", "v2"]


def relayed_client(mock: MockServer, relay: Relay) -> interhumanai.InterhumanClient:
    """A client that takes the relay for the service."""
    base_url = relay.url.replace("ws://", "http://", 1)
    return interhumanai.InterhumanClient(access_token=mock.key, base_url=base_url)


class Hashing(NominalScanner):
    """Any bytes are a segment; the hashes of all of them are kept."""

    def __init__(self, hashes: list[str]) -> None:
        super().__init__()
        self._hashes = hashes

    def begin(self, number: int) -> None:
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> SegmentFault | None:
        self._hash.update(data)
        return None

    def finish(self) -> SegmentMedia | SegmentFault:
        self._hashes.append(self._hash.hexdigest())
        return super().finish()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_whole_session_of_the_published_client_passes_unchanged(version: published.StreamApiVersion) -> None:
    arrived: list[str] = []

    async def body() -> tuple[Relay, Heard, Heard]:
        async with MockServer(scenario=ENDLESS, make_scanner=lambda contract: Hashing(arrived)) as mock:
            direct = await converse(client_of(mock).stream(api_version=version), PIECES, {"include": BOTH})
            async with Relay(mock.base_url.replace("http://", "ws://", 1)) as relay:
                stream = relayed_client(mock, relay).stream(api_version=version)
                relayed = await converse(stream, PIECES, {"include": BOTH})
        return relay, direct, relayed

    relay, direct, relayed = run(body)
    assert relayed.kinds == direct.kinds
    assert (relayed.errors, relayed.close.code) == ([], 1000)
    (session,) = relay.sessions
    assert session.revision.id == version
    assert blamed(session.entries) == []
    records = [entry.record for entry in session.entries]
    sent = [hashlib.sha256(piece).hexdigest() for piece in PIECES]
    # The same at the server with and without the relay, and in between.
    assert arrived == sent * 2
    assert [record.passed.sha256 for record in records if isinstance(record.passed, Binary)] == sent
    # What the client made of each message is what the server had said.
    told = [record for record in records if record.sender is Side.SERVER and isinstance(record.passed, Text)]
    assert len(told) == len(relayed.events)
    assert [type(record.passed) for record in records[-2:]] == [Close, Close]
    (asked,) = [record.passed for record in records if isinstance(record.passed, Request)]
    assert asked.credential is not None


def test_a_refusal_reaches_the_published_client_as_it_is() -> None:
    async def body() -> list[tuple[type[BaseException], str]]:
        found: list[tuple[type[BaseException], str]] = []
        async with MockServer() as mock, Relay(mock.base_url.replace("http://", "ws://", 1)) as relay:
            for base_url in (mock.base_url, relay.url.replace("ws://", "http://", 1)):
                client = interhumanai.InterhumanClient(access_token="ih_live_wrong", base_url=base_url)
                with pytest.raises(Exception, match="401") as caught:
                    await converse(client.stream(), [])
                found.append((caught.type, str(caught.value)))
        return found

    direct, relayed = run(body)
    assert direct == relayed
