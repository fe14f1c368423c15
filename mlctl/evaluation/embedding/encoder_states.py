"""Padding and the encoder's forward pass: the only place where evaluation pads token ids and runs an encoder on them.

Symbols: B sequences, T padded length in tokens, H size of the encoder's states.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def pad(rows: Sequence[Sequence[int]], fill: int) -> Tensor:
    """Return rows of integers as one tensor (B, T), filled up to the longest."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *itertools.repeat(fill, width - len(row))] for row in rows])


def attention_mask(rows: Sequence[Sequence[int]]) -> Tensor:
    """Return the mask (B, T) of padded rows, int64: 1 for a token, 0 for padding."""
    lengths = torch.tensor([len(row) for row in rows])
    return (torch.arange(int(lengths.max())) < lengths[:, None]).long()


@torch.inference_mode()
def hidden_states(encoder: PreTrainedModel, rows: Sequence[Sequence[int]]) -> tuple[Sequence[Tensor], Tensor]:
    """Return the hidden states of token ids, each (B, T, H), the embeddings first, and the attention mask (B, T)."""
    ids = pad(rows, encoder.config.pad_token_id or 0).to(encoder.device)
    mask = attention_mask(rows).to(encoder.device)
    states: Sequence[Tensor] = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    return states, mask
