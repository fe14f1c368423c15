"""Sentence embeddings of texts, by any pooling of any layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from mlctl.errors import InputError
from mlctl.modeling.encoder_states import hidden_states
from mlctl.modeling.encoders import max_positions
from mlctl.modeling.pooling import pool_sentences
from mlctl.modeling.sentence_config import Pooling

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_MAX_LENGTH_RATIO = 8 / 7  # of the longest to the shortest text of a batch


def embed(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    poolings: Sequence[Pooling],
    batch_rows: int,
    max_length: int | None = None,
    modules: nn.Module | None = None,
) -> list[Tensor]:
    """Return a matrix (N, O) for each pooling, fp32, on the encoder's device, all from one pass; O is its `vector_size`.

    Texts are sorted by length and padded to the longest of their batch; equal texts are encoded once. Texts with more than `max_length`
    tokens, or more than the encoder has positions, are truncated. `modules` are those of the poolings that have any, on the same device.
    """
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    ids = tokenise(encoder, tokenizer, list(rows), max_length)
    matrices = [
        torch.empty(len(rows), pooling.vector_size(encoder.config.hidden_size), device=encoder.device) for pooling in poolings
    ]
    for batch in _batches([len(text_ids) for text_ids in ids], batch_rows):
        for matrix, embeddings in zip(
            matrices, _embed_batch(encoder, [ids[row] for row in batch], poolings, modules), strict=True
        ):
            matrix[batch] = embeddings
    index = torch.tensor([rows[text] for text in texts], device=encoder.device)
    return [matrix[index] for matrix in matrices]


def tokenise(
    encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int | None = None
) -> list[list[int]]:
    """Return the token ids of texts, with special tokens, at most `max_length` of each (None: what encoder and tokenizer can take).

    Raises:
        InputError: the encoder has no embedding for one of them.
    """
    if not texts:
        return []
    limit = min(max_positions(encoder), max_length or int(tokenizer.model_max_length))
    options: dict[str, Any] = {"return_attention_mask": False, "return_token_type_ids": False}
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=limit, **options)["input_ids"]
    largest, vocabulary = max(map(max, ids)), encoder.get_input_embeddings().num_embeddings
    if largest >= vocabulary:
        problem = f"the encoder has {vocabulary} token embeddings, but its tokenizer returned id {largest}"
        raise InputError(problem, "give the folder of a model with its own tokenizer")
    return ids


def _batches(lengths: Sequence[int], batch_rows: int) -> Iterator[list[int]]:
    """Yield rows of similar length: padding is at most an eighth of a batch (one token is always allowed)."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
        shortest = lengths[batch[0]] if batch else 0
        if batch and (len(batch) == batch_rows or lengths[row] > max(shortest + 1, shortest * _MAX_LENGTH_RATIO)):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@torch.inference_mode()
def _embed_batch(
    encoder: PreTrainedModel, ids: Sequence[Sequence[int]], poolings: Sequence[Pooling], modules: nn.Module | None
) -> list[Tensor]:
    states, mask = hidden_states(encoder, ids)
    return [pool_sentences(states, mask, pooling, modules) for pooling in poolings]
