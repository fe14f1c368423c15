"""A sharded corpus of numbered words and small encoders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

from mlctl import schema
from mlctl.config import Evaluate
from mlctl.evaluation.data.heldout import Heldout, Side
from mlctl.evaluation.model_under_test import ModelUnderTest
from mlctl.evaluation.score_cache import ScoreCache
from mlctl.modeling.sentence_config import Pooling, SentenceConfig

VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    ".",
    *(f"w{chr(97 + i)}{chr(97 + j)}" for i in range(8) for j in range(8)),
]
torch.set_num_threads(1)  # models this small are slower on more

CLS, SEP, FULL_STOP, FIRST = 2, 3, 5, 6


def row(target_language: str, number: int, source: Sequence[int], target: Sequence[int]) -> dict[str, Any]:
    """A held-out row of word ids (counted from 0); word i is linked to word i."""
    word_pairs = [
        {"source_start": i + 1, "source_end": i + 2, "target_start": i + 1, "target_end": i + 2}
        for i in range(min(len(source), len(target)))
    ]
    return {
        "source_language": "en",
        "target_language": target_language,
        "source_ids": [CLS, *(FIRST + word for word in source), FULL_STOP, SEP],
        "target_ids": [CLS, *(FIRST + word for word in target), FULL_STOP, SEP],
        "word_pairs": word_pairs,
        "source_identity": hash(tuple(source)),
        "target_identity": hash(tuple(target)),
        "source": f"source {number}",
        "target": f"{target_language} {number}",
        "corpus": "toy",
        "licence": "CC0-1.0",
        "synthetic": "",
    }


def save_encoder(folder: Path, seed: int, constant: bool = False) -> None:
    """Write a BERT of two layers; `constant` gives every token of every sentence the same state."""
    torch.manual_seed(seed)
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
        )
    )
    if constant:
        for table in (model.bert.embeddings.word_embeddings, model.bert.embeddings.position_embeddings):
            torch.nn.init.ones_(table.weight)
            table.weight.data *= torch.arange(16)
    model.save_pretrained(folder)


@pytest.fixture
def write_sharded(tmp_path: Path) -> Callable[[dict[str, list[dict[str, Any]]]], Path]:
    """Write the shard stage's result for held-out rows by language."""

    def write(rows: dict[str, list[dict[str, Any]]]) -> Path:
        folder = tmp_path / "sharded"
        (folder / "heldout").mkdir(parents=True)
        for language, language_rows in rows.items():
            pq.write_table(pa.Table.from_pylist(language_rows, schema=schema.SHARD), folder / "heldout" / f"{language}.parquet")
        vocabulary = tmp_path / "vocab.txt"
        vocabulary.write_text("\n".join(VOCABULARY))
        BertTokenizer(vocab={word: number for number, word in enumerate(VOCABULARY)}).save_pretrained(folder / "tokenizer")
        return folder

    return write


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    """Write the train stage's result: a constant base model and one with random weights."""
    save_encoder(tmp_path / "trained" / "base", seed=0, constant=True)
    save_encoder(tmp_path / "trained" / "model", seed=1)
    return tmp_path / "trained"


@pytest.fixture
def copied_rows() -> Callable[[str], list[dict[str, Any]]]:
    """Make ten pairs whose target side is the source side: any model with distinct embeddings retrieves every translation."""

    def make(language: str) -> list[dict[str, Any]]:
        sentences = [[(7 * number + 3 * position) % 64 for position in range(3 + number % 5)] for number in range(10)]
        return [row(language, number, words, words) for number, words in enumerate(sentences)]

    return make


def words(*numbers: int) -> str:
    """A sentence of numbered words."""
    return " ".join(VOCABULARY[FIRST + number % 64] for number in numbers) + " ."


def sentences(count: int, shift: int = 0) -> list[str]:
    """Different sentences of three to seven words."""
    return [words(*((7 * n + 3 * position + n // 64 + shift) for position in range(3 + n % 5))) for n in range(count)]


def save_tokenizer(folder: Path) -> None:
    BertTokenizer(vocab={word: number for number, word in enumerate(VOCABULARY)}).save_pretrained(folder)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[[Evaluate], ModelUnderTest]:
    """Make a model under test: random weights, and for `pooling: search` thirty dev pairs whose sides are equal."""
    folder = tmp_path / "encoder"
    save_encoder(folder, seed=1)
    save_tokenizer(folder)
    texts = sentences(30)
    side = Side([[CLS, SEP]] * 30, range(30), texts)

    def make(settings: Evaluate) -> ModelUnderTest:
        return ModelUnderTest(
            "base",
            folder,
            folder,
            settings,
            ScoreCache(tmp_path / "parts"),
            Heldout("fr", side, side, ()),
            SentenceConfig(Pooling((1, 2)), settings.prefix or ""),
            settings.pooling,
        )

    return make


def entry(name: str, folder: Path, **more: Any) -> dict[str, Any]:
    """An entry of evaluate.benchmarks."""
    return {"name": name, "source": {"kind": "folder", "path": str(folder)}, **more}


def settings(*entries: dict[str, Any], **more: Any) -> Evaluate:
    return Evaluate(benchmarks=list(entries), device="cpu", **more)
