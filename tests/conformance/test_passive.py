from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from builders import CORRELATION_ID, closing, detected, ended, engagement, error, ready, signal_ended

from ihproto import CLAUSES, REVISIONS, V0, V1, V2, Codec, Revision, ServerMessage, Side, clause, messages
from ihproto.automata import CLIENT_TABLE, ClientTrigger, Refusal
from ihproto.media import judge as media_judge
from ihproto.monitor import SessionMonitor
from ihproto.rules import (
    config,
    contract,
    coverage,
    envelope,
    errors,
    quality,
    segments,
    server,
    signals,
    status,
    windows,
)
from ihproto.rules import (
    engagement as engagement_rules,
)
from ihproto.wire import judge_answer
from ihproto_conformance import observer
from ihproto_conformance.passive import (
    MOST_EVIDENCE,
    judge_sessions,
    passive_checks,
    passive_results,
    report_sessions,
)
from ihproto_conformance.replay import judge_trace
from ihproto_conformance.trace import Binary, Close, Passed, Record, Request, Response, Text, Trace
from ihproto_conformance.verdict import Result, SessionLog, Severity, Status, Subject, Verdict

BOTH = list(Subject)
ALL = list(REVISIONS.values())


def ids_in(*things: object) -> set[str]:
    """The clauses that a piece of code names as values."""
    source = "\n".join(inspect.getsource(thing) for thing in things)  # type: ignore[arg-type]
    return set(re.findall(r'"([A-Z]{2,3}-\d+)"', source))


def refused(*prefixes: str) -> set[str]:
    """The clauses by which the table of the client refuses triggers whose names begin like this."""
    return {
        entry.clause_id
        for row in CLIENT_TABLE.values()
        for trigger, entry in row.items()
        if isinstance(entry, Refusal) and trigger.name.startswith(prefixes) and trigger is not ClientTrigger.FINISH
    }


def nameable_for_servers() -> set[str]:
    """All clauses that the code can name for a server, in whatever revision."""
    rules = (contract, coverage, engagement_rules, envelope, errors, quality, server, signals, status, windows)
    shapes = {
        cls.clause_id
        for cls in vars(messages).values()
        if isinstance(cls, type)
        and issubclass(cls, ServerMessage)
        and cls is not ServerMessage
        and hasattr(cls, "clause_id")
    }
    framings = {one.framing.clause_id for one in ALL} | {one.framing.same_session_clause for one in ALL}
    of_monitor = ids_in(SessionMonitor._observe_binary, SessionMonitor.observe_surplus, SessionMonitor.observe_lost)
    return (
        ids_in(*rules, config.ConfigRules, judge_answer)
        | shapes
        | framings
        | of_monitor
        | refused("RECEIVE")
        | {"CLS-3"}
    )


def nameable_for_clients() -> set[str]:
    """All clauses that the code can name for a client, in whatever revision."""
    asked = (config.unsupported, config._unsupported_goals, config._unsupported_model, config._unsupported_audio)
    return (
        ids_in(segments, media_judge, Codec.decode_client, *asked, SessionMonitor._observe_client_text)
        | ids_in(observer.judge_request, SessionMonitor.observe_lost)
        | {one for revision in ALL for one in revision.size_clauses}
        | refused("SEND")
        | {"CLS-3"}
    )


def in_table(subject: Subject) -> set[str]:
    return {check.clause.id for revision in ALL for check in passive_checks(revision, subject)}


def test_every_clause_that_can_be_named_for_a_server_has_a_check_and_no_other_has() -> None:
    assert in_table(Subject.SERVER) == nameable_for_servers()


def test_every_clause_that_can_be_named_for_a_client_has_a_check_and_no_other_has() -> None:
    assert in_table(Subject.CLIENT) == nameable_for_clients()


@pytest.mark.parametrize("revision", ALL, ids=lambda revision: revision.id)
def test_checks_hold_in_their_revision_and_have_ids_of_their_own(revision: Revision) -> None:
    checks = [check for subject in BOTH for check in passive_checks(revision, subject)]
    assert len({check.id for check in checks}) == len(checks)
    for check in checks:
        assert revision.id in check.clause.revisions
        assert re.fullmatch(r"[A-Z]+-\d+\.observed(-client)?", check.id)
        assert not check.title.endswith(".")
    for subject in BOTH:
        places = [list(CLAUSES).index(check.clause.id) for check in passive_checks(revision, subject)]
        assert places == sorted(places)


def test_ids_are_the_same_in_every_revision() -> None:
    names = {
        (check.clause.id, subject, check.id)
        for one in ALL
        for subject in BOTH
        for check in passive_checks(one, subject)
    }
    assert len({key[:2] for key in names}) == len(names)


# -- results --------------------------------------------------------------------------------------


def log(*passed: tuple[Side, Passed], revision: Revision = V1, number: int = 1) -> SessionLog:
    records = [Record(float(index), side, what) for index, (side, what) in enumerate(passed)]
    return judge_trace(Trace(revision, tuple(records)), number=number)


def says(*texts: str) -> list[tuple[Side, Passed]]:
    return [(Side.SERVER, Text(text)) for text in texts]


OPENING: list[tuple[Side, Passed]] = [
    (Side.CLIENT, Request("/v1/stream/analyze", (), "header")),
    (Side.SERVER, Response(101, (("x-correlation-id", CORRELATION_ID),))),
    *says(ready()),
]


def by_id(results: Iterable[Result]) -> dict[str, Result]:
    return {result.check.id: result for result in results}


def of(subject: Subject, *passed: tuple[Side, Passed], revision: Revision = V1) -> dict[str, Result]:
    return by_id(passive_results(revision, subject, [log(*passed, revision=revision)]))


def test_a_rule_that_was_kept_is_passed_as_often_as_it_was_at_stake() -> None:
    results = of(Subject.SERVER, *OPENING, *says(detected(start=1), signal_ended(end=2), detected(start=3)))
    assert (results["SIG-1.observed"].status, results["SIG-1.observed"].seen) == (Status.PASSED, 2)
    assert (results["SIG-4.observed"].status, results["SIG-4.observed"].seen) == (Status.PASSED, 3)
    assert (results["RDY-1.observed"].status, results["RDY-1.observed"].seen) == (Status.PASSED, 1)
    assert results["ENV-1.observed"].seen == 4


def test_a_rule_that_was_broken_fails_with_the_place_of_each_case() -> None:
    results = of(Subject.SERVER, *OPENING, *says(detected(), detected(), detected()))
    failed = results["SIG-1.observed"]
    assert (failed.status, failed.seen) == (Status.FAILED, 3)
    assert [(one.session, one.record, one.time) for one in failed.evidence] == [(1, 4, 4.0), (1, 5, 5.0)]
    assert all("$.data.signal_type" in one.what for one in failed.evidence)
    assert {id_ for id_, result in results.items() if result.status is Status.FAILED} == {"SIG-1.observed"}


def test_a_rule_that_was_not_at_stake_is_unseen_and_says_what_did_not_come() -> None:
    results = of(Subject.SERVER, *OPENING)
    unseen = results["COV-1.observed"]
    assert unseen.status is Status.UNSEEN
    assert unseen.reason == "no coverage.dropped or coverage.degraded came"
    assert results["CLS-3.observed"].reason == "no close frame came"
    assert results["RDY-3.observed"].reason == "no refusal of a session came"


def test_an_error_before_session_ready_is_a_refusal_and_one_after_it_is_none() -> None:
    assert of(Subject.SERVER, *OPENING[:2], *says(error("ih2003")))["RDY-3.observed"].status is Status.PASSED
    assert of(Subject.SERVER, *OPENING, *says(error("ih1001")))["RDY-3.observed"].status is Status.UNSEEN


def test_evidence_is_cut_off_where_it_helps_nobody_and_counted() -> None:
    results = of(Subject.SERVER, *OPENING, *says(detected(), *[detected()] * (MOST_EVIDENCE + 7)))
    evidence = results["SIG-1.observed"].evidence
    assert len(evidence) == MOST_EVIDENCE + 1
    assert evidence[-1].what == "the same 7 times more"


def test_each_side_answers_for_itself() -> None:
    session = (
        *OPENING,
        *says(detected()),
        (Side.CLIENT, Text('{"type": "session.close"}')),
        (Side.CLIENT, Binary(10, "0" * 64)),
        *says(closing(), signal_ended(), ended(), engagement()),
        (Side.SERVER, Close(1000)),
        (Side.CLIENT, Close(1000)),
        (Side.CLIENT, Text("{}")),
    )
    server_s = of(Subject.SERVER, *session)
    client_s = of(Subject.CLIENT, *session)
    assert [id_ for id_, result in server_s.items() if result.status is Status.FAILED] == ["CLS-1.observed"]
    assert [id_ for id_, result in client_s.items() if result.status is Status.FAILED] == [
        "CLS-2.observed",
        "CLS-3.observed-client",
    ]
    assert client_s["CLS-1.observed-client"].status is Status.PASSED
    assert client_s["SEG-10.observed"].seen == 1


def test_words_of_ours_cannot_be_said_by_a_server() -> None:
    fake = ready().replace("session.ready", "close")
    assert of(Subject.SERVER, *OPENING, *says(fake))["CLS-3.observed"].status is Status.UNSEEN


def test_texts_that_cannot_be_read_are_messages_all_the_same() -> None:
    results = of(Subject.SERVER, *OPENING, *says("nonsense", "[1]", '{"type": 7}'))
    assert (results["ENV-1.observed"].status, results["ENV-1.observed"].seen) == (Status.FAILED, 4)


def test_a_client_of_a_status_revision_sends_segments_only() -> None:
    request: tuple[Side, Passed] = (Side.CLIENT, Request("/v0/stream/analyze", (), "header"))
    accepted: tuple[Side, Passed] = (Side.SERVER, Response(101, (("x-correlation-id", "c"),)))
    results = of(Subject.CLIENT, request, accepted, (Side.CLIENT, Text("{}")), revision=V0)
    assert [id_ for id_, result in results.items() if result.status is Status.FAILED] == ["SEG-1.observed-client"]


def test_results_of_sessions_in_several_revisions_become_one_each() -> None:
    sessions = [
        (V1, log(*OPENING, *says(detected()), number=1)),
        (V2, log(*OPENING, *says(detected(), detected()), revision=V2, number=2)),
    ]
    results = judge_sessions(sessions)
    found = by_id(results)
    assert len(found) == len(results)
    assert found["SIG-1.observed"].status is Status.FAILED
    assert found["SIG-1.observed"].seen == 3
    assert [one.session for one in found["SIG-1.observed"].evidence] == [2]
    assert "SIG-8.observed" in found
    families = [result.check.clause.family for result in results]
    assert families == sorted(families, key=list(dict.fromkeys(families)).index)


def test_a_report_counts_as_severe_as_it_is_asked_to() -> None:
    sessions = [(V1, log(*OPENING, *says(detected("joy"))))]
    moment = datetime(2025, 1, 1, tzinfo=UTC)

    def verdict(fail_on: Severity, *subjects: Subject) -> Verdict:
        report = report_sessions(
            sessions,
            kind="trace",
            target="x",
            suite="y",
            started_at=moment,
            seconds=1.0,
            subjects=subjects or BOTH,
            fail_on=fail_on,
        )
        assert report.revision == "v1"
        return report.verdict

    assert clause("SIG-6").level.value == "should"
    assert verdict(Severity.FAILURE) is Verdict.CONFORMS
    assert verdict(Severity.WARNING) is Verdict.VIOLATIONS
    assert verdict(Severity.WARNING, Subject.CLIENT) is Verdict.CONFORMS
