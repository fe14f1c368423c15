"""Training only those rows of an embedding table whose tokens occur in the training data.

The other rows would have no gradient, and Adam without weight decay never moves a weight that had none: the result is the same, but the
optimiser and the checkpoints of a training on a few languages do not carry the subwords of a hundred.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@contextlib.contextmanager
def train_embedding_rows(model: Any, ids: Iterable[int]) -> Iterator[None]:
    """Train only the embeddings of the token ids `ids` inside the block; in evaluation mode the model reads any id.

    Inside, the embeddings are one parameter with as many rows as there are ids, and the model's table, which a masked-LM head may
    share, is frozen; at the end the table is restored, with the trained rows. The model must stay on its device meanwhile.
    """
    table = model.get_input_embeddings()
    requires_grad = table.weight.requires_grad
    subset = _SubsetEmbedding(table, torch.tensor(sorted(set(ids)), device=table.weight.device)).train(model.training)
    model.set_input_embeddings(subset)
    table.weight.requires_grad_(False)
    try:
        yield
    finally:
        subset.eval()
        table.weight.requires_grad_(requires_grad)
        model.set_input_embeddings(table)


class _SubsetEmbedding(nn.Module):
    _table: Tensor
    _ids: Tensor
    _row_of_id: Tensor

    def __init__(self, embedding: nn.Embedding, ids: Tensor) -> None:
        super().__init__()
        table = embedding.weight.detach()  # the same memory: writing here updates the model's table
        self.weight = nn.Parameter(table[ids])
        row_of_id = torch.full((len(table),), -1, device=table.device)
        row_of_id[ids] = torch.arange(len(ids), device=table.device)
        for name, tensor in {"_table": table, "_ids": ids, "_row_of_id": row_of_id}.items():
            self.register_buffer(name, tensor, persistent=False)
        self._padding_row = None if embedding.padding_idx is None else int(row_of_id[embedding.padding_idx])

    def forward(self, ids: Tensor) -> Tensor:
        if not self.training:
            return functional.embedding(ids, self._table)
        return functional.embedding(self._row_of_id[ids], self.weight, self._padding_row)

    def train(self, mode: bool = True) -> _SubsetEmbedding:
        if not mode:
            with torch.no_grad():
                self._table[self._ids] = self.weight
        return super().train(mode)
