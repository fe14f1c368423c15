"""The rules that compare a row with all earlier rows of its language. They read digests only, never text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import config
from mlctl.cleaning.boilerplate import RepeatCounter
from mlctl.cleaning.duplicates import DigestBuckets, Digests, Mask, RowBitmap
from mlctl.cleaning.filter_results import digest_column, minhashes
from mlctl.cleaning.minhash import NearDuplicateIndex, Rows
from mlctl.cleaning.reader import DownloadedRows

DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near duplicate"
BOILERPLATE = "boilerplate"
TRANSLATED_ELSEWHERE = "translated elsewhere"
OVER_THE_LIMIT = "over the limit"

_BIN_BITS = 16  # highest bits of a digest by which pairs are counted
_BIN_SHIFT = np.uint64(64 - _BIN_BITS)


def reasons(settings: config.Clean) -> dict[str, str]:
    """Return the rules' names in the order in which they are applied, each with what it drops."""
    return {
        DUPLICATE: "the same text occurs earlier",
        NEAR_DUPLICATE: f"a nearly equal text occurs earlier ({settings.near_duplicates}, Jaccard similarity from {settings.near_duplicate_similarity:.0%})",
        BOILERPLATE: f"a side occurs more than {settings.max_repeats} times, numbers ignored, each time with another text opposite",
        TRANSLATED_ELSEWHERE: "the text has no translation here, and another corpus has one",
        OVER_THE_LIMIT: "not drawn: more good pairs than max_pairs",
    }


class CorpusFilter:
    """Decides which rows of a language are dropped because of other rows.

    Memory is bounded: tables have a fixed size and digests are compared a bucket at a time. Only the bitmaps grow with the corpus, by
    five bits a row.
    """

    def __init__(self, settings: config.Clean, inputs: DownloadedRows, files: Sequence[Path], scratch: Path) -> None:
        """Apply all rules to the filtered rows in `files` (FILTER_RESULT, one file a part)."""
        self._inputs = inputs
        self._files = files
        self._dropped = {rule: RowBitmap(inputs.rows) for rule in reasons(settings)}
        self._drop_duplicates(scratch / "digest")
        self._drop_similar_pairs(settings)
        if inputs.untranslated:
            self._drop_translated_elsewhere(scratch, "source_digest")
            self._drop_translated_elsewhere(scratch, "target_digest")
        if settings.max_pairs:
            self._drop_over_the_limit(settings.max_pairs)

    def rules(self, first: int, last: int) -> dict[str, Mask]:
        """Return for each rule which of rows `first` to `last` (exclusive) it drops. At most one rule drops a row."""
        return {rule: dropped.mask(first, last) for rule, dropped in self._dropped.items()}

    def _drop_duplicates(self, scratch: Path) -> None:
        buckets = DigestBuckets(scratch, self._inputs.rows)
        for first, table in self._read("digest"):
            kept = np.flatnonzero(_is_valid(table["digest"]))
            buckets.add(digest_column(table["digest"])[kept], (kept + first).astype(np.uint64))
        for bucket in buckets:
            self._dropped[DUPLICATE].set(bucket.repeated_rows)

    def _drop_similar_pairs(self, settings: config.Clean) -> None:
        """Drop near duplicates and boilerplate."""
        index = NearDuplicateIndex(settings.near_duplicate_similarity, self._inputs.rows - self._inputs.untranslated)
        counters = RepeatCounter(settings.max_repeats), RepeatCounter(settings.max_repeats)
        sides = "source_boilerplate", "target_boilerplate"
        for first, table in self._read(*sides, "sketch", "bands"):
            kept = self._kept(first, table[sides[0]])
            long = np.flatnonzero(kept & _is_valid(table["sketch"]))
            self._drop(NEAR_DUPLICATE, first, long[index.add(*minhashes(table.take(long)))])
            if settings.max_repeats:
                rows = np.flatnonzero(self._kept(first, table[sides[0]]))
                source, target = (
                    counter.add(digest_column(table[side])[rows]) for counter, side in zip(counters, sides, strict=True)
                )
                self._drop(BOILERPLATE, first, rows[source | target])

    def _drop_translated_elsewhere(self, scratch: Path, column: str) -> None:
        paired, unpaired = (DigestBuckets(scratch / name, self._inputs.rows) for name in ("paired", "unpaired"))
        for first, table in self._read("paired", column):
            kept = self._kept(first, table[column])
            for buckets, is_paired in ((paired, True), (unpaired, False)):
                rows = np.flatnonzero(kept & (np.asarray(table["paired"]) == is_paired))
                buckets.add(digest_column(table[column])[rows], (rows + first).astype(np.uint64))
        for unpaired_bucket, paired_bucket in zip(unpaired, paired, strict=True):
            is_translated = np.isin(unpaired_bucket.digests, paired_bucket.digests)
            self._dropped[TRANSLATED_ELSEWHERE].set(unpaired_bucket.rows[is_translated])

    def _drop_over_the_limit(self, max_pairs: int) -> None:
        """Keep the `max_pairs` pairs with the smallest digests; counted in bins first, so that only one bin of digests is in memory."""
        counts = sum(
            (np.bincount(digests >> _BIN_SHIFT, minlength=1 << _BIN_BITS) for _, digests in self._kept_pairs()),
            np.zeros(1 << _BIN_BITS),
        )
        cumulative = np.cumsum(counts)
        if cumulative[-1] <= max_pairs:
            return
        last_bin = int(np.searchsorted(cumulative, max_pairs, side="right"))
        in_bin = np.concatenate([digests[digests >> _BIN_SHIFT == last_bin] for _, digests in self._kept_pairs()])
        remaining = max_pairs - int(cumulative[last_bin] - counts[last_bin])
        first_dropped = np.partition(in_bin, remaining)[remaining]
        for rows, digests in self._kept_pairs():
            self._dropped[OVER_THE_LIMIT].set(rows[digests >= first_dropped])

    def _kept_pairs(self) -> Iterator[tuple[Rows, Digests]]:
        """Yield row numbers and digests of the rows that have both sides and that no rule dropped so far."""
        for first, table in self._read("paired", "digest"):
            rows = np.flatnonzero(self._kept(first, table["digest"]) & np.asarray(table["paired"]))
            yield (rows + first).astype(np.uint64), digest_column(table["digest"])[rows]

    def _read(self, *columns: str) -> Iterator[tuple[int, pa.Table]]:
        """Yield for each part its first row number and some columns."""
        for (first, _), file in zip(self._inputs.parts, self._files, strict=True):
            yield first, pq.read_table(file, columns=list(columns))

    def _kept(self, first: int, column: pa.ChunkedArray) -> Mask:
        """Return which rows of a part have a digest in the column and were not dropped so far."""
        kept = _is_valid(column)
        for dropped in self._dropped.values():
            kept &= ~dropped.mask(first, first + len(kept))
        return kept

    def _drop(self, rule: str, first: int, rows: Rows) -> None:
        self._dropped[rule].set((rows + first).astype(np.uint64))


def _is_valid(column: pa.ChunkedArray) -> Mask:
    return np.array(column.is_valid(), dtype=bool)
