from __future__ import annotations

import pytest
from wire.raw import KEY, head

from ihproto import LocalProtocolError
from ihproto.wire import ClientConnection, Credential, Target


@pytest.mark.parametrize(
    ("url", "target", "authority"),
    [
        ("wss://api.interhuman.ai", Target(True, "api.interhuman.ai", 443, "/v1/stream/analyze"), "api.interhuman.ai"),
        ("wss://api.interhuman.ai/", Target(True, "api.interhuman.ai", 443, "/v1/stream/analyze"), "api.interhuman.ai"),
        ("wss://h.example/own/path", Target(True, "h.example", 443, "/own/path"), "h.example"),
        ("wss://h.example:443/p", Target(True, "h.example", 443, "/p"), "h.example"),
        ("wss://h.example:80/p", Target(True, "h.example", 80, "/p"), "h.example:80"),
        ("ws://localhost:8080/p", Target(False, "localhost", 8080, "/p"), "localhost:8080"),
        ("ws://localhost/p", Target(False, "localhost", 80, "/p"), "localhost"),
        ("ws://localhost:443/p", Target(False, "localhost", 443, "/p"), "localhost:443"),
        ("wss://[::1]:8443/p", Target(True, "::1", 8443, "/p"), "[::1]:8443"),
        ("wss://[2001:db8::1]/p", Target(True, "2001:db8::1", 443, "/p"), "[2001:db8::1]"),
        ("ws://127.0.0.1:9/p", Target(False, "127.0.0.1", 9, "/p"), "127.0.0.1:9"),
        ("WSS://H.Example/P", Target(True, "h.example", 443, "/P"), "h.example"),
    ],
)
def test_a_url_is_taken_apart(url: str, target: Target, authority: str) -> None:
    parsed = Target.parse(url)
    assert parsed == target
    assert parsed.authority == authority


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("wss://h.example?include[]=a&include[]=b", "/v1/stream/analyze?include[]=a&include[]=b"),
        ("wss://h.example/?include%5B%5D=a", "/v1/stream/analyze?include%5B%5D=a"),
        ("wss://h.example/a%20b/c?d=%C3%A9+f", "/a%20b/c?d=%C3%A9+f"),
        ("wss://h.example/p?a=b?c=d", "/p?a=b?c=d"),
    ],
)
def test_path_and_query_go_out_as_they_were_written(url: str, path: str) -> None:
    assert Target.parse(url).path == path
    sent = ClientConnection(0, Target.parse(url), Credential(KEY)).data_to_send(0)
    assert head(sent).line == f"GET {path} HTTP/1.1"


@pytest.mark.parametrize(
    "url",
    [
        "https://h.example/",
        "http://localhost/",
        "h.example/p",
        "",
        "wss:///p",
        "wss://:443/p",
        "wss://bücher.example/",
        "wss://h.example:port/",
        "wss://h.example:99999/",
        "wss://[::1/",
        "wss://h.example/ä",
        "wss://h.example/a b",
        "wss://h.example/p?q=ä",
    ],
)
def test_what_is_no_websocket_url_is_refused(url: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        Target.parse(url)
    assert caught.value.violation.clause.id == "HS-1"
    assert caught.value.violation.state == "CONNECTING"


@pytest.mark.parametrize("userinfo", [KEY, f"user:{KEY}", f":{KEY}", ""])
def test_a_user_name_or_password_is_refused_and_not_quoted(userinfo: str) -> None:
    with pytest.raises(LocalProtocolError, match="user name") as caught:
        Target.parse(f"wss://{userinfo}@h.example/")
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "mock",
        "127.0.0.1",
        "127.8.8.8",
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "[::1]",
        "[fd00::1]",
        "printer.local",
        "a.localhost",
        "db.internal",
        "x.test",
        "nas.lan",
    ],
)
def test_plain_text_is_for_local_servers(host: str) -> None:
    assert not Target.parse(f"ws://{host}/p").tls


@pytest.mark.parametrize("host", ["api.interhuman.ai", "8.8.8.8", "172.32.0.1", "[2606:4700::1111]", "local.example"])
def test_plain_text_to_a_public_host_is_refused_unless_it_is_allowed(host: str) -> None:
    with pytest.raises(LocalProtocolError, match="plain text") as caught:
        Target.parse(f"ws://{host}/p")
    assert caught.value.violation.clause.id == "HS-1"
    assert not Target.parse(f"ws://{host}/p", allow_plaintext=True).tls


@pytest.mark.parametrize("host", [f"{'a' * 64}.example", "a..example"])
def test_a_host_that_is_no_domain_name_is_refused_as_a_url_is(host: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        ClientConnection(0, Target.parse(f"wss://{host}/p"), Credential(KEY))
    assert caught.value.violation.clause.id == "HS-1"


@pytest.mark.parametrize("host", ["exa mple.com", 'exa"mple.com'])
def test_a_character_that_no_host_can_hold_is_refused(host: str) -> None:
    with pytest.raises(LocalProtocolError):
        Target.parse(f"wss://{host}/p")
