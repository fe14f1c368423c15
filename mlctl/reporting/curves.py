"""Training curves: judgements, losses and speed by step, thinned to the resolution of a chart."""

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

#: Columns of `schema.STEPS` with a curve, in order.
LOSSES = ("loss", "contrastive", "mlm")

#: Metrics of `schema.JUDGEMENTS` with a curve, in order.
JUDGED = ("sentence-retrieval", "word-retrieval")

#: Title and description of each curve.
NAMES = {
    "sentence-retrieval": ("Sentence retrieval on dev pairs, %", "mean of languages, among sentences of all languages"),
    "word-retrieval": ("Word retrieval on dev pairs, %", "mean of languages, among words of all languages"),
    "loss": ("Total loss", "weighted sum that training minimises"),
    "contrastive": ("Contrastive loss", "translations against other sentences and words"),
    "mlm": ("Masked-LM loss", "prediction of masked tokens"),
    "learning-rate": ("Learning rate", "warm-up and decay, as the optimiser used it"),
    "speed": ("Speed", "sentence pairs per second"),
}

#: Curves whose axis begins at 0.
FROM_ZERO = ("learning-rate", "speed")

_MAX_POINTS = 100
_FINAL_SHARE = 0.05  # share of the steps that final losses are the mean of


def loss_curves(train: Path) -> dict[str, list[Row]]:
    """Return for each loss of a train result its curve: `step, mean, low, high` of at most 100 intervals of equally many steps."""
    table = pq.read_table(train / "steps.parquet", columns=["step", *LOSSES])
    steps = table["step"].to_numpy()
    return {
        name: _thin(steps, table[name].to_numpy().astype(np.float64))
        for name in LOSSES
        if len(steps) and table[name].null_count < len(steps)
    }


def learning_rate_curve(train: Path) -> list[Row]:
    """Return the learning rate over the steps of a train result, like `loss_curves`."""
    table = pq.read_table(train / "steps.parquet", columns=["step", "learning_rate"])
    return _thin(table["step"].to_numpy(), table["learning_rate"].to_numpy().astype(np.float64))


def judgement_curves(train: Path) -> dict[str, list[Row]]:
    """Return for each metric of the judgements of a train result its curve, in %, like `loss_curves`; empty: it was not judged.

    `mean` is that of the languages; there is no band.
    """
    path = train / "judgements.parquet"
    rows = pq.read_table(path).to_pylist() if path.exists() else []
    curves: dict[str, list[Row]] = {}
    for metric in JUDGED:
        by_step: dict[int, list[float]] = {}
        for row in rows:
            if row["metric"] == metric:
                by_step.setdefault(row["step"], []).append(100 * row["value"])
        if by_step:
            means = np.array([sum(values) / len(values) for values in by_step.values()])
            curves[metric] = _thin(np.array(list(by_step)), means)
    return curves


def all_curves(train: Path) -> dict[str, list[Row]]:
    """Return every curve of a train result that has points, in the order of `NAMES`."""
    rate = {"learning-rate": learning_rate_curve(train)}
    curves = {**judgement_curves(train), **loss_curves(train), **rate, "speed": speed_curve(train)}
    return {name: rows for name, rows in curves.items() if rows}


def final_losses(train: Path) -> dict[str, float | int | None]:
    """Return the number of steps and each loss's mean over the last twentieth of them (None: not part of the objective)."""
    table = pq.read_table(train / "steps.parquet", columns=["step", *LOSSES])
    last = table.slice(table.num_rows - max(1, int(table.num_rows * _FINAL_SHARE))) if table.num_rows else table
    finite = {name: [value for value in last[name].to_pylist() if value is not None and math.isfinite(value)] for name in LOSSES}
    means = {name: sum(values) / len(values) if values else None for name, values in finite.items()}
    return {"steps": table.num_rows, **means}


def speed_curve(train: Path) -> list[Row]:
    """Return sentence pairs per second over the steps of a train result, like `loss_curves`; empty if they were not recorded."""
    path = train / "speed.jsonl"
    speeds = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # a line that a crash cut short
            row = json.loads(line)
            speeds[int(row["step"])] = float(row["pairs_per_s"])  # steps repeated after a crash overwrite the first attempt
    return _thin(np.array(sorted(speeds)), np.array([speeds[step] for step in sorted(speeds)], dtype=np.float64))


def _thin(steps: NDArray[Any], values: NDArray[np.float64]) -> list[Row]:
    finite = np.isfinite(values)
    steps, values = steps[finite], values[finite]
    size = max(1, math.ceil(len(steps) / _MAX_POINTS))
    intervals = [(int(steps[first : first + size][-1]), values[first : first + size]) for first in range(0, len(steps), size)]
    return [
        {"step": last, "mean": float(interval.mean()), "low": float(interval.min()), "high": float(interval.max())}
        for last, interval in intervals
    ]
