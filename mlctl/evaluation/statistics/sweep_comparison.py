"""Comparison of the variants of a sweep with its baseline, over the trainings of each: means, deviations, paired tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mlctl.evaluation.statistics.model_comparison import ModelScores, Row, comparisons_by_task, difference_rows, is_significant
from mlctl.evaluation.statistics.paired_tests import PairedComparison, holm, mean, standard_deviation
from mlctl.evaluation.statistics.run_comparison import TaskLanguage, compare_runs, read_scores

_SEEDS = 2**31  # seeds of fine-tuning are below it


@dataclass(frozen=True)
class Training:
    """One training of a variant.

    Attributes:
        seed: of the training.
        evaluated: its evaluate result.
        questions: `run_comparison.protocol_digests` of it; tasks and languages that are left out are not compared.
    """

    seed: int
    evaluated: Path
    questions: Mapping[TaskLanguage, str]


@dataclass(frozen=True)
class SweepTables:
    """The tables of a sweep. All scores are shares in [0, 1].

    Attributes:
        averages: a row for each task and variant: the mean over languages without English (of a task that has only English, English).
        languages: a row for each task, language and variant.
        trainings: a row for each task, language (null: the mean) and training.
    """

    averages: list[Row]
    languages: list[Row]
    trainings: list[Row]


def compare_variants(variants: Mapping[str, Sequence[Training]], baseline: str | None, resamples: int, seed: int) -> SweepTables:
    """Compare each variant with the baseline, trainings of equal seeds with each other.

    A difference is tested over items and trainings, and p corrected over the variants of each task (Holm). `better` and `worse` count
    the trainings whose own difference is significant, as the report of the run tests it.

    Args:
        variants: the trainings of each variant.
        baseline: a variant; None: the base model of each run.
        resamples: of each test.
        seed: of the resampling.
    """
    others = {training.seed: training for training in variants[baseline]} if baseline else None
    compared = [
        _Variant(name, trainings, None if name == baseline else _pairs(trainings, others)) for name, trainings in variants.items()
    ]
    rows = [(variant, variant.training_rows(resamples, seed)) for variant in compared]
    pooled = {variant.name: variant.pooled(resamples, seed) for variant in compared}
    corrected = _corrected(pooled)
    return SweepTables(
        _by_task([row for variant, paired in rows for row in variant.average_rows(paired, pooled[variant.name], corrected)]),
        _by_task([row for variant, paired in rows for row in variant.language_rows(paired)]),
        [row for variant, paired in rows for training in paired for row in training.rows(variant.name)],
    )


@dataclass(frozen=True)
class _Pair:
    """A training and the one that it is compared with; None: its own base model. `alike` are the scores that can be compared."""

    training: Training
    other: Training | None
    alike: frozenset[TaskLanguage]

    def scores(self) -> Iterator[ModelScores]:
        """Yield the scores of both models as `base` and `trained`."""
        which = "trained" if self.other else "base"
        base = read_scores((self.other or self.training).evaluated, which, "base")
        for result in (*base, *read_scores(self.training.evaluated, "trained", "trained")):
            if (result.task, result.language) in self.alike:
                yield result

    def rows(self, resamples: int, seed: int) -> tuple[list[Row], list[Row]]:
        """Return rows of `schema.DIFFERENCES` and of `schema.AVERAGES`."""
        if self.other is not None:
            return compare_runs(self.other.evaluated, self.training.evaluated, self.alike, resamples, seed)
        differences, averages = _tables(self.training.evaluated)
        if all((row["task"], row["language"]) in self.alike for row in differences):
            return differences, averages
        return difference_rows(list(self.scores()), resamples, seed)


@dataclass(frozen=True)
class _TrainingRows:
    """A training's own scores and its paired comparison, by (task, language); language None: the task's average."""

    seed: int
    own: Mapping[tuple[str, str | None], Row]
    paired: Mapping[tuple[str, str | None], Row]

    def rows(self, variant: str) -> Iterator[Row]:
        for (task, language), row in self.own.items():
            pair = self.paired.get((task, language))
            yield {
                "variant": variant,
                "seed": self.seed,
                "task": task,
                "language": language,
                "metric": row["metric"],
                "score": row["trained"],
                **{name: pair and pair[name] for name in ("difference", "low", "high", "p", "significant")},
                "baseline": pair and pair["base"],
            }


@dataclass(frozen=True)
class _Variant:
    """A variant with its trainings, and the pairs that are compared; None: it is the baseline."""

    name: str
    trainings: Sequence[Training]
    pairs: Sequence[_Pair] | None

    def training_rows(self, resamples: int, seed: int) -> list[_TrainingRows]:
        pairs = {pair.training.seed: pair for pair in self.pairs or ()}
        return [_training_rows(training, pairs.get(training.seed), resamples, seed) for training in self.trainings]

    def average_rows(
        self, rows: Sequence[_TrainingRows], pooled: Mapping[str, PairedComparison], corrected: Mapping[tuple[str, str], float]
    ) -> Iterator[Row]:
        for task in dict.fromkeys(task for training in rows for task, language in training.own if language is None):
            test = _test(pooled.get(task), corrected.get((self.name, task)))
            yield {"variant": self.name, **_summary(rows, task, None), **test}

    def language_rows(self, rows: Sequence[_TrainingRows]) -> Iterator[Row]:
        names = dict.fromkeys(name for training in rows for name in training.own if name[1] is not None)
        for task, language in names:
            yield {"variant": self.name, "language": language, **_summary(rows, task, language)}

    def pooled(self, resamples: int, seed: int) -> dict[str, PairedComparison]:
        """Return the comparison of each task's mean over languages, over items and trainings."""
        pairs = self.pairs or ()
        results = [_numbered(result, index) for index, pair in enumerate(pairs) for result in pair.scores()]
        found = comparisons_by_task(results, resamples, seed, len(pairs))
        return {task: mean(comparisons) for task, comparisons in found.items()}


def _training_rows(training: Training, pair: _Pair | None, resamples: int, seed: int) -> _TrainingRows:
    paired = _by_task_and_language(*pair.rows(resamples, seed)) if pair else {}
    is_own = (
        pair is not None and pair.other is None
    )  # the comparison is with its own base model, so that its rows have its own scores
    return _TrainingRows(training.seed, paired if is_own else _by_task_and_language(*_tables(training.evaluated)), paired)


def _pairs(trainings: Sequence[Training], others: Mapping[int, Training] | None) -> list[_Pair]:
    """Return the trainings with those that they are compared with: of the same seed, and with scores on the same items."""
    pairs = [(training, others.get(training.seed) if others is not None else None) for training in trainings]
    matched = [(training, other) for training, other in pairs if others is None or other is not None]
    common = [_alike(training, other) for training, other in matched]
    alike = frozenset.intersection(*common) if common else frozenset[TaskLanguage]()
    return [_Pair(training, other, alike) for training, other in matched] if alike else []


def _alike(training: Training, other: Training | None) -> frozenset[TaskLanguage]:
    questions = training.questions
    return frozenset(name for name in questions if other is None or questions[name] == other.questions.get(name))


def _numbered(result: ModelScores, training: int) -> ModelScores:
    """Return scores with a seed of fine-tuning that is numbered on through the trainings, so that their rows stay together."""
    return dataclasses.replace(result, seed=training * _SEEDS + (result.seed or 0))


def _tables(evaluated: Path) -> tuple[list[Row], list[Row]]:
    differences, averages = (pq.read_table(evaluated / f"{name}.parquet").to_pylist() for name in ("differences", "averages"))
    return differences, averages


def _by_task_and_language(differences: Iterable[Row], averages: Iterable[Row]) -> dict[tuple[str, str | None], Row]:
    means: dict[tuple[str, str | None], Row] = {(row["task"], None): row for row in averages}
    languages: dict[tuple[str, str | None], Row] = {(row["task"], row["language"]): row for row in differences}
    english: dict[tuple[str, str | None], Row] = {
        (task, None): {**row, "languages": 1} for (task, _), row in languages.items() if (task, None) not in means
    }
    return {**means, **english, **languages}


def _summary(rows: Sequence[_TrainingRows], task: str, language: str | None) -> Row:
    """Return means and standard deviations over trainings of one task and language."""
    own = [training.own[task, language] for training in rows if (task, language) in training.own]
    paired = [training.paired[task, language] for training in rows if (task, language) in training.paired]
    significant = [row["difference"] > 0 for row in paired if row["significant"]]
    return {
        "task": task,
        "metric": own[0]["metric"],
        **(
            {"languages": own[0]["languages"], "compared_languages": paired[0]["languages"] if paired else 0}
            if language is None
            else {}
        ),
        "trainings": len(own),
        "compared_trainings": len(paired),
        **_spread("baseline", [row["base"] for row in paired]),
        **_spread("score", [row["trained"] for row in own]),
        **_spread("difference", [row["difference"] for row in paired]),
        "better": sum(significant),
        "worse": len(significant) - sum(significant),
    }


def _spread(name: str, values: Sequence[float]) -> Row:
    """Return mean and sample standard deviation; None where there are too few values."""
    array = np.array(values, np.float64)
    return {name: float(array.mean()) if values else None, f"{name}_deviation": standard_deviation(array)}


def _test(pooled: PairedComparison | None, corrected: float | None) -> Row:
    if pooled is None or corrected is None:
        return {"low": None, "high": None, "p": None, "corrected": None, "significant": None}
    low, high = pooled.confidence_interval()
    significant = is_significant(pooled, corrected)
    return {"low": low, "high": high, "p": pooled.p_value(), "corrected": corrected, "significant": significant}


def _corrected(pooled: Mapping[str, Mapping[str, PairedComparison]]) -> dict[tuple[str, str], float]:
    """Return p by variant and task, corrected over the variants of each task."""
    found = dict[tuple[str, str], float]()
    for task in sorted({task for tests in pooled.values() for task in tests}):
        tests = {variant: by_task[task] for variant, by_task in pooled.items() if task in by_task}
        corrected = holm([test.p_value() for test in tests.values()])
        found |= {(variant, task): p for variant, p in zip(tests, corrected, strict=True)}
    return found


def _by_task(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with those of one task together, in the order of their first rows."""
    return [row for task in dict.fromkeys(row["task"] for row in rows) for row in rows if row["task"] == task]
