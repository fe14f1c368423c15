"""`mlctl run` and a command for each stage: run the pipeline, or its first stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from mlctl.cli.options import Overrides, RecipeName, load_recipe, out
from mlctl.config import Recipe
from mlctl.errors import InputError
from mlctl.stage_names import STAGE_NAMES, StageName

if TYPE_CHECKING:
    from mlctl.pipeline.stage import Ref


def run(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Run the whole pipeline; results that the store has are not computed again."""
    _run(recipe, overrides, "report")


def add_stage_commands(app: typer.Typer) -> None:
    """Add a command for each stage, which runs the pipeline up to it."""
    for stage in STAGE_NAMES:
        _add_stage_command(app, stage)


def _add_stage_command(app: typer.Typer, stage: StageName) -> None:
    def command(recipe: RecipeName, overrides: Overrides = None) -> None:
        _run(recipe, overrides, stage)

    text = "Run the first stage only." if stage == STAGE_NAMES[0] else f"Run the pipeline up to {stage}."
    app.command(stage, help=text)(command)


def _run(name: str, overrides: list[str] | None, until: StageName) -> None:
    recipe = load_recipe(name, overrides)
    from flows.pipeline import pipeline
    from flows.server.orphan_reaper import start_reaper

    start_reaper()
    state = pipeline(recipe, until, return_state=True)
    if not state.is_completed():
        raise InputError(state.message or "the run did not complete")
    _print_summary(recipe, state.result())


def _print_summary(recipe: Recipe, ref: Ref) -> None:
    from mlctl.pipeline.stage import lineage
    from mlctl.reporting import tables
    from storage import Store
    from storage.run_log import RunLog

    results = lineage(ref)
    last = RunLog(Store(recipe.store)).runs()[0]
    cached = [stage.stage for stage in last.stages if stage.state == "cached"]
    if "evaluate" in results:
        out.print(_benchmark_table(tables.benchmark_rows(results["evaluate"].folder)))
    if cached:
        nothing = "; nothing was computed" if len(cached) == len(last.stages) else ""
        out.print(f"cached: {', '.join(cached)}{nothing}", soft_wrap=True)
    if "train" in results:
        out.print(f"model:  {results['train'].folder / 'model'}", soft_wrap=True)
        if reason := results["train"].manifest.metrics.get("not_fallen"):
            out.print(f"[bold red]This training has learned nothing[/]: {escape(str(reason))}", soft_wrap=True)
    if ref["stage"] == "report":
        out.print(f"report: {results['report'].folder / 'report.html'}", soft_wrap=True)


def _benchmark_table(rows: list[dict[str, Any]]) -> Table:
    table = Table(Column("task", no_wrap=True), "to", title="Scores in %, base model against trained model", box=SIMPLE)
    for name in ("base", "trained", "gain", "95% interval", "items"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        base, trained, difference, low, high = (100 * row[name] for name in ("base", "trained", "difference", "low", "high"))
        interval = f"{low:+.1f} … {high:+.1f}"
        figures = (f"{base:.1f}", f"{trained:.1f}", f"{difference:+.1f}", interval, str(row["items"]))
        table.add_row(row["task"], row["language"], *figures)
    return table
