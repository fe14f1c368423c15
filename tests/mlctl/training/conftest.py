"""Tiny shards for training: sentences over a toy vocabulary and their word-by-word translations."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mlctl.config import Model, ScratchModel
from mlctl.schema import SHARD


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Spare tiny tensors the cost of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = 40  # of each language


@pytest.fixture(scope="session")
def toy_model() -> Model:
    """An encoder so small that a step takes milliseconds, with dropout."""
    return Model(scratch=ScratchModel(layers=2, hidden=32, heads=2, feed_forward=32, dropout=0.1))


@pytest.fixture(scope="session")
def make_shards() -> Callable[..., Path]:
    """Return a function that writes a tokenizer and shards of so many rows each."""
    return write_shards


def write_shards(folder: Path, shard_rows: list[int], seed: int = 0, dev_rows: int = 0) -> Path:
    """Write `tokenizer/` and `train/*.parquet`; the translation of word w is word w + WORDS, two of a sentence change places.

    With `dev_rows`, so many dev pairs of two languages are written, too.
    """
    rng = np.random.default_rng(seed)
    write_tokenizer(folder / "tokenizer")
    (folder / "train").mkdir()
    for number, rows in enumerate(shard_rows):
        table = pa.Table.from_pylist([row(rng) for _ in range(rows)], schema=SHARD)
        pq.write_table(table, folder / "train" / f"{number:05d}.parquet")
    for language in ("bb", "cc") if dev_rows else ():
        (folder / "dev").mkdir(exist_ok=True)
        rows = [{**row(rng), "target_language": language} for _ in range(dev_rows)]
        pq.write_table(pa.Table.from_pylist(rows, schema=SHARD), folder / "dev" / f"{language}.parquet")
    return folder


def write_tokenizer(folder: Path) -> None:
    vocabulary = SPECIAL + [f"a{number}" for number in range(WORDS)] + [f"b{number}" for number in range(WORDS)]
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=24, **names).save_pretrained(folder)


def row(rng: np.random.Generator) -> dict[str, Any]:
    words = rng.choice(WORDS, rng.integers(3, 9), replace=False)
    order = np.arange(len(words))
    order[:2] = order[1::-1]
    word_pairs = [
        {"source_start": index + 1, "source_end": index + 2, "target_start": at + 1, "target_end": at + 2}
        for at, index in enumerate(order.tolist())
    ]
    source, target = [2, *(words + 5), 3], [2, *(words[order] + 5 + WORDS), 3]
    return {
        "source_language": "aa",
        "target_language": "bb",
        "source_ids": source,
        "target_ids": target,
        "word_pairs": word_pairs,
        "source_identity": hash(tuple(source)),
        "target_identity": hash(tuple(target)),
        "source": "",
        "target": "",
        "corpus": "toy",
        "licence": "CC0-1.0",
        "synthetic": "",
    }
