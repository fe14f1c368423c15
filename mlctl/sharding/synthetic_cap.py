"""The cap on synthetic rows: at most `shard.max_synthetic` machine-translated rows for each human one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mlctl.core.random import splitmix64

Draws = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class SyntheticCap:
    """Keeps the synthetic rows of one language whose random draw is below `below`; a row filter."""

    below: int
    rule = "synthetic cap"

    @classmethod
    def fit(cls, tables: Sequence[pa.Table], max_ratio: float) -> SyntheticCap:
        """Return the cap that keeps `max_ratio` synthetic rows for each human one of a language, or one or a few less.

        Args:
            tables: the language's rows, with the columns `key` and `synthetic`.
            max_ratio: synthetic rows for each human one.
        """
        draws = np.concatenate([np.empty(0, np.uint64), *(_draws(table.filter(_synthetic(table))) for table in tables)])
        limit = int(max_ratio * (sum(table.num_rows for table in tables) - len(draws)))
        # Rows with the same text have the same draw: if the first one over the limit is dropped, its equals are, too.
        return cls(1 << 64 if len(draws) <= limit else int(np.partition(draws, limit)[limit]))

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows that are kept."""
        return table.filter(pa.array(self.keeps(table)))

    def keeps(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Return for each row whether it is kept."""
        below_cap = np.ones(table.num_rows, bool) if self.below >= 1 << 64 else _draws(table) < np.uint64(self.below)
        human: npt.NDArray[np.bool_] = ~_synthetic(table).to_numpy()
        return below_cap | human


def _synthetic(table: pa.Table) -> pa.ChunkedArray:
    return pc.not_equal(table["synthetic"], "")


def _draws(table: pa.Table) -> Draws:
    """Return a random number for each row, equal on every machine and in every order."""
    # The keys order the rows: drawn by the keys themselves, synthetic rows would all be in the first shards.
    return splitmix64(table["key"].to_numpy())
