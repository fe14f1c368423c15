"""The score threshold of mined pairs: the one with the best F1 on pairs that are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def best_threshold(scores: Sequence[float], correct: Sequence[bool], gold: int) -> float:
    """Return the score threshold with the highest F1, halfway to the next lower score.

    Args:
        scores: of P candidates, in descending order.
        correct: whether each is a gold pair.
        gold: number of gold pairs.
    """
    if not any(correct):
        return float("inf")
    f1 = _f1_of_prefixes(np.asarray(correct), gold)
    last = np.append(np.diff(scores) != 0, True)  # of equal scores all are accepted or none
    best = int(np.argmax(np.where(last, f1, -1)))
    return float(scores[best]) if best + 1 == len(f1) else (scores[best] + scores[best + 1]) / 2


def _f1_of_prefixes(correct: npt.NDArray[np.bool_], gold: int) -> npt.NDArray[np.float64]:
    """Return the F1 of the first 1, 2, … P candidates."""
    f1: npt.NDArray[np.float64] = 2 * np.cumsum(correct) / (np.arange(1, len(correct) + 1) + gold)
    return f1
