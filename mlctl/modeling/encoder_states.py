"""The forward pass of an encoder on token ids, for inference.

Symbols: B sequences, T padded length in tokens, H size of the encoder's states.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mlctl.modeling.pooling import pad_batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@torch.inference_mode()
def hidden_states(encoder: PreTrainedModel, rows: Sequence[Sequence[int]]) -> tuple[Sequence[Tensor], Tensor]:
    """Return the hidden states of token ids, each (B, T, H), the embeddings first, and the attention mask (B, T)."""
    ids, mask = pad_batch(rows, encoder.config.pad_token_id or 0, encoder.device)
    states: Sequence[Tensor] = encoder(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
    return states, mask
