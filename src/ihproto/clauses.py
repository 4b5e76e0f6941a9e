"""The index of the rule book: every rule of the stream protocol, as data.

Nothing here acts. A violation, a line of a conformance report and a refusal of the mock server
each name one of these ids, and this is the room in which the id can be looked up: how binding
the rule is, in which revisions it holds, what it says, and who says so. The rules themselves are
enforced elsewhere in the package; the page for readers, ``docs/protocol.md``, is generated from
here by ``docs/generate.py``.

Ids are permanent. A rule that changes keeps its id as long as it is still about the same thing.
"""

import difflib
import enum
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import attrs

__all__ = [
    "CLAUSES",
    "FAMILIES",
    "REVISION_IDS",
    "SOURCES",
    "Clause",
    "Level",
    "clause",
]


class Level(enum.Enum):
    """How binding a clause is, which is what decides the verdict on a violation.

    * ``MUST``: a primary source states the rule outright; breaking it is a failure.
    * ``SHOULD``: the rule is seen in an example, or rests on one secondary source; breaking it
      is a warning.
    * ``ASSUMED``: no source says anything, so the library had to choose; a peer that chose
      otherwise did nothing wrong, and the difference is reported as information only.
    """

    MUST = "must"
    SHOULD = "should"
    ASSUMED = "assumed"


REVISION_IDS: Final = ("v0", "v0.2", "v1-window", "v1", "v2")
"""The revisions a clause can apply to, oldest first."""

FAMILIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HS": "Handshake",
        "ENV": "Envelopes",
        "RDY": "Session ready",
        "CFG": "Session config",
        "SEG": "Segments",
        "WIN": "Analysis windows",
        "SIG": "Signal lifecycle",
        "ENG": "Engagement",
        "CQI": "Conversation quality",
        "ERR": "Errors",
        "TMO": "Timeouts",
        "CLS": "Closing",
        "COV": "Coverage",
        "STS": "Status messages",
        "UPL": "Upload endpoints",
        "AUT": "Credential endpoints",
    }
)
"""Family id to its title, in the order in which a session meets them."""

SOURCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "S0": "public reference page of the WebSocket endpoint `/v1/stream/analyze`",
        "S1": "public reference page of `/v0/stream/analyze` with the v0.2 message shapes",
        "S2": "public codealong for a live camera on `/v1/stream/analyze`",
        "S3": "public text of the streaming skill for `/v0/stream/analyze`",
        "S4": "public reference page of `POST /v1/upload/analyze`",
        "SDK": "behaviour and types of the published Python client, `interhumanai` 1.3.4",
        "PUB": "other public pages of the service, as of 2026-11",
        "REC": "our own measurements of recordings made by a browser",
        "RFC 6455": "The WebSocket Protocol",
        "RFC 7230": "HTTP/1.1: Message Syntax and Routing",
        "assumed": "nobody; a choice of this library where every source is silent",
    }
)
"""Source tag to what it stands for."""


def _check_id(_instance: "Clause", _attribute: "attrs.Attribute[str]", value: str) -> None:
    family, _, number = value.partition("-")
    if family not in FAMILIES:
        raise ValueError(f"clause id {value!r} names no known family")
    if not number.isdecimal() or number != str(int(number)) or number == "0":
        raise ValueError(f"clause id {value!r} is not a family, a hyphen and a number from 1")


def _check_revisions(
    _instance: "Clause", _attribute: "attrs.Attribute[tuple[str, ...]]", value: tuple[str, ...]
) -> None:
    # One canonical order, so that two clauses of the same scope compare and print alike.
    if not value or value != tuple(revision for revision in REVISION_IDS if revision in value):
        raise ValueError(f"revisions {value!r} are not a selection of {REVISION_IDS!r} in that order")


@attrs.frozen
class Clause:
    """One rule of the protocol.

    Raises:
        ValueError: On an id of no known family, an unknown or misplaced revision, or a sentence
            without its full stop.
        TypeError: On a field of the wrong type.
    """

    id: str = attrs.field(validator=[attrs.validators.instance_of(str), _check_id])
    """Family, hyphen, number; unique, and stable from release to release."""

    level: Level = attrs.field(validator=attrs.validators.instance_of(Level))
    """What a violation amounts to."""

    revisions: tuple[str, ...] = attrs.field(validator=[attrs.validators.instance_of(tuple), _check_revisions])
    """The revisions in which the clause holds, oldest first; never empty."""

    sentence: str = attrs.field(validator=attrs.validators.matches_re(r"[^\n]+\."))
    """The rule, in one sentence of Markdown; a part that is a choice of ours says "assumed"."""

    source: str = attrs.field(validator=attrs.validators.matches_re(r"\S[^\n]*"))
    """Tags of `SOURCES`, separated by a comma and a space, with a section where that helps."""

    @property
    def family(self) -> str:
        """The family part of the id, a key of `FAMILIES`."""
        return self.id.partition("-")[0]


def _by_id(clauses: Iterable[Clause]) -> Mapping[str, Clause]:
    # A plain dict comprehension would let a repeated id swallow the rule before it.
    table: dict[str, Clause] = {}
    for entry in clauses:
        if entry.id in table:
            raise ValueError(f"clause id {entry.id} is used twice")
        table[entry.id] = entry
    return MappingProxyType(table)


_MUST: Final = Level.MUST
_SHOULD: Final = Level.SHOULD
_ASSUMED: Final = Level.ASSUMED

_ALL: Final = REVISION_IDS
_STATUS: Final = ("v0", "v0.2")
_ENVELOPE: Final = ("v1-window", "v1", "v2")
_LIFECYCLE: Final = ("v1", "v2")

_HANDSHAKE: Final = (
    Clause(
        "HS-1",
        _MUST,
        _ALL,
        (
            "In production a client connects with TLS to `wss://api.interhuman.ai` followed by "
            "the path of its revision (`/v0/stream/analyze` for v0 and v0.2, "
            "`/v1/stream/analyze` for v1-window and v1, `/v2/stream/analyze` for v2), and "
            "unencrypted `ws://` is acceptable only towards a local server."
        ),
        "S0, S1, S2, S3",
    ),
    Clause(
        "HS-2",
        _MUST,
        _ALL,
        (
            "A client that can set request headers sends its credential on the upgrade request "
            "as `Authorization: Bearer <credential>`."
        ),
        "S0",
    ),
    Clause(
        "HS-3",
        _MUST,
        _ALL,
        (
            "A client that cannot set request headers may offer the bare credential as the one "
            "and only value of `Sec-WebSocket-Protocol`."
        ),
        "S0, S2",
    ),
    Clause(
        "HS-4",
        _MUST,
        _ALL,
        (
            "A client that cannot set request headers may also offer two subprotocols, the "
            "literal `access_token` first and the credential second."
        ),
        "S3, PUB",
    ),
    Clause(
        "HS-5",
        _MUST,
        _ALL,
        (
            "A server that accepts an upgrade on which subprotocols were offered selects exactly "
            "one of them, the credential itself where it stood alone (HS-3) and `access_token` "
            "where it came as a pair (HS-4), since a browser abandons a connection that selects "
            "none, and a server selects nothing where nothing was offered."
        ),
        "RFC 6455 §4",
    ),
    Clause(
        "HS-6",
        _ASSUMED,
        _ALL,
        (
            "If one upgrade request carries a credential in `Authorization` and another among "
            "its subprotocols, the one in the header is taken to count."
        ),
        "assumed",
    ),
    Clause(
        "HS-7",
        _MUST,
        _ALL,
        (
            "A credential goes into `Sec-WebSocket-Protocol` only if it is a valid HTTP token, "
            "and with any other the client refuses before it connects, naming the offending "
            "character and pointing to the `Authorization` header as the way out."
        ),
        "RFC 6455 §4, RFC 7230 §3.2.6",
    ),
    Clause(
        "HS-8",
        _MUST,
        _ALL,
        (
            "A client may send `X-Client-Request-Id` with an identifier of its own, which the "
            "server logs next to its correlation id and does not send back."
        ),
        "S0",
    ),
    Clause(
        "HS-9",
        _MUST,
        _ALL,
        (
            "The response to an upgrade request, whether it accepts or refuses, has an "
            "`X-Correlation-ID` header, and its value is the `correlation_id` of all messages of "
            "the session that carry one."
        ),
        "S0, S4, PUB",
    ),
    Clause(
        "HS-10",
        _MUST,
        _ALL,
        (
            "A missing or invalid credential is turned down before the upgrade, with HTTP status "
            "401 and a JSON object of `error_id`, `correlation_id`, `link` and `message` as body."
        ),
        "S4, PUB",
    ),
    Clause(
        "HS-11",
        _SHOULD,
        _ENVELOPE,
        (
            "A valid credential that lacks the scope `interhumanai.stream` is let through the "
            "upgrade and is then told so by an `error` envelope with code `ih2003` followed by "
            "close code 4003, without a `session.ready`."
        ),
        "PUB",
    ),
    Clause(
        "HS-12",
        _SHOULD,
        _ALL,
        (
            "A server disregards query parameters and request headers that it does not know, "
            "such as `ih_sdk`, `ih_sdk_version`, `sdk`, `sdk_version` and `X-Interhuman-SDK`, "
            "all of which the published client sends."
        ),
        "SDK, PUB",
    ),
    Clause(
        "HS-13",
        _SHOULD,
        ("v2",),
        (
            "The query may select a model, as in `?model=inter-2`, where a name that the server "
            "does not know leads to an `error` envelope `ih4005` and close code 1008, a known "
            "one that nothing can serve right now leads to `ih1003` and close code 1013, and "
            "neither case gets a `session.ready`."
        ),
        "PUB",
    ),
    Clause(
        "HS-14",
        _SHOULD,
        _ENVELOPE,
        (
            "A client token that was issued with `allowed_origins` opens a session only if the "
            "`Origin` of the upgrade request is on that list, and is otherwise refused, with "
            "HTTP status 403 being assumed."
        ),
        "PUB",
    ),
    Clause(
        "HS-15",
        _MUST,
        ("v0.2",),
        (
            "Optional result sections are asked for in the query by repeating `include[]` once "
            "per section, with the brackets literal or percent-encoded, and a value that names "
            "no known section has no effect."
        ),
        "S1",
    ),
)

_ENVELOPES: Final = (
    Clause(
        "ENV-1",
        _MUST,
        _ENVELOPE,
        (
            "Each message from the server is a text message holding one JSON object with the "
            "members `type`, `timestamp`, `correlation_id` and `data`, where `timestamp` is a "
            "UTC time in ISO 8601 such as `2025-01-01T00:00:00.000000Z`."
        ),
        "S0, S2",
    ),
    Clause(
        "ENV-2",
        _MUST,
        _ENVELOPE,
        "From its first envelope to its last a session uses one and the same `correlation_id`.",
        "S0",
    ),
    Clause(
        "ENV-3",
        _SHOULD,
        _ENVELOPE,
        (
            "A client hands on envelopes of a `type` it does not know, and members it does not "
            "know, without changing them and without treating them as a fault."
        ),
        "SDK, PUB",
    ),
    Clause(
        "ENV-4",
        _MUST,
        _ALL,
        (
            "Whoever relays a session forwards every server message character for character and "
            "in the order of arrival, for which reason each typed event keeps the text it was "
            "read from."
        ),
        "S3",
    ),
    Clause(
        "ENV-5",
        _MUST,
        _ENVELOPE,
        "A server never sends a binary message, since everything it has to say is text.",
        "S0",
    ),
)

_READY: Final = (
    Clause(
        "RDY-1",
        _MUST,
        _LIFECYCLE,
        (
            "In a session that comes to be established the server sends `session.ready` once and "
            "only once, right after the upgrade and ahead of all other envelopes."
        ),
        "S0",
    ),
    Clause(
        "RDY-2",
        _MUST,
        _LIFECYCLE,
        (
            "The data of `session.ready` tells the client the terms of the session, namely "
            "`session_idle_timeout_seconds` (300 as seen in the service), "
            "`session_max_duration_seconds` (3600), `min_segment_duration_seconds` (3), "
            "`min_segment_size_bytes` (1), `max_segment_size_bytes` (33,554,432) and "
            "`supported_session_config_options` with its list `include`, to which newer "
            "deployments add `max_segment_duration_seconds` (a number or null) and the options "
            "`goal_dimensions` and, in v2, `model`."
        ),
        "S0, PUB, SDK",
    ),
    Clause(
        "RDY-3",
        _MUST,
        _LIFECYCLE,
        "A session that could not be fully set up is closed without a `session.ready`.",
        "S0",
    ),
    Clause(
        "RDY-4",
        _MUST,
        _LIFECYCLE,
        ("Until `session.ready` has arrived a client sends no video, though it may already send session config."),
        "S0, S2",
    ),
)

_CONFIG: Final = (
    Clause(
        "CFG-1",
        _MUST,
        _ENVELOPE,
        (
            "A client configures its session by sending a text message with a JSON object in it, "
            "which it may do at any moment and any number of times."
        ),
        "S0, S2",
    ),
    Clause(
        "CFG-2",
        _MUST,
        _LIFECYCLE,
        (
            "The server confirms every config it accepts with a `session.updated` whose data is "
            "the complete config now in force."
        ),
        "S0",
    ),
    Clause(
        "CFG-3",
        _MUST,
        _ENVELOPE,
        (
            "The config member `include` is a list of the optional sections wanted, out of "
            "`conversation_quality_overall` and `conversation_quality_timeline`."
        ),
        "S0, S1, S2",
    ),
    Clause(
        "CFG-4",
        _SHOULD,
        _ENVELOPE,
        (
            "A config message sets `include` anew rather than adding to it, so that one without "
            "`include` switches every optional section off."
        ),
        "SDK",
    ),
    Clause(
        "CFG-5",
        _SHOULD,
        _ENVELOPE,
        (
            "A value in `include` that the server does not know is passed over, whereas text "
            "that is not JSON, JSON that is not an object, a top-level member that is not known "
            "and a member of the wrong type each lead to an `error` with code `ih6001`, after "
            "which the session is still open and still under its previous config."
        ),
        "PUB",
    ),
    Clause(
        "CFG-6",
        _SHOULD,
        _LIFECYCLE,
        (
            "Where `session.ready` lists the option, a config may set `goal_dimensions` to any "
            "of `clarity`, `authority`, `energy`, `rapport` and `learning`, and the session may "
            "then bring `feedback.generated` envelopes."
        ),
        "SDK",
    ),
    Clause(
        "CFG-7",
        _SHOULD,
        _LIFECYCLE,
        (
            "The config member `model` is refused in v1, while v2 accepts it up to the first "
            "segment, leaves the model alone in a config that does not mention it, and reports "
            "it in `session.updated`."
        ),
        "PUB",
    ),
    Clause(
        "CFG-8",
        _SHOULD,
        ("v2",),
        (
            "With a model that hears audio alone, the config member `audio_format` (`encoding` "
            "`pcm_s16le`, `sample_rate` 16000 or 24000, `channels` 1) declares that segments are raw "
            "samples, of any size and cut at any byte, and it can no longer change once the first of "
            "them was accepted."
        ),
        "SDK",
    ),
)

_SEGMENTS: Final = (
    Clause(
        "SEG-1",
        _MUST,
        _ALL,
        (
            "Each binary message from the client is one segment, known in error reports by its "
            "number within the session, where the first is number 1 and refused segments are "
            "assumed to use up a number as well."
        ),
        "S0, S1, S2, S3",
    ),
    Clause(
        "SEG-2",
        _MUST,
        ("v0.2", "v1-window", "v1", "v2"),
        (
            "A segment of more than 33,554,432 bytes (32 MB) is answered with an error `ih6002` "
            "that names its number, and the session continues, a limit that is assumed for "
            "v1-window as its own source gives none."
        ),
        "S0, S1",
    ),
    Clause(
        "SEG-3",
        _MUST,
        ("v0",),
        ("A segment has at least 10 KB, assumed to mean 10,000 bytes, and at most 20,971,520 bytes (20 MB)."),
        "S3",
    ),
    Clause(
        "SEG-4",
        _MUST,
        ("v0.2", "v1-window", "v1", "v2"),
        (
            "A segment holds no less than 3 seconds of media or is refused with `ih4007`, which "
            "is enforced on a segment with a container header of its own, less an assumed "
            "tolerance of 0.25 seconds, whereas the length of a piece that continues a live "
            "recording is only measured and reported unless a strict option asks for more (also "
            "assumed, as is the whole minimum in v1-window), because recorders told to cut every "
            "3 seconds deliver slightly less and end on a short piece."
        ),
        "S0, S1, REC",
    ),
    Clause(
        "SEG-5",
        _MUST,
        _ALL,
        (
            "Media comes in one of the containers mp4, avi, mov, mkv, webm, mpeg-ts or "
            "mpeg-2-ts, the last being M2TS with packets of 192 bytes, and any other container "
            "is refused with `ih4002`."
        ),
        "S0, S1, S3",
    ),
    Clause(
        "SEG-6",
        _SHOULD,
        _ALL,
        (
            "The first segment begins with a container header, which later segments may either "
            "carry on from, at whatever byte the recorder happened to cut, or replace by being "
            "complete files, so that a session beginning in mid-recording and bytes that "
            "contradict their container are `ih5004`, while a header followed by no media is "
            "fine and lasts 0 seconds."
        ),
        "PUB, REC",
    ),
    Clause(
        "SEG-7",
        _SHOULD,
        _ALL,
        (
            "Media without a video track is refused with `ih5001`, and in v2 media without an "
            "audio track is refused with `ih5008`."
        ),
        "PUB",
    ),
    Clause(
        "SEG-8",
        _MUST,
        _ENVELOPE,
        (
            "`data.segment` of an `error` is the number of the segment at fault, or null if the "
            "error belongs to no single segment, in which case v1-window may leave it out."
        ),
        "S0, S2",
    ),
    Clause(
        "SEG-9",
        _MUST,
        ("v0.2", "v1-window", "v1", "v2"),
        (
            "Media time runs on through the whole session, from 0 seconds at the start of the "
            "first accepted segment, with each further accepted segment starting where the one "
            "before it ended, which for v1-window is assumed from its example."
        ),
        "S0, S1",
    ),
    Clause(
        "SEG-10",
        _ASSUMED,
        _ALL,
        ("A binary message of 0 bytes is refused with `ih5004`, in keeping with an announced minimum of 1 byte."),
        "assumed",
    ),
)

_WINDOWS: Final = (
    Clause(
        "WIN-1",
        _SHOULD,
        _ENVELOPE,
        (
            "Analysis happens in windows of 8 seconds of media, each starting 3 seconds after "
            "the one before, so that the first three cover 0 to 8, 3 to 11 and 6 to 14 seconds, "
            "end excluded."
        ),
        "PUB, S2",
    ),
    Clause(
        "WIN-2",
        _SHOULD,
        _ENVELOPE,
        ("A service under load may skip windows, which newer deployments of v1 and v2 admit with `coverage.dropped`."),
        "PUB",
    ),
    Clause(
        "WIN-3",
        _MUST,
        ("v1-window",),
        (
            "Each window is reported for itself: its signals in one `signal.detected`, whose "
            "`signals` are objects of `type`, `start`, `end`, `probability` and `rationale` (in a "
            "later flavour, each signal in one of its own, with `signal_type`), and its engagement "
            "in one `engagement.updated` of `state`, `start` and `end`."
        ),
        "S2, PUB",
    ),
)

_SIGNALS: Final = (
    Clause(
        "SIG-1",
        _MUST,
        _LIFECYCLE,
        (
            "`signal.detected`, with `signal_type`, `start` and optionally `probability` and "
            "`rationale`, announces that an inactive signal type became active, and is not "
            "repeated for that type until a `signal.ended` has come between."
        ),
        "S0",
    ),
    Clause(
        "SIG-2",
        _MUST,
        _LIFECYCLE,
        (
            "`signal.updated`, with the same members as `signal.detected`, is sent for an active "
            "signal type only, and only if its probability is not the one last reported for it "
            "or, in newer deployments, if its rationale or modality is not."
        ),
        "S0, SDK",
    ),
    Clause(
        "SIG-3",
        _MUST,
        _LIFECYCLE,
        (
            "`signal.ended`, with `signal_type` and `end`, is sent when the window being "
            "reported no longer contains a signal type that was active until then."
        ),
        "S0",
    ),
    Clause(
        "SIG-4",
        _MUST,
        _LIFECYCLE,
        (
            "`start` and `end` of a signal are seconds since the start of the session's media, "
            "an `end` is never smaller than the `start` of the detection it closes, and within "
            "one signal type the times never decrease."
        ),
        "S0",
    ),
    Clause(
        "SIG-5",
        _MUST,
        _LIFECYCLE,
        (
            "For each signal type by itself the envelopes form any number of rounds, each of one "
            "`signal.detected`, then zero or more `signal.updated`, then one `signal.ended`, of "
            "which the last round may be cut short by the end of the session."
        ),
        "S0",
    ),
    Clause(
        "SIG-6",
        _SHOULD,
        _ALL,
        (
            "Signal types are agreement, confidence, confusion, disagreement, frustration, "
            "hesitation, interest, skepticism, stress and uncertainty, besides engagement and "
            "disengagement before v2 and a tension that only the published client lists, and a "
            "probability is low, medium or high."
        ),
        "S0, S3, SDK",
    ),
    Clause(
        "SIG-7",
        _SHOULD,
        _LIFECYCLE,
        (
            "When a session is closed gracefully the server sends `signal.ended` for each signal "
            "type still active before it sends `session.ended`."
        ),
        "SDK, PUB",
    ),
    Clause(
        "SIG-8",
        _SHOULD,
        _LIFECYCLE,
        (
            "In newer deployments of v1 `signal.detected` and `signal.updated` may have a member "
            "`modality`, a list of strings, which v2 never sends."
        ),
        "SDK",
    ),
)

_ENGAGEMENT: Final = (
    Clause(
        "ENG-1",
        _MUST,
        _LIFECYCLE,
        (
            "The first level of engagement that is established in a session is reported by one "
            "`engagement.updated` with `state` and `start`."
        ),
        "S0",
    ),
    Clause(
        "ENG-2",
        _MUST,
        _LIFECYCLE,
        ("Every further `engagement.updated` has a `state` other than that of the one sent before it."),
        "S0",
    ),
    Clause(
        "ENG-3",
        _MUST,
        _LIFECYCLE,
        (
            "The `state` of engagement is `engaged`, `neutral` or `disengaged`, and its `start` "
            "counts seconds since the start of the session's media."
        ),
        "S0, S4",
    ),
)

_QUALITY: Final = (
    Clause(
        "CQI-1",
        _MUST,
        _LIFECYCLE,
        (
            "For each cadence period the server sends no more than one "
            "`conversation_quality.updated`, not before the period is over and not unless "
            "`include` has at least one of its two sections in it."
        ),
        "S0",
    ),
    Clause(
        "CQI-2",
        _MUST,
        _LIFECYCLE,
        (
            "`data.overall` is there if and only if `conversation_quality_overall` is included, "
            "and it scores everything from the start of the session to the end of the period "
            "just closed."
        ),
        "S0",
    ),
    Clause(
        "CQI-3",
        _MUST,
        _LIFECYCLE,
        (
            "`data.timeline` is there if and only if `conversation_quality_timeline` is "
            "included, and it is a list of exactly one entry of `start`, `end` and `values` for "
            "the period just closed, even if no signal occurred in it."
        ),
        "S0",
    ),
    Clause(
        "CQI-4",
        _MUST,
        _LIFECYCLE,
        (
            "The scores of a period without signals take engagement into account if there is "
            "any, and where there is nothing at all to score each of them is 50."
        ),
        "S0",
    ),
    Clause(
        "CQI-5",
        _MUST,
        ("v0.2", "v1-window", "v1", "v2"),
        (
            "A set of scores consists of `quality_index`, `clarity`, `authority`, `energy`, "
            "`rapport` and `learning`, each a number from 0 to 100."
        ),
        "S1, S4, PUB",
    ),
    Clause(
        "CQI-6",
        _SHOULD,
        ("v0.2", "v1-window", "v1", "v2"),
        (
            "`quality_index` is the arithmetic mean of the other five scores, where a deviation "
            "of up to 3 is worth no more than an information, given that published examples are "
            "off by as much as 2.6, and a larger one is worth a warning."
        ),
        "PUB, S1, S4",
    ),
    Clause(
        "CQI-7",
        _ASSUMED,
        _LIFECYCLE,
        (
            "A cadence period is 10 seconds of media unless configured otherwise and the next "
            "one starts where it ends, but a client does not count on the length, as an example "
            "with 11 seconds exists."
        ),
        "assumed",
    ),
)

_ERRORS: Final = (
    Clause(
        "ERR-1",
        _MUST,
        _ENVELOPE,
        (
            "The data of an `error` envelope has a `code`, which is the error id, a `message`, a "
            "`link` that may be null and a `segment` that may be null or, in v1-window, absent."
        ),
        "S0, S2",
    ),
    Clause(
        "ERR-2",
        _SHOULD,
        _ENVELOPE,
        (
            "Depending on its code an `error` either leaves the session open or is followed by a "
            "close, for which it gives the reason also when it comes in place of "
            "`session.ready`."
        ),
        "SDK",
    ),
    Clause(
        "ERR-3",
        _MUST,
        _ALL,
        (
            "An HTTP response that reports an error has a JSON object as body, with `error_id`, "
            "`correlation_id`, `message` and `link`, the latter in the form "
            "`https://docs.interhuman.ai/api-reference/error-handling#<id>-<slug>`."
        ),
        "S4, PUB",
    ),
)

_TIMEOUTS: Final = (
    Clause(
        "TMO-1",
        _MUST,
        _LIFECYCLE,
        (
            "After `session_idle_timeout_seconds` without a message from the client the server "
            "sends an `error` with code `ih6003` and closes, where it is assumed that every text "
            "or binary message starts the count afresh and that a ping does not."
        ),
        "S0",
    ),
    Clause(
        "TMO-2",
        _MUST,
        _LIFECYCLE,
        (
            "Once `session_max_duration_seconds` have passed since the upgrade the server sends "
            "an `error` with code `ih6004` and closes."
        ),
        "S0",
    ),
)

_CLOSING: Final = (
    Clause(
        "CLS-1",
        _SHOULD,
        _LIFECYCLE,
        (
            'In v2 and newer deployments of v1 a client ends its session by sending `{"type": '
            '"session.close"}`, upon which the server sends `session.closing` with '
            "`max_drain_seconds`, then the outcome of all media it had accepted, then as its "
            'last message `session.ended` with the reason `"client_shutdown"`, and closes with '
            "code 1000."
        ),
        "SDK, PUB",
    ),
    Clause(
        "CLS-2",
        _SHOULD,
        _LIFECYCLE,
        (
            "Media that arrives after `session.close` is rejected, for which an `error` with "
            "code `ih6001` and the number of the segment is assumed."
        ),
        "PUB",
    ),
    Clause(
        "CLS-3",
        _MUST,
        _ALL,
        (
            "Either side answers a WebSocket close frame with one of its own, and sends nothing "
            "more once it has sent one."
        ),
        "RFC 6455 §5.5.1",
    ),
)

_COVERAGE: Final = (
    Clause(
        "COV-1",
        _SHOULD,
        _LIFECYCLE,
        (
            "In v2 and newer deployments of v1 `coverage.dropped` and `coverage.degraded`, the "
            "latter with the `reason` `video_gap`, name the media concerned in `ranges`, a list "
            "of objects with `start` and `end`."
        ),
        "SDK",
    ),
)

_STATUS_MESSAGES: Final = (
    Clause(
        "STS-1",
        _MUST,
        _STATUS,
        (
            "For each segment the server sends, in this order, a `processing` with `segment` and "
            "`bytes` as soon as it has the segment, a `result` with `segment` and `signals`, and "
            "a `completed` with `segment`, unless an `error` with `segment` takes the place of "
            "whatever had not been sent by then, whose text is the member `error` in v0 and "
            "`error_id`, `link` and `message` in v0.2, where every message has a "
            "`correlation_id` too."
        ),
        "S3, S1",
    ),
    Clause(
        "STS-2",
        _MUST,
        _STATUS,
        (
            "Times of signals in v0 are seconds since the start of their segment, whereas in "
            "v0.2, going by its example, they are seconds since the start of the session's media."
        ),
        "S3, S1",
    ),
    Clause(
        "STS-3",
        _MUST,
        ("v0.2",),
        (
            "In a `result` the lists `signals` and `engagement_state` are about its own segment "
            "alone, and `conversation_quality`, which has just the sections that were asked for, "
            "is about all segments of the session up to it."
        ),
        "S1",
    ),
    Clause(
        "STS-4",
        _MUST,
        ("v0",),
        (
            "The `error` for a segment above the size limit reads `Video chunk too large: <n> "
            "bytes (maximum: 20971520 bytes)`, where `<n>` is the size of the segment."
        ),
        "S3",
    ),
    Clause(
        "STS-5",
        _ASSUMED,
        _STATUS,
        (
            "A client that sends no more segments stays until the last one was completed or refused, "
            "and gives up when for 60 seconds there was no word about those that remain."
        ),
        "assumed",
    ),
)

_UPLOADS: Final = (
    Clause(
        "UPL-1",
        _MUST,
        ("v1-window", "v1"),
        (
            "`POST /v1/upload/analyze` takes a multipart form with a video as `file`, of 10 KB "
            "to 32 MB and no less than 3 seconds, and optionally `include[]`, and answers with a "
            "JSON object of `signals` and, where there is something to tell, `engagement_state` "
            "and `conversation_quality`, under an `X-Correlation-ID` header."
        ),
        "S4",
    ),
    Clause(
        "UPL-2",
        _SHOULD,
        ("v2",),
        (
            "`POST /v2/upload/analyze`, which also takes `model`, a `wait_seconds` from 0 to 120 "
            "and `signals` as a value of `include[]`, answers 202 or 200 with a job, which goes "
            "from queued to running to completed or failed and can be read at "
            "`GET /v2/upload/jobs/{job_id}` for 1 hour."
        ),
        "SDK, PUB",
    ),
)

_CREDENTIALS: Final = (
    Clause(
        "AUT-1",
        _MUST,
        _ALL,
        (
            "`POST /v0/auth` and `POST /v1/auth` exchange a JSON object of `key_id`, "
            "`key_secret` and `scopes`, with at least one of `interhumanai.upload` and "
            "`interhumanai.stream`, for one of `access_token`, `token_type` (always `Bearer`), "
            "`expires_in` (900 seconds) and `scope`."
        ),
        "S3, PUB",
    ),
    Clause(
        "AUT-2",
        _SHOULD,
        _ENVELOPE,
        (
            "`POST /v1/client_tokens` issues a client token against an `api_key` (those of today "
            "begin with `ih_live_`), with the optional members `scopes`, `expires_in` (300 "
            "seconds by default, forced into 60 to 3600), `max_duration_seconds`, `max_bytes`, "
            "`max_concurrent` (1 by default), `max_video_seconds` and `allowed_origins`, and "
            "`POST /v1/client_tokens/revoke` with `api_key` and `token` withdraws it, which ends "
            "a session running on it at the next segment."
        ),
        "SDK, PUB",
    ),
)

CLAUSES: Final[Mapping[str, Clause]] = _by_id(
    (
        *_HANDSHAKE,
        *_ENVELOPES,
        *_READY,
        *_CONFIG,
        *_SEGMENTS,
        *_WINDOWS,
        *_SIGNALS,
        *_ENGAGEMENT,
        *_QUALITY,
        *_ERRORS,
        *_TIMEOUTS,
        *_CLOSING,
        *_COVERAGE,
        *_STATUS_MESSAGES,
        *_UPLOADS,
        *_CREDENTIALS,
    )
)
"""Every clause by its id, family by family in the order of `FAMILIES`."""


def clause(clause_id: str) -> Clause:
    """Look up a clause by its id.

    Raises:
        KeyError: If there is no such clause; the text names the ids that look most like it.
    """
    try:
        return CLAUSES[clause_id]
    except KeyError:
        nearest = difflib.get_close_matches(clause_id.strip().upper(), CLAUSES, cutoff=0.5)
        hint = f"the nearest ids are {', '.join(nearest)}" if nearest else f"the families are {', '.join(FAMILIES)}"
        raise KeyError(f"no clause {clause_id!r}: {hint}") from None
