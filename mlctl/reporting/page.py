"""The page of a run: collects the template's variables and renders it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlctl import languages as codes
from mlctl.config import Recipe, Report, yaml_text
from mlctl.core import url_redaction
from mlctl.modeling.sentence_config import POOLING_REASONS, Pooling, describe_layers, describe_pooling
from mlctl.reporting import (
    alignment,
    attribution,
    charts,
    curves,
    formatting,
    html_page,
    pair_scores,
    samples,
    tables,
    translation,
)
from mlctl.reporting.alignment_drawing import draw
from mlctl.reporting.benchmark_rows import HELD_OUT, group_by_task, sort_rows, sort_tasks, task_titles
from mlctl.reporting.benchmark_section import benchmark_context
from mlctl.reporting.figures import Figures
from mlctl.reporting.records import StageRecord
from mlctl.reporting.regressions import worse_tasks

_SECTIONS = {
    "benchmark": "Benchmarks",
    "languages": "By language",
    "changes": "What changed",
    "protocol": "Evaluation protocol",
    "training": "Training",
    "data": "Data",
    "translation": "Translation",
    "alignment": "Word alignment",
    "map": "Embedding map",
    "sources": "Licences",
    "stages": "Stages",
    "recipe": "Recipe",
    "reproduce": "Reproduce this run",
}
_NOT_ON_PYPI = ("python", "mlctl")
_SCORE_TILES = 3  # tasks at the top of the page
_LEXICON_ENTRIES = 12  # of each language


def render(settings: Report, figures: Figures, recipe: Recipe, stages: Sequence[StageRecord], folders: Mapping[str, Path]) -> str:
    """Return the page as HTML text.

    Args:
        settings: content of the page.
        figures: content of `figures.json`.
        recipe: the recipe of the run.
        stages: records of the stages.
        folders: stage → folder of its result.
    """
    charted = _charted_parts(figures, recipe, stages, folders)
    parts = [
        _headline(figures, settings, recipe, stages),
        _changes(figures),
        _data(figures, settings, folders),
        _alignment(recipe, folders),
        _sources(recipe, folders),
        _run(recipe, stages),
        *charted,
    ]
    context = {name: value for part in parts for name, value in part.items() if name != "charts"}
    common = {"settings": settings, "recipe": recipe, "figures": figures, "sections": _SECTIONS}
    return html_page.render_template("page.html", _charts_of(charted), {**common, **context})


def chart_specs(
    figures: Figures, recipe: Recipe, stages: Sequence[StageRecord], folders: Mapping[str, Path]
) -> dict[str, charts.Spec]:
    """Return the charts of the page by name, in its order.

    The names are `heat`, `benchmark-<task>`, `curve-<name of curves.NAMES>`, `gradients-<task>`, `score-<name>`, `map-base` and
    `map-trained`; what a run does not have is left out. The arguments are those of `render`.
    """
    return _charts_of(_charted_parts(figures, recipe, stages, folders))


def _charted_parts(
    figures: Figures, recipe: Recipe, stages: Sequence[StageRecord], folders: Mapping[str, Path]
) -> list[dict[str, Any]]:
    """Return the variables of the sections with charts, which are in `charts`."""
    return [
        benchmark_context(figures),
        _training(figures, stages, folders["train"]),
        _gradients(figures),
        _pair_scores(figures, folders),
        _map(figures, recipe),
    ]


def _charts_of(parts: Sequence[Mapping[str, Any]]) -> dict[str, charts.Spec]:
    return {name: spec for part in parts for name, spec in part.get("charts", {}).items()}


def _headline(figures: Figures, settings: Report, recipe: Recipe, stages: Sequence[StageRecord]) -> dict[str, Any]:
    rows, titles = figures["benchmark"], task_titles(figures["protocol"])
    evaluated = {row["language"] for row in rows if row["task"] in HELD_OUT}
    training_rows = sum(row["rows"] for row in figures["totals"] if row["label"] == "training rows")
    seconds = sum(record.seconds for record in stages)
    return {
        "title": settings.title or recipe.name,
        "source": recipe.languages.source,
        "targets": recipe.languages.targets,
        "summary": formatting.summarise_results(rows, figures["means"], titles, figures["protocol"]["base"]),
        "base_description": formatting.describe_base(recipe.model),
        "worse": worse_tasks(rows, figures["means"], titles),
        "base_problem": figures["protocol"]["base"]["problem"],
        "pooled_layers": describe_layers(Pooling.from_json(figures["pooling"])),
        "trained_pooling": describe_pooling(Pooling.from_json(figures["pooling"])),
        "pooling_reason": POOLING_REASONS[figures["pooling"]["origin"]],
        "not_evaluated": [target for target in recipe.languages.targets if target not in evaluated],
        "score_tiles": sort_rows(figures["means"], titles)[:_SCORE_TILES],
        "tiles": [
            {"value": formatting.format_number(training_rows), "label": "training pairs"},
            {"value": formatting.format_number(figures["final_losses"]["steps"]), "label": "training steps"},
            {"value": formatting.format_duration(seconds), "label": "computing time of all stages"},
        ],
    }


def _training(figures: Figures, stages: Sequence[StageRecord], train: Path) -> dict[str, Any]:
    available = curves.all_curves(train)
    final = {name: f"; final value {formatting.format_value(figures['final_losses'][name])}" for name in curves.LOSSES}
    final |= {
        row["metric"]: f"; {row['before']:.1f} before training, {row['after']:.1f} after"
        for row in figures["judgements"]["changes"]
    }
    return {
        "not_fallen": next((str(record.metrics.get("not_fallen", "")) for record in stages if record.stage == "train"), ""),
        "curves": [(name, curves.NAMES[name][0], curves.NAMES[name][1] + final.get(name, "")) for name in available],
        "charts": {
            f"curve-{name}": charts.curve_chart(rows, curves.NAMES[name][0], name in curves.FROM_ZERO)
            for name, rows in available.items()
        },
    }


def _changes(figures: Figures) -> dict[str, Any]:
    found, titles = figures["changes"], task_titles(figures["protocol"])
    examples = [(task, _examples([row for row in found["items"] if row["task"] == task])) for task in titles]
    groups = {
        by: group_by_task(sort_tasks([row for row in found["groups"] if row["by"] == by], titles))
        for by in dict.fromkeys(row["by"] for row in found["groups"])
    }
    probed = {row["language"] for row in found["geometry"] if row["measure"] == "language-probe"} - {None}
    return {
        "titles": titles,
        "changes": {
            "tasks": sort_tasks(found["tasks"], titles),
            "examples": [(titles[task], sides) for task, sides in examples if sides],
            "groups": list(groups.items()),
            "geometry": found["geometry"],
            "chance": 1 / max(1, len(probed)),
        },
    }


def _examples(rows: Sequence[tables.Row]) -> list[tuple[str, list[tables.Row]]]:
    """Return changed items by kind, with the name of each kind; those that are drawn at random first."""
    names = {
        ("lost", "random"): "Lost, at random",
        ("lost", "surest"): "Lost, the surest",
        ("gained", "random"): "Gained, at random",
        ("gained", "surest"): "Gained, the surest",
    }
    by_kind = {kind: [row for row in rows if (row["change"], row["selection"]) == kind] for kind in names}
    return [(names[kind], own) for kind, own in by_kind.items() if own]


def _gradients(figures: Figures) -> dict[str, Any]:
    rows, titles = figures["gradients"], task_titles(figures["protocol"])
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    return {
        "gradient_tasks": [(task, titles[task]) for task in tasks],
        "gradient_means": [{**row, "title": titles[row["task"]]} for row in rows if row["layer"] is None],
        "charts": {f"gradients-{task}": charts.gradient_chart([row for row in rows if row["task"] == task]) for task in tasks},
    }


def _data(figures: Figures, settings: Report, folders: Mapping[str, Path]) -> dict[str, Any]:
    largest = max((row["rows"] for row in figures["totals"]), default=0)
    totals = [{**row, "share": _percentage(row["rows"], largest)} for row in figures["totals"]]
    rules = tables.rule_rows(figures["funnel"])
    rules = [{**rule, "remaining": _percentage(rule["rows_out"], rules[0]["rows_in"])} for rule in rules]
    examples: dict[tuple[str, str], list[samples.Row]] = {}
    for row in samples.rejected_examples(folders, settings.rejected_examples):
        examples.setdefault((row["stage"], row["rule"]), []).append(row)
    return {
        "totals": totals,
        "rules": rules,
        "idle_rules": _idle_rules(rules),
        "rule_languages": sorted({language for rule in rules for language in rule["languages"]}),
        "rejected": [
            (rule, tables.rule_reasons(folders.get(rule["stage"])).get(rule["rule"]), examples[rule["stage"], rule["rule"]])
            for rule in rules
            if (rule["stage"], rule["rule"]) in examples
        ],
    }


def _pair_scores(figures: Figures, folders: Mapping[str, Path]) -> dict[str, Any]:
    histogram, examples = figures["pair_scores"], pair_scores.example_rows(folders)
    names = pair_scores.score_names(histogram)
    return {
        "pair_scores": [
            (name, pair_scores.summary_rows(histogram, name), [row for row in examples if row["score"] == name]) for name in names
        ],
        "charts": {
            f"score-{name}": charts.score_chart([row for row in histogram if row["score"] == name], name) for name in names
        },
    }


def _idle_rules(rules: Sequence[tables.Row]) -> list[tuple[str, list[str]]]:
    """Return for each stage the rules that dropped nothing."""
    idle = [rule for rule in rules if not rule["dropped"]]
    stages = dict.fromkeys(rule["stage"] for rule in idle)
    return [(stage, [rule["rule"] for rule in idle if rule["stage"] == stage]) for stage in stages]


def _alignment(recipe: Recipe, folders: Mapping[str, Path]) -> dict[str, Any]:
    folder, targets = folders.get("align"), recipe.languages.targets
    summary = alignment.summary_rows(folder)
    examples = samples.aligned_examples(folder, targets)
    return {
        "aligned": [{**row, "language": row["target_language"], "drawing": draw(row)} for row in examples],
        "alignment_summary": summary,
        "alignment_columns": [name for name in summary[0] if name != "language"] if summary else [],
        "fertility": alignment.fertility_rows(folder),
        "fertility_columns": alignment.LINKS,
        "lexicon": alignment.lexicon_rows(folder, targets, _LEXICON_ENTRIES),
    }


def _map(figures: Figures, recipe: Recipe) -> dict[str, Any]:
    token_map = figures["map"]
    tokens = token_map["tokens"]
    if not tokens:
        return {"meanings": [], "map_languages": []}
    sentences: dict[int, str] = {}
    for token in tokens:
        if token["language"] == recipe.languages.source:
            sentences.setdefault(token["meaning"], token["text"])
    present = {token["language"] for token in tokens}
    languages = [tag for tag in (recipe.languages.source, *recipe.languages.targets) if tag in present]
    meanings = max(token["meaning"] for token in tokens) + 1
    points = {
        model: [
            {**token, "language_name": codes.name(token["language"]), "x": x, "y": y}
            for token, (x, y) in zip(tokens, token_map[model]["points"], strict=True)
        ]
        for model in ("base", "trained")
    }
    return {
        "meanings": [(number, charts.colour_of(number), text) for number, text in sorted(sentences.items())],
        "map_languages": [(tag, charts.shape_of(number)) for number, tag in enumerate(languages)],
        "charts": {f"map-{model}": charts.map_chart(rows, meanings, languages) for model, rows in points.items()},
    }


def _sources(recipe: Recipe, folders: Mapping[str, Path]) -> dict[str, Any]:
    corpora = attribution.attribution_rows(folders)
    decontaminated = attribution.decontamination(folders.get("shard"))
    return {
        "corpora": corpora,
        "attribution": attribution.attribution_text(corpora, translation.backend_rows(folders, recipe.translate)),
        "signatures": translation.signatures(folders.get("translate")),
        "licence_policy": attribution.licence_policy_text(recipe.licences.allow),
        "evaluation_sets": attribution.decontamination_rows(decontaminated),
        "decontamination": attribution.decontamination_text(decontaminated),
    }


def _run(recipe: Recipe, stages: Sequence[StageRecord]) -> dict[str, Any]:
    environment = formatting.merge_versions(record.versions for record in stages)
    seconds = sum(record.seconds for record in stages)
    saved = sum(record.seconds for record in stages if record.cached)
    settings = url_redaction.redact_values(recipe.model_dump(mode="json"))
    return {
        "stages": stages,
        "server_usage": translation.server_usage(next((record.metrics for record in stages if record.stage == "translate"), {})),
        "time": {"all": seconds, "saved": saved, "computed": seconds - saved},
        "pinned": [(name, version) for name, version in environment if name not in _NOT_ON_PYPI and "," not in version],
        "store": settings["store"],
        "recipe_yaml": yaml_text.dump(dict(settings), width=100),
        "environment": environment,
    }


def _percentage(part: int, whole: int) -> float:
    return min(100.0, round(100 * part / whole, 2)) if whole else 0.0
