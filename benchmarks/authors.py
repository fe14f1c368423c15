"""The training step of the ML-CTL authors, reimplemented in the plainest way: the reference for mlctl's step in tests and benchmarks.

Each side is padded to 128 subwords and goes through the encoder twice, once for the contrastive loss and once for the masked-LM loss, although
both passes see the same masked tokens; the masked-LM head sees every position; similarities are a broadcast cosine; everything is fp32.
What their code does differently from the paper (half of the loss, masking of the shared input in place, the masked-LM loss as a mean of two
means) is not reproduced: docs/parity.md lists it.

Symbols: B samples (a sentence pair with one word pair each), T padded length, H size of states.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from mlctl.training.collator import Batch

WIDTH = 128  # subwords that every sequence is padded to
IGNORED = -100  # label of a token that is not predicted


@dataclass(frozen=True)
class Side:
    """One side of a batch of word-positioned samples.

    Attributes:
        masked: (B, T) token ids, some of them masked.
        there: (B, T) attention mask: 1 for tokens, 0 for padding.
        labels: (B, T) the original id of masked tokens, IGNORED elsewhere.
        starts: (B,) first token of the sample's word.
        ends: (B,) one after its last token.
    """

    masked: Tensor
    there: Tensor
    labels: Tensor
    starts: Tensor
    ends: Tensor


def sides_of(batch: Batch, padding: int, width: int = WIDTH) -> tuple[Side, Side]:
    """Convert a batch of mlctl to the authors' layout: in the order of its pairs, padded to one width, one word pair per pair."""
    assert batch.word_pair_rows.tolist() == list(range(batch.pairs)), "the batch must have one word pair per pair"
    rows = [row for micro_batch in batch.micro_batches for row in _rows(micro_batch, padding, width)]
    laid = [torch.stack(column) for column in zip(*(rows[place] for place in batch.sequence_positions.tolist()), strict=True)]
    halves = zip(*(column.chunk(2) for column in laid), strict=True)
    return tuple(Side(*half, *spans.T) for half, spans in zip(halves, batch.word_pair_spans, strict=True))  # type: ignore[return-value]


def _rows(micro_batch: Any, padding: int, width: int) -> Iterable[tuple[Tensor, Tensor, Tensor]]:
    labels = torch.full(micro_batch.input_ids.shape, IGNORED)
    labels[micro_batch.masked_positions] = micro_batch.labels
    there = torch.ones_like(micro_batch.masked_ids)
    lengths = micro_batch.packing.mask.sum(1).tolist()
    columns = ((micro_batch.masked_ids, padding), (there, 0), (labels, IGNORED))
    sequences = zip(*(column.split(lengths) for column, _ in columns), strict=True)
    fills = [fill for _, fill in columns]
    return (
        tuple(torch.nn.functional.pad(part, (0, width - len(part)), value=fill) for part, fill in zip(parts, fills, strict=True))
        for parts in sequences
    )


@dataclass(frozen=True)
class AuthorsStep:
    """The authors' step on a masked-language model with a projection head.

    Attributes:
        model: a Hugging Face masked-language model.
        head: weights and biases of W2 · relu(W1 · x + b1) + b2: W1, b1, W2, b2.
        loss: name of the contrastive loss.
        words: whether samples are [sentence ; word], or sentences only ("snt").
        temperature: τ.
        alpha: weight of the masked-LM loss.
    """

    model: Any
    head: tuple[Tensor, Tensor, Tensor, Tensor]
    loss: Literal["cz-nce", "info-nce"]
    words: bool
    temperature: float = 0.07
    alpha: float = 0.1

    def __call__(self, sides: tuple[Side, Side]) -> Tensor:
        """Return L = L_contrastive + α · L_MLM."""
        x, y = (self.embed(side) for side in sides)
        contrastive = (self.contrast(x, y) + self.contrast(y, x)) / 2
        return contrastive + self.alpha * self.masked_lm(sides)

    def embed(self, side: Side) -> Tensor:
        """Return the samples' vectors, (B, 2H) or (B, H)."""
        hidden = self.model.base_model(input_ids=side.masked, attention_mask=side.there, output_hidden_states=True).hidden_states
        states = hidden[1] + hidden[-1]
        sentence = mean_where(states, side.there)
        places = torch.arange(states.shape[1], device=states.device)
        in_word = (places >= side.starts[:, None]) & (places < side.ends[:, None])
        pooled = torch.cat([sentence, mean_where(states, in_word)], dim=1) if self.words else sentence
        inner, inner_bias, outer, outer_bias = self.head
        return torch.relu(pooled @ inner.T + inner_bias) @ outer.T + outer_bias

    def contrast(self, here: Tensor, there: Tensor) -> Tensor:
        """Return the loss of one direction: the mean over the samples of one side."""
        across = (cosine_similarity(here[:, None], there[None], dim=2) / self.temperature).exp()
        within = (cosine_similarity(here[:, None], here[None], dim=2) / self.temperature).exp()
        positive = across.diagonal()
        others = 1 - torch.eye(len(here), dtype=here.dtype, device=here.device)
        negatives = (across * others).sum(1) + (within * others).sum(1)
        return -(positive / (negatives if self.loss == "cz-nce" else negatives + positive)).log().mean()

    def masked_lm(self, sides: tuple[Side, Side]) -> Tensor:
        """Return the mean loss of the masked tokens of both sides."""
        losses = []
        for side in sides:
            logits = self.model(input_ids=side.masked, attention_mask=side.there).logits
            losses.append(cross_entropy(logits.flatten(0, 1), side.labels.flatten(), ignore_index=IGNORED, reduction="sum"))
        return (losses[0] + losses[1]) / sum((side.labels != IGNORED).sum() for side in sides)


def head_of(projection: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the weights of a projection head of mlctl in the authors' layout."""
    return projection.inner.weight, projection.inner.bias, projection.outer.weight, projection.outer.bias


def mean_where(states: Tensor, chosen: Tensor) -> Tensor:
    """Return the mean state of the selected tokens, (B, H), for states (B, T, H) and mask (B, T)."""
    weights = chosen.to(states.dtype)[:, :, None]
    return (states * weights).sum(1) / weights.sum(1)


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    """Return and clear the gradients of a module's parameters, by name; parameters without a gradient are left out."""
    found = {name: weight.grad for name, weight in module.named_parameters() if weight.grad is not None}
    module.zero_grad(set_to_none=True)
    return found


def gradient_error(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> float:
    """Return the largest relative error of a parameter's gradient, |ours − theirs| / |theirs|.

    Some gradients are 0 except for rounding (attention does not change when a bias is added to all keys). The denominator is therefore
    at least a thousandth of the largest gradient norm.
    """
    assert ours.keys() == theirs.keys(), ours.keys() ^ theirs.keys()
    norms = {name: float(gradient.norm()) for name, gradient in theirs.items()}
    least = 1e-3 * max(norms.values())
    return max(float((ours[name] - theirs[name]).norm()) / max(norm, least) for name, norm in norms.items())
