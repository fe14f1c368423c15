"""Masking of tokens for the masked-language-model loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlctl.errors import InputError
from mlctl.training.counter_rng import Keys, Stream, bits, keys, uniform

_TO_MASK, _TO_RANDOM = 0.8, 0.1  # of the selected tokens; the rest stays unchanged


@dataclass(frozen=True)
class MaskingRule:
    """How tokens are masked.

    Attributes:
        probability: share of ordinary tokens that are selected, each independently: a short sentence may have none.
        mask_id: id of the mask token.
        special: (vocabulary,) true for special tokens, the unknown token included: they are neither selected nor inserted.
    """

    probability: float
    mask_id: int
    special: NDArray[np.bool_]

    @classmethod
    def from_tokenizer(cls, tokenizer: Any, probability: float) -> MaskingRule:
        """Return the rule for a Hugging Face tokenizer.

        Raises:
            InputError: the tokenizer has no mask token.
        """
        if tokenizer.mask_token_id is None:
            raise InputError("the tokenizer has no mask token", "set train.mlm_weight=0, or use a masked-language model")
        special = np.zeros(len(tokenizer), dtype=bool)
        special[tokenizer.all_special_ids] = True
        return cls(probability, tokenizer.mask_token_id, special)


def mask_keys(seed: int, epoch: int, row_ids: NDArray[np.int64]) -> Keys:
    """Return the keys (2B,) of the masks of B rows that an epoch visits: of the source sides, then of the target sides."""
    return np.concatenate([keys(seed, stream, epoch, row_ids) for stream in (Stream.SOURCE_MASK, Stream.TARGET_MASK)])


def mask_tokens(
    input_ids: NDArray[np.int64], attention_mask: NDArray[np.bool_], row_keys: Keys, rule: MaskingRule
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return a masked copy of `input_ids` and which tokens the model has to predict, both (N, T).

    Of the selected tokens 80% become the mask token, 10% a random ordinary token, 10% stay (BERT, arXiv 1810.04805, section 3.1).
    What a row draws depends on its key alone, neither on other rows nor on the padding.

    Args:
        input_ids: (N, T) token ids.
        attention_mask: (N, T) true for tokens, false for padding.
        row_keys: (N,) one key a row, of `counter_rng.keys`.
        rule: which tokens may be masked, and how many.
    """
    positions = 3 * np.arange(input_ids.shape[1])[None, :]  # three numbers a token: whether, how, by what
    selected = attention_mask & ~rule.special[input_ids] & (uniform(row_keys[:, None], positions) < rule.probability)
    row, column = np.nonzero(selected)
    how = uniform(row_keys[row], 3 * column + 1)
    ordinary = np.flatnonzero(~rule.special)
    random_ids = ordinary[bits(row_keys[row], 3 * column + 2) % np.uint64(len(ordinary))]
    masked = input_ids.copy()
    masked[row, column] = np.select(
        [how < _TO_MASK, how < _TO_MASK + _TO_RANDOM], [rule.mask_id, random_ids], input_ids[row, column]
    )
    return masked, selected
