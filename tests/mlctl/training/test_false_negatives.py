"""Which samples are left out as negatives, against loops over pairs of samples."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlctl.config import Train, resolve_train
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import Rows, ShardReader
from mlctl.training.false_negatives import FalseNegatives, similar_pairs
from mlctl.training.losses import same_content
from mlctl.training.sampler import ShardSlice

PAIRS = 14


def sides(pairs: int, seed: int = 0, size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = torch.randn(2, pairs, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).unbind(0)
    return x, y


@given(pairs=st.integers(1, 8), seed=st.integers(0, 500), least=st.floats(0.05, 0.99))
def test_near_is_what_a_loop_over_cosines_says(pairs: int, seed: int, least: float) -> None:
    both = sides(pairs, seed)
    result = similar_pairs(both, least)
    for i, j in itertools.product(range(pairs), repeat=2):
        vectors = [(one[i].numpy(), other[j].numpy()) for one in both for other in both]
        cosines = [float(a @ b / np.sqrt((a @ a) * (b @ b))) for a, b in vectors]
        assert result[i, j].item() == any(cosine > least for cosine in cosines)


def test_no_gradient_goes_through_the_choice() -> None:
    x, y = (side.requires_grad_() for side in sides(3))
    assert not similar_pairs((x, y), 0.5).requires_grad


@pytest.fixture(scope="module")
def rows(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """Pairs over 40 words of each language: most words stand in several sentences. The last pair has the first's source side."""
    folder = make_shards(tmp_path_factory.mktemp("shards"), [PAIRS])
    result = ShardReader(folder).read([ShardSlice(0, np.arange(PAIRS), np.zeros(PAIRS, np.int64))])
    result.identities[0][-1] = result.identities[0][0]
    return result


def batch_of(rows: Rows) -> Batch:
    return Collator(resolve_train(Train(word_pairs=4), "scratch"), 0, 0, None).collate(rows, 0)


def words_of(rows: Rows, batch: Batch, word_pair: int) -> list[tuple[int, ...]]:
    """The subwords of a word pair's word on each side."""
    row, result = int(batch.word_pair_rows[word_pair]), []
    for side in range(2):
        start, end = batch.word_pair_spans[side][word_pair].tolist()
        begin = int(rows.token_ids[side].starts[row])
        result.append(tuple(rows.token_ids[side].values[begin + start : begin + end].tolist()))
    return result


def pair(batch: Batch, i: int) -> int:
    return int(batch.word_pair_rows[i])


def one_sentence(batch: Batch, i: int, j: int) -> bool:
    return any(side[pair(batch, i)] == side[pair(batch, j)] for side in batch.identities)


def test_words_have_equal_numbers_where_their_subwords_are_equal(rows: Rows) -> None:
    batch = batch_of(rows)
    words = [words_of(rows, batch, word_pair) for word_pair in range(len(batch.word_pair_rows))]
    numbers = torch.stack(batch.word_hashes, 1).tolist()
    for i, j in itertools.combinations(range(len(words)), 2):
        assert [a == b for a, b in zip(numbers[i], numbers[j], strict=True)] == [
            a == b for a, b in zip(words[i], words[j], strict=True)
        ]


def test_words_of_several_subwords_are_told_apart(rows: Rows) -> None:
    from mlctl.training.collator import _word_hashes

    spans = np.array([[1, 2], [1, 3], [2, 3], [1, 4], [1, 3]])
    forms = _word_hashes(rows.token_ids[0], np.zeros(5, np.int64), spans)
    assert len(set(forms.tolist())) == 4
    assert forms[1] == forms[4]


def left_out(rows: Rows, sentences: tuple[torch.Tensor, torch.Tensor], **settings: Any) -> tuple[Batch, torch.Tensor]:
    batch = batch_of(rows)
    return batch, FalseNegatives(Train.model_validate(settings)).word_mask(sentences, batch)


def test_by_default_different_words_are_negatives_whatever_sentence_they_are_of(rows: Rows) -> None:
    batch, same = left_out(rows, sides(PAIRS))
    identities = tuple(side[batch.word_pair_rows] for side in batch.identities)
    assert torch.equal(same, same_content((identities[0], identities[1]), batch.word_pair_spans))
    inside = batch.word_pair_rows.unsqueeze(1) == batch.word_pair_rows
    assert torch.equal(same & inside, torch.eye(len(same), dtype=torch.bool)), "word pairs of one pair are hard negatives"


def test_without_hard_negatives_those_of_equal_sentences_are_left_out(rows: Rows) -> None:
    _, usual = left_out(rows, sides(PAIRS))
    batch, same = left_out(rows, sides(PAIRS), hard_word_negatives=False)
    for i, j in itertools.product(range(len(same)), repeat=2):
        assert same[i, j].item() == (usual[i, j].item() or one_sentence(batch, i, j))
    assert (same & ~usual).any()


def test_the_same_word_elsewhere_can_be_left_out(rows: Rows) -> None:
    _, usual = left_out(rows, sides(PAIRS))
    batch, same = left_out(rows, sides(PAIRS), same_word_negatives=False)
    for i, j in itertools.product(range(len(same)), repeat=2):
        shared = bool(set(words_of(rows, batch, i)) & set(words_of(rows, batch, j)))
        assert same[i, j].item() == (usual[i, j].item() or shared)
    assert (same & ~usual).any()


def test_near_sentences_take_their_words_along_but_for_equal_ones(rows: Rows) -> None:
    sentences = sides(PAIRS)
    _, usual = left_out(rows, sentences)
    batch, same = left_out(rows, sentences, false_negative_similarity=0.9)
    close = similar_pairs(sentences, 0.9)
    for i, j in itertools.product(range(len(same)), repeat=2):
        taken = close[pair(batch, i), pair(batch, j)].item() and not one_sentence(batch, i, j)
        assert same[i, j].item() == (usual[i, j].item() or taken)
    assert (same & ~usual).any()
    whole = FalseNegatives(Train(false_negative_similarity=0.9)).sentence_mask(sentences, batch)
    assert torch.equal(whole, same_content(batch.identities) | close)
