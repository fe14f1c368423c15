"""What must be known of all aligned pairs before the first row is made: word counts, identities, and the draw of held-out pairs.

Collected part by part, in parallel, and then combined.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.core.random import text_draws
from mlctl.sharding.content_words import SideWords, count_words
from mlctl.sharding.text_identity import text_identities

Integers = npt.NDArray[np.int64]

#: Columns of the aligned pairs that are read.
COLUMNS = ("source", "target", "source_words", "target_words", "synthetic")
#: Identities of both sides of each pair, whether it may be held out as far as its own text says, and the order in which it would be.
PAIRS = pa.schema(
    [
        ("source_identity", pa.int64()),
        ("target_identity", pa.int64()),
        ("is_candidate", pa.bool_()),
        ("draw", pa.uint64()),
    ]
)
#: Occurrences of the case-folded words of one side.
WORD_COUNTS = pa.schema([("word", pa.string()), ("count", pa.int64())])

_PAIRS_FILE = "pairs.arrow"


def write_statistics(folder: Path, batches: Iterable[pa.RecordBatch], min_words: int, seed: int) -> None:
    """Write the statistics of some pairs.

    The draw depends on the source text alone, so that a sentence with translations in several languages is held out in all.

    Args:
        folder: is made.
        batches: the pairs (COLUMNS of ALIGNED).
        min_words: words of the source side that a held-out pair has at least.
        seed: of the draw.
    """
    counts, pairs = {"source": Counter[str](), "target": Counter[str]()}, []
    for batch in batches:
        for side, side_counts in counts.items():
            count_words(side_counts, SideWords.of(batch, side).words)
        source, target = (text_identities(batch[side].to_pylist()) for side in ("source", "target"))
        is_long = pc.list_value_length(batch["source_words"]).to_numpy() >= min_words
        is_candidate = is_long & pc.equal(batch["synthetic"], "").to_numpy(zero_copy_only=False)
        draws = np.zeros(batch.num_rows, np.uint64)
        draws[is_candidate] = text_draws([one.tobytes() for one in source[is_candidate].astype("<i8")], seed, "held out")
        arrays = [pa.array(column) for column in (source, target, is_candidate, draws)]
        pairs.append(pa.RecordBatch.from_arrays(arrays, schema=PAIRS))
    folder.mkdir()
    _write(folder / _PAIRS_FILE, pa.Table.from_batches(pairs, PAIRS))
    for side, words in counts.items():
        columns = {"word": list(words), "count": list(words.values())}
        _write(folder / f"{side}-words.arrow", pa.table(columns, schema=WORD_COUNTS))


def read_pairs(folder: Path) -> pa.Table:
    """Return the PAIRS of a part."""
    return _read(folder / _PAIRS_FILE)


def read_identities(folder: Path) -> Integers:
    """Return the identities of both sides of the pairs of a part (pairs, 2)."""
    return identities_of(read_pairs(folder))


def identities_of(table: pa.Table) -> Integers:
    """Return the columns `source_identity` and `target_identity` of a table (rows, 2)."""
    return np.stack([table[f"{side}_identity"].to_numpy() for side in ("source", "target")], axis=1)


def most_frequent(folders: Sequence[Path], side: str, number: int) -> frozenset[str]:
    """Return the most frequent words of one side of some parts; of equally frequent ones, the first in code-point order."""
    counts = WORD_COUNTS.empty_table()
    for folder in folders:
        both = pa.concat_tables([counts, _read(folder / f"{side}-words.arrow")])
        counts = both.group_by("word").aggregate([("count", "sum")]).rename_columns({"word": "word", "count_sum": "count"})
    order = pc.sort_indices(counts, [("count", "descending"), ("word", "ascending")])[:number]
    return frozenset(counts["word"].take(order).to_pylist())


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
