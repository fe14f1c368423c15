from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from mlctl.config import Train, resolve_train
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import Rows, ShardReader
from mlctl.training.distributed import ProcessGroup
from mlctl.training.masking import MaskingRule
from mlctl.training.ragged_array import RaggedArray
from mlctl.training.sampler import ShardSlice

Tokens = list[list[int]]


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_shards(tmp_path_factory.mktemp("shards"), [30])


@pytest.fixture(scope="module")
def rows(shards: Path) -> Rows:
    return ShardReader(shards).read([ShardSlice(0, np.arange(20)[::-1].copy(), np.zeros(20, np.int64))])


def batch_of(shards: Path, rows: Rows, epoch: int = 0, **settings: Any) -> Batch:
    rule = MaskingRule.from_tokenizer(AutoTokenizer.from_pretrained(shards / "tokenizer"), 0.3)
    return Collator(resolve_train(Train.model_validate({"micro_batch_tokens": 60, **settings}), "scratch"), 0, 0, rule).collate(
        rows, epoch
    )


def restored(batch: Batch, name: str) -> Tokens:
    """The sequences in the order of the rows, sources then targets."""
    sequences = [
        ids.tolist()
        for micro_batch in batch.micro_batches
        for ids in getattr(micro_batch, name).split(micro_batch.packing.mask.sum(1).tolist())
    ]
    return [sequences[index] for index in batch.sequence_positions]


def original(rows: Rows) -> Tokens:
    return [side.values[a : a + n].tolist() for side in rows.token_ids for a, n in zip(side.starts, side.lengths, strict=True)]


def test_chunks_hold_every_sequence_once_by_length(shards: Path, rows: Rows) -> None:
    batch = batch_of(shards, rows)
    assert restored(batch, "input_ids") == original(rows)
    lengths = [micro_batch.packing.mask.sum(1).tolist() for micro_batch in batch.micro_batches]
    flat = [length for part in lengths for length in part]
    assert flat == sorted(flat)
    for part, following in pairwise(lengths):
        assert sum(part) <= 60 < sum(part) + following[0], "as many as fit"
    assert sum(lengths[-1]) <= 60
    assert (batch.pairs, batch.tokens) == (20, sum(map(len, original(rows))))


def test_a_sequence_with_more_tokens_than_a_micro_batch_is_alone_in_it(shards: Path, rows: Rows) -> None:
    batch = batch_of(shards, rows, micro_batch_tokens=1)
    assert len(batch.micro_batches) == 40
    assert restored(batch, "input_ids") == original(rows)


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("tokens", [1, 25, 60, 10_000])
def test_processes_that_share_weights_have_equally_many_micro_batches(rows: Rows, size: int, tokens: int) -> None:
    settings = resolve_train(Train.model_validate({"micro_batch_tokens": tokens, "fsdp": True, "mlm_weight": 0}), "scratch")
    batches = [Collator(settings, 0, 0, None, ProcessGroup(rank, size)).collate(rows, 0) for rank in range(size)]
    (count,) = {len(batch.micro_batches) for batch in batches}
    assert count == 1 if tokens == 10_000 else count > 1
    sequences = [
        ids.tolist()
        for batch in batches
        for micro_batch in batch.micro_batches
        for ids in micro_batch.input_ids.split(micro_batch.packing.mask.sum(1).tolist())
    ]
    assert sorted(sequences) == sorted(original(rows))


def test_spans_lead_to_the_words_of_the_word_pairs(shards: Path, rows: Rows) -> None:
    batch = batch_of(shards, rows, word_pairs=3)
    words = [
        word.tolist()
        for micro_batch in batch.micro_batches
        for word in micro_batch.input_ids[micro_batch.words.tokens].split(micro_batch.words.lengths.tolist())
    ]
    words = [words[index] for index in batch.word_positions]
    half = len(batch.word_pair_rows)
    assert half == 3 * 20
    sentences = original(rows)
    for number, row in enumerate(batch.word_pair_rows.tolist()):
        for side in range(2):
            start, end = batch.word_pair_spans[side][number].tolist()
            assert words[number + side * half] == sentences[row + 20 * side][start:end]
        # Toy translations: word w is word w + 40.
        assert words[number + half] == [word + 40 for word in words[number]]


def test_masked_tokens_and_their_labels(shards: Path, rows: Rows) -> None:
    batch = batch_of(shards, rows)
    changed = 0
    for micro_batch in batch.micro_batches:
        flat, masked = micro_batch.input_ids, micro_batch.masked_ids
        assert torch.equal(micro_batch.labels, flat[micro_batch.masked_positions])
        different = (flat != masked).nonzero().flatten().tolist()
        assert set(different) <= set(micro_batch.masked_positions.tolist())
        changed += len(different)
    assert changed > 20


def test_word_pairs_and_masks_are_drawn_anew_in_each_epoch(shards: Path, rows: Rows) -> None:
    first, again, second = (batch_of(shards, rows, epoch) for epoch in (0, 0, 1))
    assert restored(first, "masked_ids") == restored(again, "masked_ids") != restored(second, "masked_ids")
    assert torch.equal(first.word_pair_spans[0], again.word_pair_spans[0])
    assert not torch.equal(first.word_pair_spans[0], second.word_pair_spans[0])


def test_the_two_sides_of_a_row_are_masked_independently(shards: Path, rows: Rows) -> None:
    batch = batch_of(shards, rows)
    tokens, masked = restored(batch, "input_ids"), restored(batch, "masked_ids")
    changed = [[a != b for a, b in zip(*sequences, strict=True)] for sequences in zip(tokens, masked, strict=True)]
    sides = [(changed[row], changed[row + 20]) for row in range(20) if len(changed[row]) == len(changed[row + 20]) > 5]
    assert len(sides) > 5
    assert sum(source == target for source, target in sides) < len(sides) / 2


def test_words_are_hashed_at_the_spans_of_their_side() -> None:
    source, target = (
        RaggedArray(np.array(ids), np.array([0]), np.array([len(ids)])) for ids in ([2, 7, 8, 9, 3], [2, 9, 7, 8, 3])
    )
    word_pairs = RaggedArray(np.array([[1, 3, 2, 4], [3, 4, 1, 2]], np.int32), np.array([0]), np.array([2]))
    rows = Rows(np.array([0]), (source, target), word_pairs, (np.array([1]), np.array([2])))
    batch = Collator(resolve_train(Train(word_pairs=2), "scratch"), 0, 0, None).collate(rows, 0)
    assert torch.equal(*batch.word_hashes), "7 8 is 7 8, and 9 is 9"
    assert batch.word_hashes[0][0] != batch.word_hashes[0][1]


def test_what_a_row_draws_depends_on_no_other_row(shards: Path, rows: Rows) -> None:
    alone = batch_of(shards, rows.take(np.array([7])))
    together = batch_of(shards, rows)
    assert restored(alone, "masked_ids") == [restored(together, "masked_ids")[index] for index in (7, 27)]
    assert torch.equal(alone.word_pair_spans[0], together.word_pair_spans[0][together.word_pair_rows == 7])


def test_nothing_masked_and_no_words_where_they_are_not_used(shards: Path, rows: Rows) -> None:
    batch = Collator(resolve_train(Train(objective="sentence"), "scratch"), 0, 0, None).collate(rows, 0)
    assert all(micro_batch.masked_ids is micro_batch.input_ids for micro_batch in batch.micro_batches)
    assert sum(len(micro_batch.masked_positions) for micro_batch in batch.micro_batches) == 0
    assert len(batch.word_pair_rows) == 0
    assert batch.to(torch.device("cpu")) is batch


def test_moving_keeps_the_shape(shards: Path, rows: Rows) -> None:
    moved = batch_of(shards, rows).to(torch.device("meta"))
    assert {micro_batch.input_ids.device.type for micro_batch in moved.micro_batches} == {"meta"}
    assert {micro_batch.packing.slots.device.type for micro_batch in moved.micro_batches} == {"meta"}
    assert {micro_batch.words.tokens.device.type for micro_batch in moved.micro_batches} == {"meta"}
    assert moved.identities[1].device.type == moved.word_pair_spans[0].device.type == "meta"
    assert moved.pairs == 20
