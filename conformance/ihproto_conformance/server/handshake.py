"""The handshake: how a credential may come, what the answer holds, and who is turned down."""

from __future__ import annotations

import json
import re
from typing import Any

from ihproto import Error, LocalProtocolError, SessionReady
from ihproto.tokens import STREAM_SCOPE
from ihproto.wire import Credential, CredentialForm, UpgradeFailed, UpgradeRefused
from ihproto_conformance.server.exam import READY, Exam, Missing, NotAccepted, Probe
from ihproto_conformance.server.scenario import scenario
from ihproto_conformance.verdict import Check, Evidence

FORMS = {
    CredentialForm.HEADER: Check("HS-2.header", "A credential in the Authorization header is accepted"),
    CredentialForm.SUBPROTOCOL: Check("HS-3.subprotocol", "A credential as the only subprotocol is accepted"),
    CredentialForm.PAIR: Check("HS-4.pair", "A credential as the second subprotocol of a pair is accepted"),
}
SELECTED = Check("HS-5.selects", "The response selects the subprotocol that it has to select, where one was offered")
REQUEST_ID = Check("HS-8.request-id", "An X-Client-Request-Id is accepted, and not sent back")
CORRELATION = Check("HS-9.correlation-id", "The response that accepts an upgrade has an X-Correlation-ID header")
UNKNOWN = Check("HS-12.unknown", "Unknown query parameters and headers are disregarded")

#: What the published client sends besides, and a few that nobody does.
_UNKNOWN_HEADERS = (("X-Interhuman-SDK", "python/1.3.4"), ("X-Ihproto-Conformance", "1"))
_UNKNOWN_QUERY = (("ih_sdk", "python"), ("ih_sdk_version", "1.3.4"), ("ihproto_conformance", "1"))
_REQUEST_ID = "ihproto-conformance-4711"


@scenario(
    "handshake",
    "Open a session with a credential in each of its three forms, and with headers that nobody knows",
    (*FORMS.values(), SELECTED, REQUEST_ID, CORRELATION, UNKNOWN, READY),
    quick=True,
    connections=5,
)
async def handshake(exam: Exam) -> None:
    """Try all forms of the credential, and what must not matter."""
    for form, check in FORMS.items():
        await _try_form(exam, form, check)
    headers = [*_UNKNOWN_HEADERS]
    try:
        async with exam.open("unknown headers and query", headers=headers, query=_UNKNOWN_QUERY) as probe:
            await probe.ready()
            exam.passed(UNKNOWN)
    except (NotAccepted, Missing) as error:
        exam.failed(UNKNOWN, f"with headers and parameters that nobody knows, {error}")
    try:
        async with exam.open("X-Client-Request-Id", headers=[("X-Client-Request-Id", _REQUEST_ID)]) as probe:
            await probe.ready()
            _look_for_request_id(exam, probe)
    except (NotAccepted, Missing) as error:
        exam.failed(REQUEST_ID, f"with an X-Client-Request-Id, {error}")


async def _try_form(exam: Exam, form: CredentialForm, check: Check) -> None:
    try:
        async with exam.open(f"credential as {form.value}", credential=Credential(exam.target.key, form)) as probe:
            exam.passed(check)
            _look_at_answer(exam, probe, form)
            if exam.target.revision.announces:
                first = await probe.wait(lambda _: True)
                came = first is not None and isinstance(first.envelope.message, SessionReady)
                exam.check(READY, came, _instead_of_ready(probe), probe, first)
    except NotAccepted as error:
        if isinstance(error.event, UpgradeFailed) and "HS-5" in error.event.what:
            exam.passed(check)
            exam.note(SELECTED, Evidence(error.event.what, error.session))
        else:
            exam.note(check, Evidence(str(error), error.session))
    except LocalProtocolError as error:
        exam.not_applicable(check, f"the key cannot travel so: {error.violation.what}")
    for common in (SELECTED, CORRELATION, *([READY] if exam.target.revision.announces else [])):
        if form is CredentialForm.PAIR and common.id not in exam.results:
            exam.unseen(common, "no upgrade was accepted that it is about")


def _instead_of_ready(probe: Probe) -> str:
    if not probe.heard:
        return "no message came after the upgrade"
    return f"the first message is {probe.heard[0].envelope.type!r} instead of session.ready"


def _look_at_answer(exam: Exam, probe: Probe, form: CredentialForm) -> None:
    response = probe.observer.entries[1]
    found = {violation.clause.id: violation.what for violation in response.violations}
    if form is not CredentialForm.HEADER:
        exam.check(SELECTED, "HS-5" not in found, found.get("HS-5", ""), probe)
    exam.check(CORRELATION, "HS-9" not in found, found.get("HS-9", ""), probe)


def _look_for_request_id(exam: Exam, probe: Probe) -> None:
    text = repr(probe.observer.entries[1].record.passed) + "".join(heard.envelope.raw for heard in probe.heard)
    exam.check(REQUEST_ID, _REQUEST_ID not in text, "the X-Client-Request-Id came back", probe)


MISSING = Check("HS-10.missing", "An upgrade without a credential is refused with HTTP 401")
INVALID = Check("HS-10.invalid", "An upgrade with an invalid credential is refused with HTTP 401")
INVALID_SUBPROTOCOL = Check(
    "HS-10.invalid-subprotocol", "An invalid credential as subprotocol is refused with HTTP 401"
)
BODY = Check("HS-10.body", "The refusal has a JSON object with error_id, correlation_id, link and message as body")
LINK = Check("ERR-3.link", "The link of an error is documentation#<id>-<slug>")
REFUSED_CORRELATION = Check("HS-9.refusal", "The response that refuses an upgrade has an X-Correlation-ID header")
_LINK = re.compile(r"https://docs\.interhuman\.ai/api-reference/error-handling#ih[0-9]{4}-[a-z0-9-]+")
_INVALID = "ih_live_ihproto-conformance-invalid"


@scenario(
    "refusal",
    "Try to open a session without a credential, and with an invalid one",
    (MISSING, INVALID, INVALID_SUBPROTOCOL, BODY, LINK, REFUSED_CORRELATION),
    quick=True,
    connections=3,
    needs_session=False,
)
async def refusal(exam: Exam) -> None:
    """See that nobody gets in without a valid credential."""
    await _refused(exam, MISSING, None)
    await _refused(exam, INVALID, Credential(_INVALID))
    await _refused(exam, INVALID_SUBPROTOCOL, Credential(_INVALID, CredentialForm.SUBPROTOCOL))
    for check in (BODY, LINK, REFUSED_CORRELATION):
        if check.id not in exam.results:
            exam.unseen(check, "no upgrade was refused")


async def _refused(exam: Exam, check: Check, credential: Credential | None) -> None:
    try:
        async with exam.open(check.title, credential=credential) as probe:
            exam.failed(check, "the server accepted the upgrade", probe)
    except NotAccepted as error:
        event, session = error.event, error.session
        if isinstance(event, UpgradeFailed):
            exam.note(check, Evidence(event.what, session))
            return
        if event.status == 401:
            exam.passed(check)
        else:
            exam.note(check, Evidence(f"it was refused with HTTP {event.status} instead of 401", session, 1))
        _look_at_refusal(exam, event, session)


def _look_at_refusal(exam: Exam, event: UpgradeRefused, session: int) -> None:
    def put(check: Check, what: str | None) -> None:
        if what is None:
            exam.passed(check)
        else:
            exam.note(check, Evidence(what, session, 1))

    put(REFUSED_CORRELATION, None if event.correlation_id else "the refusal has no X-Correlation-ID header")
    body = _json_object(event.body)
    if body is None:
        put(BODY, "the body of the refusal is not a JSON object")
        return
    missing = [
        name for name in ("error_id", "correlation_id", "link", "message") if not isinstance(body.get(name), str)
    ]
    put(BODY, f"the body of the refusal has no text as {', '.join(missing)}" if missing else None)
    link = body.get("link")
    if isinstance(link, str):
        error_id = body.get("error_id")
        same = not isinstance(error_id, str) or f"#{error_id}-" in link
        matches = _LINK.fullmatch(link) is not None and same
        put(LINK, None if matches else f"the link is {link[:120]!r}")


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


SCOPE = Check("HS-11.scope", f"A credential without the scope {STREAM_SCOPE} gets ih2003 and close code 4003")
NOT_READY = Check("RDY-3.no-ready", "A session that is refused is closed without session.ready")


@scenario(
    "scope",
    "Open a session with a valid credential that lacks the scope for streams",
    (SCOPE, NOT_READY),
    applies=lambda revision: revision.id in SCOPE.clause.revisions,
)
async def scope(exam: Exam) -> None:
    """See what a credential without the scope gets."""
    if exam.target.unscoped_key is None:
        for check in scope_checks(exam):
            exam.not_asked(check, "it takes a valid credential without the scope: --unscoped-key-env")
        return
    try:
        async with exam.open("a credential without the scope", credential=exam.target.unscoped_key) as probe:
            error = await probe.wait_for(Error)
            ended = await probe.wait_ended()
            code = error.envelope.message.code if error and isinstance(error.envelope.message, Error) else "no error"
            closed = ended.code if ended is not None else None
            kept = (code, closed) == ("ih2003", 4003)
            exam.check(SCOPE, kept, f"it got {code}, and close code {closed}", probe, error)
            if exam.target.revision.announces and error is None and ended is None:
                exam.unseen(NOT_READY, "the session was not refused")
            elif exam.target.revision.announces:
                ready = probe.messages(SessionReady)
                exam.check(NOT_READY, not ready, "session.ready came", probe, ready[0] if ready else None)
    except NotAccepted as error:
        exam.note(SCOPE, Evidence(f"{error}; it is to be let through the upgrade and told then", error.session))
        if exam.target.revision.announces:
            exam.passed(NOT_READY)


def scope_checks(exam: Exam) -> list[Check]:
    """Those of the scenario `scope` that hold in the revision."""
    return [check for check in (SCOPE, NOT_READY) if exam.target.revision.id in check.clause.revisions]


ORIGIN = Check("HS-14.origin", "A client token that is bound to origins opens no session for another origin")


@scenario(
    "origin",
    "Open a session with a client token from an origin that it is not bound to",
    (ORIGIN,),
    needs_session=False,
    applies=lambda revision: revision.id in ORIGIN.clause.revisions,
)
async def origin(exam: Exam) -> None:
    """See that a token is of no use on another page."""
    if exam.target.bound_token is None:
        exam.not_asked(ORIGIN, "it takes a client token with allowed_origins: --bound-token-env")
        return
    headers = [("Origin", "https://ihproto.invalid")]
    try:
        async with exam.open("another origin", credential=exam.target.bound_token, headers=headers) as probe:
            exam.failed(ORIGIN, "the server accepted the upgrade", probe)
    except NotAccepted:
        exam.passed(ORIGIN)
