"""The caps per language: on synthetic rows, and on the word pairs of each word. Fitted to all runs, then read by the steps that write shards."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from mlctl.config import Shard
from mlctl.sharding.external_sort import RowFilter, SortedRun
from mlctl.sharding.synthetic_cap import SyntheticCap
from mlctl.sharding.word_frequency_cap import WordFrequencyCap


def apply_caps(runs: list[SortedRun], settings: Shard) -> list[SortedRun]:
    """Return the runs with the recipe's caps per language: on synthetic rows, and on the word pairs of each word."""
    runs = _cap_synthetic(runs, settings.max_synthetic)
    if settings.word_frequency_cap is None:
        return runs
    caps = _word_frequency_caps(runs, settings.word_frequency_cap)
    capped = [run.filtered(caps[run.language]) for run in runs]
    rows_dropped = any(after.kept.rows < before.kept.rows for after, before in zip(capped, runs, strict=True))
    # Again if rows were dropped: more human rows may be gone than synthetic ones.
    return _cap_synthetic(capped, settings.max_synthetic) if rows_dropped else capped


def _word_frequency_caps(runs: list[SortedRun], max_word_pairs: int) -> dict[str, WordFrequencyCap]:
    languages = dict.fromkeys(run.language for run in runs)
    return {language: WordFrequencyCap.fit(functools.partial(_tables, runs, language), max_word_pairs) for language in languages}


def _cap_synthetic(runs: list[SortedRun], max_synthetic: float | None) -> list[SortedRun]:
    if max_synthetic is None:
        return runs
    languages = dict.fromkeys(run.language for run in runs)
    caps = {
        language: SyntheticCap.fit([table.select(["key", "synthetic"]) for table in _tables(runs, language)], max_synthetic)
        for language in languages
    }
    return [run.filtered(caps[run.language]) for run in runs]


def _tables(runs: list[SortedRun], language: str) -> Iterator[pa.Table]:
    return (run.filter_columns() for run in runs if run.language == language)


def save_caps(path: Path, runs: Sequence[SortedRun]) -> None:
    """Write the caps of runs, which are the same for all runs of a language, as JSON."""
    filters = {run.language: [_as_json(row_filter) for row_filter in run.filters] for run in runs}
    path.write_text(json.dumps(filters), encoding="utf-8")


def load_caps(path: Path) -> dict[str, tuple[RowFilter, ...]]:
    """Return the caps of each language that `save_caps` wrote."""
    filters = json.loads(path.read_text(encoding="utf-8"))
    return {language: tuple(map(_from_json, items)) for language, items in filters.items()}


def _as_json(row_filter: RowFilter) -> dict[str, Any]:
    if isinstance(row_filter, WordFrequencyCap):
        return {"words": row_filter.words.tolist(), "below": row_filter.below.tolist()}
    return {"below": cast(SyntheticCap, row_filter).below}


def _from_json(cap: dict[str, Any]) -> RowFilter:
    if "words" not in cap:
        return SyntheticCap(cap["below"])
    return WordFrequencyCap(np.array(cap["words"], np.uint64), np.array(cap["below"], np.uint64))
