"""Rows of the data to look at: dropped pairs of each rule, and aligned pairs. Chosen by hash, so always the same."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Row = dict[str, Any]

#: Stages that set pairs aside, in order.
REJECTING = ("clean", "translate", "align")

_MOST_ALIGNED = 6
_LOOKED_THROUGH = 20_000
_FEWEST_WORDS, _MOST_WORDS = 4, 9
_LINKED = 0.7  # share of a side's words with a link, for a pair worth showing


def rejected_examples(folders: Mapping[str, Path], count: int) -> list[Row]:
    """Choose up to `count` dropped pairs of each rule: `stage, rule, language, source, target, corpus`, by stage and rule."""
    chosen: dict[tuple[int, str], list[tuple[str, Row]]] = {}
    for number, stage in enumerate(REJECTING):
        for row in _rows(_rejected_files(folders.get(stage)), ["rule", "target_language", "source", "target", "corpus"]):
            best = chosen.setdefault((number, row["rule"]), [])
            best.append((_digest(row["target_language"], row["source"] or "", row["target"] or ""), row))
            if len(best) > 64 + 2 * count:
                chosen[number, row["rule"]] = _smallest(best, count)
    return [
        {**row, "stage": REJECTING[number], "language": row["target_language"]}
        for number, rule in sorted(chosen)
        for _, row in _smallest(chosen[number, rule], count)
    ]


def aligned_examples(align: Path | None, languages: Sequence[str]) -> list[Row]:
    """Choose a few short, well-linked pairs of the languages, rather with links that cross: rows of `schema.ALIGNED`."""
    each = max(1, _MOST_ALIGNED // len(languages))
    found = []
    for language in languages[:_MOST_ALIGNED] if align else ():
        rows = _rows([align / "pairs" / f"{language}.parquet"], None, most=_LOOKED_THROUGH) if align else iter(())
        found += heapq.nsmallest(each, filter(_worth_showing, rows), key=_interest)
    return found


def _smallest(rows: Iterable[tuple[str, Row]], count: int) -> list[tuple[str, Row]]:
    """Return the rows of smallest digest, each digest (the same pair dropped twice) once."""
    return heapq.nsmallest(count, dict(rows).items(), key=itemgetter(0))


def _rejected_files(folder: Path | None) -> list[Path]:
    return sorted((folder / "rejected").rglob("*.parquet")) if folder else []


def _rows(files: Iterable[Path], columns: list[str] | None, most: int | None = None) -> Iterator[Row]:
    """Read rows file by file, batch by batch, at most `most` of a file."""
    for file in files:
        if not file.exists():
            continue
        read = 0
        for batch in pq.ParquetFile(file).iter_batches(batch_size=4096, columns=columns):
            yield from batch.to_pylist()
            read += batch.num_rows
            if most is not None and read >= most:
                break


def _worth_showing(row: Row) -> bool:
    sides = [
        (row["source_words"], {link["source"] for link in row["links"]}),
        (row["target_words"], {link["target"] for link in row["links"]}),
    ]
    return all(_FEWEST_WORDS <= len(words) <= _MOST_WORDS and len(linked) >= _LINKED * len(words) for words, linked in sides)


def _interest(row: Row) -> tuple[bool, str]:
    return not _crosses(row["links"]), _digest(row["source"], row["target"])


def _crosses(links: Sequence[Mapping[str, int]]) -> bool:
    return any((a["source"] - b["source"]) * (a["target"] - b["target"]) < 0 for a in links for b in links)


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
