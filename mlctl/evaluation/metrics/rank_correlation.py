"""Spearman's rank correlation as a ratio of sums over items, which the paired tests need."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Values = npt.NDArray[np.float64]

#: Digits of a similarity that count: of equal texts, batches change the digits behind them.
_DIGITS = 6


class RankProducts(NamedTuple):
    """What N items contribute: `part` and `whole` (N,); sum(part) / sum(whole) is the correlation."""

    part: npt.NDArray[np.float32]
    whole: npt.NDArray[np.float32]


def rank_products(similarities: Values, gold: Values) -> RankProducts:
    """Return the items of Spearman's correlation between two lists (N,); ties have their mean rank.

    With standardised ranks x and y the correlation is the mean of xy. Divided by the mean of (x² + y²) / 2, which is 1, it stays the same; and the
    ratio varies with a sample of the items as the correlation does: (xy − ρ (x² + y²) / 2) is the influence of an item (Devlin, Gnanadesikan and
    Kettenring 1975). The ranks are those in the whole list. A list of equal values correlates with nothing: 0.
    """
    x, y = _standardised(np.nan_to_num(similarities).round(_DIGITS)), _standardised(gold)
    return RankProducts((x * y).astype(np.float32), ((x * x + y * y) / 2).astype(np.float32))


def _standardised(values: Values) -> Values:
    ranks = np.asarray(rankdata(values), np.float64)
    deviation = float(ranks.std())
    return (ranks - ranks.mean()) / deviation if deviation else np.zeros_like(ranks)
