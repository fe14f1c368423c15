"""Scores of a recipe over several training seeds: the whole pipeline, once per seed.

    python benchmarks/seeds.py RECIPE [K=V ...] [--seeds 5] [--quick]

Runs `mlctl run RECIPE K=V ... train.seed=N` for N = 0, 1, … in the recipe's store, where all trainings share the data and the scores of the base
model; existing results are reused. The tables give the means over languages other than English, and each language: the base model (a mean,
because a model from scratch depends on the seed), mean and standard deviation of the trained models and of their differences to the base model, and
in how many trainings the difference is beyond noise. A failed training ends the script. --quick: two seeds. The last line is JSON: the figures of the
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


def judged(recipe: str, overrides: Sequence[str], seed: int) -> Path:
    """Run the recipe with a training seed; return the folder of its evaluate result."""
    asked = [*overrides, f"train.seed={seed}"]
    subprocess.run([str(Path(sys.executable).with_name("mlctl")), "run", recipe, *asked], check=True, stdout=subprocess.DEVNULL)
    store = Store(config.load(recipes.find(recipe), asked).store)
    key = next(stage.key for stage in RunLog(store).runs()[0].stages if stage.stage == "evaluate")
    return store.root / "evaluate" / key


def summary(folders: Sequence[Path], file: str, *names: str) -> dict[str, Row]:
    """Aggregate a table over all trainings, by the values of the columns `names`."""
    several: dict[str, list[Row]] = {}
    for folder in folders:
        for row in pq.read_table(folder / file).to_pylist():
            several.setdefault(" ".join(str(row[name]) for name in names), []).append(row)
    return {name: of_rows(rows) for name, rows in several.items()}


def of_rows(rows: Sequence[Row]) -> Row:
    better = sum(row["significant"] and row["difference"] > 0 for row in rows)
    worse = sum(row["significant"] and row["difference"] < 0 for row in rows)
    spread = {name: both([row[name] for row in rows]) for name in ("trained", "difference")}
    return {
        "base": 100 * statistics.fmean(row["base"] for row in rows),
        **spread,
        "better": better,
        "worse": worse,
        "trainings": len(rows),
    }


def both(shares: Iterable[float]) -> tuple[float, float | None]:
    """Return mean and standard deviation in percent; for a single value the latter is None."""
    values = [100 * share for share in shares]
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def table(found: dict[str, Row]) -> None:
    print("\n| | base | trained | difference | better, worse beyond noise |\n|---|---|---|---|---|")
    for name, row in found.items():
        cells = written(row["trained"], "{:.1f}".format), written(row["difference"], "{:+.1f}".format)
        print(f"| {name} | {row['base']:.1f} | {' | '.join(cells)} | {row['better']}, {row['worse']} of {row['trainings']} |")


def written(value: tuple[float, float | None], form: Callable[[float], str]) -> str:
    mean, deviation = value
    return form(mean) + ("" if deviation is None else f" ± {deviation:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a ready recipe or a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="K=V", help="settings to change")
    parser.add_argument("--seeds", type=int, help="trainings (5)")
    parser.add_argument("--quick", action="store_true", help="two trainings")
    given = parser.parse_args()
    folders = []
    for seed in range(given.seeds or (2 if given.quick else 5)):
        print(f"training with seed {seed}", flush=True)
        folders.append(judged(given.recipe, given.overrides, seed))
    means = summary(folders, "averages.parquet", "task")
    table(means)
    table(summary(folders, "differences.parquet", "task", "language"))
    print(json.dumps(means))


if __name__ == "__main__":
    main()
