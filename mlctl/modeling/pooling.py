"""From token states to the vectors of sentences and words (the paper's average of first and last layer, arXiv 2202.13083).

Symbols: B sentences, T padded length in subwords, H size of the encoder's states, N spans.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class LayerStates(NamedTuple):
    """What one encoder pass is used for: `pooled` (B, T, H) feeds the contrast, `last` (B, T, H) the masked-LM head."""

    pooled: Tensor
    last: Tensor


def layer_states(encoder: Any, ids: Tensor, mask: Tensor, embedded: Tensor | None = None) -> LayerStates:
    """Run any Hugging Face encoder once and return the sum of its first and last layer, and the last alone.

    Args:
        encoder: a model whose output has `hidden_states`, the embeddings first.
        ids: (B, T) token ids.
        mask: (B, T) true (or 1) where there is a token.
        embedded: (B, T, H) what `ids` are in the encoder's table of token embeddings; None: it looks them up.
    """
    tokens = {"input_ids": ids} if embedded is None else {"inputs_embeds": embedded}
    output = encoder(**tokens, attention_mask=mask, output_hidden_states=True)
    first, last = output.hidden_states[1], output.hidden_states[-1]
    return LayerStates(full_precision(first) + full_precision(last), output.last_hidden_state)


def full_precision(tensor: Tensor) -> Tensor:
    """Return the tensor in fp32 where it is in half precision: sums, means and similarities lose too much there."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def first_and_last(encoder: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Return h1 + h12 as (B, T, H): token states after the first and the last transformer layer, added up."""
    return layer_states(encoder, ids, mask).pooled


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
