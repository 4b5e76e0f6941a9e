"""How `ihproto stream` shows a session: for people, or as the JSON lines that arrived."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ihproto import (
    ClientEvent,
    ClientSession,
    ConversationQualityUpdated,
    CoverageDegraded,
    CoverageDropped,
    EngagementUpdated,
    Envelope,
    Error,
    FeedbackGenerated,
    QualityScores,
    SegmentCompleted,
    SegmentFailed,
    SegmentFailedText,
    SegmentProcessing,
    SegmentResult,
    SegmentSignals,
    SessionClosing,
    SessionEnded,
    SessionReady,
    SessionUpdated,
    SignalDetected,
    SignalEnded,
    SignalSpan,
    SignalUpdated,
    Violated,
    WindowEngagement,
    WindowSignal,
    WindowSignals,
)
from ihproto.cli.output import echo, printable, printing
from ihproto.revisions import QUALITY_DIMENSIONS

_STYLES = {"signal.detected": "green", "signal.updated": "yellow", "signal.ended": "blue", "error": "bold red"}


class View(Protocol):
    """Something that shows a session while it runs."""

    def __enter__(self) -> View:
        """Begin to show."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Stop to show."""
        ...

    def opened(self, session: ClientSession) -> None:
        """The session stands."""
        ...

    def sent(self, path: Path, size: int) -> None:
        """A file went out as a segment of so many bytes."""
        ...

    def event(self, event: ClientEvent) -> None:
        """Something happened."""
        ...

    def note(self, text: str, *, good: bool = False) -> None:
        """Something that the user should know, and that is no event."""
        ...


class JsonView:
    """Every envelope as one line on stdout, exactly as the server sent it; everything else on stderr."""

    def __enter__(self) -> JsonView:
        """Begin to show."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop to show."""

    def opened(self, session: ClientSession) -> None:
        """Show nothing: `session.ready` is among the events."""

    def sent(self, path: Path, size: int) -> None:
        """Show nothing: the lines are what the server says."""

    def event(self, event: ClientEvent) -> None:
        """Print the text of an envelope; JSON has line breaks only where a blank does as well."""
        if isinstance(event, Envelope):
            echo(event.raw.replace("\r", " ").replace("\n", " "))
        elif isinstance(event, Violated):
            self.note(f"violation: {event.violation}")

    def note(self, text: str, *, good: bool = False) -> None:
        """Print a note on stderr."""
        echo(printable(text), err=True)


class LiveView:
    """A line for each event, and below them, on a terminal, progress and what holds at the moment.

    Args:
        console: Where to print.
        size: How much there is to send, in bytes.
    """

    def __init__(self, console: Console, size: int) -> None:
        self._console = console
        self._session: ClientSession | None = None
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._sent = self._progress.add_task("sent", total=size)
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> LiveView:
        """Begin to show."""
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop to show; the lines stay."""
        self._live.stop()

    def opened(self, session: ClientSession) -> None:
        """Remember the session, to show its state."""
        self._session = session

    def sent(self, path: Path, size: int) -> None:
        """Show that a segment went out."""
        self._progress.advance(self._sent, size)
        self._line("sent", f"{path.name}, {size:,} bytes", "dim")

    def event(self, event: ClientEvent) -> None:
        """Show an event as a line."""
        if isinstance(event, Envelope):
            self._line(event.type, describe(event), _STYLES.get(event.type, ""))
        elif isinstance(event, Violated):
            self._line("violation", str(event.violation), "magenta")

    def note(self, text: str, *, good: bool = False) -> None:
        """Show a note as a line."""
        self._line("note", text, "bold green" if good else "bold red")

    def _line(self, head: str, text: str, style: str) -> None:
        line = Text(f"{printable(head):<28} ", style=style)
        line.append(printable(text), style="")
        with printing():
            self._console.print(line, soft_wrap=True)

    def _render(self) -> Group:
        table = Table.grid(padding=(0, 2))
        if self._session is not None:
            signals = [f"{name} ({active.probability})" for name, active in self._session.signals.items()]
            engagement = self._session.engagement
            quality = self._session.quality
            table.add_row("active", printable(", ".join(signals) or "nothing"))
            table.add_row("engagement", printable(engagement.state) if engagement else "not known yet")
            table.add_row("quality", score_line(quality.overall) if quality and quality.overall else "not known yet")
        return Group(Text(""), table, self._progress)


def describe(envelope: Envelope) -> str:
    """What an envelope says, in a line."""
    match envelope.message:
        case SessionReady() as ready:
            return (
                f"idle timeout {ready.session_idle_timeout_seconds} s, at most {ready.session_max_duration_seconds} s; "
                f"segments up to {ready.max_segment_size_bytes:,} bytes"
            )
        case SessionUpdated(include):
            return f"include {', '.join(include) or 'nothing'}"
        case SignalDetected() | SignalUpdated() as signal:
            words = [signal.signal_type, f"from {signal.start:g} s"]
            words += [word for word in (signal.probability, signal.rationale) if word]
            return ", ".join(words)
        case SignalEnded(signal_type, end):
            return f"{signal_type}, at {end:g} s"
        case EngagementUpdated(state, start):
            return f"{state}, from {start:g} s"
        case ConversationQualityUpdated(overall, timeline):
            parts = [f"overall {score_line(overall)}"] if overall is not None else []
            parts += [f"{entry.start:g} to {entry.end:g} s: {score_line(entry.values)}" for entry in timeline or ()]
            return "; ".join(parts)
        case WindowSignals(signals):
            return "; ".join(_span(signal) for signal in signals)
        case WindowSignal() as signal:
            return f"{signal.signal_type}, {signal.start:g} to {signal.end:g} s"
        case WindowEngagement(state, start, end):
            return f"{state}, {start:g} to {end:g} s"
        case SegmentProcessing(segment, size):
            return f"segment {segment}, {size:,} bytes"
        case SegmentSignals() as result:
            return f"segment {result.segment}: " + ("; ".join(_span(signal) for signal in result.signals) or "nothing")
        case SegmentResult() as result:
            parts = [_span(signal) for signal in result.signals]
            parts += [f"{span.state}, {span.start:g} to {span.end:g} s" for span in result.engagement_state or ()]
            quality = result.conversation_quality
            parts += [f"overall {score_line(quality.overall)}"] if quality and quality.overall else []
            return f"segment {result.segment}: " + ("; ".join(parts) or "nothing")
        case SegmentCompleted(segment):
            return f"segment {segment}"
        case SegmentFailed() as failed:
            return f"segment {failed.segment}, {failed.error_id}: {failed.message}"
        case SegmentFailedText(segment, error):
            return f"segment {segment}: {error}"
        case FeedbackGenerated(feedback):
            return feedback
        case CoverageDropped(ranges) | CoverageDegraded(ranges):
            return ", ".join(f"{stretch.start:g} to {stretch.end:g} s" for stretch in ranges)
        case SessionClosing(max_drain_seconds):
            return f"the server finishes within {max_drain_seconds:g} s"
        case SessionEnded(reason):
            return reason
        case Error() as error:
            about = f"segment {error.segment}, " if error.segment is not None else ""
            return f"{about}{error.code}: {error.message}"
    return "not known to this version"


def _span(signal: SignalSpan) -> str:
    words = [signal.type, f"{signal.start:g} to {signal.end:g} s", signal.probability, signal.rationale]
    return ", ".join(word for word in words if word)


def score_line(scores: QualityScores) -> str:
    """A set of scores, in a line."""
    dimensions = ", ".join(f"{name} {getattr(scores, name):g}" for name in QUALITY_DIMENSIONS)
    return f"{scores.quality_index:g} ({dimensions})"
