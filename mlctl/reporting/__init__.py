"""report: a self-contained HTML page about a run, the model card, and the figures as JSON."""

from mlctl.reporting.records import StageRecord
from mlctl.reporting.stage import PICTURE, report

__all__ = ["PICTURE", "StageRecord", "report"]
