"""Sorting a corpus that does not fit into memory: sorted runs on disk, then each shard from its slice of every run.

Rows are ordered by a random key, so that a shard is a random sample of the whole corpus.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.sharding.cap import Cap
from mlctl.sharding.rows import KEYED
from mlctl.workspace import flush_to_disk

#: Aligned pairs of one run: the rows that are sorted in memory.
PAIRS = 1 << 16

_COUNTS = b"counts"


@dataclass(frozen=True)
class Run:
    """A file of rows sorted by key, mapped into memory, with what became of the pairs it was made from.

    `cap`, if there is one, says which of its synthetic rows are trained on.
    """

    language: str
    table: pa.Table
    counts: Counter[str]
    cap: Cap | None = None

    @classmethod
    def open(cls, path: Path, language: str) -> Run:
        """Map a run that `write` wrote; its pairs are those of one target language."""
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        return cls(language, table, Counter(json.loads(table.schema.metadata[_COUNTS])))

    def between(self, low: int, high: int) -> pa.Table:
        """Return the rows with low ≤ key < high."""
        keys = self.table["key"].to_numpy()
        first = np.searchsorted(keys, np.uint64(low), side="left")
        last = np.searchsorted(keys, np.uint64(high - 1), side="right")
        return self._capped(self.table.slice(first, last - first))

    @cached_property
    def rows(self) -> int:
        """Number of rows that are trained on."""
        return int(self._capped(self.table.select(["key", "synthetic"])).num_rows)

    @cached_property
    def couples(self) -> int:
        """Number of word couples of those rows."""
        table = self._capped(self.table.select(["key", "synthetic", "couples"]))
        return int(pc.sum(pc.list_value_length(table["couples"])).as_py() or 0)

    def _capped(self, table: pa.Table) -> pa.Table:
        return table.filter(pa.array(self.cap.keeps(table))) if self.cap else table


def write(path: Path, batches: Iterable[pa.RecordBatch], counts: Counter[str]) -> None:
    """Sort rows and write them as a run; `counts` is read after the last batch has been taken."""
    table = _sorted(pa.Table.from_batches(batches, KEYED))
    table = table.replace_schema_metadata({_COUNTS: json.dumps(counts, sort_keys=True)})
    unfinished = path.with_suffix(".part")
    with pa.OSFile(str(unfinished), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    flush_to_disk(unfinished)
    unfinished.rename(path)


def number_of_shards(runs: Sequence[Run], rows_per_shard: int) -> int:
    """Return how many shards the rows of all runs fill."""
    return -(-sum(run.rows for run in runs) // rows_per_shard)


def write_shard(path: Path, runs: Sequence[Run], number: int, shards: int) -> None:
    """Write shard `number` of `shards`: the rows of one range of keys, in their order."""
    low, high = (number << 64) // shards, ((number + 1) << 64) // shards
    write_table(path, pa.concat_tables([run.between(low, high) for run in runs]))


def write_table(path: Path, rows: pa.Table) -> None:
    """Write rows (KEYED) as Parquet (SHARD) in the order of their keys."""
    pq.write_table(_sorted(rows).drop_columns("key").cast(schema.SHARD), path, compression="zstd")


def _sorted(table: pa.Table) -> pa.Table:
    return table.take(pa.array(np.argsort(table["key"].to_numpy(), kind="stable")))
