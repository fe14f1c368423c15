"""The rules that compare rows with all that came before, in the order of the rows. They see numbers, never text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import config
from mlctl.cleaning.duplicates import Buckets, Digests, Marks, Mask
from mlctl.cleaning.filter_results import numbers, sketches
from mlctl.cleaning.minhash import NearDuplicates, Rows
from mlctl.cleaning.reader import Downloaded
from mlctl.cleaning.repeats import Repeats

DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near duplicate"
BOILERPLATE = "boilerplate"
TRANSLATED_ELSEWHERE = "translated elsewhere"
OVER_THE_LIMIT = "over the limit"

_BINS = 16  # bits of a digest by which pairs are counted
_SHIFT = np.uint64(64 - _BINS)


def reasons(settings: config.Clean) -> dict[str, str]:
    """Return the rules' names in their order, each with what it drops."""
    return {
        DUPLICATE: "the same text came before",
        NEAR_DUPLICATE: f"a text that is nearly the same came before ({settings.near_duplicates}: {settings.near_duplicate_similarity:.0%})",
        BOILERPLATE: f"a side came more than {settings.max_repeats} times, numbers aside, each time with something else",
        TRANSLATED_ELSEWHERE: "the text has no translation here, but another corpus has one",
        OVER_THE_LIMIT: "not drawn: there are more good pairs than max_pairs",
    }


class Comparison:
    """Which rows of a language go because of others. `files` has the judged rows (JUDGED), a file a part.

    Tables are of fixed size, digests are looked at a bucket at a time; what grows with the corpus is half a byte a row.
    """

    def __init__(self, settings: config.Clean, inputs: Downloaded, files: Sequence[Path], scratch: Path) -> None:
        self._inputs = inputs
        self._files = files
        self._marks = {rule: Marks(inputs.rows) for rule in reasons(settings)}
        self._mark_duplicates(scratch / "same")
        self._mark_pairs(settings)
        if inputs.untranslated:
            self._mark_translated_elsewhere(scratch, "same_source")
            self._mark_translated_elsewhere(scratch, "same_target")
        if settings.max_pairs:
            self._mark_over_the_limit(settings.max_pairs)

    def rules(self, first: int, last: int) -> dict[str, Mask]:
        """Tell for each rule which of rows `first` to `last` (not counted) it drops. A row has one rule at most."""
        return {rule: marks.between(first, last) for rule, marks in self._marks.items()}

    def _mark_duplicates(self, scratch: Path) -> None:
        buckets = Buckets(scratch, self._inputs.rows)
        for first, table in self._read("same"):
            kept = np.flatnonzero(_valid(table["same"]))
            buckets.add(numbers(table["same"])[kept], (kept + first).astype(np.uint64))
        for bucket in buckets:
            self._marks[DUPLICATE].add(bucket.again)

    def _mark_pairs(self, settings: config.Clean) -> None:
        near = NearDuplicates(settings.near_duplicate_similarity, self._inputs.rows - self._inputs.untranslated)
        ours, theirs = Repeats(settings.max_repeats), Repeats(settings.max_repeats)
        for first, table in self._read("repeated_source", "repeated_target", "sketch", "places"):
            new = self._left(first, table["repeated_source"])
            long = np.flatnonzero(new & _valid(table["sketch"]))
            self._mark(NEAR_DUPLICATE, first, long[near.add(*sketches(table.take(long)))])
            if settings.max_repeats:
                left = np.flatnonzero(self._left(first, table["repeated_source"]))
                sides = (numbers(table[name])[left] for name in ("repeated_source", "repeated_target"))
                often = np.logical_or(*(repeats.add(side) for repeats, side in zip((ours, theirs), sides, strict=True)))
                self._mark(BOILERPLATE, first, left[often])

    def _mark_translated_elsewhere(self, scratch: Path, side: str) -> None:
        paired, alone = Buckets(scratch / "paired", self._inputs.rows), Buckets(scratch / "alone", self._inputs.rows)
        for first, table in self._read("paired", side):
            left = self._left(first, table[side])
            for buckets, wanted in ((paired, True), (alone, False)):
                rows = np.flatnonzero(left & (np.asarray(table["paired"]) == wanted))
                buckets.add(numbers(table[side])[rows], (rows + first).astype(np.uint64))
        for ours, theirs in zip(alone, paired, strict=True):
            self._marks[TRANSLATED_ELSEWHERE].add(ours.rows[np.isin(ours.digests, theirs.digests)])

    def _mark_over_the_limit(self, most: int) -> None:
        """Mark the pairs with the largest digests; counted first, so that no more than one bin of digests is in memory."""
        counts = sum(
            (np.bincount(draws >> _SHIFT, minlength=1 << _BINS) for _, draws in self._good_pairs()), np.zeros(1 << _BINS)
        )
        upto = np.cumsum(counts)
        if upto[-1] <= most:
            return
        last = int(np.searchsorted(upto, most, side="right"))
        inside = np.concatenate([draws[draws >> _SHIFT == last] for _, draws in self._good_pairs()])
        room = most - int(upto[last] - counts[last])
        first_out = np.partition(inside, room)[room]
        for rows, draws in self._good_pairs():
            self._marks[OVER_THE_LIMIT].add(rows[draws >= first_out])

    def _good_pairs(self) -> Iterator[tuple[Rows, Digests]]:
        """Yield numbers and digests of the rows with both sides that have no mark of another rule."""
        for first, table in self._read("paired", "same"):
            rows = np.flatnonzero(self._left(first, table["same"]) & np.asarray(table["paired"]))
            yield (rows + first).astype(np.uint64), numbers(table["same"])[rows]

    def _read(self, *columns: str) -> Iterator[tuple[int, pa.Table]]:
        for (first, _), file in zip(self._inputs.parts, self._files, strict=True):
            yield first, pq.read_table(file, columns=list(columns))

    def _left(self, first: int, column: pa.ChunkedArray) -> Mask:
        """Tell which rows have a number in the column and no mark."""
        left = _valid(column)
        for marks in self._marks.values():
            left &= ~marks.between(first, first + len(left))
        return left

    def _mark(self, rule: str, first: int, rows: Rows) -> None:
        self._marks[rule].add((rows + first).astype(np.uint64))


def _valid(column: pa.ChunkedArray) -> Mask:
    return np.array(column.is_valid(), dtype=bool)
