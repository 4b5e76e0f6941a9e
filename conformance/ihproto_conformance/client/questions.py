"""What is asked about a client when a scenario is over: each question is one check, and reads the record of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs

from ihproto import Side
from ihproto.wire.credentials import PAIR_MARK
from ihproto_conformance.client.visits import Run, Visit
from ihproto_conformance.trace import Lost
from ihproto_conformance.verdict import Check, Evidence, Result, Status

#: So many upgrade requests after the first are no more than a client that hopes for better times (HS-10).
MOST_ATTEMPTS = 5
_NO_MEDIA = "the client sent no segment"


@attrs.frozen
class Answer:
    """What became of a check in one scenario.

    Attributes:
        status: What became of it.
        evidence: What was found; not empty where the check was not passed.
        reason: Why there is nothing to judge.
        seen: How often there was something to look at.
    """

    status: Status
    evidence: tuple[Evidence, ...] = ()
    reason: str = ""
    seen: int = 0


def _judged(seen: int, faults: Iterable[Evidence], otherwise: Answer) -> Answer:
    """Failed where there are faults, passed where there was something to see, and something else where not."""
    found = tuple(faults)
    if found:
        return Answer(Status.FAILED, found, seen=max(seen, len(found)))
    return Answer(Status.PASSED, seen=seen) if seen else otherwise


def _blocked(why: str, *, by: str = "") -> Answer:
    what = f"{why}, see {by}" if by else why
    return Answer(Status.BLOCKED, (Evidence(what),), what)


def _unseen(why: str) -> Answer:
    return Answer(Status.UNSEEN, reason=why)


def _not_applicable(why: str) -> Answer:
    return Answer(Status.NOT_APPLICABLE, reason=why)


@attrs.frozen
class Question:
    """One check, and how to find out.

    Attributes:
        check: The check.
        answer: Reads the record; the client has connected at least once.
    """

    check: Check
    answer: Callable[[Run], Answer]

    def ask(self, run: Run) -> Result:
        """What became of the check in a run."""
        if run.exit.failure is not None:
            answer = _blocked(f"the client could not be started: {run.exit.failure}")
        elif not run.visits:
            answer = _blocked(never_connected(run))
        else:
            answer = self.answer(run)
        return Result(self.check, answer.status, (run.scenario,), answer.evidence, answer.reason, seen=answer.seen)


def never_connected(run: Run) -> str:
    """What to say about a run in which the client made no upgrade request."""
    why = f"the client never connected in the scenario {run.scenario}: {run.exit.words}"
    if run.unusable:
        return f"{why}, and what came was no upgrade request: {run.unusable[0]}"
    return f"{why}; it has to connect to the URL in IHPROTO_URL"


_Judge: TypeAlias = Callable[[Run], Answer]


def _question(id_: str, title: str) -> Callable[[_Judge], Question]:
    return lambda judge: Question(Check(id_, title), judge)


# -- the upgrade request ----------------------------------------------------------------------------


@_question("HS-1.path", "The client asks for the path of its revision")
def path(run: Run) -> Answer:
    """HS-1."""
    wrong = [
        visit.evidence(f"the upgrade request is for {visit.path!r}, not for {run.revision.path!r}", 0)
        for visit in run.visits
        if visit.request.path != run.revision.path
    ]
    return _judged(len(run.visits), wrong, _unseen(""))


@_question("HS-2.authorization", "The credential travels in the Authorization header, or else as a subprotocol")
def authorization(run: Run) -> Answer:
    """HS-2."""
    faults = []
    seen = 0
    for visit in run.visits:
        value = visit.request.authorization
        if value is not None:
            seen += 1
            scheme, _, credential = value.partition(" ")
            if scheme.lower() != "bearer":
                faults.append(visit.evidence("the Authorization header does not begin with 'Bearer '", 0))
            elif credential.strip() != run.key:
                faults.append(visit.evidence("the Authorization header holds another credential than IHPROTO_KEY", 0))
        elif not visit.request.subprotocols:
            faults.append(visit.evidence("the upgrade request holds no credential in any of the three forms", 0))
    return _judged(seen, faults, _not_applicable("the credential came as a subprotocol"))


@_question("HS-3.bare-credential", "A credential that is offered as a subprotocol is the only one offered")
def bare(run: Run) -> Answer:
    """HS-3."""
    visits = [
        visit
        for visit in run.visits
        if visit.request.authorization is None
        and visit.request.subprotocols
        and PAIR_MARK not in visit.request.subprotocols
    ]
    faults = []
    for visit in visits:
        offered = visit.request.subprotocols
        if run.key not in offered:
            faults.append(visit.evidence("the subprotocol that is offered is not the credential in IHPROTO_KEY", 0))
        elif len(offered) > 1:
            faults.append(visit.evidence(f"{len(offered) - 1} more are offered beside the credential", 0))
    return _judged(len(visits), faults, _not_applicable("the credential came in another form"))


@_question("HS-4.pair", "Two subprotocols for a credential are access_token and the credential, in this order")
def pair(run: Run) -> Answer:
    """HS-4."""
    visits = [visit for visit in run.visits if PAIR_MARK in visit.request.subprotocols]
    faults = []
    for visit in visits:
        offered = visit.request.subprotocols
        if run.key not in offered:
            faults.append(visit.evidence("access_token is offered without the credential in IHPROTO_KEY", 0))
        elif offered != (PAIR_MARK, run.key):
            places = f"at place {offered.index(PAIR_MARK) + 1} of {len(offered)}"
            faults.append(
                visit.evidence(f"the subprotocols are not access_token and the credential: it is {places}", 0)
            )
    return _judged(len(visits), faults, _not_applicable("the credential came in another form"))


@_question("HS-10.does-not-hammer", "A client that was refused by HTTP tries again a few times at most")
def hammer(run: Run) -> Answer:
    """HS-10."""
    attempts = len(run.visits)
    if attempts <= MOST_ATTEMPTS:
        return Answer(Status.PASSED, seen=attempts)
    late = run.visits[MOST_ATTEMPTS]
    what = f"the client made {attempts} upgrade requests, each of which was refused with HTTP status 401"
    return Answer(Status.FAILED, (late.evidence(what, 0),), seen=attempts)


@_question("HS-10.gives-up", "A client that was refused by HTTP comes to an end")
def gives_up(run: Run) -> Answer:
    """HS-10."""
    if not run.exit.hung:
        return Answer(Status.PASSED, seen=1)
    what = f"the client still ran {run.timeout:g} s after it was started, although the upgrade was refused"
    return Answer(Status.FAILED, (run.visits[-1].evidence(what),), seen=1)


# -- the beginning ----------------------------------------------------------------------------------


def _early_media(visit: Visit) -> list[Evidence]:
    ready = visit.said("session.ready")
    early = [index for index in visit.starts if ready is None or index < ready]
    return [visit.evidence("a segment began before session.ready was sent", index) for index in early[:1]]


@_question("RDY-4.waits-for-ready", "The client sends no media before session.ready has arrived")
def waits(run: Run) -> Answer:
    """RDY-4."""
    faults = [fault for visit in run.sessions for fault in _early_media(visit)]
    seen = sum(len(visit.starts) for visit in run.sessions)
    return _judged(seen, faults, _blocked(_NO_MEDIA))


@_question("RDY-4.begins-anew", "After a lost connection the client ends, or waits for session.ready again")
def anew(run: Run) -> Answer:
    """RDY-4."""
    faults = [fault for visit in run.sessions[1:] for fault in _early_media(visit)]
    if run.exit.hung and run.outlived:
        what = f"the connection was lost, and the client still ran {run.timeout:g} s after it was started"
        faults.append(run.visits[-1].evidence(what))
    cut = any(True for visit in run.sessions for _ in visit.of(Side.SERVER, Lost))
    return _judged(int(cut), faults, _blocked("the client was gone before its connection was cut"))


@_question("RDY-4.silent-when-refused", "A client that was refused by an error sends no media")
def refused(run: Run) -> Answer:
    """RDY-4."""
    faults = []
    seen = 0
    for visit in run.sessions:
        error = visit.said("error")
        if error is None:
            continue
        seen += 1
        late = [index for index in visit.starts if index > error]
        faults += [visit.evidence("a segment began after the session was refused", index) for index in late[:1]]
    return _judged(seen, faults, _blocked("the client was gone before its session was refused"))


# -- segments ---------------------------------------------------------------------------------------


@_question("SEG-2.within-contract", "No segment is larger than the contract allows")
def within(run: Run) -> Answer:
    """SEG-2."""
    faults = [
        visit.evidence(violation.what, index)
        for visit in run.sessions
        for index, entry in enumerate(visit.entries)
        for violation in entry.violations
        if violation.side is Side.CLIENT and violation.clause.id == "SEG-2"
    ]
    seen = sum(len(visit.starts) for visit in run.sessions)
    return _judged(seen, faults, _unseen(f"{_NO_MEDIA}, as one does whose segments are all too large"))


# -- going on ---------------------------------------------------------------------------------------


def _goes_on(run: Run) -> Answer:
    faults = [visit.end_of_it(run.timeout) for visit in run.sessions if not visit.ended_well]
    if faults and run.baseline is not None and not all(visit.ended_well for visit in run.baseline.sessions):
        return _blocked("the client does not end its sessions in order, whatever happens in them", by=ends.check.id)
    if not faults and not any(visit.starts for visit in run.sessions):
        return _blocked(_NO_MEDIA)
    return _judged(len(run.sessions), faults, _unseen(""))


def _goes_on_unharmed(run: Run) -> Answer:
    """The same where nothing was refused: then a client has no reason to come to another end than in `plain`."""
    answer = _goes_on(run)
    if answer.status is Status.PASSED and run.baseline is not None and run.baseline.exit.code == 0 != run.exit.code:
        what = f"{run.exit.words}, where nothing special happens with 0"
        return Answer(Status.FAILED, (run.sessions[-1].evidence(what),), seen=answer.seen)
    return answer


@_question("ENV-3.goes-on", "The client takes what it does not know, and goes on to a normal end")
def unknown(run: Run) -> Answer:
    """ENV-3."""
    return _goes_on_unharmed(run)


@_question("ENV-1.takes-fragments", "A text message is one message, however it is cut into fragments, and however long")
def fragments(run: Run) -> Answer:
    """ENV-1."""
    return _goes_on_unharmed(run)


@_question("ERR-2.goes-on", "After an error that leaves the session open the client goes on, or closes in order")
def errors(run: Run) -> Answer:
    """ERR-2."""
    return _goes_on(run)


# -- the end ----------------------------------------------------------------------------------------


@_question("CLS-1.ends-the-session", "The client ends its session by session.close or by a close frame")
def ends(run: Run) -> Answer:
    """CLS-1."""
    faults = [visit.end_of_it(run.timeout) for visit in run.sessions if not visit.ended_well]
    return _judged(len(run.sessions), faults, _unseen(""))


def _without_asking(run: Run) -> Answer:
    if all(visit.closed_first is not None for visit in run.sessions):
        return _not_applicable("the client ends its sessions by a close frame, not by session.close")
    return _blocked("the client did not send session.close", by=ends.check.id)


@_question("CLS-1.waits-for-ended", "After session.close the client waits for session.ended")
def waits_for_ended(run: Run) -> Answer:
    """CLS-1."""
    faults = []
    asking = [visit for visit in run.sessions if visit.asked_to_end is not None]
    for visit in asking:
        ended = visit.said("session.ended")
        gone = visit.closed_first if visit.closed_first is not None else visit.lost
        if gone is not None and (ended is None or gone < ended):
            faults.append(visit.evidence("the client left after session.close, but before session.ended", gone))
    return _judged(len(asking), faults, _without_asking(run))


@_question("CLS-2.no-media-after-close", "After session.close the client sends no media")
def no_media(run: Run) -> Answer:
    """CLS-2."""
    faults = []
    asking = [visit for visit in run.sessions if visit.asked_to_end is not None]
    for visit in asking:
        asked = visit.asked_to_end or 0
        late = [index for index in visit.starts if index > asked]
        faults += [visit.evidence("a segment began after session.close", index) for index in late[:1]]
    return _judged(len(asking), faults, _without_asking(run))


@_question("STS-5.stays-for-results", "The client stays until its last segment was completed or refused")
def stays(run: Run) -> Answer:
    """STS-5."""
    faults = []
    for visit in run.sessions:
        if visit.unanswered and visit.over_at is not None and visit.over_at < run.timeout:
            numbers = ", ".join(str(number) for number in visit.unanswered)
            gone = visit.closed_first if visit.closed_first is not None else visit.lost
            faults.append(visit.evidence(f"the client left before the server was done with segment {numbers}", gone))
    seen = sum(bool(visit.starts) for visit in run.sessions)
    return _judged(seen, faults, _blocked(_NO_MEDIA))


@_question("CLS-3.answers-close", "The client answers a close frame with one of its own")
def answers(run: Run) -> Answer:
    """CLS-3."""
    closed = [visit for visit in run.sessions if visit.closed(Side.SERVER) is not None and visit.closed_first is None]
    faults = [
        visit.evidence("the close frame of the server was not answered", visit.lost)
        for visit in closed
        if visit.closed(Side.CLIENT) is None
    ]
    return _judged(len(closed), faults, _unseen("the server did not close first"))


@_question("CLS-3.silent-after-close", "The client sends nothing after its close frame")
def silent(run: Run) -> Answer:
    """CLS-3."""
    faults = []
    seen = 0
    for visit in run.sessions:
        closed = visit.closed(Side.CLIENT)
        if closed is None:
            continue
        seen += 1
        late = [
            index
            for index, entry in enumerate(visit.entries)
            if index > closed and any(violation.clause.id == "CLS-3" for violation in entry.violations)
        ]
        faults += [visit.evidence("something came after the client's close frame", index) for index in late[:1]]
    return _judged(seen, faults, _unseen("the client sent no close frame"))


@_question("CLS-3.answers-pings", "The client answers a ping, as it answers the other frames that want an answer")
def pings(run: Run) -> Answer:
    """CLS-3: a ping is the other control frame that is to be answered (RFC 6455, section 5.5)."""
    pinged = [visit for visit in run.sessions if visit.pinged is not None]
    if not all(visit.pongs or visit.ended_well for visit in pinged):
        return _blocked("the session did not go on for long enough", by=fragments.check.id)
    faults = [
        visit.evidence("no ping of the server was answered, though the session went on for long enough")
        for visit in pinged
        if not visit.pongs
    ]
    return _judged(len(pinged), faults, _blocked("the client was gone before it was pinged"))


def comes_to_an_end(by: Question | None) -> Question:
    """Whether the client comes to an end once its session has.

    Args:
        by: The check about whether the client ends its session, None where the server does.
    """

    def judge(run: Run) -> Answer:
        if not run.exit.hung:
            return Answer(Status.PASSED, seen=1)
        last = run.visits[-1]
        if not run.outlived and by is not None and run.revision.id in by.check.clause.revisions:
            why = f"the session was not over {run.timeout:g} s after the client was started"
            return _blocked(why, by=by.check.id)
        what = f"the client still ran {run.timeout:g} s after it was started"
        if run.outlived:
            what = f"{what}, although its session was over {last.over_at:.1f} s after that"
        return Answer(Status.FAILED, (last.evidence(what),), seen=1)

    return Question(Check("CLS-3.comes-to-an-end", "Once its session is closed, the client comes to an end"), judge)
