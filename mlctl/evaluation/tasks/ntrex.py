"""NTREX-128: translation retrieval among the same news in many languages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, Ntrex
from mlctl.core.text_lines import lines
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.parallel_files import read_parallel
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest

_FILE = re.compile(r"(?:.*/)?newstest2019-(?:src|ref)\.([\w-]+)\.txt")


class NtrexTask(PublishedTask):
    """See `PublishedTask`."""

    metadata = TaskMetadata(
        task="ntrex",
        title="NTREX-128",
        citation="Federmann, Kocmi and Xin 2022 (NTREX-128)",
        licence="CC BY-SA 4.0",
        languages=(),
        metric="accuracy",
        revision=1,
        protocol="Nearest neighbour by cosine among 1,997 news sentences, in both directions; each occurrence of a repeated "
        "sentence is a query and a correct answer. If a language has several texts (fra, fra-CA), the one without a "
        "region is used, otherwise the first by name.",
    )

    def __init__(self, entry: Ntrex) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError("evaluate.benchmarks, ntrex: only a source of kind folder is supported", self.data_remedy)
        self._pivot = entry.pivot
        self._files = _language_files(entry.source)
        super().__init__(entry, self._files, entry.source.path, "newstest2019-ref.XXX.txt")
        self.check_available([entry.pivot], entry.source.path)

    @property
    def default_languages(self) -> list[str]:
        """All but the pivot."""
        return [language for language in self._files if language != self._pivot]

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {"pivot": self._pivot}

    def data_digest(self, language: str) -> str:
        """See `PublishedTask`."""
        return sources.files_digest([self._files[self._pivot], self._files[language]])

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        return lines(self._files[language])[:SAMPLE_SIZE]

    def texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        return lines(self._files[language])

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`: sentence and its translation in the pivot language."""
        pivot, texts = read_parallel(self._files[self._pivot], self._files[language], self.data_remedy)
        return {str(row): f"{text}\n{other}" for row, (text, other) in enumerate(zip(texts, pivot, strict=True))}

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`."""
        from mlctl.evaluation.tasks.translation_retrieval import translation_retrieval

        del seed
        source, target = read_parallel(self._files[self._pivot], self._files[language], self.data_remedy)
        return translation_retrieval(self.metadata.task, model, source, target, self._pivot, language)


def _language_files(source: BenchmarkFolder) -> dict[str, Path]:
    matches = [(match[1], path) for name, path in sources.benchmark_files(source).items() if (match := _FILE.fullmatch(name))]
    known = [(code, path) for code, path in matches if codes.is_language(code)]
    ordered = sorted(known, key=lambda pair: ("-" in pair[0], pair[0]), reverse=True)  # the last one overwrites the others
    return dict(sorted({codes.canonical(code): path for code, path in ordered}.items()))
