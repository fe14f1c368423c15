"""Pairs in, aligned pairs out: the Parquet side of word alignment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl import schema

ROWS = 8192  # of a batch: what is held in memory at a time

#: Pairs with the words of both sides, not linked yet.
WORDS = pa.schema(list(schema.ALIGNED)[:-1])


def pair_files(folders: Sequence[Path], language: str) -> list[Path]:
    """Return the files with pairs of a target language: `pairs/<t>.parquet`, then `pairs/<t>/*.parquet`, folder by folder."""
    found: list[Path] = []
    for folder in folders:
        one = folder / "pairs" / f"{language}.parquet"
        found += [one] if one.is_file() else []
        found += sorted((folder / "pairs" / language).glob("*.parquet"))
    return found


def batches(file: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a Parquet file in record batches of a bounded size."""
    with pq.ParquetFile(file) as parquet:
        yield from parquet.iter_batches(batch_size=ROWS, columns=columns)


def pair_lists(rows: Sequence[npt.ArrayLike], kind: pa.StructType) -> pa.ListArray:
    """Return one list of (a, b) structs a row, from arrays (n, 2): word ranges or links."""
    arrays = [np.asarray(row, dtype=np.int32).reshape(-1, 2) for row in rows]
    flat = np.concatenate([np.empty((0, 2), np.int32), *arrays])
    ends = np.cumsum([0, *map(len, arrays)], dtype=np.int32)
    columns = [pa.array(np.ascontiguousarray(flat[:, side])) for side in (0, 1)]
    structs = pa.StructArray.from_arrays(columns, fields=list(kind))
    return pa.ListArray.from_arrays(pa.array(ends), structs, type=pa.list_(kind))


def language_summary(file: Path) -> dict[str, float]:
    """Return of one language's aligned pairs: pairs, links, links a pair, share of the words of each side that have a link."""
    pairs, links, words, linked = 0, 0, np.zeros(2, np.int64), np.zeros(2, np.int64)
    for batch in batches(file, ["source_words", "target_words", "links"]):
        pairs += batch.num_rows
        links += len(batch["links"].flatten())
        for side, name in enumerate(("source", "target")):
            words[side] += len(batch[f"{name}_words"].flatten())
            linked[side] += _linked_words(batch["links"], name)
    shares = linked / np.maximum(words, 1)
    return {
        "pairs": pairs,
        "links": links,
        "links_per_pair": round(links / max(pairs, 1), 4),
        "source_linked": round(float(shares[0]), 4),
        "target_linked": round(float(shares[1]), 4),
    }


def _linked_words(links: pa.ListArray, side: str) -> int:
    rows = pc.list_parent_indices(links).to_numpy().astype(np.int64)
    words = pc.struct_field(links.flatten(), side).to_numpy()
    return len(np.unique(rows << 32 | words))


def rejections(file: Path) -> dict[str, int]:
    """Return how many pairs each rule has set aside."""
    counts: dict[str, int] = {}
    for batch in batches(file, ["rule"]):
        for entry in batch["rule"].value_counts().to_pylist():
            counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    return counts
