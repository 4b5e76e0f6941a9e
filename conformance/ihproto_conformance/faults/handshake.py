"""Faults of the handshake: credentials, the answer to the upgrade, who is let in."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection

import attrs

from ihproto.wire import RawClose, UpgradeRequested
from ihproto_conformance.faults.blocks import (
    Instead,
    Message,
    another,
    answers,
    asks,
    body,
    change,
    close_with,
    error,
    refusal,
    says,
    set_header,
    together,
    with_key,
    withhold,
    without_credential,
)
from ihproto_conformance.faults.fault import Answer, Behaviour, Fault, Forward, Say, Talk

_EVERYWHERE = ("v1", "v0", "v0.2", "v1-window", "v2")
_ENVELOPES = ("v1", "v1-window", "v2")
_SUBPROTOCOL = "sec-websocket-protocol"
_CORRELATION = "x-correlation-id"


def _passes_over(count: int) -> Behaviour:
    """Take no notice of a credential that comes with so many subprotocols."""
    return asks(lambda request, talk: without_credential(request) if len(request.subprotocols) == count else request)


def _selects(choose: dict[int, int | str | None]) -> Behaviour:
    """Select something else, by how many subprotocols were offered: one of them by its place, or some text."""

    def other(answer: Answer, talk: Talk) -> Answer:
        offered = talk.request.subprotocols
        if answer.status != 101 or len(offered) not in choose:
            return answer
        chosen = choose[len(offered)]
        return set_header(answer, _SUBPROTOCOL, offered[chosen] if isinstance(chosen, int) else chosen)

    return answers(other)


def _header_of(accepted: bool, name: str, value: str | None) -> Behaviour:
    return answers(
        lambda answer, talk: set_header(answer, name, value) if (answer.status == 101) == accepted else answer
    )


def _send_back(answer: Answer, talk: Talk) -> Answer:
    return set_header(answer, "x-client-request-id", talk.request.client_request_id)


def _refuse_if(found: Collection[str], status: int = 400) -> Behaviour:
    """Refuse a request with one of some headers or parameters."""

    def other(request: UpgradeRequested, talk: Talk) -> UpgradeRequested | Answer:
        names = {name.decode() for name, _ in request.headers} | {name for name, _ in request.query}
        unknown = sorted(names & set(found))
        return refusal(status, "ih4005", f"what is {unknown[0]}?") if unknown else request

    return asks(other)


def _let_in(*error_ids: str | None, subprotocols: int | None = None) -> Behaviour:
    """Let people in that should stay outside.

    Args:
        error_ids: What a conforming server says to them.
        subprotocols: How many subprotocols they have to offer for that; None for any number.
    """

    def other(request: UpgradeRequested, talk: Talk) -> UpgradeRequested:
        denied = talk.denial is not None and talk.denial.error_id in error_ids
        return with_key(request, talk) if denied and subprotocols in (None, len(request.subprotocols)) else request

    return asks(other)


def _without(*names: str) -> Behaviour:
    """Leave members of the body of a refusal out."""
    return body(lambda error: json.dumps({name: error[name] for name in error if name not in names}).encode())


def _link(change: Callable[[str], str]) -> Behaviour:
    return body(lambda error: json.dumps({**error, "link": change(error["link"] or "")}).encode())


def _admit_then_refuse() -> Behaviour:
    """Accept any upgrade, and say what is wrong with the credential only then."""

    def ready(message: Message, talk: Talk) -> Instead:
        if talk.denial is None:
            yield message
            return
        yield another(message, "error", code="ih2001", message="the credential is not valid", link=None, segment=None)
        yield Say(RawClose(1008))
        yield Forward(RawClose(1000))

    return together(_let_in("ih2001", "ih2002"), says("session.ready", ready))


def _at_the_door(request: UpgradeRequested, talk: Talk) -> UpgradeRequested | Answer:
    """Refuse a credential without the scope by HTTP."""
    lacks = talk.denial is not None and talk.denial.error_id == "ih2003"
    return refusal(403, "ih2003", "the scope is missing") if lacks else request


FAULTS = (
    Fault("HS-2.passed-over", "Takes no notice of the Authorization header", _passes_over(0), _EVERYWHERE),
    Fault(
        "HS-3.passed-over", "Takes no notice of a credential that is the only subprotocol", _passes_over(1), _EVERYWHERE
    ),
    Fault(
        "HS-4.passed-over", "Takes no notice of a credential in a pair of subprotocols", _passes_over(2), _EVERYWHERE
    ),
    Fault("HS-5.none", "Selects no subprotocol", _selects({1: None, 2: None}), _EVERYWHERE),
    Fault("HS-5.credential-of-pair", "Selects the credential of a pair", _selects({2: 1}), _EVERYWHERE),
    Fault(
        "HS-5.mark-for-all",
        "Selects access_token also where the credential stood alone",
        _selects({1: "access_token"}),
        _EVERYWHERE,
    ),
    Fault(
        "HS-5.unasked",
        "Selects access_token also where nothing was offered",
        _selects({0: "access_token"}),
        _EVERYWHERE,
    ),
    Fault("HS-8.sent-back", "Sends the X-Client-Request-Id back", answers(_send_back), _EVERYWHERE),
    Fault(
        "HS-8.refused",
        "Refuses an upgrade with an X-Client-Request-Id",
        _refuse_if({"x-client-request-id"}),
        _EVERYWHERE,
    ),
    Fault(
        "HS-9.missing", "Accepts upgrades without X-Correlation-ID", _header_of(True, _CORRELATION, None), _EVERYWHERE
    ),
    Fault(
        "HS-9.missing-from-refusal",
        "Refuses upgrades without X-Correlation-ID",
        _header_of(False, _CORRELATION, None),
        _EVERYWHERE,
    ),
    Fault(
        "HS-9.another",
        "Has another X-Correlation-ID than its messages",
        _header_of(True, _CORRELATION, "another"),
        _ENVELOPES,
    ),
    Fault("HS-10.lets-nobody-in", "Accepts an upgrade without a credential", _let_in("ih2002"), _EVERYWHERE),
    Fault("HS-10.lets-anybody-in", "Accepts any credential", _let_in("ih2001"), _EVERYWHERE),
    Fault(
        "HS-10.believes-subprotocols",
        "Accepts any credential that comes as subprotocol",
        _let_in("ih2001", subprotocols=1),
        _EVERYWHERE,
    ),
    Fault(
        "HS-10.status",
        "Refuses an invalid credential with HTTP 403",
        answers(lambda answer, talk: attrs.evolve(answer, status=403) if answer.status == 401 else answer),
        _EVERYWHERE,
    ),
    Fault("HS-10.text", "Refuses with a body that is not JSON", body(lambda error: b"Unauthorized"), _EVERYWHERE),
    Fault("HS-10.no-body", "Refuses without a body", body(lambda error: b""), _EVERYWHERE),
    Fault(
        "HS-10.array",
        "Refuses with a list of errors as body",
        body(lambda error: json.dumps([error]).encode()),
        _EVERYWHERE,
    ),
    Fault("HS-10.no-error-id", "Refuses with a body without error_id", _without("error_id"), _EVERYWHERE),
    Fault("HS-10.after-upgrade", "Accepts any upgrade, and refuses the credential only then", _admit_then_refuse()),
    Fault("HS-11.at-the-door", "Refuses a credential without the scope by HTTP", asks(_at_the_door), _ENVELOPES),
    Fault("HS-11.accepted", "Takes a credential without the scope for one with it", _let_in("ih2003"), _ENVELOPES),
    Fault(
        "HS-11.code",
        "Tells a missing scope with ih2001",
        change("error", error("ih2003"), code="ih2001"),
        _ENVELOPES,
    ),
    Fault("HS-11.close-code", "Closes with 1008 for a missing scope", close_with(1008, 4003), _ENVELOPES),
    Fault(
        "HS-11.silent",
        "Closes with 4003 for a missing scope, without an error",
        withhold("error", error("ih2003")),
        _ENVELOPES,
    ),
    Fault(
        "HS-12.parameters",
        "Refuses upgrades with parameters that it does not know",
        _refuse_if({"ih_sdk", "ih_sdk_version"}),
        _EVERYWHERE,
    ),
    Fault(
        "HS-12.headers",
        "Refuses upgrades with headers that it does not know",
        _refuse_if({"x-interhuman-sdk"}),
        _EVERYWHERE,
    ),
    Fault("HS-14.any-origin", "Lets a client token in from any origin", _let_in(None), _ENVELOPES),
    Fault(
        "ERR-3.link",
        "Links to another page than the one on errors",
        _link(lambda link: "https://docs.interhuman.ai/"),
        _EVERYWHERE,
    ),
    Fault(
        "ERR-3.another-id",
        "Links to the description of another error",
        _link(lambda link: link.replace("#ih2", "#ih5")),
        _EVERYWHERE,
    ),
)
