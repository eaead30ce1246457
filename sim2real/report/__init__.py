"""Reports: one HTML file that says what breaks a policy first, with every number behind it."""

from sim2real.report.clips import Replay
from sim2real.report.html import write

__all__ = ["Replay", "write"]
