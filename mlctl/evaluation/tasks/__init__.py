"""The published benchmarks, one module each with a card and a class that follows `task.Task`."""

from __future__ import annotations

from collections.abc import Sequence

from mlctl.config.evaluate import AnyBenchmark, Bucc, Ntrex, Panx, Pawsx, Tatoeba, Udpos, WordAlignment, Xnli
from mlctl.evaluation.tasks.base import Task
from mlctl.evaluation.tasks.metadata import TaskMetadata


def open_task(entry: AnyBenchmark) -> Task:
    """Return the benchmark that an entry of the recipe names.

    Raises:
        InputError: its data are not there, or not as they should be.
    """
    from mlctl.evaluation.tasks import bucc, ntrex, pairclassification, tagging, tatoeba, wordalignment

    match entry:
        case Tatoeba():
            return tatoeba.TatoebaTask(entry)
        case Bucc():
            return bucc.BuccTask(entry)
        case Ntrex():
            return ntrex.NtrexTask(entry)
        case WordAlignment():
            return wordalignment.WordAlignmentTask(entry)
        case Xnli() | Pawsx():
            return pairclassification.PairTask(entry)
        case Udpos() | Panx():
            return tagging.TaggingTask(entry)


def all_metadata() -> Sequence[TaskMetadata]:
    """Return the cards of all published benchmarks."""
    from mlctl.evaluation.tasks import bucc, ntrex, pairclassification, tagging, tatoeba, wordalignment

    return [
        tatoeba.METADATA,
        bucc.METADATA,
        ntrex.METADATA,
        wordalignment.METADATA,
        *pairclassification.METADATA_BY_TASK.values(),
        *tagging.METADATA_BY_TASK.values(),
    ]
