"""What components of a recipe are worth: models trained with them against models trained without, over items and over trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.parquet as pq

from mlctl.evaluation.statistics.model_comparison import Row
from mlctl.evaluation.statistics.paired_tests import ALPHA, holm
from mlctl.evaluation.statistics.run_comparison import TaskLanguage
from mlctl.evaluation.statistics.sweep_comparison import SweepTables, Training, compare_variants

#: Languages that a gain is the mean of: all, or of a component that is a language the others, or itself.
Scope = Literal["all", "others", "itself"]
Verdict = Literal["helps", "no difference", "harms", "not tested"]

_MIN_TRAININGS = 2


@dataclass(frozen=True)
class ComparedComponent:
    """A component, and by seed of training the evaluation of the model with it (`trained`) against the one without it (`base`).

    `language`: the component is this language.
    """

    name: str
    evaluated: Mapping[int, Path]
    language: str | None = None

    def trainings(self, scope: Scope) -> list[Training]:
        """Return the trainings with the tasks and languages of a scope; none if it has no language."""
        found = [Training(seed, folder, self._questions(folder, scope)) for seed, folder in sorted(self.evaluated.items())]
        return [training for training in found if training.questions]

    def _questions(self, folder: Path, scope: Scope) -> dict[TaskLanguage, str]:
        rows = pq.read_table(folder / "differences.parquet", columns=["task", "language"]).to_pylist()
        names: list[TaskLanguage] = [(row["task"], row["language"]) for row in rows]
        return {(task, language): "" for task, language in names if self._has(language, scope)}

    def _has(self, language: str, scope: Scope) -> bool:
        return scope == "all" or (language == self.language) == (scope == "itself")


@dataclass(frozen=True)
class LedgerTables:
    """What the components are worth; rows as in `SweepTables`, each with its `scope`. `difference`: with the component minus without it.

    Attributes:
        gains: the mean over the languages of the scope, by task and component, with `verdict`.
        languages: a row for each task, language and component.
        trainings: a row for each task, language (null: the mean) and training.
    """

    gains: list[Row]
    languages: list[Row]
    trainings: list[Row]


def compare_components(components: Sequence[ComparedComponent], resamples: int, seed: int) -> LedgerTables:
    """Return what components of one kind are worth.

    A gain differs from chance if other items and other trainings would confirm it: p is the larger one of the randomisation over items
    (as in a sweep) and of a paired t-test over trainings, and is corrected over the components of a task (Holm). The interval contains
    both the bootstrap interval and that of the t-test. A bootstrap of three trainings alone would call one in four differences that
    are due to the seeds significant.

    Args:
        components: all of them languages, or none.
        resamples: of each test over items.
        seed: of the resampling.
    """
    scopes: tuple[Scope, ...] = ("others", "itself") if any(component.language for component in components) else ("all",)
    tables = LedgerTables([], [], [])
    for scope in scopes:
        trainings = {component.name: found for component in components if (found := component.trainings(scope))}
        compared = compare_variants(trainings, None, resamples, seed)
        tables.gains.extend({**row, "scope": scope} for row in _tested(compared))
        tables.trainings.extend({**row, "scope": scope} for row in compared.trainings)
        tables.languages.extend({**row, "scope": scope} for row in compared.languages)
    return tables


def training_test(differences: Sequence[float]) -> tuple[float, float, float]:
    """Return p and the 95% interval of the mean of differences between paired trainings by Student's t-test.

    Args:
        differences: of two trainings at least.
    """
    from scipy.stats import t

    values = np.array(differences, np.float64)
    mean, error = float(values.mean()), float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    if not error:
        return float(not mean), mean, mean
    freedom = len(values) - 1
    width = float(t.ppf(1 - ALPHA / 2, freedom)) * error
    return 2 * float(t.sf(abs(mean) / error, freedom)), mean - width, mean + width


def _tested(tables: SweepTables) -> list[Row]:
    """Return the averages with p and interval over items and trainings, and the verdict."""
    rows = [_with_training_test(row, _differences(tables, row)) for row in tables.averages]
    for task in dict.fromkeys(row["task"] for row in rows):
        tested = [row for row in rows if row["task"] == task and row["p"] is not None]
        for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
            significant = corrected < ALPHA and not row["low"] <= 0 <= row["high"]
            row |= {"corrected": corrected, "significant": significant}
    return [{**row, "verdict": _verdict(row)} for row in rows]


def _differences(tables: SweepTables, average: Row) -> list[float]:
    return [
        row["difference"]
        for row in tables.trainings
        if row["language"] is None and (row["variant"], row["task"]) == (average["variant"], average["task"])
    ]


def _with_training_test(row: Row, differences: Sequence[float]) -> Row:
    """Return a row of averages with p and interval over items and trainings; of a single training without: it says nothing about others."""
    if len(differences) < _MIN_TRAININGS:
        return {**row, "p": None, "corrected": None, "significant": None}
    p, low, high = training_test(differences)
    return {**row, "p": max(p, row["p"]), "low": min(low, row["low"]), "high": max(high, row["high"])}


def _verdict(row: Row) -> Verdict:
    if row["significant"] is None:
        return "not tested"
    if not row["significant"]:
        return "no difference"
    return "helps" if row["difference"] > 0 else "harms"
