"""FLORES+: translation retrieval, and bitext mining by xSIM and xSIM++, among the same sentences in many languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlctl.config.evaluate import Flores
from mlctl.errors import InputError
from mlctl.evaluation.data.flores_files import TITLE, open_flores
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask
from mlctl.evaluation.tasks.metadata import TaskMetadata

if TYPE_CHECKING:
    from torch import Tensor

    from mlctl.evaluation.data.flores_files import Altered
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest

_FLORES = TaskMetadata(
    task="flores",
    title=TITLE,
    citation="NLLB Team et al. 2022 (arXiv 2207.04672); Maillard et al. 2024 (FLORES+, Open Language Data Initiative)",
    licence="CC BY-SA 4.0",
    languages=(),
    metric="accuracy",
    revision=1,
    protocol="Nearest neighbour by cosine among the sentences of the split (devtest: 1,012), in both directions; the correct answer has to be nearer "
    "than every wrong one by more than 0.000001. Of several codes of one language the first by name is used.",
)
_XSIM = replace(
    _FLORES,
    task="flores-xsim",
    title="FLORES+ xSIM",
    citation="Heffernan, Çelebi and Schwenk 2022 (arXiv 2205.12654)",
    protocol="The translation of each sentence is the one of its 4 nearest neighbours with the largest ratio margin; accuracy is 1 − the "
    "xSIM error rate, as LASER's script computes it. From the language to the pivot. A tie counts as an error.",
)
_XSIM_PLUS_PLUS = replace(
    _FLORES,
    task="flores-xsim-plus-plus",
    title="FLORES+ xSIM++",
    citation="Chen et al. 2023 (arXiv 2306.12907)",
    protocol="As xSIM, with altered translations among the candidates: other numbers, other entities, another causality. Accuracy is 1 − the "
    "xSIM++ error rate; the error rates by category add up to it: an alteration of the translation was taken, or a misaligned sentence.",
)


class FloresTask(PublishedTask):
    """See `PublishedTask`."""

    metadata = _FLORES
    further_scores: Sequence[TaskMetadata] = (_XSIM, _XSIM_PLUS_PLUS)

    def __init__(self, entry: Flores) -> None:
        self._pivot, self._split, self._neighbours = entry.pivot, entry.split, entry.neighbours
        self._data = open_flores(entry.source, entry.split)
        if entry.pivot not in self._data.altered_languages:
            self.further_scores = (_XSIM,)
        super().__init__(entry, self._data.languages, self._data.location, f"xxx_Xxxx.{entry.split}")
        self.check_available([entry.pivot], self._data.location)

    @property
    def default_languages(self) -> list[str]:
        """All but the pivot."""
        return [language for language in self.available_languages if language != self._pivot]

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {"pivot": self._pivot, "split": self._split, "neighbours": self._neighbours}

    def data_digest(self, language: str) -> str:
        """See `PublishedTask`."""
        return self._data.digest([self._pivot, language])

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        return self._data.sentences(language)[:SAMPLE_SIZE]

    def texts(self, language: str) -> list[str]:
        """See `PublishedTask`; altered sentences are part of it."""
        return [*self._data.sentences(language), *(altered.text for altered in self._data.altered(language))]

    def item_texts(self, language: str) -> dict[str, str]:
        """See `PublishedTask`: sentence and its translation in the pivot language."""
        pivot, sentences = self.parallel(language)
        return {str(row): f"{text}\n{other}" for row, (text, other) in enumerate(zip(sentences, pivot, strict=True))}

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`."""
        import torch

        from mlctl.evaluation.metrics.retrieval import retrieval_scores, text_identities

        del seed
        pivot, sentences = self.parallel(language)
        of_pivot, of_language = model.encode(self._candidates, cache=True), model.encode(sentences)
        identities = torch.tensor([text_identities(pivot), text_identities(sentences)]).T
        scores = retrieval_scores(self.metadata.task, of_pivot[: len(pivot)], of_language, identities, self._pivot, language)
        scores.append(self._xsim(_XSIM, of_language, of_pivot[: len(pivot)], language))
        return [*scores, self._xsim(_XSIM_PLUS_PLUS, of_language, of_pivot, language)] if self._altered else scores

    def parallel(self, language: str) -> tuple[list[str], list[str]]:
        """Return the pivot's sentences and those of a language.

        Raises:
            InputError: they are not equally many.
        """
        pivot, sentences = self._pivot_sentences, self._data.sentences(language)
        if len(pivot) != len(sentences):
            problem = f"{self._data.location}: {language} has {len(sentences)} sentences, {self._pivot} {len(pivot)}"
            raise InputError(problem, self.data_remedy)
        return pivot, sentences

    @cached_property
    def _pivot_sentences(self) -> list[str]:
        return self._data.sentences(self._pivot)

    @cached_property
    def _altered(self) -> list[Altered]:
        return self._data.altered(self._pivot)

    @cached_property
    def _candidates(self) -> list[str]:
        """The pivot's sentences, then the altered ones."""
        return [*self._pivot_sentences, *(altered.text for altered in self._altered)]

    def _xsim(self, metadata: TaskMetadata, source: Tensor, target: Tensor, language: str) -> ItemScores:
        from mlctl.evaluation.metrics.item_scores import accuracy_scores
        from mlctl.evaluation.metrics.xsim import align_by_margin, error_shares

        alignment = align_by_margin(source, target, self._candidates[: len(target)], self._neighbours)
        items = [str(row) for row in range(len(source))]
        scores = accuracy_scores(metadata.task, f"{language}→{self._pivot}", alignment.correct, items)
        metrics = {**scores.metrics, "error": 1 - scores.metrics["accuracy"]}
        if len(target) > len(source):
            translations = [text.strip() for text in self._pivot_sentences]
            altered = [*([None] * len(source)), *((altered.origin, altered.category) for altered in self._altered)]
            shares = error_shares(alignment, translations, altered)
            metrics |= {f"error_{category}": share for category, share in shares.items()}
        return replace(scores, metrics=metrics)
