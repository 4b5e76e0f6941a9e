"""The report for a browser: one page that needs nothing else, and reaches for nothing else.

What was judged is in the page as HTML, and can be read without a script. What passed in the sessions is in it as data,
of which the script makes lines when somebody looks. Its content security policy lets only this style and this script
in, by their hashes, and nothing from the network; that foreign text is never markup is seen to by the element tree.
"""

from __future__ import annotations

import base64
import hashlib
from collections import defaultdict
from collections.abc import Mapping
from importlib import resources
from typing import Any
from xml.etree import ElementTree

import attrs

from ihproto import Side
from ihproto_conformance.reports.describe import summary
from ihproto_conformance.reports.elements import Element, element
from ihproto_conformance.reports.foreign import as_json, encodable, printable
from ihproto_conformance.reports.page_parts import checks, clauses, head, notices, sessions
from ihproto_conformance.trace import Begins, Binary, Record, Request, Response, Text
from ihproto_conformance.verdict import Entry, Report

_FILES = resources.files(__package__)
# `<` could end the script or begin a comment in it; the separators are line ends to older scripts.
_ESCAPES = {
    b"<": b"\\u003c",
    b">": b"\\u003e",
    b"&": b"\\u0026",
    b"\xe2\x80\xa8": b"\\u2028",
    b"\xe2\x80\xa9": b"\\u2029",
}


def encode_html(report: Report) -> bytes:
    """The report as a page, in UTF-8."""
    style = _FILES.joinpath("page.css").read_text("utf-8")
    script = _FILES.joinpath("page.js").read_text("utf-8")
    policy = {
        "default-src": "'none'",
        "style-src": _source(style),
        "script-src": _source(script),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    page = element(
        "html",
        element(
            "head",
            element("meta", charset="utf-8"),
            element(
                "meta",
                http_equiv="Content-Security-Policy",
                content="; ".join(f"{directive} {source}" for directive, source in policy.items()),
            ),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("meta", name="referrer", content="no-referrer"),
            element("title", f"{report.verdict.value}: {report.target}"),
            _verbatim("style", style),
        ),
        element(
            "body",
            head(report),
            element("main", *notices(report), clauses(report), checks(report), sessions(report)),
            element("footer", f"Made by ihproto_conformance {report.version}. The rules are unofficial."),
            _verbatim("script", _data(report), type="application/json", id="data"),
            _verbatim("script", script),
        ),
        lang="en",
    )
    encoded: bytes = ElementTree.tostring(page, "utf-8", method="html")
    return b"<!doctype html>\n" + encoded + b"\n"


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _verbatim(tag: str, text: str, **attributes: str) -> Element:
    # The texts of these two elements are not escaped, by HTML's own rules.
    made = element(tag, **attributes)
    made.text = text
    return made


def _data(report: Report) -> str:
    proofs: dict[tuple[int | None, int | None], list[str]] = defaultdict(list)
    for result in report.results:
        if result.status.broken:
            for item in result.evidence:
                proofs[item.session, item.record].append(result.check.id)
    data = [
        {
            "number": session.number,
            "entries": [
                _entry(entry, list(dict.fromkeys(proofs[session.number, index])))
                for index, entry in enumerate(session.entries)
            ],
        }
        for session in report.sessions
    ]
    encoded = as_json(data)
    for dangerous, escape in _ESCAPES.items():
        encoded = encoded.replace(dangerous, escape)
    return encoded.decode()


def _entry(entry: Entry, proves: list[str]) -> dict[str, Any]:
    record = entry.record
    short = summary(record)
    fields: dict[str, Any] = {
        "time": f"{record.time:.3f}",
        "client": record.sender is Side.CLIENT,
        "kind": short.kind,
        "detail": short.detail,
        **_raw(record),
    }
    # Almost all have neither, and there may be thousands.
    if entry.violations:
        fields["violations"] = [
            {
                "clause": violation.clause.id,
                "level": violation.level.value,
                "side": violation.side.value,
                "text": printable(violation.what),
                "place": printable(f"{violation.path or 'the whole message'}, state {violation.state}"),
            }
            for violation in entry.violations
        ]
    if proves:
        fields["proves"] = proves
    return fields


def _raw(record: Record) -> Mapping[str, str]:
    """What is shown of a record when it is opened: lines to be shown as they are, and a body that may be JSON."""
    match record.passed:
        case Text(text):
            return {"body": encodable(text)}
        case Request(target, headers):
            return {"head": _lines(f"GET {target}", headers)}
        case Response(status, headers, body):
            return {"head": _lines(f"HTTP status {status}", headers), "body": encodable(body or "")}
        case Begins() | Binary() as binary:
            return {"body": as_json(attrs.asdict(binary)).decode()}
        case _:
            return {}


def _lines(first: str, headers: tuple[tuple[str, str], ...]) -> str:
    return encodable("\n".join([first, *(f"{name}: {value}" for name, value in headers)]))
