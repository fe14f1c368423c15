"""Scores of one model on one task: its metrics, and what each item contributes to the main one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Numbers = npt.NDArray[np.float32]

_HEADER = b"outcomes"  # key of the file's metadata
_COLUMNS = pa.schema(
    [("outcome", pa.int32()), ("item", pa.string()), ("part", pa.float32()), ("whole", pa.float32())],
)


@dataclass(frozen=True)
class ItemScores:
    """Scores of one model on one task in one language and direction.

    Attributes:
        task: name of the task.
        direction: e.g. "fr→en" (query → retrieved) or "en→fr" (fine-tuned on → evaluated on).
        metrics: name → value; the main metric is sum(part) / sum(whole).
        items: N names, the same for every model; an item that adds nothing to either sum may be missing.
        part: (N,) each item's contribution to the numerator of the main metric.
        whole: (N,) its contribution to the denominator.
        notes: details as JSON values: a tuned threshold, links that were dropped.
    """

    task: str
    direction: str
    metrics: Mapping[str, float]
    items: Sequence[str]
    part: Numbers
    whole: Numbers
    notes: Mapping[str, Any] = field(default_factory=dict)


def ratio_of_sums(part: Numbers, whole: Numbers) -> float:
    """Return sum(part) / sum(whole), 0 if the denominator is 0."""
    total = float(whole.sum(dtype=np.float64))
    return float(part.sum(dtype=np.float64)) / total if total else 0.0


def accuracy_scores(task: str, direction: str, correct: npt.NDArray[np.bool_], items: Sequence[str]) -> ItemScores:
    """Return the accuracy of items that are correct or not, (N,) bool."""
    part, whole = correct.astype(np.float32), np.ones(len(correct), np.float32)
    return ItemScores(task, direction, {"accuracy": ratio_of_sums(part, whole)}, items, part, whole)


def write_scores(scores: Sequence[ItemScores], path: Path) -> None:
    """Write scores to one Parquet file."""
    header = [{"task": s.task, "direction": s.direction, "figures": dict(s.metrics), "notes": dict(s.notes)} for s in scores]
    indices = [np.full(len(s.items), index, np.int32) for index, s in enumerate(scores)]
    table = pa.table(
        [
            np.concatenate([np.empty(0, np.int32), *indices]),
            pa.array([item for s in scores for item in s.items], pa.string()),
            np.concatenate([np.empty(0, np.float32), *(s.part for s in scores)]),
            np.concatenate([np.empty(0, np.float32), *(s.whole for s in scores)]),
        ],
        schema=_COLUMNS.with_metadata({_HEADER: json.dumps(header, sort_keys=True)}),
    )
    pq.write_table(table, path, compression="zstd")


def read_scores(path: Path) -> list[ItemScores]:
    """Read what `write_scores` wrote.

    Raises:
        ValueError: the file is damaged (pyarrow's error is a ValueError).
    """
    table = pq.read_table(path)
    header = json.loads((table.schema.metadata or {})[_HEADER])
    indices, part, whole = (table[name].to_numpy() for name in ("outcome", "part", "whole"))
    items = table["item"].to_pylist()
    bounds = np.searchsorted(indices, np.arange(len(header) + 1))
    slices = [slice(int(start), int(end)) for start, end in itertools.pairwise(bounds)]
    return [
        ItemScores(entry["task"], entry["direction"], entry["figures"], items[rows], part[rows], whole[rows], entry["notes"])
        for entry, rows in zip(header, slices, strict=True)
    ]
