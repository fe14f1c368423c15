"""Semantic similarity of texts: the part that STS17 and STS22 share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlctl.config.evaluate import Benchmark
from mlctl.evaluation.data.sts_sets import PairSets
from mlctl.evaluation.tasks.base import SAMPLE_SIZE, PublishedTask

if TYPE_CHECKING:
    from mlctl.evaluation.data.sts_files import ScoredPair
    from mlctl.evaluation.metrics.item_scores import ItemScores
    from mlctl.evaluation.model_under_test import ModelUnderTest
    from mlctl.evaluation.tasks.metadata import TaskMetadata

_ENGLISH = "en"


class SimilarityTask(PublishedTask):
    """See `PublishedTask`: the first score is that of the sets in two languages, the second that of the sets in one.

    A set in two languages belongs to both, but to English only if both texts are English.

    Args:
        entry: the recipe's entry.
        sets: the benchmark's sets.
        expected: files that the data should have, for messages.
    """

    def __init__(self, entry: Benchmark, sets: PairSets, expected: str) -> None:
        self._sets = sets
        self._names: dict[str, list[str]] = {}
        for name, (first, second) in sorted(sets.languages.items()):
            for language in sorted({first, second} - {_ENGLISH}) or [_ENGLISH]:
                self._names.setdefault(language, []).append(name)
        super().__init__(entry, sorted(self._names), sets.location, expected)

    @property
    def settings(self) -> dict[str, Any]:
        """See `PublishedTask`."""
        return {}

    def data_digest(self, language: str) -> str:
        """See `PublishedTask`."""
        return self._sets.digest(self._names[language])

    def sample_texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        texts: list[str] = []
        for name in self._names[language]:
            of_first = self._sets.languages[name][0] == language
            texts += [pair.first if of_first else pair.second for pair in self._sets.pairs(name)[:SAMPLE_SIZE]]
        return texts[:SAMPLE_SIZE]

    def texts(self, language: str) -> list[str]:
        """See `PublishedTask`."""
        pairs = (pair for name in self._names[language] for pair in self._sets.pairs(name))
        return [text for pair in pairs for text in (pair.first, pair.second)]

    def evaluate(self, model: ModelUnderTest, language: str, seed: int | None) -> list[ItemScores]:
        """See `Task`; one for each set."""
        del seed
        return [self._scores(model, name, self._metadata(name), self._sets.pairs(name)) for name in self._names[language]]

    def _metadata(self, name: str) -> TaskMetadata:
        first, second = self._sets.languages[name]
        return self.metadata if first != second else self.further_scores[0]

    def _scores(self, model: ModelUnderTest, name: str, metadata: TaskMetadata, pairs: Sequence[ScoredPair]) -> ItemScores:
        import numpy as np
        from torch.nn.functional import cosine_similarity

        from mlctl.evaluation.metrics.item_scores import ItemScores, ratio_of_sums
        from mlctl.evaluation.metrics.rank_correlation import rank_products

        first, second = (model.encode(list(side)) for side in zip(*((pair.first, pair.second) for pair in pairs), strict=True))
        similarities = cosine_similarity(first, second).cpu().numpy().astype(np.float64)
        part, whole = rank_products(similarities, np.array([pair.similarity for pair in pairs]))
        items = [f"{name} {number}" for number in range(len(pairs))]
        return ItemScores(metadata.task, name, {"spearman": ratio_of_sums(part, whole)}, items, part, whole)
