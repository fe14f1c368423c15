"""The protocol of a scorer, and the check of what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlctl.errors import InputError
from mlctl.execution.program_text import quote

Scores = npt.NDArray[np.float32]


class Scorer(Protocol):
    """Scores sentence pairs. Equal calls return equal scores, in any process and with any number of threads.

    Attributes:
        compares: whether a pair's score depends on the other pairs of the call.
    """

    compares: bool

    def score(self, sources: Sequence[str], targets: Sequence[str], source_language: str, target_language: str) -> Scores:
        """Return a score for each pair, (N,), finite; higher is better.

        Raises:
            InputError: the scorer failed, for a reason that its message names.
        """


def checked_scores(
    scorer: Scorer, name: str, sources: Sequence[str], targets: Sequence[str], source_language: str, target_language: str
) -> Scores:
    """Return the scores of pairs.

    Args:
        scorer: the scorer.
        name: the name of the score, for messages.
        sources: source texts.
        targets: their translations.
        source_language: language of `sources`.
        target_language: language of `targets`.

    Raises:
        InputError: the scorer failed, or returned another number of scores, or one that is not finite.
    """
    scores = np.asarray(scorer.score(sources, targets, source_language, target_language), dtype=np.float32)
    if scores.shape != (len(sources),):
        raise InputError(
            f"clean.scores.{name}: {len(scores)} scores for {len(sources)} pairs", "the scorer must return one for each pair"
        )
    if len(wrong := np.flatnonzero(~np.isfinite(scores))):
        row = int(wrong[0])
        raise InputError(
            f"clean.scores.{name}: the score of a pair is {scores[row]}: {quote(sources[row])} and {quote(targets[row])}",
            "fix the scorer, which must return a finite number, or remove the score from the recipe",
        )
    return scores
