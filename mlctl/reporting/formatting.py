"""Figures and findings in words, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlctl import languages as codes
from mlctl.config import Model

Row = dict[str, Any]

_SHORT = 140
_LEAST_CHANCE = 0.001
_METRICS = {"f1": "F1", "agreement": "1 − AER", "aer": "AER"}
#: What the tasks on held-out pairs ask for.
_ASKED_FOR = {"sentence-retrieval": "sentence", "word-retrieval": "word"}


def finding(rows: Sequence[Row], means: Sequence[Row], named: Mapping[str, str]) -> dict[str, str]:
    """Say what came out in a plain `sentence`, and in a `detail` how sure that is.

    Args:
        rows: `tables.benchmark_rows`.
        means: `tables.mean_rows`.
        named: task → name for people, held-out tasks first.
    """
    ranked = [mean for task in named for mean in means if mean["task"] == task]
    if not ranked:
        return {"sentence": "Nothing was judged.", "detail": ""}
    held_out = [mean for mean in ranked if mean["task"] in _ASKED_FOR]
    detail = [_certainty(named[mean["task"]], _zero_shot(rows, mean["task"])) for mean in held_out]
    return {"sentence": _outcome(ranked[0], named), "detail": " ".join([*detail, *_published(ranked[len(held_out) :], named)])}


def base_is(model: Model) -> str:
    """Say what the trained model is compared with."""
    if model.name:
        return f"The base is {model.name} as it was before training."
    return "The base is the same small network before training, with random weights."


def layers(pooled: str | tuple[int, ...]) -> str:
    """Name the layers of the setting `train.layers`: "the first and the last layer", "layers 1 and 8"."""
    if isinstance(pooled, str):
        return {"first-and-last": "the first and the last layer", "last": "the last layer", "all": "all layers"}[pooled]
    *others, last = map(str, sorted(pooled))
    return f"layers {', '.join(others)} and {last}" if others else f"layer {last}"


def pooling(pool: str | int) -> str:
    """Say how a sentence's vector is made of its tokens' states, as `evaluate.pooling` names it."""
    said = {
        "trained": "mean over the layers of the training",
        "last": "mean over the last layer",
        "cls": "first token of the last layer",
    }
    return said.get(str(pool), "mean over the embeddings" if str(pool) == "0" else f"mean over layer {pool}")


def metric(name: str) -> str:
    """Name a figure: f1 → F1."""
    return _METRICS.get(name, spoken(name))


def chance(p: float) -> str:
    """0.0312 → 0.031; below a thousandth, < 0.001."""
    return f"< {_LEAST_CHANCE}" if p < _LEAST_CHANCE else f"{p:.3f}"


def percent(share: float) -> str:
    """0.1234 → 12.3%."""
    return f"{100 * share:.1f}%"


def points(change: float) -> str:
    """0.1234 → +12.3, with a true minus sign."""
    return f"{100 * change:+.1f}".replace("-", "−")


def number(count: float) -> str:
    """12345 → 12,345."""
    return f"{count:,}".replace("-", "−")


def duration(seconds: float) -> str:
    """Seconds as a person would say them: 0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Bytes in decimal units: 1234567 → 1.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.5 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def figure(value: Any) -> str:
    """Return any figure of a stage in a readable form."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return number(value) if isinstance(value, int) else f"{value:.4g}".replace("-", "−")


def setting(value: Any) -> str:
    """Return a setting as a recipe would write it, cut where it is long."""
    return "–" if value is None else shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def versions(found: Iterable[Mapping[str, str]]) -> list[tuple[str, str]]:
    """Return every package with its version, or with several where stages were made with different ones."""
    known: dict[str, dict[str, None]] = {}
    for one in found:
        for name, version in one.items():
            known.setdefault(name, {})[version] = None
    return [(name, ", ".join(several)) for name, several in sorted(known.items())]


def shortened(text: str) -> str:
    """Cut text that would fill the page."""
    return text if len(text) <= _SHORT else f"{text[:_SHORT].rstrip()} …"


def spoken(name: str) -> str:
    """sentence_retrieval_base → sentence retrieval base."""
    return name.replace("_", " ").replace("-", " ")


def task_name(task: str) -> str:
    """sentence-retrieval → Sentence retrieval."""
    return spoken(task).capitalize()


def neighbour_share(share: float | None) -> str:
    """Say how often the nearest token of another language has the same meaning."""
    return "" if share is None else f"nearest neighbours: {percent(share)} same meaning"


def _zero_shot(rows: Sequence[Row], task: str) -> list[Row]:
    return [row for row in rows if row["task"] == task and row["zero_shot"]]


def _outcome(mean: Row, named: Mapping[str, str]) -> str:
    base, trained = percent(mean["base"]), percent(mean["trained"])
    if what := _ASKED_FOR.get(mean["task"]):
        return (
            f"After training, the nearest {what} in the other language is the right translation in {trained} of the "
            f"held-out cases; before, it was in {base}."
        )
    return f"{named[mean['task']]}: {trained} after training, {base} before."


def _published(means: Sequence[Row], named: Mapping[str, str]) -> list[str]:
    """Say on which published benchmarks the mean over languages moved."""
    if not means:
        return []
    sides = {"better beyond chance": 1, "worse beyond chance": -1}
    said = [
        f"{words} in {', '.join(names)}"
        for words, sign in sides.items()
        if (names := [named[mean["task"]] for mean in means if mean["significant"] and sign * mean["difference"] > 0])
    ]
    if rest := [named[mean["task"]] for mean in means if not mean["significant"]]:
        said.append(f"no more than chance in {', '.join(rest)}")
    return [f"Published benchmarks, mean over languages without English: {'; '.join(said)}."]


def _certainty(task: str, rows: Sequence[Row]) -> str:
    better = [row for row in rows if row["significant"] and row["difference"] > 0]
    worse = [codes.name(row["language"]) for row in rows if row["significant"] and row["difference"] < 0]
    if len(rows) == 1:
        said = "better beyond chance" if better else "worse beyond chance" if worse else "the difference may be chance"
        return f"{task}: {said}."
    said = f"{task}: better beyond chance in {len(better)} of {len(rows)} languages"
    return f"{said}, worse in {', '.join(worse)}." if worse else f"{said}."
