"""Scores of kind `lexicon`: the likelihood by which the rule `unlikely translation` decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlctl.cleaning.characters import comparison_key
from mlctl.cleaning.likelihood import LikelihoodModel, ScoredText
from mlctl.scoring.scorer import Scores


class LexiconScorer:
    """Likelihood of pairs under the lexical model that clean has fitted to a sample of the language."""

    compares = False

    def __init__(self, model: LikelihoodModel) -> None:
        self._model = model

    def score(self, sources: Sequence[str], targets: Sequence[str], source_language: str, target_language: str) -> Scores:
        """Return the likelihood of each pair, (N,): the mean log ratio to unrelated text."""
        del source_language, target_language
        pairs = zip(sources, targets, strict=True)
        texts = [ScoredText(source, comparison_key(source), comparison_key(target)) for source, target in pairs]
        return self._model.scores(texts).astype(np.float32)
