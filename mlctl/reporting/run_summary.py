"""The end of a run in a few lines, for pages and terminals that mlctl does not render itself: scores, stages, addresses, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mlctl.reporting import benchmark_rows, tables
from mlctl.reporting.formatting import format_duration
from mlctl.reporting.markdown import literal, table

_MAX_WARNINGS = 20


@dataclass(frozen=True)
class RunSummary:
    """What is shown of a finished run.

    Attributes:
        recipe: name of the recipe.
        stages: name, state (computed or cached) and seconds of each stage.
        scores: `score_rows`; empty: the run ended before the evaluation.
        worse: the tasks on which the trained model is significantly worse than the base model.
        addresses: where the results are, by what they are: paths and URLs.
        warnings: warnings of the run, each once.
    """

    recipe: str
    stages: Sequence[tuple[str, str, float]] = ()
    scores: Sequence[Mapping[str, str]] = ()
    worse: Sequence[str] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def score_rows(evaluated: Path) -> list[dict[str, str]]:
    """Return the main scores of an evaluate result, as shown: a row for each task, with the mean over its languages without English.

    Raises:
        InputError: the folder holds no scores.
    """
    means = tables.mean_rows(evaluated)
    with_mean = {mean["task"] for mean in means}
    english = [row for row in tables.benchmark_rows(evaluated) if row["task"] not in with_mean]
    rows = benchmark_rows.sort_rows([*means, *english], benchmark_rows.task_titles(tables.protocol(evaluated)))
    return [{"task": row["title"], "languages": str(row.get("languages", row.get("language"))), **_scores(row)} for row in rows]


def _scores(row: Mapping[str, object]) -> dict[str, str]:
    titles = {"base_same_pooling": "base, same pooling"}
    return {titles.get(name, name): text for name, text in benchmark_rows.format_row(row).items()}


def to_markdown(summary: RunSummary) -> str:
    """Return the summary as Markdown."""
    addresses = [f"**{name}:** {_link(address)}" for name, address in summary.addresses.items()]
    stages = [{"stage": name, "state": state, "time": _time(state, seconds)} for name, state, seconds in summary.stages]
    parts = [f"# {summary.recipe}", *([f"**{_worse(summary)}**"] if summary.worse else []), *addresses]
    if summary.scores:
        parts += ["## Scores", "Mean over languages; * significant; in brackets: 95% interval.", table(summary.scores)]
    if stages:
        parts += ["## Stages", table(stages)]
    if summary.warnings:
        shown = [f"- {literal(warning)}" for warning in summary.warnings[:_MAX_WARNINGS]]
        more = len(summary.warnings) - len(shown)
        parts += ["## Warnings", "\n".join([*shown, *([f"- and {more} more: see the log"] if more else [])])]
    return "\n\n".join(parts) + "\n"


def to_lines(summary: RunSummary) -> list[str]:
    """Return the summary as lines of text, most of them shorter than 60 characters: scores and addresses."""
    lines = [f"{row['task']}: {row['base']} → {row['trained']}, {row['difference']}" for row in summary.scores]
    lines += [_worse(summary)] if summary.worse else []
    return lines + [f"{name}: {address}" for name, address in summary.addresses.items()]


def _worse(summary: RunSummary) -> str:
    return f"The trained model is significantly worse than the base model: {'; '.join(summary.worse)}"


def _link(address: str) -> str:
    return f"[{address}]({address})" if address.startswith(("http://", "https://")) else literal(address)


def _time(state: str, seconds: float) -> str:
    return "" if state == "cached" else format_duration(seconds)
