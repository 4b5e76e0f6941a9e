from __future__ import annotations

import pytest
from wire.raw import KEY

from ihproto import LocalProtocolError
from ihproto.wire import Target


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("https://api.interhuman.ai", Target(True, "api.interhuman.ai", 443, "/"), "api.interhuman.ai"),
        ("https://api.interhuman.ai/", Target(True, "api.interhuman.ai", 443, "/"), "api.interhuman.ai"),
        ("wss://api.interhuman.ai", Target(True, "api.interhuman.ai", 443, "/"), "api.interhuman.ai"),
        ("http://localhost:8080", Target(False, "localhost", 8080, "/"), "localhost:8080"),
        ("ws://localhost:8080/", Target(False, "localhost", 8080, "/"), "localhost:8080"),
        ("http://127.0.0.1", Target(False, "127.0.0.1", 80, "/"), "127.0.0.1"),
        ("https://[::1]:8443", Target(True, "::1", 8443, "/"), "[::1]:8443"),
        ("HTTPS://H.Example", Target(True, "h.example", 443, "/"), "h.example"),
    ],
)
def test_the_address_of_a_service_is_taken_apart(url: str, target: Target, authority: str) -> None:
    parsed = Target.parse_service(url)
    assert parsed == target
    assert parsed.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h.example",
        "h.example",
        "",
        "https:///",
        "https://h.example/v1",
        "https://h.example//",
        "https://h.example?x=1",
        "https://h.example/#x",
        "https://h.example:99999",
        "https://bücher.example",
        "https://[::1",
    ],
)
def test_what_is_no_address_of_a_service_is_refused(url: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Target.parse_service(url)
    assert caught.value.violation.clause.id == "HS-1"


@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize("host", ["api.interhuman.ai", "8.8.8.8", "172.32.0.1"])
def test_plain_text_to_a_public_host_is_refused_unless_it_is_allowed(scheme: str, host: str) -> None:
    with pytest.raises(LocalProtocolError, match=r"plain text.*https://"):
        Target.parse_service(f"{scheme}://{host}")
    assert not Target.parse_service(f"{scheme}://{host}", allow_plaintext=True).tls


def test_a_password_is_refused_and_not_quoted() -> None:
    with pytest.raises(LocalProtocolError, match="user name") as caught:
        Target.parse_service(f"https://user:{KEY}@h.example")
    assert KEY not in str(caught.value)
