"""An embedding table of which only the rows that a training meets are trained.

The others have no gradient, and Adam without weight decay moves no weight that never had one: the result is the same, and neither the
optimiser nor a checkpoint carries the subwords of a hundred languages through a training on a few.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@contextlib.contextmanager
def narrowed(model: Any, ids: Iterable[int]) -> Iterator[None]:
    """Let a transformers model train the embeddings of `ids` alone; in evaluation mode it reads any id.

    Inside, its embeddings are one parameter of as many rows as there are ids, and its own table, which a masked-LM head may share,
    is not trained; afterwards the table is back, with what was learned. The model is not to change its device meanwhile.
    """
    whole = model.get_input_embeddings()
    trains = whole.weight.requires_grad
    narrow = _Narrow(whole, torch.tensor(sorted(set(ids)), device=whole.weight.device)).train(model.training)
    model.set_input_embeddings(narrow)
    whole.weight.requires_grad_(False)
    try:
        yield
    finally:
        narrow.eval()
        whole.weight.requires_grad_(trains)
        model.set_input_embeddings(whole)


class _Narrow(nn.Module):
    _table: Tensor
    _ids: Tensor
    _places: Tensor

    def __init__(self, whole: nn.Embedding, ids: Tensor) -> None:
        super().__init__()
        table = whole.weight.detach()  # the same memory: what is written here is in the model's own table
        self.weight = nn.Parameter(table[ids])
        places = torch.full((len(table),), -1, device=table.device)
        places[ids] = torch.arange(len(ids), device=table.device)
        for name, tensor in {"_table": table, "_ids": ids, "_places": places}.items():
            self.register_buffer(name, tensor, persistent=False)
        self._padding = None if whole.padding_idx is None else int(places[whole.padding_idx])

    def forward(self, ids: Tensor) -> Tensor:
        if not self.training:
            return functional.embedding(ids, self._table)
        return functional.embedding(self._places[ids], self.weight, self._padding)

    def train(self, mode: bool = True) -> _Narrow:
        if not mode:
            with torch.no_grad():
                self._table[self._ids] = self.weight
        return super().train(mode)
