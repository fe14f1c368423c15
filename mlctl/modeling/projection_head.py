"""The projection head on pooled states, which is used in training alone and discarded after it."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class ProjectionHead(nn.Module):
    """W2 · relu(W1 · x + b1) + b2 with square W1 and W2: the head of the CCE encoder (arXiv 2202.13083).

    `size` is that of [sentence ; word], or of a sentence or a word alone.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.inner = nn.Linear(size, size)
        self.outer = nn.Linear(size, size)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map (N, size) to (N, size)."""
        return cast(Tensor, self.outer(torch.relu(self.inner(pooled))))
