"""The shards in other training loops: the same rows, word pairs and masks as in mlctl's, in any number of workers and processes."""

import itertools
import multiprocessing
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate.data_loader import IterableDatasetShard
from torch.utils.data import DataLoader, DistributedSampler
from transformers import AutoTokenizer, BertConfig, BertModel, PreTrainedTokenizerBase

from mlctl.config import Train, resolve_train
from mlctl.config.train import SampleUnit
from mlctl.errors import InputError
from mlctl.schema import SHARD
from mlctl.training import ParallelCollator, ParallelDataset, ParallelIterableDataset
from mlctl.training.collator import Batch, Collator
from mlctl.training.dataset import ShardReader
from mlctl.training.masking import MaskingRule
from mlctl.training.sampler import Sampler

BATCH, SEED = 8, 5
DOCS = Path(__file__).parents[3] / "docs" / "shard.md"


@pytest.fixture(scope="module")
def shards(make_shards: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty rows of two target languages."""
    folder = make_shards(tmp_path_factory.mktemp("shards"), [20, 13, 17])
    file = folder / "train" / "00001.parquet"
    rows = pq.read_table(file).to_pylist()
    for row in rows[:6]:
        row["target_language"] = "cc"
    pq.write_table(pa.Table.from_pylist(rows, schema=SHARD), file)
    return folder


@pytest.fixture(scope="module")
def tokenizer(shards: Path) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(shards / "tokenizer")
    return tokenizer


def step_ids(shards: Path, steps: range, alpha: float = 1.0, unit: SampleUnit = "sentence-pair") -> list[list[int]]:
    """The row ids of some steps of mlctl's own training."""
    reader = ShardReader(shards, sample_unit=unit)
    sampler = Sampler(reader.shard_samples, BATCH, SEED, reader.language_sampler(alpha, SEED) if alpha < 1 else None)
    return [reader.read(sampler.batch(step)).row_ids.tolist() for step in steps]


# Not forked from this process: where a Prefect flow has run, its exit hooks end a forked child with status 1.
WORKER_CONTEXT = multiprocessing.get_context("forkserver")
WORKER_CONTEXT.set_forkserver_preload(["mlctl.training.torch_dataset"])


def loaded_ids(dataset: Any, collator: ParallelCollator, batch_size: int = BATCH, workers: int = 0) -> list[list[int]]:
    context = WORKER_CONTEXT if workers else None
    loader = DataLoader(dataset, batch_size=batch_size, collate_fn=collator, num_workers=workers, multiprocessing_context=context)
    return [batch["pair_ids"].tolist() for batch in loader]


@pytest.mark.parametrize(
    ("workers", "alpha", "unit"),
    [*itertools.product((0, 2), (1.0, 0.3), ("sentence-pair",)), (0, 0.3, "word-pair")],
)
def test_batches_are_the_steps_of_training(
    shards: Path, tokenizer: PreTrainedTokenizerBase, workers: int, alpha: float, unit: SampleUnit
) -> None:
    dataset = ParallelIterableDataset(shards, BATCH, SEED, steps=15, language_alpha=alpha, sample_unit=unit)
    collator = ParallelCollator(tokenizer, seed=SEED)
    assert loaded_ids(dataset, collator, workers=workers) == step_ids(shards, range(15), alpha, unit)
    dataset.load_state_dict({"step": 9})
    assert loaded_ids(dataset, collator, workers=workers) == step_ids(shards, range(9, 15), alpha, unit)


@pytest.mark.parametrize("workers", [0, 2])
def test_processes_share_each_step(shards: Path, tokenizer: PreTrainedTokenizerBase, workers: int) -> None:
    shares = [
        loaded_ids(
            ParallelIterableDataset(shards, BATCH, SEED, steps=7, rank=rank, world_size=2),
            ParallelCollator(tokenizer),
            4,
            workers,
        )
        for rank in range(2)
    ]
    joined = [[pair for pairs in zip(*step, strict=True) for pair in pairs] for step in zip(*shares, strict=True)]
    assert joined == step_ids(shards, range(7))
    with pytest.raises(InputError, match="3 processes cannot share equally"):
        ParallelIterableDataset(shards, BATCH, world_size=3)


@pytest.mark.parametrize("workers", [0, 2])
def test_accelerate_splits_each_step(shards: Path, tokenizer: PreTrainedTokenizerBase, workers: int) -> None:
    dataset, collator = ParallelIterableDataset(shards, BATCH, SEED, steps=7), ParallelCollator(tokenizer)
    halves = [
        loaded_ids(IterableDatasetShard(dataset, 4, num_processes=2, process_index=process), collator, 4, workers)
        for process in range(2)
    ]
    assert [first + second for first, second in zip(*halves, strict=True)] == step_ids(shards, range(7))


@pytest.mark.parametrize("examples", [0, 3, 8, 13])
def test_resumed_at_any_example(shards: Path, examples: int) -> None:
    dataset = ParallelIterableDataset(shards, BATCH, SEED, steps=4)
    expected = [example.pair_id for example in dataset]
    iterator = iter(dataset)
    first = [next(iterator).pair_id for _ in range(examples)]
    resumed = ParallelIterableDataset(shards, BATCH, SEED, steps=4)
    resumed.load_state_dict(dataset.state_dict() if examples else {"step": 0})
    assert first + [example.pair_id for example in resumed] == expected


def test_workers_are_resumed_by_their_own_states(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `StatefulDataLoader` does it: after five batches of two workers, each continues where it was."""
    datasets = [ParallelIterableDataset(shards, BATCH, SEED, steps=12) for _ in range(2)]
    batches = []
    for worker, (dataset, done) in enumerate(zip(datasets, (3, 2), strict=True)):
        monkeypatch.setattr(
            "mlctl.training.torch_dataset.get_worker_info", lambda worker=worker: type("W", (), {"id": worker, "num_workers": 2})
        )
        iterator = iter(dataset)
        for _ in range(done * BATCH):
            next(iterator)
        resumed = ParallelIterableDataset(shards, BATCH, SEED, steps=12)
        resumed.load_state_dict(dataset.state_dict())
        rest = [example.pair_id for example in resumed]
        batches.append([rest[first : first + BATCH] for first in range(0, len(rest), BATCH)])
    # The loader takes the sixth batch from the second worker.
    in_turn = [batch for pair in zip(batches[1], batches[0], strict=False) for batch in pair] + batches[1][len(batches[0]) :]
    assert in_turn == step_ids(shards, range(5, 12))


def training_batch(shards: Path, tokenizer: PreTrainedTokenizerBase, step: int) -> Batch:
    reader, settings = ShardReader(shards), resolve_train(Train(word_pairs=3), "scratch")
    sampler = Sampler(reader.shard_rows, BATCH, SEED)
    masking = MaskingRule.from_tokenizer(tokenizer, 0.3)
    collator = Collator(settings, SEED, tokenizer.pad_token_id, masking)
    return collator.collate(reader.read(sampler.batch(step)), sampler.position(step)[0], step)


def sequences(batch: Batch, name: str) -> list[list[int]]:
    """The sequences of a training batch in the order of the rows, sources then targets."""
    in_order = [
        ids.tolist()
        for micro_batch in batch.micro_batches
        for ids in getattr(micro_batch, name).split(micro_batch.packing.mask.sum(1).tolist())
    ]
    return [in_order[position] for position in batch.sequence_positions]


@pytest.mark.parametrize("step", [0, 8])
def test_word_pairs_and_masks_are_those_of_training(shards: Path, tokenizer: PreTrainedTokenizerBase, step: int) -> None:
    expected = training_batch(shards, tokenizer, step)
    dataset = ParallelIterableDataset(shards, BATCH, SEED, steps=step + 1)
    dataset.load_state_dict({"step": step})
    batch = ParallelCollator(tokenizer, word_pairs=3, mlm_probability=0.3, seed=SEED)(list(dataset))
    assert {len(tensor) for tensor in batch.values()} == {BATCH}
    mask = batch["attention_mask"].bool()
    for name, expected_name in (("input_ids", "input_ids"), ("masked_input_ids", "masked_ids")):
        result = [batch[name][:, side][row][mask[:, side][row]].tolist() for side in range(2) for row in range(BATCH)]
        assert result == sequences(expected, expected_name)
    spans = batch["word_spans"][batch["word_pair_mask"]]
    assert torch.equal(batch["word_pair_mask"].nonzero()[:, 0], expected.word_pair_rows)
    assert torch.equal(spans, torch.stack(expected.word_pair_spans, dim=1))
    changed = batch["labels"] != -100
    assert torch.equal(batch["labels"][changed], batch["input_ids"][changed])
    assert not (changed & ~mask).any()
    assert (batch["masked_input_ids"] != batch["input_ids"])[~changed].sum() == 0
    assert torch.equal(batch["text_ids"], torch.stack(expected.identities, dim=1))


def test_weights_are_those_of_training(shards: Path, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    shutil.copytree(shards, tmp_path / "scored")
    for file in (tmp_path / "scored" / "train").iterdir():
        rows = pq.read_table(file).to_pylist()
        for row in rows:
            row["scores"] = [("quality", float(len(row["source_ids"])))]
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARD), file)
    reader = ShardReader(tmp_path / "scored", weight_by="quality")
    expected = reader.read(Sampler(reader.shard_samples, BATCH, SEED).batch(0)).weights
    assert expected is not None
    assert len(set(expected.tolist())) > 2
    steps = ParallelIterableDataset(tmp_path / "scored", BATCH, SEED, steps=1, weight_by="quality")
    batch = ParallelCollator(tokenizer)(list(pickle.loads(pickle.dumps(steps))))  # noqa: S301
    assert batch["weights"].tolist() == pytest.approx(expected.tolist())
    by_row = ParallelDataset(tmp_path / "scored", weight_by="quality")
    assert [by_row[pair].weight for pair in batch["pair_ids"].tolist()] == expected.tolist()
    assert "weights" not in ParallelCollator(tokenizer)([ParallelDataset(tmp_path / "scored")[0]])


def test_map_style_rows_are_those_of_the_files(shards: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    dataset = ParallelDataset(shards)
    rows = [row for file in sorted((shards / "train").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    assert len(dataset) == len(rows) == 50
    assert dataset.languages == ["aa", "bb", "cc"]
    for index in (0, 19, 20, 33, 49, -1):
        example, row = dataset[index], rows[index]
        assert [ids.tolist() for ids in example.input_ids] == [row["source_ids"], row["target_ids"]]
        assert example.word_pairs.tolist() == [list(word_pair.values()) for word_pair in row["word_pairs"]]
        assert example.text_ids == (row["source_identity"], row["target_identity"])
        assert [dataset.languages[language] for language in example.languages] == [row["source_language"], row["target_language"]]
    for index in (50, -51):
        with pytest.raises(IndexError):
            dataset[index]
    collator = ParallelCollator(tokenizer)
    shuffled = loaded_ids(DistributedSamples(dataset), collator, workers=2)
    assert sorted(pair for batch in shuffled for pair in batch) == list(range(50))


class DistributedSamples(ParallelDataset):
    """A dataset read in the order of two processes' samplers."""

    def __init__(self, dataset: ParallelDataset) -> None:
        self.dataset = dataset
        self.order = [
            index for rank in range(2) for index in DistributedSampler(dataset, num_replicas=2, rank=rank, shuffle=True, seed=1)
        ]

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.order[index]]


def test_epochs_draw_other_word_pairs(shards: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    dataset, collator, spans = ParallelDataset(shards), ParallelCollator(tokenizer, word_pairs=2), []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        spans.append(collator([dataset[index] for index in range(20)])["word_spans"])
    assert torch.equal(spans[0], spans[2])
    assert not torch.equal(spans[0], spans[1])


def test_datasets_pickle_for_spawned_workers(shards: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    def copied(value: Any) -> Any:
        return pickle.loads(pickle.dumps(value))  # noqa: S301 - pickled a moment ago

    dataset = ParallelIterableDataset(shards, BATCH, SEED, steps=3)
    assert [example.pair_id for example in copied(dataset)] == [example.pair_id for example in dataset]
    copy = copied(ParallelDataset(shards))
    assert np.array_equal(copy[30].word_pairs, ParallelDataset(shards)[30].word_pairs)
    copied(ParallelCollator(tokenizer, mlm_probability=0.1))


@pytest.fixture(scope="module")
def encoder(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    return folder


def doc_examples() -> list[str]:
    """The plain loop, the Trainer, and their imports."""
    section = DOCS.read_text(encoding="utf-8").partition("## Use the shards in your own training loop")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.mark.parametrize("example", ["plain", "trainer", "trainer with the iterable"])
def test_the_examples_of_the_documentation_run(shards: Path, encoder: Path, tmp_path: Path, example: str) -> None:
    plain, trainer, imports = doc_examples()
    code = imports + (plain if example == "plain" else trainer)
    if "iterable" in example:
        code = code.replace('ParallelDataset("store/shard/KEY")', 'ParallelIterableDataset("store/shard/KEY", 64)')
    for name, value in {
        "store/shard/KEY": str(shards),
        "bert-base-multilingual-cased": str(encoder),
        "64": "8",
        "1000": "4",
        '"output"': repr(str(tmp_path)) + ', report_to="none", save_strategy="no", use_cpu=True, disable_tqdm=True',
    }.items():
        code = code.replace(name, value)
    before = BertModel.from_pretrained(encoder).embeddings.word_embeddings.weight
    code += f"\nencoder.save_pretrained({str(tmp_path / 'after')!r})\n"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    after = BertModel.from_pretrained(tmp_path / "after").embeddings.word_embeddings.weight
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)
