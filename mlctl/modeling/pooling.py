"""Padding of token ids, and pooling of an encoder's states into sentence and word vectors.

The states of some layers are summed (ML-CTL, arXiv 2202.13083: the first and the last), then the tokens are pooled; the vectors of
some encoders then go through modules (`sentence_module_layers`).

Symbols: B sentences, T padded length in subwords, H size of the encoder's states, N spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from mlctl.errors import InputError
from mlctl.modeling.sentence_config import Pooling, TokenPooling

#: The layers that ML-CTL sums, as indices into an encoder's `hidden_states`.
FIRST_AND_LAST = (1, -1)


class PaddedBatch(NamedTuple):
    """Token ids and attention mask (1 for tokens, 0 for padding), both (B, T) int64, as Hugging Face encoders take them."""

    input_ids: Tensor
    attention_mask: Tensor


def pad_batch(sequences: Sequence[Sequence[int]], pad_id: int, device: torch.device | None = None) -> PaddedBatch:
    """Pad B ≥ 1 sequences of token ids on the right to the longest of them."""
    ones = [[1] * len(ids) for ids in sequences]
    return PaddedBatch(pad(sequences, pad_id).to(device), pad(ones, 0).to(device))


def pad(sequences: Sequence[Sequence[int] | npt.NDArray[np.integer[Any]]], value: int) -> Tensor:
    """Return B ≥ 1 sequences of integers as (B, T) int64, padded on the right with `value`."""
    rows = [torch.as_tensor(sequence, dtype=torch.int64) for sequence in sequences]
    return pad_sequence(rows, batch_first=True, padding_value=value)


def layer_numbers(layers: str | tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Return the layers that the setting `train.layers` names, as ascending indices into `hidden_states`.

    Args:
        layers: first-and-last, last, all, or layer numbers from 1.
        depth: number of layers of the encoder.

    Raises:
        InputError: the encoder has fewer layers.
    """
    if isinstance(layers, str):
        return {"first-and-last": tuple(sorted({1, depth})), "last": (depth,), "all": tuple(range(1, depth + 1))}[layers]
    if max(layers) > depth:
        raise InputError(f"train.layers names layer {max(layers)}, but the encoder has {depth}", f"name layers up to {depth}")
    return tuple(sorted(layers))


def pool_layers(hidden_states: Sequence[Tensor], layers: Sequence[int], weights: Sequence[float] = ()) -> Tensor:
    """Return the (weighted) sum of the hidden states (B, T, H) with these indices, in full precision."""
    states = [full_precision(hidden_states[layer]) for layer in layers]
    return reduce(torch.add, [weight * state for weight, state in zip(weights, states, strict=True)] if weights else states)


def encode_tokens(
    encoder: Any, input_ids: Tensor, attention_mask: Tensor, layers: Sequence[int] = FIRST_AND_LAST, weights: Sequence[float] = ()
) -> Tensor:
    """Run a Hugging Face encoder and return the token states (B, T, H) summed over layers.

    Args:
        encoder: a model whose output has `hidden_states`, the embeddings first.
        input_ids: (B, T) token ids.
        attention_mask: (B, T) true (or 1) for tokens.
        layers: indices into `hidden_states`.
        weights: of the layers; empty: 1 each.
    """
    output = encoder(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True)
    return pool_layers(output.hidden_states, layers, weights)


def pool_sentences(
    hidden_states: Sequence[Tensor], attention_mask: Tensor, pooling: Pooling, modules: nn.Module | None = None
) -> Tensor:
    """Return the sentence vectors (B, O) of hidden states, each (B, T, H), and a mask (B, T) of texts padded on the right.

    See `pool_states`.
    """
    return pool_states(pool_layers(hidden_states, pooling.layers, pooling.weights), attention_mask, pooling, modules)


def pool_states(states: Tensor, attention_mask: Tensor, pooling: Pooling, modules: nn.Module | None = None) -> Tensor:
    """Return the sentence vectors (B, O) of the states (B, T, H) of tokens, summed over layers, that are padded on the right.

    Args:
        states: the states.
        attention_mask: (B, T) true (or 1) for tokens.
        pooling: O is its `vector_size`.
        modules: the modules of the pooling, as `load_sentence_modules` returns them; None: it has none.
    """
    pooled = pool_tokens(states, attention_mask, pooling.tokens)
    return cast(Tensor, cast(nn.Module, modules)(pooled)) if pooling.modules else pooled


def pool_tokens(states: Tensor, attention_mask: Tensor, tokens: TokenPooling | tuple[TokenPooling, ...]) -> Tensor:
    """Return one vector for each sentence of the states (B, T, H) of tokens that are padded on the right: (B, H), (B, k·H) of k poolings.

    The modes are those of sentence-transformers: `weightedmean` weights the n-th token by n (arXiv 2202.08904).
    """
    if not isinstance(tokens, str):
        return torch.cat([pool_tokens(states, attention_mask, mode) for mode in tokens], dim=1)
    if tokens == "cls":
        return states[:, 0]
    if tokens == "lasttoken":
        last = attention_mask.to(torch.int64).sum(1) - 1
        return states[torch.arange(states.shape[0], device=states.device), last]  # `len` would be a constant in an exported graph
    if tokens == "max":
        return states.masked_fill(attention_mask.unsqueeze(2) == 0, -torch.inf).amax(1)
    if tokens == "weightedmean":
        positions = torch.arange(1, states.shape[1] + 1, device=states.device, dtype=states.dtype)
        return mean_pool(states, attention_mask * positions)
    mean = mean_pool(states, attention_mask)
    return mean if tokens == "mean" else mean * attention_mask.to(states.dtype).sum(1, keepdim=True).sqrt()


def mean_pool(states: Tensor, attention_mask: Tensor) -> Tensor:
    """Return the mean of the attended tokens' states, (B, H), for states (B, T, H) and mask (B, T), which may hold weights."""
    weights = attention_mask.to(states.dtype)
    weights = weights / weights.sum(1, keepdim=True)
    return torch.bmm(weights.unsqueeze(1), states).squeeze(1)


@dataclass(frozen=True)
class Spans:
    """N spans of tokens, as the indices of their tokens in a flat array of states (T, H).

    Attributes:
        tokens: (k,) int64, the tokens of all spans, one span after another.
        owners: (k,) int64, the span of each of these tokens.
        lengths: (N,) int64, tokens of each span, at least 1.
    """

    tokens: Tensor
    owners: Tensor
    lengths: Tensor

    @classmethod
    def of_ranges(cls, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> Spans:
        """Return the spans from token starts[n] to ends[n] (excluded), both (N,), on the CPU."""
        lengths = ends - starts
        owners = np.repeat(np.arange(len(lengths)), lengths)
        tokens = np.arange(len(owners)) + np.repeat(ends - np.cumsum(lengths), lengths)
        return cls(*map(torch.from_numpy, (tokens, owners, lengths)))

    def to(self, device: torch.device) -> Spans:
        """Return the spans on a device."""
        return Spans(self.tokens.to(device), self.owners.to(device), self.lengths.to(device))

    def mean(self, states: Tensor) -> Tensor:
        """Return the mean state of each span, (N, H), for the states (T, H) of tokens."""
        sums = states.new_zeros(len(self.lengths), states.shape[1]).index_add(0, self.owners, states.index_select(0, self.tokens))
        return sums / self.lengths.unsqueeze(1).to(states.dtype)


def span_pool(states: Tensor, spans: npt.NDArray[np.int64]) -> Tensor:
    """Return the mean state of each span, (N, H).

    Args:
        states: (B, T, H) token states.
        spans: (N, 3) sentence, first token (special tokens counted), one behind the last token; each has at least one.
    """
    first_tokens = spans[:, 0] * states.shape[1]
    flat = Spans.of_ranges(first_tokens + spans[:, 1], first_tokens + spans[:, 2])
    return flat.to(states.device).mean(states.flatten(0, 1))


def full_precision(tensor: Tensor) -> Tensor:
    """Return the tensor in fp32 where it is in half precision: sums, means and similarities lose too much there."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
