"""The page: what is gathered for the template, and how it becomes one HTML file that loads nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mlctl import languages as codes
from mlctl.config import Recipe, Report
from mlctl.core import url_redaction
from mlctl.reporting import alignment, attribution, charts, curves, formatting, html_page, samples, tables, translation
from mlctl.reporting.alignment_drawing import draw
from mlctl.reporting.benchmark_section import HELD_OUT, in_order, judged, titles
from mlctl.reporting.figures import Figures
from mlctl.reporting.records import StageRecord

_SECTIONS = {
    "benchmark": "Benchmarks",
    "languages": "By language",
    "protocol": "How it was judged",
    "training": "Training",
    "data": "Data",
    "translation": "Translation",
    "alignment": "Aligned words",
    "map": "Map",
    "sources": "Licences",
    "stages": "Stages",
    "recipe": "Recipe",
    "reproduce": "Do it again",
}
_NOT_ON_AN_INDEX = ("python", "mlctl")
_TILES = 3  # tasks whose figures stand at the very top
_LEXICON = 12  # entries of each language


def render(settings: Report, figures: Figures, recipe: Recipe, stages: Sequence[StageRecord], folders: Mapping[str, Path]) -> str:
    """Return the page as HTML text.

    Args:
        settings: what the page shows.
        figures: content of `figures.json`.
        recipe: the recipe of the run.
        stages: how each stage came to its result.
        folders: stage → folder of its result.
    """
    parts = [
        _headline(figures, settings, recipe, stages),
        judged(figures),
        _training(figures, folders["train"]),
        _data(figures, settings, folders),
        _alignment(recipe, folders),
        _map(figures, recipe),
        _run(recipe, stages, folders),
    ]
    context = {name: value for part in parts for name, value in part.items() if name != "charts"}
    drawn = {name: spec for part in parts for name, spec in part.get("charts", {}).items()}
    fixed = {"settings": settings, "recipe": recipe, "figures": figures, "sections": _SECTIONS}
    return html_page.fill("page.html", drawn, {**fixed, **context})


def _headline(figures: Figures, settings: Report, recipe: Recipe, stages: Sequence[StageRecord]) -> dict[str, Any]:
    rows, named = figures["benchmark"], titles(figures["protocol"])
    asked = {row["language"] for row in rows if row["task"] in HELD_OUT}
    training_rows = sum(row["rows"] for row in figures["totals"] if row["what"] == "training rows")
    return {
        "title": settings.title or recipe.name,
        "source": recipe.languages.source,
        "targets": recipe.languages.targets,
        "finding": formatting.finding(rows, figures["means"], named),
        "base_is": formatting.base_is(recipe.model),
        "pooled_layers": formatting.layers(recipe.train.layers).replace("the ", ""),
        "unjudged": [target for target in recipe.languages.targets if target not in asked],
        "shown_means": in_order(figures["means"], named)[:_TILES],
        "tiles": [
            {"value": formatting.number(training_rows), "what": "sentence pairs to train on"},
            {"value": formatting.number(figures["final_losses"]["steps"]), "what": "training steps"},
            {"value": formatting.duration(sum(record.seconds for record in stages)), "what": "to make all results"},
        ],
    }


def _training(figures: Figures, train: Path) -> dict[str, Any]:
    found = {name: rows for name, rows in {**curves.loss_curves(train), "speed": curves.speed_curve(train)}.items() if rows}
    last = figures["final_losses"]
    ends = {name: f"; at the end {formatting.figure(last[name])}" for name in curves.LOSSES}
    return {
        "curves": [(name, curves.NAMES[name][0], curves.NAMES[name][1] + ends.get(name, "")) for name in found],
        "charts": {
            f"curve-{name}": charts.curve_chart(rows, curves.NAMES[name][0], name == "speed") for name, rows in found.items()
        },
    }


def _data(figures: Figures, settings: Report, folders: Mapping[str, Path]) -> dict[str, Any]:
    most = max((row["rows"] for row in figures["totals"]), default=0)
    totals = [{**row, "share": _percentage(row["rows"], most)} for row in figures["totals"]]
    rules = tables.rule_rows(figures["funnel"])
    rules = [{**rule, "left": _percentage(rule["rows_out"], rules[0]["rows_in"])} for rule in rules]
    examples = samples.rejected_examples(folders, settings.rejected_examples)
    by_rule: dict[tuple[str, str], list[samples.Row]] = {}
    for row in examples:
        by_rule.setdefault((row["stage"], row["rule"]), []).append(row)
    return {
        "totals": totals,
        "rules": rules,
        "idle_rules": _idle(rules),
        "rule_languages": sorted({language for rule in rules for language in rule["languages"]}),
        "rejected": [
            (rule, tables.rule_reasons(folders.get(rule["stage"])).get(rule["rule"]), by_rule[rule["stage"], rule["rule"]])
            for rule in rules
            if (rule["stage"], rule["rule"]) in by_rule
        ],
    }


def _idle(rules: Sequence[tables.Row]) -> list[tuple[str, list[str]]]:
    """Return for each stage the rules that dropped nothing."""
    stages = dict.fromkeys(rule["stage"] for rule in rules if not rule["dropped"])
    return [(stage, [rule["rule"] for rule in rules if rule["stage"] == stage and not rule["dropped"]]) for stage in stages]


def _alignment(recipe: Recipe, folders: Mapping[str, Path]) -> dict[str, Any]:
    folder, targets = folders.get("align"), recipe.languages.targets
    summary = alignment.summary_rows(folder)
    return {
        "aligned": [
            {**row, "language": row["target_language"], "drawing": draw(row)} for row in samples.aligned_examples(folder, targets)
        ],
        "alignment_summary": summary,
        "alignment_columns": [name for name in summary[0] if name != "language"] if summary else [],
        "fertility": alignment.fertility_rows(folder),
        "fertility_columns": alignment.LINKS,
        "lexicon": alignment.lexicon_rows(folder, targets, _LEXICON),
    }


def _map(figures: Figures, recipe: Recipe) -> dict[str, Any]:
    drawn = figures["map"]
    tokens = drawn["tokens"]
    if not tokens:
        return {"meanings": [], "map_languages": []}
    sentences: dict[int, str] = {}
    for token in tokens:
        if token["language"] == recipe.languages.source:
            sentences.setdefault(token["meaning"], token["text"])
    present = {token["language"] for token in tokens}
    spoken = [tag for tag in (recipe.languages.source, *recipe.languages.targets) if tag in present]
    count = max(token["meaning"] for token in tokens) + 1
    points = {
        model: [
            {**token, "spoken": codes.name(token["language"]), "x": x, "y": y}
            for token, (x, y) in zip(tokens, drawn[model]["points"], strict=True)
        ]
        for model in ("base", "trained")
    }
    return {
        "meanings": [(number, charts.colour_of(number), text) for number, text in sorted(sentences.items())],
        "map_languages": [(tag, charts.shape_of(number)) for number, tag in enumerate(spoken)],
        "charts": {f"map-{model}": charts.map_chart(rows, count, spoken) for model, rows in points.items()},
    }


def _run(recipe: Recipe, stages: Sequence[StageRecord], folders: Mapping[str, Path]) -> dict[str, Any]:
    environment = formatting.versions(record.versions for record in stages)
    seconds = sum(record.seconds for record in stages)
    saved = sum(record.seconds for record in stages if record.cached)
    return {
        "stages": stages,
        "spent": {"all": seconds, "saved": saved, "now": seconds - saved},
        "pinned": [(name, version) for name, version in environment if name not in _NOT_ON_AN_INDEX and "," not in version],
        "corpora": (corpora := attribution.attribution_rows(folders)),
        "attribution": attribution.attribution_text(corpora, translation.engine_rows(folders, recipe.translate)),
        "signatures": translation.signatures(folders.get("translate")),
        "gate": attribution.gate_words(recipe.licences.allow),
        "evaluation_sets": attribution.decontamination_rows(sets := attribution.decontamination(folders.get("shard"))),
        "decontamination": attribution.decontamination_words(sets),
        "recipe_yaml": _as_yaml(url_redaction.for_records(recipe.model_dump(mode="json"))),
        "environment": environment,
    }


def _as_yaml(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), allow_unicode=True, sort_keys=False, width=100)


def _percentage(part: int, whole: int) -> float:
    return min(100.0, round(100 * part / whole, 2)) if whole else 0.0
