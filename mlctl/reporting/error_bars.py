"""Geometry, in pixels, of a chart of differences with error bars: a line for each variant, a mark for each training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, ROW, AXIS = 640, 26, 28
_LABEL, _MARGIN = 220, 14
_CHARACTER = 6.6  # width at 12 px
_TICKS = 6


@dataclass(frozen=True)
class Bar:
    """One variant: vertical centre `y`, and in pixels its mean, the ends of its deviation and of its interval, and its trainings."""

    label: str
    title: str
    y: float
    mean: float
    deviation: tuple[float, float] | None
    interval: tuple[float, float] | None
    significant: bool
    trainings: Sequence[float]


@dataclass(frozen=True)
class ErrorBars:
    """A chart: bars, ticks as (x, text), the x of no difference, and the height."""

    bars: Sequence[Bar]
    ticks: Sequence[tuple[float, str]]
    zero: float
    height: int


def error_bars(rows: Sequence[Mapping[str, Any]], trainings: Mapping[str, Sequence[float]]) -> ErrorBars | None:
    """Return the chart of the variants of a task that were compared with the baseline; None: there are none.

    Args:
        rows: averages of one task, as in sweep.json.
        trainings: differences of the trainings of each variant.
    """
    shown = [row for row in rows if row["difference"] is not None]
    if not shown:
        return None
    low, high, step = _axis([100 * value for row in shown for value in _extent(row, trainings[row["variant"]])])

    def x(share: float) -> float:
        return round(_LABEL + (WIDTH - _LABEL - _MARGIN) * (100 * share - low) / (high - low), 1)

    bars = [_bar(row, ROW * (number + 0.5), trainings[row["variant"]], x) for number, row in enumerate(shown)]
    count = round((high - low) / step)
    ticks = [(x((low + step * number) / 100), _tick(low + step * number, step)) for number in range(count + 1)]
    return ErrorBars(bars, ticks, x(0.0), ROW * len(shown) + AXIS)


def _bar(row: Mapping[str, Any], y: float, trainings: Sequence[float], x: Any) -> Bar:
    mean, deviation, low, high = (row[name] for name in ("difference", "difference_deviation", "low", "high"))
    ends = (x(mean - deviation), x(mean + deviation)) if deviation is not None else None
    interval = (x(low), x(high)) if low is not None else None
    title = f"{row['variant']}: {100 * mean:+.2f}" + (f" ± {100 * deviation:.2f}" if deviation is not None else "")
    return Bar(
        _shorten(row["variant"]), title, y, x(mean), ends, interval, bool(row["significant"]), [x(value) for value in trainings]
    )


def _extent(row: Mapping[str, Any], trainings: Sequence[float]) -> list[float]:
    spread = row["difference_deviation"] or 0.0
    values = [0.0, row["difference"] - spread, row["difference"] + spread, *trainings]
    return [*values, *(row[name] for name in ("low", "high") if row[name] is not None)]


def _axis(values: Sequence[float]) -> tuple[float, float, float]:
    """Return round ends of an axis that contains all values, and the distance of its ticks."""
    low, high = min(values), max(values)
    size = (high - low or 1.0) / _TICKS
    power = 10.0 ** math.floor(math.log10(size))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= size)
    return step * math.floor(low / step), step * max(math.ceil(high / step), math.floor(low / step) + 1), step


def _tick(value: float, step: float) -> str:
    digits = max(0, -math.floor(math.log10(step)))
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}".replace("-", "−") if rounded else "0"


def _shorten(text: str) -> str:
    most = int(_LABEL / _CHARACTER) - 2
    return text if len(text) <= most else f"{text[: most - 1]}…"
