"""The files of the result: tables of scores, items, differences and averages, token states, gradients, and the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mlctl import schema
from mlctl.core.workspace import Workspace
from mlctl.evaluation.changes.result_rows import change_rows
from mlctl.evaluation.plan import EvaluationPlan
from mlctl.evaluation.statistics.mode_comparison import mode_rows
from mlctl.evaluation.statistics.model_comparison import (
    BASE,
    SAME_POOLING,
    TRAINED,
    ModelScores,
    difference_rows,
    item_columns,
    score_rows,
)
from mlctl.evaluation.step_files import geometry_file, gradient_file, mteb_file, token_file

#: Models with token states, gradients and geometry.
MAPPED = (BASE, TRAINED)


def write_result(plan: EvaluationPlan, results: Sequence[ModelScores], workspace: Workspace) -> list[dict[str, Any]]:
    """Write the tables, `mteb.json` if the recipe asks for it, and `protocol.json`; return the rows of `schema.AVERAGES`."""
    settings, scratch = plan.job.settings, plan.job.scratch
    differences, averages = difference_rows(results, settings.resamples, plan.job.seed)
    _write(workspace, "scores.parquet", pa.Table.from_pylist(score_rows(results), schema.SCORES))
    _write(workspace, "items.parquet", _item_table(results))
    _write(workspace, "differences.parquet", pa.Table.from_pylist(differences, schema.DIFFERENCES))
    _write(workspace, "averages.parquet", pa.Table.from_pylist(averages, schema.AVERAGES))
    if modes := {mode: zero_shot for mode, zero_shot in _zero_shot_tasks(plan).items() if zero_shot}:
        rows = mode_rows(results, modes, settings.resamples, plan.job.seed)
        _write(workspace, "translate_train.parquet", pa.Table.from_pylist(rows, schema.TRANSLATE_TRAIN))
    _join(scratch, token_file, workspace, "tokens.parquet")
    if settings.gradient_examples:
        _join(scratch, gradient_file, workspace, "gradients.parquet")
    if settings.mteb:
        found = {model: json.loads(scratch.path(mteb_file(model)).read_text(encoding="utf-8")) for model in MAPPED}
        _write_json(workspace, "mteb.json", found)
    if settings.changed_items:
        _join(scratch, geometry_file, workspace, "geometry.parquet")
        changed, lengths = change_rows(plan, results)
        _write(workspace, "changed_items.parquet", pa.Table.from_pylist(changed, schema.CHANGED_ITEMS))
        _write(workspace, "length_scores.parquet", pa.Table.from_pylist(lengths, schema.LENGTH_SCORES))
    _write_json(workspace, "protocol.json", _protocol(plan, results))
    return averages


def write_encoder_result(plan: EvaluationPlan, results: Sequence[ModelScores], workspace: Workspace) -> None:
    """Write the tables, `mteb.json` if the settings ask for it, and `protocol.json` of the evaluation of one encoder."""
    _write(workspace, "scores.parquet", pa.Table.from_pylist(score_rows(results), schema.SCORES))
    _write(workspace, "items.parquet", _item_table(results))
    if plan.job.settings.mteb:
        content = {BASE: json.loads(plan.job.scratch.path(mteb_file(BASE)).read_text(encoding="utf-8"))}
        _write_json(workspace, "mteb.json", content)
    _write_json(workspace, "protocol.json", _protocol(plan, results))


def _write_json(workspace: Workspace, name: str, content: dict[str, Any]) -> None:
    if not workspace.has(name):
        with workspace.part(name) as path:
            path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _zero_shot_tasks(plan: EvaluationPlan) -> dict[str, str]:
    """Return, by benchmark, the one that it is the mode translate-train of; empty: it is zero-shot itself."""
    return {task.metadata.task: task.metadata.zero_shot_task for task, _ in plan.benchmarks}


def _join(scratch: Workspace, file_of: Callable[[str], str], workspace: Workspace, name: str) -> None:
    """Write the tables of the mapped models as one."""
    _write(workspace, name, pa.concat_tables(pq.read_table(scratch.path(file_of(model))) for model in MAPPED))


def _item_table(results: Sequence[ModelScores]) -> pa.Table:
    return pa.concat_tables(
        [
            schema.ITEMS.empty_table(),
            *(pa.table(item_columns(result, scores), schema.ITEMS) for result in results for scores in result.scores),
        ]
    )


def _write(workspace: Workspace, name: str, table: pa.Table) -> None:
    if not workspace.has(name):
        with workspace.part(name) as path:
            pq.write_table(table.combine_chunks(), path, compression="zstd")


def _protocol(plan: EvaluationPlan, results: Sequence[ModelScores]) -> dict[str, Any]:
    """Return the content of `protocol.json`."""
    base = plan.base
    return {
        "base": {
            "origin": base.origin,
            "published": base.is_published,
            "problem": base.problem,
            "same_pooling": "evaluated" if plan.evaluations.get(SAME_POOLING) else "equal",
        },
        "benchmarks": [
            {"metadata": metadata.as_json(), "settings": task.settings, "languages": list(languages)}
            for task, languages in plan.benchmarks
            for metadata in (task.metadata, *task.further_scores)
        ],
        "models": {model.name: model.protocol_entry(plan.embeds_sentences) for model in plan.models},
        "resamples": plan.job.settings.resamples,
        "notes": [
            {
                "model": result.model,
                "task": result.task,
                "language": result.language,
                "direction": scores.direction,
                **scores.notes,
            }
            for result in results
            for scores in result.scores
            if scores.notes
        ],
    }
