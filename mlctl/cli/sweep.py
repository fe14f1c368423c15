"""`mlctl sweep`: variants of a recipe with several seeds, compared with error bars and paired tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from mlctl.cli.flow_command import run_flow
from mlctl.cli.options import Overrides, RecipeName, load_recipe, out
from mlctl.cli.units import format_duration

if TYPE_CHECKING:
    from mlctl.config.sweep import Sweep
    from mlctl.pipeline.stage import Ref
    from mlctl.pipeline.sweep_plan import StageTotal
    from mlctl.pipeline.sweep_runs import SweepRun


def sweep(
    recipe: RecipeName,
    sweep: Annotated[Path, typer.Argument(help="YAML file with the variants and seeds (docs/sweep.md).")],
    overrides: Overrides = None,
    parallel: Annotated[int, typer.Option("--parallel", help="Runs at the same time.", min=1)] = 1,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show what would run, what is cached, and what it would cost.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="With --plan: ask no server for names of models and data sets.")
    ] = False,
) -> None:
    """Train variants of a recipe with several seeds and compare them; what the store has is not computed again."""
    loaded = load_recipe(recipe, overrides)
    from mlctl.config.sweep import load_sweep
    from mlctl.pipeline.sweep_runs import check_runs, plan_runs

    definition = load_sweep(sweep)
    runs = plan_runs(loaded, definition, overrides or ())  # wrong settings end the command before Prefect is loaded
    if plan:
        _print_plan(definition.sweep, runs)
        check_runs(runs, online=not offline)
        return
    compared: list[Ref] = []

    def load() -> Callable[[], Any]:
        from flows.flow_run import finished
        from flows.sweep import sweep as flow

        def start() -> Any:
            before = len(finished)
            state = flow(loaded, list(overrides or ()), str(sweep), parallel, return_state=True)
            compared.extend(finished[before:])
            return state

        return start

    try:
        state = run_flow(loaded.store, load)
    finally:  # also if some runs failed
        for ref in compared:
            _print_comparison(ref)
    out.print(state.message, soft_wrap=True, markup=False)


def _print_plan(sweep: Sweep, runs: list[SweepRun]) -> None:
    from mlctl.pipeline.sweep_plan import plan_sweep
    from mlctl.reporting.sweep_tables import describe_baseline

    planned = plan_sweep(runs)
    variants, seeds = len(planned.variants), len(sweep.seeds)
    counts = f"{len(runs)} runs ({variants} variant{'' if variants == 1 else 's'} × {seeds} seed{'' if seeds == 1 else 's'})"
    out.print(f"{sweep.name}: {counts}, compared with {describe_baseline(sweep.baseline)}", soft_wrap=True, markup=False)
    stages = Table("stage", *(Column(name, justify="right") for name in ("results", "cached", "to compute", "time")), box=SIMPLE)
    for total in planned.stages:
        missing = total.results - total.cached
        time = "?" if total.seconds is None else format_duration(total.seconds) if missing else ""
        stages.add_row(total.stage, str(total.results), str(total.cached), str(missing), time)
    finished = Table(Column("variant", overflow="fold"), Column("finished runs", justify="right", no_wrap=True), box=SIMPLE)
    for name, (count, all_runs) in planned.variants.items():
        finished.add_row(escape(name), f"{count} of {all_runs}")
    out.print(stages, finished)
    out.print(f"time, one run after another: {_total_time(planned.stages)}", soft_wrap=True)


def _total_time(stages: Sequence[StageTotal]) -> str:
    missing = [total for total in stages if total.results > total.cached]
    unknown = ", ".join(total.stage for total in missing if total.seconds is None)
    known = [total.seconds for total in missing if total.seconds is not None]
    time = format_duration(sum(known)) if known or not missing else "no estimate"
    return f"{time}{f', without {unknown}: not measured yet' if unknown and known else ''}"


def _print_comparison(ref: Ref) -> None:
    from mlctl.pipeline.stage import result_of
    from mlctl.pipeline.sweep import CSV, FIGURES, MARKDOWN, PAGE
    from mlctl.reporting import sweep_tables
    from mlctl.reporting.json_files import read_json

    folder = result_of(ref).folder
    figures = read_json(folder, FIGURES, {})
    out.print()
    for title, rows in sweep_tables.task_tables(figures):
        out.print(_table(title, [sweep_tables.format_row(row) for row in rows]))
    out.print(escape(sweep_tables.legend(figures)))
    for line in (*sweep_tables.incomplete(figures), *sweep_tables.partly_compared(figures)):
        out.print(line, style="bold red", soft_wrap=True, markup=False)
    out.print(f"\npage:   {folder / PAGE}\ntables: {MARKDOWN}, {CSV}, {FIGURES} beside it", soft_wrap=True, markup=False)


def _table(title: str, rows: list[dict[str, str]]) -> Table:
    """Return the table of one task; the interval, for which 80 columns have no room, is in the stored tables."""
    table = Table(Column("variant", overflow="fold"), title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    columns = [name for name in rows[0] if name not in ("variant", "95% interval")]
    for name in columns:
        table.add_column(name.replace(", ", ",\n"), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(escape(row["variant"]), *(row[name] for name in columns))
    return table
