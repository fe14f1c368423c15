"""LAReQA: retrieval of the sentences that answer a question from a pool in all languages."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlctl import languages as codes
from mlctl.config.evaluate import BenchmarkFolder, Lareqa
from mlctl.errors import InputError
from mlctl.evaluation.data import sources
from mlctl.evaluation.data.lareqa_files import LanguageQuestions, read_language
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest

_FILE = re.compile(r"(?:(?:.*/)?xquad-r/)?([a-z]{2,3})\.json")


class _Pool(NamedTuple):
    """Candidates of all languages, and for each question's id the rows of those that answer it."""

    texts: list[str]
    languages: list[str]
    correct: dict[str, list[int]]


class LareqaTask(PublishedTask):
    """See `PublishedTask`."""

    metadata = TaskMetadata(
        task="lareqa",
        title="LAReQA (XQuAD-R)",
        citation="Roy et al. 2020 (arXiv 2004.05484); Ruder et al. 2021 (XTREME-R, arXiv 2104.07412)",
        licence="CC BY-SA 4.0",
        languages=("ar", "de", "el", "en", "es", "hi", "ru", "th", "tr", "vi", "zh"),
        metric="map",
        revision=1,
        protocol="mAP of the first 20 sentences by cosine among those of all contexts in all languages: each question has one right sentence in "
        "every language. A wrong sentence as near as a right one is ranked before it. Language bias is the share of the first 20 that are in the "
        "question's language (same_language). The encoder is not fine-tuned: XTREME-R's figures are of encoders fine-tuned on SQuAD, and not "
        "comparable with these.",
    )

    def __init__(self, entry: Lareqa) -> None:
        if not isinstance(entry.source, BenchmarkFolder):
            raise InputError("evaluate.benchmarks, lareqa: only a source of kind folder is supported", self.data_remedy)
        self._context = entry.context
        self._files = _language_files(entry.source)
        super().__init__(entry, self._files, entry.source.path, "xquad-r/xx.json")

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {"context": self._context}

    def data_digest(self, language: str) -> str:
        """See `PublishedTask`; the pool is that of all languages."""
        return sources.json_digest([language, *self._files, sources.files_digest(self._files.values())])

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        return [question.text for question in self._languages[language].questions[:SAMPLE_SIZE]]

    def texts(self, language: str) -> list[str]:
        """See `PublishedTask`: questions and sentences."""
        questions, candidates = self._languages[language]
        return [*(question.text for question in questions), *(candidate.sentence for candidate in candidates)]

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`: the questions."""
        return {question.name: question.text for question in self._languages[language].questions}

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`; a question without a right sentence in any language is left out."""
        from mlctl.evaluation.tasks.multilingual_pool import pool_scores

        del seed
        pool = self._pool
        questions = [(one.name, one.text) for one in self._languages[language].questions if one.answers]
        correct = [pool.correct[name] for name, _ in questions]
        return pool_scores(self.metadata.task, model, language, questions, correct, pool.texts, pool.languages)

    @cached_property
    def _languages(self) -> dict[str, LanguageQuestions]:
        return {language: read_language(file) for language, file in self._files.items()}

    @cached_property
    def _pool(self) -> _Pool:
        pool = _Pool([], [], {})
        for language, (questions, candidates) in self._languages.items():
            first = len(pool.texts)
            pool.texts.extend(self._text(candidate.sentence, candidate.context) for candidate in candidates)
            pool.languages.extend([language] * len(candidates))
            for question in questions:
                pool.correct.setdefault(question.name, []).extend(first + row for row in question.answers)
        return pool

    def _text(self, sentence: str, context: str) -> str:
        return (sentence + context).replace("\n", "") if self._context else sentence


def _language_files(source: BenchmarkFolder) -> dict[str, Path]:
    """Return the file of each language of XQuAD-R."""
    files = sources.benchmark_files(source)
    matches = [
        (match[1], path) for name, path in files.items() if (match := _FILE.fullmatch(name)) and codes.is_language(match[1])
    ]
    return dict(sorted((codes.canonical(code), path) for code, path in matches))
