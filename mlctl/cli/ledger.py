"""`mlctl ledger`: what each source, language and filter of a recipe is worth and costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.markup import escape
from rich.table import Column, Table

from mlctl.cli.flow_command import run_comparison
from mlctl.cli.options import Overrides, RecipeName, load_recipe, out

if TYPE_CHECKING:
    from mlctl.config import Recipe
    from mlctl.pipeline.ledger_runs import LedgerRequest
    from mlctl.pipeline.stage import Ref

_WIDE = ("95% interval", "without", "with")  # columns of the stored tables for which 80 columns have no room


def ledger(
    recipe: RecipeName,
    overrides: Overrides = None,
    sources: Annotated[bool, typer.Option("--sources", help="Leave out each source (with --languages the default).")] = False,
    languages: Annotated[bool, typer.Option("--languages", help="Leave out each target language.")] = False,
    filters: Annotated[bool, typer.Option("--filters", help="Leave out each rule of clean that a setting disables.")] = False,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Name of a source, language or rule; repeat it for several.", show_default=False),
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", help="Trainings of each recipe, with the seeds 0, 1, 2 …", min=1)] = 3,
    parallel: Annotated[int, typer.Option("--parallel", help="Runs at the same time.", min=1)] = 1,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only show what would run, what is cached, and what it would cost.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="With --plan: ask no server for names of models and data sets.")
    ] = False,
) -> None:
    """Train a recipe without each of its sources and languages, and tell what each is worth; what the store has is not computed again."""
    loaded = load_recipe(recipe, overrides)
    from mlctl.pipeline.ledger_components import KINDS
    from mlctl.pipeline.ledger_runs import LedgerRequest

    kinds = tuple(kind for kind, chosen in zip(KINDS, (sources, languages, filters), strict=True) if chosen)
    request = LedgerRequest(kinds, tuple(only or ()), seeds)
    request.check(overrides or ())
    request.components(loaded)  # wrong names end the command before Prefect is loaded
    if plan:
        _print_plan(loaded, request, online=not offline)
        return

    def load() -> Callable[[], Any]:
        from flows.ledger import ledger as flow

        return lambda: flow(loaded, list(overrides or ()), list(kinds), list(only or ()), seeds, parallel, return_state=True)

    run_comparison(loaded.store, load, _print_ledger)


def _print_plan(recipe: Recipe, request: LedgerRequest, online: bool) -> None:
    from mlctl.cli.variant_plan import print_plan
    from mlctl.pipeline.ledger_plan import plan_ledger
    from mlctl.pipeline.ledger_runs import COMPARED_BY, planned_runs
    from mlctl.pipeline.variant_runs import check_runs

    runs = planned_runs(recipe, request)
    planned = plan_ledger(recipe, runs)
    left_out, seeds = len(planned.variants) - 1, f"{request.seeds} seed{'' if request.seeds == 1 else 's'}"
    counts = f"{len(runs)} runs ((full recipe + {left_out} without a component) × {seeds})"
    print_plan(planned, f"ledger of {recipe.name}: {counts}, compared with each other")
    check_runs(runs, online, COMPARED_BY)


def _print_ledger(ref: Ref) -> None:
    from mlctl.pipeline.ledger import COSTS, CSV, FIGURES, MARKDOWN, PAGE
    from mlctl.pipeline.stage import result_of
    from mlctl.reporting import ledger_tables
    from mlctl.reporting.json_files import read_json

    folder = result_of(ref).folder
    figures, costs = (read_json(folder, name, {}) for name in (FIGURES, COSTS))
    out.print()
    for kind in ledger_tables.kinds(figures):
        gains = [
            {name: cell for name, cell in row.items() if name not in _WIDE} for row in ledger_tables.gain_rows(figures, kind)
        ]
        out.print(_table(f"{ledger_tables.KIND_TITLES[kind]}: worth in points", gains))
        out.print(_table(f"{ledger_tables.KIND_TITLES[kind]}: costs and licences", ledger_tables.cost_rows(figures, costs, kind)))
    for text in (ledger_tables.LEGEND, ledger_tables.REMINDER, ledger_tables.COST_NOTE):
        out.print(escape(text))
    for line in ledger_tables.warnings(figures):
        out.print(line, style="bold red", soft_wrap=True, markup=False)
    out.print(f"\npage:   {folder / PAGE}\ntables: {MARKDOWN}, {CSV}, {FIGURES}, {COSTS} beside it", soft_wrap=True, markup=False)


def _table(title: str, rows: list[dict[str, str]]) -> Table:
    """Return a table whose texts are folded where 80 columns have no room for them; columns without any text are left out."""
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    wrapped = ("component", "task", "verdict", "licence", "note")
    columns = [Column(name, overflow="fold") if name in wrapped else _number_column(name) for name in names]
    table = Table(*columns, title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for row in rows:
        table.add_row(*(escape(row[name]) for name in names))
    return table


def _number_column(name: str) -> Column:
    return Column(name.replace(" ", "\n"), justify="right", no_wrap=True)
