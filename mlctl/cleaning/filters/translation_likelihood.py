"""The rule that drops pairs whose sides are unlikely to translate each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mlctl.cleaning.duplicates import Mask
from mlctl.cleaning.filters.base import SentencePair
from mlctl.cleaning.likelihood import LikelihoodModel, ScoredText


@dataclass(frozen=True)
class UnlikelyTranslation:
    """Pairs whose likelihood under the lexical model is too low. Without a model every pair passes."""

    min_likelihood: float
    model: LikelihoodModel | None
    name: ClassVar[str] = "unlikely translation"

    @property
    def reason(self) -> str:
        """What the rule drops, with its threshold."""
        return f"the words of one side are unlikely translations of the other's (likelihood below {self.min_likelihood:g})"

    def drops(self, pairs: Sequence[SentencePair]) -> Mask:
        """Return for each pair whether it is unlikely; text without translation passes."""
        unlikely = np.zeros(len(pairs), dtype=bool)
        if self.model is None:
            return unlikely
        rows = [row for row, pair in enumerate(pairs) if pair.target]
        scores = self.model.scores(
            [ScoredText(pairs[row].source.text, pairs[row].source_key, pairs[row].target_key) for row in rows]
        )
        unlikely[rows] = scores < self.min_likelihood
        return unlikely
