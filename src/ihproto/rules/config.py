"""CFG and the answer to `session.close`: every text of the client is answered, in order.

A server handles text messages in the order in which they came, so a queue of what was asked is enough to know what
each answer must say, and which configuration is in force at any point of the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

import attrs

from ihproto.clauses import clause
from ihproto.errors import Finding
from ihproto.messages import ConfigOptions, Error, SessionClose, SessionConfig, SessionUpdated

#: The id of the error that answers a text which was not accepted (CFG-5).
CONFIG_REFUSED = "ih6001"


def consolidate(config: SessionConfig, options: ConfigOptions) -> SessionConfig:
    """The configuration that is in force after `config` was accepted (CFG-4, CFG-5).

    Values of `include` that the session does not support are dropped, and doubles with them.
    """
    supported = [value for value in dict.fromkeys(config.include) if value in options.include]
    return attrs.evolve(config, include=supported)


def unsupported(config: SessionConfig, options: ConfigOptions) -> Finding | None:
    """Why a config of the right shape cannot be accepted in this session, or None (CFG-6)."""
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


class ConfigRules:
    """Follows what was asked in text and judges the answers.

    Attributes:
        in_force: The configuration that the server has confirmed last.
        options: What the contract offers; set when the contract is known.
    """

    def __init__(self) -> None:
        self.in_force = SessionConfig()
        self.options = ConfigOptions()
        self._asked: deque[SessionConfig | SessionClose] = deque()

    @property
    def unanswered(self) -> int:
        """How many texts of the client have had no answer yet."""
        return len(self._asked)

    def note(self, message: SessionConfig | SessionClose) -> None:
        """Remember that the client sent this."""
        self._asked.append(message)

    def answers_close(self, error: Error) -> bool:
        """Tell whether this error is the refusal of `session.close`."""
        return _answers_text(error) and bool(self._asked) and isinstance(self._asked[0], SessionClose)

    def judge_error(self, error: Error) -> None:
        """Take a refusal as the answer to the oldest text (CFG-5)."""
        if _answers_text(error) and self._asked:
            self._asked.popleft()

    def judge_closing(self, found: list[Finding]) -> None:
        """Judge `session.closing`: what was asked before it must have been answered before it (CFG-2)."""
        if SessionClose() not in self._asked:
            return
        while self._asked.popleft() != SessionClose():
            what = "a config sent before session.close was answered by neither session.updated nor ih6001"
            found.append(Finding(clause("CFG-2"), what))

    def note_unreadable_answer(self) -> None:
        """Take a `session.updated` that could not be read as the answer to the oldest config."""
        asked = next((item for item in self._asked if isinstance(item, SessionConfig)), None)
        if asked is not None:
            self._asked.remove(asked)

    def judge_updated(self, message: SessionUpdated, found: list[Finding]) -> None:
        """Judge `session.updated` against the config that it answers (CFG-2, CFG-4)."""
        self.in_force = SessionConfig(include=message.include, goal_dimensions=message.goal_dimensions)
        asked = next((item for item in self._asked if isinstance(item, SessionConfig)), None)
        if asked is None:
            what = "session.updated answers nothing: no config was sent that has had no answer"
            found.append(Finding(clause("CFG-2"), what))
            return
        self._asked.remove(asked)
        expected = consolidate(asked, self.options)
        if set(message.include) != set(expected.include):
            clause_id = "CFG-2" if asked.include else "CFG-4"
            what = f"the config in force should include {_list(expected.include)}, not {_list(message.include)}"
            found.append(Finding(clause(clause_id), what, "$.data.include"))
        if set(message.goal_dimensions or ()) != set(expected.goal_dimensions or ()):
            what = "the goal dimensions in force are not those of the config"
            found.append(Finding(clause("CFG-6"), what, "$.data.goal_dimensions"))

    def judge_feedback(self, found: list[Finding]) -> None:
        """Judge `feedback.generated`: only goal dimensions enable it (CFG-6)."""
        if not self.in_force.goal_dimensions:
            what = "feedback came although no goal dimensions are in force"
            found.append(Finding(clause("CFG-6"), what))


def _answers_text(error: Error) -> bool:
    return error.code == CONFIG_REFUSED and error.segment is None


def _list(values: Collection[str]) -> str:
    return ", ".join(values) if values else "nothing"
