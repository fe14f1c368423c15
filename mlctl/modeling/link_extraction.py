"""From similarities of words to links.

Symbols: B sentence pairs, I and J source and target words of the longest. A matrix S (B, I, J) comes with a mask of its real cells;
what stands in the others does not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlctl.config.align import Extraction

# Centred cosines lie closely together: their softmax at this temperature says how likely a link is.
TEMPERATURE = 0.05
# What a similarity counts for in the second round where one of the two words has a link (Jalili Sabet et al. 2020, section 3.2).
_DECAY = 0.9


def extract(similarity: Tensor, mask: Tensor, method: Extraction, threshold: float) -> Tensor:
    """Return which cells are links, (B, I, J) bool.

    Args:
        similarity: S (B, I, J), larger for words that are nearer.
        mask: (B, I, J) bool, the real cells.
        method: argmax, itermax or softmax.
        threshold: least share of softmax; read by `softmax` only.
    """
    if method == "argmax":
        return argmax(similarity, mask)
    if method == "itermax":
        return itermax(similarity, mask)
    rows, columns = shares(similarity, mask)
    return (rows > threshold) & (columns > threshold) & mask


def argmax(similarity: Tensor, mask: Tensor) -> Tensor:
    """Return the cells that are the largest of their row and of their column (Jalili Sabet et al. 2020, arXiv 2004.08728, eq. 1).

    Of equal cells the first counts, so a word has one link at most.
    """
    if not similarity.numel():
        return mask
    found = similarity.masked_fill(~mask, -torch.inf)
    return _one_hot(found, 2) & _one_hot(found, 1) & mask


def itermax(similarity: Tensor, mask: Tensor) -> Tensor:
    """Return the links of `argmax` and those that it finds in a second round (Itermax of arXiv 2004.08728, section 3.2).

    In the second round a cell counts 0 where both words have a link, 0.9 S where one has, S where none has; there is none for a pair
    of which all source words or all target words have a link. It takes cells above 0 only: similarities must be centred.
    """
    first = argmax(similarity, mask)
    rows, columns = first.any(2, keepdim=True), first.any(1, keepdim=True)
    real_rows, real_columns = mask.any(2, keepdim=True), mask.any(1, keepdim=True)
    open_pairs = (real_rows & ~rows).any(1, keepdim=True) & (real_columns & ~columns).any(2, keepdim=True)
    decayed = torch.where(rows | columns, similarity * _DECAY, similarity)
    return first | argmax(decayed, mask & (similarity > 0) & ~(rows & columns) & open_pairs)


def shares(similarity: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return softmax(S / t) over each row and over each column, (B, I, J) each, 0 in masked cells.

    Both above a threshold make a link in Dou and Neubig 2021 (arXiv 2101.08231, section 2.2).
    """
    found = (similarity / TEMPERATURE).masked_fill(~mask, -torch.inf)
    rows, columns = (torch.softmax(found, axis).nan_to_num(0.0) for axis in (2, 1))  # a row without a cell is nan
    return rows, columns


def agreement(rows: Tensor, columns: Tensor) -> Tensor:
    """Return the geometric mean of both shares: how sure a link is, in [0, 1]."""
    return (rows * columns).sqrt()


def _one_hot(values: Tensor, axis: int) -> Tensor:
    best = torch.zeros_like(values, dtype=torch.bool)
    return best.scatter_(axis, values.argmax(axis, keepdim=True), True)
