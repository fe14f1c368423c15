"""The rows of what changed in an evaluation, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlctl.evaluation.changes.item_changes import Item, changed_rows, length_rows, read_items
from mlctl.evaluation.statistics.model_comparison import BASE, ModelScores

if TYPE_CHECKING:
    from mlctl.evaluation.plan import EvaluationPlan

Row = dict[str, Any]


def change_rows(plan: EvaluationPlan, results: Sequence[ModelScores]) -> tuple[list[Row], list[Row]]:
    """Return the rows of `schema.CHANGED_ITEMS` and of `schema.LENGTH_SCORES`, task by task."""
    changed, lengths = list[Row](), list[Row]()
    for task in sorted({result.task for result in results}):
        of_task = [result for result in results if result.task == task]
        items: list[Item] = []
        for language in sorted({result.language for result in of_task}):
            in_language = [result for result in of_task if result.language == language]
            own = read_items(in_language, _texts(plan, task, language))
            lengths += length_rows(task, own)
            items += own
        changed += changed_rows(task, items, plan.job.settings.changed_items, plan.job.seed)
    return changed, lengths


def _texts(plan: EvaluationPlan, task: str, language: str) -> dict[str, str]:
    heldout = plan.job.heldout_task
    if task in heldout.score_names:
        return heldout.item_texts(task, language, plan.job.tested[BASE].tokenizer)
    return next(benchmark for benchmark, _ in plan.benchmarks if task in benchmark.score_names).item_texts(language)
