"""report: one self-contained page about a run, and its figures for machines."""

from mlctl.reporting.records import StageRecord
from mlctl.reporting.stage import PICTURE, report

__all__ = ["PICTURE", "StageRecord", "report"]
