"""Text to message and back: shapes, what passes through, and what is refused with which clause at which place."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from interhumanai.stream import UnknownEvent, parse_stream_event
from interhumanai.types import SignalType

from ihproto import messages as m
from ihproto.codec import Codec, Envelope
from ihproto.errors import MalformedMessage
from ihproto.revisions import V1

TIMESTAMP = "2025-01-01T00:00:00.000000Z"
CORRELATION_ID = "550e8400-e29b-41d4-a716-446655440000"
SECRET = "ih_live_9f8e7d6c5b4a3210"
LINK = "https://docs.interhuman.ai/api-reference/error-handling#ih6002-message-too-large"

codec = Codec()


def envelope(type_: str, data: str) -> str:
    return f'{{"type":"{type_}","timestamp":"{TIMESTAMP}","correlation_id":"{CORRELATION_ID}","data":{data}}}'


def encode(message: m.ServerMessage) -> str:
    return codec.encode_server(message, timestamp=TIMESTAMP, correlation_id=CORRELATION_ID)


def refusal(decode: Callable[[str], object], text: str) -> MalformedMessage | None:
    try:
        decode(text)
    except MalformedMessage as error:
        return error
    return None


def refusal_of_server(text: str) -> MalformedMessage:
    error = refusal(codec.decode_server, text)
    assert error is not None
    return error


def refusal_of_client(text: str) -> MalformedMessage:
    error = refusal(codec.decode_client, text)
    assert error is not None
    return error


SCORES = m.QualityScores(72, 67, 68, 80, 75, 70)
SCORES_TEXT = '{"quality_index":72,"clarity":67,"authority":68,"energy":80,"rapport":75,"learning":70}'

# Each message with the exact text of its data: the order of the fields, and which None is left out, matter.
SERVER_TEXTS: list[Any] = [
    pytest.param(
        V1.contract,
        '{"session_idle_timeout_seconds":300,"session_max_duration_seconds":3600,"min_segment_size_bytes":1,'
        '"max_segment_size_bytes":33554432,"supported_session_config_options":{"include":'
        '["conversation_quality_overall","conversation_quality_timeline"]},"min_segment_duration_seconds":3}',
        id="session.ready",
    ),
    pytest.param(
        m.SessionReady(300, 3600.5, 1, 2, m.ConfigOptions((), ("energy",), ("inter-2",)), 3, 60.5),
        '{"session_idle_timeout_seconds":300,"session_max_duration_seconds":3600.5,"min_segment_size_bytes":1,'
        '"max_segment_size_bytes":2,"supported_session_config_options":{"include":[],"goal_dimensions":["energy"],'
        '"model":["inter-2"]},"min_segment_duration_seconds":3,"max_segment_duration_seconds":60.5}',
        id="session.ready in full",
    ),
    pytest.param(m.SessionUpdated(), '{"include":[]}', id="session.updated empty"),
    pytest.param(
        m.SessionUpdated(("conversation_quality_overall",), ("energy", "rapport"), "inter-2"),
        '{"include":["conversation_quality_overall"],"goal_dimensions":["energy","rapport"],"model":"inter-2"}',
        id="session.updated",
    ),
    pytest.param(m.SessionClosing(30), '{"max_drain_seconds":30}', id="session.closing"),
    pytest.param(m.SessionEnded("client_shutdown"), '{"reason":"client_shutdown"}', id="session.ended"),
    pytest.param(
        m.SignalDetected("agreement", 3.0, "high", "Subject nodded.", ("video",)),
        '{"signal_type":"agreement","start":3.0,"probability":"high","rationale":"Subject nodded.",'
        '"modality":["video"]}',
        id="signal.detected",
    ),
    pytest.param(
        m.SignalDetected("agreement", 3), '{"signal_type":"agreement","start":3}', id="signal.detected without details"
    ),
    pytest.param(
        m.SignalUpdated("stress", 6.5, "low", 'says "ß\n\U0001f642"', ()),
        '{"signal_type":"stress","start":6.5,"probability":"low","rationale":"says \\"ß\\n\U0001f642\\"",'
        '"modality":[]}',
        id="signal.updated",
    ),
    pytest.param(m.SignalEnded("agreement", 11.0), '{"signal_type":"agreement","end":11.0}', id="signal.ended"),
    pytest.param(m.EngagementUpdated("engaged", 3.0), '{"state":"engaged","start":3.0}', id="engagement.updated"),
    pytest.param(m.ConversationQualityUpdated(), "{}", id="conversation_quality.updated empty"),
    pytest.param(
        m.ConversationQualityUpdated(SCORES, (m.TimelineEntry(0, 10, SCORES),)),
        f'{{"overall":{SCORES_TEXT},"timeline":[{{"start":0,"end":10,"values":{SCORES_TEXT}}}]}}',
        id="conversation_quality.updated",
    ),
    pytest.param(m.FeedbackGenerated("Slow down."), '{"feedback":"Slow down."}', id="feedback.generated"),
    pytest.param(
        m.CoverageDropped((m.MediaRange(0, 3), m.MediaRange(6.0, 9.5))),
        '{"ranges":[{"start":0,"end":3},{"start":6.0,"end":9.5}]}',
        id="coverage.dropped",
    ),
    pytest.param(
        m.CoverageDegraded((m.MediaRange(0, 3),)),
        '{"ranges":[{"start":0,"end":3}],"reason":"video_gap"}',
        id="coverage.degraded",
    ),
    pytest.param(
        m.Error("ih6003", "too quiet"),
        '{"code":"ih6003","message":"too quiet","link":null,"segment":null}',
        id="error about no segment",
    ),
    pytest.param(
        m.Error("ih6002", "too large", LINK, 2),
        f'{{"code":"ih6002","message":"too large","link":"{LINK}","segment":2}}',
        id="error",
    ),
]

CLIENT_TEXTS: list[Any] = [
    pytest.param(m.SessionConfig(), '{"include":[]}', id="empty config"),
    pytest.param(
        m.SessionConfig(["conversation_quality_overall", "conversation_quality_timeline"]),
        '{"include":["conversation_quality_overall","conversation_quality_timeline"]}',
        id="config",
    ),
    pytest.param(
        m.SessionConfig([], ["energy"]), '{"include":[],"goal_dimensions":["energy"]}', id="config with goal dimensions"
    ),
    pytest.param(m.SessionConfig([], []), '{"include":[],"goal_dimensions":[]}', id="config with no goal dimension"),
    pytest.param(m.SessionClose(), '{"type":"session.close"}', id="session.close"),
]


# -- both ways ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("message", "data"), SERVER_TEXTS)
def test_a_server_message_is_encoded_field_by_field(message: m.ServerMessage, data: str) -> None:
    assert encode(message) == envelope(message.type, data)


@pytest.mark.parametrize(("message", "data"), SERVER_TEXTS)
def test_a_server_message_is_decoded_into_its_class(message: m.ServerMessage, data: str) -> None:
    text = envelope(message.type, data)
    assert codec.decode_server(text) == Envelope(message, message.type, TIMESTAMP, CORRELATION_ID, text)


def test_every_message_of_the_revision_is_among_the_examples() -> None:
    assert {param.values[0].type for param in SERVER_TEXTS} == set(V1.server_messages)


@pytest.mark.parametrize(("message", "text"), CLIENT_TEXTS)
def test_a_client_message_goes_both_ways(message: m.SessionConfig | m.SessionClose, text: str) -> None:
    assert codec.encode_client(message) == text
    assert codec.decode_client(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", m.SessionConfig()),
        (' {"include" : [ ] }\n', m.SessionConfig()),
        ('{"goal_dimensions":null}', m.SessionConfig()),
        ('{"include":["made_up_section"]}', m.SessionConfig(["made_up_section"])),
        ('{"include":["a"],"include":["b"]}', m.SessionConfig(["b"])),
        ('{"type": "session.close", "since": "a newer client"}', m.SessionClose()),
    ],
)
def test_a_client_text_may_be_written_in_other_ways(text: str, message: m.SessionConfig | m.SessionClose) -> None:
    assert codec.decode_client(text) == message


def test_a_codec_speaks_the_revision_it_was_given() -> None:
    narrow = Codec(attrs.evolve(V1, messages=(m.Error,), config_keys=("include",)))
    text = envelope("session.ended", '{"reason":"client_shutdown"}')
    assert narrow.decode_server(text).message == m.Unknown('{"reason":"client_shutdown"}')
    with pytest.raises(MalformedMessage, match="CFG-5"):
        narrow.decode_client('{"goal_dimensions":[]}')


# -- the published examples ------------------------------------------------------------------------


def test_the_config_of_the_live_camera_guide_is_a_config() -> None:
    text = json.dumps({"include": ["conversation_quality_overall", "conversation_quality_timeline"]})
    assert codec.decode_client(text) == m.SessionConfig(
        ["conversation_quality_overall", "conversation_quality_timeline"]
    )


def test_the_signal_of_the_live_camera_guide_is_of_another_revision() -> None:
    text = """{
      "type": "signal.detected",
      "timestamp": "2025-01-01T00:00:00.000000Z",
      "correlation_id": "550e8400-e29b-41d4-a716-446655440000",
      "data": {
        "signals": [
          {
            "type": "agreement",
            "start": 3.0,
            "end": 11.0,
            "probability": "high",
            "rationale": "Subject nodded repeatedly while maintaining eye contact."
          }
        ]
      }
    }"""
    finding = refusal_of_server(text).finding
    assert (finding.clause.id, finding.path) == ("SIG-1", "$.data")
    assert "signal_type" in finding.what


def test_the_engagement_of_the_live_camera_guide_has_one_field_more() -> None:
    text = """{
      "type": "engagement.updated",
      "timestamp": "2025-01-01T00:00:00.000000Z",
      "correlation_id": "550e8400-e29b-41d4-a716-446655440000",
      "data": {
        "state": "engaged",
        "start": 3.0,
        "end": 11.0
      }
    }"""
    decoded = codec.decode_server(text)
    assert decoded.message == m.EngagementUpdated("engaged", 3.0)
    assert decoded.raw == text


def test_the_scores_of_the_upload_example_are_conversation_quality() -> None:
    data = {
        "overall": {"quality_index": 72, "clarity": 67, "authority": 68, "energy": 80, "rapport": 75, "learning": 70},
        "timeline": [
            {
                "start": 0,
                "end": 10,
                "values": {
                    "quality_index": 70,
                    "clarity": 69,
                    "authority": 70,
                    "energy": 78,
                    "rapport": 77,
                    "learning": 68,
                },
            },
            {
                "start": 10,
                "end": 20,
                "values": {
                    "quality_index": 74,
                    "clarity": 65,
                    "authority": 65,
                    "energy": 82,
                    "rapport": 73,
                    "learning": 72,
                },
            },
        ],
    }
    message = codec.decode_server(envelope("conversation_quality.updated", json.dumps(data))).message
    assert message == m.ConversationQualityUpdated(
        m.QualityScores(72, 67, 68, 80, 75, 70),
        (
            m.TimelineEntry(0, 10, m.QualityScores(70, 69, 70, 78, 77, 68)),
            m.TimelineEntry(10, 20, m.QualityScores(74, 65, 65, 82, 73, 72)),
        ),
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"status":"processing","segment":2,"correlation_id":"c","bytes":1200000}',
        '{"status":"completed","segment":1}',
        '{"status":"error","segment":2,"error":"Video chunk too large: 31000000 bytes (maximum: 20971520 bytes)"}',
    ],
)
def test_a_status_message_of_an_older_revision_is_no_envelope(text: str) -> None:
    finding = refusal_of_server(text).finding
    assert (finding.clause.id, finding.path) == ("ENV-1", "$")
    assert "`type`" in finding.what


# -- unknown is not wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", ['{"a": [1, 2.50], "b":  {}}', "null", "[]", '"text"', "17", "true", '{"start":1e999}', '"\\u00e9é"']
)
def test_an_unknown_type_keeps_its_data_untouched(data: str) -> None:
    text = envelope("mood.sensed", data)
    assert codec.decode_server(text) == Envelope(m.Unknown(data), "mood.sensed", TIMESTAMP, CORRELATION_ID, text)


@pytest.mark.parametrize(("message", "data"), SERVER_TEXTS)
def test_unknown_fields_do_not_matter(message: m.ServerMessage, data: str) -> None:
    more = '"added_later":{"deep":[null,"x",1e3]}'
    widened = data.removesuffix("}") + ("," if data != "{}" else "") + more + "}"
    text = envelope(message.type, widened).removesuffix("}") + "," + more + "}"
    decoded = codec.decode_server(text)
    assert decoded.message == message
    assert decoded.raw == text


@pytest.mark.parametrize(
    "data",
    [
        '{"signal_type":"boredom","start":1,"probability":"almost certain"}',
        '{"signal_type":"","start":-1e300}',
    ],
)
def test_words_and_times_are_not_the_business_of_the_codec(data: str) -> None:
    assert isinstance(codec.decode_server(envelope("signal.detected", data)).message, m.SignalDetected)


def test_null_means_left_out_where_a_field_may_be_left_out() -> None:
    text = envelope(
        "signal.detected", '{"signal_type":"stress","start":1,"probability":null,"rationale":null,"modality":null}'
    )
    assert codec.decode_server(text).message == m.SignalDetected("stress", 1)
    assert codec.decode_server(envelope("error", '{"code":"ih1001","message":""}')).message == m.Error("ih1001", "")


def test_the_raw_text_is_kept_verbatim_but_not_printed() -> None:
    text = (
        f'\n {{ "data" : {{"reason":"\\u0063lient_shutdown", "reason2":1.0e0}},\t"correlation_id":"{CORRELATION_ID}" ,'
    )
    text += f'"timestamp":"{TIMESTAMP}","type":"session.ended"}}  '
    decoded = codec.decode_server(text)
    assert decoded.raw is text
    assert decoded.message == m.SessionEnded("client_shutdown")
    assert repr(decoded) == (
        f"Envelope(message=SessionEnded(reason='client_shutdown'), type='session.ended', timestamp='{TIMESTAMP}', "
        f"correlation_id='{CORRELATION_ID}')"
    )


# -- malformed ----------------------------------------------------------------------------------------

NOT_JSON: list[Any] = [
    pytest.param("", id="nothing"),
    pytest.param("   ", id="blanks"),
    pytest.param("{", id="an open brace"),
    pytest.param("{}x", id="something after the end"),
    pytest.param("{'a':1}", id="single quotes"),
    pytest.param('{"a":1,}', id="a trailing comma"),
    pytest.param('{"a":NaN}', id="NaN"),
    pytest.param('{"a":-Infinity}', id="Infinity"),
    pytest.param('{"a":01}', id="a leading zero"),
    pytest.param('{"a":"\\q"}', id="an unknown escape"),
    pytest.param('{"a":"\\ud800"}', id="an escaped lone surrogate"),
    pytest.param('{"a":"\x01"}', id="a control character"),
    pytest.param("\ufeff{}", id="a byte order mark"),
    pytest.param("\x00", id="a null character"),
    pytest.param('{"a":"\ud800"}', id="a lone surrogate"),
    pytest.param("null", id="null"),
    pytest.param("true", id="a boolean"),
    pytest.param("1", id="a number"),
    pytest.param('"{}"', id="a string"),
    pytest.param("[]", id="an array"),
    pytest.param("[" * 100_000, id="deep arrays"),
    pytest.param('{"a":' * 100_000, id="deep objects"),
    pytest.param('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", id="deep and well-formed"),
]


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_no_json_object_is_no_envelope(text: str) -> None:
    finding = refusal_of_server(text).finding
    assert (finding.clause.id, finding.path) == ("ENV-1", "$")


@pytest.mark.parametrize("text", NOT_JSON)
def test_what_is_no_json_object_is_no_config(text: str) -> None:
    finding = refusal_of_client(text).finding
    assert (finding.clause.id, finding.path) == ("CFG-1", "$")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "truncated"),
        ("[]", "expected `object`, got `array`"),
        ('{"a":"\ud800"}', "lone surrogate"),
        ("[" * 100_000 + "]" * 100_000, "`object`"),
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
    ],
    ids=["nothing", "an array", "a lone surrogate", "deep arrays", "deep arrays in an object"],
)
def test_what_is_no_json_object_is_told_in_words(text: str, words: str) -> None:
    assert words in refusal_of_client(text).finding.what
    assert words in refusal_of_server(text).finding.what


@pytest.mark.parametrize("data", ['{"reason":NaN}', "", "{", '{"a":"\\q"}', "[" * 100_000 + "]" * 100_000])
@pytest.mark.parametrize("type_", ["session.ended", "mood.sensed"])
def test_broken_json_inside_the_data_breaks_the_envelope(type_: str, data: str) -> None:
    finding = refusal_of_server(envelope(type_, data)).finding
    assert (finding.clause.id, finding.path) == ("ENV-1", "$")


@pytest.mark.parametrize("depth", range(150, 1300, 25))
def test_any_depth_is_either_decoded_or_refused(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for type_ in ("session.ended", "mood.sensed"):
        error = refusal(codec.decode_server, envelope(type_, f'{{"reason":"x","deep":{deep}}}'))
        assert error is None or error.finding.clause.id == "ENV-1"
    for key in ("type", "include", "other"):
        assert refusal_of_client(f'{{"{key}":{deep}}}').finding.clause.id in {"CFG-1", "CFG-5"}


@pytest.mark.parametrize("key", ["type", "timestamp", "correlation_id", "data"])
def test_an_envelope_lacks_nothing(key: str) -> None:
    whole = {"type": "session.ended", "timestamp": TIMESTAMP, "correlation_id": CORRELATION_ID, "data": {"reason": "r"}}
    finding = refusal_of_server(json.dumps({name: value for name, value in whole.items() if name != key})).finding
    assert (finding.clause.id, finding.path) == ("ENV-1", "$")
    assert f"`{key}`" in finding.what


@pytest.mark.parametrize("key", ["type", "timestamp", "correlation_id"])
@pytest.mark.parametrize("value", [None, 1, 1.5, True, [], {}])
def test_the_outside_of_an_envelope_is_text(key: str, value: object) -> None:
    whole = {"type": "session.ended", "timestamp": TIMESTAMP, "correlation_id": CORRELATION_ID, "data": {"reason": "r"}}
    finding = refusal_of_server(json.dumps({**whole, key: value})).finding
    assert (finding.clause.id, finding.path) == ("ENV-1", f"$.{key}")


READY = (
    '{"session_idle_timeout_seconds":300,"session_max_duration_seconds":3600,"min_segment_size_bytes":1,'
    '"max_segment_size_bytes":2,"supported_session_config_options":{"include":[]}}'
)
QUALITY = '{"quality_index":1,"clarity":2,"authority":3,"energy":4,"rapport":5,"learning":6}'


@pytest.mark.parametrize(
    ("type_", "data", "clause_id", "path", "what"),
    [
        ("session.ready", "null", "RDY-2", "$.data", "object"),
        ("session.ready", READY.replace("300", '"300"'), "RDY-2", "$.data.session_idle_timeout_seconds", "str"),
        ("session.ready", READY.replace("3600", "null"), "RDY-2", "$.data.session_max_duration_seconds", "null"),
        ("session.ready", READY.replace(":1,", ":1.5,"), "RDY-2", "$.data.min_segment_size_bytes", "float"),
        ("session.ready", READY.replace(":2,", ":true,"), "RDY-2", "$.data.max_segment_size_bytes", "bool"),
        ("session.ready", READY.replace('"min_', '"mon_'), "RDY-2", "$.data", "`min_segment_size_bytes`"),
        ("session.ready", READY.replace("{}", "[]").replace(':{"include":[]}', ":[]"), "RDY-2", None, "array"),
        ("session.ready", READY.replace("[]", '"a"'), "RDY-2", None, "str"),
        ("session.updated", "[]", "CFG-2", "$.data", "array"),
        ("session.updated", '{"include":[1]}', "CFG-2", "$.data.include[0]", "int"),
        ("session.updated", '{"include":null}', "CFG-2", "$.data.include", "null"),
        ("session.updated", '{"goal_dimensions":{}}', "CFG-2", "$.data.goal_dimensions", "object"),
        ("session.updated", '{"model":[]}', "CFG-2", "$.data.model", "array"),
        ("session.closing", "{}", "CLS-1", "$.data", "`max_drain_seconds`"),
        ("session.closing", '{"max_drain_seconds":"30"}', "CLS-1", "$.data.max_drain_seconds", "str"),
        ("session.ended", "{}", "CLS-1", "$.data", "`reason`"),
        ("session.ended", '{"reason":0}', "CLS-1", "$.data.reason", "int"),
        ("signal.detected", '"agreement"', "SIG-1", "$.data", "str"),
        ("signal.detected", '{"start":1}', "SIG-1", "$.data", "`signal_type`"),
        ("signal.detected", '{"signal_type":"stress"}', "SIG-1", "$.data", "`start`"),
        ("signal.detected", '{"signal_type":"stress","start":"1"}', "SIG-1", "$.data.start", "str"),
        ("signal.detected", '{"signal_type":"stress","start":true}', "SIG-1", "$.data.start", "bool"),
        ("signal.detected", '{"signal_type":"stress","start":1e999}', "SIG-1", "$.data.start", "range"),
        ("signal.detected", '{"signal_type":"stress","start":-1e999}', "SIG-1", "$.data.start", "range"),
        ("signal.detected", f'{{"signal_type":"stress","start":{"9" * 5000}}}', "SIG-1", "$.data.start", "range"),
        ("signal.detected", '{"signal_type":"stress","start":1,"probability":1}', "SIG-1", "$.data.probability", "int"),
        ("signal.detected", '{"signal_type":"stress","start":1,"modality":"video"}', "SIG-1", "$.data.modality", "str"),
        ("signal.updated", '{"signal_type":null,"start":1}', "SIG-2", "$.data.signal_type", "null"),
        (
            "signal.updated",
            '{"signal_type":"stress","start":1,"modality":["a",2]}',
            "SIG-2",
            "$.data.modality[1]",
            "int",
        ),
        ("signal.updated", '{"signal_type":"stress","start":1,"rationale":[]}', "SIG-2", "$.data.rationale", "array"),
        ("signal.ended", '{"signal_type":"stress"}', "SIG-3", "$.data", "`end`"),
        ("signal.ended", '{"signal_type":"stress","end":null}', "SIG-3", "$.data.end", "null"),
        ("engagement.updated", '{"start":1}', "ENG-1", "$.data", "`state`"),
        ("engagement.updated", '{"state":"engaged","start":[]}', "ENG-1", "$.data.start", "array"),
        ("conversation_quality.updated", '{"overall":[]}', "CQI-1", "$.data.overall", "array"),
        ("conversation_quality.updated", '{"overall":{}}', "CQI-5", "$.data.overall", "`quality_index`"),
        (
            "conversation_quality.updated",
            f'{{"overall":{QUALITY.replace("4", "[]")}}}',
            "CQI-5",
            "$.data.overall.energy",
            "array",
        ),
        ("conversation_quality.updated", '{"timeline":{}}', "CQI-1", "$.data.timeline", "object"),
        (
            "conversation_quality.updated",
            f'{{"timeline":[{{"start":0,"end":1,"values":{QUALITY}}},{{"start":1,"end":2}}]}}',
            "CQI-1",
            "$.data.timeline[1]",
            "`values`",
        ),
        (
            "conversation_quality.updated",
            f'{{"timeline":[{{"start":0,"end":1,"values":{QUALITY.replace("6", "null")}}}]}}',
            "CQI-5",
            "$.data.timeline[0].values.learning",
            "null",
        ),
        ("feedback.generated", '{"feedback":null}', "CFG-6", "$.data.feedback", "null"),
        ("coverage.dropped", "{}", "COV-1", "$.data", "`ranges`"),
        ("coverage.dropped", '{"ranges":[{"start":1}]}', "COV-1", "$.data.ranges[0]", "`end`"),
        ("coverage.degraded", '{"ranges":[],"reason":null}', "COV-1", "$.data.reason", "null"),
        ("coverage.degraded", '{"ranges":[[0,1]]}', "COV-1", "$.data.ranges[0]", "array"),
        ("error", '{"message":"m"}', "ERR-1", "$.data", "`code`"),
        ("error", '{"code":"ih1001"}', "ERR-1", "$.data", "`message`"),
        ("error", '{"code":6002,"message":"m"}', "ERR-1", "$.data.code", "int"),
        ("error", '{"code":"c","message":"m","segment":"2"}', "ERR-1", "$.data.segment", "str"),
        ("error", '{"code":"c","message":"m","segment":2.5}', "ERR-1", "$.data.segment", "float"),
        ("error", '{"code":"c","message":"m","link":1}', "ERR-1", "$.data.link", "int"),
    ],
)
def test_malformed_data_is_refused_with_its_clause_and_place(
    type_: str, data: str, clause_id: str, path: str | None, what: str
) -> None:
    options = "$.data.supported_session_config_options"
    error = refusal_of_server(envelope(type_, data))
    assert error.finding.clause.id == clause_id
    assert error.finding.path in ({path} if path else {options, f"{options}.include"})
    assert what in error.finding.what
    assert str(error) == f"{clause_id}: {error.finding.what} at {error.finding.path}"


@pytest.mark.parametrize(
    ("text", "path", "what"),
    [
        ('{"include":"conversation_quality_overall"}', "$.include", "str"),
        ('{"include":null}', "$.include", "null"),
        ('{"include":[1]}', "$.include[0]", "int"),
        ('{"include":["a",null]}', "$.include[1]", "null"),
        ('{"include":{}}', "$.include", "object"),
        ('{"include":1e999}', "$.include", ""),
        ('{"goal_dimensions":"energy"}', "$.goal_dimensions", "str"),
        ('{"goal_dimensions":[[]]}', "$.goal_dimensions[0]", "array"),
        ('{"model":"inter-2"}', "$.model", "'model'"),
        ('{"include":[],"includes":[]}', "$.includes", "'includes'"),
        ('{"type":"session.open"}', "$.type", "'type'"),
        ('{"type":1}', "$.type", "'type'"),
        ('{"type":null,"include":[]}', "$.type", "'type'"),
        ('{"":1}', "$.", "''"),
        (f'{{"{"k" * 1000}":1}}', f"$.{'k' * 40}", "k" * 40),
    ],
)
def test_a_config_of_the_wrong_shape_is_refused_with_its_place(text: str, path: str, what: str) -> None:
    error = refusal_of_client(text)
    assert (error.finding.clause.id, error.finding.path) == ("CFG-5", path)
    assert what in error.finding.what
    assert len(str(error)) < 250


def test_a_config_with_a_key_that_does_not_exist_is_told_which_do() -> None:
    assert "include, goal_dimensions" in refusal_of_client('{"model":"inter-2"}').finding.what


def test_json_is_spelled_in_capitals() -> None:
    assert "jSON" not in str(refusal_of_server("x"))


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400])
def test_an_integer_beyond_all_floats_is_out_of_range(number: str) -> None:
    finding = refusal_of_server(envelope("signal.ended", f'{{"signal_type":"stress","end":{number}}}')).finding
    assert (finding.clause.id, finding.path) == ("SIG-3", "$.data.end")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_cannot_express_is_not_sent(number: float) -> None:
    with pytest.raises((ValueError, TypeError, OverflowError)):
        encode(m.SignalEnded("stress", number))


# -- values stay secret ---------------------------------------------------------------------------------


def replacements(value: Any, put: Any) -> Iterator[Any]:
    """Every way of replacing one value inside a JSON value, with the key or index kept."""
    yield put
    if isinstance(value, dict):
        for key, item in value.items():
            for replaced in replacements(item, put):
                yield {**value, key: replaced}
    elif isinstance(value, list):
        for index, item in enumerate(value):
            for replaced in replacements(item, put):
                yield [*value[:index], replaced, *value[index + 1 :]]


def said_by(error: MalformedMessage) -> str:
    return f"{error} {error!r} {error.args} {error.finding}"


NUMBER = 987654321987.5
PUTS = [SECRET, [SECRET], {"key": SECRET}, {SECRET[:3]: [SECRET]}, NUMBER, [NUMBER], None, True]


def refusals(decode: Callable[[str], object], value: Any) -> list[str]:
    """What is said when each of the values inside is replaced by each of `PUTS`."""
    variants = [json.dumps(variant) for put in PUTS for variant in replacements(value, put)]
    return [said_by(error) for variant in variants if (error := refusal(decode, variant)) is not None]


@pytest.mark.parametrize(("message", "data"), SERVER_TEXTS)
def test_a_refusal_of_a_server_message_repeats_no_value(message: m.ServerMessage, data: str) -> None:
    said = refusals(codec.decode_server, json.loads(envelope(message.type, data)))
    assert said
    assert not [text for text in said if SECRET in text or str(NUMBER) in text]


@pytest.mark.parametrize(("message", "text"), CLIENT_TEXTS)
def test_a_refusal_of_a_client_message_repeats_no_value(message: object, text: str) -> None:
    said = refusals(codec.decode_client, {**json.loads(text), "other": [1]})
    assert said
    assert not [text for text in said if SECRET in text or str(NUMBER) in text]


@pytest.mark.parametrize(
    "text",
    [
        f'{{"include":["{SECRET}"',
        f'{{"include":["{SECRET}\\q"]}}',
        f'"{SECRET}"',
        SECRET,
        f'{{"include":["{SECRET}\ud800"]}}',
        f'{{"type":"{SECRET}","api_key":"{SECRET}"}}',
    ],
)
def test_a_refusal_of_broken_text_repeats_no_value(text: str) -> None:
    assert SECRET not in said_by(refusal_of_client(text))
    assert SECRET not in said_by(refusal_of_server(text))


# -- generated ------------------------------------------------------------------------------------------

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.lists(texts, max_size=3).map(tuple)
integers = st.integers(-(2**53) + 1, 2**53 - 1)
numbers = integers | st.floats(allow_nan=False, allow_infinity=False)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def messages(
    *,
    number: st.SearchStrategy[Any] = numbers,
    seconds: st.SearchStrategy[Any] = numbers,
    signal: st.SearchStrategy[str] = texts,
    probability: st.SearchStrategy[str] = texts,
    state: st.SearchStrategy[str] = texts,
    include: st.SearchStrategy[tuple[str, ...]] = names,
    goals: st.SearchStrategy[tuple[str, ...]] = names,
    model: st.SearchStrategy[str] = texts,
    reason: st.SearchStrategy[str] = texts,
) -> dict[type[m.ServerMessage], st.SearchStrategy[Any]]:
    """A strategy for each class, of any content, or of the content that the arguments allow."""
    scores = st.builds(m.QualityScores, *[number] * 6)
    ranges = st.lists(st.builds(m.MediaRange, number, number), max_size=3).map(tuple)
    signals = (signal, number, maybe(probability), maybe(texts), maybe(names))
    return {
        m.SessionReady: st.builds(
            m.SessionReady,
            seconds,
            seconds,
            integers,
            integers,
            st.builds(m.ConfigOptions, include, maybe(goals), maybe(st.lists(model, max_size=2).map(tuple))),
            maybe(number),
            maybe(number),
        ),
        m.SessionUpdated: st.builds(m.SessionUpdated, include, maybe(goals), maybe(model)),
        m.SessionClosing: st.builds(m.SessionClosing, seconds),
        m.SessionEnded: st.builds(m.SessionEnded, texts),
        m.SignalDetected: st.builds(m.SignalDetected, *signals),
        m.SignalUpdated: st.builds(m.SignalUpdated, *signals),
        m.SignalEnded: st.builds(m.SignalEnded, signal, number),
        m.EngagementUpdated: st.builds(m.EngagementUpdated, state, number),
        m.ConversationQualityUpdated: st.builds(
            m.ConversationQualityUpdated,
            maybe(scores),
            maybe(st.lists(st.builds(m.TimelineEntry, number, number, scores), max_size=2).map(tuple)),
        ),
        m.FeedbackGenerated: st.builds(m.FeedbackGenerated, texts),
        m.CoverageDropped: st.builds(m.CoverageDropped, ranges),
        m.CoverageDegraded: st.builds(m.CoverageDegraded, ranges, reason),
        m.Error: st.builds(m.Error, texts, texts, maybe(texts), maybe(integers)),
    }


ANY = messages()
DOCUMENTED = messages(
    seconds=integers,
    signal=st.sampled_from([signal.value for signal in SignalType]),
    probability=st.sampled_from(["low", "medium", "high"]),
    state=st.sampled_from(["engaged", "neutral", "disengaged"]),
    include=st.lists(st.sampled_from(["conversation_quality_overall", "conversation_quality_timeline"])).map(tuple),
    goals=st.lists(st.sampled_from(["clarity", "authority", "energy", "rapport", "learning"])).map(tuple),
    model=st.sampled_from(["inter-2"]),
    reason=st.just("video_gap"),
)
configs = st.builds(m.SessionConfig, names, maybe(names))

every_class = pytest.mark.parametrize("cls", ANY, ids=lambda cls: cls.type)


def jsonable(message: Any) -> Any:
    return json.loads(json.dumps(attrs.asdict(message)))


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    return [without_none(item) for item in value] if isinstance(value, list) else value


def test_every_message_of_the_revision_is_generated() -> None:
    assert set(ANY) == set(V1.messages)


@every_class
@settings(max_examples=40)
@given(data=st.data(), timestamp=texts, correlation_id=texts)
def test_what_a_server_encodes_is_decoded_as_the_same(
    cls: type[m.ServerMessage], data: st.DataObject, timestamp: str, correlation_id: str
) -> None:
    message = data.draw(ANY[cls])
    text = codec.encode_server(message, timestamp=timestamp, correlation_id=correlation_id)
    decoded = codec.decode_server(text)
    assert decoded == Envelope(message, cls.type, timestamp, correlation_id, text)
    # 1 and 1.0 are equal and yet not the same.
    assert repr(jsonable(decoded.message)) == repr(jsonable(message))


@every_class
@settings(max_examples=40)
@given(data=st.data())
def test_the_json_module_reads_the_same_values(cls: type[m.ServerMessage], data: st.DataObject) -> None:
    message = data.draw(ANY[cls])
    payload = json.loads(encode(message))
    assert list(payload) == ["type", "timestamp", "correlation_id", "data"]
    assert (payload["type"], payload["timestamp"], payload["correlation_id"]) == (cls.type, TIMESTAMP, CORRELATION_ID)
    assert without_none(payload["data"]) == without_none(jsonable(message))
    assert {key for key, value in payload["data"].items() if value is None} <= cls.nullable
    assert cls.nullable <= set(payload["data"])


@every_class
@settings(max_examples=40)
@given(data=st.data())
def test_the_published_client_reads_the_same_values(cls: type[m.ServerMessage], data: st.DataObject) -> None:
    message = data.draw(DOCUMENTED[cls])
    event = parse_stream_event(json.loads(encode(message)))
    assert not isinstance(event, UnknownEvent)
    assert event.type == cls.type
    assert event.correlation_id == CORRELATION_ID
    assert event.timestamp.isoformat() == "2025-01-01T00:00:00+00:00"
    read = event.data.model_dump(mode="json")
    ours = jsonable(message)
    # Not a field of the published client, which takes the minimum as given.
    ours.pop("min_segment_duration_seconds", None)
    assert read == ours


@every_class
@settings(max_examples=20)
@given(data=st.data())
def test_what_the_published_client_writes_is_decoded_as_the_same(
    cls: type[m.ServerMessage], data: st.DataObject
) -> None:
    message = attrs.evolve(data.draw(DOCUMENTED[cls]))
    event = parse_stream_event(json.loads(encode(message)))
    assert not isinstance(event, UnknownEvent)
    decoded = codec.decode_server(event.model_dump_json()).message
    if isinstance(message, m.SessionReady):
        message = attrs.evolve(message, min_segment_duration_seconds=None)
    assert decoded == message


@given(config=configs)
def test_what_a_client_encodes_is_decoded_as_the_same(config: m.SessionConfig) -> None:
    text = codec.encode_client(config)
    assert codec.decode_client(text) == config
    expected: dict[str, Any] = {"include": list(config.include)}
    if config.goal_dimensions is not None:
        expected["goal_dimensions"] = list(config.goal_dimensions)
    assert json.loads(text) == expected


VALID = [
    *(envelope(param.values[0].type, param.values[1]) for param in SERVER_TEXTS),
    *(param.values[1] for param in CLIENT_TEXTS),
]
any_text = st.text(st.characters()) | st.text('{}[]":,\\u0123456789eE+-. truefalsn\ud800')


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Valid text that has been cut, extended, or overwritten in a few places."""
    text: str = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 6)))
        insert = draw(st.sampled_from(["", "null", "[", "]", "{", "}", '"', ",", "1e999", "\\", "\ud800"]) | any_text)
        text = text[:start] + insert + text[end:]
    return text


def only_malformed(text: str) -> None:
    for decode in (codec.decode_server, codec.decode_client):
        error = refusal(decode, text)
        if error is not None:
            assert error.finding.path is not None
            assert error.finding.path.startswith("$")
            assert error.finding.what


@settings(max_examples=300)
@given(text=any_text)
@example(text="")
@example(text="\ud800")
def test_no_text_raises_anything_but_a_malformed_message(text: str) -> None:
    only_malformed(text)


@settings(max_examples=500)
@given(text=mutated())
def test_no_mutation_of_valid_text_raises_anything_but_a_malformed_message(text: str) -> None:
    only_malformed(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(data=st.data(), type_=st.sampled_from([*V1.server_messages, "mood.sensed"]))
def test_no_data_of_any_shape_raises_anything_but_a_malformed_message(data: st.DataObject, type_: str) -> None:
    keys = [field.name for cls in V1.server_messages.get(type_, ()) for field in attrs.fields(cls)] or ["x"]  # type: ignore[arg-type]
    value = data.draw(json_values | st.dictionaries(st.sampled_from(keys), json_values))
    only_malformed(envelope(type_, json.dumps(value, ensure_ascii=data.draw(st.booleans()))))


@settings(max_examples=200)
@given(value=json_values | st.dictionaries(st.sampled_from(["include", "goal_dimensions", "type"]), json_values))
def test_no_config_of_any_shape_raises_anything_but_a_malformed_message(value: Any) -> None:
    only_malformed(json.dumps(value))


def test_an_envelope_cannot_be_changed() -> None:
    decoded = codec.decode_server(envelope("session.ended", '{"reason":"client_shutdown"}'))
    with pytest.raises(AttributeError):
        decoded.type = "error"  # type: ignore[misc]
