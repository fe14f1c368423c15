"""ledger: what each source, language and filter of a recipe is worth and costs, as a result of the store."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlctl.config import Recipe
from mlctl.pipeline.ledger_components import KINDS, Component, KnownText
from mlctl.pipeline.ledger_counts import TextCounts, cost
from mlctl.pipeline.stage import Metrics, Ref, Stage, StageContext, lineage, listed_files, result_of

#: Files of the result. Seconds differ between equal runs: they are in `COSTS`, and in the pages and tables that show them.
PAGE, MARKDOWN, FIGURES, CSV, COSTS = "ledger.html", "ledger.md", "ledger.json", "ledger.csv", "costs.json"

_RESAMPLES_A_COMPONENT = 100  # so that Holm's correction leaves a p of 1 / (resamples + 1) far below 0.05


@dataclass(frozen=True)
class LeftOut:
    """A component, and what became of the recipe without it.

    Attributes:
        component: of the recipe.
        trained: train results of the recipe without it, by seed.
        compared: `challenge` results of the full recipe against it, by seed; none if both lead to the same model.
        failed: seeds whose run or comparison failed.
    """

    component: Component
    trained: Mapping[int, Ref]
    compared: Mapping[int, Ref]
    failed: Sequence[int] = ()

    @property
    def state(self) -> str:
        """What is known of its worth."""
        if self.component.unused or (self.trained and not self.compared and not self.failed):
            return "unchanged"
        return "compared" if self.compared else "not compared"


def ledger_stage(full: Mapping[int, Ref], components: Sequence[LeftOut]) -> Stage:
    """Return the stage that writes the ledger of a recipe.

    Args:
        full: train results of the full recipe by seed, of which at least one is finished.
        components: of the recipe.
    """
    return Stage(
        name="ledger",
        version=1,
        needs=(),
        settings=functools.partial(_settings, full, components),
        work=functools.partial(_work, full, components),
        outside=functools.partial(_outside, full, components),
        volatile=(PAGE, MARKDOWN, CSV, COSTS),
    )


def _settings(full: Mapping[int, Ref], components: Sequence[LeftOut], recipe: Recipe) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "seeds": sorted(full),
        "resamples": max(recipe.evaluate.resamples, _RESAMPLES_A_COMPONENT * len(components)),
        "seed": recipe.seed,
        "components": [_listed(left_out) for left_out in components],
    }


def _listed(left_out: LeftOut) -> dict[str, Any]:
    component = left_out.component
    return {
        "kind": component.kind,
        "name": component.name,
        "state": left_out.state,
        "reason": component.reason or ("the recipe without it leads to the same model" if left_out.state == "unchanged" else ""),
        "note": component.note,
        "settings": component.without.settings if component.kind == "filter" else {},
        "seeds": sorted(left_out.compared),
        "failed": sorted(left_out.failed),
    }


def _outside(full: Mapping[int, Ref], components: Sequence[LeftOut], recipe: Recipe) -> dict[str, str]:
    del recipe
    digests = {f"full recipe, seed {seed}": result_of(ref).manifest.content for seed, ref in full.items()}
    text = lineage(next(iter(full.values()))) if full else {}
    digests |= {stage: text[stage].manifest.content for stage in ("download", "clean", "shard") if stage in text}
    for left_out in components:
        name = left_out.component.without.name
        digests |= {f"{name}, seed {seed}": result_of(ref).manifest.content for seed, ref in left_out.compared.items()}
    return digests


def _work(full: Mapping[int, Ref], components: Sequence[LeftOut], context: StageContext) -> Metrics:
    from mlctl.reporting import ledger_page, ledger_tables

    figures = _figures(full, components, context)
    costs = _costs(full, components)
    files = {
        FIGURES: _json(figures),
        COSTS: _json(costs),
        CSV: ledger_tables.to_csv(figures, costs),
        MARKDOWN: ledger_tables.to_markdown(figures, costs),
        PAGE: ledger_page.render(figures, costs),
    }
    for name, text in files.items():
        with context.workspace.part(name) as path:
            path.write_text(text, encoding="utf-8", newline="")
    return {"components": len(components), "comparisons": sum(len(left_out.compared) for left_out in components)}


def _figures(full: Mapping[int, Ref], components: Sequence[LeftOut], context: StageContext) -> dict[str, Any]:
    """Return the content of ledger.json."""
    from mlctl.evaluation.statistics.ledger_comparison import ComparedComponent, compare_components
    from mlctl.reporting import benchmark_rows, tables

    settings = _settings(full, components, context.recipe)
    counts = _read_counts(full, context)
    described = [
        {**entry, **counts.of(left_out.component)} for entry, left_out in zip(settings["components"], components, strict=True)
    ]
    titles: dict[str, str] = {}
    worth: dict[str, list[dict[str, Any]]] = {"gains": [], "languages": [], "trainings": []}
    for kind in KINDS:
        compared = []
        for number, left_out in enumerate(components):
            component = left_out.component
            if component.kind == kind and left_out.compared:
                folders = {seed: _open(context, ref, f"{number}/{seed}") for seed, ref in left_out.compared.items()}
                compared.append(ComparedComponent(component.name, folders, component.name if kind == "language" else None))
                for folder in folders.values():
                    titles |= benchmark_rows.task_titles(tables.protocol(folder))
        found = dataclasses.asdict(compare_components(compared, settings["resamples"], context.recipe.seed))
        for name, rows in found.items():
            worth[name] += [{"kind": kind, **row} for row in rows]
    return {**settings, "components": described, "titles": titles, **worth}


def _read_counts(full: Mapping[int, Ref], context: StageContext) -> TextCounts:
    results = lineage(next(iter(full.values())))
    known = KnownText.read(context.recipe, results["download"], results["clean"])
    folders = [listed_files(results[stage], context.workspace, f"full/{stage}") for stage in ("clean", "shard")]
    return TextCounts.read(known, *folders)


def _open(context: StageContext, ref: Ref, name: str) -> Path:
    return listed_files(result_of(ref), context.workspace, name)


def _costs(full: Mapping[int, Ref], components: Sequence[LeftOut]) -> dict[str, Any]:
    """Return the content of costs.json: by kind and name of a component what it costs, of trainings of equal seeds."""
    results = {seed: lineage(ref) for seed, ref in full.items()}
    found: dict[str, Any] = {}
    for left_out in components:
        component = left_out.component
        seeds = [seed for seed in left_out.trained if seed in results]
        if seeds and left_out.state == "compared":
            without = [lineage(left_out.trained[seed]) for seed in seeds]
            found.setdefault(component.kind, {})[component.name] = cost([results[seed] for seed in seeds], without)
    return found


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
