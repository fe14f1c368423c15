"""Registry of the published benchmarks: the name in the recipe → its implementation, imported on first use."""

from __future__ import annotations

import pkgutil
from typing import TYPE_CHECKING, Any

from mlctl.config.evaluate import AnyBenchmark, Panx, Udpos

if TYPE_CHECKING:
    from mlctl.evaluation.projection.projected_sets import ProjectedSets
    from mlctl.evaluation.tasks.base import PublishedTask
    from mlctl.evaluation.tasks.metadata import TaskMetadata
    from mlctl.evaluation.tasks.tagging import TaggingTask

#: `name` of an entry of evaluate.benchmarks → module and class.
IMPLEMENTATIONS = {
    "tatoeba": "tatoeba:TatoebaTask",
    "bucc": "bucc:BuccTask",
    "ntrex": "ntrex:NtrexTask",
    "flores": "flores:FloresTask",
    "lareqa": "lareqa:LareqaTask",
    "mewslix": "mewslix:MewslixTask",
    "sts17": "sts17:Sts17Task",
    "sts22": "sts22:Sts22Task",
    "word-alignment": "word_alignment:WordAlignmentTask",
    "xnli": "xnli:XnliTask",
    "pawsx": "pawsx:PawsxTask",
    "udpos": "udpos:UdposTask",
    "panx": "panx:PanxTask",
    "xquad": "xquad:XquadTask",
    "mlqa": "mlqa:MlqaTask",
    "tydiqa": "tydiqa:TydiqaTask",
    "sib200": "sib200:Sib200Task",
    "belebele": "belebele:BelebeleTask",
}


def open_task(entry: AnyBenchmark) -> PublishedTask:
    """Return the benchmark that an entry of the recipe names, with its data.

    Raises:
        InputError: its data are missing or malformed.
    """
    task: PublishedTask = _implementation(entry.name)(entry)
    return task


def open_translate_train(entry: Udpos | Panx, projected: ProjectedSets) -> TaggingTask:
    """Return the mode translate-train of a benchmark that an entry of the recipe names.

    Raises:
        InputError: its data are missing or malformed.
    """
    task: TaggingTask = _implementation(entry.name)(entry, projected)
    return task


def all_metadata() -> list[TaskMetadata]:
    """Return the metadata of all scores of all published benchmarks."""
    tasks = map(_implementation, IMPLEMENTATIONS)
    return [metadata for task in tasks for metadata in (task.metadata, *task.further_scores)]


def _implementation(name: str) -> Any:
    return pkgutil.resolve_name(f"mlctl.evaluation.tasks.{IMPLEMENTATIONS[name]}")
