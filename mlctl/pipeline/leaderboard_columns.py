"""The columns of the leaderboard: scores of the same items, and the tests of every pair of models on them."""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mlctl.evaluation.statistics.all_pairs import PairTests, Resamples, compare_pairs, resample
from mlctl.evaluation.statistics.item_tables import SeedItems, item_count, item_matrix, read_items, seed_scores
from mlctl.evaluation.statistics.run_comparison import HELD_OUT
from mlctl.pipeline.leaderboard_models import model_id
from mlctl.pipeline.leaderboard_results import JudgedResult, Role
from mlctl.reporting.benchmark_rows import task_titles
from mlctl.reporting.formatting import format_task_name
from mlctl.reporting.leaderboard_data import BoardColumn, BoardScore, BoardTests

#: Pairs times languages above which there are tests of the means alone: each takes eight bytes of the page.
MAX_LANGUAGE_TESTS = 1_000_000

_ENGLISH = "en"
_SEED = 0  # of the resampling: that of a recipe by default, so that the tests are those of its report
_NAMED_RECIPES = 2


@dataclass
class ColumnDraft:
    """Results whose scores in a task are of the same items, as far as they have the same languages.

    Attributes:
        task: the task.
        settings: of the benchmark, and the seeds of fine-tuning; the same of all results.
        digests: of each language.
        results: in the order in which they were added.
        sources: language → id of a model → the newest result that has its score, and as which model.
    """

    task: str
    settings: Mapping[str, Any]
    digests: dict[str, str] = field(default_factory=dict)
    results: list[JudgedResult] = field(default_factory=list)
    sources: dict[str, dict[str, tuple[JudgedResult, Role]]] = field(default_factory=dict)

    def accepts(self, settings: Mapping[str, Any], digests: Mapping[str, str]) -> bool:
        """Return whether scores by these settings, with these digests, are comparable with those of the column."""
        return settings == self.settings and all(
            self.digests.get(language, digest) == digest for language, digest in digests.items()
        )

    def add(self, result: JudgedResult, digests: Mapping[str, str]) -> None:
        """Add the scores of a result."""
        self.digests.update(digests)
        self.results.append(result)
        for language, role in itertools.product(digests, result.roles):
            models = self.sources.setdefault(language, {})
            name = model_id(result.protocol["models"][role])
            if name not in models or models[name][0].manifest.created < result.manifest.created:
                models[name] = result, role

    def keep(self, models: Container[str]) -> None:
        """Leave out the scores of all other models."""
        kept = {
            language: {name: source for name, source in of_language.items() if name in models}
            for language, of_language in self.sources.items()
        }
        self.sources = {language: of_language for language, of_language in kept.items() if of_language}

    @property
    def models(self) -> list[str]:
        """Ids of its models, sorted."""
        return sorted({name for models in self.sources.values() for name in models})


def draft_columns(results: Iterable[JudgedResult]) -> list[ColumnDraft]:
    """Put the scores of all results into columns: those of most languages first, each into the first column of the same items."""
    by_task: dict[str, list[tuple[JudgedResult, dict[str, str]]]] = {}
    for result in results:
        for task in dict.fromkeys(task for task, _ in result.digests):
            digests = {language: digest for (name, language), digest in result.digests.items() if name == task}
            by_task.setdefault(task, []).append((result, digests))
    columns: list[ColumnDraft] = []
    for task, of_task in sorted(by_task.items()):
        drafts: list[ColumnDraft] = []
        for result, digests in sorted(of_task, key=lambda one: (-len(one[1]), one[0].name)):
            settings = _settings(result, task)
            draft = next((draft for draft in drafts if draft.accepts(settings, digests)), None)
            if draft is None:
                drafts.append(draft := ColumnDraft(task, settings))
            draft.add(result, digests)
        columns += sorted(drafts, key=lambda draft: -len(draft.models))
    return columns


def count_language_tests(columns: Iterable[ColumnDraft]) -> int:
    """Return how many tests of pairs in one language there are."""
    return sum(len(models) * (len(models) - 1) // 2 for column in columns for models in column.sources.values())


def board_columns(drafts: Sequence[ColumnDraft], resamples: int, by_language: bool) -> list[BoardColumn]:
    """Return the columns with scores and tests, published benchmarks first, by title."""
    columns = [_column(draft, _note(draft, drafts), resamples, by_language) for draft in drafts]
    return sorted(columns, key=lambda column: (column.task in HELD_OUT, column.title.casefold()))


def _column(draft: ColumnDraft, note: str, resamples: int, by_language: bool) -> BoardColumn:
    result = draft.results[0]
    metadata = _metadata(result, draft.task)
    items = _items(draft)
    means, languages = _tests(draft, items, resamples, by_language)
    others = {source.name: _other_metrics(source, draft.task) for source in draft.results}
    scores = {
        language: {
            model: BoardScore(
                seed_scores(items[language, model]),
                item_count(items[language, model]),
                others[source.name].get((role, language), {}),
            )
            for model, (source, role) in models.items()
        }
        for language, models in draft.sources.items()
    }
    return BoardColumn(
        task=draft.task,
        title=task_titles(result.protocol).get(draft.task, format_task_name(draft.task)),
        note=note,
        metric=next(metric for (task, _), metric in result.metrics.items() if task == draft.task),
        citation=metadata.get("citation", ""),
        protocol=metadata.get("protocol", ""),
        scores=scores,
        mean_tests=means,
        language_tests=languages,
    )


def _items(draft: ColumnDraft) -> dict[tuple[str, str], SeedItems]:
    """Read the items of each language and model of a column, each file once."""
    wanted: dict[tuple[str, Role], tuple[JudgedResult, list[tuple[str, str]]]] = {}
    for language, models in draft.sources.items():
        for model, (result, role) in models.items():
            wanted.setdefault((result.name, role), (result, []))[1].append((language, model))
    items = {}
    for (_, role), (result, keys) in wanted.items():
        by_language = read_items(result.folder, role, draft.task)
        items.update({(language, model): by_language[language] for language, model in keys})
    return items


def _tests(
    draft: ColumnDraft, items: Mapping[tuple[str, str], SeedItems], resamples: int, by_language: bool
) -> tuple[BoardTests, dict[str, BoardTests]]:
    """Return the tests of the means over languages without English (or in English, if there is no other), and those of each language."""
    models = draft.models
    resampled: dict[str, tuple[list[int], Resamples]] = {}
    for language in sorted(draft.sources):
        present = [number for number, model in enumerate(models) if model in draft.sources[language]]
        matrix = item_matrix([items[language, models[number]] for number in present])
        resampled[language] = present, resample(matrix, resamples, _SEED)
    zero_shot = {language: one for language, one in resampled.items() if language != _ENGLISH} or resampled
    means = _board_tests(models, compare_pairs(zero_shot, len(models)))
    if not by_language:
        return means, {}
    return means, {
        language: _board_tests(
            [models[number] for number in present], compare_pairs({language: (range(len(present)), one)}, len(present))
        )
        for language, (present, one) in resampled.items()
    }


def _board_tests(models: Sequence[str], tests: PairTests) -> BoardTests:
    return BoardTests(models, *(np.asarray(column).tolist() for column in vars(tests).values()))


def _other_metrics(result: JudgedResult, task: str) -> dict[tuple[str, str], dict[str, float]]:
    """Return the metrics beside the main one by model and language, means over seeds and directions."""
    values: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in pq.read_table(result.folder / "scores.parquet", filters=[("task", "=", task)]).to_pylist():
        if row["metric"] != result.metrics.get((task, row["language"])):
            values.setdefault((row["model"], row["language"]), {}).setdefault(row["metric"], []).append(row["value"])
    return {key: {metric: sum(column) / len(column) for metric, column in of_key.items()} for key, of_key in values.items()}


def _note(draft: ColumnDraft, drafts: Sequence[ColumnDraft]) -> str:
    """Return what tells a column from the others of its task: settings that differ from the largest one's, or whose items they are."""
    of_task = [other for other in drafts if other.task == draft.task]
    if len(of_task) == 1:
        return ""
    if draft.task in HELD_OUT:
        names = list(dict.fromkeys(name for result in draft.results if (name := _recipe_name(result))))
        more = f" and {len(names) - _NAMED_RECIPES} more" if len(names) > _NAMED_RECIPES else ""
        return f"set {of_task.index(draft) + 1}: {', '.join(names[:_NAMED_RECIPES])}{more}".rstrip(": ")
    own, first = draft.settings, of_task[0].settings
    differing = [f"{name}: {own.get(name)}" for name in sorted({*own, *first}) if own.get(name) != first.get(name)]
    return ", ".join(differing) if differing or draft is of_task[0] else f"other items ({of_task.index(draft) + 1})"


def _settings(result: JudgedResult, task: str) -> dict[str, Any]:
    """Return what a score in a task depends on besides the model and the items, by name."""
    for entry in result.protocol["benchmarks"]:
        metadata = entry["metadata"]
        if metadata["task"] == task:
            seeds = result.manifest.parts["settings"]["evaluate"].get("seeds")
            own = {"seeds": seeds} if metadata.get("fine_tuned") else {}
            return {**entry["settings"], "revision": metadata["revision"], **own}
    return {}


def _recipe_name(result: JudgedResult) -> str:
    return str(result.runs[0].recipe.get("name", "")) if result.runs else result.recipe_name


def _metadata(result: JudgedResult, task: str) -> dict[str, Any]:
    entries = (entry["metadata"] for entry in result.protocol["benchmarks"] if entry["metadata"]["task"] == task)
    return dict(next(entries, {}))
