"""External sort: sorted runs on disk, then each shard from its slice of every run, for a corpus that does not fit into memory.

Rows are ordered by a random key, so that a shard is a random sample of the whole corpus.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.sharding.rows import KEYED_ROWS

#: Aligned pairs of one run, which are sorted in memory.
RUN_PAIRS = 1 << 16

_COUNTS = b"counts"
_FILTER_COLUMNS = ("key", "synthetic", "word_pairs", "word_pair_words")


class RowFilter(Protocol):
    """Drops rows, or word pairs of rows; the decision depends on the row alone. `rule` is its name in the funnel."""

    @property
    def rule(self) -> str:
        """The name in the funnel."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows, with the word pairs, that are kept."""


class KeptCounts(NamedTuple):
    """The numbers of rows and word pairs that are kept, and of rows that each filter drops."""

    rows: int
    word_pairs: int
    dropped: Counter[str]


@dataclass(frozen=True)
class SortedRun:
    """A memory-mapped file of rows sorted by key, with filters that are applied on reading.

    Attributes:
        language: target language of its pairs.
        table: the rows, KEYED_ROWS.
        counts: the number of pairs it was made from, and of those that each rule dropped.
        filters: applied one after another.
    """

    language: str
    table: pa.Table
    counts: Counter[str]
    filters: tuple[RowFilter, ...] = ()

    @classmethod
    def open(cls, path: Path, language: str) -> SortedRun:
        """Map a run that `write_run` wrote."""
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        return cls(language, table, Counter(json.loads(table.schema.metadata[_COUNTS])))

    def filtered(self, row_filter: RowFilter) -> SortedRun:
        """Return the run with one more filter."""
        return replace(self, filters=(*self.filters, row_filter))

    def key_range(self, low: int, high: int) -> pa.Table:
        """Return the kept rows with low ≤ key < high."""
        keys = self.table["key"].to_numpy()
        first = np.searchsorted(keys, np.uint64(low), side="left")
        last = np.searchsorted(keys, np.uint64(high - 1), side="right")
        return self._apply_filters(self.table.slice(first, last - first))[0]

    def filter_columns(self) -> pa.Table:
        """Return the columns that filters read, of the kept rows."""
        return self._apply_filters(self.table.select(_FILTER_COLUMNS))[0]

    @cached_property
    def kept(self) -> KeptCounts:
        """The numbers of kept rows and word pairs."""
        table, dropped = self._apply_filters(self.table.select(_FILTER_COLUMNS))
        return KeptCounts(table.num_rows, int(pc.sum(pc.list_value_length(table["word_pairs"])).as_py() or 0), dropped)

    def _apply_filters(self, table: pa.Table) -> tuple[pa.Table, Counter[str]]:
        dropped = Counter[str]()
        for row_filter in self.filters:
            rows_before = table.num_rows
            table = row_filter(table)
            dropped[row_filter.rule] += rows_before - table.num_rows
        return table, dropped


def write_run(path: Path, batches: Iterable[pa.RecordBatch], counts: Counter[str]) -> None:
    """Sort rows and write them as a run; `counts` is read after the last batch has been taken."""
    table = _sort_by_key(pa.Table.from_batches(batches, KEYED_ROWS))
    table = table.replace_schema_metadata({_COUNTS: json.dumps(counts, sort_keys=True)})
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def number_of_shards(runs: Sequence[SortedRun], rows_per_shard: int) -> int:
    """Return the number of shards that the rows of all runs fill."""
    return -(-sum(run.kept.rows for run in runs) // rows_per_shard)


def write_shard(path: Path, runs: Sequence[SortedRun], index: int, shards: int) -> None:
    """Write shard `index` of `shards`: the rows of one range of keys, sorted by key."""
    low, high = (index << 64) // shards, ((index + 1) << 64) // shards
    write_table(path, pa.concat_tables([run.key_range(low, high) for run in runs]))


def write_table(path: Path, rows: pa.Table) -> None:
    """Write rows (KEYED_ROWS) as Parquet (SHARD), sorted by key."""
    table = _sort_by_key(rows).drop_columns(["key", "word_pair_words"])
    pq.write_table(table.cast(schema.SHARD), path, compression="zstd")


def _sort_by_key(table: pa.Table) -> pa.Table:
    return table.take(pa.array(np.argsort(table["key"].to_numpy(), kind="stable")))
