"""WIN: which stretches of media are analysed together."""

from __future__ import annotations

from ihproto.events import Window


class WindowPlanner:
    """Cuts the media of a session into windows, as it arrives (WIN-1).

    Window number `i` reaches from `i * advance` to `i * advance + length`.

    Args:
        length: The length of a window, in seconds.
        advance: How far one window begins after the one before, in seconds.

    Attributes:
        planned_until: The end of the last window, in media seconds.
    """

    def __init__(self, length: float = 8.0, advance: float = 3.0) -> None:
        if not 0 < advance <= length:
            raise ValueError(f"windows of {length} s that advance by {advance} s leave gaps or never end")
        self._length = length
        self._advance = advance
        self._next = 0
        self.planned_until = 0.0

    def extend(self, media_seconds: float) -> list[Window]:
        """Take note that there are `media_seconds` of media now, and return the windows that are complete with it."""
        windows = []
        while (end := self._next * self._advance + self._length) <= media_seconds:
            windows.append(self._take(end, final=False))
        return windows

    def remainder(self, media_seconds: float) -> Window | None:
        """The last, shorter window of a session that has ended with media that no window covers, if there is any."""
        if media_seconds <= self.planned_until:
            return None
        return self._take(media_seconds, final=True)

    def _take(self, end: float, *, final: bool) -> Window:
        window = Window(self._next, self._next * self._advance, end, final)
        self._next += 1
        self.planned_until = end
        return window
