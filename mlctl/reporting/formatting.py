"""Formatting of numbers, settings and results as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlctl import languages as codes
from mlctl.config import Model

Row = dict[str, Any]

_SHORT_TEXT = 140
_MIN_P = 0.001
_METRICS = {
    "f1": "F1",
    "agreement": "1 − AER",
    "aer": "AER",
    "map": "mAP@20",
    "spearman": "Spearman's ρ",
    "same_language": "answers in the query's language",
}
#: Items of the tasks on held-out pairs.
_HELD_OUT_ITEMS = {"sentence-retrieval": "sentence", "word-retrieval": "word"}


def summarise_results(
    rows: Sequence[Row], means: Sequence[Row], titles: Mapping[str, str], base: Mapping[str, Any]
) -> dict[str, str]:
    """Summarise the results in one `sentence`, and their significance in a `detail`.

    Args:
        rows: `tables.benchmark_rows`.
        means: `tables.mean_rows`.
        titles: task → title, held-out tasks first.
        base: `base` of `protocol.json`.
    """
    ranked = [mean for task in titles for mean in means if mean["task"] == task]
    if not ranked:
        return {"sentence": "The model was not evaluated.", "detail": ""}
    held_out = [mean for mean in ranked if mean["task"] in _HELD_OUT_ITEMS]
    detail = [_language_significance(titles[mean["task"]], _zero_shot(rows, mean["task"])) for mean in held_out]
    published = _mean_significance(ranked[len(held_out) :], titles)
    return {"sentence": _main_result(ranked[0], titles, base), "detail": " ".join([*detail, *published])}


def describe_base(model: Model) -> str:
    """Describe the base model."""
    if model.name:
        return f"The base model is {model.name} before training."
    return "The base model is the same small network before training, with random weights."


def name_base(base: Mapping[str, Any]) -> str:
    """Return the name of the base model's column: "base as published" where it has its own sentence vectors."""
    return "base as published" if base["published"] else "base"


def describe_base_vectors(protocol: Mapping[str, Any]) -> str:
    """Describe how the base model's sentence vectors are made, and how they differ from the trained model's.

    Args:
        protocol: content of `protocol.json`.
    """
    base, models = protocol["base"], protocol["models"]
    own, trained = (describe_vectors(models[name]) for name in ("base", "trained"))
    if base["problem"]:
        return f"The base model is not evaluated as it was published: {base['problem']}. Both models: {trained}."
    if not base["published"] and base["origin"] != "search":
        return f"Sentence vectors of both models: {trained}."
    origin = (
        "The base model is evaluated as it was published"
        if base["published"]
        else "The base model says nothing about sentence vectors; it has the pooling that retrieves most translations among dev pairs"
    )
    if base["same_pooling"] == "equal":
        return f"{origin}: {own}. The trained model is pooled in the same way, so the base model is evaluated once."
    return (
        f"{origin}: {own}. The trained model: {trained}. The column “base, same pooling” is the base model with the trained model's pooling: "
        "the difference to it is what training itself changed."
    )


def describe_vectors(model: Mapping[str, Any]) -> str:
    """Describe the sentence vectors of an entry of `models` in `protocol.json`: pooling, prompt, maximum length."""
    prompt = f", prompt “{model['prefix']}”" if model["prefix"] else ""
    length = f", at most {model['max_length']} tokens" if model["max_length"] else ""
    return f"{model['sentences']}{prompt}{length}"


def format_metric(name: str) -> str:
    """Format the name of a metric: f1 → F1."""
    return _METRICS.get(name, humanise(name))


def format_p_value(p: float) -> str:
    """0.0312 → 0.031; below a thousandth, < 0.001."""
    return f"< {_MIN_P}" if p < _MIN_P else f"{p:.3f}"


def format_percent(share: float) -> str:
    """0.1234 → 12.3%."""
    return f"{100 * share:.1f}%"


def format_points(change: float) -> str:
    """0.1234 → +12.3, in percentage points, with a true minus sign."""
    return f"{100 * change:+.1f}".replace("-", "−")


def format_number(count: float) -> str:
    """12345 → 12,345."""
    return f"{count:,}".replace("-", "−")


def format_duration(seconds: float) -> str:
    """Format seconds: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_size(count: float) -> str:
    """Format bytes in decimal units: 1234567 → 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def format_value(value: Any) -> str:
    """Format any metric of a stage."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return format_number(value) if isinstance(value, int) else f"{value:.4g}".replace("-", "−")


def format_setting(value: Any) -> str:
    """Format a setting as in a recipe, shortened if it is long."""
    return "–" if value is None else shorten(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def merge_versions(environments: Iterable[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Return every package with its version, or with several if stages ran with different ones."""
    merged: dict[str, dict[str, None]] = {}
    for environment in environments:
        for name, version in environment.items():
            merged.setdefault(name, {})[version] = None
    return [(name, ", ".join(versions)) for name, versions in sorted(merged.items())]


def shorten(text: str) -> str:
    """Shorten a long text to 140 characters."""
    return text if len(text) <= _SHORT_TEXT else f"{text[:_SHORT_TEXT].rstrip()} …"


def humanise(name: str) -> str:
    """sentence_retrieval_base → sentence retrieval base."""
    return name.replace("_", " ").replace("-", " ")


def format_task_name(task: str) -> str:
    """sentence-retrieval → Sentence retrieval."""
    return humanise(task).capitalize()


def format_neighbour_share(share: float | None) -> str:
    """Format the share of tokens whose nearest token of another language has the same meaning."""
    return "" if share is None else f"nearest neighbour has the same meaning: {format_percent(share)}"


def _zero_shot(rows: Sequence[Row], task: str) -> list[Row]:
    return [row for row in rows if row["task"] == task and row["zero_shot"]]


def _main_result(mean: Row, titles: Mapping[str, str], base_entry: Mapping[str, Any]) -> str:
    of_base = "of the base model as published" if base_entry["published"] else "before training"
    base, trained = format_percent(mean["base"]), format_percent(mean["trained"])
    if item := _HELD_OUT_ITEMS.get(mean["task"]):
        return (
            f"After training, the nearest {item} in the other language is the correct translation in {trained} of the "
            f"held-out cases, compared with {base} {of_base}."
        )
    return f"{titles[mean['task']]}: {trained} after training, {base} {of_base}."


def _mean_significance(means: Sequence[Row], titles: Mapping[str, str]) -> list[str]:
    """Describe on which published benchmarks the mean over languages changed significantly."""
    if not means:
        return []
    signs = {"significantly better on": 1, "significantly worse on": -1}
    parts = [
        f"{text} {', '.join(names)}"
        for text, sign in signs.items()
        if (names := [titles[mean["task"]] for mean in means if mean["significant"] and sign * mean["difference"] > 0])
    ]
    if unchanged := [titles[mean["task"]] for mean in means if not mean["significant"]]:
        parts.append(f"no significant difference on {', '.join(unchanged)}")
    return [f"Published benchmarks, mean over languages without English: {'; '.join(parts)}."]


def _language_significance(title: str, rows: Sequence[Row]) -> str:
    better = [row for row in rows if row["significant"] and row["difference"] > 0]
    worse = [codes.name(row["language"]) for row in rows if row["significant"] and row["difference"] < 0]
    if len(rows) == 1:
        return (
            f"{title}: {'significantly better' if better else 'significantly worse' if worse else 'no significant difference'}."
        )
    text = f"{title}: significantly better in {len(better)} of {len(rows)} languages"
    return f"{text}, worse in {', '.join(worse)}." if worse else f"{text}."
