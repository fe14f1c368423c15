"""The text of the recipe's benchmarks, so that training can be kept from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mlctl.config import Evaluate
from mlctl.evaluation.tasks import open_task
from mlctl.evaluation.tasks.base import Task


class BenchmarkText(NamedTuple):
    """The text of one benchmark.

    Attributes:
        title: of the benchmark, for people.
        languages: those that lie there.
        sentences: all that models are judged, tuned or chosen by in them; read when it is asked for, once.
    """

    title: str
    languages: Sequence[str]
    sentences: Iterator[str]


def benchmark_texts(settings: Evaluate) -> list[BenchmarkText]:
    """Return the text of every benchmark in all languages that lie there, judged or not.

    So a language that is judged later changes nothing before the judging: nothing is trained anew for it.

    Raises:
        InputError: data of a benchmark are not there, or, while they are read, not as they should be.
    """
    tasks = [open_task(entry) for entry in settings.benchmarks]
    return [BenchmarkText(task.metadata.title, list(task.there), _sentences(task)) for task in tasks]


def text_digests(settings: Evaluate) -> dict[str, str]:
    """Return digests of what `benchmark_texts` reads, by `<benchmark>.<language>`.

    Raises:
        InputError: data of a benchmark are not there.
    """
    tasks = [open_task(entry) for entry in settings.benchmarks]
    return {f"{task.metadata.task}.{language}": task.data(language) for task in tasks for language in task.there}


def _sentences(task: Task) -> Iterator[str]:
    for language in task.there:
        yield from task.texts(language)
