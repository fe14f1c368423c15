"""Scores of a recipe over several training seeds: the whole pipeline, once for each seed.

    python benchmarks/seeds.py RECIPE [K=V ...] [--seeds 5] [--quick]

Runs `mlctl run RECIPE K=V ... train.seed=N` for each N from 0 on, in the recipe's store, where all runs share the data and the scores of the base model;
existing results are not computed again. The tables show the means over languages without English, and each language: the base model (the mean, as a
model from scratch is initialised with that seed, too), mean and standard deviation of the trained models and of their differences to the base, and the
number of runs in which the difference was significant. A run that fails ends the script. --quick: two seeds. The last line is JSON: the values of the
first table by task.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlctl import config, recipes
from storage import Store
from storage.run_log import RunLog

Row = dict[str, Any]


def evaluated_run(recipe: str, overrides: Sequence[str], seed: int) -> Path:
    """Run the recipe with a training seed; return the folder of its evaluate result."""
    seeded = [*overrides, f"train.seed={seed}"]
    command = [str(Path(sys.executable).with_name("mlctl")), "run", recipe, *seeded]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    store = Store(config.load(recipes.find(recipe), seeded).store)
    key = next(stage.key for stage in RunLog(store).runs()[0].stages if stage.stage == "evaluate")
    return store.root / "evaluate" / key


def summary(folders: Sequence[Path], file: str, *columns: str) -> dict[str, Row]:
    """Return the summary over all runs of each row of a table, by the values of `columns`."""
    groups: dict[str, list[Row]] = {}
    for folder in folders:
        for row in pq.read_table(folder / file).to_pylist():
            groups.setdefault(" ".join(str(row[name]) for name in columns), []).append(row)
    return {name: summarise(rows) for name, rows in groups.items()}


def summarise(rows: Sequence[Row]) -> Row:
    better = sum(row["significant"] and row["difference"] > 0 for row in rows)
    worse = sum(row["significant"] and row["difference"] < 0 for row in rows)
    return {
        "base": 100 * statistics.fmean(row["base"] for row in rows),
        **{name: mean_and_deviation([row[name] for row in rows]) for name in ("trained", "difference")},
        "better": better,
        "worse": worse,
        "trainings": len(rows),
    }


def mean_and_deviation(shares: Iterable[float]) -> tuple[float, float | None]:
    """Return mean and standard deviation in percent; of one value the latter is None."""
    values = [100 * share for share in shares]
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def print_table(rows: dict[str, Row]) -> None:
    print("\n| | base | trained | difference | significantly better, worse |\n|---|---|---|---|---|")
    for name, row in rows.items():
        cells = format_cell(row["trained"], "{:.1f}".format), format_cell(row["difference"], "{:+.1f}".format)
        print(f"| {name} | {row['base']:.1f} | {' | '.join(cells)} | {row['better']}, {row['worse']} of {row['trainings']} |")


def format_cell(value: tuple[float, float | None], format_mean: Callable[[float], str]) -> str:
    mean, deviation = value
    return format_mean(mean) + ("" if deviation is None else f" ± {deviation:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="name of a built-in recipe or a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="K=V", help="settings to override")
    parser.add_argument("--seeds", type=int, help="number of training seeds (5)")
    parser.add_argument("--quick", action="store_true", help="two seeds")
    options = parser.parse_args()
    folders = []
    for seed in range(options.seeds or (2 if options.quick else 5)):
        print(f"training with seed {seed}", flush=True)
        folders.append(evaluated_run(options.recipe, options.overrides, seed))
    means = summary(folders, "averages.parquet", "task")
    print_table(means)
    print_table(summary(folders, "differences.parquet", "task", "language"))
    print(json.dumps(means))


if __name__ == "__main__":
    main()
