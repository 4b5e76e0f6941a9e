"""From analysed windows to events: what a server says about what it saw.

Media time is cut into overlapping windows (`windows`). Somebody, or something, analyses each window; the results go
through the signal lifecycle (`lifecycle`), the engagement state (`engagement`) and the conversation-quality cadence
(`quality`), and come out as messages, which ones and when depending on the revision (`reporters`); for a file that was
uploaded they come out as one result (`wholefile`). All of it is plain computation on media seconds.
"""

from ihproto.analysis.engagement import EngagementTracker
from ihproto.analysis.lifecycle import SignalLifecycle
from ihproto.analysis.quality import QualityCadence
from ihproto.analysis.reporters import Pacing, Reporter, make_reporter
from ihproto.analysis.reports import EngagementReport, QualityReport, SignalReport, WindowAnalysis
from ihproto.analysis.wholefile import analysis_result, file_windows, job_result
from ihproto.analysis.windows import WindowPlanner

__all__ = [
    "EngagementReport",
    "EngagementTracker",
    "Pacing",
    "QualityCadence",
    "QualityReport",
    "Reporter",
    "SignalLifecycle",
    "SignalReport",
    "WindowAnalysis",
    "WindowPlanner",
    "analysis_result",
    "file_windows",
    "job_result",
    "make_reporter",
]
