"""What changed and for whom: items, lengths, scripts, families, amounts of training text, geometry. Pure functions of results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlctl import language_families
from mlctl.reporting.formatting import format_number

Row = dict[str, Any]

_AMOUNTS = (1, 1_000, 10_000, 100_000, 1_000_000)
_LENGTHS = ("short", "medium", "long")


def change_figures(folders: Mapping[str, Path], differences: Sequence[Row]) -> dict[str, list[Row]]:
    """Return what changed in a run.

    Args:
        folders: stage → folder of its result.
        differences: `tables.benchmark_rows`.

    Returns:
        `tasks` (items gained and lost), `items` (`schema.CHANGED_ITEMS`), `groups` (by what, group, languages, means over languages
        without English), `geometry` (`schema.GEOMETRY`, with a column for each model). All but `groups` are empty of a result without
        them.
    """
    evaluated = folders["evaluate"]
    lengths = _rows(evaluated / "length_scores.parquet")
    return {
        "tasks": _task_rows(lengths),
        "items": _rows(evaluated / "changed_items.parquet"),
        "groups": [*_length_groups(lengths), *_language_groups(differences, _training_rows(folders.get("shard")))],
        "geometry": _geometry_rows(_rows(evaluated / "geometry.parquet")),
    }


def _task_rows(lengths: Iterable[Row]) -> list[Row]:
    """Return for each task the number of items, and of those that training gained and lost."""
    tasks: dict[str, Counter[str]] = {}
    for row in lengths:
        counts = tasks.setdefault(row["task"], Counter())
        counts.update({name: row[name] for name in ("items", "gained", "lost")})
    return [{"task": task, **{name: counts[name] for name in ("items", "gained", "lost")}} for task, counts in tasks.items()]


def _length_groups(lengths: Sequence[Row]) -> list[Row]:
    rows = []
    for task in dict.fromkeys(row["task"] for row in lengths):
        for length in _LENGTHS:
            own = [row for row in lengths if (row["task"], row["length"]) == (task, length)]
            own = [row for row in own if row["language"] != "en"] or own
            if own:
                rows.append(_group(task, "length", length, own))
    return rows


def _language_groups(differences: Sequence[Row], training_rows: Mapping[str, int]) -> list[Row]:
    """Group the languages of each task by script, family and amount of training text; one group alone says nothing."""
    kinds: dict[str, Callable[[str], str]] = {
        "script": language_families.script_name,
        "family": language_families.family,
        **({"training rows": lambda language: _amount(training_rows.get(language, 0))} if training_rows else {}),
    }
    rows = []
    for task in dict.fromkeys(row["task"] for row in differences):
        own = [row for row in differences if row["task"] == task and row["zero_shot"]]
        for by, group_of in kinds.items():
            groups: dict[str, list[Row]] = {}
            for row in own:
                groups.setdefault(group_of(row["language"]), []).append(row)
            if len(groups) > 1:
                rows += [_group(task, by, name, groups[name]) for name in sorted(groups, key=_group_order)]
    return rows


def _group(task: str, by: str, name: str, rows: Sequence[Row]) -> Row:
    base, trained = (sum(row[model] for row in rows) / len(rows) for model in ("base", "trained"))
    scores = {"base": base, "trained": trained, "difference": trained - base}
    return {"task": task, "by": by, "group": name, "languages": len(rows), **scores}


def _amount(rows: int) -> str:
    """Return the group of a number of training rows: "none", "under 1,000", "1,000 to 9,999" …"""
    if not rows:
        return "none"
    above = next((limit for limit in _AMOUNTS if rows < limit), None)
    if above is None:
        return f"{format_number(_AMOUNTS[-1])} or more"
    low = _AMOUNTS[_AMOUNTS.index(above) - 1]
    return f"under {format_number(above)}" if low == 1 else f"{format_number(low)} to {format_number(above - 1)}"


def _group_order(name: str) -> tuple[bool, int, str]:
    """Sort amounts by their numbers, names by the alphabet, `other` last."""
    digits = "".join(character for character in name.partition(" to ")[0] if character.isdigit())
    number = int(digits) - name.startswith("under") if digits else 0
    return name == language_families.OTHER, number, name


def _training_rows(shard: Path | None) -> Counter[str]:
    """Count the training rows of each target language."""
    counts = Counter[str]()
    for file in sorted((shard / "train").glob("*.parquet")) if shard else ():
        for count in pc.value_counts(pq.read_table(file, columns=["target_language"])["target_language"]).to_pylist():
            counts[count["values"]] += count["counts"]
    return counts


def _geometry_rows(rows: Iterable[Row]) -> list[Row]:
    """Put both models side by side, the figures of all languages together first."""
    found: dict[tuple[str, str | None], Row] = {}
    for row in rows:
        key = row["measure"], row["language"]
        empty = {
            "measure": row["measure"],
            "language": row["language"],
            "sentences": row["sentences"],
            "base": None,
            "trained": None,
        }
        found.setdefault(key, empty)[row["model"]] = row["value"]
    return sorted(found.values(), key=lambda row: (row["measure"], row["language"] is not None, row["language"] or ""))


def _rows(path: Path) -> list[Row]:
    rows: list[Row] = pq.read_table(path).to_pylist() if path.exists() else []
    return rows
