"""Sorting a corpus that does not fit into memory: sorted runs on disk, then each shard from its slice of every run.

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
from mlctl.core.files import atomic_write
from mlctl.sharding.rows import KEYED

#: Aligned pairs of one run: the rows that are sorted in memory.
PAIRS = 1 << 16

_COUNTS = b"counts"


# What filters look at.
_LOOKED_AT = ("key", "synthetic", "word_pairs", "word_pair_words")


class Filter(Protocol):
    """Leaves some rows out, or some word pairs of rows: which ones depends on the row alone. `rule` is its name in the funnel."""

    @property
    def rule(self) -> str:
        """Return its name."""

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return what is trained on of some rows."""


class Kept(NamedTuple):
    """How many rows and word pairs are trained on, and how many rows each filter took."""

    rows: int
    word_pairs: int
    dropped: Counter[str]


@dataclass(frozen=True)
class Run:
    """A file of rows sorted by key, mapped into memory, with what became of the pairs it was made from.

    `filters` say, one after another, what of it is trained on.
    """

    language: str
    table: pa.Table
    counts: Counter[str]
    filters: tuple[Filter, ...] = ()

    @classmethod
    def open(cls, path: Path, language: str) -> Run:
        """Map a run that `write` wrote; its pairs are those of one target language."""
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        return cls(language, table, Counter(json.loads(table.schema.metadata[_COUNTS])))

    def filtered(self, filter_: Filter) -> Run:
        """Return the run with one more filter."""
        return replace(self, filters=(*self.filters, filter_))

    def between(self, low: int, high: int) -> pa.Table:
        """Return the rows with low ≤ key < high."""
        keys = self.table["key"].to_numpy()
        first = np.searchsorted(keys, np.uint64(low), side="left")
        last = np.searchsorted(keys, np.uint64(high - 1), side="right")
        return self._chosen(self.table.slice(first, last - first))[0]

    def columns(self) -> pa.Table:
        """Return the columns that filters look at of the rows that are trained on."""
        return self._chosen(self.table.select(_LOOKED_AT))[0]

    @cached_property
    def kept(self) -> Kept:
        """What of the rows is trained on."""
        table, dropped = self._chosen(self.table.select(_LOOKED_AT))
        return Kept(table.num_rows, int(pc.sum(pc.list_value_length(table["word_pairs"])).as_py() or 0), dropped)

    def _chosen(self, table: pa.Table) -> tuple[pa.Table, Counter[str]]:
        dropped = Counter[str]()
        for filter_ in self.filters:
            before = table.num_rows
            table = filter_(table)
            dropped[filter_.rule] += before - table.num_rows
        return table, dropped


def write(path: Path, batches: Iterable[pa.RecordBatch], counts: Counter[str]) -> None:
    """Sort rows and write them as a run; `counts` is read after the last batch has been taken."""
    table = _sorted(pa.Table.from_batches(batches, KEYED))
    table = table.replace_schema_metadata({_COUNTS: json.dumps(counts, sort_keys=True)})
    with (
        atomic_write(path) as unfinished,
        pa.OSFile(str(unfinished), "wb") as file,
        pa.ipc.new_file(file, table.schema) as writer,
    ):
        writer.write_table(table)


def number_of_shards(runs: Sequence[Run], rows_per_shard: int) -> int:
    """Return how many shards the rows of all runs fill."""
    return -(-sum(run.kept.rows for run in runs) // rows_per_shard)


def write_shard(path: Path, runs: Sequence[Run], number: int, shards: int) -> None:
    """Write shard `number` of `shards`: the rows of one range of keys, in their order."""
    low, high = (number << 64) // shards, ((number + 1) << 64) // shards
    write_table(path, pa.concat_tables([run.between(low, high) for run in runs]))


def write_table(path: Path, rows: pa.Table) -> None:
    """Write rows (KEYED) as Parquet (SHARD) in the order of their keys."""
    pq.write_table(_sorted(rows).drop_columns(["key", "word_pair_words"]).cast(schema.SHARD), path, compression="zstd")


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pa.array(np.argsort(table["key"].to_numpy(), kind="stable")))
