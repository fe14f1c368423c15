"""`mlctl run` and a command for each stage: run the pipeline, or its first stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from mlctl.cli.flow_command import names_server, run_flow
from mlctl.cli.options import Overrides, RecipeName, load_recipe, out
from mlctl.stage_names import STAGE_NAMES, StageName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlctl.pipeline.stage import Ref
    from storage.run_log import Run


def run(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Run the whole pipeline; results that the store has are not computed again."""
    run_stages(recipe, overrides, "report")


def add_stage_commands(app: typer.Typer, own: Mapping[str, Callable[..., None]]) -> None:
    """Add a command for each stage, which runs the pipeline up to it; some stages have their `own`."""
    for stage in STAGE_NAMES:
        if stage in own:
            app.command(stage)(own[stage])
        else:
            _add_stage_command(app, stage)


def _add_stage_command(app: typer.Typer, stage: StageName) -> None:
    def command(recipe: RecipeName, overrides: Overrides = None) -> None:
        run_stages(recipe, overrides, stage)

    text = "Run the first stage only." if stage == STAGE_NAMES[0] else f"Run the pipeline up to {stage}."
    app.command(stage, help=text)(command)


def run_stages(name: str, overrides: list[str] | None, until: StageName) -> None:
    """Run the pipeline of a recipe up to a stage, and print what it has made."""
    recipe = load_recipe(name, overrides)

    def load() -> Callable[[], Any]:
        from flows.pipeline import pipeline

        return lambda: pipeline(recipe, until=until, return_state=True)

    from mlctl.pipeline import run_log
    from mlctl.pipeline.cached_run import record_cached_run

    with run_log.recording_overrides(overrides or ()):
        # A server that is not there is not started for a run that computes nothing.
        ref = None if names_server() else record_cached_run(recipe, until)
        ref = ref or run_flow(recipe.store, load).result()
    _print_summary(run_log.latest(), ref)


def _print_summary(run: Run, ref: Ref) -> None:
    from mlctl.pipeline.stage import lineage

    results = lineage(ref)
    cached = [stage.stage for stage in run.stages if stage.state == "cached"]
    if "evaluate" in results:
        _print_scores(results["evaluate"].folder)
    out.print(f"run:    {run.suffix}")
    if cached:
        nothing = "; nothing was computed" if len(cached) == len(run.stages) else ""
        out.print(f"cached: {', '.join(cached)}{nothing}", soft_wrap=True)
    if "train" in results:
        out.print(f"model:  {results['train'].folder / 'model'}", soft_wrap=True)
        if reason := results["train"].manifest.metrics.get("not_fallen"):
            out.print(f"[bold red]This training has learned nothing[/]: {escape(str(reason))}", soft_wrap=True)
    if ref["stage"] == "report":
        out.print(f"report: {results['report'].folder / 'report.html'}", soft_wrap=True)


def _print_scores(evaluated: Path) -> None:
    """Print the scores of each task and language; in red, on which tasks the trained model is worse than the base model."""
    from mlctl.reporting import benchmark_rows, tables
    from mlctl.reporting.regressions import worse_tasks

    rows, protocol = tables.benchmark_rows(evaluated), tables.protocol(evaluated)
    out.print(_benchmark_table(rows, protocol["base"], benchmark_rows.has_same_pooling(rows)))
    if worse := worse_tasks(rows, tables.mean_rows(evaluated), benchmark_rows.task_titles(protocol)):
        out.print(
            f"the trained model is significantly worse than the base model: {'; '.join(worse)}", style="bold red", soft_wrap=True
        )
    if problem := protocol["base"]["problem"]:
        out.print(f"not compared with the base model as published: {problem}", style="bold red", soft_wrap=True)


def _benchmark_table(rows: list[dict[str, Any]], base: dict[str, Any], same_pooling: bool) -> Table:
    which = "base model as published" if base["published"] else "base model"
    table = Table(Column("task", no_wrap=True), "to", title=f"Scores in %, {which} against trained model", box=SIMPLE)
    table.caption = "* the base model with the trained model's pooling (=: the same)" if same_pooling else None
    last = "base*" if same_pooling else "items"  # for both, 80 columns are not enough
    for name in ("base", "trained", "gain", "95% interval", last):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        base_score, trained, difference, low, high = (
            100 * row[name] for name in ("base", "trained", "difference", "low", "high")
        )
        same = row.get("base_same_pooling")
        again = str(row["items"]) if not same_pooling else "=" if same is None else f"{100 * same:.1f}"
        interval = f"{low:+.1f} … {high:+.1f}"
        table.add_row(row["task"], row["language"], f"{base_score:.1f}", f"{trained:.1f}", f"{difference:+.1f}", interval, again)
    return table
