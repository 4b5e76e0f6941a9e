"""CFG and the answer to `session.close`: every text of the client is answered, in order.

A server handles text messages in the order in which they came, so a queue of what was asked is enough to know what
each answer must say, and which configuration is in force at any point of the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable

import attrs

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import ConfigOptions, Error, SessionClose, SessionConfig, SessionUpdated
from ihproto.revisions import INCLUDE_PARAMETER, MODEL_PARAMETER, V1, Revision

#: The id of the error that answers a text which was not accepted (CFG-5).
CONFIG_REFUSED = "ih6001"


def read_query(revision: Revision, query: Iterable[tuple[str, str]]) -> SessionConfig:
    """The configuration that the URL asks for, as far as this revision takes it from there (HS-13, HS-15).

    Values that do not exist are kept: whether that matters is not the same for all of them.
    """
    include: list[str] = []
    model: str | None = None
    for name, value in query:
        if name == INCLUDE_PARAMETER and name in revision.query_keys:
            include.append(value)
        elif name == MODEL_PARAMETER and name in revision.query_keys:
            model = value
    return SessionConfig(include, model=model)


def write_query(revision: Revision, config: SessionConfig) -> tuple[list[tuple[str, str]], SessionConfig]:
    """The parameters with which the URL asks for a configuration, and what of it must be asked for in a message.

    Args:
        revision: The revision to speak.
        config: What is wanted.

    Returns:
        Names and values for the query (HS-13, HS-15), and the rest as a configuration of its own.
    """
    query: list[tuple[str, str]] = []
    if INCLUDE_PARAMETER in revision.query_keys:
        query += [(INCLUDE_PARAMETER, value) for value in config.include]
        config = attrs.evolve(config, include=())
    if MODEL_PARAMETER in revision.query_keys and config.model is not None:
        query.append((MODEL_PARAMETER, config.model))
        config = attrs.evolve(config, model=None)
    return query, config


def consolidate(config: SessionConfig, options: ConfigOptions, in_force: SessionConfig | None = None) -> SessionConfig:
    """The configuration that is in force after `config` was accepted (CFG-4, CFG-5, CFG-7, CFG-8).

    Values of `include` that the session does not support are dropped, and doubles with them; model and audio format
    stay as they were, where they are left out.
    """
    before = in_force if in_force is not None else SessionConfig()
    return attrs.evolve(
        config,
        include=[value for value in dict.fromkeys(config.include) if value in options.include],
        model=config.model if config.model is not None else before.model,
        audio_format=config.audio_format if config.audio_format is not None else before.audio_format,
    )


def unwritable(config: SessionConfig, revision: Revision) -> Finding | None:
    """Why this revision has no words for a config, or None (CFG-1, CFG-7)."""
    if not revision.config_keys:
        return Finding(clause("CFG-1"), f"revision {revision.id} has no session config")
    for name in ("goal_dimensions", "model", "audio_format"):
        if getattr(config, name) is not None and name not in revision.config_keys:
            what = f"a session config of revision {revision.id} has no {name}"
            return Finding(clause("CFG-7" if name == "model" else "CFG-5"), what, f"$.{name}")
    return None


def unsupported(
    config: SessionConfig,
    options: ConfigOptions,
    revision: Revision = V1,
    in_force: SessionConfig | None = None,
    *,
    media_begun: bool = False,
) -> Finding | None:
    """Why a config of the right shape cannot be accepted in this session, or None (CFG-6, CFG-7, CFG-8).

    Args:
        config: The config.
        options: What the contract offers.
        revision: The revision that is spoken.
        in_force: The configuration before.
        media_begun: Whether a segment has begun: then model and audio format are fixed.
    """
    before = in_force if in_force is not None else SessionConfig()
    return (
        _unsupported_goals(config, options)
        or _unsupported_model(config, options, before, media_begun)
        or _unsupported_audio(config, revision, before, media_begun)
    )


def _unsupported_goals(config: SessionConfig, options: ConfigOptions) -> Finding | None:
    if config.goal_dimensions is None:
        return None
    if options.goal_dimensions is None:
        what = "this session offers no goal_dimensions; session.ready would list them"
        return Finding(clause("CFG-6"), what, "$.goal_dimensions")
    for index, value in enumerate(config.goal_dimensions):
        if value not in options.goal_dimensions:
            what = f"not a goal dimension of this session; it offers {', '.join(options.goal_dimensions)}"
            return Finding(clause("CFG-6"), what, f"$.goal_dimensions[{index}]")
    return None


def _unsupported_model(
    config: SessionConfig, options: ConfigOptions, before: SessionConfig, media_begun: bool
) -> Finding | None:
    if config.model is None or config.model == before.model:
        return None
    if config.model not in (options.model or ()):
        offer = f"it offers {', '.join(options.model)}" if options.model else "it offers no choice"
        return Finding(clause("CFG-7"), f"not a model of this session; {offer}", "$.model")
    if media_begun:
        return Finding(clause("CFG-7"), "the model is fixed once the first segment was sent", "$.model")
    return None


def _unsupported_audio(
    config: SessionConfig, revision: Revision, before: SessionConfig, media_begun: bool
) -> Finding | None:
    audio = config.audio_format if config.audio_format is not None else before.audio_format
    if audio is None:
        return None
    try:
        model = revision.model(config.model if config.model is not None else before.model)
    except KeyError:
        # A model that this library does not know may take anything.
        return None
    if not model.raw_audio:
        what = f"the model {model.name} takes no raw audio; select one that hears audio alone"
        return Finding(clause("CFG-8"), what, "$.audio_format")
    if media_begun and audio != before.audio_format:
        return Finding(clause("CFG-8"), "the audio format is fixed once the first segment was sent", "$.audio_format")
    return None


@attrs.frozen
class _Refusable:
    """A text that no server may accept.

    Attributes:
        clause_id: The clause by which it is to be refused.
        config: The config that it is, where it can be read as one.
    """

    clause_id: str
    config: SessionConfig | None = None


#: The clauses on what a config may say behind those before it.
_BY_THOSE_BEFORE = frozenset({"CFG-7", "CFG-8"})


class ConfigRules:
    """Follows what was asked in text and judges the answers.

    Args:
        revision: The revision that is spoken: not all of them confirm a config.

    Attributes:
        in_force: The configuration that the server has confirmed last; where it confirms none, the last one sent.
        options: What the contract offers; set when the contract is known.
    """

    def __init__(self, revision: Revision = V1) -> None:
        self.in_force = SessionConfig()
        self.options = ConfigOptions()
        self._confirms = revision.confirms
        self._before = SessionConfig()
        self._asked: deque[SessionConfig | SessionClose | _Refusable] = deque()
        # How many of these had been sent when the first segment began.
        self._asked_before_media: int | None = None

    @property
    def unanswered(self) -> int:
        """How many texts of the client have had no answer yet."""
        return len(self._asked)

    @property
    def awaited(self) -> SessionConfig:
        """The configuration that will be in force if every config without an answer is accepted."""
        config = self.in_force
        for asked in [item for item in self._asked if isinstance(item, SessionConfig)]:
            config = consolidate(asked, self.options, config)
        return config

    def note(self, message: SessionConfig | SessionClose) -> None:
        """Remember that the client sent this."""
        if self._confirms:
            self._asked.append(message)
        elif isinstance(message, SessionConfig):
            self._before, self.in_force = self.in_force, consolidate(message, self.options, self.in_force)

    def note_broken(self, clause_id: str = "CFG-5", config: SessionConfig | None = None) -> None:
        """Remember that the client sent a text that is to be refused, by which clause, and which config it is."""
        if self._confirms:
            self._asked.append(_Refusable(clause_id, config))
        else:
            self._before = self.in_force

    def begin_media(self) -> None:
        """Take note that the first segment, or one behind it, has begun."""
        if self._asked_before_media is None:
            self._asked_before_media = len(self._asked)

    def judge_early(self, revision: Revision) -> list[Finding]:
        """Judge the configs that were sent before the contract was known, now that it is (CFG-6, CFG-7, CFG-8)."""
        found = []
        before = self.in_force
        for index, asked in enumerate(self._asked):
            if not isinstance(asked, SessionConfig):
                continue
            begun = self._asked_before_media is not None and index >= self._asked_before_media
            finding = unsupported(asked, self.options, revision, self.with_model(before), media_begun=begun)
            if finding is None:
                before = consolidate(asked, self.options, before)
            else:
                found.append(finding)
                self._asked[index] = _Refusable(finding.clause.id, asked)
        return found

    def with_model(self, config: SessionConfig) -> SessionConfig:
        """A configuration with the model that it means where it names none: the first one offered (CFG-7)."""
        default = self.options.model[0] if self.options.model else None
        return config if config.model is not None else attrs.evolve(config, model=default)

    @property
    def asks_for_close(self) -> bool:
        """Whether a `session.close` has had no answer yet (CLS-1)."""
        return SessionClose() in self._asked

    def passes_over_close(self, message: object) -> bool:
        """Tell whether this answers a config that was sent after a `session.close` without an answer."""
        return (
            isinstance(message, SessionUpdated)
            and bool(self._asked)
            and isinstance(self._asked[0], SessionClose)
            and any(isinstance(asked, SessionConfig) for asked in self._asked)
        )

    def answers_close(self, error: Error) -> bool:
        """Tell whether this error is the refusal of `session.close`."""
        return _answers_text(error) and bool(self._asked) and isinstance(self._asked[0], SessionClose)

    def judge_error(self, error: Error) -> None:
        """Take a refusal as the answer to the oldest text (CFG-5)."""
        if not _answers_text(error):
            return
        if self._asked:
            if isinstance(self._asked.popleft(), SessionConfig):
                self._doubt()
        elif not self._confirms:
            self.in_force = self._before

    def _doubt(self) -> None:
        """A config was refused that looked right: what it made wrong of those behind it may be right after all."""
        for index, asked in enumerate(self._asked):
            if isinstance(asked, _Refusable) and asked.config is not None and asked.clause_id in _BY_THOSE_BEFORE:
                self._asked[index] = asked.config

    def judge_closing(self, found: list[Finding]) -> None:
        """Judge `session.closing`: what was asked before it must have been answered before it (CFG-2)."""
        if not self.asks_for_close:
            return
        while (asked := self._asked.popleft()) != SessionClose():
            what = "a text sent before session.close was answered by neither session.updated nor ih6001"
            found.append(Finding(clause(asked.clause_id if isinstance(asked, _Refusable) else "CFG-2"), what))

    def note_unreadable_answer(self) -> None:
        """Take a `session.updated` that could not be read as the answer to the oldest config."""
        asked = next((item for item in self._asked if isinstance(item, SessionConfig)), None)
        if asked is not None:
            self._asked.remove(asked)

    def judge_updated(self, message: SessionUpdated, found: list[Finding]) -> None:
        """Judge `session.updated` against the config that it answers (CFG-2, CFG-4)."""
        if self._asked and isinstance(refusable := self._asked[0], _Refusable):
            self._asked.popleft()
            self.in_force = SessionConfig(
                message.include,
                message.goal_dimensions,
                message.model or self.in_force.model,
                self.in_force.audio_format,
            )
            what = "session.updated answers a text that is to be refused; ih6001 was due"
            found.append(Finding(clause(refusable.clause_id), what))
            return
        before = self.in_force
        asked = next((item for item in self._asked if isinstance(item, SessionConfig)), None)
        expected = consolidate(asked, self.options, before) if asked is not None else before
        # Which audio format is in force the message does not tell.
        self.in_force = SessionConfig(
            message.include, message.goal_dimensions, message.model or expected.model, expected.audio_format
        )
        if asked is None:
            what = "session.updated answers nothing: no config was sent that has had no answer"
            found.append(Finding(clause("CFG-2"), what))
            return
        self._asked.remove(asked)
        if set(message.include) != set(expected.include):
            added = set(message.include) == {*expected.include, *before.include}
            clause_id = "CFG-4" if added or not asked.include else "CFG-2"
            what = f"the config in force should include {_list(expected.include)}, not {_list(message.include)}"
            found.append(Finding(clause(clause_id), what, "$.data.include"))
        if set(message.goal_dimensions or ()) != set(expected.goal_dimensions or ()):
            what = "the goal dimensions in force are not those of the config"
            found.append(Finding(clause("CFG-6"), what, "$.data.goal_dimensions"))
        if expected.model is not None and message.model != expected.model:
            what = f"the model in force should be {expected.model}, not {(message.model or 'left out')[:40]}"
            found.append(Finding(clause("CFG-7"), what, "$.data.model"))

    def judge_feedback(self, found: list[Finding]) -> None:
        """Judge `feedback.generated`: only goal dimensions enable it (CFG-6)."""
        if not self.in_force.goal_dimensions:
            what = "feedback came although no goal dimensions are in force"
            found.append(Finding(clause("CFG-6"), what))


def _answers_text(error: Error) -> bool:
    return error.code == CONFIG_REFUSED and error.segment is None


def _list(values: Collection[str]) -> str:
    return ", ".join(values) if values else "nothing"
