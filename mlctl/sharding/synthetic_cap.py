"""How much machine translation is trained on: the recipe's share of what people wrote."""

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
class Cap:
    """The synthetic rows of one language that are trained on: those whose draw is below `below`, or all."""

    below: int
    rule = "synthetic cap"

    @classmethod
    def of(cls, tables: Sequence[pa.Table], most: float) -> Cap:
        """Find the cap that leaves `most` synthetic rows for each human one of a language, or one or a few less.

        Args:
            tables: the language's rows; `key` and `synthetic` are looked at.
            most: synthetic rows for each human one.
        """
        draws = np.concatenate([np.empty(0, np.uint64), *(_draws(table.filter(_synthetic(table))) for table in tables)])
        room = int(most * (sum(table.num_rows for table in tables) - len(draws)))
        # Rows of one text have one draw, so that the first one too many takes its equals along.
        return cls(1 << 64 if len(draws) <= room else int(np.partition(draws, room)[room]))

    def __call__(self, table: pa.Table) -> pa.Table:
        """Return the rows that are trained on."""
        return table.filter(pa.array(self.keeps(table)))

    def keeps(self, table: pa.Table) -> npt.NDArray[np.bool_]:
        """Tell for each row whether it is trained on."""
        kept = np.ones(table.num_rows, bool) if self.below >= 1 << 64 else _draws(table) < np.uint64(self.below)
        human: npt.NDArray[np.bool_] = ~_synthetic(table).to_numpy()
        return kept | human


def _synthetic(table: pa.Table) -> pa.ChunkedArray:
    return pc.not_equal(table["synthetic"], "")


def _draws(table: pa.Table) -> Draws:
    """Return a number for each row that looks random and is the same wherever the row lies."""
    # The keys order the rows: drawn by the keys themselves, synthetic rows would all be in the first shards.
    return splitmix64(table["key"].to_numpy())
