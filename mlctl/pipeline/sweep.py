"""sweep: the comparison of the evaluated variants of a sweep, as a result of the store."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.config import Recipe
from mlctl.config.sweep import BASE, Sweep, Variant
from mlctl.pipeline.stage import Metrics, Ref, Stage, StageContext, listed_files, require_result, result_of
from storage import Result, Store

#: Files of the result.
PAGE, MARKDOWN, FIGURES, CSV = "sweep.html", "sweep.md", "sweep.json", "sweep.csv"

_RESAMPLES_A_VARIANT = 100  # so that Holm's correction leaves a p of 1 / (resamples + 1) far below 0.05


@dataclass(frozen=True)
class EvaluatedVariant:
    """A variant with the evaluate results of its trainings by seed, and the seeds whose run failed."""

    variant: Variant
    results: Mapping[int, Ref]
    failed: Sequence[int]


def sweep_stage(sweep: Sweep, variants: Sequence[EvaluatedVariant]) -> Stage:
    """Return the stage that compares the variants of a sweep and writes their tables and page."""
    return Stage(
        name="sweep",
        version=3,
        needs=(),
        settings=functools.partial(_settings, sweep, variants),
        work=functools.partial(_work, sweep, variants),
        outside=functools.partial(_outside, variants),
    )


def _settings(sweep: Sweep, variants: Sequence[EvaluatedVariant], recipe: Recipe) -> dict[str, Any]:
    listed = [
        {
            "name": evaluated.variant.name,
            "settings": evaluated.variant.settings,
            "seeds": sorted(evaluated.results),
            "failed": sorted(evaluated.failed),
        }
        for evaluated in variants
    ]
    return {
        "name": sweep.name,
        "recipe": recipe.name,
        "baseline": sweep.baseline,
        "seeds": list(sweep.seeds),
        "resamples": max(recipe.evaluate.resamples, _RESAMPLES_A_VARIANT * len(variants)),
        "seed": recipe.seed,
        "variants": listed,
    }


def _outside(variants: Sequence[EvaluatedVariant], recipe: Recipe) -> dict[str, str]:
    del recipe
    return {
        f"{evaluated.variant.name}, seed {seed}": result_of(ref).manifest.content
        for evaluated in variants
        for seed, ref in evaluated.results.items()
    }


def _work(sweep: Sweep, variants: Sequence[EvaluatedVariant], context: StageContext) -> Metrics:
    from mlctl.evaluation.statistics.sweep_comparison import Training, compare_variants
    from mlctl.reporting import benchmark_rows, sweep_page, sweep_tables, tables

    settings = _settings(sweep, variants, context.recipe)
    trainings: dict[str, list[Training]] = {}
    titles: dict[str, str] = {}
    for number, evaluated in enumerate(variants):
        opened = trainings[evaluated.variant.name] = []
        for seed, ref in sorted(evaluated.results.items()):
            training = _open(context, seed, result_of(ref), f"{number}/{seed}")
            opened.append(training)
            titles |= benchmark_rows.task_titles(tables.protocol(training.evaluated))
    baseline = None if sweep.baseline == BASE else sweep.baseline
    compared = compare_variants(trainings, baseline, settings["resamples"], context.recipe.seed)
    figures = {**settings, "titles": titles, **dataclasses.asdict(compared)}
    files = {
        FIGURES: json.dumps(figures, ensure_ascii=False, indent=1) + "\n",
        CSV: sweep_tables.to_csv(figures),
        MARKDOWN: sweep_tables.to_markdown(figures),
        PAGE: sweep_page.render(figures),
    }
    for name, text in files.items():
        with context.workspace.part(name) as path:
            path.write_text(text, encoding="utf-8", newline="")
    return {"variants": len(variants), "trainings": sum(map(len, trainings.values()))}


def _open(context: StageContext, seed: int, result: Result, name: str) -> Any:
    from mlctl.evaluation.statistics.run_comparison import protocol_digests
    from mlctl.evaluation.statistics.sweep_comparison import Training

    sharded = require_result(Store(context.recipe.store), "shard", result.manifest.inputs["shard"])
    folders: dict[str, Path] = {
        stage: listed_files(opened, context.workspace, f"{name}/{stage}")
        for stage, opened in (("evaluate", result), ("shard", sharded))
    }
    settings = result.manifest.parts["settings"]
    questions = protocol_digests(folders["evaluate"], folders["shard"], result.manifest.parts["outside"], int(settings["seed"]))
    return Training(seed, folders["evaluate"], questions)
