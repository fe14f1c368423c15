"""Reading shards: the rows of a step as arrays, with one or two shards in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlctl.config.train import SampleUnit
from mlctl.errors import InputError
from mlctl.training.language_sampling import LanguageSampler
from mlctl.training.ragged_array import RaggedArray
from mlctl.training.sampler import ShardSlice
from mlctl.training.score_weights import shard_weights

_COLUMNS = ("source_ids", "target_ids", "word_pairs", "source_identity", "target_identity")
_REMEDY = "delete the result of the shard stage and run it again"


@dataclass(frozen=True)
class Rows:
    """Training rows in columns.

    Attributes:
        row_ids: (n,) number of each row (or sample) in the corpus, from which its random numbers follow.
        token_ids: token ids of the source and of the target side.
        word_pairs: (…, 4) source start and end, target start and end, in subwords.
        identities: (n,) of the source and of the target side; equal for sentences with the same text.
        weights: (n,) float64 weights of the rows' contrastive losses; None: all are 1.
    """

    row_ids: NDArray[np.int64]
    token_ids: tuple[RaggedArray, RaggedArray]
    word_pairs: RaggedArray
    identities: tuple[NDArray[np.int64], NDArray[np.int64]]
    weights: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Return the rows with these indices in this order."""
        return Rows(
            self.row_ids[rows],
            (self.token_ids[0].take(rows), self.token_ids[1].take(rows)),
            self.word_pairs.take(rows),
            (self.identities[0][rows], self.identities[1][rows]),
            None if self.weights is None else self.weights[rows],
        )

    def split_by_word_pair(self, first_id: int) -> Rows:
        """Return a row for each word pair, (word pairs,), with its sentences and no other word pair; ids count from `first_id`.

        The word pairs of these rows have to be packed.
        """
        row, source, target = self.word_pairs.row_indices(), *self.token_ids
        count = len(row)
        return Rows(
            np.arange(first_id, first_id + count),
            (
                RaggedArray(source.values, source.starts[row], source.lengths[row]),
                RaggedArray(target.values, target.starts[row], target.lengths[row]),
            ),
            RaggedArray(self.word_pairs.values, np.arange(count), np.ones(count, np.int64)),
            (self.identities[0][row], self.identities[1][row]),
            None if self.weights is None else self.weights[row],
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Rows]) -> Rows:
        """Return the rows of several parts, one part after the other."""
        if len(parts) == 1:
            return parts[0]
        source, target = (RaggedArray.concatenate([part.token_ids[side] for part in parts]) for side in range(2))
        source_identities, target_identities = (np.concatenate([part.identities[side] for part in parts]) for side in range(2))
        return cls(
            np.concatenate([part.row_ids for part in parts]),
            (source, target),
            RaggedArray.concatenate([part.word_pairs for part in parts]),
            (source_identities, target_identities),
            None if parts[0].weights is None else np.concatenate([part.weights for part in parts if part.weights is not None]),
        )


class ShardReader:
    """Reads the training shards of a folder (`train/*.parquet`, schema SHARD).

    Args:
        sharded: result of the shard stage.
        cached_shards: number of shards that are kept in memory; None: all that have been read.
        sample_unit: what is read as a sample: a row (sentence-pair), or each word pair of a row with its sentences (word-pair).
        weight_by: the score by whose rank rows are weighed; empty: all weigh the same.

    Attributes:
        shard_rows: number of rows of each shard.
        shard_samples: number of samples of each shard.

    Raises:
        InputError: the folder has no shard, one cannot be read, or no row has the score `weight_by`.
    """

    def __init__(
        self,
        sharded: Path,
        cached_shards: int | None = 2,  # a batch may span two
        sample_unit: SampleUnit = "sentence-pair",
        weight_by: str = "",
    ) -> None:
        self._files = sorted((sharded / "train").glob("*.parquet"))
        if not self._files:
            raise InputError(
                f"no training shards in {sharded / 'train'}",
                "run the shard stage; its funnel.parquet shows which rule removed the rows",
            )
        self.shard_rows = [_row_count(file) for file in self._files]
        self._by_word_pair = sample_unit == "word-pair"
        counts = [int(self._word_pair_counts(shard).sum()) for shard in range(len(self._files))] if self._by_word_pair else None
        self.shard_samples = counts or self.shard_rows
        self._first_samples = np.cumsum([0, *self.shard_samples])
        self._weights = shard_weights(self._scored_tables(), weight_by) if weight_by else None
        self._cached_shard = lru_cache(maxsize=cached_shards)(self._read_shard)

    @property
    def num_rows(self) -> int:
        """The number of rows of all shards."""
        return sum(self.shard_rows)

    def read(self, slices: Sequence[ShardSlice]) -> Rows:
        """Return the samples of some slices in their order; one that an epoch visits again has another row id each time."""
        return Rows.concatenate([self._read_slice(shard_slice) for shard_slice in slices])

    def vocabulary(self) -> set[int]:
        """Return the token ids that occur in the shards."""
        tables = (_table(file, _COLUMNS[:2]) for file in self._files)
        columns = (column.combine_chunks().flatten() for table in tables for column in table.columns)
        return set().union(*(column.unique().to_pylist() for column in columns))

    def languages(self, sides: Sequence[str] = ("source", "target")) -> list[str]:
        """Return the languages of these sides of all shards, sorted."""
        names = (self._language_column(shard, side).unique().to_pylist() for shard in range(len(self._files)) for side in sides)
        return sorted(set().union(*names))

    def language_indices(self, shard: int, side: str, languages: Sequence[str]) -> NDArray[np.int64]:
        """Return the index in `languages` of the language of each sample of a shard, (samples,), on a side: source or target."""
        column = pc.index_in(self._language_column(shard, side), pa.array(languages, pa.string()))
        indices: NDArray[np.int64] = column.to_numpy().astype(np.int64)
        return np.repeat(indices, self._word_pair_counts(shard)) if self._by_word_pair else indices

    def language_sampler(self, alpha: float, seed: int) -> LanguageSampler:
        """Return the sampler that visits target languages in proportion to samples^alpha."""
        languages = self.languages(["target"])

        def languages_of(shard: int) -> NDArray[np.int64]:
            return self.language_indices(shard, "target", languages)

        counts = [np.bincount(languages_of(shard), minlength=len(languages)) for shard in range(len(self._files))]
        return LanguageSampler(np.stack(counts), languages_of, alpha, seed)

    def _scored_tables(self) -> Iterator[Any]:
        return (_table(file, ("target_language", "scores")) for file in self._files)

    def _language_column(self, shard: int, side: str) -> Any:
        name = f"{side}_language"
        return _table(self._files[shard], [name])[name]

    def _read_slice(self, shard_slice: ShardSlice) -> Rows:
        rows = self._cached_shard(shard_slice.shard).take(shard_slice.rows)
        return replace(rows, row_ids=rows.row_ids + sum(self.shard_samples) * shard_slice.earlier_visits)

    def _word_pair_counts(self, shard: int) -> NDArray[np.int64]:
        """Return the number of word pairs of each row of a shard."""
        counts: NDArray[np.int64] = pc.list_value_length(_table(self._files[shard], ["word_pairs"])["word_pairs"]).to_numpy()
        return counts

    def _read_shard(self, shard: int) -> Rows:
        table = _table(self._files[shard])
        first = int(self._first_samples[shard])
        rows = Rows(
            np.arange(first, first + len(table)),
            (RaggedArray.from_list_column(table["source_ids"]), RaggedArray.from_list_column(table["target_ids"])),
            RaggedArray.from_list_column(table["word_pairs"]),
            (table["source_identity"].to_numpy(), table["target_identity"].to_numpy()),
            None if self._weights is None else self._weights[shard],
        )
        if not _spans_are_valid(rows):
            raise InputError(f"{self._files[shard]} is damaged: a word lies outside of its sentence", _REMEDY)
        return rows.split_by_word_pair(first) if self._by_word_pair else rows


def _spans_are_valid(rows: Rows) -> bool:
    """Return whether every word has a token and lies inside its sentence: otherwise training would pool padding or fail."""
    row = rows.word_pairs.row_indices()
    sides = [(rows.word_pairs.values[:, 2 * side : 2 * side + 2], rows.token_ids[side].lengths[row]) for side in range(2)]
    return all(
        bool(np.all((spans[:, 0] >= 0) & (spans[:, 0] < spans[:, 1]) & (spans[:, 1] <= lengths))) for spans, lengths in sides
    )


def _row_count(file: Path) -> int:
    try:
        return int(pq.read_metadata(file).num_rows)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file} is damaged: {error}", _REMEDY) from None


def _table(file: Path, columns: Sequence[str] = _COLUMNS) -> Any:
    try:
        return pq.read_table(file, columns=list(columns))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{file} is damaged: {error}", _REMEDY) from None
