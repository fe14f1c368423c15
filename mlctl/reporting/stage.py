"""The stage: results in, a page for people and figures for machines out."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from mlctl.config import Recipe, Report
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.reporting.benchmark_section import heat, in_order, titles
from mlctl.reporting.card import make_card, make_notice
from mlctl.reporting.figures import Figures, make_figures
from mlctl.reporting.page import render
from mlctl.reporting.png_export import png
from mlctl.reporting.records import StageRecord

_FIGURES = "figures.json"
_PAGE = "report.html"
_CARD = "README.md"
#: The heat map of the differences as a picture.
PICTURE = "differences.png"
_ATTRIBUTION = "ATTRIBUTION.md"
_NEEDED = ("train", "evaluate")
_log = logging.getLogger(__name__)


def report(
    settings: Report,
    recipe: Recipe,
    stages: Sequence[StageRecord],
    folders: Mapping[str, Path],
    workspace: Workspace,
    progress: Progress = silent,
) -> dict[str, float | int | None]:
    """Write the page of a run.

    Writes `report.html`, which opens without a network, `README.md`, the card that goes with the model, `ATTRIBUTION.md` with whose
    text that learned from, `differences.png`, the heat map of the scores, and `figures.json` with what they show as numbers. Only the last
    is the same for equal results: the page also tells times and what was cached, the texts what lay where, the picture has this
    machine's letters.

    Args:
        settings: what the page shows.
        recipe: the whole recipe, shown on the page.
        stages: how each stage before this one came to its result, in order.
        folders: stage → folder of its result; train and evaluate are needed, what others lack is left out.
        workspace: where the result is made.
        progress: told after each file.

    Returns:
        Final losses, tokens in the map and the mean accuracies.

    Raises:
        InputError: train or evaluate has no result.
    """
    missing = [stage for stage in _NEEDED if stage not in folders or not folders[stage].is_dir()]
    if missing:
        raise InputError(f"nothing to report on: no result of {', '.join(missing)}", "run the pipeline from that stage on")
    if not workspace.has(_FIGURES):
        with workspace.part(_FIGURES) as path:
            found = make_figures(settings, recipe.seed, folders)
            path.write_text(json.dumps(found, ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8")
    progress(1, 3, "files", file=_FIGURES)
    figures: Figures = json.loads(workspace.path(_FIGURES).read_text(encoding="utf-8"))
    if not workspace.has(_PAGE):
        with workspace.part(_PAGE) as path:
            path.write_text(render(settings, figures, recipe, stages, folders), encoding="utf-8")
    progress(2, 3, "files", file=_PAGE)
    if figures["benchmark"] and not workspace.has(PICTURE):
        with workspace.part(PICTURE) as path:
            path.write_bytes(png(heat(in_order(figures["benchmark"], titles(figures["protocol"])))))
    _write_texts(figures, recipe, folders, workspace)
    progress(3, 3, "files", file=_CARD)
    _log.info("the report lies at %s", workspace.path(_PAGE))
    return _metrics(figures)


def _write_texts(figures: Figures, recipe: Recipe, folders: Mapping[str, Path], workspace: Workspace) -> None:
    notice = make_notice(recipe, folders)
    with workspace.part(_ATTRIBUTION) as path:
        path.write_text(notice, encoding="utf-8")
    with workspace.part(_CARD) as path:
        path.write_text(make_card(figures, recipe, notice), encoding="utf-8")


def _metrics(figures: Figures) -> dict[str, float | int | None]:
    losses = {f"final_{name}": value for name, value in figures["final_losses"].items() if name != "steps"}
    means = {f"{row['task'].replace('-', '_')}_{model}": row[model] for row in figures["means"] for model in ("base", "trained")}
    return {**losses, **means, "map_tokens": len(figures["map"]["tokens"])}
