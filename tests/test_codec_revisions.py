"""Text to message and back in every revision: layouts, shapes, flavours, and what is refused with which clause.

`test_codec.py` has the same for the lifecycle messages of v1 in detail.
"""

from __future__ import annotations

import json
import types
import typing
from typing import Annotated, Any, Literal, Union

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihproto import messages as m
from ihproto import uploads
from ihproto.clauses import CLAUSES
from ihproto.codec import Codec, Envelope, decode_json, encode_json
from ihproto.errors import MalformedMessage
from ihproto.revisions import REVISIONS, V0, V0_2, V1, V1_WINDOW, V2, Revision

TIMESTAMP = "2025-01-01T00:00:00.000000Z"
CORRELATION_ID = "550e8400-e29b-41d4-a716-446655440000"
LINK = "https://docs.interhuman.ai/api-reference/error-handling#ih6002-message-too-large"
OVERSIZE = "Video chunk too large: 31000000 bytes (maximum: 20971520 bytes)"
SECRET = "ih_live_9f8e7d6c5b4a3210"

CODECS = {revision.id: Codec(revision) for revision in REVISIONS.values()}
every_revision = pytest.mark.parametrize("revision", REVISIONS.values(), ids=list(REVISIONS))

SCORES = m.QualityScores(72, 67, 68, 80, 75, 70)
SCORES_TEXT = '{"quality_index":72,"clarity":67,"authority":68,"energy":80,"rapport":75,"learning":70}'
NODS = m.SignalSpan("agreement", 5, 10, "high", "nods")
NODS_TEXT = '{"type":"agreement","start":5,"end":10,"probability":"high","rationale":"nods"}'


def encode(revision: Revision, message: m.ServerMessage) -> str:
    return CODECS[revision.id].encode_server(message, timestamp=TIMESTAMP, correlation_id=CORRELATION_ID)


def envelope(type_: str, data: str) -> str:
    return f'{{"type":"{type_}","timestamp":"{TIMESTAMP}","correlation_id":"{CORRELATION_ID}","data":{data}}}'


def v0(status: str, rest: str) -> str:
    return f'{{"status":"{status}",{rest}}}'


def v0_2(status: str, rest: str) -> str:
    return f'{{"status":"{status}","correlation_id":"{CORRELATION_ID}",{rest}}}'


def refusal(revision: Revision, text: str, *, client: bool = False) -> MalformedMessage | None:
    codec = CODECS[revision.id]
    try:
        if client:
            codec.decode_client(text)
        else:
            codec.decode_server(text)
    except MalformedMessage as error:
        return error
    return None


def place(revision: Revision, text: str, *, client: bool = False) -> tuple[str, str | None]:
    error = refusal(revision, text, client=client)
    assert error is not None, "it was not refused"
    return error.finding.clause.id, error.finding.path


#: Each message that v1 does not have, with its exact text, in each revision that has it.
TEXTS: list[Any] = [
    pytest.param(V0, m.SegmentProcessing(1, 1200000), v0("processing", '"segment":1,"bytes":1200000'), id="v0"),
    pytest.param(V0, m.SegmentSignals(1, ()), v0("result", '"segment":1,"signals":[]'), id="v0 nothing"),
    pytest.param(
        V0,
        m.SegmentSignals(1, (m.SignalSpan("agreement", 0.0, 5.0), m.SignalSpan("engagement", 2.3, 4.8))),
        v0(
            "result",
            '"segment":1,"signals":[{"type":"agreement","start":0.0,"end":5.0},'
            '{"type":"engagement","start":2.3,"end":4.8}]',
        ),
        id="v0 result",
    ),
    pytest.param(V0, m.SegmentCompleted(1), v0("completed", '"segment":1'), id="v0 completed"),
    pytest.param(V0, m.SegmentFailedText(2, OVERSIZE), v0("error", f'"segment":2,"error":"{OVERSIZE}"'), id="v0 error"),
    pytest.param(V0_2, m.SegmentProcessing(2, 0), v0_2("processing", '"segment":2,"bytes":0'), id="v0.2 processing"),
    pytest.param(V0_2, m.SegmentResult(2, ()), v0_2("result", '"segment":2,"signals":[]'), id="v0.2 nothing"),
    pytest.param(
        V0_2,
        m.SegmentResult(
            2,
            (NODS,),
            (m.EngagementSpan(5, 10, "engaged"),),
            m.ConversationQuality(SCORES, (m.TimelineEntry(5, 10, SCORES),)),
        ),
        v0_2(
            "result",
            f'"segment":2,"signals":[{NODS_TEXT}],"engagement_state":[{{"start":5,"end":10,"state":"engaged"}}],'
            f'"conversation_quality":{{"overall":{SCORES_TEXT},'
            f'"timeline":[{{"start":5,"end":10,"values":{SCORES_TEXT}}}]}}',
        ),
        id="v0.2 result",
    ),
    pytest.param(
        V0_2,
        m.SegmentResult(2, (), (), m.ConversationQuality(SCORES)),
        v0_2(
            "result",
            f'"segment":2,"signals":[],"engagement_state":[],"conversation_quality":{{"overall":{SCORES_TEXT}}}',
        ),
        id="v0.2 result with one section",
    ),
    pytest.param(V0_2, m.SegmentCompleted(2), v0_2("completed", '"segment":2'), id="v0.2 completed"),
    pytest.param(
        V0_2,
        m.SegmentFailed(2, "ih6002", "too large", LINK),
        v0_2("error", f'"segment":2,"error_id":"ih6002","message":"too large","link":"{LINK}"'),
        id="v0.2 error",
    ),
    pytest.param(
        V0_2,
        m.SegmentFailed(2, "ih9999", "?"),
        v0_2("error", '"segment":2,"error_id":"ih9999","message":"?","link":null'),
        id="v0.2 error without a link",
    ),
    pytest.param(
        V1_WINDOW,
        m.WindowSignals((m.SignalSpan("agreement", 3.0, 11.0, "high", "nods"), m.SignalSpan("stress", 3.0, 11.0))),
        envelope(
            "signal.detected",
            '{"signals":[{"type":"agreement","start":3.0,"end":11.0,"probability":"high","rationale":"nods"},'
            '{"type":"stress","start":3.0,"end":11.0}]}',
        ),
        id="v1-window signals",
    ),
    pytest.param(
        V1_WINDOW,
        m.WindowSignal("agreement", 3.0, 11.0, "high", "nods"),
        envelope(
            "signal.detected",
            '{"signal_type":"agreement","start":3.0,"end":11.0,"probability":"high","rationale":"nods"}',
        ),
        id="v1-window signal",
    ),
    pytest.param(
        V1_WINDOW,
        m.WindowEngagement("engaged", 3.0, 11.0),
        envelope("engagement.updated", '{"state":"engaged","start":3.0,"end":11.0}'),
        id="v1-window engagement",
    ),
    pytest.param(
        V1_WINDOW,
        m.ConversationQualityUpdated(SCORES),
        envelope("conversation_quality.updated", f'{{"overall":{SCORES_TEXT}}}'),
        id="v1-window quality",
    ),
    pytest.param(
        V1_WINDOW,
        m.Error("ih6002", "too large", LINK, 2),
        envelope("error", f'{{"code":"ih6002","message":"too large","link":"{LINK}","segment":2}}'),
        id="v1-window error",
    ),
    pytest.param(
        V2,
        m.SessionUpdated((), None, "inter-2"),
        envelope("session.updated", '{"include":[],"model":"inter-2"}'),
        id="v2 session.updated",
    ),
]

AUDIO_TEXT = '"audio_format":{"encoding":"pcm_s16le","sample_rate":24000,"channels":1}'
CONFIG_TEXTS: list[Any] = [
    pytest.param(V1_WINDOW, m.SessionConfig(["a"]), '{"include":["a"]}', id="v1-window"),
    pytest.param(V2, m.SessionConfig([], ["energy"]), '{"include":[],"goal_dimensions":["energy"]}', id="v2 goals"),
    pytest.param(V2, m.SessionConfig([], None, "inter-2"), '{"include":[],"model":"inter-2"}', id="v2 model"),
    pytest.param(
        V2,
        m.SessionConfig([], None, "inter-2-audio", m.AudioFormat(sample_rate=24000)),
        f'{{"include":[],"model":"inter-2-audio",{AUDIO_TEXT}}}',
        id="v2 audio",
    ),
    pytest.param(V2, m.SessionClose(), '{"type":"session.close"}', id="v2 session.close"),
]


# -- both ways -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("revision", "message", "text"), TEXTS)
def test_a_message_is_laid_out_as_its_revision_has_it(revision: Revision, message: m.ServerMessage, text: str) -> None:
    assert encode(revision, message) == text


@pytest.mark.parametrize(("revision", "message", "text"), TEXTS)
def test_a_message_is_read_together_with_what_its_revision_tells_around_it(
    revision: Revision, message: m.ServerMessage, text: str
) -> None:
    stamp = TIMESTAMP if revision in (V1_WINDOW, V2) else None
    id_ = CORRELATION_ID if revision is not V0 else None
    decoded = CODECS[revision.id].decode_server(text)
    assert decoded == Envelope(message, message.type, stamp, id_, text)
    assert type(decoded.message) is type(message)


def test_every_message_that_v1_does_not_have_is_among_the_examples() -> None:
    examples = {(param.values[0].id, type(param.values[1])) for param in TEXTS}
    for revision in (V0, V0_2, V1_WINDOW):
        assert {cls for id_, cls in examples if id_ == revision.id} == set(revision.messages)


@pytest.mark.parametrize(("revision", "message", "text"), CONFIG_TEXTS)
def test_a_config_goes_both_ways(revision: Revision, message: m.SessionConfig | m.SessionClose, text: str) -> None:
    assert CODECS[revision.id].encode_client(message) == text
    assert CODECS[revision.id].decode_client(text) == message


@pytest.mark.parametrize(
    "text",
    ['{"audio_format":{}}', '{"audio_format":{"channels":1,"later":[1]}}', '{"audio_format":{"sample_rate":16000}}'],
)
def test_cfg_8_what_is_left_out_of_an_audio_format_is_as_usual(text: str) -> None:
    assert CODECS["v2"].decode_client(text) == m.SessionConfig(audio_format=m.AudioFormat("pcm_s16le", 16000, 1))


@pytest.mark.parametrize("more", [', "added":{"deep":[null]}', ', "timestamp":1', ', "data":[]'])
@pytest.mark.parametrize("revision", [V0, V0_2])
def test_unknown_members_of_a_status_message_do_not_matter(revision: Revision, more: str) -> None:
    text = encode(revision, m.SegmentCompleted(7)).removesuffix("}") + more + "}"
    assert CODECS[revision.id].decode_server(text).message == m.SegmentCompleted(7)


def test_a_correlation_id_in_v0_is_a_member_like_any_other() -> None:
    decoded = CODECS["v0"].decode_server(encode(V0_2, m.SegmentCompleted(7)))
    assert decoded.message == m.SegmentCompleted(7)
    assert decoded.correlation_id is None


# -- flavours (WIN-3) -----------------------------------------------------------------------------------------


def window(data: str) -> m.ServerMessage | m.Unknown:
    return CODECS["v1-window"].decode_server(envelope("signal.detected", data)).message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"signals":[]}', m.WindowSignals(())),
        ('{"signal_type":"stress","start":3,"end":11}', m.WindowSignal("stress", 3, 11)),
        ('{"end":11,"probability":null,"start":3,"signal_type":"stress"}', m.WindowSignal("stress", 3, 11)),
        # Who sends both means the documented one.
        ('{"signal_type":"stress","start":3,"end":11,"signals":[]}', m.WindowSignals(())),
        # Who has the list wrong, and all of the other flavour, means that one.
        ('{"signal_type":"stress","start":3,"end":11,"signals":1}', m.WindowSignal("stress", 3, 11)),
    ],
)
def test_both_flavours_of_a_window_are_read(data: str, message: m.ServerMessage) -> None:
    assert window(data) == message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param('{"signal_type":"stress","start":3,"probability":"high"}', id="the lifecycle of v1"),
        pytest.param('{"type":"stress","start":3,"end":11}', id="neither of them"),
        pytest.param("{}", id="nothing"),
    ],
)
def test_what_is_in_neither_flavour_is_refused_in_the_words_of_the_documented_one(data: str) -> None:
    error = refusal(V1_WINDOW, envelope("signal.detected", data))
    assert error is not None
    assert (error.finding.clause.id, error.finding.path) == ("WIN-3", "$.data")
    assert error.type == "signal.detected"
    assert "`signals`" in error.finding.what


def test_what_is_nearly_the_other_flavour_is_refused_in_its_words() -> None:
    error = refusal(V1_WINDOW, envelope("signal.detected", '{"signal_type":"stress","start":"soon","end":11}'))
    assert error is not None
    assert (error.finding.clause.id, error.finding.path) == ("WIN-3", "$.data.start")


def test_engagement_without_an_end_is_of_another_revision() -> None:
    text = encode(V1, m.EngagementUpdated("engaged", 3))
    assert place(V1_WINDOW, text) == ("WIN-3", "$.data")


@pytest.mark.parametrize("revision", [V1, V2])
def test_the_signals_of_a_window_are_of_another_revision(revision: Revision) -> None:
    assert place(revision, encode(V1_WINDOW, m.WindowSignals(()))) == ("SIG-1", "$.data")


@pytest.mark.parametrize(
    ("one", "other"), [(V0, V1_WINDOW), (V0_2, V1), (V1_WINDOW, V0), (V1, V0_2), (V2, V0), (V0, V0_2)]
)
def test_a_message_of_another_layout_is_refused_as_a_whole(one: Revision, other: Revision) -> None:
    said = {V0: m.SegmentCompleted(1), V0_2: m.SegmentCompleted(1)}.get(one, m.Error("ih1001", "x"))
    clause_id = "STS-1" if other in (V0, V0_2) else "ENV-1"
    assert place(other, encode(one, said)) == (clause_id, "$")


# -- unknown is not wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", ['"segment":1', '"segment":"x","bytes": [1, 2.50]', '"error" : {"\\u00e9": 1e999}'])
def test_an_unknown_status_keeps_the_whole_text(rest: str) -> None:
    for revision, text in ((V0, v0("queued", rest)), (V0_2, v0_2("queued", rest))):
        text = f" {text}\n"
        decoded = CODECS[revision.id].decode_server(text)
        assert decoded.message == m.Unknown(text)
        assert (decoded.type, decoded.raw) == ("queued", text)


@pytest.mark.parametrize("type_", ["session.ready", "session.updated", "signal.ended", "coverage.dropped", "result"])
def test_the_messages_of_v1_are_unknown_in_v1_window(type_: str) -> None:
    assert CODECS["v1-window"].decode_server(envelope(type_, '{"a": 1}')).message == m.Unknown('{"a": 1}')


# -- malformed --------------------------------------------------------------------------------------------------

NOT_JSON = [
    *("", "{", "{}x", "{'a':1}", '{"a":NaN}', "null", "1", '"{}"', "[]", "[" * 100_000, '{"a":' * 100_000),
    *('{"a":"\ud800"}', '{"a":"\\ud800"}', "\ufeff{}", '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
]


@every_revision
@pytest.mark.parametrize("text", NOT_JSON, ids=range(len(NOT_JSON)))
def test_what_is_no_json_object_is_no_message(revision: Revision, text: str) -> None:
    assert place(revision, text) == (revision.framing.clause_id, "$")
    assert place(revision, text, client=True) == ("CFG-1", "$")


@pytest.mark.parametrize(
    ("revision", "members"),
    [
        (V0, ["status"]),
        (V0_2, ["status", "correlation_id"]),
        (V1_WINDOW, ["type", "timestamp", "correlation_id", "data"]),
        (V2, ["type", "timestamp", "correlation_id", "data"]),
    ],
)
def test_a_message_lacks_nothing_of_its_layout(revision: Revision, members: list[str]) -> None:
    said = m.SegmentCompleted(1) if "status" in members else m.Error("ih1001", "x")
    whole = json.loads(encode(revision, said))
    clause_id = "STS-1" if "status" in members else "ENV-1"
    for member in members:
        rest = {name: value for name, value in whole.items() if name != member}
        error = refusal(revision, json.dumps(rest))
        assert error is not None
        assert (error.finding.clause.id, error.finding.path) == (clause_id, "$")
        assert f"`{member}`" in error.finding.what
        if member != "data":
            assert place(revision, json.dumps(whole | {member: 1})) == (clause_id, f"$.{member}")


@pytest.mark.parametrize(
    ("revision", "text", "clause_id", "path", "what"),
    [
        (V0, v0("processing", '"segment":1'), "STS-1", "$", "`bytes`"),
        (V0, v0("processing", '"segment":"1","bytes":2'), "STS-1", "$.segment", "str"),
        (V0, v0("processing", '"segment":1,"bytes":2.5'), "STS-1", "$.bytes", "float"),
        (V0, v0("processing", f'"segment":1,"bytes":{2**53}'), "STS-1", "$.bytes", str(2**53 - 1)),
        (V0, v0("result", '"segment":1'), "STS-1", "$", "`signals`"),
        (V0, v0("result", '"segment":1,"signals":{}'), "STS-1", "$.signals", "object"),
        (V0, v0("result", '"segment":1,"signals":[{"type":"a","start":1}]'), "STS-1", "$.signals[0]", "`end`"),
        (
            V0,
            v0("result", f'"segment":1,"signals":[{NODS_TEXT},{{"type":1,"start":1,"end":2}}]'),
            "STS-1",
            "$.signals[1].type",
            "int",
        ),
        (V0, v0("completed", '"segment":null'), "STS-1", "$.segment", "null"),
        (V0, v0("error", '"segment":1,"error_id":"ih6002","message":"m"'), "STS-1", "$", "`error`"),
        (V0, v0("error", '"segment":1,"error":{}'), "STS-1", "$.error", "object"),
        (V0_2, v0_2("processing", '"bytes":1'), "STS-1", "$", "`segment`"),
        (V0_2, v0_2("result", '"segment":1,"signals":null'), "STS-1", "$.signals", "null"),
        (
            V0_2,
            v0_2("result", '"segment":1,"signals":[],"engagement_state":[{"start":1,"end":2}]'),
            "STS-1",
            "$.engagement_state[0]",
            "`state`",
        ),
        (
            V0_2,
            v0_2("result", f'"segment":1,"signals":[{NODS_TEXT.replace("10", "true")}]'),
            "STS-1",
            "$.signals[0].end",
            "bool",
        ),
        (
            V0_2,
            v0_2("result", '"segment":1,"signals":[],"conversation_quality":{"overall":{}}'),
            "CQI-5",
            "$.conversation_quality.overall",
            "`quality_index`",
        ),
        (
            V0_2,
            v0_2("result", '"segment":1,"signals":[],"conversation_quality":{"timeline":[{"start":1,"end":"2"}]}'),
            "STS-1",
            "$.conversation_quality.timeline[0].end",
            "str",
        ),
        (V0_2, v0_2("completed", '"segment":1e999'), "STS-1", "$.segment", "range"),
        (V0_2, v0_2("error", f'"segment":2,"error":"{OVERSIZE}"'), "STS-1", "$", "`error_id`"),
        (V0_2, v0_2("error", '"segment":2,"error_id":"ih6002"'), "STS-1", "$", "`message`"),
        (V0_2, v0_2("error", '"segment":2,"error_id":"i","message":"m","link":1'), "STS-1", "$.link", "int"),
        (V1_WINDOW, envelope("signal.detected", '{"signals":{}}'), "WIN-3", "$.data.signals", "object"),
        (V1_WINDOW, envelope("signal.detected", '{"signals":[1]}'), "WIN-3", "$.data.signals[0]", "int"),
        (
            V1_WINDOW,
            envelope("signal.detected", '{"signals":[{"signal_type":"a","start":1,"end":2}]}'),
            "WIN-3",
            "$.data.signals[0]",
            "`type`",
        ),
        (
            V1_WINDOW,
            envelope("signal.detected", f'{{"signals":[{NODS_TEXT.replace("5", "[]")}]}}'),
            "WIN-3",
            "$.data.signals[0].start",
            "array",
        ),
        (V1_WINDOW, envelope("engagement.updated", '{"start":3,"end":11}'), "WIN-3", "$.data", "`state`"),
        (
            V1_WINDOW,
            envelope("engagement.updated", '{"state":"engaged","start":3,"end":null}'),
            "WIN-3",
            "$.data.end",
            "null",
        ),
        (V1_WINDOW, envelope("error", '{"code":1,"message":""}'), "ERR-1", "$.data.code", "int"),
        (V2, envelope("session.updated", '{"model":1}'), "CFG-2", "$.data.model", "int"),
        (
            V2,
            envelope("signal.detected", '{"signal_type":"stress","start":0,"modality":1}'),
            "SIG-1",
            "$.data.modality",
            "int",
        ),
    ],
)
def test_a_malformed_message_is_refused_with_its_clause_and_place(
    revision: Revision, text: str, clause_id: str, path: str, what: str
) -> None:
    error = refusal(revision, text)
    assert error is not None
    assert (error.finding.clause.id, error.finding.path) == (clause_id, path)
    assert what in error.finding.what
    assert error.type == json.loads(text)[revision.framing.discriminator]
    assert revision.id in CLAUSES[clause_id].revisions


@pytest.mark.parametrize(
    ("revision", "text", "path", "what"),
    [
        (V1_WINDOW, '{"type":"session.close"}', "$.type", "'type'"),
        (V1_WINDOW, '{"goal_dimensions":[]}', "$.goal_dimensions", "its keys are include"),
        (V1_WINDOW, '{"model":"inter-2"}', "$.model", "its keys are include"),
        (V1_WINDOW, '{"include":"a"}', "$.include", "str"),
        (V1, '{"audio_format":{}}', "$.audio_format", "its keys are include, goal_dimensions"),
        (V2, '{"models":"inter-2"}', "$.models", "include, goal_dimensions, model, audio_format"),
        (V2, '{"model":["inter-2"]}', "$.model", "array"),
        (V2, '{"audio_format":"pcm_s16le"}', "$.audio_format", "str"),
        (V2, '{"audio_format":{"encoding":"opus"}}', "$.audio_format.encoding", ""),
        (V2, '{"audio_format":{"sample_rate":44100}}', "$.audio_format.sample_rate", ""),
        (V2, '{"audio_format":{"sample_rate":16000.5}}', "$.audio_format.sample_rate", "float"),
        (V2, '{"audio_format":{"channels":2}}', "$.audio_format.channels", ""),
        (V2, '{"audio_format":{"channels":"1"}}', "$.audio_format.channels", "str"),
        (V2, '{"type":"session.open"}', "$.type", "'type'"),
    ],
)
def test_a_config_of_the_wrong_shape_is_refused_with_its_place(
    revision: Revision, text: str, path: str, what: str
) -> None:
    error = refusal(revision, text, client=True)
    assert error is not None
    assert (error.finding.clause.id, error.finding.path) == ("CFG-5", path)
    assert what in error.finding.what


@pytest.mark.parametrize("revision", [V1_WINDOW, V1, V2])
def test_session_close_is_understood_where_sessions_drain(revision: Revision) -> None:
    error = refusal(revision, '{"type":"session.close"}', client=True)
    assert (error is None) == (revision in (V1, V2))


@pytest.mark.parametrize("depth", range(150, 1300, 25))
def test_any_depth_of_an_audio_format_is_either_decoded_or_refused(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    error = refusal(V2, f'{{"audio_format":{{"later":{deep}}}}}', client=True)
    assert error is None or error.finding.clause.id in {"CFG-1", "CFG-5"}


@pytest.mark.parametrize(("revision", "message", "text"), TEXTS)
def test_a_refusal_repeats_no_value(revision: Revision, message: m.ServerMessage, text: str) -> None:
    whole = json.loads(text)
    for name in [*whole, *whole.get("data", {})]:
        for put in (SECRET, [SECRET], {SECRET[:3]: SECRET}, 987654321.5):
            inner = {"data": {**whole.get("data", {}), name: put}} if name not in whole else {name: put}
            error = refusal(revision, json.dumps({**whole, **inner}))
            if error is not None:
                assert SECRET not in f"{error!r} {error.finding}"
                assert "987654321" not in f"{error!r} {error.finding}"


@pytest.mark.parametrize(
    "message",
    [
        m.SegmentSignals(1, (m.SignalSpan("stress", 0, float("inf")),)),
        m.SegmentSignals(1, (attrs.evolve(NODS, start=float("nan")),)),
    ],
)
def test_a_number_that_json_cannot_express_is_not_sent(message: m.ServerMessage) -> None:
    with pytest.raises(ValueError, match="JSON has no way"):
        encode(V0, message)


# -- bodies of HTTP messages ----------------------------------------------------------------------------------------


def test_a_body_goes_both_ways() -> None:
    body = uploads.AnalysisResult((NODS,), None, m.ConversationQuality(SCORES))
    text = f'{{"signals":[{NODS_TEXT}],"conversation_quality":{{"overall":{SCORES_TEXT}}}}}'
    assert encode_json(body).decode() == text
    assert decode_json(uploads.AnalysisResult, text.encode(), "UPL-1") == body


@pytest.mark.parametrize(
    ("body", "path", "what"),
    [
        (b"", "$", ""),
        (b"{", "$", ""),
        (b"[]", "$", "array"),
        (b'{"later":' + b"[" * 100_000, "$", "nested too deeply"),
        (b'{"signals":[{"type":"\xff","start":1,"end":2}]}', "$", "not UTF-8"),
        (b'{"signals":1}', "$.signals", "int"),
        (b'{"signals":[{"type":"stress","start":1}]}', "$.signals[0]", "`end`"),
        (b'{"conversation_quality":{"overall":1}}', "$.conversation_quality.overall", "int"),
    ],
)
def test_a_malformed_body_is_refused_with_its_clause_and_place(body: bytes, path: str, what: str) -> None:
    with pytest.raises(MalformedMessage) as caught:
        decode_json(uploads.AnalysisResult, body, "UPL-1")
    assert (caught.value.finding.clause.id, caught.value.finding.path) == ("UPL-1", path)
    assert what in caught.value.finding.what
    assert caught.value.type is None


# -- generated --------------------------------------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8"), max_size=12)
integers = st.integers(-(2**53) + 1, 2**53 - 1)
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: words,
    float: st.floats(allow_nan=False, allow_infinity=False),
    types.NoneType: st.none(),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type: of all those that the fields of messages have."""
    if hint in PLAIN:
        return PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return integers
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    hints = typing.get_type_hints(hint, include_extras=True)
    return st.builds(hint, **{field.name: values_of(hints[field.name]) for field in attrs.fields(hint)})


def configs_of(revision: Revision) -> st.SearchStrategy[m.SessionConfig | m.SessionClose]:
    hints = typing.get_type_hints(m.SessionConfig, include_extras=True)
    configs: st.SearchStrategy[Any] = st.builds(
        m.SessionConfig, **{name: values_of(hints[name]) for name in revision.config_keys}
    )
    return configs | st.just(m.SessionClose()) if revision.drains else configs


EVERY = [
    pytest.param(revision, cls, id=f"{revision.id}-{cls.__name__}")
    for revision in REVISIONS.values()
    for cls in revision.messages
]


@pytest.mark.parametrize(("revision", "cls"), EVERY)
@settings(max_examples=25)
@given(data=st.data(), timestamp=words, correlation_id=words)
def test_what_a_server_encodes_is_decoded_as_the_same(
    revision: Revision, cls: type[m.ServerMessage], data: st.DataObject, timestamp: str, correlation_id: str
) -> None:
    message = data.draw(values_of(cls))
    codec = CODECS[revision.id]
    text = codec.encode_server(message, timestamp=timestamp, correlation_id=correlation_id)
    decoded = codec.decode_server(text)
    # 1 and 1.0 are equal and yet not the same.
    assert repr(decoded.message) == repr(message)
    members = revision.framing.members
    assert decoded.timestamp == (timestamp if "timestamp" in members else None)
    assert decoded.correlation_id == (correlation_id if "correlation_id" in members else None)
    assert (decoded.type, decoded.raw) == (cls.type, text)


@pytest.mark.parametrize(("revision", "cls"), EVERY)
@settings(max_examples=25)
@given(data=st.data())
def test_the_json_module_reads_the_same_values(
    revision: Revision, cls: type[m.ServerMessage], data: st.DataObject
) -> None:
    message = data.draw(values_of(cls))
    read = json.loads(encode(revision, message))
    framing = revision.framing
    assert read.pop(framing.discriminator) == cls.type
    around = {name: read.pop(name) for name in framing.members}
    assert around == {
        name: {"timestamp": TIMESTAMP, "correlation_id": CORRELATION_ID}[name] for name in framing.members
    }
    inner = read.pop(framing.payload) if framing.payload is not None else read
    assert not read or inner is read
    ours = json.loads(json.dumps(attrs.asdict(message)))
    assert without_none(inner) == without_none(ours)
    assert {name for name, value in inner.items() if value is None} <= cls.nullable <= set(inner)


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_none(item) for name, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("revision", [V1_WINDOW, V1, V2])
@settings(max_examples=60)
@given(data=st.data())
def test_what_a_client_encodes_is_decoded_as_the_same(revision: Revision, data: st.DataObject) -> None:
    message = data.draw(configs_of(revision))
    codec = CODECS[revision.id]
    assert codec.decode_client(codec.encode_client(message)) == message


any_text = st.text(st.characters()) | st.text('{}[]":,\\u0123456789eE+-. truefalsn\ud800')
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def only_malformed(text: str) -> None:
    for revision in REVISIONS.values():
        for client in (False, True):
            error = refusal(revision, text, client=client)
            if error is not None:
                assert (error.finding.path or "").startswith("$")
                assert error.finding.what


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Valid text that has been cut, extended, or overwritten in a few places."""
    text: str = draw(st.sampled_from([param.values[2] for param in TEXTS + CONFIG_TEXTS]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 6)))
        insert = draw(st.sampled_from(["", "null", "[", "]", "{", "}", '"', ",", "1e999", "\\", "\ud800"]) | any_text)
        text = text[:start] + insert + text[end:]
    return text


@st.composite
def reshaped(draw: st.DrawFn) -> str:
    """The members of a message, or of a config, with anything in them."""
    revision = draw(st.sampled_from(list(REVISIONS.values())))
    cls = draw(st.sampled_from(revision.messages))
    names = [field.name for field in attrs.fields(cls)]  # type: ignore[arg-type]
    inner = draw(st.dictionaries(st.sampled_from([*names, "signals", "segment"]), json_values) | json_values)
    framing = revision.framing
    whole: dict[str, Any] = {framing.discriminator: cls.type, **dict.fromkeys(framing.members, "x")}
    if framing.payload is not None:
        whole[framing.payload] = inner
    elif isinstance(inner, dict):
        whole |= inner
    config = draw(st.dictionaries(st.sampled_from(["include", "model", "audio_format", "type"]), json_values))
    return json.dumps(draw(st.sampled_from([whole, config, inner])), ensure_ascii=draw(st.booleans()))


@settings(max_examples=400)
@given(text=any_text | mutated() | reshaped())
def test_no_text_of_any_shape_raises_anything_but_a_malformed_message(text: str) -> None:
    only_malformed(text)
