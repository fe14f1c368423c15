"""Choosing and replacing tokens for the masked-language-model loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlctl.errors import InputError
from mlctl.training.counter_rng import Keys, bits, uniform

_TO_MASK, _TO_RANDOM = 0.8, 0.1  # of the chosen tokens; the rest stays as it is


@dataclass(frozen=True)
class MaskingRule:
    """What masking needs to know of the tokenizer.

    Attributes:
        probability: share of ordinary tokens that are chosen, each by itself: a short sentence may have none.
        mask_id: id of the mask token.
        special: (vocabulary,) true for special tokens, the unknown token included: they are neither chosen nor put in.
    """

    probability: float
    mask_id: int
    special: NDArray[np.bool_]

    @classmethod
    def of(cls, tokenizer: Any, probability: float) -> MaskingRule:
        """Read the rule off a Hugging Face tokenizer.

        Raises:
            InputError: the tokenizer has no mask token.
        """
        if tokenizer.mask_token_id is None:
            raise InputError("the tokenizer has no mask token", "set train.mlm_weight=0, or take a masked-language model")
        special = np.zeros(len(tokenizer), dtype=bool)
        special[tokenizer.all_special_ids] = True
        return cls(probability, tokenizer.mask_token_id, special)


def mask_tokens(
    ids: NDArray[np.int64], there: NDArray[np.bool_], row_keys: Keys, rule: MaskingRule
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return a masked copy of `ids` and which tokens the model is to predict, both (N, T).

    Of the chosen tokens 80% become the mask token, 10% a random ordinary token, 10% stay. What a row draws depends on its
    key alone, neither on the other rows nor on the padding.

    Args:
        ids: (N, T) token ids.
        there: (N, T) true where there is a token.
        row_keys: (N,) one key a row, of `draws.keys`.
        rule: what may be masked, and how much of it.
    """
    draws = 3 * np.arange(ids.shape[1])[None, :]  # three numbers a token: whether, how, by what
    chosen = there & ~rule.special[ids] & (uniform(row_keys[:, None], draws) < rule.probability)
    row, column = np.nonzero(chosen)
    how = uniform(row_keys[row], 3 * column + 1)
    ordinary = np.flatnonzero(~rule.special)
    others = ordinary[bits(row_keys[row], 3 * column + 2) % np.uint64(len(ordinary))]
    masked = ids.copy()
    masked[row, column] = np.select([how < _TO_MASK, how < _TO_MASK + _TO_RANDOM], [rule.mask_id, others], ids[row, column])
    return masked, chosen
