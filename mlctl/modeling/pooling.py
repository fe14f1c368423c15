"""From token states to the vectors of sentences and words (the paper's average of first and last layer, arXiv 2202.13083).

Symbols: B sentences, T padded length in subwords, H size of the encoder's states, N spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mlctl.errors import InputError

#: Layers by their places among the hidden states, from which they are added up: the paper's.
FIRST_AND_LAST = (1, -1)


def places_of(layers: str | tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Return the places among the hidden states of the layers that the setting `train.layers` names.

    Args:
        layers: first-and-last, last, all, or numbers from 1.
        depth: how many layers the encoder has.

    Raises:
        InputError: it has fewer.
    """
    if isinstance(layers, str):
        return {"first-and-last": FIRST_AND_LAST, "last": (-1,), "all": tuple(range(1, depth + 1))}[layers]
    if max(layers) > depth:
        raise InputError(f"train.layers names layer {max(layers)}, but the encoder has {depth}", f"name layers up to {depth}")
    return layers


class LayerStates(NamedTuple):
    """What one encoder pass is used for: `pooled` (B, T, H) feeds the contrast, `last` (B, T, H) the masked-LM head."""

    pooled: Tensor
    last: Tensor


def layer_states(
    encoder: Any, ids: Tensor, mask: Tensor, places: Sequence[int] = FIRST_AND_LAST, embedded: Tensor | None = None
) -> LayerStates:
    """Run any Hugging Face encoder once and return the sum of some layers, and the last alone.

    Args:
        encoder: a model whose output has `hidden_states`, the embeddings first.
        ids: (B, T) token ids.
        mask: (B, T) true (or 1) where there is a token.
        places: of the layers among the hidden states, of `places_of`.
        embedded: (B, T, H) what `ids` are in the encoder's table of token embeddings; None: it looks them up.
    """
    tokens = {"input_ids": ids} if embedded is None else {"inputs_embeds": embedded}
    output = encoder(**tokens, attention_mask=mask, output_hidden_states=True)
    return LayerStates(sum_of_layers(output.hidden_states, places), output.last_hidden_state)


def sum_of_layers(states: Sequence[Tensor], places: Sequence[int]) -> Tensor:
    """Add up the hidden states (B, T, H) at some places, in full precision."""
    return reduce(torch.add, [full_precision(states[place]) for place in places])


def full_precision(tensor: Tensor) -> Tensor:
    """Return the tensor in fp32 where it is in half precision: sums, means and similarities lose too much there."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def pooled_states(encoder: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Return token states (B, T, H) of the layers that the encoder was trained to be pooled from, added up.

    For most encoders these are the first and the last: h1 + h12.
    """
    return layer_states(encoder, ids, mask, trained_places(encoder)).pooled


def trained_places(encoder: Any) -> Sequence[int]:
    """Return the places of the layers that an encoder was trained to be pooled from, which `load_encoder` notes; else the paper's."""
    places: Sequence[int] = getattr(encoder, "pooled_places", FIRST_AND_LAST)
    return places


def mean_tokens(states: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of the attended tokens' states, (B, H), for states (B, T, H) and mask (B, T)."""
    weights = mask.to(states.dtype)
    weights = weights / weights.sum(1, keepdim=True)
    return torch.bmm(weights.unsqueeze(1), states).squeeze(1)


def mean_spans(states: Tensor, rows: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """Return the mean state of each span, (N, H): tokens starts[n] to ends[n] (not included) of sentence rows[n].

    Args:
        states: (B, T, H) token states.
        rows: (N,) int64, the sentence that each span is of.
        starts: (N,) int64, first token, special tokens counted.
        ends: (N,) int64, one behind the last token; at least starts + 1.
    """
    lengths = ends - starts
    span = torch.repeat_interleave(lengths)  # (tokens,) which span each of the spans' tokens belongs to
    before = torch.cumsum(lengths, 0) - lengths
    within = torch.arange(span.numel(), device=span.device) - before[span]
    place = (rows * states.shape[1] + starts)[span] + within
    tokens = states.flatten(0, 1).index_select(0, place)
    sums = states.new_zeros(len(rows), states.shape[2]).index_add(0, span, tokens)
    return sums / lengths.unsqueeze(1).to(states.dtype)
