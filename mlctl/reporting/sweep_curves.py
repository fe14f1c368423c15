"""The curves of a sweep that varies one number: differences against that setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mlctl.reporting import charts

_MIN_POINTS = 3
_LOG_RANGE = 10  # largest over smallest value from which on the axis is logarithmic


class Axis(NamedTuple):
    """The setting that varies, its value in each variant (of a list the number of its entries), and whether its axis is logarithmic."""

    setting: str
    values: dict[str, float]
    is_logarithmic: bool


def find_axis(figures: Mapping[str, Any]) -> Axis | None:
    """Return the setting that alone varies in the variants of a sweep; None: there is none, it is no number, or has too few values."""
    settings = {variant["name"]: variant["settings"] for variant in figures["variants"]}
    names = {name for values in settings.values() for name in values}
    if len(names) != 1 or not all(settings.values()):
        return None
    (name,) = names
    values = {variant: _number(changed[name]) for variant, changed in settings.items()}
    numbers = {variant: value for variant, value in values.items() if value is not None}
    if len(numbers) < len(values) or len(set(numbers.values())) < _MIN_POINTS:
        return None
    smallest, largest = min(numbers.values()), max(numbers.values())
    return Axis(name, numbers, smallest > 0 and largest >= _LOG_RANGE * smallest)


def curve_charts(figures: Mapping[str, Any]) -> dict[str, charts.Spec]:
    """Return for each task the chart of its differences to the baseline; empty: the sweep has no axis (`find_axis`)."""
    axis = find_axis(figures)
    if axis is None:
        return {}
    rows: dict[str, list[charts.Row]] = {}
    for row in figures["averages"]:
        if row["difference"] is not None:
            rows.setdefault(row["task"], []).append({**row, "x": axis.values[row["variant"]]})
    return {f"curve-{task}": charts.axis_chart(of_task, axis.setting, axis.is_logarithmic) for task, of_task in rows.items()}


def _number(value: Any) -> float | None:
    if isinstance(value, list):
        return float(len(value))
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
