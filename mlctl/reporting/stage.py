"""The report stage: writes the page, the model card, the attribution notice, the heat map and the figures of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mlctl.config import Recipe, Report
from mlctl.core.workspace import Progress, Workspace, silent
from mlctl.errors import InputError
from mlctl.reporting.records import StageRecord

if TYPE_CHECKING:
    from mlctl.reporting.figures import Figures

#: Heat map of the differences as an image.
PICTURE = "differences.png"

_FIGURES = "figures.json"
_PAGE = "report.html"
_CARD = "README.md"
_ATTRIBUTION = "ATTRIBUTION.md"
_REQUIRED = ("train", "evaluate")


def report(
    settings: Report,
    recipe: Recipe,
    stages: Sequence[StageRecord],
    folders: Mapping[str, Path],
    workspace: Workspace,
    progress: Progress = silent,
) -> dict[str, float | int | None]:
    """Write the report of a run.

    Writes `report.html`, which opens without a network; `README.md`, the model card; `ATTRIBUTION.md`, the corpora and translation
    backends of the training text; `differences.png`, the heat map of the scores; and `figures.json`, their numbers. Only the last has
    equal bytes for equal results: the page also shows times and cached stages, the texts show paths, the image uses this machine's fonts.

    Args:
        settings: content of the page.
        recipe: the whole recipe, shown on the page.
        stages: records of the stages before this one, in order.
        folders: stage → folder of its result; train and evaluate are required.
        workspace: where the result is written.
        progress: called after each file.

    Returns:
        Final losses, number of tokens in the map, and mean scores.

    Raises:
        InputError: train or evaluate has no result.
    """
    from mlctl.reporting.figures import make_figures
    from mlctl.reporting.page import render

    _check_results(folders)
    if not workspace.has(_FIGURES):
        with workspace.part(_FIGURES) as path:
            content = make_figures(settings, recipe.seed, folders)
            path.write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True), encoding="utf-8")
    progress(1, 3, "files", file=_FIGURES)
    figures: Figures = json.loads(workspace.path(_FIGURES).read_text(encoding="utf-8"))
    if not workspace.has(_PAGE):
        with workspace.part(_PAGE) as path:
            path.write_text(render(settings, figures, recipe, stages, folders), encoding="utf-8")
    progress(2, 3, "files", file=_PAGE)
    if figures["benchmark"] and not workspace.has(PICTURE) and (picture := _heatmap_png(figures)):
        with workspace.part(PICTURE) as path:
            path.write_bytes(picture)
    _write_texts(figures, recipe, folders, workspace)
    progress(3, 3, "files", file=_CARD)
    return _metrics(figures)


def _check_results(folders: Mapping[str, Path]) -> None:
    missing = [stage for stage in _REQUIRED if stage not in folders or not folders[stage].is_dir()]
    if missing:
        raise InputError(f"nothing to report on: no result of {', '.join(missing)}", "run the pipeline from that stage on")


def _heatmap_png(figures: Figures) -> bytes:
    from mlctl.reporting.benchmark_rows import sort_rows, task_titles
    from mlctl.reporting.benchmark_section import difference_heatmap
    from mlctl.reporting.png_export import pngs

    (picture,) = pngs([difference_heatmap(sort_rows(figures["benchmark"], task_titles(figures["protocol"])))])
    return picture


def _write_texts(figures: Figures, recipe: Recipe, folders: Mapping[str, Path], workspace: Workspace) -> None:
    from mlctl.reporting.card import make_card, make_notice
    from mlctl.reporting.card_metadata import prompts_text

    notice = make_notice(recipe, folders)
    with workspace.part(_ATTRIBUTION) as path:
        path.write_text(notice, encoding="utf-8")
    with workspace.part(_CARD) as path:
        path.write_text(make_card(figures, recipe, notice, prompts_text(folders["train"] / "model")), encoding="utf-8")


def _metrics(figures: Figures) -> dict[str, float | int | None]:
    losses = {f"final_{name}": value for name, value in figures["final_losses"].items() if name != "steps"}
    means = {f"{row['task'].replace('-', '_')}_{model}": row[model] for row in figures["means"] for model in ("base", "trained")}
    return {**losses, **means, "map_tokens": len(figures["map"]["tokens"])}
