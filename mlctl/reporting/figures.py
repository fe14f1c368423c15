"""figures.json: the content of the page as numbers, with equal bytes for equal results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mlctl.config import Report
from mlctl.reporting import pair_scores, tables, translation
from mlctl.reporting.attribution import decontamination
from mlctl.reporting.changes import change_figures
from mlctl.reporting.curves import final_losses, judgement_curves
from mlctl.reporting.embedding_map import neighbour_agreement, project
from mlctl.reporting.json_files import read_json
from mlctl.stage_names import STAGE_NAMES

Figures = dict[str, Any]


def make_figures(settings: Report, seed: int, folders: Mapping[str, Path]) -> Figures:
    """Return the content of `figures.json`: scores and protocol, modes, changes, the data, the training, gradients, pooling and map."""
    evaluated = folders["evaluate"]
    benchmark = tables.benchmark_rows(evaluated)
    return {
        "benchmark": benchmark,
        "means": tables.mean_rows(evaluated),
        "scores": tables.score_rows(evaluated),
        "protocol": tables.protocol(evaluated),
        "totals": tables.total_rows(folders),
        "funnel": tables.funnel_rows(folders[stage] for stage in STAGE_NAMES if stage in folders),
        "pair_scores": pair_scores.histogram_rows(folders),
        "decontamination": decontamination(folders.get("shard")),
        "translation": translation.translation_rows(folders.get("translate")),
        "final_losses": final_losses(folders["train"]),
        "judgements": judgement_figures(folders["train"]),
        "changes": change_figures(folders, benchmark),
        "translate_train": tables.mode_rows(evaluated),
        "gradients": tables.gradient_rows(evaluated),
        "pooling": read_json(folders["train"], "pooling.json", None),
        "map": token_map(settings, seed, evaluated),
    }


def judgement_figures(train: Path) -> Figures:
    """Return what was judged while training, and which weights were written.

    `changes` has for each metric its mean over languages `before` training and `after` (of the written step), in %; `selection` is
    `model_selection.json`, None of a result that has none.
    """
    selection = read_json(train, "model_selection.json", None)
    changes = []
    for metric, rows in judgement_curves(train).items():
        by_step = {row["step"]: row["mean"] for row in rows}
        after = by_step.get(selection["step"] if selection else max(by_step))
        if 0 in by_step and after is not None:
            changes.append({"metric": metric, "before": by_step[0], "after": after})
    return {"changes": changes, "selection": selection}


def token_map(settings: Report, seed: int, evaluated: Path) -> Figures:
    """Return the tokens (`tokens`: meaning, language, token, text) and for each model its `points` in the plane.

    `same_meaning_share` is the share of tokens whose nearest token of another language has the same meaning.
    """
    rows = pq.read_table(evaluated / "tokens.parquet").to_pylist()
    by_model = {model: [row for row in rows if row["model"] == model] for model in ("base", "trained")}
    names = ("meaning", "language", "token", "text")
    return {
        "tokens": [{name: row[name] for name in names} for row in by_model["base"]],
        **{model: _model_map(model_rows, settings, seed) for model, model_rows in by_model.items()},
    }


def _model_map(rows: list[dict[str, Any]], settings: Report, seed: int) -> Figures:
    states = np.array([row["state"] for row in rows], dtype=np.float64).reshape(len(rows), -1 if rows else 0)
    meanings = np.array([row["meaning"] for row in rows], dtype=np.int64)
    languages = np.array([row["language"] for row in rows], dtype=np.str_)
    return {
        "points": project(states, settings.projection, seed).tolist(),
        "same_meaning_share": neighbour_agreement(states, meanings, languages),
    }
