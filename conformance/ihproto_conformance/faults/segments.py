"""Faults in dealing with segments: what is refused, and what time the media has."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ihproto.wire import RawBytes, RawClose
from ihproto_conformance.faults.blocks import (
    Message,
    change,
    data,
    edit,
    error,
    follow,
    hears_segments,
    kind,
    says,
    withhold,
)
from ihproto_conformance.faults.fault import Act, Behaviour, Fault, Forward, Say, Talk

_EBML = b"\x1a\x45\xdf\xa3"
_NOTHING = (Forward(RawBytes(b"")),)


def _shift(by: int) -> Behaviour:
    """Count segments wrongly."""

    def shifted(message: Message, talk: Talk) -> None:
        fields = data(message)
        fields["segment"] += by

    return edit("error", shifted, error(about="segments"))


def _silent(*codes: str) -> Behaviour:
    """Say nothing of segments that are refused."""
    return withhold("error", error(*codes, about="segments"))


def _code(code: str, *codes: str) -> Behaviour:
    """Refuse segments with another error."""
    return change("error", error(*codes, about="segments"), code=code)


def _begins(message: Message, talk: Talk) -> bool:
    fields = data(message)
    return bool(fields["code"] == "ih5004" and fields["segment"] == 1)


def _headers_only(segment: bytes, talk: Talk) -> Iterable[Act] | None:
    """Refuse whatever carries on from an earlier header."""
    if segment.startswith(_EBML) or not talk.notes.get("header"):
        talk.notes["header"] = segment.startswith(_EBML)
        return None
    # A message of 0 bytes is refused as well, and uses up its number.
    return _NOTHING if segment else None


def _one_header(segment: bytes, talk: Talk) -> Iterable[Act] | None:
    """Refuse a header when media was accepted."""
    if not segment.startswith(_EBML):
        return None
    refused = {data(message).get("segment") for message in talk.said if kind(message) == "error"}
    headers = talk.notes.setdefault("headers", [])
    accepted = [number for number in headers if number not in refused]
    headers.append(talk.segments)
    return _NOTHING if accepted else None


def _times(change: Callable[[float], float]) -> Behaviour:
    """Tell other times."""

    def told(message: Message, talk: Talk) -> None:
        fields = data(message)
        for place in (fields, *fields.get("timeline", ())):
            for name in ("start", "end"):
                if name in place:
                    place[name] = change(place[name])

    return edit(
        ("signal.detected", "signal.updated", "signal.ended", "engagement.updated", "conversation_quality.updated"),
        told,
    )


FAULTS = (
    Fault("SEG-1.from-0", "Counts segments from 0", _shift(-1)),
    Fault("SEG-1.ahead", "Names the segment behind the one at fault", _shift(1)),
    Fault("SEG-2.silent", "Says nothing of a segment that is too large", _silent("ih6002")),
    Fault("SEG-2.code", "Refuses a segment that is too large with ih4003", _code("ih4003", "ih6002")),
    Fault(
        "SEG-2.closes",
        "Closes the session at a segment that is too large",
        says("error", lambda message, talk: (Say(RawClose(1009)),), error("ih6002")),
    ),
    Fault(
        "SEG-2.ends",
        "Refuses a segment that is too large, and closes then",
        follow("error", Say(RawClose(1009)), when=error("ih6002")),
    ),
    Fault("SEG-4.silent", "Takes files of less than 3 seconds", _silent("ih4007")),
    Fault("SEG-4.code", "Refuses files of less than 3 seconds with ih5004", _code("ih5004", "ih4007")),
    Fault("SEG-5.silent", "Says nothing of a segment that is no container", _silent("ih4002")),
    Fault("SEG-5.code", "Refuses what is no container with ih5004", _code("ih5004", "ih4002")),
    Fault("SEG-6.headers-only", "Refuses pieces that carry on from an earlier header", hears_segments(_headers_only)),
    Fault("SEG-6.one-header", "Refuses a second file in one session", hears_segments(_one_header)),
    Fault("SEG-6.silent", "Says nothing of a session that begins in mid-recording", withhold("error", _begins)),
    Fault(
        "SEG-6.code",
        "Refuses a session that begins in mid-recording with ih5002",
        change("error", _begins, code="ih5002"),
    ),
    Fault("SEG-7.silent", "Takes media without a video track", _silent("ih5001")),
    Fault("SEG-7.code", "Refuses media without a video track with ih5004", _code("ih5004", "ih5001")),
    Fault("SEG-7.mute", "Takes media without an audio track, though it hears", _silent("ih5008"), ("v2",)),
    Fault(
        "SEG-8.unnamed",
        "Does not name the segment that it refuses",
        change("error", error("ih4002", "ih4007", "ih5001", "ih5004", "ih5008", "ih6002"), segment=None),
    ),
    Fault(
        "SEG-8.names-one",
        "Names a segment where the session is at fault",
        change("error", error("ih6003", "ih6004"), segment=0),
    ),
    Fault("SEG-9.milliseconds", "Tells times in milliseconds", _times(lambda time: time * 1000)),
    Fault("SEG-9.clock", "Counts time from before the first segment", _times(lambda time: time + 100)),
)
