"""report: a self-contained HTML page about a run, the model card, and the figures as JSON.

Importing this package is cheap: charts, templates and pyarrow are loaded when `report` is called.
"""

from mlctl.reporting.records import StageRecord
from mlctl.reporting.stage import PICTURE, report

__all__ = ["PICTURE", "StageRecord", "report"]
