"""Comparison of two modes of one model on the same benchmark: zero-shot and translate-train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlctl.evaluation.statistics.model_comparison import BASE, TRAINED, ModelScores, Row, difference_rows


def mode_rows(results: Sequence[ModelScores], zero_shot_of: Mapping[str, str], resamples: int, seed: int) -> list[Row]:
    """Return rows of `schema.TRANSLATE_TRAIN`, model by model, the mean of each task first.

    Args:
        results: scores of all models.
        zero_shot_of: by task of the mode translate-train, the same task zero-shot.
        resamples: of each test.
        seed: of the resampling.
    """
    rows = []
    for model in dict.fromkeys(result.model for result in results):
        of_model = [result for result in results if result.model == model]
        for mode, zero_shot in zero_shot_of.items():
            projected = [replace(result, model=TRAINED, task=zero_shot) for result in of_model if result.task == mode]
            languages = {result.language for result in projected}
            plain = [replace(one, model=BASE) for one in of_model if one.task == zero_shot and one.language in languages]
            differences, averages = difference_rows([*plain, *projected], resamples, seed)
            rows += [_row(model, row) for row in (*averages, *differences)]
    return rows


def _row(model: str, row: Row) -> Row:
    shared = ("task", "metric", "seeds", "difference", "low", "high", "p", "significant")
    return {
        "model": model,
        "language": row.get("language"),
        "zero_shot": row["base"],
        "translate_train": row["trained"],
        "corrected": row.get("corrected"),
        **{name: row[name] for name in shared},
    }
