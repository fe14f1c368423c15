"""Data of the recipe's benchmarks: availability, digests, and the text that is kept out of training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from mlctl.config import Evaluate
from mlctl.evaluation.mteb_runner import mteb_version

if TYPE_CHECKING:
    from mlctl.evaluation.tasks.base import PublishedTask


class BenchmarkText(NamedTuple):
    """Text of one benchmark.

    Attributes:
        title: of the benchmark.
        languages: available ones.
        sentences: all text that models are evaluated, tuned or selected by; an iterator, read lazily.
    """

    title: str
    languages: Sequence[str]
    sentences: Iterator[str]


def check(settings: Evaluate) -> None:
    """Check that the data of all benchmarks are available, before anything is computed.

    Raises:
        InputError: those of a benchmark are missing, or do not have the languages that the recipe names; or mteb is not installed.
    """
    _open_tasks(settings)
    if settings.mteb:
        mteb_version()


def digests(settings: Evaluate) -> dict[str, str]:
    """Return the digests of the data that models are evaluated on, by `<benchmark>.<language>`.

    Raises:
        InputError: data of a benchmark are missing.
    """
    return {
        f"{task.metadata.task}.{language}": task.data_digest(language)
        for task in _open_tasks(settings)
        for language in task.languages
    }


def benchmark_texts(settings: Evaluate) -> list[BenchmarkText]:
    """Return the text of every benchmark in all available languages, evaluated or not.

    So a language that is evaluated later changes nothing before the evaluation: no model is trained again for it.

    Raises:
        InputError: data of a benchmark are missing or, while they are read, malformed.
    """
    return [
        BenchmarkText(task.metadata.title, list(task.available_languages), _sentences(task)) for task in _open_tasks(settings)
    ]


def text_digests(settings: Evaluate) -> dict[str, str]:
    """Return digests of the text that `benchmark_texts` reads, by `<benchmark>.<language>`.

    Raises:
        InputError: data of a benchmark are missing.
    """
    return {
        f"{task.metadata.task}.{language}": task.data_digest(language)
        for task in _open_tasks(settings)
        for language in task.available_languages
    }


def _open_tasks(settings: Evaluate) -> list[PublishedTask]:
    from mlctl.evaluation.tasks.registry import open_task

    return [open_task(entry) for entry in settings.benchmarks]


def _sentences(task: PublishedTask) -> Iterator[str]:
    for language in task.available_languages:
        yield from task.texts(language)
