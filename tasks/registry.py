"""The Prefect tasks of the stages by name."""

from __future__ import annotations

from typing import Any

from tasks.align import align
from tasks.clean import clean
from tasks.download import download
from tasks.evaluate import evaluate
from tasks.report import report
from tasks.shard import shard
from tasks.stage_task import StageTask
from tasks.train import train
from tasks.translate import translate

TASKS: dict[str, StageTask[Any]] = {
    task.name: task for task in (download, clean, translate, align, shard, train, evaluate, report)
}
