"""Extraction of word links from similarity matrices.

Symbols: B sentence pairs, I and J source and target words of the longest. A matrix S (B, I, J) comes with a mask of its real cells;
the values of the other cells do not matter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mlctl.config.align import Extraction

# Centred cosines differ by little: at this temperature their softmax is the probability of a link.
TEMPERATURE = 0.05
# Factor of a similarity in the second round if one of the two words has a link (Jalili Sabet et al. 2020, section 3.2).
_DECAY = 0.9


def extract(similarity: Tensor, mask: Tensor, method: Extraction, threshold: float) -> Tensor:
    """Return which cells are links, (B, I, J) bool.

    Args:
        similarity: S (B, I, J), larger for more similar words.
        mask: (B, I, J) bool, the real cells.
        method: argmax, itermax or softmax.
        threshold: smallest share of softmax; read by `softmax` only.
    """
    if method == "argmax":
        return argmax(similarity, mask)
    if method == "itermax":
        return itermax(similarity, mask)
    rows, columns = softmax_shares(similarity, mask)
    return (rows > threshold) & (columns > threshold) & mask


def argmax(similarity: Tensor, mask: Tensor) -> Tensor:
    """Return the cells that are the largest of their row and of their column (Jalili Sabet et al. 2020, arXiv 2004.08728, eq. 1).

    Of equal cells the first is taken, so a word has one link at most.
    """
    if not similarity.numel():
        return mask
    masked = similarity.masked_fill(~mask, -torch.inf)
    return _one_hot(masked, 2) & _one_hot(masked, 1) & mask


def itermax(similarity: Tensor, mask: Tensor) -> Tensor:
    """Return the links of `argmax` and of a second round of it (Itermax of arXiv 2004.08728, section 3.2).

    In the second round a cell is 0 if both words have a link, 0.9 S if one has, S if none has; a pair of which all source words or all
    target words have a link has no second round. It takes only cells above 0: similarities must be centred.
    """
    first = argmax(similarity, mask)
    rows, columns = first.any(2, keepdim=True), first.any(1, keepdim=True)
    real_rows, real_columns = mask.any(2, keepdim=True), mask.any(1, keepdim=True)
    open_pairs = (real_rows & ~rows).any(1, keepdim=True) & (real_columns & ~columns).any(2, keepdim=True)
    decayed = torch.where(rows | columns, similarity * _DECAY, similarity)
    return first | argmax(decayed, mask & (similarity > 0) & ~(rows & columns) & open_pairs)


def softmax_shares(similarity: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return softmax(S / t) over each row and over each column, (B, I, J) each, 0 in masked cells.

    A cell is a link in Dou and Neubig 2021 if both are above a threshold (arXiv 2101.08231, section 2.2).
    """
    logits = (similarity / TEMPERATURE).masked_fill(~mask, -torch.inf)
    rows, columns = (torch.softmax(logits, axis).nan_to_num(0.0) for axis in (2, 1))  # a row without a cell gives nan
    return rows, columns


def link_confidence(rows: Tensor, columns: Tensor) -> Tensor:
    """Return the geometric mean of both shares: the confidence of a link, in [0, 1]."""
    return (rows * columns).sqrt()


def _one_hot(values: Tensor, axis: int) -> Tensor:
    best = torch.zeros_like(values, dtype=torch.bool)
    return best.scatter_(axis, values.argmax(axis, keepdim=True), True)
