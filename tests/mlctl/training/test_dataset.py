import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mlctl.config import Train, resolve_train
from mlctl.errors import InputError
from mlctl.schema import SHARD
from mlctl.training.collator import Collator
from mlctl.training.dataset import Rows, ShardReader
from mlctl.training.false_negatives import FalseNegatives
from mlctl.training.sampler import Sampler, ShardSlice


def piece(shard: int, *rows: int) -> ShardSlice:
    return ShardSlice(shard, np.array(rows), np.zeros(len(rows), np.int64))


def test_rows_are_what_the_shards_say(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    shards = ShardReader(make_shards(tmp_path, [5, 0, 7]))
    assert shards.shard_rows == [5, 0, 7]
    assert shards.num_rows == 12
    rows = shards.read([piece(2, 6, 1), piece(0, 4)])
    assert rows.row_ids.tolist() == [11, 6, 4]
    tables = {number: pq.read_table(tmp_path / "train" / f"{number:05d}.parquet").to_pylist() for number in (0, 2)}
    expected = [tables[2][6], tables[2][1], tables[0][4]]
    for side, name in enumerate(("source", "target")):
        tokens = rows.token_ids[side]
        actual = [
            tokens.values[start : start + length].tolist() for start, length in zip(tokens.starts, tokens.lengths, strict=True)
        ]
        assert actual == [row[f"{name}_ids"] for row in expected]
        assert rows.identities[side].tolist() == [row[f"{name}_identity"] for row in expected]
    assert rows.word_pairs.values.tolist() == [list(word_pair.values()) for row in expected for word_pair in row["word_pairs"]]
    assert rows.word_pairs.lengths.tolist() == [len(row["word_pairs"]) for row in expected]


def test_all_rows_of_an_epoch_can_be_read(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    shards = ShardReader(make_shards(tmp_path, [9, 4, 6]))
    sampler = Sampler(shards.shard_rows, 5, 0)
    numbers = np.concatenate([shards.read(sampler.batch(step)).row_ids for step in range(sampler.batches)])
    assert len(np.unique(numbers)) == 15


def test_by_word_pair_an_epoch_has_each_word_pair_with_its_sentences_once(
    make_shards: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_shards(tmp_path, [9, 0, 6])
    shards, whole = ShardReader(folder, sample_unit="word-pair"), ShardReader(folder)
    every = whole.read([piece(0, *range(9)), piece(2, *range(6))])
    sampler = Sampler(shards.shard_samples, 4, 0)
    assert sampler.batches == every.word_pairs.lengths.sum() // 4
    samples = Rows.concatenate([shards.read(sampler.batch(step)) for step in range(sampler.batches)])
    assert len(np.unique(samples.row_ids)) == len(samples.row_ids), "what a sample draws is its own"
    assert samples.word_pairs.lengths.tolist() == [1] * len(samples.row_ids)

    def described(rows: Rows) -> list[tuple[list[int], ...]]:
        row_of = rows.word_pairs.row_indices()
        return [
            (rows.token_ids[0][row].tolist(), rows.token_ids[1][row].tolist(), word_pair, [side[row] for side in rows.identities])
            for row, word_pair in zip(row_of.tolist(), rows.word_pairs.values.tolist(), strict=True)
        ]

    visited, expected = described(samples), described(every)
    assert all(sample in expected for sample in visited)
    assert len(visited) == len({str(sample) for sample in visited}) > len(expected) - 4
    assert shards.num_rows == 15


def test_by_word_pair_a_batch_holds_a_sentence_with_different_words_as_negatives(
    make_shards: Callable[..., Path], tmp_path: Path
) -> None:
    shards = ShardReader(make_shards(tmp_path, [2]), sample_unit="word-pair")
    settings = resolve_train(Train(sample_unit="word-pair", objective="joint"), "masked-lm")
    assert settings.word_pairs == 1
    batch = Collator(settings, 0, 0, None).collate(shards.read([piece(0, 0, 1)]), 0)
    first, second = (spans.tolist() for spans in batch.word_pair_spans[0])
    assert batch.word_pair_rows.tolist() == [0, 1]
    assert first != second
    assert batch.identities[0][0] == batch.identities[0][1], "two words of one sentence"
    sentences = torch.ones(2, 4), torch.ones(2, 4)
    assert not FalseNegatives(settings).word_mask(sentences, batch)[0, 1], "they are each other's negatives"
    assert FalseNegatives(settings).sentence_mask(sentences, batch)[0, 1], "the sentence is not its own negative"


def test_by_word_pair_visits_of_languages_follow_their_word_pairs(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_shards(tmp_path, [30])
    file = folder / "train" / "00000.parquet"
    rows = pq.read_table(file).to_pylist()
    for row in rows[:6]:
        row["target_language"] = "cc"
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARD), file)
    shards = ShardReader(folder, sample_unit="word-pair")
    languages = shards.language_indices(0, "target", ["bb", "cc"])
    assert languages.tolist() == [int(row["target_language"] == "cc") for row in rows for _ in row["word_pairs"]]
    sampler = shards.language_sampler(0.5, 0)
    visits = np.bincount(languages[sampler.visits(0, 0)])
    counts = np.bincount(languages)
    assert visits[1] / visits[0] == pytest.approx((counts[1] / counts[0]) ** 0.5, rel=0.1)
    again = shards.read([ShardSlice(0, np.arange(len(languages)), np.ones(len(languages), np.int64))])
    assert again.row_ids.tolist() == list(range(len(languages), 2 * len(languages))), "a second visit draws anew"


def peak_of_an_epoch(folder: Path) -> int:
    """Bytes of numpy and Arrow at most while all rows are read."""
    shards, most = ShardReader(folder), 0
    sampler = Sampler(shards.shard_rows, 50, 0)
    tracemalloc.start()
    for step in range(sampler.batches):
        shards.read(sampler.batch(step))
        most = max(most, tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes())
    tracemalloc.stop()
    return most


def test_memory_does_not_grow_with_the_number_of_shards(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    few, many = make_shards(tmp_path / "few", [400] * 4), tmp_path / "many"
    (many / "train").mkdir(parents=True)
    for number in range(60):
        os.link(few / "train" / f"{number % 4:05d}.parquet", many / "train" / f"{number:05d}.parquet")
    peak_of_an_epoch(few)  # what is loaded or made once
    before = pa.total_allocated_bytes()
    assert peak_of_an_epoch(many) - before < 1.5 * (peak_of_an_epoch(few) - before)


def test_no_shards(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no training shards in .*train\n"):
        ShardReader(tmp_path)


def test_damaged_shard_is_named(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    file = make_shards(tmp_path, [5]) / "train" / "00000.parquet"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"00000\.parquet is damaged"):
        ShardReader(tmp_path)
    file.write_bytes(content[:4] + bytes(len(content) // 2) + content[4 + len(content) // 2 :])
    with pytest.raises(InputError, match=r"00000\.parquet is damaged"):
        ShardReader(tmp_path).read([piece(0, *range(5))])


@pytest.mark.parametrize("span", [(2, 2), (-1, 1), (4, 99)])
def test_word_outside_of_its_sentence(make_shards: Callable[..., Path], tmp_path: Path, span: tuple[int, int]) -> None:
    file = make_shards(tmp_path, [5]) / "train" / "00000.parquet"
    rows = pq.read_table(file).to_pylist()
    rows[3]["word_pairs"][0].update(target_start=span[0], target_end=span[1])
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARD), file)
    with pytest.raises(InputError, match=r"00000\.parquet is damaged: a word lies outside of its sentence"):
        ShardReader(tmp_path).read([piece(0, *range(5))])
