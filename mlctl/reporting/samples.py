"""Rows of the data to look at: dropped pairs of each rule, and aligned pairs. Drawn with a fixed seed, so always the same."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.core.arrow import batches
from mlctl.core.random import shuffle_key

Row = dict[str, Any]

#: Stages that set pairs aside, in order.
REJECTING = ("clean", "translate", "align")

_SHOWN = ["rule", "source_language", "target_language", "source", "target", "corpus"]
_SPARE = 4  # rows drawn for each that is wanted: a pair that was dropped several times is shown once
_RULES_AT_ONCE, _ROWS_AT_ONCE = 65_536, 4096
_MOST_ALIGNED = 6
_LOOKED_THROUGH = 20_000
_FEWEST_WORDS, _MOST_WORDS = 4, 9
_LINKED = 0.7  # share of a side's words with a link, for a pair worth showing

# Number of a row by lot, number of its file, its place in that file.
_Lot = tuple[float, int, int]


def rejected_examples(folders: Mapping[str, Path], count: int) -> list[Row]:
    """Draw up to `count` dropped pairs of each rule: `stage, rule, language, source, target, corpus`, by stage and rule.

    Every row has the same chance. Memory does not grow with the files: of all rows only the rule is read, and of those drawn the
    row groups that they stand in.
    """
    files = [(stage, file) for stage in REJECTING for file in _rejected_files(folders.get(stage))]
    drawn: dict[tuple[int, str], list[_Lot]] = {}
    for number, (stage, file) in enumerate(files) if count else ():
        _draw(file, number, REJECTING.index(stage), _SPARE * count, drawn)
    read = _read([file for _, file in files], [lot for lots in drawn.values() for lot in lots])
    return [
        {**row, "stage": REJECTING[stage], "language": row["target_language"]}
        for stage, rule in sorted(drawn)
        for row in _distinct(read[lot] for lot in drawn[stage, rule])[:count]
    ]


def aligned_examples(align: Path | None, languages: Sequence[str]) -> list[Row]:
    """Choose a few short, well-linked pairs of the languages, rather with links that cross: rows of `schema.ALIGNED`."""
    each = max(1, _MOST_ALIGNED // len(languages))
    found = []
    for language in languages[:_MOST_ALIGNED] if align else ():
        rows = _first_rows(align / "pairs" / f"{language}.parquet", _LOOKED_THROUGH) if align else iter(())
        found += heapq.nsmallest(each, filter(_worth_showing, rows), key=_interest)
    return found


def _rejected_files(folder: Path | None) -> list[Path]:
    return sorted((folder / "rejected").rglob("*.parquet")) if folder else []


def _draw(file: Path, number: int, stage: int, most: int, drawn: dict[tuple[int, str], list[_Lot]]) -> None:
    """Give each row of a file a number by lot; keep the `most` rows of each rule that have the smallest, over all files."""
    generator, place = np.random.default_rng(number), 0
    for batch in batches(file, ["rule"], _RULES_AT_ONCE):
        lots, rules = generator.random(batch.num_rows), batch["rule"].dictionary_encode()
        codes = rules.indices.to_numpy()
        for code, rule in enumerate(rules.dictionary.to_pylist()):
            best = drawn.get((stage, rule), [])
            worst = best[-1][0] if len(best) == most else 1.0
            rows = np.flatnonzero((codes == code) & (lots < worst)).tolist()
            if rows:
                drawn[stage, rule] = heapq.nsmallest(most, [*best, *((float(lots[row]), number, place + row) for row in rows)])
        place += batch.num_rows


def _read(files: Sequence[Path], lots: Sequence[_Lot]) -> dict[_Lot, Row]:
    """Return the rows that were drawn."""
    found: dict[_Lot, Row] = {}
    for number, file in enumerate(files):
        here = sorted((lot for lot in lots if lot[1] == number), key=lambda lot: lot[2])
        found.update(zip(here, _rows_at(file, np.array([lot[2] for lot in here], np.int64)), strict=True))
    return found


def _rows_at(file: Path, places: Any) -> Iterator[Row]:
    """Yield the rows at ascending places (N,) of a file, from the row groups that have them, a batch at a time."""
    parquet = pq.ParquetFile(file)
    ends = np.cumsum([parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)])
    for group in np.unique(np.searchsorted(ends, places, side="right")).tolist():
        start = int(ends[group - 1]) if group else 0
        for batch in parquet.iter_batches(_ROWS_AT_ONCE, row_groups=[group], columns=_SHOWN):
            here = places[(places >= start) & (places < start + batch.num_rows)] - start
            start += batch.num_rows
            yield from batch.take(pa.array(here)).to_pylist()


def _distinct(rows: Iterator[Row]) -> list[Row]:
    """Return the rows in their order, those with the same text once."""
    return list({(row["target_language"], row["source"], row["target"]): row for row in rows}.values())


def _first_rows(file: Path, most: int) -> Iterator[Row]:
    """Yield the first rows of a file, some more than `most`."""
    read = 0
    for batch in batches(file, batch_rows=_ROWS_AT_ONCE) if file.exists() else ():
        yield from batch.to_pylist()
        read += batch.num_rows
        if read >= most:
            break


def _worth_showing(row: Row) -> bool:
    sides = [
        (row["source_words"], {link["source"] for link in row["links"]}),
        (row["target_words"], {link["target"] for link in row["links"]}),
    ]
    return all(_FEWEST_WORDS <= len(words) <= _MOST_WORDS and len(linked) >= _LINKED * len(words) for words, linked in sides)


def _interest(row: Row) -> tuple[bool, bytes]:
    return not _crosses(row["links"]), shuffle_key(row["source"], row["target"])


def _crosses(links: Sequence[Mapping[str, int]]) -> bool:
    return any((a["source"] - b["source"]) * (a["target"] - b["target"]) < 0 for a in links for b in links)
