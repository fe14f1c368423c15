"""Generated shards with the lengths of real text, and their tokenizer: data of the training benchmark.

Lengths in subwords are those of news and parliament text with mBERT's tokenizer: 35 on average, truncated at 128 (the paper's maximum).
Subwords are sampled by Zipf's law. Everything is determined by the seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.schema import SHARD, WORD_PAIR

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BEGIN, END = SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")
FEWEST, MOST = 6, 128  # subwords of a sentence, including special tokens
MEDIAN, SPREAD, TRANSLATED = 29.0, 0.6, 0.15  # of the source lengths, and the spread of the translation's length
RARER = (2.7, 1.1)  # frequency of a subword: (rank + 2.7) ** -1.1
WORD_PAIRS = 6  # maximum word pairs of a sentence pair
SHARD_ROWS = 8192  # the default of the shard stage

Numbers = npt.NDArray[np.int64]


def write_shards(folder: Path, pairs: int, types: int, seed: int = 0, shard_rows: int = SHARD_ROWS) -> Path:
    """Write `train/*.parquet` and `tokenizer/` in the format of the shard stage, without the text; return the folder."""
    (folder / "train").mkdir(parents=True)
    write_tokenizer(folder / "tokenizer", types)
    ranks = np.arange(types - len(SPECIAL))
    frequency = (ranks + RARER[0]) ** -RARER[1]
    cumulative = np.cumsum(frequency / frequency.sum())
    for number, first in enumerate(range(0, pairs, shard_rows)):
        rng = np.random.default_rng([seed, number])
        table = rows(rng, min(shard_rows, pairs - first), first, cumulative)
        pq.write_table(table, folder / "train" / f"{number:05}.parquet", compression="zstd")
    return folder


def write_tokenizer(folder: Path, types: int) -> None:
    """Write a tokenizer that encodes "w17 w5" as subwords 17 and 5 between the special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = {word: number for number, word in enumerate([*SPECIAL, *map(word_of, range(len(SPECIAL), types))])}
    core = Tokenizer(models.WordLevel(words, SPECIAL[1]))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", BEGIN), ("[SEP]", END)])
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=MOST, **names).save_pretrained(folder)


def word_of(subword: int) -> str:
    return f"w{subword}"


def rows(rng: np.random.Generator, count: int, first: int, cumulative: npt.NDArray[np.float64]) -> pa.Table:
    """Return rows of the schema SHARD; `first` is the corpus row number of the first one, so that all rows differ."""
    source_lengths = rng.lognormal(np.log(MEDIAN), SPREAD, count)
    lengths = [clip_lengths(source_lengths), clip_lengths(source_lengths * rng.lognormal(0, TRANSLATED, count))]
    constants = {"source_language": "en", "target_language": "fr", "source": "", "target": "", "corpus": "made"}
    columns: dict[str, Any] = {
        name: pa.repeat(pa.scalar(value), count) for name, value in (constants | {"licence": "CC0-1.0", "synthetic": ""}).items()
    }
    for name, side in zip(("source", "target"), lengths, strict=True):
        columns[f"{name}_ids"] = list_array(side, pa.array(subwords(rng, side, cumulative), pa.int32()))
        columns[f"{name}_identity"] = pa.array(np.arange(first, first + count) * 2 + (name == "target"))
    columns["word_pairs"] = word_pairs(rng, lengths)
    columns["scores"] = pa.nulls(count, SHARD.field("scores").type)
    return pa.table([columns[name] for name in SHARD.names], schema=SHARD)


def clip_lengths(lengths: npt.NDArray[np.float64]) -> Numbers:
    return np.clip(np.rint(lengths), FEWEST, MOST).astype(np.int64)


def subwords(rng: np.random.Generator, lengths: Numbers, cumulative: npt.NDArray[np.float64]) -> Numbers:
    """Sample the concatenated subwords of all sentences."""
    ids = np.searchsorted(cumulative, rng.random(lengths.sum())).clip(max=len(cumulative) - 1) + len(SPECIAL)
    ends = np.cumsum(lengths)
    ids[ends - lengths], ids[ends - 1] = BEGIN, END
    return ids


def word_pairs(rng: np.random.Generator, lengths: list[Numbers]) -> pa.ListArray:
    """Sample up to WORD_PAIRS words of one or two subwords on each side, without overlap."""
    shorter = np.minimum(*lengths) - 2
    counts = np.minimum(shorter // 2, WORD_PAIRS)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = 1 + 2 * place
    ranges = [bound for _ in lengths for bound in (starts, starts + rng.integers(1, 3, len(starts)))]
    structs = pa.StructArray.from_arrays([pa.array(bound, pa.int32()) for bound in ranges], fields=list(WORD_PAIR))
    return list_array(counts, structs)


def list_array(counts: Numbers, values: pa.Array) -> pa.ListArray:
    """Return a list array with these list lengths and values, and the field names of the schema."""
    bounds = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pa.ListArray.from_arrays(bounds, values)


def texts(folder: Path, count: int) -> Iterator[tuple[str, str]]:
    """Yield the text of the first pairs of shards, without special tokens."""
    for file in sorted((folder / "train").glob("*.parquet")):
        table = pq.read_table(file, columns=["source_ids", "target_ids"]).slice(0, count)
        for pair in zip(*(table[name].to_pylist() for name in ("source_ids", "target_ids")), strict=True):
            yield tuple(" ".join(map(word_of, ids[1:-1])) for ids in pair)  # type: ignore[misc]
        count -= len(table)
        if not count:
            return
