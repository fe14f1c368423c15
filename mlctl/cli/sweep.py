"""`mlctl sweep`: variants of a recipe with several seeds, compared with error bars and paired tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from mlctl.cli.flow_command import run_comparison
from mlctl.cli.options import Overrides, RecipeName, complete_sweep, load_recipe, out

if TYPE_CHECKING:
    from mlctl.config.sweep import Sweep
    from mlctl.pipeline.stage import Ref
    from mlctl.pipeline.variant_runs import VariantRun


def sweep(
    recipe: RecipeName,
    sweep: Annotated[
        str,
        typer.Argument(
            help="A built-in sweep (docs/sweep.md), or a YAML file with the variants and seeds.", autocompletion=complete_sweep
        ),
    ],
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
    from mlctl import sweeps
    from mlctl.config.sweep import load_sweep
    from mlctl.pipeline.sweep_runs import plan_runs
    from mlctl.pipeline.variant_runs import check_runs

    definition = load_sweep(sweeps.find(sweep))
    runs = plan_runs(loaded, definition, overrides or ())  # wrong settings end the command before Prefect is loaded
    if plan:
        _print_plan(definition.sweep, runs)
        check_runs(runs, online=not offline)
        return

    def load() -> Callable[[], Any]:
        from flows.sweep import sweep as flow

        return lambda: flow(loaded, list(overrides or ()), sweep, parallel, return_state=True)

    run_comparison(loaded.store, load, _print_comparison)


def _print_plan(sweep: Sweep, runs: list[VariantRun]) -> None:
    from mlctl.cli.variant_plan import print_plan
    from mlctl.pipeline.variant_plan import plan_variants
    from mlctl.reporting.sweep_tables import describe_baseline

    planned = plan_variants(runs)
    variants, seeds = len(planned.variants), len(sweep.seeds)
    counts = f"{len(runs)} runs ({variants} variant{'' if variants == 1 else 's'} × {seeds} seed{'' if seeds == 1 else 's'})"
    print_plan(planned, f"{sweep.name}: {counts}, compared with {describe_baseline(sweep.baseline)}")


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
