"""Reading shards: the rows of a step as arrays, with one or two shards in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlctl.errors import InputError
from mlctl.training.language_sampling import Mixture
from mlctl.training.ragged_array import Ragged
from mlctl.training.sampler import Piece

_COLUMNS = ("source_ids", "target_ids", "word_pairs", "source_identity", "target_identity")
_REMEDY = "delete the result of the shard stage, so that it is made again"


@dataclass(frozen=True)
class Rows:
    """Training rows in columns.

    Attributes:
        numbers: (n,) number of each row in the corpus; what it draws depends on it.
        tokens: token ids of the source and of the target side.
        word pairs: (…, 4) source start and end, target start and end.
        identities: (n,) of the source and of the target side.
    """

    numbers: NDArray[np.int64]
    tokens: tuple[Ragged, Ragged]
    word_pairs: Ragged
    identities: tuple[NDArray[np.int64], NDArray[np.int64]]

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Return the named rows in the named order."""
        return Rows(
            self.numbers[rows],
            (self.tokens[0].take(rows), self.tokens[1].take(rows)),
            self.word_pairs.take(rows),
            (self.identities[0][rows], self.identities[1][rows]),
        )

    @classmethod
    def concatenated(cls, pieces: Sequence[Rows]) -> Rows:
        """Put the rows of several below each other."""
        if len(pieces) == 1:
            return pieces[0]
        return cls(
            np.concatenate([piece.numbers for piece in pieces]),
            (_joined([piece.tokens[0] for piece in pieces]), _joined([piece.tokens[1] for piece in pieces])),
            _joined([piece.word_pairs for piece in pieces]),
            (_stacked([piece.identities[0] for piece in pieces]), _stacked([piece.identities[1] for piece in pieces])),
        )


class Corpus:
    """The training shards of a folder (`train/*.parquet`, schema SHARD).

    Raises:
        InputError: the folder has none, or one cannot be read.
    """

    def __init__(self, sharded: Path) -> None:
        self._files = sorted((sharded / "train").glob("*.parquet"))
        if not self._files:
            raise InputError(f"no training shards in {sharded / 'train'}", "run the shard stage; its funnel says where rows went")
        self.shard_rows = [_row_count(file) for file in self._files]
        self._first = np.cumsum([0, *self.shard_rows])
        self._shard = lru_cache(maxsize=2)(self._read)  # a batch may lie across two

    @property
    def size(self) -> int:
        """How many rows there are."""
        return sum(self.shard_rows)

    def rows(self, pieces: Sequence[Piece]) -> Rows:
        """Return the rows of some pieces, in their order; one that an epoch visits again has a number of its own each time."""
        return Rows.concatenated([self._visited(piece) for piece in pieces])

    def subwords(self) -> set[int]:
        """Return the token ids that occur."""
        tables = (_table(file, _COLUMNS[:2]) for file in self._files)
        columns = (column.combine_chunks().flatten() for table in tables for column in table.columns)
        return set().union(*(column.unique().to_pylist() for column in columns))

    def mixture(self, alpha: float, seed: int) -> Mixture:
        """Return how often rows are visited when target languages are mixed in proportion to rows^alpha."""
        names: set[str] = set().union(*(_languages(file).unique().to_pylist() for file in self._files))
        known = pa.array(sorted(names), pa.string())

        def languages_of(shard: int) -> NDArray[np.int64]:
            numbers: NDArray[np.int64] = pc.index_in(_languages(self._files[shard]), known).to_numpy().astype(np.int64)
            return numbers

        counts = [np.bincount(languages_of(shard), minlength=len(known)) for shard in range(len(self._files))]
        return Mixture(np.stack(counts), languages_of, alpha, seed)

    def _visited(self, piece: Piece) -> Rows:
        rows = self._shard(piece.shard).take(piece.rows)
        return replace(rows, numbers=rows.numbers + self.size * piece.before)

    def _read(self, shard: int) -> Rows:
        table = _table(self._files[shard])
        first = int(self._first[shard])
        rows = Rows(
            np.arange(first, first + len(table)),
            (Ragged.of_list_column(table["source_ids"]), Ragged.of_list_column(table["target_ids"])),
            Ragged.of_list_column(table["word_pairs"]),
            (table["source_identity"].to_numpy(), table["target_identity"].to_numpy()),
        )
        if not _spans_fit(rows):
            raise InputError(f"{self._files[shard]} is damaged: a word lies outside of its sentence", _REMEDY)
        return rows


_joined, _stacked = Ragged.concatenated, np.concatenate


def _spans_fit(rows: Rows) -> bool:
    """Tell whether every word has a token and lies inside its sentence: else training would learn from padding or fail."""
    owners = rows.word_pairs.owners()
    sides = [(rows.word_pairs.values[:, 2 * side : 2 * side + 2], rows.tokens[side].lengths[owners]) for side in range(2)]
    return all(
        bool(np.all((spans[:, 0] >= 0) & (spans[:, 0] < spans[:, 1]) & (spans[:, 1] <= lengths))) for spans, lengths in sides
    )


def _row_count(file: Path) -> int:
    try:
        return int(pq.read_metadata(file).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file} is damaged: {error}", _REMEDY) from None


def _languages(file: Path) -> Any:
    return _table(file, ["target_language"])["target_language"]


def _table(file: Path, columns: Sequence[str] = _COLUMNS) -> Any:
    try:
        return pq.read_table(file, columns=list(columns))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{file} is damaged: {error}", _REMEDY) from None
