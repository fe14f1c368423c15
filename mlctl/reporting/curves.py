"""The course of training: losses step by step, thinned to what a chart can show."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

Row = dict[str, Any]

#: Columns of `schema.STEPS` that are drawn, in order.
LOSSES = ("loss", "contrastive", "mlm")

#: What is drawn: its name, and what that is.
NAMES = {
    "loss": ("Total loss", "what training minimises"),
    "contrastive": ("Contrastive loss", "telling translations apart"),
    "mlm": ("Masked language model", "guessing masked tokens"),
    "speed": ("Speed", "sentence pairs a second"),
}

_STRETCHES = 100
_LAST = 0.05  # share of the steps that "final" is the mean of


def loss_curves(train: Path) -> dict[str, list[Row]]:
    """Return for each loss of a train result its curve: `step, mean, low, high` of at most 100 stretches of equally many steps."""
    table = pq.read_table(train / "steps.parquet", columns=["step", *LOSSES])
    steps = table["step"].to_numpy()
    return {
        name: _thinned(steps, table[name].to_numpy().astype(np.float64))
        for name in LOSSES
        if len(steps) and table[name].null_count < len(steps)
    }


def final_losses(train: Path) -> dict[str, float | int | None]:
    """Return the number of steps and each loss's mean over the last twentieth of them (None: not part of the wiring)."""
    table = pq.read_table(train / "steps.parquet", columns=["step", *LOSSES])
    last = table.slice(table.num_rows - max(1, int(table.num_rows * _LAST))) if table.num_rows else table
    values = {name: [value for value in last[name].to_pylist() if value is not None and math.isfinite(value)] for name in LOSSES}
    means = {name: sum(found) / len(found) if found else None for name, found in values.items()}
    return {"steps": table.num_rows, **means}


def speed_curve(train: Path) -> list[Row]:
    """Return sentence pairs a second over the steps of a train result, like `loss_curves`; empty where nobody noted it."""
    path = train / "speed.jsonl"
    noted = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, KeyError):  # a line that a crash cut short
            row = json.loads(line)
            noted[int(row["step"])] = float(row["pairs_per_s"])  # steps taken again after a crash replace the first try
    return _thinned(np.array(sorted(noted)), np.array([noted[step] for step in sorted(noted)], dtype=np.float64))


def _thinned(steps: NDArray[Any], values: NDArray[np.float64]) -> list[Row]:
    known = np.isfinite(values)
    steps, values = steps[known], values[known]
    size = max(1, math.ceil(len(steps) / _STRETCHES))
    pieces = [(int(steps[first : first + size][-1]), values[first : first + size]) for first in range(0, len(steps), size)]
    return [
        {"step": last, "mean": float(piece.mean()), "low": float(piece.min()), "high": float(piece.max())}
        for last, piece in pieces
    ]
