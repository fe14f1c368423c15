"""What a model did with the items of a task: the figures, and each item's share in them."""

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

_META = b"outcomes"
_COLUMNS = pa.schema(
    [("outcome", pa.int32()), ("item", pa.string()), ("part", pa.float32()), ("whole", pa.float32())],
)


@dataclass(frozen=True)
class Outcome:
    """The answers of one model to one task in one language and direction.

    Attributes:
        task: name of the task.
        direction: e.g. "fr→en" (asked → answered) or "en→fr" (learned → judged).
        figures: metric → value; the headline one is sum(part) / sum(whole).
        items: N names, the same for every model; an item that adds nothing to either sum may be left out.
        part: (N,) what each item adds to the headline's numerator.
        whole: (N,) what it adds to its denominator.
        notes: what else is worth keeping, as JSON values: a tuned threshold, links that were dropped.
    """

    task: str
    direction: str
    figures: Mapping[str, float]
    items: Sequence[str]
    part: Numbers
    whole: Numbers
    notes: Mapping[str, Any] = field(default_factory=dict)


def share(part: Numbers, whole: Numbers) -> float:
    """Return sum(part) / sum(whole), 0 where there is nothing."""
    total = float(whole.sum(dtype=np.float64))
    return float(part.sum(dtype=np.float64)) / total if total else 0.0


def of_hits(task: str, direction: str, right: npt.NDArray[np.bool_], items: Sequence[str]) -> Outcome:
    """Return the outcome of items that are right or wrong, (N,) bool: accuracy."""
    part, whole = right.astype(np.float32), np.ones(len(right), np.float32)
    return Outcome(task, direction, {"accuracy": share(part, whole)}, items, part, whole)


def write(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write outcomes to one Parquet file."""
    head = [{"task": o.task, "direction": o.direction, "figures": dict(o.figures), "notes": dict(o.notes)} for o in outcomes]
    numbers = [np.full(len(o.items), number, np.int32) for number, o in enumerate(outcomes)]
    table = pa.table(
        [
            np.concatenate([np.empty(0, np.int32), *numbers]),
            pa.array([item for o in outcomes for item in o.items], pa.string()),
            np.concatenate([np.empty(0, np.float32), *(o.part for o in outcomes)]),
            np.concatenate([np.empty(0, np.float32), *(o.whole for o in outcomes)]),
        ],
        schema=_COLUMNS.with_metadata({_META: json.dumps(head, sort_keys=True)}),
    )
    pq.write_table(table, path, compression="zstd")


def read(path: Path) -> list[Outcome]:
    """Read what `write` wrote.

    Raises:
        ValueError: the file is damaged (pyarrow's error is one).
    """
    table = pq.read_table(path)
    head = json.loads((table.schema.metadata or {})[_META])
    numbers, part, whole = (table[name].to_numpy() for name in ("outcome", "part", "whole"))
    names = table["item"].to_pylist()
    bounds = np.searchsorted(numbers, np.arange(len(head) + 1))
    cuts = [slice(int(start), int(end)) for start, end in itertools.pairwise(bounds)]
    return [Outcome(**one, items=names[cut], part=part[cut], whole=whole[cut]) for one, cut in zip(head, cuts, strict=True)]
