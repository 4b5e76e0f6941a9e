"""Strategies for clients: what one does in a session, by the rules and against one of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import attrs
from hypothesis import strategies as st

from ihproto.codec import Codec
from ihproto.messages import AudioFormat, SessionClose, SessionConfig
from ihproto.revisions import INCLUDE_PARAMETER, MODEL_PARAMETER, V0, V1, V2, Model, Revision
from ihproto.testing.recordings import recordings, segment_pieces
from ihproto.testing.transcripts import BrokenActions, ClientClosed, ClientSaid, ClientSent, ClientStep
from ihproto.testing.webm import webm_chunks

#: Segments that no server accepts, whatever came before them; mostly none. Strategies that do not depend on what was
#: drawn are made once: Hypothesis spends more time on making them than on drawing.
_REFUSED = st.sampled_from([None, None, None, b"GIF89a" + bytes(20), b""])


@cache
def query_configs(revision: Revision = V1) -> st.SearchStrategy[SessionConfig]:
    """What the URL asks for, in revisions that are configured by it (HS-13, HS-15); otherwise nothing."""
    sections = V1.contract.supported_session_config_options.include if INCLUDE_PARAMETER in revision.query_keys else ()
    models = [model.name for model in revision.models] if MODEL_PARAMETER in revision.query_keys else []
    return st.builds(SessionConfig, _some(sections), model=st.sampled_from([None, *models]))


@cache
def session_configs(revision: Revision = V1) -> st.SearchStrategy[SessionConfig]:
    """Configs that the revision's usual contract allows at any moment of a session (CFG-1, CFG-3, CFG-6).

    In v0 and v0.2, which have none, there is nothing to draw.
    """
    if not revision.config_keys:
        return st.nothing()
    options = revision.contract.supported_session_config_options
    goals = st.none() | _some(options.goal_dimensions) if options.goal_dimensions else st.none()
    return st.builds(SessionConfig, _some(options.include), goals)


def client_actions(
    revision: Revision = V1,
    *,
    asked: SessionConfig | None = None,
    max_segments: int = 4,
    refused: bool = False,
) -> st.SearchStrategy[tuple[ClientStep, ...]]:
    """What a client does in a session that is ready, by the rules.

    It may choose a model where there is a choice, before its first segment (CFG-7, CFG-8), and configure the session
    at any time (CFG-1); its segments are chunks of one recording after another, each in pieces (SEG-1, SEG-6); at last
    it may end, close, or do nothing more (CLS-1, CLS-2, CLS-3).

    Args:
        revision: The revision to speak.
        asked: What the URL asked for.
        max_segments: The most segments that are to be accepted.
        refused: Whether there may be segments besides that a server refuses (SEG-3, SEG-5, SEG-6, SEG-10).
    """
    chosen = asked.model if asked is not None else None
    work = _work(revision, chosen, max_segments, refused=refused, chooses="model" in revision.config_keys)

    @st.composite
    def actions(draw: st.DrawFn) -> tuple[ClientStep, ...]:
        return draw(work) + draw(st.sampled_from(_endings(revision)))

    return actions()


@st.composite
def _work(
    draw: st.DrawFn, revision: Revision, model_name: str | None, most: int, *, refused: bool = False, chooses: bool
) -> tuple[ClientStep, ...]:
    """Configs and segments."""
    actions: list[ClientStep] = []

    def configure(config: SessionConfig | None) -> None:
        if config is not None:
            actions.append(ClientSaid(Codec(revision).encode_client(config)))

    model, audio = revision.model(model_name), None
    if chooses and draw(st.booleans()):
        choice = draw(_first_configs(revision))
        model, audio = revision.model(choice.model), choice.audio_format
        configure(choice)
    configs = _maybe_configs(revision)
    for chunk in draw(_segments(revision, model, audio, most)):
        configure(draw(configs))
        refused_before = draw(_REFUSED) if refused else None
        if refused_before is not None:
            actions.append(ClientSent((refused_before,)))
        actions.append(ClientSent(draw(segment_pieces(chunk, max_pieces=3))))
    configure(draw(configs))
    return tuple(actions)


@cache
def _some(values: tuple[str, ...]) -> st.SearchStrategy[tuple[str, ...]]:
    if not values:
        return st.just(())
    return st.lists(st.sampled_from(values), unique=True).map(tuple)


@cache
def _maybe_configs(revision: Revision) -> st.SearchStrategy[SessionConfig | None]:
    return st.none() | session_configs(revision)


@cache
def _first_configs(revision: Revision) -> st.SearchStrategy[SessionConfig]:
    """Configs that choose a model, and for one that hears audio alone maybe raw audio (CFG-7, CFG-8)."""
    formats = st.builds(AudioFormat, sample_rate=st.sampled_from([16000, 24000]))
    return st.sampled_from(revision.models).flatmap(
        lambda model: st.builds(
            SessionConfig,
            model=st.just(model.name),
            audio_format=st.none() | formats if model.raw_audio else st.none(),
        )
    )


@cache
def _segments(
    revision: Revision, model: Model, audio: AudioFormat | None, most: int
) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Chunks of one or two recordings, or raw audio."""
    if audio is not None:
        samples = st.integers(1, 8).map(lambda seconds: bytes(seconds * audio.bytes_per_second))
        return st.lists(samples, max_size=most).map(tuple)
    smallest = revision.contract.min_segment_size_bytes if revision is V0 else 0
    one = recordings(tracks=model.tracks, min_chunks=0, max_chunks=most, min_size=smallest)
    if most < 2:
        return one
    first = recordings(tracks=model.tracks, max_chunks=most // 2, min_size=smallest)
    return one | st.builds(lambda left, right: left + right, first, first)


def _endings(revision: Revision) -> list[tuple[ClientStep, ...]]:
    """The ways to end; where there is no `session.close`, a client that has nothing more to say closes."""
    close = (ClientClosed(1000),)
    gracefully: tuple[ClientStep, ...] = (ClientSaid(Codec(revision).encode_client(SessionClose())),)
    return [(), gracefully, close] if revision.drains else [(), close]


# -- against the rules ----------------------------------------------------------------------------

Make = Callable[[st.DrawFn, Revision], tuple[ClientStep, ...]]


@attrs.frozen
class ClientFault:
    """Something that a client may not do.

    Attributes:
        clause_id: The clause that it does not keep.
        name: What it is, in a few words.
        applies: Whether a revision forbids it.
        make: Draws it.
        leads: Whether it is a fault only at the beginning.
        large: Whether it takes as many bytes as a segment may have.
    """

    clause_id: str
    name: str
    applies: Callable[[Revision], bool]
    make: Make
    leads: bool = False
    large: bool = False


def broken_client_actions(
    revision: Revision = V1, *, max_segments: int = 3, large: bool = False
) -> st.SearchStrategy[BrokenActions]:
    """What a client does by the rules, and at the end one thing that is against them, with the clause.

    Texts that are no configs (CFG-1, CFG-5), configs that the usual contract does not allow (CFG-6, CFG-7, CFG-8),
    media after `session.close`, and a second one of it, while the server drains (CLS-2, CLS-1), segments of a wrong
    size, kind or length (SEG-3, SEG-4, SEG-5, SEG-6, SEG-7, SEG-10), texts where there are none (SEG-1).

    Args:
        revision: The revision to speak.
        max_segments: The most segments before it.
        large: Draw segments that are too large as well (SEG-2, SEG-3); such a one has 20 or 32 MB.
    """
    faults = [fault for fault in CLIENT_FAULTS if fault.applies(revision) and (large or not fault.large)]

    @st.composite
    def broken(draw: st.DrawFn) -> BrokenActions:
        fault = draw(st.sampled_from(faults))
        before = () if fault.leads else draw(_work(revision, None, max_segments, chooses=False))
        return BrokenActions(before + fault.make(draw, revision), fault.clause_id, fault.name)

    return broken()


def _configures(revision: Revision) -> bool:
    return bool(revision.config_keys)


def _one_of(*texts: str) -> Make:
    return lambda draw, revision: (ClientSaid(draw(st.sampled_from(texts))),)


def _file(revision: Revision, seconds: float = 3.0, tracks: tuple[str, ...] | None = None) -> ClientSent:
    """A complete file as a segment, large enough for the revision."""
    smallest = revision.contract.min_segment_size_bytes
    wanted = tracks if tracks is not None else revision.models[0].tracks
    return ClientSent(webm_chunks([seconds], tracks=wanted, min_size=smallest))


def _after_session_close(revision: Revision, late: ClientStep) -> tuple[ClientStep, ...]:
    """Something that comes while the server drains; the file before is there so that it has something to do."""
    return (_file(revision), ClientSaid(_SESSION_CLOSE), late)


def _missing_track(draw: st.DrawFn, revision: Revision) -> tuple[ClientStep, ...]:
    missing = draw(st.sampled_from(revision.models[0].tracks))
    return (_file(revision, tracks=("audio",) if missing == "video" else ("video",)),)


def _continuation(draw: st.DrawFn, revision: Revision) -> tuple[ClientStep, ...]:
    tracks, smallest = revision.models[0].tracks, revision.contract.min_segment_size_bytes
    chunk = webm_chunks([3, 3], tracks=tracks, min_size=smallest)[1]
    return (ClientSent(draw(segment_pieces(chunk, max_pieces=3))),)


_SESSION_CLOSE = Codec(V1).encode_client(SessionClose())
_UNOFFERED_GOALS = {V1.id: '{"goal_dimensions":["clarity"]}', V2.id: '{"goal_dimensions":["clarity","beauty"]}'}

CLIENT_FAULTS = (
    ClientFault("CFG-1", "no JSON object", _configures, _one_of("[]", "null", "hello", '{"include":[]', "")),
    ClientFault("CFG-5", "a member that is not known", _configures, _one_of('{"includes":[]}', '{"type":"close"}')),
    ClientFault("CFG-5", "a wrong type", _configures, _one_of('{"include":"all"}', '{"include":[1]}')),
    ClientFault(
        "CFG-6",
        "goals that are not offered",
        lambda revision: "goal_dimensions" in revision.config_keys,
        lambda draw, revision: (ClientSaid(_UNOFFERED_GOALS[revision.id]),),
    ),
    ClientFault("CFG-7", "a model that there is not", lambda revision: revision is V2, _one_of('{"model":"inter-0"}')),
    ClientFault(
        "CFG-7",
        "another model after the first segment",
        lambda revision: revision is V2,
        lambda draw, revision: (_file(revision), ClientSaid('{"model":"inter-2-audio"}')),
    ),
    ClientFault(
        "CFG-8",
        "raw audio for a model that takes none",
        lambda revision: revision is V2,
        _one_of('{"audio_format":{"encoding":"pcm_s16le","sample_rate":16000,"channels":1}}'),
    ),
    ClientFault(
        "CLS-1",
        "session.close twice",
        lambda revision: revision.drains,
        lambda draw, revision: _after_session_close(revision, ClientSaid(_SESSION_CLOSE)),
    ),
    ClientFault(
        "CLS-2",
        "media after session.close",
        lambda revision: revision.drains,
        lambda draw, revision: _after_session_close(revision, _file(revision)),
    ),
    ClientFault(
        "SEG-1", "a text", lambda revision: not revision.config_keys, _one_of("{}", '{"include":[]}', _SESSION_CLOSE)
    ),
    ClientFault(
        "SEG-2",
        "a segment that is too large",
        lambda revision: revision is not V0,
        lambda draw, revision: (ClientSent((bytes(revision.contract.max_segment_size_bytes + 1),)),),
        large=True,
    ),
    ClientFault(
        "SEG-3",
        "a segment that is too large",
        lambda revision: revision is V0,
        lambda draw, revision: (ClientSent((bytes(revision.contract.max_segment_size_bytes + 1),)),),
        large=True,
    ),
    ClientFault(
        "SEG-3",
        "a segment that is too small",
        lambda revision: revision is V0,
        lambda draw, revision: (ClientSent(webm_chunks([3], tracks=("video",))),),
    ),
    ClientFault(
        "SEG-4",
        "a file that is too short",
        lambda revision: revision.contract.min_segment_duration_seconds is not None,
        lambda draw, revision: (_file(revision, draw(st.sampled_from([0.12, 1.2, 2.64]))),),
    ),
    ClientFault(
        "SEG-5",
        "no container",
        lambda revision: True,
        lambda draw, revision: (ClientSent((b"GIF89a" + bytes(10_000),)),),
        leads=True,
    ),
    ClientFault("SEG-6", "a recording without its beginning", lambda revision: True, _continuation, leads=True),
    ClientFault("SEG-7", "a track is missing", lambda revision: True, _missing_track),
    ClientFault("SEG-10", "an empty segment", lambda revision: True, lambda draw, revision: (ClientSent((b"",)),)),
)
