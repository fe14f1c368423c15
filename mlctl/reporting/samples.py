"""Samples of the data: dropped pairs of each rule, and aligned pairs. Drawn with fixed seeds, so that they are always the same."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mlctl.core.arrow import batches
from mlctl.core.random import shuffle_key
from mlctl.stage_names import STAGE_NAMES

Row = dict[str, Any]

_COLUMNS = ["rule", "source_language", "target_language", "source", "target", "corpus"]
_OVERSAMPLING = 4  # rows drawn for each that is shown, as a pair that was dropped several times is shown once
_RULE_BATCH_ROWS, _BATCH_ROWS = 65_536, 4096
_MAX_ALIGNED = 6
_ALIGNED_ROWS_READ = 20_000
_MIN_WORDS, _MAX_WORDS = 4, 9
_MIN_LINKED = 0.7  # share of a side's words with a link

# Random number of a row, number of its file, its row in that file.
_Draw = tuple[float, int, int]


def rejected_examples(folders: Mapping[str, Path], count: int) -> list[Row]:
    """Draw up to `count` dropped pairs of each rule: `stage, rule, language, source, target, corpus`, by stage and rule.

    Every row has the same probability. Memory does not grow with the files: only the rule is read of all rows, and the other
    columns of the row groups of the drawn ones.
    """
    files = [(stage, file) for stage in STAGE_NAMES for file in _rejected_files(folders.get(stage))]
    draws: dict[tuple[int, str], list[_Draw]] = {}
    for number, (stage, file) in enumerate(files) if count else ():
        _draw(file, number, STAGE_NAMES.index(stage), _OVERSAMPLING * count, draws)
    rows = _read([file for _, file in files], [draw for of_rule in draws.values() for draw in of_rule])
    return [
        {**row, "stage": STAGE_NAMES[stage], "language": row["target_language"]}
        for stage, rule in sorted(draws)
        for row in _distinct(rows[draw] for draw in draws[stage, rule])[:count]
    ]


def aligned_examples(align: Path | None, languages: Sequence[str]) -> list[Row]:
    """Return a few short pairs of each language with many links, preferably crossing ones: rows of `schema.ALIGNED`."""
    per_language = max(1, _MAX_ALIGNED // len(languages))
    examples = []
    for language in languages[:_MAX_ALIGNED] if align else ():
        rows = _first_rows(align / "pairs" / f"{language}.parquet", _ALIGNED_ROWS_READ) if align else iter(())
        examples += heapq.nsmallest(per_language, filter(_is_short_and_linked, rows), key=_crossing_first)
    return examples


def _rejected_files(folder: Path | None) -> list[Path]:
    return sorted((folder / "rejected").rglob("*.parquet")) if folder else []


def _draw(file: Path, number: int, stage: int, limit: int, draws: dict[tuple[int, str], list[_Draw]]) -> None:
    """Give each row of a file a random number; keep the `limit` rows of each rule with the smallest, over all files."""
    generator, first_row = np.random.default_rng(number), 0
    for batch in batches(file, ["rule"], _RULE_BATCH_ROWS):
        randoms, rules = generator.random(batch.num_rows), batch["rule"].dictionary_encode()
        codes = rules.indices.to_numpy()
        for code, rule in enumerate(rules.dictionary.to_pylist()):
            best = draws.get((stage, rule), [])
            worst = best[-1][0] if len(best) == limit else 1.0
            rows = np.flatnonzero((codes == code) & (randoms < worst)).tolist()
            if rows:
                new = ((float(randoms[row]), number, first_row + row) for row in rows)
                draws[stage, rule] = heapq.nsmallest(limit, [*best, *new])
        first_row += batch.num_rows


def _read(files: Sequence[Path], draws: Sequence[_Draw]) -> dict[_Draw, Row]:
    """Return the rows that were drawn."""
    rows: dict[_Draw, Row] = {}
    for number, file in enumerate(files):
        in_file = sorted((draw for draw in draws if draw[1] == number), key=lambda draw: draw[2])
        rows.update(zip(in_file, _rows_at(file, np.array([draw[2] for draw in in_file], np.int64)), strict=True))
    return rows


def _rows_at(file: Path, indices: Any) -> Iterator[Row]:
    """Yield the rows at ascending indices (N,) of a file, from the row groups that have them, a batch at a time."""
    parquet = pq.ParquetFile(file)
    ends = np.cumsum([parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)])
    for group in np.unique(np.searchsorted(ends, indices, side="right")).tolist():
        start = int(ends[group - 1]) if group else 0
        for batch in parquet.iter_batches(_BATCH_ROWS, row_groups=[group], columns=_COLUMNS):
            in_batch = indices[(indices >= start) & (indices < start + batch.num_rows)] - start
            start += batch.num_rows
            yield from batch.take(pa.array(in_batch)).to_pylist()


def _distinct(rows: Iterable[Row]) -> list[Row]:
    """Return the rows in their order, those with equal text once."""
    return list({(row["target_language"], row["source"], row["target"]): row for row in rows}.values())


def _first_rows(file: Path, limit: int) -> Iterator[Row]:
    """Yield the rows of the first batches of a file, at least `limit` if it has as many."""
    read = 0
    for batch in batches(file, batch_rows=_BATCH_ROWS) if file.exists() else ():
        yield from batch.to_pylist()
        read += batch.num_rows
        if read >= limit:
            break


def _is_short_and_linked(row: Row) -> bool:
    sides = [
        (row["source_words"], {link["source"] for link in row["links"]}),
        (row["target_words"], {link["target"] for link in row["links"]}),
    ]
    return all(_MIN_WORDS <= len(words) <= _MAX_WORDS and len(linked) >= _MIN_LINKED * len(words) for words, linked in sides)


def _crossing_first(row: Row) -> tuple[bool, bytes]:
    return not _has_crossing(row["links"]), shuffle_key(row["source"], row["target"])


def _has_crossing(links: Sequence[Mapping[str, int]]) -> bool:
    return any((a["source"] - b["source"]) * (a["target"] - b["target"]) < 0 for a in links for b in links)
