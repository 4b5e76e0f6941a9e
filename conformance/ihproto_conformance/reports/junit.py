"""The report for CI systems: JUnit XML, a suite for each family of clauses and a case for each check.

CI systems know four ends of a case. What makes the verdict `violations` has failed; what is broken and does not is
passed, with what was found as its output; what was not judged, or was expected to fail, was skipped, with the reason.
A report without a judgement has one case more, which is an error.
"""

from __future__ import annotations

from xml.etree import ElementTree

from ihproto.clauses import FAMILIES
from ihproto_conformance.reports.foreign import for_xml
from ihproto_conformance.reports.standing import plural
from ihproto_conformance.verdict import Evidence, Report, Result, Status

_COUNTED = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def encode_junit(report: Report) -> bytes:
    """The report as JUnit XML, in UTF-8."""
    root = ElementTree.Element("testsuites", name=for_xml(f"ihproto {report.kind} {report.target}"))
    for family, results in report.by_family().items():
        suite = _suite(root, report, f"{family} {FAMILIES[family]}")
        for result in results:
            _case(suite, report, result)
    if report.stale:
        suite = _suite(root, report, "Expected failures")
        for id_ in report.stale:
            case = _begin(suite, report, "expected", id_)
            _end(case, "failure", "it is on the list of expected failures, and passes: take it from the list", "stale")
    if report.unjudged is not None:
        case = _begin(_suite(root, report, "Judgement"), report, "judgement", "could be judged")
        _end(case, "error", report.unjudged, "unjudged")
    for suite in root:
        _count(suite)
    _count(root)
    root.set("time", f"{report.seconds:.3f}")
    ElementTree.indent(root, " ")
    encoded: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return encoded + b"\n"


def _suite(root: ElementTree.Element, report: Report, name: str) -> ElementTree.Element:
    suite = ElementTree.SubElement(root, "testsuite", name=name, timestamp=report.started_at.isoformat("T", "seconds"))
    properties = ElementTree.SubElement(suite, "properties")
    facts = {
        "target": report.target,
        "revision": report.revision,
        "suite": report.suite,
        "version": report.version,
        "sessions": str(len(report.sessions)),
        "media_seconds": f"{report.media_seconds:.3f}",
    }
    for key, value in facts.items():
        ElementTree.SubElement(properties, "property", name=key, value=for_xml(value))
    return suite


def _begin(suite: ElementTree.Element, report: Report, group: str, name: str) -> ElementTree.Element:
    names = {"classname": f"ihproto.{report.kind}.{report.revision}.{group}", "name": name}
    return ElementTree.SubElement(suite, "testcase", {key: for_xml(value) for key, value in names.items()})


def _end(case: ElementTree.Element, kind: str, message: str, type_: str, text: str = "") -> None:
    attributes = {"message": for_xml(message)}
    if kind != "skipped":
        attributes["type"] = type_
    ElementTree.SubElement(case, kind, attributes).text = for_xml(text) or None


def _case(suite: ElementTree.Element, report: Report, result: Result) -> None:
    case = _begin(suite, report, result.check.clause.id, result.check.id)
    if result.status.broken and result.expected:
        _end(case, "skipped", f"expected failure: {result.reason}", "expected")
        _output(case, _account(result))
    elif report.weighs(result):
        _end(case, "failure", _headline(result), result.check.severity.value, _account(result))
    elif result.counts:
        _output(case, f"{result.check.severity.value}, which does not count here\n{_account(result)}")
    elif result.status is not Status.PASSED:
        _end(case, "skipped", ": ".join(filter(None, (result.status.value, result.reason))), "")


def _output(case: ElementTree.Element, text: str) -> None:
    ElementTree.SubElement(case, "system-out").text = for_xml(text)


def _headline(result: Result) -> str:
    first = result.evidence[0].what if result.evidence else result.reason
    more = f" (and {plural(len(result.evidence) - 1, 'more finding')})" if len(result.evidence) > 1 else ""
    return f"{result.status.value}: {first or result.check.title}{more}"


def _account(result: Result) -> str:
    clause = result.check.clause
    lines = [
        f"Expected: {result.check.title}.",
        *(f"Found{_place(item)}: {item.what}." for item in result.evidence),
        f"{clause.id} ({clause.level.value}): {clause.sentence}",
    ]
    if result.scenarios:
        lines.append(f"Scenarios: {', '.join(result.scenarios)}.")
    return "\n".join(lines)


def _place(item: Evidence) -> str:
    places = []
    if item.session is not None:
        places.append(f"session {item.session}")
    if item.record is not None:
        places.append(f"record {item.record}")
    if item.time is not None:
        places.append(f"at {item.time:.3f} s")
    return f" ({', '.join(places)})" if places else ""


def _count(element: ElementTree.Element) -> None:
    cases = list(element.iter("testcase"))
    element.set("tests", str(len(cases)))
    for attribute, kind in _COUNTED.items():
        element.set(attribute, str(sum(case.find(kind) is not None for case in cases)))
