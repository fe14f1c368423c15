from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlctl.errors import InputError
from mlctl.training.counter_rng import Stream, keys
from mlctl.training.masking import MaskingRule, mask_tokens

MASK, SPECIAL, TYPES = 4, [0, 1, 2, 3, 4], 1000
RULE = MaskingRule(0.15, MASK, np.isin(np.arange(TYPES), SPECIAL))


def sentences(rows: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random sentences in [CLS] … [SEP], padded."""
    rng = np.random.default_rng(seed)
    ids, there = np.zeros((rows, width), dtype=np.int64), np.zeros((rows, width), dtype=bool)
    for row, length in enumerate(rng.integers(3, width + 1, rows)):
        ids[row, :length] = [2, *rng.integers(5, TYPES, length - 2), 3]
        there[row, :length] = True
    return ids, there


def row_keys(rows: int, seed: int = 0, epoch: int = 0) -> np.ndarray:
    return keys(seed, Stream.SOURCE_MASK, epoch, np.arange(rows))


@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(3, 30), st.floats(0.01, 0.99))
def test_properties(seed: int, rows: int, width: int, probability: float) -> None:
    ids, there = sentences(rows, width, seed)
    before = ids.copy()
    rule = MaskingRule(probability, MASK, RULE.special)
    masked, chosen = mask_tokens(ids, there, row_keys(rows, seed), rule)
    assert np.array_equal(ids, before), "the input was edited"
    assert np.array_equal(masked[~chosen], ids[~chosen])
    assert not (chosen & ~there).any(), "padding was chosen"
    assert not chosen[np.isin(ids, SPECIAL)].any(), "a special token was chosen"
    assert not np.isin(masked[chosen], [0, 1, 2, 3]).any(), "a special token was put in"
    again = mask_tokens(ids, there, row_keys(rows, seed), rule)
    assert np.array_equal(again[0], masked)
    assert np.array_equal(again[1], chosen)


def test_shares() -> None:
    ids, there = sentences(4000, 40)
    masked, chosen = mask_tokens(ids, there, row_keys(4000), RULE)
    ordinary = there & ~RULE.special[ids]
    assert chosen.sum() / ordinary.sum() == pytest.approx(0.15, abs=0.005)
    count = chosen.sum()
    assert (masked[chosen] == MASK).sum() / count == pytest.approx(0.8, abs=0.02)
    assert (masked[chosen] == ids[chosen]).sum() / count == pytest.approx(0.1, abs=0.02)
    replaced = masked[chosen & (masked != MASK) & (masked != ids)]
    assert len(np.unique(replaced)) > 0.6 * TYPES, "replacements are not spread over the vocabulary"


def test_random_tokens_are_ordinary_ones() -> None:
    """Of a small vocabulary, where every type is drawn often."""
    special = np.isin(np.arange(8), SPECIAL)
    ids, there = np.full((500, 40), 5), np.ones((500, 40), dtype=bool)
    masked, selected = mask_tokens(ids, there, row_keys(500), MaskingRule(0.9, MASK, special))
    assert set(masked[selected].tolist()) == {MASK, 5, 6, 7}


def test_masks_change_from_epoch_to_epoch_and_row_to_row() -> None:
    ids, there = np.full((2, 200), 7), np.ones((2, 200), dtype=bool)
    (_, first), (_, second) = (mask_tokens(ids, there, row_keys(2, epoch=epoch), RULE) for epoch in (0, 1))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])


def test_padding_and_company_do_not_matter() -> None:
    ids, there = sentences(5, 20)
    masked, chosen = mask_tokens(ids, there, row_keys(5), RULE)
    wide = [np.pad(array, ((0, 0), (0, 9)))[[3]] for array in (ids, there)]
    alone = mask_tokens(wide[0], wide[1], row_keys(5)[[3]], RULE)
    assert np.array_equal(alone[0][0, :20], masked[3])
    assert np.array_equal(alone[1][0, :20], chosen[3])


def test_tokenizer_without_a_mask() -> None:
    with pytest.raises(InputError, match=r"no mask token\n.*train\.mlm_weight=0"):
        MaskingRule.from_tokenizer(SimpleNamespace(mask_token_id=None), 0.15)
