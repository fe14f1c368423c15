"""`mlctl retrain` and `mlctl champion`: the best encoder so far, and its successors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from mlctl.cli.flow_command import run_flow
from mlctl.cli.options import Overrides, RecipeName, load_recipe, out
from mlctl.config import Recipe
from mlctl.pipeline.champion import registry_of
from storage import Store
from storage.champion_registry import Champion, ChampionRegistry, RegistryState

champion_app = typer.Typer(no_args_is_help=True, help="Show the best encoder so far, or choose another one.")


def retrain(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Train a new encoder if there is something new to learn from, and promote it if it is better than the champion."""
    loaded = load_recipe(recipe, overrides)

    def load() -> Callable[[], Any]:
        from flows.retrain import retrain as flow

        return lambda: flow(loaded, return_state=True)

    from mlctl.pipeline import run_log

    with run_log.recording_overrides(overrides or ()):
        state = run_flow(loaded.store, load)
    out.print(f"{state.name}: {state.message}", soft_wrap=True)


@champion_app.command("show")
def show(recipe: RecipeName, overrides: Overrides = None) -> None:
    """List the champions that are kept, newest first, and how the current one was chosen."""
    loaded = load_recipe(recipe, overrides)
    registry = registry_of(loaded)
    state = registry.read()
    if state.champion is None:
        out.print(f"{registry.name} has no champion yet: `mlctl retrain {recipe}` makes the first", soft_wrap=True)
        return
    out.print(_table(registry.name, state))
    _print_scores(state.champion)
    out.print(f"model: {Store(loaded.store).folder('train', state.champion.results['train']) / 'model'}", soft_wrap=True)


@champion_app.command("rollback")
def rollback(
    recipe: RecipeName,
    overrides: Overrides = None,
    to: Annotated[int | None, typer.Option("--to", help="Number of a champion that is kept; default: the one before.")] = None,
) -> None:
    """Make an earlier champion the current one; it is published and notified like a new one."""
    loaded = load_recipe(recipe, overrides)
    registry = registry_of(loaded)
    _announce(loaded, registry, registry.rollback(to), "rolled-back")


@champion_app.command("promote")
def promote(
    recipe: RecipeName,
    run: Annotated[str, typer.Argument(help="Id of a run with a report (`mlctl runs`), or a prefix of it.")],
    overrides: Overrides = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote it even if it is significantly worse than its base model.")
    ] = False,
) -> None:
    """Make the encoder of a run the champion without a comparison with the present one."""
    loaded = load_recipe(recipe, overrides)
    registry = registry_of(loaded)
    from mlctl.pipeline.export import check_not_worse, find_run
    from mlctl.pipeline.stage import Ref, lineage

    promoted = find_run(Store(loaded.store), run)
    key = next(stage.key for stage in promoted.stages if stage.stage == "report")
    if not force:
        check_not_worse(Store(loaded.store), key, "to promote it anyway: --force")
    results = {name: result.manifest.key for name, result in lineage(Ref(stage="report", key=key, store=loaded.store)).items()}
    expected = registry.read().current
    champion = registry.promote(expected, results, f"promoted manually from run {promoted.id}", loaded.retrain.keep)
    _announce(loaded, registry, champion, "promoted")


def _announce(recipe: Recipe, registry: ChampionRegistry, champion: Champion, event: str) -> None:
    from mlctl.pipeline.retraining import finish, message
    from tasks.notifications import emit, post

    out.print(
        f"champion {champion.number} of {registry.name} is the current one (created {champion.created}: {champion.reason})",
        soft_wrap=True,
    )
    finish(recipe, registry, post, event)
    emit(registry.name, event, message(registry, event, champion))


def _table(name: str, state: RegistryState) -> Table:
    table = Table(
        "", "champion", "created", "train", "notes", Column("reason", overflow="fold"), title=name, title_justify="left"
    )
    for champion in state.champions:
        current = "→" if champion.number == state.current else ""
        notes, train = "\n".join(champion.notes), champion.results["train"][:8]
        table.add_row(current, str(champion.number), champion.created, train, notes, champion.reason)
    return table


def _print_scores(champion: Champion) -> None:
    comparisons = champion.details.get("comparisons", [])
    if not comparisons:
        return
    table = Table(
        "task", title=f"Scores in %, champion {champion.number} against {champion.details['previous']}", title_justify="left"
    )
    for name in (f"number {champion.details['previous']}", f"number {champion.number}", "gain", "95% interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in comparisons:
        before, now, gain, low, high = (100 * row[name] for name in ("champion", "challenger", "difference", "low", "high"))
        table.add_row(row["task"], f"{before:.1f}", f"{now:.1f}", f"{gain:+.1f}", f"{low:+.1f} … {high:+.1f}", f"{row['p']:.3g}")
    out.print(table)
