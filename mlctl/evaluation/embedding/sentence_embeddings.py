"""Texts as vectors, by any pooling of any layer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mlctl.errors import InputError
from mlctl.modeling.encoders import max_positions
from mlctl.modeling.pooling import full_precision, mean_pool, pool_layers, pooled_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_LONGEST = 8 / 7  # times as long as the shortest of a batch may the longest be

#: "trained", "last", "cls" or the number of a layer, as in the recipe but for "search".
Pool = str | int


def poolings(encoder: PreTrainedModel) -> list[Pool]:
    """Return every pooling there is, the method's own first, then the layers from the last down."""
    return ["trained", *range(encoder.config.num_hidden_layers, -1, -1), "cls"]


def embed(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    wanted: Sequence[Pool],
    batch_rows: int,
) -> list[Tensor]:
    """Return a matrix (N, H) for each pooling wanted, fp32, on the encoder's device, all from one pass.

    Texts are sorted by length and padded to the longest of their batch; one that comes twice is encoded once. What is longer than
    the encoder has positions for is cut.

    Raises:
        InputError: the encoder has no such layer.
    """
    _check(encoder, wanted)
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    ids = tokenise(encoder, tokenizer, list(rows))
    found = [torch.empty(len(rows), encoder.config.hidden_size, device=encoder.device) for _ in wanted]
    for batch in _batches([len(each) for each in ids], batch_rows):
        for matrix, vectors in zip(found, _vectors(encoder, [ids[row] for row in batch], wanted), strict=True):
            matrix[batch] = vectors
    places = torch.tensor([rows[text] for text in texts], device=encoder.device)
    return [matrix[places] for matrix in found]


def tokenise(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of texts, special ones with them.

    Raises:
        InputError: the encoder has no embedding for one of them.
    """
    if not texts:
        return []
    limit = min(max_positions(encoder), int(tokenizer.model_max_length))
    options: dict[str, Any] = {"return_attention_mask": False, "return_token_type_ids": False}
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=limit, **options)["input_ids"]
    largest, known = max(max(each) for each in ids), encoder.get_input_embeddings().num_embeddings
    if largest >= known:
        problem = f"the encoder has {known} token embeddings, but its tokenizer gives id {largest}"
        raise InputError(problem, "give the folder of a model with its own tokenizer")
    return ids


def _check(encoder: PreTrainedModel, wanted: Sequence[Pool]) -> None:
    depth = encoder.config.num_hidden_layers
    for pool in wanted:
        if isinstance(pool, int) and pool > depth:
            raise InputError(f"evaluate.pooling: {pool}, but the encoder has {depth} layers", f"give 0 to {depth}, or search")


def _batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Yield rows of like length: of no batch is more than an eighth padding (one token is always allowed)."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        if batch and (len(batch) == most or lengths[row] > max(lengths[batch[0]] + 1, lengths[batch[0]] * _LONGEST)):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@torch.inference_mode()
def _vectors(encoder: PreTrainedModel, ids: Sequence[Sequence[int]], wanted: Sequence[Pool]) -> list[Tensor]:
    width, padding = max(map(len, ids)), encoder.config.pad_token_id or 0
    tokens = torch.tensor([[*each, *itertools.repeat(padding, width - len(each))] for each in ids]).to(encoder.device)
    lengths = torch.tensor([len(each) for each in ids], device=encoder.device)
    mask = (torch.arange(width, device=encoder.device) < lengths[:, None]).long()
    states = encoder(input_ids=tokens, attention_mask=mask, output_hidden_states=True).hidden_states
    trained = pooled_layers(encoder)
    return [_pooled(states, mask, pool, trained) for pool in wanted]


def _pooled(states: Sequence[Tensor], mask: Tensor, pool: Pool, trained: Sequence[int]) -> Tensor:
    if pool == "cls":
        return full_precision(states[-1][:, 0])
    if pool == "trained":
        return mean_pool(pool_layers(states, trained), mask)
    return mean_pool(full_precision(states[-1 if isinstance(pool, str) else pool]), mask)
