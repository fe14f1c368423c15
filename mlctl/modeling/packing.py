"""Encoder passes without padding: the tokens of several sequences are packed into one stream.

All layers but attention then compute nothing for padding. Attention is limited to a token's own sequence: on a GPU by kernels for
sequences of different lengths (FlashAttention, of jagged tensors), elsewhere by padding the queries, keys and values alone. Encoders whose
architecture does not allow it are run with padding; the states are the same within rounding.

Symbols: b sequences of T tokens in all, L tokens in the longest, H size of the encoder's states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

#: Name of the attention function of packed sequences in transformers; for padded ones it is transformers' own SDPA.
ATTENTION = "mlctl_packed"

# Architectures whose layers hand the packing on to the attention function, and whose positions can be given.
_ARCHITECTURES = frozenset({"bert", "camembert", "modernbert", "roberta", "xlm-roberta", "xlm-roberta-xl"})


@dataclass(frozen=True)
class Packing:
    """Where the tokens of b sequences are in a packed stream, and in a padded batch (b, L).

    Attributes:
        offsets: (b + 1,) int32, first token of each sequence, and T.
        positions: (T,) int64, index of each token in its sequence.
        slots: (T,) int64, index of each token in the flattened padded batch (b · L).
        mask: (b, L) bool, true for tokens in the padded batch.
        shortest: tokens of the shortest sequence.
    """

    offsets: Tensor
    positions: Tensor
    slots: Tensor
    mask: Tensor
    shortest: int

    @classmethod
    def of_lengths(cls, lengths: NDArray[np.int64]) -> Packing:
        """Return the packing of b ≥ 1 sequences with these lengths (b,), each at least 1, on the CPU."""
        mask = np.arange(lengths.max()) < lengths[:, None]
        slots = np.flatnonzero(mask)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        positions = slots % mask.shape[1]
        tensors = [torch.from_numpy(array) for array in (offsets, positions, slots, mask)]
        return cls(tensors[0], tensors[1], tensors[2], tensors[3], int(lengths.min()))

    @property
    def longest(self) -> int:
        """L."""
        return self.mask.shape[1]

    def pad(self, tokens: Tensor) -> Tensor:
        """Return values (T, …) of tokens as a batch (b, L, …), padded with zeros on the right."""
        padded = tokens.new_zeros(self.mask.numel(), *tokens.shape[1:]).index_copy(0, self.slots, tokens)
        return padded.view(*self.mask.shape, *tokens.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """Return the values (T, …) of the tokens of a batch (b, L, …)."""
        return padded.flatten(0, 1).index_select(0, self.slots)


def enable_packing(model: Any) -> bool:
    """Let a Hugging Face model run packed sequences, if its architecture can; return whether it does. Padded batches run as before."""
    if model.config.model_type not in _ARCHITECTURES:
        return False
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
    model.set_attn_implementation(ATTENTION)
    return True


def encode_packed(
    encoder: Any, token_ids: Tensor, packing: Packing, embeddings: Tensor | None = None, token_types: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Run a Hugging Face encoder on packed sequences and return its hidden states, each (T, H), the embeddings first.

    Args:
        encoder: a base model; packed if `enable_packing` has enabled that, else padded for its layers.
        token_ids: (T,).
        packing: of the sequences.
        embeddings: (T, H) of the tokens if looked up before.
        token_types: (T,); None: all are 0.
    """
    name, tokens = ("input_ids", token_ids) if embeddings is None else ("inputs_embeds", embeddings)
    if encoder.config._attn_implementation == ATTENTION:
        types = {} if token_types is None else {"token_type_ids": token_types.unsqueeze(0)}
        output = encoder(
            **{name: tokens.unsqueeze(0)},
            attention_mask=_no_mask(encoder),
            position_ids=(packing.positions + first_position(encoder)).unsqueeze(0),
            output_hidden_states=True,
            packing=packing,
            **types,
        )
        return tuple(states.squeeze(0) for states in output.hidden_states)
    types = {} if token_types is None else {"token_type_ids": packing.pad(token_types)}
    output = encoder(**{name: packing.pad(tokens)}, attention_mask=packing.mask, output_hidden_states=True, **types)
    return tuple(packing.unpad(states) for states in output.hidden_states)


def first_position(encoder: Any) -> int:
    """Return the position of the first token of a sequence in an encoder's table: RoBERTa's begin after that of the padding."""
    table = getattr(getattr(encoder, "embeddings", None), "position_embeddings", None)
    reserved = getattr(table, "padding_idx", None)
    return 0 if reserved is None else int(reserved) + 1


def _no_mask(encoder: Any) -> dict[str, None] | None:
    """Return what keeps an encoder from making a mask of all pairs of tokens (T, T): the attention function limits the layers' windows."""
    kinds = set(getattr(encoder.config, "layer_types", None) or ())
    return dict.fromkeys(kinds) if kinds else None


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    packing: Packing | None = None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Return the attention output (1, T, heads, size) of packed queries, keys and values (1, heads, T, size)."""
    if packing is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return output
    tokens = [part.squeeze(0).transpose(0, 1) for part in (query, key, value)]  # (T, heads, size)
    # ModernBERT's layers give their window as FlashAttention counts it: tokens fewer than that apart attend to each other.
    window = sliding_window if sliding_window and sliding_window < packing.longest else None
    if query.is_cuda and window is None:
        return _jagged_attention(tokens, packing, dropout, scaling).unsqueeze(0), None
    return _padded_attention(tokens, packing, dropout, scaling, window).unsqueeze(0), None


def _jagged_attention(tokens: list[Tensor], packing: Packing, dropout: float, scale: float | None) -> Tensor:
    """Return the attention output (T, heads, size) by kernels that take sequences of different lengths."""
    query, key, value = (
        torch.nested.nested_tensor_from_jagged(
            part, packing.offsets.long(), min_seqlen=packing.shortest, max_seqlen=packing.longest
        ).transpose(1, 2)
        for part in tokens
    )
    output = functional.scaled_dot_product_attention(query, key, value, dropout_p=dropout, scale=scale)
    values: Tensor = output.transpose(1, 2).values()
    return values


def _padded_attention(tokens: list[Tensor], packing: Packing, dropout: float, scale: float | None, window: int | None) -> Tensor:
    """Return the attention output (T, heads, size) of queries, keys and values that are padded for it."""
    query, key, value = (packing.pad(part).transpose(1, 2) for part in tokens)
    mask = packing.mask[:, None, None]
    if window is not None:
        index = torch.arange(packing.longest, device=mask.device)
        mask = mask & ((index[:, None] - index).abs() < window)
    output = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout, scale=scale)
    return packing.unpad(output.transpose(1, 2))
