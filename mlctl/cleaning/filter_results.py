"""The decisions of the row filter on a batch, and the table that keeps them with the digests that `corpus_filters` compares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa

from mlctl import config
from mlctl.cleaning.boilerplate import digests_without_numbers
from mlctl.cleaning.duplicates import Digests, Mask, digests_of
from mlctl.cleaning.filters.base import SentencePair
from mlctl.cleaning.minhash import BANDS, BandHashes, Sketches, minhash

#: Schema of a filtered part: one row for each input row. Digests of a dropped row are null.
FILTER_RESULT = pa.schema(
    [
        pa.field("rule", pa.string(), nullable=False),  # the rule that drops the row; "": kept so far
        pa.field("paired", pa.bool_(), nullable=False),  # has both sides
        # The normalised text where it differs from the input; else null.
        pa.field("source", pa.string()),
        pa.field("target", pa.string()),
        # Digests of the text as duplicates are compared: of the row (both sides, or the only one), and of each side.
        pa.field("digest", pa.uint64()),
        pa.field("source_digest", pa.uint64()),
        pa.field("target_digest", pa.uint64()),
        # The same of pairs, with all numbers replaced.
        pa.field("source_boilerplate", pa.uint64()),
        pa.field("target_boilerplate", pa.uint64()),
        # MinHash of long pairs.
        pa.field("sketch", pa.uint64()),
        pa.field("bands", pa.binary(4 * BANDS)),
    ]
)


@dataclass(frozen=True)
class FilterResult:
    """The decision on each row of a batch.

    Attributes:
        rules: the name of the rule that drops the row; "": kept.
        pairs: the normalised pair of a kept row; None: dropped.
    """

    rules: list[str]
    pairs: list[SentencePair | None]

    @classmethod
    def empty(cls, rows: int) -> Self:
        """Return a result of so many rows without decisions."""
        return cls([""] * rows, [None] * rows)

    def kept(self) -> list[tuple[int, SentencePair]]:
        """Return the kept rows with their numbers."""
        return [(row, pair) for row, pair in enumerate(self.pairs) if pair]

    def drop(self, row: int, rule: str) -> None:
        """Mark a row as dropped by a rule."""
        self.rules[row], self.pairs[row] = rule, None

    def put(self, rows: Sequence[int], result: FilterResult) -> None:
        """Set the decisions on some rows."""
        for row, rule, pair in zip(rows, result.rules, result.pairs, strict=True):
            self.rules[row], self.pairs[row] = rule, pair

    def to_batch(self, settings: config.Clean, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows of FILTER_RESULT for the rows of PAIR that were filtered."""
        kept = np.array([pair is not None for pair in self.pairs], dtype=bool)
        has_source, has_target = (np.array(batch[name].is_valid(), dtype=bool) for name in ("source", "target"))
        paired = has_source & has_target
        texts = [_Texts.of(pair, forward) for pair, forward in zip(self.pairs, has_source.tolist(), strict=True) if pair]
        columns = {
            "rule": pa.array(self.rules, pa.string()),
            "paired": pa.array(paired),
            "source": _changed(batch["source"].to_pylist(), (text.source for text in texts), kept),
            "target": _changed(batch["target"].to_pylist(), (text.target for text in texts), kept),
            "digest": _scatter(digests_of(text.key for text in texts), kept),
        }
        for name, has_side, side_keys in (
            ("source", has_source, [text.source_key for text in texts]),
            ("target", has_target, [text.target_key for text in texts]),
        ):
            keys = [key for key in side_keys if key is not None]
            digests, rows = digests_of(keys), kept & has_side
            columns[f"{name}_digest"] = _scatter(digests, rows)
            columns[f"{name}_boilerplate"] = _scatter(digests_without_numbers(keys, digests)[paired[rows]], kept & paired)
        columns["sketch"], columns["bands"] = _minhash_columns(settings, self.pairs)
        return pa.record_batch(columns, schema=FILTER_RESULT)


class _Texts(NamedTuple):
    """The normalised text of a row's sides, and the keys by which duplicates are compared; None where a side is missing."""

    source: str | None
    target: str | None
    source_key: str | None
    target_key: str | None

    @classmethod
    def of(cls, pair: SentencePair, forward: bool) -> _Texts:
        """Return the texts of a pair; not `forward`: its only text is in the target language."""
        source, target = pair.normalized.source, pair.normalized.target
        if not forward:
            return cls(None, source, None, pair.source_key)
        return cls(source, target, pair.source_key, None if target is None else pair.target_key)

    @property
    def key(self) -> str:
        """The key of the row: both sides, or the only one."""
        return f"{self.source_key or ''}\x00{self.target_key or ''}"


def minhashes(table: pa.Table) -> tuple[Sketches, BandHashes]:
    """Return the sketches and band hashes of those rows that have some."""
    bands = b"".join(table["bands"].drop_null().to_pylist())
    return digest_column(table["sketch"].drop_null()), np.frombuffer(bands, dtype="<u4").reshape(-1, BANDS)


def digest_column(column: pa.ChunkedArray) -> Digests:
    """Return a column of digests; 0 for null."""
    return np.asarray(column.fill_null(0).combine_chunks(), dtype=np.uint64)


def _minhash_columns(settings: config.Clean, pairs: Sequence[SentencePair | None]) -> tuple[pa.Array, pa.Array]:
    """Return the columns `sketch` and `bands`: null for rows that are dropped, short or without translation."""
    bands_type = FILTER_RESULT.field("bands").type
    if settings.near_duplicates == "off":
        return pa.nulls(len(pairs), pa.uint64()), pa.nulls(len(pairs), bands_type)
    key = _NEAR_DUPLICATE_KEYS[settings.near_duplicates]
    texts = [key(pair) if pair and pair.target else "" for pair in pairs]
    long = np.array([len(text) >= settings.near_duplicate_characters for text in texts], dtype=bool)
    sketches, bands = minhash([text for text, is_long in zip(texts, long, strict=True) if is_long])
    packed = iter(bands.astype("<u4"))
    return _scatter(sketches, long), pa.array([next(packed).tobytes() if is_long else None for is_long in long], bands_type)


def _scatter(values: Digests, mask: Mask) -> pa.Array:
    """Return an array with the values where the mask is true, and null elsewhere."""
    scattered = np.zeros(len(mask), dtype=np.uint64)
    scattered[mask] = values
    return pa.array(scattered, pa.uint64(), mask=~mask)


def _changed(raw: Iterable[str | None], normalized: Iterator[str | None], kept: Mask) -> pa.Array:
    """Return the normalised texts of kept rows where they differ from the input; else null."""
    texts = (next(normalized) if is_kept else None for is_kept in kept)
    return pa.array([None if before == after else after for before, after in zip(raw, texts, strict=True)], pa.string())


_NEAR_DUPLICATE_KEYS: dict[str, Callable[[SentencePair], str]] = {
    "pair": lambda pair: f"{pair.source_key}\x00{pair.target_key}",
    "source": lambda pair: pair.source_key,
    "target": lambda pair: pair.target_key,
}
